"""A plain client of the npm provider that shares no code with the gateway: raw requests and joserfc.

It says whether the provider does what the matrix needs, so that a red case of the matrix is about the gateway.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import requests
from joserfc import jwe, jwt
from joserfc.jwe import JWERegistry
from joserfc.jwk import ECKey, KeySet, RSAKey

HTTP_SECONDS: Final = 10.0
CALLBACK: Final = "http://127.0.0.1:1/callback"
SIGNED_OUT: Final = "http://127.0.0.1:1/signed-out"
SECRET: Final = "Password1 %&+:/;=?#~ and long enough for HS256"
VERIFIER: Final = "a-code-verifier-that-is-long-enough-for-rfc-7636"
CHALLENGE: Final = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519", "HS256"]
ENCRYPTION: Final = ["RSA-OAEP-256", "ECDH-ES", "A128CBC-HS256", "A256GCM"]

SIGNING_KEY: Final = ECKey.generate_key("P-256", {"kid": "client-sig", "use": "sig", "alg": "ES256"})
ENCRYPTION_KEY: Final = RSAKey.generate_key(2048, {"kid": "client-enc", "use": "enc", "alg": "RSA-OAEP-256"})
AGREEMENT_KEY: Final = ECKey.generate_key("P-256", {"kid": "client-ecdh", "use": "enc", "alg": "ECDH-ES"})
WRAPPING_KEY: Final = ECKey.generate_key("P-256", {"kid": "client-kw", "use": "enc", "alg": "ECDH-ES+A256KW"})
DECRYPTION_KEYS: Final = KeySet([ENCRYPTION_KEY, AGREEMENT_KEY, WRAPPING_KEY])
CLIENT_JWKS: Final = {"keys": [key.as_dict(private=False) for key in (SIGNING_KEY, *DECRYPTION_KEYS.keys)]}


def registration(client_id: str, **members: object) -> dict[str, object]:
    """Return a client's metadata (RFC 7591), with the members that this client has on top of the common ones."""
    return {
        "client_id": client_id,
        "redirect_uris": [CALLBACK],
        "post_logout_redirect_uris": [SIGNED_OUT],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
        **({"client_secret": SECRET} if _needs_secret(members) else {}),
        **members,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One provider as a plain client sees it."""

    session: requests.Session
    metadata: Mapping[str, Any]

    @property
    def issuer(self) -> str:
        return str(self.metadata["issuer"])

    def endpoint(self, name: str, *, mtls: bool = False) -> str:
        aliases = self.metadata.get("mtls_endpoint_aliases", {}) if mtls else {}
        return str(aliases.get(name, self.metadata[name]))

    def keys(self) -> KeySet:
        return KeySet.import_key_set(self.get(str(self.metadata["jwks_uri"])).json())

    def get(self, url: str, headers: Mapping[str, str] | None = None, cert: Any = None) -> requests.Response:
        return self.session.get(url, headers=headers, cert=cert, timeout=HTTP_SECONDS, allow_redirects=False)

    def post(
        self, url: str, data: Mapping[str, str], headers: Mapping[str, str] | None = None, cert: Any = None
    ) -> requests.Response:
        return self.session.post(
            url, data=data, headers=headers, cert=cert, timeout=HTTP_SECONDS, allow_redirects=False
        )

    def authorization_url(self, parameters: Mapping[str, str]) -> str:
        return f"{self.metadata['authorization_endpoint']}?{urlencode(parameters)}"

    def verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a JWT of the provider, decrypted if need be, its signature checked."""
        signed = token if token.count(".") == 2 else _decrypted(token)
        return dict(jwt.decode(signed, self.keys(), algorithms=ALGORITHMS).claims)

    def request_object(self, client_id: str, parameters: Mapping[str, str], *, encrypt_for: str | None = None) -> str:
        """Return a signed request object (RFC 9101), encrypted with this algorithm to the provider if asked."""
        now = int(time.time())
        claims = {**parameters, "iss": client_id, "aud": self.issuer, "iat": now, "nbf": now, "exp": now + 60}
        signed = jwt.encode({"alg": "ES256", "kid": "client-sig"}, {**claims, "jti": _random()}, SIGNING_KEY)
        if encrypt_for is None:
            return signed
        key = next(key for key in self.keys().keys if key.alg == encrypt_for)
        header = {"alg": encrypt_for, "enc": "A256GCM", "cty": "JWT", "kid": key.kid}
        return jwe.encrypt_compact(header, signed, key, algorithms=ENCRYPTION)

    def assertion(self, client_id: str, algorithm: str) -> dict[str, str]:
        """Return the parameters of private_key_jwt, or with HS256 of client_secret_jwt (OIDC Core 9)."""
        now = int(time.time())
        claims = {"iss": client_id, "sub": client_id, "aud": self.issuer, "jti": _random(), "iat": now, "exp": now + 60}
        return {
            "client_id": client_id,
            "client_assertion": _signed({"alg": algorithm}, claims, algorithm),
            "client_assertion_type": ASSERTION_TYPE,
        }


def authorization_parameters(client_id: str, **others: str) -> dict[str, str]:
    """Return the parameters of an authorization request, with others on top."""
    return {
        "client_id": client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK,
        "scope": "openid email",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **others,
    }


def code_parameters(code: str) -> dict[str, str]:
    """Return the parameters of the token request, without the client's authentication."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }


def dpop_proof(method: str, url: str, nonce: str | None = None, access_token: str | None = None) -> str:
    """Return a DPoP proof made with the client's signing key (RFC 9449 4.2)."""
    claims = {"htm": method, "htu": url, "iat": int(time.time()), "jti": _random()}
    if nonce is not None:
        claims["nonce"] = nonce
    if access_token is not None:
        claims["ath"] = base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=").decode()
    public = {
        name: value for name, value in SIGNING_KEY.as_dict(private=False).items() if name in ["kty", "crv", "x", "y"]
    }
    return jwt.encode({"typ": "dpop+jwt", "alg": "ES256", "jwk": public}, claims, SIGNING_KEY)


def _needs_secret(members: Mapping[str, object]) -> bool:
    return str(members.get("token_endpoint_auth_method", "client_secret_post")).startswith("client_secret")


def _signed(header: dict[str, Any], claims: dict[str, Any], algorithm: str) -> str:
    if algorithm == "HS256":
        from_secret = KeySet.import_key_set({"keys": [{"kty": "oct", "k": _base64url(SECRET.encode())}]})
        return jwt.encode(header, claims, from_secret.keys[0])
    return jwt.encode({**header, "kid": "client-sig"}, claims, SIGNING_KEY)


def _decrypted(token: str) -> str:
    # The provider repeats `iss` and `aud` in the header, which a strict registry does not know (RFC 7519 5.3).
    registry = JWERegistry(algorithms=ENCRYPTION, strict_check_header=False)
    plain = jwe.decrypt_compact(token, DECRYPTION_KEYS, registry=registry).plaintext
    assert plain is not None
    return plain.decode("ascii")


def _random() -> str:
    return secrets.token_urlsafe(16)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
