"""Write docs/screenshots from the pages that the browser tests look at: `make screenshots`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from playwright.sync_api import Page

from .browser import run_browser
from .gallery import run_gallery

DIRECTORY: Final = Path(__file__).resolve().parents[2] / "docs" / "screenshots"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """What is shown of a page of the gallery: from the first element that fits `top`, in CSS pixels."""

    page: str
    width: int
    height: int
    theme: Literal["light", "dark"] = "light"
    top: str = "html"


SHOTS: Final = {
    "chooser": Shot(page="chooser", width=340, height=480),
    "sign-out": Shot(page="sign_out", width=340, height=480, theme="dark"),
    "error": Shot(page="error-cancelled", width=680, height=490),
    "form": Shot(page="form_again", width=680, height=430, theme="dark"),
    "console": Shot(page="console", width=900, height=490),
    "console-failed-sign-in": Shot(page="console-failed", width=900, height=580, top=".lanes"),
    "console-upstream": Shot(page="console-upstream", width=900, height=560, theme="dark", top="#result"),
    "console-phone": Shot(page="console", width=340, height=560, theme="dark", top="#tokens"),
}
"""By the names of the files. Small windows, so that each file is below 60 kB."""


def take(page: Page, origin: str, name: str, shot: Shot) -> None:
    """Write one file."""
    page.set_viewport_size({"width": shot.width, "height": shot.height})
    page.emulate_media(color_scheme=shot.theme)
    page.goto(f"{origin}/{shot.page}")
    page.locator(shot.top).first.evaluate("one => one.scrollIntoView()")
    page.screenshot(path=DIRECTORY / f"{name}.png")


def main() -> None:
    """Write them all."""
    DIRECTORY.mkdir(exist_ok=True)
    with run_gallery() as gallery, run_browser() as browser:
        page = browser.new_page()
        for name, shot in SHOTS.items():
            take(page, gallery.origin, name, shot)


if __name__ == "__main__":
    main()
