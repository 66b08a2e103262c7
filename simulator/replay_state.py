"""The state of a replay: who serves, whose windows are open, what was learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue, EncodedContext
from bandit.decide_many import decide_many
from bandit.decisions import Decisions, Requests
from bandit.engine import NO_SNAPSHOT, Engine, Served
from bandit.estimates import Need
from bandit.group import Group
from bandit.learner import Learner, LearnerKind
from bandit.learners import learner_for
from bandit.training import Matured
from bandit.wear_out import PastSend
from simulator.engine_decider import Begin, Former, translated
from simulator.faults import Faults
from simulator.open_rows import Choice, OpenRow, OpenRows
from simulator.send_caps import SendCaps
from simulator.sending import Sender
from simulator.world import Arrival, World

Numbered = tuple[int, Arrival]
"""An arrival and its number in the whole campaign, from 1."""


@dataclass(slots=True, eq=False)
class ReplayState:
    """A campaign on its way.

    Args:
        engines: one a stage.
        begin: what the learner of a stage with another campaign knows of the former one.
        faults: of events, policy, sending and identity.

    Attributes:
        rows: of each stage so far, in the order of deciding.
        open: of all stages.
        caps: keeps the campaign's, and counts what they refused.
        n_decided, n_snapshots, n_fallbacks, n_learned: so far.
    """

    engines: Sequence[Engine]
    begin: Begin
    faults: Faults
    rows: list[list[OpenRow]] = field(default_factory=list)
    open: OpenRows = field(init=False)
    caps: SendCaps = field(default_factory=SendCaps)
    n_decided: int = 0
    n_snapshots: int = 0
    n_fallbacks: int = 0
    n_learned: int = 0
    _visit: datetime | None = None
    _learns: bool = field(init=False)
    _sender: Sender = field(init=False)
    _engine: Engine = field(init=False)
    _kind: LearnerKind = field(init=False)
    _learner: Learner = field(init=False)
    _earlier: list[Matured] = field(default_factory=list)
    _closed: list[OpenRow] = field(default_factory=list)
    _got: dict[str, list[PastSend]] = field(default_factory=dict)
    _memory: dict[str, list[PastSend]] = field(default_factory=dict)
    _contexts: dict[str, tuple[dict[str, ContextValue], EncodedContext]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.open = OpenRows(self.faults)
        # Where no stage asks a learner anything, nobody could tell whether it learned.
        self._learns = any(engine.policies[Group.LEARNER].needs is not Need.NOTHING for engine in self.engines)

    def enter(self, number: int, world: World) -> None:
        """A stage begins; with another campaign than before, so does a learner."""
        engine = self.engines[number]
        self.rows.append([])
        self._sender = Sender(world, self.faults, self._memory)
        if number and engine.campaign.content_hash == self._engine.campaign.content_hash:
            return
        former = self._former(engine.campaign) if number else None
        self._contexts.clear()
        self._engine, campaign = engine, engine.campaign
        needs = engine.policies[Group.LEARNER].needs
        self._kind = learner_for(campaign.learner, needs, wears=campaign.looks_back is not None)
        self._learner = self.begin(self._kind, campaign, former) if former else self._kind.fresh(campaign)
        if self._learner.n_learned:
            self._serve()

    def decide(self, arrivals: Sequence[Arrival]) -> None:
        """Decide for everybody of a step, and let them react."""
        numbered = list(enumerate(arrivals, start=self.n_decided + 1))
        self.n_decided += len(numbered)
        remembers = self._engine.campaign.looks_back is not None or self._sender.span is not None
        rows: list[OpenRow] = []
        for wave in _waves(numbered) if remembers else [numbered]:
            rows += self._decide(wave)
        self.rows[-1] += sorted(rows, key=lambda row: row.number)

    def visit(self, until: datetime, step: timedelta) -> None:
        """The trainer comes by every step up to a time at which somebody is decided for; the last snapshot is served."""
        self._visit = self._visit or until
        learned = False
        while self._visit + step <= until:
            self._visit += step
            learned |= self._learned(self._visit)
        if learned:
            self._serve()

    def _learned(self, now: datetime) -> bool:
        """Learn, in order, from all rows whose windows have closed; says whether there was any."""
        current = self._engine.campaign.content_hash
        closed = [row for row in self.open.closed(now) if row.decisions.campaign.content_hash == current]
        self._closed += closed
        lessons = [row.lesson() for row in closed if row.is_trained_on] if self._learns else []
        if lessons:
            self.n_learned += len(lessons)
            self._learner.learn_many(lessons)
        return bool(lessons)

    def finish(self, step: timedelta) -> None:
        """The trainer comes by until the last window has closed; nobody would ask what it learned then."""
        while len(self.open) and self._visit is not None:
            self._visit += step
            self.open.closed(self._visit)

    def _decide(self, wave: Sequence[Numbered]) -> list[OpenRow]:
        """Decide for customers of whom each comes once, or to whom their past is all the same."""
        numbers, arrivals = zip(*wave, strict=True)
        known = [self.faults.known_as(arrival.customer_id, arrival.at) for arrival in arrivals]
        pasts = self._pasts(known, arrivals)
        contexts, ids = [self._encoded(arrival) for arrival in arrivals], [f"d{number}" for number in numbers]
        requests = Requests(known, contexts, ids, [arrival.at for arrival in arrivals], pasts)
        made = decide_many(self._faulty(arrivals[0].at), requests)
        self.n_fallbacks += sum(fallback not in {None, NO_SNAPSHOT} for fallback in made.fallbacks)
        choices = [made.campaign.choice_of(picks) for picks in made.picks.tolist()]
        kept = self._allowed(made, choices)
        if pasts is not None:
            for place in kept:
                pasts[place].append(PastSend(arrivals[place].at, choices[place]))
        rows, outcomes = self._sender.send(made, numbers, arrivals, choices, kept)
        self.open.add(rows, outcomes)
        return rows

    def _allowed(self, made: Decisions, choices: Sequence[Choice]) -> Sequence[int]:
        """Places of the decisions that keep the caps; as in the service, nothing is known of the others afterwards."""
        campaign, asked = made.campaign, made.requests
        if not campaign.has_caps:
            return range(len(made))
        parts = zip(asked.customer_ids, asked.at, made.send_ats(), choices, strict=True)
        return [place for place, one in enumerate(parts) if self.caps.allow(campaign, *one)]

    def _encoded(self, arrival: Arrival) -> EncodedContext:
        """What is known of a customer, as the learner sees it; of most it is what it was the last time."""
        known = self._contexts.get(arrival.customer_id)
        if known is None or known[0] != arrival.context:
            known = arrival.context, self._engine.campaign.schema.encode(Context(arrival.context))
            self._contexts[arrival.customer_id] = known
        return known[1]

    def _pasts(self, known: Sequence[str], arrivals: Sequence[Arrival]) -> list[list[PastSend]] | None:
        """What the log says that customers got within the stretch that matters; None where nobody asks."""
        span = self._engine.campaign.looks_back
        if span is None:
            return None
        pasts = [self._got.setdefault(customer_id, []) for customer_id in known]
        for past, arrival in zip(pasts, arrivals, strict=True):
            while past and arrival.at - past[0].at >= span:
                del past[0]
        return pasts

    def _faulty(self, at: datetime) -> Engine:
        """The engine with the policies that decide at this time."""
        policies = {group: self.faults.policy(policy, at) for group, policy in self._engine.policies.items()}
        return self._engine if policies == self._engine.policies else replace(self._engine, policies=policies)

    def _former(self, campaign: Campaign) -> Former:
        """What there was before a campaign that begins now, its rows as rows of that one; those of retired arms are left out."""
        before = self._engine.campaign
        rows = [*self._earlier, *(row.matured() for row in self._closed)]
        kept = [row for row in rows if _still_offers(campaign, row.decision.arms)]
        self._earlier, self._closed = [translated(row, campaign, before) for row in kept], []
        return Former(before, self._learner, self._earlier)

    def _serve(self) -> None:
        self.n_snapshots += 1
        scorer = self._kind.live(self._engine.campaign, self._learner)
        self._engine = self._engine.serving(Served(f"s{self.n_snapshots}", scorer))


def _still_offers(campaign: Campaign, arms: Sequence[str]) -> bool:
    return all(arm in dimension for arm, dimension in zip(arms, campaign.dimensions, strict=True))


def _waves(numbered: Sequence[Numbered]) -> Iterator[list[Numbered]]:
    """Who comes for the first time in these, then who comes for the second, and so on; in order within each."""
    times: Counter[str] = Counter()
    waves: list[list[Numbered]] = []
    for number, arrival in numbered:
        turn = times[arrival.customer_id]
        times[arrival.customer_id] += 1
        if turn == len(waves):
            waves.append([])
        waves[turn].append((number, arrival))
    yield from waves
