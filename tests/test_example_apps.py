"""The apps of examples/apps, each through a login at a provider."""

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from wsgiref.types import WSGIApplication

import pytest
from django.test import Client as DjangoClient
from harness import error_code
from processes.running import CLIENT_ID, CLIENT_SECRET, RING_SECRET, run_provider

from gateway.testing import Browser, FakeProvider, session_environ

APPS: Final = Path(__file__).resolve().parent.parent / "examples" / "apps"
ORIGIN: Final = "http://localhost:8000"
USERS: Final = {
    "alice": {"name": "Alice <Example>", "email": "alice@op.example", "groups": ["staff", "admins"]},
    "bob": {"name": "Bob Example", "email": "bob@op.example", "groups": ["guests"]},
}


@contextmanager
def loaded(name: str, attribute: str, environ: dict[str, str]) -> Iterator[WSGIApplication]:
    """Import an example as a server does that is started in its directory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(APPS)
        for variable, value in environ.items():
            patch.setenv(variable, value)
        spec = importlib.util.spec_from_file_location(name, APPS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, name, module)  # Django looks for its urls by the module's name.
        spec.loader.exec_module(module)
        app: WSGIApplication = getattr(module, attribute)
        yield app


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with run_provider([ORIGIN], USERS) as running:
        yield running


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("flask_app", "app"), id="flask"),
        pytest.param(("bottle_app", "application"), id="bottle"),
        pytest.param(("django_app", "application"), id="django"),
        pytest.param(("wsgi_app", "application"), id="wsgi"),
    ],
)
def app(request: pytest.FixtureRequest, provider: FakeProvider) -> Iterator[WSGIApplication]:
    environ = {
        "GATEWAY_PROVIDER__ISSUER": provider.issuer,
        "GATEWAY_PROVIDER__CLIENT_ID": CLIENT_ID,
        "GATEWAY_PROVIDER__CLIENT_SECRET": CLIENT_SECRET,
        "GATEWAY_SESSION__SECRET": RING_SECRET,
        "GATEWAY_SESSION__STORE__TYPE": "memory",
    }
    name, attribute = request.param
    with loaded(name, attribute, environ) as made:
        yield made


@pytest.mark.parametrize("app", [pytest.param(("django_app", "application"), id="django")], indirect=True)
@pytest.mark.parametrize(
    ("user", "path", "status"),
    [
        pytest.param({"groups": ["staff"]}, "/reports", 200, id="in the group"),
        pytest.param({"groups": ["guests"]}, "/reports", 403, id="in another"),
        pytest.param({"claims": {"name": "Bob"}}, "/", 200, id="by claims"),
    ],
)
def test_djangos_client_asks_without_the_gateway(
    app: WSGIApplication, user: dict[str, Any], path: str, status: int
) -> None:
    client = DjangoClient(SERVER_NAME="localhost", **session_environ(**user))
    assert client.get(path).status_code == status


def browser_of(app: WSGIApplication, provider: FakeProvider, user: str) -> Browser:
    browser = Browser({ORIGIN: app, provider.issuer: provider})
    page = browser.navigate(f"{ORIGIN}/oauth2/start?rd=/&login_hint={user}")
    assert (page.status, page.url) == (200, f"{ORIGIN}/"), page.text
    return browser


def test_the_user_is_greeted_by_name(app: WSGIApplication, provider: FakeProvider) -> None:
    browser = browser_of(app, provider, "alice")
    assert "Hello Alice &lt;Example&gt;." in browser.history[-1].text


def test_a_page_for_anyone_knows_who_is_signed_in(app: WSGIApplication, provider: FakeProvider) -> None:
    stranger = Browser({ORIGIN: app, provider.issuer: provider})
    assert stranger.navigate("/public").text == "Hello whoever you are"
    assert browser_of(app, provider, "bob").navigate("/public").text == "Welcome back bob"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param("/reports", "The reports", id="by the view"),
        pytest.param("/admin/users", "The users", id="by the rule"),
    ],
)
def test_a_group_is_required(app: WSGIApplication, provider: FakeProvider, path: str, text: str) -> None:
    assert browser_of(app, provider, "alice").navigate(path).text == text
    refused = browser_of(app, provider, "bob").navigate(path)
    assert (refused.status, text in refused.text) == (403, False)
    assert path == "/reports" or error_code(refused) == "access_denied"


def test_the_link_signs_out(app: WSGIApplication, provider: FakeProvider) -> None:
    browser = browser_of(app, provider, "alice")
    assert 'href="/oauth2/sign_out"' in browser.history[-1].text
    landed = browser.open_link("/oauth2/sign_out")
    assert (landed.status, landed.url.partition("?")[0]) == (200, f"{ORIGIN}/oauth2/signed_out")
    assert browser.fetch("/").status == 401
