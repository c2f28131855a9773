"""Gateways, providers and applications as real servers on loopback, and users who sign in over HTTP."""

import http.client
import json
import os
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from wsgiref.types import WSGIApplication, WSGIEnvironment

import requests
from peers.servers import LOOPBACK, free_port, port_answers, run_process
from werkzeug.serving import WSGIRequestHandler, make_server

from gateway.testing import FakeClient, FakeProvider

TESTS: Final = Path(__file__).resolve().parents[1]
CLIENT_ID: Final = "gateway"
CLIENT_SECRET: Final = "a secret that client and provider share"
RING_SECRET: Final = "a secret for sessions and cookies of the tests"
COOKIE: Final = "gateway"
SECONDS: Final = 20.0

WRAPPED: Final = "processes.wrapped_app:app"
ECHO: Final = "processes.echo_app:app"

THREADS: Final = ("-k", "gthread", "--threads", "64", "--keep-alive", "30", "--no-control-socket")

Face = Literal["threads", "lane"]
FACES: Final[Mapping[Face, str]] = {"threads": "gthread", "lane": "gateway.lane.worker.LaneWorker"}

NAVIGATION: Final[Mapping[str, str]] = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
}
OWN_FORM: Final[Mapping[str, str]] = {"Sec-Fetch-Site": "same-origin", "Content-Length": "0"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a client received."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def shown(self) -> Any:
        """The body as JSON, which is the request where the sample application answered."""
        return json.loads(self.body)

    @property
    def token(self) -> str:
        """The bearer token that the sample application received."""
        scheme, _, token = str(self.shown["fields"].get("authorization", "")).partition(" ")
        assert scheme == "Bearer"
        return token


class Connection:
    """A connection that stays open, with no cookies of its own."""

    def __init__(self, origin: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=SECONDS)

    def send(self, method: str, target: str, *, cookie: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Send a request without a body; `cookie` is the session's."""
        sent = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        self._connection.request(method, target, headers={**sent, **(headers or {})})

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def receive(self) -> Answer:
        """Read the answer to the end."""
        response = self._connection.getresponse()
        return Answer(status=response.status, headers=dict(response.getheaders()), body=response.read())

    def get(self, target: str, *, cookie: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a GET and read the answer."""
        self.send("GET", target, cookie=cookie, headers=headers)
        return self.receive()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class QuietHandler(WSGIRequestHandler):
    """Serves without a line for each request."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        """Keep the test's output quiet."""

    def connection_dropped(self, _: BaseException, __: WSGIEnvironment | None = None) -> None:
        """Hang up where an app says that the connection is lost, instead of waiting for the next request."""
        self.close_connection = True


def origin_at(port: int, host: str = LOOPBACK) -> str:
    """Return the origin of a server on loopback."""
    return f"http://{host}:{port}"


def environment(public_url: str, issuer: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Make the environment of a gateway whose workers keep no copies; `settings` are more keys, without GATEWAY_."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    keys = {
        "PUBLIC_URL": public_url,
        "PROVIDER__ISSUER": issuer,
        "PROVIDER__CLIENT_ID": CLIENT_ID,
        "PROVIDER__CLIENT_SECRET": CLIENT_SECRET,
        "SESSION__SECRET": RING_SECRET,
        "SESSION__STORE__PATH": "sessions",
        "SESSION__LOCAL_CACHE": "0",
        **settings,
    }
    path = f"{TESTS}{os.pathsep}{TESTS.parent}"  # The gateway of this tree, wherever another is installed.
    return {**outer, "PYTHONPATH": path, **{f"GATEWAY_{name}": value for name, value in keys.items()}}


@contextmanager
def run_gateway(
    directory: Path,
    port: int,
    environ: Mapping[str, str],
    *,
    workers: int = 2,
    app: str = "",
    face: Face = "lane",
) -> Iterator[int]:
    """Run a gateway by gunicorn, alone with our settings or in `app` with a user's own; yield the master's id."""
    environ = {**environ, "WORKER_CLASS": FACES[face]}
    argv = [*THREADS, app] if app else ["-c", str(TESTS.parent / "gunicorn.conf.py")]
    with _run_gunicorn(directory, port, environ, ["-w", str(workers), *argv], path="/ping") as pid:
        yield pid


@contextmanager
def run_echo(directory: Path) -> Iterator[str]:
    """Run the sample application as an upstream in a process of its own, and yield its origin."""
    port = free_port()
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    # Like many applications, it takes a field with underscores for one with hyphens.
    argv = ["-w", "1", *THREADS, "--header-map", "dangerous", ECHO]
    with _run_gunicorn(directory, port, environ, argv, path="/"):
        yield origin_at(port)


@contextmanager
def run_rough_origin(directory: Path) -> Iterator[str]:
    """Run an upstream that resets, hangs and dawdles where it is told to, and yield its origin."""
    port = free_port()
    with run_process(
        [sys.executable, "-m", "processes.rough_origin", str(port)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        cwd=directory,
        ready=lambda: port_answers(port),
        name="rough_origin",
        log_path=directory / "rough_origin.log",
    ):
        yield origin_at(port)


@contextmanager
def run_provider(public_urls: Sequence[str], users: Mapping[str, Mapping[str, object]]) -> Iterator[FakeProvider]:
    """Run the fake provider in threads of this process; it signs in whom `login_hint` names without asking."""
    port = free_port()
    client = FakeClient(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uris=[f"{url}/oauth2/callback" for url in public_urls],
        post_logout_redirect_uris=[f"{url}/oauth2/signed_out" for url in public_urls],
    )
    provider = FakeProvider(issuer=origin_at(port), clients=[client], users=users, sign_in_as=next(iter(users)))
    with run_threads(port, provider):
        yield provider


@contextmanager
def run_threads(port: int, app: WSGIApplication, *, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Run a WSGI app in threads of this process."""
    server = make_server(LOOPBACK, port, app, threaded=True, request_handler=QuietHandler, ssl_context=tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(SECONDS)
        server.server_close()


def sign_in(public_url: str, user: str, *, landing: str = "/ping") -> str:
    """Sign a user in over HTTP and return the session cookie's value; the default landing does not use the session."""
    with requests.Session() as browser:
        browser.trust_env = False
        parameters = {"rd": landing, "login_hint": user}
        answer = browser.get(f"{public_url}/oauth2/start", params=parameters, headers=dict(NAVIGATION), timeout=SECONDS)
        assert (answer.status_code, answer.url) == (200, f"{public_url}{landing}"), answer.text
        return str(browser.cookies[COOKIE])


def sign_out(origin: str, cookie: str) -> Answer:
    """Sign a session out by a form of the site itself; the answer leads on to the provider."""
    with Connection(origin) as connection:
        connection.send("POST", "/oauth2/sign_out", cookie=cookie, headers=OWN_FORM)
        return connection.receive()


@contextmanager
def _run_gunicorn(
    directory: Path, port: int, environ: Mapping[str, str], argv: Sequence[str], *, path: str
) -> Iterator[int]:
    with run_process(
        [sys.executable, "-m", "gunicorn", "-b", f"{LOOPBACK}:{port}", *argv],
        env=environ,
        cwd=directory,
        ready=lambda: _answers(port, path),
        name="gunicorn",
        log_path=directory / f"gunicorn-{port}.log",
    ) as process:
        yield process.pid


def _answers(port: int, path: str) -> bool:
    try:
        with Connection(origin_at(port)) as connection:
            return connection.get(path).status == 200
    except OSError:
        return False
