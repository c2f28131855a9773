"""What a provider may do wrong, each as a hook of its own; by default none is set and the provider is honest."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from gateway.oidc.messages import base64url

Members = dict[str, object]
Alteration = Callable[[Members], Members]


@dataclass(kw_only=True)
class Faults:
    """Hooks that alter what the provider says, each given the honest value; None leaves it alone.

    `down`: nothing answers, neither in process nor over HTTP.
    `before`: called with the name of the call, as in `FakeProvider.calls`, before it is answered; it may wait for an
    event of the test, or raise.
    `response`: alters the finished HTTP response of the call that it is given the name of.
    `token_response`: alters status and members of the token endpoint's reply, for every grant.
    `id_token_*` are for the ID token of a login, `refreshed_id_token_*` for that of a refresh; the last of each
    alters the compact serialization, signature and all.
    """

    down: bool = False
    before: Callable[[str], None] | None = None
    response: Callable[[str, Response], Response] | None = None
    discovery: Alteration | None = None
    jwks: Alteration | None = None
    authorization_response: Callable[[dict[str, str]], dict[str, str]] | None = None
    token_response: Callable[[int, Members], tuple[int, Members]] | None = None
    id_token_header: Alteration | None = None
    id_token_claims: Alteration | None = None
    id_token: Callable[[str], str] | None = None
    refreshed_id_token_header: Alteration | None = None
    refreshed_id_token_claims: Alteration | None = None
    refreshed_id_token: Callable[[str], str] | None = None
    userinfo: Alteration | None = None
    end_session: Callable[[dict[str, str]], dict[str, str]] | None = None


def altered(hook: Alteration | None, members: Members) -> Members:
    """Apply a hook, if there is one."""
    return members if hook is None else hook(members)


def with_altered_signature(compact: str) -> str:
    """Change one bit of a token's signature; a value for `Faults.id_token`."""
    signed, _, signature = compact.rpartition(".")
    octets = bytearray(base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)))
    octets[len(octets) // 2] ^= 1
    return f"{signed}.{base64url(bytes(octets))}"


def without_signature(compact: str) -> str:
    """Turn a token into one of `alg` none (RFC 7515 appendix A.5); a value for `Faults.id_token`."""
    header, payload = base64url(b'{"alg":"none"}'), compact.split(".")[1]
    return f"{header}.{payload}."
