"""What is seen from outside: the addresses that browsers ask, by the way that they take. No redirect is followed."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from gateway.config import Settings
from gateway.doctor.asking import ASK_SECONDS, Question, ask
from gateway.doctor.contact import CONTACT_SECONDS, Contact, Obstacle, address_of, reach
from gateway.doctor.finding import origin_of
from gateway.tls import tls_context
from gateway.upstream_origin import Origin

_CERTIFICATE = (Obstacle.UNTRUSTED, Obstacle.EXPIRED, Obstacle.NOT_YET_VALID, Obstacle.OTHER_HOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideFacts:
    """What came of asking the gateway by one origin; `insisted` says that the user named it."""

    url: str
    insisted: bool
    contact: Contact
    session: Question | None = None
    ping: Question | None = None
    callback: Question | None = None
    callback_again: Question | None = None
    start: Question | None = None


def gather_outside(settings: Settings, url: str | None) -> list[OutsideFacts]:
    """Ask at the URL that was given, and at `public_url` where none was, or where it leads there."""
    first = _gather(settings, url or settings.public_url, insisted=url is not None)
    answer = None if first.session is None else first.session.answer
    leads_on = answer is not None and answer.redirects and origin_of(answer.first("location")) == settings.public_url
    if not leads_on or origin_of(first.url) == settings.public_url:
        return [first]
    return [first, _gather(settings, settings.public_url, insisted=True)]


def _gather(settings: Settings, url: str, *, insisted: bool) -> OutsideFacts:
    origin_url = origin_of(url)
    address, secure = address_of(origin_url), origin_url.startswith("https:")
    contact = reach(address, (lambda: tls_context(verify_tls=True)) if secure else None)
    nothing = OutsideFacts(url=origin_url, insisted=insisted, contact=contact)
    if contact.obstacle is not None and contact.obstacle not in _CERTIFICATE:
        return nothing
    origin = Origin(
        host=address.host,
        port=address.port,
        # What is sent is no secret, so the rest can be looked at behind a certificate that is not believed.
        tls=tls_context(verify_tls=contact.obstacle is None) if secure else None,
        connect_timeout=CONTACT_SECONDS,
        read_timeout=ASK_SECONDS,
    )

    def asked(target: str) -> Question:
        fields = {"Host": urlsplit(origin_url).netloc, "Accept": "application/json"}
        return ask(origin, f"{origin_url}{target}", target, fields)

    session = asked(f"{settings.prefix}/session")
    if session.answer is None or session.answer.redirects:
        return OutsideFacts(url=origin_url, insisted=insisted, contact=contact, session=session)
    provider = next(iter(settings.providers.values()))
    callback = provider.client.redirect_uri.removeprefix(settings.public_url)
    return OutsideFacts(
        url=origin_url,
        insisted=insisted,
        contact=contact,
        session=session,
        ping=asked("/ping"),
        callback=asked(callback),
        callback_again=asked(callback),
        start=asked(f"{settings.prefix}/start?{urlencode({'provider': provider.name})}"),
    )
