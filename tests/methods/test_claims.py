"""A statement against a figure: every verdict in a world that can be checked by eye."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.claims import Stated, agrees, difference, verdict


@pytest.mark.parametrize(
    ("stated", "low", "high"),
    [
        (Stated(155_000, "about", 1000), 154_500, 155_500),
        (Stated(158.64, "exactly", 0.01), 158.635, 158.645),
        (Stated(23_500, "more_than", 500), 23_500, math.inf),
        (Stated(40, "nearly", 10), 30, 40),
        (Stated(3, "between", 1, upper=4), 2.5, 4.5),
        (Stated(114, "cut", 1), 114, 115),
    ],
)
def test_what_each_kind_of_statement_allows(stated, low, high):
    assert stated.limits() == pytest.approx((low, high))


@pytest.mark.parametrize(
    ("stated", "computed", "newer", "edition", "expected", "apart"),
    [
        # The press wrote "about 155 000"; the final release says 159 986 (vamas.com.vn).
        (Stated(155_000, "about", 1000), 159_986, None, False, "contradicted", 4_986),
        # Published 158.64 %; 142 779 / 90 000 is 158.6433 %.
        (Stated(158.64, "exactly", 0.01), 100 * 142_779 / 90_000, None, False, "agrees", 100 * 142_779 / 90_000 - 158.64),
        # First ten months of 2025: 121 190 on 5 November, 128 044 on 24 November.
        (Stated(121_190, "exactly", 1), 128_044, None, True, "superseded", 6_854),
        # 281 million in the edition of 2020; 275 million for the same year in that of 2024.
        (Stated(281, "about", 1), 281.2, 275, False, "superseded", 0.2),
        (Stated(600_000, "about", 10_000), None, 650_000, False, "superseded", None),
        (Stated(3, "between", 1, upper=4), 3.4, None, False, "agrees", 0),
        (Stated(3, "between", 1, upper=4), 6.5, None, False, "contradicted", 2.5),
        (Stated(45_000, "more_than", 1000), 44_900, None, False, "contradicted", -100),
        (Stated(45_000, "more_than", 1000), 45_058, None, False, "agrees", 58),
        # "114%" of 11 months of 2024 is 143 160 / 125 000 = 114.528 %: digits were dropped, not rounded.
        (Stated(114, "about", 1), 100 * 143_160 / 125_000, None, False, "contradicted", 0.528),
        (Stated(114, "cut", 1), 100 * 143_160 / 125_000, None, False, "agrees", 0.528),
        (Stated(1, "about", 1), None, None, False, "no_data", None),
    ],
)  # fmt: skip
def test_verdicts_by_pencil(stated, computed, newer, edition, expected, apart):
    assert verdict(stated, computed, newer, is_of_an_edition=edition) == expected
    if computed is not None:
        assert difference(stated, computed) == pytest.approx(apart)


def test_a_figure_that_is_itself_rounded_widens_what_is_allowed():
    exact = Stated(78_641, "exactly", 1)
    assert verdict(exact, 78_000) == "contradicted"
    assert verdict(exact, 78_000, other_rounding=2_000) == "agrees"


@given(
    st.floats(1, 1e6),
    st.sampled_from(["exactly", "about", "more_than", "nearly", "cut"]),
    st.floats(0.01, 1000),
    st.floats(0, 1e6),
)
def test_what_was_stated_agrees_with_itself_and_a_wider_rounding_never_turns_agreement(
    value, sense, rounding, computed
):
    stated = Stated(value, sense, rounding)
    assert agrees(stated, value)
    if agrees(stated, computed):
        assert agrees(Stated(value, sense, rounding * 2), computed)
        assert agrees(stated, computed, other_rounding=5)
