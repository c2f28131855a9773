"""Traces of a gateway that stands alone, by gunicorn's workers: one login and one hot request, sent to a collector."""

import json
from pathlib import Path
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from peers.listener import Listener, run_listener
from peers.servers import free_port

from .running import Connection, Face, environment, origin_at, run_gateway, run_provider, sign_in

CALLER: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OF_CALLER: Final = CALLER.split("-")[1]
LATER: Final = "600000"
"""Milliseconds after which spans would be sent if the worker did not end before."""


def collected(collector: Listener) -> list[Span]:
    read = [ExportTraceServiceRequest.FromString(received.body) for received in collector.received]
    scopes = [scope for one in read for resource in one.resource_spans for scope in resource.scope_spans]
    return [span for scope in scopes for span in scope.spans]


def test_workers_send_the_tree_of_a_request_when_they_end(face: Face, tmp_path: Path) -> None:
    port = free_port()
    url = origin_at(port)
    with (
        run_listener() as collector,
        run_listener() as upstream,
        run_provider([url], {"alice": {"email": "alice@op.example"}}) as provider,
    ):
        settings = {
            "UPSTREAM": upstream.origin,
            "SESSION__LOCAL_CACHE": "2",
            "TRACING__ENABLED": "true",
            "TRACING__TRUST_INCOMING": "always",
            "ROUTES": json.dumps([{"path": "/hot/**"}]),
        }
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.origin, "OTEL_BSP_SCHEDULE_DELAY": LATER}
        environ = environment(url, provider.issuer, settings) | variables
        with run_gateway(tmp_path, port, environ, workers=1, face=face):
            cookie = sign_in(url, "alice")
            with Connection(url) as connection:
                for _ in range(3):
                    answer = connection.get("/hot/a", cookie=cookie, headers={"traceparent": CALLER})
                    assert answer.status == 200
            assert collector.received == []
        spans = collected(collector)
        told = {received.headers["traceparent"] for received in upstream.received}
    hot = [span for span in spans if span.trace_id.hex() == OF_CALLER]
    servers = {span.span_id.hex() for span in hot if span.name == "GET /hot/**"}
    assert len(servers) == 3
    assert told == {f"00-{OF_CALLER}-{one}-01" for one in servers}
    upstreams = [span for span in hot if span.name == "upstream GET"]
    assert {span.parent_span_id.hex() for span in upstreams} == servers
    login = next(span for span in spans if span.name == "GET /oauth2/callback")
    calls = {span.name for span in spans if span.parent_span_id == login.span_id}
    assert {"provider code", "store set"} <= calls
