"""Whether the files can be used that TLS needs: certificates, their keys, and those of authorities."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from functools import partial

from gateway.config import Settings
from gateway.tls import MakeTls, tls_reason


def tls_problems(settings: Settings, make_tls: MakeTls) -> Iterator[str]:
    """Say which of the files that the configuration names for TLS cannot be used, a line for each place.

    `make_tls` is asked as it will be when upstreams are made.
    """
    alone = settings.only_provider is not None
    for name, provider in settings.providers.items():
        if isinstance(provider.verify_tls, str) or provider.certificate is not None:
            place = "provider" if alone else f"providers.{name}"
            make = partial(make_tls, verify_tls=provider.verify_tls, certificate=provider.certificate)
            yield from problem_of(place, make)
    for name, upstream in settings.upstreams.items():
        if upstream.address.startswith("https:"):
            certificate = upstream.certificate or settings.certificate
            make = partial(make_tls, verify_tls=upstream.verify_tls, certificate=certificate)
            yield from problem_of(f"upstreams.{name}", make)


def problem_of(place: str, make: Callable[[], ssl.SSLContext]) -> Iterator[str]:
    """Say why the rules for TLS at a place cannot be made, if that is so."""
    try:
        make()
    except OSError as error:
        yield f"{place}: files for TLS cannot be used: {tls_reason(error)}"
