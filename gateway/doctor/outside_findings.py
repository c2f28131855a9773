"""Judges the way by which browsers come: what answers there, what stands between, and what that changes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urljoin, urlsplit

from gateway.config import Settings
from gateway.doctor import diagnoses_outside as kinds
from gateway.doctor.asking import Answered, Question
from gateway.doctor.contact_findings import contact_findings
from gateway.doctor.diagnoses_contact import OUTSIDE_CONTACT
from gateway.doctor.finding import Finding, Severity, found, origin_of, place_of
from gateway.doctor.outside_facts import OutsideFacts
from gateway.errors import HOST_INVALID

_GATEWAY_DOWN = (502, 503, 504)
_DIGEST = r"[0-9a-f]{16}"
_WORD = re.compile(r"[a-z_]{1,60}")


def judge_outside(facts: OutsideFacts, settings: Settings, *, provider_is_well: bool, now: float) -> list[Finding]:
    """Say what is wrong with one way to the gateway; whether a login begins is judged where the provider is well."""
    subject = f"outside {facts.url}"
    blocked = contact_findings(facts.contact, OUTSIDE_CONTACT, subject, now)
    if facts.session is None:
        # Nobody may have meant to start it yet, and not every machine can reach its own public address.
        return blocked if facts.insisted else [replace(one, severity=Severity.WARNING) for one in blocked]
    elsewhere = _judge_session(facts.session, facts.ping, settings, subject)
    if elsewhere is not None:
        return [*blocked, elsewhere]
    findings = [
        *_judge_routing(facts, settings, subject),
        *_judge_between(facts, settings, subject),
        *(_judge_start(facts, settings, subject) if provider_is_well else ()),
    ]
    if any(one.code == kinds.OUTSIDE_OTHER_CONFIGURATION.code for one in findings):
        # It answers at its own redirect URI, which is another.
        findings = [one for one in findings if one.code != kinds.OUTSIDE_CALLBACK_NOT_ROUTED.code]
    return [*blocked, *findings] or [found(kinds.OUTSIDE_OK, subject, {"url": facts.url})]


def is_session_answer(answer: Answered) -> bool:
    """Tell whether an answer is that of a gateway to the question how a session stands."""
    return answer.status == 200 and "authenticated" in _members(answer)


def _judge_session(session: Question, ping: Question | None, settings: Settings, subject: str) -> Finding | None:
    """Say why it is not the gateway that answers below the prefix; None where it does."""
    answer, values = session.answer, {"url": session.url, "detail": session.detail}
    if answer is None:
        return found(kinds.OUTSIDE_NO_ANSWER, subject, values)
    values = {**values, "status": str(answer.status), "path": urlsplit(session.url).path}
    if answer.redirects:
        return _judge_redirect(answer, session.url, settings, subject)
    if is_session_answer(answer):
        return None
    if answer.status in _GATEWAY_DOWN:
        return found(kinds.OUTSIDE_GATEWAY_DOWN, subject, values)
    if _members(answer).get("error") == HOST_INVALID.code:
        return found(kinds.OUTSIDE_HOST_REFUSED, subject, {"url": origin_of(session.url)})
    return found(kinds.OUTSIDE_PREFIX_NOT_ROUTED if _is_ping(ping) else kinds.OUTSIDE_NOT_GATEWAY, subject, values)


def _is_ping(ping: Question | None) -> bool:
    return ping is not None and ping.answer is not None and ping.answer.body.strip() == b"OK"


def _judge_redirect(answer: Answered, url: str, settings: Settings, subject: str) -> Finding:
    location = urljoin(url, answer.first("location"))
    values = {"url": url, "location": place_of(location)}
    if place_of(location) == url:
        return found(kinds.OUTSIDE_REDIRECT_LOOP, subject, values)
    if origin_of(location) != settings.public_url:
        return found(kinds.OUTSIDE_REDIRECTS, subject, values)
    if urlsplit(location).path != urlsplit(url).path:
        return found(kinds.OUTSIDE_REDIRECT_LOSES_PATH, subject, values)
    return found(kinds.OUTSIDE_LEADS_ON, subject, values)


def _judge_routing(facts: OutsideFacts, settings: Settings, subject: str) -> Iterator[Finding]:
    if facts.ping is not None and not _is_ping(facts.ping) and not settings.forward_auth.enabled:
        yield found(kinds.OUTSIDE_PAST_GATEWAY, subject, {"url": facts.ping.url, "status": _status(facts.ping)})
    if facts.callback is not None and not _reference(facts.callback):
        values = {"url": facts.callback.url, "status": _status(facts.callback)}
        yield found(kinds.OUTSIDE_CALLBACK_NOT_ROUTED, subject, values)


def _judge_between(facts: OutsideFacts, settings: Settings, subject: str) -> Iterator[Finding]:
    cached = _cached(facts)
    if cached is not None:
        yield found(kinds.OUTSIDE_CACHED, subject, {"url": cached[0], "evidence": cached[1]})
    if facts.url != settings.public_url:
        yield found(kinds.OUTSIDE_OTHER_ORIGIN, subject, {"url": facts.url, "public_url": settings.public_url})
    evidence = _proxy(facts, settings)
    if evidence and not settings.trusted_proxies and not settings.trusted_hops:
        yield found(kinds.PROXY_NOT_NAMED, subject, {"evidence": evidence})


def _reference(question: Question) -> str:
    """Read the name that the gateway gave a failure; empty where it was not the gateway that failed."""
    return "" if question.answer is None else str(_members(question.answer).get("reference", ""))


def _status(question: Question) -> object:
    return "nothing" if question.answer is None else question.answer.status


def _cached(facts: OutsideFacts) -> tuple[str, str] | None:
    """Tell what was answered from a cache, and how that shows."""
    ours = facts.callback if facts.callback and _reference(facts.callback) else None
    for question in (facts.session, ours):
        evidence = "" if question is None or question.answer is None else _from_cache(question.answer)
        if question is not None and evidence:
            return question.url, evidence
    # Each failure has a name of its own.
    if ours is None or facts.callback_again is None or _reference(ours) != _reference(facts.callback_again):
        return None
    return ours.url, "two questions got the very same answer"


def _from_cache(answer: Answered) -> str:
    if answer.all("age"):
        return f"Age: {answer.first('age')}"
    if "hit" in answer.first("x-cache").lower() or "hit" in answer.first("x-cache-status").lower():
        return "X-Cache says hit"
    return "" if "no-store" in answer.first("cache-control") else "no-store was taken away"


def _proxy(facts: OutsideFacts, settings: Settings) -> str:
    answer = None if facts.session is None else facts.session.answer
    server = "" if answer is None else answer.first("server")
    if answer is not None and answer.all("via"):
        return "its answers have Via"
    if server and not server.startswith(("gunicorn", "gateway")):
        return f"Server: {server}"
    plain = facts.url.startswith("http:") and settings.public_url.startswith("https:")
    return f"the gateway is reached by {facts.url}, and TLS ends elsewhere" if plain else ""


def _judge_start(facts: OutsideFacts, settings: Settings, subject: str) -> Iterator[Finding]:
    if facts.start is None:
        return
    answer, url = facts.start.answer, facts.start.url
    if answer is None or not answer.redirects:
        error = "" if answer is None else str(_members(answer).get("error", ""))
        values = {"url": url, "status": _status(facts.start), "error": error if _WORD.fullmatch(error) else ""}
        yield found(kinds.OUTSIDE_LOGIN_FAILS, subject, values)
        return
    running = _other_configuration(answer.first("location"), settings)
    if running:
        yield found(kinds.OUTSIDE_OTHER_CONFIGURATION, subject, {"running": running[0], "configured": running[1]})
    yield from _judge_cookie(answer, url, settings, subject)


def _other_configuration(location: str, settings: Settings) -> tuple[str, str] | None:
    client = next(iter(settings.providers.values())).client
    query = parse_qs(urlsplit(location).query)
    for name, configured in (("redirect_uri", client.redirect_uri), ("client_id", client.client_id)):
        running = query.get(name, [configured])[0]
        if running != configured:
            return f"{name} {place_of(running)}", configured
    return None


def _judge_cookie(answer: Answered, url: str, settings: Settings, subject: str) -> Iterator[Finding]:
    policy, lines = settings.cookies, answer.all("set-cookie")
    if not lines:
        yield found(kinds.OUTSIDE_COOKIE_DROPPED, subject, {"url": url})
        return
    whole = re.compile(rf"{re.escape(policy.session)}-tx-{_DIGEST}")
    own = next((line for line in lines if whole.fullmatch(line.partition("=")[0])), None)
    if own is None:
        yield found(kinds.OUTSIDE_COOKIE_CHANGED, subject, {"change": "it has another name"})
        return
    attributes = {part.strip().lower() for part in own.split(";")[1:]}
    wanted = {"path=/": "Path is not /", "httponly": "HttpOnly is gone"} | (
        {"secure": "Secure is gone"} if policy.secure else {}
    )
    changes = [change for attribute, change in wanted.items() if attribute not in attributes]
    changes += ["there is a Domain"] if any(part.startswith("domain=") for part in attributes) else []
    changes += [] if any(part.startswith("samesite=") for part in attributes) else ["SameSite is gone"]
    if changes:
        yield found(kinds.OUTSIDE_COOKIE_CHANGED, subject, {"change": changes[0]})


def _members(answer: Answered) -> dict[str, object]:
    if answer.media_type != "application/json":
        return {}
    try:
        members = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}
