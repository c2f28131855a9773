"""What an installation of oauth2-proxy was given: by its file, its environment and its command line."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.config_sources import ConfigurationError
from gateway.migration.options import Option, known_options

Value = str | bool | int | tuple[str, ...]

_PREFIX = "OAUTH2_PROXY_"
_VARIABLE = re.compile(r"^\s*(?:export\s+)?OAUTH2_PROXY_[A-Z0-9_]+=", re.MULTILINE)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|ms|s|m|h))+|0")
_PARTS = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_WORDS = {
    **dict.fromkeys(("1", "t", "true"), True),
    **dict.fromkeys(("0", "f", "false"), False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Options by their name in the file; `unknown` are names that are in no table. Nothing is said of what is empty."""

    values: Mapping[str, Value]
    unknown: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """Return a text, empty where none was given."""
        value = self.values.get(name, "")
        return value if isinstance(value, str) else ""

    def listed(self, *names: str) -> tuple[str, ...]:
        """Return the members of lists, one list after another."""
        values = (self.values.get(name, ()) for name in names)
        return tuple(item for value in values if isinstance(value, tuple) for item in value)

    def is_on(self, name: str, *, default: bool = False) -> bool:
        """Tell whether a switch is on."""
        return self.values.get(name, default) is True

    def seconds(self, name: str) -> int | None:
        """Return a duration, rounded up."""
        value = self.values.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def over(self, other: Given) -> Given:
        """Lay these over others; a list that is empty here takes the place of one there."""
        values = {name: value for name, value in {**other.values, **self.values}.items() if value != ()}
        return Given(values=values, unknown=(*other.unknown, *self.unknown))


def read_file(text: str) -> Given:
    """Read a configuration file, or lines of an environment file; raises `ConfigurationError`."""
    if _VARIABLE.search(text):
        return _given(_environment(text))
    try:
        return _given(tomllib.loads(text).items())
    except tomllib.TOMLDecodeError:
        # The parser's message may quote the line, and the line may hold a secret.
        raise ConfigurationError(["the file is neither TOML nor lines with OAUTH2_PROXY_NAME=value"]) from None


def read_command_line(words: Sequence[str]) -> Given:
    """Read `--flag=value`, `--flag value` and `--switch`; raises `ConfigurationError`."""
    flags = {option.flag: option for option in known_options().values()}
    found: dict[str, object] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            if found or word.rpartition("/")[2] != "oauth2-proxy":
                raise ConfigurationError([f"{word[:40]!r}: is no flag of oauth2-proxy"])
            continue
        flag, mark, value = word.lstrip("-").partition("=")
        option = flags.get(flag)
        if not mark:
            has_value = bool(rest) and (not rest[0].startswith("-") if option is None else option.kind != "bool")
            value = rest.pop(0) if has_value else "true"
        name = flag.replace("-", "_") if option is None else option.name
        more = option is not None and option.kind == "list" and name in found
        found[name] = f"{found[name]},{value}" if more else value
    return _given(found.items(), keep_empty=True)


def _environment(text: str) -> Iterator[tuple[str, object]]:
    for line in text.splitlines():
        name, mark, value = line.strip().removeprefix("export ").strip().partition("=")
        if mark and name.startswith(_PREFIX):
            yield name.removeprefix(_PREFIX).lower(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    if value[:1] in ("'", '"') and value[-1:] == value[:1] and len(value) > 1:
        try:
            return "".join(shlex.split(value))
        except ValueError:
            return value[1:-1]
    return value


def _given(items: Iterable[tuple[str, object]], *, keep_empty: bool = False) -> Given:
    options = known_options()
    values: dict[str, Value] = {}
    unknown: list[str] = []
    problems: list[str] = []
    for name, raw in items:
        option = options.get(name)
        if option is None:
            unknown.append(name)
            continue
        try:
            value = _value(option, raw)
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        if value not in ("", ()) or (keep_empty and value == ()):
            values[name] = value
    if problems:
        raise ConfigurationError(problems)
    return Given(values=values, unknown=tuple(unknown))


def _value(option: Option, raw: object) -> Value:
    if option.kind == "list":
        items = raw if isinstance(raw, list) else str(raw).split(",")
        return tuple(text for item in items if (text := str(item).strip()))
    if option.kind == "bool":
        return _switch(raw)
    if option.kind in ("int", "duration"):
        return _number(raw, option.kind)
    if isinstance(raw, list | dict):
        raise ValueError("must be a text")  # noqa: TRY004 - what is wrong with a value is collected.
    return str(raw).strip()


def _switch(raw: object) -> bool:
    word = _WORDS.get(str(raw).lower())
    if word is None:
        raise ValueError("must be true or false")
    return word


def _number(raw: object, kind: str) -> int:
    text = str(raw).strip()
    if kind == "int":
        if not re.fullmatch(r"\d{1,9}", text):
            raise ValueError("must be a number")
        return int(text)
    if not _DURATION.fullmatch(text):
        raise ValueError("must be a duration, as in 1h30m")
    total = sum(float(number) * _SECONDS[unit] for number, unit in _PARTS.findall(text))
    return int(total) + (total % 1 > 0)
