"""The login inspector: what it notes of a login, also of one that failed, of whom, and that no login suffers."""

import re
from base64 import urlsafe_b64decode
from html import unescape
from typing import Any

import pytest
from console_place import CONSOLE, GUARDED, LOCAL, act, part, run_guarded_console, run_open_console, sign_in
from harness import ORIGIN, run_site, set_cookie_names

from gateway.backends.memory import MemoryBackend
from gateway.console.logins import MAX_BYTES, MAX_LOGINS
from gateway.errors import STORE_DOWN, StoreUnavailable
from gateway.testing import Faults
from gateway.testing.faults import refusing, refusing_login, with_altered_signature


class Counting(MemoryBackend):
    """Counts what is written for the console, and fails where a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[bytes] = []
        self.failure: Exception | None = None

    def set(self, key: str, value: bytes, seconds: int) -> None:
        if key.startswith("console:"):
            if self.failure is not None:
                raise self.failure
            self.kept.append(value)
        super().set(key, value, seconds)


def test_a_login_is_drawn_from_its_beginning_to_its_end() -> None:
    with run_open_console() as site:
        drawn = part(sign_in(site), "logins")
        order = [
            "Sign-in begins", "Discovery", "Answer: discovery", "Authorization request", "Authorization response",
            "Token request", "Answer: token request", "Keys", "Userinfo", "Signed in: a new session",
        ]  # fmt: skip
        places = [drawn.index(title) for title in order]
        assert places == sorted(places)
        assert "The checks of its ID token, as it came" in drawn
        assert "✕ failed" not in drawn
        assert "<dt>redirect_uri</dt><dd>https://localhost:5443/oauth2/callback</dd>" in drawn


@pytest.mark.parametrize(
    ("faults", "code", "drawn"),
    [
        pytest.param(
            Faults(authorization_response=refusing_login("access_denied")), "op_access_denied", "access_denied", id="OP"
        ),
        pytest.param(
            Faults(token_response=refusing("invalid_client", 401)), "token_client_invalid", "401", id="client"
        ),
        pytest.param(
            Faults(token_response=refusing("invalid_grant")), "token_grant_invalid", "invalid_grant", id="grant"
        ),
        pytest.param(
            Faults(id_token_claims=lambda claims: {**claims, "nonce": "x"}),
            "id_token_nonce_mismatch",
            "✕ failed",
            id="nonce",
        ),
        pytest.param(
            Faults(id_token_claims=lambda claims: {**claims, "aud": "other"}),
            "id_token_aud_mismatch",
            "✕ failed",
            id="aud",
        ),
        pytest.param(
            Faults(id_token=with_altered_signature), "jwt_signature_invalid", "Nothing else is looked", id="signature"
        ),
        pytest.param(
            Faults(userinfo=lambda claims: {**claims, "sub": "x"}), "userinfo_sub_mismatch", "Userinfo", id="userinfo"
        ),
    ],
)
def test_a_login_that_failed_is_drawn_without_a_session(faults: Faults, code: str, drawn: str) -> None:
    with run_open_console() as site:
        site.browser.navigate(CONSOLE)
        site.provider.faults = faults
        assert site.browser.navigate(f"{LOCAL}/home").status != 200
        page = site.browser.navigate(CONSOLE)
        assert "Nobody is signed in" in page.text
        logins = unescape(part(page, "logins"))
        assert f'<span class="tag failed">{code}</span>' in logins
        assert drawn in logins


def test_a_login_that_could_not_begin_is_drawn() -> None:
    with run_open_console() as site:
        site.browser.navigate(CONSOLE)
        site.provider.down = True
        page = act(site, "sign_in", provider="default")
        assert '<span class="tag failed">provider_unreachable</span>' in part(page, "result")
        logins = part(site.browser.navigate(CONSOLE), "logins")
        assert ("No answer" in logins, "provider_unreachable" in logins) == (True, True)


@pytest.mark.parametrize(
    ("config", "title"),
    [
        pytest.param({"authorization": {"via": "pushed"}}, "Pushed authorization request", id="pushed"),
        pytest.param({"sender_constraint": "dpop"}, "DPoP", id="DPoP"),
    ],
)
def test_other_ways_to_ask_are_drawn(config: dict[str, object], title: str) -> None:
    with run_open_console({"provider": config}) as site:
        assert title in part(sign_in(site), "logins")


def test_nothing_is_kept_of_who_never_opened_the_console() -> None:
    backend = Counting()
    with run_guarded_console(backend=backend) as site:
        site.provider.sign_in_as = "bob"
        page = site.sign_in()
        assert not any("console" in name for one in site.browser.history for name in set_cookie_names(one))
        assert (page.status, backend.kept) == (200, [])


def test_nothing_is_kept_where_there_is_no_console() -> None:
    backend = Counting()
    with run_site(backend=backend) as site:
        site.browser.cookies.set(ORIGIN, "__Host-gateway-console", "A" * 43)
        site.sign_in()
        assert backend.kept == []


def test_one_browser_does_not_see_the_logins_of_another() -> None:
    with run_guarded_console() as site:
        site.browser.navigate(GUARDED)
        site.sign_in()
        site.restarted()
        assert "None yet" in part(site.browser.navigate(GUARDED), "logins")


def test_what_is_kept_is_sealed_and_bounded() -> None:
    backend = Counting()
    long = {f"{number}": "x" * 5000 for number in range(40)}
    with run_open_console(backend=backend) as site:
        site.provider.faults = Faults(discovery=lambda members: {**members, **long})
        for _ in range(MAX_LOGINS + 2):
            page = sign_in(site)
        assert part(page, "logins").count("Sign-in begins") == MAX_LOGINS
        assert all(len(value) < MAX_BYTES + 100 for value in backend.kept)
        assert not any(b"redirect_uri" in value for value in backend.kept)


def test_no_secret_is_in_what_is_drawn() -> None:
    seen: list[str] = []

    def note(status: int, members: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        secrets = [str(members[name]) for name in ("access_token", "refresh_token", "id_token")]
        seen.extend(secrets)
        return status, {**members, "error_description": f"leaks {secrets[0]} and {secrets[2]}"}

    with run_open_console() as site:
        site.browser.navigate(CONSOLE)
        site.provider.faults = Faults(token_response=note)
        text = unescape(part(sign_in(site), "logins"))
        assert len(seen) == 3
        assert [secret for secret in seen if secret in text] == []
        assert re.search(r"Basic ⟨\d+ characters⟩", text)  # No digest that a secret could be guessed from.


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(StoreUnavailable(STORE_DOWN, "for the console"), id="the store"),
        pytest.param(RuntimeError("anything"), id="anything"),
    ],
)
def test_a_login_does_not_fail_over_its_notes(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    backend = Counting()
    with run_open_console(backend=backend) as site:
        site.browser.navigate(CONSOLE)
        backend.failure = failure
        page = site.browser.navigate(f"{LOCAL}/home")
        assert (page.status, page.url) == (200, f"{LOCAL}/home")
        assert "no note was taken of a login" in caplog.text


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="no list"),
        pytest.param(b'[{"other": 1}]', id="another release"),
        pytest.param(b"\xff", id="no text"),
    ],
)
def test_what_cannot_be_read_is_nothing(kept: bytes) -> None:
    with run_open_console() as site:
        site.browser.navigate(CONSOLE)
        value = site.browser.cookies.of(LOCAL)[site.gateway.settings.cookies.console]
        site.gateway.store.keep("console", urlsafe_b64decode(value + "="), kept, 60)
        assert "None yet" in part(site.browser.navigate(CONSOLE), "logins")


def test_a_store_that_fails_shows_nothing() -> None:
    class Down(MemoryBackend):
        down = False

        def get(self, key: str) -> bytes | None:
            if self.down:
                raise StoreUnavailable(STORE_DOWN, "a fault of the test")
            return super().get(key)

        def get_many(self, keys: Any) -> list[bytes | None]:
            return [self.get(key) for key in keys]

    backend = Down()
    with run_open_console(backend=backend) as site:
        sign_in(site)
        backend.down = True
        assert site.browser.navigate(CONSOLE).status == 503
        assert act(site, "refresh").status == 503
