"""One target of the fuzz run, and the running of it: counted, bounded, repeatable by its seed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzz.dice import SIZE, Dice
from gateway.errors import GatewayError
from gateway.oidc.messages import Reply

BATCH: Final = 2_000
"""So many inputs share one memory of what was tried; a longer one only grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is fed with inputs.

    `make` makes one. `check` raises whatever is wrong, and tells whether the input was accepted to the end. `share` is
    the part of a long run.
    """

    name: str
    make: Callable[[Dice], Any]
    check: Callable[[Any], bool]
    share: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """How many inputs there were, and how many of them were accepted."""

    inputs: int
    accepted: int


class Foreseen:
    """Lets a `GatewayError` pass, and those that are documented beside it; anything else is a find."""

    def __init__(self, *others: type[Exception]) -> None:
        self._others = others

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Tell whether what was raised is foreseen."""
        if isinstance(error, GatewayError):
            assert str(error).isprintable(), "a detail that would break out of its line in the log"
            return True
        return isinstance(error, self._others)


def run(target: Target, inputs: int, start: int) -> Count:
    """Feed a target with at least that many inputs; raises the first find, shrunk, with a note that shows it."""
    accepted: list[bool] = []

    def attempt(data: bytes) -> None:
        value = target.make(Dice(data))
        try:
            accepted.append(target.check(value))
        except Exception as error:
            error.add_note(f"{target.name}: {_shown(value):.4000}")
            raise

    while len(accepted) < inputs:
        bounded = settings(
            max_examples=min(BATCH, inputs - len(accepted)),
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        given_data = given(st.binary(min_size=SIZE, max_size=SIZE))
        seed(f"{start} {target.name} {len(accepted)}")(bounded(given_data(attempt)))()
    return Count(inputs=len(accepted), accepted=sum(accepted))


def _shown(value: object) -> str:
    # The repr of a reply leaves out what may be secret, and here that is what matters.
    return f"{value!r} {value.headers!r} {value.body!r}" if isinstance(value, Reply) else repr(value)
