"""`manyarm evaluate` against wrong input: exit 2, a message that says what to do, never a traceback, nothing half-written."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli import main
from service.engines import engine_for
from service.log_source import StoreSource
from service.store import Store
from service.trainer import Trainer

FOREIGN = ["table.csv", "--arm", "arm", "--reward", "opened", "--propensity", "p"]
ASK = ["--target", "uniform"]
OURS = ["--db", "manyarm.db", "--campaign", "campaign.toml"]
ONE_RULE = '[[rule]]\nchoice = { arm = "a" }\n'


@pytest.fixture(scope="module")
def folder(worlds, tmp_path_factory):
    """A campaign of two dimensions with its database and exports, another campaign, and a table of two arms."""
    folder = tmp_path_factory.mktemp("misuse")
    other = worlds.document(dimension=[worlds.dimension("subject", "plain", "other")])
    (folder / "campaign.toml").write_text(worlds.toml(worlds.document(groups={"random": 0.5})), encoding="utf-8")
    (folder / "other.toml").write_text(worlds.toml(other), encoding="utf-8")
    campaign = worlds.campaign(groups={"random": 0.5})
    with Store(folder / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
        log = store.open_log(campaign, worlds.noon)
        store.add_decisions([store.row_of(one, log) for one in worlds.decide(engine_for(store, log), 60)])
        Trainer(store, log).step(worlds.noon + timedelta(days=4))
    ours = ["--db", str(folder / "manyarm.db"), "--campaign", str(folder / "campaign.toml")]
    for name in ("log.parquet", "log.csv"):
        assert CliRunner().invoke(main, ["export", "--out", str(folder / name), *ours]).exit_code == 0
    whole = (folder / "log.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "no_pmf.csv").write_text((folder / "log.csv").read_text().replace("pmf.subject", "pdf.subject", 1))
    (folder / "bad_pmf.csv").write_text((folder / "log.csv").read_text().replace('"{""', '"{x""', 1))
    rows = [
        {"arm": "ab"[i % 2], "opened": int(i % 3 == 0), "spent": 2.5 * (i % 3), "p": 0.5, "level": "xy"[i % 2]}
        for i in range(300)
    ]
    write(folder / "table.csv", rows)
    write(folder / "one_bad.csv", [*rows, rows[0] | {"p": "half"}])
    write(folder / "no_arm.csv", [*rows, rows[0] | {"arm": ""}])
    write(folder / "rare.csv", [*rows, rows[0] | {"p": 1e-12}])
    (folder / "empty.csv").write_text("arm,opened,p\n")
    (folder / "nothing.csv").write_text("")
    (folder / "sheet.xlsx").write_bytes(b"PK")
    return folder


def write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def refused(folder, monkeypatch):
    """Runs the command in that folder; returns the message, having seen that it is one and that nothing was written."""
    monkeypatch.chdir(folder)

    def run(*arguments):
        before = sorted(Path().iterdir())
        result = CliRunner().invoke(main, ["evaluate", *map(str, arguments)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"manyarm evaluate {' '.join(map(str, arguments))}: a traceback") from result.exception
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert sorted(Path().iterdir()) == before
        return result.stderr

    return run


def without(option):
    at = FOREIGN.index(option)
    return [*FOREIGN[:at], *FOREIGN[at + 2 :]]


def instead(option, value):
    at = FOREIGN.index(option)
    return [*FOREIGN[: at + 1], value, *FOREIGN[at + 2 :]]


def of(path):
    return [path, *FOREIGN[1:]]


MISUSE = {
    "no target": (FOREIGN, "Missing option '--target'"),
    "unknown target": ([*FOREIGN, "--target", "best"], "target 'best' is none of uniform, fixed:ARM, best-constant"),
    "unknown against": ([*FOREIGN, *ASK, "--against", "unfirom"], "target 'unfirom' is none of uniform"),
    "unknown policy": ([*FOREIGN, "--target", "learn:magic"], "policy.name: found 'magic'; wanted one of uniform"),
    "unknown estimator": ([*FOREIGN, *ASK, "--estimators", "snips,ipw"], "there is no estimator 'ipw'. There are: snips"),
    "no log": (ASK, "name a log, or a database with --db"),
    "missing file": ([*of("nobody.csv"), *ASK], "nobody.csv: no such file. Name a CSV or Parquet file"),
    "a folder": ([*of("."), *ASK], ".: this is a folder. Name a CSV or Parquet file in it"),
    "unknown ending": ([*of("sheet.xlsx"), *ASK], "found the ending '.xlsx', need .csv, .csv.gz or .parquet"),
    "file without rows": ([*of("empty.csv"), *ASK], "It has: no rows at all"),
    "file without anything": ([*of("nothing.csv"), *ASK], "It has: no rows at all"),
    "export without rows": (["nothing.csv", *ASK], "It has: no rows at all. For a log that somebody else wrote name"),
    "missing arm column": ([*instead("--arm", "sent"), *ASK], "table.csv has no column 'sent'. It has: arm, opened"),
    "missing reward column": ([*instead("--reward", "sold"), *ASK], "has no column 'sold'. It has: arm, opened, spent"),
    "missing context column": ([*FOREIGN, *ASK, "--context", "level,age"], "has no column 'age'"),
    "missing where column": ([*FOREIGN, *ASK, "--where", "age=3"], "has no column 'age'"),
    "leaking context": ([*FOREIGN, *ASK, "--context", "opened"], "not known before the draw"),
    "reward without arm": (["log.csv", *ASK, "--reward", "opened"], "--where go with --arm; our logs name their columns"),
    "where without arm": (["log.csv", *ASK, "--where", "level=x"], "--where go with --arm; our logs name their columns"),
    "context without arm": (["log.csv", *ASK, "--context", "level"], "--where go with --arm"),
    "arm without propensity": ([*without("--propensity"), *ASK], "--arm needs --reward and --propensity"),
    "arm without reward": ([*without("--reward"), *ASK], "--arm needs --reward and --propensity"),
    "propensity of text": ([*instead("--propensity", "level"), *ASK], "row 1: propensity is 'x', need a number in (0, 1]"),
    "a row without propensity": ([*of("one_bad.csv"), *ASK], "row 301: propensity is 'half', need a number in (0, 1]"),
    "a row without arm": ([*of("no_arm.csv"), *ASK], "row 301: arm is empty"),
    "a propensity nobody drew": ([*of("rare.csv"), *ASK], "row 301: propensity is 1e-12, need a number in (0, 1] no smaller"),
    "propensity above 1": ([*instead("--propensity", "1.5"), *ASK], "propensity is '1.5', need a number in (0, 1]"),
    "where without value": ([*FOREIGN, *ASK, "--where", "level"], "--where 'level': write COLUMN=VALUE"),
    "where that keeps nothing": ([*FOREIGN, *ASK, "--where", "level=z"], "has no rows that --where keeps"),
    "unknown fixed arm": ([*FOREIGN, "--target", "fixed:c"], "'arm' has no arm 'c' in this log, so it cannot say"),
    "half a fixed choice": (["log.csv", "--target", "fixed:plain"], "each dimension, such as subject=plain,cta=join"),
    "one arm of two": (["log.csv", "--target", "fixed:subject=plain"], "the log has subject, cta. Name one arm for"),
    "unknown snapshot": ([*OURS, "--target", "snapshot:s00099"], "`manyarm snapshot list` shows what"),
    "snapshot without db": (["log.parquet", "--target", "snapshot:s00001"], "name it with --db, and the campaign's file"),
    "snapshot on a table": ([*FOREIGN, *OURS, "--target", "snapshot:s00001"], "use that export"),
    "missing database": (["--db", "nothing.db", *ASK], "'nothing.db' does not exist"),
    "database that is none": (["--db", "table.csv", "--campaign", "campaign.toml", *ASK], "cannot be used as a database"),
    "missing campaign": (["--db", "manyarm.db", "--campaign", "nothing.toml", *ASK], "'nothing.toml' does not exist"),
    "missing rules": ([*FOREIGN, "--target", "rules:none.toml"], "rules none.toml: [Errno 2] No such file or directory"),
    "column not in table": ([*FOREIGN, "--target", "column:q"], "has no column 'q'. It has: arm, opened"),
    "column not in export": (["log.csv", "--target", "column:q"], "log.csv has no column 'q' for --target column:NAME"),
    "column of text": ([*FOREIGN, "--target", "column:level"], "row 1: level is 'x', need a finite number"),
    "column of no probability": ([*FOREIGN, "--target", "column:spent"], "row 2: target probability is 2.5, need"),
    "column of a database": ([*OURS, "--target", "column:q"], "column:NAME needs a log that is a table"),
    "column with a model": ([*FOREIGN, "--target", "column:p", "--estimators", "dr"], "dr needs a reward model. One is trained"),
    "dr on several dimensions": (["log.csv", *OURS, *ASK, "--estimators", "dr"], "dr needs a reward model. One is trained"),
    "dr without context": (["log.csv", *ASK, "--estimators", "dr"], "dr needs a reward model."),
    "pi on one dimension": ([*FOREIGN, *ASK, "--estimators", "pi"], "pi is for choices of several dimensions"),
    "pi beside snips": ([*OURS, *ASK, "--estimators", "snips,pi"], "pi weigh our log by whole choices made again, snips by"),
    "pi of what learns": ([*OURS, "--target", "best-constant", "--estimators", "pi"], "needs the probability of whole choices"),
    "no range": ([*instead("--reward", "spent"), *ASK, "--estimators", "cressie-read"], "the range of rewards is not known"),
    "a range too narrow": ([*instead("--reward", "spent"), *ASK, "--reward-range", "0", "2"], "Give the range that rewards can"),
    "a range turned round": ([*FOREIGN, *ASK, "--reward-range", "1", "0"], "need finite numbers in order"),
    "a range of text": ([*FOREIGN, *ASK, "--reward-range", "0", "lots"], "'lots' is not a valid float"),
    "a largest weight too small": ([*FOREIGN, "--target", "fixed:a", "--largest-weight", "1.5"], "above the 1.5 that the floor"),
    "a largest weight of nan": ([*FOREIGN, *ASK, "--largest-weight", "nan"], "need finite numbers in order"),
    "export of another campaign": (["log.parquet", "--campaign", "other.toml", *ASK], "with other dimensions or arms than"),
    "a cut Parquet file": (["cut.parquet", *ASK], "cut.parquet: not a readable Parquet file ("),
    "an export without a pmf": (["no_pmf.csv", *ASK], "is no export of ours: it has no column pmf.subject"),
    "an export with a damaged pmf": (["bad_pmf.csv", *ASK], "need a JSON map from arm to probability"),
    "a table taken for an export": (["table.csv", *ASK], "table.csv is no export of ours: it has no column"),
    "an unknown group": (["log.csv", *ASK, "--group", "vip"], "'vip' is not one of"),
    "one fold": ([*FOREIGN, "--target", "best-constant", "--folds", "1"], "x>=2"),
    "more folds than rows": ([*FOREIGN, "--target", "best-constant", "--folds", "301"], "300 rows for 301 folds"),
    "certainty": ([*FOREIGN, *ASK, "--confidence", "1"], "0<x<1"),
    "negative resamples": ([*FOREIGN, *ASK, "--bootstrap", "-1"], "x>=0"),
    "a floor above 1": ([*FOREIGN, "--target", "learn:squarecb", "--floor", "2"], "0<=x<=1"),
    "a seed of text": ([*FOREIGN, *ASK, "--seed", "today"], "'today' is not a valid integer"),
    "a page in no folder": ([*FOREIGN, *ASK, "--html", "none/page.html"], "the folder none does not exist. Make it, or"),
    "a page that is a folder": ([*FOREIGN, *ASK, "--html", "."], "is a directory"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSE)
def test_misuse_is_answered_with_exit_2_and_a_message(refused, name):
    arguments, advice = MISUSE[name]
    assert " ".join(advice.split()) in " ".join(refused(*arguments).split())


def test_every_option_has_a_misuse_here():
    params = main.get_command(None, "evaluate").params
    options = {name for option in params for name in option.opts if name.startswith("--")}
    used = {str(argument) for arguments, _ in MISUSE.values() for argument in arguments}
    assert options - used == {"--json"}


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("[[rule]\n", "Expected"),
        ("", "Object missing required field `rule`"),
        ("[[rule]]\nwhen = { level = 'x' }\n", "Object missing required field `choice`"),
        (ONE_RULE + "then = 1\n", "Object contains unknown field `then`"),
        ("[[rule]]\nchoice = { arm = 1 }\n", "Expected `str`, got `int`"),
        ('[[rule]]\nchoice = { arm = "c" }\n', "'arm' has no arm 'c' in this log"),
        ('[[rule]]\nchoice = { subject = "a" }\n', "the choice names subject, the log has arm"),
        ('[[rule]]\nwhen = { age = 3 }\nchoice = { arm = "b" }\n' + ONE_RULE, "rules ask for age, which is not in"),
        ('[[rule]]\nwhen = { level = "x" }\nchoice = { arm = "b" }\n', "End the table with a rule without `when`"),
        ("rule = []\n", "End the table with a rule without `when`"),
    ],
)
def test_rules_that_say_something_else_are_refused(refused, tmp_path, text, advice):
    (tmp_path / "rules.toml").write_text(text)
    assert advice in refused(*FOREIGN, "--context", "level", "--target", f"rules:{tmp_path / 'rules.toml'}")


def test_rules_that_are_no_text_are_refused(refused, tmp_path):
    (tmp_path / "rules.toml").write_bytes(b"\xff\xfe\x00")
    assert "Write [[rule]] tables with `when`" in refused(*FOREIGN, "--target", f"rules:{tmp_path / 'rules.toml'}")


def test_a_page_that_cannot_be_written_is_refused_before_any_work(refused, monkeypatch):
    monkeypatch.setattr(StoreSource, "batches", lambda self: pytest.fail("the log was read"))
    assert "the folder none does not exist" in refused(*OURS, *ASK, "--html", "none/page.html")


def test_a_page_that_fails_to_be_written_is_a_message(refused, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    message = refused(*FOREIGN, *ASK, "--html", "page.html")
    assert (
        "page.html could not be written ([Errno 28] No space left on device). Name another file with --html" in message
    )
