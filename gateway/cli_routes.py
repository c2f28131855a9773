"""gateway routes explain: which rule a request meets, and what becomes of it."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click

from gateway.cli_failure import fail
from gateway.config import load_settings
from gateway.config_sources import ConfigurationError
from gateway.errors import GatewayError
from gateway.explanation import explain as explained
from gateway.explanation import explained_members, session_of, target_of


@click.group()
def routes() -> None:
    """Ask the rules of the configuration what they would do."""


@routes.command()
@click.argument("method")
@click.argument("url")
@click.option("--claims", type=click.Path(), help="Claims of who is signed in, a JSON object in a file; - for stdin.")
@click.option("--scope", default="openid", show_default=True, help="Scopes that were granted.")
@click.option("--provider", default="", help="Where they signed in, if there are several providers.")
@click.option("--client", default="127.0.0.1", show_default=True, help="The address that the request comes from.")
@click.option("--config", "path", type=click.Path(), help="The configuration file (default: config.yaml).")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: method, path, host, rule, route, access, also, signed_in, verdict, code, detail, upstream, "
    "path_sent, headers.",
)
def explain(  # noqa: PLR0913 - one parameter for each option.
    *,
    method: str,
    url: str,
    claims: str | None,
    scope: str,
    provider: str,
    client: str,
    path: str | None,
    as_json: bool,
) -> None:
    """Tell which rule a request meets, why, and which headers would be sent on; URL may be a path alone."""
    now = int(time.time())
    try:
        settings = load_settings(path, os.environ)
        whole = url if "://" in url else f"{settings.public_url}{url}"
        target = target_of(method, whole, client)
        name = provider or next(iter(settings.providers))
        if name not in settings.providers:
            fail(f"{name} is not among the providers")
        issuer = settings.providers[name].issuer
        session = None if claims is None else session_of(_read(claims), scope, name, issuer, now)
        if as_json:
            click.echo(json.dumps(explained_members(settings, target, session, now), indent=2))
            return
        for line in explained(settings, target, session, now):
            click.echo(line)
    except ConfigurationError as error:
        fail(str(error))
    except GatewayError as error:
        refused = {"verdict": "refused", "code": error.problem.code, "detail": error.detail}
        click.echo(json.dumps(refused, indent=2) if as_json else f"refused: {error}")
        sys.exit(1)


def _read(path: str) -> dict[str, object]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
        claims = json.loads(text)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}")
    if not isinstance(claims, dict):
        fail(f"{path}: is not a JSON object")
    return claims
