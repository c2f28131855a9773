"""What is told of a sign-in that does not last, each by the cause that was proven."""

from __future__ import annotations

from http import HTTPStatus

from gateway.problem import Problem

_OPERATOR = "Tell the people who run this site; the reference below helps them to find the cause."


def _loop(code: str, title: str, advice: str = _OPERATOR) -> Problem:
    return Problem(code=code, status=HTTPStatus.FORBIDDEN, title=title, advice=advice)


LOGIN_LOOP_INSECURE = _loop(
    "login_loop_insecure",
    "You are signed in again and again: this page was opened without encryption",
    "Open it by an address that begins with https://, where your browser keeps the sign-in.",
)
LOGIN_LOOP_HOST = _loop(
    "login_loop_host",
    "You are signed in again and again: this site answers under two names",
    "Open it by the name that is in the address bar now. If that leads here again, tell the people who run this site.",
)
LOGIN_LOOP_COOKIE_LOST = _loop(
    "login_loop_cookie_lost", "You are signed in again and again: the cookie that keeps you signed in is lost"
)
LOGIN_LOOP_COOKIE_REPLACED = _loop(
    "login_loop_cookie_replaced", "You are signed in again and again: another application overwrites your cookie"
)
LOGIN_LOOP_CLOCK = _loop(
    "login_loop_clock", "You are signed in again and again: the clocks of this site's servers differ"
)
LOGIN_LOOP_LIFETIME = _loop("login_loop_lifetime", "You are signed in again and again: sessions end within a minute")
LOGIN_LOOP_REFRESH = _loop(
    "login_loop_refresh",
    "You are signed in again and again: the sign-in service does not renew what it gave a moment ago",
)
LOGIN_LOOP_REVOKED = _loop(
    "login_loop_revoked",
    "You are signed in again and again: you are signed out each time",
    "Someone, or the sign-in service itself, ends your sessions. Tell the people who run this site.",
)
LOGIN_LOOP_UNREADABLE = _loop(
    "login_loop_unreadable", "You are signed in again and again: one server cannot read what another one wrote"
)
LOGIN_LOOP_STORE_SPLIT = _loop(
    "login_loop_store_split", "You are signed in again and again: this site's servers do not share their sessions"
)
LOGIN_LOOP_STORE_FORGETS = _loop(
    "login_loop_store_forgets", "You are signed in again and again: this site loses its sessions"
)
TRANSACTION_UNREADABLE = _loop(
    "transaction_unreadable", "The cookie of this sign-in came back, and this server cannot read it"
)
