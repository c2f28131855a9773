"""The line of a request, which is written for each: what the general lines say of the same facts, in less time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted

from gateway.log_lines import ACCESS, MAX_LINE, Form, as_value, json_line, rfc3339, text_line
from gateway.telemetry import Decision, Served

FormOfRequest = Callable[[Served, str, str], bytes]
"""Writes the line of a request; what follows it are its path, masked, and the word for its user."""

_LEVEL = "INFO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """How lines are written: those of requests, and all others."""

    line: Form
    request: FormOfRequest


def request_facts(served: Served, path: str, subject: str) -> dict[str, str | int | float]:
    """Say of a request what its line says, by name."""
    return {
        "request_id": served.tag.request_id,
        "trace_id": served.tag.trace[3:35],
        "pid": os.getpid(),
        "client": served.client,
        "subject": subject,
        "path": path,
        "method": served.method,
        "host": served.host,
        "route": served.route,
        "decision": served.decision.value,
        "code": served.code,
        "provider": served.provider,
        "upstream": served.upstream,
        "status": served.status,
        "octets": served.sent,
        "ms": round(served.seconds * 1000, 1),
        "upstream_ms": round(served.upstream_seconds * 1000, 1),
    }


def request_message(served: Served, path: str) -> str:
    """Say of a request what people look for first."""
    return f"{served.method} {path} {served.status}"


def json_request(served: Served, path: str, subject: str) -> bytes:
    """Write a request as an object of JSON."""
    (tag, method, _, host, client, route, decision, code, _, _, provider, upstream, status, sent, began, took, up) = (
        served
    )
    method, usual = _usual_json(method, host, route, decision, code, provider, upstream)
    shown = _quoted(path)
    line = (
        f'{{"time":"{rfc3339(began + took)}","level":"{_LEVEL}","logger":"{ACCESS}",'
        f'"message":"{method} {shown[1:-1]} {status}","request_id":{_quoted(tag.request_id)},'
        f'"trace_id":{_quoted(tag.trace[3:35])},"pid":{os.getpid()},"client":{_quoted(client)},'
        f'"subject":{_quoted(subject)},"path":{shown},{usual},"status":{status},"octets":{sent},'
        f'"ms":{took * 1000:.1f},"upstream_ms":{up * 1000:.1f}}}\n'
    )
    if len(line) > MAX_LINE or "\\ud" in line:
        return _general(json_line, served, path, subject)
    return line.encode("ascii")


def text_request(served: Served, path: str, subject: str) -> bytes:
    """Write a request for people."""
    (tag, method, _, host, client, route, decision, code, _, _, provider, upstream, status, sent, began, took, up) = (
        served
    )
    message = f"{method} {path} {status}"
    if "=" in message or '"' in message or not message.isprintable():
        return _general(text_line, served, path, subject)
    own = (("request_id", tag.request_id), ("trace_id", tag.trace[3:35]), ("client", client), ("subject", subject))
    request_id, trace_id, address, user = [f" {name}={as_value(value)}" if value else "" for name, value in own]
    line = (
        f"{rfc3339(began + took)} {_LEVEL} {ACCESS} {message}{request_id}{trace_id} pid={os.getpid()}{address}{user}"
        f"{_usual_text(host, route, decision, code, provider, upstream)} octets={sent}"
        f" ms={took * 1000:.1f} upstream_ms={up * 1000:.1f}\n"
    ).encode()
    return line if len(line) <= MAX_LINE else _general(text_line, served, path, subject)


# What is the same for many requests is written once.


@lru_cache(maxsize=1024)
def _usual_json(
    method: str, host: str, route: str, decision: Decision, code: str, provider: str, upstream: str
) -> tuple[str, str]:
    facts = {"method": method, "host": host, "route": route, "decision": decision.value, "code": code}
    facts |= {"provider": provider, "upstream": upstream}
    return _quoted(method)[1:-1], ",".join(f'"{name}":{_quoted(value)}' for name, value in facts.items())


@lru_cache(maxsize=1024)
def _usual_text(host: str, route: str, decision: Decision, code: str, provider: str, upstream: str) -> str:
    facts = {"host": host, "route": route, "decision": decision.value, "code": code}
    facts |= {"provider": provider, "upstream": upstream}
    return "".join(f" {name}={as_value(value)}" for name, value in facts.items() if value)


def _general(form: Form, served: Served, path: str, subject: str) -> bytes:
    at = served.began_at + served.seconds
    return form(at, _LEVEL, ACCESS, request_message(served, path), request_facts(served, path, subject))


JSON = Lines(line=json_line, request=json_request)
TEXT = Lines(line=text_line, request=text_request)
