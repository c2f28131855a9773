"""Refreshing when many requests come at once, and when a logout comes between."""

import threading

from harness import EVERYWHERE, ORIGIN, SESSION_COOKIE, SIGN_OUT, Members, Site, held_session, is_signed_in

from gateway.testing import Faults

REFRESH = "token.refresh_token"


@EVERYWHERE
def test_fifty_requests_at_once_refresh_once(site: Site) -> None:
    site.sign_in()
    site.clock.advance(301)
    header = {"Cookie": site.browser.cookies.header(f"{ORIGIN}/")}
    barrier = threading.Barrier(50)

    def take_a_while(name: str) -> None:
        if name == REFRESH:
            threading.Event().wait(0.15)

    site.provider.faults.before = take_a_while
    statuses: list[int] = []

    def request() -> None:
        browser = site.new_browser()
        barrier.wait(20)
        statuses.append(browser.get(f"{ORIGIN}/data", headers=header).status)

    run_all([threading.Thread(target=request) for _ in range(50)])

    assert statuses == [200] * 50
    assert site.provider.calls[REFRESH] == 1
    assert site.provider.is_active(held_session(site).access_token)


@EVERYWHERE
def test_a_logout_during_a_refresh_stays_a_logout(site: Site) -> None:
    site.sign_in()
    site.clock.advance(301)
    at_provider, go_on = threading.Event(), threading.Event()
    issued: list[Members] = []

    def hold(name: str) -> None:
        if name == REFRESH:
            at_provider.set()
            assert go_on.wait(10)

    def note(status: int, members: Members) -> tuple[int, Members]:
        issued.append(members)
        return status, members

    site.provider.faults = Faults(before=hold, token_response=note)
    header = {"Cookie": site.browser.cookies.header(f"{ORIGIN}/")}
    statuses: list[int] = []
    # The logout's own revocation would make the refresh fail, which is another story.
    refreshing = threading.Thread(
        target=lambda: statuses.append(site.new_browser().get(f"{ORIGIN}/data", headers=header).status)
    )
    refreshing.start()
    assert at_provider.wait(10)
    site.gateway.store.end(held_session(site).id)
    go_on.set()
    refreshing.join(20)

    assert statuses == [401]
    assert len(issued) == 1
    assert not site.provider.is_active(str(issued[0]["refresh_token"]))
    assert not site.provider.is_active(str(issued[0]["access_token"]))
    assert site.new_browser().get(f"{ORIGIN}/data", headers=header).status == 401


def test_a_sign_out_during_a_refresh_leaves_no_token_alive(site: Site) -> None:
    site.sign_in()
    first = held_session(site)
    site.clock.advance(250)
    at_provider, go_on = threading.Event(), threading.Event()

    def hold(name: str) -> None:
        if name == REFRESH:
            at_provider.set()
            assert go_on.wait(10)

    site.provider.faults.before = hold
    header = {"Cookie": site.browser.cookies.header(f"{ORIGIN}/")}
    other = site.new_browser()
    refreshing = threading.Thread(target=lambda: other.get(f"{ORIGIN}/data", headers=header))
    refreshing.start()
    assert at_provider.wait(10)
    assert site.browser.navigate(SIGN_OUT).status == 200
    go_on.set()
    refreshing.join(20)

    assert other.history[-1].status == 401
    assert not site.provider.is_active(first.access_token)
    assert not site.provider.is_active(str(first.refresh_token))
    thief = site.new_browser()
    thief.cookies.set(ORIGIN, SESSION_COOKIE, header["Cookie"].partition("=")[2])
    assert not is_signed_in(thief)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
