"""Where configuration comes from (DESIGN 4): file, secrets, environment, the later wins; nothing of it leaks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from gateway.config import Settings, load_settings, parse_settings
from gateway.config_sources import ConfigurationError, read_sources
from gateway.oidc.client import Client

SECRET: Final = "a secret of the gateway with 32 characters"
MINIMAL: Final[dict[str, Any]] = {
    "public_url": "https://app.example.com",
    "provider": {"issuer": "https://op.example", "client_id": "app", "client_secret": "Password1"},
    "session": {"secret": SECRET},
}


def merged(document: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """Set one key, given by its path, in a copy of a document."""
    first, _, rest = path.partition(".")
    child = document.get(first, {})
    below = merged(child if isinstance(child, dict) else {}, rest, value) if rest else value
    return {**document, first: below}


def variable(path: str) -> str:
    return "GATEWAY_" + path.upper().replace(".", "__")


def file_of(directory: Path, document: object) -> str:
    path = directory / "config.yaml"
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return str(path)


def secrets_of(directory: Path, files: Mapping[str, str]) -> dict[str, str]:
    secrets = directory / "secrets"
    secrets.mkdir()
    for name, text in files.items():
        (secrets / name).write_text(text, encoding="utf-8")
    return {"GATEWAY_SECRETS_DIR": str(secrets)}


def problems(path: str | None, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load_settings(path, environ or {})
    return error.value.problems


ROUTES: Final = [{"path": "/api/**", "methods": ["GET", "POST"], "require": {"claims": {"groups": ["staff"]}}}]

KEYS: Final = [
    ("public_url", "https://other.example", "https://other.example"),
    ("upstream", "http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ("provider.issuer", "https://other.example/", "https://other.example/"),
    ("provider.client_id", "other", "other"),
    ("provider.client_secret", "Password2", "Password2"),
    ("provider.token_endpoint_auth_method", "client_secret_post", "client_secret_post"),
    ("provider.scope", "openid phone", "openid phone"),
    ("provider.id_token_signed_response_alg", ["ES256", "RS256"], '["ES256", "RS256"]'),
    ("provider.id_token_signed_response_alg", "ES256", "ES256"),
    ("provider.userinfo", False, "false"),
    ("provider.verify_tls", False, "false"),
    ("provider.verify_tls", False, "FALSE"),
    ("provider.verify_tls", False, "0"),
    ("provider.verify_tls", True, "true"),
    ("provider.verify_tls", __file__, __file__),
    ("provider.timeout", 20, "20s"),
    ("provider.clock_leeway", 120, "2m"),
    ("provider.metadata", {"token_endpoint": "https://op.example/t"}, '{"token_endpoint": "https://op.example/t"}'),
    ("provider.metadata.token_endpoint", "https://op.example/t", "https://op.example/t"),
    ("provider.authorization.acr_values", "loa2", "loa2"),
    ("provider.authorization.prompt", "login", "login"),
    ("provider.authorization.max_age", 3600, "1h"),
    ("provider.authorization.ui_locales", "de en", "de en"),
    ("provider.authorization.extra", {"audience": "api"}, '{"audience": "api"}'),
    ("provider.authorization.extra.audience", "api", "api"),
    ("provider.start_parameters", ["acr_values", "prompt"], "acr_values, prompt"),
    ("provider.title", "Our staff", "Our staff"),
    ("provider.sender_constraint", "dpop", "dpop"),
    ("provider.userinfo_signed_response_alg", ["ES256", "RS256"], '["ES256", "RS256"]'),
    ("provider.id_token_encrypted_response_alg", "dir", "dir"),
    ("provider.authorization.via", "pushed", "pushed"),
    ("provider.authorization.response_mode", "form_post", "form_post"),
    ("provider.authorization.resource", ["urn:a", "urn:b"], "urn:a,urn:b"),
    ("provider.authorization.claims", {"id_token": {"email": None}}, '{"id_token":{"email":null}}'),
    ("provider.authorization.authorization_details", [{"type": "a"}], '[{"type":"a"}]'),
    ("session.secret", [SECRET, SECRET + "2"], json.dumps([SECRET, SECRET + "2"])),
    ("session.secret", SECRET + ",3", SECRET + ",3"),
    ("session.cookie_name", "other", "other"),
    ("session.store.type", "memory", "memory"),
    ("session.store.path", "/srv/sessions", "/srv/sessions"),
    ("session.store.url", "redis://127.0.0.1/1", "redis://127.0.0.1/1"),
    ("session.store.prefix", "other:", "other:"),
    ("session.idle_timeout", 900, "15m"),
    ("session.lifetime", 86400, "1d"),
    ("session.refresh_leeway", 30, "30"),
    ("routes", ROUTES, json.dumps(ROUTES)),
    ("prefix", "/auth", "/auth"),
    ("callback_path", "/callback", "/callback"),
    ("post_logout_path", "/bye", "/bye"),
    ("keep_fragment", True, "true"),
    ("trusted_proxies", ["10.0.0.0/8", "::1"], "10.0.0.0/8,::1"),
    ("forward_auth.uri_header", "X-Original-Uri", "X-Original-Uri"),
    ("forward_auth.method_header", "X-Original-Method", "X-Original-Method"),
    ("upstream_connection.connect_timeout", 2, "2"),
    ("upstream_connection.read_timeout", 120, "2m"),
    ("upstream_connection.verify_tls", False, "off"),
    ("log_level", "warning", "warning"),
]

EVERY_KEY: Final = pytest.mark.parametrize(
    ("path", "value", "text"), [pytest.param(*key, id=f"{key[0]}={key[2][:24]}") for key in KEYS]
)


BASE: Final = {**MINIMAL, "upstream": "http://up.example"}


@pytest.fixture
def base() -> Settings:
    return parse_settings(BASE, {})


def values(settings: Settings) -> tuple[object, ...]:
    """Take what the settings hold, all of which compare by value."""
    return (settings, client(settings).client_secret, settings.store.url, settings.ring.secrets)


def client(settings: Settings) -> Client:
    return settings.providers["default"].client


@EVERY_KEY
def test_every_key_is_read_from_the_file_the_environment_and_a_secret(
    tmp_path: Path, base: Settings, path: str, value: object, text: str
) -> None:
    from_file = load_settings(file_of(tmp_path, merged(BASE, path, value)), {})
    minimal = file_of(tmp_path, BASE)
    from_environment = load_settings(minimal, {variable(path): text})
    from_secret = load_settings(minimal, secrets_of(tmp_path, {variable(path): text + "\n"}))
    assert values(from_file) == values(from_environment) == values(from_secret)
    assert (values(from_file) == values(base)) is (text == "true" and path == "provider.verify_tls")


def test_the_environment_alone_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Settings) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {
        "GATEWAY_PUBLIC_URL": "https://app.example.com",
        "GATEWAY_UPSTREAM": "http://up.example",
        "GATEWAY_PROVIDER__ISSUER": "https://op.example",
        "GATEWAY_PROVIDER__CLIENT_ID": "app",
        "GATEWAY_PROVIDER__CLIENT_SECRET": "Password1",
        "GATEWAY_SESSION__SECRET": SECRET,
        "PATH": "/bin",
        "GATEWAYS": "not ours",
        "GATEWAY_TEST_REAL": "1",
    }
    assert values(load_settings(None, environ)) == values(base)


@pytest.mark.parametrize(
    ("in_secret", "in_environment", "expected"),
    [
        pytest.param(None, None, "from-file", id="file"),
        pytest.param("from-secret", None, "from-secret", id="secret over file"),
        pytest.param(None, "from-environment", "from-environment", id="environment over file"),
        pytest.param("from-secret", "from-environment", "from-environment", id="environment over secret"),
    ],
)
def test_the_later_source_wins(
    tmp_path: Path, in_secret: str | None, in_environment: str | None, expected: str
) -> None:
    environ = {} if in_secret is None else secrets_of(tmp_path, {"GATEWAY_PROVIDER__CLIENT_ID": in_secret})
    if in_environment is not None:
        environ = {**environ, "GATEWAY_PROVIDER__CLIENT_ID": in_environment}
    path = file_of(tmp_path, merged(MINIMAL, "provider.client_id", "from-file"))
    settings = load_settings(path, environ)
    assert (client(settings).client_id, client(settings).client_secret) == (expected, "Password1")


@pytest.mark.parametrize(
    "name", ["GATEWAY_PROVIDER__CLIENT_ID", "gateway_provider__client_id", "provider__client_id", "PROVIDER__CLIENT_ID"]
)
def test_a_secret_may_be_named_with_or_without_the_prefix(tmp_path: Path, name: str) -> None:
    environ = secrets_of(tmp_path, {name: "from-secret\r\n", "..data": "bookkeeping"})
    assert client(load_settings(file_of(tmp_path, MINIMAL), environ)).client_id == "from-secret"


@pytest.mark.parametrize("named_by", ["argument", "variable", "default"])
def test_which_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named_by: str) -> None:
    path = file_of(tmp_path, MINIMAL)
    if named_by == "default":
        monkeypatch.chdir(tmp_path)
    environ = {"GATEWAY_CONFIG": path if named_by == "variable" else "/absent/config.yaml"}
    if named_by == "default":
        environ = {}
    assert client(load_settings(path if named_by == "argument" else None, environ)).client_id == "app"


def test_no_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_sources(None, {}).document == {}


def test_a_named_file_has_to_be_there(tmp_path: Path) -> None:
    (problem,) = problems(str(tmp_path / "absent.yaml"))
    assert problem == f"{tmp_path / 'absent.yaml'}: cannot be read: No such file or directory"


def test_a_secrets_directory_has_to_be_there(tmp_path: Path) -> None:
    (problem,) = problems(file_of(tmp_path, MINIMAL), {"GATEWAY_SECRETS_DIR": str(tmp_path / "absent")})
    assert problem.startswith(f"GATEWAY_SECRETS_DIR: {tmp_path / 'absent'} cannot be read")


def test_an_unknown_key_in_the_file(tmp_path: Path) -> None:
    path = file_of(tmp_path, merged(MINIMAL, "provider.client_idd", "x"))
    assert problems(path) == ["provider.client_idd: is not a key that the gateway knows"]


@pytest.mark.parametrize("name", ["GATEWAY_PROVIDER__CLIENT_IDD", "GATEWAY_provider__client_idd"])
def test_an_unknown_key_in_the_environment(tmp_path: Path, name: str) -> None:
    found = problems(file_of(tmp_path, MINIMAL), {name: "x"})
    assert found == [f"provider.client_idd (from {name}): is not a key that the gateway knows"]


def test_an_unknown_key_among_the_secrets(tmp_path: Path) -> None:
    found = problems(file_of(tmp_path, MINIMAL), secrets_of(tmp_path, {"sesion__secret": "hunter2"}))
    assert found == ["sesion (from the secret sesion__secret): is not a key that the gateway knows"]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        pytest.param("prefix: /a\nprefix: /b\n", "line 1", id="at the top"),
        pytest.param("provider:\n  issuer: a\n  scope: b\n  issuer: c\n", "line 2", id="further down"),
        pytest.param("provider: {scope: a, scope: a}\n", "line 1", id="in one line, the same value"),
    ],
)
def test_a_key_that_occurs_twice(tmp_path: Path, text: str, position: str) -> None:
    (problem,) = problems(file_of(tmp_path, text))
    assert "occurs twice" in problem
    assert position in problem


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("provider: {client_secret: hunter2\nx: y: z\n", id="an open brace"),
        pytest.param("client_secret: hunter2: x\n", id="a colon too many"),
        pytest.param("client_secret: 'hunter2\n", id="an open quote"),
        pytest.param("client_secret: *hunter2\n", id="a secret that looks like an alias"),
        pytest.param("client_secret: !hunter2 x\n", id="a secret that looks like a tag"),
        pytest.param("client_secret: !!hunter2 x\n", id="a secret that looks like a tag of YAML's own"),
        pytest.param("client_secret: &hunter2\n  - *hunter3\n", id="an anchor and an alias"),
        pytest.param("client_secret: @hunter2\n", id="a reserved sign"),
        pytest.param("client_secret: %hunter2\n", id="a directive's sign"),
        pytest.param("a: !!python/object/apply:os.system [hunter2]\n", id="an object of Python"),
        pytest.param("client_secret: hunter2\n\tx: y\n", id="a tab"),
        pytest.param("client_secret: hunter2\x07\n", id="a control character"),
        pytest.param("client_id: 2001-99-99 # hunter2\n", id="an impossible date"),
        pytest.param("%YAML 9.9 hunter2\n---\na: b\n", id="a directive"),
        pytest.param("a: hunter2\n---\nb: hunter2\n", id="two documents"),
        pytest.param("? [hunter2]\n: x\n", id="a key that is a list"),
        pytest.param("{" * 2000 + "hunter2", id="nested without end"),
    ],
)
def test_what_is_not_yaml_is_named_by_its_place_alone(tmp_path: Path, text: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(ConfigurationError) as error:
        load_settings(path, {})
    assert error.value.problems[0].startswith(f"{path}: is not YAML: ")
    assert len(str(error.value).splitlines()) == 1
    assert "hunter" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_file_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"client_secret: hunter2\xff\n")
    (problem,) = problems(str(path))
    assert problem == f"{path}: is not YAML: UnicodeDecodeError"


@pytest.mark.parametrize("text", ["- a\n", "text\n", "1\n", "1: a\n"], ids=["list", "text", "number", "number as key"])
def test_a_file_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    path = file_of(tmp_path, text)
    assert problems(path) == [f"{path}: must be a mapping of keys to values"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n"])
def test_an_empty_file_is_no_mistake(tmp_path: Path, text: str) -> None:
    assert read_sources(file_of(tmp_path, text), {}).document == {}


def test_the_document_of_the_caller_stays_as_it_was() -> None:
    before = json.dumps(MINIMAL)
    parse_settings(MINIMAL, {"GATEWAY_PROVIDER__CLIENT_ID": "other"})
    assert json.dumps(MINIMAL) == before


def test_several_providers_in_the_environment_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"GATEWAY_PUBLIC_URL": "https://app.example.com", "GATEWAY_SESSION__SECRET": SECRET}
    for name in ("STAFF", "PARTNERS"):
        environ[f"GATEWAY_PROVIDERS__{name}__ISSUER"] = f"https://{name.lower()}.example"
        environ[f"GATEWAY_PROVIDERS__{name}__CLIENT_ID"] = "app"
        environ[f"GATEWAY_PROVIDERS__{name}__CLIENT_SECRET"] = f"secret of {name}"
    made = load_settings(None, environ).providers
    assert {name: (one.issuer, one.client.client_secret) for name, one in made.items()} == {
        "staff": ("https://staff.example", "secret of STAFF"),
        "partners": ("https://partners.example", "secret of PARTNERS"),
    }
