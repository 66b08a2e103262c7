"""What could have been sent is what the rules left of a row's context and earlier picks, whoever decided and whatever is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
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


def lacking(folder, *columns):
    """The export without some of its columns, as earlier versions and tidy people write it."""
    path = folder / f"without-{'-'.join(columns)}.parquet"
    pq.write_table(pq.read_table(folder / "log.parquet").drop_columns(list(columns)), path)
    return path


@pytest.mark.parametrize("columns", [("excluded",), ("context.level",), ("context.days", "excluded")])
@pytest.mark.parametrize("group", ["random", "learner"])
def test_rows_whose_pmf_says_what_was_left_offer_that_whatever_the_export_lacks(logged, group, columns):
    folder, campaign = logged
    rows = [row for row in rows_in(folder) if row.group == group]
    found = offered(ExportSource.read(lacking(folder, *columns), frozenset({group}), campaign, ()))
    given = [[[p > 0.0 for p in pmf] for pmf in row.pmfs] for row in rows]
    assert rows
    if group == "random" or campaign.policy.floor:
        assert found == given == [left_by_rules(row, campaign) for row in rows]
        return
    asked = rows if "excluded" not in columns else [replace(row, excluded=()) for row in rows]
    if columns == ("excluded",):
        assert found == [merged(left_by_rules(row, campaign), own) for row, own in zip(asked, given, strict=True)]
    else:
        assert found == [merged(without_rules(row, campaign), own) for row, own in zip(asked, given, strict=True)]


def without_rules(row, campaign):
    """Arms that have no rules and that nobody excluded."""
    return [
        [not (arm.when or arm.requires) and Excluded(d, k) not in row.excluded for k, arm in enumerate(dimension.arms)]
        for d, dimension in enumerate(campaign.dimensions)
    ]


def merged(first, second):
    """Arms of either."""
    return [[a or b for a, b in zip(*masks, strict=True)] for masks in zip(first, second, strict=True)]


@pytest.mark.parametrize("group", ["control", "learner"])
def test_a_row_that_no_rules_can_have_left_keeps_what_it_says_itself_and_changes_no_other(logged, group):
    folder, campaign = logged
    rows = [replace(row, state="matured", reward=0.0) for row in rows_in(folder)]
    (first, *_) = [row for row in rows if row.group == group]
    wrong = replace(first, context={"level": "new", "days": None}, excluded=(Excluded(1, 0),), arms=("bold", "now"),
                    pmfs=((0.0, 0.0, 1.0), (0.0, 1.0, 0.0, 0.0)))  # fmt: skip
    batch = batch_of([wrong, *rows], campaign, 0)
    own = [False, True, True, True] if group == "control" else [False, True, False, False]
    assert batch.eligible(1)[0].tolist() == own
    for d in range(2):
        assert batch.eligible(d)[1:].tolist() == [left_by_rules(row, campaign)[d] for row in rows]


def test_what_callers_excluded_stays_out_with_a_floor_although_the_export_no_longer_says_it(cli, worlds, tmp_path):
    campaign = worlds.campaign(
        groups={"random": 0.5},
        policy={"name": "epsilon-greedy", "epsilon": 0.1, "floor": 0.1},
        dimension=[worlds.dimension("subject", "a", "b", "c")],
    )
    (tmp_path / "campaign.toml").write_text(campaign.toml, encoding="utf-8")
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log, engine = store.open_log(campaign, worlds.noon), worlds.engine(campaign)
        made = [
            engine.decide(
                f"c{i}", Context({}), decision_id=f"d{i}", at=worlds.noon, exclude={"subject": ["b"]} if i % 2 else None
            )
            for i in range(400)
        ]
        store.add_decisions([store.row_of(decision, log) for decision in made])
        store.write(lambda c: mature(c, log.log_id, campaign, worlds.noon + timedelta(days=4)))
    file = ("--campaign", tmp_path / "campaign.toml")
    cli.run("export", "--out", tmp_path / "log.parquet", "--db", tmp_path / "manyarm.db", *file)
    asked = (lacking(tmp_path, "excluded"), "--target", "uniform")
    alone, declared = cli.ask(*asked), cli.ask(*asked, *file)
    assert [one["mean_weight"] for one in (alone, declared)] == pytest.approx([1.0, 1.0])


def test_an_export_without_a_field_that_rules_ask_for_offers_a_control_row_every_arm_of_that_dimension(logged):
    folder, campaign = logged
    control = frozenset({"control"})
    for name in FILES:
        source = replace(ExportSource.read(folder / name, control, campaign, ()), names=("days",))
        (batch,) = source.batches()
        for at, excluded in enumerate(batch.excluded):
            for d, size in enumerate((3, 4)):
                assert batch.eligible(d)[at].tolist() == [Excluded(d, arm) not in excluded for arm in range(size)]


def test_context_is_read_only_where_a_pmf_does_not_say_what_could_have_been_sent(logged):
    folder, campaign = logged

    def read(*groups):
        source = ExportSource.read(folder / "log.parquet", frozenset(groups), campaign, ())
        return set(source.without_context().names)

    everything = {"level", "days"}
    assert read("random") == set()
    assert read("learner", "random") == (set() if campaign.policy.floor else everything)
    assert read("control") == read("control", "learner", "random") == everything


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
