"""The Refresh plan, plain and under FAPI 2.0: the new tokens are kept, or the session ends."""

import pytest
from conformance.cases import Refused, covers, refused
from conformance.fapi import SECURITY, assert_rules
from conformance.judge import sign_in
from conformance.set_ups import PLAIN, OwnFiles, SetUp, run_set_up
from harness import ORIGIN, Site, held_session, is_signed_in, suffixed

from gateway.oidc.messages import Call
from gateway.testing import Faults, Page, with_altered_signature, without_signature

REFRESH = "token.refresh_token"
_NEARLY_OVER = 250
"""Seconds of the 300 that an access token lives."""


def _later(site: Site) -> Page:
    site.clock.advance(_NEARLY_OVER)
    return site.browser.fetch(f"{ORIGIN}/data")


@pytest.mark.parametrize(
    "set_up",
    [
        pytest.param(PLAIN, id="R1-plain", marks=covers("R1", verdict="OK")),
        *(pytest.param(one, id=f"A31-{one.name}", marks=covers("A31", verdict="OK")) for one in SECURITY),
    ],
)
def test_each_refresh_brings_tokens_that_are_kept(own_files: OwnFiles, set_up: SetUp) -> None:
    calls: list[Call] = []
    with run_set_up(set_up, own_files, calls) as site:
        sign_in(site)
        held = [held_session(site)]
        for number in (1, 2):
            assert _later(site).status == 200
            assert site.provider.calls[REFRESH] == number
            held.append(held_session(site))

        assert len({session.access_token for session in held}) == 3
        assert len({session.refresh_token for session in held}) == 3  # The provider rotates them.
        assert site.provider.is_active(held[-1].access_token)
        assert {session.scope for session in held} == {held[0].scope}
        if set_up is not PLAIN:
            assert_rules(site, calls, set_up)


_CASES = [
    refused("R2-iss", Faults(refreshed_id_token_claims=suffixed("iss")), "id_token_iss_mismatch"),
    refused("R3-sub", Faults(refreshed_id_token_claims=suffixed("sub")), "id_token_sub_mismatch"),
    refused("aud", Faults(refreshed_id_token_claims=suffixed("aud")), "id_token_aud_mismatch"),
    refused("alg-none", Faults(refreshed_id_token=without_signature), "jwt_alg_refused"),
    refused("signature", Faults(refreshed_id_token=with_altered_signature), "jwt_signature_invalid"),
]


@pytest.mark.parametrize("set_up", [pytest.param(one, id=one.name) for one in (PLAIN, SECURITY[0], SECURITY[-1])])
@pytest.mark.parametrize("case", _CASES)
def test_a_wrong_refreshed_id_token_ends_the_session_and_its_tokens_are_not_used(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, set_up: SetUp, case: Refused
) -> None:
    with run_set_up(set_up, own_files) as site:
        sign_in(site)
        assert _later(site).status == 200
        site.provider.faults = case.faults
        reached, asked = len(site.received), site.provider.calls["userinfo"]
        caplog.clear()

        assert _later(site).status == 401
        assert (len(site.received), site.provider.calls["userinfo"]) == (reached, asked)
        assert caplog.text.count(case.code) == 1
        site.provider.faults = Faults()
        assert not is_signed_in(site.browser)
