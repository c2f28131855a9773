"""A gateway that counts: what happens at it, and which samples it adds one to, on both faces."""

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import ORIGIN, Config, Mode, Site, run_site
from metrics_reading import sample, samples
from test_telemetry import (
    MODES,
    ROUTES,
    be_refused,
    be_too_weak,
    refresh,
    refresh_in_vain,
    sign_in,
    sign_in_in_vain,
    sign_out,
)

from gateway.metrics import open_metrics
from gateway.metrics.exposition import exposition
from gateway.testing import Faults

REQUESTS = "gateway_requests_total"


def ask(path: str) -> Callable[[Site], None]:
    def asking(site: Site) -> None:
        site.browser.fetch(ORIGIN + path)

    return asking


def lose_the_provider(site: Site) -> None:
    site.provider.faults = Faults(token_response=lambda _, __: (503, {}))
    site.browser.navigate(ORIGIN + "/home")


def labelled(route: str, decision: str, status: str, code: str = "") -> dict[str, str]:
    return {"route": route, "decision": decision, "status": status, "code": code}


@pytest.mark.parametrize(
    ("happens", "name", "labels"),
    [
        pytest.param(sign_in, REQUESTS, labelled("/**", "allow", "2xx"), id="allowed"),
        pytest.param(ask("/public/x"), REQUESTS, labelled("/public/**", "allow", "2xx"), id="public"),
        pytest.param(ask("/home"), REQUESTS, labelled("/**", "login", "4xx"), id="no-session"),
        pytest.param(be_refused, REQUESTS, labelled("/staff/**", "refuse", "4xx", "access_denied"), id="refused"),
        pytest.param(be_too_weak, REQUESTS, labelled("/strong/**", "step_up", "4xx"), id="too-weak"),
        pytest.param(ask("/closed"), REQUESTS, labelled("/closed", "refuse", "4xx", "not_found"), id="closed"),
        pytest.param(ask("/ping"), REQUESTS, labelled("/ping", "endpoint", "2xx"), id="endpoint"),
        pytest.param(ask("/a//b"), REQUESTS, labelled("", "refuse", "4xx", "target_ambiguous"), id="malformed"),
        pytest.param(ask("/ping"), "gateway_request_seconds_count", {"route": "/ping"}, id="seconds"),
        pytest.param(sign_in, "gateway_logins_total", {"provider": "default", "outcome": "ok"}, id="login"),
        pytest.param(sign_in, "gateway_sessions_started_total", {"provider": "default"}, id="session"),
        pytest.param(
            sign_in_in_vain,
            "gateway_logins_total",
            {"provider": "default", "outcome": "id_token_nonce_mismatch"},
            id="failed-login",
        ),
        pytest.param(refresh, "gateway_refreshes_total", {"provider": "default", "outcome": "ok"}, id="refresh"),
        pytest.param(
            refresh_in_vain,
            "gateway_refreshes_total",
            {"provider": "default", "outcome": "token_grant_invalid"},
            id="failed-refresh",
        ),
        pytest.param(
            refresh_in_vain, "gateway_logouts_total", {"way": "provider", "outcome": "ok"}, id="ended-by-the-provider"
        ),
        pytest.param(sign_out, "gateway_logouts_total", {"way": "sign_out", "outcome": "ok"}, id="sign-out"),
        pytest.param(be_too_weak, "gateway_step_ups_total", {"provider": "default", "outcome": "ok"}, id="step-up"),
        pytest.param(
            sign_in,
            "gateway_provider_calls_total",
            {"provider": "default", "operation": "code", "outcome": "ok"},
            id="provider",
        ),
        pytest.param(
            lose_the_provider,
            "gateway_provider_calls_total",
            {"provider": "default", "operation": "code", "outcome": "failed"},
            id="provider-fails",
        ),
        pytest.param(
            sign_in,
            "gateway_provider_seconds_count",
            {"provider": "default", "operation": "code"},
            id="provider-seconds",
        ),
        pytest.param(
            sign_in, "gateway_store_calls_total", {"operation": "claim", "outcome": "ok"}, id="store"
        ),
        pytest.param(sign_in, "gateway_store_seconds_count", {"operation": "claim"}, id="store-seconds"),
    ],
)  # fmt: skip
@MODES
def test_what_happens_adds_one(
    mode: Mode, happens: Callable[[Site], None], name: str, labels: dict[str, str], tmp_path: Path
) -> None:
    metrics = open_metrics(tmp_path)
    with run_site(ROUTES, mode=mode, telemetry=metrics) as site:
        assert sample(exposition(metrics), name, **labels) == 0
        happens(site)
    assert sample(exposition(metrics), name, **labels) == 1


def test_upstreams_are_counted_by_their_names(tmp_path: Path) -> None:
    metrics = open_metrics(tmp_path)
    with run_site(mode="upstream", telemetry=metrics) as site:
        site.sign_in()
        (name,) = site.gateway.upstreams
    text = exposition(metrics)
    assert sample(text, "gateway_upstream_calls_total", upstream=name, outcome="ok") == 1
    assert sample(text, "gateway_upstream_seconds_count", route="/**") == 1
    assert sample(text, "gateway_own_seconds_count", route="/**") == sample(
        text, "gateway_request_seconds_count", route="/**"
    )


def test_the_keys_have_an_age(tmp_path: Path) -> None:
    metrics = open_metrics(tmp_path)
    with run_site(telemetry=metrics) as site:
        site.sign_in()
        fetched = sample(exposition(metrics), "gateway_provider_keys_fetched_timestamp_seconds", provider="default")
        assert fetched == site.clock.now


def test_what_is_found_in_the_own_copies_is_counted(tmp_path: Path) -> None:
    metrics, copies = open_metrics(tmp_path), Config(session={"local_cache": 60})
    with run_site(copies, telemetry=metrics) as site:
        site.sign_in()
        before = sample(exposition(metrics), "gateway_local_cache_total", outcome="hit")
        site.browser.fetch(ORIGIN + "/again")
        assert sample(exposition(metrics), "gateway_local_cache_total", outcome="hit") == before + 1


def test_no_client_makes_a_label(tmp_path: Path) -> None:
    metrics = open_metrics(tmp_path)
    with run_site(ROUTES, mode="upstream", telemetry=metrics) as site:
        site.sign_in()
        before = len(samples(exposition(metrics)))
        for number in range(20):
            site.browser.fetch(f"{ORIGIN}/home", method=f"METHOD{number}")
            site.browser.fetch(f"{ORIGIN}/public/{number}?{number}=x", headers={"X-Forwarded-For": f"10.0.0.{number}"})
        after = samples(exposition(metrics))
    kinds = 2 * (1 + 3 * 15)  # A rule that was not asked for before, with its histograms; and a refusal.
    assert len(after) <= before + kinds
    assert "METHOD" not in str(after)
    assert "10.0.0" not in str(after)
