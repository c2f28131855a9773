"""Catalogues of texts as gettext compiles them, read and checked: ours, and those that an operator adds."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path

LOCALES_UNREADABLE = "locales_unreadable"
LANGUAGE_UNKNOWN = "language_unknown"
CATALOGUE_UNREADABLE = "catalogue_unreadable"
CATALOGUE_BROKEN = "catalogue_broken"
PLACEHOLDERS_DIFFER = "placeholders_differ"

MAX_CATALOGUE_BYTES = 512 * 1024

CATALOGUE = Path("LC_MESSAGES", "gateway.mo")
"""Where the texts are in the directory of a language."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_([A-Z]{2}|[0-9]{3}))?")
_PERCENT = re.compile(r"%(?:%|\(([A-Za-z_]\w*)\)s)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ORDERS = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}
_COUNTS = range(200)
"""A plural rule is tried with these. Ours count nothing, and a page of an operator's that fails is replaced by ours."""


def read_locales(directory: Path) -> dict[str, bytes]:
    """Read the catalogues of a directory, as they are in the files, by language tag (RFC 5646).

    Each directory in it has the name of a language, and in it `LC_MESSAGES/gateway.mo`. Raises `ValueError` that names
    the file, with a code, and what is wrong.
    """
    try:
        # A template for translators may lie beside the languages.
        found = sorted(one for one in directory.iterdir() if not one.name.startswith(".") and one.suffix != ".pot")
    except OSError as error:
        raise _problem(directory, LOCALES_UNREADABLE, str(error.strerror)) from None
    return {_tag(one): _read(one / CATALOGUE) for one in found}


def translations_of(catalogue: bytes) -> GNUTranslations:
    """Open a compiled catalogue; raises `ValueError` for one that is broken, or whose plural rule is."""
    try:
        translations = GNUTranslations(BytesIO(catalogue))
        for count in _COUNTS:
            translations.ngettext("", "", count)
    except Exception as error:  # noqa: BLE001 - of a plural rule that is none, gettext lets a SyntaxError out.
        raise ValueError(f"is no compiled catalogue: {type(error).__name__}") from None
    if (translations.charset() or "utf-8").lower() not in ("utf-8", "utf8"):
        raise ValueError("is not in UTF-8")
    return translations


def placeholders(text: str) -> frozenset[str]:
    """Name what is put into a text; raises `ValueError` for a percent sign that is neither `%(name)s` nor `%%`."""
    found = list(_PERCENT.finditer(text))
    if any(one[0] == "%" for one in found):
        raise ValueError("has a % that is neither %(name)s nor %%")
    return frozenset(one[1] for one in found if one[1])


def _tag(place: Path) -> str:
    if not _LANGUAGE.fullmatch(place.name):
        raise _problem(place, LANGUAGE_UNKNOWN, "is not called as a language is: de, pt_BR, zh_Hant")
    return place.name.replace("_", "-")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_CATALOGUE_BYTES:
            raise _problem(path, CATALOGUE_UNREADABLE, f"has more than {MAX_CATALOGUE_BYTES} octets")
        catalogue = path.read_bytes()
    except OSError as error:
        raise _problem(path, CATALOGUE_UNREADABLE, str(error.strerror)) from None
    try:
        translations_of(catalogue)
        texts = dict(_texts(catalogue))
    except ValueError as error:
        raise _problem(path, CATALOGUE_BROKEN, str(error)) from None
    for message, translation in texts.items():
        try:
            _check_fits(message, translation)
        except ValueError as error:
            raise _problem(path, PLACEHOLDERS_DIFFER, f"the translation of {message[:60]!r} {error}") from None
    return catalogue


def _texts(catalogue: bytes) -> Iterator[tuple[str, str]]:
    # GNUTranslations has looked whether all is within the file.
    order = _ORDERS[catalogue[:4]]
    count, messages, translations = struct.unpack_from(f"{order}3I", catalogue, 8)
    seen: set[str] = set()
    for index in range(count):
        message, translation = (_string(catalogue, order, table + 8 * index) for table in (messages, translations))
        if message in seen:
            raise ValueError(f"has {message[:60]!r} twice")
        seen.add(message)
        if not message:
            continue
        if not all(translation.split("\0")) or any(map(_CONTROL.search, translation.split("\0"))):
            raise ValueError(f"translates {message[:60]!r} into nothing, or into control characters")
        yield message, translation


def _string(catalogue: bytes, order: str, place: int) -> str:
    length, start = struct.unpack_from(f"{order}2I", catalogue, place)
    return catalogue[start : start + length].decode("utf-8")


def _check_fits(message: str, translation: str) -> None:
    # Behind a context comes the message (GNU gettext 10.3); one that counts has two forms, and its translations as many
    # as the language has. A form for one thing need not say the number.
    forms = [placeholders(form) for form in message.rpartition("\x04")[2].split("\0")]
    least, most = frozenset.intersection(*forms), frozenset.union(*forms)
    for form in translation.split("\0"):
        if not least <= placeholders(form) <= most:
            raise ValueError(f"must have the placeholders {sorted(most)}, and no other")


def _problem(path: Path, code: str, told: str) -> ValueError:
    return ValueError(f"{path}: {code}: {told}")
