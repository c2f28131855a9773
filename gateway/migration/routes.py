"""Rules and upstreams: what goes where, and what may pass without a login."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.migration.given import Given
from gateway.migration.paths import EVERYTHING, Reading, intersection, is_pattern, read_expression
from gateway.migration.people import Restrictions
from gateway.migration.report import Item, Outcome

Rule = dict[str, object]

_METHOD = re.compile(r"[A-Z][A-Z-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is behind a pattern: `upstream` is a URL, empty for nothing, None for what cannot be served."""

    pattern: str
    upstream: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutesPart:
    """`upstream` and `routes`, and what is said of them; `asks_only` where no upstream is behind."""

    upstream: str
    rules: tuple[Rule, ...]
    asks_only: bool
    items: tuple[Item, ...]


def routes_part(given: Given, who: Restrictions) -> RoutesPart:
    """Make the rules: first what is public, then what is asked quietly, then the rest, each by its upstream."""
    places, items = _places(given)
    default = next((place.upstream or "" for place in places if place.pattern == EVERYTHING), "")
    public, said = _public(given)
    items += said
    quiet, said = _quiet(given)
    items += said
    behind = any(place.upstream for place in places)
    manner, host = _manner(given, who, behind=behind), _host(given, behind=behind)
    if behind and given.is_on("set_authorization_header"):
        text = "with an upstream, the token goes there and into no answer"
        items.append(Item(option="set_authorization_header", outcome=Outcome.DIFFERS, text=text))
    rules = [
        _placed({"path": both, **rule, "access": "public", **host}, place, default)
        for pattern, rule in public
        for place in places
        if (both := intersection(pattern, place.pattern)) is not None
    ]
    rules += [
        _placed({"path": both, "login": "never", **manner}, place, default)
        for pattern in quiet
        for place in places
        if (both := intersection(pattern, place.pattern)) is not None
    ]
    rules += [_placed({"path": place.pattern, **manner}, place, default) for place in places]
    return RoutesPart(
        upstream=default,
        rules=tuple(_told_apart(rules)),
        asks_only=not behind,
        items=tuple(items),
    )


def _placed(rule: Rule, place: Place, default: str) -> Rule:
    if place.upstream is None:
        return {"path": rule["path"], "access": "deny"}
    return {**rule, "upstream": place.upstream} if place.upstream != default else rule


def _told_apart(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Leave out rules that are about nothing more than an earlier one."""
    seen: set[tuple[str, str]] = set()
    for rule in rules:
        about = (str(rule["path"]), str(rule.get("methods", "")))
        if about not in seen:
            yield rule
        seen.add(about)


def _places(given: Given) -> tuple[list[Place], list[Item]]:
    places: list[Place] = []
    items: list[Item] = []
    for url in sorted(given.listed("upstreams"), key=lambda one: len(_path(one)), reverse=True):
        place, item = _place(url)
        places += [] if place is None or place.pattern in {one.pattern for one in places} else [place]
        items += [] if item is None else [item]
    if EVERYTHING not in {place.pattern for place in places}:
        # Where nothing is behind, there is nobody to let through to; a wrapped app or a proxy may be asking.
        places.append(Place(pattern=EVERYTHING, upstream=""))
    return places, items


def _path(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("unix", "static"):
        return "/"
    return (parts.fragment if parts.scheme == "file" and parts.fragment else parts.path) or "/"


def _place(url: str) -> tuple[Place | None, Item | None]:
    parts, path = urlsplit(url), _path(url)
    pattern = f"{path.rstrip('/')}{EVERYTHING}" if path.endswith("/") else path
    if "@" in parts.netloc:  # A password, which belongs into no file and no report.
        text = f"{path}: its upstream is named with a password; have request_headers send it instead"
        return Place(pattern=pattern, upstream=None), Item(option="upstreams", outcome=Outcome.REFUSED, text=text)
    if parts.scheme == "static":
        return None, Item(option="upstreams", outcome=Outcome.MAPPED, text=f"{url}: forward_auth, nothing is behind")
    if not is_pattern(pattern):
        return None, Item(option="upstreams", outcome=Outcome.REFUSED, text=f"{path}: cannot stand in a rule")
    if parts.scheme == "file":
        text = f"{url}: files are not served; nobody may pass there until a server of files is named"
        return Place(pattern=pattern, upstream=None), Item(option="upstreams", outcome=Outcome.REFUSED, text=text)
    upstream = f"unix:{parts.path}" if parts.scheme == "unix" else f"{parts.scheme}://{parts.netloc}"
    return Place(pattern=pattern, upstream=upstream), None


def _public(given: Given) -> tuple[list[tuple[str, Rule]], list[Item]]:
    found: list[tuple[str, Rule]] = []
    items: list[Item] = []
    named = [("skip_auth_routes", one) for one in given.listed("skip_auth_routes")]
    named += [("skip_auth_regex", one) for one in given.listed("skip_auth_regex")]
    for option, written in named:
        method, expression, problem = _split(written) if option == "skip_auth_routes" else ("", written, "")
        reading = None if problem else read_expression(expression)
        if reading is None:
            text = f"{written}: stays behind the login, for {problem or 'no path says the same'}"
            items.append(Item(option=option, outcome=Outcome.REFUSED, text=text))
            continue
        rule: Rule = {"methods": [method]} if method else {}
        found += [(pattern, rule) for pattern in reading.patterns]
        items.append(_said(option, written, reading))
    if given.is_on("skip_auth_preflight"):
        found.append((EVERYTHING, {"methods": ["OPTIONS"]}))
    return found, items


def _said(option: str, written: str, reading: Reading) -> Item:
    paths = ", ".join(reading.patterns)
    if not reading.narrower:
        return Item(option=option, outcome=Outcome.MAPPED, text=f"{written}: {paths}")
    text = f"{written}: {paths}, and no more; what else the expression finds stays behind the login"
    return Item(option=option, outcome=Outcome.DIFFERS, text=text)


def _split(written: str) -> tuple[str, str, str]:
    """Take `METHOD=expression` apart as oauth2-proxy does; the third is why it cannot be used."""
    if "!=" in written:
        return "", "", "it says what is not public; write rules for what needs a login, and a last one for the rest"
    before, mark, after = written.partition("=")
    method = before.upper() if mark else ""
    if method and not _METHOD.fullmatch(method):
        return "", "", "what is before the = is no method"
    return method, after if mark else before, ""


def _quiet(given: Given) -> tuple[list[str], list[Item]]:
    found: list[str] = []
    items: list[Item] = []
    for written in given.listed("api_routes"):
        reading = read_expression(written)
        if reading is None:
            text = f"{written}: no path says the same; a navigation there is sent to the login"
            items.append(Item(option="api_routes", outcome=Outcome.DIFFERS, text=text))
        else:
            # What lets nobody pass may as well be said of the path itself, and all below it, in one rule.
            below = [one for one in reading.patterns if one.endswith(f"/*{EVERYTHING}")]
            found += [one.removesuffix(f"/*{EVERYTHING}") + EVERYTHING for one in below] or reading.patterns
            items.append(_said("api_routes", written, reading) if not reading.narrower else _quietly(written, reading))
    return found, items


def _quietly(written: str, reading: Reading) -> Item:
    text = f"{written}: {', '.join(reading.patterns)}, and no more; elsewhere a navigation is sent to the login"
    return Item(option="api_routes", outcome=Outcome.DIFFERS, text=text)


def _manner(given: Given, who: Restrictions, *, behind: bool) -> Rule:
    """Say what all rules have that need a login."""
    rule: Rule = {}
    if who.closed:
        rule["access"] = "deny"
    if given.is_on("force_json_errors"):
        rule["login"] = "never"
    token = _token(given, behind=behind)
    if token:
        rule["token"] = token
    if not given.is_on("pass_user_headers", default=True) and not given.is_on("pass_basic_auth", default=True):
        rule["identity_headers"] = False
    rule |= _host(given, behind=behind)
    if who.require:
        rule["require"] = who.require
    return rule


def _host(given: Given, *, behind: bool) -> Rule:
    return {"preserve_host": False} if behind and not given.is_on("pass_host_header", default=True) else {}


def _token(given: Given, *, behind: bool) -> str:
    wanted = given.is_on("pass_authorization_header" if behind else "set_authorization_header")
    if wanted and given.text("provider") != "github":  # It has no ID tokens, and oauth2-proxy sends nothing.
        return "id_token"
    if not behind:
        return ""
    return "" if given.is_on("pass_access_token") else "none"
