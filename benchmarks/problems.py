"""The problems that learners are compared on: worlds with known truth, and the campaign files that fit them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bandit.dimension import ArmFeature
from simulator.click_world import CLICK, ClickWorld
from simulator.email_worlds import composite, drifting, email4d, email12, email12hi, growing
from simulator.multiclass import MulticlassWorld
from simulator.rehearsal import Phase
from simulator.wear_world import WearWorld, wearing

SimpleWorld = ClickWorld | MulticlassWorld | WearWorld
"""The worlds here: one reaction, contexts given as attributes."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, for any seed.

    Args:
        name: as it stands in the results.
        about: half a sentence.
        worlds: the world of each phase, from a seed and a number of sends.
        n_sends: in all phases together.
        batches: delays to be tried, in sends.
        only: contestants that take part, where not everybody can.
    """

    name: str
    about: str
    worlds: Callable[[int, int], Sequence[SimpleWorld]]
    n_sends: int
    batches: tuple[int, ...]
    only: tuple[str, ...] = ()

    def phases(self, seed: int, n_sends: int | None = None) -> list[Phase]:
        """The phases of a campaign, of equal length."""
        worlds = self.worlds(seed, n_sends or self.n_sends)
        return [Phase(world, (n_sends or self.n_sends) // len(worlds)) for world in worlds]

    @property
    def is_composite(self) -> bool:
        """Whether several dimensions are decided together."""
        return len(self.worlds(0, 10)[0].choices.shape) > 1


def _one(make: Callable[[int, int], SimpleWorld]) -> Callable[[int, int], Sequence[SimpleWorld]]:
    return lambda seed, n_sends: (make(seed, n_sends),)


def _wearing(seed: int, n_sends: int, *, depth: float = 0.5) -> Sequence[SimpleWorld]:
    del n_sends  # the same customers hear again and again
    return (wearing(seed, depth=depth),)


def _multiclass(name: str, seed: int, n_sends: int) -> MulticlassWorld:
    from sklearn import datasets  # noqa: PLC0415 - of the bench group; the other problems do without

    features, labels = getattr(datasets, f"load_{name}")(return_X_y=True)
    return MulticlassWorld(seed, features.astype(np.float64), labels.astype(np.int64), n_customers=n_sends)


_DELAYS, _RARE = (1, 1000, 5000), (1, 2000)
PROBLEMS: Mapping[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem("email12", "12 subject lines, 4 % click", _one(email12), 20_000, _DELAYS),
        Problem("email12hi", "the same, effects twice as large", _one(email12hi), 20_000, _DELAYS),
        Problem("email4d", "12 x 4 x 4 x 10, subject and cta interact", _one(email4d), 20_000, _RARE),
        *(
            Problem(
                f"composite-{level}",
                f"12 x 4 x 4 x 10, {level} interactions",
                _one(partial(composite, interactions=level)),  # type: ignore[arg-type]
                20_000,
                _RARE,
            )
            for level in ("none", "some", "strong")
        ),
        Problem("drift", "email12hi, half of the arms change after 20,000 sends", drifting, 40_000, (1000,)),
        Problem(
            "drift-told",
            "the same, the changed arms with new ids: who decides is told when and what",
            partial(drifting, told=True),
            40_000,
            (1000,),
            ("manyarm carried over", "manyarm cold"),
        ),
        Problem("wear-out", "email12hi for 1,000 customers, arms wear out", _wearing, 20_000, (1000,)),
        Problem("wear-none", "the same, nothing wears out", partial(_wearing, depth=0.0), 20_000, (1000,)),
        Problem("new-arms", "8 subject lines, then 12, with declared features", growing, 20_000, (1000,)),
        *(
            Problem(name.replace("_", "-"), f"scikit-learn's {name}", _one(partial(_multiclass, name)), 6_000, (25,))
            for name in ("wine", "breast_cancer", "digits")
        ),
    )
}


def campaign_toml(world: SimpleWorld, tables: str = "", *, wears: bool = True, declares: bool = True) -> str:
    """The campaign file of a world: its context, its arms with what they declare, a click worth 1.0; nobody held out.

    Args:
        world: whose choices and contexts they are.
        tables: more TOML, such as a `[policy]` and a `[learner]` table; nothing means the product's defaults.
        wears: whether the file says that arms wear out, where they do.
        declares: whether it says what arms are like, where the world knows.
    """
    lines = ["[campaign]", 'id = "learning"', "[reward]", 'window = "1h"', f"events = {{ {CLICK} = 1.0 }}", tables]
    lines += ["[wear_out]"] if wears and isinstance(world, WearWorld) else []
    for name, values in world.attributes.categories.items():
        lines += [f"[context.{name}]", 'kind = "categorical"', f"values = {json.dumps(values)}"]
    for name, (low, high) in world.attributes.ranges.items():
        lines += [f"[context.{name}]", 'kind = "numeric"', f"range = [{low!r}, {high!r}]"]
    for name, arms in world.choices.dimensions.items():
        lines += ["[[dimension]]", f'name = "{name}"']
        for arm in arms:
            known = world.arm_features.get(name, {}).get(arm, {}) if declares else {}
            lines += ["[[dimension.arm]]", f'id = "{arm}"', *_features(known)]
    return "\n".join(lines) + "\n"


def _features(declared: Mapping[str, ArmFeature]) -> list[str]:
    pairs = ", ".join(f"{name} = {json.dumps(value)}" for name, value in declared.items())
    return [f"features = {{ {pairs} }}"] if pairs else []
