"""The language of a page: what browsers ask for, whose texts count, and what no catalogue may do."""

import re
from collections.abc import Mapping
from gettext import NullTranslations
from pathlib import Path
from typing import Final

import pytest
from compiled import compiled, compiled_pairs, place
from harness import run_site

from gateway import errors
from gateway.catalogue_files import (
    CATALOGUE_BROKEN,
    CATALOGUE_UNREADABLE,
    LANGUAGE_UNKNOWN,
    LOCALES_UNREADABLE,
    MAX_CATALOGUE_BYTES,
    PLACEHOLDERS_DIFFER,
    placeholders,
    read_locales,
)
from gateway.config_sources import ConfigurationError
from gateway.languages import MAX_ACCEPT_LANGUAGE, Catalogue, Languages, languages
from gateway.page_templates import PageTemplates
from gateway.problem import Problem

MARKUP: Final = "<img src=x onerror=alert(1)>\"'&"
ESCAPED: Final = "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;&amp;"
PAGES: Final[Mapping[str, Mapping[str, object]]] = {
    "chooser": {"choices": [{"title": "One", "url": "/one"}]},
    "end_session": {"wanted": {"url": "/end", "fields": {"a": "b"}}},
    "error": {
        "title": "", "advice": "", "code": "a_code", "status": 400, "reference": "f", "home": "/", "again": "/again",
    },
    "form_again": {"target": "/<target>", "fields": [("a", "b")]},
    "form_kept": {"sign_in": "/in"},
    "fragment": {"start": "/start", "target": "/target"},
    "sign_out": {"action": "/out", "fields": {}, "user": "<alice>"},
    "signed_out": {"home": "/"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("accept_language", "tag"),
    [
        pytest.param("", "en", id="missing"),
        pytest.param("de", "de", id="german"),
        pytest.param("DE", "de", id="upper-case"),
        pytest.param("de-AT", "de", id="of-austria"),
        pytest.param("de-AT,de;q=0.9,en-US;q=0.8,en;q=0.7", "de", id="as-chromium-writes-it"),
        pytest.param("de-CH-1996, en;q=0.9", "de", id="narrower-than-any"),
        pytest.param("de_AT", "de", id="underscore"),
        pytest.param("en-GB,de;q=0.9", "en", id="english-first"),
        pytest.param("en;q=0.3,de;q=0.7", "de", id="by-quality"),
        pytest.param("de;q=0.7,pt-BR;q=0.7", "de", id="as-good-as-another"),
        pytest.param("fr", "en", id="not-there"),
        pytest.param("fr,de;q=0.1", "de", id="not-there-then-german"),
        pytest.param("pt", "pt-BR", id="narrower-alone-is-there"),
        pytest.param("pt-PT", "en", id="of-another-country"),
        pytest.param("pt-PT,pt;q=0.9", "pt-BR", id="of-another-country-or-any"),
        pytest.param("de-LI", "de-LI", id="narrower-is-there"),
        pytest.param("de-li-x-private", "de-LI", id="private-use"),
        pytest.param("en;q=0", "en", id="english-refused-and-nothing-else"),
        pytest.param("en;q=0,*", "de", id="any-but-english"),
        pytest.param("*", "en", id="any"),
        pytest.param("*;q=0", "en", id="none"),
        pytest.param("de;q=0,*", "en", id="any-but-german"),
        pytest.param("de-AT,de;q=0", "en", id="austrian-but-not-german"),
        pytest.param("fr, de", "de", id="two-fields"),
        pytest.param("de;q=1.5,en;q=0.1", "en", id="quality-over-one"),
        pytest.param("de;q=-1", "en", id="quality-under-zero"),
        pytest.param("de;q=much", "en", id="quality-a-word"),
        pytest.param("de;q=nan", "en", id="quality-no-number"),
        pytest.param("de;q=0.5;level=1", "en", id="parameter"),
        pytest.param(", ,;,de", "de", id="empty-members"),
        pytest.param("\"de", "en", id="quote"),
        pytest.param("de\x00", "en", id="nul"),
        pytest.param("../../de", "en", id="path"),
        pytest.param("\xff\xfe\u0130", "en", id="not-ascii"),
        pytest.param("-", "en", id="hyphen"),
        pytest.param("de-" * 3000, "en", id="long-tag"),
        pytest.param("x" * 10_240, "en", id="ten-kilobytes-of-junk"),
        pytest.param("q;=,\"\\*" * 1500, "en", id="ten-kilobytes-of-marks"),
        pytest.param("de," * (MAX_ACCEPT_LANGUAGE // 3), "de", id="longest"),
        pytest.param("de" + " " * (MAX_ACCEPT_LANGUAGE - 1), "en", id="too-long"),
    ],
)  # fmt: skip
def test_the_language_that_a_browser_asks_for(accept_language: str, tag: str) -> None:
    none = compiled({})
    assert languages({"pt-BR": none, "de-LI": none}).choose(accept_language).tag == tag


@pytest.mark.parametrize(
    ("language", "direction"),
    [
        pytest.param("de", "ltr", id="german"),
        pytest.param("ar", "rtl", id="arabic"),
        pytest.param("he-IL", "rtl", id="hebrew-of-a-country"),
        pytest.param("pa-Arab-PK", "rtl", id="punjabi-in-arabic"),
        pytest.param("az-Latn", "ltr", id="azerbaijani-in-latin"),
    ],
)
def test_how_a_language_is_written(language: str, direction: str) -> None:
    assert languages({language: compiled({})}).choose(language).direction == direction


def test_texts_of_theirs_come_before_ours_and_those_of_a_narrower_language_before_all() -> None:
    theirs = {
        "de": compiled({"Sign in": "Einloggen"}),
        "de-AT": compiled({"Sign out": "Baba"}),
        "en": compiled({"Sign in": "Log in", "of no catalogue": "of theirs in English"}),
    }
    known = languages(theirs)
    shown = {
        tag: [known.choose(tag).gettext(text) for text in ("Sign in", "Sign out", "Status", "of no catalogue", "new")]
        for tag in ("de-AT", "de", "en")
    }
    assert shown == {
        "de-AT": ["Einloggen", "Baba", "Status", "of theirs in English", "new"],
        "de": ["Einloggen", "Abmelden", "Status", "of theirs in English", "new"],
        "en": ["Log in", "Sign out", "Status", "of theirs in English", "new"],
    }


def test_a_language_that_we_lack_is_added() -> None:
    french = languages({"fr": compiled({"Sign in": "Se connecter"})}).choose("fr-CA")
    assert (french.tag, french.gettext("Sign in"), french.gettext("Sign out")) == ("fr", "Se connecter", "Sign out")


def test_a_percent_sign_is_one_in_what_is_told_of_a_failure_too() -> None:
    french = languages({"fr": compiled({"Sign in": "100 %% français"})}).choose("fr")
    assert (french.plain("Sign in"), french.gettext("Sign in") % {}) == ("100 % français", "100 % français")


def test_no_text_means_none_and_not_the_header_of_the_catalogue() -> None:
    french = languages({"fr": compiled({"Sign in": "Se connecter"})}).choose("fr")
    assert french.translations.gettext("").startswith("Content-Type")
    assert french.gettext("") == ""


class Hostile(NullTranslations):
    """Translates each text into markup and its placeholders."""

    def gettext(self, message: str) -> str:
        return MARKUP + "".join(f"%({name})s" for name in placeholders(message))


@pytest.mark.parametrize("name", PAGES)
def test_markup_in_a_translation_is_text(name: str) -> None:
    catalogue = Catalogue(tag="fr", direction="ltr", translations=Hostile())
    told = {"title": catalogue.plain("Please sign in"), "advice": catalogue.plain("Check the address.")}
    pages = PageTemplates({}, Languages(catalogues={"fr": catalogue}))
    page = pages.render(name, catalogue, {**PAGES[name], **(told if name == "error" else {}), "nonce": "n"})
    assert "<img" not in page
    assert ESCAPED in page
    assert "<strong>&lt;alice&gt;</strong>" in page or name != "sign_out"
    assert "<strong>/&lt;target&gt;</strong>" in page or name != "form_again"


OWN: Final = {
    "trans": "{% trans who='<b>' %}Hello {{ who }}{% endtrans %}",
    "underscore": "{{ _('Hello %(who)s', who='<b>') }}",
    "gettext": "{{ gettext('Hello %(who)s', who='<b>') }}",
    "context": "{% trans 'greeting' who='<b>' %}Hello {{ who }}{% endtrans %}",
    "plural": "{% trans count=2, who='<b>' %}One {{ who }}{% pluralize %}{{ count }} {{ who }}{% endtrans %}",
    "plural-context": "{% trans 'greeting' count=2, who='<b>' %}1 {{ who }}{% pluralize %}2 {{ who }}{% endtrans %}",
    "attribute": "<i title=\"{{ _('Hello %(who)s', who='<b>') }}\"></i>",
    "macro": "{% macro hello() %}{{ _('Hello %(who)s', who='<b>') }}{% endmacro %}{{ hello() }}",
    "unescaped": "{% autoescape false %}{{ _('Hello %(who)s', who='<b>') }}{% endautoescape %}",
}
OWN_TEXTS: Final = {
    "Hello %(who)s": f"{MARKUP}%(who)s",
    "greeting\x04Hello %(who)s": f"{MARKUP}%(who)s",
    "One %(who)s\0%(count)s %(who)s": f"1%(who)s\0{MARKUP}%(who)s",
    "greeting\x041 %(who)s\x002 %(who)s": f"1%(who)s\0{MARKUP}%(who)s",
}


@pytest.mark.parametrize("source", [pytest.param(source, id=name) for name, source in OWN.items()])
def test_markup_in_a_translation_is_text_in_a_page_of_their_own_too(source: str) -> None:
    known = languages({"fr": compiled(OWN_TEXTS)})
    pages = PageTemplates({"signed_out.html": f"mine {source}"}, known)
    page = pages.render("signed_out", known.choose("fr"), {"home": "/", "nonce": "n"})
    assert page.startswith("mine ")
    assert f"{ESCAPED}&lt;b&gt;" in page


@pytest.mark.parametrize("problem", [one for one in vars(errors).values() if isinstance(one, Problem)])
def test_what_is_told_of_a_failure_has_no_percent_sign(problem: Problem) -> None:
    assert "%" not in problem.title + problem.advice


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        pytest.param("de", {"Sign in": "Hinein"}, id="ours"),
        pytest.param("fr", {"You are signed in as %(who)s.": "%(who)s, 100 %% : « %(who)s »"}, id="with-a-placeholder"),
        pytest.param("zh_Hant_TW", {"Sign in": "登入"}, id="script-and-country"),
        pytest.param("es_419", {}, id="region"),
        pytest.param("fr", {"One page\0%(count)s pages": "Une page\0%(count)s pages"}, id="count-left-out-for-one"),
        pytest.param("fr", {"100% verb\x04Open": "Ouvrir"}, id="context"),
        pytest.param("fr", {"Sign in": "Se\nconnecter"}, id="line-end"),
    ],
)
def test_a_catalogue_that_is_taken(tmp_path: Path, language: str, texts: dict[str, str]) -> None:
    place(tmp_path, language, texts)
    (tmp_path / "gateway.pot").touch()
    (tmp_path / ".cache").mkdir()
    assert list(read_locales(tmp_path)) == [language.replace("_", "-")]


SIGNED_IN_AS: Final = "You are signed in as %(who)s."


@pytest.mark.parametrize(
    ("catalogue", "code", "told"),
    [
        pytest.param(b"", "catalogue_broken", "is no compiled catalogue", id="empty"),
        pytest.param(b'msgid "Sign in"', "catalogue_broken", "is no compiled catalogue", id="not-compiled"),
        pytest.param(compiled({"a": "b"})[:-1], "catalogue_broken", "is no compiled catalogue", id="cut-off"),
        pytest.param(compiled({"a": "b"})[:30], "catalogue_broken", "is no compiled catalogue", id="cut-off-early"),
        pytest.param(b"\xde\x12\x04\x95" + b"\xff" * 24, "catalogue_broken", "is no compiled", id="out-of-bounds"),
        pytest.param(
            compiled({"a": "b"}, header="Content-Type: text/plain; charset=UTF-7\n"),
            "catalogue_broken", "is not in UTF-8", id="charset",
        ),
        pytest.param(
            compiled({"a": "b"}, header="Content-Type: text/plain; charset=none\n"),
            "catalogue_broken", "is no compiled catalogue: LookupError", id="charset-that-is-none",
        ),
        pytest.param(compiled({"a": "ü"}, header="X: y\n"), "catalogue_broken", "UnicodeDecodeError", id="no-charset"),
        pytest.param(
            compiled({"a": "b"}, header="Plural-Forms: nplurals=2; plural=n/0;\n"),
            "catalogue_broken", "ZeroDivisionError", id="plural-by-zero",
        ),
        pytest.param(
            compiled({"a": "b"}, header="Plural-Forms: nplurals=2; plural=exit();\n"),
            "catalogue_broken", "ValueError", id="plural-that-is-code",
        ),
        pytest.param(
            compiled({"a": "b"}, header="Plural-Forms: nplurals\n"),
            "catalogue_broken", "IndexError", id="plural-cut-off",
        ),
        pytest.param(
            compiled({"a": "b"}, header="Plural-Forms: nplurals=2; plural=n != !1;\n"),
            "catalogue_broken", "SyntaxError", id="plural-of-no-language",
        ),
        pytest.param(compiled_pairs([("a", "b"), ("a", "c")]), "catalogue_broken", "has 'a' twice", id="twice"),
        pytest.param(compiled({"Sign in": ""}), "catalogue_broken", "into nothing", id="to-nothing"),
        pytest.param(compiled({"Sign in": "a\0b\0"}), "catalogue_broken", "into nothing", id="form-of-nothing"),
        pytest.param(compiled({"Sign in": "a\x1bb"}), "catalogue_broken", "control characters", id="escape"),
        pytest.param(compiled({SIGNED_IN_AS: "Sie sind da."}), "placeholders_differ", "['who']", id="missing"),
        pytest.param(compiled({SIGNED_IN_AS: "%(wer)s"}), "placeholders_differ", "['who']", id="translated"),
        pytest.param(compiled({SIGNED_IN_AS: "%(who)s %(x)s"}), "placeholders_differ", "['who']", id="one-more"),
        pytest.param(compiled({"Sign in": "%(who)s"}), "placeholders_differ", "[]", id="where-there-is-none"),
        pytest.param(compiled({SIGNED_IN_AS: "%(who)d"}), "placeholders_differ", "neither", id="number"),
        pytest.param(compiled({SIGNED_IN_AS: "%(who)999999999s"}), "placeholders_differ", "neither", id="width"),
        pytest.param(compiled({SIGNED_IN_AS: "%(who)s %s"}), "placeholders_differ", "neither", id="without-a-name"),
        pytest.param(compiled({SIGNED_IN_AS: "100 % %(who)s"}), "placeholders_differ", "neither", id="percent"),
        pytest.param(compiled({SIGNED_IN_AS: "%(who)s %"}), "placeholders_differ", "neither", id="percent-at-the-end"),
        pytest.param(compiled({"50% off": "50 %%"}), "placeholders_differ", "neither", id="message"),
        pytest.param(
            compiled({"One\0%(count)s": "%(who)s\0%(count)s"}),
            "placeholders_differ", "['count']", id="form-of-a-plural",
        ),
        pytest.param(b"x" * (MAX_CATALOGUE_BYTES + 1), "catalogue_unreadable", "octets", id="too-large"),
    ],
)  # fmt: skip
def test_a_catalogue_that_is_refused_at_the_start(tmp_path: Path, catalogue: bytes, code: str, told: str) -> None:
    path = place(tmp_path, "de", catalogue)
    assert f"locales: {path}: {code}: " in refusal(tmp_path)
    assert told in refusal(tmp_path)


def refusal(directory: Path) -> str:
    with pytest.raises(ConfigurationError) as caught, run_site({"locales": str(directory)}):
        pass
    (problem,) = caught.value.problems
    return problem


def test_either_order_of_octets_is_read(tmp_path: Path) -> None:
    place(tmp_path, "fr", compiled_pairs([("", "X: y\n"), ("Sign in", "%(who)s")], order=">"))
    assert "placeholders_differ" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("directory", "code"),
    [
        pytest.param("deutsch", "language_unknown", id="no-language"),
        pytest.param("de-AT", "language_unknown", id="hyphen"),
        pytest.param("de.mo", "language_unknown", id="file"),
        pytest.param("fr", "catalogue_unreadable", id="nothing-in-it"),
    ],
)
def test_a_directory_that_is_no_language(tmp_path: Path, directory: str, code: str) -> None:
    (tmp_path / directory).mkdir()
    assert f"locales: {tmp_path / directory}" in refusal(tmp_path)
    assert f": {code}: " in refusal(tmp_path)


def test_a_directory_that_is_missing_is_found_at_the_start(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == f"locales: {tmp_path / 'none'}: locales_unreadable: No such file or directory"


def test_the_page_on_languages_has_the_codes_and_the_limits() -> None:
    page = (Path(__file__).resolve().parent.parent / "docs" / "pages.md").read_text(encoding="utf-8")
    codes = {CATALOGUE_BROKEN, CATALOGUE_UNREADABLE, LANGUAGE_UNKNOWN, LOCALES_UNREADABLE, PLACEHOLDERS_DIFFER}
    assert set(re.findall(r"^- `([a-z]+_[a-z]+)`: ", page, re.MULTILINE)) == codes
    assert f"more than {MAX_CATALOGUE_BYTES // 1024} KiB" in page
    assert f"longer than {MAX_ACCEPT_LANGUAGE} characters" in page
