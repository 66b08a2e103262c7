from math import inf

import numpy as np
import pytest

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.grouped_sends import GroupedSends


def test_customers_are_numbered_by_first_appearance():
    sends = GroupedSends.of([True, False, True, True], ["zoe", "ann", "zoe", "eve"], share=0.5)
    assert sends.member.tolist() == [0, 1, 0, 2]
    assert sends.first.tolist() == [0, 1, 3]
    assert sends.n == 4
    assert sends.repeats


def test_keys_may_be_numbers_or_letters():
    groups = [True, False, False]
    by_number, by_letter = (GroupedSends.of(groups, keys, share=0.5) for keys in ([7, 3, 9], list("gci")))
    assert by_number.member.tolist() == by_letter.member.tolist() == [0, 1, 2]
    assert not by_number.repeats


@pytest.mark.parametrize(
    ("treated", "customers", "said"),
    [
        ([], [], "at least one row"),
        ([True, False], ["ann"], "one key a row"),
        ([1, 0], ["ann", "bob"], "one bool"),
        ([True, False], ["ann", None], "row 1"),
        ([True, False], ["", "bob"], "row 0"),
        ([True, False], [1.0, np.nan], "row 1"),
        ([True, True, False], ["ann", "bob", "ann"], "in both groups"),
    ],
)
def test_sends_that_no_hash_could_have_grouped_are_refused(treated, customers, said):
    with pytest.raises(UnusableLog, match=said):
        GroupedSends.of(treated, customers, share=0.5)


def test_a_share_that_belongs_to_the_other_group_is_refused():
    treated = np.arange(400) % 20 > 0
    GroupedSends.of(treated, np.arange(400), share=0.95)
    with pytest.raises(UnusableLog, match="380 treated and 20 control"):
        GroupedSends.of(treated, np.arange(400), share=0.05)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, inf, np.nan])
def test_a_share_outside_0_and_1_is_refused(share):
    with pytest.raises(InvalidSettings, match="share"):
        GroupedSends.of([True, False], ["ann", "bob"], share=share)
