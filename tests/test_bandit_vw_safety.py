"""Nothing a customer may write, and nothing a disk may do, breaks out of its place in Vowpal Wabbit."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bandit.errors import BrokenSnapshot
from bandit.regressors import VwRegressors
from bandit.vw import VwExplorer

ROOT = Path(__file__).parents[1]
REGRESSOR = "--loss_function squared -b 24"
EXPLORER = "--cb_explore_adf --cb_type mtr --bag 4 --epsilon 0.1 -b 18 -q Ca"


@pytest.mark.parametrize("kind", [VwRegressors, VwExplorer])
@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"\x00" * 64, b"9.11.9\n" + b"x" * 50], ids=["empty", "text", "zeros", "version"]
)
def test_bytes_that_are_no_model_are_a_broken_snapshot_with_advice(kind, data):
    arguments = REGRESSOR if kind is VwRegressors else EXPLORER
    with pytest.raises(BrokenSnapshot, match=rf"cannot load these {len(data)} bytes .* Roll back to another snapshot"):
        VwExplorer(arguments, data) if kind is VwExplorer else VwRegressors([arguments], [data])


def test_a_model_loads_where_the_folder_for_temporary_files_has_a_space_in_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "John Doe"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    one = VwRegressors([REGRESSOR])
    good = one.hashed("a", [("id=good", 1.0)])
    one.learn([("a", good)], [1.0])
    two = VwRegressors([REGRESSOR], one.save())
    assert two.predict([("a", good)]) == one.predict([("a", good)]) > [0.0]


def test_names_that_would_break_a_text_line_are_features_of_their_own():
    ids = [
        "a b",
        "a\nb",
        "a|b",
        "a:1",
        "a:2",
        "a",
        "b",
        "12:30",
        "é",
        "e\u0301",
        "🎉",
        "a\x00b",
        "a\x00c",
        "x" * 10_000,
        "7",
        " 7",
    ]
    model = VwRegressors([REGRESSOR])
    hashes = [index for index, _ in model.hashed("a", [(f"id={arm}", 1.0) for arm in ids])]
    assert len(set(hashes)) == len(ids)


@pytest.mark.parametrize("white", [" ", "\n", "\t", "\x00", "  "], ids=ascii)
def test_names_that_differ_by_white_space_at_the_end_are_two_features(white):
    model = VwRegressors([REGRESSOR])
    assert model.hashed("a", [("id=join", 1.0)]) != model.hashed("a", [(f"id=join{white}", 1.0)])


def test_the_same_name_in_two_namespaces_is_two_features():
    model = VwRegressors([REGRESSOR])
    assert model.hashed("a", [("id=1", 1.0)]) != model.hashed("b", [("id=1", 1.0)])


COLLIDING = """
import gc
from bandit.vw import VwExplorer
for _ in range(20):
    model = VwExplorer("--cb_explore_adf --cb_type mtr --epsilon 0.1 -b 4 -q Ca")
    arms = [model.hashed("a", [(f"id={i}", 1.0)]) for i in range(17)]
    pmf = model.pmf([("C", model.hashed("C", [("u=1", 1.0)]))], "a", arms)
    assert pmf.shape == (17,) and abs(pmf.sum() - 1.0) < 1e-12, pmf
    del model
    gc.collect()
"""


def test_arms_whose_hashes_collide_have_a_probability_each_and_crash_nothing():
    # In a process of its own: one example passed twice to Vowpal Wabbit frees memory twice.
    ran = subprocess.run([sys.executable, "-c", COLLIDING], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (0, "")
