"""A browser whose way to the provider is real HTTP, while the gateway is in process."""

from collections.abc import Iterable
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final
from wsgiref.types import StartResponse

import requests

from gateway.testing import Browser, Page

HTTP_SECONDS: Final = 10.0
OF_THE_CONNECTION: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Wire:
    """A WSGI app that is somebody else's server: what it is asked goes there as it is, cookies are the browser's."""

    def __init__(self, origin: str, *, verify: str) -> None:
        self._origin = origin
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = verify
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        answer = self._session.request(
            environ["REQUEST_METHOD"],
            self._origin + environ["RAW_URI"],
            headers=_fields(environ),
            data=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or "0")) or None,
            allow_redirects=False,
            timeout=HTTP_SECONDS,
        )
        fields = [(name, value) for name, value in answer.raw.headers.items() if name.lower() not in OF_THE_CONNECTION]
        start_response(f"{answer.status_code} {answer.reason}", fields)
        return [answer.content]

    def close(self) -> None:
        self._session.close()


def visit(browser: Browser, url: str, *, login: str = "alice") -> Page:
    """Go to a URL, sign in at the provider if it asks, and bring its answer back, where it comes in a form too."""
    return go_on(browser, browser.navigate(url), login=login)


def go_on(browser: Browser, page: Page, *, login: str = "alice") -> Page:
    """Go on from a page of the provider to the gateway; any other page is where it ends."""
    if 'id="login-form"' in page.text:
        page = browser.submit("login", data={"login": login, "password": "correct horse"})
    elif 'id="op.logoutForm"' in page.text:
        page = browser.submit(data={"logout": "yes"})
    return browser.submit() if "document.forms[0].submit()" in page.text else page


def _fields(environ: dict[str, Any]) -> dict[str, str]:
    named = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    del named["HOST"]
    return {**named, **({"Content-Type": environ["CONTENT_TYPE"]} if "CONTENT_TYPE" in environ else {})}
