"""What we register, and what a provider may make of it (RFC 7591 2, 3.2.1; OIDC Registration 2; CONFORMANCE D6, H1)."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Final

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import GatewayError
from gateway.oidc.client import Client, Protection, SenderConstraint
from gateway.oidc.client_metadata import EXACT_MEMBERS, check_agreement, registration_request, template_request
from gateway.oidc.keys import OwnKey, load_own_keys
from oidc.keys import ec_key, rsa_key

CLIENT: Final = Client(
    client_id="", redirect_uri="https://app.example/cb?p=op", post_logout_redirect_uri="https://app.example/"
)
PLAIN: Final[Mapping[str, object]] = {
    "application_type": "web",
    "redirect_uris": ["https://app.example/cb?p=op"],
    "post_logout_redirect_uris": ["https://app.example/"],
    "response_types": ["code"],
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "openid",
    "id_token_signed_response_alg": "RS256",
}


@cache
def own_key(owner: str, use: str) -> OwnKey:
    key = ec_key(owner) if use == "sig" else rsa_key(owner)
    return load_own_keys(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), use=use)[0]


def added(client: Client, extra: Mapping[str, object] | None = None) -> dict[str, object]:
    """What the request has beyond the plain one."""
    request = registration_request(client, extra or {})
    return {name: value for name, value in request.items() if name not in PLAIN or PLAIN[name] != value}


def test_d6_the_plain_request() -> None:
    assert registration_request(CLIENT, {}) == PLAIN


def test_the_hybrid_flow_is_implicit_too() -> None:
    request = registration_request(CLIENT, {}, response_type="code id_token")
    assert request["response_types"] == ["code id_token"]
    assert request["grant_types"] == ["authorization_code", "implicit", "refresh_token"]


@pytest.mark.parametrize(
    ("client", "members"),
    [
        pytest.param(
            replace(CLIENT, token_endpoint_auth_method="client_secret_post"),
            {"token_endpoint_auth_method": "client_secret_post"},
            id="authentication",
        ),
        pytest.param(
            replace(CLIENT, sender_constraint=SenderConstraint.DPOP), {"dpop_bound_access_tokens": True}, id="DPoP"
        ),
        pytest.param(
            replace(CLIENT, sender_constraint=SenderConstraint.MTLS),
            {"tls_client_certificate_bound_access_tokens": True},
            id="mTLS",
        ),
        pytest.param(
            replace(CLIENT, id_token=Protection(algorithms=("ES256", "RS256"))),
            {"id_token_signed_response_alg": "ES256"},
            id="ID token",
        ),
        pytest.param(
            replace(CLIENT, userinfo=Protection(algorithms=("PS256",), encryption=("RSA-OAEP-256", "A256GCM"))),
            {
                "userinfo_signed_response_alg": "PS256",
                "userinfo_encrypted_response_alg": "RSA-OAEP-256",
                "userinfo_encrypted_response_enc": "A256GCM",
            },
            id="userinfo",
        ),
        pytest.param(
            replace(CLIENT, authorization_response=Protection(algorithms=("PS256",))),
            {"authorization_signed_response_alg": "PS256"},
            id="JARM",
        ),
        pytest.param(
            replace(CLIENT, backchannel_logout_uri="https://app.example/back"),
            {"backchannel_logout_uri": "https://app.example/back", "backchannel_logout_session_required": True},
            id="Back-Channel Logout 2.2",
        ),
        pytest.param(
            replace(CLIENT, frontchannel_logout_uri="https://app.example/front"),
            {"frontchannel_logout_uri": "https://app.example/front", "frontchannel_logout_session_required": True},
            id="Front-Channel Logout 2",
        ),
        pytest.param(
            replace(CLIENT, introspection=Protection(algorithms=("PS256",))),
            {"introspection_signed_response_alg": "PS256"},
            id="RFC 9701 6 introspection",
        ),
        pytest.param(
            replace(CLIENT, request_object_encryption=("RSA-OAEP-256", "A256GCM")),
            {"request_object_encryption_alg": "RSA-OAEP-256", "request_object_encryption_enc": "A256GCM"},
            id="request object",
        ),
    ],
)
def test_what_is_configured_is_registered(client: Client, members: dict[str, object]) -> None:
    assert added(client) == members


def test_public_keys_are_registered_and_nothing_private() -> None:
    signing, decryption = own_key("us", "sig"), own_key("us", "enc")
    client = replace(
        CLIENT,
        token_endpoint_auth_method="private_key_jwt",
        signing_keys=(signing,),
        decryption_keys=(decryption,),
    )
    members = added(client)
    assert members == {
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [signing.public_jwk(), decryption.public_jwk()]},
    }
    keys = [signing.public_jwk(), decryption.public_jwk()]
    assert all({"d", "p", "q", "k"}.isdisjoint(key) for key in keys)


def test_d6_keys_by_reference_are_not_there_by_value() -> None:
    client = replace(CLIENT, signing_keys=(own_key("us", "sig"),))
    request = registration_request(client, {}, jwks_uri="https://app.example/oauth2/jwks.json")
    assert request["jwks_uri"] == "https://app.example/oauth2/jwks.json"
    assert "jwks" not in request


def test_extra_members_come_last() -> None:
    assert added(CLIENT, {"client_name": "Caf\xe9", "scope": "openid email"}) == {
        "client_name": "Caf\xe9",
        "scope": "openid email",
    }


def test_the_request_for_a_template() -> None:
    assert template_request(CLIENT, "t1", {"client_name": "A"}) == {
        "software_id": "t1",
        "redirect_uris": ["https://app.example/cb?p=op"],
        "client_name": "A",
    }


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({"redirect_uris": []}, id="D6 no redirect URI"),
        pytest.param({"redirect_uris": "https://app.example/cb"}, id="D6 redirect_uris is a text"),
        pytest.param({"redirect_uris": ["https://app.example/cb#f"]}, id="D6 redirect URI with a fragment"),
        pytest.param({"redirect_uris": ["https://app.example/cb#"]}, id="redirect URI with an empty fragment"),
        pytest.param({"redirect_uris": ["/cb"]}, id="relative redirect URI"),
        pytest.param({"redirect_uris": ["javascript:alert(1)"]}, id="redirect URI of a script"),
        pytest.param({"redirect_uris": ["https://u:p@app.example/cb"]}, id="redirect URI with a user"),
        pytest.param({"redirect_uris": ["https://app.example/c b"]}, id="redirect URI with a space"),
        pytest.param({"redirect_uris": ["https://app.example:99999/"]}, id="redirect URI with a wrong port"),
        pytest.param({"redirect_uris": ["https://app.example/cb", 1]}, id="redirect URI is a number"),
        pytest.param({"post_logout_redirect_uris": ["/"]}, id="relative logout page"),
        pytest.param({"logo_uri": "logo.png"}, id="D6 logo"),
        pytest.param({"client_uri": ["https://app.example/"]}, id="D6 client_uri is a list"),
        pytest.param({"policy_uri": "ftp://app.example/"}, id="D6 policy"),
        pytest.param({"tos_uri": ""}, id="D6 terms of service"),
        pytest.param({"backchannel_logout_uri": "https://app.example/l#f"}, id="logout URI with a fragment"),
        pytest.param({"initiate_login_uri": "http://app.example/start"}, id="T1 login by a third party without TLS"),
        pytest.param({"subject_type": "private"}, id="D6 subject_type"),
        pytest.param({"token_endpoint_auth_method": "password"}, id="unknown authentication"),
        pytest.param({"token_endpoint_auth_method": ["none"]}, id="authentication is a list"),
        pytest.param({"id_token_encrypted_response_enc": "A256GCM"}, id="D6 enc without alg"),
        pytest.param({"jwks": {"keys": []}, "jwks_uri": "https://app.example/jwks"}, id="D6 jwks and jwks_uri"),
        pytest.param({"jwks": {"keys": [{"kid": "a"}, {"kid": "a"}]}}, id="D6 one kid for two keys"),
        pytest.param({"jwks": {"keys": [{"kid": "a", "kty": "EC", "d": "x"}]}}, id="private key"),
        pytest.param({"jwks": {"keys": [{"kid": "a", "kty": "oct", "k": "x"}]}}, id="secret key"),
        pytest.param({"jwks": {"keys": {}}}, id="keys is no list"),
        pytest.param({"jwks": []}, id="jwks is a list"),
    ],
)
def test_d6_requests_that_are_not_made(extra: dict[str, object]) -> None:
    assert added(CLIENT, {"logo_uri": "https://app.example/logo.png"})
    with pytest.raises(GatewayError) as error:
        registration_request(CLIENT, extra)
    assert error.value.code == "registration_invalid"


def test_two_keys_of_ours_with_one_kid() -> None:
    key = own_key("us", "sig")
    with pytest.raises(GatewayError) as error:
        registration_request(replace(CLIENT, signing_keys=(key, key)), {})
    assert error.value.code == "registration_invalid"


REQUESTED: Final[Mapping[str, object]] = {
    **PLAIN,
    "response_types": ["code id_token"],
    "token_endpoint_auth_method": "client_secret_basic",
    "dpop_bound_access_tokens": True,
}


@pytest.mark.parametrize(
    "registered",
    [
        pytest.param({}, id="nothing said"),
        pytest.param(REQUESTED, id="as asked for"),
        pytest.param({"redirect_uris": None, "id_token_signed_response_alg": None}, id="null is nothing said"),
        pytest.param({"response_types": ["id_token code", "code"]}, id="H1 response types in odd order, and more"),
        pytest.param({"token_endpoint_auth_method": "client_secret_post"}, id="secret sent in another way"),
        pytest.param({"grant_types": ["authorization_code"], "scope": "openid email"}, id="grants and scope"),
        pytest.param({"client_name": "B", "post_logout_redirect_uris": []}, id="name and logout page"),
        pytest.param({"userinfo_signed_response_alg": "ES256"}, id="what was not asked for"),
    ],
)
def test_rfc7591_3_2_1_answers_to_agree_to(registered: dict[str, object]) -> None:
    check_agreement(registered, REQUESTED)
    with pytest.raises(GatewayError):
        check_agreement({**registered, "redirect_uris": ["https://evil.example/"]}, REQUESTED)


@pytest.mark.parametrize(
    "registered",
    [
        pytest.param({"redirect_uris": []}, id="redirect URI taken away"),
        pytest.param({"redirect_uris": ["https://app.example/cb"]}, id="another redirect URI"),
        pytest.param({"redirect_uris": ["https://app.example/cb?p=op", "https://evil.example/"]}, id="one more"),
        pytest.param({"redirect_uris": "https://app.example/cb?p=op"}, id="redirect_uris is a text"),
        pytest.param({"redirect_uris": [["https://app.example/cb?p=op"]]}, id="redirect_uris is a list of lists"),
        pytest.param({"response_types": ["code"]}, id="response type refused"),
        pytest.param({"token_endpoint_auth_method": "none"}, id="no authentication"),
        pytest.param({"token_endpoint_auth_method": "client_secret_jwt"}, id="another authentication"),
        pytest.param({"token_endpoint_auth_method": "password"}, id="unknown authentication"),
        pytest.param({"token_endpoint_auth_method": ["client_secret_basic"]}, id="authentication is a list"),
        pytest.param({"id_token_signed_response_alg": "none"}, id="unsigned ID token"),
        pytest.param({"id_token_signed_response_alg": ["RS256"]}, id="algorithm is a list"),
        pytest.param({"dpop_bound_access_tokens": False}, id="tokens not bound"),
        pytest.param({"dpop_bound_access_tokens": "true"}, id="bound is a text"),
    ],
)
def test_rfc7591_3_2_1_answers_not_to_agree_to(registered: dict[str, object]) -> None:
    with pytest.raises(GatewayError) as error:
        check_agreement(registered, REQUESTED)
    assert error.value.code == "registration_invalid"


@pytest.mark.parametrize("name", EXACT_MEMBERS)
def test_rfc7591_3_2_1_members_that_stand_to_the_letter(name: str) -> None:
    check_agreement({name: "one"}, {name: "one"})
    with pytest.raises(GatewayError) as error:
        check_agreement({name: "other"}, {name: "one"})
    assert error.value.code == "registration_invalid"


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        pytest.param("private_key_jwt", "client_secret_basic", id="weaker"),
        pytest.param("client_secret_jwt", "client_secret_post", id="secret sent after all"),
        pytest.param("client_secret_post", "none", id="none at all"),
        pytest.param("tls_client_auth", "self_signed_tls_client_auth", id="another certificate"),
    ],
)
def test_authentication_is_not_weakened(asked: str, got: str) -> None:
    check_agreement({"token_endpoint_auth_method": asked}, {"token_endpoint_auth_method": asked})
    with pytest.raises(GatewayError) as error:
        check_agreement({"token_endpoint_auth_method": got}, {"token_endpoint_auth_method": asked})
    assert error.value.code == "registration_invalid"
