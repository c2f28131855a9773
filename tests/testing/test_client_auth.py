"""The fake provider takes a client by its one registered method, and holds assertions to FAPI 2.0 5.3.3.1 (P3)."""

from __future__ import annotations

from typing import Any

import pytest

from testing.full_client import (
    ASSERTION_TYPE,
    CLIENT_ID,
    ISSUER,
    NOW,
    SECRET,
    Clock,
    full_client,
    members,
    own_key,
)

METHODS = [
    pytest.param("client_secret_basic", "", id="client_secret_basic"),
    pytest.param("client_secret_post", "", id="client_secret_post"),
    pytest.param("client_secret_jwt", "HS256", id="client_secret_jwt"),
    pytest.param("private_key_jwt", "ES256", id="private_key_jwt-ES256"),
    pytest.param("private_key_jwt", "PS256", id="private_key_jwt-PS256"),
    pytest.param("private_key_jwt", "RS256", id="private_key_jwt-RS256"),
    pytest.param("private_key_jwt", "EdDSA", id="private_key_jwt-EdDSA"),
    pytest.param("tls_client_auth", "", id="tls_client_auth"),
    pytest.param("self_signed_tls_client_auth", "", id="self_signed_tls_client_auth"),
    pytest.param("none", "", id="none"),
]


@pytest.mark.parametrize(("method", "alg"), METHODS)
def test_every_method_counts_at_every_endpoint(method: str, alg: str) -> None:
    party = full_client(method, alg)
    assert members(party.push(), 201)["expires_in"] == 60
    tokens = party.tokens()
    introspected = party.post("/introspect", {"token": tokens["access_token"]})
    assert introspected.status == (401 if method == "none" else 200)  # RFC 7662 2.1 asks for authentication.
    assert party.post("/revoke", {"token": tokens["access_token"]}).status == 200
    assert not party.provider.is_active(tokens["access_token"])


@pytest.mark.parametrize(("method", "alg"), METHODS)
@pytest.mark.parametrize("path", ["/token", "/par", "/revoke", "/introspect"])
def test_no_endpoint_takes_a_client_by_another_method(path: str, method: str, alg: str) -> None:
    party = full_client(method, alg)
    other: Any = "client_secret_post" if method == "client_secret_basic" else "client_secret_basic"
    form, headers = party.credentials()
    party.register(token_endpoint_auth_method=other)
    party.credentials = lambda: (form, headers)  # type: ignore[method-assign]
    assert members(party.post(path, {**party.parameters(), "token": "t"}), 401)["error"] == "invalid_client"


ASSERTIONS = [
    pytest.param({"iss": "other"}, id="iss"),
    pytest.param({"iss": None}, id="no-iss"),
    pytest.param({"sub": "other"}, id="sub"),
    pytest.param({"sub": None}, id="no-sub"),
    pytest.param({"aud": [ISSUER]}, id="aud-array"),
    pytest.param({"aud": f"{ISSUER}/token"}, id="aud-endpoint"),
    pytest.param({"aud": f"{ISSUER}/"}, id="aud-slash"),
    pytest.param({"aud": None}, id="no-aud"),
    pytest.param({"jti": None}, id="no-jti"),
    pytest.param({"jti": ""}, id="empty-jti"),
    pytest.param({"jti": 1}, id="jti-number"),
    pytest.param({"iat": None}, id="no-iat"),
    pytest.param({"iat": NOW + 61}, id="iat-ahead"),
    pytest.param({"iat": str(NOW)}, id="iat-text"),
    pytest.param({"iat": True}, id="iat-boolean"),
    pytest.param({"exp": None}, id="no-exp"),
    pytest.param({"exp": NOW}, id="exp-past"),
    pytest.param({"exp": NOW + 86_401}, id="exp-after-a-day"),
    pytest.param({"exp": NOW + 60.5}, id="exp-fraction"),
    pytest.param({"nbf": NOW + 61}, id="nbf-ahead"),
    pytest.param({"nbf": None, "exp": NOW - 1}, id="exp-before-now"),
]


@pytest.mark.parametrize("claims", ASSERTIONS)
@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_jwt"])
def test_p3_an_assertion_is_refused(method: str, claims: dict[str, Any]) -> None:
    party = full_client(method, "HS256" if method == "client_secret_jwt" else "ES256")
    assert party.push().status == 201
    refused = party.push(client_assertion=party.assertion(**claims))
    assert members(refused, 401)["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("registered", "used", "status"),
    [
        pytest.param("", "ES256", 201, id="any"),
        pytest.param("ES256", "ES256", 201, id="registered"),
        pytest.param("PS256", "ES256", 401, id="another"),
        pytest.param("", "HS256", 401, id="symmetric"),
    ],
)
def test_p3_the_algorithm_is_the_registered_one(registered: str, used: str, status: int) -> None:
    party = full_client("private_key_jwt", used, client_token_endpoint_auth_signing_alg=registered)
    assert party.push().status == status


ODD_ASSERTIONS = [
    pytest.param({"client_assertion_type": None}, "invalid_client", id="no-type"),
    pytest.param({"client_assertion_type": "urn:other"}, "invalid_client", id="type"),
    pytest.param({"client_assertion": "e30.e30.e30"}, "invalid_client", id="not-signed"),
    pytest.param({"client_assertion": "e30"}, "invalid_client", id="no-JWT"),
    pytest.param({"client_assertion": ""}, "invalid_client", id="empty"),
    pytest.param({"client_assertion": "é.é.é"}, "invalid_client", id="not-ASCII"),
    pytest.param({"client_assertion": f"{'W1tb' * 9000}.e30.e30"}, "invalid_client", id="nested"),
    pytest.param({"client_id": "other"}, "invalid_client", id="client_id"),
    pytest.param({"client_secret": SECRET}, "invalid_request", id="two-methods"),
]


@pytest.mark.parametrize(("change", "error"), ODD_ASSERTIONS)
def test_what_is_no_assertion_is_refused(change: dict[str, str | None], error: str) -> None:
    party = full_client("private_key_jwt")
    reply = party.push(**change)
    assert members(reply, 401 if error == "invalid_client" else 400)["error"] == error


def test_p3_an_assertion_is_good_once() -> None:
    party = full_client("private_key_jwt")
    used = party.assertion()
    credentials = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": used}
    assert party.push(**credentials).status == 201
    assert members(party.push(**credentials), 401)["error"] == "invalid_client"
    assert members(party.redeem("code", client_assertion=used), 401)["error"] == "invalid_client"


def test_an_assertion_is_signed_with_a_registered_key() -> None:
    party = full_client("private_key_jwt")
    party.register(jwks={"keys": [own_key("RSA").as_dict(private=False)]})
    assert party.push().status == 401
    party.register(jwks={"keys": [{**own_key("P-256").as_dict(private=False), "use": "enc"}]})
    assert party.push().status == 401
    party.register(jwks=None)
    assert party.push().status == 401


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
@pytest.mark.parametrize(
    ("presented", "registered"),
    [
        pytest.param("", "registered", id="none"),
        pytest.param("another", "registered", id="another"),
        pytest.param("", "", id="none-registered"),
    ],
)
def test_p7_a_client_without_its_certificate_is_refused(method: str, presented: str, registered: str) -> None:
    party = full_client(method, client_certificate_thumbprint=registered)
    party.provider.presented_certificate = presented
    assert members(party.push(), 401)["error"] == "invalid_client"


def test_a_certificate_does_not_name_its_client() -> None:
    """RFC 8705 2: `client_id` is in the request."""
    party = full_client("tls_client_auth")
    assert members(party.redeem("code", client_id=None), 401)["error"] == "invalid_client"


def test_an_assertion_expires() -> None:
    clock = Clock()
    party = full_client("private_key_jwt", clock=clock)
    clock.now += 60
    assert members(party.push(), 401)["error"] == "invalid_client"
    assert CLIENT_ID in [one.client_id for one in party.provider.clients]
