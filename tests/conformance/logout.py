"""A gateway that its provider tells of logouts: the set-up, the ways to end a session, and how answers are judged."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

from harness import ISSUER, ORIGIN, Config, Site, held_session, is_signed_in, run_site

from conformance.judge import sign_in
from gateway.testing import Browser, FakeProvider, Page
from gateway.testing.wsgi import Exchange, exchange

BACK: Final = f"{ORIGIN}/oauth2/backchannel-logout"
FRONT: Final = f"{ORIGIN}/oauth2/frontchannel-logout"
FORM: Final = "application/x-www-form-urlencoded"
APP: Final = "app %&+"
BOTH: Final[Mapping[str, Any]] = {
    "backchannel_logout_uri": BACK,
    "backchannel_logout_session_required": True,
    "frontchannel_logout_uri": FRONT,
    "frontchannel_logout_session_required": True,
}


@dataclass(kw_only=True, eq=False)
class Told:
    """A site whose provider tells it of logouts; `answers` is what it said to the logout tokens, oldest first."""

    site: Site
    answers: list[Exchange] = field(default_factory=list)

    def post(self, body: bytes, url: str = BACK, headers: Mapping[str, str] | None = None) -> Exchange:
        """Post a form as the provider does, and note the answer."""
        sent = {"Content-Type": FORM, **(headers or {})}
        answer = exchange(self.site.gateway, method="POST", url=url, headers=sent.items(), body=body)
        self.answers.append(answer)
        return answer

    def send(self, *, subject: str | None = None, sid: str | None = None) -> Exchange:
        """Post a logout token about somebody."""
        return self.post(form_of(self.site.provider.logout_token(APP, subject=subject, sid=sid)))

    def sign_in(self) -> str:
        """Sign in with a browser that knows nothing, and return the `sid` of the login."""
        sign_in(self.site.restarted())
        return str(held_session(self.site).claims["sid"])

    def assert_ended_by(self, end: Callable[["Told", str], object]) -> None:
        """See that an honest ending ends the session of a fresh login."""
        end(self, self.sign_in())
        assert not is_signed_in(self.site.browser)


@contextmanager
def run_told(config: Mapping[str, object] | None = None, **registered: Any) -> Iterator[Told]:
    """Run a gateway that is registered to hear of logouts, both ways unless it is said how."""
    members = registered or BOTH

    def tell(provider: FakeProvider) -> Config:
        provider.clients = [replace(provider.clients[0], **members)]
        return dict(config or {})

    with run_site(tell) as site:
        told = Told(site=site)
        site.provider.logout_transport = lambda url, body: told.post(body, url).status
        yield told


def form_of(token: str) -> bytes:
    """Write the form that carries a logout token."""
    return urlencode({"logout_token": token}).encode("ascii")


def by_session(told: Told, sid: str) -> None:
    """Let the provider end a sign-in of its own accord."""
    told.site.provider.end_sid(sid)


def by_user(told: Told, sid: str) -> None:
    """Let the provider end all that alice has."""
    told.site.provider.end_user("alice")


def at_the_provider(told: Told, sid: str) -> None:
    """Let the user sign out at the provider itself, by a browser that is not ours."""
    hint = urlencode({"id_token_hint": str(held_session(told.site).id_token)})
    elsewhere = Browser({ISSUER: told.site.provider}, clock=told.site.clock)
    assert elsewhere.navigate(f"{ISSUER}/end_session?{hint}").status == 200


def by_frame(told: Told, sid: str) -> None:
    """Let the provider's page load the frames for a sign-in that has ended."""
    for url in told.site.provider.frontchannel_urls(sid):
        framed(told, url)


def framed(told: Told, url: str) -> Page:
    """Load an address in a frame of the provider's page, and hold the answer against what every one has to be."""
    told.site.browser.navigate(f"{ISSUER}/.well-known/openid-configuration")
    page = told.site.browser.frame(url)
    assert_framable(page)
    return page


def assert_framable(page: Page) -> None:
    """The provider, and nobody else, may show it, and nobody keeps it (Front-Channel Logout 1.0 2; L4)."""
    assert page.status == 200
    assert {"no-cache", "no-store"} <= {part.strip() for part in page.headers["Cache-Control"].split(",")}
    assert "X-Frame-Options" not in page.headers
    policy = [part.strip() for part in page.headers["Content-Security-Policy"].split(";")]
    assert f"frame-ancestors {ISSUER}" in policy
    assert "Set-Cookie" not in page.headers


def assert_answer(answer: Exchange, status: int, code: str = "") -> None:
    """Hold an answer to a logout token against Back-Channel Logout 1.0 2.8."""
    assert (answer.status, answer.headers["Cache-Control"]) == (status, "no-store")
    assert "Set-Cookie" not in answer.headers
    if status == 200:
        assert answer.body == b""
    else:
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(answer.body)["error"] == code


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsers:
    """Two sessions of alice's and one of bob's, with the `sid` of her first."""

    first: Browser
    second: Browser
    bob: Browser
    sid: str

    @property
    def signed_in(self) -> tuple[bool, bool, bool]:
        """Who is signed in, in that order."""
        return is_signed_in(self.first), is_signed_in(self.second), is_signed_in(self.bob)


def three_sessions(told: Told) -> Browsers:
    """Sign in alice twice, then bob."""
    sid = told.sign_in()
    first = told.site.browser
    told.sign_in()
    second = told.site.browser
    told.site.provider.sign_in_as = "bob"
    told.sign_in()
    found = Browsers(first=first, second=second, bob=told.site.browser, sid=sid)
    assert found.signed_in == (True, True, True)
    return found
