"""What the inner app receives (DESIGN 5 rule 7; RFC 9110 7.6): the order of the steps, spoofed names, encodings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import unquote, unquote_to_bytes

import corpora
import pytest
from samples import SESSION

from gateway.cookies import CookiePolicy
from gateway.headers import (
    Headers,
    field_value,
    fill_template,
    forwarded_headers,
    header_rules,
    identity,
    inner_headers,
    response_headers,
    route_headers,
)
from gateway.route import Route, Token, compile_pattern
from gateway.sealing import KeyRing
from gateway.session import Session
from gateway.target import RequestTarget, read_target

COOKIES: Final = CookiePolicy(name="gateway", secure=True, ring=KeyRing.of(["a secret of at least 32 characters"]))
PLAIN: Final = Route(path="/**", pattern=compile_pattern("/**"))
UPSTREAM: Final = replace(PLAIN, upstream="http://up.example", token=Token.ACCESS_TOKEN, identity_headers=True)
RULES: Final = header_rules(COOKIES, "https://app.example", [UPSTREAM])
BEARER: Final[Headers] = [("authorization", "Bearer the-access-token")]


def target(members: Mapping[str, str] | None = None) -> RequestTarget:
    environ = {"REQUEST_METHOD": "GET", "RAW_URI": "/", "REMOTE_ADDR": "203.0.113.9", "HTTP_HOST": "app.example"}
    return read_target({**environ, **(members or {})}, ())


def session(claims: Mapping[str, object] | None = None, subject: str = "u1") -> Session:
    return replace(SESSION, subject=subject, claims=claims or {})


def received(headers: Headers, route: Route = PLAIN, user: Session | None = None) -> Headers:
    """Tell what an inner app receives beside the fields that say where a request came from."""
    ours = forwarded_headers(target(), route, RULES)
    rules = header_rules(COOKIES, "https://app.example", [route])
    return [pair for pair in inner_headers(headers, target(), route, user, rules, []) if pair not in ours]


def passed(name: str, route: Route = PLAIN) -> bool:
    return (name, "spoofed") in received([(name, "spoofed")], route)


SPOOFED: Final = [
    "x-forwarded-user", "x_forwarded_user", "x-forwarded_user", "X-Forwarded-User", "X_FORWARDED_EMAIL",
    "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-access-token", "x-forwarded-for",
    "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-forwarded-uri", "x-forwarded-anything-new",
    "x-auth-request-user", "x-auth-request-redirect", "x_auth_request_email", "x-gateway-session", "x-original-url",
    "x-original-uri", "x-rewrite-url", "x-real-ip", "x-remote-user", "remote-user", "remote_user", "remote-groups",
    "x-authenticated-user", "x-webauth-user", "authorization", "proxy-authorization", "proxy", "forwarded", "dpop",
    "true-client-ip", "oidc-claim-sub", "oidc_claim_sub", "ssl-client-cert", "ssl_client_verify", "x-ssl-client-cn",
    "x-client-cert", "x-client-cert-dn",
]  # fmt: skip
HARMLESS: Final = [
    "accept", "content-type", "range", "if-none-match", "x-requested-with", "x-forwardeduser", "xforwarded-user",
    "x-forward", "user-agent", "origin", "x-csrf-token",
]  # fmt: skip


@pytest.mark.parametrize("route", [pytest.param(PLAIN, id="wrapped"), pytest.param(UPSTREAM, id="upstream")])
@pytest.mark.parametrize("name", SPOOFED)
def test_no_client_sets_an_identity_header_in_any_spelling(name: str, route: Route) -> None:
    assert not passed(name, route)


@pytest.mark.parametrize("name", HARMLESS)
def test_other_headers_pass(name: str) -> None:
    assert passed(name)


@pytest.mark.parametrize("name", ["x-api-key", "X-API-KEY", "x_api_key", "x-api_key"])
def test_what_any_route_injects_is_taken_from_clients_on_every_route(name: str) -> None:
    other = replace(PLAIN, path="/other", request_headers={"X_Api-Key": "k"})
    rules = header_rules(COOKIES, "https://app.example", [PLAIN, other])
    assert rules.is_reserved(name)
    assert (name, "spoofed") not in inner_headers([(name, "spoofed")], target(), PLAIN, None, rules, [])


@pytest.mark.parametrize("name", ["x-http-method", "X-HTTP-Method-Override", "x_method_override"])
@pytest.mark.parametrize(
    ("methods", "reserved"), [pytest.param(("GET",), True, id="methods"), pytest.param((), False, id="none")]
)
def test_method_overrides_are_dropped_where_a_rule_is_about_methods(
    name: str, methods: tuple[str, ...], reserved: bool
) -> None:
    rules = header_rules(COOKIES, "https://app.example", [PLAIN, replace(PLAIN, methods=frozenset(methods))])
    assert rules.is_reserved(name) is reserved


@pytest.mark.parametrize(
    ("connection", "name", "kept"),
    [
        pytest.param(["x-custom"], "x-custom", False, id="a field named there goes"),
        pytest.param(["X-Custom"], "x-custom", False, id="in any case"),
        pytest.param(["close, x-custom ,foo"], "x-custom", False, id="among others"),
        pytest.param(["close", "x-custom"], "x-custom", False, id="in a second field"),
        pytest.param(["x_custom"], "x-custom", False, id="with an underscore"),
        pytest.param(["x-custom"], "x_custom", False, id="the field with an underscore"),
        pytest.param(["close"], "x-custom", True, id="not named"),
        pytest.param([",, ,"], "x-custom", True, id="nothing but commas"),
        pytest.param(["content-length"], "content-length", True, id="the framing stays"),
        pytest.param(["content_length"], "content-length", True, id="the framing stays, with an underscore"),
        pytest.param(["transfer_encoding"], "transfer-encoding", True, id="the other framing too"),
        pytest.param(["host"], "host", True, id="the host stays"),
        pytest.param(["Content_Type"], "content-type", True, id="the type stays"),
        pytest.param(["origin"], "origin", True, id="the origin stays"),
        pytest.param(["upgrade"], "upgrade", True, id="the upgrade is for the upstream's adapter to judge"),
        pytest.param(["cookie"], "cookie", True, id="cookies stay"),
    ],
)
def test_fields_named_in_connection(connection: Sequence[str], name: str, kept: bool) -> None:
    headers = [("connection", value) for value in connection] + [(name, "a=1")]
    assert ((name, "a=1") in received(headers)) is kept


@pytest.mark.parametrize(
    "name",
    ["authorization", "x-forwarded-user", "x-forwarded-email", "x-forwarded-for", "forwarded", "x-api-key", "cookie"],
)
def test_no_client_has_our_headers_removed_by_naming_them_in_connection(name: str) -> None:
    route = replace(UPSTREAM, request_headers={"X-Api-Key": "k"})
    rules = header_rules(COOKIES, "https://app.example", [route])
    sent = [("connection", name), (name, "a=1")]
    given = inner_headers(sent, target(), route, session({"email": "a@op.example"}), rules, BEARER)
    assert [value for other, value in given if other == name] != []
    assert name == "cookie" or (name, "a=1") not in given


@pytest.mark.parametrize(
    ("cookies", "kept"),
    [
        pytest.param(["a=1; __Host-gateway=x; b=2"], [("cookie", "a=1; b=2")], id="ours are cut out"),
        pytest.param(["__Host-gateway=x"], [], id="nothing is left"),
        pytest.param(["a=1", "gateway=x", "b=2"], [("cookie", "a=1; b=2")], id="several fields become one"),
        pytest.param([], [], id="none"),
    ],
)
def test_our_cookies_never_reach_the_inner_app(cookies: Sequence[str], kept: Headers) -> None:
    assert received([("cookie", value) for value in cookies]) == kept


def test_the_order_of_the_fields_stays_and_ours_come_last() -> None:
    sent = [("b", "1"), ("a", "2"), ("b", "3"), ("cookie", "c=1")]
    user = session({"email": "a@op.example"})
    given = inner_headers(sent, target(), UPSTREAM, user, RULES, BEARER)
    ours = forwarded_headers(target(), UPSTREAM, RULES) + route_headers(UPSTREAM, user, BEARER)
    assert given == [("b", "1"), ("a", "2"), ("b", "3"), ("cookie", "c=1"), *ours]


def test_the_token_arrives_ready_made_and_goes_first() -> None:
    proven = [("authorization", "DPoP the-access-token"), ("dpop", "a-proof")]
    route = replace(UPSTREAM, request_headers={"X-Key": "k"})
    assert route_headers(route, session(), proven) == [
        *proven,
        ("x-forwarded-user", "u1"),
        ("x-forwarded-issuer", ISSUER),
        ("x-key", "k"),
    ]
    assert route_headers(PLAIN, None, []) == []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        pytest.param({}, {"user": "u1"}, id="the subject alone"),
        pytest.param(
            {"email": "a@op.example", "preferred_username": "alice", "groups": ["staff", "ops"]},
            {"user": "u1", "email": "a@op.example", "preferred-username": "alice", "groups": "staff,ops"},
            id="all of them",
        ),
        pytest.param({"groups": ["a,b", "c"]}, {"user": "u1", "groups": "a%2Cb,c"}, id="a comma in a group"),
        pytest.param({"groups": ["a%2Cb", "c"]}, {"user": "u1", "groups": "a%252Cb,c"}, id="an encoded comma in one"),
        pytest.param({"groups": "a,b"}, {"user": "u1", "groups": "a%2Cb"}, id="one group that is a text"),
        pytest.param({"groups": [" a", "b "]}, {"user": "u1", "groups": "%20a,b%20"}, id="outer spaces in groups"),
        pytest.param({"groups": ["", 1, None, ["x"], "a"]}, {"user": "u1", "groups": "a"}, id="members of other types"),
        pytest.param({"groups": []}, {"user": "u1"}, id="no groups"),
        pytest.param({"groups": {"a": 1}}, {"user": "u1"}, id="groups of another type"),
        pytest.param({"email": ["a@op.example"], "preferred_username": 7}, {"user": "u1"}, id="claims of other types"),
        pytest.param({"email": ""}, {"user": "u1"}, id="an empty claim"),
        pytest.param({"sub": "other"}, {"user": "u1"}, id="the subject is the session's"),
        pytest.param(
            {"email": "x\r\nX-Forwarded-User: admin"},
            {"user": "u1", "email": "x%0D%0AX-Forwarded-User: admin"},
            id="a line break is no new field",
        ),
    ],
)
def test_identity_in_the_words_that_upstreams_know(claims: Mapping[str, object], expected: Mapping[str, str]) -> None:
    assert dict(identity(session(claims))) == {"issuer": ISSUER, **expected}


def test_users_of_two_providers_are_two_people_though_they_have_one_name() -> None:
    one, other = session(), replace(session(), issuer="https://other.example")
    assert dict(identity(one))["user"] == dict(identity(other))["user"]
    assert identity(one) != identity(other)


ISSUER: Final = SESSION.issuer
TEXTS: Final = [
    "alice", "a@op.example", "Zoë Müller", "日本", "a%b", "%41", "100%", "a b", " a", "a ", "  ", "\ta", "a\r\nb",
    "\x00", "\x7f", "\x80", "\ud800", "a\udfffb", "😀", '"quoted"', "a,b;c=d", "~!@#$^&*()[]{}|\\:'<>?/", "a\u00a0",
    "\u2028",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_a_field_value_decodes_to_the_claim_and_is_plain_ascii(text: str) -> None:
    value = field_value(text)
    assert value.isascii()
    assert value.isprintable()
    assert value == value.strip()
    assert unquote_to_bytes(value).decode("utf-8", "surrogatepass") == text


def test_no_two_claims_have_the_same_field_value() -> None:
    texts = {*TEXTS, *(field_value(text) for text in TEXTS), *(unquote(text) for text in TEXTS)}
    assert len({field_value(text) for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("template", "claims", "value"),
    [
        pytest.param("static", {}, "static", id="no placeholder"),
        pytest.param("", {}, "", id="empty"),
        pytest.param("{sub}", {}, "u1", id="the subject"),
        pytest.param("{sub}", {"sub": "other"}, "u1", id="the subject is the session's"),
        pytest.param("u={email};n={age}", {"email": "a@op.example", "age": 7}, "u=a@op.example;n=7", id="several"),
        pytest.param("{name}", {"name": "Zoë {sub}"}, "Zo%C3%AB {sub}", id="a claim is no template"),
        pytest.param("{name}", {"name": "a\r\nb"}, "a%0D%0Ab", id="a line break"),
        pytest.param("{https://op.example/role}", {"https://op.example/role": "r"}, "r", id="a claim that is a URL"),
        pytest.param("{email}", {}, None, id="an absent claim"),
        pytest.param("u={sub};m={email}", {}, None, id="one of two absent"),
        pytest.param("{groups}", {"groups": ["a", 7, "b,c"]}, "a,7,b%2Cc", id="a list, its commas encoded"),
        pytest.param("{groups}", {"groups": []}, None, id="an empty list"),
        pytest.param("{groups}", {"groups": [True, None, ["a"]]}, None, id="a list without a text"),
        pytest.param("{groups}", {"groups": ["a\r\nb", "c"]}, "a%0D%0Ab,c", id="a line break in a list"),
        pytest.param("{address.locality}", {"address": {"locality": "Rom"}}, "Rom", id="a path into an object"),
        pytest.param("{address}", {"address": {"locality": "Rom"}}, None, id="an object is no text"),
        pytest.param("{email_verified}", {"email_verified": True}, None, id="true is no text"),
        pytest.param("{height}", {"height": 1.5}, None, id="a fraction is no text"),
        pytest.param("{email}", {"email": None}, None, id="null"),
        pytest.param("{}", {}, "{}", id="an empty placeholder is literal"),
        pytest.param("{ sub }", {}, "{ sub }", id="spaces are literal"),
        pytest.param("{sub", {}, "{sub", id="not closed"),
        pytest.param("{{sub}}", {}, "{u1}", id="within braces"),
        pytest.param("{realm_access.roles}", {"realm_access": {"roles": ["a", "b"]}}, "a,b", id="inside another"),
        pytest.param("{claims.realm_access.roles}", {"realm_access": {"roles": ["a"]}}, "a", id="by its long name"),
        pytest.param("{claims.email}", {"email": "a@op.example"}, "a@op.example", id="a plain one by its long name"),
        pytest.param("{claims.x}", {"claims.x": "own"}, "own", id="one that is really called so"),
        pytest.param("{claims.claims}", {"email": "x"}, None, id="none of that name"),
    ],
)
def test_templates(template: str, claims: Mapping[str, object], value: str | None) -> None:
    assert fill_template(template, session(claims)) == value


@pytest.mark.parametrize(
    ("template", "value"),
    [pytest.param("static", "static", id="static"), pytest.param("{sub}", None, id="nobody is signed in")],
)
def test_templates_without_a_session(template: str, value: str | None) -> None:
    assert fill_template(template, None) == value


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        pytest.param({"Authorization": "Basic abc"}, [("authorization", "Basic abc")], id="Authorization"),
        pytest.param({"Authorization": "Basic {absent}"}, [], id="Authorization that cannot be filled"),
        pytest.param({"x-key": "1", "X-Key": "2"}, [("authorization", "Bearer the-access-token"), ("x-key", "2")],
                     id="the same name twice"),
    ],
)  # fmt: skip
def test_a_configured_header_replaces_ours(configured: Mapping[str, str], expected: Headers) -> None:
    route = replace(PLAIN, token=Token.ACCESS_TOKEN, request_headers=configured)
    assert route_headers(route, session(), BEARER) == expected


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-User", "Forwarded"])
def test_no_field_goes_out_twice(name: str) -> None:
    route = replace(UPSTREAM, request_headers={name: "configured"})
    rules = header_rules(COOKIES, "https://app.example", [route])
    given = inner_headers([], target(), route, session(), rules, BEARER)
    assert [value for other, value in given if other == name.lower()] == ["configured"]


@pytest.mark.parametrize(
    ("members", "strip_prefix", "expected"),
    [
        pytest.param(
            {},
            "",
            {
                "x-forwarded-for": "203.0.113.9",
                "x-forwarded-proto": "https",
                "x-forwarded-host": "app.example",
                "forwarded": 'for=203.0.113.9;host="app.example";proto=https',
            },
            id="IPv4",
        ),
        pytest.param(
            {"REMOTE_ADDR": "2001:db8::1", "HTTP_HOST": "[2001:db8::2]:8443"},
            "",
            {
                "x-forwarded-for": "2001:db8::1",
                "x-forwarded-proto": "https",
                "x-forwarded-host": "app.example",
                "forwarded": 'for="[2001:db8::1]";host="app.example";proto=https',
            },
            id="IPv6 is in brackets and quotes (RFC 7239 6)",
        ),
        pytest.param(
            {"REMOTE_ADDR": ""},
            "/api",
            {
                "x-forwarded-for": "",
                "x-forwarded-proto": "https",
                "x-forwarded-host": "app.example",
                "forwarded": 'for=unknown;host="app.example";proto=https',
                "x-forwarded-prefix": "/api",
            },
            id="a Unix socket, with a prefix that is cut",
        ),
        pytest.param(
            {"HTTP_X_FORWARDED_FOR": "198.51.100.1", "HTTP_X_FORWARDED_PROTO": "http", "HTTP_X_FORWARDED_HOST": "evil"},
            "",
            {
                "x-forwarded-for": "203.0.113.9",
                "x-forwarded-proto": "https",
                "x-forwarded-host": "app.example",
                "forwarded": 'for=203.0.113.9;host="app.example";proto=https',
            },
            id="what an untrusted peer says is not passed on",
        ),
    ],
)
def test_where_a_request_came_from(members: Mapping[str, str], strip_prefix: str, expected: Mapping[str, str]) -> None:
    route = replace(PLAIN, strip_prefix=strip_prefix)
    assert dict(forwarded_headers(target(members), route, RULES)) == expected


def test_an_inner_app_cannot_overwrite_our_cookies() -> None:
    headers = [
        ("Set-Cookie", "theme=dark"),
        ("SET-COOKIE", "__Host-gateway=evil"),
        ("set-cookie", "gateway-tx-1=evil"),
        ("X-Other", "__Host-gateway=x"),
        ("Set-Cookie", "lang=de"),
    ]
    kept = [("Set-Cookie", "theme=dark"), ("X-Other", "__Host-gateway=x"), ("Set-Cookie", "lang=de")]
    assert response_headers(headers, COOKIES, personal=False) == kept
    assert response_headers(headers, COOKIES, personal=True) == [*kept, ("Cache-Control", "private")]


def test_what_an_answer_differs_by_is_said_beside_what_the_app_says() -> None:
    sent = [("Vary", "Accept"), ("Cache-Control", "max-age=60")]
    expected = [("Vary", "Accept"), ("Vary", "Cookie"), ("Cache-Control", "max-age=60, private")]
    assert response_headers(sent, COOKIES, personal=True, vary="Cookie") == expected
    assert response_headers(sent, COOKIES, personal=False) == sent


@pytest.mark.parametrize(
    ("sent", "passes"),
    [pytest.param(case["sent"], case["passes"], id=case["id"]) for case in corpora.read("header_sets")],
)
def test_sets_of_headers(sent: Sequence[Sequence[str]], passes: Sequence[Sequence[str]]) -> None:
    def given(headers: Sequence[Sequence[str]]) -> list[list[str]]:
        pairs = [(name, value) for name, value in headers]
        return [list(pair) for pair in inner_headers(pairs, target(), UPSTREAM, session(), RULES, BEARER)]

    ours = given([])
    assert given(sent) == [*passes, *ours]
    assert ["x-forwarded-user", "u1"] in ours
