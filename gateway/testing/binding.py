"""Sender-constrained access tokens: what binds them, and whether who brings one may (RFC 7800, 8705, 9449)."""

from __future__ import annotations

from collections.abc import Mapping

from werkzeug.wrappers import Request

from gateway.testing.client_auth import presented_certificate
from gateway.testing.dpop import resource_key
from gateway.testing.grants import AccessToken
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState

SCHEMES = ("bearer", "dpop")


def confirmation(client: FakeClient, request: Request, jkt: str | None) -> Mapping[str, object] | None:
    """Tell what an access token is bound to, the proven key and the client's certificate; None for a bearer token."""
    cnf: dict[str, object] = {} if jkt is None else {"jkt": jkt}
    if client.tls_client_certificate_bound_access_tokens:
        certificate = presented_certificate(request)
        if not certificate:
            raise Refusal("invalid_request", "this client has to present its certificate")
        cnf["x5t#S256"] = certificate
    return cnf or None


def token_type(cnf: Mapping[str, object] | None) -> str:
    """Tell the `token_type` of a token (RFC 9449 5, RFC 8705 3)."""
    return "DPoP" if cnf is not None and "jkt" in cnf else "Bearer"


def presented_access(state: ProviderState, request: Request) -> AccessToken:
    """Find the access token of a call to a resource of the provider, and hold the caller to what it is bound to.

    Raises `Refusal` with status 401: `invalid_token`, and for a proof `invalid_dpop_proof` or `use_dpop_nonce`.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    access = state.grants.access(token, state.clock()) if scheme.lower() in SCHEMES else None
    challenge = "DPoP" if scheme.lower() == "dpop" else "Bearer"
    if access is None:
        raise _refused("the access token is missing, unknown, expired or revoked", challenge)
    cnf = access.cnf or {}
    if token_type(cnf) != challenge:
        raise _refused("the token is of another type than the scheme", token_type(cnf))
    if challenge == "DPoP" and resource_key(state, request, token) != cnf["jkt"]:
        raise _refused("the token is bound to another key", challenge)
    if "x5t#S256" in cnf and presented_certificate(request) != cnf["x5t#S256"]:
        raise _refused("the token is bound to another certificate", challenge)
    return access


def _refused(description: str, challenge: str) -> Refusal:
    return Refusal("invalid_token", description, status=401, challenge=challenge)
