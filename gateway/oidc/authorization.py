"""The front channel: the authorization request and the check of its response (RFC 6749 4.1, RFC 7636, RFC 9207)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from gateway.errors import (
    OP_ACCESS_DENIED,
    OP_INTERACTION_REQUIRED,
    OP_REFUSED,
    OP_TEMPORARILY_UNAVAILABLE,
    RESPONSE_CODE_MISSING,
    RESPONSE_ISS_MISMATCH,
    RESPONSE_ISS_MISSING,
    RESPONSE_STATE_MISMATCH,
    RESPONSE_STATE_MISSING,
    GatewayError,
    Problem,
)
from gateway.oidc.messages import base64url, s256, same_text
from gateway.oidc.metadata import Client, ProviderMetadata

Entropy = Callable[[int], bytes]
"""A source of that many random bytes."""

SECRET_BYTES = 32
"""256 bits for state, nonce and code verifier: 43 characters of base64url (RFC 7636 4.1)."""

_CHECKED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One login attempt, from the redirect to the callback; it lives in a cookie of the browser that began it."""

    issuer: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    return_to: str
    created_at: int
    max_age: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """A response that belongs to a transaction; only `check_authorization_response` makes one."""

    code: str = field(repr=False)
    transaction: Transaction
    checked: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.checked is not _CHECKED:
            raise TypeError("an AuthorizationResponse comes from check_authorization_response")


def new_transaction(
    *, issuer: str, return_to: str, now: int, entropy: Entropy, max_age: int | None = None
) -> Transaction:
    """Begin a login attempt with a state, a nonce and a code verifier of its own."""
    return Transaction(
        issuer=issuer,
        state=base64url(entropy(SECRET_BYTES)),
        nonce=base64url(entropy(SECRET_BYTES)),
        code_verifier=base64url(entropy(SECRET_BYTES)),
        return_to=return_to,
        created_at=now,
        max_age=max_age,
    )


def authorization_url(
    metadata: ProviderMetadata, client: Client, transaction: Transaction, extra: Mapping[str, str]
) -> str:
    """Build the URL that the browser is sent to (OIDC Core 3.1.2.1); `extra` cannot replace what protects the flow."""
    parameters = {
        **extra,
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": client.scope,
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": s256(transaction.code_verifier),
        "code_challenge_method": "S256",
    }
    if transaction.max_age is not None:
        parameters["max_age"] = str(transaction.max_age)
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return metadata.authorization_endpoint + separator + urlencode(parameters)


def check_authorization_response(
    parameters: Mapping[str, str], transaction: Transaction, metadata: ProviderMetadata
) -> AuthorizationResponse:
    """Hold a response against the transaction that this browser began.

    Raises, in the order of the checks: `response_state_missing`, `response_state_mismatch`, `response_iss_missing`
    and `response_iss_mismatch` (RFC 9207 2.4, for error responses too), one of `op_*` for an error that the provider
    reports, `response_code_missing`.
    """
    if not parameters.get("state"):
        raise GatewayError(RESPONSE_STATE_MISSING)
    if not same_text(parameters["state"], transaction.state):
        raise GatewayError(RESPONSE_STATE_MISMATCH)
    _check_issuer(parameters, transaction, metadata)
    if "error" in parameters:
        raise GatewayError(error_problem(parameters["error"]), f"error {parameters['error'][:80]!r}")
    if not parameters.get("code"):
        raise GatewayError(RESPONSE_CODE_MISSING)
    return AuthorizationResponse(code=parameters["code"], transaction=transaction, checked=_CHECKED)


def error_problem(error: str) -> Problem:
    """Map an error of the authorization endpoint to a page of ours (RFC 6749 4.1.2.1, OIDC Core 3.1.2.6)."""
    return _OP_ERRORS.get(error, OP_REFUSED)


_OP_ERRORS = {
    "access_denied": OP_ACCESS_DENIED,
    "login_required": OP_INTERACTION_REQUIRED,
    "interaction_required": OP_INTERACTION_REQUIRED,
    "consent_required": OP_INTERACTION_REQUIRED,
    "account_selection_required": OP_INTERACTION_REQUIRED,
    "temporarily_unavailable": OP_TEMPORARILY_UNAVAILABLE,
    "server_error": OP_TEMPORARILY_UNAVAILABLE,
}


def _check_issuer(parameters: Mapping[str, str], transaction: Transaction, metadata: ProviderMetadata) -> None:
    if transaction.issuer != metadata.issuer:
        raise GatewayError(RESPONSE_ISS_MISMATCH, f"begun at {transaction.issuer!r}, answered for {metadata.issuer!r}")
    issuer = parameters.get("iss")
    if issuer is None:
        if metadata.authorization_response_iss_parameter_supported:
            raise GatewayError(RESPONSE_ISS_MISSING)
        return
    if issuer != metadata.issuer:
        raise GatewayError(RESPONSE_ISS_MISMATCH, f"expected {metadata.issuer!r}, got {issuer[:200]!r}")
