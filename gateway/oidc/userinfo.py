"""Userinfo, plain, signed or encrypted: about the user of the ID token, or, without one, all that is known."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.errors import (
    USERINFO_AUD_MISMATCH,
    USERINFO_EXPIRED,
    USERINFO_INVALID,
    USERINFO_ISS_MISMATCH,
    USERINFO_SUB_MISMATCH,
    GatewayError,
)
from gateway.oidc.client import Client, Protection
from gateway.oidc.id_token import MAX_SUBJECT_LENGTH
from gateway.oidc.jose import KeySet, SignedToken, parse_signed, verify_with
from gateway.oidc.messages import Call, Reply, json_object, parse_json_object, raise_if_unavailable
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.protected import open_text
from gateway.oidc.token_endpoint import TokenSet


def userinfo_call(url: str, client: Client, tokens: TokenSet) -> Call:
    """Build the userinfo request, its token in the header alone (OIDC Core 5.3.1, RFC 6750 2.1)."""
    return Call(
        method="GET",
        url=url,
        mutual_tls=client.has_certificate,  # The address is an alias then, which may ask for one (RFC 8705 5).
        headers={
            "Authorization": f"{tokens.scheme} {tokens.access_token}",
            "Accept": "application/json" if client.userinfo is None else "application/jwt",
        },
    )


def read_userinfo(reply: Reply, client: Client) -> dict[str, object] | SignedToken:
    """Read the answer in the form that was agreed: members, or a token whose signature is still to be checked.

    Raises `userinfo_invalid` for the other form, `jwe_*` and `jwt_*`, and `ProviderUnavailable` for an outage.
    """
    raise_if_unavailable(reply, "the userinfo endpoint")
    if reply.status != 200:
        # What was made out to a resource is, at many providers, for nothing else (RFC 8707 2.2).
        hint = "; a token for `resource` alone needs `userinfo: false`" if client.resource else ""
        raise GatewayError(USERINFO_INVALID, f"the userinfo endpoint answered {reply.status}{hint}")
    if client.userinfo is None:
        return json_object(reply)
    if reply.media_type != "application/jwt":
        raise GatewayError(USERINFO_INVALID, f"media type {reply.media_type!r}, though it should be protected")
    return _opened(reply, client.userinfo, client)


def check_signed_userinfo(
    token: SignedToken, keys: KeySet, metadata: ProviderMetadata, client: Client, now: int
) -> dict[str, object]:
    """Check signature, issuer, audience and end of signed userinfo (OIDC Core 5.3.2, RFC 7519 4.1.4).

    Raises `jwt_*` and `userinfo_*`.
    """
    claims = verify_with(token, keys, client.client_secret)
    if claims.get("iss") != metadata.issuer:
        raise GatewayError(USERINFO_ISS_MISMATCH, f"iss {str(claims.get('iss'))[:200]!r}")
    audience = claims.get("aud")
    if audience != client.client_id and not (isinstance(audience, list) and client.client_id in audience):
        raise GatewayError(USERINFO_AUD_MISMATCH, f"aud {str(audience)[:200]!r}")
    expiry = claims.get("exp", now + 1)
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or expiry <= now - client.leeway:
        raise GatewayError(USERINFO_EXPIRED, f"exp {str(expiry)[:40]!r}, now {now}")
    return {name: value for name, value in claims.items() if name not in ("iss", "aud", "exp", "iat", "jti")}


def check_subject(members: Mapping[str, object], subject: str) -> Mapping[str, object]:
    """Hold userinfo against the ID token's subject; all of it is discarded if it is about another (OIDC Core 5.3.2)."""
    if members.get("sub") != subject:
        raise GatewayError(USERINFO_SUB_MISMATCH)
    return members


def subject_of(members: Mapping[str, object], claim: str) -> str:
    """Read who the user is where there is no ID token to say so: a text, or a number that is never given anew.

    Raises `userinfo_invalid`.
    """
    value = members.get(claim)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= MAX_SUBJECT_LENGTH or not text.isprintable():
        raise GatewayError(USERINFO_INVALID, f"{claim} names no user")
    return text


def _opened(reply: Reply, protection: Protection, client: Client) -> dict[str, object] | SignedToken:
    try:
        raw = reply.body.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise GatewayError(USERINFO_INVALID, "not a compact token") from error
    text = open_text(raw, protection, client)
    if protection.algorithms:
        return parse_signed(text, protection.algorithms)
    return parse_json_object(text.encode("utf-8"))  # Encrypted, and signed by nobody.
