"""Signed-in users for tests, without a login: a session of the gateway's own store, or an environ alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

from werkzeug.test import Client

from gateway.app import Gateway
from gateway.inner import SESSION_KEY
from gateway.oidc.messages import base64url
from gateway.session import Session
from gateway.testing.browser import Browser

LIFETIME = 43200
"""In seconds; a gateway may be configured to end sessions earlier."""

AnyClient = TypeVar("AnyClient", Browser, Client)


def make_session(
    *, sub: str = "alice", groups: Sequence[str] = (), claims: Mapping[str, object] | None = None
) -> Session:
    """Make the session of a user, such as an app finds in `environ["gateway.session"]`; it is in no store.

    `claims` are laid over `sub` and `groups`. Its access token says nothing to anybody.
    """
    return _session(_claims(sub, groups, claims), int(time.time()))


def session_environ(
    *, sub: str = "alice", groups: Sequence[str] = (), claims: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Make the keys of an environ by which a wrapped app knows its user, to test it without a gateway around it.

    For werkzeug and Flask: `client.get("/", environ_overrides=session_environ())`; for Django:
    `Client(**session_environ())`.
    """
    session = make_session(sub=sub, groups=groups, claims=claims)
    return {SESSION_KEY: session, "REMOTE_USER": session.subject, "AUTH_TYPE": "OpenIDConnect"}


def signed_in(
    client: AnyClient,
    *,
    sub: str = "alice",
    groups: Sequence[str] = (),
    claims: Mapping[str, object] | None = None,
    gateway: Gateway | None = None,
) -> AnyClient:
    """Give a client of an app the cookie of a new session in its gateway's store, and return the client.

    `client` is a `Browser`, or werkzeug's test client or Flask's, which then has the cookie at its own address,
    http://localhost/, and at `public_url`. `claims` are laid over `sub` and `groups`. `gateway` is the one that the
    client asks; unless it is given, it is found where the client has it: as the app, or as the app's `wsgi_app`. No
    provider is asked. With several providers, the first has signed the user in.

    Raises `LookupError` where no gateway is found, and `StoreUnavailable`.
    """
    asked = gateway or _gateway_of(client)
    value = base64url(_handle(asked, _claims(sub, groups, claims)))
    name, url = asked.settings.cookies.session, asked.settings.public_url
    if isinstance(client, Browser):
        client.cookies.set(url, name, value)
        return client
    for host in dict.fromkeys(("localhost", urlsplit(url).hostname or "localhost")):
        client.set_cookie(name, value, domain=host, secure=asked.settings.cookies.secure, httponly=True)
    return client


def _gateway_of(client: Browser | Client) -> Gateway:
    apps = list(client.apps.values()) if isinstance(client, Browser) else [client.application]
    for app in (*apps, *(getattr(app, "wsgi_app", None) for app in apps)):
        if isinstance(app, Gateway):
            return app
    raise LookupError("the client's app is no gateway, and none is its wsgi_app: name it by gateway=")


def _handle(gateway: Gateway, claims: Mapping[str, object]) -> bytes:
    name, provider = next(iter(gateway.providers.items()))
    issuer, client, now = provider.settings.issuer, provider.settings.client, gateway.now()
    session = replace(
        _session({"iss": issuer, "aud": client.client_id, "auth_time": now, **claims}, now),
        provider=name,
        issuer=issuer,
        client_id=client.client_id,
        scope=client.scope,
    )
    return gateway.store.create(lambda session_id: replace(session, id=session_id), began_at=now).handle


def _claims(sub: str, groups: Sequence[str], claims: Mapping[str, object] | None) -> dict[str, object]:
    return {"sub": sub, **({"groups": list(groups)} if groups else {}), **(claims or {})}


def _session(claims: Mapping[str, object], now: int) -> Session:
    return Session(
        id="test",
        provider="default",
        issuer="https://op.example",
        client_id="app",
        subject=str(claims["sub"]),
        claims=claims,
        scope="openid",
        access_token=f"an access token of {claims['sub']}",
        token_scheme="Bearer",
        dpop_key=None,
        access_issued_at=now,
        access_expires_at=None,
        refresh_token=None,
        id_token=None,
        created_at=now,
        seen_at=now,
        ends_at=now + LIFETIME,
    )
