"""How often each method finds a difference between equal arms, by learner and by what else changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

IMAGE = Path(__file__).parent.parent / "docs" / "images" / "inference.png"
EQUAL = ("null", "drift", "segments")
QUESTION = "pair, overlap"
NAIVE = (("two proportions", "two proportions, one look", "v"), ("chi-squared", "chi-squared, one look", "s"),
         ("two proportions, 20 looks", "two proportions, 20 looks", "X"))  # fmt: skip
OURS = (("interval_misses", "weighted scores, one look", "o"), ("sequence_misses", "betting sequence, 20 looks", "D"))
LIMIT = 0.071
"""Rejections that 1,000 logs at .05 stay below."""


def draw(document: dict[str, Any]) -> None:
    """One row a learner and scenario in which arms are equal; nothing where arms were not run."""
    cells = document.get("arms", {}).get("cells", {})
    names = [name for name in reversed(cells) if name.split(" / ")[0] in EQUAL]
    if not names:
        return
    figure = Figure(figsize=(9, 1.4 + 0.4 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for kind, label, marker in NAIVE:
        rates = [cells[name]["naive"][kind] for name in names]
        axes.plot(rates, range(len(names)), marker, color="#c55", label=label)
    for kind, label, marker in OURS:
        rates = [cells[name][QUESTION][kind] for name in names]
        axes.plot(rates, range(len(names)), marker, color="#256", label=label)
    axes.axvline(LIMIT, color="#888", linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(-0.02, 1.02), title="Equal arms: how often a difference is found", xlabel="share of 1,000 logs")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper right")
    IMAGE.parent.mkdir(exist_ok=True)
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(IMAGE, dpi=110, metadata={"Software": None})
