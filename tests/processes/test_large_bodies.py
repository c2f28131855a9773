"""Gigabytes through the whole gateway, signed in: what streams must not pile up in a worker."""

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from peers.servers import free_port
from test_upstream_memory import MAX_GROWTH, PIECE, SIZE, TIMEOUT, running_origin, stream

from .running import COOKIE, OWN_FORM, Face, environment, origin_at, run_gateway, run_provider, sign_in


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A gateway with one worker before an upstream that sends and takes SIZE octets."""

    origin: str
    master: int

    @property
    def peak(self) -> int:
        """The most memory that the worker has held, in octets."""
        (worker,) = Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()
        lines = Path(f"/proc/{worker}/status").read_text().splitlines()
        (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return int(peak) * 1024


@pytest.fixture
def site(face: Face, tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    origin = origin_at(port)
    with ExitStack() as stack:
        provider = stack.enter_context(run_provider([origin], {"alice": {}}))
        settings = {"UPSTREAM": stack.enter_context(running_origin(stream))}
        environ = environment(origin, provider.issuer, settings)
        yield Site(
            origin=origin, master=stack.enter_context(run_gateway(tmp_path, port, environ, workers=1, face=face))
        )


@pytest.mark.slow
def test_memory_stays_flat_through_the_whole_gateway(site: Site) -> None:
    signed_in = {"Cookie": f"{COOKIE}={sign_in(site.origin, 'alice')}"}
    before = site.peak
    assert download(site, signed_in) == SIZE
    assert upload(site, {**signed_in, **OWN_FORM, "Content-Length": str(SIZE)}) == SIZE
    assert site.peak - before < MAX_GROWTH


def download(site: Site, headers: dict[str, str]) -> int:
    """Download, and count the octets."""
    connection = http.client.HTTPConnection(urlsplit(site.origin).netloc, timeout=TIMEOUT)
    try:
        connection.request("GET", "/", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        received, buffer = 0, bytearray(len(PIECE))
        while count := response.readinto(buffer):
            received += count
        return received
    finally:
        connection.close()


def upload(site: Site, headers: dict[str, str]) -> int:
    """Upload, and return how many octets the upstream says it received."""
    connection = http.client.HTTPConnection(urlsplit(site.origin).netloc, timeout=TIMEOUT)
    try:
        connection.request("POST", "/", body=(PIECE for _ in range(SIZE // len(PIECE))), headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        return int(response.read())
    finally:
        connection.close()
