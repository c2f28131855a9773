"""Request objects at the fake provider (RFC 9101, P11), by the query and pushed."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey

from gateway.testing.jwk import public_jwk
from testing.full_client import (
    CALLBACK,
    CLIENT_ID,
    ISSUER,
    NOW,
    FullClient,
    answer,
    compact,
    encrypted_for,
    full_client,
    members,
    own_key,
    unsigned,
)


def signing_client(alg: str = "ES256", **settings: Any) -> FullClient:
    return full_client(alg=alg, client_request_object_signing_alg=alg, **settings)


def outer(request: str, **parameters: str) -> dict[str, str]:
    return {"client_id": CLIENT_ID, "request": request, **parameters}


@pytest.mark.parametrize("alg", ["ES256", "PS256", "RS256", "EdDSA"])
def test_a_signed_request_is_answered(alg: str) -> None:
    party = signing_client(alg, require_signed_request_object=True)
    response = answer(party.authorize(outer(party.request_object(state="inside"), state="outside")))
    assert response["state"] == "inside"
    assert members(party.redeem(response["code"]))["scope"] == "openid email"
    assert party.provider.requests == [party.parameters(state="inside")]


def test_a_signed_request_is_pushed() -> None:
    party = signing_client(require_signed_request_object=True, require_pushed_authorization_requests=True)
    uri = members(party.post("/par", outer(party.request_object())), 201)["request_uri"]
    assert "code" in answer(party.authorize({"client_id": CLIENT_ID, "request_uri": uri}))


def test_structures_count_as_the_parameters_that_they_stand_for() -> None:
    party = signing_client()
    claims: dict[str, Any] = {
        "max_age": 60,
        "resource": ["https://api.example/", "https://other.example/"],
        "claims": {"userinfo": {"phone_number": None}},
        "authorization_details": [{"type": "account"}],
    }
    assert "code" in answer(party.authorize(outer(party.request_object(**claims))))
    assert {name: party.provider.requests[0][name] for name in claims} == {
        "max_age": "60",
        "resource": "https://api.example/ https://other.example/",
        "claims": '{"userinfo": {"phone_number": null}}',
        "authorization_details": '[{"type": "account"}]',
    }


@pytest.mark.parametrize("alg", ["RSA-OAEP-256", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "ECDH-ES+A256KW"])
@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM", "A128CBC-HS256", "A256CBC-HS512"])
def test_a_request_may_be_encrypted(alg: str, enc: str) -> None:
    party = signing_client(request_object_encryption=("RSA-OAEP-256", "ECDH-ES"))
    own = public_jwk(party.provider.decryption_keys()[1]["RSA" if alg.startswith("RSA") else "P-256"])
    keys: Any = party.provider.jwks()["keys"]
    [jwk] = [key for key in keys if own.items() <= key.items()]
    assert jwk["use"] == "enc"
    sealed = encrypted_for(jwk, alg, enc, party.request_object())
    assert "code" in answer(party.authorize(outer(sealed)))
    assert (
        party.authorize(outer(encrypted_for({**jwk, "kid": "other"}, alg, enc, party.request_object()))).status == 400
    )
    broken = f"{sealed[:-4]}{'AAAA' if not sealed.endswith('AAAA') else 'BBBB'}"
    assert party.authorize(outer(broken)).status == 400


CLAIMS = [
    pytest.param({"iss": "other"}, id="P11-iss"),
    pytest.param({"iss": None}, id="no-iss"),
    pytest.param({"aud": f"{ISSUER}/"}, id="P11-aud"),
    pytest.param({"aud": [ISSUER]}, id="aud-array"),
    pytest.param({"aud": None}, id="no-aud"),
    pytest.param({"exp": NOW}, id="exp-past"),
    pytest.param({"exp": None}, id="no-exp"),
    pytest.param({"nbf": None}, id="no-nbf"),
    pytest.param({"nbf": NOW + 61}, id="nbf-ahead"),
    pytest.param({"nbf": NOW - 3601}, id="nbf-long-ago"),
    pytest.param({"nbf": NOW, "exp": NOW + 3601}, id="P11-an-hour"),
    pytest.param({"client_id": "other"}, id="client_id"),
    pytest.param({"client_id": None}, id="no-client_id"),
    pytest.param({"request": "x"}, id="P11-request"),
    pytest.param({"request_uri": "urn:x"}, id="P11-request_uri"),
    pytest.param({"sub": CLIENT_ID}, id="P11-sub"),
    pytest.param({"state": True}, id="boolean"),
]


@pytest.mark.parametrize("claims", CLAIMS)
def test_a_request_object_is_refused_for_its_claims(claims: dict[str, Any]) -> None:
    party = signing_client()
    refused(party, party.request_object(**claims))


HEADERS = [
    pytest.param({"typ": "at+jwt"}, id="P11-typ"),
    pytest.param({"typ": None}, id="no-typ"),
    pytest.param({"kid": "other"}, id="kid"),
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_request_object_is_refused_for_its_header(header: dict[str, object]) -> None:
    party = signing_client()
    refused(party, party.request_object(header))


def test_a_request_object_may_be_a_plain_jwt() -> None:
    party = signing_client()
    assert "code" in answer(party.authorize(outer(party.request_object({"typ": "JWT"}))))


def test_a_request_object_is_signed_as_registered() -> None:
    party = signing_client()
    refused(party, unsigned(party.request_claims()))
    key = own_key("Ed25519")
    refused(party, compact(key, {"alg": "EdDSA", "typ": "JWT", "kid": key.kid}, party.request_claims()))
    stranger = ECKey.generate_key("P-256", auto_kid=False)
    refused(party, compact(stranger, {"alg": "ES256", "typ": "JWT"}, party.request_claims()))
    refused(party, "e30")
    refused(party, "W10.W10.W10")
    refused(party, "W10.W10.W10.W10.W10")
    refused(party, "e30.e30.e30.e30.e30")
    refused(party, "é.é.é")
    refused(party, "")


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"response_type": "code id_token"}, id="response_type"),
        pytest.param({"scope": "openid"}, id="scope"),
    ],
)
def test_what_is_outside_agrees_with_what_is_inside(change: dict[str, str]) -> None:
    party = signing_client()
    same = {"response_type": "code", "scope": "openid email"}
    assert "code" in answer(party.authorize(outer(party.request_object(), **same)))
    assert party.authorize(outer(party.request_object(), **{**same, **change})).status == 400


def test_what_counts_is_inside_alone() -> None:
    party = signing_client()
    request = party.request_object(nonce=None)
    assert answer(party.authorize(outer(request, nonce="outside")))["error"] == "invalid_request"
    assert party.authorize(outer(party.request_object(redirect_uri=None), redirect_uri=CALLBACK)).status == 400


def test_nothing_is_pushed_beside_a_request_object() -> None:
    """RFC 9126 3."""
    party = signing_client()
    reply = party.post("/par", outer(party.request_object(), state="beside"))
    assert members(reply, 400)["error"] == "invalid_request"


def test_request_and_request_uri_exclude_each_other() -> None:
    party = signing_client()
    assert party.authorize(outer(party.request_object(), request_uri="urn:x")).status == 400


@pytest.mark.parametrize("of", ["provider", "client"])
def test_where_signing_is_required_plain_parameters_do_not_count(of: str) -> None:
    party = signing_client()
    assert "code" in answer(party.authorize(party.parameters()))
    if of == "client":
        party.register(require_signed_request_object=True)
    else:
        party.provider.require_signed_request_object = True
    assert answer(party.authorize(party.parameters()))["error"] == "invalid_request"
    assert members(party.push(), 400)["error"] == "invalid_request"
    assert "code" in answer(party.authorize(outer(party.request_object())))


def refused(party: FullClient, request: str) -> None:
    """Check that a request object is refused on a page and when it is pushed, and an honest one is not."""
    page = party.authorize(outer(request))
    assert (page.status, page.headers.get("Location")) == (400, None)
    assert "invalid_request_object" in page.text
    assert members(party.post("/par", outer(request)), 400)["error"] == "invalid_request_object"
    assert "code" in answer(party.authorize(outer(party.request_object())))
