"""The lane towards upstreams that dawdle, hang up and speak unasked, while clients leave or send at the wrong time."""

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import pytest
import uvloop
from answering import hello, run_before
from harness import Members
from raw_origin import OK, origin_at
from test_lane_recollection import connected, request

from gateway.lane.pool import AsyncPool
from gateway.testing import Faults

EXCHANGED: Final = {"exchange": {"audience": ["inventory"]}}


@contextmanager
def idle_connection(loop: asyncio.AbstractEventLoop) -> Iterator[tuple[AsyncPool, socket.socket]]:
    """Have a pool keep one connection; yields it with the upstream's end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        pool = AsyncPool(origin_at(f"http://127.0.0.1:{listener.getsockname()[1]}"), loop)
        kept = loop.run_until_complete(pool.connect())
        pool.give_back(kept)
        peer, _ = listener.accept()
        with peer:
            yield pool, peer
        kept.close()
        loop.run_until_complete(asyncio.sleep(0.01))  # A loop with open transports is not always ready to be closed.


def test_an_idle_connection_is_taken_only_if_the_upstream_was_silent() -> None:
    with closing(uvloop.new_event_loop()) as loop, idle_connection(loop) as (pool, _):
        taken = pool.take()
        assert taken is not None
        assert taken.reused


@pytest.mark.parametrize(
    "unasked", [pytest.param(OK, id="an answer that nobody asked for"), pytest.param(b"", id="a hang-up")]
)
def test_what_lies_unread_in_an_idle_connection_is_nobodys_answer(unasked: bytes) -> None:
    with closing(uvloop.new_event_loop()) as loop, idle_connection(loop) as (pool, peer):
        (kept,) = pool._idle
        peer.sendall(unasked)
        peer.shutdown(socket.SHUT_WR)
        # It is there, and the loop had no turn in which to see it.
        arrived = select.poll()
        arrived.register(kept.transport.get_extra_info("socket").fileno(), select.POLLIN)
        assert arrived.poll(1000)
        assert pool.take() is None
        assert not kept.is_open


def test_an_exchanged_token_that_was_fetched_anew_is_the_one_that_is_sent() -> None:
    given: list[str] = []

    def numbered(members: Members) -> Members:
        given.append(f"{members['access_token']}-{len(given)}")
        return {**members, "expires_in": 10, "access_token": given[-1]}

    config = {"session": {"local_cache": 60, "idle_timeout": "10h"}, "routes": [{"path": "/**", "token": EXCHANGED}]}
    with run_before(hello, config) as site, connected(site) as client:
        site.provider.exchange_audiences = ["inventory"]
        site.provider.faults = Faults(token_exchange=numbered)
        site.sign_in()
        sent = request(site)
        for _ in range(8):
            assert client.ask(sent)[0] == 200
            assert site.received[-1].headers["authorization"] == f"Bearer {given[-1]}"
            site.clock.advance(6)
        assert len(given) > 1
