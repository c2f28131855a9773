"""Lines of refreshes a second over time, as an SVG that is legible on light and dark pages."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final

_WIDTH: Final = 860
_HEIGHT: Final = 320
_LEFT: Final = 70
_TOP: Final = 40
_BOTTOM: Final = 280
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
polyline { fill: none; stroke-width: 2; }
.l0 { stroke: #cf222e; } .l1 { stroke: #0969da; } .l2 { stroke: #1a7f37; }
.axis { stroke: #8c959f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .l0 { stroke: #ff7b72; } .l1 { stroke: #58a6ff; } .l2 { stroke: #3fb950; }
}
"""


def draw(heading: str, lines: Sequence[tuple[str, Counter[int]]], *, until: int, step: int = 5) -> str:
    """Draw up to three lines from second 0 on, each the mean of `step` seconds."""
    means = [[_mean(counts, begin, step) for begin in range(0, until, step)] for _, counts in lines]
    most = max(max(line) for line in means) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(heading)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text x="8" y="20">{escape(heading)}</text>',
        f'<line class="axis" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_WIDTH - 10}" y2="{_BOTTOM}"/>',
        f'<text x="{_LEFT - 8}" y="{_TOP + 5}" text-anchor="end">{most:,.0f}</text>',
        f'<text x="{_LEFT - 8}" y="{_BOTTOM}" text-anchor="end">0</text>',
        f'<text x="{_LEFT}" y="{_BOTTOM + 20}">0 s</text>',
        f'<text x="{_WIDTH - 10}" y="{_BOTTOM + 20}" text-anchor="end">{until:,} s</text>',
    ]
    for number, ((title, _), line) in enumerate(zip(lines, means, strict=True)):
        points = " ".join(_point(place / (len(line) - 1), mean / most) for place, mean in enumerate(line))
        y = _TOP + 20 * (number + 1)
        parts.append(f'<polyline class="l{number}" points="{points}"/>')
        parts.append(f'<line class="l{number}" x1="640" y1="{y - 4}" x2="670" y2="{y - 4}" stroke-width="2"/>')
        parts.append(f'<text x="680" y="{y}">{escape(title)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _mean(counts: Counter[int], begin: int, step: int) -> float:
    return sum(counts[second] for second in range(begin, begin + step)) / step


def _point(across: float, up: float) -> str:
    return f"{_LEFT + across * (_WIDTH - 10 - _LEFT):.1f},{_BOTTOM - up * (_BOTTOM - _TOP):.1f}"
