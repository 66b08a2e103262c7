"""A long log through `manyarm evaluate`: the most memory that the command ever holds, and rows per second."""

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
from decide import N_FEATURES, N_VALUES, campaign_text

from bandit import read_campaign
from bandit.group import Group
from bandit.reward import State
from service.commands.export import schema_of

SEED = 20_261_123
DIMENSION, N_ARMS = "subject", 12
ROWS_A_GROUP = 5_000
"""As the export writes them."""
LAUNCHER = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""
"""A child is said to have held at least what its parent held when it began, hence a parent that holds next to nothing."""


def tables(schema: pa.Schema, n_rows: int) -> Iterator[pa.Table]:
    """Rows of an export: a pmf of its own in each, the log's usual groups, and what `evaluate` does not read left empty."""
    rng = np.random.default_rng(SEED)
    arms = np.array([f"{DIMENSION}{k}" for k in range(N_ARMS)])
    for start in range(0, n_rows, ROWS_A_GROUP):
        n = min(ROWS_A_GROUP, n_rows - start)
        pmfs = rng.exponential(size=(n, N_ARMS))
        pmfs = 0.9 * pmfs / pmfs.sum(axis=1, keepdims=True) + 0.1 / N_ARMS
        picks = (pmfs.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=N_ARMS - 1)
        offsets = pa.array(np.arange(0, n * N_ARMS + 1, N_ARMS, dtype=np.int32))
        ids = rng.bytes(16 * n).hex()
        cells: dict[str, Any] = {
            "decision_id": [ids[at : at + 32] for at in range(0, len(ids), 32)],
            "group": rng.choice([Group.LEARNER.value, Group.RANDOM.value], size=n, p=[0.95, 0.05]),
            "state": [State.MATURED.value] * n,
            "reward": (rng.random(n) < 0.03 + 0.004 * picks).astype(np.float64),
            f"arm.{DIMENSION}": arms[picks],
            f"propensity.{DIMENSION}": pmfs[np.arange(n), picks],
            f"pmf.{DIMENSION}": pa.ListArray.from_arrays(offsets, pa.array(pmfs.ravel())),
        }
        cells |= {f"context.f{i}": [f"v{v}" for v in rng.integers(N_VALUES, size=n)] for i in range(N_FEATURES)}
        columns = [pa.array(cells[f.name], f.type) if f.name in cells else pa.nulls(n, f.type) for f in schema]
        yield pa.Table.from_arrays(columns, schema=schema)


def memory(n_rows: int) -> dict[str, Any]:
    """Write the log, evaluate it in a process of its own, and take it away again."""
    schema = schema_of(read_campaign(campaign_text({DIMENSION: N_ARMS})))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.parquet"
        with pq.ParquetWriter(path, schema) as writer:
            for table in tables(schema, n_rows):
                writer.write_table(table)
        size = path.stat().st_size
        manyarm = Path(sys.executable).with_name("manyarm")
        command = [str(manyarm), "evaluate", str(path), "--target", "uniform", "--json"]
        start = time.perf_counter()
        launched = [sys.executable, "-c", LAUNCHER, *command]
        done = subprocess.run(launched, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
    document, peak = done.stdout.rsplit("}", 1)
    answer = json.loads(document + "}")
    if answer["n"] != n_rows:
        raise SystemExit(f"{answer['n']} of {n_rows} rows were evaluated.")
    return {
        "seed": SEED,
        "n_rows": n_rows,
        "n_arms": N_ARMS,
        "file_megabytes": round(size / 1e6),
        "peak_megabytes": round(int(peak) / 1024),
        "seconds": round(seconds, 1),
        "rows_per_second": round(n_rows / seconds),
        "verdict": answer["verdict"],
        "snips": {name: answer["estimators"]["snips"][name] for name in ("value", "ci_lower", "ci_upper")},
    }
