"""Finding the provider: metadata and keys are fetched when they are needed, kept, and renewed."""

import json

import pytest
from harness import (
    ISSUER,
    ORIGIN,
    Site,
    changed,
    error_code,
    is_signed_in,
    logged_codes,
    run_site,
    set_cookie_names,
    suffixed,
    without,
)
from werkzeug import Response

from gateway.errors import ProviderUnavailable
from gateway.testing import Faults


def test_nothing_is_asked_before_somebody_signs_in(site: Site) -> None:
    site.browser.fetch(f"{ORIGIN}/home")
    site.browser.fetch(f"{ORIGIN}/oauth2/session")
    site.browser.fetch(f"{ORIGIN}/ping")

    assert site.provider.calls == {}


def test_metadata_and_keys_are_kept_for_an_hour(site: Site) -> None:
    for _ in range(3):
        site.restarted().sign_in()
    assert (site.provider.calls["discovery"], site.provider.calls["jwks"]) == (1, 1)

    site.clock.advance(3601)
    site.restarted().sign_in()
    assert (site.provider.calls["discovery"], site.provider.calls["jwks"]) == (2, 2)


def test_a_first_login_is_503_while_the_provider_is_down_and_works_after_the_backoff(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.provider.down = True
    page = site.browser.navigate(f"{ORIGIN}/home")
    assert (page.status, error_code(page)) == (503, "provider_unreachable")
    assert page.headers["Retry-After"] == "5"
    assert (set_cookie_names(page), site.received) == ([], [])
    assert logged_codes(caplog) == ["provider_unreachable"]

    site.provider.down = False
    assert site.browser.navigate(f"{ORIGIN}/home").status == 503
    assert site.provider.calls == {}

    site.clock.advance(6)
    site.sign_in()


def test_a_session_lives_on_while_the_provider_is_down(site: Site) -> None:
    site.sign_in()
    site.provider.down = True

    assert is_signed_in(site.browser)
    assert site.browser.navigate(f"{ORIGIN}/home").status == 200


def test_old_metadata_serve_while_the_discovery_endpoint_fails(site: Site) -> None:
    site.sign_in()
    site.clock.advance(3601)
    site.provider.faults = Faults(
        response=lambda name, response: Response(status=502) if name == "discovery" else response
    )

    site.restarted().sign_in()


def test_an_error_that_is_kept_during_the_backoff_does_not_grow(site: Site) -> None:
    site.provider.down = True
    lengths = []
    for _ in range(3):
        with pytest.raises(ProviderUnavailable) as raised:
            site.gateway.providers["default"].metadata()
        lengths.append(len(raised.traceback))

    assert lengths[1] == lengths[2]


def test_endpoints_by_hand_need_no_discovery() -> None:
    with run_site() as known:
        keys = f"{ISSUER}{known.provider.jwks_path}"
        by_hand = {
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": keys,
        }
    with run_site({"provider": {"metadata": by_hand}}) as site:
        site.provider.jwks_path = known.provider.jwks_path
        site.sign_in()

        assert site.provider.calls == {"authorize": 1, "token.authorization_code": 1, "jwks": 1}


def test_one_endpoint_by_hand_is_laid_over_what_is_discovered() -> None:
    elsewhere = "https://accounts.example/authorize"
    with run_site({"provider": {"metadata": {"authorization_endpoint": elsewhere}}}) as site:
        redirect = site.browser.navigate(f"{ORIGIN}/home", follow=False)

        assert redirect.headers["Location"].startswith(f"{elsewhere}?")
        assert site.provider.calls == {"discovery": 1}


@pytest.mark.parametrize(
    ("algorithm", "kid_mode"),
    [
        pytest.param("RS256", "absent_single", id="B6-no-kid-one-key"),
        pytest.param("RS256", "absent_several", id="B7-no-kid-many-keys"),
        pytest.param("RS256", "named", id="B8-rs256"),
        pytest.param("PS256", "named", id="ps256"),
        pytest.param("EdDSA", "named", id="eddsa"),
        pytest.param("HS256", "named", id="hs256"),
    ],
)
def test_a_key_is_found_however_it_is_named(algorithm: str, kid_mode: str) -> None:
    with run_site({"provider": {"id_token_signed_response_alg": algorithm}}) as site:
        site.provider.id_token_alg = algorithm  # type: ignore[assignment]
        site.provider.kid_mode = kid_mode  # type: ignore[assignment]
        site.sign_in()


def test_keys_replaced_just_before_signing_are_fetched(site: Site) -> None:
    site.sign_in()  # C5
    site.restarted().provider.faults.before = lambda name: (
        site.provider.rotate_keys() if name == "token.authorization_code" else None
    )
    site.sign_in()

    assert site.provider.calls["jwks"] == 2


def test_keys_replaced_between_two_logins_are_fetched(site: Site) -> None:
    site.sign_in()  # C6
    site.provider.rotate_keys()
    site.restarted().sign_in()

    assert (site.provider.calls["jwks"], site.provider.calls["userinfo"]) == (2, 2)


def test_unknown_keys_cause_at_most_one_fetch_a_minute(site: Site) -> None:
    site.sign_in()
    site.provider.faults = Faults(id_token_header=changed(kid="unknown"))
    codes = [error_code(site.restarted().browser.navigate(f"{ORIGIN}/home")) for _ in range(3)]
    assert (codes, site.provider.calls["jwks"]) == (["jwt_key_unknown"] * 3, 2)

    site.clock.advance(61)
    site.restarted().browser.navigate(f"{ORIGIN}/home")
    assert site.provider.calls["jwks"] == 3


def _json(response: Response, members: object) -> Response:
    response.set_data(json.dumps(members))
    return response


@pytest.mark.parametrize(
    ("faults", "code", "status"),
    [
        pytest.param(
            Faults(discovery=suffixed("issuer", "INVALID")), "metadata_issuer_mismatch", 403, id="C3-A3-issuer"
        ),
        pytest.param(Faults(discovery=suffixed("issuer", "/")), "metadata_issuer_mismatch", 403, id="C3-slash"),
        pytest.param(Faults(discovery=without("token_endpoint")), "metadata_invalid", 403, id="no-token-endpoint"),
        pytest.param(
            Faults(discovery=changed(authorization_endpoint="http://op.example/authorize")),
            "metadata_invalid",
            403,
            id="plain-http",
        ),
        pytest.param(
            Faults(response=lambda _, response: _json(response, [1, 2])), "provider_answer_invalid", 503, id="a-list"
        ),
    ],
)
def test_wrong_metadata_stop_a_login_before_it_begins(
    caplog: pytest.LogCaptureFixture, faults: Faults, code: str, status: int
) -> None:
    with run_site() as honest:
        honest.sign_in()
    with run_site() as site:
        site.provider.faults = faults
        page = site.browser.navigate(f"{ORIGIN}/home")

        assert (page.status, error_code(page)) == (status, code)
        assert logged_codes(caplog) == [code]
        assert site.provider.calls == {"discovery": 1}
        assert set_cookie_names(page) == []
        assert site.received == []
