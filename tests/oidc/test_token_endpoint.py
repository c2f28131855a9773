"""The token endpoint and revocation (RFC 6749 4.1.3, 5, 6; RFC 7009; RFC 9449 5; A20, A21, H3, H8, K8, P3)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import pytest

from gateway.errors import GatewayError, InvalidGrant, ProviderUnavailable
from gateway.oidc.authorization_response import AuthorizationResponse, check_authorization_response, read_response
from gateway.oidc.client import Client, SenderConstraint
from gateway.oidc.client_auth import AUTH_METHODS
from gateway.oidc.messages import Reply
from gateway.oidc.token_endpoint import (
    MAX_EXPIRES_IN,
    TokenSet,
    code_grant,
    process_token_reply,
    refresh_grant,
    revocation_call,
)
from oidc.keys import JSON_HEADERS, json_reply
from oidc.parties import (
    CLIENT,
    CREDENTIALS,
    METADATA,
    NOW,
    TRANSACTION,
    checked_claims,
    form,
    form_pairs,
    new_moment,
    signing_key,
)

BOUND: Final = replace(CLIENT, sender_constraint=SenderConstraint.DPOP)
HONEST: Final[Mapping[str, object]] = {
    "access_token": "at",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "rt",
    "id_token": "a.b.c",
    "scope": "openid read",
    "unknown_member": {"a": 1},
}


def process(members: Mapping[str, object], client: Client = CLIENT) -> TokenSet:
    return process_token_reply(json_reply(members), client=client, requested_scope="openid profile", now=NOW)


def process_error(reply: Reply, client: Client = CLIENT) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        process_token_reply(reply, client=client, requested_scope="openid", now=NOW)
    return error.value


def response_of(code: str) -> AuthorizationResponse:
    received = read_response({"state": "st", "code": code}, CLIENT, posted=False)
    return check_authorization_response(received, TRANSACTION, metadata=METADATA, client=CLIENT, keys=(), now=NOW)


def without(name: str) -> dict[str, object]:
    return {member: value for member, value in HONEST.items() if member != name}


def test_h8_the_redemption_of_a_code() -> None:
    call = code_grant(METADATA, CLIENT, response_of("a b%&+"), new_moment())
    assert (call.method, call.url) == ("POST", "https://op.example/token")
    assert form(call) == {
        "grant_type": "authorization_code",
        "code": "a b%&+",
        "redirect_uri": "https://app.example/cb?p=op",
        "code_verifier": "cv",
        **CREDENTIALS,
    }


def test_h3_the_use_of_a_refresh_token() -> None:
    call = refresh_grant(METADATA, CLIENT, "r t%&+:/;", new_moment())
    assert call.url == "https://op.example/token"
    assert form(call) == {"grant_type": "refresh_token", "refresh_token": "r t%&+:/;", **CREDENTIALS}


def test_the_revocation_of_a_token() -> None:
    call = revocation_call("https://op.example/revoke", METADATA, CLIENT, "r t", "refresh_token", new_moment())
    assert (call.method, call.url) == ("POST", "https://op.example/revoke")
    assert form(call) == {"token": "r t", "token_type_hint": "refresh_token", **CREDENTIALS}


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_a_grant_says_everything_once_however_we_authenticate(method: str) -> None:
    client = replace(CLIENT, token_endpoint_auth_method=method, signing_keys=(signing_key("ES256"),))
    client = replace(client, has_certificate=True)
    for call in (
        code_grant(METADATA, client, response_of("co"), new_moment()),
        refresh_grant(METADATA, client, "rt", new_moment()),
    ):
        assert form(call)["grant_type"] in ("authorization_code", "refresh_token")
        assert call.mutual_tls


def test_rfc8707_2_2_a_resource_each() -> None:
    client = replace(CLIENT, resource=("https://a.example/", "https://b.example/"))
    for call in (
        code_grant(METADATA, client, response_of("co"), new_moment()),
        refresh_grant(METADATA, client, "rt", new_moment()),
    ):
        resources = [value for name, value in form_pairs(call) if name == "resource"]
        assert resources == ["https://a.example/", "https://b.example/"]


def test_k8_a_client_with_a_certificate_goes_to_the_alias() -> None:
    """RFC 8705 5; the audience of an assertion stays the issuer (P3)."""
    aliased = replace(METADATA, mtls_endpoint_aliases={"token_endpoint": "https://mtls.op.example/token"})
    client = replace(
        CLIENT,
        has_certificate=True,
        token_endpoint_auth_method="private_key_jwt",
        signing_keys=(signing_key("ES256"),),
    )
    call = code_grant(aliased.with_certificate(), client, response_of("co"), new_moment())
    assert (call.url, call.mutual_tls) == ("https://mtls.op.example/token", True)
    assert checked_claims(form(call)["client_assertion"], client.signing_keys[0])[1]["aud"] == "https://op.example"
    assert code_grant(aliased, CLIENT, response_of("co"), new_moment()).url == "https://op.example/token"


def test_an_honest_token_reply() -> None:
    assert process(HONEST) == TokenSet(
        access_token="at", refresh_token="rt", id_token="a.b.c", scope="openid read", expires_at=NOW + 300
    )


def test_tokens_stay_out_of_the_repr() -> None:
    tokens = replace(process(HONEST), access_token="s3cret", refresh_token="s3cret", id_token="s3cret")
    assert "s3cret" not in repr(tokens)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"token_type": "bEARER"}, {}, id="A21 token_type in another case"),
        pytest.param({"expires_in": None}, {"expires_at": None}, id="A20 no expires_in"),
        pytest.param({"expires_in": "300"}, {"expires_at": NOW + 300}, id="expires_in as a text"),
        pytest.param({"expires_in": 299.9}, {"expires_at": NOW + 299}, id="expires_in with a fraction"),
        pytest.param({"expires_in": 0}, {"expires_at": NOW}, id="expires_in zero"),
        pytest.param({"refresh_expires_in": 1800}, {"refresh_expires_at": NOW + 1800}, id="Keycloak's word"),
        pytest.param({"refresh_token_expires_in": 1800}, {"refresh_expires_at": NOW + 1800}, id="GitHub's word"),
        pytest.param({"refresh_expires_in": 0}, {"refresh_expires_at": None}, id="a refresh token without an end"),
        pytest.param({"refresh_expires_in": -1}, {"refresh_expires_at": None}, id="an end that cannot be read"),
        pytest.param({"refresh_expires_in": [1]}, {"refresh_expires_at": None}, id="an end that is a list"),
        pytest.param({"scope": None}, {"scope": "openid profile"}, id="no scope means the requested one"),
        pytest.param({"scope": ""}, {"scope": ""}, id="empty scope is none"),
        pytest.param({"refresh_token": None}, {"refresh_token": None}, id="no refresh token"),
        pytest.param({"refresh_token": ""}, {"refresh_token": None}, id="empty refresh token"),
        pytest.param({"id_token": None}, {"id_token": None}, id="no ID token"),
        pytest.param({"refresh_token": " %&+:/;"}, {"refresh_token": " %&+:/;"}, id="H3 odd refresh token"),
    ],
)
def test_token_replies(members: dict[str, object], expected: dict[str, object]) -> None:
    tokens = process({**HONEST, **members})
    assert {name: getattr(tokens, name) for name in expected} == expected
    assert tokens.access_token == "at"


@pytest.mark.parametrize("name", ["expires_in", "scope", "refresh_token", "id_token"])
def test_members_that_may_be_missing(name: str) -> None:
    assert process(without(name)) == process({**HONEST, name: None})


@pytest.mark.parametrize(
    ("members", "code"),
    [
        pytest.param({"access_token": None}, "token_answer_invalid", id="no access token"),
        pytest.param({"access_token": ""}, "token_answer_invalid", id="empty access token"),
        pytest.param({"access_token": 1}, "token_answer_invalid", id="access token is a number"),
        pytest.param({"access_token": "a b"}, "token_answer_invalid", id="access token with a space"),
        pytest.param({"access_token": "a\r\nX-Admin: 1"}, "token_answer_invalid", id="access token with CR LF"),
        pytest.param({"access_token": "a\x00"}, "token_answer_invalid", id="access token with NUL"),
        pytest.param({"access_token": "\u00e9"}, "token_answer_invalid", id="access token is not ASCII"),
        pytest.param({"token_type": None}, "token_type_unsupported", id="no token_type"),
        pytest.param({"token_type": "DPoP"}, "token_type_unsupported", id="another token_type"),
        pytest.param({"token_type": "N_A"}, "token_type_unsupported", id="no type at all"),
        pytest.param({"token_type": ["Bearer"]}, "token_answer_invalid", id="token_type is a list"),
        pytest.param({"refresh_token": ["rt"]}, "token_answer_invalid", id="refresh token is a list"),
        pytest.param({"refresh_token": "\ud800"}, "token_answer_invalid", id="refresh token is half a character"),
        pytest.param({"id_token": {"a": 1}}, "token_answer_invalid", id="ID token is an object"),
        pytest.param({"scope": ["openid"]}, "token_answer_invalid", id="scope is a list"),
        pytest.param({"scope": "a\nb"}, "token_answer_invalid", id="scope with LF"),
        pytest.param({"expires_in": -1}, "token_answer_invalid", id="expires_in is negative"),
        pytest.param({"expires_in": True}, "token_answer_invalid", id="expires_in is a boolean"),
        pytest.param({"expires_in": "soon"}, "token_answer_invalid", id="expires_in is a word"),
        pytest.param({"expires_in": ""}, "token_answer_invalid", id="expires_in is an empty text"),
        pytest.param({"expires_in": "-1"}, "token_answer_invalid", id="expires_in is a negative text"),
        pytest.param({"expires_in": "\u0663"}, "token_answer_invalid", id="expires_in in Arabic digits"),
        pytest.param({"expires_in": [300]}, "token_answer_invalid", id="expires_in is a list"),
        pytest.param({"expires_in": MAX_EXPIRES_IN + 1}, "token_answer_invalid", id="expires_in is huge"),
        pytest.param({"expires_in": "9" * 5000}, "token_answer_invalid", id="expires_in is a huge text"),
    ],
)
def test_token_replies_that_are_refused(members: dict[str, object], code: str) -> None:
    assert process(HONEST).access_token == "at"
    assert process_error(json_reply({**HONEST, **members})).code == code


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json_reply([HONEST]), id="list"),
        pytest.param(Reply(status=200, headers={"content-type": "text/html"}, body=b"{}"), id="HTML"),
        pytest.param(
            Reply(status=200, headers={"content-type": "application/x-www-form-urlencoded"}, body=b"access_token=at"),
            id="form",
        ),
        pytest.param(
            Reply(status=200, headers=JSON_HEADERS, body=b'{"access_token": "a", "access_token": "b"}'),
            id="duplicate members",
        ),
        pytest.param(Reply(status=200, headers=JSON_HEADERS, body=b'{"expires_in": NaN}'), id="NaN"),
        pytest.param(Reply(status=400, headers=JSON_HEADERS, body=b"invalid_grant"), id="error that is no JSON"),
    ],
)
def test_token_replies_that_cannot_be_read(reply: Reply) -> None:
    assert process_error(reply).code == "provider_answer_invalid"


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        pytest.param(400, "invalid_grant", InvalidGrant, "token_grant_invalid", id="invalid_grant"),
        pytest.param(401, "invalid_client", ProviderUnavailable, "token_client_invalid", id="invalid_client"),
        pytest.param(400, "unauthorized_client", ProviderUnavailable, "token_client_invalid", id="unauthorized_client"),
        pytest.param(400, "invalid_request", GatewayError, "token_refused", id="invalid_request"),
        pytest.param(400, "invalid_scope", GatewayError, "token_refused", id="invalid_scope"),
        pytest.param(400, "invalid_target", GatewayError, "token_refused", id="RFC8707-2.2"),
        pytest.param(400, "unsupported_grant_type", GatewayError, "token_refused", id="unsupported_grant_type"),
        pytest.param(400, "login_required", GatewayError, "token_refused", id="login_required"),
        pytest.param(400, "server_error", ProviderUnavailable, "token_refused", id="server_error"),
        pytest.param(400, "<script>", ProviderUnavailable, "token_refused", id="what nobody specified"),
        pytest.param(400, None, ProviderUnavailable, "token_refused", id="no error"),
        pytest.param(400, ["invalid_grant"], ProviderUnavailable, "token_refused", id="error in a list"),
        pytest.param(302, "invalid_grant", InvalidGrant, "token_grant_invalid", id="another status"),
    ],
)
def test_errors_of_the_token_endpoint(status: int, error: object, kind: type[GatewayError], code: str) -> None:
    """An outage or a fault of ours is told from a grant that is worth nothing."""
    failure = process_error(json_reply({**HONEST, "error": error}, status))
    assert type(failure) is kind
    assert failure.code == code


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_outage_says_nothing_about_the_grant(status: int) -> None:
    failure = process_error(json_reply({"error": "invalid_grant"}, status))
    assert isinstance(failure, ProviderUnavailable)
    assert failure.code == "provider_unreachable"


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        pytest.param("invalid_grant", InvalidGrant, "token_grant_invalid", id="invalid_grant"),
        pytest.param("invalid_client", ProviderUnavailable, "token_client_invalid", id="invalid_client"),
        pytest.param("invalid_request", GatewayError, "token_refused", id="invalid_request"),
        pytest.param("bad_verification_code", InvalidGrant, "token_grant_invalid", id="GitHub's invalid_grant"),
        pytest.param("bad_refresh_token", InvalidGrant, "token_grant_invalid", id="GitHub's, of a refresh token"),
        pytest.param("incorrect_client_credentials", ProviderUnavailable, "token_client_invalid", id="GitHub's client"),
        pytest.param("<script>", ProviderUnavailable, "token_refused", id="what nobody specified"),
        pytest.param(None, ProviderUnavailable, "token_refused", id="null"),
        pytest.param("x" * 10_000_000, ProviderUnavailable, "token_refused", id="10 MB"),
    ],
)
def test_an_error_with_status_200_is_no_token_set(error: object, kind: type[GatewayError], code: str) -> None:
    """Some providers of OAuth 2.0 say that all is well, and then that it is not."""
    failure = process_error(json_reply({"error": error, "token_type": "Bearer"}))
    assert type(failure) is kind
    assert failure.code == code
    assert len(failure.detail) < 200


@pytest.mark.parametrize("status", [200, 400])
def test_an_error_beside_a_token_is_an_error(status: int) -> None:
    assert process_error(json_reply({**HONEST, "error": "invalid_grant"}, status)).code == "token_grant_invalid"


@pytest.mark.parametrize("error", [None, ""], ids=["null", "empty"])
def test_an_error_that_says_nothing_is_none(error: object) -> None:
    assert process({**HONEST, "error": error}).access_token == HONEST["access_token"]


@pytest.mark.parametrize("token_type", ["DPoP", "dpOp", "DPOP", "dpop"])
def test_a21_tokens_that_are_bound_to_our_key(token_type: str) -> None:
    assert process({**HONEST, "token_type": token_type}, BOUND).scheme == "DPoP"


@pytest.mark.parametrize(
    ("token_type", "client"),
    [
        pytest.param("Bearer", BOUND, id="RFC9449-5 a bearer token though it was to be bound"),
        pytest.param("DPoP", CLIENT, id="bound to a key that we do not have"),
        pytest.param("DPoP Bearer", BOUND, id="two in one text"),
        pytest.param("", BOUND, id="empty"),
        pytest.param(None, BOUND, id="missing"),
        pytest.param("\u212aearer", CLIENT, id="a letter that looks like one in lower case"),
    ],
)
def test_a_token_of_a_type_that_we_cannot_present(token_type: object, client: Client) -> None:
    assert process({**HONEST, "token_type": "dpop"}, BOUND).access_token == "at"
    failure = process_error(json_reply({**HONEST, "token_type": token_type}), client)
    assert failure.code == "token_type_unsupported"


def test_a_token_bound_to_a_certificate_is_a_bearer_token() -> None:
    """RFC 8705 3."""
    client = replace(CLIENT, sender_constraint=SenderConstraint.MTLS)
    assert process(HONEST, client).scheme == "Bearer"
