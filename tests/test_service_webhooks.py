"""From a provider's event to a reward: machines do not count, nothing counts twice, and order does not matter."""

from __future__ import annotations

import functools
import itertools
import json
import sqlite3
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

import service.webhooks.judging
import service.webhooks.verdict
from bandit.errors import InvalidSettings
from service.app import create_app
from service.cli import main
from service.integrity import check_rewards
from service.serving import Serving
from service.settings import Settings
from service.statistical_audit import reports_of
from service.store import Store
from service.trainer import Trainer
from service.webhooks.digest import digest
from service.webhooks.event import RawEvent
from service.webhooks.events_table import append_events, iterate_in_state
from service.webhooks.judging import rescore
from service.webhooks.opt_outs import opt_in_recipient, opt_out_recipient
from service.webhooks.verdict import Verdict, Word, judge

SECRET = "a secret of the tests"
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
TIMES = {"Open": "ReceivedAt", "Click": "ReceivedAt", "Delivery": "DeliveredAt", "Bounce": "BouncedAt",
         "SpamComplaint": "BouncedAt", "SubscriptionChange": "ChangedAt"}  # fmt: skip
UNSUBSCRIBED = {"SuppressSending": True, "SuppressionReason": "ManualSuppression", "Origin": "Recipient"}


@dataclass
class Shop:
    """A service, and a mail provider (Postmark) that tells it things."""

    store: Store
    log: object
    serving: Serving
    client: TestClient
    now: list

    def decide(self, decision_id, customer="ann"):
        body = {"customer_id": customer, "decision_id": decision_id, "context": {}}
        return self.client.post("/v1/decisions", json=body)

    def event(self, kind, decision_id="d1", after=600, **more):
        """What Postmark says happened, so many seconds after the decision."""
        at = (self.now[0] + timedelta(seconds=after)).isoformat().replace("+00:00", "Z")
        base = {"RecordType": kind, TIMES[kind]: at, "Metadata": {"decision_id": decision_id}, "UserAgent": BROWSER}
        return base | more

    def tell(self, *events):
        headers = {"X-Webhook-Token": SECRET}
        response = self.client.post("/v1/webhooks/postmark", headers=headers, content=json.dumps(events))
        assert response.status_code == 200
        return response.json()

    def mature(self):
        """Three days later the windows are closed; returns rewards by decision."""
        self.now[0] += timedelta(hours=80)
        Trainer(self.store, self.log).close_windows(self.now[0])
        return dict(self.rows("decision_id, reward", "decisions"))

    def rows(self, columns, table="webhook_events"):
        return self.store.reader().execute(f"SELECT {columns} FROM {table} ORDER BY rowid").fetchall()


@pytest.fixture
def shop(tmp_path, worlds):
    """Decisions d1 and d2 of noon."""
    events = {"click": 0.2, "conversion": 1.0, "complaint": -1.0}
    campaign = worlds.campaign(reward={"window": "72h", "events": events})
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log, now = store.open_log(campaign, worlds.noon), [worlds.noon]
        settings = Settings({"webhook_postmark_secret": SECRET})
        serving = Serving(store, log, clock=lambda: now[0], settings=settings)
        with TestClient(create_app(serving)) as client:
            made = Shop(store, log, serving, client, now)
            made.decide("d1")
            made.decide("d2", "bob")
            yield made


def test_a_click_of_a_person_is_rewarded_and_one_of_a_machine_is_kept_and_not(shop):
    shop.tell(shop.event("Click"), shop.event("Click", "d2", UserAgent="Barracuda Sentinel (EE)"))
    assert shop.mature() == {"d1": 0.2, "d2": 0.0}
    assert shop.rows("decision_id, verdict, verdict_rule, late", "outcomes") == [
        ("d1", "human", "nothing_against", 0),
        ("d2", "machine", "user_agent", 0),
    ]
    assert check_rewards(shop.store.reader(), shop.log).failures == []
    reports = reports_of(shop.store, shop.log)
    assert reports.is_machine.tolist() == [False, True]


def test_a_person_who_clicks_after_the_machine_did_is_rewarded(shop):
    shop.tell(shop.event("Delivery", after=60), shop.event("Click", after=62), shop.event("Click", after=900))
    assert shop.mature()["d1"] == 0.2
    assert [word for (word,) in shop.rows("verdict", "outcomes")] == ["machine", "human"]


def test_a_click_is_judged_again_when_the_delivery_or_the_other_clicks_become_known(shop):
    first, *others = (shop.event("Click", after=600 + n, OriginalLink=f"https://shop.example/{n}") for n in range(3))
    shop.tell(first)
    digest(shop.store)
    assert shop.rows("verdict", "outcomes") == [("human",)]
    shop.tell(*others)
    digest(shop.store)
    assert set(shop.rows("verdict, verdict_rule", "outcomes")) == {("machine", "burst")}
    assert shop.mature()["d1"] == 0.0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_events_in_any_order_and_any_batches_give_the_same(shop, order):
    events = [shop.event("Delivery", after=60), shop.event("Click", after=63), shop.event("SpamComplaint", after=900)]
    for place in order:
        shop.tell(events[place], events[place])
        digest(shop.store)
    found = shop.rows("type, verdict, late", "outcomes")
    assert set(found) == {("click", "machine", 0), ("complaint", None, 0)}
    assert shop.rows("sent_at", "decisions")[0] == ("2026-11-22T12:01:00.000000+00:00",)
    assert shop.mature()["d1"] == -1.0


def test_a_batch_with_a_broken_event_keeps_all_and_reads_the_others(shop):
    assert shop.tell(shop.event("Click"), {"RecordType": 7}, "nothing", shop.event("Open"))["stored"] == 4
    digest(shop.store)
    assert [state for (state,) in shop.rows("state")] == ["parsed", "unreadable", "unreadable", "parsed"]
    assert len(shop.rows("type", "outcomes")) == 1


def test_a_type_that_the_campaign_does_not_count_is_kept_and_no_error(shop):
    shop.tell(shop.event("Open"))
    digest(shop.store)
    ((state, reason),) = shop.rows("state, reason")
    assert state == "parsed"
    assert "'open' is not in [reward].events" in reason


def test_a_bounce_after_a_reaction_changes_nothing(shop):
    shop.tell(
        shop.event("Click"), shop.event("Bounce", Type="HardBounce"), shop.event("Bounce", "d2", Type="HardBounce")
    )
    digest(shop.store)
    assert shop.rows("state", "decisions") == [("pending",), ("void",)]
    assert "somebody reacted to it (click)" in shop.rows("reason")[1][0]


def test_an_event_after_the_window_is_late_and_one_that_waited_in_time_is_not(shop):
    shop.tell(shop.event("Click", after=3600))
    shop.now[0] += timedelta(hours=73)
    shop.tell(shop.event("Click", "d2", after=0))
    assert shop.mature() == {"d1": 0.2, "d2": 0.0}, "the trainer reads what waits before it closes windows"
    assert shop.rows("late", "outcomes") == [(0,), (1,)]


def test_an_unsubscribe_at_the_provider_opts_out_though_the_campaign_does_not_count_it(shop):
    shop.tell(shop.event("SubscriptionChange", **UNSUBSCRIBED))
    digest(shop.store)
    ((key, reason),) = shop.rows("customer_key, reason", "opt_outs")
    assert (key, reason) == (shop.rows("customer_key", "decisions")[0][0], "postmark unsubscribe")


def test_whoever_subscribes_again_at_sendgrid_may_be_mailed_again(shop):
    shop.tell(shop.event("SubscriptionChange", **UNSUBSCRIBED))
    at = int((shop.now[0] + timedelta(seconds=900)).timestamp())
    body = json.dumps({"event": "group_resubscribe", "timestamp": at, "decision_id": "d1"}).encode()
    shop.store.write(lambda connection: append_events(connection, "sendgrid", [RawEvent("e1", body)], shop.now[0]))
    digest(shop.store)
    assert shop.rows("*", "opt_outs") == []


def test_postmarks_reactivation_names_nobody_and_takes_nothing_back(shop):
    reactivated = {"SuppressSending": False, "SuppressionReason": None, "MessageID": None, "Metadata": {}}
    shop.tell(shop.event("SubscriptionChange", **UNSUBSCRIBED))
    shop.tell(shop.event("SubscriptionChange", after=900, Origin="Recipient", **reactivated))
    digest(shop.store)
    assert [state for (state,) in shop.rows("state")] == ["parsed", "unknown"]
    assert len(shop.rows("*", "opt_outs")) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_late_resubscription_takes_back_what_was_before_it_and_no_newer_opt_out(shop, worlds, order):
    """Out at 0, in at 1, out at 2 hours: whoever comes last, they are out."""
    first, second, third = (worlds.noon + timedelta(hours=n) for n in range(3))
    says = [
        lambda connection: opt_out_recipient(connection, "d1", first, "first"),
        lambda connection: opt_in_recipient(connection, "d1", second),
        lambda connection: opt_out_recipient(connection, "d1", third, "third"),
    ]
    for place in order:
        shop.store.write(says[place])
    assert shop.rows("at, reason", "opt_outs") == [("2026-11-22T14:00:00.000000+00:00", "third")]
    shop.store.write(lambda connection: opt_in_recipient(connection, "d1", third))
    assert shop.rows("*", "opt_outs") == []


def test_clicks_beyond_what_a_person_makes_are_kept_and_neither_outcomes_nor_judged(shop, monkeypatch):
    monkeypatch.setattr("service.webhooks.events_table.MOST_JUDGED", 40)
    judged = Counter()
    monkeypatch.setattr(
        "service.webhooks.judging.judge", lambda seen, at: judged.update([len(seen)]) or judge(seen, at)
    )
    shop.tell(*(shop.event("Click", after=600 + n) for n in range(200)))
    digest(shop.store)
    assert judged == {32: 1, 40: 1}, "two transactions of seven have something to judge"
    assert Counter(shop.rows("state")) == {("parsed",): 40, ("surplus",): 160}
    assert len(shop.rows("1", "outcomes")) == 40
    shop.tell(shop.event("SpamComplaint", after=900), shop.event("Click", "d2"))
    digest(shop.store)
    assert shop.rows("type", "outcomes")[40:] == [("complaint",), ("click",)], "others are taken as ever"


def newer_rules(monkeypatch):
    monkeypatch.setattr(service.webhooks.judging, "VERDICT_VERSION", "2 of a test")
    everything = Verdict(Word.MACHINE, "everything")
    monkeypatch.setattr(service.webhooks.judging, "judge", lambda seen, _: dict.fromkeys(seen, everything))


def test_newer_rules_change_open_decisions_and_leave_final_rewards_as_they_are(shop, monkeypatch):
    shop.tell(shop.event("Click"))
    assert shop.mature()["d1"] == 0.2
    shop.decide("d3", "eve")
    shop.tell(shop.event("Click", "d3"))
    digest(shop.store)
    newer_rules(monkeypatch)
    found = rescore(shop.store)
    assert (found.n_decisions, found.n_changed, found.n_final) == (2, 1, 1)
    assert shop.rows("decision_id, verdict, verdict_rule, verdict_version, rescored", "outcomes")[1] == (
        "d3", "machine", "everything", "2 of a test", None,
    )  # fmt: skip
    assert shop.rows("verdict, verdict_rule, rescored", "outcomes")[0] == ("human", "nothing_against", "machine")
    assert check_rewards(shop.store.reader(), shop.log).failures == []
    assert rescore(shop.store).n_decisions == 0
    rewards = shop.mature()
    assert (rewards["d1"], rewards["d3"]) == (0.2, 0.0)


def test_two_digests_at_once_deal_with_each_event_once(shop, monkeypatch):
    """The second one has read the same events before the first one is done with them."""
    shop.tell(*(shop.event("Click", after=600 + n) for n in range(70)))
    seen = functools.cache(iterate_in_state)
    monkeypatch.setattr(
        "service.webhooks.digest.iterate_in_state", lambda _, *state, **page: seen(reader, *state, **page)
    )
    reader = shop.store.reader()
    assert [digest(shop.store).counts.total() for _ in range(2)] == [70, 0]
    assert len(shop.rows("1", "outcomes")) == 70


def test_events_are_read_by_the_service_itself_while_its_trainer_runs(shop):
    shop.serving.digester.start()
    shop.tell(shop.event("Click"))
    shop.serving.digester.stop()  # finishes what it was woken for, or leaves it
    digest(shop.store)
    assert len(shop.rows("type", "outcomes")) == 1


def test_a_locked_database_is_503_and_the_provider_sends_it_again(shop, monkeypatch):
    monkeypatch.setattr("service.connection.BUSY_SECONDS", 0.05)
    lock = sqlite3.connect(shop.store.path, isolation_level=None)
    headers, body = {"X-Webhook-Token": SECRET}, json.dumps(shop.event("Click"))
    with Store(shop.store.path) as other:
        serving = Serving(other, shop.log, clock=lambda: shop.now[0], settings=shop.serving.settings)
        with TestClient(create_app(serving), raise_server_exceptions=False) as client:
            lock.execute("BEGIN IMMEDIATE")
            refused = client.post("/v1/webhooks/postmark", headers=headers, content=body)
            assert (refused.status_code, refused.json()["title"]) == (503, "UnusableStore")
            lock.execute("ROLLBACK")
            assert client.post("/v1/webhooks/postmark", headers=headers, content=body).json()["stored"] == 1
    lock.close()


def test_the_command_shows_what_became_of_everything(shop):
    shop.tell(shop.event("Click"), shop.event("Click", "d9"), {"RecordType": 7})
    result = CliRunner().invoke(main, ["webhooks", "--db", str(shop.store.path), "--json", "--rescore"])
    document = json.loads(result.stdout)
    assert document["digested"] == {"parsed": 1, "unknown": 1, "unreadable": 1}
    assert {one["state"]: one["n"] for one in document["events"]} == document["digested"]
    assert document["verdicts"] == [{"type": "click", "verdict": "human", "rule": "nothing_against", "n": 1}]
    text = CliRunner().invoke(main, ["webhooks", "--db", str(shop.store.path), "--again"]).stdout
    assert "1 events read now" in text
    assert "postmark    unknown" in text
    text = CliRunner().invoke(main, ["webhooks", "--db", str(shop.store.path), "--drop-unknown"]).stdout
    assert "2 events deleted" in text
    assert shop.rows("state") == [("parsed",)]


@pytest.mark.parametrize(
    "given",
    [
        {"webhook_sendgrid_public_key": "bm8ga2V5"},
        {"webhook_resend_secret": "whsec_!"},
        {"webhook_ses_certificate": "no certificate", "webhook_ses_topic_arn": "arn:aws:sns:eu-west-1:1:t"},
    ],
)
def test_a_setting_that_cannot_be_a_key_is_found_when_the_service_starts(shop, given):
    serving = Serving(shop.store, shop.log, settings=Settings(given))
    with pytest.raises(InvalidSettings, match=next(iter(given))):
        create_app(serving)


def test_events_of_a_message_where_nothing_was_to_be_sent_are_refused_and_counted_and_an_opt_out_holds(
    tmp_path, worlds
):
    quiet = worlds.dimension("subject", {"id": "no_send", "no_send": True}, "plain")
    reward = {"window": "72h", "events": {"click": 0.2, "complaint": -1.0}}
    campaign = worlds.campaign(dimension=[quiet], reward=reward)
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log, now = store.open_log(campaign, worlds.noon), [worlds.noon]
        settings = Settings({"webhook_postmark_secret": SECRET})
        serving = Serving(store, log, clock=lambda: now[0], settings=settings)
        with TestClient(create_app(serving)) as client:
            made = Shop(store, log, serving, client, now)
            body = {"customer_id": "ann", "decision_id": "d1", "exclude": {"subject": ["plain"]}}
            assert client.post("/v1/decisions", json=body).json()["choice"] == {"subject": "no_send"}
            made.tell(*(made.event(kind) for kind in ("Delivery", "Open", "Click", "SpamComplaint")))
            made.tell(made.event("Bounce", Type="HardBounce", TypeCode=1))
            digest(store)
            assert Counter(made.rows("state")) == {("refused",): 5}
            assert "send nothing" in made.rows("reason")[0][0]
            assert made.rows("sent_at, state", "decisions") == [(None, "pending")]
            assert made.rows("event_id", "outcomes") == []
            assert len(made.rows("reason", "opt_outs")) == 1
            assert made.mature() == {"d1": 0.0}
    counted = CliRunner().invoke(main, ["webhooks", "--db", str(tmp_path / "manyarm.db"), "--json"])
    assert [(one["state"], one["n"]) for one in json.loads(counted.stdout)["events"]] == [("refused", 5)]
