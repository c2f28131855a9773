"""Two providers, one evil: no answer of it on the back channel opens a session of the honest one, or tells on it."""

import json
from collections.abc import Callable

import pytest
from harness import ORIGIN, changed, error_code
from multi import (
    EVIL,
    HONEST,
    WITH_AND_WITHOUT_ISS,
    Two,
    assert_harmless,
    faults,
    honest_id_token,
    honest_kid,
    run_two,
)

from gateway.testing import without_signature
from gateway.testing.jwk import new_private_key, public_jwk
from gateway.testing.jws import read_compact, sign

Attack = Callable[[Two], None]


def claim_to_be_honest(two: Two) -> None:
    faults(two, id_token_claims=changed(iss=HONEST, sub="alice"))


def claim_with_the_same_kid(two: Two) -> None:
    kid = honest_kid(two)
    faults(
        two,
        id_token_claims=changed(iss=HONEST, sub="alice"),
        id_token_header=changed(kid=kid),
        jwks=lambda members: {"keys": [{**key, "kid": kid} for key in members["keys"]]},
    )


def claim_both_issuers(two: Two) -> None:
    faults(two, id_token_claims=changed(iss=[HONEST, EVIL]))


def replay_with_own_keys(two: Two) -> None:
    token = honest_id_token(two)
    faults(two, id_token=lambda _: token)


def replay_with_honest_keys(two: Two) -> None:
    token, jwks_uri = honest_id_token(two), f"{HONEST}{two.honest.jwks_path}"
    faults(two, id_token=lambda _: token, discovery=changed(jwks_uri=jwks_uri))


def replay_with_published_honest_keys(two: Two) -> None:
    token, jwks = honest_id_token(two), two.honest.jwks()
    faults(two, id_token=lambda _: token, jwks=lambda _: jwks)


def replay_all_tokens(two: Two) -> None:
    stolen = two.tokens_of_honest()[-1]
    faults(two, token_response=lambda status, _: (status, dict(stolen)))


def sign_with_a_mac_of_the_public_key(two: Two) -> None:
    key = next(key for key in two.honest.jwks()["keys"] if key.get("kid") == honest_kid(two))  # type: ignore[attr-defined]

    def forged(compact: str) -> str:
        claims = {**read_compact(compact).claims, "iss": HONEST, "sub": "alice"}
        return sign({"alg": "HS256", "kid": honest_kid(two)}, claims, json.dumps(key).encode(), "HS256")

    faults(two, id_token=forged)


def sign_with_the_shared_secret(two: Two) -> None:
    def forged(compact: str) -> str:
        claims = {**read_compact(compact).claims, "iss": HONEST, "sub": "alice"}
        return sign({"alg": "HS256"}, claims, two.evil.clients[0].client_secret.encode(), "HS256")

    faults(two, id_token=forged)


def bring_the_key_along(two: Two) -> None:
    key = new_private_key("P-256")

    def forged(compact: str) -> str:
        claims = {**read_compact(compact).claims, "iss": HONEST, "sub": "alice"}
        header = {"alg": "ES256", "kid": honest_kid(two), "jwk": public_jwk(key), "jku": f"{EVIL}/keys"}
        return sign(header, claims, key, "ES256")

    faults(two, id_token=forged)


def point_to_a_certificate(two: Two) -> None:
    key = new_private_key("P-256")

    def forged(compact: str) -> str:
        claims = read_compact(compact).claims
        kid = read_compact(compact).header["kid"]
        return sign({"alg": "ES256", "kid": kid, "x5u": f"{EVIL}/x5u", "x5c": ["MIIB"]}, claims, key, "ES256")

    faults(two, id_token=forged)


def sign_with_nothing(two: Two) -> None:
    faults(two, id_token_claims=changed(iss=HONEST, sub="alice"), id_token=without_signature)


def name_the_honest_issuer(two: Two) -> None:
    faults(two, discovery=changed(issuer=HONEST))


def pass_for_the_honest_metadata(two: Two) -> None:
    metadata = {"authorization_endpoint": f"{HONEST}/authorize", "token_endpoint": f"{HONEST}/token"}
    faults(two, discovery=changed(issuer=HONEST, jwks_uri=f"{HONEST}{two.honest.jwks_path}", **metadata))


def use_the_honest_token_endpoint(two: Two) -> None:
    faults(two, discovery=changed(token_endpoint=f"{HONEST}/token"))


def send_the_gateway_to_its_own_machine(two: Two) -> None:
    faults(two, discovery=changed(token_endpoint="http://127.0.0.1:2375/token"))


def send_the_gateway_to_its_own_machine_by_alias(two: Two) -> None:
    faults(two, discovery=changed(mtls_endpoint_aliases={"token_endpoint": "https://localhost/token"}))


def use_the_honest_keys(two: Two) -> None:
    faults(two, discovery=changed(jwks_uri=f"{HONEST}{two.honest.jwks_path}"))


def use_the_honest_userinfo(two: Two) -> None:
    faults(two, discovery=changed(userinfo_endpoint=f"{HONEST}/userinfo"))


def describe_another_user(two: Two) -> None:
    faults(two, userinfo=changed(sub="alice"))


def answer_as_the_honest_one(two: Two) -> None:
    faults(two, authorization_response=lambda members: {**members, "iss": HONEST})


def fail_as_the_honest_one(two: Two) -> None:
    faults(
        two,
        authorization_response=lambda members: {"state": members["state"], "iss": HONEST, "error": "login_required"},
    )


@WITH_AND_WITHOUT_ISS
@pytest.mark.parametrize(
    ("attack", "code"),
    [
        pytest.param(claim_to_be_honest, "id_token_iss_mismatch", id="honest-iss"),
        pytest.param(claim_with_the_same_kid, "id_token_iss_mismatch", id="honest-iss-and-kid"),
        pytest.param(claim_both_issuers, "id_token_claim_invalid", id="iss-array"),
        pytest.param(replay_with_own_keys, "jwt_key_unknown", id="replay-own-keys"),
        pytest.param(replay_with_honest_keys, "id_token_iss_mismatch", id="replay-honest-jwks_uri"),
        pytest.param(replay_with_published_honest_keys, "id_token_iss_mismatch", id="replay-honest-keys-published"),
        pytest.param(replay_all_tokens, "jwt_key_unknown", id="replay-all-tokens"),
        pytest.param(sign_with_a_mac_of_the_public_key, "jwt_alg_refused", id="HS256-with-public-key"),
        pytest.param(sign_with_the_shared_secret, "jwt_alg_refused", id="HS256-with-own-secret"),
        pytest.param(bring_the_key_along, "jwt_key_unknown", id="jwk-jku"),
        pytest.param(point_to_a_certificate, "jwt_signature_invalid", id="x5u-x5c"),
        pytest.param(sign_with_nothing, "jwt_alg_refused", id="alg-none"),
        pytest.param(name_the_honest_issuer, "metadata_issuer_mismatch", id="metadata-honest-issuer"),
        pytest.param(pass_for_the_honest_metadata, "metadata_issuer_mismatch", id="metadata-all-honest"),
        pytest.param(use_the_honest_token_endpoint, "token_client_invalid", id="metadata-honest-token-endpoint"),
        pytest.param(send_the_gateway_to_its_own_machine, "metadata_invalid", id="metadata-loopback"),
        pytest.param(send_the_gateway_to_its_own_machine_by_alias, "metadata_invalid", id="metadata-loopback-alias"),
        pytest.param(use_the_honest_keys, "jwt_key_unknown", id="metadata-honest-jwks_uri"),
        pytest.param(use_the_honest_userinfo, "userinfo_invalid", id="metadata-honest-userinfo"),
        pytest.param(describe_another_user, "userinfo_sub_mismatch", id="userinfo-of-another"),
        pytest.param(answer_as_the_honest_one, "response_iss_mismatch", id="answer-honest-iss"),
        pytest.param(fail_as_the_honest_one, "response_iss_mismatch", id="error-honest-iss"),
    ],
)
def test_no_answer_of_the_evil_provider_opens_a_session(attack: Attack, code: str, response_iss: bool) -> None:
    with run_two(response_iss=response_iss) as two:
        two.sign_in("/honest/page")
        attack(two)
        two.restarted()

        page = two.browser.navigate(f"{ORIGIN}/evil/page")

        assert error_code(page) == code
        assert_harmless(two, page)
