"""Disclosure arithmetic on worlds that can be checked by pencil."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from methods.disclosure import (
    CountSystem,
    SystemBuilder,
    age_span,
    choose_suppression,
    feasible_intervals,
    find_relations,
    is_dominated,
    is_primary_count,
)
from methods.disclosure.parts import independent_parts
from methods.disclosure.relations import AreaLink, nested
from methods.disclosure.rounded import counts_behind
from methods.disclosure.solver import Programme

# TB cases by destination and sex: one woman's count (3) is small. Three destinations x (men, women), with all margins.
TABLE = ((12, 9), (7, 3), (20, 15))
SMALL = 3  # cell number of destination 2, women


def table_system(table: tuple[tuple[int, int], ...] = TABLE, need: int = 5) -> CountSystem:
    builder = SystemBuilder()
    inner = [[builder.add_cell(value) for value in row] for row in table]
    rows = [builder.add_cell(sum(row)) for row in table]
    columns = [builder.add_cell(sum(row[i] for row in table)) for i in range(2)]
    total = builder.add_cell(sum(map(sum, table)))
    for cells, margin in zip(inner, rows, strict=True):
        builder.add_sum(margin, cells)
    for i, margin in enumerate(columns):
        builder.add_sum(margin, [cells[i] for cells in inner])
    builder.add_sum(total, rows)
    builder.add_sum(total, columns)
    for cell, truth in enumerate(list(builder.truth)):
        builder.add_row([cell], 1 + np.log1p(truth) / 10 + (3 if cell >= len(table) * 2 else 0))
    for cells, values in zip(inner, table, strict=True):
        for cell, value in zip(cells, values, strict=True):
            if is_primary_count(value, 5, False):
                builder.demand(cell, need, 1, 4)
    return builder.freeze()


def hide(system: CountSystem, *cells: int) -> np.ndarray:
    rows = np.zeros(system.row_count, dtype=bool)
    rows[list(cells)] = True
    return rows


def bounds(system: CountSystem, rows: np.ndarray) -> dict[int, tuple[int, int | None]]:
    return {found.cell: (found.lower, found.upper) for found in feasible_intervals(system, rows)}


def test_a_small_cell_alone_is_disclosed() -> None:
    system = table_system()
    assert bounds(system, hide(system, SMALL)) == {SMALL: (3, 3)}


def test_its_row_partner_does_not_help_because_of_the_column() -> None:
    system = table_system()
    assert bounds(system, hide(system, 2, SMALL)) == {2: (7, 7), SMALL: (3, 3)}


def test_four_cells_protect_with_the_published_intervals() -> None:
    """Worked example of the policy paper, computed there by linear programming."""
    system = table_system()
    assert bounds(system, hide(system, 0, 1, 2, SMALL)) == {0: (9, 19), 1: (2, 12), 2: (0, 10), SMALL: (0, 10)}


def test_the_search_finds_those_four_cells() -> None:
    system = table_system()
    pattern = choose_suppression(system, hide(system, SMALL))
    assert np.flatnonzero(pattern.hidden_rows).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(pattern.secondary_rows).tolist() == [0, 1, 2]
    assert pattern.unprotectable == ()


def test_last_weeks_pattern_is_kept_when_it_still_serves() -> None:
    system = table_system(((12, 9), (7, 3), (12, 9)))
    first = choose_suppression(system, hide(system, SMALL))
    for pair in ((0, 1), (4, 5)):
        again = choose_suppression(system, hide(system, SMALL), hints=hide(system, 2, *pair), hint_discount=0.5)
        assert set(pair) <= set(np.flatnonzero(again.hidden_rows).tolist())
    assert first.hidden_rows.sum() == 4


def test_what_the_world_knows_cannot_protect() -> None:
    """A cell that follows from figures nobody can take back is reported, not silently passed."""
    system = table_system()
    known = CountSystem(
        **{**{name: getattr(system, name) for name in system.__dataclass_fields__}, "known": ~hide(system, SMALL)}
    )
    assert choose_suppression(known, hide(known, SMALL)).unprotectable == (SMALL,)
    assert bounds(known, hide(known, SMALL)) == {SMALL: (3, 3)}


def test_statuses_give_nothing_away() -> None:
    """Three small cells that sum to 12 are 4, 4, 4 for a reader who knows that small means at most 4."""
    builder = SystemBuilder()
    parts = [builder.add_cell(4) for _ in range(3)] + [builder.add_cell(30), builder.add_cell(40)]
    group = builder.add_cell(12)
    total = builder.add_cell(82)
    builder.add_sum(group, parts[:3])
    builder.add_sum(total, [group, *parts[3:]])
    for cell in range(len(builder.truth)):
        builder.add_row([cell], 1.0)
    for cell in parts[:3]:
        builder.demand(cell, 5, 1, 4)
    system = builder.freeze()
    naive = hide(system, *parts[:3])
    assert [found.width for found in feasible_intervals(system, naive)] == [12, 12, 12]
    assert [found.width for found in feasible_intervals(system, naive, is_informed=True)] == [0, 0, 0]
    pattern = choose_suppression(system, naive)
    informed = feasible_intervals(system, pattern.hidden_rows, is_informed=True, only_demanded=True)
    assert all(found.width is not None and found.width >= 1 for found in informed)


def test_whole_people_only() -> None:
    """x + y + z counted in pairs: half a person would widen the interval, integers do not."""
    builder = SystemBuilder()
    cells = [builder.add_cell(1) for _ in range(3)]
    for left, right in ((0, 1), (1, 2), (0, 2)):
        pair = builder.add_cell(2, known=True)
        builder.add_equation([(pair, 1), (cells[left], -1), (cells[right], -1)])
    odd = [builder.add_cell(1), builder.add_cell(1)]
    three = builder.add_cell(4, known=True)
    builder.add_equation([(three, 1), (odd[0], -2), (odd[1], -2)])
    system = builder.freeze()
    found = {f.cell: (f.lower, f.upper) for f in feasible_intervals(system, np.zeros(0, dtype=bool))}
    assert [found[cell] for cell in cells] == [(1, 1)] * 3
    assert [found[cell] for cell in odd] == [(0, 2)] * 2


def test_a_false_certificate_is_ignored() -> None:
    system = table_system()
    rows = hide(system, SMALL)
    lies = ({SMALL: 5}, {SMALL: 5, 2: -5}, {SMALL: -4})
    assert [(f.lower, f.upper) for f in feasible_intervals(system, rows, certificates=lies)] == [(3, 3)]
    large = hide(system, 0, 1, 2, SMALL)
    true_one = ({SMALL: 5, 2: -5, 1: -5, 0: 5},)
    inner = feasible_intervals(system, large, certificates=true_one, exact_block_cells=0)
    assert {f.cell: (f.lower, f.upper) for f in inner}[SMALL] == (3, 8)


def test_overlapping_parts_are_no_sum() -> None:
    """Persons counted in two quarters: the year is less than the sum, so only 'a quarter is at most the year' is used."""
    builder = SystemBuilder()
    year, first, second = (builder.add_cell(value) for value in (10, 8, 7))
    assert builder.add_sum(year, [first, second]) is None
    for cell in (year, first, second):
        builder.add_row([cell], 1.0)
    system = builder.freeze()
    assert bounds(system, hide(system, first)) == {first: (0, 10), 3: (0, 10), 4: (3, 3)}


def test_an_unpublished_remainder_is_a_cell() -> None:
    builder = SystemBuilder()
    total, part = builder.add_cell(40), builder.add_cell(37)
    remainder = builder.add_sum(total, [part])
    assert remainder is not None
    assert builder.truth[remainder] == 3
    builder.add_row([total], 5.0)
    builder.add_row([part], 1.0)
    builder.demand(remainder, 5, 0, 100)
    pattern = choose_suppression(builder.freeze(), np.zeros(2, dtype=bool))
    assert np.flatnonzero(pattern.hidden_rows).tolist() == [1]


@pytest.mark.parametrize(
    ("count", "zeros", "expected"),
    [(0, False, False), (0, True, True), (1, False, True), (4, False, True), (5, False, False), (5, True, False)],
)
def test_threshold(count: int, zeros: bool, expected: bool) -> None:
    assert is_primary_count(count, 5, zeros) is expected


def test_dominance() -> None:
    rules = ((1, 0.75), (2, 0.90))
    assert is_dominated([80, 10, 10], rules)
    assert is_dominated([50, 45, 5], rules)
    assert not is_dominated([40, 30, 30], rules)
    assert not is_dominated([], rules)


@pytest.mark.parametrize(
    ("code", "span"),
    [("Y0T4", (0, 5)), ("Y_GE65", (65, 1000)), ("Y_LT15", (0, 15)), ("Y7", (7, 8)), ("_T", (0, 1000)), ("_U", None)],
)
def test_age_codes(code: str, span: tuple[int, int] | None) -> None:
    assert age_span(code) == span


def relations_of(
    codes: list[str], dimension: str, areas: tuple[AreaLink, ...] = (), spans: dict | None = None
) -> set[tuple[str, tuple[str, ...]]]:
    keys = [(code,) for code in codes]
    found = find_relations(keys, [dimension], spans=spans or {}, areas=areas)
    return {(codes[r.total], tuple(sorted(codes[p] for p in r.parts))) for r in found}


def test_sums_of_codes() -> None:
    assert relations_of(["_T", "F", "M"], "sex_code") == {("_T", ("F", "M"))}
    assert relations_of(["_T", "JPN", "KOR", "_O"], "destination_code") == {("_T", ("JPN", "KOR", "_O"))}
    assert relations_of(["F", "M"], "sex_code") == set()


def test_nested_ages() -> None:
    found = relations_of(["_T", "Y0T14", "Y0T4", "Y5T14", "Y_GE15", "_U"], "age_code")
    assert found == {("_T", ("Y0T14", "Y_GE15", "_U")), ("Y0T14", ("Y0T4", "Y5T14"))}


def test_an_age_band_that_does_not_fill_leaves_a_remainder_relation() -> None:
    assert relations_of(["Y15T49", "Y15T24"], "age_code") == {("Y15T49", ("Y15T24",))}


def test_nested_periods() -> None:
    spans = {"2026": (date(2026, 1, 1), date(2026, 12, 31))}
    for quarter in range(1, 5):
        spans[f"2026Q{quarter}"] = (
            date(2026, 3 * quarter - 2, 1),
            date(2026, 3 * quarter, 30 if quarter in (2, 3) else 31),
        )
    for month, last in ((1, 31), (2, 28), (3, 31)):
        spans[f"2026{month:02d}"] = (date(2026, month, 1), date(2026, month, last))
    found = relations_of(list(spans), "period_code", spans=spans)
    assert found == {("2026", ("2026Q1", "2026Q2", "2026Q3", "2026Q4")), ("2026Q1", ("202601", "202602", "202603"))}


def test_two_frames_of_provinces_make_two_sums_and_a_succession() -> None:
    areas = (
        AreaLink("VN63-89", "VNM", "vn63"),
        AreaLink("VN63-91", "VNM", "vn63"),
        AreaLink("VN34-91", "VNM", "vn34"),
        AreaLink("VN63-89", "VN34-91", "vn63"),
        AreaLink("VN63-91", "VN34-91", "vn63"),
    )
    found = relations_of(["VNM", "VN63-89", "VN63-91", "VN34-91"], "area_code", areas)
    assert found == {
        ("VNM", ("VN63-89", "VN63-91")),
        ("VNM", ("VN34-91",)),
        ("VN34-91", ("VN63-89", "VN63-91")),
    }


def test_weeks_across_a_month_are_contained_not_summed() -> None:
    found = dict(nested({"whole": (0, 30), "a": (0, 12), "b": (10, 20), "c": (20, 28)}))
    assert found["whole"] in (("a", "c"), ("b",))


def side_by_side(*tables: tuple[tuple[int, int], ...]) -> CountSystem:
    """The systems of several tables in one, without any tie between them."""
    parts = [table_system(table) for table in tables]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in CountSystem.__dataclass_fields__
        if name not in ("revealed_by", "equations")
    }
    blocks = {
        name: sparse.csr_array(sparse.block_diag([getattr(part, name) for part in parts]))
        for name in ("revealed_by", "equations")
    }
    return CountSystem(**joined, **blocks)


def test_tables_that_nothing_ties_are_searched_apart() -> None:
    """Twice the worked example and a table without a small cell: two parts, the pattern of each as if it stood alone."""
    calm = ((12, 9), (7, 8), (20, 15))
    system = side_by_side(TABLE, calm, TABLE)
    size = table_system().cell_count
    parts = list(independent_parts(system))
    assert [part.cells.tolist() for part in parts] == [list(range(size)), list(range(2 * size, 3 * size))]
    for part in parts:
        assert np.array_equal(part.system.truth, table_system().truth)
        assert np.array_equal(part.system.equations.toarray(), table_system().equations.toarray())
        assert np.array_equal(part.system.revealed_by.toarray(), table_system().revealed_by.toarray())
    primary = np.zeros(system.row_count, dtype=bool)
    primary[[SMALL, 2 * size + SMALL]] = True
    pattern = choose_suppression(system, primary)
    assert np.flatnonzero(pattern.hidden_rows).tolist() == [
        0,
        1,
        2,
        3,
        2 * size,
        2 * size + 1,
        2 * size + 2,
        2 * size + 3,
    ]
    ends = bounds(system, pattern.hidden_rows)
    assert (ends[SMALL], ends[2 * size + SMALL]) == ((0, 10), (0, 10))


def test_a_row_that_reveals_two_cells_ties_their_tables() -> None:
    """A share reveals its numerator and its denominator: hiding it for one hides the other."""
    builder = SystemBuilder()
    left, right = builder.add_cell(3), builder.add_cell(30)
    builder.add_row([left, right], 1.0)
    builder.demand(left, 5, 1, 4)
    builder.add_row([builder.add_cell(7)], 1.0)
    assert [part.cells.tolist() for part in independent_parts(builder.freeze())] == [[left, right]]


def test_what_is_public_anyway_ties_nothing_and_is_reported() -> None:
    system = table_system()
    known = CountSystem(
        **{**{name: getattr(system, name) for name in system.__dataclass_fields__}, "known": ~hide(system, SMALL)}
    )
    assert [part.cells.tolist() for part in independent_parts(known)] == [[SMALL]]
    everything = CountSystem(
        **{**{name: getattr(system, name) for name in system.__dataclass_fields__}, "known": ~hide(system)}
    )
    assert list(independent_parts(everything)) == []
    assert choose_suppression(everything, hide(everything, SMALL)).unprotectable == (SMALL,)


def test_the_solver_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """HiGHS is a C++ library that writes to the terminal by itself; a refresh's own lines must stand alone."""
    system = side_by_side(TABLE, ((4, 4), (4, 30), (3, 2)))
    primary = np.asarray(system.need[: system.row_count] > 0)
    pattern = choose_suppression(system, primary)
    feasible_intervals(system, pattern.hidden_rows, is_informed=True)
    impossible = Programme(sparse.csr_array(np.ones((1, 2))), np.array([9.0]), np.zeros(2), np.ones(2))
    assert impossible.solve(np.array([1.0, 2.0])) is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("value", "denominator", "factor", "expected"),
    [
        (3.2, 94, 100, (3, 3)),  # 3.15 to 3.25 per cent of 94 are 2.96 to 3.06 people
        (3.2, 1000, 100, (32, 32)),  # 31.5 to 32.5
        (
            3.0,
            100,
            100,
            (3, 3),
        ),  # printed as 3.0: the float 3 has no digit after the point, and 2.5 to 3.5 holds one number
        (0.1, 5_000_000, 100_000, (3, 7)),  # 0.05 to 0.15 of fifty hundred-thousands: 2.5 to 7.5
        (0.1, 10_000_000, 100_000, (5, 15)),  # both ends, as nobody knows which way a half went
        (100 / 3, 90, 100, (30, 30)),  # not rounded: the count comes back exactly
        (41.0, 7, 100, None),  # 2.84 to 2.91: no number of people out of 7 prints so
        (0.0, 400, 100, (0, 2)),  # 0 to 0.5 per cent: nobody, one or two
        (5.0, 0, 100, None),
    ],
)
def test_a_printed_share_leaves_these_counts(value, denominator, factor, expected) -> None:
    """By pencil: value plus and minus half its last digit, times the denominator, whole numbers in between."""
    assert counts_behind(value, denominator, factor) == expected


@given(st.integers(0, 400), st.integers(1, 400), st.integers(0, 3))
def test_the_true_count_is_always_among_them(part: int, whole: int, decimals: int) -> None:
    part = min(part, whole)
    printed = round(100 * part / whole, decimals)
    between = counts_behind(printed, whole, 100)
    assert between is not None
    assert between[0] <= part <= between[1]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=6, max_size=6), st.permutations(range(6)))
def test_order_of_cells_does_not_change_the_intervals(values: list[int], order: list[int]) -> None:
    table = tuple((values[i], values[i + 1]) for i in (0, 2, 4))
    system = table_system(table)
    small = [cell for cell in range(6) if system.need[cell] > 0]
    pattern = choose_suppression(system, hide(system, *small))
    again = choose_suppression(system, hide(system, *small))
    assert np.array_equal(pattern.hidden_rows, again.hidden_rows)
    for found in feasible_intervals(system, pattern.hidden_rows, only_demanded=True):
        assert found.width is None or found.width >= 5


def test_the_solver_without_the_binding_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy's own entry point is the fallback; the ends of intervals must not depend on which one runs."""
    system = table_system()
    rows = hide(system, 0, 1, 2, SMALL)
    warm = bounds(system, rows)
    monkeypatch.setattr("methods.disclosure.solver._binding", lambda: None)
    assert bounds(system, rows) == warm
    programme = Programme(sparse.csr_array(np.ones((1, 2))), np.array([3.0]), np.zeros(2), np.full(2, 9.0))
    assert programme.solve(np.array([1.0, 2.0])) == pytest.approx([3.0, 0.0])
    programme.bound(np.array([0]), np.array([0.0]), np.array([1.0]))
    assert programme.solve(np.array([1.0, 2.0])) == pytest.approx([1.0, 2.0])
    programme.bound(np.array([1]), np.array([0.0]), np.array([1.0]))
    assert programme.solve(np.array([1.0, 2.0])) is None
