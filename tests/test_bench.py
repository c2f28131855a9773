"""What the benchmark reads and writes; no server runs."""

import json
from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

import pytest

from bench.figures import Figures, Key, median, median_ratio, oddities, rate
from bench.load import Report, odd, read_report
from bench.page import BEGIN, END, PAGE, between_marks
from bench.plot import Bar, plot
from bench.processes import BenchError
from bench.profile import read_profile
from bench.selection import PEERS, chosen_cases, chosen_peers, chosen_weights
from bench.table import Server, Table, as_markdown, as_text, of_case
from bench.targets import TARGETS, WEIGHTS, Target, judge, judge_all, weigh

REPORTED: Final = {
    "requests": 3000, "microseconds": 2_000_000, "bytes": 4_000_000, "p50": 1500, "p99": 20_000, "longest": 30_000,
    "connect": 0, "read": 0, "write": 0, "timeout": 0, "status": 0,
}  # fmt: skip


def printed(**changes: int) -> str:
    line = json.dumps({**REPORTED, **changes})
    return f"Running 2s test @ http://127.0.0.1:1/small\n  3000 requests in 2.00s, 3.81MB read\n{line}\n"


def figures(requests: float, **changes: object) -> Figures:
    usual: dict[str, object] = {
        "rate": requests, "mib_per_second": 1.0, "p50": 1.0, "p99": 2.0, "cpu_ms": 0.5, "busy": 1.0, "load_busy": 0.3,
        "foreign": 0.0, "resident_mib": 60.0,
    }  # fmt: skip
    return Figures(**{**usual, **changes})  # type: ignore[arg-type]


def of_rounds(**servers: list[float]) -> dict[Key, Mapping[int, Figures]]:
    return {
        (name, "small"): {number: figures(seen) for number, seen in enumerate(rounds, 1)}
        for name, rounds in servers.items()
    }


def test_reads_what_wrk_reports() -> None:
    report = read_report(printed())
    assert (report.requests, report.seconds, report.octets) == (3000, 2.0, 4_000_000)
    assert (report.p50, report.p99, report.errors) == (1.5, 20.0, {})


@pytest.mark.parametrize("output", ["", "unable to connect to 127.0.0.1:1", printed() + printed()])
def test_output_without_one_report_is_an_error(output: str) -> None:
    with pytest.raises(BenchError):
        read_report(output)


@pytest.mark.parametrize(
    ("changes", "length", "told"),
    [
        pytest.param({}, 1024, (), id="nothing"),
        pytest.param({"status": 3}, 1024, ("3 status errors",), id="statuses"),
        pytest.param({"read": 1, "timeout": 2}, 1024, ("1 read errors", "2 timeout errors"), id="sockets"),
        pytest.param({"requests": 0, "bytes": 0}, 1024, ("no request was answered",), id="no answers"),
        pytest.param({"bytes": 900_000}, 1024, ("300 bytes a request, which are not the backend's",), id="redirects"),
    ],
)
def test_tells_what_makes_figures_worthless(changes: dict[str, int], length: int, told: tuple[str, ...]) -> None:
    report: Report = read_report(printed(**changes))
    assert odd(report, length) == told


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    results = of_rounds(gateway=[100, 300, 50], envoy=[100, 100, 100])
    assert median(results, ("gateway", "small"), rate) == 100
    assert median_ratio(results, ("gateway", "small"), ("envoy", "small"), rate) == 1.0
    both_slow = of_rounds(gateway=[100, 50, 200], envoy=[100, 50, 100])
    assert median_ratio(both_slow, ("gateway", "small"), ("envoy", "small"), rate) == 1.0


def test_a_round_that_lacks_one_of_two_counts_for_nothing() -> None:
    results = of_rounds(gateway=[100, 200], envoy=[50])
    assert median_ratio(results, ("gateway", "small"), ("envoy", "small"), rate) == 2.0
    assert median_ratio(results, ("gateway", "small"), ("apache", "small"), rate) is None


def test_oddities_name_server_case_and_round() -> None:
    results = {("envoy", "small"): {2: figures(1, problems=("3 read errors",))}}
    assert oddities(results) == ["envoy, small, round 2: 3 read errors"]


AT_LEAST: Final = Target(what="x", over=("gateway", "small"), under=("envoy", "small"), reading=rate, bound=2)
AT_MOST: Final = Target(
    what="x", over=("gateway", "small"), under=("envoy", "small"), reading=rate, bound=2, at_most=True
)


@pytest.mark.parametrize(
    ("target", "ours", "state", "seen"),
    [
        (AT_LEAST, 200, "ok", "2.00"),
        (AT_LEAST, 199, "short", "1.99"),
        (AT_MOST, 200, "ok", "2.00"),
        (AT_MOST, 201, "short", "2.01"),
        (AT_LEAST, 3, "short", "0.030"),
    ],
)
def test_judges_a_ratio(target: Target, ours: float, state: str, seen: str) -> None:
    judged = judge(target, of_rounds(gateway=[ours], envoy=[100]))
    assert (judged.state, judged.seen, judged.note) == (state, seen, "")


def test_tells_the_ratio_by_what_a_request_costs() -> None:
    results = {("gateway", "small"): {1: figures(9, cpu_ms=0.1)}, ("envoy", "small"): {1: figures(9, cpu_ms=0.25)}}
    assert (judge(AT_LEAST, results).by_cpu, judge(AT_MOST, results).by_cpu) == ("2.50", "")


def test_says_that_a_server_had_time_left() -> None:
    results = {("gateway", "small"): {1: figures(9)}, ("envoy", "small"): {1: figures(9, busy=0.5)}}
    assert judge(AT_LEAST, results).note == "envoy used 50% of its core"


def test_judges_weights_and_what_was_not_measured() -> None:
    assert [weigh(WEIGHTS[0], seen).state for seen in (400, 401, None)] == ["ok", "short", "not measured"]
    assert weigh(WEIGHTS[0], "after 2000: no").note == "after 2000: no"
    assert {one.state for one in judge_all({}, {})} == {"not measured"}


def test_targets_compare_what_is_measured() -> None:
    cases = {peer.name: peer.cases for peer in PEERS}
    for target in TARGETS:
        assert all(case in cases[server] for server, case in (target.over, target.under)), target.what


TABLE: Final = Table(head=["server", "requests/s", "note"], rows=[["gateway", "1,500", "x"], ["nginx", "40,000", ""]])


def test_aligns_a_table_for_the_terminal() -> None:
    assert as_text(TABLE).splitlines() == [
        "server   requests/s  note",
        "gateway       1,500  x",
        "nginx        40,000",
    ]


def test_writes_a_table_for_a_page() -> None:
    assert as_markdown(TABLE).splitlines()[:3] == [
        "| server | requests/s | note |",
        "| --- | ---: | --- |",
        "| gateway | 1,500 | x |",
    ]


def test_a_case_has_a_row_for_each_server_that_was_measured() -> None:
    servers = [Server(name=name, title=name.title()) for name in ("gateway", "envoy", "apache")]
    small, crowd = chosen_cases(["small", "crowd"])
    table = of_case(small, servers, of_rounds(gateway=[1500, 1700, 1600], envoy=[8000]))
    assert table is not None
    assert [(row[0], row[1]) for row in table.rows] == [("Gateway", "1,600"), ("Envoy", "8,000")]
    assert of_case(crowd, servers, of_rounds(gateway=[1500])) is None


def test_prose_around_the_marks_stays() -> None:
    page = f"# Title\n\n{BEGIN}old\n{END}\n\n## Prose\n"
    assert between_marks(page, "new\n") == f"# Title\n\n{BEGIN}new\n{END}\n\n## Prose\n"
    assert between_marks(PAGE.read_text(encoding="utf-8"), "x").count("x<!--") == 1


@pytest.mark.parametrize("page", ["", BEGIN, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END])
def test_a_page_without_its_marks_is_an_error(page: str) -> None:
    with pytest.raises(BenchError):
        between_marks(page, "new")


def test_the_plot_is_an_svg_with_a_bar_for_each_value() -> None:
    bars = [Bar(title="a & b", rate=100, p99=4, own=True), Bar(title="c", rate=50_000, p99=1, own=False)]
    root = ET.fromstring(plot("1 KiB", bars))
    widths = [float(one.attrib["width"]) for one in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert len(widths) == 4
    assert widths[2] > widths[0] >= 1
    assert widths[1] == pytest.approx(4 * widths[3])


def test_reads_a_profile() -> None:
    raw = (
        "run (threading.py:1);call (gateway/app.py:7);send (gateway/upstream_pool.py:9) 6\n"
        "run (threading.py:1);call (gateway/app.py:8);<genexpr> (selectors.py:3) 3\n"
        "handle (gunicorn/workers/gthread.py:5) 1\n"
    )
    read = read_profile(raw)
    assert read.packages == {"gateway": 6, "gunicorn": 1, "the rest of Python": 3}
    assert read.modules == {"gateway/upstream_pool": 6, "selectors": 3, "gunicorn/workers/gthread": 1}
    assert read.functions["gateway/upstream_pool send"] == 6
    assert read.inclusive == {"gateway/app call": 9, "gateway/upstream_pool send": 6}


def test_names_choose() -> None:
    assert [case.name for case in chosen_cases(["miss", "sessions"])] == ["miss"]
    assert chosen_weights(["miss", "sessions"]) == ["sessions"]
    peers = chosen_peers(["gateway", "gateway-redis"], chosen_cases(["miss"]))
    assert [peer.name for peer in peers] == ["gateway-redis"]
    with pytest.raises(BenchError, match="known: small"):
        chosen_cases(["smal"])
