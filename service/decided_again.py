"""What another snapshot would have said of a decision."""

from __future__ import annotations

from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import Engine
from bandit.group import Group
from bandit.pmf import Pmf
from evaluation.retrace import retraced


def pmfs_by(engine: Engine, decision: Decision) -> list[Pmf]:
    """The pmfs an engine would have drawn from along the picks of a decision, one a dimension.

    Args:
        engine: serves the snapshot in question; without one the random policy decides for the learner.
        decision: of the same campaign.
    """
    campaign, served = engine.campaign, engine.served
    group = decision.group if served or decision.group is not Group.LEARNER else Group.RANDOM
    scorer = served.scorer if served and group is Group.LEARNER else None
    encoded = campaign.schema.encode(Context(decision.context))
    encoded = encoded._replace(
        exposures=decision.exposures, excluded=decision.excluded, recent_sends=decision.recent_sends
    )
    picks = campaign.picks_of(decision.choice)
    made = retraced(campaign.eligibility, engine.policies[group], scorer, decision.context, encoded, picks)
    return [Pmf(d.ids, tuple(pmf.tolist())) for d, (pmf, _) in zip(campaign.dimensions, made, strict=True)]
