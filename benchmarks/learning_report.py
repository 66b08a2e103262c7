"""What the runs say: tables, the small JSON that the docs quote, and one image a problem."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from contestants import PACKAGES, PRODUCT
from peers import versions
from problems import PROBLEMS
from scipy import stats
from timing import RESULTS, keep

IMAGES = Path(__file__).parent.parent / "docs" / "images"
Line = Mapping[str, object]
Runs = dict[str, dict[int, Line]]
"""Contestant to seed to its line."""


def interval(values: Sequence[float]) -> dict[str, float]:
    """Mean and its 95 % t-interval; without width where there is one value."""
    n, mean = len(values), float(np.mean(values))
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else 0.0
    return {"mean": round(mean, 4), "ci_lower": round(mean - half, 4), "ci_upper": round(mean + half, 4)}


def grouped(lines: Sequence[Line], problem: str) -> dict[int, Runs]:
    """Batch to contestant to seed; of runs played twice the later one; shortened runs are left out."""
    batches: dict[int, Runs] = defaultdict(lambda: defaultdict(dict))
    for line in lines:
        if line["problem"] == problem and line["n_sends"] == PROBLEMS[problem].n_sends:
            batches[int(line["batch"])][str(line["contestant"])][int(line["seed"])] = line  # type: ignore[call-overload]
    return dict(sorted(batches.items()))


def numbers(runs: Mapping[int, Line], name: str, seeds: Sequence[int] | None = None) -> list[float]:
    """One figure of each run, in the order of the seeds."""
    return [float(runs[seed][name]) for seed in (sorted(runs) if seeds is None else seeds)]  # type: ignore[arg-type]


def row_of(runs: Mapping[int, Line], ours: Mapping[int, Line]) -> dict[str, object]:
    """One contestant's line of the table; the difference is of the seeds that both have played."""
    common = sorted(runs.keys() & ours.keys())
    differences = np.subtract(numbers(ours, "gap", common), numbers(runs, "gap", common)).tolist()
    return {
        "n_seeds": len(runs),
        "gap": interval(numbers(runs, "gap")),
        "later_gap": interval(numbers(runs, "later_gap")),
        "worst_gap": round(min(numbers(runs, "gap")), 4),
        "times_uniform": interval(numbers(runs, "times_uniform")),
        "manyarm_minus": interval(differences) if common else None,
        **_values(runs, ours, common),
        "curve": _curve(runs),
        "seconds": round(float(np.median(numbers(runs, "seconds"))), 1),
        "code": sorted({str(line["code"]) for line in runs.values()}),
        "fallbacks": int(sum(numbers(runs, "fallbacks"))),
    }


def _values(runs: Mapping[int, Line], ours: Mapping[int, Line], common: Sequence[int]) -> dict[str, object]:
    """Clicks in 1,000 sends, which compare where what was sent changes what can be earned; and what was learned of it."""
    if not all("value" in line for line in (*runs.values(), *ours.values())):
        return {}
    clicks = {seed: 1000.0 * float(runs[seed]["value"]) for seed in runs}  # type: ignore[arg-type]
    more = [1000.0 * float(ours[seed]["value"]) - clicks[seed] for seed in common]  # type: ignore[arg-type]
    found: dict[str, object] = {"clicks": interval(list(clicks.values()))}
    if common:
        found["manyarm_minus_clicks"] = interval(more)
    wear = [line["wear"] for line in runs.values() if line.get("wear")]
    if wear:
        found["wear"] = [interval(column) for column in np.array(wear, dtype=float).T.tolist()]
    return found


def _curve(runs: Mapping[int, Line]) -> dict[str, list[float]]:
    """Mean gap of each twentieth over the seeds, and half the width of its 95 % interval."""
    curves = np.array([line["curve"] for line in runs.values()], dtype=float)
    n = len(curves)
    half = stats.t.ppf(0.975, n - 1) * curves.std(axis=0, ddof=1) / math.sqrt(n) if n > 1 else np.zeros(curves.shape[1])
    return {"mean": curves.mean(axis=0).round(3).tolist(), "half": half.round(3).tolist()}


def table(rows: Mapping[str, Mapping[str, object]]) -> str:
    """Markdown, the best first; gaps in percent."""
    head = (
        "| | gap % | later half | worst seed | x uniform | manyarm minus it | clicks in 1,000 | seeds | CPU s a run |"
    )
    text = [head, "|---|---|---|---|---|---|---|---|---|"]
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["gap"]["mean"]):  # type: ignore[index]
        gap, later, times = (row[column] for column in ("gap", "later_gap", "times_uniform"))
        clicks = f"{row['clicks']['mean']:.1f}" if "clicks" in row else ""  # type: ignore[index]
        difference = "" if name == PRODUCT else _percent(row["manyarm_minus"])
        text.append(
            f"| {name} | {_percent(gap)} | {_percent(later)} | {100 * row['worst_gap']:.1f} | "  # type: ignore[operator]
            f"{times['mean']:.2f} | {difference} | {clicks} | {row['n_seeds']} | {row['seconds']} |"  # type: ignore[index]
        )
    return "\n".join(text)


def _percent(found: object) -> str:
    if not isinstance(found, dict):
        return ""
    mean, low, high = (100 * found[part] for part in ("mean", "ci_lower", "ci_upper"))
    return f"{mean:.1f} ({low:.1f} to {high:.1f})"


def draw(problem: str, batches: Mapping[str, Mapping[str, Mapping[str, object]]], path: Path) -> None:
    """Gap of each twentieth of the campaign, one panel a batch; bands are 95 % intervals of the mean over seeds."""
    batches = {batch: found for batch, found in batches.items() if any("curve" in row for row in found.values())}
    import matplotlib as mpl  # noqa: PLC0415 - slow to import, and only the report draws

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panels = plt.subplots(
        1, len(batches), figsize=(1.5 + 5 * len(batches), 4), sharey=True, squeeze=False, layout="constrained"
    )
    names = sorted({name for contestants in batches.values() for name in contestants})  # a colour each, in all panels
    for panel, (batch, contestants) in zip(panels[0], batches.items(), strict=True):
        for place, name in enumerate(names):
            if "curve" in contestants.get(name, {}):
                _band(panel, contestants[name]["curve"], PROBLEMS[problem].n_sends, name, f"C{place % 10}")
        panel.set(title=f"{problem}, batches of {int(batch):,}", xlabel="sends")
        panel.axhline(0, color="0.6", linewidth=0.8)
    panels[0][0].set_ylabel("gap % (uniform 0, best per customer 100)")
    lines = {line.get_label(): line for panel in panels[0] for line in panel.get_lines() if line.get_label() in names}
    shown = sorted(lines)
    figure.legend([lines[name] for name in shown], shown, fontsize=7, loc="outside right center")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _band(panel, curve, n_sends: int, name: str, color: str) -> None:  # noqa: ANN001 - matplotlib's axes
    mean, half = (100 * np.array(curve[part]) for part in ("mean", "half"))
    middles = (np.arange(mean.size) + 0.5) / mean.size * n_sends
    style = {"linewidth": 2.5, "color": "black", "zorder": 5} if name == PRODUCT else {"linewidth": 1.2, "color": color}
    (line,) = panel.plot(middles, mean, label=name, **style)
    if half.any():
        panel.fill_between(middles, mean - half, mean + half, color=line.get_color(), alpha=0.12, linewidth=0)


def report(lines: Sequence[Line], *, keep_results: bool, problems: Sequence[str]) -> None:
    """Print a table a problem and batch; with `keep_results` write the JSON and the images as well."""
    kept = _earlier() if keep_results else {}
    for problem in problems:
        batches = grouped(lines, problem)
        if not batches:
            continue
        rows = {
            str(batch): {name: row_of(runs, contestants.get(PRODUCT, {})) for name, runs in contestants.items()}
            for batch, contestants in batches.items()
        }
        for batch, found in rows.items():
            print(f"\n**{problem}** ({PROBLEMS[problem].about}), batches of {int(batch):,}\n\n{table(found)}")
        every = {**kept.get(problem, {}), **rows}
        kept[problem] = {batch: every[batch] for batch in sorted(every, key=int)}
        if keep_results:
            draw(problem, kept[problem], IMAGES / f"learning-{problem}.png")
    if keep_results:
        keep("learning", {"problems": kept, "packages": versions(PACKAGES)})


def _earlier() -> dict[str, dict[str, dict[str, dict[str, object]]]]:
    """Problems and batches that were reported before and are not part of this report stay."""
    path = RESULTS / "learning.json"
    return dict(json.loads(path.read_text())["problems"]) if path.exists() else {}
