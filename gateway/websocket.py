"""The opening handshake of a WebSocket (RFC 6455 4): what asks for one, and which answer grants it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from wsgiref.types import WSGIEnvironment

from gateway.upstream_answer import Head
from gateway.upstream_body import Field
from gateway.upstream_pool import refuse_answer

VERSION = "13"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES = 16

UPGRADE_FIELDS: tuple[Field, ...] = (("Connection", "Upgrade"), ("Upgrade", "websocket"))


def asks_for_websocket(environ: WSGIEnvironment) -> bool:
    """Tell whether a request asks for a WebSocket, in every point as it must (RFC 6455 4.2.1).

    What asks for another protocol, or not quite for this one, is a request like others and gets no tunnel.
    """
    if environ.get("REQUEST_METHOD") != "GET" or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return False
    if environ.get("CONTENT_LENGTH") not in (None, "", "0") or "HTTP_TRANSFER_ENCODING" in environ:
        return False
    connection = {token.strip().lower() for token in str(environ.get("HTTP_CONNECTION", "")).split(",")}
    upgrade = str(environ.get("HTTP_UPGRADE", "")).strip().lower()
    if "upgrade" not in connection or upgrade != "websocket":
        return False
    return environ.get("HTTP_SEC_WEBSOCKET_VERSION") == VERSION and _is_key(_key(environ))


def check_switch(answer: Head, environ: WSGIEnvironment) -> list[Field]:
    """Check that a 101 grants the WebSocket that was asked for (RFC 6455 4.1), and list the fields that go on.

    Raises `upstream_answer_invalid`.
    """
    if _tokens(answer, "upgrade") != ["websocket"] or "upgrade" not in _tokens(answer, "connection"):
        refuse_answer("the upstream switches to another protocol")
    if _values(answer, "sec-websocket-accept") != [accept_of(_key(environ))]:
        refuse_answer("Sec-WebSocket-Accept does not belong to the key")
    chosen = _values(answer, "sec-websocket-protocol")
    offered = [one.strip() for one in str(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")).split(",")]
    if len(chosen) > 1 or any(one not in offered for one in chosen):
        refuse_answer("a subprotocol that nobody offered")
    extensions = {one.partition(";")[0].strip() for one in _tokens(answer, "sec-websocket-extensions")}
    wanted = str(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", "")).lower().split(",")
    if not extensions <= {one.partition(";")[0].strip() for one in wanted}:
        refuse_answer("an extension that nobody offered")
    framing = (
        "connection",
        "upgrade",
        "content-length",
        "transfer-encoding",
        "date",
        "server",
        "keep-alive",
        "trailer",
    )
    kept = [field for field in answer.fields if field[0].lower() not in framing]
    return [*kept, ("Upgrade", "websocket"), ("Connection", "upgrade")]


def accept_of(key: str) -> str:
    """Compute the `Sec-WebSocket-Accept` that belongs to a key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(f"{key}{_GUID}".encode("ascii")).digest()).decode("ascii")  # noqa: S324


def _key(environ: WSGIEnvironment) -> str:
    return str(environ.get("HTTP_SEC_WEBSOCKET_KEY", "")).strip()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _values(answer: Head, name: str) -> list[str]:
    return [value for field, value in answer.fields if field.lower() == name]


def _tokens(answer: Head, name: str) -> list[str]:
    values: Iterable[str] = _values(answer, name)
    return [token.strip().lower() for value in values for token in value.split(",") if token.strip()]
