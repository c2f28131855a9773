"""The logout token (Back-Channel Logout 1.0 2.6): an honest one, and a refusal for each thing that can be wrong."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError
from gateway.oidc.claims_reading import MAX_IDENTIFIER_LENGTH
from gateway.oidc.client import Client, Protection
from gateway.oidc.jose import KeySet
from gateway.oidc.logout_token import LOGOUT_EVENT, MAX_AGE_OF_IAT, LogoutToken, check_logout_token
from gateway.oidc.protected import open_signed
from oidc.encryption import encrypted
from oidc.keys import SigningKey, compact, ec_key, encode, key_set, public_jwk, rsa_key, signed_claims, tampered
from oidc.parties import ISSUER, LEEWAY, NOW, SECRET, decryption_key

CLIENT: Final = Client(
    client_id="c1",
    client_secret=SECRET,
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/",
    id_token=Protection(algorithms=("ES256",)),
    leeway=LEEWAY,
)
HONEST: Final[Mapping[str, object]] = {
    "iss": ISSUER,
    "sub": "u1",
    "aud": "c1",
    "jti": "j1",
    "sid": "s%&+ 1",
    "events": {LOGOUT_EVENT: {}},
    "iat": NOW,
    "exp": NOW + 120,
    "ignored_claim": {"a": [1]},
}
HEADER: Final[Mapping[str, object]] = {"alg": "ES256", "kid": "k1"}
MISSING: Final = object()
"""The value of a claim that is left out."""


def key_for(algorithm: str, owner: str) -> SigningKey:
    if algorithm.startswith("HS"):
        return SECRET.encode("utf-8") if owner == "op" else b"x" * 64
    return ec_key(owner) if algorithm == "ES256" else rsa_key(owner)


def provider_keys() -> KeySet:
    return key_set(public_jwk(rsa_key("op"), {"kid": "k1"}), public_jwk(ec_key("op"), {"kid": "k1"}))


def token_of(changes: Mapping[str, object], header: Mapping[str, object] | None = None, owner: str = "op") -> str:
    claims = {name: value for name, value in {**HONEST, **changes}.items() if value is not MISSING}
    members = {**HEADER, **(header or {})}
    return signed_claims(members, claims, key_for(str(members["alg"]), owner))


def check(raw: str, client: Client = CLIENT, now: int = NOW) -> LogoutToken:
    token = open_signed(raw, client.id_token, client)
    return check_logout_token(token, provider_keys(), issuer=ISSUER, client=client, now=now)


def refusal(raw: str, client: Client = CLIENT, now: int = NOW) -> str:
    with pytest.raises(GatewayError) as error:
        check(raw, client, now)
    return error.value.code


def pinned(*algorithms: str) -> Client:
    return replace(CLIENT, id_token=Protection(algorithms=algorithms))


def test_l6_an_honest_logout_token() -> None:
    token = check(token_of({}))
    assert (token.subject, token.sid, token.jti, token.issued_at) == ("u1", "s%&+ 1", "j1", NOW)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "HS256"])
def test_the_signature(algorithm: str) -> None:
    """2.6 (2), (3): as for ID tokens; L8 is the algorithm that is not pinned, though the provider has a key for it."""
    raw = token_of({}, {"alg": algorithm})
    assert check(raw, pinned(algorithm)).sid == "s%&+ 1"
    assert refusal(tampered(raw), pinned(algorithm)) == "logout_token_signature_invalid"
    assert refusal(token_of({}, {"alg": algorithm}, "attacker"), pinned(algorithm)) == "logout_token_signature_invalid"
    assert refusal(raw, pinned("RS384")) == "jwt_alg_refused"


def test_an_unknown_kid_is_told_as_the_cause() -> None:
    """OIDC Core 10.1.1: who asks may fetch the keys once more."""
    assert check(token_of({})).sid == "s%&+ 1"
    with pytest.raises(GatewayError) as error:
        check(token_of({}, {"kid": "k2"}))
    cause = error.value.__cause__
    assert isinstance(cause, GatewayError)
    assert (error.value.code, cause.code) == ("logout_token_signature_invalid", "jwt_key_unknown")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'["c1"]', id="a list"),
        pytest.param(b"", id="empty"),
        pytest.param(json.dumps(HONEST).encode()[:-1] + b', "sub": "u2"}', id="sub twice"),
    ],
)
def test_a_payload_that_is_no_object_of_single_claims(payload: bytes) -> None:
    """RFC 8725 2.4: of two claims, another reader could take the other one."""
    assert check(compact(HEADER, json.dumps(HONEST).encode(), ec_key("op"))).subject == "u1"
    assert refusal(compact(HEADER, payload, ec_key("op"))) == "logout_token_signature_invalid"


@pytest.mark.parametrize("pins", [("ES256",), ("ES256", "none")], ids=["not pinned", "even if it were"])
def test_l7_a_logout_token_without_a_signature(pins: tuple[str, ...]) -> None:
    assert check(token_of({}), pinned(*pins)).sid == "s%&+ 1"
    raw = encode(b'{"alg":"none"}') + f".{token_of({}).split('.')[1]}."
    assert refusal(raw, pinned(*pins)) == "jwt_alg_refused"


@pytest.mark.parametrize(
    "typ",
    [
        pytest.param("JWT", id="JWT"),
        pytest.param("jwt", id="JWT in lower case"),
        pytest.param("logout+jwt", id="2.4 logout+jwt"),
        pytest.param("Logout+JWT", id="2.4 logout+jwt in another case"),
        pytest.param("application/logout+jwt", id="RFC 7515 4.1.9 with application/"),
        pytest.param("Application/JWT", id="RFC 7515 4.1.9 with application/ in another case"),
    ],
)
def test_types_that_pass(typ: str) -> None:
    assert check(token_of({})).jti == "j1"  # L6: a type cannot be demanded.
    assert check(token_of({}, {"typ": typ})).jti == "j1"


@pytest.mark.parametrize(
    "typ",
    [
        pytest.param("at+jwt", id="RFC 9068 access token"),
        pytest.param("dpop+jwt", id="RFC 9449 proof"),
        pytest.param("token-introspection+jwt", id="RFC 9701 introspection"),
        pytest.param("secevent+jwt", id="RFC 8417 another security event"),
        pytest.param("logout+jwt ", id="with a space"),
        pytest.param("application/application/jwt", id="application/ twice"),
        pytest.param("text/jwt", id="text/"),
        pytest.param("", id="empty"),
        pytest.param(None, id="null"),
        pytest.param(["JWT"], id="in a list"),
    ],
)
def test_the_type_of_another_token(typ: object) -> None:
    """4.1, RFC 8725 3.11."""
    assert check(token_of({}, {"typ": "logout+jwt"})).jti == "j1"
    assert refusal(token_of({}, {"typ": typ})) == "logout_token_type_refused"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": ["c1"]}, id="aud as a list"),
        pytest.param({"aud": ["c2", "c1"]}, id="another audience too"),
        pytest.param({"aud": ["c2", "c1"], "azp": "c2"}, id="azp says nothing here"),
        pytest.param({"iat": NOW + LEEWAY}, id="iat within the leeway"),
        pytest.param({"iat": NOW - MAX_AGE_OF_IAT - LEEWAY}, id="iat of the greatest age"),
        pytest.param({"iat": NOW - 0.5}, id="iat with a fraction"),
        pytest.param({"exp": NOW - LEEWAY + 1}, id="exp within the leeway"),
        pytest.param({"exp": MISSING}, id="2.4 no exp, as in the drafts"),
        pytest.param({"sid": MISSING}, id="(5) sub alone"),
        pytest.param({"sub": MISSING}, id="(5) sid alone"),
        pytest.param({"sub": "x" * MAX_IDENTIFIER_LENGTH}, id="sub of the greatest length"),
        pytest.param({"sid": "x" * MAX_IDENTIFIER_LENGTH}, id="sid of the greatest length"),
        pytest.param({"jti": "x" * MAX_IDENTIFIER_LENGTH}, id="jti of the greatest length"),
        pytest.param({"events": {LOGOUT_EVENT: {"reason": 1}}}, id="2.4 the event has members"),
        pytest.param({"events": {LOGOUT_EVENT: {}, "https://op.example/other": []}}, id="RFC 8417 2 another event too"),
    ],
)
def test_logout_tokens_that_pass(changes: dict[str, object]) -> None:
    claims = {**HONEST, **changes}
    token = check(token_of(changes))
    found = (token.subject, token.sid, token.jti)
    assert found == tuple(None if claims[name] is MISSING else claims[name] for name in ("sub", "sid", "jti"))


REFUSED: Final = [
    pytest.param({"iss": f"{ISSUER}INVALID"}, "logout_token_iss_mismatch", id="L9 another iss"),
    pytest.param({"iss": f"{ISSUER}/"}, "logout_token_iss_mismatch", id="L9 iss with a slash"),
    pytest.param({"iss": ISSUER.upper()}, "logout_token_iss_mismatch", id="L9 iss in another case"),
    pytest.param({"iss": ""}, "logout_token_iss_mismatch", id="L9 empty iss"),
    pytest.param({"iss": MISSING}, "logout_token_claim_invalid", id="no iss"),
    pytest.param({"iss": None}, "logout_token_claim_invalid", id="iss is null"),
    pytest.param({"iss": [ISSUER]}, "logout_token_claim_invalid", id="iss in a list"),
    pytest.param({"aud": "c1INVALID"}, "logout_token_aud_mismatch", id="L10 another aud"),
    pytest.param({"aud": "C1"}, "logout_token_aud_mismatch", id="L10 aud in another case"),
    pytest.param({"aud": "c1 c2"}, "logout_token_aud_mismatch", id="L10 aud is not split"),
    pytest.param({"aud": ["c2"]}, "logout_token_aud_mismatch", id="L10 another aud in a list"),
    pytest.param({"aud": []}, "logout_token_aud_mismatch", id="L10 empty list"),
    pytest.param({"aud": ""}, "logout_token_aud_mismatch", id="L10 empty aud"),
    pytest.param({"aud": MISSING}, "logout_token_claim_invalid", id="no aud"),
    pytest.param({"aud": None}, "logout_token_claim_invalid", id="aud is null"),
    pytest.param({"aud": {"c1": True}}, "logout_token_claim_invalid", id="aud is an object"),
    pytest.param({"aud": ["c1", 1]}, "logout_token_claim_invalid", id="aud with a number"),
    pytest.param({"iat": MISSING}, "logout_token_claim_invalid", id="no iat"),
    pytest.param({"iat": None}, "logout_token_claim_invalid", id="iat is null"),
    pytest.param({"iat": str(NOW)}, "logout_token_claim_invalid", id="iat is a text"),
    pytest.param({"iat": True}, "logout_token_claim_invalid", id="iat is a boolean"),
    pytest.param({"iat": [NOW]}, "logout_token_claim_invalid", id="iat in a list"),
    pytest.param({"iat": NOW * 1000}, "logout_token_claim_invalid", id="iat in milliseconds"),
    pytest.param({"iat": 10**400}, "logout_token_claim_invalid", id="iat is huge"),
    pytest.param({"iat": NOW + LEEWAY + 1}, "logout_token_not_yet_valid", id="iat past the leeway"),
    pytest.param({"iat": NOW - MAX_AGE_OF_IAT - LEEWAY - 1}, "logout_token_too_old", id="iat too long ago"),
    pytest.param({"iat": NOW - 3 * 3600, "exp": NOW + 3600}, "logout_token_too_old", id="hours in a queue"),
    pytest.param({"iat": NOW - 3 * 3600, "exp": MISSING}, "logout_token_too_old", id="hours in a queue, no exp"),
    pytest.param({"exp": NOW - LEEWAY}, "logout_token_expired", id="exp past the leeway"),
    pytest.param({"exp": 1}, "logout_token_expired", id="exp in 1970"),
    pytest.param({"exp": None}, "logout_token_claim_invalid", id="exp is null"),
    pytest.param({"exp": str(NOW + 120)}, "logout_token_claim_invalid", id="exp is a text"),
    pytest.param({"exp": True}, "logout_token_claim_invalid", id="exp is a boolean"),
    pytest.param({"exp": -1}, "logout_token_claim_invalid", id="exp is negative"),
    pytest.param({"jti": MISSING}, "logout_token_jti_invalid", id="2.4 no jti"),
    pytest.param({"jti": None}, "logout_token_jti_invalid", id="2.4 jti is null"),
    pytest.param({"jti": ""}, "logout_token_jti_invalid", id="2.4 empty jti"),
    pytest.param({"jti": 1}, "logout_token_jti_invalid", id="2.4 jti is a number"),
    pytest.param({"jti": ["j1"]}, "logout_token_jti_invalid", id="2.4 jti in a list"),
    pytest.param({"jti": "j\n1"}, "logout_token_jti_invalid", id="jti with a line break"),
    pytest.param({"jti": "\ud800"}, "logout_token_jti_invalid", id="jti is half a character"),
    pytest.param({"jti": "x" * (MAX_IDENTIFIER_LENGTH + 1)}, "logout_token_jti_invalid", id="jti is too long"),
    pytest.param({"sub": MISSING, "sid": MISSING}, "logout_token_subject_missing", id="(5) neither sub nor sid"),
    *(
        pytest.param({name: value}, "logout_token_claim_invalid", id=f"(5) {name} {what}, the other one is good")
        for name in ("sub", "sid")
        for value, what in (
            (None, "is null"),
            ("", "is empty"),
            (1, "is a number"),
            (["u1"], "in a list"),
            ("u1\r\nX-Admin: 1", "with CR LF"),
            ("\ud800", "is half a character"),
            ("x" * (MAX_IDENTIFIER_LENGTH + 1), "is too long"),
        )
    ),
    pytest.param({"events": MISSING}, "logout_token_event_invalid", id="L11 no events"),
    pytest.param({"events": None}, "logout_token_event_invalid", id="L11 events is null"),
    pytest.param({"events": {}}, "logout_token_event_invalid", id="L11 no event"),
    pytest.param({"events": LOGOUT_EVENT}, "logout_token_event_invalid", id="events is a text"),
    pytest.param({"events": [LOGOUT_EVENT]}, "logout_token_event_invalid", id="events is a list"),
    pytest.param({"events": {f"{LOGOUT_EVENT}1": {}}}, "logout_token_event_invalid", id="L12 another event"),
    pytest.param({"events": {LOGOUT_EVENT.upper(): {}}}, "logout_token_event_invalid", id="L12 event in another case"),
    pytest.param({"events": {LOGOUT_EVENT: None}}, "logout_token_event_invalid", id="2.4 the event is null"),
    pytest.param({"events": {LOGOUT_EVENT: []}}, "logout_token_event_invalid", id="2.4 the event is a list"),
    pytest.param({"events": {LOGOUT_EVENT: "{}"}}, "logout_token_event_invalid", id="2.4 the event is a text"),
    pytest.param({"events": {LOGOUT_EVENT: True}}, "logout_token_event_invalid", id="2.4 the event is a boolean"),
    pytest.param({"nonce": "no"}, "logout_token_nonce_refused", id="L13 nonce"),
    pytest.param({"nonce": ""}, "logout_token_nonce_refused", id="L13 empty nonce"),
    pytest.param({"nonce": None}, "logout_token_nonce_refused", id="L13 nonce is null"),
]


@pytest.mark.parametrize(("changes", "code"), REFUSED)
def test_logout_tokens_that_are_refused(changes: dict[str, object], code: str) -> None:
    assert check(token_of({})).subject == "u1"
    assert refusal(token_of(changes)) == code


def test_every_refusal_of_the_checks_is_a_400() -> None:
    """2.8."""
    for case in REFUSED:
        changes = case.values[0]
        assert isinstance(changes, dict)
        with pytest.raises(GatewayError) as error:
            check(token_of(changes))
        assert error.value.problem.status == 400


@pytest.mark.parametrize(
    ("later", "code"),
    [
        pytest.param(120 + LEEWAY, "logout_token_expired", id="two minutes and the leeway"),
        pytest.param(MAX_AGE_OF_IAT + LEEWAY + 1, "logout_token_too_old", id="longer than we wait"),
    ],
)
def test_a_logout_token_that_was_kept_is_worth_nothing_later(later: int, code: str) -> None:
    raw = token_of({})
    assert check(raw, now=NOW + 120).subject == "u1"
    assert refusal(raw, now=NOW + later) == code


def test_an_id_token_is_no_logout_token() -> None:
    """4: the provider signs both with the same key, for the same audience."""
    id_token = {"jti": MISSING, "events": MISSING, "nonce": "no"}
    assert check(token_of({})).subject == "u1"
    assert refusal(token_of(id_token)) == "logout_token_jti_invalid"
    assert refusal(token_of({**id_token, "jti": "j1"})) == "logout_token_event_invalid"


ENCRYPTED: Final = replace(
    CLIENT,
    id_token=Protection(algorithms=("ES256",), encryption=("RSA-OAEP", "A256GCM")),
    decryption_keys=(decryption_key("RSA-OAEP"),),
)


def encrypted_to(owner: str, text: str) -> str:
    return encrypted(text.encode(), "RSA-OAEP", "A256GCM", rsa_key(owner).public_key()).compact()


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(token_of({}), "jwe_not_encrypted", id="not encrypted though agreed"),
        pytest.param(encrypted_to("op", token_of({})), "jwe_decryption_failed", id="for somebody else"),
        pytest.param(encrypted_to("us", tampered(token_of({}))), "logout_token_signature_invalid", id="altered inside"),
        pytest.param(encrypted_to("us", token_of({"nonce": "no"})), "logout_token_nonce_refused", id="L13 inside"),
    ],
)
def test_an_encrypted_logout_token(raw: str, code: str) -> None:
    """2.6 (1)."""
    assert check(encrypted_to("us", token_of({})), ENCRYPTED).subject == "u1"
    assert refusal(raw, ENCRYPTED) == code


def test_only_the_checks_make_a_logout_token() -> None:
    with pytest.raises(TypeError):
        LogoutToken(subject="u1", sid=None, jti="j1", issued_at=NOW, checked=object())
