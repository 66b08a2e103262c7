"""Shared builders, handed to tests as the fixture `worlds` (pytest's importlib mode imports no helper modules)."""

from __future__ import annotations

import copy
import json
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from bandit import Context, Engine, LoggedDecision, Matured, Served, learner_for, read_campaign, train
from bandit.schema import BooleanField, CategoricalField, NumericField
from evaluation.log_batch import Layout, LogBatch
from policies import group_policies, policy_of
from service.app import create_app
from service.cli import main
from service.log_source import batch_of
from service.serving import Serving
from service.settings import Settings
from service.store import Store

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SALT, SECRET = b"salt of the tests", b"secret of the tests"

DOCUMENT = {
    "campaign": {"id": "contest"},
    "context": {
        "level": {"kind": "categorical", "values": ["low", "high"]},
        "days": {"kind": "numeric", "range": [0, 10]},
        "member": {"kind": "boolean"},
    },
    "reward": {"window": "72h", "events": {"click": 0.2, "conversion": 1.0}},
    "dimension": [
        {"name": "subject", "arm": [{"id": "plain"}, {"id": "champion"}, {"id": "dominate"}]},
        {"name": "cta", "arm": [{"id": "join"}, {"id": "invite"}]},
    ],
}


class Worlds:
    """Campaigns from plain dicts, engines on them, and matured rows with a known truth."""

    salt, secret, noon = SALT, SECRET, NOON

    def document(self, **sections):
        """A small valid campaign as a dict, with whole sections replaced (None removes one)."""
        merged = copy.deepcopy(DOCUMENT) | copy.deepcopy(sections)
        return {name: section for name, section in merged.items() if section is not None}

    def dimension(self, name, *arms):
        """One dimension; an arm is an id or a dict."""
        return {"name": name, "arm": [arm if isinstance(arm, dict) else {"id": arm} for arm in arms]}

    def toml(self, document):
        """A dict as a TOML text."""
        return "".join(f"{_key(name)} = {_value(section)}\n" for name, section in document.items())

    def campaign(self, **sections):
        """A checked campaign."""
        return read_campaign(self.toml(self.document(**sections)))

    def engine(self, campaign, snapshot=None, **arguments):
        """An engine, serving a snapshot where one is given."""
        served = Served("s1", self.kind(campaign).serve(campaign, snapshot)) if snapshot else None
        return Engine(
            campaign, group_policies(campaign), **{"salt": SALT, "secret": SECRET, "served": served} | arguments
        )

    def decide(self, engine, n, *, seed=0, prefix="d"):
        """n decisions on random contexts, ids d0, d1, ... and customers c0, c1, ..."""
        contexts = self.contexts(engine.campaign, n, seed=seed)
        return [
            engine.decide(f"c{i}", context, decision_id=f"{prefix}{i}", at=NOON + timedelta(seconds=i))
            for i, context in enumerate(contexts)
        ]

    def contexts(self, campaign, n, *, seed=0, missing=0.1):
        """Random contexts of a campaign, some values missing."""
        rng = np.random.default_rng(seed)
        return [
            Context(
                {item.name: None if rng.random() < missing else _draw(item, rng) for item in campaign.schema.fields}
            )
            for _ in range(n)
        ]

    def rows(self, campaign, n, chance, *, seed=0, first=1):
        """n matured rows logged at random; `chance(context, choice)` gives the probability of each outcome type."""
        rng = np.random.default_rng(seed + 1)
        explored = self.engine(campaign)
        rows = []
        for number, decision in enumerate(self.decide(explored, n, seed=seed, prefix=f"row{seed}-"), start=first):
            chances = chance(decision.context, decision.choice)
            happened = frozenset(name for name, p in chances.items() if rng.random() < p)
            rows.append(Matured(number, LoggedDecision.of(decision, number), happened))
        return rows

    def logged(self, campaign, n):
        """A campaign, and n rows of its log as columns; only the champion is clicked."""
        made = self.rows(campaign, n, lambda _, choice: {"click": 0.9 * (choice["subject"] == "champion")})
        reward_of = campaign.reward.reward_of
        rows = [replace(one.decision, state="matured", reward=reward_of(one.outcome_types)) for one in made]
        return campaign, batch_of(rows, campaign, 0)

    def even(self, n, size=2, **columns):
        """n rows of one dimension, arms in turn, drawn with equal probability; the reward is the arm's position."""
        layout, picks = Layout(("arm",), (tuple("abcdefgh"[:size]),)), np.arange(n) % size
        made = LogBatch(
            layout, np.arange(1, n + 1), picks.astype(float), picks[:, None], np.full((n, 1), 1 / size),
            (np.full((n, size), 1 / size),),
        )  # fmt: skip
        return replace(made, **columns)

    def kind(self, campaign):
        """The learner the campaign asks for."""
        return learner_for(campaign.learner, policy_of(campaign.policy).needs)

    def train(self, campaign, rows, parent=None):
        """A snapshot of the campaign's own learner."""
        return train(campaign, self.kind(campaign), parent, rows)


def _draw(item, rng):
    if isinstance(item, CategoricalField):
        return str(rng.choice(item.values)) if item.values else "anything"
    if isinstance(item, NumericField):
        return float(rng.uniform(item.low - 1.0, item.high + 1.0))
    assert isinstance(item, BooleanField)
    return bool(rng.random() < 0.5)


def _value(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    return _key(value) if isinstance(value, str) else repr(value)


def _key(text):
    """A basic string: JSON's escapes are TOML's, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@pytest.fixture(scope="session")
def worlds():
    """Builders without state; see `Worlds`."""
    return Worlds()


class CommandLine:
    """`manyarm`, and what it says as JSON."""

    def run(self, *arguments, code=0):
        """Standard output; a traceback is a failure whatever the status."""
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stdout

    def ask(self, *arguments, code=0):
        """The document of an evaluation."""
        return json.loads(self.run("evaluate", *arguments, "--json", code=code))

    def values(self, document):
        """The value of each estimator."""
        return {name: found["value"] for name, found in document["estimators"].items()}


@pytest.fixture(scope="session")
def cli():
    """Runs commands; see `CommandLine`."""
    return CommandLine()


class Running:
    """A service on a clock that stands still until it is told to go on; ids of its own are n1, n2, ..."""

    def __init__(self, store, log, settings):
        self.store, self.log, self.now, self.n = store, log, NOON, 0
        self.serving = Serving(store, log, clock=lambda: self.now, new_id=self.new_id, settings=Settings(settings))
        self.client = TestClient(create_app(self.serving), raise_server_exceptions=False)

    def new_id(self):
        self.n += 1
        return f"n{self.n}"

    def wait(self, **time):
        self.now += timedelta(**time)

    def decide(self, customer_id="ann", **body):
        """What POST /v1/decisions answers."""
        return self.client.post("/v1/decisions", json={"customer_id": customer_id, **body}).json()

    def show(self, decision_id, **query):
        return self.client.get(f"/v1/decisions/{decision_id}", params=query).json()

    def report(self, decision_id, what, **body):
        """What POST /v1/decisions/{id}/sent or /outcomes answers."""
        return self.client.post(f"/v1/decisions/{decision_id}/{what}", json=body).json()

    def learn(self, n=30):
        """Decide for n customers of whom every second clicks, wait for the window to close, and train."""
        for i in range(n):
            decision_id = self.decide(f"taught{i}")["decision_id"]
            if i % 2:
                self.report(decision_id, "outcomes", event_id=f"taught{decision_id}", type="click")
        self.wait(hours=73)
        self.serving.train()

    def rows(self):
        return list(self.store.decisions(self.log))


@pytest.fixture
def serve(tmp_path, worlds):
    """Starts a service for a campaign, on a database of its own; see `Running`."""
    with ExitStack() as stack:

        def start(campaign=None, **settings):
            store = stack.enter_context(Store(tmp_path / "served.db", salt=worlds.salt, secret=worlds.secret))
            made = Running(store, store.open_log(campaign or worlds.campaign(), NOON), settings)
            stack.enter_context(made.client)
            return made

        yield start
