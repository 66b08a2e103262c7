"""Which check sees which fault: campaigns with a fault in them, through the real engine, store and trainer, then audited.

Run: .venv/bin/python benchmarks/simulator_faults.py            (every fault, LOGS campaigns each; about half an hour)
     .venv/bin/python benchmarks/simulator_faults.py --smoke    (one short campaign a fault, nothing written: does it run?)

Each campaign is the referral contest with two dimensions (5 x 3 arms), half of its customers the learner's, a fifth at
random, three tenths in control; clicks at twice the usual rate. Campaign i has the same customers whatever
the fault. A finished campaign lies in --kept, which must be emptied after a change of what is simulated.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import timing
from gates import Gate
from sample_without_hours import sample_without_hours
from simulations import Cell, Pool, Seeds

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from bandit.errors import UnusableLog
from bandit.group import Group
from evaluation.audit import AuditVerdict
from evaluation.audit_log import AuditSettings
from evaluation.finding import Word
from evaluation.verify import CHECKS
from service.compared_log import from_store
from service.comparing import Compared, Wanted, compared
from service.simulation import Simulation, provider_counts
from service.store import Log, Store
from service.verification import Verification, verify_store
from simulator.faults import FAULTS, faults_of
from simulator.referral_contest import ReferralContest

NAME = "simulator_faults"
SEED = 20_261_128
LOGS = 10
DAYS, STEP = 28, timedelta(days=4)
DIMENSIONS = {
    "subject": ("plain", "champion", "dominate", "thank-you", "so-close"),
    "cta": ("join", "invite-now", "claim-spot"),
}
EVENTS = {"click": 0.2, "conversion": 1.0}
RATES = {"click": 0.16, "conversion": 0.25, "unsubscribe": 1e-9, "complaint": 1e-9}
STATISTICS = (
    "groups",
    "arms",
    "1/p",
    "calibration",
    "drift",
    "guidance",
    "population",
    "parity",
    "opportunity",
    "rewards",
)
"""Audits of `verify --statistics`, by the first word of their names."""

ROWS = (*CHECKS, "chain", "readable", "reward", "training", "sample ratio", "1/p honesty")


@dataclass(frozen=True, slots=True)
class Case:
    """Campaigns with one fault.

    Attributes:
        fault: as `faults_of` reads it; empty for none.
        n_sends: of each campaign.
        half: whether it begins in the middle of the campaign.
    """

    fault: str = ""
    n_sends: int = 2_400
    half: bool = False

    @property
    def name(self) -> str:
        """In the results."""
        return f"{self.fault or 'none'}, {self.n_sends} sends{', from the middle' if self.half else ''}"


CASES = (
    Case(),
    *(Case(name) for name in FAULTS),
    *(Case(f"{name}=0.05") for name in ("wrong-propensities", "stale-propensities", "swapped-arms")),
    *(Case(fault, half=True) for fault in ("lost-events=0.7", "unvoided-sends=0.7", "misguided-policy")),
)


def campaign() -> Campaign:
    """The referral contest with fewer dimensions, no wearing out, and one candidate of the learner: ten times as fast."""
    text = sample_without_hours().partition("[wear_out]")[0]
    text = re.sub(r"events = .*", "events = { click = 0.2, conversion = 1.0 }", text)
    text = text.replace(', benefit = "base", send_slot = "weekday-09"', "")
    text = text.replace("random = 0.05", "random = 0.2").replace("share = 0.10", "share = 0.3")
    text += '[learner]\nname = "regression"\nlearning_rate = 0.1\n'
    for name, arms in DIMENSIONS.items():
        text += f'[[dimension]]\nname = "{name}"\n' + "".join(f'[[dimension.arm]]\nid = "{arm}"\n' for arm in arms)
    return read_campaign(text)


def seen(case: Case, seeds: Seeds) -> dict[str, np.ndarray]:
    """What raised an alarm, of each campaign; shape (n_seeds,) a check, 1.0 for an alarm."""
    found = [_seen(case, int(seed.spawn_key[-1])) for seed in seeds]
    return {name: np.array([float(one[name]) for one in found]) for name in found[0]}


def _seen(case: Case, number: int) -> dict[str, bool]:
    declared = campaign()
    world = ReferralContest(
        number,
        n_customers=case.n_sends // 6,
        dimensions=DIMENSIONS,
        reward_events=EVENTS,
        window=declared.reward.window,
        days=DAYS,
        rates=RATES,
    )
    since = world.start + timedelta(days=DAYS / 2) if case.half else None
    going_wrong = faults_of([case.fault] if case.fault else [], seed=number, since=since)
    salt = f"faults {number}".encode()
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "manyarm.db", salt=salt, secret=salt) as store,
    ):
        log = store.open_log(declared, world.start)
        simulation = Simulation(world, store, log, STEP, going_wrong)
        sends = list(chain.from_iterable(simulation.run(case.n_sends)))
        counted = provider_counts(sends, simulation.end)
        verified = verify_store(store, statistics=AuditSettings(), provider=counted)
        return _checks(verified) | _audits(verified) | _comparison(store, log)


def _checks(found: Verification) -> dict[str, bool]:
    failed = {check.name for check in found.checks if not check.passed}
    return {f"check {name}": name in failed for name in (*ROWS, "provider")} | {"verify": bool(failed - {"provider"})}


def _audits(found: Verification) -> dict[str, bool]:
    alarms = [one for audits in found.audits.values() for one in audits if one.verdict is AuditVerdict.ALARM]
    named = {one.name if one.name.startswith("rewards") else one.name.partition(":")[0] for one in alarms}
    rewards = {f"audit rewards: {one}": f"rewards: {one}" in named for one in ("matured", "void", "arriving", "late")}
    by_name = {f"audit {name}": name in named for name in STATISTICS if name != "rewards"}
    return by_name | rewards | {"log is wrong": any(one.breaks_log for one in alarms)}


def _comparison(store: Store, log: Log) -> dict[str, bool]:
    """Whether `compare` refuses the log, stops the learner for harm, or says that random earns more at the one look."""
    try:
        found = compared(from_store(store, log, "reward", "", lambda batches: batches), Wanted())
    except UnusableLog:
        return {"compare refuses": True, "compare: harm": False, "compare: worse than random": False}
    return {"compare refuses": False, "compare: harm": _harms(found), "compare: worse than random": _is_worse(found)}


def _harms(found: Compared) -> bool:
    return any(pair.treated == Group.LEARNER and pair.finding.word is Word.HARM for pair in found.groups)


def _is_worse(found: Compared) -> bool:
    """At the one look of the classical test, 5 % two-sided."""
    return any(
        (pair.treated, pair.control) == (Group.LEARNER, Group.RANDOM)
        and (pair.lift.p_value or 1.0) < 0.05
        and pair.lift.difference.estimate < 0.0
        for pair in found.groups
    )


def faults(pool: Pool | None = None, *, smoke: bool = False) -> dict[str, Any]:
    """Every case; alarms by check, of how many campaigns.

    Args:
        pool: simulates; None for this process without an end.
        smoke: one campaign of 200 sends, of a case where something is wrong.
    """
    pool = pool or Pool(time.monotonic() + 86_400.0, 1)
    cases = [Case(case.fault, 200, case.half) for case in CASES[1:2]] if smoke else CASES
    cells = [Cell(case.name, partial(seen, case), 1 if smoke else LOGS, at_once=1) for case in dict.fromkeys(cases)]
    found = pool.simulated(cells, SEED)
    return {"seed": SEED, "cases": {cell.name: _alarms(found[cell.name]) for cell in cells if cell.name in found}}


def _alarms(figures: dict[str, np.ndarray]) -> dict[str, int]:
    n = len(next(iter(figures.values())))
    return {"n": n} | {name: int(alarms.sum()) for name, alarms in figures.items() if alarms.any()}


SEEN_BY = {
    "lost-events": "check provider",
    "late-events": "audit rewards: late",
    "wrong-propensities": "check recomputed",
    "stale-propensities": "check recomputed",
    "swapped-arms": "check recomputed",
    "swapped-rows": "check propensity",
    "misguided-policy": "audit guidance",
    "unsent-choice": "check provider",
    "unvoided-sends": "check provider",
    "changed-ids": "check provider",
}
"""The check that must see each fault at its usual share; the two that are missing are harmless."""


def gates_of_faults(found: dict[str, Any]) -> list[Gate]:
    """Every fault is seen in nine of ten campaigns, and no check fails without one, or with a harmless one."""
    cases = found["cases"]
    share = {name: {check: count / case["n"] for check, count in case.items()} for name, case in cases.items()}
    seen_by = {f"{name}: {check}": share.get(Case(name).name, {}).get(check, 0.0) for name, check in SEEN_BY.items()}
    harmless = ("", *(name for name in FAULTS if name not in SEEN_BY))
    failing = {name or "none": share.get(Case(name).name, {}) for name in harmless}
    return [
        *(Gate(f"seen: {name}", figure, least=0.9) for name, figure in seen_by.items()),
        *(
            Gate(
                f"checks that fail: {name}", alarms.get("verify", 0.0) + alarms.get("check provider", 0.0), largest=0.0
            )
            for name, alarms in failing.items()
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--budget", type=float, default=3600.0, metavar="SECONDS", help="after it no campaign is begun")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "manyarm-faults", metavar="FOLDER")
    parser.add_argument("--smoke", action="store_true", help="one short campaign a fault, nothing written")
    options = parser.parse_args(arguments)
    if options.smoke:
        gates_of_faults(faults(smoke=True))
        print("ok")
        return
    options.kept.mkdir(parents=True, exist_ok=True)
    pool = Pool(time.monotonic() + options.budget, options.processes, options.kept)
    timing.keep(NAME, faults(pool))


if __name__ == "__main__":
    main()
