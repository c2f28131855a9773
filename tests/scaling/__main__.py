"""The whole simulation, from the same seed each time: its figures go into docs/SCALING.md, its plot beside it."""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from measured_page import write_between

from scaling.cases import CALM, CROWD_HEAD, TROUBLE_HEAD, TROUBLED, Case, as_markdown, crowd_rows, trouble_row
from scaling.curve import draw
from scaling.storm import Storm

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = DOCS / "SCALING.md"
PLOT: Final = DOCS / "refresh-storm.svg"
BEGIN: Final = "<!-- simulated: begin -->\n"
END: Final = "<!-- simulated: end -->\n"
PROCESSES: Final = 2
SHOWN_SECONDS: Final = 1200


def main() -> int:
    """Run all cases, print their tables, and write page and plot."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        storms = list(pool.map(Case.run, [*CALM, *TROUBLED]))
    calm, troubled = storms[: len(CALM)], storms[len(CALM) :]
    rows = [row for case, storm in zip(CALM, calm, strict=True) for row in crowd_rows(case, storm)]
    troubles = [trouble_row(case, storm) for case, storm in zip(TROUBLED, troubled, strict=True)]
    text = f"{as_markdown(CROWD_HEAD, rows)}\n\n{as_markdown(TROUBLE_HEAD, troubles)}\n"
    print(text)
    write_between(PAGE, BEGIN, END, text)
    PLOT.write_text(_plot(calm), encoding="utf-8")
    return 0


def _plot(calm: list[Storm]) -> str:
    shown = [(f"jitter {case.crowd.jitter} s", storm.asked) for case, storm in zip(CALM[:3], calm[:3], strict=True)]
    return draw("Refreshes a second, 1,000,000 sessions of one minute, tokens of 300 s", shown, until=SHOWN_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
