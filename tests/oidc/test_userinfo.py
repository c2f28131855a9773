"""Userinfo, plain, signed, encrypted (OIDC Core 5.3, RFC 6750 2.1; B11, D12, H6, K4, K6, P7, P8)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.client import Client, Protection, SenderConstraint
from gateway.oidc.id_token import MAX_SUBJECT_LENGTH
from gateway.oidc.jose import SignedToken
from gateway.oidc.messages import Reply
from gateway.oidc.token_endpoint import TokenSet
from gateway.oidc.userinfo import (
    check_signed_userinfo,
    check_subject,
    read_userinfo,
    subject_of,
    userinfo_call,
)
from oidc.encryption import encrypted
from oidc.keys import (
    JSON_HEADERS,
    SigningKey,
    compact,
    ec_key,
    encode,
    json_reply,
    key_set,
    public_jwk,
    rsa_key,
    signed_claims,
    tampered,
)
from oidc.parties import CLIENT, ISSUER, LEEWAY, METADATA, NOW, SECRET, decryption_key

URL: Final = "https://op.example/userinfo"
TOKENS: Final = TokenSet(access_token="at", scope="openid")
ENCRYPTION: Final = ("RSA-OAEP-256", "A128CBC-HS256")
SIGNING: Final = replace(CLIENT, userinfo=Protection(algorithms=("RS256",)))
WITH_KEY: Final = replace(CLIENT, decryption_keys=(decryption_key("RSA-OAEP-256"),))
ENCRYPTING: Final = replace(WITH_KEY, userinfo=Protection(algorithms=(), encryption=ENCRYPTION))
BOTH: Final = replace(WITH_KEY, userinfo=Protection(algorithms=("RS256",), encryption=ENCRYPTION))
KEYS: Final = key_set(public_jwk(rsa_key("op"), {"kid": "k1"}))
MEMBERS: Final[Mapping[str, object]] = {"sub": "u1", "email": "u@example.org"}
SIGNED: Final[Mapping[str, object]] = {"iss": ISSUER, "aud": "c1", **MEMBERS}
MISSING: Final = object()
"""The value of a claim that is left out."""


def process_userinfo(reply: Reply, subject: str, client: Client = CLIENT) -> Mapping[str, object]:
    answer = read_userinfo(reply, client)
    if isinstance(answer, SignedToken):
        answer = check_signed_userinfo(answer, KEYS, METADATA, client, NOW)
    return check_subject(answer, subject)


def refusal(reply: Reply, client: Client = CLIENT) -> str:
    with pytest.raises(GatewayError) as error:
        process_userinfo(reply, "u1", client)
    return error.value.code


def jwt(changes: Mapping[str, object], key: SigningKey | None = None, algorithm: str = "RS256") -> str:
    claims = {name: value for name, value in {**SIGNED, **changes}.items() if value is not MISSING}
    return signed_claims({"alg": algorithm, "kid": "k1"}, claims, key or rsa_key("op"))


def jwt_reply(raw: str, media_type: str = "application/jwt", status: int = 200) -> Reply:
    return Reply(status=status, headers={"content-type": media_type}, body=raw.encode("utf-8"))


def jwe(text: str, algorithm: str = "RSA-OAEP-256", owner: str = "us") -> str:
    return encrypted(text.encode(), algorithm, "A128CBC-HS256", rsa_key(owner).public_key()).compact()


def test_h6_the_userinfo_request_has_its_token_in_the_header_alone() -> None:
    call = userinfo_call(URL, CLIENT, TOKENS)
    assert (call.method, call.url, call.body) == ("GET", "https://op.example/userinfo", b"")
    assert call.headers == {"Authorization": "Bearer at", "Accept": "application/json"}


@pytest.mark.parametrize(("scheme", "header"), [("Bearer", "Bearer at"), ("DPoP", "DPoP at")])
def test_p8_how_the_token_is_presented(scheme: str, header: str) -> None:
    assert userinfo_call(URL, CLIENT, replace(TOKENS, scheme=scheme)).headers["Authorization"] == header


@pytest.mark.parametrize("constraint", SenderConstraint)
def test_p7_a_certificate_is_presented_wherever_there_is_one(constraint: SenderConstraint) -> None:
    """RFC 8705 5: the call goes to the alias, which asks for it."""
    client = replace(CLIENT, sender_constraint=constraint)
    assert userinfo_call(URL, replace(client, has_certificate=True), TOKENS).mutual_tls
    assert not userinfo_call(URL, client, TOKENS).mutual_tls


@pytest.mark.parametrize("client", [SIGNING, ENCRYPTING, BOTH], ids=["signed", "encrypted", "both"])
def test_a_protected_answer_is_asked_for(client: Client) -> None:
    assert userinfo_call(URL, client, TOKENS).headers["Accept"] == "application/jwt"


def test_the_access_token_stays_out_of_the_repr() -> None:
    assert "s3cret" not in repr(userinfo_call(URL, CLIENT, replace(TOKENS, access_token="s3cret")))


def test_userinfo_of_the_same_subject() -> None:
    """K6: claims of other parties are not followed."""
    members = {"sub": "u1", "email": "u@example.org", "_claim_sources": {"src1": {"JWT": "a.b.c"}}}
    assert process_userinfo(json_reply(members), "u1") == members


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(json_reply({"sub": "u1invalid"}), "userinfo_sub_mismatch", id="B11 another sub"),
        pytest.param(json_reply({"sub": "U1"}), "userinfo_sub_mismatch", id="B11 sub in another case"),
        pytest.param(json_reply({"email": "u@example.org"}), "userinfo_sub_mismatch", id="B11 no sub"),
        pytest.param(json_reply({"sub": None}), "userinfo_sub_mismatch", id="B11 sub is null"),
        pytest.param(json_reply({"sub": ["u1"]}), "userinfo_sub_mismatch", id="B11 sub in a list"),
        pytest.param(json_reply({"sub": "u1"}, 401), "userinfo_invalid", id="token refused"),
        pytest.param(json_reply({"sub": "u1"}, 302), "userinfo_invalid", id="redirect"),
        pytest.param(json_reply({"sub": "u1"}, 201), "userinfo_invalid", id="another success"),
        pytest.param(json_reply({"sub": "u1"}, 503), "provider_unreachable", id="outage"),
        pytest.param(json_reply(["u1"]), "provider_answer_invalid", id="list"),
        pytest.param(
            Reply(status=200, headers={"content-type": "application/jwt"}, body=b'{"sub":"u1"}'),
            "provider_answer_invalid",
            id="JWT that we did not ask for",
        ),
        pytest.param(
            Reply(status=200, headers=JSON_HEADERS, body=b'{"sub":"u2","sub":"u1"}'),
            "provider_answer_invalid",
            id="sub twice",
        ),
    ],
)
def test_userinfo_that_is_discarded(reply: Reply, code: str) -> None:
    assert process_userinfo(json_reply({"sub": "u1"}), "u1")
    assert refusal(reply) == code


@pytest.mark.parametrize("client", [CLIENT, SIGNING, BOTH], ids=["plain", "signed", "both"])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_says_nothing_about_the_user(client: Client, status: int) -> None:
    with pytest.raises(ProviderUnavailable):
        read_userinfo(jwt_reply(jwt({}), status=status), client)


HONEST: Final = (
    (CLIENT, json_reply(MEMBERS)),
    (SIGNING, jwt_reply(jwt({}))),
    (ENCRYPTING, jwt_reply(jwe(json.dumps(MEMBERS)))),
    (BOTH, jwt_reply(jwe(jwt({})))),
)
FORMS: Final = ("plain", "signed", "encrypted", "both")
MISMATCHES: Final = {
    ("plain", "signed"): "provider_answer_invalid",
    ("plain", "encrypted"): "provider_answer_invalid",
    ("plain", "both"): "provider_answer_invalid",
    ("signed", "plain"): "userinfo_invalid",
    ("signed", "encrypted"): "jwt_malformed",
    ("signed", "both"): "jwt_malformed",
    ("encrypted", "plain"): "userinfo_invalid",
    ("encrypted", "signed"): "jwe_not_encrypted",
    ("encrypted", "both"): "provider_answer_invalid",
    ("both", "plain"): "userinfo_invalid",
    ("both", "signed"): "jwe_not_encrypted",
    ("both", "encrypted"): "jwt_malformed",
}


@pytest.mark.parametrize(("client", "reply"), HONEST, ids=FORMS)
def test_d12_the_form_that_was_agreed(client: Client, reply: Reply) -> None:
    """What the envelope says is no claim about the user."""
    assert process_userinfo(reply, "u1", client) == MEMBERS


@pytest.mark.parametrize(
    ("agreed", "received", "code"),
    [pytest.param(*pair, code, id=f"{pair[0]} agreed, {pair[1]} received") for pair, code in MISMATCHES.items()],
)
def test_another_form_than_the_one_that_was_agreed(agreed: str, received: str, code: str) -> None:
    """OIDC Core 5.3.2: no downgrade, and nothing that nobody agreed on."""
    client, _ = HONEST[FORMS.index(agreed)]
    _, reply = HONEST[FORMS.index(received)]
    assert refusal(reply, client) == code


@pytest.mark.parametrize(
    "media_type", ["Application/JWT", "application/jwt; charset=utf-8"], ids=["another case", "parameters"]
)
def test_the_media_type_of_signed_userinfo(media_type: str) -> None:
    assert process_userinfo(jwt_reply(jwt({}), media_type), "u1", SIGNING) == MEMBERS


def test_a_line_break_after_the_token_is_no_part_of_it() -> None:
    assert process_userinfo(jwt_reply(jwt({}) + "\r\n"), "u1", SIGNING) == MEMBERS


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(jwt_reply(tampered(jwt({}))), "jwt_signature_invalid", id="D12 signature altered"),
        pytest.param(jwt_reply(jwt({}, rsa_key("attacker"))), "jwt_signature_invalid", id="D12 another key"),
        pytest.param(jwt_reply(jwt({}, ec_key("op"), "ES256")), "jwt_alg_refused", id="D12 alg that is not pinned"),
        pytest.param(jwt_reply(jwt({}, SECRET.encode(), "HS256")), "jwt_alg_refused", id="a MAC that is not pinned"),
        pytest.param(
            jwt_reply(encode(b'{"alg":"none"}') + "." + jwt({}).split(".")[1] + "."), "jwt_alg_refused", id="none"
        ),
        pytest.param(jwt_reply(jwt({"iss": MISSING})), "userinfo_iss_mismatch", id="D12 no iss"),
        pytest.param(jwt_reply(jwt({"iss": f"{ISSUER}/"})), "userinfo_iss_mismatch", id="D12 iss with a slash"),
        pytest.param(jwt_reply(jwt({"iss": [ISSUER]})), "userinfo_iss_mismatch", id="D12 iss in a list"),
        pytest.param(jwt_reply(jwt({"iss": "x" * 9000})), "userinfo_iss_mismatch", id="D12 a long iss"),
        pytest.param(jwt_reply(jwt({"exp": NOW - 86_400})), "userinfo_expired", id="of yesterday"),
        pytest.param(jwt_reply(jwt({"exp": NOW - LEEWAY})), "userinfo_expired", id="just past the leeway"),
        pytest.param(jwt_reply(jwt({"exp": True})), "userinfo_expired", id="exp is a boolean"),
        pytest.param(jwt_reply(jwt({"exp": [NOW + 60]})), "userinfo_expired", id="exp is a list"),
        pytest.param(jwt_reply(jwt({"aud": MISSING})), "userinfo_aud_mismatch", id="D12 no aud"),
        pytest.param(jwt_reply(jwt({"aud": None})), "userinfo_aud_mismatch", id="D12 aud is null"),
        pytest.param(jwt_reply(jwt({"aud": "c11"})), "userinfo_aud_mismatch", id="D12 another aud"),
        pytest.param(jwt_reply(jwt({"aud": ["c2"]})), "userinfo_aud_mismatch", id="D12 another aud in a list"),
        pytest.param(jwt_reply(jwt({"aud": []})), "userinfo_aud_mismatch", id="D12 empty list"),
        pytest.param(jwt_reply(jwt({"aud": {"c1": 1}})), "userinfo_aud_mismatch", id="D12 aud is an object"),
        pytest.param(jwt_reply(jwt({"aud": "a c1 b"})), "userinfo_aud_mismatch", id="D12 aud is not split"),
        pytest.param(jwt_reply(jwt({"sub": "u2"})), "userinfo_sub_mismatch", id="B11 another sub, signed"),
        pytest.param(jwt_reply(jwt({"sub": MISSING})), "userinfo_sub_mismatch", id="B11 no sub, signed"),
        pytest.param(
            jwt_reply(compact({"alg": "RS256"}, b'{"sub":"u2","sub":"u1"}', rsa_key("op"))),
            "jwt_malformed",
            id="sub twice, signed",
        ),
        pytest.param(jwt_reply(compact({"alg": "RS256"}, b'"u1"', rsa_key("op"))), "jwt_malformed", id="a text"),
        pytest.param(jwt_reply(jwt({}), "application/json"), "userinfo_invalid", id="JWT called JSON"),
        pytest.param(jwt_reply(jwt({}), ""), "userinfo_invalid", id="no media type"),
        pytest.param(jwt_reply(jwt({}), status=403), "userinfo_invalid", id="another status"),
        pytest.param(jwt_reply("\u00e9.b.c"), "userinfo_invalid", id="not ASCII"),
        pytest.param(jwt_reply(""), "jwt_malformed", id="empty"),
        pytest.param(jwt_reply("a" * 10_000_000), "jwt_malformed", id="10 MB"),
    ],
)
def test_signed_userinfo_that_is_discarded(reply: Reply, code: str) -> None:
    assert process_userinfo(jwt_reply(jwt({})), "u1", SIGNING)
    assert refusal(reply, SIGNING) == code


@pytest.mark.parametrize("aud", ["c1", ["c1"], ["c2", "c1"]], ids=["us", "a list of us", "us among others"])
def test_the_audience_of_signed_userinfo(aud: object) -> None:
    assert process_userinfo(jwt_reply(jwt({"aud": aud})), "u1", SIGNING) == MEMBERS


def test_the_envelope_of_signed_userinfo_is_no_claim_about_the_user() -> None:
    envelope = {"exp": NOW + 60, "iat": NOW, "jti": "j"}
    assert process_userinfo(jwt_reply(jwt(envelope)), "u1", SIGNING) == MEMBERS


@pytest.mark.parametrize(
    ("reply", "client", "code"),
    [
        pytest.param(jwt_reply(jwe(tampered(jwt({})))), BOTH, "jwt_signature_invalid", id="altered inside"),
        pytest.param(jwt_reply(jwe(jwt({"aud": "c2"}))), BOTH, "userinfo_aud_mismatch", id="another aud inside"),
        pytest.param(jwt_reply(jwe(jwt({}), "RSA1_5")), BOTH, "jwe_alg_refused", id="RSA1_5"),
        pytest.param(jwt_reply(jwe(jwt({}), owner="op")), BOTH, "jwe_decryption_failed", id="for somebody else"),
        pytest.param(jwt_reply(jwe('{"sub":"u2"}')), ENCRYPTING, "userinfo_sub_mismatch", id="another sub inside"),
        pytest.param(jwt_reply(jwe('{"sub":1,"sub":"u1"}')), ENCRYPTING, "provider_answer_invalid", id="sub twice"),
        pytest.param(jwt_reply(jwe('["u1"]')), ENCRYPTING, "provider_answer_invalid", id="list inside"),
        pytest.param(jwt_reply(jwe("")), ENCRYPTING, "provider_answer_invalid", id="nothing inside"),
    ],
)
def test_encrypted_userinfo_that_is_discarded(reply: Reply, client: Client, code: str) -> None:
    assert process_userinfo(HONEST[FORMS.index("both")][1], "u1", BOTH)
    assert refusal(reply, client) == code


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        pytest.param("u1", "u1", id="text"),
        pytest.param(583231, "583231", id="number"),
        pytest.param(2**63, str(2**63), id="number of more than 64 bits"),
        pytest.param("\u00e9 1", "\u00e9 1", id="not ASCII"),
        pytest.param("x" * MAX_SUBJECT_LENGTH, "x" * MAX_SUBJECT_LENGTH, id="of the greatest length"),
    ],
)
def test_the_subject_where_there_is_no_id_token(value: object, subject: str) -> None:
    assert subject_of({"id": value, "sub": "another"}, "id") == subject


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({}, id="missing"),
        pytest.param({"sub": "u1"}, id="another member"),
        pytest.param({"ID": "u1"}, id="another case"),
        pytest.param({"id": None}, id="null"),
        pytest.param({"id": True}, id="a boolean"),
        pytest.param({"id": False}, id="a boolean that is false"),
        pytest.param({"id": ""}, id="empty"),
        pytest.param({"id": 1.0}, id="a fraction"),
        pytest.param({"id": ["u1"]}, id="list"),
        pytest.param({"id": {"u1": 1}}, id="object"),
        pytest.param({"id": "u1\r\nX-Admin: 1"}, id="CR LF"),
        pytest.param({"id": "\x00"}, id="NUL"),
        pytest.param({"id": "\ud800"}, id="half a character"),
        pytest.param({"id": "x" * (MAX_SUBJECT_LENGTH + 1)}, id="too long"),
        pytest.param({"id": "x" * 10_000_000}, id="10 MB"),
        pytest.param({"id": 10**MAX_SUBJECT_LENGTH}, id="a number that is too long"),
    ],
)
def test_what_names_no_user(members: dict[str, object]) -> None:
    with pytest.raises(GatewayError) as error:
        subject_of(members, "id")
    assert error.value.code == "userinfo_invalid"
    assert len(error.value.detail) < 200
