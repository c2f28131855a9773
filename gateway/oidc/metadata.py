"""Who the provider is and who we are to it: `ProviderMetadata` (OIDC Discovery 1.0) and `Client` (RFC 7591)."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.errors import METADATA_INVALID, METADATA_ISSUER_MISMATCH, GatewayError
from gateway.oidc.messages import Call, Reply, json_call, json_object, raise_if_unavailable

WELL_KNOWN = "/.well-known/openid-configuration"

REQUIRED_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL_ENDPOINTS = ("userinfo_endpoint", "revocation_endpoint", "end_session_endpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """What the provider says of itself, checked: every URL is https, or http on localhost."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What the provider knows us as.

    `id_token_algorithms` are the only ones that an ID token may be signed with; `leeway` is the clock skew that we
    forgive, in seconds.
    """

    client_id: str
    client_secret: str = field(default="", repr=False)
    token_endpoint_auth_method: str = "client_secret_basic"
    redirect_uri: str
    post_logout_redirect_uri: str
    scope: str = "openid"
    id_token_algorithms: tuple[str, ...] = ("RS256",)
    leeway: int = 60


def discovery_call(issuer: str) -> Call:
    """Build the request for the provider's metadata (OIDC Discovery 4.1: one trailing slash is cut)."""
    return json_call(issuer.removesuffix("/") + WELL_KNOWN)


def process_discovery(reply: Reply, issuer: str, overrides: Mapping[str, object]) -> ProviderMetadata:
    """Check the provider's metadata and lay the endpoints that were configured by hand over them.

    Raises `ProviderUnavailable` for an outage, `metadata_invalid`, and `metadata_issuer_mismatch` unless `issuer` is
    equal to the letter (4.3).
    """
    raise_if_unavailable(reply, "the discovery endpoint")
    if reply.status != 200:
        raise GatewayError(METADATA_INVALID, f"the discovery endpoint answered {reply.status}")
    members = json_object(reply)
    if members.get("issuer") != issuer:
        raise GatewayError(METADATA_ISSUER_MISMATCH, f"configured {issuer!r}, discovered {members.get('issuer')!r}")
    return process_metadata({**members, **overrides}, issuer)


def process_metadata(members: Mapping[str, object], issuer: str) -> ProviderMetadata:
    """Check metadata of whatever source; raises `metadata_invalid` and `metadata_issuer_mismatch`."""
    if members.get("issuer", issuer) != issuer:
        raise GatewayError(METADATA_ISSUER_MISMATCH, f"configured {issuer!r}, by hand {members.get('issuer')!r}")
    required = {name: _endpoint(members, name) for name in REQUIRED_ENDPOINTS}
    optional = {name: _endpoint(members, name) for name in OPTIONAL_ENDPOINTS if members.get(name) is not None}
    flag = members.get("authorization_response_iss_parameter_supported", False)
    if not isinstance(flag, bool):
        raise GatewayError(METADATA_INVALID, "authorization_response_iss_parameter_supported is not a boolean")
    return ProviderMetadata(issuer=issuer, authorization_response_iss_parameter_supported=flag, **required, **optional)


def is_protected_url(url: str) -> bool:
    """Tell whether a URL is absolute, without user or fragment, and https unless its host is this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "#" in url or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _endpoint(members: Mapping[str, object], name: str) -> str:
    url = members.get(name)
    if not isinstance(url, str) or not is_protected_url(url):
        raise GatewayError(METADATA_INVALID, f"{name} is not an https URL")
    return url
