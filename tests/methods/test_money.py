"""Money in another currency: at a rate of its own year, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.money import Rate, convert

RATES = (Rate("AAA", 2024, 20_000.0, "a"), Rate("AAA", 2025, 25_000.0, "a"), Rate("BBB", 2025, 4.0, "b"))


@pytest.mark.parametrize(
    ("amount", "currency", "year", "to", "expected", "status", "used"),
    [
        (50_000, "AAA", 2025, "USD", 2.0, "converted", ["AAA"]),
        (50_000, "AAA", 2024, "USD", 2.5, "converted", ["AAA"]),
        (2, "USD", 2025, "BBB", 8.0, "converted", ["BBB"]),
        (50_000, "AAA", 2025, "BBB", 8.0, "converted", ["AAA", "BBB"]),
        (7, "USD", 1950, "USD", 7, "same_currency", []),
        (7, "CCC", 1950, "CCC", 7, "same_currency", []),
    ],
)
def test_amounts_by_pencil(amount, currency, year, to, expected, status, used):
    found = convert(amount, currency, year, RATES, to)
    assert (found.amount, found.status) == (pytest.approx(expected), status)
    assert [rate.currency_code for rate in found.rates] == used


@pytest.mark.parametrize(
    ("currency", "year", "to", "named"),
    [("AAA", 2023, "USD", "AAA for 2023"), ("CCC", 2025, "USD", "CCC for 2025"), ("AAA", 2024, "BBB", "BBB for 2024")],
)
def test_without_a_rate_of_its_year_an_amount_is_refused_by_name(currency, year, to, named):
    found = convert(1.0, currency, year, RATES, to)
    assert (found.amount, found.status, found.rates) == (None, "no_rate", ())
    assert named in found.sentence


@given(st.floats(0.01, 1e9), st.sampled_from(["AAA", "BBB", "USD"]), st.sampled_from(["AAA", "BBB", "USD"]))
def test_there_and_back_is_the_same(amount, one, other):
    there = convert(amount, one, 2025, RATES, other)
    back = convert(there.amount, other, 2025, RATES, one)
    assert back.amount == pytest.approx(amount)
