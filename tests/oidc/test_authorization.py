"""The front channel (RFC 6749 4.1, RFC 7636, RFC 9207; CONFORMANCE A16-A19, H7, H8, H10 and the iss matrix)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.errors import GatewayError
from gateway.oidc.authorization import (
    AuthorizationResponse,
    Transaction,
    authorization_url,
    check_authorization_response,
    error_problem,
    new_transaction,
)
from gateway.oidc.messages import s256
from gateway.oidc.metadata import Client, ProviderMetadata

ISSUER: Final = "https://op.example"
METADATA: Final = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint="https://op.example/authorize",
    token_endpoint="https://op.example/token",
    jwks_uri="https://op.example/jwks",
)
ADVERTISING: Final = replace(METADATA, authorization_response_iss_parameter_supported=True)
CLIENT: Final = Client(
    client_id="c 1%&+:/;",
    client_secret="s3cret",
    redirect_uri="https://app.example/oauth2/callback?p=op",
    post_logout_redirect_uri="https://app.example/",
    scope="openid profile",
)
TRANSACTION: Final = Transaction(
    issuer=ISSUER, state="st", nonce="no", code_verifier="cv", return_to="/a", created_at=1000
)


class CountingEntropy:
    """A source of random bytes that is not random: each call gives the next number."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return bytes([self.calls]) * size


def sent(transaction: Transaction, extra: Mapping[str, str], metadata: ProviderMetadata = METADATA) -> dict[str, str]:
    parameters = parse_qs(urlsplit(authorization_url(metadata, CLIENT, transaction, extra)).query, strict_parsing=True)
    assert all(len(values) == 1 for values in parameters.values())
    return {name: values[0] for name, values in parameters.items()}


def check_code(parameters: Mapping[str, str], metadata: ProviderMetadata = METADATA) -> str:
    with pytest.raises(GatewayError) as error:
        check_authorization_response(parameters, TRANSACTION, metadata)
    return error.value.code


def test_a_transaction_has_three_secrets_of_256_bits() -> None:
    """H10, RFC 7636 4.1: 43 characters of base64url, each from bytes of its own."""
    transaction = new_transaction(issuer=ISSUER, return_to="/a", now=1000, entropy=CountingEntropy(), max_age=60)
    secrets = {transaction.state, transaction.nonce, transaction.code_verifier}
    assert len(secrets) == 3
    assert all(len(secret) == 43 and secret.replace("-", "").replace("_", "").isalnum() for secret in secrets)
    assert (transaction.issuer, transaction.return_to, transaction.created_at, transaction.max_age) == (
        ISSUER,
        "/a",
        1000,
        60,
    )


def test_a_transaction_keeps_its_secrets_out_of_its_repr() -> None:
    transaction = replace(TRANSACTION, state="s3cret", nonce="s3cret", code_verifier="s3cret")
    assert "s3cret" not in repr(transaction)


def test_h7_h8_the_authorization_request() -> None:
    assert sent(TRANSACTION, {}) == {
        "response_type": "code",
        "client_id": "c 1%&+:/;",
        "redirect_uri": "https://app.example/oauth2/callback?p=op",
        "scope": "openid profile",
        "state": "st",
        "nonce": "no",
        "code_challenge": s256("cv"),
        "code_challenge_method": "S256",
    }


def test_the_verifier_is_not_in_the_request() -> None:
    assert "cv" not in sent(TRANSACTION, {}).values()


def test_extra_parameters_are_added() -> None:
    assert sent(TRANSACTION, {"login_hint": "a&b=c", "acr_values": "1 2"}).items() >= {
        ("login_hint", "a&b=c"),
        ("acr_values", "1 2"),
    }


@pytest.mark.parametrize(
    "name",
    [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "max_age",
    ],
)
def test_extra_parameters_replace_nothing_that_protects_the_flow(name: str) -> None:
    transaction = replace(TRANSACTION, max_age=0)
    honest = sent(transaction, {})
    assert honest["max_age"] == "0"
    assert sent(transaction, {name: "evil"}) == honest


def test_an_endpoint_with_a_query_keeps_it() -> None:
    metadata = replace(METADATA, authorization_endpoint="https://op.example/authorize?tenant=1")
    assert sent(TRANSACTION, {}, metadata).items() >= {("tenant", "1"), ("state", "st")}


def test_an_honest_response() -> None:
    response = check_authorization_response({"state": "st", "code": "co", "session_state": "x"}, TRANSACTION, METADATA)
    assert response.code == "co"
    assert response.transaction is TRANSACTION
    assert "'co'" not in repr(response)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        pytest.param({"code": "co"}, "response_state_missing", id="A19 no state"),
        pytest.param({"code": "co", "state": ""}, "response_state_missing", id="A19 empty state"),
        pytest.param({"code": "co", "state": "st1"}, "response_state_mismatch", id="A18 another state"),
        pytest.param({"code": "co", "state": "ST"}, "response_state_mismatch", id="A18 another case"),
        pytest.param({"code": "co", "state": "\u00e9"}, "response_state_mismatch", id="A18 not ASCII"),
        pytest.param({"error": "access_denied"}, "response_state_missing", id="error without state"),
        pytest.param({"error": "access_denied", "state": "x"}, "response_state_mismatch", id="error of another state"),
        pytest.param({"state": "st"}, "response_code_missing", id="no code"),
        pytest.param({"state": "st", "code": ""}, "response_code_missing", id="empty code"),
        pytest.param({"state": "st", "error": "access_denied"}, "op_access_denied", id="error"),
        pytest.param({"state": "st", "code": "co", "error": "access_denied"}, "op_access_denied", id="error and code"),
        pytest.param({"state": "st", "code": "co", "error": ""}, "op_refused", id="empty error and code"),
    ],
)
def test_responses_that_are_refused(parameters: dict[str, str], code: str) -> None:
    assert check_authorization_response({"state": "st", "code": "co"}, TRANSACTION, METADATA).code == "co"
    assert check_code(parameters) == code


@pytest.mark.parametrize(
    ("metadata", "members"),
    [
        pytest.param(ADVERTISING, {"iss": ISSUER}, id="advertised and right"),
        pytest.param(METADATA, {}, id="not advertised and absent"),
        pytest.param(METADATA, {"iss": ISSUER}, id="not advertised and right"),
    ],
)
def test_the_issuer_of_a_response(metadata: ProviderMetadata, members: dict[str, str]) -> None:
    """RFC 9207 2.4."""
    assert check_authorization_response({"state": "st", "code": "co", **members}, TRANSACTION, metadata).code == "co"


@pytest.mark.parametrize(
    ("metadata", "members", "code"),
    [
        pytest.param(ADVERTISING, {}, "response_iss_missing", id="A17 advertised and absent"),
        pytest.param(ADVERTISING, {"iss": f"{ISSUER}1"}, "response_iss_mismatch", id="A16 advertised and wrong"),
        pytest.param(METADATA, {"iss": f"{ISSUER}1"}, "response_iss_mismatch", id="not advertised and wrong"),
        pytest.param(ADVERTISING, {"iss": ""}, "response_iss_mismatch", id="empty"),
        pytest.param(ADVERTISING, {"iss": f"{ISSUER}/"}, "response_iss_mismatch", id="trailing slash"),
        pytest.param(ADVERTISING, {"iss": "https://OP.example"}, "response_iss_mismatch", id="upper case"),
        pytest.param(ADVERTISING, {"iss": f"{ISSUER}:443"}, "response_iss_mismatch", id="default port"),
        pytest.param(ADVERTISING, {"iss": "https://%6fp.example"}, "response_iss_mismatch", id="encoded letter"),
    ],
)
@pytest.mark.parametrize("outcome", [{"code": "co"}, {"error": "access_denied"}], ids=["code", "error"])
def test_a_response_of_another_issuer_is_refused(
    metadata: ProviderMetadata, members: dict[str, str], code: str, outcome: dict[str, str]
) -> None:
    """RFC 9207 2.4, for responses that report an error too."""
    honest = {"state": "st", "code": "co", "iss": ISSUER}
    assert check_authorization_response(honest, TRANSACTION, metadata).code == "co"
    assert check_code({"state": "st", **outcome, **members}, metadata) == code


def test_a_response_belongs_to_the_provider_of_its_transaction() -> None:
    """RFC 9700 4.4.2: the mix-up of two providers."""
    other = replace(METADATA, issuer="https://evil.example")
    assert check_code({"state": "st", "code": "co"}, other) == "response_iss_mismatch"
    assert check_code({"state": "st", "code": "co", "iss": "https://evil.example"}, other) == "response_iss_mismatch"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param("access_denied", "op_access_denied", id="the user pressed Cancel"),
        pytest.param("login_required", "op_interaction_required", id="FX login_required"),
        pytest.param("interaction_required", "op_interaction_required", id="interaction_required"),
        pytest.param("consent_required", "op_interaction_required", id="consent_required"),
        pytest.param("account_selection_required", "op_interaction_required", id="account_selection_required"),
        pytest.param("temporarily_unavailable", "op_temporarily_unavailable", id="temporarily_unavailable"),
        pytest.param("server_error", "op_temporarily_unavailable", id="server_error"),
        pytest.param("invalid_scope", "op_refused", id="invalid_scope"),
        pytest.param("<script>", "op_refused", id="what nobody specified"),
    ],
)
def test_errors_of_the_authorization_endpoint(error: str, code: str) -> None:
    assert error_problem(error).code == code
    assert check_code({"state": "st", "error": error}) == code


def test_only_the_check_makes_a_response() -> None:
    with pytest.raises(TypeError):
        AuthorizationResponse(code="co", transaction=TRANSACTION, checked=object())
