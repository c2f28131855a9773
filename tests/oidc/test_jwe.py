"""Encrypted tokens (RFC 7516, 7518, 8725; OIDC Core 10.2; CONFORMANCE P11 and FAPI 1's encrypted ID tokens)."""

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from gateway.errors import GatewayError
from gateway.oidc.jose import (
    ENCRYPTION_ALGORITHMS,
    MAX_TOKEN_BYTES,
    KeySet,
    parse_signed,
    process_encryption_jwks,
    process_jwks,
    verify,
)
from gateway.oidc.jwe import (
    JWE_ALGORITHMS,
    JWE_ENCODINGS,
    SYMMETRIC_ENCRYPTION,
    decrypt,
    encrypt,
    encryption_key,
)
from gateway.oidc.keys import OwnKey, load_own_keys
from oidc.encryption import Parts, Recipient, concat_kdf, content_key_size, encrypted, rsa_padding, sealed
from oidc.keys import ec_key, ed_key, encode, json_reply, key_set, public_jwk, rsa_key, signed_claims
from oidc.test_keys import jwk_bytes, private_jwk

CURVES: Final = ("P-256", "P-384", "P-521")
SECRET: Final = "a client secret, \u00e9"
INNER: Final = signed_claims({"alg": "ES256"}, {"sub": "u1"}, ec_key("op"))

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def own_key(key: PrivateKey, algorithm: str, kid: str = "enc") -> OwnKey:
    return load_own_keys(jwk_bytes(private_jwk(key, {"alg": algorithm, "use": "enc", "kid": kid})))[0]


def private_for(algorithm: str, owner: str = "us") -> PrivateKey:
    return rsa_key(owner) if algorithm.startswith("RSA") else ec_key(owner)


def secret_key(algorithm: str, encoding: str) -> bytes:
    """Derive the symmetric key as OIDC Core 10.2 says."""
    bits = content_key_size(encoding) * 8 if algorithm == "dir" else int(algorithm[1:4])
    digest = hashlib.sha256 if bits <= 256 else hashlib.sha384 if bits <= 384 else hashlib.sha512
    return digest(SECRET.encode()).digest()[: bits // 8]


def recipient_for(algorithm: str, encoding: str) -> Recipient:
    if algorithm in SYMMETRIC_ENCRYPTION:
        return secret_key(algorithm, encoding)
    return private_for(algorithm).public_key()


def honest(algorithm: str, encoding: str, members: Mapping[str, object] | None = None) -> Parts:
    return encrypted(INNER.encode(), algorithm, encoding, recipient_for(algorithm, encoding), members)


def opened(raw: str, algorithm: str, encoding: str, *keys: OwnKey, secret: str = SECRET) -> str:
    own = keys or ((own_key(private_for(algorithm), algorithm),) if algorithm in ENCRYPTION_ALGORITHMS else ())
    return decrypt(raw, algorithm=algorithm, encoding=encoding, keys=own, secret=secret)


def code(raw: str, algorithm: str, encoding: str, *keys: OwnKey, secret: str = SECRET) -> str:
    with pytest.raises(GatewayError) as error:
        opened(raw, algorithm, encoding, *keys, secret=secret)
    return error.value.code


@pytest.mark.parametrize("encoding", JWE_ENCODINGS)
@pytest.mark.parametrize("algorithm", JWE_ALGORITHMS)
def test_what_another_implementation_encrypted(algorithm: str, encoding: str) -> None:
    """And the same for another recipient."""
    raw = honest(algorithm, encoding, {"cty": "JWT", "typ": "JWT"}).compact()
    assert opened(raw, algorithm, encoding) == INNER
    if algorithm in SYMMETRIC_ENCRYPTION:
        assert code(raw, algorithm, encoding, secret="another secret") == "jwe_decryption_failed"
    else:
        other = own_key(private_for(algorithm, "other"), algorithm)
        assert code(raw, algorithm, encoding, other) == "jwe_decryption_failed"


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("algorithm", ["ECDH-ES", "ECDH-ES+A128KW"])
def test_keys_can_be_agreed_upon_on_every_curve(algorithm: str, curve: str) -> None:
    private = ec_key("us", curve)
    raw = encrypted(INNER.encode(), algorithm, "A256CBC-HS512", private.public_key()).compact()
    assert opened(raw, algorithm, "A256CBC-HS512", own_key(private, algorithm)) == INNER


def test_the_signature_inside_is_the_next_step() -> None:
    text = opened(honest("RSA-OAEP", "A256GCM").compact(), "RSA-OAEP", "A256GCM")
    assert verify(parse_signed(text, ("ES256",)), key_set(public_jwk(ec_key("op"), {}))) == {"sub": "u1"}


BOB: Final = {
    "kty": "EC",
    "crv": "P-256",
    "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
    "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
    "d": "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw",
}


def test_the_vector_of_rfc_7518_appendix_c() -> None:
    """The key that Alice and Bob agree upon, with apu and apv."""
    epk = {
        "kty": "EC",
        "crv": "P-256",
        "x": "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
        "y": "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps",
    }
    header = {"alg": "ECDH-ES", "enc": "A128GCM", "apu": "QWxpY2U", "apv": "Qm9i", "epk": epk}
    raw = sealed(b"hello", header, decode("VqqN6vgjbSBcIijNcacQGg"), b"").compact()
    (bob,) = load_own_keys(jwk_bytes({**BOB, "alg": "ECDH-ES"}))
    assert opened(raw, "ECDH-ES", "A128GCM", bob) == "hello"


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param("", id="empty"),
        pytest.param(INNER, id="a JWS"),
        pytest.param("a.b.c.d", id="four parts"),
        pytest.param("a.b.c.d.e.f", id="six parts"),
        pytest.param("." * 10_000_000, id="ten million dots"),
        pytest.param(json.dumps({"protected": "e30", "ciphertext": "x"}), id="JSON serialization"),
    ],
)
def test_what_is_not_encrypted(raw: str) -> None:
    """OIDC Core 3.1.3.7 (1): encryption was agreed, so that a plain token is refused."""
    assert opened(honest("RSA-OAEP", "A128GCM").compact(), "RSA-OAEP", "A128GCM") == INNER
    assert code(raw, "RSA-OAEP", "A128GCM") == "jwe_not_encrypted"


def inflating(members: Mapping[str, object]) -> str:
    compressor = zlib.compressobj(wbits=-15)
    bomb = compressor.compress(b" " * 5_000_000) + compressor.flush()
    return encrypted(bomb, "RSA-OAEP", "A128GCM", rsa_key("us").public_key(), members).compact()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(honest("RSA-OAEP-256", "A128GCM").compact(), id="another padding"),
        pytest.param(honest("RSA1_5", "A128GCM").compact(), id="FAPI1 RSA1_5"),
        pytest.param(honest("ECDH-ES", "A128GCM").compact(), id="another kind of key"),
        pytest.param(honest("dir", "A128GCM").compact(), id="symmetric"),
        pytest.param(honest("RSA-OAEP", "A256GCM").compact(), id="another enc"),
        pytest.param(honest("RSA-OAEP", "A128CBC-HS256").compact(), id="another kind of enc"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"alg": None}).compact(), id="alg is null"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"alg": ["RSA-OAEP"]}).compact(), id="alg is a list"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"alg": "rsa-oaep"}).compact(), id="alg in another case"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"alg": "none"}).compact(), id="alg none"),
        pytest.param(f"{encode(b'{}')}.a.b.c.d", id="no alg"),
        pytest.param(f"{encode(json.dumps({'alg': 'RSA-OAEP'}).encode())}.a.b.c.d", id="no enc"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"crit": ["exp"], "exp": 1}).compact(), id="crit"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"crit": []}).compact(), id="crit is empty"),
        pytest.param(inflating({"zip": "DEF"}), id="zip, and a bomb"),
        pytest.param(honest("RSA-OAEP", "A128GCM", {"zip": None}).compact(), id="zip is null"),
    ],
)
def test_algorithms_that_are_not_configured(raw: str) -> None:
    assert opened(honest("RSA-OAEP", "A128GCM").compact(), "RSA-OAEP", "A128GCM") == INNER
    assert code(raw, "RSA-OAEP", "A128GCM") == "jwe_alg_refused"


@pytest.mark.parametrize(
    ("algorithm", "encoding"),
    [
        pytest.param("RSA1_5", "A128GCM", id="RSA1_5"),
        pytest.param("none", "A128GCM", id="none"),
        pytest.param("PBES2-HS256+A128KW", "A128GCM", id="PBES2"),
        pytest.param("RS256", "A128GCM", id="signature"),
        pytest.param("RSA-OAEP", "A128CBC", id="without a MAC"),
        pytest.param("RSA-OAEP", "none", id="enc none"),
    ],
)
def test_algorithms_that_are_refused_even_if_they_are_configured(algorithm: str, encoding: str) -> None:
    header = encode(json.dumps({"alg": algorithm, "enc": encoding, "p2s": "AAAA", "p2c": 1 << 31}).encode())
    with pytest.raises(GatewayError) as error:
        decrypt(f"{header}.a.b.c.d", algorithm=algorithm, encoding=encoding, keys=(), secret=SECRET)
    assert error.value.code == "jwe_alg_refused"


def test_a_symmetric_algorithm_needs_a_secret() -> None:
    raw = encrypted(b"x", "dir", "A128GCM", hashlib.sha256(b"").digest()[:16]).compact()
    assert code(raw, "dir", "A128GCM", secret="") == "jwe_alg_refused"


def flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:] if data else b"x"


Change = Callable[[Parts], Parts]

ALTERED: Final[tuple[tuple[str, Change], ...]] = (
    ("encrypted key", lambda parts: replace(parts, encrypted_key=flipped(parts.encrypted_key))),
    ("encrypted key cut short", lambda parts: replace(parts, encrypted_key=parts.encrypted_key[:-1] or b"xy")),
    ("iv", lambda parts: replace(parts, iv=flipped(parts.iv))),
    ("iv cut short", lambda parts: replace(parts, iv=parts.iv[:-1])),
    ("iv empty", lambda parts: replace(parts, iv=b"")),
    ("iv longer", lambda parts: replace(parts, iv=parts.iv + b"\x00")),
    ("ciphertext", lambda parts: replace(parts, ciphertext=flipped(parts.ciphertext))),
    ("ciphertext cut short", lambda parts: replace(parts, ciphertext=parts.ciphertext[:-1])),
    ("ciphertext empty", lambda parts: replace(parts, ciphertext=b"")),
    ("ciphertext longer", lambda parts: replace(parts, ciphertext=parts.ciphertext + b"\x00")),
    ("tag", lambda parts: replace(parts, tag=flipped(parts.tag))),
    ("tag empty", lambda parts: replace(parts, tag=b"")),
    ("tag of 1 byte", lambda parts: replace(parts, tag=parts.tag[:1])),
    ("tag of 4 bytes", lambda parts: replace(parts, tag=parts.tag[:4])),
    ("tag of 12 bytes", lambda parts: replace(parts, tag=parts.tag[:12])),
    ("tag less 1 byte", lambda parts: replace(parts, tag=parts.tag[:-1])),
    ("tag longer", lambda parts: replace(parts, tag=parts.tag + b"\x00")),
    ("tag of zeros", lambda parts: replace(parts, tag=bytes(len(parts.tag)))),
    ("header", lambda parts: replace(parts, encoded_header=encode(json.dumps(parts.header, indent=1).encode()))),
    (
        "all-zero content key",
        lambda parts: sealed(
            b"{}", parts.header, bytes(content_key_size(str(parts.header["enc"]))), flipped(parts.encrypted_key)
        ),
    ),
    (
        "all-zero content key, no encrypted key",
        lambda parts: sealed(b"{}", parts.header, bytes(content_key_size(str(parts.header["enc"]))), b""),
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in ALTERED])
@pytest.mark.parametrize(
    ("algorithm", "encoding"),
    [
        ("RSA-OAEP-256", "A256GCM"),
        ("RSA-OAEP", "A128CBC-HS256"),
        ("ECDH-ES", "A128CBC-HS256"),
        ("ECDH-ES+A256KW", "A192CBC-HS384"),
        ("A128KW", "A256CBC-HS512"),
        ("A256GCMKW", "A128GCM"),
        ("dir", "A256GCM"),
    ],
)
def test_an_altered_token_is_refused_with_one_code(algorithm: str, encoding: str, change: Change) -> None:
    """CVE-2023-37464: the tag's length was the token's; CVE-2026-53939: a failed key was one of zeros."""
    parts = honest(algorithm, encoding)
    assert opened(parts.compact(), algorithm, encoding) == INNER
    assert code(change(parts).compact(), algorithm, encoding) == "jwe_decryption_failed"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"tag": encode(bytes(16))}, id="tag of zeros"),
        pytest.param({"tag": ""}, id="tag is empty"),
        pytest.param({"tag": "AAAA"}, id="tag of 3 bytes"),
        pytest.param({"tag": None}, id="tag is null"),
        pytest.param({"tag": [1, 2]}, id="tag is a list"),
        pytest.param({"tag": 16}, id="tag is a number"),
        pytest.param({"iv": ""}, id="iv is empty"),
        pytest.param({"iv": encode(bytes(12))}, id="another iv"),
        pytest.param({"iv": encode(bytes(16))}, id="iv of 16 bytes"),
        pytest.param({"iv": "\u00e9"}, id="iv is not ASCII"),
    ],
)
def test_the_wrapping_of_the_key_cannot_be_altered(members: dict[str, object]) -> None:
    assert opened(honest("A128GCMKW", "A128GCM").compact(), "A128GCMKW", "A128GCM") == INNER
    assert code(honest("A128GCMKW", "A128GCM", members).compact(), "A128GCMKW", "A128GCM") == "jwe_decryption_failed"


@pytest.mark.parametrize(("size", "expected"), [(12, INNER), (8, None), (16, None)])
def test_the_wrapping_of_the_key_has_an_iv_of_96_bits(size: int, expected: str | None) -> None:
    """RFC 7518 4.7.1.1; the wrapping is otherwise right."""
    both = AESGCM(secret_key("A128GCMKW", "A128GCM")).encrypt(bytes(size), bytes(16), None)
    header = {"alg": "A128GCMKW", "enc": "A128GCM", "iv": encode(bytes(size)), "tag": encode(both[-16:])}
    raw = sealed(INNER.encode(), header, bytes(16), both[:-16]).compact()
    if expected is not None:
        assert opened(raw, "A128GCMKW", "A128GCM") == expected
    else:
        assert code(raw, "A128GCMKW", "A128GCM") == "jwe_decryption_failed"


@pytest.mark.parametrize("name", ["tag", "iv"])
def test_the_wrapping_of_the_key_is_complete(name: str) -> None:
    parts = honest("A128GCMKW", "A128GCM")
    header = {key: value for key, value in parts.header.items() if key != name}
    lacking = sealed(INNER.encode(), header, bytes(16), parts.encrypted_key)
    assert code(lacking.compact(), "A128GCMKW", "A128GCM") == "jwe_decryption_failed"


ODD_SCALAR: Final = ec.derive_private_key(0x1234567, ec.SECP256R1())
EPK: Final = public_jwk(ec_key("ephemeral"), {})


def agreed(epk: object, shared: bytes) -> str:
    """Make the token of a sender who knows what the recipient would compute with that epk."""
    header = {"alg": "ECDH-ES", "enc": "A128GCM", "epk": epk}
    return sealed(INNER.encode(), header, concat_kdf(shared, "A128GCM", 128), b"").compact()


def agreed_code(raw: str) -> str:
    return code(raw, "ECDH-ES", "A128GCM", own_key(ODD_SCALAR, "ECDH-ES"))


def test_the_invalid_curve_attack() -> None:
    """A point of order two on a curve with another b: an odd scalar times it is the point itself (RFC 8725 3.4)."""
    shared = ec_key("ephemeral").exchange(ec.ECDH(), ODD_SCALAR.public_key())
    assert opened(agreed(EPK, shared), "ECDH-ES", "A128GCM", own_key(ODD_SCALAR, "ECDH-ES")) == INNER
    x = (5).to_bytes(32, "big")
    point = {"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(bytes(32))}
    assert agreed_code(agreed(point, x)) == "jwe_decryption_failed"


OTHER_CURVE: Final = public_jwk(ec_key("ephemeral", "P-384"), {})


@pytest.mark.parametrize(
    "epk",
    [
        pytest.param(None, id="null"),
        pytest.param("x", id="text"),
        pytest.param([EPK], id="list"),
        pytest.param({}, id="empty"),
        pytest.param({**EPK, "y": EPK["x"]}, id="off the curve"),
        pytest.param({**EPK, "x": encode(bytes(32)), "y": encode(bytes(32))}, id="at zero"),
        pytest.param({**EPK, "x": ""}, id="x is empty"),
        pytest.param({**EPK, "x": 1}, id="x is a number"),
        pytest.param({**EPK, "x": encode(b"\xff" * 32)}, id="x beyond the field"),
        pytest.param({**EPK, "x": "A" * 6000}, id="x is long"),
        pytest.param({name: value for name, value in EPK.items() if name != "y"}, id="y is missing"),
        pytest.param(OTHER_CURVE, id="another curve"),
        pytest.param({**OTHER_CURVE, "crv": "P-256"}, id="another curve under the name of ours"),
        pytest.param({**EPK, "crv": "secp256k1"}, id="unknown curve"),
        pytest.param({**EPK, "crv": ["P-256"]}, id="curve is a list"),
        pytest.param({**EPK, "kty": "OKP"}, id="another kind of key"),
        pytest.param({"kty": "OKP", "crv": "X25519", "x": encode(bytes(32))}, id="X25519 at zero"),
        pytest.param({"kty": "oct", "k": encode(bytes(32))}, id="symmetric"),
    ],
)
def test_odd_ephemeral_keys(epk: object) -> None:
    assert agreed_code(agreed(epk, bytes(32))) == "jwe_decryption_failed"


def test_a_private_ephemeral_key_is_not_taken() -> None:
    shared = ec_key("ephemeral").exchange(ec.ECDH(), ODD_SCALAR.public_key())
    assert agreed_code(agreed(private_jwk(ec_key("ephemeral")), shared)) == "jwe_decryption_failed"


def test_an_epk_that_is_missing() -> None:
    raw = sealed(b"{}", {"alg": "ECDH-ES", "enc": "A128GCM"}, bytes(16), b"").compact()
    assert agreed_code(raw) == "jwe_decryption_failed"


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param("*", id="not encoded"),
        pytest.param("\u00e9", id="not ASCII"),
        pytest.param(encode(b"[]"), id="list"),
        pytest.param(encode(b'{"alg":"dir","alg":"RSA-OAEP","enc":"A128GCM"}'), id="alg twice"),
        pytest.param(encode(b'{"a":' * 40 + b"1" + b"}" * 40), id="nested deeply"),
        pytest.param(encode(b'{"alg":"RSA-OAEP","enc":"A128GCM","x":"' + b"x" * 200_000 + b'"}'), id="huge"),
    ],
)
def test_odd_headers(header: str) -> None:
    rest = honest("RSA-OAEP", "A128GCM").compact().partition(".")[2]
    assert code(f"{header}.{rest}", "RSA-OAEP", "A128GCM") == "jwe_decryption_failed"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw + "=", id="padding"),
        pytest.param(lambda raw: raw + "\n", id="line feed at the end"),
        pytest.param(lambda raw: raw + "\u00e9", id="not ASCII"),
        pytest.param(lambda raw: raw.replace(".", ". ", 1), id="space"),
        pytest.param(lambda raw: raw + "A" * 10_000_000, id="10 MB of tag"),
        pytest.param(lambda raw: raw.replace(".", "." + "A" * 10_000_000, 1), id="10 MB of key"),
    ],
)
def test_the_parts_are_strict_base64url(change: Callable[[str], str]) -> None:
    raw = honest("RSA-OAEP", "A128GCM").compact()
    assert code(change(raw), "RSA-OAEP", "A128GCM") == "jwe_decryption_failed"


def test_what_comes_out_is_a_text_of_at_most_64_kib() -> None:
    public = rsa_key("us").public_key()
    longest = "x" * MAX_TOKEN_BYTES
    for encoding in ("A128GCM", "A256CBC-HS512"):
        raw = encrypted(longest.encode(), "RSA-OAEP", encoding, public).compact()
        assert opened(raw, "RSA-OAEP", encoding) == longest
        longer = encrypted(longest.encode() + b"x", "RSA-OAEP", encoding, public).compact()
        assert code(longer, "RSA-OAEP", encoding) == "jwe_decryption_failed"
    binary = encrypted(b"\xff\xfe", "RSA-OAEP", "A128GCM", public).compact()
    assert code(binary, "RSA-OAEP", "A128GCM") == "jwe_decryption_failed"


def test_large_headers_and_keys_have_room() -> None:
    private = rsa_key("us", 4096)
    members = {"x5c": ["A" * 4000], "jku": "https://op.example/jwks", "org.example": {"a": [1]}}
    raw = encrypted(INNER.encode(), "RSA-OAEP-256", "A256GCM", private.public_key(), members).compact()
    assert opened(raw, "RSA-OAEP-256", "A256GCM", own_key(private, "RSA-OAEP-256")) == INNER


OURS: Final = own_key(rsa_key("us"), "RSA-OAEP", "ours")
OTHER: Final = own_key(rsa_key("other"), "RSA-OAEP", "other")
EC_OURS: Final = own_key(ec_key("us"), "ECDH-ES", "ec")
OTHER_ALG: Final = own_key(rsa_key("us"), "RSA-OAEP-256", "ours")
SIGNING: Final = load_own_keys(jwk_bytes(private_jwk(rsa_key("us"), {"kid": "ours"})))[0]


@pytest.mark.parametrize(
    ("members", "keys"),
    [
        pytest.param({"kid": "ours"}, (OTHER, EC_OURS, OURS), id="by kid"),
        pytest.param({}, (OURS,), id="no kid, one key"),
        pytest.param({}, (EC_OURS, OTHER, OURS), id="no kid, every key is tried"),
        pytest.param({"kid": "ours"}, (SIGNING, OTHER_ALG, OURS), id="keys of another use and algorithm beside it"),
    ],
)
def test_the_key_is_picked_by_kid_use_and_algorithm(members: dict[str, object], keys: tuple[OwnKey, ...]) -> None:
    assert opened(honest("RSA-OAEP", "A128GCM", members).compact(), "RSA-OAEP", "A128GCM", *keys) == INNER


@pytest.mark.parametrize(
    ("members", "keys"),
    [
        pytest.param({"kid": "unknown"}, (OURS,), id="unknown kid"),
        pytest.param({"kid": "other"}, (OURS, OTHER), id="kid of another key"),
        pytest.param({"kid": "OURS"}, (OURS,), id="kid in another case"),
        pytest.param({"kid": ""}, (OURS,), id="kid is empty"),
        pytest.param({"kid": None}, (OURS,), id="kid is null"),
        pytest.param({"kid": ["ours"]}, (OURS,), id="kid is a list"),
        pytest.param({}, (OTHER, EC_OURS), id="no kid, none of our keys"),
        pytest.param({}, (SIGNING,), id="key for signatures"),
        pytest.param({}, (OTHER_ALG,), id="key for another algorithm"),
    ],
)
def test_keys_that_are_not_for_this_token(members: dict[str, object], keys: tuple[OwnKey, ...]) -> None:
    raw = honest("RSA-OAEP", "A128GCM", members).compact()
    assert code(raw, "RSA-OAEP", "A128GCM", *keys) == "jwe_decryption_failed"


def test_without_keys_nothing_is_opened() -> None:
    with pytest.raises(GatewayError) as error:
        decrypt(honest("RSA-OAEP", "A128GCM").compact(), algorithm="RSA-OAEP", encoding="A128GCM", keys=())
    assert error.value.code == "jwe_decryption_failed"


def test_the_kid_of_a_symmetric_token_is_not_looked_at() -> None:
    assert opened(honest("dir", "A128GCM", {"kid": "x"}).compact(), "dir", "A128GCM", OURS) == INNER


def encryption_keys(*jwks: object) -> KeySet:
    return process_encryption_jwks(json_reply({"keys": list(jwks)}))


PROVIDER_SET: Final = (
    public_jwk(rsa_key("op-sig"), {"kid": "sig", "use": "sig"}),
    public_jwk(rsa_key("op-any"), {"kid": "any"}),
    public_jwk(ed_key("op"), {"kid": "ed"}),
    public_jwk(ec_key("op", "secp256k1"), {"kid": "k1", "use": "enc"}),
    {"kty": "XYZ", "kid": "new"},
    public_jwk(rsa_key("op"), {"kid": "15", "use": "enc", "alg": "RSA1_5"}),
    public_jwk(rsa_key("op"), {"kid": "256", "use": "enc", "alg": "RSA-OAEP-256"}),
    public_jwk(rsa_key("op"), {"kid": "rsa", "use": "enc"}),
    public_jwk(ec_key("op"), {"kid": "verify", "key_ops": ["verify"]}),
    public_jwk(ec_key("op", "P-384"), {"kid": "ec", "key_ops": ["deriveKey"]}),
    public_jwk(ec_key("op"), {"kid": "256kw", "use": "enc", "alg": "ECDH-ES+A256KW"}),
)


@pytest.mark.parametrize(
    ("algorithm", "kid"),
    [
        pytest.param("RSA-OAEP", "rsa", id="use before no use"),
        pytest.param("RSA-OAEP-256", "256", id="alg"),
        pytest.param("ECDH-ES", "ec", id="kty, not another operation"),
        pytest.param("ECDH-ES+A256KW", "256kw", id="alg of an EC key"),
    ],
)
def test_p11_the_key_of_the_provider_is_picked_by_use_alg_and_kty(algorithm: str, kid: str) -> None:
    keys = encryption_keys(*PROVIDER_SET)
    assert encryption_key(keys, algorithm).kid == kid


@pytest.mark.parametrize(
    ("jwks", "algorithm"),
    [
        pytest.param((), "RSA-OAEP", id="no keys"),
        pytest.param((PROVIDER_SET[0],), "RSA-OAEP", id="for signatures"),
        pytest.param((PROVIDER_SET[6],), "RSA-OAEP", id="for another algorithm"),
        pytest.param((PROVIDER_SET[1],), "ECDH-ES", id="of another type"),
        pytest.param((PROVIDER_SET[1],), "RSA1_5", id="RSA1_5"),
        pytest.param((PROVIDER_SET[2],), "ECDH-ES", id="Ed25519"),
        pytest.param(({**PROVIDER_SET[7], "d": "AQAB"},), "RSA-OAEP", id="private"),
    ],
)
def test_a_provider_without_a_key_for_it(jwks: tuple[object, ...], algorithm: str) -> None:
    with pytest.raises(GatewayError) as error:
        encryption_key(encryption_keys(*jwks), algorithm)
    assert error.value.code == "metadata_lacking"


def test_keys_for_encryption_and_for_signatures_are_two_sets() -> None:
    reply = json_reply({"keys": list(PROVIDER_SET)})
    assert [key.kid for key in process_jwks(reply)] == ["sig", "any", "ed", "verify"]
    assert [key.kid for key in process_encryption_jwks(reply)] == [
        *("k1", "15", "256", "rsa", "256kw"),
        *("any", "ed", "ec"),
    ]


def content_key(parts: list[str], algorithm: str, encoding: str) -> bytes:
    """Take the content key out of a token for the provider, with cryptography alone."""
    header = json.loads(decode(parts[0]))
    if algorithm.startswith("RSA"):
        return rsa_key("op").decrypt(decode(parts[1]), rsa_padding(algorithm))
    x, y = (int.from_bytes(decode(header["epk"][name]), "big") for name in ("x", "y"))
    ephemeral = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    shared = ec_key("op").exchange(ec.ECDH(), ephemeral)
    if algorithm == "ECDH-ES":
        return concat_kdf(shared, encoding, content_key_size(encoding) * 8)
    return aes_key_unwrap(concat_kdf(shared, algorithm, int(algorithm[-5:-2])), decode(parts[1]))


@pytest.mark.parametrize("encoding", ["A128GCM", "A256GCM"])
@pytest.mark.parametrize("algorithm", ENCRYPTION_ALGORITHMS)
def test_p11_another_implementation_opens_what_we_encrypted(algorithm: str, encoding: str) -> None:
    (key,) = encryption_keys(public_jwk(private_for(algorithm, "op"), {"kid": "op1", "use": "enc"}))
    raw = encrypt(INNER, algorithm=algorithm, encoding=encoding, key=key)
    parts = raw.split(".")
    header = json.loads(decode(parts[0]))
    epk = header.pop("epk", {})
    assert header == {"alg": algorithm, "enc": encoding, "cty": "JWT", "kid": "op1"}
    assert "d" not in epk
    cipher = AESGCM(content_key(parts, algorithm, encoding))
    both = decode(parts[3]) + decode(parts[4])
    assert cipher.decrypt(decode(parts[2]), both, parts[0].encode()) == INNER.encode()
    with pytest.raises(InvalidTag):
        cipher.decrypt(decode(parts[2]), flipped(both), parts[0].encode())


@pytest.mark.parametrize("encoding", JWE_ENCODINGS)
@pytest.mark.parametrize("algorithm", ENCRYPTION_ALGORITHMS)
def test_what_we_encrypt_can_be_decrypted(algorithm: str, encoding: str) -> None:
    (key,) = encryption_keys(public_jwk(private_for(algorithm), {}))
    raw = encrypt(INNER, algorithm=algorithm, encoding=encoding, key=key)
    assert "kid" not in json.loads(decode(raw.partition(".")[0]))
    assert opened(raw, algorithm, encoding) == INNER
    assert encrypt(INNER, algorithm=algorithm, encoding=encoding, key=key) != raw


@pytest.mark.parametrize(
    ("algorithm", "encoding", "jwk"),
    [
        pytest.param("RSA1_5", "A128GCM", public_jwk(rsa_key("op"), {}), id="RSA1_5"),
        pytest.param("dir", "A128GCM", public_jwk(rsa_key("op"), {}), id="symmetric"),
        pytest.param("RSA-OAEP", "A128CBC", public_jwk(rsa_key("op"), {}), id="unknown enc"),
        pytest.param("RSA-OAEP", "A128GCM", public_jwk(ec_key("op"), {}), id="a key of another type"),
        pytest.param("ECDH-ES", "A128GCM", public_jwk(ec_key("op"), {"alg": "ECDH-ES+A128KW"}), id="a key's own alg"),
    ],
)
def test_what_is_not_encrypted_with(algorithm: str, encoding: str, jwk: object) -> None:
    (key,) = encryption_keys(jwk)
    with pytest.raises(GatewayError) as error:
        encrypt(INNER, algorithm=algorithm, encoding=encoding, key=key)
    assert error.value.code == "jwe_alg_refused"
