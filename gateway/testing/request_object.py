"""Request objects (RFC 9101), held to what FAPI 2.0 Message Signing 5.3 asks of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.testing.jwe import decrypt
from gateway.testing.jws import CompactToken, is_signed_by_one_of, read_compact
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState

TYPES = ("oauth-authz-req+jwt", "JWT")
MAX_AGE = 3600
CLOCK_SKEW = 60

_OWN_CLAIMS = frozenset(("iss", "aud", "exp", "nbf", "iat", "jti"))
"""What a request object says of itself and not of the request."""


def opened_request(state: ProviderState, client: FakeClient, outer: Mapping[str, str]) -> dict[str, str]:
    """Check the request object of a request and return the parameters inside, the only ones that count (6.3).

    Raises `Refusal` with `invalid_request_object`; 4 for `request`, `request_uri` and `sub`, 5 for the outer ones.
    """
    token = _signed(state, client, outer["request"])
    claims = token.claims
    for kept, description in (*_header_rules(client, token), *_claim_rules(state, client, claims)):
        if not kept:
            raise _refused(description)
    if not is_signed_by_one_of(token, client.jwks or {}, client.request_object_signing_alg):
        raise _refused("the signature is wrong")
    parameters = {name: _text(value) for name, value in claims.items() if name not in _OWN_CLAIMS}
    for name in ("client_id", "response_type", "scope"):
        if name in outer and outer[name] != parameters.get(name):
            raise _refused(f"{name} inside and outside differ")
    return parameters


def _signed(state: ProviderState, client: FakeClient, compact: str) -> CompactToken:
    try:
        if compact.count(".") == 4:
            compact = decrypt(compact, *state.decryption_keys()).decode("ascii")
        token = read_compact(compact)
    except ValueError as error:
        raise _refused("it is no JWT, or cannot be decrypted") from error
    if token.header.get("alg") != client.request_object_signing_alg:
        raise _refused("alg is not the registered one")
    return token


def _header_rules(client: FakeClient, token: CompactToken) -> tuple[tuple[bool, str], ...]:
    return (
        (token.header.get("typ") in TYPES, "typ is unknown"),
        ("crit" not in token.header, "the header has extensions"),
        (client.jwks is not None, "the client has registered no keys"),
    )


def _claim_rules(
    state: ProviderState, client: FakeClient, claims: Mapping[str, object]
) -> tuple[tuple[bool, str], ...]:
    expires, begins = _seconds(claims.get("exp")), _seconds(claims.get("nbf"))
    return (
        (claims.get("iss") == claims.get("client_id") == client.client_id, "iss or client_id is not the client"),
        (claims.get("aud") == state.issuer, "aud is not the issuer, as one text"),
        (state.now < expires, "exp is missing or past"),
        (state.now - MAX_AGE <= begins <= state.now + CLOCK_SKEW, "nbf is missing, ahead or too long ago"),
        (expires - begins <= MAX_AGE, "it counts for more than an hour"),
        (not {"request", "request_uri", "sub"} & set(claims), "request, request_uri or sub is inside"),
    )


def _seconds(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(value: object) -> str:
    """Write a member as the parameter that it stands for; several resources are joined as in a form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        raise _refused("a parameter is neither text, number nor structure")
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return " ".join(value)
    return json.dumps(value)


def _refused(description: str) -> Refusal:
    return Refusal("invalid_request_object", description)
