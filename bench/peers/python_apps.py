"""The two apps in Python, under the server and with the threads that our WSGI face has."""

from __future__ import annotations

import subprocess
from typing import Final

from bench.peers.peer import BENCH, CLIENT_ID, CLIENT_SECRET, PROGRAMS, SECRET, Peer, Place
from bench.processes import LOOPBACK, Command

_GTHREAD: Final = ("-k", "gthread", "-w", "1", "--threads", "32", "--keep-alive", "15", "--no-control-socket")


def _command(place: Place, app: str) -> Command:
    argv = [str(PROGRAMS / "python"), "-m", "gunicorn", *_GTHREAD, "-b", f"{LOOPBACK}:{place.port}"]
    env = {
        "UPSTREAM": f"http://{place.backend}",
        "ISSUER": place.issuer,
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "SECRET": SECRET,
    }
    return Command(argv=[*argv, "--chdir", str(BENCH / "peers"), app], env=env)


def _launch_flask(place: Place) -> Command:
    return _command(place, "flask_app:create_app()")


def _launch_urllib3(place: Place) -> Command:
    return _command(place, "urllib3_app:create_app()")


def _versions(*packages: str) -> str:
    code = "import sys, importlib.metadata as m; print(', '.join(f'{p} {m.version(p)}' for p in sys.argv[1:]))"
    argv = [str(PROGRAMS / "python"), "-c", code, *packages]
    seen = subprocess.run(argv, capture_output=True, text=True, check=True)
    return seen.stdout.strip()


FLASK: Final = Peer(
    name="flask",
    title="Flask + Authlib + requests",
    launch=_launch_flask,
    version=lambda: _versions("flask", "authlib", "requests", "gunicorn"),
)
URLLIB3: Final = Peer(
    name="urllib3",
    title="bare urllib3 proxy, no login",
    launch=_launch_urllib3,
    version=lambda: _versions("urllib3", "gunicorn"),
    signs_in=False,
)
