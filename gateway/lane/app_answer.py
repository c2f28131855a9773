"""The head of an app's answer, held to what can be sent (RFC 9110 5, RFC 9112 4): an app may have put anything in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import INTERNAL, GatewayError
from gateway.headers import Headers
from gateway.upstream_body import LENGTH

_STATUS = re.compile(r"([2-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OF_THE_CONNECTION = frozenset({"connection", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAnswer:
    """What `ClientConnection.start` is given; `length` is None where the app does not say it."""

    status: int
    reason: str
    fields: Headers
    length: int | None


def read_app_answer(status: str, headers: Headers) -> AppAnswer:
    """Read what an app gave to `start_response`; raises `internal_error` for what cannot be sent as it is."""
    read = _STATUS.fullmatch(status)
    if read is None:
        raise GatewayError(INTERNAL, f"the app named a status that is none: {status[:40]!r}")
    fields: Headers = []
    lengths: set[str] = set()
    for name, value in headers:
        if not _NAME.fullmatch(name):
            raise GatewayError(INTERNAL, f"the app named a field that is none: {name[:80]!r}")
        if not _VALUE.fullmatch(value):
            raise GatewayError(INTERNAL, f"the app gave the field {name[:80]!r} a value that cannot be sent")
        if name.lower() == "content-length":
            lengths.add(value.strip())
        elif name.lower() not in _OF_THE_CONNECTION:
            fields.append((name, value))
    if not lengths:
        return AppAnswer(status=int(read[1]), reason=read[2] or "", fields=fields, length=None)
    length = lengths.pop()
    if lengths or not LENGTH.fullmatch(length):
        raise GatewayError(INTERNAL, f"the app named a length that is none: {length[:40]!r}")
    counted = [*fields, ("Content-Length", length)]
    return AppAnswer(status=int(read[1]), reason=read[2] or "", fields=counted, length=int(length))
