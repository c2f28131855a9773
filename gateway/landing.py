"""What a browser brings back of the sign-in before this one, so that one that does not last is known for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.cookies import NOTE_SECONDS, CookiePolicy, cookie_value, opened_members, sealed_members, set_cookie
from gateway.oidc.messages import Entropy

_MAX_HOST = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A login that was completed in this browser less than a minute ago, by the browser's clock.

    `count` is how many were, each begun within a minute of the one before and without its session. `session` is the
    id of what the last one gave, `process` who made it, `at` when, and `ends_at` when it ends if it is not used; both
    are seconds since the epoch by the clock of that process.
    """

    count: int
    session: str
    process: str
    at: int
    ends_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How a login was begun where there is something to say of it; it travels sealed within `state`.

    `second` says that it replaces one that came to nothing, `host` names another host than ours that was asked for
    the page, `insecure` that the browser came without TLS and so keeps no cookies of ours.
    """

    second: bool = False
    host: str = ""
    insecure: bool = False


ORDINARY = Beginning()


def landing_cookie(policy: CookiePolicy, landing: Landing, entropy: Entropy) -> str:
    """Make the `Set-Cookie` of a login that was completed."""
    value = sealed_members(policy, "landing", asdict(landing), entropy)
    return set_cookie(policy, policy.landing, value, max_age=NOTE_SECONDS)


def find_landing(policy: CookiePolicy, header: str) -> Landing | None:
    """Find the login that was completed in this browser a moment ago."""
    members = opened_members(policy, "landing", cookie_value(header, policy.landing) or "")
    try:
        return None if members is None else Landing(**members)  # type: ignore[arg-type]
    except TypeError:  # Sealed by a release that knew other members.
        return None


def to_mark(policy: CookiePolicy, beginning: Beginning, entropy: Entropy) -> str:
    """Write down how a login begins; empty for one of which there is nothing to say."""
    if beginning == ORDINARY:
        return ""
    members: Mapping[str, object] = {**asdict(beginning), "host": beginning.host[:_MAX_HOST]}
    return sealed_members(policy, "beginning", {name: value for name, value in members.items() if value}, entropy)


def from_mark(policy: CookiePolicy, mark: str) -> Beginning:
    """Read how a login was begun; what is not ours says nothing."""
    members = opened_members(policy, "beginning", mark) or {}
    return Beginning(
        second=members.get("second") is True,
        host=str(members.get("host", "")),
        insecure=members.get("insecure") is True,
    )
