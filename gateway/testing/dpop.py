"""DPoP at the endpoints of the provider (RFC 9449): who proves which key, and with which nonce."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from werkzeug.wrappers import Request, Response

from gateway.testing.dpop_proof import ExpectedProof, Nonces, check_proof
from gateway.testing.grants import Grant
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState

HEADER = "DPoP"
NONCE_HEADER = "DPoP-Nonce"

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")
_RESOURCES = frozenset(("userinfo", "register"))


def pushed_parameters(state: ProviderState, request: Request, parameters: Mapping[str, str]) -> dict[str, str]:
    """Check the proof of a pushed request, if there is one, and bind the request to its key (RFC 9449 10.1).

    Returns the parameters with `dpop_jkt`; raises `Refusal` with `invalid_dpop_proof`, also when both name different
    keys, with `use_dpop_nonce`, or with `invalid_request` for what is no thumbprint.
    """
    asked = parameters.get("dpop_jkt")
    if asked is not None and _THUMBPRINT.fullmatch(asked) is None:
        raise Refusal("invalid_request", "dpop_jkt is not a SHA-256 thumbprint")
    jkt = server_key(state, request)
    if jkt is None:
        return dict(parameters)
    if asked not in (None, jkt):
        raise Refusal("invalid_dpop_proof", "dpop_jkt is not the thumbprint of the proof's key")
    return {**parameters, "dpop_jkt": jkt}


def token_key(state: ProviderState, request: Request, client: FakeClient) -> str | None:
    """Check the proof of a token request; returns the thumbprint of its key, or None when there is no proof.

    Raises `Refusal` with `use_dpop_nonce` or `invalid_dpop_proof`, the latter also when a client that registered
    `dpop_bound_access_tokens` sends none (RFC 9449 5.2).
    """
    jkt = server_key(state, request)
    if jkt is None and client.dpop_bound_access_tokens:
        raise Refusal("invalid_dpop_proof", "this client has to send a proof")
    return jkt


def server_key(state: ProviderState, request: Request) -> str | None:
    """Check the proof at an endpoint of the authorization server, if there is one."""
    return None if HEADER not in request.headers else _proven_key(state, request, state.server_nonces)


def resource_key(state: ProviderState, request: Request, access_token: str) -> str:
    """Check the proof at a resource; raises `Refusal` with status 401 and a challenge (RFC 9449 7.1)."""
    return _proven_key(state, request, state.resource_nonces, access_token)


def check_code_key(grant: Grant, jkt: str | None) -> None:
    """Check that a code is redeemed with the key that it was asked for with (RFC 9449 10)."""
    if grant.dpop_jkt not in ("", jkt):
        raise Refusal("invalid_grant", "the code is bound to another key")


def check_refresh_key(client: FakeClient, grant: Grant, jkt: str | None) -> None:
    """Check that a public client refreshes with the key of its login (RFC 9449 5)."""
    if client.token_endpoint_auth_method == "none" and grant.dpop_jkt not in ("", jkt):
        raise Refusal("invalid_grant", "the refresh token is bound to another key")


def with_nonce(state: ProviderState, name: str, request: Request, response: Response) -> Response:
    """Add the nonce to use next to an answer: a new one after a success, else the newest (RFC 9449 8, 9)."""
    if state.dpop_nonces and HEADER in request.headers:
        nonces = state.resource_nonces if name in _RESOURCES else state.server_nonces
        response.headers[NONCE_HEADER] = nonces.rotate() if response.status_code < 400 else nonces.newest()
    return response


def _proven_key(state: ProviderState, request: Request, nonces: Nonces, access_token: str = "") -> str:
    expected = ExpectedProof(method=request.method, url=_url(state, request), now=state.now, access_token=access_token)
    proof = check_proof(request.headers.get(HEADER, ""), expected)
    if not state.is_first_use("dpop_proof", proof.jti):
        raise expected.refusal("invalid_dpop_proof", "jti was used before")  # At any endpoint (RFC 9449 11.1).
    if state.dpop_nonces and proof.nonce not in nonces.latest(state.dpop_nonce_window):
        raise expected.refusal("use_dpop_nonce", "the newest nonce is required")
    if proof.nonce is not None and not nonces.ever_issued(proof.nonce):
        raise expected.refusal("invalid_dpop_proof", "nonce was never given out")
    return proof.jkt


def _url(state: ProviderState, request: Request) -> str:
    # The public address: a server behind the issuer's origin sees another host.
    issuer = urlsplit(state.issuer)
    return f"{issuer.scheme}://{issuer.netloc}{request.root_path.rstrip('/')}{request.path}"
