"""A ranking: one of the actions that came with the request is drawn, with its exact probability.

Actions differ from request to request and bring their features along. Otherwise it is a decision as any other: group,
estimates, pmf, floor, draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from bandit.draw import draw, position_of
from bandit.engine import NO_SNAPSHOT, require_zone
from bandit.errors import InvalidEstimates, InvalidPmf, InvalidSettings
from bandit.estimates import Need, Offer
from bandit.group import Group
from bandit.pmf import Pmf
from bandit.policy import Policy
from bandit.ranking_request import RankingFeatures, RankingRequest
from bandit.ranking_rules import RankingRules

DIMENSION = "ranking"
"""What the position of a draw is hashed with besides campaign and event, in place of a dimension's name."""


class ActionScorer(Protocol):
    """A snapshot that serves rankings."""

    @property
    def n_learned(self) -> int:
        """Events it had learned from."""

    @property
    def spread(self) -> float:
        """Standard deviation of one event's reward."""

    def scores(self, features: RankingFeatures, offered: Sequence[int]) -> list[float]:
        """Expected reward of each action on offer."""


@dataclass(frozen=True, slots=True)
class ServedRanking:
    """A snapshot ready to rank."""

    snapshot: str
    scorer: ActionScorer


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was drawn, and everything needed to draw it again.

    Attributes:
        request: what was asked for.
        campaign: whose loop this is.
        group: who decided: the learner, chance, or the first action.
        pmf: probability of each action in the request's order; 0 for those excluded.
        chosen: place of the drawn action.
        policy: name of what gave the pmf.
        snapshot: what it was estimated from; None where nothing was.
        fallback: why the random policy decided instead of the learner.
        estimate: expected reward of the drawn action before the draw.
        rules: those in force.
        decided_at: when, in UTC.
    """

    request: RankingRequest
    campaign: str
    group: Group
    pmf: tuple[float, ...]
    chosen: int
    policy: str
    snapshot: str | None
    fallback: str | None
    estimate: float | None
    rules: RankingRules
    decided_at: datetime

    @property
    def propensity(self) -> float:
        """Probability with which the drawn action was drawn."""
        return self.pmf[self.chosen]


def ranked(ranking: Ranking) -> list[int]:
    """Places of the request's actions in the order of the answer.

    The drawn action stands first and the others follow by probability; excluded actions keep their places.
    """
    offered = ranking.request.offered
    others = sorted((place for place in offered if place != ranking.chosen), key=lambda place: -ranking.pmf[place])
    order = list(range(len(ranking.pmf)))
    for place, action in zip(offered, [ranking.chosen, *others], strict=True):
        order[place] = action
    return order


@dataclass(frozen=True, slots=True)
class RankingEngine:
    """Ranks. It holds no state that a ranking could change.

    Args:
        campaign: whose loop this is.
        rules: floor, groups and rewards.
        learner: the learner group's policy, floor included; it needs scores or nothing.
        even: the random group's policy, which also decides where the learner cannot.
        salt: of the draws.
        served: the snapshot that serves; None until there is one.
        unserved: why there is none.
    """

    campaign: str
    rules: RankingRules
    learner: Policy
    even: Policy
    salt: bytes
    served: ServedRanking | None = None
    unserved: str = NO_SNAPSHOT

    def __post_init__(self) -> None:
        if self.learner.needs not in {Need.SCORES, Need.NOTHING}:
            raise InvalidSettings(
                f"the policy {self.learner.name!r} needs {self.learner.needs.value}, and rankings have scores only. "
                "Take squarecb, epsilon-greedy, softmax or uniform."
            )

    def serving(self, served: ServedRanking | None, *, unserved: str = NO_SNAPSHOT) -> RankingEngine:
        """The same engine ranking from another snapshot, or from none for a reason."""
        return replace(self, served=served, unserved=unserved)

    def rank(self, request: RankingRequest, *, at: datetime) -> Ranking:
        """Draw one action of the request.

        Args:
            request: what may be drawn, for whom.
            at: the time, with a zone.
        """
        require_zone(at)
        group = group_of(request.event_id, self.rules, campaign=self.campaign, salt=self.salt)
        made = self._made(group, request)
        pmf = made.pmf.probabilities
        chosen = draw(pmf, draw_position(request.event_id, campaign=self.campaign, salt=self.salt))
        estimate = None
        if made.scores is not None:
            estimate = made.scores[request.offered.index(chosen)]
        return Ranking(
            request, self.campaign, group, pmf, chosen, made.policy, made.snapshot, made.fallback, estimate, self.rules,
            at.astimezone(UTC),
        )  # fmt: skip

    def _made(self, group: Group, request: RankingRequest) -> _Made:
        if group is Group.CONTROL:
            return _Made(control_pmf(request), "fixed")
        if group is Group.RANDOM or self.learner.needs is Need.NOTHING:
            policy = self.even if group is Group.RANDOM else self.learner
            return _Made(spread(request, policy.shares(Offer(0, request.offered))), policy.name)
        if self.served is None:
            return self._fallen_back(request, self.unserved)
        try:
            return self._learned(request, self.served)
        except (InvalidEstimates, InvalidPmf) as error:
            # A ranking is never refused because the model is ill; the row says what happened.
            return self._fallen_back(request, f"{self.served.snapshot}: {error}")

    def _learned(self, request: RankingRequest, served: ServedRanking) -> _Made:
        scores = served.scorer.scores(request.features, request.offered)
        offer = Offer(0, request.offered, scores, None, served.scorer.n_learned, served.scorer.spread)
        return _Made(spread(request, self.learner.shares(offer)), self.learner.name, served.snapshot, scores)

    def _fallen_back(self, request: RankingRequest, reason: str) -> _Made:
        pmf = spread(request, self.even.shares(Offer(0, request.offered)))
        return _Made(pmf, self.even.name, fallback=reason)


class _Made(NamedTuple):
    """The part of a ranking that depends on who decides."""

    pmf: Pmf
    policy: str
    snapshot: str | None = None
    scores: list[float] | None = None
    fallback: str | None = None


def group_of(event_id: str, rules: RankingRules, *, campaign: str, salt: bytes) -> Group:
    """An event's group. The calls know no customer, so each event is randomised by itself."""
    return rules.groups.group_of(event_id, campaign=campaign, salt=salt)


def draw_position(event_id: str, *, campaign: str, salt: bytes) -> float:
    """Where an event's draw falls."""
    return position_of(campaign, event_id, DIMENSION, salt=salt)


def control_pmf(request: RankingRequest) -> Pmf:
    """Business as usual: the first action that is not excluded, for certain."""
    return spread(request, [1.0, *[0.0] * (len(request.offered) - 1)])


def spread(request: RankingRequest, shares: Sequence[float]) -> Pmf:
    """Shares of the actions on offer as probabilities of all of them, 0 where excluded.

    Raises:
        InvalidPmf: if they are not a distribution.
    """
    if len(shares) != len(request.offered):
        raise InvalidPmf(f"the policy gave {len(shares)} shares for {len(request.offered)} actions; need one each.")
    every = [0.0] * len(request.actions)
    for place, share in zip(request.offered, shares, strict=True):
        every[place] = share
    return Pmf(tuple(action.id for action in request.actions), tuple(every))
