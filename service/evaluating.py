"""One evaluation from end to end: which log, which target, which methods; what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from bandit.errors import InvalidSettings
from bandit.estimates import Need
from bandit.learners import learner_for
from evaluation.evaluate import Bootstrap, Evaluation, Tally, conclude, tally
from evaluation.learned_target import Lesson, Split, tally_learned
from evaluation.log_batch import LogBatch
from evaluation.methods import Known, Method, Needs, methods_of
from evaluation.reward_model import CrossFitted, VwFit, cross_fit
from evaluation.weighing import Weigher
from service.composite_asking import CompositeAsking, can_be_asked, share_of
from service.export_source import ExportSource
from service.log_source import ForeignSource, LogSource, StoreSource
from service.store import Log, Store
from service.target_text import BY_CONTEXT, COLUMN, Asked
from service.unseen import snapshots_in, unseen

MOST_MODELLED = 200_000
"""Rows up to which a reward model is trained without being asked for."""
MODEL_FREE = ("snips", "cressie-read", "ips", "ips-slope")
MODELLED = ("dr", "sndr", "switch-slope", "dros-slope", "dm")
COMPOSITE = ("dr-order-2", "order-2", "dr-pi", "snpi")

NO_CAMPAIGN = (
    "the log's context is not declared: name the campaign file with --campaign, or map the columns of a foreign log with --arm, "
    "--reward, --propensity and --context."
)
NO_MODEL = (
    "One is trained where the log has one dimension and a declared context, and the target gives every arm's probability: not "
    "for column:NAME, and not for several dimensions. Use snips, ips or cressie-read."
)

Watch = Callable[[Iterable[LogBatch], str], Iterator[LogBatch]]
"""Passes batches through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know of a log.

    Attributes:
        target: as the command line names it.
        against: the same; empty for none.
        estimators: names; empty chooses by what the log and the target allow.
        n_folds: for targets that learn; 0 learns from the earlier half.
        rewards: least and largest that a send can have, where somebody says.
        largest_weight: that a send can have, where somebody says.
        confidence_level: of every interval.
        n_resamples: of a bootstrap beside every interval; 0 for none.
        seed: of the bootstrap.
        floor: of a learned policy.
    """

    target: str
    against: str = ""
    estimators: tuple[str, ...] = ()
    n_folds: int = 0
    rewards: tuple[float, float] | None = None
    largest_weight: float | None = None
    confidence_level: float = 0.95
    n_resamples: int = 0
    seed: int = 0
    floor: float = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """What was found, and which rows were left out."""

    evaluation: Evaluation
    dropped: Mapping[str, int] = field(default_factory=dict)


def ask(
    source: LogSource,
    question: Question,
    kept: tuple[Store, Log] | None = None,
    watch: Watch = lambda rows, _: iter(rows),
) -> Found:
    """Evaluate.

    Args:
        source: the log.
        question: about it.
        kept: a store with the campaign's log, for targets that are snapshots.
        watch: sees every batch of every pass.

    Raises:
        InvalidSettings: for a target or estimator that does not exist or needs what the log does not have.
        UnusableLog: for a log that cannot be evaluated; NothingUnseen where a snapshot has learned from all of it.
    """
    texts = [text for text in (question.target, question.against) if text]
    source = unseen(source, snapshots_in(texts, kept), kept)
    methods = _methods(source, question, texts)
    if isinstance(source, ExportSource) and not _needs_context(methods, texts):
        source = source.without_context()
    run = _Run(source, question, watch, _scale(source, question))
    if isinstance(source, StoreSource) and any(method.needs is Needs.COMPOSITE for method in methods):
        return _composite(source, run, methods, texts)
    model = run.model() if any(method.needs is Needs.MODEL for method in methods) else None
    asked = Asked(source, model, kept, question.floor, run.scale)
    sides = [asked.target(text) for text in texts]
    found = run.tally(methods, sides, model)
    known = Known(
        found.is_binary, question.rewards or source.bounds, question.largest_weight, question.confidence_level
    )
    if known.reward_range is None and not question.estimators:
        methods = tuple(method for method in methods if method.needs is not Needs.RANGE)
    names = [side.name for side in sides]
    return Found(conclude(found, methods, known, *names), {k: n for k, n in source.dropped.items() if n})


def _composite(source: StoreSource, run: _Run, methods: tuple[Method, ...], texts: list[str]) -> Found:
    """Several dimensions of our own log: whole choices are weighed by what decided them.

    Raises:
        InvalidSettings: for what only logs of one dimension can be asked for.
    """
    question = run.question
    if question.n_resamples or question.rewards or question.largest_weight or question.n_folds:
        raise InvalidSettings(
            "--bootstrap, --reward-range, --largest-weight and --folds are not for several dimensions weighed from the database, "
            "which need none of them. Leave them out, or ask for --estimators snips,ips."
        )
    n_rows = sum(map(len, run.read("counting")()))
    share = share_of(n_rows)
    asking = CompositeAsking(source.store, source.log, run.scale, share)
    found = asking.tally(lambda label: run.read(label)(), methods, texts)
    known = Known(found.is_binary, confidence_level=run.question.confidence_level)
    dropped = {**source.dropped, "not in the random part that was weighed": n_rows - found.sums.n}
    return Found(conclude(found, methods, known, *texts), {k: n for k, n in dropped.items() if n})


@dataclass(frozen=True, slots=True)
class _Run:
    """Passes over the log."""

    source: LogSource
    question: Question
    watch: Watch
    scale: tuple[float, float]

    def read(self, label: str) -> Callable[[], Iterator[LogBatch]]:
        """Begins a pass that says what it is for."""
        return lambda: self.watch(self.source.batches(), label)

    def model(self) -> CrossFitted:
        """A reward model that never predicts what it learned from."""
        campaign = self.source.campaign
        if campaign is None:
            raise InvalidSettings(NO_CAMPAIGN)
        kind = learner_for(campaign.learner, Need.SCORES)
        return cross_fit(self.read("reward model"), VwFit(campaign, kind, self.scale))

    def tally(self, methods: tuple[Method, ...], sides: list[Weigher | Lesson], model: CrossFitted | None) -> Tally:
        """The sums of everything."""
        bootstrap = self._bootstrap()
        if any(callable(side) for side in sides):
            n_rows = sum(map(len, self.read("counting")()))
            split = Split(n_rows, self.question.n_folds)
            return tally_learned(self.read("evaluating"), split, methods, sides, model, bootstrap)
        first, *others = (side for side in sides if not callable(side))
        return tally(self.read("evaluating")(), methods, first, others[0] if others else None, bootstrap)

    def _bootstrap(self) -> Bootstrap | None:
        if not self.question.n_resamples:
            return None
        return Bootstrap(np.random.default_rng(self.question.seed), self.question.n_resamples)


def _methods(source: LogSource, question: Question, texts: list[str]) -> tuple[Method, ...]:
    """Those asked for, or those that the log and the targets allow.

    Raises:
        InvalidSettings: if one needs what there is not.
    """
    by_column = any(text.startswith(COLUMN) for text in texts)
    several = len(source.layout.dimensions) > 1
    modelled = source.campaign is not None and not several and not by_column
    if not question.estimators:
        short = modelled and _is_short(source)
        if several and isinstance(source, StoreSource) and all(map(can_be_asked, texts)):
            return methods_of(COMPOSITE)
        return methods_of(MODEL_FREE + (MODELLED if short else ()))
    methods = methods_of(question.estimators)
    for method in methods:
        if method.needs is Needs.MODEL and not modelled:
            raise InvalidSettings(f"{method.name} needs a reward model. {NO_MODEL}")
        if method.needs is Needs.COMPOSITE and (by_column or not several):
            raise InvalidSettings(
                f"{method.name} is for choices of several dimensions with the target's probability of each."
            )
    if isinstance(source, StoreSource):
        _require_whole_choices(methods, texts)
    return methods


def _require_whole_choices(methods: tuple[Method, ...], texts: list[str]) -> None:
    """Refuse what cannot be weighed by whole choices together with what is."""
    whole = [method.name for method in methods if method.needs is Needs.COMPOSITE]
    others = [method.name for method in methods if method.needs is not Needs.COMPOSITE]
    if whole and others:
        raise InvalidSettings(
            f"{', '.join(whole)} weigh our log by whole choices made again, {', '.join(others)} by what stands in each row; one "
            "run does one of the two. Ask twice."
        )
    unfit = [text for text in texts if not can_be_asked(text)]
    if whole and unfit:
        raise InvalidSettings(
            f"{whole[0]} needs the probability of whole choices, which uniform, fixed, rules and snapshot targets have and "
            f"{unfit[0]!r} does not. Use snips, ips or cressie-read."
        )


def _needs_context(methods: tuple[Method, ...], texts: list[str]) -> bool:
    return any(text.startswith(BY_CONTEXT) for text in texts) or any(method.needs is Needs.MODEL for method in methods)


def _is_short(source: LogSource) -> bool:
    return isinstance(source, ForeignSource) and bool(source.log.columns.context) and source.log.n_rows <= MOST_MODELLED


def _scale(source: LogSource, question: Question) -> tuple[float, float]:
    if isinstance(source, ForeignSource):
        return source.log.scale
    low, high = question.rewards or source.bounds or (0.0, 1.0)
    return low, (high - low) or 1.0
