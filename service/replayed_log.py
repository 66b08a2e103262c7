"""A replayed stage as a log to evaluate: what an analyst would have, without the truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue
from evaluation.log_batch import Layout, LogBatch, Sends
from simulator.replayed import ReplayedStage
from simulator.world import Arrival


def batch_of(stage: ReplayedStage) -> LogBatch:
    """Every send of a stage as one batch, control's too; rows are numbered from 1 in the order of deciding."""
    dimensions, n = stage.campaign.dimensions, len(stage.rewards)
    arrivals = stage.arrivals
    at = np.array([arrival.at.replace(tzinfo=None) for arrival in arrivals], dtype="datetime64[us]")
    sends = Sends(
        stage.groups.astype(np.object_),
        np.array([arrival.customer_id for arrival in arrivals], dtype=np.object_),
        at,
        np.full(n, np.datetime64("NaT"), dtype="datetime64[us]"),
    )
    names = [item.name for item in stage.campaign.schema.fields]
    contexts = [_decided_from(stage.campaign, arrival) for arrival in arrivals]
    return LogBatch(
        Layout(tuple(d.name for d in dimensions), tuple(d.ids for d in dimensions)),
        np.arange(1, n + 1),
        stage.rewards,
        stage.picks,
        stage.propensities,
        stage.pmfs,
        {name: [context.get(name) for context in contexts] for name in names},
        is_product=np.full(n, len(dimensions) == 1),
        sends=sends,
        recent_sends=stage.recent_sends or None,
        worths=stage.worths if len(stage.worths) else None,
    )


def _decided_from(campaign: Campaign, arrival: Arrival) -> Mapping[str, ContextValue]:
    """What was known of an arrival, with what the campaign makes of its time."""
    if campaign.time is None:
        return arrival.context
    return campaign.completed(Context(campaign.given_of(arrival.context)), arrival.at).values
