"""Our own keys, and what is signed with them (RFC 7517, 7518, 7638, 8725; CONFORMANCE D6, P4)."""

import base64
import json
from collections.abc import Mapping
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from gateway.errors import GatewayError
from gateway.oidc.jose import ASYMMETRIC_ALGORITHMS, SYMMETRIC_ALGORITHMS, parse_signed, verify_symmetric
from gateway.oidc.keys import OwnKey, load_own_keys, sign, sign_symmetric, thumbprint
from oidc.keys import PrivateKey, ec_key, ed_key, encode, public_jwk, public_pem, rsa_key

CLAIMS: Final = {"iss": "client", "exp": 1_700_000_060, "name": "J\u00e9r\u00f4me"}
CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def pem_of(
    key: PrivateKey | x25519.X25519PrivateKey,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


def private_jwk(key: PrivateKey, members: Mapping[str, object] | None = None) -> dict[str, object]:
    return {**public_jwk(key, {}), **private_members(key), **(members or {})}


def private_members(key: PrivateKey) -> dict[str, object]:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return {"d": encode(key.private_bytes_raw())}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        size = (key.curve.key_size + 7) // 8
        return {"d": encode(key.private_numbers().private_value.to_bytes(size, "big"))}
    numbers = key.private_numbers()
    values = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
    exponents = {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
    return {
        name: encode(value.to_bytes((value.bit_length() + 7) // 8, "big"))
        for name, value in {**values, **exponents}.items()
    }


def jwk_bytes(*jwks: object) -> bytes:
    return json.dumps({"keys": list(jwks)} if len(jwks) != 1 else jwks[0]).encode()


def key_for(algorithm: str) -> PrivateKey:
    if algorithm in CURVES:
        return ec_key("us", CURVES[algorithm])
    return ed_key("us") if algorithm.startswith("Ed") else rsa_key("us")


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def check_signature(raw: str, algorithm: str, key: PrivateKey) -> None:
    """Check a compact JWS with cryptography alone."""
    signed, _, encoded = raw.rpartition(".")
    data, signature = signed.encode(), decode(encoded)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        key.public_key().verify(signature, data)
        return
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[-3:]]
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
        key.public_key().verify(signature, data, pss if algorithm.startswith("PS") else padding.PKCS1v15(), digest)
        return
    size = (key.curve.key_size + 7) // 8
    assert len(signature) == 2 * size
    r, s = (int.from_bytes(part, "big") for part in (signature[:size], signature[size:]))
    key.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(digest))


RSA: Final = rsa_key("us")
P256: Final = ec_key("us")
TRADITIONAL: Final = PrivateFormat.TraditionalOpenSSL
EC_PARAMETERS: Final = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize(
    ("data", "use", "algorithm"),
    [
        pytest.param(pem_of(RSA), "sig", "PS256", id="RSA, PKCS 8"),
        pytest.param(pem_of(RSA, TRADITIONAL), "sig", "PS256", id="RSA, PKCS 1"),
        pytest.param(pem_of(P256), "sig", "ES256", id="P-256, PKCS 8"),
        pytest.param(pem_of(P256, TRADITIONAL), "sig", "ES256", id="P-256, SEC 1"),
        pytest.param(EC_PARAMETERS + pem_of(P256, TRADITIONAL), "sig", "ES256", id="P-256, openssl ecparam"),
        pytest.param(pem_of(ec_key("us", "P-384")), "sig", "ES384", id="P-384"),
        pytest.param(pem_of(ec_key("us", "P-521")), "sig", "ES512", id="P-521"),
        pytest.param(pem_of(ed_key("us")), "sig", "EdDSA", id="Ed25519"),
        pytest.param(pem_of(RSA), "enc", "RSA-OAEP-256", id="RSA for encryption"),
        pytest.param(pem_of(P256), "enc", "ECDH-ES+A256KW", id="P-256 for encryption"),
        pytest.param(pem_of(ec_key("us", "P-384")), "enc", "ECDH-ES+A256KW", id="P-384 for encryption"),
        pytest.param(pem_of(ec_key("us", "P-521")), "enc", "ECDH-ES+A256KW", id="P-521 for encryption"),
        pytest.param(jwk_bytes(private_jwk(RSA)), "sig", "PS256", id="RSA, JWK"),
        pytest.param(
            jwk_bytes({**public_jwk(RSA, {}), "d": private_members(RSA)["d"]}), "sig", "PS256", id="RSA, JWK, d alone"
        ),
        pytest.param(b" \r\n" + jwk_bytes(private_jwk(P256)), "sig", "ES256", id="P-256, JWK"),
        pytest.param(jwk_bytes(private_jwk(ed_key("us"))), "sig", "EdDSA", id="Ed25519, JWK"),
    ],
)
def test_a_key_without_members_has_the_algorithm_of_its_type(data: bytes, use: str, algorithm: str) -> None:
    (key,) = load_own_keys(data, use=use)
    assert (key.use, key.algorithm) == (use, algorithm)
    assert key.kid == thumbprint(key.public_jwk())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, ("sig", "PS256"), id="nothing"),
        pytest.param({"alg": "RS512"}, ("sig", "RS512"), id="alg"),
        pytest.param({"alg": "RSA-OAEP"}, ("enc", "RSA-OAEP"), id="use implied by alg"),
        pytest.param({"use": "enc"}, ("enc", "RSA-OAEP-256"), id="use"),
        pytest.param({"use": "enc", "alg": "RSA-OAEP"}, ("enc", "RSA-OAEP"), id="use and alg"),
    ],
)
def test_the_members_of_a_jwk_come_first(members: dict[str, object], expected: tuple[str, str]) -> None:
    (key,) = load_own_keys(jwk_bytes(private_jwk(RSA, {**members, "kid": "mine"})))
    assert (key.kid, key.use, key.algorithm) == ("mine", *expected)


@pytest.mark.parametrize(
    ("signing", "encryption", "expected"),
    [
        pytest.param(None, None, ["PS256", "ES256", "RSA-OAEP-256", "RS384"], id="none is given"),
        pytest.param("RS256", None, ["RS256", "ES256", "RSA-OAEP-256", "RS384"], id="for the keys that it fits"),
        pytest.param("RS384", None, ["RS384", "ES256", "RSA-OAEP-256", "RS384"], id="a key's own alg stays"),
        pytest.param("ES256", "RSA-OAEP", ["PS256", "ES256", "RSA-OAEP", "RS384"], id="for encryption"),
    ],
)
def test_the_configured_algorithm_is_the_default(
    signing: str | None, encryption: str | None, expected: list[str]
) -> None:
    data = jwk_bytes(
        private_jwk(RSA, {"kid": "a"}),
        private_jwk(P256, {"kid": "b"}),
        private_jwk(rsa_key("us too"), {"kid": "c", "use": "enc"}),
        private_jwk(rsa_key("us three"), {"kid": "d", "alg": "RS384"}),
    )
    keys = load_own_keys(data, signing_algorithm=signing, encryption_algorithm=encryption)
    assert [key.algorithm for key in keys] == expected


@pytest.mark.parametrize("owner", [RSA, P256, ed_key("us")])
def test_a_public_jwk_has_no_private_member(owner: PrivateKey) -> None:
    (key,) = load_own_keys(jwk_bytes(private_jwk(owner, {"kid": "k1", "x5c": ["x"], "note": "x"})))
    assert key.public_jwk() == public_jwk(owner, {"kid": "k1", "use": "sig", "alg": key.algorithm})


def test_a_key_shows_nothing_in_its_repr() -> None:
    (key,) = load_own_keys(jwk_bytes(private_jwk(P256, {"kid": "k1"})))
    assert repr(key) == "OwnKey(kid='k1', use='sig', algorithm='ES256')"


ODD_MEMBER: Final = "c2VjcmV0LXNlY3JldA"


def refusal(data: bytes, use: str = "sig", signing: str | None = None, encryption: str | None = None) -> ValueError:
    with pytest.raises(ValueError, match=r"\w") as error:
        load_own_keys(data, use=use, signing_algorithm=signing, encryption_algorithm=encryption)
    return error.value


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "no private key; give", id="empty"),
        pytest.param(b"\xff\xfe", "no private key; give", id="bytes"),
        pytest.param(b"{", "not JSON", id="JSON cut short"),
        pytest.param(b'{"kty":"EC","kty":"EC"}', "not JSON", id="member twice"),
        pytest.param(b'{"keys":[]}', "is empty", id="empty set"),
        pytest.param(b'{"keys":{}}', "not a list", id="keys is an object"),
        pytest.param(b'{"keys":["x"]}', "no JWK", id="key is a text"),
        pytest.param(b"{}", "unknown kty", id="no kty"),
        pytest.param(jwk_bytes(private_jwk(P256, {"kty": ["EC"]})), "unknown kty", id="kty is a list"),
        pytest.param(jwk_bytes({"kty": "oct", "k": ODD_MEMBER}), "symmetric", id="symmetric"),
        pytest.param(jwk_bytes(public_jwk(P256, {})), "public key", id="public JWK"),
        pytest.param(public_pem(P256), "no private key", id="public PEM"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "no private key", id="certificate"
        ),
        pytest.param(
            pem_of(P256, encryption=BestAvailableEncryption(b"password")), "encrypted private key", id="encrypted PEM"
        ),
        pytest.param(
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "unreadable", id="PEM of nothing"
        ),
        pytest.param(pem_of(P256)[:100], "unreadable", id="PEM cut short"),
        pytest.param(pem_of(P256) + pem_of(RSA), "several", id="two PEM"),
        pytest.param(pem_of(rsa_key("us", 1024)), "shorter than 2048", id="RSA of 1024 bits, PEM"),
        pytest.param(jwk_bytes(private_jwk(rsa_key("us", 1024))), "shorter than 2048", id="RSA of 1024 bits, JWK"),
        pytest.param(pem_of(ec_key("us", "secp256k1")), "kind that is not used", id="secp256k1, PEM"),
        pytest.param(jwk_bytes(private_jwk(ec_key("us", "secp256k1"))), "curve", id="secp256k1, JWK"),
        pytest.param(pem_of(x25519.X25519PrivateKey.generate()), "kind that is not used", id="X25519"),
        pytest.param(jwk_bytes(private_jwk(P256, {"crv": "P-999"})), "curve", id="unknown curve"),
        pytest.param(jwk_bytes(private_jwk(P256, {"crv": ["P-256"]})), "unreadable", id="curve is a list"),
        pytest.param(jwk_bytes(private_jwk(P256, {"d": ""})), "unreadable", id="d is empty"),
        pytest.param(jwk_bytes(private_jwk(P256, {"d": None})), "unreadable", id="d is null"),
        pytest.param(jwk_bytes(private_jwk(P256, {"d": "*"})), "unreadable", id="d is not encoded"),
        pytest.param(jwk_bytes(private_jwk(P256, private_members(ec_key("other")))), "unreadable", id="d of another"),
        pytest.param(jwk_bytes(private_jwk(RSA, private_members(rsa_key("other")))), "unreadable", id="RSA d too"),
        pytest.param(
            jwk_bytes(private_jwk(ed_key("us"), private_members(ed_key("other")))), "public part", id="Ed25519 d too"
        ),
        pytest.param(jwk_bytes(private_jwk(RSA, {"n": "*"})), "base64url", id="n is not encoded"),
        pytest.param(jwk_bytes(private_jwk(RSA, {"n": 1})), "base64url", id="n is a number"),
        pytest.param(jwk_bytes({"kty": "RSA", "d": "AQAB"}), "shorter than 2048", id="n is missing"),
        pytest.param(jwk_bytes(private_jwk(P256, {"kid": 1})), "kid is not a text", id="kid is a number"),
        pytest.param(jwk_bytes(private_jwk(P256, {"kid": ""})), "kid is not a text", id="kid is empty"),
        pytest.param(jwk_bytes(private_jwk(P256, {"use": "tls"})), "neither sig nor enc", id="unknown use"),
        pytest.param(jwk_bytes(private_jwk(P256, {"use": None})), "neither sig nor enc", id="use is null"),
        pytest.param(jwk_bytes(private_jwk(P256, {"use": ["sig"]})), "neither sig nor enc", id="use is a list"),
        pytest.param(jwk_bytes(private_jwk(P256, {"alg": "ES384"})), "would be ES256", id="alg of another curve"),
        pytest.param(jwk_bytes(private_jwk(P256, {"alg": "RS256"})), "would be ES256", id="alg of another type"),
        pytest.param(jwk_bytes(private_jwk(P256, {"alg": "none"})), "would be ES256", id="alg none"),
        pytest.param(jwk_bytes(private_jwk(P256, {"alg": None})), "would be ES256", id="alg is null"),
        pytest.param(jwk_bytes(private_jwk(P256, {"alg": ["ES256"]})), "would be ES256", id="alg is a list"),
        pytest.param(jwk_bytes(private_jwk(RSA, {"use": "enc", "alg": "RSA1_5"})), "would be RSA-OAEP", id="RSA1_5"),
        pytest.param(jwk_bytes(private_jwk(RSA, {"use": "enc", "alg": "PS256"})), "would be RSA-OAEP", id="alg of sig"),
        pytest.param(jwk_bytes(private_jwk(ed_key("us"), {"use": "enc"})), "only for signatures", id="Ed25519 for enc"),
        pytest.param(
            jwk_bytes(private_jwk(P256, {"kid": "a"}), private_jwk(RSA, {"kid": "a"})), "same kid", id="P4 kid twice"
        ),
        pytest.param(jwk_bytes(private_jwk(P256), private_jwk(P256)), "same kid", id="P4 key twice"),
        pytest.param(jwk_bytes(private_jwk(P256), public_jwk(RSA, {})), "public key", id="one of them public"),
    ],
)
@pytest.mark.filterwarnings("ignore:Key size")
def test_what_is_no_private_key(data: bytes, sentence: str) -> None:
    error = refusal(data)
    assert sentence in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert ODD_MEMBER not in str(error)
    assert str(private_members(P256)["d"]) not in str(error)


@pytest.mark.parametrize(
    ("use", "signing", "encryption"),
    [
        pytest.param("sig", "ES384", None, id="another curve"),
        pytest.param("sig", "HS256", None, id="symmetric"),
        pytest.param("sig", "none", None, id="none"),
        pytest.param("sig", "ECDH-ES", None, id="encryption instead of a signature"),
        pytest.param("enc", None, "RSA-OAEP", id="another type"),
        pytest.param("enc", None, "ES256", id="signature instead of encryption"),
        pytest.param("enc", None, "dir", id="direct"),
    ],
)
def test_an_algorithm_that_no_key_is_for(use: str, signing: str | None, encryption: str | None) -> None:
    assert load_own_keys(pem_of(P256), use=use)[0].use == use
    assert "none of the keys is for" in str(refusal(pem_of(P256), use, signing, encryption))


def own_key(algorithm: str, kid: str = "k1") -> OwnKey:
    return load_own_keys(jwk_bytes(private_jwk(key_for(algorithm), {"alg": algorithm, "kid": kid})))[0]


@pytest.mark.parametrize("algorithm", ASYMMETRIC_ALGORITHMS)
def test_what_is_signed_can_be_checked_with_another_implementation(algorithm: str) -> None:
    raw = sign(own_key(algorithm), {"typ": "JWT"}, CLAIMS)
    header, payload, _ = raw.split(".")
    assert json.loads(decode(header)) == {"typ": "JWT", "alg": algorithm, "kid": "k1"}
    assert json.loads(decode(payload)) == CLAIMS
    check_signature(raw, algorithm, key_for(algorithm))
    with pytest.raises(InvalidSignature):
        check_signature(raw.replace(".", ".A", 1), algorithm, key_for(algorithm))


def test_the_key_alone_says_alg_and_kid() -> None:
    raw = sign(own_key("ES256"), {"alg": "none", "kid": "other", "typ": "x"}, CLAIMS)
    assert json.loads(decode(raw.partition(".")[0])) == {"alg": "ES256", "kid": "k1", "typ": "x"}


def test_a_key_for_encryption_signs_nothing() -> None:
    (key,) = load_own_keys(pem_of(P256), use="enc")
    with pytest.raises(GatewayError) as error:
        sign(key, {}, CLAIMS)
    assert error.value.code == "jwt_alg_refused"


@pytest.mark.parametrize("algorithm", SYMMETRIC_ALGORITHMS)
def test_macs_with_the_client_secret(algorithm: str) -> None:
    secret = "\u00e9" * 32
    raw = sign_symmetric(secret, algorithm, {"typ": "JWT", "alg": "none"}, CLAIMS)
    token = parse_signed(raw, (algorithm,))
    assert token.header == {"typ": "JWT", "alg": algorithm}
    assert verify_symmetric(token, secret) == CLAIMS


@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [
        pytest.param("s" * 31, "HS256", id="too short for HS256"),
        pytest.param("s" * 47, "HS384", id="too short for HS384"),
        pytest.param("s" * 63, "HS512", id="too short for HS512"),
        pytest.param("", "HS256", id="empty"),
        pytest.param("s" * 64, "RS256", id="asymmetric"),
        pytest.param("s" * 64, "none", id="none"),
        pytest.param("s" * 64, "hs256", id="another case"),
        pytest.param(public_pem(P256).decode(), "HS256", id="a public key"),
    ],
)
def test_what_no_mac_is_made_with(secret: str, algorithm: str) -> None:
    """RFC 7518 3.2."""
    with pytest.raises(GatewayError) as error:
        sign_symmetric(secret, algorithm, {}, CLAIMS)
    assert error.value.code == "jwt_alg_refused"


RFC_7638_MODULUS: Final = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
    "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5"
    "hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


@pytest.mark.parametrize(
    ("jwk", "expected"),
    [
        pytest.param(
            {"kty": "RSA", "n": RFC_7638_MODULUS, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"},
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
            id="RFC 7638 3.1",
        ),
        pytest.param(
            {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            id="RFC 8037 A.3",
        ),
        pytest.param(
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
                "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
            },
            "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            id="RFC 9449 6.1",
        ),
    ],
)
def test_the_thumbprints_of_the_standards(jwk: dict[str, object], expected: str) -> None:
    assert thumbprint(jwk) == expected
    assert thumbprint({**jwk, "d": "x", "use": "sig"}) == expected
    assert thumbprint({**jwk, "e": "AQ", "x": "AA"}) != expected


@pytest.mark.parametrize(
    "jwk",
    [
        pytest.param({}, id="empty"),
        pytest.param({"kty": "XYZ"}, id="unknown kty"),
        pytest.param({"kty": ["RSA"], "n": "AA", "e": "AQAB"}, id="kty is a list"),
        pytest.param({"kty": "RSA", "n": "AA"}, id="e is missing"),
        pytest.param({"kty": "EC", "crv": "P-256", "x": "AA", "y": 1}, id="y is a number"),
    ],
)
def test_what_has_no_thumbprint(jwk: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="thumbprint"):
        thumbprint(jwk)
