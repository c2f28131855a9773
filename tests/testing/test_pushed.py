"""Pushed authorization requests at the fake provider (RFC 9126, P1, P2)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.testing import FakeClient, Faults
from testing.full_client import CALLBACK, CLIENT_ID, Clock, FullClient, answer, full_client, members


def pushed(party: FullClient, **changes: str | None) -> dict[str, str]:
    """Push a request and return the parameters that go to the authorization endpoint."""
    reply = members(party.push(**changes), 201)
    return {"client_id": CLIENT_ID, "request_uri": reply["request_uri"]}


def test_p1_a_pushed_request_is_answered() -> None:
    party = full_client(require_pushed_authorization_requests=True)
    response = answer(party.authorize(pushed(party, state="pushed state")))
    assert response["state"] == "pushed state"
    assert members(party.redeem(response["code"]))["token_type"] == "Bearer"
    assert party.provider.requests == [party.parameters(state="pushed state")]
    assert party.provider.calls["par"] == 1
    assert party.provider.unknown_paths == []


def test_credentials_do_not_become_parameters() -> None:
    party = full_client("private_key_jwt")
    party.authorize(pushed(party))
    assert party.provider.requests == [party.parameters()]


PUSHES = [
    pytest.param({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request", id="P1-request_uri"),
    pytest.param({"client_id": None}, "invalid_request", id="no-client_id"),
    pytest.param({"client_id": "other"}, "invalid_client", id="P2-client_id"),
    pytest.param({"redirect_uri": None}, "invalid_request", id="no-redirect_uri"),
    pytest.param({"redirect_uri": f"{CALLBACK}/"}, "invalid_request", id="P2-redirect_uri"),
    pytest.param({"response_type": "token"}, "unsupported_response_type", id="P2-response_type"),
    pytest.param({"scope": "email"}, "invalid_scope", id="no-openid"),
    pytest.param({"nonce": None}, "invalid_request", id="P2-nonce"),
    pytest.param({"code_challenge": None}, "invalid_request", id="P2-PKCE"),
    pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="P2-plain"),
    pytest.param({"request": "e30.e30."}, "request_not_supported", id="request-without-registration"),
    pytest.param({"dpop_jkt": "short"}, "invalid_request", id="dpop_jkt"),
]


@pytest.mark.parametrize(("change", "error"), PUSHES)
def test_a_push_is_refused(change: dict[str, str | None], error: str) -> None:
    party = full_client()
    assert party.push().status == 201
    beside = {name: None for name in party.parameters() if "request" in change and name != "redirect_uri"}
    refused = members(party.push(**{**beside, **change}), 401 if error == "invalid_client" else 400)
    assert refused["error"] in (error, "invalid_request" if "request" in change else error)
    assert party.provider.requests == []


def test_a_push_is_authenticated() -> None:
    party = full_client()
    assert members(party.post("/par", party.parameters(), authenticated=False), 401)["error"] == "invalid_client"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"state": "s"}, id="P1-state"),
        pytest.param({"scope": "openid"}, id="P1-scope"),
        pytest.param({"redirect_uri": CALLBACK}, id="P1-redirect_uri"),
        pytest.param({"client_id": None}, id="no-client_id"),
        pytest.param({"client_id": "other"}, id="client_id"),
        pytest.param({"request_uri": "urn:ietf:params:oauth:request_uri:guessed"}, id="request_uri"),
    ],
)
def test_p1_only_client_id_and_request_uri_go_with_the_browser(change: dict[str, str | None]) -> None:
    party = full_client()
    sent = {**pushed(party), **change}
    page = party.authorize({name: value for name, value in sent.items() if value is not None})
    assert (page.status, page.headers.get("Location")) == (400, None)
    assert "code" in answer(party.authorize(pushed(party)))


def test_a_request_uri_is_good_once() -> None:
    party = full_client()
    parameters = pushed(party)
    assert "code" in answer(party.authorize(parameters))
    assert party.authorize(parameters).status == 400


def test_a_request_uri_expires() -> None:
    clock = Clock()
    party = full_client(clock=clock, pushed_request_lifetime=30)
    parameters = pushed(party)
    clock.now += 30
    assert party.authorize(parameters).status == 400


def test_a_request_uri_is_good_for_its_client_alone() -> None:
    party = full_client()
    other = FakeClient(client_id="other", client_secret="other", redirect_uris=[CALLBACK])
    party.provider.clients = [*party.provider.clients, other]
    assert party.authorize({**pushed(party), "client_id": "other"}).status == 400


@pytest.mark.parametrize("of", ["provider", "client"])
def test_where_pushing_is_required_nothing_else_counts(of: str) -> None:
    party = full_client()
    assert "code" in answer(party.authorize(party.parameters()))
    if of == "client":
        party.register(require_pushed_authorization_requests=True)
    else:
        party.provider.require_pushed_authorization_requests = True
    assert answer(party.authorize(party.parameters()))["error"] == "invalid_request"
    assert "code" in answer(party.authorize(pushed(party)))


def test_the_answer_to_a_push_can_be_altered() -> None:
    party = full_client()
    party.provider.faults = Faults(pushed_response=lambda _, answered: (200, {**answered, "expires_in": "soon"}))
    assert members(party.push(), 200)["expires_in"] == "soon"


def test_the_sign_in_page_keeps_a_pushed_request() -> None:
    party = full_client(sign_in_as=None)
    page = party.authorize(pushed(party))
    assert page.status == 200
    response = answer(party.browser.submit("alice", follow=False))
    assert response["state"] == "s"
    assert members(party.redeem(response["code"]))["scope"] == "openid email"


def test_the_sign_in_page_is_answered_once() -> None:
    party = full_client(sign_in_as=None)
    party.authorize(party.parameters())
    form = party.browser.history[-1]
    assert "code" in answer(party.browser.submit("alice", follow=False))
    party.browser.history.append(form)
    assert party.browser.submit("alice", follow=False).status == 400


def test_the_metadata_name_the_endpoint() -> None:
    party = full_client(require_pushed_authorization_requests=True)
    metadata: Any = party.browser.get(f"{party.provider.issuer}/.well-known/openid-configuration").json()
    assert metadata["pushed_authorization_request_endpoint"] == f"{party.provider.issuer}/par"
    assert metadata["require_pushed_authorization_requests"] is True
