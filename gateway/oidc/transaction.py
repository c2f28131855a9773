"""One login attempt: what has to come back, and what will be held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.oidc.challenge import StepUp
from gateway.oidc.messages import Moment, base64url

_MARK = "."
SECRET_BYTES = 32
"""256 bits for state, nonce and code verifier: 43 characters of base64url (RFC 7636 4.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One login attempt, from the redirect to the callback; it lives in a cookie of the browser that began it.

    `provider` is our name for who was asked, `issuer` its own. `acr_values` are those of which the login must have
    one; `silent` says that the provider may ask the user nothing; `dpop_key` is the key that the code is bound to;
    `replaces` are the sessions that this login ends; `step_up` names the demand that it was begun for, `losses` says
    how many logins right before it did not last; `scope`, `resource` and `claims` are what is asked for where that is
    not as configured.
    """

    provider: str
    issuer: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    return_to: str
    created_at: int
    max_age: int | None = None
    acr_values: tuple[str, ...] = ()
    silent: bool = False
    dpop_key: str | None = field(default=None, repr=False)
    replaces: tuple[str, ...] = ()
    step_up: str = ""
    losses: int = 0
    scope: str = ""
    resource: tuple[str, ...] | None = None
    claims: str = ""


def marked(transaction: Transaction, mark: str) -> Transaction:
    """Have a login's state carry a mark, which comes back even where no cookie does; an empty one leaves no trace."""
    return replace(transaction, state=f"{transaction.state}{_MARK}{mark}") if mark else transaction


def mark_of(state: str) -> str:
    """Read the mark of the state that came back; whoever reads it has to see to it that it is ours."""
    return state.partition(_MARK)[2]


def new_transaction(
    *,
    provider: str,
    issuer: str,
    return_to: str,
    moment: Moment,
    demand: StepUp = StepUp(),
    silent: bool = False,
    replaces: Sequence[str] = (),
) -> Transaction:
    """Begin a login attempt with a state, a nonce and a code verifier of its own.

    `demand` is what the login has to show beyond who the user is.
    """
    return Transaction(
        provider=provider,
        issuer=issuer,
        state=base64url(moment.entropy(SECRET_BYTES)),
        nonce=base64url(moment.entropy(SECRET_BYTES)),
        code_verifier=base64url(moment.entropy(SECRET_BYTES)),
        return_to=return_to,
        created_at=moment.now,
        max_age=demand.max_age,
        acr_values=demand.acr_values,
        silent=silent,
        replaces=tuple(replaces),
    )
