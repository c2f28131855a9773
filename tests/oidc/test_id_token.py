"""The ID token (OIDC Core 3.1.3.7, 3.3, 12.2): an honest one, and a refusal for each thing that can be wrong."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError
from gateway.oidc.authorization_response import AuthorizationResponse, check_authorization_response, read_response
from gateway.oidc.client import Client, Protection
from gateway.oidc.id_token import (
    MAX_AGE_OF_IAT,
    MAX_SUBJECT_LENGTH,
    Expected,
    IDToken,
    check_front_channel_id_token,
    check_id_token,
    check_refreshed_id_token,
)
from gateway.oidc.jose import KeySet, half_hash, parse_signed
from gateway.oidc.protected import open_signed
from oidc.encryption import encrypted
from oidc.keys import SigningKey, ec_key, ed_key, encode, key_set, public_jwk, rsa_key, signed_claims, tampered
from oidc.parties import LEEWAY, METADATA, NOW, SECRET, TRANSACTION, decryption_key

CLIENT: Final = Client(
    client_id="c1",
    client_secret=SECRET,
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/",
    id_token=Protection(algorithms=("ES256",)),
    leeway=LEEWAY,
)
EXPECTED: Final = Expected(issuer="https://op.example", client=CLIENT, now=NOW, access_token="at")
HONEST: Final[Mapping[str, object]] = {
    "iss": "https://op.example",
    "sub": "u1",
    "aud": "c1",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "no",
    "unknown_claim": {"a": [1]},
}
LOGIN: Final[Mapping[str, object]] = {**HONEST, "auth_time": NOW - 10}
MISSING: Final = object()
"""The value of a claim that is left out."""


def key_for(algorithm: str, owner: str) -> SigningKey:
    if algorithm.startswith("HS"):
        return SECRET.encode("utf-8") if owner == "op" else b"x" * 64
    if algorithm.startswith("ES"):
        return ec_key(owner, {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm])
    return ed_key(owner) if algorithm.startswith("Ed") else rsa_key(owner)


def provider_keys() -> KeySet:
    return key_set(
        public_jwk(rsa_key("op"), {"kid": "k1"}),
        *(public_jwk(ec_key("op", curve), {"kid": "k1"}) for curve in ("P-256", "P-384", "P-521")),
        public_jwk(ed_key("op"), {"kid": "k1"}),
    )


def token_of(
    changes: Mapping[str, object],
    base: Mapping[str, object] = HONEST,
    algorithm: str = "ES256",
    owner: str = "op",
) -> str:
    claims = {name: value for name, value in {**base, **changes}.items() if value is not MISSING}
    return signed_claims({"alg": algorithm, "kid": "k1"}, claims, key_for(algorithm, owner))


def check(
    raw: str,
    *,
    max_age: int | None = None,
    expected: Expected = EXPECTED,
    acr_values: tuple[str, ...] = (),
    earlier: IDToken | None = None,
) -> IDToken:
    token = open_signed(raw, expected.client.id_token, expected.client)
    transaction = replace(TRANSACTION, max_age=max_age, acr_values=acr_values)
    return check_id_token(token, provider_keys(), expected, transaction, earlier=earlier)


def check_code(
    raw: str, *, max_age: int | None = None, expected: Expected = EXPECTED, acr_values: tuple[str, ...] = ()
) -> str:
    with pytest.raises(GatewayError) as error:
        check(raw, max_age=max_age, expected=expected, acr_values=acr_values)
    return error.value.code


def refresh(raw: str, login: Mapping[str, object] = LOGIN) -> IDToken:
    token = parse_signed(raw, CLIENT.id_token.algorithms)
    return check_refreshed_id_token(token, provider_keys(), EXPECTED, login=login)


def pinned(*algorithms: str) -> Expected:
    return replace(EXPECTED, client=replace(CLIENT, id_token=Protection(algorithms=algorithms)))


def test_b1_an_honest_id_token() -> None:
    raw = token_of({})
    id_token = check(raw)
    assert id_token.subject == "u1"
    assert id_token.claims == HONEST
    assert id_token.raw == raw
    assert raw not in repr(id_token)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519", "HS256"])
def test_the_signature(algorithm: str) -> None:
    """B8, and the same altered (B10, K2, K3), by another key, and by an algorithm that is not pinned (A8)."""
    raw = token_of({}, algorithm=algorithm)
    assert check(raw, expected=pinned(algorithm)).subject == "u1"
    assert check_code(tampered(raw), expected=pinned(algorithm)) == "jwt_signature_invalid"
    forged = token_of({}, algorithm=algorithm, owner="attacker")
    assert check_code(forged, expected=pinned(algorithm)) == "jwt_signature_invalid"
    assert check_code(raw, expected=pinned("RS384")) == "jwt_alg_refused"


def test_b9_an_id_token_without_a_signature() -> None:
    body = token_of({}).split(".")[1]
    raw = encode(b'{"alg":"none"}') + f".{body}."
    assert check_code(raw) == "jwt_alg_refused"
    assert check_code(raw, expected=pinned("ES256", "none")) == "jwt_alg_refused"


def test_a_public_client_takes_no_mac() -> None:
    """An empty secret is known to everybody."""
    protection = Protection(algorithms=("HS256", "ES256"))
    public = replace(EXPECTED, client=replace(CLIENT, client_secret="", id_token=protection))
    raw = signed_claims({"alg": "HS256"}, HONEST, b"")
    assert check(token_of({}), expected=public).subject == "u1"
    assert check_code(raw, expected=public) == "jwt_alg_refused"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": ["c1"]}, id="A13 aud as a list"),
        pytest.param({"aud": ["c1", "c1"]}, id="aud names us twice"),
        pytest.param({"aud": ["c1", "c2"], "azp": "c1"}, id="several audiences, azp is us"),
        pytest.param({"azp": "c1"}, id="azp is us"),
        pytest.param({"exp": NOW - LEEWAY + 1}, id="exp within the leeway"),
        pytest.param({"exp": NOW + 300.5}, id="exp with a fraction"),
        pytest.param({"iat": NOW + LEEWAY}, id="iat within the leeway"),
        pytest.param({"iat": NOW - MAX_AGE_OF_IAT}, id="iat of a day ago"),
        pytest.param({"nbf": NOW + LEEWAY}, id="nbf within the leeway"),
        pytest.param({"at_hash": half_hash("at", "ES256")}, id="at_hash"),
        pytest.param({"auth_time": NOW + LEEWAY}, id="auth_time within the leeway"),
        pytest.param({"sub": "x" * MAX_SUBJECT_LENGTH}, id="sub of the greatest length"),
        pytest.param({"typ": "ID", "sid": "s%&+ 1", "acr": None}, id="H5 claims that we do not check"),
    ],
)
def test_id_tokens_that_pass(changes: dict[str, object]) -> None:
    assert check(token_of(changes)).claims == {**HONEST, **changes}


COMMON: Final = [
    pytest.param({"iss": "https://op.example1"}, "id_token_iss_mismatch", id="B2 A4 R2 another iss"),
    pytest.param({"iss": "https://op.example/"}, "id_token_iss_mismatch", id="B2 iss with a slash"),
    pytest.param({"iss": "https://OP.example"}, "id_token_iss_mismatch", id="B2 iss in another case"),
    pytest.param({"iss": MISSING}, "id_token_claim_invalid", id="A12 no iss"),
    pytest.param({"iss": ["https://op.example"]}, "id_token_claim_invalid", id="iss in a list"),
    pytest.param({"sub": MISSING}, "id_token_claim_invalid", id="B3 no sub"),
    pytest.param({"sub": ""}, "id_token_claim_invalid", id="B3 empty sub"),
    pytest.param({"sub": None}, "id_token_claim_invalid", id="B3 sub is null"),
    pytest.param({"sub": 1}, "id_token_claim_invalid", id="B3 sub is a number"),
    pytest.param({"sub": "u1\r\nX-Admin: 1"}, "id_token_claim_invalid", id="sub with CR LF"),
    pytest.param({"sub": "\ud800"}, "id_token_claim_invalid", id="sub is half a character"),
    pytest.param({"sub": "x" * (MAX_SUBJECT_LENGTH + 1)}, "id_token_claim_invalid", id="sub is too long"),
    pytest.param({"aud": "c11"}, "id_token_aud_mismatch", id="B4 A5 another aud"),
    pytest.param({"aud": "C1"}, "id_token_aud_mismatch", id="B4 aud in another case"),
    pytest.param({"aud": "c1 c2"}, "id_token_aud_mismatch", id="B4 aud is not split"),
    pytest.param({"aud": ["c2"]}, "id_token_aud_mismatch", id="B4 another aud in a list"),
    pytest.param({"aud": []}, "id_token_aud_mismatch", id="B4 empty list"),
    pytest.param({"aud": "c2", "azp": "c1"}, "id_token_aud_mismatch", id="B4 azp does not make up for aud"),
    pytest.param({"aud": MISSING}, "id_token_claim_invalid", id="K1 A11 no aud"),
    pytest.param({"aud": None}, "id_token_claim_invalid", id="K1 aud is null"),
    pytest.param({"aud": {"c1": True}}, "id_token_claim_invalid", id="K1 aud is an object"),
    pytest.param({"aud": ["c1", 1]}, "id_token_claim_invalid", id="K1 aud with a number"),
    pytest.param({"aud": ["c1", "c11"]}, "id_token_azp_mismatch", id="A6 several audiences, no azp"),
    pytest.param({"aud": ["c1", "c2"], "azp": "c2"}, "id_token_azp_mismatch", id="several audiences, azp is another"),
    pytest.param({"azp": "c2"}, "id_token_azp_mismatch", id="azp is another"),
    pytest.param({"azp": ["c1"]}, "id_token_azp_mismatch", id="azp in a list"),
    pytest.param({"azp": ""}, "id_token_azp_mismatch", id="empty azp"),
    pytest.param({"exp": NOW - LEEWAY}, "id_token_expired", id="exp past the leeway"),
    pytest.param({"exp": NOW - 360}, "id_token_expired", id="A9 exp six minutes ago"),
    pytest.param({"exp": 1}, "id_token_expired", id="exp in 1970"),
    pytest.param({"exp": MISSING}, "id_token_claim_invalid", id="A10 no exp"),
    pytest.param({"exp": str(NOW + 300)}, "id_token_claim_invalid", id="exp is a text"),
    pytest.param({"exp": True}, "id_token_claim_invalid", id="exp is a boolean"),
    pytest.param({"exp": None}, "id_token_claim_invalid", id="exp is null"),
    pytest.param({"exp": [NOW + 300]}, "id_token_claim_invalid", id="exp in a list"),
    pytest.param({"exp": (NOW + 300) * 1000}, "id_token_claim_invalid", id="exp in milliseconds"),
    pytest.param({"exp": 10**400}, "id_token_claim_invalid", id="exp is huge"),
    pytest.param({"exp": 1e300}, "id_token_claim_invalid", id="exp is a huge float"),
    pytest.param({"exp": -1}, "id_token_claim_invalid", id="exp is negative"),
    pytest.param({"iat": MISSING}, "id_token_claim_invalid", id="B5 no iat"),
    pytest.param({"iat": str(NOW)}, "id_token_claim_invalid", id="B5 iat is a text"),
    pytest.param({"iat": False}, "id_token_claim_invalid", id="B5 iat is a boolean"),
    pytest.param({"iat": 10**400}, "id_token_claim_invalid", id="iat is huge"),
    pytest.param({"iat": NOW + LEEWAY + 1}, "id_token_not_yet_valid", id="iat past the leeway"),
    pytest.param({"iat": NOW - MAX_AGE_OF_IAT - 1}, "id_token_too_old", id="iat of more than a day ago"),
    pytest.param({"iat": NOW - 7 * 24 * 3600}, "id_token_too_old", id="iat of a week ago"),
    pytest.param({"nbf": NOW + LEEWAY + 1}, "id_token_not_yet_valid", id="nbf past the leeway"),
    pytest.param({"nbf": str(NOW)}, "id_token_claim_invalid", id="nbf is a text"),
    pytest.param({"nbf": None}, "id_token_claim_invalid", id="nbf is null"),
    pytest.param({"at_hash": half_hash("at2", "ES256")}, "id_token_at_hash_mismatch", id="at_hash of another token"),
    pytest.param({"at_hash": half_hash("at", "ES384")}, "id_token_at_hash_mismatch", id="at_hash of another hash"),
    pytest.param({"at_hash": ""}, "id_token_at_hash_mismatch", id="empty at_hash"),
    pytest.param({"at_hash": None}, "id_token_claim_invalid", id="at_hash is null"),
]


@pytest.mark.parametrize(("changes", "code"), COMMON)
def test_id_tokens_that_are_refused(changes: dict[str, object], code: str) -> None:
    assert check(token_of({})).subject == "u1"
    assert check_code(token_of(changes)) == code


@pytest.mark.parametrize(("changes", "code"), COMMON)
def test_a_refreshed_id_token_is_held_to_the_same_checks(changes: dict[str, object], code: str) -> None:
    """DESIGN 5 rule 2, CONFORMANCE R2."""
    assert refresh(token_of({})).subject == "u1"
    with pytest.raises(GatewayError) as error:
        refresh(token_of(changes))
    assert error.value.code == code


@pytest.mark.parametrize(
    ("nonce", "code"),
    [
        pytest.param("no1", "id_token_nonce_mismatch", id="B12 A14 another nonce"),
        pytest.param("NO", "id_token_nonce_mismatch", id="B12 another case"),
        pytest.param("", "id_token_nonce_mismatch", id="B12 empty"),
        pytest.param("\u00e9", "id_token_nonce_mismatch", id="B12 not ASCII"),
        pytest.param("\ud800", "id_token_nonce_mismatch", id="B12 half a character"),
        pytest.param(MISSING, "id_token_claim_invalid", id="A15 missing"),
        pytest.param(None, "id_token_claim_invalid", id="A15 null"),
        pytest.param(["no"], "id_token_claim_invalid", id="in a list"),
    ],
)
def test_the_nonce_of_a_login(nonce: object, code: str) -> None:
    assert check(token_of({})).subject == "u1"
    assert check_code(token_of({"nonce": nonce})) == code


@pytest.mark.parametrize(
    ("algorithm", "hash_of"),
    [
        pytest.param("RS256", "RS256", id="RS256"),
        pytest.param("HS256", "HS256", id="HS256"),
        pytest.param("ES384", "RS384", id="ES384 hashes with SHA-384"),
        pytest.param("ES512", "RS512", id="ES512 hashes with SHA-512"),
        pytest.param("EdDSA", "RS512", id="EdDSA hashes with SHA-512"),
        pytest.param("Ed25519", "RS512", id="Ed25519 hashes with SHA-512"),
    ],
)
def test_at_hash_follows_the_algorithm(algorithm: str, hash_of: str) -> None:
    """OIDC Core 3.1.3.6: and the hash of another access token is refused."""
    raw = token_of({"at_hash": half_hash("at", hash_of)}, algorithm=algorithm)
    assert check(raw, expected=pinned(algorithm)).subject == "u1"
    other = replace(pinned(algorithm), access_token="at2")
    assert check_code(raw, expected=other) == "id_token_at_hash_mismatch"


@pytest.mark.parametrize(
    ("auth_time", "max_age"),
    [
        pytest.param(NOW - 300, 300, id="just young enough"),
        pytest.param(NOW - 300 - LEEWAY, 300, id="within the leeway"),
        pytest.param(NOW, 0, id="max_age zero"),
        pytest.param(NOW - 10**6, None, id="max_age not asked for"),
        pytest.param(MISSING, None, id="neither"),
    ],
)
def test_auth_time(auth_time: object, max_age: int | None) -> None:
    assert check(token_of({"auth_time": auth_time}), max_age=max_age).subject == "u1"


@pytest.mark.parametrize(
    ("auth_time", "max_age", "code"),
    [
        pytest.param(NOW - 301 - LEEWAY, 300, "id_token_auth_time_invalid", id="too long ago"),
        pytest.param(NOW - 1 - LEEWAY, 0, "id_token_auth_time_invalid", id="max_age zero"),
        pytest.param(MISSING, 300, "id_token_auth_time_invalid", id="missing though asked for"),
        pytest.param(MISSING, 0, "id_token_auth_time_invalid", id="missing, max_age zero"),
        pytest.param(NOW + LEEWAY + 1, None, "id_token_auth_time_invalid", id="in the future"),
        pytest.param(NOW + LEEWAY + 1, 300, "id_token_auth_time_invalid", id="in the future, max_age asked for"),
        pytest.param(str(NOW), 300, "id_token_claim_invalid", id="a text"),
        pytest.param(True, 300, "id_token_claim_invalid", id="a boolean"),
        pytest.param(None, 300, "id_token_claim_invalid", id="null"),
        pytest.param(1e300, 300, "id_token_claim_invalid", id="huge"),
    ],
)
def test_auth_time_that_is_refused(auth_time: object, max_age: int | None, code: str) -> None:
    assert check(token_of({"auth_time": NOW}), max_age=300).subject == "u1"
    assert check_code(token_of({"auth_time": auth_time}), max_age=max_age) == code


@pytest.mark.parametrize(
    ("changes", "login"),
    [
        pytest.param({"nonce": MISSING}, LOGIN, id="no nonce"),
        pytest.param({}, LOGIN, id="the same nonce"),
        pytest.param({"auth_time": NOW - 10}, LOGIN, id="the same auth_time"),
        pytest.param({"auth_time": NOW - 99}, HONEST, id="auth_time that the login did not have"),
        pytest.param({"email": "new@example.org"}, LOGIN, id="other claims may change"),
    ],
)
def test_r1_refreshed_id_tokens_that_pass(changes: dict[str, object], login: Mapping[str, object]) -> None:
    assert refresh(token_of(changes), login).subject == "u1"


@pytest.mark.parametrize(
    ("changes", "login", "code"),
    [
        pytest.param({"sub": "u2"}, LOGIN, "id_token_sub_mismatch", id="R3 another sub"),
        pytest.param({"sub": "U1"}, LOGIN, "id_token_sub_mismatch", id="R3 sub in another case"),
        pytest.param({}, {"nonce": "no"}, "id_token_sub_mismatch", id="R3 a login without sub"),
        pytest.param({"auth_time": NOW}, LOGIN, "id_token_auth_time_invalid", id="another auth_time"),
        pytest.param({"auth_time": None}, LOGIN, "id_token_auth_time_invalid", id="auth_time is null"),
        pytest.param({"nonce": "no1"}, LOGIN, "id_token_nonce_mismatch", id="another nonce"),
        pytest.param({"nonce": None}, LOGIN, "id_token_nonce_mismatch", id="nonce is null"),
        pytest.param({}, {"sub": "u1"}, "id_token_nonce_mismatch", id="nonce that the login did not have"),
    ],
)
def test_refreshed_id_tokens_that_are_refused(
    changes: dict[str, object], login: Mapping[str, object], code: str
) -> None:
    """OIDC Core 12.2."""
    assert refresh(token_of({})).subject == "u1"
    with pytest.raises(GatewayError) as error:
        refresh(token_of(changes), login)
    assert error.value.code == code


def test_a_refreshed_id_token_with_an_altered_signature_is_refused() -> None:
    with pytest.raises(GatewayError) as error:
        refresh(tampered(token_of({})))
    assert error.value.code == "jwt_signature_invalid"


def test_only_the_checks_make_an_id_token() -> None:
    with pytest.raises(TypeError):
        IDToken(subject="u1", claims={}, raw="a.b.c", checked=object())


def test_the_access_token_stays_out_of_the_repr() -> None:
    assert "s3cret" not in repr(replace(EXPECTED, access_token="s3cret"))


@pytest.mark.parametrize(
    ("acr", "acr_values"),
    [
        pytest.param("gold", ("gold",), id="the one that was asked for"),
        pytest.param("silver", ("gold", "silver"), id="one of those that were asked for"),
        pytest.param("0", (), id="none was asked for"),
        pytest.param(MISSING, (), id="neither"),
        pytest.param(["gold"], (), id="H5 a list that nobody asked for"),
    ],
)
def test_acr(acr: object, acr_values: tuple[str, ...]) -> None:
    """OIDC Core 3.1.3.7 (12), RFC 9470 5."""
    assert check(token_of({"acr": acr}), acr_values=acr_values).subject == "u1"


@pytest.mark.parametrize(
    "acr",
    [
        pytest.param(MISSING, id="missing"),
        pytest.param(None, id="null"),
        pytest.param("", id="empty"),
        pytest.param("bronze", id="another"),
        pytest.param("GOLD", id="another case"),
        pytest.param("gold silver", id="both in one text"),
        pytest.param(["gold"], id="in a list"),
        pytest.param({"gold": True}, id="an object"),
        pytest.param(True, id="a boolean"),
        pytest.param("x" * 1000, id="a long one"),
    ],
)
def test_acr_that_does_not_suffice(acr: object) -> None:
    assert check(token_of({"acr": "gold"}), acr_values=("gold", "silver")).subject == "u1"
    assert check_code(token_of({"acr": acr}), acr_values=("gold", "silver")) == "id_token_acr_mismatch"


CODE: Final = "a code"
FRONT: Final[Mapping[str, object]] = {**HONEST, "c_hash": half_hash(CODE, "ES256")}
FRONT_EXPECTED: Final = replace(EXPECTED, access_token="")


def response_of(code: str = CODE, raw: str = "a.b.c") -> AuthorizationResponse:
    hybrid = replace(CLIENT, response_type="code id_token", response_mode="form_post")
    received = read_response({"state": "st", "code": code, "id_token": raw}, hybrid, posted=True)
    return check_authorization_response(received, TRANSACTION, metadata=METADATA, client=hybrid, keys=(), now=NOW)


def check_front(
    raw: str, *, response: AuthorizationResponse | None = None, expected: Expected = FRONT_EXPECTED
) -> IDToken:
    token = open_signed(raw, expected.client.id_token, expected.client)
    return check_front_channel_id_token(token, provider_keys(), expected, response or response_of())


def front_code(raw: str, *, response: AuthorizationResponse | None = None, expected: Expected = FRONT_EXPECTED) -> str:
    with pytest.raises(GatewayError) as error:
        check_front(raw, response=response, expected=expected)
    return error.value.code


def test_an_honest_id_token_through_the_browser() -> None:
    """OIDC Core 3.3.2.10 to 3.3.2.12."""
    id_token = check_front(token_of({}, FRONT))
    assert (id_token.subject, id_token.claims) == ("u1", FRONT)


@pytest.mark.parametrize(("changes", "code"), [case for case in COMMON if "at_hash" not in str(case.values[0])])
def test_an_id_token_through_the_browser_is_held_to_the_same_checks(changes: dict[str, object], code: str) -> None:
    """CONFORMANCE 1.6: all faults of the basic plan move here."""
    assert check_front(token_of({}, FRONT)).subject == "u1"
    assert front_code(token_of(changes, FRONT)) == code


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"nonce": "no1"}, "id_token_nonce_mismatch", id="B12 another nonce"),
        pytest.param({"nonce": MISSING}, "id_token_claim_invalid", id="nonce-unless-code-flow missing"),
        pytest.param({"nonce": ["no"]}, "id_token_claim_invalid", id="nonce in a list"),
        pytest.param({"c_hash": MISSING}, "id_token_claim_invalid", id="missing-chash"),
        pytest.param({"c_hash": None}, "id_token_claim_invalid", id="missing-chash null"),
        pytest.param({"c_hash": [half_hash(CODE, "ES256")]}, "id_token_claim_invalid", id="invalid-chash in a list"),
        pytest.param({"c_hash": ""}, "id_token_c_hash_mismatch", id="invalid-chash empty"),
        pytest.param({"c_hash": half_hash("b", "ES256")}, "id_token_c_hash_mismatch", id="invalid-chash another code"),
        pytest.param({"c_hash": half_hash(CODE, "ES384")}, "id_token_c_hash_mismatch", id="invalid-chash another hash"),
        pytest.param({"c_hash": CODE}, "id_token_c_hash_mismatch", id="invalid-chash the code itself"),
        pytest.param({"c_hash": half_hash(CODE, "ES256") + "=="}, "id_token_c_hash_mismatch", id="c_hash with padding"),
        pytest.param({"c_hash": "\u00e9"}, "id_token_c_hash_mismatch", id="c_hash is not ASCII"),
        pytest.param({"s_hash": half_hash("st1", "ES256")}, "id_token_s_hash_mismatch", id="invalid-shash"),
        pytest.param({"s_hash": half_hash("st", "ES512")}, "id_token_s_hash_mismatch", id="invalid-shash another hash"),
        pytest.param({"s_hash": ""}, "id_token_s_hash_mismatch", id="invalid-shash empty"),
        pytest.param({"s_hash": None}, "id_token_claim_invalid", id="invalid-shash null"),
        pytest.param({"s_hash": [half_hash("st", "ES256")]}, "id_token_claim_invalid", id="invalid-shash in a list"),
    ],
)
def test_what_binds_an_id_token_to_its_response(changes: dict[str, object], code: str) -> None:
    """OIDC Core 3.3.2.11, FAPI 1.0 5.2.2.1."""
    assert check_front(token_of({}, FRONT)).subject == "u1"
    assert front_code(token_of(changes, FRONT)) == code


@pytest.mark.parametrize("changes", [{}, {"s_hash": half_hash("st", "ES256")}], ids=["no s_hash", "s_hash"])
def test_s_hash_is_checked_where_it_is_there(changes: dict[str, object]) -> None:
    assert check_front(token_of(changes, FRONT)).subject == "u1"


def test_invalid_chash_a_code_of_another_response() -> None:
    """RFC 9700 4.5: a stolen code beside an honest ID token."""
    assert front_code(token_of({}, FRONT), response=response_of("another code")) == "id_token_c_hash_mismatch"


@pytest.mark.parametrize(("algorithm", "hash_of"), [("RS256", "RS256"), ("ES384", "RS384"), ("EdDSA", "RS512")])
def test_c_hash_follows_the_algorithm(algorithm: str, hash_of: str) -> None:
    expected = replace(pinned(algorithm), access_token="")
    right = token_of({"c_hash": half_hash(CODE, hash_of)}, FRONT, algorithm)
    assert check_front(right, expected=expected).subject == "u1"
    wrong = token_of({"c_hash": half_hash("b", hash_of)}, FRONT, algorithm)
    assert front_code(wrong, expected=expected) == "id_token_c_hash_mismatch"


def test_the_demands_of_the_transaction_count_in_the_browser_too() -> None:
    transaction = replace(TRANSACTION, acr_values=("gold",), max_age=60)
    response = replace(response_of(), transaction=transaction)
    good = {"acr": "gold", "auth_time": NOW}
    assert check_front(token_of(good, FRONT), response=response).subject == "u1"
    assert front_code(token_of({**good, "acr": "tin"}, FRONT), response=response) == "id_token_acr_mismatch"
    stale = token_of({**good, "auth_time": NOW - 1000}, FRONT)
    assert front_code(stale, response=response) == "id_token_auth_time_invalid"


@pytest.mark.parametrize("raw", [tampered(token_of({}, FRONT)), token_of({}, FRONT, owner="attacker")])
def test_an_id_token_through_the_browser_that_the_provider_did_not_sign(raw: str) -> None:
    assert front_code(raw) == "jwt_signature_invalid"


def test_both_id_tokens_are_about_one_user() -> None:
    """OIDC Core 3.3.3.6."""
    earlier = check_front(token_of({}, FRONT))
    assert check(token_of({}), earlier=earlier).subject == "u1"
    for sub in ("u2", "U1"):
        with pytest.raises(GatewayError) as error:
            check(token_of({"sub": sub}), earlier=earlier)
        assert error.value.code == "id_token_sub_mismatch"


def test_the_second_id_token_needs_its_own_nonce() -> None:
    """RFC 9700 4.5.3.2: the one from the token endpoint counts, whatever came before."""
    earlier = check_front(token_of({}, FRONT))
    with pytest.raises(GatewayError) as error:
        check(token_of({"nonce": MISSING}), earlier=earlier)
    assert error.value.code == "id_token_claim_invalid"


ENCRYPTED: Final = replace(
    EXPECTED,
    client=replace(
        CLIENT,
        id_token=Protection(algorithms=("ES256",), encryption=("RSA-OAEP", "A256GCM")),
        decryption_keys=(decryption_key("RSA-OAEP"),),
    ),
)


def encrypted_to(owner: str, text: str, algorithm: str = "RSA-OAEP", encoding: str = "A256GCM") -> str:
    return encrypted(text.encode(), algorithm, encoding, rsa_key(owner).public_key()).compact()


def test_encrypted_idtoken() -> None:
    """FAPI1-Adv encrypted-idtoken, OIDC Core 10.2: opened, then checked like any other; what is kept is the JWS."""
    raw = token_of({})
    id_token = check(encrypted_to("us", raw), expected=ENCRYPTED)
    assert (id_token.subject, id_token.raw) == ("u1", raw)
    assert check_code(encrypted_to("us", token_of({"aud": "c2"})), expected=ENCRYPTED) == "id_token_aud_mismatch"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(token_of({}), "jwe_not_encrypted", id="3.1.3.7 (1) not encrypted though agreed"),
        pytest.param(encrypted_to("us", token_of({}), "RSA1_5"), "jwe_alg_refused", id="encrypted-idtoken-usingrsa15"),
        pytest.param(encrypted_to("us", token_of({}), "RSA-OAEP-256"), "jwe_alg_refused", id="another alg"),
        pytest.param(encrypted_to("us", token_of({}), encoding="A128GCM"), "jwe_alg_refused", id="another enc"),
        pytest.param(encrypted_to("op", token_of({})), "jwe_decryption_failed", id="for somebody else"),
        pytest.param(encrypted_to("us", tampered(token_of({}))), "jwt_signature_invalid", id="B10 altered inside"),
        pytest.param(encrypted_to("us", "{}"), "jwt_malformed", id="nothing signed inside"),
        pytest.param(
            encrypted_to("us", token_of({}, algorithm="RS256")), "jwt_alg_refused", id="A8 not pinned, inside"
        ),
    ],
)
def test_encrypted_id_tokens_that_are_refused(raw: str, code: str) -> None:
    """That only the provider could have encrypted it proves nothing: the key is public."""
    assert check(encrypted_to("us", token_of({})), expected=ENCRYPTED).subject == "u1"
    assert check_code(raw, expected=ENCRYPTED) == code


def test_an_encrypted_id_token_that_was_not_agreed() -> None:
    assert check_code(encrypted_to("us", token_of({}))) == "jwt_malformed"
