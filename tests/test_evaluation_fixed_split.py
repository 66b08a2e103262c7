import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_chisquare,
    test_proportions_2indep,
)

import evaluation
from bandit.errors import EngineError, UnusableLog
from evaluation.fixed_split import Test, all_arms, two_arms
from evaluation.interactions import interactions
from evaluation.lift import GroupSums, lift

test_proportions_2indep.__test__ = False


def split(successes, sends):
    """Arms a, b, ... with that many of that many sends rewarded, one send a customer."""
    arms = np.repeat(list("abcdef")[: len(sends)], sends)
    rewards = np.concatenate([np.arange(n) < k for k, n in zip(successes, sends, strict=True)]).astype(float)
    return arms, rewards, np.arange(len(arms))


def sticky(rng, n_customers, effect=0.0, sends=4):
    """Customers with an arm, a level and a rate of their own, `sends` sends each."""
    arm, old = rng.choice(["a", "b", "c"], n_customers), rng.random(n_customers) < 0.5
    base = rng.beta(0.6, 3.4, n_customers)
    rate = np.clip(base + effect * ((arm == "b") & old), 0, 1)
    customers = np.repeat(np.arange(n_customers), sends)
    rewards = (rng.random(len(customers)) < rate[customers]).astype(float)
    context = pd.DataFrame({"level": np.where(old, "old", "new"), "age": rng.normal(40, 9, n_customers)})
    return arm[customers], rewards, customers, context.loc[customers].reset_index(drop=True)


def test_two_arms_are_judged_by_the_score_test_of_statsmodels():
    answer = two_arms(*split([60, 40], [1000, 900]), treated="a", control="b")
    golden = test_proportions_2indep(60, 1000, 40, 900, method="score", compare="diff")
    assert answer.lift.p_value == golden.pvalue
    assert answer.statistic == pytest.approx(golden.statistic, rel=1e-9)
    newcombe = confint_proportions_2indep(60, 1000, 40, 900, method="newcomb", compare="diff")
    assert (answer.newcombe.ci_lower, answer.newcombe.ci_upper) == pytest.approx(newcombe)
    assert answer.newcombe.method == "Newcombe"


def test_the_sign_of_the_statistic_is_that_of_the_difference():
    rows = split([60, 40], [1000, 900])
    there, back = (two_arms(*rows, treated=one, control=other) for one, other in (("a", "b"), ("b", "a")))
    assert there.statistic == pytest.approx(-back.statistic)
    assert there.statistic > 0


def test_arms_beside_the_two_that_are_asked_about_change_nothing():
    arms, rewards, customers = split([60, 40, 200], [1000, 900, 500])
    two = arms != "c"
    assert two_arms(arms, rewards, customers, treated="a", control="b") == two_arms(
        arms[two], rewards[two], customers[two], treated="a", control="b"
    )


def test_customers_who_repeat_and_amounts_are_judged_by_welch_without_newcombe():
    arms, rewards, customers, _ = sticky(np.random.default_rng(1), 300)
    answer = two_arms(arms, rewards, customers, treated="a", control="b")
    groups = [GroupSums.of(rewards[arms == name], customers[arms == name]) for name in "ab"]
    assert (answer.lift, answer.newcombe) == (lift(*groups), None)
    assert answer.lift.method == "Welch's t, customers as units"


def test_equal_rewards_have_a_difference_and_no_test():
    answer = two_arms(*split([0, 0], [50, 50]), treated="a", control="b")
    assert (answer.statistic, answer.lift.p_value) == (None, None)
    assert "all 100 rewards are 0" in answer.lift.reason


def test_several_arms_are_judged_by_the_chi_squared_of_statsmodels():
    answer = all_arms(*split([60, 40, 55], [1000, 900, 950]))
    statistic, p_value, _ = proportions_chisquare([60, 40, 55], [1000, 900, 950])
    assert (answer.statistic, answer.p_value, answer.degrees) == (
        pytest.approx(statistic), pytest.approx(p_value), 2,
    )  # fmt: skip
    assert answer.method == "chi-squared over arms"


def test_chi_squared_of_a_table_worked_out_by_hand():
    # 30 of 100 and 10 of 100: expected 20 and 80 each; 4 cells of 100/20, 100/80: 2 x 5 + 2 x 1.25.
    assert all_arms(*split([30, 10], [100, 100])).statistic == pytest.approx(12.5)


def test_several_arms_with_customers_who_repeat_are_the_clustered_regression_of_statsmodels():
    arms, rewards, customers, _ = sticky(np.random.default_rng(2), 400)
    answer = all_arms(arms, rewards, customers)
    fit = smf.glm("y ~ C(a)", pd.DataFrame({"y": rewards, "a": arms}), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": customers}
    )
    golden = fit.wald_test_terms(scalar=True).table.loc["C(a)"]
    assert answer.statistic == pytest.approx(golden["statistic"], rel=1e-6)
    assert answer.p_value == pytest.approx(golden["pvalue"], rel=1e-6)
    assert answer.method == "logistic regression on arms, clustered by customer"


def test_interactions_are_the_wald_tests_of_statsmodels():
    arms, rewards, customers, context = sticky(np.random.default_rng(3), 500, effect=0.2)
    found = interactions(arms, rewards, customers, context)
    frame = context.assign(y=rewards, a=arms, age=(context["age"] - context["age"].mean()) / context["age"].std(ddof=0))
    for name, term in (("level", "C(a):C(level)"), ("age", "C(a):age")):
        formula = "y ~ C(a) * C(level)" if name == "level" else "y ~ C(a) * age"
        fit = smf.glm(formula, frame, family=sm.families.Binomial()).fit(
            cov_type="cluster", cov_kwds={"groups": customers}
        )
        golden = fit.wald_test_terms(scalar=True).table.loc[term]
        assert found[name].statistic == pytest.approx(golden["statistic"], rel=1e-6)
        assert (found[name].p_value, found[name].degrees) == (pytest.approx(golden["pvalue"], rel=1e-5), 2)
    assert found["level"].p_value < 0.01 < found["age"].p_value


def test_a_test_that_forgot_the_customers_alarms_too_often_and_ours_does_not():
    clustered, forgetful = [], []
    for seed in range(60):
        arms, rewards, customers, _ = sticky(np.random.default_rng(seed), 150, sends=8)
        clustered.append(all_arms(arms, rewards, customers).p_value < 0.05)
        forgetful.append(all_arms(arms, rewards, np.arange(len(arms))).p_value < 0.05)
    # Binomial: 60 logs at 5 %, 8 alarms at most with probability .99.
    assert sum(clustered) <= 8
    assert sum(forgetful) > 12


def test_booleans_are_categories_missing_categories_too_and_missing_numbers_are_left_out():
    arms, rewards, customers, context = sticky(np.random.default_rng(4), 400)
    level = context["level"].where(np.arange(len(context)) % 5 > 0)
    member = context["level"] == "old"
    age = context["age"].where(np.arange(len(context)) % 5 > 0)
    found = interactions(arms, rewards, customers, pd.DataFrame({"level": level, "member": member, "age": age}))
    assert [test.degrees for test in found.values()] == [4, 2, 2]
    known = age.notna().to_numpy()
    alone = interactions(arms[known], rewards[known], customers[known], pd.DataFrame({"age": age[known]}))
    assert found["age"] == alone["age"]


def test_a_cell_that_was_never_rewarded_gives_no_test_instead_of_a_made_up_one():
    arms, rewards, customers, context = sticky(np.random.default_rng(5), 400)
    cell = (arms == "b") & (context["level"] == "old").to_numpy()
    rewards = np.where(cell, 0.0, rewards)
    golden = smf.glm(
        "y ~ C(a) * C(c)", pd.DataFrame({"y": rewards, "a": arms, "c": context["level"]}), family=sm.families.Binomial()
    ).fit(cov_type="cluster", cov_kwds={"groups": customers})
    assert np.isfinite(golden.wald_test_terms(scalar=True).table["pvalue"]).all()  # it does not notice
    found = interactions(arms, rewards, customers, context)["level"]
    assert (found.p_value, found.degrees) == (None, 0)
    assert f"each of {cell.sum()} sends of arm b with level old earned 0" in found.reason


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pd.Series(["x"] * 1600, name="c"), "c is the same in every send"),
        (pd.Series([1.0] * 1600, name="c"), "c is missing or the same in every send"),
        (pd.Series([np.nan] * 1600, name="c"), "c is missing or the same in every send"),
        (pd.Series([f"x{i // 4}" for i in range(1600)], name="c"), "each of 4 sends of arm|no send of arm"),
    ],
)
def test_a_column_that_says_nothing_gives_a_reason(column, said):
    arms, rewards, customers, _ = sticky(np.random.default_rng(6), 400)
    found = interactions(arms, rewards, customers, column.to_frame())["c"]
    assert found.p_value is None
    assert pd.Series([found.reason]).str.contains(said).all()


def test_a_number_that_settles_every_reward_gives_a_reason_and_no_warning():
    arms, _, customers, context = sticky(np.random.default_rng(7), 400)
    rewards = (context["age"] > 40).astype(float).to_numpy()
    found = interactions(arms, rewards, customers, context[["age"]])["age"]
    assert "rewards follow from arm and context without exception" in found.reason


def test_few_customers_give_a_reason_instead_of_errors_that_cannot_be_known():
    # Two clusters: statsmodels answers, and its errors are nonsense.
    arms, rewards = np.array(["a", "b"] * 50), np.tile([1.0, 0, 0, 1, 0, 0, 0, 1, 1, 0], 10)
    made_up = sm.GLM(rewards, sm.add_constant((arms == "b").astype(float)), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": (arms == "b").astype(int)}
    )
    assert (made_up.bse < 1e-6).all()
    found = all_arms(arms, rewards, arms)
    assert (found.p_value, found.reason) == (None, "2 customers for 2 numbers, need 20.")


def test_amounts_have_no_odds():
    arms, rewards, customers = split([3, 4], [50, 50])
    assert "rewards go from 0 to 20" in all_arms(arms, rewards * 20, customers).reason


@pytest.mark.parametrize("judge", [all_arms, lambda *rows: interactions(*rows, pd.DataFrame({"c": rows[1]}))])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a, r, c: (a, r, c % 10), "customers got more than one arm, so this is no fixed split"),
        (lambda a, r, c: (["a"] * len(a), r, c), "every send got the arm 'a'"),
        (lambda a, r, c: (a[1:], r, c), "99 arms with 100 rewards"),
        (lambda a, r, c: (a, r, c[1:]), r"customers have shape \(99,\)"),
        (lambda a, r, c: (a, np.where(c == 3, np.nan, r), c), "reward of row 3 is nan"),
        (lambda a, r, c: (a, r, [None, *c[1:]]), "customer key None in row 0"),
        (lambda a, r, c: ([], [], []), "rewards have shape"),
    ],
)
def test_rows_that_are_no_fixed_split_are_refused(judge, change, said):
    with pytest.raises(UnusableLog, match=said):
        judge(*change(*split([3, 4], [50, 50])))


def test_an_arm_that_nobody_got_is_refused_with_those_there_are():
    with pytest.raises(UnusableLog, match="no send got the arm 'z'; the log has a, b"):
        two_arms(*split([3, 4], [50, 50]), treated="z", control="b")


def test_a_context_of_other_rows_is_refused():
    with pytest.raises(UnusableLog, match="the context has 3 rows, there are 100 sends"):
        interactions(*split([3, 4], [50, 50]), pd.DataFrame({"c": [1, 2, 3]}))


def test_a_test_without_p_value_and_reason_is_a_bug():
    with pytest.raises(EngineError, match="says why it cannot"):
        Test(None, None, 0, "chi-squared", None)


def test_one_sided_wilson_bounds_of_statsmodels_are_on_the_other_side():
    # "larger" gives (0, upper), not (lower, 1): who asks for a lower bound would get 0.
    lower, upper = proportion_confint(5, 100, method="wilson", alternative="larger")
    assert lower == 0
    assert upper < 1


@pytest.mark.parametrize(
    ("trap", "keyword"),
    [("proportion_confint", "alternative"), ("GLM", "freq_weights"), ("PHReg", None), ("NegativeBinomial", None)],
)
def test_calls_that_statsmodels_answers_wrongly_or_slowly_are_not_made(trap, keyword):
    for path in Path(evaluation.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == trap:
                assert keyword is not None, f"{path.name}: {trap}"
                assert keyword not in {argument.arg for argument in node.keywords}, path.name
