"""What the gateway tells of its work, as OpenTelemetry's spans; only this module imports its packages."""

from __future__ import annotations

import atexit
import re
import secrets
import threading
from collections.abc import Callable, Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from gateway.backends.told import BUSY
from gateway.oidc.messages import Entropy
from gateway.telemetry import OK, Called, Event, Served, current_tag
from gateway.trace_context import Span, new_child, parse_traceparent

CLOSING_SECONDS = 5.0
_SCOPE = InstrumentationScope("gateway")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})
_HOST = re.compile(r"([^:]+|\[[^\]]*\]):([0-9]{1,5})")

Attributes = Mapping[str, str | int]


class SpanSink:
    """Makes a span of each request that is sampled, and of each call that was made for one; the rest it forgets.

    The spans are made when all is over, with ids that were chosen at the beginning, when the upstream was told of
    them: that is why no tracer makes them. They hold neither query, field, user nor address of a client. `scheme` is
    that of `public_url`.
    """

    def __init__(
        self,
        *,
        processor: SpanProcessor,
        resource: Resource,
        scheme: str,
        entropy: Entropy,
        closing_seconds: float = CLOSING_SECONDS,
    ) -> None:
        self._processor = processor
        self._closing_seconds = closing_seconds
        self._resource = resource
        self._scheme = scheme
        self._entropy = entropy
        self._closing = threading.Event()
        self._closer = threading.Thread(target=self._shut_down, name="gateway-spans", daemon=True)
        self._closer.start()

    def served(self, served: Served) -> None:
        """Make the span of a request, below that of who asked."""
        span = parse_traceparent(served.tag.trace)
        if span is None or not span.sampled:
            return
        failed = served.status >= 500
        self._processor.on_end(
            ReadableSpan(
                name=_server_name(served),
                context=_context(span),
                parent=_parent(served.tag.parent),
                resource=self._resource,
                attributes=_server_attributes(served, self._scheme, failed=failed),
                kind=SpanKind.SERVER,
                status=_status(failed=failed),
                start_time=_nanoseconds(served.began_at),
                end_time=_nanoseconds(served.began_at + served.seconds),
                instrumentation_scope=_SCOPE,
            )
        )

    def happened(self, event: Event) -> None:
        """Forget it: what happens to sessions is for log and metrics."""

    def called(self, call: Called) -> None:
        """Make the span of a call, below that of the request for which it was made; of no other call is there one."""
        parent = parse_traceparent(current_tag().trace)
        if parent is None or not parent.sampled:
            return
        failed = call.outcome not in (OK, BUSY)
        self._processor.on_end(
            ReadableSpan(
                name=f"{call.peer.value} {call.operation}",
                context=_context(new_child(parent, self._entropy)),
                parent=_context(parent),
                resource=self._resource,
                attributes=_client_attributes(call, failed=failed),
                kind=SpanKind.CLIENT,
                status=_status(failed=failed),
                start_time=_nanoseconds(call.began_at),
                end_time=_nanoseconds(call.began_at + call.seconds),
                instrumentation_scope=_SCOPE,
            )
        )

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Forget it."""

    def close(self) -> None:
        """Send what waits, for so many seconds at most; what is told afterwards is lost."""
        self._closing.set()
        self._closer.join(self._closing_seconds)

    def _shut_down(self) -> None:
        # In a thread that is there already, since none can be started while the interpreter ends: the processor's own
        # bound is half a minute, which a server may not be given to stop in.
        self._closing.wait()
        self._processor.shutdown()


def connect(scheme: str, entropy: Entropy) -> SpanSink:
    """Make the sink that sends spans by OTLP to where OpenTelemetry's variables say, and closes with the process."""
    sink = SpanSink(
        processor=BatchSpanProcessor(OTLPSpanExporter()), resource=own_resource(), scheme=scheme, entropy=entropy
    )
    atexit.register(sink.close)
    return sink


def own_resource() -> Resource:
    """Say who we are: `gateway`, and each process by a name of its own, if the variables say nothing else."""
    own = Resource({"service.name": "gateway", "service.instance.id": secrets.token_hex(16)})
    return Resource.get_empty().merge(own).merge(OTELResourceDetector().detect())


def _server_name(served: Served) -> str:
    method = _method(served.method)
    return f"{'HTTP' if method == '_OTHER' else method} {served.route}".rstrip()


def _server_attributes(served: Served, scheme: str, *, failed: bool) -> Attributes:
    given = {
        "http.route": served.route,
        "gateway.request_id": served.tag.request_id,
        "gateway.code": served.code,
        "gateway.provider": served.provider,
        "gateway.upstream": served.upstream,
        "error.type": (served.code or str(served.status)) if failed else "",
    }
    return {
        "http.request.method": _method(served.method),
        "http.response.status_code": served.status,
        "http.response.body.size": served.sent,
        "url.scheme": scheme,
        "url.path": served.path,
        "gateway.decision": served.decision.value,
        **_place(served.host),
        **{name: value for name, value in given.items() if value},
    }


def _place(host: str) -> Attributes:
    match = _HOST.fullmatch(host)
    if match is None:
        return {"server.address": host} if host else {}
    return {"server.address": match[1], "server.port": int(match[2])}


def _client_attributes(call: Called, *, failed: bool) -> Attributes:
    given = {"peer.service": call.name, "error.type": call.outcome if failed else ""}
    return {
        "gateway.peer": call.peer.value,
        "gateway.operation": call.operation,
        **{name: value for name, value in given.items() if value},
    }


def _method(method: str) -> str:
    # Any word may stand there, and each would be a name of its own.
    return method if method in _METHODS else "_OTHER"


def _parent(traceparent: str) -> SpanContext | None:
    span = parse_traceparent(traceparent)
    return None if span is None else _context(span, remote=True)


def _context(span: Span, *, remote: bool = False) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if span.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(span.trace_id, 16), int(span.span_id, 16), is_remote=remote, trace_flags=flags)


def _status(*, failed: bool) -> Status:
    return Status(StatusCode.ERROR if failed else StatusCode.UNSET)


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1_000_000_000)
