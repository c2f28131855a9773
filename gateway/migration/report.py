"""What is said of a conversion: one line for each option that was given."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.migration.given import Given
from gateway.migration.options import Fate, Option, known_options


class Outcome(enum.Enum):
    """What became of an option that was given."""

    MAPPED = "mapped"
    DIFFERS = "differs"
    NOT_NEEDED = "not needed"
    UNSUPPORTED = "unsupported"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line: an option, what became of it, and where it went or why it did not."""

    option: str
    outcome: Outcome
    text: str

    @property
    def line(self) -> str:
        """The line for people."""
        return f"{self.outcome.value:<12} {self.option}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All lines, in the order of the table."""

    items: tuple[Item, ...]

    @property
    def is_complete(self) -> bool:
        """Whether all that lets somebody pass or keeps somebody out was expressed."""
        return not any(item.outcome in (Outcome.REFUSED, Outcome.UNKNOWN) for item in self.items)


def make_report(given: Given, items: Iterable[Item]) -> Report:
    """Put what converters said in the order of the table; of other options the table itself says it."""
    said = list(items)
    order = {name: number for number, name in enumerate(known_options())}
    named = {item.option for item in said}
    said += [
        _by_table(option, given) for name, option in known_options().items() if name in given.values.keys() - named
    ]
    said += [
        Item(
            option=name,
            outcome=Outcome.UNKNOWN,
            text="oauth2-proxy 7 has no such option; nobody may pass until it is gone",
        )
        for name in given.unknown
    ]
    return Report(items=tuple(sorted(said, key=lambda item: order.get(item.option, -1))))


def restricting(given: Given) -> Iterator[str]:
    """Yield the options that were given and keep somebody out in a way that cannot be expressed, unknown ones too."""
    yield from (
        name for name, option in known_options().items() if _counts(option, given) and option.access == "restricts"
    )
    yield from given.unknown


def _counts(option: Option, given: Given) -> bool:
    return given.values.get(option.name, False) is not False


def _by_table(option: Option, given: Given) -> Item:
    if option.access and _counts(option, given):
        return Item(option=option.name, outcome=Outcome.REFUSED, text=option.note)
    if option.fate is Fate.UNSUPPORTED:
        is_off = not _counts(option, given)
        outcome = Outcome.NOT_NEEDED if is_off else Outcome.UNSUPPORTED
        return Item(option=option.name, outcome=outcome, text="it is off" if is_off else option.note)
    text = ". ".join(part for part in (option.to, option.note) if part)
    return Item(option=option.name, outcome=Outcome(option.fate.value), text=text)
