"""What the environment says to the server: each word that cannot be is told in one line, and nothing is served."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config_sources import ConfigurationError
from gateway.server_environment import read_server_environment

HONEST = {"BIND": "0.0.0.0:8080", "WEB_CONCURRENCY": "3", "DRAIN_SECONDS": "10"}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(HONEST, ("0.0.0.0:8080", 3, 10), id="all"),
        pytest.param({"WEB_CONCURRENCY": "1"}, ("127.0.0.1:4180", 1, 0), id="defaults"),
        pytest.param({"WEB_CONCURRENCY": " 2 "}, ("127.0.0.1:4180", 2, 0), id="spaces-around-a-number"),
        pytest.param({**HONEST, "BIND": ""}, ("127.0.0.1:4180", 3, 10), id="empty-is-unsaid"),
        pytest.param({**HONEST, "BIND": "[::]:80,:81"}, ("[::]:80,:81", 3, 10), id="several-places"),
        pytest.param({**HONEST, "BIND": "unix:/run/a.sock"}, ("unix:/run/a.sock", 3, 10), id="socket"),
        pytest.param({**HONEST, "BIND": "localhost:0"}, ("localhost:0", 3, 10), id="any-port"),
    ],
)
def test_what_is_said(environ: Mapping[str, str], expected: tuple[str, int, int]) -> None:
    told = read_server_environment(environ)
    assert (told.bind, told.workers, told.drain_seconds) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            pytest.param("WEB_CONCURRENCY", value, id=f"workers-{value}")
            for value in ("0", "-1", "1e3", "10000", "two", "2.0", "٢", "1 2", "9" * 5000)
        ],
        *[pytest.param("DRAIN_SECONDS", value, id=f"drain-{value}") for value in ("-1", "5s", "86400")],
        *[
            pytest.param("BIND", value, id=f"bind-{value}")
            for value in ("8080", "localhost", "127.0.0.1:abc", "127.0.0.1:65536", "::1:80", "a b:80", "unix:", "a:1,b")
        ],
    ],
)
def test_what_cannot_be_is_told_in_a_line(name: str, value: str) -> None:
    read_server_environment(HONEST)
    with pytest.raises(ConfigurationError) as caught:
        read_server_environment({**HONEST, name: value})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}: must be ")


def test_all_of_it_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_server_environment({"BIND": "x", "WEB_CONCURRENCY": "0", "DRAIN_SECONDS": "x"})
    assert [one.partition(":")[0] for one in caught.value.problems] == ["BIND", "WEB_CONCURRENCY", "DRAIN_SECONDS"]


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        # What is no number, gunicorn itself answers with a traceback where it is started without us.
        pytest.param(["gateway", "serve"], {"WEB_CONCURRENCY": "1e3"}, id="serve-workers"),
        pytest.param(["gateway", "serve"], {"BIND": "8080"}, id="serve-bind"),
        pytest.param(["gateway", "serve", "--bind", "8080"], {}, id="serve-option"),
        pytest.param(["gunicorn", "-c", "python:gateway.gunicorn_conf"], {"WEB_CONCURRENCY": "0"}, id="gunicorn"),
    ],
)
def test_one_line_and_exit_code_2(command: list[str], environ: Mapping[str, str], tmp_path: Path) -> None:
    outer = {name: value for name, value in os.environ.items() if name not in ("BIND", "WEB_CONCURRENCY")}
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**outer, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1), ran.stderr
    assert ran.stderr.startswith(("WEB_CONCURRENCY: must be ", "BIND: must be ", "--bind: must be "))
