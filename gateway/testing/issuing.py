"""The tokens about users that the provider makes: ID tokens of every kind, and what userinfo says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.testing.faults import Alteration, Members, altered
from gateway.testing.grants import AccessToken, Grant
from gateway.testing.jwe import encrypt, recipient
from gateway.testing.jws import left_half_hash
from gateway.testing.parties import FakeClient, User
from gateway.testing.state import ProviderState

ID_TOKEN_LIFETIME = 300


def id_token(state: ProviderState, grant: Grant, access_token: str, *, refreshed: bool) -> str:
    """Make the ID token of a login, or that of a refresh, which has no nonce (OIDC Core 2, 12.2)."""
    faults, client = state.faults, _client(state, grant)
    claims: Members = {
        **_claims(state, grant),
        "at_hash": left_half_hash(access_token, _algorithm(state, client)),
        **({} if refreshed else {"nonce": grant.nonce}),
    }
    alter_claims = faults.refreshed_id_token_claims if refreshed else faults.id_token_claims
    alter_header = faults.refreshed_id_token_header if refreshed else faults.id_token_header
    alter = faults.refreshed_id_token if refreshed else faults.id_token
    return _id_token(state, grant, altered(alter_claims, claims), alter_header, alter)


def front_id_token(state: ProviderState, grant: Grant, code: str, state_parameter: str | None) -> str:
    """Make the ID token that comes with the code of `code id_token` (OIDC Core 3.3.2.11, FAPI 1.0 Advanced 5.1)."""
    faults, algorithm = state.faults, _algorithm(state, _client(state, grant))
    claims: Members = {
        **_claims(state, grant),
        "nonce": grant.nonce,
        "c_hash": left_half_hash(code, algorithm),
        **({} if state_parameter is None else {"s_hash": left_half_hash(state_parameter, algorithm)}),
    }
    return _id_token(
        state, grant, altered(faults.front_id_token_claims, claims), faults.front_id_token_header, faults.front_id_token
    )


def userinfo_claims(access: AccessToken, user: User) -> Members:
    """Collect what userinfo says: by scope, and what the `claims` parameter asked for (OIDC Core 5.4, 5.5)."""
    asked = {} if access.grant is None else access.grant.asked_claims
    return {**user.claims_for(access.scope), **_asked(user, asked.get("userinfo")), "x_unknown": 1}


def signed(
    state: ProviderState,
    claims: Mapping[str, object],
    client: FakeClient,
    algorithm: str,
    *,
    alter_header: Alteration | None = None,
    alter: Callable[[str], str] | None = None,
) -> str:
    """Sign claims for a client, by the algorithm that it registered or else the provider's own."""
    compact = state.sign(claims, client_id=client.client_id, alter_header=alter_header, algorithm=algorithm)
    return compact if alter is None else alter(compact)


def encrypted(state: ProviderState, content: str, client: FakeClient, alg: str, enc: str) -> str:
    """Encrypt a JWS, or JSON, for a client; without an `alg` the content stays as it is (RFC 7519 5.2)."""
    if not alg:
        return content
    nested = {} if content.startswith("{") else {"cty": "JWT"}
    compact = encrypt(content.encode("utf-8"), recipient(client.jwks or {}, alg, enc), nested)
    return compact if state.faults.encrypted is None else state.faults.encrypted(compact)


def _id_token(
    state: ProviderState,
    grant: Grant,
    claims: Members,
    alter_header: Alteration | None,
    alter: Callable[[str], str] | None,
) -> str:
    client = _client(state, grant)
    compact = signed(state, claims, client, client.id_token_signed_response_alg, alter_header=alter_header, alter=alter)
    state.grants.remember_id_token(compact, grant)
    alg, enc = client.id_token_encrypted_response_alg, client.id_token_encrypted_response_enc
    return encrypted(state, compact, client, alg, enc)


def _claims(state: ProviderState, grant: Grant) -> Members:
    user = state.user(grant.user)
    return {
        **(user.claims_for(grant.scope) if user is not None and state.id_token_user_claims else {}),
        **(_asked(user, grant.asked_claims.get("id_token")) if user is not None else {}),
        "iss": state.issuer,
        "sub": grant.subject,
        "aud": grant.client_id,
        "exp": state.now + ID_TOKEN_LIFETIME,
        "iat": state.now,
        "auth_time": grant.auth_time,
        "sid": grant.sid,
        "x_unknown": {"to_be": "ignored"},
        **({} if grant.acr is None else {"acr": grant.acr}),
    }


def _asked(user: User, names: object) -> Members:
    return {name: user.claims[name] for name in names if name in user.claims} if isinstance(names, dict) else {}


def _client(state: ProviderState, grant: Grant) -> FakeClient:
    return state.client(grant.client_id) or FakeClient(client_id=grant.client_id, redirect_uris=())


def _algorithm(state: ProviderState, client: FakeClient) -> str:
    return client.id_token_signed_response_alg or state.id_token_alg
