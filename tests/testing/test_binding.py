"""The fake provider binds access tokens to certificates, and holds to it (RFC 8705 3; CONFORMANCE P7, P8)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import pytest

from gateway.oidc.messages import Call, Reply
from testing.raw_client import CALLBACK, ISSUER, VERIFIER, ProofKey, RawClient, basic, error_of, members, raw_client

OURS, THEIRS = "thumbprint-of-ours", "thumbprint-of-theirs"


def bound_client() -> RawClient:
    party = raw_client()
    party.client = replace(party.client, tls_client_certificate_bound_access_tokens=True)
    party.provider.clients = [party.client]
    return party


def over_tls(party: RawClient, call: Call, certificate: str | None) -> Reply:
    party.provider.presented_certificate = certificate or ""
    return party.provider.transport(replace(call, mutual_tls=certificate is not None))


def redeem(party: RawClient, certificate: str | None, **headers: str) -> Reply:
    form = {
        "grant_type": "authorization_code", "code": party.code(), "redirect_uri": CALLBACK, "code_verifier": VERIFIER,
    }  # fmt: skip
    sent = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": basic(party.client.client_id, party.client.client_secret),
        **headers,
    }
    call = Call(method="POST", url=f"{ISSUER}/token", headers=sent, body=urlencode(form).encode("ascii"))
    return over_tls(party, call, certificate)


def userinfo(party: RawClient, token: str, certificate: str | None) -> Reply:
    call = Call(method="GET", url=f"{ISSUER}/userinfo", headers={"Authorization": f"Bearer {token}"})
    return over_tls(party, call, certificate)


def test_a_token_is_bound_to_the_certificate() -> None:
    party = bound_client()
    answer = members(redeem(party, OURS))
    assert answer["token_type"] == "Bearer"
    assert userinfo(party, answer["access_token"], OURS).status == 200
    described = members(party.post("/introspect", {"token": answer["access_token"]}))
    assert described["cnf"] == {"x5t#S256": OURS}


@pytest.mark.parametrize("certificate", [pytest.param(THEIRS, id="another"), pytest.param(None, id="none")])
def test_a_bound_token_without_its_certificate_is_refused(certificate: str | None) -> None:
    party = bound_client()
    token = members(redeem(party, OURS))["access_token"]
    reply = userinfo(party, token, certificate)
    assert (reply.status, error_of(reply)) == (401, "invalid_token")
    assert reply.headers["www-authenticate"].startswith("Bearer ")
    assert userinfo(party, token, OURS).status == 200


def test_a_client_that_registered_for_it_has_to_present_its_certificate() -> None:
    party = bound_client()
    reply = redeem(party, None)
    assert (reply.status, error_of(reply)) == (400, "invalid_request")


def test_an_unbound_token_needs_no_certificate() -> None:
    party = raw_client()
    token = members(redeem(party, OURS))["access_token"]
    assert userinfo(party, token, None).status == 200


def test_a_token_may_be_bound_to_both() -> None:
    party, key = bound_client(), ProofKey()
    answer = members(redeem(party, OURS, DPoP=key.proof(f"{ISSUER}/token")))
    assert answer["token_type"] == "DPoP"
    described = members(party.post("/introspect", {"token": answer["access_token"]}))
    assert described["cnf"] == {"jkt": key.jkt, "x5t#S256": OURS}
