"""WWW-Authenticate read and written (RFC 9110 11.6.1), and the step-up that it may ask for (RFC 9470 3)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_HEADER_LENGTH = 8 * 1024
MAX_CHALLENGES = 16
MAX_PARAMETERS = 32
MAX_ACR_VALUES = 16
MAX_ACR_LENGTH = 255

STEP_UP_ERROR = "insufficient_user_authentication"
TOKEN_SCHEMES = ("bearer", "dpop")

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_ELEMENT_RE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+")*+', re.DOTALL)
_PARAMETER_RE = re.compile(
    rf'({_TOKEN})[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[\t !\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t -\x7e\x80-\xff])*+)")'
)
_LIKE_PARAMETER_RE = re.compile(rf"{_TOKEN}[ \t]*=")
_SCHEME_RE = re.compile(rf"({_TOKEN})(?:[ \t]+(.*))?", re.DOTALL)
_TOKEN68_RE = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_MAX_AGE_RE = re.compile(r"[0-9]{1,9}")
_ACR_RE = re.compile(rf"[!-~]{{1,{MAX_ACR_LENGTH}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One challenge; the scheme and the names of its parameters are in lower case, a token68 is not kept."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """The authentication that an upstream asks for; `max_age` is in seconds, None where it names none."""

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """Read the challenges of one WWW-Authenticate field, or of several that were joined with commas.

    Never raises. What cannot be read is left out: all of a field that is longer than 8 KiB, a malformed parameter, one
    that occurs twice in its challenge (RFC 9110 11.2), and whatever follows a malformed scheme up to the next one.
    """
    if len(header) > MAX_HEADER_LENGTH:
        return ()
    read: list[tuple[str, list[tuple[str, str]]]] = []
    parameters: list[tuple[str, str]] = []
    for element in _elements(header):
        scheme, own = _scheme_of(element)
        if scheme is not None:
            if len(read) == MAX_CHALLENGES:
                break
            parameters = []
            read.append((scheme, parameters))
        elif own is None:
            parameters = []  # Of no challenge that we know.
        parameters.extend(_parameter(own or ""))
    return tuple(Challenge(scheme=scheme, parameters=_unambiguous(pairs)) for scheme, pairs in read)


def step_up_demand(header: str) -> StepUp | None:
    """Return what a WWW-Authenticate field asks of the user's authentication (RFC 9470 3), None if nothing.

    Values that are malformed or out of bounds are passed over: the demand stands without them.
    """
    for challenge in parse_challenges(header):
        if challenge.scheme in TOKEN_SCHEMES and challenge.parameters.get("error") == STEP_UP_ERROR:
            return StepUp(
                acr_values=_acr_values(challenge.parameters.get("acr_values", "")),
                max_age=_max_age(challenge.parameters.get("max_age", "")),
            )
    return None


def is_invalid_token(header: str) -> bool:
    """Tell whether a WWW-Authenticate field says that the token is expired, revoked or malformed (RFC 6750 3.1)."""
    return any(
        challenge.scheme in TOKEN_SCHEMES and challenge.parameters.get("error") == "invalid_token"
        for challenge in parse_challenges(header)
    )


def challenge_text(scheme: str, parameters: Mapping[str, str]) -> str:
    """Write one challenge, each value a quoted string (RFC 6750 3, RFC 9470 3).

    Raises ValueError for a scheme or a name that is no token, and for a value beyond printable ASCII, such as a line
    break that would begin another header.
    """
    for name in (scheme, *parameters):
        if not re.fullmatch(_TOKEN, name):
            raise ValueError(f"{name!r} is not a token")
    return f"{scheme} {', '.join(f'{name}={_quoted(value)}' for name, value in parameters.items())}".rstrip(" ")


def _elements(header: str) -> Iterator[str]:
    position = 0
    while position < len(header):
        match = _ELEMENT_RE.match(header, position)
        element = match.group() if match else ""
        position += len(element) + 1
        if header[position - 1 : position] == '"':  # A quoted string without an end: where it ends is a guess.
            return
        if element.strip(" \t"):
            yield element.strip(" \t")


def _scheme_of(element: str) -> tuple[str | None, str | None]:
    # The scheme that the element begins, if it does, and the text of its parameter; both None where it is neither.
    if _LIKE_PARAMETER_RE.match(element):
        return None, element
    match = _SCHEME_RE.fullmatch(element)
    if match is None:
        return None, None
    scheme, rest = match.group(1).lower(), match.group(2) or ""
    if not rest or _TOKEN68_RE.fullmatch(rest):
        return scheme, None
    return (scheme, rest) if _LIKE_PARAMETER_RE.match(rest) else (None, None)


def _parameter(text: str) -> list[tuple[str, str]]:
    match = _PARAMETER_RE.fullmatch(text)
    if match is None:
        return []
    name, token, quoted = match.groups()
    return [(name.lower(), token if quoted is None else re.sub(r"\\(.)", r"\1", quoted))]


def _unambiguous(pairs: list[tuple[str, str]]) -> dict[str, str]:
    counts = Counter(name for name, _ in pairs)
    return {name: value for name, value in pairs[:MAX_PARAMETERS] if counts[name] == 1}


def _acr_values(text: str) -> tuple[str, ...]:
    readable = dict.fromkeys(value for value in text.split(" ") if _ACR_RE.fullmatch(value))
    return tuple(readable)[:MAX_ACR_VALUES]


def _max_age(text: str) -> int | None:
    return int(text) if _MAX_AGE_RE.fullmatch(text) else None


def _quoted(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("a parameter's value is not printable ASCII")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
