"""The expected-reports ledger, checked by pencil."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from methods.expected_reports import ledger, reporting_rates, unexpected_reports

AT = datetime(2024, 3, 12, 5, 0, tzinfo=UTC)
JANUARY, FEBRUARY, MARCH = "202401", "202402", "202403"


def world(
    registered: list[tuple[str, str, datetime | None, bool]], at: datetime = AT, **life: Any
) -> tuple[pl.DataFrame, pl.DataFrame]:
    units = {"u1": (None, None), "u2": (None, None), **life}
    assignments = pl.DataFrame(
        [("vnm", "ds", unit, "M", 15) for unit in units],
        schema=["instance_code", "data_set_uid", "org_unit_uid", "period_type_code", "timely_days"],
        orient="row",
    )
    org_units = pl.DataFrame(
        [("vnm", unit, *dates) for unit, dates in units.items()],
        schema={"instance_code": pl.String, "org_unit_uid": pl.String, "opening_on": pl.Date, "closed_on": pl.Date},
        orient="row",
    )
    periods = pl.DataFrame(
        [
            (JANUARY, "M", date(2024, 1, 1), date(2024, 1, 31)),
            (FEBRUARY, "M", date(2024, 2, 1), date(2024, 2, 29)),
            (MARCH, "M", date(2024, 3, 1), date(2024, 3, 31)),
            ("2023", "A", date(2023, 1, 1), date(2023, 12, 31)),
        ],
        schema=["period_code", "period_type_code", "period_start_on", "period_end_on"],
        orient="row",
    )
    registrations = pl.DataFrame(
        [("vnm", "ds", *entry) for entry in registered],
        schema={
            "instance_code": pl.String,
            "data_set_uid": pl.String,
            "org_unit_uid": pl.String,
            "period_code": pl.String,
            "registered_at": pl.Datetime("us"),
            "is_completed": pl.Boolean,
        },
        orient="row",
    )
    return ledger(assignments, org_units, periods, registrations, at), registrations


def states(owed: pl.DataFrame) -> dict[tuple[str, str], str]:
    return {(row["org_unit_uid"], row["period_code"]): row["state_code"] for row in owed.iter_rows(named=True)}


def test_states_by_pencil() -> None:
    owed, _ = world([("u1", JANUARY, datetime(2024, 2, 3), True), ("u2", JANUARY, datetime(2024, 3, 1), True)])
    assert states(owed) == {
        ("u1", JANUARY): "on_time",
        ("u2", JANUARY): "late",
        ("u1", FEBRUARY): "not_due",
        ("u2", FEBRUARY): "not_due",
    }


@pytest.mark.parametrize(
    ("registered_at", "state"),
    [
        (datetime(2024, 2, 15, 23, 59), "on_time"),
        (datetime(2024, 2, 16, 0, 0), "on_time"),
        (datetime(2024, 2, 16, 0, 1), "late"),
    ],
)
def test_the_last_day_is_in_time(registered_at: datetime, state: str) -> None:
    owed, _ = world([("u1", JANUARY, registered_at, True)])
    assert states(owed)["u1", JANUARY] == state


def test_an_uncompleted_registration_is_no_report_and_a_due_one_is_missing() -> None:
    owed, _ = world([("u1", JANUARY, datetime(2024, 2, 1), False)])
    assert states(owed)["u1", JANUARY] == "missing"


def test_a_report_without_an_instant_came_but_not_in_time() -> None:
    owed, _ = world([("u1", JANUARY, None, True)])
    assert states(owed)["u1", JANUARY] == "late"


def test_only_units_open_over_the_whole_period_owe() -> None:
    owed, _ = world(
        [],
        opened_midway=(date(2024, 1, 2), None),
        closed_midway=(None, date(2024, 1, 30)),
        closed_at_the_end=(date(2024, 1, 1), date(2024, 1, 31)),
    )
    january = {unit for unit, period in states(owed) if period == JANUARY}
    assert january == {"u1", "u2", "closed_at_the_end"}
    assert ("closed_at_the_end", FEBRUARY) not in states(owed)


def test_rates_and_unexpected_reports() -> None:
    owed, registrations = world(
        [
            ("u1", JANUARY, datetime(2024, 2, 3), True),
            ("u2", JANUARY, datetime(2024, 3, 1), True),
            ("stranger", JANUARY, datetime(2024, 2, 1), True),
        ],
    )
    (january,) = reporting_rates(owed, ["period_code"]).filter(pl.col("period_code") == JANUARY).iter_rows(named=True)
    assert (january["expected"], january["actual"], january["actual_on_time"]) == (2, 2, 1)
    assert (january["completeness_percent"], january["timeliness_percent"]) == (100.0, 50.0)
    assert unexpected_reports(owed, registrations)["org_unit_uid"].to_list() == ["stranger"]


def test_nothing_expected_gives_no_rate_and_not_zero() -> None:
    owed, _ = world([])
    (february,) = reporting_rates(owed, ["period_code"]).filter(pl.col("period_code") == FEBRUARY).iter_rows(named=True)
    assert (february["expected"], february["completeness_percent"]) == (0, None)


def test_several_option_combinations_are_one_report() -> None:
    owed, _ = world([("u1", JANUARY, datetime(2024, 2, 3), True), ("u1", JANUARY, datetime(2024, 2, 20), True)])
    assert states(owed)["u1", JANUARY] == "late"
    assert owed.height == 4
