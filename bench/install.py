"""Installs the peers that are missing: Debian's as packages, those of PyPI into an environment beside this file."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.peers.peer import BENCH, PROGRAMS
from bench.processes import BenchError, find

_MODULE: Final = Path("/usr/lib/apache2/modules/mod_auth_openidc.so")
_DEBIAN: Final = {
    "wrk": ("wrk",),
    "nginx": ("nginx-light",),
    "redis-server": ("redis-server",),
    "apache2": ("apache2-bin",),
}
"""Packages by program. `apache2-bin` is the server without a service that would start on port 80."""

_REQUIREMENTS: Final = BENCH / "requirements.txt"
_INSTALLED: Final = PROGRAMS.parent / ".installed"


def install(tell: Callable[[str], None]) -> None:
    """Install what is missing, as root or through sudo; raises `BenchError` where that fails."""
    packages = [package for program, several in _DEBIAN.items() if find(program) is None for package in several]
    if not _MODULE.exists():
        packages.append("libapache2-mod-auth-openidc")
    if packages:
        tell(f"installing {', '.join(packages)}")
        _install_debian(packages)
    wanted = _REQUIREMENTS.read_text(encoding="utf-8")
    if not _INSTALLED.exists() or _INSTALLED.read_text(encoding="utf-8") != wanted:
        tell(f"installing {_REQUIREMENTS.name} into {PROGRAMS.parent}")
        venv.create(PROGRAMS.parent, with_pip=True, clear=True)
        flags = ["-q", "--disable-pip-version-check", "--require-hashes", "-r", str(_REQUIREMENTS)]
        _call([str(PROGRAMS / "python"), "-m", "pip", "install", *flags])
        _INSTALLED.write_text(wanted, encoding="utf-8")


def _install_debian(packages: list[str]) -> None:
    if find("apt-get") is None:
        raise BenchError(f"install {', '.join(packages)} first: this is not Debian")
    outer = [] if os.geteuid() == 0 else ["sudo"]
    _call([*outer, "apt-get", "update", "-qq"])
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    _call([*outer, *quiet, *packages])


def _call(argv: list[str]) -> None:
    if subprocess.run(argv, stdout=sys.stderr, check=False).returncode != 0:
        raise BenchError(f"failed: {' '.join(argv)}")
