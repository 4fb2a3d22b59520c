"""A value that the ledger flags: it counts as sent, and every cell that rests on it says that it is doubted."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.change_log import _moved_by_doubt_alone, _moved_by_marks_alone, _undoubted
from warehouse.indicator_engine import compute
from warehouse.refresh_log import mark_corrected

AS_AT = datetime(2026, 7, 6, tzinfo=UTC)


def reported(concept: str, value: float, unit: str, month: int = 5) -> dict[str, Any]:
    return {"instance_code": "vnm", "data_element_uid": concept, "period_code": f"2026{month:02}", "org_unit_uid": unit,
            "category_option_combo_uid": "_T", "attribute_option_combo_uid": "x", "concept_code": concept,
            "category_code": "_T", "value_number": value, "period_type_code": "Monthly",
            "period_start_on": date(2026, month, 1), "period_end_on": date(2026, month, 28), "is_practice": True}  # fmt: skip


@pytest.fixture
def facilities(world: Any) -> Any:
    for unit, province in (("u1", "VN34-91"), ("k1", "KH-20")):
        country = "VNM" if unit == "u1" else "KHM"
        world.put(
            "core.org_unit",
            {"instance_code": "vnm", "org_unit_uid": unit, "country_code": country, "province_area_code": province},
        )
        for month in (4, 5):
            world.put(
                "core.data_value",
                reported("MAL_IMPORTED", 0 if month == 5 else 3, unit, month), reported("MAL_CLASSIFIED", 40, unit, month),
            )  # fmt: skip
    return world


def flag(world: Any, key: str) -> None:
    world.put(
        "core.correction_row",
        {"correction_code": "C", "table_name": "core.data_value", "row_key": key, "action_code": "flag",
         "column_name": "value_number", "raw_value": "0", "provider_code": "dhis2_vnm", "reason": "x"},
    )  # fmt: skip


def observed(world: Any) -> pl.DataFrame:
    known = indicator_catalogue()
    made = compute(world.connection, [known.indicators["ML02"]], AS_AT, catalogue=known)
    return mark_corrected(world.connection, made, AS_AT, {}, known)


def doubted(frame: pl.DataFrame) -> set[tuple[str, str]]:
    return set(
        frame.filter(pl.col("footnote_codes").list.contains("doubted")).select("area_code", "period_code").rows()
    )


def test_every_cell_that_rests_on_a_flagged_value_says_so_and_none_other(facilities: Any) -> None:
    plain = observed(facilities)
    assert doubted(plain) == set()
    # May's imported cases of u1 are a zero: taking the row away would move nothing, the doubt is seen all the same.
    flag(facilities, "vnm|MAL_IMPORTED|202605|u1|_T|x")
    marked = observed(facilities)
    assert doubted(marked) >= {("VN34-91", "202605"), ("VNM", "202605"), ("VNM", "2026")}
    assert not [cell for cell in doubted(marked) if cell[0] in ("KHM", "KH-20") or cell[1] == "202604"]
    assert marked["value"].equals(plain["value"]), "a flag changes no figure"
    assert marked["obs_status"].equals(plain["obs_status"])


def test_a_key_that_is_not_there_marks_nothing(facilities: Any) -> None:
    flag(facilities, "vnm|MAL_IMPORTED|202601|u1|_T|x")
    assert doubted(observed(facilities)) == set()


def test_a_mark_put_on_or_taken_off_is_a_change_because_of_the_ledger(facilities: Any) -> None:
    plain = observed(facilities)
    flag(facilities, "vnm|MAL_IMPORTED|202605|u1|_T|x")
    marked = observed(facilities)
    for was, after in ((plain, marked), (marked, plain)):
        moved = set(_moved_by_doubt_alone(was, after).select("area_code", "period_code").rows())
        assert moved == doubted(marked)
        assert _moved_by_marks_alone(_undoubted(was), _undoubted(after)).is_empty()
    revised = marked.with_columns(pl.when(area_code="VNM").then(99.0).otherwise("value").alias("value"))
    assert "VNM" not in set(_moved_by_doubt_alone(plain, revised)["area_code"]), (
        "a figure that moved needs another cause"
    )
