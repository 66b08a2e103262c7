"""What a replay of several contenders found: values, regret, curves with bands, and differences seed by seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from bandit.arrays import FloatArray
from evaluation.intervals import Interval
from evaluation.paired_runs import mean_over_runs, paired_difference
from service.replaying import N_POINTS, Run


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A curve over the campaign with its 95 % band over seeds, each of shape (n_points,); no band from one seed."""

    mean: FloatArray
    lower: FloatArray | None
    upper: FloatArray | None

    @classmethod
    def of(cls, curves: FloatArray) -> Band:
        """Of curves, one a seed, shape (n_seeds, n_points)."""
        if len(curves) < 2:
            return cls(curves[0], None, None)
        found = [mean_over_runs(column) for column in curves.T]
        ends = ([each.ci_lower for each in found], [each.ci_upper for each in found])
        return cls(curves.mean(axis=0), np.array(ends[0]), np.array(ends[1]))


@dataclass(frozen=True, slots=True, eq=False)
class ContenderResult:
    """One contender over all seeds; rewards and regret are of a send, exact for the choices made.

    Attributes:
        name: as it was asked for.
        runs: one a seed.
        against: difference in value to the first contender; None for the first, and from one seed.
    """

    name: str
    runs: Sequence[Run]
    against: Interval | None

    def mean(self, figure: str) -> float:
        """Mean over seeds of one of a run's figures."""
        return float(np.mean([getattr(run, figure) for run in self.runs]))

    def interval(self, figure: str) -> Interval | None:
        """The same with its interval; None from one seed, or where a seed has no such figure."""
        values = np.array([getattr(run, figure) for run in self.runs])
        return mean_over_runs(values) if len(values) > 1 and np.isfinite(values).all() else None

    @property
    def n_capped(self) -> int:
        """Sends that the campaign's caps refused, in all runs."""
        return sum(run.n_capped for run in self.runs)

    @property
    def value_curve(self) -> Band:
        """Expected reward a send in each stretch."""
        return Band.of(np.array([run.curve[0] for run in self.runs]))

    @property
    def regret_curve(self) -> Band:
        """Regret summed up since the campaign began, in rewards."""
        lost = np.array([run.curve[2] - run.curve[0] for run in self.runs])
        return Band.of(np.cumsum(lost * np.array([sizes_of(run.n_sends) for run in self.runs]), axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class ReplayReport:
    """Contenders on the same worlds.

    Attributes:
        world: which, in words.
        campaign: its id.
        n_sends: a replay of the first; a scenario may have fewer than were asked for, and caps may refuse some.
        results: in the order asked for; the first is what the others are measured against.
    """

    world: str
    campaign: str
    n_sends: int
    results: tuple[ContenderResult, ...]

    @classmethod
    def of(cls, world: str, campaign: str, runs: Mapping[str, Sequence[Run]]) -> ReplayReport:
        """Of each contender's runs, of the same seeds in the same order."""
        begun = next(iter(runs.values()))
        first = [run.value for run in begun]
        results = []
        for place, (name, found) in enumerate(runs.items()):
            is_paired = place > 0 and len(found) > 1
            against = paired_difference([run.value for run in found], first) if is_paired else None
            results.append(ContenderResult(name, found, against))
        return cls(world, campaign, round(fmean(run.n_sends for run in begun)), tuple(results))

    @property
    def seeds(self) -> list[int]:
        """Of the replays."""
        return [run.seed for run in self.results[0].runs]


def sizes_of(n_sends: int) -> FloatArray:
    """Sends in each stretch of a curve, shape (N_POINTS,); they are cut as `numpy.array_split` cuts.

    >>> int(sizes_of(1000).sum())
    1000
    """
    whole, rest = divmod(n_sends, N_POINTS)
    return np.array([float(whole + (place < rest)) for place in range(N_POINTS)])


def document_of(report: ReplayReport) -> dict[str, object]:
    """The report as one JSON document."""
    return {
        "world": report.world,
        "campaign": report.campaign,
        "n_sends": report.n_sends,
        "seeds": report.seeds,
        "policies": {one.name: _document(one) for one in report.results},
    }


def _document(one: ContenderResult) -> dict[str, object]:
    figures = ("value", "uniform", "best", "gap", "regret", "reported", "revenue")
    value, gap = one.interval("value"), one.interval("gap")
    return {
        **{name: _number(one.mean(name)) for name in figures},
        "value_interval": _ends(value),
        "gap_interval": _ends(gap),
        "difference": _difference(one.against),
        "n_fallbacks": sum(run.n_fallbacks for run in one.runs),
        "n_capped": one.n_capped,
        "groups": _groups(one),
        "values": [run.value for run in one.runs],
        "value_curve": _band(one.value_curve),
        "regret_curve": _band(one.regret_curve),
    }


def _groups(one: ContenderResult) -> dict[str, dict[str, float]]:
    """Mean over the seeds in which a group had sends."""
    names = sorted({name for run in one.runs for name in run.groups})
    found = {name: [run.groups[name] for run in one.runs if name in run.groups] for name in names}
    return {
        name: {
            "n_sends": float(np.mean([group.n_sends for group in groups])),
            "value": float(np.mean([group.value for group in groups])),
            "reported": float(np.mean([group.reported for group in groups])),
        }
        for name, groups in found.items()
    }


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _ends(interval: Interval | None) -> list[float] | None:
    return [interval.ci_lower, interval.ci_upper] if interval else None


def _difference(interval: Interval | None) -> dict[str, object] | None:
    if interval is None:
        return None
    return {"value": interval.estimate, "ci_lower": interval.ci_lower, "ci_upper": interval.ci_upper}


def _band(band: Band) -> dict[str, object]:
    ends = (None, None) if band.lower is None or band.upper is None else (band.lower.tolist(), band.upper.tolist())
    return {"mean": band.mean.tolist(), "lower": ends[0], "upper": ends[1]}


def text_of(report: ReplayReport) -> str:
    """The report as a table for people."""
    n_seeds = len(report.seeds)
    head = (
        f"{report.campaign} in the world {report.world}: {report.n_sends:,} sends, {n_seeds} seed{'s' * (n_seeds > 1)}\n"
        "Expected rewards a send, exact for what was chosen; gap is the share of the way from random to the best choice."
    )
    width = max(len("random"), *(len(one.name) for one in report.results))
    lines = [head, "", f"  {'':{width}}  {'value':>9}  {'gap':>6}  {'regret':>9}  {'reported':>9}  against the first"]
    lines += [_line(one, width) for one in report.results]
    first = report.results[0]
    lines += [
        f"  {'random':{width}}  {first.mean('uniform'):9.5f}",
        f"  {'best':{width}}  {first.mean('best'):9.5f}",
    ]
    if n_seeds == 1:
        lines.append("\nOne seed says little: differences of several seeds (--seeds 10) come with an interval.")
    capped = ", ".join(f"{one.n_capped:,} of {one.name}" for one in report.results if one.n_capped)
    if capped:
        lines.append(f"\nThe campaign's caps refused sends, which no figure counts: {capped}.")
    fallbacks = sum(run.n_fallbacks for one in report.results for run in one.runs)
    if fallbacks:
        lines.append(f"\n{fallbacks:,} decisions were made at random because the model was ill.")
    return "\n".join(lines)


def _line(one: ContenderResult, width: int) -> str:
    gap = one.mean("gap")
    share = f"{gap:6.1%}" if np.isfinite(gap) else f"{'-':>6}"
    against = one.against
    said = f"{against.estimate:+.5f} ({against.ci_lower:+.5f} to {against.ci_upper:+.5f})" if against else ""
    figures = f"{one.mean('value'):9.5f}  {share}  {one.mean('regret'):9.5f}  {one.mean('reported'):9.5f}"
    return f"  {one.name:{width}}  {figures}  {said}".rstrip()
