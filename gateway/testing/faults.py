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
    `authorization_response`: alters the parameters of the response before they are signed or sent, `sent_response`
    those that travel in the end, `response_mode` how.
    `jarm_*` are for signed authorization responses, `front_id_token_*` for the ID token that comes with a code.
    `encrypted`: alters any JWE.
    `id_token_*` are for the ID token of a login, `refreshed_id_token_*` for that of a refresh; the last of each
    alters the compact serialization, signature and all.
    `token_exchange`: alters the members of a successful exchange, before `token_response`.
    `introspection`: alters status and members of an introspection, as JSON or within a JWT; `introspection_header`,
    `_claims` and `_jwt` are for both kinds of JWT, RFC 9701's and the access token itself.
    `logout_token_*` are for the logout token; `logout_token_alg` signs it by another algorithm whose key is published.
    `registration`: alters status and members of a registration's answer, also to reading and replacing it.
    """

    down: bool = False
    before: Callable[[str], None] | None = None
    response: Callable[[str, Response], Response] | None = None
    discovery: Alteration | None = None
    jwks: Alteration | None = None
    authorization_response: Callable[[dict[str, str]], dict[str, str]] | None = None
    token_response: Callable[[int, Members], tuple[int, Members]] | None = None
    pushed_response: Callable[[int, Members], tuple[int, Members]] | None = None
    response_mode: Callable[[str], str] | None = None
    sent_response: Callable[[dict[str, str]], dict[str, str]] | None = None
    jarm_header: Alteration | None = None
    jarm_claims: Alteration | None = None
    jarm: Callable[[str], str] | None = None
    front_id_token_header: Alteration | None = None
    front_id_token_claims: Alteration | None = None
    front_id_token: Callable[[str], str] | None = None
    encrypted: Callable[[str], str] | None = None
    id_token_header: Alteration | None = None
    id_token_claims: Alteration | None = None
    id_token: Callable[[str], str] | None = None
    refreshed_id_token_header: Alteration | None = None
    refreshed_id_token_claims: Alteration | None = None
    refreshed_id_token: Callable[[str], str] | None = None
    userinfo: Alteration | None = None
    userinfo_header: Alteration | None = None
    userinfo_jwt: Callable[[str], str] | None = None
    token_exchange: Alteration | None = None
    introspection: Callable[[int, Members], tuple[int, Members]] | None = None
    introspection_header: Alteration | None = None
    introspection_claims: Alteration | None = None
    introspection_jwt: Callable[[str], str] | None = None
    registration: Callable[[int, Members], tuple[int, Members]] | None = None
    logout_token_alg: str = ""
    logout_token_header: Alteration | None = None
    logout_token_claims: Alteration | None = None
    logout_token: Callable[[str], str] | None = None
    end_session: Callable[[dict[str, str]], dict[str, str]] | None = None


def altered(hook: Alteration | None, members: Members) -> Members:
    """Apply a hook, if there is one."""
    return members if hook is None else hook(members)


def refusing(error: str, status: int = 400) -> Callable[[int, Members], tuple[int, Members]]:
    """Answer with an error instead; a value for `Faults.token_response`, `pushed_response` and their like."""
    return lambda _, __: (status, {"error": error, "error_description": "a fault of the test", "x_unknown": 1})


def refusing_login(error: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Answer a login with an error instead; a value for `Faults.authorization_response`."""
    kept = ("state", "iss")
    return lambda members: {"error": error, **{name: members[name] for name in kept if name in members}}


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
