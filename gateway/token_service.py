"""Tokens for upstreams: the user's access token looked up, or exchanged for one of the upstream's own."""

from __future__ import annotations

from gateway.back_channel import BackChannel
from gateway.config_provider import ProviderSettings
from gateway.kept import Clock
from gateway.oidc.dpop import DPoPKey
from gateway.oidc.exchange import ExchangedToken, ExchangeWanted, exchange_grant, process_exchange
from gateway.oidc.introspection import (
    JSON_TYPE,
    PHANTOM_TYPE,
    SIGNED_TYPE,
    Introspection,
    PhantomToken,
    check_signed_introspection,
    introspection_call,
    introspection_jwt,
    parse_signed_introspection,
    process_introspection,
    process_phantom,
)
from gateway.oidc.protected import open_text
from gateway.published import Published


class TokenService:
    """The provider's introspection and exchange; all methods raise `ProviderUnavailable` when it cannot be asked."""

    def __init__(self, *, settings: ProviderSettings, channel: BackChannel, published: Published, clock: Clock) -> None:
        self._settings = settings
        self._client = settings.client
        self._channel = channel
        self._published = published
        self._clock = clock

    def introspect(self, token: str) -> Introspection:
        """Ask what an access token is worth, in the form that is configured (RFC 7662, RFC 9701).

        Raises `token_inactive` and `introspection_invalid`.
        """
        metadata, client, issuer = self._published.metadata(), self._client, self._settings.issuer
        accept = JSON_TYPE if client.introspection is None else SIGNED_TYPE
        reply = self._channel.send(
            "introspection", lambda moment: introspection_call(metadata, client, token, moment, accept=accept)
        )
        now = int(self._clock())
        if client.introspection is None:
            return process_introspection(reply, issuer=issuer, leeway=client.leeway, now=now)
        raw = open_text(introspection_jwt(reply), client.introspection, client)
        return self._published.with_keys(
            parse_signed_introspection(raw, client),
            lambda signed, keys: check_signed_introspection(signed, keys, issuer=issuer, client=client, now=now),
        )

    def phantom(self, token: str) -> PhantomToken:
        """Ask for the JWT that stands for an opaque access token; raises `token_inactive`, `introspection_invalid`."""
        metadata, client = self._published.metadata(), self._client
        reply = self._channel.send(
            "introspection", lambda moment: introspection_call(metadata, client, token, moment, accept=PHANTOM_TYPE)
        )
        return process_phantom(reply, int(self._clock()))

    def exchange(self, token: str, wanted: ExchangeWanted, key: DPoPKey | None) -> ExchangedToken:
        """Exchange an access token for one that is for an upstream alone (RFC 8693).

        Raises `exchange_refused`, `exchange_invalid` and `InvalidGrant`.
        """
        metadata, client = self._published.metadata(), self._client
        reply = self._channel.send(
            "exchange", lambda moment: exchange_grant(metadata, client, token, wanted, moment), key
        )
        schemes = ("Bearer",) if key is None else ("DPoP",)
        return process_exchange(reply, wanted, int(self._clock()), schemes=schemes)
