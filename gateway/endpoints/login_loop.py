"""Logins that do not last: counted by what the browser brings back, stopped, and told by a cause that can be proven."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.authenticator import Authenticator
from gateway.config import Settings
from gateway.cookies import NOTE_SECONDS, cookie_value, deletion, find_transaction, session_handles
from gateway.endpoints.login_failed import LoginFailed
from gateway.endpoints.request import Request
from gateway.errors import (
    LOGIN_LOOP_CLOCK,
    LOGIN_LOOP_COOKIE_LOST,
    LOGIN_LOOP_COOKIE_REPLACED,
    LOGIN_LOOP_HOST,
    LOGIN_LOOP_INSECURE,
    LOGIN_LOOP_LIFETIME,
    LOGIN_LOOP_REFRESH,
    LOGIN_LOOP_REVOKED,
    LOGIN_LOOP_STORE_FORGETS,
    LOGIN_LOOP_STORE_SPLIT,
    LOGIN_LOOP_UNREADABLE,
    TRANSACTION_MISSING,
    TRANSACTION_UNREADABLE,
    GatewayError,
    Problem,
)
from gateway.landing import Beginning, Landing, find_landing, from_mark, landing_cookie, to_mark
from gateway.loss import REMEMBERED_SECONDS, Loss, loss_note
from gateway.oidc.messages import Entropy
from gateway.oidc.transaction import mark_of
from gateway.store import Clock, HeldSession, SessionStore, session_id

MAX_LANDINGS = 3
"""How many logins in a row may be lost: with three redirects or more to each, browsers give up after sixteen."""

_LATE_SECONDS = 5
"""How much later than a browser sent it a cookie may be read."""

_APART_SECONDS = 24 * 3600
"""How much the clocks of two of our machines may differ; an older note was kept and put back by somebody."""

_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopGuard:
    """Stops a browser that is signed in again and again; `process` tells which of our processes this is."""

    settings: Settings
    authenticator: Authenticator
    store: SessionStore
    clock: Clock
    entropy: Entropy
    process: Callable[[], str]

    def mark(self, request: Request, *, second: bool) -> str:
        """Tell what a `state` has to carry of how a login begins."""
        target = request.target
        host = "" if target.host.removesuffix(_PORTS[target.scheme]) == self.settings.rules.public_host else target.host
        beginning = Beginning(second=second, host=host, insecure=self._is_insecure(request))
        return to_mark(self.settings.cookies, beginning, self.entropy)

    def beginning(self, state: str) -> Beginning:
        """Read how the login with that state was begun."""
        return from_mark(self.settings.cookies, mark_of(state))

    def losses(self, request: Request, return_to: str, instead_of: str = "") -> int:
        """Count the logins of this browser, one right after the other, whose sessions are not there.

        `instead_of` is the state of one that came to nothing just now. Raises `LoginFailed` of `login_loop_*` when
        there were too many; whoever tries again then begins from none.
        """
        handles = session_handles(self.settings.cookies, request.cookies)
        landing = self._landing(request)
        if landing is None or self.authenticator.find_session(handles) is not None:
            return 0
        # With another site's forms and frames the note comes, and no session's cookie: that may well be there.
        blind = self.settings.cookies.cross_site and not request.target.navigation
        stray = self._cause_of_stray(request, instead_of) if blind else None
        if blind and stray is None:
            return 0
        if landing.count < MAX_LANDINGS:
            return landing.count
        if not self.store.claim(f"landing {landing.session}", _APART_SECONDS):
            return 0  # The browser was told to forget it: somebody puts it back, and shall keep nobody out.
        raise self._stop(stray or self._cause(landing, handles), self._seen(landing, handles), return_to)

    def came_home(self, request: Request, return_to: str, state: str, held: HeldSession) -> Sequence[str]:
        """Make the `Set-Cookie` for one who has a session here, and yet began a login, where it was not known.

        `state` is that of the login. Raises `LoginFailed` where it happens again and again for a cause that is known.
        """
        cause = self._cause_of_stray(request, state)
        if cause is None:
            return []
        landing = self._landing(request)
        count = 0 if landing is None else landing.count
        if count + 1 >= MAX_LANDINGS:
            detail = f"signed in here, while a login was begun elsewhere: {self.beginning(state)}"
            raise self._stop(cause, detail, return_to)
        return [self.landed(count, held)]

    def landed(self, losses: int, held: HeldSession) -> str:
        """Make the `Set-Cookie` that says that a login was completed, after so many that did not last."""
        if losses:  # Who finds this and not the session has the same store, which loses it.
            self.store.note(_written_note(held.session.id), REMEMBERED_SECONDS)
        landing = Landing(
            count=losses + 1,
            session=held.session.id,
            process=self.process(),
            at=int(self.clock()),
            ends_at=held.session.expires_at(self.settings.lifetimes),
        )
        return landing_cookie(self.settings.cookies, landing, self.entropy)

    def not_returned(self, request: Request, state: str) -> GatewayError:
        """Tell why the cookie of the login with that state is of no use."""
        if self._is_sealed_elsewhere(request, state):
            return GatewayError(TRANSACTION_UNREADABLE, "sealed by another session.secret, or by a newer release")
        if self._is_insecure(request):
            return GatewayError(LOGIN_LOOP_INSECURE, "public_url is https, and the browser came by http")
        return GatewayError(TRANSACTION_MISSING)

    def _landing(self, request: Request) -> Landing | None:
        landing = find_landing(self.settings.cookies, request.cookies)
        return landing if landing is not None and abs(self._now() - landing.at) <= _APART_SECONDS else None

    def _cause_of_stray(self, request: Request, state: str) -> Problem | None:
        beginning = self.beginning(state)
        if self._is_sealed_elsewhere(request, state):
            return TRANSACTION_UNREADABLE
        if beginning.insecure:
            return LOGIN_LOOP_INSECURE
        return LOGIN_LOOP_HOST if beginning.host else None

    def _is_sealed_elsewhere(self, request: Request, state: str) -> bool:
        policy = self.settings.cookies
        value = cookie_value(request.cookies, policy.transaction(state))
        return value is not None and find_transaction(policy, request.cookies, state) is None

    def _stop(self, cause: Problem, detail: str, return_to: str) -> LoginFailed:
        policy = self.settings.cookies
        return LoginFailed(GatewayError(cause, detail), return_to, [deletion(policy, policy.landing)])

    def _cause(self, landing: Landing, handles: Sequence[bytes]) -> Problem:
        if not handles:
            return LOGIN_LOOP_COOKIE_LOST
        if landing.session not in map(session_id, handles):
            return LOGIN_LOOP_COOKIE_REPLACED
        if self._now() >= landing.ends_at:
            # The browser keeps its note for a minute: what is older by our clock was made by another clock.
            fresh = self._now() <= landing.at + NOTE_SECONDS + _LATE_SECONDS
            return LOGIN_LOOP_LIFETIME if fresh else LOGIN_LOOP_CLOCK
        return self._of_the_store(landing)

    def _of_the_store(self, landing: Landing) -> Problem:
        if self.store.was_noted(loss_note(landing.session, Loss.REFUSED)):
            return LOGIN_LOOP_REFRESH
        if self.store.was_noted(loss_note(landing.session, Loss.REVOKED)):
            return LOGIN_LOOP_REVOKED
        if self.store.is_written(landing.session):
            return LOGIN_LOOP_UNREADABLE
        shared = landing.process == self.process() or self.store.was_noted(_written_note(landing.session))
        return LOGIN_LOOP_STORE_FORGETS if shared else LOGIN_LOOP_STORE_SPLIT

    def _seen(self, landing: Landing, handles: Sequence[bytes]) -> str:
        return (
            f"{landing.count} logins in a row did not last; the last one, session {landing.session[:8]}, was made by "
            f"process {landing.process} at {landing.at}, this is process {self.process()} at {self._now()}; "
            f"the browser sent {len(handles)} session cookies"
        )

    def _is_insecure(self, request: Request) -> bool:
        # Browsers say whence they come (`Sec-Fetch-*`) where the page is secure, even if a proxy hides from us that
        # it is (Fetch Metadata 2).
        target = request.target
        return self.settings.cookies.secure and target.scheme == "http" and "sec-fetch-site" not in target.names

    def _now(self) -> int:
        return int(self.clock())


def _written_note(session_id: str) -> str:
    return f"written {session_id}"
