"""What a log proves, file by file.

What another policy would have earned:

- `evaluation.evaluate`: from batches of a log to values, intervals and a verdict; `evaluation.methods` lists the estimators.
- `evaluation.target`, `evaluation.snapshot_target`, `evaluation.learned_target`: the policies that can be asked about.
- `evaluation.ips`, `snips`, `direct`, `doubly_robust`, `slope`, with `evaluation.weight_rules`: file = method.
- `evaluation.snips_wilson`, `cressie_read`, `poisson_bootstrap`: intervals of them.
- `evaluation.betting_sequence`, with `bets`: a mean or a policy's value, valid however often somebody looks.
- `evaluation.pseudo_inverse`, `joint_support`, `joint_pmf`, `composite`: choices of several dimensions.
- `evaluation.stage_wise`, `stage_models`: the same, one dimension after another.
- `evaluation.effective_sample`: Wilson's interval for estimates with weights.
- `evaluation.gate`, `pairwise_gain`: may a snapshot serve?
- `evaluation.overlap`: can this log answer this question?
- `evaluation.reward_model`: models that never predict what they learned from.

What fixed groups show, and whether the log can be believed:

- `evaluation.intervals`: a rate or a mean, and what it may be off by.
- `evaluation.score_intervals`: the difference and the ratio of two rates, and what they may be off by.
- `evaluation.lift`: learner or random group against control, customers being the units.
- `evaluation.group_comparison`: the same and what may be looked at daily: `group_sequence`, `harm_stop`, by `grouped_sends`.
- `evaluation.sample_ratio`: did groups and arms receive the sends they were promised?
- `evaluation.propensity_honesty`: were the logged probabilities the ones that were sampled from?
- `evaluation.audits`: all audits of a log; `drift`, `population_stability`, `fairness`, `reward_health` are methods of theirs.

Which arms work, on traffic that a learner steers:

- `evaluation.arm_scores`, `contrast_scores`: what each arm would have earned, and one arm against another or the rest.
- `evaluation.arm_contrasts` for one look, `contrast_sequence` for every look; `arm_comparison`, `segment_comparison`.
- `evaluation.empirical_bayes`, `multiplicity`: many estimates, many tests.
- `evaluation.finding`: the word for a difference, and its rule.

Before and beside: `evaluation.power`; `evaluation.fixed_split`, `interactions`, `time_to_conversion` where a split is fixed.
"""

from __future__ import annotations

from evaluation.arm_comparison import ArmComparison, compare_arms
from evaluation.arm_contrasts import ArmContrast, arm_contrast
from evaluation.arm_scores import ArmRows, ArmScores, arm_scores
from evaluation.arm_values import ArmValue, arm_values
from evaluation.audit import Audit, AuditVerdict
from evaluation.audits import all_audits
from evaluation.betting_sequence import betting_sequence, policy_value_sequence
from evaluation.contrast_scores import ContrastScores, Rest, Weighting, pair_scores
from evaluation.contrast_sequence import contrast_sequence
from evaluation.cressie_read import Reach, cressie_read
from evaluation.direct import DirectMethod
from evaluation.doubly_robust import DoublyRobust, SelfNormalisedDoublyRobust
from evaluation.empirical_bayes import Shrunk, shrink
from evaluation.estimator import Estimate, estimate
from evaluation.evaluate import Evaluation, conclude, tally
from evaluation.finding import Finding, Word, find
from evaluation.group_comparison import GroupComparison, GroupRows, Rule, compare_groups
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends
from evaluation.harm_stop import HarmStop, harm_stop
from evaluation.intervals import Interval, mean_interval, wilson
from evaluation.ips import Ips
from evaluation.lift import GroupSums, Lift, lift
from evaluation.methods import METHODS, Known
from evaluation.multiplicity import benjamini_hochberg, holm
from evaluation.overlap import Overlap, Verdict
from evaluation.power import Comparison, needed, smallest_lift
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
    "ArmComparison",
    "ArmContrast",
    "ArmRatio",
    "ArmRows",
    "ArmScores",
    "ArmValue",
    "Audit",
    "AuditVerdict",
    "Calibration",
    "CalibrationBin",
    "Comparison",
    "ContrastScores",
    "DirectMethod",
    "DoublyRobust",
    "Estimate",
    "Evaluation",
    "Finding",
    "GroupComparison",
    "GroupRatio",
    "GroupRows",
    "GroupSums",
    "GroupedSends",
    "HarmStop",
    "Interval",
    "InversePropensity",
    "Ips",
    "Known",
    "Lift",
    "Overlap",
    "Reach",
    "Rest",
    "Rule",
    "SelfNormalisedDoublyRobust",
    "Shrunk",
    "Slope",
    "Snips",
    "Sums",
    "Verdict",
    "Weighed",
    "Weighting",
    "Word",
    "all_audits",
    "arm_contrast",
    "arm_ratio_test",
    "arm_scores",
    "arm_values",
    "benjamini_hochberg",
    "betting_sequence",
    "calibration_test",
    "compare_arms",
    "compare_groups",
    "conclude",
    "contrast_sequence",
    "cressie_read",
    "estimate",
    "find",
    "group_ratio_e_value",
    "group_sequence",
    "harm_stop",
    "holm",
    "inverse_propensity_test",
    "lift",
    "mean_interval",
    "needed",
    "pair_scores",
    "policy_value_sequence",
    "score_difference",
    "score_ratio",
    "shrink",
    "smallest_lift",
    "snips_wilson",
    "tally",
    "weigh",
    "wilson",
]
