"""What the rules say of a request, and why: for whoever writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import unquote_to_bytes, urlsplit

from gateway.config import Settings
from gateway.headers import Headers, inner_headers
from gateway.policy import Decision, Verdict, asks_who, decide_all, fitting_session, match_all
from gateway.route import Route, Token
from gateway.session import Session
from gateway.target import RequestTarget, read_target

_WORDS = {
    Verdict.ALLOW: "allowed",
    Verdict.LOGIN: "sent to the login, or 401 if it is no navigation",
    Verdict.STEP_UP: "asked to sign in once more",
    Verdict.FORBID: "refused (403)",
    Verdict.DENY: "answered as if there was nothing (404)",
}
_TOKENS = {
    Token.ACCESS_TOKEN: "<access token>",
    Token.ID_TOKEN: "<ID token>",
    Token.INTROSPECTED: "<introspected token>",
    Token.EXCHANGED: "<exchanged token>",
}


def target_of(method: str, url: str, client: str) -> RequestTarget:
    """Read a request as the gateway would, from a same-origin page and from that address.

    Raises `method_refused`, `host_invalid`, `target_malformed` and `target_ambiguous`.
    """
    parts = urlsplit(url)
    path = parts.path or "/"
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": f"{path}?{parts.query}" if parts.query else path,
        "REMOTE_ADDR": client,
        "HTTP_HOST": parts.netloc,
        "HTTP_SEC_FETCH_SITE": "same-origin",
        "wsgi.url_scheme": parts.scheme,
    }
    return read_target(environ, ())


def session_of(claims: Mapping[str, object], scope: str, provider: str, issuer: str, now: int) -> Session:
    """Make a session of claims, whose tokens are words in angle brackets."""
    return Session(
        id="", provider=provider, issuer=issuer, client_id="", subject=str(claims.get("sub", "")), claims=claims,
        id_token_claims=tuple(claims), scope=scope, access_token="<access token>", token_scheme="Bearer",
        dpop_key=None, access_issued_at=now, access_expires_at=None, refresh_token=None, id_token=None,
        created_at=now, seen_at=now, ends_at=now + 1,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """The rules that a request meets, the session as far as it counts, and what is decided."""

    routes: Sequence[Route]
    session: Session | None
    decision: Decision


def explained_members(
    settings: Settings, target: RequestTarget, session: Session | None, now: int
) -> dict[str, object]:
    """Tell for programs what `explain` tells for people; raises as it does.

    `rule` counts from 1 and is None where no rule fits; `upstream`, `path_sent` and `headers` are None where nothing is
    sent on.
    """
    answer = _answer(settings, target, session, now)
    route, allowed = answer.routes[0], answer.decision.verdict is Verdict.ALLOW
    return {
        "method": target.method,
        "path": target.path,
        "host": target.host,
        "rule": settings.routes.index(route) + 1 if route in settings.routes else None,
        "route": route.path,
        "access": route.access.value,
        "also": [other.path for other in answer.routes[1:]],
        "signed_in": answer.session is not None,
        "verdict": answer.decision.verdict.name.lower(),
        "code": answer.decision.problem.code if answer.decision.problem else None,
        "detail": answer.decision.detail,
        "upstream": route.upstream if allowed else None,
        "path_sent": route.inner_path(target.path) if allowed else None,
        "headers": dict(_headers(settings, target, route, answer.session)) if allowed else None,
    }


def explain(settings: Settings, target: RequestTarget, session: Session | None, now: int) -> Iterator[str]:
    """Tell line by line which rule matches and why, what it decides, and what would be sent on.

    Raises `target_ambiguous` as the gateway would.
    """
    yield f"{target.method} {target.path} on {target.host}"
    answer = _answer(settings, target, session, now)
    routes = answer.routes
    yield from _considered(settings.routes, routes[0], target)
    yield from (f"and {route.path}, as a lenient upstream would read the path" for route in routes[1:])
    if session is not None and answer.session is None and asks_who(routes):
        yield "the session is of another provider, and counts as none"
    yield _decided(answer.decision, answer.session)
    if answer.decision.verdict is Verdict.ALLOW:
        yield from _sent(settings, target, routes[0], answer.session)


def _answer(settings: Settings, target: RequestTarget, session: Session | None, now: int) -> _Answer:
    routes = match_all(settings.routes, settings.default_route, target)
    fitting = fitting_session(routes, session) if asks_who(routes) else None
    decision = decide_all(routes, fitting, target, public_origin=settings.public_url, now=now)
    return _Answer(routes=routes, session=fitting, decision=decision)


def _considered(routes: Sequence[Route], chosen: Route, target: RequestTarget) -> Iterator[str]:
    for number, route in enumerate(routes, start=1):
        if route is chosen:
            yield f"rule {number}, {route.path}: fits; access {route.access.value}"
            return
        yield f"rule {number}, {route.path}: does not fit: {_reason(route, target)}"
    yield "no rule fits: login required"


def _reason(route: Route, target: RequestTarget) -> str:
    if route.pattern.fullmatch(target.path) is None:
        return "the path"
    if replace(route, methods=frozenset()).fits(target.method, target.path, target.host):
        return f"the method, which is not of {', '.join(sorted(route.methods))}"
    return f"the host, which is not of {', '.join(route.hosts)}"


def _decided(decision: Decision, session: Session | None) -> str:
    who = "nobody who is signed in" if session is None else f"signed in as {session.subject or 'somebody'}"
    why = f" because {decision.detail}" if decision.detail else ""
    code = f" [{decision.problem.code}]" if decision.problem else ""
    return f"{who}: {_WORDS[decision.verdict]}{why}{code}"


def _sent(settings: Settings, target: RequestTarget, route: Route, session: Session | None) -> Iterator[str]:
    where = f"{route.upstream} {settings.upstreams[route.upstream].urls}" if route.upstream else "the wrapped app"
    yield f"goes to {where} as {route.inner_path(target.path)}, with"
    yield from (f"    {name}: {value}" for name, value in _headers(settings, target, route, session))


def _headers(
    settings: Settings, target: RequestTarget, route: Route, session: Session | None
) -> Iterator[tuple[str, str]]:
    authorization: Headers = []
    if session is not None and route.token in _TOKENS:
        authorization = [("authorization", f"Bearer {_TOKENS[route.token]}")]
    # What is the same for everybody may be a key, and is nobody's to read off a terminal.
    configured = {name.lower() for name, text in route.request_headers.items() if "{" not in text}
    for name, value in inner_headers([], target, route, session, settings.rules, authorization):
        yield name, "<as configured>" if name in configured else value
