"""Discovery, the rotation of keys, and a gateway that is registered by the provider: the Config and Dynamic plans."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytest
from conformance.cases import Refused, covers, noting, refused
from conformance.judge import assert_ends_in_a_page, assert_refused, sign_in
from harness import CALLBACK, ISSUER, SESSION, SIGNED_OUT, Config, Site, error_code, run_site, suffixed, without

from gateway.oidc.client import Client, Protection
from gateway.oidc.client_metadata import registration_request
from gateway.oidc.registration import process_registration, registration_call
from gateway.testing import FakeProvider, Faults, with_altered_signature, without_signature

Run = Callable[[], AbstractContextManager[Site]]


def _registered(provider: FakeProvider) -> Config:
    """Register at the provider, which knows nobody yet and leaves `client_secret_expires_at` out (H13)."""
    provider.clients = []
    return {"provider": _register(provider)}


def _register(provider: FakeProvider, userinfo: Protection | None = None) -> dict[str, object]:
    client = Client(
        client_id="not yet known",
        token_endpoint_auth_method="client_secret_basic",
        redirect_uri=CALLBACK,
        post_logout_redirect_uri=SIGNED_OUT,
        scope="openid profile email address phone offline_access",
        id_token=Protection(algorithms=("ES256",)),
        userinfo=userinfo,
    )
    asked = registration_request(client, {"client_name": "Gateway"})
    reply = provider.transport(registration_call(f"{ISSUER}/register", asked, None))
    registration = process_registration(reply, asked, ISSUER)
    return {"client_id": registration.client_id, "client_secret": registration.client_secret}


def _run_registered() -> AbstractContextManager[Site]:
    return run_site(_registered)


@covers("C1", "C2", verdict="OK")
def test_metadata_come_first_and_name_where_the_keys_are(site: Site) -> None:
    order: list[str] = []
    site.provider.faults = Faults(before=order.append)
    sign_in(site)

    assert site.provider.jwks_path.startswith("/jwks-")  # Nobody could guess it.
    assert order[0] == "discovery"
    assert order.index("discovery") < order.index("authorize") < order.index("jwks") < order.index("userinfo")


@covers("D3", "D4", "D6", verdict="OK")
def test_who_was_registered_by_the_provider_signs_in() -> None:
    with run_site(_registered) as site:
        sign_in(site)

        client = site.provider.clients[0]
        registration = site.provider.registration(client.client_id)
        assert registration is not None
        assert registration.metadata["redirect_uris"] == [CALLBACK]
        assert not {"jwks", "jwks_uri"} <= set(registration.metadata)
        assert site.provider.calls["register"] == 1
        assert {"discovery", "jwks"} <= set(site.provider.calls)


def _issuer(name: str, faults: Faults, run: Run) -> Any:
    row = refused(name, faults, "metadata_issuer_mismatch", "X-disc")
    return pytest.param(*row.values, run, id=row.id, marks=row.marks)


_MISMATCH = Faults(discovery=suffixed("issuer", "INVALID"))


@pytest.mark.parametrize(
    ("case", "run"),
    [
        _issuer("C3-issuer", _MISMATCH, run_site),
        _issuer("issuer-slash", Faults(discovery=suffixed("issuer", "/")), run_site),
        _issuer("no-issuer", Faults(discovery=without("issuer")), run_site),
        _issuer("D5-issuer", _MISMATCH, _run_registered),
    ],
)
def test_metadata_of_another_issuer_lead_nowhere(caplog: pytest.LogCaptureFixture, case: Refused, run: Run) -> None:
    with run() as site:
        sign_in(site)
    with run() as site:
        site.provider.faults = case.faults
        assert_ends_in_a_page(site, caplog, case, {"discovery"})


@pytest.mark.parametrize(
    "case",
    [
        refused("D9-alg-none", Faults(id_token=without_signature), "jwt_alg_refused"),
        refused("signature", Faults(id_token=with_altered_signature), "jwt_signature_invalid", refetch=True),
        refused("iss", Faults(id_token_claims=suffixed("iss")), "id_token_iss_mismatch"),
    ],
)
def test_who_was_registered_refuses_a_wrong_id_token_too(caplog: pytest.LogCaptureFixture, case: Refused) -> None:
    with run_site(_registered) as site:
        assert_refused(site, caplog, case)


_BOTH = [
    pytest.param(run_site, id="by-hand", marks=covers("C5", "C6", verdict="OK")),
    pytest.param(_run_registered, id="registered", marks=covers("D10", "D11", verdict="OK")),
]


@pytest.mark.parametrize("run", _BOTH)
@pytest.mark.parametrize(
    "moment", [pytest.param("token.authorization_code", id="before-signing"), pytest.param("authorize", id="at-login")]
)
def test_keys_that_were_replaced_are_fetched_once_more(moment: str, run: Run) -> None:
    with run() as site:
        sign_in(site)
        old = _kids(site.provider.jwks())
        site.restarted().provider.faults = Faults(
            before=lambda name: site.provider.rotate_keys() if name == moment else None
        )
        sign_in(site)

        assert site.provider.calls["jwks"] == 2
        assert not old & _kids(site.provider.jwks())


def test_a_token_that_no_key_fits_does_not_make_us_fetch_keys_for_ever(site: Site) -> None:
    sign_in(site)
    site.provider.faults = Faults(id_token_header=lambda one: {**one, "kid": "another"})
    for _ in range(3):
        page = site.restarted().browser.navigate("https://app.example/home")
        assert (page.status, error_code(page)) == (403, "jwt_key_unknown")

    assert site.provider.calls["jwks"] == 2


def _signed_userinfo(provider: FakeProvider) -> Config:
    provider.clients = []
    own = _register(provider, Protection(algorithms=("RS256",)))
    return {"provider": {**own, "userinfo_signed_response_alg": "RS256"}}


@covers("D12", verdict="OK")
def test_signed_userinfo_is_checked_and_used() -> None:
    with run_site(_signed_userinfo) as site:
        answers: list[str] = []
        site.provider.faults = Faults(userinfo_jwt=noting(answers))
        sign_in(site)

        assert len(answers) == 1  # It did come signed.
        assert site.browser.fetch(SESSION).json()["claims"]["email"] == "alice@op.example"


@pytest.mark.parametrize(
    "case",
    [
        refused("iss", Faults(userinfo=suffixed("iss")), "userinfo_iss_mismatch", "X-ui"),
        refused("no-iss", Faults(userinfo=without("iss")), "userinfo_iss_mismatch", "X-ui"),
        refused("aud", Faults(userinfo=suffixed("aud")), "userinfo_aud_mismatch", "X-ui"),
        refused("no-aud", Faults(userinfo=without("aud")), "userinfo_aud_mismatch", "X-ui"),
        refused("sub", Faults(userinfo=suffixed("sub")), "userinfo_sub_mismatch", "X-ui"),
        refused("alg-none", Faults(userinfo_jwt=without_signature), "jwt_alg_refused", "X-ui"),
        refused(
            "signature",
            Faults(userinfo_jwt=with_altered_signature),
            "jwt_signature_invalid",
            "X-ui",
            refetch=True,
        ),
    ],
)
def test_signed_userinfo_that_is_wrong_signs_nobody_in(caplog: pytest.LogCaptureFixture, case: Refused) -> None:
    with run_site(_signed_userinfo) as site:
        assert_refused(site, caplog, case)


def _kids(jwks: Mapping[str, object]) -> set[str]:
    keys = jwks["keys"]
    assert isinstance(keys, list)
    return {key["kid"] for key in keys}
