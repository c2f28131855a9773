"""gateway doctor and the provider: each thing that may be wrong, over real sockets, and a twin without it."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import DNSName
from doctor_set_ups import SetUp, codes, diagnosed, raw_server, run_set_up
from peers.listener import Answer, run_listener
from peers.matrix_tls import SERVER_NAMES, CertificateFiles, TLSMaterial, make_tls_material
from peers.servers import free_port
from werkzeug import Response

from gateway.assembly import Outside
from gateway.doctor.finding import Severity
from gateway.oidc.keys import load_own_keys
from gateway.testing import Faults, refusing, refusing_login

NOT_STARTED: Final = "outside_refused"
"""The gateway itself does not run here."""


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SetUp]:
    with run_set_up(tmp_path) as running:
        yield running


def of_provider(set_up: SetUp) -> list[str]:
    return [code for code in codes(diagnosed(set_up)) if code != NOT_STARTED]


def assert_found(set_up: SetUp, *expected: str) -> None:
    """Hold what is found against what is wrong: that, and nothing that follows from it."""
    assert of_provider(set_up) == list(expected)


def test_nothing_is_found_where_all_is_well(set_up: SetUp) -> None:
    findings = diagnosed(set_up)
    assert codes(findings) == [NOT_STARTED]
    well = {one.code for one in findings if one.severity is Severity.OK}
    assert well >= {"discovery_ok", "clock_ok", "jwks_ok", "features_ok", "client_ok", "redirect_uri_ok", "logout_ok"}
    assert well >= {"configuration_ok", "store_ok", "upstream_ok"}


@pytest.mark.parametrize(
    ("issuer", "code"),
    [
        pytest.param(lambda: "https://provider.invalid", "provider_host_unknown", id="no-such-host"),
        pytest.param(lambda: f"http://127.0.0.1:{free_port()}", "provider_refused", id="nothing-listens"),
    ],
)
def test_a_provider_that_is_not_reached_is_one_finding(set_up: SetUp, issuer: Callable[[], str], code: str) -> None:
    assert_found(set_up)
    broken = set_up.changed({"provider": {"issuer": issuer()}})
    findings = diagnosed(broken)
    assert [one for one in codes(findings) if one != NOT_STARTED] == [code]
    skipped = {one.code for one in findings if one.severity is Severity.SKIPPED}
    assert skipped >= {"discovery_skipped", "jwks_skipped", "client_skipped", "redirect_uri_skipped"}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLSMaterial:
    return make_tls_material(tmp_path_factory.mktemp("doctor-tls"))


def honest(tls: TLSMaterial) -> CertificateFiles:
    return tls.server


def ended(tls: TLSMaterial) -> CertificateFiles:
    return tls.authority.issue("ended", SERVER_NAMES, days=-2)


def of_another(tls: TLSMaterial) -> CertificateFiles:
    return tls.authority.issue("other", [DNSName("other.example")])


@pytest.mark.parametrize(
    ("certificate", "trusts", "expected"),
    [
        pytest.param(honest, True, [], id="well"),
        pytest.param(honest, False, ["provider_certificate_untrusted"], id="unknown-authority"),
        pytest.param(ended, True, ["provider_certificate_expired"], id="ended"),
        pytest.param(of_another, True, ["provider_certificate_of_other_host"], id="of-another-host"),
    ],
)
def test_the_providers_certificate(
    certificate: Callable[[TLSMaterial], CertificateFiles],
    trusts: bool,
    expected: list[str],
    tls: TLSMaterial,
    tmp_path: Path,
) -> None:
    with run_set_up(tmp_path, certificate=certificate(tls)) as set_up:
        verify = str(tls.authority.path) if trusts else True
        findings = diagnosed(set_up.changed({"provider": {"verify_tls": verify}}))
    found = [one for one in findings if one.code in codes(findings) and one.code != NOT_STARTED]
    assert [one.code for one in found] == expected
    if expected == ["provider_certificate_untrusted"]:
        assert "provider.verify_tls" in found[0].remedy
        assert "gateway tests" in found[0].cause
    if expected == ["provider_certificate_of_other_host"]:
        assert "other.example" in found[0].cause


def with_issuer(change: Callable[[str], str]) -> Callable[[dict[str, object]], dict[str, object]]:
    return lambda members: {**members, "issuer": change(str(members["issuer"]))}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(lambda issuer: f"{issuer}/", "issuer_slash", id="slash"),
        pytest.param(lambda issuer: issuer.replace("http:", "https:"), "issuer_scheme", id="scheme"),
        pytest.param(lambda _: "https://another.example", "issuer_mismatch", id="another"),
    ],
)
def test_another_issuer(set_up: SetUp, change: Callable[[str], str], code: str) -> None:
    assert_found(set_up)
    set_up.provider.faults = Faults(discovery=with_issuer(change))
    findings = {one.code: one for one in diagnosed(set_up)}
    assert code in findings
    assert set_up.issuer in findings[code].cause
    assert change(set_up.issuer) in findings[code].cause
    assert of_provider(set_up) == [code]


@contextmanager
def page_at_the_issuer(set_up: SetUp, answer: Answer) -> Iterator[SetUp]:
    with run_listener(lambda _: answer) as listener:
        yield set_up.changed({"provider": {"issuer": listener.origin}})


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(Answer(), "discovery_not_json", id="a-page"),
        pytest.param(Answer(status=404), "discovery_not_found", id="404"),
        pytest.param(Answer(status=403), "discovery_refused", id="403"),
        pytest.param(Answer(status=503), "discovery_failing", id="503"),
        pytest.param(Answer(status=302, headers={"Location": "/login?x=1"}), "discovery_redirected", id="redirect"),
        pytest.param(
            Answer(headers={"Content-Type": "application/json"}, body="{}"), "issuer_mismatch", id="no-issuer"
        ),
    ],
)
def test_something_else_at_the_issuers_address(set_up: SetUp, answer: Answer, code: str) -> None:
    assert_found(set_up)
    with page_at_the_issuer(set_up, answer) as broken:
        assert_found(broken, code)


def test_an_issuer_that_lacks_its_realm(set_up: SetUp) -> None:
    assert_found(set_up.changed({"provider": {"issuer": f"{set_up.issuer}/realms/x"}}), "discovery_not_found")


def test_metadata_that_cannot_be_used(set_up: SetUp) -> None:
    set_up.provider.faults = Faults(discovery=lambda members: {**members, "token_endpoint": "http://op.example/t"})
    assert_found(set_up, "metadata_unusable")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        pytest.param(0, [], id="the-same"),
        pytest.param(30, [], id="within-the-leeway"),
        pytest.param(3600, ["clock_differs"], id="ours-is-ahead"),
        pytest.param(-3600, ["clock_differs"], id="ours-is-behind"),
    ],
)
def test_the_providers_clock(set_up: SetUp, seconds: int, expected: list[str]) -> None:
    outside = Outside(clock=lambda: time.time() + seconds)
    assert_found(replace(set_up, outside=outside), *expected)


@pytest.mark.parametrize(
    ("jwks", "code"),
    [
        pytest.param(lambda _: {"keys": []}, "jwks_empty", id="empty"),
        pytest.param(lambda _: {"keys": "none"}, "jwks_unusable", id="no-list"),
        pytest.param(
            lambda members: {"keys": [{**key, "alg": "PS512"} for key in members["keys"]]},
            "jwks_lacks_algorithm",
            id="for-another-algorithm",
        ),
    ],
)
def test_the_providers_keys(set_up: SetUp, jwks: Callable[[Any], dict[str, object]], code: str) -> None:
    assert_found(set_up)
    set_up.provider.faults = Faults(jwks=jwks)
    assert_found(set_up, code)


def test_keys_on_a_host_that_is_not_there(set_up: SetUp) -> None:
    elsewhere = f"http://127.0.0.1:{free_port()}/jwks"
    set_up.provider.faults = Faults(discovery=lambda members: {**members, "jwks_uri": elsewhere})
    assert_found(set_up, "provider_refused")


BASIC: Final[Mapping[str, object]] = {"token_endpoint_auth_method": "client_secret_basic", "signing_keys": "OWN"}
"""For a client that has keys of its own, and is registered with a secret."""


def lists(**members: object) -> Mapping[str, object]:
    return members


@pytest.mark.parametrize(
    ("members", "keys", "code"),
    [
        pytest.param(lists(response_types_supported=["id_token"]), {}, "code_flow_not_offered", id="no-code-flow"),
        pytest.param(lists(grant_types_supported=["implicit"]), {}, "grant_not_offered", id="no-grant"),
        pytest.param(
            lists(response_modes_supported=["fragment"]),
            {"authorization": {"response_mode": "query"}},
            "response_mode_not_offered",
            id="response-mode",
        ),
        pytest.param(lists(code_challenge_methods_supported=["plain"]), {}, "s256_not_offered", id="no-s256"),
        pytest.param(
            lists(token_endpoint_auth_methods_supported=["private_key_jwt"]),
            {"token_endpoint_auth_method": "client_secret_basic"},
            "auth_method_not_offered",
            id="auth-method",
        ),
        pytest.param(
            lists(token_endpoint_auth_methods_supported=["private_key_jwt"]),
            {},
            "auth_method_not_offered",
            id="none-fits",
        ),
        pytest.param(
            lists(id_token_signing_alg_values_supported=["ES512"]), {}, "id_token_alg_not_offered", id="id-token-alg"
        ),
        pytest.param(
            lists(userinfo_signing_alg_values_supported=["ES512"]),
            {"userinfo_signed_response_alg": "RS256"},
            "userinfo_alg_not_offered",
            id="userinfo-alg",
        ),
        pytest.param(
            lists(pushed_authorization_request_endpoint=None),
            {"authorization": {"via": "pushed"}},
            "par_not_offered",
            id="no-par",
        ),
        pytest.param(
            lists(request_parameter_supported=False),
            {"authorization": {"via": "signed"}, **BASIC},
            "request_object_not_offered",
            id="no-request-objects",
        ),
        pytest.param(lists(require_signed_request_object=True), {}, "request_object_required", id="must-be-signed"),
        pytest.param(
            lists(dpop_signing_alg_values_supported=None),
            {"sender_constraint": "dpop"},
            "dpop_not_offered",
            id="no-dpop",
        ),
        pytest.param(lists(scopes_supported=["openid"]), {"scope": "openid email"}, "scope_not_offered", id="scope"),
        pytest.param({}, {"scope": "openid profile email"}, "offline_access_not_asked", id="offline-access"),
        pytest.param(
            lists(acr_values_supported=["low"]), {"authorization": {"acr_values": "high"}}, "acr_not_offered", id="acr"
        ),
        pytest.param(
            lists(prompt_values_supported=["login"]),
            {"authorization": {"prompt": "consent"}},
            "prompt_not_offered",
            id="prompt",
        ),
        pytest.param(
            lists(claims_parameter_supported=False),
            {"authorization": {"claims": {"userinfo": {"email": None}}}},
            "claims_not_offered",
            id="claims",
        ),
        pytest.param(lists(end_session_endpoint=None), {}, "logout_not_offered", id="no-logout"),
        pytest.param(
            lists(authorization_signing_alg_values_supported=["ES512"]),
            {"authorization": {"response_mode": "query.jwt"}},
            "answer_alg_not_offered",
            id="answer-alg",
        ),
        pytest.param(
            lists(introspection_signing_alg_values_supported=["ES512"]),
            {"introspection_signed_response_alg": "RS256"},
            "introspection_alg_not_offered",
            id="introspection-alg",
        ),
        pytest.param(
            lists(request_object_signing_alg_values_supported=["RS256"]),
            {"authorization": {"via": "signed"}, **BASIC},
            "request_alg_not_offered",
            id="request-alg",
        ),
        pytest.param(
            lists(tls_client_certificate_bound_access_tokens=False),
            {"sender_constraint": "mtls", **BASIC},
            "mtls_not_offered",
            id="no-bound-tokens",
        ),
    ],
)
def test_what_the_provider_does_not_offer(
    set_up: SetUp, members: Mapping[str, object], keys: Mapping[str, object], code: str, own_files: Mapping[str, object]
) -> None:
    files = own_files if "OWN" in keys.values() else {}
    asked = set_up.changed({"provider": {**keys, **files}})
    assert code not in of_provider(asked if members else set_up)

    def altered(offered: dict[str, object]) -> dict[str, object]:
        both = {**offered, **members}
        return {name: value for name, value in both.items() if value is not None}

    set_up.provider.faults = Faults(discovery=altered)
    findings = of_provider(asked)
    assert code in findings
    assert [one for one in findings if not one.endswith(("_offered", "_required", "_asked"))] == []


@pytest.fixture
def own_files(tmp_path: Path) -> Mapping[str, object]:
    server = make_tls_material(tmp_path / "own").server
    return {
        "signing_keys": str(server.key),
        "client_certificate": str(server.certificate),
        "client_certificate_key": str(server.key),
    }


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        pytest.param({"client_secret": "CANARY-another-secret-that-is-wrong"}, "client_refused", id="secret"),
        pytest.param({"token_endpoint_auth_method": "client_secret_post"}, "client_refused", id="method"),
    ],
)
def test_a_client_that_the_provider_refuses(set_up: SetUp, keys: Mapping[str, object], code: str) -> None:
    assert_found(set_up)
    assert_found(set_up.changed({"provider": keys}), code)


def test_a_client_that_the_provider_does_not_know_is_one_finding(set_up: SetUp) -> None:
    assert_found(set_up.changed({"provider": {"client_id": "another"}}), "client_refused")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param("unauthorized_client", "client_not_allowed", id="may-not"),
        pytest.param("invalid_request", "client_unclear", id="says-nothing"),
    ],
)
def test_what_the_token_endpoint_says_to_a_made_up_code(set_up: SetUp, error: str, code: str) -> None:
    set_up.provider.faults = Faults(token_response=refusing(error))
    assert_found(set_up, code)


def test_a_redirect_uri_that_is_not_registered(tmp_path: Path) -> None:
    with run_set_up(tmp_path) as set_up:
        assert_found(set_up)
    with run_set_up(tmp_path, redirect_uris=lambda url: [f"{url}/callback"]) as set_up:
        findings = {one.code: one for one in diagnosed(set_up)}
        assert_found(set_up, "redirect_uri_refused")
    assert f"{set_up.config['public_url']}/oauth2/callback" in findings["redirect_uri_refused"].remedy


def test_a_signed_request_whose_key_is_not_registered(set_up: SetUp, own_files: Mapping[str, object]) -> None:
    keys = {**BASIC, **own_files}
    assert_found(set_up.changed({"provider": keys}))
    assert_found(set_up.changed({"provider": {**keys, "authorization": {"via": "signed"}}}), "request_object_refused")


def test_a_redirect_uri_that_is_not_registered_where_requests_are_pushed(tmp_path: Path) -> None:
    pushed = {"provider": {"authorization": {"via": "pushed"}}}
    with run_set_up(tmp_path) as set_up:
        assert_found(set_up.changed(pushed))
    with run_set_up(tmp_path, redirect_uris=lambda url: [f"{url}/callback"]) as set_up:
        assert_found(set_up.changed(pushed), "push_refused")


@pytest.mark.parametrize("mode", ["query", "form_post", "query.jwt", "form_post.jwt"])
def test_the_answer_comes_back_in_any_mode(set_up: SetUp, mode: str) -> None:
    assert_found(set_up.changed({"provider": {"authorization": {"response_mode": mode}}}))


@pytest.mark.parametrize("mode", ["query", "form_post"])
def test_a_request_that_is_refused(set_up: SetUp, mode: str) -> None:
    asked = set_up.changed({"provider": {"authorization": {"response_mode": mode}}})
    set_up.provider.faults = Faults(authorization_response=refusing_login("login_required"))
    assert_found(asked)
    set_up.provider.faults = Faults(authorization_response=refusing_login("invalid_scope"))
    assert_found(asked, "request_refused")


def test_the_probes_leave_nothing_behind(set_up: SetUp) -> None:
    diagnosed(set_up)
    assert set_up.provider.calls["token.authorization_code"] == 1
    assert set_up.provider.calls["authorize"] == 1
    assert all(asked["prompt"] == "none" for asked in set_up.provider.requests)
    assert set_up.provider.calls["sign_in"] == set_up.provider.calls["register"] == 0


def test_nothing_is_probed_without_credentials(set_up: SetUp) -> None:
    public = {"client_secret": "", "token_endpoint_auth_method": "none"}
    diagnosed(set_up.changed({"provider": public}))
    assert set_up.provider.calls["token.authorization_code"] == 0


def test_assertions_by_an_algorithm_that_is_not_offered(set_up: SetUp, own_files: Mapping[str, object]) -> None:
    asked = set_up.changed({"provider": {**own_files, "token_endpoint_auth_method": "private_key_jwt"}})
    assert "auth_alg_not_offered" not in of_provider(asked)
    only_rsa = lists(token_endpoint_auth_signing_alg_values_supported=["RS256"])
    set_up.provider.faults = Faults(discovery=lambda members: {**members, **only_rsa})
    assert "auth_alg_not_offered" in of_provider(asked)


def test_no_key_to_encrypt_request_objects_to(set_up: SetUp) -> None:
    encrypted = {"provider": {"request_object_encryption_alg": "RSA-OAEP"}}
    set_up.provider.request_object_encryption = ["RSA-OAEP"]
    assert_found(set_up.changed(encrypted))
    set_up.provider.request_object_encryption = []
    assert_found(set_up.changed(encrypted), "jwks_lacks_encryption", "encryption_not_offered")


def test_a_rule_that_needs_introspection(set_up: SetUp) -> None:
    asked = set_up.changed({"routes": [{"path": "/api/**", "token": "introspected"}]})
    assert_found(asked)
    set_up.provider.faults = Faults(
        discovery=lambda members: {name: value for name, value in members.items() if name != "introspection_endpoint"}
    )
    assert_found(asked, "introspection_not_offered")


def hang_up(connection: socket.socket) -> None:
    connection.recv(65536)


@pytest.mark.parametrize(
    ("member", "code"),
    [
        pytest.param("jwks_uri", "jwks_failed", id="keys"),
        pytest.param("authorization_endpoint", "", id="authorization"),
    ],
)
def test_an_endpoint_that_hangs_up(set_up: SetUp, member: str, code: str) -> None:
    with raw_server(hang_up) as url:
        set_up.provider.faults = Faults(discovery=lambda members: {**members, member: f"{url}/x"})
        assert_found(set_up, *filter(None, [code]))


def test_a_provider_that_hangs_up(set_up: SetUp) -> None:
    with raw_server(hang_up) as url:
        assert_found(set_up.changed({"provider": {"issuer": url}}), "discovery_failed")


def test_an_authorization_endpoint_that_is_not_there(set_up: SetUp) -> None:
    wrong = f"{set_up.issuer}/nowhere"
    set_up.provider.faults = Faults(discovery=lambda members: {**members, "authorization_endpoint": wrong})
    assert_found(set_up, "authorization_endpoint_wrong")


def test_a_provider_that_shows_a_page_all_the_same(set_up: SetUp) -> None:
    page = Response("Sign in", mimetype="text/html")
    set_up.provider.faults = Faults(response=lambda name, response: page if name == "authorize" else response)
    assert_found(set_up, "redirect_uri_unclear")


def test_a_proxy_that_only_the_environment_knows(set_up: SetUp) -> None:
    environ = {"HTTPS_PROXY": "http://u:CANARY@proxy.example:3128"}
    assert_found(replace(set_up, environ=environ))
    blocked = set_up.changed({"provider": {"issuer": "https://provider.invalid"}})
    assert_found(blocked, "provider_host_unknown")
    findings = diagnosed(replace(blocked, environ=environ))
    assert [code for code in codes(findings) if code != NOT_STARTED] == ["provider_host_unknown", "proxy_ignored"]
    assert "CANARY" not in repr(findings)


def test_of_several_providers_the_one_that_is_down(set_up: SetUp) -> None:
    keys = set_up.config["provider"]
    others = {name: value for name, value in set_up.config.items() if name != "provider"}
    down = {**keys, "issuer": f"http://127.0.0.1:{free_port()}"}
    set_up.provider.clients = [
        replace(one, redirect_uris=[f"{uri}/staff" for uri in one.redirect_uris]) for one in set_up.provider.clients
    ]
    findings = diagnosed(replace(set_up, config={**others, "providers": {"staff": keys, "guests": down}}))
    failed = [(one.code, one.subject) for one in findings if one.severity is Severity.FAILED]
    assert failed == [("provider_refused", "provider guests")]
    assert ("redirect_uri_ok", "provider staff") in {(one.code, one.subject) for one in findings}


def test_a_provider_without_id_tokens(set_up: SetUp) -> None:
    ends = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
    paths = dict(zip(ends, ("/authorize", "/token", "/userinfo"), strict=True))
    by_hand = {name: f"{set_up.issuer}{path}" for name, path in paths.items()}
    asked = set_up.changed({"provider": {"type": "oauth2", "metadata": by_hand, "logout": "local"}})
    findings = diagnosed(asked)
    assert [code for code in codes(findings) if code != NOT_STARTED] == []
    assert {one.code for one in findings} >= {"discovery_by_hand", "jwks_skipped", "client_ok", "redirect_uri_skipped"}


def test_a_client_with_keys_and_bound_tokens(set_up: SetUp, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "client.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = load_own_keys(path.read_bytes())[0].public_jwk()
    set_up.provider.clients = [
        replace(
            one,
            token_endpoint_auth_method="private_key_jwt",
            jwks={"keys": [public]},
            request_object_signing_alg="ES256",
            dpop_bound_access_tokens=True,
        )
        for one in set_up.provider.clients
    ]
    set_up.provider.dpop_nonces = True
    keys = {
        "client_secret": "",
        "signing_keys": str(path),
        "sender_constraint": "dpop",
        "authorization": {"via": "signed_pushed"},
    }
    assert_found(set_up.changed({"provider": keys}))
    other = make_tls_material(tmp_path / "other").server.key
    assert_found(set_up.changed({"provider": {**keys, "signing_keys": str(other)}}), "client_refused")
