"""What is asked for: method, scheme, host, client and path, read once, in one form for policy and upstream alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from posixpath import normpath
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from gateway.client_address import Network
from gateway.errors import (
    METHOD_REFUSED,
    RETURN_URL_REFUSED,
    TARGET_AMBIGUOUS,
    TARGET_MALFORMED,
    GatewayError,
)
from gateway.remembered import remembered
from gateway.request_context import Environ, RequestContext, read_context

MAX_TARGET_LENGTH = 8192
REFUSED_METHODS = frozenset({"CONNECT", "TRACE", "TRACK"})

_METHOD = re.compile(r"[A-Z][A-Z0-9!#$%&'*+.^_`|~-]{0,31}")
_PATH_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")
_QUERY = re.compile(r"[!\"$-~]*")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE = "/!$&'()*+,;=:@-._~"
_LITERAL_IN_SEGMENT = frozenset(_PATH_SAFE.encode("ascii")) - frozenset(b"/")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTarget:
    """A request as policy sees it.

    `path` is canonical and still encoded: it is the form that routes match and that the upstream receives.
    `query` is what came, byte for byte.
    """

    method: str
    path: str
    query: str
    context: RequestContext

    @property
    def encoded_slash(self) -> bool:
        """Whether the path holds a slash that separates nothing."""
        return "%2F" in self.path

    @property
    def navigation(self) -> bool:
        """Whether a browser will show the answer."""
        return self.method == "GET" and self.context.page

    @property
    def scheme(self) -> str:
        """The scheme of the request, which is not that of `public_url`."""
        return self.context.scheme

    @property
    def host(self) -> str:
        """The host that it was for."""
        return self.context.host

    @property
    def client(self) -> str:
        """The address of the user agent; empty where it is not known."""
        return self.context.client

    @property
    def forwarded_for(self) -> str:
        """The chain of addresses up to us."""
        return self.context.forwarded_for

    @property
    def peer_trusted(self) -> bool:
        """Whether one of our proxies sent it."""
        return self.context.peer_trusted

    @property
    def upgrade(self) -> bool:
        """Whether it asks for another protocol."""
        return self.context.upgrade

    @property
    def fetch_site(self) -> str:
        """What the browser says of the page that made it."""
        return self.context.fetch_site

    @property
    def origin(self) -> str:
        """The origin of that page."""
        return self.context.origin

    @property
    def names(self) -> frozenset[str]:
        """The names of all fields, in lower case."""
        return self.context.names

    @property
    def raw(self) -> str:
        """The origin-form target (RFC 9112 3.2.1)."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def other_readings(self) -> tuple[str, ...]:
        """The path as other servers read it (RFC 3986 2.2, 3.3).

        They decode what need not be encoded, cut `;parameters` from each segment, or both; encoded slashes stay.
        """
        return _other_readings(self.path)

    @property
    def lenient_readings(self) -> tuple[str, ...]:
        """The path as lenient servers read it, but for case: no dot or space ends a segment, or it is decoded twice."""
        return _lenient_readings(self.path)

    @property
    def joined_readings(self) -> tuple[str, ...]:
        """The same for lenient servers that decode slashes, too."""
        return _lenient_readings(self.path.replace("%2F", "/")) if self.encoded_slash else ()


def read_target(
    environ: Environ, trusted_proxies: Sequence[Network], hops: int = 0, context: RequestContext | None = None
) -> RequestTarget:
    """Read a WSGI environ once; `context` is what its fields say, where that is known already.

    X-Forwarded-* count only when they come from `trusted_proxies`, or when there are `hops` proxies whose addresses are
    not known; such a peer may not ask for decisions, though.
    Raises `method_refused`, `host_invalid`, `target_malformed` and `target_ambiguous`.
    """
    method = str(environ.get("REQUEST_METHOD", ""))
    _check_method(method)
    raw_path, query = _raw_target(environ)
    path = canonical_path(raw_path)
    return RequestTarget(
        method=method, path=path, query=query, context=context or read_context(environ, trusted_proxies, hops)
    )


@remembered(longest=256)
def canonical_path(path: str) -> str:
    """Bring an encoded path into the one form that is matched and forwarded (RFC 3986 6.2.2).

    Percent-encodings of unreserved characters are decoded, the others get upper case. Raises `target_malformed` for
    what is no path, `target_ambiguous` for what two servers could read differently: dot segments, `//`, backslashes,
    control characters, `..;`, `/;/`, bytes that are not UTF-8.
    """
    if not path.startswith("/") or not _PATH_CHARACTERS.fullmatch(path):
        raise GatewayError(TARGET_MALFORMED, "the path has characters that no path has")
    canonical = _ENCODED.sub(_canonical_octet, path)
    decoded = unquote_to_bytes(canonical)
    if any(octet < 0x20 or octet in b"\x7f\\" for octet in decoded):
        raise GatewayError(TARGET_AMBIGUOUS, "the path hides a control character or a backslash")
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError as error:
        raise GatewayError(TARGET_AMBIGUOUS, "the path is not UTF-8") from error
    # The encoded slash counts as a separator here, so that an upstream that decodes it finds no dot segment either.
    segments = [segment.partition(";")[0].strip() for segment in text.split("/")]
    hollow = any(segment.startswith(";") for segment in text.split("/"))  # Empty for a server that cuts parameters.
    if hollow or "//" in canonical or any(segment in (".", "..") for segment in segments):
        raise GatewayError(TARGET_AMBIGUOUS, "the path has empty or dot segments")
    return canonical


def canonical_encoding(path: str) -> str:
    """Write a configured path as `canonical_path` would: non-ASCII encoded as UTF-8, escapes in their one form."""
    return _ENCODED.sub(_canonical_octet, quote(path, safe=_PATH_SAFE + "%"))


def safe_return_to(url: str, public_url: str) -> str:
    """Turn a return URL into a path on this site, rebuilt from its parts.

    Takes a path or an absolute URL of `public_url`'s own origin, with query and fragment.
    Raises `return_url_refused` for everything else (RFC 9700 4.11.1).
    """
    if len(url) > MAX_TARGET_LENGTH or not url.isprintable() or not url.isascii() or "\\" in url or " " in url:
        raise GatewayError(RETURN_URL_REFUSED, "characters that no URL has")
    if url.startswith("//"):  # Browsers read a host in `///host` too, where a strict parser sees a path.
        raise GatewayError(RETURN_URL_REFUSED, "no scheme, but a host")
    try:
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            own = urlsplit(public_url)
            if (parts.scheme, parts.netloc.lower()) != (own.scheme, own.netloc.lower()):
                raise GatewayError(RETURN_URL_REFUSED, "another origin")
        path = canonical_path(parts.path or "/")
    except (ValueError, GatewayError) as error:
        raise GatewayError(RETURN_URL_REFUSED, str(error)[:200]) from error
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return path + query + fragment


@remembered(longest=32, entries=64)
def _check_method(method: str) -> None:
    if not _METHOD.fullmatch(method) or method in REFUSED_METHODS:
        raise GatewayError(METHOD_REFUSED, f"method {method[:32]!r}")


def _raw_target(environ: Environ) -> tuple[str, str]:
    if "HTTP_SCRIPT_NAME" in environ or "HTTP_PATH_INFO" in environ:
        # Some servers let a header move the border between SCRIPT_NAME and PATH_INFO: rules and app would then read
        # two different paths out of one target.
        raise GatewayError(TARGET_AMBIGUOUS, "a header names SCRIPT_NAME or PATH_INFO")
    decoded_path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}" or "/"
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        if "%" in decoded_path:  # Decoded once already: what is left may be a second layer.
            raise GatewayError(TARGET_AMBIGUOUS, "the path is encoded twice")
        return quote(decoded_path, safe=_PATH_SAFE, encoding="latin-1"), _checked_query(environ)
    path, _, query = str(raw).partition("?")
    if len(raw) > MAX_TARGET_LENGTH or not path.startswith("/"):
        raise GatewayError(TARGET_MALFORMED, "the target is too long or not in origin form")
    plain = path == decoded_path and path.isascii() and "%" not in path
    if not plain and unquote_to_bytes(path) != decoded_path.encode("latin-1", "replace"):
        raise GatewayError(TARGET_AMBIGUOUS, "PATH_INFO is not the path of the target")
    if query != environ.get("QUERY_STRING", ""):
        raise GatewayError(TARGET_AMBIGUOUS, "QUERY_STRING is not the query of the target")
    return path, _checked_query(environ)


def _checked_query(environ: Environ) -> str:
    query = str(environ.get("QUERY_STRING", ""))
    if not _QUERY.fullmatch(query):
        raise GatewayError(TARGET_MALFORMED, "the query has characters that no query has")
    return query


def _canonical_octet(match: re.Match[str]) -> str:
    octet = int(match[0][1:], 16)
    return chr(octet) if octet in _UNRESERVED else match[0].upper()


def _other_readings(path: str) -> tuple[str, ...]:
    if ";" not in path and "%" not in path:
        return ()
    decoded = _ENCODED.sub(_literal_octet, path)
    return decoded, _without_parameters(path), _without_parameters(decoded)


def _lenient_readings(path: str) -> tuple[str, ...]:
    readings = [path, *_other_readings(path)]
    if "%25" in path:
        twice = unquote(unquote(path)).replace("\\", "/")
        readings += [canonical_encoding(normpath(form)) for form in (twice, _without_parameters(twice))]
    # What is lenient in one way is so in another, too: of a segment of dots, two slashes are left.
    return tuple(re.sub("/+", "/", _without_ends(reading)) for reading in readings)


def _literal_octet(match: re.Match[str]) -> str:
    octet = int(match[0][1:], 16)
    return chr(octet) if octet in _LITERAL_IN_SEGMENT else match[0]


def _without_ends(path: str) -> str:
    spaced = (segment.replace("%20", " ").rstrip(". ") for segment in path.split("/"))
    return "/".join(spaced).replace(" ", "%20")


def _without_parameters(path: str) -> str:
    return "/".join(segment.partition(";")[0] for segment in path.split("/"))
