"""What went between browser, gateway and provider, as it may be shown and kept: no secret is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from gateway.console.redaction import Redaction, as_text, cut
from gateway.console.tape import Exchange, Tape
from gateway.errors import GatewayError
from gateway.oidc.jose import parse_header
from gateway.oidc.messages import Call, Reply, parse_json_object

MAX_PARAMETERS = 48
MAX_URL = 200

BROWSER, GATEWAY, PROVIDER = "browser", "gateway", "provider"

_TOKENS = ("request", "response", "client_assertion", "id_token", "assertion")
"""Parameters that are JWTs, whose contents are shown member by member."""

_SECRETIVE = ("Token request", "Token renewal", "Pushed authorization request")
"""Calls whose answers hold secrets."""

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: from whom to whom, what it is, where to, what it said, and how it went.

    `after` is how many milliseconds after the first message it was sent, `took` how long its answer took, `status` the
    HTTP status of an answer, `code` the error that it was.
    """

    sender: str
    receiver: str
    title: str
    place: str = ""
    parameters: Pairs = ()
    after: int = 0
    took: int | None = None
    status: int | None = None
    code: str = ""
    detail: str = ""


def learn(redaction: Redaction, tape: Tape) -> None:
    """Have all that is secret in some calls and their replies hidden wherever else it stands."""
    for exchange in tape:
        headers, reply = exchange.call.headers, exchange.reply
        redaction.learn(
            {name: headers[name].rpartition(" ")[2] for name in ("Authorization", "DPoP") if name in headers}
        )
        redaction.learn(dict(_form(exchange.call)))
        if reply is not None and _kind(exchange) in _SECRETIVE:
            redaction.learn(_members(reply) or {})


def exchanged(tape: Tape, redaction: Redaction, began_at: float) -> Iterator[Message]:
    """Yield two messages for each call: what was sent, and what came of it."""
    for exchange in tape:
        kind = _kind(exchange)
        yield Message(
            sender=GATEWAY,
            receiver=PROVIDER,
            title=kind,
            place=redaction.text(f"{exchange.call.method} {_place(exchange.call.url)}", MAX_URL),
            parameters=_sent(exchange.call, redaction),
            after=_milliseconds(exchange.began_at - began_at),
        )
        yield _answer(exchange, kind, redaction, began_at)


def tokens_of(tape: Tape) -> tuple[str, str]:
    """Find the ID token and the access token that a code was redeemed for; empty texts where there are none."""
    for exchange in tape:
        if exchange.reply is not None and _kind(exchange) == "Token request":
            members = _members(exchange.reply) or {}
            return as_text(members.get("id_token", "")), as_text(members.get("access_token", ""))
    return "", ""


def redirected(url: str, redaction: Redaction, after: int) -> Message:
    """Make the message by which the browser is sent to the provider."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    return Message(
        sender=BROWSER,
        receiver=PROVIDER,
        title="Authorization request",
        place=redaction.text(f"GET {_place(url)}", MAX_URL),
        parameters=parameters(pairs, redaction),
        after=after,
    )


def parameters(pairs: Iterable[tuple[str, object]], redaction: Redaction) -> Pairs:
    """Return what is shown of parameters, the members of JWTs among them one by one."""
    shown: list[tuple[str, str]] = []
    for name, value in pairs:
        shown.append((cut(redaction.text(name), 60), redaction.value(name, value)))
        if name in _TOKENS and isinstance(value, str):
            shown += [
                (f"{name}.{cut(part, 50)}", redaction.value(part, held)) for part, held in contents(value).items()
            ]
    return tuple(shown[:MAX_PARAMETERS])


def contents(token: str) -> dict[str, object]:
    """Read header and claims of what may be a JWT, unchecked; nothing of what is none, or is encrypted."""
    parts = token.split(".")
    try:
        read = [parse_header(part) for part in parts[:2]] if len(parts) == 3 else [parse_header(parts[0])]
    except GatewayError:
        return {}
    return {name: value for members in read for name, value in members.items()}


def failed(error: GatewayError, redaction: Redaction, after: int) -> Message:
    """Make the message that tells the browser what went wrong."""
    return Message(
        sender=GATEWAY,
        receiver=BROWSER,
        title=error.problem.title,
        after=after,
        status=int(error.problem.status),
        code=error.code,
        detail=redaction.text(error.detail),
    )


def _answer(exchange: Exchange, kind: str, redaction: Redaction, began_at: float) -> Message:
    reply, failure = exchange.reply, exchange.failure
    return Message(
        sender=PROVIDER,
        receiver=GATEWAY,
        title="No answer" if reply is None else f"Answer: {kind.lower()}",
        parameters=() if reply is None else _received(reply, kind, redaction),
        after=_milliseconds(exchange.ended_at - began_at),
        took=_milliseconds(exchange.ended_at - exchange.began_at),
        status=None if reply is None else reply.status,
        code="" if failure is None else failure.code,
        detail="" if failure is None else redaction.text(failure.detail),
    )


def _kind(exchange: Exchange) -> str:
    call, names = exchange.call, dict(_form(exchange.call))
    if call.method == "GET":
        return _kind_of_get(exchange)
    if "grant_type" in names:
        return "Token request" if names["grant_type"] == "authorization_code" else "Token renewal"
    if "token" not in names:
        return "Pushed authorization request"
    return "Introspection" if "introspect" in urlsplit(call.url).path else "Revocation"


def _kind_of_get(exchange: Exchange) -> str:
    if "Authorization" in exchange.call.headers:
        return "Userinfo"
    return "Discovery" if "/.well-known/" in exchange.call.url else "Keys"


def _sent(call: Call, redaction: Redaction) -> Pairs:
    headers = []
    for name in ("Authorization", "DPoP"):
        if name in call.headers:
            scheme, _, value = call.headers[name].rpartition(" ")
            # In that of Basic there is the secret, which people may have chosen (RFC 6749 2.3.1).
            kind = "client_secret" if scheme == "Basic" else name
            headers.append((name, f"{scheme} {redaction.value(kind, value)}".strip()))
    if call.mutual_tls:
        headers.append(("client certificate", "presented"))
    return (*headers, *parameters(_form(call), redaction))[:MAX_PARAMETERS]


def _received(reply: Reply, kind: str, redaction: Redaction) -> Pairs:
    members = _members(reply)
    if members is None:
        size = f"{len(reply.body)} octets"
        return (("body", f"{size} of {redaction.text(reply.media_type)}" if reply.media_type else size),)
    if kind == "Discovery" and reply.status == 200:
        return tuple((cut(name, 60), redaction.text(_plain(value), 160)) for name, value in members.items())[
            :MAX_PARAMETERS
        ]
    keys = members.get("keys")
    if kind == "Keys" and isinstance(keys, list):
        return tuple(("key", redaction.text(_key(key))) for key in keys[:MAX_PARAMETERS])
    return parameters(members.items(), redaction)


def _key(key: object) -> str:
    members: Mapping[str, object] = key if isinstance(key, dict) else {}
    return ", ".join(
        f"{name} {_plain(members[name])}" for name in ("kid", "kty", "alg", "use", "crv") if name in members
    )


def _plain(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _members(reply: Reply) -> dict[str, object] | None:
    try:
        return parse_json_object(reply.body)
    except GatewayError:
        return None


def _form(call: Call) -> Sequence[tuple[str, str]]:
    return parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True) if call.body else []


def _place(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
