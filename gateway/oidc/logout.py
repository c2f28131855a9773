"""RP-initiated logout (OIDC RP-Initiated Logout 1.0)."""

from __future__ import annotations

from urllib.parse import urlencode

from gateway.oidc.client import Client


def end_session_url(endpoint: str, client: Client, *, id_token: str | None, state: str) -> str:
    """Build the URL at which the provider ends its own session (section 2)."""
    parameters = {
        "client_id": client.client_id,
        "post_logout_redirect_uri": client.post_logout_redirect_uri,
        "state": state,
    }
    if id_token is not None:
        parameters["id_token_hint"] = id_token
    return endpoint + ("&" if "?" in endpoint else "?") + urlencode(parameters)
