"""Options are declared once; what is not declared, or out of its range, is refused by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from bandit.bootstrap import BootstrapOptions
from bandit.campaign import PolicySpec
from bandit.errors import InvalidSettings
from bandit.fault import shown
from bandit.native import NativeOptions
from bandit.options import check_options, declared, option, option_faults, with_options
from bandit.regression import RegressionOptions
from policies import POLICIES, policy_faults, policy_of

OWNERS = [*POLICIES.values(), RegressionOptions, BootstrapOptions, NativeOptions]
DECLARED = [(owner, name) for owner in OWNERS for name in declared(owner)]
NUMERIC = [(owner, name) for owner, name in DECLARED if not isinstance(declared(owner)[name].default, (str, bool))]
each_option = pytest.mark.parametrize(("owner", "name"), DECLARED, ids=lambda part: getattr(part, "__name__", part))
each_number = pytest.mark.parametrize(("owner", "name"), NUMERIC, ids=lambda part: getattr(part, "__name__", part))


@dataclass(frozen=True, slots=True)
class Sample:
    """One option of each kind, and a field that is no option."""

    rate: float = option(0.5, "how fast", low=0.1, high=2.0)
    members: int = option(4, "how many", low=1, high=10)
    target: str = option("reward", "of what", among=("reward", "outcomes"))
    replay: bool = option(False, "whether again")
    plain: int = 7

    def __post_init__(self) -> None:
        check_options(self)


def test_only_declared_fields_are_options():
    assert list(declared(Sample)) == ["rate", "members", "target", "replay"]


def test_options_reach_their_owner_and_the_rest_keeps_its_default():
    assert with_options(Sample, {"rate": 1, "target": "outcomes"}, "learner") == Sample(rate=1, target="outcomes")
    assert with_options(Sample, {}, "learner") == Sample()


@pytest.mark.parametrize(
    ("name", "good"),
    [("rate", 0.1), ("rate", 2), ("members", 1), ("members", 10), ("target", "outcomes"), ("replay", True)],
)
def test_both_ends_of_a_range_and_every_listed_text_are_accepted(name, good):
    assert getattr(with_options(Sample, {name: good}, "learner"), name) == good


@pytest.mark.parametrize(
    ("name", "bad", "wanted"),
    [
        ("rate", 0.0999, "a number in [0.1, 2]: how fast"),
        ("rate", 2.0001, "a number in [0.1, 2]: how fast"),
        ("rate", math.nan, "a number in [0.1, 2]"),
        ("rate", math.inf, "a number in [0.1, 2]"),
        ("rate", 10**400, "a number in [0.1, 2]"),
        ("rate", True, "a number in [0.1, 2]"),
        ("rate", "0.5", "a number in [0.1, 2]"),
        ("members", 4.0, "a whole number in [1, 10]: how many"),
        ("members", 0, "a whole number in [1, 10]"),
        ("members", True, "a whole number in [1, 10]"),
        ("target", "nothing", "one of reward, outcomes"),
        ("target", 1, "one of reward, outcomes"),
        ("replay", 1, "true or false"),
        ("replay", "true", "true or false"),
        ("plain", 8, "an option that exists here (rate, members, target, replay)"),
        ("learning_rate", 1, "an option that exists here (rate, members, target, replay)"),
    ],
    ids=lambda part: str(part)[:12],
)
def test_what_does_not_fit_is_a_fault_with_key_value_and_range(name, bad, wanted):
    (fault,) = option_faults(Sample, {name: bad}, "learner")
    assert (fault.where, fault.found) == (f"learner.{name}", shown(bad))
    assert wanted in fault.wanted
    with pytest.raises(InvalidSettings, match=rf"learner\.{name}: found"):
        with_options(Sample, {name: bad}, "learner")


def test_all_faults_are_named_and_not_only_the_first():
    with pytest.raises(InvalidSettings) as caught:
        with_options(Sample, {"rate": 9, "members": 0, "colour": "red"}, "learner")
    assert all(f"learner.{name}: found" in str(caught.value) for name in ("rate", "members", "colour"))


def test_the_same_ranges_hold_where_python_makes_the_owner():
    with pytest.raises(InvalidSettings, match=r"Sample\.rate: found 9.*Sample\.members: found 0"):
        Sample(rate=9, members=0)


@each_option
def test_every_option_says_what_it_means_and_its_default_is_in_its_own_range(owner, name):
    item = declared(owner)[name]
    assert item.metadata["means"]
    assert option_faults(owner, {name: item.default}, "") == []


@each_number
def test_every_number_is_refused_outside_its_range_and_accepted_at_its_ends(owner, name):
    item = declared(owner)[name]
    low, high = item.metadata["low"], item.metadata["high"]
    kind = type(item.default)
    assert option_faults(owner, {name: kind(low)}, "") == option_faults(owner, {name: kind(high)}, "") == []
    for bad in (kind(low - 1), kind(high * 2 + 1), math.nan, math.inf, True, "1"):
        assert len(option_faults(owner, {name: bad}, "policy")) == 1


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_is_made_from_its_name_and_its_options(name):
    options = {key: item.default for key, item in declared(POLICIES[name]).items()}
    policy = policy_of(PolicySpec(name, 0.1, True, options))
    assert policy.name == name
    assert policy_faults(PolicySpec(name, 0.1, True, options)) == []


def test_an_unknown_policy_is_refused_with_the_ones_there_are():
    with pytest.raises(
        InvalidSettings, match=r"'thomson'.*one of uniform, epsilon-greedy, squarecb, softmax, thompson, native"
    ):
        policy_of(PolicySpec("thomson"))
    assert policy_faults(PolicySpec("thomson"))[0].where == "policy.name"


@pytest.mark.parametrize("name", POLICIES)
def test_an_option_of_another_policy_is_refused_by_name(name):
    (fault,) = policy_faults(PolicySpec(name, options={"colour": "red"}))
    assert fault.where == "policy.colour"
    with pytest.raises(InvalidSettings, match=r"policy\.colour"):
        policy_of(PolicySpec(name, options={"colour": "red"}))


@pytest.mark.parametrize("floor", [-0.01, 1.01, math.nan, math.inf])
def test_a_floor_outside_the_unit_interval_is_refused(floor):
    with pytest.raises(InvalidSettings, match=r"floor is .*need a share of the pmf in \[0, 1\]"):
        policy_of(PolicySpec("uniform", floor))
