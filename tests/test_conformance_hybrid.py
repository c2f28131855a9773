"""The Hybrid plan, `code id_token`: all faults of the Basic plan in the ID token that comes through the browser."""

import pytest
from conformance.cases import Refused, Row, accepted, for_plan, refused
from conformance.id_token_faults import CLAIM_FAULTS, TOKEN_FAULTS
from conformance.judge import assert_refused, sign_in
from conformance.set_ups import OwnFiles, SetUp, run_set_up
from harness import changed, suffixed, without

from gateway.testing import Faults

HYBRID = SetUp(name="hybrid", config={"authorization": {"response_type": "code id_token"}})


def _in_front(row: Row) -> Faults:
    return Faults(front_id_token_claims=row.claims, front_id_token=row.token)


def _behind(row: Row) -> Faults:
    return Faults(id_token_claims=row.claims, id_token=row.token)


@pytest.mark.parametrize("case", for_plan("", (*CLAIM_FAULTS, *TOKEN_FAULTS), _in_front, "X-az"))
def test_a_wrong_id_token_in_front_is_refused_before_the_code_is_used(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    with run_set_up(HYBRID, own_files) as site:
        assert_refused(site, caplog, case)


@pytest.mark.parametrize(
    "case",
    [
        refused("c_hash", Faults(front_id_token_claims=suffixed("c_hash")), "id_token_c_hash_mismatch", "X-az"),
        refused("no-c_hash", Faults(front_id_token_claims=without("c_hash")), "id_token_claim_invalid", "X-az"),
        refused("s_hash", Faults(front_id_token_claims=suffixed("s_hash")), "id_token_s_hash_mismatch", "X-az"),
        refused(
            "no-id-token",
            Faults(authorization_response=lambda one: {key: one[key] for key in one if key != "id_token"}),
            "id_token_missing",
            "X-az",
        ),
        refused(
            "another-code",
            Faults(authorization_response=lambda one: {**one, "code": one["code"] + "1"}),
            "id_token_c_hash_mismatch",
            "X-az",
        ),
        refused(
            "id-token-of-another-user",
            Faults(front_id_token_claims=changed(sub="bob")),
            "id_token_sub_mismatch",
            "X-idt",
        ),
        refused("in-the-query", Faults(response_mode=lambda _: "query"), "response_mode_mismatch", "X-az", status=400),
    ],
)
def test_what_binds_code_state_and_user_is_checked(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    with run_set_up(HYBRID, own_files) as site:
        assert_refused(site, caplog, case)


@pytest.mark.parametrize("case", for_plan("", (*CLAIM_FAULTS, *TOKEN_FAULTS), _behind, "X-idt"))
def test_a_wrong_id_token_from_the_token_endpoint_is_refused_all_the_same(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    with run_set_up(HYBRID, own_files) as site:
        assert_refused(site, caplog, case)


@pytest.mark.parametrize(
    "faults",
    [
        accepted("honest", Faults()),
        accepted("no-s_hash", Faults(front_id_token_claims=without("s_hash"))),
        accepted("aud-as-array", Faults(front_id_token_claims=changed(aud=["app %&+"]))),
        # The ID token has an issuer of its own that is checked (RFC 9207 2.4).
        accepted(
            "no-iss-beside-the-id-token",
            Faults(authorization_response=lambda one: {key: one[key] for key in one if key != "iss"}),
        ),
    ],
)
def test_an_honest_answer_signs_in(own_files: OwnFiles, faults: Faults) -> None:
    with run_set_up(HYBRID, own_files) as site:
        site.provider.faults = faults
        sign_in(site)
