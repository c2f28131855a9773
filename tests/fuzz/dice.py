"""Choices out of a handful of bytes: what hypothesis draws is one value, and it shrinks towards the first of each."""

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

SIZE: Final = 64
"""The bytes of one input's choices; when they are used up, the first choice is made."""


class Dice:
    """Makes choices, one after another."""

    def __init__(self, data: bytes) -> None:
        self._rest = int.from_bytes(data, "little")

    def below(self, sides: int) -> int:
        """Choose a number from 0 on."""
        self._rest, number = divmod(self._rest, sides)
        return number

    def pick(self, options: Sequence[T]) -> T:
        """Choose one of them."""
        return options[self.below(len(options))]

    def noise(self) -> bytes:
        """Give some of the remaining bytes as they are."""
        length = self.below(40)
        rest = self._rest % (1 << 8 * length)
        return rest.to_bytes(length, "little")
