"""A relying party made of the gateway's protocol functions, and a user who signs in to it in a browser."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from playwright.sync_api import Page

from gateway.oidc.authorization_request import Asked, authorization_parameters, authorization_url
from gateway.oidc.authorization_response import AuthorizationResponse, check_authorization_response, read_response
from gateway.oidc.client import Client
from gateway.oidc.id_token import Expected, IDToken, check_id_token, check_refreshed_id_token
from gateway.oidc.jose import KeySet, parse_signed, process_jwks
from gateway.oidc.logout import end_session_url
from gateway.oidc.messages import Call, Moment, Reply, json_call, single_parameters
from gateway.oidc.metadata import ProviderMetadata, discovery_call, process_discovery
from gateway.oidc.token_endpoint import TokenSet, code_grant, process_token_reply, refresh_grant, revocation_call
from gateway.oidc.transaction import Transaction, new_transaction
from gateway.oidc.userinfo import check_subject, read_userinfo, userinfo_call

from .listener import Listener
from .node_provider import NodeProvider

HTTP_SECONDS = 10.0
PASSWORD = "correct horse"
CLAIMS = {"email": "alice@example.com", "email_verified": True, "groups": ["staff", "café"]}
ACCOUNTS = {"alice": {"password": PASSWORD, "claims": CLAIMS}}
SCOPE = "openid email groups"

CLIENTS = {
    "basic": {"client_secret": "Password1 %&+:/;=?#~", "token_endpoint_auth_method": "client_secret_basic"},
    "post": {"client_secret": "Password1 %&+:/;=?#~", "token_endpoint_auth_method": "client_secret_post"},
    "public": {"token_endpoint_auth_method": "none"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RelyingParty:
    """A client of the provider, made of the gateway's protocol functions and one pool of connections."""

    client: Client
    metadata: ProviderMetadata
    keys: KeySet
    pool: requests.Session

    def send(self, call: Call) -> Reply:
        return send(self.pool, call)

    def login_url(self, transaction: Transaction) -> str:
        parameters = authorization_parameters(self.client, transaction, Asked(), {})
        return authorization_url(self.metadata, parameters)

    def response(self, url: str, transaction: Transaction) -> AuthorizationResponse:
        """Check what came back with the address that the browser was sent to."""
        received = read_response(query_of(url), self.client, posted=False)
        return check_authorization_response(
            received, transaction, metadata=self.metadata, client=self.client, keys=self.keys, now=int(time.time())
        )

    def redeem(self, response: AuthorizationResponse) -> TokenSet:
        return self.tokens(code_grant(self.metadata, self.client, response, moment()))

    def refresh(self, refresh_token: str) -> TokenSet:
        return self.tokens(refresh_grant(self.metadata, self.client, refresh_token, moment()))

    def tokens(self, call: Call) -> TokenSet:
        reply = self.send(call)
        return process_token_reply(reply, client=self.client, requested_scope=self.client.scope, now=int(time.time()))

    def expected(self, tokens: TokenSet) -> Expected:
        return Expected(
            issuer=self.metadata.issuer, client=self.client, now=int(time.time()), access_token=tokens.access_token
        )

    def id_token(self, tokens: TokenSet, transaction: Transaction) -> IDToken:
        token = parse_signed(tokens.id_token or "", self.client.id_token.algorithms)
        return check_id_token(token, self.keys, self.expected(tokens), transaction)

    def refreshed_id_token(self, tokens: TokenSet, login: IDToken) -> IDToken:
        token = parse_signed(tokens.id_token or "", self.client.id_token.algorithms)
        return check_refreshed_id_token(token, self.keys, self.expected(tokens), login=login.claims)

    def userinfo(self, tokens: TokenSet, subject: str) -> Mapping[str, object]:
        assert self.metadata.userinfo_endpoint is not None
        reply = self.send(userinfo_call(self.metadata.userinfo_endpoint, self.client, tokens))
        members = read_userinfo(reply, self.client)
        assert isinstance(members, dict)
        return check_subject(members, subject)

    def revoke(self, refresh_token: str) -> Reply:
        endpoint = self.metadata.revocation_endpoint
        assert endpoint is not None
        return self.send(
            revocation_call(endpoint, self.metadata, self.client, refresh_token, "refresh_token", moment())
        )

    def logout_url(self, id_token: IDToken, state: str) -> str:
        assert self.metadata.end_session_endpoint is not None
        return end_session_url(self.metadata.end_session_endpoint, self.client, id_token=id_token.raw, state=state)


def send(pool: requests.Session, call: Call) -> Reply:
    answer = pool.request(
        call.method,
        call.url,
        headers=dict(call.headers),
        data=call.body,
        allow_redirects=False,
        timeout=HTTP_SECONDS,
    )
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(status=answer.status_code, headers=headers, body=answer.content)


def registrations(listener: Listener) -> list[dict[str, object]]:
    common = {
        "redirect_uris": [f"{listener.origin}/callback"],
        "post_logout_redirect_uris": [f"{listener.origin}/signed-out"],
        "backchannel_logout_uri": f"{listener.origin}/backchannel-logout",
        "backchannel_logout_session_required": True,
        "grant_types": ["authorization_code", "refresh_token"],
    }
    return [{**common, "client_id": client_id, **members} for client_id, members in CLIENTS.items()]


def make_relying_party(
    client_id: str, provider: NodeProvider, listener: Listener, pool: requests.Session
) -> RelyingParty:
    metadata = process_discovery(send(pool, discovery_call(provider.issuer)), provider.issuer, {})
    client = Client(
        client_id=client_id,
        client_secret=CLIENTS[client_id].get("client_secret", ""),
        token_endpoint_auth_method=CLIENTS[client_id]["token_endpoint_auth_method"],
        redirect_uri=f"{listener.origin}/callback",
        post_logout_redirect_uri=f"{listener.origin}/signed-out",
        scope=SCOPE,
    )
    assert metadata.jwks_uri is not None
    keys = process_jwks(send(pool, json_call(metadata.jwks_uri)))
    return RelyingParty(client=client, metadata=metadata, keys=keys, pool=pool)


def moment() -> Moment:
    return Moment(now=int(time.time()), entropy=secrets.token_bytes)


def begin(party: RelyingParty) -> Transaction:
    return new_transaction(provider="node", issuer=party.metadata.issuer, return_to="/", moment=moment())


def fill_login_form(page: Page, party: RelyingParty, transaction: Transaction, password: str = PASSWORD) -> None:
    page.goto(party.login_url(transaction))
    page.get_by_label("Login").fill("alice")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def sign_in(page: Page, party: RelyingParty) -> AuthorizationResponse:
    transaction = begin(party)
    fill_login_form(page, party, transaction)
    page.wait_for_url(f"{party.client.redirect_uri}?*")
    return party.response(page.url, transaction)


def query_of(url: str) -> dict[str, str]:
    return single_parameters(urlsplit(url).query.encode("ascii"))
