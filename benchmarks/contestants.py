"""Who takes part in the comparison of learners, with which settings, and where."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from knowing import Knowing
from peers import (
    BayesianBandits,
    BetaThompson,
    ContextualBandits,
    Gittins,
    MabWiser,
    MakeModel,
    PeerDecider,
    Ridge,
    River,
)
from problems import Problem, SimpleWorld, campaign_toml

from bandit import Engine, Group, learner_for, read_campaign
from policies import group_policies
from simulator.engine_decider import Begin, EngineDecider, carried, forgotten, relearned
from simulator.rehearsal import Decider, Phase

PRODUCT = "manyarm"
SECRET = b"learning"  # nobody's data is at stake, and runs must be repeatable


@dataclass(frozen=True, slots=True)
class Run:
    """One campaign to be played: everything a contestant needs to know of it."""

    problem: Problem
    phases: Sequence[Phase]
    batch: int
    seed: int


@dataclass(frozen=True, slots=True)
class Contestant:
    """Somebody who decides and learns.

    Args:
        name: as it stands in the results.
        settings: what a result depends on; part of the key it is kept under.
        make: the decider of one run.
        refuses: why a run is left out, or "".
    """

    name: str
    settings: Mapping[str, object]
    make: Callable[[Run], Decider] = field(compare=False)
    refuses: Callable[[Problem, int], str] = field(compare=False, default=lambda _problem, _batch: "")

    @property
    def key(self) -> str:
        """A short hash of the settings."""
        text = json.dumps({"name": self.name, **self.settings}, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def product(name: str = PRODUCT, tables: str = "") -> Contestant:
    """The engine, with `[policy]` and `[learner]` tables as TOML, or with none: its defaults."""
    return Contestant(name, {"tables": tables}, partial(_engine_decider, tables))


def beginnings() -> tuple[Contestant, ...]:
    """The engine where a campaign file changes: it goes on from the former snapshot, or begins cold.

    The product itself learns the former log again.
    """

    def new_arms_only(problem: Problem, batch: int) -> str:
        del batch
        return "" if problem.name in {"new-arms", "drift-told"} else "the campaign does not change"

    return tuple(
        Contestant(f"manyarm {name}", {"begin": name}, partial(_engine_decider, "", **how), new_arms_only)
        for name, how in (
            ("carried over", {"begin": carried}),
            ("cold", {"begin": forgotten}),
            ("carried over, nothing declared", {"begin": carried, "declares": False}),
        )
    )


def wearers() -> tuple[Contestant, ...]:
    """Where arms wear out: the engine without knowing of it, a uniform choice, and somebody who knows everything."""

    def wear_out_only(problem: Problem, batch: int) -> str:
        del batch
        return "" if problem.name in {"wear-out", "wear-none"} else "nothing is asked for that could be left out"

    uniform = '[policy]\nname = "uniform"\n'
    return (
        Contestant("manyarm unaware", {"wears": False}, partial(_engine_decider, "", wears=False), wear_out_only),
        Contestant("uniform", {"tables": uniform}, partial(_engine_decider, uniform, wears=False), wear_out_only),
        Contestant("knows everything", {"ahead": 1}, lambda _run: Knowing(), wear_out_only),
    )


def _engine_decider(
    tables: str, run: Run, begin: Begin = relearned, *, wears: bool = True, declares: bool = True
) -> EngineDecider:
    engines = []
    for phase in run.phases:
        world: SimpleWorld = phase.world  # type: ignore[assignment]
        campaign = read_campaign(campaign_toml(world, tables, wears=wears, declares=declares))
        # The salt decides the draws, so it is the seed's; customers and their luck are the world's.
        engines.append(Engine(campaign, group_policies(campaign), f"salt-{run.seed}".encode(), SECRET))
    needs = engines[0].policies[Group.LEARNER].needs
    return EngineDecider(engines, learner_for(engines[0].campaign.learner, needs), begin=begin)


def _peer(
    name: str,
    model: Callable[..., Any],
    refuses: Callable[[Problem, int], str] = lambda _problem, _batch: "",
    *,
    dense: Mapping[str, float] | None = None,
    **settings: float | str,
) -> Contestant:
    """A package with its settings; `dense` replaces some of them where contexts are numbers only."""

    def make(run: Run) -> PeerDecider:
        is_dense = not run.phases[0].world.attributes.categories  # type: ignore[attr-defined]
        return PeerDecider(partial(model, **{**settings, **((dense or {}) if is_dense else {})}), run.seed)

    return Contestant(name, {**settings, "dense": dict(dense or {})}, make, refuses)


def _mabwiser(name: str, policy: str) -> Contestant:
    """The package itself; its twin with rank-one updates where it learns after every send."""
    alpha = 0.05

    def make(run: Run) -> PeerDecider:
        package: MakeModel = partial(MabWiser, policy=policy, alpha=alpha)
        twin: MakeModel = partial(Ridge, alpha=alpha, is_drawn=policy == "LinTS")
        return PeerDecider(twin if run.batch == 1 else package, run.seed)

    return Contestant(name, {"policy": policy, "alpha": alpha}, make)


def _simple_only(problem: Problem, batch: int) -> str:
    del batch
    return "composite problems are played by one ridge regression a dimension" if problem.is_composite else ""


def _bootstrapped(problem: Problem, batch: int) -> str:
    if problem.name == "new-arms":
        return "version 0.3.30 fails after add_arm: partial_fit() got an unexpected keyword argument 'sample_weight'"
    return _simple_only(problem, batch) or ("some 300 s a run of 20,000 sends" if batch == 1 else "")


PEERS: Sequence[Contestant] = (
    _peer("thompson, no context", BetaThompson),
    _mabwiser("mabwiser LinUCB", "LinUCB"),
    _mabwiser("mabwiser LinTS", "LinTS"),
    _peer("river LinUCBDisjoint", River, _simple_only, alpha=100.0, beta=25.0),
    _peer("contextualbandits LinUCB", ContextualBandits, _simple_only, policy="LinUCB", alpha=0.05),
    _peer(
        "contextualbandits BootstrappedTS",
        ContextualBandits,
        _bootstrapped,
        policy="BootstrappedTS",
        lambda_=100.0,
        dense={"lambda_": 10.0},
    ),
    _peer(
        "bayesianbandits Thompson",
        BayesianBandits,
        _simple_only,
        alpha=1.0,
        beta=400.0,
        dense={"alpha": 30.0, "beta": 100.0},
    ),
    _peer("gittins", Gittins, _simple_only, bits=8, dense={"bits": 16}),
)
"""Settings: of a few tried on seeds 0 to 3 of email12 and 0 to 1 of wine and digits, those that did best."""

PACKAGES = ("mabwiser", "river", "contextualbandits", "bayesianbandits", "gittins")
