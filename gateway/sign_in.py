"""What a request is told that needs a login, or a stronger one: the way there, or that there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from werkzeug import Response

from gateway.config import Settings
from gateway.endpoints.form import FormEndpoint
from gateway.endpoints.login import LoginEndpoints
from gateway.endpoints.request import Request
from gateway.oidc.challenge import StepUp
from gateway.policy import bearer_ways
from gateway.responses import Responses
from gateway.route import Route
from gateway.session import Session
from gateway.session_events import session_event
from gateway.telemetry import Kind, Silence, Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Answers in the place of what was asked for: with a redirect where that is a page, else with a 401."""

    settings: Settings
    responses: Responses
    login: LoginEndpoints
    form: FormEndpoint
    telemetry: Telemetry = field(default_factory=Silence)

    def challenge(self, request: Request, routes: Sequence[Route]) -> Response:
        """Ask for a login, and keep the form that was sent without one, where its rule says so."""
        kept = self.form.keep(request) if routes[0].keep_forms else None
        return self.anew(request, routes) if kept is None else kept

    def anew(self, request: Request, routes: Sequence[Route]) -> Response:
        """Ask for a login."""
        # A login ends at the host of `public_url`, and is of no use to a route of other hosts.
        elsewhere = bool(routes[0].hosts) and request.target.host != self.settings.rules.public_host
        if not request.target.navigation or not routes[0].redirect_to_login or elsewhere:
            return self.responses.unauthorized(bearer=bool(bearer_ways(routes)))
        if self.settings.keep_fragment:
            return self.responses.fragment(request.target.raw, accept_language=request.accept_language)
        provider = next((route.provider for route in routes if route.provider), "")
        return self.login.challenge(request, provider, routes[0].requirement.demand)

    def step_up(self, request: Request, route: Route, session: Session, demand: StepUp) -> Response:
        """Ask for a stronger login; raises as `LoginEndpoints.step_up` does (RFC 9470)."""
        told = session_event(Kind.STEP_UP, session, route=route.path, client=request.target.client, detail=str(demand))
        self.telemetry.happened(told)
        if not request.target.navigation or not route.redirect_to_login:
            return self.responses.step_up_required(demand)
        return self.login.step_up(request, session, demand)
