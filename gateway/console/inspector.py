"""Takes note of the logins of browsers that have opened the console: what was asked, what came, where it failed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlsplit

from werkzeug import Response

from gateway.console.checks import Row, checks_of_login
from gateway.console.logins import RecordedLogin, RecordedLogins
from gateway.console.messages import (
    BROWSER,
    GATEWAY,
    Message,
    contents,
    exchanged,
    failed,
    learn,
    parameters,
    redirected,
    tokens_of,
)
from gateway.console.redaction import Redaction
from gateway.console.tape import Recorder, Tape
from gateway.cookies import CookiePolicy, console_handle, find_transaction
from gateway.endpoints.request import Request
from gateway.errors import GatewayError
from gateway.provider import Provider
from gateway.store import Clock

_log = logging.getLogger("gateway")


@dataclass(slots=True, kw_only=True)
class _Noted:
    """A step of a login while it is under way, and what came of it."""

    request: Request
    provider: str
    began_at: float
    tape: Tape = field(default_factory=list)
    response: Response | None = None
    failure: GatewayError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspector:
    """Takes note of logins; whatever goes wrong in that is logged, and the login goes on as without it.

    Who has never opened the console has no handle, and nothing of his is kept.
    """

    cookies: CookiePolicy
    recorder: Recorder
    logins: RecordedLogins
    providers: Mapping[str, Provider]
    clock: Clock

    def begun(self, request: Request, provider: str, begin: Callable[[], Response]) -> Response:
        """Begin a login, and take note of it."""
        with self._noting(request, provider, self._note_begin) as noted:
            noted.response = begin()
            return noted.response

    def answered(
        self, request: Request, provider: str, answer: Mapping[str, str], complete: Callable[[], Response]
    ) -> Response:
        """Complete a login, and take note of how that went; `answer` is what the provider sent with the browser."""

        def note(handle: bytes, noted: _Noted) -> None:
            self._note_end(handle, noted, answer)

        with self._noting(request, provider, note) as noted:
            noted.response = complete()
            return noted.response

    @contextmanager
    def _noting(self, request: Request, provider: str, note: Callable[[bytes, _Noted], None]) -> Iterator[_Noted]:
        noted = _Noted(request=request, provider=provider, began_at=self.clock())
        handle = console_handle(self.cookies, request.cookies)
        if handle is None:
            yield noted
            return
        try:
            with self.recorder.tape() as noted.tape:
                yield noted
        except GatewayError as error:
            noted.failure = error
            raise
        finally:
            self._keep(handle, noted, note)

    def _keep(self, handle: bytes, noted: _Noted, note: Callable[[bytes, _Noted], None]) -> None:
        try:
            note(handle, noted)
        except Exception as error:  # noqa: BLE001 - a login never fails over its notes.
            _log.warning("console: no note was taken of a login: %s", type(error).__name__)

    def _note_begin(self, handle: bytes, noted: _Noted) -> None:
        location = "" if noted.response is None else noted.response.headers.get("Location", "")
        sent = dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
        pushed = dict(pair for one in noted.tape for pair in parse_qsl(one.call.body.decode("utf-8", "replace")))
        redaction = _knowing(noted.tape, sent)
        login = RecordedLogin(
            state=_digest(_state(sent) or _state(pushed)), provider=noted.provider, began_at=noted.began_at
        )
        wish = Message(sender=BROWSER, receiver=GATEWAY, title="Sign-in begins", place=_asked(noted, redaction))
        asked = [] if noted.failure else [redirected(location, redaction, self._after(login))]
        messages = (wish, *exchanged(noted.tape, redaction, noted.began_at), *asked)
        self.logins.begin(handle, self._ended(replace(login, messages=messages), noted, redaction))

    def _note_end(self, handle: bytes, noted: _Noted, answer: Mapping[str, str]) -> None:
        state = _state(answer)
        known = self.logins.find(handle, _digest(state))
        login = known or RecordedLogin(state=_digest(state), provider=noted.provider, began_at=noted.began_at)
        redaction = _knowing(noted.tape, answer)
        response = Message(
            sender=BROWSER,
            receiver=GATEWAY,
            title="Authorization response",
            place=_asked(noted, redaction),
            parameters=parameters(answer.items(), redaction),
            after=max(0, round((noted.began_at - login.began_at) * 1000)),
        )
        messages = (*login.messages, response, *exchanged(noted.tape, redaction, login.began_at))
        ended = replace(login, messages=messages, checks=self._checks(noted, state))
        self.logins.go_on(handle, self._ended(ended, noted, redaction))

    def _ended(self, login: RecordedLogin, noted: _Noted, redaction: Redaction) -> RecordedLogin:
        """Add how the step ended, where it ended the login."""
        after = self._after(login)
        if noted.failure is not None:
            last = failed(noted.failure, redaction, after)
            return replace(login, messages=(*login.messages, last), done=True, code=noted.failure.code)
        cookies = [] if noted.response is None else noted.response.headers.getlist("Set-Cookie")
        if not any(line.startswith(f"{self.cookies.session}=") for line in cookies):
            return login
        last = Message(sender=GATEWAY, receiver=BROWSER, title="Signed in: a new session", after=after, status=303)
        return replace(login, messages=(*login.messages, last), done=True)

    def _checks(self, noted: _Noted, state: str) -> tuple[Row, ...]:
        transaction = find_transaction(self.cookies, noted.request.cookies, state)
        id_token, access_token = tokens_of(noted.tape)
        if transaction is None or not id_token:
            return ()
        provider = self.providers[noted.provider]
        return checks_of_login(provider, id_token, access_token, transaction, int(self.clock()))

    def _after(self, login: RecordedLogin) -> int:
        return max(0, round((self.clock() - login.began_at) * 1000))


def _knowing(tape: Tape, members: Mapping[str, str]) -> Redaction:
    redaction = Redaction()
    learn(redaction, tape)
    redaction.learn(members)
    return redaction


def _asked(noted: _Noted, redaction: Redaction) -> str:
    return redaction.text(f"{noted.request.target.method} {noted.request.target.path}")


def _state(members: Mapping[str, str]) -> str:
    """Find the state among parameters, or in the JWT that stands for them."""
    if "state" in members:
        return members["state"]
    held = [contents(members[name]).get("state") for name in ("request", "response") if name in members]
    return next((state for state in held if isinstance(state, str)), "")


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:16]
