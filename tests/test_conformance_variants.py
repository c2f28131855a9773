"""The variants that any module may be run in: client authentication, and how request and response travel."""

from itertools import product
from typing import Any

import pytest
from conformance.judge import sign_in
from conformance.set_ups import THUMBPRINT, OwnFiles, SetUp, run_set_up
from harness import CLIENT_SECRET, is_signed_in

METHODS = (
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "tls_client_auth",
    "self_signed_tls_client_auth", "none",
)  # fmt: skip


def _authenticated(method: str) -> SetUp:
    secret = CLIENT_SECRET if method.startswith("client_secret") else ""
    certificate = "tls" in method
    return SetUp(
        name=method,
        signing=method == "private_key_jwt",
        certificate=certificate,
        config={"token_endpoint_auth_method": method, "client_secret": secret},
        client={
            "token_endpoint_auth_method": method,
            "client_secret": secret,
            "certificate_thumbprint": THUMBPRINT if certificate else "",
        },
        state={"mtls_aliases": certificate},
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_client_authentication_signs_in_and_refreshes(own_files: OwnFiles, method: str) -> None:
    with run_set_up(_authenticated(method), own_files) as site:
        sign_in(site)
        site.clock.advance(250)

        assert is_signed_in(site.browser)
        assert site.provider.calls["token.refresh_token"] == 1


VIAS = ("query", "pushed", "signed", "signed_pushed")
ANSWERS: dict[str, dict[str, str]] = {
    "default": {},
    "form_post": {"response_mode": "form_post"},
    "query.jwt": {"response_mode": "query.jwt"},
    "form_post.jwt": {"response_mode": "form_post.jwt"},
    "hybrid": {"response_type": "code id_token"},
    "hybrid.jwt": {"response_type": "code id_token", "response_mode": "form_post.jwt"},
}


def _travelling(via: str, answer: str, constraint: str) -> SetUp:
    client: dict[str, Any] = {"dpop_bound_access_tokens": constraint == "dpop"}
    if via.startswith("signed"):
        client |= {"request_object_signing_alg": "ES256", "require_signed_request_object": True}
    return SetUp(
        name=f"{via}-{answer}-{constraint}",
        signing=True,
        config={
            "token_endpoint_auth_method": "client_secret_basic",
            "sender_constraint": constraint,
            "authorization": {"via": via, **ANSWERS[answer]},
        },
        client=client,
        state={
            "dpop_nonces": constraint == "dpop",
            "require_pushed_authorization_requests": via.endswith("pushed"),
            "require_signed_request_object": via.startswith("signed"),
        },
    )


@pytest.mark.parametrize(
    "set_up",
    [pytest.param(_travelling(*variant), id="-".join(variant)) for variant in product(VIAS, ANSWERS, ("none", "dpop"))],
)
def test_every_way_of_request_and_response_signs_in_twice(own_files: OwnFiles, set_up: SetUp) -> None:
    with run_set_up(set_up, own_files) as site:
        sign_in(site)
        sign_in(site.restarted())
