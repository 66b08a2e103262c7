"""Docs and code say the same: options, checks, commands, exported names, and what a wheel holds."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bandit.bootstrap import BootstrapOptions
from bandit.campaign_file import read_campaign
from bandit.log import ROW_COLUMNS
from bandit.native import NativeOptions
from bandit.options import declared
from bandit.regression import RegressionOptions
from evaluation.methods import METHODS
from evaluation.overlap import Verdict
from evaluation.verify import CHECKS
from policies.registry import POLICIES
from service.cli import main
from service.documented_tables import metrics_table, settings_table, with_tables
from service.metrics import METRICS
from service.settings import SETTINGS
from service.target_text import COLUMN, FIXED, LEARN, RULES, SNAPSHOT

ROOT = Path(__file__).parents[1]
TARGETS = (COLUMN, FIXED, LEARN, RULES, SNAPSHOT)
PACKAGES = ("bandit", "policies", "simulator", "evaluation", "service")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("owner", [*POLICIES.values(), RegressionOptions, BootstrapOptions, NativeOptions])
def test_every_option_is_documented(owner):
    for name in declared(owner):
        assert f"`{name}`" in page("docs/options.md")


def test_no_option_is_documented_that_does_not_exist():
    known = {
        name
        for owner in (*POLICIES.values(), RegressionOptions, BootstrapOptions, NativeOptions)
        for name in declared(owner)
    }
    for name in re.findall(r"^\| `(\w+)`", page("docs/options.md"), flags=re.MULTILINE):
        assert name in known | {"name", "floor", "interactions"}


def test_every_check_and_column_of_the_log_is_documented():
    text = page("docs/decision-and-log.md")
    for name in (*CHECKS, *ROW_COLUMNS):
        assert name in text, f"{name} is not explained in docs/decision-and-log.md"


def test_every_command_is_named_in_the_readme_or_the_quickstart():
    text = page("README.md") + page("docs/quickstart.md") + page("CHANGELOG.md")
    for name in main.list_commands(None):
        assert re.search(rf"\b{name}\b", text), f"manyarm {name} is documented nowhere"


@pytest.mark.parametrize("name", PACKAGES)
def test_exported_names_exist_and_the_packages_are_ours(name):
    module = importlib.import_module(name)
    assert Path(str(module.__file__)).is_relative_to(ROOT), "another distribution owns this import name"
    for exported in getattr(module, "__all__", ()):
        assert hasattr(module, exported)


def test_the_wheel_holds_the_five_packages_typed_and_no_tests(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert "service/campaigns/referral_contest.toml" in names


@pytest.mark.parametrize(
    "script",
    [
        "decide",
        "trainer",
        "serve",
        "learning",
        "inference",
        "simulate",
        "erasing",
        "send_slots",
        "silence",
        "profile",
        "profile_models",
        "segments",
        "headlines",
        "rendering",
        "products",
        "recent_sends",
        "live_numbers",
    ],
)
def test_every_benchmark_runs(script, forks):
    command = [str(forks / "python"), str(ROOT / "benchmarks" / f"{script}.py"), "--smoke"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    assert "ok" in done.stdout


def test_the_campaign_file_in_the_readme_has_no_faults():
    (text,) = re.findall(r"```toml\n(.*?)```", page("README.md"), flags=re.DOTALL)
    campaign = read_campaign(text)
    assert campaign.sizes == (2, 2)
    assert "protected" in text


def test_every_estimator_verdict_and_target_is_documented():
    text = page("docs/evaluation.md")
    for name in (*METHODS, *Verdict, "uniform", "best-constant", *TARGETS):
        assert f"`{name}" in text, f"{name} is not explained in docs/evaluation.md"


@pytest.mark.parametrize(("name", "table"), [("settings", settings_table), ("operations", metrics_table)])
def test_the_tables_of_settings_and_metrics_are_those_of_the_code(name, table):
    text = page(f"docs/{name}.md")
    assert table() in text, f"run: python -m service.documented_tables docs/{name}.md"
    assert with_tables(text) == text


def test_every_metric_that_the_docs_ask_for_is_there():
    there = {metric.exposed for metric in METRICS}
    there |= {
        f"{one.exposed}_{part}" for one in METRICS if one.kind == "histogram" for part in ("bucket", "sum", "count")
    }
    asked = set(re.findall(r"\bmanyarm_[a-z_]+", page("docs/operations.md")))
    assert asked <= there
    assert len(asked) > len(METRICS) / 2


@pytest.mark.parametrize("name", ["Dockerfile", "manyarm.service"])
def test_every_variable_of_the_deploy_files_is_a_setting(name):
    asked = {found.removesuffix("_FILE") for found in re.findall(r"\bMANYARM_[A-Z_]+", page(f"docs/deploy/{name}"))}
    assert asked
    assert asked <= {setting.variable for setting in SETTINGS}


def test_no_two_pages_start_servers_on_the_same_port():
    started: dict[str, set[Path]] = {}
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"```bash\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for port in re.findall(r"(?:--port |^port = |localhost:)(\d+)", block, re.MULTILINE):
                started.setdefault(port, set()).add(path)
    # Pages run side by side: one would be answered by the other one's server.
    assert len(started) >= 6
    assert {port: pages for port, pages in started.items() if len(pages) > 1} == {}
