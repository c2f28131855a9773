"""Spans by OpenTelemetry: the real exporter sends them to a collector on loopback, which reads them as OTLP."""

import json
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from click.testing import CliRunner
from harness import base_config
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from peers.listener import Answer, Listener, run_listener

from gateway.backends.told import BUSY
from gateway.cli_check import check
from gateway.config import Settings, parse_settings
from gateway.config_sources import ConfigurationError
from gateway.spans import SpanSink, own_resource
from gateway.telemetry import OK, Called, Decision, Event, Kind, Peer, Served, Tag, tagged
from gateway.trace_context import ALL, Sampler, Trust, begin_trace, parse_traceparent
from gateway.tracing import check_tracing, make_tracing, read_sampler, trace_rules

CALLER: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CANARY: Final = "CANARY-4Wd8Rt5Vq7Jm"
BEGAN: Final = 1_800_000_000.0
ONE: Final = Served(
    tag=Tag(request_id="r1"),
    method="GET",
    path="/api/things",
    host="app.example",
    client="203.0.113.9",
    route="/api/**",
    decision=Decision.ALLOW,
    code="",
    issuer="https://op.example",
    subject="u1",
    provider="default",
    upstream="http://up.example",
    status=200,
    sent=5,
    began_at=BEGAN,
    seconds=0.25,
    upstream_seconds=0.2,
)
CALL: Final = Called(
    peer=Peer.STORE, name="redis", operation="get", outcome=OK, began_at=BEGAN + 0.01, seconds=0.002
)  # fmt: skip


def settings(**tracing: object) -> Settings:
    document = {**base_config({"type": "memory"}), "tracing": {"enabled": True, **tracing}}
    return parse_settings(document, {})


def new_tag(incoming: str = "", sampler: Sampler = ALL) -> Tag:
    trace = begin_trace(incoming, secrets.token_bytes, sampler)
    return Tag(request_id="r1", trace=trace.ours, parent=trace.parent)


def collected(collector: Listener) -> list[Sent]:
    read = [ExportTraceServiceRequest.FromString(received.body) for received in collector.received_at("/v1/traces")]
    scopes = [scope for one in read for resource in one.resource_spans for scope in resource.scope_spans]
    return [span for scope in scopes for span in scope.spans]


def attributes(span: Sent) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "") for pair in span.attributes}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    with run_listener(lambda _: Answer(headers={"Content-Type": "application/x-protobuf"}, body="")) as listener:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", listener.origin)
        yield listener


@pytest.fixture
def told(collector: Listener) -> Callable[[Callable[[Any], None]], list[Sent]]:
    def tell(story: Callable[[Any], None]) -> list[Sent]:
        sink = make_tracing(settings(), {})
        story(sink)
        sink.close()
        return collected(collector)

    return tell


def exported(sampler: Sampler = ALL, incoming: str = "", **changes: Any) -> list[Any]:
    exporter = InMemorySpanExporter()
    sink = SpanSink(
        processor=SimpleSpanProcessor(exporter),
        resource=own_resource(),
        scheme="https",
        entropy=secrets.token_bytes,
    )
    tag = new_tag(incoming, sampler)
    sink.served(ONE._replace(tag=tag, **changes))
    with tagged(tag):
        sink.called(CALL)
    sink.close()
    return list(exporter.get_finished_spans())


def test_a_request_and_its_calls_are_one_tree(told: Callable[[Callable[[Any], None]], list[Sent]]) -> None:
    tag = new_tag(CALLER)

    def story(sink: Any) -> None:
        with tagged(tag):
            sink.called(CALL)
            sink.called(CALL._replace(peer=Peer.PROVIDER, name="default", operation="token"))
            sink.called(CALL._replace(peer=Peer.UPSTREAM, name="http://up.example", operation="GET"))
        sink.served(ONE._replace(tag=tag))

    spans = told(story)
    ours = parse_traceparent(tag.trace)
    assert ours is not None
    assert {span.trace_id.hex() for span in spans} == {CALLER.split("-")[1]}
    assert len({span.span_id for span in spans}) == 4
    server = next(span for span in spans if span.kind == Sent.SPAN_KIND_SERVER)
    assert server.span_id.hex() == ours.span_id
    assert server.parent_span_id.hex() == CALLER.split("-")[2]
    clients = [span for span in spans if span.kind == Sent.SPAN_KIND_CLIENT]
    assert [span.name for span in clients] == ["store get", "provider token", "upstream GET"]
    assert {span.parent_span_id for span in clients} == {server.span_id}


def test_the_span_of_a_request(told: Callable[[Callable[[Any], None]], list[Sent]]) -> None:
    (span,) = told(lambda sink: sink.served(ONE._replace(tag=new_tag())))
    assert span.name == "GET /api/**"
    assert span.parent_span_id == b""
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (BEGAN * 10**9, (BEGAN + 0.25) * 10**9)
    assert attributes(span) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 5,
        "http.route": "/api/**",
        "server.address": "app.example",
        "url.scheme": "https",
        "url.path": "/api/things",
        "gateway.decision": "allow",
        "gateway.request_id": "r1",
        "gateway.provider": "default",
        "gateway.upstream": "http://up.example",
    }


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param("POST /api/**", "POST", id="known"),
        pytest.param("HTTP /api/**", f"X{CANARY}", id="any-word"),
        pytest.param("HTTP /api/**", "get", id="in-small-letters"),
    ],
)
def test_a_client_invents_no_names(name: str, method: str) -> None:
    server, _ = exported(method=method)
    assert server.name == name
    assert CANARY not in server.to_json()


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        pytest.param("app.example", "app.example", None, id="name"),
        pytest.param("app.example:8443", "app.example", 8443, id="name-and-port"),
        pytest.param("[::1]:8443", "[::1]", 8443, id="ipv6-and-port"),
        pytest.param("[::1]", "[::1]", None, id="ipv6"),
        pytest.param("app.example:999999", "app.example:999999", None, id="no-port"),
        pytest.param("", None, None, id="none"),
    ],
)
def test_where_a_request_went(host: str, address: str | None, port: int | None) -> None:
    server, _ = exported(host=host)
    assert (server.attributes.get("server.address"), server.attributes.get("server.port")) == (address, port)


def test_a_request_that_fits_no_route_is_named_by_its_method() -> None:
    server, _ = exported(route="")
    assert server.name == "GET"
    assert "http.route" not in server.attributes


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"status": 200}, None, id="fine"),
        pytest.param({"status": 404, "code": "not_found"}, None, id="the-client's-fault"),
        pytest.param({"status": 503, "code": "store_unavailable"}, "store_unavailable", id="ours"),
        pytest.param({"status": 502}, "502", id="the-upstream's"),
    ],
)
def test_an_error_is_what_is_no_fault_of_the_client(changes: Mapping[str, Any], error: str | None) -> None:
    server, _ = exported(**changes)
    assert server.attributes.get("error.type") == error
    assert server.status.is_ok is (error is None)
    assert server.status.description is None
    assert server.attributes.get("gateway.code") == changes.get("code")


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        pytest.param(OK, {}, id="fine"),
        pytest.param(BUSY, {}, id="a-lock-that-another-holds"),
        pytest.param("store_unavailable", {"error.type": "store_unavailable"}, id="failed"),
    ],
)
def test_a_call_that_failed_says_by_which_code(outcome: str, error: Mapping[str, str]) -> None:
    exporter = InMemorySpanExporter()
    sink = SpanSink(
        processor=SimpleSpanProcessor(exporter), resource=own_resource(), scheme="https", entropy=secrets.token_bytes
    )
    with tagged(new_tag()):
        sink.called(CALL._replace(outcome=outcome))
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "gateway.peer": "store",
        "gateway.operation": "get",
        "peer.service": "redis",
        **error,
    }
    assert span.status.is_ok is (not error)
    sink.close()


@pytest.mark.parametrize(
    ("sampler", "incoming", "count"),
    [
        pytest.param(ALL, "", 2, id="sampled"),
        pytest.param(Sampler(ratio=0), "", 0, id="not-sampled"),
        pytest.param(Sampler(ratio=0), CALLER, 2, id="the-caller-is"),
        pytest.param(ALL, f"{CALLER[:-1]}0", 0, id="the-caller-is-not"),
    ],
)
def test_what_is_not_sampled_leaves_no_span(sampler: Sampler, incoming: str, count: int) -> None:
    assert len(exported(sampler, incoming)) == count


def test_what_belongs_to_no_request_leaves_no_span(told: Callable[[Callable[[Any], None]], list[Sent]]) -> None:
    def story(sink: Any) -> None:
        sink.called(CALL)
        sink.served(ONE)
        sink.served(ONE._replace(tag=new_tag()))

    assert len(told(story)) == 1


def test_no_span_says_who_it_was(
    collector: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization={CANARY}")
    sink = make_tracing(settings(), {})
    tag = new_tag()
    with tagged(tag):
        sink.called(CALL)
        sink.happened(
            Event(kind=Kind.LOGIN, issuer=CANARY, subject=CANARY, client=CANARY, detail=CANARY, outcome="login_failed")
        )
    sink.served(ONE._replace(tag=tag, issuer=CANARY, subject=CANARY, client=CANARY))
    sink.close()
    assert len(collected(collector)) == 2
    assert collector.received[0].headers["authorization"] == CANARY
    assert not any(CANARY.encode() in received.body for received in collector.received)
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        pytest.param({}, "gateway", id="ours"),
        pytest.param({"OTEL_SERVICE_NAME": "front door"}, "front door", id="theirs"),
        pytest.param({"OTEL_RESOURCE_ATTRIBUTES": "service.name=edge,deployment.environment=test"}, "edge", id="all"),
    ],
)
def test_the_service_has_a_name(variables: Mapping[str, str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    found = own_resource().attributes
    assert found["service.name"] == name
    assert found["service.instance.id"] != own_resource().attributes["service.instance.id"]
    assert ("deployment.environment" in found) is ("OTEL_RESOURCE_ATTRIBUTES" in variables)


def test_a_collector_that_is_away_costs_nothing_but_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    sink = make_tracing(settings(), {})
    sink.served(ONE._replace(tag=new_tag()))
    sink.close()
    sink.served(ONE._replace(tag=new_tag()))


ENDING: Final = """
import secrets, sys
from gateway.spans import connect
from gateway.telemetry import Called, Peer, Tag, tagged
call = Called(peer=Peer.STORE, name="file", operation="get", outcome="ok", began_at=1.0, seconds=1.0)
with tagged(Tag(request_id="r1", trace=sys.argv[1])):
    connect("https", secrets.token_bytes).called(call)
raise SystemExit(3)
"""
"""A process that ends as gunicorn's workers do."""


def test_what_waits_is_sent_when_the_process_ends(collector: Listener) -> None:
    done = subprocess.run([sys.executable, "-c", ENDING, CALLER], check=False, timeout=60)
    assert done.returncode == 3
    assert [span.name for span in collected(collector)] == ["store get"]


def test_closing_waits_no_longer_than_it_may() -> None:
    let_go = threading.Event()

    class Stuck(SpanProcessor):
        def shutdown(self) -> None:
            let_go.wait()

    sink = SpanSink(
        processor=Stuck(),
        resource=own_resource(),
        scheme="https",
        entropy=secrets.token_bytes,
        closing_seconds=0.01,
    )
    sink.close()
    assert not let_go.is_set()
    let_go.set()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, Sampler(ratio=1.0, follows_parent=True), id="default"),
        pytest.param({"OTEL_TRACES_SAMPLER": ""}, Sampler(ratio=1.0, follows_parent=True), id="empty"),
        pytest.param({"OTEL_TRACES_SAMPLER": "always_on"}, Sampler(ratio=1.0, follows_parent=False), id="on"),
        pytest.param({"OTEL_TRACES_SAMPLER": "always_off"}, Sampler(ratio=0.0, follows_parent=False), id="off"),
        pytest.param({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, Sampler(ratio=0.0), id="off-but-the-parent's"),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"},
            Sampler(ratio=0.25, follows_parent=False),
            id="ratio",
        ),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1e-3"},
            Sampler(ratio=0.001),
            id="ratio-but-the-parent's",
        ),
        pytest.param({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, Sampler(ratio=1.0), id="ratio-of-all"),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "always_on", "OTEL_TRACES_SAMPLER_ARG": "x"},
            Sampler(ratio=1.0, follows_parent=False),
            id="argument-of-none",
        ),
    ],
)
def test_the_sampler_is_named_by_opentelemetry_s_variables(variables: Mapping[str, str], expected: Sampler) -> None:
    assert read_sampler(variables) == expected


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        pytest.param({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "OTEL_TRACES_SAMPLER", id="unknown-sampler"),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "half"},
            "OTEL_TRACES_SAMPLER_ARG",
            id="no-number",
        ),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1.1"},
            "OTEL_TRACES_SAMPLER_ARG",
            id="more-than-all",
        ),
        pytest.param(
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "nan"},
            "OTEL_TRACES_SAMPLER_ARG",
            id="not-a-number",
        ),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL", id="grpc"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", id="json"
        ),
    ],
)
def test_a_variable_that_cannot_be_met_is_an_error_of_the_configuration(
    variables: Mapping[str, str], named: str
) -> None:
    check_tracing(settings(), {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"})
    with pytest.raises(ConfigurationError) as raised:
        check_tracing(settings(), variables)
    assert raised.value.problems[0].startswith(f"{named}: must be ")
    check_tracing(parse_settings(base_config({"type": "memory"}), {}), variables)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param([], lambda result: result.stderr, id="text"),
        pytest.param(["--json"], lambda result: json.loads(result.stdout)["problems"][0], id="json"),
    ],
)
def test_gateway_check_says_it(
    options: list[str], told: Callable[[Any], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "jaeger_remote")
    document = {**base_config({"type": "memory"}), "upstream": "http://127.0.0.1:9", "tracing": {"enabled": True}}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(check, [str(file), *options])
    assert result.exit_code == 2
    assert told(result).startswith("OTEL_TRACES_SAMPLER: must be one of always_on, ")


@pytest.mark.parametrize(
    "package", ["opentelemetry", "opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http.trace_exporter"]
)
def test_without_the_packages_tracing_is_an_error_of_the_configuration(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_tracing(settings(), {})
    monkeypatch.delitem(sys.modules, "gateway.spans")
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigurationError) as raised:
        check_tracing(settings(), {})
    assert raised.value.problems == ["tracing.enabled: needs OpenTelemetry's packages: pip install 'gateway[otel]'"]
    check_tracing(parse_settings(base_config({"type": "memory"}), {}), {})


def test_the_rules_are_those_of_the_settings() -> None:
    variables = {"OTEL_TRACES_SAMPLER": "always_off"}
    rules = trace_rules(settings(trust_incoming="never"), variables)
    assert (rules.takes_part, rules.trust, rules.sampler.ratio) == (True, Trust.NEVER, 0.0)
    assert not trace_rules(settings(enabled=False), variables).takes_part
    assert settings().tracing.trust is Trust.PROXIES
