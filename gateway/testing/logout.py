"""How clients hear that a sign-in has ended: logout tokens and iframes (Back-Channel and Front-Channel Logout 1.0)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from urllib.parse import urlencode

from gateway.testing.faults import Members, altered
from gateway.testing.grants import Grant
from gateway.testing.issuing import encrypted, signed
from gateway.testing.parties import FakeClient
from gateway.testing.state import ProviderState, SignIn

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGOUT_TOKEN_LIFETIME = 120


def logout_token(state: ProviderState, client: FakeClient, *, subject: str | None, sid: str | None) -> str:
    """Make a logout token for a client, protected as its ID tokens are (Back-Channel Logout 1.0 2.4)."""
    faults = state.faults
    claims: Members = {
        "iss": state.issuer,
        "aud": client.client_id,
        "jti": secrets.token_urlsafe(16),
        "events": {LOGOUT_EVENT: {}},
        "iat": state.now,
        "exp": state.now + LOGOUT_TOKEN_LIFETIME,
        "ignored_claim": {"to_be": "ignored"},
        **({} if subject is None else {"sub": subject}),
        **({} if sid is None else {"sid": sid}),
    }
    compact = signed(
        state,
        altered(faults.logout_token_claims, claims),
        client,
        faults.logout_token_alg or client.id_token_signed_response_alg,
        alter_header=faults.logout_token_header,
        alter=faults.logout_token,
    )
    return encrypted(
        state, compact, client, client.id_token_encrypted_response_alg, client.id_token_encrypted_response_enc
    )


def tell_of_sign_ins(state: ProviderState, ended: Iterable[SignIn]) -> None:
    """Send a logout token to each client with a grant of a sign-in that has ended (2.5)."""
    for sign_in in ended:
        for client, grant in _clients(state, sign_in.sid):
            _send(state, client, subject=grant.subject, sid=grant.sid)


def tell_of_user(state: ProviderState, ended: Iterable[SignIn]) -> None:
    """Send a logout token without `sid` to each client with a grant of a user whose every sign-in has ended (2.4).

    A client with `backchannel_logout_session_required` gets one for each of them, with its `sid`.
    """
    told: set[str] = set()
    for sign_in in ended:
        for client, grant in _clients(state, sign_in.sid):
            if client.backchannel_logout_session_required:
                _send(state, client, subject=grant.subject, sid=grant.sid)
            elif client.client_id not in told:
                _send(state, client, subject=grant.subject, sid=None)
                told.add(client.client_id)


def frontchannel_urls(state: ProviderState, sid: str) -> list[str]:
    """List what to load in iframes when a sign-in ends, with `iss` and `sid` for who asked (Front-Channel 1.0 2, 3)."""
    clients = [client for client, _ in _clients(state, sid) if client.frontchannel_logout_uri]
    return [_frontchannel_url(state, client, sid) for client in clients]


def _clients(state: ProviderState, sid: str) -> list[tuple[FakeClient, Grant]]:
    found = ((state.client(grant.client_id), grant) for grant in state.grants.of_sign_in(sid))
    return [(client, grant) for client, grant in found if client is not None]


def _send(state: ProviderState, client: FakeClient, *, subject: str, sid: str | None) -> None:
    if state.logout_transport is None or not client.backchannel_logout_uri:
        return
    token = logout_token(state, client, subject=subject, sid=sid)
    form = urlencode({"logout_token": token, "ignored_parameter": "to be ignored"})
    state.logout_answers.append(state.logout_transport(client.backchannel_logout_uri, form.encode("ascii")))


def _frontchannel_url(state: ProviderState, client: FakeClient, sid: str) -> str:
    uri = client.frontchannel_logout_uri
    if not client.frontchannel_logout_session_required:
        return uri
    return uri + ("&" if "?" in uri else "?") + urlencode({"iss": state.issuer, "sid": sid})
