"""Logs from before a campaign knew the time: what `[time]` makes is made of each row's own, as a decision then would have."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from bandit import Context, LoggedDecision, Matured, Outcome
from bandit.errors import UnusableLog
from bandit.reward import REWARD
from bandit.time_kinds import WEEKDAYS
from bandit.warm_start import HistoricalSend, learn_log
from service.cli import main
from service.compared_log import from_export
from service.engines import engine_for
from service.export_source import ExportSource
from service.fit_asked import fit_source, fitted_worlds
from service.foreign_log import ColumnMap
from service.log_source import USUAL_GROUPS
from service.outcomes_table import record_outcome
from service.replayed_log import batch_of
from service.replaying import Contender, replayed
from service.snapshots_table import load_snapshot
from service.store import Store
from service.warm_starting import start_from_log
from service.worlds_asked import ScenarioWorlds

N = 450
MADRID, MEXICO = "Europe/Madrid", "America/Mexico_City"
FIELDS = {"weekday": "weekday", "block": "hour_block", "left": "days_until_end"}
TIME = {"zone": "zone", "begins": date(2026, 11, 20), "ends": date(2026, 12, 20), "fields": FIELDS}
COLUMNS = ColumnMap("arm.subject", "reward", "propensity.subject", ("zone",), sent_at="decided_at")


def campaign_of(worlds, *, time=None, **sections):
    """One that is about customers in two zones."""
    return worlds.campaign(
        time=time,
        **{
            "context": {"zone": {"kind": "categorical", "values": [MADRID, MEXICO]}},
            "dimension": [worlds.dimension("subject", "plain", "champion")],
            "reward": {"window": "6h", "events": {"click": 1.0}},
        }
        | sections,
    )


def sends(worlds):
    """Who came when: every third hour and some minutes, for two months and more."""
    for i in range(N):
        zone = (MADRID, MEXICO, None)[i % 3]
        yield f"c{i}", Context.of(zone=zone), f"d{i}", worlds.noon + i * timedelta(hours=3, minutes=7, microseconds=1)


def clicked(made):
    """Weekends are for champions, wherever the customer is."""
    zone = ZoneInfo(made.context["zone"] or "UTC")
    weekend = made.decided_at.astimezone(zone).weekday() >= 5
    return weekend == (made.choice["subject"] == "champion") and int(made.decision_id[1:]) % 7 < 5


@pytest.fixture(scope="module")
def timed(worlds):
    return campaign_of(worlds, time=TIME)


@pytest.fixture(scope="module")
def folder(worlds, cli, tmp_path_factory):
    """A database with a log of before, its exports, and a table that anybody could have written."""
    folder = tmp_path_factory.mktemp("before")
    plain = campaign_of(worlds)
    (folder / "campaign.toml").write_text(plain.toml, encoding="utf-8")
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(plain, worlds.noon)
        engine = engine_for(store, log)
        made = [engine.decide(who, known, decision_id=name, at=at) for who, known, name, at in sends(worlds)]
        store.add_decisions([store.row_of(decision, log) for decision in made])

        def tell(connection):
            for one in filter(clicked, made):
                told = Outcome(f"e{one.decision_id}", one.decision_id, "click", one.decided_at)
                record_outcome(connection, told, store.reward_of, one.decided_at)

        store.write(tell)
    ours = ["--db", folder / "manyarm.db", "--campaign", folder / "campaign.toml"]
    cli.run("learn", *ours, "--at", "2027-06-01T00:00:00Z")
    for name in ("log.csv", "log.parquet"):
        cli.run("export", "--out", folder / name, *ours)
    rows = read(folder / "log.csv")
    write(folder / "theirs.csv", [{name.removeprefix("context."): cell for name, cell in row.items()} for row in rows])
    return folder


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def changed(folder, path, row, **cells):
    """An export in which one row says something else; rows are counted from 1."""
    rows = read(folder / "log.csv")
    rows[row - 1] |= cells
    return write(path, rows)


def started(folder, path, campaign, worlds, source, columns=None):
    """The first snapshot of a campaign that begins with a log, and what was counted."""
    database = shutil.copy(folder / "manyarm.db", path / f"{source.replace('/', '-')[-40:]}.db")
    with Store(database, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        found = start_from_log(store, log, source, columns, worlds.noon + timedelta(days=300))
        return load_snapshot(store.reader(), found.snapshot), found


@pytest.fixture(scope="module")
def as_decided(worlds, timed):
    """What the campaign itself would have logged, had it known the time then."""
    engine, rows = worlds.engine(timed), []
    for number, (who, known, name, at) in enumerate(sends(worlds), start=1):
        made = engine.decide(who, known, decision_id=name, at=at)
        rows.append(Matured(number, LoggedDecision.of(made, number), frozenset(["click"] * clicked(made))))
    return rows


@pytest.mark.parametrize("source", ["earlier", "log.csv", "log.parquet", "theirs.csv"])
def test_a_log_of_before_teaches_what_the_campaigns_own_would_have(folder, worlds, timed, as_decided, tmp_path, source):
    columns = COLUMNS if source == "theirs.csv" else None
    path = source if source == "earlier" else str(folder / source)
    snapshot, found = started(folder, tmp_path, timed, worlds, path, columns)
    own = worlds.train(timed, as_decided)
    assert (found.n_learned, found.skipped, found.unfit.get("weekday")) == (N, {}, None)
    assert snapshot.state == own.state
    assert snapshot.arguments == own.arguments


def test_what_was_learned_of_the_time_is_used(folder, worlds, timed, tmp_path):
    """Champion on Saturday where the customer is, plain on Wednesday."""
    snapshot, _ = started(folder, tmp_path, timed, worlds, str(folder / "log.csv"))
    scorer, campaign = worlds.kind(timed).serve(timed, snapshot), timed
    for day, best in ((28, "champion"), (25, "plain")):
        at = worlds.noon.replace(day=day)
        context = campaign.schema.encode(campaign.completed(Context.of(zone=MADRID), at))
        scores = scorer.estimates(scorer.start(context), 0, range(2)).scores
        assert campaign.dimensions[0].ids[int(np.argmax(scores))] == best


def test_a_table_that_does_not_say_when_is_learned_without_the_time_and_says_so(folder, worlds, timed, tmp_path):
    columns = replace(COLUMNS, sent_at="")
    _, found = started(folder, tmp_path, timed, worlds, str(folder / "theirs.csv"), columns)
    assert found.unfit == dict.fromkeys(FIELDS, N)


def test_a_table_that_does_not_say_where_has_its_customers_live_at_home_and_says_so(folder, worlds, timed, tmp_path):
    columns = replace(COLUMNS, context=())
    _, found = started(folder, tmp_path, timed, worlds, str(folder / "theirs.csv"), columns)
    assert found.unfit == {"zone": N}


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"decided_at": ""}, r"row 7: decided_at is ''.*Correct or drop that row"),
        (
            {"decided_at": "2026-11-22 12:00"},
            r"row 7: decided_at is '2026-11-22 12:00', need an ISO 8601 time with its zone",
        ),
        ({"decided_at": "2026-13-45T00:00:00Z"}, r"row 7: decided_at is '2026-13-45T00"),
        ({"context.zone": "Atlantis"}, r"row 7: .*'Atlantis', which is no IANA time zone.*Correct or drop that row"),
    ],
)
def test_a_row_without_a_possible_time_or_zone_is_named(folder, worlds, timed, tmp_path, cells, said):
    path = changed(folder, tmp_path / "log.csv", 7, **cells)
    with pytest.raises(UnusableLog, match=said):
        started(folder, tmp_path, timed, worlds, str(path))
    theirs = write(
        tmp_path / "theirs.csv", [{k.removeprefix("context."): v for k, v in row.items()} for row in read(path)]
    )
    with pytest.raises(UnusableLog, match=said):
        started(folder, tmp_path, timed, worlds, str(theirs), COLUMNS)


def test_rows_that_teach_nothing_need_no_time(folder, worlds, timed, tmp_path):
    path = changed(folder, tmp_path / "log.csv", 7, decided_at="", state="pending")
    _, found = started(folder, tmp_path, timed, worlds, str(path))
    assert (found.n_learned, sum(found.skipped.values())) == (N - 1, 1)


def test_a_campaign_that_makes_nothing_of_the_time_needs_none(folder, worlds, tmp_path):
    rows = [{name: cell for name, cell in row.items() if name != "decided_at"} for row in read(folder / "log.csv")]
    path, other = write(tmp_path / "log.csv", rows), campaign_of(worlds, policy={"floor": 0.1})
    assert started(folder, tmp_path, other, worlds, str(path))[1].n_learned == N
    with pytest.raises(
        UnusableLog, match=r"no column 'decided_at', of which weekday, block, left .*Export the log again"
    ):
        started(folder, tmp_path, campaign_of(worlds, time=TIME), worlds, str(path))


def test_a_personal_zone_that_was_not_exported_is_asked_for(folder, worlds, tmp_path):
    zone = {"kind": "categorical", "values": [MADRID, MEXICO], "personal": True}
    rows = [{name: cell for name, cell in row.items() if name != "context.zone"} for row in read(folder / "log.csv")]
    path = write(tmp_path / "log.csv", rows)
    with pytest.raises(UnusableLog, match=r"'context\.zone', which says where customers live.*--personal"):
        started(folder, tmp_path, campaign_of(worlds, time=TIME, context={"zone": zone}), worlds, str(path))


@pytest.mark.parametrize("held", [{}, {"weekday": "mon", "block": "night", "left": "3.0"}])
def test_no_world_is_fitted_on_the_clock_of_another_place(folder, worlds, tmp_path, held):
    """A world makes the time anew of its rows, held or not."""
    zone = {"kind": "categorical", "values": [MADRID, MEXICO], "personal": True}
    timed = campaign_of(worlds, time=TIME, context={"zone": zone})
    added = {f"context.{name}": cell for name, cell in held.items()}
    rows = [row | added for row in read(folder / "log.csv")]
    for row in rows:
        del row["context.zone"]
    path = write(tmp_path / "log.csv", rows)
    with (
        pytest.raises(UnusableLog, match=r"'context\.zone', which says where customers live: weekday, .*--personal"),
        fit_source(path, None, timed) as source,
    ):
        fitted_worlds(source, "log.csv", 0, timed)


def test_what_an_export_holds_stays_as_it_was_logged(folder, worlds, timed, as_decided, tmp_path):
    """A field that was made at the decision, or changed since, is what the row was decided from."""
    rows = [{**row, "context.weekday": WEEKDAYS[i % 7]} for i, row in enumerate(read(folder / "log.csv"))]
    held = started(folder, tmp_path, timed, worlds, str(write(tmp_path / "log.csv", rows)))[0]
    contexts = [{**row.decision.context, "weekday": WEEKDAYS[i % 7]} for i, row in enumerate(as_decided)]
    own = worlds.train(
        timed,
        [replace(row, decision=replace(row.decision, context=c)) for row, c in zip(as_decided, contexts, strict=True)],
    )
    assert held.state == own.state


def test_fields_that_meant_something_else_in_the_earlier_campaign_are_made_anew(folder, worlds, timed, tmp_path):
    """An hour that was called block, read off one clock for all; the days until another end are what they were."""
    before = {
        "begins": date(2026, 11, 1),
        "ends": date(2026, 12, 20),
        "fields": {"block": "hour", "weekday": "weekday", "left": "days_until_end"},
    }
    earlier = campaign_of(worlds, time=before)
    database = tmp_path / "other.db"
    with Store(database, salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(earlier, worlds.noon)
        engine = engine_for(store, log)
        made = [engine.decide(who, known, decision_id=name, at=at) for who, known, name, at in sends(worlds)]
        store.add_decisions([store.row_of(decision, log) for decision in made])
        found = start_from_log(
            store, store.open_log(timed, worlds.noon), "earlier", None, worlds.noon + timedelta(days=300)
        )
        snapshot = load_snapshot(store.reader(), found.snapshot)
    contexts = [
        {**timed.completed(Context(earlier.given_of(one.context)), one.decided_at).values, "left": one.context["left"]}
        for one in made
    ]
    known = [
        HistoricalSend(context, one.choice, {"subject": one.picks[0].propensity}, None, frozenset())
        for context, one in zip(contexts, made, strict=True)
    ]
    assert snapshot.state == learn_log(timed, worlds.kind(timed), known).snapshot.state


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_an_export_of_before_is_evaluated_with_the_time_of_its_rows(folder, timed, as_decided, name):
    source = ExportSource.read(folder / name, USUAL_GROUPS, timed, ())
    (batch,) = source.batches()
    assert list(batch.contexts()) == [dict(row.decision.context) for row in as_decided]
    assert source.without_context().made == ()


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_an_export_of_before_is_compared_by_the_weekday_of_its_rows(folder, timed, as_decided, name):
    found = from_export(ExportSource.read(folder / name, USUAL_GROUPS, timed, ()), REWARD, "weekday")
    assert found.segments.tolist() == [row.decision.context["weekday"] for row in as_decided]
    assert from_export(ExportSource.read(folder / name, USUAL_GROUPS, timed, ()), REWARD, "").segments is None


@pytest.mark.parametrize("name", ["log.csv", "log.parquet"])
def test_rules_on_the_time_are_asked_again_of_an_export_of_before(folder, worlds, name):
    """A control row does not say what else could have been sent; the weekday is made for that alone, on its own clock."""
    champion = {"id": "champion", "when": {"weekday": ["sat", "sun"]}}
    ruled = campaign_of(
        worlds, time=TIME, dimension=[worlds.dimension("subject", "plain", champion)], policy={"floor": 0.0}
    )
    source = ExportSource.read(folder / name, USUAL_GROUPS, ruled, ()).without_context()
    assert source.made == ("weekday",)
    (batch,) = source.batches()
    assert set(batch.context) == {"zone", "weekday"}


def test_a_row_of_an_export_that_cannot_be_evaluated_is_named(folder, timed, tmp_path):
    for cells in ({"decided_at": ""}, {"context.zone": "Atlantis"}):
        path = changed(folder, tmp_path / "log.csv", 7, **cells)
        with pytest.raises(UnusableLog, match="row 7"):
            list(ExportSource.read(path, USUAL_GROUPS, timed, ()).batches())
    parquet = pq.read_table(folder / "log.parquet")
    times = parquet["decided_at"].to_pylist()
    times[6] = None
    column = pa.array(times, type=parquet.schema.field("decided_at").type)
    at = parquet.schema.get_field_index("decided_at")
    path = tmp_path / "log.parquet"
    pq.write_table(parquet.set_column(at, "decided_at", column), path)
    with pytest.raises(UnusableLog, match=r"row 7 of those that count: decided_at is ''"):
        list(ExportSource.read(path, USUAL_GROUPS, timed, ()).batches())


def test_an_export_and_the_database_of_before_tell_the_same_world(folder, timed, worlds):
    """The export once had no time at all, and its world no weekday."""
    arrivals = None
    for name in ("manyarm.db", "log.csv", "log.parquet"):
        with fit_source(folder / name, None, timed) as source:
            campaign, found = fitted_worlds(source, name, 0, timed)
        world = found.world
        arrivals = arrivals or list(world.arrivals(50))
        assert campaign.time == timed.time
        assert list(world.arrivals(50)) == arrivals
        rewards = world.expected_rewards_after(arrivals)
        weekend = np.array([one.context["weekday"] in {"sat", "sun"} for one in arrivals])
        assert ((rewards[:, 1] > rewards[:, 0]) == weekend).mean() >= 0.9
        told = found.trust.rows[0]
        assert abs(told.apart) < 0.5
        if name == "manyarm.db":
            first = rewards
        assert rewards == pytest.approx(first, abs=1e-9)


def test_a_mapped_table_that_says_when_tells_the_same_world(folder, timed):
    columns = ColumnMap("arm.subject", "reward", "0.5", ("zone",), sent_at="decided_at")
    with (
        fit_source(folder / "theirs.csv", columns, timed) as source,
        fit_source(folder / "log.csv", None, timed) as ours,
    ):
        worlds = [fitted_worlds(one, "log", 0, timed)[1].world for one in (source, ours)]
    theirs, own = ([(came.at, came.context) for came in world.arrivals(N + 50)] for world in worlds)
    assert theirs == own
    without = replace(columns, sent_at="")
    with fit_source(folder / "theirs.csv", without, timed) as source:
        _, blind = fitted_worlds(source, "theirs.csv", 0, timed)
    assert np.ptp(blind.world.expected_rewards_after(list(blind.world.arrivals(60))[::3]), axis=0).max() < 1e-12


def test_a_row_of_a_mapped_table_that_does_not_say_when_is_named(folder, timed, tmp_path):
    rows = read(folder / "theirs.csv")
    rows[6]["decided_at"] = "Tuesday"
    path = write(tmp_path / "theirs.csv", rows)
    with fit_source(path, COLUMNS, timed) as source, pytest.raises(UnusableLog, match="row 7: decided_at is 'Tuesday'"):
        fitted_worlds(source, "theirs.csv", 0, timed)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "--fit", "log.csv", "--sent-at", "at"], "--sent-at goes with --arm"),
        (
            ["replay", "theirs.csv", "--arm", "a", "--reward", "r", "--propensity", "1", "--sent-at", "at"],
            "--sent-at mean nothing",
        ),
        (["learn", "--from-log", "log.csv", "--sent-at", "at"], "so does --sent-at"),
    ],
)
def test_a_column_of_times_goes_with_the_other_columns(folder, monkeypatch, arguments, said):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_a_plan_with_another_clock_is_fitted_anew(folder, timed, worlds):
    """The same fields, but all live at home: rows of Mexico then lie on other days."""
    home = campaign_of(worlds, time={key: value for key, value in TIME.items() if key != "zone"})
    with fit_source(folder / "log.csv", None, timed) as source:
        _, theirs = fitted_worlds(source, "log.csv", 0, home)
    at = [came.at for came in theirs.world.arrivals(200)]
    days = [came.context["weekday"] for came in theirs.world.arrivals(200)]
    assert days == [WEEKDAYS[moment.weekday()] for moment in at]
    assert [one["weekday"] for one in theirs.world.rows.contexts[:200]] == days


def test_a_replayed_stage_says_what_time_it_was(timed):
    stage = replayed(Contender("timed", timed), ScenarioWorlds("steady"), 60, 1).stages[0]
    contexts = list(batch_of(stage).contexts())
    assert contexts == [timed.completed(Context(came.context), came.at).values for came in stage.arrivals]
    assert len({context["weekday"] for context in contexts}) > 1
