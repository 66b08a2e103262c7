"""Deferred decisions count for nothing until they are reported as sent, and expire where nobody says so."""

from __future__ import annotations

import pytest

from bandit.reward import UNSENT, State
from service.group_report import report_groups
from service.past_sends import PastSends
from service.provider_counts import counts_in_log
from service.statistical_audit import audit
from service.verification import verify_store


@pytest.fixture
def http(serve):
    return serve(deferred_for="7d")


def state(http, decision_id):
    return http.show(decision_id)["state"]


def test_a_deferred_decision_is_never_matured_and_never_learned_from(http):
    http.decide(decision_id="d", deferred=True)
    assert (state(http, "d"), http.show("d")["deferred"]) == (State.DEFERRED, True)
    http.wait(days=6)
    http.serving.train()
    assert state(http, "d") == State.DEFERRED
    assert http.serving.engine.served is None, "there was nothing to learn from"


def test_once_sent_it_is_pending_and_its_window_counts_from_the_sending(http):
    http.decide(decision_id="d", deferred=True)
    http.wait(days=6)
    assert http.report("d", "sent")["status"] == "accepted"
    assert (state(http, "d"), http.show("d")["sent_at"]) == (State.PENDING, "2026-11-28T12:00:00Z")
    http.wait(hours=71)
    assert http.report("d", "outcomes", event_id="e", type="click")["status"] == "accepted"
    http.wait(hours=2)
    http.serving.train()
    assert (state(http, "d"), http.show("d")["reward"]) == (State.MATURED, 0.2)
    assert http.serving.engine.served.snapshot == "s00001"
    assert verify_store(http.store).passed


def test_one_that_nobody_reports_as_sent_expires_and_a_later_report_is_refused(http):
    http.decide(decision_id="d", deferred=True)
    http.decide(decision_id="other")
    http.wait(days=7)
    http.serving.train()
    assert (state(http, "d"), state(http, "other")) == (State.EXPIRED, State.MATURED)
    answer = http.report("d", "sent")
    assert (answer["status"], answer["title"]) == (422, "InvalidOutcome")
    assert "expired at 2026-11-29T12:00:00.000000+00:00 because nobody had reported it" in answer["detail"]
    assert http.report("d", "sent", sent=False)["status"] == "duplicate"
    assert http.report("d", "outcomes", event_id="e", type="click")["status"] == "late"
    assert verify_store(http.store).passed


def test_an_outcome_does_not_send_a_deferred_decision_but_counts_once_it_is_sent(http):
    for decision_id in ("sent", "lost"):
        http.decide(decision_id=decision_id, deferred=True)
        assert http.report(decision_id, "outcomes", event_id=decision_id, type="click")["status"] == "deferred"
        assert http.report(decision_id, "outcomes", event_id=decision_id, type="click")["status"] == "duplicate"
        assert state(http, decision_id) == State.DEFERRED
    http.report("sent", "sent", at="2026-11-22T12:00:00Z")
    http.wait(days=8)
    http.serving.train()
    assert (state(http, "sent"), http.show("sent")["reward"]) == (State.MATURED, 0.2)
    assert state(http, "lost") == State.EXPIRED


def test_one_reported_as_not_sent_is_void(http):
    http.decide(decision_id="d", deferred=True)
    assert http.report("d", "sent", sent=False)["status"] == "accepted"
    assert state(http, "d") == State.VOID
    http.wait(days=8)
    http.serving.train()
    assert state(http, "d") == State.VOID


def test_a_retry_must_be_as_deferred_as_the_first_request_even_after_the_sending(http):
    first = http.decide(decision_id="d", deferred=True)
    now = http.decide(decision_id="n")
    http.report("d", "sent")
    assert http.decide(decision_id="d", deferred=True) == first
    assert http.decide(decision_id="n") == now
    assert http.decide(decision_id="d")["detail"].count("deferred. The stored one stands") == 1
    assert "to count at once, and not deferred" in http.decide(decision_id="n", deferred=True)["detail"]


def test_how_long_it_waits_is_a_setting(serve):
    http = serve(deferred_for="30m")
    http.decide(decision_id="d", deferred=True)
    http.wait(minutes=29)
    http.serving.train()
    assert state(http, "d") == State.DEFERRED
    http.wait(minutes=1)
    http.serving.train()
    assert state(http, "d") == State.EXPIRED


def test_more_than_one_commit_of_them_expire_in_one_step(http, monkeypatch):
    for module in ("service.outcomes_table", "service.trainer"):
        monkeypatch.setattr(f"{module}.MATURE_AT_ONCE", 2)
    for i in range(5):
        http.decide(decision_id=f"d{i}", deferred=True)
    http.wait(days=7)
    http.serving.train()
    assert {row.state for row in http.rows()} == {State.EXPIRED}


def test_no_reader_of_the_log_takes_them_for_sends(http):
    for i in range(4):
        http.decide(f"c{i}", decision_id=f"gone{i}", deferred=True)
    http.wait(days=7)
    http.serving.train()
    for i in range(3):
        http.decide(f"c{i}", decision_id=f"waits{i}", deferred=True)
    assert report_groups(http.rows(), http.log.campaign, by="level").favourites == ()
    http.decide("bob", decision_id="sent")
    assert counts_in_log(http.store, http.log)["sent"] == 1
    assert report_groups(http.rows(), http.log.campaign).n_matured == 0
    void = next(one for one in audit(http.store, http.log) if one.name == "rewards: void")
    assert void.found.startswith("4 of 5 were not sent, 4 of them expired")
    matured = next(one for one in audit(http.store, http.log) if one.name == "rewards: matured")
    assert matured.found == "0 matured, 1 pending (0 overdue), 0 void, 3 deferred, 4 expired"


def test_what_was_not_sent_does_not_wear_out(worlds, serve):
    http = serve(worlds.campaign(wear_out={"window": "30d"}))
    for decision_id in ("sent", "waits", "gone"):
        http.decide(decision_id=decision_id, deferred=True)
    http.report("sent", "sent")
    http.report("gone", "sent", sent=False)
    http.wait(days=1)
    assert len(PastSends(http.store, http.log).to("ann", http.now).sends) == 1
    http.decide(decision_id="next")
    assert [len(row.exposures) for row in http.rows()] == [0, 0, 0, 2]
    assert verify_store(http.store).passed
    http.report("waits", "sent")
    assert verify_store(http.store).passed, "it was not known to be sent when the next one was decided"


def test_every_state_is_one_that_readers_know():
    assert set(State) == UNSENT | {State.PENDING, State.MATURED}
