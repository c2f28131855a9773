"""Whole gateways in process, each made once, and what holds for every answer of theirs."""

import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from harness import (
    ALICE,
    BOB,
    CALLBACK,
    CLIENT_SECRET,
    ISSUER,
    ORIGIN,
    SESSION_COOKIE,
    SIGNED_OUT,
    Clock,
    base_config,
    merged,
    recording_app,
)
from peers.listener import Received

from gateway import Gateway
from gateway.assembly import Outside
from gateway.testing import Browser, FakeClient, FakeProvider
from gateway.testing.wsgi import Exchange, exchange

Kind = Literal["query", "form_post", "query.jwt", "proxied"]

CONFIGS: Final[Mapping[Kind, Mapping[str, object]]] = {
    "query": {"routes": [{"path": "/**", "identity_headers": True}]},
    "form_post": {"provider": {"authorization": {"response_mode": "form_post"}}},
    "query.jwt": {"provider": {"authorization": {"response_mode": "query.jwt"}}},
    "proxied": {
        "trusted_proxies": ["127.0.0.1"],
        "forward_auth": {"enabled": True},
        "routes": [
            {"path": "/admin/**", "require": {"claims": {"groups": ["nobody"]}}},
            {"path": "/api/**", "methods": ["GET"], "login": "never"},
            {"path": "/gone/**", "access": "deny"},
        ],
    },
}
LOG_LINE_LENGTH: Final = 20_000


class Sink(logging.Handler):
    """Takes what the gateway logs, and holds that each record is one line; an unforeseen error comes out again."""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        assert line.isprintable(), f"a log line that is none: {line!r:.500}"
        assert len(line) < LOG_LINE_LENGTH
        if record.exc_info and record.exc_info[1] is not None:
            raise AssertionError(line) from record.exc_info[1]


@dataclass(kw_only=True, eq=False)
class Site:
    """A gateway with its provider; `received` is what reached the protected app."""

    gateway: Gateway
    provider: FakeProvider
    clock: Clock
    received: list[Received] = field(default_factory=list)

    def browser(self) -> Browser:
        """Open a browser without cookies."""
        return Browser({ORIGIN: self.gateway, ISSUER: self.provider}, clock=self.clock)

    def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        fields: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        connection: Mapping[str, str] | None = None,
    ) -> Exchange:
        """Send a request whose raw target and fields are as a server would pass them on, and hold what always holds."""
        path, _, query = target.partition("?")
        raw = {
            "RAW_URI": target,
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1"),
            "QUERY_STRING": query,
        }
        headers = [(name, as_received(value)) for name, value in fields]
        answer = exchange(
            self.gateway,
            method=method,
            url=ORIGIN,
            headers=headers,
            body=body,
            connection={**raw, **(connection or {})},
        )
        check_answer(answer)
        return answer


def as_received(text: str) -> str:
    """Write a field value as a WSGI server passes it on: latin-1, without what no server lets through."""
    latin = text.encode("latin-1", "replace").decode("latin-1")
    return latin.translate({0: None, 10: None, 13: None})


def check_answer(answer: Exchange) -> None:
    """Hold that an answer is none of a failure that nobody foresaw, and that its fields are fields."""
    assert answer.status < 500 or answer.status == 503, answer
    for name, value in answer.headers:
        assert value.isascii() or name not in ("Location", "Set-Cookie"), (name, value)
        assert all(" " <= character <= "\xff" and character != "\x7f" for character in value), (name, value)


def code_of(answer: Exchange) -> str:
    """Read the code of an answer in JSON."""
    return str(json.loads(answer.body)["error"])


def sets_session(answer: Exchange) -> bool:
    """Tell whether an answer gives a session to the browser."""
    lines = [line.split(";")[0].partition("=") for line in answer.headers.getlist("Set-Cookie")]
    return any(name == SESSION_COOKIE and value for name, _, value in lines)


@cache
def site(kind: Kind) -> Site:
    """Return the gateway of a kind, with alice signing in at its provider without being asked."""
    return new_site(kind)


def new_site(kind: Kind, change: Callable[[FakeProvider], None] | None = None) -> Site:
    """Make a gateway; `change` may alter its provider before anybody has asked it."""
    silence()
    clock = Clock()
    signed = "ES256" if kind == "query.jwt" else ""
    client = FakeClient(
        client_id="app %&+",
        client_secret=CLIENT_SECRET,
        redirect_uris=[CALLBACK],
        post_logout_redirect_uris=[SIGNED_OUT],
        authorization_signed_response_alg=signed,
    )
    users = {"alice": ALICE, "bob": BOB}
    provider = FakeProvider(
        issuer=ISSUER, clients=[client], users=users, clock=clock, sign_in_as="alice", id_token_alg="ES256"
    )
    if change is not None:
        change(provider)
    entropy = random.Random("the gateway's own").randbytes
    outside = Outside(transport=provider.transport, clock=clock, entropy=entropy, sleep=clock.advance)
    received: list[Received] = []
    document = merged(base_config({"type": "memory"}), CONFIGS[kind])
    gateway = Gateway.from_config(document, outside=outside)(recording_app(received))
    return Site(gateway=gateway, provider=provider, clock=clock, received=received)


def silence() -> None:
    """Send the gateway's log into the sink, and nowhere else."""
    log = logging.getLogger("gateway")
    if not any(isinstance(handler, Sink) for handler in log.handlers):
        log.addHandler(Sink())
    log.propagate = False
