"""gateway init: the first configuration, of a few answers or flags."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TextIO

import click

from gateway.cli_failure import fail
from gateway.config import Settings, load_settings, load_standalone_settings
from gateway.config_sources import SECRETS_VARIABLE, ConfigurationError
from gateway.first_config import (
    FILE_STORE,
    FirstAnswers,
    FirstConfig,
    checked_provider_answer,
    checked_public_url,
    checked_store,
    checked_upstream,
    first_config,
    warnings_of,
)
from gateway.presets import PRESET_NAMES, PRESETS, QUESTIONS, Preset, preset_named
from gateway.whole_file import READABLE, write_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asker:
    """Takes a flag, or asks; where it may not ask, what has no default is an error."""

    may_ask: bool

    def answer(
        self, flag: str, given: str | None, text: str, check: Callable[[str], str], default: str | None = None
    ) -> str:
        """Return a checked answer; one that was asked for is asked for again until it will do."""
        if given is None and self.may_ask:
            return str(click.prompt(text, default=default, value_proc=_asked(check), err=True))
        value = default if given is None else given
        if value is None:
            fail(f"{flag}: is missing")
        try:
            return check(value)
        except ValueError as error:
            fail(f"{flag}: {error}")


@click.command()
@click.option("--public-url", help="What the browser sees: https://app.example.com.")
@click.option("--provider", type=click.Choice(PRESET_NAMES), help="Which provider.")
@click.option("--issuer", help="Its issuer, to the letter; wins over what the provider's name says.")
@click.option("--base-url", help="keycloak: its address.")
@click.option("--realm", help="keycloak: the realm.")
@click.option("--tenant", help="entra: the ID of the tenant.")
@click.option("--domain", help="auth0, okta: the domain.")
@click.option("--client-id", help="Our name at the provider.")
@click.option("--client-secret-file", type=click.File(), help="A file with our secret there; - for stdin.")
@click.option("--public-client", is_flag=True, help="There is no secret.")
@click.option("--upstream", help="What is behind: http://127.0.0.1:3000; none around an app.")
@click.option("--store", help="Where sessions are kept: file, or the URL of a server: redis://127.0.0.1:6379/0.")
@click.option("--output", default="config.yaml", show_default=True, type=click.Path(path_type=Path), help="The file.")
@click.option(
    "--secrets-dir",
    default="secrets",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The directory of the secrets.",
)
@click.option("--yes", is_flag=True, help="Ask nothing; what is not given has its default.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One JSON object: config, secrets, redirect_uri, post_logout_redirect_uri, register, warnings, next.",
)
def init(  # noqa: PLR0913 - one parameter for each option.
    *,
    public_url: str | None,
    provider: str | None,
    issuer: str | None,
    base_url: str | None,
    realm: str | None,
    tenant: str | None,
    domain: str | None,
    client_id: str | None,
    client_secret_file: TextIO | None,
    public_client: bool,
    upstream: str | None,
    store: str | None,
    output: Path,
    secrets_dir: Path,
    yes: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write a first config.yaml and the secrets beside it, after five questions or from flags.

    Nothing that is there is written over. The secrets are files that their owner alone can read, in the directory that
    GATEWAY_SECRETS_DIR has to name. Exit code 2 for an answer that cannot be, 1 for files that are there.
    """
    asker = _Asker(may_ask=not yes)
    named = {"issuer": issuer, "base_url": base_url, "realm": realm, "tenant": tenant, "domain": domain}
    where = asker.answer(
        "--public-url", public_url, "What the browser sees (https://app.example.com)", checked_public_url
    )
    preset = preset_named(asker.answer("--provider", provider, _choices(), _preset))
    told = _told(asker, preset, named)
    client = asker.answer("--client-id", client_id, "The client_id that the provider gave", _not_empty)
    secret = _secret(asker, client_secret_file, public_client=public_client)
    behind = asker.answer("--upstream", upstream, "What is behind (none: around an app)", checked_upstream, "none")
    kept = asker.answer("--store", store, "Where sessions are kept (file, or redis://...)", checked_store, FILE_STORE)
    answers = FirstAnswers(
        public_url=where, preset=preset, provider=told, client_id=client, upstream=behind, store=kept,
        client_secret=secret, public_client=public_client or not secret,
    )  # fmt: skip
    made = first_config(answers, secrets.token_urlsafe(48))
    _write(made, output, secrets_dir, force=force)
    _tell(answers, _loaded(answers, output, secrets_dir), output, secrets_dir, as_json=as_json)


def _told(asker: _Asker, preset: Preset, named: Mapping[str, str | None]) -> dict[str, str]:
    asked = ("issuer",) if named["issuer"] is not None else preset.asks
    return {
        name: asker.answer(
            f"--{name.replace('_', '-')}",
            named[name],
            QUESTIONS[name],
            partial(checked_provider_answer, name),
        )
        for name in asked
    }


def _secret(asker: _Asker, file: TextIO | None, *, public_client: bool) -> str:
    if public_client:
        return ""
    if file is not None:
        return file.read().strip() or fail("--client-secret-file: is empty")
    if not asker.may_ask:
        fail("--client-secret-file: is missing; --public-client where there is no secret")
    text = "The client secret (empty: none)"
    return str(click.prompt(text, default="", hide_input=True, show_default=False, err=True)).strip()


def _write(made: FirstConfig, output: Path, directory: Path, *, force: bool) -> None:
    files = {directory / name: value for name, value in made.secrets.items()}
    there = [str(path) for path in (output, *files) if path.exists()]
    if there and not force:
        fail(f"{', '.join(there)}: there already; nothing was written; see --force", code=1)
    try:
        for path, value in files.items():
            write_whole(path, f"{value}\n", replace=force)
        write_whole(output, made.text, mode=READABLE, replace=force)
    except OSError as error:
        fail(f"{error.filename or output}: cannot be written: {error.strerror}", code=1)


def _loaded(answers: FirstAnswers, output: Path, directory: Path) -> Settings:
    load = load_standalone_settings if answers.upstream else load_settings
    try:
        return load(str(output), {SECRETS_VARIABLE: str(directory)})
    except ConfigurationError as error:
        fail(f"{output} was written and cannot be used:\n{error}")


def _tell(answers: FirstAnswers, settings: Settings, output: Path, directory: Path, *, as_json: bool) -> None:
    client = next(iter(settings.providers.values())).client
    told = {
        "config": str(output),
        "secrets": str(directory),
        "redirect_uri": client.redirect_uri,
        "post_logout_redirect_uri": client.post_logout_redirect_uri,
        "register": answers.preset.register,
        "warnings": warnings_of(answers),
        "next": _next(answers, output, directory),
    }
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for warning in warnings_of(answers):
        click.echo(f"Warning: {warning}", err=True)
    click.echo(
        f"Wrote {output} and {directory}/.\n\nRegister in {answers.preset.register}:\n"
        f"  redirect URI              {client.redirect_uri}\n"
        f"  post-logout redirect URI  {client.post_logout_redirect_uri}\n\nThen:"
    )
    for command in _next(answers, output, directory):
        click.echo(f"  {command}")


def _next(answers: FirstAnswers, output: Path, directory: Path) -> list[str]:
    named = f"export {SECRETS_VARIABLE}={directory}"
    doctor = f"gateway doctor {output}  # where something does not work"
    if answers.upstream:
        return [named, f"gateway check {output}", f"gateway serve --config {output}", doctor]
    wrapped = f"app.wsgi_app = Gateway.from_config('{output}')(app.wsgi_app)  # in Python; or just around a WSGI app"
    return [named, f"gateway routes explain --config {output} GET /", wrapped, doctor]


def _choices() -> str:
    listed = "".join(f"  {preset.name:<9} {preset.title}\n" for preset in PRESETS)
    return f"{listed}Which provider"


def _preset(value: str) -> str:
    if value.strip().lower() not in PRESET_NAMES:
        raise ValueError(f"must be one of {', '.join(PRESET_NAMES)}")
    return value.strip().lower()


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def _asked(check: Callable[[str], str]) -> Callable[[str], str]:
    def checked(value: str) -> str:
        try:
            return check(value)
        except ValueError as error:
            raise click.UsageError(str(error)) from None

    return checked
