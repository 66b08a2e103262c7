"""Every metric there is, in one table, and the counters of a running service.

What the log knows is counted from the log when somebody scrapes; only what no table holds is counted as it happens.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from service.histogram import Histogram

PREFIX = "manyarm_"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the table.

    Attributes:
        name: without `manyarm_`; a counter's is exposed with `_total`.
        kind: counter, gauge or histogram.
        labels: by what it is split.
        meaning: one sentence for the docs and for Prometheus.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    meaning: str

    @property
    def exposed(self) -> str:
        """The name that queries use; a histogram has it with `_bucket`, `_sum` and `_count`."""
        return f"{PREFIX}{self.name}" + ("_total" if self.kind == "counter" else "")


METRICS: tuple[Metric, ...] = (
    Metric(
        "decisions", "counter", ("group", "policy", "fallback"),
        "Decisions of this campaign stored since this process started, whichever process made them.",
    ),
    Metric(
        "http_request_seconds", "histogram", ("method", "route", "status"),
        "Time to answer a request. Status 499: the client left first.",
    ),
    Metric("requests_refused", "counter", ("reason",), "Requests turned away at the door, by reason."),
    Metric("writer_queue_depth", "gauge", (), "Writes that wait for the next commit."),
    Metric("writer_commit_size", "histogram", (), "Writes a commit."),
    Metric("writer_commit_seconds", "histogram", (), "Time of a commit, until it is on disk."),
    Metric("writer_commits_failed", "counter", (), "Commits that the database did not take; their callers got a 503."),
    Metric("decisions_open", "gauge", ("state",), "Decisions that have not matured, by state."),
    Metric("decisions_matured", "gauge", (), "Decisions that have matured since the log began."),
    Metric(
        "decisions_unstored", "gauge", ("reason",),
        "Answers to people without consent, since the log began: business as usual, and nothing kept but this count.",
    ),
    Metric("rankings_stored", "gauge", (), "Rankings of the Personalizer routes since the file was made."),
    Metric(
        "rankings", "counter", ("group", "policy", "fallback"),
        "Rankings of this campaign stored since this process started, whichever process made them.",
    ),
    Metric("rankings_open", "gauge", ("state",), "Rankings whose wait for rewards is open, by state."),
    Metric("ranking_snapshot_age_seconds", "gauge", (), "Time since the newest snapshot of the ranking loop was trained."),
    Metric("ranking_snapshot_learned_rows", "gauge", (), "Rankings that it has learned from."),
    Metric("snapshot_serving", "gauge", (), "1 where a snapshot decides, 0 where choices are random."),
    Metric("snapshot_age_seconds", "gauge", (), "Time since the serving snapshot was trained."),
    Metric("snapshot_learned_rows", "gauge", (), "Decisions that the serving snapshot has learned from."),
    Metric("trainer_steps", "counter", (), "Steps of the trainer that went well."),
    Metric("trainer_errors", "counter", (), "Steps of the trainer that failed."),
    Metric("trainer_step_age_seconds", "gauge", (), "Time since the trainer's last step that went well."),
    Metric("gate_refusals", "counter", (), "Snapshots that a gate refused over HTTP."),
    Metric("webhook_events", "gauge", ("provider", "state"), "Events that mail providers sent, by what became of them."),
    Metric("webhook_lag_seconds", "gauge", ("provider",), "Age of the oldest event that is not worked on yet; 0 for none."),
    Metric("store_bytes", "gauge", ("file",), "Size of the database and of its write-ahead log."),
    Metric("store_free_bytes", "gauge", (), "Free space on the disk of the database."),
    Metric("draining", "gauge", (), "1 once the process was asked to stop."),
)  # fmt: skip
"""Every metric of the service. A new one is a line here; docs/operations.md is held to it by a test."""

Labels = tuple[str, ...]
Answer = tuple[str, str, int]
"""Method, route and status."""


@dataclass(slots=True)
class Tallies:
    """What no table holds, counted as it happens, in this process.

    Attributes:
        answers: time to answer, by method, route and status.
        counts: everything else, by metric and labels.

    >>> tallies = Tallies()
    >>> tallies.add("requests_refused", "rate")
    >>> tallies.of("requests_refused")
    {('rate',): 1}
    """

    answers: dict[Answer, Histogram] = field(default_factory=dict)
    counts: dict[str, Counter[Labels]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self, answer: Answer, seconds: float) -> None:
        """A request was answered; called by the event loop only."""
        found = self.answers.get(answer)
        if found is None:
            found = self.answers[answer] = Histogram(SECONDS)
        found.observe(seconds)

    def add(self, name: str, *labels: str) -> None:
        """One more of a metric in the table, from any thread."""
        with self._lock:
            self.counts.setdefault(name, Counter())[labels] += 1

    def of(self, name: str) -> dict[Labels, int]:
        """A counter by its labels."""
        with self._lock:
            return dict(self.counts.get(name, {}))
