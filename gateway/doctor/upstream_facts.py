"""What is seen of the upstreams: each origin is reached for, and asked for a page as the gateway would ask."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.assembly import origin_of_upstream
from gateway.config import Settings
from gateway.config_upstream import UNIX, UpstreamSettings
from gateway.doctor.asking import Question, ask
from gateway.doctor.contact import CONTACT_SECONDS, Address, Contact, Obstacle, address_of, reach, speaks_tls
from gateway.doctor.finding import place_of
from gateway.tls import tls_context


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFacts:
    """One origin of an upstream.

    `page` is what it says when it is asked as the gateway asks, `session` what it says to a question that only a
    gateway understands.
    """

    url: str
    contact: Contact
    page: Question | None = None
    session: Question | None = None
    speaks_tls: bool = False


def gather_upstreams(settings: Settings) -> list[UpstreamFacts]:
    """Reach for each origin of each upstream, and ask those that are there."""
    return [_facts(settings, one, url) for one in settings.upstreams.values() for url in one.urls]


def _facts(settings: Settings, upstream: UpstreamSettings, url: str) -> UpstreamFacts:
    certificate = upstream.certificate or settings.certificate

    def context() -> ssl.SSLContext:
        return tls_context(verify_tls=upstream.verify_tls, certificate=certificate)

    place = place_of(url)
    if url.startswith(UNIX):
        contact = _reach_socket(url)
    else:
        address = address_of(url, upstream.server_name)
        contact = reach(address, context if url.startswith("https:") else None)
    if contact.obstacle is not None:
        return UpstreamFacts(url=place, contact=contact)
    base = "" if url.startswith(UNIX) else urlsplit(url).path
    origin, fields = origin_of_upstream(url, upstream, settings.certificate), _fields(settings)
    page = ask(origin, url, f"{base}{upstream.health_path or '/'}", fields)
    session = None if page.answer is None else ask(origin, url, f"{settings.prefix}/session", fields)
    # Who waits for more has read what came: that was no greeting to a server that speaks TLS.
    refused = (page.answer is None and not page.late) or (page.answer is not None and page.answer.status == 400)
    return UpstreamFacts(
        url=place,
        contact=contact,
        page=page,
        session=session,
        speaks_tls=url.startswith("http:") and refused and speaks_tls(contact.address),
    )


def _fields(settings: Settings) -> Mapping[str, str]:
    public = urlsplit(settings.public_url)
    return {
        "Host": public.netloc,
        "Accept": "text/html",
        "X-Forwarded-Host": public.netloc,
        "X-Forwarded-Proto": public.scheme,
    }


def _reach_socket(url: str) -> Contact:
    path = url.removeprefix(UNIX)
    address = Address(url=url, host=path, port=0, server_name=path)
    try:
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
            connection.settimeout(CONTACT_SECONDS)
            connection.connect(path)
    except ConnectionRefusedError:
        return Contact(address=address, obstacle=Obstacle.REFUSED)
    except OSError as error:
        return Contact(address=address, obstacle=Obstacle.UNREACHABLE, detail=error.strerror or type(error).__name__)
    return Contact(address=address)
