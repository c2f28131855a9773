"""What an inner app's 401 makes us do: prove again with its nonce, renew the token, or ask for a stronger login."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from werkzeug import Response

from gateway.headers import Headers
from gateway.inner import Admitted
from gateway.oidc.challenge import StepUp, is_invalid_token, step_up_demand
from gateway.oidc.dpop import demands_nonce, offered_nonce
from gateway.oidc.messages import Reply
from gateway.policy import SAFE_METHODS
from gateway.request_context import Environ

REPEATABLE = SAFE_METHODS | {"PUT", "DELETE"}
"""A request that may have been acted upon is repeated only if twice is as good as once (RFC 9110 9.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reactions:
    """The second thoughts about one admitted request; a request has each of them once.

    `remember_nonce` keeps the nonce for the next proof, None where the token is bound to no key. `prove` makes the
    request anew with a fresh proof, None where it cannot be sent twice. `renew` makes it anew with a fresh token, or
    answers it itself where the session ended over that; None where no token of the session was sent. `step_up` begins a
    stronger login, None where the request is no navigation.
    """

    remember_nonce: Callable[[str], None] | None
    prove: Callable[[], Admitted] | None
    renew: Callable[[], Admitted | Response | None] | None
    step_up: Callable[[StepUp], Response] | None

    def __call__(self, status: int, headers: Headers) -> Response | Admitted | None:
        """Look at an answer: `WWW-Authenticate` of a 401, and the nonce for the next proof of any (RFC 9449 9)."""
        reply = _reply(status, headers)
        nonce = offered_nonce(reply)
        if nonce is not None and self.remember_nonce is not None:
            self.remember_nonce(nonce)
        if status != 401:
            return None
        if self.prove is not None and nonce is not None and demands_nonce(reply):
            return replace(self.prove(), react=replace(self, prove=None))
        challenges = reply.headers.get("www-authenticate", "")
        demand = step_up_demand(challenges)
        if demand is not None and self.step_up is not None:
            return self.step_up(demand)
        return self.renew() if self.renew is not None and is_invalid_token(challenges) else None


def is_repeatable(environ: Environ) -> bool:
    """Tell whether a request may be sent a second time: its method allows it, and it has no body."""
    has_body = environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ
    return environ.get("REQUEST_METHOD") in REPEATABLE and not has_body


def _reply(status: int, headers: Headers) -> Reply:
    fields: dict[str, str] = {}
    for name, value in headers:
        known = fields.get(name.lower())
        fields[name.lower()] = value if known is None else f"{known}, {value}"
    return Reply(status=status, headers=fields)
