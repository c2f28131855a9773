"""The userinfo endpoint (OIDC Core 5.3): plain, signed or encrypted, as the client registered it."""

from __future__ import annotations

import json

from werkzeug.wrappers import Request, Response

from gateway.testing.back_channel import json_response
from gateway.testing.binding import presented_access
from gateway.testing.faults import Members, altered
from gateway.testing.issuing import encrypted, signed, userinfo_claims
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState


def userinfo(state: ProviderState, request: Request) -> Response:
    """Answer with the user's claims; the access token counts in the header alone (RFC 6750 2.1)."""
    if "access_token" in request.args or "access_token" in request.form:
        raise Refusal("invalid_request", "the access token is not in the header alone")
    access = presented_access(state, request)
    user = None if access.grant is None else state.user(access.grant.user)
    client = state.client(access.client_id)
    if user is None or client is None:
        raise Refusal("invalid_token", "there is no such user or client", status=401)
    claims = userinfo_claims(access, user)
    if client.userinfo_signed_response_alg or client.userinfo_encrypted_response_alg:
        return _jwt_response(state, client, claims)
    return json_response(200, altered(state.faults.userinfo, claims))


def _jwt_response(state: ProviderState, client: FakeClient, claims: Members) -> Response:
    faults, algorithm = state.faults, client.userinfo_signed_response_alg
    if algorithm:
        members = altered(faults.userinfo, {"iss": state.issuer, "aud": client.client_id, **claims})
        content = signed(
            state, members, client, algorithm, alter_header=faults.userinfo_header, alter=faults.userinfo_jwt
        )
    else:
        content = json.dumps(altered(faults.userinfo, claims))
    alg, enc = client.userinfo_encrypted_response_alg, client.userinfo_encrypted_response_enc
    content = encrypted(state, content, client, alg, enc)
    return Response(content, mimetype="application/jwt", headers={"Cache-Control": "no-store"})
