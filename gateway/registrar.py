"""Registering at a provider, changing that and ending it; the result is kept in a file that the configuration names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.back_channel import BackChannel
from gateway.config_provider import ProviderSettings
from gateway.errors import METADATA_LACKING, REGISTRATION_INVALID, GatewayError
from gateway.kept import Clock
from gateway.oidc.client import SenderConstraint
from gateway.oidc.client_metadata import registration_request, template_request
from gateway.oidc.messages import parse_json_object
from gateway.oidc.registration import (
    Registration,
    client_credentials_grant,
    delete_call,
    parse_registration,
    process_deletion,
    process_registration,
    registration_call,
    update_call,
)
from gateway.oidc.token_endpoint import process_token_reply
from gateway.published import Published
from gateway.whole_file import write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClient:
    """The client that may fetch the token which the registration endpoint asks for, and the scope for it."""

    client_id: str
    client_secret: str = field(repr=False)
    scope: str = "dcr"


class Registrar:
    """The registration endpoint of one provider (RFC 7591, RFC 7592).

    Its methods raise `registration_refused`, `registration_invalid`, `metadata_lacking` and `ProviderUnavailable`.
    """

    def __init__(self, *, settings: ProviderSettings, channel: BackChannel, clock: Clock) -> None:
        self._settings = settings
        self._channel = channel
        self._clock = clock
        self._published = Published(settings=settings, channel=channel, clock=clock)

    def initial_access_token(self, client: TokenClient) -> str:
        """Fetch the token that the registration endpoint asks for, by client credentials (RFC 6749 4.4)."""
        metadata = self._published.metadata()
        as_client = replace(
            self._settings.client,
            client_id=client.client_id,
            client_secret=client.client_secret,
            token_endpoint_auth_method=None,
            signing_keys=(),
            has_certificate=False,
            sender_constraint=SenderConstraint.NONE,
        )
        reply = self._channel.send(
            "client_credentials", lambda moment: client_credentials_grant(metadata, as_client, client.scope, moment)
        )
        now = int(self._clock())
        return process_token_reply(reply, client=as_client, requested_scope=client.scope, now=now).access_token

    def register(self, members: Mapping[str, object], initial_access_token: str | None) -> Registration:
        """Register with these members."""
        endpoint = self._published.metadata().registration_endpoint
        if endpoint is None:
            raise GatewayError(METADATA_LACKING, "the provider has no registration_endpoint")
        reply = self._channel.send("registration", lambda _: registration_call(endpoint, members, initial_access_token))
        return process_registration(reply, members, self._settings.issuer)

    def update(self, registration: Registration, members: Mapping[str, object]) -> Registration:
        """Replace what is registered by these members."""
        reply = self._channel.send("registration", lambda _: update_call(registration, members))
        return process_registration(reply, members, self._settings.issuer, previous=registration)

    def unregister(self, registration: Registration) -> None:
        """End the registration."""
        process_deletion(self._channel.send("registration", lambda _: delete_call(registration)))

    def wanted(self, extra: Mapping[str, object], software_id: str | None) -> dict[str, object]:
        """Write down what to register: what the configuration says, or the provider's template and where we are."""
        client = self._settings.client
        if software_id is not None:
            return template_request(client, software_id, extra)
        return registration_request(client, extra, response_type=client.response_type)


def read_registration(path: Path, issuer: str) -> Registration:
    """Read a registration back; raises `registration_invalid`."""
    try:
        return parse_registration(parse_json_object(path.read_bytes()), issuer)
    except OSError as error:
        raise GatewayError(REGISTRATION_INVALID, f"{path} cannot be read: {error.strerror}") from error


def write_registration(path: Path, registration: Registration) -> None:
    """Write a registration, secrets and all, for our eyes alone (mode 0600); the old one stays until it is whole."""
    write_whole(path, json.dumps(dict(registration.members), indent=2, ensure_ascii=True) + "\n")
