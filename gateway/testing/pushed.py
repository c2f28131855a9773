"""Where authorization requests come from: the query, a request object, or pushed before (RFC 9101, RFC 9126)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from werkzeug.wrappers import Request, Response

from gateway.testing.authorization_request import PUSHED_PREFIX, AuthorizationRequest
from gateway.testing.back_channel import error_members, json_response
from gateway.testing.client_auth import authenticated_client
from gateway.testing.dpop import pushed_parameters
from gateway.testing.faults import Members
from gateway.testing.parameters import form_parameters
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.request_checks import check_request
from gateway.testing.request_object import opened_request
from gateway.testing.state import ProviderState

_CREDENTIALS = frozenset(("client_secret", "client_assertion", "client_assertion_type"))


def push(state: ProviderState, request: Request) -> Response:
    """Take an authorization request ahead of the browser, checked as if it came with it (RFC 9126 2)."""
    try:
        status, members = 201, _pushed(state, request)
    except Refusal as refusal:
        status, members = refusal.status, error_members(refusal)
    if state.faults.pushed_response is not None:
        status, members = state.faults.pushed_response(status, members)
    return json_response(status, members)


def received_request(state: ProviderState, parameters: Mapping[str, str]) -> AuthorizationRequest:
    """Find out what is asked at the authorization endpoint, by whom, and where the answer goes.

    Raises `Refusal` where there is nobody to answer to (RFC 6749 4.1.2.1); the rest is for `check_request`.
    """
    client = state.client(parameters.get("client_id", ""))
    if client is None:
        raise Refusal("invalid_request", "client_id is missing or unknown")
    uri = parameters.get("request_uri", "")
    if uri.startswith(PUSHED_PREFIX):
        return _taken_up(state, client, parameters)
    return _resolved(state, client, parameters)


def _taken_up(state: ProviderState, client: FakeClient, parameters: Mapping[str, str]) -> AuthorizationRequest:
    if set(parameters) != {"client_id", "request_uri"}:
        raise Refusal("invalid_request", "there is more than client_id and request_uri")
    pushed = state.pushed.take(parameters["request_uri"].removeprefix(PUSHED_PREFIX), state.clock())
    if pushed is None or pushed.client.client_id != client.client_id:
        raise Refusal("invalid_request_uri", "request_uri is unknown, expired, used or of another client")
    return pushed


def _resolved(state: ProviderState, client: FakeClient, parameters: Mapping[str, str]) -> AuthorizationRequest:
    if "request" in parameters and "request_uri" in parameters:
        raise Refusal("invalid_request", "request and request_uri are both there")
    if "request" in parameters and client.request_object_signing_alg:
        inside = opened_request(state, client, parameters)
        asked = AuthorizationRequest(client=client, parameters=inside, signed=True)
    else:
        asked = AuthorizationRequest(client=client, parameters=parameters)
    if asked.parameters.get("redirect_uri") not in client.redirect_uris:
        raise Refusal("invalid_request", "redirect_uri is missing or not registered")
    return asked


def _pushed(state: ProviderState, request: Request) -> Members:
    client = authenticated_client(state, request)
    sent = {name: value for name, value in form_parameters(request).items() if name not in _CREDENTIALS}
    if "request_uri" in sent:
        raise Refusal("invalid_request", "request_uri is not for pushing")
    if "request" in sent and set(sent) - {"request", "client_id"}:
        raise Refusal("invalid_request", "there are parameters beside the request object")
    if "request" not in sent and "client_id" not in sent:
        raise Refusal("invalid_request", "client_id is missing")
    asked = _resolved(state, client, sent)
    asked = replace(asked, parameters=pushed_parameters(state, request, asked.parameters), pushed=True)
    check_request(state, asked)
    ticket = state.pushed.put(asked, state.clock() + state.pushed_request_lifetime)
    return {"request_uri": f"{PUSHED_PREFIX}{ticket}", "expires_in": state.pushed_request_lifetime, "x_unknown": 1}
