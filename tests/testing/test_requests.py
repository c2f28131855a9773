"""What the fake provider takes as an authorization request, and what comes of it (H7, H10 to H12)."""

from __future__ import annotations

import json

import pytest

from testing.full_client import ISSUER, NOW, Clock, FullClient, answer, full_client, members

REFUSED = [
    pytest.param({"response_type": "id_token code token"}, "unsupported_response_type", id="response_type-token"),
    pytest.param({"response_type": None}, "unsupported_response_type", id="no-response_type"),
    pytest.param({"response_type": "code id_token"}, "invalid_request", id="hybrid-by-fragment"),
    pytest.param({"response_type": "code id_token", "response_mode": "query"}, "invalid_request", id="hybrid-by-query"),
    pytest.param({"response_type": "code id_token", "response_mode": "jwt"}, "invalid_request", id="hybrid-by-jwt"),
    pytest.param({"response_mode": "fragment.jwt"}, "invalid_request", id="fragment.jwt"),
    pytest.param({"response_mode": "web_message"}, "invalid_request", id="response_mode"),
    pytest.param({"prompt": "create"}, "invalid_request", id="prompt"),
    pytest.param({"prompt": ""}, "invalid_request", id="prompt-empty"),
    pytest.param({"max_age": "1.5"}, "invalid_request", id="max_age"),
    pytest.param({"acr_values": " "}, "invalid_request", id="acr_values"),
    pytest.param({"id_token_hint": "e30.e30.e30"}, "invalid_request", id="id_token_hint"),
    pytest.param({"state": "é"}, "invalid_request", id="state"),
    pytest.param({"dpop_jkt": "short"}, "invalid_request", id="dpop_jkt"),
    pytest.param({"claims": "{"}, "invalid_request", id="H12-no-JSON"),
    pytest.param({"claims": "[]"}, "invalid_request", id="H12-array"),
    pytest.param({"claims": '{"userinfo": []}'}, "invalid_request", id="H12-place"),
    pytest.param({"claims": '{"id_token": {"acr": "1"}}'}, "invalid_request", id="H12-text"),
    pytest.param({"claims": '{"id_token": {"acr": {"essential": "true"}}}'}, "invalid_request", id="H12-essential"),
    pytest.param({"claims": '{"id_token": {"acr": {"values": "1"}}}'}, "invalid_request", id="H12-values"),
    pytest.param({"resource": "relative"}, "invalid_target", id="resource-relative"),
    pytest.param({"resource": "https://api.example/#part"}, "invalid_target", id="resource-fragment"),
    pytest.param({"resource": "https://["}, "invalid_target", id="resource-broken"),
    pytest.param({"claims": "[" * 20_000}, "invalid_request", id="H12-nested"),
    pytest.param({"authorization_details": "[" * 20_000}, "invalid_authorization_details", id="details-nested"),
    pytest.param({"authorization_details": "{}"}, "invalid_authorization_details", id="details-object"),
    pytest.param({"authorization_details": "[]"}, "invalid_authorization_details", id="details-empty"),
    pytest.param({"authorization_details": "[1]"}, "invalid_authorization_details", id="details-numbers"),
    pytest.param({"authorization_details": '[{"actions": []}]'}, "invalid_authorization_details", id="no-type"),
    pytest.param({"authorization_details": '[{"type": 1}]'}, "invalid_authorization_details", id="type"),
]


@pytest.mark.parametrize(("change", "error"), REFUSED)
def test_a_request_is_refused_by_the_query_and_when_it_is_pushed(change: dict[str, str | None], error: str) -> None:
    party = full_client()
    refused = answer(party.authorize(party.parameters(**change)))
    assert (refused["error"], refused["iss"]) == (error, ISSUER)
    assert members(party.push(**change), 400)["error"] == error
    assert "code" in answer(party.authorize(party.parameters()))


def test_what_reached_the_authorization_endpoint_is_kept() -> None:
    party = full_client()
    party.authorize(party.parameters(ui_locales="de"))
    party.authorize(party.parameters(scope="email"))
    assert party.provider.requests == [party.parameters(ui_locales="de"), party.parameters(scope="email")]


def test_h12_unknown_members_of_claims_are_noted() -> None:
    party = full_client()
    claims = {"access_token": {}, "userinfo": {"email": {"essential": True, "purpose": "to write"}}}
    assert "code" in answer(party.authorize(party.parameters(claims=json.dumps(claims))))
    assert party.provider.warnings == [
        "claims has an unknown member access_token", "claim email has an unknown member purpose",
    ]  # fmt: skip


def test_claims_that_are_asked_for_are_given() -> None:
    party = full_client()
    claims = json.dumps({"userinfo": {"email": None}, "id_token": {"email": {"essential": True}, "unheard": None}})
    tokens = party.tokens(scope="openid", claims=claims)
    assert party.verified(tokens["id_token"], "ES256")["email"] == "alice@op.example"
    assert members(party.userinfo(tokens["access_token"]))["email"] == "alice@op.example"
    plain = party.tokens(scope="openid")
    assert "email" not in members(party.userinfo(plain["access_token"]))


def audience_of(party: FullClient, access_token: str) -> object:
    return members(party.post("/introspect", {"token": access_token}))["aud"]


def test_a_resource_becomes_the_audience() -> None:
    """RFC 8707 2.2: a token request may narrow it down, and not beyond what was granted."""
    party = full_client()
    both = "https://api.example/ https://other.example/"
    url = "&".join(f"resource={one}" for one in both.split())
    page = party.browser.navigate(f"{party.authorize(party.parameters()).url}&{url}", follow=False)
    assert party.provider.requests[-1]["resource"] == both
    tokens = members(party.redeem(answer(page)["code"]))
    assert audience_of(party, tokens["access_token"]) == both.split()
    one = members(party.refreshed(tokens["refresh_token"], resource="https://api.example/"))
    assert audience_of(party, one["access_token"]) == "https://api.example/"
    refused = party.refreshed(one["refresh_token"], resource="https://evil.example/")
    assert members(refused, 400)["error"] == "invalid_target"


def test_resources_and_details_may_be_limited_to_those_that_the_provider_knows() -> None:
    party = full_client(resources=["https://api.example/"], authorization_details_types=["account"])
    known = {"resource": "https://api.example/", "authorization_details": '[{"type": "account"}]'}
    assert "code" in answer(party.authorize(party.parameters(**known)))
    other = party.parameters(resource="https://other.example/")
    assert answer(party.authorize(other))["error"] == "invalid_target"
    payment = party.parameters(authorization_details='[{"type": "payment"}]')
    assert answer(party.authorize(payment))["error"] == "invalid_authorization_details"


def test_authorization_details_come_back_with_the_tokens() -> None:
    """RFC 9396 7."""
    details = [{"type": "account", "actions": ["read"]}]
    tokens = full_client().tokens(authorization_details=json.dumps(details))
    assert tokens["authorization_details"] == details


ACRS = [
    pytest.param({}, ["bronze", "gold"], "bronze", id="default"),
    pytest.param({"acr_values": "gold bronze"}, ["bronze", "gold"], "gold", id="first-choice"),
    pytest.param({"acr_values": "platinum gold"}, ["bronze", "gold"], "gold", id="second-choice"),
    pytest.param({"acr_values": "platinum"}, ["bronze", "gold"], "bronze", id="voluntary"),
    pytest.param({"acr_values": "any"}, None, "any", id="all-supported"),
    pytest.param({}, None, None, id="none"),
    pytest.param(
        {"claims": '{"id_token": {"acr": {"essential": true, "values": ["gold"]}}}'}, ["bronze", "gold"], "gold",
        id="essential",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "supported", "acr"), ACRS)
def test_the_class_of_authentication_is_honest(asked: dict[str, str], supported: object, acr: str | None) -> None:
    party = full_client(acrs_supported=supported)
    assert party.verified(party.tokens(**asked)["id_token"], "ES256").get("acr") == acr


def test_an_essential_class_that_cannot_be_had_is_an_error() -> None:
    party = full_client(acrs_supported=["bronze"])
    claims = '{"id_token": {"acr": {"essential": true, "value": "gold"}}}'
    assert answer(party.authorize(party.parameters(claims=claims)))["error"] == "unmet_authentication_requirements"


AGAIN = [
    pytest.param({"acr_values": "gold"}, True, id="stronger"),
    pytest.param({"acr_values": "bronze"}, False, id="as-strong"),
    pytest.param({"prompt": "login"}, True, id="prompt-login"),
    pytest.param({"max_age": "9"}, True, id="max_age-passed"),
    pytest.param({"max_age": "0"}, True, id="max_age-zero"),
    pytest.param({"max_age": "11"}, False, id="max_age-left"),
    pytest.param({}, False, id="as-before"),
]


@pytest.mark.parametrize(("asked", "again"), AGAIN)
def test_who_is_signed_in_signs_in_again_where_that_is_asked_for(asked: dict[str, str], again: bool) -> None:
    clock = Clock()
    party = full_client(acrs_supported=["bronze", "gold"], clock=clock)
    party.tokens()
    clock.now += 10
    claims = party.verified(party.tokens(**asked)["id_token"], "ES256")
    assert claims["auth_time"] == NOW + (10 if again else 0)
    assert claims["acr"] == ("gold" if asked.get("acr_values") == "gold" else "bronze")


def test_prompt_none_does_not_step_up() -> None:
    party = full_client(acrs_supported=["bronze", "gold"], sign_in_as=None)
    party.authorize(party.parameters())
    assert "code" in answer(party.browser.submit("alice", follow=False))
    assert "code" in answer(party.authorize(party.parameters(prompt="none")))
    stronger = party.authorize(party.parameters(prompt="none", acr_values="gold"))
    assert answer(stronger)["error"] == "login_required"
