"""The rules of accessibility of npm's axe-core, run by the driver in the page that Chromium shows."""

from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Page

DIRECTORY: Final = Path(__file__).resolve().parent / "axe"
SOURCE: Final = DIRECTORY / "node_modules" / "axe-core" / "axe.min.js"
RUN: Final = """async scope => {
  const rules = {"target-size": {enabled: true}};
  const told = await axe.run(scope, {resultTypes: ["violations", "incomplete"], rules});
  return [...told.violations, ...told.incomplete].flatMap(rule => rule.nodes.map(node => [rule.id, node.html]));
}"""
"""All rules that are on by default, among them the best practices, and the size of targets (WCAG 2.2, 2.5.8)."""


def find_missing() -> str | None:
    """Return what is missing to run the rules and how to install it, or None."""
    return None if SOURCE.exists() else f"node_modules is missing: run `npm ci` in {DIRECTORY}"


def broken_rules(page: Page, scope: str = "html") -> list[tuple[str, str]]:
    """Return the rules that a page breaks, or may break, below a selector, each with the element that does.

    The driver evaluates the rules, so that the page's own policy is as it is for everybody.
    """
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(SOURCE.read_text(encoding="utf-8"))
    found: Any = page.evaluate(RUN, scope)
    return [(str(rule), str(html)) for rule, html in found]
