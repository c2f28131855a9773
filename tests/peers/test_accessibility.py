"""Every page in Chromium, light and dark, from a small phone to a desktop: axe-core, the keyboard, forced colours."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Browser, Page

from .axe_core import broken_rules
from .gallery import ACTIONS, Gallery, run_gallery

Theme = Literal["light", "dark"]

USERS_PAGES: Final = (
    "chooser", "fragment", "form_kept", "form_again", "sign_out", "sign_out-german", "sign_out-local",
    "end_session", "signed_out", "error-cancelled", "error-unverified", "error-denied", "error-malformed", "error-down",
)  # fmt: skip
CONSOLES: Final = ("console-signed-out", "console-failed", "console", "console-two-providers")
RESULTS: Final = ("console-refused", "console-token", "console-upstream", *(f"console-{one}" for one in ACTIONS))
DEMONSTRATION: Final = ("provider", "sample")
WHOLE: Final = (*USERS_PAGES, *CONSOLES, *DEMONSTRATION)
SCOPES: Final = {
    **dict.fromkeys(WHOLE, "html"),
    **dict.fromkeys(RESULTS, "#result"),
    "console-failed": "#logins",
    "console-two-providers": "#sign-in",
}
"""Where the rules look: the rest of the console is that of `console` and `console-signed-out`."""

SIZES: Final = {"small phone": (320, 568), "phone": (390, 844), "desktop": (1280, 800)}
THEMES: Final = [pytest.param(theme, id=theme) for theme in ("light", "dark")]
UNFOLD: Final = """() => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  for (const one of document.querySelectorAll("noscript")) one.outerHTML = one.textContent;
}"""
"""Shows what is folded away, and what those see whose browser runs no scripts."""

FOCUSABLE: Final = """() => [...document.querySelectorAll("a, button, input, select, textarea, summary, [tabindex]")]
  .filter(one => one.type !== "hidden" && one.checkVisibility()).map(one => one.outerHTML)"""
FOCUSED: Final = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  return [one.outerHTML, style.outlineStyle, parseFloat(style.outlineWidth)];
}"""
BORDERLESS: Final = """() => {
  const has = one => one.borderTopStyle === "solid" && one.borderTopColor !== one.backgroundColor;
  return [...document.querySelectorAll(".button, input[type=text], select, textarea")]
    .filter(one => !has(getComputedStyle(one))).map(one => one.outerHTML);
}"""

pytestmark = [pytest.mark.real("chromium", "axe"), pytest.mark.slow]


@pytest.fixture(scope="module")
def gallery() -> Iterator[Gallery]:
    with run_gallery() as gallery:
        yield gallery


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context() as context:
        yield context.new_page()


@pytest.fixture
def forced(chromium: Browser) -> Iterator[Page]:
    """A page for who has colours of their own and wants nothing to move."""
    with chromium.new_context(forced_colors="active", reduced_motion="reduce") as context:
        yield context.new_page()


def show(page: Page, gallery: Gallery, name: str) -> None:
    page.goto(f"{gallery.origin}/{name}")
    page.evaluate(UNFOLD)


def test_no_page_is_left_out(gallery: Gallery) -> None:
    assert sorted(SCOPES) == sorted(gallery.pages)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in SCOPES])
def test_a_page_breaks_no_rule_and_does_not_scroll_sideways(
    page: Page, gallery: Gallery, name: str, theme: Theme
) -> None:
    page.emulate_media(color_scheme=theme)
    show(page, gallery, name)
    found = {}
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        found[size] = (
            broken_rules(page, SCOPES[name]),
            page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
        )
    assert found == dict.fromkeys(SIZES, ([], True))


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        pytest.param('html => html.removeAttribute("lang")', "html-has-lang", id="no language"),
        pytest.param('html => html.querySelector("h1").style.color = "#bbb"', "color-contrast", id="pale text"),
        pytest.param('html => html.querySelector("label").outerHTML = "<input>"', "label", id="no label"),
        pytest.param('html => html.querySelector("main").outerHTML = "Text"', "landmark-one-main", id="no main part"),
        pytest.param(
            'html => html.querySelector("meta[name=viewport]").content += ", user-scalable=no"',
            "meta-viewport",
            id="no zoom",
        ),
    ],
)
def test_a_fault_would_be_found(page: Page, gallery: Gallery, fault: str, rule: str) -> None:
    page.emulate_media(color_scheme="light")
    show(page, gallery, "console-signed-out")
    assert broken_rules(page) == []
    page.locator("html").evaluate(fault)
    assert rule in {found for found, _ in broken_rules(page)}


def focused(page: Page) -> tuple[str, bool]:
    """Tell which element has the focus, and whether one sees it."""
    found: Any = page.evaluate(FOCUSED)
    html, style, width = found
    return str(html), style != "none" and width >= 2


def walk(page: Page, key: str, steps: int) -> list[tuple[str, bool]]:
    """Press a key so many times; where each led."""
    found = []
    for _ in range(steps):
        page.keyboard.press(key)
        found.append(focused(page))
    return found


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in WHOLE])
def test_the_keyboard_reaches_every_control_and_the_focus_shows(page: Page, gallery: Gallery, name: str) -> None:
    show(page, gallery, name)
    controls = [(html, True) for html in page.evaluate(FOCUSABLE)]
    *forth, beyond = walk(page, "Tab", len(controls) + 1)
    assert forth == controls
    assert beyond not in controls[1:]  # Out of the page, which a headless browser may leave for its beginning.
    back = [step for step in walk(page, "Shift+Tab", len(controls) + 1) if step in controls]
    assert back[: len(controls)] == controls[::-1]


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in (*USERS_PAGES, *CONSOLES)])
def test_with_forced_colours_and_no_motion_buttons_and_focus_stay_visible(
    forced: Page, gallery: Gallery, name: str
) -> None:
    show(forced, gallery, name)
    assert forced.evaluate(BORDERLESS) == []
    assert forced.evaluate("document.getAnimations().length") == 0
    controls = forced.evaluate(FOCUSABLE)
    assert walk(forced, "Tab", len(controls)) == [(html, True) for html in controls]
