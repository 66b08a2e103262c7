"""Fits a world to a log: one logistic regression a type of outcome, held down by what helps on rows it has not seen.

Regularisation never touches the base and hardly the arms, so that every arm's mean rate in the fit is the log's; what an arm
does for whom is believed only as far as it predicts other customers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
from scipy import sparse
from scipy.special import expit

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from simulator.click_world import ClickEffects
from simulator.fit_evidence import Evidence, FittedType
from simulator.fit_rows import LEAST_ROWS, FitRows
from simulator.fitted_response import FittedResponse
from simulator.fitted_world import FittedWorld
from simulator.logistic_ridge import Sends, fit_logistic
from simulator.reliability import log_loss, reliability
from simulator.response_terms import ContextTerms, Part, ResponseTerms
from simulator.silence import Silence
from simulator.world import IntArray

Strengths: TypeAlias = Mapping[Part, float]
"""Of the ridge, by part: one over the variance that weights are thought to have."""
FEWEST_EVENTS: Final = 10
"""A type that happened less often, or failed to happen less often, has a mean rate and nothing else."""
MOST_TRIED: Final = 40_000
"""Rows that strengths are chosen on; of a longer log a random part. A strength does not depend on the number of rows."""
NONE: Final = 1e7
"""So strong a ridge leaves nothing of a term."""
TRIED: Final[Mapping[Part, tuple[float, ...]]] = MappingProxyType(
    {
        Part.CUSTOMER: (3.0, 30.0, 300.0),
        Part.FIT: (10.0, 30.0, 100.0, 300.0, 1000.0, NONE),
        Part.PAIRS: (10.0, 30.0, 100.0, 300.0, 1000.0, NONE),
    }
)
"""Strengths that are tried."""
_BEGIN: Final[Strengths] = MappingProxyType(
    {Part.BASE: 1e-4, Part.ARMS: 0.1, Part.CUSTOMER: 30.0, Part.FIT: 100.0, Part.PAIRS: 100.0}
)
_LOOSE, _CLOSE = 0.05, 1e-3
_LEAST_BASE = 1e-9


def fit_world(rows: FitRows, campaign: Campaign, *, seed: int, folds: int = 5) -> FittedWorld:
    """A world in which the log's customers come again, and react to anything as the log says they would.

    Args:
        rows: of the log. What the campaign makes of the time is made anew of each row's own.
        campaign: with the log's dimensions, arms, context and outcomes.
        seed: of the folds, and of the world's luck.
        folds: parts of the customers; what is said of each part comes from a fit to the others.

    Raises:
        UnusableLog: if the campaign is not the log's, the log has fewer customers than folds, too few messages or all of them
            to customers of one fold, or a row's zone is none.
        InvalidContext: if a context does not fit the campaign's schema.

    Caution: what moved both the choice and the outcome and is not in the context is taken for an effect of the arm. Fit to
    logs whose choices were drawn with known probabilities.
    """
    _require_same(rows, campaign)
    rows = rows.as_decided_by(campaign)
    fold_of = folds_of(rows.customers, folds, seed)
    # Nobody reacts to what was not sent, which is known; it would only take something off the rates of messages.
    messages = Silence(campaign, rows.choices).messages(rows.picks)
    _require_messages(len(rows), fold_of[messages])
    sent = rows.only(messages)
    context = ContextTerms.of(campaign.schema, rows.contexts)
    terms = ResponseTerms(context.size, rows.choices.shape)
    fits = _fits(sent, terms, terms.design(context.matrix(sent.contexts), sent.picks), (fold_of[messages], folds), seed)
    bare = FittedResponse(context, terms.shape, (), rows.worths, rows.exclusive)
    return _world(rows, messages, campaign, seed, fits, bare, fold_of)


def _require_messages(n_rows: int, fold_of: IntArray) -> None:
    if len(fold_of) < LEAST_ROWS:
        raise UnusableLog(
            f"{len(fold_of)} of {n_rows} rows sent a message, the others chose to send nothing; need at least {LEAST_ROWS} "
            "messages (and some thousands to tell customers apart): only they say what an arm does. Wait for more, or rehearse "
            "in a made-up world."
        )
    if (fold_of == fold_of[0]).all():
        raise UnusableLog(
            f"all {len(fold_of)} messages went to customers of one fold, so that nothing could be said of them by a fit to "
            "others: too few customers got any. Wait until more have, or rehearse in a made-up world."
        )


def _fits(
    rows: FitRows, terms: ResponseTerms, design: sparse.csr_array, folded: tuple[IntArray, int], seed: int
) -> list[_Fit]:
    """One a type."""
    (fold_of, folds), parts, fits = folded, terms.parts, []
    sends, tried = _Folds.of(design, fold_of, folds), _tried(len(rows), seed)
    sample = sends if tried is None else _Folds.of(design[tried], fold_of[tried], folds)
    for labels in rows.labels.T:
        if min(labels.sum(), len(labels) - labels.sum()) < FEWEST_EVENTS:
            fits.append(_rare(labels, sends, terms))
            continue
        strengths = chosen(sample, labels if tried is None else labels[tried], parts, terms.pairs != ())
        fits.append(_fitted(sends, labels, strengths, terms))
    return fits


def folds_of(customers: Sequence[str], n_folds: int, seed: int) -> IntArray:
    """The fold of each row: all rows of a customer lie in one, and folds have about as many customers each.

    Raises:
        UnusableLog: if there are fewer than 2 folds, or fewer customers than folds.
    """
    who, place = np.unique(np.asarray(customers, dtype=np.str_), return_inverse=True)
    if not 2 <= n_folds <= len(who):
        raise UnusableLog(
            f"{n_folds} folds of {len(who)} customers: give at least 2, and not more than there are customers."
        )
    found: IntArray = (np.random.default_rng(seed).permutation(len(who)) % n_folds)[place.ravel()]
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Folds:
    """A log and its parts; the rows without a fold are kept, or cut out each time where they are too many."""

    whole: Sends
    fold_of: IntArray
    n_folds: int
    kept: tuple[Sends, ...] = ()

    @classmethod
    def of(cls, design: sparse.csr_array, fold_of: IntArray, n_folds: int) -> _Folds:
        bare = cls(Sends.of(design), fold_of, n_folds)
        if len(fold_of) > MOST_TRIED:
            return bare
        return replace(bare, kept=tuple(bare.others(fold) for fold in range(n_folds)))

    def others(self, fold: int) -> Sends:
        """All rows but a fold's."""
        if self.kept:
            return self.kept[fold]
        mine = self.fold_of == fold
        return self.whole.but(Sends.of(self.whole.design[mine]), ~mine)

    def predicted(self, fold: int, weights: FloatArray) -> FloatArray:
        """Probabilities of the fold's own rows."""
        found: FloatArray = expit(self.whole.design[self.fold_of == fold] @ weights)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """One type's fit: to all rows, and to all but one fold each."""

    strengths: Strengths
    effects: ClickEffects
    of_folds: tuple[ClickEffects, ...]
    predicted: FloatArray


def chosen(sends: _Folds, labels: FloatArray, parts: IntArray, has_pairs: bool) -> Strengths:
    """Strengths with little log loss on rows that were left out: one part after the other, up or down while it helps."""
    best: dict[Part, float] = dict(_BEGIN)
    starts = [_even(labels, len(parts))] * sends.n_folds

    def loss(strengths: Strengths) -> float:
        return _held_out_loss(sends, labels, penalties_of(strengths, parts), starts)

    least = loss(best)
    for part in (Part.FIT, Part.PAIRS, Part.CUSTOMER) if has_pairs else (Part.FIT, Part.CUSTOMER):
        place = TRIED[part].index(_BEGIN[part])
        for way in (TRIED[part][place + 1 :], TRIED[part][:place][::-1]):
            for strength in way:
                found = loss({**best, part: strength})
                if found >= least:
                    break
                least, best[part] = found, strength
    return best


def penalties_of(strengths: Strengths, parts: IntArray) -> FloatArray:
    """The ridge of each term, shape (n_terms,)."""
    return np.array([strengths[part] for part in Part])[parts]


def _held_out_loss(sends: _Folds, labels: FloatArray, penalties: FloatArray, starts: list[FloatArray]) -> float:
    """Mean log loss over the rows, each predicted by a fit to the other folds; `starts` takes the weights along."""
    predicted = np.empty(len(labels))
    for fold in range(sends.n_folds):
        mine = sends.fold_of == fold
        starts[fold] = fit_logistic(sends.others(fold), labels[~mine], penalties, starts[fold], close=_LOOSE)
        predicted[mine] = sends.predicted(fold, starts[fold])
    return log_loss(predicted, labels)


def _fitted(sends: _Folds, labels: FloatArray, strengths: Strengths, terms: ResponseTerms) -> _Fit:
    penalties = penalties_of(strengths, terms.parts)
    whole = fit_logistic(sends.whole, labels, penalties, _even(labels, len(penalties)), close=_CLOSE)
    predicted, of_folds = np.empty(len(labels)), []
    for fold in range(sends.n_folds):
        mine = sends.fold_of == fold
        weights = fit_logistic(sends.others(fold), labels[~mine], penalties, whole, close=_CLOSE)
        predicted[mine] = sends.predicted(fold, weights)
        of_folds.append(terms.effects(weights))
    return _Fit(strengths, terms.effects(whole), tuple(of_folds), predicted)


def _rare(labels: FloatArray, sends: _Folds, terms: ResponseTerms) -> _Fit:
    """The mean rate for everybody."""
    predicted, of_folds = np.empty(len(labels)), []
    for fold in range(sends.n_folds):
        mine = sends.fold_of == fold
        of_folds.append(_mean_alone(labels[~mine], terms))
        predicted[mine] = labels[~mine].mean()
    return _Fit({}, _mean_alone(labels, terms), tuple(of_folds), predicted)


def _mean_alone(labels: FloatArray, terms: ResponseTerms) -> ClickEffects:
    return terms.effects(_even(labels, len(terms.parts)))


def _even(labels: FloatArray, n_terms: int) -> FloatArray:
    """Weights that give everybody the mean rate."""
    rate = float(np.clip(labels.mean(), _LEAST_BASE, 1.0 - _LEAST_BASE))
    weights = np.zeros(n_terms)
    weights[0] = np.log(rate / (1.0 - rate))
    return weights


def _tried(n: int, seed: int) -> IntArray | None:
    if n <= MOST_TRIED:
        return None
    return np.sort(np.random.default_rng([seed, 1]).choice(n, MOST_TRIED, replace=False))


def _world(
    rows: FitRows,
    messages: IntArray,
    campaign: Campaign,
    seed: int,
    fits: list[_Fit],
    bare: FittedResponse,
    fold_of: IntArray,
) -> FittedWorld:
    n_folds = len(fits[0].of_folds)
    responses = tuple(replace(bare, effects=tuple(fit.of_folds[fold] for fit in fits)) for fold in range(n_folds))
    predicted = np.zeros(rows.labels.shape)
    predicted[messages] = np.stack([fit.predicted for fit in fits], axis=1)
    types = tuple(
        FittedType(name, int(labels.sum()), dict(fit.strengths), reliability(fit.predicted, labels))
        for name, labels, fit in zip(rows.types, rows.labels[messages].T, fits, strict=True)
    )
    evidence = Evidence(types, fold_of, responses, predicted)
    return FittedWorld(seed, campaign, rows, replace(bare, effects=tuple(fit.effects for fit in fits)), evidence)


def _require_same(rows: FitRows, campaign: Campaign) -> None:
    dimensions = {d.name: d.ids for d in campaign.dimensions}
    if dict(rows.choices.dimensions) != dimensions or list(rows.choices.dimensions) != list(dimensions):
        raise UnusableLog(
            f"the log has {dict(rows.choices.dimensions)}, campaign {campaign.id!r} has {dimensions}: what an arm did can be "
            "fitted only to its own rows. Fit with the campaign that made the log."
        )
    if dict(zip(rows.types, rows.worths, strict=True)) != dict(campaign.reward.events):
        raise UnusableLog(
            f"the log's outcomes are worth {dict(zip(rows.types, rows.worths, strict=True))}, the campaign's "
            f"{dict(campaign.reward.events)}: fit with the campaign's types and worths, or its rewards would be others."
        )
