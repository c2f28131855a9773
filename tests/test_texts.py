"""The texts of the pages for translators: all that there are, as they are; and German, whole."""

import tomllib
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from docs.texts import TEMPLATE, template, translations, written
from gateway.catalogue_files import placeholders

LANGUAGES: Final = {path.parent.parent.name: path for path, _ in translations()}
FORMAL: Final = ("du", "dich", "dir", "dein", "deine", "deiner", "deinem", "deinen")


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file)


def texts(catalogue: Catalog) -> dict[str, str]:
    return {str(one.id): str(one.string) for one in catalogue if one.id}


def test_german_is_there() -> None:
    assert "de" in LANGUAGES


def test_the_template_has_the_texts_of_the_pages() -> None:
    assert list(texts(read(TEMPLATE))) == list(texts(template())), "run `make docs`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_every_text_and_no_other(language: str) -> None:
    assert list(texts(read(LANGUAGES[language]))) == list(texts(template())), (
        "run `make docs`, and translate what is new"
    )
    assert [one.id for one in read(LANGUAGES[language]) if one.fuzzy or not one.string] == []
    assert dict(read(LANGUAGES[language]).obsolete) == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_compiled_as_it_is_written(language: str) -> None:
    path = LANGUAGES[language]
    assert texts(read_mo(BytesIO(path.with_suffix(".mo").read_bytes()))) == texts(read(path)), "run `make docs`"
    assert written().keys() == {TEMPLATE, *LANGUAGES.values(), *(one.with_suffix(".mo") for one in LANGUAGES.values())}


def test_the_package_has_all_that_is_here() -> None:
    with (TEMPLATE.parents[2] / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["gateway"]
    package = TEMPLATE.parent.parent
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    assert {path for place in ("locale", "pages") for path in (package / place).rglob("*.*")} <= packed


@pytest.mark.parametrize("language", LANGUAGES)
def test_translations_keep_to_the_form_of_the_texts(language: str) -> None:
    for text, translation in texts(read(LANGUAGES[language])).items():
        assert placeholders(translation) == placeholders(text)
        assert translation == translation.strip()
        assert text[-1:] not in ".?" or translation[-1] == text[-1], translation
        assert text.endswith(".") or not translation.endswith("."), translation


def test_german_says_sie() -> None:
    for translation in texts(read(LANGUAGES["de"])).values():
        assert not set(FORMAL) & set(translation.lower().replace(",", " ").replace(".", " ").split()), translation
