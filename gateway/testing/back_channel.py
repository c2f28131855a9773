"""The endpoints that clients call: metadata, keys, tokens, userinfo and revocation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from werkzeug.wrappers import Request, Response

from gateway.oidc.messages import s256
from gateway.testing.faults import Members, altered
from gateway.testing.front_channel import single_values
from gateway.testing.grants import Grant
from gateway.testing.parties import CLAIMS_OF_SCOPE, FakeClient, Refusal, authenticated_client
from gateway.testing.state import ProviderState

CODE_VERIFIER_LENGTHS = range(43, 129)


def discovery(state: ProviderState, _: Request) -> Response:
    """Publish the metadata (OIDC Discovery 3), with response types in odd order and members that nobody knows."""
    members: Members = {
        "issuer": state.issuer,
        "authorization_endpoint": f"{state.base}/authorize",
        "token_endpoint": f"{state.base}/token",
        "userinfo_endpoint": f"{state.base}/userinfo",
        "revocation_endpoint": f"{state.base}/revoke",
        "end_session_endpoint": f"{state.base}/end_session",
        "jwks_uri": f"{state.base}{state.jwks_path}",
        "response_types_supported": ["id_token code", "code", "token code id_token"],
        "response_modes_supported": ["form_post", "query"],
        "grant_types_supported": ["refresh_token", "authorization_code"],
        "subject_types_supported": ["public"],
        "scopes_supported": list(state.scopes),
        "claims_supported": ["sub", *sorted(name for names in CLAIMS_OF_SCOPE.values() for name in names)],
        "id_token_signing_alg_values_supported": [state.id_token_alg],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "none", "client_secret_basic"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": state.response_iss,
        "x_unknown": {"to_be": ["ignored", None, 1.5]},
    }
    return json_response(200, altered(state.faults.discovery, members))


def jwks(state: ProviderState, _: Request) -> Response:
    """Publish the keys (RFC 7517 5)."""
    return json_response(200, altered(state.faults.jwks, state.jwks()))


def token(state: ProviderState, request: Request) -> Response:
    """Answer a code or a refresh token with tokens (RFC 6749 4.1.3 and 6)."""
    parameters = _form(request)
    grant_type = parameters.get("grant_type", "")
    try:
        client = authenticated_client(state.clients, request.headers.get("Authorization"), parameters)
        if grant_type not in _GRANTS:
            raise Refusal("unsupported_grant_type", "grant_type is missing or unknown")
        status, members = 200, _GRANTS[grant_type](state, client, parameters)
    except Refusal as refusal:
        status, members = refusal.status, _error_members(refusal)
    if state.faults.token_response is not None:
        status, members = state.faults.token_response(status, members)
    return json_response(status, members)


def userinfo(state: ProviderState, request: Request) -> Response:
    """Answer with the user's claims; the access token counts in the header alone (RFC 6750 2.1)."""
    if "access_token" in request.args or "access_token" in request.form:
        raise Refusal("invalid_request", "the access token is not in the header alone")
    scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
    access = state.grants.access(access_token, state.clock()) if scheme.lower() == "bearer" else None
    if access is None:
        raise Refusal("invalid_token", "the access token is missing, unknown, expired or revoked", status=401)
    grant, scope = access
    user = state.user(grant.user)
    if user is None:
        raise Refusal("invalid_token", "the user is gone", status=401)
    return json_response(200, altered(state.faults.userinfo, {**user.claims_for(scope), "x_unknown": 1}))


def revoke(state: ProviderState, request: Request) -> Response:
    """Revoke a token; one that is unknown is as good as revoked (RFC 7009 2.2)."""
    parameters = _form(request)
    client = authenticated_client(state.clients, request.headers.get("Authorization"), parameters)
    if "token" not in parameters:
        raise Refusal("invalid_request", "token is missing")
    state.grants.revoke(parameters["token"], client.client_id)
    return Response(status=200)


def refusal_response(refusal: Refusal) -> Response:
    """Answer a refused call with its error as JSON, and with a challenge where it is a 401."""
    return json_response(refusal.status, _error_members(refusal))


def json_response(status: int, members: Members) -> Response:
    """Answer with JSON that nobody may keep."""
    response = Response(status=status, mimetype="application/json", headers={"Cache-Control": "no-store"})
    response.set_data(json.dumps(members))
    if status == 401:
        scheme = "Bearer" if members.get("error") == "invalid_token" else "Basic"
        response.headers["WWW-Authenticate"] = f'{scheme} realm="provider", error="{members.get("error")}"'
    return response


def _form(request: Request) -> dict[str, str]:
    if request.args:
        raise Refusal("invalid_request", "parameters are in the query")  # Secrets do not belong there (RFC 6749 2.3.1).
    if request.mimetype != "application/x-www-form-urlencoded":
        raise Refusal("invalid_request", "the body is not a form")
    return single_values(request)


def _code_grant(state: ProviderState, client: FakeClient, parameters: Mapping[str, str]) -> Members:
    grant = state.grants.redeem(parameters.get("code", ""), state.clock())
    if grant is None or grant.client_id != client.client_id:
        raise Refusal("invalid_grant", "the code is missing, unknown, used, expired or of another client")
    if parameters.get("redirect_uri") != grant.redirect_uri:
        raise Refusal("invalid_grant", "redirect_uri is not that of the authorization request")
    verifier = parameters.get("code_verifier", "")
    if not verifier.isascii() or len(verifier) not in CODE_VERIFIER_LENGTHS or s256(verifier) != grant.code_challenge:
        raise Refusal("invalid_grant", "code_verifier does not fit the challenge")
    refresh_token = state.grants.new_refresh_token(grant) if state.include_refresh_token else None
    return _tokens(state, grant, grant.scope, refresh_token, refreshed=False)


def _refresh_grant(state: ProviderState, client: FakeClient, parameters: Mapping[str, str]) -> Members:
    refresh_token, rotate = parameters.get("refresh_token", ""), state.rotate_refresh_tokens
    held = state.grants.grant_of_refresh_token(refresh_token)
    scope = parameters.get("scope", "" if held is None else held.scope)
    if held is not None and not set(scope.split()) <= set(held.scope.split()):
        raise Refusal("invalid_scope", "more is asked for than was granted")
    grant = state.grants.use_refresh_token(refresh_token, client.client_id, rotate=rotate)
    if grant is None:
        raise Refusal("invalid_grant", "the refresh token is missing, unknown, used, revoked or of another client")
    return _tokens(state, grant, scope, state.grants.new_refresh_token(grant) if rotate else None, refreshed=True)


_GRANTS: Mapping[str, Callable[[ProviderState, FakeClient, Mapping[str, str]], Members]] = {
    "authorization_code": _code_grant,
    "refresh_token": _refresh_grant,
}


def _tokens(state: ProviderState, grant: Grant, scope: str, refresh_token: str | None, *, refreshed: bool) -> Members:
    lifetime = state.access_token_lifetime
    access_token = state.grants.new_access_token(grant, scope, state.clock() + lifetime)
    return {
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": scope,
        "id_token": state.id_token(grant, access_token, refreshed=refreshed),
        "x_unknown": ["to", "be", "ignored"],
        **({} if refresh_token is None else {"refresh_token": refresh_token}),
    }


def _error_members(refusal: Refusal) -> Members:
    return {"error": refusal.error, "error_description": refusal.description}
