"""The npm package oidc-provider, seen by a relying party and through Chromium: what the gateway's tests rely on."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qs

import pytest
import requests
from playwright.sync_api import Browser, Page

from gateway.errors import GatewayError
from gateway.oidc.messages import single_parameters

from .listener import Listener, run_listener
from .node_provider import NodeProvider, run_node_provider
from .relying_party import (
    ACCOUNTS,
    CLAIMS,
    HTTP_SECONDS,
    RelyingParty,
    begin,
    fill_login_form,
    make_relying_party,
    query_of,
    registrations,
    sign_in,
)
from .servers import free_port


@pytest.fixture(scope="module")
def pool() -> Iterator[requests.Session]:
    with requests.Session() as pool:
        pool.trust_env = False
        yield pool


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with run_listener() as listener:
        yield listener


@pytest.fixture(scope="module")
def provider(listener: Listener) -> Iterator[NodeProvider]:
    with run_node_provider(port=free_port(), clients=registrations(listener), accounts=ACCOUNTS) as provider:
        yield provider


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context() as context:
        context.set_default_timeout(HTTP_SECONDS * 1000)
        yield context.new_page()


@pytest.fixture
def relying_party(provider: NodeProvider, listener: Listener, pool: requests.Session) -> Callable[[str], RelyingParty]:
    provider.reset()
    listener.received.clear()
    return lambda client_id: make_relying_party(client_id, provider, listener, pool)


@pytest.mark.real("chromium", "node")
def test_the_authorization_response_arrives(
    page: Page, listener: Listener, relying_party: Callable[[str], RelyingParty]
) -> None:
    party = relying_party("basic")
    transaction = begin(party)
    fill_login_form(page, party, transaction)
    page.wait_for_url(f"{party.client.redirect_uri}?*")
    (callback,) = listener.received_at("/callback")
    assert parse_qs(callback.query, strict_parsing=True).keys() == {"code", "state", "iss"}
    assert party.metadata.authorization_response_iss_parameter_supported
    assert party.response(page.url, transaction).code


@pytest.mark.real("chromium", "node")
@pytest.mark.parametrize(
    "client_id",
    [
        pytest.param("basic", id="B1-B14-H3-client_secret_basic"),
        pytest.param("post", id="H3-client_secret_post"),
        pytest.param("public", id="none"),
    ],
)
def test_a_code_is_redeemed_once(
    page: Page, provider: NodeProvider, relying_party: Callable[[str], RelyingParty], client_id: str
) -> None:
    party = relying_party(client_id)
    response = sign_in(page, party)
    tokens = party.redeem(response)
    assert party.id_token(tokens, response.transaction).subject == "alice"
    with pytest.raises(GatewayError) as error:
        party.redeem(response)
    assert error.value.code == "token_grant_invalid"
    counts = provider.stats()
    assert (counts["token.authorization_code"], counts["token.authorization_code.error"]) == (2, 1)


@pytest.mark.real("chromium", "node")
def test_a_code_is_worth_nothing_without_its_verifier(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    response = sign_in(page, party)
    other = replace(response, transaction=replace(response.transaction, code_verifier=begin(party).code_verifier))
    with pytest.raises(GatewayError) as error:
        party.redeem(other)
    assert error.value.code == "token_grant_invalid"


@pytest.mark.real("chromium", "node")
def test_a_wrong_secret_is_refused(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    response = sign_in(page, party)
    with pytest.raises(GatewayError) as error:
        replace(party, client=replace(party.client, client_secret="wrong")).redeem(response)
    assert error.value.code == "token_client_invalid"
    assert party.redeem(response).access_token


@pytest.mark.real("chromium", "node")
def test_userinfo_is_about_the_same_user(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    response = sign_in(page, party)
    tokens = party.redeem(response)
    assert "email" not in party.id_token(tokens, response.transaction).claims
    assert party.userinfo(tokens, "alice") == {"sub": "alice", **CLAIMS}


@pytest.mark.real("chromium", "node")
def test_r1_a_refresh_token_is_replaced_by_each_use(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    response = sign_in(page, party)
    first = party.redeem(response)
    second = party.refresh(first.refresh_token or "")
    assert second.refresh_token not in (None, first.refresh_token)
    assert party.refreshed_id_token(second, party.id_token(first, response.transaction)).subject == "alice"
    assert party.userinfo(second, "alice")["sub"] == "alice"


@pytest.mark.real("chromium", "node")
def test_a_used_refresh_token_ends_its_whole_family(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    first = party.redeem(sign_in(page, party))
    second = party.refresh(first.refresh_token or "")
    for spent in (first, second):
        with pytest.raises(GatewayError) as error:
            party.refresh(spent.refresh_token or "")
        assert error.value.code == "token_grant_invalid"


@pytest.mark.real("chromium", "node")
def test_a_revoked_refresh_token_is_worth_nothing(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    tokens = party.redeem(sign_in(page, party))
    assert party.revoke(tokens.refresh_token or "").status == 200
    with pytest.raises(GatewayError) as error:
        party.refresh(tokens.refresh_token or "")
    assert error.value.code == "token_grant_invalid"


@pytest.mark.real("chromium", "node")
def test_l1_logout_returns_to_the_client_and_ends_the_session_of_the_provider(
    page: Page, listener: Listener, provider: NodeProvider, relying_party: Callable[[str], RelyingParty]
) -> None:
    party = relying_party("basic")
    response = sign_in(page, party)
    id_token = party.id_token(party.redeem(response), response.transaction)
    page.goto(party.logout_url(id_token, "bye"))
    page.wait_for_url(f"{party.client.post_logout_redirect_uri}?*")
    assert query_of(page.url) == {"state": "bye"}
    (notice,) = listener.received_at("/backchannel-logout")
    assert single_parameters(notice.body).keys() == {"logout_token"}
    assert provider.stats()["backchannel_logout"] == 1
    page.goto(party.login_url(begin(party)))
    assert page.get_by_label("Password").is_visible()


@pytest.mark.real("chromium", "node")
def test_a_second_client_is_let_in_without_a_form(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    sign_in(page, relying_party("basic"))
    party = relying_party("post")
    transaction = begin(party)
    page.goto(party.login_url(transaction))
    assert page.url.startswith(f"{party.client.redirect_uri}?")
    assert party.response(page.url, transaction).code


@pytest.mark.real("chromium", "node")
def test_a_wrong_password_is_told(page: Page, relying_party: Callable[[str], RelyingParty]) -> None:
    party = relying_party("basic")
    fill_login_form(page, party, begin(party), password="wrong")
    page.get_by_text("wrong login or password").wait_for()


@pytest.mark.real("chromium", "node")
def test_a_cancelled_login_is_an_error_of_the_provider(
    page: Page, relying_party: Callable[[str], RelyingParty]
) -> None:
    party = relying_party("basic")
    transaction = begin(party)
    page.goto(party.login_url(transaction))
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{party.client.redirect_uri}?*")
    with pytest.raises(GatewayError) as error:
        party.response(page.url, transaction)
    assert error.value.code == "op_access_denied"


@pytest.mark.real("chromium", "node")
def test_the_settings_of_the_provider_take_effect(page: Page, listener: Listener, pool: requests.Session) -> None:
    with run_node_provider(
        port=free_port(),
        host="localhost",
        clients=registrations(listener),
        accounts=ACCOUNTS,
        access_token_ttl=100_000,
        rotation=False,
        claims_in_id_token=True,
    ) as provider:
        party = make_relying_party("basic", provider, listener, pool)
        response = sign_in(page, party)
        tokens = party.redeem(response)
        refreshed = party.refresh(tokens.refresh_token or "")
    assert provider.issuer.startswith("http://localhost:")
    assert (tokens.expires_at or 0) > response.transaction.created_at + 90_000
    assert refreshed.refresh_token == tokens.refresh_token
    assert party.id_token(tokens, response.transaction).claims["email"] == CLAIMS["email"]
