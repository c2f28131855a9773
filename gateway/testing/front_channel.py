"""The endpoints that browsers visit: authorization (OIDC Core 3.1.2) and end of session (RP-Initiated Logout 1.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

from gateway.testing.grants import Grant, hostile_text
from gateway.testing.pages import form_post_page, refusal_page, sign_in_page, signed_out_page
from gateway.testing.parties import FakeClient, Refusal
from gateway.testing.state import ProviderState, SignIn

SESSION_COOKIE = "op_session"

_PAGE_FIELDS = ("user", "cancel")
_NONCE = re.compile(r"[A-Za-z0-9._~-]{1,43}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_MODE = re.compile(r"query|form_post")
_SECONDS = re.compile(r"[0-9]{1,9}")


def authorize(state: ProviderState, request: Request) -> Response:
    """Answer an authorization request: at once, or after the user has chosen who to be.

    Without a known client and one of its redirect URIs the answer is a page, as there is nobody to redirect to
    (RFC 6749 4.1.2.1).
    """
    try:
        parameters = {name: value for name, value in single_values(request).items() if name not in _PAGE_FIELDS}
        client = _client_and_redirect_uri(state, parameters)
    except Refusal as refusal:
        return refusal_page(refusal.error, refusal.description)
    try:
        _check_request(parameters)
        return _answer(state, request, parameters, client)
    except Refusal as refusal:
        error = {"error": refusal.error, "error_description": refusal.description}
        return _redirect_to_client(state, parameters, error)


def end_session(state: ProviderState, request: Request) -> Response:
    """End the user's session at the provider and go back to where the client has registered."""
    try:
        parameters = single_values(request)
        grant = _hinted_grant(state, parameters)
    except Refusal as refusal:
        return refusal_page(refusal.error, refusal.description)
    state.end_sign_in(cookie=request.cookies.get(SESSION_COOKIE, ""), sid=grant.sid)
    response = _after_logout(state, parameters)
    response.delete_cookie(SESSION_COOKIE, path=_cookie_path(state), secure=_secure(state), httponly=True)
    return response


def single_values(request: Request) -> dict[str, str]:
    """Read the parameters of query and form, each of which may occur once (RFC 6749 3.1)."""
    pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise Refusal("invalid_request", "a parameter occurs twice")
    return parameters


def _client_and_redirect_uri(state: ProviderState, parameters: Mapping[str, str]) -> FakeClient:
    client = state.client(parameters.get("client_id", ""))
    if client is None:
        raise Refusal("invalid_request", "client_id is missing or unknown")
    if parameters.get("redirect_uri") not in client.redirect_uris:
        raise Refusal("invalid_request", "redirect_uri is missing or not registered")
    return client


def _check_request(parameters: Mapping[str, str]) -> None:
    prompts = parameters.get("prompt", "").split()
    rules = (
        ("request" not in parameters, "request_not_supported", "request is not supported"),
        ("request_uri" not in parameters, "request_uri_not_supported", "request_uri is not supported"),
        (parameters.get("response_type") == "code", "unsupported_response_type", "response_type is not code"),
        (_has(parameters, "response_mode", _MODE, "query"), "invalid_request", "response_mode is unknown"),
        ("openid" in parameters.get("scope", "").split(), "invalid_scope", "openid is not in scope"),
        (_has(parameters, "nonce", _NONCE), "invalid_request", "nonce is missing, too long or not unreserved"),
        (parameters.get("code_challenge_method") == "S256", "invalid_request", "code_challenge_method is not S256"),
        (_has(parameters, "code_challenge", _CHALLENGE), "invalid_request", "code_challenge is not an S256 digest"),
        (len(prompts) < 2 or "none" not in prompts, "invalid_request", "prompt has none and another value"),
        (_has(parameters, "max_age", _SECONDS, "0"), "invalid_request", "max_age is not a number of seconds"),
    )
    for kept, error, description in rules:
        if not kept:
            raise Refusal(error, description)


def _has(parameters: Mapping[str, str], name: str, pattern: re.Pattern[str], default: str = "") -> bool:
    return pattern.fullmatch(parameters.get(name, default)) is not None


def _answer(state: ProviderState, request: Request, parameters: Mapping[str, str], client: FakeClient) -> Response:
    if "cancel" in request.form:
        raise Refusal("access_denied", "the user cancelled")
    chosen = _chosen_user(state, request)
    automatic = _automatic_user(state, parameters)
    current = _current_sign_in(state, request, parameters)
    if chosen is None and current is not None and automatic in (None, current.user):
        return _redirect_with_code(state, parameters, current)
    if chosen is not None or (automatic is not None and not _must_fail_silently(parameters)):
        return _sign_in(state, parameters, chosen or automatic or "")
    if parameters.get("prompt") == "none":
        raise Refusal("login_required", "nobody is signed in, or not recently enough")
    users = [user for name in state.users if (user := state.user(name)) is not None]
    return sign_in_page(client.client_id, users, f"{state.base}/authorize?{urlencode(parameters)}")


def _chosen_user(state: ProviderState, request: Request) -> str | None:
    name = request.form.get("user")
    if name is not None and name not in state.users:
        raise Refusal("access_denied", "there is no such user")
    return name


def _automatic_user(state: ProviderState, parameters: Mapping[str, str]) -> str | None:
    hint = parameters.get("login_hint", "")
    return hint if state.sign_in_as is not None and hint in state.users else state.sign_in_as


def _must_fail_silently(parameters: Mapping[str, str]) -> bool:
    # max_age=0 asks for a fresh login, which prompt=none forbids (OIDC Core 3.1.2.1).
    return parameters.get("prompt") == "none" and int(parameters.get("max_age", "1")) == 0


def _current_sign_in(state: ProviderState, request: Request, parameters: Mapping[str, str]) -> SignIn | None:
    sign_in = state.sign_in_of(request.cookies.get(SESSION_COOKIE, ""))
    if sign_in is None or {"login", "select_account"} & set(parameters.get("prompt", "").split()):
        return None
    if "max_age" in parameters and state.now - sign_in.auth_time >= int(parameters["max_age"]):
        return None
    return sign_in


def _sign_in(state: ProviderState, parameters: Mapping[str, str], user: str) -> Response:
    cookie, sign_in = state.begin_sign_in(user)
    response = _redirect_with_code(state, parameters, sign_in)
    response.set_cookie(
        SESSION_COOKIE, cookie, path=_cookie_path(state), secure=_secure(state), httponly=True, samesite="Lax"
    )
    return response


def _redirect_with_code(state: ProviderState, parameters: Mapping[str, str], sign_in: SignIn) -> Response:
    user = state.user(sign_in.user)
    if user is None:
        raise Refusal("access_denied", "the user is gone")
    asked = parameters["scope"].split()
    grant = Grant(
        grant_id=hostile_text(),
        client_id=parameters["client_id"],
        user=user.name,
        subject=user.subject,
        scope=" ".join(scope for scope in asked if scope in state.scopes),
        redirect_uri=parameters["redirect_uri"],
        nonce=parameters["nonce"],
        code_challenge=parameters["code_challenge"],
        auth_time=sign_in.auth_time,
        sid=sign_in.sid,
        acr=next(iter(parameters.get("acr_values", "").split()), None),
    )
    return _redirect_to_client(state, parameters, {"code": state.grants.new_code(grant, state.now)})


def _redirect_to_client(state: ProviderState, parameters: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    """Send an authorization response, with the `iss` of RFC 9207, an error no less than a code (2)."""
    members = dict(answer)
    if "state" in parameters:
        members["state"] = parameters["state"]
    if state.response_iss:
        members["iss"] = state.issuer
    if state.faults.authorization_response is not None:
        members = state.faults.authorization_response(members)
    if parameters.get("response_mode") == "form_post":
        return form_post_page(parameters["redirect_uri"], members)
    return _redirect(parameters["redirect_uri"], members)


def _redirect(uri: str, parameters: Mapping[str, str]) -> Response:
    separator = "&" if "?" in uri else "?"
    location = uri + (separator + urlencode(parameters) if parameters else "")
    return Response(status=HTTPStatus.SEE_OTHER, headers={"Location": location, "Cache-Control": "no-store"})


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


def _after_logout(state: ProviderState, parameters: Mapping[str, str]) -> Response:
    if "post_logout_redirect_uri" not in parameters:
        return signed_out_page()
    members = {"state": parameters["state"]} if "state" in parameters else {}
    if state.faults.end_session is not None:
        members = state.faults.end_session(members)
    return _redirect(parameters["post_logout_redirect_uri"], members)


def _cookie_path(state: ProviderState) -> str:
    return state.base_path or "/"


def _secure(state: ProviderState) -> bool:
    return state.issuer.startswith("https:")
