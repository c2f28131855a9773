"""An inner app's answer, held back until it has been looked at (PEP 3333): every kind of app, closed exactly once."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pytest
from samples import passage

from gateway.cookies import CookiePolicy
from gateway.errors import GatewayError
from gateway.headers import Headers
from gateway.held_answer import HeldAnswer
from gateway.inner import Admitted, React
from gateway.sealing import KeyRing

COOKIES: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret of at least 32 characters"]))
PLAIN: Final[Headers] = [("Content-Type", "text/plain")]


class Server:
    """A WSGI server that notes what goes out: `sent` are the status lines and the pieces, in their order."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.headers: Headers = []
        self.committed = False

    def start_response(self, status: str, headers: Headers, exc_info: Any = None, /) -> Callable[[bytes], object]:
        if exc_info is not None and self.committed:
            raise exc_info[1].with_traceback(exc_info[2])
        self.sent.append(status)
        self.headers = headers
        return self.write

    def write(self, data: bytes) -> None:
        self.committed = True
        self.sent.append(data.decode())

    def serve(self, app: Callable[[Any], Iterable[bytes]]) -> list[str]:
        body = app(self.start_response)
        try:
            for piece in body:
                self.write(piece)
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
        return self.sent


class Body:
    """A body that counts how often it is closed, and may fail."""

    def __init__(self, pieces: Iterable[bytes], begin: Callable[[], object] = lambda: None) -> None:
        self._pieces = pieces
        self._begin = begin
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        self._begin()
        yield from self._pieces

    def close(self) -> None:
        self.closed += 1


def listed(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    return [b"a", b"b"]


def generated(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    yield b"a"
    yield b"b"


def bodiless(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    yield from ()


def writing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", PLAIN)
    write(b"a")
    write(b"b")
    return [b"c"]


def second_thoughts(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", PLAIN)
    try:
        raise ValueError("for the test")
    except ValueError:
        start_response("500 Error", PLAIN, sys.exc_info())
    return [b"error"]


App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def admitted(app: App, react: React | None) -> Admitted:
    return Admitted(inner=app, passage=passage({"REQUEST_METHOD": "GET"}), cookies=COOKIES, personal=True, react=react)


def let_go(_status: int, _headers: Headers) -> None:
    return None


@pytest.mark.parametrize(
    ("app", "sent"),
    [
        pytest.param(listed, ["200 OK", "a", "b"], id="a list"),
        pytest.param(generated, ["200 OK", "a", "b"], id="a generator, which starts only as it is read"),
        pytest.param(bodiless, ["200 OK"], id="a generator without a body, as for HEAD"),
        pytest.param(writing, ["200 OK", "a", "b", "c"], id="write()"),
        pytest.param(second_thoughts, ["500 Error", "error"], id="exc_info before anything went out"),
    ],
)
def test_an_answer_that_is_let_go_goes_out_as_it_was_made(app: App, sent: list[str]) -> None:
    held, direct = Server(), Server()
    assert held.serve(admitted(app, let_go)) == sent
    direct.serve(admitted(app, None))
    assert (held.sent[-1], held.headers) == (direct.sent[-1], direct.headers)


@pytest.mark.parametrize(
    ("app", "status"),
    [
        pytest.param(listed, 200, id="a list"),
        pytest.param(generated, 200, id="a generator"),
        pytest.param(bodiless, 200, id="a generator without a body"),
        pytest.param(second_thoughts, 500, id="exc_info: the second one"),
    ],
)
def test_nothing_goes_out_before_the_answer_has_been_looked_at(app: App, status: int) -> None:
    server, seen = Server(), list[tuple[int, Headers, list[str]]]()

    def look(status: int, headers: Headers) -> None:
        seen.append((status, headers, list(server.sent)))

    server.serve(admitted(app, look))
    assert seen == [(status, PLAIN, [])]


def test_what_an_app_writes_at_once_is_past_looking_at() -> None:
    server, seen = Server(), list[int]()
    server.serve(admitted(writing, lambda status, _: seen.append(status)))
    assert (server.sent, seen) == (["200 OK", "a", "b", "c"], [])


def test_an_error_after_the_first_piece_is_for_the_server_to_judge() -> None:
    def late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)
        yield b"a"
        try:
            raise ValueError("too late")
        except ValueError:
            start_response("500 Error", PLAIN, sys.exc_info())
        yield b"never"

    server = Server()
    with pytest.raises(ValueError, match="too late"):
        server.serve(admitted(late, let_go))
    assert server.sent == ["200 OK", "a"]


def test_an_error_page_before_the_first_piece_replaces_the_answer_that_was_let_go() -> None:
    def late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", PLAIN)

        def pieces() -> Iterator[bytes]:
            try:
                raise ValueError("just in time")
            except ValueError:
                start_response("500 Error", PLAIN, sys.exc_info())
            yield b"error"

        return pieces()

    server = Server()
    server.serve(admitted(late, let_go))
    assert server.sent == ["200 OK", "500 Error", "error"]


def starting(body: Iterable[bytes]) -> App:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("401 Unauthorized", PLAIN)
        return body

    return app


def starting_late(pieces: Iterable[bytes]) -> tuple[App, Body]:
    """Make an app that starts its answer only as its body is read."""
    started: list[Any] = []
    body = Body(pieces, lambda: started[0]("401 Unauthorized", PLAIN))

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        started.append(start_response)
        return body

    return app, body


def other_answer(_status: int, _headers: Headers) -> Admitted:
    return admitted(listed, None)


@pytest.mark.parametrize(
    ("react", "sent"),
    [
        pytest.param(let_go, ["401 Unauthorized", "x"], id="let go"),
        pytest.param(other_answer, ["200 OK", "a", "b"], id="replaced"),
    ],
)
@pytest.mark.parametrize("late", [pytest.param(False, id="at once"), pytest.param(True, id="as it is read")])
def test_a_body_is_closed_exactly_once(react: React, sent: list[str], late: bool) -> None:
    body = Body([b"x"])
    app = starting(body)
    if late:
        app, body = starting_late([b"x"])
    server = Server()
    assert server.serve(admitted(app, react)) == sent
    assert body.closed == 1


@pytest.mark.parametrize("late", [pytest.param(False, id="at once"), pytest.param(True, id="as it is read")])
def test_a_body_is_closed_though_looking_at_it_fails(late: bool) -> None:
    def fail(_status: int, _headers: Headers) -> None:
        raise ValueError("for the test")

    body = Body([b"x"])
    app = starting(body)
    if late:
        app, body = starting_late([b"x"])
    server = Server()
    with pytest.raises(ValueError, match="for the test"):
        server.serve(admitted(app, fail))
    assert (server.sent, body.closed) == ([], 1)


def test_a_body_is_closed_though_its_first_piece_fails() -> None:
    def fail() -> None:
        raise ValueError("for the test")

    body = Body([b"x"], fail)
    server = Server()
    with pytest.raises(ValueError, match="for the test"):
        server.serve(admitted(lambda _environ, _start_response: body, let_go))
    assert (server.sent, body.closed) == ([], 1)


@pytest.mark.parametrize("pieces", [pytest.param([b"x"], id="a body"), pytest.param([], id="an empty body")])
def test_an_app_that_never_starts_its_answer_is_told_apart(pieces: list[bytes]) -> None:
    body, server = Body(pieces), Server()
    with pytest.raises(GatewayError) as error:
        server.serve(admitted(lambda _environ, _start_response: body, let_go))
    assert (error.value.code, server.sent, body.closed) == ("internal_error", [], 1)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param("401 Unauthorized", 401, id="a status line"),
        pytest.param("401", 401, id="a code alone"),
        pytest.param("", 0, id="nothing"),
        pytest.param("ok", 0, id="no code"),
        pytest.param("\u0664\u0660\u0661 x", 0, id="digits that are not ASCII"),
    ],
)
def test_the_status_is_read(status: str, code: int) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, PLAIN)
        return [b"x"]

    held = HeldAnswer(Server().start_response)
    held.call(app, {})
    assert held.status == code
