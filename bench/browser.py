"""A user who signs in: follows redirects, keeps cookies by server, and sends the provider's form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests

from bench.processes import BenchError

USER: Final = "alice"
NAVIGATION: Final[Mapping[str, str]] = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Site": "none",
}
SECONDS: Final = 20.0
_REDIRECTS: Final = 12


class Browser:
    """A browser with cookies of its own, kept by host and port, `Secure` or not.

    Some peers set `Secure` cookies on plain http too, which a cookie jar would keep to itself.
    """

    def __init__(self, provider: str) -> None:
        self._provider = urlsplit(provider).netloc
        self._cookies: dict[str, dict[str, str]] = {}

    def sign_in(self, url: str) -> str:
        """Open a protected page, sign in where that leads, and return the text that it shows in the end."""
        answer = self._ask("GET", url)
        for _ in range(_REDIRECTS):
            place = urljoin(answer.url, answer.headers.get("Location", ""))
            if answer.is_redirect:
                answer = self._ask("GET", place)
            elif urlsplit(answer.url).netloc == self._provider and answer.request.method == "GET":
                answer = self._ask("POST", answer.url, {"sub": USER})
            elif answer.status_code == 200:
                return answer.text
            else:
                break
        raise BenchError(f"no sign-in at {url}: {answer.status_code} at {answer.url}\n{answer.text[:500]}")

    def cookies(self, origin: str) -> str:
        """Return the Cookie field for a server."""
        kept = self._cookies.get(urlsplit(origin).netloc, {})
        return "; ".join(f"{name}={value}" for name, value in kept.items())

    def _ask(self, method: str, url: str, form: Mapping[str, str] | None = None) -> requests.Response:
        headers = {**NAVIGATION, "Cookie": self.cookies(url)}
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(method, url, data=form, headers=headers, timeout=SECONDS, allow_redirects=False)
        kept = self._cookies.setdefault(urlsplit(url).netloc, {})
        for line in answer.raw.headers.getlist("Set-Cookie"):
            _keep(kept, line)
        return answer


def _keep(kept: dict[str, str], line: str) -> None:
    pair, *attributes = (part.strip() for part in line.split(";"))
    name, _, value = pair.partition("=")
    ends = any(one.lower() == "max-age=0" or "1970" in one for one in attributes)
    if ends or not value.strip('"'):
        kept.pop(name, None)
    else:
        kept[name] = value
