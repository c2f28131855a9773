"""The head of a request to an upstream: from what goes on of the client's fields, and what we say ourselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gateway.errors import FORWARDING_LOOP, INTERNAL, METHOD_REFUSED, TARGET_MALFORMED, GatewayError
from gateway.remembered import remembered
from gateway.upstream_answer import HOP_BY_HOP
from gateway.upstream_body import LENGTH, Field

# RFC 9110 9.2.2; a body cannot be sent twice, so these are repeated only without one.
REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})

# These are written from what they mean; an expectation is the server's to meet, which it did before it called us.
_WRITTEN_ANEW = frozenset({"content-length", "content-type", "expect", "host", "via"})
_NOT_FORWARDED = HOP_BY_HOP | _WRITTEN_ANEW

_TARGET = re.compile(r"/[!-~]*")
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINES = re.compile(r"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*\r\n)*")


def request_line(method: str, base: str, target: str) -> bytes:
    """Write the first line; raises `method_refused` and `target_malformed`."""
    if not _METHOD.fullmatch(method):
        raise GatewayError(METHOD_REFUSED, f"method {method[:32]!r}")
    if not _TARGET.fullmatch(target):
        raise GatewayError(TARGET_MALFORMED, "the target is not in origin form")
    return f"{method} {base}{target} HTTP/1.1\r\n".encode("latin-1")


def field_lines(fields: Iterable[Field]) -> bytes:
    """Write fields, each on its line; raises `internal_error` for one that cannot be a line."""
    lines = [f"{name}: {value}\r\n" for name, value in fields]
    text = "".join(lines)
    # As many ends as there are fields: none has a line break of its own.
    if not _LINES.fullmatch(text) or text.count("\n") != len(lines):
        raise GatewayError(INTERNAL, "a field cannot be sent")
    return text.encode("latin-1")


def forwarded_fields(headers: Iterable[Field], method: str) -> Iterator[Field]:
    """Yield the fields that go on beyond this hop; the names are in lower case."""
    for name, value in headers:
        if name in _NOT_FORWARDED:
            continue
        if name == "max-forwards" and method == "OPTIONS" and LENGTH.fullmatch(value):
            yield "Max-Forwards", str(int(value) - 1)  # RFC 9110 7.6.2
        else:
            yield _titled(name), value


def via(received: str, pseudonym: str) -> str:
    """Add ourselves to `Via` (RFC 9110 7.6.3); raises `forwarding_loop` where we are in it already (7.6)."""
    if not received:
        return f"1.1 {pseudonym}"
    for hop in received.split(","):
        if pseudonym.lower() in hop.lower().split()[1:2]:
            raise GatewayError(FORWARDING_LOOP, f"Via names {pseudonym}")
    return f"{received}, 1.1 {pseudonym}" if received.strip() else f"1.1 {pseudonym}"


@remembered(longest=64)
def _titled(name: str) -> str:
    return name.title()
