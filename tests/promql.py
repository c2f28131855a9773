"""Reads as much of PromQL as it takes to say which metrics a query is about, and which of their labels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r"""\s+ | \#[^\n]*
      | (?P<duration>\[[^\]]*\])
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
      | (?P<text>"(?:[^"\\]|\\.)*")
      | (?P<mark>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},])""",
    re.VERBOSE,
)
_OPERATORS: Final = frozenset({"and", "or", "unless", "bool", "offset"})
_AFTER_FUNCTIONS: Final = frozenset({"(", "by", "without"})
_OF_LABELS: Final = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """A condition on a label of a metric."""

    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a query is about: metrics with their conditions, and labels that are named to keep or to join by."""

    metrics: list[tuple[str, list[Matcher]]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)


def read_query(text: str) -> Query:
    """Read a query; raises `ValueError` for what cannot be read."""
    query, tokens = Query(), list(_tokens(text))
    place = 0
    while place < len(tokens):
        kind, token = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        place += 1
        if kind != "name" or token in _OPERATORS:
            continue
        if token in _OF_LABELS:
            names, place = _until(tokens, place, "(", ")")
            query.labels.update(name for name_kind, name in names if name_kind == "name")
        elif following == "{":
            inside, place = _until(tokens, place, "{", "}")
            query.metrics.append((token, _matchers(inside)))
        elif following not in _AFTER_FUNCTIONS:
            query.metrics.append((token, []))
    return query


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"cannot be read at {text[place : place + 20]!r}")
        place = found.end()
        if found.lastgroup is not None:
            yield found.lastgroup, found[0]


def _until(tokens: list[tuple[str, str]], place: int, opening: str, closing: str) -> tuple[list[tuple[str, str]], int]:
    if tokens[place][1] != opening:
        raise ValueError(f"{opening} was expected, not {tokens[place][1]}")
    end = next((number for number in range(place, len(tokens)) if tokens[number][1] == closing), None)
    if end is None:
        raise ValueError(f"{closing} is missing")
    return tokens[place + 1 : end], end + 1


def _matchers(tokens: list[tuple[str, str]]) -> list[Matcher]:
    rest = [token for token in tokens if token[1] != ","]
    if len(rest) % 3:
        raise ValueError(f"conditions cannot be read: {rest}")
    return [
        Matcher(label=label, operator=operator, value=value[1:-1])
        for (_, label), (_, operator), (_, value) in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    ]
