"""An upstream, made of its keys or of a URL alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.config_upstream_model import ConnectionModel, UpstreamModel

UNIX = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Where an upstream is and how it is connected to; times in seconds.

    `urls` are `http(s)://host[:port][/base]` or `unix:/path`.
    """

    urls: tuple[str, ...]
    server_name: str | None
    verify_tls: bool | str
    certificate: tuple[str, str] | None
    connect_timeout: int
    read_timeout: int
    health_path: str
    health_interval: int

    @property
    def address(self) -> str:
        """The URL that it is known by: its first one, with the name that its certificate has."""
        first = self.urls[0]
        if first.startswith(UNIX):
            return f"http://{self.server_name or 'localhost'}"
        parts = urlsplit(first)
        return first if self.server_name is None else parts._replace(netloc=self.server_name).geturl()


def upstreams_of(
    named: Mapping[str, UpstreamModel], urls: set[str], connection: ConnectionModel
) -> Mapping[str, UpstreamSettings]:
    """Make the upstreams by name, and those that are a URL alone by that."""
    made = {name: _upstream(model, connection) for name, model in named.items()}
    alone = {url: _upstream(UpstreamModel(url=[url]), connection) for url in urls - set(named)}
    return {**made, **alone}


def _upstream(model: UpstreamModel, connection: ConnectionModel) -> UpstreamSettings:
    certificate, key = model.client_certificate, model.client_certificate_key
    return UpstreamSettings(
        urls=tuple(model.url),
        server_name=model.server_name,
        verify_tls=connection.verify_tls if model.verify_tls is None else model.verify_tls,
        certificate=None if certificate is None or key is None else (certificate, key),
        connect_timeout=model.connect_timeout or connection.connect_timeout,
        read_timeout=model.read_timeout or connection.read_timeout,
        health_path=model.health_path or "",
        health_interval=model.health_interval,
    )
