"""The cookies of one browser, kept and sent as RFC 6265bis has it, with its prefixes and `SameSite` (4.1.3, 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Initiator:
    """What made a request: the page of an origin, or the user when that is None.

    `top_level` tells whether the whole page changes, and not only a part of it; `safe` whether the method is GET or
    HEAD. Chrome's two minutes of grace for a POST with a new cookie are not granted.
    """

    origin: str | None = None
    top_level: bool = True
    safe: bool = True

    def is_cross_site(self, url: str) -> bool:
        """Tell whether a request to a URL crosses sites (RFC 6265bis 5.2)."""
        return self.origin is not None and site_of(self.origin) != site_of(url)


USER = Initiator()
"""The user at the address bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """A cookie of one origin; `expires_at` is seconds since the epoch, None for as long as the browser lives."""

    origin: str
    name: str
    value: str = field(repr=False)
    path: str
    secure: bool
    http_only: bool
    same_site: str
    expires_at: float | None

    def may_cross(self, initiator: Initiator) -> bool:
        """Tell whether `SameSite` lets the cookie go with a request across sites; without a value it is `Lax`."""
        if self.same_site == "none":
            return True
        return self.same_site != "strict" and initiator.top_level and initiator.safe

    def goes_to(self, origin: str, path: str, now: float) -> bool:
        """Tell whether the cookie is sent with a request (RFC 6265 5.4); a Secure one was only ever kept for https."""
        if origin != self.origin or (self.expires_at is not None and self.expires_at <= now):
            return False
        return path == self.path or path.startswith(self.path if self.path.endswith("/") else self.path + "/")


@dataclass(slots=True, kw_only=True)
class CookieJar:
    """The cookies of a browser, one set for each origin."""

    clock: Callable[[], float]
    _cookies: dict[tuple[str, str, str], Cookie] = field(default_factory=dict)

    def receive(self, url: str, header: str, initiator: Initiator = USER) -> None:
        """Take in a `Set-Cookie` header; one that a browser would refuse changes nothing."""
        cookie = parse_set_cookie(url, header, self.clock())
        if cookie is None:
            return
        if initiator.is_cross_site(url) and not initiator.top_level and cookie.same_site != "none":
            return  # RFC 6265bis 5.7 (19): a part of another site's page cannot even set it.
        key = (cookie.origin, cookie.name, cookie.path)
        self._cookies.pop(key, None)
        if cookie.expires_at is None or cookie.expires_at > self.clock():
            self._cookies[key] = cookie

    def header(self, url: str, initiator: Initiator = USER) -> str:
        """Build the `Cookie` header for a URL, the longest path first; empty when there are none."""
        origin, path = origin_of(url), urlsplit(url).path or "/"
        sent = [cookie for cookie in self._cookies.values() if cookie.goes_to(origin, path, self.clock())]
        if initiator.is_cross_site(url):
            sent = [cookie for cookie in sent if cookie.may_cross(initiator)]
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in sorted(sent, key=lambda one: -len(one.path)))

    def of(self, origin: str) -> dict[str, str]:
        """Return the live cookies of an origin, values by name."""
        now = self.clock()
        live = (one for one in self._cookies.values() if one.expires_at is None or one.expires_at > now)
        return {cookie.name: cookie.value for cookie in live if cookie.origin == origin}

    def set(self, origin: str, name: str, value: str) -> None:
        """Put a cookie there by hand, in place of any of that name; a thief's way, or a tampering user's."""
        self.delete(origin, name)
        self._cookies[(origin, name, "/")] = Cookie(
            origin=origin,
            name=name,
            value=value,
            path="/",
            secure=origin.startswith("https:"),
            http_only=True,
            same_site="",
            expires_at=None,
        )

    def delete(self, origin: str, name: str | None = None) -> None:
        """Forget a cookie of an origin, or all of them."""
        for key in [key for key in self._cookies if key[0] == origin and name in (None, key[1])]:
            del self._cookies[key]


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, without a default port (RFC 6454 6.2)."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return f"{parts.scheme}://{host}" + ("" if parts.port in (None, default) else f":{parts.port}")


def site_of(url: str) -> str:
    """Return scheme and registrable domain of a URL, which is taken to be the last two labels of the host."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    is_address = ":" in host or host.replace(".", "").isdigit()
    return f"{parts.scheme}://{host if is_address else '.'.join(host.split('.')[-2:])}"


def parse_set_cookie(url: str, header: str, now: float) -> Cookie | None:
    """Read a `Set-Cookie` header (RFC 6265 5.2); None for a cookie that a browser refuses."""
    pair, *fields = header.split(";")
    name, equals, value = (part.strip() for part in pair.partition("="))
    attributes = {key.strip().lower(): text.strip() for key, _, text in (one.partition("=") for one in fields)}
    cookie = Cookie(
        origin=origin_of(url),
        name=name,
        value=value,
        path=attributes["path"] if attributes.get("path", "").startswith("/") else _default_path(url),
        secure="secure" in attributes,
        http_only="httponly" in attributes,
        same_site=attributes.get("samesite", "").lower(),
        expires_at=_expires_at(attributes, now),
    )
    return cookie if equals and name and _is_acceptable(cookie, attributes.get("domain", ""), url) else None


def _is_acceptable(cookie: Cookie, domain: str, url: str) -> bool:
    if cookie.secure and not cookie.origin.startswith("https:"):
        return False
    if cookie.name.startswith(("__Secure-", "__Host-")) and not cookie.secure:
        return False
    if cookie.name.startswith("__Host-") and (cookie.path != "/" or domain):
        return False
    if cookie.same_site == "none" and not cookie.secure:
        return False
    host = urlsplit(url).hostname or ""
    return not domain or host == domain.lstrip(".").lower() or host.endswith("." + domain.lstrip(".").lower())


def _expires_at(attributes: dict[str, str], now: float) -> float | None:
    max_age = attributes.get("max-age", "")
    if max_age.lstrip("-").isdigit():
        return now + int(max_age)
    try:
        return parsedate_to_datetime(attributes["expires"]).timestamp() if "expires" in attributes else None
    except ValueError:
        return None


def _default_path(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[0] or "/"
