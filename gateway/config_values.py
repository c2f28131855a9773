"""The kinds of values in the configuration: durations, URLs, paths, lists; each says what would be right."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, SecretStr, WithJsonSchema
from pydantic_core import CoreSchema

from gateway.errors import GatewayError
from gateway.oidc.metadata import is_protected_url
from gateway.target import canonical_path

MIN_SECRET_LENGTH = 32

_DURATION = re.compile(r"(\d{1,9})\s*(s|m|h|d)?")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d{1,9})\s*([kMG]?)")
_SIZES = {"": 1, "k": 1024, "M": 1024**2, "G": 1024**3}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\]")
_CHECK_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_NOT_INJECTED = frozenset({"host", "connection", "content-length", "transfer-encoding", "cookie", "upgrade", "te"})

T = TypeVar("T")


def _duration(value: object) -> object:
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        return int(match[1]) * _UNITS[match[2] or "s"]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("write a number with s, m, h or d: 30m")  # noqa: TRY004 - pydantic collects ValueErrors.
    return value


def _size(value: object) -> object:
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match:
        return int(match[1]) * _SIZES[match[2]]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("write a number of octets, with k, M or G: 10M")  # noqa: TRY004 - as above.
    return value


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return _from_json(value)
    return [item.strip() for item in value.split(",") if item.strip()]


def _from_json(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError("is not JSON") from error


def _origin(value: str) -> str:
    parts = split_url(value)
    if not is_protected_url(value):
        raise ValueError("must be an https URL (http only on localhost): https://app.example.com")
    if parts.path not in ("", "/") or "?" in value:
        raise ValueError("must be an origin, without a path: https://app.example.com")
    # As a browser writes an origin: lower case, the default port left out (RFC 6454 6.2).
    default_port = {"https": ":443", "http": ":80"}[parts.scheme]
    return value.rstrip("/").lower().removesuffix(default_port)


def _protected_url(value: str) -> str:
    if not is_protected_url(value):
        raise ValueError("must be an https URL (http only on localhost)")
    return value


def _upstream_url(value: str) -> str:
    if value.startswith("unix:"):
        return _socket_path(value)
    parts = split_url(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc):
        raise ValueError("must be an http or https URL, or a Unix socket: http://127.0.0.1:3000, unix:/run/app.sock")
    if "?" in value or "#" in value or not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must not have a query, a fragment or spaces")
    return value.rstrip("/")


def _socket_path(value: str) -> str:
    if not re.fullmatch(r"unix:/[!-~]{1,100}", value) or "?" in value or "#" in value:
        raise ValueError("must name a Unix socket by its absolute path: unix:/run/app.sock")
    return value


def _upstream_reference(value: str) -> str:
    return value if _NAME.fullmatch(value) else _upstream_url(value)


def _host_name(value: str) -> str:
    if not _HOST_NAME.fullmatch(value):
        raise ValueError("must be a host in lower case and without a port: api.internal")
    return value


def split_url(value: str) -> SplitResult:
    """Take a URL apart; raises `ValueError` without quoting it, for it may hold a password."""
    try:
        parts = urlsplit(value)
        _ = parts.port  # Raises for a port that is none.
    except ValueError as error:
        raise ValueError("is not a URL") from error
    return parts


def _own_path(value: str) -> str:
    try:
        canonical = canonical_path(value)
    except GatewayError as error:
        raise ValueError("must be a path such as /oauth2") from error
    if canonical != value or value.endswith("/") or "*" in value:
        raise ValueError("must be a path without wildcards and without a slash at its end: /oauth2")
    return value


def _pattern(value: str) -> str:
    literal = value.removesuffix("/**")
    try:
        canonical = canonical_path(value)
    except GatewayError as error:
        raise ValueError("must be a path such as /api/**, without `.`, `..` or `//`") from error
    if "**" in literal:
        raise ValueError("** may only stand at the end, after a slash: /api/**")
    if any("*" in segment and segment != "*" for segment in literal.split("/")):
        raise ValueError("* stands for a whole segment: /users/*/edit")
    if canonical != value:
        raise ValueError(f"must be written in its canonical form: {canonical}")
    return value


def _method(value: str) -> str:
    if not _TOKEN.fullmatch(value) or value != value.upper():
        raise ValueError("must be an HTTP method in upper case: GET")
    return value


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("must be a header name: X-Api-Key")
    if value.lower() in _NOT_INJECTED:
        raise ValueError("must not be a header that frames the message or names the host")
    return value


def _field_text(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII")
    return value


def _cookie_name(value: str) -> str:
    if not _COOKIE_NAME.fullmatch(value):
        raise ValueError("must be letters, digits, - and _, at most 40: gateway")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("must be an address or a network: 10.0.0.0/8") from error
    return value


def _host_pattern(value: str) -> str:
    if not _HOST_NAME.fullmatch(value.removeprefix("*.")):
        raise ValueError("must be a host in lower case and without a port, or all below one: *.example.com")
    return value


def _email_domain(value: str) -> str:
    if not _HOST_NAME.fullmatch(value.removeprefix(".")):
        raise ValueError("must be a domain in lower case, or with a dot before it all below one: .example.com")
    return value


def _check_name(value: str) -> str:
    if not _CHECK_NAME.fullmatch(value):
        raise ValueError("must name a function: package.module:function")
    return value


def _ring_secret(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < MIN_SECRET_LENGTH:
        raise ValueError(f"must have at least {MIN_SECRET_LENGTH} characters; `gateway keys new` makes one")
    return value


def _verification(value: object) -> object:
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    # An empty path would count as false for the library that verifies.
    if isinstance(value, str) and not value.strip():
        raise ValueError("must be true, false or the path of a CA bundle")
    known = words.get(value.strip().lower(), value) if isinstance(value, str) else value
    if isinstance(known, str) and not Path(known).is_file():
        raise ValueError("must be true, false or the path of a CA bundle that is there")
    return known


def _readable_file(value: str) -> str:
    try:
        with Path(value).open("rb"):
            return value
    except OSError as error:
        raise ValueError(f"must be the path of a file that can be read: {error.strerror}") from None


def _section(value: object) -> object:
    return {} if value is None else value  # What YAML makes of a section whose lines are all comments.


def _json_text(value: object) -> object:
    if not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    _from_json(value)
    return value


def _one_or_more(value: object) -> object:
    if isinstance(value, str) and value.lstrip().startswith("["):
        return _from_json(value)
    return value if isinstance(value, list) else [value]


class _OrSingle:
    """Tells the JSON Schema that one item may stand for a list of one."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        return {"anyOf": [schema["items"], schema]}


_DURATION_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,9}\s*[smhd]?$"}]}

Duration = Annotated[
    int, BeforeValidator(_duration), Field(ge=0, le=366 * 86400), WithJsonSchema(_DURATION_SCHEMA, mode="validation")
]
_SIZE_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d{1,9}\s*[kMG]?$"}]}

OCTETS: Final = "octets"
"""Marks the numbers that are sizes; those that are neither that nor counts are durations."""

COUNT: Final = "count"
"""Marks the numbers that count something."""

Size = Annotated[int, BeforeValidator(_size), Field(ge=0), OCTETS, WithJsonSchema(_SIZE_SCHEMA, mode="validation")]
Origin = Annotated[str, AfterValidator(_origin)]
ProtectedURL = Annotated[str, AfterValidator(_protected_url)]
UpstreamURL = Annotated[str, AfterValidator(_upstream_url)]
UpstreamReference = Annotated[str, AfterValidator(_upstream_reference)]
HostName = Annotated[str, AfterValidator(_host_name)]
OwnPath = Annotated[str, AfterValidator(_own_path)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Method = Annotated[str, AfterValidator(_method)]
HeaderName = Annotated[str, AfterValidator(_header_name)]
FieldText = Annotated[str, AfterValidator(_field_text)]
CookieName = Annotated[str, AfterValidator(_cookie_name)]
Network = Annotated[str, AfterValidator(_network)]
HostPattern = Annotated[str, AfterValidator(_host_pattern)]
EmailDomain = Annotated[str, AfterValidator(_email_domain)]
CheckName = Annotated[str, AfterValidator(_check_name)]
RingSecret = Annotated[SecretStr, AfterValidator(_ring_secret)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
ScopeToken = Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")]  # RFC 6749 3.3
ReadableFile = Annotated[str, AfterValidator(_readable_file)]
JSONText = Annotated[str, BeforeValidator(_json_text)]
Verification = Annotated[bool | str, BeforeValidator(_verification)]
Listed = Annotated[list[T], BeforeValidator(_listed)]
OneOrMore = Annotated[list[T], BeforeValidator(_one_or_more), _OrSingle()]
Mapped = Annotated[dict[str, T], BeforeValidator(_from_json)]
Section = Annotated[T, BeforeValidator(_section)]
