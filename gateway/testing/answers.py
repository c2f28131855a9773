"""How authorization responses travel: by redirect, by form, and signed in JARM (Form Post 2, JARM 2)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from werkzeug.wrappers import Response

from gateway.testing.authorization_request import AuthorizationRequest
from gateway.testing.faults import altered
from gateway.testing.issuing import encrypted, signed
from gateway.testing.pages import form_post_page
from gateway.testing.request_checks import RESPONSE_MODES
from gateway.testing.state import ProviderState

JARM_LIFETIME = 600
"""Seconds that a signed response counts (JARM 2.1 recommends ten minutes at most)."""


def answered(state: ProviderState, request: AuthorizationRequest, answer: Mapping[str, str]) -> Response:
    """Send an authorization response, with the `iss` of RFC 9207, an error no less than a code (2)."""
    faults, members = state.faults, dict(answer)
    if "state" in request.parameters:
        members["state"] = request.parameters["state"]
    mode = _usable_mode(request) if faults.response_mode is None else faults.response_mode(_usable_mode(request))
    if state.response_iss and not mode.endswith(".jwt"):
        members["iss"] = state.issuer
    if faults.authorization_response is not None:
        members = faults.authorization_response(members)
    if mode.endswith(".jwt"):
        members = {"response": _jarm(state, request, members)}
    if faults.sent_response is not None:
        members = faults.sent_response(members)
    if mode.startswith("form_post"):
        return form_post_page(request.parameters["redirect_uri"], members)
    return redirected(request.parameters["redirect_uri"], members)


def redirected(uri: str, parameters: Mapping[str, str]) -> Response:
    """Send the browser to a URI with parameters in its query."""
    separator = "&" if "?" in uri else "?"
    location = uri + (separator + urlencode(parameters) if parameters else "")
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location, "Cache-Control": "no-store"})


def _usable_mode(request: AuthorizationRequest) -> str:
    # An error has to travel too when it is the mode that is wrong.
    allowed = RESPONSE_MODES.get(request.response_type, RESPONSE_MODES[frozenset(("code",))])
    return request.response_mode if request.response_mode in allowed else "query"


def _jarm(state: ProviderState, request: AuthorizationRequest, members: Mapping[str, str]) -> str:
    faults, client = state.faults, request.client
    claims = {"iss": state.issuer, "aud": client.client_id, "exp": state.now + JARM_LIFETIME, **members}
    compact = signed(
        state,
        altered(faults.jarm_claims, claims),
        client,
        client.authorization_signed_response_alg,
        alter_header=faults.jarm_header,
        alter=faults.jarm,
    )
    alg, enc = client.authorization_encrypted_response_alg, client.authorization_encrypted_response_enc
    return encrypted(state, compact, client, alg, enc)
