"""What an upstream is sent as `Authorization`: the user's token, one that stands for it, or one of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from gateway.headers import Headers
from gateway.kept import Clock
from gateway.oidc.dpop import bound_key, dpop_key_from_text, proof
from gateway.oidc.exchange import ExchangeWanted
from gateway.oidc.messages import Entropy, Moment
from gateway.provider import Provider
from gateway.route import Route, Token
from gateway.session import Session
from gateway.token_cache import TokenCache, UpstreamToken

LEEWAY_SECONDS = 30
"""How long before its end a token is fetched anew, or half its life if that is less."""

UNKNOWN_LIFETIME_SECONDS = 60
"""How long an exchanged token is taken to live where the provider does not say."""


class UpstreamTokens:
    """Makes the fields by which an upstream knows who asks.

    Where tokens are bound to a key, each request carries a proof of its own, with the newest nonce that the upstream
    has named (RFC 9449 7, 9).
    """

    def __init__(self, *, providers: Mapping[str, Provider], clock: Clock, entropy: Entropy) -> None:
        self._providers = providers
        self._clock = clock
        self._entropy = entropy
        self._cache: TokenCache[UpstreamToken] = TokenCache(clock=clock)
        self._nonces: dict[str, str] = {}

    def headers(self, route: Route, session: Session | None, *, method: str, url: Callable[[], str]) -> Headers:
        """Make `authorization`, and `dpop` where the token is bound to a key; nothing where there is nobody.

        `url` tells by which address the upstream knows the request, empty where only somebody else knows that. Raises
        `token_inactive`, `introspection_*`, `exchange_*`, `InvalidGrant` and `ProviderUnavailable`; no other token is
        sent instead.
        """
        token = None if session is None else self._token(route, session)
        if session is None or token is None:
            return []
        headers = [("authorization", f"{token.scheme} {token.text}")]
        address = url() if token.scheme == "DPoP" and session.dpop_key is not None else ""
        if address and session.dpop_key is not None:
            nonce = self._nonces.get(route.upstream)
            headers.append(("dpop", self._proof(session.dpop_key, method, address, nonce, token.text)))
        return headers

    def remember_nonce(self, upstream: str, nonce: str) -> None:
        """Keep the nonce that an upstream wants to see in the next proofs."""
        self._nonces[upstream] = nonce

    def _proof(self, key: str, method: str, url: str, nonce: str | None, token: str) -> str:
        moment = Moment(now=int(self._clock()), entropy=self._entropy)
        return proof(dpop_key_from_text(key), method=method, url=url, moment=moment, nonce=nonce, access_token=token)

    def _token(self, route: Route, session: Session) -> UpstreamToken | None:
        if route.token is Token.ACCESS_TOKEN:
            return UpstreamToken(scheme=session.token_scheme, text=session.access_token, usable_until=0)
        if route.token is Token.ID_TOKEN and session.id_token is not None:
            return UpstreamToken(scheme="Bearer", text=session.id_token, usable_until=0)
        if route.token is Token.INTROSPECTED:
            return self._cache.get((*_of(session), "introspected"), lambda: self._introspected(session))
        if route.token is Token.EXCHANGED and route.exchange is not None:
            wanted = route.exchange
            return self._cache.get((*_of(session), wanted), lambda: self._exchanged(wanted, session))
        return None

    def _introspected(self, session: Session) -> UpstreamToken:
        token = self._providers[session.provider].tokens.phantom(session.access_token)
        usable_until = min(token.reusable_until, self._before(token.expires_at))
        return UpstreamToken(scheme=session.token_scheme, text=token.raw, usable_until=usable_until)

    def _exchanged(self, wanted: ExchangeWanted, session: Session) -> UpstreamToken:
        key = bound_key(session.dpop_key)
        token = self._providers[session.provider].tokens.exchange(session.access_token, wanted, key)
        end = token.expires_at if token.expires_at is not None else int(self._clock()) + UNKNOWN_LIFETIME_SECONDS
        end = end if session.access_expires_at is None else min(end, session.access_expires_at)
        return UpstreamToken(scheme=token.scheme, text=token.access_token, usable_until=self._before(end))

    def _before(self, end: int) -> int:
        return end - min(LEEWAY_SECONDS, max(0, end - int(self._clock())) // 2)


def _of(session: Session) -> tuple[str, str]:
    # Hashed, so that the keys of the cache hold no token.
    return session.id, hashlib.sha256(session.access_token.encode("utf-8")).hexdigest()
