"""What the gateways put out, where secrets are looked for: logs, answers, the store at rest, command lines, files."""

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from processes.outages import workers_of
from processes.running import Connection

from .site import Site

STORE: Final = "redis/appendonlydir/*"
LEFT: Final = ("gunicorn-*.log", "rough_origin.log", "redis/*")
"""The files that a run leaves; any other, a core or a dump of a failure, is a problem."""

TOLD_TO_ITS_OWN: Final[Mapping[str, Sequence[str]]] = {
    "proxy 202": ("email of a user", "name of a user", "API key"),
    "renew 200": ("email of a user", "name of a user"),
}
"""Answers that tell users about themselves, and their proxies what the upstream is to get; never a token."""

_TRACE: Final = (b"Traceback (most recent call last)", b"an error that nobody foresaw")


def command_lines(site: Site) -> dict[str, bytes]:
    """Read the command lines of all processes of the gateways, which everybody on the machine may."""
    processes = [process for master in site.masters for process in (master, *workers_of(master))]
    return {f"command line of {one}": Path(f"/proc/{one}/cmdline").read_bytes() for one in processes}


def metrics(site: Site) -> dict[str, bytes]:
    """Read the numbers that each gateway tells."""
    told = dict[str, bytes]()
    for origin in site.metrics:
        with Connection(origin) as connection:
            answer = connection.get("/metrics")
        assert answer.status == 200
        told[f"metrics at {origin}"] = answer.body
    return told


def files(directory: Path) -> dict[str, bytes]:
    """Read whatever was written: logs, the store, and what else may be there."""
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def strangers(written: Mapping[str, bytes]) -> list[str]:
    """List files that should not be there, and failures that nobody foresaw in those that should."""
    odd = [f"left behind: {name}" for name in written if not any(fnmatch(name, known) for known in LEFT)]
    logs = {name: text for name, text in written.items() if fnmatch(name, "gunicorn-*.log")}
    return [*odd, *(f"{name}: {trace.decode()}" for name, text in logs.items() for trace in _TRACE if trace in text)]


def leaks(site: Site, told: Mapping[str, Sequence[bytes]], written: Mapping[str, bytes]) -> Iterator[str]:
    """Search all of it."""
    for place, text in written.items():
        yield from site.canaries.find(place, text, text=not fnmatch(place, STORE))
    for what, answers in told.items():
        expected = TOLD_TO_ITS_OWN.get(what.strip(), ())
        for found in site.canaries.find(what, b"\n".join(answers)):
            if not any(kind in found for kind in expected):
                yield found
