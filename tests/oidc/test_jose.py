"""Signed tokens and key sets (RFC 7515, 7517, 7518, 8037, 8725; CONFORMANCE B6-B10, C5, H2, K2, K3, P9)."""

import json
from collections.abc import Mapping
from typing import Final

import pytest

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.jose import (
    ASYMMETRIC_ALGORITHMS,
    MAX_KEYS,
    MAX_TOKEN_BYTES,
    SYMMETRIC_ALGORITHMS,
    KeySet,
    half_hash,
    knows,
    parse_signed,
    process_jwks,
    verify,
    verify_symmetric,
)
from gateway.oidc.messages import Reply
from oidc.keys import (
    JSON_HEADERS,
    PrivateKey,
    compact,
    ec_key,
    ed_key,
    encode,
    json_reply,
    key_set,
    public_jwk,
    public_pem,
    rsa_key,
    signed_claims,
    tampered,
)

CLAIMS: Final = {"sub": "u1"}
SECRET: Final = b"a client secret with punctuation %&+:/; and more than 64 bytes of it"
EVERY_ALGORITHM: Final = (*ASYMMETRIC_ALGORITHMS, *SYMMETRIC_ALGORITHMS)


def key_for(algorithm: str, owner: str = "op") -> PrivateKey:
    curves = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
    if algorithm in curves:
        return ec_key(owner, curves[algorithm])
    return ed_key(owner) if algorithm.startswith("Ed") else rsa_key(owner)


def token_of(algorithm: str, header: Mapping[str, object] | None = None, owner: str = "op") -> str:
    return signed_claims({"alg": algorithm, **(header or {})}, CLAIMS, key_for(algorithm, owner))


def keys_of(algorithm: str, members: Mapping[str, object] | None = None, owner: str = "op") -> KeySet:
    return key_set(public_jwk(key_for(algorithm, owner), members or {}))


def parse_code(raw: str, algorithms: tuple[str, ...] = ("RS256",)) -> str:
    with pytest.raises(GatewayError) as error:
        parse_signed(raw, algorithms)
    return error.value.code


def verify_code(raw: str, keys: KeySet, algorithms: tuple[str, ...] = EVERY_ALGORITHM) -> str:
    token = parse_signed(raw, algorithms)
    with pytest.raises(GatewayError) as error:
        verify(token, keys)
    return error.value.code


def raw_token(header: bytes, payload: bytes = b"{}", signature: bytes = b"x") -> str:
    return f"{encode(header)}.{encode(payload)}.{encode(signature)}"


@pytest.mark.parametrize("algorithm", ASYMMETRIC_ALGORITHMS)
def test_signatures_of_every_algorithm(algorithm: str) -> None:
    """B8: and the same with an altered signature (B10, K3), and with another owner's key."""
    raw, keys = token_of(algorithm), keys_of(algorithm)
    assert verify(parse_signed(raw, (algorithm,)), keys) == CLAIMS
    assert verify_code(tampered(raw), keys) == "jwt_signature_invalid"
    assert verify_code(token_of(algorithm, owner="attacker"), keys) == "jwt_signature_invalid"


@pytest.mark.parametrize("algorithm", SYMMETRIC_ALGORITHMS)
def test_macs_of_every_algorithm(algorithm: str) -> None:
    """OIDC Core 3.1.3.7 (8): and the same altered (K2), or with another secret."""
    raw = signed_claims({"alg": algorithm}, CLAIMS, SECRET)
    token = parse_signed(raw, (algorithm,))
    assert verify_symmetric(token, SECRET.decode()) == CLAIMS
    for bad_token, secret in ((parse_signed(tampered(raw), (algorithm,)), SECRET), (token, SECRET[::-1])):
        with pytest.raises(GatewayError) as error:
            verify_symmetric(bad_token, secret.decode())
        assert error.value.code == "jwt_signature_invalid"


@pytest.mark.parametrize(
    ("algorithm", "length"),
    [
        pytest.param("HS256", 31, id="HS256"),
        pytest.param("HS384", 47, id="HS384"),
        pytest.param("HS512", 63, id="HS512"),
        pytest.param("HS256", 0, id="no secret"),
    ],
)
def test_a_secret_is_as_long_as_the_hash(algorithm: str, length: int) -> None:
    """RFC 7518 3.2."""
    long_enough = b"s" * (int(algorithm[2:]) // 8)
    token = parse_signed(signed_claims({"alg": algorithm}, CLAIMS, long_enough), (algorithm,))
    assert verify_symmetric(token, long_enough.decode()) == CLAIMS
    short = parse_signed(signed_claims({"alg": algorithm}, CLAIMS, b"s" * length), (algorithm,))
    with pytest.raises(GatewayError) as error:
        verify_symmetric(short, "s" * length)
    assert error.value.code == "jwt_alg_refused"


def test_the_vector_of_rfc_7515_appendix_a_3() -> None:
    """ES256, its payload with line breaks inside."""
    jwk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }
    raw = (
        "eyJhbGciOiJFUzI1NiJ9"
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    )
    claims = {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    assert verify(parse_signed(raw, ("ES256",)), key_set(jwk)) == claims
    assert verify_code(tampered(raw), key_set(jwk)) == "jwt_signature_invalid"


def test_the_vector_of_rfc_8037_appendix_a_4() -> None:
    """A signature of Ed25519 whose payload is no JSON: it verifies, and is no token of ours."""
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    raw = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
        ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    )
    assert verify_code(raw, key_set(jwk)) == "jwt_malformed"
    assert verify_code(tampered(raw), key_set(jwk)) == "jwt_signature_invalid"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="empty"),
        pytest.param("a.b", id="two parts"),
        pytest.param("a.b.c.d.e", id="five parts, a JWE"),
        pytest.param("..", id="empty parts"),
        pytest.param(raw_token(b"[]"), id="header is a list"),
        pytest.param(raw_token(b"x"), id="header is no JSON"),
        pytest.param(raw_token(b'{"alg":"RS256","alg":"none"}'), id="alg twice"),
        pytest.param(raw_token(b'{"alg":"RS256","kid":1}'), id="kid is a number"),
        pytest.param(raw_token(b'{"alg":"RS256","kid":["k1"]}'), id="kid is a list"),
        pytest.param("\u00e9.b.c", id="not ASCII"),
        pytest.param("{}.b.c", id="header is not encoded"),
        pytest.param("eyJ.b.c", id="header is cut short"),
        pytest.param("a" * MAX_TOKEN_BYTES + ".b.c", id="too long"),
        pytest.param(json.dumps({"payload": "e30", "signatures": []}), id="JSON serialization"),
    ],
)
def test_what_is_no_compact_jws(raw: str) -> None:
    assert parse_signed(token_of("RS256"), ("RS256",)).algorithm == "RS256"
    assert parse_code(raw) == "jwt_malformed"


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "none ", ""])
@pytest.mark.parametrize(
    "pinned",
    [
        pytest.param(("RS256",), id="RS256 pinned"),
        pytest.param(("Ed25519", "none", "None", "NONE", "nOnE", "none ", ""), id="even if it is pinned"),
    ],
)
def test_none_is_never_an_algorithm(name: str, pinned: tuple[str, ...]) -> None:
    """B9, in every casing, with and without a signature."""
    header = json.dumps({"alg": name}).encode()
    assert parse_signed(token_of(pinned[0]), pinned).algorithm == pinned[0]
    assert parse_code(raw_token(header, json.dumps(CLAIMS).encode(), b""), pinned) == "jwt_alg_refused"
    assert parse_code(raw_token(header, json.dumps(CLAIMS).encode()), pinned) == "jwt_alg_refused"


@pytest.mark.parametrize(
    "alg",
    [
        pytest.param("RS512", id="same key, another hash"),
        pytest.param("PS256", id="same key, another padding"),
        pytest.param("ES256", id="another kind of key"),
        pytest.param("HS256", id="symmetric"),
        pytest.param("rs256", id="another case"),
        pytest.param("RS256 ", id="trailing space"),
        pytest.param("ES256K", id="known to the library, not to us"),
        pytest.param("RSA-OAEP", id="encryption"),
        pytest.param(None, id="null"),
        pytest.param(1, id="number"),
        pytest.param(["RS256"], id="list"),
    ],
)
def test_the_algorithm_is_pinned_by_us(alg: object) -> None:
    assert parse_signed(raw_token(b'{"alg":"RS256"}'), ("RS256",)).algorithm == "RS256"
    assert parse_code(raw_token(json.dumps({"alg": alg}).encode())) == "jwt_alg_refused"


def test_an_algorithm_that_is_missing_is_refused() -> None:
    assert parse_code(raw_token(b'{"typ":"JWT"}')) == "jwt_alg_refused"


@pytest.mark.parametrize("pinned", [("ES256K",), ("Ed448",), ("dir",)])
def test_an_algorithm_that_we_do_not_have_cannot_be_pinned(pinned: tuple[str, ...]) -> None:
    assert parse_code(raw_token(json.dumps({"alg": pinned[0]}).encode()), pinned) == "jwt_alg_refused"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"crit": ["exp"], "exp": 1}, id="crit"),
        pytest.param({"crit": []}, id="empty crit"),
        pytest.param({"crit": ["b64"], "b64": False}, id="crit b64"),
        pytest.param({"b64": False}, id="b64 alone"),
        pytest.param({"b64": True}, id="b64 true"),
    ],
)
def test_extensions_are_refused(members: dict[str, object]) -> None:
    """RFC 7515 4.1.11, RFC 7797."""
    assert parse_signed(token_of("RS256"), ("RS256",)).algorithm == "RS256"
    assert parse_code(token_of("RS256", members)) == "jwt_crit_refused"


ATTACKER_JWK: Final = public_jwk(ec_key("attacker"), {"kid": "k1"})


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"jwk": ATTACKER_JWK}, id="jwk"),
        pytest.param({"jku": "https://evil.example/jwks"}, id="jku"),
        pytest.param({"x5u": "https://evil.example/cert"}, id="x5u"),
        pytest.param({"x5c": ["MIIB"]}, id="x5c"),
    ],
)
def test_keys_in_the_header_are_never_looked_at(members: dict[str, object]) -> None:
    """RFC 8725 3.10."""
    header, keys = {**members, "kid": "k1"}, keys_of("ES256", {"kid": "k1"})
    assert verify(parse_signed(token_of("ES256", header), ("ES256",)), keys) == CLAIMS
    assert verify_code(token_of("ES256", header, owner="attacker"), keys) == "jwt_signature_invalid"


@pytest.mark.parametrize("secret", [public_pem(rsa_key("op")), public_pem(rsa_key("op")).strip()])
def test_a_public_key_is_no_secret(secret: bytes) -> None:
    """RFC 8725 2.1: RS/HS confusion, with and without HS256 allowed."""
    raw = signed_claims({"alg": "HS256", "kid": "k1"}, CLAIMS, secret)
    keys = keys_of("RS256", {"kid": "k1"})
    assert verify(parse_signed(token_of("RS256", {"kid": "k1"}), ("RS256",)), keys) == CLAIMS
    assert parse_code(raw) == "jwt_alg_refused"
    assert verify_code(raw, keys) == "jwt_key_unknown"
    with pytest.raises(GatewayError) as error:
        verify_symmetric(parse_signed(raw, ("RS256", "HS256")), SECRET.decode())
    assert error.value.code == "jwt_signature_invalid"
    with pytest.raises(GatewayError) as error:
        verify_symmetric(parse_signed(raw, ("HS256",)), secret.decode())
    assert error.value.code == "jwt_alg_refused"


def test_headers_that_providers_invent_are_ignored() -> None:
    """Unknown members, and a header longer than the library's own limit."""
    raw = token_of("ES256", {"typ": "JWT", "x-tenant": "t" * 2000, "pi.atm": "1"})
    assert verify(parse_signed(raw, ("ES256",)), keys_of("ES256")) == CLAIMS


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"[]", id="list"),
        pytest.param(b"x", id="no JSON"),
        pytest.param(b"", id="empty"),
        pytest.param(b'{"sub":"u1","sub":"u2"}', id="duplicate members"),
        pytest.param(b'{"exp":NaN}', id="NaN"),
        pytest.param(b'{"a":' * 40 + b"1" + b"}" * 40, id="nested too deep"),
    ],
)
def test_a_signed_payload_is_one_json_object(payload: bytes) -> None:
    assert verify(parse_signed(token_of("ES256"), ("ES256",)), keys_of("ES256")) == CLAIMS
    assert verify_code(compact({"alg": "ES256"}, payload, ec_key("op")), keys_of("ES256")) == "jwt_malformed"


HONEST_PARTS: Final = token_of("ES256").split(".")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(".".join((*HONEST_PARTS[:2], "")), id="no signature"),
        pytest.param(".".join((*HONEST_PARTS[:2], HONEST_PARTS[2] + "==")), id="padding"),
        pytest.param(".".join((*HONEST_PARTS[:2], HONEST_PARTS[2] + "\n")), id="LF at the end"),
        pytest.param(".".join((*HONEST_PARTS[:2], HONEST_PARTS[2][:-2])), id="cut short"),
        pytest.param(".".join((*HONEST_PARTS[:2], encode(bytes(64)))), id="zeros (CVE-2022-21449)"),
        pytest.param(".".join((*HONEST_PARTS[:2], "\u00e9")), id="not ASCII"),
        pytest.param(".".join((HONEST_PARTS[0], encode(b'{"sub":"admin"}'), HONEST_PARTS[2])), id="another payload"),
        pytest.param(
            ".".join((encode(b'{"alg": "ES256", "typ": "x"}'), *HONEST_PARTS[1:])),
            id="another header",
        ),
    ],
)
def test_a_token_that_was_altered(raw: str) -> None:
    assert verify(parse_signed(".".join(HONEST_PARTS), ("ES256",)), keys_of("ES256")) == CLAIMS
    assert verify_code(raw, keys_of("ES256")) == "jwt_signature_invalid"


def suite_key_set() -> KeySet:
    """H2, P9: all that the conformance suite puts into a key set, and some more."""
    kid = {"kid": "decoy"}
    return key_set(
        public_jwk(rsa_key("other"), {**kid, "use": "sig"}),
        public_jwk(rsa_key("op"), {"kid": "rsa", "use": "sig"}),
        public_jwk(ec_key("other"), kid),
        public_jwk(ec_key("op"), {"kid": "ec"}),
        public_jwk(ec_key("op", "secp256k1"), {"kid": "k1"}),
        public_jwk(ed_key("op"), {"kid": "ed"}),
        public_jwk(rsa_key("op"), {"kid": "rsa-enc", "use": "enc"}),
        public_jwk(ec_key("op"), {"kid": "ec-enc", "use": "enc"}),
        public_jwk(ed_key("op"), kid),
        {"kty": "OKP", "crv": "X25519", "x": encode(bytes(32)), "kid": "x"},
        {"kty": "XYZ", "kid": "new"},
    )


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [
        pytest.param("RS256", "rsa", id="H2 RSA"),
        pytest.param("PS256", "rsa", id="H2 RSA-PSS"),
        pytest.param("ES256", "ec", id="H2 P-256"),
        pytest.param("EdDSA", "ed", id="H2 Ed25519"),
        pytest.param("EdDSA", "decoy", id="P9 several keys of one kid"),
    ],
)
def test_the_key_is_picked_by_kid_type_and_use(algorithm: str, kid: str) -> None:
    token = parse_signed(token_of(algorithm, {"kid": kid}), (algorithm,))
    assert knows(suite_key_set(), token)
    assert verify(token, suite_key_set()) == CLAIMS


@pytest.mark.parametrize(
    ("algorithm", "kid", "code"),
    [
        pytest.param("RS256", "unknown", "jwt_key_unknown", id="C5 unknown kid"),
        pytest.param("RS256", "", "jwt_key_unknown", id="empty kid"),
        pytest.param("RS256", "RSA", "jwt_key_unknown", id="kid in another case"),
        pytest.param("RS256", "ec", "jwt_key_unknown", id="kid of another kind of key"),
        pytest.param("ES384", "ec", "jwt_key_unknown", id="kid of another curve"),
        pytest.param("ES256", "k1", "jwt_key_unknown", id="kid of secp256k1"),
        pytest.param("RS256", "rsa-enc", "jwt_key_unknown", id="kid of an encryption key"),
        pytest.param("RS256", "decoy", "jwt_signature_invalid", id="kid of another key"),
    ],
)
def test_keys_that_are_not_for_this_token(algorithm: str, kid: str, code: str) -> None:
    honest = parse_signed(token_of("RS256", {"kid": "rsa"}), ("RS256",))
    assert verify(honest, suite_key_set()) == CLAIMS
    raw = token_of(algorithm, {"kid": kid})
    assert verify_code(raw, suite_key_set()) == code
    assert knows(suite_key_set(), parse_signed(raw, (algorithm,))) is (code == "jwt_signature_invalid")


def test_b6_without_kid_the_single_key_is_used() -> None:
    assert verify(parse_signed(token_of("RS256"), ("RS256",)), keys_of("RS256")) == CLAIMS


def test_b7_without_kid_every_key_of_the_kind_is_tried() -> None:
    jwks = [public_jwk(rsa_key(owner), {}) for owner in ("other", "attacker", "op")]
    keys = key_set(*jwks, public_jwk(ec_key("op", "secp256k1"), {}), public_jwk(ec_key("op"), {}))
    assert verify(parse_signed(token_of("RS256"), ("RS256",)), keys) == CLAIMS
    assert verify_code(token_of("RS256"), key_set(*jwks[:2])) == "jwt_signature_invalid"


RSA_JWK: Final = public_jwk(rsa_key("op"), {"kid": "k1"})
EC_JWK: Final = public_jwk(ec_key("op"), {"kid": "k1"})


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param(None, id="null"),
        pytest.param("key", id="text"),
        pytest.param([], id="list"),
        pytest.param({}, id="empty"),
        pytest.param({**RSA_JWK, "kty": ["RSA"]}, id="kty is a list"),
        pytest.param({**RSA_JWK, "kty": "EC"}, id="kty of another kind"),
        pytest.param({"kty": "oct", "k": encode(SECRET), "kid": "k1"}, id="symmetric"),
        pytest.param({**RSA_JWK, "d": "AQAB"}, id="private"),
        pytest.param({**RSA_JWK, "use": "enc"}, id="for encryption"),
        pytest.param({**RSA_JWK, "use": None}, id="use is null"),
        pytest.param({**RSA_JWK, "key_ops": ["encrypt"]}, id="for another operation"),
        pytest.param({**RSA_JWK, "key_ops": "verify"}, id="key_ops is a text"),
        pytest.param({**RSA_JWK, "kid": 1}, id="kid is a number"),
        pytest.param({**RSA_JWK, "alg": ["RS256"]}, id="alg is a list"),
        pytest.param({**RSA_JWK, "n": None}, id="n is null"),
        pytest.param({**RSA_JWK, "n": ""}, id="n is empty"),
        pytest.param({**RSA_JWK, "n": "*"}, id="n is not encoded"),
        pytest.param({**RSA_JWK, "n": [1, 2]}, id="n is a list"),
        pytest.param({**RSA_JWK, "n": {"a": 1}}, id="n is an object"),
        pytest.param({**RSA_JWK, "n": "\u00e9"}, id="n is not ASCII"),
        pytest.param({**RSA_JWK, "n": "AQAB"}, id="n is tiny"),
        pytest.param({**RSA_JWK, "n": 5}, id="n is a number"),
        pytest.param({**RSA_JWK, "e": "AA"}, id="e is zero"),
        pytest.param({**RSA_JWK, "e": "AQ"}, id="e is one"),
        pytest.param({name: value for name, value in RSA_JWK.items() if name != "e"}, id="e is missing"),
        pytest.param(public_jwk(rsa_key("op", 1024), {"kid": "k1"}), id="RSA of 1024 bits"),
        pytest.param({**EC_JWK, "crv": "P-999"}, id="unknown curve"),
        pytest.param({**EC_JWK, "crv": ["P-256"]}, id="curve is a list"),
        pytest.param({**EC_JWK, "crv": "P-384"}, id="point of another curve"),
        pytest.param({**EC_JWK, "x": EC_JWK["y"]}, id="point off the curve"),
        pytest.param({**EC_JWK, "x": "AA", "y": "AA"}, id="point at zero"),
        pytest.param({**EC_JWK, "y": None}, id="y is null"),
        pytest.param({"kty": "OKP", "crv": "Ed25519", "x": "AA", "kid": "k1"}, id="Ed25519 cut short"),
        pytest.param({"kty": "OKP", "crv": "Ed25519", "kid": "k1"}, id="Ed25519 without x"),
    ],
)
def test_h2_an_odd_key_does_not_spoil_the_set(jwk: object) -> None:
    assert len(key_set(RSA_JWK, EC_JWK)) == 2
    assert len(key_set(jwk)) == 0
    keys = key_set(jwk, public_jwk(ed_key("op"), {"kid": "ed"}))
    assert verify(parse_signed(token_of("EdDSA", {"kid": "ed"}), ("EdDSA",)), keys) == CLAIMS


@pytest.mark.filterwarnings("ignore:Key size")
def test_a_short_key_does_not_grow_by_leading_zeros() -> None:
    modulus = rsa_key("op", 1024).public_key().public_numbers().n
    assert len(key_set(RSA_JWK)) == 1
    assert len(key_set({**RSA_JWK, "n": encode(modulus.to_bytes(256, "big"))})) == 0


@pytest.mark.parametrize(
    ("members", "known"),
    [
        pytest.param({"use": "sig"}, True, id="use"),
        pytest.param({"key_ops": ["verify"]}, True, id="key_ops"),
        pytest.param({"alg": "RS256"}, True, id="alg"),
        pytest.param({"x5c": ["not a certificate"], "x5t": 1, "ext": True}, True, id="members that are not looked at"),
        pytest.param({"alg": "RS512"}, False, id="alg of another hash"),
        pytest.param({"alg": "RSA-OAEP"}, False, id="alg of encryption"),
    ],
)
def test_the_members_of_a_key_bind_it(members: dict[str, object], known: bool) -> None:
    """RFC 7517 4.2-4.4, RFC 8725 3.1."""
    assert knows(keys_of("RS256", members), parse_signed(token_of("RS256"), ("RS256",))) is known


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json_reply({"keys": {"a": 1}}), id="keys is an object"),
        pytest.param(json_reply({}), id="no keys"),
        pytest.param(json_reply([RSA_JWK]), id="list"),
        pytest.param(json_reply(RSA_JWK), id="a single key"),
        pytest.param(json_reply({"keys": [{}] * (MAX_KEYS + 1)}), id="too many"),
        pytest.param(json_reply({"keys": []}, 404), id="not found"),
        pytest.param(Reply(status=200, headers={"content-type": "text/html"}, body=b'{"keys":[]}'), id="HTML"),
        pytest.param(
            Reply(status=200, headers=JSON_HEADERS, body=b'{"keys":[],"keys":[]}'),
            id="duplicate members",
        ),
    ],
)
def test_what_is_no_key_set(reply: Reply) -> None:
    assert len(process_jwks(json_reply({"keys": [RSA_JWK] * MAX_KEYS}))) == MAX_KEYS
    with pytest.raises(GatewayError) as error:
        process_jwks(reply)
    assert error.value.code == "provider_answer_invalid"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_of_the_jwks_endpoint_is_not_a_wrong_answer(status: int) -> None:
    with pytest.raises(ProviderUnavailable) as error:
        process_jwks(json_reply({"keys": []}, status))
    assert error.value.code == "provider_unreachable"


@pytest.mark.parametrize(
    ("algorithm", "length"),
    [
        pytest.param("HS256", 22, id="HS256"),
        pytest.param("PS384", 32, id="PS384"),
        pytest.param("ES512", 43, id="ES512"),
        pytest.param("EdDSA", 43, id="EdDSA hashes with SHA-512"),
        pytest.param("Ed25519", 43, id="Ed25519 hashes with SHA-512"),
    ],
)
def test_half_hashes_have_half_the_length_of_the_hash(algorithm: str, length: int) -> None:
    assert len(half_hash("token", algorithm)) == length


def test_the_half_hash_of_oidc_core_appendix_a_3() -> None:
    token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert half_hash(token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"
