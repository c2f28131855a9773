"""Two providers, one evil: requests, answers and codes of one taken to the other (RFC 9700 4.4, RFC 9207)."""

from collections.abc import Callable

import pytest
from harness import ORIGIN, changed, error_code
from multi import (
    CLIENT_ID,
    EVIL,
    EVIL_CALLBACK,
    HONEST,
    HONEST_CALLBACK,
    WITH_AND_WITHOUT_ISS,
    Two,
    assert_harmless,
    faults,
    query_of,
    run_two,
    with_query,
)
from werkzeug.wrappers import Response

from gateway.testing import Faults


def redirected(target: Callable[[dict[str, str]], str], two: Two) -> None:
    """Let the evil authorization endpoint send the browser elsewhere; the target is made of what it was asked."""

    def elsewhere(name: str, response: Response) -> Response:
        if name == "authorize":
            response.headers["Location"] = target(two.evil.requests[-1])
        return response

    two.evil.faults = Faults(response=elsewhere)


@WITH_AND_WITHOUT_ISS
@pytest.mark.parametrize("signed_in", [pytest.param(True, id="signed-in"), pytest.param(False, id="fresh")])
def test_an_authorization_request_turned_to_the_honest_provider_ends_at_the_callback(
    response_iss: bool, signed_in: bool
) -> None:
    """RFC 9700 4.4: the honest provider answers with a code, which then belongs to no transaction of its own."""
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        if not signed_in:
            two.restarted()
        calls = dict(two.honest.calls)
        redirected(lambda asked: with_query(f"{HONEST}/authorize", {**asked, "redirect_uri": HONEST_CALLBACK}), two)

        page = two.browser.navigate(f"{ORIGIN}/evil/page")

        assert (page.url.partition("?")[0], page.status) == (HONEST_CALLBACK, 403)
        assert error_code(page) == "response_iss_mismatch"
        assert two.codes_of_honest()
        two.assert_evil_got_nothing()
        assert two.honest.calls["token.authorization_code"] == calls["token.authorization_code"]


@WITH_AND_WITHOUT_ISS
def test_metadata_that_name_the_honest_authorization_endpoint_bring_no_code_to_the_evil_one(response_iss: bool) -> None:
    """The redirect URI is the evil provider's own, which the honest one does not know, for all the same client_id."""
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        faults(two, discovery=changed(authorization_endpoint=f"{HONEST}/authorize"))
        two.restarted()

        page = two.browser.navigate(f"{ORIGIN}/evil/page")

        assert (page.status, page.url.partition("?")[0]) == (400, f"{HONEST}/authorize")
        assert query_of(page.url)["redirect_uri"] == EVIL_CALLBACK
        assert_harmless(two, page)


def test_a_careless_honest_provider_that_knows_every_callback_is_still_told_from_the_evil_one_by_iss() -> None:
    """RFC 9207: without the second redirect URI to tell them apart, `iss` does."""
    with run_two() as two:
        two.sign_in("/honest/page")
        client = two.honest.clients[0]
        client.redirect_uris.append(EVIL_CALLBACK)  # type: ignore[attr-defined]
        faults(two, discovery=changed(authorization_endpoint=f"{HONEST}/authorize"))
        two.restarted()

        page = two.browser.navigate(f"{ORIGIN}/evil/page")

        assert error_code(page) == "response_iss_mismatch"
        assert len(two.codes_of_honest()) == 2
        assert_harmless(two, page)


def to(callback: str, answer: dict[str, str], **changes: str) -> str:
    merged = {**answer, **changes}
    return with_query(callback, {name: value for name, value in merged.items() if value})


@WITH_AND_WITHOUT_ISS
def test_an_answer_of_the_honest_provider_at_the_evil_callback_is_refused_unspent(response_iss: bool) -> None:
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        two.restarted()
        answer = two.callback("/honest/page")

        page = two.browser.navigate(to(EVIL_CALLBACK, answer))

        assert error_code(page) == "response_iss_mismatch"
        assert_harmless(two, page)


@WITH_AND_WITHOUT_ISS
@pytest.mark.parametrize("iss", [EVIL, HONEST, ""])
def test_an_answer_of_the_evil_provider_at_the_honest_callback_is_refused(response_iss: bool, iss: str) -> None:
    """Whatever it says of its issuer, its state belongs to a transaction begun at the evil provider."""
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        two.restarted()
        answer = two.callback("/evil/page")
        calls = dict(two.honest.calls)

        page = two.browser.navigate(to(HONEST_CALLBACK, answer, iss=iss))

        assert error_code(page) == "response_iss_mismatch"
        assert dict(two.honest.calls) == calls
        assert_harmless(two, page)


@pytest.mark.parametrize(
    ("response_iss", "iss", "code"),
    [
        pytest.param(True, EVIL, "response_iss_mismatch", id="evil-iss"),
        pytest.param(True, "", "response_iss_missing", id="iss-left-out"),
        pytest.param(True, HONEST, "token_grant_invalid", id="honest-iss"),
        pytest.param(False, "", "token_grant_invalid", id="no-iss"),
        pytest.param(False, EVIL, "response_iss_mismatch", id="evil-iss-unasked"),
    ],
)
def test_a_code_of_the_evil_provider_in_an_answer_to_the_honest_login_opens_nothing(
    response_iss: bool, iss: str, code: str
) -> None:
    """The attacker sits at the browser: the state is known, the code is the evil provider's."""
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        two.restarted()
        evil_code = two.callback("/evil/page")["code"]
        answer = two.callback("/honest/page")

        page = two.browser.navigate(to(HONEST_CALLBACK, answer, code=evil_code, iss=iss))

        assert error_code(page) == code
        assert_harmless(two, page)


def test_a_code_of_the_honest_provider_in_an_answer_to_the_evil_login_is_known_by_its_iss() -> None:
    with run_two() as two:
        two.sign_in("/honest/page")
        two.restarted()
        stolen = two.callback("/honest/page")
        answer = two.callback("/evil/page")

        page = two.browser.navigate(to(EVIL_CALLBACK, answer, code=stolen["code"], iss=stolen["iss"]))

        assert error_code(page) == "response_iss_mismatch"
        assert_harmless(two, page)


@WITH_AND_WITHOUT_ISS
def test_an_error_of_the_evil_provider_does_not_end_the_honest_login(response_iss: bool) -> None:
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        two.restarted()
        honest = two.callback("/honest/page")
        evil = two.callback("/evil/page")

        page = two.browser.navigate(with_query(HONEST_CALLBACK, {"error": "access_denied", "state": evil["state"]}))
        assert error_code(page) == "response_iss_mismatch"
        assert_harmless(two, page)

        page = two.browser.navigate(to(HONEST_CALLBACK, honest))
        assert (page.status, page.url) == (200, f"{ORIGIN}/honest/page")


@WITH_AND_WITHOUT_ISS
def test_a_login_that_another_browser_began_is_not_completed_by_way_of_the_evil_provider(response_iss: bool) -> None:
    """The evil provider sends alice on with a request of the attacker's: she would be signed in as the attacker."""
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        attacker = two.new_browser()
        redirect = attacker.navigate(f"{ORIGIN}/honest/page", follow=False)
        redirected(lambda _: redirect.headers["Location"], two)
        spent = two.honest.calls["token.authorization_code"]
        two.restarted()

        callback = two.browser.navigate(f"{ORIGIN}/evil/page", follow=False)
        callback = two.browser.navigate(callback.headers["Location"], follow=False)
        callback = two.browser.navigate(callback.headers["Location"], follow=False)
        page = two.browser.navigate(callback.headers["Location"], follow=False)

        assert query_of(callback.headers["Location"])["state"] == query_of(redirect.headers["Location"])["state"]
        assert (page.status, query_of(page.headers["Location"])["client_id"]) == (303, CLIENT_ID)
        assert two.honest.calls["token.authorization_code"] == spent
        assert_harmless(two, page)


PUSHED = {"authorization": {"via": "pushed"}}


@WITH_AND_WITHOUT_ISS
def test_a_request_uri_of_the_honest_provider_is_good_for_nothing_at_the_evil_one(response_iss: bool) -> None:
    with run_two(honest=PUSHED, evil=PUSHED, response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        two.restarted()
        stolen = two.begin("/honest/page")["request_uri"]
        faults(two, pushed_response=lambda _, members: (201, {**members, "request_uri": stolen}))

        asked = two.begin("/evil/page")
        page = two.browser.navigate(with_query(f"{EVIL}/authorize", asked))
        assert asked == {"client_id": CLIENT_ID, "request_uri": stolen}
        assert page.status == 400
        assert_harmless(two, page)


@WITH_AND_WITHOUT_ISS
def test_a_request_uri_of_the_honest_provider_in_a_browser_brings_that_transaction_to_its_end_alone(
    response_iss: bool,
) -> None:
    """The evil provider answers a push with a request pushed to the honest one, and sends the browser there."""
    with run_two(honest=PUSHED, evil=PUSHED, response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        two.restarted()
        stolen = two.begin("/honest/page")["request_uri"]
        parameters = {"client_id": CLIENT_ID, "request_uri": stolen}
        faults(
            two,
            pushed_response=lambda _, members: (201, {**members, "request_uri": stolen}),
            discovery=changed(authorization_endpoint=f"{HONEST}/authorize"),
        )
        assert two.begin("/evil/page") == parameters

        page = two.browser.navigate(with_query(f"{HONEST}/authorize", parameters))

        assert (page.status, page.url) == (200, f"{ORIGIN}/honest/page")
        session = two.session()
        assert session is not None
        assert (session.provider, session.issuer, session.subject) == ("honest", HONEST, "alice")
        two.assert_evil_got_nothing()
