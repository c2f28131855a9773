"""The token endpoint: a code, a refresh token, the client itself or another token is answered with tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from werkzeug.wrappers import Request, Response

from gateway.oidc.messages import s256
from gateway.testing.back_channel import error_members, json_response
from gateway.testing.binding import confirmation, token_type
from gateway.testing.client_auth import authenticated_client
from gateway.testing.dpop import check_code_key, check_refresh_key, token_key
from gateway.testing.exchange import client_credentials_grant, token_exchange_grant
from gateway.testing.faults import Members
from gateway.testing.grants import AccessToken, Grant
from gateway.testing.issuing import id_token
from gateway.testing.parameters import form_parameters
from gateway.testing.parties import Refusal
from gateway.testing.state import ProviderState
from gateway.testing.token_request import TokenRequest

CODE_VERIFIER_LENGTHS = range(43, 129)


def token(state: ProviderState, request: Request) -> Response:
    """Answer a token request by its grant type (RFC 6749 4.1.3, 4.4 and 6, RFC 8693 2.1)."""
    try:
        asked = _token_request(state, request)
        status, members = 200, _GRANTS[asked.parameters["grant_type"]](state, asked)
    except Refusal as refusal:
        status, members = refusal.status, error_members(refusal)
    if state.faults.token_response is not None:
        status, members = state.faults.token_response(status, members)
    return json_response(status, members)


def _token_request(state: ProviderState, request: Request) -> TokenRequest:
    parameters = form_parameters(request)
    client = authenticated_client(state, request)
    if parameters.get("grant_type") not in _GRANTS:
        raise Refusal("unsupported_grant_type", "grant_type is missing or unknown")
    jkt = token_key(state, request, client)  # Before a code is used up: a client without the nonce comes again.
    return TokenRequest(client=client, parameters=parameters, jkt=jkt, cnf=confirmation(client, request, jkt))


def _code_grant(state: ProviderState, asked: TokenRequest) -> Members:
    parameters = asked.parameters
    grant = state.grants.redeem(parameters.get("code", ""), state.clock())
    if grant is None or grant.client_id != asked.client.client_id:
        raise Refusal("invalid_grant", "the code is missing, unknown, used, expired or of another client")
    if parameters.get("redirect_uri") != grant.redirect_uri:
        raise Refusal("invalid_grant", "redirect_uri is not that of the authorization request")
    verifier = parameters.get("code_verifier", "")
    if not verifier.isascii() or len(verifier) not in CODE_VERIFIER_LENGTHS or s256(verifier) != grant.code_challenge:
        raise Refusal("invalid_grant", "code_verifier does not fit the challenge")
    check_code_key(grant, asked.jkt)
    grant = replace(grant, dpop_jkt=asked.jkt or "")  # A public client's refresh token is bound to it (RFC 9449 5).
    refresh_token = state.grants.new_refresh_token(grant) if state.include_refresh_token else None
    return _tokens(state, asked, grant, grant.scope, refresh_token)


def _refresh_grant(state: ProviderState, asked: TokenRequest) -> Members:
    refresh_token, rotate = asked.parameters.get("refresh_token", ""), state.rotate_refresh_tokens
    held = state.grants.grant_of_refresh_token(refresh_token)
    scope = asked.parameters.get("scope", "" if held is None else held.scope)
    if held is not None:
        _check_refresh(asked, held, scope)
    grant = state.grants.use_refresh_token(refresh_token, asked.client.client_id, rotate=rotate)
    if grant is None:
        raise Refusal("invalid_grant", "the refresh token is missing, unknown, used, revoked or of another client")
    return _tokens(state, asked, grant, scope, state.grants.new_refresh_token(grant) if rotate else None)


def _check_refresh(asked: TokenRequest, held: Grant, scope: str) -> None:
    if not set(scope.split()) <= set(held.scope.split()):
        raise Refusal("invalid_scope", "more is asked for than was granted")
    check_refresh_key(asked.client, held, asked.jkt)


_GRANTS: Mapping[str, Callable[[ProviderState, TokenRequest], Members]] = {
    "authorization_code": _code_grant,
    "refresh_token": _refresh_grant,
    "client_credentials": client_credentials_grant,
    "urn:ietf:params:oauth:grant-type:token-exchange": token_exchange_grant,
}


def _audience(asked: TokenRequest, grant: Grant) -> tuple[str, ...]:
    wanted = tuple(asked.parameters.get("resource", "").split())
    if grant.resources and not set(wanted) <= set(grant.resources):
        raise Refusal("invalid_target", "a resource is not one that was granted")  # RFC 8707 2.2.
    return wanted or grant.resources


def _tokens(state: ProviderState, asked: TokenRequest, grant: Grant, scope: str, refresh_token: str | None) -> Members:
    now, lifetime = state.clock(), state.access_token_lifetime
    access = AccessToken(
        client_id=grant.client_id,
        scope=scope,
        issued_at=now,
        expires_at=now + lifetime,
        grant=grant,
        audience=_audience(asked, grant),
        cnf=asked.cnf,
    )
    access_token = state.grants.new_access_token(access)
    refreshed = asked.parameters["grant_type"] == "refresh_token"
    return {
        "access_token": access_token,
        "token_type": token_type(asked.cnf),
        "expires_in": lifetime,
        "scope": scope,
        "id_token": id_token(state, grant, access_token, refreshed=refreshed),
        "x_unknown": ["to", "be", "ignored"],
        **({"authorization_details": list(grant.authorization_details)} if grant.authorization_details else {}),
        **({} if refresh_token is None else {"refresh_token": refresh_token}),
    }
