"""Logs as rows to fit a world to, and how far the world is to be trusted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bandit import Context, Outcome
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.overlap import Verdict
from service.engines import engine_for
from service.export_source import ExportSource
from service.fitted_report import draw_reliability, fit_document, fit_text
from service.fitted_trust import BEST, LOGGED, UNIFORM, Judged, Trust, trust
from service.fitting import EVENTS_A_LEVEL, MOST_LEVELS, fit_rows_of, levels_of
from service.foreign_log import ColumnMap, ForeignLog
from service.log_source import USUAL_GROUPS, ForeignSource, StoreSource
from service.outcomes_table import record_outcome, record_sent
from service.store import Store
from service.trainer import Trainer
from simulator.fit_rows import LEAST_ROWS
from simulator.fitting import fit_world

N = 1200
SENT_AFTER, CLICKED_AFTER, CONVERTED_AFTER = timedelta(hours=2), timedelta(hours=5), timedelta(hours=20)


@pytest.fixture(scope="module")
def kept(cli, worlds, tmp_path_factory):
    """A database with one campaign: sent two hours after each decision; champions are clicked, some buy; all have matured."""
    folder = tmp_path_factory.mktemp("kept")
    sections = {"groups": {"random": 0.8, "control": {"share": 0.1, "choice": {"subject": "plain", "cta": "join"}}}}
    (folder / "campaign.toml").write_text(worlds.toml(worlds.document(**sections)), encoding="utf-8")
    ours = ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml"]
    rng = np.random.default_rng(1)
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(worlds.campaign(**sections), worlds.noon)
        engine, contexts = engine_for(store, log), worlds.contexts(log.campaign, N)
        made = [
            engine.decide(f"c{i // 2}", context, decision_id=f"d{i}", at=worlds.noon + timedelta(minutes=i))
            for i, context in enumerate(contexts)
        ]
        store.add_decisions([store.row_of(decision, log) for decision in made])

        def tell(connection):
            for one in made:
                sent = one.decided_at + SENT_AFTER
                record_sent(connection, one.decision_id, sent, store.reward_of, sent)
                for name, late, share in (("click", CLICKED_AFTER, 0.6), ("conversion", CONVERTED_AFTER, 0.2)):
                    if rng.random() < share * (one.choice["subject"] == "champion") + 0.1:
                        told = Outcome(f"{one.decision_id} {name}", one.decision_id, name, sent + late)
                        record_outcome(connection, told, store.reward_of, sent)

        store.write(tell)
    cli.run("learn", *ours, "--at", (worlds.noon + timedelta(days=9)).isoformat())
    for name in ("log.parquet", "log.csv"):
        cli.run("export", "--out", folder / name, *ours)
    return folder, worlds.campaign(**sections), made


def test_a_log_in_which_nothing_has_matured_is_refused_with_advice(worlds, tmp_path):
    with Store(tmp_path / "empty.db") as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        with pytest.raises(UnusableLog, match=r"no row with a final reward.*wait, or check the groups"):
            fit_rows_of(StoreSource(store, log, USUAL_GROUPS))


@pytest.fixture(scope="module")
def stored(kept):
    folder, _, _ = kept
    with Store(folder / "manyarm.db") as store:
        (log,) = store.logs()
        source = StoreSource(store, log, USUAL_GROUPS)
        yield *fit_rows_of(source), list(source.batches())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """600 rows that somebody else wrote: arm a brings money seldom, arm b seldom much."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    rng = np.random.default_rng(2)
    lines = ["arm,spend,plan"]
    for i in range(600):
        arm = "ab"[int(rng.integers(2))]
        spend = round(float(rng.lognormal(3.0, 0.8)), 2) if rng.random() < (0.5 if arm == "a" else 0.2) else 0
        lines.append(f"{arm},{spend},{('free', 'paid', '')[i % 3]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def foreign(path, reward="spend"):
    return ForeignSource(ForeignLog.read(path, ColumnMap("arm", reward, "0.5", ("plan",))))


@pytest.fixture(scope="module")
def spent(table):
    """The table's rows, the world fitted to them, and the log's batches."""
    source = foreign(table)
    rows, campaign = fit_rows_of(source)
    return rows, fit_world(rows, campaign, seed=0), list(source.batches())


amounts = arrays(
    np.float64,
    st.integers(1, 400),
    elements=st.sampled_from([0.0, 0.0]) | st.floats(-50, 500).map(lambda x: round(x, 2)),
)


@given(amounts.filter(np.any))
def test_levels_keep_the_mean_reward_and_are_few_and_every_amount_has_one(rewards):
    found = levels_of(rewards)
    assert 1 <= len(found.events) <= MOST_LEVELS
    assert found.labels.sum(axis=1).tolist() == (rewards != 0).astype(float).tolist()
    assert found.labels.sum(axis=0).min() >= 1
    by_level = found.labels @ np.array(list(found.events.values()))
    assert by_level.mean() == pytest.approx(rewards.mean(), abs=1e-9)
    assert list(found.events.values()) == sorted(found.events.values())


def test_many_amounts_are_divided_at_quantiles_and_few_events_are_not_divided():
    many = levels_of(np.concatenate([np.zeros(1000), np.arange(1.0, 4001.0)]))
    assert many.labels.sum(axis=0).tolist() == [500.0] * MOST_LEVELS
    few = levels_of(np.arange(EVENTS_A_LEVEL * 2.0))
    assert list(few.events) == ["reward"]
    with pytest.raises(UnusableLog, match=r"every reward in the log is 0.*which column is the reward"):
        levels_of(np.zeros(5))


def test_our_database_tells_outcomes_their_delays_and_when_who_was_sent_what(kept, stored):
    _, campaign, made = kept
    rows, found, _ = stored
    ours = [one for one in made if one.group.value in USUAL_GROUPS]
    assert found.content_hash == campaign.content_hash
    assert rows.types == ("click", "conversion")
    assert rows.worths == (0.2, 1.0)
    assert [dict(c) for c in rows.contexts] == [dict(one.context) for one in ours]
    assert list(rows.customers) == [one.customer_key for one in ours]
    assert rows.picks.tolist() == [list(campaign.picks_of(one.choice)) for one in ours]
    assert rows.propensities == pytest.approx([one.propensity for one in ours])
    assert rows.start == min(one.decided_at for one in ours)
    hours = [(one.decided_at - rows.start) / timedelta(hours=1) for one in ours]
    assert rows.at == pytest.approx(hours, abs=1e-6)
    counts = rows.labels.sum(axis=0)
    for name, late, count in zip(rows.types, (CLICKED_AFTER, CONVERTED_AFTER), counts, strict=True):
        assert rows.delays[name] == pytest.approx([late / timedelta(hours=1)] * int(count), abs=1e-3)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_an_export_tells_rewards_and_the_same_sends(kept, stored, name):
    folder, campaign, _ = kept
    rows, _, _ = stored
    exported, found = fit_rows_of(ExportSource.read(folder / name, USUAL_GROUPS, campaign, ()))
    assert exported.rewards == pytest.approx(rows.rewards)
    assert found.reward.events == pytest.approx({"reward-1": 0.2, "reward-2": 1.0, "reward-3": 1.2})
    assert exported.exclusive
    assert exported.picks.tolist() == rows.picks.tolist()
    assert list(exported.customers) == list(rows.customers)
    assert exported.at == pytest.approx(rows.at, abs=1e-6)
    assert exported.start == rows.start
    assert [c["level"] for c in exported.contexts] == [c["level"] for c in rows.contexts]


def test_an_export_needs_the_file_of_the_campaign_that_made_it(kept):
    folder, _, _ = kept
    with pytest.raises(InvalidSettings, match="name the campaign file with --campaign"):
        fit_rows_of(ExportSource.read(folder / "log.parquet", USUAL_GROUPS, None, ()))


def test_a_table_of_money_becomes_levels_and_its_world_has_the_same_mean(spent):
    rows, world, batches = spent
    spend = np.concatenate([batch.rewards for batch in batches])
    assert rows.rewards.mean() == pytest.approx(spend.mean())
    assert rows.exclusive
    assert len(set(rows.customers)) == 600
    logged = world.response.probabilities(rows.contexts, rows.picks) @ np.array(rows.worths)
    assert logged.mean() == pytest.approx(spend.mean(), rel=1e-3)


def test_too_short_a_log_is_refused(tmp_path, table):
    short = tmp_path / "short.csv"
    short.write_text("\n".join(table.read_text().splitlines()[:100]) + "\n", encoding="utf-8")
    with pytest.raises(UnusableLog, match="99 rows with a final reward, need at least 200"):
        fit_rows_of(foreign(short))


def test_a_world_is_held_against_its_own_log_and_what_is_wrong_shows(spent):
    rows, world, batches = spent
    found = trust(world, batches, seen=True)
    assert [row.policy for row in found.rows] == [LOGGED, UNIFORM, "always b", "always a", BEST]
    assert found.n_judged == 5
    assert found.rows[1].log == pytest.approx(rows.rewards.mean(), rel=0.05)
    assert found.n_agreeing >= 4
    doubled = replace(world, response=replace(world.response, worths=tuple(2.0 * worth for worth in rows.worths)))
    wrong = trust(doubled, batches, seen=False)
    assert wrong.n_agreeing == 0
    assert "do not tune against it" in wrong.sentence
    assert all(row.apart > 2.0 for row in wrong.rows)


def test_several_dimensions_are_judged_as_far_as_their_log_can(stored):
    rows, campaign, batches = stored
    found = trust(fit_world(rows, campaign, seed=0), batches, seen=True)
    names = [row.policy for row in found.rows]
    assert len(names) == 6
    assert sum(name.startswith("always champion") for name in names) == 2
    assert next(row for row in found.rows if row.policy == LOGGED).log == pytest.approx(rows.rewards.mean())
    assert found.n_agreeing >= found.n_judged - 1
    assert found.n_judged >= 3


def test_rows_that_a_world_was_not_fitted_to_are_refused(stored, table):
    rows, campaign, batches = stored
    world = fit_world(rows, campaign, seed=0)
    with pytest.raises(InvalidSettings, match="say seen=False for rows it has not seen"):
        trust(world, [batches[0].only(np.arange(len(batches[0])) > 0)], seen=True)
    with pytest.raises(InvalidSettings, match="other arms than the world"):
        trust(world, list(foreign(table).batches()), seen=False)


def test_the_sentence_says_as_much_as_the_log_does():
    def judged(world, verdict=Verdict.RELIABLE, se=0.01):
        return Judged("p", world, 0.1, se, 0.08, 0.12, verdict)

    right, wrong, mute = judged(0.11), judged(0.2), judged(0.2, Verdict.UNRELIABLE)
    assert Trust((right, right, mute), "snips").sentence.startswith("agrees within 2 standard errors on 2 of 2")
    assert "do not tune against it" in Trust((right, wrong), "snips").sentence
    assert "not for the others" in Trust((right,) * 4 + (wrong,), "snips").sentence
    assert "nothing is known" in Trust((mute, judged(0.1, se=0.0)), "snips").sentence


def test_the_report_says_the_same_in_words_and_as_a_document_and_draws_the_same_bytes(spent, tmp_path):
    rows, world, batches = spent
    found = trust(world, batches, seen=True)
    document, text = fit_document(world, found), fit_text(world, found)
    assert document["sentence"] in text
    assert document["n_rows"] == 600
    assert list(document["types"]) == list(rows.types)
    for one in document["policies"]:
        assert f"{one['policy']}" in text
        assert f"{one['world']:.5f}" in text
    for name in ("one.png", "two.png"):
        draw_reliability(tmp_path / name, world)
    drawn = (tmp_path / "one.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert drawn == (tmp_path / "two.png").read_bytes()


def test_a_delay_counts_from_when_the_message_was_to_go_out(tmp_path, worlds):
    """So does the window: a night of quiet hours is no delay of the customer's."""
    campaign = worlds.campaign(limits={"quiet_hours": {"from": "11:00", "until": "20:00"}})
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        engine = engine_for(store, log)
        made = [engine.decide(f"c{i}", Context({}), decision_id=f"d{i}", at=worlds.noon) for i in range(LEAST_ROWS)]
        assert made[1].send_at == worlds.noon + timedelta(hours=8)
        store.add_decisions([store.row_of(one, log) for one in made])
        click = Outcome("e1", "d1", "click", made[1].send_at + timedelta(hours=3))
        store.write(lambda c: record_outcome(c, click, store.reward_of, click.at))
        Trainer(store, log).close_windows(worlds.noon + timedelta(days=9))
        everybody = frozenset({"learner", "random", "control"})
        rows, _ = fit_rows_of(StoreSource(store, log, everybody))
    assert rows.delays["click"] == pytest.approx([3.0])
