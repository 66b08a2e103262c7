"""Every learner by its name in the campaign file, and which one goes with a policy."""

from __future__ import annotations

from typing import Any

from bandit.bootstrap import BOOTSTRAP, BootstrapOptions
from bandit.campaign import LearnerSpec
from bandit.errors import MismatchedPolicy
from bandit.estimates import Need
from bandit.fault import Fault, shown
from bandit.learner import LearnerKind
from bandit.native import NATIVE, NativeOptions
from bandit.regression import REGRESSION, RegressionOptions

LEARNERS: dict[str, LearnerKind] = {kind.name: kind for kind in (REGRESSION, BOOTSTRAP, NATIVE)}
"""What `[learner] name` may be."""
LEARNER_OPTIONS: dict[str, type[Any]] = {
    REGRESSION.name: RegressionOptions,
    BOOTSTRAP.name: BootstrapOptions,
    NATIVE.name: NativeOptions,
}
"""Where the options of each are declared."""


def learner_faults(spec: LearnerSpec, needs: Need, *, wears: bool = False) -> list[Fault]:
    """What is wrong with a `[learner]` table: an unknown name, options it does not have, the wrong policy.

    Args:
        spec: the table.
        needs: what the policy needs.
        wears: whether the campaign looks back at what a customer got before (`Campaign.looks_back`), of which not every
            learner takes account.
    """
    if spec.name and spec.name not in LEARNERS:
        return [Fault("learner.name", shown(spec.name), f"one of {', '.join(LEARNERS)}")]
    kind = LEARNERS[spec.name] if spec.name else _first_that_provides(needs)
    faults = kind.faults(spec.options)
    if needs is not Need.NOTHING and needs not in kind.provides:
        better = _first_that_provides(needs).name
        faults.append(Fault("learner.name", shown(kind.name), f"{better}: the policy needs {needs}"))
    if wears and needs is not Need.NOTHING and not kind.wears:
        able = ", ".join(name for name, other in LEARNERS.items() if other.wears)
        wanted = f"one of {able}, or no [wear_out] and no [reward].recent_send: it cannot take account of them"
        faults.append(Fault("wear_out or reward.recent_send", f"learner {kind.name!r}", wanted))
    return faults


def learner_for(spec: LearnerSpec, needs: Need, *, wears: bool = False) -> LearnerKind:
    """The learner that the campaign names, or the first that provides what the policy needs.

    Raises:
        MismatchedPolicy: if they do not fit; the message names a learner that would.
    """
    faults = learner_faults(spec, needs, wears=wears)
    if faults:
        raise MismatchedPolicy("; ".join(str(fault) for fault in faults))
    return LEARNERS[spec.name] if spec.name else _first_that_provides(needs)


def _first_that_provides(needs: Need) -> LearnerKind:
    return next((kind for kind in LEARNERS.values() if needs in kind.provides), REGRESSION)
