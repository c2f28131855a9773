"""What is done to an honest value: changes that are values themselves, so that a failing one can be read."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus

from fuzz.dice import Dice

T = TypeVar("T")
Change = Callable[[T], T]
Pairs = Sequence[tuple[str, str]]
Members = dict[str, Any]


def nested(depth: int, *, in_objects: bool = False) -> object:
    """Make an array, or an object, that is nested so deep."""
    value: object = "bottom"
    for _ in range(depth):
        value = {"a": value} if in_objects else [value]
    return value


PIECES: Final = (
    "", " ", "\t", "\n", "\r\n", "\x00", "\x1f", "\x7f", "\x85", "\xa0", "\xe9", "\xff", "\u2028", "\ufeff",
    "\U0001f511", "\ud800", "\udfff", ".", "..", "...", "/", "//", "\\", "%", "%00", "%2e%2e", "%2F", "%zz", "%ff",
    "&", "=", "==", "&&", ";", ",", "#", "?", "@", ":", "[", "]", '"', "'", "<script>", "{}", "[]", "null", "true", "0",
    "-1", "1e999", "+", "-", "_", "A", "AA", "AAA", "AAAA", "error", "code", "state", "iss", "none", "HS256", "Bearer",
    "DPoP", "A" * 300, "A" * 9_000, "é" * 5_000, "=" * 100, "." * 100, "[" * 3_000, '{"a":' * 3_000, "9" * 5_000,
)  # fmt: skip
"""What is put into a text: what delimits, ends, escapes, or is no character at all."""

VALUES: Final[Sequence[object]] = (
    None, True, False, 0, 1, -1, -0.0, 0.5, 1.5, 1e308, -1e308, 5e-324, 2**31, 2**40, 2**53 + 1, 2**63, 2**64, -(2**63),
    10**40, 10**400, 1_800_000_000, 1_800_000_000.5, 10**4290, [], {}, [[]], [{}], {"": ""}, [None], [0], ["a", "a"],
    {"a": None}, {"keys": []}, list(range(100)), nested(13), nested(17), nested(200), nested(13, in_objects=True),
    nested(300, in_objects=True), "None", "true", "1800000000", "1e3", "RS256", "ES256", "EdDSA", "dir", "RSA1_5",
    "oct", "RSA", "EC", "OKP", "P-256", "P-521", "secp256k1", "Ed448", "X25519", "sig", "enc", "verify", ["verify"],
    ["encrypt"], "JWT", "https://op.example", "https://op.example/", "http://op.example", "https://[", "https://op.example:99999/",
    "javascript:alert(1)", "https://user@op.example/", "https://op.example/é", "https://op.example/\ud800",
    "https://op.example/\u2028", "https://ⓞp.example/", "app", ["app"], ["app", "other"], "alice", "Bearer", "bearer",
    "DPoP", "N_A", "openid", "invalid_grant", "server_error", "use_dpop_nonce", *PIECES,
)  # fmt: skip
"""What a member is replaced by: other types, numbers out of every range, depth, names that mean something elsewhere."""

CUTS: Final = (0, 0, 0, 1, 1, 2, 7, 40, 10**6)
ACTIONS: Final = ("replace", "replace", "remove", "wrap", "hide", "text", "number", "add", "lengthen")
PAIR_ACTIONS: Final = ("drop", "double", "double-other", "value", "value", "rename", "name", "add", "many")
ENCODINGS: Final = ("utf-8",) * 12 + ("utf-8-sig", "utf-16", "utf-32", "latin-1")


@dataclass(frozen=True, slots=True)
class Splice:
    """Cut characters at a place, and put a piece there."""

    at: int
    cut: int
    piece: str

    def __call__(self, text: str) -> str:
        at = self.at % (len(text) + 1)
        return text[:at] + self.piece + text[at + self.cut :]


@dataclass(frozen=True, slots=True)
class Reorder:
    """Put the parts of a dotted text together anew: swapped, dropped, doubled."""

    order: tuple[int, ...]

    def __call__(self, text: str) -> str:
        parts = text.split(".")
        return ".".join(parts[index % len(parts)] for index in self.order)


@dataclass(frozen=True, slots=True)
class Doubled:
    """Write a member twice into one of a JSON text's objects."""

    at: int

    def __call__(self, text: str) -> str:
        places = [index for index, character in enumerate(text) if character == "{"]
        at = places[self.at % len(places)] + 1 if places else 0
        return f'{text[:at]}"sub":0,"sub":1,{text[at:]}'


@dataclass(frozen=True, slots=True)
class Alter:
    """Do something to one place in a JSON document, however deep it is."""

    at: int
    action: str
    value: object

    def __call__(self, document: Members) -> Members:
        changed = deepcopy(document)
        places = list(_places(changed))
        if places:
            self._act(*places[self.at % len(places)])
        return changed

    def _act(self, container: Any, key: Any) -> None:
        found = container[key]
        if self.action == "remove":
            del container[key]
        elif self.action == "add" and isinstance(container, dict):
            container[str(self.value)[:50]] = self.value
        else:
            container[key] = self._instead(found)

    def _instead(self, found: Any) -> object:
        if self.action == "wrap":
            return [found]
        if self.action == "hide":
            return {"value": found}
        if self.action == "text":
            return str(found)
        if self.action == "number" and isinstance(found, int) and not isinstance(found, bool):
            return found + 1
        if self.action == "lengthen" and isinstance(found, list):
            return found * 70
        if self.action == "lengthen" and isinstance(found, str):
            return found + str(self.value)[:20_000]
        return deepcopy(self.value)


@dataclass(frozen=True, slots=True)
class AlterPairs:
    """Do something to one pair of a query, a form, or a `Cookie` field."""

    at: int
    action: str
    name: str
    change: Splice

    def __call__(self, pairs: Pairs) -> Pairs:
        if not pairs:
            return [(self.name, self.change.piece)]
        at = self.at % len(pairs)
        return [*pairs[:at], *self._instead(*pairs[at]), *pairs[at + 1 :]]

    def _instead(self, name: str, value: str) -> Pairs:
        return {
            "drop": [],
            "double": [(name, value), (name, value)],
            "double-other": [(name, self.change.piece), (name, value)],
            "value": [(name, self.change(value))],
            "rename": [(self.change(name), value)],
            "name": [(self.name, value)],
            "add": [(name, value), (self.name, self.change.piece)],
            "many": [(name, value), *((f"{self.name}{index}", "") for index in range(70))],
        }[self.action]


def applied(changes: Iterable[Change[T]], value: T) -> T:
    """Make one change after another."""
    return reduce(lambda changed, change: change(changed), changes, value)


def splice(dice: Dice) -> Splice:
    """Choose a change of a text; one piece in eight is any character at all."""
    piece = chr(dice.below(0x110000)) if dice.below(8) == 7 else dice.pick(PIECES)
    return Splice(dice.below(1024), dice.pick(CUTS), piece)


def splices(dice: Dice, most: int = 2) -> list[Splice]:
    """Choose up to so many changes of a text."""
    return [splice(dice) for _ in range(dice.below(most + 1))]


def alterations(dice: Dice, most: int = 3) -> list[Alter]:
    """Choose up to so many changes of a JSON document."""
    return [Alter(dice.below(64), dice.pick(ACTIONS), dice.pick(VALUES)) for _ in range(dice.below(most + 1))]


def pair_changes(dice: Dice, names: Sequence[str]) -> list[AlterPairs]:
    """Choose one to three changes of pairs; `names` are those that mean something here."""
    return [
        AlterPairs(dice.below(16), dice.pick(PAIR_ACTIONS), dice.pick(names), splice(dice))
        for _ in range(1 + dice.below(3))
    ]


def token_changes(dice: Dice) -> list[Change[str]]:
    """Leave a compact token alone more often than not; else change its text or its parts."""
    kind = dice.below(6)
    if kind < 4:
        return []
    if kind == 4:
        return [splice(dice)]
    return [Reorder(tuple(dice.below(5) for _ in range(dice.below(7))))]


def text(dice: Dice, *honest: str) -> str:
    """Make a changed text, and now and then noise."""
    if dice.below(8) == 7:
        return dice.noise().decode("utf-8", "replace")
    return applied(splices(dice, 3), dice.pick(honest))


def document(dice: Dice, *honest: Mapping[str, object]) -> Members:
    """Make a changed JSON object."""
    return applied(alterations(dice), dict(dice.pick(honest)))


def json_body(dice: Dice, *honest: Mapping[str, object]) -> bytes:
    """Make a changed JSON text: first the object, then the text, then its encoding; now and then noise."""
    kind, encoding, ascii_only = dice.below(16), dice.pick(ENCODINGS), dice.below(2) == 0
    if kind == 15:
        return dice.noise()
    written = json.dumps(document(dice, *honest), ensure_ascii=ascii_only)
    changes: list[Change[str]] = [Doubled(dice.below(64))] if kind == 14 else [splice(dice)] if kind > 10 else []
    return applied(changes, written).encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def form(pairs: Pairs, changes: Sequence[Splice], *, plain: bool) -> str:
    """Write a query or a form; `plain` leaves out the percent-encoding."""
    write: Callable[[str], str] = str if plain else _quoted
    return applied(changes, "&".join(f"{write(name)}={write(value)}" for name, value in pairs))


def _quoted(text: str) -> str:
    return quote_plus(text, errors="surrogatepass")


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(container) if isinstance(container, dict) else range(len(container))
    for key in keys:
        yield container, key
        if isinstance(container[key], dict | list):
            yield from _places(container[key])
