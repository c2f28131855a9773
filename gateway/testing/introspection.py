"""Introspection (RFC 7662): as JSON, as a signed answer (RFC 9701), or as the token's own claims in a JWT."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from gateway.testing.access_token import access_claims, with_type
from gateway.testing.back_channel import json_response
from gateway.testing.binding import token_type
from gateway.testing.client_auth import authenticated_client
from gateway.testing.faults import Members, altered
from gateway.testing.grants import AccessToken
from gateway.testing.issuing import encrypted, signed
from gateway.testing.parameters import form_parameters
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState

JSON = "application/json"
SIGNED = "application/token-introspection+jwt"
PHANTOM = "application/jwt"


def introspect(state: ProviderState, request: Request) -> Response:
    """Tell a client what an access token stands for; a token that is worth nothing is not active, and no more.

    `Accept` chooses the form: JSON, RFC 9701's signed answer, or `application/jwt`, which is the access token as a
    bare JWT, and 204 for one that is not active. Raises `Refusal` with `invalid_client`, also for a public client.
    """
    parameters = form_parameters(request)
    client = authenticated_client(state, request)
    if client.token_endpoint_auth_method == "none":
        raise Refusal("invalid_client", "a public client may not introspect", status=401)
    if "token" not in parameters:
        raise Refusal("invalid_request", "token is missing")
    access = state.grants.access(parameters["token"], state.clock())
    accepted = request.accept_mimetypes
    chosen = accepted.best_match([JSON, SIGNED, PHANTOM]) if accepted else JSON
    if chosen is None:
        raise Refusal("invalid_request", "none of the media types in Accept can be had", status=406)
    return _cacheable(state, _answer(state, client, access, chosen))


def _answer(state: ProviderState, client: FakeClient, access: AccessToken | None, chosen: str) -> Response:
    if chosen == PHANTOM:
        return _phantom(state, client, access)
    status, members = 200, _members(state, access)
    if state.faults.introspection is not None:
        status, members = state.faults.introspection(status, members)
    if chosen == JSON or status != 200:
        return json_response(status, members)
    return _signed_answer(state, client, members)


def _members(state: ProviderState, access: AccessToken | None) -> Members:
    if access is None:
        return {"active": False}
    described = {"active": True, "token_type": token_type(access.cnf), **access_claims(state, access)}
    return {**described, "x_unknown": {"to_be": "ignored"}}


def _phantom(state: ProviderState, client: FakeClient, access: AccessToken | None) -> Response:
    if access is None:
        return Response(status=204)
    compact = _jwt(state, client, access_claims(state, access), typ="at+jwt", algorithm="")
    return Response(compact, content_type=PHANTOM)


def _signed_answer(state: ProviderState, client: FakeClient, members: Members) -> Response:
    claims: Members = {"iss": state.issuer, "aud": client.client_id, "iat": state.now, "token_introspection": members}
    algorithm = client.introspection_signed_response_alg
    compact = _jwt(state, client, claims, typ="token-introspection+jwt", algorithm=algorithm)
    alg, enc = client.introspection_encrypted_response_alg, client.introspection_encrypted_response_enc
    return Response(encrypted(state, compact, client, alg, enc), content_type=SIGNED)


def _jwt(state: ProviderState, client: FakeClient, claims: Members, *, typ: str, algorithm: str) -> str:
    faults = state.faults
    return signed(
        state,
        altered(faults.introspection_claims, claims),
        client,
        algorithm,
        # The type keeps an answer from being taken for an access token (RFC 9701 8.1).
        alter_header=lambda header: altered(faults.introspection_header, with_type(typ, header)),
        alter=faults.introspection_jwt,
    )


def _cacheable(state: ProviderState, response: Response) -> Response:
    seconds = state.introspection_max_age
    response.headers["Cache-Control"] = "no-store" if seconds is None else f"max-age={seconds}"
    return response
