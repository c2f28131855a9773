"""Roles where providers keep them: nested at Keycloak, too many for a token at Entra ID (OIDC Core 5.6.2)."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from harness import ORIGIN, Members, Site, changed, error_code, held_session, run_site

from gateway.testing import Faults

OVERAGE: Final[Members] = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://graph.example/v1.0/users/x/getMemberObjects"}},
}
ROUTES: Final[list[dict[str, Any]]] = [
    {"path": "/staff/**", "require": {"claims": {"groups": ["staff"]}}},
    {"path": "/role/**", "require": {"claims": {"roles": ["reader"]}}},
    {"path": "/realm/**", "require": {"claims": {"realm_access.roles": ["admin"]}}},
    {"path": "/client/**", "require": {"claims": {"resource_access.app.roles": ["editor"]}}},
    {"path": "/dotted/**", "require": {"claims": {"resource_access.my.app.roles": ["editor"]}}},
    {"path": "/url/**", "require": {"claims": {"https://claims.example/roles": ["editor"]}}},
    {
        "path": "/headers/**",
        "request_headers": {"X-Realm": "{realm_access.roles}", "X-Client": "{resource_access.app.roles}"},
        "identity_headers": True,
    },
]
FORWARD: Final[dict[str, Any]] = {"forward_auth": {"enabled": True}, "trusted_proxies": ["127.0.0.1"]}


def sign_in_as(site: Site, claims: Mapping[str, object]) -> None:
    """Sign in a user of whom the provider says this and nothing else."""
    site.provider.users = {"alice": claims}
    site.sign_in()


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        pytest.param({"groups": ["staff"]}, "", id="honest"),
        pytest.param({"groups": ["guests"]}, "access_denied", id="other-groups"),
        pytest.param({}, "access_denied", id="no-groups"),
        pytest.param(OVERAGE, "groups_overage", id="overage"),
        pytest.param({"hasgroups": True}, "groups_overage", id="hasgroups"),
        pytest.param({"hasgroups": "true"}, "groups_overage", id="hasgroups-text"),
        pytest.param({"_claim_names": {"groups": "gone"}}, "groups_overage", id="without-source"),
        pytest.param({"_claim_names": {"roles": "src1"}}, "access_denied", id="other-claim"),
        pytest.param({"_claim_names": ["groups"]}, "access_denied", id="malformed"),
        pytest.param({"groups": None, **OVERAGE}, "groups_overage", id="null"),
        pytest.param({"groups": [], **OVERAGE}, "groups_overage", id="empty-list"),
        pytest.param({"groups": ["staff"], **OVERAGE}, "", id="sent-all-the-same"),
    ],
)
@pytest.mark.parametrize("place", ["userinfo", "id_token"])
def test_groups_that_are_too_many_for_a_token_are_not_none(claims: Members, code: str, place: str) -> None:
    with run_site({"routes": ROUTES}) as site:
        if place == "id_token":
            site.provider.faults = Faults(id_token_claims=changed(**claims), userinfo=lambda _: {"sub": "alice"})
            sign_in_as(site, {})
        else:
            sign_in_as(site, claims)
        page = site.browser.navigate(f"{ORIGIN}/staff/page")
        assert (page.status, error_code(page)) == ((200, "") if not code else (403, code))
        assert ("roles instead" in page.text) == (code == "groups_overage")


@pytest.mark.parametrize("claims", [OVERAGE, {"hasgroups": True}])
def test_who_has_too_many_groups_may_go_where_none_is_wanted(claims: Members) -> None:
    with run_site({"routes": ROUTES}) as site:
        sign_in_as(site, {**claims, "roles": ["reader"]})
        assert site.browser.navigate(f"{ORIGIN}/role/page").status == 200


@pytest.mark.parametrize(
    ("claims", "named", "query", "code"),
    [
        pytest.param(OVERAGE, "/staff/x", "", "groups_overage", id="rule"),
        pytest.param(OVERAGE, "/other", "?allowed_groups=staff", "groups_overage", id="allowed_groups"),
        pytest.param({"groups": [], **OVERAGE}, "/other", "?allowed_groups=staff", "groups_overage", id="empty-list"),
        pytest.param({"groups": ["x"]}, "/other", "?allowed_groups=staff", "access_denied", id="other-groups"),
        pytest.param({"groups": ["staff"]}, "/staff/x", "?allowed_groups=staff", "", id="honest"),
    ],
)
def test_forward_auth_says_the_same(claims: Members, named: str, query: str, code: str) -> None:
    with run_site({"routes": ROUTES, **FORWARD}) as site:
        sign_in_as(site, claims)
        headers = {"X-Forwarded-Uri": named, "X-Forwarded-Method": "GET"}
        page = site.browser.get(f"{ORIGIN}/oauth2/auth{query}", headers=headers)
        assert page.status == (403 if code else 202)
        assert not code or page.json()["error"] == code


KEYCLOAK: Final[Members] = {
    "realm_access": {"roles": ["offline_access", "admin"]},
    "resource_access": {"app": {"roles": ["editor", "a,b"]}, "my.app": {"roles": ["editor"]}},
    "https://claims.example/roles": ["editor"],
}


@pytest.mark.parametrize(
    ("claims", "path", "status"),
    [
        pytest.param(KEYCLOAK, "/realm/x", 200, id="realm"),
        pytest.param(KEYCLOAK, "/client/x", 200, id="client"),
        pytest.param(KEYCLOAK, "/dotted/x", 200, id="client-with-a-dot"),
        pytest.param(KEYCLOAK, "/url/x", 200, id="url"),
        pytest.param({"realm_access": {"roles": ["user"]}}, "/realm/x", 403, id="other-role"),
        pytest.param({"realm_access": {"roles": "admin"}}, "/realm/x", 200, id="text"),
        pytest.param({"realm_access": {"roles": {"admin": True}}}, "/realm/x", 403, id="object"),
        pytest.param({"realm_access": {"roles": [["admin"]]}}, "/realm/x", 403, id="nested-array"),
        pytest.param({"realm_access": ["roles", "admin"]}, "/realm/x", 403, id="array"),
        pytest.param({"realm_access": None}, "/realm/x", 403, id="null"),
        pytest.param({"resource_access": {"other": {"roles": ["editor"]}}}, "/client/x", 403, id="other-client"),
        pytest.param({"resource_access": {"my": {"app": {"roles": ["editor"]}}}}, "/dotted/x", 200, id="nested-deeper"),
        pytest.param({"realm_access.roles": ["admin"]}, "/realm/x", 200, id="flat"),
        pytest.param({"realm_access.roles": [], "realm_access": {"roles": ["admin"]}}, "/realm/x", 403, id="both"),
        pytest.param({"_claim_names": {"realm_access": "s"}}, "/realm/x", 403, id="withheld"),
    ],
)
def test_a_rule_names_a_nested_claim_by_its_path(claims: Members, path: str, status: int) -> None:
    with run_site({"routes": ROUTES}) as site:
        sign_in_as(site, claims)
        page = site.browser.navigate(ORIGIN + path)
        assert page.status == status
        expected = "groups_overage" if "_claim_names" in claims else "access_denied"
        assert status == 200 or error_code(page) == expected


def test_a_header_names_a_nested_claim_by_its_path() -> None:
    with run_site({"routes": ROUTES}) as site:
        sign_in_as(site, KEYCLOAK)
        site.browser.fetch(f"{ORIGIN}/headers/x")
        sent = site.received[-1].headers
        assert (sent["x-realm"], sent["x-client"]) == ("offline_access,admin", "editor,a%2Cb")


def test_a_header_of_a_claim_that_is_not_there_is_not_sent_and_none_of_the_clients_in_its_place() -> None:
    with run_site({"routes": ROUTES}) as site:
        sign_in_as(site, {"realm_access": {"roles": []}})
        headers = {"X-Realm": "admin", "X_Client": "editor", "X-Forwarded-Groups": "staff"}
        site.browser.fetch(f"{ORIGIN}/headers/x", headers=headers)
        assert not {"x-realm", "x-client", "x-forwarded-groups"} & set(site.received[-1].headers)


@pytest.mark.parametrize("claims", [OVERAGE, {"hasgroups": True}])
def test_a_header_is_not_left_out_because_its_claim_is_kept_elsewhere(claims: Members) -> None:
    """The upstream would take it for a user without groups."""
    routes = [{"path": "/groups/**", "request_headers": {"X-Groups": "{groups}"}}]
    with run_site({"routes": routes, **FORWARD}) as site:
        sign_in_as(site, {"groups": ["staff"]})
        site.browser.fetch(f"{ORIGIN}/groups/x")
        assert site.received[-1].headers["x-groups"] == "staff"
        site.restarted()
        sign_in_as(site, claims)
        reached = len(site.received)
        page = site.browser.fetch(f"{ORIGIN}/groups/x")
        assert (page.status, error_code(page), len(site.received)) == (403, "groups_overage", reached)
        named = {"X-Forwarded-Uri": "/groups/x", "X-Forwarded-Method": "GET"}
        assert site.browser.get(f"{ORIGIN}/oauth2/auth", headers=named).status == 403


def test_groups_that_became_too_many_since_the_login_are_not_those_of_the_login() -> None:
    with run_site({"routes": ROUTES}) as site:
        site.provider.faults = Faults(
            id_token_claims=changed(groups=["staff"]),
            refreshed_id_token_claims=changed(**OVERAGE),
            userinfo=lambda _: {"sub": "alice"},
        )
        site.sign_in()
        assert site.browser.fetch(f"{ORIGIN}/staff/x").status == 200
        site.clock.advance(280)
        page = site.browser.fetch(f"{ORIGIN}/staff/x")
        assert (page.status, error_code(page)) == (403, "groups_overage")
        assert held_session(site).claims["_claim_names"] == {"groups": "src1"}
