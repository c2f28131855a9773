"""TLS material for tests: an authority, a server's certificate for loopback names, and clients' certificates."""

import base64
import datetime
import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS: Final = 1
SERVER_NAMES: Final = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """Where a certificate and its key are."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority, and where it writes what it issues."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def path(self) -> Path:
        """The file that those who trust this authority name."""
        return self.directory / "ca.crt"

    def issue(
        self, name: str, alternative_names: Sequence[x509.GeneralName] = (), *, days: int = VALID_DAYS
    ) -> CertificateFiles:
        """Return a new certificate and key with the subject `CN=name`, for a server and for a client alike.

        With negative `days`, it ended so long ago.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _leaf(name, alternative_names, key, issuer=self.certificate.subject, days=days).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
        )
        return _write(self.directory / name, builder.sign(self.key, SHA256()), key)


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSMaterial:
    """What one provider needs for TLS."""

    authority: Authority
    server: CertificateFiles


def make_tls_material(directory: Path) -> TLSMaterial:
    """Return a new authority and its certificate for 127.0.0.1, ::1 and localhost, all in this directory."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = _make_authority(directory)
    return TLSMaterial(authority=authority, server=authority.issue("server", SERVER_NAMES))


def make_self_signed(directory: Path, name: str) -> CertificateFiles:
    """Return a certificate that no authority vouches for, with its key (RFC 8705 2.2)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return _write(directory / name, _leaf(name, (), key, issuer=_name(name)).sign(key, SHA256()), key)


def certificate_thumbprint(files: CertificateFiles) -> str:
    """Return the `x5t#S256` of a certificate (RFC 8705 3.1)."""
    return _base64url(hashlib.sha256(_der(files)).digest())


def certificate_jwk(files: CertificateFiles) -> dict[str, object]:
    """Return the public key of a P-256 certificate as a JWK with `x5c`, as a client registers it (RFC 8705 2.2.2)."""
    public = x509.load_der_x509_certificate(_der(files)).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    numbers = public.public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": _base64url(numbers.x.to_bytes(32)),
        "y": _base64url(numbers.y.to_bytes(32)),
        "x5c": [base64.b64encode(_der(files)).decode("ascii")],
    }


def _make_authority(directory: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("gateway tests")
    builder = (
        _certificate(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    authority = Authority(directory=directory, certificate=builder.sign(key, SHA256()), key=key)
    authority.path.write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return authority


def _leaf(
    name: str,
    alternative_names: Sequence[x509.GeneralName],
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: x509.Name,
    days: int = VALID_DAYS,
) -> x509.CertificateBuilder:
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _certificate(_name(name), issuer, key, days=days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    )
    if not alternative_names:
        return builder
    return builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int = VALID_DAYS
) -> x509.CertificateBuilder:
    ends_at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    begins_at = min(datetime.datetime.now(datetime.UTC), ends_at) - datetime.timedelta(minutes=5)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins_at)
        .not_valid_after(ends_at)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _write(stem: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> CertificateFiles:
    files = CertificateFiles(certificate=stem.with_suffix(".crt"), key=stem.with_suffix(".key"))
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.touch(mode=0o600)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _der(files: CertificateFiles) -> bytes:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes()).public_bytes(Encoding.DER)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
