"""Many seeds give the same answers however many processes play them."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from bandit.errors import InvalidSettings
from simulator.seeds import over_seeds

SQUARES = [0, 1, 4, 9, 16]
"""Its look-up is a call from a seed to an answer that any process can load."""


def test_answers_come_in_the_order_of_the_seeds_whatever_the_number_of_processes():
    seeds = [4, 0, 3, 3]
    assert (
        over_seeds(SQUARES.__getitem__, seeds) == over_seeds(SQUARES.__getitem__, seeds, n_processes=2) == [16, 0, 9, 9]
    )


def test_the_watcher_hears_how_many_are_done():
    heard = []
    over_seeds(SQUARES.__getitem__, range(5), watch=heard.append)
    assert heard == [1, 2, 3, 4, 5]


def test_what_goes_wrong_in_a_process_comes_through():
    with pytest.raises(IndexError, match="list index out of range"):
        over_seeds(SQUARES.__getitem__, [0, 99, 1], n_processes=2)


def test_every_call_has_one_thread_and_the_others_come_back():
    np.ones((2, 2)) @ np.ones((2, 2))  # linear algebra is loaded
    before = [pool["num_threads"] for pool in threadpool_info()]
    (during,) = over_seeds(lambda _: [pool["num_threads"] for pool in threadpool_info()], [1])
    assert before
    assert set(during) == {1}
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_one_seed_is_played_here():
    assert over_seeds(lambda seed: seed + 1, [1], n_processes=4) == [2]
    assert over_seeds(lambda seed: seed, [], n_processes=4) == []


def test_no_process_is_refused():
    with pytest.raises(InvalidSettings, match="at least 1"):
        over_seeds(abs, [1], n_processes=0)
