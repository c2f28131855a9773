"""Dynamic registration: calls built, answers checked (RFC 7591, RFC 7592)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from gateway.errors import REGISTRATION_INVALID, REGISTRATION_REFUSED, GatewayError
from gateway.oidc.client import Client
from gateway.oidc.client_auth import SECRET_METHODS, authenticated_call
from gateway.oidc.client_metadata import check_agreement
from gateway.oidc.messages import Call, Moment, Reply, json_object, raise_if_unavailable
from gateway.oidc.metadata import ProviderMetadata, is_protected_url, may_be_this_machine

MAX_ID_LENGTH = 1024
MAX_SECRET_LENGTH = 8 * 1024
MAX_DETAIL_LENGTH = 300

SERVER_MEMBERS = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)
"""What an update never says of itself (RFC 7592 2.2)."""

_VSCHAR_RE = re.compile(r"[ -~]+")
_TOKEN_RE = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Who we are to the provider since it said so.

    `members` is all that is registered, secrets included: what to keep, for `parse_registration` to read again.

    `client_secret` is empty for a client that has none, `client_secret_expires_at` None for one that does not expire.
    The last two are None where the provider does not let us read, change or delete the registration.
    """

    client_id: str
    client_secret: str = field(repr=False)
    client_secret_expires_at: int | None
    registration_access_token: str | None = field(repr=False)
    registration_client_uri: str | None
    members: Mapping[str, object] = field(repr=False)


def client_credentials_grant(metadata: ProviderMetadata, client: Client, scope: str, moment: Moment) -> Call:
    """Build the request for a token of the client's own, such as one with the scope `dcr` (RFC 6749 4.4.2)."""
    return authenticated_call(
        metadata.token_endpoint,
        metadata=metadata,
        client=client,
        parameters=[("grant_type", "client_credentials"), ("scope", scope)],
        moment=moment,
    )


def registration_call(endpoint: str, members: Mapping[str, object], initial_access_token: str | None) -> Call:
    """Build the registration of a client (RFC 7591 3.1); raises `registration_invalid` for an unusable token."""
    return _call("POST", endpoint, initial_access_token, members)


def read_call(registration: Registration) -> Call:
    """Build the request for the registration as it stands (RFC 7592 2.1).

    Raises `registration_invalid` where the provider offers no such thing.
    """
    return _call("GET", _managed_at(registration), registration.registration_access_token)


def update_call(registration: Registration, members: Mapping[str, object]) -> Call:
    """Build the replacement of the registration by these members (RFC 7592 2.2); raises as `read_call` does."""
    own = {name: value for name, value in members.items() if name not in SERVER_MEMBERS}
    if registration.client_secret:
        own["client_secret"] = registration.client_secret
    own["client_id"] = registration.client_id
    return _call("PUT", _managed_at(registration), registration.registration_access_token, own)


def delete_call(registration: Registration) -> Call:
    """Build the end of the registration (RFC 7592 2.3); raises as `read_call` does."""
    return _call("DELETE", _managed_at(registration), registration.registration_access_token)


def process_registration(
    reply: Reply, requested: Mapping[str, object], issuer: str, *, previous: Registration | None = None
) -> Registration:
    """Check the answer to a registration, or to the reading or the update of the `previous` one.

    What the provider registered counts, not what was asked for (RFC 7591 3.2.1), within the bounds of
    `check_agreement`. Raises `registration_refused`, `ProviderUnavailable`, and `registration_invalid` for an answer
    that is malformed, that we cannot agree to, or that lacks the secret which its method of authentication needs.
    """
    raise_if_unavailable(reply, "the registration endpoint")
    members = _members(reply)
    if reply.status not in (200, 201):  # 200 is RFC 7592's.
        raise _refusal(reply.status, members)
    registration = parse_registration(members, issuer, previous)
    check_agreement(members, requested)
    registered = {**requested, **registration.members}
    method = registered.get("token_endpoint_auth_method") or "client_secret_basic"  # RFC 7591 2: the default.
    if method in SECRET_METHODS and not registration.client_secret:
        raise GatewayError(REGISTRATION_INVALID, f"no client_secret for {method}")
    return replace(registration, members=registered)


def process_deletion(reply: Reply) -> None:
    """Check the answer to a deletion; raises `registration_refused` and `ProviderUnavailable`.

    401 is a refusal too, though the registration may just be gone already (RFC 7592 2.3).
    """
    raise_if_unavailable(reply, "the registration endpoint")
    if reply.status not in (200, 204):
        raise GatewayError(REGISTRATION_REFUSED, f"the registration endpoint answered {reply.status}")


def parse_registration(
    members: Mapping[str, object], issuer: str, previous: Registration | None = None
) -> Registration:
    """Read a registration from the provider's members, fresh or kept (RFC 7591 3.2.1, RFC 7592 3).

    What is missing is taken from `previous`. A missing `client_secret_expires_at` is forgiven, as providers leave it
    out. Raises `registration_invalid`, also where the client is not the `previous` one.
    """
    if previous is not None:
        members = {**_kept(previous, members), **{name: value for name, value in members.items() if value is not None}}
    client_id = _text(members, "client_id", _VSCHAR_RE, MAX_ID_LENGTH)
    if client_id is None or (previous is not None and client_id != previous.client_id):
        raise GatewayError(REGISTRATION_INVALID, "client_id is missing or another's")
    token = _text(members, "registration_access_token", _TOKEN_RE, MAX_SECRET_LENGTH)
    uri = _text(members, "registration_client_uri", _TOKEN_RE, MAX_SECRET_LENGTH)
    if (token is None) != (uri is None) or (uri is not None and not is_protected_url(uri)):
        raise GatewayError(REGISTRATION_INVALID, "registration_client_uri is no https URL or lacks its token")
    if uri is not None and may_be_this_machine(_host(uri)) and not may_be_this_machine(_host(issuer)):
        raise GatewayError(REGISTRATION_INVALID, "registration_client_uri is on this machine, the issuer is not")
    return Registration(
        client_id=client_id,
        client_secret=_text(members, "client_secret", _VSCHAR_RE, MAX_SECRET_LENGTH) or "",
        client_secret_expires_at=_expiry(members),
        registration_access_token=token,
        registration_client_uri=uri,
        members=members,
    )


def _call(method: str, url: str, token: str | None, members: Mapping[str, object] | None = None) -> Call:
    headers = {"Accept": "application/json"}
    if token is not None:
        if not _TOKEN_RE.fullmatch(token):
            raise GatewayError(REGISTRATION_INVALID, "the access token does not fit into a header")
        headers["Authorization"] = f"Bearer {token}"
    if members is None:
        return Call(method=method, url=url, headers=headers)
    headers["Content-Type"] = "application/json"
    return Call(method=method, url=url, headers=headers, body=json.dumps(members).encode("ascii"))


def _managed_at(registration: Registration) -> str:
    if registration.registration_client_uri is None:
        raise GatewayError(REGISTRATION_INVALID, "the provider named no registration_client_uri")
    return registration.registration_client_uri


def _members(reply: Reply) -> dict[str, object]:
    try:
        return json_object(reply)
    except GatewayError as error:
        problem = REGISTRATION_INVALID if reply.status in (200, 201) else REGISTRATION_REFUSED
        raise GatewayError(problem, f"status {reply.status}: {error.detail}") from error


def _refusal(status: int, members: Mapping[str, object]) -> GatewayError:
    # Whoever registers wants to know why; quoted and cut, since it is the provider's text (RFC 7591 3.2.2).
    reasons = [repr(members[name])[:MAX_DETAIL_LENGTH] for name in ("error", "error_description") if name in members]
    return GatewayError(REGISTRATION_REFUSED, f"status {status}: {' '.join(reasons)}")


def _kept(previous: Registration, members: Mapping[str, object]) -> dict[str, object]:
    names = ["registration_access_token", "registration_client_uri"]
    if members.get("client_secret") is None:  # A new secret has an expiry of its own.
        names += ["client_secret", "client_secret_expires_at"]
    return {name: previous.members[name] for name in names if name in previous.members}


def _text(members: Mapping[str, object], name: str, characters: re.Pattern[str], longest: int) -> str | None:
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest or not characters.fullmatch(value):
        raise GatewayError(REGISTRATION_INVALID, f"{name} is not a text of at most {longest} printable characters")
    return value


def _expiry(members: Mapping[str, object]) -> int | None:
    value = members.get("client_secret_expires_at")
    if value is None:  # Required beside a secret, and yet left out by some.
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 40:
        raise GatewayError(REGISTRATION_INVALID, "client_secret_expires_at is not a time")
    return int(value) or None


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
