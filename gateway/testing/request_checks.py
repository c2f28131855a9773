"""What an authorization request has to be (OIDC Core 3.1.2.2, RFC 7636 4.4.1, RFC 8707, RFC 9396), rule by rule."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from gateway.testing.authorization_request import AuthorizationRequest
from gateway.testing.parties import Refusal
from gateway.testing.state import ProviderState

PROMPTS = ("none", "login", "consent", "select_account")
RESPONSE_MODES: Mapping[frozenset[str], tuple[str, ...]] = {
    frozenset(("code",)): ("query", "form_post", "query.jwt", "form_post.jwt"),
    frozenset(("code", "id_token")): ("form_post", "form_post.jwt"),
}
"""The response modes by response type; never the fragment, which no server gets to see."""

_NONCE = re.compile(r"[A-Za-z0-9._~-]{1,43}")
_DIGEST = re.compile(r"[A-Za-z0-9_-]{43}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_VISIBLE = re.compile(r"[\x20-\x7E]+")
_CLAIM_MEMBERS = {"essential": bool, "values": list}

Rule = tuple[bool, str, str]


def check_request(state: ProviderState, request: AuthorizationRequest) -> None:
    """Check everything but client and redirect URI, and note what is unknown but harmless in `state.warnings`.

    Raises `Refusal` with the `error` that the client gets (RFC 6749 4.1.2.1).
    """
    rules = (*_way_rules(state, request), *_rules(request), *_login_rules(state, request.parameters))
    for kept, error, description in rules:
        if not kept:
            raise Refusal(error, description)
    check_resources(state, request.parameters.get("resource", ""))
    authorization_details(state, request.parameters.get("authorization_details"))
    if "none" in request.parameters.get("prompt", "").split() and request.parameters.get("max_age") == "0":
        state.note_warning("prompt is none and max_age is 0")  # H11; nobody can sign in like that.
    for note in _claims_notes(asked_claims(request.parameters.get("claims"))):
        state.note_warning(note)


def check_resources(state: ProviderState, resources: str) -> None:
    """Check the `resource` parameters, joined by spaces (RFC 8707 2)."""
    for resource in resources.split():
        known = state.resources is None or resource in state.resources
        if not _is_absolute(resource) or "#" in resource or not known:
            raise Refusal("invalid_target", "resource is no absolute URI without fragment, or not one of ours")


def authorization_details(state: ProviderState, text: str | None) -> tuple[Mapping[str, object], ...]:
    """Read `authorization_details` (RFC 9396 2, 5)."""
    details = [] if text is None else _json(text, "invalid_authorization_details")
    known = state.authorization_details_types
    if not isinstance(details, list) or (text is not None and not details):
        raise Refusal("invalid_authorization_details", "authorization_details is no array of something")
    for detail in details:
        kind = detail.get("type") if isinstance(detail, dict) else None
        if not isinstance(kind, str) or (known is not None and kind not in known):
            raise Refusal("invalid_authorization_details", "a member is no object, or its type is unknown")
    return tuple(details)


def asked_claims(text: str | None) -> dict[str, dict[str, dict[str, object] | None]]:
    """Read the `claims` parameter (OIDC Core 5.5); raises `Refusal` where a value has the wrong type (H12)."""
    members = {} if text is None else _json(text, "invalid_request")
    if not isinstance(members, dict) or not all(isinstance(members.get(name, {}), dict) for name in _PLACES):
        raise Refusal("invalid_request", "claims is not an object of objects")
    for claim in (claim for name in _PLACES for claim in members.get(name, {}).values()):
        if not _is_claim_request(claim):
            raise Refusal("invalid_request", "a claim is asked for by a value of the wrong type")
    return members


_PLACES = ("userinfo", "id_token")


def _way_rules(state: ProviderState, request: AuthorizationRequest) -> Iterator[Rule]:
    must_push = state.require_pushed_authorization_requests or request.client.require_pushed_authorization_requests
    must_sign = state.require_signed_request_object or request.client.require_signed_request_object
    parameters = request.parameters
    yield "request" not in parameters, "request_not_supported", "request is not supported for this client"
    yield "request_uri" not in parameters, "request_uri_not_supported", "request_uri is not one that was pushed"
    yield request.pushed or not must_push, "invalid_request", "the request has to be pushed"
    yield request.signed or not must_sign, "invalid_request", "the request has to be signed"


def _rules(request: AuthorizationRequest) -> Iterator[Rule]:
    parameters, modes = request.parameters, RESPONSE_MODES.get(request.response_type)
    yield modes is not None, "unsupported_response_type", "response_type is neither code nor code id_token"
    yield request.response_mode in (modes or ()), "invalid_request", "response_mode is unknown, or the fragment"
    yield "openid" in parameters.get("scope", "").split(), "invalid_scope", "openid is not in scope"
    yield _has(parameters, "nonce", _NONCE), "invalid_request", "nonce is missing, too long or not unreserved"
    method = parameters.get("code_challenge_method")
    yield method == "S256", "invalid_request", "code_challenge_method is not S256"
    yield _has(parameters, "code_challenge", _DIGEST), "invalid_request", "code_challenge is not an S256 digest"
    yield _has(parameters, "state", _VISIBLE, "x"), "invalid_request", "state has characters beyond visible ASCII"
    yield _has(parameters, "dpop_jkt", _DIGEST, "x" * 43), "invalid_request", "dpop_jkt is not a thumbprint"


def _login_rules(state: ProviderState, parameters: Mapping[str, str]) -> Iterator[Rule]:
    prompts = parameters.get("prompt", "login").split()
    yield prompts != [] and set(prompts) <= set(PROMPTS), "invalid_request", "prompt has an unknown value"
    yield len(prompts) < 2 or "none" not in prompts, "invalid_request", "prompt has none and another value"
    yield _has(parameters, "max_age", _SECONDS, "0"), "invalid_request", "max_age is not a number of seconds"
    yield parameters.get("acr_values", "x").strip() != "", "invalid_request", "acr_values is empty"
    hint = parameters.get("id_token_hint")
    known = hint is None or state.grants.grant_of_id_token(hint) is not None
    yield known, "invalid_request", "id_token_hint is not one that was issued here"


def _is_absolute(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme != "" and (parts.netloc != "" or parts.path != "")


def _has(parameters: Mapping[str, str], name: str, pattern: re.Pattern[str], default: str = "") -> bool:
    return pattern.fullmatch(parameters.get(name, default)) is not None


def _json(text: str, error: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise Refusal(error, "a parameter is not JSON") from problem


def _is_claim_request(claim: object) -> bool:
    if claim is None:
        return True
    if not isinstance(claim, dict):
        return False
    return all(isinstance(claim[name], kind) for name, kind in _CLAIM_MEMBERS.items() if name in claim)


def _claims_notes(claims: Mapping[str, Mapping[str, Mapping[str, object] | None]]) -> Iterator[str]:
    yield from (f"claims has an unknown member {name}" for name in claims if name not in _PLACES)
    for place in _PLACES:
        for name, claim in claims.get(place, {}).items():
            yield from (f"claim {name} has an unknown member {one}" for one in _unknown(claim or {}))


def _unknown(members: Iterable[str]) -> list[str]:
    return [name for name in members if name not in ("essential", "value", "values")]
