"""A gateway before something that answers as a test wants: an upstream over HTTP, or an app that is wrapped."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from wsgiref.types import StartResponse

from harness import ORIGIN, Clock, Mode, Site, base_config, error_code, face_of, merged, new_provider, site_of
from peers.listener import Answer, Received, run_listener

from gateway import Gateway
from gateway.assembly import Outside
from gateway.telemetry import Silence, Telemetry
from gateway.testing import FakeProvider
from gateway.trace_context import NO_TRACES, TraceRules

Answering = Callable[[Received], Answer]


@contextmanager
def run_before(
    answer: Answering,
    config: Mapping[str, object] | None = None,
    *,
    mode: Mode = "upstream",
    clients: Callable[[FakeProvider], None] | None = None,
    telemetry: Telemetry | None = None,
    traces: TraceRules = NO_TRACES,
) -> Iterator[Site]:
    """Run a gateway before what answers; `config` is laid over the usual one, `clients` may change the provider.

    `telemetry` and `traces` are as in `run_site`.
    """
    clock = Clock()
    provider = new_provider(clock)
    if clients is not None:
        clients(provider)
    document = merged(base_config({"type": "memory"}), config or {})
    outside = Outside(transport=provider.transport, clock=clock, telemetry=telemetry or Silence(), traces=traces)
    if mode == "wrapped":
        received: list[Received] = []
        gateway = Gateway.from_config(document, outside=outside)(answering_app(answer, received))
        with face_of(gateway) as face:
            yield site_of(gateway, face, provider, clock, received)
        return
    with run_listener(answer) as listener:
        gateway = Gateway.from_config({**document, "upstream": listener.origin}, outside=outside)(None)
        with face_of(gateway) as face:
            yield site_of(gateway, face, provider, clock, listener.received)
        for upstream in gateway.upstreams.values():
            upstream.close()


def answering_app(
    answer: Answering, received: list[Received], closed: list[str] | None = None
) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    """Make an app that notes each request and answers; `closed` gets the path of each body that was closed.

    A line break in a header's value makes two fields of it.
    """

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        request = Received(
            method=environ["REQUEST_METHOD"],
            path=environ["RAW_URI"].partition("?")[0],
            query=environ["QUERY_STRING"],
            headers={
                key.removeprefix("HTTP_").lower().replace("_", "-"): value
                for key, value in environ.items()
                if key.startswith("HTTP_")
            },
            body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or "0")),
        )
        received.append(request)
        given = answer(request)
        fields = [(name, line) for name, value in given.headers.items() for line in value.split("\n")]
        start_response(f"{given.status} Answer", [("Content-Type", "text/html"), *fields])
        return _Body(given.body.encode("utf-8"), request.path, [] if closed is None else closed)

    return app


def hello(_: object) -> Answer:
    return Answer(body="hello")


def bearer(site: Site) -> str:
    """Return the token that the upstream got last."""
    scheme, _, token = site.received[-1].headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    return token


def assert_not_reached(site: Site, path: str, status: int, code: str) -> None:
    """A request fails, and the upstream hears nothing of it: not with another token either."""
    reached = len(site.received)
    page = site.browser.fetch(ORIGIN + path)
    assert (page.status, error_code(page)) == (status, code)
    assert len(site.received) == reached
    assert ("Retry-After" in page.headers) == (status == 503)


class _Body:
    def __init__(self, content: bytes, path: str, closed: list[str]) -> None:
        self._content = content
        self._path = path
        self._closed = closed

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def close(self) -> None:
        self._closed.append(self._path)
