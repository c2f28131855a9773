"""The gateway: `Gateway.__call__` is the story of a request."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

from werkzeug import Response

from gateway.admission import Admission
from gateway.assembly import (
    Outside,
    make_authenticator,
    make_bearer,
    make_providers,
    make_store,
    make_teller,
    make_upstreams,
)
from gateway.bearer import insufficient
from gateway.config import Settings, load_settings, parse_settings, wrapping
from gateway.console.tape import Recorder
from gateway.cookies import session_handles
from gateway.cors import Cors
from gateway.endpoint_assembly import (
    Parts,
    lay_out_endpoints,
    make_form,
    make_inspector,
    make_login,
    make_responses,
    make_sign_in,
)
from gateway.endpoints.request import Request
from gateway.endpoints.table import Endpoint
from gateway.errors import ACCESS_DENIED, INTERNAL, METHOD_REFUSED, STORE_PER_PROCESS, GatewayError
from gateway.failures import Failures
from gateway.headers import Headers
from gateway.identity import Identities
from gateway.inner import Admitted, nothing_here
from gateway.open_streams import OpenStreams
from gateway.policy import SAFE_METHODS, Decision, RouteTable, Verdict, asks_who, decide_all, fitting_session
from gateway.reactions import Reactions, is_repeatable
from gateway.request_context import Environ
from gateway.request_notes import notes_of
from gateway.route import Route, Token
from gateway.session import Session
from gateway.shedding import Shedding
from gateway.sinks import make_wrapping_telemetry
from gateway.store import HeldSession
from gateway.target import RequestTarget, read_target
from gateway.telemetry import Decision as Decided
from gateway.unforeseen import problem_of
from gateway.upstream_tokens import UpstreamTokens


class Gateway:
    """A WSGI middleware: what passes it is signed in, or on a route that says otherwise."""

    def __init__(self, settings: Settings, app: WSGIApplication | None, outside: Outside) -> None:
        self.settings = settings
        recorder = Recorder(outside.clock) if settings.console.enabled else None
        self.providers = make_providers(settings, outside, recorder)
        self.store = make_store(settings, outside)
        self.authenticator = make_authenticator(settings, self.providers, self.store, outside)
        self._bearer = make_bearer(settings, self.providers, self.store, outside)
        self.tokens = UpstreamTokens(providers=self.providers, clock=outside.clock, entropy=outside.entropy)
        self.cors = Cors(settings.cors_origins)
        self._clock = outside.clock
        self._responses = make_responses(settings, outside)
        self.failures = Failures(self._responses, outside.telemetry, outside.clock)
        self._shedding = Shedding(settings.limits.requests, self.failures, self.cors)
        self.teller = make_teller(settings, outside)
        inspector = make_inspector(settings, self.providers, self.store, recorder, outside)
        self._login = make_login(settings, self.authenticator, self.store, self._responses, inspector, outside)
        form = make_form(settings, self.authenticator, self._responses, outside)
        self._sign_in = make_sign_in(settings, self._login, form, self._responses, outside)
        self.endpoints = lay_out_endpoints(
            Parts(
                settings=settings,
                authenticator=self.authenticator,
                responses=self._responses,
                store=self.store,
                providers=self.providers,
                tokens=self.tokens,
                bearer=self._bearer,
                login=self._login,
                form=form,
                recorder=recorder,
                forward=self.outcome,
                outside=outside,
            )
        )
        self.upstreams = make_upstreams(settings, outside)
        self.routes = RouteTable(settings.routes, settings.default_route)
        self._admission = Admission(
            settings=settings,
            tokens=self.tokens,
            identities=Identities.of(settings, clock=outside.clock, entropy=outside.entropy),
            streams=OpenStreams(self.authenticator.has_session, clock=outside.clock),
            inner={**self.upstreams, "": app or nothing_here},
        )

    @classmethod
    def from_config(
        cls, source: str | Path | Mapping[str, object], *, outside: Outside | None = None
    ) -> Callable[[WSGIApplication | None], Gateway]:
        """Read a configuration, a file's path or a mapping, and return what wraps an app in a gateway.

        The environment's GATEWAY_* are laid over it. Raises `ConfigurationError`; what it returns does, too, and
        `StoreUnavailable`.
        """
        if isinstance(source, Mapping):
            settings = parse_settings(source, os.environ)
        else:
            settings = load_settings(str(source), os.environ)
        given = outside or Outside(telemetry=make_wrapping_telemetry(settings))
        return lambda app: cls(settings if app is None else wrapping(settings), app, given)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or hand it to the inner app."""
        return self.teller.around(self._taken_on, environ, start_response)

    def _taken_on(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return self._shedding.around(self._respond, environ, start_response)

    def _respond(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        return self.answer(self.outcome(environ), environ, start_response)

    def outcome(self, environ: Environ) -> Response | Admitted:
        """Decide what becomes of a request; whatever goes wrong in deciding, nothing is let in."""
        try:
            return self.cors.preflight(environ) or self._decide(environ)
        except Exception as error:  # noqa: BLE001 - fails closed whatever it was.
            return self.failures.answer(environ, problem_of(error))

    def answer(
        self, outcome: Response | Admitted, environ: dict[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        """Act on what was decided."""
        start_response = self.cors.answering(environ, start_response)
        if isinstance(outcome, Response):
            return outcome(environ, start_response)
        try:
            return outcome(start_response)
        except GatewayError as error:
            return self.failures.answer(environ, error)(environ, start_response)

    def _decide(self, environ: Environ) -> Response | Admitted:
        if self.is_astray(environ):
            raise GatewayError(STORE_PER_PROCESS, "session.store.type: memory serves one process; use file or redis")
        target = read_target(environ, self.settings.trusted_proxies, self.settings.trusted_hops)
        request, notes = Request(target=target, environ=environ), notes_of(environ)
        notes.client = target.client
        endpoint = self.endpoints.at(target.path)
        if endpoint is not None:
            notes.decided(Decided.ENDPOINT, self.endpoints.place(target.path))
            return self._answered(request, endpoint)
        routes = self.routes.match_all(target)
        notes.route = routes[0].path
        client = self._bearer.session(environ.get("HTTP_AUTHORIZATION"), routes, target.client)
        if client is not None:
            return self._judged_client(request, routes, client)
        return self._judged(request, routes, self._held(request) if asks_who(routes) else None)

    def is_astray(self, environ: Environ) -> bool:
        """Tell whether sessions are in this process alone, and others serve, too."""
        return self.settings.store.type == "memory" and bool(environ.get("wsgi.multiprocess"))

    def _judged_client(self, request: Request, routes: Sequence[Route], client: Session) -> Response | Admitted:
        """Decide by the token alone: never a redirect, never a cookie, and no other session in its place."""
        if fitting_session(routes, client) is None:
            raise GatewayError(ACCESS_DENIED, f"a token of the provider {client.provider}")
        decision = self.decision(routes, client, request.target, ambient=False)
        if decision.verdict is Verdict.ALLOW:
            return self.admitted(request, routes[0], client)
        if decision.step_up is not None:
            return self._responses.step_up_required(decision.step_up)
        return self.failures.answer(request.environ, insufficient(_refusal(decision), routes, client))

    def _judged(
        self, request: Request, routes: Sequence[Route], held: HeldSession | None, *, renewed: bool = False
    ) -> Response | Admitted:
        session = fitting_session(routes, None if held is None else held.session)
        decision = self.decision(routes, session, request.target)
        if decision.verdict is Verdict.ALLOW:
            return self.admitted(request, routes[0], session, None if session is None else held, renewed=renewed)
        notes = notes_of(request.environ)
        notes.session = session
        if decision.verdict is Verdict.LOGIN:
            notes.decided(Decided.LOGIN, routes[0].path)
            return self._sign_in.challenge(request, routes)
        if decision.step_up is not None and session is not None:
            notes.decided(Decided.STEP_UP, routes[0].path)
            return self._sign_in.step_up(request, routes[0], session, decision.step_up)
        return self.failures.answer(request.environ, _refusal(decision))

    def decision(
        self, routes: Sequence[Route], session: Session | None, target: RequestTarget, *, ambient: bool = True
    ) -> Decision:
        """Decide by the rules."""
        url = self.settings.public_url
        return decide_all(routes, session, target, public_origin=url, now=self.now(), ambient=ambient)

    def now(self) -> int:
        """Tell the second since the epoch, by which decisions are made."""
        return int(self._clock())

    def _answered(self, request: Request, endpoint: Endpoint) -> Response:
        if endpoint.methods is None or request.target.method in endpoint.methods:
            return endpoint.answer(request)
        response = self.failures.answer(request.environ, GatewayError(METHOD_REFUSED, request.target.method))
        response.headers["Allow"] = ", ".join(endpoint.methods)
        return response

    def _held(self, request: Request) -> HeldSession | None:
        return self.authenticator.current_session(session_handles(self.settings.cookies, request.cookies))

    def admitted(
        self,
        request: Request,
        route: Route,
        session: Session | None,
        held: HeldSession | None = None,
        *,
        renewed: bool = False,
    ) -> Admitted:
        """Let a request in that was allowed; raises as `Admission.authorization` does."""
        notes_of(request.environ).admitted(request.target.client, route, session)
        authorization = self._admission.authorization(request, route, session)
        react = None
        if held is not None:
            react = partial(self._react, request, route, held, authorization, renewed)
        return self._admission.admitted(request, route, session, held, authorization, react)

    def _react(
        self,
        request: Request,
        route: Route,
        held: HeldSession,
        authorization: Headers,
        renewed: bool,  # noqa: FBT001 - bound by position.
        status: int,
        headers: Headers,
    ) -> Response | Admitted | None:
        proven = any(name == "dpop" for name, _ in authorization)
        again = proven and is_repeatable(request.environ)
        renews = route.token is Token.ACCESS_TOKEN and not renewed
        navigation = request.target.navigation and route.redirect_to_login
        react = Reactions(
            remember_nonce=partial(self.tokens.remember_nonce, route.upstream) if proven else None,
            prove=partial(self.admitted, request, route, held.session, held, renewed=renewed) if again else None,
            renew=partial(self._renewed, request, route, held) if renews else None,
            step_up=partial(self._login.step_up, request, held.session) if navigation else None,
        )
        try:
            return react(status, headers)
        except GatewayError:
            raise
        except Exception as error:
            raise problem_of(error) from error

    def _renewed(self, request: Request, route: Route, held: HeldSession) -> Response | Admitted | None:
        renewed = self.authenticator.after_rejection(held)
        if renewed is None:
            return self._sign_in.anew(request, [route])  # A form is gone, and cannot be kept.
        same = renewed.session.access_token == held.session.access_token
        repeats = request.target.method in SAFE_METHODS and is_repeatable(request.environ)
        if same or not repeats:
            return None
        # With the tokens, what is said of the user may be new, too.
        routes = self.routes.match_all(request.target)
        return self._judged(request, routes, renewed, renewed=True)


def _refusal(decision: Decision) -> GatewayError:
    return GatewayError(decision.problem or INTERNAL, decision.detail)
