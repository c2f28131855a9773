"""Our own endpoints, made of the parts of a gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.administration import Administration
from gateway.assembly import Outside, make_login_limit
from gateway.authenticator import Authenticator
from gateway.bearer import BearerTokens
from gateway.config import Settings
from gateway.console.actions import Actions
from gateway.console.inspector import Inspector
from gateway.console.logins import RecordedLogins
from gateway.console.tape import Recorder
from gateway.console.upstream_call import Forward, UpstreamCalls
from gateway.endpoints.administration import AdministrationEndpoint
from gateway.endpoints.console import ConsoleEndpoint
from gateway.endpoints.form import FormEndpoint
from gateway.endpoints.forward_auth import ForwardAuthEndpoint
from gateway.endpoints.keys import KeysEndpoint
from gateway.endpoints.login import LoginEndpoints
from gateway.endpoints.login_loop import LoopGuard
from gateway.endpoints.logout import LogoutEndpoints
from gateway.endpoints.session import SessionEndpoints
from gateway.endpoints.single_logout import SingleLogoutEndpoints
from gateway.endpoints.table import Endpoints, EndpointsByPath, endpoint_table
from gateway.languages import languages
from gateway.provider import Provider
from gateway.readiness import ReadinessCheck
from gateway.responses import Responses
from gateway.sign_in import SignIn
from gateway.single_logout import SingleLogout
from gateway.store import SessionStore
from gateway.upstream_tokens import UpstreamTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What endpoints are made of."""

    settings: Settings
    authenticator: Authenticator
    responses: Responses
    store: SessionStore
    providers: Mapping[str, Provider]
    tokens: UpstreamTokens
    bearer: BearerTokens
    login: LoginEndpoints
    form: FormEndpoint
    recorder: Recorder | None
    forward: Forward
    outside: Outside


def make_responses(settings: Settings, outside: Outside) -> Responses:
    """Make what answers."""
    return Responses(
        start_path=f"{settings.prefix}/start",
        public_url=settings.public_url,
        entropy=outside.entropy,
        templates=settings.templates,
        languages=languages(settings.locales),
    )


def make_login(
    settings: Settings,
    authenticator: Authenticator,
    store: SessionStore,
    responses: Responses,
    inspector: Inspector | None,
    outside: Outside,
) -> LoginEndpoints:
    """Make what begins and completes logins."""
    return LoginEndpoints(
        settings=settings,
        authenticator=authenticator,
        responses=responses,
        entropy=outside.entropy,
        limit=make_login_limit(settings, outside),
        loops=LoopGuard(
            settings=settings,
            authenticator=authenticator,
            store=store,
            clock=outside.clock,
            entropy=outside.entropy,
            process=outside.process,
        ),
        inspector=inspector,
        telemetry=outside.telemetry,
    )


def make_inspector(
    settings: Settings,
    providers: Mapping[str, Provider],
    store: SessionStore,
    recorder: Recorder | None,
    outside: Outside,
) -> Inspector | None:
    """Make what takes note of logins; None where there is no console that would show them."""
    if recorder is None:
        return None
    return Inspector(
        cookies=settings.cookies,
        recorder=recorder,
        logins=RecordedLogins(store),
        providers=providers,
        clock=outside.clock,
    )


def make_form(settings: Settings, authenticator: Authenticator, responses: Responses, outside: Outside) -> FormEndpoint:
    """Make what keeps a form over a login."""
    return FormEndpoint(
        settings=settings,
        authenticator=authenticator,
        responses=responses,
        entropy=outside.entropy,
        clock=outside.clock,
    )


def make_sign_in(
    settings: Settings, login: LoginEndpoints, form: FormEndpoint, responses: Responses, outside: Outside
) -> SignIn:
    """Make what asks for logins."""
    return SignIn(settings=settings, responses=responses, login=login, form=form, telemetry=outside.telemetry)


def lay_out_endpoints(parts: Parts) -> EndpointsByPath:
    """Make the endpoints, and lay them out by path."""
    settings, authenticator, responses = parts.settings, parts.authenticator, parts.responses
    telemetry = parts.outside.telemetry
    logout = SingleLogout(providers=parts.providers, store=parts.store, telemetry=telemetry)
    issuers = [one.settings.issuer for one in parts.providers.values()]
    endpoints = Endpoints(
        login=parts.login,
        logout=LogoutEndpoints(
            settings=settings,
            authenticator=authenticator,
            responses=responses,
            entropy=parts.outside.entropy,
            telemetry=telemetry,
        ),
        single_logouts=[
            SingleLogoutEndpoints(provider=one, logout=logout, responses=responses) for one in parts.providers.values()
        ],
        session=SessionEndpoints(
            settings=settings,
            authenticator=authenticator,
            responses=responses,
            readiness=_readiness(parts),
            clock=parts.outside.clock,
        ),
        forward_auth=ForwardAuthEndpoint(
            settings=settings,
            authenticator=authenticator,
            bearer=parts.bearer,
            login=parts.login,
            responses=responses,
            tokens=parts.tokens,
            clock=parts.outside.clock,
        ),
        form=parts.form,
        keys=KeysEndpoint(settings=settings, responses=responses),
        administration=AdministrationEndpoint(
            administration=Administration(store=parts.store, issuers=issuers, telemetry=telemetry),
            responses=responses,
            tokens=settings.admin_tokens,
        ),
        console=_console(parts),
    )
    return EndpointsByPath(endpoint_table(settings, endpoints))


def _readiness(parts: Parts) -> ReadinessCheck:
    return ReadinessCheck(
        store=parts.store,
        providers=parts.providers,
        clock=parts.outside.clock,
        is_draining=parts.outside.is_draining,
    )


def _console(parts: Parts) -> ConsoleEndpoint | None:
    if parts.recorder is None:
        return None
    settings, clock = parts.settings, parts.outside.clock
    return ConsoleEndpoint(
        settings=settings,
        authenticator=parts.authenticator,
        responses=parts.responses,
        login=parts.login,
        logins=RecordedLogins(parts.store),
        providers=parts.providers,
        actions=Actions(
            authenticator=parts.authenticator, providers=parts.providers, recorder=parts.recorder, clock=clock
        ),
        upstreams=UpstreamCalls(settings=settings, forward=parts.forward),
        clock=clock,
        entropy=parts.outside.entropy,
    )
