"""Catalogues of texts as gettext compiles them, of any content: what a translator's tools would refuse, too."""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

HEADER: Final = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"


def compiled(texts: Mapping[str, str], *, header: str = HEADER) -> bytes:
    """Compile texts, translations by message."""
    return compiled_pairs([("", header), *sorted(texts.items())])


def compiled_pairs(pairs: Iterable[tuple[str, str]], *, order: str = "<") -> bytes:
    """Compile pairs as they stand (GNU gettext 10.3)."""
    messages, translations = zip(*((one.encode(), other.encode()) for one, other in pairs), strict=True)
    count, tables, strings = len(messages), b"", b""
    first = 28 + 16 * count
    for each in (*messages, *translations):
        tables += struct.pack(f"{order}2I", len(each), first + len(strings))
        strings += each + b"\0"
    return struct.pack(f"{order}7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0) + tables + strings


def place(directory: Path, language: str, catalogue: bytes | Mapping[str, str]) -> Path:
    """Put a catalogue where a gateway looks for it, and return its path."""
    path = directory / language / "LC_MESSAGES" / "gateway.mo"
    path.parent.mkdir(parents=True)
    path.write_bytes(catalogue if isinstance(catalogue, bytes) else compiled(catalogue))
    return path
