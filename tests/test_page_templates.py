"""Pages of an operator's own: in place of ours, checked at the start, and never a reason to show no page."""

import logging
import re
from pathlib import Path
from typing import Final

import pytest
from harness import ORIGIN, error_code, run_site
from jinja2 import Environment
from jinja2.meta import find_undeclared_variables

from gateway.config_sources import ConfigurationError
from gateway.page_templates import replaceable

PAGES: Final = Path(__file__).resolve().parent.parent / "gateway" / "pages"
DOCUMENTED: Final = (PAGES.parent.parent / "docs" / "pages.md").read_text(encoding="utf-8")
ROWS: Final = {
    name: set(re.findall(r"`(\w+)`", names))
    for name, names in re.findall(r"^\| `(\S+)` \| ([^|]+) \|", DOCUMENTED, re.M)
}


def written(directory: Path, **templates: str) -> dict[str, object]:
    for name, source in templates.items():
        (directory / f"{name}.html").write_text(source, encoding="utf-8")
    return {"templates": str(directory)}


def test_a_template_stands_for_our_page_with_our_headers(tmp_path: Path) -> None:
    own = "<h1>{{ title }}</h1><dt>Code</dt><dd>{{ code }}</dd><style nonce='{{ nonce }}'></style>"
    with run_site(written(tmp_path, error=own)) as site:
        page = site.browser.navigate(f"{ORIGIN}/oauth2/callback?error=access_denied")
    assert page.text.startswith("<h1>The sign-in was refused</h1>")
    assert (page.status, error_code(page)) == (403, "op_access_denied")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"
    nonce = re.search(r"nonce='([^']+)'", page.text)
    assert nonce is not None
    assert f"'nonce-{nonce[1]}'" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("templates", "shown"),
    [
        pytest.param({"base": "<b>mine</b>{% block content %}{% endblock %}"}, "<b>mine</b>", id="base-alone"),
        pytest.param(
            {"base": '{% extends "gateway/base.html" %}{% block head %}<b>mine</b>{% endblock %}'},
            "<b>mine</b>",
            id="base-extends-ours",
        ),
        pytest.param(
            {"signed_out": '{% extends "gateway/signed_out.html" %}{% block title %}Bye{% endblock %}'},
            "<title>Bye</title>",
            id="page-extends-ours",
        ),
        pytest.param(
            {"_logo": "<b>logo</b>", "signed_out": '{% include "_logo.html" %}'}, "<b>logo</b>", id="part-included"
        ),
    ],
)
def test_templates_may_build_on_ours_and_on_their_own_parts(
    tmp_path: Path, templates: dict[str, str], shown: str
) -> None:
    with run_site(written(tmp_path, **templates)) as site:
        page = site.browser.navigate(f"{ORIGIN}/oauth2/signed_out")
    assert page.status == 200
    assert shown in page.text


@pytest.mark.parametrize(
    ("templates", "logged"),
    [
        pytest.param({"signed_out": "{{ nobody }}"}, "'nobody' is undefined", id="undefined-variable"),
        pytest.param({"base": "{{ nobody }}"}, "'nobody' is undefined", id="undefined-in-base"),
        pytest.param({"signed_out": "{{ 1 // 0 }}"}, "ZeroDivisionError", id="failure"),
        pytest.param({"signed_out": '{% extends "signed_out.html" %}'}, "RecursionError", id="extends-itself"),
    ],
)
def test_where_a_template_fails_ours_is_shown_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, templates: dict[str, str], logged: str
) -> None:
    with run_site(written(tmp_path, **templates)) as site, caplog.at_level(logging.ERROR, "gateway"):
        page = site.browser.navigate(f"{ORIGIN}/oauth2/signed_out")
    assert page.status == 200
    assert "<h1>You are signed out</h1>" in page.text
    assert "the template signed_out.html of `templates` failed" in caplog.text
    assert logged in caplog.text


def test_what_a_template_is_given_is_escaped(tmp_path: Path) -> None:
    with run_site(written(tmp_path, error="[{{ again }}]")) as site:
        page = site.browser.navigate(f"{ORIGIN}/oauth2/callback?error=%3Cscript%3E")
        assert "<script>" not in page.text
        assert page.text.startswith("[")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        pytest.param("errror.html", b"", "errror.html replaces no page of ours", id="unknown-name"),
        pytest.param("console.html", b"", "console.html replaces no page of ours", id="the-console"),
        pytest.param("error.html", b"a\n{% if %}", "error.html, line 2: ", id="syntax"),
        pytest.param("error.html", b"{% unknown %}", "error.html, line 1: ", id="unknown-tag"),
        pytest.param("error.html", b"{{ title | nothing }}", "error.html, line 1: ", id="unknown-filter"),
        pytest.param("error.html", b'{% extends "bass.html" %}', "names the template bass.html", id="extends-nothing"),
        pytest.param("error.html", b"\xff", "error.html is not UTF-8", id="not-utf-8"),
        pytest.param("error.html", b"x" * 300_000, "is no file of at most", id="too-large"),
    ],
)
def test_what_cannot_be_shown_is_found_at_the_start(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as caught, run_site({"templates": str(tmp_path)}):
        pass
    (found,) = caught.value.problems
    assert found.startswith("templates: ")
    assert problem in found


def test_a_directory_that_is_missing_is_found_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught, run_site({"templates": str(tmp_path / "nowhere")}):
        pass
    assert "nowhere cannot be read: No such file or directory" in caught.value.problems[0]


@pytest.mark.parametrize("name", sorted(replaceable()))
def test_the_page_on_templates_names_what_each_is_given(name: str) -> None:
    environment = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
    used = find_undeclared_variables(environment.parse((PAGES / name).read_text(encoding="utf-8")))
    assert ROWS[name] == used - {"gettext"}


def test_the_page_on_templates_names_no_other() -> None:
    assert set(ROWS) == replaceable()
