"""What a log proves, file by file.

- `evaluation.intervals`: a rate or a mean, and what it may be off by.
- `evaluation.score_intervals`: the difference and the ratio of two rates, and what they may be off by.
- `evaluation.lift`: learner or random group against control, customers being the units.
- `evaluation.sample_ratio`: did groups and arms receive the sends they were promised?
- `evaluation.propensity_honesty`: were the logged probabilities the ones that were sampled from?
"""

from __future__ import annotations

from evaluation.intervals import Interval, mean_interval, wilson
from evaluation.lift import GroupSums, Lift, lift
from evaluation.propensity_honesty import (
    Calibration,
    CalibrationBin,
    InversePropensity,
    calibration_test,
    inverse_propensity_test,
)
from evaluation.sample_ratio import ArmRatio, GroupRatio, arm_ratio_test, group_ratio_e_value
from evaluation.score_intervals import score_difference, score_ratio

__all__ = [
    "ArmRatio",
    "Calibration",
    "CalibrationBin",
    "GroupRatio",
    "GroupSums",
    "Interval",
    "InversePropensity",
    "Lift",
    "arm_ratio_test",
    "calibration_test",
    "group_ratio_e_value",
    "inverse_propensity_test",
    "lift",
    "mean_interval",
    "score_difference",
    "score_ratio",
    "wilson",
]
