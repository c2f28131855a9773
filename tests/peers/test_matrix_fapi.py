"""`profile: fapi2` at npm's oidc-provider, which holds its clients to it: each method x each kind of binding."""

from dataclasses import replace

import pytest
from harness import ORIGIN

from .listener import run_listener
from .matrix_client import Peer
from .matrix_clients import ACCOUNTS, EMAIL, introspect
from .matrix_gateway import Matrix, MatrixSite, run_matrix_site
from .matrix_registrations import OBSERVER, gateway_registrations
from .matrix_tls import certificate_thumbprint
from .matrix_upstream import read_proof, run_tls_upstream
from .node_provider import EVERY_FEATURE, run_node_provider
from .servers import free_port

pytestmark = pytest.mark.real("node")

PLAIN: dict[str, object] = {}
SIGNED: dict[str, object] = {"authorization": {"via": "signed", "response_mode": "query.jwt"}}
ADVANCED = pytest.mark.parametrize("members", [pytest.param(PLAIN, id="plain"), pytest.param(SIGNED, id="jar-jarm")])
METHODS = pytest.mark.parametrize("method", ["private_key_jwt", "tls_client_auth"])


def own_part(matrix: Matrix, method: str, constraint: str) -> dict[str, object]:
    """Write the profile, and of what it chooses by itself only what it would choose otherwise."""
    certificate = matrix.certificate("client") if "mtls" in constraint or method == "tls_client_auth" else {}
    differs = {"sender_constraint": "dpop"} if constraint == "dpop" and certificate else {}
    by_tls = {"token_endpoint_auth_method": method} if method == "tls_client_auth" else {}
    return {"profile": "fapi2", **certificate, **differs, **by_tls}


@ADVANCED
@METHODS
def test_dpop(matrix: Matrix, observer: Peer, method: str, members: dict[str, object]) -> None:
    provider = {**own_part(matrix, method, "dpop"), **members}
    with (
        run_listener() as listener,
        run_matrix_site(matrix, f"fapi-{method}-dpop", provider, {"upstream": listener.origin}) as site,
    ):
        assert_signs_in(site, members)
        site.refresh()
        site.browser.fetch(f"{ORIGIN}/home")
        proofs = [read_proof(received) for received in listener.received_at("/home")]
        assert all(proof.is_for("GET", f"{ORIGIN}/home") for proof in proofs)
        bindings = [introspect(observer, OBSERVER, proof.token).json()["cnf"] for proof in proofs]
        assert bindings == [{"jkt": proofs[0].thumbprint}] * 2


@ADVANCED
@METHODS
def test_mtls(matrix: Matrix, observer: Peer, method: str, members: dict[str, object]) -> None:
    provider = {**own_part(matrix, method, "mtls"), **members}
    trust = {"verify_tls": str(matrix.tls.authority.path)}
    thumbprint = certificate_thumbprint(matrix.certificates["client"])
    with run_tls_upstream(matrix.tls) as upstream:
        config = {"upstream": upstream.url, "upstream_connection": trust}
        with run_matrix_site(matrix, f"fapi-{method}-mtls", provider, config) as site:
            assert_signs_in(site, members)
            site.refresh()
            site.browser.fetch(f"{ORIGIN}/home")
    tokens = [shown.authorization.removeprefix("Bearer ") for shown in upstream.shown]
    assert [introspect(observer, OBSERVER, token).json()["cnf"] for token in tokens] == [{"x5t#S256": thumbprint}] * 2
    assert {shown.certificate for shown in upstream.shown} == {thumbprint}


def test_an_https_issuer_asks_for_certificates_and_pushed_requests_itself(matrix: Matrix) -> None:
    with run_node_provider(
        port=free_port(),
        host="localhost",
        clients=gateway_registrations(matrix.certificates),
        accounts=ACCOUNTS,
        features=replace(EVERY_FEATURE, par_required=True),
        tls=matrix.tls,
        https=True,
        request_certificates=True,
    ) as provider:
        provider_keys = {**matrix.credentials("tls_client_auth"), "authorization": {"via": "query"}}
        with run_matrix_site(replace(matrix, provider=provider), "tls_client_auth", provider_keys) as site:
            assert site.sign_in().text == "hello alice"
            assert site.authorization_url().startswith("https://localhost:")
            assert site.counts()["pushed_authorization_request"] == 1


def assert_signs_in(site: MatrixSite, members: dict[str, object]) -> None:
    site.sign_in()
    assert site.session().claims["email"] == EMAIL
    assert "request_uri=" in site.authorization_url()
    assert site.answered() == ("GET", {"response"} if members else {"code", "state", "iss"})
    counts = site.counts()
    succeeded = {name: counts[name] - counts.get(f"{name}.error", 0) for name in ("token", "userinfo")}
    pushes = counts["pushed_authorization_request"] - counts.get("pushed_authorization_request.error", 0)
    assert (succeeded, pushes, counts["authorization"]) == ({"token": 1, "userinfo": 1}, 1, 1)
