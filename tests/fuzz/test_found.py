"""What the fuzz run has found, each as its smallest case."""

import logging
from collections.abc import Mapping

import pytest
from harness import TRANSACTION_PREFIX
from oidc.keys import json_reply

from fuzz.honest import DISCOVERY, ISSUER, KEYS, METADATA, NOW, SIGNED_CLIENT, SIGNED_USERINFO, SIGNING, token
from fuzz.sites import code_of, new_site, sets_session
from gateway.errors import GatewayError
from gateway.oidc.jose import SignedToken, parse_signed
from gateway.oidc.metadata import process_discovery
from gateway.oidc.userinfo import check_signed_userinfo
from gateway.session import from_bytes
from gateway.testing.issuing import signed


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://op.example/é", id="not-ascii"),
        pytest.param("https://ⓞp.example/", id="host-not-ascii"),
        pytest.param("https://op.example/\u2028", id="line-separator"),
        pytest.param("https://op.example/\x85", id="next-line"),
        pytest.param("https://op.example/\ud800", id="half-a-surrogate-pair"),
    ],
)
def test_an_endpoint_that_does_not_fit_into_a_redirect_is_no_endpoint(url: str) -> None:
    assert process_discovery(json_reply(DISCOVERY), ISSUER, {}).authorization_endpoint == f"{ISSUER}/authorize"
    with pytest.raises(GatewayError) as caught:
        process_discovery(json_reply({**DISCOVERY, "authorization_endpoint": url}), ISSUER, {})
    assert caught.value.code == "metadata_invalid"


def test_a_state_of_half_a_surrogate_pair_is_nobodys_state() -> None:
    here = new_site("query.jwt")
    claims = {"iss": ISSUER, "aud": "app %&+", "exp": here.provider.now + 60, "code": "c", "state": "\ud800"}
    raw = signed(here.provider, claims, here.provider.clients[0], "ES256")
    answer = here.ask(f"/oauth2/callback?response={raw}", fields=[("Cookie", "__Host-gateway-retry=1")])
    assert (answer.status, code_of(answer)) == (400, "transaction_missing")
    assert not sets_session(answer)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("\x01", id="control-character"),
        pytest.param("\x7f", id="delete"),
        pytest.param("\xff", id="not-ascii"),
        pytest.param("0 1", id="space"),
        pytest.param("0" * 17, id="too-long"),
    ],
)
def test_a_cookie_that_no_login_of_ours_has_set_is_not_echoed(name: str) -> None:
    here = new_site("query")
    fields = [("Accept", "text/html"), ("Cookie", f"{TRANSACTION_PREFIX}{name}=x; {TRANSACTION_PREFIX}{'0' * 16}=x")]
    lines = here.ask("/home", fields=fields).headers.getlist("Set-Cookie")
    assert [line.startswith(f"{TRANSACTION_PREFIX}{'0' * 16}=; Max-Age=0") for line in lines] == [False, True]


@pytest.mark.parametrize("opening", [pytest.param(b"[", id="arrays"), pytest.param(b'{"a":', id="objects")])
def test_a_session_that_is_nested_without_end_is_no_session(opening: bytes) -> None:
    assert from_bytes(opening * 10_000) is None


@pytest.mark.parametrize(
    "exp", [pytest.param("1\ngateway: all is well", id="line"), pytest.param("\ud800", id="surrogate")]
)
def test_userinfo_cannot_write_a_line_of_its_own_into_the_log(exp: str) -> None:
    assert check_signed_userinfo(_userinfo({}), KEYS, METADATA, SIGNED_CLIENT, NOW)["sub"] == "alice"
    with pytest.raises(GatewayError) as caught:
        check_signed_userinfo(_userinfo({"exp": exp}), KEYS, METADATA, SIGNED_CLIENT, NOW)
    assert caught.value.code == "userinfo_expired"
    assert str(caught.value).isprintable()


def _userinfo(over: Mapping[str, object]) -> SignedToken:
    return parse_signed(token("EdDSA", {"alg": "EdDSA"}, {**SIGNED_USERINFO, **over}), SIGNING)


def test_a_method_cannot_write_to_the_terminal_of_who_reads_the_log(caplog: pytest.LogCaptureFixture) -> None:
    here = new_site("query")
    logging.getLogger("gateway").addHandler(caplog.handler)
    answer = here.ask("/home", method="G\x1b[2JT")
    logging.getLogger("gateway").removeHandler(caplog.handler)
    assert answer.status == 405
    assert [record.getMessage().isprintable() for record in caplog.records] == [True]
