"""What a provider is asked about tokens that clients bring: nothing while it fails, nothing twice, never too much."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.backoff import Backoff
from gateway.client_address import Network, counted_place
from gateway.errors import PROVIDER_UNREACHABLE, GatewayError, Problem, ProviderUnavailable
from gateway.kept import BACKOFF_SECONDS, Clock, Pause
from gateway.oidc.introspection import Introspection
from gateway.provider import Provider

MAX_CALLS = 8
"""How many questions about unknown tokens are under way at once: who makes tokens up must not flood the provider."""

REFUSED_SECONDS = 10
"""How long a token that was refused is not asked about again."""

MAX_REFUSED = 1_000
"""How many such tokens are remembered; of more, the oldest are forgotten, and asked about again."""

MAX_REFUSED_OF_ONE = 20
"""After how many of them, within as long, nothing more is asked for the same client."""

MAX_CLIENTS = 10_000

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_log = logging.getLogger("gateway.provider")


class Questions:
    """The questions to one provider; one that fails is left alone, for longer each time."""

    def __init__(self, *, provider: Provider, clock: Clock) -> None:
        self._provider = provider
        self._backoff = Backoff(clock)
        self._places = threading.Semaphore(MAX_CALLS)

    def ask(self, token: str) -> Introspection:
        """Ask what a token is worth; raises as `TokenService.introspect` does."""
        self._backoff.check()
        with self._place():
            try:
                answer = self._provider.tokens.introspect(token)
            except ProviderUnavailable as error:
                if self._backoff.begin():  # One line an outage.
                    _log.error("provider %s: tokens cannot be introspected: %s", self._provider.settings.issuer, error)
                wait = error.retry_after or BACKOFF_SECONDS
                raise ProviderUnavailable(error.problem, error.detail, retry_after=wait) from error
            except GatewayError:
                self._note_answer()
                raise
        self._note_answer()
        return answer

    def _note_answer(self) -> None:
        if self._backoff.end():
            _log.warning("provider %s: tokens can be introspected again", self._provider.settings.issuer)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "too many unknown tokens at once", retry_after=1)
        try:
            yield
        finally:
            self._places.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    problem: Problem
    detail: str = field(repr=False)
    pause: Pause


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    refused: int
    pause: Pause


class Refusals:
    """Tokens that were refused, apart from those that are believed, so that no made-up one takes the place of these.

    Of whom they came is counted by address, and by network in IPv6, where anybody has more addresses than we remember;
    never by one of `shared`, which may stand for many clients.
    """

    def __init__(self, clock: Clock, *, shared: Sequence[Network] = ()) -> None:
        self._clock = clock
        self._shared = shared
        self._guard = threading.Lock()
        self._tokens: OrderedDict[Hashable, _Refused] = OrderedDict()
        self._clients: OrderedDict[str, _Count] = OrderedDict()

    def check(self, token: Hashable) -> None:
        """Refuse a token again that was refused a moment ago, in the same words."""
        known = self._tokens.get(token)
        if known is not None and not known.pause.is_over(self._clock()):
            raise GatewayError(known.problem, known.detail)

    def check_client(self, client: str) -> None:
        """Raise `ProviderUnavailable` for a client, by its address, of whom too many were refused."""
        known = self._clients.get(counted_place(client, self._shared))
        left = 0.0 if known is None or known.refused < MAX_REFUSED_OF_ONE else known.pause.left(self._clock())
        if left > 0:
            raise ProviderUnavailable(
                PROVIDER_UNREACHABLE, f"too many unknown tokens of {client}", retry_after=max(1, int(left))
            )

    def note(self, token: Hashable, client: str, error: GatewayError) -> None:
        """Remember that a token was refused, and who brought it."""
        pause = Pause(began_at=self._clock(), seconds=REFUSED_SECONDS)
        with self._guard:
            _put(self._tokens, token, _Refused(problem=error.problem, detail=error.detail, pause=pause), MAX_REFUSED)
            place = counted_place(client, self._shared)
            if place:
                earlier = self._clients.get(place)
                if earlier is None or earlier.pause.is_over(pause.began_at):
                    earlier = _Count(refused=0, pause=pause)
                _put(self._clients, place, _Count(refused=earlier.refused + 1, pause=earlier.pause), MAX_CLIENTS)


def _put(entries: OrderedDict[K, V], key: K, value: V, most: int) -> None:
    entries.pop(key, None)
    entries[key] = value
    while len(entries) > most:
        entries.popitem(last=False)
