"""The token that an upstream gets: the user's own, one looked up, one exchanged; and never another in its place."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from answering import assert_not_reached, bearer, hello, run_before
from harness import ORIGIN, Members, Mode, held_session
from werkzeug.wrappers import Response

from gateway.testing import Faults
from gateway.testing.jws import read_compact

INTROSPECTED: Final[dict[str, Any]] = {"routes": [{"path": "/**", "token": "introspected"}]}


@pytest.mark.parametrize(
    ("mode", "route", "expected"),
    [
        pytest.param("upstream", {}, "access_token", id="upstream"),
        pytest.param("upstream", {"token": "access_token"}, "access_token", id="access_token"),
        pytest.param("upstream", {"token": "id_token"}, "id_token", id="id_token"),
        pytest.param("upstream", {"token": "none"}, "", id="none"),
        pytest.param("wrapped", {}, "", id="wrapped"),
        pytest.param("wrapped", {"token": "access_token"}, "access_token", id="wrapped-access_token"),
        pytest.param("upstream", {"access": "public"}, "", id="public"),
        pytest.param("upstream", {"access": "optional"}, "access_token", id="optional"),
    ],
)
def test_the_token_is_that_of_the_route_and_none_that_a_client_sent(
    mode: Mode, route: dict[str, Any], expected: str
) -> None:
    with run_before(hello, {"routes": [{"path": "/private/**", **route}]}, mode=mode) as site:
        site.sign_in()
        headers = {
            "Authorization": "Bearer evil",
            "DPoP": "evil",
            "Connection": "Authorization",
            "X_Forwarded_User": "evil",
        }
        assert site.browser.get(f"{ORIGIN}/private/x", headers=headers).status == 200
        session = held_session(site)
        held = {"access_token": session.access_token, "id_token": session.id_token, "": None}[expected]
        assert site.received[-1].headers.get("authorization") == (None if held is None else f"Bearer {held}")
        assert "evil" not in str(site.received[-1].headers)


def test_a_looked_up_token_stands_for_the_opaque_one() -> None:
    with run_before(hello, INTROSPECTED) as site:
        site.sign_in()
        claims = read_compact(bearer(site)).claims
        assert (claims["sub"], claims["iss"]) == ("alice", site.provider.issuer)
        assert held_session(site).access_token not in str(site.received[-1].headers)


def answering(answer: Callable[[], Response], *, name: str = "introspect") -> Faults:
    return Faults(response=lambda asked, response: answer() if asked == name else response)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        pytest.param(lambda: Response(status=204), 401, "token_inactive", id="inactive"),
        pytest.param(lambda: Response(status=503), 503, "provider_unreachable", id="503"),
        pytest.param(lambda: Response(status=500), 503, "provider_unreachable", id="500"),
        pytest.param(lambda: Response(status=429), 503, "provider_unreachable", id="429"),
        pytest.param(lambda: Response(status=404), 502, "introspection_invalid", id="404"),
        pytest.param(lambda: Response(status=401), 502, "introspection_invalid", id="401"),
        pytest.param(lambda: Response("{}", content_type="application/json"), 502, "introspection_invalid", id="JSON"),
        pytest.param(
            lambda: Response('{"active":true}', content_type="application/jwt"), 502, "introspection_invalid", id="lie"
        ),
        pytest.param(lambda: Response("", content_type="application/jwt"), 502, "introspection_invalid", id="empty"),
        pytest.param(
            lambda: Response("a" * 9000, content_type="application/jwt"), 502, "introspection_invalid", id="long"
        ),
        pytest.param(
            lambda: Response("e30.e30.c2ln\r\nX-Evil: 1", content_type="application/jwt"),
            502,
            "introspection_invalid",
            id="line-break",
        ),
    ],
)
def test_without_a_looked_up_token_nothing_is_sent(answer: Callable[[], Response], status: int, code: str) -> None:
    with run_before(hello, INTROSPECTED) as site:
        site.sign_in()
        site.provider.faults = answering(answer)
        assert_not_reached(site, "/home", status, code)
        site.provider.faults = Faults()
        assert site.browser.fetch(f"{ORIGIN}/home").status == 200


@pytest.mark.parametrize(
    ("claims", "status", "code"),
    [
        pytest.param({"exp": 1}, 401, "token_inactive", id="expired"),
        pytest.param({"exp": None}, 502, "introspection_invalid", id="no-exp"),
        pytest.param({"exp": "1900000000"}, 502, "introspection_invalid", id="exp-text"),
    ],
)
def test_a_looked_up_token_that_has_ended_is_not_sent(claims: Members, status: int, code: str) -> None:
    with run_before(hello, INTROSPECTED) as site:
        site.sign_in()
        site.provider.faults = Faults(introspection_claims=lambda members: {**members, **claims})
        assert_not_reached(site, "/home", status, code)


@pytest.mark.parametrize(
    ("max_age", "advances", "asked"),
    [
        pytest.param(None, [0, 0], 3, id="no-store"),
        pytest.param(60, [0, 59], 1, id="within"),
        pytest.param(60, [0, 60], 2, id="over"),
        pytest.param(0, [0], 2, id="zero"),
        pytest.param(3600, [200, 69], 1, id="before-the-end"),
        pytest.param(3600, [200, 70], 2, id="near-the-end"),
    ],
)
def test_a_looked_up_token_is_kept_as_long_as_the_provider_says_and_never_to_its_end(
    max_age: int | None, advances: list[int], asked: int
) -> None:
    with run_before(hello, {**INTROSPECTED, "session": {"refresh_leeway": 0}}) as site:
        site.provider.introspection_max_age = max_age
        site.sign_in()
        for seconds in advances:
            site.clock.advance(seconds)
            assert site.browser.fetch(f"{ORIGIN}/home").status == 200
        assert site.provider.calls["introspect"] == asked


def test_a_token_that_has_ended_is_not_sent_whatever_was_kept() -> None:
    with run_before(hello, INTROSPECTED) as site:
        site.provider.introspection_max_age = 3600
        site.provider.include_refresh_token = False
        site.sign_in()
        site.clock.advance(300)
        assert_not_reached(site, "/home", 401, "token_inactive")


def test_each_session_and_each_token_has_a_lookup_of_its_own() -> None:
    with run_before(hello, INTROSPECTED) as site:
        site.provider.introspection_max_age = 3600
        site.sign_in()
        alice, first = site.browser, bearer(site)
        site.restarted()
        site.provider.sign_in_as = "bob"
        site.sign_in()
        assert read_compact(bearer(site)).claims["sub"] == "bob"
        alice.fetch(f"{ORIGIN}/home")
        assert (bearer(site), site.provider.calls["introspect"]) == (first, 2)
        site.clock.advance(280)
        alice.fetch(f"{ORIGIN}/home")
        assert (read_compact(bearer(site)).claims["sub"], site.provider.calls["introspect"]) == ("alice", 3)
