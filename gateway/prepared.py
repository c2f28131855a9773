"""A configuration whose parts have all been made once: a worker is made of it whatever became of its files since."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from gunicorn import sock

from gateway.app import Gateway
from gateway.assembly import Outside
from gateway.backends.base import Backend
from gateway.backends.choice import make_backend
from gateway.config import Settings, load_standalone_settings
from gateway.config_sections import StoreSettings
from gateway.config_sources import ConfigurationError
from gateway.errors import StoreUnavailable
from gateway.logs import check_audit_file
from gateway.oidc.messages import Call, Reply
from gateway.standalone import stand_alone
from gateway.tls import tls_context
from gateway.tls_files import problem_of, tls_problems
from gateway.tracing import check_tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Settings, and what was read from files beside them; `listening` are the rules for TLS towards clients."""

    settings: Settings
    outside: Outside
    listening: ssl.SSLContext | None

    def new_gateway(self) -> Gateway:
        """Make the gateway of a worker."""
        return stand_alone(self.settings, self.outside)


def prepare(server: Any, environ: Mapping[str, str], outside: Outside) -> Prepared:
    """Read the configuration, and make of it all that a worker needs, in the process that will fork the workers.

    `server` is what gunicorn was told (its `cfg`). Raises `ConfigurationError`.
    """
    settings = load_standalone_settings(None, environ)
    check_tracing(settings, environ)
    check_audit_file(settings.logs.audit_file)
    held = replace(outside, make_tls=cache(tls_context))
    listening: Callable[[], ssl.SSLContext] = cache(partial(sock.ssl_context, server))
    problems = [*_server_problems(server, settings), *tls_problems(settings, held.make_tls)]
    if server.is_ssl:
        problems += problem_of("certfile, keyfile", listening)
    if problems:
        raise ConfigurationError(problems)
    held = replace(held, backend=_backend(settings.store))
    Gateway(settings, None, replace(held, transport=_nobody_is_called))  # Whatever else would keep a worker from it.
    return Prepared(settings=settings, outside=held, listening=listening() if server.is_ssl else None)


def _server_problems(server: Any, settings: Settings) -> Iterator[str]:
    if settings.store.type == "memory" and server.workers > 1:
        yield "session.store.type: memory serves one worker; use file or redis, or -w 1"
    if (server.uid, server.gid) != (os.geteuid(), os.getegid()):
        yield "user, group: must be those that gunicorn is started by, whose files workers have to read"
    if server.preload_app:
        yield "preload_app: must not be set: a reload would change nothing"


def _backend(settings: StoreSettings) -> Backend:
    try:
        return make_backend(settings)
    except StoreUnavailable as error:
        raise ConfigurationError([f"session.store: {error}"]) from None
    except ValueError:  # Whose text may hold the password of the URL.
        raise ConfigurationError(["session.store.url: cannot be understood"]) from None


def _nobody_is_called(_: Call) -> Reply:
    raise AssertionError("nobody is called before a worker serves")
