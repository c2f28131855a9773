"""The endpoints that browsers visit: authorization (OIDC Core 3.1.2) and end of session (RP-Initiated Logout 1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from gateway.testing.answers import answered, redirected
from gateway.testing.assurance import acr_of_login, supported_acrs
from gateway.testing.authorization_request import AuthorizationRequest
from gateway.testing.grants import Grant, hostile_text
from gateway.testing.issuing import front_id_token
from gateway.testing.logout import frontchannel_urls, tell_of_sign_ins
from gateway.testing.pages import leaving_page, refusal_page, sign_in_page, signed_out_page
from gateway.testing.parameters import single_values
from gateway.testing.parties import Refusal
from gateway.testing.pushed import received_request
from gateway.testing.request_checks import asked_claims, authorization_details, check_request
from gateway.testing.state import ProviderState, SignIn

SESSION_COOKIE = "op_session"
INTERACTION_LIFETIME = 600
"""Seconds that the sign-in page waits for an answer."""


def authorize(state: ProviderState, request: Request) -> Response:
    """Answer an authorization request: at once, or after the user has chosen who to be.

    Without a known client and one of its redirect URIs the answer is a page, as there is nobody to redirect to
    (RFC 6749 4.1.2.1).
    """
    try:
        asked = received_request(state, single_values(request))
    except Refusal as refusal:
        return refusal_page(refusal.error, refusal.description)
    state.note_request(asked.parameters)
    try:
        check_request(state, asked)
        return _answer(state, request, asked)
    except Refusal as refusal:
        return _refused(state, asked, refusal)


def sign_in(state: ProviderState, request: Request) -> Response:
    """Take the answer of the sign-in page."""
    asked = state.interactions.take(request.args.get("ticket", ""), state.clock())
    if asked is None:
        return refusal_page("invalid_request", "this page is no longer waited for")
    try:
        if "cancel" in request.form:
            raise Refusal("access_denied", "the user cancelled")
        if request.form.get("user", "") not in state.users:
            raise Refusal("access_denied", "there is no such user")
        return _sign_in(state, asked, request.form["user"])
    except Refusal as refusal:
        return _refused(state, asked, refusal)


def end_session(state: ProviderState, request: Request) -> Response:
    """End the user's session at the provider, tell all clients of it, and go back to where this one has registered."""
    try:
        parameters = single_values(request)
        grant = _hinted_grant(state, parameters)
    except Refusal as refusal:
        return refusal_page(refusal.error, refusal.description)
    ended = state.end_sign_ins(cookie=request.cookies.get(SESSION_COOKIE, ""), sid=grant.sid)
    tell_of_sign_ins(state, ended)
    frames = [url for sign_in in ended for url in frontchannel_urls(state, sign_in.sid)]
    response = _after_logout(state, parameters, frames)
    response.delete_cookie(SESSION_COOKIE, path=_cookie_path(state), secure=_secure(state), httponly=True)
    return response


def _refused(state: ProviderState, asked: AuthorizationRequest, refusal: Refusal) -> Response:
    return answered(state, asked, {"error": refusal.error, "error_description": refusal.description})


def _answer(state: ProviderState, request: Request, asked: AuthorizationRequest) -> Response:
    parameters = asked.parameters
    automatic = _automatic_user(state, parameters)
    current = _current_sign_in(state, request, parameters)
    if current is not None and automatic in (None, current.user):
        return _answer_with_code(state, asked, current)
    if automatic is not None and not _must_fail_silently(parameters):
        return _sign_in(state, asked, automatic)
    if parameters.get("prompt") == "none":
        raise Refusal("login_required", "nobody is signed in, or not recently or not strongly enough")
    users = [user for name in state.users if (user := state.user(name)) is not None]
    ticket = state.interactions.put(asked, state.clock() + INTERACTION_LIFETIME)
    return sign_in_page(asked.client.client_id, users, f"{state.base}/sign_in?{urlencode({'ticket': ticket})}")


def _automatic_user(state: ProviderState, parameters: Mapping[str, str]) -> str | None:
    hint = parameters.get("login_hint", "")
    return hint if state.sign_in_as is not None and hint in state.users else state.sign_in_as


def _must_fail_silently(parameters: Mapping[str, str]) -> bool:
    # max_age=0 asks for a fresh login, which prompt=none forbids (OIDC Core 3.1.2.1).
    return parameters.get("prompt") == "none" and int(parameters.get("max_age", "1")) == 0


def _current_sign_in(state: ProviderState, request: Request, parameters: Mapping[str, str]) -> SignIn | None:
    current = state.sign_in_of(request.cookies.get(SESSION_COOKIE, ""))
    if current is None or {"login", "select_account"} & set(parameters.get("prompt", "").split()):
        return None
    if "max_age" in parameters and state.now - current.auth_time >= int(parameters["max_age"]):
        return None
    wanted = supported_acrs(state, parameters)
    return current if not wanted or current.acr in wanted else None


def _sign_in(state: ProviderState, asked: AuthorizationRequest, user: str) -> Response:
    cookie, current = state.begin_sign_in(user, acr_of_login(state, asked.parameters))
    response = _answer_with_code(state, asked, current)
    response.set_cookie(
        SESSION_COOKIE, cookie, path=_cookie_path(state), secure=_secure(state), httponly=True, samesite="Lax"
    )
    return response


def _answer_with_code(state: ProviderState, asked: AuthorizationRequest, current: SignIn) -> Response:
    user, parameters = state.user(current.user), asked.parameters
    if user is None:
        raise Refusal("access_denied", "the user is gone")
    grant = Grant(
        grant_id=hostile_text(),
        client_id=asked.client.client_id,
        user=user.name,
        subject=user.subject,
        scope=" ".join(scope for scope in parameters["scope"].split() if scope in state.scopes),
        redirect_uri=parameters["redirect_uri"],
        nonce=parameters["nonce"],
        code_challenge=parameters["code_challenge"],
        auth_time=current.auth_time,
        sid=current.sid,
        acr=current.acr,
        resources=tuple(parameters.get("resource", "").split()),
        authorization_details=authorization_details(state, parameters.get("authorization_details")),
        asked_claims=asked_claims(parameters.get("claims")),
        dpop_jkt=parameters.get("dpop_jkt", ""),
    )
    members = {"code": state.grants.new_code(grant, state.now)}
    if "id_token" in asked.response_type:
        members["id_token"] = front_id_token(state, grant, members["code"], parameters.get("state"))
    return answered(state, asked, members)


def _hinted_grant(state: ProviderState, parameters: Mapping[str, str]) -> Grant:
    grant = state.grants.grant_of_id_token(parameters.get("id_token_hint", ""))
    if grant is None:
        raise Refusal("invalid_request", "id_token_hint is missing, or not one that was issued here")
    if parameters.get("client_id", grant.client_id) != grant.client_id:
        raise Refusal("invalid_request", "client_id is not that of the ID token")
    client = state.client(grant.client_id)
    uri = parameters.get("post_logout_redirect_uri")
    if uri is not None and (client is None or uri not in client.post_logout_redirect_uris):
        raise Refusal("invalid_request", "post_logout_redirect_uri is not registered")
    return grant


def _after_logout(state: ProviderState, parameters: Mapping[str, str], frames: Sequence[str]) -> Response:
    if "post_logout_redirect_uri" not in parameters:
        return signed_out_page(frames)
    members = {"state": parameters["state"]} if "state" in parameters else {}
    if state.faults.end_session is not None:
        members = state.faults.end_session(members)
    uri = parameters["post_logout_redirect_uri"]
    return leaving_page(uri, members, frames) if frames else redirected(uri, members)


def _cookie_path(state: ProviderState) -> str:
    return state.base_path or "/"


def _secure(state: ProviderState) -> bool:
    return state.issuer.startswith("https:")
