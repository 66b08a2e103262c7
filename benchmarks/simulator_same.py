"""Whether the same seeds give the same bytes: a whole replay twice, and once more on two processes."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from gates import Gate
from sample_without_hours import sample_without_hours
from simulator_truth import campaign_of

from bandit.campaign_file import read_campaign
from service.contenders import contender_of
from service.replay_report import ReplayReport, document_of
from service.replaying import run_all
from service.worlds_asked import ScenarioWorlds
from simulator.replayed import DAY

POLICIES = ("squarecb", "thompson", "uniform")
SEEDS = range(2)


def same(*, smoke: bool) -> dict[str, Any]:
    """The hashes of each scenario's document, made three times."""
    campaign = campaign_of({"subject": 4}) if smoke else read_campaign(sample_without_hours())
    names = ["steady"] if smoke else ["steady", "new-arms", "machines"]
    n_sends, step = (60, 14 * DAY) if smoke else (2000, DAY)
    found = {}
    for name in names:
        contenders = [contender_of(policy, campaign, step) for policy in POLICIES[: 1 if smoke else None]]
        hashes = []
        for n_processes in (1, 1) if smoke else (1, 1, 2):  # the smoke of `speed` begins a second process
            runs = run_all(contenders, ScenarioWorlds(name), n_sends, SEEDS, n_processes=n_processes)
            hashes.append(
                sha256(msgspec.json.encode(document_of(ReplayReport.of(name, campaign.id, runs)))).hexdigest()
            )
        found[name] = {"n_sends": n_sends, "seeds": list(SEEDS), "sha256": hashes[0], "equal": len(set(hashes)) == 1}
    return found


def gates_of_same(found: dict[str, Any]) -> list[Gate]:
    """All three are equal."""
    return [Gate(f"{name}: same bytes", float(one["equal"]), least=1.0) for name, one in found.items()]
