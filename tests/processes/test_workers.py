"""One session, several processes: the workers of one gateway, and the gateways of several machines."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from peers.servers import free_port, run_redis

from .running import (
    WRAPPED,
    Answer,
    Connection,
    environment,
    origin_at,
    run_gateway,
    run_provider,
    sign_in,
    sign_out,
)

pytestmark = pytest.mark.slow

ALICE = {"alice": {"email": "alice@op.example"}}
MAX_TRIES = 500


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory, port = tmp_path_factory.mktemp("workers"), free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], ALICE))
        environ = environment(origin, provider.issuer, {})
        stack.enter_context(run_gateway(directory, port, environ, workers=2, app=WRAPPED))
        yield origin


@pytest.fixture
def two_gateways(tmp_path: Path) -> Iterator[tuple[str, str]]:
    ports = (free_port(), free_port())
    first, second = (origin_at(port) for port in ports)
    with ExitStack() as stack:
        settings = {"SESSION__STORE__TYPE": "redis", "SESSION__STORE__URL": stack.enter_context(run_redis(tmp_path))}
        provider = stack.enter_context(run_provider([first], ALICE))
        for port in ports:
            environ = environment(first, provider.issuer, settings)
            stack.enter_context(run_gateway(tmp_path, port, environ, workers=1, app=WRAPPED))
        yield first, second


def test_two_workers_serve_one_session(two_workers: str) -> None:
    answers = answers_of_two_processes(two_workers, sign_in(two_workers, "alice"))
    assert {answer.status for answer in answers} == {200}
    assert {answer.shown["fields"]["x-forwarded-user"] for answer in answers} == {"alice"}
    assert len({answer.token for answer in answers}) == 1


def test_a_logout_at_one_worker_ends_the_session_at_the_other(two_workers: str) -> None:
    cookie = sign_in(two_workers, "alice")
    answers_of_two_processes(two_workers, cookie)
    with ExitStack() as stack:
        # Connections stay with their worker, so these two are what each of the two processes says afterwards.
        connections = connections_to_two_processes(stack, two_workers, cookie)
        assert sign_out(two_workers, cookie).status == 303
        assert [connection.get("/", cookie=cookie).status for connection in connections] == [401, 401]


@pytest.mark.real("redis")
def test_two_gateways_serve_one_session_and_a_logout_ends_it_for_both(two_gateways: tuple[str, str]) -> None:
    first, second = two_gateways
    cookie = sign_in(first, "alice")
    with Connection(first) as one, Connection(second) as other:
        answers = [connection.get("/", cookie=cookie) for connection in (one, other)]
        assert [answer.status for answer in answers] == [200, 200]
        assert len({answer.shown["process"] for answer in answers}) == 2
        assert len({answer.token for answer in answers}) == 1
        assert sign_out(second, cookie).status == 303
        assert [connection.get("/", cookie=cookie).status for connection in (one, other)] == [401, 401]


def answers_of_two_processes(origin: str, cookie: str) -> list[Answer]:
    with ExitStack() as stack:
        return [
            connection.get("/", cookie=cookie) for connection in connections_to_two_processes(stack, origin, cookie)
        ]


def connections_to_two_processes(stack: ExitStack, origin: str, cookie: str) -> list[Connection]:
    """Open connections until two different processes have answered one, and return one to each."""
    found: dict[int, Connection] = {}
    for _ in range(MAX_TRIES):
        connection = stack.enter_context(Connection(origin))
        answer = connection.get("/", cookie=cookie)
        assert answer.status == 200
        found.setdefault(answer.shown["process"], connection)
        if len(found) == 2:
            return list(found.values())
    raise AssertionError(f"{MAX_TRIES} connections were all answered by {list(found)}")
