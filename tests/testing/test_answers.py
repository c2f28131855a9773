"""How the fake provider answers: by query and form, signed (JARM), encrypted, and with an ID token beside the code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from gateway.oidc.messages import base64url
from gateway.testing import Faults, with_altered_signature, without_signature
from gateway.testing.jws import read_compact
from testing.full_client import (
    CLIENT_ID,
    ISSUER,
    NOW,
    FullClient,
    answer,
    decrypted,
    full_client,
    members,
)


def half(value: str, algorithm: str = "sha256") -> str:
    digest = hashlib.new(algorithm, value.encode()).digest()
    return base64url(digest[: len(digest) // 2])


@pytest.mark.parametrize(
    ("mode", "status"),
    [
        pytest.param("query.jwt", 303, id="query.jwt"),
        pytest.param("jwt", 303, id="jwt"),
        pytest.param("form_post.jwt", 200, id="form_post.jwt"),
    ],
)
@pytest.mark.parametrize("alg", ["", "PS256", "ES256", "EdDSA"])
def test_a_signed_response_says_who_for_whom_and_until_when(alg: str, mode: str, status: int) -> None:
    party = full_client(client_authorization_signed_response_alg=alg)
    page = party.authorize(party.parameters(response_mode=mode))
    assert page.status == status
    assert set(answer(page)) == {"response"}
    claims = party.verified(answer(page)["response"], alg or "ES256")
    assert set(claims) == {"iss", "aud", "exp", "code", "state"}
    assert (claims["iss"], claims["aud"], claims["exp"], claims["state"]) == (ISSUER, CLIENT_ID, NOW + 600, "s")
    assert members(party.redeem(claims["code"]))["scope"] == "openid email"


def test_an_error_is_signed_no_less() -> None:
    party = full_client()
    response = answer(party.authorize(party.parameters(response_mode="jwt", scope="email")))["response"]
    assert party.verified(response, "ES256")["error"] == "invalid_scope"


@pytest.mark.parametrize(("alg", "enc"), [("RSA-OAEP-256", "A256GCM"), ("ECDH-ES", "A128CBC-HS256")])
def test_a_signed_response_may_be_encrypted(alg: str, enc: str) -> None:
    party = full_client(
        client_authorization_encrypted_response_alg=alg, client_authorization_encrypted_response_enc=enc
    )
    response = answer(party.authorize(party.parameters(response_mode="jwt")))["response"]
    header, inner = decrypted(response, alg, enc)
    assert header["cty"] == "JWT"
    assert party.verified(inner, "ES256")["state"] == "s"


@pytest.mark.parametrize("order", ["code id_token", "id_token code"])
@pytest.mark.parametrize(("alg", "digest"), [("ES256", "sha256"), ("ES384", "sha384"), ("EdDSA", "sha512")])
def test_an_id_token_comes_with_the_code(alg: str, digest: str, order: str) -> None:
    """OIDC Core 3.3.2.11, 1.6."""
    party = full_client(client_id_token_signed_response_alg=alg)
    response = answer(party.authorize(party.parameters(response_type=order, response_mode="form_post")))
    claims = party.verified(response["id_token"], alg)
    assert claims["c_hash"] == half(response["code"], digest)
    assert claims["s_hash"] == half("s", digest)
    assert (claims["iss"], claims["aud"], claims["nonce"], claims["sub"]) == (
        ISSUER, CLIENT_ID, "n", "subject of alice",
    )  # fmt: skip
    assert "at_hash" not in claims
    assert response["iss"] == ISSUER
    later = party.verified(members(party.redeem(response["code"]))["id_token"], alg)
    assert (later["sub"], later["nonce"]) == (claims["sub"], claims["nonce"])


def test_without_state_there_is_no_hash_of_it() -> None:
    party = full_client()
    asked = party.parameters(response_type="code id_token", response_mode="form_post", state=None)
    assert "s_hash" not in party.verified(answer(party.authorize(asked))["id_token"], "ES256")


def test_code_and_id_token_travel_in_a_signed_response() -> None:
    party = full_client()
    asked = party.parameters(response_type="code id_token", response_mode="form_post.jwt")
    response = party.verified(answer(party.authorize(asked))["response"], "ES256")
    assert party.verified(response["id_token"], "ES256")["c_hash"] == half(response["code"])


def test_a_response_by_form_is_sent_by_the_browser() -> None:
    """F1."""
    party = full_client()
    party.authorize(party.parameters(response_mode="form_post"))
    page = party.browser.submit()
    assert (page.status, page.text) == (200, "app")


def claim(name: str, value: object) -> Callable[[dict[str, object]], dict[str, object]]:
    return lambda claims: {key: one for key, one in {**claims, name: value}.items() if one is not None}


JARM = [
    pytest.param(claim("iss", None), "iss", None, id="A23"),
    pytest.param(claim("iss", "https://evil.example"), "iss", "https://evil.example", id="A24"),
    pytest.param(claim("aud", None), "aud", None, id="A25"),
    pytest.param(claim("aud", "other"), "aud", "other", id="A26"),
    pytest.param(claim("exp", None), "exp", None, id="A27"),
    pytest.param(claim("exp", NOW - 360), "exp", NOW - 360, id="A28"),
    pytest.param(claim("state", "other"), "state", "other", id="A18"),
]


@pytest.mark.parametrize(("fault", "name", "value"), JARM)
def test_a_signed_response_can_be_altered(fault: Any, name: str, value: object) -> None:
    party = full_client()
    party.provider.faults = Faults(jarm_claims=fault)
    response = answer(party.authorize(party.parameters(response_mode="jwt")))["response"]
    assert party.verified(response, "ES256").get(name) == value


def jarm(party: FullClient, faults: Faults) -> str:
    party.provider.faults = faults
    return answer(party.authorize(party.parameters(response_mode="jwt")))["response"]


def test_the_signature_of_a_response_can_be_altered() -> None:
    """A29, A30."""
    party = full_client()
    altered = jarm(party, Faults(jarm=with_altered_signature))
    with pytest.raises(Exception, match="bad_signature"):
        party.verified(altered, "ES256")
    assert read_compact(jarm(party, Faults(jarm=without_signature))).header == {"alg": "none"}
    assert read_compact(jarm(party, Faults(jarm_header=claim("typ", "x")))).header["typ"] == "x"


def test_what_travels_can_be_altered() -> None:
    """JARM asked for and plain parameters given; plain parameters beside a signed response."""
    party = full_client()
    party.provider.faults = Faults(response_mode=lambda mode: mode.removesuffix(".jwt"))
    assert set(answer(party.authorize(party.parameters(response_mode="jwt")))) == {"code", "state", "iss"}
    party.provider.faults = Faults(sent_response=lambda sent: {**sent, "code": "plain"})
    assert set(answer(party.authorize(party.parameters(response_mode="jwt")))) == {"response", "code"}


@pytest.mark.parametrize("name", ["c_hash", "s_hash", "nonce", "iss", "aud"])
@pytest.mark.parametrize("value", [pytest.param(None, id="missing"), pytest.param("other", id="wrong")])
def test_the_id_token_beside_the_code_can_be_altered(name: str, value: object) -> None:
    """1.6, 1.11."""
    party = full_client()
    party.provider.faults = Faults(front_id_token_claims=claim(name, value))
    asked = party.parameters(response_type="code id_token", response_mode="form_post")
    response = answer(party.authorize(asked))
    assert party.verified(response["id_token"], "ES256").get(name) == value
    later = party.verified(members(party.redeem(response["code"]))["id_token"], "ES256")
    assert later["nonce"] == "n"


def test_the_signature_beside_the_code_can_be_altered() -> None:
    party = full_client()
    party.provider.faults = Faults(front_id_token=without_signature)
    asked = party.parameters(response_type="code id_token", response_mode="form_post")
    assert read_compact(answer(party.authorize(asked))["id_token"]).header["alg"] == "none"
