"""How many logins an address may begin: enough for a company behind one, and no more (RFC 6585 4)."""

import gc
import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pytest
from harness import (
    CALLBACK,
    ORIGIN,
    SESSION_COOKIE,
    Clock,
    Config,
    Site,
    error_code,
    is_signed_in,
    own_cookies,
    pending_callback,
    run_site,
)

from gateway.backends.memory import MemoryBackend
from gateway.errors import GatewayError
from gateway.limits import Limits
from gateway.login_limit import MAX_CLIENTS, LoginLimit
from gateway.testing import Browser, Page
from gateway.testing.wsgi import exchange

ONE: Final = "203.0.113.9"
OTHER: Final = "203.0.113.10"
BEHIND_A_PROXY: Final[Config] = {"trusted_proxies": ["127.0.0.1"], "limits": {"logins": 3, "logins_within": "60s"}}


def limit(clock: Clock, most: int = 2, seconds: int = 10, shared: Sequence[str] = ()) -> LoginLimit:
    networks = [ipaddress.ip_network(one) for one in shared]
    return LoginLimit(Limits(logins=most, logins_within=seconds), shared=networks, clock=clock)


def counted(one: LoginLimit, client: str) -> int:
    """Count a login, and return in how many seconds to come again, 0 for now."""
    try:
        one.count(client)
    except GatewayError as error:
        return (error.retry_after or -1) if error.code == "too_many_logins" else -1
    return 0


@pytest.mark.parametrize(
    ("clients", "shared", "waits"),
    [
        pytest.param([ONE] * 3, (), [0, 0, 5], id="one address"),
        pytest.param([ONE, ONE, OTHER], (), [0, 0, 0], id="two addresses"),
        pytest.param(["2001:db8::1", "2001:db8::2", "2001:db8::3"], (), [0, 0, 5], id="one network in IPv6"),
        pytest.param(["2001:db8::1", "2001:db8:0:1::1", "2001:db8:0:2::1"], (), [0, 0, 0], id="three networks"),
        pytest.param(["fe80::1%eth0"] * 3, (), [0, 0, 5], id="an address with a zone"),
        pytest.param([""] * 3, (), [0, 0, 0], id="an address that is not known"),
        pytest.param(["10.0.0.1"] * 3, ("10.0.0.0/8",), [0, 0, 0], id="a proxy's own"),
    ],
)
def test_what_is_counted(clients: Sequence[str], shared: Sequence[str], waits: Sequence[int]) -> None:
    one = limit(Clock(), shared=shared)
    assert [counted(one, client) for client in clients] == waits


def test_logins_are_forgotten_evenly_and_what_is_refused_is_not_counted() -> None:
    clock = Clock()
    one = limit(clock)
    assert [counted(one, ONE) for _ in range(10)] == [0, 0, *[5] * 8]
    clock.advance(4)
    assert counted(one, ONE) == 1
    clock.advance(1)
    assert [counted(one, ONE) for _ in range(2)] == [0, 5]
    clock.advance(3600)
    assert [counted(one, ONE) for _ in range(3)] == [0, 0, 5]


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    clock = Clock()
    one = limit(clock)
    assert [counted(one, ONE) for _ in range(3)] == [0, 0, 5]
    clock.advance(-3600)
    assert counted(one, ONE) == 5
    clock.advance(10)
    assert counted(one, ONE) == 0


def test_zero_is_any_number() -> None:
    one = limit(Clock(), most=0)
    assert [counted(one, ONE) for _ in range(100)] == [0] * 100


def test_addresses_are_remembered_within_bounds_and_nobody_is_locked_out_by_many() -> None:
    one = limit(Clock())
    assert [counted(one, ONE) for _ in range(3)] == [0, 0, 5]
    for number in range(MAX_CLIENTS + 10):
        assert counted(one, str(ipaddress.IPv4Address(number))) == 0
    assert len(one._clients) == MAX_CLIENTS
    assert counted(one, ONE) == 0


def test_a_company_behind_one_address_signs_in_by_default() -> None:
    clock = Clock()
    one = LoginLimit(Limits(), shared=(), clock=clock)
    for _ in range(300):  # 4,500 people in five minutes, 15 a second.
        assert [counted(one, ONE) for _ in range(15)] == [0] * 15
        clock.advance(1)


def begun(browser: Browser, address: str, path: str = "/private", peer: str = "") -> Page:
    chain = f"{peer}, {address}" if peer else address
    return browser.navigate(ORIGIN + path, headers={"X-Forwarded-For": chain}, follow=False)


@pytest.fixture
def limited() -> Iterator[Site]:
    with run_site(BEHIND_A_PROXY) as site:
        yield site


@pytest.mark.parametrize("path", ["/private", "/oauth2/start?rd=/private"])
def test_logins_that_are_too_many_are_refused(limited: Site, path: str) -> None:
    signed_in = limited.browser
    limited.sign_in()
    limited.restarted()
    assert [begun(limited.new_browser(), ONE, path).status for _ in range(3)] == [303] * 3
    page = begun(limited.new_browser(), ONE, path)
    assert (page.status, error_code(page), page.headers["Retry-After"]) == (429, "too_many_logins", "20")
    assert "Set-Cookie" not in page.headers
    # The others, who is signed in, and what needs no login.
    assert begun(limited.new_browser(), OTHER, path).status == 303
    assert signed_in.fetch(f"{ORIGIN}/private", headers={"X-Forwarded-For": ONE}).status == 200
    assert limited.new_browser().fetch(f"{ORIGIN}/private", headers={"X-Forwarded-For": ONE}).status == 401
    limited.clock.advance(20)
    assert begun(limited.new_browser(), ONE, path).status == 303


def test_who_makes_up_addresses_is_counted_by_the_one_that_our_proxy_saw(limited: Site) -> None:
    made_up = [f"198.51.100.{number}" for number in range(4)]
    assert [begun(limited.new_browser(), ONE, peer=peer).status for peer in made_up] == [303, 303, 303, 429]
    assert begun(limited.new_browser(), made_up[0]).status == 303


@pytest.mark.parametrize(
    ("config", "statuses"),
    [
        pytest.param({}, [303] * 5, id="no proxy is named, and the address may be one's"),
        pytest.param({"trusted_proxies": ["192.0.2.1"]}, [303, 303, 303, 429, 429], id="another proxy is named"),
        pytest.param({"trusted_proxies": ["127.0.0.1"]}, [303] * 5, id="the proxy's own address"),
    ],
)
def test_addresses_that_may_stand_for_many(config: Config, statuses: Sequence[int]) -> None:
    with run_site({"limits": {"logins": 3}, **config}) as site:
        pages = [site.new_browser().navigate(f"{ORIGIN}/private", follow=False) for _ in statuses]
        assert [page.status for page in pages] == statuses


def test_callbacks_that_fail_are_counted_and_those_that_succeed_are_not(limited: Site) -> None:
    from_one = {"X-Forwarded-For": ONE}
    callback = pending_callback(limited.browser)  # From an address that is not counted.
    wrong = f"{CALLBACK}?code=made-up&state=made-up&iss=made-up"
    statuses = []
    for _ in range(5):
        browser = limited.new_browser()
        page = browser.navigate(wrong, headers=from_one, follow=False)
        statuses.append((page.status, error_code(page) if page.status != 303 else ""))
    assert statuses == [(303, "")] * 3 + [(429, "too_many_logins")] * 2  # Each is answered by one fresh login.
    page = limited.browser.navigate(callback, headers=from_one, follow=False)
    assert page.status == 303
    assert SESSION_COOKIE in own_cookies(limited.browser)
    assert is_signed_in(limited.browser)


def test_a_failure_that_is_one_too_many_says_so_instead(limited: Site) -> None:
    repeated = f"{CALLBACK}?state=a&state=b"
    pages = [limited.new_browser().navigate(repeated, headers={"X-Forwarded-For": ONE}) for _ in range(4)]
    assert [error_code(page) for page in pages] == ["response_parameter_repeated"] * 3 + ["too_many_logins"]


class Counting(MemoryBackend):
    """Counts what is written."""

    writes = 0

    def set(self, key: str, value: bytes, seconds: int) -> None:
        self.writes += 1
        super().set(key, value, seconds)

    def claim(self, key: str, seconds: int) -> bool:
        self.writes += 1
        return super().claim(key, seconds)


@contextmanager
def counting(config: Config) -> Iterator[tuple[Site, Counting]]:
    backend = Counting()
    with run_site(config, backend=backend) as site:
        yield site, backend


NAVIGATION: Final = [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]


def objects_of_process() -> int:
    gc.collect()
    return len(gc.get_objects())


def test_logins_that_are_begun_and_never_ended_leave_nothing_behind() -> None:
    with counting({}) as (site, backend):
        site.sign_in()
        writes, objects = backend.writes, 0
        assert writes > 0
        for number in range(2_100):  # 10,000 are no different, and take half a minute.
            if number == 100:  # What is made once has been made.
                objects = objects_of_process()
            assert exchange(site.face, method="GET", url=f"{ORIGIN}/private", headers=NAVIGATION).status == 303
        assert backend.writes == writes
        assert objects_of_process() - objects < 100


def test_logins_that_are_pushed_leave_nothing_in_our_store() -> None:
    with counting({"provider": {"authorization": {"via": "pushed"}}}) as (site, backend):
        site.sign_in()
        writes = backend.writes
        for _ in range(50):
            assert site.new_browser().navigate(f"{ORIGIN}/private", follow=False).status == 303
        assert (backend.writes, site.provider.calls["par"]) == (writes, 51)
