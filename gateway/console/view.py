"""What the console's page shows of a session, of its provider and of the login that may be begun, as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.config_provider import ProviderSettings
from gateway.console.actions import decoded
from gateway.console.checks import Row, checks_of_session
from gateway.console.messages import Pairs, contents
from gateway.console.redaction import Redaction, as_text
from gateway.oidc.client import SenderConstraint
from gateway.oidc.dpop import dpop_key_from_text
from gateway.provider import Provider
from gateway.session import Lifetimes, Session

TOKENS: Final[Mapping[str, str]] = {
    "access_token": "access token",
    "refresh_token": "refresh token",
    "id_token": "ID token",
}
"""What a session holds, by names of the form with its titles."""

_OF_THE_HEADER = frozenset({"alg", "typ", "kid", "cty"})
_TIMES = frozenset({"exp", "iat", "nbf", "auth_time", "updated_at"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A time: `at` in seconds since the epoch, how it is written, and how far it is from now."""

    title: str
    at: int
    written: str
    distance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A token that is not shown: its name, its title, its length, and whether it can be decoded."""

    name: str
    title: str
    length: int
    is_jwt: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """What is shown of a session."""

    who: str
    facts: Pairs
    scope: tuple[str, ...]
    times: tuple[Moment, ...]
    tokens: tuple[Masked, ...]
    header: Pairs
    claims: Pairs
    checks: tuple[Row, ...]
    userinfo: Pairs
    has_refresh_token: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderView:
    """What is shown of a provider, and of our registration there: nothing of it can be changed on the page."""

    name: str
    title: str
    fixed: Pairs
    registration: Pairs
    file: str


def session_view(session: Session, provider: Provider, lifetimes: Lifetimes, now: int) -> SessionView:
    """Show a session: never a token, and of its ID token what it says and what each check comes to."""
    redaction = Redaction()
    said = {} if session.id_token is None else contents(session.id_token)
    header = {name: value for name, value in said.items() if name in _OF_THE_HEADER}
    of_the_token = {name: value for name, value in said.items() if name not in header}
    others = {name: value for name, value in session.claims.items() if name not in of_the_token}
    return SessionView(
        who=as_text(session.claims.get("email") or session.claims.get("preferred_username") or session.subject),
        facts=tuple(_facts(session)),
        scope=tuple(as_text(session.scope).split()),
        times=tuple(_times(session, lifetimes, now)),
        tokens=tuple(_masked(session)),
        header=_shown(header, redaction),
        claims=_shown(of_the_token, redaction),
        checks=() if session.id_token is None else checks_of_session(provider, session, now),
        userinfo=_shown(others, redaction),
        has_refresh_token=session.refresh_token is not None,
    )


def provider_view(provider: ProviderSettings) -> ProviderView:
    """Show what is fixed about logins at a provider, and how we are registered there."""
    client, via = provider.client, provider.asked.via
    fixed = (
        ("issuer", provider.issuer),
        ("response_type", client.response_type),
        ("response_mode", client.response_mode or "query"),
        ("request travels", via.value.replace("_", ", ")),
        ("PKCE", "S256, always"),
        ("state and nonce", "always, bound to this browser"),
        ("ID token signed by", ", ".join(client.id_token.algorithms) or "there is none"),
    )
    named = {
        "client_id": client.client_id,
        "client authentication": client.token_endpoint_auth_method or "the strongest that both sides have",
        "redirect_uris": client.redirect_uri,
        "post_logout_redirect_uris": client.post_logout_redirect_uri,
        "backchannel_logout_uri": client.backchannel_logout_uri,
        "frontchannel_logout_uri": client.frontchannel_logout_uri,
        "scope": client.scope,
        "resource": " ".join(client.resource),
        "tokens bound by": _WORDS[client.sender_constraint],
    }
    registration = tuple((name, value) for name, value in named.items() if value)
    return ProviderView(
        name=provider.name,
        title=provider.title,
        fixed=fixed,
        registration=registration,
        file=provider.registration,
    )


def token_of(session: Session, name: str) -> str | None:
    """Return one of the tokens of `TOKENS`; None where the session has none."""
    held = {
        "access_token": session.access_token,
        "refresh_token": session.refresh_token,
        "id_token": session.id_token,
    }
    return held[name]


_WORDS = {
    SenderConstraint.NONE: "nothing: whoever has one can use it",
    SenderConstraint.DPOP: "a key of each session (DPoP)",
    SenderConstraint.MTLS: "our certificate (RFC 8705)",
}


def _facts(session: Session) -> Iterator[tuple[str, str]]:
    yield "subject", as_text(session.subject)
    yield "provider", session.provider
    yield "issuer", session.issuer
    yield "client_id", session.client_id
    yield "token type", session.token_scheme
    if session.dpop_key is not None:
        yield "bound to the key (jkt)", dpop_key_from_text(session.dpop_key).thumbprint
    if session.resource is not None:
        yield "resource", " ".join(session.resource)


def _times(session: Session, lifetimes: Lifetimes, now: int) -> Iterator[Moment]:
    yield _moment("Signed in", session.created_at, now)
    yield _moment("Tokens received", session.access_issued_at, now)
    if session.access_expires_at is not None:
        yield _moment("Access token ends", session.access_expires_at, now)
    if session.refresh_expires_at is not None:
        yield _moment("Refresh token ends", session.refresh_expires_at, now)
    yield _moment("Session ends if unused", session.expires_at(lifetimes), now)
    yield _moment("Session ends at the latest", min(session.created_at + lifetimes.absolute, session.ends_at), now)


def _moment(title: str, at: int, now: int) -> Moment:
    return Moment(title=title, at=at, written=written(at), distance=distance(at - now))


def written(at: int) -> str:
    """Write a time in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def distance(seconds: int) -> str:
    """Write how far a time is from now: `in 1 h 5 min`, `12 s ago`."""
    left = abs(seconds)
    units = (("d", left // 86400), ("h", left // 3600 % 24), ("min", left // 60 % 60), ("s", left % 60))
    first = next((index for index, (_, count) in enumerate(units) if count), 3)
    words = " ".join(f"{count} {unit}" for unit, count in units[first : first + 2] if count or first == 3)
    return f"in {words}" if seconds > 0 else f"{words} ago" if seconds else "now"


def _masked(session: Session) -> Iterator[Masked]:
    for name, title in TOKENS.items():
        token = token_of(session, name)
        if token is not None:
            yield Masked(name=name, title=title, length=len(token), is_jwt=bool(decoded(token)))


def _shown(members: Mapping[str, object], redaction: Redaction) -> Pairs:
    return tuple(
        (redaction.text(name, 80), redaction.text(_with_time(name, value), 2000)) for name, value in members.items()
    )


def _with_time(name: str, value: object) -> str:
    is_time = name in _TIMES and isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1 << 37
    return f"{value} ({written(int(value))})" if is_time else as_text(value)  # type: ignore[call-overload]
