"""FAPI 2.0: its set-ups, and the rules that every call of every module is held to (P1 to P9, P11)."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise, product
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from harness import CALLBACK, ISSUER, NOW, Config, Site

from conformance.set_ups import THUMBPRINT, SetUp
from gateway.oidc.messages import Call, s256
from gateway.testing.jwk import public_key, thumbprint
from gateway.testing.jws import is_signed_by, is_signed_by_one_of, read_compact

CLIENT_ID: Final = "app %&+"
ALGORITHMS: Final = ("PS256", "ES256", "EdDSA", "Ed25519")
PUSH: Final = ("/par", "/mtls/par")
TOKEN: Final = ("/token", "/mtls/token")
RESOURCE: Final = ("/userinfo", "/mtls/userinfo")

Members = Mapping[str, Any]


def fapi(method: str, constraint: str, *, signed: bool = False, jarm: bool = False, nonces: bool = True) -> SetUp:
    """Make the set-up of one variant: client authentication, sender constraint, request and response."""
    certificate = method == "tls_client_auth" or constraint == "mtls"
    authorization: Config = {"via": "signed"} if signed else {}
    return SetUp(
        name="-".join([method, constraint, *(["JAR"] if signed else []), *(["JARM"] if jarm else [])]),
        pushed=True,
        signing=signed or method == "private_key_jwt",
        certificate=certificate,
        config={
            "profile": "fapi2",
            "client_secret": "",
            "token_endpoint_auth_method": method,
            "sender_constraint": constraint,
            "authorization": {**authorization, **({"response_mode": "query.jwt"} if jarm else {})},
        },
        client={
            "client_secret": "",
            "token_endpoint_auth_method": method,
            "certificate_thumbprint": THUMBPRINT if certificate else "",
            "dpop_bound_access_tokens": constraint == "dpop",
            "tls_client_certificate_bound_access_tokens": constraint == "mtls",
            "require_pushed_authorization_requests": True,
            "require_signed_request_object": signed,
            "request_object_signing_alg": "ES256" if signed else "",
        },
        state={
            "require_pushed_authorization_requests": True,
            "mtls_aliases": certificate,
            "dpop_nonces": constraint == "dpop" and nonces,
        },
    )


PAIRS: Final = tuple(product(("private_key_jwt", "tls_client_auth"), ("dpop", "mtls")))
SECURITY: Final = [fapi(*pair) for pair in PAIRS]
"""The four pairs of the security profile, with plain requests and responses."""
SIGNING: Final = [
    fapi(*pair, signed=signed, jarm=jarm) for pair in PAIRS for signed in (False, True) for jarm in (False, True)
]
"""All sixteen variants, those of message signing among them."""


def assert_rules(site: Site, calls: Sequence[Call], set_up: SetUp) -> None:
    """Hold all calls so far against the rules; each is checked by a function of its own, which tests may call too."""
    check_pushed(site, calls)
    check_request(site)
    check_assertions(site, calls)
    check_algorithms(site, calls)
    check_proofs(calls)
    check_nonces(site, calls)
    check_mutual_tls(calls, set_up)
    check_token_in_header(calls, set_up)
    check_request_objects(site, calls)


def check_pushed(site: Site, calls: Sequence[Call]) -> int:
    """Check P1: every request was pushed, and the address of the browser had a reference to it alone."""
    for call in to(calls, PUSH):
        assert "request_uri" not in form(call)
    addresses = [page.url for page in site.browser.history if page.url.startswith(f"{ISSUER}/authorize")]
    for address in addresses:
        assert [name for name, _ in parse_qsl(urlsplit(address).query)] == ["client_id", "request_uri"]
    return len(addresses)


def check_request(site: Site) -> int:
    """Check P2: what was asked for in the end, wherever it travelled."""
    for asked in site.provider.requests:
        assert (asked["response_type"], asked["client_id"], asked["redirect_uri"]) == ("code", CLIENT_ID, CALLBACK)
        assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
        assert len(asked["nonce"]) == 43
        assert "openid" in asked["scope"].split()
    return len(site.provider.requests)


def check_assertions(site: Site, calls: Sequence[Call]) -> int:
    """Check P3: each assertion is for the issuer alone, short-lived and new."""
    assertions = [form(call)["client_assertion"] for call in calls if "client_assertion" in form(call)]
    for claims in map(payload, assertions):
        assert claims["iss"] == claims["sub"] == CLIENT_ID
        assert claims["aud"] == ISSUER
        assert 0 < claims["exp"] - claims["iat"] <= 86_400
        assert NOW <= claims["iat"] <= site.clock()
    for call in calls:
        if "client_assertion" in form(call):
            kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            assert form(call)["client_assertion_type"] == kind
            assert "client_secret" not in form(call)
    _assert_different(payload(assertion)["jti"] for assertion in assertions)
    return len(assertions)


def check_algorithms(site: Site, calls: Sequence[Call]) -> int:
    """Check P4: what we sign is signed by a fit algorithm, with a registered key, and each key has a kid of its own."""
    tokens = [form(call)[name] for call in calls for name in ("client_assertion", "request") if name in form(call)]
    jwks = site.provider.clients[0].jwks or {}
    for token in tokens:
        algorithm = str(header(token)["alg"])
        assert algorithm in ALGORITHMS
        assert is_signed_by_one_of(read_compact(token), jwks, algorithm)
    keys = jwks["keys"]
    assert isinstance(keys, list)
    _assert_different(key["kid"] for key in keys)
    return len(tokens)


def check_proofs(calls: Sequence[Call]) -> int:
    """Check P5: each proof is for the one call that it came with, and all of one login are by the same key."""
    proofs = [(call, proof_of(call)) for call in calls if "DPoP" in call.headers]
    for call, proof in proofs:
        head, claims = header(proof), payload(proof)
        jwk = head["jwk"]
        assert (head["typ"], head["alg"]) == ("dpop+jwt", "ES256")
        assert "d" not in jwk
        assert is_signed_by(read_compact(proof), public_key(jwk), "ES256")
        assert (claims["htm"], claims["htu"]) == (call.method, call.url.partition("?")[0])
        assert claims["iat"] >= NOW
        token = call.headers.get("Authorization", "").partition(" ")[2]
        assert claims.get("ath") == (s256(token) if _path(call) in RESOURCE else None)
    _assert_different(payload(proof)["jti"] for _, proof in proofs)
    _assert_one_key_per_login(calls)
    return len(proofs)


def check_nonces(site: Site, calls: Sequence[Call]) -> int:
    """Check P6: a nonce is one of the server that it is sent to, and a refused call is repeated at most once."""
    nonces = [(call, payload(proof_of(call)).get("nonce")) for call in calls if "DPoP" in call.headers]
    for call, nonce in nonces:
        if nonce is not None:
            issued = site.provider.resource_nonces if _path(call) in RESOURCE else site.provider.server_nonces
            assert issued.ever_issued(nonce)
    for (one, before), (other, after) in pairwise(nonces):
        assert (one.url, before) != (other.url, after) or before is None
    return sum(nonce is not None for _, nonce in nonces)


def check_mutual_tls(calls: Sequence[Call], set_up: SetUp) -> int:
    """Check P7: the certificate is presented wherever it counts, at the aliases, and nowhere else."""
    protected = to(calls, PUSH + TOKEN + RESOURCE)
    for call in protected:
        assert call.mutual_tls == set_up.certificate
        assert _path(call).startswith("/mtls/") == set_up.certificate
    return sum(call.mutual_tls for call in protected)


def check_token_in_header(calls: Sequence[Call], set_up: SetUp) -> int:
    """Check P8: the access token travels in the header alone, under its own scheme."""
    resources = to(calls, RESOURCE)
    for call in resources:
        scheme, _, token = call.headers["Authorization"].partition(" ")
        assert scheme == ("DPoP" if set_up.config["sender_constraint"] == "dpop" else "Bearer")
        assert token != ""
        assert token not in call.url
        assert call.body == b""
    return len(resources)


def check_request_objects(site: Site, calls: Sequence[Call]) -> int:
    """Check P11: what a request object says of itself, and what may not be inside."""
    objects = [form(call)["request"] for call in to(calls, PUSH) if "request" in form(call)]
    for token in objects:
        claims = payload(token)
        assert header(token)["typ"] == "oauth-authz-req+jwt"
        assert claims["iss"] == claims["client_id"] == CLIENT_ID
        assert claims["aud"] == ISSUER
        assert NOW <= claims["nbf"] <= site.clock()
        assert 0 < claims["exp"] - claims["nbf"] <= 3600
        assert not {"request", "request_uri", "sub"} & set(claims)
    return len(objects)


def to(calls: Iterable[Call], paths: Sequence[str]) -> list[Call]:
    """Pick the calls to some of the provider's endpoints."""
    return [call for call in calls if _path(call) in paths]


def form(call: Call) -> dict[str, str]:
    """Read the form that a call carries."""
    return dict(parse_qsl(call.body.decode("ascii"), keep_blank_values=True))


def proof_of(call: Call) -> str:
    """Return the DPoP proof of a call."""
    return call.headers["DPoP"]


def header(compact: str) -> Members:
    """Read the header of a token that we made."""
    return _decoded(compact.split(".", maxsplit=1)[0])


def payload(compact: str) -> Members:
    """Read the claims of a token that we made."""
    return _decoded(compact.split(".")[1])


def _decoded(part: str) -> Members:
    members: Members = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return members


def _path(call: Call) -> str:
    return urlsplit(call.url).path


def _assert_different(values: Iterable[object]) -> None:
    seen = list(values)
    assert len(set(seen)) == len(seen)


def _assert_one_key_per_login(calls: Sequence[Call]) -> None:
    keys: set[str] = set()
    for call in calls:
        if "DPoP" not in call.headers:
            continue
        keys.add(thumbprint(header(proof_of(call))["jwk"]))
        if _path(call) in RESOURCE:
            assert len(keys) == 1
            keys.clear()
