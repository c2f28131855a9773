"""The fake provider ends sessions and tells its clients (Back-Channel Logout 1.0, Front-Channel Logout 1.0)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from wsgiref.types import WSGIApplication

import pytest
from werkzeug.wrappers import Request, Response

from gateway.oidc.logout_token import LogoutToken, check_logout_token
from gateway.oidc.messages import json_object
from gateway.oidc.metadata import discovery_call
from gateway.oidc.protected import open_signed
from gateway.oidc.registration import registration_call
from gateway.testing import Browser, Faults, without_signature
from gateway.testing.jws import read_compact
from testing.relying_party import HOSTILE_ID, ISSUER, NOW, SIGNED_OUT, RelyingParty, relying_party

BACK = "https://app.example/oauth2/backchannel-logout"
FRONT = "https://app.example/oauth2/frontchannel-logout?tenant=%26one"


class Post:
    """What the provider posted, and the status that it is answered."""

    def __init__(self, status: int = 200) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.status = status

    def __call__(self, url: str, body: bytes) -> int:
        self.sent.append((url, dict(parse_qsl(body.decode("ascii"), strict_parsing=True))))
        return self.status

    @property
    def claims(self) -> list[dict[str, object]]:
        return [read_compact(form["logout_token"]).claims for _, form in self.sent]


def told_party(post: Post | None = None, **registered: Any) -> RelyingParty:
    """A relying party that wants to hear of logouts, by whatever is registered."""
    party = relying_party(id_token_alg="ES256")
    party.provider.clients = [replace(party.provider.clients[0], **registered)]
    party.provider.logout_transport = post
    return party


def framing_party(**registered: Any) -> tuple[RelyingParty, list[Request]]:
    """A relying party that wants to hear of logouts in a frame, and what its app was asked there."""
    party, loaded = told_party(frontchannel_logout_uri=FRONT, **registered), list[Request]()

    @Request.application
    def app(request: Request) -> Response:
        if "frontchannel" in request.path:
            loaded.append(request)
        return Response("framed")

    apps: dict[str, WSGIApplication] = {"https://op.example": party.provider, "https://app.example": app}
    return replace(party, browser=Browser(apps, clock=party.provider.clock)), loaded


def checked(party: RelyingParty, raw: str) -> LogoutToken:
    token = open_signed(raw, party.client.id_token, party.client)
    return check_logout_token(token, party.keys(), issuer=ISSUER, client=party.client, now=NOW)


def test_the_metadata_say_that_logouts_are_told() -> None:
    metadata = json_object(told_party().provider.transport(discovery_call(ISSUER)))
    named = {name: value for name, value in metadata.items() if "channel_logout" in name}
    assert named == dict.fromkeys(
        (
            "backchannel_logout_supported",
            "backchannel_logout_session_supported",
            "frontchannel_logout_supported",
            "frontchannel_logout_session_supported",
        ),
        True,
    )


def by_the_user(party: RelyingParty, sid: str) -> None:
    tokens, login = party.login()
    assert login.claims["sid"] == sid  # The same sign-in.
    party.browser.navigate(party.end_session_url(tokens))


def by_session(party: RelyingParty, sid: str) -> None:
    party.provider.end_sid(sid)


ENDINGS = pytest.mark.parametrize(
    "end", [pytest.param(by_the_user, id="RP-initiated"), pytest.param(by_session, id="OP-initiated")]
)


@ENDINGS
def test_a_client_gets_a_logout_token(end: Callable[[RelyingParty, str], None]) -> None:
    """2.4, 2.5; L6, H5."""
    post = Post()
    party = told_party(post, backchannel_logout_uri=BACK)
    login = party.login()[1]
    sid = str(login.claims["sid"])
    end(party, sid)

    ((url, form),) = post.sent
    compact = read_compact(form["logout_token"])
    assert (url, set(form)) == (BACK, {"logout_token", "ignored_parameter"})
    assert compact.header["typ"] == "JWT"
    assert {name: value for name, value in compact.claims.items() if name != "jti"} == {
        "iss": ISSUER,
        "sub": "subject of alice",
        "aud": HOSTILE_ID,
        "sid": sid,
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        "iat": NOW,
        "exp": NOW + 120,
        "ignored_claim": {"to_be": "ignored"},
    }
    token = checked(party, form["logout_token"])
    assert (token.subject, token.sid) == (login.subject, sid)
    assert party.provider.logout_answers == [200]


@ENDINGS
def test_a_sign_in_ends_once(end: Callable[[RelyingParty, str], None]) -> None:
    post = Post(400)
    party = told_party(post, backchannel_logout_uri=BACK)
    sid = str(party.login()[1].claims["sid"])
    end(party, sid)
    party.provider.end_sid(sid)
    party.provider.end_user("alice")

    assert (len(post.sent), party.provider.logout_answers) == (1, [400])


@pytest.mark.parametrize(
    ("registered", "post"),
    [
        pytest.param({}, Post(), id="no-address"),
        pytest.param({"backchannel_logout_uri": BACK}, None, id="no-transport"),
        pytest.param({"frontchannel_logout_uri": FRONT}, Post(), id="front-channel-alone"),
    ],
)
def test_who_cannot_be_told_is_not_told(registered: dict[str, str], post: Post | None) -> None:
    party = told_party(post, **registered)
    party.provider.end_sid(str(party.login()[1].claims["sid"]))
    assert ([] if post is None else post.sent, party.provider.logout_answers) == ([], [])


def test_every_client_of_the_sign_in_is_told_and_no_other() -> None:
    post = Post()
    party = told_party(post, backchannel_logout_uri=BACK)
    first = party.provider.clients[0]
    others = [replace(first, client_id=name, backchannel_logout_uri=f"{BACK}/{name}") for name in ("second", "third")]
    party.provider.clients = [first, *others]
    sid = str(party.login()[1].claims["sid"])
    second = replace(party, client=replace(party.client, client_id="second"))
    assert second.login()[1].claims["sid"] == sid  # The same browser, so the same sign-in.
    party.provider.end_sid(sid)

    assert sorted(url for url, _ in post.sent) == [BACK, f"{BACK}/second"]
    assert sorted(str(claims["aud"]) for claims in post.claims) == [HOSTILE_ID, "second"]
    assert len({str(claims["jti"]) for claims in post.claims}) == 2


@pytest.mark.parametrize(
    ("by_session", "sids"),
    [pytest.param(False, 0, id="sub-alone"), pytest.param(True, 2, id="session-required")],
)
def test_a_user_is_signed_out_everywhere(by_session: bool, sids: int) -> None:
    """2.4: without `sid`, every session of the user is meant."""
    post = Post()
    party = told_party(post, backchannel_logout_uri=BACK, backchannel_logout_session_required=by_session)
    elsewhere = replace(party, browser=Browser({"https://op.example": party.provider}))
    ended = {str(one.login()[1].claims["sid"]) for one in (party, elsewhere)}
    assert len(ended) == 2
    party.provider.sign_in_as = "bob"
    replace(party, browser=Browser({"https://op.example": party.provider})).login()
    party.provider.end_user("alice")

    assert {claims["sub"] for claims in post.claims} == {"subject of alice"}
    assert {str(claims["sid"]) for claims in post.claims if "sid" in claims} == (ended if sids else set())
    assert len(post.sent) == max(1, sids)


@pytest.mark.parametrize(
    ("faults", "header", "claims"),
    [
        pytest.param(Faults(logout_token=without_signature), {"alg": "none"}, {}, id="L7-alg-none"),
        pytest.param(Faults(logout_token_alg="PS256"), {"alg": "PS256", "typ": "JWT"}, {}, id="L8-other-alg"),
        pytest.param(Faults(logout_token_claims=lambda one: {**one, "iss": "x"}), {}, {"iss": "x"}, id="L9-claims"),
        pytest.param(Faults(logout_token_header=lambda one: {**one, "typ": "x"}), {"typ": "x"}, {}, id="header"),
    ],
)
def test_faults(faults: Faults, header: dict[str, object], claims: dict[str, object]) -> None:
    post = Post()
    party = told_party(post, backchannel_logout_uri=BACK)
    party.provider.extra_signing_algs = ["PS256"]
    party.provider.faults = faults
    party.provider.end_sid(str(party.login()[1].claims["sid"]))

    found = read_compact(post.sent[0][1]["logout_token"])
    assert header.items() <= found.header.items()
    assert claims.items() <= found.claims.items()


def test_a_logout_token_without_a_client_cannot_be_made() -> None:
    party = told_party()
    assert read_compact(party.provider.logout_token(HOSTILE_ID, subject="u1", sid=None)).claims["sub"] == "u1"
    with pytest.raises(LookupError):
        party.provider.logout_token("another", subject="u1", sid=None)


def test_the_frames_of_a_logout_are_loaded_before_the_browser_goes_on() -> None:
    """Front-Channel 2, 3: with `iss` and `sid`, the query of the client's own kept; no cookie of its goes along."""
    party, loaded = framing_party(frontchannel_logout_session_required=True)
    tokens, login = party.login()
    page = party.browser.navigate(party.end_session_url(tokens))

    assert (page.status, page.url.partition("?")[0]) == (200, f"{ISSUER}/end_session")
    assert party.browser.cookies.of("https://op.example") == {}
    (frame,) = loaded
    assert (frame.path, frame.headers["Sec-Fetch-Dest"], frame.headers["Sec-Fetch-Site"]) == (
        "/oauth2/frontchannel-logout",
        "iframe",
        "cross-site",
    )
    assert dict(frame.args) == {"tenant": "&one", "iss": ISSUER, "sid": login.claims["sid"]}
    assert "Cookie" not in frame.headers
    assert [one.text for one in party.browser.frames] == ["framed"]
    assert party.browser.url == page.url

    onward = party.browser.submit()
    assert onward.url == f"{SIGNED_OUT}?state=s"


def test_a_client_that_does_not_ask_for_the_session_gets_its_address_as_it_is() -> None:
    party, _ = framing_party()
    assert party.provider.frontchannel_urls(str(party.login()[1].claims["sid"])) == [FRONT]
    assert party.provider.frontchannel_urls("another") == []


def test_the_page_without_a_return_has_the_frames_too() -> None:
    party, loaded = framing_party()
    party.login()
    tokens = party.login()[0]
    url = party.end_session_url(tokens).replace("post_logout_redirect_uri", "x_unknown")
    page = party.browser.navigate(url)

    assert "You are signed out" in page.text
    assert "frame-src https:" in page.headers["Content-Security-Policy"]
    assert len(loaded) == 1


def test_a_frame_of_an_unknown_origin_stops_nothing() -> None:
    party = told_party(frontchannel_logout_uri="https://elsewhere.example/")
    tokens = party.login()[0]
    party.browser.navigate(party.end_session_url(tokens))

    assert party.browser.frames == []
    assert party.browser.submit().url == f"{SIGNED_OUT}?state=s"


def test_the_query_of_the_place_to_return_to_is_kept() -> None:
    party, _ = framing_party(post_logout_redirect_uris=[f"{SIGNED_OUT}?a=1"])
    party.client = replace(party.client, post_logout_redirect_uri=f"{SIGNED_OUT}?a=1")
    party.browser.navigate(party.end_session_url(party.login()[0]))

    assert dict(parse_qsl(urlsplit(party.browser.submit().url).query)) == {"a": "1", "state": "s"}


def test_a_registration_says_where_to_tell_it() -> None:
    provider = told_party().provider
    members = {
        "redirect_uris": ["https://app.example/cb"],
        "backchannel_logout_uri": BACK,
        "backchannel_logout_session_required": True,
        "frontchannel_logout_uri": FRONT,
        "frontchannel_logout_session_required": True,
    }
    assert provider.transport(registration_call(f"{ISSUER}/register", members, None)).status == 201
    client = provider.clients[-1]
    assert (client.backchannel_logout_uri, client.frontchannel_logout_uri) == (BACK, FRONT)
    assert client.backchannel_logout_session_required
    assert client.frontchannel_logout_session_required
