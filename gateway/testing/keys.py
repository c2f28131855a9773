"""The provider's keys, and the key set in which a client has to find them (OIDC Core 10, RFC 7517 5)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gateway.oidc.messages import base64url
from gateway.testing.jwk import PrivateKey, encoded_number, new_private_key, public_jwk
from gateway.testing.jws import KIND_OF_ALGORITHM

KidMode = Literal["named", "absent_single", "absent_several"]
"""Whether keys have a `kid`; without one, the key set has either the signing keys alone or many others beside them."""

Jwk = dict[str, object]

_KIND_OF_ENCRYPTION = {"RSA-OAEP": "RSA", "RSA-OAEP-256": "RSA"}
_ENCRYPTION_DECOYS = (("RSA", "RSA-OAEP-512"), ("P-256", "ECDH-ES+A192KW"), ("secp256k1", "ECDH-ES+A192KW"))
"""Of algorithms that the provider does not offer: whoever encrypts to one of these keys is never read."""

_DECOY_KINDS = ("RSA", "P-256", "P-384", "Ed25519", "secp256k1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderKeys:
    """One generation of keys: by kind those that sign, which share one `kid`, and those that decrypt, with another."""

    kid: str
    signing: Mapping[str, PrivateKey] = field(repr=False)
    decryption: Mapping[str, PrivateKey] = field(repr=False)
    decryption_kid: str
    key_set: dict[str, object]

    def signing_key(self, algorithm: str) -> PrivateKey:
        """Return the key that signs with an asymmetric algorithm."""
        return self.signing[KIND_OF_ALGORITHM[algorithm]]


def new_keys(algorithms: Iterable[str], encryption: Iterable[str], kid_mode: KidMode) -> ProviderKeys:
    """Make the keys for signature algorithms and for those of request object encryption."""
    used = sorted(set(algorithms))
    signing = {kind: new_private_key(kind) for kind in _kinds(KIND_OF_ALGORITHM.get(one, "") for one in used)}
    decryption = {
        kind: new_private_key(kind) for kind in _kinds(_KIND_OF_ENCRYPTION.get(one, "P-256") for one in encryption)
    }
    kids = secrets.token_urlsafe(8), secrets.token_urlsafe(8)
    return ProviderKeys(
        kid=kids[0],
        signing=signing,
        decryption=decryption,
        decryption_kid=kids[1],
        key_set=_key_set(kids, kid_mode, used, signing, decryption),
    )


def _kinds(kinds: Iterable[str]) -> list[str]:
    return sorted({kind for kind in kinds if kind})


def _key_set(
    kids: tuple[str, str],
    kid_mode: KidMode,
    algorithms: list[str],
    signing: Mapping[str, PrivateKey],
    decryption: Mapping[str, PrivateKey],
) -> Jwk:
    """Publish the keys among others that a client has to pass over, in no helpful order and without `alg`."""
    own: list[Jwk] = [{**public_jwk(key), "use": "sig"} for key in signing.values()]
    if kid_mode == "absent_single":
        return {"keys": own}
    if kid_mode == "absent_several":
        return {"keys": [*_other_signing_keys(), *own, *_other_signing_keys()]}
    encryption: list[Jwk] = [{**public_jwk(key), "use": "enc", "kid": kids[1]} for key in decryption.values()]
    strangers = [*_unusable_keys(), *encryption, *_other_signing_keys()]
    named = [{"kid": secrets.token_urlsafe(8), **jwk} for jwk in strangers]
    middle = len(named) // 2
    alike = [{**jwk, "kid": kids[0]} for jwk in (*_decoys(signing, algorithms), *own)]
    return {"keys": [*named[:middle], *alike, *named[middle:]], "x_unknown": True}


def _decoys(signing: Mapping[str, PrivateKey], algorithms: list[str]) -> list[Jwk]:
    """Make keys that bear the `kid` of the signing key and are of another type, algorithm or use."""
    others: list[Jwk] = [{**_decoy(kind), "use": "sig"} for kind in _DECOY_KINDS if kind not in signing]
    encryption: list[Jwk] = [{**_decoy(kind), "use": "enc", "alg": alg} for kind, alg in _ENCRYPTION_DECOYS]
    unused = next(one for one in ("RS512", "PS384", "RS384", "PS512") if one not in algorithms)
    return [*others, *encryption, {**_decoy("RSA"), "use": "sig", "alg": unused}]


def _other_signing_keys() -> list[Jwk]:
    return [{**_decoy(kind), "use": "sig"} for kind in ("secp256k1", "P-256", "Ed25519", "RSA")]


def _unusable_keys() -> list[Jwk]:
    return [
        {"kty": "AKP", "alg": "ML-DSA-44", "pub": base64url(secrets.token_bytes(32)), "use": "sig"},
        *({**_decoy(kind), "use": "enc", "alg": alg} for kind, alg in _ENCRYPTION_DECOYS),
        {"kty": "EC", "crv": "P-256", "x": base64url(bytes(32)), "y": base64url(bytes(32)), "use": "sig"},
    ]


def _decoy(kind: str) -> Jwk:
    if kind != "RSA":
        return public_jwk(new_private_key(kind))
    # Nobody signs with it, so any odd number of the right size will do, and costs nothing to find.
    modulus = secrets.randbits(2048) | 1 << 2047 | 1
    return {"kty": "RSA", "n": encoded_number(modulus, 256), "e": "AQAB"}
