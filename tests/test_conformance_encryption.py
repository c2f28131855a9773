"""What is encrypted to us (FAPI 1.0 Advanced, and the older plans): ID tokens, userinfo and signed answers."""

from dataclasses import replace

import pytest
from conformance.cases import Refused, accepted, noting, refused
from conformance.judge import assert_ends_in_a_page, assert_refused, sign_in
from conformance.set_ups import OwnFiles, SetUp, run_set_up
from harness import SESSION, suffixed

from gateway.testing import Faults, with_altered_signature, without_signature


def _set_up(what: str, alg: str = "RSA-OAEP", enc: str = "A256GCM", **config: object) -> SetUp:
    encryption = {f"{what}_encrypted_response_alg": alg, f"{what}_encrypted_response_enc": enc}
    signed = {"userinfo_signed_response_alg": "ES256"} if what == "userinfo" else {}
    return SetUp(
        name=what,
        decryption=True,
        config={**encryption, **signed, **config},
        client={**encryption, **signed},
    )


ID_TOKEN = _set_up("id_token")
SIGNED_ANSWER = _set_up("authorization", authorization={"response_mode": "query.jwt"})


@pytest.mark.parametrize(
    "set_up",
    [
        pytest.param(ID_TOKEN, id="id_token-RSA-OAEP"),
        pytest.param(_set_up("id_token", "RSA-OAEP-256", "A128CBC-HS256"), id="id_token-RSA-OAEP-256"),
        pytest.param(_set_up("userinfo"), id="userinfo"),
        pytest.param(SIGNED_ANSWER, id="authorization"),
    ],
)
def test_what_is_encrypted_to_us_signs_in(own_files: OwnFiles, set_up: SetUp) -> None:
    with run_set_up(set_up, own_files) as site:
        encrypted: list[str] = []
        site.provider.faults = Faults(encrypted=noting(encrypted))
        sign_in(site)

        assert [compact.count(".") for compact in encrypted] == [4]  # Encrypted it was.
        assert site.browser.fetch(SESSION).json()["claims"]["email"] == "alice@op.example"


def _cut(compact: str) -> str:
    head, _, tag = compact.rpartition(".")
    return f"{head}.{tag[:-4]}AAAA" if not tag.endswith("AAAA") else f"{head}.{tag[:-4]}BBBB"


@pytest.mark.parametrize(
    "case",
    [
        refused("altered", Faults(encrypted=_cut), "jwe_decryption_failed"),
        refused("signature-inside", Faults(id_token=with_altered_signature), "jwt_signature_invalid", refetch=True),
        refused("alg-none-inside", Faults(id_token=without_signature), "jwt_alg_refused"),
        refused("iss-inside", Faults(id_token_claims=suffixed("iss")), "id_token_iss_mismatch"),
    ],
)
def test_a_wrong_encrypted_id_token_signs_nobody_in(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    with run_set_up(ID_TOKEN, own_files) as site:
        assert_refused(site, caplog, case)


@pytest.mark.parametrize(
    ("alg", "case"),
    [
        pytest.param("RSA1_5", *refused("", Faults(), "jwe_alg_refused").values, id="RSA1_5"),
        pytest.param("", *refused("", Faults(), "jwe_not_encrypted").values, id="not-encrypted"),
    ],
)
def test_an_id_token_that_is_encrypted_otherwise_or_not_at_all_signs_nobody_in(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, alg: str, case: Refused
) -> None:
    with run_set_up(ID_TOKEN, own_files) as site:
        sign_in(site)
        client = site.provider.clients[0]
        site.provider.clients = [replace(client, id_token_encrypted_response_alg=alg)]
        site.restarted()
        assert_ends_in_a_page(site, caplog, case, case.asked(pushed=False))


@pytest.mark.parametrize(
    "faults", [accepted("unknown-claims", Faults(id_token_claims=lambda one: {**one, "x": {"y": [1]}}))]
)
def test_an_unusual_encrypted_id_token_signs_in(own_files: OwnFiles, faults: Faults) -> None:
    with run_set_up(ID_TOKEN, own_files) as site:
        site.provider.faults = faults
        sign_in(site)
