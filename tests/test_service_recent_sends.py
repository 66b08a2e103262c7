"""Recent messages are counted from the log, stand in the row, are taken off its reward, and are checked afterwards."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandit import Context, Decision, Engine, Group, Outcome
from bandit.eligibility import Eligibility
from bandit.errors import UnusableLog
from bandit.wear_out import DAY
from evaluation.joint_pmf import JointPolicy
from evaluation.retrace import retraced
from evaluation.snapshot_target import SnapshotTarget
from policies.registry import group_policies
from service.compared_log import from_store
from service.comparing import Wanted, compared
from service.decided_again import pmfs_by
from service.engines import engine_for
from service.export_source import ExportSource
from service.log_source import StoreSource, batch_of
from service.outcome_worths import worths_behind
from service.outcomes_table import record_not_sent, record_outcome
from service.past_sends import PastSends
from service.statistical_audit import AuditRows, reports_of
from service.store import Log, Store
from service.trainer import Trainer
from service.verification import verify_store
from service.warm_starting import _exported_sends

COST, EVENTS = 0.1, {"click": 1.0}
QUIET = {"id": "no_send", "no_send": True}
NOON = "2026-11-22T12:00:00Z"


def document(worlds, campaign_id="summer", quiet=True, policy=None, **recent_send):
    """Subject, which may send nothing, and cta."""
    return worlds.document(
        campaign={"id": campaign_id},
        dimension=[
            worlds.dimension("subject", "plain", "champion", *[QUIET] * quiet),
            worlds.dimension("cta", "join", "invite"),
        ],
        reward={
            "window": "72h",
            "events": EVENTS,
            "recent_send": {"cost": COST, "within": "7d", "most": 4} | recent_send,
        },
        policy={"name": "squarecb", "floor": 0.3} | (policy or {}),
        groups={"random": 0.3},
    )


def campaign_of(worlds, *arguments, **options):
    return worlds.campaign(**document(worlds, *arguments, **options))


@pytest.fixture
def store(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield store


def decide(worlds, store, log, customer_id, days, engine=None):
    """One decision so many days after noon, stored; its ids say for whom and when."""
    at, decision_id = worlds.noon + days * DAY, f"{log.campaign.id}-{customer_id}-{days}"
    past, seen = PastSends(store, log).to(customer_id, at)
    engine = engine or worlds.engine(log.campaign)
    made = engine.decide(customer_id, Context({}), decision_id=decision_id, at=at, past=past)
    store.add_decisions([store.row_of(made, log, seen=seen)])
    return made


def clicked(store, made, hours=1):
    click = Outcome(f"{made.decision_id} e", made.decision_id, "click", made.decided_at + timedelta(hours=hours))
    store.write(lambda connection: record_outcome(connection, click, store.reward_of, click.at))


def sends_something(log, made):
    return not log.campaign.sends_nothing(made.choice)


def checks(store):
    return {check.name: check for check in verify_store(store).checks}


def busy(worlds, store, log, n=12):
    """Customers who hear every day for six days; every third message is clicked."""
    made = [decide(worlds, store, log, f"c{i}", day) for day in range(6) for i in range(n)]
    for place, one in enumerate(made):
        if sends_something(log, one) and place % 3 == 0:
            clicked(store, one)
    Trainer(store, log).close_windows(worlds.noon + 20 * DAY)
    return made


def test_messages_of_the_stretch_count_and_nothing_else_does(worlds, store):
    log = store.open_log(campaign_of(worlds), worlds.noon)
    sent = []
    for day in range(12):
        made = decide(worlds, store, log, "ann", day)
        assert made.recent_sends == min(sum(day - one < 7 for one in sent), 4)
        assert store.decision(made.decision_id, log).recent_sends == made.recent_sends
        sent += [day] if sends_something(log, made) else []
    assert 0 < len(sent) < 12
    assert decide(worlds, store, log, "bob", 5).recent_sends == 0
    assert verify_store(store).passed


def test_a_message_that_never_went_out_costs_nothing(worlds, store):
    log = store.open_log(campaign_of(worlds, quiet=False), worlds.noon)
    first = decide(worlds, store, log, "ann", 0)
    store.write(lambda connection: record_not_sent(connection, first.decision_id))
    assert decide(worlds, store, log, "ann", 1).recent_sends == 0
    # Reported later, it had counted; verify knows that both can be.
    second = decide(worlds, store, log, "ann", 2)
    assert second.recent_sends == 1
    store.write(lambda connection: record_not_sent(connection, second.decision_id))
    assert verify_store(store).passed


@pytest.mark.parametrize("everywhere", [False, True])
def test_messages_of_other_campaigns_count_where_the_file_says_so(worlds, store, everywhere):
    others = [
        store.open_log(campaign_of(worlds, "autumn", quiet=False), worlds.noon),
        store.open_log(worlds.campaign(campaign={"id": "plain"}), worlds.noon),
    ]
    for day, other in enumerate(others):
        decide(worlds, store, other, "ann", day)
    silent = store.open_log(campaign_of(worlds, "silent", policy={"name": "uniform"}), worlds.noon)
    quiet = [decide(worlds, store, silent, "ann", 2 + hours / 24) for hours in range(8)]
    n_sent = sum(sends_something(silent, one) for one in quiet)
    assert n_sent < 8
    log = store.open_log(campaign_of(worlds, most=20, all_campaigns=everywhere), worlds.noon)
    # The same campaign under an earlier file counts in any case.
    earlier = store.open_log(campaign_of(worlds, quiet=False), worlds.noon)
    decide(worlds, store, earlier, "ann", 3)
    assert decide(worlds, store, log, "ann", 4).recent_sends == 1 + (2 + n_sent if everywhere else 0)
    assert verify_store(store).passed


def test_rewards_are_what_outcomes_are_worth_less_the_cost_of_what_was_sent(worlds, store):
    log = store.open_log(campaign_of(worlds), worlds.noon)
    busy(worlds, store, log)
    low, high = log.campaign.reward.bounds
    rows = list(store.decisions(log))
    silent = [row for row in rows if row.arms[-1] == "no_send"]
    assert any(row.recent_sends for row in silent)
    assert all(row.reward == 0.0 for row in silent)
    charged = [row for row in rows if row.arms[-1] != "no_send"]
    assert {row.reward for row in charged} >= {-0.1, 1.0 - 0.1, -0.2}
    for row in charged:
        assert row.reward in {-COST * row.recent_sends, 1.0 - COST * row.recent_sends}
        assert low <= row.reward <= high
    assert checks(store)["recent sends"].n_checked == len(rows)
    assert verify_store(store).passed


@pytest.mark.parametrize(
    ("edit", "found", "names"),
    [
        ("recent_sends = recent_sends + 1", "the row counts", {"chain", "reward", "recent sends"}),
        ("recent_sends = 0", "the row counts 0", {"chain", "reward", "recent sends"}),
        ("recent_sends = NULL", "does not say", {"chain", "reward", "recent sends"}),
        ("recent_sends = -1", "cannot be", {"chain", "readable", "reward"}),
        ("reward = reward + 0.1", "less the cost of", {"reward"}),
    ],
)
def test_a_row_that_was_tampered_with_is_found(worlds, store, edit, found, names):
    log = store.open_log(campaign_of(worlds, quiet=False, policy={"name": "uniform"}), worlds.noon)
    for day in range(4):
        for customer_id in ("ann", "bob"):
            decide(worlds, store, log, customer_id, day)
    Trainer(store, log).close_windows(worlds.noon + 20 * DAY)
    assert verify_store(store).passed
    sql = sqlite3.connect(store.path, isolation_level=None)
    sql.execute(f"UPDATE decisions SET {edit} WHERE decision_id = 'summer-bob-2'")
    sql.close()
    failures = {name: check.failures for name, check in checks(store).items() if check.failures}
    # A lost row leaves a gap in the order of maturing, and a learner's pmf may show it too; these are the least.
    assert failures.keys() == names
    assert any("bob-2" in failure and found in failure for some in failures.values() for failure in some)


def test_a_table_is_decided_as_over_http_and_the_receipt_says_the_count(worlds, serve, cli, tmp_path):
    campaign = campaign_of(worlds)
    http = serve(campaign)
    http.learn(30)
    for _ in range(2):
        for i in range(8):
            http.decide(f"c{i}")
        http.wait(hours=20)
    copy, file = tmp_path / "copy.db", tmp_path / "campaign.toml"
    http.store.reader().execute("VACUUM INTO ?", (str(copy),))
    file.write_text(campaign.toml, encoding="utf-8")
    ids, customers = [f"d{i}" for i in range(10)], [f"c{i}" for i in range(10)]
    alone = [http.decide(who, decision_id=i) for who, i in zip(customers, ids, strict=True)]
    pq.write_table(pa.table({"customer_id": customers, "decision_id": ids}), tmp_path / "users.parquet")
    cli.run(
        "decide", "--users", tmp_path / "users.parquet", "--out", tmp_path / "choices.parquet", "--at",
        http.now.isoformat(), "--db", copy, "--campaign", file,
    )  # fmt: skip
    with Store(copy) as store:
        log = store.open_log(campaign, worlds.noon)
        for one, i in zip(alone, ids, strict=True):
            row, receipt = store.decision(i, log), http.show(i)
            assert dict(zip(("subject", "cta"), row.arms, strict=True)) == one["choice"]
            assert row.recent_sends == receipt["recent_sends"]
            assert row.snapshot == receipt["snapshot"]
            assert http.show(i, explain=1)["explanation"]["cost"] == COST * row.recent_sends
            assert row.pmfs[0] == pytest.approx(list(receipt["pmf"]["subject"].values()), abs=1e-12)
        assert {store.decision(i, log).recent_sends for i in ids} >= {0, 1, 2}
        assert verify_store(store).passed
    assert verify_store(http.store).passed


class Learned(NamedTuple):
    """A store and what was decided last in it."""

    store: Store
    log: Log
    engine: Engine
    folder: Path
    made: list[Decision]


@pytest.fixture(scope="module")
def learned(worlds, tmp_path_factory):
    """A store with a learner that knows something, and its log exported twice."""
    folder = tmp_path_factory.mktemp("learned")
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign_of(worlds), worlds.noon)
        busy(worlds, store, log)
        Trainer(store, log).step(worlds.noon + 20 * DAY)
        engine = engine_for(store, log)
        made = [decide(worlds, store, log, f"c{i}", 21 + day, engine) for day in range(3) for i in range(12)]
        Trainer(store, log).close_windows(worlds.noon + 40 * DAY)
        yield Learned(store, log, engine, folder, made)


def test_pmfs_are_made_again_from_the_row_and_a_wrong_count_shows_in_them(learned, tmp_path):
    store, _, engine, _, made = learned
    assert verify_store(store).passed
    worn = max((one for one in made if one.group is Group.LEARNER), key=lambda one: one.recent_sends)
    assert worn.recent_sends > 0
    assert [pmf.probabilities for pmf in pmfs_by(engine, worn)] == [
        pytest.approx(pick.pmf.probabilities, abs=1e-9) for pick in worn.picks
    ]
    copy = tmp_path / "copy.db"
    store.reader().execute("VACUUM INTO ?", (str(copy),))
    sql = sqlite3.connect(copy, isolation_level=None)
    sql.execute("UPDATE decisions SET recent_sends = 0 WHERE decision_id = ?", (worn.decision_id,))
    sql.close()
    with Store(copy) as tampered:
        failed = {name for name, check in checks(tampered).items() if check.failures}
    assert failed >= {"chain", "recent sends", "recomputed"}


def test_a_policy_that_never_sends_is_worth_nothing_and_costs_nothing(learned, cli):
    store, log, _, folder, _ = learned
    (folder / "campaign.toml").write_text(log.campaign.toml, encoding="utf-8")
    ours = ["--db", store.path, "--campaign", folder / "campaign.toml", "--group", "random"]
    never, always = (
        cli.values(cli.ask("--target", f"fixed:{choice}", "--estimators", "ips", *ours))["ips"]
        for choice in ("subject=no_send,cta=no_send", "subject=plain,cta=join")
    )
    assert never == 0.0
    shown = [row.reward for row in store.decisions(log) if row.group == "random" and row.arms == ("plain", "join")]
    assert min(shown) < 0.0
    assert always != 0.0


def test_a_snapshot_is_judged_with_the_counts_of_the_log_and_refused_without(learned):
    store, log, engine, _, _ = learned
    batch = batch_of(list(store.decisions(log)), log.campaign, 0)
    assert set(batch.recent_sends) == {0, 1, 2, 3, 4}
    policy, scorer = group_policies(log.campaign)[Group.LEARNER], engine.served.scorer
    target = SnapshotTarget(log.campaign, policy, scorer, "snapshot")
    joint, eligibility = JointPolicy(log.campaign, policy, scorer), Eligibility(log.campaign.dimensions)
    pmfs = target.pmfs(batch)
    for row, encoded in enumerate(batch.encoded(log.campaign.schema)):
        whole = joint.pmf(encoded)
        assert whole.sum() == pytest.approx(1.0)
        assert whole.sum(axis=1) == pytest.approx(pmfs[0][row], abs=1e-12)
        again = retraced(eligibility, policy, scorer, encoded.values, encoded, batch.picks[row].tolist())
        assert np.array_equal(next(iter(again))[0], pmfs[0][row])
    quiet = [pmfs[0][np.array(batch.recent_sends) == k, 2].mean() for k in (0, 4)]
    assert quiet[1] > quiet[0]
    silent = batch.only(np.ones(len(batch), dtype=np.bool_))
    bare = type(silent)(*(getattr(silent, name) for name in ("layout", "numbers", "rewards", "picks", "propensities")))
    with pytest.raises(UnusableLog, match="recent_send"):
        target.pmfs(bare)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_an_export_says_the_counts_again_and_teaches_what_outcomes_were_worth(learned, cli, name):
    store, log, _, folder, _ = learned
    (folder / "campaign.toml").write_text(log.campaign.toml, encoding="utf-8")
    cli.run("export", "--out", folder / name, "--db", store.path, "--campaign", folder / "campaign.toml")
    groups = frozenset({"learner", "random"})
    (read,) = ExportSource.read(folder / name, groups, log.campaign, ()).batches()
    (own,) = StoreSource(store, log, groups).batches()
    assert list(read.recent_sends) == list(own.recent_sends)
    assert read.rewards == pytest.approx(own.rewards, abs=0)
    worths = [send.reward for send in _exported_sends(folder / name, log.campaign)]
    assert set(worths) == set(worths_behind(read, log.campaign).tolist()) == {0.0, 1.0}
    assert len(worths) == len(own)
    # Who was rewarded is who clicked, whatever recent messages cost; without the file, what may be cost does not count.
    clicked_on = worths_behind(own, log.campaign) == 1.0
    assert 0 < clicked_on.sum() < np.count_nonzero(own.rewards)
    (bare,) = ExportSource.read(folder / name, groups, None, ()).batches()
    for batch in (own, read, bare):
        assert batch.rewarded.tolist() == clicked_on.tolist()
    assert not bare.only(~clicked_on).rewarded.any()


def test_reports_on_our_own_log_count_who_clicked_whatever_recent_messages_cost(learned):
    store, log, _, _, _ = learned
    clicked_on = sum(
        row.reward + COST * row.recent_sends > 0.5 for row in store.decisions(log) if row.arms[-1] != "no_send"
    )
    whole = from_store(store, log, "reward", "")
    assert int(whole.rewarded.sum()) == clicked_on < np.count_nonzero(whole.rewards)
    assert from_store(store, log, "click", "").rewarded is None
    (subject, _) = compared(whole, Wanted()).dimensions
    # Each message that was sent late enough cost something; too few were clicked for a verdict between any two arms.
    assert np.count_nonzero(whole.rewards[whole.picks[:, 0] == 0]) >= 20
    assert all(pair.once.is_thin and sum(pair.once.effective_rewards) > 0 for pair in subject.pairs)
    rows = AuditRows(log.campaign)
    assert sum(1 for _ in rows.watching(store.decisions(log))) == len(whole)
    audited = rows.log(reports_of(store, log))
    assert int((audited.earned > 0.0).sum()) == clicked_on
    assert set(np.unique(audited.earned[~np.isnan(audited.earned)]).tolist()) == {0.0, 1.0}


def test_check_says_what_it_costs(worlds, cli, tmp_path):
    file = tmp_path / "campaign.toml"
    file.write_text(worlds.toml(document(worlds, all_campaigns=True)), encoding="utf-8")
    assert "0.1 for each message of any campaign in the 7 days before one that goes out, 4 of them at most" in cli.run(
        "check", file
    )


@pytest.mark.parametrize("wear", [{}, {"wear_out": {"window": "30d"}}])
@pytest.mark.parametrize(("sooner", "count"), [(timedelta(0), 0), (timedelta(microseconds=1), 1)])
def test_the_edge_of_the_stretch_is_the_same_over_http_in_a_table_and_to_verify(
    worlds, serve, cli, tmp_path, wear, sooner, count
):
    campaign = worlds.campaign(**document(worlds, quiet=False) | wear)
    http = serve(campaign)
    file, users = tmp_path / "campaign.toml", tmp_path / "users.parquet"
    file.write_text(campaign.toml, encoding="utf-8")
    for who in ("ann", "bob", "cat", "eve"):
        http.decide(who, decision_id=f"{who}1")
    http.wait(days=7)
    http.now -= sooner
    http.decide("ann", decision_id="ann2")
    body = {"decisions": [{"customer_id": "bob", "decision_id": "bob2"}]}
    assert http.client.post("/v1/decisions/batch", json=body).status_code == 200
    copy = tmp_path / "copy.db"
    http.store.reader().execute("VACUUM INTO ?", (str(copy),))
    pq.write_table(pa.table({"customer_id": ["cat"], "decision_id": ["cat2"]}), users)
    cli.run(
        "decide", "--users", users, "--out", tmp_path / "out.parquet", "--at", http.now.isoformat(), "--db", copy,
        "--campaign", file,
    )  # fmt: skip
    with Store(copy) as store:
        log = store.open_log(campaign, worlds.noon)
        assert [store.decision(i, log).recent_sends for i in ("ann2", "bob2", "cat2")] == [count] * 3
        found = verify_store(store)
        assert found.passed
        assert {check.name: check.n_checked for check in found.checks}["recent sends"] == 7


@pytest.mark.parametrize(("sooner", "count"), [(timedelta(0), 0), (timedelta(microseconds=1), 1)])
def test_what_waits_to_be_stored_counts_as_long_as_what_is_stored(worlds, store, sooner, count):
    log = store.open_log(campaign_of(worlds, quiet=False), worlds.noon)
    engine, past, later = worlds.engine(log.campaign), PastSends(store, log), worlds.noon + 7 * DAY - sooner
    past.add(engine.decide("ann", Context({}), decision_id="d1", at=worlds.noon, past=[]))
    made = engine.decide("ann", Context({}), decision_id="d2", at=later, past=past.to("ann", later).sends)
    assert made.recent_sends == count
