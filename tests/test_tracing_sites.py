"""Traces through the whole gateway, on both faces: whose they are, what is below what, and what is told behind."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import pytest
from answering import Answering, run_before
from harness import (
    CLIENT_SECRET,
    FACE_VARIABLE,
    ORIGIN,
    SECRET,
    SIGN_OUT,
    Config,
    Mode,
    Site,
    held_session,
    own_cookies,
    run_site,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from peers.listener import Answer, Received
from recording_telemetry import RecordingTelemetry

from gateway.renewal import MIN_TOKEN_AGE
from gateway.spans import SpanSink, own_resource
from gateway.telemetry import Several
from gateway.testing import Faults
from gateway.trace_context import Sampler, TraceRules, Trust, parse_traceparent

CALLER: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
STATE: Final = "rojo=00f067aa0ba902b7"
EVERYBODY: Final = TraceRules(takes_part=True, trust=Trust.ALWAYS)
PROXIES: Final = TraceRules(takes_part=True)


class Traced:
    """A site whose spans are kept."""

    def __init__(self, site: Site, exporter: InMemorySpanExporter, telemetry: RecordingTelemetry) -> None:
        self.site = site
        self._exporter = exporter
        self._telemetry = telemetry

    def all_spans(self, path: str, requests: int = 1) -> tuple[ReadableSpan, ...]:
        """Return all spans when so many requests of a path have been told of, which is the last word on each."""
        while len([one for one in self._telemetry.requests if one.path == path]) < requests:
            self._telemetry.request(path)
            time.sleep(0.01)
        return self._exporter.get_finished_spans()

    def spans(self, path: str, requests: int = 1) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """Return the span of the last of so many requests, and those of the calls in its trace."""
        finished = self.all_spans(path, requests)
        server = [one for one in finished if one.kind is SpanKind.SERVER and attribute(one, "url.path") == path][-1]
        assert server.context is not None
        trace_id = server.context.trace_id
        calls = [one for one in finished if one.kind is SpanKind.CLIENT and ids(one)[0] == trace_id]
        return server, calls

    @property
    def upstream(self) -> str:
        """The upstream by its name, which has an address in it."""
        return next(iter(self.site.gateway.upstreams))

    def reached(self) -> dict[str, str]:
        """Return the fields by which the last request reached what is behind."""
        return dict(self.site.received[-1].headers)


def attribute(span: ReadableSpan, name: str) -> Any:
    return None if span.attributes is None else span.attributes.get(name)


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_of(span: ReadableSpan) -> int:
    return 0 if span.parent is None else span.parent.span_id


@contextmanager
def traced(
    traces: TraceRules, mode: Mode = "upstream", config: Config | None = None, answer: Answering | None = None
) -> Iterator[Traced]:
    exporter, telemetry = InMemorySpanExporter(), RecordingTelemetry()
    sink = SpanSink(
        processor=SimpleSpanProcessor(exporter), resource=own_resource(), scheme="https", entropy=secrets.token_bytes
    )
    run = run_site if answer is None else partial(run_before, answer)
    with run(config, mode=mode, telemetry=Several([sink, telemetry]), traces=traces) as site:
        yield Traced(site, exporter, telemetry)
    sink.close()


@pytest.fixture(params=["threads", "lane"], autouse=True)
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(FACE_VARIABLE, request.param)
    return str(request.param)


@pytest.mark.parametrize("mode", ["wrapped", "upstream"])
def test_what_is_behind_is_in_the_trace_of_the_caller(mode: Mode) -> None:
    with traced(EVERYBODY, mode) as told:
        told.site.sign_in()
        for _ in range(4):  # The lane remembers what has come before.
            told.site.browser.fetch(
                ORIGIN + "/a", headers={"traceparent": CALLER, "tracestate": STATE, "baggage": "a=1"}
            )
        server, calls = told.spans("/a", 4)
        seen = parse_traceparent(told.reached()["traceparent"])
        assert seen is not None
        assert (int(seen.trace_id, 16), int(seen.span_id, 16)) == ids(server)
        assert seen.trace_id == CALLER.split("-")[1]
        assert f"{parent_of(server):016x}" == CALLER.split("-")[2]
        assert told.reached()["tracestate"] == STATE
        assert told.reached()["baggage"] == "a=1"
        upstream = [one for one in calls if one.name == "upstream GET"]
        assert len(upstream) == (4 if mode == "upstream" else 0)
        assert len({one.headers["traceparent"] for one in told.site.received[-4:]}) == 4


def test_a_login_and_a_hot_request_are_a_tree_each() -> None:
    with traced(PROXIES, config={"session": {"local_cache": 2}}) as told:
        told.site.sign_in()
        server, calls = told.spans("/oauth2/callback")
        assert server.name == "GET /oauth2/callback"
        assert {"provider code", "provider userinfo", "store set"} <= {one.name for one in calls}
        assert {parent_of(one) for one in calls} == {ids(server)[1]}
        told.site.browser.fetch(ORIGIN + "/hot")
        told.site.browser.fetch(ORIGIN + "/hot")
        hot, made = told.spans("/hot", 2)
        assert (hot.name, parent_of(hot)) == ("GET /**", 0)
        assert [(one.name, parent_of(one)) for one in made] == [("upstream GET", ids(hot)[1])]
        assert ids(hot)[0] != ids(server)[0]


def test_a_cold_request_shows_the_store() -> None:
    with traced(PROXIES) as told:
        told.site.sign_in()
        told.site.browser.fetch(ORIGIN + "/cold")
        server, calls = told.spans("/cold")
        store = [one for one in calls if one.name.startswith("store ")]
        assert store != []
        assert {parent_of(one) for one in calls} == {ids(server)[1]}


def test_a_renewal_is_in_the_trace_of_the_request_that_needs_it() -> None:
    with traced(PROXIES) as told:
        told.site.sign_in()
        told.site.clock.advance(250)
        told.site.browser.fetch(ORIGIN + "/later")
        server, calls = told.spans("/later")
        refresh = [one for one in calls if one.name == "provider refresh"]
        assert [parent_of(one) for one in refresh] == [ids(server)[1]]


@pytest.mark.parametrize("mode", ["wrapped", "upstream"])
def test_so_is_one_that_the_answer_asks_for(mode: Mode) -> None:
    refused: list[Received] = []

    def answer(received: Received) -> Answer:
        if received.path != "/data" or refused:
            return Answer(body="hello")
        refused.append(received)
        return Answer(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})

    with traced(PROXIES, mode, {"routes": [{"path": "/**", "token": "access_token"}]}, answer) as told:
        told.site.sign_in()
        told.site.clock.advance(MIN_TOKEN_AGE)
        assert told.site.browser.fetch(ORIGIN + "/data").status == 200
        server, calls = told.spans("/data")
        refresh = [one for one in calls if one.name == "provider refresh"]
        assert [parent_of(one) for one in refresh] == [ids(server)[1]]
        sent = {one.headers["traceparent"] for one in told.site.received if one.path == "/data"}
        assert [parse_traceparent(one) is not None for one in sent] == [True]


@pytest.mark.parametrize(
    ("traces", "sent", "config"),
    [
        pytest.param(PROXIES, CALLER, {}, id="from-the-public"),
        pytest.param(
            TraceRules(takes_part=True, trust=Trust.NEVER), CALLER, {"trusted_proxies": ["127.0.0.1"]}, id="never"
        ),
        pytest.param(EVERYBODY, "malformed", {}, id="malformed"),
        pytest.param(EVERYBODY, f"{CALLER},{CALLER}", {}, id="twice"),
    ],
)
def test_what_is_not_believed_ends_here(traces: TraceRules, sent: str, config: Config) -> None:
    with traced(EVERYBODY) as told:
        told.site.sign_in()
        told.site.browser.fetch(ORIGIN + "/a", headers={"traceparent": CALLER, "tracestate": STATE})
        assert told.reached()["tracestate"] == STATE
    with traced(traces, config=config) as told:
        told.site.sign_in()
        for _ in range(3):
            told.site.browser.fetch(ORIGIN + "/a", headers={"traceparent": sent, "tracestate": STATE, "baggage": "a=1"})
        server, _ = told.spans("/a", 3)
        assert parent_of(server) == 0
        assert CALLER.split("-")[1] not in told.reached()["traceparent"]
        assert told.reached()["traceparent"].startswith(f"00-{ids(server)[0]:032x}-")
        assert "tracestate" not in told.reached()
        assert told.reached()["baggage"] == "a=1"


def test_a_proxy_of_ours_is_believed() -> None:
    with traced(PROXIES, config={"trusted_proxies": ["127.0.0.1"]}) as told:
        told.site.sign_in()
        told.site.browser.fetch(ORIGIN + "/a", headers={"traceparent": CALLER})
        assert told.reached()["traceparent"].startswith(CALLER[:35])


def test_what_is_not_recorded_is_told_behind_all_the_same() -> None:
    with traced(TraceRules(takes_part=True, sampler=Sampler(ratio=0))) as told:
        told.site.sign_in()
        told.site.browser.fetch(ORIGIN + "/a")
        assert told.reached()["traceparent"].endswith("-00")
        assert told.all_spans("/a") == ()


def test_no_secret_of_a_login_is_in_a_span() -> None:
    with traced(PROXIES, config={"session": {"local_cache": 2}}) as told:
        told.site.provider.faults = Faults(token_response=lambda _, __: (400, {"error": "CANARY-error"}))
        told.site.browser.navigate(ORIGIN + "/home?token=CANARY-query", headers={"X-Note": "CANARY-field"})
        told.site.provider.faults = Faults()
        told.site.sign_in("/home")
        session, cookies = held_session(told.site), own_cookies(told.site.browser)
        told.site.browser.fetch(f"{SIGN_OUT}?note=CANARY-query", method="POST")
        sent = "".join(span.to_json() for span in told.all_spans("/oauth2/sign_out"))
        assert '"name": "provider code"' in sent
        tokens = (session.access_token, session.refresh_token, session.id_token, CLIENT_SECRET, SECRET)
        hidden = (*tokens, *cookies.values(), "CANARY", "code=", "state=", "alice", session.subject, "127.0.0.1")
        assert [word for word in hidden if str(word) in sent.replace(told.upstream, "")] == []
