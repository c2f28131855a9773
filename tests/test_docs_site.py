"""The documentation as a whole: every page is in the site, every link leads somewhere, every example is accepted."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from werkzeug.test import Client

from gateway.cli import main
from gateway.config import load_standalone_settings, parse_settings
from gateway.config_docs import configuration_table
from gateway.config_model import Document
from gateway.config_reference import reference_pages

ROOT: Final = Path(__file__).resolve().parent.parent
DOCS: Final = ROOT / "docs"
EXAMPLES: Final = ROOT / "examples"
MKDOCS: Final = ROOT / "build" / ".site" / "bin" / "mkdocs"
PAGES: Final = sorted(DOCS.rglob("*.md"))
READ: Final = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", EXAMPLES / "README.md"]
SECRET: Final = {"GATEWAY_SESSION__SECRET": "thirty-two characters are enough"}
BASE: Final[Mapping[str, object]] = {
    "public_url": "https://app.example.com",
    "provider": {"issuer": "https://login.example.com", "client_id": "app", "client_secret": "a secret of the tests"},
}
MOST_OCTETS: Final = 60_000
LEAST_CHARACTERS: Final = 40
FOREIGN: Final = "not a configuration of the gateway"
"""What a comment before a YAML block says that is for something else."""

PRIVATE_KEYS: Final[Mapping[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey]] = {
    "client.pem": ec.generate_private_key(ec.SECP256R1()),
    "client.crt": ec.generate_private_key(ec.SECP256R1()),
    "client.key": ec.generate_private_key(ec.SECP256R1()),
    "rsa.pem": rsa.generate_private_key(public_exponent=65537, key_size=2048),
}

_SNIPPET = re.compile(r'^\s*--8<-- "([^"]+)"$', re.MULTILINE)
_FENCE = re.compile(
    r"(?:<!-- (?P<mark>[^>]+) -->\n)?^(?P<indent> *)```(?P<kind>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S
)


def read(page: Path) -> str:
    """Read a page with what it includes."""
    return _SNIPPET.sub(lambda found: (ROOT / found[1]).read_text(encoding="utf-8"), page.read_text(encoding="utf-8"))


def blocks(kind: str) -> Iterator[Any]:
    """List the code blocks of a kind on all pages, as parameters of what is marked before them and their text."""
    for page in READ:
        for number, fence in enumerate(_FENCE.finditer(read(page)), start=1):
            if fence["kind"] == kind:
                text = re.sub(rf"^{fence['indent']}", "", fence["text"], flags=re.MULTILINE)
                yield pytest.param(fence["mark"] or "", text, id=f"{page.relative_to(ROOT)}-{number}")


def prose(page: Path) -> str:
    """Read a page without its code."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))


def links() -> Iterator[Any]:
    for page in READ:
        for number, target in enumerate(re.findall(r"\]\(([^)\s]+)\)", prose(page)), start=1):
            if not re.match(r"[a-z]+:", target):
                yield pytest.param(page, target, id=f"{page.relative_to(ROOT)}-{number}")


def anchors(page: Path) -> set[str]:
    """List the anchors of a page's headings, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", read(page)), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"\s", "-", heading) for heading in words}


def nav_pages(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for value in entry.values():
                yield from nav_pages(value) if isinstance(value, list) else [value]


def site() -> dict[str, Any]:
    # No tags of its own: what is read here is the navigation alone.
    document: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    return document


def test_every_page_is_in_the_site_and_nothing_else() -> None:
    named = list(nav_pages(site()["nav"]))
    assert sorted(named) == sorted({str(page.relative_to(DOCS)) for page in PAGES})


def test_the_site_asks_no_other_for_anything() -> None:
    assert site()["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript", "repo_url"} & set(site())


@pytest.mark.parametrize(("page", "target"), list(links()))
def test_links_lead_to_pages_and_headings(page: Path, target: str) -> None:
    path, _, anchor = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    assert there.exists(), target
    assert there.is_relative_to(ROOT), target
    assert not anchor or anchor in anchors(there), target


def test_each_screenshot_is_small_and_shown_with_a_text() -> None:
    shown = {
        (page.parent / target).resolve(): text
        for page in READ
        for text, target in re.findall(r"!\[([^\]]*)\]\(([^)]+\.png)\)", prose(page))
    }
    assert sorted(shown) == sorted(DOCS.rglob("*.png"))
    assert all(len(text) >= LEAST_CHARACTERS for text in shown.values())
    assert all(picture.stat().st_size <= MOST_OCTETS for picture in shown)


def completed(shown: Any) -> dict[str, Any]:
    """Make a whole configuration of what a page shows a part of."""
    if isinstance(shown, list):
        return {**BASE, "routes": shown}
    if "issuer" in shown:
        return {**BASE, "provider": {**shown}}
    if all(isinstance(part, dict) and "issuer" in part for part in shown.values()):
        return {"public_url": BASE["public_url"], "providers": shown}
    assert set(shown) <= set(Document.model_fields), "neither a configuration nor a part of one"
    least = dict(BASE) if "providers" not in shown else {"public_url": BASE["public_url"]}
    provider = {**BASE["provider"], **shown["provider"]} if "provider" in shown else least.get("provider")  # type: ignore[dict-item]
    return {**least, **shown, **({} if provider is None else {"provider": provider})}


@pytest.mark.parametrize(("mark", "text"), list(blocks("yaml")))
def test_configurations_are_accepted(mark: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = list(yaml.safe_load_all(text))
    if mark == FOREIGN:
        assert shown
        return
    monkeypatch.chdir(tmp_path)
    for name, private in PRIVATE_KEYS.items():
        Path("keys").mkdir(exist_ok=True)
        Path("keys", name).write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    Path("var").mkdir()
    Path("pages").mkdir()
    Path("locale").mkdir()
    Path("var/registration.json").write_text('{"client_id": "registered", "client_secret": "given"}')
    settings = parse_settings(completed(shown[0]), SECRET)
    assert settings.providers


@pytest.mark.parametrize(("mark", "text"), list(blocks("python")))
def test_python_is_python(mark: str, text: str) -> None:
    assert ast.parse(text).body
    assert not re.match(r"\s*--\s*8", text), "an include that a formatter has taken for Python"


TESTING = "\n".join(
    block.values[1] for block in blocks("python") if "def test_" in block.values[1] and "testing" in block.id
)


@pytest.mark.parametrize("name", re.findall(r"^def (test_\w+)", TESTING, re.MULTILINE))
def test_the_page_on_testing_tells_the_truth(name: str, request: pytest.FixtureRequest) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        session = environ["gateway.session"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"Hello {session.claims.get('name', session.subject)}".encode()]

    scope: dict[str, Any] = {"app": app}
    exec(TESTING, scope)
    given = {"client": Client(app)}
    wanted = inspect.signature(scope[name]).parameters
    scope[name](**{each: given.get(each) or request.getfixturevalue(each) for each in wanted})


def commands() -> Iterator[Any]:
    for block in blocks("sh"):
        for line in block.values[1].replace("\\\n", " ").splitlines():
            for found in re.findall(r"(?:^|\$\()(gateway [^)#>|]*)", line):
                yield pytest.param(shlex.split(found)[1:], id=f"{block.id}-{found.strip()}")


@pytest.mark.parametrize("words", list(commands()))
def test_commands_and_their_options_exist(words: list[str]) -> None:
    command: click.Command = main
    while isinstance(command, click.Group):
        assert words, "a group alone does nothing"
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    options = {name for parameter in command.params for name in parameter.opts}
    own = words[: words.index("--")] if "--" in words else words  # Behind it are words of others.
    assert {word.partition("=")[0] for word in own if word.startswith("--")} <= options | {"--help"}


def test_the_reference_is_that_of_the_model() -> None:
    pages = reference_pages()
    written = {page.stem: page.read_text(encoding="utf-8") for page in (DOCS / "configuration").glob("*.md")}
    assert {**written, "index": ""} == {**pages, "index": ""}, "run `make docs`"
    rows = re.findall(r"^\| `([^`]+)`", configuration_table(), re.MULTILINE)
    assert sorted(re.findall(r"^## `([^`]+)`", "\n".join(pages.values()), re.MULTILINE)) == sorted(rows)


def directives() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((DOCS / "mod_auth_openidc.yaml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = document["directives"]
    return found


def test_every_directive_of_mod_auth_openidc_is_told_of() -> None:
    listed = (ROOT / "tests" / "corpus" / "mod_auth_openidc_directives.txt").read_text(encoding="utf-8").split()
    assert sorted(directives()) == sorted(listed)
    page = (DOCS / "mod_auth_openidc.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(OIDC\w+)`", page, re.MULTILINE) == list(directives()), "run `make docs`"


@pytest.mark.parametrize(("name", "row"), [pytest.param(name, row, id=name) for name, row in directives().items()])
def test_what_becomes_of_a_directive_is_said(name: str, row: Mapping[str, Any]) -> None:
    known = set(re.findall(r"^\| `([^`]+)`", configuration_table(), re.MULTILINE)) | {"routes[].token"}
    assert row["how"] in ("key", "built-in", "elsewhere", "absent")
    assert bool(row.get("keys")) is (row["how"] == "key")
    assert set(row.get("keys", [])) <= known
    assert row["note"] or row["how"] == "key"


def test_the_deployment_is_configured_by_keys_that_exist(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all((EXAMPLES / "kubernetes" / "gateway.yaml").read_text(encoding="utf-8")))
    text = (EXAMPLES / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8")
    for file in yaml.safe_load(text)["secretGenerator"][0]["files"]:
        name = file.partition("=")[0]
        value = "rediss://redis:6379/0" if name.endswith("url") else SECRET["GATEWAY_SESSION__SECRET"]
        (tmp_path / name).write_text(value)
    deployment = next(one for one in documents if one["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    environ = {**{one["name"]: one["value"] for one in container["env"]}, "GATEWAY_PORT": "tcp://10.0.0.1:80"}
    environ["GATEWAY_SECRETS_DIR"] = str(tmp_path)
    settings = load_standalone_settings(str(ROOT / "tests" / "corpus" / "empty.yaml"), environ)
    assert (settings.store.type, settings.trusted_hops) == ("redis", 1)
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("readiness", "liveness")} == {"/ready", "/ping"}


def test_the_unit_names_keys_and_options_that_exist() -> None:
    text = (EXAMPLES / "systemd" / "gateway.service").read_text(encoding="utf-8")
    for name in re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE):
        section, _, key = name.partition("__")
        assert key in Document.model_json_schema()["$defs"][f"{section.title()}Model"]["properties"]
    words = re.findall(r"^ExecStart=\S+/gateway (.+)$", text, re.MULTILINE)
    test_commands_and_their_options_exist(shlex.split(words[0]))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = (EXAMPLES / "systemd" / "gateway.service").read_text(encoding="utf-8")
    unit = tmp_path / "gateway.service"
    unit.write_text(text.replace("/opt/gateway/bin/gateway", sys.executable), encoding="utf-8")
    checked = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (checked.returncode, [line for line in checked.stderr.splitlines() if str(unit) in line]) == (0, [])


@pytest.mark.slow
@pytest.mark.skipif(not MKDOCS.exists(), reason="mkdocs is missing: run `make site`")
def test_the_built_site_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [str(MKDOCS), "build", "-q", "--strict", "-d", str(tmp_path)]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")]
    assert len(pages) > len(PAGES)  # One is for addresses that are none.
    loaded = {
        found
        for page in pages
        for found in re.findall(r"<(?:script|img|iframe|link)[^>]+(?:src|href)=.(\w+:)?//", page)
    }
    assert loaded == set()
    assert not [page for page in pages if "mermaid" in page]  # Its script would come from elsewhere.
