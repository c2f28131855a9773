"""The Dockerfile, read as far as ours goes, and its build done by hand where there is no engine."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
UID: Final = 10001
PREFIX: Final = "/opt/gateway"
BUILD_SECONDS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction of a stage, its continued lines joined."""

    stage: int
    word: str
    rest: str

    @property
    def argv(self) -> list[str]:
        """The command in its exec form; the shell's form raises `ValueError`."""
        argv: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return argv


def instructions() -> list[Instruction]:
    """Read the Dockerfile; what stands before the first FROM is stage -1."""
    lines = [one for one in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if not one.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    read: list[Instruction] = []
    stage = -1
    for line in filter(None, joined.splitlines()):
        word, _, rest = line.partition(" ")
        stage += word == "FROM"
        read.append(Instruction(stage=stage, word=word, rest=rest))
    return read


def final(word: str) -> list[Instruction]:
    """Return the instructions of one kind in the stage that is the image."""
    read = instructions()
    return [one for one in read if one.word == word and one.stage == read[-1].stage]


def environment_of_image() -> dict[str, str]:
    """Return what ENV sets, without the PATH."""
    pairs = (pair.partition("=") for one in final("ENV") for pair in one.rest.split())
    return {name: value for name, _, value in pairs if name != "PATH"}


def reaches_the_build(path: str) -> bool:
    """Tell whether .dockerignore lets a file of the repository through: the last pattern that fits it decides."""
    through = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        parts = path.split("/")
        anywhere = line.startswith("**/") and any(fnmatch(part, pattern) for part in parts)
        if pattern == "**" or anywhere or fnmatch(parts[0], pattern):
            through = line.startswith("!")
    return through


def build(place: Path) -> Path:
    """Do what the build stage does, below `place`, with a fresh environment for its Python; return the made one."""
    subprocess.run([sys.executable, "-m", "venv", str(place / "base")], check=True, timeout=BUILD_SECONDS)
    source, made = place / "src", place / "gateway"
    for one in (one for one in instructions() if one.stage == 0):
        if one.word == "COPY":
            _copy(one.rest.split(), source)
        elif one.word == "RUN":
            argv = [word.replace(PREFIX, str(made)) for word in one.argv]
            _run([str(place / "base" / "bin" / argv[0]), *argv[1:]], source)
    return made


def _copy(words: Sequence[str], source: Path) -> None:
    *names, target = words
    for name in names:
        given = ROOT / name
        files = [given] if given.is_file() else [path for path in given.rglob("*") if path.is_file()]
        for file in (file for file in files if reaches_the_build(str(file.relative_to(ROOT)))):
            inner = file.name if given.is_file() else str(file.relative_to(given))
            path = source / target / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, path)


def _run(argv: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(
        argv, cwd=cwd, env=_outer(), capture_output=True, text=True, check=False, timeout=BUILD_SECONDS
    )
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"


def _outer() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "PYTHON"))}


def environment(made: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of the image's command, with `settings` over what the image sets."""
    path = f"{made}/bin{os.pathsep}{os.defpath}"
    return {"PATH": path, "HOME": "/nonexistent", **environment_of_image(), **settings}


def confined(argv: Sequence[str], made: Path) -> list[str]:
    """Have a command run as the user of the image; where that one cannot read Python, as root that may do nothing."""
    if os.geteuid() != 0:
        return list(argv)
    nobody = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"]
    powerless = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]
    return [*(nobody if _version(nobody, made) == _version([], made) else powerless), *argv]


def _version(before: Sequence[str], made: Path) -> str:
    # A Python below /root is another one, or none, for others.
    asked = [*before, str(made / "bin/python"), "-c", "import sys; print(sys.version)"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout
