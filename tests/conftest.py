"""What all tests share: the rule for tests that need a real peer."""

import os
from collections.abc import Callable, Mapping
from typing import Final

import pytest
from peers import browser, node_provider, servers

REAL_VARIABLE: Final = "GATEWAY_TEST_REAL"
"""When it is 1, a missing peer fails the test instead of skipping it."""

FIND_MISSING: Final[Mapping[str, Callable[[], str | None]]] = {
    "chromium": browser.find_missing,
    "node": node_provider.find_missing,
    "redis": servers.find_missing_redis,
    "nginx": servers.find_missing_nginx,
}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test marked `real(*peers)` before its fixtures start, when one of its peers is missing."""
    names = [str(name) for marker in item.iter_markers("real") for name in marker.args]
    unknown = [name for name in names if name not in FIND_MISSING]
    if unknown:
        pytest.fail(f"unknown peers {unknown}: known are {sorted(FIND_MISSING)}", pytrace=False)
    missing = [reason for reason in (FIND_MISSING[name]() for name in names) if reason is not None]
    if missing and os.environ.get(REAL_VARIABLE) == "1":
        pytest.fail("; ".join(missing), pytrace=False)
    if missing:
        pytest.skip("; ".join(missing))
