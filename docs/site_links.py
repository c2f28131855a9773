"""For the site: what of the repository is no page of it is named there, and not linked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "architecture.md", "examples/README.md": "recipes/proxies.md"}
"""Which files of the repository have a page in the site that says the same."""

_UPWARDS = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s#:]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links out of docs/ into links to pages, or into names."""
    return _UPWARDS.sub(lambda link: _shown(link, page.file.src_uri), markdown)


def _shown(link: re.Match[str], page: str) -> str:
    target = (ROOT / "docs" / page).parent.joinpath(link[2]).resolve()
    if target.is_relative_to(ROOT / "docs"):
        return link[0]
    name = target.relative_to(ROOT).as_posix()
    if name in PAGES:
        return f"[{link[1]}]({'../' * page.count('/')}{PAGES[name]}{link[3] or ''})"
    return link[1]
