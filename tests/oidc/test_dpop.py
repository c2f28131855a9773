"""DPoP proofs and nonces (RFC 9449; CONFORMANCE A1, A2, A22, H4, P5, P6, P8)."""

import base64
import json
from itertools import count
from typing import Final

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from gateway.oidc.dpop import (
    DPoPKey,
    demands_nonce,
    dpop_key_from_text,
    new_dpop_key,
    offered_nonce,
    proof,
    with_proof,
)
from gateway.oidc.jose import parse_signed, verify
from gateway.oidc.keys import thumbprint
from gateway.oidc.messages import Call, Entropy, Moment, Reply
from oidc.keys import JSON_HEADERS, encode, json_reply, key_set

GROUP_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
URL: Final = "https://op.example/token"


def counting_entropy() -> Entropy:
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


def fixed_entropy(number: int) -> Entropy:
    return lambda size: number.to_bytes(size, "big")


KEY: Final = new_dpop_key(fixed_entropy(41))
MOMENT: Final = Moment(now=1_700_000_000, entropy=counting_entropy())


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def header_of(raw: str) -> dict[str, object]:
    members: dict[str, object] = json.loads(decode(raw.partition(".")[0]))
    return members


def claims_of(raw: str) -> dict[str, object]:
    members: dict[str, object] = json.loads(decode(raw.split(".")[1]))
    return members


def check_signature(raw: str, jwk: dict[str, str]) -> None:
    """Check a proof as a server does, with cryptography alone and the key that it brings."""
    x, y = (int.from_bytes(decode(jwk[name]), "big") for name in ("x", "y"))
    signed, _, encoded = raw.rpartition(".")
    signature = decode(encoded)
    assert len(signature) == 64
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(der, signed.encode(), ec.ECDSA(hashes.SHA256()))


def test_p5_a_proof_at_the_token_endpoint() -> None:
    raw = proof(KEY, method="POST", url=URL, moment=Moment(now=1_700_000_000, entropy=fixed_entropy(7)))
    assert header_of(raw) == {"typ": "dpop+jwt", "alg": "ES256", "jwk": dict(KEY.public_jwk)}
    assert set(KEY.public_jwk) == {"kty", "crv", "x", "y"}
    assert claims_of(raw) == {"jti": "A" * 20 + "Bw", "htm": "POST", "htu": URL, "iat": 1_700_000_000}
    check_signature(raw, dict(KEY.public_jwk))
    with pytest.raises(InvalidSignature):
        check_signature(raw.replace(".", ".A", 1), dict(KEY.public_jwk))
    assert verify(parse_signed(raw, ("ES256",)), key_set(KEY.public_jwk)) == claims_of(raw)


def test_p5_a_proof_at_a_resource_names_its_access_token() -> None:
    """The token and the hash of RFC 9449 7.1."""
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    raw = proof(
        KEY, method="GET", url="https://resource.example.org/protectedresource", moment=MOMENT, access_token=token
    )
    assert claims_of(raw)["ath"] == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
    assert "nonce" not in claims_of(raw)


def test_p5_no_two_proofs_are_the_same() -> None:
    proofs = [proof(KEY, method="POST", url=URL, moment=MOMENT) for _ in range(50)]
    assert len({claims_of(raw)["jti"] for raw in proofs}) == 50


@pytest.mark.parametrize(
    ("url", "target"),
    [
        pytest.param("https://rs.example/a", "https://rs.example/a", id="path"),
        pytest.param("https://rs.example/a?b=c", "https://rs.example/a", id="query"),
        pytest.param("https://rs.example/a#b", "https://rs.example/a", id="fragment"),
        pytest.param("https://rs.example/a?b=c#d?e", "https://rs.example/a", id="query and fragment"),
        pytest.param("https://rs.example/a#b?c", "https://rs.example/a", id="question mark in the fragment"),
        pytest.param("https://rs.example/a?b=https://x/", "https://rs.example/a", id="URL in the query"),
        pytest.param("https://rs.example", "https://rs.example/", id="no path"),
        pytest.param("https://rs.example?a=/b", "https://rs.example/", id="no path and a query"),
        pytest.param("https://rs.example:8443/", "https://rs.example:8443/", id="port"),
        pytest.param("https://rs.example/a%2Fb/%E2%82%AC", "https://rs.example/a%2Fb/%E2%82%AC", id="encoded path"),
        pytest.param("https://rs.example/a//b/", "https://rs.example/a//b/", id="odd path, not made tidy"),
    ],
)
def test_p5_htu_is_the_url_without_query_and_fragment(url: str, target: str) -> None:
    assert claims_of(proof(KEY, method="GET", url=url, moment=MOMENT))["htu"] == target


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(0, id="zeros"),
        pytest.param(GROUP_ORDER - 2, id="the largest scalar"),
        pytest.param(GROUP_ORDER - 1, id="one more"),
        pytest.param((1 << 384) - 1, id="ones"),
    ],
)
def test_any_randomness_makes_a_key_and_its_text_makes_it_again(number: int) -> None:
    key = new_dpop_key(fixed_entropy(number))
    text = key.to_text()
    assert len(text) == 43
    assert int.from_bytes(decode(text), "big") == number % (GROUP_ORDER - 1) + 1
    again = dpop_key_from_text(text)
    assert (again, again.public_jwk, hash(again)) == (key, key.public_jwk, hash(key))
    check_signature(proof(again, method="GET", url=URL, moment=MOMENT), dict(key.public_jwk))


def test_two_keys_differ() -> None:
    other = new_dpop_key(fixed_entropy(42))
    assert KEY.thumbprint == thumbprint(KEY.public_jwk)
    assert other != KEY
    assert other.thumbprint != KEY.thumbprint


def test_the_public_half_of_a_known_scalar() -> None:
    """One times the base point is the base point (SEC 2, 2.4.2)."""
    one = dpop_key_from_text(encode((1).to_bytes(32, "big")))
    assert one.public_jwk == {
        "kty": "EC",
        "crv": "P-256",
        "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
        "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
    }


def test_a_key_shows_nothing_in_its_repr() -> None:
    assert repr(KEY) == f"DPoPKey(thumbprint='{KEY.thumbprint}')"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("A" * 43, id="zero"),
        pytest.param(encode(GROUP_ORDER.to_bytes(32, "big")), id="the group's order"),
        pytest.param("_" * 42 + "8", id="ones"),
        pytest.param("A" * 42 + "F", id="bits beyond the end"),
        pytest.param(KEY.to_text()[:-1], id="too short"),
        pytest.param(KEY.to_text() + "A", id="too long"),
        pytest.param(KEY.to_text() + "=", id="padding"),
        pytest.param(KEY.to_text() + "\n", id="line feed at the end"),
        pytest.param("+" + KEY.to_text()[1:], id="base64 of another kind"),
        pytest.param("\u0661" + KEY.to_text()[1:], id="a digit beyond ASCII"),
    ],
)
def test_what_is_no_key(text: str) -> None:
    assert dpop_key_from_text(KEY.to_text()) == KEY
    with pytest.raises(ValueError, match=r"\Anot a DPoP key\Z"):
        dpop_key_from_text(text)


CALL: Final = Call(method="POST", url=f"{URL}?a=b", headers={"Accept": "application/json"}, body=b"x", mutual_tls=True)


def test_a_call_with_a_proof_is_otherwise_the_same() -> None:
    call = with_proof(CALL, KEY, MOMENT, "n1")
    raw = call.headers["DPoP"]
    assert call == Call(method="POST", url=CALL.url, headers={**CALL.headers, "DPoP": raw}, body=b"x", mutual_tls=True)
    claims = claims_of(raw)
    assert (claims["htm"], claims["htu"], claims["nonce"]) == ("POST", URL, "n1")
    assert "ath" not in claims


def test_a_second_try_has_one_proof_of_its_own() -> None:
    """RFC 9449 7.3, whatever case the earlier header was written in."""
    first = with_proof(CALL, KEY, MOMENT)
    second = with_proof(Call(method="POST", url=URL, headers={"dpop": first.headers["DPoP"]}), KEY, MOMENT, "n2")
    assert list(second.headers) == ["DPoP"]
    assert claims_of(second.headers["DPoP"])["nonce"] == "n2"
    assert claims_of(second.headers["DPoP"])["jti"] != claims_of(first.headers["DPoP"])["jti"]


def test_p8_the_access_token_goes_into_one_header() -> None:
    bearer = Call(method="GET", url=URL, headers={"authorization": "Bearer other", "X": "y"})
    call = with_proof(bearer, KEY, MOMENT, access_token="token")
    assert {name: value for name, value in call.headers.items() if name != "DPoP"} == {
        "X": "y",
        "Authorization": "DPoP token",
    }
    assert "ath" in claims_of(call.headers["DPoP"])


def test_the_client_authentication_of_a_token_request_stays() -> None:
    call = with_proof(Call(method="POST", url=URL, headers={"Authorization": "Basic eA=="}), KEY, MOMENT)
    assert call.headers["Authorization"] == "Basic eA=="


PUNCTUATION: Final = "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"


@pytest.mark.parametrize(
    ("headers", "nonce"),
    [
        pytest.param({"dpop-nonce": "n1"}, "n1", id="A1"),
        pytest.param({"dpop-nonce": PUNCTUATION}, PUNCTUATION, id="H4 punctuation"),
        pytest.param({"dpop-nonce": "n" * 1024}, "n" * 1024, id="the longest"),
        pytest.param({}, None, id="A2 none"),
        pytest.param({"dpop-nonce": ""}, None, id="empty"),
        pytest.param({"dpop-nonce": "n" * 1025}, None, id="too long"),
        pytest.param({"dpop-nonce": "a, b"}, None, id="twice"),
        pytest.param({"dpop-nonce": 'a"b'}, None, id="quote"),
        pytest.param({"dpop-nonce": "a\\b"}, None, id="backslash"),
        pytest.param({"dpop-nonce": "a\n"}, None, id="line feed"),
        pytest.param({"dpop-nonce": "a\x00"}, None, id="NUL"),
        pytest.param({"dpop-nonce": "\u00e9"}, None, id="not ASCII"),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401])
def test_p6_nonces_come_with_any_answer(headers: dict[str, str], nonce: str | None, status: int) -> None:
    assert offered_nonce(Reply(status=status, headers=headers)) == nonce


def test_h4_a_nonce_is_echoed_verbatim() -> None:
    assert claims_of(proof(KEY, method="GET", url=URL, moment=MOMENT, nonce=PUNCTUATION))["nonce"] == PUNCTUATION


def challenge_reply(header: str, status: int = 401) -> Reply:
    return Reply(status=status, headers={"www-authenticate": header})


DEMAND: Final = {"error": "use_dpop_nonce"}


@pytest.mark.parametrize(
    ("reply", "demanded"),
    [
        pytest.param(json_reply(DEMAND, 400), True, id="P6 authorization server"),
        pytest.param(json_reply({**DEMAND, "error_description": "x"}, 401), True, id="authorization server with 401"),
        pytest.param(challenge_reply('DPoP error="use_dpop_nonce", error_description="x"'), True, id="P6 resource"),
        pytest.param(challenge_reply('dPoP error="use_dpop_nonce"'), True, id="A22 scheme in another case"),
        pytest.param(challenge_reply('DPoP ERROR="use_dpop_nonce"'), True, id="parameter in another case"),
        pytest.param(
            challenge_reply('DPoP algs="ES256", x=y, error=use_dpop_nonce'), True, id="7.1 unknown parameters"
        ),
        pytest.param(challenge_reply('Bearer realm="a", DPoP error="use_dpop_nonce"'), True, id="second challenge"),
        pytest.param(challenge_reply('Bearer error="use_dpop_nonce"'), False, id="challenge of another scheme"),
        pytest.param(challenge_reply('DPoP error="invalid_token"'), False, id="another error"),
        pytest.param(challenge_reply('DPoP x="error=use_dpop_nonce"'), False, id="error inside of a value"),
        pytest.param(challenge_reply("DPoP"), False, id="challenge without parameters"),
        pytest.param(challenge_reply('DPoP error="USE_DPOP_NONCE"'), False, id="error in another case"),
        pytest.param(challenge_reply('DPoP error="use_dpop_nonce"', 200), False, id="challenge with 200"),
        pytest.param(challenge_reply('DPoP error="use_dpop_nonce"', 400), False, id="challenge with 400"),
        pytest.param(challenge_reply('DPoP error="use_dpop_nonce"', 403), False, id="challenge with 403"),
        pytest.param(challenge_reply("\x00\xff,,,=="), False, id="challenge of garbage"),
        pytest.param(Reply(status=401), False, id="401 alone"),
        pytest.param(json_reply({"error": "invalid_grant"}, 400), False, id="another error of the server"),
        pytest.param(json_reply({"error": ["use_dpop_nonce"]}, 400), False, id="error is a list"),
        pytest.param(json_reply(["use_dpop_nonce"], 400), False, id="answer is a list"),
        pytest.param(json_reply(DEMAND, 200), False, id="success"),
        pytest.param(json_reply(DEMAND, 503), False, id="outage"),
        pytest.param(Reply(status=400, headers=JSON_HEADERS, body=b"{"), False, id="not JSON"),
        pytest.param(
            Reply(status=400, headers={"content-type": "text/html"}, body=json.dumps(DEMAND).encode()), False, id="HTML"
        ),
    ],
)
def test_p6_who_demands_a_nonce(reply: Reply, demanded: bool) -> None:
    assert demands_nonce(reply) is demanded


def test_keys_can_be_told_apart_in_a_set() -> None:
    keys: set[DPoPKey] = {KEY, dpop_key_from_text(KEY.to_text()), new_dpop_key(fixed_entropy(42))}
    assert len(keys) == 2
