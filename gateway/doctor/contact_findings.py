"""Judges what came of reaching for a server."""

from __future__ import annotations

from gateway.doctor.contact import CONTACT_SECONDS, Contact, clock_text
from gateway.doctor.diagnoses_contact import ContactDiagnoses
from gateway.doctor.finding import Finding, found, listed


def contact_findings(contact: Contact, diagnoses: ContactDiagnoses, subject: str, now: float) -> list[Finding]:
    """Say what kept us from a server; nothing where it was reached. `now` is seconds since the epoch."""
    if contact.obstacle is None:
        return []
    address, certificate = contact.address, contact.certificate
    values = {
        "url": address.url,
        "host": address.server_name if certificate else address.host,
        "port": address.port,
        "seconds": f"{CONTACT_SECONDS:g}",
        "detail": contact.detail,
        "issuer": certificate.issuer if certificate else "nobody knows whom",
        "names": listed(certificate.names) if certificate else "another host",
        "begins_at": certificate.begins_at if certificate else "a later time",
        "ends_at": certificate.ends_at if certificate else "an earlier time",
        "now": clock_text(now),
    }
    return [found(diagnoses[contact.obstacle], subject, values)]
