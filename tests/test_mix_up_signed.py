"""Two providers, one evil: what it signs and brings through the browser is none of the honest one's."""

import pytest
from harness import ORIGIN, Members, changed, error_code
from multi import (
    CLIENT_ID,
    EVIL,
    EVIL_CALLBACK,
    HONEST,
    HONEST_CALLBACK,
    WITH_AND_WITHOUT_ISS,
    Two,
    assert_harmless,
    honest_kid,
    run_two,
    with_query,
)

from gateway.testing.jws import left_half_hash, read_compact

SIGNED_ANSWER = {"authorization": {"response_mode": "query.jwt"}}


def jarm(two: Two, *, iss: str, code: str, state: str, kid: str = "") -> str:
    claims: Members = {"iss": iss, "aud": CLIENT_ID, "exp": two.evil.now + 300, "code": code, "state": state}
    header = changed(kid=kid) if kid else None
    return two.evil.sign(claims, client_id=CLIENT_ID, alter_header=header)


@pytest.mark.parametrize(
    ("callback", "iss", "kid", "code"),
    [
        pytest.param(HONEST_CALLBACK, HONEST, False, "jwt_key_unknown", id="own-kid"),
        pytest.param(HONEST_CALLBACK, HONEST, True, "jwt_signature_invalid", id="honest-kid"),
        pytest.param(HONEST_CALLBACK, EVIL, True, "response_iss_mismatch", id="evil-iss"),
        pytest.param(EVIL_CALLBACK, HONEST, False, "response_iss_mismatch", id="evil-callback"),
    ],
)
def test_an_answer_signed_by_the_evil_provider_is_none_to_the_honest_login(
    callback: str, iss: str, kid: bool, code: str
) -> None:
    with run_two(honest=SIGNED_ANSWER, evil=SIGNED_ANSWER) as two:
        two.sign_in("/honest/page")
        two.restarted()
        asked = two.begin("/honest/page")
        evil_code = read_compact(two.callback("/evil/page")["response"]).claims["code"]
        forged = jarm(two, iss=iss, code=str(evil_code), state=asked["state"], kid=honest_kid(two) if kid else "")

        page = two.browser.navigate(with_query(callback, {"response": forged}))

        assert error_code(page) == code
        assert_harmless(two, page)


HYBRID = {"authorization": {"response_type": "code id_token"}}


@WITH_AND_WITHOUT_ISS
@pytest.mark.parametrize(("kid", "code"), [(False, "jwt_key_unknown"), (True, "jwt_signature_invalid")])
def test_an_id_token_signed_by_the_evil_provider_does_not_come_with_an_honest_code(
    response_iss: bool, kid: bool, code: str
) -> None:
    with run_two(honest=HYBRID, evil=HYBRID, response_iss=response_iss) as two:
        two.browser.navigate(f"{ORIGIN}/honest/page")
        assert two.browser.submit().url == f"{ORIGIN}/honest/page"
        two.restarted()
        asked = two.begin("/honest/page")
        evil_code = "of the evil provider"
        claims: Members = {
            "iss": HONEST, "aud": CLIENT_ID, "sub": "alice", "nonce": asked["nonce"], "iat": two.evil.now,
            "exp": two.evil.now + 300, "c_hash": left_half_hash(evil_code, "ES256"),
        }  # fmt: skip
        header = changed(kid=honest_kid(two)) if kid else None
        forged = two.evil.sign(claims, client_id=CLIENT_ID, alter_header=header)
        form = {"code": evil_code, "id_token": forged, "state": asked["state"], "iss": HONEST}

        page = two.browser.post(HONEST_CALLBACK, form, headers={"Accept": "text/html", "Origin": HONEST})

        assert error_code(page) == code
        assert_harmless(two, page)
