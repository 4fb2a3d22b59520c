"""The stated rule for the current figure, on the published vintages and on small planted ones."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from practice.labour.inbox import bulletin_files

AT = datetime(2026, 7, 6, 22, tzinfo=UTC)


def cell(frame: pl.DataFrame, period_start: str, kind: str, destination: str, sex: str) -> float | None:
    """The one quantity of a cell, or None when there is no row."""
    rows = frame.filter(
        (pl.col("period_start_on").cast(pl.String) == period_start)
        & (pl.col("period_type_code") == kind)
        & (pl.col("destination_code") == destination)
        & (pl.col("sex_code") == sex)
    )
    assert rows.height <= 1
    return rows["quantity"].item() if rows.height else None


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, labour_world: Callable[[Path], Any]) -> pl.DataFrame:
    world = labour_world(tmp_path_factory.mktemp("published"))
    for name, data in bulletin_files(AT.date()).items():
        (world.inbox / name).write_bytes(data)
    world.refresh(AT)
    return world.measure("labour_deployment")


def test_acceptance_totals_come_out_of_the_measure(published: pl.DataFrame) -> None:
    assert cell(published, "2023-01-01", "A", "_T", "_T") == 159_986
    assert cell(published, "2023-01-01", "A", "_T", "F") == 55_804
    assert cell(published, "2023-01-01", "A", "_T", "M") == 104_182
    assert cell(published, "2023-01-01", "A", "_O", "_T") == 1_450
    assert cell(published, "2023-01-01", "A", "_O", "F") == 101
    assert cell(published, "2022-01-01", "A", "_T", "_T") == 142_779


def test_women_that_were_not_published_are_absent(published: pl.DataFrame) -> None:
    assert cell(published, "2022-01-01", "A", "_T", "F") is None
    assert cell(published, "2022-01-01", "A", "_T", "M") is None


def test_the_remainder_is_computed_from_the_same_document(published: pl.DataFrame) -> None:
    # 142 779 - 67 295 - 58 598 - 9 968 - 1 822 - 910 by pencil.
    assert cell(published, "2022-01-01", "A", "_O", "_T") == 4_186
    # January 2020: women of most markets were not published, so neither is their remainder.
    assert cell(published, "2020-01-01", "M", "_O", "_T") == 8
    assert cell(published, "2020-01-01", "M", "_O", "F") is None


def test_unverified_figures_are_not_current(published: pl.DataFrame) -> None:
    # 2024 has no verified annual figure (158,588 is remembered, not read): what stands is January to November, as published.
    assert cell(published, "2024-01-01", "A", "_T", "_T") == 143_160
    assert cell(published, "2020-01-01", "A", "_T", "_T") == 78_000, (
        "the rounded figure that was read, not the one remembered"
    )


def test_parts_sum_to_their_total_and_keys_are_unique(published: pl.DataFrame) -> None:
    assert published["event_code"].is_unique().all()
    both = published.filter(pl.col("sex_code") == "_T")
    parts = (
        both.filter(pl.col("destination_code") != "_T")
        .group_by("period_type_code", "period_start_on")
        .agg(pl.col("quantity").sum())
    )
    totals = both.filter(pl.col("destination_code") == "_T").join(
        parts, on=["period_type_code", "period_start_on"], suffix="_parts"
    )
    exact = totals.filter(pl.col("footnote_code").is_null() | (pl.col("footnote_code") != "rounded_source"))
    assert exact.height >= 4
    assert (exact["quantity"] == exact["quantity_parts"]).all()


def form(value: int, published_on: str, kind: str = "press", precision: str = "exact", year: int = 2019) -> str:
    """A figure form with one annual total."""
    return (
        f'title = "t{value}"\nsource = "s"\nkind = "{kind}"\nagency = "{"press" if kind == "press" else "molisa"}"\n'
        f"published_on = {published_on}\n[[figure]]\n"
        f'series = "deployments"\nwindow = "year"\nperiod = "{year}"\nvalue = {value}\nprecision = "{precision}"\nresolution = 1\n'
    )


@pytest.mark.parametrize(
    ("files", "current"),
    [
        pytest.param([form(10, "2020-01-05"), form(11, "2020-02-05")], 11, id="later-over-earlier"),
        pytest.param(
            [form(10, "2020-01-05"), form(11, "2020-02-05", precision="rounded")], 10, id="final-over-provisional"
        ),
        pytest.param([form(10, "2020-01-05", "press"), form(11, "2020-01-05", "bulletin")], 11, id="agency-over-press"),
        pytest.param(
            [form(11, "2020-01-05", "bulletin"), form(10, "2020-01-06", "press")],
            10,
            id="later-press-over-earlier-agency",
        ),
    ],
)
def test_the_rule_for_the_current_figure(
    tmp_path: Path, labour_world: Callable[[Path], Any], files: list[str], current: float
) -> None:
    world = labour_world(tmp_path)
    for number, text in enumerate(files):
        (world.inbox / f"{number}.toml").write_text(text, encoding="utf-8")
    world.refresh(AT)
    assert cell(world.measure("labour_deployment"), "2019-01-01", "A", "_T", "_T") == current
