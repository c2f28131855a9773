"""What was agreed against what is received, for anything that the provider protects (OIDC Core 3.1.3.7 (1), 10.2)."""

import hashlib
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError
from gateway.oidc.client import Protection
from gateway.oidc.protected import open_signed, open_text
from oidc.encryption import encrypted
from oidc.keys import ec_key, encode, rsa_key, signed_claims
from oidc.parties import CLIENT, SECRET, decryption_key

AGREED: Final = ("RSA-OAEP-256", "A128CBC-HS256")
PLAIN: Final = Protection(algorithms=("ES256",))
ENCRYPTED: Final = Protection(algorithms=("ES256",), encryption=AGREED)
US: Final = replace(CLIENT, decryption_keys=(decryption_key("RSA-OAEP-256"), decryption_key("ECDH-ES", "e2")))
JWS: Final = signed_claims({"alg": "ES256"}, {"sub": "u1"}, ec_key("op"))


def jwe(text: str, algorithm: str = "RSA-OAEP-256", encoding: str = "A128CBC-HS256", kid: str | None = None) -> str:
    recipient = rsa_key("us").public_key() if algorithm.startswith("RSA") else ec_key("us").public_key()
    members = None if kid is None else {"kid": kid}
    return encrypted(text.encode(), algorithm, encoding, recipient, members).compact()


@pytest.mark.parametrize(
    ("raw", "protection"),
    [
        pytest.param(JWS, PLAIN, id="signed"),
        pytest.param(jwe(JWS), ENCRYPTED, id="encrypted"),
        pytest.param(jwe(JWS, kid="e1"), ENCRYPTED, id="encrypted to a kid"),
        pytest.param(
            jwe(JWS, "ECDH-ES", "A256GCM", "e2"), replace(ENCRYPTED, encryption=("ECDH-ES", "A256GCM")), id="ECDH-ES"
        ),
    ],
)
def test_what_was_agreed_is_opened(raw: str, protection: Protection) -> None:
    assert open_signed(raw, protection, US).raw == JWS


@pytest.mark.parametrize(
    ("raw", "protection", "code"),
    [
        pytest.param(JWS, ENCRYPTED, "jwe_not_encrypted", id="3.1.3.7 (1) not encrypted though agreed"),
        pytest.param(jwe(JWS), PLAIN, "jwt_malformed", id="encrypted though not agreed"),
        pytest.param(jwe(jwe(JWS)), ENCRYPTED, "jwt_malformed", id="encrypted twice"),
        pytest.param(jwe("{}"), ENCRYPTED, "jwt_malformed", id="nothing signed inside"),
        pytest.param(jwe(JWS, "RSA1_5"), ENCRYPTED, "jwe_alg_refused", id="encrypted-idtoken-usingrsa15"),
        pytest.param(jwe(JWS, "RSA-OAEP"), ENCRYPTED, "jwe_alg_refused", id="another alg"),
        pytest.param(jwe(JWS, "ECDH-ES"), ENCRYPTED, "jwe_alg_refused", id="another alg that we have a key for"),
        pytest.param(jwe(JWS, encoding="A256GCM"), ENCRYPTED, "jwe_alg_refused", id="another enc"),
        pytest.param(jwe(JWS, kid="e3"), ENCRYPTED, "jwe_decryption_failed", id="another kid"),
        pytest.param(jwe(JWS)[:-2] + "AA", ENCRYPTED, "jwe_decryption_failed", id="altered"),
        pytest.param(jwe(JWS), replace(PLAIN, encryption=("RSA1_5", "A128GCM")), "jwe_alg_refused", id="never agreed"),
        pytest.param(
            jwe(encode(b'{"alg":"none"}') + "." + JWS.split(".")[1] + "."), ENCRYPTED, "jwt_alg_refused", id="none"
        ),
        pytest.param(jwe(JWS), replace(ENCRYPTED, algorithms=()), "jwt_alg_refused", id="signed with nothing agreed"),
        pytest.param("", ENCRYPTED, "jwe_not_encrypted", id="empty"),
        pytest.param("", PLAIN, "jwt_malformed", id="empty, plain"),
        pytest.param("....", ENCRYPTED, "jwe_decryption_failed", id="five empty parts"),
        pytest.param("a" * 10_000_000 + "....", ENCRYPTED, "jwe_decryption_failed", id="10 MB"),
        pytest.param("\u00e9....", ENCRYPTED, "jwe_decryption_failed", id="not ASCII"),
    ],
)
def test_what_was_not_agreed_is_refused(raw: str, protection: Protection, code: str) -> None:
    assert open_signed(jwe(JWS), ENCRYPTED, US).raw == JWS
    with pytest.raises(GatewayError) as error:
        open_signed(raw, protection, US)
    assert error.value.code == code


def test_a_client_without_keys_opens_nothing() -> None:
    with pytest.raises(GatewayError) as error:
        open_signed(jwe(JWS), ENCRYPTED, replace(US, decryption_keys=()))
    assert error.value.code == "jwe_decryption_failed"


@pytest.mark.parametrize(
    ("algorithm", "encoding", "size"),
    [
        pytest.param("dir", "A128CBC-HS256", 32, id="dir"),
        pytest.param("A128KW", "A128CBC-HS256", 16, id="rp-id_token-sig+enc-a128kw"),
        pytest.param("A256GCMKW", "A256GCM", 32, id="A256GCMKW"),
    ],
)
def test_the_secret_opens_what_was_encrypted_with_it(algorithm: str, encoding: str, size: int) -> None:
    """OIDC Core 10.2: a prefix of the hash of the client secret; another secret, or none, opens nothing."""
    key = hashlib.sha256(SECRET.encode()).digest()[:size]
    raw = encrypted(JWS.encode(), algorithm, encoding, key).compact()
    protection = replace(PLAIN, encryption=(algorithm, encoding))
    assert open_signed(raw, protection, US).raw == JWS
    for secret, code in (("another secret", "jwe_decryption_failed"), ("", "jwe_alg_refused")):
        with pytest.raises(GatewayError) as error:
            open_signed(raw, protection, replace(US, client_secret=secret))
        assert error.value.code == code


def test_what_is_only_encrypted_is_only_opened() -> None:
    assert open_text(jwe('{"sub":"u1"}'), Protection(algorithms=(), encryption=AGREED), US) == '{"sub":"u1"}'
    assert open_text("as it is", PLAIN, US) == "as it is"
