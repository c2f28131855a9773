"""What an experiment is, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What was measured, in words, and what was not as it should be."""

    figure: str
    problems: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """One row of the page: what is done, what it must show, and how to do it in a directory of its own."""

    name: str
    what: str
    demand: str
    run: Callable[[Path], Result]
