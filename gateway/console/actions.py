"""What a developer may have done with a session's tokens, and what is told of it: the calls, and what they came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.authenticator import Authenticator
from gateway.console.messages import Message, Pairs, contents, exchanged, learn
from gateway.console.redaction import Redaction, as_text, cut
from gateway.console.tape import Recorder, Tape
from gateway.errors import PARAMETER_REFUSED, GatewayError
from gateway.oidc.dpop import bound_key
from gateway.oidc.token_endpoint import TokenSet
from gateway.oidc.userinfo import check_subject
from gateway.provider import Provider
from gateway.session import Session
from gateway.store import Clock, HeldSession

MAX_TEXT = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an action came to: `code` is the error, `told` what it means, `text` what was answered."""

    title: str
    code: str = ""
    told: str = ""
    facts: Pairs = ()
    text: str = ""
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A result, and the session as it is afterwards; None where it has ended."""

    result: Result
    held: HeldSession | None


def secrets_of(session: Session) -> Redaction:
    """Know a session's secrets, so that no text shows them."""
    known = {
        "access token": session.access_token,
        "refresh token": session.refresh_token,
        "ID token": session.id_token,
        "DPoP key": session.dpop_key,
    }
    return Redaction((value, word) for word, value in known.items() if value)


def failure(title: str, error: GatewayError) -> Result:
    """Tell of an action that failed."""
    told = f"{error.problem.title}. {cut(as_text(error.detail))}" if error.detail else f"{error.problem.title}."
    return Result(title=title, code=error.code, told=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """The actions by their names; each is told of with the calls that it made."""

    authenticator: Authenticator
    providers: Mapping[str, Provider]
    recorder: Recorder
    clock: Clock

    def run(self, name: str, held: HeldSession) -> Done:
        """Do what an action of that name does; raises `parameter_refused` for one that is none."""
        actions: Mapping[str, tuple[str, Callable[[HeldSession, Tape], Done]]] = {
            "refresh": ("Renew the tokens", self._refresh),
            "revoke_access_token": ("Revoke the access token", self._revoke_access_token),
            "revoke_refresh_token": ("Revoke the refresh token", self._revoke_refresh_token),
            "userinfo": ("Ask for userinfo", self._userinfo),
            "introspect": ("Introspect the access token", self._introspect),
        }
        if name not in actions:
            raise GatewayError(PARAMETER_REFUSED, f"no action {name[:40]!r}")
        title, act = actions[name]
        began_at = self.clock()
        with self.recorder.tape() as tape:
            try:
                done = act(held, tape)
            except GatewayError as error:
                done = Done(result=failure(title, error), held=held)
        redaction = secrets_of(held.session)
        learn(redaction, tape)
        result = done.result
        told = Result(
            title=title,
            code=result.code,
            told=redaction.text(result.told),
            facts=tuple((name, redaction.text(value)) for name, value in result.facts),
            text=redaction.text(result.text, MAX_TEXT),
            messages=tuple(exchanged(tape, redaction, began_at)),
        )
        return Done(result=told, held=done.held)

    def _refresh(self, held: HeldSession, tape: Tape) -> Done:
        if held.session.refresh_token is None:
            told = "The provider gave no refresh token. Often the scope offline_access brings one."
            return Done(result=Result(title="", told=told), held=held)
        renewed = self.authenticator.refresh(held)
        if renewed is None:
            told = "The provider refused the refresh token, and so the session has ended. Sign in again."
            return Done(result=Result(title="", code=_error(tape) or "session_ended", told=told), held=None)
        if renewed.session.access_token == held.session.access_token:
            told = (
                "There is no new token: the provider did not answer as it should. The session goes on with the old one."
            )
            return Done(result=Result(title="", code=_error(tape) or "not_renewed", told=told), held=renewed)
        rotated = renewed.session.refresh_token != held.session.refresh_token
        facts = (
            ("access token", "new"),
            ("refresh token", "new" if rotated else "the same as before"),
            ("ID token", "new" if renewed.session.id_token != held.session.id_token else "the same as before"),
        )
        return Done(result=Result(title="", told="The provider gave new tokens.", facts=facts), held=renewed)

    def _revoke_access_token(self, held: HeldSession, tape: Tape) -> Done:
        told = "The access token is worth nothing any more. The session goes on; renew the tokens to get another."
        return self._revoke(held, held.session.access_token, "access_token", told, tape)

    def _revoke_refresh_token(self, held: HeldSession, tape: Tape) -> Done:
        if held.session.refresh_token is None:
            return Done(result=Result(title="", told="There is no refresh token."), held=held)
        told = "The refresh token is worth nothing any more: the session ends with its access token."
        return self._revoke(held, held.session.refresh_token, "refresh_token", told, tape)

    def _revoke(self, held: HeldSession, token: str, hint: str, told: str, tape: Tape) -> Done:
        provider = self.providers[held.session.provider]
        if provider.metadata().revocation_endpoint is None:
            result = Result(
                title="", code="metadata_lacking", told="The provider has no revocation_endpoint (RFC 7009)."
            )
            return Done(result=result, held=held)
        provider.revoke(token, hint)
        reply = tape[-1].reply if tape else None
        if reply is not None and reply.status == 200:
            return Done(result=Result(title="", told=told), held=held)
        refused = "The provider did not revoke the token; its answer is below."
        return Done(result=Result(title="", code=_error(tape) or "revocation_refused", told=refused), held=held)

    def _userinfo(self, held: HeldSession, _: Tape) -> Done:
        session, provider = held.session, self.providers[held.session.provider]
        tokens = TokenSet(access_token=session.access_token, scheme=session.token_scheme, scope=session.scope)
        key = bound_key(session.dpop_key)
        claims = provider.userinfo(tokens, key)
        if not claims:
            told = "Userinfo is switched off, or the provider has no userinfo_endpoint."
            return Done(result=Result(title="", told=told), held=held)
        if provider.settings.openid:
            check_subject(claims, session.subject)
        told = "What the provider says of the user now; the session keeps what it said at sign-in."
        return Done(result=Result(title="", told=told, text=pretty(claims)), held=held)

    def _introspect(self, held: HeldSession, _: Tape) -> Done:
        found = self.providers[held.session.provider].tokens.introspect(held.session.access_token)
        return Done(result=Result(title="", told="The token is active.", text=pretty(found.members)), held=held)


def pretty(members: Mapping[str, object]) -> str:
    """Write members for people."""
    return as_text(json.dumps(members, indent=2, ensure_ascii=False))


def decoded(token: str) -> str:
    """Write header and claims of a JWT for people; empty for a token that is none."""
    return pretty(contents(token)) if token.count(".") == 2 and contents(token) else ""


def _error(tape: Tape) -> str:
    """Find the error that the provider named in its last answer, or why there was none."""
    if not tape:
        return ""
    last = tape[-1]
    if last.reply is None:
        return "" if last.failure is None else last.failure.code
    try:
        error = json.loads(last.reply.body).get("error")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return cut(error, 60) if isinstance(error, str) and error.isprintable() else ""
