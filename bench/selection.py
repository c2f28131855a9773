"""All servers and cases, and those that the command line names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.cases import CASES, Case
from bench.peers.apache import APACHE, APACHE_REDIS
from bench.peers.envoy import ENVOY
from bench.peers.gateway import OURS
from bench.peers.nginx import NGINX
from bench.peers.peer import Peer
from bench.peers.python_apps import FLASK, URLLIB3
from bench.processes import BenchError
from bench.targets import WEIGHTS

PEERS: Final = (*OURS, NGINX, ENVOY, APACHE, APACHE_REDIS, FLASK, URLLIB3)
TITLES: Final = {peer.name: peer.title for peer in PEERS}


def chosen_cases(names: Sequence[str]) -> list[Case]:
    """Return the cases of those names, all where there are none; raises `BenchError` for an unknown one."""
    _refuse_unknown(names, [*(case.name for case in CASES), *(weight.name for weight in WEIGHTS)])
    return [case for case in CASES if not names or case.name in names]


def chosen_weights(names: Sequence[str]) -> list[str]:
    """Return the names of the weights among those, of all where there are none."""
    return [weight.name for weight in WEIGHTS if not names or weight.name in names]


def chosen_peers(names: Sequence[str], cases: Sequence[Case]) -> list[Peer]:
    """Return the servers of those names, all where there are none, that answer one of the cases at least."""
    _refuse_unknown(names, list(TITLES))
    asked = {case.name for case in cases}
    return [peer for peer in PEERS if (not names or peer.name in names) and peer.cases & asked]


def _refuse_unknown(names: Sequence[str], known: Sequence[str]) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise BenchError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
