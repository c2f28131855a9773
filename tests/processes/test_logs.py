"""Whatever is sent to a gateway, each line of its stderr is a line of its log: gunicorn's own words, too."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from peers.servers import LOOPBACK, free_port, port_answers, wait_until_ready

from .running import TESTS, Connection, Face, environment, origin_at, run_gateway

pytestmark = pytest.mark.slow

ODD = (
    b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: \x1b]0;x\x07\r\n\r\n",
    b"G\xe2\x80\xa8ET /\xff HTTP/1.1\r\n\r\n",
    b"GET /a%0a%1b[2J HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nX-\x1b[31m: forged\r\n2027 INFO: forged\r\n\r\n",
    b'{"time":"2027","message":"forged"}\r\n\r\n',
)


def test_every_line_on_stderr_is_json(tmp_path: Path, face: Face) -> None:
    port = free_port()
    origin = origin_at(port)
    settings = {"LOGS__FORMAT": "json", "UPSTREAM": origin_at(free_port())}
    with run_gateway(tmp_path, port, environment(origin, "http://127.0.0.1:1", settings), workers=1, face=face) as pid:
        for request in ODD:
            with socket.create_connection((LOOPBACK, port), 10) as sock, suppress(OSError):
                sock.sendall(request)
                sock.recv(1 << 16)
        with Connection(origin) as connection:
            assert connection.get("/home").status == 401
        os.kill(pid, signal.SIGTERM)
    lines = (tmp_path / f"gunicorn-{port}.log").read_bytes().decode().splitlines()
    members = [json.loads(line) for line in lines]
    assert {"time", "level", "logger", "message", "request_id", "pid"} <= set.intersection(*map(set, members))
    said = [member["message"] for member in members if member["logger"] == "gunicorn.error"]
    assert any(message.startswith("Booting worker") for message in said)
    assert any("Shutting down" in message for message in said)
    assert [member for member in members if member["message"] == "forged"] == []
    paths = [member["path"] for member in members if member["logger"] == "gateway.access"]
    assert paths.count("/home") == 1
    assert "/a%0a%1b[2J" in paths
    assert "/ping" not in paths
    refused = [member["message"] for member in members if member["logger"] == "gateway"]
    assert any("target_malformed" in message for message in refused)
    if face == "threads":
        assert any(message.startswith("Invalid request from ip=") for message in said)


REQUESTS = 500


def test_a_log_that_nobody_reads_stops_no_request_and_is_whole_in_the_end(tmp_path: Path) -> None:
    port = free_port()
    origin = origin_at(port)
    environ = environment(origin, "http://127.0.0.1:1", {"LOGS__FORMAT": "json", "UPSTREAM": origin_at(free_port())})
    command = [sys.executable, "-m", "gunicorn", "-c", str(TESTS.parent / "gunicorn.conf.py"), "-w", "1"]
    with subprocess.Popen(
        [*command, "-b", f"{LOOPBACK}:{port}"], env=environ, cwd=tmp_path, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_until_ready(
                process, ready=lambda: port_answers(port), name="gunicorn", log_path=tmp_path / "none", timeout=30
            )
            with Connection(origin) as connection:
                # More than a pipe has room for.
                statuses = [connection.get(f"/home/{number}").status for number in range(REQUESTS)]
        finally:
            process.terminate()
        _, written = process.communicate(timeout=30)
    assert set(statuses) == {401}
    members = [json.loads(line) for line in written.decode().splitlines()]
    paths = [member["path"] for member in members if member["logger"] == "gateway.access"]
    assert paths == [f"/home/{number}" for number in range(REQUESTS)]
    assert process.returncode == 0
