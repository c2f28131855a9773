"""The set-ups that modules run in: what the gateway is configured to, and what the provider knows it as."""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness import Config, Site, merged, run_site

from gateway.devtls import localhost_certificate
from gateway.oidc.keys import load_own_keys
from gateway.oidc.messages import Call, Reply
from gateway.testing import FakeProvider

THUMBPRINT: Final = "thumbprint-of-the-certificate-of-the-gateway"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFiles:
    """The files of the gateway's keys and certificate, and the public keys as the provider knows them."""

    signing: str
    decryption: str
    certificate: str
    certificate_key: str
    jwks: Mapping[str, object]


def make_own_files(directory: Path) -> OwnFiles:
    """Make a P-256 key to sign with, an RSA key to be encrypted to, and a certificate."""
    signing, decryption = directory / "signing.pem", directory / "decryption.pem"
    keys: tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, ...] = (
        ec.generate_private_key(ec.SECP256R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
    )
    for path, key in zip((signing, decryption), keys, strict=True):
        path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    certificate = localhost_certificate(directory, datetime.datetime.now(datetime.UTC))
    own = (*load_own_keys(signing.read_bytes()), *load_own_keys(decryption.read_bytes(), use="enc"))
    return OwnFiles(
        signing=str(signing),
        decryption=str(decryption),
        certificate=str(certificate.certificate),
        certificate_key=str(certificate.key),
        # Without `alg`, so that one key serves whatever encryption a set-up asks for.
        jwks={"keys": [{name: value for name, value in key.public_jwk().items() if name != "alg"} for key in own]},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """A set-up, by what is different from the usual one.

    `config` is laid over the keys of `provider:`, `client` over our registration, `state` over the provider's settings.
    `signing`, `decryption` and `certificate` say which of our files are named in the configuration.
    """

    name: str
    config: Mapping[str, object] = field(default_factory=dict)
    client: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, object] = field(default_factory=dict)
    pushed: bool = False
    signing: bool = False
    decryption: bool = False
    certificate: bool = False

    def apply(self, provider: FakeProvider, files: OwnFiles) -> Config:
        """Tell the provider about us, and return what to lay over the configuration."""
        if self.certificate:
            provider.presented_certificate = THUMBPRINT
        for name, value in self.state.items():
            setattr(provider, name, value)
        provider.clients = [replace(provider.clients[0], jwks=files.jwks, **self.client)]
        own: dict[str, object] = {}
        if self.signing:
            own["signing_keys"] = files.signing
        if self.decryption:
            own["decryption_keys"] = files.decryption
        if self.certificate:
            own |= {"client_certificate": files.certificate, "client_certificate_key": files.certificate_key}
        return {"provider": merged(own, self.config)}

    def but(self, **config: object) -> Self:
        """Return the set-up with other keys in the configuration."""
        return replace(self, config=merged(self.config, config))


PLAIN: Final = SetUp(name="plain")


@contextmanager
def run_set_up(set_up: SetUp, files: OwnFiles, calls: list[Call] | None = None) -> Iterator[Site]:
    """Run a gateway in a set-up; `calls` is where its calls to the provider are written down."""
    noted = [] if calls is None else calls

    def transport(provider: FakeProvider) -> "Recorder":
        return Recorder(provider=provider, calls=noted)

    with run_site(lambda provider: set_up.apply(provider, files), transport=transport) as site:
        yield site


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """A transport that writes down what goes to the provider."""

    provider: FakeProvider
    calls: list[Call]

    def __call__(self, call: Call) -> Reply:
        """Write a call down, and pass it on."""
        self.calls.append(call)
        return self.provider.transport(call)
