"""Dynamic registration of clients (RFC 7591), and its management by the client itself (RFC 7592)."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from gateway.oidc.messages import same_text
from gateway.testing.back_channel import json_response
from gateway.testing.binding import presented_access
from gateway.testing.client_metadata import Registration, checked_metadata, needs_secret
from gateway.testing.faults import Members
from gateway.testing.grants import hostile_text
from gateway.testing.parties import Refusal
from gateway.testing.state import ProviderState

INITIAL_SCOPE = "dcr"

_OF_THE_PROVIDER = frozenset(
    ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")
)


def register(state: ProviderState, request: Request) -> Response:
    """Register a client (RFC 7591 3); it can be used at once.

    Raises `Refusal` with `invalid_token` or `insufficient_scope` when an initial access token is required, with
    `invalid_redirect_uri`, `invalid_client_metadata` or `invalid_software_statement`.
    """
    _check_initial_token(state, request)
    registration = Registration(
        client_id=hostile_text(),
        issued_at=state.now,
        metadata=_metadata(state, _json_object(request)),
        token=secrets.token_urlsafe(24),
    )
    return _kept(state, 201, registration)


def manage(state: ProviderState, request: Request) -> Response:
    """Read, replace or delete a registration (RFC 7592 2); raises `Refusal` with 401 for any but its own token.

    An answer brings a new secret where the old one has expired.
    """
    registration = _own_registration(state, request)
    if request.method == "DELETE":
        state.remove_registration(registration.client_id)
        return Response(status=204, headers={"Cache-Control": "no-store"})
    if request.method == "PUT":
        registration = _replaced(state, registration, _json_object(request))
    if state.rotate_registration_tokens:
        registration = replace(registration, token=secrets.token_urlsafe(24))
    return _kept(state, 200, registration)


def _check_initial_token(state: ProviderState, request: Request) -> None:
    if state.initial_access_tokens and INITIAL_SCOPE not in presented_access(state, request).scope.split():
        raise Refusal("insufficient_scope", "the token is not one to register with", status=403, challenge="Bearer")


def _json_object(request: Request) -> Members:
    try:
        members = json.loads(request.get_data()) if request.mimetype == "application/json" else None
    except (ValueError, RecursionError):
        members = None
    if isinstance(members, dict):
        return members
    raise Refusal("invalid_client_metadata", "the body is not a JSON object")


def _metadata(state: ProviderState, members: Members) -> Members:
    if "software_statement" in members:
        raise Refusal("invalid_software_statement", "there is nobody here whose statements count")
    template = state.software_templates.get(str(members.get("software_id")))
    if template is None:
        return checked_metadata(members)
    if set(members) - {"software_id", "redirect_uris"}:
        raise Refusal("invalid_client_metadata", "the template of this software_id says all but redirect_uris")
    return checked_metadata({**template, **members})


def _own_registration(state: ProviderState, request: Request) -> Registration:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    registration = state.registration(request.args.get("client_id", ""))
    if registration is None or scheme.lower() != "bearer" or not same_text(registration.token, token):
        raise Refusal("invalid_token", "not the token of this registration", status=401, challenge="Bearer")
    return registration


def _replaced(state: ProviderState, registration: Registration, members: Members) -> Registration:
    secret = members.get("client_secret", registration.client_secret)
    rules = (
        (members.get("client_id") == registration.client_id, "client_id is missing or another"),
        (not _OF_THE_PROVIDER & set(members), "a member is the provider's to say"),
        (isinstance(secret, str) and same_text(secret, registration.client_secret), "client_secret is another"),
    )
    for kept, description in rules:
        if not kept:
            raise Refusal("invalid_client_metadata", description)
    metadata = _metadata(state, {name: members[name] for name in members if name not in ("client_id", "client_secret")})
    return replace(registration, metadata=metadata)


def _kept(state: ProviderState, status: int, registration: Registration) -> Response:
    registration = _with_secret(state, registration)
    metadata, jwks = registration.metadata, registration.metadata.get("jwks")
    if "jwks_uri" in metadata:
        if state.read_jwks is None:
            raise Refusal("invalid_client_metadata", "jwks_uri cannot be read from here")
        jwks = state.read_jwks(str(metadata["jwks_uri"]))
    by_name = metadata["token_endpoint_auth_method"] == "tls_client_auth"
    certificate = state.presented_certificate if by_name else ""
    client = registration.client(jwks if isinstance(jwks, Mapping) else None, certificate)
    state.put_registration(registration, client)
    return _answer(state, status, registration)


def _with_secret(state: ProviderState, registration: Registration) -> Registration:
    if not needs_secret(registration.metadata):
        return replace(registration, client_secret="", secret_expires_at=0)
    if registration.client_secret and not 0 < registration.secret_expires_at <= state.now:
        return registration
    expires_at = state.now + state.client_secret_lifetime if state.client_secret_lifetime else 0
    secret = hostile_text() + hostile_text()  # Long enough for the MAC of HS512 (RFC 7518 3.2).
    return replace(registration, client_secret=secret, secret_expires_at=expires_at)


def _answer(state: ProviderState, status: int, registration: Registration) -> Response:
    secret, says_when = registration.client_secret, state.client_secret_lifetime is not None
    members: Members = {
        **registration.metadata,
        "client_id": registration.client_id,
        "client_id_issued_at": registration.issued_at,
        "registration_access_token": registration.token,
        "registration_client_uri": f"{state.base}/registration?{urlencode({'client_id': registration.client_id})}",
        "x_unknown": {"to_be": "ignored"},
        **({"client_secret": secret} if secret else {}),
        **({"client_secret_expires_at": registration.secret_expires_at} if secret and says_when else {}),
    }
    if state.faults.registration is not None:
        status, members = state.faults.registration(status, members)
    return json_response(status, members)
