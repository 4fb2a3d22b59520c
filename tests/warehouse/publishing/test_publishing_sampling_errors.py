"""The sampling-error table: its printed form, what stays out of it, and that it leaves with the release in every format."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import polars as pl
import pytest

from warehouse.catalogue.table_catalogue import CATALOGUE, Table, read_entry
from warehouse.publishing.content import ReleaseCatalogue, ReleaseContext
from warehouse.publishing.protection import Protected
from warehouse.publishing.release import Draft, build_release, freeze_release, read_manifest
from warehouse.publishing.sampling_errors import BREAKDOWNS, SCHEMA, sampling_errors

TOTALS = dict.fromkeys(BREAKDOWNS, "_T")


def estimate(measure: str, n: int, **more: Any) -> dict[str, Any]:
    """One estimate of one wave; shown unless there are few respondents."""
    return {
        "survey_code": "MICS", "wave_code": "2011", "title": "Household survey 2011", "measure_code": measure, "area_code": "VNM",
        "period_code": "2011", **TOTALS, "value": 0.451, "se": 0.009, "cv": 0.009 / 0.451, "deff": 3.636,
        "deff_reference_code": "srs_wr", "n_weighted": 11545.0, "n_unweighted": n, "lower": 0.433, "upper": 0.469,
        "interval_code": "logit95", "df": 600, "reliability_code": "shown" if n >= 50 else "bracketed" if n >= 25 else "suppressed",
        "is_practice": False, "part_area_codes": None, **more,
    }  # fmt: skip


def figure(measure: str, n: int | None, conf: str = "F", **more: Any) -> dict[str, Any]:
    """The observation of an estimate as the release shows it; hidden when it is not free."""
    is_free = conf == "F"
    return {
        "indicator_code": measure, "area_code": "VNM", "period_code": "2011", **TOTALS, "conf_status": conf,
        "value": 45.1 if is_free else None, "n": n if is_free else None, **more,
    }  # fmt: skip


def table(estimates: list[dict[str, Any]], figures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    schema = {"value": pl.Float64, "n": pl.Int64}
    shown = pl.DataFrame(figures or [figure("none", 1)], schema_overrides=schema)
    listed = pl.DataFrame(estimates, schema_overrides={"part_area_codes": pl.List(pl.String)})
    return sampling_errors(listed, shown).to_dicts()


def test_the_table_has_the_printed_form() -> None:
    """Viet Nam MICS 2011, iodised salt: 0.451, 0.009, 0.020, 3.636, 1.907, 11 545, 11 556, 0.433 to 0.469."""
    (printed,) = table([estimate("NU.9", 11556)], [])
    assert list(printed) == list(SCHEMA)
    assert round(printed["deft"], 3) == 1.907
    assert round(printed["cv"], 3) == 0.020
    assert (round(printed["value_minus_2se"], 3), round(printed["value_plus_2se"], 3)) == (0.433, 0.469)
    assert (printed["n_weighted"], printed["n_unweighted"]) == (11545.0, 11556)


def test_what_the_policy_withholds_and_what_has_no_error_stays_out() -> None:
    rows = [
        estimate("A", 500),
        estimate("B", 24),
        estimate("C", 500, reliability_code="not_published"),
        estimate("D", 500, se=None, reliability_code="unreliable"),
    ]
    assert [row["measure_code"] for row in table(rows, [])] == ["A"]


def test_what_the_release_hides_is_not_shown_here() -> None:
    women, men = {"sex_code": "F"}, {"sex_code": "M"}
    rows = [estimate("A", 500), estimate("A", 100, **women), estimate("A", 400, **men)]
    shown = table(rows, [figure("A", 500), figure("A", None, "D", **women), figure("A", 400, **men)])
    assert [row["sex_code"] for row in shown] == ["M", "_T"]
    withheld_for_coverage = table([estimate("A", 500)], [figure("A", None) | {"value": None}])
    assert withheld_for_coverage == []


def test_of_a_pool_only_the_regional_figures_of_the_release_are_shown() -> None:
    """A regional row that is withheld for coverage loses its breakdowns altogether: nothing in the release says they are hidden."""
    pool = {"area_code": "ASEAN", "part_area_codes": ["KHM", "VNM"]}
    rows = [estimate(code, 900, **pool, **sex) for code in ("A", "B") for sex in ({}, {"sex_code": "F"})]
    region = {"area_code": "ASEAN"}
    shown = [
        figure("A", 900, **region),
        figure("A", 900, **region, sex_code="F"),
        figure("B", None, **region, value=None),
    ]
    assert [(row["measure_code"], row["sex_code"]) for row in table(rows, shown)] == [("A", "F"), ("A", "_T")]


def test_no_n_below_the_threshold_follows_by_subtraction() -> None:
    """500 in all, 480 women: the 20 men are withheld, and 500 - 480 must not give them back. A variant that the release does not
    show loses the whole breakdown; of a figure that it shows, what was audited with that n stays."""
    women, men = {"sex_code": "F"}, {"sex_code": "M"}
    rows = [estimate(code, 500) for code in ("A", "B")]
    rows += [estimate(code, 480, **women) for code in ("A", "B")] + [estimate(code, 20, **men) for code in ("A", "B")]
    free = [figure("A", 500), figure("A", 480, **women), figure("A", None, "C", **men)]
    assert [(row["measure_code"], row["sex_code"]) for row in table(rows, free)] == [
        ("A", "F"),
        ("A", "_T"),
        ("B", "_T"),
    ]
    secondary = [figure("A", 500), figure("A", None, "D", **women), figure("A", None, "C", **men)]
    assert [(row["measure_code"], row["sex_code"]) for row in table(rows, secondary)] == [("A", "_T"), ("B", "_T")]
    another_wave = [figure("A", 900), figure("A", 850, **women), figure("A", 50, **men)]
    assert [(row["measure_code"], row["sex_code"]) for row in table(rows, another_wave)] == [("A", "_T"), ("B", "_T")]


def test_the_columns_are_those_of_the_estimates() -> None:
    entry = read_entry(CATALOGUE / "tables" / "estimate.survey_estimate.toml", Table)
    computed = {"title", "deft", "value_minus_2se", "value_plus_2se"}
    assert set(SCHEMA) - computed <= set(entry.column_names)


@pytest.fixture(scope="module")
def errors() -> pl.DataFrame:
    """Two lines of one wave."""
    rows = [estimate("UH04", 2464, is_practice=True), estimate("UH04", 900, sex_code="F", is_practice=True)]
    return sampling_errors(pl.DataFrame(rows), pl.DataFrame([figure("none", 1)]))


def test_the_table_leaves_in_every_format_and_counts_as_news(
    tmp_path: Path,
    catalogue: ReleaseCatalogue,
    context: ReleaseContext,
    protect_rows: Callable[[list[dict[str, Any]]], Protected],
    world: list[dict[str, Any]],
    errors: pl.DataFrame,
) -> None:
    with_errors = replace(context, sampling_errors=errors)
    result = build_release(protect_rows(world), catalogue, with_errors, tmp_path)
    without, changed = (
        freeze_release(Draft(protect_rows(world), catalogue), later, None)[1]
        for later in (context, replace(context, sampling_errors=errors.with_columns(pl.col("deff") * 2)))
    )
    assert len({read_manifest(result.folder)["content_hash"], without, changed}) == 3, "new sampling errors are news"

    assert pl.read_parquet(result.folder / "data" / "sampling_error.parquet").equals(errors)
    assert pl.read_csv(result.folder / "data" / "sampling_error.csv").height == 2
    with duckdb.connect(str(result.folder / "mhwg.duckdb"), read_only=True) as connection:
        assert connection.execute(
            "select sex_code, n_unweighted, deft from sampling_error order by all"
        ).fetchall() == [
            ("F", 900, pytest.approx(3.636**0.5)),
            ("_T", 2464, pytest.approx(3.636**0.5)),
        ]
        meanings = connection.execute(
            "select column_name, description from dictionary where table_name = 'sampling_error'"
        ).fetchall()
    assert {name for name, _ in meanings} == set(SCHEMA)
    assert not [name for name, text in meanings if "as the disclosure audit reports it" in text]
    book = openpyxl.load_workbook(result.folder / "mhwg-tables.xlsx", read_only=True)
    lines = list(book["Sampling errors"].iter_rows(values_only=True))
    assert lines[0] == tuple(SCHEMA)
    assert len(lines) == 3
