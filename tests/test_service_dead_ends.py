"""Dead ends from a request to the audit: out before the draw, worked out again, and older rows told from wrong ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from bandit.context import Context
from bandit.eligibility import Eligibility
from bandit.errors import InvalidCampaign, NoEligibleArm
from service.app import create_app
from service.commands.verify import document_of, text_of
from service.engines import engine_for
from service.export_source import ExportSource
from service.log_source import StoreSource, batch_of
from service.outcomes_table import mature
from service.serving import Serving
from service.store import Store
from service.usual_choice import usual_choices
from service.verification import verify_store

SATURDAY = datetime(2026, 11, 21, 6, tzinfo=UTC)
LEADS_NOWHERE = "leads nowhere (send_slot would have no arm)"


@pytest.fixture(scope="module")
def sections(worlds):
    """sms goes out at noon on weekdays alone, and hours lie within a day."""
    return {
        "context": {"zone": {"kind": "categorical", "values": ["Europe/Berlin", "Asia/Tokyo"]}},
        "limits": {"quiet_hours": {"from": "21:00", "until": "08:00", "zone": "zone"}},
        "send_slots": {"within": "24h"},
        "channels": {"sms": {"slots": ["weekday-12"]}},
        "groups": {"random": 0.5, "control": {"share": 0.1, "choice": {"channel": "email", "send_slot": "weekday-12"}}},
        "dimension": [
            worlds.dimension("channel", "email", "sms"),
            worlds.dimension("send_slot", "weekday-12", "weekend-17", "weekend-18"),
        ],
    }


class Logged:
    """A store in which decisions are made with and without the look ahead."""

    def __init__(self, path, worlds, sections):
        self.store = Store(path, salt=worlds.salt, secret=worlds.secret)
        self.log = self.store.open_log(worlds.campaign(**sections), worlds.noon)
        self.n = 0

    def decide(self, n, at=SATURDAY, *, ahead=True):
        """Stores what is answered; says how many were refused."""
        campaign = replace(self.log.campaign)
        object.__setattr__(campaign, "eligibility", Eligibility(campaign.dimensions, looks_ahead=ahead))
        engine = engine_for(self.store, replace(self.log, campaign=campaign))
        made, refused = [], 0
        for _ in range(n):
            self.n += 1
            context = Context.of(zone="Europe/Berlin")
            try:
                made.append(engine.decide(f"c{self.n}", context, decision_id=f"d{self.n}", at=at))
            except NoEligibleArm:
                refused += 1
        self.store.add_decisions([self.store.row_of(decision, self.log) for decision in made])
        return refused

    def verify(self):
        return verify_store(self.store)

    def check(self):
        return next(check for check in self.verify().checks if check.name == "dead ends")


@pytest.fixture
def logged(tmp_path, worlds, sections):
    """An empty log."""
    made = Logged(tmp_path / "manyarm.db", worlds, sections)
    yield made
    made.store.close()


def test_nobody_is_refused_by_a_draw_any_more_and_the_log_verifies_without_a_word(logged):
    assert logged.decide(60) == 0
    assert logged.decide(20, SATURDAY + timedelta(days=2)) == 0
    found = logged.verify()
    assert found.passed
    assert (logged.check().n_checked, logged.check().notes) == (80, [])
    assert all("notes" not in check for check in document_of(found)["checks"])


def test_rows_of_before_dead_ends_were_out_pass_and_are_named_as_a_selection(logged):
    refused = logged.decide(60, ahead=False)
    assert refused > 10
    logged.decide(20)
    found = logged.verify()
    assert found.passed, [check.failures for check in found.checks if not check.passed]
    (note,) = logged.check().notes
    n_others = sum(row.group != "control" for row in logged.store.decisions(logged.log) if row.seq <= 60 - refused)
    assert note.startswith(f"{n_others} rows, ")
    assert "of before dead ends were out" in note
    assert "selection by the draw" in note
    assert note in text_of(found)
    assert [one["notes"] for one in document_of(found)["checks"] if "notes" in one] == [[note]]


def test_a_row_with_dead_ends_after_one_that_has_them_out_fails(logged):
    logged.decide(20)
    logged.decide(20, ahead=False)
    found = logged.verify()
    assert [check.name for check in found.checks if not check.passed] == ["dead ends"]
    assert logged.check().notes == []
    assert "arms that lead nowhere have probability, and row 1 has them out already" in logged.check().failures[0]


def test_an_explanation_names_dead_ends_with_what_they_would_leave_empty(logged):
    serving = Serving(logged.store, logged.log, clock=lambda: SATURDAY)
    client = TestClient(create_app(serving), raise_server_exceptions=False)
    body = {"customer_id": "ann", "decision_id": "d", "context": {"zone": "Europe/Berlin"}}
    assert client.post("/v1/decisions", json=body).json()["choice"]["channel"] == "email"
    shown = client.get("/v1/decisions/d", params={"explain": 1}).json()["explanation"]["dimensions"][0]
    assert shown["removed"] == [{"arm": "sms", "rule": LEADS_NOWHERE}]


def test_evaluations_count_a_dead_end_as_an_arm_that_could_not_be_sent(logged):
    logged.decide(30)
    logged.decide(30, SATURDAY + timedelta(days=2))
    rows = [row for row in logged.store.decisions(logged.log) if row.group != "control"]
    batch = batch_of(rows, logged.log.campaign, 0)
    saturday = [row.decided_at == SATURDAY for row in rows]
    assert batch.eligible(0).tolist() == [[True, not early] for early in saturday]


def test_business_as_usual_without_consent_takes_no_hour_of_another_channel(worlds, sections):
    choice = {"channel": "sms", "send_slot": "weekday-12"}
    groups = {"control": {"share": 0.1, "choice": choice}}
    campaign = worlds.campaign(**sections | {"groups": groups})
    encoded = campaign.schema.encode(Context.of(zone="Europe/Berlin"))
    (usual,) = usual_choices(campaign, [encoded], SATURDAY + timedelta(days=2))
    assert usual.choice == choice
    with pytest.raises(NoEligibleArm, match="send nothing now"):
        usual_choices(campaign, [encoded], SATURDAY)


def test_a_log_of_an_older_file_with_an_arm_that_is_a_fault_now_can_still_be_opened(tmp_path, worlds):
    calls = [
        worlds.dimension("subject", "plain", "champion"),
        worlds.dimension("cta", {"id": "join", "requires": {"subject": ["plain"]}}),
    ]
    with pytest.raises(InvalidCampaign, match="dimension subject, arm champion"):
        worlds.campaign(dimension=calls)
    fine = [worlds.dimension("subject", "plain", "champion"), worlds.dimension("cta", "join")]
    with Store(tmp_path / "old.db", salt=worlds.salt, secret=worlds.secret) as store:
        store.open_log(worlds.campaign(dimension=fine), worlds.noon)
    text = worlds.toml(worlds.document(dimension=calls))
    with Store(tmp_path / "old.db") as store:
        store.writer.call(lambda connection: connection.execute("UPDATE logs SET toml = ?", (text,)))
    with Store(tmp_path / "old.db") as store:
        (log,) = store.logs()
        assert log.campaign.dimensions[1].arms[0].requires


@pytest.fixture(scope="module")
def exported(cli, worlds, tmp_path_factory):
    """A log in which sms leads to the subject of old customers alone, and the control group always gets email; its exports."""
    folder = tmp_path_factory.mktemp("exported")
    subjects = [{"id": "long", "text": "a rather long subject"}, {"id": "short", "when": {"level": ["old"]}}]
    campaign = worlds.campaign(
        context={
            "level": {"kind": "categorical", "values": ["new", "old"]},
            "days": {"kind": "numeric", "range": [0, 10]},
        },
        groups={"random": 0.3, "control": {"share": 0.4, "choice": {"channel": "email", "subject": "long"}}},
        channels={"sms": {"longest": {"subject": 8}}},
        dimension=[worlds.dimension("channel", "email", "sms"), worlds.dimension("subject", *subjects)],
    )
    (folder / "campaign.toml").write_text(campaign.toml, encoding="utf-8")
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        engine, contexts = (
            engine_for(store, log),
            [Context.of(level=("new", "old")[i % 2], days=3.0) for i in range(80)],
        )
        made = [engine.decide(f"c{i}", c, decision_id=f"d{i}", at=worlds.noon) for i, c in enumerate(contexts)]
        store.add_decisions([store.row_of(decision, log) for decision in made])
        store.write(lambda c: mature(c, log.log_id, campaign, worlds.noon + timedelta(days=4)))
    for name in FILES:
        cli.run("export", "--out", folder / name, "--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml")
    return folder, campaign


FILES = ("log.parquet", "log.csv")
EVERYBODY = frozenset({"learner", "random", "control"})


def offered_channels(source):
    return [row.tolist() for batch in source.batches() for row in batch.eligible(0)]


def test_an_export_has_the_dead_ends_of_the_database_whether_or_not_a_question_looks_at_the_context(exported):
    folder, campaign = exported
    with Store(folder / "manyarm.db") as store:
        stored = offered_channels(StoreSource(store, store.logs()[0], EVERYBODY))
    assert stored == [[True, False], [True, True]] * 40
    for name in FILES:
        source = ExportSource.read(folder / name, EVERYBODY, campaign, ())
        assert source.without_context().names == ("level",)
        assert offered_channels(source.without_context()) == offered_channels(source) == stored


def test_a_target_is_weighed_alike_in_an_export_and_in_the_database_where_arms_lead_nowhere(cli, exported):
    folder, _ = exported
    ours = ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml", "--group", "control"]
    # A new customer cannot get sms, so that this target sends them what control does; an old one can, and the log never did.
    asked = ["--target", "fixed:channel=sms,subject=long", "--estimators", "snips", *ours]
    expected = cli.ask(*asked, code=1)
    with Store(folder / "manyarm.db") as store:
        levels = [row.context["level"] for row in store.decisions(store.logs()[0]) if row.group == "control"]
    assert expected["mean_weight"] == pytest.approx(levels.count("new") / len(levels))
    for name in FILES:
        assert cli.ask(folder / name, *asked, code=1) == expected


def test_an_export_without_a_field_that_rules_ask_for_has_the_dead_ends_that_pmfs_say(exported):
    folder, campaign = exported
    with Store(folder / "manyarm.db") as store:
        groups = [row.group for row in store.decisions(store.logs()[0])]
    expected = [[True, group == "control" or i % 2 == 1] for i, group in enumerate(groups)]
    for name in FILES:
        source = ExportSource.read(folder / name, EVERYBODY, campaign, ())
        assert offered_channels(replace(source, names=("days",))) == expected
