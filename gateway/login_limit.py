"""How many logins a client address may begin."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.client_address import Network, counted_place
from gateway.errors import TOO_MANY_LOGINS, GatewayError
from gateway.limits import Limits

_LEAST = 1e-6
"""What is less than a login by so little is one: times are floats."""

MAX_CLIENTS = 10_000
"""How many addresses are remembered; of more, those are forgotten that were quiet for longest, and may begin anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """How many logins count at `at`, in seconds since the epoch; they are forgotten evenly."""

    logins: float
    at: float


class LoginLimit:
    """Counts logins by address, and by network in IPv6; never those of `shared`, which may stand for many clients."""

    def __init__(self, limits: Limits, *, shared: Sequence[Network], clock: Callable[[], float]) -> None:
        self._most = limits.logins
        self._rate = limits.logins / limits.logins_within
        self._shared = shared
        self._clock = clock
        self._guard = threading.Lock()
        self._clients: OrderedDict[str, _Count] = OrderedDict()

    def count(self, client: str) -> None:
        """Count a login that an address begins, or fails to complete; raises `too_many_logins` where it was too many.

        What is refused counts no further, so that whoever goes on asking gets in at the rate that is allowed.
        """
        place = counted_place(client, self._shared) if self._most else ""
        if not place:
            return
        with self._guard:
            now = self._clock()
            known = self._clients.pop(place, None)
            logins = 0.0 if known is None else max(0.0, known.logins - max(0.0, now - known.at) * self._rate)
            wanted = logins + 1 - self._most - _LEAST
            self._clients[place] = _Count(logins=logins if wanted > 0 else logins + 1, at=now)
            while len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        if wanted > 0:
            wait = max(1, math.ceil(wanted / self._rate))
            raise GatewayError(TOO_MANY_LOGINS, f"from {place}", retry_after=wait)
