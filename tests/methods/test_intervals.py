"""The named intervals against printed check values, exact identities and their own definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from methods import intervals

# Check values printed to six decimals, so half a unit of the last place is the tolerance.
PRINTED = 5e-7


@pytest.mark.parametrize(
    ("x", "n", "lower", "upper"),
    [(81, 263, 0.255289, 0.366210), (15, 148, 0.062386, 0.160487)],
)
def test_wilson_check_values(x: int, n: int, lower: float, upper: float) -> None:
    bounds = intervals.wilson(x, n)
    assert float(bounds.lower) == pytest.approx(lower, abs=PRINTED)
    assert float(bounds.upper) == pytest.approx(upper, abs=PRINTED)


@pytest.mark.parametrize(
    ("x", "n", "lower", "upper"),
    [(81, 263, 0.252737, 0.367622), (15, 148, 0.057844, 0.161650)],
)
def test_clopper_pearson_check_values(x: int, n: int, lower: float, upper: float) -> None:
    bounds = intervals.clopper_pearson(x, n)
    assert float(bounds.lower) == pytest.approx(lower, abs=PRINTED)
    assert float(bounds.upper) == pytest.approx(upper, abs=PRINTED)


@pytest.mark.parametrize(
    ("x", "lower", "upper"), [(0, 0.0, 3.688879), (1, 0.025318, 5.571643), (10, 4.795389, 18.390356)]
)
def test_garwood_check_values(x: int, lower: float, upper: float) -> None:
    bounds = intervals.garwood(x)
    assert float(bounds.lower) == pytest.approx(lower, abs=PRINTED)
    assert float(bounds.upper) == pytest.approx(upper, abs=PRINTED)


def test_small_numbers_switch_to_the_exact_interval_and_say_so() -> None:
    bounds, codes = intervals.proportion([20, 4, 5, 15], [39, 200, 40, 148])
    assert codes.tolist() == ["clopper_pearson95", "clopper_pearson95", "wilson95", "wilson95"]
    assert float(bounds.lower[0]) == float(intervals.clopper_pearson(20, 39).lower)
    assert float(bounds.upper[3]) == float(intervals.wilson(15, 148).upper)


def test_ends_are_exact_and_zero_trials_have_no_interval() -> None:
    for method in (intervals.wilson, intervals.clopper_pearson):
        bounds = method([0, 7, 0], [7, 7, 0])
        assert bounds.lower[0] == 0.0
        assert bounds.upper[1] == 1.0
        assert 0 < bounds.upper[0] < 1
        assert 0 < bounds.lower[1] < 1
        assert np.isnan(bounds.lower[2])
        assert np.isnan(bounds.upper[2])


@pytest.mark.parametrize(("x", "n"), [(5, 4), (-1, 4)])
def test_impossible_proportions_are_refused(x: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        intervals.wilson(x, n)


@given(st.integers(1, 400), st.data())
@settings(max_examples=60, deadline=None)
def test_proportion_contains_its_share_and_mirrors(n: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    for method in (intervals.wilson, intervals.clopper_pearson):
        bounds, mirror = method(x, n), method(n - x, n)
        assert bounds.lower - 1e-12 <= x / n <= bounds.upper + 1e-12
        assert float(bounds.lower) == pytest.approx(1 - float(mirror.upper), abs=1e-9)


@given(st.integers(1, 60), st.data())
@settings(max_examples=40, deadline=None)
def test_clopper_pearson_limits_leave_the_stated_tails(n: int, data: st.DataObject) -> None:
    x = data.draw(st.integers(0, n))
    bounds = intervals.clopper_pearson(x, n)
    if x > 0:
        assert stats.binom.sf(x - 1, n, float(bounds.lower)) == pytest.approx(0.025, abs=1e-9)
    if x < n:
        assert stats.binom.cdf(x, n, float(bounds.upper)) == pytest.approx(0.025, abs=1e-9)


def test_median_of_ten_uses_ranks_two_and_nine() -> None:
    # P(Bin(10, 1/2) <= 1) = 11/1024 = 0.0107 <= 0.025 < P(<= 2) = 56/1024: ranks 2 and 9.
    assert intervals.order_statistic_median([10, 1, 9, 2, 8, 3, 7, 4, 6, 5]) == (5.5, 2.0, 9.0)


def test_median_of_five_has_no_interval_and_of_six_the_whole_range() -> None:
    # 2 x (1/2)^5 = 6.25 % > 5 %; 2 x (1/2)^6 = 3.1 %.
    five = intervals.order_statistic_median([1, 2, 3, 4, 5])
    assert five.value == 3
    assert np.isnan(five.lower)
    assert intervals.order_statistic_median([6, 5, 4, 3, 2, 1]) == (3.5, 1.0, 6.0)
    assert np.isnan(intervals.order_statistic_median([]).value)


@given(st.integers(6, 300))
@settings(max_examples=60, deadline=None)
def test_median_ranks_cover_and_could_not_be_narrower(n: int) -> None:
    found = intervals.order_statistic_median(np.arange(1, n + 1))
    rank = int(found.lower)
    assert found.upper == n - rank + 1
    assert 2 * stats.binom.cdf(rank - 1, n, 0.5) <= 0.05
    assert 2 * stats.binom.cdf(rank, n, 0.5) > 0.05


def test_kaplan_meier_by_hand() -> None:
    # Waits 1, 2+, 3, 4, 5+: S(1) = 4/5; S(3) = 4/5 x 2/3 = 8/15; S(4) = 8/15 x 1/2 = 4/15 <= 1/2: median 4.
    found = intervals.kaplan_meier_median([1, 2, 3, 4, 5], [True, False, True, True, False])
    assert found.value == 4
    # log-log lower curve at 1: S = 0.8, Greenwood = 1/(5x4) = 0.05, spread = 1.96 x sqrt(0.05)/|ln 0.8| = 1.964,
    # 0.8 ** exp(1.964) = 0.204 <= 1/2: the lower limit is 1. The upper curve at 4 is 0.65: no upper limit.
    assert found.lower == 1
    assert np.isnan(found.upper)


def test_kaplan_meier_without_censoring_is_the_lower_sample_median() -> None:
    assert intervals.kaplan_meier_median(range(1, 13), [True] * 12).value == 6


def test_kaplan_meier_upper_limit_when_the_curve_reaches_it() -> None:
    found = intervals.kaplan_meier_median(range(1, 101), [True] * 100)
    assert found.value == 50
    assert 38 <= found.lower <= 41
    assert 59 <= found.upper <= 62


def test_ignoring_open_waits_would_understate_the_median() -> None:
    waits, seen = [2, 3, 5, 30, 30, 30, 30], [True, True, True, False, False, False, False]
    assert np.isnan(intervals.kaplan_meier_median(waits, seen).value)
    assert intervals.order_statistic_median([2, 3, 5]).value == 3


def test_nobody_arrived_has_no_median() -> None:
    assert np.isnan(intervals.kaplan_meier_median([10, 20], [False, False]).value)
