"""The access token that a client brings (RFC 9068 4, RFC 7662 2.2): honest ones, and a refusal for each fault."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from gateway.errors import GatewayError
from gateway.oidc.access_token import (
    MAX_BEARER_LENGTH,
    AccessToken,
    AccessTokenRules,
    check_access_token,
    check_introspected,
    claimed_issuer,
    is_bearer_text,
    is_compact_jws,
    parse_access_token,
)
from gateway.oidc.introspection import process_introspection
from gateway.oidc.jose import KeySet
from oidc.keys import (
    SigningKey,
    compact,
    ec_key,
    encode,
    json_reply,
    key_set,
    public_jwk,
    public_pem,
    rsa_key,
    signed_claims,
    tampered,
)
from oidc.parties import ISSUER, LEEWAY, NOW

RULES: Final = AccessTokenRules(
    audience=frozenset({"https://api.example", "api"}), types=frozenset({"at+jwt"}), algorithms=("ES256", "RS256"),
    leeway=LEEWAY,
)  # fmt: skip
LENIENT: Final = replace(RULES, types=frozenset({"at+jwt", "jwt"}))
HONEST: Final[Mapping[str, object]] = {
    "iss": ISSUER, "sub": "u1", "aud": "https://api.example", "client_id": "robot", "scope": "read write",
    "iat": NOW, "exp": NOW + 300, "jti": "j1", "ignored": {"a": [1]},
}  # fmt: skip
HEADER: Final[Mapping[str, object]] = {"alg": "ES256", "kid": "k1", "typ": "at+jwt"}
MISSING: Final = object()
"""The value of a member that is left out."""


def key_for(algorithm: str, owner: str) -> SigningKey:
    if algorithm.startswith("HS"):
        return public_pem(rsa_key(owner))
    return ec_key(owner) if algorithm.startswith("ES") else rsa_key(owner)


def provider_keys() -> KeySet:
    return key_set(public_jwk(rsa_key("op"), {"kid": "k1"}), public_jwk(ec_key("op"), {"kid": "k1"}))


def changed(members: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in {**members, **changes}.items() if value is not MISSING}


def token_of(changes: Mapping[str, object], header: Mapping[str, object] | None = None, owner: str = "op") -> str:
    members = changed(HEADER, header or {})
    return signed_claims(members, changed(HONEST, changes), key_for(str(members["alg"]), owner))


def check(raw: str, rules: AccessTokenRules = RULES, now: int = NOW) -> AccessToken:
    token = parse_access_token(raw, rules)
    return check_access_token(token, provider_keys(), rules, issuer=ISSUER, now=now)


def refusal(raw: str, rules: AccessTokenRules = RULES, now: int = NOW) -> str:
    with pytest.raises(GatewayError) as error:
        check(raw, rules, now)
    return error.value.code


def test_an_honest_token() -> None:
    token = check(token_of({}))
    assert (token.subject, token.client_id, token.scope) == ("u1", "robot", "read write")
    assert (token.issuer, token.issued_at, token.expires_at) == (ISSUER, NOW, NOW + 300)
    assert claimed_issuer(parse_access_token(token_of({}), RULES)) == ISSUER


@pytest.mark.parametrize(
    ("changes", "header", "rules"),
    [
        pytest.param({"aud": ["other", "api"]}, {}, RULES, id="one of several audiences"),
        pytest.param({}, {"alg": "RS256"}, RULES, id="another algorithm of ours"),
        pytest.param({}, {"typ": "application/at+jwt"}, RULES, id="the kind as a media type"),
        pytest.param({}, {"typ": "AT+JWT"}, RULES, id="the kind in another case"),
        pytest.param({}, {"typ": "JWT"}, LENIENT, id="a kind that is configured"),
        pytest.param({"exp": NOW - LEEWAY + 1}, {}, RULES, id="just ended, within the leeway"),
        pytest.param({"iat": NOW + LEEWAY}, {}, RULES, id="just begun, within the leeway"),
        pytest.param({"nbf": NOW + LEEWAY}, {}, RULES, id="about to count, within the leeway"),
        pytest.param({"exp": NOW + 300.5}, {}, RULES, id="a fraction of a second"),
        pytest.param({"scope": MISSING}, {}, RULES, id="no scope"),
        pytest.param({"scope": ["read", "write"]}, {}, RULES, id="scopes as a list"),
        pytest.param({"scope": MISSING, "scp": "read write"}, {}, RULES, id="scopes by another name"),
        pytest.param({"client_id": MISSING}, {}, RULES, id="no client"),
        pytest.param({"sub": "robot"}, {}, RULES, id="a client without a user"),
        pytest.param({}, {"x5t": "x", "more": 1}, RULES, id="a header with more in it"),
    ],
)
def test_what_counts(changes: Mapping[str, object], header: Mapping[str, object], rules: AccessTokenRules) -> None:
    assert check(token_of(changes, header), rules).issuer == ISSUER


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"iss": "https://other.example"}, "access_token_iss_mismatch", id="iss of another"),
        pytest.param({"iss": f"{ISSUER}/"}, "access_token_iss_mismatch", id="iss with a slash"),
        pytest.param({"iss": MISSING}, "access_token_claim_invalid", id="no iss"),
        pytest.param({"iss": [ISSUER]}, "access_token_claim_invalid", id="iss in a list"),
        pytest.param({"aud": "https://api.example/"}, "access_token_aud_mismatch", id="aud with a slash"),
        pytest.param({"aud": "other"}, "access_token_aud_mismatch", id="aud of another"),
        pytest.param({"aud": []}, "access_token_aud_mismatch", id="aud empty"),
        pytest.param({"aud": ["apis"]}, "access_token_aud_mismatch", id="aud that begins alike"),
        pytest.param({"aud": MISSING}, "access_token_claim_invalid", id="no aud"),
        pytest.param({"aud": {"api": 1}}, "access_token_claim_invalid", id="aud an object"),
        pytest.param({"aud": ["api", 1]}, "access_token_claim_invalid", id="aud with a number"),
        pytest.param({"exp": NOW - LEEWAY}, "access_token_expired", id="ended"),
        pytest.param({"exp": 1}, "access_token_expired", id="ended long ago"),
        pytest.param({"exp": MISSING}, "access_token_claim_invalid", id="no exp"),
        pytest.param({"exp": str(NOW + 300)}, "access_token_claim_invalid", id="exp a text"),
        pytest.param({"exp": True}, "access_token_claim_invalid", id="exp true"),
        pytest.param({"exp": 1e300}, "access_token_claim_invalid", id="exp after all times"),
        pytest.param({"exp": -1}, "access_token_claim_invalid", id="exp before all times"),
        pytest.param({"exp": [NOW + 300]}, "access_token_claim_invalid", id="exp in a list"),
        pytest.param({"iat": MISSING}, "access_token_claim_invalid", id="no iat"),
        pytest.param({"iat": NOW + LEEWAY + 1}, "access_token_not_yet_valid", id="issued in the future"),
        pytest.param({"nbf": NOW + LEEWAY + 1}, "access_token_not_yet_valid", id="not yet valid"),
        pytest.param({"nbf": "soon"}, "access_token_claim_invalid", id="nbf a text"),
        pytest.param({"sub": MISSING, "client_id": MISSING}, "access_token_claim_invalid", id="nobody"),
        pytest.param({"sub": MISSING}, "access_token_claim_invalid", id="a client that may be named like a user"),
        pytest.param({"sub": ""}, "access_token_claim_invalid", id="sub empty"),
        pytest.param({"sub": ["u1"]}, "access_token_claim_invalid", id="sub in a list"),
        pytest.param({"sub": "u" * 256}, "access_token_claim_invalid", id="sub too long"),
        pytest.param({"sub": "u1\r\nx"}, "access_token_claim_invalid", id="sub with a line break"),
        pytest.param({"client_id": 7}, "access_token_claim_invalid", id="client_id a number"),
        pytest.param({"scope": {"read": 1}}, "access_token_claim_invalid", id="scope an object"),
        pytest.param({"scope": ["read write"]}, "access_token_claim_invalid", id="scope with a space in a list"),
        pytest.param({"scope": ["read", 1]}, "access_token_claim_invalid", id="scope with a number"),
        pytest.param({"scope": None}, "access_token_claim_invalid", id="scope null"),
        pytest.param({"cnf": {"jkt": "x"}}, "access_token_bound", id="bound to a key"),
        pytest.param({"cnf": {"x5t#S256": "x"}}, "access_token_bound", id="bound to a certificate"),
        pytest.param({"cnf": "x"}, "access_token_bound", id="bound to something"),
        pytest.param({"nonce": "n"}, "access_token_type_refused", id="an ID token by its nonce"),
        pytest.param({"at_hash": "n"}, "access_token_type_refused", id="an ID token by its at_hash"),
        pytest.param({"events": {}}, "access_token_type_refused", id="a logout token by its events"),
        pytest.param({"token_introspection": {}}, "access_token_type_refused", id="an introspection"),
    ],
)  # fmt: skip
def test_claims(changes: Mapping[str, object], code: str) -> None:
    assert refusal(token_of(changes)) == code


@pytest.mark.parametrize(
    ("header", "code"),
    [
        pytest.param({"typ": MISSING}, "access_token_type_refused", id="no typ"),
        pytest.param({"typ": "JWT"}, "access_token_type_refused", id="typ JWT"),
        pytest.param({"typ": "logout+jwt"}, "access_token_type_refused", id="typ of a logout token"),
        pytest.param({"typ": "token-introspection+jwt"}, "access_token_type_refused", id="typ of an introspection"),
        pytest.param({"typ": ["at+jwt"]}, "access_token_type_refused", id="typ in a list"),
        pytest.param({"typ": "application/application/at+jwt"}, "access_token_type_refused", id="typ twice a type"),
        pytest.param({"alg": "ES384"}, "jwt_alg_refused", id="an algorithm that is not ours"),
        pytest.param({"alg": "HS256"}, "jwt_alg_refused", id="a MAC with the public key"),
        pytest.param({"crit": ["exp"]}, "jwt_crit_refused", id="crit"),
        pytest.param({"b64": False}, "jwt_crit_refused", id="b64"),
        pytest.param({"kid": "k2"}, "jwt_key_unknown", id="a kid that nobody knows"),
        pytest.param({"kid": 1}, "jwt_malformed", id="a kid that is a number"),
    ],
)  # fmt: skip
def test_headers(header: Mapping[str, object], code: str) -> None:
    members = changed(HEADER, header)
    algorithm = str(members["alg"])
    signer = ec_key("op", "P-384") if algorithm == "ES384" else key_for(algorithm, "op")
    assert refusal(signed_claims(members, HONEST, signer)) == code


@pytest.mark.parametrize(
    "header",
    [
        pytest.param({"jwk": public_jwk(ec_key("attacker"), {})}, id="jwk"),
        pytest.param({"jku": "https://evil.example/jwks"}, id="jku"),
        pytest.param({"x5u": "https://evil.example/x"}, id="x5u"),
        pytest.param({"x5c": ["MII"]}, id="x5c"),
        pytest.param({"kid": MISSING}, id="no kid"),
    ],
)
def test_the_key_is_ours_to_choose(header: Mapping[str, object]) -> None:
    assert refusal(token_of({}, header, "attacker")) == "jwt_signature_invalid"


def test_none_and_other_forms() -> None:
    signed = token_of({})
    header, payload, _ = signed.split(".")
    none = f"{encode(json.dumps({**HEADER, 'alg': 'none'}).encode())}.{payload}."
    assert refusal(none) == "jwt_alg_refused"
    assert refusal(f"{header}.{payload}.") == "jwt_signature_invalid"
    assert refusal(tampered(signed)) == "jwt_signature_invalid"
    assert refusal(f"{header}.a.b.c.d") == "jwt_malformed"  # Encrypted, by its form.
    doubled = json.dumps(HONEST)[:-1] + ', "sub": "root"}'
    assert refusal(compact(HEADER, doubled.encode(), ec_key("op"))) == "jwt_malformed"
    assert refusal(compact(HEADER, b"[]", ec_key("op"))) == "jwt_malformed"
    assert refusal(compact(HEADER, b'{"a":' * 20_000, ec_key("op"))) == "jwt_malformed"
    assert refusal("a.b.c" + "d" * 70_000) == "jwt_malformed"


BARE: Final[Mapping[str, object]] = {"client_id": MISSING, "scope": MISSING, "jti": MISSING}
"""What leaves a token without any mark of an access token, as the ID token of another client that names us."""


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({}, "", id="honest"),
        pytest.param({**BARE, "client_id": "spa"}, "", id="its client alone"),
        pytest.param({**BARE, "scope": "read"}, "", id="its scope alone"),
        pytest.param({**BARE, "scp": ["read"]}, "", id="its scope by another name"),
        pytest.param({**BARE, "typ": "Bearer"}, "", id="its own word, Keycloak's"),
        pytest.param({**BARE, "token_use": "access"}, "", id="its own word, Cognito's"),
        pytest.param({"auth_time": NOW, "acr": "gold", "amr": ["pwd"]}, "", id="how its user signed in"),
        pytest.param(BARE, "access_token_type_refused", id="no mark of an access token"),
        pytest.param(
            {**BARE, "aud": ["spa", "api"], "azp": "spa", "auth_time": NOW, "sid": "s"}, "access_token_type_refused",
            id="an ID token of another client that names us",
        ),
        pytest.param({"typ": "ID"}, "access_token_type_refused", id="an ID token by its own word"),
        pytest.param({"typ": "Refresh"}, "access_token_type_refused", id="a refresh token by its own word"),
        pytest.param({"typ": ["Bearer"]}, "access_token_type_refused", id="a word in a list"),
        pytest.param({"token_use": "id"}, "access_token_type_refused", id="an ID token by Cognito's word"),
        pytest.param({"nonce": "n"}, "access_token_type_refused", id="nonce"),
        pytest.param({"nonce": None}, "access_token_type_refused", id="nonce null"),
        pytest.param({"at_hash": "h"}, "access_token_type_refused", id="at_hash"),
        pytest.param({"c_hash": "h"}, "access_token_type_refused", id="c_hash"),
        pytest.param({"s_hash": "h"}, "access_token_type_refused", id="s_hash"),
        pytest.param({"aud": "c1", "azp": "c1", "auth_time": NOW}, "access_token_aud_mismatch", id="for a client"),
    ],
)  # fmt: skip
def test_where_typ_jwt_counts_a_token_must_be_told_from_an_id_token(changes: Mapping[str, object], code: str) -> None:
    assert check(token_of({}, {"typ": "JWT"}), LENIENT).subject == "u1"
    raw = token_of(changes, {"typ": "JWT"})
    assert (refusal(raw, LENIENT) if code else check(raw, LENIENT).subject) == (code or "u1")


def test_a_kind_that_says_so_needs_no_other_mark() -> None:
    assert check(token_of(BARE)).subject == "u1"
    assert refusal(token_of({**BARE, "typ": "ID"})) == "access_token_type_refused"


def test_only_the_checks_make_one() -> None:
    with pytest.raises(TypeError):
        AccessToken(
            issuer=ISSUER, subject="u1", client_id="", scope="", issued_at=None, expires_at=None, claims={},
            checked=None,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "bearer", "jws"),
    [
        pytest.param("abc", True, False, id="opaque"),
        pytest.param("a-._~+/9==", True, False, id="all characters"),
        pytest.param("a.b.c", True, True, id="a JWT"),
        pytest.param("a.b.", True, True, id="a JWT without a signature"),
        pytest.param("a.b.c.d.e", True, False, id="an encrypted one"),
        pytest.param("", False, False, id="empty"),
        pytest.param("a b", False, False, id="two words"),
        pytest.param("a,Bearer b", False, False, id="two tokens"),
        pytest.param("a=b", False, False, id="padding inside"),
        pytest.param("ä", False, False, id="not ASCII"),
        pytest.param("a\r\n", False, False, id="a line break"),
        pytest.param("a" * MAX_BEARER_LENGTH, True, False, id="as long as may be"),
        pytest.param("a" * (MAX_BEARER_LENGTH + 1), False, False, id="too long"),
    ],
)
def test_forms(text: str, bearer: bool, jws: bool) -> None:
    assert (is_bearer_text(text), is_compact_jws(text)) == (bearer, jws)


ACTIVE: Final[Mapping[str, object]] = {"active": True, "sub": "u1", "aud": "api", "scope": "read", "client_id": "robot"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({}, "", id="honest"),
        pytest.param({"aud": ["x", "api"]}, "", id="one of several audiences"),
        pytest.param({"sub": "robot"}, "", id="a client without a user"),
        pytest.param({"sub": MISSING}, "access_token_claim_invalid", id="a client that may be named like a user"),
        pytest.param({"exp": NOW + 1, "iat": NOW}, "", id="with times"),
        pytest.param({"aud": MISSING}, "access_token_aud_mismatch", id="for nobody in particular"),
        pytest.param({"aud": "other"}, "access_token_aud_mismatch", id="for another"),
        pytest.param({"cnf": {"jkt": "x"}}, "access_token_bound", id="bound to a key"),
        pytest.param({"sub": MISSING, "client_id": MISSING}, "access_token_claim_invalid", id="of nobody"),
        pytest.param({"sub": ""}, "access_token_claim_invalid", id="of an empty name"),
        pytest.param({"iat": "x"}, "access_token_claim_invalid", id="iat a text"),
    ],
)
def test_what_introspection_says(changes: Mapping[str, Any], code: str) -> None:
    reply = json_reply(changed(ACTIVE, changes))
    answer = process_introspection(reply, issuer=ISSUER, leeway=LEEWAY, now=NOW)
    if code:
        with pytest.raises(GatewayError) as error:
            check_introspected(answer, RULES, issuer=ISSUER)
        assert error.value.code == code
    else:
        token = check_introspected(answer, RULES, issuer=ISSUER)
        assert (token.subject, token.scope) == (changes.get("sub", "u1") if "sub" not in changes else "robot", "read")
