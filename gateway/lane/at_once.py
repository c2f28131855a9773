"""What can be let in at once: by what a worker knows already, without waiting for anything or asking anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.app import Gateway
from gateway.cookies import session_handles
from gateway.endpoints.request import Request
from gateway.errors import GatewayError
from gateway.headers import Headers
from gateway.inner import Admitted
from gateway.lane.incoming import Made
from gateway.policy import Verdict, asks_who, bearer_ways, fitting_session, is_decided_at_once
from gateway.request_context import Environ, RequestContext
from gateway.route import Route
from gateway.store import HeldSession
from gateway.target import read_target
from gateway.upstream_answer import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request says by itself: the rules for its target, and the sessions that it names."""

    request: Request
    routes: Sequence[Route]
    handles: Sequence[bytes]


class Remembered:
    """What was made of a request; good for the same octets on the same connection.

    `admitted` is for the session that it names and for the second `decided_at`; by it, `head` is what the upstream is
    sent, and `answer` what the fields of its answer became.
    """

    __slots__ = ("admitted", "answer", "asked", "decided_at", "head")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.admitted: Admitted | None = None
        self.decided_at = 0
        self.head: bytes | None = None
        self.answer: tuple[Head, Headers] | None = None


class KnownFields:
    """What was made of the fields of a request, for all that have the same ones on the same connection.

    `handles` are of the sessions that they name, `lines` what of them each upstream is sent.
    """

    __slots__ = ("context", "handles", "lines")

    def __init__(self, context: RequestContext, handles: Sequence[bytes]) -> None:
        self.context = context
        self.handles = handles
        self.lines: dict[int, tuple[bytes, int]] = {}


def read_at_once(gateway: Gateway, environ: Environ, fields: Made | None = None) -> Asked | None:
    """Read a request as `Gateway.outcome` would; None for what it has to decide on itself.

    `fields` may know what was made of the same fields before, and is told.
    """
    settings = gateway.settings
    known: KnownFields | None = None if fields is None else fields.made
    if environ["REQUEST_METHOD"] == "OPTIONS" or gateway.is_astray(environ):
        return None
    try:
        context = None if known is None else known.context
        target = read_target(environ, settings.trusted_proxies, settings.trusted_hops, context)
        if gateway.endpoints.at(target.path) is not None:
            return None
        routes = gateway.routes.match_all(target)
    except GatewayError:
        return None  # Whoever decides on it will say so, and log it.
    if not all(map(is_decided_at_once, routes)) or ("HTTP_AUTHORIZATION" in environ and bearer_ways(routes)):
        return None
    request = Request(target=target, environ=environ)
    handles = session_handles(settings.cookies, request.cookies) if known is None else known.handles
    if fields is not None and known is None:
        fields.made = KnownFields(target.context, handles)
    return Asked(request=request, routes=routes, handles=handles if asks_who(routes) else ())


def admit_at_once(
    gateway: Gateway, asked: Asked, held: HeldSession | None, remembered: Remembered | None = None
) -> Admitted | None:
    """Let a request in that can be; None for every other, which `Gateway.outcome` decides on.

    It is the story of `Gateway.outcome` for those to whose session nothing has to be done first, by the same functions.
    """
    now = gateway.now()
    if remembered is not None and remembered.admitted is not None:
        if remembered.admitted.held is held and remembered.decided_at == now:
            return remembered.admitted
        remembered.admitted = remembered.head = remembered.answer = None
    session = fitting_session(asked.routes, None if held is None else held.session)
    if gateway.decision(asked.routes, session, asked.request.target).verdict is not Verdict.ALLOW:
        return None
    try:
        admitted = gateway.admitted(asked.request, asked.routes[0], session, None if session is None else held)
    except GatewayError:
        return None
    if remembered is not None and admitted.held is held and not admitted.passage.is_proven:
        remembered.admitted, remembered.decided_at = admitted, now
    return admitted
