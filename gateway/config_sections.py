"""Sections of the configuration that stand alone: the store, lifetimes, forward authentication, the console."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.config_console_model import ConsoleModel
from gateway.config_limits_model import LimitsModel
from gateway.config_model import ForwardAuthModel
from gateway.config_route import requirement_of
from gateway.config_session_model import SessionModel, StoreModel
from gateway.limits import Limits
from gateway.route import Requirement
from gateway.session import Lifetimes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where sessions are kept."""

    type: str
    path: str
    url: str = field(repr=False)
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardAuthSettings:
    """How proxies ask and what they are told; `cache` is in seconds, `method_header` empty where none is named."""

    enabled: bool
    uri_header: str
    method_header: str
    ext_authz: bool
    redirects: bool
    access_token: bool
    cache: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """The developer's console: whom it is for, and what may be chosen there for a login.

    A `requirement` that asks nothing lets everybody in who is signed in, and anybody sign in; only on localhost.
    """

    enabled: bool
    requirement: Requirement
    parameters: tuple[str, ...]

    @property
    def is_guarded(self) -> bool:
        """Whether somebody has to be signed in before anything is shown."""
        return self.requirement != Requirement()


def store_of(model: StoreModel) -> StoreSettings:
    """Turn the keys of a store into settings."""
    url = "" if model.url is None else model.url.get_secret_value()
    return StoreSettings(type=model.type, path=model.path, url=url, prefix=model.prefix)


def lifetimes_of(model: SessionModel) -> Lifetimes:
    """Turn the keys of sessions into lifetimes."""
    return Lifetimes(
        idle=model.idle_timeout,
        absolute=model.lifetime,
        refresh_leeway=model.refresh_leeway,
        refresh_jitter=model.refresh_jitter,
    )


def forward_auth_of(model: ForwardAuthModel) -> ForwardAuthSettings:
    """Turn the keys of forward authentication into settings."""
    return ForwardAuthSettings(
        enabled=model.enabled,
        uri_header=model.uri_header,
        method_header=model.method_header,
        ext_authz=model.enabled and model.ext_authz,
        redirects=model.login == "redirect",
        access_token=model.access_token,
        cache=model.cache,
    )


def console_of(model: ConsoleModel) -> ConsoleSettings:
    """Turn the keys of the console into settings."""
    requirement = requirement_of(model.require)
    return ConsoleSettings(enabled=model.enabled, requirement=requirement, parameters=tuple(model.parameters))


def limits_of(model: LimitsModel) -> Limits:
    """Turn the keys of limits into settings."""
    return Limits(
        requests=model.requests,
        upstream_requests=model.upstream_requests,
        connections=model.connections,
        logins=model.logins,
        logins_within=model.logins_within,
    )
