"""What leaves our memory is sealed (DESIGN 5 rule 4): it opens with its key, purpose and binding, or not at all."""

import secrets
from typing import Final

import pytest

from gateway.sealing import KeyRing, seal, unseal

OLD: Final = "an old secret of at least 32 characters"
NEW: Final = "a new secret, also of at least 32 characters"
RING: Final = KeyRing.of([OLD])
TEXT: Final = b"what is sealed"
BINDING: Final = b"b" * 32
SEALED: Final = seal(RING, "session", TEXT, entropy=secrets.token_bytes, binding=BINDING)


@pytest.mark.parametrize(
    ("plaintext", "binding"),
    [
        pytest.param(b"text", b"", id="without a binding"),
        pytest.param(b"text", BINDING, id="with a binding"),
        pytest.param(b"", b"", id="nothing at all"),
        pytest.param(bytes(range(256)) * 1024, BINDING, id="256 KiB of every octet"),
    ],
)
def test_what_is_sealed_opens_again(plaintext: bytes, binding: bytes) -> None:
    sealed = seal(RING, "session", plaintext, entropy=secrets.token_bytes, binding=binding)
    assert unseal(RING, "session", sealed, binding=binding) == plaintext
    assert not plaintext or plaintext not in sealed


@pytest.mark.parametrize(
    ("ring", "purpose", "binding"),
    [
        pytest.param(RING, "transaction", BINDING, id="another purpose"),
        pytest.param(RING, "session", b"c" * 32, id="another binding"),
        pytest.param(RING, "session", b"", id="the secret without the binding"),
        pytest.param(KeyRing.of([NEW]), "session", BINDING, id="another secret"),
        pytest.param(KeyRing(secrets=((RING.secrets[0][0], NEW.encode()),)), "session", BINDING, id="a forged key id"),
        pytest.param(KeyRing(secrets=()), "session", BINDING, id="no secret"),
    ],
)
def test_nothing_but_the_same_key_purpose_and_binding_opens_it(ring: KeyRing, purpose: str, binding: bytes) -> None:
    assert unseal(RING, "session", SEALED, binding=BINDING) == TEXT
    assert unseal(ring, purpose, SEALED, binding=binding) is None


@pytest.mark.parametrize("index", range(len(SEALED)))
def test_every_changed_byte_is_noticed(index: int) -> None:
    for bit in range(8):
        altered = bytearray(SEALED)
        altered[index] ^= 1 << bit
        assert unseal(RING, "session", bytes(altered), binding=BINDING) is None


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_truncated_value_does_not_open(length: int) -> None:
    assert unseal(RING, "session", SEALED[:length], binding=BINDING) is None


def test_an_extended_value_does_not_open() -> None:
    assert unseal(RING, "session", SEALED + b"\0", binding=BINDING) is None


def test_a_rotated_ring_opens_the_old_and_seals_with_the_new() -> None:
    rotated = KeyRing.of([NEW, OLD])
    assert unseal(rotated, "session", SEALED, binding=BINDING) == TEXT
    sealed = seal(rotated, "session", TEXT, entropy=secrets.token_bytes, binding=BINDING)
    assert unseal(KeyRing.of([NEW]), "session", sealed, binding=BINDING) == TEXT
    assert unseal(KeyRing.of([OLD]), "session", sealed, binding=BINDING) is None


def test_two_keys_of_one_id_are_both_tried() -> None:
    key_id, secret = RING.secrets[0]
    ring = KeyRing(secrets=((key_id, NEW.encode()), (key_id, secret)))
    assert unseal(ring, "session", SEALED, binding=BINDING) == TEXT


def test_the_same_text_is_never_sealed_into_the_same_value() -> None:
    sealed = [seal(RING, "session", TEXT, entropy=secrets.token_bytes, binding=BINDING) for _ in range(100)]
    assert len(set(sealed)) == len(sealed)


def test_the_nonce_is_twelve_bytes_of_the_given_entropy() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return b"n" * size

    assert b"n" * 12 in seal(RING, "session", TEXT, entropy=entropy)
    assert asked == [12]


def test_a_ring_does_not_show_its_secrets() -> None:
    assert OLD not in repr(RING)
