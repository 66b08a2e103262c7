"""What numbers about customers cost a live decision, and the start of a service whose campaign asks for them.

Run: .venv/bin/python benchmarks/live_numbers.py

Models are made of simulated customers and loaded into a database with the events of some of them: one in the middle, one
with some 300 events, and the busiest. Contexts of each are completed in turn, without numbers, with one chance, with the
value and with all nine; beside them stands the models' own answer about a table of one row, whose features are given. Time
is the processor's. All numbers are held against those of a table of all customers, bit for bit. Then processes start the
service of a campaign without numbers and of one with all.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from gates import Gate
from timing import keep

from bandit import Context, read_campaign
from bandit.profile.customer_models import CustomerModels, fit_customer_models
from bandit.profile.customer_value import spending_at
from bandit.profile.history import History
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.number_names import CHURN_RISK, NUMBERS, OF_VALUE
from bandit.profile.population import population_of
from bandit.profile.spec import ProfileSpec
from bandit.profile.summing import sums_at
from service.kept_models import KEPT, MODELS, Kept
from service.live_profile import LiveProfile
from service.profile_loading import load_events
from service.sample import sample_text
from service.store import Store
from simulator.customer_histories import BEGIN, customer_histories

SEED, DAYS = 2, 400
MADE_AT, AT = BEGIN + timedelta(days=370), BEGIN + timedelta(days=380, hours=7)
WANTED: Mapping[str, tuple[str, ...]] = {
    "no number": (),
    "one chance": (CHURN_RISK,),
    "value": OF_VALUE,
    "all nine": tuple(NUMBERS),
}
STARTED = """
import asyncio, sys
from bandit import read_campaign
from service.app import create_app
from service.clock import system_clock
from service.serving import Serving
from service.store import Store
with Store(sys.argv[1]) as store, open(sys.argv[2], encoding="utf-8") as file:
    app = create_app(Serving(store, store.open_log(read_campaign(file.read()), system_clock())))
    async def start():
        async with app.router.lifespan_context(app):
            pass
    asyncio.run(start())
"""


def campaign_text(names: tuple[str, ...]) -> str:
    """The sample campaign with a field for each of some numbers."""
    fields = (f'\n[context.{name}]\nkind = "numeric"\nrange = [-1e6, 1e6]\n' for name in names)
    return sample_text("referral-contest") + "".join(fields)


def some_customers(events: pd.DataFrame) -> dict[str, str]:
    """A customer in the middle by number of events, one with some 300 (or as many as there are), and the busiest."""
    sizes = events.groupby("customer_id", observed=True).size().sort_values()
    three_hundred = sizes.index[min(int(sizes.searchsorted(300)), len(sizes) - 1)]
    return {"middle": sizes.index[len(sizes) // 2], "some 300": three_hundred, "busiest": sizes.index[-1]}


def loaded(folder: Path, name: str, models: CustomerModels, events: pd.DataFrame) -> LiveProfile:
    """A database of a campaign that asks for all numbers, with models and the events of some customers."""
    (folder / f"{name}.toml").write_text(campaign_text(tuple(NUMBERS)), encoding="utf-8")
    campaign = read_campaign(campaign_text(tuple(NUMBERS)))
    store = Store(folder / f"{name}.db")
    log = store.open_log(campaign, AT)
    population = population_of(
        sums_at(events, AT, campaign.profile or ProfileSpec()), campaign.profile or ProfileSpec()
    )
    some = events[events["customer_id"].isin(list(some_customers(events).values()))].copy()
    some["customer_id"] = some["customer_id"].cat.remove_unused_categories()
    load_events(store, log, some, population, AT, kept={MODELS: Kept(KEPT, models.text().encode(), MADE_AT)})
    profile = LiveProfile(store, log)
    profile.prepare()
    return profile


def in_turns(contestants: Mapping[str, Callable[[], object]], rounds: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of a processor, of rounds in which all take turns."""
    found: dict[str, list[float]] = {name: [] for name in contestants}
    gc.disable()
    for turn in range(rounds + 1):
        for name, call in contestants.items():
            started = time.process_time()
            for _ in range(repeats):
                call()
            if turn:
                found[name].append((time.process_time() - started) / repeats * 1000.0)
    gc.enable()
    return {name: round(statistics.median(times), 3) for name, times in found.items()}


def measured(
    profile: LiveProfile, models: CustomerModels, table: pd.DataFrame, history: History, customer: str, rounds: int
) -> dict[str, float]:
    """Milliseconds of one customer's contexts, and whether all numbers are the table's."""
    found = profile.completed(customer, Context({}), AT).values
    row = table.loc[customer]
    wrong = [name for name in NUMBERS if found.get(name) != (None if np.isnan(row[name]) else row[name])]
    if wrong:
        raise RuntimeError(f"{customer}: {', '.join(wrong)} of a live decision are not those of the table")
    past = history.before(AT)
    features = models.features_at(past, AT).loc[[customer]]
    spending = spending_at(past.purchases, past.born[past.born.index == customer], AT)

    def with_numbers(names: tuple[str, ...]) -> Callable[[], object]:
        given = Context({name: 1.0 for name in NUMBERS if name not in names})
        return lambda: profile.completed(customer, given, AT)

    contestants = {name: with_numbers(names) for name, names in WANTED.items()}
    return in_turns({**contestants, "table of one row": lambda: models.numbers_of(features, spending)}, rounds, 5)


def start_seconds(folder: Path, names: tuple[str, ...]) -> float:
    """Processor seconds of a process that starts the service of a campaign with these numbers, and ends."""
    (folder / "started.toml").write_text(campaign_text(names), encoding="utf-8")
    command = [sys.executable, "-c", STARTED, str(folder / "live.db"), str(folder / "started.toml")]
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"a service did not start: exit {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--smoke", action="store_true", help="few customers, nothing written: does it run?")
    options = parser.parse_args()
    n_customers, rounds = (120, 1) if options.smoke else (options.customers, options.rounds)
    events = customer_histories(n_customers, days=DAYS, seed=SEED, stays_for=400.0).events
    events = events[events["at"] < AT]
    history = History(events, ProfileSpec(), ModelsSpec())
    models = fit_customer_models(history, MADE_AT)
    table = models.numbers(history, AT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        profile = loaded(folder, "live", models, events)
        found = {
            who: {
                "events": int((events["customer_id"] == customer).sum()),
                **measured(profile, models, table, history, customer, rounds),
            }
            for who, customer in some_customers(events).items()
        }
        asked: dict[str, tuple[str, ...]] = {"without numbers": (), "with all nine": tuple(NUMBERS)}
        repeats = range(0 if options.smoke else 5)
        starts = {who: [start_seconds(folder, names) for _ in repeats] for who, names in asked.items()}
        if options.smoke:
            start_seconds(folder, ())
            print("ok")
            return
    medians = {who: round(statistics.median(seconds), 2) for who, seconds in starts.items()}
    gates = [
        Gate(f"{who}: ms that all nine numbers add", round(one["all nine"] - one["no number"], 3), largest=3.0)
        for who, one in found.items()
    ]
    for gate in gates:
        print(f"{gate.name}: {gate.figure} {'holds' if gate.holds else 'FAILS'}")
    document = {"seed": SEED, "customers": n_customers, "processor ms": found, "processor seconds of a start": medians}
    keep("live_numbers", {**document, "gates": {gate.name: gate.holds for gate in gates}})
    if not all(gate.holds for gate in gates):
        sys.exit(1)


if __name__ == "__main__":
    main()
