"""A step that is done again and again by one thread of its own, for as long as there is something to do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gateway.unforeseen import log_unforeseen

_PAUSE_AFTER_ERROR = 1.0
_log = logging.getLogger("gateway")


class Background:
    """Runs a step, which returns after how many seconds it wants to run again, or None when nothing is left to do.

    The thread is begun by `wake` and not before: a process that forks workers must not leave it behind.
    """

    def __init__(self, name: str, step: Callable[[], float | None]) -> None:
        self._name = name
        self._step = step
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked = False

    def wake(self, after: float = 0.0) -> None:
        """Have the step run after so many seconds, or when it was to run anyway."""
        with self._guard:
            self._asked = True
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, args=[after], name=self._name, daemon=True)
                self._thread.start()

    def _run(self, after: float) -> None:
        pause: float | None = after
        while self._goes_on(pause):
            time.sleep(pause or 0.0)
            try:
                pause = self._step()
            except Exception as error:  # noqa: BLE001 - the thread must outlive whatever it was.
                log_unforeseen(_log, f"{self._name}: an error that nobody foresaw", error)
                pause = _PAUSE_AFTER_ERROR

    def _goes_on(self, pause: float | None) -> bool:
        with self._guard:
            if pause is None and not self._asked:
                self._thread = None
                return False
            self._asked = False
            return True
