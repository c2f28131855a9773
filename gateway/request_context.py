"""What the fields of a request say, whatever it is for: from where it comes, by which host, and from what page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.client_address import Network, client_address, counted_client, forwarded_for, is_trusted
from gateway.errors import HOST_INVALID, GatewayError
from gateway.remembered import remembered

Environ = Mapping[str, Any]

MAX_HOST_LENGTH = 255

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """What is the same for all requests that have the same fields and come from the same peer.

    `client` is the address of the user agent as far as trusted proxies name it, `forwarded_for` the chain of addresses
    up to us. `page` says that a browser would show the answer to a GET. `names` are those of all fields, in lower case.
    """

    scheme: str
    host: str
    client: str
    forwarded_for: str
    peer_trusted: bool
    page: bool
    upgrade: bool
    fetch_site: str
    origin: str
    names: frozenset[str]


def read_context(environ: Environ, trusted_proxies: Sequence[Network], hops: int = 0) -> RequestContext:
    """Read the fields of an environ, and who sent them; raises `host_invalid`.

    X-Forwarded-* count only when they come from `trusted_proxies`, or when there are `hops` proxies whose addresses are
    not known.
    """
    peer_trusted = is_trusted(str(environ.get("REMOTE_ADDR", "")), trusted_proxies)
    behind = peer_trusted or hops > 0
    return RequestContext(
        scheme=_scheme(environ, peer_trusted=behind),
        host=_host(environ, peer_trusted=behind),
        client=counted_client(environ, hops) if hops else client_address(environ, trusted_proxies),
        forwarded_for=forwarded_for(environ, peer_trusted=behind),
        peer_trusted=peer_trusted,
        page=_is_for_a_page(environ),
        upgrade=_asks_for_upgrade(environ),
        fetch_site=environ.get("HTTP_SEC_FETCH_SITE", ""),
        origin=environ.get("HTTP_ORIGIN", ""),
        names=frozenset(filter(None, map(field_name, environ))),
    )


@remembered(longest=64)
def field_name(key: str) -> str:
    """Name the field that a key of an environ holds, in lower case; empty for a key that holds none."""
    return key[5:].replace("_", "-").lower() if key.startswith("HTTP_") else ""


def _scheme(environ: Environ, *, peer_trusted: bool) -> str:
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").strip().lower() if peer_trusted else ""
    return forwarded if forwarded in ("http", "https") else str(environ.get("wsgi.url_scheme", "http"))


def _host(environ: Environ, *, peer_trusted: bool) -> str:
    forwarded = environ.get("HTTP_X_FORWARDED_HOST", "").strip() if peer_trusted else ""
    return _checked_host(str(forwarded or environ.get("HTTP_HOST", "")))


@remembered(longest=MAX_HOST_LENGTH, entries=256)
def _checked_host(host: str) -> str:
    if len(host) > MAX_HOST_LENGTH or not _HOST.fullmatch(host):
        raise GatewayError(HOST_INVALID, f"host {host[:64]!r}")
    return host.lower()


def _asks_for_upgrade(environ: Environ) -> bool:
    # A proxy that asks us may keep `Upgrade` to itself (RFC 9110 7.8); no page leaves out the version (RFC 6455 4.1).
    return "HTTP_UPGRADE" in environ or "HTTP_SEC_WEBSOCKET_VERSION" in environ


def _is_for_a_page(environ: Environ) -> bool:
    if _asks_for_upgrade(environ) or "HTTP_X_REQUESTED_WITH" in environ:
        return False
    if "prefetch" in environ.get("HTTP_SEC_PURPOSE", ""):
        return False
    mode = environ.get("HTTP_SEC_FETCH_MODE")
    if mode is not None:
        return bool(mode == "navigate" and environ.get("HTTP_SEC_FETCH_DEST", "document") == "document")
    return "text/html" in environ.get("HTTP_ACCEPT", "")
