"""Raw requests through gunicorn and the gateway: what is answered, and what the origin sees of them."""

import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

import corpora
import pytest
from peers.servers import free_port
from recording_origin import Recorded, recording_origin

from .running import SECONDS, Face, environment, origin_at, run_gateway, run_provider

HOST: Final = "Host: app.example\r\n"
OPEN: Final = '[{"path": "/**", "access": "public"}]'
SETTLE_SECONDS: Final = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A gateway that lets everybody through to an origin that keeps what it receives."""

    port: int
    origin: Recorded
    face: Face

    def answers(self, sent: str) -> list[int]:
        """Send octets, then nothing more, and list the statuses of all that comes back."""
        self.origin.requests.clear()
        received = bytearray()
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as connection:
            try:
                connection.sendall(sent.encode("latin-1"))
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65536):
                    received += piece
            except ConnectionError:
                pass  # It may hang up on what it refuses, before it has read all of it.
        time.sleep(SETTLE_SECONDS)
        return [int(status) for status in re.findall(rb"HTTP/1\.\d (\d{3})", bytes(received))]

    def lines_of(self, count: int) -> list[str]:
        """Method and target of each request that arrived; waits for so many, which the origin notes when it can."""
        deadline = time.monotonic() + SECONDS
        while len(self.origin.requests) < count and time.monotonic() < deadline:
            time.sleep(SETTLE_SECONDS)
        return [
            " ".join(request.split(b"\r\n")[0].decode("latin-1").split(" ")[:2]) for request in self.origin.requests
        ]


@pytest.fixture(scope="module")
def site(face: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    port = free_port()
    with ExitStack() as stack:
        origin = stack.enter_context(recording_origin())
        provider = stack.enter_context(run_provider([origin_at(port)], {"alice": {}}))
        environ = environment(origin_at(port), provider.issuer, {"UPSTREAM": origin.url, "ROUTES": OPEN})
        stack.enter_context(run_gateway(tmp_path_factory.mktemp("raw"), port, environ, workers=1, face=face))
        yield Site(port=port, origin=origin, face=face)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case["id"]) for case in corpora.read("raw_requests")],
)
def test_raw_requests(site: Site, case: Mapping[str, Any]) -> None:
    outcome = {**case, **case.get(site.face, {})}
    assert site.answers(f"GET /honest HTTP/1.1\r\n{HOST}\r\n") == [200]
    assert site.lines_of(1) == ["GET /honest"]
    assert site.answers(outcome["sent"]) == outcome["statuses"]
    assert site.lines_of(len(outcome["arrives"])) == outcome["arrives"]
    for request in site.origin.requests:
        head = request.partition(b"\r\n\r\n")[0].lower()
        assert (head.count(b"\r\ncontent-length:"), head.count(b"\r\ntransfer-encoding:")) in ((0, 0), (1, 0), (0, 1))
        assert b"root" not in request  # Neither a field in the trailers nor one behind a bare line end counts.
        assert b"\r\nvia: 1.1 gateway-" in head


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(f"GET /{'a' * 9000} HTTP/1.1\r\n{HOST}\r\n", 414, id="a target that is too long"),
        pytest.param(f"GET /a HTTP/1.1\r\n{HOST}X-A: {'a' * 20000}\r\n\r\n", 431, id="a field that is too long"),
        pytest.param(
            f"GET /a HTTP/1.1\r\n{HOST}{''.join(f'X-{number}: 1{chr(13)}{chr(10)}' for number in range(200))}\r\n", 431,
            id="too many fields",
        ),
    ],
)  # fmt: skip
def test_what_is_too_large(site: Site, sent: str, status: int) -> None:
    assert site.answers(sent)[:1] in ([status], [])  # It may hang up before all is sent, and the answer is lost then.
    assert site.lines_of(0) == []
