"""Our cookies: an opaque session handle, one sealed transaction for each login, and short-lived notes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from gateway.oidc.messages import Entropy, base64url, same_text
from gateway.oidc.transaction import Transaction
from gateway.sealing import KeyRing, seal, unseal

HANDLE_BYTES = 32
MAX_HANDLES = 4
"""How many cookies of the session's name are tried: a sibling host can only ever add more of them."""

MAX_TRANSACTIONS = 5
MAX_TRANSACTION_BYTES = 4096
"""What all transaction cookies may weigh together: servers refuse a `Cookie` field of 8 KiB."""

TRANSACTION_SECONDS = 900
NOTE_SECONDS = 60
LOGOUT_SECONDS = 600
FORM_SECONDS = 600
CONSOLE_SECONDS = 3600
"""How long the developer's console may show what a login of this browser asked and brought."""

MAX_COOKIE = 4000
"""What browsers keep of name and value together (RFC 6265bis 5.6), with a little room."""

_OWN_ENDS = frozenset({"", "-retry", "-landing", "-logout", "-stepup", "-form", "-console"})
_DIGEST = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CookiePolicy:
    """How our cookies are named and sealed; `secure` when the public URL is https.

    `cross_site` says that a provider answers with a form of its own page: then the cookies of logins under way, and
    those alone, must come with another site's POST.
    """

    name: str
    secure: bool
    ring: KeyRing
    cross_site: bool = False

    @property
    def session(self) -> str:
        """The session cookie's name; `__Host-` keeps other hosts from setting it (RFC 6265bis 4.1.3.2)."""
        return f"__Host-{self.name}" if self.secure else self.name

    @property
    def retry(self) -> str:
        """The name of the note that a login was begun anew once already."""
        return f"{self.session}-retry"

    @property
    def landing(self) -> str:
        """The name of the note that a login was completed, and which."""
        return f"{self.session}-landing"

    @property
    def step_up(self) -> str:
        """The name of the note that a login was completed just now for a demand, and for which."""
        return f"{self.session}-stepup"

    @property
    def logout(self) -> str:
        """The name of the note of a logout that is under way at the provider."""
        return f"{self.session}-logout"

    @property
    def form(self) -> str:
        """The name of the form that waits for a login."""
        return f"{self.session}-form"

    @property
    def console(self) -> str:
        """The name of the handle of this browser's logins, as the developer's console shows them."""
        return f"{self.session}-console"

    def transaction(self, state: str) -> str:
        """Name the cookie of the login with that state."""
        # Nothing is proven of the state of a signed answer yet, and JSON can hold half of a surrogate pair.
        return f"{self._transactions}{hashlib.sha256(state.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"

    @property
    def _transactions(self) -> str:
        return f"{self.session}-tx-"

    def is_own(self, name: str) -> bool:
        """Tell whether a cookie of that name is one of ours, whatever its prefix and case."""
        bare = name.strip().lower().removeprefix("__host-").removeprefix("__secure-")
        own = self.name.lower()
        rest = bare.removeprefix(own)
        return bare.startswith(own) and (rest in _OWN_ENDS or rest.startswith("-tx-"))

    def is_transaction(self, name: str) -> bool:
        """Tell whether a cookie of that name is a login's; whatever else follows our prefix is not echoed."""
        return name.startswith(self._transactions) and bool(_DIGEST.fullmatch(name.removeprefix(self._transactions)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutNote:
    """A logout under way at the provider: the state to expect back, and where to go then."""

    state: str
    return_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptForm:
    """A form that was sent without a session: where to, what it said, and when in seconds since the epoch."""

    target: str
    body: str
    kept_at: int


def read_cookies(header: str) -> list[tuple[str, str]]:
    """Split a `Cookie` field into names and values, in order, doubles kept.

    Only space and tab are cut: a name that begins with another kind of space is another name to the browser, which
    then does not hold it to the rules of `__Host-`.
    """
    pairs = (part.partition("=") for part in header.split(";"))
    return [(name.strip(" \t"), value.strip(" \t")) for name, mark, value in pairs if mark]


def without_own(policy: CookiePolicy, header: str) -> str:
    """Cut our cookies out of a `Cookie` field and leave the others as they came."""
    if not header:
        return ""
    kept = [part.strip() for part in header.split(";") if not _has_own(policy, part)]
    return "; ".join(part for part in kept if part)


def _has_own(policy: CookiePolicy, part: str) -> bool:
    # Some servers join two `Cookie` fields by a comma (RFC 9113 8.2.3 wants a semicolon).
    if policy.name.lower() not in part.lower():
        return False
    return any(policy.is_own(piece.partition("=")[0]) for piece in part.split(","))


def is_own_set_cookie(policy: CookiePolicy, line: str) -> bool:
    """Tell whether a `Set-Cookie` line of an inner app would overwrite one of our cookies."""
    # Without a name, the value is what comes back first in `Cookie`, and it may hold a name (RFC 6265bis 5.7).
    return policy.is_own(line.partition(";")[0].lstrip("= \t").partition("=")[0])


def session_handles(policy: CookiePolicy, header: str) -> list[bytes]:
    """Read the session handles of a request; what is not one is passed over."""
    own = policy.session
    return _handles(own, header) if own in header else []


def console_handle(policy: CookiePolicy, header: str) -> bytes | None:
    """Read the handle of this browser's logins, where it has one."""
    return next(iter(_handles(policy.console, header)), None)


def console_cookie(policy: CookiePolicy, handle: bytes) -> str:
    """Make the `Set-Cookie` of the handle of this browser's logins."""
    return set_cookie(policy, policy.console, base64url(handle), max_age=CONSOLE_SECONDS)


def _handles(own: str, header: str) -> list[bytes]:
    values = [value for name, value in read_cookies(header) if name == own]
    handles = (_decoded(value) for value in values[:MAX_HANDLES])
    return [handle for handle in handles if handle is not None and len(handle) == HANDLE_BYTES]


def session_cookie(policy: CookiePolicy, handle: bytes) -> str:
    """Make the `Set-Cookie` of a session; it ends with the browser, and the server ends it earlier."""
    return set_cookie(policy, policy.session, base64url(handle))


def deletion(policy: CookiePolicy, name: str) -> str:
    """Make the `Set-Cookie` that deletes a cookie, with the attributes that it was set with."""
    return set_cookie(policy, name, "", max_age=0)


def note(policy: CookiePolicy, name: str, value: str) -> str:
    """Make the `Set-Cookie` of a mark that is kept for a minute and protects nothing."""
    return set_cookie(policy, name, value, max_age=NOTE_SECONDS)


def begin_transaction(policy: CookiePolicy, transaction: Transaction, header: str, entropy: Entropy) -> list[str]:
    """Make the `Set-Cookie`s of a new login: its own, and the deletion of the oldest where there are too many."""
    name = policy.transaction(transaction.state)
    value = sealed_members(policy, "transaction", asdict(transaction), entropy)
    earlier = [pair for pair in read_cookies(header) if policy.is_transaction(pair[0])]
    by_age = sorted(earlier, key=lambda pair: _begun_at(policy, pair[1]), reverse=True)
    room, lines = MAX_TRANSACTION_BYTES - len(value), [set_cookie(policy, name, value, max_age=TRANSACTION_SECONDS)]
    for number, (other, found) in enumerate(by_age, start=1):
        room -= len(found)
        if room < 0 or number >= MAX_TRANSACTIONS or _begun_at(policy, found) == 0:
            lines.append(deletion(policy, other))
    return lines


def find_transaction(policy: CookiePolicy, header: str, state: str) -> Transaction | None:
    """Find the login that this browser began with that state; only its own cookie can prove it."""
    name = policy.transaction(state)
    for other, value in read_cookies(header):
        transaction = _transaction(policy, value) if other == name else None
        if transaction is not None and same_text(transaction.state, state):
            return transaction
    return None


def begin_logout(policy: CookiePolicy, logout: LogoutNote, entropy: Entropy) -> str:
    """Make the `Set-Cookie` that remembers a logout until the provider sends the browser back."""
    value = sealed_members(policy, "logout", asdict(logout), entropy)
    return set_cookie(policy, policy.logout, value, max_age=LOGOUT_SECONDS)


def find_logout(policy: CookiePolicy, header: str, state: str) -> LogoutNote | None:
    """Find the logout that this browser began with that state."""
    for name, value in read_cookies(header):
        members = opened_members(policy, "logout", value) if name == policy.logout else None
        if members is not None and same_text(str(members.get("state")), state):
            return LogoutNote(state=state, return_to=str(members.get("return_to", "")))
    return None


def keep_form(policy: CookiePolicy, form: KeptForm, entropy: Entropy) -> str | None:
    """Make the `Set-Cookie` that keeps a form; None where it is too large for a cookie."""
    value = sealed_members(policy, "form", asdict(form), entropy)
    return set_cookie(policy, policy.form, value, max_age=FORM_SECONDS) if len(value) < MAX_COOKIE else None


def find_form(policy: CookiePolicy, header: str) -> KeptForm | None:
    """Find the form that the browser keeps."""
    members = opened_members(policy, "form", cookie_value(header, policy.form) or "")
    if members is None:
        return None
    try:
        return KeptForm(**members)  # type: ignore[arg-type]
    except TypeError:  # Sealed by a release that knew other members.
        return None


def cookie_value(header: str, name: str) -> str | None:
    """Read the first cookie of that name."""
    return next((value for other, value in read_cookies(header) if other == name), None)


def set_cookie(policy: CookiePolicy, name: str, value: str, *, max_age: int | None = None) -> str:
    """Make a `Set-Cookie` line; `max_age` is in seconds."""
    lifetime = "" if max_age is None else f"; Max-Age={max_age}"
    secure = "; Secure" if policy.secure else ""
    # Browsers keep SameSite=None of secure origins alone; without TLS, only a provider on the same host can post.
    comes_back = name in (policy.retry, policy.landing, policy.console) or policy.is_transaction(name)
    travels = policy.cross_site and policy.secure and comes_back
    return f"{name}={value}{lifetime}; Path=/; HttpOnly; SameSite={'None' if travels else 'Lax'}{secure}"


def sealed_members(policy: CookiePolicy, purpose: str, members: Mapping[str, object], entropy: Entropy) -> str:
    """Seal what only we may say, and only for that purpose."""
    text = json.dumps(members, separators=(",", ":")).encode("utf-8")
    return base64url(seal(policy.ring, purpose, text, entropy=entropy))


def opened_members(policy: CookiePolicy, purpose: str, value: str) -> dict[str, object] | None:
    """Open what was sealed for that purpose; None for anything else."""
    sealed = _decoded(value)
    text = None if sealed is None else unseal(policy.ring, purpose, sealed)
    members = None if text is None else json.loads(text)
    return members if isinstance(members, dict) else None


def _transaction(policy: CookiePolicy, value: str) -> Transaction | None:
    members = opened_members(policy, "transaction", value)
    if members is None:
        return None
    lists = {name: tuple(value) for name, value in members.items() if isinstance(value, list)}
    try:
        return Transaction(**{**members, **lists})  # type: ignore[arg-type]
    except TypeError:  # Sealed by a release that knew other members.
        return None


def _begun_at(policy: CookiePolicy, value: str) -> int:
    transaction = _transaction(policy, value)
    return 0 if transaction is None else transaction.created_at


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
