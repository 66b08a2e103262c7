"""What one decision costs, beside what people would call instead.

Run: .venv/bin/python benchmarks/decide.py    (needs the `bench` group: mabwiser)

`Engine.decide` is timed whole: schema, group, eligibility, scores, pmf, floor, checks, draws, customer key, Decision. It
is compared with Vowpal Wabbit's own `predict(list of text lines)` of the same 12 arms and 10 features, and with
mabwiser's LinUCB.predict. Contestants take turns; the ratio of each round is kept, and the median is quoted.
"""

from __future__ import annotations

import argparse
import itertools
from datetime import UTC, datetime

import numpy as np
from timing import in_turns, keep, ratio
from vowpalwabbit import pyvw

from bandit import Context, Engine, Group, LoggedDecision, Matured, Served, learner_for, read_campaign, train
from policies import group_policies

AT = datetime(2026, 1, 1, tzinfo=UTC)
N_FEATURES, N_VALUES, SEED = 10, 4, 0


def campaign_text(dimensions: dict[str, int], *, wears: bool = False) -> str:
    """Ten categorical features; groups, floor and policy as in the sample campaign; wear-out where it is wanted."""
    arms = {name: "".join(f'[[dimension.arm]]\nid = "{name}{k}"\n' for k in range(n)) for name, n in dimensions.items()}
    values = ", ".join(f'"v{v}"' for v in range(N_VALUES))
    control = ", ".join(f'{name} = "{name}0"' for name in dimensions)
    return "".join(
        [
            '[campaign]\nid = "bench"\n[reward]\nwindow = "72h"\nevents = { click = 1.0 }\n',
            f"[groups]\nrandom = 0.05\ncontrol = {{ share = 0.05, choice = {{ {control} }} }}\n",
            "[wear_out]\n" if wears else "",
            *(f'[context.f{i}]\nkind = "categorical"\nvalues = [{values}]\n' for i in range(N_FEATURES)),
            *(f'[[dimension]]\nname = "{name}"\n{text}' for name, text in arms.items()),
        ]
    )


def contexts(rng: np.random.Generator, n: int) -> list[Context]:
    """Random customers."""
    drawn = rng.integers(N_VALUES, size=(n, N_FEATURES))
    return [Context({f"f{i}": f"v{value}" for i, value in enumerate(row)}) for row in drawn.tolist()]


def trained_engine(dimensions: dict[str, int], rng: np.random.Generator) -> Engine:
    """An engine that learned from 2,000 random sends."""
    campaign = read_campaign(campaign_text(dimensions))
    policies = group_policies(campaign)
    engine = Engine(campaign, policies, b"salt", b"secret")
    rows = []
    for number, context in enumerate(contexts(rng, 2000), start=1):
        decision = engine.decide(f"c{number}", context, decision_id=f"d{number}", at=AT)
        types = frozenset(["click"] if rng.random() < 0.05 else [])
        rows.append(Matured(number, LoggedDecision.of(decision, number), types))
    kind = learner_for(campaign.learner, policies[Group.LEARNER].needs)
    snapshot = train(campaign, kind, None, rows)
    return engine.serving(Served("s1", kind.serve(campaign, snapshot)))


def deciding(engine: Engine, customers: list[Context]):  # noqa: ANN201 - a closure for the clock
    """One decision after another, always for a customer of the learner's group."""
    learner = [f"c{i}" for i in range(10_000) if _is_learner(engine, f"c{i}")]
    turn = zip(itertools.cycle(learner), itertools.cycle(customers), itertools.count(), strict=False)

    def decide() -> object:
        customer, context, number = next(turn)
        return engine.decide(customer, context, decision_id=f"e{number}", at=AT)

    return decide


def _is_learner(engine: Engine, customer: str) -> bool:
    groups = engine.campaign.groups
    return groups.group_of(customer, campaign=engine.campaign.id, salt=engine.salt) is Group.LEARNER


def vw_text(customers: list[Context]):  # noqa: ANN201
    """Vowpal Wabbit's own call: 12 arms as text lines."""
    workspace = pyvw.Workspace("--cb_explore_adf --squarecb -q UA -b 18 --quiet")
    arms = [f"|A arm=a{k}" for k in range(12)]
    shared = ["shared |U " + " ".join(f"{k}={v}" for k, v in c.values.items()) for c in customers]
    turn = itertools.cycle([[line, *arms] for line in shared])
    return lambda: workspace.predict(next(turn))


def linucb(rng: np.random.Generator, customers: list[Context]):  # noqa: ANN201
    """LinUCB of mabwiser with 12 arms and the features as indicators."""
    from mabwiser.mab import MAB, LearningPolicy  # noqa: PLC0415 - of the bench group

    def row(context: Context) -> list[float]:
        return [float(context.values[f"f{i}"] == f"v{v}") for i in range(N_FEATURES) for v in range(N_VALUES)]

    mab = MAB(arms=list(range(12)), learning_policy=LearningPolicy.LinUCB(alpha=1.0), seed=SEED)
    rows = [row(context) for context in customers]
    mab.fit(rng.integers(12, size=len(rows)).tolist(), (rng.random(len(rows)) < 0.05).astype(float).tolist(), rows)
    turn = itertools.cycle([[one] for one in rows])
    return lambda: mab.predict(next(turn))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--smoke", action="store_true", help="a few calls, nothing written: does it run?")
    options = parser.parse_args()
    rng = np.random.default_rng(SEED)
    customers = contexts(rng, 500)
    contestants = {
        "decide 12": deciding(trained_engine({"subject": 12}, rng), customers),
        "decide 12x4x4x10": deciding(
            trained_engine({"subject": 12, "cta": 4, "benefit": 4, "slot": 10}, rng), customers
        ),
        "vw text predict 12": vw_text(customers),
    }
    if not options.smoke:
        contestants["mabwiser LinUCB predict 12"] = linucb(rng, customers)
    times = in_turns(contestants, rounds=2 if options.smoke else options.rounds, repeats=5 if options.smoke else 200)
    ratios = {
        "decide 12 / vw text predict 12": ratio(times, "decide 12", "vw text predict 12"),
        "decide 12x4x4x10 / vw text predict 12": ratio(times, "decide 12x4x4x10", "vw text predict 12"),
    }
    if options.smoke:
        print("ok", *times)
        return
    ratios["decide 12 / mabwiser LinUCB predict 12"] = ratio(times, "decide 12", "mabwiser LinUCB predict 12")
    fastest = {name: min(found) for name, found in times.items()}
    goals = {
        "decide 12 / vw text predict 12": 0.6,
        "decide 12x4x4x10 / vw text predict 12": 1.5,
        "decide 12 / mabwiser LinUCB predict 12": 0.4,
    }
    keep("decide", {"seed": SEED, "microseconds_least": fastest, "ratios": ratios, "goals": goals})


if __name__ == "__main__":
    main()
