"""The fake provider's dynamic registration (RFC 7591, RFC 7592; CONFORMANCE D6, H3, H13)."""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.oidc.messages import Call, Reply, base64url
from gateway.testing import Faults
from testing.raw_client import (
    CALLBACK,
    ISSUER,
    NOW,
    Clock,
    ProofKey,
    RawClient,
    basic,
    error_of,
    members,
    raw_client,
)

HONEST: dict[str, Any] = {"redirect_uris": [CALLBACK], "client_name": "An app"}
JWK = {**ProofKey().jwk, "kid": "one", "use": "sig"}
KEYS = {"keys": [JWK, {**ProofKey().jwk, "kid": "two"}]}
CERTIFICATE = b"the octets of a certificate"


def register(party: RawClient, metadata: object, token: str | None = None) -> Reply:
    headers = {"Content-Type": "application/json", **({} if token is None else {"Authorization": f"Bearer {token}"})}
    return party.send("POST", "/register", headers=headers, body=json.dumps(metadata).encode("utf-8"))


def manage(
    party: RawClient, registered: Mapping[str, Any], method: str = "GET", metadata: object = None, **change: str
) -> Reply:
    told = {**registered, **change}
    headers = {"Authorization": f"Bearer {told['registration_access_token']}", "Content-Type": "application/json"}
    body = b"" if metadata is None else json.dumps(metadata).encode("utf-8")
    return party.provider.transport(
        Call(method=method, url=told["registration_client_uri"], headers=headers, body=body)
    )


def registered_client(party: RawClient, metadata: Mapping[str, Any]) -> tuple[dict[str, Any], RawClient]:
    reply = register(party, {**HONEST, **metadata})
    assert reply.status == 201, reply.body
    told = members(reply)
    client = party.provider.client(told["client_id"])
    assert client is not None
    return told, RawClient(provider=party.provider, client=client)


def test_a_registered_client_works_at_once() -> None:
    told, client = registered_client(raw_client(), {})
    assert set(told) - {"client_name", "grant_types", "redirect_uris", "response_types", "x_unknown"} == {
        "client_id", "client_secret", "client_id_issued_at", "registration_access_token", "registration_client_uri",
        "token_endpoint_auth_method",
    }  # fmt: skip
    assert told["token_endpoint_auth_method"] == "client_secret_basic"
    assert client.login()["token_type"] == "Bearer"
    assert client.client.client_secret == told["client_secret"]


@pytest.mark.parametrize("member", ["client_id", "client_secret"])
def test_what_is_given_is_hard_to_encode(member: str) -> None:
    """H3."""
    value = members(register(raw_client(), HONEST))[member]
    assert set(" %&+:/;") <= set(value) <= {" ", *string.digits, *string.ascii_letters, *string.punctuation}


@pytest.mark.parametrize(
    ("lifetime", "said"),
    [
        pytest.param(None, None, id="H13-not-said"),
        pytest.param(0, 0, id="never"),
        pytest.param(60, NOW + 60, id="soon"),
    ],
)
def test_the_end_of_a_secret_is_said_when_asked_for(lifetime: int | None, said: int | None) -> None:
    told = members(register(raw_client(client_secret_lifetime=lifetime), HONEST))
    assert told.get("client_secret_expires_at") == said


def test_a_secret_ends_and_a_reading_brings_a_new_one() -> None:
    clock = Clock()
    told, client = registered_client(raw_client(client_secret_lifetime=60, clock=clock), {})
    assert client.login()
    clock.now += 60
    assert error_of(client.redeem(client.code())) == "invalid_client"
    read = members(manage(client, told))
    assert (read["client_secret"] != told["client_secret"], read["client_secret_expires_at"]) == (True, NOW + 120)
    client.client = replace(client.client, client_secret=read["client_secret"])
    assert client.login()


def test_a_client_without_a_secret_gets_none() -> None:
    told, client = registered_client(raw_client(), {"token_endpoint_auth_method": "none"})
    assert "client_secret" not in told
    assert client.login()


def test_what_is_registered_counts() -> None:
    asked = {"dpop_bound_access_tokens": True, "jwks": KEYS, "id_token_signed_response_alg": "ES256"}
    told, client = registered_client(raw_client(), asked)
    assert {name: told[name] for name in asked} == asked
    assert (client.client.jwks, client.client.id_token_signed_response_alg) == (KEYS, "ES256")
    assert error_of(client.redeem(client.code())) == "invalid_dpop_proof"
    assert client.login(ProofKey())["token_type"] == "DPoP"


def test_unknown_members_are_ignored_and_not_repeated() -> None:
    unknown = {"x_of_the_client": 1, "client_name#de": "Eine App", "tos_uri": None}
    told = members(register(raw_client(), {**HONEST, **unknown}))
    assert told["client_name"] == "An app"
    assert set(unknown) & set(told) == set()


METADATA_REFUSALS = [
    pytest.param({"redirect_uris": None}, "invalid_redirect_uri", id="D6-no-redirect_uris"),
    pytest.param({"redirect_uris": []}, "invalid_redirect_uri", id="D6-redirect_uris-empty"),
    pytest.param({"redirect_uris": CALLBACK}, "invalid_redirect_uri", id="D6-redirect_uris-text"),
    pytest.param({"redirect_uris": [f"{CALLBACK}#f"]}, "invalid_redirect_uri", id="D6-redirect_uri-fragment"),
    pytest.param({"redirect_uris": [f"{CALLBACK}#"]}, "invalid_redirect_uri", id="D6-redirect_uri-empty-fragment"),
    pytest.param({"redirect_uris": ["/callback"]}, "invalid_redirect_uri", id="redirect_uri-relative"),
    pytest.param({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri", id="redirect_uri-script"),
    pytest.param({"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri", id="redirect_uri-http"),
    pytest.param({"redirect_uris": [CALLBACK, 1]}, "invalid_redirect_uri", id="redirect_uri-number"),
    pytest.param({"redirect_uris": ["https://["]}, "invalid_redirect_uri", id="redirect_uri-malformed"),
    pytest.param({"logo_uri": "logo.png"}, "invalid_client_metadata", id="D6-logo_uri"),
    pytest.param({"client_uri": "https://a b/"}, "invalid_client_metadata", id="D6-client_uri"),
    pytest.param({"policy_uri": "ftp://a.example/"}, "invalid_client_metadata", id="D6-policy_uri"),
    pytest.param({"tos_uri": 1}, "invalid_client_metadata", id="D6-tos_uri"),
    pytest.param({"subject_type": "pairwise"}, "invalid_client_metadata", id="D6-subject_type"),
    pytest.param({"id_token_encrypted_response_enc": "A128GCM"}, "invalid_client_metadata", id="D6-enc-without-alg"),
    pytest.param({"id_token_encrypted_response_alg": "ECDH-ES"}, "invalid_client_metadata", id="encrypted-without-key"),
    pytest.param({"id_token_encrypted_response_alg": "RSA1_5", "jwks": KEYS}, "invalid_client_metadata", id="RSA1_5"),
    pytest.param({"id_token_signed_response_alg": "none"}, "invalid_client_metadata", id="alg-none"),
    pytest.param({"jwks": KEYS, "jwks_uri": f"{CALLBACK}/jwks"}, "invalid_client_metadata", id="D6-jwks-and-jwks_uri"),
    pytest.param({"jwks_uri": f"{CALLBACK}/jwks"}, "invalid_client_metadata", id="jwks_uri-not-readable"),
    pytest.param({"jwks": {"keys": [JWK, JWK]}}, "invalid_client_metadata", id="D6-kid-twice"),
    pytest.param({"jwks": {"keys": [{**JWK, "kid": None}]}}, "invalid_client_metadata", id="P4-no-kid"),
    pytest.param({"jwks": {"keys": []}}, "invalid_client_metadata", id="jwks-empty"),
    pytest.param({"jwks": [JWK]}, "invalid_client_metadata", id="jwks-array"),
    pytest.param({"jwks": {"keys": [JWK, "text"]}}, "invalid_client_metadata", id="jwk-text"),
    pytest.param({"jwks": {"keys": [{**JWK, "d": "AA"}]}}, "invalid_client_metadata", id="jwks-private"),
    pytest.param({"jwks": {"keys": [{**JWK, "x5c": ["!"]}]}}, "invalid_client_metadata", id="x5c"),
    pytest.param({"token_endpoint_auth_method": "password"}, "invalid_client_metadata", id="D6-method"),
    pytest.param({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata", id="no-key"),
    pytest.param({"token_endpoint_auth_method": "tls_client_auth"}, "invalid_client_metadata", id="no-name"),
    pytest.param({"tls_client_auth_subject_dn": "CN=a"}, "invalid_client_metadata", id="name-without-method"),
    pytest.param({"grant_types": ["implicit"]}, "invalid_client_metadata", id="grant_type"),
    pytest.param({"response_types": ["token"]}, "invalid_client_metadata", id="response_type"),
    pytest.param({"grant_types": ["client_credentials"]}, "invalid_client_metadata", id="redirect-without-grant"),
    pytest.param({"contacts": "me"}, "invalid_client_metadata", id="contacts"),
    pytest.param({"dpop_bound_access_tokens": "true"}, "invalid_client_metadata", id="switch-text"),
    pytest.param({"software_statement": "e30.e30."}, "invalid_software_statement", id="software_statement"),
]


@pytest.mark.parametrize(("change", "error"), METADATA_REFUSALS)
def test_metadata_are_refused(change: dict[str, Any], error: str) -> None:
    party = raw_client()
    assert register(party, HONEST).status == 201
    known = len(party.provider.clients)
    reply = register(party, {**HONEST, **change})
    assert (reply.status, error_of(reply)) == (400, error)
    assert len(party.provider.clients) == known


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, id="form"),
        pytest.param({"Content-Type": "application/json"}, id="not-json"),
    ],
)
def test_what_is_no_json_object_is_refused(headers: dict[str, str]) -> None:
    party = raw_client()
    reply = party.send("POST", "/register", headers=headers, body=b"redirect_uris=x")
    assert (reply.status, error_of(reply)) == (400, "invalid_client_metadata")
    assert error_of(register(party, [HONEST])) == "invalid_client_metadata"


def test_an_initial_token_is_needed_when_that_is_set() -> None:
    party = raw_client(initial_access_tokens=True)
    token = members(party.post("/token", {"grant_type": "client_credentials", "scope": "dcr"}))["access_token"]
    login = party.login()["access_token"]
    nobody, wrong = register(party, HONEST), register(party, HONEST, login)
    assert (nobody.status, error_of(nobody)) == (401, "invalid_token")
    assert nobody.headers["www-authenticate"].startswith("Bearer ")
    assert (wrong.status, error_of(wrong)) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in wrong.headers["www-authenticate"]
    assert register(party, HONEST, token).status == 201
    party.post("/revoke", {"token": token})
    assert register(party, HONEST, token).status == 401


TEMPLATE = {"client_name": "Templated", "token_endpoint_auth_method": "none", "dpop_bound_access_tokens": True}


def test_a_template_completes_what_is_asked() -> None:
    party = raw_client(software_templates={"the-app": TEMPLATE})
    told = members(register(party, {"software_id": "the-app", "redirect_uris": [CALLBACK]}))
    assert {name: told[name] for name in TEMPLATE} == TEMPLATE
    assert (told["software_id"], told["redirect_uris"], "client_secret" in told) == ("the-app", [CALLBACK], False)


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        pytest.param({"dpop_bound_access_tokens": False}, "invalid_client_metadata", id="more-than-redirect_uris"),
        pytest.param({"redirect_uris": None}, "invalid_redirect_uri", id="no-redirect_uris"),
    ],
)
def test_a_template_lets_nothing_else_in(asked: dict[str, Any], error: str) -> None:
    party = raw_client(software_templates={"the-app": TEMPLATE})
    reply = register(party, {"software_id": "the-app", "redirect_uris": [CALLBACK], **asked})
    assert (reply.status, error_of(reply)) == (400, error)


def test_a_software_id_without_a_template_is_a_member_like_others() -> None:
    told = members(register(raw_client(), {**HONEST, "software_id": "another"}))
    assert (told["software_id"], told["client_name"]) == ("another", "An app")


def test_the_keys_of_a_jwks_uri_are_read() -> None:
    uri = "https://app.example/oauth2/jwks.json"
    party = raw_client(read_jwks={uri: KEYS}.__getitem__)
    _, client = registered_client(party, {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri})
    assert client.client.jwks == KEYS


def test_certificates_follow_from_the_registration() -> None:
    """RFC 8705 2.1.2 and 2.2.2."""
    party = raw_client(presented_certificate="thumbprint")
    by_name = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=app"}
    by_key = {
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "jwks": {"keys": [{**JWK, "x5c": [base64.b64encode(CERTIFICATE).decode("ascii")]}]},
    }
    hashed = base64url(hashlib.sha256(CERTIFICATE).digest())
    assert registered_client(party, by_name)[1].client.certificate_thumbprint == "thumbprint"
    assert registered_client(party, by_key)[1].client.certificate_thumbprint == hashed
    assert registered_client(party, {})[1].client.certificate_thumbprint == ""


def test_a_registration_is_read() -> None:
    told, client = registered_client(raw_client(), {})
    reply = manage(client, told)
    assert (reply.status, members(reply)) == (200, told)


def test_a_registration_is_replaced_as_a_whole() -> None:
    """RFC 7592 2.2."""
    told, client = registered_client(raw_client(), {})
    update = {
        "client_id": told["client_id"],
        "client_secret": told["client_secret"],
        "redirect_uris": [f"{CALLBACK}/2"],
    }
    answer = members(manage(client, told, "PUT", update))
    assert (answer["redirect_uris"], answer["client_secret"]) == ([f"{CALLBACK}/2"], told["client_secret"])
    assert "client_name" not in answer
    replaced = client.provider.client(told["client_id"])
    assert replaced is not None
    assert replaced.redirect_uris == [f"{CALLBACK}/2"]


UPDATE_REFUSALS = [
    pytest.param({"client_id": "another"}, "invalid_client_metadata", id="client_id"),
    pytest.param({"client_id": None}, "invalid_client_metadata", id="no-client_id"),
    pytest.param({"client_secret": "another"}, "invalid_client_metadata", id="client_secret"),
    pytest.param({"registration_access_token": "t"}, "invalid_client_metadata", id="registration_access_token"),
    pytest.param({"registration_client_uri": "u"}, "invalid_client_metadata", id="registration_client_uri"),
    pytest.param({"client_id_issued_at": 1}, "invalid_client_metadata", id="client_id_issued_at"),
    pytest.param({"client_secret_expires_at": 0}, "invalid_client_metadata", id="client_secret_expires_at"),
    pytest.param({"redirect_uris": []}, "invalid_redirect_uri", id="redirect_uris"),
]


@pytest.mark.parametrize(("change", "error"), UPDATE_REFUSALS)
def test_an_update_is_refused(change: dict[str, Any], error: str) -> None:
    told, client = registered_client(raw_client(), {})
    honest = {**HONEST, "client_id": told["client_id"]}
    assert manage(client, told, "PUT", honest).status == 200
    reply = manage(client, told, "PUT", {**honest, **change})
    assert (reply.status, error_of(reply)) == (400, error)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("whose", ["nobody", "another"])
def test_a_registration_obeys_its_own_token_alone(method: str, whose: str) -> None:
    party = raw_client()
    told, client = registered_client(party, {})
    other, _ = registered_client(party, {})
    token = {"nobody": "unknown", "another": other["registration_access_token"]}[whose]
    body = None if method != "PUT" else {**HONEST, "client_id": told["client_id"]}
    reply = manage(client, told, method, body, registration_access_token=token)
    assert (reply.status, error_of(reply)) == (401, "invalid_token")
    assert manage(client, told).status == 200


def test_a_deleted_client_is_gone_with_its_tokens() -> None:
    """RFC 7592 2.3."""
    party = raw_client()
    told, client = registered_client(party, {})
    tokens = client.login()
    reply = manage(client, told, "DELETE")
    assert (reply.status, reply.body) == (204, b"")
    assert party.provider.client(told["client_id"]) is None
    assert not party.provider.is_active(tokens["access_token"])
    assert not party.provider.is_active(tokens["refresh_token"])
    assert manage(client, told).status == 401
    assert error_of(client.refresh(tokens["refresh_token"])) == "invalid_client"
    assert party.login()


def test_a_registration_token_is_replaced_when_that_is_set() -> None:
    told, client = registered_client(raw_client(rotate_registration_tokens=True), {})
    read = members(manage(client, told))
    assert read["registration_access_token"] != told["registration_access_token"]
    assert manage(client, told).status == 401
    assert manage(client, read).status == 200


def test_the_endpoint_is_published_and_counted() -> None:
    party = raw_client()
    published = members(party.send("GET", "/.well-known/openid-configuration", headers={}))
    assert published["registration_endpoint"] == f"{ISSUER}/register"
    told, client = registered_client(party, {})
    manage(client, told)
    assert (party.provider.calls["register"], party.provider.calls["registration"]) == (1, 1)
    assert party.provider.unknown_paths == []


def test_an_answer_is_what_a_fault_makes_of_it() -> None:
    party = raw_client()
    party.provider.faults = Faults(registration=lambda _, told: (200, {**told, "client_id": ""}))
    reply = register(party, HONEST)
    assert (reply.status, members(reply)["client_id"]) == (200, "")


def test_the_secret_is_the_one_that_counts() -> None:
    told, client = registered_client(raw_client(), {})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for secret, status in ((told["client_secret"], 200), (told["client_secret"] + "x", 401)):
        headers = {**form, "Authorization": basic(told["client_id"], secret)}
        body = b"grant_type=client_credentials"
        assert client.send("POST", "/token", headers=headers, body=body).status == status
