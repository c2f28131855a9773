"""The endpoints for keys and revocation, and how the back channel answers."""

from __future__ import annotations

import json

from werkzeug.wrappers import Request, Response

from gateway.testing.client_auth import authenticated_client
from gateway.testing.dpop_proof import DPOP_ALGORITHMS
from gateway.testing.faults import Members, altered
from gateway.testing.parameters import form_parameters
from gateway.testing.parties import Refusal
from gateway.testing.state import ProviderState


def jwks(state: ProviderState, _: Request) -> Response:
    """Publish the keys (RFC 7517 5)."""
    return json_response(200, altered(state.faults.jwks, state.jwks()))


def revoke(state: ProviderState, request: Request) -> Response:
    """Revoke a token; one that is unknown is as good as revoked (RFC 7009 2.2)."""
    parameters = form_parameters(request)
    client = authenticated_client(state, request)
    if "token" not in parameters:
        raise Refusal("invalid_request", "token is missing")
    state.grants.revoke(parameters["token"], client.client_id)
    return Response(status=200)


def refusal_response(refusal: Refusal) -> Response:
    """Answer a refused call with its error as JSON, and with a challenge where it is a 401."""
    response = json_response(refusal.status, error_members(refusal))
    if refusal.challenge:
        algorithms = f', algs="{" ".join(DPOP_ALGORITHMS)}"' if refusal.challenge == "DPoP" else ""
        challenge = f'{refusal.challenge} realm="provider", error="{refusal.error}"{algorithms}'
        response.headers["WWW-Authenticate"] = challenge
    return response


def json_response(status: int, members: Members) -> Response:
    """Answer with JSON that nobody may keep."""
    response = Response(status=status, mimetype="application/json", headers={"Cache-Control": "no-store"})
    response.set_data(json.dumps(members))
    if status == 401:
        scheme = "Bearer" if members.get("error") == "invalid_token" else "Basic"
        response.headers["WWW-Authenticate"] = f'{scheme} realm="provider", error="{members.get("error")}"'
    return response


def error_members(refusal: Refusal) -> Members:
    """Write a refusal as the members of an error response (RFC 6749 5.2)."""
    return {"error": refusal.error, "error_description": refusal.description}
