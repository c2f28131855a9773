"""The pages of a gateway for browsers that ask for German: each of them, and nothing but them."""

import html
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from compiled import place
from console_place import GUARDED, run_guarded_console
from harness import ORIGIN, SIGN_OUT, SIGNED_OUT, Site, error_code, run_site

from gateway.testing import Page

GERMAN: Final = {"Accept-Language": "de-DE,de;q=0.9,en;q=0.8"}
FORM: Final = {
    "Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html", "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
}  # fmt: skip
Headers = Mapping[str, str]


def choose(site: Site, language: Headers) -> Page:
    return site.browser.navigate(f"{ORIGIN}/oauth2/sign_in", headers=language)


def fail(site: Site, language: Headers) -> Page:
    return site.browser.navigate(f"{ORIGIN}/oauth2/callback?error=access_denied", headers=language)


def ask_nobody(site: Site, language: Headers) -> Page:
    return site.browser.request("TRACE", f"{ORIGIN}/oauth2/start", headers={"Accept": "text/html", **language})


def land(site: Site, language: Headers) -> Page:
    return site.browser.navigate(SIGNED_OUT, headers=language)


def confirm(site: Site, language: Headers) -> Page:
    site.sign_in()
    return site.browser.get(SIGN_OUT, headers={"Accept": "text/html", **language})


def confirm_local(site: Site, language: Headers) -> Page:
    site.sign_in()
    return site.browser.get(f"{SIGN_OUT}?local=true", headers={"Accept": "text/html", **language})


def sign_out(site: Site, language: Headers) -> Page:
    site.sign_in()
    return site.browser.navigate(SIGN_OUT, headers=language, follow=False)


def send_form(site: Site, language: Headers) -> Page:
    body = urlencode({"a": "b"}).encode()
    return site.browser.post(f"{ORIGIN}/kept/form", body, headers={**FORM, **language}, follow=False)


def send_form_again(site: Site, language: Headers) -> Page:
    send_form(site, {})
    return site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/oauth2/form", headers=language)


def keep_fragment(site: Site, language: Headers) -> Page:
    return site.browser.navigate(f"{ORIGIN}/fragment", headers=language)


def find_upstream_down(site: Site, language: Headers) -> Page:
    site.sign_in()
    return site.browser.navigate(f"{ORIGIN}/down/page", headers=language)


KEPT: Final[Mapping[str, Any]] = {"routes": [{"path": "/kept/**", "keep_forms": True}]}
DOWN: Final[Mapping[str, Any]] = {"routes": [{"path": "/down/**", "upstream": "http://127.0.0.1:1"}]}
POSTED: Final[Mapping[str, Any]] = {"provider": {"logout": "form_post"}}
PAGES: Final = [
    pytest.param(choose, {}, 200, "Wie möchten Sie sich anmelden?", "How do you want to sign in?", id="chooser"),
    pytest.param(fail, {}, 403, "Die Anmeldung wurde abgelehnt", "The sign-in was refused", id="error"),
    pytest.param(
        ask_nobody, {}, 405, "Die Methode wird hier nicht angenommen", "The method is not accepted here", id="method"
    ),
    pytest.param(
        find_upstream_down, DOWN, 502, "Die Anwendung hinter dieser Website ist nicht erreichbar",
        "The application behind this site cannot be reached", id="upstream",
    ),
    pytest.param(land, {}, 200, "Sie sind abgemeldet", "You are signed out", id="signed-out"),
    pytest.param(
        confirm, {}, 200, "Sie sind als <strong>alice@op.example</strong> angemeldet. Beim Abmelden wird Ihre Sitzung "
        "hier und beim Anmeldedienst beendet.",
        "You are signed in as <strong>alice@op.example</strong>. Signing out ends your session here and at the sign-in "
        "service.", id="confirm",
    ),
    pytest.param(
        confirm_local, {}, 200, "Beim Abmelden wird Ihre Sitzung hier beendet.", "Signing out ends your session here.",
        id="confirm-local",
    ),
    pytest.param(
        sign_out, POSTED, 200, "Hier sind Sie abgemeldet", "You are signed out here", id="on-to-the-provider"
    ),
    pytest.param(send_form, KEPT, 401, "Bitte melden Sie sich erneut an", "Please sign in again", id="form-kept"),
    pytest.param(
        send_form_again, KEPT, 200, "Es wird an <strong>/kept/form</strong> gesendet.",
        "It goes to <strong>/kept/form</strong>.", id="form-again",
    ),
    pytest.param(
        keep_fragment, {"keep_fragment": True}, 200, "Sie werden zur Anmeldung weitergeleitet",
        "Taking you to the sign-in page", id="fragment",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("visit", "config", "status", "german", "english"), PAGES)
def test_each_page_is_in_the_language_that_is_asked_for(
    visit: Callable[[Site, Headers], Page], config: Mapping[str, Any], status: int, german: str, english: str
) -> None:
    for language, tag, text in (({}, "en", english), (GERMAN, "de", german)):
        with run_site(config) as site:
            page = visit(site, language)
        assert page.status == status
        assert text in page.text
        assert f'<html lang="{tag}" dir="ltr"' in page.text
        assert page.headers["Content-Language"] == tag
        assert page.headers.getlist("Vary") == ["Accept-Language"]
        assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("headers", "tag"),
    [
        pytest.param({"Accept-Language": "fr", "accept-language": "de"}, "de", id="two-fields"),
        pytest.param({"Accept-Language": "de;q=2"}, "en", id="quality-over-one"),
        pytest.param({"Accept-Language": "\xff\xfe,de;q=0.1"}, "de", id="not-ascii"),
        pytest.param({"Accept-Language": "q;=,\"*" * 1700}, "en", id="ten-kilobytes-of-junk"),
        pytest.param({"Accept-Language": "de,<script>"}, "de", id="markup"),
    ],
)  # fmt: skip
def test_odd_fields_cost_no_page(headers: Headers, tag: str) -> None:
    with run_site() as site:
        page = fail(site, headers)
    assert (page.status, error_code(page), page.headers["Content-Language"]) == (403, "op_access_denied", tag)


def test_codes_and_references_are_those_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with run_site() as site:
        page = fail(site, GERMAN)
    reference = re.search(r"<dt>Referenz</dt><dd>([0-9a-f]+)</dd>", page.text)
    assert reference is not None
    assert f"op_access_denied: error 'access_denied' without state (reference {reference[1]})" in caplog.text


def test_json_stays_english() -> None:
    with run_site() as site:
        page = site.browser.get(f"{ORIGIN}/oauth2/callback?error=access_denied", headers=GERMAN)
    assert page.json()["message"] == "The sign-in was refused"
    assert "Content-Language" not in page.headers
    assert "Vary" not in page.headers


def test_the_console_stays_english() -> None:
    with run_guarded_console() as site:
        site.sign_in()
        page = site.browser.navigate(GUARDED, headers=GERMAN)
    assert "<h1>Console</h1>" in page.text
    assert '<html lang="en"' in page.text
    assert page.headers["Content-Language"] == "en"


def test_an_origin_that_may_read_the_answer_varies_it_too() -> None:
    with run_site({"cors": {"origins": ["https://spa.example"]}}) as site:
        page = fail(site, GERMAN)
    assert page.headers.getlist("Vary") == ["Accept-Language", "Origin"]


def test_a_catalogue_of_theirs_counts_in_templates_of_theirs_and_of_ours(tmp_path: Path) -> None:
    place(tmp_path / "locales", "de", {"Code": "Kennwort", "Hello %(who)s": "Grüß <Gott>, %(who)s", "Support": "Hilfe"})
    place(tmp_path / "locales", "ar", {"You are signed out": "تم تسجيل خروجك"})
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "signed_out.html").write_text(
        '{% extends "gateway/signed_out.html" %}{% block head %}'
        "{% trans who='<b>' %}Hello {{ who }}{% endtrans %} {{ _('Support') }} {{ lang }} {{ dir }}{% endblock %}",
        encoding="utf-8",
    )
    with run_site({"templates": str(templates), "locales": str(tmp_path / "locales")}) as site:
        german, arabic = land(site, GERMAN), land(site, {"Accept-Language": "ar-EG"})
        failed = fail(site, GERMAN)
    assert "Grüß &lt;Gott&gt;, &lt;b&gt; Hilfe de ltr" in german.text
    assert "<h1>Sie sind abgemeldet</h1>" in german.text
    assert "Hello &lt;b&gt; Support ar rtl" in arabic.text
    assert '<html lang="ar" dir="rtl"' in arabic.text
    assert "<h1>تم تسجيل خروجك</h1>" in arabic.text
    assert "Sign in again" in arabic.text
    assert arabic.headers["Content-Language"] == "ar"
    assert "<dt>Kennwort</dt>" in failed.text


def test_a_template_that_fails_in_a_language_is_replaced_in_that_language(tmp_path: Path) -> None:
    (tmp_path / "signed_out.html").write_text("{% trans %}50{{ nobody }}{% endtrans %}", encoding="utf-8")
    with run_site({"templates": str(tmp_path)}) as site:
        page = land(site, GERMAN)
    assert "<h1>Sie sind abgemeldet</h1>" in page.text


def test_texts_of_the_page_are_those_that_were_read_at_the_start(tmp_path: Path) -> None:
    path = place(tmp_path, "de", {"Signed out": "Weg & fort"})
    with run_site({"locales": str(tmp_path)}) as site:
        path.unlink()
        page = land(site, GERMAN)
    title = re.search(r"<title>(.*)</title>", page.text)
    assert title is not None
    assert html.unescape(title[1]) == "Weg & fort"
