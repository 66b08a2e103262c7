"""Every docstring, README block and docs page is run: `python` blocks as doctests or code, `bash` blocks in a shell."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Example, Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

# How long an example takes is a matter of the machine, and no test of a law.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

SHARED = Path(__file__).resolve().parent.parent / "shared"
PACKAGES = ("bandit", "policies", "simulator", "evaluation", "service")
BIN = str(Path(sys.executable).parent)


def run_in_shell(example: Example) -> None:
    """Run a bash block in the page's own folder; a block that needs the real data is skipped where that is absent."""
    folder = example.namespace.get("folder")
    if folder is None:
        raise AssertionError("no folder: the page was not set up")
    script = example.parsed
    if "../shared" in script:
        if not SHARED.is_dir():
            pytest.skip("the real data sets are not beside this clone")
        script = script.replace("../shared", str(SHARED))
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def set_up(namespace: dict[str, object]) -> None:
    """Each page has a folder of its own, and is run from top to bottom in it."""
    temporary = tempfile.TemporaryDirectory()
    namespace["temporary"], namespace["folder"] = temporary, temporary.name
    namespace["home"] = str(Path.cwd())
    os.chdir(temporary.name)


def tear_down(namespace: dict[str, object]) -> None:
    """Stop what a page started, and forget its folder."""
    os.chdir(str(namespace["home"]))
    folder = Path(str(namespace["folder"]))
    for pid_file in folder.rglob("*.pid"):
        subprocess.run(["kill", pid_file.read_text().strip()], check=False, capture_output=True)
    namespace["temporary"].cleanup()  # type: ignore[attr-defined]


pages = Sybil(
    parsers=[CodeBlockParser(language="bash", evaluator=run_in_shell), PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=set_up,
    teardown=tear_down,
)
docstrings = Sybil(
    parsers=[DocTestParser()],
    patterns=[
        f"{folder}/*.py"
        for folder in (
            *PACKAGES,
            "bandit/products",
            "bandit/profile",
            "simulator/faults",
            "service/commands",
            "service/routes",
            "service/webhooks",
        )
    ],
    document_types={".py": PythonDocStringDocument},
)
pytest_collect_file = (pages + docstrings).pytest()


def pytest_collection_finish() -> None:
    """Garbage is looked for among what tests make, not in all that was imported and collected: half a second each time.

    A method of statsmodels collects garbage at each call, and tests call it a thousand times.
    """
    gc.collect()
    gc.freeze()
