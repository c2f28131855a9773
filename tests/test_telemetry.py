"""What is told of requests, of sessions and of calls, whoever listens: on both faces, whatever becomes of a request."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication

import pytest
from harness import CLIENT_SECRET, ORIGIN, SECRET, SESSION_COOKIE, SIGN_OUT, Config, Mode, Site, held_session, run_site
from raw_origin import OK as ANSWER
from raw_origin import origin
from recording_telemetry import RecordingTelemetry, T

from gateway.telemetry import OK, Decision, Kind, Peer, Several, current_tag, tagged
from gateway.testing import Faults

ROUTES: Config = {
    "routes": [
        {"path": "/public/**", "access": "public"},
        {"path": "/staff/**", "require": {"claims": {"groups": ["nobody"]}}},
        {"path": "/strong/**", "require": {"acr": ["gold"]}},
        {"path": "/closed", "access": "deny"},
    ],
    "trusted_proxies": ["127.0.0.1"],
}
MODES = pytest.mark.parametrize("mode", ["wrapped", "upstream"])


@contextmanager
def told_site(mode: Mode, over: Config | None = None) -> Iterator[tuple[Site, RecordingTelemetry]]:
    telemetry = RecordingTelemetry()
    with run_site({**ROUTES, **(over or {})}, mode=mode, telemetry=telemetry) as site:
        yield site, telemetry


@pytest.mark.parametrize(
    ("path", "signed_in", "told"),
    [
        pytest.param("/home", True, ("/**", Decision.ALLOW, "", 200), id="allowed"),
        pytest.param("/public/x", False, ("/public/**", Decision.ALLOW, "", 200), id="public"),
        pytest.param("/home", False, ("/**", Decision.LOGIN, "", 401), id="no-session"),
        pytest.param("/staff/x", True, ("/staff/**", Decision.REFUSE, "access_denied", 403), id="refused"),
        pytest.param("/strong/x", True, ("/strong/**", Decision.STEP_UP, "", 401), id="too-weak"),
        pytest.param("/closed", False, ("/closed", Decision.REFUSE, "not_found", 404), id="closed"),
        pytest.param("/ping", False, ("/ping", Decision.ENDPOINT, "", 200), id="endpoint"),
        pytest.param(
            "/oauth2/start", False, ("/oauth2/start", Decision.ENDPOINT, "provider_unknown", 400), id="failed"
        ),
        pytest.param("/a//b", True, ("", Decision.REFUSE, "target_ambiguous", 400), id="malformed"),
    ],
)
@MODES
def test_one_word_of_each_request(mode: Mode, path: str, signed_in: bool, told: tuple[str, Decision, str, int]) -> None:
    with told_site(mode) as (site, telemetry):
        if signed_in:
            site.sign_in("/start-here")
        telemetry.requests.clear()
        site.browser.fetch(f"{ORIGIN}{path}?provider=none")
        served = telemetry.request(path)
        assert (served.route, served.decision, served.code, served.status) == told
        assert len(telemetry.requests) == 1
        assert bool(served.subject) == (signed_in and told[1] is not Decision.ENDPOINT and bool(told[0]))
        assert served.client == "127.0.0.1"
        assert (served.upstream != "") == (mode == "upstream" and told[1] is Decision.ALLOW)


@MODES
def test_the_inner_app_knows_a_request_by_the_same_id(mode: Mode) -> None:
    with told_site(mode) as (site, telemetry):
        site.sign_in()
        for given in ("", "from-the-proxy.1"):
            site.browser.fetch(ORIGIN + "/again", headers={"X-Request-ID": given} if given else {})
            served, seen = telemetry.request("/again"), site.received[-1].headers["x-request-id"]
            assert seen == served.tag.request_id
            assert seen == given or (not given and len(seen) == 16)
            telemetry.requests.clear()


@pytest.mark.parametrize(
    ("given", "over"),
    [
        pytest.param("a b", {}, id="space"),
        pytest.param("x" * 129, {}, id="too-long"),
        pytest.param("é", {}, id="not-ascii"),
        pytest.param("forged", {"trusted_proxies": []}, id="not-from-a-proxy"),
    ],
)
@MODES
def test_an_id_that_is_nobodys_to_give_is_replaced(mode: Mode, given: str, over: Config) -> None:
    with told_site(mode, over) as (site, telemetry):
        site.sign_in()
        site.browser.fetch(ORIGIN + "/again", headers={"X-Request-ID": given})
        assert telemetry.request("/again").tag.request_id != given
        assert given not in site.received[-1].headers["x-request-id"]


def test_the_reference_on_a_page_is_the_id_of_the_request() -> None:
    with told_site("wrapped") as (site, telemetry):
        site.sign_in()
        page = site.browser.fetch(ORIGIN + "/staff/x")
        assert telemetry.request("/staff/x").tag.request_id in page.text


class TagsOfLines(logging.Handler):
    """Keeps by which tag each line was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "upstream_answer_invalid" in record.getMessage():
            self.ids.append(current_tag().request_id)


@pytest.fixture
def tags() -> Iterator[TagsOfLines]:
    handler = TagsOfLines()
    logging.getLogger("gateway").addHandler(handler)
    yield handler
    logging.getLogger("gateway").removeHandler(handler)


@pytest.mark.parametrize("first", ["OPTIONS", "GET"])
def test_a_line_about_a_request_is_known_by_its_id_whoever_opened_the_connection(first: str, tags: TagsOfLines) -> None:
    telemetry = RecordingTelemetry()
    with origin([ANSWER, b"no answer\r\n\r\n"]) as raw:
        routes = [{"path": "/**", "access": "public", "upstream": raw.url}]
        with run_site({"routes": routes}, telemetry=telemetry) as site:
            site.browser.fetch(f"{ORIGIN}/first", method=first)
            assert site.browser.fetch(f"{ORIGIN}/second", method="POST").status == 502
            assert tags.ids == [telemetry.request("/second").tag.request_id]


def in_pieces(_: dict[str, Any], start_response: StartResponse) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield from (b"one", b"two")


def as_a_list(_: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [b"one", b"two"]


def written(_: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    write = start_response("200 OK", [])
    write(b"one")
    return [b"two"]


@pytest.mark.parametrize("app", [in_pieces, as_a_list, written])
def test_what_an_app_sends_is_counted_in_whatever_way_it_does(app: WSGIApplication) -> None:
    telemetry = RecordingTelemetry()
    with run_site(ROUTES, app=app, telemetry=telemetry) as site:
        assert site.browser.fetch(f"{ORIGIN}/public/x").text.endswith("two")
        assert telemetry.request("/public/x").sent == 6


def test_a_request_whose_app_fails_is_told_of() -> None:
    def failing(_: dict[str, Any], __: StartResponse) -> list[bytes]:
        raise ZeroDivisionError

    telemetry = RecordingTelemetry()
    with run_site(ROUTES, app=failing, telemetry=telemetry) as site:
        with suppress(ZeroDivisionError):  # Of a wrapped app, it is the server's to answer.
            site.browser.fetch(f"{ORIGIN}/public/x")
        assert telemetry.request("/public/x").status == 500


def sign_in(site: Site) -> None:
    site.sign_in()


def sign_in_in_vain(site: Site) -> None:
    site.provider.faults = Faults(id_token_claims=lambda claims: {**claims, "nonce": "another"})
    assert site.browser.navigate(ORIGIN + "/home").status == 403


def refresh(site: Site) -> None:
    site.sign_in()
    site.clock.advance(250)
    assert site.browser.fetch(ORIGIN + "/home").status == 200


def refresh_in_vain(site: Site) -> None:
    site.sign_in()
    site.provider.faults = Faults(token_response=lambda _, __: (400, {"error": "invalid_grant"}))
    site.clock.advance(250)
    assert site.browser.fetch(ORIGIN + "/home").status == 401


def sign_out(site: Site) -> None:
    site.sign_in()
    site.browser.fetch(SIGN_OUT, method="POST", headers={"Accept": "text/html"})


def be_refused(site: Site) -> None:
    site.sign_in()
    assert site.browser.fetch(ORIGIN + "/staff/x").status == 403


def be_too_weak(site: Site) -> None:
    site.sign_in()
    assert site.browser.fetch(ORIGIN + "/strong/x").status == 401


@pytest.mark.parametrize(
    ("happens", "kind", "told"),
    [
        pytest.param(sign_in, Kind.LOGIN, (OK, ""), id="login"),
        pytest.param(sign_in_in_vain, Kind.LOGIN, ("id_token_nonce_mismatch", ""), id="failed-login"),
        pytest.param(refresh, Kind.REFRESH, (OK, ""), id="refresh"),
        pytest.param(refresh_in_vain, Kind.REFRESH, ("token_grant_invalid", ""), id="failed-refresh"),
        pytest.param(refresh_in_vain, Kind.LOGOUT, (OK, "provider"), id="ended-by-the-provider"),
        pytest.param(sign_out, Kind.LOGOUT, (OK, "sign_out"), id="sign-out"),
        pytest.param(be_refused, Kind.REFUSAL, ("access_denied", ""), id="refusal"),
        pytest.param(be_too_weak, Kind.STEP_UP, (OK, ""), id="step-up"),
    ],
)
@MODES
def test_what_happens_to_a_session_is_told_once(
    mode: Mode, happens: Callable[[Site], None], kind: Kind, told: tuple[str, str]
) -> None:
    with told_site(mode) as (site, telemetry):
        happens(site)
        assert [(event.outcome, event.way) for event in telemetry.of(kind)] == [told]
        assert telemetry.of(kind)[0].provider == "default"


def test_calls_are_told_by_what_they_are_for() -> None:
    with told_site("upstream") as (site, telemetry):
        site.sign_in()
        telemetry.request("/home", 200)
        asked = [("discovery", OK), ("jwks", OK), ("code", OK), ("userinfo", OK)]
        assert sorted(telemetry.operations(Peer.PROVIDER)) == sorted(asked)
        assert ("claim", OK) in telemetry.operations(Peer.STORE)
        assert telemetry.operations(Peer.UPSTREAM) == [("GET", OK)]


def test_no_secret_is_told() -> None:
    with told_site("upstream") as (site, telemetry):
        site.sign_in()
        session, cookie = held_session(site), site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]
        sign_out(site)
        told = repr([telemetry.requests, telemetry.events, telemetry.calls])
        secrets = (cookie, session.access_token, session.refresh_token, session.id_token, SECRET, CLIENT_SECRET)
        assert [secret for secret in secrets if str(secret) in told] == []


class Broken(RecordingTelemetry):
    def _keep(self, kept: list[T], one: T) -> None:
        raise RuntimeError(f"a full disk, say: {one} after {len(kept)}")


def test_what_one_cannot_take_the_others_are_told() -> None:
    telemetry = RecordingTelemetry()
    with run_site(ROUTES, telemetry=Several([Broken(), telemetry])) as site:
        site.sign_in()
        assert telemetry.request("/home", 200)
        assert telemetry.of(Kind.LOGIN)


def test_a_tag_is_of_one_block_alone() -> None:
    with told_site("wrapped") as (site, telemetry):
        site.browser.fetch(ORIGIN + "/ping")
        with tagged(telemetry.request("/ping").tag):
            assert current_tag().request_id
        assert not current_tag().request_id
