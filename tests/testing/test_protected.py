"""ID tokens and userinfo of the fake provider, signed and encrypted as the client registered it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.testing import Faults, with_altered_signature
from gateway.testing.jwe import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from gateway.testing.jwk import decoded
from gateway.testing.jws import read_compact
from testing.full_client import CLIENT_ID, ISSUER, answer, decrypted, full_client, members

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
)  # fmt: skip


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_everything_is_signed_as_registered(alg: str) -> None:
    """D12: the provider's own algorithm does not matter to a client that registered another."""
    party = full_client(client_id_token_signed_response_alg=alg, client_userinfo_signed_response_alg=alg)
    tokens = party.tokens()
    assert party.verified(tokens["id_token"], alg)["aud"] == CLIENT_ID
    reply = party.userinfo(tokens["access_token"])
    assert reply.media_type == "application/jwt"
    claims = party.verified(reply.body.decode(), alg)
    assert (claims["iss"], claims["aud"], claims["email"]) == (ISSUER, CLIENT_ID, "alice@op.example")


@pytest.mark.parametrize("alg", KEY_ALGORITHMS)
@pytest.mark.parametrize("enc", CONTENT_ALGORITHMS)
def test_an_id_token_is_encrypted(alg: str, enc: str) -> None:
    """1.11, `-sig+enc`: a signed token inside of an encrypted one, and the hint is the one inside."""
    party = full_client(
        client_id_token_encrypted_response_alg=alg,
        client_id_token_encrypted_response_enc=enc,
        client_post_logout_redirect_uris=["https://app.example/"],
    )
    header, inner = decrypted(party.tokens()["id_token"], alg, enc)
    assert (header["cty"], header["kid"]) == ("JWT", f"{'RSA' if alg.startswith('RSA') else 'P-256'}-enc")
    assert party.verified(inner, "ES256")["nonce"] == "n"
    assert party.browser.navigate(f"{ISSUER}/end_session?id_token_hint={inner}").status == 200


def test_rsa1_5_is_a_fault_that_a_registration_asks_for() -> None:
    """1.11, encrypted-idtoken-usingrsa15."""
    party = full_client(client_id_token_encrypted_response_alg="RSA1_5")
    header = party.tokens()["id_token"].split(".")[0]
    assert json.loads(decoded(header))["alg"] == "RSA1_5"
    metadata: Any = party.browser.get(f"{ISSUER}/.well-known/openid-configuration").json()
    assert "RSA1_5" not in metadata["id_token_encryption_alg_values_supported"]


@pytest.mark.parametrize("signed", ["ES256", ""])
@pytest.mark.parametrize(("alg", "enc"), [("RSA-OAEP", "A128GCM"), ("ECDH-ES+A256KW", "A256CBC-HS512")])
def test_userinfo_is_encrypted(alg: str, enc: str, signed: str) -> None:
    """`rp-userinfo-enc`, `rp-userinfo-sig+enc`."""
    party = full_client(
        client_userinfo_signed_response_alg=signed,
        client_userinfo_encrypted_response_alg=alg,
        client_userinfo_encrypted_response_enc=enc,
    )
    reply = party.userinfo(party.tokens()["access_token"])
    assert reply.media_type == "application/jwt"
    header, inner = decrypted(reply.body.decode(), alg, enc)
    claims = party.verified(inner, signed) if signed else json.loads(inner)
    assert claims["sub"] == "subject of alice"
    assert header.get("cty") == ("JWT" if signed else None)


def test_signed_userinfo_can_be_altered() -> None:
    party = full_client(client_userinfo_signed_response_alg="ES256")
    token = party.tokens()["access_token"]
    party.provider.faults = Faults(userinfo=lambda claims: {**claims, "aud": "other"})
    assert party.verified(party.userinfo(token).body.decode(), "ES256")["aud"] == "other"
    party.provider.faults = Faults(userinfo_jwt=with_altered_signature)
    with pytest.raises(Exception, match="bad_signature"):
        party.verified(party.userinfo(token).body.decode(), "ES256")
    party.provider.faults = Faults(userinfo_header=lambda header: {**header, "kid": "other"})
    assert read_compact(party.userinfo(token).body.decode()).header["kid"] == "other"


def test_an_encrypted_token_can_be_altered() -> None:
    party = full_client(client_id_token_encrypted_response_alg="ECDH-ES")
    party.provider.faults = Faults(encrypted=with_altered_signature)
    with pytest.raises(Exception, match=r"decode_error|Verification|tag"):
        decrypted(party.tokens()["id_token"], "ECDH-ES", "A128CBC-HS256")


def test_another_key_of_the_provider_signs() -> None:
    """A8: validly signed, by an algorithm that was not agreed on."""
    party = full_client(extra_signing_algs=["RS256"])
    claims = read_compact(party.tokens()["id_token"]).claims
    other = party.provider.sign(claims, client_id=CLIENT_ID, algorithm="RS256")
    assert party.verified(other, "RS256") == claims


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_the_metadata_list_what_is_used(alg: str) -> None:
    """B8: only what the provider signs with is offered."""
    party = full_client(id_token_alg=alg)
    metadata: Any = party.browser.get(f"{ISSUER}/.well-known/openid-configuration").json()
    assert metadata["id_token_signing_alg_values_supported"] == [alg]
    party.register(userinfo_signed_response_alg="PS256")
    metadata = party.browser.get(f"{ISSUER}/.well-known/openid-configuration").json()
    assert metadata["userinfo_signing_alg_values_supported"] == sorted({alg, "PS256"})


def test_keys_are_rotated_with_everything_that_they_sign() -> None:
    party = full_client(client_authorization_signed_response_alg="EdDSA")
    before = answer(party.authorize(party.parameters(response_mode="jwt")))["response"]
    party.provider.rotate_keys()
    after = answer(party.authorize(party.parameters(response_mode="jwt")))["response"]
    assert read_compact(before).header["kid"] != read_compact(after).header["kid"]
    assert party.verified(after, "EdDSA")["state"] == "s"
    kids = {key["kid"] for key in members_of_set(party.provider.jwks())}
    assert read_compact(before).header["kid"] not in kids


def members_of_set(jwks: Any) -> list[dict[str, str]]:
    keys: list[dict[str, str]] = jwks["keys"]
    return keys


def test_plain_userinfo_is_json() -> None:
    party = full_client()
    reply = party.userinfo(party.tokens()["access_token"])
    assert (reply.media_type, members(reply)["sub"]) == ("application/json", "subject of alice")
