"""The Dockerfile says what a hardened image needs, and names what is there."""

import re

import pytest
from container import ROOT, final, instructions, reaches_the_build


def test_its_base_is_pinned_by_a_tag_and_a_digest_can_take_its_place() -> None:
    assert [one.rest for one in instructions() if one.word == "ARG"] == ["BASE=python:3.11-slim-bookworm"]
    assert [one.rest for one in instructions() if one.word == "FROM"] == ["${BASE} AS build", "${BASE}"]


@pytest.mark.parametrize("copied", [one.rest for one in instructions() if one.word == "COPY" and one.stage == 0])
def test_what_it_copies_is_there_and_reaches_the_build(copied: str) -> None:
    *sources, _ = copied.split()
    for source in sources:
        assert (ROOT / source).exists()
        assert reaches_the_build(source)


def test_the_image_gets_nothing_but_the_environment_that_was_built() -> None:
    assert [one.rest for one in final("COPY")] == ["--from=build /opt/gateway /opt/gateway"]
    assert "pip uninstall --yes" in final("RUN")[0].rest
    assert not [one for one in instructions() if one.word == "ADD"]


def test_its_user_is_a_number_so_that_runasnonroot_can_be_checked() -> None:
    assert [one.rest for one in final("USER")] == ["10001:10001"]


def test_what_it_starts_gets_the_signals_itself() -> None:
    assert final("CMD")[0].argv == ["gateway", "serve"]
    assert final("HEALTHCHECK")[0].argv[:2] == ["python", "-c"]
    assert not final("ENTRYPOINT")


def test_every_package_that_it_installs_is_held_to_a_hash() -> None:
    installs = [one.argv for one in instructions() if one.word == "RUN" and one.stage == 0 and "install" in one.argv]
    assert len(installs) == 3
    assert all("--require-hashes" in argv or "--no-index" in argv for argv in installs)


def test_it_holds_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"secret|password|token|GATEWAY_", text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("path", "through"),
    [
        pytest.param("gateway/app.py", True, id="the-package"),
        pytest.param("gateway/pages/error.html", True, id="its-pages"),
        pytest.param("locks/runtime.txt", True, id="the-lock"),
        pytest.param("gateway/oidc/__pycache__/keys.pyc", False, id="what-is-compiled"),
        pytest.param(".git/config", False, id="git"),
        pytest.param(".venv/bin/python", False, id="environment"),
        pytest.param("tests/conftest.py", False, id="tests"),
        pytest.param("config.yaml", False, id="configuration"),
        pytest.param("secrets/session__secret", False, id="secrets"),
        pytest.param("var/sessions/entry", False, id="sessions"),
    ],
)
def test_what_reaches_the_build(path: str, through: bool) -> None:
    assert reaches_the_build(path) is through
