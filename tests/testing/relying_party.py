"""A relying party made of the protocol functions of the gateway, and the provider that it talks to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from werkzeug.wrappers import Response

from gateway.oidc.authorization_request import Asked, authorization_parameters, authorization_url
from gateway.oidc.authorization_response import check_authorization_response, read_response
from gateway.oidc.client import Client, Protection
from gateway.oidc.id_token import Expected, IDToken, check_id_token, check_refreshed_id_token
from gateway.oidc.jose import parse_signed, process_jwks
from gateway.oidc.logout import end_session_url
from gateway.oidc.messages import Call, Moment, Reply, json_call
from gateway.oidc.metadata import ProviderMetadata, discovery_call, process_discovery
from gateway.oidc.token_endpoint import TokenSet, code_grant, process_token_reply, refresh_grant, revocation_call
from gateway.oidc.transaction import Transaction, new_transaction
from gateway.oidc.userinfo import check_subject, read_userinfo, userinfo_call
from gateway.testing import (
    Browser,
    FakeClient,
    FakeProvider,
    Page,
)

ISSUER = "https://op.example/tenant-one"


REDIRECT_URI = "https://app.example/oauth2/callback"


SIGNED_OUT = "https://app.example/"


HOSTILE_ID = "app %&+:/;=?#\"'<>\\~"


HOSTILE_SECRET = "a secret %&+:/;=?#\"'<>\\~ of sixty-four bytes and more, as HS512 demands it"


NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class RelyingParty:
    """The gateway's own protocol functions, one after the other, against the provider in process."""

    provider: FakeProvider
    client: Client
    browser: Browser

    @property
    def metadata(self) -> ProviderMetadata:
        reply = self.provider.transport(discovery_call(self.provider.issuer))
        return process_discovery(reply, self.provider.issuer, {})

    @property
    def now(self) -> int:
        return int(self.provider.clock())

    @property
    def moment(self) -> Moment:
        return Moment(now=self.now, entropy=secrets.token_bytes)

    def begin(self, **extra: str) -> tuple[Transaction, str]:
        transaction = new_transaction(provider="op", issuer=self.provider.issuer, return_to="/", moment=self.moment)
        return transaction, self.url_of(transaction, **extra)

    def url_of(self, transaction: Transaction, **extra: str) -> str:
        asked = Asked(parameters=extra)
        url = authorization_url(self.metadata, authorization_parameters(self.client, transaction, asked, {}))
        return changed(url, dict(extra))

    def authorize(self) -> tuple[Transaction, dict[str, str]]:
        transaction, url = self.begin()
        return transaction, parameters_of(self.browser.navigate(url, follow=False))

    def redeem(self, transaction: Transaction, parameters: dict[str, str]) -> TokenSet:
        return self.tokens_of(self.code_call(transaction, parameters))

    def code_call(self, transaction: Transaction, parameters: dict[str, str]) -> Call:
        received = read_response(parameters, self.client, posted=False)
        response = check_authorization_response(
            received, transaction, metadata=self.metadata, client=self.client, keys=(), now=self.now
        )
        return code_grant(self.metadata, self.client, response, self.moment)

    def tokens_of(self, call: Call) -> TokenSet:
        reply = self.provider.transport(call)
        return process_token_reply(reply, client=self.client, requested_scope=self.client.scope, now=self.now)

    def check(self, tokens: TokenSet, transaction: Transaction, keys: Any = None) -> IDToken:
        token = parse_signed(tokens.id_token or "", self.client.id_token.algorithms)
        return check_id_token(token, self.keys() if keys is None else keys, self.expected(tokens), transaction)

    def check_refreshed(self, tokens: TokenSet, login: IDToken) -> IDToken:
        token = parse_signed(tokens.id_token or "", self.client.id_token.algorithms)
        return check_refreshed_id_token(token, self.keys(), self.expected(tokens), login=login.claims)

    def keys(self) -> Any:
        return process_jwks(self.provider.transport(json_call(self.metadata.jwks_uri or "")))

    def expected(self, tokens: TokenSet) -> Expected:
        return Expected(issuer=self.provider.issuer, client=self.client, now=self.now, access_token=tokens.access_token)

    def userinfo(self, tokens: TokenSet, subject: str) -> dict[str, object]:
        call = userinfo_call(self.metadata.userinfo_endpoint or "", self.client, tokens)
        members = read_userinfo(self.provider.transport(call), self.client)
        assert isinstance(members, dict)
        return dict(check_subject(members, subject))

    def refresh(self, refresh_token: str | None) -> TokenSet:
        return self.tokens_of(self.refresh_call(refresh_token))

    def refresh_call(self, refresh_token: str | None) -> Call:
        return refresh_grant(self.metadata, self.client, refresh_token or "", self.moment)

    def revoke(self, token: str, hint: str = "refresh_token") -> Reply:
        metadata = self.metadata
        url = metadata.revocation_endpoint or ""
        return self.provider.transport(revocation_call(url, metadata, self.client, token, hint, self.moment))

    def login(self) -> tuple[TokenSet, IDToken]:
        transaction, parameters = self.authorize()
        tokens = self.redeem(transaction, parameters)
        return tokens, self.check(tokens, transaction)

    def end_session_url(self, tokens: TokenSet, state: str = "s") -> str:
        endpoint = self.metadata.end_session_endpoint or ""
        return end_session_url(endpoint, self.client, id_token=tokens.id_token, state=state)


def relying_party(*, method: Any = "client_secret_basic", issuer: str = ISSUER, **settings: Any) -> RelyingParty:
    client = Client(
        client_id=HOSTILE_ID,
        client_secret="" if method == "none" else HOSTILE_SECRET,
        token_endpoint_auth_method=method,
        redirect_uri=REDIRECT_URI,
        post_logout_redirect_uri=SIGNED_OUT,
        scope="openid email",
        id_token=Protection(algorithms=(settings.get("id_token_alg", "RS256"),)),
    )
    registered = FakeClient(
        client_id=client.client_id,
        client_secret=client.client_secret,
        redirect_uris=[REDIRECT_URI],
        post_logout_redirect_uris=[SIGNED_OUT],
        token_endpoint_auth_method=method,
    )
    users: dict[str, dict[str, object]] = {
        "alice": {"sub": "subject of alice", "email": "alice@op.example", "phone_number": "1", "groups": ["staff"]},
        "bob": {"name": "<b>Bob</b>"},
    }
    settings = {"clock": Clock(), "sign_in_as": "alice", **settings}
    provider = FakeProvider(issuer=issuer, clients=[registered], users=users, **settings)
    browser = Browser({"https://op.example": provider, "https://app.example": Response("app")}, clock=provider.clock)
    return RelyingParty(provider=provider, client=client, browser=browser)


def parameters_of(page: Page) -> dict[str, str]:
    assert page.status == 303, page.text
    return dict(parse_qsl(urlsplit(page.headers["Location"]).query, keep_blank_values=True))


def changed(url: str, change: dict[str, str | None]) -> str:
    base, _, query = url.partition("?")
    parameters = {**dict(parse_qsl(query)), **change}
    return f"{base}?{urlencode({name: value for name, value in parameters.items() if value is not None})}"


def without(members: dict[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in members.items() if key != name}
