"""Back-channel logout beyond the modules: what may be posted, how often, and which sessions end."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlencode

import pytest
from conformance.cases import covers
from conformance.judge import sign_in
from conformance.logout import (
    APP,
    BACK,
    FORM,
    FRONT,
    Told,
    assert_answer,
    by_frame,
    by_session,
    form_of,
    run_told,
    three_sessions,
)
from harness import ISSUER, ORIGIN, held_session, is_signed_in, without
from multi import CLIENT_ID, HONEST, run_two

from gateway.config import parse_settings
from gateway.oidc.logout_token import MAX_AGE_OF_IAT
from gateway.testing import Browser, FakeProvider, Faults
from gateway.testing.wsgi import Exchange, exchange


@pytest.fixture
def told() -> Iterator[Told]:
    """Give a gateway that hears of logouts."""
    with run_told() as running:
        yield running


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        pytest.param(lambda _: b"", {}, id="empty"),
        pytest.param(lambda good: good.replace(b"logout_token", b"id_token"), {}, id="missing"),
        pytest.param(lambda good: good + b"&" + good, {}, id="doubled"),
        pytest.param(lambda good: good + b"&logout_token=", {}, id="doubled-by-an-empty-one"),
        pytest.param(lambda good: good + b"&x=" + b"x" * 200_000, {}, id="oversized"),
        pytest.param(lambda good: good, {"Content-Type": "application/json"}, id="another-type"),
        pytest.param(lambda good: good, {"Content-Type": "multipart/form-data; boundary=x"}, id="multipart"),
        pytest.param(lambda good: good, {"Content-Type": ""}, id="no-type"),
        pytest.param(lambda good: good.partition(b"=")[2], {"Content-Type": "application/jwt"}, id="token-alone"),
    ],
)
def test_a_body_that_is_no_form_with_one_logout_token_is_answered_400(
    told: Told, form: Callable[[bytes], bytes], headers: dict[str, str]
) -> None:
    told.assert_ended_by(by_session)
    sid = told.sign_in()
    good = form_of(told.site.provider.logout_token(APP, subject="alice", sid=sid))
    assert_answer(told.post(form(good), headers=headers), 400, "parameter_refused")
    assert is_signed_in(told.site.browser)

    assert_answer(told.post(good), 200)
    assert not is_signed_in(told.site.browser)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda _: "x", id="no-JWS"),
        pytest.param(lambda one: one.rpartition(".")[0], id="two-parts"),
        pytest.param(lambda one: f"{one}.", id="four-parts"),
    ],
)
def test_a_text_that_is_no_token_is_answered_400(told: Told, token: Callable[[str], str]) -> None:
    sid = told.sign_in()
    honest = told.site.provider.logout_token(APP, subject="alice", sid=sid)
    assert_answer(told.post(form_of(token(honest))), 400, "jwt_malformed")
    assert is_signed_in(told.site.browser)

    assert_answer(told.post(form_of(honest)), 200)


def test_an_id_token_is_no_logout_token(told: Told) -> None:
    told.sign_in()
    answer = told.post(form_of(str(held_session(told.site).id_token)))

    assert_answer(answer, 400, "logout_token_jti_invalid")
    assert is_signed_in(told.site.browser)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_logout_tokens_are_posted(told: Told, method: str) -> None:
    """2.5."""
    sid = told.sign_in()
    form = form_of(told.site.provider.logout_token(APP, subject="alice", sid=sid))
    headers = {"Content-Type": FORM}.items()
    asked = exchange(told.site.gateway, method=method, url=f"{BACK}?{form.decode('ascii')}", headers=headers, body=form)

    assert asked.status == 405
    assert is_signed_in(told.site.browser)
    assert_answer(told.post(form), 200)
    assert not is_signed_in(told.site.browser)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, id="another-site"),
        pytest.param({"Origin": "null"}, id="no-origin"),
        pytest.param({"Cookie": "__Host-gateway=x"}, id="a-cookie"),
        pytest.param({"Content-Type": "Application/X-WWW-Form-URLencoded; charset=UTF-8"}, id="charset"),
    ],
)
def test_the_token_is_the_only_proof(told: Told, headers: dict[str, str]) -> None:
    sid = told.sign_in()
    form = form_of(told.site.provider.logout_token(APP, subject=None, sid=sid))
    assert_answer(told.post(form, headers=headers), 200)
    assert not is_signed_in(told.site.browser)


def test_a_logout_token_is_good_once(told: Told) -> None:
    sid = told.sign_in()
    form = form_of(told.site.provider.logout_token(APP, subject="alice", sid=sid))
    assert_answer(told.post(form), 200)
    told.sign_in()
    assert_answer(told.post(form), 400, "logout_token_repeated")
    assert is_signed_in(told.site.browser)

    told.site.clock.advance(MAX_AGE_OF_IAT + 61)
    told.site.provider.faults = Faults()
    assert_answer(told.post(form), 400, "logout_token_too_old")


def test_a_logout_token_that_was_refused_may_come_again(told: Told) -> None:
    """The provider sends it once more when it could not be checked."""
    sid = told.sign_in()
    told.site.provider.rotate_keys()
    form = form_of(told.site.provider.logout_token(APP, subject="alice", sid=sid))
    told.site.provider.down = True
    assert told.post(form).status != 200
    assert is_signed_in(told.site.browser)

    told.site.provider.down = False
    told.site.clock.advance(60)
    assert_answer(told.post(form), 200)
    assert not is_signed_in(told.site.browser)


def test_keys_that_were_replaced_are_fetched_once_more(told: Told) -> None:
    sid = told.sign_in()
    fetched = told.site.provider.calls["jwks"]
    told.site.provider.rotate_keys()
    by_session(told, sid)

    assert_answer(told.answers[-1], 200)
    assert told.site.provider.calls["jwks"] == fetched + 1
    assert not is_signed_in(told.site.browser)


@pytest.mark.parametrize(
    ("subject", "sid"),
    [
        pytest.param("nobody", None, id="subject"),
        pytest.param(None, "no such sid", id="sid"),
        pytest.param("alice", "no such sid", id="sid-of-a-subject-that-is-known"),
        pytest.param("nobody", "no such sid", id="both"),
        pytest.param("ALICE", None, id="subject-in-another-case"),
    ],
)
@covers("L6", verdict="200")
def test_a_logout_of_somebody_unknown_is_done(told: Told, subject: str | None, sid: str | None) -> None:
    """2.8: who is signed out already is signed out."""
    told.sign_in()
    assert_answer(told.send(subject=subject, sid=sid), 200)
    assert is_signed_in(told.site.browser)


@pytest.mark.parametrize(
    ("subject", "by_sid", "signed_in"),
    [
        pytest.param("alice", True, (False, True, True), id="sub-and-sid-end-one-session"),
        pytest.param(None, True, (False, True, True), id="sid-ends-one-session"),
        pytest.param("alice", False, (False, False, True), id="sub-ends-all-of-the-user"),
        pytest.param("bob", False, (True, True, False), id="sub-of-another-user"),
    ],
)
def test_which_sessions_end(told: Told, subject: str | None, by_sid: bool, signed_in: tuple[bool, bool, bool]) -> None:
    """2.4."""
    browsers = three_sessions(told)
    assert_answer(told.send(subject=subject, sid=browsers.sid if by_sid else None), 200)
    assert browsers.signed_in == signed_in


@pytest.mark.parametrize(
    ("subject", "signed_in"),
    [
        pytest.param("alice", False, id="of-that-user"),
        pytest.param("bob", True, id="of-another-user"),
        pytest.param(None, True, id="nobody-is-named"),
    ],
)
def test_a_session_whose_login_named_no_sid_ends_with_any_of_the_user(
    told: Told, subject: str | None, signed_in: bool
) -> None:
    told.site.provider.faults = Faults(id_token_claims=without("sid"), refreshed_id_token_claims=without("sid"))
    sign_in(told.site)
    assert_answer(told.send(subject=subject, sid="a sign-in of the provider"), 200)
    assert is_signed_in(told.site.browser) is signed_in


@pytest.mark.parametrize("by_sid", [pytest.param(True, id="sid"), pytest.param(False, id="sub")])
def test_a_session_that_begins_afterwards_lives(told: Told, by_sid: bool) -> None:
    sid = told.sign_in()
    assert_answer(told.send(subject="alice", sid=sid if by_sid else None), 200)
    assert not is_signed_in(told.site.browser)

    told.site.clock.advance(1)
    told.sign_in()
    assert is_signed_in(told.site.browser)
    told.site.clock.advance(300)
    assert is_signed_in(told.site.browser)  # Also after its tokens were renewed.


@pytest.mark.parametrize("end", [pytest.param(by_session, id="back"), pytest.param(by_frame, id="front")])
def test_a_worker_trusts_its_own_copy_for_no_longer_than_it_may(end: Callable[[Told, str], None]) -> None:
    with run_told({"session": {"local_cache": 5}}) as told:
        sid = told.sign_in()
        assert is_signed_in(told.site.browser)
        end(told, sid)
        told.site.clock.advance(5)
        assert not is_signed_in(told.site.browser)


def test_each_of_several_providers_ends_its_own_sessions_alone() -> None:
    """An evil provider knows the `sid` and `sub` of the honest one's users, and our client_id there."""
    with run_two() as two:
        two.sign_in()
        session = two.session()
        assert session is not None
        sid = str(session.claims["sid"])

        def post(end: str, provider: FakeProvider) -> Exchange:
            form = form_of(provider.logout_token(CLIENT_ID, subject=session.subject, sid=sid))
            headers = {"Content-Type": FORM}.items()
            return exchange(two.gateway, method="POST", url=f"{BACK}{end}", headers=headers, body=form)

        assert_answer(post("/honest", two.evil), 400, "logout_token_signature_invalid")
        assert_answer(post("/evil", two.honest), 400, "logout_token_signature_invalid")
        assert_answer(post("/evil", two.evil), 200)
        frame = f"{FRONT}/evil?{urlencode({'iss': HONEST, 'sid': sid})}"
        assert exchange(two.gateway, method="GET", url=frame).status == 200
        assert post("", two.honest).status == 401  # No endpoint of ours: the rules for any path apply.
        assert two.session() is not None
        assert is_signed_in_at(two.browser, "/honest/data")

        assert_answer(post("/honest", two.honest), 200)
        assert not is_signed_in_at(two.browser, "/honest/data")


def is_signed_in_at(browser: Browser, path: str) -> bool:
    """Tell whether a script's request to a page of a provider passes."""
    return browser.fetch(ORIGIN + path).status == 200


_PROVIDER: Final = {"issuer": ISSUER, "client_id": "app", "client_secret": "secret"}
_SECRET: Final = {"session": {"secret": "the secret of the gateway, thirty-two characters and more"}}


@pytest.mark.parametrize(
    ("config", "addresses"),
    [
        pytest.param({"provider": _PROVIDER}, {"default": (BACK, FRONT)}, id="one"),
        pytest.param(
            {"provider": _PROVIDER, "prefix": "/auth"},
            {"default": (f"{ORIGIN}/auth/backchannel-logout", f"{ORIGIN}/auth/frontchannel-logout")},
            id="prefix",
        ),
        pytest.param(
            {"providers": {"a": _PROVIDER, "b": {**_PROVIDER, "issuer": "https://b.example"}}},
            {"a": (f"{BACK}/a", f"{FRONT}/a"), "b": (f"{BACK}/b", f"{FRONT}/b")},
            id="several",
        ),
    ],
)
def test_the_addresses_that_we_register(config: Mapping[str, object], addresses: Mapping[str, tuple[str, str]]) -> None:
    settings = parse_settings({"public_url": ORIGIN, **_SECRET, **config}, {})
    clients = {name: one.client for name, one in settings.providers.items()}
    found = {name: (one.backchannel_logout_uri, one.frontchannel_logout_uri) for name, one in clients.items()}
    assert found == addresses


def test_without_openid_connect_there_is_nothing_to_tell() -> None:
    endpoints = {name: f"{ISSUER}/{name}" for name in ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")}
    oauth2 = {**_PROVIDER, "type": "oauth2", "subject_claim": "id", "scope": "user", "metadata": endpoints}
    client = parse_settings({"public_url": ORIGIN, **_SECRET, "provider": oauth2}, {}).providers["default"].client
    assert (client.backchannel_logout_uri, client.frontchannel_logout_uri) == ("", "")
