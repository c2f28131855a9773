"""Which endpoint is at which path: an exact table, nothing matched by prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from werkzeug import Response

from gateway.config import Settings
from gateway.endpoints.forward_auth import ForwardAuthEndpoint
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
) -> EndpointTable:
    """Lay out the endpoints by path."""
    prefix = settings.prefix
    return {
        f"{prefix}/start": Endpoint(methods=("GET",), answer=login.start),
        settings.callback_path: Endpoint(methods=("GET",), answer=login.callback),
        f"{prefix}/sign_out": Endpoint(methods=("GET", "POST"), answer=logout.sign_out),
        settings.post_logout_path: Endpoint(methods=_READ, answer=logout.signed_out),
        f"{prefix}/auth": Endpoint(methods=_READ, answer=forward_auth.auth),
        f"{prefix}/userinfo": Endpoint(methods=_READ, answer=session.userinfo),
        f"{prefix}/session": Endpoint(methods=_READ, answer=session.session),
        f"{prefix}/refresh": Endpoint(methods=("POST",), answer=session.refresh),
        "/ping": Endpoint(methods=_READ, answer=session.ping),
        "/ready": Endpoint(methods=_READ, answer=session.ready),
    }
