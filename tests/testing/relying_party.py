"""A relying party made of the protocol functions of the gateway, and the provider that it talks to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from werkzeug.wrappers import Response

from gateway.oidc.authorization import (
    Transaction,
    authorization_url,
    check_authorization_response,
    new_transaction,
)
from gateway.oidc.id_token import Expected, IDToken, check_id_token, check_refreshed_id_token
from gateway.oidc.jose import parse_signed, process_jwks
from gateway.oidc.logout import end_session_url
from gateway.oidc.messages import Call, Reply, json_call
from gateway.oidc.metadata import Client, ProviderMetadata, discovery_call, process_discovery
from gateway.oidc.token_endpoint import (
    TokenSet,
    code_grant,
    process_token_reply,
    process_userinfo,
    refresh_grant,
    revocation_call,
    userinfo_call,
)
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


HOSTILE_SECRET = "a secret %&+:/;=?#\"'<>\\~ of thirty-two bytes and more"


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

    def begin(self, **extra: str) -> tuple[Transaction, str]:
        transaction = new_transaction(
            issuer=self.provider.issuer, return_to="/", now=self.now, entropy=secrets.token_bytes
        )
        return transaction, authorization_url(self.metadata, self.client, transaction, extra)

    def authorize(self) -> tuple[Transaction, dict[str, str]]:
        transaction, url = self.begin()
        return transaction, parameters_of(self.browser.navigate(url, follow=False))

    def redeem(self, transaction: Transaction, parameters: dict[str, str]) -> TokenSet:
        response = check_authorization_response(parameters, transaction, self.metadata)
        return self.tokens_of(code_grant(self.metadata, self.client, response))

    def tokens_of(self, call: Call) -> TokenSet:
        return process_token_reply(self.provider.transport(call), requested_scope=self.client.scope, now=self.now)

    def check(self, tokens: TokenSet, transaction: Transaction) -> IDToken:
        token = parse_signed(tokens.id_token or "", self.client.id_token_algorithms)
        return check_id_token(token, self.keys(), self.expected(tokens), nonce=transaction.nonce, max_age=None)

    def check_refreshed(self, tokens: TokenSet, login: IDToken) -> IDToken:
        token = parse_signed(tokens.id_token or "", self.client.id_token_algorithms)
        return check_refreshed_id_token(token, self.keys(), self.expected(tokens), login=login.claims)

    def keys(self) -> Any:
        return process_jwks(self.provider.transport(json_call(self.metadata.jwks_uri)))

    def expected(self, tokens: TokenSet) -> Expected:
        return Expected(issuer=self.provider.issuer, client=self.client, now=self.now, access_token=tokens.access_token)

    def userinfo(self, tokens: TokenSet, subject: str) -> dict[str, object]:
        reply = self.provider.transport(userinfo_call(self.metadata.userinfo_endpoint or "", tokens))
        return process_userinfo(reply, subject)

    def refresh(self, refresh_token: str | None) -> TokenSet:
        return self.tokens_of(refresh_grant(self.metadata, self.client, refresh_token or ""))

    def revoke(self, token: str) -> Reply:
        url = self.metadata.revocation_endpoint or ""
        return self.provider.transport(revocation_call(url, self.client, token, "refresh_token"))

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
        id_token_algorithms=(settings.get("id_token_alg", "RS256"),),
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
