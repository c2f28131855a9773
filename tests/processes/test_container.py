"""The image's build and command, without an engine: nothing can write to what was built, as in the image."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
from container import ROOT, UID, build, confined, environment, final
from peers.servers import free_port, run_process

from .running import CLIENT_ID, CLIENT_SECRET, Connection, origin_at, run_provider, sign_in

pytestmark = pytest.mark.slow

ALICE: Final = {"alice": {"email": "alice@op.example"}}
SECRET: Final = "thirty-two characters are enough"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Build as the Dockerfile does, where any user may look, and take away every right to write."""
    place = Path(tempfile.mkdtemp(prefix="gateway-image-"))
    place.chmod(0o755)
    try:
        made = build(place)
        subprocess.run(["chmod", "-R", "a-w,a+rX", str(made)], check=True)
        yield made
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
        shutil.rmtree(place)


@pytest.fixture
def home(made: Path) -> Iterator[Path]:
    """Give the working directory of the image, whose `var` alone is the user's."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=made.parent))
    (home / "var").mkdir(mode=0o700)
    if os.geteuid() == 0 and confined([], made)[1] == f"--reuid={UID}":
        os.chown(home / "var", UID, UID)
    home.chmod(0o555)
    yield home
    home.chmod(0o755)


def test_it_has_what_the_lock_says_and_nothing_that_installs(made: Path) -> None:
    (site,) = made.glob("lib/python*/site-packages")
    found = {one.name.lower().replace("_", "-") for one in importlib.metadata.distributions(path=[str(site)])}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "locks" / "runtime.txt").read_text(), re.MULTILINE))
    assert found <= locked | {"gateway"}
    assert locked - found <= {"async-timeout"}  # For Python 3.11.0 to 3.11.2 alone.
    assert not list(made.glob("bin/pip*"))


@pytest.mark.parametrize("by", ["environment", "files"])
def test_its_command_serves_is_healthy_and_ends_in_good_order(by: str, made: Path, home: Path) -> None:
    port = free_port()
    origin = origin_at(port)
    with run_provider([origin], ALICE) as provider:
        own = {"BIND": f"127.0.0.1:{port}", **configured(by, home, origin, provider.issuer)}
        environ = environment(made, own)
        with run_process(
            confined(final("CMD")[0].argv, made),
            env=environ,
            cwd=home,
            ready=lambda: healthy(made, environ),
            name="image",
            log_path=made.parent / f"{by}.log",
        ) as process:
            with Connection(origin) as connection:
                assert connection.get("/ping").status == 200
            assert sign_in(origin, "alice")
            assert [path.name for path in home.iterdir() if path.name not in GIVEN] == ["var"]
            assert any(path.is_file() for path in (home / "var" / "sessions").rglob("*"))
            process.terminate()
            assert process.wait(20) == 0
        assert not healthy(made, environ)


GIVEN: Final = ("config.yaml", "secrets")


def configured(by: str, home: Path, origin: str, issuer: str) -> Mapping[str, str]:
    """Configure the image by the environment alone, or by a file and a directory of secrets that are mounted."""
    secrets = {"session__secret": SECRET, "provider__client_secret": CLIENT_SECRET}
    if by == "environment":
        public = {"PUBLIC_URL": origin, "PROVIDER__ISSUER": issuer, "PROVIDER__CLIENT_ID": CLIENT_ID}
        public |= {"UPSTREAM": "http://127.0.0.1:9", **{name.upper(): value for name, value in secrets.items()}}
        return {f"GATEWAY_{name}": value for name, value in public.items()}
    home.chmod(0o755)
    (home / "config.yaml").write_text(
        f"public_url: {origin}\nupstream: http://127.0.0.1:9\n"
        f"provider: {{issuer: '{issuer}', client_id: {CLIENT_ID}}}\n"
    )
    (home / "secrets").mkdir()
    for name, value in secrets.items():
        (home / "secrets" / name).write_text(value)
    home.chmod(0o555)
    return {"GATEWAY_SECRETS_DIR": str(home / "secrets")}


def healthy(made: Path, environ: Mapping[str, str]) -> bool:
    """Run the image's own check of its health."""
    argv = confined(final("HEALTHCHECK")[0].argv, made)
    return subprocess.run(argv, env=dict(environ), capture_output=True, check=False, timeout=20).returncode == 0
