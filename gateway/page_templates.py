"""The templates of our pages, and those that an operator has in their place."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from functools import cache
from operator import methodcaller
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    DictLoader,
    Environment,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateSyntaxError,
    UndefinedError,
)
from jinja2.meta import find_referenced_templates

from gateway.languages import ENGLISH, Catalogue, Languages

MAX_TEMPLATE_BYTES = 256 * 1024

OURS = "gateway"
"""Under this name ours stay at hand: `{% extends "gateway/error.html" %}`."""

_log = logging.getLogger("gateway")


class _Shipped(PackageLoader):
    """Our templates, compiled once for all languages: that takes longer than anything else about a page."""

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        """Make a template of an environment; raises `TemplateNotFound` where none of ours has that name."""
        return environment.template_class.from_code(environment, _compiled(name), {} if globals is None else globals)


_SHIPPED = _Shipped("gateway", "pages")


class PageTemplates:
    """Renders pages: an operator's where there is one, and ours where there is none or where it fails.

    `replaced` are the sources of an operator's templates by name, as `read_templates` returns them.
    """

    def __init__(self, replaced: Mapping[str, str], languages: Languages) -> None:
        self._replaced = replaced
        catalogues = languages.catalogues.values()
        self._ours = {one.tag: _environment(_SHIPPED, one) for one in catalogues}
        self._all = {one.tag: _environment(_loader(replaced), one) for one in catalogues} if replaced else {}

    def render(self, name: str, catalogue: Catalogue, context: Mapping[str, object]) -> str:
        """Render a page in a language, with our own context, whatever is wrong with an operator's template of it."""
        if self._replaced:
            try:
                return self._all[catalogue.tag].get_template(f"{name}.html").render(context)
            except Exception as error:  # noqa: BLE001 - whatever the template does, the user gets a page.
                _log.error("the template %s.html of `templates` failed, ours is shown: %s", name, _where(error))
        return self._ours[catalogue.tag].get_template(f"{name}.html").render(context)


def read_templates(directory: Path) -> dict[str, str]:
    """Read an operator's templates, sources by name; raises `ValueError` that names the file and what is wrong.

    A file has the name of a page of ours, or is a part of theirs and begins with `_`.
    """
    try:
        files = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
        sources = {path.name: _source(path) for path in files}
    except OSError as error:
        raise ValueError(f"{directory} cannot be read: {error.strerror}") from None
    known = replaceable()
    for name in sources:
        if name not in known and not name.startswith("_"):
            raise ValueError(f"{directory / name} replaces no page of ours; those are {', '.join(sorted(known))}")
    environment = _environment(_loader(sources))
    at_hand = set(environment.list_templates())
    for name, source in sources.items():
        try:
            environment.compile(source, name)
            named = list(find_referenced_templates(environment.parse(source, name)))
        except TemplateSyntaxError as error:
            raise ValueError(f"{directory / name}, line {error.lineno}: {error.message}") from None
        missing = [other for other in named if other is not None and other not in at_hand]
        if missing:
            raise ValueError(f"{directory / name} names the template {missing[0]}, which is not there")
    return sources


def replaceable() -> set[str]:
    """Name the pages that an operator may replace: those of users, and not the developer's console."""
    return {name for name in _SHIPPED.list_templates() if not name.startswith("console")}


def _source(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > MAX_TEMPLATE_BYTES:
        raise ValueError(f"{path} is no file of at most {MAX_TEMPLATE_BYTES} octets")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8") from None


@cache
def _compiled(name: str) -> CodeType:
    environment = _environment(_SHIPPED)
    source, path, _ = _SHIPPED.get_source(environment, name)
    return environment.compile(source, name, path)


def _loader(replaced: Mapping[str, str]) -> BaseLoader:
    return ChoiceLoader([DictLoader(replaced), _SHIPPED, PrefixLoader({OURS: _SHIPPED})])


def _environment(loader: BaseLoader, catalogue: Catalogue = ENGLISH) -> Environment:
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, auto_reload=False, extensions=["jinja2.ext.i18n"]
    )
    # A method that the extension gives the environment, and of which its types know nothing.
    methodcaller("install_gettext_translations", catalogue, newstyle=True)(environment)
    environment.globals.update(lang=catalogue.tag, dir=catalogue.direction)
    return environment


def _where(error: Exception) -> str:
    # What is undefined is named, as the template writes it; other messages may hold a value.
    return f"UndefinedError: {str(error)[:200]}" if isinstance(error, UndefinedError) else type(error).__name__
