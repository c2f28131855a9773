"""What an attacker without context found at the web face, each as a case of its own."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from answering import run_before
from harness import (
    ORIGIN,
    SESSION,
    SIGN_OUT,
    changed,
    error_code,
    is_signed_in,
    own_cookies,
    pending_callback,
    run_site,
)
from peers.listener import Answer

from gateway.testing import Browser, Faults
from gateway.testing.wsgi import environ_for

ADMIN = {"path": "/admin/**", "require": {"claims": {"groups": ["ops"]}}}
PASSWORD, SECOND_FACTOR = "urn:pwd", "urn:mfa"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"HTTP_SCRIPT_NAME": "/public", "SCRIPT_NAME": "/public"}, id="as-gunicorn-takes-it"),
        pytest.param({"HTTP_PATH_INFO": "/public/admin/users"}, id="the-path-itself"),
        pytest.param({"HTTP_SCRIPT_NAME": ""}, id="empty"),
    ],
)
def test_no_header_moves_the_border_between_mount_and_path(members: Mapping[str, str]) -> None:
    """LESSONS 1.1, gunicorn #2650: the rules would read /public/admin/users, the app /admin/users."""
    with run_site({"routes": [{"path": "/public/**", "access": "public"}, ADMIN]}) as site:
        environ = environ_for("GET", f"{ORIGIN}/public/admin/users", [], b"")
        assert status_of(site.gateway, environ) == 200
        moved = {**environ, **members}
        moved["PATH_INFO"] = environ["PATH_INFO"].removeprefix(members.get("SCRIPT_NAME", ""))
        assert status_of(site.gateway, moved) == 400
        assert [received.path for received in site.received] == ["/public/admin/users"]


def test_a_mount_without_such_a_header_is_one() -> None:
    with run_site() as site:
        environ = environ_for("GET", f"{ORIGIN}/mount/oauth2/x", [], b"")
        assert status_of(site.gateway, {**environ, "SCRIPT_NAME": "/mount", "PATH_INFO": "/oauth2/x"}) == 401


@pytest.mark.parametrize(
    ("sent", "control"),
    [
        pytest.param({}, "private", id="nothing"),
        pytest.param({"Cache-Control": "max-age=600"}, "max-age=600, private", id="an-age-alone"),
        pytest.param({"Cache-Control": "public, max-age=600, s-maxage=9"}, "max-age=600, private", id="public"),
        pytest.param({"Cache-Control": "no-store"}, "no-store", id="no-store"),
        pytest.param({"Cache-Control": 'private="x", max-age=1'}, 'private="x", max-age=1', id="private-already"),
        pytest.param({"Expires": "Thu, 01 Jan 2099 00:00:00 GMT"}, "private", id="expires"),
        pytest.param({"CDN-Cache-Control": "max-age=600", "Surrogate-Control": "max-age=600"}, "private", id="cdn"),
        pytest.param({"X-Accel-Expires": "600"}, "private", id="nginx"),
    ],
)
def test_no_shared_cache_keeps_what_a_session_was_needed_for(sent: dict[str, str], control: str) -> None:
    """RFC 9111 3.5: the app sees `Authorization` and relies on it; a cache sees a cookie."""
    with run_before(lambda _: Answer(headers=sent, body="payroll"), mode="upstream") as site:
        page = site.sign_in()
        assert page.headers.getlist("Cache-Control") == [control]
        assert {"CDN-Cache-Control", "Surrogate-Control", "X-Accel-Expires"}.isdisjoint(page.headers.keys())


def test_what_anyone_may_see_is_left_to_the_caches() -> None:
    routes = [{"path": "/logo", "access": "public"}]
    answer = Answer(headers={"Cache-Control": "public, max-age=600"}, body="logo")
    with run_before(lambda _: answer, {"routes": routes}, mode="upstream") as site:
        assert site.browser.get(f"{ORIGIN}/logo").headers["Cache-Control"] == "public, max-age=600"


ESSENTIAL = {"id_token": {"acr": {"essential": True, "values": [SECOND_FACTOR]}}}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/admin/x", id="control"),
        pytest.param(f"/oauth2/start?acr_values={PASSWORD}&rd=/admin/x", id="by-a-link"),
        pytest.param("/wiki/x", id="by-a-rule-that-asks-for-less"),
    ],
)
def test_what_every_login_must_show_is_lowered_by_nothing(path: str) -> None:
    routes = [{"path": "/wiki/**", "require": {"acr": [PASSWORD, SECOND_FACTOR]}}, ADMIN]
    with run_site({"provider": {"authorization": {"claims": ESSENTIAL}}, "routes": routes}) as site:
        site.provider.acrs_supported = [SECOND_FACTOR]
        assert site.browser.navigate(ORIGIN + path).status == 200
        site.restarted().provider.acrs_supported = [PASSWORD]
        page = site.browser.navigate(ORIGIN + path)
        assert (page.status, error_code(page)) == (403, "op_authentication_unmet")
        assert not is_signed_in(site.browser)


def test_another_sites_form_cannot_fill_the_browser_with_cookies() -> None:
    """Its POST brings none of ours, so nothing would be counted; the redirect brings them."""
    with run_site() as site:
        crowd = Browser({"https://evil.example": evil_page, ORIGIN: site.gateway}, clock=site.clock)
        for _ in range(12):
            crowd.navigate("https://evil.example/")
            answer = crowd.submit(follow=False)
            assert (answer.status, answer.headers["Location"].partition("?")[0]) == (303, "/oauth2/start")
            assert answer.headers.getlist("Set-Cookie") == []
            crowd.open_link(ORIGIN + answer.headers["Location"], follow=False)
        assert len(own_cookies(crowd)) <= 5


def evil_page(_: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/html")])
    return [f'<form method="post" action="{ORIGIN}/oauth2/start"><input name="rd" value="/{"a" * 1900}">'.encode()]


@pytest.mark.parametrize(
    ("verified", "status"),
    [
        pytest.param({}, 200, id="nothing-said"),
        pytest.param({"email_verified": True}, 200, id="verified"),
        pytest.param({"email_verified": False}, 403, id="not-verified"),
        pytest.param({"email_verified": "false"}, 403, id="not-verified-as-a-text"),
    ],
)
def test_an_address_that_was_not_verified_names_nobody(verified: Mapping[str, object], status: int) -> None:
    routes = [{"path": "/boss/**", "require": {"claims": {"email": ["boss@corp.example"]}}, "identity_headers": True}]
    with run_site({"routes": [*routes, {"path": "/**", "identity_headers": True}]}) as site:
        site.provider.users = {"alice": {"email": "boss@corp.example", **verified}}
        site.sign_in()
        assert ("x-forwarded-email" in site.received[-1].headers) is (status == 200)
        assert site.browser.navigate(f"{ORIGIN}/boss/x").status == status


@pytest.mark.parametrize(
    ("address", "status"),
    [
        pytest.param("a@corp.example", 202, id="honest"),
        pytest.param("a@CORP.example", 202, id="case"),
        pytest.param("mallory@evil.example@corp.example", 403, id="GHSA-c5c4-8r6x-56w3"),
        pytest.param("corp.example", 403, id="no-at"),
        pytest.param("@corp.example", 403, id="nobody"),
        pytest.param("a@", 403, id="no-domain"),
    ],
)
def test_the_domain_of_an_address(address: str, status: int) -> None:
    with run_site({"forward_auth": {"enabled": True}, "trusted_proxies": ["127.0.0.1"]}) as site:
        site.provider.users = {"alice": {"email": address}}
        site.sign_in()
        asked = {"X-Forwarded-Uri": "/", "X-Forwarded-Method": "GET"}
        answer = site.browser.get(f"{ORIGIN}/oauth2/auth?allowed_email_domains=corp.example", headers=asked)
        assert answer.status == status


def test_claims_that_are_kept_elsewhere_show_no_page_where_and_how() -> None:
    sources = {"src1": {"endpoint": "https://op.example/claims", "access_token": "a-token"}}
    with run_site() as site:
        site.provider.faults = Faults(userinfo=changed(_claim_names={"x": "src1"}, _claim_sources=sources))
        site.sign_in()
        answer = site.browser.fetch(SESSION)
        assert answer.json()["authenticated"]
        assert "a-token" not in answer.text
        assert "_claim" not in answer.text


def test_a_sign_out_ends_the_logins_that_are_under_way() -> None:
    with run_site() as site:
        site.sign_in()
        answered = pending_callback_of_another_tab(site.browser)
        site.browser.navigate(SIGN_OUT)
        assert own_cookies(site.browser) == {}
        page = site.browser.navigate(answered, follow=False)
        assert (page.status, page.headers["Location"].startswith("https://op.example/")) == (303, True)
        assert not is_signed_in(site.browser)


def pending_callback_of_another_tab(browser: Browser) -> str:
    return pending_callback(browser, "/oauth2/start?rd=/home")


def test_the_next_user_of_a_browser_inherits_no_note_of_a_stronger_login() -> None:
    with run_site({"routes": [{"path": "/s/**", "require": {"acr": ["urn:high"]}}]}) as site:
        site.provider.acrs_supported = ["urn:low", "urn:high"]
        site.sign_in("/home")
        assert site.browser.navigate(f"{ORIGIN}/s/x").status == 200
        site.browser.navigate(SIGN_OUT)
        site.provider.sign_in_as = "bob"
        site.sign_in("/home")
        assert site.browser.navigate(f"{ORIGIN}/s/x").status == 200


def test_an_upstream_whose_demand_changes_each_time_does_not_send_the_user_round_for_ever() -> None:
    ages = iter(range(900, 1000))
    with run_before(lambda _: demanding(ages), mode="upstream") as site:
        page = site.browser.navigate(f"{ORIGIN}/x")
        assert (page.status, error_code(page)) == (403, "step_up_failed")
        assert site.provider.calls["authorize"] <= 5


def demanding(ages: Iterator[int]) -> Answer:
    challenge = f'Bearer error="insufficient_user_authentication", max_age="{next(ages)}"'
    return Answer(status=401, headers={"WWW-Authenticate": challenge})


def status_of(app: Callable[..., Any], environ: dict[str, Any]) -> int:
    found: list[str] = []
    body = app(environ, lambda status, _headers, _exc_info=None: found.append(status))
    for _ in body:
        pass
    match = re.match(r"\d{3}", found[0])
    assert match is not None
    return int(match[0])
