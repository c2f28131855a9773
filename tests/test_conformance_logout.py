"""Sign-outs that the provider tells of: the modules for RP-initiated, front-channel and back-channel logout."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from conformance.cases import covers
from conformance.judge import assert_proper
from conformance.logout import (
    BACK,
    BOTH,
    FRONT,
    Told,
    assert_answer,
    assert_framable,
    at_the_provider,
    by_frame,
    by_session,
    by_user,
    framed,
    run_told,
)
from harness import (
    ISSUER,
    NOW,
    SESSION,
    SIGN_OUT,
    SIGNED_OUT,
    Members,
    changed,
    held_session,
    is_signed_in,
    suffixed,
    without,
)

from gateway.oidc.logout_token import LOGOUT_EVENT, MAX_AGE_OF_IAT
from gateway.testing import Faults, with_altered_signature, without_signature
from gateway.testing.wsgi import exchange


@pytest.fixture
def told() -> Iterator[Told]:
    """Give a gateway that hears of logouts."""
    with run_told() as running:
        yield running


@pytest.mark.parametrize(
    "registered",
    [
        pytest.param({"backchannel_logout_uri": BACK}, id="back-channel"),
        pytest.param({"frontchannel_logout_uri": FRONT, "frontchannel_logout_session_required": True}, id="front"),
        pytest.param(BOTH, id="both"),
    ],
)
@covers("L1", verdict="OK")
def test_signing_out_here_signs_out_at_the_provider_and_comes_back(registered: dict[str, Any]) -> None:
    with run_told(**registered) as told:
        told.sign_in()
        id_token = held_session(told.site).id_token
        page = told.site.browser.navigate(SIGN_OUT)
        ended = next(one for one in told.site.browser.history if one.url.startswith(f"{ISSUER}/end_session"))
        if page.url.startswith(ISSUER):
            page = told.site.browser.submit()  # The page with the frames sends the browser on.

        asked = dict(parse_qsl(urlsplit(ended.url).query))
        assert (asked["id_token_hint"], asked["post_logout_redirect_uri"]) == (id_token, SIGNED_OUT)
        assert (page.status, urlsplit(page.url)._replace(query="").geturl()) == (200, SIGNED_OUT)
        assert dict(parse_qsl(urlsplit(page.url).query)) == {"state": asked["state"]}
        assert told.site.provider.logout_answers == [200] * ("backchannel_logout_uri" in registered)
        assert len(told.site.browser.frames) == ("frontchannel_logout_uri" in registered)
        assert not is_signed_in(told.site.browser)
        assert_proper(told.site)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: {"state": "a-random-state"}, id="L2", marks=covers("L2", verdict="OK")),
        pytest.param(lambda _: {"state": "https://evil.example/"}, id="L2-url", marks=covers("L2", verdict="OK")),
        pytest.param(lambda _: {}, id="L3", marks=covers("L3", verdict="OK")),
    ],
)
def test_a_return_without_our_state_only_says_that_it_is_over(
    told: Told, change: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    told.sign_in()
    told.site.provider.faults = Faults(end_session=change)
    told.site.browser.navigate(f"{SIGN_OUT}?rd=/home")
    page = told.site.browser.submit()

    assert (page.status, urlsplit(page.url).path) == (200, urlsplit(SIGNED_OUT).path)
    assert not is_signed_in(told.site.browser)


@covers("L4", verdict="OK")
def test_the_frame_of_our_own_sign_out_is_one_that_the_provider_may_show(told: Told) -> None:
    sid = told.sign_in()
    told.site.browser.navigate(SIGN_OUT)

    (frame,) = told.site.browser.frames
    assert frame.url == f"{FRONT}?{urlencode({'iss': ISSUER, 'sid': sid})}"
    assert_framable(frame)


@covers("L4", "L5", verdict="OK")
def test_a_frame_of_the_provider_ends_the_session(told: Told) -> None:
    told.assert_ended_by(by_frame)
    assert told.answers == []


@covers("L4", "L5", verdict="OK")
def test_the_frame_needs_no_cookie(told: Told) -> None:
    """Browsers that block third-party cookies send none; what we hold is found by `sid`."""
    sid = told.sign_in()
    (url,) = told.site.provider.frontchannel_urls(sid)
    answer = exchange(told.site.gateway, method="GET", url=url)

    assert (answer.status, "Cookie" in answer.headers.get("Vary", "")) == (200, False)
    assert not is_signed_in(told.site.browser)


@covers("L4", "L5", verdict="OK")
def test_a_query_that_the_address_had_is_kept_and_does_no_harm() -> None:
    uri = f"{FRONT}?tenant=%26one"
    with run_told(frontchannel_logout_uri=uri, frontchannel_logout_session_required=True) as told:
        sid = told.sign_in()
        (url,) = told.site.provider.frontchannel_urls(sid)
        assert url == f"{uri}&{urlencode({'iss': ISSUER, 'sid': sid})}"
        told.assert_ended_by(by_frame)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(lambda _: {}, id="neither-iss-nor-sid"),
        pytest.param(lambda _: {"iss": ISSUER}, id="iss-alone"),
        pytest.param(lambda sid: {"sid": sid}, id="sid-alone"),
        pytest.param(lambda sid: {"iss": "https://evil.example", "sid": sid}, id="wrong-iss"),
        pytest.param(lambda sid: {"iss": f"{ISSUER}/", "sid": sid}, id="iss-slash"),
        pytest.param(lambda sid: {"iss": ISSUER.upper(), "sid": sid}, id="iss-case"),
        pytest.param(lambda sid: {"iss": "", "sid": sid}, id="iss-empty"),
        pytest.param(lambda sid: {"iss": ISSUER, "sid": f"{sid}1"}, id="unknown-sid"),
        pytest.param(lambda _: {"iss": ISSUER, "sid": ""}, id="sid-empty"),
        pytest.param(lambda sid: {"iss": ISSUER, "sid": sid.swapcase()}, id="sid-case"),
        pytest.param(lambda _: {"iss": ISSUER, "sid": "x" * 5000}, id="sid-long"),
        pytest.param(lambda _: {"iss": ISSUER, "sid": "\ud7ff\0\n"}, id="sid-odd"),
        pytest.param(lambda sid: {"iss": [ISSUER, ISSUER], "sid": sid}, id="iss-twice"),
        pytest.param(lambda sid: {"iss": ISSUER, "sid": [sid, "x"]}, id="sid-twice"),
        pytest.param(lambda _: {"iss": ISSUER, "sub": "alice"}, id="sub-instead"),
    ],
)
@covers("L4", "L5", verdict="OK")
def test_a_frame_that_does_not_name_a_login_of_ours_ends_nothing(
    told: Told, query: Callable[[str], Mapping[str, Any]]
) -> None:
    """Any page can ask for it: without `iss` and `sid`, that would be a forced logout."""
    told.assert_ended_by(by_frame)
    sid = told.sign_in()
    framed(told, f"{FRONT}?{urlencode(query(sid), doseq=True)}")

    assert is_signed_in(told.site.browser)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(by_session, id="OP-initiated"),
        pytest.param(by_user, id="OP-initiated-user"),
        pytest.param(at_the_provider, id="at-the-provider"),
    ],
)
@covers("L6", verdict="200")
def test_a_logout_token_ends_the_session(told: Told, end: Callable[[Told, str], None]) -> None:
    told.assert_ended_by(end)

    (answer,) = told.answers
    assert_answer(answer, 200)
    assert_proper(told.site)


@covers("L6", verdict="200")
def test_the_cookie_of_a_session_that_was_ended_is_worthless_and_a_new_login_is_not(told: Told) -> None:
    sid = told.sign_in()
    old = told.site.browser
    by_session(told, sid)
    assert not is_signed_in(old)
    assert old.fetch(SESSION).json() == {"authenticated": False}

    told.sign_in()
    assert is_signed_in(told.site.browser)
    assert not is_signed_in(old)


def _other(event: str) -> Callable[[Members], Members]:
    return changed(events={event: {}})


def _old(claims: Members) -> Members:
    return {**claims, "iat": NOW - MAX_AGE_OF_IAT - 61, "exp": NOW + 120}


def _fault(name: str, faults: Faults, code: str) -> Any:
    marks = covers(name.partition("-")[0], verdict="400", code=code) if name.startswith("L") else ()
    return pytest.param(faults, code, id=name, marks=marks)


def _claims(name: str, change: Callable[[Members], Members], code: str) -> Any:
    return _fault(name, Faults(logout_token_claims=change), code)


def _header(name: str, change: Callable[[Members], Members], code: str) -> Any:
    return _fault(name, Faults(logout_token_header=change), code)


@pytest.mark.parametrize(
    ("faults", "code"),
    [
        _fault("L7-alg-none", Faults(logout_token=without_signature), "jwt_alg_refused"),
        _fault("L8-RS256-instead-of-ES256", Faults(logout_token_alg="RS256"), "jwt_alg_refused"),
        _fault("HS256-instead-of-ES256", Faults(logout_token_alg="HS256"), "jwt_alg_refused"),
        _claims("L9-iss", suffixed("iss", "INVALID"), "logout_token_iss_mismatch"),
        _claims("L10-aud", suffixed("aud", "INVALID"), "logout_token_aud_mismatch"),
        _claims("L11-no-events", without("events"), "logout_token_event_invalid"),
        _claims("L12-other-event", _other(f"{LOGOUT_EVENT}1"), "logout_token_event_invalid"),
        _claims("L13-nonce", changed(nonce="n"), "logout_token_nonce_refused"),
        _claims("no-iss", without("iss"), "logout_token_claim_invalid"),
        _claims("no-aud", without("aud"), "logout_token_claim_invalid"),
        _claims("no-iat", without("iat"), "logout_token_claim_invalid"),
        _claims("old-iat", _old, "logout_token_too_old"),
        _claims("expired", changed(exp=NOW - 60), "logout_token_expired"),
        _claims("no-jti", without("jti"), "logout_token_jti_invalid"),
        _claims("nobody", without("sub", "sid"), "logout_token_subject_missing"),
        _claims("sid-no-text", changed(sid=1), "logout_token_claim_invalid"),
        _header("typ", changed(typ="at+jwt"), "logout_token_type_refused"),
        _header("kid", changed(kid="another"), "logout_token_signature_invalid"),
        _fault("signature", Faults(logout_token=with_altered_signature), "logout_token_signature_invalid"),
    ],
)
def test_a_wrong_logout_token_is_answered_400_and_ends_nothing(told: Told, faults: Faults, code: str) -> None:
    told.site.provider.extra_signing_algs = ["RS256"]
    told.assert_ended_by(by_session)
    sid = told.sign_in()
    told.site.provider.faults = faults
    by_session(told, sid)

    honest, answer = told.answers
    assert_answer(honest, 200)
    assert_answer(answer, 400, code)
    assert is_signed_in(told.site.browser)


@covers("L8", verdict="400", code="jwt_alg_refused")
def test_the_algorithm_of_a_logout_token_is_that_of_id_tokens() -> None:
    with run_told({"provider": {"id_token_signed_response_alg": "RS256"}}) as told:
        told.site.provider.id_token_alg, told.site.provider.extra_signing_algs = "RS256", ["ES256"]
        told.assert_ended_by(by_session)
        sid = told.sign_in()
        told.site.provider.faults = Faults(logout_token_alg="ES256")
        by_session(told, sid)

        assert_answer(told.answers[-1], 400, "jwt_alg_refused")
        assert is_signed_in(told.site.browser)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(without("typ"), id="no-typ"),
        pytest.param(changed(typ="JWT"), id="JWT"),
        pytest.param(changed(typ="logout+jwt"), id="logout+jwt"),
        pytest.param(changed(typ="application/logout+jwt"), id="application"),
        pytest.param(without("kid"), id="no-kid"),
    ],
)
@covers("L6", verdict="200")
def test_the_headers_that_providers_send(told: Told, header: Callable[[Members], Members]) -> None:
    told.site.provider.faults = Faults(logout_token_header=header)
    told.assert_ended_by(by_session)
    assert_answer(told.answers[0], 200)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(without("exp"), id="no-exp"),
        pytest.param(lambda one: {**one, "aud": [one["aud"], "another"]}, id="second-aud"),
        pytest.param(without("sub"), id="sid-alone"),
        pytest.param(without("sid"), id="sub-alone"),
        pytest.param(changed(iat=NOW - MAX_AGE_OF_IAT), id="queued-for-ten-minutes"),
    ],
)
@covers("L6", verdict="200")
def test_unusual_and_still_right(told: Told, claims: Callable[[Members], Members]) -> None:
    told.site.provider.faults = Faults(logout_token_claims=claims)
    told.assert_ended_by(by_session)
    assert_answer(told.answers[0], 200)
