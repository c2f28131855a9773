"""The page of the command line, made of the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click


def command_pages(name: str, command: click.Command) -> str:
    """Write a command and all below it in Markdown: what each does, its arguments and options."""
    return "\n".join(_lines((name,), command))


def _lines(words: tuple[str, ...], command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from _lines((*words, name), below)
        return
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    yield f"### `{' '.join((*words, *arguments))}`\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    rows = [f"| `{one.opts[0]}` | {one.help} |" for one in command.params if isinstance(one, click.Option)]
    if rows:
        yield "\n".join(["| option | |", "| --- | --- |", *rows, ""])
