"""The gateway that speaks TLS itself, in both faces."""

import datetime
import http.client
import json
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Final

import pytest
from peers.servers import free_port, port_answers, run_process
from peers.websocket import TEXT, Client, run_server

from gateway.devtls import localhost_certificate

from .running import FACES, SECONDS, TESTS, Face, environment, run_echo, run_provider

SILENT: Final = 20
MIB: Final = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A gateway that anyone may pass."""

    port: int
    context: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        """Make a connection that is opened by the first request."""
        return http.client.HTTPSConnection("localhost", self.port, timeout=SECONDS, context=self.context)


@pytest.fixture(scope="module")
def site(face: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory, port = tmp_path_factory.mktemp("tls"), free_port()
    files = localhost_certificate(directory, datetime.datetime.now(datetime.UTC))
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([f"https://localhost:{port}"], {"alice": {}}))
        server = stack.enter_context(run_server())
        routes = [
            {"path": "/echo", "access": "public", "upstream": server.origin},
            {"path": "/**", "access": "public"},
        ]
        settings = {"ROUTES": json.dumps(routes), "UPSTREAM": stack.enter_context(run_echo(directory))}
        environ = {
            **environment(f"https://localhost:{port}", provider.issuer, settings),
            "WORKER_CLASS": FACES[face],
            "GUNICORN_CMD_ARGS": f"--certfile {files.certificate} --keyfile {files.key}",
        }
        argv = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "1"]
        stack.enter_context(
            run_process(
                [*argv, "-c", str(TESTS.parent / "gunicorn.conf.py")],
                env={**os.environ, **environ},
                cwd=directory,
                ready=lambda: port_answers(port),
                name="gunicorn",
                log_path=directory / "gunicorn.log",
            )
        )
        context = ssl.create_default_context(cafile=str(files.certificate))
        yield Site(port=port, context=context)


def test_requests_follow_each_other_on_one_connection(site: Site, face: Face) -> None:
    if face == "threads":
        pytest.skip("gunicorn's threads drop a TLS connection between two requests now and then")
    with closing(site.connect()) as connection:
        for size in (0, MIB, 0):
            connection.request("POST" if size else "GET", "/page", body=bytes(size) or None)
            answer = connection.getresponse()
            shown = json.loads(answer.read())
            assert (answer.status, shown["target"]) == (200, "/page")
            assert shown["fields"]["x-forwarded-proto"] == "https"


def test_a_websocket_passes(site: Site) -> None:
    headers = {"Origin": f"https://localhost:{site.port}"}
    with Client(f"https://localhost:{site.port}", "/echo", headers, context=site.context) as client:
        for text in (b"one", bytes(MIB)):
            client.send(TEXT, text)
            assert client.receive().payload == text


def test_who_speaks_no_tls_or_nothing_gets_no_answer_and_keeps_nobody_out(site: Site) -> None:
    with ExitStack() as stack:
        for _ in range(SILENT):
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=SECONDS))
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=SECONDS))
        plain.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")
        connection = stack.enter_context(closing(site.connect()))
        connection.request("GET", "/page")
        assert connection.getresponse().status == 200
        received = plain.recv(65536)
        assert b"HTTP/1.1 200" not in received
