"""What is asked of the servers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.peers.backend import LARGE, MEDIUM, SMALL

UNSAFE: Final[Mapping[str, str]] = {"Sec-Fetch-Site": "same-origin"}
"""What a page of the site itself sends with a POST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One kind of request, from so many connections at once; `length` is of the body that must come back.

    If `varied`, no request is the same as another: each has a query of its own.

    `direct` tells whether the backend can be asked for it without a server between.
    """

    name: str
    title: str
    path: str
    connections: int
    length: int
    status: int = 200
    method: str = "GET"
    sent: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    download: bool = False
    varied: bool = False
    direct: bool = True


CASES: Final = (
    Case(name="small", title="1 KiB, 32 connections", path="/small", connections=32, length=SMALL),
    Case(name="crowd", title="1 KiB, 256 connections", path="/small", connections=256, length=SMALL),
    Case(
        name="varied",
        title="1 KiB, 32 connections, no request like another",
        path="/small",
        connections=32,
        length=SMALL,
        varied=True,
    ),
    Case(name="medium", title="64 KiB, 32 connections", path="/medium", connections=32, length=MEDIUM),
    Case(
        name="post",
        title="POST of 4 KiB, 32 connections",
        path="/post",
        connections=32,
        length=SMALL,
        method="POST",
        sent=4096,
        headers=UNSAFE,
    ),
    Case(name="download", title="100 MiB, 2 connections", path="/large", connections=2, length=LARGE, download=True),
    Case(
        name="miss",
        title="1 KiB, 32 connections, each request looks the session up in Redis",
        path="/small",
        connections=32,
        length=SMALL,
        direct=False,
    ),
    Case(
        name="ask",
        title="a proxy's question (forward-auth), 32 connections",
        path="/oauth2/auth",
        connections=32,
        length=0,
        status=202,
        headers={"X-Forwarded-Uri": "/small", "X-Forwarded-Method": "GET"},
        direct=False,
    ),
)
