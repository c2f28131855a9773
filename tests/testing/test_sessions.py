"""Signed-in users without a login: by the cookie of a session in the real store, or by an environ alone."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from bottle import Bottle
from bottle import request as bottle_request
from flask import Flask
from flask import request as flask_request
from werkzeug.test import Client

from gateway.app import Gateway
from gateway.testing import Browser, FakeProvider, make_session, session_environ, signed_in

RULES: Final[Mapping[str, object]] = {
    "routes": [
        {"path": "/public", "access": "optional"},
        {"path": "/admin", "require": {"claims": {"groups": ["admins"]}}},
    ]
}
FORM: Final = {"Sec-Fetch-Site": "same-origin"}


def seen(environ: Mapping[str, Any]) -> dict[str, Any]:
    session = environ["gateway.session"]
    if session is None:
        return {"user": None}
    groups = session.claims.get("groups")
    return {"user": session.subject, "groups": groups, "remote_user": environ["REMOTE_USER"]}


def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen(environ)).encode()]


def flask_app() -> Flask:
    flask = Flask("tests")
    flask.add_url_rule("/<path:_>", view_func=lambda _: seen(flask_request.environ), methods=["GET", "POST"])
    return flask


def bottle_app() -> Bottle:
    bottle = Bottle()
    bottle.route("/<_:path>", callback=lambda _: seen(bottle_request.environ))
    return bottle


Ask = Callable[..., tuple[int, dict[str, Any]]]
"""Asks for a path by a method, and returns status and JSON."""

Open = Callable[[Callable[..., Gateway], FakeProvider], tuple[Any, Ask, Gateway]]
"""Opens a client of an app behind a gateway."""


def open_browser(protect: Callable[..., Gateway], provider: FakeProvider) -> tuple[Browser, Ask, Gateway]:
    gateway = protect(app, RULES)
    browser = Browser({"https://app.example": gateway, provider.issuer: provider}, clock=provider.clock)

    def ask(path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
        page = browser.fetch(path, method=method, headers={"Accept": "application/json"})
        return page.status, page.json()

    return browser, ask, gateway


def asking(client: Client) -> Ask:
    def ask(path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
        answer = client.open(path, method=method, headers={**FORM, "Accept": "application/json"})
        return answer.status_code, json.loads(answer.data)

    return ask


def open_werkzeug(protect: Callable[..., Gateway], _: FakeProvider) -> tuple[Client, Ask, Gateway]:
    gateway = protect(app, RULES)
    client = Client(gateway)
    return client, asking(client), gateway


def open_flask(protect: Callable[..., Gateway], _: FakeProvider) -> tuple[Client, Ask, Gateway]:
    flask = flask_app()
    gateway = protect(flask.wsgi_app, RULES)
    flask.wsgi_app = gateway  # type: ignore[method-assign]
    client = flask.test_client()
    return client, asking(client), gateway


@pytest.fixture(
    params=[
        pytest.param(open_browser, id="our browser"),
        pytest.param(open_werkzeug, id="werkzeug's client"),
        pytest.param(open_flask, id="Flask's client"),
    ]
)
def opened(
    request: pytest.FixtureRequest, protect: Callable[..., Gateway], fake_provider: FakeProvider
) -> tuple[Any, Ask, Gateway]:
    opens: Open = request.param
    return opens(protect, fake_provider)


@pytest.mark.parametrize(
    ("user", "path", "expected"),
    [
        pytest.param({}, "/home", (200, "alice", None), id="anyone"),
        pytest.param({"sub": "bob", "groups": ["staff"]}, "/home", (200, "bob", ["staff"]), id="somebody in a group"),
        pytest.param({"claims": {"groups": ["ops"]}}, "/home", (200, "alice", ["ops"]), id="by claims"),
        pytest.param({"claims": {"sub": "carol"}}, "/home", (200, "carol", None), id="claims win"),
        pytest.param({"groups": ["admins"]}, "/admin", (200, "alice", ["admins"]), id="what the rule demands"),
        pytest.param({"sub": "zoë"}, "/public", (200, "zoë", None), id="where anyone may"),
    ],
)
def test_the_app_is_asked_by_whom_the_test_says(
    opened: tuple[Any, Ask, Gateway], user: dict[str, Any], path: str, expected: tuple[object, ...]
) -> None:
    client, ask, _ = opened
    assert signed_in(client, **user) is client
    status, shown = ask(path)
    assert (status, shown["user"], shown["groups"]) == expected
    assert shown["remote_user"] == expected[1]


@pytest.mark.parametrize(
    ("groups", "path", "expected"),
    [
        pytest.param(None, "/home", (401, "login_required"), id="nobody"),
        pytest.param(["staff"], "/admin", (403, "access_denied"), id="not in the group"),
    ],
)
def test_the_rules_hold_for_test_users_too(
    opened: tuple[Any, Ask, Gateway], groups: list[str] | None, path: str, expected: tuple[int, str]
) -> None:
    client, ask, _ = opened
    if groups is not None:
        signed_in(client, groups=groups)
        assert ask("/home")[0] == 200
    status, shown = ask(path)
    assert (status, shown["error"]) == expected


def test_a_post_passes_and_the_session_ends_with_a_sign_out(opened: tuple[Any, Ask, Gateway]) -> None:
    client, ask, _ = opened
    signed_in(client)
    assert ask("/home", "POST")[0] == 200
    assert ask("/oauth2/sign_out?local=true", "POST")[0] == 200
    assert ask("/home")[0] == 401


def test_nobody_is_asked(opened: tuple[Any, Ask, Gateway], fake_provider: FakeProvider) -> None:
    fake_provider.down = True
    client, ask, _ = opened
    assert ask("/oauth2/userinfo")[0] == 401
    signed_in(client)
    assert ask("/oauth2/userinfo")[0] == 200
    assert fake_provider.calls == {}


def test_each_client_is_a_user_of_its_own(protect: Callable[..., Gateway]) -> None:
    gateway = protect(app)
    one, other = signed_in(Client(gateway), sub="alice"), signed_in(Client(gateway), sub="bob")
    assert [client.get("/").json["user"] for client in (one, other)] == ["alice", "bob"]  # type: ignore[index]


def test_a_client_is_signed_in_at_the_public_url_too(protect: Callable[..., Gateway]) -> None:
    client = signed_in(Client(protect(app)))
    assert client.get("/", base_url="https://app.example").status_code == 200
    assert client.get("/", base_url="https://other.example", headers={"Accept": "*/*"}).status_code == 401


def test_a_gateway_inside_another_app_is_named(protect: Callable[..., Gateway]) -> None:
    gateway = protect(app)

    def outer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return gateway(environ, start_response)

    assert signed_in(Client(outer), gateway=gateway).get("/").status_code == 200
    with pytest.raises(LookupError, match="gateway="):
        signed_in(Client(outer))


@pytest.mark.parametrize(
    "wrapped",
    [pytest.param(app, id="plain"), pytest.param(flask_app(), id="Flask"), pytest.param(bottle_app(), id="Bottle")],
)
def test_without_a_gateway_werkzeugs_client_says_who_it_is(wrapped: WSGIApplication) -> None:
    answer = Client(wrapped).get("/home", environ_overrides=session_environ(sub="bob", groups=["staff"]))
    assert answer.json == {"user": "bob", "groups": ["staff"], "remote_user": "bob"}


def test_an_environ_is_as_the_gateway_makes_it(protect: Callable[..., Gateway]) -> None:
    received: list[dict[str, Any]] = []

    def noting(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        received.append(environ)
        return app(environ, start_response)

    gateway = protect(noting)
    signed_in(Client(gateway)).get("/")
    made = session_environ()
    assert made.keys() <= received[0].keys()
    assert {name: type(value) for name, value in made.items()} == {name: type(received[0][name]) for name in made}
    assert (made["REMOTE_USER"], made["AUTH_TYPE"]) == (received[0]["REMOTE_USER"], received[0]["AUTH_TYPE"])


def test_a_session_for_a_unit_test_holds_what_it_was_given() -> None:
    session = make_session(sub="bob", groups=["staff"], claims={"name": "Bob", "email": "bob@op.example"})
    assert (session.subject, session.claims["groups"], session.claims["name"]) == ("bob", ["staff"], "Bob")
    assert "access token" not in repr(session)
