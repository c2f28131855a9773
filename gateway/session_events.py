"""What happened to a session, as it is told."""

from __future__ import annotations

from gateway.session import Session
from gateway.telemetry import OK, Event, Kind


def session_event(
    kind: Kind,
    session: Session | None,
    *,
    outcome: str = OK,
    way: str = "",
    route: str = "",
    client: str = "",
    detail: str = "",
) -> Event:
    """Make an event about a session, or about whoever has none; the members are those of `Event`."""
    return Event(
        kind=kind,
        outcome=outcome,
        way=way,
        provider="" if session is None else session.provider,
        issuer="" if session is None else session.issuer,
        subject="" if session is None else session.subject,
        route=route,
        client=client,
        detail=detail,
    )
