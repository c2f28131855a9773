"""WebSockets through gunicorn and the gateway: who gets one, what passes, and what never becomes a tunnel."""

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from peers.servers import free_port
from peers.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Client,
    Frame,
    Server,
    accept_of,
    run_server,
)

from .running import COOKIE, SECONDS, Face, environment, origin_at, run_gateway, run_provider, sign_in, sign_out

WAIT_SECONDS: Final = 8.0
WRONG: Final = "HTTP/1.1 101 Switching Protocols\r\n{}\r\n\r\n"
RIGHT: Final = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}"
REFUSED: Final = "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 2\r\n\r\nno"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A gateway before echoing servers."""

    origin: str
    servers: Mapping[str, Server]
    cookie: str
    worker: int

    def open(self, target: str = "/echo", /, **headers: str | None) -> Client:
        """Ask for a WebSocket as a page of this origin does."""
        fields: dict[str, str | None] = {"Origin": self.origin, "Cookie": f"{COOKIE}={self.cookie}"}
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        return Client(self.origin, target, fields)


@pytest.fixture(scope="module")
def site(face: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("websockets")
    port = free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        wrong = {
            "/no-accept": WRONG.format("Upgrade: websocket\r\nConnection: Upgrade"),
            "/other-accept": WRONG.format(RIGHT.replace("{accept}", accept_of("another"))),
            "/two-accepts": WRONG.format(RIGHT + "\r\nSec-WebSocket-Accept: x"),
            "/other-protocol": WRONG.format(RIGHT.replace("websocket", "h2c")),
            "/no-connection": WRONG.format(RIGHT.replace("Connection: Upgrade\r\n", "")),
            "/odd-subprotocol": WRONG.format(RIGHT + "\r\nSec-WebSocket-Protocol: mqtt"),
            "/odd-extension": WRONG.format(RIGHT + "\r\nSec-WebSocket-Extensions: permessage-deflate"),
            "/refused": REFUSED,
            "/ok": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        }
        servers = {path: stack.enter_context(run_server(answer)) for path, answer in wrong.items()}
        servers["/echo"] = stack.enter_context(run_server())
        servers["/first"] = stack.enter_context(run_server(first=b"\x81\x05hello"))
        servers["/chosen"] = stack.enter_context(run_server(subprotocol="chat"))
        routes: list[dict[str, Any]] = [{"path": path, "upstream": server.origin} for path, server in servers.items()]
        routes.append({"path": "/limited", "upstream": servers["/echo"].origin, "max_body": "1k"})
        routes.append(
            {"path": "/staff", "upstream": servers["/echo"].origin, "require": {"claims": {"groups": "staff"}}}
        )
        provider = stack.enter_context(run_provider([origin], {"alice": {}}))
        environ = environment(origin, provider.issuer, {"ROUTES": json.dumps(routes), "UPSTREAM": "http://127.0.0.1:9"})
        master = stack.enter_context(run_gateway(Path(directory), port, environ, workers=1, face=face))
        children = Path(f"/proc/{master}/task/{master}/children").read_text(encoding="ascii").split()
        cookie = sign_in(origin, "alice")
        yield Site(origin=origin, servers=servers, cookie=cookie, worker=int(children[0]))


def test_the_handshake(site: Site) -> None:
    with site.open(X_Forwarded_User="root", Authorization="Bearer root") as client:
        assert client.status == 101
        assert client.fields["sec-websocket-accept"] == accept_of(client.key)
        assert (client.fields["upgrade"], client.fields["connection"]) == ("websocket", "upgrade")
    head = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in site.servers["/echo"].heads[-1]}
    assert head["x-forwarded-user"] == "alice"
    assert head["authorization"].startswith("Bearer ")
    assert "root" not in str(head)
    assert "cookie" not in head
    assert (head["connection"], head["upgrade"], head["sec-websocket-version"]) == ("Upgrade", "websocket", "13")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"x" * 125, id="the largest small one"),
        pytest.param(b"x" * 126, id="the smallest middling one"),
        pytest.param(b"x" * 65535, id="the largest middling one"),
        pytest.param(b"x" * 65536, id="the smallest large one"),
        pytest.param(os.urandom(16 * 2**20), id="16 MiB"),
        pytest.param("grüße, 世界".encode(), id="not ASCII"),
        pytest.param(b"\xff\xfe not UTF-8", id="not UTF-8, which is the peers' own affair"),
    ],
)
@pytest.mark.parametrize("opcode", [pytest.param(TEXT, id="text"), pytest.param(BINARY, id="binary")])
def test_messages(site: Site, opcode: int, payload: bytes) -> None:
    with site.open() as client:
        client.send(opcode, payload)
        answer = client.receive()
    assert (answer.opcode, answer.final) == (opcode, True)
    assert answer.payload == payload


def test_fragments_pings_and_order(site: Site) -> None:
    with site.open() as client:
        client.send(TEXT, b"one ", final=False)
        client.send(PING, b"between")
        client.send(CONTINUATION, b"two ", final=False)
        client.send(CONTINUATION, b"three")
        client.send(PONG, b"unasked")
        client.send(7, b"an opcode that nobody knows")
        received = [client.receive() for _ in range(6)]
    assert received == [
        Frame(opcode=TEXT, payload=b"one ", final=False),
        Frame(opcode=PONG, payload=b"between"),
        Frame(opcode=CONTINUATION, payload=b"two ", final=False),
        Frame(opcode=CONTINUATION, payload=b"three"),
        Frame(opcode=PONG, payload=b"unasked"),
        Frame(opcode=7, payload=b"an opcode that nobody knows"),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="no code"),
        pytest.param((1000).to_bytes(2, "big"), id="1000"),
        pytest.param((1001).to_bytes(2, "big") + b"going away", id="1001 with a reason"),
        pytest.param((4999).to_bytes(2, "big"), id="4999"),
        pytest.param((1005).to_bytes(2, "big"), id="1005, which must not be sent"),
        pytest.param(b"\x03", id="half a code"),
    ],
)
def test_closing(site: Site, payload: bytes) -> None:
    with site.open() as client:
        client.send(CLOSE, payload)
        assert client.receive() == Frame(opcode=CLOSE, payload=payload)
        assert client.is_cut()


def test_what_comes_right_behind_the_answer_is_not_lost(site: Site) -> None:
    with site.open("/first") as client:
        assert client.receive() == Frame(opcode=TEXT, payload=b"hello")
        client.send(TEXT, b"more")
        assert client.receive().payload == b"more"


def test_one_side_may_end_before_the_other(site: Site) -> None:
    with site.open() as client:
        client.send(TEXT, b"last words" * 50_000)
        client.wire.sock.shutdown(socket.SHUT_WR)
        assert client.receive().payload == b"last words" * 50_000
        assert client.is_cut()


def test_a_client_that_goes_away_takes_the_upstream_along(site: Site) -> None:
    before = site.servers["/echo"].closed
    with site.open() as client:
        client.send(TEXT, b"x")
        client.receive()
    assert eventually(lambda: site.servers["/echo"].closed > before)


def test_subprotocols(site: Site) -> None:
    with site.open("/chosen", Sec_WebSocket_Protocol="soap, chat") as client:
        assert (client.status, client.fields["sec-websocket-protocol"]) == (101, "chat")
    assert any("soap, chat" in line for line in site.servers["/chosen"].heads[-1])
    with site.open("/chosen", Sec_WebSocket_Protocol="soap") as client:
        assert client.status == 502


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Cookie": None}, 401, id="no session"),
        pytest.param({"Cookie": f"{COOKIE}=made-up"}, 401, id="a session that is none"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="a page of another site"),
        pytest.param({"Origin": None}, 403, id="no origin"),
        pytest.param({"Sec_Fetch_Site": "same-site"}, 403, id="a page of a sibling"),
    ],
)
def test_who_gets_none(site: Site, headers: Mapping[str, str | None], status: int) -> None:
    before = len(site.servers["/echo"].heads)
    with site.open(**headers) as client:
        assert client.status == status
    assert len(site.servers["/echo"].heads) == before


def test_rules_hold_for_them(site: Site) -> None:
    with site.open("/staff") as client:
        assert client.status == 403


@pytest.mark.parametrize(
    "path",
    [
        "/no-accept", "/other-accept", "/two-accepts", "/other-protocol", "/no-connection", "/odd-subprotocol",
        "/odd-extension",
    ],
)  # fmt: skip
def test_an_answer_that_does_not_grant_it_is_none(site: Site, path: str) -> None:
    with site.open(path) as client:
        assert client.status == 502


@pytest.mark.parametrize(("path", "status"), [("/refused", 426), ("/ok", 200)])
def test_a_refusal_leaves_no_tunnel(site: Site, path: str, status: int) -> None:
    with site.open(path) as client:
        assert client.status == status
        client.wire.read(2)
        # A second request on the connection is the gateway's to answer, and nothing of it reaches the upstream.
        sent = len(site.servers[path].heads)
        client.wire.sock.sendall(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.wire.read_head()[0].startswith("HTTP/1.1 200")
        assert len(site.servers[path].heads) == sent


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec_WebSocket_Version": "8"}, id="another version"),
        pytest.param({"Sec_WebSocket_Version": None}, id="no version"),
        pytest.param({"Sec_WebSocket_Key": None}, id="no key"),
        pytest.param({"Sec_WebSocket_Key": "c2hvcnQ="}, id="a short key"),
        pytest.param({"Connection": "keep-alive"}, id="Connection does not name it"),
        pytest.param({"Upgrade": "h2c"}, id="another protocol"),
        pytest.param({"Upgrade": "websocket, h2c"}, id="two protocols"),
        pytest.param({"Content_Length": "5"}, id="a body"),
        pytest.param({"Transfer_Encoding": "chunked"}, id="a body in chunks"),
    ],
)
def test_what_does_not_quite_ask_is_a_request_like_others(site: Site, headers: Mapping[str, str | None]) -> None:
    fields: dict[str, str | None] = {"Origin": site.origin, "Cookie": f"{COOKIE}={site.cookie}"}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    body = b"0\r\n\r\n" if "Transfer_Encoding" in headers else b"hello" if "Content_Length" in headers else b""
    with Client(site.origin, "/echo", fields, behind=body) as client:
        # Our echoing server switches all the same, which nobody asked of it.
        assert client.status == 502
    assert not any(line.lower().startswith("upgrade:") for line in site.servers["/echo"].heads[-1])


@pytest.mark.parametrize("path", ["/echo", "/limited"])
def test_what_is_sent_before_the_answer_is_refused(site: Site, path: str) -> None:
    with site.open(path) as honest:
        assert honest.status == 101
    before = len(site.servers["/echo"].heads)
    fields = {"Origin": site.origin, "Cookie": f"{COOKIE}={site.cookie}"}
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with Client(site.origin, path, fields, behind=smuggled) as client:
        assert client.status == 400
    assert len(site.servers["/echo"].heads) == before


def test_a_sign_out_closes_it(site: Site) -> None:
    cookie = sign_in(site.origin, "alice")
    with site.open(Cookie=f"{COOKIE}={cookie}") as client, site.open() as other:
        client.send(TEXT, b"x")
        assert client.receive().payload == b"x"
        assert sign_out(site.origin, cookie).status == 303
        client.wire.sock.settimeout(WAIT_SECONDS)
        assert client.is_cut()
        other.send(TEXT, b"y")
        assert other.receive().payload == b"y"


def test_a_reader_that_does_not_read_costs_no_memory(site: Site) -> None:
    before = resident(site.worker)
    with site.open() as client:
        client.wire.sock.settimeout(2)
        with pytest.raises(TimeoutError):
            pour(client, 200)
        assert resident(site.worker) - before < 16


def test_many_more_than_there_are_threads(site: Site) -> None:
    clients = [site.open() for _ in range(100)]
    try:
        for number, client in enumerate(clients):
            client.send(TEXT, f"{number}".encode())
        assert [client.receive().payload for client in clients] == [f"{number}".encode() for number in range(100)]
        with site.open() as another:
            assert another.status == 101
    finally:
        for client in clients:
            client.wire.sock.close()


def pour(client: Client, mebibytes: int) -> None:
    for _ in range(mebibytes):
        client.send(BINARY, bytes(2**20))


def eventually(holds: Any) -> bool:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
