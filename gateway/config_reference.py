"""The configuration reference: a page for each section, from the model itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import groupby

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from gateway.config_docs import all_keys, default_of
from gateway.config_sources import PREFIX, SEPARATOR

GENERAL = "general"
"""The page of the keys that are in no section."""

_IN_WORDS = {"string": "text", "integer": "number", "boolean": "true or false", "object": "mapping"}
_HEAD = "<!-- Written by `make docs`, from the model. -->\n"


def reference_pages() -> dict[str, str]:
    """Write the pages in Markdown, by the names of their sections."""
    keys = sorted(all_keys(), key=lambda key: _section(key[0]))
    return {section: _page(section, list(group)) for section, group in groupby(keys, lambda key: _section(key[0]))}


def _section(path: str) -> str:
    first, dot, _ = path.partition(".")
    return first.removesuffix("[]") if dot else "provider" if first == "providers" else GENERAL


def _page(section: str, keys: Iterable[tuple[str, FieldInfo]]) -> str:
    title = "General keys" if section == GENERAL else f"`{section}`"
    return "\n".join([_HEAD, f"# {title}", *(_entry(path, field) for path, field in keys)]) + "\n"


def _entry(path: str, field: FieldInfo) -> str:
    default = default_of(field) or "unset"
    facts = [
        f"- type: {_type_of(field)}",
        f"- {default if default == 'required' else f'default: {default}'}",
        *_names(path),
    ]
    return "\n".join([f"\n## `{path}`\n", f"{field.description}\n", *facts])


def _names(path: str) -> list[str]:
    if "[]" in path:
        whole = path.partition("[]")[0]
        return [f"- environment: in `{PREFIX}{whole.upper()}`, the whole list as JSON"]
    name = path.replace(".", SEPARATOR)
    example = name.replace("NAME", "name")
    return [f"- environment: `{PREFIX}{name.upper()}`", f"- secrets file: `{example}`"]


def _type_of(field: FieldInfo) -> str:
    # The field as it stands, with what is written beside its annotation.
    schema = TypeAdapter(field.rebuild_annotation()).json_schema()
    return _words(schema, schema.get("$defs", {}))


def _words(schema: Mapping[str, object], models: Mapping[str, object]) -> str:
    for forms in ("anyOf", "oneOf"):
        found = schema.get(forms)
        if isinstance(found, list):
            words = dict.fromkeys(_words(form, models) for form in found if form.get("type") != "null")
            return _joined(list(words))
    return _of_one_form(schema, models)


def _of_one_form(schema: Mapping[str, object], models: Mapping[str, object]) -> str:
    chosen = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(chosen, list):
        return ", ".join(f"`{json.dumps(one) if one == '' else one}`" for one in chosen)
    reference = schema.get("$ref")
    if isinstance(reference, str):
        properties = _properties(models[reference.rpartition("/")[2]])
        return f"mapping of {', '.join(f'`{name}`' for name in properties)}"
    if schema.get("format") == "password":
        return "secret"
    pattern = schema.get("pattern")
    if isinstance(pattern, str) and (unit := re.search(r"\[([a-zA-Z]+)\]\?\$$", pattern)):
        return "duration" if unit[1] == "smhd" else "size"
    if schema.get("type") == "array":
        items = schema.get("items")
        return f"list of {_words(items, models)}" if isinstance(items, dict) else "list"
    return _IN_WORDS.get(str(schema.get("type")), "anything")


def _properties(model: object) -> list[str]:
    properties = model.get("properties") if isinstance(model, dict) else None
    return list(properties) if isinstance(properties, dict) else []


def _joined(words: list[str]) -> str:
    # A duration or a size may be written as a bare number, too.
    if words[1:] in (["duration"], ["size"]):
        return words[1]
    if len(words) == 2 and words[1] == f"list of {words[0]}":
        return f"one or a list of {words[0]}"
    return " or ".join(words)
