"""The demonstration: a provider, a sample app without a login, and the gateway before it, on localhost."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from wsgiref.types import WSGIApplication

import requests
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.testing import FakeClient, FakeProvider
from gateway.testing.sample import sample_app

LOOPBACK = "127.0.0.1"
READY_SECONDS = 20
END_SECONDS = 10

USERS: Mapping[str, Mapping[str, object]] = {
    "alice": {
        "name": "Alice Example",
        "email": "alice@example.com",
        "email_verified": True,
        "preferred_username": "alice",
        "groups": ["staff", "admins"],
    },
    "bob": {
        "name": "Bob Example",
        "email": "bob@example.com",
        "email_verified": True,
        "preferred_username": "bob",
        "groups": ["staff"],
    },
}


class DemoFailed(Exception):
    """The demonstration could not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A demonstration that runs: where the gateway, the provider and the unprotected app are."""

    url: str
    issuer: str
    upstream: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the gateway ends."""
        self.process.wait()


@contextmanager
def run_demo(*, port: int) -> Iterator[Demo]:
    """Run provider, sample app and gateway until the end of the block; `port` is the gateway's, 0 for any.

    Raises `DemoFailed`.
    """
    port = _free_port(port)
    url, redirect = f"http://localhost:{port}", f"http://localhost:{port}/oauth2"
    secret = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory(prefix="gateway-demo-") as directory, _serving(sample_app) as upstream_port:
        client = FakeClient(
            client_id="demo",
            client_secret=secret,
            redirect_uris=[f"{redirect}/callback"],
            post_logout_redirect_uris=[f"{redirect}/signed_out"],
        )
        with _provider(client) as issuer:
            upstream = f"http://{LOOPBACK}:{upstream_port}"
            environ = _environment(url, upstream, issuer, secret, directory)
            with _gateway(environ, port) as process:
                yield Demo(url=url, issuer=issuer, upstream=upstream, process=process)


def _environment(url: str, upstream: str, issuer: str, secret: str, directory: str) -> dict[str, str]:
    # The whole configuration by environment: no file of the working directory takes part in it.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    empty = Path(directory, "config.yaml")
    empty.write_text("{}\n", encoding="utf-8")
    return {
        **inherited,
        "GATEWAY_CONFIG": str(empty),
        "GATEWAY_PUBLIC_URL": url,
        "GATEWAY_UPSTREAM": upstream,
        "GATEWAY_PROVIDER__ISSUER": issuer,
        "GATEWAY_PROVIDER__CLIENT_ID": "demo",
        "GATEWAY_PROVIDER__CLIENT_SECRET": secret,
        "GATEWAY_SESSION__SECRET": secrets.token_urlsafe(48),
        "GATEWAY_SESSION__STORE__PATH": str(Path(directory, "sessions")),
        "GATEWAY_CONSOLE__ENABLED": "true",
        "GATEWAY_LOGS__ACCESS": "false",
        "GATEWAY_ROUTES": '[{"path": "/public/**", "access": "public"},'
        ' {"path": "/admin/**", "require": {"claims": {"groups": ["admins"]}}}]',
    }


@contextmanager
def _provider(client: FakeClient) -> Iterator[str]:
    port = _free_port(0)
    issuer = f"http://{LOOPBACK}:{port}"
    provider = FakeProvider(issuer=issuer, clients=[client], users=USERS)
    with _serving(provider, port):
        yield issuer


@contextmanager
def _gateway(environ: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "gunicorn", "-c", "python:gateway.gunicorn_conf", "--log-level", "warning"]
    # A session of its own: Ctrl-C reaches us alone, and we end the gateway in good order.
    process = subprocess.Popen(  # noqa: S603 - our own words throughout.
        [*command, "-b", f"{LOOPBACK}:{port}", "-w", "2"], env=dict(environ), start_new_session=True
    )
    try:
        _wait_until_ready(process, port)
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # The master and its workers, which would outlive it.
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed("the gateway ended; its reason is above")
        try:
            if requests.get(f"http://{LOOPBACK}:{port}/ready", timeout=2).status_code == 200:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise DemoFailed(f"the gateway was not ready after {READY_SECONDS} seconds")


@contextmanager
def _serving(app: WSGIApplication, port: int = 0) -> Iterator[int]:
    server = make_server(LOOPBACK, port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(WSGIRequestHandler):
    """Serves without a line for each request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, wanted))
        except OSError:
            probe.close()
            return _free_port(0)
        port: int = probe.getsockname()[1]
        return port
