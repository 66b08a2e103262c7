"""What a log proves, file by file.

What another policy would have earned:

- `evaluation.evaluate`: from batches of a log to values, intervals and a verdict; `evaluation.methods` lists the estimators.
- `evaluation.target`, `evaluation.snapshot_target`, `evaluation.learned_target`: the policies that can be asked about.
- `evaluation.ips`, `snips`, `direct`, `doubly_robust`, `slope`, with `evaluation.weight_rules`: file = method.
- `evaluation.snips_wilson`, `cressie_read`, `poisson_bootstrap`: intervals of them.
- `evaluation.betting_sequence`: a mean or a policy's value, valid however often somebody looks.
- `evaluation.pseudo_inverse`, `joint_pmf`, `composite`: choices of several dimensions.
- `evaluation.gate`: may a snapshot serve?
- `evaluation.overlap`: can this log answer this question?
- `evaluation.reward_model`: models that never predict what they learned from.

What fixed groups show, and whether the log can be believed:

- `evaluation.intervals`: a rate or a mean, and what it may be off by.
- `evaluation.score_intervals`: the difference and the ratio of two rates, and what they may be off by.
- `evaluation.lift`: learner or random group against control, customers being the units.
- `evaluation.sample_ratio`: did groups and arms receive the sends they were promised?
- `evaluation.propensity_honesty`: were the logged probabilities the ones that were sampled from?
"""

from __future__ import annotations

from evaluation.betting_sequence import betting_sequence, policy_value_sequence
from evaluation.cressie_read import Reach, cressie_read
from evaluation.direct import DirectMethod
from evaluation.doubly_robust import DoublyRobust, SelfNormalisedDoublyRobust
from evaluation.estimator import Estimate, estimate
from evaluation.evaluate import Evaluation, conclude, tally
from evaluation.intervals import Interval, mean_interval, wilson
from evaluation.ips import Ips
from evaluation.lift import GroupSums, Lift, lift
from evaluation.methods import METHODS, Known
from evaluation.overlap import Overlap, Verdict
from evaluation.propensity_honesty import (
    Calibration,
    CalibrationBin,
    InversePropensity,
    calibration_test,
    inverse_propensity_test,
)
from evaluation.sample_ratio import ArmRatio, GroupRatio, arm_ratio_test, group_ratio_e_value
from evaluation.score_intervals import score_difference, score_ratio
from evaluation.slope import Slope
from evaluation.snips import Snips
from evaluation.snips_wilson import snips_wilson
from evaluation.sums import Sums
from evaluation.weighed import Weighed, weigh

__all__ = [
    "METHODS",
    "ArmRatio",
    "Calibration",
    "CalibrationBin",
    "DirectMethod",
    "DoublyRobust",
    "Estimate",
    "Evaluation",
    "GroupRatio",
    "GroupSums",
    "Interval",
    "InversePropensity",
    "Ips",
    "Known",
    "Lift",
    "Overlap",
    "Reach",
    "SelfNormalisedDoublyRobust",
    "Slope",
    "Snips",
    "Sums",
    "Verdict",
    "Weighed",
    "arm_ratio_test",
    "betting_sequence",
    "calibration_test",
    "conclude",
    "cressie_read",
    "estimate",
    "group_ratio_e_value",
    "inverse_propensity_test",
    "lift",
    "mean_interval",
    "policy_value_sequence",
    "score_difference",
    "score_ratio",
    "snips_wilson",
    "tally",
    "weigh",
    "wilson",
]
