"""A backend that was used before its process forked."""

import os

import pytest
from peers.store_places import SHARED, Place

CLAIMED = 500


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_children_of_a_process_that_used_the_store_claim_each_key_once(place: Place) -> None:
    backend = place.open()
    backend.check()
    reading, writing = os.pipe()
    for _ in range(4):
        if os.fork() == 0:
            won = []
            for number in range(CLAIMED):
                try:
                    if backend.claim(f"k{number}", 60):
                        won.append(number)
                except Exception:  # noqa: BLE001
                    pass
            os.write(writing, b"".join(number.to_bytes(2, "big") for number in won))
            os._exit(0)
    for _ in range(4):
        os.wait()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    won = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
    assert len(won) == len(set(won)), f"{len(won) - len(set(won))} were won twice"
