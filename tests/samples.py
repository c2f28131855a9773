"""Values to begin from; a test replaces what it is about."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.cookies import CookiePolicy
from gateway.headers import header_rules
from gateway.inner import Passage
from gateway.route import Route, compile_pattern
from gateway.sealing import KeyRing
from gateway.session import Session
from gateway.target import read_target

SESSION: Final = Session(
    id="s1",
    provider="default",
    issuer="https://op.example",
    client_id="app",
    subject="u1",
    claims={"sub": "u1"},
    scope="openid",
    access_token="the-access-token",
    token_scheme="Bearer",
    dpop_key=None,
    access_issued_at=1000,
    access_expires_at=None,
    refresh_token=None,
    id_token=None,
    created_at=1000,
    seen_at=1000,
    ends_at=1_000_000_000_000,
)

COOKIES: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret of at least 32 characters"]))
ANY_ROUTE: Final = Route(path="/**", pattern=compile_pattern("/**"))


def passage(
    environ: Mapping[str, Any], route: Route = ANY_ROUTE, session: Session | None = None, **more: str
) -> Passage:
    """Make what a GET takes with it."""
    asked = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "PATH_INFO": "/", "HTTP_HOST": "app.example", **environ}
    return Passage(
        environ=asked,
        target=read_target(asked, ()),
        route=route,
        session=session,
        rules=header_rules(COOKIES, "https://app.example", [route]),
        authorization=list(more.items()),
    )
