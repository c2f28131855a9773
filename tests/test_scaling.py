"""The simulation of docs/SCALING.md: its arithmetic is the session's own, and its figures are those of the page."""

from dataclasses import replace
from typing import Final

import pytest
from samples import SESSION
from scaling.__main__ import BEGIN, END, PAGE
from scaling.cases import CALM, TROUBLED, Case, crowd_rows
from scaling.storm import GENERATIONS, Answer, Crowd, Provider, due_at, session_name, simulate, spread, undisturbed

FEW: Final = 5_000


@pytest.mark.parametrize(
    ("lifetime", "jitter"),
    [
        pytest.param(300, 0, id="5 minutes, no jitter"),
        pytest.param(300, 30, id="5 minutes, the default"),
        pytest.param(300, 900, id="5 minutes, more than there is room for"),
        pytest.param(3600, 30, id="an hour, the default"),
        pytest.param(3600, 1740, id="an hour, all there is room for"),
        pytest.param(90, 30, id="shorter than twice the leeway"),
    ],
)
def test_the_simulation_renews_when_a_session_wants_it(lifetime: int, jitter: int) -> None:
    times = Crowd(sessions=1, token_lifetime=lifetime, jitter=jitter, gap=60).lifetimes
    for number in range(2000):
        issued = 1000 + number % 60
        one = replace(
            SESSION,
            id=session_name(number),
            access_issued_at=issued,
            access_expires_at=issued + lifetime,
            refresh_token="rt",
        )
        due = due_at(one.id, issued, issued + lifetime, times)
        assert not one.needs_refresh(due - 1, times)
        assert one.needs_refresh(due, times)


@pytest.mark.parametrize("case", [CALM[1], CALM[5]], ids=["a request a minute", "a request in 5 s"])
def test_a_small_crowd_is_renewed_in_the_time_that_the_page_names(case: Case) -> None:
    crowd = replace(case.crowd, sessions=FEW)
    storm = simulate(crowd, case.provider)
    for one, alone in zip(storm.renewed, undisturbed(crowd).renewed, strict=True):
        assert spread(alone) == pytest.approx(spread(one), rel=0.1)
    cells = [row[:4] for row in crowd_rows(case, storm)]
    page = PAGE.read_text(encoding="utf-8")
    told = page[page.index(BEGIN) : page.index(END)].splitlines()
    for cell, renewed in zip(cells, storm.renewed, strict=True):
        (line,) = (line for line in told if line.startswith(f"| {' | '.join(cell)} |"))
        begin, end = spread(renewed)
        assert renewed.total() == FEW
        assert end - begin == pytest.approx(int(line.split("|")[5].removesuffix("s ")), rel=0.1)


@pytest.mark.parametrize(
    "provider",
    [
        pytest.param(TROUBLED[1].provider, id="away for two minutes"),
        pytest.param(Provider(rate=10, beyond=Answer.TOO_MANY), id="429 beyond its rate"),
        pytest.param(Provider(rate=10, beyond=Answer.BUSY), id="503 beyond its rate"),
        pytest.param(TROUBLED[4].provider, id="503 to all for two minutes"),
    ],
)
def test_a_provider_in_trouble_loses_no_session(provider: Provider) -> None:
    crowd = Crowd(sessions=500, token_lifetime=300, jitter=30, gap=60)
    assert simulate(crowd, Provider()).refused.total() == 0
    storm = simulate(crowd, provider)
    assert [renewed.total() for renewed in storm.renewed] == [crowd.sessions] * GENERATIONS
    assert storm.asked.total() >= GENERATIONS * crowd.sessions


def test_to_shed_load_by_503_is_as_good_as_by_429() -> None:
    crowd = Crowd(sessions=FEW, token_lifetime=300, jitter=30, gap=60)
    honest, busy = (simulate(crowd, Provider(rate=25, beyond=one)) for one in (Answer.TOO_MANY, Answer.BUSY))
    assert honest.refused.total() > 0
    assert busy.refused.total() == pytest.approx(honest.refused.total(), rel=0.1)
