"""The authorization request, and the ways to send it (OIDC Core 3.1.2.1, RFC 9101, RFC 9126)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import urlencode

from gateway.errors import (
    METADATA_LACKING,
    PUSHED_ANSWER_INVALID,
    PUSHED_REQUEST_REFUSED,
    TOKEN_CLIENT_INVALID,
    GatewayError,
    ProviderUnavailable,
)
from gateway.oidc.client import Client
from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.jose import KeySet
from gateway.oidc.jwe import encrypt, encryption_key
from gateway.oidc.keys import sign
from gateway.oidc.messages import (
    RETRY_AFTER_SECONDS,
    Call,
    Moment,
    Reply,
    base64url,
    json_object,
    quoted,
    raise_if_unavailable,
    s256,
)
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.transaction import Transaction

REQUEST_OBJECT_SECONDS = 300
MAX_REQUEST_URI = 2048
_JTI_BYTES = 24
_NEVER_ASKED = (
    "request", "request_uri", "sub", "client_secret", "client_assertion", "client_assertion_type", "resource",
)  # fmt: skip
"""What would replace all other parameters, say who somebody is, or be there twice (RFC 9101 4, 10.8)."""

Parameters = Sequence[tuple[str, str]]


class Via(Enum):
    """How the request reaches the provider."""

    QUERY = "query"
    PUSHED = "pushed"
    SIGNED = "signed"
    SIGNED_PUSHED = "signed_pushed"

    @property
    def signed(self) -> bool:
        """Whether the parameters travel in a signed request object."""
        return self in (Via.SIGNED, Via.SIGNED_PUSHED)

    @property
    def pushed(self) -> bool:
        """Whether they travel past the browser."""
        return self in (Via.PUSHED, Via.SIGNED_PUSHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of every login beyond what protects it.

    `claims` and `authorization_details` are JSON as text (OIDC Core 5.5, RFC 9396); `parameters` are more by name, and
    cannot replace what protects the flow.
    """

    via: Via = Via.QUERY
    parameters: Mapping[str, str] = field(default_factory=dict)
    claims: str | None = None
    authorization_details: str | None = None


def authorization_parameters(
    client: Client, transaction: Transaction, asked: Asked, extra: Mapping[str, str], *, jkt: str | None = None
) -> Parameters:
    """Collect the parameters of a request; `extra` are those of this login alone, `jkt` names our DPoP key."""
    chosen: dict[str, str | None] = {
        **asked.parameters,
        **extra,
        **dict.fromkeys(_NEVER_ASKED),
        "authorization_details": asked.authorization_details,
        "response_type": client.response_type,
        "response_mode": client.response_mode,
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": transaction.scope or client.scope or None,
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": s256(transaction.code_verifier),
        "code_challenge_method": "S256",
        **_assurance(
            transaction.claims or asked.claims,
            transaction.acr_values,
            extra.get("acr_values", asked.parameters.get("acr_values")),
        ),
        "max_age": None if transaction.max_age is None else str(transaction.max_age),
        "dpop_jkt": jkt,
    }
    single = [(name, value) for name, value in chosen.items() if value is not None]
    resources = client.resource if transaction.resource is None else transaction.resource
    return [*single, *(("resource", each) for each in resources)]


def signed_request(
    metadata: ProviderMetadata, client: Client, parameters: Parameters, moment: Moment, encryption_keys: KeySet
) -> Parameters:
    """Put the parameters into a request object, signed and perhaps encrypted (RFC 9101 4, 5, 6).

    `client_id`, and what OIDC Core 6.1 wants to see twice, stay beside it. Raises `metadata_lacking` where the
    provider has no key to encrypt to.
    """
    claims = {
        **_typed(parameters),
        "iss": client.client_id,
        "aud": metadata.issuer,
        "jti": base64url(moment.entropy(_JTI_BYTES)),
        "iat": moment.now,
        "nbf": moment.now,
        "exp": moment.now + REQUEST_OBJECT_SECONDS,
    }
    request = sign(client.signing_keys[0], {"typ": "oauth-authz-req+jwt"}, claims)
    if client.request_object_encryption is not None:
        algorithm, encoding = client.request_object_encryption
        key = encryption_key(encryption_keys, algorithm)
        request = encrypt(request, algorithm=algorithm, encoding=encoding, key=key)
    outer = [pair for pair in parameters if pair[0] in ("client_id", "response_type", "scope")]
    return [*outer, ("request", request)]


def pushed_call(metadata: ProviderMetadata, client: Client, parameters: Parameters, moment: Moment) -> Call:
    """Build the push of a request (RFC 9126 2.1); raises `metadata_lacking` where the provider takes none."""
    endpoint = metadata.pushed_authorization_request_endpoint
    if endpoint is None:
        raise GatewayError(METADATA_LACKING, "the provider has no pushed_authorization_request_endpoint")
    names = {name for name, _ in parameters}
    # With a request object, everything but who we are is in it (RFC 9126 3).
    sent = [pair for pair in parameters if pair[0] == "request"] if "request" in names else list(parameters)
    # Client authentication names us too, where it puts anything into the body.
    return authenticated_call(
        endpoint, metadata=metadata, client=client, parameters=_with_client_id(sent, client), moment=moment
    )


def process_pushed_reply(reply: Reply) -> str:
    """Check the answer to a push and return its `request_uri` (RFC 9126 2.2, 2.3).

    Raises `pushed_request_refused`, `pushed_answer_invalid`, and `ProviderUnavailable` for an outage or a refused
    client.
    """
    raise_if_unavailable(reply, "the pushed authorization request endpoint")
    members = json_object(reply)
    if reply.status not in (200, 201):
        error = str(members.get("error"))
        if error in ("invalid_client", "unauthorized_client"):
            raise ProviderUnavailable(TOKEN_CLIENT_INVALID, error, retry_after=RETRY_AFTER_SECONDS)
        raise GatewayError(PUSHED_REQUEST_REFUSED, f"error {quoted(error)}")
    uri, expires_in = members.get("request_uri"), members.get("expires_in")
    if not isinstance(uri, str) or not uri.isascii() or not uri.isprintable() or not 0 < len(uri) <= MAX_REQUEST_URI:
        raise GatewayError(PUSHED_ANSWER_INVALID, "no usable request_uri")
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float) or expires_in <= 0:
        raise GatewayError(PUSHED_ANSWER_INVALID, "expires_in is not a positive number")
    return uri


def authorization_url(metadata: ProviderMetadata, parameters: Iterable[tuple[str, str]]) -> str:
    """Build the URL that the browser is sent to."""
    separator = "&" if "?" in metadata.authorization_endpoint else "?"
    return metadata.authorization_endpoint + separator + urlencode(list(parameters))


def by_reference(client: Client, request_uri: str) -> Parameters:
    """Name a pushed request; nothing else travels through the browser (RFC 9126 4)."""
    return [("client_id", client.client_id), ("request_uri", request_uri)]


def _assurance(asked: str | None, demanded: Sequence[str], wished: str | None) -> dict[str, str | None]:
    """Ask for classes of authentication in one way: what both of them mean is not specified (OIDC Core 5.5.1.1)."""
    claims = {} if asked is None else json.loads(asked)
    id_token = claims.get("id_token")
    if not isinstance(id_token, dict) or not _names_values(id_token.get("acr")):
        return {"claims": asked, "acr_values": " ".join(demanded) or wished}
    if demanded:
        claims["id_token"] = {**id_token, "acr": {"essential": True, "values": list(demanded)}}
    return {"claims": json.dumps(claims, separators=(",", ":")), "acr_values": None}


def _names_values(claim: object) -> bool:
    return isinstance(claim, dict) and not claim.keys().isdisjoint(("value", "values"))


def _with_client_id(parameters: Parameters, client: Client) -> Parameters:
    others = [pair for pair in parameters if pair[0] != "client_id"]
    return [("client_id", client.client_id), *others]


def _typed(parameters: Parameters) -> dict[str, object]:
    """Write parameters as claims: numbers and objects as such, a repeated one as a list (RFC 9101 4, RFC 8707 2)."""
    claims: dict[str, object] = dict(parameters)
    for name in ("claims", "authorization_details", "max_age"):
        if name in claims:
            claims[name] = json.loads(str(claims[name]))
    resources = [value for name, value in parameters if name == "resource"]
    return {**claims, "resource": resources} if resources else claims
