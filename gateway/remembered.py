"""Remembering what was made of short texts that come again and again, as the names of header fields do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", str, bytes)
V = TypeVar("V")


class remembered:  # noqa: N801 - a decorator.
    """Has a pure function keep its last results; whatever it raises is raised anew each time.

    Texts above `longest`, with which memory could be filled up, are not kept, nor those that are `unless`.
    """

    def __init__(self, *, longest: int, entries: int = 1024, unless: Callable[[Any], bool] | None = None) -> None:
        self.longest = longest
        self.entries = entries
        self.unless = unless

    def __call__(self, make: Callable[[T], V]) -> Callable[[T], V]:
        """Decorate the function."""
        return _Results(make, self).__getitem__


class _Results(dict[T, V]):
    """What is known costs one look-up and no call of ours: the functions that use this are called for each field."""

    def __init__(self, make: Callable[[T], V], rules: remembered) -> None:
        super().__init__()
        self._make: Callable[[T], V] = make
        self._rules = rules

    def __missing__(self, text: T) -> V:
        made: V = self._make(text)
        rules = self._rules
        if len(text) <= rules.longest and not (rules.unless is not None and rules.unless(text)):
            if len(self) >= rules.entries:
                self.clear()
            self[text] = made
        return made
