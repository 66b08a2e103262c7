"""Whether what is said of a simulated log agrees with the world it came from: intervals of policies' values, and of groups.

A log is a whole campaign, replayed: the engine decides and learns as its outcomes come in, machines and late events and all.
Intervals are asked of its rows as an analyst would; the truth is exact, from the world, over the same customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from gates import Gate
from simulations import Cell, Pool, Seeds, covered

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from bandit.errors import UnusableLog
from evaluation.evaluate import conclude, tally
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends
from evaluation.log_batch import LogBatch
from evaluation.methods import Known, methods_of
from evaluation.target import FixedTarget, Target, UniformTarget
from evaluation.weighing import TargetWeigher
from service.replayed_log import batch_of
from service.replaying import Contender, replayed
from simulator.replayed import DAY, ReplayedStage
from simulator.scenarios import SCENARIOS
from simulator.truth import value_of

SEED = 20_261_128
N_SENDS, CONTROL = 6000, 0.2
VALUED = ("steady", "drifting", "late-rewards")
"""Worlds in which policies are valued."""
GROUPED = ("steady", "no-effect", "season", "shock")
"""Worlds in which the learner is compared with control, at twenty looks."""
METHODS = ("snips", "cressie-read", "ips")
N_LOOKS = 20
FIELDS = {"plan": ("free", "basic", "pro"), "region": ("north", "south", "east", "west")}


def campaign_of(dimensions: Mapping[str, int]) -> Campaign:
    """A campaign that only clicks, with two fields of context, a random group, and a large control group."""
    arms = {name: [f"{name}-{k}" for k in range(1, n + 1)] for name, n in dimensions.items()}
    usual = ", ".join(f'{name} = "{ids[0]}"' for name, ids in arms.items())
    lines = [
        '[campaign]\nid = "known"\n[reward]\nwindow = "72h"\nevents = { click = 1.0 }',
        f"[groups]\nrandom = 0.1\ncontrol = {{ share = {CONTROL}, choice = {{ {usual} }} }}",
        '[policy]\nname = "squarecb"\nfloor = 0.1',
        *(f'[context.{name}]\nkind = "categorical"\nvalues = {list(values)!r}' for name, values in FIELDS.items()),
        *(f'[[dimension]]\nname = "{name}"\n' + _arms(ids) for name, ids in arms.items()),
    ]
    return read_campaign("\n".join(lines).replace("'", '"'))


def _arms(ids: list[str]) -> str:
    return "\n".join(f'[[dimension.arm]]\nid = "{arm}"' for arm in ids)


def logged(scenario: str, n_sends: int, seed: int) -> ReplayedStage:
    """One campaign of one dimension, replayed in the world of a seed; a policy that goes on exploring."""
    campaign = campaign_of({"subject": 6})
    policy = replace(campaign.policy, options={"exponent": 0.5})
    # A handful of sends, to see whether it runs, need no trainer every day.
    step = DAY if n_sends >= 1000 else 14 * DAY
    contender = Contender("known", replace(campaign, policy=policy), step)
    return replayed(contender, SCENARIOS[scenario], n_sends, seed).stages[0]


def values(scenario: str, n_sends: int, seeds: Seeds) -> dict[str, np.ndarray]:
    """For each target and method, whether the interval held the truth; shape (n_logs,) each."""
    found: dict[str, list[Any]] = {}
    for own in seeds:
        seed = int(own.generate_state(1)[0])
        stage = logged(scenario, n_sends, seed)
        drawn = stage.groups != "control"
        batch, world = batch_of(stage).only(drawn), SCENARIOS[scenario].stages(stage.campaign, seed, n_sends)[0].world
        came = [arrival for arrival, kept in zip(stage.arrivals, drawn, strict=True) if kept]
        even = np.full(6, 1 / 6)
        for name, target, pmf in (
            ("uniform", UniformTarget(), even),
            ("fixed", FixedTarget((2,), "fixed"), np.eye(6)[2]),
        ):
            truth = value_of(world, came, lambda _, pmf=pmf: pmf).value
            for method, held, width in _answers(batch, target):
                found.setdefault(f"{name}, {method}", []).append(held(truth))
                found.setdefault(f"{name}, {method}, width", []).append(width / truth)
    return {name: np.array(column) for name, column in found.items()}


def _answers(batch: LogBatch, target: Target) -> list[tuple[str, Any, float]]:
    """Each method's name, whether its interval holds a value, and how wide it is."""
    methods, weigher = methods_of(METHODS), TargetWeigher(target)
    answer = conclude(tally([batch], methods, weigher), methods, Known(is_binary=True, rewards=(0.0, 1.0)), "target")
    found = answer.answer.estimates
    return [
        (name, lambda truth, one=one: one.ci_lower <= truth <= one.ci_upper, one.ci_upper - one.ci_lower)
        for name, one in found.items()
    ]


def groups(scenario: str, n_sends: int, seeds: Seeds) -> dict[str, np.ndarray]:
    """Whether bounds of the learner's lift held the truth at all of twenty looks, and whether they left out 0."""
    found: dict[str, list[bool]] = {"held": [], "seen": []}
    for own in seeds:
        stage = logged(scenario, n_sends, int(own.generate_state(1)[0]))
        kept = np.flatnonzero(stage.groups != "random")
        treated = stage.groups[kept] == "learner"
        _, customers = np.unique([stage.arrivals[i].customer_id for i in kept], return_inverse=True)
        sends = GroupedSends.of(treated, customers, share=(0.9 - CONTROL) / 0.9)
        looks = np.linspace(len(kept) / N_LOOKS, len(kept), N_LOOKS).astype(int)
        try:
            bounds = group_sequence(sends, stage.rewards[kept], planned=len(kept), looks=looks)
        except UnusableLog:
            found["held"].append(False)
            found["seen"].append(True)
            continue
        lifts = _lifts(stage.truth.values[kept], treated, looks)
        found["held"].append(bool(((bounds.lower <= lifts) & (lifts <= bounds.upper)).all()))
        found["seen"].append(bool(bounds.ci_lower > 0 or bounds.ci_upper < 0))
    return {name: np.array(column) for name, column in found.items()}


def _lifts(values: np.ndarray, treated: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """What a treated send was truly worth beyond a control send, of the sends up to each look; shape (n_looks,)."""
    means = [np.cumsum(values * part) / np.maximum(np.cumsum(part), 1) for part in (treated, ~treated)]
    found: np.ndarray = (means[0] - means[1])[looks - 1]
    return found


def truth(pool: Pool, n_logs: int, n_sends: int = N_SENDS) -> dict[str, Any]:
    """Coverage of both kinds of answers, by world."""
    cells = [
        *(Cell(f"values, {name}", partial(values, name, n_sends), n_logs, at_once=5) for name in VALUED),
        *(Cell(f"groups, {name}", partial(groups, name, n_sends), n_logs, at_once=5) for name in GROUPED),
    ]
    figures = pool.simulated(cells, SEED)
    return {"n_sends": n_sends, "seed": SEED, "cells": {name: _summary(found) for name, found in figures.items()}}


def _summary(found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    shares = {name: covered(column) for name, column in found.items() if not name.endswith("width")}
    widths = {name: round(float(np.median(column)), 4) for name, column in found.items() if name.endswith("width")}
    return {**shares, **widths}


def gates_of_truth(found: dict[str, Any]) -> list[Gate]:
    """Coverage as it is promised: .92 to .97 of the default interval, never under .92 for the wide one, .929 of all looks."""
    gates: list[Gate] = []
    for name, cell in found["cells"].items():
        if name.startswith("groups"):
            gates.append(Gate(f"{name}: bounds held at all looks", cell["held"]["coverage"], least=0.929))
            continue
        for target in ("uniform", "fixed"):
            gates.append(Gate(f"{name}: {target}, snips", cell[f"{target}, snips"]["coverage"], least=0.92))
            gates.append(
                Gate(f"{name}: {target}, cressie-read", cell[f"{target}, cressie-read"]["coverage"], least=0.92)
            )
    return gates
