"""The heads that the loop writes: the fields of any inner app, and what is the same each time written once."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import REQUEST_BODY_TOO_LARGE, GatewayError
from gateway.headers import Headers, client_headers, injected_headers, kept_headers, without
from gateway.inner import Admitted, Passage
from gateway.lane.at_once import KnownFields, Remembered
from gateway.lane.incoming import Incoming
from gateway.remembered import remembered
from gateway.request_context import Environ
from gateway.request_limits import check_fields, check_length, weight_of
from gateway.request_notes import tag_fields, without_tag
from gateway.upstream import Upstream
from gateway.upstream_answer import Head
from gateway.upstream_body import Field
from gateway.upstream_request import field_lines, forwarded_fields, request_line, via
from gateway.websocket import UPGRADE_FIELDS, check_switch

_MAX_MADE = 16


def head_for(admitted: Admitted, upstream: Upstream, incoming: Incoming) -> bytes:
    """Return the head of a request that may have been written before; raises as `request_head` does."""
    remembered = _remembered_for(admitted, incoming)
    if remembered is None:
        return request_head(admitted, upstream, incoming, upgrade=False)
    if remembered.head is None:
        remembered.head = _without_tag(admitted, upstream, incoming, upgrade=False)
    return _tagged(remembered.head, admitted, incoming)


def request_head(admitted: Admitted, upstream: Upstream, incoming: Incoming, *, upgrade: bool) -> bytes:
    """Write the head of the request to an upstream.

    Raises what `inner_environ` and `Upstream` do: `request_fields_too_large`, `request_body_too_large`,
    `method_refused`, `target_malformed` and `forwarding_loop`.
    """
    return _tagged(_without_tag(admitted, upstream, incoming, upgrade=upgrade), admitted, incoming)


def _tagged(head: bytes, admitted: Admitted, incoming: Incoming) -> bytes:
    """Put in the fields that are of one request alone; one that the rule sets has its value from there."""
    configured = admitted.passage.route.request_headers
    fields = without(tag_fields(incoming.notes.tag), [(name.lower(), "") for name in configured])
    return b"".join([head[:-2], field_lines(forwarded_fields(fields, incoming.method)), b"\r\n"]) if fields else head


def _without_tag(admitted: Admitted, upstream: Upstream, incoming: Incoming, *, upgrade: bool) -> bytes:
    passage = admitted.passage
    environ, route, method = passage.environ, passage.route, incoming.method
    if route.max_body is not None:
        check_length(environ, route.max_body)
    lines, weight = _client_lines(passage, upstream, incoming)
    injected, more = _injected(admitted, method)
    check_fields(weight + more, route.max_headers)
    own = [*_framing(incoming), *(UPGRADE_FIELDS if upgrade else ())]
    line = request_line(method, upstream.base, passage.path)
    return b"".join(
        [
            line,
            _host_line(passage.host or upstream.authority),
            lines,
            field_lines(own) if own else b"",
            injected,
            b"\r\n",
        ]
    )


def answer_fields(
    admitted: Admitted, incoming: Incoming, head: Head, allowed: Callable[[Environ, Headers], Headers]
) -> Headers:
    """Make the fields of an answer, which may have been made before; raises as `Admitted.answer_headers` does."""
    remembered = _remembered_for(admitted, incoming)
    if remembered is not None and remembered.answer is not None and remembered.answer[0] is head:
        return remembered.answer[1]
    made = allowed(admitted.passage.environ, admitted.answer_headers(head.passed))
    if remembered is not None:
        remembered.answer = head, made
    return made


def switch_fields(
    admitted: Admitted, incoming: Incoming, head: Head, allowed: Callable[[Environ, Headers], Headers]
) -> Headers:
    """Make the fields of a 101; raises as `check_switch` and `Admitted.answer_headers` do."""
    return allowed(incoming.environ, admitted.answer_headers(check_switch(head, incoming.environ)))


def check_received(received: int, passage: Passage) -> None:
    """Check how much of a body has come; raises `request_body_too_large`."""
    limit = passage.route.max_body
    if limit is not None and received > limit:
        raise GatewayError(REQUEST_BODY_TOO_LARGE, f"a body without length, and longer than {limit} octets")


def _remembered_for(admitted: Admitted, incoming: Incoming) -> Remembered | None:
    remembered: Remembered | None = None if incoming.recollection is None else incoming.recollection.made
    return remembered if remembered is not None and remembered.admitted is admitted else None


def _client_lines(passage: Passage, upstream: Upstream, incoming: Incoming) -> tuple[bytes, int]:
    """Write what goes on of what the client said, with its weight: once for the same fields of a connection."""
    known: KnownFields | None = None if incoming.fields is None else incoming.fields.made
    found = None if known is None else known.lines.get(id(upstream))
    if found is not None:
        return found
    environ = passage.environ
    kept = without_tag(kept_headers(client_headers(environ), passage.rules), incoming.notes.tag)
    fields = [
        *([("Content-Type", str(environ["CONTENT_TYPE"]))] if environ.get("CONTENT_TYPE") else []),
        *forwarded_fields(kept, incoming.method),
        ("Via", via(str(environ.get("HTTP_VIA", "")), upstream.pseudonym)),
    ]
    made = field_lines(fields), weight_of(kept)
    if known is not None:
        known.lines[id(upstream)] = made
    return made


@remembered(longest=255, entries=256)
def _host_line(host: str) -> bytes:
    return field_lines([("Host", host)])


def _injected(admitted: Admitted, method: str) -> tuple[bytes, int]:
    """Write what we say ourselves, with its weight: for each session, route and way by which a client comes, once.

    It is kept from the second time on: most copies of a session are used once and forgotten.
    """
    passage, held = admitted.passage, admitted.held
    target, route = passage.target, passage.route
    # A proof is for one request alone, a signed identity for a minute.
    if held is None or route.identity_jwt or passage.is_proven:
        return _written(passage, method)
    # A token that was fetched for the route may be over, and another in its place, while the copy is the same.
    way = (id(route), target.client, target.forwarded_for, target.host)
    key = (*way, *passage.authorization)
    made = held.made.get(key)
    if made is not None:
        return made
    made = _written(passage, method)
    if len(held.made) < _MAX_MADE:
        # The first time without the token, which would weigh as much as what is written.
        held.made.update({key: made} if way in held.made else {way: None})
    return made


def _written(passage: Passage, method: str) -> tuple[bytes, int]:
    fields = injected_headers(passage.target, passage.route, passage.session, passage.rules, passage.authorization)
    return field_lines(forwarded_fields(fields, method)), weight_of(fields)


def _framing(incoming: Incoming) -> list[Field]:
    # One framing, whatever came in (RFC 9112 6.2); llhttp has seen to it that there is not more than one.
    if incoming.chunked:
        return [("Transfer-Encoding", "chunked")]
    length = incoming.environ.get("CONTENT_LENGTH")
    return [] if length is None else [("Content-Length", str(length))]
