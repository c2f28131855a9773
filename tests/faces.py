"""Which test modules ask the gateway through its face, read from their imports: all others see but one face of it."""

import ast
from collections.abc import Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent

WAYS: Final[Mapping[Path, Set[str]]] = {
    TESTS / "harness.py": {"face_of", "run_site", "Site"},
    TESTS / "raw_origin.py": {"upstream", "upstream_of"},
}
"""What gives a gateway or an upstream, in the lane where that is wanted; a test with a `site` names the type of it."""


@cache
def has_face(module: Path) -> bool:
    """Tell whether a module of the tests comes to one of these ways, by whatever it imports."""
    return any(
        bool(names & WAYS[imported]) if imported in WAYS else has_face(imported)
        for imported, names in _imported(module)
    )


def _imported(module: Path) -> Iterator[tuple[Path, Set[str]]]:
    """List the modules of the tests that one imports, and which of their names."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [(_file(TESTS, alias.name), set().union(*WAYS.values())) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            root = module.parents[node.level - 1] if node.level else TESTS
            package = node.module or ""
            found = [(_file(root, package), names), *((_file(root, f"{package}.{name}"), names) for name in names)]
        else:
            continue
        yield from ((path, names) for path, names in found if path.is_file())


def _file(root: Path, name: str) -> Path:
    return root.joinpath(*name.split(".")).with_suffix(".py")
