"""The languages of our pages: whose texts count in each, and which one a browser asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from gettext import NullTranslations
from pathlib import Path
from types import MappingProxyType

from markupsafe import Markup, escape
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from gateway.catalogue_files import read_locales, translations_of

MAX_ACCEPT_LANGUAGE = 1024
"""Characters of an `Accept-Language`; a longer one says nothing."""

SHIPPED = Path(__file__).parent / "locale"

_RIGHT_TO_LEFT = frozenset({"ar", "arc", "ckb", "dv", "fa", "he", "nqo", "ps", "sd", "syr", "ug", "ur", "yi"})
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"adlm", "arab", "hebr", "nkoo", "rohg", "syrc", "thaa"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The texts of one language, as templates ask for them: markup in a translation is text, too.

    `tag` names the language (RFC 5646), `direction` is `ltr` or `rtl`.
    """

    tag: str
    direction: str
    translations: NullTranslations = field(repr=False)

    def plain(self, message: str) -> str:
        """Translate a text that has no placeholders and that a template escapes."""
        return self.translations.gettext(message).replace("%%", "%")

    def gettext(self, message: str) -> Markup:
        """Translate a text."""
        # What stands under the empty text is the catalogue's own header.
        return escape(self.translations.gettext(message) if message else "")

    def ngettext(self, singular: str, plural: str, count: int) -> Markup:
        """Translate a text that counts something."""
        return escape(self.translations.ngettext(singular, plural, count))

    def pgettext(self, context: str, message: str) -> Markup:
        """Translate a text that means different things in different places."""
        return escape(self.translations.pgettext(context, message))

    def npgettext(self, context: str, singular: str, plural: str, count: int) -> Markup:
        """Translate a text of both kinds."""
        return escape(self.translations.npgettext(context, singular, plural, count))


ENGLISH = Catalogue(tag="en", direction="ltr", translations=NullTranslations())
"""The texts as they are written in code and templates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Languages:
    """The catalogues by their tags in lower case, English first."""

    catalogues: Mapping[str, Catalogue]

    @property
    def english(self) -> Catalogue:
        """The texts for whoever asks for no language that there is."""
        return self.catalogues[ENGLISH.tag]

    def choose(self, accept_language: str) -> Catalogue:
        """Choose by an `Accept-Language` (RFC 9110 12.5.4), by lookup (RFC 4647 3.4).

        One that is missing, broken or too long, or that accepts nothing that there is, means English.
        """
        if len(accept_language) > MAX_ACCEPT_LANGUAGE:
            return self.english
        wishes = [(tag.lower().replace("_", "-"), quality) for tag, quality in _parsed(accept_language)]
        refused = {tag for tag, quality in wishes if not quality}
        fitting = (tag for wish, quality in wishes if quality for tag in self._fitting(wish) if tag not in refused)
        return self.catalogues[next(fitting, ENGLISH.tag)]

    def _fitting(self, wish: str) -> Iterator[str]:
        if wish == "*":
            yield from self.catalogues
        yield from (tag for tag in _truncated(wish) if tag in self.catalogues)
        yield from (tag for tag in self.catalogues if tag.startswith(f"{wish}-"))


def languages(theirs: Mapping[str, bytes]) -> Languages:
    """Make the catalogues: an operator's over ours, over those of the wider language, over English.

    `theirs` are compiled catalogues by tag, as `read_locales` returns them.
    """
    ours = _shipped()
    made: dict[str, Catalogue] = {}
    # A wider language is made before a narrower one that falls back on it.
    for tag in sorted({ENGLISH.tag, *ours, *theirs}, key=lambda tag: (tag != ENGLISH.tag, len(tag), tag)):
        wider = next((made[one] for one in _truncated(tag.lower()) if one in made), made.get(ENGLISH.tag, ENGLISH))
        own = [translations_of(source[tag]) for source in (ours, theirs) if tag in source]
        translations = wider.translations
        for one in own:
            one.add_fallback(translations)
            translations = one
        made[tag.lower()] = Catalogue(tag=tag, direction=_direction(tag), translations=translations)
    return Languages(catalogues=made)


@cache
def _shipped() -> Mapping[str, bytes]:
    return MappingProxyType(read_locales(SHIPPED))


def _parsed(accept_language: str) -> LanguageAccept:
    return parse_accept_header(accept_language, LanguageAccept)


def _truncated(tag: str) -> Iterator[str]:
    while tag:
        yield tag
        tag = tag.rpartition("-")[0]


def _direction(tag: str) -> str:
    language, *others = tag.lower().split("-")
    script = next((one for one in others if len(one) == 4), "")
    right_to_left = script in _RIGHT_TO_LEFT_SCRIPTS if script else language in _RIGHT_TO_LEFT
    return "rtl" if right_to_left else "ltr"
