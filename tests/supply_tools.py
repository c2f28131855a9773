"""The tools that look after dependencies and examples, in an environment of their own."""

from pathlib import Path
from typing import Final

ENVIRONMENT: Final = Path(__file__).resolve().parent.parent / "build" / ".supply"


def tool(name: str) -> Path:
    """Return the path of one tool."""
    return ENVIRONMENT / "bin" / name


def find_missing_supply() -> str | None:
    """Return what is missing to run the tools, or None."""
    return None if tool("pip-audit").exists() else "the tools are missing: make build/.supply"
