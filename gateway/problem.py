"""What a failure is: its kind, and the exception that carries it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A kind of failure: `code` never changes once released, `title` and `advice` are shown to the public."""

    code: str
    status: HTTPStatus
    title: str
    advice: str


class GatewayError(Exception):
    """A failure that the gateway foresaw.

    `problem` names the kind; `detail` goes to the log and never to the public;
    `retry_after` is in seconds and becomes the header of that name.
    """

    def __init__(self, problem: Problem, detail: str = "", *, retry_after: int | None = None) -> None:
        super().__init__(f"{problem.code}: {detail}" if detail else problem.code)
        self.problem = problem
        self.detail = detail
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        """The stable code of the problem."""
        return self.problem.code


class ProviderUnavailable(GatewayError):
    """The provider could not be asked: sessions live on, and a login may be tried again."""


class TooManyRequests(ProviderUnavailable):
    """The provider has had enough of one user, or of us for one grant: it says nothing about the others."""


class ProviderBusy(ProviderUnavailable):
    """The provider did not take one call (503): it may take the next, and most do who shed load."""


class ConnectionLost(ProviderUnavailable):
    """The provider hung up before it answered a question that may be asked again."""


class InvalidGrant(GatewayError):
    """The provider says that this code or refresh token is worth nothing (RFC 6749 5.2)."""


class StoreUnavailable(GatewayError):
    """The session store could not be asked: nothing may be concluded about any session."""
