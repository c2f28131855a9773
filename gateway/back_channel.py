"""The way to the provider: a call is built, proven where tokens are bound to a key of ours, and sent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from gateway.errors import INTERNAL, PROVIDER_UNREACHABLE, ConnectionLost, GatewayError, ProviderUnavailable
from gateway.kept import Clock
from gateway.oidc.dpop import DPoPKey, demands_nonce, offered_nonce, with_proof
from gateway.oidc.messages import Call, Entropy, Moment, Reply, Transport
from gateway.telemetry import OK, Peer, Silence, Telemetry, ended_call

UNLIMITED_CALLS = 10_000
"""More than there are threads."""

CALLS_OF_ONE_AMONG_SEVERAL = 12
"""Of the 32 threads of a worker, so that two slow providers leave a third room."""

REFUSED, FAILED = "refused", "failed"
"""The outcomes of calls that were answered with a status of 400 and more, and of 500 and more."""

Build = Callable[[Moment], Call]
"""Builds a call for a moment; a repeated call is built anew, since no assertion may be used twice."""


class BackChannel:
    """Sends calls over a transport.

    The newest nonce of each server is kept, that of a resource apart from that of the authorization server, though
    both may be at one address (RFC 9449 8, 9). At most `max_calls` are under way at once, and none waits for a place:
    where there are several providers, a slow one must not hold all threads.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        clock: Clock,
        entropy: Entropy,
        max_calls: int = UNLIMITED_CALLS,
        name: str = "",
        telemetry: Telemetry | None = None,
    ) -> None:
        self._places = threading.BoundedSemaphore(max_calls)
        self._transport = transport
        self._clock = clock
        self._entropy = entropy
        self._nonces: dict[str, str] = {}
        self._name = name
        self._telemetry = telemetry or Silence()

    def moment(self) -> Moment:
        """Return now, with a source of randomness."""
        return Moment(now=int(self._clock()), entropy=self._entropy)

    def send(
        self, operation: str, build: Build, key: DPoPKey | None = None, *, access_token: str | None = None
    ) -> Reply:
        """Send a call; with a key, prove that it is ours, and once more when the server names a nonce to use.

        `operation` is what is told of it. `access_token` is for calls that present one; it goes out bound to the proof.
        Raises `ProviderUnavailable`.
        """
        if not self._places.acquire(blocking=False):
            raise ProviderUnavailable(PROVIDER_UNREACHABLE, "too many calls are under way", retry_after=1)
        try:
            return self._told(operation, partial(self._sent, build, key, access_token))
        finally:
            self._places.release()

    def _told(self, operation: str, send: Callable[[], Reply]) -> Reply:
        began, outcome = self._clock(), INTERNAL.code
        try:
            reply = send()
        except GatewayError as error:
            outcome = error.code
            raise
        else:
            outcome = OK if reply.status < 400 else REFUSED if reply.status < 500 else FAILED
            return reply
        finally:
            ended = ended_call(Peer.PROVIDER, self._name, operation, outcome, began_at=began, now=self._clock())
            self._telemetry.called(ended)

    def _sent(self, build: Build, key: DPoPKey | None, access_token: str | None) -> Reply:
        return self._transport(build(self.moment())) if key is None else self._proven(build, key, access_token)

    def _proven(self, build: Build, key: DPoPKey, access_token: str | None) -> Reply:
        server = "authorization server" if access_token is None else "resource"
        try:
            reply, sent = self._prove_and_send(build, key, server, access_token)
        except ConnectionLost:
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
