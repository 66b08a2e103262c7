"""Logs of others: what stands in them is found, and rows from which no honest number can be made are refused."""

from __future__ import annotations

import csv

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bandit import Context, Group
from bandit.campaign import LearnerSpec, PolicySpec
from bandit.errors import UnusableLog
from bandit.learners import learner_for
from bandit.schema import CategoricalField, NumericField
from policies import policy_of
from policies.uniform import Uniform
from service.foreign_log import ColumnMap, ForeignLog
from simulator.rejection import Rejection

GOOD = [
    {"sent": "b", "visit": "1", "p": "0.25", "age": "30", "city": "Rome"},
    {"sent": "a", "visit": "0", "p": "0.75", "age": "", "city": ""},
    {"sent": "b", "visit": "0", "p": "0.25", "age": "31.5", "city": "Oslo"},
]
MAP = ColumnMap("sent", "visit", "p", ("age", "city"))


@pytest.fixture
def log(tmp_path):
    """Writes rows as a CSV file; returns its path."""

    def write(rows):
        with (tmp_path / "log.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / "log.csv"

    return write


def test_a_log_says_what_stands_in_it(log):
    found = ForeignLog.read(log(GOOD), MAP)
    assert (found.n_rows, found.arms, found.least_propensity) == (3, ("b", "a"), 0.25)
    assert (found.rewards, found.is_binary) == ((0.0, 1.0), True)
    assert [(row.arm, row.reward, row.scaled_reward, row.propensity) for row in found.rows()] == [
        ("b", 1.0, 1.0, 0.25),
        ("a", 0.0, 0.0, 0.75),
        ("b", 0.0, 0.0, 0.25),
    ]
    assert [dict(row.context) for row in found.rows()] == [
        {"age": "30", "city": "Rome"},
        {"age": None, "city": None},
        {"age": "31.5", "city": "Oslo"},
    ]


def test_a_number_stands_for_the_propensity_of_every_row(log):
    found = ForeignLog.read(log(GOOD), ColumnMap("sent", "visit", "0.5"))
    assert {row.propensity for row in found.rows()} == {0.5}
    assert found.least_propensity == 0.5


def test_parquet_and_csv_of_the_same_log_are_the_same_log(log, tmp_path):
    typed = [
        {"sent": row["sent"], "visit": int(row["visit"]), "p": float(row["p"])}
        | {"age": None, "city": row["city"] or None}
        for row in GOOD
    ]
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "log.parquet")
    columns = ColumnMap("sent", "visit", "p", ("city",))
    assert list(ForeignLog.read(tmp_path / "log.parquet", columns).rows()) == list(
        ForeignLog.read(log(GOOD), columns).rows()
    )


def test_rewards_are_scaled_to_between_0_and_1_for_the_learner_and_reported_as_they_are(log):
    worth = ["-5", "20", "7.5"]
    found = ForeignLog.read(log([row | {"visit": text} for row, text in zip(GOOD, worth, strict=True)]), MAP)
    assert (found.rewards, found.is_binary) == ((-5.0, 20.0), False)
    assert [row.reward for row in found.rows()] == [-5.0, 20.0, 7.5]
    assert [row.scaled_reward for row in found.rows()] == [0.0, 1.0, 0.5]


def test_a_log_with_one_and_the_same_reward_everywhere_can_be_scaled(log):
    found = ForeignLog.read(log([row | {"visit": "3"} for row in GOOD]), MAP)
    assert {row.scaled_reward for row in found.rows()} == {0.0}


@pytest.mark.parametrize(
    ("column", "cell", "advice"),
    [
        *(("visit", cell, "correct it, or drop it") for cell in ("nan", "inf", "-inf", "", "yes", "1e999")),
        *(("p", cell, r"need a number in \(0, 1\]") for cell in ("0", "-0.1", "1.0000001", "nan", "inf", "", "half")),
        ("sent", "", "correct or drop it"),
    ],
)
def test_a_row_that_would_spoil_every_mean_is_refused_by_its_number(log, column, cell, advice):
    rows = [*GOOD[:2], GOOD[2] | {column: cell}]
    with pytest.raises(UnusableLog, match=rf"row 3: .*{advice}"):
        ForeignLog.read(log(rows), MAP)


@pytest.mark.parametrize("propensity", ["0", "1.5", "-1"])
def test_a_number_that_is_no_probability_is_refused(log, propensity):
    with pytest.raises(UnusableLog, match=rf"propensity is '{propensity}', need a number in \(0, 1\]"):
        ForeignLog.read(log(GOOD), ColumnMap("sent", "visit", propensity))


def test_missing_values_of_parquet_are_refused_where_a_number_is_needed(tmp_path):
    for column in ("visit", "p"):
        table = pa.Table.from_pylist(
            [{"sent": "a", "visit": 1.0, "p": 0.5}, {"sent": "a", "visit": 1.0, "p": 0.5} | {column: None}]
        )
        pq.write_table(table, tmp_path / "log.parquet")
        with pytest.raises(UnusableLog, match=r"row 2: .* is 'None'"):
            ForeignLog.read(tmp_path / "log.parquet", ColumnMap("sent", "visit", "p"))


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        (ColumnMap("arm", "visit", "p"), "'arm'"),
        (ColumnMap("sent", "reward", "prob"), "'reward', 'prob'"),
        (ColumnMap("sent", "visit", "nan"), "'nan'"),
        (ColumnMap("sent", "visit", "p", ("age", "zip")), "'zip'"),
    ],
)
def test_a_column_that_is_not_there_is_named_together_with_those_that_are(log, columns, missing):
    with pytest.raises(UnusableLog, match=rf"has no column {missing}\. It has: sent, visit, p, age, city"):
        ForeignLog.read(log(GOOD), columns)


def test_a_log_without_rows_answers_nothing(tmp_path):
    (tmp_path / "log.csv").write_text("sent,visit,p\n")
    with pytest.raises(UnusableLog, match="no rows"):
        ForeignLog.read(tmp_path / "log.csv", ColumnMap("sent", "visit", "p"))


def test_many_different_numbers_are_numeric_and_everything_else_is_categorical(log):
    rows = [GOOD[i % 3] | {"age": str(i / 2), "city": str(i % 12), "visit": "1"} for i in range(40)]
    age, city = ForeignLog.read(log([*rows, rows[0] | {"age": "", "city": ""}]), MAP).schema.fields
    assert age == NumericField("age", 0.0, 19.5)
    assert city == CategoricalField("city", tuple(sorted(str(i) for i in range(12))))


def test_a_column_of_names_is_refused_because_nothing_can_be_learned_from_it(log):
    rows = [GOOD[i % 3] | {"city": f"city {i}"} for i in range(202)]
    with pytest.raises(
        UnusableLog, match=r"'city' has texts of more than 200 different values.*Leave it out of --context"
    ):
        ForeignLog.read(log(rows), MAP)
    assert len(ForeignLog.read(log(rows[:200]), MAP).schema.fields) == 2


def test_only_rewards_other_than_0_and_1_are_learned_as_amounts(log):
    squarecb = PolicySpec("squarecb")
    binary = ForeignLog.read(log(GOOD), MAP).campaign(squarecb, LearnerSpec())
    assert dict(binary.learner.options) == {}
    amounts = ForeignLog.read(log([GOOD[0] | {"visit": "12"}, *GOOD]), MAP)
    assert dict(amounts.campaign(squarecb, LearnerSpec()).learner.options) == {"target": "reward"}
    assert dict(amounts.campaign(PolicySpec("native"), LearnerSpec()).learner.options) == {}


@pytest.mark.parametrize("name", ["squarecb", "native"])
def test_strange_names_of_arms_and_columns_are_only_names(log, name):
    arms = ("a|b c:d", "line\nbreak", "🎉", ":1", " ")
    rows = [{"the arm|x:": arms[i % 5], "visit": i % 2, "c o:l|": arms[i % 3], "": f"{i % 7}"} for i in range(200)]
    found = ForeignLog.read(log(rows), ColumnMap("the arm|x:", "visit", "0.2", ("c o:l|", "")))
    spec = PolicySpec(name)
    campaign, policy = found.campaign(spec, LearnerSpec()), policy_of(spec)
    kind = learner_for(campaign.learner, policy.needs)
    policies = {Group.LEARNER: policy, Group.RANDOM: Uniform(), Group.CONTROL: Uniform()}
    replayed = Rejection(campaign, policies, kind, found.least_propensity, 1, update_every=10).replay(found.rows())
    assert replayed.n_rows == 200
    assert campaign.schema.encode(Context(next(found.rows()).context)).values == {"c o:l|": arms[0], "": "0"}
