"""Step-up (RFC 9470 3): an upstream, or a wrapped app, answers 401 insufficient_user_authentication."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from answering import answering_app, run_before
from harness import ISSUER, ORIGIN, Clock, Mode, Site, base_config, changed, error_code, is_signed_in, new_provider
from peers.listener import Answer, Received

from gateway import Gateway
from gateway.assembly import Outside
from gateway.testing import Browser, FakeProvider, Faults

HIGH: Final = "urn:example:high"
DEMAND: Final = f'Bearer error="insufficient_user_authentication", acr_values="{HIGH}", max_age="300"'
CONFIG: Final[dict[str, Any]] = {"routes": [{"path": "/**", "request_headers": {"X-Acr": "{acr}"}}]}
BOTH_MODES: Final = pytest.mark.parametrize("mode", ["wrapped", "upstream"])


def weak(provider: FakeProvider) -> None:
    provider.acrs_supported = ["urn:example:low", HIGH]


def demanding(challenge: str, *, satisfied: bool = True, status: int = 401) -> Callable[[Received], Answer]:
    """Make what wants a login of the class HIGH below /strong, and is satisfied by it or not."""

    def answer(received: Received) -> Answer:
        strong = received.headers.get("x-acr") == HIGH
        if received.path.startswith("/strong") and not (strong and satisfied):
            return Answer(status=status, headers={"WWW-Authenticate": challenge}, body="stronger, please")
        return Answer(body="hello")

    return answer


def logins(site: Site) -> int:
    return site.provider.calls["authorize"]


@BOTH_MODES
@pytest.mark.parametrize(
    ("challenge", "acr_values", "max_age"),
    [
        pytest.param(DEMAND, HIGH, "300", id="bearer"),
        pytest.param(DEMAND.replace("Bearer", "DPoP"), HIGH, "300", id="dpop"),
        pytest.param(DEMAND.replace("Bearer", "bEARER").replace("error=", "ERROR ="), HIGH, "300", id="case"),
        pytest.param(f'Basic realm="a, b", {DEMAND}', HIGH, "300", id="second-of-two"),
        pytest.param(f'Negotiate, Basic realm="x", {DEMAND}, Digest nonce="n", qop="auth"', HIGH, "300", id="many"),
        pytest.param(
            f'Bearer realm="say \\"hi\\", error=none", error=insufficient_user_authentication, acr_values="{HIGH} x"',
            f"{HIGH} x",
            None,
            id="quoting",
        ),
        pytest.param(f'Bearer error="invalid_token", {DEMAND}', HIGH, "300", id="after-another-bearer"),
    ],
)
def test_a_navigation_is_sent_for_what_is_asked_and_comes_back(
    mode: Mode, challenge: str, acr_values: str, max_age: str | None
) -> None:
    with run_before(demanding(challenge), CONFIG, mode=mode, clients=weak) as site:
        site.sign_in()

        page = site.browser.navigate(f"{ORIGIN}/strong/page?a=b")

        assert (page.status, page.url, page.text) == (200, f"{ORIGIN}/strong/page?a=b", "hello")
        asked = site.provider.requests[-1]
        assert (asked.get("acr_values"), asked.get("max_age")) == (acr_values, max_age)
        assert [received.path for received in site.received] == ["/home", "/strong/page", "/strong/page"]
        assert logins(site) == 2


@BOTH_MODES
@pytest.mark.parametrize(
    ("challenge", "status"),
    [
        pytest.param('Bearer error="invalid_token"', 401, id="another-error"),
        pytest.param('Bearer realm="error=\\"insufficient_user_authentication\\""', 401, id="within-a-realm"),
        pytest.param('Basic error="insufficient_user_authentication"', 401, id="another-scheme"),
        pytest.param('error="insufficient_user_authentication"', 401, id="no-scheme"),
        pytest.param('Bearer error="insufficient_user_authentication', 401, id="no-end"),
        pytest.param('Bearer error="insufficient_user_authentication", error="x"', 401, id="twice"),
        pytest.param(DEMAND, 403, id="another-status"),
        pytest.param("x" * 9000 + ", " + DEMAND, 401, id="too-long"),
        pytest.param("", 401, id="empty"),
    ],
)
def test_what_asks_for_nothing_that_is_ours_to_give_goes_out_as_it_is(mode: Mode, challenge: str, status: int) -> None:
    with run_before(demanding(challenge, status=status), CONFIG, mode=mode, clients=weak) as site:
        site.sign_in()
        page = site.browser.navigate(f"{ORIGIN}/strong/page")
        assert (page.status, page.text) == (status, "stronger, please")
        assert page.headers["WWW-Authenticate"] == challenge
        assert logins(site) == 1


@BOTH_MODES
def test_what_is_never_satisfied_is_asked_twice_and_then_a_page_says_so(mode: Mode) -> None:
    with run_before(demanding(DEMAND, satisfied=False), CONFIG, mode=mode, clients=weak) as site:
        site.sign_in()

        page = site.browser.navigate(f"{ORIGIN}/strong/page")

        assert (page.status, error_code(page)) == (403, "step_up_failed")
        assert "stronger, please" not in page.text
        assert [received.path for received in site.received] == ["/home", "/strong/page", "/strong/page"]
        assert logins(site) == 2
        assert is_signed_in(site.browser)
        page = site.browser.navigate(f"{ORIGIN}/strong/page")
        assert (page.status, logins(site)) == (403, 2)


@BOTH_MODES
def test_a_demand_for_nothing_in_particular_is_met_by_one_login_alone(mode: Mode) -> None:
    answer = demanding('Bearer error="insufficient_user_authentication"', satisfied=False)
    with run_before(answer, CONFIG, mode=mode) as site:
        site.sign_in()
        page = site.browser.navigate(f"{ORIGIN}/strong/page")
        assert (page.status, error_code(page)) == (403, "step_up_failed")
        assert logins(site) == 2


@BOTH_MODES
def test_a_provider_that_cannot_ends_on_a_page(mode: Mode) -> None:
    with run_before(demanding(DEMAND), CONFIG, mode=mode, clients=weak) as site:
        site.sign_in()
        site.provider.faults = Faults(id_token_claims=changed(acr="urn:example:low"))
        page = site.browser.navigate(f"{ORIGIN}/strong/page")
        assert (page.status, error_code(page)) == (403, "id_token_acr_mismatch")
        assert is_signed_in(site.browser)


@BOTH_MODES
def test_a_script_is_given_the_answer_of_the_upstream(mode: Mode) -> None:
    """It says what is missing in the same words as ours do, and a navigation to the page will be sent."""
    with run_before(demanding(DEMAND), CONFIG, mode=mode, clients=weak) as site:
        site.sign_in()
        answer = site.browser.fetch(f"{ORIGIN}/strong/data")
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, DEMAND)
        assert logins(site) == 1


@BOTH_MODES
def test_a_form_is_not_redirected(mode: Mode) -> None:
    with run_before(demanding(DEMAND), CONFIG, mode=mode, clients=weak) as site:
        site.sign_in()
        headers = {"Origin": ORIGIN, "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
        page = site.browser.post(f"{ORIGIN}/strong/form", {"a": "b"}, headers=headers)
        assert (page.status, page.headers["WWW-Authenticate"]) == (401, DEMAND)
        assert logins(site) == 1


@BOTH_MODES
@pytest.mark.parametrize(("access", "login"), [("public", "redirect"), ("optional", "redirect"), ("required", "never")])
def test_whom_no_login_is_begun_for_is_given_the_answer(mode: Mode, access: str, login: str) -> None:
    rule = {"path": "/strong/**", "access": access, "login": login}
    with run_before(demanding(DEMAND), {"routes": [rule]}, mode=mode, clients=weak) as site:
        if access == "required":
            site.sign_in()
        asked = logins(site)
        page = site.browser.navigate(f"{ORIGIN}/strong/page")
        assert (page.status, page.headers["WWW-Authenticate"]) == (401, DEMAND)
        assert logins(site) == asked


def test_a_challenge_in_a_field_of_its_own_is_read_beside_others() -> None:
    with run_before(demanding(f'Basic realm="x"\n{DEMAND}'), CONFIG, mode="wrapped", clients=weak) as site:
        site.sign_in()
        assert site.browser.navigate(f"{ORIGIN}/strong/page").status == 200
        assert logins(site) == 2


def test_the_body_of_the_answer_is_closed_whatever_becomes_of_it() -> None:
    """Each of the three ends: a redirect, the page that refuses, and the answer as it is."""
    clock = Clock()
    provider = new_provider(clock)
    closed: list[str] = []
    app = answering_app(demanding(DEMAND, satisfied=False), [], closed)
    outside = Outside(transport=provider.transport, clock=clock)
    gateway = Gateway.from_config(base_config({"type": "memory"}), outside=outside)(app)
    browser = Browser({ORIGIN: gateway, ISSUER: provider}, clock=clock)
    browser.navigate(f"{ORIGIN}/home")
    assert closed == ["/home"]

    redirect = browser.navigate(f"{ORIGIN}/strong/1", follow=False)
    assert (redirect.status, urlsplit(redirect.headers["Location"]).path) == (303, "/authorize")
    assert closed[1:] == ["/strong/1"]
    browser.navigate(redirect.headers["Location"])
    assert error_code(browser.history[-1]) == "step_up_failed"
    assert closed[2:] == ["/strong/1"]
    browser.fetch(f"{ORIGIN}/strong/2")
    assert closed[3:] == ["/strong/2"]


def test_an_upstream_cannot_ask_for_more_than_a_login_can_say() -> None:
    """What it names beyond bounds is passed over; the address of the provider stays one that servers take."""
    values = " ".join(f"urn:example:{number}" for number in range(500))
    challenge = f'Bearer error="insufficient_user_authentication", acr_values="{values}", max_age="99999999999"'
    with run_before(demanding(challenge), CONFIG, mode="wrapped") as site:
        site.sign_in()
        redirect = site.browser.navigate(f"{ORIGIN}/strong/page", follow=False)
        assert redirect.status == 303
        assert len(redirect.headers["Location"]) < 4096
        assert "max_age" not in redirect.headers["Location"]
