"""A client that can do everything that a provider may ask, with the JOSE of another library than the provider's."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit
from wsgiref.types import WSGIApplication

from joserfc import jwe, jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from werkzeug.wrappers import Request, Response

from gateway.oidc.messages import Call, Reply, s256
from gateway.testing import Browser, FakeClient, FakeProvider, Page
from gateway.testing.forms import read_forms

ISSUER = "https://op.example/tenant-one"
CALLBACK = "https://app.example/oauth2/callback"
CLIENT_ID = "app %&+:/;=?#\"'<>\\~"
SECRET = "a secret %&+:/;=?#\"'<>\\~ of sixty-four bytes and more, as HS512 demands it"
CERTIFICATE = "thumbprint-of-the-certificate-of-the-client"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NOW = 1_800_000_000
VERIFIER = "v" * 43

Members = dict[str, Any]


class JWSRegistry(jws.JWSRegistry):
    """The other library's registry, without its opinion of an algorithm."""

    def get_alg(self, name: str) -> Any:
        assert name in (self.allowed or ())
        return self.algorithms[name]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def own_key(kind: str, use: str = "sig") -> Key:
    """Return the client's key of a kind, the same in all tests, as an RSA key takes its time to make."""
    return _own_key(kind, use)


@cache
def _own_key(kind: str, use: str) -> Key:
    parameters: Any = {"kid": f"{kind}-{use}", "use": use}
    if kind == "RSA":
        return RSAKey.generate_key(2048, parameters, auto_kid=False)
    if kind == "Ed25519":
        return OKPKey.generate_key("Ed25519", parameters, auto_kid=False)
    return ECKey.generate_key(kind, parameters, auto_kid=False)


KIND = {"PS256": "RSA", "RS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}


def client_jwks() -> Members:
    keys = [own_key(kind) for kind in ("RSA", "P-256", "Ed25519")] + [own_key(kind, "enc") for kind in ("RSA", "P-256")]
    return {"keys": [key.as_dict(private=False) for key in keys]}


def compact(key: Key, header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    """Sign claims; members of None are left out."""
    members: Any = {name: value for name, value in header.items() if value is not None}
    payload = json.dumps({name: value for name, value in claims.items() if value is not None})
    registry = JWSRegistry(algorithms=[str(header["alg"])], strict_check_header=False)
    return jws.serialize_compact(members, payload.encode(), key, registry=registry)


def unsigned(claims: Mapping[str, object]) -> str:
    parts = ({"alg": "none", "typ": "oauth-authz-req+jwt"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


@dataclass
class FullClient:
    """A provider and its one client; `method` is how it authenticates, by `alg` where it signs."""

    provider: FakeProvider
    alg: str = "ES256"
    browser: Browser = field(init=False)

    def __post_init__(self) -> None:
        apps: dict[str, WSGIApplication] = {
            "https://app.example": Request.application(lambda _: Response("app")),
            "https://op.example": self.provider,
        }
        self.browser = Browser(apps, clock=self.provider.clock)

    @property
    def registered(self) -> FakeClient:
        return self.provider.clients[0]

    def register(self, **members: Any) -> None:
        """Change the registration."""
        self.provider.clients = [replace(self.registered, **members)]

    def assertion(self, header: Mapping[str, object] | None = None, **claims: Any) -> str:
        honest = {
            "iss": CLIENT_ID, "sub": CLIENT_ID, "aud": ISSUER, "jti": secrets.token_hex(8), "iat": NOW, "exp": NOW + 60,
        }  # fmt: skip
        key = OctKey.import_key(SECRET) if self.alg.startswith("HS") else own_key(KIND[self.alg])
        kid = None if self.alg.startswith("HS") else key.kid
        return compact(key, {"alg": self.alg, "kid": kid, **(header or {})}, {**honest, **claims})

    def credentials(self) -> tuple[dict[str, str], dict[str, str]]:
        """Make the form parameters and the headers that prove who the client is."""
        method = self.registered.token_endpoint_auth_method
        if method == "client_secret_basic":
            pair = f"{quote_plus(CLIENT_ID)}:{quote_plus(SECRET)}".encode()
            return {}, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        if method == "client_secret_post":
            return {"client_id": CLIENT_ID, "client_secret": SECRET}, {}
        if method in ("private_key_jwt", "client_secret_jwt"):
            return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}, {}
        return {"client_id": CLIENT_ID}, {}

    def post(self, path: str, form: Mapping[str, str | None], *, authenticated: bool = True) -> Reply:
        """Call the back channel; a parameter of None is left out."""
        credentials, headers = self.credentials() if authenticated else ({}, {})
        sent = {name: value for name, value in {**credentials, **form}.items() if value is not None}
        return self.send(
            Call(
                method="POST",
                url=f"{ISSUER}{path}",
                headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
                body=urlencode(sent).encode("ascii"),
                mutual_tls="tls" in self.registered.token_endpoint_auth_method,
            )
        )

    def send(self, call: Call) -> Reply:
        return self.provider.transport(call)

    def parameters(self, **changes: str | None) -> dict[str, str]:
        """Write the parameters of an honest authorization request; None leaves one out."""
        honest = {
            "response_type": "code", "client_id": CLIENT_ID, "redirect_uri": CALLBACK, "nonce": "n", "state": "s",
            "scope": "openid email", "code_challenge": s256(VERIFIER), "code_challenge_method": "S256",
        }  # fmt: skip
        return {name: value for name, value in {**honest, **changes}.items() if value is not None}

    def request_object(self, header: Mapping[str, object] | None = None, **claims: Any) -> str:
        """Sign a request object that is honest but for the members given."""
        members = {"alg": self.alg, "typ": "oauth-authz-req+jwt", "kid": own_key(KIND[self.alg]).kid, **(header or {})}
        return compact(own_key(KIND[self.alg]), members, {**self.request_claims(), **claims})

    def request_claims(self) -> Members:
        return {**self.parameters(), "iss": CLIENT_ID, "aud": ISSUER, "nbf": NOW, "exp": NOW + 300}

    def push(self, **parameters: str | None) -> Reply:
        return self.post("/par", {**self.parameters(), **parameters})

    def authorize(self, parameters: Mapping[str, str]) -> Page:
        return self.browser.navigate(f"{ISSUER}/authorize?{urlencode(parameters)}", follow=False)

    def redeem(self, code: str, **changes: str | None) -> Reply:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.post("/token", {**form, **changes})

    def refreshed(self, refresh_token: str, **changes: str | None) -> Reply:
        return self.post("/token", {"grant_type": "refresh_token", "refresh_token": refresh_token, **changes})

    def tokens(self, **changes: str | None) -> Members:
        """Sign alice in and return the token response."""
        return members(self.redeem(answer(self.authorize(self.parameters(**changes)))["code"]))

    def userinfo(self, access_token: str, *, mutual_tls: bool = False, path: str = "/userinfo") -> Reply:
        headers = {"Authorization": f"Bearer {access_token}"}
        return self.send(Call(method="GET", url=f"{ISSUER}{path}", headers=headers, mutual_tls=mutual_tls))

    def verified(self, token: str, alg: str) -> Members:
        """Check a token of the provider with its published keys, and return its claims."""
        keys: Any = self.provider.jwks()["keys"]
        header = jws.extract_compact(token.encode()).headers()
        if alg.startswith("HS"):
            return claims_of(token, alg, OctKey.import_key(SECRET))
        fitting = [key for key in keys if key.get("kid") == header["kid"] and key["use"] == "sig" and serves(key, alg)]
        assert len(fitting) == 1
        kind: Any = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}[fitting[0]["kty"]]
        return claims_of(token, alg, kind.import_key(fitting[0]))


CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}


def serves(key: Mapping[str, str], alg: str) -> bool:
    return key.get("alg", alg) == alg and key.get("crv", "RSA") == CURVES.get(alg, "RSA")


def claims_of(token: str, alg: str, key: Key) -> Members:
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    claims: Members = json.loads(jws.deserialize_compact(token, key, registry=registry).payload)
    return claims


def decrypted(token: str, alg: str, enc: str) -> tuple[Members, str]:
    """Open a JWE of the provider with the client's key; returns its header and what is inside."""
    key = own_key("RSA" if alg.startswith("RSA") else "P-256", "enc")
    opened = jwe.decrypt_compact(token, key, registry=jwe.JWERegistry(algorithms=[alg, enc]))
    assert opened.plaintext is not None
    return dict(opened.headers()), opened.plaintext.decode()


def encrypted_for(jwk: Mapping[str, Any], alg: str, enc: str, content: str) -> str:
    kind: Any = RSAKey if jwk["kty"] == "RSA" else ECKey
    registry = jwe.JWERegistry(algorithms=[alg, enc])
    header = {"alg": alg, "enc": enc, "cty": "oauth-authz-req+jwt", "kid": jwk["kid"]}
    return jwe.encrypt_compact(header, content.encode(), kind.import_key(jwk), registry=registry)


def full_client(method: str = "client_secret_basic", alg: str = "ES256", **settings: Any) -> FullClient:
    """Make a provider that signs in alice without asking, and its client, whose settings begin with `client_`."""
    of_client = {
        name.removeprefix("client_"): settings.pop(name) for name in list(settings) if name.startswith("client_")
    }
    registered: Any = {
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": method,
        "jwks": client_jwks(),
        "certificate_thumbprint": CERTIFICATE,
        **of_client,
    }
    users: dict[str, dict[str, object]] = {"alice": {"sub": "subject of alice", "email": "alice@op.example"}, "bob": {}}
    settings = {"clock": Clock(), "sign_in_as": "alice", "id_token_alg": "ES256", **settings}
    provider = FakeProvider(issuer=ISSUER, clients=[FakeClient(**registered)], users=users, **settings)
    provider.presented_certificate = CERTIFICATE
    return FullClient(provider=provider, alg=alg)


def answer(page: Page) -> dict[str, str]:
    """Read an authorization response, from the redirect or from the form."""
    if page.status == 303:
        return dict(parse_qsl(urlsplit(page.headers["Location"]).query, keep_blank_values=True))
    assert page.status == 200, page.text
    [form] = read_forms(page.text)
    assert (form.method, form.action) == ("POST", CALLBACK)
    return form.fields


def members(reply: Reply, status: int = 200) -> Members:
    assert reply.status == status, reply.body
    result: Members = json.loads(reply.body)
    return result
