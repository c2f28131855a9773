"""The command line: init, serve, check, doctor, demo, register, routes, sessions, migrate, keys, schema."""

from __future__ import annotations

import datetime
import os
import secrets
import signal
import sys
from pathlib import Path
from types import FrameType

import click

from gateway.cli_check import check, standalone_settings
from gateway.cli_doctor import doctor
from gateway.cli_failure import fail
from gateway.cli_init import init
from gateway.cli_migrate import migrate
from gateway.cli_registration import register, unregister
from gateway.cli_routes import routes
from gateway.cli_sessions import sessions
from gateway.config_docs import configuration_table, schema_text
from gateway.config_sources import CONFIG_VARIABLE, ConfigurationError
from gateway.demo import DemoFailed, run_demo
from gateway.devtls import localhost_certificate
from gateway.server_environment import LARGEST_NUMBER_OF_WORKERS, bind_problems, read_server_environment

DEV_TLS_DIRECTORY = Path("var/dev-tls")


@click.group()
@click.version_option(package_name="gateway")
def main() -> None:
    """Run an OpenID Connect gateway before an app that knows nothing of login."""


@main.command()
@click.option("--config", "path", type=click.Path(), help="The configuration file (default: config.yaml).")
@click.option("--bind", help="Where to listen (default: BIND, or 127.0.0.1:4180).")
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=LARGEST_NUMBER_OF_WORKERS),
    help="How many processes (default: WEB_CONCURRENCY, or one a processor, up to 8).",
)
@click.option("--dev-tls", is_flag=True, help="Serve https with a self-signed certificate for localhost.")
def serve(path: str | None, bind: str | None, workers: int | None, *, dev_tls: bool) -> None:
    """Put the gateway in front of what config.yaml names."""
    environ = dict(os.environ) | ({CONFIG_VARIABLE: path} if path else {})
    _check_server(bind)
    standalone_settings(path)
    # By this name, as SIGUSR2 starts it once more by its path, and gunicorn's own directory has a module called `http`.
    command = [sys.executable, "-m", "gunicorn.app.wsgiapp", "-c", "python:gateway.gunicorn_conf"]
    if bind is not None:
        command += ["-b", bind]
    if workers is not None:
        command += ["-w", str(workers)]
    if dev_tls:
        files = localhost_certificate(DEV_TLS_DIRECTORY, datetime.datetime.now(datetime.UTC))
        command += ["--certfile", str(files.certificate), "--keyfile", str(files.key)]
    os.execve(sys.executable, command, environ)  # noqa: S606 - gunicorn takes this process over, with its signals.


@main.command()
@click.option("--port", default=4180, show_default=True, help="Where the gateway listens.")
def demo(port: int) -> None:
    """Run a provider, a sample app and the gateway before it, on localhost; Ctrl-C ends them all."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with run_demo(port=port) as running:
            click.echo(
                f"\n  Open     {running.url}/\n  Sign in  as alice or bob; there are no passwords\n"
                f"  Look in  at {running.url}/oauth2/console, what logins ask and bring, for developers\n"
                f"\n  {running.upstream}/ is the app without the gateway, {running.issuer} the provider."
                "\n  Ctrl-C ends all three.\n"
            )
            running.wait()
    except DemoFailed as error:
        click.echo(f"The demo could not start: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("\nThe demo has ended.")


main.add_command(init)
main.add_command(check)
main.add_command(doctor)
main.add_command(register)
main.add_command(unregister)
main.add_command(routes)
main.add_command(sessions)
main.add_command(migrate)


@main.group()
def keys() -> None:
    """Make secrets."""


@keys.command("new")
def new_key() -> None:
    """Print a new value for session.secret."""
    click.echo(secrets.token_urlsafe(48))


@main.command()
@click.option("--table", is_flag=True, help="A Markdown table of all keys instead.")
def schema(*, table: bool) -> None:
    """Print the JSON Schema of config.yaml."""
    click.echo(configuration_table() if table else schema_text())


def _check_server(bind: str | None) -> None:
    problems = [] if bind is None else bind_problems("--bind", bind)
    if problems:
        fail("\n".join(problems))
    # gunicorn takes WEB_CONCURRENCY, too, before it reads our file, and answers what is no number with a traceback.
    try:
        read_server_environment(os.environ)
    except ConfigurationError as error:
        fail(str(error))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
