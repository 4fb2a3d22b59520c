"""The performance page says what its figures say, and the arithmetic behind it. Nothing here times anything."""

import json
import re

import pytest

from benchmarks.measure import Measured, Row, row
from benchmarks.report import BLOCKS, FIGURES, PAGE, PLOT, mark, page_with
from benchmarks.results import Results, growth


@pytest.fixture(scope="module")
def told():
    return json.loads(FIGURES.read_text(encoding="utf-8"))


def measured(seconds: float, mib: float = 1.0, cpu: float | None = None) -> Measured:
    return Measured(seconds, int(mib * 2**20), {}, cpu)


def test_the_page_and_the_plot_say_what_the_figures_say(told):
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with(page, told), "run `python -m benchmarks.report`"
    assert mark(told) in PLOT.read_text(encoding="utf-8"), "run `python -m benchmarks.report`"
    assert f"({PLOT.name})" in page


def test_ratios_verdicts_and_exponents_of_the_figures_follow_from_their_lines(told, tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(told), encoding="utf-8")
    again = Results(tmp_path / "results.json").as_json()
    assert again["growth"] == told["growth"]
    for kept, made in zip(told["lines"], again["lines"], strict=True):
        assert (kept["ratio"], kept["is_met"]) == (made["ratio"], made["is_met"])


def test_a_page_without_one_of_its_blocks_is_refused(told):
    page = PAGE.read_text(encoding="utf-8")
    for name in BLOCKS:
        with pytest.raises(ValueError, match=name):
            page_with(re.sub(f"<!-- {name}: end -->", "", page), told)


@pytest.mark.parametrize(
    ("target", "target_of", "is_met"),
    [(2.0, "ratio", True), (1.9, "ratio", False), (4.0, "seconds", True), (3.9, "seconds", False),
     (7.0, "peak_mib", True), (6.9, "peak_mib", False)],
)  # fmt: skip
def test_a_target_bounds_what_it_says(target, target_of, is_met):
    # Median of 3, 4, 5 is 4 s, over a floor of 2 s: twice; the widest distance from it is 1 of 4.
    line = row("s", 1, [measured(5, 7), measured(3, 6), measured(4, 5)], [measured(2)], "f", target, "", target_of)
    assert (line.seconds, line.ratio, line.spread, line.peak_mib) == (4, 2, 0.25, 7)
    assert line.is_met is is_met
    assert Row.from_json(json.loads(json.dumps(line.as_json()))) == line


def test_a_ratio_is_judged_in_processor_time_where_both_told_it():
    # By the clock 4 over 1 s; in processor time 3 over 2 s.
    line = row("s", 1, [measured(4, cpu=3)], [measured(1, cpu=2)], "f", 1.5)
    assert (line.ratio, line.cpu_ratio, line.is_met) == (4, 1.5, True)
    assert row("s", 1, [measured(4, cpu=3)], [measured(1)], "f", 1.5).is_met is False


def test_without_a_floor_nothing_is_said_of_a_ratio():
    line = row("s", 1, [measured(4)], [], target=2.0)
    assert line.ratio is None
    assert line.is_met is None


def test_results_go_on_where_they_stopped_and_a_new_measurement_replaces_the_old(tmp_path):
    path = tmp_path / "results.json"
    first = Results(path)
    first.add("values", row("load", 1000, [measured(1)]))
    resumed = Results(path)
    assert resumed.has("values", "load", 1000)
    assert not resumed.has("values", "load", 2000)
    assert not resumed.has("history", "load", 1000)
    resumed.add("values", row("load", 1000, [measured(3)]))
    assert [line.row.seconds for line in Results(path).lines] == [3]


def test_growth_is_the_slope_on_logarithmic_axes(tmp_path):
    results = Results(tmp_path / "results.json")
    for size, seconds, mib in ((10**5, 1, 100), (10**6, 10, 100), (10**7, 100, 100)):
        results.add("values", row("linear in time, flat in memory", size, [measured(seconds, mib)]))
    for size, seconds in ((10, 1), (100, 100)):
        results.add("values", row("quadratic", size, [measured(seconds, size)]))
    results.add("values", row("once", 10, [measured(1)]))
    found = {
        one["stage"]: (one["time"], one["processor"], one["time_from_a_million"], one["memory"])
        for one in growth(results.lines)
    }
    assert found == {"linear in time, flat in memory": (1.0, None, 1.0, 0.0), "quadratic": (2.0, None, None, 1.0)}
