"""The entry of a session: what can be read of it without opening it, and what is no entry."""

import json
import struct
from typing import Final

import pytest

from gateway.backends.base import TAG_BYTES
from gateway.envelope import Card, Envelope, pack, unpack

CARD: Final = Card(
    realm="r", id="s1", provider="default", subject="u", login="l", marks=("", "m", ""),
    created_at=1, seen_at=2, ends_at=3,
)  # fmt: skip
ENVELOPE: Final = Envelope(tag=b"t" * TAG_BYTES, card=CARD, sealed=b"\x00sealed\xff")
MEMBERS: Final = {
    "realm": "r", "id": "s1", "provider": "default", "subject": "u", "login": "l", "marks": ["", "m", ""],
    "created_at": 1, "seen_at": 2, "ends_at": 3,
}  # fmt: skip


def entry(members: object) -> bytes:
    text = members if isinstance(members, bytes) else json.dumps(members).encode()
    return b"t" * TAG_BYTES + struct.pack(">H", len(text)) + text + b"sealed"


def test_an_entry_comes_back_as_it_was_written() -> None:
    assert unpack(pack(ENVELOPE)) == ENVELOPE
    assert pack(ENVELOPE)[:TAG_BYTES] == ENVELOPE.tag


def test_the_table_begins_from_an_honest_entry() -> None:
    found = unpack(entry(MEMBERS))
    assert found is not None
    assert found.card == CARD


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"t" * TAG_BYTES, id="a tag alone"),
        pytest.param(b"t" * TAG_BYTES + b"\xff\xff{}", id="a length past the end"),
        pytest.param(entry(b"not JSON"), id="no JSON"),
        pytest.param(entry([]), id="a list"),
        pytest.param(entry(None), id="null"),
        pytest.param(entry({}), id="nothing in it"),
        pytest.param(entry({**MEMBERS, "more": 1}), id="a member of a later version"),
        pytest.param(entry({**MEMBERS, "id": 1}), id="a number for a text"),
        pytest.param(entry({**MEMBERS, "ends_at": "3"}), id="a text for a time"),
        pytest.param(entry({**MEMBERS, "ends_at": True}), id="a truth for a time"),
        pytest.param(entry({**MEMBERS, "ends_at": 10**18}), id="a time after all calendars"),
        pytest.param(entry({**MEMBERS, "created_at": -1}), id="a time before the epoch"),
        pytest.param(entry({**MEMBERS, "provider": "op\x1b[2J"}), id="a text that moves a terminal's cursor"),
        pytest.param(entry({**MEMBERS, "id": "s1\n"}), id="a text of two lines"),
        pytest.param(entry({**MEMBERS, "marks": ["\u202e"]}), id="a text that turns what follows it round"),
        pytest.param(entry({**MEMBERS, "marks": None}), id="no marks"),
        pytest.param(entry({**MEMBERS, "marks": [1]}), id="marks that are no texts"),
        pytest.param(entry(b"[" * 60_000), id="deep"),
        pytest.param(b"\x80\x04N." * 20, id="a pickle"),
    ],
)
def test_what_this_version_did_not_write_is_no_entry(data: bytes) -> None:
    assert unpack(data) is None
