"""/ping and /ready: what they say of each part, and what a probe costs."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from harness import ISSUER, ORIGIN, Site, error_code, run_site, unready

from gateway.backends.memory import MemoryBackend
from gateway.oidc.messages import Call, Reply, Transport
from gateway.testing import FakeProvider
from gateway.testing.browser import Page

METADATA = f"{ISSUER}/.well-known/openid-configuration"
PROBES = 40


class Holding:
    """Lets nobody pass who comes while it is held; what was held goes on in the end."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self.hold, self.let_go = self._open.clear, self._open.set

    def pass_by(self) -> None:
        """Wait until it is let go of."""
        self._open.wait()


class CountingBackend(MemoryBackend):
    """Counts the probes that are written, which may be held."""

    def __init__(self, holding: Holding) -> None:
        super().__init__()
        self.probes = 0
        self.fails = False
        self._holding = holding

    def set(self, key: str, value: bytes, seconds: int) -> None:
        """Write an entry."""
        self.probes += key.startswith("probe:")
        self._holding.pass_by()
        if self.fails:
            raise ZeroDivisionError
        super().set(key, value, seconds)


@pytest.fixture
def holding() -> Iterator[Holding]:
    made = Holding()
    yield made
    made.let_go()


def held(holding: Holding, calls: Counter[str]) -> Callable[[FakeProvider], Transport]:
    def transport(provider: FakeProvider) -> Transport:
        def send(call: Call) -> Reply:
            calls["keys" if "/jwks" in call.url else call.url] += 1
            holding.pass_by()
            return provider.transport(call)

        return send

    return transport


def ready(site: Site) -> Page:
    return site.browser.fetch(f"{ORIGIN}/ready")


@pytest.mark.parametrize("path", ["/ping", "/ready"])
@pytest.mark.parametrize(
    ("end", "method", "status"),
    [
        pytest.param("", "GET", 200, id="itself"),
        pytest.param("", "HEAD", 200, id="head"),
        pytest.param("?x=1", "GET", 200, id="query"),
        pytest.param("", "POST", 405, id="post"),
        pytest.param("/", "GET", 401, id="slash-after-it"),
        pytest.param("/x", "GET", 401, id="below-it"),
        pytest.param("x", "GET", 401, id="longer"),
        pytest.param(";x", "GET", 401, id="parameters"),
        pytest.param("%2f", "GET", 400, id="encoded-slash"),
    ],
)
def test_nothing_but_the_exact_path_is_an_endpoint(site: Site, path: str, end: str, method: str, status: int) -> None:
    assert site.browser.fetch(f"{ORIGIN}{path}{end}", method=method).status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/PING", 401, id="other-case"),
        pytest.param("//ping", 400, id="two-slashes"),
        pytest.param("/a/../ping", 400, id="dots"),
        pytest.param("/app/ping", 401, id="elsewhere"),
    ],
)
def test_what_looks_like_it_is_not(site: Site, path: str, status: int) -> None:
    assert site.browser.fetch(f"{ORIGIN}/ping").text == "OK"
    assert site.browser.fetch(f"{ORIGIN}{path}").status == status


def test_each_part_is_named_with_the_age_of_what_is_known(site: Site) -> None:
    parts = {"metadata": {"status": "ready", "age": 0}, "keys": {"status": "ready", "age": 0}}
    assert ready(site).json() == {"ready": True, "store": {"status": "ready"}, "provider": parts}

    site.clock.advance(600)
    aged = {name: {"status": "ready", "age": 600} for name in parts}
    assert ready(site).json() == {"ready": True, "store": {"status": "ready"}, "provider": aged}


def test_a_provider_that_was_never_known_is_not_ready_and_one_that_was_may_fail(site: Site) -> None:
    site.provider.down = True
    page = ready(site)
    assert (page.status, unready(page)) == (
        503,
        {"provider metadata": "provider_unreachable", "provider keys": "provider_unreachable"},
    )

    site.provider.down = False
    site.clock.advance(6)
    assert (ready(site).status, unready(ready(site))) == (200, {})

    site.provider.down = True
    site.clock.advance(4000)
    page = ready(site)
    failing = {"status": "ready", "age": 4000, "failing": "provider_unreachable"}
    assert (page.status, page.json()["provider"]) == (200, {"metadata": failing, "keys": failing})


def test_keys_that_cannot_be_had_are_not_ready(site: Site) -> None:
    site.provider.faults.jwks = lambda _: {"keys": "none"}
    page = ready(site)
    assert (page.status, list(unready(page))) == (503, ["provider keys"])
    assert unready(page)["provider keys"] == "provider_answer_invalid"


@pytest.mark.parametrize(
    ("down", "expected"),
    [pytest.param(False, {METADATA: 1, "keys": 1}, id="up"), pytest.param(True, {METADATA: 5}, id="down")],
)
def test_probes_are_not_calls_to_the_provider(holding: Holding, down: bool, expected: dict[str, int]) -> None:
    calls: Counter[str] = Counter()
    with run_site(transport=held(holding, calls)) as site:
        site.provider.down = down
        for _ in range(25):
            for _ in range(4):
                ready(site)
            site.clock.advance(1)
        assert calls == expected


def test_probes_of_the_same_second_are_one_for_the_store(holding: Holding) -> None:
    backend = CountingBackend(holding)
    with run_site(backend=backend) as site:
        for _ in range(3):
            assert {ready(site).status for _ in range(PROBES)} == {200}
            site.clock.advance(1)
        assert backend.probes == 3


def test_a_provider_that_hangs_keeps_neither_the_start_nor_an_answer_waiting(holding: Holding) -> None:
    holding.hold()
    calls: Counter[str] = Counter()
    config = {"routes": [{"path": "/open", "access": "public"}]}
    with run_site(config, transport=held(holding, calls)) as site:
        assert [site.browser.fetch(f"{ORIGIN}{path}").status for path in ("/ping", "/open")] == [200, 200]
        for _ in range(PROBES):
            page = ready(site)
            assert (page.status, unready(page)["provider metadata"]) == (503, "provider_unreachable")
            site.clock.advance(1)
        assert calls == {METADATA: 1}
        holding.let_go()
        while ready(site).status != 200:
            site.clock.advance(1)


def test_a_store_that_hangs_is_down_and_asked_once(holding: Holding) -> None:
    backend = CountingBackend(holding)
    with run_site(backend=backend) as site:
        assert ready(site).status == 200
        site.clock.advance(1)
        holding.hold()
        for _ in range(PROBES):
            page = ready(site)
            assert (page.status, unready(page)) == (503, {"store": "store_down"})
            site.clock.advance(1)
        assert backend.probes == 2
        assert site.browser.fetch(f"{ORIGIN}/ping").status == 200
        holding.let_go()
        while ready(site).status != 200:
            site.clock.advance(1)


def test_an_error_of_the_store_that_nobody_foresaw_is_told_as_a_code(holding: Holding) -> None:
    backend = CountingBackend(holding)
    with run_site(backend=backend) as site:
        assert ready(site).status == 200
        backend.fails = True
        site.clock.advance(1)
        page = ready(site)
        assert (page.status, unready(page)) == (503, {"store": "internal_error"})
        assert error_code(site.browser.fetch(f"{ORIGIN}/ready", method="POST")) == "method_refused"
