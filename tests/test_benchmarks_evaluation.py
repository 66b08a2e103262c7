"""The benchmark of evaluation runs, in every part, and a smoke run leaves no trace."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
OURS = {"bandit", "policies", "simulator", "evaluation", "service"}


def kept():
    return {path.name: path.stat().st_mtime_ns for path in (BENCHMARKS / "results").iterdir()}


def test_a_smoke_run_of_all_parts_runs_and_writes_nothing(tmp_path, forks):
    before = kept()
    command = [str(forks / "python"), str(BENCHMARKS / "evaluate.py"), "--smoke"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
    assert kept() == before
    assert not list(tmp_path.iterdir())


def test_the_peers_script_imports_nothing_of_ours():
    tree = ast.parse((BENCHMARKS / "obp_peer.py").read_text())
    found = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    found |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not OURS & {name.partition(".")[0] for name in found}
