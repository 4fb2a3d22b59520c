"""Charts: what is drawn is where it should be, what has no value is not drawn, and everything is told in words."""

import re
from itertools import pairwise

import pytest

from warehouse.publishing.display import period_time
from warehouse.publishing.pages.charts import (
    Point,
    Series,
    bar_chart,
    interval_chart,
    line_chart,
    nice_ticks,
    tick_text,
    tile_grid,
)


def numbers(pattern, svg):
    return [float(found) for found in re.findall(pattern, svg)]


@pytest.mark.parametrize(
    ("top", "ticks"),
    [
        (0, [0, 1]),
        (100, [0, 25, 50, 75, 100]),
        (159986, [0, 50000, 100000, 150000, 200000]),
        (0.27, [0, 0.1, 0.2, 0.3]),
    ],
)
def test_axis_values_are_round_and_reach_the_top(top, ticks):
    assert nice_ticks(top) == pytest.approx(ticks)


def test_axis_values_have_the_separators_of_the_language():
    assert tick_text(150000, "en") == "150,000"
    assert tick_text(2.5, "vi") == "2,5"


def test_bar_lengths_are_in_proportion_and_missing_values_have_no_bar():
    svg = bar_chart(
        [Point("a", 50, "50"), Point("b", 100, "100"), Point("c", None, "c"), Point("d", 0, "–")], "t", "en", "k"
    )
    wide = svg.split("chart-narrow")[0]
    widths = numbers(r'<rect class="bar"[^>]* width="([\d.]+)"', wide)
    assert len(widths) == 3
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.01)
    assert "<desc" in wide
    assert "a: 50; b: 100; c: c; d: –" in wide


def test_intervals_surround_their_dot():
    wide = interval_chart([Point("a", 50, "50", lower=40, upper=70)], "t", "en", "k").split("chart-narrow")[0]
    low, high = (
        numbers(r'class="whisker" x1="([\d.]+)" x2="[\d.]+"', wide)[0],
        numbers(r'class="whisker" x1="[\d.]+" x2="([\d.]+)"', wide)[0],
    )
    dot = numbers(r'class="dot" cx="([\d.]+)"', wide)[0]
    assert low < dot < high
    assert (high - dot) == pytest.approx(2 * (dot - low), rel=0.02)


def test_points_of_a_line_stand_where_their_period_is():
    points = tuple(Point(str(y), v, str(v), at=float(y)) for y, v in ((1990, 1), (2020, 2), (2024, 3)))
    wide = line_chart((Series("s", points),), "t", "en", "k").split("chart-narrow")[0]
    first, second, third = numbers(r'class="mark s1" cx="([\d.]+)"', wide)
    assert (second - first) / (third - second) == pytest.approx(30 / 4, rel=0.01)


def test_a_missing_period_breaks_the_line():
    points = tuple(Point(str(i), v, str(v)) for i, v in enumerate([1, 2, None, 3, 4]))
    wide = line_chart((Series("s", points),), "t", "en", "k").split("chart-narrow")[0]
    assert len(re.findall("<polyline", wide)) == 2
    assert len(re.findall('class="mark', wide)) == 4


def test_names_at_the_ends_of_lines_do_not_cover_each_other():
    series = tuple(Series(f"s{i}", (Point("1", 1, "1"), Point("2", 1 + i / 1000, "1"))) for i in range(6))
    wide = line_chart(series, "t", "en", "k").split("chart-narrow")[0]
    heights = sorted(numbers(r'y="([\d.]+)" class="name', wide))
    assert all(after - before >= 15.9 for before, after in pairwise(heights))


def test_member_tiles_show_every_member_and_shade_only_figures():
    points = {"VNM": Point("Viet Nam", 5, "5"), "SGP": Point("Singapore", None, ".."), "BRN": Point("Brunei", 1, "1")}
    svg = tile_grid(points, "t", "k")
    assert svg.count('class="tile') == 3
    assert "tnone" in svg
    assert "Singapore: .." in svg


def test_text_is_escaped():
    svg = bar_chart([Point("<b>", 1, "1")], 'A & "B"', "en", "k")
    assert "<b>" not in svg
    assert "A &amp; " in svg


@pytest.mark.parametrize(("code", "time"), [("2024", 2024), ("2024Q3", 2024.5), ("202407", 2024.5), ("abcd", None)])
def test_periods_have_a_place_in_time(code, time):
    assert period_time(code) == time
