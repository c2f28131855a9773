"""Mutual TLS at the fake provider: addresses of their own and tokens bound to the certificate (RFC 8705, P7, K8)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.oidc.messages import Call
from gateway.testing.client_auth import CERTIFICATE_KEY
from gateway.testing.wsgi import exchange
from testing.full_client import CALLBACK, CERTIFICATE, ISSUER, VERIFIER, FullClient, answer, full_client, members

ALIASES = {
    "token_endpoint": "/mtls/token",
    "pushed_authorization_request_endpoint": "/mtls/par",
    "userinfo_endpoint": "/mtls/userinfo",
    "introspection_endpoint": "/mtls/introspect",
    "revocation_endpoint": "/mtls/revoke",
}


def bound_client(**settings: Any) -> FullClient:
    return full_client("tls_client_auth", client_tls_client_certificate_bound_access_tokens=True, **settings)


def aliased_tokens(party: FullClient) -> dict[str, Any]:
    code = answer(party.authorize(party.parameters()))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    return members(party.post("/mtls/token", form))


def metadata_of(party: FullClient) -> dict[str, Any]:
    metadata: dict[str, Any] = party.browser.get(f"{ISSUER}/.well-known/openid-configuration").json()
    return metadata


def test_the_aliases_are_published_where_there_are_any() -> None:
    party = bound_client()
    assert "mtls_endpoint_aliases" not in metadata_of(party)
    party.provider.mtls_aliases = True
    aliases = {name: f"{ISSUER}{path}" for name, path in ALIASES.items()}
    assert metadata_of(party)["mtls_endpoint_aliases"] == aliases


def test_without_aliases_there_is_nothing_at_their_place() -> None:
    party = bound_client()
    assert party.post("/mtls/token", {}).status == 404
    assert party.provider.unknown_paths == ["/tenant-one/mtls/token"]


def test_k8_a_client_with_a_certificate_comes_through_at_the_aliases() -> None:
    party = bound_client(mtls_aliases=True)
    assert party.post("/mtls/par", party.parameters()).status == 201
    token = aliased_tokens(party)["access_token"]
    assert party.userinfo(token, mutual_tls=True, path="/mtls/userinfo").status == 200
    introspected = members(party.post("/mtls/introspect", {"token": token}))
    assert introspected["cnf"] == {"x5t#S256": CERTIFICATE}
    assert party.post("/mtls/revoke", {"token": token}).status == 200
    assert party.provider.unknown_paths == []
    assert party.provider.calls["token.authorization_code"] == 1


@pytest.mark.parametrize("alias", ALIASES.values())
def test_p7_the_wrong_address_is_refused(alias: str) -> None:
    party = bound_client(mtls_aliases=True)
    for path, mutual_tls in ((alias, False), (alias.removeprefix("/mtls"), True)):
        method = "GET" if path.endswith("userinfo") else "POST"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        call = Call(method=method, url=f"{ISSUER}{path}", headers=headers, body=b"client_id=x", mutual_tls=mutual_tls)
        reply = members(party.send(call), 400)
        assert reply["error"] == "invalid_request"
        assert "certificate" in reply["error_description"]


@pytest.mark.parametrize(
    ("presented", "status"),
    [
        pytest.param(CERTIFICATE, 200, id="same"),
        pytest.param("another", 401, id="another"),
        pytest.param("", 401, id="none"),
    ],
)
def test_a_bound_token_needs_its_certificate(presented: str, status: int) -> None:
    """RFC 8705 3."""
    party = bound_client()
    token = party.tokens()["access_token"]
    party.provider.presented_certificate = presented
    assert party.userinfo(token, mutual_tls=True).status == status


def test_a_bound_token_is_refused_without_any_certificate() -> None:
    party = bound_client()
    assert party.userinfo(party.tokens()["access_token"]).status == 401


def test_a_token_that_is_bound_to_nothing_needs_none() -> None:
    party = full_client()
    token = party.tokens()["access_token"]
    assert party.userinfo(token).status == 200
    assert "cnf" not in members(party.post("/introspect", {"token": token}))


def test_the_certificate_comes_over_wsgi_too() -> None:
    party = bound_client(mtls_aliases=True)
    token = aliased_tokens(party)["access_token"]
    headers = [("Authorization", f"Bearer {token}")]
    for certificate, status in ((CERTIFICATE, 200), ("another", 401)):
        answered = exchange(
            party.provider,
            method="GET",
            url=f"{ISSUER}/mtls/userinfo",
            headers=headers,
            connection={CERTIFICATE_KEY: certificate},
        )
        assert answered.status == status
