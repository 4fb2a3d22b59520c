"""Week after week: what an attacker who kept every release finds in their differences, by an audit that shares nothing with the lock.

The worlds are finest cells (province, sex, destination) that grow, shrink or stand still each week. The audit here writes every
figure of every week as a sum of that week's finest cells and asks an integer programme how few people the change of a figure
between two weeks can be told to be.
"""

import random
from datetime import date
from itertools import combinations, product
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from warehouse.catalogue.disclosure import load_policy
from warehouse.publishing.protection import KEY_COLUMNS, ledger, protect

POLICY = load_policy()
AREAS = pl.DataFrame(
    [("VN34-01", "VNM", "vn34"), ("VN34-91", "VNM", "vn34")],
    schema=["area_code", "parent_code", "frame_code"],
    orient="row",
)
THRESHOLD = 5
Figure = tuple[str, str, str]
Cells = dict[Figure, int]


def made(figure: Figure, count: int) -> dict[str, Any]:
    area, sex, destination = figure
    row: dict[str, Any] = dict.fromkeys(KEY_COLUMNS, "_T") | dict.fromkeys(("lower", "upper", "se", "denominator"))
    return row | {
        "indicator_code": "LM07", "definition_version": "1", "area_code": area, "period_code": "2026", "sex_code": sex,
        "destination_code": destination, "method_code": "count", "obs_status": "A", "obs_flags": ["A"],
        "n": None, "source_codes": ["dhis2"], "interval_code": None, "value": float(count), "numerator": float(count),
        "period_start_on": date(2026, 1, 1), "period_end_on": date(2026, 12, 31),
    }  # fmt: skip


def figures(cells: Cells) -> dict[Figure, list[Figure]]:
    """Every published figure with the finest cells that it sums: provinces and country, by sex, destination, both and neither."""
    members: dict[Figure, list[Figure]] = {}
    for cell in cells:
        area, sex, destination = cell
        for place, s, d in product((area, "VNM"), (sex, "_T"), (destination, "_T")):
            members.setdefault((place, s, d), []).append(cell)
    return members


def frame_of(cells: Cells) -> pl.DataFrame:
    rows = [made(figure, sum(cells[c] for c in parts)) for figure, parts in figures(cells).items()]
    numbers = dict.fromkeys(("value", "numerator", "lower", "upper", "se", "denominator"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=numbers | {"n": pl.Int64, "interval_code": pl.String})


def weeks_of(seed: int, count: int) -> list[Cells]:
    rng = random.Random(seed)
    cells = {cell: rng.choice((0, 2, 4, 9, 20, 60)) for cell in product(("VN34-01", "VN34-91"), "FM", ("JPN", "KOR"))}
    weeks = [cells]
    for _ in range(count - 1):
        cells = {cell: max(0, value + rng.choice((0, 0, 0, 1, 2, 7, -1))) for cell, value in cells.items()}
        weeks.append(cells)
    return weeks


def published(weeks: list[Cells]) -> list[dict[Figure, float]]:
    """What each week's release shows, each protected with the ledger of those before it."""
    earlier: list[pl.DataFrame] = []
    shown = []
    for cells in weeks:
        truth = frame_of(cells)
        protected = protect(truth, POLICY, areas=AREAS, earlier=earlier)
        assert set(protected.audit["verdict"]) <= {"protected", "no demand"}
        earlier.append(ledger(protected.frame, truth))
        shown.append(shown_by(protected.frame))
    return shown


def shown_by(frame: pl.DataFrame) -> dict[Figure, float]:
    named = frame.filter(pl.col("value").is_not_null()).select("area_code", "sex_code", "destination_code", "value")
    return {(area, sex, destination): value for area, sex, destination, value in named.iter_rows()}


def told_changes(weeks: list[Cells], shown: list[dict[Figure, float]]) -> list[tuple[int, int, Figure]]:
    """Changes of 1 to 4 people since a week that showed the figure, which an attacker can tell more closely than that."""
    order = {(week, cell): at for at, (week, cell) in enumerate(product(range(len(weeks)), weeks[0]))}
    members = figures(weeks[0])

    def sums(week: int, figure: Figure) -> np.ndarray:
        line = np.zeros(len(order))
        line[[order[week, cell] for cell in members[figure]]] = 1
        return line

    matrix = np.array([sums(week, figure) for week, told in enumerate(shown) for figure in told])
    right = np.array([value for told in shown for value in told.values()])
    found = []
    for first, later in combinations(range(len(weeks)), 2):
        for figure, parts in members.items():
            moved = sum(weeks[later][c] for c in parts) - sum(weeks[first][c] for c in parts)
            if figure not in shown[first] or not 0 < abs(moved) < THRESHOLD:
                continue
            goal = sums(later, figure) - sums(first, figure)
            ends = []
            for sign in (1, -1):
                answer = milp(
                    sign * goal,
                    constraints=LinearConstraint(matrix, right, right),
                    bounds=Bounds(0, 10_000),
                    integrality=np.ones(len(order)),
                )
                assert answer.status == 0, answer.message
                ends.append(round(sign * answer.fun))
            if ends[1] - ends[0] < THRESHOLD:
                found.append((first, later, figure))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_no_release_tells_that_a_few_people_came_or_went(seed):
    weeks = weeks_of(seed, 3)
    assert told_changes(weeks, published(weeks)) == []


def test_releases_that_do_not_know_each_other_do_tell():
    """The same worlds, each week protected as if it were the first: shows that the audit above can fail."""
    broken = 0
    for seed in range(12):
        weeks = weeks_of(seed, 3)
        alone = [shown_by(protect(frame_of(cells), POLICY, areas=AREAS).frame) for cells in weeks]
        broken += bool(told_changes(weeks, alone))
    assert broken >= 8


def test_a_figure_is_shown_again_when_enough_people_came():
    """100, 102, 104, 106: the second and third wait, the fourth differs from the last one shown by six."""
    seen = []
    earlier: list[pl.DataFrame] = []
    for count in (100, 102, 104, 106):
        truth = pl.DataFrame(
            [made(("VNM", "_T", "_T"), count)],
            schema_overrides={
                "lower": pl.Float64,
                "upper": pl.Float64,
                "se": pl.Float64,
                "denominator": pl.Float64,
                "n": pl.Int64,
                "interval_code": pl.String,
            },
        )
        protected = protect(truth, POLICY, areas=AREAS, earlier=earlier)
        earlier.append(ledger(protected.frame, truth))
        seen.append(protected.frame["value"][0])
    assert seen == [100.0, None, None, 106.0]


def test_what_stands_still_stays_shown():
    cells = weeks_of(3, 1)[0]
    first, second = published([cells, cells])
    assert first == second
