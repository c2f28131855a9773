"""How a command ends that cannot go on."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

CONFIGURATION_EXIT_CODE = 2
"""That of a configuration, or of words, that cannot be."""


def fail(message: str, *, code: int = CONFIGURATION_EXIT_CODE) -> NoReturn:
    """Say on stderr why not, and exit."""
    click.echo(message, err=True)
    sys.exit(code)
