"""What all tests share: the rule for tests that need a real peer, and the gateway with all that is around it."""

import logging
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from conformance.set_ups import OwnFiles, make_own_files
from faces import has_face
from harness import FACE_VARIABLE, Mode, Site, run_site
from peers import axe_core, browser, node_provider, servers
from peers.store_places import MISSING, backend, place, store_urls  # noqa: F401 - fixtures for the tests of the stores.
from playwright.sync_api import Browser
from supply_tools import find_missing_supply

from gateway.lane.lane import Lane
from gateway.log_handler import LogHandler

REAL_VARIABLE: Final = "GATEWAY_TEST_REAL"
"""When it is 1, a missing peer fails the test instead of skipping it."""

FIND_MISSING: Final[Mapping[str, Callable[[], str | None]]] = {
    "axe": axe_core.find_missing,
    "chromium": browser.find_missing,
    "node": node_provider.find_missing,
    "nginx": servers.find_missing_nginx,
    "caddy": servers.find_missing_caddy,
    "envoy": servers.find_missing_envoy,
    "supply": find_missing_supply,
    **MISSING,
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Pass over a module, in the lane, whose tests are the same in there."""
    is_test = collection_path.suffix == ".py" and collection_path.name.startswith("test_")
    in_lane = os.environ.get(FACE_VARIABLE) == "lane"
    return True if in_lane and is_test and not has_face(collection_path) else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test marked `real(*peers)` before its fixtures start, when one of its peers is missing."""
    if os.environ.get(FACE_VARIABLE) == "lane":
        for marker in item.iter_markers("threads_only"):
            pytest.skip(f"not in the lane: {marker.args[0]}")
    names = [str(name) for marker in item.iter_markers("real") for name in marker.args]
    unknown = [name for name in names if name not in FIND_MISSING]
    if unknown:
        pytest.fail(f"unknown peers {unknown}: known are {sorted(FIND_MISSING)}", pytrace=False)
    missing = [reason for reason in (FIND_MISSING[name]() for name in names) if reason is not None]
    if missing and os.environ.get(REAL_VARIABLE) == "1":
        pytest.fail("; ".join(missing), pytrace=False)
    if missing:
        pytest.skip("; ".join(missing))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a Redis server that lives as long as the tests do."""
    with servers.run_redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give a real Chromium, one for the tests of a module."""
    with browser.run_browser() as running:
        yield running


@pytest.fixture(scope="session")
def own_files(tmp_path_factory: pytest.TempPathFactory) -> OwnFiles:
    """Give the gateway keys and a certificate of its own, the same for all tests."""
    return make_own_files(tmp_path_factory.mktemp("own"))


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Take away what a gateway that stood alone in this process has set up for its lines."""
    yield
    for name in ("", "gateway.access", "gateway.audit"):
        logger = logging.getLogger(name)
        for handler in [one for one in logger.handlers if isinstance(one, LogHandler)]:
            logger.removeHandler(handler)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Give a gateway around an app, with sessions in memory, or in the combination that the test's param names."""
    assert has_face(request.path), "a test that is given a site names its type, for the lane to ask it, too"
    param: tuple[Mode, str] = getattr(request, "param", ("wrapped", "memory"))
    mode, store = param
    settings: dict[str, object] = {"type": store}
    if store == "file":
        settings["path"] = str(tmp_path / "sessions")
    if store == "redis":
        settings |= {"url": request.getfixturevalue("redis_url"), "prefix": f"{secrets.token_hex(4)}:"}
    with run_site(mode=mode, store=settings) as running:
        yield running


@pytest.fixture
def lanes(monkeypatch: pytest.MonkeyPatch) -> list[Lane]:
    """The lanes that the test runs."""
    made: list[Lane] = []
    init = Lane.__init__

    def noting(self: Lane, *given: Any, **more: Any) -> None:
        init(self, *given, **more)
        made.append(self)

    monkeypatch.setattr(Lane, "__init__", noting)
    return made
