"""The kinds of values that name what our pages are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from gateway.catalogue_files import read_locales
from gateway.page_templates import read_templates


def _templates(value: str) -> str:
    read_templates(Path(value))
    return value


def _locales(value: str) -> str:
    read_locales(Path(value))
    return value


Templates = Annotated[str, AfterValidator(_templates)]
Locales = Annotated[str, AfterValidator(_locales)]
