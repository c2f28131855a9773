"""The command line, run as a user runs it."""

from __future__ import annotations

import datetime
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from gateway.demo import run_demo
from gateway.devtls import localhost_certificate

SECRET = "thirty-two characters are enough"
NOW = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)

pytestmark = pytest.mark.slow  # Each starts a process.


def gateway(*arguments: str, cwd: Path, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    command = [sys.executable, "-c", "from gateway.cli import main; main()", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=inherited | (environ or {}), capture_output=True, text=True, timeout=60, check=False
    )


BAD = """
public_url: http://dashboard.example.com
upstrem: http://127.0.0.1:3000
provider: {issuer: "https://login.example.com"}
session: {secret: short}
"""
EACH_ON_ITS_LINE = ("public_url: ", "upstrem: ", "provider.client_id: ", "session.secret.0: ")


@pytest.mark.parametrize("command", ["check", "serve", "gunicorn"])
def test_all_errors_of_a_configuration_at_once_and_exit_code_2(command: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(BAD)
    if command == "gunicorn":
        arguments = [sys.executable, "-m", "gunicorn", "-c", "python:gateway.gunicorn_conf", "-b", "127.0.0.1:0"]
        ran = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    else:
        ran = gateway(command, cwd=tmp_path)
    lines = [line for line in ran.stderr.splitlines() if ": " in line and not line.startswith("[")]
    assert ran.returncode == 2
    assert len(lines) == len(EACH_ON_ITS_LINE)
    for path in EACH_ON_ITS_LINE:
        assert len([line for line in lines if line.startswith(path)]) == 1, path
    assert "short" not in ran.stderr.replace("session.secret", "")
    assert "Traceback" not in ran.stderr


def test_a_file_of_authorities_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    (tmp_path / "config.yaml").write_text(
        "public_url: https://a.example\nupstream: https://127.0.0.1:9\nupstream_connection: {verify_tls: ca.pem}\n"
        "provider: {issuer: 'https://op.example', client_id: a, client_secret: b}\n"
    )
    ran = gateway("check", cwd=tmp_path, environ={"GATEWAY_SESSION__SECRET": SECRET})
    assert (ran.returncode, ran.stderr.partition(": ")[0]) == (2, "upstreams.https://127.0.0.1:9")


def test_nothing_behind_the_gateway_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "public_url: https://a.example\nprovider: {issuer: 'https://op.example', client_id: a, client_secret: b}\n"
    )
    ran = gateway("check", cwd=tmp_path, environ={"GATEWAY_SESSION__SECRET": SECRET})
    assert (ran.returncode, ran.stderr.splitlines()[0].partition(":")[0]) == (2, "upstream")


def test_memory_is_refused_for_several_workers_and_a_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    text = (
        "public_url: https://a.example\nupstream: http://127.0.0.1:9\n"
        "provider: {issuer: 'https://op.example', client_id: a, client_secret: b}\n"
    )
    environ = {"GATEWAY_SESSION__SECRET": SECRET}
    (tmp_path / "config.yaml").write_text(text)
    memory = gateway(
        "serve",
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "2",
        cwd=tmp_path,
        environ={**environ, "GATEWAY_SESSION__STORE__TYPE": "memory"},
    )
    assert (memory.returncode, "session.store.type: memory" in memory.stderr) == (2, True)
    place = {**environ, "GATEWAY_SESSION__STORE__PATH": str(tmp_path / "file" / "sessions")}
    served = gateway("serve", "--bind", "127.0.0.1:0", cwd=tmp_path, environ=place)
    assert (served.returncode, "session.store: store_down" in served.stderr) == (2, True)
    checked = gateway("check", cwd=tmp_path, environ=place)
    assert (checked.returncode, "FAILED: store_down" in checked.stdout) == (1, True)
    assert "Traceback" not in memory.stderr + served.stderr + checked.stderr


def test_check_contacts_each_part_and_says_which_fails(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "public_url: http://localhost:4180\nupstream: http://127.0.0.1:9\n"
        "provider: {issuer: 'http://127.0.0.1:9', client_id: a, client_secret: b}\n"
    )
    ran = gateway("check", cwd=tmp_path, environ={"GATEWAY_SESSION__SECRET": SECRET})
    first_words = [(line.split()[0], "ok" if line.endswith(" ok") else "FAILED") for line in ran.stdout.splitlines()]
    assert first_words == [("configuration", "ok"), ("provider", "FAILED"), ("store", "ok"), ("upstream", "FAILED")]
    assert "provider_unreachable" in ran.stdout
    assert "upstream_unreachable" in ran.stdout
    assert ran.returncode == 1


def test_keys_new_makes_a_secret_that_is_long_enough_and_new(tmp_path: Path) -> None:
    keys = {gateway("keys", "new", cwd=tmp_path).stdout.strip() for _ in range(2)}
    assert len(keys) == 2
    assert min(len(key) for key in keys) >= 32


def test_the_demo_signs_nobody_in_by_itself_and_leaves_nothing_behind() -> None:
    with run_demo(port=0) as demo:
        assert requests.get(f"{demo.url}/", timeout=10).status_code == 401
        assert requests.get(f"{demo.url}/public/", timeout=10).status_code == 200
        html = requests.get(f"{demo.url}/x?y=1", headers={"Accept": "text/html"}, allow_redirects=False, timeout=10)
        assert html.status_code == 303
        assert html.headers["Location"].startswith(f"{demo.issuer}/authorize?")
    assert demo.process.poll() is not None
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{demo.url}/ping", timeout=2)


def test_ctrl_c_ends_the_whole_demo() -> None:
    # Whoever runs the tests in the background has had SIGINT ignored, which children inherit.
    heeded = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heeded}; from gateway.cli import main; main()", "demo", "--port", "0"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert demo.stdout is not None
        said = "".join(next(iter(demo.stdout)) for _ in range(7))
        urls = list(dict.fromkeys(re.findall(r"http://[a-z0-9.]+:[0-9]+/?", said)))
        assert len(urls) == 3, said
        assert requests.get(f"{urls[0]}ping", timeout=10).text == "OK"
        assert f"{urls[0]}oauth2/console" in said
        os.killpg(demo.pid, signal.SIGINT)  # As a terminal does: to every process of the foreground group.
        assert demo.wait(30) == 0
        for url in urls:
            with pytest.raises(requests.ConnectionError):
                requests.get(url, timeout=2)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, signal.SIGKILL)
        assert demo.stdout is not None
        demo.stdout.close()
        demo.wait(30)


def test_dev_tls_makes_a_certificate_for_localhost_once(tmp_path: Path) -> None:
    files = localhost_certificate(tmp_path, NOW)
    first = files.certificate.read_bytes()
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(files.certificate, files.key)
    assert localhost_certificate(tmp_path, NOW).certificate.read_bytes() == first
    assert localhost_certificate(tmp_path, NOW + datetime.timedelta(days=91)).certificate.read_bytes() != first
