"""The gateway before the npm provider: real transport and clock, one configuration for each client of the matrix."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from harness import CALLBACK, ORIGIN, Config, error_code, merged, recording_app
from joserfc.jwk import KeySet

from gateway import Gateway
from gateway.cookies import session_handles
from gateway.session import Session
from gateway.testing import Browser, Page
from gateway.testing.forms import read_forms

from .listener import Received
from .matrix_browser import Wire, go_on, visit
from .matrix_client import DECRYPTION_KEYS, SECRET, SIGNING_KEY
from .matrix_clients import Certificates
from .matrix_tls import TLSMaterial
from .node_provider import NodeProvider

GATEWAY_SECRET: Final = "the gateway's own secret, of thirty-two bytes"
SECRET_METHODS: Final = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
CERTIFICATES: Final = {"tls_client_auth": "client", "self_signed_tls_client_auth": "self_signed"}
AUTH_METHODS: Final = (*SECRET_METHODS, "private_key_jwt", *CERTIFICATES, "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The provider and the files of the client that all tests of the matrix share."""

    provider: NodeProvider
    tls: TLSMaterial
    certificates: Certificates
    signing_keys: Path
    decryption_keys: Path

    def certificate(self, name: str) -> Config:
        """Write the keys that name a certificate of ours."""
        files = self.certificates[name]
        return {"client_certificate": str(files.certificate), "client_certificate_key": str(files.key)}

    def credentials(self, method: str) -> Config:
        """Write what a method of client authentication needs."""
        secret = {"client_secret": SECRET} if method in SECRET_METHODS else {}
        certificate = self.certificate(CERTIFICATES[method]) if method in CERTIFICATES else {}
        return {"token_endpoint_auth_method": method, **secret, **certificate}

    def config(self, client_id: str | None, provider: Mapping[str, object]) -> Config:
        """Write the configuration for a client, None for one that a file names; `provider` is laid over its keys."""
        usual = {
            "issuer": self.provider.issuer,
            **({} if client_id is None else {"client_id": client_id}),
            "scope": "openid email",
            "verify_tls": str(self.tls.authority.path),
            "signing_keys": str(self.signing_keys),
            "decryption_keys": str(self.decryption_keys),
        }
        return {
            "public_url": ORIGIN,
            "session": {"secret": GATEWAY_SECRET, "store": {"type": "memory"}},
            "provider": merged(usual, provider),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSite:
    """A gateway and a browser before it; `received` is what reached the protected app, oldest first."""

    gateway: Gateway
    browser: Browser
    provider: NodeProvider
    received: list[Received]

    def sign_in(self, path: str = "/home") -> Page:
        """Ask for a page, sign in at the provider, and get the page."""
        page = visit(self.browser, ORIGIN + path)
        assert (page.status, page.url) == (200, ORIGIN + path), error_code(page) or page.text
        return page

    def sign_out(self) -> Page:
        """Sign out here and at the provider."""
        return go_on(self.browser, self.browser.post(f"{ORIGIN}/oauth2/sign_out", headers={"Origin": ORIGIN}))

    def refresh(self) -> None:
        """Renew the tokens."""
        page = self.browser.fetch(f"{ORIGIN}/oauth2/refresh", method="POST", headers={"Origin": ORIGIN})
        assert page.status == 200, page.text

    def session(self) -> Session:
        """Read the browser's session out of the store."""
        header = self.browser.cookies.header(f"{ORIGIN}/")
        held = self.gateway.store.load(session_handles(self.gateway.settings.cookies, header)[0])
        assert held is not None
        return held.session

    def authorization_url(self) -> str:
        """Return where the browser was last sent to sign in."""
        places = [page.headers.get("Location", "") for page in self.browser.history if page.url.startswith(ORIGIN)]
        return next(place for place in reversed(places) if place.startswith(f"{self.provider.issuer}/auth?"))

    def answered(self) -> tuple[str, set[str]]:
        """Tell how the provider's first answer reached the callback, GET or POST, and the names of what it said."""
        history = self.browser.history
        position = next(number for number, page in enumerate(history) if page.url.startswith(CALLBACK))
        query = dict(parse_qsl(urlsplit(history[position].url).query))
        if query:
            return "GET", set(query)
        (form,) = read_forms(history[position - 1].text)
        return form.method, set(form.fields)

    def counts(self) -> dict[str, int]:
        """Count the calls that the provider got since the last reset, what the browser alone asks for left out."""
        return {name: count for name, count in self.provider.stats().items() if name not in ("resume", "discovery")}


@contextmanager
def run_matrix_site(
    matrix: Matrix, client_id: str | None, provider: Mapping[str, object], config: Mapping[str, object] | None = None
) -> Iterator[MatrixSite]:
    """Run a gateway as this client; `config` is laid over the rest, and may name an upstream."""
    matrix.provider.reset()
    document = {**matrix.config(client_id, provider), **(config or {})}
    received: list[Received] = []
    app = None if "upstream" in document else recording_app(received)
    gateway = Gateway.from_config(document)(app)
    wire = Wire(matrix.provider.issuer, verify=str(matrix.tls.authority.path))
    browser = Browser({ORIGIN: gateway, matrix.provider.issuer: wire})
    try:
        yield MatrixSite(gateway=gateway, browser=browser, provider=matrix.provider, received=received)
    finally:
        wire.close()
        for upstream in gateway.upstreams.values():
            upstream.close()


def write_keys(directory: Path) -> tuple[Path, Path]:
    """Write the client's private keys down as JWK sets, for signing and for decryption."""
    paths = directory / "signing.json", directory / "decryption.json"
    for path, keys in zip(paths, (KeySet([SIGNING_KEY]), DECRYPTION_KEYS), strict=True):
        path.write_text(json.dumps(keys.as_dict(private=True)))
    return paths


def encrypted(matrix: Matrix, kind: str, algorithm: str) -> dict[str, object]:
    """Configure what a client whose registration has the same expects to be signed and encrypted."""
    return {
        **matrix.credentials("client_secret_post"),
        f"{kind}_signed_response_alg": "ES256",
        f"{kind}_encrypted_response_alg": algorithm,
        f"{kind}_encrypted_response_enc": "A256GCM",
    }
