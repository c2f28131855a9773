"""How the client proves to the provider who it is (RFC 6749 2.3.1, RFC 7521, RFC 7523, RFC 8705 2)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import quote_plus

from gateway.errors import METADATA_LACKING, GatewayError
from gateway.oidc.client import Client
from gateway.oidc.keys import sign, sign_symmetric
from gateway.oidc.messages import Call, Moment, base64url, form_call
from gateway.oidc.metadata import ProviderMetadata

ASSERTION_SECONDS = 60
"""How long an assertion counts; it is used at once (RFC 7523 3 (4))."""

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CERTIFICATE_METHODS = frozenset({"tls_client_auth", "self_signed_tls_client_auth"})
SECRET_METHODS = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
AUTH_METHODS = ("private_key_jwt", *sorted(CERTIFICATE_METHODS, reverse=True), *SECRET_METHODS, "none")
"""All of them as we prefer them: no shared secret first (RFC 9700 2.5), then what most providers know."""

MIN_MAC_SECRET = 32
"""A secret for HS256 is as long as the hash at least, in bytes (RFC 7518 3.2)."""

_KEY_METHODS = frozenset({"private_key_jwt", *CERTIFICATE_METHODS})
_JTI_BYTES = 24


def authenticated_call(
    url: str,
    *,
    metadata: ProviderMetadata,
    client: Client,
    parameters: Iterable[tuple[str, str]],
    moment: Moment,
    accept: str = "application/json",
) -> Call:
    """Build a POST to the provider that carries the client's credentials.

    Raises `metadata_lacking` where the provider takes no method that we are equipped for.
    """
    method = auth_method(metadata, client)
    headers = {"Accept": accept}
    if method == "client_secret_basic":
        headers["Authorization"] = _basic(client)
        return _call(url, client, parameters, headers)
    parameters = [pair for pair in parameters if pair[0] != "client_id"]
    own = [("client_id", client.client_id)]
    if method == "client_secret_post":
        own.append(("client_secret", client.client_secret))
    elif method in ("client_secret_jwt", "private_key_jwt"):
        assertion = _assertion(method, metadata.issuer, client, moment)
        own += [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)]
    return _call(url, client, [*parameters, *own], headers)


def auth_method(metadata: ProviderMetadata, client: Client) -> str:
    """Choose how to authenticate: as configured, else the strongest that both sides are equipped for.

    A provider that does not say takes `client_secret_basic` (RFC 8414 2). Raises `metadata_lacking`, and `ValueError`
    for a configured method that is unknown or whose key is missing.
    """
    if client.token_endpoint_auth_method is not None:
        return _configured(client, client.token_endpoint_auth_method)
    taken = metadata.token_endpoint_auth_methods or ("client_secret_basic",)
    found = next((method for method in AUTH_METHODS if method in taken and _is_equipped(client, method)), None)
    if found is None:
        raise GatewayError(METADATA_LACKING, f"the provider takes {taken!r} as client authentication")
    return found


def _call(url: str, client: Client, parameters: Iterable[tuple[str, str]], headers: dict[str, str]) -> Call:
    # A certificate is presented wherever one is, also when it only binds the tokens (RFC 8705 3).
    return replace(form_call(url, parameters, headers), mutual_tls=client.has_certificate)


def _configured(client: Client, method: str) -> str:
    # The configuration was checked; a slip after that must not become a call that proves nothing.
    if method not in AUTH_METHODS or (method in _KEY_METHODS and not _is_equipped(client, method)):
        raise ValueError(f"token_endpoint_auth_method {method!r} is unknown, or its key is missing")
    return method


def _is_equipped(client: Client, method: str) -> bool:
    if method == "private_key_jwt":
        return bool(client.signing_keys)
    if method in CERTIFICATE_METHODS:
        return client.has_certificate
    if method == "client_secret_jwt":
        return len(client.client_secret.encode("utf-8")) >= MIN_MAC_SECRET
    return (method == "none") != bool(client.client_secret)


def _basic(client: Client) -> str:
    # RFC 6749 2.3.1 and appendix B: both parts are form-urlencoded before they are joined and base64-encoded.
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")


def _assertion(method: str, issuer: str, client: Client, moment: Moment) -> str:
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": issuer,  # The issuer alone, as one text (FAPI 2.0 5.3.3.1): no other party can be made to accept it.
        "jti": base64url(moment.entropy(_JTI_BYTES)),
        "iat": moment.now,
        "exp": moment.now + ASSERTION_SECONDS,
    }
    if method == "private_key_jwt":
        return sign(client.signing_keys[0], {"typ": "JWT"}, claims)
    return sign_symmetric(client.client_secret, "HS256", {"typ": "JWT"}, claims)
