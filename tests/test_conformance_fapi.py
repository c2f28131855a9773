"""FAPI 2.0 Security Profile and Message Signing: each module in the variants, each rule in each module."""

import ssl
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from conformance.cases import Refused, accepted, covers, for_plan, noting, refused
from conformance.fapi import (
    PAIRS,
    PUSH,
    RESOURCE,
    SECURITY,
    SIGNING,
    TOKEN,
    assert_rules,
    check_algorithms,
    check_assertions,
    check_mutual_tls,
    check_nonces,
    check_proofs,
    check_pushed,
    check_request,
    check_request_objects,
    check_token_in_header,
    fapi,
    payload,
    proof_of,
    to,
)
from conformance.id_token_faults import CLAIM_FAULTS, TOKEN_FAULTS
from conformance.judge import assert_ends_in_a_page, assert_refused, sign_in
from conformance.set_ups import OwnFiles, SetUp, run_set_up
from harness import Members, Site, changed, suffixed, without
from raw_origin import OK, origin
from werkzeug import Response

from gateway.errors import ProviderUnavailable
from gateway.oidc.messages import Call, json_call
from gateway.testing import Faults, with_altered_signature, without_signature
from gateway.transport import RequestsTransport


@contextmanager
def _run(set_up: SetUp, files: OwnFiles) -> Iterator[tuple[Site, list[Call]]]:
    """Run a variant, and hold every call that it made against the rules in the end."""
    calls: list[Call] = []
    with run_set_up(set_up, files, calls) as site:
        yield site, calls
        assert_rules(site, calls, set_up)


def _variants(set_ups: list[SetUp]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("set_up", [pytest.param(one, id=one.name) for one in set_ups])


EVERY_PAIR = _variants(SECURITY)
DPOP = fapi("private_key_jwt", "dpop")
MTLS = fapi("tls_client_auth", "mtls")
SIGNED = fapi("private_key_jwt", "dpop", signed=True, jarm=True)
JARM = _variants(
    [SIGNED, fapi("tls_client_auth", "mtls", signed=True, jarm=True), fapi("private_key_jwt", "mtls", jarm=True)]
)


@covers("A1", verdict="OK")
@_variants(SIGNING)
def test_every_variant_signs_in(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, _):
        sign_in(site)
        sign_in(site.restarted())


@covers("A2", verdict="OK")
@_variants([fapi(method, "dpop", nonces=False) for method in ("private_key_jwt", "tls_client_auth")])
def test_where_no_nonce_is_given_none_is_sent(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)

        assert check_nonces(site, calls) == 0
        assert check_proofs(calls) == 3


@EVERY_PAIR
@pytest.mark.parametrize(
    "case",
    [refused("A3-issuer", Faults(discovery=suffixed("issuer", "INVALID")), "metadata_issuer_mismatch", "X-disc")],
)
def test_metadata_of_another_issuer_lead_nowhere(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, set_up: SetUp, case: Refused
) -> None:
    with _run(set_up, own_files) as (site, _):
        sign_in(site)
    with _run(set_up, own_files) as (site, _):
        site.provider.faults = case.faults
        assert_ends_in_a_page(site, caplog, case, {"discovery"})


@EVERY_PAIR
@pytest.mark.parametrize(
    "case",
    for_plan(
        "A",
        (*CLAIM_FAULTS, *TOKEN_FAULTS),
        lambda row: Faults(id_token_claims=row.claims, id_token=row.token),
        "X-idt",
    ),
)
def test_a_wrong_id_token_signs_nobody_in_and_its_tokens_are_not_used(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, set_up: SetUp, case: Refused
) -> None:
    with _run(set_up, own_files) as (site, _):
        assert_refused(site, caplog, case, set_up)


@EVERY_PAIR
@covers("A8", verdict="X-idt", code="jwt_alg_refused")
def test_an_algorithm_that_is_not_of_the_profile_signs_nobody_in(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, set_up: SetUp
) -> None:
    # Without an algorithm configured, the profile alone says which there are.
    with _run(set_up.but(id_token_signed_response_alg=None), own_files) as (site, _):
        site.provider.extra_signing_algs = ("RS256",)
        sign_in(site)
        site.restarted().provider.id_token_alg = "RS256"
        site.provider.extra_signing_algs = ("ES256",)

        case = Refused(faults=Faults(), code="jwt_alg_refused", verdict="X-idt")
        assert_ends_in_a_page(site, caplog, case, case.asked(pushed=True))


def _lacking(name: str) -> Faults:
    return Faults(authorization_response=lambda one: {key: one[key] for key in one if key != name})


def _with(**members: str) -> Faults:
    return Faults(authorization_response=lambda one: {**one, **members})


@EVERY_PAIR
@pytest.mark.parametrize(
    "case",
    [
        refused(
            "A16-iss",
            Faults(authorization_response=lambda one: {**one, "iss": one["iss"] + "1"}),
            "response_iss_mismatch",
            "X-az",
        ),
        refused("A17-no-iss", _lacking("iss"), "response_iss_missing", "X-az"),
        refused("A18-state", _with(state="another"), "transaction_missing", "X-az", status=400),
        refused("A19-no-state", _lacking("state"), "response_state_missing", "X-az", status=400),
    ],
)
def test_a_wrong_authorization_response_is_not_redeemed(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, set_up: SetUp, case: Refused
) -> None:
    with _run(set_up, own_files) as (site, _):
        assert_refused(site, caplog, case, set_up)


@pytest.mark.parametrize("case", [refused("A17-not-advertised", _lacking("iss"), "response_iss_missing", "X-az")])
def test_the_profile_requires_iss_though_it_was_not_advertised(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, case: Refused
) -> None:
    hidden = changed(authorization_response_iss_parameter_supported=False)
    with _run(DPOP, own_files) as (site, _):
        site.provider.faults = Faults(discovery=hidden)
        assert_refused(site, caplog, case, DPOP)


def _inverted_type(status: int, members: Members) -> tuple[int, Members]:
    return status, {**members, **({"token_type": str(members["token_type"]).swapcase()} if status == 200 else {})}


def _without_expiry(status: int, members: Members) -> tuple[int, Members]:
    return status, without("expires_in")(members)


@EVERY_PAIR
@pytest.mark.parametrize(
    "faults",
    [
        accepted("A13-aud-as-array", Faults(id_token_claims=lambda one: {**one, "aud": [one["aud"]]})),
        accepted("A20-no-expires_in", Faults(token_response=_without_expiry)),
        accepted("A21-token-type-case", Faults(token_response=_inverted_type)),
        accepted("no-at_hash", Faults(id_token_claims=without("at_hash"))),
    ],
)
def test_an_unusual_answer_signs_in(own_files: OwnFiles, set_up: SetUp, faults: Faults) -> None:
    with _run(set_up, own_files) as (site, _):
        site.provider.faults = faults
        sign_in(site)


def _mixed_case(name: str, response: Response) -> Response:
    challenge = response.headers.get("WWW-Authenticate")
    if challenge is not None:
        response.headers["WWW-Authenticate"] = challenge.replace("DPoP", "dPoP")
    return response


@covers("A22", verdict="OK")
@_variants([one for one in SECURITY if one.config["sender_constraint"] == "dpop"])
def test_the_scheme_of_a_challenge_is_found_in_any_case(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        challenges: list[str] = []
        site.provider.faults = Faults(response=_mixed_case, before=challenges.append)
        page = site.browser.navigate("https://app.example/home")

        assert (page.status, page.text) == (200, "hello alice")
        assert challenges.count("userinfo") == len(to(calls, RESOURCE)) == 2  # Refused once, then repeated.


@JARM
@pytest.mark.parametrize(
    "case",
    [
        refused("A23-no-iss", Faults(jarm_claims=without("iss")), "response_iss_missing", "X-az"),
        refused("A24-iss", Faults(jarm_claims=suffixed("iss")), "response_iss_mismatch", "X-az"),
        refused("A25-no-aud", Faults(jarm_claims=without("aud")), "response_aud_mismatch", "X-az"),
        refused("A26-aud", Faults(jarm_claims=suffixed("aud")), "response_aud_mismatch", "X-az"),
        refused("A27-no-exp", Faults(jarm_claims=without("exp")), "response_claim_invalid", "X-az"),
        refused(
            "A28-expired",
            Faults(jarm_claims=lambda one: {**one, "exp": int(str(one["exp"])) - 960}),
            "response_expired",
            "X-az",
        ),
        refused("A29-signature", Faults(jarm=with_altered_signature), "jwt_signature_invalid", "X-az", refetch=True),
        refused("A30-alg-none", Faults(jarm=without_signature), "jwt_alg_refused", "X-az"),
        refused("A18-state", _with(state="another"), "transaction_missing", "X-az", status=400),
        refused("A19-no-state", _lacking("state"), "response_state_missing", "X-az", status=400),
        refused("plain-instead", Faults(response_mode=lambda _: "query"), "response_mode_mismatch", "X-az", status=400),
    ],
)
def test_a_wrong_signed_response_is_not_redeemed(
    caplog: pytest.LogCaptureFixture, own_files: OwnFiles, set_up: SetUp, case: Refused
) -> None:
    with _run(set_up, own_files) as (site, _):
        assert_refused(site, caplog, case, set_up)


@JARM
def test_plain_parameters_beside_a_signed_response_do_not_count(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, _):
        stray = {"code": "another", "state": "another", "iss": "https://evil.example", "error": "access_denied"}
        site.provider.faults = Faults(sent_response=lambda one: {**stray, **one})
        sign_in(site)


@covers("P1", "P2", verdict="held")
@EVERY_PAIR
def test_the_request_is_pushed_and_is_what_the_profile_asks_for(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)

        assert check_pushed(site, calls) == 1
        assert check_request(site) == 1


@covers("P3", "P4", verdict="held")
@_variants([fapi("private_key_jwt", constraint, signed=True) for constraint in ("dpop", "mtls")])
def test_assertions_are_for_the_issuer_new_and_well_signed(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)
        sign_in(site.restarted())

        count = len(to(calls, PUSH + TOKEN))
        assert check_assertions(site, calls) == count >= 4
        assert check_algorithms(site, calls) == count + len(to(calls, PUSH))


@covers("P5", "P6", verdict="held")
@_variants([fapi(method, "dpop") for method in ("private_key_jwt", "tls_client_auth")])
def test_proofs_carry_the_newest_nonce_of_the_server_they_are_for(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)
        # The first call to each server is refused for want of a nonce; a success brings the next one.
        assert [len(to(calls, paths)) for paths in (PUSH, TOKEN, RESOURCE)] == [2, 1, 2]
        assert check_nonces(site, calls) == 3
        assert check_proofs(calls) == 5

        calls.clear()
        sign_in(site.restarted())
        assert [len(to(calls, paths)) for paths in (PUSH, TOKEN, RESOURCE)] == [1, 1, 1]
        pushed, redeemed, _ = (payload(proof_of(call))["nonce"] for call in calls if "DPoP" in call.headers)
        assert pushed != redeemed


def _rotate(site: Site) -> None:
    site.provider.server_nonces.rotate()


@covers("P6", verdict="held")
def test_a_server_that_wants_another_nonce_for_ever_is_asked_twice(own_files: OwnFiles) -> None:
    with _run(DPOP, own_files) as (site, calls):
        sign_in(site)
        calls.clear()
        site.restarted().provider.faults = Faults(before=lambda _: _rotate(site))
        page = site.browser.navigate("https://app.example/home")

        assert page.status == 403
        assert len(to(calls, PUSH)) == 2


@covers("P7", verdict="held")
@covers("K8", verdict="OK")
@_variants([fapi(*pair) for pair in PAIRS if pair != ("private_key_jwt", "dpop")])
def test_the_certificate_is_presented_at_the_aliases(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)

        assert check_mutual_tls(calls, set_up) == len(to(calls, PUSH + TOKEN + RESOURCE)) >= 3


@covers("P8", verdict="held")
@EVERY_PAIR
def test_the_token_is_in_the_header_alone(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)
        assert check_token_in_header(calls, set_up) >= 1


@covers("P9", verdict="held")
@EVERY_PAIR
def test_decoys_with_the_kid_of_the_key_are_passed_over(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, _):
        headers: list[Members] = []
        site.provider.faults = Faults(id_token_header=noting(headers))
        sign_in(site)

        keys = site.provider.jwks()["keys"]
        assert isinstance(keys, list)
        alike = [key for key in keys if key["kid"] == headers[0]["kid"]]
        assert len(alike) > 5
        assert {"RSA", "EC", "OKP"} == {key["kty"] for key in alike}


@covers("P11", verdict="held")
@_variants([one for one in SIGNING if one.name.endswith(("-JAR", "-JAR-JARM"))])
def test_request_objects_say_what_they_are_for(own_files: OwnFiles, set_up: SetUp) -> None:
    with _run(set_up, own_files) as (site, calls):
        sign_in(site)
        assert check_request_objects(site, calls) == len(to(calls, PUSH)) >= 1


@covers("P10", verdict="held")
@pytest.mark.parametrize(
    ("newest", "answered"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_3, True, id="1.3"),
        pytest.param(ssl.TLSVersion.TLSv1_2, True, id="1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_1, False, id="1.1"),
    ],
)
def test_tls_older_than_1_2_is_refused(own_files: OwnFiles, newest: ssl.TLSVersion, answered: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own_files.certificate, own_files.certificate_key)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with warnings.catch_warnings():  # Python is right to warn of what the other side offers here.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.maximum_version = newest
    transport = RequestsTransport(verify=own_files.certificate, timeout=10)
    with origin([OK], tls=context) as raw:
        call = json_call(f"{raw.url.replace('http:', 'https:')}/")
        if answered:
            assert transport(call).status == 200
        else:
            with pytest.raises(ProviderUnavailable, match="SSLError"):
                transport(call)
    assert len(raw.requests) == answered
