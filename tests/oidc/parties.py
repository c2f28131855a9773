"""The provider and the client of these tests, their keys, and how a message between them is read back."""

import json
from dataclasses import replace
from functools import cache
from typing import Final
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.oidc.client import Client
from gateway.oidc.jose import parse_signed, verify
from gateway.oidc.keys import OwnKey, load_own_keys
from gateway.oidc.messages import Call, Moment
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.transaction import Transaction
from oidc.keys import PrivateKey, ec_key, ed_key, key_set, rsa_key

NOW: Final = 1_800_000_000
LEEWAY: Final = 60
ISSUER: Final = "https://op.example"
SECRET: Final = "a client secret with punctuation %&+:/; and more than 64 bytes of it"
METADATA: Final = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint="https://op.example/authorize",
    token_endpoint="https://op.example/token",
    jwks_uri="https://op.example/jwks",
)
CLIENT: Final = Client(
    client_id="c1",
    client_secret=SECRET,
    token_endpoint_auth_method="client_secret_post",
    redirect_uri="https://app.example/cb?p=op",
    post_logout_redirect_uri="https://app.example/",
    leeway=LEEWAY,
)
CREDENTIALS: Final = {"client_id": "c1", "client_secret": SECRET}
TRANSACTION: Final = Transaction(
    provider="op", issuer=ISSUER, state="st", nonce="no", code_verifier="cv", return_to="/a", created_at=NOW
)


class CountingEntropy:
    """A source of random bytes that is not random: each call gives the next number."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * size


def new_moment() -> Moment:
    """Give the time of these tests and entropy of its own."""
    return Moment(now=NOW, entropy=CountingEntropy())


def private_key(owner: str, algorithm: str) -> PrivateKey:
    """Return an owner's key for a signature or key-encryption algorithm."""
    if algorithm.startswith(("ES", "ECDH")):
        return ec_key(owner, {"ES384": "P-384", "ES512": "P-521"}.get(algorithm, "P-256"))
    return ed_key(owner) if algorithm.startswith("Ed") else rsa_key(owner)


@cache
def _own_key(owner: str, algorithm: str, use: str) -> OwnKey:
    pem = private_key(owner, algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (key,) = load_own_keys(pem, use=use, signing_algorithm=algorithm if use == "sig" else None,
                           encryption_algorithm=algorithm if use == "enc" else None)  # fmt: skip
    return key


def signing_key(algorithm: str, kid: str = "s1") -> OwnKey:
    """Return our key for that signature algorithm."""
    return replace(_own_key("us", algorithm, "sig"), kid=kid)


def decryption_key(algorithm: str, kid: str = "e1", owner: str = "us") -> OwnKey:
    """Return a key that something is encrypted to, ours unless another owner is named."""
    return replace(_own_key(owner, algorithm, "enc"), kid=kid)


def form(call: Call) -> dict[str, str]:
    """Read the form of a call, in which each name may be once."""
    pairs = form_pairs(call)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def form_pairs(call: Call) -> list[tuple[str, str]]:
    """Read the form of a call as it was written."""
    return parse_qsl(call.body.decode("ascii"), strict_parsing=True, keep_blank_values=True)


def checked_claims(raw: str, key: OwnKey) -> tuple[dict[str, object], dict[str, object]]:
    """Check the signature of something that we signed, and return header and claims."""
    token = parse_signed(raw, (key.algorithm,))
    return dict(token.header), verify(token, key_set(json.loads(json.dumps(key.public_jwk()))))
