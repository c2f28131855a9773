"""An upstream that says that the token is invalid (RFC 6750 3.1): it is renewed, and a safe request repeated once."""

from collections.abc import Callable
from typing import Final

import pytest
from answering import run_before
from harness import ORIGIN, Mode, Site, error_code, held_session
from peers.listener import Answer, Received

from gateway.renewal import MIN_TOKEN_AGE
from gateway.store import HeldSession
from gateway.testing import Faults

REFRESH: Final = "token.refresh_token"
INVALID: Final = {"WWW-Authenticate": 'Bearer realm="api", error="invalid_token"'}
CONFIG: Final = {"routes": [{"path": "/**", "token": "access_token"}]}


class Api:
    """Takes every token but those that it was told to refuse."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.refuses_all = False
        self.headers = INVALID
        self.status = 401

    def __call__(self, received: Received) -> Answer:
        token = received.headers.get("authorization", "").removeprefix("Bearer ")
        if self.refuses_all or token in self.refused:
            return Answer(status=self.status, headers=self.headers, body="another token, please")
        return Answer(body="hello")


def signed_in(site: Site, api: Api) -> str:
    site.sign_in()
    token = held_session(site).access_token
    api.refused.add(token)
    site.clock.advance(MIN_TOKEN_AGE)
    site.received.clear()
    return token


@pytest.mark.parametrize(
    ("mode", "method"), [("upstream", "GET"), *(("wrapped", method) for method in ("GET", "HEAD", "OPTIONS"))]
)
def test_a_safe_request_is_repeated_with_a_new_token(mode: Mode, method: str) -> None:
    api = Api()
    with run_before(api, CONFIG, mode=mode) as site:
        old = signed_in(site, api)
        assert site.browser.fetch(f"{ORIGIN}/data", method=method).status == 200
        sent = [one.headers["authorization"] for one in site.received]
        assert sent == [f"Bearer {old}", f"Bearer {held_session(site).access_token}"]
        assert site.provider.calls[REFRESH] == 1


@pytest.mark.parametrize(
    ("mode", "method"), [("upstream", "POST"), *(("wrapped", method) for method in ("POST", "PUT", "DELETE", "PATCH"))]
)
def test_an_unsafe_one_is_not_and_the_next_has_the_new_token(mode: Mode, method: str) -> None:
    api = Api()
    with run_before(api, CONFIG, mode=mode) as site:
        signed_in(site, api)
        headers = {"Sec-Fetch-Site": "same-origin"}
        assert site.browser.fetch(f"{ORIGIN}/data", method=method, headers=headers).status == 401
        assert len(site.received) == 1
        assert site.browser.fetch(f"{ORIGIN}/data", method=method, headers=headers).status == 200
        assert site.provider.calls[REFRESH] == 1


def test_one_that_refuses_the_new_token_too_is_told_only_once() -> None:
    api = Api()
    with run_before(api, CONFIG) as site:
        signed_in(site, api)
        api.refuses_all = True
        page = site.browser.fetch(f"{ORIGIN}/data")
        assert (page.status, page.text) == (401, "another token, please")
        assert len(site.received) == 2
        assert site.browser.fetch(f"{ORIGIN}/data").status == 401  # The token is too young for another try.
        assert (len(site.received), site.provider.calls[REFRESH]) == (3, 1)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(401, {}, id="without a challenge"),
        pytest.param(401, {"WWW-Authenticate": "Bearer"}, id="without an error"),
        pytest.param(401, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}, id="another error"),
        pytest.param(401, {"WWW-Authenticate": 'Basic error="invalid_token"'}, id="another scheme"),
        pytest.param(403, INVALID, id="another status"),
    ],
)
def test_other_answers_go_out_as_they_are(status: int, headers: dict[str, str]) -> None:
    api = Api()
    with run_before(api, CONFIG) as site:
        signed_in(site, api)
        api.status, api.headers = status, headers
        assert site.browser.fetch(f"{ORIGIN}/data").status == status
        assert (len(site.received), site.provider.calls[REFRESH]) == (1, 0)


def _withdrawn(site: Site) -> None:
    site.provider.faults = Faults(token_response=lambda _, __: (400, {"error": "invalid_grant"}))


def _down(site: Site) -> None:
    site.provider.down = True


@pytest.mark.parametrize(
    ("fail", "lives"),
    [
        pytest.param(_down, True, id="a provider that is away ends nothing"),
        pytest.param(_withdrawn, False, id="a grant that was withdrawn ends the session"),
    ],
)
def test_what_cannot_be_renewed(fail: Callable[[Site], None], lives: bool) -> None:
    api = Api()
    with run_before(api, CONFIG) as site:
        signed_in(site, api)
        fail(site)
        assert site.browser.fetch(f"{ORIGIN}/data").status == 401
        assert len(site.received) == 1
        assert (site.browser.fetch(f"{ORIGIN}/oauth2/session").json()["authenticated"]) is lives


def test_another_requests_new_token_is_used_without_asking_again() -> None:
    api = Api()
    with run_before(api, CONFIG) as site:
        old = signed_in(site, api)
        assert site.browser.fetch(f"{ORIGIN}/oauth2/refresh", method="POST").status == 200
        assert site.browser.fetch(f"{ORIGIN}/data").status == 200
        assert old not in site.received[-1].headers["authorization"]
        assert site.provider.calls[REFRESH] == 1


def test_an_error_that_nobody_foresaw_is_answered_for_and_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: HeldSession) -> None:
        raise RuntimeError("a detail that is nobody's business")

    api = Api()
    with run_before(api, CONFIG) as site:
        signed_in(site, api)
        monkeypatch.setattr(site.gateway.authenticator, "after_rejection", failing)
        page = site.browser.fetch(f"{ORIGIN}/data")
        assert (page.status, error_code(page)) == (500, "internal_error")
        assert "business" not in page.text
