"""Every gate of a rate as a dot, beside what it may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

IMAGE = Path(__file__).parent.parent / "docs" / "images" / "inference.png"
LINE_HEIGHT = 0.24


def draw(document: dict[str, Any]) -> None:
    """Draw the gates whose figures are shares: where it lies, and the end it must not cross."""
    gates = [gate for gate in document["gates"] if gate["figure"] is not None and 0.0 <= gate["figure"] <= 1.0]
    figure = Figure(figsize=(10, 1.2 + LINE_HEIGHT * len(gates)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for at, gate in enumerate(reversed(gates)):
        for end, marker in (("least", "|"), ("largest", "|")):
            if gate[end] is not None and gate[end] <= 1.0:
                axes.plot(gate[end], at, marker, color="#b33", markersize=9)
        axes.plot(gate["figure"], at, "o", color="#456" if gate["holds"] else "#d33", markersize=4)
    axes.set_yticks(range(len(gates)), [gate["name"] for gate in reversed(gates)], fontsize=7)
    axes.set(
        xlim=(-0.02, 1.02), title="Rates that were measured (dots) and their gates (red marks)", xlabel="share of logs"
    )
    axes.grid(alpha=0.3)
    IMAGE.parent.mkdir(exist_ok=True)
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(IMAGE, dpi=110, metadata={"Software": None})
