"""The languages of our pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from gettext import NullTranslations

from markupsafe import Markup, escape


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The texts of one language, as templates ask for them: markup in a translation is text, too.

    `tag` names the language (RFC 5646), `direction` is `ltr` or `rtl`.
    """

    tag: str
    direction: str
    translations: NullTranslations = field(repr=False)

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
