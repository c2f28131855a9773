"""What may keep us from a server: one page for the provider, the upstream and the way from outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.doctor.contact import Obstacle
from gateway.doctor.finding import Diagnosis, Severity

ContactDiagnoses = Mapping[Obstacle, Diagnosis]
"""What may be found on the way to one kind of server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remedies:
    address: str
    listening: str
    scheme: str
    trust: str
    names: str


def _contact(area: str, remedies: _Remedies) -> ContactDiagnoses:
    def failed(kind: str, cause: str, remedy: str) -> Diagnosis:
        return Diagnosis(code=f"{area}_{kind}", severity=Severity.FAILED, cause=cause, remedy=remedy)

    return {
        Obstacle.HOST_UNKNOWN: failed(
            "host_unknown", "The host name {host} does not resolve ({detail}).", remedies.address
        ),
        Obstacle.REFUSED: failed(
            "refused", "{host}, port {port}, refuses connections: nothing listens there.", remedies.listening
        ),
        Obstacle.SILENT: failed(
            "silent", "{host}, port {port}, does not answer within {seconds} s.", remedies.listening
        ),
        Obstacle.UNREACHABLE: failed(
            "unreachable", "{host}, port {port}, cannot be reached: {detail}.", remedies.listening
        ),
        Obstacle.NOT_TLS: failed(
            "not_tls", "{host}, port {port}, does not speak TLS, which {url} needs.", remedies.scheme
        ),
        Obstacle.TLS_FAILED: failed("tls_failed", "TLS with {host}, port {port}, fails: {detail}.", remedies.scheme),
        Obstacle.TRUST_UNREADABLE: failed(
            "trust_unreadable", "The files for TLS with {host} cannot be used: {detail}.", remedies.trust
        ),
        Obstacle.UNTRUSTED: failed(
            "certificate_untrusted",
            "The certificate of {host} is not trusted ({detail}); it was issued by {issuer}.",
            remedies.trust,
        ),
        Obstacle.EXPIRED: failed(
            "certificate_expired",
            "The certificate of {host} ended at {ends_at}; the clock of this machine says {now}.",
            "Renew the certificate of {host}, or set the clock of this machine.",
        ),
        Obstacle.NOT_YET_VALID: failed(
            "certificate_not_yet_valid",
            "The certificate of {host} begins at {begins_at}; the clock of this machine says {now}.",
            "Set the clock of this machine, or have the certificate of {host} issued anew.",
        ),
        Obstacle.OTHER_HOST: failed(
            "certificate_of_other_host", "The server at {host} has a certificate for {names}.", remedies.names
        ),
    }


PROVIDER_CONTACT = _contact(
    "provider",
    _Remedies(
        address="Correct provider.issuer, or what this machine asks for names.",
        listening="Start the provider, let this machine through to it, or correct provider.issuer.",
        scheme="Correct scheme and port in provider.issuer.",
        trust="Set provider.verify_tls to the path of a bundle with the authority that issued the certificate.",
        names="Write provider.issuer with a name that the certificate has, or have one issued for {host}.",
    ),
)
UPSTREAM_CONTACT = _contact(
    "upstream",
    _Remedies(
        address="Correct the host in upstream, upstreams.NAME.url or routes[].upstream.",
        listening="Start what is behind the gateway, or correct upstream, upstreams.NAME.url or routes[].upstream.",
        scheme="Write http:// instead of https:// in the address of the upstream, or have it speak TLS.",
        trust="Set upstream_connection.verify_tls, or upstreams.NAME.verify_tls, to the path of a bundle with the "
        "authority that issued the certificate.",
        names="Set upstreams.NAME.server_name to a name that the certificate has.",
    ),
)
OUTSIDE_CONTACT = _contact(
    "outside",
    _Remedies(
        address="Correct public_url, or enter the name where browsers look for it.",
        listening="Start the gateway and what stands before it, or correct public_url.",
        scheme="Have what stands before the gateway speak TLS, or correct public_url.",
        trust="Have what stands before the gateway present a certificate that browsers trust, with its whole chain.",
        names="Have a certificate issued for {host}, or correct public_url.",
    ),
)
