"""A refresh storm: sessions that began in the same minute, and what their renewals are to the provider."""

import hashlib
import heapq
import random
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from gateway.backoff import Backoff
from gateway.errors import PROVIDER_UNREACHABLE, ProviderBusy, ProviderUnavailable, TooManyRequests
from gateway.oidc.retry_after import UNSAID_SECONDS
from gateway.session import Lifetimes

LEEWAY: Final = 60
"""`session.refresh_leeway` as it is by default."""

GENERATIONS: Final = 3


class Answer(Enum):
    """What the provider answers a refresh: new tokens, 429, 503, or nothing."""

    TOKENS = "tokens"
    TOO_MANY = "429"
    BUSY = "503"
    NONE = "none"


FAILURES: Final = {
    Answer.TOO_MANY: TooManyRequests(PROVIDER_UNREACHABLE, retry_after=UNSAID_SECONDS),
    Answer.BUSY: ProviderBusy(PROVIDER_UNREACHABLE, retry_after=UNSAID_SECONDS),
    Answer.NONE: ProviderUnavailable(PROVIDER_UNREACHABLE, retry_after=UNSAID_SECONDS),
}
"""What `raise_if_unavailable` and the transport raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Answers `rate` refreshes a second, `beyond` to any more, and `absence` while it is away; times are seconds."""

    rate: int | None = None
    beyond: Answer = Answer.TOKENS
    away_from: int = 0
    away_seconds: int = 0
    absence: Answer = Answer.NONE

    def answer(self, second: int, number: int) -> Answer:
        """Answer the refresh that is the `number`th of its second."""
        if self.away_from <= second < self.away_from + self.away_seconds:
            return self.absence
        return self.beyond if self.rate is not None and number > self.rate else Answer.TOKENS


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who is signed in: times are seconds, `gap` is the mean between two requests of a session, which come by chance.

    Any of `processes` may get a request, as behind a load balancer that knows no sessions.
    """

    sessions: int
    token_lifetime: int
    jitter: int
    gap: float
    sign_ins_last: int = 60
    processes: int = 16
    seed: int = 1

    @property
    def lifetimes(self) -> Lifetimes:
        """The settings of the session."""
        return Lifetimes(idle=1800, absolute=43200, refresh_leeway=LEEWAY, refresh_jitter=self.jitter)


@dataclass(slots=True, kw_only=True)
class Storm:
    """What came of it, by the second: refreshes that were asked for, tokens by generation, requests that got 503."""

    asked: Counter[int] = field(default_factory=Counter)
    renewed: list[Counter[int]] = field(default_factory=lambda: [Counter() for _ in range(GENERATIONS)])
    refused: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class _Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def due_at(name: str, issued_at: int, expires_at: int, lifetimes: Lifetimes) -> int:
    """Tell the first second in which `Session.needs_refresh` says yes, by the arithmetic that it has.

    A million sessions would take too long; `tests/test_scaling.py` holds this against them.
    """
    half = (expires_at - issued_at) // 2
    leeway = min(lifetimes.refresh_leeway, half)
    digest = hashlib.sha256(f"{name} {issued_at}".encode()).digest()
    chance = int.from_bytes(digest[:4]) / 2**32
    return expires_at - leeway - int(chance * min(lifetimes.refresh_jitter, half - leeway))


def session_name(number: int) -> str:
    """Name a session."""
    return f"{number:032x}"


def undisturbed(crowd: Crowd) -> Storm:
    """Follow each session as `simulate` does, before a provider that answers all: then they are alone with it."""
    chance, storm, lifetimes = random.Random(crowd.seed), Storm(), crowd.lifetimes
    for number in range(crowd.sessions):
        name, issued = session_name(number), chance.randrange(crowd.sign_ins_last)
        for renewed in storm.renewed:
            due = due_at(name, issued, issued + crowd.token_lifetime, lifetimes)
            issued = int(due + chance.expovariate(1 / crowd.gap))
            renewed[issued] += 1
    storm.asked = sum(storm.renewed, Counter())
    return storm


def simulate(crowd: Crowd, provider: Provider) -> Storm:
    """Follow each session until it has been renewed so many times; an answer takes no time."""
    chance, clock, storm = random.Random(crowd.seed), _Clock(), Storm()
    backoffs = [Backoff(clock) for _ in range(crowd.processes)]
    life, lifetimes, rate = crowd.token_lifetime, crowd.lifetimes, 1 / crowd.gap
    issued = [chance.randrange(crowd.sign_ins_last) for _ in range(crowd.sessions)]
    generations = bytearray(crowd.sessions)

    def next_use(number: int) -> float:
        due = due_at(session_name(number), issued[number], issued[number] + life, lifetimes)
        return due + chance.expovariate(rate)

    requests = [(next_use(number), number) for number in range(crowd.sessions)]
    heapq.heapify(requests)
    while requests:
        clock.now, number = requests[0]
        second = int(clock.now)
        backoff = backoffs[chance.randrange(crowd.processes)]
        if _is_renewed(storm, backoff, session_name(number), second, provider):
            storm.renewed[generations[number]][second] += 1
            generations[number] += 1
            if generations[number] == GENERATIONS:
                heapq.heappop(requests)
                continue
            issued[number] = second
            heapq.heapreplace(requests, (next_use(number), number))
        else:
            storm.refused[second] += second >= issued[number] + life
            heapq.heapreplace(requests, (clock.now + chance.expovariate(rate), number))
    return storm


def _is_renewed(storm: Storm, backoff: Backoff, name: str, second: int, provider: Provider) -> bool:
    # What gateway.provider.Provider.refresh does around a call, and with what is answered.
    try:
        backoff.check(name)
    except ProviderUnavailable:
        return False
    storm.asked[second] += 1
    answer = provider.answer(second, storm.asked[second])
    if answer is Answer.TOKENS:
        backoff.end()
    else:
        backoff.note(FAILURES[answer], name)
    return answer is Answer.TOKENS


def spread(counts: Counter[int], percent: int = 98) -> tuple[int, int]:
    """Tell the first second and the one after the last in which the middle so many percent of all fall."""
    total, seen = counts.total(), 0
    low, high = total * (100 - percent) / 200, total * (100 + percent) / 200
    begin, end = min(counts), max(counts)
    for second in sorted(counts):
        if seen <= low:
            begin = second
        seen += counts[second]
        if seen >= high:
            end = second
            break
    return begin, end + 1


def rates(counts: Counter[int]) -> tuple[int, float, int]:
    """Tell peak, mean and the 99th in 100 of the seconds in which the middle 98% fall."""
    begin, end = spread(counts)
    seconds = sorted(counts[second] for second in range(begin, end))
    return max(counts.values()), sum(seconds) / len(seconds), seconds[len(seconds) * 99 // 100]
