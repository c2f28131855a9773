"""The npm package oidc-provider, run as an independent OpenID provider."""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from .servers import LOOPBACK, run_process

DIRECTORY: Final = Path(__file__).resolve().parent / "oidc-provider"
CONFIG_VARIABLE: Final = "OIDC_PROVIDER_CONFIG"
START_SECONDS: Final = 15.0
HTTP_SECONDS: Final = 10.0
FIRST_ERROR_STATUS: Final = 400


class ProviderAnswerError(RuntimeError):
    """The provider's test interface did not answer as it should."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeProvider:
    """A running provider and its test interface."""

    issuer: str
    port: int
    log_path: Path

    def stats(self) -> Counter[str]:
        """Return the counts of calls since the start or the last reset, zero for names without a call."""
        return Counter(json.loads(self._request("GET", "/__stats")))

    def reset(self) -> None:
        """Set every count to zero."""
        self._request("POST", "/__reset")

    def _request(self, method: str, path: str) -> bytes:
        connection = HTTPConnection(LOOPBACK, self.port, timeout=HTTP_SECONDS)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= FIRST_ERROR_STATUS:
            raise ProviderAnswerError(f"{method} {path} gave status {response.status}")
        return body


def find_missing() -> str | None:
    """Return what is missing to run the provider and how to install it, or None."""
    if shutil.which("node") is None:
        return "node is missing: install Node.js 20 or newer (apt-get install nodejs npm)"
    if not (DIRECTORY / "node_modules" / "oidc-provider").is_dir():
        return f"node_modules is missing: run `npm ci` in {DIRECTORY}"
    return None


def is_ready(log_path: Path, issuer: str) -> bool:
    """Return whether the provider has printed its READY line."""
    return f"READY {issuer}" in log_path.read_text(errors="replace").splitlines()


@contextmanager
def run_node_provider(
    *,
    port: int,
    clients: Sequence[Mapping[str, object]],
    accounts: Mapping[str, object],
    access_token_ttl: int = 300,
    rotation: bool = True,
    host: str = LOOPBACK,
    claims_in_id_token: bool = False,
) -> Iterator[NodeProvider]:
    """Run a provider with these clients and accounts until the end of the block."""
    issuer = f"http://{host}:{port}"
    config = {
        "port": port,
        "host": host,
        "clients": [dict(client) for client in clients],
        "accounts": dict(accounts),
        "ttl": {"access_token": access_token_ttl},
        "refresh_rotation": rotation,
        "claims_in_id_token": claims_in_id_token,
    }
    with tempfile.TemporaryDirectory(prefix="oidc-provider-") as directory:
        log_path = Path(directory) / "provider.log"
        with run_process(
            ["node", "provider.mjs"],
            env={**os.environ, CONFIG_VARIABLE: json.dumps(config)},
            cwd=DIRECTORY,
            ready=lambda: is_ready(log_path, issuer),
            name="oidc-provider",
            log_path=log_path,
            timeout=START_SECONDS,
        ):
            yield NodeProvider(issuer=issuer, port=port, log_path=log_path)
