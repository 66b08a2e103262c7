"""A fitted world for people: how its predictions fared, how far to trust it, as text, JSON and a picture."""

from __future__ import annotations

from pathlib import Path

from service.fitted_trust import LOGGED, Judged, Trust
from simulator.fit_evidence import FittedType
from simulator.fitted_world import FittedWorld
from simulator.fitting import TRIED

LEAST_SLOPE = 0.5
"""Of observed over predicted differences: below, they are exaggerated more than twice over."""


def draw_reliability(path: Path, world: FittedWorld) -> None:
    """A PNG: observed rates over predicted ones, by tenth of the customers, with 95 % limits; one panel a type."""
    # Half a second of imports, which every command would pay for one picture.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    types = world.evidence.types
    columns = min(len(types), 4)
    rows = -(-len(types) // columns)
    figure = Figure(figsize=(1.0 + 4.0 * columns, 0.5 + 4.0 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, one in zip(panels, types, strict=False):
        bins = one.reliability.bins
        top = 1.05 * max(max(part.ci_upper, part.predicted) for part in bins)
        below = [part.observed - part.ci_lower for part in bins]
        above = [part.ci_upper - part.observed for part in bins]
        panel.plot([0.0, top], [0.0, top], color="0.6", linewidth=1)
        panel.errorbar(
            [part.predicted for part in bins], [part.observed for part in bins], yerr=[below, above], fmt="o", capsize=3
        )
        panel.set(title=one.name, xlabel="predicted", ylabel="observed", xlim=(0.0, top), ylim=(0.0, top))
        panel.grid(alpha=0.3)
    for panel in panels[len(types) :]:
        panel.set_axis_off()
    # Without the software's own stamp, the same numbers give the same bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def fit_text(world: FittedWorld, trust: Trust) -> str:
    """For people."""
    lines = [f"fitted to {len(world.rows)} sends to {len(set(world.rows.customers))} customers"]
    lines += [_type_line(one) for one in world.evidence.types]
    width = max(len(row.policy) for row in trust.rows)
    lines += ["", f"  {'policy'.ljust(width)}   world     log ({trust.method}), 95 % interval    apart"]
    lines += [_judged_line(row, width) for row in trust.rows]
    return "\n".join([*lines, trust.sentence, *filter(None, [caution_of(world, trust)])])


def caution_of(world: FittedWorld, trust: Trust) -> str:
    """Why not to believe who likes what in this world; empty where nothing speaks against it."""
    told = [one for one in world.evidence.types if not one.is_mean_alone]
    poor = [one.name for one in told if not _tells_customers_apart(one)]
    reasons = []
    if told and len(poor) == len(told):
        reasons.append(
            f"predictions of {', '.join(poor)} for customers that were left out are no better than the mean rate, or exaggerate "
            "twice over: the log does not show who reacts to what"
        )
    if not told:
        reasons.append("nothing happened often enough to tell customers or arms apart")
    others = [row for row in trust.rows if row.policy != LOGGED]
    judged = sum(row.is_judged for row in others)
    if judged < len(others) / 2:
        reasons.append(f"the log can judge only {judged} of {len(others)} policies other than its own")
    if not reasons:
        return ""
    return f"CAUTION: {'; '.join(reasons)}. Do not tune here: collect more rows, or declare fewer fields of context."


def _tells_customers_apart(one: FittedType) -> bool:
    found = one.reliability
    return found.log_loss < found.base_log_loss and found.slope >= LEAST_SLOPE


def fit_document(world: FittedWorld, trust: Trust) -> dict[str, object]:
    """As JSON."""
    return {
        "n_rows": len(world.rows),
        "n_customers": len(set(world.rows.customers)),
        "types": {one.name: _type_document(one) for one in world.evidence.types},
        "method": trust.method,
        "policies": [
            {
                "policy": row.policy,
                "world": row.world,
                "log": row.log if row.is_judged else None,
                "se": row.se if row.is_judged else None,
                "ci_lower": row.ci_lower if row.is_judged else None,
                "ci_upper": row.ci_upper if row.is_judged else None,
                "apart": row.apart if row.is_judged else None,
                "verdict": row.verdict.value,
            }
            for row in trust.rows
        ],
        "n_agreeing": trust.n_agreeing,
        "n_judged": trust.n_judged,
        "sentence": trust.sentence,
        "caution": caution_of(world, trust),
    }


def _type_line(one: FittedType) -> str:
    found = one.reliability
    if one.is_mean_alone:
        return f"  {one.name}: happened after {one.n_events} sends, too seldom for more than its mean rate"
    return (
        f"  {one.name}: {one.n_events} times; log loss {found.log_loss:.5f} (mean rate alone {found.base_log_loss:.5f}), slope "
        f"{found.slope:.2f}, {found.n_agreeing} of {len(found.bins)} tenths within their 95 % limits"
    )


def _type_document(one: FittedType) -> dict[str, object]:
    found = one.reliability
    return {
        "n_events": one.n_events,
        "mean_alone": one.is_mean_alone,
        "strengths": {part.name.lower(): held for part, held in one.strengths.items() if part in TRIED},
        "intercept": found.intercept,
        "slope": found.slope,
        "log_loss": found.log_loss,
        "base_log_loss": found.base_log_loss,
        "bins": [
            {"n": b.n, "predicted": b.predicted, "observed": b.observed, "ci_lower": b.ci_lower, "ci_upper": b.ci_upper}
            for b in found.bins
        ],
    }


def _judged_line(row: Judged, width: int) -> str:
    if not row.is_judged:
        return f"  {row.policy.ljust(width)}  {row.world:.5f}   the log cannot judge it ({row.verdict.value})"
    return (
        f"  {row.policy.ljust(width)}  {row.world:.5f}   {row.log:.5f}  {row.ci_lower:.5f} to {row.ci_upper:.5f}   "
        f"{row.apart:+.1f} SE"
    )
