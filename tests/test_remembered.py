"""What is remembered of short texts, and what is not."""

import pytest

from gateway.remembered import remembered


def test_what_is_known_is_not_made_again_and_what_is_long_or_secret_is_not_kept() -> None:
    made: list[str] = []

    @remembered(longest=4, unless=lambda text: text.startswith("s"))
    def upper(text: str) -> str:
        made.append(text)
        return text.upper()

    for text in ("ab", "ab", "abcde", "abcde", "sec", "sec"):
        assert upper(text) == text.upper()
    assert made == ["ab", "abcde", "abcde", "sec", "sec"]


def test_no_more_is_kept_than_may_be() -> None:
    made: list[str] = []

    @remembered(longest=4, entries=2)
    def same(text: str) -> str:
        made.append(text)
        return text

    for text in ("a", "b", "c", "c", "a"):
        same(text)
    assert made == ["a", "b", "c", "a"]


def test_what_is_raised_is_raised_each_time() -> None:
    @remembered(longest=4)
    def number(text: str) -> int:
        return int(text)

    for _ in range(2):
        with pytest.raises(ValueError, match="invalid"):
            number("x")
