"""The configuration described for people and for editors, from the model itself."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config_model import Document
from gateway.config_values import COUNT, OCTETS


def schema_text() -> str:
    """Write the JSON Schema that editors complete config.yaml with."""
    schema = Document.model_json_schema()
    # In a file nothing is required: the environment and the secrets may have it.
    for model in (schema, schema["$defs"]["ProviderModel"], schema["$defs"]["SessionModel"]):
        model.pop("required", None)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2)


def configuration_table() -> str:
    """Write the Markdown table of all keys."""
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    lines += [f"| `{path}` | {default_of(field)} | {field.description} |" for path, field in all_keys()]
    return "\n".join(lines)


def all_keys() -> Iterator[tuple[str, FieldInfo]]:
    """List the keys by their paths, `routes[].path` and `upstreams.NAME.url` among them, in the model's order."""
    return _fields(Document, "", [])


def _fields(model: type[BaseModel], prefix: str, told: list[type[BaseModel]]) -> Iterator[tuple[str, FieldInfo]]:
    told.append(model)
    for name, field in model.model_fields.items():
        nested, mark = _nested(field.annotation)
        if nested is None or any(issubclass(one, nested) for one in told):
            yield prefix + (field.alias or name), field
        else:
            yield from _fields(nested, f"{prefix}{name}{mark}.", told)


def _nested(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if typing.get_origin(annotation) is dict:
        return _nested(typing.get_args(annotation)[1])[0], ".NAME"
    arguments = [argument for argument in typing.get_args(annotation) if argument is not types.NoneType]
    if len(arguments) != 1:  # One of several forms: a row of its own says what it may be.
        return None, ""
    model, mark = _nested(arguments[0])
    return model, "[]" if typing.get_origin(annotation) is list else mark


def default_of(field: FieldInfo) -> str:
    """Write a key's default in Markdown; empty where it is unset."""
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None or isinstance(field.default, SecretStr):
        return ""
    if isinstance(field.default, int) and not isinstance(field.default, bool):
        if COUNT in field.metadata:
            return f"`{field.default}`"
        return f"`{_size(field.default) if OCTETS in field.metadata else duration_text(field.default)}`"
    if field.default in ({}, []) or isinstance(field.default, BaseModel):
        return "none"
    return f"`{json.dumps(field.default)}`"


def duration_text(seconds: int) -> str:
    """Write a duration as the configuration has it."""
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _size(octets: int) -> str:
    units = (("G", 1024**3), ("M", 1024**2), ("k", 1024))
    return next((f"{octets // size}{unit}" for unit, size in units if octets and octets % size == 0), str(octets))
