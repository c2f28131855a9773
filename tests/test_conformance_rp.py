"""The OpenID Foundation's modules for a relying party, each fault after an honest login in the same set-up."""

from collections.abc import Callable
from typing import Any

import pytest
from conformance.cases import Refused, accepted, covers, for_plan, refused
from conformance.id_token_faults import CLAIM_FAULTS
from conformance.judge import assert_ends_in_a_page, assert_proper, assert_refused, sign_in
from harness import (
    ORIGIN,
    SESSION,
    Members,
    Site,
    changed,
    run_site,
    suffixed,
    without,
)

from gateway.testing import Faults, with_altered_signature, without_signature


@pytest.mark.parametrize("case", for_plan("BK", CLAIM_FAULTS, lambda row: Faults(id_token_claims=row.claims), "X-idt"))
def test_a_wrong_id_token_signs_nobody_in_and_its_tokens_are_not_used(
    site: Site, caplog: pytest.LogCaptureFixture, case: Refused
) -> None:
    assert_refused(site, caplog, case)


@pytest.mark.parametrize(
    "case",
    [
        refused("B9-C4-alg-none", Faults(id_token=without_signature), "jwt_alg_refused"),
        refused("at_hash", Faults(id_token_claims=suffixed("at_hash")), "id_token_at_hash_mismatch"),
        refused(
            "no-id-token",
            Faults(token_response=lambda status, one: (status, without("id_token")(one))),
            "id_token_missing",
        ),
        refused(
            "token-type",
            Faults(token_response=lambda status, one: (status, {**one, "token_type": "mac"})),
            "token_type_unsupported",
        ),
        refused(
            "invalid-grant",
            Faults(token_response=lambda _, __: (400, {"error": "invalid_grant"})),
            "token_grant_invalid",
        ),
        refused("B11-userinfo-sub", Faults(userinfo=suffixed("sub", "invalid")), "userinfo_sub_mismatch", "X-ui"),
        refused("userinfo-no-sub", Faults(userinfo=without("sub")), "userinfo_sub_mismatch", "X-ui"),
    ],
)
def test_a_wrong_token_answer_signs_nobody_in_and_is_not_used(
    site: Site, caplog: pytest.LogCaptureFixture, case: Refused
) -> None:
    assert_refused(site, caplog, case)


def _altered(name: str, algorithm: str, *, refetch: bool) -> Any:
    faults = Faults(id_token=with_altered_signature)
    row = refused(f"{name}-{algorithm.lower()}", faults, "jwt_signature_invalid", refetch=refetch)
    return pytest.param(algorithm, *row.values, id=row.id, marks=row.marks)


@pytest.mark.parametrize(
    ("algorithm", "case"),
    [
        _altered("B10", "RS256", refetch=True),
        _altered("K2", "HS256", refetch=False),  # A MAC has no key that could have been replaced.
        _altered("K3", "ES256", refetch=True),
    ],
)
def test_an_altered_signature_signs_nobody_in(caplog: pytest.LogCaptureFixture, algorithm: str, case: Refused) -> None:
    with run_site({"provider": {"id_token_signed_response_alg": algorithm}}) as site:
        site.provider.id_token_alg = algorithm  # type: ignore[assignment]
        assert_refused(site, caplog, case)


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
        sign_in(site)
        site.restarted().provider.id_token_alg = used  # type: ignore[assignment]

        case = Refused(faults=Faults(), code="jwt_alg_refused", verdict="X-idt")
        assert_ends_in_a_page(site, caplog, case, case.asked(pushed=False))


def _answer(change: Callable[[dict[str, str]], dict[str, str]]) -> Faults:
    return Faults(authorization_response=change)


def _lacking(name: str) -> Faults:
    return _answer(lambda one: {key: one[key] for key in one if key != name})


@pytest.mark.parametrize(
    "case",
    [
        refused("A16-iss", _answer(lambda one: {**one, "iss": one["iss"] + "1"}), "response_iss_mismatch", "X-az"),
        refused("iss-slash", _answer(lambda one: {**one, "iss": one["iss"] + "/"}), "response_iss_mismatch", "X-az"),
        refused("iss-case", _answer(lambda one: {**one, "iss": one["iss"].upper()}), "response_iss_mismatch", "X-az"),
        refused("iss-port", _answer(lambda one: {**one, "iss": one["iss"] + ":443"}), "response_iss_mismatch", "X-az"),
        refused(
            "iss-encoded",
            _answer(lambda one: {**one, "iss": one["iss"].replace("op.", "op%2E")}),
            "response_iss_mismatch",
            "X-az",
        ),
        refused("iss-empty", _answer(lambda one: {**one, "iss": ""}), "response_iss_mismatch", "X-az"),
        refused("A17-no-iss", _lacking("iss"), "response_iss_missing", "X-az"),
        refused(
            "iss-of-an-error",
            _answer(lambda one: {"error": "access_denied", "state": one["state"], "iss": "https://evil.example"}),
            "response_iss_mismatch",
            "X-az",
        ),
        # The first stray answer begins one fresh login, the second ends in a page.
        refused("A18-state", _answer(lambda one: {**one, "state": "x"}), "transaction_missing", "X-az", status=400),
        refused("A19-no-state", _lacking("state"), "response_state_missing", "X-az", status=400),
        refused("no-code", _lacking("code"), "response_code_missing", "X-az", status=400),
    ],
)
def test_a_wrong_authorization_response_is_not_redeemed(
    site: Site, caplog: pytest.LogCaptureFixture, case: Refused
) -> None:
    assert_refused(site, caplog, case)


def test_a_wrong_state_leads_to_one_fresh_login_and_not_to_a_loop(site: Site) -> None:
    sign_in(site)
    site.restarted().provider.faults = _answer(lambda one: {**one, "state": "another"})
    site.browser.navigate(f"{ORIGIN}/home")

    assert site.provider.calls["token.authorization_code"] == 1
    assert site.provider.calls["authorize"] == 3


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
    faults = _answer(lambda one: {**one, "iss": "https://evil.example"})
    case = Refused(faults=faults, code="response_iss_mismatch", verdict="X-az")
    assert_refused(site, caplog, case)


def _without(*names: str) -> Faults:
    return Faults(token_response=lambda status, one: (status, without(*names)(one)))


def _inverted_type(status: int, members: Members) -> tuple[int, Members]:
    return status, {**members, "token_type": "bEARER"}


@pytest.mark.parametrize(
    "faults",
    [
        accepted("B1-B14-C1-C2-K4-honest", Faults()),
        accepted("A13-aud-as-array", Faults(id_token_claims=changed(aud=["app %&+"]))),
        accepted("no-at_hash", Faults(id_token_claims=without("at_hash"))),
        accepted("A20-no-expires_in", _without("expires_in")),
        accepted("no-scope-and-no-expires_in", _without("scope", "expires_in")),
        accepted("A21-token-type-case", Faults(token_response=_inverted_type)),
        accepted(
            "K6-aggregated",
            Faults(
                userinfo=changed(
                    _claim_names={"address": "src1"}, _claim_sources={"src1": {"JWT": "eyJhbGciOiJub25lIn0.e30."}}
                )
            ),
        ),
        accepted(
            "K7-distributed-is-not-fetched",
            Faults(
                userinfo=changed(
                    _claim_names={"credit": "src2"},
                    _claim_sources={"src2": {"endpoint": "https://op.example/claims", "access_token": "x"}},
                )
            ),
        ),
    ],
)
def test_an_honest_if_unusual_answer_signs_in(site: Site, faults: Faults) -> None:
    site.provider.faults = faults
    sign_in(site)

    assert (site.provider.calls["discovery"], site.provider.calls["jwks"]) == (1, 1)


@covers("B13", verdict="OK")
def test_the_claims_of_the_scopes_come_from_userinfo(site: Site) -> None:
    sign_in(site)
    claims = site.browser.fetch(SESSION).json()["claims"]

    assert {name: claims[name] for name in ("name", "email", "phone_number")} == {
        "name": "Alice Example", "email": "alice@op.example", "phone_number": "+1 555 0100",
    }  # fmt: skip


@pytest.mark.parametrize(
    "kid_mode",
    [
        pytest.param("absent_single", id="B6-one-key", marks=covers("B6", verdict="OK")),
        pytest.param("absent_several", id="B7-many-keys", marks=covers("B7", verdict="OK")),
    ],
)
def test_without_a_kid_the_keys_that_fit_are_tried(kid_mode: str) -> None:
    with run_site({"provider": {"id_token_signed_response_alg": "RS256"}}) as site:
        site.provider.id_token_alg = "RS256"
        site.provider.kid_mode = kid_mode  # type: ignore[assignment]
        sign_in(site)

        keys = site.provider.jwks()["keys"]
        assert isinstance(keys, list)
        assert not any("kid" in key for key in keys)
        assert (len(keys) == 1) == (kid_mode == "absent_single")


@covers("B8", verdict="OK")
def test_rs256_is_enough_and_is_what_counts_without_configuration() -> None:
    with run_site({"provider": {"id_token_signed_response_alg": None}}) as site:
        site.provider.id_token_alg = "RS256"
        sign_in(site)
        assert_proper(site)
