"""What is simulated: crowds with tokens of two lifetimes, and providers in trouble."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scaling.storm import Answer, Crowd, Provider, Storm, rates, simulate, spread, undisturbed

MANY: Final = 1_000_000
FEWER: Final = 100_000
"""Of the crowds before a provider in trouble: every attempt that fails costs time here, too."""

ALWAYS: Final = Provider()
CROWD_HEAD: Final = ("token", "a request each", "jitter", "wave", "98% within", "peak", "p99", "mean")
TROUBLE_HEAD: Final = ("the provider", "asked, peak", "asked, in all", "first renewals done after", "503 to users")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One crowd before one provider, which `what` describes."""

    crowd: Crowd
    what: str = ""
    provider: Provider = ALWAYS

    def run(self) -> Storm:
        """Simulate it."""
        return simulate(self.crowd, self.provider) if self.what else undisturbed(self.crowd)


def _calm(life: int, gap: float, jitter: int) -> Case:
    return Case(crowd=Crowd(sessions=MANY, token_lifetime=life, gap=gap, jitter=jitter))


def _troubled(what: str, provider: Provider) -> Case:
    return Case(crowd=Crowd(sessions=FEWER, token_lifetime=300, gap=60, jitter=30), what=what, provider=provider)


CALM: Final = [
    *(_calm(300, 60, jitter) for jitter in (0, 30, 90)),
    *(_calm(300, 5, jitter) for jitter in (0, 30, 90)),
    *(_calm(3600, 60, jitter) for jitter in (0, 30, 1740)),
]
TROUBLED: Final = [
    _troubled("answers all", Provider()),
    _troubled("is away for two minutes, from the first wave on", Provider(away_from=240, away_seconds=120)),
    _troubled("answers 500 a second, and others 429", Provider(rate=500, beyond=Answer.TOO_MANY)),
    _troubled("answers 500 a second, and others 503", Provider(rate=500, beyond=Answer.BUSY)),
    _troubled(
        "answers 503 to all for two minutes, from the first wave on",
        Provider(away_from=240, away_seconds=120, absence=Answer.BUSY),
    ),
]


def crowd_rows(case: Case, storm: Storm) -> list[Sequence[str]]:
    """Tell of each generation of tokens."""
    crowd = case.crowd
    rows: list[Sequence[str]] = []
    for number, renewed in enumerate(storm.renewed, start=1):
        begin, end = spread(renewed)
        peak, mean, late = rates(renewed)
        given = (f"{crowd.token_lifetime} s", f"{crowd.gap:.0f} s", f"{crowd.jitter} s", str(number))
        rows.append((*given, f"{end - begin} s", f"{peak:,}", f"{late:,}", f"{mean:,.0f}"))
    return rows


def trouble_row(case: Case, storm: Storm) -> Sequence[str]:
    """Tell what a provider in trouble was asked, and what users had of it."""
    peak, _, _ = rates(storm.asked)
    done = spread(storm.renewed[0])[1] - min(storm.asked)
    return (case.what, f"{peak:,}", f"{storm.asked.total():,}", f"{done:,} s", f"{storm.refused.total():,}")


def as_markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
