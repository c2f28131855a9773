"""How the client proves who it is (RFC 6749 2.3.1, RFC 7523, RFC 8705 2; CONFORMANCE B14, H3, H8, P3, P4, P7)."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError
from gateway.oidc.client import Client
from gateway.oidc.client_auth import (
    ASSERTION_TYPE,
    AUTH_METHODS,
    CERTIFICATE_METHODS,
    auth_method,
    authenticated_call,
)
from gateway.oidc.jose import parse_signed, verify_symmetric
from gateway.oidc.messages import Call, Moment
from oidc.keys import public_pem, rsa_key
from oidc.parties import ISSUER, METADATA, NOW, SECRET, checked_claims, form, form_pairs, new_moment, signing_key

PARAMETERS: Final = {"grant_type": "refresh_token", "refresh_token": "a b%&+:/;=\u00e9"}
EQUIPPED: Final = Client(
    client_id="c1",
    client_secret=SECRET,
    signing_keys=(signing_key("PS256"), signing_key("ES256", "s2")),
    has_certificate=True,
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/",
)
ASSERTING: Final = ("client_secret_jwt", "private_key_jwt")


def call_of(
    client: Client, moment: Moment | None = None, parameters: Sequence[tuple[str, str]] = tuple(PARAMETERS.items())
) -> Call:
    return authenticated_call(
        "https://op.example/token",
        metadata=METADATA,
        client=client,
        parameters=parameters,
        moment=moment or new_moment(),
    )


def by(method: str | None, client: Client = EQUIPPED) -> Client:
    return replace(client, token_endpoint_auth_method=method)


def call_by(method: str, client_id: str = "c1", client_secret: str = SECRET) -> Call:
    return call_of(by(method, replace(EQUIPPED, client_id=client_id, client_secret=client_secret)))


def assertion(call: Call) -> str:
    sent = form(call)
    assert sent["client_assertion_type"] == ASSERTION_TYPE
    return sent["client_assertion"]


@pytest.mark.parametrize(
    ("client_id", "client_secret", "pair"),
    [
        pytest.param("c1", "s1", "c1:s1", id="B14 plain"),
        pytest.param("c:1", "s:1", "c%3A1:s%3A1", id="H3 colons"),
        pytest.param("c 1", "a b", "c+1:a+b", id="H3 spaces"),
        pytest.param("c1", "%&+:/;=", "c1:%25%26%2B%3A%2F%3B%3D", id="H3 punctuation"),
        pytest.param("c1", "%41", "c1:%2541", id="H3 what looks encoded"),
        pytest.param("c1", "-._~", "c1:-._~", id="unreserved"),
        pytest.param("c1", "a\r\nX: y", "c1:a%0D%0AX%3A+y", id="a line break begins no header"),
        pytest.param("\u00e9", "\u20ac", "%C3%A9:%E2%82%AC", id="UTF-8"),
        pytest.param("c1", "", "c1:", id="empty secret"),
    ],
)
def test_client_secret_basic(client_id: str, client_secret: str, pair: str) -> None:
    call = call_by("client_secret_basic", client_id, client_secret)
    scheme, _, credentials = call.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(credentials, validate=True).decode("ascii")) == ("Basic", pair)
    assert form(call) == PARAMETERS


def test_client_secret_post() -> None:
    call = call_by("client_secret_post", "c 1", "%&+:/;=")
    assert form(call) == {**PARAMETERS, "client_id": "c 1", "client_secret": "%&+:/;="}
    assert "Authorization" not in call.headers


def test_a_public_client_names_itself_alone() -> None:
    call = call_by("none", "c 1", "s3cret")
    assert form(call) == {**PARAMETERS, "client_id": "c 1"}
    assert "Authorization" not in call.headers


@pytest.mark.parametrize("method", sorted(CERTIFICATE_METHODS))
def test_a_client_with_a_certificate_names_itself_and_presents_it(method: str) -> None:
    """RFC 8705 2: `client_id` is in the request."""
    call = call_by(method, "c 1")
    assert form(call) == {**PARAMETERS, "client_id": "c 1"}
    assert call.mutual_tls
    assert "Authorization" not in call.headers


@pytest.mark.parametrize("algorithm", ["PS256", "RS256", "ES256", "ES384", "ES512", "EdDSA"])
def test_p3_private_key_jwt(algorithm: str) -> None:
    """RFC 7523 3, FAPI 2.0 5.3.3.1: all of the assertion, signed with the algorithm of the key."""
    key = signing_key(algorithm)
    call = call_of(by("private_key_jwt", replace(EQUIPPED, client_id="c 1", signing_keys=(key,))))
    header, claims = checked_claims(assertion(call), key)
    jti = claims.pop("jti")
    assert header == {"typ": "JWT", "alg": algorithm, "kid": "s1"}
    assert claims == {"iss": "c 1", "sub": "c 1", "aud": ISSUER, "iat": NOW, "exp": NOW + 60}
    assert isinstance(jti, str)
    assert len(jti) == 32
    assert form(call).keys() == {*PARAMETERS, "client_id", "client_assertion_type", "client_assertion"}
    assert "Authorization" not in call.headers


def test_p3_the_audience_is_the_issuer_wherever_the_call_goes() -> None:
    metadata = replace(METADATA, token_endpoint="https://mtls.op.example/token")
    call = authenticated_call(
        metadata.token_endpoint, metadata=metadata, client=by("private_key_jwt"), parameters=[], moment=new_moment()
    )
    assert checked_claims(assertion(call), EQUIPPED.signing_keys[0])[1]["aud"] == ISSUER


def test_the_first_signing_key_makes_the_assertion() -> None:
    client = by("private_key_jwt", replace(EQUIPPED, signing_keys=EQUIPPED.signing_keys[::-1]))
    header, _ = checked_claims(assertion(call_of(client)), EQUIPPED.signing_keys[1])
    assert (header["alg"], header["kid"]) == ("ES256", "s2")


@pytest.mark.parametrize("method", ASSERTING)
def test_p3_every_call_has_a_jti_of_its_own(method: str) -> None:
    moment = new_moment()
    first, second = (assertion(call_of(by(method), moment)) for _ in range(2))
    assert first != second
    assert len({jti_of(raw) for raw in (first, second)}) == 2


def jti_of(raw: str) -> object:
    token = parse_signed(raw, ("HS256", "PS256"))
    if token.algorithm == "HS256":
        return verify_symmetric(token, SECRET)["jti"]
    return checked_claims(raw, EQUIPPED.signing_keys[0])[1]["jti"]


def test_client_secret_jwt() -> None:
    """OIDC Core 9: the same assertion, its MAC keyed by the secret, which is not sent."""
    call = call_by("client_secret_jwt", "c 1")
    token = parse_signed(assertion(call), ("HS256",))
    claims = verify_symmetric(token, SECRET)
    assert token.header == {"typ": "JWT", "alg": "HS256"}
    assert claims.pop("jti")
    assert claims == {"iss": "c 1", "sub": "c 1", "aud": ISSUER, "iat": NOW, "exp": NOW + 60}
    assert form(call).keys() == {*PARAMETERS, "client_id", "client_assertion_type", "client_assertion"}


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 31, id="one byte too short"),
        pytest.param(public_pem(rsa_key("op")).decode("ascii"), id="a public key"),
    ],
)
def test_a_secret_that_is_not_fit_for_a_mac(secret: str) -> None:
    """RFC 7518 3.2."""
    assert assertion(call_by("client_secret_jwt", client_secret="x" * 32))
    with pytest.raises(GatewayError) as error:
        call_by("client_secret_jwt", client_secret=secret)
    assert error.value.code == "jwt_alg_refused"


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_every_method_posts_a_form(method: str) -> None:
    call = call_by(method)
    assert (call.method, call.url) == ("POST", "https://op.example/token")
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert call.headers["Accept"] == "application/json"
    assert form(call).items() >= PARAMETERS.items()


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_what_is_asked_for_is_said(method: str) -> None:
    call = authenticated_call(
        "https://op.example/introspect",
        metadata=METADATA,
        client=by(method),
        parameters=[],
        moment=new_moment(),
        accept="application/token-introspection+jwt",
    )
    assert call.headers["Accept"] == "application/token-introspection+jwt"


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_h8_client_id_is_there_once_and_is_ours(method: str) -> None:
    call = call_of(by(method), parameters=[("client_id", "c1"), ("resource", "a"), ("resource", "b")])
    pairs = form_pairs(call)
    assert [value for name, value in pairs if name == "client_id"] == ["c1"]
    assert [value for name, value in pairs if name == "resource"] == ["a", "b"]


@pytest.mark.parametrize("method", [method for method in AUTH_METHODS if method != "client_secret_basic"])
def test_a_parameter_does_not_say_who_we_are(method: str) -> None:
    assert form(call_of(by(method), parameters=[("client_id", "evil")]))["client_id"] == "c1"


@pytest.mark.parametrize("method", AUTH_METHODS)
@pytest.mark.parametrize("has_certificate", [True, False], ids=["with a certificate", "without"])
def test_p7_a_certificate_is_presented_wherever_there_is_one(method: str, has_certificate: bool) -> None:
    """RFC 8705 3: also when it only binds the tokens."""
    if method in CERTIFICATE_METHODS and not has_certificate:
        with pytest.raises(ValueError, match="token_endpoint_auth_method"):
            call_of(by(method, replace(EQUIPPED, has_certificate=False)))
    else:
        assert call_of(by(method, replace(EQUIPPED, has_certificate=has_certificate))).mutual_tls is has_certificate


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_credentials_stay_out_of_the_repr(method: str) -> None:
    call = call_by(method, client_secret="s3cret" * 8)
    assert "s3cret" not in repr(call)
    assert "eyJ" not in repr(call)


@pytest.mark.parametrize("method", ["client_secret_jwt", "private_key_jwt", "none", *sorted(CERTIFICATE_METHODS)])
def test_a_secret_that_is_not_the_method_is_not_sent(method: str) -> None:
    call = call_by(method, client_secret="s3cret" * 8)
    assert b"s3cret" not in call.body
    assert not any("s3cret" in value for value in call.headers.values())


@pytest.mark.parametrize("method", ["", "private_key_jwt", "CLIENT_SECRET_BASIC", "client_secret", "password"])
def test_a_method_that_we_do_not_have_is_a_fault_of_ours(method: str) -> None:
    """A call that proves nothing is not sent instead."""
    assert call_by("client_secret_basic").headers["Authorization"]
    with pytest.raises(ValueError, match="token_endpoint_auth_method"):
        call_of(by(method, replace(EQUIPPED, signing_keys=())))


ALL: Final = tuple(reversed(AUTH_METHODS))


@pytest.mark.parametrize(
    ("taken", "equipment", "method"),
    [
        pytest.param(ALL, "key certificate secret", "private_key_jwt", id="RFC9700-2.5 the strongest first"),
        pytest.param(ALL, "certificate secret", "tls_client_auth", id="certificate before secret"),
        pytest.param(ALL, "secret", "client_secret_basic", id="secret"),
        pytest.param(ALL, "", "none", id="public client"),
        pytest.param(("self_signed_tls_client_auth",), "certificate", "self_signed_tls_client_auth", id="self-signed"),
        pytest.param(("client_secret_post",), "secret", "client_secret_post", id="post alone"),
        pytest.param(("client_secret_jwt",), "secret", "client_secret_jwt", id="client_secret_jwt alone"),
        pytest.param(("client_secret_post",), "key secret", "client_secret_post", id="a key that is not taken"),
        pytest.param(("attest_jwt", "client_secret_post"), "secret", "client_secret_post", id="an unknown method"),
        pytest.param(None, "secret", "client_secret_basic", id="RFC8414-2 nothing said"),
        pytest.param(None, "key secret", "client_secret_basic", id="RFC8414-2 nothing said, a key too"),
        pytest.param((), "secret", "client_secret_basic", id="an empty list says nothing"),
    ],
)
def test_the_method_that_both_sides_are_equipped_for(
    taken: tuple[str, ...] | None, equipment: str, method: str
) -> None:
    assert auth_method(replace(METADATA, token_endpoint_auth_methods=taken), equipped(equipment)) == method


@pytest.mark.parametrize(
    ("taken", "equipment"),
    [
        pytest.param(("private_key_jwt",), "secret", id="no key"),
        pytest.param(("tls_client_auth", "private_key_jwt"), "secret", id="neither key nor certificate"),
        pytest.param(("client_secret_basic", "client_secret_post"), "key", id="no secret"),
        pytest.param(("none",), "secret", id="a secret is not left at home"),
        pytest.param(None, "", id="nothing said, and no secret"),
        pytest.param(("attest_jwt",), "key certificate secret", id="unknown methods alone"),
        pytest.param(("PRIVATE_KEY_JWT",), "key", id="another case"),
        pytest.param(("private_key_jwt client_secret_basic",), "key secret", id="a list in one text"),
    ],
)
def test_no_method_that_both_sides_are_equipped_for(taken: tuple[str, ...] | None, equipment: str) -> None:
    assert auth_method(METADATA, equipped("secret")) == "client_secret_basic"
    with pytest.raises(GatewayError) as error:
        auth_method(replace(METADATA, token_endpoint_auth_methods=taken), equipped(equipment))
    assert error.value.code == "metadata_lacking"


def equipped(equipment: str) -> Client:
    return replace(
        EQUIPPED,
        client_secret=SECRET if "secret" in equipment else "",
        signing_keys=EQUIPPED.signing_keys if "key" in equipment else (),
        has_certificate="certificate" in equipment,
    )


def test_a_configured_method_is_not_chosen_anew() -> None:
    """Metadata that an attacker weakens do not weaken what was configured."""
    metadata = replace(METADATA, token_endpoint_auth_methods=("client_secret_post",))
    assert auth_method(metadata, by("private_key_jwt")) == "private_key_jwt"
