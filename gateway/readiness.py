"""Whether logins and sessions can be served, and how each part is that they need."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from gateway.config_model import DEFAULT_PROVIDER
from gateway.errors import INTERNAL, PROVIDER_UNREACHABLE, STORE_DOWN, GatewayError
from gateway.kept import AtHand
from gateway.provider import Provider
from gateway.store import Clock, SessionStore
from gateway.unforeseen import log_unforeseen

PATIENCE_SECONDS = 0.8
"""How long an answer waits for its parts: those who probe often wait for one second, and no longer."""

FRESH_SECONDS = 1.0
"""For how long what a part said stands for what it would say."""

READY = "ready"
DRAINING = "draining"

_log = logging.getLogger("gateway")

Part = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How the parts are, by their names; each has a `status`, which is `ready` or a stable code."""

    ready: bool
    parts: Mapping[str, object]


class _Question:
    """Asks a part how it is, in a thread of its own: once at a time, and not again while the answer is fresh."""

    def __init__(self, check: Callable[[], None], clock: Clock) -> None:
        self._check = check
        self._clock = clock
        self._guard = threading.Lock()
        self._asked_at = 0.0
        self._patience_ends = 0.0
        self._answer: Future[str] = Future()
        self._answer.set_result("")

    def ask(self) -> None:
        """Have it asked, where that is due."""
        with self._guard:
            is_fresh = 0 <= self._clock() - self._asked_at < FRESH_SECONDS
            if self._answer.done() and not is_fresh:
                self._asked_at, self._patience_ends = self._clock(), time.monotonic() + PATIENCE_SECONDS
                self._answer = Future()
                try:
                    threading.Thread(target=self._run, args=[self._answer], name="gateway-ready", daemon=True).start()
                except RuntimeError:  # There may be room for a thread the next time.
                    self._answer.set_result(INTERNAL.code)

    def code(self, silent: str) -> str:
        """Return the code that it answers, empty where it works; `silent` where it does not answer soon.

        Whoever comes later does not wait anew for a part that hangs.
        """
        answer = self._answer
        try:
            return answer.result(max(0.0, self._patience_ends - time.monotonic()))
        except TimeoutError:
            return silent

    def _run(self, answer: Future[str]) -> None:
        try:
            self._check()
        except GatewayError as error:
            answer.set_result(error.code)
        except Exception as error:  # noqa: BLE001 - the next one who asks must find an answer, whatever it was.
            log_unforeseen(_log, "an error that nobody foresaw", error)
            answer.set_result(INTERNAL.code)
        else:
            answer.set_result("")


class ReadinessCheck:
    """Looks at the store, by writing and reading, and at what is at hand of each provider.

    Providers are asked for what is not known or is old, by the rules for everybody else, which leave one that fails
    alone for a while.
    """

    def __init__(
        self,
        *,
        store: SessionStore,
        providers: Mapping[str, Provider],
        clock: Clock,
        is_draining: Callable[[], bool],
    ) -> None:
        self._store = _Question(store.check, clock)
        self._providers = {_name(name): one for name, one in providers.items()}
        self._questions = [_Question(one.check, clock) for one in providers.values()]
        self._is_draining = is_draining

    def look(self) -> Readiness:
        """Tell how everything is, within PATIENCE_SECONDS.

        Not ready is a gateway that ends, whose store fails, or that has not known any of its providers since it began:
        one that is known may fail for a while, and the sessions that there are go on.
        """
        if self._is_draining():
            return Readiness(ready=False, parts={"gateway": {"status": DRAINING}})
        for one in (self._store, *self._questions):
            one.ask()
        store = self._store.code(silent=STORE_DOWN.code)
        for one in self._questions:
            one.code(silent=PROVIDER_UNREACHABLE.code)  # What it came to is at hand by then, or what was before.
        looks = {name: _look(one) for name, one in self._providers.items()}
        return Readiness(
            ready=not store and any(known for known, _ in looks.values()),
            parts={"store": {"status": store or READY}, **{name: part for name, (_, part) in looks.items()}},
        )


def _look(provider: Provider) -> tuple[bool, Part]:
    metadata, keys = provider.published.metadata_at_hand(), provider.published.keys_at_hand()
    if metadata.value is None:
        code = _status(metadata)
        return False, {"metadata": code, "keys": code}
    if metadata.value.jwks_uri is None:  # One that issues no ID tokens, say.
        return True, {"metadata": _status(metadata)}
    return keys.value is not None, {"metadata": _status(metadata), "keys": _status(keys)}


def _status(found: AtHand[object]) -> Part:
    code = None if found.error is None else found.error.code
    if found.value is None:
        return {"status": code or PROVIDER_UNREACHABLE.code}
    return {"status": READY, "age": found.age} | ({} if code is None else {"failing": code})


def _name(provider: str) -> str:
    return "provider" if provider == DEFAULT_PROVIDER else f"provider {provider}"
