"""A campaign's database with a snapshot that serves, and `manyarm serve` on it as people would run it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import numpy as np
from decide import campaign_text, contexts

from bandit import read_campaign
from bandit.campaign import Campaign
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from service.engines import engine_for
from service.store import Log, Store
from service.trainer import Trainer

SIZES = {"12 arms": {"subject": 12}, "12x4x4x10 arms": {"subject": 12, "cta": 4, "benefit": 4, "slot": 10}}
SEED = 0
MANYARM = str(Path(sys.executable).with_name("manyarm"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A folder with campaign.toml and manyarm.db."""

    folder: Path
    campaign: Campaign

    @property
    def db(self) -> Path:
        """The database file."""
        return self.folder / "manyarm.db"


def prepared(folder: Path, dimensions: Mapping[str, int], *, n: int = 3000, wears: bool = False) -> Prepared:
    """Decide n sends of nine days ago, mature them, learn, and leave the snapshot serving."""
    text = campaign_text(dict(dimensions), wears=wears)
    (folder / "campaign.toml").write_text(text)
    made = Prepared(folder, read_campaign(text))
    now = datetime.now(UTC)
    with Store(made.db) as store:
        log = store.open_log(made.campaign, now)
        fill(store, log, n, now - timedelta(days=9))
        Trainer(store, log).step(now)
    return made


def fill(store: Store, log: Log, n: int, at: datetime, *, prefix: str = "w", at_once: int = 5000) -> None:
    """Store n decisions on random customers."""
    engine, rng = engine_for(store, log), np.random.default_rng(SEED)
    for start in range(0, n, at_once):
        numbers = range(start, min(start + at_once, n))
        customers = [f"c{number % 9000}" for number in numbers]
        pasts = [[] for _ in numbers] if log.campaign.wear_out else None
        ids = [f"{prefix}{number}" for number in numbers]
        asked = Requests(customers, contexts(rng, len(numbers)), ids, [at] * len(numbers), pasts)
        made = decide_many(engine, asked)
        store.add_decisions([store.row_of(made.decision(row), log) for row in range(len(made))])


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(made: Prepared, port: int, *more: str, settings: Mapping[str, str] | None = None) -> Iterator[int]:
    """`manyarm serve` until the end of the block; gives its process id."""
    server = begun(made, port, *more, settings=settings)
    try:
        until_ready(port)
        yield server.pid
    finally:
        server.terminate()
        server.wait()


def begun(made: Prepared, port: int, *more: str, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """The process, as soon as it is begun."""
    command = [MANYARM, "serve", "--port", str(port), *more]
    return subprocess.Popen(command, cwd=made.folder, env={**os.environ, **(settings or {})}, stderr=subprocess.DEVNULL)


def until_ready(port: int, path: str = "/readyz", seconds: float = 60.0) -> float:
    """Wait until the server answers 200; returns the seconds it took."""
    begins = time.perf_counter()
    while time.perf_counter() - begins < seconds:
        try:
            if httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, verify=False).status_code == 200:
                return time.perf_counter() - begins
        except httpx.HTTPError:
            time.sleep(0.02)
    raise SystemExit(f"the server was not ready within {seconds} seconds")
