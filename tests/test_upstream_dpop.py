"""DPoP to an upstream (RFC 9449 7, 9): a proof for each request, with the nonce that the upstream wants."""

from dataclasses import replace
from typing import Any, Final

import pytest
from answering import run_before
from harness import ORIGIN, Members, Mode, Site, held_session
from peers.listener import Answer, Received

from gateway.oidc.messages import s256
from gateway.testing import FakeProvider
from gateway.testing.jwk import public_key, thumbprint
from gateway.testing.jws import is_signed_by, read_compact

BOUND: Final[dict[str, Any]] = {"provider": {"sender_constraint": "dpop"}}
EXCHANGED: Final[dict[str, Any]] = {
    **BOUND,
    "routes": [{"path": "/inventory/**", "token": {"exchange": {"audience": ["inventory"]}}}],
}
EXCHANGE: Final = "token.urn:ietf:params:oauth:grant-type:token-exchange"
USE_NONCE: Final = 'DPoP error="use_dpop_nonce", error_description="with the nonce, please"'


def bound(provider: FakeProvider) -> None:
    provider.clients = [replace(provider.clients[0], dpop_bound_access_tokens=True)]
    provider.exchange_audiences = ["inventory"]
    provider.dpop_nonces = True


def hello(_: Received) -> Answer:
    return Answer(body="hello")


def proof_of(received: Received) -> tuple[Members, Members]:
    """Check the signature of a proof by the key that it names, and return its header and claims."""
    token = read_compact(received.headers["dpop"])
    jwk = token.header["jwk"]
    assert isinstance(jwk, dict)
    assert "d" not in jwk
    assert is_signed_by(token, public_key(jwk), "ES256")
    assert (token.header["typ"], token.header["alg"]) == ("dpop+jwt", "ES256")
    return dict(token.header), dict(token.claims)


def nonces(site: Site, path: str) -> list[object]:
    """List the nonces of the proofs that came for a path."""
    return [proof_of(received)[1].get("nonce") for received in site.received if received.path == path]


class Nonces:
    """An upstream that takes a proof only with its nonce; with every answer it names the one to use."""

    def __init__(self, *, satisfied: bool = True, renewed: bool = False) -> None:
        self.current = "n1"
        self.satisfied = satisfied
        self.renewed = renewed

    def __call__(self, received: Received) -> Answer:
        used = read_compact(received.headers["dpop"]).claims.get("nonce")
        if used != self.current or not self.satisfied:
            return Answer(status=401, headers={"WWW-Authenticate": USE_NONCE, "DPoP-Nonce": self.current}, body="nonce")
        if self.renewed:
            self.current = f"n{int(self.current[1:]) + 1}"
        return Answer(headers={"DPoP-Nonce": self.current}, body="hello")


@pytest.mark.parametrize("preserve_host", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_request_carries_a_proof_of_its_own(method: str, preserve_host: bool) -> None:
    """RFC 9449 4.3: it names the address that the upstream sees in `Host`."""
    routes = [{"path": "/**", "preserve_host": preserve_host}]
    with run_before(hello, {**BOUND, "routes": routes}, clients=bound) as site:
        site.sign_in()
        for _ in range(3):
            assert site.browser.fetch(f"{ORIGIN}/a%20b/c?d=e", method=method).status == 200

        session = held_session(site)
        seen = [received for received in site.received if received.path != "/home"]
        proofs = [proof_of(received) for received in seen]
        assert {received.headers["authorization"] for received in seen} == {f"DPoP {session.access_token}"}
        assert len({claims["jti"] for _, claims in proofs}) == 3
        access = site.provider.grants.access(session.access_token, site.clock())
        assert access is not None
        for header, claims in proofs:
            assert access.cnf == {"jkt": thumbprint(header["jwk"])}  # type: ignore[arg-type]
            origin = ORIGIN if preserve_host else site.gateway.settings.default_route.upstream
            assert (claims["htm"], claims["htu"]) == (method, f"{origin}/a%20b/c")
            assert (claims["ath"], claims["iat"]) == (s256(session.access_token), int(site.clock()))


def test_each_user_has_a_key_of_his_own() -> None:
    with run_before(hello, BOUND, clients=bound) as site:
        site.sign_in()
        site.restarted()
        site.sign_in()
        keys = {str(proof_of(received)[0]["jwk"]) for received in site.received}
        assert len(keys) == 2


@pytest.mark.parametrize("access", ["public", "required"])
def test_a_proof_that_a_client_sends_does_not_reach_the_upstream(access: str) -> None:
    with run_before(hello, {**BOUND, "routes": [{"path": "/x", "access": access}]}, clients=bound) as site:
        site.sign_in()
        site.browser.get(f"{ORIGIN}/x", headers={"DPoP": "evil", "Authorization": "DPoP evil"})
        sent = site.received[-1].headers
        assert "evil" not in str(sent)
        assert ("dpop" in sent) == ("authorization" in sent) == (access == "required")


def test_a_nonce_is_given_once_more_with_a_fresh_proof_and_remembered() -> None:
    with run_before(Nonces(), BOUND, clients=bound) as site:
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert (page.status, page.text) == (200, "hello")
        assert nonces(site, "/home") == [None, "n1"]
        assert len({proof_of(received)[1]["jti"] for received in site.received}) == 2
        assert site.browser.fetch(f"{ORIGIN}/other").status == 200
        assert nonces(site, "/other") == ["n1"]


def test_the_nonce_that_comes_with_an_answer_is_the_next_one() -> None:
    with run_before(Nonces(renewed=True), BOUND, clients=bound) as site:
        site.sign_in()
        for number in range(3):
            assert site.browser.fetch(f"{ORIGIN}/{number}").status == 200
        assert [nonces(site, f"/{number}") for number in range(3)] == [["n2"], ["n3"], ["n4"]]


@pytest.mark.parametrize(
    ("method", "body"), [pytest.param("POST", b"a=b", id="body"), pytest.param("POST", b"", id="no-body")]
)
def test_what_may_have_been_acted_upon_is_not_sent_twice(method: str, body: bytes) -> None:
    upstream = Nonces()
    with run_before(upstream, BOUND, clients=bound) as site:
        site.sign_in()
        upstream.current = "n2"
        page = site.browser.fetch(f"{ORIGIN}/form", method=method, body=body)
        assert (page.status, page.text) == (401, "nonce")
        assert nonces(site, "/form") == ["n1"]
        assert site.browser.fetch(f"{ORIGIN}/form", method=method, body=body).status == 200
        assert nonces(site, "/form") == ["n1", "n2"]


def test_an_upstream_that_is_never_satisfied_is_asked_twice() -> None:
    with run_before(Nonces(satisfied=False), BOUND, clients=bound) as site:
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert (page.status, page.text) == (401, "nonce")
        assert nonces(site, "/home") == [None, "n1"]
        assert site.provider.calls["authorize"] == 1


@pytest.mark.parametrize(
    ("challenge", "nonce"),
    [
        pytest.param('DPoP error="invalid_token"', "n1", id="another-error"),
        pytest.param(USE_NONCE, None, id="no-nonce"),
        pytest.param(USE_NONCE, "a b", id="no-nonce-syntax"),
        pytest.param(USE_NONCE, "n" * 2000, id="too-long"),
        pytest.param('Bearer error="use_dpop_nonce"', "n1", id="another-scheme"),
    ],
)
def test_what_does_not_ask_for_a_nonce_goes_out_as_it_is(challenge: str, nonce: str | None) -> None:
    headers = {"WWW-Authenticate": challenge, **({} if nonce is None else {"DPoP-Nonce": nonce})}
    with run_before(lambda _: Answer(status=401, headers=headers), BOUND, clients=bound) as site:
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert (page.status, page.headers["WWW-Authenticate"]) == (401, challenge)
        assert len(site.received) == 1


def test_a_nonce_and_then_a_stronger_login() -> None:
    """Each of the two is answered once, in the order in which the upstream asks."""
    upstream = Nonces()

    def answer(received: Received) -> Answer:
        answered = upstream(received)
        if answered.status == 200 and received.headers.get("x-acr") != "urn:example:high":
            demand = 'DPoP error="insufficient_user_authentication", acr_values="urn:example:high"'
            return Answer(status=401, headers={"WWW-Authenticate": demand})
        return answered

    config = {**BOUND, "routes": [{"path": "/**", "request_headers": {"X-Acr": "{acr}"}}]}
    with run_before(answer, config, clients=bound) as site:
        site.provider.acrs_supported = ["urn:example:low", "urn:example:high"]
        page = site.browser.navigate(f"{ORIGIN}/home")
        assert (page.status, page.text) == (200, "hello")
        assert nonces(site, "/home") == [None, "n1", "n1"]
        assert site.provider.calls["authorize"] == 2


def test_an_exchanged_token_is_bound_to_the_key_of_the_session() -> None:
    with run_before(hello, EXCHANGED, clients=bound) as site:
        site.sign_in()
        for _ in range(2):
            assert site.browser.fetch(f"{ORIGIN}/inventory/x").status == 200
        header, claims = proof_of(site.received[-1])
        scheme, _, token = site.received[-1].headers["authorization"].partition(" ")
        access = site.provider.grants.access(token, site.clock())
        assert access is not None
        assert (scheme, access.audience) == ("DPoP", ("inventory",))
        assert access.cnf == {"jkt": thumbprint(header["jwk"])}  # type: ignore[arg-type]
        assert claims["ath"] == s256(token)
        assert token != held_session(site).access_token
        assert site.provider.calls[EXCHANGE] == 1


def test_the_provider_may_want_another_nonce_for_the_exchange() -> None:
    with run_before(hello, EXCHANGED, clients=bound) as site:
        site.sign_in()
        site.provider.server_nonces.rotate()
        assert site.browser.fetch(f"{ORIGIN}/inventory/x").status == 200
        assert site.provider.calls[EXCHANGE] == 2


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "N_A"])
def test_an_exchanged_token_that_is_bound_to_nothing_is_not_sent(token_type: str) -> None:
    with run_before(hello, EXCHANGED, clients=bound) as site:
        site.sign_in()
        site.provider.faults.token_exchange = lambda members: {**members, "token_type": token_type}
        reached = len(site.received)
        page = site.browser.fetch(f"{ORIGIN}/inventory/x")
        assert (page.status, page.json()["error"]) == (502, "exchange_invalid")
        assert len(site.received) == reached


def test_a_wrapped_app_is_given_the_token_alone() -> None:
    """There is no address that a proof could be for."""
    mode: Mode = "wrapped"
    config = {**BOUND, "routes": [{"path": "/**", "token": "access_token"}]}
    with run_before(hello, config, mode=mode, clients=bound) as site:
        site.sign_in()
        headers = site.received[-1].headers
        assert headers["authorization"] == f"DPoP {held_session(site).access_token}"
        assert "dpop" not in headers
