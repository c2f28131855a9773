"""The authorization response: how it came, whose it is, what it says (RFC 6749 4.1.2, RFC 9207, JARM)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import (
    OP_ACCESS_DENIED,
    OP_AUTHENTICATION_UNMET,
    OP_INTERACTION_REQUIRED,
    OP_REFUSED,
    OP_REQUEST_REFUSED,
    OP_TEMPORARILY_UNAVAILABLE,
    RESPONSE_AUD_MISMATCH,
    RESPONSE_CLAIM_INVALID,
    RESPONSE_CODE_MISSING,
    RESPONSE_EXPIRED,
    RESPONSE_ISS_MISMATCH,
    RESPONSE_ISS_MISSING,
    RESPONSE_MODE_MISMATCH,
    RESPONSE_STATE_MISMATCH,
    RESPONSE_STATE_MISSING,
    GatewayError,
    Problem,
)
from gateway.oidc.client import Client
from gateway.oidc.jose import KeySet, SignedToken, unverified_claims, verify_with
from gateway.oidc.messages import quoted, same_text
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.protected import open_signed
from gateway.oidc.transaction import Transaction

_CHECKED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedResponse:
    """What arrived at the redirect URI, nothing of it proven; `token` is the JWT that it came in, if it did."""

    parameters: Mapping[str, str] = field(repr=False)
    token: SignedToken | None = field(default=None, repr=False)

    @property
    def state(self) -> str:
        """The state, by which the transaction is found."""
        return self.parameters["state"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """A response that belongs to a transaction; only `check_authorization_response` makes one.

    `id_token` is the one that came through the browser, where the response type has one; it is not checked yet.
    """

    code: str = field(repr=False)
    id_token: str | None = field(default=None, repr=False)
    transaction: Transaction
    checked: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.checked is not _CHECKED:
            raise TypeError("an AuthorizationResponse comes from check_authorization_response")


def read_response(parameters: Mapping[str, str], client: Client, *, posted: bool) -> ReceivedResponse:
    """Read what arrived, which must have come in the way that was asked for.

    Raises `response_mode_mismatch`, `response_state_missing`, and for a signed response `jwe_*` and `jwt_*`. Beside a
    signed response, other parameters do not count (JARM 2.3).
    """
    mode = client.response_mode or "query"
    if posted != client.expects_form:
        raise GatewayError(
            RESPONSE_MODE_MISMATCH, f"asked for {mode}, but the answer was {'a' if posted else 'no'} form"
        )
    token = None
    if client.authorization_response is not None:
        if "response" not in parameters:
            raise GatewayError(RESPONSE_MODE_MISMATCH, f"asked for {mode}, but the answer is not signed")
        token = open_signed(parameters["response"], client.authorization_response, client)
        claims = unverified_claims(token)
        parameters = {name: value for name, value in claims.items() if isinstance(value, str)}
    if not parameters.get("state"):
        raise GatewayError(RESPONSE_STATE_MISSING)
    return ReceivedResponse(parameters=parameters, token=token)


def check_authorization_response(
    received: ReceivedResponse,
    transaction: Transaction,
    *,
    metadata: ProviderMetadata,
    client: Client,
    keys: KeySet,
    now: int,
) -> AuthorizationResponse:
    """Hold a response against the transaction that this browser began; `keys` are for a signed one.

    Raises, in the order of the checks (JARM 2.4): `response_state_mismatch`, `response_iss_missing` and
    `response_iss_mismatch` (RFC 9207 2.4, for error responses too), for a signed one `response_aud_mismatch`,
    `response_claim_invalid`, `response_expired` and `jwt_*`; then one of `op_*` for an error that the provider
    reports, and `response_code_missing`.
    """
    parameters = received.parameters
    if not same_text(received.state, transaction.state):
        raise GatewayError(RESPONSE_STATE_MISMATCH)
    _check_issuer(received, transaction, metadata, client)
    if received.token is not None:
        _check_signed(received.token, client, keys, now)
    if "error" in parameters:
        raise GatewayError(error_problem(parameters["error"]), f"error {quoted(parameters['error'])}")
    return AuthorizationResponse(
        code=_code(parameters),
        id_token=parameters.get("id_token"),
        transaction=transaction,
        checked=_CHECKED,
    )


def error_problem(error: str) -> Problem:
    """Map an error of the authorization endpoint to a page of ours; one that nobody has registered is a refusal."""
    return _OP_ERRORS.get(error, OP_REFUSED)


_INTERACTION = ("login_required", "interaction_required", "consent_required", "account_selection_required")
_REQUEST = (
    "invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope",  # RFC 6749 4.1.2.1
    "invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported",
    "registration_not_supported",  # OIDC Core 3.1.2.6
    "invalid_target", "invalid_authorization_details", "invalid_dpop_proof",  # RFC 8707 2, RFC 9396 5, RFC 9449 5
    "invalid_client",
)  # fmt: skip

_OP_ERRORS = {
    "access_denied": OP_ACCESS_DENIED,
    "unmet_authentication_requirements": OP_AUTHENTICATION_UNMET,
    "temporarily_unavailable": OP_TEMPORARILY_UNAVAILABLE,
    "server_error": OP_TEMPORARILY_UNAVAILABLE,
    **dict.fromkeys(_INTERACTION, OP_INTERACTION_REQUIRED),
    **dict.fromkeys(_REQUEST, OP_REQUEST_REFUSED),
}


def _code(parameters: Mapping[str, str]) -> str:
    code = parameters.get("code", "")
    if not code or not code.isascii() or not code.isprintable():  # RFC 6749 appendix A.11; `c_hash` is of ASCII.
        raise GatewayError(RESPONSE_CODE_MISSING, "a code that is no code" if code else "")
    return code


def _check_issuer(
    received: ReceivedResponse, transaction: Transaction, metadata: ProviderMetadata, client: Client
) -> None:
    if transaction.issuer != metadata.issuer:
        raise GatewayError(RESPONSE_ISS_MISMATCH, f"begun at {transaction.issuer!r}, answered for {metadata.issuer!r}")
    issuer = received.parameters.get("iss")
    if issuer is None:
        promised = metadata.authorization_response_iss_parameter_supported
        # An ID token in the answer has an `iss` that is checked, and some providers think that it suffices.
        if received.token is not None or (promised and "id_token" not in client.response_type.split()):
            raise GatewayError(RESPONSE_ISS_MISSING)
        return
    if issuer != metadata.issuer:
        raise GatewayError(RESPONSE_ISS_MISMATCH, f"expected {metadata.issuer!r}, got {issuer[:200]!r}")


def _check_signed(token: SignedToken, client: Client, keys: KeySet, now: int) -> None:
    claims = unverified_claims(token)
    audience = claims.get("aud")
    if audience not in (client.client_id, [client.client_id]):
        raise GatewayError(RESPONSE_AUD_MISMATCH, f"aud {str(audience)[:200]!r}")
    expiry = claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        raise GatewayError(RESPONSE_CLAIM_INVALID, "exp is missing or not a time")
    if expiry <= now - client.leeway:
        raise GatewayError(RESPONSE_EXPIRED, f"exp {expiry}, now {now}")
    verify_with(token, keys, client.client_secret)
