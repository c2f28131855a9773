"""Token exchange (RFC 8693; CONFORMANCE 2)."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import pytest

from gateway.errors import GatewayError, InvalidGrant, ProviderUnavailable
from gateway.oidc.client import Client
from gateway.oidc.exchange import (
    MAX_TOKEN_LENGTH,
    ExchangedToken,
    ExchangeWanted,
    exchange_grant,
    process_exchange,
)
from gateway.oidc.messages import Moment, Reply
from gateway.oidc.metadata import ProviderMetadata
from gateway.oidc.token_endpoint import MAX_EXPIRES_IN
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
    redirect_uri="https://app.example/cb",
    post_logout_redirect_uri="https://app.example/",
)
MOMENT: Final = Moment(now=NOW, entropy=bytes)
WANTED: Final = ExchangeWanted(audience=("orders",), scope=("read", "write"))
FIXED: Final = [
    ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
    ("subject_token", "s t%&+"),
    ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
]
CREDENTIALS: Final = [("client_id", "c1"), ("client_secret", "s3cret")]
HONEST: Final[Mapping[str, object]] = {
    "access_token": "at2",
    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "read",
    "refresh_token": "never-used",
    "unknown_member": {"a": 1},
}
BOTH: Final = ("Bearer", "DPoP")


def process(members: Mapping[str, object], schemes: tuple[str, ...] = ("Bearer",)) -> ExchangedToken:
    return process_exchange(json_reply(members), WANTED, NOW, schemes=schemes)


def process_error(reply: Reply, schemes: tuple[str, ...] = ("Bearer",)) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        process_exchange(reply, WANTED, NOW, schemes=schemes)
    return error.value


@pytest.mark.parametrize(
    ("wanted", "parameters"),
    [
        pytest.param(ExchangeWanted(), [], id="nothing named"),
        pytest.param(ExchangeWanted(audience=("a b&",)), [("audience", "a b&")], id="audience"),
        pytest.param(ExchangeWanted(scope=("x", "y")), [("scope", "x y")], id="scope"),
        pytest.param(
            ExchangeWanted(
                audience=("a", "b"), scope=("x",), resource=("https://r.example/", "https://s.example/?q=1")
            ),
            [
                ("audience", "a"),
                ("audience", "b"),
                ("resource", "https://r.example/"),
                ("resource", "https://s.example/?q=1"),
                ("scope", "x"),
            ],
            id="several of each",
        ),
    ],
)
def test_rfc8693_2_1_the_request(wanted: ExchangeWanted, parameters: list[tuple[str, str]]) -> None:
    call = exchange_grant(METADATA, CLIENT, "s t%&+", wanted, MOMENT)
    assert (call.method, call.url) == ("POST", "https://op.example/token")
    assert parse_qsl(call.body.decode("ascii"), strict_parsing=True) == [*FIXED, *parameters, *CREDENTIALS]


def test_an_honest_answer() -> None:
    token = process(HONEST)
    assert token == ExchangedToken(access_token="at2", scheme="Bearer", expires_at=NOW + 300, scope=("read",))
    assert "at2" not in repr(token)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({"token_type": "bEARER"}, {"scheme": "Bearer"}, id="token_type in another case"),
        pytest.param({"token_type": "dpop"}, {"scheme": "DPoP"}, id="DPoP"),
        pytest.param(
            {"issued_token_type": "urn:ietf:params:oauth:token-type:jwt"}, {"access_token": "at2"}, id="a JWT"
        ),
        pytest.param({"scope": None}, {"scope": ("read", "write")}, id="no scope means the wanted one"),
        pytest.param({"scope": ""}, {"scope": ()}, id="empty scope is none"),
        pytest.param({"scope": "admin  read admin"}, {"scope": ("admin", "read")}, id="another scope"),
        pytest.param({"expires_in": None}, {"expires_at": None}, id="no expires_in"),
        pytest.param({"expires_in": "300"}, {"expires_at": NOW + 300}, id="expires_in as a text"),
        pytest.param({"expires_in": 0}, {"expires_at": NOW}, id="expires_in zero"),
        pytest.param({"access_token": "x" * MAX_TOKEN_LENGTH}, {"access_token": "x" * MAX_TOKEN_LENGTH}, id="long"),
    ],
)
def test_answers(members: dict[str, object], expected: dict[str, object]) -> None:
    token = process({**HONEST, **members}, BOTH)
    assert {name: getattr(token, name) for name in expected} == expected


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"access_token": None}, id="no access token"),
        pytest.param({"access_token": ""}, id="empty access token"),
        pytest.param({"access_token": ["at2"]}, id="access token is a list"),
        pytest.param({"access_token": "a b"}, id="access token with a space"),
        pytest.param({"access_token": "a\r\nX-Admin: 1"}, id="access token with CR LF"),
        pytest.param({"access_token": "a\n"}, id="access token with LF at its end"),
        pytest.param({"access_token": "\u00e9"}, id="access token is not ASCII"),
        pytest.param({"access_token": "x" * (MAX_TOKEN_LENGTH + 1)}, id="access token is too long"),
        pytest.param({"token_type": "N_A"}, id="N_A is not sent as a bearer token"),
        pytest.param({"token_type": None}, id="no token_type"),
        pytest.param({"token_type": "mac"}, id="unknown token_type"),
        pytest.param({"token_type": ["Bearer"]}, id="token_type is a list"),
        pytest.param({"issued_token_type": None}, id="no issued_token_type"),
        pytest.param({"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, id="a refresh token"),
        pytest.param({"issued_token_type": "urn:ietf:params:oauth:token-type:id_token"}, id="an ID token"),
        pytest.param({"issued_token_type": "urn:ietf:params:oauth:token-type:saml2"}, id="a SAML assertion"),
        pytest.param({"issued_token_type": ["urn:ietf:params:oauth:token-type:jwt"]}, id="issued_token_type is a list"),
        pytest.param({"scope": ["read"]}, id="scope is a list"),
        pytest.param({"scope": "a\nb"}, id="scope with LF"),
        pytest.param({"scope": "\u00e9"}, id="scope is not ASCII"),
        pytest.param({"expires_in": "\u0663"}, id="expires_in in Arabic digits"),
        pytest.param({"expires_in": -1}, id="expires_in is negative"),
        pytest.param({"expires_in": True}, id="expires_in is a boolean"),
        pytest.param({"expires_in": "soon"}, id="expires_in is a word"),
        pytest.param({"expires_in": [300]}, id="expires_in is a list"),
        pytest.param({"expires_in": MAX_EXPIRES_IN + 1}, id="expires_in is huge"),
        pytest.param({"expires_in": "9" * 5000}, id="expires_in is a huge text"),
    ],
)
def test_answers_that_are_refused(members: dict[str, object]) -> None:
    assert process(HONEST, BOTH).access_token == "at2"
    assert process_error(json_reply({**HONEST, **members}), BOTH).code == "exchange_invalid"


@pytest.mark.parametrize(
    ("token_type", "schemes"),
    [
        pytest.param("DPoP", ("Bearer",), id="we cannot prove possession"),
        pytest.param("Bearer", ("DPoP",), id="RFC 9449 5: bound was wanted"),
        pytest.param("N_A", ("Bearer", "DPoP", "N_A"), id="N_A however it is asked for"),
    ],
)
def test_a_scheme_that_we_did_not_ask_for(token_type: str, schemes: tuple[str, ...]) -> None:
    assert process_error(json_reply({**HONEST, "token_type": token_type}), schemes).code == "exchange_invalid"


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(json_reply([HONEST]), id="list"),
        pytest.param(Reply(status=200, headers={"content-type": "text/html"}, body=b"{}"), id="HTML"),
        pytest.param(Reply(status=204), id="no content"),
        pytest.param(
            Reply(status=200, headers=JSON_HEADERS, body=b'{"access_token": "a", "access_token": "b"}'),
            id="duplicate members",
        ),
        pytest.param(Reply(status=400, headers=JSON_HEADERS, body=b"invalid_target"), id="error that is no JSON"),
        pytest.param(json_reply({"error": "invalid_target"}), id="error with status 200"),
    ],
)
def test_answers_that_cannot_be_read(reply: Reply) -> None:
    assert process_error(reply).code == "exchange_invalid"


@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        pytest.param(400, "invalid_request", GatewayError, "exchange_refused", id="2.2.2 invalid_request"),
        pytest.param(400, "invalid_target", GatewayError, "exchange_refused", id="2.2.2 invalid_target"),
        pytest.param(400, "invalid_scope", GatewayError, "exchange_refused", id="invalid_scope"),
        pytest.param(400, "unauthorized_client", GatewayError, "exchange_refused", id="unauthorized_client"),
        pytest.param(400, "unsupported_grant_type", GatewayError, "exchange_refused", id="unsupported_grant_type"),
        pytest.param(403, "access_denied", GatewayError, "exchange_refused", id="access_denied"),
        pytest.param(400, "invalid_grant", InvalidGrant, "exchange_refused", id="invalid_grant"),
        pytest.param(401, "invalid_client", ProviderUnavailable, "token_client_invalid", id="invalid_client"),
        pytest.param(400, "server_error", ProviderUnavailable, "provider_unreachable", id="server_error"),
        pytest.param(400, "temporarily_unavailable", ProviderUnavailable, "provider_unreachable", id="busy"),
        pytest.param(400, "<script>", GatewayError, "exchange_invalid", id="what nobody specified"),
        pytest.param(400, None, GatewayError, "exchange_invalid", id="no error"),
        pytest.param(400, ["invalid_grant"], GatewayError, "exchange_invalid", id="error in a list"),
        pytest.param(302, "invalid_target", GatewayError, "exchange_refused", id="another status"),
        pytest.param(201, "invalid_target", GatewayError, "exchange_refused", id="a token with another status"),
    ],
)
def test_errors_of_the_exchange(status: int, error: object, kind: type[GatewayError], code: str) -> None:
    failure = process_error(json_reply({**HONEST, "error": error}, status))
    assert type(failure) is kind
    assert failure.code == code


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_an_outage_says_nothing_about_the_token(status: int) -> None:
    failure = process_error(json_reply({"error": "invalid_grant"}, status))
    assert isinstance(failure, ProviderUnavailable)
    assert failure.code == "provider_unreachable"
