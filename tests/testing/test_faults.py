"""The fake provider is wrong exactly where it is told to be."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from werkzeug.wrappers import Response

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.messages import json_call
from gateway.testing import (
    Faults,
    refusing,
    refusing_login,
    with_altered_signature,
    without_signature,
)
from testing.relying_party import (
    HOSTILE_ID,
    ISSUER,
    NOW,
    relying_party,
    without,
)


def claims_fault(name: str, value: object) -> Faults:
    return Faults(id_token_claims=lambda claims: {**claims, name: value})


def claim_missing(name: str) -> Faults:
    return Faults(id_token_claims=lambda claims: without(claims, name))


def unavailable(name: str, answer: Response) -> Response:
    return Response(status=503)


LOGIN_FAULTS = [
    pytest.param(claims_fault("iss", f"{ISSUER}1"), "id_token_iss_mismatch", id="B2"),
    pytest.param(claim_missing("sub"), "id_token_claim_invalid", id="B3"),
    pytest.param(claims_fault("aud", f"{HOSTILE_ID}1"), "id_token_aud_mismatch", id="B4"),
    pytest.param(claim_missing("iat"), "id_token_claim_invalid", id="B5"),
    pytest.param(Faults(id_token=without_signature), "jwt_alg_refused", id="B9"),
    pytest.param(Faults(id_token=with_altered_signature), "jwt_signature_invalid", id="B10"),
    pytest.param(claims_fault("nonce", "other"), "id_token_nonce_mismatch", id="B12"),
    pytest.param(claim_missing("aud"), "id_token_claim_invalid", id="K1"),
    pytest.param(claims_fault("at_hash", "other"), "id_token_at_hash_mismatch", id="at_hash"),
    pytest.param(claims_fault("exp", NOW - 61), "id_token_expired", id="exp"),
    pytest.param(Faults(id_token_header=lambda header: {**header, "kid": "other"}), "jwt_key_unknown", id="header-kid"),
    pytest.param(Faults(jwks=lambda _: {"keys": []}), "jwt_key_unknown", id="jwks"),
    pytest.param(
        Faults(discovery=lambda members: {**members, "issuer": f"{ISSUER}INVALID"}),
        "metadata_issuer_mismatch",
        id="C3-discovery",
    ),
    pytest.param(
        Faults(authorization_response=lambda members: {**members, "state": "other"}),
        "response_state_mismatch",
        id="authorization-response",
    ),
    pytest.param(
        Faults(authorization_response=lambda members: {**members, "iss": "https://evil.example"}),
        "response_iss_mismatch",
        id="authorization-response-iss",
    ),
    pytest.param(
        Faults(token_response=lambda status, members: (status, {**members, "token_type": "mac"})),
        "token_type_unsupported",
        id="token-response",
    ),
    pytest.param(
        Faults(token_response=lambda _, members: (503, members)), "provider_unreachable", id="token-response-status"
    ),
    pytest.param(Faults(token_response=refusing("invalid_scope")), "token_refused", id="token-error"),
    pytest.param(Faults(token_response=refusing("invalid_client", 401)), "token_client_invalid", id="token-client"),
    pytest.param(
        Faults(token_response=refusing("temporarily_unavailable", 503)), "provider_unreachable", id="token-503"
    ),
    pytest.param(Faults(authorization_response=refusing_login("access_denied")), "op_access_denied", id="login-error"),
    pytest.param(
        Faults(authorization_response=refusing_login("unmet_authentication_requirements")),
        "op_authentication_unmet",
        id="login-unmet",
    ),
    pytest.param(Faults(response=unavailable), "provider_unreachable", id="response"),
    pytest.param(Faults(down=True), "provider_unreachable", id="down"),
]


@pytest.mark.parametrize(("faults", "code"), LOGIN_FAULTS)
def test_a_fault_of_the_login_has_its_own_code(faults: Faults, code: str) -> None:
    party = relying_party()
    party.login()
    party.provider.faults = faults
    with pytest.raises(GatewayError) as error:
        party.login()
    assert error.value.code == code


@pytest.mark.parametrize(
    ("alg", "code"),
    [
        pytest.param("HS256", "jwt_signature_invalid", id="K2"),
        pytest.param("ES256", "jwt_signature_invalid", id="K3"),
        pytest.param("EdDSA", "jwt_signature_invalid", id="EdDSA"),
        pytest.param("PS256", "jwt_signature_invalid", id="PS256"),
    ],
)
def test_a_signature_is_broken_for_every_algorithm(alg: str, code: str) -> None:
    party = relying_party(id_token_alg=alg)
    party.login()
    party.provider.faults.id_token = with_altered_signature
    with pytest.raises(GatewayError) as error:
        party.login()
    assert error.value.code == code


REFRESH_FAULTS = [
    pytest.param("iss", f"{ISSUER}1", "id_token_iss_mismatch", id="R2"),
    pytest.param("sub", "bob", "id_token_sub_mismatch", id="R3"),
]


@pytest.mark.parametrize(("name", "value", "code"), REFRESH_FAULTS)
def test_a_fault_of_the_refresh_leaves_the_login_alone(name: str, value: str, code: str) -> None:
    party = relying_party()
    party.provider.faults = Faults(refreshed_id_token_claims=lambda claims: {**claims, name: value})
    tokens, login = party.login()
    with pytest.raises(GatewayError) as error:
        party.check_refreshed(party.refresh(tokens.refresh_token), login)
    assert error.value.code == code


def test_a_refreshed_id_token_can_be_altered_as_a_whole() -> None:
    party = relying_party()
    party.provider.faults = Faults(
        refreshed_id_token=with_altered_signature, refreshed_id_token_header=lambda header: without(header, "kid")
    )
    tokens, login = party.login()
    with pytest.raises(GatewayError) as error:
        party.check_refreshed(party.refresh(tokens.refresh_token), login)
    assert error.value.code == "jwt_signature_invalid"


def test_userinfo_about_somebody_else() -> None:
    """B11."""
    party = relying_party()
    tokens, login = party.login()
    assert party.userinfo(tokens, login.subject)
    party.provider.faults.userinfo = lambda claims: {**claims, "sub": f"{claims['sub']}invalid"}
    with pytest.raises(GatewayError) as error:
        party.userinfo(tokens, login.subject)
    assert error.value.code == "userinfo_sub_mismatch"


@pytest.mark.parametrize(
    ("fault", "query"),
    [
        pytest.param(lambda _: {"state": "other"}, "state=other", id="L2"),
        pytest.param(lambda _: {}, "", id="L3"),
    ],
)
def test_the_state_of_a_logout_can_be_altered(fault: Callable[[dict[str, str]], dict[str, str]], query: str) -> None:
    party = relying_party()
    tokens, _ = party.login()
    party.provider.faults.end_session = fault
    page = party.browser.navigate(party.end_session_url(tokens), follow=False)
    assert urlsplit(page.headers["Location"]).query == query


def test_the_provider_answers_at_its_own_origin_alone() -> None:
    party = relying_party()
    with pytest.raises(ProviderUnavailable) as error:
        party.provider.transport(json_call("https://evil.example/userinfo"))
    assert error.value.code == "provider_unreachable"


def test_down_is_a_switch() -> None:
    party = relying_party()
    party.provider.down = True
    assert party.browser.get(f"{ISSUER}/.well-known/openid-configuration").status == 503
    party.provider.down = False
    assert party.browser.get(f"{ISSUER}/.well-known/openid-configuration").status == 200


def test_before_is_told_the_name_of_the_call() -> None:
    party = relying_party()
    names: list[str] = []
    party.provider.faults.before = names.append
    tokens, _ = party.login()
    party.refresh(tokens.refresh_token)
    assert [name for name in names if name.startswith("token.")] == ["token.authorization_code", "token.refresh_token"]
