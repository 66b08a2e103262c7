"""Arms that a caller excludes are removed before the draw, stand in the row, and every reader of the log knows of them."""

from __future__ import annotations

import json
import math

import pytest

from bandit import Context
from bandit.eligibility import Eligibility
from bandit.errors import InvalidExclusion, NoEligibleArm
from bandit.exclusion import Excluded
from bandit.group import Group
from evaluation.gate import Gate
from evaluation.joint_pmf import JointPolicy
from evaluation.snapshot_target import SnapshotTarget
from policies import group_policies
from service.export_source import ExportSource
from service.gating import judge
from service.log_source import StoreSource
from service.trainer import Trainer
from service.verification import verify_store

GROUPS = {"random": 0.2, "control": {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}}
EXCLUDE = {"subject": ["champion"], "cta": ["join"]}
EVERYBODY = frozenset(group.value for group in Group)


@pytest.fixture
def excluding(worlds, serve):
    """A service with a snapshot and 60 decisions, two of three with something excluded."""
    made = serve(worlds.campaign(groups=GROUPS))
    made.learn()
    for i in range(60):
        made.decide(f"c{i}", decision_id=f"d{i}", **({"exclude": EXCLUDE} if i % 3 else {}))
    return made


def test_an_excluded_arm_has_no_probability_and_the_others_share_what_it_had(worlds):
    engine = worlds.engine(worlds.campaign())
    made = engine.decide("ann", Context.of(), decision_id="d", at=worlds.noon, exclude={"subject": ["plain", "plain"]})
    assert made.picks[0].pmf.probabilities == (0.0, 0.5, 0.5)
    assert made.picks[1].pmf.probabilities == (0.5, 0.5)
    assert made.excluded == (Excluded(0, 0),)
    assert made.propensity == 0.25


def test_a_list_of_nothing_excludes_nothing(worlds):
    engine = worlds.engine(worlds.campaign())
    for exclude in ({}, {"subject": []}, None):
        made = engine.decide("ann", Context.of(), decision_id="d", at=worlds.noon, exclude=exclude)
        assert (made.excluded, made.propensity) == ((), 1 / 6)


@pytest.mark.parametrize(
    ("exclude", "words"),
    [({"subjct": ["plain"]}, "dimension 'subjct'"), ({"cta": ["jion"]}, "arm 'jion' of dimension 'cta'")],
)
def test_what_the_campaign_does_not_have_cannot_be_excluded(worlds, serve, exclude, words):
    with pytest.raises(InvalidExclusion, match=words):
        worlds.engine(worlds.campaign()).decide("ann", Context.of(), decision_id="d", at=worlds.noon, exclude=exclude)
    answer = serve().decide(exclude=exclude)
    assert (answer["status"], answer["title"]) == (422, "InvalidExclusion")
    assert words in answer["detail"]


def test_where_nothing_is_left_each_arm_is_named_with_what_removed_it(worlds):
    ruled = worlds.dimension("cta", {"id": "join", "when": {"level": ["high"]}}, "invite")
    engine = worlds.engine(worlds.campaign(dimension=[ruled]))
    with pytest.raises(NoEligibleArm) as caught:
        engine.decide("ann", Context.of(level="low"), decision_id="d", at=worlds.noon, exclude={"cta": ["invite"]})
    assert "'join' by when level (found 'low'); 'invite' by excluded by the caller" in str(caught.value)
    assert str(caught.value).endswith("Or exclude fewer.")


def test_a_control_customer_whose_arm_is_excluded_gets_one_of_the_others_at_random(worlds):
    campaign = worlds.campaign(groups={"control": {"share": 1.0, "choice": {"subject": "plain", "cta": "join"}}})
    made = worlds.engine(campaign).decide(
        "ann", Context.of(), decision_id="d", at=worlds.noon, exclude={"subject": ["plain"]}
    )
    assert made.picks[0].pmf.probabilities == (0.0, 0.5, 0.5)
    assert (made.picks[1].arm, made.picks[1].propensity) == ("join", 1.0)


def test_the_receipt_says_what_was_excluded_and_a_retry_must_exclude_the_same(serve):
    made = serve()
    first = made.decide(decision_id="d", exclude=EXCLUDE)
    assert made.show("d")["excluded"] == EXCLUDE
    assert made.decide(decision_id="d", exclude={"cta": ["join", "join"], "subject": ["champion"]}) == first
    for other in ({}, {"cta": ["join"]}):
        answer = made.decide(decision_id="d", exclude=other)
        assert (answer["status"], answer["title"]) == (409, "ConflictingDecision")
        assert "with other arms excluded. The stored one stands" in answer["detail"]


def test_a_log_with_exclusions_verifies_and_an_edited_one_does_not(excluding):
    assert {row.group for row in excluding.rows()} == EVERYBODY
    assert any(row.snapshot and row.excluded for row in excluding.rows())
    assert verify_store(excluding.store).passed
    excluding.store.write(lambda c: c.execute("UPDATE decisions SET excluded = '[[0,1]]' WHERE decision_id = 'd1'"))
    failed = {check.name for check in verify_store(excluding.store).checks if not check.passed}
    assert "chain" in failed
    assert failed & {"recomputed", "eligibility"}


def test_a_row_that_excludes_a_position_the_campaign_does_not_have_cannot_be_read(excluding):
    excluding.store.write(lambda c: c.execute("UPDATE decisions SET excluded = '[[0,9]]' WHERE decision_id = 'd1'"))
    assert not verify_store(excluding.store).passed


def test_the_export_names_excluded_arms_and_is_read_back_with_them(excluding, cli, worlds, tmp_path):
    excluding.wait(hours=73)
    excluding.serving.train()
    (tmp_path / "campaign.toml").write_text(excluding.log.campaign.toml)
    stored = StoreSource(excluding.store, excluding.log, EVERYBODY)
    expected = next(stored.batches())
    assert set(expected.excluded) == {(), (Excluded(0, 1), Excluded(1, 0))}
    for name in ("log.parquet", "log.csv"):
        path = tmp_path / name
        cli.run("export", "--out", path, "--db", excluding.store.path, "--campaign", tmp_path / "campaign.toml")
        for declared in (excluding.log.campaign, None):
            found = next(ExportSource.read(path, EVERYBODY, declared, ()).batches())
            assert found.excluded == expected.excluded
            barred = [at for at, row in enumerate(found.excluded) if row]
            assert not found.eligible(0)[barred, 1].any()
            assert found.eligible(0)[barred, 2].all()


def test_a_target_never_sends_what_the_rows_caller_excluded(excluding):
    excluding.wait(hours=73)
    excluding.serving.train()
    batch = next(StoreSource(excluding.store, excluding.log, EVERYBODY).batches())
    campaign, served = excluding.log.campaign, excluding.serving.engine.served
    policy = group_policies(campaign)[Group.LEARNER]
    barred = [at for at, row in enumerate(batch.excluded) if row]
    for scorer in (served.scorer, None):
        chosen = policy if scorer else group_policies(campaign)[Group.RANDOM]
        pmfs = SnapshotTarget(campaign, chosen, scorer, "target").pmfs(batch)
        assert not pmfs[0][barred, 1].any()
        assert not pmfs[1][barred, 0].any()
        joint = JointPolicy(campaign, chosen, scorer)
        for encoded in list(batch.encoded(campaign.schema))[-5:]:
            whole = joint.pmf(encoded)
            assert math.isclose(whole.sum(), 1.0)
            assert not encoded.excluded or (whole[1].sum(), whole[:, 0].sum()) == (0.0, 0.0)


def test_the_gate_and_evaluation_believe_a_log_with_exclusions(excluding, cli, tmp_path):
    trainer = Trainer(excluding.store, excluding.log)
    (tmp_path / "campaign.toml").write_text(excluding.log.campaign.toml)
    excluding.wait(hours=73)
    assert trainer.step(excluding.now, promoting=False).snapshot == "s00002"
    for i in range(40):
        excluding.decide(f"c{i}", decision_id=f"later{i}", **({"exclude": EXCLUDE} if i % 3 else {}))
    excluding.wait(hours=73)
    trainer.close_windows(excluding.now)
    # Both recompute each row's propensity from its snapshot, and refuse a log where that is another.
    assert judge(excluding.store, excluding.log, "s00002", Gate(0.0)).gain is not None
    places = ("--db", excluding.store.path, "--campaign", tmp_path / "campaign.toml")
    document = json.loads(cli.run("evaluate", "--target", "snapshot:s00001", *places, "--json"))
    assert document["estimators"]


def test_masks_over_all_earlier_choices_leave_excluded_arms_out(worlds):
    dimensions = worlds.campaign().dimensions
    masks = Eligibility(dimensions).masks(1, {}, (Excluded(1, 0), Excluded(0, 2)))
    assert masks.tolist() == [[False, True]] * 3


def test_without_consent_an_excluded_control_arm_is_not_sent_after_all(worlds, serve):
    context = worlds.document()["context"] | {"consent": {"kind": "boolean"}}
    choice = {"subject": "plain", "cta": "join"}
    groups, privacy = {"control": {"share": 0.1, "choice": choice}}, {"consent": "consent"}
    made = serve(worlds.campaign(context=context, groups=groups, privacy=privacy))
    assert made.decide(exclude={"cta": ["invite"]})["choice"] == choice
    answer = made.decide(exclude={"cta": ["join"]})
    assert (answer["status"], answer["title"]) == (422, "NoEligibleArm")
    assert "whose arm 'join' of 'cta' was excluded by the caller" in answer["detail"]
