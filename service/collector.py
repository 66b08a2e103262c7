"""Makes what Prometheus scrapes: the process's own counts, and what the log says at that moment."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from service.clock import Timer
from service.histogram import Histogram
from service.log_counts import (
    count_matured,
    count_rankings,
    count_unstored,
    count_webhook_events,
    decided_since,
    oldest_waiting,
    open_decisions,
    open_rankings,
    ranked_since,
    ranking_snapshot_facts,
    snapshot_facts,
)
from service.metrics import METRICS, PREFIX, Labels, Metric
from service.serving import Serving

Values = Mapping[Labels, float]
Read = Callable[[Serving], Values]
FRESH, RARELY = 5.0, 50.0
"""Counts from the log are good enough for so many seconds, and for so many times as long as it took to make them."""


def registry_of(serving: Serving) -> CollectorRegistry:
    """A registry of this service alone, with the process's memory, time and open files beside it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(ServingCollector(serving))
    ProcessCollector(registry=registry)
    return registry


class ServingCollector(Collector):
    """One service's metrics, in the order of the table."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        log = _LogValues(serving)
        self._kept = [_Kept(read, serving.timer) for read in (log.decisions, log.rankings, log.webhooks)]

    def collect(self) -> Iterable[Family]:
        """Every metric of the table, those without a value as well."""
        from_log = {name: values for kept in self._kept for name, values in kept.values().items()}
        for metric in METRICS:
            if metric.kind == "histogram":
                yield _histogram(metric, HISTOGRAMS[metric.name](self._serving))
            elif metric.name in from_log:
                yield _plain(metric, from_log[metric.name])
            else:
                yield _plain(metric, AT_ONCE.get(metric.name, _tallied(metric))(self._serving))


class _Kept:
    """Values that are read again once they are some seconds old; reading takes a fiftieth of a core at most."""

    def __init__(self, read: Callable[[], dict[str, Values]], timer: Timer) -> None:
        self._read = read
        self._timer = timer
        self._lock = threading.Lock()
        self._values: dict[str, Values] = {}
        self._until: float | None = None

    def values(self) -> dict[str, Values]:
        with self._lock:
            started = self._timer()
            if self._until is None or started >= self._until:
                self._values = self._read()
                ended = self._timer()
                self._until = ended + max(FRESH, RARELY * (ended - started))
            return self._values


class _LogValues:
    """What is read from the log; decisions are counted on from where they were left."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._decisions: Counter[Labels] = Counter()
        self._seq = serving.first_seq
        self._rankings: Counter[Labels] = Counter()
        self._ranking_seq = serving.rankings.first_seq

    def decisions(self) -> dict[str, Values]:
        connection, log_id = self._serving.store.reader(), self._serving.log.log_id
        campaign = self._serving.log.campaign.id
        last = self._serving.store.last_seq()
        self._decisions.update(decided_since(connection, log_id, self._seq, last))
        self._seq = last
        return {
            "decisions": dict(self._decisions),
            "decisions_open": {(state,): n for state, n in open_decisions(connection, log_id).items()},
            "decisions_matured": {(): count_matured(connection, log_id)},
            "decisions_unstored": {(reason,): n for reason, n in count_unstored(connection, campaign).items()},
        }

    def rankings(self) -> dict[str, Values]:
        connection, campaign = self._serving.store.reader(), self._serving.log.campaign.id
        last = count_rankings(connection)
        self._rankings.update(ranked_since(connection, campaign, self._ranking_seq, last))
        self._ranking_seq = last
        facts = ranking_snapshot_facts(connection, campaign)
        age: Values = {(): (self._serving.clock() - facts.created_at).total_seconds()} if facts else {}
        return {
            "rankings": dict(self._rankings),
            "rankings_stored": {(): last},
            "rankings_open": {(state,): n for state, n in open_rankings(connection, campaign).items()},
            "ranking_snapshot_age_seconds": age,
            "ranking_snapshot_learned_rows": {(): facts.n_learned} if facts else {},
        }

    def webhooks(self) -> dict[str, Values]:
        connection, now = self._serving.store.reader(), self._serving.clock()
        counts, waiting = count_webhook_events(connection), oldest_waiting(connection)
        lags = {provider: (now - waiting.get(provider, now)).total_seconds() for provider, _ in counts}
        return {
            "webhook_events": dict(counts),
            "webhook_lag_seconds": {(provider,): lag for provider, lag in lags.items()},
        }


def _plain(metric: Metric, values: Values) -> Family:
    made: type[CounterMetricFamily | GaugeMetricFamily]
    made = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = made(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for labels, value in sorted(values.items()):
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, found: Mapping[Labels, Histogram]) -> Family:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.meaning, labels=metric.labels)
    for labels, histogram in sorted(found.items()):
        family.add_metric(labels, list(histogram.cumulated()), histogram.total)
    return family


def _tallied(metric: Metric) -> Read:
    """A counter of the tallies; one without labels begins at 0."""

    def read(serving: Serving) -> Values:
        return ({} if metric.labels else {(): 0}) | serving.tallies.of(metric.name)

    return read


def _answers(serving: Serving) -> dict[Labels, Histogram]:
    answers = list(serving.tallies.answers.items())
    return {(method, route, str(status)): histogram for (method, route, status), histogram in answers}


def _snapshot(read: Callable[[timedelta, int], float]) -> Read:
    """A fact of the serving snapshot; nothing where none serves."""

    def of(serving: Serving) -> Values:
        facts = snapshot_facts(serving.store.reader(), serving.snapshot) if serving.snapshot else None
        return {(): read(serving.clock() - facts.created_at, facts.n_learned)} if facts else {}

    return of


def _step_age(serving: Serving) -> Values:
    at = serving.last_step_at
    return {} if at is None else {(): (serving.clock() - at).total_seconds()}


def _sizes(serving: Serving) -> Values:
    path = serving.store.path
    files = {"database": path, "wal": Path(f"{path}-wal")}
    return {(name,): file.stat().st_size for name, file in files.items() if file.exists()}


def _free(serving: Serving) -> Values:
    return {(): shutil.disk_usage(serving.store.path.absolute().parent).free}


HISTOGRAMS: Mapping[str, Callable[[Serving], Mapping[Labels, Histogram]]] = MappingProxyType(
    {
        "http_request_seconds": _answers,
        "writer_commit_size": lambda serving: {(): serving.store.writer.commits.sizes},
        "writer_commit_seconds": lambda serving: {(): serving.store.writer.commits.seconds},
    }
)
AT_ONCE: Mapping[str, Read] = MappingProxyType(
    {
        "writer_queue_depth": lambda serving: {(): serving.store.writer.n_waiting},
        "writer_commits_failed": lambda serving: {(): serving.store.writer.commits.n_failed},
        "snapshot_serving": lambda serving: {(): float(serving.snapshot is not None)},
        "snapshot_age_seconds": _snapshot(lambda age, _: age.total_seconds()),
        "snapshot_learned_rows": _snapshot(lambda _, n_learned: n_learned),
        "trainer_step_age_seconds": _step_age,
        "store_bytes": _sizes,
        "store_free_bytes": _free,
        "draining": lambda serving: {(): float(serving.is_draining)},
    }
)
"""Where a metric's value comes from; those that stand in no list are counted in the tallies as they happen."""
