"""/metrics: what it says is what happened, it stays cheap, and no label is chosen by a caller."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from service.app import create_app
from service.log_counts import count_matured, count_webhook_events, oldest_waiting, open_decisions
from service.metrics import METRICS
from service.serving import Serving
from service.store import Store

HOT = ("POST", "/v1/decisions")
ORDER = (*dict.fromkeys(("provider", *(label for metric in METRICS for label in metric.labels))), "le")


class Scraped:
    """A service whose clock and timer stand still until they are told to go on."""

    def __init__(self, store, log, noon):
        self.now, self.seconds = noon, 0.0
        self.serving = Serving(store, log, clock=lambda: self.now, timer=lambda: self.seconds)
        self.client = TestClient(create_app(self.serving), raise_server_exceptions=False)

    def decide(self, n, prefix="d"):
        for i in range(n):
            body = {"customer_id": f"c{i}", "decision_id": f"{prefix}{i}", "context": {"level": "high"}}
            assert self.client.post("/v1/decisions", json=body).status_code == 200

    def scrape(self, **headers):
        """Every sample by its name and its labels' values; what is read from the log is read again."""
        self.seconds += 60
        response = self.client.get("/metrics", headers=headers)
        assert response.status_code == 200
        families = text_string_to_metric_families(response.text)
        return {
            (sample.name, *(sample.labels[one] for one in ORDER if one in sample.labels)): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def store(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as opened:
        yield opened


@pytest.fixture
def service(store, worlds):
    return Scraped(store, store.open_log(worlds.campaign(), worlds.noon), worlds.noon)


def summed(samples, name):
    return sum(value for (found, *_), value in samples.items() if found == name)


def test_decisions_are_counted_as_the_log_holds_them_whoever_made_them(service, store, worlds):
    service.decide(20)
    assert summed(service.scrape(), "manyarm_decisions_total") == 20
    service.decide(20)  # retries decide nothing
    elsewhere = worlds.decide(worlds.engine(service.serving.log.campaign), 5, prefix="batch")
    store.add_decisions([store.row_of(made, service.serving.log) for made in elsewhere])
    samples = service.scrape()
    counts = {key[1:]: value for key, value in samples.items() if key[0] == "manyarm_decisions_total"}
    query = "SELECT \"group\", policy, coalesce(fallback, 'none'), count(*) FROM decisions GROUP BY 1, 2, 3"
    assert counts == {tuple(labels): count for *labels, count in store.reader().execute(query)}
    assert sum(counts.values()) == 25


def test_counting_begins_with_the_process(service, store):
    service.decide(7)
    later = Scraped(store, service.serving.log, service.now)
    assert summed(later.scrape(), "manyarm_decisions_total") == 0
    later.decide(3, prefix="later")
    assert summed(later.scrape(), "manyarm_decisions_total") == 3
    assert summed(service.scrape(), "manyarm_decisions_total") == 10


def test_a_fallback_that_names_a_snapshot_is_not_a_series_of_its_own(service, store):
    service.decide(6)
    store.write(lambda connection: connection.execute("UPDATE decisions SET fallback = 's00' || seq || ': broken'"))
    fallbacks = {key[3] for key in service.scrape() if key[0] == "manyarm_decisions_total"}
    assert fallbacks == {"no usable snapshot"}


def test_every_answer_is_timed_by_route_and_status(service):
    service.decide(3)
    assert service.client.post("/v1/decisions", content=b"").status_code == 400
    assert service.client.get("/v1/decisions/d1").status_code == 200
    assert service.client.get("/v1/decisions/nobody").status_code == 404
    samples = service.scrape()
    count = {key[1:]: value for key, value in samples.items() if key[0] == "manyarm_http_request_seconds_count"}
    assert count[(*HOT, "200")] == 3
    assert count[(*HOT, "400")] == 1
    shown = next(key for key in count if key[1] != HOT[1])[1]
    assert shown.startswith("/v1/decisions/{decision_id")
    assert (count["GET", shown, "200"], count["GET", shown, "404"]) == (1, 1)


def test_no_caller_can_make_a_series(service):
    for path in ("/nothing", "/nothing/else", "/v1/decisions-1"):
        service.client.get(path)
    service.client.request("BREW", "/coffee")
    keys = [key for key in service.scrape() if key[0] == "manyarm_http_request_seconds_count"]
    assert {key[1] for key in keys} == {"GET", "other"}
    assert {key[2] for key in keys} == {"none"}


def test_a_latency_falls_into_its_bucket(service):
    async def slow(scope, receive, send):
        service.seconds += 0.004
        await send({"type": "http.response.start", "status": 204, "headers": []})

    measured = next(layer for layer in layers(service.client) if type(layer).__name__ == "Measured")
    behind, measured._app = measured._app, slow
    service.client.post("/v1/decisions")
    measured._app = behind
    samples = {key: value for key, value in service.scrape().items() if "204" in key}
    bucket = "manyarm_http_request_seconds_bucket"
    by_bound = {key[-1]: value for key, value in samples.items() if key[0] == bucket}
    assert (by_bound["0.0025"], by_bound["0.005"], by_bound["+Inf"]) == (0, 1, 1)
    assert samples["manyarm_http_request_seconds_sum", *HOT, "204"] == pytest.approx(0.004)


def layers(client):
    """The app's middleware from the outside in, made by a first request."""
    client.get("/healthz")
    layer = client.app.middleware_stack
    while layer is not None:
        yield layer
        layer = getattr(layer, "app", None) or getattr(layer, "_app", None)


def test_an_unexpected_error_is_a_500_that_is_counted(service, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(service.serving, "engine", None)
        assert service.client.post("/v1/decisions", json={"customer_id": "ann"}).status_code == 500
    assert service.scrape()["manyarm_http_request_seconds_count", *HOT, "500"] == 1


def test_states_snapshot_and_trainer_are_those_of_the_log(service):
    service.decide(30)
    service.client.post("/v1/decisions/d0/sent", json={"sent": False})
    before = service.scrape()
    assert (before["manyarm_decisions_open", "pending"], before["manyarm_decisions_open", "void"]) == (29, 1)
    assert (before["manyarm_decisions_matured",], before["manyarm_snapshot_serving",]) == (0, 0)
    assert ("manyarm_snapshot_age_seconds",) not in before
    service.now += timedelta(hours=73)
    service.serving.train()
    service.now += timedelta(minutes=5)
    after = service.scrape()
    assert (after["manyarm_decisions_open", "pending"], after["manyarm_decisions_matured",]) == (0, 29)
    assert (after["manyarm_snapshot_serving",], after["manyarm_snapshot_age_seconds",]) == (1, 300)
    assert 0 < after["manyarm_snapshot_learned_rows",] <= 29
    assert (after["manyarm_trainer_steps_total",], after["manyarm_trainer_step_age_seconds",]) == (1, 300)


def test_commits_and_their_failures_are_counted(service, store):
    service.decide(4)
    before = service.scrape()
    assert before["manyarm_writer_commit_size_count",] >= 4
    assert before["manyarm_writer_commit_seconds_count",] == before["manyarm_writer_commit_size_count",]
    assert (before["manyarm_writer_commits_failed_total",], before["manyarm_writer_queue_depth",]) == (0, 0)
    store.write(lambda connection: connection.execute("PRAGMA query_only = ON"))
    body = {"customer_id": "ann"}
    assert service.client.post("/v1/decisions", json=body).status_code == 503
    assert service.scrape()["manyarm_writer_commits_failed_total",] == 1


def test_webhook_events_are_counted_by_state_and_the_oldest_waiting_one_says_the_lag(service, store):
    rows = [("sendgrid", "e1", "waiting", 90), ("sendgrid", "e2", "waiting", 30), ("sendgrid", "e3", "done", 900)]
    rows.append(("postmark", "e4", "done", 900))

    def insert(connection):
        for provider, key, state, age in rows:
            at = (service.now - timedelta(seconds=age)).isoformat()
            connection.execute(
                "INSERT INTO webhook_events (provider, event_key, received_at, body, state) VALUES (?, ?, ?, x'', ?)",
                (provider, key, at, state),
            )

    store.write(insert)
    samples = service.scrape()
    assert samples["manyarm_webhook_events", "sendgrid", "waiting"] == 2
    assert samples["manyarm_webhook_events", "sendgrid", "done"] == 1
    assert samples["manyarm_webhook_lag_seconds", "sendgrid"] == 90
    assert samples["manyarm_webhook_lag_seconds", "postmark"] == 0


def test_answers_of_which_nothing_was_kept_are_counted_over_all_days(service, store):
    days = [("contest", "2026-11-21", 3), ("contest", "2026-11-22", 4), ("another", "2026-11-22", 9)]
    insert = "INSERT INTO unstored (campaign, day, reason, n) VALUES (?, ?, 'no consent', ?)"
    store.write(lambda connection: connection.executemany(insert, days))
    assert service.scrape()["manyarm_decisions_unstored", "no consent"] == 7


def test_tallies_are_exposed_by_their_labels_and_those_without_begin_at_nought(service):
    service.serving.tallies.add("requests_refused", "RateLimited")
    samples = service.scrape()
    assert samples["manyarm_requests_refused_total", "RateLimited"] == 1
    assert (samples["manyarm_gate_refusals_total",], samples["manyarm_trainer_errors_total",]) == (0, 0)


def test_scrapes_that_come_close_together_read_the_log_once(service):
    service.decide(2)
    assert summed(service.scrape(), "manyarm_decisions_total") == 2
    service.decide(2, prefix="more")
    service.seconds -= 59  # the next scrape is a second after the last
    assert summed(service.scrape(), "manyarm_decisions_total") == 2
    assert summed(service.scrape(), "manyarm_decisions_total") == 4


@pytest.mark.parametrize(
    ("count", "indexes"),
    [
        (open_decisions, {"decisions_due", "decisions_settled"}),
        (count_matured, {"decisions_matured"}),
        (lambda connection, _: oldest_waiting(connection), {"webhook_events_waiting"}),
        (lambda connection, _: count_webhook_events(connection), {"webhook_events_state"}),
    ],
)
def test_what_is_read_at_each_scrape_walks_an_index_and_not_the_log(store, count, indexes):
    """With a million decisions a walk over the log takes seconds."""
    queries = []
    store.reader().set_trace_callback(queries.append)
    count(store.reader(), 1)
    store.reader().set_trace_callback(None)
    plans = [row[3] for query in queries for row in store.reader().execute(f"EXPLAIN QUERY PLAN {query}")]
    assert {name for name in indexes if any(name in plan for plan in plans)} == indexes, plans
    assert not any(plan in ("SCAN decisions", "SEARCH decisions", "SCAN webhook_events") for plan in plans)


def test_two_services_count_apart(service, store):
    other = Scraped(store, service.serving.log, service.now)
    service.client.get("/healthz")
    assert ("manyarm_http_request_seconds_count", "GET", "/healthz", "200") in service.scrape()
    assert ("manyarm_http_request_seconds_count", "GET", "/healthz", "200") not in other.scrape()


def test_every_metric_of_the_table_is_exposed_with_its_help(service):
    text = service.client.get("/metrics").text
    for metric in METRICS:
        assert f"# HELP {metric.exposed} {metric.meaning}" in text
        assert f"# TYPE {metric.exposed} {metric.kind}" in text


def test_openmetrics_is_spoken_where_it_is_asked_for(service):
    accepted = service.client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert accepted.headers["content-type"].startswith("application/openmetrics-text")
    assert accepted.text.endswith("# EOF\n")
    assert service.client.get("/metrics").headers["content-type"].startswith("text/plain; version=")


def test_the_process_is_measured_too(service):
    assert summed(service.scrape(), "process_open_fds") > 0


def test_the_sizes_are_those_of_the_files(service, store):
    sizes = {key[1]: value for key, value in service.scrape().items() if key[0] == "manyarm_store_bytes"}
    assert sizes["database"] == Path(store.path).stat().st_size
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert service.scrape()["manyarm_store_bytes", "wal"] == 0
