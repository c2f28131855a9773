"""Judges the upstreams."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from gateway.config import Settings
from gateway.doctor.asking import ASK_SECONDS, Answered
from gateway.doctor.contact_findings import contact_findings
from gateway.doctor.diagnoses_contact import UPSTREAM_CONTACT
from gateway.doctor.diagnoses_parts import (
    UPSTREAM_FAILING,
    UPSTREAM_HAS_LOGIN,
    UPSTREAM_IS_GATEWAY,
    UPSTREAM_NOT_HTTP,
    UPSTREAM_OK,
    UPSTREAM_REDIRECTS_ELSEWHERE,
    UPSTREAM_REDIRECTS_TO_ITSELF,
    UPSTREAM_SILENT,
    UPSTREAM_SPEAKS_TLS,
)
from gateway.doctor.finding import Finding, found, origin_of, place_of
from gateway.doctor.outside_findings import is_session_answer
from gateway.doctor.upstream_facts import UpstreamFacts

_LOGIN = re.compile(r"(?:^|[/_.-])(?:log-?in|sign-?in|sso|oauth2?|authorize|auth)(?:$|[/_.-])", re.IGNORECASE)


def judge_upstream(facts: UpstreamFacts, settings: Settings, now: float) -> list[Finding]:
    """Say what is wrong with one origin of an upstream."""
    subject, url = f"upstream {facts.url}", facts.url
    if origin_of(url) and origin_of(url) == origin_of(settings.public_url):
        return [found(UPSTREAM_IS_GATEWAY, subject, {"url": url, "evidence": "it has the address of public_url"})]
    blocked = contact_findings(facts.contact, UPSTREAM_CONTACT, subject, now)
    if blocked:
        return blocked
    if facts.speaks_tls:
        return [found(UPSTREAM_SPEAKS_TLS, subject, {"url": url})]
    page = facts.page
    if page is None or page.answer is None:
        late, detail = (page.late, page.detail) if page is not None else (False, "nothing came")
        values = {"url": url, "detail": detail, "seconds": f"{ASK_SECONDS:g}"}
        return [found(UPSTREAM_SILENT if late else UPSTREAM_NOT_HTTP, subject, values)]
    if facts.session is not None and facts.session.answer is not None and is_session_answer(facts.session.answer):
        evidence = f"{settings.prefix}/session there answers as only a gateway does"
        return [found(UPSTREAM_IS_GATEWAY, subject, {"url": url, "evidence": evidence})]
    return [_judge_answer(page.answer, url, settings, subject)]


def _judge_answer(answer: Answered, url: str, settings: Settings, subject: str) -> Finding:
    values = {"url": url, "status": answer.status}
    if answer.status >= 500:
        return found(UPSTREAM_FAILING, subject, values)
    if not answer.redirects:
        return found(UPSTREAM_OK, subject, values)
    asked = f"{settings.public_url}/"
    location = urljoin(asked, answer.first("location"))
    values["location"] = place_of(location)
    if location == asked:
        return found(UPSTREAM_REDIRECTS_TO_ITSELF, subject, values)
    if origin_of(location) not in (origin_of(settings.public_url), origin_of(url)):
        return found(UPSTREAM_REDIRECTS_ELSEWHERE, subject, values)
    if _LOGIN.search(urlsplit(location).path):
        return found(UPSTREAM_HAS_LOGIN, subject, values)
    return found(UPSTREAM_OK, subject, values)
