"""Where a request comes from: the address of the user agent, through proxies that are trusted to tell it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.remembered import remembered

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def client_address(environ: Mapping[str, Any], trusted_proxies: Sequence[Network]) -> str:
    """Tell the address of the user agent; empty where it is not known."""
    # The rightmost address that is not one of our proxies: everything left of it is the client's own word.
    address = str(environ.get("REMOTE_ADDR", ""))
    hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and is_trusted(address, trusted_proxies):
        address = hops.pop()
    parsed = _address(address)
    return "" if parsed is None else str(parsed)


def counted_client(environ: Mapping[str, Any], hops: int) -> str:
    """Tell it where so many proxies stand before us, whose addresses are not known."""
    # Each proxy adds who spoke to it, so the last so many entries are theirs; where there are fewer, somebody has come
    # by another way, and nothing is known.
    chain = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    parsed = _address(chain[-hops]) if len(chain) >= hops else None
    return "" if parsed is None else str(parsed)


def counted_place(client: str, shared: Sequence[Network]) -> str:
    """Name what is counted for a client: its address, in IPv6 its network, where anybody has more than we remember.

    Empty where the address is not known, or is of `shared`, which may each stand for many clients.
    """
    if not client or any(ipaddress.ip_address(client) in network for network in shared):
        return ""
    return str(ipaddress.ip_network((client.partition("%")[0], 64), strict=False)) if ":" in client else client


def forwarded_for(environ: Mapping[str, Any], *, peer_trusted: bool) -> str:
    """Write `X-Forwarded-For` anew, whoever spoke to us last; what came counts only from a peer that is trusted."""
    peer = str(_address(environ.get("REMOTE_ADDR", "")) or environ.get("REMOTE_ADDR", ""))
    earlier = environ.get("HTTP_X_FORWARDED_FOR", "").strip() if peer_trusted else ""
    return f"{earlier}, {peer}" if earlier else peer


def is_trusted(address: str, trusted_proxies: Sequence[Network]) -> bool:
    """Tell whether an address is one of our proxies'."""
    parsed = _address(address)
    return parsed is not None and any(parsed in network for network in trusted_proxies)


@remembered(longest=64)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that serves both families names an IPv4 peer as ::ffff:a.b.c.d (RFC 4291 2.5.5.2).
    return getattr(parsed, "ipv4_mapped", None) or parsed
