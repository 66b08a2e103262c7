"""A rehearsal as a document for machines and a text for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from textwrap import wrap

from service.campaign_rehearsal import CampaignRehearsal, GroupLine, LossLine, OfSeeds, OverSeeds, Seen, VariantLine
from service.reactions import WINDOWS
from service.visible_lift import VisibleLift

NOT_SAID = "-"
_WIDTH = 110
PARTS = {
    "control": "control's fixed choice",
    "random": "the random group",
    "waiting": "the learner, before anything was learned",
    "floor": "its floor",
    "exploration": "its policy's own exploration",
    "unknown": "favourites that are not the best",
    "total": "all of it",
}
"""What each part of the loss is spent on."""


@dataclass(frozen=True, slots=True)
class Section:
    """A question, its answer in a sentence or some, and the numbers as a table (without rows, none)."""

    question: str
    answer: str
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def document_of(found: CampaignRehearsal) -> dict[str, object]:
    """What `--json` prints: every field of the rehearsal."""
    return asdict(found)


def text_of(found: CampaignRehearsal) -> str:
    """What a person reads."""
    lines = wrap(headline(found), _WIDTH)
    for section in sections_of(found):
        lines += ["", section.question, *wrap(section.answer, _WIDTH, initial_indent="  ", subsequent_indent="  ")]
        if section.rows:
            lines += [f"    {line}" for line in _columns((section.head, *section.rows))]
    return "\n".join(lines)


def headline(found: CampaignRehearsal) -> str:
    """What was rehearsed, and how often."""
    return (
        f"{found.campaign}, rehearsed in {_times(len(found.seeds), 'simulated world')}: {found.n_sends:,} sends to "
        f"{found.n_customers:,.0f} customers over {found.days:.0f} days. Intervals are {found.confidence_level:.0%}, over worlds."
    )


def sections_of(found: CampaignRehearsal) -> tuple[Section, ...]:
    """Every question a marketer has before the first send, answered."""
    return (
        _expected(found),
        _lift(found),
        _false_winner(found),
        _losses(found),
        _visible(found),
        _variants(found),
        _late(found),
        _machines(found),
    )


def _expected(found: CampaignRehearsal) -> Section:
    answer = (
        f"A send earns {between(found.value)}; were everything sent at random, {between(found.uniform)}; did every customer "
        f"always get their best choice, {between(found.best)}.{_capped(found)}"
    )
    quiet = any(line.unsent is not None for line in found.groups)
    head = ("group", "sends", "reward a send", *(("sent nothing",) if quiet else ()))
    rows = tuple(_group_row(line, quiet=quiet) for line in found.groups)
    return Section("What does a send earn?", answer, head, rows)


def _group_row(line: GroupLine, *, quiet: bool) -> tuple[str, ...]:
    row = (line.group, f"{line.n_sends:,.0f}", between(line.value))
    return (*row, f"{line.unsent or 0.0:.0%}") if quiet else row


def _capped(found: CampaignRehearsal) -> str:
    return (
        f" The caps refused {found.n_capped:,.1f} sends a rehearsal, which no figure counts." if found.n_capped else ""
    )


def _lift(found: CampaignRehearsal) -> Section:
    question = "When can the lift be seen?"
    if found.lift is None or found.seen is None:
        return Section(
            question, "Never: that takes sends of a learner and of a control group. Give both a share in [groups]."
        )
    relative = f", which is {percent(found.lift.relative)}" if found.lift.relative else ""
    answer = (
        f"The learner earns {between(found.lift.difference, '+z.5f')} a send beyond control{relative}. Bounds that may be looked "
        f"at every day show it by the end in {of_seeds(found.seen.better)}{_median(found.seen)}.{_rest(found.seen)}"
    )
    return Section(question, answer)


def _median(seen: Seen) -> str:
    return "" if seen.median_day is None else f", on day {seen.median_day:g} in the median of these"


def _rest(seen: Seen) -> str:
    missed = seen.better.of - seen.better.n
    late = f" Not within this campaign in {missed} of {seen.better.of}." if missed else ""
    return late + (f" They show control to be better in {of_seeds(seen.worse)}." if seen.worse.n else "")


def _false_winner(found: CampaignRehearsal) -> Section:
    question = "Could a winner be false?"
    if found.false_winner is None:
        return Section(question, "Not rehearsed: that takes a learner, a control group and worlds without effects.")
    alike = ", sending nothing among them," if found.false_winner.silence else ","
    answer = (
        f"In worlds where every choice is as good as any other{alike} bounds that hold at every look name a winner in "
        f"{of_seeds(found.false_winner.always_valid)}, and those of arms name one in {of_seeds(found.false_winner.arms)}. A "
        f"two-proportion test at .05, read every day until it says so, names one in {of_seeds(found.false_winner.naive)}."
    )
    return Section(question, answer)


def _losses(found: CampaignRehearsal) -> Section:
    total = found.losses[-1]
    worth = f", what {between(total.sends, 'z,.0f')} of the learner's sends earn" if total.sends else ""
    answer = (
        f"Against the best choice for every customer the campaign leaves {between(total.reward, 'z,.1f')} reward lying{worth}. "
        "Control pays for knowing the lift, the random group and the floor for a log from which other policies can be "
        "evaluated. The last column is what the learner would have earned more with the same sends."
    )
    rows = tuple(_loss_row(line) for line in found.losses)
    return Section("What does exploring cost?", answer, ("for", "reward", "in sends", "against the learner"), rows)


def _loss_row(line: LossLine) -> tuple[str, ...]:
    return (
        PARTS[line.part],
        between(line.reward, "z,.1f"),
        NOT_SAID if line.sends is None else between(line.sends, "z,.0f"),
        NOT_SAID if line.against_learner is None else between(line.against_learner, "+z,.1f"),
    )


def _visible(found: CampaignRehearsal) -> Section:
    question, asked = "What is the smallest lift this list can show?", found.visible
    if asked is None:
        return Section(
            question, "It cannot be said: that takes a learner, and a control group some of whose sends earn something."
        )
    first = asked.smallest[0]
    shown = "no lift at all" if first.lift is None else f"a lift of learner over control of {first.lift:+z.1%} or more"
    answer = (
        f"Looked at once, at the end, {asked.n_customers:,} customers with {asked.sends_per_customer:.1f} sends each show "
        f"{shown}, {asked.power:.0%} of the time. {asked.base:.2%} of control's sends earn something; two sends of one "
        f"customer agree with a correlation of {asked.correlation:.3f}.{_advice(found, asked)}"
    )
    rows = tuple((one.comparison, NOT_SAID if one.lift is None else f"{one.lift:+z.1%}") for one in asked.smallest)
    return Section(question, answer, ("comparison", "smallest lift"), rows)


def _advice(found: CampaignRehearsal, asked: VisibleLift) -> str:
    if asked.customers is None or found.lift is None or found.lift.relative is None:
        return ""
    there = f" The lift there is, {found.lift.relative.mean:+z.1%}, takes {asked.customers:,} customers"
    if asked.customers <= asked.n_customers:
        return f"{there}."
    if asked.control_share is None:
        return f"{there}; no control share shows it on a list of {asked.n_customers:,}."
    return f"{there}; with a control share of {asked.control_share:.3g} this list shows it."


def _variants(found: CampaignRehearsal) -> Section:
    answer = "Each was played in the same worlds with the same luck; rewards are counted on the planned window."
    rows = tuple(_variant_row(line) for line in found.variants)
    head = ("changed to", "reward a send, minus as planned", "relative", "lift seen in", "median day")
    question = "What would another floor or window change?"
    return Section(question, answer if rows else "Nothing else was tried.", head, rows)


def _variant_row(line: VariantLine) -> tuple[str, ...]:
    return (
        line.name,
        between(line.difference, "+z.5f"),
        NOT_SAID if line.relative is None else f"{line.relative:+z.1%}",
        f"{line.seen.better.n} of {line.seen.better.of}",
        NOT_SAID if line.seen.median_day is None else f"{line.seen.median_day:g}",
    )


def _late(found: CampaignRehearsal) -> Section:
    head = ("type", "a rehearsal", *(f"after {end:g} of the window" for end in WINDOWS))
    rows = tuple(
        (line.type, f"{line.n:,.0f}", *(NOT_SAID if share is None else f"{share:.1%}" for share in line.after.values()))
        for line in found.late
    )
    answer = "What comes after the window is kept in the log and not rewarded. Shares are of what persons did."
    return Section("How many reactions come too late to count?", answer, head, rows)


def _machines(found: CampaignRehearsal) -> Section:
    extra = found.machines.extra
    share = "" if found.machines.relative is None else f", {found.machines.relative:+z.1%} of what persons bring"
    answer = (
        f"Machines add {between(extra, '+z.5f')} a send to the log{share}. "
        f"{found.n_fallbacks:,.1f} decisions a rehearsal were made at random though there was a snapshot."
    )
    return Section("Do machines and faults spoil the log?", answer)


def between(found: OverSeeds, form: str = "z.5f") -> str:
    """A mean with its interval, where it has one.

    >>> between(OverSeeds(0.5, 0.25, 0.75), ".2f"), between(OverSeeds(-0.001), "z.2f")
    ('0.50 (0.25 to 0.75)', '0.00')
    """
    if found.ci_lower is None or found.ci_upper is None:
        return f"{found.mean:{form}}"
    return f"{found.mean:{form}} ({found.ci_lower:{form}} to {found.ci_upper:{form}})"


def percent(found: OverSeeds) -> str:
    """The same as a relative change.

    >>> percent(OverSeeds(0.5, 0.25, 0.75))
    '+50.0% (+25.0% to +75.0%)'
    """
    return between(found, "+z.1%")


def of_seeds(found: OfSeeds) -> str:
    """A count of worlds with its share.

    >>> of_seeds(OfSeeds.where([True, False, False, True]))
    '2 of 4 worlds (50%, 15% to 85%)'
    """
    return f"{found.n} of {_times(found.of, 'world')} ({found.share:.0%}, {found.ci_lower:.0%} to {found.ci_upper:.0%})"


def _times(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Cells below each other, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
