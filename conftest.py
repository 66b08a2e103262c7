"""Every docstring, README block and docs page is run: `python` blocks as doctests or code, `bash` blocks in a shell."""

from __future__ import annotations

import atexit
import gc
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Example, Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

pytest_plugins = ["tests.made_once"]

# How long an example takes is a matter of the machine, and no test of a law. Whoever runs the tests looks at the same
# examples, so that no run fails by luck; `--hypothesis-profile "new examples"` looks for others.
settings.register_profile("new examples", deadline=None)
settings.register_profile("any machine", deadline=None, derandomize=True)
settings.load_profile("any machine")

# On two cores with two workers, threads that multiply matrices wait for each other; those who come next inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

SHARED = Path(__file__).resolve().parent.parent / "shared"
PACKAGES = ("bandit", "policies", "simulator", "evaluation", "service")
BIN = str(Path(sys.executable).parent)
FORKS = Path(__file__).resolve().parent / "tests" / "forks.py"
SHARED_FORKS = "FORKS_OF_THE_TESTS"
"""The environment variable with the folder of the server that all workers use."""
SECONDS_TO_LOAD = 600
SECONDS_OF_A_BLOCK = 600
PORT = re.compile(r"(?:--port |^port = |localhost:)(\d+)", re.MULTILINE)
PORTS = range(20_000, 30_000)
"""Below those that systems give to whoever connects: nobody gets one between this and a server's start."""


def pytest_configure(config: pytest.Config) -> None:
    """Where there will be workers, one server is for all, and loads while they collect."""
    if getattr(config.option, "numprocesses", None) and SHARED_FORKS not in os.environ:
        os.environ[SHARED_FORKS] = start_forks()


def start_forks() -> str:
    """Start the server of `tests/forks.py`, which ends with this process; its folder."""
    folder = tempfile.mkdtemp(prefix="forks")
    with (Path(folder) / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, FORKS, folder], stdin=subprocess.PIPE, stdout=log, stderr=log)

    def stop() -> None:
        server.communicate()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return folder


@cache
def forks() -> str:
    """The folder of commands that start without loading; waits until they are there."""
    folder = Path(os.environ.get(SHARED_FORKS) or start_forks())
    until = time.monotonic() + SECONDS_TO_LOAD
    while not (folder / "manyarm").exists():
        if time.monotonic() > until:
            raise TimeoutError(f"tests/forks.py is not ready: {(folder / 'log').read_text()}")
        time.sleep(0.05)
    return str(folder)


@pytest.fixture(scope="session", name="forks")
def forks_fixture() -> Path:
    """The folder with `manyarm` and `python` that start without loading; see tests/forks.py."""
    return Path(forks())


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
    script = with_free_ports(script, example.namespace.setdefault("ports", {}))
    environment = {**os.environ, "PATH": f"{forks()}:{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=SECONDS_OF_A_BLOCK,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def with_free_ports(script: str, known: dict[str, int]) -> str:
    """Instead of a page's ports some that nobody uses: the reader of another page, or another clone, may have those.

    Args:
        script: a block of a page.
        known: the page's ports so far, and what stands for them; new ones are added.
    """
    for port in PORT.findall(script):
        known.setdefault(port, free_port())
    for port, free in known.items():
        script = re.sub(rf"\b{port}\b", str(free), script)
    return script


def free_port() -> int:
    """A port that nobody listens on."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def set_up(namespace: dict[str, object]) -> None:
    """Each page has a folder of its own, and is run from top to bottom in it."""
    # A server that was told to stop may still write while the folder is removed.
    temporary = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
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


class Docstrings(PythonDocStringDocument):
    """The docstrings of a file; what cannot hold an example is not searched for one."""

    @staticmethod
    def extract_docstrings(python_source_code: str) -> Iterator[tuple[int, int, str]]:
        """Docstrings with an example: start, end and text."""
        if ">>>" in python_source_code:
            found = PythonDocStringDocument.extract_docstrings(python_source_code)
            yield from (docstring for docstring in found if ">>>" in docstring[2])


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
    document_types={".py": Docstrings},
)
pytest_collect_file = (pages + docstrings).pytest()


def pytest_collection_finish() -> None:
    """Garbage is looked for among what tests make, not in all that was imported and collected: half a second each time.

    A method of statsmodels collects garbage at each call, and tests call it a thousand times.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # what tests make is mostly gone by itself
