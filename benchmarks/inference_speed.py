"""A million decisions of twelve arms through `manyarm compare`, beside reading the same file and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from decide import campaign_text
from evaluate_memory import DIMENSION, N_ARMS, tables
from gates import Gate

from bandit import read_campaign
from service.commands.export import schema_of
from service.table_writer import TIME

SEED = 20_261_126
SENDS_PER_CUSTOMER = 2.5
SHARES = {"learner": 0.9, "random": 0.05, "control": 0.05}
BEGIN, STEP = np.datetime64("2026-01-01T00:00:00", "us"), np.timedelta64(1_000_000, "us")
READ = "import sys, pyarrow.parquet as pq; pq.read_table(sys.argv[1])"


def with_customers(rows: Iterator[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """The same sends to customers who come back, each in one group, one send a second."""
    rng = np.random.default_rng(SEED)
    n_customers = max(int(n_rows / SENDS_PER_CUSTOMER), 1)
    group_of = rng.choice(list(SHARES), size=n_customers, p=list(SHARES.values()))
    start = 0
    for table in rows:
        customers = rng.integers(n_customers, size=table.num_rows)
        times = pa.array(BEGIN + STEP * np.arange(start, start + table.num_rows)).cast(TIME)
        keys = pa.array([f"{customer:032x}" for customer in customers])
        cells = {"customer_key": keys, "group": pa.array(group_of[customers]), "decided_at": times, "sent_at": times}
        columns = [cells[f.name].cast(f.type) if f.name in cells else table[f.name] for f in table.schema]
        yield pa.Table.from_arrays(columns, schema=table.schema)
        start += table.num_rows


def speed(n_rows: int, rounds: int) -> dict[str, Any]:
    """Seconds of both, each in a process of its own, in turns; start-up of the interpreter counts for both."""
    text = campaign_text({DIMENSION: N_ARMS})
    schema = schema_of(read_campaign(text))
    found: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        path, campaign = Path(folder) / "log.parquet", Path(folder) / "campaign.toml"
        campaign.write_text(text, encoding="utf-8")
        with pq.ParquetWriter(path, schema) as writer:
            for table in with_customers(tables(schema, n_rows), n_rows):
                writer.write_table(table)
        manyarm = str(Path(sys.executable).with_name("manyarm"))
        for _ in range(rounds):
            reading, _ = _timed([sys.executable, "-c", READ, str(path)])
            comparing, said = _timed([manyarm, "compare", str(path), "--campaign", str(campaign), "--json"])
            found.append((reading, comparing))
    ratios = sorted(comparing / reading for reading, comparing in found)
    return {
        "seed": SEED,
        "n_rows": n_rows,
        "n_arms": N_ARMS,
        "n_compared": json.loads(said)["n"],
        "groups_compared": sum(one["every_look"] is not None for one in json.loads(said)["comparisons"]),
        "reading_seconds": round(float(np.median([one for one, _ in found])), 2),
        "comparing_seconds": round(float(np.median([two for _, two in found])), 2),
        "ratio": {
            "median": round(ratios[len(ratios) // 2], 2), "least": round(ratios[0], 2), "largest": round(ratios[-1], 2)
        },
    }  # fmt: skip


def gates_of_speed(found: dict[str, Any]) -> list[Gate]:
    """At most ten times the reading."""
    return [Gate("compare / reading the file", found["ratio"]["median"], largest=10.0)]


def _timed(command: list[str]) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return time.perf_counter() - start, done.stdout
