"""The npm package oidc-provider, run as an independent OpenID provider."""

import json
import os
import shutil
import ssl
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Final

from .matrix_tls import TLSMaterial
from .servers import LOOPBACK, run_process

DIRECTORY: Final = Path(__file__).resolve().parent / "oidc-provider"
CONFIG_VARIABLE: Final = "OIDC_PROVIDER_CONFIG"
START_SECONDS: Final = 15.0
HTTP_SECONDS: Final = 10.0
FIRST_ERROR_STATUS: Final = 400


class ProviderAnswerError(RuntimeError):
    """The provider's test interface did not answer as it should."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Features:
    """What is switched on beyond the code flow, PAR, introspection and revocation; provider.mjs tells of each."""

    acr_values: Sequence[str] = ()
    authorization_details_types: Sequence[str] = ()
    claims_parameter: bool = False
    dpop_nonce: bool = False
    encryption: bool = False
    fapi: bool = False
    jarm: bool = False
    jwt_introspection: bool = False
    jwt_userinfo: bool = False
    more_algorithms: bool = False
    par_required: bool = False
    registration_token: str | None = None
    request_objects: bool = False
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    rotate_registration_token: bool = True


RESOURCE: Final = "https://api.example.com"
OPAQUE_RESOURCE: Final = "https://opaque.example.com"
EVERY_FEATURE: Final = Features(
    acr_values=("low", "high"),
    authorization_details_types=("payment",),
    claims_parameter=True,
    dpop_nonce=True,
    encryption=True,
    fapi=True,
    jarm=True,
    jwt_introspection=True,
    jwt_userinfo=True,
    more_algorithms=True,
    registration_token="initial-access-token",
    request_objects=True,
    resources={
        RESOURCE: {"scope": "read write", "format": "jwt", "alg": "ES256"},
        OPAQUE_RESOURCE: {"scope": "read write", "format": "opaque"},
    },
)
"""All that does not take anything from clients which do not ask for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeProvider:
    """A running provider and its test interface."""

    issuer: str
    port: int
    log_path: Path
    ca: Path | None = None

    def stats(self) -> Counter[str]:
        """Return the counts of calls since the start or the last reset, zero for names without a call."""
        return Counter(json.loads(self._request("GET", "/__stats")))

    def reset(self) -> None:
        """Set every count to zero."""
        self._request("POST", "/__reset")

    def _request(self, method: str, path: str) -> bytes:
        connection = self._connection()
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status >= FIRST_ERROR_STATUS:
            raise ProviderAnswerError(f"{method} {path} gave status {response.status}")
        return body

    def _connection(self) -> HTTPConnection:
        if self.issuer.startswith("http:"):
            return HTTPConnection(LOOPBACK, self.port, timeout=HTTP_SECONDS)
        context = ssl.create_default_context(cafile=self.ca)
        return HTTPSConnection(LOOPBACK, self.port, timeout=HTTP_SECONDS, context=context)


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
    features: Features | None = None,
    tls: TLSMaterial | None = None,
    https: bool = False,
    mtls_port: int | None = None,
    request_certificates: bool = False,
) -> Iterator[NodeProvider]:
    """Run a provider with these clients and accounts until the end of the block.

    With `tls`, the issuer itself may be `https` (and may request clients' certificates), and `mtls_port` is a second
    listener for the same provider that asks for clients' certificates: the metadata's `mtls_endpoint_aliases`.
    """
    issuer = f"{'https' if https else 'http'}://{host}:{port}"
    config: dict[str, object] = {
        "port": port,
        "host": host,
        "clients": [dict(client) for client in clients],
        "accounts": dict(accounts),
        "ttl": {"access_token": access_token_ttl},
        "refresh_rotation": rotation,
        "claims_in_id_token": claims_in_id_token,
        "https": https,
        "request_certificates": request_certificates,
        "features": asdict(features or Features()),
    }
    if mtls_port is not None:
        config["mtls_port"] = mtls_port
    with tempfile.TemporaryDirectory(prefix="oidc-provider-") as directory:
        log_path = Path(directory) / "provider.log"
        with run_process(
            ["node", "provider.mjs"],
            env={**os.environ, **tls_environment(tls), CONFIG_VARIABLE: json.dumps({**config, **tls_config(tls)})},
            cwd=DIRECTORY,
            ready=lambda: is_ready(log_path, issuer),
            name="oidc-provider",
            log_path=log_path,
            timeout=START_SECONDS,
        ):
            yield NodeProvider(issuer=issuer, port=port, log_path=log_path, ca=tls.authority.path if tls else None)


def tls_config(tls: TLSMaterial | None) -> dict[str, object]:
    """Return the provider's key `tls`, if it has TLS material."""
    if tls is None:
        return {}
    server = tls.server
    return {
        "tls": {"certificate": str(server.certificate), "key": str(server.key), "ca": str(tls.authority.path)},
    }


def tls_environment(tls: TLSMaterial | None) -> dict[str, str]:
    """Return what makes the provider trust the authority when it fetches jwks_uri or sends a logout token."""
    return {} if tls is None else {"NODE_EXTRA_CA_CERTS": str(tls.authority.path)}
