"""What users are told of a sign-in that failed: a cause, and a next step that fits it."""

import pytest

from gateway import errors
from gateway.problem import Problem

PROBLEMS = {one.code: one for one in vars(errors).values() if isinstance(one, Problem)}


@pytest.mark.parametrize(
    ("title", "advice", "codes"),
    [
        pytest.param(
            "clock",
            "people who run this site",
            ("id_token_expired", "id_token_not_yet_valid", "id_token_too_old", "userinfo_expired"),
            id="clocks",
        ),
        pytest.param("cookie", "Allow cookies", ("transaction_missing",), id="cookie"),
        pytest.param("run out", "Start again", ("response_expired", "token_grant_invalid"), id="run-out"),
        pytest.param(
            "does not belong",
            "Close other tabs",
            ("response_state_mismatch", "response_iss_mismatch", "id_token_nonce_mismatch"),
            id="of-another-sign-in",
        ),
        pytest.param(
            "verified",
            "Sign in once more",
            ("jwt_signature_invalid", "jwt_key_unknown", "id_token_aud_mismatch", "userinfo_sub_mismatch"),
            id="not-verified",
        ),
        pytest.param(
            "cannot use",
            "Sign in once more",
            ("token_answer_invalid", "token_refused", "userinfo_invalid", "jwe_decryption_failed"),
            id="not-usable",
        ),
    ],
)
def test_a_failed_sign_in_names_its_cause_and_a_next_step(title: str, advice: str, codes: tuple[str, ...]) -> None:
    for code in codes:
        assert title in PROBLEMS[code].title
        assert advice in PROBLEMS[code].advice


@pytest.mark.parametrize("code", PROBLEMS)
def test_texts_are_whole_and_say_nothing_technical(code: str) -> None:
    problem = PROBLEMS[code]
    assert not problem.title.endswith(".")
    assert problem.advice.endswith(".")
    shown = f"{problem.title} {problem.advice}".lower()
    assert not [word for word in ("nonce", "jwt", "signature", "at_hash", "audience", "redirect_uri") if word in shown]
