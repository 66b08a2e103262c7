"""Erasing: the person is gone from every byte, the log can still be believed, and what groups earned stays right."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.trainer
from bandit import Context, Outcome
from evaluation.lift import GroupSums
from service.compared_log import from_store
from service.comparing import Wanted, compared
from service.comparison_report import document_of, text_of
from service.customer_keys import rotate_key
from service.engines import engine_for
from service.erased_sums import ErasedRow, ErasedSums, read_sums
from service.erasing import Order, erase_customer, erase_customers, erase_expired, erase_rows
from service.erasure import Reason, find_erasure
from service.group_report import group_sums, report_groups
from service.log_counts import count_matured
from service.log_source import ERASED, PENDING, StoreSource
from service.outcomes_table import record_outcome
from service.past_sends import PastSends
from service.provider_counts import check_provider, counts_in_log
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store
from service.webhooks.event import RawEvent
from service.webhooks.events_table import append_events

N = 30
"""Customers; each is decided for in three rounds, the last of which is pending."""


CONTROL = {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}
ONE_CANDIDATE = {"name": "regression", "learning_rate": 0.5}


class Kept:
    """A store with three rounds of decisions, and what tests do with it."""

    def __init__(self, path, worlds, **sections):
        self.path, self.worlds = path, worlds
        self.store = Store(path, salt=worlds.salt, secret=worlds.secret)
        self.log = self.store.open_log(
            worlds.campaign(groups={"random": 0.3, "control": CONTROL}, learner=ONE_CANDIDATE, **sections), worlds.noon
        )
        self.now = worlds.noon
        self.n_receipts = 0

    def round(self, name, *, learning=True, marks=()):
        """Decide for everybody, record a click for every third, wait four days and learn."""
        engine, contexts = engine_for(self.store, self.log), self.worlds.contexts(self.log.campaign, N, seed=len(name))
        rows = []
        for i, context in enumerate(contexts):
            given = Context({**context.values, **({"city": f"{marks[0]}{i}"} if marks else {})})
            made = engine.decide(f"c{i}", given, decision_id=f"{name}-{i}", at=self.now, past=[])
            rows.append(self.store.row_of(made, self.log))
        self.store.add_decisions(rows)
        for i in range(0, N, 3):
            self.click(f"{name}-{i}")
        self.now += timedelta(days=4)
        if learning:
            self.learn()

    def click(self, decision_id):
        outcome = Outcome(f"{decision_id} e", decision_id, "click", self.now)
        return self.store.write(lambda c: record_outcome(c, outcome, self.store.reward_of, self.now))

    def learn(self):
        return Trainer(self.store, self.log).step(self.now)

    def erase(self, customer_id):
        self.n_receipts += 1
        receipt = erase_customer(self.store, customer_id, Order(f"r{self.n_receipts}", self.now, Reason.REQUEST))
        self.store.wipe()
        return receipt

    def failed(self):
        return {check.name: check.failures for check in verify_store(self.store).checks if not check.passed}

    def sql(self, query, *values):
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def report(self):
        erased = read_sums(self.store.reader(), self.log.log_id)
        return report_groups(self.store.decisions(self.log), self.log.campaign, erased=erased)

    def bytes(self):
        return b"".join(path.read_bytes() for path in self.path.parent.glob(f"{self.path.name}*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, worlds):
    """A file with two rounds learned from, and one pending."""
    kept = Kept(tmp_path_factory.mktemp("kept") / "manyarm.db", worlds)
    for name in ("one", "three", "fifth"):
        kept.round(name, learning=name != "fifth")
    kept.store.close()
    return kept.path, kept.now


@pytest.fixture
def kept(made, tmp_path, worlds):
    """A copy of that file."""
    path, now = made
    copy = Kept(shutil.copy(path, tmp_path / "manyarm.db"), worlds)
    copy.now = now
    yield copy
    copy.store.close()


def test_rows_contexts_and_outcomes_of_the_person_go_and_nobody_elses(kept):
    receipt = kept.erase("c3")
    (removed,) = receipt.removed
    assert (removed.campaign, removed.decisions, removed.outcomes, removed.webhook_events) == ("contest", 3, 3, 0)
    left = {decision_id for (decision_id,) in kept.sql("SELECT decision_id FROM decisions")}
    assert len(left) == 3 * N - 3
    assert not any(decision_id.endswith("-3") for decision_id in left)
    assert kept.sql("SELECT count(*) FROM outcomes") == [(3 * N // 3 - 3,)]
    assert {decision_id for (decision_id,) in kept.sql("SELECT decision_id FROM outcomes")} <= left


def test_raw_events_that_name_the_decisions_or_their_messages_go_too(kept):
    for key, decision_id, message_id in (
        ("a", "one-3", "m1"),
        ("b", None, "m1"),
        ("c", None, None),
        ("d", "one-4", "m2"),
    ):
        kept.sql(
            "INSERT INTO webhook_events (provider, event_key, received_at, body, state, decision_id, message_id) "
            "VALUES ('brevo', ?, '', x'', 'done', ?, ?)",
            key, decision_id, message_id,
        )  # fmt: skip
    assert kept.erase("c3").removed[0].webhook_events == 2
    assert kept.sql("SELECT event_key FROM webhook_events ORDER BY 1") == [("c",), ("d",)]


def test_a_raw_event_that_nobody_has_read_yet_goes_too(kept):
    at = int(kept.now.timestamp())
    said = {"email": "c3@example.org", "event": "open", "timestamp": at, "sg_event_id": "e1", "decision_id": "fifth-3"}
    event = RawEvent("e1", json.dumps(said).encode(), None)
    kept.store.write(lambda c: append_events(c, "sendgrid", [event], kept.now))
    assert kept.erase("c3").removed[0].webhook_events == 1
    assert b"c3@example.org" not in kept.bytes()


def test_events_of_a_message_are_found_by_an_index(kept):
    """All others stand in the table too, and decisions wait meanwhile."""
    said = []
    with sqlite3.connect(kept.path) as connection:
        connection.execute(
            "INSERT INTO webhook_events (provider, event_key, received_at, body, state, decision_id, message_id) "
            "VALUES ('brevo', 'a', '', x'', 'parsed', 'one-3', 'm1')"
        )
        connection.set_trace_callback(said.append)
        erase_rows(connection, [4], Order("r", kept.now, Reason.REQUEST), kept.store.receipts_key)
        connection.set_trace_callback(None)
        on_events = [one for one in said if "webhook_events" in one and not one.startswith("INSERT")]
        plans = [row[3] for one in on_events for row in connection.execute(f"EXPLAIN QUERY PLAN {one}")]
    assert any(one.startswith("UPDATE") for one in on_events)
    assert [plan for plan in plans if "SCAN webhook_events" in plan] == []


def test_the_log_can_be_believed_after_erasures_and_after_learning_on(kept):
    for customer in ("c3", "c4", "c29", "c0"):
        kept.erase(customer)
    assert kept.failed() == {}
    kept.learn()
    assert kept.failed() == {}
    kept.erase("c7")
    kept.round("seventh")
    assert kept.failed() == {}


def test_what_was_never_matured_is_never_learned_from(kept):
    before = kept.learn().n_learned
    assert before > 0
    kept.round("late", learning=False)
    kept.erase("c5")
    learnable = kept.sql("SELECT count(*) FROM decisions WHERE decision_id LIKE 'late-%' AND \"group\" <> 'control'")[
        0
    ][0]
    assert kept.learn().n_learned == learnable
    assert kept.failed() == {}


def test_numbers_of_erased_rows_are_not_given_again_so_that_nothing_is_skipped(kept):
    kept.learn()
    last = kept.sql("SELECT decision_id FROM decisions ORDER BY matured DESC LIMIT 1")[0][0]
    kept.erase(f"c{last.split('-')[1]}")
    kept.round("later", learning=False)
    learnable = kept.sql("SELECT count(*) FROM decisions WHERE decision_id LIKE 'later-%' AND \"group\" <> 'control'")
    assert kept.learn().n_learned == learnable[0][0]
    assert kept.failed() == {}


def test_a_step_of_the_trainer_that_read_what_is_erased_meanwhile_is_thrown_away(kept, monkeypatch):
    train = service.trainer.train

    def erasing_meanwhile(*arguments):
        trained = train(*arguments)
        kept.erase("c1")
        return trained

    monkeypatch.setattr(service.trainer, "train", erasing_meanwhile)
    thrown = kept.learn()
    assert (thrown.n_learned, thrown.snapshot) == (0, None)
    monkeypatch.undo()
    assert kept.learn().n_learned > 0
    assert kept.failed() == {}


@pytest.mark.parametrize("edit", [
    "DELETE FROM decisions WHERE seq = 40",
    "UPDATE decisions SET context = '{}' WHERE seq = 40",
    "UPDATE decisions SET context = '{}' WHERE seq = (SELECT max(seq) + 1 FROM erased_rows WHERE seq < 40)",
    "DELETE FROM erased_rows WHERE seq = 4",
    "DELETE FROM erased_rows",
    "UPDATE erased_rows SET chain = zeroblob(16) WHERE seq = 4",
    "UPDATE erased_rows SET seq = 5 WHERE seq = 4",
    "DELETE FROM erasures",
])  # fmt: skip
def test_what_is_edited_or_removed_without_an_erasure_is_still_found(kept, edit):
    kept.erase("c3")
    assert kept.sql("SELECT seq FROM erased_rows") == [(4,), (34,), (64,)]
    kept.sql(edit)
    assert "chain" in kept.failed()


def test_an_erasure_that_somebody_adds_without_the_key_is_found(kept):
    kept.erase("c3")
    kept.sql("INSERT INTO erased_rows SELECT seq, 1, log_id, chain, matured, 1 FROM decisions WHERE seq IN (50, 51)")
    kept.sql("DELETE FROM decisions WHERE seq IN (50, 51)")
    assert kept.failed()["chain"][0] == (
        "row 4 was removed; the receipt of its erasure is not one that this store signed"
    )
    kept.sql("INSERT INTO erasures SELECT 2, 'forged', at, reason, before, 9, removed, mac FROM erasures")
    kept.sql("UPDATE erased_rows SET erasure = 2 WHERE seq IN (50, 51)")
    found = kept.failed()
    assert [failure.split(";")[0] for failure in found["chain"]] == ["row 50 was removed", "row 51 was removed"]
    assert found["erasures"] == [
        "erasure forged: the store did not sign this receipt for these rows",
        "log 1: 5 rows were erased, the sums that are kept of them have 3",
    ]


@pytest.mark.parametrize("change", [
    "UPDATE erasures SET removed = '[]'",
    "UPDATE erasures SET at = '2020-01-01T00:00:00.000000+00:00'",
    "UPDATE erasures SET reason = 'retention'",
    "UPDATE erased_rows SET matured = 1 WHERE seq = 64",
    "UPDATE erased_sums SET reward_sum = 100",
    "DELETE FROM erased_sums",
])  # fmt: skip
def test_a_receipt_or_a_sum_that_was_changed_is_found(kept, change):
    kept.erase("c3")
    kept.sql(change)
    assert "erasures" in kept.failed()


def test_sums_of_rows_that_nobody_erased_are_found(kept):
    assert kept.failed() == {}
    kept.sql("INSERT INTO erased_sums VALUES (1, 'learner', 500, 500, 500, 500.0, 500.0, 500.0, 500, 1, x'00')")
    assert kept.failed()["erasures"] == [
        "log 1: 0 rows were erased, the sums that are kept of them have 500",
        "log 1, group learner: the sums of its erased rows are not the ones that were written",
    ]


def test_a_receipt_can_be_asked_for_and_checked_and_says_nothing_of_the_person(kept):
    receipt = kept.erase("c3")
    key = kept.store.receipts_key
    assert find_erasure(kept.store.reader(), receipt.erasure_id, key) == (receipt, True)
    said = str(receipt.document())
    assert "'c3'" not in said
    assert kept.store.customer_keys.of("c3")[0] not in said
    kept.sql("UPDATE erasures SET removed = '[]'")
    assert find_erasure(kept.store.reader(), receipt.erasure_id, key)[1] is False


def test_who_is_not_known_gets_a_receipt_of_nothing_and_a_second_erasure_finds_nothing(kept):
    assert kept.erase("nobody").removed == ()
    assert kept.erase("c3").n_decisions == 3
    assert kept.erase("c3").removed == ()
    assert kept.failed() == {}


def test_a_decision_id_that_was_erased_is_unknown_and_may_be_decided_anew(kept):
    kept.erase("c3")
    with pytest.raises(Exception, match="no decision 'one-3'"):
        kept.click("one-3")
    engine = engine_for(kept.store, kept.log)
    again = engine.decide("c3", Context({}), decision_id="one-3", at=kept.now)
    kept.store.add_decisions([kept.store.row_of(again, kept.log)])
    assert kept.store.decision("one-3", kept.log).seq == 3 * N + 1
    assert kept.failed() == {}


def test_what_groups_earned_stays_the_same_to_the_last_customer(kept):
    kept.learn()
    before = kept.report()
    for i in range(0, N, 4):
        kept.erase(f"c{i}")
    after = kept.report()
    assert after.n_decisions == before.n_decisions == 3 * N
    assert after.n_erased == 3 * len(range(0, N, 4))
    for was, now in zip(before.lines, after.lines, strict=True):
        assert (now.group, now.n_sends, now.n_customers) == (was.group, was.n_sends, was.n_customers)
        assert now.reward == pytest.approx(was.reward, abs=1e-12)
        if was.lift:
            assert now.lift.difference.ci_lower == pytest.approx(was.lift.difference.ci_lower, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.floats(-3, 3).map(lambda r: round(r, 3))), min_size=1, max_size=40
    ),
    st.sets(st.sampled_from("abcdefgh")),
)
def test_sums_of_erased_customers_and_those_left_are_the_sums_of_all(sends, gone):
    erased = ErasedSums()
    for customer in sorted(gone):
        erased += ErasedSums.of(ErasedRow(1, "learner", c, "matured", r) for c, r in sends if c == customer)
    left = [(c, r) for c, r in sends if c not in gone]
    whole = GroupSums.of([r for _, r in sends], [c for c, _ in sends])
    found = group_sums([r for _, r in left], [c for c, _ in left], erased)
    assert (found.n_sends, found.n_customers, found.is_binary) == (whole.n_sends, whole.n_customers, whole.is_binary)
    assert found.reward_sum == pytest.approx(whole.reward_sum, abs=1e-9)
    assert found.residual_squares == pytest.approx(whole.residual_squares, abs=1e-8)


def test_cells_of_sums_are_no_finer_than_log_and_group(kept):
    kept.erase("c3")
    columns = {row[1] for row in kept.sql("PRAGMA table_info(erased_sums)")}
    assert not columns & {"context", "customer_key", "decision_id", "arms", "day", "decided_at"}
    left = {row[1] for row in kept.sql("PRAGMA table_info(erased_rows)")}
    assert left == {"seq", "erasure", "log_id", "chain", "matured", "learnable"}


def test_no_byte_of_the_person_is_left_in_the_files(tmp_path, worlds):
    fields = {"city": {"kind": "categorical", "protected": True}, **worlds.document()["context"]}
    kept = Kept(tmp_path / "manyarm.db", worlds, context=fields)
    for name in ("one", "three", "fifth"):
        kept.round(name, learning=name != "fifth", marks=("Atlantis",))
    key = kept.store.customer_keys.of("c3")[0].encode()
    assert all(mark in kept.bytes() for mark in (b'Atlantis3"', b"one-3", b"one-3 e", key))
    kept.erase("c3")
    found = [mark for mark in (b'Atlantis3"', b"one-3 ", b"three-3 ", key) if mark in kept.bytes()]
    assert found == []
    assert b'Atlantis4"' in kept.bytes()
    kept.store.close()


def test_old_rows_are_erased_once_they_were_learned_from(kept):
    retention = timedelta(days=10)
    new_ids = iter(f"x{i}" for i in range(9))
    kept.erase("c3")
    receipts = erase_expired(kept.store, kept.log, retention, at=kept.now, new_id=lambda: next(new_ids))
    assert [(one.reason, one.n_decisions) for one in receipts] == [("retention", N - 1)]
    assert Counter(one.split("-")[0] for (one,) in kept.sql("SELECT decision_id FROM decisions")) == {
        "three": N - 1, "fifth": N - 1
    }  # fmt: skip
    assert kept.failed() == {}
    assert erase_expired(kept.store, kept.log, retention, at=kept.now, new_id=lambda: next(new_ids)) == []


def test_old_rows_whose_window_is_open_or_that_nobody_learned_from_wait(kept):
    at = kept.now + timedelta(days=400)
    receipts = erase_expired(kept.store, kept.log, timedelta(days=30), at=at, new_id=lambda: "x")
    assert receipts[0].n_decisions == 2 * N
    Trainer(kept.store, kept.log).close_windows(at)
    waiting = kept.sql("SELECT count(*) FROM decisions WHERE \"group\" <> 'control'")[0][0]
    erase_expired(kept.store, kept.log, timedelta(days=30), at=at, new_id=lambda: "y")
    assert kept.sql("SELECT count(*) FROM decisions") == [(waiting,)]
    kept.learn()
    erase_expired(kept.store, kept.log, timedelta(days=30), at=at, new_id=lambda: "z")
    assert kept.sql("SELECT count(*) FROM decisions") == [(0,)]
    assert kept.failed() == {}
    assert kept.report().n_decisions == 3 * N


def test_rows_whose_past_has_expired_are_not_held_against_it(tmp_path, worlds):
    kept = Kept(tmp_path / "manyarm.db", worlds, wear_out={"window": "30d"})
    for name in ("one", "two", "three"):
        engine = engine_for(kept.store, kept.log)
        found = PastSends(kept.store, kept.log).to("ann", kept.now)
        made = engine.decide("ann", Context({}), decision_id=name, at=kept.now, past=found.sends)
        kept.store.add_decisions([kept.store.row_of(made, kept.log, seen=found.seen)])
        kept.now += timedelta(days=4)
        kept.learn()
    assert kept.store.decision("three", kept.log).exposures
    assert erase_expired(kept.store, kept.log, timedelta(days=10), at=kept.now, new_id=lambda: "x")
    assert kept.failed() == {}
    kept.store.close()


def test_a_row_that_waits_to_be_erased_is_not_held_against_a_past_that_is_gone(tmp_path, worlds):
    """Both are too old; only the first has been learned from, so only that one goes."""
    kept = Kept(tmp_path / "manyarm.db", worlds, wear_out={"window": "30d"})
    for name, waits in (("one", timedelta(days=4)), ("two", timedelta(days=15))):
        past = PastSends(kept.store, kept.log).to("c0", kept.now)
        made = engine_for(kept.store, kept.log).decide(
            "c0", Context({}), decision_id=name, at=kept.now, past=past.sends
        )
        kept.store.add_decisions([kept.store.row_of(made, kept.log, seen=past.seen)])
        kept.now += waits
        if name == "one":
            kept.learn()
    (receipt,) = erase_expired(kept.store, kept.log, timedelta(days=10), at=kept.now, new_id=lambda: "x")
    assert receipt.n_decisions == 1
    assert kept.store.decision("two", kept.log).exposures
    assert kept.failed() == {}
    kept.store.close()


def test_comparisons_and_evaluations_say_how_many_rows_were_erased(kept):
    kept.erase("c3")
    found = from_store(kept.store, kept.log, "reward", "")
    assert found.dropped == {PENDING: N - 1, ERASED: 3}
    source = StoreSource(kept.store, kept.log, frozenset({"learner", "random", "control"}))
    assert sum(len(batch.rewards) for batch in source.batches()) == 2 * N - 2
    assert source.dropped[ERASED] == 3


def test_a_comparison_tells_what_all_rows_earned_those_that_are_gone_included(kept):
    before = {one.group: one for one in compared(from_store(kept.store, kept.log, "reward", ""), Wanted()).values}
    for i in range(0, N, 3):
        kept.erase(f"c{i}")
    found = compared(from_store(kept.store, kept.log, "reward", ""), Wanted())
    document = document_of(found)["erased"]
    assert {"learner", "control"} <= document.keys()
    for group, whole in ((group, before[group]) for group in document):
        assert document[group]["value_with"] == pytest.approx(whole.value, abs=1e-12)
        assert document[group]["n_sends"] > 0
        assert f"with them {whole.value:.5f} a send" in text_of(found)


def test_raw_events_go_by_their_age_whatever_they_name(kept):
    for key, decision_id, received_at, state in (
        ("old", None, "2026-01-01", "unknown"), ("new", None, "2026-12-24", "unknown"), ("unread", None, "2026", "waiting"),
    ):  # fmt: skip
        kept.sql(
            "INSERT INTO webhook_events (provider, event_key, received_at, body, state, decision_id) "
            "VALUES ('brevo', ?, ?, x'', ?, ?)",
            key, received_at, state, decision_id,
        )  # fmt: skip
    (receipt,) = erase_expired(kept.store, kept.log, timedelta(days=90), at=kept.now, new_id=lambda: "x")
    assert (receipt.n_decisions, receipt.removed[0].webhook_events) == (0, 1)
    assert kept.sql("SELECT event_key FROM webhook_events ORDER BY 1") == [("new",), ("unread",)]
    assert kept.failed() == {}
    assert erase_expired(kept.store, kept.log, timedelta(days=90), at=kept.now, new_id=lambda: "y") == []


def test_what_is_decided_between_looking_up_and_erasing_goes_too(kept):
    orders = [(name, Order(name, kept.now, Reason.REQUEST)) for name in ("c1", "c2")]
    receipts = erase_customers(kept.store, orders)
    assert next(receipts).n_decisions == 3
    with Store(kept.path) as other:
        other.write(lambda connection: rotate_key(connection, kept.now))
        other.reload_keys()
        made = engine_for(other, kept.log).decide("c2", Context({}), decision_id="meanwhile", at=kept.now)
    kept.store.add_decisions([kept.store.row_of(made, kept.log)])
    assert next(receipts).n_decisions == 4
    assert kept.failed() == {}


def test_wear_out_is_counted_across_keys_and_not_held_against_rows_of_an_earlier_one(tmp_path, worlds):
    kept = Kept(tmp_path / "manyarm.db", worlds, wear_out={"window": "30d"})
    for number, name in enumerate(("one", "two", "three")):
        if number:
            kept.store.write(lambda connection: rotate_key(connection, kept.now))
            kept.store.reload_keys()
        found = PastSends(kept.store, kept.log).to("ann", kept.now)
        assert len(found.sends) == number
        made = engine_for(kept.store, kept.log).decide(
            "ann", Context({}), decision_id=name, at=kept.now, past=found.sends
        )
        kept.store.add_decisions([kept.store.row_of(made, kept.log, seen=found.seen)])
        kept.now += timedelta(days=1)
    assert len({key for (key,) in kept.sql("SELECT customer_key FROM decisions")}) == 3
    assert kept.failed() == {}
    assert kept.erase("ann").n_decisions == 3
    kept.store.close()


def test_a_process_that_goes_on_under_the_key_it_began_with_does_not_make_verify_fail(tmp_path, worlds):
    kept = Kept(tmp_path / "manyarm.db", worlds, wear_out={"window": "1d"})
    begun = kept.now

    def decide(store, name, at):
        found = PastSends(store, kept.log).to("ann", at)
        made = engine_for(store, kept.log).decide("ann", Context({}), decision_id=name, at=at, past=found.sends)
        store.add_decisions([store.row_of(made, kept.log, seen=found.seen)])
        return len(found.sends)

    with Store(kept.path) as other:
        kept.store.write(lambda connection: rotate_key(connection, begun))
        kept.store.reload_keys()
        assert decide(other, "under the earlier key", begun + timedelta(hours=1)) == 0
    assert decide(kept.store, "under the new one", begun + timedelta(hours=24, minutes=30)) == 1
    assert kept.failed() == {}
    kept.store.close()


def test_a_providers_counts_are_not_held_against_what_was_erased(kept):
    counted = counts_in_log(kept.store, kept.log)
    kept.erase("c3")
    assert counts_in_log(kept.store, kept.log)["sent"] == counted["sent"] - 3
    assert check_provider(kept.store, kept.log, counted).passed
    assert not check_provider(kept.store, kept.log, {"sent": counted["sent"] + 10}).passed
    assert not check_provider(kept.store, kept.log, {"sent": counted["sent"] - 10}).passed


def test_numbers_that_were_given_stay_counted(kept):
    before = count_matured(kept.store.reader(), kept.log.log_id)
    for i in range(N):
        kept.erase(f"c{i}")
    assert count_matured(kept.store.reader(), kept.log.log_id) == before == 2 * N
    assert kept.failed() == {}
