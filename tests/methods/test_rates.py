"""Crude and standardised rates against hand arithmetic and exact identities."""

import numpy as np
import pytest

from methods import intervals, rates


def test_rate_limits_are_the_count_limits_over_exposure() -> None:
    bounds = rates.rate_interval([10, 0], [20_000, 50_000], factor=100_000)
    # Garwood of 10 = 4.795389 .. 18.390356; x 100 000 / 20 000 = x 5.
    assert bounds.lower[0] == pytest.approx(23.976945, abs=5e-6)
    assert bounds.upper[0] == pytest.approx(91.95178, abs=5e-6)
    assert bounds.lower[1] == 0
    assert bounds.upper[1] == pytest.approx(7.377758, abs=5e-6)


def test_rate_without_exposure_has_no_limits() -> None:
    assert np.isnan(rates.rate_interval(3, 0).lower)


def test_world_standard_as_published_does_not_sum_to_hundred() -> None:
    assert sum(rates.WHO_WORLD_STANDARD.values()) == pytest.approx(100.035)
    weights = rates.standard_weights({band: (band,) for band in rates.WHO_WORLD_STANDARD})
    assert sum(weights.values()) == pytest.approx(1.0)


def test_bands_join_but_never_split() -> None:
    joined = rates.standard_weights({"Y0T14": ("Y0T4", "Y5T9", "Y10T14"), "Y15T19": ("Y15T19",)})
    assert joined["Y0T14"] == pytest.approx((8.86 + 8.69 + 8.60) / (8.86 + 8.69 + 8.60 + 8.47))
    with pytest.raises(KeyError):
        rates.standard_weights({"Y15T17": ("Y15T17",)})


def test_standardised_by_hand() -> None:
    # 10/1000 and 40/2000 with weights 1:3 -> 0.25 x 0.01 + 0.75 x 0.02 = 0.0175.
    found = rates.directly_standardised([10, 40], [1000, 2000], [1, 3])
    assert found.value == pytest.approx(0.0175)
    assert found.lower < found.value < found.upper


def test_one_band_gives_garwood() -> None:
    found = rates.directly_standardised([10], [1000], [5])
    exact = intervals.garwood(10)
    assert found.lower == pytest.approx(float(exact.lower) / 1000)
    assert found.upper == pytest.approx(float(exact.upper) / 1000)


def test_no_events_has_an_upper_limit() -> None:
    found = rates.directly_standardised([0, 0], [1000, 1000], [1, 1])
    assert found.value == 0
    assert found.lower == 0
    assert found.upper == pytest.approx(3.688879 * 0.0005, rel=1e-6)


def test_band_without_exposure_is_refused() -> None:
    with pytest.raises(ValueError, match="exposure"):
        rates.directly_standardised([1, 0], [100, 0], [1, 1])
