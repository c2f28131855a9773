"""Introspection: JSON, signed, and the phantom token (RFC 7662, RFC 9701; CONFORMANCE 2; SEED)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

import pytest

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.client import Client, Protection
from gateway.oidc.introspection import (
    JSON_TYPE,
    MAX_ANSWER_AGE,
    MAX_PHANTOM_BYTES,
    MAX_REUSE_SECONDS,
    PHANTOM_TYPE,
    SIGNED_TYPE,
    Introspection,
    PhantomToken,
    check_signed_introspection,
    introspection_call,
    introspection_jwt,
    parse_signed_introspection,
    process_introspection,
    process_phantom,
)
from gateway.oidc.messages import Moment, Reply
from gateway.oidc.metadata import ProviderMetadata
from oidc.keys import SigningKey, compact, encode, json_reply, key_set, public_jwk, rsa_key, signed_claims, tampered

NOW: Final = 1_800_000_000
LEEWAY: Final = 60
ISSUER: Final = "https://op.example"
METADATA: Final = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint="https://op.example/authorize",
    token_endpoint="https://op.example/token",
    jwks_uri="https://op.example/jwks",
    introspection_endpoint="https://op.example/introspect",
)
CLIENT: Final = Client(
    client_id="c1",
    client_secret="s3cret-that-is-long-enough-for-hs256",
    token_endpoint_auth_method="client_secret_post",
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/",
    introspection=Protection(algorithms=("RS256",)),
    leeway=LEEWAY,
)
MOMENT: Final = Moment(now=NOW, entropy=bytes)
HONEST: Final[Mapping[str, object]] = {
    "active": True,
    "sub": "u1",
    "aud": ["api", "other"],
    "scope": "read  write",
    "iss": ISSUER,
    "exp": NOW + 300,
    "nbf": NOW - 1,
    "iat": NOW - 1,
    "token_type": "Bearer",
    "cnf": {"jkt": "k"},
    "unknown_member": {"a": 1},
}
KEY: Final = rsa_key("op")
KEYS: Final = key_set(public_jwk(KEY, {"kid": "k1"}))
HEADER: Final[Mapping[str, object]] = {"alg": "RS256", "kid": "k1", "typ": "token-introspection+jwt"}
CLAIMS: Final[Mapping[str, object]] = {"iss": ISSUER, "aud": "c1", "iat": NOW, "token_introspection": HONEST}


def process(reply: Reply) -> Introspection:
    return process_introspection(reply, issuer=ISSUER, leeway=LEEWAY, now=NOW)


def jwt_reply(raw: str | bytes, media_type: str = SIGNED_TYPE, status: int = 200, cache_control: str = "") -> Reply:
    body = raw if isinstance(raw, bytes) else raw.encode("utf-8")
    headers = {"content-type": media_type, "cache-control": cache_control}
    return Reply(status=status, headers=headers, body=body)


def process_signed(reply: Reply, client: Client = CLIENT) -> Introspection:
    token = parse_signed_introspection(introspection_jwt(reply), client)
    return check_signed_introspection(token, KEYS, issuer=ISSUER, client=client, now=NOW)


def signed(header: Mapping[str, object], claims: Mapping[str, object], key: SigningKey = KEY) -> str:
    return signed_claims({**HEADER, **header}, {**CLAIMS, **claims}, key)


def without(members: Mapping[str, object], name: str) -> dict[str, object]:
    return {member: value for member, value in members.items() if member != name}


@pytest.mark.parametrize("accept", [JSON_TYPE, SIGNED_TYPE, PHANTOM_TYPE])
def test_rfc7662_the_question(accept: str) -> None:
    call = introspection_call(METADATA, CLIENT, "a b%&+", MOMENT, accept=accept)
    assert (call.method, call.url, call.headers["Accept"]) == ("POST", "https://op.example/introspect", accept)
    assert dict(parse_qsl(call.body.decode("ascii"), strict_parsing=True)) == {
        "token": "a b%&+",
        "token_type_hint": "access_token",
        "client_id": "c1",
        "client_secret": CLIENT.client_secret,
    }


def test_a_provider_without_introspection() -> None:
    with pytest.raises(GatewayError) as error:
        introspection_call(replace(METADATA, introspection_endpoint=None), CLIENT, "at", MOMENT)
    assert error.value.code == "metadata_lacking"


def test_rfc7662_an_active_token() -> None:
    answer = process(json_reply(HONEST))
    assert (answer.subject, answer.audience, answer.scope) == ("u1", ("api", "other"), ("read", "write"))
    assert (answer.confirmation, answer.expires_at) == ({"jkt": "k"}, NOW + 300)
    assert answer.members == HONEST


def test_only_a_check_makes_an_introspection() -> None:
    honest = process(json_reply(HONEST))
    with pytest.raises(TypeError):
        replace(honest, checked=object())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"aud": "api"}, {"audience": ("api",)}, id="aud as a text"),
        pytest.param({"aud": None}, {"audience": ()}, id="no aud"),
        pytest.param({"scope": None}, {"scope": ()}, id="no scope"),
        pytest.param({"scope": ""}, {"scope": ()}, id="empty scope"),
        pytest.param({"sub": None}, {"subject": None}, id="no sub"),
        pytest.param({"cnf": None}, {"confirmation": None}, id="no cnf"),
        pytest.param({"token_type": None}, {"subject": "u1"}, id="no token_type"),
        pytest.param({"token_type": "bEARER"}, {"subject": "u1"}, id="token_type in another case"),
        pytest.param({"token_type": "DPoP"}, {"subject": "u1"}, id="token_type DPoP"),
        pytest.param({"token_type": None, "typ": "Bearer"}, {"subject": "u1"}, id="typ of an access token"),
        pytest.param({"typ": "DPoP"}, {"subject": "u1"}, id="typ DPoP"),
        pytest.param({"token_use": "access_token"}, {"subject": "u1"}, id="token_use of an access token"),
        pytest.param({"exp": NOW - LEEWAY + 1}, {"expires_at": NOW - LEEWAY + 1}, id="exp within the leeway"),
        pytest.param({"exp": NOW + 1.9}, {"expires_at": NOW + 1}, id="exp with a fraction"),
        pytest.param({"nbf": NOW + LEEWAY}, {"subject": "u1"}, id="nbf within the leeway"),
    ],
)
def test_rfc7662_active_tokens(members: dict[str, object], expected: dict[str, object]) -> None:
    answer = process(json_reply({**HONEST, **members}))
    assert {name: getattr(answer, name) for name in expected} == expected


def test_members_that_may_be_missing() -> None:
    answer = process(json_reply({"active": True}))
    assert (answer.subject, answer.audience, answer.scope) == (None, (), ())
    assert (answer.confirmation, answer.expires_at) == (None, None)


INACTIVE: Final = [
    pytest.param({"active": False}, "token_inactive", id="inactive"),
    pytest.param({"active": "true"}, "introspection_invalid", id="active is a text"),
    pytest.param({"active": 1}, "introspection_invalid", id="active is a number"),
    pytest.param({"active": None}, "introspection_invalid", id="active is null"),
    pytest.param({"active": [True]}, "introspection_invalid", id="active is a list"),
    pytest.param({"exp": NOW - LEEWAY}, "token_inactive", id="expired"),
    pytest.param({"exp": str(NOW + 300)}, "introspection_invalid", id="exp is a text"),
    pytest.param({"exp": True}, "introspection_invalid", id="exp is a boolean"),
    pytest.param({"exp": None}, "introspection_invalid", id="exp is null"),
    pytest.param({"exp": -1}, "introspection_invalid", id="exp is negative"),
    pytest.param({"exp": 1e300}, "introspection_invalid", id="exp is huge"),
    pytest.param({"nbf": NOW + LEEWAY + 1}, "token_inactive", id="not yet valid"),
    pytest.param({"nbf": [NOW]}, "introspection_invalid", id="nbf is a list"),
    pytest.param({"iss": "https://op.example/"}, "token_inactive", id="another issuer"),
    pytest.param({"iss": [ISSUER]}, "token_inactive", id="iss is a list"),
    pytest.param({"token_type": "refresh_token"}, "token_inactive", id="refresh token"),
    pytest.param({"token_type": "N_A"}, "token_inactive", id="no token type at all"),
    pytest.param({"token_type": ["Bearer"]}, "introspection_invalid", id="token_type is a list"),
    pytest.param({"token_type": None, "typ": "Refresh"}, "token_inactive", id="typ of a refresh token"),
    pytest.param({"typ": "Refresh"}, "token_inactive", id="typ of a refresh token beside token_type"),
    pytest.param({"typ": "Offline"}, "token_inactive", id="typ of an offline token"),
    pytest.param({"typ": "ID"}, "token_inactive", id="typ of an ID token"),
    pytest.param({"typ": ""}, "token_inactive", id="typ empty"),
    pytest.param({"typ": ["Bearer"]}, "token_inactive", id="typ in a list"),
    pytest.param({"token_use": "refresh_token"}, "token_inactive", id="token_use of a refresh token"),
    pytest.param({"typ": "Bearer", "token_use": "refresh_token"}, "token_inactive", id="typ and token_use disagree"),
    pytest.param({"aud": {"api": 1}}, "introspection_invalid", id="aud is an object"),
    pytest.param({"aud": ["api", 1]}, "introspection_invalid", id="aud with a number"),
    pytest.param({"scope": ["read"]}, "introspection_invalid", id="scope is a list"),
    pytest.param({"sub": 1}, "introspection_invalid", id="sub is a number"),
    pytest.param({"cnf": "k"}, "introspection_invalid", id="cnf is a text"),
    pytest.param({"cnf": []}, "introspection_invalid", id="cnf is a list"),
]


@pytest.mark.parametrize(("members", "code"), INACTIVE)
def test_rfc7662_tokens_that_count_for_nothing(members: dict[str, object], code: str) -> None:
    assert process(json_reply(HONEST)).subject == "u1"
    with pytest.raises(GatewayError) as error:
        process(json_reply({**HONEST, **members}))
    assert error.value.code == code


@pytest.mark.parametrize(("members", "code"), INACTIVE)
def test_rfc9701_tokens_that_count_for_nothing(members: dict[str, object], code: str) -> None:
    assert process_signed(jwt_reply(signed({}, {}))).subject == "u1"
    with pytest.raises(GatewayError) as error:
        process_signed(jwt_reply(signed({}, {"token_introspection": {**HONEST, **members}})))
    assert error.value.code == code


def test_rfc7662_active_is_required() -> None:
    with pytest.raises(GatewayError) as error:
        process(json_reply(without(HONEST, "active")))
    assert error.value.code == "introspection_invalid"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json_reply([HONEST]), id="list"),
        pytest.param(json_reply(HONEST, 201), id="another status"),
        pytest.param(json_reply(HONEST, 400), id="error with an active token"),
        pytest.param(json_reply({"error": "invalid_client"}, 401), id="client refused"),
        pytest.param(Reply(status=204), id="no content, which is for a phantom token"),
        pytest.param(Reply(status=302, headers={"location": "https://evil.example/"}), id="redirect"),
        pytest.param(jwt_reply(b"{}", "text/html"), id="HTML"),
        pytest.param(jwt_reply(signed({}, {})), id="signed answer that we did not ask for"),
        pytest.param(jwt_reply(b'{"active":false,"active":true}', JSON_TYPE), id="active twice"),
        pytest.param(jwt_reply(b'{"active":true', JSON_TYPE), id="cut off"),
        pytest.param(jwt_reply(b"", JSON_TYPE), id="empty"),
    ],
)
def test_rfc7662_answers_that_are_refused(reply: Reply) -> None:
    with pytest.raises(GatewayError) as error:
        process(reply)
    assert error.value.code == "introspection_invalid"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_outage_says_nothing_about_the_token(status: int) -> None:
    for check in (process, process_signed, lambda reply: process_phantom(reply, NOW)):
        with pytest.raises(ProviderUnavailable) as error:
            check(json_reply(HONEST, status))
        assert error.value.code == "provider_unreachable"


def test_rfc9701_a_signed_answer() -> None:
    answer = process_signed(jwt_reply(signed({}, {})))
    assert (answer.subject, answer.members) == ("u1", HONEST)


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        pytest.param({"typ": "application/Token-Introspection+JWT"}, {}, id="typ written out"),
        pytest.param({}, {"aud": ["other", "c1"]}, id="aud as a list"),
        pytest.param({}, {"iat": NOW + LEEWAY}, id="iat within the leeway"),
        pytest.param({}, {"iat": NOW - MAX_ANSWER_AGE - LEEWAY}, id="iat just young enough"),
        pytest.param({}, {"active": False, "sub": "u2", "exp": 1}, id="only token_introspection is read"),
    ],
)
def test_rfc9701_signed_answers(header: dict[str, object], claims: dict[str, object]) -> None:
    assert process_signed(jwt_reply(signed(header, claims))).subject == "u1"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(signed({"typ": "JWT"}, {}), id="typ JWT"),
        pytest.param(signed({"typ": "at+jwt"}, {}), id="typ of an access token"),
        pytest.param(signed({"typ": ["token-introspection+jwt"]}, {}), id="typ in a list"),
        pytest.param(signed_claims(without(HEADER, "typ"), CLAIMS, KEY), id="no typ"),
        pytest.param(signed({}, {"iss": "https://evil.example"}), id="another issuer"),
        pytest.param(signed({}, {"iss": None}), id="no issuer"),
        pytest.param(signed({}, {"aud": "c2"}), id="another resource server"),
        pytest.param(signed({}, {"aud": []}), id="no audience"),
        pytest.param(signed({}, {"aud": {"c1": 1}}), id="aud is an object"),
        pytest.param(signed({}, {"iat": NOW + LEEWAY + 1}), id="from the future"),
        pytest.param(signed({}, {"iat": NOW - MAX_ANSWER_AGE - LEEWAY - 1}), id="from yesterday"),
        pytest.param(signed_claims(HEADER, without(CLAIMS, "iat"), KEY), id="no iat"),
        pytest.param(signed({}, {"iat": str(NOW)}), id="iat is a text"),
        pytest.param(signed({}, {"token_introspection": None}), id="no token_introspection"),
        pytest.param(signed({}, {"token_introspection": [HONEST]}), id="token_introspection is a list"),
        pytest.param(
            signed_claims(HEADER, {**HONEST, **without(CLAIMS, "token_introspection")}, KEY), id="members at the top"
        ),
        pytest.param(tampered(signed({}, {})), id="signature altered"),
        pytest.param(signed({}, {}, rsa_key("mallory")), id="another's key"),
        pytest.param(signed({"kid": "k2"}, {}), id="unknown kid"),
        pytest.param(signed({"alg": "RS512"}, {}), id="another algorithm"),
        pytest.param(signed({"alg": "HS256"}, {}, CLIENT.client_secret.encode()), id="MAC instead of a signature"),
        pytest.param(signed({}, {}).rpartition(".")[0] + ".", id="no signature"),
        pytest.param(compact(HEADER, b"[]", KEY), id="payload is a list"),
        pytest.param("a.b.c.d.e", id="encrypted, not yet decrypted"),
        pytest.param("", id="empty"),
        pytest.param("\u00e9.b.c", id="not ASCII"),
    ],
)
def test_rfc9701_answers_that_are_refused(raw: str) -> None:
    assert process_signed(jwt_reply(signed({}, {}))).subject == "u1"
    with pytest.raises(GatewayError) as error:
        process_signed(jwt_reply(raw))
    assert error.value.code == "introspection_invalid"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json_reply(HONEST), id="RFC 9701 8.2 downgrade to JSON"),
        pytest.param(jwt_reply(signed({}, {}), "application/jwt"), id="another kind of JWT"),
        pytest.param(jwt_reply(signed({}, {}), ""), id="no media type"),
        pytest.param(jwt_reply(signed({}, {}), status=400), id="error"),
        pytest.param(Reply(status=204), id="no content"),
    ],
)
def test_rfc9701_no_downgrade(reply: Reply) -> None:
    with pytest.raises(GatewayError) as error:
        process_signed(reply)
    assert error.value.code == "introspection_invalid"


def test_rfc9701_is_refused_where_none_is_registered() -> None:
    with pytest.raises(GatewayError) as error:
        process_signed(jwt_reply(signed({}, {})), replace(CLIENT, introspection=None))
    assert error.value.code == "introspection_invalid"


def test_rfc9701_a_mac_where_one_is_registered() -> None:
    client = replace(CLIENT, introspection=Protection(algorithms=("HS256",)))
    raw = signed({"alg": "HS256"}, {}, CLIENT.client_secret.encode())
    assert process_signed(jwt_reply(raw), client).subject == "u1"
    with pytest.raises(GatewayError) as error:
        process_signed(jwt_reply(tampered(raw)), client)
    assert error.value.code == "introspection_invalid"


PHANTOM_HEADER: Final[Mapping[str, object]] = {"alg": "RS256", "kid": "k1", "typ": "at+jwt"}
PHANTOM: Final = signed_claims(PHANTOM_HEADER, {"sub": "u1", "exp": NOW + 300}, KEY)


def phantom(cache_control: str = "", raw: str = PHANTOM) -> PhantomToken:
    return process_phantom(jwt_reply(raw, PHANTOM_TYPE, cache_control=cache_control), NOW)


def phantom_jwt(header: Mapping[str, object], claims: Mapping[str, object]) -> str:
    return signed_claims({**PHANTOM_HEADER, **header}, claims, KEY)


def unsigned_jwt(header: Mapping[str, object]) -> str:
    parts = json.dumps(header), json.dumps({"exp": NOW + 300}), "signature"
    return ".".join(encode(part.encode("ascii")) for part in parts)


def test_a_phantom_token() -> None:
    token = phantom("max-age=120")
    assert token == PhantomToken(raw=PHANTOM, expires_at=NOW + 300, reusable_until=NOW + 120)
    assert PHANTOM not in repr(token)


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        pytest.param("", 0, id="not said"),
        pytest.param("max-age=0", 0, id="zero"),
        pytest.param("private, MAX-AGE=7 , must-revalidate", 7, id="among others, in another case"),
        pytest.param("max-age=300", 300, id="as long as exp"),
        pytest.param("max-age=301", 300, id="never past exp"),
        pytest.param("max-age=999999999", 300, id="years"),
        pytest.param("max-age=" + "9" * 5000, 0, id="huge"),
        pytest.param("max-age=-1", 0, id="negative"),
        pytest.param("max-age=+7", 0, id="signed"),
        pytest.param("max-age=7.5", 0, id="fraction"),
        pytest.param("max-age=\xb2", 0, id="another digit"),
        pytest.param("max-age", 0, id="no value"),
        pytest.param("max-age=7, max-age=9", 0, id="twice"),
        pytest.param("s-maxage=7", 0, id="for shared caches"),
        pytest.param("no-store, max-age=7", 0, id="no-store"),
        pytest.param("max-age=7, No-Cache", 0, id="no-cache"),
        pytest.param('private="x, max-age=7, y"', 0, id="within quotes"),
    ],
)
def test_how_long_a_phantom_token_is_reused(cache_control: str, seconds: int) -> None:
    assert phantom(cache_control).reusable_until == NOW + seconds


def test_a_phantom_token_is_not_reused_for_ever() -> None:
    token = phantom("max-age=99999999", phantom_jwt({}, {"exp": NOW + 99_999_999}))
    assert token.reusable_until == NOW + MAX_REUSE_SECONDS


def test_the_longest_phantom_token() -> None:
    header, payload, _ = PHANTOM.split(".")
    raw = f"{header}.{payload}."
    raw += "A" * (MAX_PHANTOM_BYTES - len(raw))
    assert phantom(raw=raw).raw == raw
    with pytest.raises(GatewayError) as error:
        phantom(raw=raw + "A")
    assert error.value.code == "introspection_invalid"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(Reply(status=204), "token_inactive", id="SEED: 204 is inactive"),
        pytest.param(Reply(status=204, body=b"x"), "token_inactive", id="204 with a body"),
        pytest.param(jwt_reply(PHANTOM, PHANTOM_TYPE, 400), "introspection_invalid", id="SEED: another error"),
        pytest.param(jwt_reply(PHANTOM, PHANTOM_TYPE, 401), "introspection_invalid", id="client refused"),
        pytest.param(jwt_reply(PHANTOM, PHANTOM_TYPE, 302), "introspection_invalid", id="redirect"),
        pytest.param(json_reply(HONEST), "introspection_invalid", id="JSON"),
        pytest.param(json_reply({"active": False}), "introspection_invalid", id="JSON, inactive"),
        pytest.param(jwt_reply(PHANTOM, "text/plain"), "introspection_invalid", id="another media type"),
        pytest.param(jwt_reply(PHANTOM, SIGNED_TYPE), "introspection_invalid", id="RFC 9701 media type"),
        pytest.param(jwt_reply(b"", PHANTOM_TYPE), "introspection_invalid", id="empty"),
        pytest.param(jwt_reply(b"\xff.b.c", PHANTOM_TYPE), "introspection_invalid", id="not ASCII"),
        pytest.param(jwt_reply(PHANTOM + "\n", PHANTOM_TYPE), "introspection_invalid", id="line break"),
        pytest.param(jwt_reply(PHANTOM + "\r\nX-Admin: 1", PHANTOM_TYPE), "introspection_invalid", id="header"),
        pytest.param(jwt_reply(PHANTOM + "=", PHANTOM_TYPE), "introspection_invalid", id="padding"),
        pytest.param(jwt_reply(PHANTOM + ".a.b", PHANTOM_TYPE), "introspection_invalid", id="five parts"),
        pytest.param(jwt_reply(PHANTOM.rpartition(".")[0] + ".", PHANTOM_TYPE), "introspection_invalid", id="bare"),
        pytest.param(jwt_reply("opaque-token", PHANTOM_TYPE), "introspection_invalid", id="opaque token"),
        pytest.param(jwt_reply("a.b.c", PHANTOM_TYPE), "introspection_invalid", id="no JSON within"),
        pytest.param(jwt_reply(compact(PHANTOM_HEADER, b"[]", KEY), PHANTOM_TYPE), "introspection_invalid", id="list"),
        pytest.param(jwt_reply("A" * (1 << 20), PHANTOM_TYPE), "introspection_invalid", id="1 MB"),
    ],
)  # fmt: skip
def test_phantom_answers_that_are_refused(reply: Reply, code: str) -> None:
    assert phantom().raw == PHANTOM
    with pytest.raises(GatewayError) as error:
        process_phantom(reply, NOW)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(phantom_jwt({}, {"exp": NOW}), "token_inactive", id="expired"),
        pytest.param(phantom_jwt({}, {"sub": "u1"}), "introspection_invalid", id="no exp"),
        pytest.param(phantom_jwt({}, {"exp": None}), "introspection_invalid", id="exp is null"),
        pytest.param(phantom_jwt({}, {"exp": str(NOW + 9)}), "introspection_invalid", id="exp is a text"),
        pytest.param(phantom_jwt({}, {"exp": 1 << 40}), "introspection_invalid", id="exp is huge"),
        pytest.param(
            phantom_jwt({"typ": "token-introspection+jwt"}, {"exp": NOW + 300}),
            "introspection_invalid",
            id="RFC 9701 8.1 no access token",
        ),
        pytest.param(unsigned_jwt({"alg": "None"}), "introspection_invalid", id="alg none"),
        pytest.param(unsigned_jwt({"alg": ["RS256"]}), "introspection_invalid", id="alg is a list"),
        pytest.param(unsigned_jwt({}), "introspection_invalid", id="no alg"),
    ],
)
def test_phantom_tokens_that_are_refused(raw: str, code: str) -> None:
    with pytest.raises(GatewayError) as error:
        phantom(raw=raw)
    assert error.value.code == code
