"""Letting a request in: what it takes with it, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from wsgiref.types import WSGIApplication

from gateway.bearer import withdrawn
from gateway.config import Settings
from gateway.endpoints.login_failed import LoginFailed
from gateway.endpoints.request import Request
from gateway.errors import TOKEN_INACTIVE, GatewayError
from gateway.headers import Headers
from gateway.identity import Identities
from gateway.inner import Admitted, Passage, React, upstream_url
from gateway.open_streams import OpenStreams
from gateway.response_rewriting import rewritten
from gateway.route import Route
from gateway.session import Session
from gateway.store import HeldSession
from gateway.upstream_tokens import UpstreamTokens


class Admission:
    """Makes an `Admitted` of a request that was allowed; `inner` are the apps by the name of their upstream."""

    def __init__(
        self,
        *,
        settings: Settings,
        tokens: UpstreamTokens,
        identities: Identities,
        streams: OpenStreams,
        inner: Mapping[str, WSGIApplication],
    ) -> None:
        self._settings = settings
        self._tokens = tokens
        self._identities = identities
        self._streams = streams
        self._inner = inner

    def authorization(self, request: Request, route: Route, session: Session | None) -> Headers:
        """Make the fields by which the inner app knows who asks.

        Raises as `UpstreamTokens.headers` does, and `LoginFailed` where the provider has withdrawn the user's token,
        `BearerRefused` where the client's.
        """
        try:
            url = partial(upstream_url, route, request.target, self._settings.rules)
            tokens = self._tokens.headers(route, session, method=request.target.method, url=url)
            return [*tokens, *self._identities.headers(route, session)]
        except GatewayError as error:
            # A new login is the way on, and for a client a new token.
            told = withdrawn(error, session)
            raise (LoginFailed(told, request.target.raw) if told.problem is TOKEN_INACTIVE else told) from error

    def admitted(
        self,
        request: Request,
        route: Route,
        session: Session | None,
        held: HeldSession | None,
        authorization: Headers,
        react: React | None,
    ) -> Admitted:
        """Let a request in; `react` is given the answer, `held` is None where a client brought its own token."""
        rules = self._settings.rules
        return Admitted(
            inner=self._inner[route.upstream],
            passage=Passage(
                environ=request.environ,
                target=request.target,
                route=route,
                session=session,
                rules=rules,
                authorization=authorization,
            ),
            cookies=self._settings.cookies,
            personal=session is not None,
            held=held,
            rewrite=partial(rewritten, request.target, route, rules) if route.rewrite_responses else None,
            react=react,
            watch=self._streams.watch(session, None if held is None else held.handle),
        )
