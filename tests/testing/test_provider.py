"""The fake provider is honest with honest clients, whatever their method and its algorithm."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.testing import (
    FakeClient,
)
from gateway.testing.jws import read_compact
from testing.relying_party import (
    ISSUER,
    NOW,
    REDIRECT_URI,
    SIGNED_OUT,
    Clock,
    changed,
    parameters_of,
    relying_party,
)

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
)  # fmt: skip


KINDS = {"RS256": "RSA", "PS256": "RSA", "ES256": "P-256", "EdDSA": "Ed25519"}


def kind_of_jwk(key: dict[str, str]) -> str:
    return key.get("crv", key["kty"])


METHODS = ("client_secret_basic", "client_secret_post", "none")


HONEST = [
    pytest.param(method, alg, id=f"{method}-{alg}")
    for method, alg in itertools.product(METHODS, ALGORITHMS)
    if method != "none" or not alg.startswith("HS")  # Without a secret there is nothing to make the MAC with.
]


@pytest.mark.parametrize(("method", "alg"), HONEST)
def test_an_honest_client_comes_through(method: str, alg: str) -> None:
    """B1, B8, B13, B14, K4, H1, H2, H3, C2: the whole life of a login."""
    party = relying_party(method=method, id_token_alg=alg)

    tokens, login = party.login()
    assert login.subject == "subject of alice"
    assert party.userinfo(tokens, login.subject)["email"] == "alice@op.example"
    assert party.provider.subject_of(tokens.access_token) == login.subject

    renewed = party.refresh(tokens.refresh_token)
    assert party.check_refreshed(renewed, login).subject == login.subject
    assert party.userinfo(renewed, login.subject)["sub"] == login.subject

    assert party.revoke(renewed.refresh_token or "").status == 200
    assert not party.provider.is_active(renewed.refresh_token or "")
    assert not party.provider.is_active(renewed.access_token)

    page = party.browser.navigate(party.end_session_url(renewed), follow=False)
    assert page.headers["Location"] == f"{SIGNED_OUT}?state=s"
    assert party.provider.unknown_paths == []


def test_calls_are_counted_by_endpoint_and_grant() -> None:
    party = relying_party()
    tokens, login = party.login()
    party.userinfo(tokens, login.subject)
    party.refresh(tokens.refresh_token)
    counted = {name: party.provider.calls[name] for name in ("authorize", "userinfo", "jwks")}
    assert counted == {"authorize": 1, "userinfo": 1, "jwks": 1}
    assert party.provider.calls["token.authorization_code"] == 1
    assert party.provider.calls["token.refresh_token"] == 1


def test_claims_are_given_by_scope() -> None:
    """B13: e-mail was asked for, the telephone was not; groups belong to no scope."""
    party = relying_party()
    tokens, login = party.login()
    claims = party.userinfo(tokens, login.subject)
    assert set(claims) == {"sub", "email", "groups", "x_unknown"}
    assert "email" not in login.claims


def test_a_user_of_the_page_is_chosen_and_remembered_until_logout() -> None:
    party = relying_party(sign_in_as=None)
    page = party.browser.navigate(party.begin()[1])
    assert page.status == 200
    assert "<b>Bob</b>" not in page.text
    parameters = parameters_of(party.browser.submit("bob", follow=False))
    assert "code" in parameters

    transaction, parameters = party.authorize()
    tokens = party.redeem(transaction, parameters)
    assert party.check(tokens, transaction).subject == "bob"
    assert party.browser.navigate(party.begin(prompt="login")[1]).status == 200

    assert party.browser.navigate(party.end_session_url(tokens)).url.startswith(SIGNED_OUT)
    assert party.browser.navigate(party.begin()[1], follow=False).status == 200
    refused = parameters_of(party.browser.navigate(party.begin(prompt="none")[1], follow=False))
    assert refused["error"] == "login_required"


def test_cancel_is_access_denied() -> None:
    party = relying_party(sign_in_as=None)
    transaction, url = party.begin()
    party.browser.navigate(url)
    parameters = parameters_of(party.browser.submit("yes", follow=False))
    with pytest.raises(GatewayError) as error:
        party.redeem(transaction, parameters)
    assert error.value.code == "op_access_denied"


def test_a_login_older_than_max_age_is_done_again() -> None:
    clock = Clock()
    party = relying_party(clock=clock, sign_in_as=None)
    party.browser.navigate(party.begin()[1])
    party.browser.submit("alice")
    assert party.browser.navigate(party.begin(max_age="60")[1]).url.startswith(REDIRECT_URI)
    clock.now += 61
    assert party.browser.navigate(party.begin(max_age="60")[1]).url.startswith(f"{ISSUER}/authorize")


def test_login_hint_names_one_of_many_users() -> None:
    party = relying_party()
    transaction, url = party.begin(login_hint="bob")
    tokens = party.redeem(transaction, parameters_of(party.browser.navigate(url, follow=False)))
    assert party.check(tokens, transaction).subject == "bob"


def test_form_post_carries_the_response_in_a_form() -> None:
    """F1."""
    party = relying_party()
    transaction, url = party.begin(response_mode="form_post")
    party.browser.navigate(url)
    page = party.browser.submit()
    assert page.url == REDIRECT_URI
    assert transaction.state in party.browser.history[-2].text


def test_without_rotation_a_refresh_token_lasts() -> None:
    party = relying_party(rotate_refresh_tokens=False)
    tokens, _ = party.login()
    assert party.refresh(tokens.refresh_token).refresh_token is None
    assert party.refresh(tokens.refresh_token).access_token


def test_a_provider_may_give_no_refresh_token() -> None:
    assert relying_party(include_refresh_token=False).login()[0].refresh_token is None


def test_access_tokens_expire() -> None:
    clock = Clock()
    party = relying_party(clock=clock, access_token_lifetime=30)
    tokens, login = party.login()
    assert tokens.expires_at == NOW + 30
    clock.now += 30
    with pytest.raises(GatewayError) as error:
        party.userinfo(tokens, login.subject)
    assert error.value.code == "userinfo_invalid"
    assert not party.provider.is_active(tokens.access_token)
    assert party.provider.subject_of(tokens.access_token) == login.subject


def test_an_access_token_is_revoked_alone_and_only_by_its_client() -> None:
    party = relying_party()
    tokens, _ = party.login()
    other = FakeClient(client_id="other", client_secret="other", redirect_uris=[])
    party.provider.clients = [*party.provider.clients, other]
    stranger = replace(party.client, client_id="other", client_secret="other")
    replace(party, client=stranger).revoke(tokens.access_token, "access_token")
    assert party.provider.is_active(tokens.access_token)
    party.revoke(tokens.access_token)
    assert not party.provider.is_active(tokens.access_token)
    assert party.provider.is_active(tokens.refresh_token or "")
    assert party.revoke("never issued").status == 200


def test_without_a_place_to_return_to_the_provider_says_that_it_is_over() -> None:
    party = relying_party()
    url = changed(party.end_session_url(party.login()[0]), {"post_logout_redirect_uri": None})
    assert "signed out" in party.browser.navigate(url).text


def test_without_rfc_9207_there_is_no_iss() -> None:
    party = relying_party(response_iss=False)
    assert "iss" not in party.authorize()[1]
    assert party.login()[1].subject == "subject of alice"


@pytest.mark.parametrize(
    ("kid_mode", "count"),
    [pytest.param("absent_single", 1, id="B6"), pytest.param("absent_several", 9, id="B7")],
)
def test_keys_without_names(kid_mode: str, count: int) -> None:
    party = relying_party(kid_mode=kid_mode)
    assert party.login()[1].subject == "subject of alice"
    keys = party.provider.jwks()["keys"]
    assert isinstance(keys, list)
    assert [key.get("kid") for key in keys] == [None] * count


def test_keys_rotated_just_before_signing() -> None:
    """C5, C6: the keys fetched before the rotation do not fit any longer, those fetched afterwards do."""
    party = relying_party()
    party.login()
    old = party.keys()
    transaction, parameters = party.authorize()
    party.provider.rotate_keys()
    tokens = party.redeem(transaction, parameters)
    with pytest.raises(GatewayError) as error:
        party.check(tokens, transaction, old)
    assert error.value.code == "jwt_key_unknown"
    assert party.check(tokens, transaction).subject == "subject of alice"


def test_the_key_set_is_hostile() -> None:
    """H2: other curves, keys for encryption and keys of unknown kinds; none but a decoy names its algorithm."""
    keys: Any = relying_party().provider.jwks()["keys"]
    assert {"secp256k1", "P-256", "Ed25519"} <= {key.get("crv") for key in keys}
    assert {"RSA", "EC", "OKP", "AKP"} == {key["kty"] for key in keys}
    assert {key["use"] for key in keys} == {"sig", "enc"}
    named = [key["alg"] for key in keys if key["use"] == "sig" and key["kty"] != "AKP" and "alg" in key]
    assert named == ["RS512"]


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_decoys_bear_the_kid_of_the_signing_key(alg: str) -> None:
    """P9: only the kid together with type, algorithm and use tells the key."""
    party = relying_party(id_token_alg=alg)
    kid = read_compact(party.login()[0].id_token or "").header["kid"]
    keys: Any = party.provider.jwks()["keys"]
    alike = [key for key in keys if key["kid"] == kid]
    assert {key["kty"] for key in alike} == {"RSA", "EC", "OKP"}
    assert {key["use"] for key in alike} == {"sig", "enc"}
    fitting = [key for key in alike if key["use"] == "sig" and "alg" not in key and kind_of_jwk(key) == KINDS[alg]]
    assert len(fitting) == 1


def test_many_threads_refresh_without_mixing_users() -> None:
    party = relying_party(rotate_refresh_tokens=False, id_token_alg="ES256")
    tokens, login = party.login()
    with ThreadPoolExecutor(8) as pool:
        renewed = list(pool.map(lambda _: party.refresh(tokens.refresh_token), range(64)))
    assert {party.provider.subject_of(one.access_token) for one in renewed} == {login.subject}
    assert len({one.access_token for one in renewed}) == 64
    assert party.provider.calls["token.refresh_token"] == 64


def test_one_refresh_token_is_rotated_for_one_of_many_threads() -> None:
    party = relying_party(id_token_alg="ES256")
    tokens, _ = party.login()
    call = party.refresh_call(tokens.refresh_token)
    with ThreadPoolExecutor(8) as pool:
        statuses = [reply.status for reply in pool.map(party.provider.transport, [call] * 8)]
    assert sorted(statuses) == [200] + [400] * 7


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param("https://op.example", id="no-path"),
        pytest.param("https://op.example/", id="trailing-slash"),
        pytest.param("https://op.example/a/b", id="path"),
    ],
)
def test_the_issuer_may_have_any_path(issuer: str) -> None:
    party = relying_party(issuer=issuer)
    assert party.login()[1].subject == "subject of alice"
    assert party.provider.unknown_paths == []


def test_the_cookie_of_an_ended_session_is_worthless() -> None:
    party = relying_party(sign_in_as=None)
    transaction, url = party.begin()
    party.browser.navigate(url)
    tokens = party.redeem(transaction, parameters_of(party.browser.submit("alice", follow=False)))
    cookie = party.browser.cookies.of("https://op.example")["op_session"]
    party.browser.navigate(party.end_session_url(tokens))
    assert party.browser.cookies.of("https://op.example") == {}
    party.browser.cookies.set("https://op.example", "op_session", cookie)
    assert party.browser.navigate(party.begin()[1], follow=False).status == 200
