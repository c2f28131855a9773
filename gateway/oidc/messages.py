"""The back channel's messages: a `Call` to the provider, its `Reply`, and the strict reading of both."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl, urlencode

from gateway.errors import (
    PROVIDER_ANSWER_INVALID,
    PROVIDER_UNREACHABLE,
    RESPONSE_PARAMETER_REPEATED,
    GatewayError,
    ProviderBusy,
    ProviderUnavailable,
    TooManyRequests,
)
from gateway.oidc.retry_after import UNSAID_SECONDS, retry_after

MAX_REPLY_BYTES = 1 << 20
MAX_JSON_DEPTH = 16
MAX_PARAMETERS = 64
RETRY_AFTER_SECONDS = UNSAID_SECONDS

_WORD = re.compile(r"[A-Za-z]?[a-z_:.-]{1,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to the provider, not yet sent; headers and body hold secrets and stay out of its repr.

    `mutual_tls` says that the client's certificate is presented on the connection (RFC 8705 2).
    """

    method: str
    url: str
    mutual_tls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the provider answered, its body read in full and within bounds; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


Transport = Callable[[Call], Reply]
"""The one seam to the network: sends a call, or raises `ProviderUnavailable`."""

Entropy = Callable[[int], bytes]
"""A source of that many random bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a message is made of beyond its contents: seconds since the epoch, and a source of randomness."""

    now: int
    entropy: Entropy


def form_call(url: str, parameters: Iterable[tuple[str, str]], headers: Mapping[str, str]) -> Call:
    """Build a POST of form parameters that asks for JSON (RFC 6749 appendix B)."""
    return Call(
        method="POST",
        url=url,
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **headers},
        body=urlencode(list(parameters)).encode("ascii"),
    )


def json_call(url: str) -> Call:
    """Build a GET that asks for JSON."""
    return Call(method="GET", url=url, headers={"Accept": "application/json"})


def json_object(reply: Reply) -> dict[str, object]:
    """Read a reply's body as one JSON object.

    Raises `provider_answer_invalid` for a media type that is not JSON, for anything but an object, for duplicate
    members and for nesting deeper than 16.
    """
    if reply.media_type != "application/json" and not reply.media_type.endswith("+json"):
        raise GatewayError(PROVIDER_ANSWER_INVALID, f"media type {reply.media_type!r} is not JSON")
    return parse_json_object(reply.body)


def parse_json_object(text: bytes) -> dict[str, object]:
    """Read bytes as one JSON object, as strictly as `json_object`."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise GatewayError(PROVIDER_ANSWER_INVALID, f"not JSON: {type(error).__name__}") from error
    if not isinstance(value, dict):
        raise GatewayError(PROVIDER_ANSWER_INVALID, "JSON, but not an object")
    _check_depth(value)
    return value


def quoted(word: object) -> str:
    """Quote a code that somebody else named, for the log; what does not look like one may be a token."""
    return repr(word) if isinstance(word, str) and _WORD.fullmatch(word) else "that is no known kind of word"


_UNAVAILABLE: Mapping[int, type[ProviderUnavailable]] = MappingProxyType(
    {HTTPStatus.TOO_MANY_REQUESTS: TooManyRequests, HTTPStatus.SERVICE_UNAVAILABLE: ProviderBusy}
)


def raise_if_unavailable(reply: Reply, what: str) -> None:
    """Raise `provider_unreachable` when the provider says that it cannot answer now (5xx, 429), and when it may."""
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind = _UNAVAILABLE.get(reply.status, ProviderUnavailable)
        raise kind(PROVIDER_UNREACHABLE, f"{what} answered {reply.status}", retry_after=retry_after(reply.headers))


def single_parameters(encoded: bytes) -> dict[str, str]:
    """Read form or query parameters, each of which may occur once (RFC 6749 3.1).

    Raises `response_parameter_repeated` when one occurs twice, or when there are more than 64.
    """
    try:
        pairs = parse_qsl(
            encoded.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict"
        )
    except ValueError as error:
        raise GatewayError(RESPONSE_PARAMETER_REPEATED, "parameters are not readable") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise GatewayError(RESPONSE_PARAMETER_REPEATED, "a parameter occurs twice")
    return parameters


def base64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def same_text(one: str, other: str) -> bool:
    """Compare two texts in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def s256(text: str) -> str:
    """Digest a text as PKCE's S256 does (RFC 7636 4.2)."""
    return base64url(hashlib.sha256(text.encode("ascii")).digest())


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):  # 1e999 is JSON, but could not be written down as JSON again.
        raise ValueError("a number is out of range")
    return number


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise GatewayError(PROVIDER_ANSWER_INVALID, f"JSON nested deeper than {MAX_JSON_DEPTH}")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list):
        return value
    return ()
