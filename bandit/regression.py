"""The `regression` learner: Vowpal Wabbit predicts the reward of the whole choice, one example a send.

One regressor sees context and picks together (context x dimension and dimension x dimension terms). With
`target = "outcomes"` there is one logistic regressor an outcome type, and the expected reward is their worth-weighted
sum; with `target = "reward"` there is one regressor of the reward itself, by squared loss. Several candidates of each learn
side by side (`bandit.candidates`), and the one that predicts best serves (`bandit.validation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bandit.bank import Bank
from bandit.campaign import Campaign, Option
from bandit.candidates import CANDIDATES, FIRST, Candidate
from bandit.charged_scorer import charged
from bandit.compiled import CompiledScorer, Tables
from bandit.errors import BrokenSnapshot
from bandit.estimates import Need
from bandit.fault import Fault
from bandit.features import FeatureSpace
from bandit.learner import LearnerKind, Scorer, TrainingRow
from bandit.options import check_options, option, option_faults, with_options
from bandit.plain_scorer import PlainScorer
from bandit.readout import readout
from bandit.regression_state import RegressionState
from bandit.scaling import Scaling
from bandit.snapshot import Snapshot
from bandit.trial import Task, Trial
from bandit.validation import Validation

NAME = "regression"
MOST_PLAIN = 200
"""Columns of the tables up to which lists are faster than arrays for single decisions."""
MOST_KEPT_BACK = 500
"""Rows kept back at most, to learn from them where models should start and how large features are."""
LEAST_KEPT_BACK = 25
SEEN_OFTEN = 10
"""Fewer rows will do once every outcome was seen, and not seen, so often."""


@dataclass(frozen=True, slots=True)
class RegressionOptions:
    """What `[learner]` may set for this learner."""

    target: str = option(
        "outcomes", "one logistic model an outcome type, or one model of the reward", among=("outcomes", "reward")
    )
    learning_rate: float = option(
        0.0,
        "how far the first send moves a weight, later ones less; 0 lets candidates compete",
        high=100.0,
        searched=(0.01, 1.0),
    )
    l2: float = option(
        0.0, "Vowpal Wabbit's --l2: pull of the weights towards 0 at each send", high=1.0, searched=(1e-6, 1e-3)
    )
    bits: int = option(0, "Vowpal Wabbit's -b: log2 of the table of weights; 0 chooses from the campaign", high=28)

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Who competes; a learning rate in the campaign file leaves nobody to compete with."""
        return (Candidate("", self.learning_rate),) if self.learning_rate else CANDIDATES

    def shared(self, space: FeatureSpace) -> str:
        """The part of the argument string that all models have in common."""
        crossed = " ".join(f"-q {pair}" for pair in space.quadratic)
        return f"-b {self.bits or space.bits} --l2 {self.l2!r} {crossed}"


class RegressionLearner:
    """Trains the campaign's candidates.

    A fresh one keeps the first rows back until they say where to start. A snapshot in the meantime is of what they say so
    far, and the next one begins anew from all of them.
    """

    def __init__(self, campaign: Campaign, snapshot: Snapshot | None = None, task: Task | None = None) -> None:
        self._campaign = campaign
        self._task = task or task_of(campaign)
        self._kept_back: list[TrainingRow] = []
        self._trial: Trial | None = None
        self.n_learned = snapshot.n_learned if snapshot else 0
        if snapshot:
            self._resume(snapshot)
        self._seen = [sum(column) for column in zip(*(row.labels for row in self._kept_back), strict=True)]

    def learn(self, row: TrainingRow) -> None:
        """One example for each model."""
        self.learn_many([row])

    def learn_many(self, rows: Sequence[TrainingRow]) -> None:
        """The same for many rows, in order."""
        for at, row in enumerate(rows):
            if self._trial:
                self._trial.learn_many(rows[at:])
                self.n_learned += len(rows) - at
                return
            self._keep_back(row)

    def _keep_back(self, row: TrainingRow) -> None:
        self.n_learned += 1
        self._kept_back.append(row)
        self._seen = [a + b for a, b in zip(self._seen or [0.0] * len(row.labels), row.labels, strict=True)]
        if self._says_where_to_start():
            self._trial = Trial.begin(self._task, self._kept_back, first=FIRST)
            self._kept_back = []

    @property
    def trial(self) -> Trial:
        """All candidates as they stand; while rows are kept back, what these say so far."""
        return self._trial or Trial.begin(self._task, self._kept_back, first=FIRST)

    def snapshot(self, *, watermark: int) -> Snapshot:
        """Freeze all models together."""
        trial = self.trial
        state = RegressionState.of(self._task.space, trial, self._kept_back)
        return Snapshot(
            self._campaign.content_hash,
            self._task.learner,
            trial.arguments,
            trial.save(),
            self.n_learned,
            watermark,
            trial.validation.serving,
            state.encoded(),
        )

    def _says_where_to_start(self) -> bool:
        n = len(self._kept_back)
        often = all(SEEN_OFTEN <= count <= n - SEEN_OFTEN for count in self._seen)
        return n >= MOST_KEPT_BACK or (n >= LEAST_KEPT_BACK and often)

    def _resume(self, snapshot: Snapshot) -> None:
        state = checked_state(self._campaign, self._task, snapshot)
        self._task = replace(self._task, space=state.space_that_learns_on(self._campaign))
        if state.kept_back:
            self._kept_back = state.rows
            return
        parts = (snapshot.arguments, snapshot.models)
        self._trial = Trial.resume(self._task, state.scaling, state.validation, *parts)


def options_of(campaign: Campaign) -> RegressionOptions:
    """The campaign's options for this learner."""
    return with_options(RegressionOptions, campaign.learner.options, "learner")


def task_of(campaign: Campaign) -> Task:
    """What the campaign's regression has to learn."""
    return task_from(campaign, options_of(campaign))


def task_from(campaign: Campaign, options: RegressionOptions) -> Task:
    """The same with other options than the campaign's."""
    space = FeatureSpace.graded(campaign)
    return Task(
        space,
        campaign.schema.numeric,
        options.candidates,
        campaign.reward.worths if options.target == "outcomes" else (),
        campaign.reward.worth_bounds,
        options.shared(space),
        wear_out=campaign.wear_out,
    )


def serve(campaign: Campaign, snapshot: Snapshot) -> CompiledScorer | PlainScorer:
    """Compile a snapshot's serving candidate into the tables that decide: as plain lists where they are small.

    Raises:
        BrokenSnapshot: if it belongs to another campaign or learner, or does not load.
    """
    return _scorer(campaign, compile_snapshot(campaign, snapshot), snapshot.n_learned)


def live(campaign: Campaign, learner: RegressionLearner) -> CompiledScorer | PlainScorer:
    """The same from a learner as it stands."""
    trial = learner.trial
    return _scorer(campaign, trial.tables([trial.validation.chosen]), learner.n_learned)


def _scorer(campaign: Campaign, tables: Tables, n_learned: int) -> CompiledScorer | PlainScorer:
    task = task_of(campaign)
    logistic, sequential = bool(task.worths), campaign.policy.interactions
    arrays = CompiledScorer(
        tables,
        task.worths or (1.0,),
        n_learned,
        logistic=logistic,
        bounds=task.bounds,
        sequential=sequential,
        wear_out=campaign.wear_out,
    )
    if not logistic or tables.constant.size > MOST_PLAIN:
        return arrays
    return PlainScorer(tables, arrays, task.worths, sequential=sequential, wear_out=campaign.wear_out)


def compile_snapshot(campaign: Campaign, snapshot: Snapshot) -> Tables:
    """Load the models of a snapshot's serving candidate and read their weights out."""
    space, bank, scaling = whole_bank(campaign, task_of(campaign), snapshot, serving=True)
    return readout(space, scaling, bank.probe)


def reference_score(campaign: Campaign, snapshot: Snapshot, row: TrainingRow) -> tuple[float, ...]:
    """What Vowpal Wabbit itself predicts for a whole choice, one linear prediction a model; the tables must agree."""
    return tuple(whole_bank(campaign, task_of(campaign), snapshot, serving=True)[1].predict(row))


def standing_of(snapshot: Snapshot) -> dict[str, object]:
    """How the candidates stand: mean loss of each in progressive validation, and who took over after how many rows.

    Empty where nobody competes.

    Raises:
        BrokenSnapshot: if the snapshot's state cannot be read.
    """
    if snapshot.learner != NAME or not snapshot.candidate:
        return {}
    state = RegressionState.decoded(snapshot.state).validation
    validation = Validation([candidate.name for candidate in CANDIDATES], first=FIRST, state=state)
    return {"losses": validation.mean_losses, "switches": validation.switches}


def whole_bank(
    campaign: Campaign, task: Task, snapshot: Snapshot, *, serving: bool = False
) -> tuple[FeatureSpace, Bank, Scaling]:
    """The models of all candidates, or of the serving one alone, ready to be asked."""
    state = checked_state(campaign, task, snapshot)
    places = task.models_of(state.validation[1]) if serving else range(len(snapshot.models))
    arguments, models = [snapshot.arguments[p] for p in places], [snapshot.models[p] for p in places]
    space = state.space_of(campaign)
    return space, Bank(space, state.scaling, arguments, models, wear_out=task.wear_out), state.scaling


def checked_state(campaign: Campaign, task: Task, snapshot: Snapshot) -> RegressionState:
    """The state of a snapshot that belongs here.

    Raises:
        BrokenSnapshot: if it is of another campaign or learner, or cannot be read.
    """
    n_models = task.n_models * len(task.candidates)
    if (snapshot.learner, snapshot.campaign_hash, len(snapshot.models)) != (
        task.learner,
        campaign.content_hash,
        n_models,
    ):
        raise BrokenSnapshot(
            f"this snapshot is of learner {snapshot.learner!r} with {len(snapshot.models)} models, for campaign content "
            f"{snapshot.campaign_hash}; the campaign here is {campaign.content_hash}. Use the campaign file it was "
            "trained for, or train a new snapshot."
        )
    state = RegressionState.decoded(snapshot.state)
    if set(state.features) != set(task.space.context):
        raise BrokenSnapshot(
            "the snapshot's context features are not this campaign's, though its content hash is. Train a new snapshot."
        )
    return state.in_order_of(task.space.context)


def _serve(campaign: Campaign, snapshot: Snapshot) -> Scorer[Any]:
    return charged(campaign, serve(campaign, snapshot))


def _live(campaign: Campaign, learner: RegressionLearner) -> Scorer[Any]:
    return charged(campaign, live(campaign, learner))


def _faults(options: Mapping[str, Option]) -> list[Fault]:
    return option_faults(RegressionOptions, options, "learner")


REGRESSION = LearnerKind(
    NAME,
    frozenset({Need.SCORES}),
    wears=True,
    fresh=RegressionLearner,
    resume=RegressionLearner,
    serve=_serve,
    live=_live,
    faults=_faults,
)
