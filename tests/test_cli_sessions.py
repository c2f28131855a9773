"""gateway sessions: list, show and revoke over a store that a gateway is using."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner, Result
from harness import Site, base_config, held_session, is_signed_in, run_site

from gateway.cli import main


@pytest.fixture
def store(tmp_path: Path) -> dict[str, str]:
    return {"type": "file", "path": str(tmp_path / "sessions")}


@pytest.fixture
def config(tmp_path: Path, store: dict[str, str]) -> str:
    path = tmp_path / "config.yaml"
    document = {**base_config(store), "upstream": "http://127.0.0.1:3000"}
    path.write_text(yaml.safe_dump(document))
    return str(path)


@pytest.fixture
def site(store: dict[str, str]) -> Iterator[Site]:
    with run_site(store=store) as running:
        running.sign_in()
        yield running


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sessions", *arguments])


def ids(*arguments: str) -> list[str]:
    result = run("list", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return [json.loads(line)["id"] for line in result.output.splitlines()]


def test_sessions_are_listed_shown_and_found(site: Site, config: str) -> None:
    session = held_session(site)
    assert ids("--config", config) == ids("--config", config, "--sub", "alice") == [session.id]
    assert ids("--config", config, "--sub", "bob") == []
    table = run("list", "--config", config).output
    assert session.id in table
    assert "1 session;" in table
    shown = json.loads(run("show", session.id, "--config", config).output)
    assert (shown["id"], shown["provider"]) == (session.id, "default")
    for secret in (session.access_token, str(session.refresh_token), "alice@op.example"):
        assert secret not in table + str(shown)


def test_what_is_not_there_cannot_be_shown(config: str) -> None:
    result = run("show", "unknown", "--config", config)
    assert (result.exit_code, result.output) == (1, "There is no such session.\n")


HOW: Final = [
    pytest.param(lambda _: ["--sub", "alice"], id="by user"),
    pytest.param(lambda site: ["--sid", str(held_session(site).claims["sid"])], id="by login"),
    pytest.param(lambda site: ["--id", held_session(site).id], id="by id"),
    pytest.param(lambda _: ["--all"], id="all"),
]


@pytest.mark.parametrize("how", HOW)
def test_sessions_are_revoked(site: Site, config: str, how: object) -> None:
    assert callable(how)
    assert run("revoke", "--config", config, *how(site)).exit_code == 0
    assert not is_signed_in(site.browser)
    assert ids("--config", config) == []
    site.sign_in()
    assert is_signed_in(site.browser)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nobody is named"),
        pytest.param(["--sub", "alice", "--all"], id="two at once"),
        pytest.param(["--sub", ""], id="an empty user"),
    ],
)
def test_what_is_not_clear_revokes_nothing(site: Site, config: str, arguments: list[str]) -> None:
    result = run("revoke", "--config", config, *arguments)
    assert result.exit_code == 1
    assert "must be named" in result.output
    assert is_signed_in(site.browser)


def test_the_memory_of_a_process_cannot_be_asked_from_outside(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**base_config({"type": "memory"}), "upstream": "http://127.0.0.1:3000"}))
    result = run("list", "--config", str(path))
    assert result.exit_code == 2
    assert "inside the gateway's process" in result.output
