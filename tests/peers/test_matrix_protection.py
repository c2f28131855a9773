"""What npm's oidc-provider signs and encrypts for the gateway, and the gateway for it, over real HTTP."""

import pytest

from .matrix_clients import EMAIL
from .matrix_gateway import Matrix, encrypted, run_matrix_site
from .matrix_registrations import KEY_ENCRYPTION, SIGNATURES

pytestmark = pytest.mark.real("node")


@pytest.mark.parametrize("algorithm", SIGNATURES)
def test_an_id_token_is_signed(matrix: Matrix, algorithm: str) -> None:
    provider = {**matrix.credentials("client_secret_post"), "id_token_signed_response_alg": algorithm}
    with run_matrix_site(matrix, f"signed-{algorithm}", provider) as site:
        assert site.sign_in().text == "hello alice"
        site.refresh()
        assert site.counts()["token.refresh_token"] == 1


@pytest.mark.parametrize("algorithm", KEY_ENCRYPTION)
def test_an_id_token_is_encrypted(matrix: Matrix, algorithm: str) -> None:
    with run_matrix_site(matrix, f"id_token-{algorithm}", encrypted(matrix, "id_token", algorithm)) as site:
        assert site.sign_in().text == "hello alice"
        id_token = site.session().id_token
        assert id_token is not None
        assert site.session().claims["email"] == EMAIL
        site.refresh()
        assert site.session().id_token != id_token


@pytest.mark.parametrize("algorithm", KEY_ENCRYPTION)
def test_userinfo_is_signed_and_encrypted(matrix: Matrix, algorithm: str) -> None:
    with run_matrix_site(matrix, f"userinfo-{algorithm}", encrypted(matrix, "userinfo", algorithm)) as site:
        site.sign_in()
        assert site.session().claims["email"] == EMAIL
        assert site.counts()["userinfo"] == 1


def test_userinfo_is_signed(matrix: Matrix) -> None:
    provider = {**matrix.credentials("client_secret_post"), "userinfo_signed_response_alg": "ES256"}
    with run_matrix_site(matrix, "userinfo-ES256", provider) as site:
        site.sign_in()
        assert site.session().claims["email"] == EMAIL


@pytest.mark.parametrize("mode", ["query.jwt", "form_post.jwt"])
@pytest.mark.parametrize("algorithm", KEY_ENCRYPTION)
def test_a_response_is_encrypted(matrix: Matrix, algorithm: str, mode: str) -> None:
    config = {**encrypted(matrix, "authorization", algorithm), "authorization": {"response_mode": mode}}
    with run_matrix_site(matrix, f"authorization-{algorithm}", config) as site:
        assert site.sign_in().text == "hello alice"


@pytest.mark.parametrize("via", ["signed", "signed_pushed"])
@pytest.mark.parametrize("algorithm", ["RSA-OAEP-256", "ECDH-ES"])
def test_a_request_object_is_encrypted(matrix: Matrix, algorithm: str, via: str) -> None:
    provider = {
        **matrix.credentials("client_secret_post"),
        "request_object_encryption_alg": algorithm,
        "request_object_encryption_enc": "A256GCM",
        "authorization": {"via": via},
    }
    with run_matrix_site(matrix, "request-object", provider) as site:
        assert site.sign_in().text == "hello alice"
        assert site.counts().get("pushed_authorization_request", 0) == (via == "signed_pushed")
