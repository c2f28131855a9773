"""The whole gateway in process: before an app or an upstream, over one store, with a provider, browsers and a clock."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal, Self
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from lane_face import run_lane
from peers.listener import Answer, Received, run_listener

from gateway import Gateway
from gateway.assembly import Outside
from gateway.backends.base import Backend
from gateway.cookies import session_handles
from gateway.oidc.messages import Transport
from gateway.session import Session
from gateway.telemetry import Silence, Telemetry
from gateway.testing import Browser, FakeClient, FakeProvider, Page
from gateway.trace_context import NO_TRACES, TraceRules

ORIGIN: Final = "https://app.example"
ISSUER: Final = "https://op.example"
CALLBACK: Final = f"{ORIGIN}/oauth2/callback"
SIGN_OUT: Final = f"{ORIGIN}/oauth2/sign_out"
SIGNED_OUT: Final = f"{ORIGIN}/oauth2/signed_out"
SESSION: Final = f"{ORIGIN}/oauth2/session"
SESSION_COOKIE: Final = "__Host-gateway"
RETRY_COOKIE: Final = "__Host-gateway-retry"
TRANSACTION_PREFIX: Final = "__Host-gateway-tx-"
CLIENT_SECRET: Final = "a secret %&+:/;=?#\"'<>\\~ of thirty-two bytes and more"
SECRET: Final = "the first secret of the gateway, for tests alone"
NOW: Final = 1_800_000_000
ALICE: Final[Mapping[str, object]] = {
    "name": "Alice Example",
    "email": "alice@op.example",
    "email_verified": True,
    "phone_number": "+1 555 0100",
    "groups": ["staff", "ops"],
}
BOB: Final[Mapping[str, object]] = {"email": "bob@op.example", "groups": ["guests"]}

FACE_VARIABLE: Final = "GATEWAY_TEST_FACE"
"""When it is `lane`, all that is asked of the gateway in process goes through the lane."""

Mode = Literal["wrapped", "upstream"]
Config = dict[str, Any]
Members = dict[str, object]

EVERYWHERE: Final = pytest.mark.parametrize(
    "site",
    [
        pytest.param((mode, store), id=f"{mode}-{store}", marks=pytest.mark.real("redis") if store == "redis" else ())
        for mode in ("wrapped", "upstream")
        for store in ("memory", "file", "redis")
    ],
    indirect=True,
)
"""For the core journeys: around an app and before an upstream, with each kind of store."""


class Clock:
    """Seconds since the epoch, that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@dataclass(kw_only=True, eq=False)
class Site:
    """A gateway with all that is around it; `received` is what reached the protected app, oldest first."""

    gateway: Gateway
    face: WSGIApplication
    provider: FakeProvider
    browser: Browser
    clock: Clock
    received: list[Received]

    def new_browser(self) -> Browser:
        """Open a browser of another user, without cookies."""
        return Browser({ORIGIN: self.face, ISSUER: self.provider}, clock=self.clock)

    def sign_in(self, path: str = "/home") -> Page:
        """Sign in by asking for a protected page, which the app then answers."""
        page = self.browser.navigate(ORIGIN + path)
        assert (page.status, page.url) == (200, ORIGIN + path), page
        return page

    def restarted(self) -> Self:
        """Replace the browser by one that has no cookies, here or at the provider."""
        self.browser = self.new_browser()
        return self


@contextmanager
def run_site(
    config: Mapping[str, object] | Callable[[FakeProvider], Mapping[str, object]] | None = None,
    *,
    mode: Mode = "wrapped",
    store: Mapping[str, object] | None = None,
    transport: Callable[[FakeProvider], Transport] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    backend: Backend | None = None,
    app: WSGIApplication | None = None,
    telemetry: Telemetry | None = None,
    traces: TraceRules = NO_TRACES,
) -> Iterator[Site]:
    """Run a gateway; `config` is laid over the usual configuration, section by section.

    It may be made by a function that is given the provider, and that may also tell it about the gateway.
    `transport` may put something between gateway and provider, `backend` be the store itself, `app` what is wrapped;
    `telemetry` is told of the gateway's work, `traces` says how the traces of requests begin.
    The provider signs with
    ES256, whose keys cost nothing.
    """
    clock = Clock()
    provider = new_provider(clock)
    over = config(provider) if callable(config) else config or {}
    document = merged(base_config(store or {"type": "memory"}), over)
    outside = Outside(
        transport=transport(provider) if transport else provider.transport,
        backend=backend,
        clock=clock,
        sleep=sleep,
        telemetry=telemetry or Silence(),
        traces=traces,
    )
    received: list[Received] = []
    if mode == "wrapped":
        gateway = Gateway.from_config(document, outside=outside)(app or recording_app(received))
        with face_of(gateway) as face:
            yield site_of(gateway, face, provider, clock, received)
        return
    with run_listener(_answer) as listener:
        gateway = Gateway.from_config({**document, "upstream": listener.origin}, outside=outside)(None)
        with face_of(gateway) as face:
            yield site_of(gateway, face, provider, clock, listener.received)
        for upstream in gateway.upstreams.values():
            upstream.close()


def new_provider(clock: Clock) -> FakeProvider:
    """Make the provider that knows the gateway, alice and bob, and signs in alice without asking."""
    client = FakeClient(
        client_id="app %&+",
        client_secret=CLIENT_SECRET,
        redirect_uris=[CALLBACK],
        post_logout_redirect_uris=[SIGNED_OUT],
    )
    users = {"alice": ALICE, "bob": BOB}
    return FakeProvider(
        issuer=ISSUER, clients=[client], users=users, clock=clock, sign_in_as="alice", id_token_alg="ES256"
    )


def base_config(store: Mapping[str, object]) -> Config:
    """Write the usual configuration."""
    return {
        "public_url": ORIGIN,
        "provider": {
            "issuer": ISSUER,
            "client_id": "app %&+",
            "client_secret": CLIENT_SECRET,
            "scope": "openid profile email address phone offline_access",
            "id_token_signed_response_alg": "ES256",
        },
        "session": {"secret": SECRET, "store": dict(store), "local_cache": 0, "refresh_jitter": 0},
    }


def merged(base: Mapping[str, object], over: Mapping[str, object]) -> Config:
    """Lay one configuration over another, section by section."""
    result: Config = dict(base)
    for key, value in over.items():
        under = result.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping) and key != "store"
        result[key] = merged(under, value) if both else value  # type: ignore[arg-type]
    return result


def recording_app(received: list[Received]) -> Callable[[dict[str, Any], StartResponse], list[bytes]]:
    """Make an app that notes each request, and answers with two cookies of which one is the gateway's."""

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        received.append(
            Received(
                method=environ["REQUEST_METHOD"],
                path=environ["RAW_URI"].partition("?")[0],
                query=environ["QUERY_STRING"],
                headers={_field_name(key): value for key, value in environ.items() if key.startswith("HTTP_")},
                body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or "0")),
            )
        )
        cookies = [("Set-Cookie", f"{SESSION_COOKIE}=planted; Path=/; Secure"), ("Set-Cookie", "flavour=vanilla")]
        start_response("200 OK", [("Content-Type", "text/plain"), *cookies])
        return [f"hello {environ.get('REMOTE_USER', 'nobody')}".encode()]

    return app


def error_code(page: Page) -> str:
    """Read the error code of a page or of a JSON answer."""
    if page.headers["Content-Type"] == "application/json":
        return str(page.json()["error"])
    found = re.search(r"<dt>Code</dt><dd>([a-z0-9_]+)</dd>", page.text)
    return found[1] if found else ""


def unready(page: Page) -> dict[str, str]:
    """List the parts that are not ready by an answer of /ready, with their codes."""
    found: dict[str, str] = {}
    for name, part in page.json().items():
        if name != "ready":
            several = {name: part} if "status" in part else {f"{name} {each}": one for each, one in part.items()}
            found |= {each: one["status"] for each, one in several.items() if one["status"] != "ready"}
    return found


def is_signed_in(browser: Browser) -> bool:
    """Tell whether the gateway lets a script's request to a protected page pass."""
    page = browser.fetch(f"{ORIGIN}/private/data")
    assert page.status in (200, 401), page
    return page.status == 200


def held_session(site: Site) -> Session:
    """Read the session of the site's browser out of the store."""
    header = site.browser.cookies.header(f"{ORIGIN}/")
    held = site.gateway.store.load(session_handles(site.gateway.settings.cookies, header)[0])
    assert held is not None
    return held.session


def own_cookies(browser: Browser) -> dict[str, str]:
    """Return the gateway's cookies, values by name."""
    cookies = browser.cookies.of(ORIGIN)
    return {name: value for name, value in cookies.items() if name.startswith(SESSION_COOKIE)}


def logged_codes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the codes of the failures that the gateway logged, and forget its log."""
    messages = [record.getMessage() for record in caplog.records if record.name == "gateway"]
    caplog.clear()
    return [found[1] for message in messages if (found := re.search(r"': ([a-z0-9_]+)", message))]


def set_cookie_names(page: Page) -> list[str]:
    """List the names of the cookies that an answer sets or deletes."""
    return [line.partition("=")[0] for line in page.headers.getlist("Set-Cookie")]


def pending_callback(browser: Browser, path: str = "/home") -> str:
    """Begin a login, let the provider answer, and return the callback's URL without visiting it."""
    redirect = browser.navigate(ORIGIN + path, follow=False)
    assert redirect.status == 303, redirect
    return browser.navigate(redirect.headers["Location"], follow=False).headers["Location"]


def changed(**claims: object) -> Callable[[Members], Members]:
    """Make a fault that sets claims."""
    return lambda members: {**members, **claims}


def without(*names: str) -> Callable[[Members], Members]:
    """Make a fault that leaves claims out."""
    return lambda members: {name: value for name, value in members.items() if name not in names}


def suffixed(name: str, suffix: str = "1") -> Callable[[Members], Members]:
    """Make a fault that appends to a claim."""
    return lambda members: {**members, name: f"{members[name]}{suffix}"}


def face_of(gateway: Gateway) -> AbstractContextManager[WSGIApplication]:
    """Give what stands for the gateway towards browsers."""
    return run_lane(gateway) if os.environ.get(FACE_VARIABLE) == "lane" else nullcontext(gateway)


def site_of(
    gateway: Gateway, face: WSGIApplication, provider: FakeProvider, clock: Clock, received: list[Received]
) -> Site:
    """Put together what a test talks to."""
    browser = Browser({ORIGIN: face, ISSUER: provider}, clock=clock)
    return Site(gateway=gateway, face=face, provider=provider, browser=browser, clock=clock, received=received)


def _answer(_: Received) -> Answer:
    return Answer(headers={"Set-Cookie": f"{SESSION_COOKIE}=planted; Path=/; Secure"}, body="hello")


def _field_name(key: str) -> str:
    return key.removeprefix("HTTP_").lower().replace("_", "-")
