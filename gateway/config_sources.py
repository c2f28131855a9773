"""Where configuration comes from: a YAML file, a directory of secrets, the environment; the later wins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

PREFIX = "GATEWAY_"
SEPARATOR = "__"
CONFIG_VARIABLE = "GATEWAY_CONFIG"
SECRETS_VARIABLE = "GATEWAY_SECRETS_DIR"
DEFAULT_FILE = "config.yaml"

_NOT_KEYS = frozenset({CONFIG_VARIABLE, SECRETS_VARIABLE})
# Of the tests; and what Kubernetes sets in every pod beside a Service of our name.
_FOREIGN = re.compile(r"GATEWAY_(?:TEST_.*|(?:[A-Z0-9]+_)*(?:PORT|PORT_[0-9].*|SERVICE_(?:HOST|PORT).*))")


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` has one line for each thing that is wrong, with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The raw document, and for each path that did not come from the file where it came from."""

    document: dict[str, object]
    origins: Mapping[str, str]


def read_sources(path: str | None, environ: Mapping[str, str]) -> Sources:
    """Read file, secrets and environment into one document.

    `path` names the file, else GATEWAY_CONFIG does, else it is config.yaml, which may be absent.
    Raises `ConfigurationError` for what cannot be read.
    """
    document = _read_file(path or environ.get(CONFIG_VARIABLE), Path(DEFAULT_FILE))
    return overlay(document, environ)


def overlay(document: Mapping[str, object], environ: Mapping[str, str]) -> Sources:
    """Lay secrets and then the environment over a document."""
    merged = _copied(document)
    origins: dict[str, str] = {}
    secrets_directory = environ.get(SECRETS_VARIABLE)
    if secrets_directory:
        for name, value in _read_secrets(Path(secrets_directory)).items():
            _place(merged, origins, name.lower().removeprefix(PREFIX.lower()), value, f"the secret {name}")
    for name, value in sorted(environ.items()):
        if name.startswith(PREFIX) and not _FOREIGN.fullmatch(name) and name not in _NOT_KEYS:
            _place(merged, origins, name.removeprefix(PREFIX).lower(), value, name)
    return Sources(document=merged, origins=origins)


class _DuplicateKey(yaml.constructor.ConstructorError):
    """A key that occurs twice in one mapping."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML without duplicate keys: the second of two would silently win."""


def _construct_unique_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict[object, object]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise _DuplicateKey(None, None, f"the key {key!r} occurs twice", node.start_mark)
    return dict(loader.construct_mapping(node, deep=True))


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_unique_mapping)


def _read_file(named: str | None, default: Path) -> dict[str, object]:
    path = Path(named) if named else default
    if not named and not path.exists():
        return {}
    try:
        # The loader is a subclass of SafeLoader.
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)  # noqa: S506
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # An impossible date is a ValueError.
        raise ConfigurationError([f"{path}: is not YAML: {_place_in_file(error)}"]) from None
    if document is None:
        return {}
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise ConfigurationError([f"{path}: must be a mapping of keys to values"])
    return document


def _place_in_file(error: Exception) -> str:
    # Only problem and position: the parser's own message quotes the line, and the line may hold a secret. The problem
    # may quote too: a secret that begins with `*` or `!` is read as an alias or a tag.
    problem = str(getattr(error, "problem", None) or type(error).__name__)
    if not isinstance(error, _DuplicateKey):
        problem = problem.partition("'")[0].partition('"')[0].strip()
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


def _read_secrets(directory: Path) -> dict[str, str]:
    try:
        # Names with a leading dot are the bookkeeping of whoever mounted the directory.
        files = sorted(entry for entry in directory.iterdir() if not entry.name.startswith(".") and entry.is_file())
        return {entry.name: entry.read_text(encoding="utf-8").rstrip("\r\n") for entry in files}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{SECRETS_VARIABLE}: {directory} cannot be read: {error}"]) from error


def _place(document: dict[str, object], origins: dict[str, str], name: str, value: str, origin: str) -> None:
    *parents, last = name.split(SEPARATOR)
    place = document
    for parent in parents:
        child = place.get(parent)
        if not isinstance(child, dict):
            child = {}
            place[parent] = child
        place = child
    place[last] = value
    origins[".".join([*parents, last])] = origin


def _copied(document: Mapping[str, object]) -> dict[str, object]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in document.items()}
