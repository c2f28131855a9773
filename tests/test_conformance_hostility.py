"""What is hostile in every module (H1 to H14): each is shown to be on, and each is survived."""

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest
from conformance.cases import noting
from conformance.fapi import RESOURCE, fapi, form, payload, proof_of, to
from conformance.judge import sign_in
from conformance.set_ups import OwnFiles, SetUp, run_set_up
from harness import CLIENT_SECRET, ISSUER, NOW, ORIGIN, Members, Site, error_code, held_session, run_site

from gateway.oidc.messages import Call, Reply, json_call, json_object
from gateway.oidc.metadata import discovery_call
from gateway.oidc.registration import process_registration, registration_call
from gateway.testing import FakeProvider, Faults

_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]{1,43}")
_PUNCTUATION = set(" %&+:/;=?#")


def test_h1_response_types_are_listed_in_odd_order(site: Site) -> None:
    sign_in(site)
    types = json_object(site.provider.transport(discovery_call(ISSUER)))["response_types_supported"]

    assert isinstance(types, list)
    assert {"id_token code", "token code id_token"} <= set(types)


def test_h2_the_key_set_is_full_of_strangers(site: Site) -> None:
    sign_in(site)
    keys = site.provider.jwks()["keys"]

    assert isinstance(keys, list)
    kinds = {(key["kty"], key.get("crv"), key["use"]) for key in keys}
    assert {
        ("RSA", None, "sig"), ("RSA", None, "enc"), ("EC", "P-256", "sig"), ("EC", "P-256", "enc"),
        ("EC", "secp256k1", "sig"), ("OKP", "Ed25519", "sig"), ("AKP", None, "sig"),
    } <= kinds  # fmt: skip


def test_h3_names_secrets_and_refresh_tokens_are_full_of_punctuation(site: Site) -> None:
    sign_in(site)
    first = held_session(site)
    site.clock.advance(250)
    assert site.browser.fetch(f"{ORIGIN}/data").status == 200

    assert set(CLIENT_SECRET) >= _PUNCTUATION
    assert set(first.refresh_token or "") >= _PUNCTUATION
    assert set(str(first.claims["sid"])) >= _PUNCTUATION
    assert site.provider.calls["token.refresh_token"] == 1


def test_h4_nonces_for_proofs_have_every_punctuation_and_come_back_verbatim(own_files: OwnFiles) -> None:
    calls: list[Call] = []
    with run_set_up(fapi("private_key_jwt", "dpop"), own_files, calls) as site:
        sign_in(site)
        nonces = {str(payload(proof_of(call))["nonce"]) for call in to(calls, RESOURCE)[1:]}

        assert all(len(set(nonce) - set("0123456789abcdef")) == 30 for nonce in nonces)
        assert all(site.provider.resource_nonces.ever_issued(nonce) for nonce in nonces)


def test_h5_tokens_are_short_lived_and_have_claims_that_nobody_knows(site: Site) -> None:
    claims: list[Members] = []
    site.provider.faults = Faults(id_token_claims=noting(claims))
    sign_in(site)

    assert (claims[0]["iat"], claims[0]["exp"]) == (NOW, NOW + 300)
    assert "x_unknown" in claims[0]


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda call, token: replace(call, url=f"{call.url}?access_token={token}"), id="query"),
        pytest.param(
            lambda call, token: replace(
                call,
                method="POST",
                headers={**call.headers, "Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode({"access_token": token}).encode(),
            ),
            id="body-too",
        ),
    ],
)
def test_h6_a_token_outside_the_header_is_refused(own_files: OwnFiles, send: Callable[[Call, str], Call]) -> None:
    calls: list[Call] = []
    with run_set_up(SetUp(name="plain"), own_files, calls) as site:
        sign_in(site)
        honest = to(calls, RESOURCE)[0]
        token = honest.headers["Authorization"].partition(" ")[2]

        assert site.provider.transport(honest).status == 200
        assert site.provider.transport(send(honest, token)).status == 400


@pytest.mark.parametrize(
    "over",
    [
        pytest.param({"request": "x.y.z"}, id="request"),
        pytest.param({"request_uri": "https://app.example/request"}, id="request_uri"),
        pytest.param({"scope": "profile"}, id="no-openid"),
        pytest.param({"redirect_uri": ""}, id="no-redirect_uri"),
        pytest.param({"redirect_uri": f"{ORIGIN}/oauth2/callback#x"}, id="fragment"),
        pytest.param({"redirect_uri": f"{ORIGIN}/oauth2/callback/"}, id="slash"),
        pytest.param({"client_id": "another"}, id="client_id"),
        pytest.param({"nonce": "with a space"}, id="H10-nonce"),
        pytest.param({"nonce": "x" * 44}, id="H10-long-nonce"),
        pytest.param({"claims": '{"id_token": {"acr": {"essential": "yes"}}}'}, id="H12-claims"),
    ],
)
def test_h7_h10_h12_a_request_that_is_not_right_is_refused(site: Site, over: dict[str, str]) -> None:
    sign_in(site)
    address = site.browser.history[1].url
    honest = dict(parse_qsl(address.partition("?")[2]))
    assert site.browser.get(f"{ISSUER}/authorize?{urlencode(honest)}", follow=False).status == 303

    answer = site.browser.get(f"{ISSUER}/authorize?{urlencode({**honest, **over})}", follow=False)
    assert answer.status == 400 or "error=" in answer.headers["Location"]
    assert _UNRESERVED.fullmatch(honest["nonce"])


@pytest.mark.parametrize("name", ["code_verifier", "redirect_uri", "grant_type", "code"])
def test_h8_the_token_endpoint_wants_all_that_was_promised(name: str) -> None:
    with run_site(transport=lambda provider: _without(provider, name)) as site:
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert (page.status, error_code(page)[:6]) == (403, "token_")
        assert site.provider.calls["userinfo"] == 0


def _without(provider: FakeProvider, name: str) -> Callable[[Call], Reply]:
    def transport(call: Call) -> Reply:
        kept = {key: value for key, value in form(call).items() if key != name}
        return provider.transport(replace(call, body=urlencode(kept).encode()) if call.method == "POST" else call)

    return transport


@pytest.mark.parametrize("path", ["/favicon.ico", "/.well-known/oauth-authorization-server", "/jwks", "/token/"])
def test_h9_a_call_to_what_the_metadata_do_not_name_is_noted(site: Site, path: str) -> None:
    sign_in(site)
    assert site.provider.unknown_paths == []

    assert site.provider.transport(json_call(ISSUER + path)).status == 404
    assert site.provider.unknown_paths == [path]


def test_h10_the_nonce_is_short_and_plain(site: Site) -> None:
    sign_in(site)
    assert _UNRESERVED.fullmatch(site.provider.requests[0]["nonce"])


def test_h11_we_never_ask_for_a_fresh_login_in_silence_of_our_own_accord(own_files: OwnFiles) -> None:
    with run_set_up(SetUp(name="strict", config={"authorization": {"max_age": 0}}), own_files) as site:
        sign_in(site)
        assert site.provider.requests[0]["max_age"] == "0"
        assert "prompt" not in site.provider.requests[0]

        # And the provider does refuse it.
        asked = urlencode({**site.provider.requests[0], "prompt": "none"})
        answer = site.browser.get(f"{ISSUER}/authorize?{asked}", follow=False)
        assert "error=login_required" in answer.headers["Location"]


@pytest.mark.parametrize(
    ("claims", "warnings"),
    [
        pytest.param('{"userinfo": {"email": null}, "id_token": {"acr": {"essential": false}}}', 0, id="known"),
        pytest.param('{"x": {}, "id_token": {"acr": {"y": 1}}}', 2, id="unknown"),
    ],
)
def test_h12_members_of_claims_that_nobody_knows_are_noted(own_files: OwnFiles, claims: str, warnings: int) -> None:
    with run_set_up(SetUp(name="claims", config={"authorization": {"claims": claims}}), own_files) as site:
        assert site.browser.navigate(f"{ORIGIN}/home").text == "hello alice"
        assert len(site.provider.warnings) == warnings


def test_h13_a_registration_may_not_say_when_its_secret_ends(site: Site) -> None:
    asked: Members = {
        "redirect_uris": [f"{ORIGIN}/oauth2/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    reply = site.provider.transport(registration_call(f"{ISSUER}/register", asked, None))
    registration = process_registration(reply, asked, ISSUER)

    assert "client_secret_expires_at" not in json_object(reply)
    assert registration.client_secret_expires_at is None
    assert registration.client_secret != ""


def test_h14_keys_may_be_fetched_when_all_else_is_over(own_files: OwnFiles) -> None:
    late = SetUp(
        name="late",
        config={"id_token_signed_response_alg": "HS256", "userinfo_signed_response_alg": "ES256"},
        client={"id_token_signed_response_alg": "HS256", "userinfo_signed_response_alg": "ES256"},
    )
    calls: list[Call] = []
    with run_set_up(late, own_files, calls) as site:
        sign_in(site)
        assert [call.url.removeprefix(ISSUER) for call in calls][-2:] == ["/userinfo", site.provider.jwks_path]
