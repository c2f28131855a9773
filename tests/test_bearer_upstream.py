"""What a client is told whose token gets none for an upstream: a new token is the way on, no login (RFC 6750 3)."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from harness import ORIGIN, Site, error_code, held_session, merged, run_site

from gateway.testing import Faults, Page
from gateway.testing.faults import refusing

CONFIG: Final[dict[str, Any]] = {
    "bearer": {"audience": ["app %&+"]},
    "routes": [
        {"path": "/introspected/**", "bearer": ["introspection"], "token": "introspected"},
        {"path": "/exchanged/**", "bearer": ["introspection"], "token": {"exchange": {"audience": ["inventory"]}}},
    ],
}
ASKED_BY_PROXY: Final[dict[str, Any]] = {"trusted_proxies": ["127.0.0.1"], "forward_auth": {"enabled": True}}
INVALID: Final = 'Bearer realm="gateway", error="invalid_token"'
NO_TOKEN: Final = 'Cookie realm="gateway"'


def token_of(site: Site) -> str:
    site.provider.exchange_audiences = ["inventory"]
    site.sign_in()
    return held_session(site).access_token


def revoked(site: Site) -> None:
    site.provider.grants.revoke(held_session(site).access_token, "app %&+")


def faulty(faults: Faults) -> Callable[[Site], None]:
    def happen(site: Site) -> None:
        site.provider.faults = faults

    return happen


def ask(site: Site, path: str, **fields: str) -> Page:
    return site.browser.get(ORIGIN + path, headers={"Accept": "text/html", **fields})


@pytest.mark.parametrize(
    ("path", "happen", "client", "user"),
    [
        pytest.param(
            "/introspected/x", revoked, (401, "invalid_token", INVALID), (401, "token_inactive", NO_TOKEN), id="revoked"
        ),
        pytest.param(
            "/exchanged/x", faulty(Faults(token_response=refusing("invalid_grant"))),
            (401, "invalid_token", INVALID), (403, "exchange_refused", ""), id="worth nothing at the exchange",
        ),
        pytest.param(
            "/exchanged/x", faulty(Faults(token_response=refusing("invalid_target"))),
            (403, "exchange_refused", ""), (403, "exchange_refused", ""), id="no access to this upstream",
        ),
        pytest.param(
            "/exchanged/x", faulty(Faults(token_response=refusing("server_error"))),
            (503, "provider_unreachable", ""), (503, "provider_unreachable", ""), id="an outage",
        ),
    ],
)  # fmt: skip
def test_a_client_needs_a_new_token_and_a_user_a_login(
    path: str, happen: Callable[[Site], None], client: tuple[int, str, str], user: tuple[int, str, str]
) -> None:
    for wanted, brings in ((client, True), (user, False)):
        with run_site(CONFIG, mode="upstream") as site:
            fields = {"Authorization": f"Bearer {token_of(site)}"}
            # Another path first, so that nothing of the one that is asked for is kept.
            assert ask(site, "/introspected/x" if "exchanged" in path else "/exchanged/x", **fields).status == 200
            happen(site)
            site.received.clear()
            page = ask(site, path, **(fields if brings else {}))
            assert (page.status, error_code(page), page.headers.get("WWW-Authenticate", "")) == wanted
            assert ("/oauth2/start?rd=" in page.text) is (wanted[1] == "token_inactive")
            assert site.received == []


def test_a_proxy_is_told_the_same() -> None:
    with run_site(merged(CONFIG, ASKED_BY_PROXY)) as site:
        field = f"Bearer {token_of(site)}"

        def asked(path: str) -> Page:
            named = {"X-Forwarded-Uri": path, "X-Forwarded-Method": "GET", "Authorization": field}
            return site.browser.fetch(f"{ORIGIN}/oauth2/auth", headers=named)

        assert asked("/exchanged/x").status == 202
        revoked(site)
        page = asked("/introspected/x")
        assert (page.status, error_code(page), page.headers["WWW-Authenticate"]) == (401, "invalid_token", INVALID)


def test_no_401_goes_without_a_challenge() -> None:
    with run_site({"admin_token": "an administrator's token, thirty-two long"}) as site:
        page = site.browser.fetch(f"{ORIGIN}/oauth2/admin/sessions")
        assert (page.status, page.headers["WWW-Authenticate"]) == (401, 'Bearer realm="gateway"')
