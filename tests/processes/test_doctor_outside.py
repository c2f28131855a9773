"""gateway doctor before a running gateway, behind nginx that is set up wrongly in turn."""

import datetime
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from doctor_set_ups import SetUp, codes, diagnosed, run_set_up
from peers.servers import LOOPBACK, NGINX_HTTP_PATHS, free_port, port_answers, run_nginx, run_process

from gateway.devtls import localhost_certificate
from gateway.doctor.finding import Severity

from .running import TESTS, Face, run_gateway

OTHER_CALLBACK: Final = "/oauth2/back"

pytestmark = pytest.mark.slow  # Each face is a process of its own.


@dataclass(frozen=True, kw_only=True)
class Running:
    """A gateway that runs, what it was started with, and the ports of itself and of what stands before it."""

    set_up: SetUp
    port: int
    proxy_port: int


@pytest.fixture(scope="module")
def running(face: Face, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory, port = tmp_path_factory.mktemp("doctor-outside"), free_port()
    with ExitStack() as stack:
        made = run_set_up(directory, redirect_uris=lambda url: [f"{url}/oauth2/callback", f"{url}{OTHER_CALLBACK}"])
        set_up = stack.enter_context(made).changed({"trusted_proxies": [LOOPBACK]})
        stack.enter_context(run_gateway(directory, port, started_with(set_up), face=face))
        yield Running(set_up=set_up, port=port, proxy_port=int(set_up.config["public_url"].rpartition(":")[2]))


def started_with(set_up: SetUp) -> dict[str, str]:
    path = set_up.directory / "running.yaml"
    path.write_text(json.dumps(set_up.config))
    outer = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**outer, "PYTHONPATH": f"{TESTS}:{TESTS.parent}", "GATEWAY_CONFIG": str(path)}


@contextmanager
def behind_nginx(running: Running, directory: Path, locations: str, http: str = "") -> Iterator[SetUp]:
    gateway = f"http://{LOOPBACK}:{running.port}"
    text = locations.replace("GATEWAY", gateway).replace("PUBLIC", running.set_up.config["public_url"])
    server = f"server {{ listen {LOOPBACK}:{running.proxy_port}; {text} }}"
    with run_nginx(f"events {{}}\nhttp {{{NGINX_HTTP_PATHS}\n{http}\n{server}\n}}", directory):
        yield replace(running.set_up, directory=directory)


PASSED: Final = "proxy_pass GATEWAY; proxy_set_header Host $http_host;"
CACHE: Final = "proxy_cache_path cache keys_zone=one:1m;"
CACHED: Final = "proxy_cache one; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control Set-Cookie Vary Expires;"


@pytest.mark.real("nginx")
@pytest.mark.parametrize(
    ("locations", "expected"),
    [
        pytest.param(f"location / {{ {PASSED} }}", [], id="well"),
        pytest.param("location / { proxy_pass http://127.0.0.1:9; }", ["outside_gateway_down"], id="gateway-down"),
        pytest.param("location / { return 200 hello; }", ["outside_not_gateway"], id="another-app"),
        pytest.param("location / { return 404; }", ["outside_not_gateway"], id="404"),
        pytest.param(
            f"location / {{ return 200 hello; }} location /oauth2/ {{ {PASSED} }}",
            ["outside_past_gateway"],
            id="past-the-gateway",
        ),
        pytest.param(
            f"location / {{ {PASSED} }} location /oauth2/ {{ return 404; }}",
            ["outside_prefix_not_routed"],
            id="prefix-is-elsewhere",
        ),
        pytest.param(
            f"location / {{ {PASSED} }} location /oauth2/callback {{ return 404; }}",
            ["outside_callback_not_routed"],
            id="callback-is-elsewhere",
        ),
        pytest.param(
            "location / { proxy_pass GATEWAY; proxy_set_header Host '!'; }", ["outside_host_refused"], id="no-host"
        ),
        pytest.param(
            f"location / {{ {PASSED} proxy_hide_header Set-Cookie; }}", ["outside_cookie_dropped"], id="no-set-cookie"
        ),
        pytest.param(
            f"location / {{ {PASSED} proxy_cookie_path / /app; }}", ["outside_cookie_changed"], id="cookies-path"
        ),
        pytest.param(
            f"location / {{ {PASSED} proxy_cookie_flags ~ nohttponly; }}",
            ["outside_cookie_changed"],
            id="cookies",
        ),
        pytest.param(f"location / {{ {PASSED} {CACHED} }}", ["outside_cached"], id="a-cache"),
        pytest.param(
            f"location / {{ {PASSED} proxy_hide_header Cache-Control; }}", ["outside_cached"], id="no-store-taken-away"
        ),
        pytest.param(
            "location / { return 301 http://$http_host$request_uri; }",
            ["outside_redirect_loop"],
            id="redirect-loop",
        ),
        pytest.param(
            "location / { return 301 https://app.example$request_uri; }", ["outside_redirects"], id="redirect"
        ),
    ],
)
def test_what_stands_before_the_gateway(running: Running, tmp_path: Path, locations: str, expected: list[str]) -> None:
    with behind_nginx(running, tmp_path, locations, CACHE) as set_up:
        findings = diagnosed(set_up)
    assert codes(findings) == expected
    assert ("outside_ok" in {one.code for one in findings}) == (not expected)


@pytest.mark.real("nginx")
def test_a_proxy_that_is_not_named(running: Running, tmp_path: Path) -> None:
    with behind_nginx(running, tmp_path, f"location / {{ {PASSED} }}") as set_up:
        assert codes(diagnosed(set_up)) == []
        assert codes(diagnosed(set_up.changed({"trusted_proxies": []}))) == ["proxy_not_named"]


@pytest.mark.real("nginx")
def test_a_proxy_that_asks_leads_only_the_prefix_to_the_gateway(running: Running, tmp_path: Path) -> None:
    only_prefix = f"location / {{ return 200 hello; }} location /oauth2/ {{ {PASSED} }}"
    with behind_nginx(running, tmp_path, only_prefix) as set_up:
        assert codes(diagnosed(set_up.changed({"forward_auth": {"enabled": True}}))) == []


@pytest.mark.real("nginx")
def test_the_gateway_that_runs_has_another_configuration(running: Running, tmp_path: Path) -> None:
    with behind_nginx(running, tmp_path, f"location / {{ {PASSED} }}") as set_up:
        assert codes(diagnosed(set_up)) == []
        changed = set_up.changed({"callback_path": OTHER_CALLBACK})
        assert codes(diagnosed(changed)) == ["outside_other_configuration"]


@pytest.mark.real("nginx")
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        pytest.param("PUBLIC$request_uri", [], id="keeps-the-path"),
        pytest.param("PUBLIC/", ["outside_redirect_loses_path"], id="loses-the-path"),
    ],
)
def test_another_address_that_redirects(running: Running, tmp_path: Path, target: str, expected: list[str]) -> None:
    port = free_port()
    other = f"location / {{ {PASSED} }} }} server {{ listen {LOOPBACK}:{port}; location / {{ return 301 {target}; }}"
    with behind_nginx(running, tmp_path, other) as set_up:
        findings = diagnosed(replace(set_up, url=f"http://{LOOPBACK}:{port}"))
    assert codes(findings) == expected
    assert [one.code for one in findings if one.severity is Severity.OK][-1] == "outside_ok"


def test_another_address_of_the_gateway(running: Running, tmp_path: Path) -> None:
    direct = replace(running.set_up, directory=tmp_path, url=f"http://{LOOPBACK}:{running.port}")
    assert codes(diagnosed(direct)) == ["outside_other_origin"]


@pytest.mark.parametrize(
    ("url", "code", "severity"),
    [
        pytest.param(None, "outside_refused", Severity.WARNING, id="public-url"),
        pytest.param("https://gateway.invalid", "outside_host_unknown", Severity.FAILED, id="no-such-host"),
        pytest.param("PLAIN", "outside_not_tls", Severity.FAILED, id="speaks-no-tls"),
    ],
)
def test_an_address_that_is_not_reached(
    running: Running, tmp_path: Path, url: str | None, code: str, severity: Severity
) -> None:
    address = f"https://{LOOPBACK}:{running.port}" if url == "PLAIN" else url
    findings = diagnosed(replace(running.set_up, directory=tmp_path, url=address))
    assert codes(findings) == [code]
    assert [one.severity for one in findings if one.code == code] == [severity]


def test_a_gateway_with_a_certificate_that_nobody_trusts(running: Running, tmp_path: Path) -> None:
    port = free_port()
    files = localhost_certificate(tmp_path / "tls", datetime.datetime.now(datetime.UTC))
    url = f"https://localhost:{port}"
    set_up = replace(running.set_up, directory=tmp_path).changed({"public_url": url})
    set_up.provider.clients = [
        replace(one, redirect_uris=[*one.redirect_uris, f"{url}/oauth2/callback"]) for one in set_up.provider.clients
    ]
    environ = {**started_with(set_up), "GUNICORN_CMD_ARGS": f"--certfile {files.certificate} --keyfile {files.key}"}
    argv = [sys.executable, "-m", "gunicorn", "-b", f"{LOOPBACK}:{port}", "-w", "1"]
    with run_process(
        [*argv, "-c", str(TESTS.parent / "gunicorn.conf.py")],
        env=environ,
        cwd=tmp_path,
        ready=lambda: port_answers(port),
        name="gunicorn",
        log_path=tmp_path / "gunicorn.log",
    ):
        findings = diagnosed(set_up)
    assert codes(findings) == ["outside_certificate_untrusted"]
