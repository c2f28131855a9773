"""What is seen of a provider: by the gateway's own code over its own transport, every call remembered."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from gateway.assembly import Outside, transport_of
from gateway.back_channel import BackChannel
from gateway.config_provider import ProviderSettings
from gateway.doctor.contact import Contact, address_of, reach
from gateway.doctor.finding import origin_of, place_of
from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.messages import Call, Reply, Transport, json_object
from gateway.oidc.metadata import ProviderMetadata, discovery_call
from gateway.provider import Provider
from gateway.tls import tls_context

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A call and what came of it: a reply, or in `failure` why there is none; times are seconds since the epoch."""

    url: str
    reply: Reply | None = None
    failure: str = ""
    sent_at: float = 0.0
    received_at: float = 0.0

    @property
    def their_time(self) -> float | None:
        """What the other side's clock said, with the age of an answer from a cache (RFC 9110 6.6.1, RFC 9111 5.1)."""
        headers = {} if self.reply is None else self.reply.headers
        age = headers.get("age", "0").strip()
        try:
            date = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return None
        return date + (int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0)


class Recorder:
    """A transport that remembers each call that it passes on, but for what is secret about it."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self.exchanges: list[Exchange] = []

    def __call__(self, call: Call) -> Reply:
        """Send a call; raises what the transport raises."""
        url, sent_at = place_of(call.url), self._clock()
        try:
            reply = self._transport(call)
        except ProviderUnavailable as error:
            failure = type(error.__cause__).__name__ if error.__cause__ else error.detail
            self.exchanges.append(Exchange(url=url, failure=failure, sent_at=sent_at, received_at=self._clock()))
            raise
        self.exchanges.append(Exchange(url=url, reply=reply, sent_at=sent_at, received_at=self._clock()))
        return reply

    def last(self, url: str) -> Exchange | None:
        """Return what came of the last call to a place."""
        return next((one for one in reversed(self.exchanges) if one.url == place_of(url)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a provider says of itself, as far as it could be fetched.

    `contacts` are those with the servers of its endpoints by origin; `members` are its metadata as they came.
    """

    settings: ProviderSettings
    contacts: Mapping[str, Contact] = field(default_factory=dict)
    discovery: Exchange | None = None
    metadata: ProviderMetadata | None = None
    problem: str = ""
    members: Mapping[str, object] = field(default_factory=dict)
    jwks: Exchange | None = None

    def is_reached(self, url: str) -> bool:
        """Tell whether nothing is known to keep us from the server of a URL."""
        contact = self.contacts.get(origin_of(url))
        return contact is None or contact.obstacle is None

    @property
    def exchanges(self) -> list[Exchange]:
        """The calls that were made."""
        return [one for one in (self.discovery, self.jwks) if one is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is needed to ask a provider; `over_network` says that calls travel by the real transport."""

    provider: Provider
    channel: BackChannel
    recorder: Recorder
    outside: Outside
    over_network: bool


def asking(settings: ProviderSettings, outside: Outside) -> Asking:
    """Make what is needed to ask a provider."""
    recorder = Recorder(outside.transport or transport_of(settings), outside.clock)
    channel = BackChannel(transport=recorder, clock=outside.clock, entropy=outside.entropy)
    return Asking(
        provider=Provider(settings=settings, channel=channel, clock=outside.clock),
        channel=channel,
        recorder=recorder,
        outside=outside,
        over_network=outside.transport is None,
    )


def gather_published(asks: Asking) -> Published:
    """Fetch metadata and keys, after a look at whether their servers can be reached."""
    settings = asks.provider.settings
    by_hand = all(name in settings.metadata for name in settings.required_endpoints)
    url = "" if by_hand else discovery_call(settings.issuer).url
    contacts = _contacts(asks, [url])
    nothing = Published(settings=settings, contacts=contacts)
    if not nothing.is_reached(url):
        return nothing
    try:
        metadata = asks.provider.metadata()
    except GatewayError as error:
        discovery = asks.recorder.last(url)
        return Published(settings=settings, contacts=contacts, discovery=discovery, problem=error.detail)
    contacts = {**contacts, **_contacts(asks, _endpoints(metadata), known=contacts)}
    discovery = asks.recorder.last(url)
    return Published(
        settings=settings,
        contacts=contacts,
        discovery=discovery,
        metadata=metadata,
        members={**_members(discovery), **settings.metadata},
        jwks=_jwks(asks, metadata, Published(settings=settings, contacts=contacts)),
    )


def _jwks(asks: Asking, metadata: ProviderMetadata, reached: Published) -> Exchange | None:
    uri = metadata.jwks_uri
    if uri is None or not reached.is_reached(uri):
        return None
    try:
        asks.provider.check()
    except GatewayError:
        return asks.recorder.last(uri)
    return asks.recorder.last(uri)


def _contacts(asks: Asking, urls: list[str], known: Mapping[str, Contact] | None = None) -> dict[str, Contact]:
    if not asks.over_network:
        return {}
    verify = asks.provider.settings.verify_tls
    contacts: dict[str, Contact] = {}
    for url in urls:
        origin = origin_of(url)
        if origin and origin not in {**(known or {}), **contacts}:
            contacts[origin] = reached(url, verify)
    return contacts


def reached(url: str, verify: bool | str) -> Contact:  # noqa: FBT001 - as the key has it.
    """Reach for a server of the provider, held against the authorities that `requests` comes with, or those named."""

    def make() -> ssl.SSLContext:
        return tls_context(verify_tls=DEFAULT_CA_BUNDLE_PATH if verify is True else verify)

    return reach(address_of(url), make if url.startswith("https:") else None)


def _endpoints(metadata: ProviderMetadata) -> list[str]:
    asked = (
        metadata.token_endpoint,
        metadata.jwks_uri,
        metadata.userinfo_endpoint,
        metadata.pushed_authorization_request_endpoint,
        metadata.introspection_endpoint,
    )
    return [url for url in asked if url is not None]


def _members(exchange: Exchange | None) -> dict[str, object]:
    if exchange is None or exchange.reply is None:
        return {}
    try:
        return json_object(exchange.reply)
    except GatewayError:
        return {}
