"""Sign-ins that do not last, in Chromium: it shows our page with the cause, and never gives up with one of its own."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse

import pytest
import requests
from peers.listener import Answer, Received, run_listener
from peers.servers import LOOPBACK, NGINX_HTTP_PATHS, free_port, run_nginx
from playwright.sync_api import Browser, Page, expect

from .running import (
    COOKIE,
    SECONDS,
    Face,
    environment,
    origin_at,
    run_gateway,
    run_provider,
    run_threads,
)

USERS = {"alice": {"email": "alice@op.example", "email_verified": True}}

SetUp = Callable[[ExitStack, Path, Face], str]

pytestmark = pytest.mark.real("chromium", "nginx")


class Proxy:
    """A proxy before a gateway that loses the session's cookie until it is mended."""

    def __init__(self, gateway: str) -> None:
        self.gateway = gateway
        self.is_mended = False

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        url = f"{self.gateway}{environ['RAW_URI']}"
        with requests.Session() as client:
            client.trust_env = False
            fields = dict(self._fields(environ))
            answer = client.get(url, headers=fields, allow_redirects=False, timeout=SECONDS)
        lines = [(name, value) for name, value in answer.raw.headers.items() if self._passes(name, value)]
        start_response(f"{answer.status_code} {answer.reason}", [*lines, ("Content-Length", str(len(answer.content)))])
        return [answer.content]

    def _passes(self, name: str, value: str) -> bool:
        if name.lower() in ("connection", "transfer-encoding", "content-length", "date", "server"):
            return False
        return self.is_mended or not value.startswith(f"{COOKIE}=")

    def _fields(self, environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for key, value in environ.items():
            if key.startswith("HTTP_") and key not in ("HTTP_CONNECTION", "HTTP_ACCEPT_ENCODING"):
                yield key.removeprefix("HTTP_").replace("_", "-"), value


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context() as context:
        context.set_default_timeout(SECONDS * 1000)
        yield context.new_page()


def two_names(stack: ExitStack, directory: Path, face: Face) -> str:
    """Have an application send its pages to the same gateway by another name."""
    port = free_port()

    def answer(received: Received) -> Answer:
        return Answer(status=302, headers={"Location": f"{origin_at(port, 'localhost')}{received.path}"})

    upstream = stack.enter_context(run_listener(answer))
    gateway(stack, directory, face, {"UPSTREAM": upstream.origin}, port=port, public_port=port)
    return origin_at(port)


def two_stores(stack: ExitStack, directory: Path, face: Face) -> str:
    """Have nginx send callbacks to one gateway and all else to another, each with sessions of its own."""
    public_port = free_port()
    upstream = stack.enter_context(run_listener())
    issuer = stack.enter_context(run_provider([origin_at(public_port)], USERS)).issuer
    ports = []
    for name in ("callbacks", "rest"):
        (directory / name).mkdir()
        settings = {"UPSTREAM": upstream.origin}
        ports.append(gateway(stack, directory / name, face, settings, public_port=public_port, issuer=issuer))
    stack.enter_context(run_nginx(by_path(public_port, *ports), directory))
    return origin_at(public_port)


@pytest.mark.parametrize(
    ("set_up", "code"),
    [
        pytest.param(two_names, "login_loop_host", id="the-application-leads-to-another-name"),
        pytest.param(two_stores, "login_loop_store_split", id="each-gateway-has-a-store-of-its-own"),
    ],
)
def test_the_browser_shows_our_page_with_the_cause(
    page: Page, face: Face, tmp_path: Path, set_up: SetUp, code: str
) -> None:
    with ExitStack() as stack:
        page.goto(f"{set_up(stack, tmp_path, face)}/reports?a=1")
        expect(page.get_by_text(code, exact=True)).to_be_visible()


def test_after_the_mend_the_page_leads_to_the_application(page: Page, face: Face, tmp_path: Path) -> None:
    with ExitStack() as stack:
        upstream = stack.enter_context(run_listener())
        port, public_port = free_port(), free_port()
        gateway(stack, tmp_path, face, {"UPSTREAM": upstream.origin}, port=port, public_port=public_port)
        proxy = Proxy(origin_at(port))
        stack.enter_context(run_threads(public_port, proxy))

        page.goto(f"{origin_at(public_port)}/reports?a=1")
        expect(page.get_by_text("login_loop_cookie_lost", exact=True)).to_be_visible()
        with page.expect_navigation():
            page.get_by_role("link", name="Sign in again").click()
        expect(page.get_by_text("login_loop_cookie_lost", exact=True)).to_be_visible()
        assert upstream.received_at("/reports") == []

        proxy.is_mended = True
        page.get_by_role("link", name="Sign in again").click()
        expect(page.get_by_text("Landed.")).to_be_visible()
        assert page.url == f"{origin_at(public_port)}/reports?a=1"


def gateway(
    stack: ExitStack,
    directory: Path,
    face: Face,
    settings: Mapping[str, str],
    *,
    public_port: int,
    port: int = 0,
    issuer: str = "",
) -> int:
    """Run a gateway for what browsers reach at a port, with a provider of its own where none is named."""
    public_url, port = origin_at(public_port), port or free_port()
    issuer = issuer or stack.enter_context(run_provider([public_url], USERS)).issuer
    stack.enter_context(run_gateway(directory, port, environment(public_url, issuer, settings), face=face))
    return port


def by_path(public_port: int, callbacks: int, rest: int) -> str:
    """Configure nginx to choose the gateway by the path."""
    return f"""
    events {{}}
    http {{{NGINX_HTTP_PATHS}
        server {{
            listen {LOOPBACK}:{public_port};
            proxy_set_header Host $http_host;
            location / {{ proxy_pass {origin_at(rest)}; }}
            location /oauth2/callback {{ proxy_pass {origin_at(callbacks)}; }}
        }}
    }}
    """
