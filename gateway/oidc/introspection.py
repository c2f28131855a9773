"""Token introspection: plain JSON (RFC 7662), signed (RFC 9701), and the phantom token, a bare JWT for an upstream."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import INTROSPECTION_INVALID, METADATA_LACKING, TOKEN_INACTIVE, GatewayError
from gateway.oidc.claims_reading import said_kind
from gateway.oidc.client import Client
from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.jose import SYMMETRIC_ALGORITHMS, KeySet, SignedToken, parse_signed, verify, verify_symmetric
from gateway.oidc.messages import Call, Moment, Reply, parse_json_object, quoted, raise_if_unavailable
from gateway.oidc.metadata import ProviderMetadata

JSON_TYPE = "application/json"
SIGNED_TYPE = "application/token-introspection+jwt"
PHANTOM_TYPE = "application/jwt"

MAX_PHANTOM_BYTES = 8 * 1024
MAX_ANSWER_AGE = 300
"""How old the `iat` of a signed answer may be, in seconds: it was made for this question."""

MAX_REUSE_SECONDS = 3600
"""How long a phantom token is reused at most, whatever the provider says: as long a revocation goes unnoticed."""

ACCESS_TOKEN_TYPES = frozenset({"bearer", "dpop", "access_token"})

_CHECKED: Final = object()
_COMPACT_RE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_QUOTED_RE = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
MAX_CACHE_CONTROL = 8 * 1024
_SECONDS_RE = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspection:
    """What the provider says of a token that is active; only the checks of this module make one.

    Whether `audience`, `scope` and `confirmation` (`cnf`) will do is the caller's policy. `expires_at` is None where
    the provider did not say.
    """

    subject: str | None
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    confirmation: Mapping[str, object] | None
    expires_at: int | None
    members: Mapping[str, object] = field(repr=False)
    checked: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.checked is not _CHECKED:
            raise TypeError("an Introspection comes from process_introspection or check_signed_introspection")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomToken:
    """The JWT that stands for an opaque token; it may be reused until `reusable_until`, never past `expires_at`."""

    raw: str = field(repr=False)
    expires_at: int
    reusable_until: int


def introspection_call(
    metadata: ProviderMetadata, client: Client, token: str, moment: Moment, *, accept: str = JSON_TYPE
) -> Call:
    """Build the question about an access token (RFC 7662 2.1, RFC 9701 4).

    `accept` is one of the three media types of this module. Raises `metadata_lacking` without an endpoint.
    """
    if metadata.introspection_endpoint is None:
        raise GatewayError(METADATA_LACKING, "no introspection_endpoint")
    return authenticated_call(
        metadata.introspection_endpoint,
        metadata=metadata,
        client=client,
        parameters=[("token", token), ("token_type_hint", "access_token")],
        moment=moment,
        accept=accept,
    )


def process_introspection(reply: Reply, *, issuer: str, leeway: int, now: int) -> Introspection:
    """Check a plain answer (RFC 7662 2.2).

    Raises `token_inactive` for a token that counts for nothing here and now, `introspection_invalid` for an answer that
    is malformed or of another kind, `ProviderUnavailable` for an outage.
    """
    body = _body(reply, JSON_TYPE)
    try:
        members = parse_json_object(body)
    except GatewayError as error:
        raise GatewayError(INTROSPECTION_INVALID, error.detail) from error
    return _check_members(members, issuer, leeway, now)


def introspection_jwt(reply: Reply) -> str:
    """Return the JWT of a signed answer, which may yet have to be decrypted (RFC 9701 5).

    Raises as `process_introspection` does; plain JSON is `introspection_invalid`, since who could strip the signature
    could write the answer too (8.2).
    """
    return _ascii(_body(reply, SIGNED_TYPE))


def parse_signed_introspection(raw: str, client: Client) -> SignedToken:
    """Take a signed answer apart and check its kind and algorithm (RFC 9701 5); raises `introspection_invalid`."""
    algorithms = client.introspection.algorithms if client.introspection else ()
    try:
        token = parse_signed(raw, algorithms)
    except GatewayError as error:
        raise GatewayError(INTROSPECTION_INVALID, str(error)) from error
    if not _is_introspection_type(token.header.get("typ")):
        raise GatewayError(INTROSPECTION_INVALID, f"typ {token.header.get('typ')!r}")
    return token


def check_signed_introspection(
    token: SignedToken, keys: KeySet, *, issuer: str, client: Client, now: int
) -> Introspection:
    """Check a signed answer: signature, `iss`, `aud`, `iat`, and then `token_introspection` alone (RFC 9701 5).

    Raises as `process_introspection` does.
    """
    claims = _signed_claims(token, keys, client)
    if claims.get("iss") != issuer:
        raise GatewayError(INTROSPECTION_INVALID, f"iss {claims.get('iss')!r}, expected {issuer!r}")
    if client.client_id not in _texts(claims, "aud"):
        raise GatewayError(INTROSPECTION_INVALID, f"aud {claims.get('aud')!r} does not name us")
    issued_at = _time(claims, "iat")
    if issued_at is None or not now - MAX_ANSWER_AGE - client.leeway <= issued_at <= now + client.leeway:
        raise GatewayError(INTROSPECTION_INVALID, f"iat {issued_at}, now {now}")
    members = claims.get("token_introspection")
    if not isinstance(members, dict):
        raise GatewayError(INTROSPECTION_INVALID, "token_introspection is missing or not an object")
    return _check_members(members, issuer, client.leeway, now)


def process_phantom(reply: Reply, now: int) -> PhantomToken:
    """Check the answer to a question with `Accept: application/jwt`: a bare JWT, or 204 for an inactive token.

    The JWT is for the upstream to verify; we see to it that it is one, fits into a header and has not expired. Raises
    `token_inactive`, `introspection_invalid`, and `ProviderUnavailable` for an outage.
    """
    if reply.status == 204:
        raise GatewayError(TOKEN_INACTIVE, "the provider says so")
    raw = _ascii(_body(reply, PHANTOM_TYPE))
    match = _COMPACT_RE.fullmatch(raw) if len(raw) <= MAX_PHANTOM_BYTES else None
    if match is None:
        raise GatewayError(INTROSPECTION_INVALID, f"not a compact JWS of at most {MAX_PHANTOM_BYTES} bytes")
    header, claims = _part(match.group(1)), _part(match.group(2))
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm.lower() == "none" or _is_introspection_type(header.get("typ")):
        raise GatewayError(INTROSPECTION_INVALID, f"alg {algorithm!r}, typ {header.get('typ')!r}")  # RFC 9701 8.1.
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise GatewayError(INTROSPECTION_INVALID, "a JWT without exp")
    if expires_at <= now:
        raise GatewayError(TOKEN_INACTIVE, f"exp {expires_at}, now {now}")
    return PhantomToken(raw=raw, expires_at=expires_at, reusable_until=min(expires_at, now + _max_age(reply)))


def _body(reply: Reply, media_type: str) -> bytes:
    raise_if_unavailable(reply, "the introspection endpoint")
    if reply.status != 200:
        raise GatewayError(INTROSPECTION_INVALID, f"the introspection endpoint answered {reply.status}")
    if reply.media_type != media_type:
        raise GatewayError(INTROSPECTION_INVALID, f"media type {reply.media_type!r}, expected {media_type!r}")
    return reply.body


def _ascii(body: bytes) -> str:
    try:
        return body.decode("ascii")
    except ValueError as error:
        raise GatewayError(INTROSPECTION_INVALID, "not a JWT") from error


def _is_introspection_type(typ: object) -> bool:
    return isinstance(typ, str) and typ.lower().removeprefix("application/") == "token-introspection+jwt"


def _signed_claims(token: SignedToken, keys: KeySet, client: Client) -> dict[str, object]:
    try:
        if token.algorithm in SYMMETRIC_ALGORITHMS:
            return verify_symmetric(token, client.client_secret)
        return verify(token, keys)
    except GatewayError as error:
        raise GatewayError(INTROSPECTION_INVALID, str(error)) from error


def _check_members(members: Mapping[str, object], issuer: str, leeway: int, now: int) -> Introspection:
    active = members.get("active")
    if not isinstance(active, bool):
        raise GatewayError(INTROSPECTION_INVALID, "active is missing or not a boolean")
    if not active:
        raise GatewayError(TOKEN_INACTIVE, "the provider says so")
    expires_at, not_before = _time(members, "exp"), _time(members, "nbf")
    if expires_at is not None and expires_at <= now - leeway:
        raise GatewayError(TOKEN_INACTIVE, f"exp {expires_at}, now {now}")
    if not_before is not None and not_before > now + leeway:
        raise GatewayError(TOKEN_INACTIVE, f"nbf {not_before}, now {now}: is a clock wrong?")
    if members.get("iss", issuer) != issuer:
        raise GatewayError(TOKEN_INACTIVE, f"iss {members['iss']!r}, expected {issuer!r}")
    if (_text(members, "token_type") or "bearer").lower() not in ACCESS_TOKEN_TYPES:
        raise GatewayError(
            TOKEN_INACTIVE, f"token_type {quoted(members['token_type'])}"
        )  # A refresh token is no credential.
    if said_kind(members) is False:
        raise GatewayError(TOKEN_INACTIVE, "typ or token_use says that it is no access token")
    confirmation = members.get("cnf")
    if not isinstance(confirmation, dict | None):
        raise GatewayError(INTROSPECTION_INVALID, "cnf is not an object")
    return Introspection(
        subject=_text(members, "sub"),
        audience=_texts(members, "aud"),
        scope=tuple(name for name in (_text(members, "scope") or "").split(" ") if name),
        confirmation=confirmation,
        expires_at=expires_at,
        members=members,
        checked=_CHECKED,
    )


def _text(members: Mapping[str, object], name: str) -> str | None:
    value = members.get(name)
    if not isinstance(value, str | None):
        raise GatewayError(INTROSPECTION_INVALID, f"{name} is not a text")
    return value


def _texts(members: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = members.get(name)
    texts = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(text, str) for text in texts):
        raise GatewayError(INTROSPECTION_INVALID, f"{name} is neither a text nor a list of texts")
    return tuple(texts)


def _time(members: Mapping[str, object], name: str) -> int | None:
    value = members.get(name)
    if value is None and name not in members:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1 << 40:
        raise GatewayError(INTROSPECTION_INVALID, f"{name} is not a time")
    return int(value)


def _part(encoded: str) -> dict[str, object]:
    try:
        return parse_json_object(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, GatewayError) as error:
        raise GatewayError(INTROSPECTION_INVALID, "not a JWT") from error


def _max_age(reply: Reply) -> int:
    # Anything unclear means that it may not be reused at all (RFC 9111 4.2.1).
    sent = reply.headers.get("cache-control", "")
    if len(sent) > MAX_CACHE_CONTROL:
        return 0
    header = _QUOTED_RE.sub("", sent).lower()
    directives = [directive.strip(" \t") for directive in header.split(",")]
    ages = [value for name, _, value in (each.partition("=") for each in directives) if name == "max-age"]
    if len(ages) != 1 or not _SECONDS_RE.fullmatch(ages[0]) or {"no-store", "no-cache"}.intersection(directives):
        return 0
    return min(int(ages[0]), MAX_REUSE_SECONDS)
