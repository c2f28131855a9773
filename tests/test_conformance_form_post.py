"""The Form Post plan: all modules of the Basic plan once more, the answer being posted from the provider's site."""

from urllib.parse import urlencode

import pytest
from conformance.cases import Refused, accepted, covers, for_plan, refused
from conformance.id_token_faults import CLAIM_FAULTS
from conformance.judge import arrive, assert_refused, sign_in
from conformance.set_ups import OwnFiles, SetUp, run_set_up
from harness import CALLBACK, ISSUER, ORIGIN, SESSION, changed, error_code, suffixed, without
from werkzeug import Response

from gateway.testing import Faults, with_altered_signature, without_signature
from gateway.testing.forms import read_forms
from gateway.testing.pages import form_post_page

FORM_POST = SetUp(name="form_post", config={"authorization": {"response_mode": "form_post"}})
RS256 = FORM_POST.but(id_token_signed_response_alg="RS256")


@covers("F1", "F14", verdict="OK")
def test_the_answer_is_a_post_from_another_site(own_files: OwnFiles) -> None:
    with run_set_up(FORM_POST, own_files) as site:
        form = site.browser.navigate(f"{ORIGIN}/home")
        assert (form.status, form.url.partition("?")[0]) == (200, f"{ISSUER}/authorize")
        answer = site.browser.submit(follow=False)
        cookies = [line for page in site.browser.history for line in page.headers.getlist("Set-Cookie")]

        assert (answer.url, answer.status) == (CALLBACK, 303)
        # A cookie that is Lax would not have come along with the POST.
        assert all("SameSite=None" in line for line in cookies if line.startswith("__Host-gateway-tx-"))
        assert any(line.startswith("__Host-gateway-tx-") for line in cookies)
        assert site.browser.navigate(f"{ORIGIN}/home").text == "hello alice"


@pytest.mark.parametrize("case", for_plan("F", CLAIM_FAULTS, lambda row: Faults(id_token_claims=row.claims), "X-idt"))
def test_a_wrong_id_token_signs_nobody_in(caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused) -> None:
    with run_set_up(FORM_POST, own_files) as site:
        assert_refused(site, caplog, case)


def _with_the_answer_in_the_query(page: Response) -> Response:
    form = read_forms(page.get_data(as_text=True))[0]
    return form_post_page(f"{form.action}?{urlencode(form.fields)}", {})


@pytest.mark.parametrize(
    "case",
    [
        refused("F9-alg-none", Faults(id_token=without_signature), "jwt_alg_refused"),
        refused("F11-userinfo-sub", Faults(userinfo=suffixed("sub", "invalid")), "userinfo_sub_mismatch", "X-ui"),
        refused(
            "iss-of-the-response",
            Faults(authorization_response=lambda one: {**one, "iss": one["iss"] + "1"}),
            "response_iss_mismatch",
            "X-az",
        ),
        refused(
            "state",
            Faults(authorization_response=lambda one: {**one, "state": "another"}),
            "transaction_missing",
            "X-az",
            status=400,
        ),
        refused(
            "query-of-the-post",
            Faults(response=lambda name, real: _with_the_answer_in_the_query(real) if name == "authorize" else real),
            "response_state_missing",
            "X-az",
            status=400,
        ),
        refused("in-the-query", Faults(response_mode=lambda _: "query"), "response_mode_mismatch", "X-az", status=400),
    ],
)
def test_a_wrong_answer_signs_nobody_in(caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused) -> None:
    with run_set_up(FORM_POST, own_files) as site:
        assert_refused(site, caplog, case)


@pytest.mark.parametrize(
    "case", [refused("F10-rs256", Faults(id_token=with_altered_signature), "jwt_signature_invalid", refetch=True)]
)
def test_an_altered_signature_signs_nobody_in(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    with run_set_up(RS256, own_files) as site:
        site.provider.id_token_alg = "RS256"
        assert_refused(site, caplog, case)


@pytest.mark.parametrize(
    "kid_mode",
    [
        pytest.param("named", id="F8-named", marks=covers("F8", verdict="OK")),
        pytest.param("absent_single", id="F6-one-key", marks=covers("F6", verdict="OK")),
        pytest.param("absent_several", id="F7-many-keys", marks=covers("F7", verdict="OK")),
    ],
)
def test_rs256_signs_in_with_a_kid_and_without(own_files: OwnFiles, kid_mode: str) -> None:
    with run_set_up(RS256, own_files) as site:
        site.provider.id_token_alg = "RS256"
        site.provider.kid_mode = kid_mode  # type: ignore[assignment]
        sign_in(site)


@pytest.mark.parametrize(
    "faults",
    [
        accepted("aud-as-array", Faults(id_token_claims=changed(aud=["app %&+"]))),
        accepted("no-at_hash", Faults(id_token_claims=without("at_hash"))),
    ],
)
def test_an_unusual_answer_signs_in(own_files: OwnFiles, faults: Faults) -> None:
    with run_set_up(FORM_POST, own_files) as site:
        site.provider.faults = faults
        sign_in(site)


@covers("F13", verdict="OK")
def test_the_claims_of_the_scopes_come_from_userinfo(own_files: OwnFiles) -> None:
    with run_set_up(FORM_POST, own_files) as site:
        sign_in(site)
        assert site.browser.fetch(SESSION).json()["claims"]["phone_number"] == "+1 555 0100"


_LOGIN_REQUIRED = Faults(
    authorization_response=lambda one: {"error": "login_required", "state": one["state"], "iss": one["iss"]}
)


@pytest.mark.parametrize("case", [refused("FX-login_required", _LOGIN_REQUIRED, "op_interaction_required", "X-az")])
def test_an_error_that_is_posted_ends_in_a_page(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    with run_set_up(FORM_POST, own_files) as site:
        assert_refused(site, caplog, case)
        assert site.provider.calls["authorize"] == 2


@covers("FX", verdict="X-az", code="op_interaction_required")
def test_a_silent_login_that_fails_is_tried_once_more_aloud_and_then_ends_in_a_page(own_files: OwnFiles) -> None:
    with run_set_up(FORM_POST.but(start_parameters=["prompt", "max_age"]), own_files) as site:
        silent = f"{ORIGIN}/oauth2/start?prompt=none&max_age=0"
        site.browser.navigate(silent)
        assert {"prompt": "none", "max_age": "0"}.items() <= site.provider.requests[-1].items()
        assert "login_required" in site.browser.history[-1].text  # That is how the provider answers such a request.

        site.restarted().provider.faults = _LOGIN_REQUIRED
        asked = site.provider.calls["authorize"]
        page = arrive(site, silent)

        assert (page.status, error_code(page)) == (403, "op_interaction_required")
        assert site.provider.calls["authorize"] == asked + 2
        assert "prompt" not in site.provider.requests[-1]
        assert site.provider.calls["token.authorization_code"] == 0
