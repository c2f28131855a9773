"""Our cookies (DESIGN 5 rules 3, 5, 10): names, attributes, what is ours among others, and the sealed ones."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from gateway.cookies import (
    HANDLE_BYTES,
    MAX_TRANSACTION_BYTES,
    MAX_TRANSACTIONS,
    TRANSACTION_SECONDS,
    CookiePolicy,
    LogoutNote,
    begin_logout,
    begin_transaction,
    cookie_value,
    deletion,
    find_logout,
    find_transaction,
    is_own_set_cookie,
    note,
    read_cookies,
    session_cookie,
    session_handles,
    without_own,
)
from gateway.oidc.messages import Moment, base64url
from gateway.oidc.transaction import Transaction, new_transaction
from gateway.sealing import KeyRing

RING: Final = KeyRing.of(["a secret of at least thirty-two characters"])
OTHER_RING: Final = KeyRing.of(["another secret of at least thirty-two characters"])
HTTPS: Final = CookiePolicy(name="gateway", secure=True, ring=RING)
HTTP: Final = CookiePolicy(name="gateway", secure=False, ring=RING)
HANDLE: Final = bytes(range(HANDLE_BYTES))


def begun(at: int, return_to: str = "/") -> Transaction:
    moment = Moment(now=at, entropy=secrets.token_bytes)
    return new_transaction(provider="default", issuer="https://op.example", return_to=return_to, moment=moment)


def pair_of(line: str) -> str:
    """Take from a `Set-Cookie` line what the browser sends back."""
    return line.partition(";")[0]


def names_of(lines: Sequence[str]) -> set[str]:
    return {line.partition("=")[0] for line in lines}


def after(header: str, lines: Sequence[str]) -> str:
    """Do to a `Cookie` field what a browser does on `Set-Cookie`."""
    kept = [part for part in header.split("; ") if part and part.partition("=")[0] not in names_of(lines)]
    return "; ".join([*kept, *(pair_of(line) for line in lines if "; Max-Age=0;" not in line)])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            session_cookie(HTTPS, HANDLE),
            f"__Host-gateway={base64url(HANDLE)}; Path=/; HttpOnly; SameSite=Lax; Secure",
            id="session, https",
        ),
        pytest.param(
            session_cookie(HTTP, HANDLE),
            f"gateway={base64url(HANDLE)}; Path=/; HttpOnly; SameSite=Lax",
            id="session, http on localhost",
        ),
        pytest.param(
            deletion(HTTPS, HTTPS.session),
            "__Host-gateway=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure",
            id="deletion has the same attributes (CVE-2025-55162)",
        ),
        pytest.param(
            note(HTTPS, HTTPS.step_up, "1"),
            "__Host-gateway-stepup=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure",
            id="step-up note",
        ),
        pytest.param(
            note(HTTP, HTTP.step_up, "1"),
            "gateway-stepup=1; Max-Age=60; Path=/; HttpOnly; SameSite=Lax",
            id="step-up note, http",
        ),
    ],
)
def test_names_and_attributes(line: str, expected: str) -> None:
    assert line == expected


@pytest.mark.parametrize("policy", [pytest.param(HTTPS, id="https"), pytest.param(HTTP, id="http")])
def test_a_transaction_has_a_cookie_of_its_own_for_each_state(policy: CookiePolicy) -> None:
    (line,) = begin_transaction(policy, begun(1000), "", secrets.token_bytes)
    (other,) = begin_transaction(policy, begun(1000), "", secrets.token_bytes)
    assert line.startswith(policy.session + "-tx-")
    secure = "; Secure" if policy.secure else ""
    assert line.endswith(f"; Max-Age={TRANSACTION_SECONDS}; Path=/; HttpOnly; SameSite=Lax{secure}")
    assert names_of([line]) != names_of([other])


OWN_NAMES: Final = [
    "gateway", "__Host-gateway", "__Secure-gateway", "GATEWAY", "__HOST-Gateway", "__host-gateway", " gateway ",
    "gateway-retry", "__Host-gateway-stepup", "gateway-form", "gateway-logout", "__Host-gateway-LOGOUT", "gateway-tx-",
    "__Host-gateway-tx-0123456789abcdef", "__Secure-GATEWAY-TX-1", "__Host-__Secure-gateway", "\tgateway",
    "__Host-gateway-landing", "gateway-landing",
]  # fmt: skip
OTHER_NAMES: Final = [
    "", "gatewa", "gateways", "gateway2", "my-gateway", "gateway-", "gateway-tx", "gateway-theme", "__Host-",
    "__Host-g", "__Host-other", "Host-gateway", "gate way",
]  # fmt: skip


@pytest.mark.parametrize("policy", [pytest.param(HTTPS, id="https"), pytest.param(HTTP, id="http")])
@pytest.mark.parametrize(
    ("name", "own"), [(name, True) for name in OWN_NAMES] + [(name, False) for name in OTHER_NAMES]
)
def test_which_names_are_ours(policy: CookiePolicy, name: str, own: bool) -> None:
    assert policy.is_own(name) is own


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param("a=1; b=2", "a=1; b=2", id="none of ours"),
        pytest.param("__Host-gateway=x", "", id="ours alone"),
        pytest.param("a=1; __Host-gateway=x; b=2", "a=1; b=2", id="ours in the middle"),
        pytest.param("__Host-gateway=x; __Host-gateway=y; a=1; GATEWAY=z", "a=1", id="ours several times"),
        pytest.param("gateway-tx-1=x;gateway-tx-2=y;a=1;gateway-logout=z;gateway-stepup=1", "a=1", id="all of ours"),
        pytest.param('a="q, \\"x\\""; b=a=b==; c', 'a="q, \\"x\\""; b=a=b==; c', id="odd values, byte for byte"),
        pytest.param("a=\xe9\xff; b=%3B", "a=\xe9\xff; b=%3B", id="octets that are not ASCII, byte for byte"),
        pytest.param("a=1; a=2; a=1", "a=1; a=2; a=1", id="doubles stay, in order"),
        pytest.param("a=1;; ;b=2", "a=1; b=2", id="empty parts"),
        pytest.param('a="x; __Host-gateway=y"; b=1', 'a="x; b=1', id="within quotes, which cookies do not have"),
        pytest.param("__Host-gateway", "", id="a name without a value"),
        pytest.param("__Host-gateway =x; a=1", "a=1", id="a space before the sign"),
    ],
)
def test_ours_are_cut_out_and_the_others_stay_as_they_came(header: str, kept: str) -> None:
    assert without_own(HTTPS, header) == kept


@pytest.mark.parametrize(
    ("line", "own"),
    [
        pytest.param("__Host-gateway=x; Path=/; Secure", True, id="the session"),
        pytest.param("__host-GATEWAY=x", True, id="in another case"),
        pytest.param(" gateway-tx-1=x", True, id="a transaction, with a space"),
        pytest.param("gateway-logout=; Max-Age=0", True, id="a deletion"),
        pytest.param("=__Host-gateway=x", True, id="a value that holds the name"),
        pytest.param("gateway", True, id="no value"),
        pytest.param("theme=gateway", False, id="the name as a value"),
        pytest.param("theme=x; Path=/gateway", False, id="the name in an attribute"),
    ],
)
def test_an_inner_app_cannot_set_ours(line: str, own: bool) -> None:
    assert is_own_set_cookie(HTTPS, line) is own


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        pytest.param("a=1; b=2", [("a", "1"), ("b", "2")], id="two"),
        pytest.param("a=1;a=2", [("a", "1"), ("a", "2")], id="doubles, in order"),
        pytest.param("a=b=c", [("a", "b=c")], id="a sign in the value"),
        pytest.param("a; ;b=", [("b", "")], id="no value and an empty one"),
    ],
)
def test_a_cookie_field_is_read_in_order(header: str, cookies: list[tuple[str, str]]) -> None:
    assert read_cookies(header) == cookies
    assert all(cookie_value(header, name) == dict(reversed(cookies))[name] for name, _ in cookies)
    assert cookie_value(header, "absent") is None


def handle(number: int) -> bytes:
    return bytes([number]) * HANDLE_BYTES


def as_cookie(number: int) -> str:
    return f"__Host-gateway={base64url(handle(number))}"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        pytest.param("", [], id="none"),
        pytest.param(as_cookie(1), [1], id="one"),
        pytest.param("; ".join(map(as_cookie, (1, 2, 3))), [1, 2, 3], id="several, in order"),
        pytest.param("; ".join(map(as_cookie, (1, 2, 3, 4, 5, 6))), [1, 2, 3, 4], id="no more than four"),
        pytest.param(f"__Host-gateway=!; {as_cookie(2)}", [2], id="not base64url"),
        pytest.param(f"__Host-gateway={base64url(b'short')}; {as_cookie(2)}", [2], id="too short"),
        pytest.param(f"__Host-gateway={base64url(b'l' * 33)}; {as_cookie(2)}", [2], id="too long"),
        pytest.param(f"__Host-gateway=; {as_cookie(2)}", [2], id="empty"),
        pytest.param(f"__Host-gateway=\xe9\xff; {as_cookie(2)}", [2], id="not ASCII"),
        pytest.param(f'__Host-gateway="{base64url(handle(1))}"', [], id="in quotes"),
        pytest.param(f"gateway={base64url(handle(1))}", [], id="without the prefix"),
        pytest.param(f"__host-gateway={base64url(handle(1))}", [], id="the prefix in another case"),
    ],
)
def test_handles_are_read_and_what_is_none_is_passed_over(header: str, found: list[int]) -> None:
    assert session_handles(HTTPS, header) == [handle(number) for number in found]


def test_a_transaction_is_found_by_its_state_alone() -> None:
    first, second = begun(1000, "/a?b=c#d"), replace(begun(1001), max_age=0)
    header = after("", begin_transaction(HTTPS, first, "", secrets.token_bytes))
    header = after(header, begin_transaction(HTTPS, second, header, secrets.token_bytes))
    assert find_transaction(HTTPS, header, first.state) == first
    assert find_transaction(HTTPS, header, second.state) == second
    assert find_transaction(HTTPS, header, begun(1000).state) is None
    assert find_transaction(HTTPS, "", first.state) is None


def test_a_transaction_cookie_hides_what_it_holds() -> None:
    transaction = begun(1000, "/secret-place")
    (line,) = begin_transaction(HTTPS, transaction, "", secrets.token_bytes)
    for text in (transaction.state, transaction.nonce, transaction.code_verifier, "secret-place"):
        assert text not in line


def test_a_transaction_does_not_open_under_another_key() -> None:
    transaction = begun(1000)
    header = after("", begin_transaction(HTTPS, transaction, "", secrets.token_bytes))
    assert find_transaction(replace(HTTPS, ring=OTHER_RING), header, transaction.state) is None


def test_a_transaction_in_the_cookie_of_another_state_counts_for_nothing() -> None:
    mine, theirs = begun(1000), begun(1000)
    value = after("", begin_transaction(HTTPS, theirs, "", secrets.token_bytes)).partition("=")[2]
    header = f"{HTTPS.transaction(mine.state)}={value}"
    assert find_transaction(HTTPS, header, mine.state) is None
    assert find_transaction(HTTPS, header, theirs.state) is None


def test_what_was_sealed_for_a_logout_is_no_transaction() -> None:
    state = begun(1000).state
    sealed = pair_of(begin_logout(HTTPS, LogoutNote(state=state, return_to="/"), secrets.token_bytes)).partition("=")[2]
    assert find_transaction(HTTPS, f"{HTTPS.transaction(state)}={sealed}", state) is None


def test_what_was_sealed_for_a_transaction_is_no_logout() -> None:
    transaction = begun(1000)
    sealed = after("", begin_transaction(HTTPS, transaction, "", secrets.token_bytes)).partition("=")[2]
    assert find_logout(HTTPS, f"{HTTPS.logout}={sealed}", transaction.state) is None


def test_a_forged_double_before_it_does_not_hide_a_transaction() -> None:
    transaction = begun(1000)
    header = after("", begin_transaction(HTTPS, transaction, "", secrets.token_bytes))
    forged = f"{HTTPS.transaction(transaction.state)}=forged"
    assert find_transaction(HTTPS, f"{forged}; {header}", transaction.state) == transaction


def test_the_oldest_of_too_many_transactions_is_dropped() -> None:
    transactions = [begun(1000 + number) for number in range(MAX_TRANSACTIONS + 2)]
    header = "theme=dark"
    for transaction in transactions:
        header = after(header, begin_transaction(HTTPS, transaction, header, secrets.token_bytes))
    found = [find_transaction(HTTPS, header, transaction.state) is not None for transaction in transactions]
    assert found == [False, False] + [True] * MAX_TRANSACTIONS
    assert "theme=dark" in header


def test_transactions_never_weigh_more_than_their_limit() -> None:
    transactions = [begun(1000 + number, "/" + "p" * 900) for number in range(4)]
    header = ""
    for transaction in transactions:
        header = after(header, begin_transaction(HTTPS, transaction, header, secrets.token_bytes))
        assert sum(len(value) for _, value in read_cookies(header)) <= MAX_TRANSACTION_BYTES
    found = [find_transaction(HTTPS, header, transaction.state) is not None for transaction in transactions]
    assert found == [False, False, True, True]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("!", id="not base64url"),
        pytest.param(base64url(b"\x01" + bytes(80)), id="not sealed by us"),
        pytest.param(
            pair_of(begin_logout(HTTPS, LogoutNote(state="s", return_to="/"), secrets.token_bytes)).partition("=")[2],
            id="sealed for another purpose",
        ),
    ],
)
def test_an_unreadable_transaction_is_dropped_with_the_next_login(value: str) -> None:
    lines = begin_transaction(
        HTTPS, begun(1000), f"__Host-gateway-tx-0123456789abcdef={value}; a=1", secrets.token_bytes
    )
    assert lines[1:] == [deletion(HTTPS, "__Host-gateway-tx-0123456789abcdef")]


def test_the_note_of_a_logout_is_found_by_its_state_alone() -> None:
    logout = LogoutNote(state="state-1", return_to="/bye")
    line = begin_logout(HTTPS, logout, secrets.token_bytes)
    header = f"a=1; {pair_of(line)}"
    assert line.startswith("__Host-gateway-logout=")
    assert line.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure")
    assert find_logout(HTTPS, header, "state-1") == logout
    assert find_logout(HTTPS, header, "state-2") is None
    assert find_logout(HTTPS, "a=1", "state-1") is None
    assert find_logout(HTTPS, f"{HTTPS.logout}=forged", "state-1") is None
    assert find_logout(replace(HTTPS, ring=OTHER_RING), header, "state-1") is None
