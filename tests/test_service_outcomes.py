"""What happened after a decision: each event counts once, within its window, in whatever order it is reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import service.outcomes_table
import service.trainer
from bandit import Outcome
from bandit.errors import ConflictingOutcome, InvalidOutcome, UnknownDecision
from service.outcomes_table import Receipt, iterate_matured, record_not_sent, record_outcome, record_sent
from service.store import Store
from service.trainer import Trainer

ACCEPTED, DUPLICATE, LATE, DEFERRED = Receipt
HOUR = timedelta(hours=1)
WORTH = {"click": 0.25, "conversion": 1.0, "complaint": -1.0}
CAMPAIGN = {"reward": {"window": "72h", "events": WORTH}}
EVENTS = st.lists(
    st.tuples(st.sampled_from(list(WORTH)), st.integers(0, 100), st.integers(0, 10**6)), min_size=1, max_size=6
)


@dataclass
class Book:
    """A store with a log, and times in hours after noon, when every decision is made."""

    worlds: object
    store: Store
    log: object
    n: int = 0

    def decide(self):
        """A new decision's id."""
        self.n += 1
        made = self.worlds.decide(self.worlds.engine(self.log.campaign), 1, prefix=f"{self.n}-")
        self.store.add_decisions([self.store.row_of(decision, self.log) for decision in made])
        return made[0].decision_id

    def at(self, hours):
        return self.worlds.noon + hours * HOUR

    def tell(self, decision_id, kind, hours, event_id=None, *, timed=True):
        outcome = Outcome(event_id or f"{decision_id} {kind} {hours}", decision_id, kind, self.at(hours))
        reward_of, now = self.store.reward_of, self.at(hours)
        return self.store.write(lambda connection: record_outcome(connection, outcome, reward_of, now, timed=timed))

    def sent(self, decision_id, hours, *, told=None):
        at, now, reward_of = self.at(hours), self.at(hours if told is None else told), self.store.reward_of
        return self.store.write(lambda connection: record_sent(connection, decision_id, at, reward_of, now))

    def not_sent(self, decision_id):
        return self.store.write(lambda connection: record_not_sent(connection, decision_id))

    def mature(self, hours):
        return Trainer(self.store, self.log).close_windows(self.at(hours))

    def row(self, decision_id):
        return self.store.decision(decision_id, self.log)

    def late(self, decision_id):
        query = "SELECT type FROM outcomes WHERE decision_id = ? AND late = 1 ORDER BY type"
        return [kind for (kind,) in self.store.reader().execute(query, (decision_id,))]

    def standing(self, decision_id):
        row = self.row(decision_id)
        return (row.state, row.reward)


@pytest.fixture(scope="module")
def book(tmp_path_factory, worlds):
    with Store(tmp_path_factory.mktemp("outcomes") / "manyarm.db") as store:
        yield Book(worlds, store, store.open_log(worlds.campaign(**CAMPAIGN), worlds.noon))


@pytest.fixture
def one(book):
    """A decision of its own for each test."""
    return book.decide()


def test_each_type_counts_once_and_types_add_up(book, one):
    assert [book.tell(one, "click", hours) for hours in (1, 2, 3)] == [ACCEPTED] * 3
    assert book.tell(one, "conversion", 4) == ACCEPTED
    book.mature(73)
    assert book.standing(one) == ("matured", 1.25)


def test_nothing_reported_is_a_reward_of_zero_and_only_when_the_window_has_closed(book, one):
    book.mature(71.99)
    assert book.standing(one) == ("pending", None)
    book.mature(72)
    assert book.standing(one) == ("matured", 0.0)


def test_a_repeated_report_is_a_duplicate_and_changes_nothing(book, one):
    assert [book.tell(one, "click", 1, f"{one} e") for _ in range(3)] == [ACCEPTED, DUPLICATE, DUPLICATE]
    book.mature(73)
    assert book.tell(one, "click", 1, f"{one} e") == DUPLICATE
    assert book.standing(one) == ("matured", 0.25)


def test_a_repeated_report_without_a_time_of_its_own_is_still_a_duplicate(book, one):
    assert book.tell(one, "click", 1, f"{one} e", timed=False) == ACCEPTED
    assert book.tell(one, "click", 2, f"{one} e", timed=False) == DUPLICATE


@pytest.mark.parametrize(
    ("kind", "hours", "same_decision"), [("conversion", 1, True), ("click", 2, True), ("click", 1, False)]
)
def test_one_event_id_for_two_events_is_a_conflict_and_the_first_stands(book, one, kind, hours, same_decision):
    book.tell(one, "click", 1, f"{one} e")
    with pytest.raises(ConflictingOutcome, match=r"already reported as 'click'.*give each event an id of its own"):
        book.tell(one if same_decision else book.decide(), kind, hours, f"{one} e")
    book.mature(73)
    assert book.standing(one) == ("matured", 0.25)


def test_the_last_moment_of_the_window_counts_and_the_next_one_is_late(book, one):
    assert book.tell(one, "click", 72) == ACCEPTED
    assert book.tell(one, "conversion", 72 + 1e-6 / 3600) == LATE
    book.mature(80)
    assert book.standing(one) == ("matured", 0.25)


def test_an_event_of_the_window_told_in_time_to_mature_counts_however_late_it_is_told(book, one):
    """A webhook that is delivered on day four still carries a click of day one."""
    outcome = Outcome(f"{one} e", one, "click", book.at(24))
    received = book.at(96)
    reward_of = book.store.reward_of
    assert book.store.write(lambda c: record_outcome(c, outcome, reward_of, received)) == ACCEPTED
    book.mature(97)
    assert book.standing(one) == ("matured", 0.25)


def test_whatever_is_told_after_maturing_is_kept_as_late_and_never_folded_in(book, one):
    book.mature(73)
    assert book.tell(one, "click", 1) == LATE
    book.mature(500)
    assert book.standing(one) == ("matured", 0.0)
    assert book.late(one) == ["click"]


def test_an_unknown_decision_is_refused_with_where_to_look(book):
    with pytest.raises(UnknownDecision, match=r"no decision 'nobody'.*that this is the database that decided"):
        book.tell("nobody", "click", 1)
    for report in (lambda: book.sent("nobody", 1), lambda: book.not_sent("nobody")):
        with pytest.raises(UnknownDecision, match="nobody"):
            report()


def test_an_unknown_type_is_refused_with_the_known_ones(book, one):
    with pytest.raises(InvalidOutcome, match=r"'open' is not in \[reward\]\.events.*Known: click, .*Correct the type"):
        book.tell(one, "open", 1)


def test_an_outcome_before_its_decision_is_refused_but_for_a_few_minutes_of_clock_skew(book, one):
    assert book.tell(one, "click", -4 / 60) == ACCEPTED
    with pytest.raises(InvalidOutcome, match=r"before its decision.*Check the clock or the decision_id"):
        book.tell(one, "conversion", -6 / 60)


def test_a_refused_report_leaves_nothing_behind(book, one):
    before = book.store.reader().execute("SELECT count(*) FROM outcomes").fetchone()
    for kind, hours in (("open", 1), ("click", -6)):
        with pytest.raises(InvalidOutcome):
            book.tell(one, kind, hours)
    assert book.store.reader().execute("SELECT count(*) FROM outcomes").fetchone() == before


def test_the_window_counts_from_the_sending_where_it_was_reported(book, one):
    assert book.sent(one, 24) == ACCEPTED
    assert book.tell(one, "click", 95) == ACCEPTED
    book.mature(95.9)
    assert book.standing(one) == ("pending", None)
    book.mature(96)
    assert book.standing(one) == ("matured", 0.25)
    assert book.row(one).sent_at == book.at(24)


def test_a_sending_reported_afterwards_takes_back_the_lateness_of_an_event(book, one):
    assert book.tell(one, "click", 80) == LATE
    assert book.sent(one, 24) == ACCEPTED
    assert book.late(one) == []
    book.mature(97)
    assert book.standing(one) == ("matured", 0.25)


def test_a_sending_before_the_decision_is_refused_but_for_a_few_minutes_and_shortens_the_window(book, one):
    with pytest.raises(InvalidOutcome, match="cannot have been sent before"):
        book.sent(one, -1)
    assert book.tell(one, "click", 72) == ACCEPTED
    assert book.sent(one, -4 / 60) == ACCEPTED
    assert book.late(one) == ["click"]


def test_a_sending_that_lies_more_than_a_day_ahead_is_refused_and_the_decision_still_matures(book, one):
    for ahead in (24.1, 24 * 365 * 3000):
        with pytest.raises(InvalidOutcome, match="queued for later is reported when it went out"):
            book.sent(one, 1 + ahead, told=1)
    book.mature(73)
    assert book.standing(one) == ("matured", 0.0)
    assert book.sent(book.decide(), 1 + 24, told=1) == ACCEPTED


def test_the_same_sending_twice_is_a_duplicate_and_another_one_is_refused(book, one):
    assert [book.sent(one, 1), book.sent(one, 1)] == [ACCEPTED, DUPLICATE]
    with pytest.raises(InvalidOutcome, match="Report a sending once, before its window closes"):
        book.sent(one, 2)
    with pytest.raises(InvalidOutcome, match=r"pending and was sent; it cannot be taken back"):
        book.not_sent(one)
    assert book.row(one).sent_at == book.at(1)


def test_a_message_that_never_went_out_is_void_and_stays_so(book, one):
    book.tell(one, "click", 1)
    assert [book.not_sent(one), book.not_sent(one)] == [ACCEPTED, DUPLICATE]
    assert book.tell(one, "conversion", 2) == LATE
    with pytest.raises(InvalidOutcome, match="is void; it cannot be sent at"):
        book.sent(one, 3)
    book.mature(500)
    assert book.standing(one) == ("void", None)
    matured = iterate_matured(book.store.reader(), book.log.log_id, book.log.campaign, after=0)
    assert one not in {row.decision.decision_id for row in matured}


def test_a_matured_decision_refuses_to_be_sent_or_taken_back(book, one):
    book.mature(73)
    with pytest.raises(InvalidOutcome, match=r"is matured; it cannot be sent"):
        book.sent(one, 24)
    with pytest.raises(InvalidOutcome, match=r"is matured; it cannot be taken back now"):
        book.not_sent(one)
    assert book.standing(one) == ("matured", 0.0)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.none() | st.integers(0, 60), st.data())
def test_any_order_and_any_repetition_of_the_same_reports_gives_the_same_reward(book, events, sent, data):
    """Compared with the reward worked out from the definition, not only with each other."""
    reports = [(kind, float(hours), str(number)) for number, (kind, hours, _) in enumerate(events)]
    reports += [] if sent is None else [("sent", float(sent), "")]
    order = data.draw(st.permutations(reports + data.draw(st.lists(st.sampled_from(reports), max_size=6))))
    close = (sent or 0) + 72
    happened = {kind for kind, hours, _ in reports if kind != "sent" and hours <= close}
    expected = sum(WORTH[kind] for kind in WORTH if kind in happened)
    told = [book.decide(), book.decide()]
    for one, sequence in zip(told, (reports, order), strict=True):
        for kind, hours, number in sequence:
            if kind == "sent":
                book.sent(one, hours)
            else:
                book.tell(one, kind, hours, f"{one} {number}")
    book.mature(500)
    assert [book.standing(one) for one in told] == [("matured", expected)] * 2
    assert book.late(told[0]) == book.late(told[1])


def test_windows_close_in_the_order_of_their_ends_and_each_row_gets_one_number(tmp_path, worlds, monkeypatch):
    """With steps of three rows, so that every boundary between two steps is crossed."""
    for module in (service.outcomes_table, service.trainer):
        monkeypatch.setattr(module, "MATURE_AT_ONCE", 3)
    with Store(tmp_path / "manyarm.db") as store:
        book = Book(worlds, store, store.open_log(worlds.campaign(**CAMPAIGN), worlds.noon))
        ids = [book.decide() for _ in range(10)]
        book.sent(ids[0], 30)
        assert [book.mature(72), book.mature(72), book.mature(200)] == [9, 0, 1]

        def numbers(**span):
            rows = iterate_matured(store.reader(), book.log.log_id, book.log.campaign, **span)
            return [(row.number, row.decision.decision_id) for row in rows]

        everything = list(enumerate([*ids[1:], ids[0]], start=1))
        assert numbers(after=0) == everything
        assert numbers(after=4) == everything[4:]
        for most in range(12):
            assert numbers(after=0, most=most) == everything[:most]
