"""What chaos takes for right, for explained and for a problem, and that it finds what is where no secret may be."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from canaries import Canaries
from chaos.client import HUNG, LOST, Answer
from chaos.faults import FaultLog, Kind
from chaos.outputs import leaks, strangers
from chaos.site import API_KEY_FIELD, Site
from chaos.tap import Tap
from chaos.verdicts import Held, Judge
from processes.load import Heard
from processes.outages import DurableRedis, ProviderServer
from werkzeug.test import Client
from werkzeug.wrappers import Request, Response

from gateway.testing import FakeProvider

ALICE: Final = "alice"
TARGET: Final = "/ok/alice/1"
API_KEY: Final = "an API key that only the upstream may see"
LIFETIME: Final = 20


class Issuing:
    """Gives out tokens that bear the name of what was brought for them, except for what it `refuses`."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        form = Request(environ).form
        brought = form.get("code") or form["refresh_token"]
        members: dict[str, object] = {"error": "invalid_grant"}
        if brought not in self.refuses:
            members = {name: f"{name} of {brought}" for name in ("access_token", "refresh_token", "id_token")}
        response = Response(
            json.dumps({**members, "expires_in": LIFETIME}),
            status=400 if "error" in members else 200,
            mimetype="application/json",
        )
        return response(environ, start_response)


@pytest.fixture
def issuing() -> Issuing:
    return Issuing()


@pytest.fixture
def site(issuing: Issuing, tmp_path: Path) -> Site:
    canaries = Canaries()
    tap = Tap(issuing, canaries)
    for code in ("code-alice", "code-bob"):
        Client(tap).post("/token", data={"grant_type": "authorization_code", "code": code})
    users = {name: {"email": f"{name}@op.example"} for name in (ALICE, "bob")}
    return Site(
        directory=tmp_path,
        origins=["http://127.0.0.1:1"],
        metrics=[],
        masters=[],
        upstream="http://127.0.0.1:2",
        redis=DurableRedis(tmp_path),
        provider=FakeProvider(issuer="http://127.0.0.1:3", clients=[], users=users),
        server=ProviderServer(tap, 3),
        tap=tap,
        canaries=canaries,
        api_key=API_KEY,
    )


def renew(site: Site, issuing: Issuing, code: str, *, refused: bool = False) -> None:
    token = f"refresh_token of {code}"
    issuing.refuses = {token} if refused else set()
    Client(site.tap).post("/token", data={"grant_type": "refresh_token", "refresh_token": token})


def answer(status: int, body: bytes, *, after: float = 0.0, retry_after: str = "") -> Answer:
    heard = Heard(status=status, fields=[("retry-after", retry_after)], body=body)
    return Answer(asked_at=time.monotonic() + after, answered_at=time.monotonic() + after, heard=heard)


def shown(target: str = TARGET, *, after: float = 0.0, **changes: str) -> Answer:
    fields = {
        "authorization": "Bearer access_token of code-alice",
        "x-forwarded-user": ALICE,
        "x-forwarded-email": "alice@op.example",
        API_KEY_FIELD: API_KEY,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return answer(200, json.dumps({"target": target, "fields": fields}).encode(), after=after)


def cut(whole: Answer) -> Answer:
    return replace(whole, heard=replace(whole.heard, status=LOST))


def failed(status: int, code: str, retry_after: str = "") -> Answer:
    body = json.dumps({"error": code, "message": "..."}, separators=(",", ":")).encode()
    return answer(status, body, retry_after=retry_after)


def held(**changes: Any) -> Held:
    return Held(user=ALICE, code="code-alice", cookie="a cookie", **changes)


LATER: Final = "5"


@pytest.mark.parametrize(
    ("seen", "session", "broken", "verdict"),
    [
        pytest.param(shown, {}, None, "right", id="right"),
        pytest.param(
            lambda: shown(authorization="Bearer access_token of code-bob"), {}, None,
            "PROBLEM: a token of another login", id="another-user's-token",
        ),
        pytest.param(lambda: shown(authorization=""), {}, None, "PROBLEM: a token of another login", id="no-token"),
        pytest.param(lambda: shown(x_forwarded_user="bob"), {}, None, "PROBLEM: another user", id="another-user"),
        pytest.param(lambda: shown(x_forwarded_email="x"), {}, None, "PROBLEM: another user", id="another-email"),
        pytest.param(lambda: shown("/ok/bob/1"), {}, None, "PROBLEM: another request", id="another-request"),
        pytest.param(lambda: shown(x_api_key="x"), {}, None, "PROBLEM: another request", id="another-key"),
        pytest.param(
            lambda: shown(cookie="gateway=x"), {}, None, "PROBLEM: a cookie of ours went on", id="a-cookie-of-ours"
        ),
        pytest.param(
            lambda: shown(after=LIFETIME + 1), {}, None, "PROBLEM: a token that had ended", id="a-token-that-had-ended"
        ),
        pytest.param(lambda: answer(200, b"<p>"), {}, None, "PROBLEM: not what the upstream said", id="another-answer"),
        pytest.param(shown, {"left": 1.0}, None, "right", id="within-the-local-cache"),
        pytest.param(shown, {"left": 3.0}, None, "PROBLEM: let in after the sign-out", id="after-the-sign-out"),
        pytest.param(lambda: failed(401, "login_required"), {"left": 3.0}, None, "right", id="refused-after-sign-out"),
        pytest.param(
            lambda: failed(401, "login_required"), {}, None, "PROBLEM: signed out without cause", id="without-cause"
        ),
        pytest.param(
            lambda: failed(401, "login_required"), {}, Kind.REDIS, "PROBLEM: signed out without cause",
            id="without-cause-in-an-outage",
        ),
        pytest.param(lambda: failed(500, "internal_error"), {}, Kind.REDIS, "PROBLEM: 500 internal_error", id="500"),
        pytest.param(
            lambda: failed(503, "store_down", LATER), {}, None, "PROBLEM: 503 store_down", id="503-without-cause"
        ),
        pytest.param(lambda: failed(503, "store_down", LATER), {}, Kind.REDIS, "503 store_down", id="503"),
        pytest.param(
            lambda: failed(503, "store_down", LATER), {}, Kind.UPSTREAM, "PROBLEM: 503 store_down",
            id="503-with-another-cause",
        ),
        pytest.param(
            lambda: failed(503, "store_down"), {}, Kind.REDIS, "PROBLEM: 503 store_down", id="503-without-a-time"
        ),
        pytest.param(
            lambda: failed(504, "upstream_read_timeout"), {}, Kind.UPSTREAM, "504 upstream_read_timeout", id="504"
        ),
        pytest.param(lambda: answer(502, b"<p>"), {}, Kind.UPSTREAM, "PROBLEM: 502 ", id="502-without-a-code"),
        pytest.param(lambda: answer(LOST, b""), {}, Kind.WORKER, "lost", id="lost"),
        pytest.param(lambda: cut(shown()), {}, Kind.UPSTREAM, "lost", id="cut"),
        pytest.param(
            lambda: cut(shown(authorization="Bearer access_token of code-bob")), {}, Kind.UPSTREAM,
            "PROBLEM: a token of another login", id="cut-and-another-user's",
        ),
        pytest.param(lambda: answer(LOST, b""), {}, Kind.REDIS, "PROBLEM: lost", id="lost-without-cause"),
        pytest.param(lambda: answer(HUNG, b""), {}, Kind.WORKER, "PROBLEM: hung", id="hung"),
    ],
)  # fmt: skip
def test_answers(
    site: Site, seen: Callable[[], Answer], session: Mapping[str, float], broken: Kind | None, verdict: str
) -> None:
    faults = FaultLog()
    left = session.get("left")
    one = held() if left is None else held(leaving=True, left_at=time.monotonic() - left)
    with nullcontext() if broken is None else faults.during(broken, "something"):
        assert Judge(site, faults).of_upstream(one, TARGET, seen()) == verdict


def test_a_login_is_demanded_for_a_cause_where_the_provider_refused_this_very_session(
    site: Site, issuing: Issuing
) -> None:
    judge = Judge(site, FaultLog())
    renew(site, issuing, "code-alice")
    renew(site, issuing, "code-bob", refused=True)
    assert judge.of_upstream(held(), TARGET, failed(401, "login_required")) == "PROBLEM: signed out without cause"
    renew(site, issuing, "code-alice", refused=True)
    verdict = judge.of_upstream(held(), TARGET, failed(401, "login_required"))
    assert verdict == "signed out: the provider refused its refresh token"


@pytest.mark.parametrize(
    ("broken", "explained"),
    [
        pytest.param(Kind.WORKER, True, id="a-worker-that-had-it-was-killed"),
        pytest.param(Kind.PROVIDER, True, id="the-provider's-answer-was-lost"),
        pytest.param(Kind.RELOAD, False, id="a-reload"),
        pytest.param(Kind.REDIS, False, id="the-store-was-away"),
    ],
)
def test_a_refresh_token_comes_twice(broken: Kind, explained: bool, site: Site, issuing: Issuing) -> None:
    faults = FaultLog()
    judge = Judge(site, faults)
    with faults.during(broken, "something"):
        renew(site, issuing, "code-alice")
    assert judge.unexplained_refusals() == []
    renew(site, issuing, "code-alice", refused=True)
    assert (judge.unexplained_refusals() == []) == explained


def test_a_refresh_token_is_refused_that_was_never_used(site: Site, issuing: Issuing) -> None:
    judge = Judge(site, FaultLog())
    renew(site, issuing, "code-alice", refused=True)
    assert len(judge.unexplained_refusals()) == 1


@pytest.mark.parametrize(
    ("told", "written", "place"),
    [
        pytest.param({}, {}, "", id="nowhere"),
        pytest.param({"read 503 store_down": b"access_token of code-alice"}, {}, "read 503", id="an-answer"),
        pytest.param({"proxy 202 ": b"access_token of code-alice"}, {}, "proxy 202", id="an-answer-to-a-proxy"),
        pytest.param({}, {"gunicorn-1.log": b'"GET /refresh_token%20of%20code-bob"'}, "gunicorn-1", id="a-log"),
        pytest.param({}, {"redis/appendonly.aof": b"id_token of code-bob"}, "redis", id="the-store-at-rest"),
        pytest.param({}, {"command line of 7": b"--code\0refresh_token of code-bob"}, "command", id="a-command-line"),
    ],
)
def test_secrets_are_found_in_every_output(
    told: Mapping[str, bytes], written: Mapping[str, bytes], place: str, site: Site
) -> None:
    found = list(leaks(site, {what: [text] for what, text in told.items()}, {"rough_origin.log": b"", **written}))
    assert bool(found) == bool(place)
    assert all(one.startswith(place) for one in found)


@pytest.mark.parametrize(
    ("name", "text", "odd"),
    [
        pytest.param("gunicorn-4180.log", b"[INFO] Booting worker", False, id="a-log"),
        pytest.param("redis/appendonlydir/1.aof", b"", False, id="the-store"),
        pytest.param("core.1234", b"\x7fELF", True, id="a-core"),
        pytest.param("gunicorn-4180.log", b"Traceback (most recent call last):", True, id="a-trace"),
        pytest.param("gunicorn-4180.log", b"ERROR an error that nobody foresaw: KeyError", True, id="an-error"),
    ],
)
def test_what_is_left_behind(name: str, text: bytes, odd: bool) -> None:
    assert bool(strangers({name: text})) == odd
