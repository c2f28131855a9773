"""Discovery (OIDC Discovery 4, RFC 8414, RFC 8705 5; C1, C3, H1, K8): what the provider says of itself, checked."""

from collections.abc import Mapping

import pytest

from gateway.errors import GatewayError, ProviderUnavailable
from gateway.oidc.client import Client
from gateway.oidc.messages import Reply
from gateway.oidc.metadata import (
    MAX_LISTED,
    OPTIONAL_ENDPOINTS,
    REQUIRED_ENDPOINTS,
    ProviderMetadata,
    discovery_call,
    is_loopback,
    is_protected_url,
    process_discovery,
    process_metadata,
)
from oidc.keys import JSON_HEADERS, json_reply
from oidc.parties import signing_key

ISSUER = "https://op.example/tenant"
HONEST: Mapping[str, object] = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://op.example/authorize?tenant=1",
    "token_endpoint": "https://op.example/token",
    "jwks_uri": "https://keys.example/jwks",
    "response_types_supported": ["id_token code", "token code id_token", "code"],
    "unknown_member": {"a": [1]},
}


def discover(members: Mapping[str, object]) -> ProviderMetadata:
    return process_discovery(json_reply(members), ISSUER, {})


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        pytest.param("https://op.example", "https://op.example/.well-known/openid-configuration", id="host"),
        pytest.param("https://op.example/", "https://op.example/.well-known/openid-configuration", id="slash"),
        pytest.param("https://op.example/t", "https://op.example/t/.well-known/openid-configuration", id="path"),
        pytest.param(
            "https://op.example/t/", "https://op.example/t/.well-known/openid-configuration", id="path, slash"
        ),
    ],
)
def test_the_discovery_call(issuer: str, url: str) -> None:
    call = discovery_call(issuer)
    assert (call.method, call.url) == ("GET", url)


def test_metadata_are_read() -> None:
    """C1, H1: the members that we need, whatever else there is."""
    assert discover(HONEST) == ProviderMetadata(
        issuer=ISSUER,
        authorization_endpoint="https://op.example/authorize?tenant=1",
        token_endpoint="https://op.example/token",
        jwks_uri="https://keys.example/jwks",
    )


def test_optional_members_are_read() -> None:
    optional = {
        "userinfo_endpoint": "https://op.example/userinfo",
        "revocation_endpoint": None,
        "end_session_endpoint": "https://op.example/logout",
        "authorization_response_iss_parameter_supported": True,
    }
    metadata = discover({**HONEST, **optional})
    assert metadata.userinfo_endpoint == "https://op.example/userinfo"
    assert metadata.revocation_endpoint is None
    assert metadata.end_session_endpoint == "https://op.example/logout"
    assert metadata.authorization_response_iss_parameter_supported is True


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(f"{ISSUER}INVALID", id="C3 another issuer"),
        pytest.param(f"{ISSUER}/", id="trailing slash"),
        pytest.param("https://OP.example/tenant", id="upper case"),
        pytest.param("https://op.example:443/tenant", id="default port"),
        pytest.param("https://op.example/%74enant", id="encoded letter"),
        pytest.param(None, id="null"),
        pytest.param([ISSUER], id="list"),
    ],
)
def test_the_issuer_is_equal_to_the_letter(issuer: object) -> None:
    assert discover(HONEST).issuer == ISSUER
    with pytest.raises(GatewayError) as error:
        discover({**HONEST, "issuer": issuer})
    assert error.value.code == "metadata_issuer_mismatch"


def test_a_missing_issuer_is_refused() -> None:
    with pytest.raises(GatewayError) as error:
        discover({name: value for name, value in HONEST.items() if name != "issuer"})
    assert error.value.code == "metadata_issuer_mismatch"


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"token_endpoint": None}, id="required endpoint is null"),
        pytest.param({"jwks_uri": ["https://op.example/jwks"]}, id="endpoint in a list"),
        pytest.param({"authorization_endpoint": "http://op.example/authorize"}, id="http"),
        pytest.param({"authorization_endpoint": "javascript:alert(1)"}, id="javascript"),
        pytest.param({"token_endpoint": "/token"}, id="relative"),
        pytest.param({"token_endpoint": "https://op.example/token#x"}, id="fragment"),
        pytest.param({"userinfo_endpoint": "http://op.example/userinfo"}, id="optional endpoint over http"),
        pytest.param({"end_session_endpoint": ""}, id="optional endpoint is empty"),
        pytest.param({"authorization_response_iss_parameter_supported": "true"}, id="flag as a text"),
        pytest.param({"authorization_response_iss_parameter_supported": 1}, id="flag as a number"),
        pytest.param({"authorization_response_iss_parameter_supported": None}, id="flag is null"),
        pytest.param({"authorization_response_iss_parameter_supported": [True]}, id="flag in a list"),
        pytest.param({"require_pushed_authorization_requests": "true"}, id="RFC9126-5 flag as a text"),
        pytest.param({"require_pushed_authorization_requests": 0}, id="RFC9126-5 flag as a number"),
        pytest.param({"token_endpoint_auth_methods_supported": "none"}, id="list as a text"),
        pytest.param({"token_endpoint_auth_methods_supported": {"none": 1}}, id="list is an object"),
        pytest.param({"token_endpoint_auth_methods_supported": ["none", 1]}, id="list with a number"),
        pytest.param({"token_endpoint_auth_methods_supported": [["none"]]}, id="list in a list"),
        pytest.param({"token_endpoint_auth_methods_supported": ["x"] * (MAX_LISTED + 1)}, id="list that is too long"),
        pytest.param({"mtls_endpoint_aliases": None}, id="aliases are null"),
        pytest.param({"mtls_endpoint_aliases": []}, id="aliases are a list"),
        pytest.param({"mtls_endpoint_aliases": "https://mtls.op.example"}, id="aliases are a text"),
        pytest.param({"mtls_endpoint_aliases": {"token_endpoint": "http://mtls.op.example/t"}}, id="alias over http"),
        pytest.param({"mtls_endpoint_aliases": {"token_endpoint": "/t"}}, id="relative alias"),
        pytest.param({"mtls_endpoint_aliases": {"token_endpoint": ["https://m.example"]}}, id="alias in a list"),
        pytest.param({"mtls_endpoint_aliases": {"token_endpoint": ""}}, id="empty alias"),
        pytest.param({"mtls_endpoint_aliases": {"userinfo_endpoint": "https://u@m.example"}}, id="alias with a user"),
        *(pytest.param({name: "http://op.example/x"}, id=f"{name} over http") for name in OPTIONAL_ENDPOINTS),
        *(pytest.param({name: "https://op.example/\r\n"}, id=f"{name} with CR LF") for name in REQUIRED_ENDPOINTS),
    ],
)
def test_members_that_are_refused(members: dict[str, object]) -> None:
    assert discover(HONEST).issuer == ISSUER
    with pytest.raises(GatewayError) as error:
        discover({**HONEST, **members})
    assert error.value.code == "metadata_invalid"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        pytest.param(json_reply(HONEST, 404), "metadata_invalid", id="not found"),
        pytest.param(json_reply(HONEST, 302), "metadata_invalid", id="redirect"),
        pytest.param(json_reply(HONEST, 201), "metadata_invalid", id="another success"),
        pytest.param(json_reply([HONEST]), "provider_answer_invalid", id="list"),
        pytest.param(
            Reply(status=200, headers=JSON_HEADERS, body=b'{"issuer": "a", "issuer": "b"}'),
            "provider_answer_invalid",
            id="duplicate members",
        ),
        pytest.param(
            Reply(status=200, headers={"content-type": "text/html"}, body=b"{}"), "provider_answer_invalid", id="HTML"
        ),
    ],
)
def test_replies_that_are_refused(reply: Reply, code: str) -> None:
    assert process_discovery(json_reply(HONEST), ISSUER, {}).issuer == ISSUER
    with pytest.raises(GatewayError) as error:
        process_discovery(reply, ISSUER, {})
    assert error.value.code == code


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_outage_of_discovery_is_not_wrong_metadata(status: int) -> None:
    with pytest.raises(ProviderUnavailable) as error:
        process_discovery(json_reply(HONEST, status), ISSUER, {})
    assert error.value.code == "provider_unreachable"


def test_endpoints_by_hand_lie_over_the_discovered_ones() -> None:
    metadata = process_discovery(json_reply(HONEST), ISSUER, {"token_endpoint": "https://inner.example/token"})
    assert metadata.token_endpoint == "https://inner.example/token"
    assert metadata.jwks_uri == "https://keys.example/jwks"


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        pytest.param({"issuer": "https://evil.example"}, "metadata_issuer_mismatch", id="issuer"),
        pytest.param({"token_endpoint": "http://inner.example/token"}, "metadata_invalid", id="http"),
    ],
)
def test_endpoints_by_hand_are_held_to_the_same_rules(overrides: dict[str, object], code: str) -> None:
    with pytest.raises(GatewayError) as error:
        process_discovery(json_reply(HONEST), ISSUER, overrides)
    assert error.value.code == code


def test_metadata_by_hand_need_not_name_the_issuer() -> None:
    members = {name: value for name, value in HONEST.items() if name != "issuer"}
    assert process_metadata(members, ISSUER).issuer == ISSUER


@pytest.mark.parametrize(
    ("url", "protected"),
    [
        pytest.param("https://op.example", True, id="https"),
        pytest.param("https://op.example:8443/a?b=c", True, id="https with all parts"),
        pytest.param("http://localhost:8000/a", True, id="http on localhost"),
        pytest.param("http://op.localhost/a", True, id="http below localhost"),
        pytest.param("http://127.0.0.1:8000", True, id="http on a loopback address"),
        pytest.param("http://[::1]:8000", True, id="http on the IPv6 loopback address"),
        pytest.param("http://op.example", False, id="http"),
        pytest.param("http://localhost.evil.example", False, id="localhost as a prefix"),
        pytest.param("http://evillocalhost", False, id="localhost as a suffix"),
        pytest.param("http://127.0.0.1.evil.example", False, id="loopback address as a prefix"),
        pytest.param("http://2130706433", False, id="loopback address as a number"),
        pytest.param("http://localhost@evil.example", False, id="localhost as userinfo"),
        pytest.param("https://user:password@op.example", False, id="userinfo"),
        pytest.param("https://@op.example", False, id="empty userinfo"),
        pytest.param("https://", False, id="no host"),
        pytest.param("https:///token", False, id="empty host"),
        pytest.param("https:op.example", False, id="no slashes"),
        pytest.param("//op.example", False, id="no scheme"),
        pytest.param("ftp://op.example", False, id="another scheme"),
        pytest.param("https://op.example/#", False, id="empty fragment"),
        pytest.param("https://op.example/a b", False, id="space"),
        pytest.param("https://op.example/\r\nX: y", False, id="CR LF"),
        pytest.param("https://op.example:port/", False, id="port that is a word"),
        pytest.param("https://op.example:99999/", False, id="port out of range"),
        pytest.param("https://[::1", False, id="open bracket"),
        pytest.param("", False, id="empty"),
    ],
)
def test_protected_urls(url: str, protected: bool) -> None:
    assert is_protected_url(url) is protected


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        pytest.param("localhost", True, id="localhost"),
        pytest.param("127.9.9.9", True, id="all of 127/8"),
        pytest.param("::1", True, id="IPv6"),
        pytest.param("0.0.0.0", False, id="any address"),
        pytest.param("10.0.0.1", False, id="private address"),
        pytest.param("op.example", False, id="name"),
        pytest.param("", False, id="empty"),
    ],
)
def test_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_the_client_secret_stays_out_of_the_repr() -> None:
    client = Client(
        client_id="c1",
        client_secret="s3cret",
        signing_keys=(signing_key("ES256"),),
        redirect_uri="https://app.example/cb",
        post_logout_redirect_uri="https://app.example/",
    )
    assert "s3cret" not in repr(client)
    assert "key=" not in repr(client)


ALIASES: Mapping[str, object] = {
    "token_endpoint": "https://mtls.op.example/token",
    "userinfo_endpoint": "https://mtls.op.example/userinfo",
    "pushed_authorization_request_endpoint": "https://mtls.op.example/par",
}


def test_k8_a_client_with_a_certificate_goes_to_the_aliases() -> None:
    """RFC 8705 5: the alias where there is one, the plain endpoint where there is none."""
    plain = {"revocation_endpoint": "https://op.example/revoke", "userinfo_endpoint": "https://op.example/userinfo"}
    metadata = discover({**HONEST, **plain, "mtls_endpoint_aliases": {**ALIASES, "introspection_endpoint": None}})
    presented = metadata.with_certificate()
    assert metadata.token_endpoint == "https://op.example/token"
    assert metadata.userinfo_endpoint == "https://op.example/userinfo"
    assert presented.token_endpoint == "https://mtls.op.example/token"
    assert presented.userinfo_endpoint == "https://mtls.op.example/userinfo"
    assert presented.pushed_authorization_request_endpoint == "https://mtls.op.example/par"
    assert presented.revocation_endpoint == "https://op.example/revoke"
    assert presented.introspection_endpoint is None


@pytest.mark.parametrize(
    "name",
    ["issuer", "authorization_endpoint", "jwks_uri", "end_session_endpoint", "mtls_endpoint_aliases", "__class__"],
)
def test_what_an_alias_cannot_replace(name: str) -> None:
    """The browser presents no certificate of ours, and the issuer is who it is."""
    metadata = discover({**HONEST, "mtls_endpoint_aliases": {name: "https://evil.example/x"}})
    assert metadata.with_certificate() == metadata == discover(HONEST)


def test_aliases_that_we_do_not_know_are_passed_over() -> None:
    metadata = discover({**HONEST, "mtls_endpoint_aliases": {"device_authorization_endpoint": 1, **ALIASES}})
    assert metadata.mtls_endpoint_aliases == ALIASES


@pytest.mark.parametrize(
    ("members", "methods"),
    [
        pytest.param({}, None, id="RFC8414-2 nothing said"),
        pytest.param({"token_endpoint_auth_methods_supported": None}, None, id="null"),
        pytest.param({"token_endpoint_auth_methods_supported": []}, (), id="empty"),
        pytest.param(
            {"token_endpoint_auth_methods_supported": ["x", "private_key_jwt"]},
            ("x", "private_key_jwt"),
            id="with an unknown one",
        ),
    ],
)
def test_the_methods_of_client_authentication(members: dict[str, object], methods: tuple[str, ...] | None) -> None:
    assert discover({**HONEST, **members}).token_endpoint_auth_methods == methods


@pytest.mark.parametrize("flag", [True, False])
def test_flags(flag: bool) -> None:
    names = ("authorization_response_iss_parameter_supported", "require_pushed_authorization_requests")
    metadata = discover({**HONEST, **dict.fromkeys(names, flag)})
    assert metadata.authorization_response_iss_parameter_supported is flag
    assert metadata.require_pushed_authorization_requests is flag


OAUTH2 = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
OAUTH2_HONEST: Mapping[str, object] = {
    "authorization_endpoint": "https://op.example/authorize",
    "token_endpoint": "https://op.example/token",
    "userinfo_endpoint": "https://api.op.example/user",
}


def test_a_provider_of_oauth2_needs_no_keys() -> None:
    """Nothing of it is signed; its userinfo endpoint alone says who the user is."""
    metadata = process_metadata(OAUTH2_HONEST, ISSUER, required=OAUTH2)
    assert metadata.jwks_uri is None
    assert metadata.userinfo_endpoint == "https://api.op.example/user"


@pytest.mark.parametrize("name", OAUTH2)
@pytest.mark.parametrize("value", [None, "", "http://op.example/x", ["https://op.example/x"]])
def test_what_a_provider_of_oauth2_has_to_name(name: str, value: object) -> None:
    with pytest.raises(GatewayError) as error:
        process_metadata({**OAUTH2_HONEST, name: value}, ISSUER, required=OAUTH2)
    assert error.value.code == "metadata_invalid"


def test_keys_over_http_are_refused_even_where_none_are_needed() -> None:
    with pytest.raises(GatewayError) as error:
        process_metadata({**OAUTH2_HONEST, "jwks_uri": "http://op.example/jwks"}, ISSUER, required=OAUTH2)
    assert error.value.code == "metadata_invalid"


@pytest.mark.parametrize("name", REQUIRED_ENDPOINTS)
def test_what_a_provider_of_openid_has_to_name(name: str) -> None:
    members = {member: value for member, value in HONEST.items() if member != name}
    with pytest.raises(GatewayError) as error:
        discover(members)
    assert error.value.code == "metadata_invalid"
