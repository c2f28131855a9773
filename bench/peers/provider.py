"""The provider of the benchmark, oidc-provider-mock, and what it says of a token."""

from __future__ import annotations

from typing import Final

import requests

from bench.browser import SECONDS, USER
from bench.peers.peer import PROGRAMS
from bench.processes import Command

_LIVES_SECONDS: Final = 6 * 3600
"""Longer than any run, so that no token is renewed while it is measured."""


def launch(port: int) -> Command:
    """Return how it is started."""
    return Command(argv=[str(PROGRAMS / "oidc-provider-mock"), "-p", str(port), "-e", str(_LIVES_SECONDS)])


def belongs_to_user(issuer: str, authorization: str) -> bool:
    """Tell whether an Authorization field holds an access token of our user."""
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{issuer}/userinfo", headers={"Authorization": authorization}, timeout=SECONDS)
    return answer.status_code == 200 and answer.json().get("sub") == USER
