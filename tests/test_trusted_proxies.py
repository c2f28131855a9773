"""Whose X-Forwarded-* count: an IPv4 peer is the same where a socket of both families names it (RFC 4291 2.5.5.2)."""

import ipaddress
from collections.abc import Sequence

import pytest

from gateway.target import read_target


@pytest.mark.parametrize(
    ("networks", "peer", "chain", "trusted", "client", "forwarded_for"),
    [
        pytest.param(["10.0.0.0/8"], "::ffff:10.0.0.1", "", True, "10.0.0.1", "10.0.0.1", id="mapped, alone"),
        pytest.param(["10.0.0.0/8"], "::ffff:10.0.0.1", "203.0.113.9", True, "203.0.113.9", "203.0.113.9, 10.0.0.1",
                     id="mapped, with a chain"),
        pytest.param(["10.0.0.0/8"], "::FFFF:a00:1", "203.0.113.9", True, "203.0.113.9", "203.0.113.9, 10.0.0.1",
                     id="mapped, in hexadecimal"),
        pytest.param(["10.0.0.0/8"], "10.0.0.1", "203.0.113.9, ::ffff:10.0.0.2", True, "203.0.113.9",
                     "203.0.113.9, ::ffff:10.0.0.2, 10.0.0.1", id="a mapped proxy within the chain"),
        pytest.param(["10.0.0.0/8"], "10.0.0.1", "::ffff:203.0.113.9", True, "203.0.113.9",
                     "::ffff:203.0.113.9, 10.0.0.1", id="a mapped client within the chain"),
        pytest.param(["10.0.0.0/8"], "::ffff:192.0.2.1", "203.0.113.9", False, "192.0.2.1", "192.0.2.1",
                     id="mapped, but not trusted"),
        pytest.param(["10.0.0.0/8"], "::10.0.0.1", "203.0.113.9", False, "::a00:1", "::a00:1",
                     id="compatible is not mapped"),
        pytest.param(["::1/128"], "::1", "203.0.113.9", True, "203.0.113.9", "203.0.113.9, ::1", id="plain IPv6"),
        pytest.param([], "::ffff:10.0.0.1", "203.0.113.9", False, "10.0.0.1", "10.0.0.1", id="nobody is trusted"),
    ],
)  # fmt: skip
def test_a_mapped_address_counts_as_its_ipv4_address(
    networks: Sequence[str], peer: str, chain: str, trusted: bool, client: str, forwarded_for: str
) -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/",
        "HTTP_HOST": "app.example",
        "REMOTE_ADDR": peer,
        **({"HTTP_X_FORWARDED_FOR": chain} if chain else {}),
    }
    target = read_target(environ, [ipaddress.ip_network(network) for network in networks])
    assert (target.peer_trusted, target.client, target.forwarded_for) == (trusted, client, forwarded_for)
