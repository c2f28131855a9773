"""What can be let in at once: by what a worker knows already, without waiting for anything or asking anybody."""

from __future__ import annotations

from gateway.app import Gateway
from gateway.cookies import session_handles
from gateway.endpoints.request import Request
from gateway.endpoints.table import endpoint_at
from gateway.errors import GatewayError
from gateway.inner import Admitted
from gateway.policy import Verdict, asks_who, bearer_ways, fitting_session, is_decided_at_once
from gateway.target import Environ, read_target


def admit_at_once(gateway: Gateway, environ: Environ) -> Admitted | None:
    """Let a request in that can be; None for every other, which `Gateway.outcome` decides on.

    It is the story of `Gateway.outcome` for those whose session is at hand, by the same functions.
    """
    settings = gateway.settings
    if environ["REQUEST_METHOD"] == "OPTIONS" or gateway.is_astray(environ):
        return None
    try:
        target = read_target(environ, settings.trusted_proxies, settings.trusted_hops)
        if endpoint_at(gateway.endpoints, target.path) is not None:
            return None
        routes = gateway.routes.match_all(target)
        if not all(map(is_decided_at_once, routes)) or ("HTTP_AUTHORIZATION" in environ and bearer_ways(routes)):
            return None
        request = Request(target=target, environ=environ)
        handles = session_handles(settings.cookies, request.cookies) if asks_who(routes) else []
        held = gateway.authenticator.session_at_hand(handles)
        if handles and held is None:
            return None
        session = fitting_session(routes, None if held is None else held.session)
        if gateway.decision(routes, session, target).verdict is not Verdict.ALLOW:
            return None
        return gateway.admitted(request, routes[0], session, None if session is None else held)
    except GatewayError:
        return None  # Whoever decides on it will say so, and log it.
