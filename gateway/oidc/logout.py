"""RP-initiated logout (OIDC RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from gateway.oidc.client import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class EndSession:
    """Where a browser signs out of the provider; with `fields` it posts them there, else the address says it all."""

    url: str = field(repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)


def end_session_url(endpoint: str, client: Client, *, id_token: str | None, state: str) -> str:
    """Build the URL at which the provider ends its own session (section 2)."""
    parameters = _parameters(client, id_token, state)
    return endpoint + ("&" if "?" in endpoint else "?") + urlencode(parameters)


def end_session(endpoint: str, client: Client, *, id_token: str | None, state: str, posted: bool) -> EndSession:
    """Build the sign-out, as a form where it is to be `posted`: no address shows the ID token then (section 2)."""
    if posted:
        return EndSession(url=endpoint, fields=_parameters(client, id_token, state))
    return EndSession(url=end_session_url(endpoint, client, id_token=id_token, state=state))


def _parameters(client: Client, id_token: str | None, state: str) -> dict[str, str]:
    parameters = {
        "client_id": client.client_id,
        "post_logout_redirect_uri": client.post_logout_redirect_uri,
        "state": state,
    }
    return parameters if id_token is None else {**parameters, "id_token_hint": id_token}
