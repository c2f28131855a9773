"""The fake provider is as strict as a certification suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from gateway.errors import GatewayError, InvalidGrant
from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.messages import Call, s256
from testing.relying_party import (
    HOSTILE_SECRET,
    ISSUER,
    REDIRECT_URI,
    SIGNED_OUT,
    Clock,
    changed,
    parameters_of,
    relying_party,
)


def test_prompt_none_with_max_age_zero_is_refused() -> None:
    """FX, H11."""
    party = relying_party()
    parameters = parameters_of(party.browser.navigate(party.begin(prompt="none", max_age="0")[1], follow=False))
    assert parameters["error"] == "login_required"
    assert party.provider.warnings == ["prompt is none and max_age is 0"]


AUTHORIZATION_REFUSALS = [
    pytest.param({"response_type": "token"}, "unsupported_response_type", id="response_type"),
    pytest.param({"response_mode": "fragment"}, "invalid_request", id="response_mode"),
    pytest.param({"scope": "email"}, "invalid_scope", id="H7-no-openid"),
    pytest.param({"request": "e30.e30."}, "request_not_supported", id="H7-request"),
    pytest.param({"request_uri": "urn:x"}, "request_uri_not_supported", id="H7-request_uri"),
    pytest.param({"nonce": None}, "invalid_request", id="no-nonce"),
    pytest.param({"nonce": "a b"}, "invalid_request", id="H10-nonce-characters"),
    pytest.param({"nonce": "n" * 44}, "invalid_request", id="H10-nonce-length"),
    pytest.param({"code_challenge": None}, "invalid_request", id="no-challenge"),
    pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
    pytest.param({"code_challenge_method": None}, "invalid_request", id="no-method"),
    pytest.param({"prompt": "none login"}, "invalid_request", id="prompt-none-and-login"),
    pytest.param({"max_age": "-1"}, "invalid_request", id="max_age"),
]


@pytest.mark.parametrize(("change", "error"), AUTHORIZATION_REFUSALS)
def test_an_authorization_request_is_refused_at_the_client(change: dict[str, str | None], error: str) -> None:
    party = relying_party()
    parameters = parameters_of(party.browser.get(changed(party.begin()[1], change), follow=False))
    assert parameters["error"] == error
    assert parameters["iss"] == ISSUER
    assert "state" in parameters
    assert "code" not in parameters
    assert "code" in parameters_of(party.browser.get(party.begin()[1], follow=False))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"client_id": "other"}, id="H7-client_id"),
        pytest.param({"client_id": None}, id="no-client_id"),
        pytest.param({"redirect_uri": None}, id="H7-no-redirect_uri"),
        pytest.param({"redirect_uri": REDIRECT_URI + "/"}, id="H7-redirect_uri-slash"),
        pytest.param({"redirect_uri": REDIRECT_URI + "#f"}, id="H7-redirect_uri-fragment"),
        pytest.param({"redirect_uri": REDIRECT_URI.upper()}, id="H7-redirect_uri-case"),
    ],
)
def test_an_authorization_request_of_nobody_is_refused_on_a_page(change: dict[str, str | None]) -> None:
    party = relying_party()
    page = party.browser.get(changed(party.begin()[1], change), follow=False)
    assert (page.status, page.headers.get("Location")) == (400, None)


def test_a_repeated_parameter_is_refused() -> None:
    party = relying_party()
    assert party.browser.get(party.begin()[1] + "&nonce=again", follow=False).status == 400


TOKEN_REFUSALS = [
    pytest.param({"client_secret": "wrong"}, {}, "invalid_client", id="secret"),
    pytest.param({"client_id": "other"}, {}, "invalid_client", id="client"),
    pytest.param({"token_endpoint_auth_method": "client_secret_post"}, {}, "invalid_client", id="B14-method"),
    pytest.param({"token_endpoint_auth_method": "none"}, {}, "invalid_client", id="no-authentication"),
    pytest.param({}, {"client_secret": HOSTILE_SECRET}, "invalid_request", id="two-methods"),
    pytest.param({}, {"client_id": "other"}, "invalid_client", id="H8-client_id"),
    pytest.param({}, {"grant_type": None}, "unsupported_grant_type", id="H8-no-grant_type"),
    pytest.param({}, {"grant_type": "password"}, "unsupported_grant_type", id="grant_type"),
    pytest.param({}, {"code": None}, "invalid_grant", id="no-code"),
    pytest.param({}, {"code": "unknown"}, "invalid_grant", id="code"),
    pytest.param({}, {"redirect_uri": None}, "invalid_grant", id="H8-no-redirect_uri"),
    pytest.param({}, {"redirect_uri": SIGNED_OUT}, "invalid_grant", id="H8-redirect_uri"),
    pytest.param({}, {"code_verifier": None}, "invalid_grant", id="H8-no-verifier"),
    pytest.param({}, {"code_verifier": "v" * 43}, "invalid_grant", id="H8-verifier"),
]


@pytest.mark.parametrize(("as_client", "change", "error"), TOKEN_REFUSALS)
def test_a_token_request_is_refused(as_client: dict[str, str], change: dict[str, str | None], error: str) -> None:
    party = relying_party()
    party.login()
    transaction, parameters = party.authorize()
    call = party.code_call(transaction, parameters)
    body = {**dict(parse_qsl(call.body.decode("ascii"))), **change}
    sent = {name: value for name, value in body.items() if value is not None}
    reply = party.provider.transport(
        authenticated_call(
            call.url,
            metadata=party.metadata,
            client=replace(party.client, **as_client),  # type: ignore[arg-type]
            parameters=sent.items(),
            moment=party.moment,
        )
    )
    assert reply.status == (401 if error == "invalid_client" else 400)
    assert f'"error": "{error}"'.encode() in reply.body


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda call: replace(call, url=f"{call.url}?grant_type=authorization_code"), id="query"),
        pytest.param(lambda call: replace(call, body=call.body + b"&code=again"), id="repeated"),
        pytest.param(lambda call: replace(call, headers={**call.headers, "Content-Type": "text/plain"}), id="type"),
    ],
)
def test_a_token_request_that_is_no_single_form_is_refused(encode: Callable[[Call], Call]) -> None:
    party = relying_party()
    transaction, parameters = party.authorize()
    call = party.code_call(transaction, parameters)
    assert party.provider.transport(encode(call)).status == 400
    assert party.provider.transport(call).status == 200


def test_a_code_is_good_once_and_its_second_use_ends_the_grant() -> None:
    party = relying_party()
    transaction, parameters = party.authorize()
    tokens = party.redeem(transaction, parameters)
    assert party.provider.is_active(tokens.access_token)
    with pytest.raises(InvalidGrant):
        party.redeem(transaction, parameters)
    assert not party.provider.is_active(tokens.access_token)
    assert not party.provider.is_active(tokens.refresh_token or "")


def test_a_code_expires() -> None:
    clock = Clock()
    party = relying_party(clock=clock)
    transaction, parameters = party.authorize()
    clock.now += 61
    with pytest.raises(InvalidGrant):
        party.redeem(transaction, parameters)


def test_a_rotated_refresh_token_ends_its_family() -> None:
    party = relying_party()
    tokens, _ = party.login()
    renewed = party.refresh(tokens.refresh_token)
    assert party.provider.is_active(renewed.refresh_token or "")
    with pytest.raises(InvalidGrant):
        party.refresh(tokens.refresh_token)
    with pytest.raises(InvalidGrant):
        party.refresh(renewed.refresh_token)
    assert not party.provider.is_active(renewed.access_token)


def test_a_refresh_cannot_widen_the_scope() -> None:
    party = relying_party()
    tokens, _ = party.login()
    wider = {"grant_type": "refresh_token", "refresh_token": tokens.refresh_token or "", "scope": "openid phone"}
    with pytest.raises(GatewayError) as error:
        party.tokens_of(
            authenticated_call(
                party.metadata.token_endpoint,
                metadata=party.metadata,
                client=party.client,
                parameters=wider.items(),
                moment=party.moment,
            )
        )
    assert error.value.code == "token_refused"
    assert party.provider.is_active(tokens.refresh_token or "")


@pytest.mark.parametrize(
    ("method", "in_query", "in_body", "in_header", "status"),
    [
        pytest.param("GET", False, False, True, 200, id="header"),
        pytest.param("POST", False, False, True, 200, id="header-of-a-POST"),
        pytest.param("GET", True, False, False, 400, id="H6-query"),
        pytest.param("GET", True, False, True, 400, id="H6-query-and-header"),
        pytest.param("POST", False, True, True, 400, id="H6-body-and-header"),
        pytest.param("GET", False, False, False, 401, id="none"),
    ],
)
def test_userinfo_takes_its_token_from_the_header(
    method: str, in_query: bool, in_body: bool, in_header: bool, status: int
) -> None:
    party = relying_party()
    token = party.login()[0].access_token
    url = f"{ISSUER}/userinfo" + (f"?access_token={token}" if in_query else "")
    headers = {"Authorization": f"bearer {token}"} if in_header else {}
    form = {"access_token": token} if in_body else {}
    page = (
        party.browser.post(url, form, headers=headers) if method == "POST" else party.browser.get(url, headers=headers)
    )
    assert page.status == status


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"id_token_hint": None}, id="L1-no-hint"),
        pytest.param({"id_token_hint": "e30.e30.e30"}, id="L1-hint"),
        pytest.param({"post_logout_redirect_uri": "https://evil.example/"}, id="L1-redirect"),
        pytest.param({"client_id": "other"}, id="client_id"),
    ],
)
def test_an_end_of_session_is_refused_on_a_page(change: dict[str, str | None]) -> None:
    party = relying_party()
    url = party.end_session_url(party.login()[0])
    page = party.browser.navigate(changed(url, change), follow=False)
    assert (page.status, page.headers.get("Location")) == (400, None)
    assert party.browser.navigate(url, follow=False).status == 303


def test_an_unknown_path_is_noted() -> None:
    """H9."""
    party = relying_party()
    assert party.browser.get("https://op.example/favicon.ico").status == 404
    assert party.browser.get(f"{ISSUER}/.well-known/oauth-authorization-server").status == 404
    assert party.provider.unknown_paths == [
        "/favicon.ico",
        f"{urlsplit(ISSUER).path}/.well-known/oauth-authorization-server",
    ]


def test_a_method_that_an_endpoint_does_not_have_is_refused() -> None:
    assert relying_party().browser.get(f"{ISSUER}/token").status == 405


def test_a_verifier_is_checked_against_its_challenge() -> None:
    """RFC 7636 4.6: the challenge itself is not a verifier."""
    party = relying_party()
    transaction, parameters = party.authorize()
    stolen = replace(transaction, code_verifier=s256(transaction.code_verifier))
    with pytest.raises(InvalidGrant):
        party.redeem(stolen, parameters)
