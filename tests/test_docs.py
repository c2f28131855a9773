"""README, config.yaml, docs and code never disagree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import corpora
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway import loop_problems
from gateway.app import Gateway
from gateway.config import load_standalone_settings, parse_settings
from gateway.config_docs import configuration_table, schema_text
from gateway.problem import Problem
from gateway.testing import Browser, FakeProvider, signed_in
from gateway.testing.sample import sample_app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONFIG = (ROOT / "config.yaml").read_text(encoding="utf-8")
SECRET = {"GATEWAY_SESSION__SECRET": "thirty-two characters are enough"}

# A key that has no default stands behind a `# `, directly before its name; prose has a capital after it.
COMMENTED_KEY = re.compile(r"^(\s*)# ([a-z_]+:.*)$", re.MULTILINE)


WHOLE = frozenset({"claims", "request_headers", "extra", "providers", "token", "authorization_details"})
"""Keys whose values have a structure of their own."""


def everything() -> dict[str, Any]:
    document = yaml.safe_load(COMMENTED_KEY.sub(r"\1\2", CONFIG))
    assert isinstance(document, dict)
    return document


def keys_of_model() -> Iterator[str]:
    for line in configuration_table().splitlines()[2:]:
        yield line.split("`")[1]


def keys_of_document(value: object, prefix: str = "") -> Iterator[str]:
    if isinstance(value, Mapping) and value and prefix.rpartition(".")[2] not in WHOLE:
        for name, child in value.items():
            yield from keys_of_document(child, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping) and prefix.rpartition(".")[2] not in WHOLE:
        for child in value:
            yield from keys_of_document(child, f"{prefix}[]")
    else:
        yield prefix


def test_config_yaml_has_every_key_and_no_other() -> None:
    found = {key.replace("upstreams.api.", "upstreams.NAME.") for key in keys_of_document(everything())}
    assert found == set(keys_of_model())


def test_config_yaml_is_accepted_as_shipped() -> None:
    settings = load_standalone_settings(str(ROOT / "config.yaml"), SECRET)
    assert settings.providers["default"].client.client_id == "client-python"


def test_config_yaml_shows_the_defaults() -> None:
    shown = yaml.safe_load(CONFIG)
    least = {
        "public_url": shown["public_url"],
        "upstream": shown["upstream"],
        "provider": {name: shown["provider"][name] for name in ("issuer", "client_id", "client_secret")},
        "routes": shown["routes"],
    }
    assert parse_settings(shown, SECRET) == parse_settings(least, SECRET)


def test_commented_keys_are_accepted_too(tmp_path: Path) -> None:
    document = everything()
    key = tmp_path / "key.pem"
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    provider = document.pop("provider")
    assert provider.pop("profile") == "fapi2"  # It refuses what some of the other keys allow.
    files = dict.fromkeys(("client_certificate", "client_certificate_key", "decryption_keys"), str(key))
    provider["introspection_signed_response_alg"] = "RS256"  # What is encrypted is signed as well.
    document["providers"]["staff"].update({**provider, **files, "issuer": "https://login.example.com"})
    document["upstreams"]["api"].update({name: str(key) for name in files if name.startswith("client")})
    document["session"]["secret"] = SECRET["GATEWAY_SESSION__SECRET"]
    document["session"]["store"]["type"] = "redis"
    for name in ("templates", "locales"):
        document[name] = str(tmp_path / name)
        Path(document[name]).mkdir()

    settings = parse_settings(document, {})

    assert settings.callback_path == "/callback"
    assert settings.providers["staff"].client.redirect_uri == "https://localhost:5443/callback/staff"


def test_readme_has_the_table_of_the_model() -> None:
    assert configuration_table() in README, "run `make docs`"


def test_schema_is_that_of_the_model() -> None:
    assert (ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8") == schema_text() + "\n", "run `make docs`"
    assert "$schema=docs/config.schema.json" in CONFIG.splitlines()[0]


def test_readme_names_the_endpoints_that_exist(protect: Callable[..., Gateway]) -> None:
    gateway = protect(sample_app)
    named = set(re.findall(r"`(?:GET|POST)(?:, POST)? (/[a-z0-9_/.-]+)", README))
    assert named == set(gateway.endpoints.paths) - {"/oauth2/signed_out"}


@pytest.mark.parametrize(
    "path", re.findall(r"`([a-z_/]+\.py)`", (ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
)
def test_security_page_names_files_that_exist(path: str) -> None:
    assert (ROOT / "gateway" / path).exists() or (ROOT / "tests" / path).exists()


def test_readme_examples_run(
    protect: Callable[..., Gateway],
    browser_for: Callable[[Any], Browser],
    fake_provider: FakeProvider,
) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
        session = environ["gateway.session"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"Hello {session.claims.get('name', session.subject)}".encode()]

    examples = README.partition("## Testing an app")[2].partition("```python\n")[2].partition("```")[0]
    scope: dict[str, Any] = {"app": app}
    exec(examples, scope)
    scope["test_greets_by_name"](protect, browser_for)
    scope["test_staff_see_the_reports"](protect, browser_for, signed_in)
    scope["test_refuses_another_issuer"](protect, browser_for, fake_provider)


def test_the_questions_say_what_to_do_about_each_loop() -> None:
    questions = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    section = questions.partition("### Signed in again and again\n")[2].partition("\n### ")[0]
    told = re.findall(r"^\| `([a-z_]+)` \| .+ \| .+ \|$", section, re.MULTILINE)
    codes = [one.code for one in vars(loop_problems).values() if isinstance(one, Problem)]
    assert sorted(told) == sorted(codes)


def test_lock_files_name_every_dependency_of_the_project() -> None:
    runtime = (ROOT / "locks" / "runtime.txt").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = project.partition("dependencies = [")[2].partition("]")[0]
    for name in re.findall(r'"([a-z0-9-]+)', dependencies):
        assert re.search(rf"^{name}==", runtime, re.MULTILINE), name
        assert re.search(rf"^\| {name} \|", (ROOT / "docs" / "dependencies.md").read_text().lower(), re.MULTILINE), name


def _shown_by() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "docs" / "INTERMEDIARY.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 6 and cells[1] not in ("section", "---"):
            file = ""
            for part in re.split(r"; (?=test_\w+: |raw_requests: |header_sets: )", cells[4]):
                file, _, cases = part.partition(": ")
                yield from ((file, case) for case in cases.split("; "))


@pytest.mark.parametrize(("file", "case"), [pytest.param(*shown, id=f"{shown[0]}-{shown[1]}") for shown in _shown_by()])
def test_what_the_page_on_intermediaries_names_is_there(file: str, case: str) -> None:
    places = [*(ROOT / "tests").glob(f"{file}.py"), *(ROOT / "tests" / "processes").glob(f"{file}.py")]
    if places:
        text = places[0].read_text(encoding="utf-8")
        assert f'"{case}"' in text or f"def {case}(" in text
    else:
        assert case in {one["id"] for one in corpora.read(file)}


def test_the_page_on_intermediaries_has_every_section() -> None:
    page = (ROOT / "docs" / "INTERMEDIARY.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"\d+(?:\.\d+)+", page)) | set(re.findall(r"9112 (\d)\b", page))
    wanted = (
        "2.2 2.3 3.2 3.2.1 3.2.2 3.2.3 3.2.4 5.1 5.2 6.1 6.2 6.3 7.1 7.1.1 7.1.2 9.2 9.3 9.6 4.2.4 4.3.4 5.3 5.5 6.5.1 "
        "7.6 7.6.1 7.6.2 7.6.3 7.7 7.8 8.6 9.2.2 9.3.2 9.3.7 9.3.8 10.1.1 11.6.2 15.2 15.2.2 15.3.5 15.4.5"
    )
    assert not set(wanted.split()) - sections
