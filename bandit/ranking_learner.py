"""What rankings learn from: one Vowpal Wabbit regressor of the reward, over context, action and their products."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile

import msgspec

from bandit.errors import BrokenSnapshot
from bandit.free_features import Named
from bandit.ranking_request import RankingFeatures, RankingRequest
from bandit.regressors import VwRegressors
from bandit.remembered_actions import RememberedActions
from bandit.snapshot import Snapshot
from bandit.training import teaches
from bandit.vw import HashedFeature, Namespaces

Hash = Callable[[str, Sequence[Named]], tuple[HashedFeature, ...]]
IsWanted = Callable[[], bool]

NAME = "ranking"
CONTEXT, ACTION, IDENTITY = "CAI"
"""Namespaces: who sees it, what is known about the action, and which one it is."""
ARGUMENTS = "-b 18 --loss_function squared -l 0.05 -q CA -q CI"
"""Vowpal Wabbit's own adaptive, normalized steps: features may have any scale. docs/personalizer.md says how well it learns."""
AT_ONCE = 1024
UNASKED = 32
"""Rows that are learned before is asked again whether to go on; the largest take 10 ms each."""
FIRST_VARIANCE = 0.25
"""Variance of the reward before any was seen; it counts as one event, so that a gap is never measured against nothing."""


class RewardState(msgspec.Struct, array_like=True, frozen=True):
    """How many rewards were learned, their mean, and the sum of squared distances from it."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def after(self, reward: float) -> RewardState:
        """One more.

        Source: Welford (1962), Note on a method for calculating corrected sums of squares and products.
        """
        n = self.n + 1
        gap = reward - self.mean
        mean = self.mean + gap / n
        return RewardState(n, mean, self.squares + gap * (reward - mean))

    @property
    def spread(self) -> float:
        """Standard deviation of one reward."""
        return math.sqrt((self.squares + FIRST_VARIANCE) / (self.n + 1))


@dataclass(frozen=True, slots=True)
class MaturedRanking:
    """A ranking whose wait is over.

    Attributes:
        number: its place in the order of maturing; the watermark counts these.
        request, chosen, group: from its row.
        reward: what it earned.
    """

    number: int
    request: RankingRequest
    chosen: int
    group: str
    reward: float


class RankingModel:
    """The regressor with its counters: it scores, learns, and is frozen.

    Args:
        campaign: whose loop it is.
        snapshot: where it stood; None for a fresh one.
        level: where a fresh one begins, as a reward.

    Raises:
        BrokenSnapshot: if the snapshot is of another campaign or learner, or does not load.
    """

    def __init__(self, campaign: str, snapshot: Snapshot | None = None, *, level: float = 0.0) -> None:
        if snapshot and (snapshot.learner, snapshot.campaign_hash) != (NAME, campaign):
            raise BrokenSnapshot(
                f"this snapshot is of learner {snapshot.learner!r} of {snapshot.campaign_hash!r}, need {NAME!r} of {campaign!r}."
            )
        self._campaign = campaign
        self._rewards = _decoded(snapshot.state) if snapshot else RewardState()
        arguments = snapshot.arguments if snapshot else (f"{ARGUMENTS} --constant {level!r}",)
        self._regressor = VwRegressors(arguments, snapshot.models if snapshot else None)
        # Most callers offer the same actions again and again. The cache must not hold this model: it would live on.
        self._remembered = RememberedActions(partial(_hashed, self._regressor.hashed))

    @property
    def n_learned(self) -> int:
        """Events learned from."""
        return self._rewards.n

    @property
    def spread(self) -> float:
        """Standard deviation of one event's reward."""
        return self._rewards.spread

    def scores(self, features: RankingFeatures, offered: Sequence[int]) -> list[float]:
        """Expected reward of each action on offer; changes nothing."""
        context = self._regressor.hashed(CONTEXT, features.context)
        return self._regressor.predict_each([(CONTEXT, context)], [self._action(features, place) for place in offered])

    def learn_many(self, rows: Sequence[MaturedRanking]) -> None:
        """One example an event: its context and the action that was drawn."""
        examples: list[Namespaces] = []
        for row in rows:
            features = row.request.features
            context = self._regressor.hashed(CONTEXT, features.context)
            examples.append([(CONTEXT, context), *self._action(features, row.chosen)])
            self._rewards = self._rewards.after(row.reward)
        self._regressor.learn_many(examples, [(row.reward,) for row in rows])

    def snapshot(self, *, watermark: int) -> Snapshot:
        """Freeze it."""
        state = msgspec.msgpack.encode(self._rewards)
        parts = (self._regressor.arguments, self._regressor.save())
        # There is no campaign content behind a loop, only its name.
        return Snapshot(self._campaign, NAME, *parts, self.n_learned, watermark, state=state)

    def _action(self, features: RankingFeatures, place: int) -> Namespaces:
        return self._remembered.namespaces(features.ids[place], tuple(features.actions[place]))


def train_rankings(
    campaign: str,
    parent: Snapshot | None,
    rows: Iterable[MaturedRanking],
    *,
    is_wanted: IsWanted = lambda: True,
) -> Snapshot | None:
    """Learn from matured rankings in order, and freeze the result.

    Args:
        campaign: whose loop it is.
        parent: where learning stopped; None begins afresh.
        rows: in the order of their numbers, all after the parent's watermark. Those of the control group teach nothing.
        is_wanted: asked now and then; once it says no, what was learned is frozen, and the next time goes on there.

    Returns:
        A snapshot whose watermark is the last learned row's number; None if there was no row.
    """
    left, model, watermark = takewhile(lambda _: is_wanted(), rows), None, None
    while some := list(islice(left, AT_ONCE)):
        model = model or RankingModel(campaign, parent, level=_level(_teaching(some)))
        for start in range(0, len(some), UNASKED):
            if not is_wanted():
                break
            piece = some[start : start + UNASKED]
            model.learn_many(_teaching(piece))
            watermark = piece[-1].number
    return None if model is None or watermark is None else model.snapshot(watermark=watermark)


def _hashed(hashed: Hash, name: str, features: Sequence[Named]) -> Namespaces:
    return (ACTION, hashed(ACTION, features)), (IDENTITY, hashed(IDENTITY, [(name, 1.0)]))


def _teaching(rows: Sequence[MaturedRanking]) -> list[MaturedRanking]:
    return [row for row in rows if teaches(row.group)]


def _level(rows: Sequence[MaturedRanking]) -> float:
    """The mean reward of the first events, drawn a little towards 0: one event alone says little."""
    return sum(row.reward for row in rows) / (len(rows) + 1)


def _decoded(state: bytes) -> RewardState:
    try:
        return msgspec.msgpack.decode(state, type=RewardState)
    except msgspec.DecodeError as error:
        raise BrokenSnapshot(f"the snapshot's state cannot be read ({error}). Train a new snapshot.") from error
