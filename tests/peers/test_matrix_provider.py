"""The npm package oidc-provider with every feature on, seen by a plain client: what the protocol matrix stands on."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import requests

from .listener import run_listener
from .matrix_client import (
    CALLBACK,
    SECRET,
    SIGNED_OUT,
    SIGNING_KEY,
    Peer,
    authorization_parameters,
    code_parameters,
    dpop_proof,
    registration,
)
from .matrix_clients import (
    ACCOUNTS,
    EMAIL,
    Certificates,
    authentication,
    connect,
    introspect,
    pair,
    push,
    pushed_url,
    redeem,
    registrations,
    sign_in,
    tokens_of,
)
from .matrix_sign_in import SignInError, cancel_over_http, deliver, sign_in_over_http, sign_out_over_http
from .matrix_tls import (
    TLSMaterial,
    certificate_thumbprint,
    make_self_signed,
    make_tls_material,
)
from .node_provider import EVERY_FEATURE, OPAQUE_RESOURCE, RESOURCE, Features, NodeProvider, run_node_provider
from .servers import free_port

pytestmark = pytest.mark.real("node")


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLSMaterial:
    return make_tls_material(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificates(tls: TLSMaterial) -> Certificates:
    directory = tls.authority.directory
    return {
        "client": tls.authority.issue("client"),
        "stranger": tls.authority.issue("stranger"),
        "self_signed": make_self_signed(directory, "self_signed"),
        "other_self_signed": make_self_signed(directory, "other_self_signed"),
    }


@pytest.fixture(scope="module")
def provider(tls: TLSMaterial, certificates: Certificates) -> Iterator[NodeProvider]:
    with run_node_provider(
        port=free_port(),
        clients=registrations(certificates),
        accounts=ACCOUNTS,
        features=EVERY_FEATURE,
        tls=tls,
        mtls_port=free_port(),
    ) as provider:
        yield provider


@pytest.fixture
def peer(provider: NodeProvider) -> Iterator[Peer]:
    with requests.Session() as session:
        yield connect(session, provider)


@pytest.mark.parametrize("client_id", ["post", "client_secret_jwt", "private_key_jwt"])
def test_a_client_authenticates(peer: Peer, client_id: str) -> None:
    claims = peer.verified(tokens_of(peer, client_id)["id_token"])
    assert (claims["sub"], claims["nonce"]) == ("alice", "the-nonce")


@pytest.mark.parametrize(
    ("client_id", "certificate"), [("tls_client_auth", "client"), ("self_signed_tls_client_auth", "self_signed")]
)
def test_a_client_authenticates_with_its_certificate_and_tokens_are_bound_to_it(
    peer: Peer, certificates: Certificates, client_id: str, certificate: str
) -> None:
    files = certificates[certificate]
    code = sign_in(peer, client_id).parameters["code"]
    data = {**code_parameters(code), "client_id": client_id}
    answer = peer.post(peer.endpoint("token_endpoint", mtls=True), data, cert=pair(files))
    assert answer.status_code == 200, answer.text
    token = answer.json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert introspect(peer, "post", token).json()["cnf"] == {"x5t#S256": certificate_thumbprint(files)}
    assert peer.get(peer.endpoint("userinfo_endpoint", mtls=True), bearer, pair(files)).json()["email"] == EMAIL
    assert peer.get(peer.endpoint("userinfo_endpoint", mtls=True), bearer).status_code == 401
    assert peer.get(peer.endpoint("userinfo_endpoint"), bearer).status_code == 401


@pytest.mark.parametrize(
    ("client_id", "certificate"),
    [
        pytest.param("tls_client_auth", None, id="none"),
        pytest.param("tls_client_auth", "stranger", id="another-subject"),
        pytest.param("tls_client_auth", "self_signed", id="no-authority"),
        pytest.param("self_signed_tls_client_auth", None, id="self-signed-none"),
        pytest.param("self_signed_tls_client_auth", "other_self_signed", id="self-signed-other"),
    ],
)
def test_another_certificate_is_refused(
    peer: Peer, certificates: Certificates, client_id: str, certificate: str | None
) -> None:
    data = {**code_parameters("any"), "client_id": client_id}
    cert = None if certificate is None else pair(certificates[certificate])
    answer = peer.post(peer.endpoint("token_endpoint", mtls=True), data, cert=cert)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("mode", "method", "names"),
    [
        ("query", "GET", {"code", "state", "iss"}),
        ("form_post", "POST", {"code", "state", "iss"}),
        ("jwt", "GET", {"response"}),
        ("query.jwt", "GET", {"response"}),
        ("form_post.jwt", "POST", {"response"}),
    ],
)
def test_the_response_comes_in_the_mode_that_was_asked_for(peer: Peer, mode: str, method: str, names: set[str]) -> None:
    delivery = sign_in(peer, "post", response_mode=mode)
    assert (delivery.method, set(delivery.parameters)) == (method, names)
    assert urlsplit(delivery.url)._replace(query="").geturl() == CALLBACK
    inner = peer.verified(delivery.parameters["response"]) if names == {"response"} else delivery.parameters
    assert (inner["state"], inner["iss"]) == ("the-state", peer.issuer)
    assert redeem(peer, "post", inner["code"]).status_code == 200


def test_a_response_is_encrypted(peer: Peer) -> None:
    delivery = sign_in(peer, "encrypted-response", response_mode="jwt")
    assert delivery.parameters["response"].count(".") == 4
    inner = peer.verified(delivery.parameters["response"])
    assert (inner["aud"], inner["state"]) == ("encrypted-response", "the-state")


@pytest.mark.parametrize(("mode", "method"), [("fragment", "GET"), ("form_post", "POST")])
def test_code_id_token_is_answered_without_iss(peer: Peer, mode: str, method: str) -> None:
    delivery = sign_in(peer, "hybrid", response_type="code id_token", response_mode=mode)
    assert (delivery.method, set(delivery.parameters)) == (method, {"code", "id_token", "state"})
    claims = peer.verified(delivery.parameters["id_token"])
    assert claims.keys() >= {"c_hash", "nonce", "iss"}
    assert redeem(peer, "hybrid", delivery.parameters["code"]).status_code == 200


@pytest.mark.parametrize("algorithm", [None, "RSA-OAEP-256", "ECDH-ES"])
@pytest.mark.parametrize("pushed", [False, True], ids=["by-value", "pushed"])
def test_the_parameters_are_those_of_the_request_object(peer: Peer, algorithm: str | None, *, pushed: bool) -> None:
    parameters = authorization_parameters("jar-required", state="signed-state")
    request = {"request": peer.request_object("jar-required", parameters, encrypt_for=algorithm)}
    if pushed:
        url = pushed_url(peer, "jar-required", push(peer, "jar-required", request))
    else:
        outside = {"response_type": "code", "scope": "openid", "state": "unsigned-state"}
        url = peer.authorization_url({"client_id": "jar-required", **outside, **request})
    assert sign_in_over_http(peer.session, url).parameters["state"] == "signed-state"


def test_a_plain_request_is_refused_where_one_must_be_signed(peer: Peer) -> None:
    assert sign_in(peer, "jar-required").parameters["error"] == "invalid_request"


def test_a_plain_request_is_refused_where_one_must_be_pushed(peer: Peer) -> None:
    assert sign_in(peer, "par-required").parameters["error"] == "invalid_request"
    url = pushed_url(peer, "par-required", push(peer, "par-required", authorization_parameters("par-required")))
    assert redeem(peer, "par-required", sign_in_over_http(peer.session, url).parameters["code"]).status_code == 200
    again = sign_in_over_http(peer.session, url).parameters
    assert (again["error"], set(again)) == ("invalid_request_uri", {"error", "error_description", "iss"})


def test_dpop_proofs_need_the_nonce_of_the_provider(peer: Peer) -> None:
    data = {
        **code_parameters(sign_in(peer, "dpop").parameters["code"]),
        "client_id": "dpop",
        "client_secret": SECRET,
    }
    url = peer.endpoint("token_endpoint")
    refused = peer.post(url, data, {"DPoP": dpop_proof("POST", url)})
    assert (refused.status_code, refused.json()["error"]) == (400, "use_dpop_nonce")
    nonce = refused.headers["DPoP-Nonce"]
    tokens = peer.post(url, data, {"DPoP": dpop_proof("POST", url, nonce)}).json()
    assert tokens["token_type"] == "DPoP"
    assert introspect(peer, "post", tokens["access_token"]).json()["cnf"] == {"jkt": SIGNING_KEY.thumbprint()}
    assert userinfo_with_dpop(peer, tokens["access_token"], nonce=None).headers["DPoP-Nonce"]
    assert userinfo_with_dpop(peer, tokens["access_token"], nonce).json()["email"] == EMAIL


def userinfo_with_dpop(peer: Peer, access_token: str, nonce: str | None) -> requests.Response:
    url = peer.endpoint("userinfo_endpoint")
    proof = dpop_proof("GET", url, nonce, access_token)
    return peer.get(url, {"Authorization": f"DPoP {access_token}", "DPoP": proof})


def test_fapi_2_is_a_clients_profile(peer: Peer) -> None:
    url = peer.endpoint("pushed_authorization_request_endpoint")
    parameters = authorization_parameters("fapi")
    refused = push(peer, "fapi", parameters, dpop_proof("POST", url))
    assert (refused.status_code, refused.json()["error"]) == (400, "use_dpop_nonce")
    nonce = refused.headers["DPoP-Nonce"]
    pushed = push(peer, "fapi", parameters, dpop_proof("POST", url, nonce))
    code = sign_in_over_http(peer.session, pushed_url(peer, "fapi", pushed)).parameters["code"]
    token_url = peer.endpoint("token_endpoint")
    data = {**code_parameters(code), **authentication(peer, "fapi")}
    assert peer.post(token_url, data, {"DPoP": dpop_proof("POST", token_url, nonce)}).status_code == 200


def test_fapi_2_takes_the_issuer_alone_for_the_audience(peer: Peer) -> None:
    metadata = {**peer.metadata, "issuer": peer.metadata["token_endpoint"]}
    other = Peer(session=peer.session, metadata=metadata)
    parameters = authorization_parameters("fapi")
    assert push(other, "private_key_jwt", authorization_parameters("private_key_jwt")).status_code == 201
    assert push(other, "fapi", parameters).json()["error"] == "invalid_client"


@pytest.mark.parametrize("client_id", ["encrypted-id-token", "agreed-id-token"])
def test_an_id_token_is_encrypted(peer: Peer, client_id: str) -> None:
    id_token = tokens_of(peer, client_id)["id_token"]
    assert id_token.count(".") == 4
    assert peer.verified(id_token)["sub"] == "alice"


@pytest.mark.parametrize(
    ("client_id", "dots"), [pytest.param("signed-userinfo", 2), pytest.param("encrypted-userinfo", 4)]
)
def test_userinfo_is_a_jwt(peer: Peer, client_id: str, dots: int) -> None:
    token = tokens_of(peer, client_id)["access_token"]
    answer = peer.get(peer.endpoint("userinfo_endpoint"), {"Authorization": f"Bearer {token}"})
    assert answer.headers["Content-Type"].startswith("application/jwt")
    assert answer.text.count(".") == dots
    assert peer.verified(answer.text)["email"] == EMAIL


@pytest.mark.parametrize(("client_id", "dots"), [("post", 2), ("encrypted-introspection", 4)])
def test_introspection_is_a_jwt(peer: Peer, client_id: str, dots: int) -> None:
    kind = "application/token-introspection+jwt"
    answer = introspect(peer, client_id, tokens_of(peer, client_id)["access_token"], kind)
    assert answer.headers["Content-Type"].startswith(kind)
    assert answer.text.count(".") == dots
    claims = peer.verified(answer.text)
    assert (claims["aud"], claims["token_introspection"]["active"]) == (client_id, True)


def test_a_revoked_access_token_is_not_active(peer: Peer) -> None:
    token = tokens_of(peer, "post")["access_token"]
    assert introspect(peer, "post", token).json()["active"] is True
    peer.post(peer.endpoint("revocation_endpoint"), {"token": token, **authentication(peer, "post")})
    assert introspect(peer, "post", token).json() == {"active": False}


def test_a_client_registers_changes_and_deletes_itself(peer: Peer) -> None:
    metadata = {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"}
    url = peer.endpoint("registration_endpoint")
    assert register(peer, "POST", url, "wrong", metadata).status_code == 401
    created = register(peer, "POST", url, EVERY_FEATURE.registration_token, metadata)
    assert created.status_code == 201
    client = created.json()
    own_url, token = client["registration_client_uri"], client["registration_access_token"]
    assert register(peer, "GET", own_url, token, None).json()["client_id"] == client["client_id"]
    code = sign_in(peer, client["client_id"]).parameters["code"]
    own = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    assert peer.post(peer.endpoint("token_endpoint"), {**code_parameters(code), **own}).status_code == 200
    changed = register(peer, "PUT", own_url, token, {**metadata, **own, "client_name": "Changed"}).json()
    assert (changed["client_name"], changed["registration_access_token"] != token) == ("Changed", True)
    assert register(peer, "GET", own_url, token, None).status_code == 401
    assert register(peer, "DELETE", own_url, changed["registration_access_token"], None).status_code == 204
    with pytest.raises(SignInError, match="invalid_client"):
        sign_in(peer, client["client_id"])


def register(
    peer: Peer, method: str, url: str, token: str | None, metadata: Mapping[str, object] | None
) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return peer.session.request(method, url, json=metadata, headers=headers, timeout=10)


def test_an_access_token_is_for_the_resource_that_was_asked_for(peer: Peer) -> None:
    code = sign_in(peer, "post", resource=RESOURCE, scope="openid read").parameters["code"]
    tokens = redeem(peer, "post", code, resource=RESOURCE).json()
    claims = peer.verified(tokens["access_token"])
    assert (claims["aud"], claims["scope"], claims["sub"]) == (RESOURCE, "read", "alice")
    code = sign_in(peer, "post", resource=OPAQUE_RESOURCE, scope="openid read").parameters["code"]
    opaque = redeem(peer, "post", code, resource=OPAQUE_RESOURCE).json()["access_token"]
    assert introspect(peer, "post", opaque).json()["aud"] == OPAQUE_RESOURCE


def test_an_unknown_resource_is_refused(peer: Peer) -> None:
    assert sign_in(peer, "post", resource="https://unknown.example").parameters["error"] == "invalid_target"


def test_authorization_details_are_granted(peer: Peer) -> None:
    details = [{"type": "payment", "actions": ["initiate"], "amount": "12.50"}]
    parameters = {"authorization_details": json.dumps(details), "resource": RESOURCE}
    code = sign_in(peer, "private_key_jwt", **parameters).parameters["code"]
    tokens = redeem(peer, "private_key_jwt", code, resource=RESOURCE).json()
    assert tokens["authorization_details"] == details
    assert peer.verified(tokens["access_token"])["authorization_details"] == details


def test_single_claims_and_the_acr_are_asked_for(peer: Peer) -> None:
    claims = {"id_token": {"email": {"essential": True}, "acr": {"values": ["high"], "essential": True}}}
    token = peer.verified(tokens_of(peer, "post", scope="openid", claims=json.dumps(claims))["id_token"])
    assert (token["email"], token["acr"]) == (EMAIL, "high")


def test_the_first_acr_value_that_is_known_is_met(peer: Peer) -> None:
    token = peer.verified(tokens_of(peer, "post", acr_values="unknown high low")["id_token"])
    assert token["acr"] == "high"


def test_a_second_sign_in_needs_no_form(peer: Peer) -> None:
    sign_in(peer, "post")
    answer = peer.get(peer.authorization_url(authorization_parameters("post", prompt="none")))
    assert parse_qs(urlsplit(answer.headers["Location"]).query).keys() == {"code", "state", "iss"}


def test_signing_out_ends_the_session_of_the_provider(peer: Peer) -> None:
    hint = {"id_token_hint": tokens_of(peer, "post")["id_token"], "post_logout_redirect_uri": SIGNED_OUT, "state": "x"}
    url = requests.Request("GET", peer.endpoint("end_session_endpoint"), params=hint).prepare().url or ""
    delivery = sign_out_over_http(peer.session, url)
    assert (delivery.url, delivery.method) == (f"{SIGNED_OUT}?state=x", "GET")
    assert sign_in(peer, "post", prompt="none").parameters["error"] == "login_required"


@pytest.mark.parametrize(("mode", "method"), [("query", "GET"), ("form_post", "POST")])
def test_the_response_is_brought_to_the_client_as_a_browser_brings_it(peer: Peer, mode: str, method: str) -> None:
    delivery = sign_in(peer, "post", response_mode=mode)
    with run_listener() as listener:
        deliver(peer.session, replace(delivery, url=delivery.url.replace(CALLBACK, f"{listener.origin}/callback")))
        (received,) = listener.received_at("/callback")
    assert received.method == method
    assert dict(parse_qsl(received.query or received.body.decode())) == delivery.parameters
    assert received.headers.get("origin") == {"GET": None, "POST": peer.issuer}[method]


def test_a_cancelled_sign_in_is_delivered_as_an_error(peer: Peer) -> None:
    delivery = cancel_over_http(peer.session, peer.authorization_url(authorization_parameters("post")))
    assert delivery.parameters["error"] == "access_denied"


@pytest.mark.parametrize(
    ("login", "password"), [pytest.param("alice", "wrong", id="password"), pytest.param("bob", "x", id="login")]
)
def test_a_wrong_sign_in_has_no_way_on(peer: Peer, login: str, password: str) -> None:
    url = peer.authorization_url(authorization_parameters("post"))
    with pytest.raises(SignInError, match="wrong login or password"):
        sign_in_over_http(peer.session, url, login, password)


def test_an_https_issuer_may_itself_ask_for_certificates(tls: TLSMaterial, certificates: Certificates) -> None:
    with (
        run_node_provider(
            port=free_port(),
            host="localhost",
            clients=[
                registration(
                    "tls", token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=client"
                )
            ],
            accounts=ACCOUNTS,
            features=Features(par_required=True),
            tls=tls,
            https=True,
            request_certificates=True,
        ) as provider,
        requests.Session() as session,
    ):
        peer = connect(session, provider)
        files = pair(certificates["client"])
        url, parameters = peer.endpoint("pushed_authorization_request_endpoint"), authorization_parameters("tls")
        assert peer.post(url, parameters).status_code == 401
        pushed = peer.post(url, parameters, cert=files)
        code = sign_in_over_http(session, pushed_url(peer, "tls", pushed)).parameters["code"]
        data = {**code_parameters(code), "client_id": "tls"}
        assert peer.post(peer.endpoint("token_endpoint"), data, cert=files).status_code == 200
        counts = provider.stats()
    assert provider.issuer.startswith("https://localhost:")
    assert peer.metadata["require_pushed_authorization_requests"] is True
    assert counts["token.authorization_code"] == 1
