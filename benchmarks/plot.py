"""The picture of a run: what one decision costs each server, as bars, in SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

Bar = tuple[str, float, bool]
"""What it stands for, how long it is, and whether it is ours."""

WIDTH, LABEL, BAR, GAP, TOP, BOTTOM, VALUE = 720, 250, 22, 12, 64, 34, 90
OURS, THEIRS, INK, PALE = "#0f766e", "#a8a29e", "#1c1917", "#78716c"
FONT: Final = "font-family='ui-sans-serif, system-ui, Helvetica, Arial, sans-serif'"


def bars(title: str, unit: str, note: str, shown: Sequence[Bar]) -> str:
    """Draw a bar for each, to one scale, with its value behind it."""
    longest = max(value for _, value, _ in shown)
    height = TOP + len(shown) * (BAR + GAP) + BOTTOM
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' role='img' {FONT}>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{height}' rx='8' fill='#fafaf9'/>",
        _text(24, 30, title, size=17, weight=600),
        _text(24, 49, unit, size=12, fill=PALE),
    ]
    for place, (label, value, is_ours) in enumerate(shown):
        y = TOP + place * (BAR + GAP)
        length = max(2.0, value / longest * (WIDTH - LABEL - VALUE))
        parts.append(_text(LABEL - 12, y + BAR * 0.7, label, size=13, anchor="end", weight=600 if is_ours else 400))
        fill = OURS if is_ours else THEIRS
        parts.append(f"<rect x='{LABEL}' y='{y}' width='{length:.1f}' height='{BAR}' rx='3' fill='{fill}'/>")
        parts.append(_text(LABEL + length + 8, y + BAR * 0.7, _number(value), size=13))
    parts.append(_text(24, height - 13, note, size=11, fill=PALE))
    return "\n".join([*parts, "</svg>", ""])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"  # noqa: PLR2004 - three digits are enough


def _text(
    x: float, y: float, text: str, *, size: int, fill: str = INK, weight: int = 400, anchor: str = "start"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' font-weight='{weight}' fill='{fill}' "
        f"text-anchor='{anchor}'>{escape(text)}</text>"
    )
