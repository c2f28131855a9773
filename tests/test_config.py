"""What the configuration may say (DESIGN 4): every value checked, all mistakes at once, no secret in any of them."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from gateway.config import Settings, load_standalone_settings, parse_settings
from gateway.config_authorization_model import PROTECTED_PARAMETERS
from gateway.config_provider import ProviderSettings
from gateway.config_sources import ConfigurationError
from gateway.oidc.exchange import ExchangeWanted
from gateway.route import Access, Token

SECRET: Final = "a secret of the gateway with 32 characters"
CLIENT_SECRET: Final = "Password1-of-the-client"
MINIMAL_PROVIDER: Final = {"issuer": "https://op.example", "client_id": "app", "client_secret": CLIENT_SECRET}
MINIMAL: Final[dict[str, Any]] = {
    "public_url": "https://app.example.com",
    "provider": MINIMAL_PROVIDER,
    "session": {"secret": SECRET},
}


def merged(document: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    child = document.get(first, {})
    return {**document, first: merged(child, rest, value) if rest else value}


def settings(path: str = "prefix", value: object = "/oauth2") -> Settings:
    return parse_settings(merged(MINIMAL, path, value), {})


def provider(made: Settings) -> ProviderSettings:
    assert made.only_provider is made.providers["default"]
    return made.providers["default"]


def problems(document: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        parse_settings(document, environ or {})
    assert str(error.value).splitlines() == error.value.problems
    return error.value.problems


GOOD: Final = [
    ("public_url", "https://app.example.com"),
    ("public_url", "https://app.example.com/"),
    ("public_url", "https://app.example.com:8443"),
    ("public_url", "http://localhost:4180"),
    ("public_url", "http://127.0.0.1"),
    ("public_url", "http://[::1]:80"),
    ("public_url", "http://app.localhost"),
    ("upstream", "http://127.0.0.1:3000"),
    ("upstream", "https://up.example/base/"),
    ("upstream", ""),
    ("provider.issuer", "https://op.example/tenant/"),
    ("provider.issuer", "http://localhost:8443/oauth"),
    ("provider.token_endpoint_auth_method", "client_secret_post"),
    ("provider.scope", "openid"),
    ("provider.scope", "profile openid"),
    ("provider.id_token_signed_response_alg", "EdDSA"),
    ("provider", {**MINIMAL_PROVIDER, "client_secret": SECRET, "id_token_signed_response_alg": ["RS256", "HS256"]}),
    ("provider.verify_tls", True),
    ("provider.verify_tls", __file__),
    ("provider.timeout", 1),
    ("provider.timeout", "10 s"),
    ("provider.clock_leeway", "5m"),
    ("provider.authorization.max_age", 0),
    ("provider.authorization.extra", {"audience": "api", "domain_hint": "example.com"}),
    ("provider.start_parameters", []),
    ("provider.token_endpoint_auth_method", None),
    ("provider", {**MINIMAL_PROVIDER, "client_secret": SECRET, "token_endpoint_auth_method": "client_secret_jwt"}),
    ("provider.title", "Our staff"),
    ("provider.sender_constraint", "dpop"),
    ("provider.userinfo_signed_response_alg", "ES256"),
    ("provider.id_token_encrypted_response_alg", "dir"),
    ("provider.authorization.via", "pushed"),
    ("provider.authorization.response_mode", "form_post.jwt"),
    ("provider.authorization.response_type", "code id_token"),
    ("provider.authorization.prompt", "login consent"),
    ("provider.authorization.claims", None),
    ("provider.authorization.claims", {"id_token": {"acr": {"essential": True, "values": ["gold"]}}}),
    ("provider.authorization.claims", '{"userinfo": {"email": null}}'),
    ("provider.authorization.authorization_details", [{"type": "payment"}]),
    ("provider.authorization.resource", "https://api.example, https://other.example"),
    ("routes", [{"path": "/", "require": {"acr": "gold,silver", "max_age": "10m"}}]),
    ("routes", [{"path": "/", "token": "introspected", "provider": "default"}]),
    ("routes", [{"path": "/", "token": {"exchange": {"audience": ["api"], "scope": "read"}}}]),
    ("session.secret", [SECRET, SECRET]),
    ("session.cookie_name", "a_B-9"),
    ("session.idle_timeout", "60s"),
    ("session.lifetime", "366d"),
    ("session.store", {"type": "redis", "url": "rediss://redis.example:6380/0"}),
    ("session.store", {"type": "redis", "url": "unix:///run/redis.sock"}),
    ("routes", [{"path": "/"}, {"path": "/**"}, {"path": "/a/*/b"}, {"path": "/api/**", "strip_prefix": "/api"}]),
    ("routes", [{"path": "/api", "strip_prefix": "/api"}, {"path": "/a/b/c/**", "strip_prefix": "/a/b"}]),
    ("routes", [{"path": "/caf%C3%A9"}]),
    ("routes", [{"path": "/", "request_headers": {"X-Key": "{sub}", "Authorization": "Basic abc"}}]),
    ("routes", [{"path": "/", "methods": "GET,PROPFIND"}]),
    ("routes", [{"path": "/", "upstream": "unix:/run/app.sock"}]),
    ("upstreams", None),
    ("routes", [{"path": "/", "max_body": "10M", "max_headers": 1024, "add_prefix": "/v2", "rewrite_responses": True}]),
    ("upstreams", {"a": {"url": "unix:/run/app.sock", "server_name": "app.internal"}}),
    ("upstreams", {"a": {"url": ["http://one:1/base", "http://two:2/base"], "health_path": "/up"}}),
    ("routes", [{"path": "/", "hosts": "api.example,*.apps.example,[::1]"}]),
    ("routes", [{"path": "/", "require": {"claims": {"level": {"at_least": 2}, "groups": ["a"], "x": 1}}}]),
    ("routes", [{"path": "/", "require": {"email_domains": ["a.example", ".b.example"], "networks": "10.0.0.0/8"}}]),
    ("routes", [{"path": "/", "require": {"any_of": [{"scope": "a"}, {"not": [{"claims": {"g": "x"}}]}]}}]),
    ("routes", [{"path": "/", "require": {"check": "gateway.policy:is_same_origin"}}]),
    ("prefix", "/auth/v2"),
    ("callback_path", "/callback"),
    ("trusted_proxies", ["10.0.0.0/8", "::1", "192.0.2.1", "fd00::/8"]),
    ("trusted_proxies", ""),
    ("log_level", "error"),
    ("logs", {"format": "json", "exclude": "/ping,/static/**", "audit_file": "var/audit.log", "subject": "none"}),
    ("logs", {"access": False, "audit": False, "exclude": []}),
]

BAD: Final = [
    ("public_url", "http://app.example.com", "public_url"),
    ("public_url", "http://localhost.example.com", "public_url"),
    ("public_url", "http://127.0.0.1.example.com", "public_url"),
    ("public_url", "app.example.com", "public_url"),
    ("public_url", "ftp://app.example.com", "public_url"),
    ("public_url", "https://app.example.com/app", "public_url"),
    ("public_url", "https://app.example.com?", "public_url"),
    ("public_url", "https://app.example.com#a", "public_url"),
    ("public_url", "https://user@app.example.com", "public_url"),
    ("public_url", "https://app.example.com:port", "public_url"),
    ("public_url", "https://[::1", "public_url"),
    ("public_url", "https://app.example.com\n", "public_url"),
    ("public_url", "", "public_url"),
    ("public_url", 7, "public_url"),
    ("public_url", None, "public_url"),
    ("upstream", "127.0.0.1:3000", "upstream"),
    ("upstream", "ftp://127.0.0.1", "upstream"),
    ("upstream", "http://", "upstream"),
    ("upstream", "http://user:pass@127.0.0.1", "upstream"),
    ("upstream", "http://127.0.0.1/?a=b", "upstream"),
    ("upstream", "http://127.0.0.1/#a", "upstream"),
    ("upstream", "http://127.0.0.1/a b", "upstream"),
    ("upstream", "http://127.0.0.1/é", "upstream"),
    ("upstream", "http://127.0.0.1:99999", "upstream"),
    ("provider.issuer", "http://op.example", "provider.issuer"),
    ("provider.issuer", "op.example", "provider.issuer"),
    ("provider.issuer", "https://op.example/#a", "provider.issuer"),
    ("provider.client_id", "", "provider.client_id"),
    ("provider.client_secret", "", "provider"),
    ("provider.token_endpoint_auth_method", "basic", "provider.token_endpoint_auth_method"),
    ("provider.scope", "profile email", "provider"),
    ("provider.scope", "openid2", "provider"),
    ("provider.id_token_signed_response_alg", "none", "provider.id_token_signed_response_alg"),
    ("provider.id_token_signed_response_alg", ["RS256", "NONE"], "provider.id_token_signed_response_alg"),
    ("provider.userinfo", "perhaps", "provider.userinfo"),
    ("provider.verify_tls", "", "provider.verify_tls"),
    ("provider.verify_tls", "  ", "provider.verify_tls"),
    ("provider.verify_tls", None, "provider.verify_tls"),
    ("provider.timeout", "10 minutes", "provider.timeout"),
    ("provider.timeout", "-1s", "provider.timeout"),
    ("provider.timeout", -1, "provider.timeout"),
    ("provider.timeout", True, "provider.timeout"),
    ("provider.timeout", 1.5, "provider.timeout"),
    ("provider.timeout", "", "provider.timeout"),
    ("provider.clock_leeway", "301s", "provider.clock_leeway"),
    ("provider.metadata", "not JSON", "provider.metadata"),
    ("provider.authorization.prompt", "none", "provider.authorization.prompt"),
    ("provider.start_parameters", ["redirect_uri"], "provider.start_parameters"),
    ("provider.type", "saml", "provider.type"),
    ("provider.profile", "fapi2", "provider"),
    ("provider.profile", "fapi1", "provider.profile"),
    ("provider.token_endpoint_auth_method", "client_secret_jwt", "provider"),
    ("provider.id_token_signed_response_alg", ["RS256", "HS256"], "provider"),
    ("provider.userinfo_signed_response_alg", "HS512", "provider"),
    ("provider.introspection_encrypted_response_alg", "dir", "provider"),
    ("provider.token_endpoint_auth_method", "private_key_jwt", "provider"),
    ("provider.token_endpoint_auth_method", "tls_client_auth", "provider"),
    ("provider.sender_constraint", "mtls", "provider"),
    ("provider.sender_constraint", "perhaps", "provider.sender_constraint"),
    ("provider.signing_keys", "/absent.pem", "provider.signing_keys"),
    ("provider.signing_keys", "/", "provider.signing_keys"),
    ("provider.signing_keys", __file__, "provider"),
    ("provider.client_certificate", __file__, "provider"),
    ("provider.id_token_encrypted_response_alg", "RSA1_5", "provider.id_token_encrypted_response_alg"),
    ("provider.id_token_encrypted_response_alg", "RSA-OAEP-256", "provider"),
    ("provider.userinfo_encrypted_response_enc", "A1", "provider.userinfo_encrypted_response_enc"),
    ("provider.authorization.via", "fragment", "provider.authorization.via"),
    ("provider.authorization.via", "signed", "provider"),
    ("provider.authorization.response_type", "token", "provider.authorization.response_type"),
    ("provider.authorization.response_mode", "fragment", "provider.authorization.response_mode"),
    ("provider.authorization.prompt", "", "provider.authorization.prompt"),
    ("provider.authorization.prompt", "login none", "provider.authorization.prompt"),
    ("provider.authorization.claims", "not JSON", "provider.authorization.claims"),
    ("provider.authorization.claims", ["email"], "provider.authorization"),
    ("provider.authorization.claims", "null", "provider.authorization"),
    ("provider.authorization.authorization_details", {"type": "payment"}, "provider.authorization"),
    ("providers", {}, "providers"),
    ("providers", {"UPPER": MINIMAL_PROVIDER}, "providers"),
    ("providers", {"a/b": MINIMAL_PROVIDER}, "providers"),
    ("providers", {"staff": MINIMAL_PROVIDER}, "config"),
    ("routes", [{"path": "/", "provider": "nobody"}], "config"),
    ("routes", [{"path": "/", "token": {"exchange": {"audience": ["api"], "audiences": ["x"]}}}], "routes.0.token"),
    ("routes", [{"path": "/", "require": {"max_age": "59s"}}], "routes.0.require.max_age"),
    ("session.secret", "x" * 31, "session.secret"),
    ("session.secret", [], "session.secret"),
    ("session.secret", [SECRET, "short"], "session.secret.1"),
    ("session.cookie_name", "a b", "session.cookie_name"),
    ("session.cookie_name", "", "session.cookie_name"),
    ("session.cookie_name", "a=b", "session.cookie_name"),
    ("session.cookie_name", "x" * 41, "session.cookie_name"),
    ("session.idle_timeout", "59s", "session.idle_timeout"),
    ("session.lifetime", "367d", "session.lifetime"),
    ("session.store.type", "sqlite", "session.store.type"),
    ("session.store.type", "redis", "session.store"),
    ("session.store", {"type": "redis", "url": "http://redis.example"}, "session.store"),
    ("routes", [{"path": "api"}], "routes.0.path"),
    ("routes", [{"path": ""}], "routes.0.path"),
    ("routes", [{}], "routes.0.path"),
    ("routes", [{"path": "/a/../b"}], "routes.0.path"),
    ("routes", [{"path": "/a//b"}], "routes.0.path"),
    ("routes", [{"path": "/**/a"}], "routes.0.path"),
    ("routes", [{"path": "/a**"}], "routes.0.path"),
    ("routes", [{"path": "/%61"}], "routes.0.path"),
    ("routes", [{"path": "/ok"}, {"path": "/caf%c3%a9"}], "routes.1.path"),
    ("routes", [{"path": "/", "methods": ["get"]}], "routes.0.methods"),
    ("routes", [{"path": "/", "methods": ["GET POST"]}], "routes.0.methods"),
    ("routes", [{"path": "/", "access": "anyone"}], "routes.0.access"),
    ("routes", [{"path": "/", "login": "sometimes"}], "routes.0.login"),
    ("routes", [{"path": "/", "token": "refresh_token"}], "routes.0.token"),
    ("routes", [{"path": "/", "upstream": "ftp://up"}], "routes.0.upstream"),
    ("routes", [{"path": "/api/**", "strip_prefix": "/ap"}], "routes.0"),
    ("routes", [{"path": "/**", "strip_prefix": "/api"}], "routes.0"),
    ("routes", [{"path": "/api/**", "strip_prefix": "/api/"}], "routes.0.strip_prefix"),
    ("routes", [{"path": "/*/**", "strip_prefix": "/*"}], "routes.0.strip_prefix"),
    ("routes", [{"path": "/", "request_headers": {"a b": "x"}}], "routes.0.request_headers"),
    ("routes", [{"path": "/", "request_headers": {"Host": "x"}}], "routes.0.request_headers"),
    ("routes", [{"path": "/", "request_headers": {"transfer-encoding": "x"}}], "routes.0.request_headers"),
    ("routes", [{"path": "/", "request_headers": {"Cookie": "x"}}], "routes.0.request_headers"),
    ("routes", [{"path": "/", "request_headers": {"X": "a\r\nb"}}], "routes.0.request_headers"),
    ("routes", [{"path": "/", "request_headers": {"X": "é"}}], "routes.0.request_headers"),
    ("routes", [{"path": "/", "require": {"claims": {"groups": [1.5]}}}], "routes.0.require.claims.groups"),
    ("routes", [{"path": "/", "require": {"scope": ["lesen-\u00e4"]}}], "routes.0.require.scope"),
    ("routes", [{"path": "/", "require": {"any_of": [{"scope": ['a"b']}]}}], "routes.0.require.any_of"),
    ("routes", [{"path": "/", "requires": {}}], "routes.0.requires"),
    ("routes", [{"path": "/", "upstream": "nobody"}], "config"),
    ("routes", [{"path": "/", "upstream": "unix:run/app.sock"}], "routes.0.upstream"),
    ("routes", [{"path": "/", "upstream": "unix:/run/a b"}], "routes.0.upstream"),
    ("upstream", "nobody", "config"),
    ("trusted_hops", -1, "trusted_hops"),
    ("trusted_hops", 9, "trusted_hops"),
    ("routes", [{"path": "/", "max_body": "10MB"}], "routes.0.max_body"),
    ("routes", [{"path": "/", "max_body": -1}], "routes.0.max_body"),
    ("routes", [{"path": "/", "max_body": True}], "routes.0.max_body"),
    ("routes", [{"path": "/", "max_headers": "1"}], "routes.0.max_headers"),
    ("routes", [{"path": "/", "add_prefix": "v2"}], "routes.0.add_prefix"),
    ("routes", [{"path": "/", "add_prefix": "/v2/"}], "routes.0.add_prefix"),
    ("upstreams", {"a": {}}, "upstreams.a.url"),
    ("upstreams", {"a": {"url": []}}, "upstreams.a.url"),
    ("upstreams", {"a": {"url": ""}}, "upstreams.a"),
    ("upstreams", {"a": {"url": "b"}}, "upstreams.a.url"),
    ("upstreams", {"a": {"url": ["http://one:1", "https://two:2"]}}, "upstreams.a"),
    ("upstreams", {"a": {"url": ["http://one:1/x", "http://two:2/y"]}}, "upstreams.a"),
    ("upstreams", {"a": {"url": ["http://one:1", "unix:/run/app.sock"]}}, "upstreams.a"),
    ("upstreams", {"a": {"url": "http://one:1", "client_certificate": __file__}}, "upstreams.a"),
    ("upstreams", {"a": {"url": "http://one:1", "verify_tls": "/absent.pem"}}, "upstreams.a.verify_tls"),
    ("upstreams", {"a": {"url": "http://one:1", "server_name": "one:1"}}, "upstreams.a.server_name"),
    ("upstreams", {"A": {"url": "http://one:1"}}, "upstreams.A"),
    ("routes", [{"path": "/", "require": {"claims": {"level": {}}}}], "routes.0.require.claims.level"),
    ("routes", [{"path": "/", "require": {"claims": {"level": {"min": 2}}}}], "routes.0.require.claims.level"),
    ("routes", [{"path": "/", "require": {"claims": {"level": {"at_least": "x"}}}}], "routes.0.require.claims.level"),
    ("routes", [{"path": "/", "require": {"claims": {"groups": []}}}], "routes.0.require.claims.groups"),
    ("routes", [{"path": "/", "require": {"any_of": [{"scope": "a"}, {}]}}], "routes.0.require"),
    ("routes", [{"path": "/", "require": {"any_of": [{"acr": "gold"}]}}], "routes.0.require.any_of.0.acr"),
    ("routes", [{"path": "/", "require": {"not": {"scope": "a"}}}], "routes.0.require.not"),
    ("routes", [{"path": "/", "require": {"none_of": [{"scope": "a"}]}}], "routes.0.require.none_of"),
    ("routes", [{"path": "/", "require": {"email_domains": ["@a.example"]}}], "routes.0.require.email_domains"),
    ("routes", [{"path": "/", "require": {"email_domains": ["A.example"]}}], "routes.0.require.email_domains"),
    ("routes", [{"path": "/", "require": {"networks": ["10.0.0.1/8"]}}], "routes.0.require.networks"),
    ("routes", [{"path": "/", "require": {"check": "gateway.policy"}}], "routes.0.require.check"),
    ("routes", [{"path": "/", "require": {"check": "os;x:y"}}], "routes.0.require.check"),
    ("routes", [{"path": "/", "require": {"check": "gateway.nothing:x"}}], "routes"),
    ("routes", [{"path": "/", "require": {"check": "gateway.policy:nothing"}}], "routes"),
    ("routes", [{"path": "/", "require": {"check": "gateway.policy:SAFE_METHODS"}}], "routes"),
    ("routes", [{"path": "/", "hosts": ["api.example:443"]}], "routes.0.hosts"),
    ("routes", [{"path": "/", "hosts": ["Api.example"]}], "routes.0.hosts"),
    ("routes", [{"path": "/", "hosts": ["api.*.example"]}], "routes.0.hosts"),
    ("routes", [{"path": "/", "hosts": ["*"]}], "routes.0.hosts"),
    ("routes", [{"path": "/", "hosts": ["api.example."]}], "routes.0.hosts"),
    ("routes", "/api", "routes.0"),
    ("prefix", "oauth2", "prefix"),
    ("prefix", "/", "prefix"),
    ("prefix", "/oauth2/", "prefix"),
    ("prefix", "/oauth*", "prefix"),
    ("callback_path", "/a/../b", "callback_path"),
    ("post_logout_path", "https://app.example.com/bye", "post_logout_path"),
    ("trusted_proxies", ["10.0.0.1/8"], "trusted_proxies.0"),
    ("trusted_proxies", ["localhost"], "trusted_proxies.0"),
    ("trusted_proxies", ["10.0.0.0/8", ""], "trusted_proxies.1"),
    ("forward_auth.uri_header", "X Uri", "forward_auth.uri_header"),
    ("upstream_connection.connect_timeout", 0, "upstream_connection.connect_timeout"),
    ("upstream_connection.read_timeout", "0s", "upstream_connection.read_timeout"),
    ("upstream_connection.verify_tls", "", "upstream_connection.verify_tls"),
    ("log_level", "loud", "log_level"),
    ("logs", {"format": "xml"}, "logs.format"),
    ("logs", {"subject": "sub"}, "logs.subject"),
    ("logs", {"exclude": ["ping"]}, "logs.exclude.0"),
    ("logs", {"audit_file": "/"}, "logs.audit_file"),
    ("logs", {"audit_file": ""}, "logs.audit_file"),
    ("logs", {"acess": True}, "logs.acess"),
    ("provider", "https://op.example", "provider"),
    ("session", [], "session"),
]


@pytest.mark.parametrize(("path", "value"), GOOD, ids=[f"{path}={value!a}"[:60] for path, value in GOOD])
def test_good_values(path: str, value: object) -> None:
    assert provider(settings(path, value)).client.client_id == "app"


@pytest.mark.parametrize(("path", "value", "where"), BAD, ids=[f"{path}={value!a}"[:60] for path, value, _ in BAD])
def test_bad_values_are_named_by_their_path(path: str, value: object, where: str) -> None:
    found = problems(merged(MINIMAL, path, value))
    assert [problem for problem in found if not problem.startswith((f"{where}:", f"{where}."))] == []
    assert found != []


@pytest.mark.parametrize("name", sorted(PROTECTED_PARAMETERS))
def test_what_protects_the_flow_cannot_be_set(name: str) -> None:
    found = problems(merged(MINIMAL, "provider.authorization.extra", {name: "x", "audience": "api"}))
    assert found == [f"provider.authorization.extra: must not set {name}"]


def test_what_protects_the_flow() -> None:
    names = (
        "response_type response_mode client_id redirect_uri scope state nonce code_challenge code_challenge_method "
        "max_age request request_uri id_token_hint dpop_jkt claims authorization_details resource client_assertion "
        "client_assertion_type client_secret iss aud sub"
    )
    assert set(names.split()) == PROTECTED_PARAMETERS


def test_the_mistakes_of_a_user_are_told_at_once_one_line_each() -> None:
    document = {
        "public_url": "http://app.example.com",
        "upsteam": "http://127.0.0.1:3000",
        "provider": {"issuer": "https://op.example", "client_secret": CLIENT_SECRET},
        "session": {"secret": "short"},
    }
    assert sorted(problems(document)) == [
        "provider.client_id: is missing",
        "public_url: must be an https URL (http only on localhost): https://app.example.com",
        "session.secret.0: must have at least 32 characters; `gateway keys new` makes one",
        "upsteam: is not a key that the gateway knows",
    ]


def test_an_empty_configuration_names_all_that_is_missing() -> None:
    assert sorted(problems({})) == [
        "provider.client_id: is missing",
        "provider.issuer: is missing",
        "public_url: is missing",
        "session.secret: is missing",
    ]


def test_a_mistake_in_the_environment_names_its_variable() -> None:
    (problem,) = problems(MINIMAL, {"GATEWAY_PROVIDER__TIMEOUT": "soon"})
    assert problem == "provider.timeout (from GATEWAY_PROVIDER__TIMEOUT): write a number with s, m, h or d: 30m"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("session.secret", "hunter2-hunter2", id="too short"),
        pytest.param("session.secret", {"hunter2": 1}, id="of another type"),
        pytest.param("session.secret", [["hunter2"]], id="nested"),
        pytest.param("session.secret", '["hunter2', id="broken JSON"),
        pytest.param("provider.client_secret", ["hunter2"], id="client secret of another type"),
        pytest.param("session.store", {"type": "redis", "url": "http://:hunter2@redis.example"}, id="a URL's password"),
        pytest.param("provider.metadata", "hunter2", id="broken JSON of the metadata"),
        pytest.param("routes", [{"path": "/", "request_headers": {"X-Key": "hunter2\n"}}], id="a static key"),
        pytest.param("provider", "hunter2", id="a text for a section"),
    ],
)
def test_no_mistake_quotes_a_secret(path: str, value: object) -> None:
    with pytest.raises(ConfigurationError) as error:
        settings(path, value)
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in repr(error.value)
    assert error.value.__cause__ is None


def test_settings_do_not_show_secrets() -> None:
    document = merged(MINIMAL, "session.store", {"type": "redis", "url": "redis://:redis-password@127.0.0.1/0"})
    document = merged(document, "routes", [{"path": "/", "request_headers": {"X-Key": "upstream-key"}}])
    shown = repr(parse_settings(document, {}))
    for secret in (SECRET, CLIENT_SECRET, "redis-password", "upstream-key"):
        assert secret not in shown


def test_the_defaults() -> None:
    made = settings()
    assert provider(made).client.redirect_uri == "https://app.example.com/oauth2/callback"
    assert provider(made).client.post_logout_redirect_uri == "https://app.example.com/oauth2/signed_out"
    assert provider(made).client.id_token.algorithms == ("RS256",)
    assert provider(made).verify_tls is True
    assert made.cookies.session == "__Host-gateway"
    assert (made.lifetimes.idle, made.lifetimes.absolute, made.lifetimes.refresh_leeway) == (1800, 43200, 60)
    assert (made.store.type, made.trusted_proxies, made.routes) == ("file", (), ())
    assert made.default_route.access is Access.REQUIRED


@pytest.mark.parametrize(
    ("public_url", "cookie", "redirect_uri"),
    [
        pytest.param("https://App.Example.com/", "__Host-gateway", "https://app.example.com/oauth2/callback",
                     id="https"),
        pytest.param("http://localhost:4180", "gateway", "http://localhost:4180/oauth2/callback", id="localhost"),
    ],
)  # fmt: skip
def test_cookies_and_redirect_uri_follow_from_the_public_url(public_url: str, cookie: str, redirect_uri: str) -> None:
    made = settings("public_url", public_url)
    assert (made.cookies.session, provider(made).client.redirect_uri) == (cookie, redirect_uri)


@pytest.mark.parametrize(
    ("path", "value", "redirect_uri", "after_logout"),
    [
        pytest.param("prefix", "/auth", "/auth/callback", "/auth/signed_out", id="prefix"),
        pytest.param("callback_path", "/callback", "/callback", "/oauth2/signed_out", id="callback_path"),
        pytest.param("post_logout_path", "/bye", "/oauth2/callback", "/bye", id="post_logout_path"),
    ],
)
def test_our_paths(path: str, value: str, redirect_uri: str, after_logout: str) -> None:
    made = settings(path, value)
    assert provider(made).client.redirect_uri == f"https://app.example.com{redirect_uri}"
    assert provider(made).client.post_logout_redirect_uri == f"https://app.example.com{after_logout}"


def test_a_public_client_needs_no_secret() -> None:
    public = {"issuer": "https://op.example", "client_id": "app", "token_endpoint_auth_method": "none"}
    assert provider(settings("provider", public)).client.client_secret == ""


@pytest.mark.parametrize(
    ("upstream", "route", "expected"),
    [
        pytest.param("http://up:1", {}, ("http://up:1", Token.ACCESS_TOKEN, True), id="the global upstream"),
        pytest.param("http://up:1", {"upstream": "http://two/"}, ("http://two", Token.ACCESS_TOKEN, True), id="own"),
        pytest.param("http://up:1", {"upstream": ""}, ("", Token.NONE, False), id="none of its own"),
        pytest.param(None, {}, ("", Token.NONE, False), id="a wrapped app"),
        pytest.param("http://up:1", {"token": "none"}, ("http://up:1", Token.NONE, True), id="no token"),
        pytest.param(None, {"token": "id_token"}, ("", Token.ID_TOKEN, False), id="a token to a wrapped app"),
        pytest.param("http://up:1", {"identity_headers": False}, ("http://up:1", Token.ACCESS_TOKEN, False),
                     id="no identity"),
    ],
)  # fmt: skip
def test_what_a_route_sends_follows_from_where_it_goes(
    upstream: str | None, route: dict[str, Any], expected: tuple[str, Token, bool]
) -> None:
    document = {**MINIMAL, "upstream": upstream, "routes": [{"path": "/x", **route}]}
    (made,) = parse_settings(document, {}).routes
    assert (made.upstream, made.token, made.identity_headers) == expected


def test_required_claims_are_words() -> None:
    claims = {"email_verified": True, "level": [1, 2], "groups": "staff"}
    (made,) = settings("routes", [{"path": "/", "require": {"scope": ["a", "b"], "claims": claims}}]).routes
    assert made.requirement.condition.scope == {"a", "b"}
    assert made.requirement.condition.claims == {
        "email_verified": frozenset({"true"}),
        "level": frozenset({"1", "2"}),
        "groups": frozenset({"staff"}),
    }


def test_injected_headers_are_reserved() -> None:
    made = settings("routes", [{"path": "/x", "methods": ["GET"], "request_headers": {"X-Api-Key": "k"}}])
    assert made.rules.is_reserved("x_api_key")
    assert made.rules.is_reserved("x-http-method-override")


def test_every_upstream_is_named_once() -> None:
    routes = [{"path": "/a", "upstream": "http://two:2"}, {"path": "/b"}, {"path": "/c", "upstream": "http://two:2"}]
    document = {**MINIMAL, "upstream": "http://up:1", "routes": routes}
    assert list(parse_settings(document, {}).upstreams) == ["http://up:1", "http://two:2"]


@pytest.mark.parametrize(
    ("url", "server_name", "address"),
    [
        pytest.param("http://up:1/base", None, "http://up:1/base", id="a URL alone"),
        pytest.param(["https://one:1/b", "https://two:2/b"], None, "https://one:1/b", id="the first of several"),
        pytest.param(
            ["https://one:1/b"], "api.internal", "https://api.internal/b", id="by the name of its certificate"
        ),
        pytest.param("unix:/run/app.sock", None, "http://localhost", id="a Unix socket"),
    ],
)
def test_the_address_that_an_upstream_is_known_by(url: object, server_name: str | None, address: str) -> None:
    upstreams = {"api": {"url": url, **({"server_name": server_name} if server_name else {})}}
    made = parse_settings({**MINIMAL, "upstream": "api", "upstreams": upstreams}, {})
    assert made.upstreams["api"].address == made.default_route.upstream_url == address


def test_an_upstream_that_no_rule_names_is_not_connected_to() -> None:
    made = parse_settings({**MINIMAL, "upstreams": {"api": {"url": "http://up:1"}}}, {})
    assert not made.upstreams


@pytest.mark.parametrize(
    ("variables", "starts"),
    [
        pytest.param({}, False, id="nothing behind it, nobody beside it"),
        pytest.param({"GATEWAY_UPSTREAM": "http://127.0.0.1:3000"}, True, id="an upstream"),
        pytest.param({"GATEWAY_TRUSTED_PROXIES": "127.0.0.1"}, False, id="a proxy before it"),
        pytest.param(
            {"GATEWAY_FORWARD_AUTH__ENABLED": "true", "GATEWAY_TRUSTED_PROXIES": "127.0.0.1"},
            True,
            id="a proxy beside it",
        ),
    ],
)
def test_a_gateway_that_wraps_nothing_needs_something_to_guard(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], starts: bool
) -> None:
    monkeypatch.chdir(str(tmp_path))
    environ = {
        "GATEWAY_PUBLIC_URL": "https://app.example.com",
        "GATEWAY_PROVIDER__ISSUER": "https://op.example",
        "GATEWAY_PROVIDER__CLIENT_ID": "app",
        "GATEWAY_PROVIDER__CLIENT_SECRET": CLIENT_SECRET,
        "GATEWAY_SESSION__SECRET": SECRET,
        **variables,
    }
    if starts:
        assert provider(load_standalone_settings(None, environ)).client.client_id == "app"
        return
    with pytest.raises(ConfigurationError) as error:
        load_standalone_settings(None, environ)
    assert error.value.problems[0].startswith("upstream: is missing")


SEVERAL: Final[dict[str, Any]] = {
    "public_url": "https://app.example.com",
    "providers": {
        "staff": {**MINIMAL_PROVIDER, "title": "Our staff"},
        "partners": {**MINIMAL_PROVIDER, "issuer": "https://partners.example"},
    },
    "session": {"secret": SECRET},
}


def test_several_providers_have_redirect_uris_of_their_own() -> None:
    made = parse_settings(SEVERAL, {})
    assert made.only_provider is None
    assert {name: (one.name, one.title, one.client.redirect_uri) for name, one in made.providers.items()} == {
        "staff": ("staff", "Our staff", "https://app.example.com/oauth2/callback/staff"),
        "partners": ("partners", "partners", "https://app.example.com/oauth2/callback/partners"),
    }


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        pytest.param(
            "providers.partners.issuer", "https://op.example", "providers: two have the same issuer", id="RFC 9207 4"
        ),
        pytest.param(
            "provider", MINIMAL_PROVIDER, "one of provider and providers must be there, and not both", id="both"
        ),
        pytest.param(
            "routes", [{"path": "/", "provider": "default"}], "routes: provider default is not among providers",
            id="a rule names another",
        ),
    ],
)  # fmt: skip
def test_providers_that_cannot_be_told_apart(path: str, value: object, problem: str) -> None:
    assert parse_settings(merged(SEVERAL, "routes", [{"path": "/", "provider": "staff"}]), {}).routes
    assert problems(merged(SEVERAL, path, value)) == [f"config: {problem}"]


@pytest.mark.parametrize(
    ("claims", "required"),
    [
        pytest.param({"acr": {"essential": True, "values": ["gold", "silver"]}}, ("gold", "silver"), id="several"),
        pytest.param({"acr": {"essential": True, "value": "gold"}}, ("gold",), id="one"),
        pytest.param({"acr": {"values": ["gold"]}}, (), id="voluntary"),
        pytest.param({"acr": {"essential": "true", "values": ["gold"]}}, (), id="essential of another type"),
        pytest.param({"acr": {"essential": True}}, (), id="any value will do"),
        pytest.param({"acr": None}, (), id="null"),
        pytest.param({"acr": {"essential": True, "values": "gold"}}, (), id="values of another type"),
        pytest.param({"acr": {"essential": True, "values": ["gold", 7]}}, ("gold",), id="a value of another type"),
        pytest.param({"email": {"essential": True}}, (), id="another claim"),
    ],
)
def test_an_essential_class_is_required_of_every_login(claims: dict[str, Any], required: tuple[str, ...]) -> None:
    made = settings("provider.authorization.claims", {"id_token": claims})
    assert provider(made).required_acr == required


def test_what_a_rule_demands_of_a_login() -> None:
    (made,) = settings("routes", [{"path": "/", "require": {"acr": ["gold", "silver"], "max_age": "10m"}}]).routes
    assert (made.requirement.acr, made.requirement.max_age) == (("gold", "silver"), 600)


def test_what_an_exchanged_token_is_for() -> None:
    token = {"exchange": {"audience": "api", "resource": ["https://api.example"], "scope": "read write"}}
    (made,) = settings("routes", [{"path": "/", "upstream": "http://up:1", "token": token}]).routes
    assert made.token is Token.EXCHANGED
    assert made.exchange == ExchangeWanted(
        audience=("api",), resource=("https://api.example",), scope=("read", "write")
    )


@pytest.mark.parametrize(
    ("mode", "cross_site"),
    [
        pytest.param(None, False, id="query"),
        pytest.param("query.jwt", False, id="query, signed"),
        pytest.param("form_post", True, id="another site's form"),
        pytest.param("form_post.jwt", True, id="another site's form, signed"),
    ],
)
def test_cookies_of_a_login_travel_with_a_form_where_the_answer_is_one(mode: str | None, cross_site: bool) -> None:
    assert settings("provider.authorization.response_mode", mode).cookies.cross_site is cross_site
