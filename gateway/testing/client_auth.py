"""How clients prove who they are, each by its one registered method (OIDC Core 9, RFC 7523, RFC 8705)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from urllib.parse import unquote_plus

from werkzeug.wrappers import Request

from gateway.oidc.messages import same_text
from gateway.testing.jws import CompactToken, is_signed_by, is_signed_by_one_of, read_compact
from gateway.testing.parameters import form_parameters
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
MAX_ASSERTION_LIFETIME = 86_400
CLOCK_SKEW = 60
"""Seconds that a client's clock may be ahead."""

CERTIFICATE_KEY = "gateway.testing.client_certificate"
"""The environ key of the thumbprint of the certificate that the client presents, `x5t#S256` of RFC 8705 3.1."""

ASYMMETRIC_ALGORITHMS = ("PS256", "ES256", "EdDSA", "RS256")
AUTH_METHODS = (
    "client_secret_post", "none", "client_secret_basic", "private_key_jwt", "client_secret_jwt", "tls_client_auth",
    "self_signed_tls_client_auth",
)  # fmt: skip

_METHODS_OF: Mapping[str, tuple[str, ...]] = {
    "Authorization": ("client_secret_basic",),
    "client_secret": ("client_secret_post",),
    "client_assertion": ("client_secret_jwt", "private_key_jwt"),
    "": ("none", "tls_client_auth", "self_signed_tls_client_auth"),
}


def authenticated_client(state: ProviderState, request: Request) -> FakeClient:
    """Find out which client calls, and hold it to its registered method.

    Raises `Refusal` with `invalid_client`, or `invalid_request` for two methods at once (RFC 6749 2.3).
    """
    parameters = form_parameters(request)
    carrier = _carrier(request, parameters)
    client_id = _claimed_client(request, parameters, carrier)
    client = state.client(client_id)
    if client is None or parameters.get("client_id", client_id) != client_id:
        raise _refused("unknown client, or two of them")
    method = client.token_endpoint_auth_method
    if method not in _METHODS_OF[carrier]:
        raise _refused(f"not the registered method {method}")
    if method.startswith("client_secret_") and 0 < client.client_secret_expires_at <= state.now:
        raise _refused("the secret has expired")
    _CHECKS[method](state, client, request, parameters)
    return client


def presented_certificate(request: Request) -> str:
    """Return the thumbprint of the certificate that the client presents on this connection; empty for none."""
    return str(request.environ.get(CERTIFICATE_KEY, ""))


def _carrier(request: Request, parameters: Mapping[str, str]) -> str:
    carriers = [name for name in ("client_secret", "client_assertion") if name in parameters]
    carriers += ["Authorization"] if "Authorization" in request.headers else []
    if len(carriers) > 1:
        raise Refusal("invalid_request", "two ways of client authentication")
    return carriers[0] if carriers else ""


def _claimed_client(request: Request, parameters: Mapping[str, str], carrier: str) -> str:
    if carrier == "Authorization":
        return _basic_credentials(request)[0]
    if carrier == "client_assertion":
        return str(_assertion(parameters).claims.get("sub"))
    return parameters.get("client_id", "")


def _basic_credentials(request: Request) -> tuple[str, str]:
    # RFC 6749 2.3.1: both parts were form-urlencoded before they were joined, so a bare `+` here means a space.
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        client_id, colon, secret = base64.b64decode(encoded, validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise _refused("unreadable credentials") from error
    if scheme.lower() != "basic" or not colon:
        raise _refused("not Basic credentials")
    return unquote_plus(client_id), unquote_plus(secret)


def _check_basic(_: ProviderState, client: FakeClient, request: Request, __: Mapping[str, str]) -> None:
    if not same_text(client.client_secret, _basic_credentials(request)[1]):
        raise _refused("wrong secret")


def _check_post(_: ProviderState, client: FakeClient, __: Request, parameters: Mapping[str, str]) -> None:
    if not same_text(client.client_secret, parameters["client_secret"]):
        raise _refused("wrong secret")


def _check_nothing(_: ProviderState, __: FakeClient, ___: Request, ____: Mapping[str, str]) -> None:
    return


def _check_certificate(_: ProviderState, client: FakeClient, request: Request, __: Mapping[str, str]) -> None:
    if not client.certificate_thumbprint or presented_certificate(request) != client.certificate_thumbprint:
        raise _refused("the client's certificate is not presented")


def _check_assertion(state: ProviderState, client: FakeClient, _: Request, parameters: Mapping[str, str]) -> None:
    if parameters.get("client_assertion_type") != ASSERTION_TYPE:
        raise _refused("client_assertion_type is missing or unknown")
    token = _assertion(parameters)
    _check_assertion_signature(client, token)
    claims, issued, expires = token.claims, _time(token, "iat"), _time(token, "exp")
    rules = (
        (claims.get("iss") == claims.get("sub") == client.client_id, "iss or sub is not the client"),
        (claims.get("aud") == state.issuer, "aud is not the issuer, as one text"),
        (0 < issued <= state.now + CLOCK_SKEW, "iat is missing or ahead"),
        (state.now < expires <= state.now + MAX_ASSERTION_LIFETIME, "exp is missing, past or more than a day away"),
        ("nbf" not in claims or 0 < _time(token, "nbf") <= state.now + CLOCK_SKEW, "nbf is ahead"),
        (isinstance(claims.get("jti"), str) and claims["jti"] != "", "jti is missing"),
    )
    for kept, description in rules:
        if not kept:
            raise _refused(description)
    if not state.is_first_use("client_assertion", str(claims["jti"])):
        raise _refused("jti was used before")


def _check_assertion_signature(client: FakeClient, token: CompactToken) -> None:
    algorithm = str(token.header.get("alg"))
    by_secret = client.token_endpoint_auth_method == "client_secret_jwt"
    default = ("HS256",) if by_secret else ASYMMETRIC_ALGORITHMS
    registered = client.token_endpoint_auth_signing_alg
    if algorithm not in ((registered,) if registered else default):
        raise _refused(f"alg {algorithm} is not registered")
    if by_secret:
        signed = is_signed_by(token, client.client_secret.encode("utf-8"), algorithm)
    else:
        signed = is_signed_by_one_of(token, client.jwks or {}, algorithm)
    if not signed:
        raise _refused("the assertion's signature is wrong")


def _assertion(parameters: Mapping[str, str]) -> CompactToken:
    try:
        return read_compact(parameters["client_assertion"])
    except ValueError as error:
        raise _refused("the assertion is no JWT") from error


def _time(token: CompactToken, name: str) -> int:
    value = token.claims.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _refused(description: str) -> Refusal:
    return Refusal("invalid_client", description, status=401)


_CHECKS: Mapping[str, Callable[[ProviderState, FakeClient, Request, Mapping[str, str]], None]] = {
    "client_secret_basic": _check_basic,
    "client_secret_post": _check_post,
    "client_secret_jwt": _check_assertion,
    "private_key_jwt": _check_assertion,
    "tls_client_auth": _check_certificate,
    "self_signed_tls_client_auth": _check_certificate,
    "none": _check_nothing,
}
