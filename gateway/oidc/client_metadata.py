"""Client metadata: what we tell a provider of ourselves, and how far its answer may differ (RFC 7591 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from gateway.errors import REGISTRATION_INVALID, GatewayError
from gateway.oidc.client import Client, Protection, SenderConstraint
from gateway.oidc.client_auth import AUTH_METHODS

EXACT_MEMBERS = (
    "subject_type", "token_endpoint_auth_signing_alg", "id_token_signed_response_alg",
    "id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_signed_response_alg",
    "userinfo_encrypted_response_alg", "userinfo_encrypted_response_enc", "authorization_signed_response_alg",
    "authorization_encrypted_response_alg", "authorization_encrypted_response_enc",
    "introspection_signed_response_alg", "introspection_encrypted_response_alg",
    "introspection_encrypted_response_enc", "request_object_signing_alg", "request_object_encryption_alg",
    "request_object_encryption_enc", "jwks_uri", "backchannel_logout_uri", "dpop_bound_access_tokens",
    "tls_client_certificate_bound_access_tokens", "require_pushed_authorization_requests",
    "require_signed_request_object",
)  # fmt: skip
"""What the provider may not change: each says how something is protected, whom it is for or where it is sent."""

SENT_SECRETS = frozenset({"client_secret_basic", "client_secret_post"})
"""Two ways to say the same, so that one may stand for the other."""

URI_LISTS = ("redirect_uris", "post_logout_redirect_uris", "request_uris")
URIS = (
    "jwks_uri", "client_uri", "logo_uri", "policy_uri", "tos_uri", "sector_identifier_uri", "backchannel_logout_uri",
    "frontchannel_logout_uri", "initiate_login_uri",
)  # fmt: skip


def registration_request(
    client: Client, extra: Mapping[str, object], *, response_type: str = "code", jwks_uri: str | None = None
) -> dict[str, object]:
    """Write down who the client is, ready to be registered; `extra` is laid over it.

    The public keys are part of it, or `jwks_uri` says where they are. Raises `registration_invalid` for what no
    provider could take, such as a redirect URI with a fragment, or an `enc` without its `alg`.
    """
    members: dict[str, object] = {
        "application_type": "web",
        "redirect_uris": [client.redirect_uri],
        "post_logout_redirect_uris": [client.post_logout_redirect_uri],
        "response_types": [response_type],
        "grant_types": _grant_types(response_type),
        "scope": client.scope,
        **_logout(client),
        **_authentication(client),
        **_protections(client),
        **_keys(client, jwks_uri),
        **extra,
    }
    check_client_metadata(members)
    return members


def template_request(client: Client, software_id: str, extra: Mapping[str, object]) -> dict[str, object]:
    """Write down a request that the provider completes from its template of that `software_id`; raises the same."""
    members = {"software_id": software_id, "redirect_uris": [client.redirect_uri], **extra}
    check_client_metadata(members)
    return members


def check_client_metadata(members: Mapping[str, object]) -> None:
    """Check client metadata before it is sent (RFC 7591 2, OIDC Registration 2); raises `registration_invalid`."""
    if not text_list(members, "redirect_uris"):
        raise GatewayError(REGISTRATION_INVALID, "no redirect_uris")
    for name in URI_LISTS:
        _check_uris(name, text_list(members, name))
    for name in URIS:
        _check_uris(name, [members[name]] if name in members else [])
    if members.get("subject_type", "public") not in ("public", "pairwise"):
        raise GatewayError(REGISTRATION_INVALID, "subject_type is neither public nor pairwise")
    if members.get("token_endpoint_auth_method", AUTH_METHODS[0]) not in AUTH_METHODS:
        raise GatewayError(REGISTRATION_INVALID, f"token_endpoint_auth_method is none of {', '.join(AUTH_METHODS)}")
    for name in members:
        if name.endswith("_enc") and f"{name.removesuffix('_enc')}_alg" not in members:
            raise GatewayError(REGISTRATION_INVALID, f"{name} without its alg")
    if "jwks" in members and "jwks_uri" in members:
        raise GatewayError(REGISTRATION_INVALID, "both jwks and jwks_uri")
    _check_kids(members.get("jwks", {"keys": []}))


def check_agreement(registered: Mapping[str, object], requested: Mapping[str, object]) -> None:
    """Hold what the provider registered against what was asked for (RFC 7591 3.2.1).

    Raises `registration_invalid` where it takes a redirect URI away or adds one, refuses the response type, weakens how
    we authenticate, or differs in one of `EXACT_MEMBERS`. A member that it does not mention stands as asked for; all
    others (grant types, scope, names, logout pages) are what the provider says.
    """
    for name in EXACT_MEMBERS:
        if name in requested and registered.get(name) not in (None, requested[name]):
            raise _disagreement(name, registered, requested)
    for name in ("redirect_uris", "response_types"):
        if requested.get(name) is not None and registered.get(name) is not None:
            _check_list(name, registered, requested)
    _check_auth_method(registered, requested)


def text_list(members: Mapping[str, object], name: str) -> Sequence[str]:
    """Read a member that is a list of texts, empty where it is missing; raises `registration_invalid`."""
    value = members.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise GatewayError(REGISTRATION_INVALID, f"{name} is not a list of texts")
    return value


def _grant_types(response_type: str) -> list[str]:
    # An ID token from the authorization endpoint counts as implicit (OIDC Registration 2).
    hybrid = ["implicit"] if "id_token" in response_type.split(" ") else []
    return ["authorization_code", *hybrid, "refresh_token"]


def _logout(client: Client) -> dict[str, object]:
    # With `sid`, one session ends; without it, all of the user's (Back-Channel Logout 1.0 2.2, Front-Channel 2).
    members: dict[str, object] = {}
    if client.backchannel_logout_uri:
        members["backchannel_logout_uri"] = client.backchannel_logout_uri
        members["backchannel_logout_session_required"] = True
    if client.frontchannel_logout_uri:
        members["frontchannel_logout_uri"] = client.frontchannel_logout_uri
        members["frontchannel_logout_session_required"] = True
    return members


def _authentication(client: Client) -> dict[str, object]:
    members: dict[str, object] = {}
    if client.token_endpoint_auth_method is not None:
        members["token_endpoint_auth_method"] = client.token_endpoint_auth_method
    if client.token_endpoint_auth_method == "private_key_jwt" and client.signing_keys:
        members["token_endpoint_auth_signing_alg"] = client.signing_keys[0].algorithm
    if client.sender_constraint is SenderConstraint.DPOP:
        members["dpop_bound_access_tokens"] = True  # RFC 9449 5.2.
    if client.sender_constraint is SenderConstraint.MTLS:
        members["tls_client_certificate_bound_access_tokens"] = True  # RFC 8705 3.4.
    return members


def _protections(client: Client) -> dict[str, object]:
    members: dict[str, object] = {}
    members.update(_protection("id_token", client.id_token))
    members.update(_protection("userinfo", client.userinfo))
    members.update(_protection("authorization", client.authorization_response))
    members.update(_protection("introspection", client.introspection))
    if client.request_object_encryption is not None:
        algorithm, encoding = client.request_object_encryption
        members.update({"request_object_encryption_alg": algorithm, "request_object_encryption_enc": encoding})
    return members


def _protection(what: str, protection: Protection | None) -> dict[str, object]:
    if protection is None:
        return {}
    members: dict[str, object] = {f"{what}_signed_response_alg": protection.algorithms[0]}
    if protection.encryption is not None:
        members[f"{what}_encrypted_response_alg"], members[f"{what}_encrypted_response_enc"] = protection.encryption
    return members


def _keys(client: Client, jwks_uri: str | None) -> dict[str, object]:
    if jwks_uri is not None:
        return {"jwks_uri": jwks_uri}
    keys = [dict(key.public_jwk()) for key in (*client.signing_keys, *client.decryption_keys)]
    return {"jwks": {"keys": keys}} if keys else {}


def _check_uris(name: str, uris: Iterable[object]) -> None:
    for uri in uris:
        if not isinstance(uri, str) or not _is_web_url(uri):
            raise GatewayError(REGISTRATION_INVALID, f"{name}: {uri!r} is no http or https URL without a fragment")
        if name == "initiate_login_uri" and not uri.startswith("https:"):
            raise GatewayError(REGISTRATION_INVALID, "initiate_login_uri is not https")


def _is_web_url(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    readable = uri.isascii() and uri.isprintable() and not set(uri).intersection(' "#<>\\')
    return readable and bool(host) and parts.scheme in ("http", "https") and "@" not in parts.netloc


def _check_kids(jwks: object) -> None:
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise GatewayError(REGISTRATION_INVALID, "jwks is not a JWK set")
    kids = [key.get("kid") for key in keys]
    if any(kids.count(kid) > 1 for kid in kids):
        raise GatewayError(REGISTRATION_INVALID, "two keys have one kid")
    if any("d" in key or key.get("kty") == "oct" for key in keys):
        raise GatewayError(REGISTRATION_INVALID, "jwks holds a private key")


def _check_list(name: str, registered: Mapping[str, object], requested: Mapping[str, object]) -> None:
    # The words of a response type have no order (OAuth 2.0 Multiple Response Types 3).
    asked = {" ".join(sorted(text.split(" "))) for text in text_list(requested, name)}
    got = {" ".join(sorted(text.split(" "))) for text in text_list(registered, name)}
    # A redirect URI that is not ours is a place where a code for us could be sent.
    if asked - got or (name == "redirect_uris" and got - asked):
        raise _disagreement(name, registered, requested)


def _check_auth_method(registered: Mapping[str, object], requested: Mapping[str, object]) -> None:
    asked, got = requested.get("token_endpoint_auth_method"), registered.get("token_endpoint_auth_method")
    if got is None or got == asked:
        return
    if got not in AUTH_METHODS or (asked is not None and not {asked, got} <= SENT_SECRETS):
        raise _disagreement("token_endpoint_auth_method", registered, requested)


def _disagreement(name: str, registered: Mapping[str, object], requested: Mapping[str, object]) -> GatewayError:
    got = repr(registered.get(name))[:300]
    return GatewayError(REGISTRATION_INVALID, f"{name}: asked for {requested.get(name)!r}, got {got}")
