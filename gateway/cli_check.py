"""gateway check: the configuration, and then what it names."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from gateway.app import Gateway
from gateway.assembly import Outside
from gateway.cli_failure import CONFIGURATION_EXIT_CODE, fail
from gateway.config import Settings, load_standalone_settings
from gateway.config_sources import ConfigurationError
from gateway.errors import GatewayError, StoreUnavailable
from gateway.logs import check_audit_file
from gateway.tls import tls_context
from gateway.tls_files import tls_problems
from gateway.tracing import check_tracing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What came of asking one part; `error` is empty where it answered."""

    part: str
    name: str
    error: str

    @property
    def line(self) -> str:
        """The line for people."""
        return f"{self.part:<14} {self.name}  {f'FAILED: {self.error}' if self.error else 'ok'}"


@click.command()
@click.argument("path", required=False, type=click.Path(), metavar="[CONFIG]")
@click.option(
    "--json", "as_json", is_flag=True,
    help="One JSON object on stdout: ok, problems, and checks with part, name, ok and error.",
)  # fmt: skip
def check(path: str | None, *, as_json: bool) -> None:
    """Check the configuration, then contact provider, store and upstreams; a line each."""
    logging.getLogger("gateway").addHandler(logging.NullHandler())  # What a check finds is in its own line.
    settings = _settings(path) if as_json else standalone_settings(path)
    if not as_json:
        click.echo("configuration  ok")
    found = []
    for one in _found(settings):
        found.append(one)
        if not as_json:
            click.echo(one.line)
    all_well = not any(one.error for one in found)
    if as_json:
        checks = [{"part": one.part, "name": one.name, "ok": not one.error, "error": one.error} for one in found]
        click.echo(json.dumps({"ok": all_well, "problems": [], "checks": checks}, indent=2))
    sys.exit(0 if all_well else 1)


def standalone_settings(path: str | None) -> Settings:
    """Load the settings of a gateway that stands alone, or say what is wrong and exit."""
    try:
        return _loaded(path)
    except ConfigurationError as error:
        fail(str(error))


def _loaded(path: str | None) -> Settings:
    settings = load_standalone_settings(path, os.environ)
    check_tracing(settings, os.environ)
    check_audit_file(settings.logs.audit_file)
    problems = list(tls_problems(settings, tls_context))
    if problems:
        raise ConfigurationError(problems)
    return settings


def _settings(path: str | None) -> Settings:
    try:
        return _loaded(path)
    except ConfigurationError as error:
        click.echo(json.dumps({"ok": False, "problems": error.problems, "checks": []}, indent=2))
        sys.exit(CONFIGURATION_EXIT_CODE)


def _found(settings: Settings) -> Iterator[_Found]:
    try:
        gateway = Gateway(settings, None, Outside())
    except StoreUnavailable as error:
        yield _Found(part="store", name=settings.store.type, error=str(error))
        return
    except ConfigurationError as error:
        yield from (_Found(part="store", name=settings.store.type, error=problem) for problem in error.problems)
        return
    yield from (_asked("provider", one.settings.issuer, one.check) for one in gateway.providers.values())
    yield _asked("store", settings.store.type, gateway.store.check)
    yield from (_asked("upstream", url, upstream.check) for url, upstream in gateway.upstreams.items())


def _asked(part: str, name: str, ask: Callable[[], None]) -> _Found:
    try:
        ask()
    except GatewayError as error:
        return _Found(part=part, name=name, error=str(error))
    return _Found(part=part, name=name, error="")
