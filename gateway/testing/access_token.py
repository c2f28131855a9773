"""What an access token says, to those who ask and in itself when it is a JWT (RFC 7662 2.2, RFC 9068 2.2)."""

from __future__ import annotations

from gateway.testing.faults import Members
from gateway.testing.grants import AccessToken, Grant
from gateway.testing.state import ProviderState


def access_claims(state: ProviderState, access: AccessToken) -> Members:
    """List the claims of an access token; its audience is its client where none was asked for."""
    grant, audience = access.grant, list(access.audience)
    return {
        "iss": state.issuer,
        "sub": access.client_id if grant is None else grant.subject,
        "aud": audience if len(audience) > 1 else (audience or [access.client_id])[0],
        "client_id": access.client_id,
        "scope": access.scope,
        "iat": int(access.issued_at),
        "exp": int(access.expires_at),
        **({} if access.cnf is None else {"cnf": dict(access.cnf)}),
        **({} if grant is None else _login_claims(grant)),
    }


def with_type(typ: str, header: Members) -> Members:
    """Give a JOSE header its `typ`, which keeps one kind of JWT from being taken for another (RFC 8725 3.11)."""
    return {**header, "typ": typ}


def _login_claims(grant: Grant) -> Members:
    details = {"authorization_details": list(grant.authorization_details)} if grant.authorization_details else {}
    return {"auth_time": grant.auth_time, **({} if grant.acr is None else {"acr": grant.acr}), **details}
