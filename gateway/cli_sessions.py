"""gateway sessions: list, show and revoke, over the store that the configuration names."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import click

from gateway.administration import MAX_LISTED, Administration, Wanted, card_members
from gateway.assembly import Outside, make_store
from gateway.backends.base import UnlistableStore
from gateway.cli_failure import fail
from gateway.config import load_settings
from gateway.config_sources import ConfigurationError
from gateway.envelope import Card
from gateway.errors import GatewayError

T = TypeVar("T")

_config = click.option("--config", "path", type=click.Path(), help="The configuration file (default: config.yaml).")
_sub = click.option("--sub", default="", help="Those of the user whom the provider calls so.")
_sid = click.option("--sid", default="", help="Those of the provider's session with that sid.")


@click.group()
def sessions() -> None:
    """List sessions and end them; who is signed in cannot be read from them, only looked for."""


@sessions.command("list")
@_config
@_sub
@_sid
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_sessions(path: str | None, sub: str, sid: str, *, as_json: bool) -> None:
    """List the living sessions."""
    cards = _asked(path, lambda one: one.sessions(Wanted(sub=sub, sid=sid, everyone=not (sub or sid))))
    if as_json:
        for card in cards:
            click.echo(json.dumps(card_members(card)))
        return
    _print_table(cards)


@sessions.command()
@click.argument("session_id", metavar="ID")
@_config
def show(session_id: str, path: str | None) -> None:
    """Show what can be told of one session."""
    cards = _asked(path, lambda one: one.sessions(Wanted(id=session_id)))
    if not cards:
        click.echo("There is no such session.", err=True)
        sys.exit(1)
    click.echo(json.dumps(card_members(cards[0]), indent=2))


@sessions.command()
@_config
@_sub
@_sid
@click.option("--id", "session_id", default="", help="The one with that id.")
@click.option("--all", "everyone", is_flag=True, help="All of them.")
def revoke(path: str | None, sub: str, sid: str, session_id: str, *, everyone: bool) -> None:
    """End sessions: of a user, of a login at the provider, one, or all."""
    _asked(path, lambda one: one.revoke(Wanted(sub=sub, sid=sid, id=session_id, everyone=everyone)))
    click.echo("Revoked. Running gateways follow within session.local_cache.")


def _asked(path: str | None, ask: Callable[[Administration], T]) -> T:
    try:
        settings = load_settings(path, os.environ)
        if settings.store.type == "memory":
            fail("session.store.type: memory is inside the gateway's process; ask <prefix>/admin/sessions there")
        issuers = [one.issuer for one in settings.providers.values()]
        return ask(Administration(store=make_store(settings, Outside()), issuers=issuers))
    except UnlistableStore:
        fail("This kind of store cannot list what it holds; `revoke` works.", code=1)
    except ConfigurationError as error:
        fail(str(error))
    except GatewayError as error:
        fail(error.detail or str(error), code=1)


def _print_table(cards: Sequence[Card]) -> None:
    click.echo(f"{'id':<32}  {'user':<12}  {'provider':<12}  {'began':<16}  {'last use':<16}  ends")
    for card in cards:
        times = "  ".join(_local(time) for time in (card.created_at, card.seen_at, card.ends_at))
        click.echo(f"{card.id:<32}  {card.subject[:12]:<12}  {card.provider:<12}  {times}")
    more = f", and there are more than {MAX_LISTED}" if len(cards) == MAX_LISTED else ""
    noun = "session" if len(cards) == 1 else "sessions"
    click.echo(f"{len(cards)} {noun}{more}; the same user has the same word")


def _local(time: int) -> str:
    return datetime.fromtimestamp(time, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
