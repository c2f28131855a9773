"""A user agent in process: visits WSGI apps by their origins, keeps cookies, follows redirects."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urldefrag, urlencode, urljoin
from wsgiref.types import WSGIApplication

from werkzeug.datastructures import Headers

from gateway.testing.cookies import USER, CookieJar, Initiator, origin_of, site_of
from gateway.testing.forms import read_forms, read_frames
from gateway.testing.wsgi import exchange

MAX_REDIRECTS = 20

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_SAFE = ("GET", "HEAD")
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
    initiator: Initiator = USER


class Browser:
    """A browser for tests, with cookies of its own; make one for each user.

    `apps` are WSGI apps by origin, `clock` gives seconds since the epoch for the expiry of cookies. A path is looked
    up at the page where the browser is, at first at the first of the apps. An exception of an app propagates to the
    test. `history` holds every answer, redirects too, and `frames` those that the iframes of pages got; of them only
    those of an app are loaded. It runs no scripts: `submit` sends a form that a script would.
    `SameSite` is enforced: `navigate` is the user's own doing, `open_link`, `submit`, `fetch` and `frame` are that of
    the current page, to the end of their redirects.

        browser = Browser({"https://app.example": app, "https://op.example": provider})
        page = browser.navigate("https://app.example/")
        assert page.url == "https://app.example/"
    """

    def __init__(self, apps: Mapping[str, WSGIApplication], *, clock: Callable[[], float] = time.time) -> None:
        self.history: list[Page] = []
        self.frames: list[Page] = []
        self.cookies = CookieJar(clock=clock)
        self._apps = {origin_of(origin): app for origin, app in apps.items()}
        self._start = next(iter(self._apps))

    @property
    def apps(self) -> Mapping[str, WSGIApplication]:
        """The apps by their origins."""
        return self._apps

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

    def open_link(self, url: str, *, follow: bool = True) -> Page:
        """Go to a URL by a link of the current page."""
        target = urljoin(self.url, url)
        initiator = Initiator(origin=origin_of(self.url))
        headers = _navigation(self._site(target))
        return self._run(_Request(method="GET", url=target, headers=headers, initiator=initiator), follow=follow)

    def frame(self, url: str) -> Page:
        """Load a URL into a frame of the current page; the browser is there afterwards."""
        return self._run(self._frame_request(url), follow=True)

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
        initiator = Initiator(origin=origin_of(self.url), top_level=False, safe=method in _SAFE)
        sent = {**metadata, **(headers or {})}
        request = _Request(method=method, url=target, headers=sent, body=body, initiator=initiator)
        return self._run(request, follow=follow)

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
        return self._run(request, follow=follow)

    def _run(self, request: _Request, *, follow: bool) -> Page:
        page = self._answer(request, self.history, follow=follow)
        if request.headers.get("Sec-Fetch-Dest") == "document" and "<iframe" in page.text:
            for url in read_frames(page.text):
                with suppress(NavigationFailed):  # A frame that cannot be loaded stops no page.
                    self._answer(self._frame_request(url), self.frames, follow=True)
        return page

    def _answer(self, request: _Request, answers: list[Page], *, follow: bool) -> Page:
        for _ in range(MAX_REDIRECTS + 1):
            page = self._send(request)
            answers.append(page)
            if not follow or page.status not in _REDIRECTS or "Location" not in page.headers:
                return page
            request = _redirected(request, page)
        raise NavigationFailed(f"more than {MAX_REDIRECTS} redirects, the last to {request.url}")

    def _send_form(self, method: str, action: str, fields: Mapping[str, str], *, follow: bool) -> Page:
        target = urljoin(self.url, action)
        headers = _navigation(self._site(target))
        initiator = Initiator(origin=origin_of(self.url), safe=method != "POST")
        if method != "POST":
            url = f"{target.partition('?')[0]}?{urlencode(fields)}"
            return self._run(_Request(method="GET", url=url, headers=headers, initiator=initiator), follow=follow)
        headers = {**headers, "Content-Type": _FORM, "Origin": self._form_origin()}
        body = urlencode(fields).encode("ascii")
        request = _Request(method="POST", url=target, headers=headers, body=body, initiator=initiator)
        return self._run(request, follow=follow)

    def _form_origin(self) -> str:
        # Fetch 3.2: a page that gives no referrer does not tell its origin either.
        policy = self.history[-1].headers.get("Referrer-Policy", "")
        return "null" if policy == "no-referrer" else origin_of(self.url)

    def _send(self, request: _Request) -> Page:
        app = self._apps.get(origin_of(request.url))
        if app is None:
            raise NavigationFailed(f"no app at {origin_of(request.url)}")
        target = urldefrag(request.url).url
        cookies = self.cookies.header(target, request.initiator)
        headers = {**({"Cookie": cookies} if cookies else {}), **request.headers}
        answer = exchange(app, method=request.method, url=target, headers=headers.items(), body=request.body)
        for header in answer.headers.getlist("Set-Cookie"):
            self.cookies.receive(target, header, request.initiator)
        return Page(url=request.url, status=answer.status, headers=answer.headers, body=answer.body)

    def _frame_request(self, url: str) -> _Request:
        target = urljoin(self.url, url)
        headers = {**_navigation(self._site(target)), "Sec-Fetch-Dest": "iframe"}
        del headers["Sec-Fetch-User"]
        initiator = Initiator(origin=origin_of(self.url), top_level=False)
        return _Request(method="GET", url=target, headers=headers, initiator=initiator)

    def _site(self, target: str) -> str:
        if origin_of(target) == origin_of(self.url):
            return "same-origin"
        return "same-site" if site_of(target) == site_of(self.url) else "cross-site"


def _navigation(site: str) -> dict[str, str]:
    metadata = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
    return {**_DOCUMENT, **metadata, "Sec-Fetch-Site": site}


def _redirected(request: _Request, page: Page) -> _Request:
    """Build the request that a redirect leads to (Fetch 4.4): another origin turns `Sec-Fetch-Site` to cross-site."""
    url = urljoin(request.url, page.headers["Location"])
    headers = {name: value for name, value in request.headers.items() if name != "Cookie"}
    crosses = origin_of(url) != origin_of(request.url)
    if crosses and headers.get("Sec-Fetch-Site") in ("same-origin", "same-site"):
        headers["Sec-Fetch-Site"] = "same-site" if site_of(url) == site_of(request.url) else "cross-site"
    if crosses and "Origin" in headers and request.initiator.origin not in (None, origin_of(request.url)):
        headers["Origin"] = "null"
    if page.status in (307, 308) or (page.status in (301, 302) and request.method != "POST"):
        return replace(request, url=url, headers=headers)
    body_headers = ("content-type", "content-length", "origin")
    kept = {name: value for name, value in headers.items() if name.lower() not in body_headers}
    method = "HEAD" if request.method == "HEAD" else "GET"
    initiator = replace(request.initiator, safe=True)
    return _Request(method=method, url=url, headers=kept, initiator=initiator)
