"""The only module that loads Vowpal Wabbit: costs, label texts, hashes, owned examples.

Features go in as hashed numbers, never as text lines, so that no arm text can break out of its place. Costs exist only
here (cost = -reward). The private calls are those of vowpalwabbit 9.11.9, hence its pin.
"""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from vowpalwabbit import pyvw

from bandit.arrays import FloatArray
from bandit.errors import BrokenSnapshot, InvalidEstimates

HashedFeature = tuple[int, float]
Namespaces = Sequence[tuple[str, Sequence[HashedFeature]]]
"""Letter and hashed features of each namespace of one example."""

calls = pyvw.pylibvw.vw
"""Vowpal Wabbit's own functions: `learn` and `predict` of a workspace and an example, without the checks of `pyvw`."""
_make_known = pyvw.pylibvw.example.push_namespace
PMF_TOLERANCE = 1e-5
LARGEST = 1e30
"""Vowpal Wabbit counts in single precision: a larger number would be infinite there, and poison a model for ever."""


class VwModel:
    """One Vowpal Wabbit workspace: hashing, saving, loading and owned examples, which regressors and explorer share."""

    def __init__(self, arguments: str, model: bytes | None = None) -> None:
        self.arguments = arguments
        self.workspace = _open(arguments, model)
        self._spaces: dict[str, int] = {}

    def hashed(self, namespace: str, features: Sequence[tuple[str, float]]) -> tuple[HashedFeature, ...]:
        """Hash named features once, so that learning and predicting never touch a text again."""
        space = self._space(namespace)
        # Vowpal Wabbit drops white space at the end of a name before it hashes; a last letter keeps "join " from "join".
        return tuple((self.workspace.hash_feature(f"{name}.", space), float(value)) for name, value in features)

    def save(self) -> bytes:
        """The whole model with its learning state, as Vowpal Wabbit writes it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            self.workspace.save(str(path))
            return path.read_bytes()

    def _space(self, namespace: str) -> int:
        if namespace not in self._spaces:
            self._spaces[namespace] = self.workspace.hash_space(namespace)
        return self._spaces[namespace]

    def example(self, namespaces: Namespaces) -> Any:  # noqa: ANN401 - the wheel has no types
        """A new example, set up."""
        example = pyvw.Example(self.workspace, {letter: list(features) for letter, features in namespaces})
        example.setup_example()
        return example

    def fill(self, example: Any, used: dict[str, bool], namespaces: Namespaces) -> None:  # noqa: ANN401
        """Replace the contents of an owned example; several times as fast as making a new one.

        Args:
            example: as it is before set-up; left so.
            used: letters it has ever held, and whether it holds them now. A letter it has not is made known to it first:
                features pushed into an unknown namespace count in products and nowhere else.
            namespaces: what it is to hold.
        """
        for letter, holds in used.items():
            if holds:
                example.erase_namespace(ord(letter))
                used[letter] = False
        workspace = self.workspace
        for letter, features in namespaces:
            if letter not in used:
                _make_known(example, ord(letter))
            used[letter] = True
            listed = features if type(features) is list else list(features)
            example.push_feature_list(workspace, ord(letter), self._space(letter), listed)


class VwExplorer(VwModel):
    """A `--cb_explore_adf` explorer with one owned example an arm.

    Any number of threads may ask: the owned examples are one thread's at a time.
    """

    def __init__(self, arguments: str, model: bytes | None = None) -> None:
        super().__init__(arguments, model)
        self._one_at_a_time = threading.Lock()
        self._shared = pyvw.Example(self.workspace, {})
        self._shared.set_label_string("shared")
        self._shared.setup_example()
        self._letters: dict[str, bool] = {}
        self._arms: dict[tuple[str, int, tuple[HashedFeature, ...]], Any] = {}

    def pmf(self, shared: Namespaces, namespace: str, arms: Sequence[tuple[HashedFeature, ...]]) -> FloatArray:
        """The explorer's probability of each arm, in the given order; changes no state.

        Returns:
            shape (n_arms,), renormalised in float64.

        Raises:
            InvalidEstimates: if Vowpal Wabbit answers with something that is not a pmf.
        """
        with self._one_at_a_time:
            self._share(shared)
            try:
                calls.predict_multi(self.workspace, [self._shared, *self._examples(namespace, arms)])
            except RuntimeError as error:
                raise InvalidEstimates(f"Vowpal Wabbit failed: {error}. The random policy decides instead.") from error
            scores = self._shared.get_action_scores()
        return _checked_pmf(scores, len(arms))

    def learn(
        self,
        shared: Namespaces,
        namespace: str,
        arms: Sequence[tuple[HashedFeature, ...]],
        chosen: int,
        *,
        reward: float,
        propensity: float,
    ) -> None:
        """One update from one logged pick.

        Raises:
            InvalidEstimates: for a reward that is not finite or a propensity outside (0, 1]; Vowpal Wabbit would take
                the first for ever and ignore the second, both silently.
        """
        if not (abs(reward) <= LARGEST and 1.0 / LARGEST <= propensity <= 1.0):
            raise InvalidEstimates(
                f"reward is {reward!r} and propensity {propensity!r}; need a reward within {LARGEST:g} and a propensity in "
                "(0, 1]. The model was left as it was."
            )
        with self._one_at_a_time:
            self._share(shared)
            # A fresh labelled example: set_label_string appends, so a cached one must never carry a label.
            labelled = pyvw.Example(self.workspace, {namespace: list(arms[chosen])})
            labelled.set_label_string(f"0:{-reward!r}:{propensity!r}")
            labelled.setup_example()
            examples = self._examples(namespace, arms)
            examples[chosen] = labelled
            calls.learn_multi(self.workspace, [self._shared, *examples])

    def _share(self, shared: Namespaces) -> None:
        self._shared.unsetup_example()
        self.fill(self._shared, self._letters, shared)
        self._shared.setup_example()

    def _examples(self, namespace: str, arms: Sequence[tuple[HashedFeature, ...]]) -> list[Any]:
        """An example for each arm; arms whose features collide have one each, or Vowpal Wabbit would crash."""
        seen: Counter[tuple[HashedFeature, ...]] = Counter()
        examples = []
        for features in arms:
            key = (namespace, seen[features], features)
            seen[features] += 1
            if key not in self._arms:
                self._arms[key] = self.example([(namespace, features)])
            examples.append(self._arms[key])
        return examples


def _checked_pmf(scores: Sequence[float], n_arms: int) -> FloatArray:
    pmf = np.asarray(scores, dtype=np.float64)
    total = float(pmf.sum())
    # NaN fails each comparison, so it cannot pass.
    if pmf.shape == (n_arms,) and bool((pmf >= 0.0).all()) and abs(total - 1.0) <= PMF_TOLERANCE:
        checked: FloatArray = pmf / total
        return checked
    raise InvalidEstimates(
        f"Vowpal Wabbit answered {scores!r} for {n_arms} arms, need probabilities that sum to 1. "
        "The random policy decides instead; train a new snapshot, or roll back."
    )


def _open(arguments: str, model: bytes | None) -> Any:  # noqa: ANN401 - the wheel has no types
    if model is None:
        return pyvw.Workspace(f"{arguments} --quiet")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        path.write_bytes(model)
        try:
            return pyvw.Workspace(arg_list=[*arguments.split(), "--quiet", "-i", str(path)])
        except RuntimeError as error:
            raise BrokenSnapshot(
                f"Vowpal Wabbit cannot load these {len(model)} bytes with {arguments!r}: {error}. "
                "Roll back to another snapshot; `manyarm snapshot list` shows them."
            ) from error
