"""What goes out after a wave of decisions, and what customers do with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bandit.decisions import Decisions
from bandit.wear_out import PastSend
from simulator.faults import Faults
from simulator.open_rows import Choice, OpenRow
from simulator.rehearsal import Memory, with_past
from simulator.world import Arrival, RememberingWorld, SendingWorld, SimulatedOutcome, World, reactions_to

Outcomes = tuple[SimulatedOutcome, ...]


@dataclass(slots=True, eq=False)
class Sender:
    """Sends to the customers of one world.

    Args:
        world: theirs.
        faults: between the decision and the customer.
        memory: what customers got before, in this world and in those before it.

    Attributes:
        span: for how long an earlier send matters to the world; None where it does not remember.
    """

    world: World
    faults: Faults
    memory: Memory
    span: timedelta | None = field(init=False)
    _sends_later: SendingWorld | None = field(init=False)

    def __post_init__(self) -> None:
        # Asked once and not for every send: what a class can do is a slow question.
        world = self.world
        self.span = world.memory if isinstance(world, RememberingWorld) else None
        self._sends_later = world if isinstance(world, SendingWorld) else None

    def send(
        self,
        made: Decisions,
        numbers: Sequence[int],
        arrivals: Sequence[Arrival],
        choices: Sequence[Choice],
        kept: Sequence[int],
    ) -> tuple[list[OpenRow], list[Outcomes]]:
        """Rows whose windows open now, and what will happen in each, in time order.

        Args:
            made: decisions for customers of whom each comes once.
            numbers: of the sends.
            arrivals: whom they are for.
            choices: what was decided.
            kept: places of the decisions that stand; of the others nothing goes out, and no row is left.
        """
        rows, plain_rows = [], list(made.plain_rows())
        for place in kept:
            number, arrival, choice, plain = numbers[place], arrivals[place], choices[place], plain_rows[place]
            sent = self.faults.sent(made.requests.decision_ids[place], arrival.at, choice, self.world.choices)
            came = self._remembered(arrival, sent)
            begins = self._sends_later.sent_at(came, sent or choice) if self._sends_later else came.at
            rows.append(OpenRow(number, made, place, plain, came, begins + self.world.window, sent))
        return rows, self._reactions(rows)

    def _remembered(self, arrival: Arrival, sent: Choice | None) -> Arrival:
        """An arrival with its past where the world looks at it; what goes out now is noted."""
        if self.span is None:
            return arrival
        came = with_past(arrival, self.memory, self.span)
        if sent is not None:
            self.memory[arrival.customer_id].append(PastSend(arrival.at, sent))
        return came

    def _reactions(self, rows: Sequence[OpenRow]) -> list[Outcomes]:
        """Nothing follows where nothing went out."""
        reached = [(row.arrival, row.sent, row.decision_id) for row in rows if row.sent is not None]
        if not reached:
            return [()] * len(rows)
        found = iter(reactions_to(self.world, *zip(*reached, strict=True)))
        return [() if row.sent is None else next(found) for row in rows]
