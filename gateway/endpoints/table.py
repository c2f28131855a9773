"""Which endpoint is at which path: an exact table, nothing matched by prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from werkzeug import Response

from gateway.config import Settings
from gateway.endpoints.forward_auth import ForwardAuthEndpoint
from gateway.endpoints.keys import KeysEndpoint
from gateway.endpoints.login import LoginEndpoints
from gateway.endpoints.logout import LogoutEndpoints
from gateway.endpoints.request import Request
from gateway.endpoints.session import SessionEndpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """What answers at a path, and the methods that it answers."""

    methods: tuple[str, ...]
    answer: Callable[[Request], Response]


EndpointTable = Mapping[str, Endpoint]

_READ = ("GET", "HEAD")


def endpoint_table(
    settings: Settings,
    login: LoginEndpoints,
    logout: LogoutEndpoints,
    session: SessionEndpoints,
    forward_auth: ForwardAuthEndpoint,
    keys: KeysEndpoint,
) -> EndpointTable:
    """Lay out the endpoints by path."""
    prefix = settings.prefix
    return {
        f"{prefix}/start": Endpoint(methods=("GET", "POST"), answer=login.start),
        **_callbacks(settings, login),
        f"{prefix}/sign_out": Endpoint(methods=("GET", "POST"), answer=logout.sign_out),
        settings.post_logout_path: Endpoint(methods=_READ, answer=logout.signed_out),
        f"{prefix}/jwks.json": Endpoint(methods=_READ, answer=keys.jwks),
        f"{prefix}/auth": Endpoint(methods=_READ, answer=forward_auth.auth),
        f"{prefix}/userinfo": Endpoint(methods=_READ, answer=session.userinfo),
        f"{prefix}/session": Endpoint(methods=_READ, answer=session.session),
        f"{prefix}/refresh": Endpoint(methods=("POST",), answer=session.refresh),
        "/ping": Endpoint(methods=_READ, answer=session.ping),
        "/ready": Endpoint(methods=_READ, answer=session.ready),
    }


def _callbacks(settings: Settings, login: LoginEndpoints) -> EndpointTable:
    """Lay out the redirect URIs, one for each provider, which takes the way of answering that it was asked for."""
    table = {}
    for name, provider in settings.providers.items():
        path = provider.client.redirect_uri.removeprefix(settings.public_url)
        # A GET is answered too: a browser that goes back, or a provider that does not do as it was asked.
        methods = ("GET", "POST") if provider.client.expects_form else ("GET",)
        table[path] = Endpoint(methods=methods, answer=partial(login.callback, provider=name))
    return table
