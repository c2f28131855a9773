"""A provider that answers with a form of its own page, in a real browser: another site's POST must bring the cookie."""

import datetime
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers.browser import run_browser
from peers.servers import free_port
from playwright.sync_api import Page

from gateway import Gateway
from gateway.devtls import localhost_certificate
from gateway.testing import FakeClient, FakeProvider

from .running import CLIENT_ID, CLIENT_SECRET, RING_SECRET, SECONDS, origin_at, run_threads

pytestmark = pytest.mark.real("chromium")

MODES = [
    pytest.param({"response_mode": "form_post"}, id="F1-form_post"),
    pytest.param({"response_mode": "form_post.jwt"}, id="JARM-form_post.jwt"),
    pytest.param({"response_type": "code id_token"}, id="hybrid"),
]


def localhost_tls(directory: Path) -> ssl.SSLContext:
    files = localhost_certificate(directory, datetime.datetime.now(datetime.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


@contextmanager
def run_site(directory: Path, authorization: Mapping[str, str]) -> Iterator[tuple[str, FakeProvider]]:
    """Run a gateway at https://localhost and a provider at http://127.0.0.1, which is another site to the browser."""
    port, provider_port = free_port(), free_port()
    public_url = f"https://localhost:{port}"
    client = FakeClient(
        client_id=CLIENT_ID, client_secret=CLIENT_SECRET, redirect_uris=[f"{public_url}/oauth2/callback"]
    )
    provider = FakeProvider(issuer=origin_at(provider_port), clients=[client], sign_in_as="alice", id_token_alg="ES256")
    gateway = Gateway.from_config(
        {
            "public_url": public_url,
            "provider": {
                "issuer": provider.issuer,
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "id_token_signed_response_alg": "ES256",
                "authorization": dict(authorization),
            },
            "session": {"secret": RING_SECRET, "store": {"type": "memory"}},
        }
    )(greeting)
    with run_threads(provider_port, provider), run_threads(port, gateway, tls=localhost_tls(directory)):
        yield public_url, provider


def greeting(environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html")])
    return [f"<h1>Hello {environ['REMOTE_USER']}</h1>".encode()]


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with run_browser() as browser, browser.new_context(ignore_https_errors=True) as context:
        context.set_default_timeout(SECONDS * 1000)
        yield context.new_page()


@pytest.mark.parametrize("authorization", MODES)
def test_a_form_of_another_site_completes_the_login(
    page: Page, tmp_path: Path, authorization: Mapping[str, str]
) -> None:
    with run_site(tmp_path, authorization) as (public_url, provider):
        page.context.clear_cookies()
        page.goto(f"{public_url}/deep?q=1#here")
        page.wait_for_url(f"{public_url}/deep?q=1*")

        assert page.get_by_role("heading").inner_text() == "Hello alice"
        assert provider.calls["token.authorization_code"] == 1
        kept = {cookie["name"]: cookie for cookie in page.context.cookies(public_url)}
        assert set(kept) == {"__Host-gateway", "__Host-gateway-landing"}
        assert (kept["__Host-gateway"]["sameSite"], kept["__Host-gateway"]["secure"]) == ("Lax", True)
