"""What a log proves, file by file.

What another policy would have earned:

- `evaluation.evaluate`: from batches of a log to values, intervals and a verdict; `evaluation.methods` lists the estimators.
- `evaluation.target`, `evaluation.snapshot_target`, `evaluation.learned_target`: the policies that can be asked about.
- `evaluation.ips`, `snips`, `direct`, `doubly_robust`, `slope`, with `evaluation.weight_rules`: file = method.
- `evaluation.snips_wilson`, `cressie_read`, `poisson_bootstrap`: intervals of them.
- `evaluation.betting_sequence`, with `bets`: a mean or a policy's value, valid however often somebody looks.
- `evaluation.pseudo_inverse`, `joint_support`, `joint_pmf`, `behavior`, `composite`: choices of several dimensions.
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

import lazy_loader

# Statisticians' libraries take seconds to load, and hardly anybody asks for all of them.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
