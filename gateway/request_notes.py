"""What becomes known of a request on its way, for whoever is told of it when it has been answered."""

from __future__ import annotations

from collections.abc import Callable

from gateway.headers import Headers, without
from gateway.request_context import Environ
from gateway.route import Route
from gateway.session import Session
from gateway.telemetry import NO_TAG, OK, Decision, Tag
from gateway.trace_context import passed_on

NOTES_KEY = "gateway.notes"
"""Where the notes of a request are in its environ; no client can write there, and no inner app sees them."""


class Notes:
    """The notes of one request; `client` is the address of the user agent, times are seconds since the epoch.

    They begin with a refusal, as everything does that nobody has allowed.
    """

    __slots__ = (
        "began_at",
        "client",
        "clock",
        "code",
        "decision",
        "route",
        "session",
        "tag",
        "upstream",
        "upstream_began_at",
        "upstream_outcome",
        "upstream_seconds",
    )  # fmt: skip

    def __init__(self, tag: Tag, clock: Callable[[], float]) -> None:
        self.tag = tag
        self.clock = clock
        self.began_at = clock()
        self.client = ""
        self.route = ""
        self.decision = Decision.REFUSE
        self.code = ""
        self.session: Session | None = None
        self.upstream = ""
        self.upstream_began_at = 0.0
        self.upstream_seconds = 0.0
        self.upstream_outcome = OK

    def decided(self, decision: Decision, route: str) -> None:
        """Note what was made of the request, and by which rule, or at which endpoint."""
        self.decision, self.route = decision, route

    def admitted(self, client: str, route: Route, session: Session | None) -> None:
        """Note that the request was let in."""
        self.client, self.route, self.session, self.upstream = client, route.path, session, route.upstream
        self.decision, self.code = Decision.ALLOW, ""

    def upstream_begins(self) -> None:
        """Note that the inner app is asked."""
        self.upstream_began_at = self.clock()

    def upstream_ends(self, outcome: str = OK) -> None:
        """Note that it has begun its answer, or has failed; the first word of it holds."""
        if self.upstream_began_at and not self.upstream_seconds:
            self.upstream_seconds = max(1e-6, self.clock() - self.upstream_began_at)
            self.upstream_outcome = outcome


def _no_clock() -> float:
    return 0.0


NO_NOTES = Notes(NO_TAG, _no_clock)
"""Stands where the notes of a request have not begun."""


def notes_of(environ: Environ) -> Notes:
    """Return the notes of a request, or some that nobody will read."""
    notes = environ.get(NOTES_KEY)
    return notes if isinstance(notes, Notes) else Notes(NO_TAG, _no_clock)


def tag_fields(tag: Tag) -> Headers:
    """Make the fields by which an upstream knows a request as we do; the client's are left out by `without_tag`."""
    if not tag.request_id:
        return []
    return [("x-request-id", tag.request_id), *([("traceparent", tag.trace)] if tag.trace else [])]


def without_tag(headers: Headers, tag: Tag) -> Headers:
    """Keep of the client's fields what goes on beside `tag_fields`: none of these, and no trace that ends here."""
    kept = without(headers, tag_fields(tag))
    return passed_on(kept, tag.parent) if tag.trace else kept
