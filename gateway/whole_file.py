"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

PRIVATE = 0o600
READABLE = 0o644


def write_whole(path: Path, text: str, *, mode: int = PRIVATE, replace: bool = True) -> None:
    """Write a file with that mode; the old one stays until the new one is whole.

    The directory is made, for our eyes alone. Raises `FileExistsError` for a file that is there where `replace` is
    false, and `OSError`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # Its mode is 0600.
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(mode)
        if replace:
            Path(name).replace(path)
        else:
            path.hardlink_to(name)  # Fails where something is there, and writes over nothing in between.
    finally:
        Path(name).unlink(missing_ok=True)
