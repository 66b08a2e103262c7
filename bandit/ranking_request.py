"""What a ranking is asked for: actions with features, a context, and what must not be drawn; checked at construction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bandit.context import is_unicode
from bandit.errors import InvalidRanking
from bandit.fault import shown
from bandit.free_features import Named, Object, flattened

MOST_ACTIONS = 50
MOST_INTERACTIONS = 100_000
"""Products of a context feature with an action's feature or id: each is a weight to look up, about 10 ns."""
LONGEST_EVENT_ID = 256


@dataclass(frozen=True, slots=True)
class Action:
    """Something that may be shown: its id, and what is known about it."""

    id: str
    features: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class RankingRequest:
    """What a caller asks for; checked at construction.

    Attributes:
        event_id: new for every event; the same id gives the same draw.
        actions: 1 to 50 with different ids, in the order in which they would be shown without us: the first is control's.
        context: what is known about who will see it.
        excluded: ids that must not be drawn; those that no action has do no harm.
        is_deferred: whether it counts only after it was activated.

    Raises:
        InvalidRanking: naming what cannot be ranked, and why.
    """

    event_id: str
    actions: tuple[Action, ...]
    context: tuple[Object, ...] = ()
    excluded: tuple[str, ...] = ()
    is_deferred: bool = False
    offered: tuple[int, ...] = field(init=False, repr=False, compare=False)
    features: RankingFeatures = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_event_id(self.event_id)
        _check_actions(self.actions)
        left = set(self.excluded)
        offered = tuple(place for place, action in enumerate(self.actions) if action.id not in left)
        if not offered:
            raise InvalidRanking(
                f"all {len(self.actions)} actions are excluded, so there is nothing to draw from. Leave at least one."
            )
        object.__setattr__(self, "offered", offered)
        object.__setattr__(self, "features", RankingFeatures.of(self))
        _check_interactions(self.features)


class RankingFeatures(NamedTuple):
    """A request's features by name: of the context, and of each action, with the actions' ids."""

    context: Sequence[Named]
    actions: Sequence[Sequence[Named]]
    ids: Sequence[str]

    @classmethod
    def of(cls, request: RankingRequest) -> RankingFeatures:
        """Flattened once; see `flattened`."""
        actions = [flattened(one.features, f"actions[{at}].features") for at, one in enumerate(request.actions)]
        return cls(flattened(request.context, "contextFeatures"), actions, [one.id for one in request.actions])


def check_event_id(event_id: str) -> None:
    """Refuse an id that no event can have.

    Raises:
        InvalidRanking: for anything but a text of 1 to 256 characters.
    """
    if not 0 < len(event_id) <= LONGEST_EVENT_ID or not is_unicode(event_id):
        raise InvalidRanking(
            f"eventId is {shown(event_id)}, need a text of 1 to {LONGEST_EVENT_ID} characters, all of them Unicode: rewards "
            "hang on it."
        )


def _check_interactions(features: RankingFeatures) -> None:
    n_interactions = len(features.context) * (len(features.ids) + sum(map(len, features.actions)))
    if n_interactions > MOST_INTERACTIONS:
        raise InvalidRanking(
            f"{len(features.context)} context features with the features and ids of {len(features.ids)} actions make "
            f"{n_interactions} products, need at most {MOST_INTERACTIONS}: all other requests would wait. Send fewer features."
        )


def _check_actions(actions: Sequence[Action]) -> None:
    if not 0 < len(actions) <= MOST_ACTIONS:
        raise InvalidRanking(
            f"there are {len(actions)} actions, need 1 to {MOST_ACTIONS}. Filter a longer list before ranking it."
        )
    for place, action in enumerate(actions):
        if not 0 < len(action.id) <= LONGEST_EVENT_ID or not is_unicode(action.id):
            raise InvalidRanking(
                f"actions[{place}].id is {shown(action.id)}, need a text of 1 to {LONGEST_EVENT_ID} characters, all of them "
                "Unicode."
            )
    twice = [name for name, count in Counter(action.id for action in actions).items() if count > 1]
    if twice:
        raise InvalidRanking(
            f"actions have the id {shown(twice[0])} more than once; need different ones, or it cannot be said what was drawn."
        )
