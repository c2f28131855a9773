"""The fake provider's introspection (RFC 7662, RFC 9701, phantom tokens): what it says, to whom, and in which form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwe as joserfc_jwe
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from joserfc.errors import BadSignatureError

from gateway.oidc.messages import Reply
from gateway.testing import Faults, with_altered_signature, without_signature
from gateway.testing.jws import read_compact
from testing.raw_client import CLIENT_ID, ISSUER, NOW, Clock, RawClient, error_of, members, raw_client

SIGNED = "application/token-introspection+jwt"
PHANTOM = "application/jwt"


def introspect(party: RawClient, token: str, accept: str | None = None) -> Reply:
    return party.post("/introspect", {"token": token}, **({} if accept is None else {"Accept": accept}))


def verified(party: RawClient, reply: Reply, algorithm: str) -> joserfc_jwt.Token:
    compact = reply.body.decode("ascii")
    kid = read_compact(compact).header["kid"]
    kinds = {"RS256": {"kty": "RSA"}, "ES256": {"crv": "P-256"}}[algorithm]
    keys = members(party.send("GET", party.provider.jwks_path, headers={}))["keys"]
    named = [key for key in keys if {"kid": kid, "use": "sig", **kinds}.items() <= key.items()]
    [key] = [key for key in named if key.get("alg", algorithm) == algorithm]  # P9: a decoy has the same kid.
    return joserfc_jwt.decode(compact, joserfc_jwk.import_key(key), [algorithm])


@pytest.mark.parametrize("accept", [None, "application/json", "*/*", "application/json;q=0.9, text/plain"])
def test_a_live_token_is_described_as_json(accept: str | None) -> None:
    party = raw_client()
    reply = introspect(party, party.login()["access_token"], accept)
    assert (reply.status, reply.media_type, reply.headers["cache-control"]) == (200, "application/json", "no-store")
    assert members(reply) == {
        "active": True,
        "token_type": "Bearer",
        "iss": ISSUER,
        "sub": "subject of alice",
        "aud": CLIENT_ID,
        "client_id": CLIENT_ID,
        "scope": "openid email",
        "iat": NOW,
        "exp": NOW + 300,
        "auth_time": NOW,
        "x_unknown": {"to_be": "ignored"},
    }


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_signed_answer_names_the_asker_and_is_no_access_token(algorithm: str) -> None:
    """RFC 9701 5."""
    party = raw_client(id_token_alg=algorithm)
    reply = introspect(party, party.login()["access_token"], SIGNED)
    assert (reply.status, reply.media_type) == (200, SIGNED)
    token = verified(party, reply, algorithm)
    assert token.header["typ"] == "token-introspection+jwt"
    assert {name: token.claims[name] for name in ("iss", "aud", "iat")} == {"iss": ISSUER, "aud": CLIENT_ID, "iat": NOW}
    assert set(token.claims) == {"iss", "aud", "iat", "token_introspection"}
    assert token.claims["token_introspection"]["active"] is True
    assert token.claims["token_introspection"]["sub"] == "subject of alice"


def test_a_signed_answer_is_signed_and_encrypted_as_registered() -> None:
    """RFC 9701 6."""
    key = joserfc_jwk.ECKey.generate_key("P-256", {"kid": "ours", "use": "enc"})
    party = raw_client(id_token_alg="RS256")
    party.client = replace(
        party.client,
        jwks={"keys": [key.as_dict(private=False)]},
        introspection_signed_response_alg="ES256",
        introspection_encrypted_response_alg="ECDH-ES",
        introspection_encrypted_response_enc="A256GCM",
    )
    party.provider.clients = [party.client]
    reply = introspect(party, party.login()["access_token"], SIGNED)
    nested = joserfc_jwe.decrypt_compact(reply.body, key, algorithms=["ECDH-ES", "A256GCM"])
    assert (reply.media_type, nested.headers()["cty"]) == (SIGNED, "JWT")
    token = verified(party, Reply(status=200, body=nested.plaintext or b""), "ES256")
    assert token.claims["token_introspection"]["active"] is True


def test_a_phantom_token_becomes_a_jwt() -> None:
    party = raw_client(id_token_alg="ES256")
    reply = introspect(party, party.login()["access_token"], PHANTOM)
    assert (reply.status, reply.media_type) == (200, PHANTOM)
    token = verified(party, reply, "ES256")
    assert token.header["typ"] == "at+jwt"
    assert token.claims["sub"] == "subject of alice"
    assert (token.claims["exp"], token.claims["scope"]) == (NOW + 300, "openid email")
    assert "active" not in token.claims


def expired(party: RawClient, token: str) -> str:
    clock = party.provider.clock
    assert isinstance(clock, Clock)
    clock.now += 300
    return token


def revoked(party: RawClient, token: str) -> str:
    party.post("/revoke", {"token": token})
    return token


@pytest.mark.parametrize(
    "made_worthless",
    [
        pytest.param(expired, id="expired"),
        pytest.param(revoked, id="revoked"),
        pytest.param(lambda _, token: token + "x", id="unknown"),
        pytest.param(lambda _, __: "", id="empty"),
    ],
)
def test_a_worthless_token_is_not_active_and_nothing_more(made_worthless: Any) -> None:
    party = raw_client(id_token_alg="ES256")
    token = party.login()["access_token"]
    assert members(introspect(party, token))["active"] is True
    token = made_worthless(party, token)
    assert members(introspect(party, token)) == {"active": False}
    signed = verified(party, introspect(party, token, SIGNED), "ES256")
    assert signed.claims["token_introspection"] == {"active": False}
    phantom = introspect(party, token, PHANTOM)
    assert (phantom.status, phantom.body) == (204, b"")


def test_an_answer_may_be_kept_as_long_as_it_says() -> None:
    party = raw_client(introspection_max_age=30)
    token = party.login()["access_token"]
    for accept in (None, SIGNED, PHANTOM):
        assert introspect(party, token, accept).headers["cache-control"] == "max-age=30"


def test_a_media_type_that_is_not_there_is_refused() -> None:
    party = raw_client()
    assert introspect(party, party.login()["access_token"], "text/html").status == 406


@pytest.mark.parametrize(
    ("change", "form", "status", "error"),
    [
        pytest.param({"client_secret": "wrong"}, {"token": "t"}, 401, "invalid_client", id="secret"),
        pytest.param({"client_id": "other"}, {"token": "t"}, 401, "invalid_client", id="client"),
        pytest.param({"token_endpoint_auth_method": "none"}, {"token": "t"}, 401, "invalid_client", id="nobody"),
        pytest.param({}, {}, 400, "invalid_request", id="no-token"),
        pytest.param({}, [("token", "a"), ("token", "b")], 400, "invalid_request", id="two-tokens"),
    ],
)
def test_an_introspection_is_refused(change: dict[str, Any], form: Any, status: int, error: str) -> None:
    party = raw_client()
    assert introspect(party, "t").status == 200
    party.client = replace(party.client, **change)
    reply = party.post("/introspect", form)
    assert (reply.status, error_of(reply)) == (status, error)


def test_a_public_client_may_not_introspect() -> None:
    party = raw_client(method="none")
    reply = introspect(party, party.login()["access_token"])
    assert (reply.status, error_of(reply)) == (401, "invalid_client")


@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("PUT", 405)])
def test_only_a_post_is_answered(method: str, status: int) -> None:
    assert raw_client().send(method, "/introspect?token=t", headers={}).status == status


def test_the_endpoint_is_published_and_counted() -> None:
    party = raw_client()
    published = members(party.send("GET", "/.well-known/openid-configuration", headers={}))
    assert published["introspection_endpoint"] == f"{ISSUER}/introspect"
    introspect(party, "t")
    assert party.provider.calls["introspect"] == 1


HOOKS = [
    pytest.param("active", "true", id="active-text"),
    pytest.param("aud", "https://another.example", id="aud"),
]


@pytest.mark.parametrize(("name", "value"), HOOKS)
def test_members_are_altered_in_both_forms(name: str, value: object) -> None:
    party = raw_client(id_token_alg="ES256")
    token = party.login()["access_token"]
    party.provider.faults = Faults(introspection=lambda status, given: (status, {**given, name: value}))
    assert members(introspect(party, token))[name] == value
    signed = verified(party, introspect(party, token, SIGNED), "ES256")
    assert signed.claims["token_introspection"][name] == value


def test_a_status_is_altered() -> None:
    party = raw_client()
    party.provider.faults = Faults(introspection=lambda _, __: (503, {"error": "temporarily_unavailable"}))
    for accept in (None, SIGNED):
        reply = introspect(party, "t", accept)
        assert (reply.status, error_of(reply)) == (503, "temporarily_unavailable")


@pytest.mark.parametrize("accept", [SIGNED, PHANTOM])
def test_claims_header_and_signature_of_a_jwt_are_altered(accept: str) -> None:
    party = raw_client(id_token_alg="ES256")
    token = party.login()["access_token"]
    party.provider.faults = Faults(
        introspection_claims=lambda claims: {**claims, "iss": "https://evil.example"},
        introspection_header=lambda header: {**header, "typ": "JWT"},
    )
    altered = verified(party, introspect(party, token, accept), "ES256")
    assert (altered.claims["iss"], altered.header["typ"]) == ("https://evil.example", "JWT")
    party.provider.faults = Faults(introspection_jwt=without_signature)
    assert introspect(party, token, accept).body.endswith(b".")
    party.provider.faults = Faults(introspection_jwt=with_altered_signature)
    with pytest.raises(BadSignatureError):
        verified(party, introspect(party, token, accept), "ES256")
