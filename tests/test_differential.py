"""What policy matched is what the origin saw: 5,000 generated targets and header sets through the whole gateway.

The other side is judged by readings of the path that owe nothing to the gateway's: strict and lenient servers, written
here in a few lines each.
"""

import io
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import pytest
from harness import ORIGIN, SESSION_COOKIE, held_session, run_site
from recording_origin import Recorded, recording_origin

from gateway.app import Gateway

CASES: Final = 5000
SEED: Final = 5
RULES: Final[list[dict[str, Any]]] = [
    {"path": "/admin/**", "access": "deny"},
    {"path": "/staff/**", "require": {"claims": {"groups": ["nobody"]}}},
    {"path": "/public/deep/secret", "access": "deny"},
    {"path": "/public/**", "access": "public"},
    {"path": "/files/**", "access": "public", "allow_encoded_slash": True},
    {"path": "/api/*/delete", "access": "deny"},
    {"path": "/api/**"},
]
CLOSED: Final = ("/admin/**", "/staff/**", "/public/deep/secret", "/api/*/delete")
OPEN: Final = ("/public/**", "/files/**")

WORDS: Final = ["admin", "staff", "public", "api", "deep", "secret", "delete", "files", "x", "7", "a.b", "caf%C3%A9"]
ODD_JOINTS: Final = [
    "//",
    "/./",
    "/../",
    "%2f",
    "%2F",
    "%5c",
    "\\",
    "/;/",
    "/..;/",
    "/%2e%2e/",
    "/%20",
    "%252f",
    "%255c",
]
TAILS: Final = [
    "/", ";", ";x=1", "%3b", ".", "%2e", "%20", "%00", "%0a", "%09", "/.", "/..", "%2f..%2f", "%c0%af", "%ff",
    "?", "?a=b", "?a=/admin", "?x=%2e%2e", "#f", "%", "%2", "%u002f", "..", "~", "%7e", "%25", "%2525", "\u00e9",
]  # fmt: skip
IDENTITY: Final = (
    "x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-issuer",
    "x-forwarded-preferred-username", "x-auth-request-user", "x-gateway-identity", "x-rule", "remote-user",
    "x-remote-user", "x-real-ip", "x-original-url", "x-rewrite-url", "dpop", "proxy-authorization",
)  # fmt: skip
FORGED: Final = "forged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A request as a server hands it over."""

    target: str
    method: str
    fields: Sequence[tuple[str, str]]


def cases() -> Iterator[Case]:
    dice = random.Random(SEED)
    for _ in range(CASES):
        yield Case(target=target(dice), method=dice.choice(["GET", "GET", "HEAD", "PROPFIND"]), fields=fields(dice))


def target(dice: random.Random) -> str:
    made = "".join(joint(dice) + mangled(dice, dice.choice(WORDS)) for _ in range(dice.randint(1, 4)))
    return ("" if made.startswith("/") else "/") + made + (dice.choice(TAILS) if dice.random() < 0.5 else "")


def joint(dice: random.Random) -> str:
    return dice.choice(ODD_JOINTS) if dice.random() < 0.15 else "/"


def mangled(dice: random.Random, word: str) -> str:
    kind = dice.randrange(8)
    if kind == 0:
        return word.upper()
    if kind == 1:
        return word.capitalize()
    if kind == 2:
        place = dice.randrange(len(word))
        return f"{word[:place]}%{ord(word[place]):02x}{word[place + 1 :]}" if word.isalnum() else word
    if kind == 3:
        place = dice.randrange(len(word))
        return f"{word[:place]}%25{ord(word[place]):02x}{word[place + 1 :]}" if word.isalnum() else word
    return word


def fields(dice: random.Random) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    for name in dice.sample(IDENTITY, dice.randint(0, 4)):
        written = dice.choice([name, name.upper(), name.title(), name.replace("-", "_"), name.replace("-", "_", 1)])
        made.append((written, dice.choice([FORGED, f"{FORGED}, {FORGED}", f" {FORGED}", ""])))
    if dice.random() < 0.3:
        made.append(("Authorization", dice.choice([f"Bearer {FORGED}", f"Basic {FORGED}", FORGED])))
    if dice.random() < 0.4:
        named = dice.choice(
            ["X-Forwarded-User", "X-Rule, Authorization", "Cookie", "close, X-Forwarded-User", "keep-alive"]
        )
        made.append(("Connection", named))
    if dice.random() < 0.3:
        made.append(("Cookie", dice.choice(["theme=dark", f"{SESSION_COOKIE}={FORGED}", f"gateway={FORGED}; a=1"])))
    return made


def environ_of(case: Case, cookie: str) -> dict[str, Any]:
    path, _, query = case.target.partition("?")
    keys: dict[str, str] = {"HTTP_COOKIE": cookie} if cookie else {}
    for name, value in case.fields:
        key = "HTTP_" + name.upper().replace("-", "_")
        joint = "; " if key == "HTTP_COOKIE" else ","
        keys[key] = f"{keys[key]}{joint}{value}" if keys.get(key) else value
    return {
        "REQUEST_METHOD": case.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": case.target,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.9",
        "HTTP_HOST": "app.example",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        **keys,
    }


def ask(gateway: Gateway, case: Case, cookie: str) -> int:
    statuses: list[int] = []

    def start_response(status: str, _headers: object, _exc_info: object = None) -> Any:
        statuses.append(int(status[:3]))

    body: Any = gateway(environ_of(case, cookie), start_response)
    try:
        for _ in body:
            pass
    finally:
        getattr(body, "close", lambda: None)()
    return statuses[-1]


def readings(path: str) -> Iterator[str]:
    """Read an encoded path as all kinds of servers do."""
    once = unquote_to_bytes(path).decode("utf-8", "replace")
    twice = unquote_to_bytes(once).decode("utf-8", "replace")
    for form in (path, once, twice):
        for bare in (form, re.sub(r";[^/]*", "", form)):
            for slashes in (bare, bare.replace("\\", "/")):
                resolved = resolve(slashes)
                for made in (resolved, resolved.rstrip("/. ") or "/"):
                    yield made
                    yield made.lower()


def resolve(path: str) -> str:
    """Resolve dot segments and empty ones, as a file system does."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment.rstrip(". "))
    return "/" + "/".join(kept)


def is_about(path: str, rule: str) -> bool:
    """Tell whether a rule, written as in RULES, is about a path."""
    pattern = re.escape(rule.removesuffix("/**")).replace(r"\*", "[^/]+")
    return re.fullmatch(f"{pattern}(?:/.*)?" if rule.endswith("/**") else pattern, path, re.DOTALL) is not None


@contextmanager
def gateway_before(origin: Recorded, signed_in: bool) -> Iterator[tuple[Gateway, str, str]]:
    rules = [{**rule, "request_headers": {"X-Rule": str(number)}} for number, rule in enumerate(RULES)]
    routes = [*({**rule, "upstream": origin.url} for rule in rules), {"path": "/**", "upstream": origin.url}]
    with run_site({"routes": routes}) as site:
        cookie, token = "", ""
        if signed_in:
            site.browser.navigate(f"{ORIGIN}/api/x")
            cookie, token = site.browser.cookies.header(f"{ORIGIN}/"), held_session(site).access_token
        origin.requests.clear()
        yield site.gateway, cookie, token
        for upstream in site.gateway.upstreams.values():
            upstream.close()


@pytest.mark.slow
@pytest.mark.parametrize("signed_in", [pytest.param(True, id="signed in"), pytest.param(False, id="nobody")])
def test_what_was_decided_on_is_what_arrives(signed_in: bool) -> None:
    passed = refused = 0
    with recording_origin() as origin, gateway_before(origin, signed_in) as (gateway, cookie, token):
        for case in cases():
            origin.requests.clear()
            status = ask(gateway, case, cookie)
            if not origin.requests:
                refused += 1
                assert status != 200, case
                continue
            passed += 1
            [head] = (request.partition(b"\r\n\r\n")[0] for request in origin.requests)
            judge_target(head, case, signed_in=signed_in)
            judge_fields(head, case, token if signed_in else "")
    assert passed > CASES // 25, passed
    assert refused > CASES // 4, refused


def judge_target(head: bytes, case: Case, *, signed_in: bool) -> None:
    line, *_ = head.decode("latin-1").split("\r\n")
    method, sent, version = line.split(" ")
    path, _, query = sent.partition("?")
    assert (method, version, query) == (case.method, "HTTP/1.1", case.target.partition("?")[2]), case
    asked = unquote_to_bytes(case.target.partition("?")[0])
    assert unquote_to_bytes(path) == asked, case  # The same octets, whatever of them was encoded.
    for reading in readings(path):
        assert not any(is_about(reading, rule) for rule in CLOSED), (case, reading)
        assert signed_in or any(is_about(reading, rule) for rule in OPEN) or "%" in reading, (case, reading)


def judge_fields(head: bytes, case: Case, token: str) -> None:
    lines = [line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:]]
    pairs = [(name.lower().replace("_", "-"), value.strip()) for name, _, value in lines]
    assert FORGED not in head.decode("latin-1"), case
    for name in (*IDENTITY, "authorization", "cookie", "host", "content-length", "transfer-encoding"):
        assert sum(other == name for other, _ in pairs) <= 1, (case, name)
    sent = dict(pairs)
    path = head.decode("latin-1").split(" ")[1].partition("?")[0]
    rule = next((number for number, one in enumerate(RULES) if is_about(unquoted(path), one["path"])), None)
    assert sent.get("x-rule") == (None if rule is None else str(rule)), case
    public = rule is not None and RULES[rule].get("access") == "public"
    assert sent.get("authorization") == (f"Bearer {token}" if token and not public else None), case
    assert sent.get("x-forwarded-user") == ("alice" if token and not public else None), case
    assert SESSION_COOKIE not in sent.get("cookie", ""), case


def unquoted(path: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda found: chr(int(found[0][1:], 16)) if found[0] != "%2F" else found[0], path)
