"""The real servers do what the tests of the gateway rely on, and a missing one skips a test or fails it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from redis import Redis

from .browser import CHROMIUM_VARIABLE, run_browser
from .listener import Answer, Listener, Received, run_listener
from .relying_party import HTTP_SECONDS
from .servers import LOOPBACK, NGINX_HTTP_PATHS, ServerStartError, free_port, run_nginx, run_process, run_redis


@pytest.fixture(scope="module")
def pool() -> Iterator[requests.Session]:
    with requests.Session() as pool:
        pool.trust_env = False
        yield pool


@pytest.mark.real("redis")
def test_redis_answers_a_ping_and_keeps_a_value(tmp_path: Path) -> None:
    with run_redis(tmp_path) as url, Redis.from_url(url) as redis:
        assert redis.ping() is True
        assert redis.set("lock", b"mine", nx=True, px=60_000) is True
        assert redis.set("lock", b"theirs", nx=True, px=60_000) is None


@pytest.mark.real("nginx")
@pytest.mark.parametrize(
    ("cookie", "status", "user"),
    [
        pytest.param("session=alice", 200, "alice", id="allowed"),
        pytest.param("session=mallory", 403, None, id="forbidden"),
        pytest.param("", 401, None, id="login-required"),
    ],
)
def test_nginx_asks_before_it_forwards(
    pool: requests.Session, tmp_path: Path, cookie: str, status: int, user: str | None
) -> None:
    port = free_port()
    with (
        run_listener(answer_decision) as decider,
        run_listener() as application,
        run_nginx(nginx_configuration(port, decider, application), tmp_path),
    ):
        answer = pool.get(f"http://{LOOPBACK}:{port}/page", headers={"Cookie": cookie}, timeout=HTTP_SECONDS)
    assert answer.status_code == status
    assert [received.path for received in decider.received] == ["/oauth2/auth"]
    assert [received.headers.get("x-user") for received in application.received] == ([user] if user else [])


def answer_decision(received: Received) -> Answer:
    if received.headers.get("cookie") == "session=alice":
        return Answer(status=202, headers={"X-Auth-Request-User": "alice"}, body="")
    return Answer(status=403 if received.headers.get("cookie") else 401, body="")


def nginx_configuration(port: int, decider: Listener, application: Listener) -> str:
    return f"""
events {{}}
http {{
    {NGINX_HTTP_PATHS}
    server {{
        listen {LOOPBACK}:{port};
        location = /oauth2/auth {{
            internal;
            proxy_pass {decider.origin};
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
        location / {{
            auth_request /oauth2/auth;
            auth_request_set $user $upstream_http_x_auth_request_user;
            proxy_set_header X-User $user;
            proxy_pass {application.origin};
        }}
    }}
}}
"""


@pytest.mark.real("nginx")
def test_nginx_with_a_wrong_configuration_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match='unknown directive "lisen"'), run_nginx("lisen 80;", tmp_path):
        pytest.fail("nginx ran")


@pytest.mark.real("chromium")
def test_chromium_shows_a_page() -> None:
    with run_listener() as listener, run_browser() as browser:
        page = browser.new_page()
        page.goto(listener.origin)
        assert page.title() == "Landed"


def test_a_server_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerStartError, match=r"(?s)sleeper was not ready.*so far"),
        run_process(
            [sys.executable, "-c", "import time; print('so far', flush=True); time.sleep(60)"],
            env=os.environ,
            cwd=tmp_path,
            ready=lambda: False,
            name="sleeper",
            log_path=tmp_path / "log",
            timeout=1.0,
        ),
    ):
        pytest.fail("the block ran")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("real", "status", "words"),
    [
        pytest.param("", 0, "1 skipped", id="skipped"),
        pytest.param("1", 1, "/nowhere/chromium is missing", id="failed-where-peers-are-demanded"),
    ],
)
def test_a_missing_peer(real: str, status: int, words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"{__file__}::{test_chromium_shows_a_page.__name__}"],
        env={**os.environ, CHROMIUM_VARIABLE: "/nowhere/chromium", "GATEWAY_TEST_REAL": real},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    assert words in done.stdout
