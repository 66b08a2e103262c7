"""Vowpal Wabbit regressors over the same features that learn side by side."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

from bandit.errors import InvalidEstimates
from bandit.vw import LARGEST, Namespaces, VwModel, calls

AT_ONCE = 256
"""Examples that are filled before the models learn them."""


class _Page:
    """An owned example that is filled again and again.

    Attributes:
        letters: namespaces it has ever held, and whether it holds them now; see `VwModel.fill`.
        mark: the label and the weight it carries, None for none.
        is_ready: whether it is set up; while it is not, it may be filled and labelled.
    """

    __slots__ = ("example", "is_ready", "letters", "mark")

    def __init__(self, model: VwModel) -> None:
        self.example = model.example(())
        self.letters: dict[str, bool] = {}
        self.mark: tuple[float, float] | None = None
        self.is_ready = True

    def open(self) -> None:
        """Be open for a change."""
        if self.is_ready:
            self.example.unsetup_example()
            self.is_ready = False

    def ready(self) -> Any:  # noqa: ANN401 - the wheel has no types
        """Be ready to be predicted or learned."""
        if not self.is_ready:
            self.example.setup_example()
            self.is_ready = True
        return self.example

    def label(self, label: float, weight: float) -> Any:  # noqa: ANN401
        """Carry a label, and be ready."""
        if self.mark != (label, weight):
            self.open()
            self.example.set_label_string(f"{label!r} {weight!r}")
            self.mark = label, weight
        return self.ready()


class VwRegressors:
    """Regressors over the same features that learn side by side.

    They share their examples: filling one costs more than learning from it, so that four models cost less than two would.
    That is sound because a weight's place depends on the features and on the width of the hash only. Any number of threads may
    ask: the shared examples are one thread's at a time.

    Args:
        arguments: one argument string a model, all with the same width of the hash and the same kind of steps.
        models: their bytes, where they go on learning.
    """

    def __init__(self, arguments: Sequence[str], models: Sequence[bytes] | None = None) -> None:
        found: Sequence[bytes | None] = models or [None] * len(arguments)
        self._models = [VwModel(one, model) for one, model in zip(arguments, found, strict=True)]
        self._workspaces = [model.workspace for model in self._models]
        first = self._models[0]
        self._pages = [_Page(first)]
        self._common = first.example(())
        self._shared_letters: dict[str, bool] = {}
        self._own_letters: dict[str, bool] = {}
        self._fill = first.fill
        self._one_at_a_time = threading.Lock()
        self.hashed = first.hashed

    @property
    def arguments(self) -> tuple[str, ...]:
        """The argument string of each model."""
        return tuple(model.arguments for model in self._models)

    def save(self) -> tuple[bytes, ...]:
        """Each model with its learning state."""
        return tuple(model.save() for model in self._models)

    def predict(self, namespaces: Namespaces, places: Sequence[int] | None = None) -> list[float]:
        """Linear predictions before any link or clipping, of every model or of those at some places; changes no state."""
        workspaces = self._workspaces if places is None else [self._workspaces[place] for place in places]
        predict, found = calls.predict, []
        with self._one_at_a_time:
            owned = self._filled([namespaces])[0].ready()
            for workspace in workspaces:
                predict(workspace, owned)
                found.append(float(owned.get_partial_prediction()))
        return found

    def predict_each(self, shared: Namespaces, each: Sequence[Namespaces]) -> list[float]:
        """The first model's linear predictions of one example after another that have most in common; changes no state.

        Args:
            shared: what all of them hold; it is filled once.
            each: what each of them holds besides, in other namespaces.
        """
        model, example, found = self._models[0], self._common, []
        with self._one_at_a_time:
            example.unsetup_example()
            self._fill(example, self._shared_letters, shared)
            for namespaces in each:
                self._fill(example, self._own_letters, namespaces)
                example.setup_example()
                calls.predict(model.workspace, example)
                found.append(float(example.get_partial_prediction()))
                example.unsetup_example()
            example.setup_example()
        return found

    def learn(
        self, namespaces: Namespaces, labels: Sequence[float], weights: Sequence[float] | None = None
    ) -> list[float]:
        """One pass over one example; see `learn_many`.

        Returns:
            Each model's linear prediction before it learned; NaN from one that did not look.
        """
        return self.learn_many([namespaces], [labels], [weights] if weights else None)[0]

    def learn_many(
        self,
        examples: Sequence[Namespaces],
        labels: Sequence[Sequence[float]],
        weights: Sequence[Sequence[float]] | None = None,
    ) -> list[list[float]]:
        """One pass over each example, in order, with a label for each model; logistic loss wants labels -1 and 1.

        One model after the other: the weights of one stay in the processor's cache, those of all do not fit. No model
        sees another, so each learns what it would have learned example by example, to the last bit.

        Args:
            examples: the features of each.
            labels: for each example one a model.
            weights: importance of each example for each model; a model with weight 0 learns nothing. 1 by default.

        Returns:
            For each example each model's linear prediction before it learned; NaN from one that did not look.

        Raises:
            InvalidEstimates: for a label that is not finite: it would poison the model for ever, silently.
        """
        for row in labels:
            if not all(abs(label) <= LARGEST for label in row):
                raise InvalidEstimates(
                    f"labels are {row!r}, need numbers within {LARGEST:g}; the models were left as they were."
                )
        found: list[list[float]] = []
        for first in range(0, len(examples), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            with self._one_at_a_time:
                pages = self._filled(examples[some])
                by_model = [
                    self._learned(place, pages, [row[place] for row in labels[some]], weights and weights[some])
                    for place in range(len(self._workspaces))
                ]
            found += map(list, zip(*by_model, strict=True))
        return found

    def _filled(self, examples: Sequence[Namespaces]) -> list[_Page]:
        """An owned example for each, without a label yet."""
        while len(self._pages) < len(examples):
            self._pages.append(_Page(self._models[0]))
        pages = self._pages[: len(examples)]
        for page, namespaces in zip(pages, examples, strict=True):
            page.open()
            self._fill(page.example, page.letters, namespaces)
            page.mark = None
        return pages

    def _learned(
        self,
        place: int,
        pages: Sequence[_Page],
        labels: Sequence[float],
        weights: Sequence[Sequence[float]] | None,
    ) -> list[float]:
        """One model's pass over the examples."""
        workspace, learn, found = self._workspaces[place], calls.learn, []
        for number, (page, label) in enumerate(zip(pages, labels, strict=True)):
            weight = weights[number][place] if weights else 1.0
            if weight == 0.0:
                found.append(math.nan)
                continue
            example = page.label(label, weight)
            learn(workspace, example)
            found.append(example.get_partial_prediction())
        return found
