"""Values that another implementation gave on real logs, to nine digits."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.columns import ALWAYS, stack
from evaluation.direct import DirectMethod
from evaluation.doubly_robust import DoublyRobust, SelfNormalisedDoublyRobust
from evaluation.ips import Ips
from evaluation.slope import BOUNDS, Slope
from evaluation.snips import Snips
from evaluation.sums import Sums
from evaluation.weighed import weigh
from evaluation.weight_rules import Clipped, Shrunk, SubGaussian, Switched

SHARED = Path(__file__).resolve().parents[2] / "shared"
pytestmark = pytest.mark.skipif(
    not (SHARED / "golden").is_dir(), reason="the reference values are not beside this clone"
)

ESTIMATORS = {
    "ipw": Ips(),
    "ipw_clip10": Ips(Clipped(10.0)),
    "snipw": Snips(),
    "dm": DirectMethod(),
    "dr": DoublyRobust(),
    "sndr": SelfNormalisedDoublyRobust(),
    "switch_10": DoublyRobust(Switched(10.0)),
    "dros_50": DoublyRobust(Shrunk(50.0)),
    "sgipw_05": Ips(SubGaussian(0.05)),
    "sgdr_05": DoublyRobust(SubGaussian(0.05)),
}
FAMILIES = {
    "switch_slope": lambda bound: DoublyRobust(Switched(bound)),
    "dros_slope": lambda bound: DoublyRobust(Shrunk(bound)),
    "ipw_slope": lambda bound: Ips(Clipped(bound)),
    "dr_slope": lambda bound: DoublyRobust(Clipped(bound)),
}


def log_of(name):
    """A log of the Open Bandit data, with the reward model and the target that the reference used."""
    with gzip.open(SHARED / "data" / f"obd_{name}_random.csv.gz", "rt") as file:
        cells = list(csv.DictReader(file))
    stored = np.load(SHARED / "golden" / f"ope_{name}_random_to_bts.npz")
    q, target = stored["q"] * 1e-9, stored["target_by_item_position"]
    arms, positions = (np.array([int(row[column]) for row in cells]) for column in ("item_id", "position"))
    pmf, at = target[:, positions - 1].T, np.arange(len(cells))
    rewards, propensities = ([float(row[column]) for row in cells] for column in ("click", "propensity_score"))
    return weigh(rewards, propensities, pmf[at, arms], predicted=q[at, arms], expected=(q * pmf).sum(axis=1))


@pytest.fixture(scope="module", params=["men", "all"])
def case(request):
    found = json.loads((SHARED / "golden" / "ope_obd.json").read_text())
    return log_of(request.param), found[f"{request.param}_random_to_bts"]["obp"]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_values_equal_the_reference_to_nine_digits(case, name):
    rows, expected = case
    sums = Sums.of_stack(*stack(rows, [*ALWAYS, *ESTIMATORS[name].columns]))
    assert ESTIMATORS[name].value(sums) == pytest.approx(expected[name], rel=0, abs=1e-9)


@pytest.mark.parametrize("name", FAMILIES)
def test_slope_chooses_what_the_reference_chooses(case, name):
    rows, expected = case
    slope = Slope(tuple(map(FAMILIES[name], BOUNDS)), name)
    sums = Sums.of_stack(*stack(rows, [*ALWAYS, *slope.columns]))
    assert slope.chosen(sums).rule.most == expected[f"{name}__lambda"]
    assert slope.value(sums) == pytest.approx(expected[name], rel=0, abs=1e-9)
