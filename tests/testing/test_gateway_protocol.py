"""The gateway's own protocol functions come through at the fake provider, in every way that both of them know."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway.oidc.authorization_request import (
    Asked,
    Via,
    authorization_parameters,
    authorization_url,
    by_reference,
    process_pushed_reply,
    pushed_call,
    signed_request,
)
from gateway.oidc.authorization_response import AuthorizationResponse, check_authorization_response, read_response
from gateway.oidc.client import Client, Protection, SenderConstraint
from gateway.oidc.id_token import Expected, IDToken, check_front_channel_id_token, check_id_token
from gateway.oidc.jose import KeySet, SignedToken, process_encryption_jwks, process_jwks
from gateway.oidc.keys import OwnKey
from gateway.oidc.messages import Moment, json_call
from gateway.oidc.metadata import ProviderMetadata, discovery_call, process_discovery
from gateway.oidc.protected import open_signed
from gateway.oidc.token_endpoint import code_grant, process_token_reply
from gateway.oidc.transaction import new_transaction
from gateway.oidc.userinfo import check_signed_userinfo, check_subject, read_userinfo, userinfo_call
from testing.full_client import CALLBACK, CLIENT_ID, ISSUER, NOW, SECRET, FullClient, answer, full_client, own_key

MOMENT = Moment(now=NOW, entropy=secrets.token_bytes)
METHODS = (
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
    "self_signed_tls_client_auth", "none",
)  # fmt: skip
MODES = (
    (None, "code"), ("form_post", "code"), ("jwt", "code"), ("query.jwt", "code"), ("form_post.jwt", "code"),
    ("form_post", "code id_token"), ("form_post.jwt", "code id_token"),
)  # fmt: skip


@dataclass
class Login:
    """One login of the gateway's client at the provider."""

    party: FullClient
    client: Client
    via: Via

    @property
    def metadata(self) -> ProviderMetadata:
        metadata = process_discovery(self.party.send(discovery_call(ISSUER)), ISSUER, {})
        return metadata.with_certificate() if self.client.has_certificate else metadata

    @property
    def keys(self) -> KeySet:
        return process_jwks(self.party.send(json_call(self.metadata.jwks_uri or "")))

    def url(self, transaction: Any) -> str:
        metadata, client = self.metadata, self.client
        asked = Asked(claims='{"id_token":{"email":null}}', authorization_details='[{"type":"account"}]')
        parameters = authorization_parameters(client, transaction, asked, {})
        if self.via.signed:
            keys = process_encryption_jwks(self.party.send(json_call(metadata.jwks_uri or "")))
            parameters = signed_request(metadata, client, parameters, MOMENT, keys)
        if self.via.pushed:
            reply = self.party.send(pushed_call(metadata, client, parameters, MOMENT))
            parameters = by_reference(client, process_pushed_reply(reply))
        return authorization_url(metadata, parameters)

    def run(self) -> IDToken:
        transaction = new_transaction(provider="op", issuer=ISSUER, return_to="/", moment=MOMENT)
        page = self.party.browser.navigate(self.url(transaction), follow=False)
        response = check_authorization_response(
            read_response(answer(page), self.client, posted=page.status == 200),
            transaction,
            metadata=self.metadata,
            client=self.client,
            keys=self.keys,
            now=NOW,
        )
        return self.redeem(response)

    def redeem(self, response: AuthorizationResponse) -> IDToken:
        client, keys = self.client, self.keys
        earlier = None
        if response.id_token is not None:
            token = open_signed(response.id_token, client.id_token, client)
            earlier = check_front_channel_id_token(token, keys, self.expected(""), response)
        reply = self.party.send(code_grant(self.metadata, client, response, MOMENT))
        tokens = process_token_reply(reply, client=client, requested_scope=client.scope, now=NOW)
        token = open_signed(tokens.id_token or "", client.id_token, client)
        expected = self.expected(tokens.access_token)
        login = check_id_token(token, keys, expected, response.transaction, earlier=earlier)
        answered = self.party.send(userinfo_call(self.metadata.userinfo_endpoint or "", client, tokens))
        members = read_userinfo(answered, client)
        if isinstance(members, SignedToken):
            members = check_signed_userinfo(members, keys, self.metadata, client, NOW)
        check_subject(members, login.subject)
        return login

    def expected(self, access_token: str) -> Expected:
        return Expected(issuer=ISSUER, client=self.client, now=NOW, access_token=access_token)


def login(method: str, via: Via, mode: str | None, response_type: str, **protections: Any) -> Login:
    has_certificate = "tls" in method
    party = full_client(
        method,
        client_request_object_signing_alg="ES256" if via.signed else "",
        client_tls_client_certificate_bound_access_tokens=has_certificate,
        require_pushed_authorization_requests=via.pushed,
        require_signed_request_object=via.signed,
        mtls_aliases=has_certificate,
    )
    client = Client(
        client_id=CLIENT_ID,
        client_secret=SECRET if method.startswith("client_secret") else "",
        token_endpoint_auth_method=method,
        signing_keys=(own("P-256", "sig", "ES256"),),
        has_certificate=has_certificate,
        sender_constraint=SenderConstraint.MTLS if has_certificate else SenderConstraint.NONE,
        redirect_uri=CALLBACK,
        post_logout_redirect_uri="https://app.example/",
        scope="openid email",
        response_type=response_type,
        response_mode=mode,
        resource=("https://api.example/", "https://other.example/"),
        id_token=Protection(algorithms=("ES256",)),
        authorization_response=Protection(algorithms=("ES256",)) if "jwt" in (mode or "") else None,
    )
    return Login(party=party, client=client, via=via)


def own(kind: str, use: str, algorithm: str) -> OwnKey:
    key = own_key(kind, use)
    return OwnKey(kid=str(key.kid), use=use, algorithm=algorithm, key=key)


EVERY_WAY = [
    pytest.param(method, via, mode, response_type, id=f"{method}-{via.value}-{mode}-{response_type}")
    for method, via, (mode, response_type) in itertools.product(METHODS, Via, MODES)
]


@pytest.mark.parametrize(("method", "via", "mode", "response_type"), EVERY_WAY)
def test_a_login_comes_through(method: str, via: Via, mode: str | None, response_type: str) -> None:
    begun = login(method, via, mode, response_type)
    assert begun.run().claims["email"] == "alice@op.example"
    provider = begun.party.provider
    assert (provider.unknown_paths, provider.warnings) == ([], [])
    assert provider.requests[0]["resource"] == "https://api.example/ https://other.example/"
    assert provider.calls["par"] == int(via.pushed)


ENCRYPTIONS = [
    ("RSA-OAEP", "A256GCM"), ("RSA-OAEP-256", "A128CBC-HS256"), ("ECDH-ES", "A128GCM"),
    ("ECDH-ES+A128KW", "A256CBC-HS512"), ("ECDH-ES+A256KW", "A128CBC-HS256"),
]  # fmt: skip


@pytest.mark.parametrize(("alg", "enc"), ENCRYPTIONS)
def test_a_login_comes_through_with_everything_encrypted(alg: str, enc: str) -> None:
    begun = login("private_key_jwt", Via.SIGNED_PUSHED, "form_post.jwt", "code id_token")
    for name in ("id_token", "userinfo", "authorization"):
        begun.party.register(**{f"{name}_encrypted_response_alg": alg, f"{name}_encrypted_response_enc": enc})
    begun.party.register(userinfo_signed_response_alg="ES256")
    begun.party.provider.request_object_encryption = ("RSA-OAEP-256", "ECDH-ES")
    protection = Protection(algorithms=("ES256",), encryption=(alg, enc))
    begun.client = replace(
        begun.client,
        decryption_keys=(own("RSA" if alg.startswith("RSA") else "P-256", "enc", alg),),
        id_token=protection,
        userinfo=protection,
        authorization_response=protection,
        request_object_encryption=(alg, enc),
    )
    assert begun.run().subject == "subject of alice"
