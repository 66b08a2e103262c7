"""Warm start: a campaign begins with what another one learned.

Features are hashed by name, so a model of one campaign file can go on under another: what has the same name keeps its
weights and the evidence behind them, and what is new begins at nothing with its full step. An arm is half its own id and
half its declared features and the words of its text (`bandit.features.graded_arms`), so a new arm begins where the arms
most like it stand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue, EncodedContext
from bandit.errors import BrokenSnapshot, InvalidContext, InvalidOutcome
from bandit.fault import shown
from bandit.learner import LearnerKind, TrainingRow
from bandit.regression import MOST_KEPT_BACK, NAME, checked_state, task_of
from bandit.regression_state import RegressionState
from bandit.scaling import INDICATOR, SPREAD
from bandit.snapshot import Snapshot

UNKNOWN_SPREAD = 0.3
"""Standard deviation, as a share of its declared range, that a new number is thought to have: that of a uniform one."""


def carry_over(old: Campaign, snapshot: Snapshot, new: Campaign) -> Snapshot:
    """A former campaign's snapshot as the first one of another campaign.

    Args:
        old: the campaign it was trained for.
        snapshot: of the `regression` learner.
        new: may have other arms, arm features and context fields, and more dimensions after the old ones.

    Returns:
        A snapshot that has learned from none of the new campaign's decisions: its watermark is 0.

    Raises:
        BrokenSnapshot: if the models cannot mean the same in the new campaign; names what differs.
    """
    _refuse_what_differs(old, snapshot, new)
    state = checked_state(old, task_of(old), snapshot)
    if state.kept_back:
        raise BrokenSnapshot(
            f"the snapshot has seen {snapshot.n_learned} decisions, too few to say even where to start (up to "
            f"{MOST_KEPT_BACK} are kept back for that). Learn from the log instead: manyarm learn --from-log FILE."
        )
    task = task_of(new)
    known = dict(zip(state.features, zip(state.means, state.scales, strict=True), strict=True))
    unknown = [(0.0, SPREAD / UNKNOWN_SPREAD if numeric else INDICATOR) for numeric in task.numeric]
    pairs = [known.get(name, other) for name, other in zip(task.space.context, unknown, strict=True)]
    means, scales = zip(*pairs, strict=True) if pairs else ((), ())
    moved = RegressionState(task.space.context, means, scales, state.validation, [])
    arguments = tuple(_under(argument, task.shared) for argument in snapshot.arguments)
    return replace(snapshot, campaign_hash=new.content_hash, arguments=arguments, watermark=0, state=moved.encoded())


def _refuse_what_differs(old: Campaign, snapshot: Snapshot, new: Campaign) -> None:
    before, after = task_of(old), task_of(new)
    places = {dimension.name: place for place, dimension in enumerate(old.dimensions)}
    moved = [d.name for place, d in enumerate(new.dimensions) if places.get(d.name, place) != place]
    replaced = [d.name for place, d in enumerate(new.dimensions) if d.name not in places and place < len(places)]
    differs = {
        f"its learner is {snapshot.learner!r}": snapshot.learner != NAME,
        "the outcome types differ": old.reward.types != new.reward.types,
        "[learner] target differs": bool(before.worths) != bool(after.worths),
        "[learner] learning_rate differs": before.candidates != after.candidates,
        f"dimensions stand elsewhere: {', '.join(moved + replaced)}": bool(moved + replaced),
    }
    found = [what for what, is_so in differs.items() if is_so]
    if found:
        raise BrokenSnapshot(
            f"this snapshot cannot be carried over: {'; '.join(found)}. Its weights would mean something else here. Learn "
            "from the former campaign's log instead: manyarm learn --from-log FILE."
        )


def _under(argument: str, shared: str) -> str:
    """An argument string with the steps and the width of the hash it had, and the new campaign's products."""
    own, rest = argument.split(" -b ", 1)
    return f"{own} {re.sub(r'^-b [0-9]+', f'-b {rest.split()[0]}', shared)}"


@dataclass(frozen=True, slots=True)
class HistoricalSend:
    """One send of a log that is to teach a campaign before its own begins.

    Attributes:
        context: name to value; names that the campaign does not declare are left out, values that do not fit count as
            missing.
        choice: dimension to arm id.
        reward: in reward units; None if it is not known.
        outcome_types: what happened; None if only the reward is known.
        propensities: dimension to the probability that its arm was drawn with.
    """

    context: Mapping[str, ContextValue]
    choice: Mapping[str, str]
    propensities: Mapping[str, float]
    reward: float | None = None
    outcome_types: frozenset[str] | None = None


@dataclass(slots=True)
class LearnedLog:
    """What came of learning a log: the snapshot, and why some rows could not teach anything."""

    snapshot: Snapshot | None = None
    n_learned: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def learn_log(campaign: Campaign, kind: LearnerKind, sends: Iterable[HistoricalSend]) -> LearnedLog:
    """Teach a fresh learner a historical log, as if its sends had been the campaign's own.

    The regression learns rows unweighted: it models what follows a choice in a context, which does not depend on how the
    choice came about. Vowpal Wabbit's own explorers weigh each row by its propensity.

    Args:
        campaign: what is to begin warm.
        kind: its learner.
        sends: in time order.

    Returns:
        A snapshot with watermark 0, or none if no row fitted; and how many rows were skipped for which reason.

    Raises:
        InvalidOutcome: if rewards cannot be told apart into the campaign's outcome types.
    """
    learner, learned = kind.fresh(campaign), LearnedLog()
    for send in sends:
        row = _row_of(campaign, send, learned.skipped)
        if row is not None:
            learner.learn(row)
            learned.n_learned += 1
    if learned.n_learned:
        learned.snapshot = learner.snapshot(watermark=0)
    return learned


def _row_of(campaign: Campaign, send: HistoricalSend, skipped: Counter[str]) -> TrainingRow | None:
    missing = [d.name for d in campaign.dimensions if d.name not in send.choice]
    strange = [d.name for d in campaign.dimensions if d.name in send.choice and send.choice[d.name] not in d]
    if missing or strange:
        skipped[f"no arm of dimension {missing[0]!r}" if missing else f"an arm {strange[0]!r} does not have"] += 1
        return None
    types = _types_of(campaign, send)
    picks = campaign.picks_of(send.choice)
    propensities = tuple(send.propensities.get(d.name, 1.0 / len(d.arms)) for d in campaign.dimensions)
    if not all(0.0 < propensity <= 1.0 for propensity in propensities):
        skipped["a propensity outside (0, 1]"] += 1
        return None
    known = campaign.reward
    reward = known.reward_of(types) if send.reward is None or types else send.reward
    return TrainingRow(
        _encoded(campaign, send.context),
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


def _encoded(campaign: Campaign, context: Mapping[str, ContextValue]) -> EncodedContext:
    """The context as far as the campaign knows its names; values that do not fit are missing ones."""
    declared = {item.name: context.get(item.name) for item in campaign.schema.fields}
    try:
        return campaign.schema.encode(Context(declared))
    except InvalidContext:
        return campaign.schema.encode(Context({name: _fitting(campaign, name, v) for name, v in declared.items()}))


def _fitting(campaign: Campaign, name: str, value: ContextValue) -> ContextValue:
    if value is None:
        return None
    try:
        return campaign.schema[name].encode(value)[0]
    except InvalidContext:
        return None


def _pmf(n_arms: int, pick: int, propensity: float) -> tuple[float, ...]:
    """The pick's probability, and the rest shared evenly: all that is known of arms that were not sent."""
    rest: Sequence[float] = [(1.0 - propensity) / max(n_arms - 1, 1)] * n_arms
    return tuple(propensity if arm == pick else share for arm, share in enumerate(rest))
