"""What a rehearsal says of a campaign before its first real send: numbers over many seeds, each with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.intervals import student, wilson
from service.visible_lift import VisibleLift


@dataclass(frozen=True, slots=True)
class OverSeeds:
    """A mean over rehearsals with Student's interval; without one where there is a single rehearsal."""

    mean: float
    ci_lower: float | None = None
    ci_upper: float | None = None

    @classmethod
    def of(cls, found: Iterable[float], confidence_level: float = 0.95) -> OverSeeds:
        """The mean of one number a seed.

        >>> OverSeeds.of([1.0, 2.0, 3.0]).ci_upper.__round__(2)
        4.48
        """
        values = np.array(list(found), dtype=np.float64)
        if len(values) < 2:
            return cls(float(values.mean()))
        interval = student(values, confidence_level)
        return cls(interval.estimate, interval.ci_lower, interval.ci_upper)


@dataclass(frozen=True, slots=True)
class OfSeeds:
    """In how many rehearsals something happened, as a share with Wilson's interval."""

    n: int
    of: int
    share: float
    ci_lower: float
    ci_upper: float

    @classmethod
    def where(cls, happened: Sequence[bool], confidence_level: float = 0.95) -> OfSeeds:
        """Count the rehearsals in which it happened."""
        found = wilson(sum(happened), len(happened), confidence_level)
        return cls(sum(happened), len(happened), found.estimate, found.ci_lower, found.ci_upper)


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether and when somebody who looks daily sees that the learner is better than control, or worse.

    Attributes:
        better, worse: in how many rehearsals, by the end.
        median_day: on which day, in the median of those that saw it was better; None where none did.
    """

    better: OfSeeds
    worse: OfSeeds
    median_day: float | None


@dataclass(frozen=True, slots=True)
class TrueLift:
    """What the learner's group really earns beyond control.

    Attributes:
        difference: a send.
        relative: to what control earns; None where that is nothing, or control sends nothing.
    """

    difference: OverSeeds
    relative: OverSeeds | None


@dataclass(frozen=True, slots=True)
class FalseWinner:
    """How often a winner is named though every choice is as good as any other.

    Attributes:
        always_valid: learner or control, by bounds that hold at every look; in how many rehearsals.
        naive: the same by a two-proportion test that is read daily.
        arms: an arm of any dimension, against another or the rest, by the bounds of `manyarm compare`.
        silence: whether the campaign may send nothing, which is played there as a message like any other.
    """

    always_valid: OfSeeds
    naive: OfSeeds
    arms: OfSeeds
    silence: bool = False


@dataclass(frozen=True, slots=True)
class GroupLine:
    """A group.

    Attributes:
        group: its name.
        n_sends: mean number of its decisions, those that send nothing among them.
        value: exact, a decision.
        unsent: share that sends nothing; None where every choice is a message.
    """

    group: str
    n_sends: float
    value: OverSeeds
    unsent: float | None = None


@dataclass(frozen=True, slots=True)
class LossLine:
    """A part of what the campaign earns less than the best choices would.

    Attributes:
        part: of `Losses`, or total.
        reward: over the whole campaign.
        sends: how many of the learner's sends earn that much; None where those earn nothing.
        against_learner: of control and random, what the learner would have earned more with their sends.
    """

    part: str
    reward: OverSeeds
    sends: OverSeeds | None
    against_learner: OverSeeds | None = None


@dataclass(frozen=True, slots=True)
class VariantLine:
    """The campaign with one thing changed, in the same worlds with the same luck.

    Attributes:
        name: what was changed.
        difference: in exact value a send, minus as planned, counted on the planned window.
        relative: the same as a share of the planned value; None where that is not above 0.
        seen: when its lift is visible.
    """

    name: str
    difference: OverSeeds
    relative: float | None
    seen: Seen


@dataclass(frozen=True, slots=True)
class LateLine:
    """How many reactions of one type there were a rehearsal, and which shares came after parts of the window."""

    type: str
    n: float
    after: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Machines:
    """What machines add to the reward in the log: a send, and as a share of what persons bring."""

    extra: OverSeeds
    relative: float | None


@dataclass(frozen=True, slots=True)
class DayCurve:
    """Exact value a send by day: mean over rehearsals, and the band that holds most of them; None where nothing was sent."""

    name: str
    mean: tuple[float | None, ...]
    lower: tuple[float | None, ...]
    upper: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class CampaignRehearsal:
    """What a rehearsal found; everything in reward units unless it says otherwise.

    Attributes:
        campaign: its id.
        seeds: one a rehearsal.
        n_sends: of each, in the mean.
        n_customers: who got one, in the mean.
        days: from the first send to the last, in the mean.
        confidence_level: of every interval, and of the bounds somebody looks at daily.
        value, uniform, best: exact value a send as planned, of the random policy, of the best choices.
        groups: one line each.
        lift: what there was to see; None without learner and control.
        seen: who saw it; None without learner and control.
        false_winner: None where it was not rehearsed, or without learner and control.
        losses: parts, and at the end their total.
        visible: the smallest lift that can be seen; None without learner and control.
        variants: as asked for.
        late: by type of outcome.
        machines: what they add.
        n_fallbacks: decisions at random though there was a snapshot, in the mean.
        n_capped: sends that the campaign's caps refused, in the mean; nothing else counts them.
        curves: by day.
    """

    campaign: str
    seeds: tuple[int, ...]
    n_sends: int
    n_customers: float
    days: float
    confidence_level: float
    value: OverSeeds
    uniform: OverSeeds
    best: OverSeeds
    groups: tuple[GroupLine, ...]
    lift: TrueLift | None
    seen: Seen | None
    false_winner: FalseWinner | None
    losses: tuple[LossLine, ...]
    visible: VisibleLift | None
    variants: tuple[VariantLine, ...]
    late: tuple[LateLine, ...]
    machines: Machines
    n_fallbacks: float
    n_capped: float
    curves: tuple[DayCurve, ...]
