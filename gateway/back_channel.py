"""The way to the provider: a call is built, proven where tokens are bound to a key of ours, and sent."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from gateway.kept import Clock
from gateway.oidc.dpop import DPoPKey, demands_nonce, offered_nonce, with_proof
from gateway.oidc.messages import Call, Entropy, Moment, Reply, Transport

Build = Callable[[Moment], Call]
"""Builds a call for a moment; a repeated call is built anew, since no assertion may be used twice."""


class BackChannel:
    """Sends calls over a transport.

    The newest nonce of each server is kept, that of a resource apart from that of the authorization server, though
    both may be at one address (RFC 9449 8, 9).
    """

    def __init__(self, *, transport: Transport, clock: Clock, entropy: Entropy) -> None:
        self._transport = transport
        self._clock = clock
        self._entropy = entropy
        self._nonces: dict[str, str] = {}

    def moment(self) -> Moment:
        """Return now, with a source of randomness."""
        return Moment(now=int(self._clock()), entropy=self._entropy)

    def send(self, build: Build, key: DPoPKey | None = None, *, access_token: str | None = None) -> Reply:
        """Send a call; with a key, prove that it is ours, and once more when the server names a nonce to use.

        `access_token` is for calls that present one; it goes out bound to the proof. Raises `ProviderUnavailable`.
        """
        if key is None:
            return self._transport(build(self.moment()))
        server = "authorization server" if access_token is None else "resource"
        reply, sent = self._prove_and_send(build, key, server, access_token)
        offered = offered_nonce(reply)
        if demands_nonce(reply) and offered is not None and offered != sent:
            reply, _ = self._prove_and_send(build, key, server, access_token)
        return reply

    def _prove_and_send(
        self, build: Build, key: DPoPKey, server: str, access_token: str | None
    ) -> tuple[Reply, str | None]:
        moment = self.moment()
        call = build(moment)
        place = f"{server} {_origin(call.url)}"
        nonce = self._nonces.get(place)
        reply = self._transport(with_proof(call, key, moment, nonce, access_token=access_token))
        offered = offered_nonce(reply)
        if offered is not None:
            self._nonces[place] = offered
        return reply, nonce


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
