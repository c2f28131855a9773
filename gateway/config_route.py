"""A route, made of its keys."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from importlib import import_module

from gateway.claims import claim_word
from gateway.condition import Bounds, ClaimTest, Condition
from gateway.config_route_model import (
    BoundsModel,
    ConditionModel,
    ExchangedTokenModel,
    ExchangeModel,
    RequireModel,
    RouteModel,
)
from gateway.config_sources import ConfigurationError
from gateway.oidc.exchange import ExchangeWanted
from gateway.route import Access, Bearer, Check, Requirement, Route, Token, compile_pattern


def route_of(
    model: RouteModel, default_upstream: str, addresses: Mapping[str, str], trusted_origins: frozenset[str]
) -> Route:
    """Make a route of its keys.

    `default_upstream` is where it goes if it names no upstream, `addresses` the URL that each upstream is known by.
    """
    upstream = model.upstream if model.upstream is not None else default_upstream
    exchange = model.token.exchange if isinstance(model.token, ExchangedTokenModel) else None
    return Route(
        path=model.path,
        pattern=compile_pattern(model.path),
        methods=frozenset(model.methods),
        access=Access(model.access),
        hosts=tuple(model.hosts),
        requirement=requirement_of(model.require),
        provider=model.provider or "",
        redirect_to_login=model.login == "redirect",
        bearer=frozenset(Bearer(way) for way in model.bearer),
        keep_forms=model.keep_forms,
        trusted_origins=trusted_origins,
        csrf_header=(model.csrf_header or "").lower(),
        allow_encoded_slash=model.allow_encoded_slash,
        upstream=upstream,
        upstream_url=addresses.get(upstream, ""),
        strip_prefix=model.strip_prefix or "",
        add_prefix=model.add_prefix or "",
        rewrite_responses=model.rewrite_responses,
        max_body=model.max_body,
        max_headers=model.max_headers,
        preserve_host=model.preserve_host,
        token=_token(model, upstream),
        exchange=None if exchange is None else _exchange(exchange),
        identity_headers=bool(upstream) if model.identity_headers is None else model.identity_headers,
        identity_jwt=model.identity_jwt,
        request_headers=dict(model.request_headers),
    )


def requirement_of(model: RequireModel) -> Requirement:
    """Turn what a session must show into what it is held against; raises `ConfigurationError`."""
    return Requirement(
        condition=_condition(model),
        acr=tuple(model.acr),
        max_age=model.max_age,
        check=None if model.check is None else _function(model.check),
    )


def _condition(model: ConditionModel) -> Condition:
    return Condition(
        scope=frozenset(model.scope),
        claims={name: _claim_test(wanted) for name, wanted in model.claims.items()},
        email_domains=frozenset(model.email_domains),
        networks=tuple(ipaddress.ip_network(network) for network in model.networks),
        any_of=tuple(_condition(part) for part in model.any_of),
        all_of=tuple(_condition(part) for part in model.all_of),
        none_of=tuple(_condition(part) for part in model.not_),
    )


def _claim_test(wanted: BoundsModel | list[bool | int | str]) -> ClaimTest:
    if isinstance(wanted, BoundsModel):
        return Bounds(at_least=wanted.at_least, at_most=wanted.at_most)
    return frozenset(claim_word(value) for value in wanted)


def _function(name: str) -> Check:
    module, _, attribute = name.partition(":")
    try:
        found: Check = getattr(import_module(module), attribute)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError([f"routes: the check {name} cannot be imported: {reason}"]) from error
    if not callable(found):
        raise ConfigurationError([f"routes: the check {name} is no function"])
    return found


def _token(model: RouteModel, upstream: str) -> Token:
    if isinstance(model.token, ExchangedTokenModel):
        return Token.EXCHANGED
    return Token(model.token) if model.token else Token.ACCESS_TOKEN if upstream else Token.NONE


def _exchange(model: ExchangeModel) -> ExchangeWanted:
    return ExchangeWanted(
        audience=tuple(model.audience), resource=tuple(model.resource), scope=tuple(model.scope.split())
    )
