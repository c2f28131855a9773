"""How the client proves to the token endpoint who it is (RFC 6749 2.3.1, RFC 7591 2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import quote_plus

from gateway.oidc.messages import Call, form_call
from gateway.oidc.metadata import Client


def authenticated_call(url: str, client: Client, parameters: Mapping[str, str]) -> Call:
    """Build a POST to the provider that carries the client's credentials by its configured method."""
    if client.token_endpoint_auth_method == "client_secret_basic":
        return form_call(url, parameters.items(), {"Authorization": _basic(client)})
    if client.token_endpoint_auth_method == "client_secret_post":
        credentials = {"client_id": client.client_id, "client_secret": client.client_secret}
        return form_call(url, {**parameters, **credentials}.items(), {})
    if client.token_endpoint_auth_method == "none":
        return form_call(url, {**parameters, "client_id": client.client_id}.items(), {})
    raise ValueError(f"unknown token_endpoint_auth_method {client.token_endpoint_auth_method!r}")


def _basic(client: Client) -> str:
    # RFC 6749 2.3.1 and appendix B: both parts are form-urlencoded before they are joined and base64-encoded.
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return "Basic " + base64.b64encode(pair.encode("ascii")).decode("ascii")
