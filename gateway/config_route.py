"""A route, made of its keys."""

from __future__ import annotations

from gateway.claims import claim_word
from gateway.config_route_model import ExchangedTokenModel, ExchangeModel, RouteModel
from gateway.oidc.exchange import ExchangeWanted
from gateway.policy import Access, Requirement, Route, Token, compile_pattern


def route_of(model: RouteModel, default_upstream: str) -> Route:
    """Make a route of its keys; `default_upstream` is where it goes if it names no upstream."""
    upstream = model.upstream if model.upstream is not None else default_upstream
    claims = {name: frozenset(claim_word(value) for value in values) for name, values in model.require.claims.items()}
    exchange = model.token.exchange if isinstance(model.token, ExchangedTokenModel) else None
    return Route(
        path=model.path,
        pattern=compile_pattern(model.path),
        methods=frozenset(model.methods),
        access=Access(model.access),
        requirement=Requirement(
            scope=frozenset(model.require.scope),
            claims=claims,
            acr=tuple(model.require.acr),
            max_age=model.require.max_age,
        ),
        provider=model.provider or "",
        redirect_to_login=model.login == "redirect",
        allow_encoded_slash=model.allow_encoded_slash,
        upstream=upstream,
        strip_prefix=model.strip_prefix or "",
        preserve_host=model.preserve_host,
        token=_token(model, upstream),
        exchange=None if exchange is None else _exchange(exchange),
        identity_headers=bool(upstream) if model.identity_headers is None else model.identity_headers,
        request_headers=dict(model.request_headers),
    )


def _token(model: RouteModel, upstream: str) -> Token:
    if isinstance(model.token, ExchangedTokenModel):
        return Token.EXCHANGED
    return Token(model.token) if model.token else Token.ACCESS_TOKEN if upstream else Token.NONE


def _exchange(model: ExchangeModel) -> ExchangeWanted:
    return ExchangeWanted(
        audience=tuple(model.audience), resource=tuple(model.resource), scope=tuple(model.scope.split())
    )
