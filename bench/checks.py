"""Whether a server does what is measured: lets the user through with the token, and nobody else."""

from __future__ import annotations

from typing import Final

import requests

from bench.browser import SECONDS
from bench.cases import Case
from bench.peers.peer import Peer
from bench.peers.provider import belongs_to_user
from bench.processes import BenchError
from bench.sites import Site

_REFUSALS: Final = frozenset({302, 303, 307, 401})


_TOKEN: Final = Case(name="token", title="", path="/token", connections=1, length=0)


def check(site: Site, case: Case, *, backend: str, issuer: str) -> None:
    """Raise `BenchError` unless a signed-in request gets the backend's own answer, and another none.

    What the backend received as Authorization is an access token of the user, as the provider itself says.
    """
    status, body = _ask(site.origin, case, site.cookie)
    expected = _ask(backend, case, "")[1] if case.length else body
    if (status, body) != (case.status, expected):
        raise BenchError(f"{site.name} answers {case.path} with {status} and {len(body)} bytes")
    if site.peer is None:
        return
    if site.signs_in:
        status, _ = _ask(site.origin, case, "")
        if status not in _REFUSALS:
            raise BenchError(f"{site.name} answers {case.path} with {status} to somebody who is not signed in")
    _check_token(site, site.peer, issuer)


def _check_token(site: Site, peer: Peer, issuer: str) -> None:
    status, body = _ask(site.origin, _TOKEN, site.cookie)
    received = body.decode("latin-1")
    right = belongs_to_user(issuer, received) if peer.signs_in else received == (peer.token or "")
    if status != 200 or not right:
        raise BenchError(f"{site.name} sends on {received[:16]!r}..., which is not the token; {status}")


def _ask(origin: str, case: Case, cookie: str) -> tuple[int, bytes]:
    # A session for each: one that were kept would keep the cookies of an answer for the next who is nobody.
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            case.method,
            origin + case.path,
            headers={**case.headers, **({"Cookie": cookie} if cookie else {}), "Accept-Encoding": "identity"},
            data=b"x" * case.sent if case.sent else None,
            timeout=SECONDS,
            allow_redirects=False,
        )
        return answer.status_code, answer.content
