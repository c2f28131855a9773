"""The rules for TLS towards upstreams."""

from __future__ import annotations

import ssl


def tls_context(*, verify_tls: bool | str, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Make the rules for TLS: verify against the system's authorities, those of a file, or not at all.

    `certificate` names the files of our certificate and its key, to be shown where the other side asks for one.
    """
    context = ssl.create_default_context(cafile=verify_tls if isinstance(verify_tls, str) else None)
    if verify_tls is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context
