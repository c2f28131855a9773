"""`gateway register` and `gateway unregister`."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import click

from gateway.assembly import Outside, back_channel
from gateway.cli_failure import fail
from gateway.config import load_settings_to_register
from gateway.config_provider import ProviderSettings
from gateway.config_sources import ConfigurationError
from gateway.errors import GatewayError
from gateway.registrar import Registrar, TokenClient, read_registration, write_registration

_config = click.option("--config", "path", type=click.Path(), help="The configuration file (default: config.yaml).")
_provider = click.option("--provider", "name", help="Which of several providers.")


@click.command()
@_config
@_provider
@click.option("--initial-access-token-file", type=click.File(), help="The token that the provider handed out for this.")
@click.option("--token-client-id", help="Fetch that token by client credentials, as this client.")
@click.option("--token-client-secret-file", type=click.File(), help="The secret of that client.")
@click.option("--token-scope", default="dcr", show_default=True, help="The scope to ask for.")
@click.option("--software-id", help="Have the provider complete the registration from its template of that name.")
@click.option("--member", "members", multiple=True, metavar="NAME=JSON", help="One more member of the registration.")
@click.option("--update", is_flag=True, help="Change the registration that the file holds.")
def register(  # noqa: PLR0913 - one parameter for each option.
    *,
    path: str | None,
    name: str | None,
    initial_access_token_file: TextIO | None,
    token_client_id: str | None,
    token_client_secret_file: TextIO | None,
    token_scope: str,
    software_id: str | None,
    members: tuple[str, ...],
    update: bool,
) -> None:
    """Register at the provider, and keep the result where `provider.registration` says.

    What is registered follows from the configuration: redirect URIs, method of authentication, algorithms, our public
    keys. The file is readable for its owner alone; start the gateway with the same configuration afterwards.
    """
    settings, file = _target(path, name)
    if file.exists() != update:
        fail(f"{file}: there is {'no' if not file.exists() else 'a'} registration; see --update")
    token_client = None
    if token_client_id is not None:
        secret = "" if token_client_secret_file is None else token_client_secret_file.read().strip()
        token_client = TokenClient(client_id=token_client_id, client_secret=secret, scope=token_scope)
    registrar = _registrar(settings)
    try:
        wanted = registrar.wanted(_parsed(members), software_id)
        if update:
            registration = registrar.update(read_registration(file, settings.issuer), wanted)
        else:
            token = None if initial_access_token_file is None else initial_access_token_file.read().strip()
            token = registrar.initial_access_token(token_client) if token_client is not None else token
            registration = registrar.register(wanted, token)
        write_registration(file, registration)
    except (GatewayError, OSError) as error:
        fail(str(error))
    click.echo(f"registered     {settings.issuer}\nclient_id      {registration.client_id}\nkept in        {file}")


@click.command()
@_config
@_provider
@click.option("--forget", is_flag=True, help="Remove the file even if the provider does not end the registration.")
def unregister(path: str | None, name: str | None, *, forget: bool) -> None:
    """End the registration at the provider, and remove its file."""
    settings, file = _target(path, name)
    try:
        _registrar(settings).unregister(read_registration(file, settings.issuer))
    except GatewayError as error:
        if not forget:
            fail(f"{error}\n{file} was left as it is; --forget removes it all the same")
        click.echo(f"the provider did not end it: {error}", err=True)
    file.unlink(missing_ok=True)
    click.echo(f"unregistered   {settings.issuer}")


def _target(path: str | None, name: str | None) -> tuple[ProviderSettings, Path]:
    try:
        providers = load_settings_to_register(path, os.environ)
    except ConfigurationError as error:
        fail(str(error))
    found = providers.get(name) if name else next(iter(providers.values())) if len(providers) == 1 else None
    if found is None:
        fail(f"--provider: name one of {', '.join(sorted(providers))}")
    if not found.registration:
        fail("provider.registration: is missing; name the file to keep the registration in")
    return found, Path(found.registration)


def _registrar(settings: ProviderSettings) -> Registrar:
    logging.getLogger("gateway").addHandler(logging.NullHandler())  # What goes wrong is in our own line.
    return Registrar(settings=settings, channel=back_channel(settings, Outside()), clock=time.time)


def _parsed(members: Iterable[str]) -> dict[str, object]:
    parsed: dict[str, object] = {}
    for member in members:
        name, mark, value = member.partition("=")
        try:
            parsed[name] = json.loads(value)
        except ValueError:
            parsed[name] = value  # A bare word is a text.
        if not mark or not name:
            fail(f"--member {member}: write NAME=JSON")
    return parsed
