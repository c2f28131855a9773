"""The last net: what looks like a secret, and the secrets of the configuration, are masked in whatever is logged."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl, unquote, urlsplit

from gateway.config import Settings
from gateway.console.redaction import Redaction

Mask = Callable[[str], str]
"""Writes a text without what must not be read."""

_MASKED = "***"
_MAX_LENGTH = 1 << 16
_MIN_FIELD = 20
"""What is shorter, among the fields that a route adds, is an ordinary word more often than a key."""

_NAMES = (
    "access_token|actor_token|admin_token|api_?key|apikey|assertion|authorization|client_assertion|client_secret|code"
    "|code_verifier|cookie|dpop|id_token|id_token_hint|logout_token|nonce|passw(?:or)?d|proxy-authorization"
    "|refresh_token|registration_access_token|request|response|secret|sentinel_password|session_state|set-cookie|sig"
    "|signature|state|subject_token|token"
)
_PARAMETER = re.compile(rf"(?i)(?:(?<![a-z0-9])|(?<=%[0-9a-f][0-9a-f]))({_NAMES})((?:=|%3d)[\"']?)[^&\s\"'<>]+")
_MEMBER = re.compile(rf"(?i)([\"'])({_NAMES})(\\?[\"']\s*:\s*b?\\?[\"'])(?:[^\"'\\]|\\.)+")
_FIELD = re.compile(r"(?i)(?<![a-z0-9-])((?:proxy-)?authorization|dpop|(?:set-)?cookie|x-api-key)(:\s*)[^\r\n]+")
_SCHEME = re.compile(
    r"(?i)\b(bearer|dpop|basic)(\s+|(?:%20|\+)+)(?=[a-z0-9._~+/-]*[0-9A-Z._~+/])[A-Za-z0-9._~+/-]{6,}=*"
)
_USER_INFO = re.compile(r"(?i)(?<=://)[^/\s\"'<>]*@")
_COOKIE = re.compile(r"(__(?:Host|Secure)-[A-Za-z0-9_-]{1,64}=)[^;,\s\"']+")


def masking(secrets: Iterator[tuple[str, str]]) -> Mask:
    """Make what masks the secrets, each with the word for it, and whatever looks like one."""
    redaction = Redaction(secrets)
    return lambda text: masked(redaction.text(text, _MAX_LENGTH))


def masked(text: str) -> str:
    """Mask what looks like a parameter, a member, a field or a part of a URL that holds a secret."""
    text = _USER_INFO.sub(f"{_MASKED}@", text)
    text = _FIELD.sub(rf"\1\2{_MASKED}", text)
    text = _SCHEME.sub(rf"\1\2{_MASKED}", text)
    text = _MEMBER.sub(rf"\1\2\3{_MASKED}", text)
    text = _COOKIE.sub(rf"\1{_MASKED}", text)
    return _PARAMETER.sub(rf"\1\2{_MASKED}", text)


def secrets_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """List the secrets of a configuration, each with the word for it."""
    yield from ((one.client.client_secret, "client_secret") for one in settings.providers.values())
    yield from ((secret.decode("utf-8"), "session.secret") for _, secret in settings.ring.secrets)
    yield from ((token, "admin_token") for token in settings.admin_tokens)
    yield from ((password, "session.store.url") for password in _passwords(settings.store.url))
    for route in settings.routes:
        yield from ((value, "request_headers") for value in route.request_headers.values() if len(value) >= _MIN_FIELD)


def _passwords(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    # With several hosts there is no one password for `urlsplit`; what stands before the last `@` has it.
    user_info = parts.netloc.rpartition("@")[0]
    password = user_info.partition(":")[2]
    yield from (password, unquote(password))
    yield from (value for name, value in parse_qsl(parts.query) if "password" in name)
