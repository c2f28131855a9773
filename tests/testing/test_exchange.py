"""The fake provider's grants without a browser: token exchange (RFC 8693) and client credentials (RFC 6749 4.4)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.oidc.messages import Reply
from gateway.testing import Faults
from testing.raw_client import CLIENT_ID, ISSUER, NOW, Clock, ProofKey, RawClient, error_of, members, raw_client

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ORDERS = "https://orders.example/api"
AUDIENCES = ("orders", ORDERS, "https://stock.example")


def exchange(party: RawClient, token: str, *more: tuple[str, str], proof: str | None = None) -> Reply:
    form = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    changed = dict(more)
    pairs = [pair for pair in form.items() if pair[0] not in changed]
    return party.post("/token", [*pairs, *(pair for pair in more if pair[1] != "-")], proof=proof)


def introspected(party: RawClient, token: str) -> dict[str, Any]:
    return members(party.post("/introspect", {"token": token}))


def test_a_token_is_exchanged_for_one_of_another_audience() -> None:
    party = raw_client(exchange_audiences=AUDIENCES)
    token = party.login()["access_token"]
    answer = members(exchange(party, token, ("audience", "orders"), ("scope", "email")))
    assert answer["access_token"] != token
    assert {name: answer[name] for name in ("issued_token_type", "token_type", "expires_in", "scope")} == {
        "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300, "scope": "email",
    }  # fmt: skip
    assert "refresh_token" not in answer
    assert "id_token" not in answer
    claims = introspected(party, answer["access_token"])
    assert (claims["sub"], claims["aud"], claims["scope"]) == ("subject of alice", "orders", "email")
    assert party.provider.calls[f"token.{EXCHANGE}"] == 1


def test_resources_are_repeatable_and_audiences_join_them() -> None:
    party = raw_client(exchange_audiences=AUDIENCES)
    more = (("resource", ORDERS), ("resource", "https://stock.example"), ("audience", "orders"))
    answer = members(exchange(party, party.login()["access_token"], *more))
    assert introspected(party, answer["access_token"])["aud"] == ["orders", ORDERS, "https://stock.example"]


def test_a_jwt_is_issued_when_one_is_asked_for() -> None:
    party = raw_client(exchange_audiences=AUDIENCES)
    token = party.login()["access_token"]
    answer = members(exchange(party, token, ("audience", "orders"), ("requested_token_type", JWT)))
    header, claims = (
        json.loads(base64.urlsafe_b64decode(part + "==")) for part in answer["access_token"].split(".")[:2]
    )
    assert (answer["issued_token_type"], header["typ"]) == (JWT, "at+jwt")
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (ISSUER, "orders", CLIENT_ID)
    assert introspected(party, answer["access_token"])["active"] is True


def test_an_exchanged_token_is_bound_by_its_own_proof() -> None:
    party, key = raw_client(), ProofKey()
    answer = members(exchange(party, party.login()["access_token"], proof=key.proof(f"{ISSUER}/token")))
    assert answer["token_type"] == "DPoP"
    assert introspected(party, answer["access_token"])["cnf"] == {"jkt": key.jkt}


def test_an_exchanged_token_does_not_outlive_its_subject() -> None:
    clock = Clock()
    party = raw_client(clock=clock)
    token = party.login()["access_token"]
    clock.now = NOW + 200
    assert members(exchange(party, token))["expires_in"] == 100


def test_an_exchanged_token_ends_with_its_grant() -> None:
    party = raw_client()
    tokens = party.login()
    exchanged = members(exchange(party, tokens["access_token"]))["access_token"]
    assert introspected(party, exchanged)["active"] is True
    party.post("/revoke", {"token": tokens["refresh_token"]})
    assert introspected(party, exchanged) == {"active": False}


EXCHANGE_REFUSALS = [
    pytest.param([("subject_token", "unknown")], "invalid_request", id="subject_token"),
    pytest.param([("subject_token", "-")], "invalid_request", id="no-subject_token"),
    pytest.param([("subject_token_type", "-")], "invalid_request", id="no-subject_token_type"),
    pytest.param([("subject_token_type", "urn:x")], "invalid_request", id="subject_token_type"),
    pytest.param([("requested_token_type", "urn:x")], "invalid_request", id="requested_token_type"),
    pytest.param([("actor_token", "t")], "invalid_request", id="actor_token-without-type"),
    pytest.param([("actor_token_type", ACCESS_TOKEN)], "invalid_request", id="actor_token_type-without-token"),
    pytest.param([("audience", "unknown")], "invalid_target", id="audience"),
    pytest.param([("audience", "orders"), ("audience", "unknown")], "invalid_target", id="one-audience-of-two"),
    pytest.param([("resource", "https://unknown.example")], "invalid_target", id="resource"),
    pytest.param([("resource", "orders")], "invalid_target", id="resource-relative"),
    pytest.param([("resource", f"{ORDERS}#f")], "invalid_target", id="resource-fragment"),
    pytest.param([("scope", "openid phone")], "invalid_scope", id="scope-wider"),
]


@pytest.mark.parametrize(("more", "error"), EXCHANGE_REFUSALS)
def test_an_exchange_is_refused(more: list[tuple[str, str]], error: str) -> None:
    party = raw_client(exchange_audiences=AUDIENCES)
    token = party.login()["access_token"]
    assert exchange(party, token, ("audience", "orders")).status == 200
    reply = exchange(party, token, *more)
    assert (reply.status, error_of(reply)) == (400, error)


@pytest.mark.parametrize("worth", ["expired", "revoked", "refresh"])
def test_a_token_that_is_no_live_access_token_is_not_exchanged(worth: str) -> None:
    clock = Clock()
    party = raw_client(clock=clock)
    tokens = party.login()
    assert exchange(party, tokens["access_token"]).status == 200
    if worth == "expired":
        clock.now += 300
    if worth == "revoked":
        party.post("/revoke", {"token": tokens["access_token"]})
    reply = exchange(party, tokens["refresh_token" if worth == "refresh" else "access_token"])
    assert (reply.status, error_of(reply)) == (400, "invalid_request")


@pytest.mark.parametrize("grant_type", [EXCHANGE, "client_credentials"])
def test_a_public_client_may_do_neither(grant_type: str) -> None:
    party = raw_client(method="none")
    reply = party.post("/token", {"grant_type": grant_type})
    assert (reply.status, error_of(reply)) == (400, "unauthorized_client")


def test_an_exchange_answers_what_a_fault_makes_of_it() -> None:
    party = raw_client()
    token = party.login()["access_token"]
    party.provider.faults = Faults(token_exchange=lambda given: {**given, "token_type": "N_A"})
    assert members(exchange(party, token))["token_type"] == "N_A"
    assert party.login()["token_type"] == "Bearer"


def test_a_client_gets_a_token_of_its_own() -> None:
    party = raw_client(client_scopes=("dcr", "read"))
    answer = members(party.post("/token", {"grant_type": "client_credentials", "scope": "dcr"}))
    assert {name: answer.get(name) for name in ("token_type", "expires_in", "scope", "refresh_token", "id_token")} == {
        "token_type": "Bearer", "expires_in": 300, "scope": "dcr", "refresh_token": None, "id_token": None,
    }  # fmt: skip
    claims = introspected(party, answer["access_token"])
    assert (claims["sub"], claims["client_id"], "auth_time" in claims) == (CLIENT_ID, CLIENT_ID, False)
    assert party.userinfo(f"Bearer {answer['access_token']}").status == 401
    assert party.provider.subject_of(answer["access_token"]) is None


def test_a_client_gets_no_scope_of_users() -> None:
    party = raw_client()
    reply = party.post("/token", {"grant_type": "client_credentials", "scope": "dcr openid"})
    assert (reply.status, error_of(reply)) == (400, "invalid_scope")
