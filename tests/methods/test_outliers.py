"""Outlier scores against hand arithmetic, DHIS2's stated limits, and simulation."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from methods.outliers import (
    changes,
    count_tails,
    expected_band,
    modified_z_scores,
    score_series,
    statement,
    z_scores,
)

counts = st.lists(st.integers(0, 60), min_size=2, max_size=40)


def test_z_score_uses_the_population_deviation_and_its_own_value() -> None:
    # mean 5, squared distances 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, population variance 4.
    assert z_scores(np.array([2, 4, 4, 4, 5, 5, 7, 9.0])).tolist() == [1.5, 0.5, 0.5, 0.5, 0, 0, 1, 2]


def test_modified_z_score_by_hand() -> None:
    # median 3, distances 2 1 0 1 97, MAD 1.
    assert modified_z_scores(np.array([1, 2, 3, 4, 100.0]))[-1] == pytest.approx(0.6745 * 97)


@given(counts)
def test_no_z_score_exceeds_the_root_of_n_minus_one(values: list[int]) -> None:
    scores = z_scores(np.array(values, dtype=float))
    assert np.isnan(scores).all() or np.nanmax(scores) <= np.sqrt(len(values) - 1) + 1e-9


def test_the_mad_is_silent_on_a_usual_border_series_and_the_tail_is_not() -> None:
    frame = pl.DataFrame({"unit": ["a"] * 12, "value": [0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 40]})
    scored = score_series(frame, ["unit"])
    last = scored.row(11, named=True)
    assert last["modified_z_score"] is None
    assert not last["is_modified_z_outlier"]
    assert last["is_tail_outlier"]
    assert scored["is_tail_outlier"].sum() == 1
    assert last["silence_code"] == "mad_zero"
    assert "flags nothing" in statement("mad_zero")
    assert "DHIS2 không báo gì" in statement("mad_zero", "vi")


def test_silence_is_stated_for_equal_and_for_short_series() -> None:
    frame = pl.DataFrame({"unit": ["a"] * 5 + ["b"] * 5, "value": [2] * 5 + [1, 2, 3, 4, 50]})
    codes = score_series(frame, ["unit"]).group_by("unit", maintain_order=True).first()["silence_code"].to_list()
    assert codes == ["deviation_zero", "fewer_than_ten"]
    assert "can reach 3" in statement("fewer_than_ten")
    assert "neither score" in statement("deviation_zero")
    assert statement(None) == ""


def test_rows_keep_their_order_and_number() -> None:
    frame = pl.DataFrame({"unit": ["b", "a", "b", "a"], "value": [1, 2, 3, 4]})
    scored = score_series(frame, ["unit"])
    assert scored.select("unit", "value").equals(frame)
    assert score_series(frame.clear(), ["unit"]).height == 0


def test_the_tail_is_the_predictive_distribution_of_a_poisson_rate() -> None:
    # Others: 3, 4, 5 (total 12, less spread than Poisson). Jeffreys: Gamma(12.5, 3), predictive NB(12.5, 3/4).
    high, low = count_tails(np.array([9.0, 3, 4, 5]))
    assert high[0] == pytest.approx(stats.nbinom.sf(8, 12.5, 0.75), rel=1e-12)
    assert low[0] == pytest.approx(stats.nbinom.cdf(9, 12.5, 0.75), rel=1e-12)


@given(counts)
def test_tails_are_probabilities(values: list[int]) -> None:
    for tail in count_tails(np.array(values, dtype=float)):
        finite = tail[~np.isnan(tail)]
        assert ((finite >= 0) & (finite <= 1)).all()
        assert (len(values) < 4) == (finite.size == 0)


def test_sound_poisson_series_are_rarely_called_out() -> None:
    random = np.random.default_rng(20260706)
    called = tested = 0
    for rate in (0.3, 2.0, 8.0, 30.0):
        for _ in range(250):
            values = random.poisson(rate, 24).astype(float)
            high, low = count_tails(values)
            called += int((2 * np.fmin(high, low) < 0.01).sum())
            tested += values.size
    assert called / tested < 0.01


def test_an_overdispersed_series_is_judged_by_its_own_spread() -> None:
    values = np.array([0, 30, 2, 45, 1, 38, 0, 41.0])
    high, _ = count_tails(values)
    assert high[3] > 0.05
    assert stats.poisson.sf(44, (values.sum() - 45) / 7) < 1e-6


def test_expected_band_holds_what_came_before_and_refuses_a_flood() -> None:
    band = expected_band([1040, 1010, 990, 1025, 1003])
    assert band is not None
    assert band.low < 990
    assert 1040 < band.high < 1300
    assert (1013 in band, 2026 in band, 500 in band) == (True, False, False)
    assert expected_band([5, 6]) is None


def test_expected_band_follows_what_was_owed() -> None:
    """Ten rows a report: 20 reports owed, then 40. By hand: the rate is 10, so 40 reports let expect 400 rows, not 200."""
    doubled = expected_band([200, 195, 206, 199], exposures=[20, 20, 20, 20], exposure=40)
    assert doubled is not None
    assert doubled.expected == pytest.approx(400, rel=0.01)
    assert (400 in doubled, 200 in doubled) == (True, False)
    assert expected_band([200, 195, 206, 199], exposures=[20.0] * 4, exposure=20.0) == expected_band(
        [200, 195, 206, 199]
    )
    with pytest.raises(ValueError, match="exposure must be above 0"):
        expected_band([1, 2, 3], exposures=[1, 0, 1])


def test_change_is_judged_by_the_pair() -> None:
    frame = pl.DataFrame({"unit": ["a"] * 4, "month": [1, 2, 3, 4], "value": [2, 5, 30, 0]})
    changed = changes(frame, ["unit"], "month")
    assert changed["previous"].to_list() == [None, 2, 5, 30]
    assert changed["ratio"].to_list() == [None, 2.5, 6.0, 0.0]
    assert changed["tail"][1] == pytest.approx(2 * stats.binom.cdf(2, 7, 0.5))
    assert changed["is_change"].to_list() == [False, False, True, True]
