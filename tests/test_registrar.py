"""`gateway register` and `unregister` against a provider on loopback (RFC 7591, RFC 7592)."""

import json
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import SECRET
from peers.servers import free_port
from processes.running import origin_at, run_threads

from gateway.app import Gateway
from gateway.cli import main
from gateway.testing import Browser, FakeClient, FakeProvider

ORIGIN = "https://app.example"
TOKEN_CLIENT = FakeClient(client_id="registrar", client_secret="the secret of the registrar", redirect_uris=[])


@dataclass(frozen=True, kw_only=True)
class Place:
    """A provider on loopback, and a configuration that is not registered there yet."""

    provider: FakeProvider
    config: Path
    file: Path

    def run(self, *arguments: str) -> Result:
        command, *options = arguments
        return CliRunner().invoke(main, [command, "--config", str(self.config), *options])

    def kept(self) -> Any:
        return json.loads(self.file.read_text(encoding="utf-8"))

    def configure(self, **provider: object) -> None:
        document = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        document["provider"].update(provider)
        self.config.write_text(yaml.safe_dump(document), encoding="utf-8")

    def sign_in(self) -> int:
        def app(_: Mapping[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"hello"]

        gateway = Gateway.from_config(str(self.config))(app)
        browser = Browser({ORIGIN: gateway, self.provider.issuer: self.provider})
        return browser.navigate(f"{ORIGIN}/home").status


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    port = free_port()
    provider = FakeProvider(issuer=origin_at(port), clients=[TOKEN_CLIENT], sign_in_as="alice", id_token_alg="ES256")
    with run_threads(port, provider):
        file = tmp_path / "var" / "registration.json"
        config = tmp_path / "config.yaml"
        document = {
            "public_url": ORIGIN,
            "upstream": "http://127.0.0.1:9",
            "provider": {
                "issuer": provider.issuer,
                "registration": str(file),
                "id_token_signed_response_alg": "ES256",
            },
            "session": {"secret": SECRET, "store": {"type": "memory"}},
            "routes": [{"path": "/home", "upstream": ""}],
        }
        config.write_text(yaml.safe_dump(document), encoding="utf-8")
        yield Place(provider=provider, config=config, file=file)


def test_d6_a_registered_gateway_signs_in_and_an_unregistered_one_does_not(place: Place) -> None:
    done = place.run("register")
    assert done.exit_code == 0, done.output
    assert place.kept()["redirect_uris"] == [f"{ORIGIN}/oauth2/callback"]
    assert place.kept()["post_logout_redirect_uris"] == [f"{ORIGIN}/oauth2/signed_out"]
    assert place.sign_in() == 200

    ended = place.run("unregister")
    assert ended.exit_code == 0, ended.output
    assert not place.file.exists()
    assert [client.client_id for client in place.provider.clients] == ["registrar"]
    refused = place.run("unregister")
    assert (refused.exit_code, "registration_invalid" in refused.output) == (2, True)


def test_h13_the_secret_is_kept_for_its_owner_alone_and_printed_nowhere(place: Place) -> None:
    done = place.run("register")
    kept = place.kept()
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600
    assert "client_secret_expires_at" not in kept
    assert kept["client_id"] in done.output
    assert all(kept[name] not in done.output for name in ("client_secret", "registration_access_token"))
    assert [entry.name for entry in place.file.parent.iterdir()] == ["registration.json"]


def test_a_gateway_that_is_not_registered_says_what_to_do(place: Place) -> None:
    done = place.run("serve")
    assert done.exit_code == 2
    assert "`gateway register` makes it" in done.output


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        pytest.param("{", "is not a file that `gateway register` wrote", id="half-a-file"),
        pytest.param("[]", "is not a file that `gateway register` wrote", id="a-list"),
        pytest.param('{"client_id": 7}', "client_id", id="a-number"),
        pytest.param("{}", "client_id", id="empty"),
    ],
)
def test_a_file_that_is_no_registration(place: Place, kept: str, says: str) -> None:
    place.file.parent.mkdir(parents=True)
    place.file.write_text(kept, encoding="utf-8")
    done = place.run("serve")
    assert done.exit_code == 2
    assert says in done.output


def test_the_static_client_wins(place: Place) -> None:
    place.configure(client_id="registrar", client_secret="the secret of the registrar")
    done = place.run("register")
    assert done.exit_code == 2
    assert "there is nothing to register" in done.output
    assert not place.file.exists()


def test_a_registration_is_not_written_over(place: Place) -> None:
    place.run("register")
    before = place.kept()
    again = place.run("register")
    assert (again.exit_code, "--update" in again.output) == (2, True)
    assert place.kept() == before


def test_an_update_sends_what_is_configured_now(place: Place) -> None:
    place.run("register")
    place.configure(scope="openid email")
    done = place.run("register", "--update", "--member", 'client_name="Dashboard"')
    assert done.exit_code == 0, done.output
    assert (place.kept()["scope"], place.kept()["client_name"]) == ("openid email", "Dashboard")
    assert place.sign_in() == 200


def test_the_initial_access_token_comes_by_client_credentials(place: Place, tmp_path: Path) -> None:
    place.provider.initial_access_tokens = True
    refused = place.run("register")
    assert (refused.exit_code, "registration_refused" in refused.output) == (2, True)
    assert not place.file.exists()

    secret = tmp_path / "secret"
    secret.write_text("the secret of the registrar\n", encoding="utf-8")
    done = place.run(
        "register", "--token-client-id", "registrar", "--token-client-secret-file", str(secret), "--token-scope", "dcr"
    )
    assert done.exit_code == 0, done.output
    assert place.provider.calls["token.client_credentials"] == 1
    assert place.sign_in() == 200


def test_the_initial_access_token_comes_from_a_file(place: Place, tmp_path: Path) -> None:
    place.provider.initial_access_tokens = True
    token = tmp_path / "token"
    token.write_text("worthless", encoding="utf-8")
    refused = place.run("register", "--initial-access-token-file", str(token))
    assert (refused.exit_code, "registration_refused" in refused.output) == (2, True)


def test_a_template_is_completed_by_the_provider(place: Place) -> None:
    place.provider.software_templates = {
        "dashboard": {"client_name": "Dashboard", "token_endpoint_auth_method": "client_secret_post"}
    }
    done = place.run("register", "--software-id", "dashboard")
    assert done.exit_code == 0, done.output
    assert place.kept()["client_name"] == "Dashboard"
    assert place.sign_in() == 200


def test_a_registration_that_the_provider_forgot_is_removed_when_told_to(place: Place) -> None:
    place.run("register")
    place.provider.clients = [replace(TOKEN_CLIENT)]
    place.provider.down = True
    left = place.run("unregister")
    assert (left.exit_code, place.file.exists()) == (2, True)
    assert "--forget" in left.output

    forgotten = place.run("unregister", "--forget")
    assert (forgotten.exit_code, place.file.exists()) == (0, False)


def test_the_keys_are_registered_and_no_private_member_of_them(place: Place, tmp_path: Path) -> None:
    from_pem = tmp_path / "key.pem"
    from_pem.write_bytes(new_key())
    place.configure(signing_keys=str(from_pem), token_endpoint_auth_method="private_key_jwt")
    done = place.run("register")
    assert done.exit_code == 0, done.output
    (key,) = place.kept()["jwks"]["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert place.kept().get("client_secret") is None
    assert place.sign_in() == 200


def new_key() -> bytes:
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
