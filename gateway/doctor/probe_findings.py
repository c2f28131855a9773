"""Judges what a provider answered to questions without a user: whether it knows us, and our redirect URI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qsl

from gateway.config_provider import ProviderSettings
from gateway.doctor.diagnoses_provider import (
    AUTHORIZATION_ENDPOINT_WRONG,
    CLIENT_NOT_ALLOWED,
    CLIENT_OK,
    CLIENT_REFUSED,
    CLIENT_SKIPPED,
    CLIENT_UNCLEAR,
    CLIENT_UNKNOWN,
    PUSH_REFUSED,
    REDIRECT_URI_OK,
    REDIRECT_URI_REFUSED,
    REDIRECT_URI_SKIPPED,
    REDIRECT_URI_UNCLEAR,
    REQUEST_OBJECT_REFUSED,
    REQUEST_REFUSED,
)
from gateway.doctor.finding import Diagnosis, Finding, found, place_of
from gateway.doctor.probes import Probes
from gateway.doctor.provider_facts import Exchange
from gateway.errors import METADATA_LACKING, PUSHED_REQUEST_REFUSED, TOKEN_CLIENT_INVALID, GatewayError
from gateway.oidc.messages import Reply, json_object

MAX_PAGE = 64 * 1024

_ERROR = re.compile(r"[a-z_]{1,40}")
_KNOWS_US = ("invalid_grant", "bad_verification_code")
_SENDS_BACK = frozenset(
    {"", "login_required", "interaction_required", "consent_required", "account_selection_required",
     "access_denied", "server_error", "temporarily_unavailable"}
)  # fmt: skip
"""What says nothing against our request: nobody was there to sign in."""
_ABOUT_REDIRECT_URI = ("redirect_uri", "redirect uri", "redirect-uri", "aadsts50011", "callback url")
_ABOUT_CLIENT = ("invalid_client", "unauthorized_client", "client not found", "unknown client", "client_id")


def judge_client(settings: ProviderSettings, probes: Probes, subject: str) -> list[Finding]:
    """Judge what the token endpoint said to a made-up code."""
    if probes.client is None:
        return [found(CLIENT_SKIPPED, subject, {"why": probes.client_skipped or "the question could not be made"})]
    reply = probes.client.reply
    if reply is None:
        why = f"the token endpoint did not answer ({probes.client.failure})"
        return [found(CLIENT_SKIPPED, subject, {"why": why})]
    error = _error_of(reply)
    values = {
        "client_id": settings.client.client_id,
        "method": probes.method,
        "error": error or "nothing that we know",
        "status": reply.status,
    }
    if error in _KNOWS_US:
        return [found(CLIENT_OK, subject, values)]
    if error in ("invalid_client", "incorrect_client_credentials") or (reply.status == 401 and not error):
        return [found(CLIENT_REFUSED, subject, values)]
    if error in ("unauthorized_client", "unsupported_grant_type"):
        return [found(CLIENT_NOT_ALLOWED, subject, values)]
    return [found(CLIENT_UNCLEAR, subject, values)]


def judge_redirect_uri(settings: ProviderSettings, probes: Probes, subject: str, *, lacking: bool) -> list[Finding]:
    """Judge what the authorization endpoint said to a request that may not ask the user.

    `lacking` says that the provider does not offer what the request needs, so that a refusal is no wonder.
    """
    if probes.push_problem is not None:
        return [_judge_push(settings, probes.push_problem, subject)]
    if probes.redirect is None or probes.redirect.reply is None:
        failure = "" if probes.redirect is None else probes.redirect.failure
        why = probes.redirect_skipped or f"the authorization endpoint did not answer ({failure})"
        return [found(REDIRECT_URI_SKIPPED, subject, {"why": why})]
    why = ""
    if lacking or _is_refused(probes):
        why = "the provider does not offer what the request needs" if lacking else "the provider refuses the client"
    return [_judge_answer(settings, probes.redirect, probes.redirect.reply, subject, why)]


def _judge_push(settings: ProviderSettings, problem: GatewayError, subject: str) -> Finding:
    if problem.problem is PUSHED_REQUEST_REFUSED:
        values = {**_of_client(settings), "detail": problem.detail}
        return found(PUSH_REFUSED, subject, values)
    known = {
        METADATA_LACKING: "the provider lacks what the request needs",
        TOKEN_CLIENT_INVALID: "it refuses the client",
    }
    why = known.get(problem.problem, f"the request could not be made ({problem.code})")
    return found(REDIRECT_URI_SKIPPED, subject, {"why": why})


def _judge_answer(settings: ProviderSettings, asked: Exchange, reply: Reply, subject: str, known_cause: str) -> Finding:
    """Judge one answer; with a cause that is known already, a refusal that does not tell its own is nothing new."""
    page = reply.body[:MAX_PAGE].decode("utf-8", "replace")
    values = {**_of_client(settings), "status": reply.status, "url": asked.url, "hint": ""}
    back = _sent_back(settings.client.redirect_uri, reply, page)
    if back is not None and back.error in _SENDS_BACK:
        return found(REDIRECT_URI_OK, subject, values)
    if back is not None:
        refusal = found(REQUEST_REFUSED, subject, {**values, "error": back.error})
    elif reply.status in (404, 405):
        return found(AUTHORIZATION_ENDPOINT_WRONG, subject, values)
    elif 400 <= reply.status < 500 and reply.status not in (403, 429):
        diagnosis, hint, says_why = _refusal(settings, page)
        refusal = found(diagnosis, subject, {**values, "hint": hint})
        if says_why:
            return refusal
    else:
        return found(REDIRECT_URI_UNCLEAR, subject, values)
    return found(REDIRECT_URI_SKIPPED, subject, {"why": known_cause}) if known_cause else refusal


def _refusal(settings: ProviderSettings, page: str) -> tuple[Diagnosis, str, bool]:
    """Read what an error page is about, its words for that, and whether it says so."""
    client, uri = _mentioned(_ABOUT_CLIENT, page), _mentioned(_ABOUT_REDIRECT_URI, page)
    if settings.asked.via.signed:  # Who cannot read the request object misses the redirect URI that is in it.
        return REQUEST_OBJECT_REFUSED, "", False
    if uri and not client:
        return REDIRECT_URI_REFUSED, f"; its page is about the {uri}", True
    if client and not uri:
        return CLIENT_UNKNOWN, client, False
    return REDIRECT_URI_REFUSED, "", False


def _is_refused(probes: Probes) -> bool:
    reply = None if probes.client is None else probes.client.reply
    return reply is not None and _error_of(reply) in ("invalid_client", "unauthorized_client")


def _of_client(settings: ProviderSettings) -> dict[str, object]:
    return {"redirect_uri": settings.client.redirect_uri, "client_id": settings.client.client_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Back:
    error: str


def _sent_back(redirect_uri: str, reply: Reply, page: str) -> _Back | None:
    """Read how the browser is sent back to us, by an address or by a form; None where it is not."""
    location = reply.headers.get("location", "")
    if 300 <= reply.status < 400:
        parameters = dict(
            parse_qsl(location.partition("?")[2].partition("#")[0]) + parse_qsl(location.partition("#")[2])
        )
        return _Back(error=_word(parameters)) if place_of(location) == place_of(redirect_uri) else None
    form = _Form()
    form.feed(page)
    return _Back(error=_word(form.fields)) if reply.status == 200 and form.action == redirect_uri else None


def _word(parameters: Mapping[str, str]) -> str:
    error = parameters.get("error", "")
    return error if not error or _ERROR.fullmatch(error) else "an error of its own"


def _mentioned(words: tuple[str, ...], page: str) -> str:
    # A word of ours and never one of the page, whose text is anybody's.
    return next((word for word in words if word in page.lower()), "")


def _error_of(reply: Reply) -> str:
    try:
        error = json_object(reply).get("error")
    except GatewayError:
        return ""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else ""


class _Form(HTMLParser):
    """Reads where the last form of a page leads, and its fields."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form or a field."""
        named = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = named.get("action", "")
        if tag == "input" and named.get("name"):
            self.fields[named["name"]] = named.get("value", "")
