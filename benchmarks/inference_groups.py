"""Whether fixed groups may be watched daily: bounds of their difference, and the alarm for harm. Sizes and seeds stand here.

Rewards come from about one send in 20; customers like mails very unequally, and where they repeat they get 1 to 19 of them.
What nobody should use (the z test at every look, sends of one customer counted as if they were independent) is here to be
seen to fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gates import Gate
from scipy import stats
from simulations import Cell, Pool, Seeds, covered

from bandit.errors import UnusableLog
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends
from evaluation.harm_stop import harm_stop
from evaluation.intervals import Interval
from evaluation.lift import GroupSums, lift
from evaluation.score_intervals import score_difference

SEED = 20_261_127
RATE, LIKENESS, MOST_SENDS, N_LOOKS = 0.05, 0.1, 19, 20
"""Likeness: correlation of the rewards of two sends to one customer."""

EVEN, SMALL, CRITICAL = 0.5, 0.9 / 0.95, float(stats.norm.ppf(0.975))
"""Share of the treated in an even split, and of a learner at 90 % against control at 5 %; and of z at one look."""


@dataclass(frozen=True, slots=True)
class Mailing:
    """Sends of two groups.

    Attributes:
        n_sends: in all.
        share: of the treated.
        order: "once" for one send a customer; "mixed", "waves" (everybody once, then everybody again), "newcomers" (few
            customers again and again, then new ones) or "joining" (new ones, then all of them again) for several.
        drift: how much of the base rate is gained from the first send to the last.
        gain: what a treated send earns more, at any time.
        likeness: correlation of the rewards of two sends to one customer.
        first_only: whether the bounds are of first sends.
        planned: whether the bounds know how many sends there will be.
    """

    n_sends: int
    share: float
    order: str = "once"
    drift: float = 0.0
    gain: float = 0.0
    likeness: float = LIKENESS
    first_only: bool = False
    planned: bool = True


ONCE, REPEATED = 20_000, 100_000
MAILINGS = {
    "once, even": Mailing(10_000, EVEN),
    "once": Mailing(ONCE, SMALL),
    "once, unplanned": Mailing(10_000, SMALL, planned=False),
    "once, drift": Mailing(ONCE, SMALL, drift=0.6),
    "once, gain": Mailing(ONCE, SMALL, gain=0.02),
    "repeated, even": Mailing(ONCE, EVEN, "mixed"),
    "repeated": Mailing(REPEATED, SMALL, "mixed"),
    "repeated, much alike": Mailing(ONCE, EVEN, "mixed", likeness=0.3),
    "repeated, little alike": Mailing(REPEATED, SMALL, "mixed", likeness=0.005),
    "repeated, unplanned": Mailing(ONCE, EVEN, "mixed", planned=False),
    "repeated, drift": Mailing(REPEATED, SMALL, "mixed", drift=0.6),
    "repeated, gain": Mailing(REPEATED, SMALL, "mixed", drift=0.6, gain=0.02),
    "waves": Mailing(REPEATED, SMALL, "waves", drift=0.6),
    "newcomers": Mailing(ONCE, EVEN, "newcomers"),
    "first sends": Mailing(ONCE, EVEN, "mixed", first_only=True),
}
DAILY = Mailing(ONCE, EVEN, "joining")


def sent(mailing: Mailing, rng: np.random.Generator) -> tuple[GroupedSends, np.ndarray]:
    """Groups and customers, and what each send earned."""
    customers = _customers(mailing, rng)
    n_customers, even = int(customers.max()) + 1, 1.0 / mailing.likeness - 1.0
    treated = (rng.random(n_customers) < mailing.share)[customers]
    likes = rng.beta(RATE * even, (1.0 - RATE) * even, n_customers)[customers]
    rates = likes * (1.0 + mailing.drift * np.linspace(-0.5, 0.5, len(customers))) + mailing.gain * treated
    earned = (rng.random(len(customers)) < rates).astype(np.float64)
    return GroupedSends.of(treated, customers, mailing.share), earned


def _customers(mailing: Mailing, rng: np.random.Generator) -> np.ndarray:
    """Number of the customer of each send."""
    n = mailing.n_sends
    few, half = n // 2 // MOST_SENDS, n // 2
    if mailing.order == "once":
        return np.arange(n)
    if mailing.order == "waves":
        return np.arange(n) % (n // 10)
    if mailing.order == "newcomers":
        return np.concatenate([rng.integers(few, size=half), few + np.arange(n - half)])
    if mailing.order == "joining":
        return np.concatenate([np.arange(n // 10), rng.integers(n // 10, size=n - n // 10)])
    n_sends = rng.integers(1, MOST_SENDS + 1, n)
    n_sends = n_sends[: int(np.searchsorted(n_sends.cumsum(), n)) + 1]
    return rng.permutation(np.repeat(np.arange(len(n_sends)), n_sends))[:n]


def watched(mailing: Mailing, seeds: Seeds) -> dict[str, np.ndarray]:
    """What was said of some mailings.

    Returns:
        sequence, fixed, unclustered: ends of bounds and intervals, shape (n_logs, 2); NaN for bounds that were refused.
        naive: whether a z test rejected at any look, shape (n_logs,).
    """
    found: dict[str, list[Any]] = {name: [] for name in ("sequence", "fixed", "unclustered", "naive")}
    for seed in seeds:
        sends, earned = sent(mailing, np.random.default_rng(seed))
        found["sequence"].append(_ends(mailing, sends, earned))
        for name, interval in (("fixed", _fixed(sends, earned)), ("unclustered", _unclustered(sends, earned))):
            found[name].append((interval.ci_lower, interval.ci_upper))
        found["naive"].append(_naive(sends, earned))
    return {name: np.array(values) for name, values in found.items()}


def _ends(mailing: Mailing, sends: GroupedSends, earned: np.ndarray) -> tuple[float, float]:
    """Bounds at the last look; as they only tighten, they miss what any look before it missed. A refusal misses."""
    planned, only = sends.n if mailing.planned else None, mailing.first_only
    # Bets miss at the last row whatever they missed at any row, looked at or not; so fewer looks are no easier.
    looks = _looks(sends.n) if sends.repeats and not only else None
    try:
        bounds = group_sequence(sends, earned, planned=planned, looks=looks, first_only=only)
    except UnusableLog:
        return np.nan, np.nan
    return bounds.ci_lower, bounds.ci_upper


def daily(seeds: Seeds) -> dict[str, np.ndarray]:
    """Each look computed from the rows so far, as a scheduled report does, while customers begin to repeat."""
    found = []
    for seed in seeds:
        sends, earned = sent(DAILY, np.random.default_rng(seed))
        looks = []
        for n in _looks(sends.n):
            so_far = GroupedSends.of(sends.treated[:n], sends.member[:n], sends.share)
            looks.append(group_sequence(so_far, earned[:n], planned=sends.n))
        found.append((max(each.ci_lower for each in looks), min(each.ci_upper for each in looks)))
    return {"sequence": np.array(found)}


def _looks(n: int) -> np.ndarray:
    return np.arange(1, N_LOOKS + 1) * n // N_LOOKS


def _fixed(sends: GroupedSends, earned: np.ndarray) -> Interval:
    treated, control = (GroupSums.of(earned[who], sends.member[who]) for who in (sends.treated, ~sends.treated))
    return lift(treated, control).difference


def _unclustered(sends: GroupedSends, earned: np.ndarray) -> Interval:
    n_treated, treated = int(sends.treated.sum()), float(earned[sends.treated].sum())
    control, n_control = float(earned.sum()) - treated, sends.n - n_treated
    return score_difference(treated=treated, n_treated=n_treated, control=control, n_control=n_control)


def _naive(sends: GroupedSends, earned: np.ndarray) -> bool:
    """Whether the two-proportion z test rejects at any look."""
    whose, at = np.stack([sends.treated, ~sends.treated]), _looks(sends.n) - 1
    sent_by, earned_by = whose.cumsum(axis=1)[:, at], (whose * earned).cumsum(axis=1)[:, at]
    rate = earned_by.sum(axis=0) / sent_by.sum(axis=0)
    gap = earned_by[0] / sent_by[0] - earned_by[1] / sent_by[1]
    return bool((np.abs(gap) > CRITICAL * np.sqrt(rate * (1.0 - rate) * (1.0 / sent_by).sum(axis=0))).any())


@dataclass(frozen=True, slots=True)
class Unsubscribing:
    """Mails after some of which customers unsubscribe.

    Attributes:
        n_customers: of both groups.
        share: of the treated.
        rate: that a mail to a control customer is followed by it.
        ratio: treated over control.
        most_sends: a customer; each number from 1 is as frequent.
        margin: tolerated, relative to control.
    """

    n_customers: int
    share: float
    rate: float = 0.002
    ratio: float = 1.0
    most_sends: int = 1
    margin: float = 0.0


HARMLESS = {
    "even": Unsubscribing(50_000, EVEN),
    "90 to 5": Unsubscribing(100_000, SMALL),
    "rare": Unsubscribing(100_000, EVEN, rate=0.0005),
    "many mails": Unsubscribing(5_000, SMALL, most_sends=MOST_SENDS),
    "frequent, many mails": Unsubscribing(2_000, EVEN, rate=0.05, most_sends=MOST_SENDS),
    "within the margin": Unsubscribing(50_000, EVEN, ratio=1.2, margin=0.2),
}
HARMFUL = {
    "doubled, even": Unsubscribing(50_000, EVEN, ratio=2.0),
    "doubled, 90 to 5": Unsubscribing(200_000, SMALL, ratio=2.0),
    "doubled, many mails": Unsubscribing(40_000, SMALL, ratio=2.0, most_sends=MOST_SENDS),
}


def harm(mails: Unsubscribing, seeds: Seeds) -> dict[str, np.ndarray]:
    """Share of the mails after which harm was found, shape (n_logs,); NaN where it was not."""
    at = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        treated = rng.random(mails.n_customers) < mails.share
        likes = rng.beta(RATE, 1.0 - RATE, mails.n_customers) / RATE if mails.most_sends > 1 else 1.0
        rates = mails.rate * likes * np.where(treated, mails.ratio, 1.0)
        n_sends = rng.integers(1, mails.most_sends + 1, mails.n_customers)
        customers = rng.permutation(np.repeat(np.arange(mails.n_customers), n_sends))
        events = rng.random(len(customers)) < rates[customers]
        answer = harm_stop(GroupedSends.of(treated[customers], customers, mails.share), events, margin=mails.margin)
        at.append(np.nan if answer.alarm_row is None else answer.alarm_row / len(customers))
    return {"at": np.array(at)}


def groups(n: int, pool: Pool) -> dict[str, Any]:
    """Every mailing, and every kind of unsubscribing.

    Args:
        n: logs of each.
        pool: simulates.
    """
    unsubscribing = HARMLESS | HARMFUL
    cells = [Cell(name, partial(watched, mailing), n) for name, mailing in MAILINGS.items()]
    cells += [Cell(f"harm, {name}", partial(harm, mails), n) for name, mails in unsubscribing.items()]
    found = pool.simulated([*cells, Cell("daily", daily, n)], SEED)
    return {
        "seed": SEED,
        "looks": N_LOOKS,
        "mailings": {name: _summary(found[name], MAILINGS[name]) for name in MAILINGS if name in found},
        "daily": covered(_held(found["daily"]["sequence"], 0.0)) if "daily" in found else {},
        "harm": {name: _alarms(found[f"harm, {name}"]) for name in unsubscribing if f"harm, {name}" in found},
    }


def _summary(figures: dict[str, np.ndarray], mailing: Mailing) -> dict[str, Any]:
    sequence, fixed = figures["sequence"], figures["fixed"]
    return {
        "n": mailing.n_sends,
        "gain": mailing.gain,
        "sequence": covered(_held(sequence, mailing.gain)),
        "width_to_fixed": round(float(np.nanmedian(np.diff(sequence) / np.diff(fixed))), 3),
        "fixed_date": covered(_held(fixed, mailing.gain)),
        "unclustered": covered(_held(figures["unclustered"], mailing.gain)),
        "naive_rejects": None if mailing.gain else round(float(figures["naive"].mean()), 4),
    }


def _held(ends: np.ndarray, truth: float) -> np.ndarray:
    held: np.ndarray = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return held


def _alarms(figures: dict[str, np.ndarray]) -> dict[str, Any]:
    at = figures["at"][~np.isnan(figures["at"])]
    share = covered(~np.isnan(figures["at"]))
    median = round(float(np.median(at)), 4) if len(at) else None
    return {"alarms": share["coverage"], "limits": share["limits"], "n": share["n"], "median_at": median}


def gates_of_groups(found: dict[str, Any]) -> list[Gate]:
    """Honest at every look, the fixed date honest by customer, harm found and not invented, and the naive seen to fail."""
    mailings, harms = found["mailings"], found["harm"]
    gates = [_misses("groups, looked at daily: sequence misses", found["daily"])]
    for name in MAILINGS:
        cell = mailings.get(name, {})
        gates.append(_misses(f"groups, {name}: sequence misses", cell.get("sequence", {})))
        gates.append(_misses(f"groups, {name}: fixed date misses", cell.get("fixed_date", {})))
    gates += [
        Gate(f"harm, {name}: false alarms", harms.get(name, {}).get("alarms"), largest=0.071) for name in HARMLESS
    ]
    gates += [Gate(f"harm, {name}: alarms", harms.get(name, {}).get("alarms"), least=0.8) for name in HARMFUL]
    once, alike = mailings.get("once, even", {}), mailings.get("repeated, much alike", {})
    return [
        *gates,
        Gate("groups, once, even: width to the fixed date's", once.get("width_to_fixed"), largest=1.40),
        Gate("groups, naive 20 looks must fail", once.get("naive_rejects"), least=0.20),
        _misses("groups, sends as if independent must fail", alike.get("unclustered", {}), least=0.20),
    ]


def _misses(name: str, cell: dict[str, Any], least: float | None = None) -> Gate:
    coverage = cell.get("coverage")
    missed = None if coverage is None else round(1.0 - coverage, 4)
    return Gate(name, missed, least=least, largest=0.071 if least is None else None)
