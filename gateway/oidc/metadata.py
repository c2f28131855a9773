"""Who the provider is: `ProviderMetadata` (OIDC Discovery 1.0, RFC 8414), checked before it is used."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from gateway.errors import METADATA_INVALID, METADATA_ISSUER_MISMATCH, GatewayError
from gateway.oidc.messages import Call, Reply, json_call, json_object, raise_if_unavailable

WELL_KNOWN = "/.well-known/openid-configuration"

REQUIRED_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
OPTIONAL_ENDPOINTS = (
    "userinfo_endpoint", "revocation_endpoint", "end_session_endpoint", "pushed_authorization_request_endpoint",
    "introspection_endpoint", "registration_endpoint",
)  # fmt: skip
ALIASED_ENDPOINTS = (
    "token_endpoint", "userinfo_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint",
    "introspection_endpoint",
)  # fmt: skip
"""What `mtls_endpoint_aliases` may name another place for (RFC 8705 5)."""

MAX_LISTED = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMetadata:
    """What the provider says of itself, checked: every URL is https, or http on localhost.

    `jwks_uri` is None only where the provider signs nothing. `token_endpoint_auth_methods` is None where it does not
    say which it takes.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    end_session_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    introspection_endpoint: str | None = None
    registration_endpoint: str | None = None
    mtls_endpoint_aliases: Mapping[str, str] = field(default_factory=dict)
    token_endpoint_auth_methods: tuple[str, ...] | None = None
    authorization_response_iss_parameter_supported: bool = False
    require_pushed_authorization_requests: bool = False

    def with_certificate(self) -> ProviderMetadata:
        """Return the metadata for a client that presents a certificate: the aliases where there are any."""
        return replace(self, **self.mtls_endpoint_aliases)  # type: ignore[arg-type]


def discovery_call(issuer: str) -> Call:
    """Build the request for the provider's metadata (OIDC Discovery 4.1: one trailing slash is cut)."""
    return json_call(issuer.removesuffix("/") + WELL_KNOWN)


def process_discovery(
    reply: Reply, issuer: str, overrides: Mapping[str, object], *, required: Sequence[str] = REQUIRED_ENDPOINTS
) -> ProviderMetadata:
    """Check the provider's metadata and lay the endpoints that were configured by hand over them.

    Raises `ProviderUnavailable` for an outage, `metadata_invalid`, and `metadata_issuer_mismatch` unless `issuer` is
    equal to the letter (4.3). A provider elsewhere cannot send us to services of this very machine; only the
    configuration can.
    """
    raise_if_unavailable(reply, "the discovery endpoint")
    if reply.status != 200:
        raise GatewayError(METADATA_INVALID, f"the discovery endpoint answered {reply.status}")
    members = json_object(reply)
    if members.get("issuer") != issuer:
        raise GatewayError(METADATA_ISSUER_MISMATCH, f"configured {issuer!r}, discovered {members.get('issuer')!r}")
    if not is_loopback(urlsplit(issuer).hostname or ""):
        _check_elsewhere(members)
    aliases = members.get("mtls_endpoint_aliases")
    if isinstance(aliases, dict):  # What was written by hand counts for a client with a certificate too.
        members["mtls_endpoint_aliases"] = {name: url for name, url in aliases.items() if name not in overrides}
    return process_metadata({**members, **overrides}, issuer, required=required)


def process_metadata(
    members: Mapping[str, object], issuer: str, *, required: Sequence[str] = REQUIRED_ENDPOINTS
) -> ProviderMetadata:
    """Check metadata of whatever source; raises `metadata_invalid` and `metadata_issuer_mismatch`."""
    if members.get("issuer", issuer) != issuer:
        raise GatewayError(METADATA_ISSUER_MISMATCH, f"configured {issuer!r}, by hand {members.get('issuer')!r}")
    given = [name for name in (*REQUIRED_ENDPOINTS, *OPTIONAL_ENDPOINTS) if members.get(name) is not None]
    endpoints = {name: _endpoint(members, name) for name in dict.fromkeys((*required, *given))}
    metadata = ProviderMetadata(
        issuer=issuer,
        authorization_endpoint=endpoints.pop("authorization_endpoint"),
        token_endpoint=endpoints.pop("token_endpoint"),
        mtls_endpoint_aliases=_aliases(members),
        token_endpoint_auth_methods=_texts(members, "token_endpoint_auth_methods_supported"),
        authorization_response_iss_parameter_supported=_flag(members, "authorization_response_iss_parameter_supported"),
        require_pushed_authorization_requests=_flag(members, "require_pushed_authorization_requests"),
    )
    return replace(metadata, **endpoints)  # type: ignore[arg-type]


def is_protected_url(url: str) -> bool:
    """Tell whether a URL is absolute, without user or fragment, and https unless its host is this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    # A URL has no characters beyond printable ASCII (RFC 3986 2), and could not be sent on in `Location` with them.
    if not host or "@" in parts.netloc or "#" in url or not url.isascii() or not url.isprintable() or " " in url:
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


def may_be_this_machine(host: str) -> bool:
    """Tell whether a host may mean this machine, in any of the spellings that resolvers take.

    Numbers that are no proper address are among them: `127.1`, `0x7f000001`.
    """
    name = host.lower().rstrip(".")
    if is_loopback(name) or name in ("ip6-localhost", "ip6-loopback") or _NUMERIC.fullmatch(name):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return bool(plain.is_loopback or plain.is_unspecified or plain.is_link_local)


_NUMERIC = re.compile(r"(?!\d+\.\d+\.\d+\.\d+\Z)(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+))*")


def _check_elsewhere(members: Mapping[str, object]) -> None:
    aliases = members.get("mtls_endpoint_aliases")
    for name, url in [*members.items(), *(aliases.items() if isinstance(aliases, dict) else ())]:
        is_endpoint = name in (*REQUIRED_ENDPOINTS, *OPTIONAL_ENDPOINTS) and isinstance(url, str)
        if is_endpoint and is_protected_url(url) and may_be_this_machine(urlsplit(url).hostname or ""):
            raise GatewayError(METADATA_INVALID, f"{name} is on this machine, though the issuer is not")


def _endpoint(members: Mapping[str, object], name: str) -> str:
    url = members.get(name)
    if not isinstance(url, str) or not is_protected_url(url):
        raise GatewayError(METADATA_INVALID, f"{name} is not an https URL")
    return url


def _flag(members: Mapping[str, object], name: str) -> bool:
    flag = members.get(name, False)
    if not isinstance(flag, bool):
        raise GatewayError(METADATA_INVALID, f"{name} is not a boolean")
    return flag


def _texts(members: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    texts = members.get(name)
    if texts is None:
        return None
    if not isinstance(texts, list) or len(texts) > MAX_LISTED or not all(isinstance(text, str) for text in texts):
        raise GatewayError(METADATA_INVALID, f"{name} is not a list of texts")
    return tuple(texts)


def _aliases(members: Mapping[str, object]) -> dict[str, str]:
    aliases = members.get("mtls_endpoint_aliases", {})
    if not isinstance(aliases, dict):
        raise GatewayError(METADATA_INVALID, "mtls_endpoint_aliases is not an object")
    return {name: _endpoint(aliases, name) for name in ALIASED_ENDPOINTS if aliases.get(name) is not None}
