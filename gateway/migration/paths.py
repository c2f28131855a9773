"""Regular expressions over paths as patterns of ours, where one says the same or less, and never where it says more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from pydantic import TypeAdapter, ValidationError

from gateway.config_values import Pattern

EVERYTHING = "/**"

_GROUP = re.compile(r"\((?:\?:)?([A-Za-z0-9/_.|\\-]*)\)(?![?*+{])")
_ESCAPED = re.compile(r"\\[(|)]")
_ENDINGS = {
    "(/|$)": "whole", "(?:/|$)": "whole", "($|/)": "whole", "(?:$|/)": "whole",
    "(/.*)?$": "whole", "(?:/.*)?$": "whole",
    "/?$": "slash", "/.*$": "below", "/.+$": "deeper", "/.*": "below", "/.+": "deeper",
    ".*$": "prefix", ".*": "prefix", "$": "exact", "/": "below", "": "prefix",
}  # fmt: skip
_MOST = 16
_ADAPTER: TypeAdapter[str] = TypeAdapter(Pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Patterns that fit no path but those of an expression; `narrower` where they leave out some of them."""

    patterns: tuple[str, ...]
    narrower: bool


def read_expression(expression: str) -> Reading | None:
    """Find the patterns of a regular expression that is looked for in a path; None where there are none."""
    if _ESCAPED.search(expression):  # It stands for itself, and must not be taken for what parts alternatives.
        return None
    readings = [_reading(one) for one in _alternatives(expression)]
    found = [reading for reading in readings if reading is not None]
    if not readings or len(found) < len(readings):
        return None
    patterns = dict.fromkeys(pattern for reading in found for pattern in reading.patterns)
    return Reading(patterns=tuple(patterns), narrower=any(reading.narrower for reading in found))


def intersection(one: str, other: str) -> str | None:
    """Find the pattern that fits what two patterns both fit, or None."""
    first, second = _segments(one), _segments(other)
    (long, long_deep), (short, short_deep) = (first, second) if len(first[0]) >= len(second[0]) else (second, first)
    if len(long) > len(short) and not short_deep:
        return None
    common: list[str] = []
    for left, right in zip(long, (*short, *long[len(short) :]), strict=True):
        one_of = {left, right} - {"*"}
        if len(one_of) > 1 or (one_of == {""} and left != right):  # `*` is no empty segment.
            return None
        common.append(next(iter(one_of), "*"))
    deep = long_deep and (short_deep or len(long) > len(short))
    return "/".join(["", *common, *(["**"] if deep else [])]) or "/"


def is_pattern(path: str) -> bool:
    """Tell whether a path may stand in a rule."""
    try:
        _ADAPTER.validate_python(path)
    except ValidationError:
        return False
    return True


def _alternatives(expression: str) -> Sequence[str]:
    tail, _ = _ending(expression)
    head = expression.removesuffix(tail)
    if "(" not in head:
        return [expression] if "|" not in head else expression.split("|")
    pieces = _GROUP.split(head)
    choices = [piece.split("|") if index % 2 else [piece] for index, piece in enumerate(pieces)]
    expanded = ["".join(choice) + tail for choice in product(*choices)]
    return expanded if len(expanded) <= _MOST else []


def _reading(expression: str) -> Reading | None:
    if expression in ("", "^", "/", "^/", ".*", "^.*", "^.*$", "^/.*", "^/.*$"):
        return Reading(patterns=(EVERYTHING,), narrower=False)
    if not expression.startswith("^/"):
        return None
    tail, ending = _ending(expression)
    literal = _literal(expression.removesuffix(tail)[1:])
    if literal is None or (literal[0].endswith("/") and ending != "exact"):
        return None
    path, loose = literal
    patterns = tuple(_patterns(path, ending))
    if not all(is_pattern(pattern) for pattern in patterns):
        return None
    return Reading(patterns=patterns, narrower=loose or ending == "prefix")


def _ending(expression: str) -> tuple[str, str]:
    tails = (tail for tail in _ENDINGS if expression.endswith(tail) and not expression.endswith(f"\\{tail}"))
    tail = next(tails, "")
    return tail, _ENDINGS[tail]


def _patterns(path: str, ending: str) -> Iterator[str]:
    if ending in ("exact", "slash"):
        yield path
    if ending in ("below", "slash"):
        yield f"{path}/"
    if ending in ("below", "deeper"):  # Not the path itself, which `/**` would fit, too.
        yield f"{path}/*{EVERYTHING}"
    if ending in ("whole", "prefix"):
        yield f"{path}{EVERYTHING}"


def _literal(body: str) -> tuple[str, bool] | None:
    """Read what stands for itself; a dot stands for a dot alone, and `[^/]+` for a segment."""
    text, loose, index = "", False, 0
    while index < len(body):
        if body.startswith("/[^/]+", index) and body[index + 6 : index + 7] in ("", "/"):
            text, index = f"{text}/*", index + 6
            continue
        char = body[index]
        if char == "\\":
            char, index = body[index + 1 : index + 2], index + 1
            if not char or char.isalnum() or char == "*":
                return None
        elif char == ".":
            loose = True
        elif char in "^$*+?()[]{}|%":
            return None
        text, index = text + char, index + 1
    return text, loose


def _segments(pattern: str) -> tuple[tuple[str, ...], bool]:
    deep = pattern.endswith(EVERYTHING)
    path = pattern.removesuffix(EVERYTHING)
    return tuple(path.split("/")[1:]), deep
