"""The rules for TLS towards upstreams."""

from __future__ import annotations

import ssl
from typing import Protocol


class MakeTls(Protocol):
    """Makes the rules for TLS as `tls_context` does, or has them from before."""

    def __call__(self, *, verify_tls: bool | str, certificate: tuple[str, str] | None) -> ssl.SSLContext:
        """Return them; raises `OSError` for files that cannot be used."""


def tls_reason(error: OSError) -> str:
    """Say in words why files of TLS cannot be used."""
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return (reason or "the file is not as it should be").replace("_", " ").lower()


def tls_context(*, verify_tls: bool | str, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Make the rules for TLS: verify against the system's authorities, those of a file, or not at all.

    `certificate` names the files of our certificate and its key, to be shown where the other side asks for one.
    Raises `OSError`.
    """
    context = ssl.create_default_context(cafile=verify_tls if isinstance(verify_tls, str) else None)
    if verify_tls is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context
