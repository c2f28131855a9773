"""The fake provider holds clients to DPoP (RFC 9449; CONFORMANCE P5, P6, A1, A2)."""

from __future__ import annotations

import string
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt

from gateway.oidc.messages import Reply, base64url, s256
from gateway.testing import Faults
from gateway.testing.dpop_proof import new_nonce
from gateway.testing.jwk import new_private_key, public_jwk
from gateway.testing.jws import sign
from testing.raw_client import ISSUER, NOW, Clock, ProofKey, RawClient, error_of, members, raw_client

TOKEN = f"{ISSUER}/token"
USERINFO = f"{ISSUER}/userinfo"


@pytest.mark.parametrize("method", ["client_secret_basic", "none"])
@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA", "RS256"])
def test_an_honest_client_comes_through(method: str, algorithm: str) -> None:
    """A2: no nonces, a token of type DPoP, and a refresh with the same key."""
    party, key = raw_client(method=method, bound=True), ProofKey(algorithm)
    tokens = party.login(key)
    assert tokens["token_type"] == "DPoP"
    token = tokens["access_token"]
    reply = party.userinfo(f"DPoP {token}", key.proof(USERINFO, method="GET", ath=s256(token)))
    assert (reply.status, members(reply)["sub"]) == (200, "subject of alice")
    renewed = party.refresh(tokens["refresh_token"], key.proof(TOKEN))
    assert (renewed.status, members(renewed)["token_type"]) == (200, "DPoP")


def test_a_proof_of_another_library_is_understood() -> None:
    party, key = raw_client(), joserfc_jwk.ECKey.generate_key("P-256")
    header: dict[str, Any] = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    proof = joserfc_jwt.encode(header, {"jti": "j", "htm": "POST", "htu": TOKEN, "iat": NOW}, key)
    assert members(party.redeem(party.code(), proof))["token_type"] == "DPoP"
    access = next(iter(party.provider.grants._access.values()))
    assert access.cnf == {"jkt": key.thumbprint()}


def test_the_algorithms_are_published() -> None:
    party = raw_client()
    published = members(party.send("GET", "/.well-known/openid-configuration", headers={}))
    assert published["dpop_signing_alg_values_supported"] == ["PS256", "ES256", "EdDSA", "RS256"]


SYMMETRIC = {"kty": "oct", "k": base64url(b"k" * 32)}
PROOF_FAULTS = [
    pytest.param({"header": {"typ": "JWT"}}, id="P5-typ"),
    pytest.param({"header": {"typ": None}}, id="P5-no-typ"),
    pytest.param({"header": {"alg": "none"}}, id="P5-alg-none"),
    pytest.param({"header": {"alg": "HS256"}}, id="P5-alg-symmetric"),
    pytest.param({"header": {"alg": "PS256"}}, id="P5-alg-of-another-key"),
    pytest.param({"header": {"alg": ["ES256"]}}, id="alg-array"),
    pytest.param({"header": {"jwk": None}}, id="P5-no-jwk"),
    pytest.param({"header": {"jwk": "text"}}, id="jwk-text"),
    pytest.param({"header": {"jwk": SYMMETRIC}}, id="P5-jwk-symmetric"),
    pytest.param({"header": {"jwk": ProofKey().jwk}}, id="P5-jwk-of-another"),
    pytest.param({"header": {"jwk": {**ProofKey().jwk, "d": "AAAA"}}}, id="P5-jwk-private"),
    pytest.param({"header": {"jwk": {"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"}}}, id="crv-array"),
    pytest.param({"header": {"crit": ["exp"]}}, id="crit"),
    pytest.param({"jti": None}, id="P5-no-jti"),
    pytest.param({"jti": ""}, id="jti-empty"),
    pytest.param({"jti": 1}, id="jti-number"),
    pytest.param({"htm": None}, id="P5-no-htm"),
    pytest.param({"htm": "post"}, id="P5-htm-case"),
    pytest.param({"htm": "GET"}, id="P5-htm"),
    pytest.param({"htu": None}, id="P5-no-htu"),
    pytest.param({"htu": f"{TOKEN}?a=b"}, id="P5-htu-query"),
    pytest.param({"htu": f"{TOKEN}#f"}, id="P5-htu-fragment"),
    pytest.param({"htu": f"{TOKEN}/"}, id="P5-htu-slash"),
    pytest.param({"htu": TOKEN.replace("https", "http")}, id="P5-htu-scheme"),
    pytest.param({"htu": TOKEN.replace("op.example", "evil.example")}, id="P5-htu-host"),
    pytest.param({"htu": ISSUER}, id="P5-htu-issuer"),
    pytest.param({"iat": None}, id="P5-no-iat"),
    pytest.param({"iat": NOW - 301}, id="P5-iat-old"),
    pytest.param({"iat": NOW + 301}, id="P5-iat-ahead"),
    pytest.param({"iat": str(NOW)}, id="iat-text"),
    pytest.param({"iat": True}, id="iat-boolean"),
    pytest.param({"ath": s256("token")}, id="P5-ath-at-the-token-endpoint"),
    pytest.param({"nonce": "invented"}, id="A2-nonce-invented"),
    pytest.param({"nonce": 1}, id="nonce-number"),
]


@pytest.mark.parametrize("fault", PROOF_FAULTS)
def test_a_faulty_proof_is_refused_and_costs_no_code(fault: dict[str, Any]) -> None:
    party, key = raw_client(), ProofKey()
    code = party.code()
    reply = party.redeem(code, key.proof(TOKEN, **fault))
    assert (reply.status, error_of(reply)) == (400, "invalid_dpop_proof")
    assert party.redeem(code, key.proof(TOKEN)).status == 200


MALFORMED = [
    pytest.param("", id="empty"),
    pytest.param("a.b", id="two-parts"),
    pytest.param("..", id="empty-parts"),
    pytest.param(f"{base64url(b'[]')}.{base64url(b'{}')}.", id="header-array"),
    pytest.param(f"{base64url(b'{}')}.{base64url(b'[]')}.", id="claims-array"),
    pytest.param("é.é.é", id="not-ascii"),
    pytest.param(f"{base64url(b'[' * 100_000)}.{base64url(b'{}')}.", id="nested"),
]


@pytest.mark.parametrize("proof", MALFORMED)
def test_what_is_no_proof_is_refused(proof: str) -> None:
    party = raw_client()
    reply = party.redeem(party.code(), proof)
    assert (reply.status, error_of(reply)) == (400, "invalid_dpop_proof")


def test_two_proofs_are_refused() -> None:
    party, key = raw_client(), ProofKey()
    reply = party.redeem(party.code(), f"{key.proof(TOKEN)},{key.proof(TOKEN)}")
    assert error_of(reply) == "invalid_dpop_proof"


def test_an_altered_signature_is_refused() -> None:
    party, key = raw_client(), ProofKey()
    signed = key.proof(TOKEN).rpartition(".")[0]
    other = key.proof(TOKEN).rpartition(".")[2]
    assert error_of(party.redeem(party.code(), f"{signed}.{other}")) == "invalid_dpop_proof"


@pytest.mark.parametrize("kind", ["secp256k1", "P-384"])
def test_a_curve_of_another_algorithm_is_refused(kind: str) -> None:
    party, private_key = raw_client(), new_private_key(kind)
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public_jwk(private_key)}
    claims = {"jti": "j", "htm": "POST", "htu": TOKEN, "iat": NOW}
    proof = sign(header, claims, private_key, "ES256")
    assert error_of(party.redeem(party.code(), proof)) == "invalid_dpop_proof"


def test_a_jti_is_good_once_at_whatever_endpoint() -> None:
    """P5."""
    party, key = raw_client(), ProofKey()
    tokens = members(party.redeem(party.code(), key.proof(TOKEN, jti="j")))
    assert error_of(party.redeem(party.code(), key.proof(TOKEN, jti="j"))) == "invalid_dpop_proof"
    token = tokens["access_token"]
    reply = party.userinfo(f"DPoP {token}", key.proof(USERINFO, method="GET", ath=s256(token), jti="j"))
    assert (reply.status, error_of(reply)) == (401, "invalid_dpop_proof")


def test_a_client_that_registered_for_it_has_to_send_a_proof() -> None:
    party = raw_client(bound=True)
    code = party.code()
    assert error_of(party.redeem(code)) == "invalid_dpop_proof"
    assert party.redeem(code, ProofKey().proof(TOKEN)).status == 200


RESOURCE_FAULTS = [
    pytest.param({"ath": None}, "invalid_dpop_proof", id="P5-no-ath"),
    pytest.param({"ath": s256("another")}, "invalid_dpop_proof", id="P5-ath"),
    pytest.param({"method": "POST"}, "invalid_dpop_proof", id="htm"),
    pytest.param({"htu": TOKEN}, "invalid_dpop_proof", id="htu"),
]


@pytest.mark.parametrize(("fault", "error"), RESOURCE_FAULTS)
def test_a_faulty_proof_at_a_resource_is_refused(fault: dict[str, Any], error: str) -> None:
    party, key = raw_client(), ProofKey()
    token = party.login(key)["access_token"]
    honest: dict[str, Any] = {"method": "GET", "ath": s256(token)}
    reply = party.userinfo(f"DPoP {token}", key.proof(USERINFO, **{**honest, **fault}))
    assert (reply.status, error_of(reply)) == (401, error)
    assert reply.headers["www-authenticate"].startswith("DPoP ")
    assert 'algs="PS256 ES256 EdDSA RS256"' in reply.headers["www-authenticate"]
    assert party.userinfo(f"dpop {token}", key.proof(USERINFO, **honest)).status == 200


def test_a_bound_token_is_no_bearer_token_and_the_reverse() -> None:
    """P8."""
    party, key = raw_client(), ProofKey()
    bound, plain = party.login(key)["access_token"], party.login()["access_token"]
    as_bearer = party.userinfo(f"Bearer {bound}", key.proof(USERINFO, method="GET", ath=s256(bound)))
    as_bound = party.userinfo(f"DPoP {plain}", key.proof(USERINFO, method="GET", ath=s256(plain)))
    without_proof = party.userinfo(f"DPoP {bound}")
    assert (as_bearer.status, error_of(as_bearer)) == (401, "invalid_token")
    assert (as_bound.status, error_of(as_bound)) == (401, "invalid_token")
    assert (without_proof.status, error_of(without_proof)) == (401, "invalid_dpop_proof")
    assert party.userinfo(f"Bearer {plain}").status == 200


def test_a_token_with_the_key_of_another_is_refused() -> None:
    party, key, thief = raw_client(), ProofKey(), ProofKey()
    token = party.login(key)["access_token"]
    reply = party.userinfo(f"DPoP {token}", thief.proof(USERINFO, method="GET", ath=s256(token)))
    assert (reply.status, error_of(reply)) == (401, "invalid_token")


@pytest.mark.parametrize(
    ("method", "proven_by", "status"),
    [
        pytest.param("none", "another", 400, id="public-another-key"),
        pytest.param("none", "nobody", 400, id="public-no-key"),
        pytest.param("none", "itself", 200, id="public"),
        pytest.param("client_secret_basic", "another", 200, id="confidential-another-key"),
    ],
)
def test_a_refresh_token_of_a_public_client_is_bound(method: str, proven_by: str, status: int) -> None:
    """RFC 9449 5."""
    party, key = raw_client(method=method), ProofKey()
    tokens = party.login(key)
    proofs = {"another": ProofKey().proof(TOKEN), "itself": key.proof(TOKEN), "nobody": None}
    reply = party.refresh(tokens["refresh_token"], proofs[proven_by])
    assert reply.status == status
    assert status == 200 or error_of(reply) == "invalid_grant"
    assert status == 200 or party.refresh(tokens["refresh_token"], key.proof(TOKEN)).status == 200


@pytest.mark.parametrize("proven_by", ["another", "nobody"])
def test_a_code_is_bound_by_dpop_jkt(proven_by: str) -> None:
    """RFC 9449 10."""
    party, key = raw_client(), ProofKey()
    code = party.code(dpop_jkt=key.jkt)
    assert party.redeem(code, key.proof(TOKEN)).status == 200
    code = party.code(dpop_jkt=key.jkt)
    reply = party.redeem(code, ProofKey().proof(TOKEN) if proven_by == "another" else None)
    assert (reply.status, error_of(reply)) == (400, "invalid_grant")


def test_the_first_token_request_is_told_a_nonce() -> None:
    """P6, A1, H4: also the code is not used up."""
    party, key = raw_client(dpop_nonces=True), ProofKey()
    code = party.code()
    first = party.redeem(code, key.proof(TOKEN))
    assert (first.status, error_of(first)) == (400, "use_dpop_nonce")
    nonce = first.headers["dpop-nonce"]
    again = party.redeem(code, key.proof(TOKEN, nonce=nonce))
    assert again.status == 200
    assert again.headers["dpop-nonce"] != nonce


def test_a_nonce_is_replaced_with_every_success() -> None:
    party, key = raw_client(dpop_nonces=True), ProofKey()
    first = party.redeem(party.code(), key.proof(TOKEN)).headers["dpop-nonce"]
    tokens = party.redeem(party.code(), key.proof(TOKEN, nonce=first))
    stale = party.refresh(members(tokens)["refresh_token"], key.proof(TOKEN, nonce=first))
    assert error_of(stale) == "use_dpop_nonce"
    assert stale.headers["dpop-nonce"] == tokens.headers["dpop-nonce"]
    fresh = party.refresh(members(tokens)["refresh_token"], key.proof(TOKEN, nonce=stale.headers["dpop-nonce"]))
    assert fresh.status == 200


def test_a_window_lets_concurrent_calls_pass() -> None:
    party, key = raw_client(dpop_nonces=True, dpop_nonce_window=2), ProofKey()
    nonce = party.redeem(party.code(), key.proof(TOKEN)).headers["dpop-nonce"]
    replies = [party.redeem(party.code(), key.proof(TOKEN, nonce=nonce)) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 400]


def test_the_resource_has_nonces_of_its_own() -> None:
    """P6."""
    party, key = raw_client(dpop_nonces=True), ProofKey()
    server = party.redeem(party.code(), key.proof(TOKEN)).headers["dpop-nonce"]
    granted = party.redeem(party.code(), key.proof(TOKEN, nonce=server))
    token, server = members(granted)["access_token"], granted.headers["dpop-nonce"]

    def ask(nonce: str) -> Any:
        return party.userinfo(f"DPoP {token}", key.proof(USERINFO, method="GET", ath=s256(token), nonce=nonce))

    refused = ask(server)
    assert (refused.status, error_of(refused)) == (401, "use_dpop_nonce")
    assert refused.headers["www-authenticate"].startswith('DPoP realm="provider", error="use_dpop_nonce"')
    resource = refused.headers["dpop-nonce"]
    answered = ask(resource)
    assert answered.status == 200
    assert len({server, resource, answered.headers["dpop-nonce"]}) == 3


def test_no_nonce_is_given_unasked() -> None:
    """A2, and to a client without DPoP."""
    key = ProofKey()
    assert "dpop-nonce" not in (party := raw_client()).redeem(party.code(), key.proof(TOKEN)).headers
    assert "dpop-nonce" not in (party := raw_client(dpop_nonces=True)).redeem(party.code()).headers


def test_a_nonce_has_all_the_punctuation_there_is() -> None:
    """H4, RFC 9449 8.1: NQCHAR."""
    nonce = new_nonce()
    assert {character for character in nonce if character in string.punctuation} == set(string.punctuation) - set('"\\')
    assert len(set(string.punctuation) & set(nonce)) == 30
    assert new_nonce() != nonce


def test_the_scheme_of_the_challenge_can_be_written_otherwise() -> None:
    """A22."""
    party, key = raw_client(dpop_nonces=True, dpop_nonce_window=9), ProofKey()
    nonce = party.redeem(party.code(), key.proof(TOKEN)).headers["dpop-nonce"]
    token = members(party.redeem(party.code(), key.proof(TOKEN, nonce=nonce)))["access_token"]

    def odd_scheme(name: str, response: Any) -> Any:
        challenge = response.headers.get("WWW-Authenticate", "")
        response.headers["WWW-Authenticate"] = challenge.replace("DPoP", "dPoP", 1)
        return response

    party.provider.faults = Faults(response=odd_scheme)
    reply = party.userinfo(f"DPoP {token}", key.proof(USERINFO, method="GET", ath=s256(token)))
    assert reply.headers["www-authenticate"].startswith("dPoP ")
    assert "dpop-nonce" in reply.headers


def test_yesterdays_proof_is_refused_by_the_clock() -> None:
    clock = Clock()
    party, key = raw_client(clock=clock), ProofKey()
    code, proof = party.code(), key.proof(TOKEN)
    clock.now += 301
    assert error_of(party.redeem(code, proof)) == "invalid_dpop_proof"


def test_an_exact_age_is_accepted() -> None:
    party, key = raw_client(), ProofKey()
    assert party.redeem(party.code(), key.proof(TOKEN, iat=NOW - 300)).status == 200


def test_a_long_proof_is_read_all_the_same() -> None:
    party, key = raw_client(), ProofKey()
    assert party.redeem(party.code(), key.proof(TOKEN, x_unknown="x" * 4096)).status == 200


def test_bound_tokens_say_so_when_they_are_introspected() -> None:
    party, key = raw_client(), ProofKey()
    reply = party.post("/introspect", {"token": party.login(key)["access_token"]})
    assert members(reply)["cnf"] == {"jkt": key.jkt}
    assert members(reply)["token_type"] == "DPoP"


def test_an_issued_token_type_may_be_altered() -> None:
    """A21."""
    party, key = raw_client(), ProofKey()
    party.provider.faults = Faults(token_response=lambda status, given: (status, {**given, "token_type": "dpOp"}))
    assert party.login(key)["token_type"] == "dpOp"


PAR = f"{ISSUER}/par"


def pushed(party: RawClient, key: ProofKey | None, **extra: str) -> Reply:
    return party.post("/par", {**party.authorization_request(), **extra}, proof=None if key is None else key.proof(PAR))


def code_of(party: RawClient, reply: Reply) -> str:
    assert reply.status == 201, reply.body
    return party.code_of({"client_id": party.client.client_id, "request_uri": members(reply)["request_uri"]})


@pytest.mark.parametrize("way", ["proof", "dpop_jkt", "both"])
def test_a_pushed_request_binds_its_code(way: str) -> None:
    """P5, RFC 9449 10.1."""
    key = ProofKey()
    told = {} if way == "proof" else {"dpop_jkt": key.jkt}
    for another in (False, True):
        party = raw_client()
        code = code_of(party, pushed(party, None if way == "dpop_jkt" else key, **told))
        reply = party.redeem(code, (ProofKey() if another else key).proof(TOKEN))
        assert reply.status == (400 if another else 200)
        assert not another or error_of(reply) == "invalid_grant"


PUSHED_REFUSALS = [
    pytest.param({"dpop_jkt": ProofKey().jkt}, "invalid_dpop_proof", id="two-keys"),
    pytest.param({"dpop_jkt": "short"}, "invalid_request", id="dpop_jkt-short"),
    pytest.param({"dpop_jkt": "!" * 43}, "invalid_request", id="dpop_jkt-characters"),
]


@pytest.mark.parametrize(("extra", "error"), PUSHED_REFUSALS)
def test_a_pushed_request_with_a_wrong_key_is_refused(extra: dict[str, str], error: str) -> None:
    party, key = raw_client(), ProofKey()
    assert pushed(party, key).status == 201
    reply = pushed(party, key, **extra)
    assert (reply.status, error_of(reply)) == (400, error)


def test_a_proof_for_the_token_endpoint_is_none_for_a_pushed_request() -> None:
    party = raw_client()
    reply = party.post("/par", party.authorization_request(), proof=ProofKey().proof(TOKEN))
    assert (reply.status, error_of(reply)) == (400, "invalid_dpop_proof")


def test_the_first_pushed_request_is_told_a_nonce_that_is_good_for_the_token_endpoint() -> None:
    """P6, A1: one store for the authorization server."""
    party, key = raw_client(dpop_nonces=True), ProofKey()
    first = pushed(party, key)
    assert (first.status, error_of(first)) == (400, "use_dpop_nonce")
    proof = key.proof(PAR, nonce=first.headers["dpop-nonce"])
    second = party.post("/par", party.authorization_request(), proof=proof)
    code, nonce = code_of(party, second), second.headers["dpop-nonce"]
    assert nonce != first.headers["dpop-nonce"]
    assert party.redeem(code, key.proof(TOKEN, nonce=nonce)).status == 200


def test_of_equal_proofs_at_the_same_time_one_counts() -> None:
    party, key = raw_client(), ProofKey()
    codes, proof = [party.code() for _ in range(8)], key.proof(TOKEN)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda code: party.redeem(code, proof).status, codes))
    assert sorted(replies) == [200] + [400] * 7
