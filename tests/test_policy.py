"""Who may see what (DESIGN 3.3, 3.5 and 5 rule 9): routes, the readings of a path, and decisions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from samples import SESSION

from gateway.condition import Condition
from gateway.errors import GatewayError
from gateway.oidc.challenge import StepUp
from gateway.policy import Verdict, decide, decide_all, fitting_session, match, match_all
from gateway.route import Access, Requirement, Route, compile_pattern
from gateway.session import Session
from gateway.target import RequestTarget, read_target

ORIGIN = "https://app.example"
NOW = 2000


def target(path: str, method: str = "GET", headers: Mapping[str, str] | None = None) -> RequestTarget:
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "RAW_URI": path,
        "HTTP_HOST": "app.example",
        **(headers or {}),
    }
    return read_target(environ, ())


def route(path: str, access: Access = Access.REQUIRED, methods: tuple[str, ...] = ()) -> Route:
    return Route(path=path, pattern=compile_pattern(path), access=access, methods=frozenset(methods))


def wants(claims: Mapping[str, frozenset[str]], acr: tuple[str, ...] = ()) -> Requirement:
    return Requirement(condition=Condition(claims=claims), acr=acr)


def slashed(path: str) -> Route:
    return Route(path=path, pattern=compile_pattern(path), access=Access.PUBLIC, allow_encoded_slash=True)


def session(claims: Mapping[str, object] | None = None, scope: str = "openid read") -> Session:
    return replace(SESSION, claims={"sub": "u1", **(claims or {})}, scope=scope)


DEFAULT = route("/**")


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        pytest.param("/a", "/a", True, id="exact"),
        pytest.param("/a", "/a/", False, id="exact, not with a slash"),
        pytest.param("/a", "/ab", False, id="exact, not as a prefix"),
        pytest.param("/a", "/x/a", False, id="exact, not as a suffix"),
        pytest.param("/a.b", "/axb", False, id="a dot is a dot"),
        pytest.param("/a+(b)", "/a+(b)", True, id="signs of regular expressions are literal"),
        pytest.param("/a/*", "/a/b", True, id="star, one segment"),
        pytest.param("/a/*", "/a/", False, id="star, not an empty segment"),
        pytest.param("/a/*", "/a", False, id="star, not the path itself"),
        pytest.param("/a/*", "/a/b/c", False, id="star, not two segments"),
        pytest.param("/a/*/c", "/a/b/c", True, id="star inside"),
        pytest.param("/a/*/c", "/a/b/x/c", False, id="star inside, not two segments"),
        pytest.param("/v1/*:delete", "/v1/x:delete", True, id="star before a text"),
        pytest.param("/a/**", "/a", True, id="two stars, the path itself"),
        pytest.param("/a/**", "/a/", True, id="two stars, with a slash"),
        pytest.param("/a/**", "/a/b/c", True, id="two stars, all below"),
        pytest.param("/a/**", "/ab", False, id="two stars, not a longer name"),
        pytest.param("/*/b/**", "/a/b/c", True, id="both"),
        pytest.param("/**", "/", True, id="everything, the root"),
        pytest.param("/**", "/a/b", True, id="everything"),
        pytest.param("/caf\u00e9/**", "/caf%C3%A9/x", True, id="not ASCII"),
        pytest.param("/caf%c3%a9/**", "/caf%C3%A9/x", True, id="escapes in lower case"),
        pytest.param("/%61", "/a", True, id="escapes that need not be"),
    ],
)
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert route(pattern).fits("GET", path) is fits


@pytest.mark.parametrize(
    ("methods", "method", "fits"),
    [
        pytest.param((), "DELETE", True, id="no methods means all"),
        pytest.param(("GET", "POST"), "POST", True, id="listed"),
        pytest.param(("GET", "POST"), "DELETE", False, id="not listed"),
        pytest.param(("GET",), "HEAD", True, id="HEAD goes wherever GET does"),
        pytest.param(("POST",), "HEAD", False, id="HEAD without GET"),
        pytest.param(("HEAD",), "GET", False, id="GET does not go wherever HEAD does"),
    ],
)
def test_methods(methods: tuple[str, ...], method: str, fits: bool) -> None:
    assert route("/a", methods=methods).fits(method, "/a") is fits


ROUTES = (
    route("/public/admin", Access.DENY),
    route("/public/**", Access.PUBLIC),
    route("/api/admin/**", Access.DENY),
    route("/api/**", Access.OPTIONAL, ("GET",)),
    route("/v1/*:delete", Access.DENY),
    route("/geheim-\u00fc/**", Access.DENY),
)


@pytest.mark.parametrize(
    ("method", "path", "pattern"),
    [
        pytest.param("GET", "/public/admin", "/public/admin", id="first match wins"),
        pytest.param("GET", "/public/x", "/public/**", id="second match"),
        pytest.param("GET", "/api/x", "/api/**", id="method fits"),
        pytest.param("HEAD", "/api/x", "/api/**", id="HEAD as GET"),
        pytest.param("POST", "/api/x", "/**", id="method does not fit"),
        pytest.param("GET", "/other", "/**", id="nothing fits: the default"),
        pytest.param("GET", "/public/%61dmin", "/public/admin", id="encoded letters do not hide it"),
        pytest.param("GET", "/geheim-%c3%bc/x", "/geheim-\u00fc/**", id="not ASCII"),
        pytest.param("GET", "/public/a;x=1", "/public/**", id="parameters that lead nowhere else"),
        pytest.param("GET", "/public/%40x", "/public/**", id="encoded sign that leads nowhere else"),
        pytest.param("GET", "/public/%252e%252e/api/admin", "/public/**", id="encoded twice is a name"),
    ],
)
def test_routes_match_first_to_last(method: str, path: str, pattern: str) -> None:
    assert match(ROUTES, DEFAULT, target(path, method)).path == pattern


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/api;x=1/admin", id="parameters hide a route"),
        pytest.param("GET", "/api/admin;x=1", id="parameters at the end hide a route"),
        pytest.param("GET", "/public/admin;", id="empty parameter hides a route"),
        pytest.param("GET", "/public/admin%3Bx", id="encoded parameter hides a route"),
        pytest.param("POST", "/v1/x%3Adelete", id="encoded colon hides a route"),
        pytest.param("POST", "/v1/x%3adelete;y", id="encoded colon and parameters hide a route"),
        pytest.param("GET", "/public;x/a", id="parameters lead from the default to a public route"),
    ],
)
def test_a_path_that_another_server_reads_as_another_route_is_refused(method: str, path: str) -> None:
    assert match(ROUTES, DEFAULT, target("/api/a;x=1")).path == "/api/**"
    with pytest.raises(GatewayError) as error:
        match(ROUTES, DEFAULT, target(path, method))
    assert error.value.code == "target_ambiguous"


SLASHED = (route("/files/private/**", Access.DENY), slashed("/files/**"), slashed("/projects/*"), route("/plain/**"))


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        pytest.param("/files/a%2Fb", "/files/**", id="allowed below a path"),
        pytest.param("/projects/group%2fname", "/projects/*", id="allowed in one segment"),
    ],
)
def test_an_encoded_slash_where_the_route_allows_it(path: str, pattern: str) -> None:
    assert match(SLASHED, DEFAULT, target(path)).path == pattern


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/plain/a%2Fb", id="not allowed"),
        pytest.param("/other%2Fb", id="not allowed by the default"),
        pytest.param("/files%2Fprivate", id="not allowed before the route"),
        pytest.param("/files/private%2Fx", id="leads past another route"),
        pytest.param("/files/%2Fprivate%2Fx", id="leads past another route, slashes merged"),
        pytest.param("/files/private;y%2Fx", id="leads past another route, parameters cut"),
        pytest.param("/files/privat%65%2Fx", id="leads past another route, letters encoded"),
    ],
)
def test_an_encoded_slash_that_is_refused(path: str) -> None:
    assert match(SLASHED, DEFAULT, target("/files/a%2Fb")).path == "/files/**"
    with pytest.raises(GatewayError) as error:
        match(SLASHED, DEFAULT, target(path))
    assert error.value.code == "target_ambiguous"


@pytest.mark.parametrize(
    ("access", "signed_in", "verdict", "code"),
    [
        pytest.param(Access.PUBLIC, False, Verdict.ALLOW, None, id="public"),
        pytest.param(Access.PUBLIC, True, Verdict.ALLOW, None, id="public, signed in"),
        pytest.param(Access.OPTIONAL, False, Verdict.ALLOW, None, id="optional"),
        pytest.param(Access.OPTIONAL, True, Verdict.ALLOW, None, id="optional, signed in"),
        pytest.param(Access.REQUIRED, False, Verdict.LOGIN, "login_required", id="required"),
        pytest.param(Access.REQUIRED, True, Verdict.ALLOW, None, id="required, signed in"),
        pytest.param(Access.DENY, False, Verdict.DENY, "not_found", id="deny"),
        pytest.param(Access.DENY, True, Verdict.DENY, "not_found", id="deny, signed in"),
    ],
)
def test_access(access: Access, signed_in: bool, verdict: Verdict, code: str | None) -> None:
    decision = decide(
        route("/a", access), session() if signed_in else None, target("/a"), public_origin=ORIGIN, now=NOW
    )
    assert decision.verdict is verdict
    assert (decision.problem.code if decision.problem else None) == code


SAME_SITE = {"HTTP_SEC_FETCH_SITE": "same-origin"}


@pytest.mark.parametrize(
    ("method", "headers", "verdict"),
    [
        pytest.param("POST", SAME_SITE, Verdict.ALLOW, id="same origin by Fetch Metadata"),
        pytest.param("POST", {"HTTP_ORIGIN": ORIGIN}, Verdict.ALLOW, id="same origin by Origin"),
        pytest.param("GET", {"HTTP_SEC_FETCH_SITE": "cross-site"}, Verdict.ALLOW, id="safe method"),
        pytest.param("HEAD", {"HTTP_ORIGIN": "https://evil.example"}, Verdict.ALLOW, id="HEAD is safe"),
        pytest.param("OPTIONS", {}, Verdict.ALLOW, id="OPTIONS is safe"),
        pytest.param("POST", {}, Verdict.FORBID, id="no proof"),
        pytest.param("POST", {"HTTP_SEC_FETCH_SITE": "cross-site"}, Verdict.FORBID, id="cross-site"),
        pytest.param("POST", {"HTTP_SEC_FETCH_SITE": "same-site"}, Verdict.FORBID, id="sibling domain"),
        pytest.param("POST", {"HTTP_SEC_FETCH_SITE": "none"}, Verdict.FORBID, id="no site"),
        pytest.param(
            "POST",
            {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": ORIGIN},
            Verdict.FORBID,
            id="Fetch Metadata outweighs Origin",
        ),
        pytest.param("DELETE", {"HTTP_ORIGIN": "https://evil.example"}, Verdict.FORBID, id="another origin"),
        pytest.param("PUT", {"HTTP_ORIGIN": "null"}, Verdict.FORBID, id="null origin"),
        pytest.param("PATCH", {"HTTP_ORIGIN": f"{ORIGIN}.evil.example"}, Verdict.FORBID, id="own origin as a prefix"),
        pytest.param("POST", {"HTTP_ORIGIN": "http://app.example"}, Verdict.FORBID, id="own host over http"),
        pytest.param("PROPFIND", {}, Verdict.FORBID, id="unknown methods are unsafe"),
    ],
)
@pytest.mark.parametrize("access", [Access.REQUIRED, Access.OPTIONAL])
def test_unsafe_methods_need_same_origin_proof(
    access: Access, method: str, headers: dict[str, str], verdict: Verdict
) -> None:
    decision = decide(route("/a", access), session(), target("/a", method, headers), public_origin=ORIGIN, now=NOW)
    assert decision.verdict is verdict
    if verdict is Verdict.FORBID:
        assert decision.problem
        assert decision.problem.code == "cross_site_refused"


def test_without_a_session_an_unsafe_method_is_asked_to_log_in() -> None:
    decision = decide(route("/a"), None, target("/a", "POST"), public_origin=ORIGIN, now=NOW)
    assert decision.verdict is Verdict.LOGIN


def demanding(claims: Mapping[str, frozenset[str]], scope: frozenset[str]) -> Route:
    requirement = Requirement(condition=Condition(claims=claims, scope=scope))
    return Route(path="/a", pattern=compile_pattern("/a"), requirement=requirement)


STAFF = {"groups": frozenset({"staff", "admin"})}
VERIFIED = {"email_verified": frozenset({"true"})}


@pytest.mark.parametrize(
    ("wanted", "claims", "allowed"),
    [
        pytest.param(STAFF, {"groups": ["users", "staff"]}, True, id="one of a list"),
        pytest.param(STAFF, {"groups": "admin"}, True, id="a text"),
        pytest.param(STAFF, {"groups": ["users"]}, False, id="none of a list"),
        pytest.param(STAFF, {"groups": []}, False, id="empty list"),
        pytest.param(STAFF, {}, False, id="no such claim"),
        pytest.param(STAFF, {"groups": None}, False, id="null"),
        pytest.param(STAFF, {"groups": "users staff"}, False, id="a text is not split"),
        pytest.param(STAFF, {"groups": ["staff2"]}, False, id="not as a prefix"),
        pytest.param(STAFF, {"groups": ["STAFF"]}, False, id="not in another case"),
        pytest.param(STAFF, {"groups": {"staff": True}}, False, id="an object"),
        pytest.param(STAFF, {"groups": [["staff"]]}, False, id="a list in a list"),
        pytest.param(VERIFIED, {"email_verified": True}, True, id="true"),
        pytest.param(VERIFIED, {"email_verified": "true"}, True, id="true as a text"),
        pytest.param(VERIFIED, {"email_verified": False}, False, id="false"),
        pytest.param(VERIFIED, {"email_verified": 1}, False, id="1 is not true"),
        pytest.param({"level": frozenset({"3"})}, {"level": 3}, True, id="number"),
        pytest.param({"level": frozenset({"3"})}, {"level": 33}, False, id="another number"),
        pytest.param({**STAFF, **VERIFIED}, {"groups": "staff"}, False, id="every claim counts"),
        pytest.param({**STAFF, **VERIFIED}, {"groups": "staff", "email_verified": True}, True, id="both claims"),
        pytest.param({"groups": frozenset()}, {"groups": "staff"}, False, id="nobody has one of none"),
    ],
)
def test_claims(wanted: dict[str, frozenset[str]], claims: dict[str, object], allowed: bool) -> None:
    decision = decide(demanding(wanted, frozenset()), session(claims), target("/a"), public_origin=ORIGIN, now=NOW)
    assert decision.verdict is (Verdict.ALLOW if allowed else Verdict.FORBID)
    assert (decision.problem is None) is allowed
    if decision.problem:
        assert decision.problem.code == "access_denied"


@pytest.mark.parametrize(
    ("granted", "allowed"),
    [
        pytest.param("openid read write", True, id="all and more"),
        pytest.param("write  read", True, id="in any order"),
        pytest.param("openid read", False, id="one is missing"),
        pytest.param("", False, id="none"),
        pytest.param("readwrite", False, id="not as parts of a word"),
        pytest.param("read Write", False, id="not in another case"),
    ],
)
def test_scope(granted: str, allowed: bool) -> None:
    wanted = demanding({}, frozenset({"read", "write"}))
    decision = decide(wanted, session(scope=granted), target("/a"), public_origin=ORIGIN, now=NOW)
    assert decision.verdict is (Verdict.ALLOW if allowed else Verdict.FORBID)


def test_the_log_is_told_what_is_lacking_and_the_public_is_not() -> None:
    decision = decide(demanding(STAFF, frozenset()), session(), target("/a"), public_origin=ORIGIN, now=NOW)
    assert decision.detail == "lacks claim groups"
    assert decision.problem
    assert "groups" not in decision.problem.title + decision.problem.advice


def test_an_optional_route_holds_a_session_to_its_requirement() -> None:
    wanted = Route(
        path="/a",
        pattern=compile_pattern("/a"),
        access=Access.OPTIONAL,
        requirement=wants(STAFF),
    )
    assert decide(wanted, None, target("/a"), public_origin=ORIGIN, now=NOW).verdict is Verdict.ALLOW
    assert (
        decide(wanted, session({"groups": "staff"}), target("/a"), public_origin=ORIGIN, now=NOW).verdict
        is Verdict.ALLOW
    )
    assert decide(wanted, session(), target("/a"), public_origin=ORIGIN, now=NOW).verdict is Verdict.FORBID


@pytest.mark.parametrize(
    ("demand", "claims", "demanded"),
    [
        pytest.param({"acr": ("gold", "silver")}, {"acr": "silver"}, None, id="one of the classes"),
        pytest.param({"acr": ("gold",)}, {"acr": "silver"}, StepUp(acr_values=("gold",)), id="a weaker class"),
        pytest.param({"acr": ("gold",)}, {}, StepUp(acr_values=("gold",)), id="no class"),
        pytest.param({"acr": ("gold",)}, {"acr": None}, StepUp(acr_values=("gold",)), id="null"),
        pytest.param({"acr": ("gold",)}, {"acr": ["gold"]}, StepUp(acr_values=("gold",)), id="a list is no class"),
        pytest.param({"acr": ("gold",)}, {"acr": "gold silver"}, StepUp(acr_values=("gold",)), id="it is not split"),
        pytest.param({"acr": ("gold",)}, {"acr": "GOLD"}, StepUp(acr_values=("gold",)), id="not in another case"),
        pytest.param({"acr": ("1",)}, {"acr": 1}, StepUp(acr_values=("1",)), id="a number is no class"),
        pytest.param({"max_age": 60}, {"auth_time": NOW - 60}, None, id="as old as it may be"),
        pytest.param({"max_age": 60}, {"auth_time": NOW - 61}, StepUp(max_age=60), id="a second older"),
        pytest.param({"max_age": 60}, {"auth_time": NOW - 60.5}, StepUp(max_age=60), id="half a second older"),
        pytest.param({"max_age": 60}, {}, StepUp(max_age=60), id="nobody knows how old"),
        pytest.param({"max_age": 60}, {"auth_time": str(NOW)}, StepUp(max_age=60), id="a time that is a text"),
        pytest.param({"max_age": 60}, {"auth_time": True}, StepUp(max_age=60), id="true is no time of today"),
        pytest.param({"max_age": 60}, {"auth_time": None}, StepUp(max_age=60), id="a time that is null"),
        pytest.param(
            {"acr": ("gold",), "max_age": 60},
            {"acr": "gold", "auth_time": NOW - 61},
            StepUp(acr_values=("gold",), max_age=60),
            id="strong but old: both are asked for again",
        ),
        pytest.param({"acr": ("gold",), "max_age": 60}, {"acr": "gold", "auth_time": NOW}, None, id="both"),
        pytest.param({}, {}, None, id="nothing is demanded"),
    ],
)
def test_a_login_that_is_too_weak_is_asked_for_a_stronger_one(
    demand: dict[str, Any], claims: dict[str, object], demanded: StepUp | None
) -> None:
    wanted = replace(route("/a"), requirement=Requirement(**demand))
    decision = decide(wanted, session(claims), target("/a"), public_origin=ORIGIN, now=NOW)
    assert decision.step_up == demanded
    assert decision.verdict is (Verdict.ALLOW if demanded is None else Verdict.STEP_UP)
    assert (decision.problem.code if decision.problem else None) == (None if demanded is None else "step_up_required")


@pytest.mark.parametrize(
    ("requirement", "claims", "verdict", "code"),
    [
        pytest.param(
            wants(STAFF, acr=("gold",)), {}, Verdict.FORBID, "access_denied",
            id="nobody signs in again for what a stronger login would not open",
        ),
        pytest.param(
            wants(STAFF, acr=("gold",)), {"groups": "staff"}, Verdict.STEP_UP, "step_up_required",
            id="the rest is there",
        ),
        pytest.param(
            wants(STAFF), {"_claim_names": {"groups": "src1"}}, Verdict.FORBID, "groups_overage",
            id="the groups are elsewhere",
        ),
        pytest.param(
            wants(STAFF), {"hasgroups": True}, Verdict.FORBID, "groups_overage", id="too many groups"
        ),
        pytest.param(
            wants(STAFF), {"_claim_names": {"groups": "src1"}, "groups": ["staff"]}, Verdict.ALLOW, None,
            id="the groups are there all the same",
        ),
        pytest.param(
            wants(STAFF), {"_claim_names": {"groups": "src1"}, "groups": ["x"]}, Verdict.FORBID,
            "access_denied", id="they are there, and do not suffice",
        ),
        pytest.param(
            wants(VERIFIED), {"_claim_names": {"groups": "src1"}, "email_verified": True}, Verdict.ALLOW,
            None, id="what is elsewhere is not asked for",
        ),
        pytest.param(
            wants({"realm_access.roles": frozenset({"admin"})}), {"realm_access": {"roles": ["admin"]}},
            Verdict.ALLOW, None, id="a path into an object",
        ),
        pytest.param(
            wants({"realm_access.roles": frozenset({"admin"})}), {"realm_access": {"roles": ["user"]}},
            Verdict.FORBID, "access_denied", id="another value there",
        ),
    ],
)  # fmt: skip
def test_which_refusal_comes_first(
    requirement: Requirement, claims: dict[str, object], verdict: Verdict, code: str | None
) -> None:
    wanted = replace(route("/a"), requirement=requirement)
    decision = decide(wanted, session(claims), target("/a"), public_origin=ORIGIN, now=NOW)
    assert (decision.verdict, decision.problem.code if decision.problem else None) == (verdict, code)


def test_a_request_of_another_site_begins_no_stronger_login() -> None:
    wanted = replace(route("/a"), requirement=Requirement(acr=("gold",)))
    decision = decide(wanted, session(), target("/a", "POST"), public_origin=ORIGIN, now=NOW)
    assert (decision.verdict, decision.step_up) == (Verdict.FORBID, None)


def test_several_rules_hold_together() -> None:
    weak, strong = route("/a"), replace(route("/A"), requirement=Requirement(acr=("gold",)))
    for rules in ((weak, strong), (strong, weak)):
        assert decide_all(rules, session({"acr": "gold"}), target("/a"), public_origin=ORIGIN, now=NOW).problem is None
        decision = decide_all(rules, session(), target("/a"), public_origin=ORIGIN, now=NOW)
        assert (decision.verdict, decision.step_up) == (Verdict.STEP_UP, StepUp(acr_values=("gold",)))


@pytest.mark.parametrize(
    ("providers", "fits"),
    [
        pytest.param(("",), True, id="any provider"),
        pytest.param(("staff",), True, id="this one"),
        pytest.param(("partners",), False, id="another"),
        pytest.param(("STAFF",), False, id="in another case it is another"),
        pytest.param(("staff", ""), True, id="this one, and any"),
        pytest.param(("", "partners"), False, id="a lenient reading leads to another"),
        pytest.param(("staff", "partners"), False, id="two that no login can satisfy"),
        pytest.param((), True, id="no rule"),
    ],
)
def test_a_session_counts_where_its_provider_does(providers: tuple[str, ...], fits: bool) -> None:
    signed_in = replace(session(), provider="staff")
    rules = [replace(route("/a"), provider=name) for name in providers]
    assert fitting_session(rules, signed_in) == (signed_in if fits else None)
    assert fitting_session(rules, None) is None


@pytest.mark.parametrize(
    ("hosts", "host", "fits"),
    [
        pytest.param((), "anything.example", True, id="no hosts means all"),
        pytest.param(("a.example",), "a.example", True, id="exact"),
        pytest.param(("a.example",), "A.Example", True, id="case"),
        pytest.param(("a.example",), "a.example:8443", True, id="port"),
        pytest.param(("a.example",), "a.example.", True, id="dot at the end"),
        pytest.param(("a.example",), "a.example.:8443", True, id="dot at the end and port"),
        pytest.param(("a.example",), "x.a.example", False, id="exact, nothing below"),
        pytest.param(("a.example",), "a.example.evil", False, id="a longer name after"),
        pytest.param(("a.example",), "evila.example", False, id="a longer name before"),
        pytest.param(("*.a.example",), "x.a.example", True, id="below"),
        pytest.param(("*.a.example",), "x.y.a.example:1", True, id="far below"),
        pytest.param(("*.a.example",), "a.example", False, id="below, not the name itself"),
        pytest.param(("*.a.example",), "evila.example", False, id="below, not a longer name"),
        pytest.param(("b.example", "a.example"), "a.example", True, id="one of two"),
        pytest.param(("[::1]",), "[::1]:80", True, id="IPv6"),
    ],
)
def test_hosts(hosts: tuple[str, ...], host: str, fits: bool) -> None:
    ruled = replace(route("/a", Access.DENY), hosts=hosts)
    asked = target("/a", headers={"HTTP_HOST": host})
    assert match([ruled], DEFAULT, asked) is (ruled if fits else DEFAULT)
    assert (ruled in match_all([ruled], DEFAULT, target("/A", headers={"HTTP_HOST": host}))) is fits


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/%252e%252e/admin", id="decoded twice, dots"),
        pytest.param("/%252fadmin", id="decoded twice, two slashes"),
        pytest.param("/%255cadmin", id="decoded twice, a backslash"),
        pytest.param("/%255cadmin.", id="decoded twice, a backslash, and a dot at the end"),
        pytest.param("/%2561dmin%2520", id="decoded twice, and a space at the end"),
        pytest.param("/x/%252e%252e%252fadmin%253bx", id="decoded twice, and parameters cut"),
        pytest.param("/%2541DMIN/", id="decoded twice, in another case, with a slash"),
    ],
)
def test_what_is_lenient_in_one_way_is_so_in_another(path: str) -> None:
    """Found by test_differential.py: a server that decodes twice may do other things as well."""
    admin = route("/admin", Access.DENY)
    assert admin in match_all([admin], DEFAULT, target(path))
    assert match_all([admin], DEFAULT, target("/%252fother")) == (DEFAULT,)
