"""How the client proves who it is (RFC 6749 2.3.1, CONFORMANCE B14, H3, H8)."""

import base64
from typing import Final
from urllib.parse import parse_qsl

import pytest

from gateway.oidc.client_auth import authenticated_call
from gateway.oidc.messages import Call
from gateway.oidc.metadata import Client

PARAMETERS: Final = {"grant_type": "refresh_token", "refresh_token": "a b%&+:/;=\u00e9"}


def call_by(method: str, client_id: str = "c1", client_secret: str = "s1") -> Call:
    client = Client(
        client_id=client_id,
        client_secret=client_secret,
        token_endpoint_auth_method=method,
        redirect_uri="https://app.example/cb",
        post_logout_redirect_uri="https://app.example/",
    )
    return authenticated_call("https://op.example/token", client, PARAMETERS)


def form(call: Call) -> dict[str, str]:
    pairs = parse_qsl(call.body.decode("ascii"), strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize(
    ("client_id", "client_secret", "pair"),
    [
        pytest.param("c1", "s1", "c1:s1", id="B14 plain"),
        pytest.param("c:1", "s:1", "c%3A1:s%3A1", id="H3 colons"),
        pytest.param("c 1", "a b", "c+1:a+b", id="H3 spaces"),
        pytest.param("c1", "%&+:/;=", "c1:%25%26%2B%3A%2F%3B%3D", id="H3 punctuation"),
        pytest.param("c1", "%41", "c1:%2541", id="H3 what looks encoded"),
        pytest.param("c1", "-._~", "c1:-._~", id="unreserved"),
        pytest.param("\u00e9", "\u20ac", "%C3%A9:%E2%82%AC", id="UTF-8"),
        pytest.param("c1", "", "c1:", id="empty secret"),
    ],
)
def test_client_secret_basic(client_id: str, client_secret: str, pair: str) -> None:
    call = call_by("client_secret_basic", client_id, client_secret)
    scheme, _, credentials = call.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(credentials, validate=True).decode("ascii")) == ("Basic", pair)
    assert form(call) == PARAMETERS


def test_client_secret_post() -> None:
    call = call_by("client_secret_post", "c 1", "%&+:/;=")
    assert form(call) == {**PARAMETERS, "client_id": "c 1", "client_secret": "%&+:/;="}
    assert "Authorization" not in call.headers


def test_a_public_client_names_itself_alone() -> None:
    call = call_by("none", "c 1", "s3cret")
    assert form(call) == {**PARAMETERS, "client_id": "c 1"}
    assert "Authorization" not in call.headers


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_every_method_posts_a_form(method: str) -> None:
    call = call_by(method)
    assert (call.method, call.url) == ("POST", "https://op.example/token")
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert call.headers["Accept"] == "application/json"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "none"])
def test_credentials_stay_out_of_the_repr(method: str) -> None:
    assert "s3cret" not in repr(call_by(method, client_secret="s3cret"))


@pytest.mark.parametrize("method", ["", "private_key_jwt", "CLIENT_SECRET_BASIC"])
def test_a_method_that_we_do_not_have_is_a_fault_of_ours(method: str) -> None:
    with pytest.raises(ValueError, match="token_endpoint_auth_method"):
        call_by(method)
