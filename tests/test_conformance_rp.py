"""The OpenID Foundation's modules for a relying party, each fault after an honest login in the same set-up."""

from collections.abc import Callable

import pytest
from harness import (
    ORIGIN,
    SESSION,
    SESSION_COOKIE,
    Members,
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

from gateway.testing import Faults, with_altered_signature, without_signature


def assert_refused(
    site: Site, caplog: pytest.LogCaptureFixture, faults: Faults, code: str, *, status: int = 403, asked: set[str]
) -> None:
    """Sign in honestly, then fail to in a fresh browser; `asked` is what the provider is asked on the way there."""
    site.sign_in()
    site.restarted()
    before, reached = dict(site.provider.calls), len(site.received)
    logged_codes(caplog)
    site.provider.faults = faults

    page = site.browser.navigate(f"{ORIGIN}/home")

    assert (page.status, error_code(page)) == (status, code)
    assert "Traceback" not in page.text
    assert all(SESSION_COOKIE not in set_cookie_names(each) for each in site.browser.history)
    assert len(site.received) == reached
    assert {name for name, count in site.provider.calls.items() if count > before.get(name, 0)} == asked
    assert logged_codes(caplog) == [code]
    assert not is_signed_in(site.browser)
    assert len(site.received) == reached


_TO_THE_TOKEN = {"authorize", "token.authorization_code"}


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        pytest.param(Faults(id_token_claims=suffixed("iss")), "id_token_iss_mismatch", id="B2-A4-iss"),
        pytest.param(Faults(id_token_claims=suffixed("iss", "/")), "id_token_iss_mismatch", id="B2-iss-slash"),
        pytest.param(Faults(id_token_claims=without("iss")), "id_token_claim_invalid", id="A12-no-iss"),
        pytest.param(Faults(id_token_claims=without("sub")), "id_token_claim_invalid", id="B3-no-sub"),
        pytest.param(Faults(id_token_claims=suffixed("aud")), "id_token_aud_mismatch", id="B4-A5-aud"),
        pytest.param(Faults(id_token_claims=without("aud")), "id_token_claim_invalid", id="K1-A11-no-aud"),
        pytest.param(
            Faults(id_token_claims=changed(aud=["app %&+", "app %&+1"])), "id_token_azp_mismatch", id="A6-second-aud"
        ),
        pytest.param(Faults(id_token_claims=without("iat")), "id_token_claim_invalid", id="B5-no-iat"),
        pytest.param(
            Faults(id_token_claims=lambda one: {**one, "exp": int(str(one["iat"])) - 360}),
            "id_token_expired",
            id="A9-expired",
        ),
        pytest.param(Faults(id_token_claims=without("exp")), "id_token_claim_invalid", id="A10-no-exp"),
        pytest.param(
            Faults(id_token_claims=lambda one: {**one, "iat": int(str(one["iat"])) - 7 * 86400}),
            "id_token_too_old",
            id="iat-a-week-ago",
        ),
        pytest.param(Faults(id_token_claims=suffixed("nonce")), "id_token_nonce_mismatch", id="B12-A14-nonce"),
        pytest.param(Faults(id_token_claims=without("nonce")), "id_token_claim_invalid", id="A15-no-nonce"),
        pytest.param(Faults(id_token_claims=suffixed("at_hash")), "id_token_at_hash_mismatch", id="at_hash"),
        pytest.param(Faults(id_token=without_signature), "jwt_alg_refused", id="B9-C4-A7-alg-none"),
        pytest.param(
            Faults(token_response=lambda status, one: (status, without("id_token")(one))),
            "id_token_missing",
            id="no-id-token",
        ),
        pytest.param(
            Faults(token_response=lambda status, one: (status, {**one, "token_type": "mac"})),
            "token_type_unsupported",
            id="token-type",
        ),
        pytest.param(
            Faults(token_response=lambda _, __: (400, {"error": "invalid_grant"})),
            "token_grant_invalid",
            id="invalid-grant",
        ),
    ],
)
def test_a_wrong_token_answer_signs_nobody_in_and_is_not_used(
    site: Site, caplog: pytest.LogCaptureFixture, faults: Faults, code: str
) -> None:
    assert_refused(site, caplog, faults, code, asked=_TO_THE_TOKEN)


@pytest.mark.parametrize(
    ("algorithm", "code"),
    [
        pytest.param("RS256", "jwt_signature_invalid", id="B10-rs256"),
        pytest.param("HS256", "jwt_signature_invalid", id="K2-hs256"),
        pytest.param("ES256", "jwt_signature_invalid", id="K3-es256"),
    ],
)
def test_an_altered_signature_signs_nobody_in(caplog: pytest.LogCaptureFixture, algorithm: str, code: str) -> None:
    with run_site({"provider": {"id_token_signed_response_alg": algorithm}}) as site:
        site.provider.id_token_alg = algorithm  # type: ignore[assignment]
        # Keys may have been replaced since, so they are fetched once more.
        faults = Faults(id_token=with_altered_signature)
        assert_refused(site, caplog, faults, code, asked=_TO_THE_TOKEN | {"jwks"})


@pytest.mark.parametrize(
    ("configured", "used"),
    [
        pytest.param("RS256", "ES256", id="A8-other-key-of-the-provider"),
        pytest.param("ES256", "HS256", id="hmac-instead-of-a-key"),
        pytest.param("HS256", "ES256", id="key-instead-of-hmac"),
    ],
)
def test_the_algorithm_is_what_we_configured_and_not_what_the_token_says(
    caplog: pytest.LogCaptureFixture, configured: str, used: str
) -> None:
    with run_site({"provider": {"id_token_signed_response_alg": configured}}) as site:
        site.provider.id_token_alg = configured  # type: ignore[assignment]
        site.sign_in()
        site.restarted().provider.id_token_alg = used  # type: ignore[assignment]
        page = site.browser.navigate(f"{ORIGIN}/home")

        assert (page.status, error_code(page)) == (403, "jwt_alg_refused")
        assert logged_codes(caplog) == ["jwt_alg_refused"]
        assert site.provider.calls["userinfo"] == 1
        assert not is_signed_in(site.browser)


def test_userinfo_about_someone_else_signs_nobody_in(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(userinfo=suffixed("sub", "invalid"))  # B11
    assert_refused(site, caplog, faults, "userinfo_sub_mismatch", asked=_TO_THE_TOKEN | {"userinfo"})


def _altered_answer(change: Callable[[dict[str, str]], dict[str, str]]) -> Faults:
    return Faults(authorization_response=change)


@pytest.mark.parametrize(
    ("faults", "code", "status"),
    [
        pytest.param(
            _altered_answer(lambda one: {**one, "iss": one["iss"] + "1"}), "response_iss_mismatch", 403, id="A16-iss"
        ),
        pytest.param(
            _altered_answer(lambda one: {**one, "iss": one["iss"] + "/"}), "response_iss_mismatch", 403, id="iss-slash"
        ),
        pytest.param(
            _altered_answer(lambda one: {**one, "iss": one["iss"].upper()}), "response_iss_mismatch", 403, id="iss-case"
        ),
        pytest.param(
            _altered_answer(lambda one: {**one, "iss": one["iss"] + ":443"}),
            "response_iss_mismatch",
            403,
            id="iss-port",
        ),
        pytest.param(
            _altered_answer(lambda one: {key: one[key] for key in one if key != "iss"}),
            "response_iss_missing",
            403,
            id="A17-no-iss",
        ),
        pytest.param(
            _altered_answer(
                lambda one: {"error": "access_denied", "state": one["state"], "iss": "https://evil.example"}
            ),
            "response_iss_mismatch",
            403,
            id="iss-of-an-error",
        ),
        pytest.param(
            _altered_answer(lambda one: {key: one[key] for key in one if key != "state"}),
            "response_state_missing",
            400,
            id="A19-no-state",
        ),
        pytest.param(
            _altered_answer(lambda one: {key: one[key] for key in one if key != "code"}),
            "response_code_missing",
            400,
            id="no-code",
        ),
    ],
)
def test_a_wrong_authorization_response_is_not_redeemed(
    site: Site, caplog: pytest.LogCaptureFixture, faults: Faults, code: str, status: int
) -> None:
    assert_refused(site, caplog, faults, code, status=status, asked={"authorize"})


def test_a_wrong_state_is_not_redeemed(site: Site) -> None:
    site.sign_in()
    site.restarted().provider.faults = _altered_answer(lambda one: {**one, "state": "another"})  # A18
    page = site.browser.navigate(f"{ORIGIN}/home")

    # The first stray answer begins one fresh login, the second ends in a page.
    assert (page.status, error_code(page)) == (400, "transaction_missing")
    assert site.provider.calls["token.authorization_code"] == 1
    assert site.provider.calls["authorize"] == 3
    assert not is_signed_in(site.browser)


@pytest.mark.parametrize(
    ("advertised", "sent", "status"),
    [
        pytest.param(True, True, 200, id="advertised-and-sent"),
        pytest.param(False, False, 200, id="neither"),
        pytest.param(True, False, 403, id="advertised-and-missing"),
        pytest.param(False, True, 200, id="sent-though-not-advertised"),
    ],
)
def test_the_issuer_in_the_response(site: Site, advertised: bool, sent: bool, status: int) -> None:
    site.provider.faults = Faults(
        discovery=changed(authorization_response_iss_parameter_supported=advertised),
        authorization_response=lambda one: {key: one[key] for key in one if sent or key != "iss"},
    )
    assert site.browser.navigate(f"{ORIGIN}/home").status == status


def test_a_wrong_issuer_counts_though_none_was_advertised(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.provider.response_iss = False
    wrong = _altered_answer(lambda one: {**one, "iss": "https://evil.example"})
    assert_refused(site, caplog, wrong, "response_iss_mismatch", asked={"authorize"})


def _without_expiry(status: int, members: Members) -> tuple[int, Members]:
    return status, without("expires_in")(members)


def _without_scope(status: int, members: Members) -> tuple[int, Members]:
    return status, without("scope", "expires_in")(members)


def _inverted_type(status: int, members: Members) -> tuple[int, Members]:
    return status, {**members, "token_type": "bEARER"}


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(Faults(), id="B1-B14-C1-C2-K4-honest"),
        pytest.param(Faults(id_token_claims=changed(aud=["app %&+"])), id="A13-aud-as-array"),
        pytest.param(Faults(id_token_claims=without("at_hash")), id="no-at_hash"),
        pytest.param(Faults(token_response=lambda status, one: (status, without("expires_in")(one))), id="A20"),
        pytest.param(
            Faults(token_response=lambda status, one: (status, without("scope", "expires_in")(one))), id="scope"
        ),
        pytest.param(Faults(token_response=_inverted_type), id="A21-token-type-case"),
        pytest.param(
            Faults(
                userinfo=changed(
                    _claim_names={"address": "src1"}, _claim_sources={"src1": {"JWT": "eyJhbGciOiJub25lIn0.e30."}}
                )
            ),
            id="K6-aggregated",
        ),
        pytest.param(
            Faults(
                userinfo=changed(
                    _claim_names={"credit": "src2"},
                    _claim_sources={"src2": {"endpoint": "https://op.example/claims", "access_token": "x"}},
                )
            ),
            id="K7-distributed-is-not-fetched",
        ),
    ],
)
def test_an_honest_if_unusual_answer_signs_in(site: Site, faults: Faults) -> None:
    site.provider.faults = faults
    site.sign_in()

    assert (site.provider.calls["userinfo"], site.provider.unknown_paths) == (1, [])


def test_the_claims_of_the_scopes_come_from_userinfo(site: Site) -> None:
    site.sign_in()  # B13
    claims = site.browser.fetch(SESSION).json()["claims"]

    assert {name: claims[name] for name in ("name", "email", "phone_number")} == {
        "name": "Alice Example", "email": "alice@op.example", "phone_number": "+1 555 0100",
    }  # fmt: skip
