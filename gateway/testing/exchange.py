"""The grants that need no browser: the client's own credentials (RFC 6749 4.4), and a token for a token (RFC 8693)."""

from __future__ import annotations

import secrets
from functools import partial
from urllib.parse import urlsplit

from gateway.testing.access_token import access_claims, with_type
from gateway.testing.binding import token_type
from gateway.testing.faults import Members, altered
from gateway.testing.grants import AccessToken
from gateway.testing.parties import Refusal
from gateway.testing.state import ProviderState
from gateway.testing.token_request import TokenRequest

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"


def client_credentials_grant(state: ProviderState, asked: TokenRequest) -> Members:
    """Give a client a token of its own, with no user, ID token or refresh token (RFC 6749 4.4.3)."""
    _check_confidential(asked)
    scope = asked.parameters.get("scope", " ".join(state.client_scopes))
    if not set(scope.split()) <= set(state.client_scopes):
        raise Refusal("invalid_scope", "more is asked for than clients may have for themselves")
    now = state.clock()
    access = AccessToken(
        client_id=asked.client.client_id,
        scope=scope,
        issued_at=now,
        expires_at=now + state.access_token_lifetime,
        audience=tuple(_words(asked, "resource")),
        cnf=asked.cnf,
    )
    return _answer(state, asked, access, state.grants.new_access_token(access))


def token_exchange_grant(state: ProviderState, asked: TokenRequest) -> Members:
    """Give a token for an access token of ours, narrower in audience, scope and time, never wider (RFC 8693 2).

    Raises `Refusal` with `invalid_request`, `invalid_target` for an audience that is not one of
    `state.exchange_audiences`, or `invalid_scope`.
    """
    _check_confidential(asked)
    requested_type = _check_types(asked)
    subject = state.grants.access(asked.parameters.get("subject_token", ""), state.clock())
    if subject is None:
        raise Refusal("invalid_request", "subject_token is missing, unknown, expired or revoked")  # RFC 8693 2.2.2.
    scope = asked.parameters.get("scope", subject.scope)
    if not set(scope.split()) <= set(subject.scope.split()):
        raise Refusal("invalid_scope", "more is asked for than the subject token has")
    now = state.clock()
    access = AccessToken(
        client_id=asked.client.client_id,
        scope=scope,
        issued_at=now,
        expires_at=min(subject.expires_at, now + state.access_token_lifetime),
        grant=subject.grant,
        audience=_targets(state, asked) or subject.audience,
        cnf=asked.cnf,
    )
    text = _jwt(state, access) if requested_type == JWT_TYPE else ""
    members = _answer(state, asked, access, state.grants.new_access_token(access, text))
    return altered(state.faults.token_exchange, {**members, "issued_token_type": requested_type})


def _check_confidential(asked: TokenRequest) -> None:
    if asked.client.token_endpoint_auth_method == "none":
        raise Refusal("unauthorized_client", "a public client may not use this grant")


def _check_types(asked: TokenRequest) -> str:
    parameters = asked.parameters
    requested = parameters.get("requested_token_type", ACCESS_TOKEN_TYPE)
    rules = (
        (parameters.get("subject_token_type") in (ACCESS_TOKEN_TYPE, JWT_TYPE), "subject_token_type is not known"),
        (requested in (ACCESS_TOKEN_TYPE, JWT_TYPE), "requested_token_type is not known"),
        (not {"actor_token", "actor_token_type"} & set(parameters), "there is no delegation to an actor here"),
    )
    for kept, description in rules:
        if not kept:
            raise Refusal("invalid_request", description)
    return requested


def _targets(state: ProviderState, asked: TokenRequest) -> tuple[str, ...]:
    resources, audiences = _words(asked, "resource"), _words(asked, "audience")
    if not all(_is_absolute(resource) for resource in resources):
        raise Refusal("invalid_target", "resource is not an absolute URI without fragment")  # RFC 8707 2.
    targets = tuple(dict.fromkeys((*audiences, *resources)))
    if not set(targets) <= set(state.exchange_audiences):
        raise Refusal("invalid_target", "there is no such audience, or no tokens for it")
    return targets


def _words(asked: TokenRequest, name: str) -> list[str]:
    return asked.parameters.get(name, "").split()


def _is_absolute(uri: str) -> bool:
    return bool(urlsplit(uri).scheme) and "#" not in uri


def _jwt(state: ProviderState, access: AccessToken) -> str:
    claims = {**access_claims(state, access), "jti": secrets.token_urlsafe(12)}
    return state.sign(claims, client_id=access.client_id, alter_header=partial(with_type, "at+jwt"))


def _answer(state: ProviderState, asked: TokenRequest, access: AccessToken, token: str) -> Members:
    return {
        "access_token": token,
        "token_type": token_type(asked.cnf),
        "expires_in": int(access.expires_at - state.clock()),
        "scope": access.scope,
        "x_unknown": ["to", "be", "ignored"],
    }
