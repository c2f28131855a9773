"""gateway doctor, the configuration, the store, the upstreams: each thing that may be wrong, and a twin without it."""

import json
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.x509 import DNSName
from doctor_set_ups import CLIENT_SECRET, SetUp, codes, diagnosed, found, in_directory, raw_server, run_set_up
from peers.listener import Answer, run_listener
from peers.matrix_tls import SERVER_NAMES, make_tls_material
from peers.servers import LOOPBACK, free_port
from processes.running import run_threads

from gateway import Gateway
from gateway.assembly import Outside
from gateway.backends.memory import MemoryBackend
from gateway.config_sources import ConfigurationError
from gateway.doctor.configuration_findings import configuration_problems
from gateway.doctor.contact import Contact, Obstacle, address_of, reach
from gateway.doctor.contact_findings import contact_findings
from gateway.doctor.diagnoses_contact import OUTSIDE_CONTACT, PROVIDER_CONTACT, UPSTREAM_CONTACT
from gateway.doctor.finding import Severity, origin_of, place_of
from gateway.doctor.waiting import TooLate, within
from gateway.errors import STORE_DOWN, StoreUnavailable

ALL_CONTACTS: Final = (PROVIDER_CONTACT, UPSTREAM_CONTACT, OUTSIDE_CONTACT)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SetUp]:
    with run_set_up(tmp_path_factory.mktemp("doctor")) as set_up:
        yield set_up


@pytest.fixture
def set_up(running: SetUp, tmp_path: Path) -> SetUp:
    return in_directory(running, tmp_path)


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        pytest.param({}, [], id="well"),
        pytest.param(
            {"session": {"idle_timeout": "2h", "lifetime": "1h"}}, ["idle_longer_than_lifetime"], id="idle-timeout"
        ),
        pytest.param(
            {"session": {"refresh_leeway": "1h", "lifetime": "1h", "idle_timeout": "30m"}},
            ["leeway_longer_than_lifetime"],
            id="leeway",
        ),
        pytest.param(
            {"session": {"local_cache": "60s", "idle_timeout": "60s"}}, ["cache_longer_than_idle"], id="local-cache"
        ),
        pytest.param(
            {"session": {"secret": "put-it-into-the-environment-instead"}}, ["secret_placeholder"], id="of-the-example"
        ),
        pytest.param(
            {"session": {"secret": "please change me, I am a secret!"}}, ["secret_placeholder"], id="placeholder"
        ),
        pytest.param({"session": {"secret": "ab" * 20}}, ["secret_monotonous"], id="few-characters"),
        pytest.param({"session": {"secret": [CLIENT_SECRET + "!!", CLIENT_SECRET]}}, ["secret_reused"], id="reused"),
        pytest.param({"trusted_proxies": ["0.0.0.0/0"]}, ["proxies_anyone"], id="every-proxy"),
        pytest.param({"trusted_proxies": ["10.0.0.1"]}, [], id="one-proxy"),
        pytest.param({"provider": {"verify_tls": False}}, ["verification_off"], id="no-verification"),
    ],
)
def test_the_configuration_by_itself(set_up: SetUp, over: Mapping[str, object], expected: list[str]) -> None:
    assert found(set_up.changed(over)) == expected


def test_a_client_secret_of_an_example(set_up: SetUp) -> None:
    asked = set_up.changed({"provider": {"client_secret": "Password1"}})
    assert found(asked) == ["client_secret_example", "client_refused"]


def test_nothing_behind_the_gateway(set_up: SetUp) -> None:
    config = {name: value for name, value in set_up.config.items() if name != "upstream"}
    assert found(replace(set_up, config=config)) == ["nothing_behind"]
    asked = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True}}
    assert found(replace(set_up, config={**config, **asked})) == []


@pytest.mark.parametrize(("mode", "expected"), [(0o600, []), (0o644, ["key_file_readable"])], ids=["own", "all"])
def test_a_key_that_others_can_read(set_up: SetUp, tmp_path: Path, mode: int, expected: list[str]) -> None:
    key = make_tls_material(tmp_path / "tls").server.key
    key.chmod(mode)
    keys = {"signing_keys": str(key), "token_endpoint_auth_method": "client_secret_basic"}
    assert found(set_up.changed({"provider": keys})) == expected


def test_a_form_of_another_site_without_tls(set_up: SetUp) -> None:
    posted = set_up.changed({"provider": {"authorization": {"response_mode": "form_post"}}})
    assert found(posted) == []  # On this machine both are one site.
    elsewhere = posted.changed({"provider": {"issuer": "https://provider.invalid"}})
    assert found(elsewhere) == ["form_post_without_tls", "provider_host_unknown"]


def test_an_issuer_that_is_the_gateway(set_up: SetUp) -> None:
    assert "issuer_is_public_url" in found(set_up.changed({"provider": {"issuer": set_up.config["public_url"]}}))


@pytest.mark.parametrize(
    ("over", "key"),
    [
        pytest.param({"public_url": "http://app.example"}, "public_url", id="public-url-without-tls"),
        pytest.param({"session": {"secret": "short"}}, "session.secret", id="short-secret"),
        pytest.param({"forward_auth": {"enabled": True}}, "trusted_proxies", id="forward-auth-without-proxies"),
        pytest.param({"upstrem": "x"}, "upstrem", id="unknown-key"),
    ],
)
def test_what_the_configuration_refuses_itself(set_up: SetUp, over: Mapping[str, object], key: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        diagnosed(set_up.changed(over))
    (finding,) = configuration_problems(error.value)
    assert (finding.code, finding.severity) == ("configuration_invalid", Severity.FAILED)
    assert key in finding.cause


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"WEB_CONCURRENCY": "2"}, "store_memory_shared", id="two-workers"),
        pytest.param({"WEB_CONCURRENCY": "4"}, "store_memory_shared", id="four-workers"),
        pytest.param({"WEB_CONCURRENCY": "1"}, "store_memory", id="one-worker"),
    ],
)
def test_sessions_in_memory(set_up: SetUp, environ: Mapping[str, str], expected: str) -> None:
    assert found(set_up) == []
    memory = set_up.changed({"session": {"store": {"type": "memory"}}})
    assert found(replace(memory, environ=environ)) == [expected]


def test_a_directory_that_cannot_be(set_up: SetUp, tmp_path: Path) -> None:
    assert found(set_up) == []
    (tmp_path / "file").write_text("no directory")
    store = {"type": "file", "path": str(tmp_path / "file" / "sessions")}
    assert found(set_up.changed({"session": {"store": store}})) == ["store_not_writable"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("there", [True, False], ids=["there", "yet-to-be-made"])
def test_a_directory_of_another_user_is_left_alone(set_up: SetUp, tmp_path: Path, there: bool) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, 12345, 12345)
    path = theirs if there else theirs / "sessions"
    asked = set_up.changed({"session": {"store": {"type": "file", "path": str(path)}}})
    assert found(asked) == ["store_other_owner"]
    assert list(theirs.iterdir()) == []


class FullBackend(MemoryBackend):
    """A disk without room."""

    def set(self, key: str, value: bytes, seconds: int) -> None:  # noqa: ARG002
        raise StoreUnavailable(STORE_DOWN, "full") from OSError(ENOSPC, os.strerror(ENOSPC))


def test_a_disk_without_room(set_up: SetUp) -> None:
    assert found(replace(set_up, outside=Outside(backend=MemoryBackend()))) == []
    assert found(replace(set_up, outside=Outside(backend=FullBackend()))) == ["store_full"]


def test_redis_that_is_not_there(set_up: SetUp) -> None:
    url = f"redis://:CANARY-of-the-store@{LOOPBACK}:{free_port()}/0"
    assert found(set_up.changed({"session": {"store": {"type": "redis", "url": url}}})) == ["store_unreachable"]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param(Answer(), [], id="a-page"),
        pytest.param(Answer(status=401), [], id="wants-a-token"),
        pytest.param(Answer(status=302, headers={"Location": "/welcome"}), [], id="redirect-within"),
        pytest.param(Answer(status=302, headers={"Location": "/login?next=/"}), ["upstream_has_login"], id="own-login"),
        pytest.param(
            Answer(status=302, headers={"Location": "https://sso.example"}),
            ["upstream_redirects_elsewhere"],
            id="away",
        ),
        pytest.param(Answer(status=502), ["upstream_failing"], id="fails"),
    ],
)
def test_what_an_upstream_answers(set_up: SetUp, answer: Answer, expected: list[str]) -> None:
    with run_listener(lambda _: answer) as listener:
        assert found(set_up.changed({"upstream": listener.origin})) == expected


def test_an_upstream_that_redirects_to_what_was_asked(set_up: SetUp) -> None:
    itself = Answer(status=301, headers={"Location": f"{set_up.config['public_url']}/"})
    with run_listener(lambda _: itself) as listener:
        assert found(set_up.changed({"upstream": listener.origin})) == ["upstream_redirects_to_itself"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        pytest.param(lambda: f"http://{LOOPBACK}:{free_port()}", "upstream_refused", id="nothing-listens"),
        pytest.param(lambda: "http://upstream.invalid:3000", "upstream_host_unknown", id="no-such-host"),
        pytest.param(lambda: "unix:/nowhere/app.sock", "upstream_unreachable", id="no-such-socket"),
    ],
)
def test_an_upstream_that_is_not_reached(set_up: SetUp, url: Callable[[], str], code: str) -> None:
    assert found(set_up) == []
    assert found(set_up.changed({"upstream": url()})) == [code]


def test_an_upstream_that_does_not_speak_http(set_up: SetUp) -> None:
    with raw_server(lambda connection: connection.sendall(b"220 mail.example ESMTP\r\n")) as url:
        assert found(set_up.changed({"upstream": url})) == ["upstream_not_http"]


def test_an_https_upstream_that_speaks_http(set_up: SetUp) -> None:
    secure = set_up.config["upstream"].replace("http:", "https:")
    assert found(set_up.changed({"upstream": secure})) == ["upstream_not_tls"]


@pytest.mark.parametrize(
    ("scheme", "certificate", "connection", "expected"),
    [
        pytest.param("https", "server", {"verify_tls": "ca"}, [], id="well"),
        pytest.param("https", "server", {}, ["upstream_certificate_untrusted"], id="untrusted"),
        pytest.param("https", "ended", {"verify_tls": "ca"}, ["upstream_certificate_expired"], id="ended"),
        pytest.param("https", "other", {"verify_tls": "ca"}, ["upstream_certificate_of_other_host"], id="another-host"),
        pytest.param("https", "server", {"verify_tls": "key"}, ["upstream_trust_unreadable"], id="no-bundle"),
        pytest.param("http", "server", {}, ["upstream_speaks_tls"], id="asked-without-tls"),
    ],
)
def test_an_upstream_with_tls(
    set_up: SetUp, tmp_path: Path, scheme: str, certificate: str, connection: Mapping[str, str], expected: list[str]
) -> None:
    tls = make_tls_material(tmp_path / "tls")
    files = {
        "server": tls.server,
        "ended": tls.authority.issue("ended", SERVER_NAMES, days=-2),
        "other": tls.authority.issue("other", [DNSName("other.example")]),
    }[certificate]
    paths = {"ca": str(tls.authority.path), "key": str(tls.server.key)}
    named = {name: paths[value] for name, value in connection.items()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    port = free_port()
    with run_threads(port, _page, tls=context):
        asked = set_up.changed({"upstream": f"{scheme}://{LOOPBACK}:{port}", "upstream_connection": named})
        assert found(asked) == expected


def _page(_environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def gateway_of(set_up: SetUp, directory: Path) -> Gateway:
    (directory / "gateway.yaml").write_text(json.dumps(set_up.config))
    return Gateway.from_config(str(directory / "gateway.yaml"))(None)


def test_an_upstream_that_is_the_gateway(set_up: SetUp, tmp_path: Path) -> None:
    port = free_port()
    with run_threads(port, gateway_of(set_up, tmp_path)):
        assert found(set_up.changed({"upstream": f"http://{LOOPBACK}:{port}"})) == ["upstream_is_gateway"]
    assert found(set_up.changed({"upstream": set_up.config["public_url"]})) == ["upstream_is_gateway"]


@pytest.mark.parametrize(
    ("url", "place", "origin"),
    [
        pytest.param("https://u:p/w@app.example:8443/a?b#c", "https://app.example:8443/a", "", id="slash-in-password"),
        pytest.param("https://u:p@App.example:443/a", "https://App.example:443/a", "https://app.example", id="user"),
        pytest.param("redis+sentinel://:p@a:1,b:2/s/0?x=y", "redis+sentinel://a:1,b:2/s/0", "", id="sentinels"),
        pytest.param("/login?x", "/login", "", id="path"),
        pytest.param("http://[::1]:80/", "http://[::1]:80/", "http://[::1]", id="ipv6"),
    ],
)
def test_what_is_shown_of_a_url(url: str, place: str, origin: str) -> None:
    assert place_of(url) == place
    assert not origin or origin_of(url) == origin


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        address = address_of(f"https://{LOOPBACK}:{silent.getsockname()[1]}")
        contact = reach(address, ssl.create_default_context, seconds=0.2)
    assert contact.obstacle is not None
    assert contact.obstacle.value == "silent"


def test_what_hangs_is_left_behind() -> None:
    release = threading.Event()
    with pytest.raises(TooLate):
        within(0.05, release.wait)
    release.set()
    assert within(5, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


@pytest.mark.parametrize("obstacle", Obstacle)
def test_each_obstacle_has_a_finding_of_its_own_everywhere(obstacle: Obstacle) -> None:
    contact = Contact(address=address_of("https://u:p@host.example:8443/x"), obstacle=obstacle, detail="because")
    found = [contact_findings(contact, kinds, "it", time.time()) for kinds in ALL_CONTACTS]
    assert len({one.code for (one,) in found}) == len(ALL_CONTACTS)
    assert all("host.example" in one.cause and one.remedy for (one,) in found)


def test_options_of_the_store_that_nobody_knows(set_up: SetUp) -> None:
    url = f"redis://{LOOPBACK}:{free_port()}/0?nonsense=1"
    assert found(set_up.changed({"session": {"store": {"type": "redis", "url": url}}})) == ["store_option_unknown"]


class Ill(MemoryBackend):
    """Fails as nobody foresaw."""

    def set(self, key: str, value: bytes, seconds: int) -> None:
        raise ZeroDivisionError(key, value, seconds)


def test_a_store_that_fails_as_nobody_foresaw(set_up: SetUp) -> None:
    assert found(replace(set_up, outside=replace(set_up.outside, backend=Ill()))) == ["store_failing"]


def test_a_store_whose_package_is_not_there(set_up: SetUp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.backends.memcached", raising=False)
    for name in {"pymemcache", *(one for one in sys.modules if one.startswith("pymemcache."))}:
        monkeypatch.setitem(sys.modules, name, None)  # Tests before this one may have brought in its parts.
    store = {"type": "memcached", "url": f"memcached://{LOOPBACK}:11211"}
    assert found(set_up.changed({"session": {"store": store}})) == ["store_package_missing"]


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_an_upstream_that_says_nothing(set_up: SetUp) -> None:
    with raw_server(silent) as url:
        unanswered = {"upstream": url, "upstream_connection": {"read_timeout": "1s"}}
        assert found(set_up.changed(unanswered)) == ["upstream_no_answer"]


def test_an_address_at_which_something_hangs_up(set_up: SetUp) -> None:
    with raw_server(lambda connection: connection.close()) as url:
        assert found(replace(set_up, url=url)) == ["outside_no_answer"]


def test_a_gateway_that_runs_and_cannot_begin_a_login(set_up: SetUp, tmp_path: Path) -> None:
    asked = set_up.changed({"trusted_proxies": [LOOPBACK]})
    port = int(set_up.config["public_url"].rpartition(":")[2])
    with run_threads(port, gateway_of(asked, tmp_path)):
        assert codes(diagnosed(asked)) == []
    outdated = asked.changed({"provider": {"issuer": f"http://{LOOPBACK}:{free_port()}"}})
    with run_threads(port, gateway_of(outdated, tmp_path)):
        assert codes(diagnosed(asked)) == ["outside_login_fails"]
