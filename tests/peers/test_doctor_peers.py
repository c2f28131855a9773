"""gateway doctor before an independent provider and before Redis, each set up wrongly in turn."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from doctor_set_ups import CLIENT_ID, CLIENT_SECRET, SetUp, codes, diagnosed, found, in_directory, run_set_up
from redis import Redis

from .node_provider import Features, NodeProvider, run_node_provider
from .servers import LOOPBACK, free_port, run_redis
from .store_servers import run_redis_with_user

PUBLIC_URL: Final = f"http://localhost:{free_port()}"
REGISTERED: Final[Mapping[str, object]] = {
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
    "redirect_uris": [f"{PUBLIC_URL}/oauth2/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SetUp]:
    with run_set_up(tmp_path_factory.mktemp("doctor-peers")) as set_up:
        yield set_up


@pytest.fixture
def set_up(running: SetUp, tmp_path: Path) -> SetUp:
    return in_directory(running, tmp_path)


@pytest.fixture(scope="module")
def provider() -> Iterator[NodeProvider]:
    features = Features(request_objects=True)
    with run_node_provider(port=free_port(), clients=[REGISTERED], accounts={}, features=features) as node:
        yield node


@pytest.fixture
def asked(set_up: SetUp, provider: NodeProvider) -> SetUp:
    keys = {"issuer": provider.issuer, "scope": "openid profile email offline_access"}
    return set_up.changed({"public_url": PUBLIC_URL, "provider": keys})


@pytest.mark.real("node")
@pytest.mark.parametrize(
    ("over", "expected"),
    [
        pytest.param({}, [], id="well"),
        pytest.param({"provider": {"authorization": {"via": "pushed"}}}, [], id="well-pushed"),
        pytest.param({"provider": {"client_secret": "CANARY-wrong"}}, ["client_refused"], id="wrong-secret"),
        pytest.param({"provider": {"client_id": "another"}}, ["client_refused"], id="unknown-client"),
        pytest.param(
            {"provider": {"client_id": "another", "client_secret": "", "token_endpoint_auth_method": "none"}},
            ["client_unknown"],
            id="unknown-public-client",
        ),
        pytest.param({"callback_path": "/callback"}, ["redirect_uri_refused"], id="redirect-uri"),
        pytest.param(
            {"callback_path": "/callback", "provider": {"authorization": {"via": "pushed"}}},
            ["push_refused"],
            id="redirect-uri-pushed",
        ),
        pytest.param(
            {"provider": {"authorization": {"response_mode": "query.jwt"}}},
            ["response_mode_not_offered"],
            id="no-signed-answers",
        ),
        pytest.param(
            {"provider": {"scope": "openid offline_access unheard-of"}}, ["scope_not_offered"], id="unknown-scope"
        ),
        pytest.param(
            {"provider": {"id_token_signed_response_alg": "PS512"}},
            ["jwks_lacks_algorithm", "id_token_alg_not_offered"],
            id="another-algorithm",
        ),
        pytest.param({"provider": {"scope": "openid email"}}, ["offline_access_not_asked"], id="no-offline-access"),
    ],
)
def test_an_independent_provider(asked: SetUp, over: Mapping[str, object], expected: list[str]) -> None:
    assert found(asked.changed(over)) == expected


@pytest.mark.real("node")
def test_an_independent_provider_under_another_name(asked: SetUp, provider: NodeProvider) -> None:
    localhost = provider.issuer.replace(LOOPBACK, "localhost")
    assert found(asked.changed({"provider": {"issuer": localhost}})) == ["issuer_mismatch"]
    assert found(asked.changed({"provider": {"issuer": f"{provider.issuer}/"}})) == ["issuer_slash"]
    assert found(asked.changed({"provider": {"issuer": f"{provider.issuer}/realm"}})) == ["discovery_not_found"]


def plain(directory: Path) -> AbstractContextManager[str]:
    return run_redis(directory)


@contextmanager
def with_password(directory: Path) -> Iterator[str]:
    with run_redis(directory, options=("--requirepass", "the-password")) as url:
        yield url


@contextmanager
def wrong_password(directory: Path) -> Iterator[str]:
    with with_password(directory) as url:
        yield url.replace("redis://", "redis://:CANARY-wrong@")


@contextmanager
def right_password(directory: Path) -> Iterator[str]:
    with with_password(directory) as url:
        yield url.replace("redis://", "redis://:the-password@")


def evicting(directory: Path) -> AbstractContextManager[str]:
    return run_redis(directory, options=("--maxmemory-policy", "allkeys-lru"))


def full(directory: Path) -> AbstractContextManager[str]:
    return run_redis(directory, options=("--maxmemory", "1", "--maxmemory-policy", "noeviction"))


@contextmanager
def replica(directory: Path) -> Iterator[str]:
    (directory / "primary").mkdir()
    with run_redis(directory / "primary") as primary, run_redis(directory) as url:
        port = int(primary.rpartition(":")[2].partition("/")[0])
        with Redis.from_url(url) as client:
            client.replicaof(LOOPBACK, port)
        yield url


@pytest.mark.real("redis")
@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(plain, [], id="well"),
        pytest.param(right_password, [], id="well-with-a-password"),
        pytest.param(with_password, ["store_refuses_login"], id="no-password"),
        pytest.param(wrong_password, ["store_refuses_login"], id="wrong-password"),
        pytest.param(run_redis_with_user, ["store_forbids"], id="other-prefix-than-its-user-may"),
        pytest.param(evicting, ["store_evicts"], id="evicts"),
        pytest.param(full, ["store_full"], id="full"),
        pytest.param(replica, ["store_read_only"], id="replica"),
    ],
)
def test_redis(
    set_up: SetUp, tmp_path: Path, run: Callable[[Path], AbstractContextManager[str]], expected: list[str]
) -> None:
    with run(tmp_path) as url:
        asked = set_up.changed({"session": {"store": {"type": "redis", "url": url}}})
        findings = diagnosed(asked)
    assert [code for code in codes(findings) if code != "outside_refused"] == expected
    assert "CANARY" not in repr(findings)
    assert "the-password" not in repr(findings)
