"""The back channel's wire (DESIGN 5 rule 8): no redirects, cookies, proxies or netrc; bounded in time and size."""

import gzip
import logging
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from peers.listener import Answer, run_listener
from peers.servers import LOOPBACK, free_port

from gateway.errors import ConnectionLost, ProviderUnavailable
from gateway.oidc.messages import MAX_REPLY_BYTES, Call
from gateway.transport import RequestsTransport

TIMEOUT: Final = 5.0
SHORT: Final = 0.3
BOUND_SECONDS: Final = 10.0
Script = Callable[[socket.socket, int], None]


class RawServer:
    """A server that answers by a script; `requests` are what it received, `origin` is where it listens."""

    def __init__(self, script: Script) -> None:
        self.requests: list[bytes] = []
        self.stopping = threading.Event()
        self._script = script
        self._listener = socket.create_server((LOOPBACK, 0))
        self.origin = f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.stopping.set()
        with socket.create_connection(self._listener.getsockname()):
            self._thread.join(BOUND_SECONDS)
        self._listener.close()

    def _serve(self) -> None:
        while not self.stopping.is_set():
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(BOUND_SECONDS)
                received = b"" if self.stopping.is_set() else _request(connection)
                if received:
                    self.requests.append(received)
                    try:
                        self._script(connection, len(self.requests))
                    except OSError:
                        continue


def _request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return b""
        received += piece
    return received


@contextmanager
def serving(script: Script) -> Iterator[RawServer]:
    server = RawServer(script)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def transport(timeout: float = TIMEOUT) -> Iterator[RequestsTransport]:
    made = RequestsTransport(verify=True, timeout=timeout)
    try:
        yield made
    finally:
        made._session.close()  # Its connections would outlive the test.


def get(url: str) -> Call:
    return Call(method="GET", url=url, headers={"Accept": "application/json"})


def refusal(send: RequestsTransport, call: Call) -> ProviderUnavailable:
    with pytest.raises(ProviderUnavailable) as error:
        send(call)
    return error.value


def answering(head: str, body: bytes = b"") -> Script:
    return lambda connection, _: connection.sendall(head.encode("ascii") + b"\r\n\r\n" + body)


def resetting(connection: socket.socket) -> None:
    """Close with a reset, as a server does that has forgotten a connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_call_goes_out_and_its_reply_comes_back() -> None:
    answer = Answer(status=400, headers={"Content-Type": "application/json", "X-Odd": "1"}, body='{"a":"é"}')
    with run_listener(lambda _: answer) as listener, transport() as send:
        call = Call(method="POST", url=f"{listener.origin}/token?x=1", headers={"X-Test": "yes"}, body=b"a=b&c=%20")
        reply = send(call)
    (received,) = listener.received
    assert (received.method, received.path, received.query, received.body) == ("POST", "/token", "x=1", b"a=b&c=%20")
    assert received.headers["x-test"] == "yes"
    assert (reply.status, reply.media_type, reply.headers["x-odd"]) == (400, "application/json", "1")
    assert reply.body == '{"a":"é"}'.encode()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects_are_not_followed(method: str, status: int) -> None:
    with run_listener(lambda _: Answer(status=status, headers={"Location": "/elsewhere"})) as listener:
        with transport() as send:
            reply = send(Call(method=method, url=f"{listener.origin}/here", body=b""))
        assert reply.status == status
        assert [received.path for received in listener.received] == ["/here"]


def test_cookies_are_not_kept() -> None:
    with run_listener(lambda _: Answer(headers={"Set-Cookie": "a=1; Path=/"})) as listener, transport() as send:
        send(get(f"{listener.origin}/1"))
        send(get(f"{listener.origin}/2"))
    assert [received.headers.get("cookie") for received in listener.received] == [None, None]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with run_listener() as listener, transport() as send:
        monkeypatch.setenv(name, f"http://{LOOPBACK}:{free_port()}")
        for exception in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(exception, raising=False)
        assert send(get(listener.origin)).status == 200


def test_netrc_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {LOOPBACK} login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with run_listener() as listener, transport() as send:
        send(get(listener.origin))
    assert "authorization" not in listener.received[0].headers


def test_a_credential_is_sent_with_its_own_call_alone() -> None:
    with run_listener() as listener, transport() as send:
        send(Call(method="GET", url=listener.origin, headers={"Authorization": "Bearer one"}))
        send(get(listener.origin))
    assert [received.headers.get("authorization") for received in listener.received] == ["Bearer one", None]


@pytest.mark.parametrize(
    ("head", "body"),
    [
        pytest.param(f"HTTP/1.1 200 OK\r\nContent-Length: {MAX_REPLY_BYTES + 1}", b"x" * (MAX_REPLY_BYTES + 1),
                     id="declared"),
        pytest.param("HTTP/1.1 200 OK\r\nConnection: close", b"x" * (MAX_REPLY_BYTES + 1), id="until the end"),
        pytest.param("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
                     (b"10000\r\n" + b"x" * 65536 + b"\r\n") * 20, id="chunked"),
        pytest.param("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close",
                     gzip.compress(bytes(64 * MAX_REPLY_BYTES)), id="64 MiB of zeros in 64 KiB of gzip"),
        pytest.param("HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\nConnection: close",
                     gzip.compress(gzip.compress(bytes(64 * MAX_REPLY_BYTES))), id="gzip within gzip"),
    ],
)  # fmt: skip
def test_an_answer_without_bounds_is_cut_off(head: str, body: bytes) -> None:
    with serving(answering(head, body)) as server, transport() as send:
        assert refusal(send, get(server.origin)).code == "provider_answer_invalid"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_an_answer_of_just_the_size_is_read(encoding: str) -> None:
    body = b"x" * MAX_REPLY_BYTES
    sent = gzip.compress(body) if encoding == "gzip" else body
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(sent)}"
    with serving(answering(head, sent)) as server, transport() as send:
        assert send(get(server.origin)).body == body


def test_a_chunked_answer_is_read_whole() -> None:
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
    with serving(answering(head, b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n")) as server, transport() as send:
        assert send(get(server.origin)).body == b"abcde"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param("HTTP/1.1 200 OK\r\nContent-Length: 1000", b"x", id="declared"),
        pytest.param("HTTP/1.1 200 OK\r\nConnection: close", b"x", id="until the end"),
        pytest.param("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"1\r\nx\r\n", id="chunked"),
    ],
)
def test_an_answer_of_single_bytes_does_not_outlast_the_deadline(head: str, piece: bytes) -> None:
    assert_cut(head.encode("ascii") + b"\r\n\r\n", piece)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"", b"H", id="status-line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x", id="header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim-answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", id="chunk-size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n", id="trailers"),
    ],
)
def test_no_part_of_an_answer_outlasts_the_deadline(start: bytes, piece: bytes) -> None:
    """One provider of several could hold every thread otherwise, with nothing but patience."""
    assert_cut(start, piece)


def assert_cut(start: bytes, piece: bytes) -> None:
    pieces = 0

    def drip(connection: socket.socket, _: int) -> None:
        nonlocal pieces
        connection.sendall(start)
        while pieces < 100 and not server.stopping.wait(SHORT / 6):
            connection.sendall(piece)
            pieces += 1

    with serving(drip) as server, transport(SHORT) as send:
        assert refusal(send, get(server.origin)).code == "provider_unreachable"
    assert pieces < 50


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"], ids=["at once", "midway"])
def test_a_silent_provider_is_unreachable(head: bytes) -> None:
    def fall_silent(connection: socket.socket, _: int) -> None:
        connection.sendall(head)
        server.stopping.wait(BOUND_SECONDS)

    with serving(fall_silent) as server, transport(SHORT) as send:
        error = refusal(send, get(server.origin))
        server.stopping.set()
    assert error.code == "provider_unreachable"
    assert error.retry_after is not None


@pytest.mark.parametrize(
    ("head", "body"),
    [
        pytest.param("HTTP/1.1 200 OK\r\nContent-Length: 10", b"short", id="shorter than declared"),
        pytest.param("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"5\r\nab", id="in the middle of a chunk"),
        pytest.param("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b"x\r\n", id="a chunk of no size"),
        pytest.param("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3", b"abc", id="not gzip"),
    ],
)
def test_a_broken_answer_is_none(head: str, body: bytes) -> None:
    with serving(answering(head, body)) as server, transport() as send:
        assert refusal(send, get(server.origin)).code == "provider_unreachable"


@pytest.mark.parametrize(
    ("method", "resets", "requests", "answered"),
    [
        pytest.param("GET", 1, 2, True, id="GET is tried again"),
        pytest.param("GET", 9, 2, False, id="GET, but once"),
        pytest.param("POST", 1, 1, False, id="POST never (RFC 9110 9.2.2)"),
    ],
)
def test_a_reset_connection(method: str, resets: int, requests: int, answered: bool) -> None:
    def script(connection: socket.socket, number: int) -> None:
        if number <= resets:
            resetting(connection)
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with serving(script) as server, transport() as send:
        call = Call(method=method, url=server.origin, body=b"" if method == "GET" else b"code=secret")
        if answered:
            assert send(call).status == 200
        else:
            assert refusal(send, call).code == "provider_unreachable"
        assert len(server.requests) == requests


def test_what_failed_is_told_without_the_query() -> None:
    with transport() as send:
        error = refusal(send, get(f"http://{LOOPBACK}:{free_port()}/userinfo?token=secret"))
    assert error.code == "provider_unreachable"
    assert "/userinfo" in error.detail
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("verify", "warnings"), [pytest.param(False, 1, id="unchecked"), pytest.param(True, 0, id="checked")]
)
def test_unchecked_certificates_are_loud(caplog: pytest.LogCaptureFixture, verify: bool, warnings: int) -> None:
    with caplog.at_level(logging.WARNING, "gateway.transport"):
        RequestsTransport(verify=verify, timeout=TIMEOUT)
    assert len(caplog.records) == warnings


def hang_up(_: socket.socket, __: int) -> None:
    """Answer nothing."""


def test_a_proof_is_not_sent_twice_by_the_wire() -> None:
    """RFC 9449 4.2: whoever made it may make another."""
    with serving(hang_up) as server, transport() as send:
        call = Call(method="GET", url=server.origin, headers={"DPoP": "a.b.c"})
        with pytest.raises(ConnectionLost):
            send(call)
        assert len(server.requests) == 1


def test_a_connection_is_used_again_after_an_answer_within_the_deadline() -> None:
    with run_listener(lambda _: Answer(body="x" * 200_000)) as listener, transport() as send:
        for _ in range(3):
            assert len(send(get(listener.origin)).body) == 200_000
