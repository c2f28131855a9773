"""Targets: whole gateways, and requests of all kinds, cookies of a session, and a provider that says odd things."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from harness import ISSUER, ORIGIN, SESSION_COOKIE
from werkzeug.wrappers import Response

from fuzz.changes import Alter, AlterPairs, Change, Pairs, Splice, alterations, applied, pair_changes, splices, text
from fuzz.dice import Dice
from fuzz.sites import Site, as_received, new_site, sets_session, site
from fuzz.target import Target
from gateway.cookies import read_cookies
from gateway.testing import FakeProvider, Faults
from gateway.testing.browser import Page

Members = dict[str, Any]
FIELDS: Final[Pairs] = (
    ("Host", "app.example"),
    ("X-Forwarded-Host", "app.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-For", "192.0.2.1, ::1"),
    ("Forwarded", 'for="[2001:db8::1]";proto=https'),
    ("X-Forwarded-Uri", "/api/x?a=b"),
    ("X-Forwarded-Method", "GET"),
    ("X-Original-URL", "/admin/"),
    ("Accept", "text/html"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Site", "none"),
    ("Origin", ORIGIN),
    ("Connection", "upgrade, x-forwarded-user"),
    ("Upgrade", "websocket"),
    ("Content-Type", "application/x-www-form-urlencoded"),
    ("Content-Length", "7"),
    ("Cookie", f"{SESSION_COOKIE}=planted"),
    ("X-Forwarded-User", "mallory"),
    ("Authorization", "Bearer abc"),
)
TARGETS_ASKED: Final = (
    "/", "/home", "/admin/x;y", "/api/x%2Fy?a=b", "/gone/", "/oauth2/auth?allowed_groups=ops", "/oauth2/auth",
    "/oauth2/userinfo", "/oauth2/session", "/oauth2/refresh", "/oauth2/sign_out?rd=/x", "/oauth2/signed_out?state=x",
    "/oauth2/start?rd=/x", "/oauth2/callback?code=c&state=s", "/oauth2/jwks.json", "/ping", "/ready",
)  # fmt: skip
METHODS: Final = ("GET",) * 6 + (
    "HEAD",
    "POST",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "",
    "G\x1bT",
)
SPOKEN: Final = ("discovery", "jwks", "token", "userinfo")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as it is sent."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """How what the provider says differs from the truth, before anything is signed and after."""

    about: str
    members: Sequence[Alter]
    token: Sequence[Splice]
    status: int
    media_type: str
    body: Sequence[Splice]

    def faults(self) -> Faults:
        """Make the provider say it."""
        if self.about == "id_token":
            return Faults(id_token_claims=self._members, id_token=self._token)
        if self.about == "id_token_header":
            return Faults(id_token_header=self._members)
        if self.about == "token_response":
            return Faults(token_response=self._answered)
        if self.about == "refreshed":
            return Faults(refreshed_id_token_claims=self._members, refreshed_id_token=self._token)
        if self.about in ("userinfo", "discovery", "jwks"):
            return Faults(**{self.about: self._members})  # type: ignore[arg-type]
        return Faults(response=self._response)

    def _answered(self, _: int, members: Members) -> tuple[int, Members]:
        return self.status, self._members(members)

    def _members(self, members: Members) -> Members:
        return applied(self.members, members)

    def _token(self, raw: str) -> str:
        return applied(self.token, raw).encode("ascii", "replace").decode("ascii")

    def _response(self, name: str, response: Response) -> Response:
        if self.about == f"{name.partition('.')[0]} response":
            changes: Sequence[Change[str]] = self.body
            body = applied(changes, response.get_data(as_text=True)).encode("utf-8", "surrogatepass")
            return Response(body, status=self.status, content_type=self.media_type)
        return response


def asked(dice: Dice) -> Asked:
    """Choose a request; every third is of fields and target that nobody changed but one."""
    fields = [
        (name, as_received(text(dice, value))) for name, value in (dice.pick(FIELDS) for _ in range(dice.below(6)))
    ]
    target = as_received(text(dice, *TARGETS_ASKED)).encode("utf-8").decode("latin-1")
    return Asked(dice.pick(METHODS), target, tuple(fields), dice.noise())


def cookies(dice: Dice) -> tuple[list[AlterPairs], list[Splice]]:
    """Choose how the cookies of a session differ."""
    return pair_changes(dice, (SESSION_COOKIE, "gateway", "flavour", "")), splices(dice, 1)


def said(dice: Dice) -> Said:
    """Choose what the provider says in a login, in a refresh, or of itself."""
    kinds = ("id_token", "id_token", "id_token_header", "token_response", "refreshed", "userinfo")
    return _said(dice, (*kinds, "token response", "userinfo response", "jwks response"))


def published(dice: Dice) -> Said:
    """Choose what the provider says of itself before anybody has asked."""
    return _said(dice, ("discovery", "discovery", "jwks", "discovery response", "jwks response"))


def _said(dice: Dice, kinds: Sequence[str]) -> Said:
    return Said(
        dice.pick(kinds),
        alterations(dice, 2),
        splices(dice, 1),
        dice.pick((200,) * 8 + (201, 204, 302, 400, 401, 429, 500)),
        dice.pick(("application/json",) * 8 + ("text/html", "application/jwt", "")),
        splices(dice),
    )


def check_request(request: Asked) -> bool:
    here = site("proxied")
    answer = here.ask(request.target, method=request.method, fields=request.fields, body=request.body)
    assert not sets_session(answer)
    assert here.received == []
    return answer.status < 400


def check_cookies(changes: tuple[list[AlterPairs], list[Splice]]) -> bool:
    here, handle = _signed_in()
    honest: Pairs = (("flavour", "vanilla"), (SESSION_COOKIE, handle))
    pairs = applied(changes[0], honest)
    field = as_received(applied(changes[1], "; ".join(f"{name}={value}" for name, value in pairs)))
    for target in ("/private", "/oauth2/userinfo"):
        answer = here.ask(target, fields=[("Cookie", field)])
        assert not sets_session(answer)
        assert answer.status == (200 if _holds(field, handle) else 401), answer
    assert len(here.received) == (1 if _holds(field, handle) else 0)
    here.received.clear()
    return _holds(field, handle)


def check_said(words: Said) -> bool:
    here = site("query")
    here.provider.faults = words.faults()
    browser = here.browser()
    try:
        pages = [browser.navigate(f"{ORIGIN}/home")]
        if SESSION_COOKIE in browser.cookies.of(ORIGIN):
            _check_session(here, pages)
            pages += [browser.fetch(f"{ORIGIN}{path}") for path in ("/oauth2/userinfo", "/oauth2/session")]
            pages.append(browser.fetch(f"{ORIGIN}/oauth2/refresh", method="POST"))
            pages.append(browser.fetch(f"{ORIGIN}/home"))
            pages.append(browser.open_link(f"{ORIGIN}/oauth2/sign_out", follow=False))
    finally:
        here.provider.faults = Faults()
        here.clock.advance(3600)  # What was said of the keys is forgotten.
        here.received.clear()
    for page in (*pages, *browser.history):
        if page.url.startswith(ORIGIN):
            _check_page(page)
    return len(pages) > 1


def check_published(words: Said) -> bool:
    def speak(provider: FakeProvider) -> None:
        provider.faults = words.faults()

    here = new_site("query", speak)
    answer = here.ask("/home", fields=[("Accept", "text/html")])
    assert not sets_session(answer)
    if answer.status != 303 or not answer.headers["Location"].startswith(f"{ISSUER}/authorize?"):
        return False
    browser = here.browser()
    redirect = browser.navigate(f"{ORIGIN}/home", follow=False)
    back = browser.navigate(redirect.headers["Location"], follow=False)
    if back.status != 303:
        return False
    page = browser.navigate(back.headers["Location"], follow=False)
    _check_page(page)
    return page.status == 303


def _check_session(here: Site, pages: Sequence[Page]) -> None:
    assert pages[-1].status == 200
    fields = here.received[-1].headers
    assert fields["x-forwarded-user"] == here.provider.user("alice").subject  # type: ignore[union-attr]
    for value in fields.values():
        assert value.isascii()
        assert value.isprintable()


def _check_page(page: Page) -> None:
    assert page.status < 500 or page.status == 503, page
    for name, value in page.headers:
        assert value.isascii() or name not in ("Location", "Set-Cookie"), (name, value)
        value.encode("latin-1")


@cache
def _signed_in() -> tuple[Site, str]:
    here = new_site("query")
    browser = here.browser()
    assert browser.navigate(f"{ORIGIN}/home").status == 200
    here.received.clear()
    return here, browser.cookies.of(ORIGIN)[SESSION_COOKIE]


def _holds(field: str, handle: str) -> bool:
    values = [value for name, value in read_cookies(field) if name == SESSION_COOKIE]
    return any(_octets(value) == _octets(handle) for value in values[:4])


def _octets(value: str) -> bytes | None:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


TARGETS: Final = (
    Target(name="request", make=asked, check=check_request, share=30),
    Target(name="session cookies", make=cookies, check=check_cookies, share=20),
    Target(name="the provider's word", make=said, check=check_said, share=5),
    Target(name="the provider's metadata", make=published, check=check_published, share=3),
)
"""What comes to a whole gateway, from everybody and from the provider."""
