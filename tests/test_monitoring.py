"""The alert rules and the dashboard of the examples: every name and label in them is one that the gateway serves."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from harness import ISSUER, ORIGIN, Site, run_site
from lane_face import run_lane
from metrics_reading import samples
from promql import Matcher, Query, read_query
from test_administration import ADMIN, TOKEN, WITH_TOKEN
from test_telemetry import ROUTES, be_refused, be_too_weak, refresh, refresh_in_vain, sign_in_in_vain, sign_out

from gateway.metrics import open_metrics
from gateway.metrics.exposition import exposition
from gateway.metrics.families import FAMILIES
from gateway.metrics.page import metrics_table
from gateway.metrics.sink import CODES, OTHER, Metrics
from gateway.testing import Browser

ROOT: Final = Path(__file__).resolve().parent.parent
RULES: Final[list[dict[str, Any]]] = yaml.safe_load(
    (ROOT / "examples/prometheus/alerts.yml").read_text(encoding="utf-8")
)["groups"][0]["rules"]
DASHBOARD: Final[dict[str, Any]] = json.loads((ROOT / "examples/grafana/gateway.json").read_text(encoding="utf-8"))
PAGE: Final = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
OF_PROMETHEUS: Final = frozenset({"job", "instance"})
"""Labels that Prometheus adds itself."""


def dashboard_queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


QUERIES: Final = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES),
    *(pytest.param(expression, id=title) for title, expression in dashboard_queries()),
]


def busy_metrics(directory: Path) -> Metrics:
    """Count what a gateway does in which all happens that can, in the lane and beside it."""
    metrics = open_metrics(directory)
    for happens in (sign_in_in_vain, refresh, refresh_in_vain, sign_out, be_refused, be_too_weak, revoke):
        with run_site({**ROUTES, **WITH_TOKEN}, mode="upstream", telemetry=metrics) as site:
            happens(site)
    with run_site(mode="upstream", telemetry=metrics) as site, run_lane(site.gateway) as face:
        browser = Browser({ORIGIN: face, ISSUER: site.provider}, clock=site.clock)
        assert browser.navigate(f"{ORIGIN}/home").status == 200
    return metrics


def revoke(site: Site) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert site.browser.fetch(f"{ADMIN}?all=true", method="DELETE", headers=headers).status in (200, 204)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """What a gateway serves after all kinds of traffic: the names of its samples, with their labels."""
    labels: dict[str, set[str]] = {}
    for name, given in samples(exposition(busy_metrics(tmp_path_factory.mktemp("metrics")))):
        labels.setdefault(name, set()).update(label for label, _ in given)
    return labels


@pytest.mark.parametrize("text", QUERIES)
def test_every_query_is_about_what_the_gateway_serves(text: str, served: Mapping[str, set[str]]) -> None:
    query = read_query(text)
    assert query.metrics
    for name, matchers in query.metrics:
        if name == "up":
            continue
        assert name in served, f"the gateway has no {name}"
        assert {one.label for one in matchers} <= served[name] | OF_PROMETHEUS
    assert query.labels <= set().union(*(served.get(name, set()) for name, _ in query.metrics)) | OF_PROMETHEUS


@pytest.mark.parametrize("text", QUERIES)
def test_every_value_that_a_query_asks_for_may_occur(text: str) -> None:
    for _, matchers in read_query(text).metrics:
        for matcher in matchers:
            assert unknown_values(matcher) == []


def unknown_values(matcher: Matcher) -> list[str]:
    known = {
        "outcome": {*CODES, OTHER, "hit", "miss"},
        "code": CODES,
        "status": {"1xx", "2xx", "3xx", "4xx", "5xx", OTHER},
    }.get(matcher.label)
    if known is None:
        return []
    values = matcher.value.split("|") if "~" in matcher.operator else [matcher.value]
    return [value for value in values if not any(re.fullmatch(value, one) for one in known)]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        pytest.param("up", Query(metrics=[("up", [])]), id="name"),
        pytest.param(
            'sum by (a, b) (rate(x_total{c="d", e!~"f|g"}[5m])) > 0.5',
            Query(
                metrics=[
                    (
                        "x_total",
                        [
                            Matcher(label="c", operator="=", value="d"),
                            Matcher(label="e", operator="!~", value="f|g"),
                        ],
                    )
                ],
                labels={"a", "b"},
            ),
            id="aggregation",
        ),
        pytest.param(
            "x / on (job) group_left (y) z offset 5m unless bool w",
            Query(metrics=[("x", []), ("z", []), ("m", []), ("w", [])], labels={"job", "y"}),
            id="join",
        ),
        pytest.param("histogram_quantile(0.5, x_bucket) # y", Query(metrics=[("x_bucket", [])]), id="function"),
    ],
)
def test_how_queries_are_read(text: str, query: Query) -> None:
    assert read_query(text) == query


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x{a=", id="cut"),
        pytest.param("x{a}", id="half-a-condition"),
        pytest.param("sum by x", id="no-labels"),
        pytest.param("x ~ y", id="no-operator"),
    ],
)
def test_what_is_no_query_is_not_read(text: str) -> None:
    read_query("x{a='b'}".replace("'", '"'))
    with pytest.raises(ValueError, match=r"."):
        read_query(text)


def test_each_alert_says_how_bad_it_is_and_the_page_what_to_do() -> None:
    told = re.findall(r"^\| (Gateway\w+) \| .+ \| .+ \|$", PAGE, re.MULTILINE)
    assert told == [rule["alert"] for rule in RULES]
    assert {rule["labels"]["severity"] for rule in RULES} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"].endswith(".") for rule in RULES)


def test_each_metric_of_the_gateway_is_on_the_dashboard_or_in_a_rule() -> None:
    asked = {name for query in QUERIES for name, _ in read_query(str(query.values[0])).metrics}
    for name in FAMILIES:
        assert {name, f"{name}_bucket"} & asked, f"nobody looks at {name}"


def test_the_page_has_the_table_of_what_there_is() -> None:
    assert metrics_table() in PAGE, "run `make docs`"


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in panels
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    told = ", ".join(f'{label}="{value}"' for label, value in {"job": "gateway", "instance": "a", **labels}.items())
    return {"series": f"{name}{{{told}}}", "values": values}


WELL: Final[Sequence[dict[str, str]]] = (
    series("up", "1x45"),
    series("gateway_workers", "4x45"),
    series("gateway_processes_started_total", "0x30 4x15"),
    series("gateway_configuration_reloads_total", "0x30 1x15", outcome="ok"),
    series("gateway_requests_total", "0+600x45", route="/**", decision="allow", code="", status="2xx"),
    series("gateway_requests_total", "0+6x45", route="/**", decision="allow", code="", status="5xx"),
    series("gateway_logins_total", "0+60x45", provider="default", outcome="ok"),
    series("gateway_logins_total", "0+2x45", provider="default", outcome="op_access_denied"),
    series("gateway_refreshes_total", "0+60x45", provider="default", outcome="ok"),
    series("gateway_provider_calls_total", "0+60x45", provider="default", operation="code", outcome="ok"),
    series("gateway_provider_keys_fetched_timestamp_seconds", "0x45", provider="default"),
    series("gateway_store_calls_total", "0+600x45", operation="get", outcome="ok"),
    series("gateway_store_calls_total", "0+60x45", operation="lock", outcome="busy"),
    series("gateway_upstream_calls_total", "0+600x45", upstream="http://app:8000", outcome="ok"),
    series("gateway_own_seconds_bucket", "0+600x45", route="/**", le="0.001"),
    series("gateway_own_seconds_bucket", "0+600x45", route="/**", le="+Inf"),
    series("gateway_metrics_dropped_total", "0x45"),
)
ILL: Final[Mapping[str, Sequence[dict[str, str]]]] = {
    "GatewayDown": [series("up", "0x45", instance="b")],
    "GatewayErrors": [
        series("gateway_requests_total", "0+60x45", route="/x", decision="allow", code="", status="5xx")
    ],
    "GatewayLoginsFailing": [series("gateway_logins_total", "0+20x45", provider="", outcome="response_expired")],
    "GatewayProviderUnreachable": [
        series("gateway_provider_calls_total", "0+99x45", provider="default", operation="code", outcome="failed")
    ],
    "GatewayProviderSlow": [
        series("gateway_provider_seconds_bucket", "0+1x45", provider="default", operation="code", le="2.5"),
        series("gateway_provider_seconds_bucket", "0+60x45", provider="default", operation="code", le="10.0"),
        series("gateway_provider_seconds_bucket", "0+60x45", provider="default", operation="code", le="+Inf"),
    ],
    "GatewayRefreshesFailing": [
        series("gateway_refreshes_total", "0+60x45", provider="default", outcome="token_grant_invalid")
    ],
    "GatewayStoreErrors": [series("gateway_store_calls_total", "0+60x45", operation="get", outcome="store_down")],
    "GatewayStoreSlow": [
        series("gateway_store_seconds_bucket", "0+90x45", operation="get", le="0.1"),
        series("gateway_store_seconds_bucket", "0+100x45", operation="get", le="0.25"),
        series("gateway_store_seconds_bucket", "0+100x45", operation="get", le="+Inf"),
    ],
    "GatewayUpstreamFailing": [
        series("gateway_upstream_calls_total", "0+60x45", upstream="http://app:8000", outcome="upstream_unreachable")
    ],
    "GatewaySlow": [
        series("gateway_own_seconds_bucket", "0+9000x45", route="/x", le="0.25"),
        series("gateway_own_seconds_bucket", "0+9000x45", route="/x", le="+Inf"),
    ],
    "GatewayReloadRefused": [series("gateway_configuration_reloads_total", "0x35 1x10", outcome="refused")],
    "GatewayWorkersDie": [series("gateway_processes_started_total", "0+2x45", instance="b"),
                          series("gateway_workers", "4x45", instance="b"),
                          series("gateway_configuration_reloads_total", "0x45", instance="b", outcome="ok")],
    "GatewayShedding": [
        series("gateway_requests_total", "0+6x45", route="", decision="refuse", code="overloaded", status="5xx")
    ],
    "GatewayMetricsDropped": [series("gateway_metrics_dropped_total", "0x35 9x10", instance="b")],
    "GatewayProviderKeysOld": [
        series("gateway_provider_keys_fetched_timestamp_seconds", "-21600x45", provider="old"),
        series("gateway_logins_total", "0+60x45", provider="old", outcome="ok"),
    ],
}  # fmt: skip


def firing(tmp_path: Path, given: Sequence[tuple[Sequence[str], Sequence[dict[str, str]]]]) -> set[str]:
    """Tell which rules fire, each by the series beside it, by Prometheus itself."""
    tests = [
        {
            "interval": "1m",
            "input_series": list(all_series),
            "alert_rule_test": [{"eval_time": "40m", "alertname": one, "exp_alerts": []} for one in alerts],
        }
        for alerts, all_series in given
    ]
    suite = {"rule_files": [str(ROOT / "examples/prometheus/alerts.yml")], "evaluation_interval": "1m", "tests": tests}
    file = tmp_path / "suite.yml"
    file.write_text(yaml.safe_dump(suite))
    command = [str(shutil.which("promtool")), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    fired = re.findall(r"alertname: ?(\w+), time: ?\w+,\s+exp:\[\s*\],\s+got:\[", done.stdout + done.stderr)
    assert (done.returncode == 0) == (not fired), done.stdout + done.stderr
    return set(fired)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus")
def test_each_rule_fires_when_it_should_and_is_still_when_all_is_well(tmp_path: Path) -> None:
    assert set(ILL) == {rule["alert"] for rule in RULES}
    assert firing(tmp_path, [(list(ILL), WELL)]) == set()
    assert firing(tmp_path, [([alert], [*WELL, *ill]) for alert, ill in ILL.items()]) == set(ILL)
