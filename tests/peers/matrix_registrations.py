"""The gateway's registrations at the npm provider: a client for each way to authenticate and to protect tokens."""

from typing import Any, Final

from harness import CALLBACK, SIGNED_OUT

from .matrix_client import CLIENT_JWKS, registration
from .matrix_clients import Certificates
from .matrix_gateway import AUTH_METHODS
from .matrix_tls import certificate_jwk

OBSERVER: Final = "post"
"""A plain client that only looks tokens up."""

SIGNATURES: Final = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256")
KEY_ENCRYPTION: Final = ("RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW")
PROTECTED: Final = ("id_token", "userinfo", "authorization", "introspection")

Members = dict[str, object]


def gateway_registrations(certificates: Certificates) -> list[Members]:
    """Return the metadata of all clients that the matrix uses."""
    return [
        registration(OBSERVER),
        *(_client(method, **_authentication(method, certificates)) for method in AUTH_METHODS),
        *(_client(f"signed-{name}", id_token_signed_response_alg=name) for name in SIGNATURES),
        *(_client(f"{kind}-{name}", **_encrypted(kind, name)) for kind in PROTECTED for name in KEY_ENCRYPTION),
        _client("userinfo-ES256", userinfo_signed_response_alg="ES256"),
        _client("introspection-ES256", introspection_signed_response_alg="ES256"),
        _client("hybrid", response_types=["code id_token"], grant_types=[*_GRANTS, "implicit"]),
        _client("request-object", require_signed_request_object=True),
        _client("payment", authorization_details_types=["payment"]),
        _client("dpop", dpop_bound_access_tokens=True),
        _client("mtls", tls_client_certificate_bound_access_tokens=True),
        *(
            _client(f"fapi-{method}-{constraint}", **_fapi(constraint), **_authentication(method, certificates))
            for method in ("private_key_jwt", "tls_client_auth")
            for constraint in ("dpop", "mtls")
        ),
    ]


_GRANTS: Final = ["authorization_code", "refresh_token"]
_BOUND: Final = {"dpop": "dpop_bound_access_tokens", "mtls": "tls_client_certificate_bound_access_tokens"}


def _client(client_id: str, **members: Any) -> Members:
    own = {"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [SIGNED_OUT], "jwks": CLIENT_JWKS}
    return registration(client_id, **{**own, **members})


def _authentication(method: str, certificates: Certificates) -> Members:
    members: Members = {"token_endpoint_auth_method": method}
    if method == "tls_client_auth":
        members["tls_client_auth_subject_dn"] = "CN=client"
    if method == "self_signed_tls_client_auth":
        members["jwks"] = {"keys": [*CLIENT_JWKS["keys"], certificate_jwk(certificates["self_signed"])]}
    return members


def _encrypted(kind: str, algorithm: str) -> Members:
    return {
        f"{kind}_signed_response_alg": "ES256",
        f"{kind}_encrypted_response_alg": algorithm,
        f"{kind}_encrypted_response_enc": "A256GCM",
    }


def _fapi(constraint: str) -> Members:
    return {
        "fapi_profile": "2.0",
        "require_pushed_authorization_requests": True,
        "id_token_signed_response_alg": "ES256",
        "authorization_signed_response_alg": "ES256",
        _BOUND[constraint]: True,
    }
