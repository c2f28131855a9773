"""What an upstream says of itself in its answers, put into the words of the site that is before it."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.headers import HeaderRules, Headers, seen_host
from gateway.route import Route
from gateway.target import RequestTarget

_PLACES = frozenset({"location", "content-location"})


def rewritten(target: RequestTarget, route: Route, rules: HeaderRules, headers: Headers) -> Headers:
    """Rewrite `Location` and `Content-Location`, and `Domain` and `Path` of each `Set-Cookie`.

    An address of the upstream, by its own name or by the host that it was sent, becomes one of the site, with the
    prefix that was cut on the way there; all other addresses stay as they are. A cookie for the upstream's host becomes
    one for the site's.
    """
    site = _Site(route, rules.public_scheme, seen_host(target, route, rules))
    return [(name, site.field(name.lower(), value)) for name, value in headers]


class _Site:
    def __init__(self, route: Route, scheme: str, host: str) -> None:
        upstream = urlsplit(route.upstream_url)
        self._route = route
        self._base = upstream.path.rstrip("/") + route.add_prefix
        self._origin = f"{scheme}://{host}"
        self._authorities = {upstream.netloc.lower(), host.lower()}
        self._upstream_host = (upstream.hostname or "").lower()

    def field(self, name: str, value: str) -> str:
        if name in _PLACES:
            return self._place(value)
        return self._cookie(value) if name == "set-cookie" else value

    def _place(self, value: str) -> str:
        try:
            parts = urlsplit(value)
        except ValueError:
            return value
        if parts.netloc and (
            parts.scheme not in ("", "http", "https") or parts.netloc.lower() not in self._authorities
        ):
            return value
        if not parts.netloc and (parts.scheme or not parts.path.startswith("/")):
            return value  # Relative to the address that the browser asked for, which is the site's already.
        path = self._path(parts.path or "/")
        if path is None:
            return value
        # Always with the origin: a path that begins with `//` would else lead to another host.
        return self._origin + path + (f"?{parts.query}" if parts.query else "") + _fragment(value)

    def _cookie(self, value: str) -> str:
        pair, *attributes = value.split(";")
        return ";".join([pair, *(one for one in map(self._attribute, attributes) if one is not None)])

    def _attribute(self, attribute: str) -> str | None:
        name, _, value = attribute.partition("=")
        if name.strip().lower() == "domain" and self._is_upstreams(value.strip().lower().removeprefix(".")):
            return None
        path = self._path(value.strip()) if name.strip().lower() == "path" else None
        return attribute if path is None else f"{name}={path}"

    def _is_upstreams(self, domain: str) -> bool:
        return bool(domain) and f".{self._upstream_host}".endswith(f".{domain}")

    def _path(self, path: str) -> str | None:
        """Turn a path of the upstream's into the site's; None where the route does not lead there."""
        if path != self._base and not path.startswith(f"{self._base}/"):
            return None
        return self._route.strip_prefix + path.removeprefix(self._base) or "/"


def _fragment(value: str) -> str:
    _, mark, fragment = value.partition("#")
    return mark + fragment
