"""Pages of docs/ that hold figures between two marks."""

from pathlib import Path


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Replace what stands between two marks of a page; raises `ValueError` where one of them is missing."""
    old = page.read_text(encoding="utf-8")
    page.write_text(f"{old[: old.index(begin) + len(begin)]}{text}{old[old.index(end) :]}", encoding="utf-8")
