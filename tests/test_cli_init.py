"""gateway init: a few answers become a configuration that the gateway takes, and nothing that is there is lost."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.config import load_settings, parse_settings
from gateway.config_sources import ConfigurationError
from gateway.first_config import FirstAnswers, checked_provider_answer, first_config
from gateway.presets import PRESETS, preset_named

SECRET = "the client's own secret"
TENANT = "8eaef023-2b34-4da1-9baa-8bc8c9d6a490"
ANSWERS = {
    "issuer": "https://login.example.com",
    "base_url": "https://keycloak.example.com/",
    "realm": "main",
    "tenant": TENANT.upper(),
    "domain": "https://example.eu.auth0.com/",
}
ISSUERS = {
    "curity": "https://login.example.com",
    "keycloak": "https://keycloak.example.com/realms/main",
    "entra": f"https://login.microsoftonline.com/{TENANT}/v2.0",
    "google": "https://accounts.google.com",
    "auth0": "https://example.eu.auth0.com/",
    "okta": "https://example.eu.auth0.com",
    "github": "https://github.com",
    "other": "https://login.example.com",
}
FLAGS = (
    "--public-url", "https://app.example", "--provider", "other", "--issuer", "https://login.example.com",
    "--client-id", "app", "--upstream", "http://127.0.0.1:3000", "--store", "file", "--yes",
)  # fmt: skip


def run(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["init", *words], input=typed)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("secret").write_text(f"{SECRET}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", [preset.name for preset in PRESETS])
def test_what_a_preset_makes_is_accepted(name: str) -> None:
    preset = preset_named(name)
    answers = FirstAnswers(
        public_url="https://app.example",
        preset=preset,
        provider={asked: checked_provider_answer(asked, ANSWERS[asked]) for asked in preset.asks},
        client_id="app",
        upstream="http://127.0.0.1:3000",
        store="file",
        client_secret=SECRET,
    )
    made = first_config(answers, "a session secret that is long enough")
    environ = {f"GATEWAY_{secret.upper()}": value for secret, value in made.secrets.items()}
    provider = parse_settings(made.document, environ).providers["default"]
    assert (provider.issuer, provider.client.client_id) == (ISSUERS[name], "app")
    assert provider.openid == (name != "github")
    assert all(note in made.text for note in preset.notes)
    assert not any(secret in made.text for secret in made.secrets.values())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        pytest.param("tenant", "common", id="not-one-tenant"),
        pytest.param("tenant", "example.com", id="a-tenant-by-domain"),
        pytest.param("realm", "a/b", id="a-realm-with-a-slash"),
        pytest.param("domain", "example.com/oauth2", id="a-domain-with-a-path"),
        pytest.param("issuer", "http://login.example.com", id="an-issuer-without-tls"),
        pytest.param("issuer", "login.example.com", id="an-issuer-that-is-no-url"),
        pytest.param("base_url", "https://a.example?x=1", id="an-address-with-a-query"),
    ],
)
def test_what_no_provider_is_called(question: str, answer: str) -> None:
    checked_provider_answer(question, ANSWERS[question])
    with pytest.raises(ValueError, match="must "):
        checked_provider_answer(question, answer)


def test_flags_alone_write_what_loads() -> None:
    done = run(*FLAGS, "--client-secret-file", "secret")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "https://app.example/oauth2/callback" in done.output
    assert "https://app.example/oauth2/signed_out" in done.output
    settings = load_settings("config.yaml", {"GATEWAY_SECRETS_DIR": "secrets"})
    assert settings.providers["default"].client.client_secret == SECRET
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in Path("secrets").iterdir()}
    assert modes == {"session__secret": 0o600, "provider__client_secret": 0o600}
    assert stat.S_IMODE(Path("secrets").stat().st_mode) == 0o700
    assert SECRET not in Path("config.yaml").read_text(encoding="utf-8") + done.output


def test_questions_are_asked_again_until_they_are_answered() -> None:
    place = ("ftp://app.example", "https://app.example")
    provider = ("kecloak", "keycloak", "https://keycloak.example.com", "main")
    rest = ("", "app", SECRET, "none", "file", "")
    typed = "\n".join((*place, *provider, *rest))
    done = run(typed=typed)
    assert done.exit_code == 0, done.output
    settings = load_settings("config.yaml", {"GATEWAY_SECRETS_DIR": "secrets"})
    assert settings.providers["default"].issuer == "https://keycloak.example.com/realms/main"
    assert settings.upstreams == {}
    assert SECRET not in done.output


def test_a_password_of_the_store_is_a_secret() -> None:
    flags = [*FLAGS, "--client-secret-file", "secret"]
    flags[flags.index("file")] = "redis://:hunter2@127.0.0.1:6379/0"
    assert run(*flags).exit_code == 0
    assert "hunter2" not in Path("config.yaml").read_text(encoding="utf-8")
    assert (
        Path("secrets/session__store__url").read_text(encoding="utf-8").strip() == "redis://:hunter2@127.0.0.1:6379/0"
    )


@pytest.mark.parametrize("name", ["config.yaml", "secrets/session__secret"])
def test_nothing_that_is_there_is_written_over(name: str) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text("mine", encoding="utf-8")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    done = run(*FLAGS, "--client-secret-file", "secret")
    assert (done.exit_code, name in done.stderr) == (1, True)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before
    assert run(*FLAGS, "--client-secret-file", "secret", "--force").exit_code == 0
    assert Path(name).read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        pytest.param("--public-url", "https://app.example/path", "--public-url: ", id="a-path"),
        pytest.param("--public-url", "http://app.example", "http", id="public-without-tls"),
        pytest.param("--upstream", "127.0.0.1:3000", "--upstream: ", id="no-scheme"),
        pytest.param("--store", "sqlite:///x", "--store: ", id="an-unknown-store"),
        pytest.param("--client-id", " ", "--client-id: must not be empty", id="no-client-id"),
        pytest.param("--client-secret-file", "empty", "--client-secret-file: is empty", id="no-secret"),
    ],
)
def test_what_cannot_be_is_said_at_once(flag: str, value: str, said: str) -> None:
    Path("empty").touch()
    flags = [*FLAGS, "--client-secret-file", "secret"]
    flags[flags.index(flag) + 1] = value
    done = run(*flags)
    assert (done.exit_code, said in done.stderr) == (2, True)
    assert not Path("config.yaml").exists()
    assert not Path("secrets").exists()


def test_without_questions_what_is_missing_is_named() -> None:
    done = run("--yes", "--public-url", "https://app.example", "--provider", "google", "--client-id", "app")
    assert (done.exit_code, done.stderr.strip()) == (
        2,
        "--client-secret-file: is missing; --public-client where there is no secret",
    )


def test_localhost_without_tls_is_a_warning() -> None:
    flags = [*FLAGS, "--public-client"]
    flags[flags.index("https://app.example")] = "http://localhost:4180"
    done = run(*flags)
    assert (done.exit_code, "Warning: public_url is http" in done.stderr) == (0, True)


def test_for_programs_there_is_one_object() -> None:
    told = json.loads(run(*FLAGS, "--client-secret-file", "secret", "--json").stdout)
    assert told["redirect_uri"] == "https://app.example/oauth2/callback"
    assert told["next"][0] == "export GATEWAY_SECRETS_DIR=secrets"
    assert told["next"][-1].startswith("gateway doctor ")


def test_a_file_that_is_not_ours_to_write_loses_nothing(directory: Path) -> None:
    Path("secrets").write_text("a file where the directory should be", encoding="utf-8")
    done = run(*FLAGS, "--client-secret-file", "secret")
    assert (done.exit_code, "cannot be written" in done.stderr) == (1, True)
    assert not Path("config.yaml").exists()
    with pytest.raises(ConfigurationError):
        load_settings(str(directory / "config.yaml"), {})
