"""A provider of plain OAuth 2.0, such as GitHub: no ID token, numeric users, errors with status 200."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from harness import NOW, ORIGIN, SESSION_COOKIE, Clock, error_code, merged, recording_app, set_cookie_names
from hub import CLIENT_ID, CLIENT_SECRET, CONFIG, HUB, USER, Hub, HubSite, error, hub_site

from gateway import Gateway
from gateway.assembly import Outside
from gateway.config import parse_settings
from gateway.config_sources import ConfigurationError
from gateway.testing import Browser


@pytest.fixture
def site() -> HubSite:
    return hub_site()


def test_a_user_signs_in(site: HubSite) -> None:
    page = site.browser.navigate(f"{ORIGIN}/home?a=b")

    assert (page.status, page.url, page.text) == (200, f"{ORIGIN}/home?a=b", "hello 583231")
    asked = site.hub.asked[-1]
    assert (asked["client_id"], asked["scope"]) == (CLIENT_ID, "read:user user:email")
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) == 43
    session = site.session()
    assert (session.subject, session.issuer, session.id_token) == ("583231", HUB, None)
    assert session.scope.split() == ["read:user", "user:email"]
    assert session.claims == {**USER, "email_verified": False, "iss": HUB, "sub": "583231"}
    assert [urlsplit(call.url).netloc for call in site.hub.calls] == ["hub.example", "api.hub.example"]
    assert CLIENT_SECRET not in site.hub.calls[-1].headers.values()


def test_a_login_is_for_the_browser_that_began_it(site: HubSite) -> None:
    """CVE-2025-68158: without an ID token, state and PKCE are all that there is."""
    redirect = site.browser.navigate(f"{ORIGIN}/home", follow=False)
    callback = site.browser.navigate(redirect.headers["Location"], follow=False).headers["Location"]
    victim = Browser({ORIGIN: site.gateway, HUB: site.hub}, clock=site.clock)
    page = victim.navigate(callback, follow=False)
    assert SESSION_COOKIE not in set_cookie_names(page)
    assert site.hub.calls == []


def test_a_session_shows_its_scopes(site: HubSite) -> None:
    """GitHub writes commas between them."""
    site.browser.navigate(f"{ORIGIN}/home")
    assert site.browser.fetch(f"{ORIGIN}/scoped/x").status == 200
    assert site.browser.fetch(f"{ORIGIN}/repo/x").status == 403


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        pytest.param(error("bad_verification_code"), 403, "token_grant_invalid", id="code"),
        pytest.param(error("incorrect_client_credentials"), 503, "token_client_invalid", id="credentials"),
        pytest.param(error("redirect_uri_mismatch"), 403, "token_refused", id="redirect_uri"),
        pytest.param({"scope": "", "token_type": "bearer"}, 403, "token_answer_invalid", id="no-token"),
        pytest.param({"access_token": "t", "token_type": "mac"}, 403, "token_type_unsupported", id="type"),
        pytest.param({"access_token": "gho_unknown", "token_type": "bearer"}, 403, "userinfo_invalid", id="unknown"),
        pytest.param({"error": ["x"]}, 403, "token_refused", id="error-array"),
    ],
)
def test_an_error_with_status_200_is_anerror(site: HubSite, members: dict[str, object], status: int, code: str) -> None:
    site.hub.answer = members
    page = site.browser.navigate(f"{ORIGIN}/home")
    assert (page.status, error_code(page)) == (status, code)
    assert all(SESSION_COOKIE not in set_cookie_names(each) for each in site.browser.history)
    assert site.received == []


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        pytest.param(583231, "583231", id="number"),
        pytest.param("583231", "583231", id="text"),
        pytest.param(0, "0", id="zero"),
        pytest.param(1 << 60, str(1 << 60), id="large"),
        pytest.param(None, None, id="null"),
        pytest.param(True, None, id="true"),
        pytest.param(1.5, None, id="fraction"),
        pytest.param("", None, id="empty"),
        pytest.param([583231], None, id="array"),
        pytest.param({"id": 1}, None, id="object"),
        pytest.param("a\nb", None, id="line-break"),
        pytest.param("a" * 256, None, id="long"),
    ],
)
def test_a_user_is_a_number_or_a_text(site: HubSite, value: object, subject: str | None) -> None:
    site.hub.user["id"] = value
    page = site.browser.navigate(f"{ORIGIN}/home")
    if subject is None:
        assert (page.status, error_code(page)) == (403, "userinfo_invalid")
    else:
        assert (page.status, site.session().subject) == (200, subject)


def test_userinfo_cannot_say_who_vouches_for_it_or_how_the_user_signed_in(site: HubSite) -> None:
    """A rule about `iss`, and a header with it, would else believe whatever the API says."""
    site.hub.user |= {"iss": "https://op.example", "sub": "admin", "acr": "high", "auth_time": NOW, "amr": ["hwk"]}
    site.browser.navigate(f"{ORIGIN}/home")
    claims = site.session().claims
    assert (claims["iss"], claims["sub"], site.session().subject) == (HUB, "583231", "583231")
    assert not {"acr", "auth_time", "amr"} & set(claims)
    assert site.browser.fetch(f"{ORIGIN}/theirs/x").status == 403
    assert site.browser.fetch(f"{ORIGIN}/ours/x").status == 200
    site.browser.fetch(f"{ORIGIN}/named/x")
    assert site.received[-1].headers["x-who"] == f"{HUB} octocat"


@pytest.mark.parametrize(("said", "verified"), [({}, False), ({"email_verified": True}, True)])
def test_an_address_is_verified_if_the_api_says_so(site: HubSite, said: dict[str, object], verified: bool) -> None:
    site.hub.user |= said
    site.browser.navigate(f"{ORIGIN}/home")
    assert site.session().claims["email_verified"] is verified


def test_an_id_token_that_comes_all_the_same_counts_for_nothing(site: HubSite) -> None:
    token = "gho_known"
    site.hub.tokens.add(token)
    site.hub.answer = {"access_token": token, "token_type": "bearer", "id_token": "e30.eyJzdWIiOiJhZG1pbiJ9."}
    site.browser.navigate(f"{ORIGIN}/home")
    assert (site.session().subject, site.session().id_token) == ("583231", None)


def test_signing_out_ends_here_since_there_is_nowhere_else(site: HubSite) -> None:
    site.browser.navigate(f"{ORIGIN}/home")
    stolen = {"Cookie": site.browser.cookies.header(f"{ORIGIN}/")}
    calls = len(site.hub.calls)
    page = site.browser.navigate(f"{ORIGIN}/oauth2/sign_out")
    assert (page.status, page.url) == (200, f"{ORIGIN}/oauth2/signed_out")
    assert len(site.hub.calls) == calls
    assert site.browser.get(f"{ORIGIN}/home", headers=stolen).status == 401


def test_a_token_that_ends_is_renewed(site: HubSite) -> None:
    site.hub.expiring = True
    site.browser.navigate(f"{ORIGIN}/home")
    before = site.session()
    assert before.access_expires_at == NOW + 28800
    for _ in range(20):
        site.clock.advance(1438)
        assert site.browser.fetch(f"{ORIGIN}/home").status == 200
    after = site.session()
    assert (after.id, after.subject, after.scope) == (before.id, "583231", before.scope)
    assert after.access_token != before.access_token


def test_a_refresh_token_that_is_worth_nothing_ends_the_session(site: HubSite) -> None:
    """GitHub says so with status 200 and in a word of its own; or the user would see 503 until the session ends."""
    site.hub.expiring = True
    site.browser.navigate(f"{ORIGIN}/home")
    site.hub.answer = error("bad_refresh_token")
    for _ in range(20):
        site.clock.advance(1438)
        site.browser.fetch(f"{ORIGIN}/home")
    assert site.browser.fetch(f"{ORIGIN}/home").status == 401
    site.hub.answer = {}
    assert site.browser.navigate(f"{ORIGIN}/home").status == 200


def test_ready_needs_no_keys(site: HubSite) -> None:
    page = site.browser.fetch(f"{ORIGIN}/ready")
    parts = {"store": {"status": "ready"}, "provider": {"metadata": {"status": "ready", "age": 0}}}
    assert (page.status, page.json()) == (200, {"ready": True, **parts})


@pytest.mark.parametrize(
    ("over", "word"),
    [
        pytest.param({"provider": {"authorization": {"max_age": 60}}}, "authorization.max_age", id="max_age"),
        pytest.param(
            {"provider": {"authorization": {"claims": {"id_token": {"acr": {"essential": True, "values": ["x"]}}}}}},
            "authorization.claims",
            id="claims",
        ),
        pytest.param({"provider": {"id_token_signed_response_alg": "ES256"}}, "id_token_signed", id="algorithm"),
        pytest.param({"provider": {"id_token_encrypted_response_alg": "dir"}}, "id_token_encrypted", id="encryption"),
        pytest.param({"provider": {"authorization": {"response_type": "code id_token"}}}, "response_type", id="hybrid"),
        pytest.param({"provider": {"userinfo": False}}, "userinfo", id="userinfo"),
        pytest.param({"routes": [{"path": "/x", "require": {"acr": ["high"]}}]}, "/x needs an ID token", id="acr"),
        pytest.param({"routes": [{"path": "/x", "require": {"max_age": 60}}]}, "/x needs an ID token", id="route-age"),
        pytest.param({"routes": [{"path": "/x", "token": "id_token"}]}, "/x needs an ID token", id="token"),
        pytest.param({"provider": {"type": "openid", "scope": "openid"}}, "subject_claim", id="subject_claim"),
    ],
)
def test_what_only_an_id_token_could_show_is_refused_at_the_start(over: dict[str, Any], word: str) -> None:
    """GHSA-652x-m2gr-hppm: an option that protects and has no effect is worse than none."""
    assert parse_settings(CONFIG, {}).providers
    with pytest.raises(ConfigurationError) as caught:
        parse_settings(merged(CONFIG, over), {})
    assert [problem for problem in caught.value.problems if word in problem]


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"])
def test_an_endpoint_that_is_not_configured_is_looked_up_and_missed(name: str) -> None:
    clock, hub = Clock(), Hub()
    metadata = {**CONFIG["provider"]["metadata"], name: None}
    outside = Outside(transport=hub.transport, clock=clock)
    gateway = Gateway.from_config(merged(CONFIG, {"provider": {"metadata": metadata}}), outside=outside)(
        recording_app([])
    )
    page = Browser({ORIGIN: gateway, HUB: hub}, clock=clock).navigate(f"{ORIGIN}/home")
    assert (page.status, error_code(page)) == (403, "metadata_invalid")
