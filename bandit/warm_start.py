"""Warm start: a campaign begins with what another one learned.

Features are hashed by name, so a model of one campaign file can go on under another: what has the same name keeps its
weights and the evidence behind them, and what is new begins at nothing with its full step. An arm is half its own id and
half its declared features and the words of its text (`bandit.features.graded_arms`), so a new arm begins where the arms
most like it stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from bandit.bootstrap import BOOTSTRAP
from bandit.bootstrap import task_of as bootstrap_task
from bandit.campaign import Campaign
from bandit.context import Context, ContextValue, EncodedContext
from bandit.errors import BrokenSnapshot, InvalidContext, InvalidOutcome
from bandit.fault import shown
from bandit.features import FeatureSpace
from bandit.learner import LearnerKind, TrainingRow
from bandit.logged_time import filled_or_counted, unlike
from bandit.regression import MOST_KEPT_BACK, REGRESSION, checked_state
from bandit.regression import task_of as regression_task
from bandit.regression_state import RegressionState
from bandit.scaling import INDICATOR, SPREAD
from bandit.schema import ContextField, NumericField, Schema
from bandit.snapshot import Snapshot
from bandit.trial import Task
from bandit.wear_out import Exposure

UNKNOWN_SPREAD = 0.3
"""Standard deviation, as a share of its declared range, that a new number is thought to have: that of a uniform one."""


_TASKS: Mapping[str, Callable[[Campaign], Task]] = {REGRESSION.name: regression_task, BOOTSTRAP.name: bootstrap_task}
"""Learners whose snapshots can be carried over, and what each has to learn of a campaign."""


def carry_over(old: Campaign, snapshot: Snapshot, new: Campaign, kind: LearnerKind) -> Snapshot:
    """A former campaign's snapshot as the first one of another campaign.

    Args:
        old: the campaign it was trained for.
        snapshot: of the `regression` or the `bootstrap` learner.
        new: may have other arms, arm features, context fields and ranges of numbers, and more dimensions after the old
            ones.
        kind: the new campaign's learner.

    Returns:
        A snapshot that has learned from none of the new campaign's decisions: its watermark is 0.

    Raises:
        BrokenSnapshot: if the models cannot mean the same in the new campaign; names what differs.
    """
    _refuse_another_learner(snapshot, kind)
    before, after = _TASKS[kind.name](old), _TASKS[kind.name](new)
    _refuse_what_differs(old, before, new, after)
    state = checked_state(old, before, snapshot)
    if state.kept_back:
        raise BrokenSnapshot(
            f"the snapshot has seen {snapshot.n_learned} decisions, too few to say even where to start (up to "
            f"{MOST_KEPT_BACK} are kept back for that). Learn from the log instead: manyarm learn --from-log FILE."
        )
    means, scales = _moved_scaling(old, state, new)
    measured = (means, scales, state.validation)
    silence = state.silence_under(before.space, after.space)
    moved = RegressionState(after.space.context, *measured, [], _kept_numbers(old, state), silence=silence)
    arguments = tuple(_under(argument, after.shared) for argument in snapshot.arguments)
    return replace(snapshot, campaign_hash=new.content_hash, arguments=arguments, watermark=0, state=moved.encoded())


def _refuse_another_learner(snapshot: Snapshot, kind: LearnerKind) -> None:
    if kind.name not in _TASKS or snapshot.learner != kind.name:
        raise BrokenSnapshot(
            f"this snapshot cannot be carried over: it is of learner {snapshot.learner!r}, the campaign's is {kind.name!r}, "
            f"and only {' and '.join(_TASKS)} hand on what they learned, each to its own kind. Learn from the former "
            "campaign's log instead: manyarm learn --from-log FILE."
        )


def _refuse_what_differs(old: Campaign, before: Task, new: Campaign, after: Task) -> None:
    places = {dimension.name: place for place, dimension in enumerate(old.dimensions)}
    moved = [d.name for place, d in enumerate(new.dimensions) if places.get(d.name, place) != place]
    replaced = [d.name for place, d in enumerate(new.dimensions) if d.name not in places and place < len(places)]
    other = unlike(old, new)
    same_target = bool(before.worths) == bool(after.worths)
    differs = {
        "the outcome types differ": old.reward.types != new.reward.types,
        "[learner] target differs": not same_target,
        "[learner] learning_rate or members differ": before.candidates != after.candidates,
        # A model of the reward itself has the old worths in it; models of outcomes do not.
        "the worths of outcomes differ": same_target and not after.worths and old.reward.events != new.reward.events,
        "[wear_out] window differs": None not in {old.wear_out, new.wear_out} and old.wear_out != new.wear_out,
        f"dimensions stand elsewhere: {', '.join(moved + replaced)}": bool(moved + replaced),
        f"[time] reads off another clock, or means something else by: {', '.join(other)}": bool(other),
    }
    found = [what for what, is_so in differs.items() if is_so]
    if found:
        raise BrokenSnapshot(
            f"this snapshot cannot be carried over: {'; '.join(found)}. Its weights would mean something else here. Learn "
            "from the former campaign's log instead: manyarm learn --from-log FILE."
        )


def _moved_scaling(old: Campaign, state: RegressionState, new: Campaign) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Means and scales by which the new campaign's features mean to the models what the old ones meant."""
    known = dict(zip(state.features, zip(state.means, state.scales, strict=True), strict=True))
    known |= {
        f"{name}#": _in_new_range(*known[f"{name}#"], before, after)
        for name, (before, after) in _ranges(old, new).items()
    }
    unknown = [(0.0, SPREAD / UNKNOWN_SPREAD if numeric else INDICATOR) for numeric in new.schema.numeric]
    pairs = [known.get(name, other) for name, other in zip(new.schema.features, unknown, strict=True)]
    return tuple(mean for mean, _ in pairs), tuple(scale for _, scale in pairs)


def _ranges(old: Campaign, new: Campaign) -> dict[str, tuple[NumericField, NumericField]]:
    """Numbers that both campaigns learn from, as each declares them."""
    earlier = {item.name: item for item in old.schema.fields if isinstance(item, NumericField) and not item.protected}
    return {
        item.name: (earlier[item.name], item)
        for item in new.schema.fields
        if isinstance(item, NumericField) and not item.protected and item.name in earlier
    }


def _in_new_range(mean: float, scale: float, before: NumericField, after: NumericField) -> tuple[float, float]:
    """A number is learned from as (x - mean) * scale, where x is its place in a declared range: the same, in another."""
    width, new_width = before.high - before.low, after.high - after.low
    return (mean * width + before.low - after.low) / new_width, scale * new_width / width


def _kept_numbers(old: Campaign, state: RegressionState) -> list[dict[str, tuple[float, float]]]:
    """What the old models measure numeric arm features by."""
    return [dict(by) for by in FeatureSpace.graded(old, state.numbers).numbers]


def _under(argument: str, shared: str) -> str:
    """An argument string with the steps and the width of the hash it had, and the new campaign's products."""
    own, rest = argument.split(" -b ", 1)
    return f"{own} {re.sub(r'^-b [0-9]+', f'-b {rest.split()[0]}', shared)}"


@dataclass(frozen=True, slots=True)
class HistoricalSend:
    """One send of a log that is to teach a campaign before its own begins.

    Attributes:
        context: name to value; names that the campaign does not declare are left out, values that do not fit count as
            missing, and are counted.
        choice: dimension to arm id.
        reward: what its outcomes were worth, in reward units; None if it is not known.
        outcome_types: what happened; None if only the reward is known.
        propensities: dimension to the probability that its arm was drawn with.
        exposures: what the customer got lately, in the positions of the campaign that is to learn; None if it is not
            known, which is counted where the campaign asks for it.
        at: when it was decided, with a zone: fields of `[time]` that are not in the context are made of it. None if it is not
            known, and then they are missing, and counted.
        row: which it is, for messages.
    """

    context: Mapping[str, ContextValue]
    choice: Mapping[str, str]
    propensities: Mapping[str, float]
    reward: float | None = None
    outcome_types: frozenset[str] | None = None
    exposures: tuple[Exposure, ...] | None = None
    at: datetime | None = None
    row: str = "a row"


@dataclass(slots=True)
class LearnedLog:
    """What came of learning a log.

    Attributes:
        snapshot: None if no row fitted.
        n_learned: rows learned.
        skipped: how many rows taught nothing, by reason.
        unfit: context field to how many of its values did not fit the campaign and counted as missing; and how many rows
            did not say what the customer got before, where the campaign asks.
    """

    snapshot: Snapshot | None = None
    n_learned: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    unfit: Counter[str] = field(default_factory=Counter)


def learn_log(campaign: Campaign, kind: LearnerKind, sends: Iterable[HistoricalSend | str]) -> LearnedLog:
    """Teach a fresh learner a historical log, as if its sends had been the campaign's own.

    The regression learns rows unweighted: it models what follows a choice in a context, which does not depend on how the
    choice came about. Vowpal Wabbit's own explorers weigh each row by its propensity.

    Args:
        campaign: what is to begin warm.
        kind: its learner.
        sends: in time order; in place of a row that cannot be read, the reason.

    Returns:
        A snapshot with watermark 0, or none if no row fitted; and what was skipped for which reason.

    Raises:
        InvalidOutcome: if rewards cannot be told apart into the campaign's outcome types.
        UnusableLog: if a row whose time counts names a zone that is none.
    """
    learner, learned, schema = kind.fresh(campaign), LearnedLog(), _lenient(campaign.schema)
    for send in sends:
        row = send if isinstance(send, str) else _row_of(campaign, schema, send, learned.unfit)
        if isinstance(row, str):
            learned.skipped[row] += 1
        else:
            learner.learn(row)
            learned.n_learned += 1
    if learned.n_learned:
        learned.snapshot = learner.snapshot(watermark=0)
    return learned


def _row_of(campaign: Campaign, schema: Schema, send: HistoricalSend, unfit: Counter[str]) -> TrainingRow | str:
    """The row that a send teaches, or why it teaches nothing."""
    missing = [d.name for d in campaign.dimensions if d.name not in send.choice]
    strange = [d.name for d in campaign.dimensions if d.name in send.choice and send.choice[d.name] not in d]
    if missing or strange:
        return f"no arm of dimension {missing[0]!r}" if missing else f"an arm {strange[0]!r} does not have"
    propensities = tuple(send.propensities.get(d.name, 1.0 / len(d.arms)) for d in campaign.dimensions)
    if not all(0.0 < propensity <= 1.0 for propensity in propensities):
        return "a propensity outside (0, 1]"
    types, known, picks = _types_of(campaign, send), campaign.reward, campaign.picks_of(send.choice)
    reward = known.worth_of(types) if send.reward is None or types else send.reward
    low, high = known.worth_bounds
    if not low <= reward <= high:
        return f"a reward outside [{low:g}, {high:g}], which no outcomes of this campaign give"
    if campaign.wear_out and send.exposures is None:
        unfit["what the customer got before"] += 1
    context = filled_or_counted(campaign.time, send.context, send.at, send.row, unfit)
    return TrainingRow(
        _encoded(schema, context, unfit)._replace(exposures=send.exposures or ()),
        picks,
        reward,
        known.labels_of(types),
        propensities,
        tuple(_pmf(size, pick, p) for size, pick, p in zip(campaign.sizes, picks, propensities, strict=True)),
    )


def _types_of(campaign: Campaign, send: HistoricalSend) -> frozenset[str]:
    """What happened, or what the reward says must have happened."""
    if send.outcome_types is not None:
        return send.outcome_types & set(campaign.reward.types)
    if campaign.learner.options.get("target") == "reward" or not send.reward:
        return frozenset()
    matching = [name for name, worth in campaign.reward.events.items() if worth == send.reward]
    if len(campaign.reward.types) == 1 and matching:
        return frozenset(matching)
    raise InvalidOutcome(
        f"a reward of {shown(send.reward)} does not say which of {', '.join(campaign.reward.types)} happened, and the learner "
        'predicts each by itself. Set [learner] target = "reward", or learn from the log of the same database.'
    )


def _lenient(schema: Schema) -> Schema:
    """The same features with nothing required: a log need not know what a decision must."""
    return Schema(tuple(replace(item, required=False) for item in schema.fields))  # type: ignore[type-var]


def _encoded(schema: Schema, context: Mapping[str, ContextValue], unfit: Counter[str]) -> EncodedContext:
    """The context as far as the schema knows its names; values that do not fit are missing ones, and counted."""
    declared = {item.name: context.get(item.name) for item in schema.fields}
    try:
        return schema.encode(Context(declared))
    except InvalidContext:
        fitting = {name: _fitting(schema[name], value) for name, value in declared.items()}
        unfit.update(name for name, value in declared.items() if value is not None and fitting[name] is None)
        return schema.encode(Context(fitting))


def _fitting(item: ContextField, value: ContextValue) -> ContextValue:
    if value is None:
        return None
    try:
        return item.encode(value)[0]
    except InvalidContext:
        return None


def _pmf(n_arms: int, pick: int, propensity: float) -> tuple[float, ...]:
    """The pick's probability, and the rest shared evenly: all that is known of arms that were not sent."""
    rest: Sequence[float] = [(1.0 - propensity) / max(n_arms - 1, 1)] * n_arms
    return tuple(propensity if arm == pick else share for arm, share in enumerate(rest))
