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
_LINE = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t -~\x80-\xff]*")


def request_line(method: str, base: str, target: str) -> bytes:
    """Write the first line; raises `method_refused` and `target_malformed`."""
    if not _METHOD.fullmatch(method):
        raise GatewayError(METHOD_REFUSED, f"method {method[:32]!r}")
    if not _TARGET.fullmatch(target):
        raise GatewayError(TARGET_MALFORMED, "the target is not in origin form")
    return f"{method} {base}{target} HTTP/1.1\r\n".encode("latin-1")


def field_lines(fields: Iterable[Field]) -> bytes:
    """Write fields, each on its line; raises `internal_error` for one that cannot be a line."""
    lines = []
    for name, value in fields:
        line = f"{name}: {value}"
        if not _LINE.fullmatch(line):
            raise GatewayError(INTERNAL, f"the field {name[:64]!r} cannot be sent")
        lines.append(line)
    return "\r\n".join([*lines, ""]).encode("latin-1")


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
    for hop in received.split(","):
        if pseudonym.lower() in hop.lower().split()[1:2]:
            raise GatewayError(FORWARDING_LOOP, f"Via names {pseudonym}")
    return f"{received}, 1.1 {pseudonym}" if received.strip() else f"1.1 {pseudonym}"


@remembered(longest=64)
def _titled(name: str) -> str:
    return name.title()
