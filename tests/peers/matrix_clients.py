"""Clients of every kind for the npm provider, and what a plain client does with each: the steps of the tests."""

from collections.abc import Mapping
from typing import Any

import requests

from .matrix_client import (
    CLIENT_JWKS,
    SECRET,
    Peer,
    authorization_parameters,
    code_parameters,
    registration,
)
from .matrix_sign_in import Delivery, sign_in_over_http
from .matrix_tls import CertificateFiles, certificate_jwk
from .node_provider import NodeProvider

EMAIL = "alice@example.com"
ACCOUNTS = {"alice": {"password": "correct horse", "claims": {"email": EMAIL, "email_verified": True}}}

Certificates = dict[str, CertificateFiles]


def encrypted_response(kind: str, algorithm: str = "RSA-OAEP-256") -> dict[str, object]:
    return {
        f"{kind}_signed_response_alg": "ES256",
        f"{kind}_encrypted_response_alg": algorithm,
        f"{kind}_encrypted_response_enc": "A256GCM",
        "jwks": CLIENT_JWKS,
    }


def registrations(certificates: Certificates) -> list[dict[str, object]]:
    key_jwks = {"token_endpoint_auth_method": "private_key_jwt", "jwks": CLIENT_JWKS}
    return [
        registration("post"),
        registration("client_secret_jwt", token_endpoint_auth_method="client_secret_jwt"),
        registration("private_key_jwt", **key_jwks, authorization_details_types=["payment"]),
        registration("par-required", **key_jwks, require_pushed_authorization_requests=True),
        registration("jar-required", jwks=CLIENT_JWKS, require_signed_request_object=True),
        registration(
            "hybrid",
            response_types=["code id_token"],
            grant_types=["authorization_code", "implicit"],
            id_token_signed_response_alg="Ed25519",
        ),
        registration("dpop", dpop_bound_access_tokens=True),
        registration("fapi", **key_jwks, fapi_profile="2.0", dpop_bound_access_tokens=True),
        registration(
            "tls_client_auth",
            token_endpoint_auth_method="tls_client_auth",
            tls_client_auth_subject_dn="CN=client",
            tls_client_certificate_bound_access_tokens=True,
        ),
        registration(
            "self_signed_tls_client_auth",
            token_endpoint_auth_method="self_signed_tls_client_auth",
            jwks={"keys": [certificate_jwk(certificates["self_signed"])]},
            tls_client_certificate_bound_access_tokens=True,
        ),
        registration("encrypted-id-token", **encrypted_response("id_token")),
        registration("agreed-id-token", **encrypted_response("id_token", "ECDH-ES")),
        registration("encrypted-userinfo", **encrypted_response("userinfo")),
        registration("signed-userinfo", userinfo_signed_response_alg="PS256"),
        registration("encrypted-response", **encrypted_response("authorization")),
        registration("encrypted-introspection", **encrypted_response("introspection")),
    ]


def connect(session: requests.Session, provider: NodeProvider) -> Peer:
    session.trust_env = False
    session.verify = str(provider.ca)
    answer = session.get(f"{provider.issuer}/.well-known/openid-configuration", timeout=10)
    return Peer(session=session, metadata=answer.json())


def sign_in(peer: Peer, client_id: str, **parameters: str) -> Delivery:
    return sign_in_over_http(peer.session, peer.authorization_url(authorization_parameters(client_id, **parameters)))


def authentication(peer: Peer, client_id: str) -> dict[str, str]:
    if client_id == "client_secret_jwt":
        return peer.assertion(client_id, "HS256")
    if client_id in {"private_key_jwt", "par-required", "fapi"}:
        return peer.assertion(client_id, "ES256")
    if client_id.endswith("tls_client_auth"):
        return {"client_id": client_id}
    return {"client_id": client_id, "client_secret": SECRET}


def redeem(peer: Peer, client_id: str, code: str, **others: str) -> requests.Response:
    data = {**code_parameters(code), **authentication(peer, client_id), **others}
    return peer.post(peer.endpoint("token_endpoint"), data)


def tokens_of(peer: Peer, client_id: str, **parameters: str) -> dict[str, Any]:
    answer = redeem(peer, client_id, sign_in(peer, client_id, **parameters).parameters["code"])
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def introspect(peer: Peer, client_id: str, token: str, accept: str = "application/json") -> requests.Response:
    data = {"token": token, **authentication(peer, client_id)}
    return peer.post(peer.endpoint("introspection_endpoint"), data, {"Accept": accept})


def push(peer: Peer, client_id: str, parameters: Mapping[str, str], dpop: str | None = None) -> requests.Response:
    headers = {"DPoP": dpop} if dpop else {}
    data = {**parameters, **authentication(peer, client_id)}
    return peer.post(peer.endpoint("pushed_authorization_request_endpoint"), data, headers)


def pushed_url(peer: Peer, client_id: str, pushed: requests.Response) -> str:
    assert pushed.status_code == 201, pushed.text
    return peer.authorization_url({"client_id": client_id, "request_uri": pushed.json()["request_uri"]})


def pair(files: CertificateFiles) -> tuple[str, str]:
    return str(files.certificate), str(files.key)
