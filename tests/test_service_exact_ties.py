"""Rows of before scores apart by rounding tied: they verify with a note and are weighed as they were drawn; wrong ones fail."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import pytest

from bandit import Context
from bandit.compiled import CompiledScorer
from bandit.decide_many import decide_many
from bandit.decisions import Requests
from bandit.eligibility import Eligibility
from bandit.errors import NoEligibleArm, UnusableLog
from bandit.estimates import TIE
from bandit.group import Group
from bandit.plain_scorer import PlainScorer
from bandit.ranking_learner import RankingModel
from bandit.ranking_request import Action, RankingRequest
from evaluation.columns import WEIGHT
from evaluation.composite import CompositeWeigher
from evaluation.estimator import part
from evaluation.evaluate import TARGET
from evaluation.exact_ties import ExactTieRows, ExactTies, Ties, under
from evaluation.joint_pmf import JointPolicy
from evaluation.pairwise_gain import PairwiseGain
from evaluation.verify import MOST_SHOWN
from policies.registry import group_policies
from policies.uniform import Uniform
from service.commands.verify import document_of, text_of
from service.deciders import Deciders
from service.engines import engine_for, served_by
from service.explaining import Explainer
from service.log_source import StoreSource
from service.outcomes_table import mature
from service.rankings.table import store_ranking
from service.rankings.trainer import Rankings
from service.settings import Settings
from service.store import Store
from service.trainer import Trainer
from service.verification import verify_store

SAID = "drawn before scores apart by rounding tied"
N = 24


@dataclass(frozen=True)
class Exact:
    """A policy of before: its tolerance is 0."""

    policy: object
    name = property(lambda self: self.policy.name)
    needs = property(lambda self: self.policy.needs)

    def shares(self, offer):
        return self.policy.shares(offer._replace(tie=0.0))

    def pmf(self, estimates, eligible, *, dimension):
        return self.policy.pmf(estimates._replace(tie=0.0), eligible, dimension=dimension)


@dataclass(frozen=True)
class Between(Exact):
    """A policy that never was: half of what it gave before, half of what it gives now."""

    def shares(self, offer):
        before, now = self.policy.shares(offer._replace(tie=0.0)), self.policy.shares(offer)
        return [(a + b) / 2.0 for a, b in zip(before, now, strict=True)]


def scores(n_arms, last_digit):
    """The first arm is worse; the others are alike but for the last digits."""
    return np.where(np.arange(n_arms) == 0, 0.1, 0.3) + last_digit * np.arange(n_arms) * 2.0**-54


@pytest.fixture(scope="module", autouse=True)
def rounded():
    """Single decisions round the last arm up, arrays the second one: what processors do by themselves, here on every one."""
    offer, estimates = PlainScorer.offer, CompiledScorer.estimates

    def alone(self, state, dimension, offered):
        found = offer(self, state, dimension, offered)
        first, last = self._blocks[dimension]
        return found._replace(scores=scores(last - first, 1)[list(offered)].tolist())

    def together(self, state, dimension, offered):
        found = estimates(self, state, dimension, offered)
        return found._replace(scores=scores(found.scores.size, -1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PlainScorer, "offer", alone)
        patch.setattr(CompiledScorer, "estimates", together)
        patch.setattr(
            CompiledScorer, "means", lambda self, linear: np.tile(scores(linear.shape[-1], -1), (len(linear), 1))
        )
        yield


@pytest.fixture(scope="module", params=["squarecb", "epsilon-greedy"])
def campaign(request, worlds):
    return worlds.campaign(
        policy={"name": request.param, "floor": 0.05},
        groups={"random": 0.2},
        dimension=[worlds.dimension("subject", "plain", "champion", "dominate"), worlds.dimension("hour", *"abcdef")],
    )


class Logged:
    """A store with a snapshot, in which decisions are made by the rule of today and by others."""

    def __init__(self, path, worlds, campaign):
        self.store, self.at, self.n = Store(path, salt=worlds.salt, secret=worlds.secret), worlds.noon, 0
        self.log = self.store.open_log(campaign, self.at)
        self.decide(60, lambda policy: policy)
        self.at += timedelta(days=4)
        Trainer(self.store, self.log).step(self.at)

    def decide(self, n, made_by=Exact, *, together=False, ahead=True):
        """Stores what is answered; says how many a snapshot decided."""
        engine = engine_for(self.store, self.log)
        campaign = replace(self.log.campaign)
        object.__setattr__(campaign, "eligibility", Eligibility(campaign.dimensions, looks_ahead=ahead))
        policies = {group: made_by(policy) for group, policy in engine.policies.items()}
        engine = replace(engine, policies=policies, campaign=campaign)
        ids, context = [f"d{self.n + i}" for i in range(n)], Context.of(level="high")
        self.n += n
        if together:
            asked = Requests([f"c{name}" for name in ids], [context] * n, ids, [self.at] * n)
            found = decide_many(engine, asked)
            made = [found.decision(row) for row in range(n)]
        else:
            made = [made for made in (self.alone(engine, name, context) for name in ids) if made]
        self.store.add_decisions([self.store.row_of(decision, self.log) for decision in made])
        return sum(decision.snapshot is not None for decision in made)

    def alone(self, engine, name, context):
        with suppress(NoEligibleArm):  # a dead end was drawn
            return engine.decide(f"c{name}", context, decision_id=name, at=self.at)

    def notes(self):
        """What verify notes of a log that it passes."""
        found = verify_store(self.store)
        assert found.passed, [check.failures for check in found.checks if not check.passed]
        assert all(note in text_of(found) for check in found.checks for note in check.notes)
        return {check.name: check.notes for check in found.checks if check.notes}

    def failures(self):
        return {check.name: check.failures for check in verify_store(self.store).checks if not check.passed}

    def batches(self):
        self.store.write(lambda c: mature(c, self.log.log_id, self.log.campaign, self.at + timedelta(days=4)))
        return list(StoreSource(self.store, self.log, frozenset({"learner"})).batches())

    def decider(self, snapshot):
        campaign, policies = self.log.campaign, group_policies(self.log.campaign)
        if not snapshot:
            return JointPolicy(campaign, policies[Group.RANDOM])
        return JointPolicy(campaign, policies[Group.LEARNER], served_by(self.store, self.log, snapshot).scorer)


@pytest.fixture
def logged(tmp_path, worlds, campaign):
    made = Logged(tmp_path / "manyarm.db", worlds, campaign)
    yield made
    made.store.close()


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_rows_of_before_verify_with_a_note_that_counts_them_whichever_way_they_were_rounded(logged, together):
    n_drawn = logged.decide(N, together=together)
    (note,) = logged.notes()["recomputed"]
    assert 0 < n_drawn < N
    assert note.startswith(f"{n_drawn} rows were {SAID} (")
    (told,) = [check for check in document_of(verify_store(logged.store))["checks"] if "notes" in check]
    assert (told["check"], told["n_failed"], told["notes"]) == ("recomputed", 0, [note])


def test_rows_of_today_verify_without_a_word(logged):
    for together in (False, True):
        assert logged.decide(N, lambda policy: policy, together=together)
    assert logged.notes() == {}


def test_rows_of_today_are_made_again_once(logged, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "evaluation.recomputed_check.under", lambda ties, scorer: asked.append(ties) or under(ties, scorer)
    )
    logged.decide(N, lambda policy: policy)
    logged.notes()
    assert set(asked) == {Ties.WITHIN_ROUNDING}


def test_a_pmf_that_neither_rule_gives_still_fails_beside_rows_of_before(logged):
    logged.decide(N)
    n_wrong = logged.decide(N, Between)
    found = logged.failures()
    assert found.keys() == {"recomputed"}
    assert len(found["recomputed"]) == min(2 * n_wrong, MOST_SHOWN)
    assert all("differs by" in failure for failure in found["recomputed"])


def test_rows_of_before_are_explained_by_the_pmf_that_they_were_drawn_by(logged):
    logged.decide(N)
    rows = [row for row in logged.store.decisions(logged.log) if row.snapshot and row.group == "learner"]
    shown = Explainer(logged.store, logged.log).document(rows[0], None)
    assert shown["note"] is None
    assert [tuple(stage["pmf"].values()) for stage in shown["dimensions"]] == list(rows[0].pmfs)


@dataclass(frozen=True)
class Before:
    """Draws as a decider did at the time."""

    decider: JointPolicy
    ties: Ties

    def pmf(self, encoded):
        return self.decider.pmf_under(self.ties, encoded, is_blind=False)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "together"])
def test_what_drew_rows_of_before_weighs_1_in_them_and_the_rule_of_today_does_not(logged, together):
    n_drawn, deciders = logged.decide(N, together=together), Deciders(logged.decider)
    (every,) = logged.batches()
    batch, campaign = every.only(np.array([name != "" for name in every.deciders])), logged.log.campaign
    assert len(batch) == n_drawn
    now = deciders[batch.deciders[0]]
    before = Before(now, Ties.EXACT if together else Ties.EXACT_ALONE)
    own, other = (CompositeWeigher(campaign, target, deciders, "t").weigh(batch) for target in (before, now))
    np.testing.assert_allclose(own.weights, 1.0, atol=1e-9)
    assert np.abs(other.weights - 1.0).max() > 0.1
    gain = part(PairwiseGain(campaign, before, before, deciders).tally([every]).sums, TARGET)
    assert gain.n == len(every)
    assert part(PairwiseGain(campaign, before, now, deciders).tally([batch]).sums, TARGET).mean(
        WEIGHT.name
    ) == pytest.approx(1.0)


def test_a_whole_choice_that_neither_rule_gives_is_still_refused(logged):
    logged.decide(N, Between)
    deciders, uniform = Deciders(logged.decider), JointPolicy(logged.log.campaign, Uniform())
    (batch,) = logged.batches()
    with pytest.raises(UnusableLog, match="its snapshot gives"):
        CompositeWeigher(logged.log.campaign, uniform, deciders, "uniform").weigh(batch)
    with pytest.raises(UnusableLog, match="its snapshot gives"):
        PairwiseGain(logged.log.campaign, uniform, uniform, deciders).tally([batch])


def test_a_log_of_before_is_evaluated_by_the_command(logged, cli, tmp_path):
    logged.decide(N)
    logged.batches()
    (tmp_path / "campaign.toml").write_text(logged.log.campaign.toml, encoding="utf-8")
    ours = ["--db", tmp_path / "manyarm.db", "--campaign", tmp_path / "campaign.toml"]
    found = cli.ask("--target", "fixed:subject=champion,hour=b", "--estimators", "order-2", *ours)
    assert cli.values(found).keys() == {"order-2"}


@pytest.mark.parametrize("ahead", [False, True], ids=["of before dead ends were out", "with dead ends out"])
def test_rows_of_before_both_rules_are_told_by_both_notes(tmp_path, worlds, ahead):
    campaign = worlds.campaign(
        policy={"name": "epsilon-greedy", "floor": 0.1},
        groups={"random": 0.2},
        dimension=[
            worlds.dimension("subject", "plain", "champion", "loud", "dominate"),
            worlds.dimension("hour", {"id": "nine", "requires": {"subject": ["plain", "champion", "loud"]}},
                             {"id": "ten", "when": {"level": ["low"]}}),
        ],
    )  # fmt: skip
    made = Logged(tmp_path / "manyarm.db", worlds, campaign)
    n_drawn = made.decide(N, ahead=ahead)
    # Where dead ends are out since, nothing of that is of before: the rows that taught have them out already.
    found = made.notes() if ahead else made.failures()
    (note,) = next(check for check in verify_store(made.store).checks if check.name == "recomputed").notes
    made.store.close()
    assert note.startswith(f"{n_drawn} rows were {SAID}")
    assert found.keys() == ({"recomputed"} if ahead else {"dead ends"})


@pytest.mark.parametrize(("made_by", "verdict"), [(Exact, "noted"), (Between, "failed"), (lambda policy: policy, "")])
def test_rankings_of_before_are_noted_too_and_wrong_ones_fail(tmp_path, worlds, monkeypatch, made_by, verdict):
    digits = [0.1, 0.3, 0.3 + 2.0**-54, 0.3]
    monkeypatch.setattr(RankingModel, "scores", lambda self, features, offered: [digits[place] for place in offered])
    with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        store.open_log(worlds.campaign(), worlds.noon)
        rankings = Rankings(store, "contest", Settings({"personalizer_random": "0.2"}))

        def rank(first, at, engine):
            actions = tuple(Action(f"a{k}", ({"k": k},)) for k in range(4))
            made = [engine.rank(RankingRequest(f"e{first + i}", actions, (), (), False), at=at) for i in range(N)]
            store.write(lambda connection: [store_ranking(connection, one) for one in made])

        rank(0, worlds.noon, rankings.engine)
        rankings.train(worlds.noon + timedelta(days=2))
        rank(N, worlds.noon + timedelta(days=2), replace(rankings.engine, learner=made_by(rankings.engine.learner)))
        check = next(check for check in verify_store(store).checks if check.name == "rank again")
    assert check.passed == (verdict != "failed")
    assert [SAID in note for note in check.notes] == [True] * (verdict == "noted")
    assert check.n_failed == 0 or check.n_failed > N / 2


def test_one_row_is_said_to_be_one():
    rows = ExactTieRows()
    assert rows.note() == ""
    rows.note_row(7)
    assert rows.note().startswith(f"1 row was {SAID} (7 to 7): ")


@pytest.mark.parametrize("learner", ["regression", "bootstrap", "native"])
@pytest.mark.parametrize("alone", [False, True])
def test_whatever_was_learned_is_served_as_it_is_but_for_what_ties(worlds, learner, alone):
    policy = {"regression": "squarecb", "bootstrap": "thompson", "native": "native"}[learner]
    campaign = worlds.campaign(learner={"name": learner}, policy={"name": policy})
    rows = worlds.rows(campaign, 40, lambda _, choice: {"click": 0.5})
    scorer = worlds.kind(campaign).serve(campaign, worlds.train(campaign, rows))
    exact = ExactTies(scorer, alone=alone)
    state, offered = scorer.start(campaign.schema.encode(Context.of(level="low"))), (0, 2)
    was, found = (one.estimates(state, 0, offered) for one in (scorer, exact))
    assert (was.tie, found.tie, exact.offer(state, 0, offered).tie) == (TIE, 0.0, 0.0)
    for before, after in ((was.scores, found.scores), (was.native, found.native), (was.members, found.members)):
        assert (before is None) == (after is None)
        if before is not None:
            np.testing.assert_allclose(after[..., offered], before[..., offered], rtol=0, atol=1e-12 if alone else 0)
    plain = scorer.offer(state, 0, offered).scores
    assert plain is None or not alone or found.scores[list(offered)].tolist() == plain
    assert exact.n_learned == scorer.n_learned
    assert exact.whole(exact.after(state, 0, 2), 1, 0) == scorer.whole(scorer.after(state, 0, 2), 1, 0)
