"""The lane under attack where threads answer: others must not feel what one client does, nor what an app does."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from gateway.lane.client import MAX_BODY_WAITING
from gateway.lane.thread_input import ThreadInput

LINES: Final = b"one\n\nthree" + b"\n" * 3


class Counted(bytes):
    """A piece of a body that counts how many of its octets are copied."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        Counted.copied += len(part) if isinstance(part, bytes) else 1
        return Counted(part) if isinstance(part, bytes) else part


def given_in(pieces: list[bytes]) -> ThreadInput:
    left: Iterator[bytes] = iter(pieces)
    return ThreadInput(lambda: next(left, b""))


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(list, id="lines"),
        pytest.param(lambda given: list(iter(lambda: given.readline(1), b"")), id="lines of one octet"),
        pytest.param(lambda given: list(iter(lambda: given.read(1), b"")), id="octets"),
    ],
)
def test_reading_in_small_parts_copies_each_octet_once(read: Callable[[ThreadInput], list[bytes]]) -> None:
    Counted.copied = 0
    assert b"".join(read(given_in([Counted(b"\n" * 1000)]))) == b"\n" * 1000
    assert Counted.copied == 1000


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([LINES], id="at once"),
        pytest.param([LINES[i : i + 1] for i in range(len(LINES))], id="octet by octet"),
        pytest.param([LINES[:2], LINES[2:6], LINES[6:]], id="lines in two pieces"),
    ],
)
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        pytest.param(lambda given: given.readlines(), [b"one\n", b"\n", b"three\n", b"\n", b"\n"], id="all lines"),
        pytest.param(lambda given: given.readlines(0), [], id="no lines"),
        pytest.param(lambda given: [given.readline(2), given.readline(5)], [b"on", b"e\n"], id="parts of lines"),
        pytest.param(lambda given: [given.readline(0), given.read(0)], [b"", b""], id="nothing"),
        pytest.param(lambda given: [given.readline(), given.read(3), given.read()], [b"one\n", b"\nth", b"ree\n\n\n"],
                     id="a line and the rest"),
        pytest.param(lambda given: [given.read(None), given.read(), given.readline()], [LINES, b"", b""], id="all"),
    ],
)  # fmt: skip
def test_a_body_is_read_as_a_file(
    pieces: list[bytes], read: Callable[[ThreadInput], list[bytes]], expected: list[bytes]
) -> None:
    assert read(given_in(pieces)) == expected


def test_a_line_without_end_is_given_in_parts() -> None:
    given = given_in([b"a" * MAX_BODY_WAITING, b"b\n"])
    assert given.readline() == b"a" * MAX_BODY_WAITING
    assert given.readline() == b"b\n"


def test_a_body_is_read_into_a_buffer() -> None:
    given, buffer = given_in([b"abc", b"d"]), bytearray(2)
    read = [(given.readinto(buffer), bytes(buffer)) for _ in range(4)]
    assert read == [(2, b"ab"), (1, b"cb"), (1, b"db"), (0, b"db")]
