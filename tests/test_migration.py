"""gateway migrate oauth2-proxy: all that it can be told is mapped or named, and nobody passes who did not before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.config import Settings, load_settings, parse_settings
from gateway.config_sources import ConfigurationError
from gateway.explanation import explained_members, session_of, target_of
from gateway.migration.conversion import Conversion, convert
from gateway.migration.given import read_command_line, read_file
from gateway.migration.options import Fate, known_options, options_table
from gateway.migration.paths import intersection, read_expression
from gateway.migration.report import Outcome

ROOT = Path(__file__).resolve().parent.parent
NOW = 1_796_000_000
SECRETS = {
    "GATEWAY_SESSION__SECRET": "thirty-two characters are enough",
    "GATEWAY_PROVIDER__CLIENT_SECRET": "the client's own secret",
}
LEAST = """
provider = "oidc"
oidc_issuer_url = "https://login.example.com"
client_id = "app"
client_secret = "hunter2"
cookie_secret = "0123456789abcdef"
redirect_url = "https://app.example/oauth2/callback"
email_domains = ["example.com"]
upstreams = ["http://127.0.0.1:3000/"]
"""
ALICE = {"email": "alice@example.com", "email_verified": True}
MALLORY = {"email": "mallory@evil.example", "email_verified": True}


def nothing_to_read(path: str) -> str:
    raise FileNotFoundError(path)


def converted(more: str = "", *, without: str = "", read: Callable[[str], str] = nothing_to_read) -> Conversion:
    least = re.sub(rf"(?m)^{without} = .*$", "", LEAST) if without else LEAST
    return convert(read_file(f"{least}\n{more}"), read=read)


def settings_of(made: Conversion, tmp_path: Path) -> Settings:
    """Load what was made as its user would."""
    (tmp_path / "config.yaml").write_text(made.text, encoding="utf-8")
    return load_settings(str(tmp_path / "config.yaml"), SECRETS)


def verdict(
    settings: Settings, path: str, claims: Mapping[str, Any] | None = None, *, method: str = "GET"
) -> tuple[str, str | None]:
    """Tell what becomes of a request, and where it goes."""
    target = target_of(method, f"https://app.example{path}", "127.0.0.1")
    provider = settings.providers["default"]
    session = None if claims is None else session_of(claims, "openid", "default", provider.issuer, NOW)
    told = explained_members(settings, target, session, NOW)
    return str(told["verdict"]), told["upstream"]  # type: ignore[return-value]


def outcomes(made: Conversion) -> dict[str, Outcome]:
    return {item.option: item.outcome for item in made.report.items}


def test_every_option_has_its_row() -> None:
    listed = (ROOT / "tests" / "corpus" / "oauth2_proxy_options.txt").read_text(encoding="utf-8").split()
    assert sorted(known_options()) == sorted(listed)


@pytest.mark.parametrize("name", sorted(known_options()))
def test_every_row_says_enough(name: str) -> None:
    option = known_options()[name]
    assert option.to or option.note
    assert option.access in ("", "restricts", "grants")
    assert not option.access or option.fate is Fate.UNSUPPORTED


def test_the_page_has_the_table() -> None:
    assert options_table() in (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", [name for name, option in known_options().items() if option.access == "restricts" and name != "config"]
)
def test_what_keeps_somebody_out_and_cannot_be_said_keeps_everybody_out(name: str, tmp_path: Path) -> None:
    assert verdict(settings_of(converted(), tmp_path), "/", ALICE) == ("allow", "http://127.0.0.1:3000")
    kind = known_options()[name].kind
    value = {"bool": "true", "list": '["x"]', "int": "1", "duration": '"1h"'}.get(kind, '"x"')
    made = converted(f"{name} = {value}")
    assert verdict(settings_of(made, tmp_path), "/", ALICE)[0] == "deny"
    assert (outcomes(made)[name], made.report.is_complete) == (Outcome.REFUSED, False)


def test_an_option_that_nobody_knows_keeps_everybody_out(tmp_path: Path) -> None:
    made = converted('allowed_grups = ["staff"]')
    assert outcomes(made)["allowed_grups"] is Outcome.UNKNOWN
    assert verdict(settings_of(made, tmp_path), "/", ALICE)[0] == "deny"


CASES = [
    pytest.param("", "/", ALICE, "allow", id="of-the-domain"),
    pytest.param("", "/", MALLORY, "forbid", id="of-another-domain"),
    pytest.param("", "/", {**ALICE, "email": "a@evil@example.com"}, "forbid", id="two-at-signs"),
    pytest.param("", "/", {**ALICE, "email_verified": False}, "forbid", id="not-verified"),
    pytest.param("", "/", None, "login", id="nobody"),
    pytest.param('allowed_groups = ["staff"]', "/", {**ALICE, "groups": ["staff"]}, "allow", id="of-the-group"),
    pytest.param('allowed_groups = ["staff"]', "/", {**ALICE, "groups": ["guests"]}, "forbid", id="of-another-group"),
    pytest.param('allowed_groups = ["staff"]', "/", ALICE, "forbid", id="of-no-group"),
    pytest.param('allowed_groups = ["staff"]', "/", {**MALLORY, "groups": ["staff"]}, "forbid", id="group-not-domain"),
    pytest.param('skip_auth_routes = ["^/public/"]', "/public/a", None, "allow", id="public"),
    pytest.param('skip_auth_routes = ["^/public/"]', "/publicity", None, "login", id="beside-public"),
    pytest.param('skip_auth_routes = ["^/public/"]', "/public/../admin", None, "refused", id="dots"),
    pytest.param('skip_auth_routes = ["GET=^/public$"]', "/public", None, "allow", id="public-by-method"),
    pytest.param('skip_auth_routes = ["^/a(dmin|bout)$"]', "/about", None, "allow", id="alternatives"),
    pytest.param('skip_auth_routes = ["^/a(dmin|bout)$"]', "/abou", None, "login", id="beside-alternatives"),
    pytest.param('skip_auth_routes = ["public"]', "/public", None, "login", id="an-expression-without-an-anchor"),
    pytest.param('skip_auth_routes = ["GET!=^/private"]', "/public", None, "login", id="a-negated-one"),
    pytest.param('skip_auth_routes = ["^/[a-z]+$"]', "/public", None, "login", id="a-class"),
    pytest.param('email_domains = ["*.example.com"]', "/", {**ALICE, "email": "a@x.example.com"}, "allow", id="below"),
    pytest.param('email_domains = ["*.example.com"]', "/", ALICE, "forbid", id="only-below"),
    pytest.param('skip_auth_routes = ["^/v1.0/"]', "/v1.0/x", None, "allow", id="a-dot"),
    pytest.param('skip_auth_routes = ["^/v1.0/"]', "/v1x0/x", None, "login", id="what-else-a-dot-finds"),
    pytest.param("skip_auth_preflight = true", "/", None, "login", id="preflight-and-a-get"),
]


@pytest.mark.parametrize(("more", "path", "claims", "wanted"), CASES)
def test_who_may_pass(more: str, path: str, claims: Mapping[str, Any] | None, wanted: str, tmp_path: Path) -> None:
    without = "email_domains" if "email_domains" in more else ""
    settings = settings_of(converted(more, without=without), tmp_path)
    if wanted == "refused":
        with pytest.raises(Exception, match="target_ambiguous"):
            verdict(settings, path, claims)
    else:
        assert verdict(settings, path, claims)[0] == wanted


@pytest.mark.parametrize(
    ("more", "counts", "other"),
    [
        pytest.param(
            'provider = "gitlab"\nallowed_groups = ["staff"]\ngitlab_groups = ["guests"]',
            {"groups": ["guests"]}, {"groups": ["staff"]}, id="gitlab",
        ),
        pytest.param(
            'provider = "keycloak-oidc"\nallowed_groups = ["staff"]\nkeycloak_groups = ["guests"]',
            {"groups": ["staff"]}, {"groups": ["guests"]}, id="keycloak-and-groups",
        ),
        pytest.param(
            'provider = "keycloak-oidc"\nallowed_roles = ["staff"]\nkeycloak_groups = ["guests"]',
            {"realm_access": {"roles": ["staff"]}}, {"groups": ["guests"]}, id="keycloak-and-roles",
        ),
        pytest.param(
            'provider = "keycloak-oidc"\nkeycloak_groups = ["guests"]',
            {"groups": ["guests"]}, {"groups": ["staff"]}, id="keycloak-alone",
        ),
    ],
)  # fmt: skip
def test_of_two_lists_of_groups_one_counts(
    more: str, counts: Mapping[str, Any], other: Mapping[str, Any], tmp_path: Path
) -> None:
    settings = settings_of(converted(more, without="provider"), tmp_path)
    assert verdict(settings, "/", {**ALICE, **counts})[0] == "allow"
    assert verdict(settings, "/", {**ALICE, **other})[0] == "forbid"


def test_a_star_before_a_domain_is_no_domain() -> None:
    assert not converted().problems
    assert converted('email_domains = ["*example.com"]', without="email_domains").problems


def test_another_method_than_the_public_one_needs_a_login(tmp_path: Path) -> None:
    settings = settings_of(converted('skip_auth_routes = ["GET=^/public$"]'), tmp_path)
    assert verdict(settings, "/public")[0] == "allow"
    assert verdict(settings, "/public", method="POST")[0] != "allow"


def test_each_path_has_its_upstream(tmp_path: Path) -> None:
    more = 'upstreams = ["http://127.0.0.1:3000/", "http://127.0.0.1:4000/api/", "http://127.0.0.1:5000/exact"]'
    settings = settings_of(converted(more, without="upstreams"), tmp_path)
    seen = {path: verdict(settings, path, ALICE)[1] for path in ("/", "/api/x", "/apix", "/exact", "/exact/x")}
    assert seen == {
        "/": "http://127.0.0.1:3000",
        "/api/x": "http://127.0.0.1:4000",
        "/apix": "http://127.0.0.1:3000",
        "/exact": "http://127.0.0.1:5000",
        "/exact/x": "http://127.0.0.1:3000",
    }


@pytest.mark.parametrize(
    ("more", "without", "option"),
    [
        pytest.param("", "email_domains", "email_domains", id="nobody-is-named"),
        pytest.param('authenticated_emails_file = "gone"', "email_domains", "authenticated_emails_file", id="a-file"),
        pytest.param('oidc_email_claim = "upn"', "", "oidc_email_claim", id="another-claim"),
        pytest.param('provider = "google"\nallowed_groups = ["x"]', "provider", "allowed_groups", id="google-groups"),
        pytest.param('upstreams = ["file:///srv/www#/"]', "upstreams", "upstreams", id="files"),
    ],
)
def test_what_cannot_be_told_lets_nobody_pass(more: str, without: str, option: str, tmp_path: Path) -> None:
    made = converted(more, without=without)
    assert outcomes(made)[option] is Outcome.REFUSED
    assert verdict(settings_of(made, tmp_path), "/", {**ALICE, "groups": ["x"]})[0] == "deny"


def test_addresses_in_a_file_are_those_that_pass(tmp_path: Path) -> None:
    more = 'authenticated_emails_file = "people"'
    made = converted(more, without="email_domains", read=lambda _: "# staff\nAlice@example.com\nbob@b.example, Bob\n")
    settings = settings_of(made, tmp_path)
    assert verdict(settings, "/", ALICE)[0] == "allow"
    assert verdict(settings, "/", MALLORY)[0] == "forbid"


def test_nginx_keeps_its_own_configuration(tmp_path: Path) -> None:
    more = 'upstreams = ["static://202"]\nreverse_proxy = true\nset_xauthrequest = true\npass_access_token = true'
    settings = settings_of(converted(more, without="upstreams"), tmp_path)
    assert (settings.forward_auth.enabled, settings.forward_auth.access_token) == (True, True)
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "::1/128"]
    assert settings.upstreams == {}


def test_nobody_is_believed_whom_oauth2_proxy_was_not_told_of(tmp_path: Path) -> None:
    settings = settings_of(converted("reverse_proxy = true"), tmp_path)
    assert [str(network) for network in settings.trusted_proxies] == ["127.0.0.1/32", "::1/128"]
    assert not settings.forward_auth.enabled


@pytest.mark.parametrize(
    ("more", "without", "issuer"),
    [
        pytest.param('provider = "google"', "provider", "https://accounts.google.com", id="google"),
        pytest.param('provider = "keycloak-oidc"', "provider", "https://login.example.com", id="keycloak"),
        pytest.param('provider = "github"\ngithub_users = ["alice"]', "provider", "https://github.com", id="github"),
        pytest.param('provider = "adfs"', "provider", "https://login.example.com", id="adfs"),
    ],
)
def test_the_provider(more: str, without: str, issuer: str, tmp_path: Path) -> None:
    assert settings_of(converted(more, without=without), tmp_path).providers["default"].issuer == issuer


def test_sessions_in_redis_and_their_times(tmp_path: Path) -> None:
    more = 'session_store_type = "redis"\nredis_connection_url = "redis://127.0.0.1:6379/3"\ncookie_expire = "8h"'
    settings = settings_of(converted(more), tmp_path)
    assert (settings.store.type, settings.lifetimes.absolute) == ("redis", 8 * 3600)


def test_no_secret_is_written_or_said() -> None:
    more = 'session_store_type = "redis"\nredis_connection_url = "redis://:hunter3@127.0.0.1:6379"\n'
    made = converted(f'{more}redis_sentinel_password = "hunter4"\nhtpasswd_file = "x"')
    told = f"{made.text}{made.report}{dict(made.secrets)}"
    assert not re.search("hunter[234]|0123456789abcdef", told)
    assert "GATEWAY_SESSION__STORE__URL" in made.secrets


@pytest.mark.parametrize("scheme", ["http", "file", "static"])
def test_a_password_in_the_address_of_an_upstream_is_not_written_and_nobody_passes(scheme: str, tmp_path: Path) -> None:
    made = converted(f'upstreams = ["{scheme}://user:hunter2@127.0.0.1:3000/"]', without="upstreams")
    assert "hunter2" not in f"{made.text}{made.report}{made.document}{made.problems}"
    assert (outcomes(made)["upstreams"], made.report.is_complete) == (Outcome.REFUSED, False)
    assert verdict(settings_of(made, tmp_path), "/", ALICE)[0] == "deny"


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda: read_file('email_domains = ["*"]\nskip_auth_preflight = true'), id="file"),
        pytest.param(
            lambda: read_file("export OAUTH2_PROXY_EMAIL_DOMAINS='*'\nOAUTH2_PROXY_SKIP_AUTH_PREFLIGHT=true"),
            id="lines",
        ),
        pytest.param(lambda: read_command_line(["--email-domain=*", "--skip-auth-preflight"]), id="command-line"),
        pytest.param(
            lambda: read_command_line(["oauth2-proxy", "--email-domain", "*", "-skip-auth-preflight=1"]), id="words"
        ),
    ],
)
def test_three_ways_of_saying_the_same(write: Callable[[], Any]) -> None:
    given = write()
    assert (given.listed("email_domains"), given.is_on("skip_auth_preflight"), given.unknown) == (("*",), True, ())


def test_an_empty_list_on_the_command_line_takes_the_place_of_the_files() -> None:
    file = read_file('skip_auth_routes = ["^/public$"]')
    assert read_command_line([]).over(file).listed("skip_auth_routes") == ("^/public$",)
    assert read_command_line(["--skip-auth-route="]).over(file).values == {}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("client_secret = hunter2", id="no-toml"),
        pytest.param('cookie_expire = "hunter2"', id="no-duration"),
        pytest.param('reverse_proxy = "hunter2"', id="no-switch"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_quotes_nothing(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_file(text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "fits", "fits_not"),
    [
        pytest.param("^/a$", ["/a"], ["/ab", "/a/b"], id="exact"),
        pytest.param("^/a/", ["/a/", "/a/b"], ["/a", "/ab"], id="below"),
        pytest.param("^/a(/|$)", ["/a", "/a/b"], ["/ab"], id="path-and-below"),
        pytest.param("^/a", ["/a", "/a/b"], ["/b/a"], id="prefix"),
        pytest.param("^/a/[^/]+/c$", ["/a/b/c"], ["/a/b/x/c", "/a/c"], id="one-segment"),
        pytest.param("^/(a|b)/c$", ["/a/c", "/b/c"], ["/c", "/ab/c"], id="alternatives"),
        pytest.param(r"^/a\.js$", ["/a.js"], ["/axjs"], id="an-escaped-dot"),
    ],
)
def test_no_pattern_fits_what_its_expression_does_not(expression: str, fits: list[str], fits_not: list[str]) -> None:
    reading = read_expression(expression)
    assert reading is not None
    rules = [{"path": pattern, "access": "public"} for pattern in reading.patterns]
    document = {"public_url": "https://app.example", "provider": {"issuer": "https://op.example", "client_id": "app"}}
    settings = load_rules({**document, "routes": rules, "upstream": "http://127.0.0.1:3000"})
    for path in fits:
        assert re.search(expression, path)
        assert verdict(settings, path)[0] == "allow", path
    for path in fits_not:
        assert verdict(settings, path)[0] == "login", path


def load_rules(document: Mapping[str, object]) -> Settings:
    return parse_settings(document, SECRETS)


@pytest.mark.parametrize(
    "expression",
    [
        "a", "^/a+", "^/a?$", "(?i)^/a", r"^/\d+$", "^/a.*b$", "^/(?!x)", "^//a", "^/a|/b", "^/%2e",
        r"^/(a\|b)$", r"^/\(-|_\)$", r"^/-(\|)$",
    ],
)  # fmt: skip
def test_what_no_pattern_says(expression: str) -> None:
    assert read_expression("^/a$") is not None
    assert read_expression(expression) is None


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("/a/**", "/**", "/a/**"), ("/a/**", "/a/b", "/a/b"), ("/*/b", "/a/*", "/a/b"), ("/a", "/b", None),
        ("/a/**", "/b/**", None), ("/a", "/a/**", "/a"), ("/a/", "/a/*", None),
    ],
)  # fmt: skip
def test_what_two_patterns_both_fit(one: str, other: str, both: str | None) -> None:
    assert intersection(one, other) == intersection(other, one) == both


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["migrate", "oauth2-proxy", *words])


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("proxy.cfg").write_text(LEAST, encoding="utf-8")
    done = run("proxy.cfg")
    assert (done.exit_code, "public_url: https://app.example" in done.stdout) == (0, True)
    assert "to set       GATEWAY_SESSION__SECRET" in done.stderr
    assert "hunter2" not in done.output

    closed = run("proxy.cfg", "--", "--skip-auth-regex=x+")
    assert (closed.exit_code, "stays behind the login" in closed.stderr) == (1, True)
    assert run("proxy.cfg", "--lenient", "--", "--skip-auth-regex=x+").exit_code == 0

    assert run("proxy.cfg", "--output", "config.yaml").exit_code == 0
    there = run("proxy.cfg", "--output", "config.yaml")
    assert (there.exit_code, "is there already" in there.stderr) == (2, True)
    told = json.loads(run("proxy.cfg", "--json").stdout)
    assert (told["complete"], told["config"]["public_url"]) == (True, "https://app.example")


@pytest.mark.parametrize(
    "words", [pytest.param((), id="nothing"), pytest.param(("gone.cfg",), id="a-file-that-is-not-there")]
)
def test_the_command_without_anything_to_read(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.exit_code, done.stdout) == (2, "")
