"""Several providers in one gateway: the choice, the route's provider, and one that fails beside one that does not."""

import re
from html import unescape

import pytest
from harness import ORIGIN, error_code, unready
from multi import EVIL, HONEST, ROUTES, run_two

DOWN = {
    name: {f"provider {name} {part}": "provider_unreachable" for part in ("metadata", "keys")}
    for name in ("honest", "evil")
}
HOSTILE_TITLE = "<script>alert(\"x\")</script> & 'friends'"


def links(text: str) -> list[tuple[str, str]]:
    """Read the links of the choice: address and title, as a browser would."""
    return [
        (unescape(url), unescape(title))
        for url, title in re.findall(r'<a class="button[^"]*" href="([^"]*)">(.*?)</a>', text)
    ]


def test_the_choice_has_a_link_for_each_and_keeps_where_the_user_was_going() -> None:
    with run_two(evil={"title": HOSTILE_TITLE}, honest={"title": "Ours"}) as two:
        page = two.browser.navigate(f"{ORIGIN}/any/page?a=b&c=%2Fd")

        assert page.url.partition("?")[0] == f"{ORIGIN}/oauth2/start"
        assert "<script>alert" not in page.text
        (honest, title), (_, hostile) = links(page.text)
        assert (title, hostile) == ("Ours", HOSTILE_TITLE)
        assert two.honest.requests == two.evil.requests == []

        page = two.browser.open_link(honest)

        assert (page.status, page.url) == (200, f"{ORIGIN}/any/page?a=b&c=%2Fd")
        assert [len(two.honest.requests), len(two.evil.requests)] == [1, 0]


@pytest.mark.parametrize(("index", "provider"), [(0, "honest"), (1, "evil")])
def test_the_chosen_provider_is_the_one_that_is_asked(index: int, provider: str) -> None:
    with run_two() as two:
        page = two.browser.navigate(f"{ORIGIN}/any/page")
        two.browser.open_link(links(page.text)[index][0])
        session = two.session()
        assert session is not None
        assert session.provider == provider
        assert (two.received[-1].path, two.browser.history[-1].status) == ("/any/page", 200)


@pytest.mark.parametrize(
    "rd", ["https://evil.example/", "//evil.example/", "/\\evil.example", "https://app.example.evil/"]
)
def test_the_choice_leads_to_no_other_site(rd: str) -> None:
    with run_two() as two:
        page = two.browser.get(f"{ORIGIN}/oauth2/start", headers={"Accept": "text/html"})
        assert page.status == 200
        query = "%" + "%".join(f"{ord(letter):02x}" for letter in rd)
        page = two.browser.get(f"{ORIGIN}/oauth2/start?rd={query}", headers={"Accept": "text/html"})
        assert (page.status, error_code(page)) == (400, "return_url_refused")


@pytest.mark.parametrize("name", ["nobody", "default", "Honest", "honest/", "../honest", "honest%00"])
def test_a_provider_that_is_not_configured_cannot_be_chosen(name: str) -> None:
    with run_two() as two:
        page = two.browser.navigate(f"{ORIGIN}/oauth2/start?provider={name}")
        assert (page.status, error_code(page)) == (400, "provider_unknown")
        assert two.session() is None


def test_a_session_of_another_provider_is_none_on_a_route_of_one() -> None:
    """Each of the two routes signs in at its own, and the fetch of a script is told so."""
    with run_two() as two:
        two.sign_in("/evil/page")
        assert two.browser.fetch(f"{ORIGIN}/honest/data").status == 401
        assert two.browser.fetch(f"{ORIGIN}/any/data").status == 200

        two.sign_in("/honest/page")

        session = two.session()
        assert session is not None
        assert (session.provider, session.subject) == ("honest", "alice")
        assert two.browser.fetch(f"{ORIGIN}/evil/data").status == 401


@pytest.mark.parametrize(("path", "name"), [("/evil/page", "nobody"), ("/honest/page", "alice")])
def test_an_optional_route_of_one_provider_names_its_users_alone(path: str, name: str) -> None:
    with run_two() as two:
        two.sign_in(path)
        assert two.browser.navigate(f"{ORIGIN}/optional/page").text == f"hello {name}"


FORWARD = {"forward_auth": {"enabled": True}, "trusted_proxies": ["127.0.0.1"]}


@pytest.mark.parametrize(
    ("path", "named", "status"),
    [
        pytest.param("/honest/page", "/honest/x", 202, id="own"),
        pytest.param("/evil/page", "/honest/x", 401, id="other"),
        pytest.param("/evil/page", "/any/x", 202, id="any"),
        pytest.param("/evil/page", "/HONEST/x", 401, id="read-leniently"),
    ],
)
def test_forward_auth_wants_the_provider_of_the_route(path: str, named: str, status: int) -> None:
    with run_two(FORWARD) as two:
        two.sign_in(path)
        headers = {"X-Forwarded-Uri": named, "X-Forwarded-Method": "GET"}
        page = two.browser.get(f"{ORIGIN}/oauth2/auth", headers=headers)
        assert page.status == status
        assert ("X-Auth-Request-User" in page.headers) == (status == 202)


def test_forward_auth_names_nobody_on_an_optional_route_of_another_provider() -> None:
    with run_two(FORWARD) as two:
        two.sign_in("/evil/page")
        headers = {"X-Forwarded-Uri": "/optional/x", "X-Forwarded-Method": "GET"}
        page = two.browser.get(f"{ORIGIN}/oauth2/auth", headers=headers)
        assert page.status == 202
        assert page.headers["X-Auth-Request-User"] == ""


@pytest.mark.parametrize(
    ("down", "up", "problems"),
    [
        pytest.param("evil", "honest", DOWN["evil"], id="evil"),
        pytest.param("honest", "evil", DOWN["honest"], id="honest"),
    ],
)
def test_an_outage_of_one_provider_does_not_keep_the_users_of_the_other_away(
    down: str, up: str, problems: dict[str, str]
) -> None:
    with run_two() as two:
        {"honest": two.honest, "evil": two.evil}[down].down = True

        two.sign_in(f"/{up}/page")
        page = two.browser.navigate(f"{ORIGIN}/{down}/page")
        assert (page.status, error_code(page)) == (503, "provider_unreachable")
        assert page.headers["Retry-After"]
        two.sign_in(f"/{up}/page")

        ready = two.browser.fetch(f"{ORIGIN}/ready")
        assert (ready.status, unready(ready)) == (200, problems)


def test_metadata_of_one_provider_that_are_no_metadata_do_not_harm_the_other() -> None:
    with run_two() as two:
        two.evil.faults.discovery = lambda _: {"issuer": EVIL, "authorization_endpoint": "javascript:alert(1)"}

        page = two.browser.navigate(f"{ORIGIN}/evil/page")
        assert (page.status, error_code(page)) == (403, "metadata_invalid")
        two.sign_in("/honest/page")
        ready = two.browser.fetch(f"{ORIGIN}/ready")
        invalid = {f"provider evil {part}": "metadata_invalid" for part in ("metadata", "keys")}
        assert (ready.status, unready(ready)) == (200, invalid)


def test_only_the_configuration_can_name_a_place_on_this_machine() -> None:
    """A sidecar, say; that nothing answers there is another thing than that the address is refused."""
    with run_two(honest={"metadata": {"token_endpoint": "http://localhost:1/token"}}) as two:
        page = two.browser.navigate(f"{ORIGIN}/honest/page")
        assert (page.status, error_code(page)) == (503, "provider_unreachable")


def test_not_ready_when_no_provider_is() -> None:
    with run_two() as two:
        two.honest.down = two.evil.down = True
        page = two.browser.fetch(f"{ORIGIN}/ready")
        assert (page.status, unready(page)) == (503, {**DOWN["honest"], **DOWN["evil"]})


def test_ready_when_both_are() -> None:
    with run_two() as two:
        page = two.browser.fetch(f"{ORIGIN}/ready")
        assert (page.status, unready(page)) == (200, {})


def test_claims_that_a_rule_wants_count_whichever_provider_says_them_unless_the_rule_names_one() -> None:
    rule = {"path": "/ops/**", "require": {"claims": {"groups": ["ops"], "iss": [HONEST]}}}
    with run_two({"routes": [rule, *ROUTES]}) as two:
        two.sign_in("/evil/page")
        assert two.browser.fetch(f"{ORIGIN}/ops/x").status == 403
        two.sign_in("/honest/page")
        assert two.browser.fetch(f"{ORIGIN}/ops/x").status == 200
