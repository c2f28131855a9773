"""What can be asked of a session, and how it combines; what nothing can be said about never counts for anybody."""

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest
from samples import SESSION

from gateway.condition import Bounds, Condition
from gateway.session import Session

INSIDE: Final = "10.1.2.3"
STAFF: Final = Condition(claims={"groups": frozenset({"staff"})})
ADMIN: Final = Condition(claims={"realm_access.roles": frozenset({"admin"})})
READS: Final = Condition(scope=frozenset({"read"}))
OFFICE: Final = Condition(networks=(ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")))
CORP: Final = Condition(email_domains=frozenset({"corp.example", ".sub.example"}))


def at(least: int | None = None, most: int | None = None) -> Condition:
    return Condition(claims={"level": Bounds(at_least=least, at_most=most)})


def session(claims: Mapping[str, object], scope: str = "openid") -> Session:
    return replace(SESSION, claims=claims, scope=scope)


@pytest.mark.parametrize(
    ("condition", "claims", "holds"),
    [
        pytest.param(Condition(), {}, True, id="nothing is asked"),
        pytest.param(STAFF, {"groups": ["ops", "staff"]}, True, id="one of a list"),
        pytest.param(STAFF, {"groups": "staff"}, True, id="the value alone"),
        pytest.param(STAFF, {"groups": "staff ops"}, False, id="a text is no list"),
        pytest.param(STAFF, {"groups": [["staff"]]}, False, id="a list in a list"),
        pytest.param(STAFF, {"groups": {"staff": True}}, False, id="an object"),
        pytest.param(STAFF, {}, False, id="absent"),
        pytest.param(ADMIN, {"realm_access": {"roles": ["admin"]}}, True, id="a dotted path"),
        pytest.param(at(2), {"level": 2}, True, id="at least: the bound"),
        pytest.param(at(2), {"level": 1}, False, id="at least: below"),
        pytest.param(at(2, 3), {"level": 4}, False, id="at most: above"),
        pytest.param(at(2), {"level": "3"}, True, id="a number as a text"),
        pytest.param(at(2), {"level": "3 "}, False, id="no number as a text"),
        pytest.param(at(2), {"level": "١٢"}, False, id="digits of another script"),
        pytest.param(at(2), {"level": [1, 5]}, True, id="a list of numbers"),
        pytest.param(at(2), {"level": [[5]]}, False, id="a list in a list of numbers"),
        pytest.param(at(2), {"level": True}, False, id="true is no number"),
        pytest.param(at(0), {"level": False}, False, id="false is no number"),
        pytest.param(at(2), {"level": float("nan")}, False, id="no number to compare with"),
        pytest.param(at(2), {"level": float("inf")}, True, id="infinite"),
        pytest.param(at(2, 9), {"level": 2.5}, True, id="a fraction"),
        pytest.param(at(2), {"level": None}, False, id="null"),
        pytest.param(at(2), {}, False, id="no number at all"),
        pytest.param(CORP, {"email": "a@corp.example"}, True, id="of the domain"),
        pytest.param(CORP, {"email": "a@CORP.example"}, True, id="of the domain, in another case"),
        pytest.param(CORP, {"email": "a@x.sub.example"}, True, id="below the other"),
        pytest.param(CORP, {"email": "a@sub.example"}, False, id="of the other itself"),
        pytest.param(CORP, {"email": "a@x.corp.example"}, False, id="below the first"),
        pytest.param(CORP, {"email": "a@evilcorp.example"}, False, id="of a longer name"),
        pytest.param(CORP, {"email": "a@evil.example@corp.example"}, False, id="two signs"),
        pytest.param(CORP, {"email": "corp.example"}, False, id="no address"),
        pytest.param(CORP, {"email": "a@corp.example", "email_verified": False}, False, id="not verified"),
        pytest.param(CORP, {"email": "a@corp.example", "email_verified": "true"}, True, id="verified, in a text"),
        pytest.param(CORP, {}, False, id="no address at all"),
        pytest.param(Condition(any_of=(STAFF, ADMIN)), {"groups": "staff"}, True, id="any: the first"),
        pytest.param(Condition(any_of=(ADMIN, STAFF)), {"groups": "staff"}, True, id="any: the second"),
        pytest.param(Condition(any_of=(STAFF, ADMIN)), {"groups": "x"}, False, id="any: none"),
        pytest.param(Condition(all_of=(STAFF, at(2))), {"groups": "staff", "level": 2}, True, id="all: both"),
        pytest.param(Condition(all_of=(STAFF, at(2))), {"groups": "staff"}, False, id="all: one"),
        pytest.param(Condition(none_of=(STAFF,)), {"groups": ["ops"]}, True, id="not: absent"),
        pytest.param(Condition(none_of=(STAFF,)), {"groups": ["ops", "staff"]}, False, id="not: there"),
        pytest.param(Condition(none_of=(STAFF, ADMIN)), {"groups": ["staff"]}, False, id="not: one of two"),
        pytest.param(Condition(none_of=(at(2),)), {"level": "7"}, False, id="not: a number as a text"),
        pytest.param(
            Condition(none_of=(CORP,)), {"email": "a@corp.example", "email_verified": False}, False,
            id="not: an address counts against its owner even unverified",
        ),
        pytest.param(
            Condition(none_of=(Condition(none_of=(STAFF,)),)), {"groups": ["staff"]}, True, id="not not: there"
        ),
        pytest.param(CORP, {"email": "a@evil.example,x.sub.example"}, False, id="two addresses in one"),
        pytest.param(CORP, {"email": "a@.sub.example"}, False, id="below the other, without a name"),
        pytest.param(Condition(none_of=(CORP,)), {"email": "a@evil.example"}, True, id="not: of another domain"),
        pytest.param(Condition(none_of=(CORP,)), {"email": "a@corp.example."}, False, id="not: a dot at the end"),
        pytest.param(Condition(none_of=(CORP,)), {"email": '"a@b"@corp.example'}, False, id="not: two signs"),
        pytest.param(Condition(none_of=(CORP,)), {"email": ["a@x.example", 1]}, False, id="not: no address"),
        pytest.param(Condition(none_of=(STAFF,)), {"groups": {"staff": {}}}, False, id="not: an object"),
        pytest.param(Condition(none_of=(STAFF,)), {"groups": ["ops", ["staff"]]}, False, id="not: a list in a list"),
        pytest.param(Condition(none_of=(STAFF,)), {"groups": [None, "ops", 7, True]}, True, id="not: other values"),
        pytest.param(Condition(none_of=(at(2),)), {"level": 1.5}, True, id="not: below"),
        pytest.param(Condition(none_of=(at(2),)), {"level": "7.5"}, False, id="not: a fraction as a text"),
        pytest.param(Condition(none_of=(at(2),)), {"level": "9" * 16}, False, id="not: a number that is too long"),
        pytest.param(Condition(none_of=(at(2),)), {"level": [1, "high"]}, False, id="not: a word among numbers"),
        pytest.param(Condition(none_of=(at(2),)), {"level": float("nan")}, False, id="not: no number to compare with"),
        pytest.param(Condition(none_of=(at(2),)), {"level": -(10**400)}, True, id="not: far below"),
        pytest.param(Condition(none_of=(at(2),)), {"level": None}, True, id="not: null"),
        pytest.param(
            Condition(none_of=(Condition(none_of=(at(2),)),)), {"level": "7.5"}, False,
            id="not not: a fraction as a text",
        ),
        pytest.param(
            Condition(none_of=(Condition(none_of=(CORP,)),)), {"email": "a@corp.example", "email_verified": False},
            False, id="not not: an address counts for its owner only if it is verified",
        ),
        pytest.param(
            Condition(any_of=(Condition(all_of=(STAFF, at(2))), ADMIN)), {"groups": "staff", "level": 1}, False,
            id="nested: neither",
        ),
        pytest.param(
            Condition(claims={"groups": frozenset({"staff"})}, any_of=(ADMIN,)), {"groups": "staff"}, False,
            id="what stands beside an alternative counts too",
        ),
    ],
)  # fmt: skip
def test_conditions(condition: Condition, claims: dict[str, Any], holds: bool) -> None:
    assert (condition.missing(session(claims), INSIDE) is None) is holds


@pytest.mark.parametrize(
    ("scope", "holds"),
    [
        pytest.param("openid read", True, id="granted"),
        pytest.param("openid reads", False, id="a longer word"),
        pytest.param("openid READ", False, id="another case"),
        pytest.param("", False, id="none"),
    ],
)
def test_scopes_in_an_alternative(scope: str, holds: bool) -> None:
    assert (Condition(any_of=(READS, ADMIN)).missing(session({}, scope), INSIDE) is None) is holds


@pytest.mark.parametrize(
    ("client", "holds"),
    [
        pytest.param("10.255.0.1", True, id="inside"),
        pytest.param("11.0.0.1", False, id="outside"),
        pytest.param("2001:db8::7", True, id="IPv6 inside"),
        pytest.param("2001:db9::7", False, id="IPv6 outside"),
        pytest.param("", False, id="unknown"),
    ],
)
def test_networks(client: str, holds: bool) -> None:
    assert OFFICE.admits(client) is holds
    assert (OFFICE.missing(session({}), client) is None) is holds
    assert (Condition(any_of=(OFFICE, STAFF)).missing(session({}), client) is None) is holds
    barred = Condition(none_of=(OFFICE,))
    # An address that is not known may be the one that is barred.
    assert barred.admits(client) is (bool(client) and not holds)
    assert (barred.missing(session({}), client) is None) is (bool(client) and not holds)
    assert (Condition(none_of=(barred,)).missing(session({}), client) is None) is holds


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param(STAFF, id="asked for"),
        pytest.param(Condition(any_of=(ADMIN, STAFF)), id="in an alternative"),
        pytest.param(Condition(none_of=(STAFF,)), id="that must not be"),
        pytest.param(Condition(all_of=(Condition(none_of=(Condition(any_of=(STAFF,)),)),)), id="deep down"),
    ],
)
@pytest.mark.parametrize(
    "claims",
    [pytest.param({"hasgroups": True}, id="Entra"), pytest.param({"_claim_names": {"groups": "s"}}, id="OIDC")],
)
def test_a_claim_that_is_kept_elsewhere_is_named(condition: Condition, claims: dict[str, Any]) -> None:
    assert condition.withheld(session(claims)) == "groups"
    assert condition.withheld(session({"groups": ["x"]})) is None


def test_an_address_that_is_kept_elsewhere_is_named() -> None:
    assert CORP.withheld(session({"_claim_names": {"email": "s"}})) == "email"
