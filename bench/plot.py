"""Bars of requests a second and of p99, as an SVG that is legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 860
_NAMES: Final = 220
_PANEL: Final = 300
_GAP: Final = 20
_ROW: Final = 28
_BAR: Final = 18
_TOP: Final = 58
_VALUE: Final = 62
_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.own { fill: #0969da; }
.other { fill: #8c959f; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .own { fill: #58a6ff; }
  .other { fill: #6e7681; }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A server's row; `own` sets it off from the others."""

    title: str
    rate: float
    p99: float
    own: bool


def plot(heading: str, bars: Sequence[Bar]) -> str:
    """Draw a row for each server: requests a second on the left, p99 on the right, both from zero."""
    height = _TOP + _ROW * len(bars) + 8
    left, right = _NAMES, _NAMES + _PANEL + _GAP
    most_rate = max(bar.rate for bar in bars)
    most_late = max(bar.p99 for bar in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(heading)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(heading)}</text>',
        f'<text x="{left}" y="44">requests a second</text>',
        f'<text x="{right}" y="44">p99, milliseconds</text>',
    ]
    for number, bar in enumerate(bars):
        middle = _TOP + _ROW * number
        lines.append(f'<text x="{_NAMES - 10}" y="{middle + 14}" text-anchor="end">{escape(bar.title)}</text>')
        lines += _bar(left, middle, bar.rate / most_rate, f"{bar.rate:,.0f}", own=bar.own)
        lines += _bar(right, middle, bar.p99 / most_late, f"{bar.p99:,.1f}", own=bar.own)
    return "\n".join([*lines, "</svg>", ""])


def _bar(x: int, y: int, share: float, value: str, *, own: bool) -> list[str]:
    width = max(1.0, share * (_PANEL - _VALUE))
    kind = "own" if own else "other"
    return [
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        f'<text x="{x + width + 6:.1f}" y="{y + 14}">{value}</text>',
    ]
