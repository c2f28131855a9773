"""gateway migrate: configurations of others as ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from gateway.cli_failure import CONFIGURATION_EXIT_CODE, fail
from gateway.config_sources import ConfigurationError
from gateway.migration.conversion import Conversion, convert, read_text, report_items
from gateway.migration.given import Given, read_command_line, read_file
from gateway.whole_file import READABLE, write_whole


@click.group()
def migrate() -> None:
    """Turn the configuration of another gateway into ours."""


@migrate.command("oauth2-proxy")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[FILE] [-- --flag=value ...]")
@click.option("--public-url", default="", help="What the browser sees, if redirect_url does not say it.")
@click.option("--output", type=click.Path(), help="Where to write the configuration (default: stdout).")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--lenient", is_flag=True, help="Exit with 0 although something could not be expressed; it stays closed.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object on stdout: config, complete, report [option, outcome, text], secrets, problems.",
)
def oauth2_proxy(
    words: tuple[str, ...], public_url: str, output: str | None, *, force: bool, lenient: bool, as_json: bool
) -> None:
    """Write a config.yaml that says what a configuration of oauth2-proxy says, and report on stderr.

    FILE is its configuration file, or one with lines OAUTH2_PROXY_NAME=value; after `--` stands its command line, which
    wins. Nothing lets more pass than before: what cannot be expressed stays behind the login, or nobody may pass. Then
    the exit code is 1. Secrets are named and not written.
    """
    try:
        made = convert(_given(words), public_url)
    except (ConfigurationError, OSError, UnicodeDecodeError) as error:
        fail(str(error))
    if output is not None:
        _write(Path(output), made.text, force=force)
    if as_json:
        click.echo(json.dumps(_members(made), indent=2))
    else:
        _report(made)
        if output is None:
            click.echo(made.text, nl=False)
    if made.problems:
        sys.exit(CONFIGURATION_EXIT_CODE)
    sys.exit(0 if made.report.is_complete or lenient else 1)


def _given(words: tuple[str, ...]) -> Given:
    has_file = bool(words) and not words[0].startswith("-") and words[0].rpartition("/")[2] != "oauth2-proxy"
    given = read_command_line(words[1:] if has_file else words)
    file = words[0] if has_file else given.text("config")
    if not file and not words:
        raise ConfigurationError(["FILE is missing, or a command line after --"])
    return given.over(read_file(read_text(file)) if file else Given(values={}))


def _write(path: Path, text: str, *, force: bool) -> None:
    try:
        write_whole(path, text, mode=READABLE, replace=force)
    except FileExistsError:
        fail(f"{path}: is there already; see --force")
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror}")


def _report(made: Conversion) -> None:
    for item in made.report.items:
        click.echo(item.line, err=True)
    for name, value in made.secrets.items():
        click.echo(f"{'to set':<12} {name}: {value}", err=True)
    for problem in made.problems:
        click.echo(f"{'problem':<12} {problem}", err=True)


def _members(made: Conversion) -> dict[str, object]:
    return {
        "config": dict(made.document),
        "complete": made.report.is_complete,
        "report": report_items(made.report),
        "secrets": dict(made.secrets),
        "problems": list(made.problems),
    }
