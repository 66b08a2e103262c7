"""How long it takes to make features of a million events, with how much memory, and of one more event.

Run: .venv/bin/python benchmarks/profile.py

Events of 50,000 customers over two years, some busy and most not, are written to a CSV and a Parquet file. A child process
runs `manyarm profile` on each: read, checked, made into features, written. Its seconds and the largest memory it ever held
are measured. Then one customer with 50 events and one with 2,000 in a year get one more event: the
event is added to the kept sums, from JSON to JSON. Their gate is the processor's time: the clock also counts what else the
machine does. In turns with it the same is done by reading the whole state, adding the event and writing it whole.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from gates import Gate
from timing import keep

from bandit.profile.events import Event, events_of
from bandit.profile.features import features_of
from bandit.profile.kept_state import kept_after_all
from bandit.profile.population import population_of
from bandit.profile.spec import ROLES, ProfileSpec
from bandit.profile.state import State, state_after, state_after_all
from bandit.profile.summing import sums_at
from service.sample import sample_text

AT, SEED = datetime(2026, 11, 1, tzinfo=UTC), 20261101
ZONES = ("UTC", "Europe/London", "Europe/Berlin", "Europe/Paris", "Asia/Kolkata", "America/Sao_Paulo", "Asia/Tokyo")
EVERY = 200


def made_events(n_events: int, n_customers: int) -> pd.DataFrame:
    """Events in the form of a file: texts and numbers, in the order of time."""
    rng = np.random.default_rng(SEED)
    busy = rng.gamma(0.8, size=n_customers)
    who = rng.choice(n_customers, size=n_events, p=busy / busy.sum())
    seconds = np.sort(rng.integers(0, 2 * 365 * 86_400, size=n_events))
    times = pd.to_datetime(int((AT - timedelta(days=730)).timestamp()) + seconds, unit="s", utc=True)
    types = rng.choice([names[0] for names in ROLES.values() if names], size=n_events)
    is_bought = types == "purchase"
    return pd.DataFrame(
        {
            "customer_id": np.char.add("c", who.astype(str)),
            "at": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "type": types,
            "value": np.where(is_bought, np.round(rng.lognormal(3.0, 0.8, size=n_events), 2), np.nan),
            "channel": rng.choice(["email", "push", "web"], size=n_events),
            "device": rng.choice(["mobile", "desktop", "tablet"], size=n_events),
            "content": rng.choice(["news", "sport", "music", "film"], size=n_events),
            "zone": np.array(ZONES)[who % len(ZONES)],
            "discount": np.where(is_bought, rng.choice([0.0, 0.1, 0.2], size=n_events), np.nan),
        }
    )


def measured(folder: Path, file: Path) -> dict[str, float]:
    """Run the command in a process of its own."""
    command = [
        str(Path(sys.executable).parent / "manyarm"),
        "profile",
        str(file),
        "--out",
        str(folder / "contexts.parquet"),
    ]
    started = time.perf_counter()
    child = subprocess.Popen(
        [*command, "--campaign", str(folder / "campaign.toml"), "--at", AT.isoformat()], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"manyarm profile {file}: exit {child.returncode}")
    return {
        "seconds": round(time.perf_counter() - started, 2),
        "processor seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "largest memory, MB": round(usage.ru_maxrss / 1024.0, 1),
    }


def one_more(n_events: int) -> dict[str, float]:
    """Milliseconds of one more event, from kept JSON to kept JSON, of the same by whole states, and of the features after it."""
    rng, spec = np.random.default_rng(SEED), ProfileSpec()
    minutes = np.sort(rng.integers(0, 364 * 24 * 60, size=n_events)).tolist()
    types = rng.choice([names[0] for names in ROLES.values() if names], size=n_events).tolist()
    events = [
        Event(
            "c1",
            AT - timedelta(days=365) + timedelta(minutes=minute),
            kind,
            9.5,
            "email",
            "mobile",
            "news",
            "Europe/Berlin",
        )
        for minute, kind in zip(minutes, types, strict=True)
    ]
    kept, population = (
        state_after_all(None, events[:-1], spec).to_json(),
        population_of(sums_at(events_of(events), AT, spec), spec),
    )
    ways = {
        "update": lambda: kept_after_all(kept, events[-1:], spec),
        "whole": lambda: state_after(State.from_json(kept), events[-1], spec).to_json(),
    }
    times: dict[str, list[float]] = {"update": [], "whole": [], "features": []}
    after: dict[str, bytes] = {}
    for _ in range(EVERY):
        for name, update in ways.items():
            started = time.process_time()
            after[name] = update()
            updated = time.process_time()
            # Between two updates the processor has other things to do, as it has in a service.
            features_of(State.from_json(after[name]), AT, spec, population)
            times["features"].append(time.process_time() - updated)
            times[name].append(updated - started)
    if after["update"] != after["whole"]:
        raise RuntimeError(f"kept sums after {n_events} events are not those of the whole state")
    return {
        "events": n_events,
        "state, bytes": len(kept),
        "update, processor ms": _median(times["update"]),
        "99th percentile": round(float(np.quantile(times["update"], 0.99)) * 1000.0, 3),
        "whole state, processor ms": _median(times["whole"]),
        "features from JSON, processor ms": _median(times["features"]),
    }


def _median(seconds: list[float]) -> float:
    return round(float(np.median(seconds)) * 1000.0, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=50_000)
    parser.add_argument("--smoke", action="store_true", help="a few events, nothing written: does it run?")
    options = parser.parse_args()
    n_events, n_customers = (3000, 200) if options.smoke else (options.events, options.customers)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "campaign.toml").write_text(sample_text("referral-contest"), encoding="utf-8")
        events = made_events(n_events, n_customers)
        events.to_csv(folder / "events.csv", index=False)
        events.to_parquet(folder / "events.parquet", index=False)
        del events
        batch = {kind: measured(folder, folder / f"events.{kind}") for kind in ("csv", "parquet")}
    single = [one_more(n) for n in ((50,) if options.smoke else (50, 2000))]
    gates = [
        *(Gate(f"{kind}: seconds", found["seconds"], largest=60.0) for kind, found in batch.items()),
        *(Gate(f"{kind}: MB", found["largest memory, MB"], largest=2048.0) for kind, found in batch.items()),
        *(
            Gate(f"update after {found['events']}: processor ms", found["update, processor ms"], largest=2.0)
            for found in single
        ),
    ]
    if options.smoke:
        print("ok")
        return
    for gate in gates:
        print(f"{gate.name}: {gate.figure} {'holds' if gate.holds else 'FAILS'}")
    document = {"seed": SEED, "events": n_events, "customers": n_customers, "batch": batch, "one more event": single}
    keep("profile", {**document, "gates": {gate.name: gate.holds for gate in gates}})
    if not all(gate.holds for gate in gates):
        sys.exit(1)


if __name__ == "__main__":
    main()
