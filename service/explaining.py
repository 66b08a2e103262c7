"""The answer to "why?" about a stored decision: made again from the snapshot that its row names, whenever it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from bandit.campaign import Campaign
from bandit.engine import Served
from bandit.errors import BrokenSnapshot, EngineError
from bandit.explanation import Predictor, StageReason, explain
from bandit.group import Group
from bandit.learner import Scorer
from bandit.log import LoggedDecision, encoded_context
from bandit.slot_reason import slot_reasons
from service.engines import served_by
from service.store import Log, Store

MOST_FEATURES = 10
"""Of an outcome's terms, so many are listed; the others stand together as `rest`."""
KEPT = 4
"""Snapshots that stay ready: whoever asks why, asks about the last few."""
NO_MODEL = {
    Group.CONTROL: "the control group gets its fixed choice; where that is not eligible, one of the others at random",
    Group.RANDOM: "the random group's arms are drawn evenly, whatever a model says",
}


class Explainer:
    """Explains decisions of one log; snapshots that were asked about stay ready."""

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._log = store, log
        self._scorer = lru_cache(maxsize=KEPT)(self._load)

    def document(self, row: LoggedDecision, served: Served | None) -> dict[str, object]:
        """The explanation of a row, as JSON has it.

        Args:
            row: of the log.
            served: what serves now, which need not be loaded.

        Estimates and features are None where no model decided, or where the one that did cannot be had any more; `note`
        then says so.
        """
        scorer, note = self._who_decided(row, served)
        campaign, spec = self._log.campaign, self._log.campaign.reward.recent_send
        picks = campaign.picks_of(dict(zip((d.name for d in campaign.dimensions), row.arms, strict=True)))
        try:
            stages = list(explain(campaign, scorer, encoded_context(row, campaign), picks))
        except EngineError as error:
            return {"note": f"the decision cannot be made again: {error}", "dimensions": []}
        pairs = zip(stages, campaign.dimensions, row.pmfs, strict=True)
        return {
            "note": note,
            "cost": None if spec is None else spec.of(row.recent_sends or 0),
            "dimensions": [_stage(stage, dict(zip(d.ids, pmf, strict=True)), row, campaign) for stage, d, pmf in pairs],
        }

    def _who_decided(self, row: LoggedDecision, served: Served | None) -> tuple[Scorer[Any] | None, str | None]:
        """The model, or why there is none."""
        if row.fallback is not None:
            return None, f"drawn evenly in the learner's place: {row.fallback}"
        if row.snapshot is None:
            return None, NO_MODEL.get(Group(row.group), f"policy {row.policy} needs no model")
        if served is not None and served.snapshot == row.snapshot:
            return served.scorer, None
        try:
            return self._scorer(row.snapshot), None
        except BrokenSnapshot as error:
            return None, f"snapshot {row.snapshot} is gone, so estimates and features cannot be said any more: {error}"

    def _load(self, snapshot: str) -> Scorer[Any]:
        return served_by(self._store, self._log, snapshot).scorer


def _stage(stage: StageReason, pmf: dict[str, float], row: LoggedDecision, campaign: Campaign) -> dict[str, object]:
    slots = campaign.send_slots
    says_when = slots is not None and campaign.dimensions[slots.dimension].name == stage.dimension
    hours = (
        slot_reasons(campaign, row.context, row.decided_at, stage.eligible, stage.estimates, pmf) if says_when else []
    )
    return {
        "dimension": stage.dimension,
        "arm": stage.arm,
        "eligible": list(stage.eligible),
        "removed": [{"arm": one.arm, "rule": one.rule} for one in stage.removed],
        "estimates": stage.estimates,
        "pmf": pmf,
        "features": _features(stage.predictors) if stage.predictors else None,
        "send_slots": [one._asdict() for one in hours] if says_when else None,
    }


def _features(predictors: Sequence[Predictor]) -> list[dict[str, object]]:
    return [
        {
            "outcome": one.outcome,
            "worth": one.worth,
            "linear": one.linear,
            "strongest": [
                {"name": name, "contribution": value} for name, value in list(one.contributions.items())[:MOST_FEATURES]
            ],
            "rest": sum(list(one.contributions.values())[MOST_FEATURES:]),
        }
        for one in predictors
    ]
