"""What an honest provider says, to begin from: keys, tokens, answers; made once."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from oidc.encryption import Parts, encrypted
from oidc.keys import ec_key, ed_key, encode, key_set, public_jwk, rsa_key

from gateway.oidc.client import Client, Protection
from gateway.oidc.jose import KeySet, half_hash
from gateway.oidc.keys import OwnKey, load_own_keys
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.transaction import Transaction

Members = dict[str, object]

NOW: Final = 1_800_000_000
ISSUER: Final = "https://op.example"
SECRET: Final = "a secret of at least thirty-two bytes, for MACs"
CODE: Final = "the-code"
ACCESS_TOKEN: Final = "the-access-token"
SIGNING: Final = ("EdDSA", "RS256", "HS256")
ENCRYPTION: Final = ("RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW")

CLIENT: Final = Client(
    client_id="app",
    client_secret=SECRET,
    redirect_uri="https://app.example/oauth2/callback",
    post_logout_redirect_uri="https://app.example/oauth2/signed_out",
    id_token=Protection(algorithms=SIGNING),
)
SIGNED_CLIENT: Final = replace(
    CLIENT,
    response_mode="query.jwt",
    userinfo=Protection(algorithms=SIGNING),
    authorization_response=Protection(algorithms=SIGNING),
    introspection=Protection(algorithms=SIGNING),
)
METADATA: Final = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/authorize",
    token_endpoint=f"{ISSUER}/token",
    jwks_uri=f"{ISSUER}/jwks",
    authorization_response_iss_parameter_supported=True,
)
TRANSACTION: Final = Transaction(
    provider="default",
    issuer=ISSUER,
    state="the-state",
    nonce="the-nonce",
    code_verifier="the-code-verifier",
    return_to="/home",
    created_at=NOW,
    max_age=3600,
)

DISCOVERY: Final[Members] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/end_session",
    "mtls_endpoint_aliases": {"token_endpoint": "https://mtls.op.example/token"},
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
    "authorization_response_iss_parameter_supported": True,
    "require_pushed_authorization_requests": False,
}
JWKS: Final[Members] = {
    "keys": [
        public_jwk(rsa_key("op"), {"kid": "rsa", "use": "sig", "alg": "RS256"}),
        public_jwk(ec_key("op"), {"kid": "ec", "use": "sig"}),
        public_jwk(ed_key("op"), {"kid": "ed", "key_ops": ["verify"]}),
        public_jwk(ec_key("op", "P-521"), {"kid": "enc", "use": "enc", "alg": "ECDH-ES"}),
    ]
}
KEYS: Final[KeySet] = key_set(*(public_jwk(key, {}) for key in (rsa_key("op"), ec_key("op"), ed_key("op"))))

ID_TOKEN: Final[Members] = {
    "iss": ISSUER,
    "sub": "alice",
    "aud": ["app"],
    "azp": "app",
    "exp": NOW + 300,
    "iat": NOW,
    "nbf": NOW,
    "auth_time": NOW - 60,
    "nonce": TRANSACTION.nonce,
    "acr": "silver",
    "at_hash": half_hash(ACCESS_TOKEN, "EdDSA"),
    "c_hash": half_hash(CODE, "EdDSA"),
    "s_hash": half_hash(TRANSACTION.state, "EdDSA"),
}
TOKEN_ANSWER: Final[Members] = {
    "access_token": ACCESS_TOKEN,
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "the-refresh-token",
    "id_token": "a.b.c",
    "scope": "openid profile",
}
ERROR_ANSWER: Final[Members] = {"error": "invalid_grant", "error_description": "it is gone"}
USERINFO: Final[Members] = {
    "sub": "alice",
    "name": "Alice",
    "email": "alice@op.example",
    "email_verified": True,
    "groups": ["staff", "ops"],
    "address": {"country": "SE"},
    "id": 42,
}
SIGNED_USERINFO: Final[Members] = {**USERINFO, "iss": ISSUER, "aud": "app", "exp": NOW + 60}
INTROSPECTION: Final[Members] = {
    "active": True,
    "sub": "alice",
    "aud": ["api"],
    "iss": ISSUER,
    "scope": "read write",
    "exp": NOW + 60,
    "nbf": NOW,
    "token_type": "Bearer",
    "cnf": {"jkt": "x"},
}
SIGNED_INTROSPECTION: Final[Members] = {
    "iss": ISSUER,
    "aud": "app",
    "iat": NOW,
    "token_introspection": INTROSPECTION,
}
EXCHANGE: Final[Members] = {
    "access_token": "another-token",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer",
    "expires_in": 60,
    "scope": "read",
}
PUSHED: Final[Members] = {"request_uri": "urn:ietf:params:oauth:request_uri:1", "expires_in": 60}
REGISTRATION: Final[Members] = {
    "client_id": "registered",
    "client_secret": SECRET,
    "client_secret_expires_at": 0,
    "client_id_issued_at": NOW,
    "registration_access_token": "registration-token",
    "registration_client_uri": f"{ISSUER}/registration/1",
    "redirect_uris": [CLIENT.redirect_uri],
    "response_types": ["code id_token", "code"],
    "grant_types": ["authorization_code"],
    "token_endpoint_auth_method": "client_secret_basic",
    "id_token_signed_response_alg": "ES256",
    "jwks": JWKS,
}
JARM: Final[Members] = {
    "iss": ISSUER,
    "aud": "app",
    "exp": NOW + 60,
    "code": CODE,
    "state": TRANSACTION.state,
}
RESPONSE: Final = (("code", CODE), ("state", TRANSACTION.state), ("iss", ISSUER))


def private_jwk() -> Members:
    """Write a private P-256 key as a JWK."""
    key = ec_key("us")
    return {
        **public_jwk(key, {"kid": "us", "use": "sig", "alg": "ES256"}),
        "d": _scalar(key.private_numbers().private_value),
    }


def private_rsa_jwk() -> Members:
    """Write a private RSA key as a JWK (RFC 7518 6.3.2)."""
    numbers = rsa_key("us").private_numbers()
    named = {"d": numbers.d, "p": numbers.p, "q": numbers.q, "dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {**public_jwk(rsa_key("us"), {"use": "enc"}), **{name: _scalar(value) for name, value in named.items()}}


def pem() -> str:
    """Write a private key as PEM."""
    key = ec_key("us")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _scalar(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


OWN_KEYS: Final[tuple[OwnKey, ...]] = (
    *load_own_keys(json.dumps({**private_rsa_jwk(), "alg": "RSA-OAEP-256", "kid": "rsa"}).encode()),
    *load_own_keys(json.dumps({**private_jwk(), "use": "enc", "alg": "ECDH-ES", "kid": "ec"}).encode()),
    *load_own_keys(json.dumps({**private_jwk(), "use": "enc", "alg": "ECDH-ES+A128KW", "kid": "kw"}).encode()),
)


def token(algorithm: str, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Sign claims with the provider's key for an algorithm, whatever the header says."""
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{signed}.{encode(_signature(algorithm, signed.encode()))}"


def jwe(algorithm: str, plaintext: bytes) -> Parts:
    """Encrypt to our own key for an algorithm."""
    recipient = rsa_key("us").public_key() if algorithm.startswith("RSA") else ec_key("us").public_key()
    return encrypted(plaintext, algorithm, "A128GCM", recipient)


def _signature(algorithm: str, data: bytes) -> bytes:
    if algorithm == "EdDSA":
        return ed_key("op").sign(data)
    if algorithm == "RS256":
        return rsa_key("op").sign(data, PKCS1v15(), SHA256())
    return hmac.digest(SECRET.encode(), data, "sha256")
