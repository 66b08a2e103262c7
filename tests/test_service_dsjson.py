"""DSJSON logs: decisions are weighed, dangling lines are counted, and lines that would make the answer wrong are refused."""

from __future__ import annotations

import gzip
import json

import pytest
from click.testing import CliRunner

from service.cli import main

DANGLING = "no decision on the line"


def line(i, **changes):
    """Two actions by a fair coin; the first one drawn is rewarded in every third line."""
    drawn = [1, 2] if i % 2 else [2, 1]
    cost = -1.0 if i % 6 in {1, 2, 3} else 0.0
    found = {
        "_label_cost": cost,
        "_label_probability": 0.5,
        "a": drawn,
        "p": [0.5, 0.5],
        "c": {"x": i},
        "Timestamp": "t",
    }
    return found | changes


LOG = [line(i) for i in range(600)]


@pytest.fixture
def ask(tmp_path):
    """Writes lines and asks about action 1; a traceback is a failure whatever the status."""

    def run(lines, *arguments, target="fixed:1", name="log.dsjson", code=0):
        text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines) + "\n"
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        result = CliRunner().invoke(main, ["evaluate", str(tmp_path / name), "--target", target, "--json", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.stderr if code == 2 else json.loads(result.stdout)

    return run


def test_the_reward_is_minus_the_cost_and_actions_are_called_by_their_numbers(ask):
    found = ask(LOG, "--against", "fixed:2")
    assert (found["n"], found["dropped"], found["verdict"]) == (600, {}, "reliable")
    assert found["behavior_value"] == 0.5
    assert found["estimators"]["snips"]["value"] == pytest.approx(2 / 3)
    assert found["difference"]["snips"]["value"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("name", ["log.json", "log.dsjson.gz", "log.json.gz"])
def test_packed_lines_are_the_same_lines(ask, name):
    assert ask(LOG, name=name) == ask(LOG)


def test_dangling_lines_are_left_out_and_counted_by_reason(ask):
    dangling = [{"EventId": "e", "RewardValue": 1.0}, "", line(0, _label_cost=None), line(0, a=[], p=[])]
    found = ask([*LOG[:300], *dangling, *LOG[300:], line(0, _skipLearn=True)])
    expected = ask(LOG)
    assert found["dropped"] == {DANGLING: 4, "marked as not to be learned from": 1}
    assert (found["n"], found["estimators"]) == (600, expected["estimators"])


def test_lines_may_offer_different_actions(ask):
    more = [line(i, a=[3, 1], p=[0.25, 0.75], _label_probability=0.25) for i in range(100)]
    found = ask([*LOG, *more], target="uniform")
    assert found["n"] == 700
    assert found["support"] == 1.0
    assert found["max_weight"] == 2.0


def test_an_action_that_was_offered_and_never_drawn_cannot_be_answered_for(ask):
    """A greedy log: nobody ever saw action 2, although it was always there."""
    greedy = [line(i, a=[1, 2], p=[1.0, 0.0], _label_probability=1.0) for i in range(300)]
    found = ask(greedy, target="fixed:2", code=1)
    assert (found["verdict"], found["estimators"]) == ("cannot answer", {})
    assert ask(greedy)["estimators"]["snips"]["value"] == 0.5
    assert "50.0% of what the target would send" in ask(greedy, target="uniform", code=1)["reasons"][0]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"p": [0.5]}, "line 601: 2 actions (1, 2) with 1 probabilities. Actions count from 1"),
        ({"a": [0, 1]}, "line 601: 2 actions (0, 1) with 2 probabilities. Actions count from 1"),
        ({"a": [2, 2]}, "each once and with its probability: correct or drop the line"),
        ({"_label_probability": 0.4}, "line 601: _label_probability is 0.4, the first of p is 0.5"),
        ({"pdrop": 0.5}, "line 601: pdrop is 0.5: lines without reward were thrown away at random"),
        ({"p": [0.5, 0.4]}, "row 601: sum of the logged pmf of 'action' is 0.9"),
        ({"p": [0.0, 1.0], "_label_probability": 0.0}, "row 601: propensity is 0.0, need a number in (0, 1]"),
        ({"p": [1.5, -0.5], "_label_probability": 1.5}, "row 601: least probability of the logged pmf of 'action' is -0.5"),
        ({"_label_cost": "free"}, "line 601: no DSJSON (Expected `float | null`, got `str`"),
    ],
)  # fmt: skip
def test_a_line_that_would_make_the_answer_wrong_is_refused_by_its_number(ask, changes, advice):
    assert advice in ask([*LOG, line(1, **changes)], code=2)


@pytest.mark.parametrize("garbage", ["garbage", '{"a": [1', "[1]", "\x00"])
def test_a_line_that_is_no_json_object_is_refused_by_its_number(ask, garbage):
    assert "log.dsjson, line 601: no DSJSON" in ask([*LOG, garbage], code=2)


@pytest.mark.parametrize("lines", [[], [""], [{"EventId": "e"}], ['{"name": "something else"}']])
def test_a_file_without_a_decision_is_refused(ask, lines):
    assert "has no line with a decision (`a`, `p`, `_label_cost`). Is it DSJSON?" in ask(lines, code=2)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:200], lambda data: data[:20] + b"\xff" * 50, lambda data: b"plain"]
)
def test_a_packed_file_that_is_cut_off_or_damaged_is_refused(tmp_path, damage):
    text = "\n".join(map(json.dumps, LOG)).encode()
    (tmp_path / "log.dsjson.gz").write_bytes(damage(gzip.compress(text)))
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "log.dsjson.gz"), "--target", "uniform"])
    assert result.exit_code == 2, result.exception
    assert "log.dsjson.gz: cannot be read (" in result.stderr


@pytest.mark.parametrize(
    ("target", "advice"),
    [
        ("fixed:3", "'action' has no arm '3' in this log"),
        ("column:p", "column:NAME needs a table; DSJSON has no columns"),
        ("learn:squarecb", "needs to know the log's context"),
    ],
)
def test_what_dsjson_does_not_say_cannot_be_asked(ask, target, advice):
    assert advice in ask(LOG, target=target, code=2)
