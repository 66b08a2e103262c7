"""Audits: how often each alarms on honest logs, and which one finds which fault. All sizes and seeds stand here."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from gates import Gate
from simulations import Cell, Pool, Seeds

from evaluation.audit import CERTAIN_P
from evaluation.drift import calibration_drift
from evaluation.fairness import demographic_parity, equal_opportunity
from evaluation.intervals import wilson
from evaluation.population_stability import population_stability
from evaluation.propensity_honesty import calibration_test, inverse_propensity_test
from evaluation.sample_ratio import arm_ratio_test, fixed_ratio_test, group_ratio_e_value

SEED = 20_261_125
LEVEL = 0.05
N_ROWS, N_ARMS, FLOOR, SPREAD = 25_000, 5, 0.1, 1.5
"""Of a log of draws: pmfs are softmax of scores with this standard deviation, mixed with this floor."""

FAULTS = ("honest", "floor", "stale", "temperature", "unlogged")
"""Floor: logged .1, sampled with .06. Stale: scores have moved by half their spread. Temperature: 5 % too warm. Unlogged:
5 % of one arm's sends."""

SHARES, N_CUSTOMERS, N_LOOKS = (0.9, 0.05, 0.05), 10_000, 20
RATE, CHANGE_AT, AFTER = 0.05, 10_000, 10_000
SHORT_RUN, RUNS_WATCHED = 2_000, 10
RUN_LENGTH = 100_000
CHANGES = (1.0, 0.5, 1.5)
MINORITY, N_PEOPLE, SENDS, RESPONSE = 0.04, 5_000, 3, 0.2
KINDS = ("equal", "leaning", "ill served")
N_PART = 1_000
ODD_WEEKS = range(201325, 201402)


def draws(fault: str, seeds: Seeds) -> dict[str, np.ndarray]:
    """p-values of the three tests of draws on each log."""
    found: dict[str, list[float]] = {"arms": [], "1/p": [], "calibration": []}
    for seed in seeds:
        logged, picks = _drawn(fault, np.random.default_rng(seed))
        at = np.arange(len(picks))
        found["arms"].append(_p(arm_ratio_test(picks, logged).p_value))
        found["1/p"].append(_p(inverse_propensity_test(logged[at, picks], logged).p_value))
        found["calibration"].append(_p(calibration_test(picks, logged).p_value))
    return {name: np.array(values) for name, values in found.items()}


def _drawn(fault: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pmfs as they were logged, and the arms."""
    scores = rng.normal(0.0, SPREAD, (N_ROWS, N_ARMS))
    logged = _softmax(scores, FLOOR)
    sampled = {
        "floor": lambda: _softmax(scores, 0.06),
        "stale": lambda: _softmax(scores + rng.normal(0.0, 0.5 * SPREAD, scores.shape), FLOOR),
        "temperature": lambda: _softmax(scores / 1.05, FLOOR),
    }.get(fault, lambda: logged)()
    picks = _picked(sampled, rng)
    kept = (picks != 0) | (rng.random(N_ROWS) >= 0.05) if fault == "unlogged" else np.ones(N_ROWS, dtype=bool)
    return logged[kept], picks[kept]


def _softmax(scores: np.ndarray, floor: float) -> np.ndarray:
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (1.0 - floor) * weights / weights.sum(axis=1, keepdims=True) + floor / scores.shape[1]


def _picked(pmfs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (pmfs.cumsum(axis=1) < rng.random((len(pmfs), 1))).sum(axis=1).clip(max=pmfs.shape[1] - 1)


def _p(p_value: float | None) -> float:
    return np.nan if p_value is None else p_value


def _family(p_values: list[float | None]) -> float:
    """The least of Holm's adjusted p-values; NaN where there is none."""
    there = [p_value for p_value in p_values if p_value is not None]
    return min(1.0, len(there) * min(there)) if there else np.nan


def groups(seeds: Seeds) -> dict[str, np.ndarray]:
    """Largest e-value of twenty looks at customers who arrive as promised."""
    largest = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        counts = rng.multinomial(N_CUSTOMERS // N_LOOKS, SHARES, size=N_LOOKS).cumsum(axis=0)
        largest.append(max(group_ratio_e_value(each, SHARES).e_value for each in counts))
    return {"e_value": np.array(largest)}


def drift(change: float, seeds: Seeds) -> dict[str, np.ndarray]:
    """Rates that every row expects rightly, until they are multiplied by `change`; NaN where no alarm was raised."""
    delay, largest = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        expected = np.clip(rng.lognormal(np.log(RATE), 0.5, CHANGE_AT + AFTER), 0.0, 0.5)
        true = expected * np.where(np.arange(len(expected)) < CHANGE_AT, 1.0, change)
        answer = calibration_drift(rng.random(len(true)) < true, expected, (0.0, 1.0), RUN_LENGTH)
        delay.append(np.nan if answer.alarm_row is None else answer.alarm_row - CHANGE_AT)
        largest.append(answer.statistic)
    return {"delay": np.array(delay), "largest": np.array(largest)}


def runs(seeds: Seeds) -> dict[str, np.ndarray]:
    """Rows until a false alarm, at a short run length; those that last ten times as long are watched no longer."""
    lengths = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        expected = np.clip(rng.lognormal(np.log(RATE), 0.5, RUNS_WATCHED * SHORT_RUN), 0.0, 0.5)
        answer = calibration_drift(rng.random(len(expected)) < expected, expected, (0.0, 1.0), SHORT_RUN)
        lengths.append(len(expected) if answer.alarm_row is None else answer.alarm_row + 1)
    return {"rows": np.array(lengths, dtype=np.float64)}


def population(seeds: Seeds) -> dict[str, np.ndarray]:
    """p-values of fields whose two parts are from one population, and of one in which the 4 % have become 8 %."""
    found: dict[str, list[float]] = {name: [] for name in ("minority", "six values", "number", "family", "shifted")}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        parts = [
            (rng.random(N_PART) < MINORITY, rng.integers(6, size=N_PART), rng.gamma(2.0, 20.0, N_PART)) for _ in "ab"
        ]
        values = []
        for name, earlier, later in zip(("minority", "six values", "number"), *parts, strict=True):
            answer = population_stability(earlier.tolist(), later.tolist(), is_numeric=name == "number")
            values.append(answer.p_value)
            found[name].append(_p(answer.p_value))
        found["family"].append(_family(values))
        shifted = rng.random(N_PART) < 2 * MINORITY
        found["shifted"].append(_p(population_stability(parts[0][0].tolist(), shifted.tolist()).p_value))
    return {name: np.array(values) for name, values in found.items()}


def fairness(kind: str, seeds: Seeds) -> dict[str, np.ndarray]:
    """p-values over sends to customers of whom 4 % are a minority.

    They are as the others ("equal"), or their scores lean to the first arm by .5 ("leaning"), or they respond to other arms
    than the learner thinks ("ill served").
    Beside them the four-fifths rule: an alarm where the smaller share of draws, or of responses, is below .8 of the larger.
    """
    found: dict[str, list[float]] = {
        name: [] for name in ("parity", "opportunity", "fixed parity", "fixed opportunity")
    }
    for seed in seeds:
        rng = np.random.default_rng(seed)
        sends = rng.integers(1, 2 * SENDS, size=N_PEOPLE)
        customers = np.repeat(np.arange(N_PEOPLE), sends)
        is_minority = (rng.random(N_PEOPLE) < MINORITY)[customers]
        own = rng.normal(0.0, SPREAD, (N_PEOPLE, N_ARMS))[customers]
        own[:, 0] += 0.5 * is_minority * (kind == "leaning")
        pmfs = _softmax(own, FLOOR)
        picks = _picked(pmfs, rng)
        at = np.arange(len(picks))
        # Who scores high on an arm responds to it more often, so that the learner is of some use.
        liked = np.where((is_minority & (kind == "ill served"))[:, None], own[:, ::-1], own)[at, picks]
        rewards = rng.random(len(picks)) < RESPONSE * np.exp(0.3 * np.minimum(liked, 3.0))
        values = np.where(is_minority, "few", "many").tolist()
        tests = demographic_parity(pmfs, customers, values)
        found["parity"].append(_family([test.p_value for test in tests]))
        found["opportunity"].append(_p(equal_opportunity(rewards, pmfs[at, picks], customers, values).p_value))
        for name, columns in (("parity", np.eye(N_ARMS)[picks]), ("opportunity", rewards[:, None])):
            shares = np.stack([columns[is_minority].mean(axis=0), columns[~is_minority].mean(axis=0)])
            found[f"fixed {name}"].append(float((shares.min(axis=0) < 0.8 * shares.max(axis=0)).any()))
    return {name: np.array(values) for name, values in found.items()}


def audits(n: int, pool: Pool) -> dict[str, Any]:
    """Every audit on honest logs and with each fault.

    Args:
        n: logs a cell.
        pool: simulates.
    """
    logs = {f"draws {fault}": partial(draws, fault) for fault in FAULTS}
    logs |= {"groups": groups, "runs": runs, "population": population}
    logs |= {f"drift {change}": partial(drift, change) for change in CHANGES}
    logs |= {f"fairness {kind}": partial(fairness, kind) for kind in KINDS}
    made = pool.simulated([Cell(f"audits: {name}", simulate, n) for name, simulate in logs.items()], SEED)
    found = {name: made[f"audits: {name}"] for name in logs}
    figures = {
        "draws": {fault: _rates(found[f"draws {fault}"]) for fault in FAULTS},
        "certain": _rates(found["draws honest"], CERTAIN_P),
        "groups": _rate(found["groups"]["e_value"] > 1 / LEVEL),
        "drift": {str(change): _detected(found[f"drift {change}"], change) for change in CHANGES},
        "run_length": {
            "wanted": SHORT_RUN,
            "watched": RUNS_WATCHED * SHORT_RUN,
            "mean": float(found["runs"]["rows"].mean()),
        },
        "population": _rates(found["population"])
        | {"minority above .99": _rate(found["population"]["minority"] < 0.01)},
        "fairness": {kind: _fair(found[f"fairness {kind}"]) for kind in KINDS},
    }
    sizes = {
        "rows": N_ROWS, "arms": N_ARMS, "customers": N_PEOPLE, "minority": MINORITY, "sends a customer": SENDS, "part": N_PART
    }  # fmt: skip
    return {"seed": SEED, "level": LEVEL, "sizes": sizes, **figures}


def _rates(p_values: dict[str, np.ndarray], level: float = LEVEL) -> dict[str, Any]:
    return {name: _rate(values <= level, int(np.isnan(values).sum())) for name, values in p_values.items()}


def _rate(alarms: np.ndarray, n_silent: int = 0) -> dict[str, Any]:
    share = wilson(int(alarms.sum()), len(alarms))
    limits = [round(share.ci_lower, 4), round(share.ci_upper, 4)]
    return {"alarms": round(float(alarms.mean()), 4), "limits": limits, "n": len(alarms), "cannot_say": n_silent}


def _fair(found: dict[str, np.ndarray]) -> dict[str, Any]:
    tests = _rates({name: found[name] for name in ("parity", "opportunity")})
    return tests | {name: _rate(found[name] > 0.0) for name in ("fixed parity", "fixed opportunity")}


def _detected(found: dict[str, np.ndarray], change: float) -> dict[str, Any]:
    """Alarms before the change are false. On the log where nothing changed, the audit's own run length is held to the level."""
    delay = found["delay"]
    if change == 1.0:
        return {"level": _rate(found["largest"] >= (CHANGE_AT + AFTER) / LEVEL), "run length": _rate(~np.isnan(delay))}
    after = delay[delay >= 0]
    return {
        "early": _rate(delay < 0),
        "detected": _rate(delay >= 0),
        "median_delay": float(np.median(after)) if len(after) else None,
    }


def gates_of_audits(found: dict[str, Any]) -> list[Gate]:
    """False alarms of at most 71 in 1,000, and faults that are found."""
    honest = found["draws"]["honest"]
    gates = [Gate(f"false alarms: {name}", rate["alarms"], largest=0.071) for name, rate in honest.items()]
    fields = ("minority", "six values", "number", "family")
    gates += [Gate(f"false alarms: population, {n}", found["population"][n]["alarms"], largest=0.071) for n in fields]
    fair = found["fairness"]["equal"]
    gates += [Gate(f"false alarms: {name}", fair[name]["alarms"], largest=0.071) for name in ("parity", "opportunity")]
    gates += [
        Gate(f"power of 1/p: {fault}", found["draws"][fault]["1/p"]["alarms"], least=0.9)
        for fault in ("floor", "stale", "temperature")
    ]
    return [
        *gates,
        Gate("power of arms: unlogged", found["draws"]["unlogged"]["arms"]["alarms"], least=0.5),
        Gate("false alarms: groups, 20 looks", found["groups"]["alarms"], largest=0.05),
        Gate("false alarms: drift", found["drift"]["1.0"]["level"]["alarms"], largest=LEVEL),
        Gate("drift: rows between false alarms", found["run_length"]["mean"], least=float(SHORT_RUN)),
        Gate("power of drift: rate halved", found["drift"]["0.5"]["detected"]["alarms"], least=0.9),
        Gate("four-fifths rule on shares must fail", fair["fixed parity"]["alarms"], least=0.1),
    ]


def upworthy(path: Path) -> dict[str, Any]:
    """Equal shares of impressions among the packages of each test, in the weeks whose randomisation broke and the others.

    Args:
        path: a CSV with test_id, test_week and impressions, one row a package.
    """
    counts: dict[tuple[str, int], list[int]] = defaultdict(list)
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            counts[row["test_id"], int(row["test_week"])].append(int(row["impressions"]))
    alarms: dict[str, list[bool]] = {"odd weeks": [], "others": []}
    silent = 0
    for (_, week), packages in counts.items():
        if len(packages) > 1:
            p_value = fixed_ratio_test(packages, [1 / len(packages)] * len(packages)).p_value
            silent += p_value is None
            alarms["odd weeks" if week in ODD_WEEKS else "others"].append(p_value is not None and p_value < 0.01)
    return {name: _rate(np.array(found)) for name, found in alarms.items()} | {"cannot_say": silent}


def gates_of_upworthy(found: dict[str, Any]) -> list[Gate]:
    """Alarms where they belong."""
    return [
        Gate("upworthy: alarms in odd weeks", found["odd weeks"]["alarms"], least=0.65),
        Gate("upworthy: alarms in other weeks", found["others"]["alarms"], largest=0.04),
    ]
