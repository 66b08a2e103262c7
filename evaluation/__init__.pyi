# The names of the package; `__init__.py` loads each when it is asked for.

from .arm_comparison import ArmComparison, compare_arms
from .arm_contrasts import ArmContrast, arm_contrast
from .arm_scores import ArmRows, ArmScores, arm_scores
from .arm_values import ArmValue, arm_values
from .audit import Audit, AuditVerdict
from .audits import all_audits
from .betting_sequence import betting_sequence, policy_value_sequence
from .contrast_scores import ContrastScores, Rest, Weighting, pair_scores
from .contrast_sequence import contrast_sequence
from .cressie_read import Reach, cressie_read
from .direct import DirectMethod
from .doubly_robust import DoublyRobust, SelfNormalisedDoublyRobust
from .empirical_bayes import Shrunk, shrink
from .estimator import Estimate, estimate
from .evaluate import Evaluation, conclude, tally
from .finding import Finding, Word, find
from .group_comparison import GroupComparison, GroupRows, Rule, compare_groups
from .group_sequence import group_sequence
from .grouped_sends import GroupedSends
from .harm_stop import HarmStop, harm_stop
from .intervals import Interval, mean_interval, wilson
from .ips import Ips
from .lift import GroupSums, Lift, lift
from .methods import METHODS, Known
from .multiplicity import benjamini_hochberg, holm
from .overlap import Overlap, Verdict
from .power import Comparison, needed, smallest_lift
from .propensity_honesty import (
    Calibration,
    CalibrationBin,
    InversePropensity,
    calibration_test,
    inverse_propensity_test,
)
from .sample_ratio import ArmRatio, GroupRatio, arm_ratio_test, group_ratio_e_value
from .score_intervals import score_difference, score_ratio
from .slope import Slope
from .snips import Snips
from .snips_wilson import snips_wilson
from .sums import Sums
from .weighed import Weighed, weigh

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
