"""The keys of what is behind the gateway: where an upstream is, and how it is connected to."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from gateway.config_authorization_model import Model
from gateway.config_values import (
    Duration,
    HostName,
    OneOrMore,
    OwnPath,
    ReadableFile,
    UpstreamURL,
    Verification,
    split_url,
)


class ConnectionModel(Model):
    """How upstreams are connected to."""

    connect_timeout: Annotated[Duration, Field(ge=1)] = 5
    """How long connecting to an upstream may take."""
    read_timeout: Annotated[Duration, Field(ge=1)] = 60
    """How long an upstream may be silent."""
    verify_tls: Verification = True
    """Whether an https upstream's certificate is checked; a path names a CA bundle."""


class UpstreamModel(Model):
    """An upstream with a name: one or several origins that do the same, and how they are connected to."""

    url: Annotated[OneOrMore[UpstreamURL], Field(min_length=1)]
    """Where it is; several are asked in turn, and one that fails is left alone for a while."""
    server_name: HostName | None = None
    """What its certificate must name, if that is not the host of the URL; also the host where that is not preserved."""
    verify_tls: Verification | None = None
    """Whether its certificate is checked; a path names a CA bundle; as in `upstream_connection` if unset."""
    client_certificate: ReadableFile | None = None
    """Our certificate towards it."""
    client_certificate_key: ReadableFile | None = None
    """The key of that."""
    connect_timeout: Annotated[Duration, Field(ge=1)] | None = None
    """How long connecting may take; as in `upstream_connection` if unset."""
    read_timeout: Annotated[Duration, Field(ge=1)] | None = None
    """How long it may be silent; as in `upstream_connection` if unset."""
    health_path: OwnPath | None = None
    """What each origin is asked every `health_interval`; one that does not answer 2xx or 3xx is left alone."""
    health_interval: Annotated[Duration, Field(ge=1)] = 10
    """How often each origin is asked how it is."""

    @model_validator(mode="after")
    def _is_coherent(self) -> UpstreamModel:
        if "" in self.url:
            raise ValueError("url must not be empty")
        forms = {(part.scheme, "" if part.scheme == "unix" else part.path) for part in map(split_url, self.url)}
        if len(forms) > 1:
            raise ValueError("url: several origins must have the same scheme and path")
        if (self.client_certificate is None) != (self.client_certificate_key is None):
            raise ValueError("client_certificate and client_certificate_key go together")
        return self
