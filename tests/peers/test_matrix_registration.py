"""The gateway registers itself at npm's oidc-provider, signs users in, and ends it (RFC 7591, RFC 7592)."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from harness import CALLBACK, ORIGIN

from gateway.cli import main

from .matrix_clients import EMAIL
from .matrix_gateway import Matrix, run_matrix_site
from .node_provider import EVERY_FEATURE

pytestmark = pytest.mark.real("node")


@pytest.fixture
def config(matrix: Matrix, tmp_path: Path) -> Path:
    document = matrix.config(None, {"registration": str(tmp_path / "registration.json")})
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    (tmp_path / "token").write_text(f"{EVERY_FEATURE.registration_token}\n")
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


def register(config: Path, *more: str) -> Result:
    return run("register", "--config", str(config), "--initial-access-token-file", str(config.parent / "token"), *more)


@pytest.mark.parametrize("method", ["private_key_jwt", "client_secret_basic"])
def test_a_client_registers_signs_in_changes_and_ends(matrix: Matrix, config: Path, method: str) -> None:
    document = yaml.safe_load(config.read_text())
    document["provider"] |= {"token_endpoint_auth_method": method, "id_token_signed_response_alg": "ES256"}
    config.write_text(yaml.safe_dump(document))
    file = config.parent / "registration.json"
    done = register(config)
    assert (done.exit_code, file.stat().st_mode & 0o777) == (0, 0o600), done.output
    first = json.loads(file.read_text())
    assert (first["redirect_uris"], first["token_endpoint_auth_method"]) == ([CALLBACK], method)
    with run_matrix_site(matrix, None, document["provider"]) as site:
        site.sign_in()
        assert site.session().claims["email"] == EMAIL

    done = run("register", "--config", str(config), "--update", "--member", "client_name=Changed")
    assert done.exit_code == 0, done.output
    second = json.loads(file.read_text())
    assert (second["client_id"], second["client_name"]) == (first["client_id"], "Changed")
    assert second["registration_access_token"] != first["registration_access_token"]

    done = run("unregister", "--config", str(config))
    assert (done.exit_code, file.exists()) == (0, False), done.output
    file.write_text(json.dumps(second))
    with run_matrix_site(matrix, None, document["provider"]) as site:
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert page.url.startswith(matrix.provider.issuer)
        assert "invalid_client" in page.text


def test_without_the_token_of_the_provider_nobody_registers(config: Path) -> None:
    (config.parent / "token").write_text("another\n")
    done = register(config)
    assert (done.exit_code, (config.parent / "registration.json").exists()) == (2, False)
    assert "registration_refused" in done.output
