"""Tokens of npm's oidc-provider: bound to a key, looked up, revoked, and for what the configuration asks for."""

import json

import pytest
from harness import ORIGIN, error_code

from gateway.errors import GatewayError

from .listener import Answer, Received, run_listener
from .matrix_browser import go_on, visit
from .matrix_client import Peer
from .matrix_clients import EMAIL, introspect
from .matrix_gateway import Matrix, encrypted, run_matrix_site
from .matrix_registrations import KEY_ENCRYPTION, OBSERVER
from .matrix_tls import certificate_thumbprint
from .matrix_upstream import nonce_demanding, read_proof, run_tls_upstream
from .node_provider import OPAQUE_RESOURCE, RESOURCE

pytestmark = pytest.mark.real("node")


def looked_up(observer: Peer, token: str | None) -> dict[str, object]:
    """Ask the provider about a token, without the gateway."""
    assert token
    return dict(introspect(observer, OBSERVER, token).json())


def test_dpop_with_the_nonces_of_both_servers(matrix: Matrix, observer: Peer) -> None:
    provider = {**matrix.credentials("client_secret_post"), "sender_constraint": "dpop"}
    with (
        run_listener(nonce_demanding("the-nonce-of-the-upstream")) as listener,
        run_matrix_site(matrix, "dpop", provider, {"upstream": listener.origin}) as site,
    ):
        assert site.sign_in("/home?a=b").text == "hello"
        refused, taken = (read_proof(received) for received in listener.received_at("/home"))
        assert refused.claims["jti"] != taken.claims["jti"]
        assert taken.is_for("GET", f"{ORIGIN}/home")
        assert site.counts() == dpop_calls_of_a_login()
        assert looked_up(observer, taken.token)["cnf"] == {"jkt": taken.thumbprint}
        site.refresh()
        assert site.counts()["token.refresh_token"] == 1
        assert site.browser.fetch(f"{ORIGIN}/data").text == "hello"
        (renewed,) = (read_proof(received) for received in listener.received_at("/data"))
        assert (renewed.thumbprint, renewed.token != taken.token) == (taken.thumbprint, True)
        assert renewed.is_for("GET", f"{ORIGIN}/data")


def dpop_calls_of_a_login() -> dict[str, int]:
    """At first the gateway knows no nonce of either server, and is told one in a refusal."""
    names = ("token", "token.authorization_code", "userinfo")
    twice = dict.fromkeys(names, 2) | dict.fromkeys((f"{name}.error" for name in names), 1)
    return {"authorization": 1, "jwks": 1, **twice}


def test_tokens_are_bound_to_the_certificate_that_the_upstream_sees(matrix: Matrix, observer: Peer) -> None:
    provider = {
        **matrix.credentials("client_secret_post"), **matrix.certificate("client"), "sender_constraint": "mtls",
    }  # fmt: skip
    thumbprint = certificate_thumbprint(matrix.certificates["client"])
    trust = {"verify_tls": str(matrix.tls.authority.path)}
    with run_tls_upstream(matrix.tls) as upstream:
        config = {"upstream": upstream.url, "upstream_connection": trust}
        with run_matrix_site(matrix, "mtls", provider, config) as site:
            assert site.sign_in().text == "hello"
            site.refresh()
            assert site.browser.fetch(f"{ORIGIN}/data").text == "hello"
            assert site.session().claims["email"] == EMAIL
    for shown in upstream.shown:
        scheme, _, token = shown.authorization.partition(" ")
        assert (scheme, shown.certificate) == ("Bearer", thumbprint)
        assert looked_up(observer, token)["cnf"] == {"x5t#S256": thumbprint}
    assert len({shown.authorization for shown in upstream.shown}) == 2


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
def test_authentication_by_tls_alone_shows_an_upstream_no_certificate(matrix: Matrix, method: str) -> None:
    with run_listener() as listener:
        config = {"upstream": listener.origin}
        with run_matrix_site(matrix, method, matrix.credentials(method), config) as site:
            site.sign_in()
            site.refresh()
            assert site.gateway.settings.certificate is None
        (received,) = listener.received_at("/home")
        assert received.headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("client_id", "members"),
    [
        pytest.param("client_secret_post", {}, id="json"),
        pytest.param("introspection-ES256", {"introspection_signed_response_alg": "ES256"}, id="jwt"),
        *(pytest.param(f"introspection-{name}", name, id=f"encrypted-{name}") for name in KEY_ENCRYPTION),
    ],
)
def test_a_token_is_looked_up_until_it_is_revoked(
    matrix: Matrix, client_id: str, members: dict[str, object] | str
) -> None:
    own = encrypted(matrix, "introspection", members) if isinstance(members, str) else members
    provider = {**matrix.credentials("client_secret_post"), **own}
    with run_matrix_site(matrix, client_id, provider) as site:
        site.sign_in()
        session, service = site.session(), site.gateway.providers["default"]
        found = service.tokens.introspect(session.access_token)
        assert (found.subject, set(found.scope)) == ("alice", {"openid", "email"})
        service.revoke(session.access_token, "access_token")
        with pytest.raises(GatewayError) as error:
            service.tokens.introspect(session.access_token)
        assert error.value.code == "token_inactive"


@pytest.mark.parametrize("method", ["client_secret_basic", "private_key_jwt", "tls_client_auth", "none"])
def test_signing_out_makes_the_tokens_worthless(matrix: Matrix, observer: Peer, method: str) -> None:
    with run_matrix_site(matrix, method, matrix.credentials(method)) as site:
        site.sign_in()
        session = site.session()
        assert looked_up(observer, session.access_token)["active"] is True
        assert looked_up(observer, session.refresh_token)["active"] is True
        assert site.sign_out().url.startswith(f"{ORIGIN}/oauth2/signed_out")
        assert looked_up(observer, session.access_token) == {"active": False}
        assert looked_up(observer, session.refresh_token) == {"active": False}
        assert site.browser.fetch(f"{ORIGIN}/home").status == 401
        again = site.browser.navigate(f"{ORIGIN}/home")
        assert again.url.startswith(f"{matrix.provider.issuer}/interaction/")


def test_an_access_token_is_for_a_resource(matrix: Matrix, observer: Peer) -> None:
    provider = {
        **matrix.credentials("client_secret_post"),
        "scope": "openid read",
        "authorization": {"resource": [RESOURCE]},
        "userinfo": False,  # The token is not for the userinfo endpoint then.
    }
    with run_listener() as listener:
        config = {"upstream": listener.origin}
        with run_matrix_site(matrix, "client_secret_post", provider, config) as site:
            site.sign_in()
            site.refresh()
            site.browser.fetch(f"{ORIGIN}/home")
        tokens = [received.headers["authorization"].removeprefix("Bearer ") for received in listener.received]
    assert len(set(tokens)) == 2
    for token in tokens:
        claims = observer.verified(token)
        assert (claims["aud"], claims["scope"], claims["sub"]) == (RESOURCE, "read", "alice")


def test_a_token_for_a_resource_is_none_for_userinfo(matrix: Matrix, caplog: pytest.LogCaptureFixture) -> None:
    provider = {**matrix.credentials("client_secret_post"), "authorization": {"resource": [RESOURCE]}}
    with run_matrix_site(matrix, "client_secret_post", provider) as site:
        page = visit(site.browser, f"{ORIGIN}/home")
        assert error_code(page) == "userinfo_invalid"
        assert "needs `userinfo: false`" in caplog.text
        assert site.browser.fetch(f"{ORIGIN}/home").status == 401


def test_authorization_details_are_granted(matrix: Matrix) -> None:
    details = [{"type": "payment", "actions": ["initiate"], "amount": "12.50"}]
    provider = {
        **matrix.credentials("client_secret_post"),
        "authorization": {"authorization_details": json.dumps(details), "resource": [OPAQUE_RESOURCE]},
        "userinfo": False,
    }
    with run_matrix_site(matrix, "payment", provider) as site:
        site.sign_in()
        found = site.gateway.providers["default"].tokens.introspect(site.session().access_token)
        assert (found.audience, found.members["authorization_details"]) == ((OPAQUE_RESOURCE,), details)


@pytest.mark.parametrize("via", ["query", "pushed", "signed"])
def test_single_claims_are_asked_for(matrix: Matrix, via: str) -> None:
    claims = {"id_token": {"email": {"essential": True}, "acr": {"values": ["high"], "essential": True}}}
    authorization = {"claims": json.dumps(claims), "via": via}
    provider = {
        **matrix.credentials("private_key_jwt"),
        "scope": "openid",
        "authorization": authorization,
        "userinfo": False,
    }
    with run_matrix_site(matrix, "private_key_jwt", provider) as site:
        site.sign_in()
        held = site.session().claims
        assert (held["email"], held["acr"]) == (EMAIL, "high")


def test_a_route_asks_once_for_a_stronger_login(matrix: Matrix) -> None:
    routes = [{"path": "/admin/**", "require": {"acr": ["high"]}}]
    credentials = matrix.credentials("client_secret_post")
    with run_matrix_site(matrix, "client_secret_post", credentials, {"routes": routes}) as site:
        site.sign_in()
        first = site.session()
        assert "acr" not in first.claims
        assert site.browser.fetch(f"{ORIGIN}/admin/x").status == 401
        page = visit(site.browser, f"{ORIGIN}/admin/x")
        assert (page.status, page.text) == (200, "hello alice")
        assert (site.session().claims["acr"], site.session().id != first.id) == ("high", True)
        assert site.browser.navigate(f"{ORIGIN}/admin/y").status == 200
        assert site.counts()["authorization"] == 2


def test_an_essential_class_is_asked_for_anew(matrix: Matrix) -> None:
    # The provider passes over a claim that is essential where `acr_values` stands beside it.
    credentials = matrix.credentials("client_secret_post")
    claims = {"id_token": {"acr": {"values": ["low", "high"], "essential": True}}}
    routes = [{"path": "/admin/**", "require": {"acr": ["high"]}}]
    provider = {**credentials, "authorization": {"claims": json.dumps(claims)}}
    with run_matrix_site(matrix, "client_secret_post", provider, {"routes": routes}) as site:
        site.sign_in()
        assert site.session().claims["acr"] == "low"
        assert visit(site.browser, f"{ORIGIN}/admin/x").text == "hello alice"
        assert site.session().claims["acr"] == "high"
        assert "acr_values=" not in site.authorization_url()


def test_an_upstream_asks_once_for_a_stronger_login(matrix: Matrix, observer: Peer) -> None:
    def answer(received: Received) -> Answer:
        id_token = observer.verified(received.headers["authorization"].removeprefix("Bearer "))
        if id_token.get("acr") == "high":
            return Answer(body="hello")
        challenge = 'Bearer error="insufficient_user_authentication", acr_values="high"'
        return Answer(status=401, headers={"WWW-Authenticate": challenge})

    with run_listener(answer) as listener:
        config = {"upstream": listener.origin, "routes": [{"path": "/**", "token": "id_token"}]}
        with run_matrix_site(matrix, "client_secret_post", matrix.credentials("client_secret_post"), config) as site:
            page = go_on(site.browser, visit(site.browser, f"{ORIGIN}/home"))
            assert (page.status, page.text) == (200, "hello")
            assert site.counts()["authorization"] == 2


def test_the_age_of_a_login_is_limited(matrix: Matrix) -> None:
    provider = {**matrix.credentials("client_secret_post"), "authorization": {"max_age": 0}}
    with run_matrix_site(matrix, "client_secret_post", provider) as site:
        site.sign_in()
        first = site.session()
        assert isinstance(first.claims["auth_time"], int)
        page = site.browser.navigate(f"{ORIGIN}/oauth2/start?rd=/again")
        assert page.url.startswith(f"{matrix.provider.issuer}/interaction/")
        assert go_on(site.browser, page).url == f"{ORIGIN}/again"
        assert site.session().id != first.id
