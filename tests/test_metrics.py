"""The metrics: what each thing that happens adds to them, and that many processes are counted as one."""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from metrics_reading import sample, samples

from gateway import errors
from gateway.metrics import metrics_app, open_metrics
from gateway.metrics.exposition import exposition
from gateway.metrics.families import BUCKETS, FAMILIES, SUM, WATCHED
from gateway.metrics.sink import SEPARATOR, Metrics
from gateway.metrics.tally import FIRST_OCTETS, MAX_OCTETS, MAX_ROW, open_tally, read_tallies
from gateway.telemetry import NO_TAG, Called, Decision, Event, Peer, Served
from gateway.telemetry import Kind as Happening
from gateway.testing import Browser

SERVED: Final = Served(
    tag=NO_TAG,
    method="GET",
    path="/api/secret-path",
    host="secret-host.example",
    client="203.0.113.77",
    route="/api/**",
    decision=Decision.ALLOW,
    code="",
    issuer="https://secret-issuer.example",
    subject="secret-subject",
    provider="default",
    upstream="http://127.0.0.1:3000",
    status=200,
    sent=1024,
    began_at=1_800_000_000.0,
    seconds=0.030,
    upstream_seconds=0.020,
)
REQUEST: Final = {"route": "/api/**", "decision": "allow", "code": "", "status": "2xx"}
STORE: Final = Called(peer=Peer.STORE, name="", operation="get", outcome="ok", began_at=1_800_000_000.0, seconds=0.002)
PROVIDER: Final = STORE._replace(peer=Peer.PROVIDER, name="default", operation="token")
UPSTREAM: Final = STORE._replace(peer=Peer.UPSTREAM, name="http://127.0.0.1:3000", operation="SECRET-METHOD")


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return open_metrics(tmp_path)


@pytest.mark.parametrize(
    ("happens", "name", "labels"),
    [
        pytest.param(lambda to: to.served(SERVED), "gateway_requests_total", REQUEST, id="request"),
        pytest.param(
            lambda to: to.served(SERVED._replace(decision=Decision.REFUSE, code="access_denied", status=403)),
            "gateway_requests_total",
            {**REQUEST, "decision": "refuse", "code": "access_denied", "status": "4xx"},
            id="request-refused",
        ),
        pytest.param(
            lambda to: to.served(SERVED._replace(code="made up")),
            "gateway_requests_total",
            {**REQUEST, "code": "other"},
            id="request-with-a-code-of-nobody",
        ),
        pytest.param(
            lambda to: to.served(SERVED._replace(status=999)),
            "gateway_requests_total",
            {**REQUEST, "status": "other"},
            id="request-with-a-status-of-nobody",
        ),
        pytest.param(
            lambda to: to.served(SERVED), "gateway_request_seconds_count", {"route": "/api/**"}, id="request-seconds"
        ),
        pytest.param(
            lambda to: to.served(SERVED),
            "gateway_request_seconds_bucket",
            {"route": "/api/**", "le": "0.05"},
            id="request-seconds-in-their-bucket",
        ),
        pytest.param(
            lambda to: to.served(SERVED),
            "gateway_upstream_seconds_bucket",
            {"route": "/api/**", "le": "0.025"},
            id="upstream-seconds",
        ),
        pytest.param(
            lambda to: to.served(SERVED),
            "gateway_own_seconds_bucket",
            {"route": "/api/**", "le": "0.01"},
            id="own-seconds",
        ),
        pytest.param(
            lambda to: to.served(SERVED._replace(seconds=7200.0)),
            "gateway_own_seconds_bucket",
            {"route": "/api/**", "le": "+Inf"},
            id="own-seconds-of-a-stream",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.LOGIN, provider="default")),
            "gateway_logins_total",
            {"provider": "default", "outcome": "ok"},
            id="login",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.LOGIN, provider="default", outcome="response_expired")),
            "gateway_logins_total",
            {"provider": "default", "outcome": "response_expired"},
            id="login-failed",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.LOGIN, provider="default", outcome="<script>")),
            "gateway_logins_total",
            {"provider": "default", "outcome": "other"},
            id="login-with-a-code-of-nobody",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.LOGIN, provider="default")),
            "gateway_sessions_started_total",
            {"provider": "default"},
            id="session-started",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.REFRESH, provider="default")),
            "gateway_refreshes_total",
            {"provider": "default", "outcome": "ok"},
            id="refresh",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.LOGOUT, way="back_channel")),
            "gateway_logouts_total",
            {"way": "back_channel", "outcome": "ok"},
            id="logout",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.STEP_UP, provider="default")),
            "gateway_step_ups_total",
            {"provider": "default", "outcome": "ok"},
            id="step-up",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.REVOCATION, way="administration")),
            "gateway_revocations_total",
            {"way": "administration", "outcome": "ok"},
            id="revocation",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.CONFIGURATION)),
            "gateway_configuration_reloads_total",
            {"outcome": "ok"},
            id="reload",
        ),
        pytest.param(
            lambda to: to.happened(Event(kind=Happening.CONFIGURATION, outcome="configuration_refused")),
            "gateway_configuration_reloads_total",
            {"outcome": "refused"},
            id="reload-refused",
        ),
        pytest.param(
            lambda to: to.called(STORE),
            "gateway_store_calls_total",
            {"operation": "get", "outcome": "ok"},
            id="store",
        ),
        pytest.param(
            lambda to: to.called(STORE._replace(outcome="store_down")),
            "gateway_store_calls_total",
            {"operation": "get", "outcome": "store_down"},
            id="store-down",
        ),
        pytest.param(
            lambda to: to.called(STORE),
            "gateway_store_seconds_bucket",
            {"operation": "get", "le": "0.0025"},
            id="store-seconds",
        ),
        pytest.param(
            lambda to: to.called(PROVIDER),
            "gateway_provider_calls_total",
            {"provider": "default", "operation": "token", "outcome": "ok"},
            id="provider",
        ),
        pytest.param(
            lambda to: to.called(PROVIDER),
            "gateway_provider_seconds_count",
            {"provider": "default", "operation": "token"},
            id="provider-seconds",
        ),
        pytest.param(
            lambda to: to.called(UPSTREAM),
            "gateway_upstream_calls_total",
            {"upstream": "http://127.0.0.1:3000", "outcome": "ok"},
            id="upstream",
        ),
    ],
)  # fmt: skip
def test_what_happens_is_counted_once(
    metrics: Metrics, happens: Callable[[Metrics], None], name: str, labels: dict[str, str]
) -> None:
    for times in (1, 2):
        happens(metrics)
        assert sample(exposition(metrics), name, **labels) == times


def test_a_refusal_is_counted_with_its_request_alone(metrics: Metrics) -> None:
    before = set(samples(exposition(metrics)))
    metrics.happened(Event(kind=Happening.REFUSAL, outcome="access_denied"))
    assert set(samples(exposition(metrics))) == before


def test_threads_lose_nothing(metrics: Metrics) -> None:
    def count() -> None:
        for _ in range(2000):
            metrics.served(SERVED)
            metrics.called(STORE)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = exposition(metrics)
    assert sample(text, "gateway_requests_total", **REQUEST) == 8000
    assert sample(text, "gateway_request_seconds_count", route="/api/**") == 8000
    assert sample(text, "gateway_store_calls_total", operation="get", outcome="ok") == 8000


def test_sums_add_up(metrics: Metrics) -> None:
    metrics.served(SERVED)
    metrics.served(SERVED._replace(upstream="", upstream_seconds=0.0))
    text = exposition(metrics)
    assert sample(text, "gateway_request_seconds_sum", route="/api/**") == pytest.approx(0.060)
    assert sample(text, "gateway_upstream_seconds_sum", route="/api/**") == pytest.approx(0.020)
    assert sample(text, "gateway_own_seconds_sum", route="/api/**") == pytest.approx(0.040)
    assert sample(text, "gateway_upstream_seconds_count", route="/api/**") == 1


def test_what_alerts_wait_for_begins_at_0(metrics: Metrics) -> None:
    begun = samples(exposition(metrics))
    assert begun["gateway_configuration_reloads_total", frozenset({("outcome", "refused")})] == 0
    assert begun["gateway_metrics_dropped_total", frozenset()] == 0


def test_no_sum_goes_down_where_the_clock_was_set_back(metrics: Metrics) -> None:
    metrics.served(SERVED._replace(seconds=0.0, upstream_seconds=0.5))
    assert sample(exposition(metrics), "gateway_own_seconds_sum", route="/api/**") == 0


def test_the_last_good_fetch_of_keys_counts(metrics: Metrics) -> None:
    name = "gateway_provider_keys_fetched_timestamp_seconds"
    keys = PROVIDER._replace(operation="jwks", seconds=0.5)
    metrics.called(keys)
    assert sample(exposition(metrics), name, provider="default") == keys.began_at + 0.5
    metrics.called(keys._replace(began_at=keys.began_at + 60, outcome="provider_unavailable"))
    assert sample(exposition(metrics), name, provider="default") == keys.began_at + 0.5
    metrics.called(keys._replace(began_at=keys.began_at + 120))
    assert sample(exposition(metrics), name, provider="default") == keys.began_at + 120.5


def test_every_code_of_ours_is_counted_by_its_name(metrics: Metrics) -> None:
    codes = [one.code for one in vars(errors).values() if isinstance(one, errors.Problem)]
    for code in codes:
        metrics.happened(Event(kind=Happening.LOGIN, provider="default", outcome=code))
    text = exposition(metrics)
    assert {sample(text, "gateway_logins_total", provider="default", outcome=code) for code in codes} == {1.0}


def test_nothing_of_a_user_becomes_a_label(metrics: Metrics) -> None:
    metrics.served(SERVED._replace(method="SECRET-METHOD"))
    metrics.called(UPSTREAM)
    event = Event(kind=Happening.LOGIN, provider="default", issuer="secret", subject="secret", client="203.0.113.77")
    metrics.happened(replace(event, detail="secret", route="/secret"))
    text = exposition(metrics).decode()
    assert 'route="/api/**"' in text
    assert "secret" not in text.lower()
    assert "203.0.113.77" not in text


@pytest.mark.parametrize(
    "route",
    [
        pytest.param('/a"b', id="quote"),
        pytest.param("/a\\b", id="backslash"),
        pytest.param("/a\nb 1", id="line-end"),
        pytest.param("/ä/**", id="not-ascii"),
        pytest.param('"} 1\nforged_total{x="', id="forged"),
    ],
)
def test_labels_are_escaped(metrics: Metrics, route: str) -> None:
    metrics.served(SERVED._replace(route=route))
    text = exposition(metrics)
    assert sample(text, "gateway_requests_total", **{**REQUEST, "route": route}) == 1
    assert not [name for name, _ in samples(text) if name.startswith("forged")]


def test_a_label_with_the_separator_is_one_label(metrics: Metrics) -> None:
    metrics.served(SERVED._replace(route=f"/a{SEPARATOR}b"))
    assert sample(exposition(metrics), "gateway_requests_total", **{**REQUEST, "route": "/a b"}) == 1


def test_what_is_watched_is_read_when_it_is_asked_for(metrics: Metrics) -> None:
    state = {"tunnels": 3.0, "local_cache_hits": 5.0}
    metrics.watch("tunnels", lambda: state["tunnels"])
    metrics.watch("local_cache_hits", lambda: state["local_cache_hits"])
    metrics.watch("what nobody knows", lambda: 1.0)
    assert sample(exposition(metrics), "gateway_tunnels") == 3
    state.update(tunnels=1.0, local_cache_hits=9.0)
    text = exposition(metrics)
    assert sample(text, "gateway_tunnels") == 1
    assert sample(text, "gateway_local_cache_total", outcome="hit") == 9
    metrics.watch("tunnels", lambda: 10.0)
    assert sample(exposition(metrics), "gateway_tunnels") == 11


def test_who_is_read_may_tell_us_something_meanwhile(metrics: Metrics) -> None:
    def read() -> float:
        metrics.served(SERVED)
        return 1.0

    metrics.watch("tunnels", read)
    assert sample(exposition(metrics), "gateway_tunnels") == 1


def test_every_metric_has_a_help_of_one_sentence_and_labels_that_are_none_of_ours() -> None:
    for family in FAMILIES.values():
        assert family.help.endswith(".")
        assert not {"le", "job", "instance", "path", "host", "client", "subject"} & set(family.labels)
        assert family.cells <= MAX_ROW
    assert all(len(labels) == len(family.labels) for family, labels in WATCHED.values())
    assert tuple(sorted(BUCKETS)) == BUCKETS


class Process:
    """A process that counts, in this one: it ends by letting go of its file, as the kernel does for one."""

    def __init__(self, directory: Path) -> None:
        self.tally = open_tally(directory, "worker")
        self.metrics = Metrics(self.tally, directory)

    def end(self) -> None:
        fcntl.flock(self.tally._descriptor, fcntl.LOCK_UN)


def test_processes_are_counted_as_one(tmp_path: Path) -> None:
    one, other = Process(tmp_path), Process(tmp_path)
    one.metrics.served(SERVED)
    other.metrics.served(SERVED)
    one.metrics.watch("tunnels", lambda: 2.0)
    other.metrics.watch("tunnels", lambda: 3.0)
    one.metrics.refresh()
    text = exposition(other.metrics)
    assert sample(text, "gateway_requests_total", **REQUEST) == 2
    assert sample(text, "gateway_request_seconds_count", route="/api/**") == 2
    assert sample(text, "gateway_tunnels") == 5
    assert sample(text, "gateway_workers") == 2


def test_a_process_that_ends_leaves_its_counts_and_takes_its_states_along(tmp_path: Path) -> None:
    one, other = Process(tmp_path), Process(tmp_path)
    one.metrics.served(SERVED)
    one.metrics.watch("tunnels", lambda: 2.0)
    one.metrics.watch("local_cache_hits", lambda: 7.0)
    one.metrics.refresh()
    assert sample(exposition(other.metrics), "gateway_tunnels") == 2
    one.end()
    text = exposition(other.metrics)
    assert sample(text, "gateway_requests_total", **REQUEST) == 1
    assert sample(text, "gateway_local_cache_total", outcome="hit") == 7
    assert sample(text, "gateway_tunnels") == 0
    assert sample(text, "gateway_workers") == 1


def test_whoever_takes_the_place_of_one_that_ended_counts_on(tmp_path: Path) -> None:
    first = Process(tmp_path)
    first.metrics.served(SERVED)
    first.metrics.watch("local_cache_hits", lambda: 7.0)
    first.metrics.refresh()
    first.end()
    second = Process(tmp_path)
    second.metrics.served(SERVED)
    second.metrics.watch("local_cache_hits", lambda: 1.0)
    text = exposition(second.metrics)
    assert sample(text, "gateway_requests_total", **REQUEST) == 2
    assert sample(text, "gateway_local_cache_total", outcome="hit") == 8
    assert sample(text, "gateway_processes_started_total") == 2


def test_a_thousand_reloads_leave_as_many_files_as_there_were_processes_at_once(tmp_path: Path) -> None:
    old = Process(tmp_path)
    for _ in range(1000):
        new = Process(tmp_path)
        new.metrics.served(SERVED)
        old.end()
        os.close(old.tally._descriptor)
        old = new
    assert sample(exposition(old.metrics), "gateway_requests_total", **REQUEST) == 1000
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_kill_leaves_in_the_middle_of_a_new_row_is_nothing(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.metrics.served(SERVED)
    before = exposition(process.metrics)
    used = int(process.tally.cells[0])
    process.tally.cells[used] = 77.0  # The length of a key that never came; `used` is written last.
    process.end()
    again = Process(tmp_path)
    assert sample(exposition(again.metrics), "gateway_requests_total", **REQUEST) == 1
    again.metrics.called(STORE)
    text = exposition(again.metrics)
    assert sample(text, "gateway_store_calls_total", operation="get", outcome="ok") == 1
    assert set(samples(before)) <= set(samples(text))


def test_rows_of_another_version_are_left_alone(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.tally.row(f"gateway_requests_total{SEPARATOR}/api/**", 1)
    process.tally.row(f"gateway_store_seconds{SEPARATOR}get", SUM + 4)
    process.tally.row("gateway_of_the_future_total", 1)
    process.metrics.called(STORE)
    text = exposition(process.metrics)
    assert sample(text, "gateway_store_seconds_count", operation="get") == 1
    assert not [name for name, _ in samples(text) if "future" in name]


def test_a_file_that_was_just_made_is_no_reading(tmp_path: Path) -> None:
    (tmp_path / "worker-9.tally").touch()
    process = Process(tmp_path)
    assert sample(exposition(process.metrics), "gateway_workers") == 1


def test_what_is_full_drops_and_says_so_and_counts_on_what_it_knew(tmp_path: Path) -> None:
    process = Process(tmp_path)
    process.metrics.served(SERVED)
    for number in range(MAX_OCTETS):
        if process.tally.row(f"filling {number} {'x' * 4000}", 1) is None:
            break
    for number in range(200):
        process.metrics.served(SERVED._replace(route=f"/{number}"))
    process.metrics.served(SERVED)
    text = exposition(process.metrics)
    assert sample(text, "gateway_requests_total", **REQUEST) == 2
    assert sample(text, "gateway_metrics_dropped_total") > 0
    assert (tmp_path / "worker-0.tally").stat().st_size <= MAX_OCTETS


def test_a_tally_grows_and_keeps_what_it_had(tmp_path: Path) -> None:
    tally = open_tally(tmp_path, "worker")
    places = {}
    for number in range(3000):
        place = tally.row(f"key {number}", 1)
        assert place is not None
        places[number] = place
        tally.cells[place] = number
    assert (tmp_path / "worker-0.tally").stat().st_size > FIRST_OCTETS
    (reading,) = read_tallies(tmp_path)
    assert dict(reading.rows) == {f"key {number}": (float(number),) for number in range(3000)}
    assert (reading.pid, reading.is_alive) == (os.getpid(), True)


def test_an_app_mounts_the_metrics_where_it_wants(metrics: Metrics) -> None:
    metrics.served(SERVED)
    browser = Browser({"https://inner.example": metrics_app(metrics)}, clock=time.time)
    page = browser.fetch("https://inner.example/metrics")
    assert sample(page.body, "gateway_requests_total", **REQUEST) == 1
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert browser.fetch("https://inner.example/metrics", method="POST").status == 405


def test_processes_are_shown_by_their_places(metrics: Metrics) -> None:
    text = exposition(metrics)
    for name in ("process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"):
        assert sample(text, name, process="worker-0") > 0
    assert sample(text, "process_cpu_seconds_total", process="worker-0") > 0
    assert [name for name, _ in samples(text) if name == "gateway_build_info"]
