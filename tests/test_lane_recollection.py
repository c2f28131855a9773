"""The same octets again on a connection: nothing that has changed since is missed, and nobody gets another's token."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest
from answering import bearer, hello, run_before
from harness import NOW, ORIGIN, Site, changed, held_session, own_cookies
from lane_face import run_lane
from test_upstream_dpop import BOUND, bound

from gateway.revocation import mark_names
from gateway.session import Session
from gateway.testing import Faults

SECONDS: Final = 10.0
TIMES: Final = 5
"""How often a request is sent until all of it is surely remembered."""

CACHE: Final = 5
SAME: Final = {"Sec-Fetch-Site": "same-origin"}
CACHED: Final[Mapping[str, Any]] = {
    "session": {"local_cache": CACHE},
    "routes": [{"path": "/**", "token": "access_token"}],
}


class Client:
    """Sends octets on one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._received = b""

    def ask(self, sent: bytes) -> tuple[int, bytes]:
        """Send a request and read its answer, which has a length."""
        self._sock.sendall(sent)
        while b"\r\n\r\n" not in self._received:
            self._read()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        while len(self._received) < int(length[1]):
            self._read()
        body, self._received = self._received[: int(length[1])], self._received[int(length[1]) :]
        return int(head.split(b" ")[1]), body

    def _read(self) -> None:
        piece = self._sock.recv(65536)
        assert piece, "the lane has hung up"
        self._received += piece


@contextmanager
def connected(site: Site) -> Iterator[Client]:
    with run_lane(site.gateway) as face, socket.create_connection(("127.0.0.1", face.port), timeout=SECONDS) as sock:
        yield Client(sock)


def request(site: Site, *fields: str, method: str = "GET") -> bytes:
    cookies = "; ".join(f"{name}={value}" for name, value in own_cookies(site.browser).items())
    lines = [f"{method} /data HTTP/1.1", "Host: app.example", f"Cookie: {cookies}", *fields, "", ""]
    return "\r\n".join(lines).encode("ascii")


def end(site: Site, session: Session) -> None:
    site.gateway.store.end(session.id)


def revoke(site: Site, session: Session) -> None:
    site.clock.advance(1)
    site.gateway.store.mark(mark_names(site.gateway.store.realm, session.issuer, session.subject, None).subject)


def outlive(site: Site, session: Session) -> None:
    site.clock.advance(10 * 24 * 3600)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(end, id="it is ended"),
        pytest.param(revoke, id="its user is signed out"),
        pytest.param(outlive, id="it is too old"),
    ],
)
def test_a_session_that_is_over_lets_nobody_in(change: Callable[[Site, Session], None]) -> None:
    with run_before(hello, CACHED) as site, connected(site) as client:
        site.sign_in()
        sent, session = request(site), held_session(site)
        assert [client.ask(sent) for _ in range(TIMES)] == [(200, b"hello")] * TIMES
        reached = len(site.received)
        change(site, session)
        assert client.ask(sent)[0] == 401
        assert len(site.received) == reached


def test_a_session_that_another_worker_has_ended_is_over_when_its_copy_is() -> None:
    with run_before(hello, CACHED) as site, connected(site) as client:
        site.sign_in()
        sent = request(site)
        for _ in range(TIMES):
            assert client.ask(sent)[0] == 200
        session = held_session(site)
        site.gateway.store._backend.delete(f"session:{session.id}")
        site.clock.advance(CACHE)
        assert client.ask(sent)[0] == 401


def test_a_token_that_was_renewed_is_the_one_that_is_sent() -> None:
    with run_before(hello, CACHED) as site, connected(site) as client:
        site.sign_in()
        sent, old = request(site), held_session(site)
        for _ in range(TIMES):
            assert client.ask(sent)[0] == 200
        assert old.access_expires_at is not None
        site.clock.advance(old.access_expires_at - site.clock())
        for _ in range(TIMES):
            assert client.ask(sent)[0] == 200
        new = held_session(site).access_token
        assert new != old.access_token
        tokens = [one.headers["authorization"].removeprefix("Bearer ") for one in site.received]
        assert tokens[-2 * TIMES :] == [old.access_token] * TIMES + [new] * TIMES


def test_one_that_was_renewed_in_the_same_second_too() -> None:
    with run_before(hello, CACHED) as site, connected(site) as client:
        site.sign_in()
        sent = request(site)
        for _ in range(TIMES):
            assert client.ask(sent)[0] == 200
        old = held_session(site).access_token
        assert site.browser.fetch(f"{ORIGIN}/oauth2/refresh", method="POST", headers=SAME).status == 200
        assert client.ask(sent)[0] == 200
        assert bearer(site) == held_session(site).access_token != old


def test_a_login_that_is_too_old_for_a_rule_has_to_be_made_anew() -> None:
    routes = [{"path": "/**", "require": {"max_age": "1m"}}]
    config = {**CACHED, "session": {"local_cache": 60}, "routes": routes}
    with run_before(hello, config) as site, connected(site) as client:
        # A while ago, so that the session need not be written down anew when the login is too old.
        site.provider.faults = Faults(id_token_claims=changed(auth_time=NOW - 30))
        site.sign_in()
        sent = request(site)
        for _ in range(TIMES):
            assert client.ask(sent)[0] == 200
        site.clock.advance(30)
        assert client.ask(sent)[0] == 200
        site.clock.advance(1)
        assert client.ask(sent)[0] == 401


def test_each_user_of_a_connection_gets_their_own_token() -> None:
    with run_before(hello, CACHED) as site, connected(site) as client:
        requests, tokens = [], []
        for user in ("alice", "bob"):
            site.browser = site.new_browser()
            site.provider.sign_in_as = user
            site.sign_in()
            requests.append(request(site))
            tokens.append(held_session(site).access_token)
        site.received.clear()
        for _ in range(TIMES):
            for sent in requests:
                assert client.ask(sent)[0] == 200
        assert [one.headers["authorization"].removeprefix("Bearer ") for one in site.received] == tokens * TIMES


def test_each_request_has_a_proof_of_its_own() -> None:
    with run_before(hello, {**CACHED, **BOUND}, clients=bound) as site, connected(site) as client:
        site.sign_in()
        sent = request(site)
        site.received.clear()
        for _ in range(TIMES):
            assert client.ask(sent)[0] == 200
        assert len({one.headers["dpop"] for one in site.received}) == TIMES


def test_bodies_behind_the_same_head_are_each_their_own() -> None:
    with run_before(hello, CACHED) as site, connected(site) as client:
        site.sign_in()
        head = request(site, "Content-Length: 1", "Sec-Fetch-Site: same-origin", method="POST")
        site.received.clear()
        for body in "aabbc":
            assert client.ask(head + body.encode("ascii"))[0] == 200
        assert "".join(one.body.decode("ascii") for one in site.received) == "aabbc"
