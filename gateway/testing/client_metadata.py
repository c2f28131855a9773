"""What a client may say about itself when it registers (RFC 7591 2, OIDC Registration 2), and what follows."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args
from urllib.parse import urlsplit

from gateway.oidc.messages import base64url
from gateway.testing.jwe import CONTENT_ALGORITHMS, KEY_ALGORITHMS
from gateway.testing.jws import KIND_OF_ALGORITHM
from gateway.testing.parties import AuthMethod, FakeClient, Members, Refusal

GRANT_TYPES = (
    "refresh_token", "authorization_code", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange",
)  # fmt: skip
"""The grants of the token endpoint."""

SIGNING_ALGORITHMS = (*KIND_OF_ALGORITHM, "HS256", "HS384", "HS512")

_RESPONSE_TYPES = (frozenset(("code",)), frozenset(("code", "id_token")))
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_URI_LISTS = ("redirect_uris", "post_logout_redirect_uris", "request_uris")
_URIS = (
    "client_uri", "logo_uri", "policy_uri", "tos_uri", "jwks_uri", "initiate_login_uri", "backchannel_logout_uri",
    "frontchannel_logout_uri", "sector_identifier_uri",
)  # fmt: skip
_TEXTS = (
    "client_name", "scope", "software_id", "software_version", "tls_client_auth_subject_dn", "tls_client_auth_san_dns",
    "tls_client_auth_san_uri",
)  # fmt: skip
_SIGNING = (
    "token_endpoint_auth_signing_alg", "request_object_signing_alg", "id_token_signed_response_alg",
    "userinfo_signed_response_alg", "authorization_signed_response_alg", "introspection_signed_response_alg",
)  # fmt: skip
_ENCRYPTED = (
    "id_token_encrypted_response", "userinfo_encrypted_response", "authorization_encrypted_response",
    "request_object_encryption", "introspection_encrypted_response",
)  # fmt: skip
_SWITCHES = (
    "tls_client_certificate_bound_access_tokens", "dpop_bound_access_tokens", "require_pushed_authorization_requests",
    "require_signed_request_object", "backchannel_logout_session_required", "frontchannel_logout_session_required",
    "require_auth_time",
)  # fmt: skip
_NOT_OF_METADATA = frozenset(("client_id", "client_secret", "client_secret_expires_at", "certificate_thumbprint"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One client as it registered itself; `token` is good for its management alone (RFC 7592 1.3).

    Times are seconds since the epoch, 0 for a secret without end.
    """

    client_id: str
    issued_at: int
    metadata: Members
    token: str = field(repr=False)
    client_secret: str = field(default="", repr=False)
    secret_expires_at: int = 0

    def client(self, jwks: Mapping[str, object] | None, certificate: str) -> FakeClient:
        """Make the client that this registration describes, with its keys and the certificate that it presents."""
        names = {member.name for member in fields(FakeClient)} - _NOT_OF_METADATA
        settings: dict[str, Any] = {name: value for name, value in self.metadata.items() if name in names}
        return FakeClient(
            client_id=self.client_id,
            client_secret=self.client_secret,
            client_secret_expires_at=self.secret_expires_at,
            certificate_thumbprint=_certificate_of(self.metadata) or certificate,
            **{"redirect_uris": (), **settings, "jwks": jwks},
        )


def checked_metadata(members: Members) -> Members:
    """Check what a client says about itself; returns what will count, with the defaults and without unknown members.

    Raises `Refusal` with `invalid_redirect_uri` or `invalid_client_metadata` (RFC 7591 3.2.2).
    """
    asked = {name: value for name, value in members.items() if name in _CHECKS and value is not None}
    for name, value in asked.items():
        if not _CHECKS[name](value):
            error = "invalid_redirect_uri" if name == "redirect_uris" else "invalid_client_metadata"
            raise Refusal(error, f"{name} is not acceptable")
    metadata: Members = {**_DEFAULTS, **asked}
    _check_together(metadata)
    return metadata


def needs_secret(metadata: Mapping[str, object]) -> bool:
    """Tell whether a client has a secret: to authenticate, or for the MAC of its ID tokens."""
    method, algorithm = metadata["token_endpoint_auth_method"], metadata.get("id_token_signed_response_alg", "")
    return str(method).startswith("client_secret_") or str(algorithm).startswith("HS")


def _check_together(metadata: Members) -> None:
    grants, method = _texts(metadata["grant_types"]), metadata["token_endpoint_auth_method"]
    has_keys, by_name = bool({"jwks", "jwks_uri"} & set(metadata)), _certificate_names(metadata)
    if "authorization_code" in grants and "redirect_uris" not in metadata:
        raise Refusal("invalid_redirect_uri", "redirect_uris is missing")
    rules = (
        (not {"jwks", "jwks_uri"} <= set(metadata), "jwks and jwks_uri exclude each other"),
        (has_keys or method not in ("private_key_jwt", "self_signed_tls_client_auth"), "jwks is missing"),
        (has_keys or not any(name.endswith("_encrypted_response_alg") for name in metadata), "no key to encrypt for"),
        (by_name == (method == "tls_client_auth"), "tls_client_auth has exactly one name, other methods none"),
        ("authorization_code" in grants or not metadata.get("redirect_uris"), "redirect_uris need authorization_code"),
        *(
            (f"{name}_enc" not in metadata or f"{name}_alg" in metadata, f"{name}_enc is without its alg")
            for name in _ENCRYPTED
        ),
    )
    for kept, description in rules:
        if not kept:
            raise Refusal("invalid_client_metadata", description)


def _certificate_names(metadata: Members) -> int:
    return sum(name.startswith("tls_client_auth_") for name in metadata)  # At most one is allowed (RFC 8705 2.1.2).


def _certificate_of(metadata: Mapping[str, object]) -> str:
    # The certificate of `self_signed_tls_client_auth` stands in its key's x5c (RFC 8705 2.2.2).
    chains = [jwk["x5c"] for jwk in _keys(metadata.get("jwks")) if "x5c" in jwk]
    return base64url(hashlib.sha256(base64.b64decode(str(_first(chains[0])))).digest()) if chains else ""


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else ""


def _keys(jwks: object) -> list[Members]:
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    return [jwk for jwk in keys if isinstance(jwk, dict)] if isinstance(keys, list) else []


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_list_of(accepts: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list) and value != [] and all(accepts(item) for item in value)


def _is_one_of(known: Iterable[str]) -> Callable[[object], bool]:
    known = frozenset(known)
    return lambda value: isinstance(value, str) and value in known


def _is_uri(value: object) -> bool:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value or "#" in value:
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return bool(parts.hostname) if parts.scheme == "https" else parts.scheme == "http" and parts.hostname in _LOOPBACK


def _is_response_type(value: object) -> bool:
    return isinstance(value, str) and frozenset(value.split(" ")) in _RESPONSE_TYPES


def _is_key_set(value: object) -> bool:
    keys = _keys(value)
    kids = [jwk.get("kid") for jwk in keys]
    named = [kid for kid in kids if isinstance(kid, str)]
    complete = isinstance(value, dict) and isinstance(value.get("keys"), list) and len(keys) == len(value["keys"])
    public = not any({"d", "k"} & set(jwk) for jwk in keys)
    return complete and bool(keys) and public and len(set(named)) == len(kids) and all(map(_has_readable_x5c, keys))


def _has_readable_x5c(jwk: Members) -> bool:
    try:
        return "x5c" not in jwk or bool(base64.b64decode(str(_first(jwk["x5c"])), validate=True))
    except (binascii.Error, ValueError):
        return False


_DEFAULTS: Members = {
    "token_endpoint_auth_method": "client_secret_basic",
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
}

_CHECKS: Mapping[str, Callable[[object], bool]] = {
    **dict.fromkeys(_URI_LISTS, _is_list_of(_is_uri)),
    **dict.fromkeys(_URIS, _is_uri),
    **dict.fromkeys(_TEXTS, _is_text),
    **dict.fromkeys(_SIGNING, _is_one_of(SIGNING_ALGORITHMS)),
    **dict.fromkeys([f"{name}_alg" for name in _ENCRYPTED], _is_one_of(KEY_ALGORITHMS)),
    **dict.fromkeys([f"{name}_enc" for name in _ENCRYPTED], _is_one_of(CONTENT_ALGORITHMS)),
    **dict.fromkeys(_SWITCHES, _is_switch),
    "contacts": _is_list_of(_is_text),
    "default_acr_values": _is_list_of(_is_text),
    "grant_types": _is_list_of(_is_one_of(GRANT_TYPES)),
    "response_types": _is_list_of(_is_response_type),
    "token_endpoint_auth_method": _is_one_of(get_args(AuthMethod)),
    "subject_type": _is_one_of(("public",)),
    "application_type": _is_one_of(("web", "native")),
    "jwks": _is_key_set,
}
