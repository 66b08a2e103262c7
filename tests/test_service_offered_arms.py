"""What could have been sent is what the rules left of a row's context and earlier picks, whoever decided and whatever is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from bandit.context import Context
from bandit.decide_many import Requests, decide_many
from bandit.exclusion import Excluded
from bandit.group import Group
from evaluation.target import FixedTarget
from service.engines import engine_for
from service.export_source import ExportSource
from service.log_source import StoreSource, batch_of
from service.outcomes_table import mature
from service.store import Store
from service.verification import verify_store

EVERYBODY = frozenset(group.value for group in Group)
N = 90
CONTROL = {"subject": "plain", "cta": "join"}


def campaign_of(worlds, floor):
    """Rules on the context and on earlier picks, in the last dimension too."""
    subjects = ["plain", {"id": "vip", "when": {"level": ["old"]}}, {"id": "bold", "when": {"days": [0, 4]}}]
    ctas = ["join", {"id": "now", "when": {"level": ["old"]}}, {"id": "win", "requires": {"subject": ["plain", "vip"]}},
            {"id": "late", "when": {"days": [3, 10]}, "requires": {"subject": ["plain"]}}]  # fmt: skip
    return worlds.campaign(
        context={
            "level": {"kind": "categorical", "values": ["new", "old"]},
            "days": {"kind": "numeric", "range": [0, 10]},
        },
        groups={"random": 0.2, "control": {"share": 0.5, "choice": CONTROL}},
        policy={"name": "epsilon-greedy", "epsilon": 0.0, "floor": floor},
        dimension=[worlds.dimension("subject", *subjects), worlds.dimension("cta", *ctas)],
    )


def requests_of():
    """Customers of every kind, some without a field, some with an arm that the caller excludes."""
    contexts = [
        Context({"level": ("new", "old", None)[i % 3], "days": float(i % 11) if i % 7 else None}) for i in range(N)
    ]
    excluded = [[None, {"cta": ["join"]}, {"subject": ["bold"], "cta": ["win"]}][i % 4 % 3] for i in range(N)]
    return contexts, excluded


@pytest.fixture(scope="module", params=[0.0, 0.1], ids=["no floor", "a floor"])
def logged(request, cli, worlds, tmp_path_factory):
    """A log of all groups, learner's by a snapshot, its campaign, and its exports."""
    folder = tmp_path_factory.mktemp("offered")
    campaign = campaign_of(worlds, request.param)
    (folder / "campaign.toml").write_text(campaign.toml, encoding="utf-8")
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        snapshot = worlds.train(campaign, worlds.rows(campaign, 60, lambda *_: {"click": 0.3}))
        engine = worlds.engine(campaign, snapshot)
        contexts, excluded = requests_of()
        made = [
            engine.decide(f"c{i}", context, decision_id=f"d{i}", at=worlds.noon, exclude=out)
            for i, (context, out) in enumerate(zip(contexts, excluded, strict=True))
        ]
        store.add_decisions([store.row_of(decision, log) for decision in made])
        store.write(lambda c: mature(c, log.log_id, campaign, worlds.noon + timedelta(days=4)))
    for name in FILES:
        cli.run("export", "--out", folder / name, "--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml")
    return folder, campaign


FILES = ("log.parquet", "log.csv")


def left_by_rules(row, campaign):
    """Asked arm by arm, of the rules as they are written; and a subject after which no cta is left is none."""
    picked, found = {}, []
    for d, dimension in enumerate(campaign.dimensions):
        found.append([bool(is_left(row, campaign, d, arm, picked)) for arm in dimension.arms])
        picked[dimension.name] = row.arms[d]
    return found


def is_left(row, campaign, d, arm, picked):
    dimension = campaign.dimensions[d]
    is_out = any(place == d and dimension.ids[k] == arm.id for place, k, _ in row.excluded)
    if is_out or not arm.suits(row.context) or not arm.goes_with(picked):
        return False
    later, after = campaign.dimensions[d + 1 : d + 2], picked | {dimension.name: arm.id}
    return all(any(is_left(row, campaign, d + 1, one, after) for one in other.arms) for other in later)


def offered(source):
    """For each row the arms of each dimension that could have been sent."""
    return [
        [batch.eligible(d)[at].tolist() for d in range(2)] for batch in source.batches() for at in range(len(batch))
    ]


def rows_in(folder):
    with Store(folder / "manyarm.db") as store:
        (log,) = store.logs()
        return list(store.decisions(log))


def test_rows_of_every_group_offer_what_the_rules_left_in_the_database_and_in_exports(logged):
    folder, campaign = logged
    rows = rows_in(folder)
    expected = [left_by_rules(row, campaign) for row in rows]
    assert {row.group for row in rows} == EVERYBODY
    with Store(folder / "manyarm.db") as store:
        assert offered(StoreSource(store, store.logs()[0], EVERYBODY)) == expected
    for name in FILES:
        source = ExportSource.read(folder / name, EVERYBODY, campaign, ())
        assert offered(source) == offered(source.without_context()) == expected


def test_a_row_that_no_rules_can_have_left_keeps_what_it_says_itself(logged):
    folder, campaign = logged
    rows = [replace(row, state="matured", reward=0.0) for row in rows_in(folder) if row.group == "control"]
    wrong = replace(rows[0], context={"level": "new", "days": None}, excluded=(Excluded(1, 0),), arms=("bold", "now"),
                    pmfs=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.0)))  # fmt: skip
    batch = batch_of([wrong, *rows[1:]], campaign, 0)
    assert batch.eligible(1)[0].tolist() == [False, True, True, True]


def test_an_export_without_a_field_that_rules_ask_for_offers_a_control_row_every_arm_of_that_dimension(logged):
    folder, campaign = logged
    control = frozenset({"control"})
    for name in FILES:
        source = replace(ExportSource.read(folder / name, control, campaign, ()), names=("days",))
        (batch,) = source.batches()
        for at, excluded in enumerate(batch.excluded):
            for d, size in enumerate((3, 4)):
                assert batch.eligible(d)[at].tolist() == [Excluded(d, arm) not in excluded for arm in range(size)]


def test_without_control_rows_a_campaign_with_a_floor_reads_no_context_to_know_what_could_have_been_sent(logged):
    folder, campaign = logged
    source = ExportSource.read(folder / "log.parquet", frozenset({"learner", "random"}), campaign, ())
    # The cta asks for the subject, so a subject may lead nowhere, and what says so is read.
    assert set(source.without_context().names) == {"level", "days"}
    free = replace(campaign, dimensions=campaign.dimensions[:1])
    alone = replace(source, declared=free).without_context().names
    assert alone == (() if campaign.policy.floor else ("level", "days"))


def test_a_target_that_control_could_not_send_is_spread_over_what_it_could(logged):
    folder, campaign = logged
    with Store(folder / "manyarm.db") as store:
        (batch,) = StoreSource(store, store.logs()[0], frozenset({"control"})).batches()
    pmf = FixedTarget(campaign.picks_of({"subject": "plain", "cta": "now"}), "now").pmfs(batch)[1]
    new = np.array([context["level"] != "old" for context in batch.contexts()])
    assert not pmf[new, 1].any()
    assert (pmf[~new, 1] == 1.0).all()
    # A wrong arm on offer would take a share of those who cannot get the target's.
    rules = np.array([left_by_rules(row, campaign)[1] for row in rows_in(folder) if row.group == "control"])
    np.testing.assert_allclose(pmf[new], (rules / rules.sum(axis=1, keepdims=True))[new])


def test_control_gets_its_arm_or_any_that_the_rules_left_alone_and_in_tables(worlds):
    campaign = campaign_of(worlds, 0.1)
    engine = worlds.engine(campaign)
    contexts, excluded = requests_of()
    ids = [f"d{i}" for i in range(N)]
    alone = [
        engine.decide(f"c{i}", context, decision_id=ids[i], at=worlds.noon, exclude=excluded[i])
        for i, context in enumerate(contexts)
    ]
    together = decide_many(
        engine, Requests([f"c{i}" for i in range(N)], contexts, ids, [worlds.noon] * N, exclude=excluded)
    )
    usual, n_others = campaign.picks_of(CONTROL), 0
    for row, decision in enumerate(alone):
        assert together.decision(row) == decision
        if decision.group is not Group.CONTROL:
            continue
        encoded, picks = campaign.schema.encode(contexts[row]), []
        for d, pick in enumerate(decision.picks):
            left = campaign.eligibility.offered(d, encoded.values, picks, decision.excluded)
            arms = (usual[d],) if usual[d] in left else left
            n_others += usual[d] not in left
            assert pick.pmf.probabilities == tuple((k in arms) / len(arms) for k in range(len(pick.pmf.probabilities)))
            picks.append(campaign.dimensions[d].index_of(pick.arm))
    assert n_others > 5


def test_verify_finds_a_control_row_that_could_have_sent_an_arm_whose_rule_fails(worlds, tmp_path):
    campaign = campaign_of(worlds, 0.1)
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        engine, contexts = engine_for(store, log), requests_of()[0]
        made = [engine.decide(f"c{i}", one, decision_id=f"d{i}", at=worlds.noon) for i, one in enumerate(contexts)]
        store.add_decisions([store.row_of(decision, log) for decision in made])
        assert verify_store(store).passed
        without_when = [replace(d, arms=tuple(replace(arm, when={}) for arm in d.arms)) for d in campaign.dimensions]
        blind = replace(engine, campaign=replace(campaign, dimensions=tuple(without_when)))
        (someone, *_) = [f"c{i}" for i, one in enumerate(made) if one.group is Group.CONTROL]
        new = Context({"level": "new", "days": 2.0})
        wrong = blind.decide(someone, new, decision_id="wrong", at=worlds.noon, exclude={"subject": ["plain"]})
        assert wrong.picks[0].pmf.probabilities == (0.0, 0.5, 0.5)
        store.add_decisions([store.row_of(wrong, log)])
        failed = {check.name: check.failures for check in verify_store(store).checks if not check.passed}
    assert set(failed) == {"eligibility", "recomputed"}
    assert "decision wrong: pmf of 'subject' has probability on an arm that rules removed" in failed["eligibility"][0]
