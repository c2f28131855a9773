"""Where the metrics are served: what is answered there, and what becomes of the place when masters come and go."""

import contextlib
import os
import socket
import stat
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
from harness import base_config
from peers.servers import LOOPBACK, free_port

from gateway.config import parse_settings
from gateway.config_metrics_model import MetricsSettings
from gateway.config_sources import ConfigurationError
from gateway.metrics import place as placing
from gateway.metrics.listener import Listener, bind
from gateway.metrics.place import VARIABLE, close_place, find_place, make_master_metrics, make_metrics, open_place
from gateway.metrics.sink import Metrics
from gateway.telemetry import Event, Kind, Silence

TEXT: Final = b"gateway_up 1\n"


@pytest.mark.parametrize(
    ("listen", "settings"),
    [
        pytest.param("", MetricsSettings(), id="off"),
        pytest.param("127.0.0.1:9464", MetricsSettings(host="127.0.0.1", port=9464), id="ipv4"),
        pytest.param("0.0.0.0:9464", MetricsSettings(host="0.0.0.0", port=9464), id="everywhere"),
        pytest.param("[::1]:9464", MetricsSettings(host="::1", port=9464), id="ipv6"),
        pytest.param("localhost:9464", MetricsSettings(host="localhost", port=9464), id="name"),
        pytest.param("unix:/run/metrics.sock", MetricsSettings(path="/run/metrics.sock"), id="unix"),
    ],
)
def test_where_it_may_listen(listen: str, settings: MetricsSettings) -> None:
    document = {**base_config({"type": "memory"}), "metrics": {"listen": listen}}
    assert parse_settings(document, {}).metrics == settings


@pytest.mark.parametrize(
    "listen",
    [
        pytest.param("9464", id="port-alone"),
        pytest.param(":9464", id="no-host"),
        pytest.param("127.0.0.1", id="no-port"),
        pytest.param("127.0.0.1:0", id="port-0"),
        pytest.param("127.0.0.1:99999", id="port-too-large"),
        pytest.param("127.0.0.1:9464/metrics", id="path"),
        pytest.param("http://127.0.0.1:9464", id="url"),
        pytest.param("me@127.0.0.1:9464", id="user"),
        pytest.param("unix:metrics.sock", id="relative-socket"),
        pytest.param("unix:", id="no-socket"),
        pytest.param("unix:/" + "x" * 100, id="socket-too-long"),
        pytest.param("unix:/run/a\nb", id="line-end"),
    ],
)
def test_where_it_may_not_listen(listen: str) -> None:
    document = {**base_config({"type": "memory"}), "metrics": {"listen": "127.0.0.1:9464"}}
    parse_settings(document, {})
    with pytest.raises(ConfigurationError, match=r"metrics\.listen"):
        parse_settings({**document, "metrics": {"listen": listen}}, {})


@pytest.fixture
def port(request: pytest.FixtureRequest) -> int:
    """A port where two threads answer, as two workers would, until the test ends."""
    number = free_port()
    bound = bind(MetricsSettings(host=LOOPBACK, port=number))
    for _ in range(2):
        Listener(bound, lambda: TEXT, seconds=getattr(request, "param", 10.0)).begin()
    return number


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection((LOOPBACK, port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        pytest.param(b"GET /metrics HTTP/1.1", b"200", TEXT, id="get"),
        pytest.param(b"GET /metrics HTTP/1.0", b"200", TEXT, id="http-1.0"),
        pytest.param(b"GET /metrics?name=x HTTP/1.1", b"200", TEXT, id="query"),
        pytest.param(b"HEAD /metrics HTTP/1.1", b"200", b"", id="head"),
        pytest.param(b"POST /metrics HTTP/1.1", b"404", b"", id="post"),
        pytest.param(b"GET / HTTP/1.1", b"404", b"", id="root"),
        pytest.param(b"GET /metrics/ HTTP/1.1", b"404", b"", id="slash"),
        pytest.param(b"GET //metrics HTTP/1.1", b"404", b"", id="two-slashes"),
        pytest.param(b"GET /ping HTTP/1.1", b"404", b"", id="ping"),
        pytest.param(b"GET http://x/metrics HTTP/1.1", b"404", b"", id="absolute"),
        pytest.param(b"GET /metrics", b"404", b"", id="no-version"),
        pytest.param(b"GET /metrics HTTP/2.0", b"404", b"", id="version"),
        pytest.param(b"\x16\x03\x01\x02\x00", b"404", b"", id="tls"),
    ],
)
def test_what_is_answered(port: int, request_line: bytes, status: bytes, body: bytes) -> None:
    head, _, text = ask(port, request_line + b"\r\nHost: x\r\n\r\n").partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert text == body
    assert b"Connection: close" in head
    if status == b"200":
        assert f"Content-Length: {len(TEXT)}".encode() in head


def test_a_head_that_is_too_large_is_not_answered(port: int) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert TEXT not in ask(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n")
    assert ask(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 8000 + b"\r\n\r\n").endswith(TEXT)


@pytest.mark.parametrize("port", [pytest.param(0.2, id="0.2s")], indirect=True)
def test_a_slow_client_is_let_go_and_the_next_is_answered(port: int) -> None:
    with socket.create_connection((LOOPBACK, port)) as one, socket.create_connection((LOOPBACK, port)) as other:
        one.sendall(b"GET /met")
        other.sendall(b"GET /metrics HTTP/1.1\r\n")  # Both threads are busy now.
        assert ask(port, b"GET /metrics HTTP/1.1\r\n\r\n").endswith(TEXT)
        assert one.recv(100) == b""


def test_who_does_not_read_is_let_go() -> None:
    number = free_port()
    Listener(bind(MetricsSettings(host=LOOPBACK, port=number)), lambda: b"x" * 64_000_000, seconds=0.2).begin()
    with socket.create_connection((LOOPBACK, number)) as idle:
        idle.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert ask(number, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_a_failure_to_write_them_down_ends_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    number = free_port()
    given: list[bytes | Exception] = [OSError("disk"), ValueError("bug"), TEXT]

    def answer() -> bytes:
        one = given.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    Listener(bind(MetricsSettings(host=LOOPBACK, port=number)), answer).begin()
    for _ in range(2):
        assert ask(number, b"GET /metrics HTTP/1.1\r\n\r\n") == b""
    assert ask(number, b"GET /metrics HTTP/1.1\r\n\r\n").endswith(TEXT)


class Master:
    """What is seen of gunicorn's master."""

    def __init__(self, *, master_pid: int = 0, preload: bool = False, address: tuple[object, ...] = ()) -> None:
        self.master_pid = master_pid
        self.reexec_pid = 0
        self.cfg: Any = SimpleNamespace(address=list(address), preload_app=preload, env_orig={})


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "_MEMORY", tmp_path)
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture
def settings() -> MetricsSettings:
    return MetricsSettings(host=LOOPBACK, port=free_port())


def test_a_place_is_private_and_goes_with_its_master(settings: MetricsSettings, tmp_path: Path) -> None:
    master = Master()
    open_place(settings, master)
    place = find_place(os.environ)
    assert place is not None
    assert place.directory.parent == tmp_path
    assert stat.S_IMODE(place.directory.stat().st_mode) == 0o700
    assert master.cfg.env_orig[VARIABLE] == os.environ[VARIABLE]
    metrics = make_metrics(settings, os.environ)
    metrics.happened(Event(kind=Kind.CONFIGURATION))
    assert b'gateway_configuration_reloads_total{outcome="ok"} 1.0' in ask(
        settings.port, b"GET /metrics HTTP/1.1\r\n\r\n"
    )
    assert stat.S_IMODE((place.directory / "worker-0.tally").stat().st_mode) == 0o600
    close_place(master)
    assert list(tmp_path.iterdir()) == []


def test_what_the_master_counts_is_shown_by_a_worker(settings: MetricsSettings) -> None:
    open_place(settings, Master())
    make_master_metrics(settings, os.environ).happened(Event(kind=Kind.CONFIGURATION, outcome="configuration_refused"))
    make_metrics(settings, os.environ)
    text = ask(settings.port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert b'gateway_configuration_reloads_total{outcome="refused"} 1.0' in text
    assert b"gateway_workers 1.0" in text


def test_where_metrics_are_off_there_is_no_place(tmp_path: Path) -> None:
    open_place(MetricsSettings(), Master())
    assert find_place(os.environ) is None
    assert isinstance(make_metrics(MetricsSettings(), os.environ), Silence)
    assert list(tmp_path.iterdir()) == []
    close_place(Master())


def test_a_server_without_our_settings_serves_no_metrics_and_says_so(
    settings: MetricsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(make_metrics(settings, {}), Silence)
    assert "metrics.listen" in caplog.text


def test_where_there_is_no_room_the_gateway_serves_without(
    settings: MetricsSettings, caplog: pytest.LogCaptureFixture
) -> None:
    open_place(settings, Master())
    place = find_place(os.environ)
    assert place is not None
    place.directory.chmod(0o500)
    if os.geteuid() == 0:
        for path in place.directory.iterdir():
            path.unlink()
        place.directory.rmdir()
    assert isinstance(make_metrics(settings, os.environ), Silence)
    assert "not counted" in caplog.text


@pytest.mark.parametrize(
    ("master", "words"),
    [
        pytest.param(Master(preload=True), "preload_app", id="preload"),
        pytest.param(Master(address=[("127.0.0.1", 9464)]), "the gateway itself", id="public-listener"),  # type: ignore[arg-type]
    ],
)
def test_what_does_not_go_together_is_an_error_at_the_start(master: Master, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        open_place(MetricsSettings(host="127.0.0.1", port=9464), master)


def test_a_taken_port_is_an_error_at_the_start(settings: MetricsSettings) -> None:
    with bind(settings), pytest.raises(ConfigurationError, match=rf"metrics.listen: 127.0.0.1:{settings.port}: Addr"):
        open_place(settings, Master())
    open_place(settings, Master())


def test_an_upgrade_hands_the_place_on(settings: MetricsSettings, tmp_path: Path) -> None:
    old = Master()
    open_place(settings, old)
    before = find_place(os.environ)
    old.reexec_pid = 4711
    new = Master(master_pid=4710)
    open_place(settings, new)
    assert find_place(os.environ) == before
    close_place(old)  # It ends, and the new one goes on, which has not noticed yet.
    assert len(list(tmp_path.iterdir())) == 1
    close_place(new)
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_that_is_taken_back_leaves_the_place(settings: MetricsSettings, tmp_path: Path) -> None:
    old = Master()
    open_place(settings, old)
    close_place(Master(master_pid=os.getppid()))
    assert len(list(tmp_path.iterdir())) == 1
    close_place(old)
    assert list(tmp_path.iterdir()) == []


def test_an_upgrade_may_move_the_listener_and_counts_on(settings: MetricsSettings) -> None:
    open_place(settings, Master())
    make_master_metrics(settings, os.environ).happened(Event(kind=Kind.CONFIGURATION))
    moved = MetricsSettings(host=LOOPBACK, port=free_port())
    open_place(moved, Master(master_pid=4710))
    make_metrics(moved, os.environ)
    assert b'reloads_total{outcome="ok"} 1.0' in ask(moved.port, b"GET /metrics HTTP/1.1\r\n\r\n")


def test_who_is_not_an_upgrade_takes_nothing_over(settings: MetricsSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "987:988:/nowhere")
    open_place(settings, Master())
    place = find_place(os.environ)
    assert place is not None
    assert place.directory != Path("/nowhere")


def test_what_a_killed_gateway_left_goes_with_the_next_start(settings: MetricsSettings, tmp_path: Path) -> None:
    left, living = tmp_path / "gateway-metrics-left", tmp_path / "gateway-metrics-living"
    for directory in (left, living):
        directory.mkdir()
        (directory / "worker-0.tally").touch()
        os.utime(directory, (time.time() - 3600, time.time() - 3600))
    (tmp_path / "gateway-metrics-link").symlink_to(tmp_path)
    (tmp_path / "gateway-metrics-file").touch()
    (tmp_path / "gateway-metrics-new").mkdir()
    lock = placing._lock(living)
    open_place(settings, Master())
    os.close(lock)
    assert not left.exists()
    assert (living / "worker-0.tally").exists()
    assert (tmp_path / "gateway-metrics-new").exists()
    assert (tmp_path / "gateway-metrics-file").exists()


def test_a_socket_that_was_left_behind_is_taken_and_one_that_answers_is_not(tmp_path: Path) -> None:
    settings = MetricsSettings(path=str(tmp_path / "metrics.sock"))
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(settings.path)
    master = Master()
    open_place(settings, master)
    assert stat.S_IMODE(Path(settings.path).stat().st_mode) == 0o660
    assert isinstance(make_metrics(settings, os.environ), Metrics)
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(settings.path)
        asking.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert asking.recv(15) == b"HTTP/1.1 200 OK"
    told = os.environ[VARIABLE]
    with pytest.raises(ConfigurationError, match="Address already in use"):
        open_place(settings, Master())
    os.environ[VARIABLE] = told
    close_place(master)
    assert not Path(settings.path).exists()


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="Address already in use"):
        open_place(MetricsSettings(path=str(path)), Master())
    assert path.read_text() == "precious"


def test_many_scrapes_at_once_are_all_answered(port: int) -> None:
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(port, b"GET /metrics HTTP/1.1\r\n\r\n"))) for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 30
    assert all(answer.endswith(TEXT) for answer in answers)
