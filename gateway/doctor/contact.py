"""Whether a server can be reached, and if not, at which step: its name, the connection, TLS, its certificate."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from cryptography import x509

from gateway.doctor.finding import place_of
from gateway.doctor.waiting import TooLate, within
from gateway.tls import tls_context

CONTACT_SECONDS = 5.0
"""How long each step may take."""

MakeContext = Callable[[], ssl.SSLContext]
"""Makes the rules for TLS; raises `OSError` and `ValueError` where its files cannot be used."""


class Obstacle(Enum):
    """What keeps us from a server."""

    HOST_UNKNOWN = "host_unknown"
    REFUSED = "refused"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    NOT_TLS = "not_tls"
    TLS_FAILED = "tls_failed"
    TRUST_UNREADABLE = "trust_unreadable"
    UNTRUSTED = "untrusted"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    OTHER_HOST = "other_host"


# OpenSSL's X509_V_ERR_*, of which Python has no names.
_BY_VERIFY_CODE = {
    9: Obstacle.NOT_YET_VALID,
    10: Obstacle.EXPIRED,
    62: Obstacle.OTHER_HOST,
    64: Obstacle.OTHER_HOST,
}
_NOT_TLS_REASONS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a server's certificate says; times as texts."""

    names: tuple[str, ...]
    issuer: str
    begins_at: str
    ends_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server is, and what its certificate must name."""

    url: str
    host: str
    port: int
    server_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """What came of reaching for a server; `obstacle` is None where it was reached."""

    address: Address
    obstacle: Obstacle | None = None
    detail: str = ""
    certificate: Certificate | None = None


class _Stopped(Exception):
    def __init__(self, obstacle: Obstacle, detail: str = "") -> None:
        super().__init__(detail)
        self.obstacle = obstacle
        self.detail = detail


def address_of(url: str, server_name: str | None = None) -> Address:
    """Read where a URL leads; `server_name` is what the certificate must name if that is not its host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Address(url=place_of(url), host=host, port=port, server_name=server_name or host)


def reach(address: Address, make_context: MakeContext | None, seconds: float = CONTACT_SECONDS) -> Contact:
    """Reach for a server, with TLS where rules for it are made, and hang up."""
    try:
        context = None if make_context is None else _made(make_context)
        _resolve(address, seconds)
        with closing(_connected(address, seconds)) as connection:
            if context is not None:
                _shake_hands(connection, context, address)
    except _Stopped as stopped:
        judged_by_certificate = stopped.obstacle in (*_BY_VERIFY_CODE.values(), Obstacle.UNTRUSTED)
        certificate = _presented(address, seconds) if judged_by_certificate else None
        return Contact(address=address, obstacle=stopped.obstacle, detail=stopped.detail, certificate=certificate)
    return Contact(address=address)


def speaks_tls(address: Address, seconds: float = CONTACT_SECONDS) -> bool:
    """Tell whether a server speaks TLS, whatever its certificate is."""
    return reach(address, lambda: tls_context(verify_tls=False), seconds).obstacle is None


def _made(make_context: MakeContext) -> ssl.SSLContext:
    try:
        return make_context()
    except (OSError, ValueError) as error:  # An SSLError is an OSError.
        raise _Stopped(Obstacle.TRUST_UNREADABLE, _said(error)) from error


def _resolve(address: Address, seconds: float) -> None:
    try:
        within(seconds, lambda: socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
    except TooLate as error:
        raise _Stopped(Obstacle.HOST_UNKNOWN, f"no answer within {seconds:g} s") from error
    except (OSError, UnicodeError) as error:
        raise _Stopped(Obstacle.HOST_UNKNOWN, _said(error)) from error


def _connected(address: Address, seconds: float) -> socket.socket:
    try:
        return socket.create_connection((address.host, address.port), timeout=seconds)
    except ConnectionRefusedError as error:
        raise _Stopped(Obstacle.REFUSED) from error
    except TimeoutError as error:
        raise _Stopped(Obstacle.SILENT) from error
    except OSError as error:
        raise _Stopped(Obstacle.UNREACHABLE, _said(error)) from error


def _shake_hands(connection: socket.socket, context: ssl.SSLContext, address: Address) -> None:
    try:
        context.wrap_socket(connection, server_hostname=address.server_name).close()
    except ssl.SSLCertVerificationError as error:
        obstacle = _BY_VERIFY_CODE.get(error.verify_code, Obstacle.UNTRUSTED)
        raise _Stopped(obstacle, error.verify_message) from error
    except TimeoutError as error:
        raise _Stopped(Obstacle.SILENT) from error
    except ssl.SSLError as error:
        reason = error.reason or ""
        obstacle = Obstacle.NOT_TLS if reason in _NOT_TLS_REASONS else Obstacle.TLS_FAILED
        raise _Stopped(obstacle, reason or _said(error)) from error
    except (OSError, ValueError) as error:
        raise _Stopped(Obstacle.TLS_FAILED, _said(error)) from error


def _presented(address: Address, seconds: float) -> Certificate | None:
    # It is looked at and not believed: nothing else travels on this connection.
    context = tls_context(verify_tls=False)
    try:
        with (
            closing(_connected(address, seconds)) as connection,
            context.wrap_socket(connection, server_hostname=address.server_name) as secured,
        ):
            encoded = secured.getpeercert(binary_form=True) or b""
        return _read(x509.load_der_x509_certificate(encoded))
    except (_Stopped, OSError, ValueError):
        return None


def _read(certificate: x509.Certificate) -> Certificate:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(name.value) for name in alternatives)
    except (x509.ExtensionNotFound, ValueError):
        names = (certificate.subject.rfc4514_string(),)
    return Certificate(
        names=names,
        issuer=certificate.issuer.rfc4514_string(),
        begins_at=f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
        ends_at=f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
    )


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def clock_text(now: float) -> str:
    """Write a time as certificates have theirs."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
