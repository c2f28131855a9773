"""Sign-outs, revocations and renewals that are raced, repeated, postponed or misnamed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from urllib.parse import urlencode

import pytest
from answering import run_before
from conformance.logout import APP, BACK, FORM, FRONT, Told, assert_answer, form_of, run_told
from harness import (
    ISSUER,
    ORIGIN,
    SIGN_OUT,
    base_config,
    changed,
    held_session,
    is_signed_in,
    pending_callback,
    recording_app,
    run_site,
)
from peers.listener import Answer, Received
from samples import SESSION
from test_store import NOW, Clock, session, store_on
from werkzeug.test import run_wsgi_app

from gateway import Gateway
from gateway.administration import Administration, Wanted
from gateway.assembly import Outside
from gateway.backends.memory import MemoryBackend
from gateway.errors import STORE_DOWN, StoreUnavailable
from gateway.renewal import MIN_TOKEN_AGE
from gateway.testing import Browser, Faults
from gateway.testing.wsgi import environ_for, exchange

TOKEN: Final = "an administrator's token of at least thirty-two characters"
ADMIN: Final = f"{ORIGIN}/oauth2/admin/sessions"
AUTHORIZED: Final = {"Authorization": f"Bearer {TOKEN}"}


STAFF: Final = {"routes": [{"path": "/**", "token": "access_token", "require": {"claims": {"groups": ["staff"]}}}]}


def test_what_is_repeated_with_a_renewed_token_is_decided_anew() -> None:
    refused: set[str] = set()

    def api(received: Received) -> Answer:
        token = received.headers.get("authorization", "").removeprefix("Bearer ")
        invalid = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return Answer(status=401, headers=invalid) if token in refused else Answer(body="for staff")

    with run_before(api, STAFF) as site:
        site.sign_in()
        refused.add(held_session(site).access_token)
        site.provider.faults = Faults(refreshed_id_token_claims=changed(groups=["guests"]))
        site.clock.advance(MIN_TOKEN_AGE)
        page = site.browser.fetch(f"{ORIGIN}/data")
        assert held_session(site).claims["groups"] == ["guests"]
        assert page.status == 403, page.text


class Forgetful(MemoryBackend):
    """Cannot take a note, for as long as it is told so."""

    fails = False

    def set(self, key: str, value: bytes, seconds: int) -> None:
        if self.fails and key.startswith("note:"):
            raise StoreUnavailable(STORE_DOWN, "away")
        super().set(key, value, seconds)


def test_a_logout_token_that_comes_again_brings_no_session_back() -> None:
    backend = Forgetful()
    with run_site({"admin_token": TOKEN}, backend=backend) as site:
        told = Told(site=site)
        form = form_of(site.provider.logout_token(APP, subject="alice", sid=None))
        backend.fails = True
        assert told.post(form).status == 400  # The mark is set, the note is not: the provider sends it again.
        backend.fails = False
        site.clock.advance(1)
        site.sign_in()
        site.clock.advance(1)
        page = site.new_browser().fetch(f"{ADMIN}?sub=alice", method="DELETE", headers=AUTHORIZED)
        assert page.status == 200
        assert told.post(form).status == 200
        assert not is_signed_in(site.browser)


class Overtaken(MemoryBackend):
    """Lets something happen just before a mark is written."""

    meanwhile: Callable[[], None] | None = None

    def set(self, key: str, value: bytes, seconds: int) -> None:
        if self.meanwhile is not None and key.startswith("mark:"):
            happens, self.meanwhile = self.meanwhile, None
            happens()
        super().set(key, value, seconds)


def test_a_logout_token_that_comes_twice_at_once_brings_no_session_back() -> None:
    backend = Overtaken()
    with run_site({"admin_token": TOKEN}, backend=backend) as site:
        told = Told(site=site)
        form = form_of(site.provider.logout_token(APP, subject="alice", sid=None))

        def meanwhile() -> None:
            assert told.post(form).status == 200
            site.clock.advance(1)
            site.sign_in()
            site.clock.advance(1)
            page = site.new_browser().fetch(f"{ADMIN}?sub=alice", method="DELETE", headers=AUTHORIZED)
            assert page.status == 200

        backend.meanwhile = meanwhile
        told.post(form)
        assert not is_signed_in(site.browser)


def test_a_login_that_began_before_the_revocation_comes_to_nothing() -> None:
    with run_site({"admin_token": TOKEN}) as site:
        callback = pending_callback(site.browser)
        site.clock.advance(1)
        page = site.new_browser().fetch(f"{ADMIN}?sub=alice", method="DELETE", headers=AUTHORIZED)
        assert page.status == 200
        site.clock.advance(1)
        site.browser.navigate(callback, follow=False)
        assert not is_signed_in(site.browser)


def test_a_login_that_began_before_the_backchannel_logout_comes_to_nothing() -> None:
    with run_told() as told:
        site = told.site
        callback = pending_callback(site.browser)
        site.clock.advance(1)
        assert told.send(subject="alice").status == 200
        site.clock.advance(1)
        site.browser.navigate(callback, follow=False)
        assert not is_signed_in(site.browser)


def test_a_sid_that_a_renewal_changed_still_ends_the_session() -> None:
    with run_told() as told:
        sid = told.sign_in()
        told.site.provider.faults = Faults(refreshed_id_token_claims=changed(sid="another"))
        told.site.clock.advance(280)
        assert is_signed_in(told.site.browser)
        assert_answer(told.send(subject="alice", sid=sid), 200)
        assert not is_signed_in(told.site.browser)


@pytest.mark.parametrize("sid", ["x" * 256, "a\u200bb", "", 7], ids=["long", "unprintable", "empty", "a number"])
def test_a_sid_that_a_login_may_have_a_logout_may_have(sid: object) -> None:
    with run_told() as told:
        told.site.provider.faults = Faults(id_token_claims=changed(sid=sid), logout_token_claims=changed(sid=sid))
        told.site.browser.navigate(f"{ORIGIN}/home")  # May be refused here, too.
        told.send(subject="alice", sid="replaced")
        assert not is_signed_in(told.site.browser)


def test_two_gateways_over_one_store_hear_of_the_same_logout() -> None:
    backend, elsewhere = MemoryBackend(), "https://other.example"
    with run_site(backend=backend) as site:
        client = site.provider.clients[0]
        site.provider.clients = [replace(client, redirect_uris=[*client.redirect_uris, f"{elsewhere}/oauth2/callback"])]
        outside = Outside(transport=site.provider.transport, backend=backend, clock=site.clock)
        document = {**base_config({"type": "memory"}), "public_url": elsewhere}
        other = Gateway.from_config(document, outside=outside)(recording_app([]))
        browser = Browser({elsewhere: other, ISSUER: site.provider}, clock=site.clock)
        assert browser.navigate(f"{elsewhere}/home").status == 200
        form = form_of(site.provider.logout_token(APP, subject="alice", sid=None))
        headers = {"Content-Type": FORM}.items()
        assert exchange(site.gateway, method="POST", url=BACK, headers=headers, body=form).status == 200
        url = f"{elsewhere}/oauth2/backchannel-logout"
        assert exchange(other, method="POST", url=url, headers=headers, body=form).status == 200
        assert browser.fetch(f"{elsewhere}/home").status == 401


def test_an_administrator_ends_no_session_of_another_gateway_by_its_id() -> None:
    backend, clock = MemoryBackend(), Clock()
    ours, theirs = store_on(backend, clock), store_on(backend, clock, realm="https://other.example")
    held = ours.create(session, began_at=NOW)
    Administration(store=theirs, issuers=[SESSION.issuer]).revoke(Wanted(id=held.session.id))
    assert ours.load(held.handle) is not None


def test_a_logout_token_may_come_in_chunks() -> None:
    with run_told() as told:
        sid = told.sign_in()
        form = form_of(told.site.provider.logout_token(APP, subject="alice", sid=sid))
        environ = environ_for("POST", BACK, [("Content-Type", FORM), ("Transfer-Encoding", "chunked")], form)
        del environ["CONTENT_LENGTH"]  # As gunicorn does, which ends the input by itself.
        environ["wsgi.input_terminated"] = True
        assert run_wsgi_app(told.site.gateway, environ)[1] == "200 OK"
        assert not is_signed_in(told.site.browser)


def test_a_sign_out_ends_every_session_that_the_browser_sends() -> None:
    with run_site() as site:
        cookies = []
        for _ in range(2):
            site.restarted().sign_in()
            cookies.append(site.browser.cookies.header(f"{ORIGIN}/").partition(";")[0])
        both = "; ".join(cookies)
        headers = {"Cookie": both, "Sec-Fetch-Site": "same-origin"}
        assert exchange(site.gateway, method="POST", url=SIGN_OUT, headers=headers.items()).status == 303
        url = f"{ORIGIN}/oauth2/session"
        answer = exchange(site.gateway, method="GET", url=url, headers={"Cookie": both}.items())
        assert json.loads(answer.body) == {"authenticated": False}


def test_a_frame_of_one_login_costs_the_others_no_copy() -> None:
    with run_told({"session": {"local_cache": 60}}) as told:
        sid = told.sign_in()
        first = told.site.browser
        told.sign_in()
        assert is_signed_in(told.site.browser)
        url = f"{FRONT}?{urlencode({'iss': ISSUER, 'sid': sid})}"
        exchange(told.site.gateway, method="GET", url=url)  # The first login is over.
        assert not is_signed_in(first)
        assert is_signed_in(told.site.browser)
        copies = len(told.site.gateway.store.copies)
        exchange(told.site.gateway, method="GET", url=url)  # Anybody's, again and again.
        assert len(told.site.gateway.store.copies) == copies
