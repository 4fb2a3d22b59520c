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
)
from warehouse.publishing.pages.member_tiles import TILES, panel, tile_grid


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
    svg = tile_grid(points, "t", "k", ("lowest", "highest"))
    tiles = re.findall(r'class="tile (t\w+)"><rect[^>]*/><text[^>]*>(\w+)</text>', svg)
    assert tiles == [("t3", "VNM"), ("t1", "BRN"), ("tnone", "SGP")]
    assert "Singapore: .." in svg
    assert re.findall(r'"axis"[^>]*>(\w+)<', svg) == ["lowest", "highest"], "the shades have a key"


def test_every_member_has_a_tile_of_its_own():
    assert len(set(TILES.values())) == len(TILES) == 11


def test_panels_share_their_axes_and_a_hidden_year_breaks_the_line():
    years = [(2000, 40), (2010, 20), (2015, None), (2020, 30), (2021, 35)]
    points = [Point(str(y), v, "c" if v is None else str(v), at=float(y)) for y, v in years]
    svg = panel(points, (2000.0, 2025.0), 100.0, "t", "en", "k")
    other = panel(points[3:], (2000.0, 2025.0), 100.0, "t", "en", "k2")
    lines = [re.findall(r"([\d.]+),([\d.]+)", line) for line in re.findall(r'<polyline[^>]* points="([^"]*)"', svg)]
    assert [len(line) for line in lines] == [2, 2]
    assert re.findall(r'<polyline[^>]* points="([^"]*)"', other) == [" ".join(",".join(place) for place in lines[1])], (
        "the same years stand in the same place in every panel"
    )
    assert "2015: c" in svg
    assert re.findall(r'value total"[^>]*>(\d+)<', svg) == ["35"]


def test_a_panel_without_figures_tells_why():
    svg = panel([Point("2020", None, "c", at=2020.0)], (2000.0, 2025.0), 100.0, "t", "en", "k")
    assert "<polyline" not in svg
    assert "<circle" not in svg
    assert re.findall(r'"value"[^>]*>([^<]*)<', svg) == ["c"]


def test_text_is_escaped():
    svg = bar_chart([Point("<b>", 1, "1")], 'A & "B"', "en", "k")
    assert "<b>" not in svg
    assert "A &amp; " in svg


@pytest.mark.parametrize(("code", "time"), [("2024", 2024), ("2024Q3", 2024.5), ("202407", 2024.5), ("abcd", None)])
def test_periods_have_a_place_in_time(code, time):
    assert period_time(code) == time
