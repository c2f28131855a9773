"""A user agent in process: visits WSGI apps by their origins, keeps cookies, follows redirects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urldefrag, urlencode, urljoin
from wsgiref.types import WSGIApplication

from werkzeug.datastructures import Headers

from gateway.testing.cookies import CookieJar, origin_of
from gateway.testing.forms import read_forms
from gateway.testing.wsgi import exchange

MAX_REDIRECTS = 20

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_FORM = "application/x-www-form-urlencoded"
_DOCUMENT = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Upgrade-Insecure-Requests": "1"}


class NavigationFailed(Exception):
    """The browser cannot go on: no app at that origin, redirects without end, or no such form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer that a browser got."""

    url: str
    status: int
    headers: Headers
    body: bytes = field(default=b"", repr=False)

    @property
    def text(self) -> str:
        """The body as UTF-8 text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Read the body as JSON; raises `ValueError` when it is not."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Browser:
    """A browser for tests, with cookies of its own; make one for each user.

    `apps` are WSGI apps by origin, `clock` gives seconds since the epoch for the expiry of cookies. A path is looked
    up at the page where the browser is, at first at the first of the apps. An exception of an app propagates to the
    test. `history` holds every answer, redirects too. It runs no scripts: `submit` sends a form that a script would.

        browser = Browser({"https://app.example": app, "https://op.example": provider})
        page = browser.navigate("https://app.example/")
        assert page.url == "https://app.example/"
    """

    def __init__(self, apps: Mapping[str, WSGIApplication], *, clock: Callable[[], float] = time.time) -> None:
        self.history: list[Page] = []
        self.cookies = CookieJar(clock=clock)
        self._apps = {origin_of(origin): app for origin, app in apps.items()}
        self._start = next(iter(self._apps))

    @property
    def url(self) -> str:
        """Where the browser is."""
        return self.history[-1].url if self.history else f"{self._start}/"

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, follow: bool = True) -> Page:
        """Send a GET with no headers but those given and the cookies, as a simple HTTP client does."""
        return self.request("GET", url, headers=headers, follow=follow)

    def post(
        self,
        url: str,
        data: Mapping[str, str] | bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
    ) -> Page:
        """Send a POST of a form, or of bytes."""
        if isinstance(data, bytes):
            return self.request("POST", url, headers=headers, body=data, follow=follow)
        headers = {"Content-Type": _FORM, **(headers or {})}
        return self.request("POST", url, headers=headers, body=urlencode(data).encode("ascii"), follow=follow)

    def navigate(self, url: str, *, headers: Mapping[str, str] | None = None, follow: bool = True) -> Page:
        """Go to a URL as if it were typed into the address bar (Fetch Metadata 2)."""
        return self.request("GET", url, headers={**_navigation("none"), **(headers or {})}, follow=follow)

    def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        follow: bool = True,
    ) -> Page:
        """Fetch a URL as a script of the current page does."""
        target = urljoin(self.url, url)
        metadata = {
            "Accept": "*/*",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
            "Sec-Fetch-Site": self._site(target),
        }
        if method not in ("GET", "HEAD") or metadata["Sec-Fetch-Site"] == "cross-site":
            metadata["Origin"] = origin_of(self.url)
        return self.request(method, target, headers={**metadata, **(headers or {})}, body=body, follow=follow)

    def submit(self, button: str | None = None, *, data: Mapping[str, str] | None = None, follow: bool = True) -> Page:
        """Send the first form of the current page that has a button of that value, or simply the first form.

        `data` is laid over the fields. Raises `NavigationFailed` when there is no such form.
        """
        for form in read_forms(self.history[-1].text if self.history else ""):
            pressed = {name: value for name, value in form.buttons if value == button}
            if button is None or pressed:
                return self._send_form(
                    form.method, form.action, {**form.fields, **(data or {}), **pressed}, follow=follow
                )
        raise NavigationFailed(f"no form with a button {button!r} at {self.url}")

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        follow: bool = True,
    ) -> Page:
        """Send a request with exactly these headers and the cookies, and follow redirects if wished.

        Raises `NavigationFailed` for an origin without an app and after 20 redirects.
        """
        request = _Request(method=method, url=urljoin(self.url, url), headers=headers or {}, body=body)
        for _ in range(MAX_REDIRECTS + 1):
            page = self._send(request)
            if not follow or page.status not in _REDIRECTS or "Location" not in page.headers:
                return page
            request = _redirected(request, page)
        raise NavigationFailed(f"more than {MAX_REDIRECTS} redirects, the last to {request.url}")

    def _send_form(self, method: str, action: str, fields: Mapping[str, str], *, follow: bool) -> Page:
        target = urljoin(self.url, action)
        headers = _navigation(self._site(target))
        if method != "POST":
            return self.request(
                "GET", f"{target.partition('?')[0]}?{urlencode(fields)}", headers=headers, follow=follow
            )
        return self.post(target, fields, headers={**headers, "Origin": origin_of(self.url)}, follow=follow)

    def _send(self, request: _Request) -> Page:
        app = self._apps.get(origin_of(request.url))
        if app is None:
            raise NavigationFailed(f"no app at {origin_of(request.url)}")
        target = urldefrag(request.url).url
        cookies = self.cookies.header(target)
        headers = {**({"Cookie": cookies} if cookies else {}), **request.headers}
        answer = exchange(app, method=request.method, url=target, headers=headers.items(), body=request.body)
        for header in answer.headers.getlist("Set-Cookie"):
            self.cookies.receive(target, header)
        page = Page(url=request.url, status=answer.status, headers=answer.headers, body=answer.body)
        self.history.append(page)
        return page

    def _site(self, target: str) -> str:
        return "same-origin" if origin_of(target) == origin_of(self.url) else "cross-site"


def _navigation(site: str) -> dict[str, str]:
    metadata = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    return {**_DOCUMENT, **metadata, "Sec-Fetch-Site": site}


def _redirected(request: _Request, page: Page) -> _Request:
    """Build the request that a redirect leads to (Fetch 4.4): another origin turns `Sec-Fetch-Site` to cross-site."""
    url = urljoin(request.url, page.headers["Location"])
    headers = {name: value for name, value in request.headers.items() if name != "Cookie"}
    if origin_of(url) != origin_of(request.url) and headers.get("Sec-Fetch-Site") == "same-origin":
        headers["Sec-Fetch-Site"] = "cross-site"
    if page.status in (307, 308) or (page.status in (301, 302) and request.method != "POST"):
        return _Request(method=request.method, url=url, headers=headers, body=request.body)
    body_headers = ("content-type", "content-length", "origin")
    kept = {name: value for name, value in headers.items() if name.lower() not in body_headers}
    return _Request(method="HEAD" if request.method == "HEAD" else "GET", url=url, headers=kept)
