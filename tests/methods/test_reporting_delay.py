"""The learned reporting delay, on arrivals that can be counted by hand, and free of the youth of recent ends."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.reporting_delay import learn_delay

YEAR = 364


def test_when_every_delay_could_be_seen_it_is_the_plain_percentile():
    # 90 arrive within the first week, 6 in the third, 4 in the tenth: 96 of 100 are in before the end of the third week.
    arrivals = [(3, YEAR)] * 90 + [(15, YEAR)] * 6 + [(65, YEAR)] * 4
    assert learn_delay(arrivals, YEAR).days == 21
    assert learn_delay(arrivals, YEAR, share=0.90).days == 7
    assert learn_delay(arrivals, YEAR, share=0.97).days == 70


def test_too_little_was_seen():
    assert learn_delay([(3, YEAR)] * 49, YEAR) is None
    assert learn_delay([(3, YEAR)] * 50, YEAR).days == 7


def test_young_ends_do_not_make_a_source_look_punctual():
    # Half of what ends arrives in week 0, half in week 8. Of the ends of the last eight weeks only the first half is in yet:
    # plainly counted, 10 old ends (20 arrivals) and 90 young ones (90) say that 91 % arrive at once. The hazard says 50 %.
    old = [(0, 100)] * 10 + [(56, 100)] * 10
    young = [(0, 14)] * 90
    assert sorted(delay for delay, _ in old + young)[int(0.9 * 110)] == 0
    assert learn_delay(old + young, 100, share=0.9).days == 63


@given(st.integers(0, 2**32), st.integers(60, 200))
def test_a_larger_share_takes_no_less_time(seed, count):
    draw = Random(seed)
    arrivals = [(draw.randrange(100), 100) for _ in range(count)]
    days = [learn_delay(arrivals, 100, share=share).days for share in (0.5, 0.8, 0.95, 0.99)]
    assert days == sorted(days)
    assert all(d % 7 == 0 for d in days)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_order_does_not_matter(share):
    arrivals = [(d % 60, 100) for d in range(200)]
    assert learn_delay(arrivals, 100, share=share) == learn_delay(arrivals[::-1], 100, share=share)
