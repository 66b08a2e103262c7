"""With its receipt, the salt and the snapshot a decision can be made again by anybody."""

from __future__ import annotations

import pytest

from bandit.context import Context
from bandit.draw import draw, position_of
from bandit.eligibility import Eligibility
from bandit.exclusion import excluded_in
from bandit.snapshot import checksum
from bandit.wear_out import Exposure
from evaluation.retrace import retraced


def test_a_receipt_and_the_salt_make_the_decision_again(worlds, serve):
    http = serve(worlds.campaign(policy={"name": "squarecb"}, wear_out={"window": "30d"}))
    http.learn()
    http.wait(days=1)
    http.decide("taught3", decision_id="d", context={"level": "high", "days": 3}, exclude={"subject": ["plain"]})
    receipt, campaign = http.show("d"), http.log.campaign
    assert receipt["exposures"]
    body = (
        http.store.reader().execute("SELECT body FROM snapshots WHERE snapshot = ?", (receipt["snapshot"],)).fetchone()
    )
    assert receipt["snapshot_sha256"] == checksum(body[0])
    exposures = tuple(
        Exposure(d, arm.index_of(name), worn["recency"], worn["frequency"])
        for d, arm in enumerate(campaign.dimensions)
        for name, worn in receipt["exposures"].get(arm.name, {}).items()
    )
    encoded = campaign.schema.encode(Context(receipt["context"]))
    excluded = excluded_in(campaign.dimensions, receipt["excluded"])
    encoded = encoded._replace(exposures=tuple(sorted(exposures)), excluded=excluded)
    engine = http.serving.engine
    policy = next(one for one in engine.policies.values() if one.name == receipt["policy"])
    picks = campaign.picks_of(receipt["choice"])
    again = retraced(Eligibility(campaign.dimensions), policy, engine.served.scorer, encoded.values, encoded, picks)
    for dimension, (pmf, _) in zip(campaign.dimensions, again, strict=True):
        told = [receipt["pmf"][dimension.name][arm] for arm in dimension.ids]
        assert pmf.tolist() == pytest.approx(told, abs=1e-9)
        position = position_of(receipt["campaign"], receipt["decision_id"], dimension.name, salt=worlds.salt)
        assert receipt["positions"][dimension.name] == position
        assert dimension.ids[draw(told, position)] == receipt["choice"][dimension.name]
