"""Opening what the provider protects for us: decryption where that was agreed, then a signature still to be checked."""

from __future__ import annotations

from gateway.oidc.client import Client, Protection
from gateway.oidc.jose import SignedToken, parse_signed
from gateway.oidc.jwe import decrypt


def open_text(raw: str, protection: Protection, client: Client) -> str:
    """Decrypt a token where encryption was agreed; what is not encrypted then is refused (OIDC Core 3.1.3.7 (1)).

    Raises `jwe_not_encrypted`, `jwe_alg_refused` and `jwe_decryption_failed`.
    """
    if protection.encryption is None:
        return raw
    algorithm, encoding = protection.encryption
    keys, secret = client.decryption_keys, client.client_secret
    return decrypt(raw, algorithm=algorithm, encoding=encoding, keys=keys, secret=secret)


def open_signed(raw: str, protection: Protection, client: Client) -> SignedToken:
    """Open a token and take the JWS in it apart; raises as `open_text` and `parse_signed` do."""
    return parse_signed(open_text(raw, protection, client), protection.algorithms)
