"""The reverse proxy: TLS to the origin."""

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from raw_origin import OK, call, environ, origin, upstream

from gateway.errors import GatewayError


@dataclass(frozen=True, kw_only=True)
class Certificate:
    context: ssl.SSLContext
    path: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "upstream")])
    now = datetime.now(timezone.utc)  # noqa: UP017
    built = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("api.internal")]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "upstream.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(built.public_bytes(pem) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return Certificate(context=context, path=path)


@pytest.mark.parametrize("by", ["bundle", "no-verification"])
def test_tls_to_a_trusted_upstream(certificate: Certificate, by: str) -> None:
    trust = str(certificate.path) if by == "bundle" else False
    with origin([OK, OK], tls=certificate.context) as raw, upstream(raw.url, verify_tls=trust) as app:
        assert call(app, environ()).body == b"ok"
        assert call(app, environ(method="POST", body=bytes(2**20), CONTENT_LENGTH=str(2**20))).body == b"ok"
    assert len(raw.requests) == 2


def test_an_untrusted_upstream_is_unreachable(certificate: Certificate) -> None:
    with origin([OK], tls=certificate.context) as raw, upstream(raw.url) as app, pytest.raises(GatewayError) as error:
        call(app, environ())
    assert error.value.code == "upstream_unreachable"
    assert raw.requests == []


def test_tls_that_ends_without_closure_is_a_cut(certificate: Certificate) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it?"
    with (
        origin([head], hang_up=True, tls=certificate.context) as raw,
        upstream(raw.url, verify_tls=False) as app,
        pytest.raises(GatewayError) as error,
    ):
        call(app, environ())
    assert error.value.code == "upstream_answer_invalid"


def test_tls_that_is_closed_ends_a_body_without_length(certificate: Certificate) -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"
    with (
        origin([head], hang_up=True, says_so=True, tls=certificate.context) as raw,
        upstream(raw.url, verify_tls=False) as app,
    ):
        assert call(app, environ()).body == b"all of it"


@pytest.mark.parametrize(
    ("server_name", "code"),
    [
        pytest.param("api.internal", "", id="in the certificate"),
        pytest.param("other.internal", "upstream_unreachable", id="not in the certificate"),
    ],
)
def test_the_certificate_must_name_what_is_configured(certificate: Certificate, server_name: str, code: str) -> None:
    """RFC 9110 4.3.4; the name is also what the upstream is asked for (RFC 6066 3)."""
    asked: list[str | None] = []
    certificate.context.sni_callback = lambda _socket, name, _context: asked.append(name)
    trust = str(certificate.path)
    with (
        origin([OK], tls=certificate.context) as raw,
        upstream(raw.url, verify_tls=trust, server_name=server_name) as app,
    ):
        if code:
            with pytest.raises(GatewayError) as error:
                call(app, environ())
            assert error.value.code == code
        else:
            assert call(app, environ()).body == b"ok"
    assert asked == [server_name]
    certificate.context.sni_callback = None
