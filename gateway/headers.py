"""What the inner app receives: hop-by-hop fields out, spoofed identity out, our cookies out, then ours in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote, urlsplit

from gateway.claims import claim_at, is_withheld, vouched
from gateway.cookies import CookiePolicy, is_own_set_cookie, without_own
from gateway.errors import GROUPS_OVERAGE, GatewayError
from gateway.remembered import remembered
from gateway.request_context import Environ, field_name
from gateway.route import Route
from gateway.session import Session
from gateway.target import RequestTarget

Headers = list[tuple[str, str]]
"""Field names in lower case with their values, in order."""

# A client may not use `Connection` to take away what the request means.
_NOT_DROPPED = frozenset(
    {"authorization", "content-length", "content-type", "cookie", "host", "origin", "transfer-encoding", "upgrade"}
)

_IDENTITY = frozenset(
    {
        "authorization",
        "dpop",
        "forwarded",
        "proxy",
        "proxy-authorization",
        "true-client-ip",
        "x-real-ip",
        "x-rewrite-url",
        "x-script-name",  # By which some apps move the border between mount and path, as with SCRIPT_NAME itself.
    }
)
_IDENTITY_PREFIXES = (
    "x-forwarded-", "x-auth-request-", "x-gateway-", "x-original-", "x-remote-", "x-authenticated-", "x-webauth-",
    "remote-", "oidc-claim-", "ssl-client-", "x-ssl-client-", "x-client-cert",
)  # fmt: skip
_USERS = ("user", "issuer", "email", "groups", "preferred-username", "access-token")
KNOWN_IDENTITY_FIELDS = frozenset(
    {
        *(f"x-auth-request-{name}" for name in _USERS),
        *(f"x-forwarded-{name}" for name in _USERS),
        "authorization", "dpop", "x-gateway-identity", "remote-user", "x-remote-user",
        "x-forwarded-uri", "x-original-url", "x-rewrite-url", "x-script-name",
    }
)  # fmt: skip
"""The names by which applications know a user, or a path that decides; for who has to be told them one by one."""

METHOD_OVERRIDES = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.:/-]*)\}")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]")
_SAFE_IN_VALUES = "".join(chr(octet) for octet in range(0x20, 0x7F) if chr(octet) != "%")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderRules:
    """What holds for every request: our cookies, the browser's scheme, and the names that are never the client's.

    `injected` are those among them that some route injects. `is_reserved` tells whether a field of a name is ours to
    set, also when written with `_` or in another case.
    """

    cookies: CookiePolicy
    public_scheme: str
    public_host: str
    reserved: frozenset[str]
    injected: frozenset[str] = frozenset()
    is_reserved: Callable[[str], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Have what was told of a name remembered."""
        object.__setattr__(self, "is_reserved", remembered(longest=64)(partial(_is_reserved, self.reserved)))


def header_rules(cookies: CookiePolicy, public_url: str, routes: Iterable[Route]) -> HeaderRules:
    """Collect the names that no client may send: the fixed ones and all that any route injects.

    Where a rule is about methods, the fields that change the method for some frameworks are among them.
    """
    listed = list(routes)
    origin = urlsplit(public_url)
    injected = {_fold(name) for route in listed for name in route.request_headers}
    overrides = METHOD_OVERRIDES if any(route.methods for route in listed) else frozenset()
    return HeaderRules(
        cookies=cookies,
        public_scheme=origin.scheme,
        public_host=origin.netloc,
        reserved=_IDENTITY | injected | overrides,
        injected=frozenset(injected),
    )


def client_headers(environ: Environ) -> Headers:
    """List the fields of a request, as a WSGI environ has them."""
    return [(name, str(value)) for key, value in environ.items() if (name := field_name(key))]


def inner_headers(
    headers: Headers,
    target: RequestTarget,
    route: Route,
    session: Session | None,
    rules: HeaderRules,
    authorization: Headers,
) -> Headers:
    """Turn what the client sent into what the inner app receives; the order of the steps is the protection.

    Fields named in `Connection` go first, so that a client cannot have ours removed; reserved names go second, so
    that no client can set them; ours are added last.
    """
    return [*kept_headers(headers, rules), *injected_headers(target, route, session, rules, authorization)]


def without(headers: Headers, others: Headers) -> Headers:
    """Leave out the fields that are among others by their names."""
    names = {name for name, _ in others}
    return [pair for pair in headers if pair[0] not in names] if names else headers


def kept_headers(headers: Headers, rules: HeaderRules) -> Headers:
    """Keep of what the client sent that which is the client's to say; the first two steps of `inner_headers`."""
    kept = [
        pair for pair in _without_connection_fields(headers) if pair[0] != "cookie" and not rules.is_reserved(pair[0])
    ]
    cookie = without_own(rules.cookies, "; ".join([value for name, value in headers if name == "cookie"]))
    return [*kept, ("cookie", cookie)] if cookie else kept


def injected_headers(
    target: RequestTarget, route: Route, session: Session | None, rules: HeaderRules, authorization: Headers
) -> Headers:
    """Make all that we say ourselves; the last step of `inner_headers`."""
    return _replaced(forwarded_headers(target, route, rules), route) + route_headers(route, session, authorization)


def forwarded_headers(target: RequestTarget, route: Route, rules: HeaderRules) -> Headers:
    """Say where the request came from (RFC 7239 and its predecessors)."""
    host = seen_host(target, route, rules)
    node = f'"[{target.client}]"' if ":" in target.client else target.client or "unknown"
    headers = [
        ("x-forwarded-for", target.forwarded_for),
        ("x-forwarded-proto", rules.public_scheme),
        ("x-forwarded-host", host),
        ("forwarded", f'for={node};host="{host}";proto={rules.public_scheme}'),
    ]
    return [*headers, ("x-forwarded-prefix", route.strip_prefix)] if route.strip_prefix else headers


def seen_host(target: RequestTarget, route: Route, rules: HeaderRules) -> str:
    """Name the host that a request was for: that of `public_url`, or the one by which its route was chosen."""
    return target.host if route.hosts else rules.public_host


def route_headers(route: Route, session: Session | None, authorization: Headers) -> Headers:
    """Make the fields that a route injects: the token, who the user is, and the configured ones."""
    headers: dict[str, str | None] = dict(authorization)
    if session is not None and route.identity_headers:
        headers.update((f"x-forwarded-{name}", value) for name, value in identity(session))
    # A configured field replaces ours of that name, also where its template stays empty: never both, never another.
    headers.update((name.lower(), fill_template(template, session)) for name, template in route.request_headers.items())
    return [(name, value) for name, value in headers.items() if value is not None]


def identity(session: Session) -> Headers:
    """Name the user in the words that upstreams know; an absent claim gives no field."""
    claims = vouched(session.claims)
    groups = claims.get("groups")
    members = groups if isinstance(groups, list) else [groups]
    texts = {
        "user": session.subject,
        "issuer": session.issuer,
        "email": claims.get("email"),
        "preferred-username": claims.get("preferred_username"),
    }
    named = [(name, field_value(text)) for name, text in texts.items() if isinstance(text, str) and text]
    joined = ",".join(
        field_value(member).replace(",", "%2C") for member in members if isinstance(member, str) and member
    )
    return [*named, ("groups", joined)] if joined else named


def fill_template(template: str, session: Session | None) -> str | None:
    """Fill `{claim}` or `{claims.claim}` placeholders; None, and no half-empty field, when one cannot be filled.

    Raises `groups_overage` for a claim that the provider keeps elsewhere: to say nothing would say that there is none.
    """
    claims: Mapping[str, object] = {} if session is None else {**vouched(session.claims), "sub": session.subject}
    parts = _PLACEHOLDER.split(template)
    for index in range(1, len(parts), 2):
        name = parts[index] if parts[index] in claims else parts[index].removeprefix("claims.")
        if is_withheld(claims, name):
            raise GatewayError(GROUPS_OVERAGE, f"a header needs the claim {name}, which is kept elsewhere")
        value = _field_text(claim_at(claims, name))
        if value is None:
            return None
        parts[index] = value
    return "".join(parts)


def _field_text(value: object) -> str | None:
    if isinstance(value, list):
        members = [item for item in value if isinstance(item, str | int) and not isinstance(item, bool)]
        return ",".join(field_value(str(item)).replace(",", "%2C") for item in members) if members else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return field_value(str(value))


def field_value(text: str) -> str:
    """Write a claim as a field value: percent-encoded UTF-8 for `%`, control characters and all that is not ASCII.

    The encoding is one-to-one, so that no two users look alike to an upstream; outer spaces, which a recipient would
    cut (RFC 9110 5.5), are encoded too.
    """
    encoded = quote(text, safe=_SAFE_IN_VALUES, errors="surrogatepass")
    inner = encoded.strip(" ")
    if len(inner) == len(encoded):
        return encoded
    leading = len(encoded) - len(encoded.lstrip(" "))
    trailing = len(encoded) - leading - len(inner)
    return "%20" * leading + inner + "%20" * trailing


def response_headers(headers: Headers, cookies: CookiePolicy, *, personal: bool, vary: str = "") -> Headers:
    """Pass on an inner app's response fields but for a `Set-Cookie` of one of our cookies, and add to its `Vary`.

    What a session was needed for is `personal`: no shared cache may give it to others, whatever the app, which knows of
    no login, says or does not say (RFC 9111 5.2.2.7).
    """
    kept, caching = [], []
    for pair in headers:
        name = pair[0].lower()
        if name == "set-cookie" and is_own_set_cookie(cookies, pair[1]):
            continue
        if personal and name in _CACHING:
            caching += [pair[1]] if name == "cache-control" else []
        else:
            kept.append(pair)
    kept += [("Vary", vary)] if vary else []
    return [*kept, ("Cache-Control", _personal(caching))] if personal else kept


_CACHING = frozenset({"cache-control", "cdn-cache-control", "surrogate-control", "x-accel-expires"})
"""What caches go by; all but the first are for shared caches alone, and often go before it (RFC 9213)."""


def _personal(values: Sequence[str]) -> str:
    if not values:
        return "private"
    # The app sees `Authorization`, which keeps shared caches away by itself (RFC 9111 3.5); they see a cookie instead.
    directives = [item.strip() for value in values for item in value.split(",") if item.strip()]
    kept = [item for item in directives if item.lower().partition("=")[0] not in ("public", "s-maxage")]
    private = any(item.lower().partition("=")[0] in ("private", "no-store") for item in kept)
    return ", ".join(kept if private else [*kept, "private"])


def _is_reserved(reserved: frozenset[str], name: str) -> bool:
    folded = _fold(name)
    return folded in reserved or folded.startswith(_IDENTITY_PREFIXES)


def _fold(name: str) -> str:
    return _NOT_ALPHANUMERIC.sub("-", name.lower())


def _replaced(headers: Headers, route: Route) -> Headers:
    configured = {name.lower() for name in route.request_headers}
    return [pair for pair in headers if pair[0] not in configured] if configured else headers


def _without_connection_fields(headers: Headers) -> Headers:
    values = ",".join([value for name, value in headers if name == "connection"])
    if not values:
        return headers
    folded = {token.strip().lower().replace("_", "-") for token in values.split(",")} - _NOT_DROPPED
    return [pair for pair in headers if pair[0].replace("_", "-") not in folded or pair[0] in ("connection", "upgrade")]
