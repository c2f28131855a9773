"""What a provider publishes: its metadata and its keys, fetched when needed and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from gateway.back_channel import BackChannel
from gateway.config_provider import ProviderSettings
from gateway.errors import JWT_KEY_UNKNOWN, JWT_SIGNATURE_INVALID, METADATA_LACKING, GatewayError
from gateway.kept import AtHand, Clock, Kept
from gateway.oidc.jose import (
    SYMMETRIC_ALGORITHMS,
    KeySet,
    SignedToken,
    process_encryption_jwks,
    process_jwks,
)
from gateway.oidc.messages import json_call
from gateway.oidc.metadata import ProviderMetadata, discovery_call, process_discovery, process_metadata

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    signing: KeySet
    encryption: KeySet


class Published:
    """Metadata and keys of one provider; all methods raise `ProviderUnavailable` while they cannot be had."""

    def __init__(self, *, settings: ProviderSettings, channel: BackChannel, clock: Clock) -> None:
        self._settings = settings
        self._channel = channel
        self._metadata = Kept(self._fetch_metadata, clock)
        self._keys = Kept(self._fetch_keys, clock)

    def metadata(self) -> ProviderMetadata:
        """Return the metadata, with the places for a client with a certificate where we are one."""
        return self._metadata.get()

    def encryption_keys(self) -> KeySet:
        """Return the keys that something may be encrypted to."""
        return self._keys.get().encryption

    def check(self) -> None:
        """Fetch metadata and keys, or say why not."""
        if self._metadata.get().jwks_uri is not None:
            self._keys.get()

    def metadata_at_hand(self) -> AtHand[ProviderMetadata]:
        """Tell what is known of the metadata, without asking."""
        return self._metadata.at_hand()

    def keys_at_hand(self) -> AtHand[object]:
        """Tell what is known of the keys, without asking."""
        return self._keys.at_hand()

    def prepare(self) -> None:
        """Fetch the keys that an answer may need, before something is used up that cannot be used twice."""
        algorithms = self._settings.client.id_token.algorithms
        if self._settings.openid and not set(algorithms).issubset(SYMMETRIC_ALGORITHMS):
            self._keys.get()

    def with_keys(self, token: SignedToken, check: Callable[[SignedToken, KeySet], T]) -> T:
        """Run a check with the provider's keys, and once more when they may have been replaced since.

        They may have been with a new `kid`, or with none to tell by (OIDC Core 10.1.1).
        """
        if token.algorithm in SYMMETRIC_ALGORITHMS:
            return check(token, ())
        keys = self._keys.get()
        try:
            return check(token, keys.signing)
        except GatewayError as error:
            # A check may have said it in its own words.
            cause = error.__cause__ if isinstance(error.__cause__, GatewayError) else error
            if cause.problem not in (JWT_KEY_UNKNOWN, JWT_SIGNATURE_INVALID):
                raise
        return check(token, self._keys.newer_than(keys).signing)

    def _fetch_metadata(self) -> ProviderMetadata:
        issuer, by_hand, required = self._settings.issuer, self._settings.metadata, self._settings.required_endpoints
        if all(name in by_hand for name in required):
            metadata = process_metadata(by_hand, issuer, required=required)
        else:
            reply = self._channel.send("discovery", lambda _: discovery_call(issuer))
            metadata = process_discovery(reply, issuer, by_hand, required=required)
        if self._settings.requires_iss:  # FAPI 2.0 5.3.2.2: a provider of that profile always sends it.
            metadata = replace(metadata, authorization_response_iss_parameter_supported=True)
        return metadata.with_certificate() if self._settings.client.has_certificate else metadata

    def _fetch_keys(self) -> _Keys:
        uri = self.metadata().jwks_uri
        if uri is None:
            raise GatewayError(METADATA_LACKING, "the provider has no jwks_uri")
        reply = self._channel.send("jwks", lambda _: json_call(uri))
        return _Keys(signing=process_jwks(reply), encryption=process_encryption_jwks(reply))
