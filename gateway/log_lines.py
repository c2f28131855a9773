"""A record as one line, of JSON or of text: whatever is in it, it begins no other line and moves no terminal."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from gateway.remembered import remembered

MAX_LINE = 4096
"""The octets of the longest line, with its end: what a pipe takes in one piece, whoever else writes to it."""

ACCESS = "gateway.access"
"""The logger of requests."""

AUDIT = "gateway.audit"
"""The logger of what happens to sessions, and to the gateway."""

EXCEPTION = "exception"
"""The fact that holds a traceback, of which the end matters most."""

Facts = Mapping[str, str | int | float]

Form = Callable[[float, str, str, str, Facts], bytes]
"""Writes a line: when in seconds since the epoch, the level, the logger, the message, and the facts by name."""

_IN_THE_MESSAGE: Mapping[str, frozenset[str]] = MappingProxyType(
    {ACCESS: frozenset({"method", "path", "status"}), AUDIT: frozenset({"kind", "way", "outcome"})}
)
_LENGTHS = (1024, 512, 256, 128, 64, 16)
_CUT = "…"
_PLAIN = re.compile(r"[!#-\[\]-~]+")
_NAMED_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t", '"': r"\"", "\\": r"\\"}

_encode = json.JSONEncoder(separators=(",", ":")).encode  # ASCII alone: all else is escaped.


def json_line(at: float, level: str, logger: str, message: str, facts: Facts) -> bytes:
    """Write a record as an object of JSON."""
    members = {"time": rfc3339(at), "level": level, "logger": logger, "message": message, **facts}
    line = _encode(members)
    if len(line) >= MAX_LINE or "\\ud" in line:  # Half a surrogate pair is no JSON for many that read it.
        line = _fitting(_encode(_all_cut(members, most)) for most in _LENGTHS)
    return line.encode("ascii") + b"\n"


def text_line(at: float, level: str, logger: str, message: str, facts: Facts) -> bytes:
    """Write a record for people: when, the level, the logger, the message, then the facts that are not empty.

    What is in quotes is escaped, what is not stands as it is. A message with `=` or a quote in it is in quotes, so that
    the first `name=` outside of quotes begins the facts.
    """
    head = f"{rfc3339(at)} {level} {logger} "
    line = head + _text(message, facts, logger)
    if len(line) * 4 >= MAX_LINE and len(line.encode("utf-8")) >= MAX_LINE:
        line = _fitting(head + _text(message, facts, logger, most) for most in _LENGTHS)
    return line.encode("utf-8") + b"\n"


def rfc3339(at: float) -> str:
    """Write seconds since the epoch as a time in UTC, with milliseconds (RFC 3339 5.6)."""
    stamp = f"{at:.3f}"
    return f"{_second(stamp[:-4])}{stamp[-4:]}Z"


@remembered(longest=12, entries=64)
def _second(stamp: str) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(stamp)))


def _text(message: str, facts: Facts, logger: str, most: int = MAX_LINE) -> str:
    told = _IN_THE_MESSAGE.get(logger, frozenset())
    parts = [_as_message(_cut("message", message, most))]
    for name, value in facts.items():
        if value != "" and name not in told:
            parts.append(f"{name}={as_value(_cut(name, value, most)) if isinstance(value, str) else value}")
    return " ".join(parts)


def _as_message(text: str) -> str:
    return text if text.isprintable() and '"' not in text and "=" not in text else _quoted(text)


def as_value(text: str) -> str:
    """Write a value as it stands, or in quotes where it would not be one word of visible ASCII."""
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    return f'"{"".join(_escaped(each) for each in text)}"'


def _escaped(character: str) -> str:
    known = _NAMED_ESCAPES.get(character)
    if known is not None:
        return known
    if character.isprintable():
        return character
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _all_cut(members: Facts, most: int) -> Facts:
    return {
        name: _cut(name, _whole(value), most) if isinstance(value, str) else value for name, value in members.items()
    }


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _cut(name: str, value: str, most: int) -> str:
    if name == EXCEPTION:
        return value if len(value) <= 2 * most else _CUT + value[1 - 2 * most :]
    return value if len(value) <= most else value[: most - 1] + _CUT


def _fitting(lines: Iterable[str]) -> str:
    line = ""
    for line in lines:
        if len(line.encode("utf-8")) < MAX_LINE:
            break
    return line
