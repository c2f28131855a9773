"""The administration of sessions over HTTP: for the bearer of the token alone, and never a token of a user."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest
from harness import ORIGIN, Site, error_code, held_session, is_signed_in, run_site

from gateway.backends.base import UnlistableStore
from gateway.backends.memory import MemoryBackend
from gateway.testing import Browser, Page

ADMIN: Final = f"{ORIGIN}/oauth2/admin/sessions"
TOKEN: Final = "an administrator's token of at least thirty-two characters"
OTHER_TOKEN: Final = "the administrator's next token, which is used beside it"
WITH_TOKEN: Final[Mapping[str, object]] = {"admin_token": [TOKEN, OTHER_TOKEN]}


@pytest.fixture
def site() -> Iterator[Site]:
    with run_site(WITH_TOKEN) as running:
        yield running


def ask(site: Site, method: str = "GET", query: str = "", *, authorization: str = f"Bearer {TOKEN}") -> Page:
    """Ask as a program does, with no cookies."""
    headers = {"Authorization": authorization} if authorization else {}
    return site.new_browser().fetch(f"{ADMIN}{query}", method=method, headers=headers)


def listed(site: Site, query: str = "") -> list[dict[str, Any]]:
    page = ask(site, query=query)
    assert page.status == 200, page.text
    sessions: list[dict[str, Any]] = page.json()["sessions"]
    return sessions


def signed_in(site: Site, user: str) -> Browser:
    browser = site.new_browser()
    site.provider.sign_in_as = user
    assert browser.navigate(f"{ORIGIN}/home").status == 200
    return browser


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="none"),
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer ", id="an empty token"),
        pytest.param(f"Bearer {TOKEN}x", id="another token"),
        pytest.param(f"Bearer  {TOKEN}", id="two spaces"),
        pytest.param(f"Basic {TOKEN}", id="another scheme"),
        pytest.param(TOKEN, id="no scheme"),
        pytest.param("Bearer \xff\xfe", id="bytes"),
    ],
)
def test_nobody_else_may_ask(site: Site, method: str, authorization: str) -> None:
    site.sign_in()
    assert ask(site).status == 200
    page = ask(site, method, "?all=true", authorization=authorization)
    assert (page.status, error_code(page)) == (401, "admin_token_required")
    assert is_signed_in(site.browser)


def test_a_session_is_no_administrator(site: Site) -> None:
    site.sign_in()
    page = site.browser.fetch(ADMIN)
    assert (page.status, error_code(page)) == (401, "admin_token_required")


def test_without_a_token_in_the_configuration_it_is_not_there() -> None:
    with run_site() as site:
        page = ask(site)
        assert (page.status, error_code(page)) == (404, "not_found")
        assert ask(site, authorization="Bearer ").status == 404


def test_a_second_token_serves_too(site: Site) -> None:
    assert ask(site, authorization=f"bearer {OTHER_TOKEN}").status == 200


def test_what_is_listed_tells_when_and_not_who(site: Site) -> None:
    site.sign_in()
    session = held_session(site)
    page = ask(site)
    assert page.headers["Cache-Control"] == "no-store"
    assert page.json() == {
        "sessions": [
            {
                "id": session.id,
                "provider": "default",
                "user": listed(site)[0]["user"],
                "created_at": session.created_at,
                "seen_at": session.seen_at,
                "ends_at": session.created_at + 1800,
            }
        ],
        "complete": True,
    }
    secrets = (session.access_token, session.refresh_token, session.id_token, session.subject, "alice@op.example")
    assert not any(secret and secret in page.text for secret in secrets)


def test_one_user_has_one_word(site: Site) -> None:
    for user in ("alice", "alice", "bob"):
        signed_in(site, user)
    words = [one["user"] for one in listed(site)]
    assert sorted(words.count(word) for word in set(words)) == [1, 2]


def test_sessions_are_found_by_user_login_and_id(site: Site) -> None:
    signed_in(site, "bob")
    site.provider.sign_in_as = "alice"
    site.sign_in()
    session = held_session(site)
    for query in (f"sub={session.subject}", urlencode({"sid": str(session.claims["sid"])}), f"id={session.id}"):
        assert [one["id"] for one in listed(site, f"?{query}")] == [session.id], query
    assert listed(site, "?sub=nobody") == listed(site, "?sid=none") == listed(site, "?id=none") == []
    assert len(listed(site)) == len(listed(site, "?all=true")) == 2


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("?sub=a&sid=b", id="two at once"),
        pytest.param("?sub=a&all=true", id="all of one"),
        pytest.param("?all=false", id="not all"),
        pytest.param("?sub=", id="an empty user"),
        pytest.param("?sub=a&sub=b", id="a user twice"),
        pytest.param("?user=a", id="another word"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_what_is_not_clear_ends_nothing(site: Site, method: str, query: str) -> None:
    site.sign_in()
    page = ask(site, method, query)
    assert (page.status, error_code(page)) == (400, "parameter_refused")
    assert is_signed_in(site.browser)


def test_to_delete_all_it_must_be_said(site: Site) -> None:
    site.sign_in()
    page = ask(site, "DELETE")
    assert (page.status, error_code(page)) == (400, "parameter_refused")
    assert is_signed_in(site.browser)
    assert ask(site, "DELETE", "?all=true").json() == {"revoked": True}
    assert not is_signed_in(site.browser)


def test_a_user_is_signed_out_everywhere_and_nobody_else_is(site: Site) -> None:
    alices, bob = [signed_in(site, "alice") for _ in range(3)], signed_in(site, "bob")
    assert ask(site, "DELETE", "?sub=alice").status == 200
    assert [is_signed_in(one) for one in (*alices, bob)] == [False, False, False, True]
    assert is_signed_in(signed_in(site, "alice"))
    assert len(listed(site)) == 2


def test_one_session_is_ended_by_its_id_or_by_its_login(site: Site) -> None:
    site.sign_in()
    other = signed_in(site, "alice")
    assert ask(site, "DELETE", f"?id={held_session(site).id}").status == 200
    assert (is_signed_in(site.browser), is_signed_in(other)) == (False, True)
    site.restarted().sign_in()
    assert ask(site, "DELETE", f"?{urlencode({'sid': str(held_session(site).claims['sid'])})}").status == 200
    assert (is_signed_in(site.browser), is_signed_in(other)) == (False, True)


def test_what_is_not_there_is_ended_without_a_word(site: Site) -> None:
    site.sign_in()
    for query in ("?sub=nobody", "?sid=none", "?id=none"):
        assert ask(site, "DELETE", query).json() == {"revoked": True}
    assert is_signed_in(site.browser)


def test_it_works_without_the_secret_that_sealed_the_sessions(tmp_path: Path) -> None:
    store = {"type": "file", "path": str(tmp_path / "sessions")}
    with run_site(WITH_TOKEN, store=store) as site:
        site.sign_in()
        session = held_session(site)
        with run_site({**WITH_TOKEN, "session": {"secret": "x" * 32}}, store=store) as blind:
            assert [one["id"] for one in listed(blind)] == [session.id]
            assert ask(blind, "DELETE", f"?sub={session.subject}").status == 200
        assert not is_signed_in(site.browser)


class Unlistable(MemoryBackend):
    """A memory that cannot say what it holds, as Memcached cannot."""

    def scan(self, prefix: str) -> Iterator[bytes]:
        raise UnlistableStore(prefix)


def test_a_store_that_cannot_list_says_so_and_revokes_all_the_same() -> None:
    with run_site(WITH_TOKEN, backend=Unlistable()) as site:
        site.sign_in()
        page = ask(site)
        assert (page.status, error_code(page)) == (501, "not_listable")
        assert ask(site, "DELETE", "?sub=alice").status == 200
        assert not is_signed_in(site.browser)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_other_methods_are_refused(site: Site, method: str) -> None:
    assert ask(site, method, "?all=true").status == 405
