"""The token endpoint, revocation, userinfo (RFC 6749 4.1.3, 5, 6; RFC 7009; OIDC Core 5.3; B11, A20, A21, H6, H8)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl

import pytest

from gateway.errors import GatewayError, InvalidGrant, ProviderUnavailable
from gateway.oidc.authorization import Transaction, check_authorization_response
from gateway.oidc.messages import Call, Reply
from gateway.oidc.metadata import Client, ProviderMetadata
from gateway.oidc.token_endpoint import (
    MAX_EXPIRES_IN,
    TokenSet,
    code_grant,
    process_token_reply,
    process_userinfo,
    refresh_grant,
    revocation_call,
    userinfo_call,
)
from oidc.keys import JSON_HEADERS, json_reply

NOW: Final = 1_800_000_000
METADATA: Final = ProviderMetadata(
    issuer="https://op.example",
    authorization_endpoint="https://op.example/authorize",
    token_endpoint="https://op.example/token",
    jwks_uri="https://op.example/jwks",
)
CLIENT: Final = Client(
    client_id="c1",
    client_secret="s3cret",
    token_endpoint_auth_method="client_secret_post",
    redirect_uri="https://app.example/cb?p=op",
    post_logout_redirect_uri="https://app.example/",
)
CREDENTIALS: Final = {"client_id": "c1", "client_secret": "s3cret"}
TRANSACTION: Final = Transaction(
    issuer="https://op.example", state="st", nonce="no", code_verifier="cv", return_to="/a", created_at=NOW
)
HONEST: Final[Mapping[str, object]] = {
    "access_token": "at",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "rt",
    "id_token": "a.b.c",
    "scope": "openid read",
    "unknown_member": {"a": 1},
}


def form(call: Call) -> dict[str, str]:
    pairs = parse_qsl(call.body.decode("ascii"), strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def process(members: Mapping[str, object], status: int = 200) -> TokenSet:
    return process_token_reply(json_reply(members, status), requested_scope="openid profile", now=NOW)


def process_error(reply: Reply) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        process_token_reply(reply, requested_scope="openid", now=NOW)
    return error.value


def without(name: str) -> dict[str, object]:
    return {member: value for member, value in HONEST.items() if member != name}


def test_h8_the_redemption_of_a_code() -> None:
    response = check_authorization_response({"state": "st", "code": "a b%&+"}, TRANSACTION, METADATA)
    call = code_grant(METADATA, CLIENT, response)
    assert (call.method, call.url) == ("POST", "https://op.example/token")
    assert form(call) == {
        "grant_type": "authorization_code",
        "code": "a b%&+",
        "redirect_uri": "https://app.example/cb?p=op",
        "code_verifier": "cv",
        **CREDENTIALS,
    }


def test_h3_the_use_of_a_refresh_token() -> None:
    call = refresh_grant(METADATA, CLIENT, "r t%&+:/;")
    assert call.url == "https://op.example/token"
    assert form(call) == {"grant_type": "refresh_token", "refresh_token": "r t%&+:/;", **CREDENTIALS}


def test_the_revocation_of_a_token() -> None:
    call = revocation_call("https://op.example/revoke", CLIENT, "r t", "refresh_token")
    assert (call.method, call.url) == ("POST", "https://op.example/revoke")
    assert form(call) == {"token": "r t", "token_type_hint": "refresh_token", **CREDENTIALS}


def test_h6_the_userinfo_request_has_its_token_in_the_header_alone() -> None:
    call = userinfo_call("https://op.example/userinfo", process(HONEST))
    assert (call.method, call.url, call.body) == ("GET", "https://op.example/userinfo", b"")
    assert call.headers == {"Authorization": "Bearer at", "Accept": "application/json"}


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
    assert type(failure) is ProviderUnavailable
    assert failure.code == "provider_unreachable"


def test_an_error_with_status_200_is_no_token_set() -> None:
    assert process_error(json_reply({"error": "invalid_grant"})).code == "token_answer_invalid"


def test_userinfo_of_the_same_subject() -> None:
    members = {"sub": "u1", "email": "u@example.org", "_claim_sources": {"src1": {"JWT": "a.b.c"}}}
    assert process_userinfo(json_reply(members), "u1") == members


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(json_reply({"sub": "u1invalid"}), "userinfo_sub_mismatch", id="B11 another sub"),
        pytest.param(json_reply({"email": "u@example.org"}), "userinfo_sub_mismatch", id="B11 no sub"),
        pytest.param(json_reply({"sub": ["u1"]}), "userinfo_sub_mismatch", id="B11 sub in a list"),
        pytest.param(json_reply({"sub": "u1"}, 401), "userinfo_invalid", id="token refused"),
        pytest.param(json_reply({"sub": "u1"}, 302), "userinfo_invalid", id="redirect"),
        pytest.param(json_reply({"sub": "u1"}, 503), "provider_unreachable", id="outage"),
        pytest.param(json_reply(["u1"]), "provider_answer_invalid", id="list"),
        pytest.param(
            Reply(status=200, headers={"content-type": "application/jwt"}, body=b'{"sub":"u1"}'),
            "provider_answer_invalid",
            id="JWT that we did not ask for",
        ),
        pytest.param(
            Reply(status=200, headers=JSON_HEADERS, body=b'{"sub":"u2","sub":"u1"}'),
            "provider_answer_invalid",
            id="sub twice",
        ),
    ],
)
def test_userinfo_that_is_discarded(reply: Reply, code: str) -> None:
    assert process_userinfo(json_reply({"sub": "u1"}), "u1")
    with pytest.raises(GatewayError) as error:
        process_userinfo(reply, "u1")
    assert error.value.code == code
