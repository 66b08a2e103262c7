"""Whether differences of arms hold on a learner's own traffic: four arms, 10,000 sends, rewards of about one send in 12.

Learners draw by this engine's own policies, from what they had learned by then. What nobody should use (the two-proportion test
and chi-squared on such traffic, and a test that is looked at 20 times) is here to be seen to fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from adaptive_logs import FLOOR, LEARNERS, N_ARMS, N_SENDS, Logs, Scenario, known, learned
from gates import Gate
from scipy import stats
from simulations import Cell, Pool, covered

from bandit.errors import UnusableLog
from evaluation.arm_contrasts import arm_contrast
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.contrast_scores import ContrastScores, Rest, Weighting, pair_scores
from evaluation.contrast_sequence import contrast_sequence

LOG_SEED = 20_261_125
N_LOOKS = 20
CRITICAL = float(stats.norm.ppf(0.975))
SEGMENTS = (0.03, 0.08, 0.15)
SCENARIOS = {
    "null": Scenario(),
    "drift": Scenario((0.12,), below=0.6),
    "segments": Scenario(SEGMENTS),
    "effect": Scenario(gain=0.03),
    "effect, drift": Scenario((0.12,), below=0.6, gain=0.03),
    "effect, segments": Scenario(SEGMENTS, gain=0.03),
    "uneven effect": Scenario(SEGMENTS, gain=0.4, relative=True),
}
NULLS = ("null", "drift", "segments")
QUESTIONS = tuple(f"{against}, {weighting}" for against in ("pair", "rest") for weighting in Weighting)
NAIVE = ("two proportions", "chi-squared", "two proportions, 20 looks")


def answers(learner: str, scenario: Scenario, seeds: Sequence[np.random.SeedSequence]) -> dict[str, np.ndarray]:
    """What was said about the first arm in some logs; second axis QUESTIONS, or for the naive tests NAIVE.

    Returns:
        truth (n_logs, 4), sequence and interval ends (n_logs, 4, 2), thin (n_logs, 4), and whether each naive test rejected
        (n_logs, 3).
    """
    logs = learned(learner, scenario, seeds)
    found: dict[str, list[Any]] = {name: [] for name in ("truth", "sequence", "interval", "thin", "naive")}
    for at in range(len(seeds)):
        for name, values in _said(logs, at).items():
            found[name].append(values)
        found["naive"].append(_naive(logs.drawn[at], logs.rewards[at]))
    return {name: np.array(values) for name, values in found.items()}


def _said(logs: Logs, at: int) -> dict[str, list[Any]]:
    said: dict[str, list[Any]] = {name: [] for name in ("truth", "sequence", "interval", "thin")}
    for scores, weighting in _asked(logs, at):
        weights = scores.weights(weighting)
        contrast = arm_contrast(scores, weighting)
        said["truth"].append(float(weights @ logs.gains[at] / weights.sum()))
        said["interval"].append((contrast.difference.ci_lower, contrast.difference.ci_upper))
        said["thin"].append(contrast.is_thin)
        said["sequence"].append(_ends(scores, weighting))
    return said


def _asked(logs: Logs, at: int) -> Iterator[tuple[ContrastScores, Weighting]]:
    """In the order of QUESTIONS."""
    scores = arm_scores(ArmRows.of(logs.pmfs[at], logs.drawn[at], logs.rewards[at], known=known()))
    for contrast in (pair_scores(scores, 0, 1), Rest.of(scores).against(0)):
        for weighting in Weighting:
            yield contrast, weighting


def _ends(scores: ContrastScores, weighting: Weighting) -> tuple[float, float]:
    """Bounds at the last look; as they only tighten, they miss what any look before it missed. A refusal misses."""
    try:
        sequence = contrast_sequence(scores, weighting, planned=N_SENDS)
    except UnusableLog:
        return np.nan, np.nan
    return sequence.ci_lower, sequence.ci_upper


def _naive(drawn: np.ndarray, rewards: np.ndarray) -> tuple[bool, bool, bool]:
    """Whether each of NAIVE rejects that arms (the first two, all, the first two) earn the same."""
    arms = np.eye(N_ARMS)[drawn]
    ends = np.arange(1, N_LOOKS + 1) * len(drawn) // N_LOOKS - 1
    sent, earned = arms.cumsum(axis=0)[ends], (arms * rewards[:, np.newaxis]).cumsum(axis=0)[ends]
    with np.errstate(invalid="ignore", divide="ignore"):  # of arms that were not yet drawn nothing is said
        rate = earned[:, :2].sum(axis=1) / sent[:, :2].sum(axis=1)
        gap = earned[:, 0] / sent[:, 0] - earned[:, 1] / sent[:, 1]
        z = np.nan_to_num(gap / np.sqrt(rate * (1 - rate) * (1 / sent[:, 0] + 1 / sent[:, 1])))
    table = np.stack([earned[-1], sent[-1] - earned[-1]])
    p_value = stats.chi2_contingency(table[:, sent[-1] > 0], correction=False).pvalue
    return bool(abs(z[-1]) > CRITICAL), bool(p_value < 0.05), bool(np.abs(z).max() > CRITICAL)


def arms(n: int, pool: Pool) -> dict[str, Any]:
    """Every learner in every scenario.

    Args:
        n: logs of each.
        pool: simulates.
    """
    kinds = [(f"{scenario} / {learner}", scenario, learner) for scenario in SCENARIOS for learner in LEARNERS]
    cells = [Cell(name, partial(answers, learner, SCENARIOS[scenario]), n) for name, scenario, learner in kinds]
    found = pool.simulated(cells, LOG_SEED)
    return {
        "seed": LOG_SEED,
        "n_arms": N_ARMS,
        "n_sends": N_SENDS,
        "floor": FLOOR,
        "cells": {name: _summary(found[name], scenario) for name, scenario, _ in kinds if name in found},
    }


def _summary(figures: dict[str, np.ndarray], scenario: str) -> dict[str, Any]:
    summary: dict[str, Any] = {"logs": len(figures["truth"])}
    for at, question in enumerate(QUESTIONS):
        truth, even, thin = figures["truth"][:, at], _even_width(scenario, question), figures["thin"][:, at]
        sequence, interval = figures["sequence"][:, at], figures["interval"][:, at]
        held = _held(interval, truth)
        summary[question] = {
            "truth": round(float(truth.mean()), 5),
            "interval": covered(held),
            "interval_misses": round(float((~held).mean()), 4),
            "interval_misses_unwarned": round(float((~held & ~thin).mean()), 4),
            "interval_width": round(float((interval[:, 1] - interval[:, 0]).mean()) / even, 3),
            "thin": round(float(thin.mean()), 4),
            "sequence": covered(_held(sequence, truth)),
            "sequence_misses": round(float((~_held(sequence, truth)).mean()), 4),
            "sequence_width": round(float(np.nanmean(sequence[:, 1] - sequence[:, 0])) / even, 3),
        }
    shares = figures["naive"].mean(axis=0)
    return summary | {"naive": {name: round(float(share), 4) for name, share in zip(NAIVE, shares, strict=True)}}


def _even_width(scenario: str, question: str) -> float:
    """Of the interval that as many sends would have given, had they been split evenly, and looked at once."""
    world = SCENARIOS[scenario]
    kinds = np.tile(np.arange(len(world.base)), (N_SENDS // len(world.base), 1)).reshape(1, -1)
    base = world.rates(kinds)
    first, other = (float(rates.mean()) for rates in (base + world.gains(base), base))
    n_others = 1 if question.startswith("pair") else N_ARMS - 1
    variance = N_ARMS / N_SENDS * (first * (1 - first) + other * (1 - other) / n_others)
    return 2 * CRITICAL * float(np.sqrt(variance))


def _held(ends: np.ndarray, truth: np.ndarray) -> np.ndarray:
    held: np.ndarray = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return held


def gates_of_arms(found: dict[str, Any]) -> list[Gate]:
    """Honest at one look and at every look, narrow enough, and the naive tests seen to fail."""
    cells, gates = found["cells"], []
    for name, cell in cells.items():
        for question in QUESTIONS:
            told = cell[question]
            gates.append(Gate(f"arms, {name}, {question}: sequence misses", told["sequence_misses"], largest=0.071))
            if name.split(" / ")[0] in NULLS:
                for figure, said in (("interval_misses", "rejects"), ("interval_misses_unwarned", "rejects, unwarned")):
                    gates.append(Gate(f"arms, {name}, {question}: one look {said}", told[figure], largest=0.071))
    for learner, largest in (("uniform", 1.40), ("thompson", 2.0)):
        for question in (f"pair, {Weighting.OVERLAP}", f"rest, {Weighting.OVERLAP}"):
            width = cells.get(f"null / {learner}", {}).get(question, {}).get("sequence_width")
            gates.append(Gate(f"arms, {learner}, {question}: width to an even split's", width, largest=largest))
    return gates + [
        Gate(f"arms, {name}: naive {test} must fail", cells.get(name, {}).get("naive", {}).get(test), least=least)
        for name, test, least in (
            ("drift / thompson", "two proportions", 0.30),
            ("drift / thompson", "chi-squared", 0.30),
            ("segments / thompson", "two proportions", 0.50),
            ("segments / thompson", "chi-squared", 0.50),
            ("null / uniform", "two proportions, 20 looks", 0.20),
        )
    ]
