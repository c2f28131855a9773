"""A client of the fake provider that sends exactly what a test says, by none of the gateway's own functions."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

from werkzeug.wrappers import Response

from gateway.oidc.messages import Call, Reply, s256
from gateway.testing import Browser, FakeClient, FakeProvider
from gateway.testing.jwk import new_private_key, public_jwk, thumbprint
from gateway.testing.jws import sign

ISSUER = "https://op.example/tenant-one"
CALLBACK = "https://app.example/oauth2/callback"
CLIENT_ID = "app %&+:/;=?#\"'<>\\~"
SECRET = "a secret %&+:/;=?#\"'<>\\~ of thirty-two bytes and more"
NOW = 1_800_000_000
VERIFIER = "v" * 43
KINDS = {"ES256": "P-256", "PS256": "RSA", "RS256": "RSA", "EdDSA": "Ed25519"}


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class ProofKey:
    """A key and its proofs; `nonce` goes into every proof when it is set."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.private_key = new_private_key(KINDS[algorithm])
        self.jwk = public_jwk(self.private_key)
        self.jkt = thumbprint(self.jwk)

    def proof(
        self, url: str, *, method: str = "POST", header: Mapping[str, object] | None = None, **claims: object
    ) -> str:
        """Make a proof that is honest but for the header and claims given; None leaves one out."""
        honest = {"jti": secrets.token_hex(8), "htm": method, "htu": url, "iat": NOW}
        made = {"typ": "dpop+jwt", "alg": self.algorithm, "jwk": self.jwk, **(header or {})}
        return sign(_given(made), _given({**honest, **claims}), self.private_key, self.algorithm)


@dataclass
class RawClient:
    """A provider, and a client that it knows."""

    provider: FakeProvider
    client: FakeClient
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        self.browser = Browser({"https://op.example": self.provider, "https://app.example": Response("app")})

    def authorization_request(self) -> dict[str, str]:
        return {
            "response_type": "code", "client_id": self.client.client_id, "redirect_uri": CALLBACK, "nonce": "n",
            "scope": "openid email", "state": "s", "code_challenge": s256(VERIFIER), "code_challenge_method": "S256",
        }  # fmt: skip

    def code(self, **extra: str) -> str:
        """Sign alice in and take the code."""
        return self.code_of({**self.authorization_request(), **extra})

    def code_of(self, parameters: Mapping[str, str]) -> str:
        """Take the code that these parameters get at the authorization endpoint."""
        page = self.browser.get(f"{ISSUER}/authorize?{urlencode(parameters)}", follow=False)
        return dict(parse_qsl(urlsplit(page.headers["Location"]).query))["code"]

    def redeem(self, code: str, proof: str | None = None) -> Reply:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.post("/token", form, proof=proof)

    def refresh(self, refresh_token: str, proof: str | None = None) -> Reply:
        return self.post("/token", {"grant_type": "refresh_token", "refresh_token": refresh_token}, proof=proof)

    def login(self, key: ProofKey | None = None) -> dict[str, Any]:
        reply = self.redeem(self.code(), None if key is None else key.proof(f"{ISSUER}/token"))
        assert reply.status == 200, reply.body
        return members(reply)

    def post(
        self,
        path: str,
        form: Mapping[str, str] | Sequence[tuple[str, str]],
        *,
        proof: str | None = None,
        **headers: str,
    ) -> Reply:
        """Post a form as this client, authenticated."""
        pairs = list(form.items() if isinstance(form, Mapping) else form)
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        if self.client.token_endpoint_auth_method == "none":
            pairs.append(("client_id", self.client.client_id))
        else:
            sent["Authorization"] = basic(self.client.client_id, self.client.client_secret)
        return self.send("POST", path, headers=sent, body=urlencode(pairs).encode("ascii"), proof=proof)

    def send(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"", proof: str | None = None
    ) -> Reply:
        sent = {**headers, **({} if proof is None else {"DPoP": proof})}
        return self.provider.transport(Call(method=method, url=f"{ISSUER}{path}", headers=sent, body=body))

    def userinfo(self, authorization: str, proof: str | None = None) -> Reply:
        return self.send("GET", "/userinfo", headers={"Authorization": authorization}, proof=proof)


def raw_client(*, method: Any = "client_secret_basic", bound: bool = False, **settings: Any) -> RawClient:
    client = FakeClient(
        client_id=CLIENT_ID,
        client_secret="" if method == "none" else SECRET,
        redirect_uris=[CALLBACK],
        token_endpoint_auth_method=method,
        dpop_bound_access_tokens=bound,
    )
    users: dict[str, dict[str, object]] = {"alice": {"sub": "subject of alice", "email": "alice@op.example"}}
    settings = {"clock": Clock(), "sign_in_as": "alice", **settings}
    return RawClient(provider=FakeProvider(issuer=ISSUER, clients=[client], users=users, **settings), client=client)


def basic(client_id: str, secret: str) -> str:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"


def members(reply: Reply) -> dict[str, Any]:
    value = json.loads(reply.body)
    assert isinstance(value, dict)
    return value


def error_of(reply: Reply) -> str:
    return str(members(reply)["error"])


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
