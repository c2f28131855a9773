"""Cookies that were altered, planted, doubled, or sealed by somebody else."""

import base64
import json
from collections.abc import Callable

import pytest
from harness import (
    ORIGIN,
    SECRET,
    SESSION_COOKIE,
    TRANSACTION_PREFIX,
    Site,
    is_signed_in,
    pending_callback,
    run_site,
    set_cookie_names,
)

from gateway.sealing import KeyRing, seal, unseal


def decoded(value: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def flipped(index: int) -> Callable[[str], str]:
    """Make a change that flips one bit of an octet."""

    def change(value: str) -> str:
        octets = decoded(value)
        octets[index] ^= 0x10
        return encoded(bytes(octets))

    return change


def always(value: str) -> Callable[[str], str]:
    return lambda _: value


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(flipped(0), id="version"),
        pytest.param(flipped(1), id="key-id"),
        pytest.param(flipped(5), id="nonce"),
        pytest.param(flipped(17), id="first-of-the-ciphertext"),
        pytest.param(flipped(60), id="ciphertext"),
        pytest.param(flipped(-16), id="first-of-the-tag"),
        pytest.param(flipped(-1), id="tag"),
        pytest.param(lambda value: value[:-4], id="shortened"),
        pytest.param(lambda value: value[:20], id="only-the-header"),
        pytest.param(lambda value: value + "AAAA", id="lengthened"),
        pytest.param(always(""), id="empty"),
        pytest.param(lambda value: "!" + value[1:], id="not-base64"),
        pytest.param(lambda value: value[:-1] + "\xff", id="not-ascii"),
        pytest.param(always("gASVAAAAAAAAAAB9lC4"), id="pickle"),
        pytest.param(always(encoded(b'{"state":"x"}')), id="plain-json"),
    ],
)
def test_an_altered_transaction_is_no_transaction(site: Site, change: Callable[[str], str]) -> None:
    site.sign_in()
    url = pending_callback(site.restarted().browser)
    name, value = next(
        item for item in site.browser.cookies.of(ORIGIN).items() if item[0].startswith(TRANSACTION_PREFIX)
    )
    site.browser.cookies.set(ORIGIN, name, change(value))
    page = site.browser.navigate(url, follow=False)

    assert page.headers["Location"].startswith("https://op.example/authorize?")
    assert SESSION_COOKIE not in set_cookie_names(page)
    assert site.provider.calls["token.authorization_code"] == 1
    assert not is_signed_in(site.browser)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(flipped(0), id="first-octet"),
        pytest.param(flipped(31), id="last-octet"),
        pytest.param(lambda value: value[:-4], id="shortened"),
        pytest.param(lambda value: value + "AAAA", id="lengthened"),
        pytest.param(lambda value: value.swapcase(), id="case"),
        pytest.param(always(""), id="empty"),
        pytest.param(lambda value: f'"{value}"', id="quoted"),
        pytest.param(always("\x00" * 32), id="nul", marks=pytest.mark.threads_only("llhttp refuses NUL")),
        pytest.param(always("\xe9" * 43), id="not-ascii"),
        pytest.param(always("../../../../etc/passwd"), id="path"),
        pytest.param(always("A" * 4000), id="long"),
    ],
)
def test_an_altered_handle_is_no_session(site: Site, change: Callable[[str], str]) -> None:
    site.sign_in()
    handle = site.browser.cookies.of(ORIGIN)[SESSION_COOKIE]
    site.browser.cookies.set(ORIGIN, SESSION_COOKIE, change(handle))
    assert not is_signed_in(site.browser)

    site.browser.cookies.set(ORIGIN, SESSION_COOKIE, handle)
    assert is_signed_in(site.browser)


@pytest.mark.parametrize(
    ("cookie", "signed_in"),
    [
        pytest.param("{name}=planted; {name}={handle}", True, id="garbage-before"),
        pytest.param("{name}=" + "B" * 43 + "; {name}={handle}", True, id="unknown-handle-before"),
        pytest.param("{name}={handle}; {name}=planted", True, id="garbage-after"),
        pytest.param("a=1;{name}={handle};b=2", True, id="among-others"),
        pytest.param("; ".join(["{name}=planted"] * 4) + "; {name}={handle}", False, id="behind-more-than-are-tried"),
        pytest.param("gateway={handle}", False, id="without-its-prefix"),
        pytest.param("__host-gateway={handle}", False, id="prefix-in-another-case"),
        pytest.param("a={name}={handle}", False, id="inside-another"),
    ],
)
def test_doubled_session_cookies(site: Site, cookie: str, signed_in: bool) -> None:
    site.sign_in()
    header = cookie.format(name=SESSION_COOKIE, handle=site.browser.cookies.of(ORIGIN)[SESSION_COOKIE])
    page = site.new_browser().get(f"{ORIGIN}/home", headers={"Cookie": header})

    assert page.status == (200 if signed_in else 401)


def test_a_transaction_sealed_with_another_secret_is_none(site: Site) -> None:
    with run_site({"session": {"secret": "another secret, of at least thirty-two characters"}}) as other:
        url = pending_callback(other.browser)
        stolen = other.browser.cookies.of(ORIGIN)
    for name, value in stolen.items():
        site.browser.cookies.set(ORIGIN, name, value)
    page = site.browser.navigate(url, follow=False)

    assert page.headers["Location"].startswith("https://op.example/authorize?")
    assert site.provider.calls["token.authorization_code"] == 0


@pytest.mark.parametrize(
    ("ring", "opens"),
    [
        pytest.param(["a newer secret, of at least thirty-two characters", SECRET], True, id="old-secret-second"),
        pytest.param(["a newer secret, of at least thirty-two characters"], False, id="old-secret-gone"),
    ],
)
def test_a_login_begun_and_a_session_made_before_a_new_secret(tmp_path: object, ring: list[str], opens: bool) -> None:
    store = {"type": "file", "path": f"{tmp_path}/sessions"}
    with run_site(store=store) as before, run_site({"session": {"secret": ring}}, store=store) as after:
        before.sign_in()
        handle = before.browser.cookies.of(ORIGIN)[SESSION_COOKIE]
        pending_callback(before.restarted().browser)
        waiting = before.browser.cookies.of(ORIGIN)

        after.browser.cookies.set(ORIGIN, SESSION_COOKIE, handle)
        assert is_signed_in(after.browser) is opens
        name = next(name for name in waiting if name.startswith(TRANSACTION_PREFIX))
        opened = unseal(KeyRing.of(ring), "transaction", bytes(decoded(waiting[name])))
        assert (opened is not None) is opens


def test_a_value_sealed_for_one_purpose_opens_for_no_other(site: Site) -> None:
    site.sign_in()
    url = pending_callback(site.restarted().browser)
    name = next(name for name in site.browser.cookies.of(ORIGIN) if name.startswith(TRANSACTION_PREFIX))
    members = json.dumps({"state": "x", "return_to": "/"}).encode()
    forged = encoded(seal(KeyRing.of([SECRET]), "logout", members, entropy=bytes))
    site.browser.cookies.set(ORIGIN, name, forged)

    page = site.browser.navigate(url, follow=False)

    assert page.headers["Location"].startswith("https://op.example/authorize?")
