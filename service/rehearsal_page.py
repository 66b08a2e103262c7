"""A rehearsal as an HTML page to send around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from service.campaign_rehearsal import CampaignRehearsal, DayCurve, VariantLine
from service.page import interval_bar, page, table
from service.rehearsal_report import Section, headline, sections_of

WIDTH, HEIGHT = 640.0, 240.0
COLOURS = {"learner": "#1b5e9b", "control": "#b33", "random": "#999", "best choices": "#2a7a2a"}
"""Of the lines, by name."""
BANDED = "learner"
"""Whose band is drawn: bands of all would hide each other."""

Points = Sequence[float | None]


def page_of(found: CampaignRehearsal) -> str:
    """One page that needs nothing else."""
    parts = [f"<p>{escape(headline(found))}</p>", _picture(found.curves), *map(_section, sections_of(found))]
    if found.variants:
        parts.append(_bars(found.variants))
    return page(f"Rehearsal of {found.campaign}", f"Before the first send: {found.campaign}", *parts)


def _section(one: Section) -> str:
    rows = [tuple(map(escape, row)) for row in one.rows]
    return f"<h2>{escape(one.question)}</h2><p>{escape(one.answer)}</p>{table(one.head, rows) if rows else ''}"


def _bars(lines: Sequence[VariantLine]) -> str:
    """Differences from the plan on one scale."""
    ends = [(line.difference.ci_lower, line.difference.ci_upper) for line in lines]
    told = [
        (line.name, line.difference.mean, (low, high))
        for line, (low, high) in zip(lines, ends, strict=True)
        if low is not None and high is not None
    ]
    if not told:
        return ""
    low, high = min(ends[0] for _, _, ends in told), max(ends[1] for _, _, ends in told)
    rows = [(escape(name), interval_bar(mean, ends, low, high)) for name, mean, ends in told]
    return table(
        ("changed to", f"reward a send, minus as planned: {low:+.5f} to {high:+.5f}, red is no difference"), rows
    )


def _picture(curves: Sequence[DayCurve]) -> str:
    """Value by day: a line for each group and for the best choices, a band for the learner."""
    ends = [value for curve in curves for value in (*curve.mean, *_band(curve)) if value is not None]
    if not ends:
        return ""
    scale = _Scale(max(len(curve.mean) for curve in curves), min(ends), max(ends))
    bands = "".join(_area(curve, scale) for curve in curves if curve.name == BANDED)
    lines = "".join(_line(curve, scale) for curve in curves)
    names = ", ".join(
        f'<span style="color:{COLOURS.get(curve.name, "#222")}">{escape(curve.name)}</span>' for curve in curves
    )
    return (
        f'<svg viewBox="0 -4 {WIDTH:.0f} {HEIGHT + 8:.0f}" width="{WIDTH:.0f}" role="img" aria-label="reward a send by day">'
        f"{bands}{lines}</svg><p><small>True reward a send on days 1 to {scale.n_days}, from {scale.low:.5f} to "
        f"{scale.high:.5f}: {names}. The band holds the learner in 8 of 10 worlds.</small></p>"
    )


def _band(curve: DayCurve) -> tuple[float | None, ...]:
    return (*curve.lower, *curve.upper) if curve.name == BANDED else ()


@dataclass(frozen=True, slots=True)
class _Scale:
    """Days from left to right, values from low to high."""

    n_days: int
    low: float
    high: float

    def points(self, values: Points) -> list[str]:
        """Where the days with a value stand."""
        across, up = WIDTH / max(self.n_days - 1, 1), HEIGHT / ((self.high - self.low) or 1.0)
        return [f"{day * across:.1f},{up * (self.high - v):.1f}" for day, v in enumerate(values) if v is not None]


def _line(curve: DayCurve, scale: _Scale) -> str:
    dash = "" if curve.name == BANDED else ' stroke-dasharray="6 3"'
    return (
        f'<polyline fill="none" stroke="{COLOURS.get(curve.name, "#222")}" stroke-width="2"{dash} '
        f'points="{" ".join(scale.points(curve.mean))}"/>'
    )


def _area(curve: DayCurve, scale: _Scale) -> str:
    around = scale.points(curve.upper) + scale.points(curve.lower)[::-1]
    return f'<polygon fill="{COLOURS[BANDED]}" opacity="0.15" points="{" ".join(around)}"/>'
