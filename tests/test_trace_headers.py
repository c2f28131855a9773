"""What reaches whoever is behind us of the trace that a client names, through both faces."""

from typing import Final

import pytest
from harness import FACE_VARIABLE, ORIGIN, Mode, run_site

CALLER: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NAMES: Final = ("traceparent", "tracestate", "baggage")
PUBLIC: Final = {"routes": [{"path": "/public/**", "access": "public"}]}


@pytest.fixture(params=["threads", "lane"])
def face(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(FACE_VARIABLE, request.param)
    return str(request.param)


@pytest.mark.parametrize("path", [pytest.param("/public/a", id="public"), pytest.param("/a", id="signed-in")])
@pytest.mark.parametrize("mode", ["wrapped", "upstream"])
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({}, id="none"),
        pytest.param(
            {"traceparent": CALLER, "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "baggage": "a=1;p, b=%20"},
            id="all",
        ),
        pytest.param({"traceparent": "malformed", "tracestate": "rojo=1"}, id="malformed"),
    ],
)
def test_who_takes_no_part_passes_on_what_came(sent: dict[str, str], mode: Mode, path: str, face: str) -> None:
    with run_site(PUBLIC, mode=mode) as site:
        site.sign_in()
        for _ in range(4):  # The lane remembers what has come before.
            assert site.browser.navigate(ORIGIN + path, headers=sent).status == 200
        reached = [received.headers for received in site.received if received.path == path]
        assert len(reached) == 4
        assert all({name: one[name] for name in NAMES if name in one} == sent for one in reached)
