"""Clients that bring an access token of their own: by the token alone, on the routes of browsers, never a redirect."""

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest
from harness import ISSUER, NOW, ORIGIN, Site, error_code, held_session, logged_codes, own_cookies, run_site

from gateway.config_sources import ConfigurationError
from gateway.oidc.messages import Call, Reply, Transport
from gateway.testing import FakeProvider, Faults, Page
from gateway.token_questions import MAX_CALLS

AUDIENCE: Final = "https://api.example"
CLIENT: Final = "app %&+"
ROUTES: Final[list[dict[str, Any]]] = [
    {"path": "/api/**", "bearer": ["jwt"]},
    {"path": "/read/**", "bearer": ["jwt"], "require": {"scope": ["read", "list"]}},
    {"path": "/staff/**", "bearer": ["jwt"], "require": {"claims": {"groups": ["staff"]}}},
    {"path": "/gold/**", "bearer": ["jwt"], "require": {"acr": ["gold"]}},
    {"path": "/optional/**", "bearer": ["jwt"], "access": "optional"},
    {"path": "/public/**", "bearer": ["jwt"], "access": "public"},
    {"path": "/maybe/**", "access": "optional"},
    {"path": "/opaque/**", "bearer": ["introspection"]},
    {"path": "/both/**", "bearer": ["jwt", "introspection"]},
    {"path": "/none/**", "bearer": ["jwt"], "token": "none"},
]
CONFIG: Final = {"bearer": {"audience": [AUDIENCE, CLIENT]}, "routes": ROUTES}


def jwt(site: Site, kind: str = "at+jwt", /, **changes: object) -> str:
    claims = {
        "iss": ISSUER, "sub": "robot", "aud": AUDIENCE, "client_id": "c", "scope": "read", "iat": NOW, "exp": NOW + 300,
        **changes,
    }  # fmt: skip
    return site.provider.sign(claims, client_id=CLIENT, alter_header=lambda header: {**header, "typ": kind})


def ask(site: Site, path: str, authorization: str | None, **headers: str) -> Page:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    method = fields.pop("method", "GET")
    given = {} if authorization is None else {"Authorization": authorization}
    return site.browser.fetch(ORIGIN + path, method=method, headers={**given, **fields})


def test_a_jwt_opens_the_routes_that_say_so() -> None:
    with run_site(CONFIG, mode="upstream") as site:
        token = jwt(site, email="robot@op.example", groups=["staff"])
        page = ask(site, "/api/x", f"Bearer {token}")
        assert page.status == 200
        assert own_cookies(site.browser) == {}
        assert "private" in page.headers["Cache-Control"]
        [received] = site.received
        assert received.headers["authorization"] == f"Bearer {token}"
        assert (received.headers["x-forwarded-user"], received.headers["x-forwarded-groups"]) == ("robot", "staff")
        assert ask(site, "/staff/x", f"bearer {token}").status == 200
        assert ask(site, "/none/x", f"Bearer {token}").status == 200
        assert "authorization" not in site.received[-1].headers


def test_elsewhere_a_token_means_nothing_and_goes_nowhere() -> None:
    with run_site(CONFIG) as site:
        token = jwt(site)
        assert ask(site, "/home", f"Bearer {token}").status == 401
        assert (
            site.browser.navigate(f"{ORIGIN}/home", headers={"Authorization": "Bearer x"}, follow=False).status == 303
        )
        assert ask(site, "/public/x", "Bearer nonsense").status == 200
        assert "authorization" not in site.received[-1].headers
        assert ask(site, "/API/x", f"Bearer {token}").status == 401  # A lenient upstream's /api, by another rule.


def test_unsafe_methods_and_upgrades_need_no_proof_of_origin() -> None:
    with run_site(CONFIG) as site:
        field = f"Bearer {jwt(site)}"
        cross = {"Sec_Fetch_Site": "cross-site", "Origin": "https://other.example"}
        assert ask(site, "/api/x", field, method="POST", **cross).status == 200
        site.sign_in()
        assert ask(site, "/api/x", None, method="POST", **cross).status == 403


@pytest.mark.parametrize(
    ("path", "changes", "status", "challenge"),
    [
        pytest.param("/read/x", {"scope": "read list"}, 200, "", id="scopes"),
        pytest.param(
            "/read/x", {"scope": "read"}, 403, 'realm="gateway", error="insufficient_scope", scope="list read"',
            id="a scope is lacking",
        ),
        pytest.param("/staff/x", {"groups": ["guests"]}, 403, "", id="a claim is lacking"),
        pytest.param("/gold/x", {"acr": "gold"}, 200, "", id="acr"),
        pytest.param(
            "/gold/x", {"acr": "lead"}, 401, 'error="insufficient_user_authentication", acr_values="gold"',
            id="a weaker acr (RFC 9470 3)",
        ),
    ],
)  # fmt: skip
def test_requirements_hold_for_clients(path: str, changes: dict[str, object], status: int, challenge: str) -> None:
    with run_site(CONFIG) as site:
        page = ask(site, path, f"Bearer {jwt(site, **changes)}")
        assert (page.status, len(site.received)) == (status, int(status == 200))
        assert page.headers.get("WWW-Authenticate", "") == (f"Bearer {challenge}" if challenge else "")
        assert own_cookies(site.browser) == {}


@pytest.mark.parametrize(
    ("field", "status", "error"),
    [
        pytest.param("Bearer", 400, "invalid_request", id="no token"),
        pytest.param("Bearer ", 400, "invalid_request", id="an empty token"),
        pytest.param("Bearer {}, Bearer {}", 400, "invalid_request", id="two tokens"),
        pytest.param("Bearer {} {}", 400, "invalid_request", id="two words"),
        pytest.param('Bearer "{}"', 400, "invalid_request", id="quoted"),
        pytest.param("Bearer\t{}", 400, "invalid_request", id="a tab"),
        pytest.param("Basic dTpw, Bearer {}", 400, "invalid_request", id="beside another scheme"),
        pytest.param(", Bearer {}", 400, "invalid_request", id="behind nothing"),
        pytest.param("Bearer,Bearer {}", 400, "invalid_request", id="behind one without a token"),
        pytest.param("Bearer={}", 400, "invalid_request", id="as a parameter"),
        pytest.param("Bearer x", 401, "invalid_token", id="no JWT"),
        pytest.param("Bearer a.b.c", 401, "invalid_token", id="only looks like a JWT"),
        pytest.param("Bearer {}x", 401, "invalid_token", id="a signature with more"),
        pytest.param("Basic dTpw", 401, "", id="another scheme"),
        pytest.param("DPoP {}", 401, "invalid_token", id="bound to a key, by its scheme"),
        pytest.param("", 401, "", id="an empty field"),
        pytest.param("BEARER  {}", 200, "", id="another case, two spaces"),
    ],
)
def test_fields(field: str, status: int, error: str) -> None:
    with run_site(CONFIG) as site:
        assert ask(site, "/api/x", f"Bearer {jwt(site)}").status == 200
        site.received.clear()
        page = ask(site, "/api/x", field.replace("{}", jwt(site)))
        assert (page.status, len(site.received)) == (status, int(status == 200))
        challenge = page.headers.get("WWW-Authenticate", "")
        assert (f'error="{error}"' in challenge) is bool(error)
        assert status != 401 or error or challenge == 'Cookie realm="gateway", Bearer realm="gateway"'


@pytest.mark.parametrize(
    ("field", "status", "code"),
    [
        pytest.param("Bearer nonsense", 401, "invalid_token", id="no JWT"),
        pytest.param("DPoP nonsense", 401, "invalid_token", id="of a scheme that binds"),
        pytest.param("Bearer\tnonsense", 400, "bearer_malformed", id="a tab"),
        pytest.param("Basic dTpw, Bearer nonsense", 400, "bearer_malformed", id="beside another scheme"),
        pytest.param(", bearer nonsense", 400, "bearer_malformed", id="behind nothing"),
        pytest.param("Bearer,Bearer nonsense", 400, "bearer_malformed", id="behind one without a token"),
        pytest.param("Bearer=nonsense", 400, "bearer_malformed", id="as a parameter"),
    ],
)
def test_a_bad_token_beside_a_session_is_still_a_bad_token(field: str, status: int, code: str) -> None:
    with run_site(CONFIG) as site:
        site.sign_in()
        assert ask(site, "/api/x", None).status == 200
        site.received.clear()
        page = ask(site, "/api/x", field)
        assert (page.status, error_code(page), site.received) == (status, code, [])
        good = ask(site, "/api/x", f"Bearer {jwt(site)}")
        assert good.text == "hello robot"  # And a good one is who asks, whatever cookie comes along.


def test_optional_routes_refuse_a_bad_token_too() -> None:
    with run_site(CONFIG) as site:
        assert ask(site, "/optional/x", None).text == "hello nobody"
        assert ask(site, "/optional/x", f"Bearer {jwt(site)}").text == "hello robot"
        assert ask(site, "/optional/x", "Bearer nonsense").status == 401


@pytest.mark.parametrize(
    ("path", "who", "vary", "private"),
    [
        pytest.param("/api/x", "client", ["Authorization"], True, id="a client"),
        pytest.param("/api/x", "user", ["Authorization"], True, id="a user where clients may ask"),
        pytest.param("/optional/x", "client", ["Authorization, Cookie"], True, id="a client where nobody has to say"),
        pytest.param("/optional/x", "user", ["Authorization, Cookie"], True, id="a user where nobody has to say"),
        pytest.param("/optional/x", "nobody", ["Authorization, Cookie"], False, id="nobody, where others get more"),
        pytest.param("/maybe/x", "user", ["Cookie"], True, id="a user where no client may ask"),
        pytest.param("/maybe/x", "nobody", ["Cookie"], False, id="nobody, where users get more"),
        pytest.param("/home", "user", [], True, id="a user where all are users: private says enough"),
        pytest.param("/public/x", "client", [], False, id="what is the same for all"),
    ],
)
def test_caches_are_told_whose_an_answer_is(path: str, who: str, vary: list[str], private: bool) -> None:
    with run_site(CONFIG) as site:
        if who == "user":
            site.sign_in()
        page = ask(site, path, f"Bearer {jwt(site)}" if who == "client" else None)
        assert (page.status, page.headers.getlist("Vary")) == (200, vary)
        assert page.headers.getlist("Cache-Control") == (["private"] if private else [])


@pytest.mark.parametrize(
    ("typ", "changes", "code"),
    [
        pytest.param("at+jwt", {"aud": "other"}, "access_token_aud_mismatch", id="for another"),
        pytest.param("JWT", {}, "access_token_type_refused", id="an ID token's kind"),
        pytest.param("at+jwt", {"exp": NOW - 61}, "access_token_expired", id="ended"),
        pytest.param("at+jwt", {"iss": "https://evil.example"}, "access_token_iss_mismatch", id="of a stranger"),
    ],
)
def test_the_log_is_told_why_and_the_client_is_not(
    caplog: pytest.LogCaptureFixture, typ: str, changes: dict[str, object], code: str
) -> None:
    with run_site(CONFIG) as site:
        page = ask(site, "/api/x", f"Bearer {jwt(site, typ, **changes)}")
        assert (page.status, error_code(page)) == (401, "invalid_token")
        assert code not in page.text
        assert code in caplog.text
        assert logged_codes(caplog) == ["invalid_token"]


def test_the_id_token_of_a_login_is_no_access_token() -> None:
    over = {**CONFIG, "bearer": {"audience": [AUDIENCE], "types": ["at+jwt", "JWT"]}}
    with run_site(over) as site:
        site.sign_in()
        raw = held_session(site).id_token
        assert ask(site.restarted(), "/api/x", f"Bearer {raw}").status == 401


def test_nor_is_the_id_token_of_another_client_that_names_us() -> None:
    over = {**CONFIG, "bearer": {"audience": [AUDIENCE], "types": ["at+jwt", "JWT"]}}
    with run_site(over) as site:
        assert ask(site, "/api/x", f"Bearer {jwt(site, 'JWT')}").status == 200
        claims = {"iss": ISSUER, "sub": "robot", "aud": ["spa", AUDIENCE], "azp": "spa", "iat": NOW, "exp": NOW + 300}
        raw = site.provider.sign(claims, client_id=CLIENT, alter_header=lambda header: {**header, "typ": "JWT"})
        page = ask(site, "/api/x", f"Bearer {raw}")
        assert (page.status, error_code(page), len(site.received)) == (401, "invalid_token", 1)


def test_keys_may_change() -> None:
    with run_site(CONFIG) as site:
        assert ask(site, "/api/x", f"Bearer {jwt(site)}").status == 200
        site.provider.rotate_keys()
        assert ask(site, "/api/x", f"Bearer {jwt(site)}").status == 200


def test_an_opaque_token_is_asked_about_and_believed_for_a_while() -> None:
    with run_site(CONFIG) as site:
        site.sign_in()
        token = held_session(site).access_token
        site.restarted().received.clear()
        assert ask(site, "/opaque/x", f"Bearer {token}").text == "hello alice"
        assert ask(site, "/both/x", f"Bearer {token}").text == "hello alice"
        assert ask(site, "/api/x", f"Bearer {token}").status == 401
        asked = site.provider.calls["introspect"]
        assert asked == 1
        site.clock.advance(30)
        assert ask(site, "/opaque/x", f"Bearer {token}").status == 200
        assert site.provider.calls["introspect"] == 2


def test_what_the_provider_does_not_know_is_not_asked_twice_at_once() -> None:
    with run_site(CONFIG) as site:
        for _ in range(3):
            page = ask(site, "/opaque/x", "Bearer unknown")
            assert (page.status, error_code(page)) == (401, "invalid_token")
        assert site.provider.calls["introspect"] == 1
        site.clock.advance(10)
        ask(site, "/opaque/x", "Bearer unknown")
        assert site.provider.calls["introspect"] == 2


def test_without_the_provider_nobody_is_let_in() -> None:
    with run_site(CONFIG) as site:
        ask(site, "/opaque/x", "Bearer unknown")
        site.provider.down = True
        page = ask(site, "/opaque/x", "Bearer another")
        assert (page.status, page.headers["Retry-After"].isdigit(), site.received) == (503, True, [])


@pytest.mark.parametrize(
    ("members", "status"),
    [
        pytest.param({}, 200, id="honest"),
        pytest.param({"active": "true"}, 502, id="active a text"),
        pytest.param({"aud": "other"}, 401, id="for another"),
        pytest.param({"token_type": "refresh_token"}, 401, id="a refresh token"),
        pytest.param({"token_type": None, "typ": "Bearer"}, 200, id="an access token by its typ alone"),
        pytest.param({"token_type": None, "typ": "Refresh"}, 401, id="a refresh token by its typ alone"),
        pytest.param({"exp": NOW - 100}, 401, id="ended"),
        pytest.param({"cnf": {"jkt": "x"}}, 401, id="bound to a key"),
    ],
)
def test_what_introspection_says_counts(members: Mapping[str, object], status: int) -> None:
    with run_site(CONFIG) as site:
        site.sign_in()
        token = held_session(site).access_token
        site.restarted().received.clear()
        site.provider.faults = Faults(introspection=lambda code, said: (code, {**said, **members}))
        assert ask(site, "/opaque/x", f"Bearer {token}").status == status
        assert len(site.received) == int(status == 200)


@pytest.mark.parametrize("by", ["sub", "all"])
def test_a_sign_out_ends_the_tokens_from_before(by: str) -> None:
    over = {**CONFIG, "admin_token": "an administrator's token, thirty-two long"}
    with run_site(over) as site:
        token = jwt(site)
        assert ask(site, "/api/x", f"Bearer {token}").status == 200
        query = "sub=robot" if by == "sub" else "all=true"
        headers = {"Authorization": f"Bearer {over['admin_token']}"}
        page = site.browser.fetch(f"{ORIGIN}/oauth2/admin/sessions?{query}", method="DELETE", headers=headers)
        assert page.status in (200, 204), page
        assert ask(site, "/api/x", f"Bearer {token}").status == 401
        site.clock.advance(1)
        assert ask(site, "/api/x", f"Bearer {jwt(site, iat=NOW + 1)}").status == 200


def test_made_up_tokens_do_not_flood_the_provider() -> None:
    release, waiting = threading.Event(), threading.Semaphore(0)

    def slowed(provider: FakeProvider) -> Transport:
        def transport(call: Call) -> Reply:
            if b"token=made-up" in call.body:
                waiting.release()
                assert release.wait(10)
            return provider.transport(call)

        return transport

    with run_site(CONFIG, transport=slowed) as site:
        ask(site, "/opaque/x", "Bearer warm")
        with ThreadPoolExecutor(MAX_CALLS) as pool:
            pages = [pool.submit(ask, site, "/opaque/x", f"Bearer made-up-{number}") for number in range(MAX_CALLS)]
            for _ in range(MAX_CALLS):
                assert waiting.acquire(timeout=10)
            page = ask(site, "/opaque/x", "Bearer made-up-more")
            release.set()
            assert {one.result().status for one in pages} == {401}
        assert (page.status, page.headers["Retry-After"]) == (503, "1")
        assert json.loads(page.text)["error"] == "provider_unreachable"
        assert ask(site, "/opaque/x", "Bearer made-up-more").status == 401


@pytest.mark.parametrize(
    ("over", "words"),
    [
        pytest.param({"bearer": {}}, "bearer.audience must name us", id="no audience"),
        pytest.param(
            {"bearer": {"audience": [CLIENT], "types": ["JWT"]}}, "must not be a client_id", id="ID tokens would do"
        ),
        pytest.param({"bearer": {"audience": ["a"], "algorithms": ["HS256"]}}, "bearer.algorithms", id="a MAC"),
        pytest.param({"bearer": {"audience": ["a"], "types": []}}, "bearer.types", id="no types"),
    ],
)
def test_configurations_that_are_refused(over: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words), run_site({**CONFIG, **over}):
        pass


@pytest.mark.parametrize("token", ["access_token", "introspected", {"exchange": {"audience": ["api"]}}, "none", None])
def test_a_client_has_no_id_token_to_pass_on(token: object) -> None:
    route = {"path": "/api/**", "bearer": ["jwt"], "token": token}
    with run_site({**CONFIG, "routes": [route]}), run_site({"routes": [{"path": "/api/**", "token": "id_token"}]}):
        pass
    refused = {**CONFIG, "routes": [{"path": "/other"}, {**route, "token": "id_token"}]}
    with pytest.raises(ConfigurationError, match=r"^routes\.1\.token: must not be id_token"), run_site(refused):
        pass
