"""Which endpoint is at which path: an exact table, but for the one that takes all that is below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from werkzeug import Response

from gateway.config import Settings
from gateway.endpoints.administration import AdministrationEndpoint
from gateway.endpoints.console import ConsoleEndpoint
from gateway.endpoints.form import FormEndpoint
from gateway.endpoints.forward_auth import EXT_AUTHZ, ForwardAuthEndpoint
from gateway.endpoints.keys import KeysEndpoint
from gateway.endpoints.login import LoginEndpoints
from gateway.endpoints.logout import LogoutEndpoints
from gateway.endpoints.request import Request
from gateway.endpoints.session import SessionEndpoints
from gateway.endpoints.single_logout import SingleLogoutEndpoints
from gateway.errors import NOT_FOUND, GatewayError
from gateway.request_context import Environ


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What answers at a path, and the methods that it answers; None is any."""

    methods: tuple[str, ...] | None
    answer: Callable[[Request], Response]


EndpointTable = Mapping[str, Endpoint]
"""Endpoints by path; one whose path ends in a slash is at all paths below it."""


class EndpointsByPath:
    """Finds the endpoint at a path."""

    def __init__(self, table: EndpointTable) -> None:
        self._table = table
        self.paths = tuple(table)
        self._below = tuple((path, endpoint) for path, endpoint in table.items() if path.endswith("/"))

    def at(self, path: str) -> Endpoint | None:
        """Return the endpoint, if there is one."""
        exact = self._table.get(path)
        if exact is not None or not self._below:
            return exact
        return next((endpoint for start, endpoint in self._below if path.startswith(start)), None)

    def place(self, path: str) -> str:
        """Name the place of the endpoint that answers at a path: one name for all that is below it."""
        return path if path in self._table else next((start for start, _ in self._below if path.startswith(start)), "")


PING = "/ping"
READY = "/ready"
_READ = ("GET", "HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """All that answers, by its kind."""

    login: LoginEndpoints
    logout: LogoutEndpoints
    single_logouts: Sequence[SingleLogoutEndpoints]
    session: SessionEndpoints
    forward_auth: ForwardAuthEndpoint
    form: FormEndpoint
    keys: KeysEndpoint
    administration: AdministrationEndpoint
    console: ConsoleEndpoint | None


def is_ping(environ: Environ) -> bool:
    """Tell whether somebody only asks if we live, which is answered whatever else there is to do."""
    return environ.get("PATH_INFO") == PING and not environ.get("SCRIPT_NAME")


def is_ready_question(environ: Environ) -> bool:
    """Tell whether somebody asks how everything is, which is answered within a second whatever hangs."""
    return environ.get("PATH_INFO") == READY and not environ.get("SCRIPT_NAME")


def endpoint_table(settings: Settings, endpoints: Endpoints) -> EndpointTable:
    """Lay out the endpoints by path."""
    prefix, session = settings.prefix, endpoints.session
    return {
        f"{prefix}/start": Endpoint(methods=("GET", "POST"), answer=endpoints.login.start),
        f"{prefix}/sign_in": Endpoint(methods=_READ, answer=endpoints.login.sign_in),
        **_callbacks(settings, endpoints.login),
        **_ext_authz(settings, endpoints.forward_auth),
        f"{prefix}/sign_out": Endpoint(methods=("GET", "POST"), answer=endpoints.logout.sign_out),
        settings.post_logout_path: Endpoint(methods=_READ, answer=endpoints.logout.signed_out),
        **_single_logouts(settings, endpoints.single_logouts),
        f"{prefix}/jwks.json": Endpoint(methods=_READ, answer=endpoints.keys.jwks),
        f"{prefix}/auth": Endpoint(methods=_READ, answer=endpoints.forward_auth.auth),
        f"{prefix}/userinfo": Endpoint(methods=_READ, answer=session.userinfo),
        f"{prefix}/session": Endpoint(methods=_READ, answer=session.session),
        f"{prefix}/refresh": Endpoint(methods=("POST",), answer=session.refresh),
        f"{prefix}/form": Endpoint(methods=("GET",), answer=endpoints.form.again),
        f"{prefix}/admin/sessions": Endpoint(methods=(*_READ, "DELETE"), answer=endpoints.administration.sessions),
        f"{prefix}/console": _console(endpoints.console),
        PING: Endpoint(methods=_READ, answer=session.ping),
        READY: Endpoint(methods=_READ, answer=session.ready),
    }


def _console(endpoint: ConsoleEndpoint | None) -> Endpoint:
    if endpoint is None:
        return Endpoint(methods=None, answer=_nothing)
    return Endpoint(methods=(*_READ, "POST"), answer=endpoint.console)


def _nothing(_: Request) -> Response:
    raise GatewayError(NOT_FOUND, "console.enabled is not set")


def _ext_authz(settings: Settings, endpoint: ForwardAuthEndpoint) -> EndpointTable:
    if not settings.forward_auth.ext_authz:
        return {}
    return {f"{settings.prefix}{EXT_AUTHZ}/": Endpoint(methods=None, answer=endpoint.ext_authz)}


def _single_logouts(settings: Settings, endpoints: Iterable[SingleLogoutEndpoints]) -> EndpointTable:
    table = {}
    for one in endpoints:
        client = one.provider.client
        back, front = client.backchannel_logout_uri, client.frontchannel_logout_uri
        if back:  # A provider without ID tokens has neither.
            table[back.removeprefix(settings.public_url)] = Endpoint(methods=("POST",), answer=one.back_channel)
            table[front.removeprefix(settings.public_url)] = Endpoint(methods=_READ, answer=one.front_channel)
    return table


def _callbacks(settings: Settings, login: LoginEndpoints) -> EndpointTable:
    """Lay out the redirect URIs, one for each provider, which takes the way of answering that it was asked for."""
    table = {}
    for name, provider in settings.providers.items():
        path = provider.client.redirect_uri.removeprefix(settings.public_url)
        # A GET is answered too: a browser that goes back, or a provider that does not do as it was asked.
        methods = ("GET", "POST") if provider.client.expects_form else ("GET",)
        table[path] = Endpoint(methods=methods, answer=partial(login.callback, provider=name))
    return table
