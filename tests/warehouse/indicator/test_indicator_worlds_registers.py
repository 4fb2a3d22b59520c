"""Indicators over registers, facilities and published series, each in a world small enough for a pencil."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.indicator_engine import ImpossibleValue, compute_with_findings

AS_AT = datetime(2026, 7, 6, tzinfo=UTC)

YEAR = {"period_start_on": date(2025, 1, 1), "period_end_on": date(2025, 12, 31)}


def counted(
    register: str, number: float, *, span: dict[str, date] = YEAR, area: str = "VNM", **codes: str
) -> dict[str, Any]:
    key = ":".join([area, str(span["period_start_on"]), *codes.values()])
    return {"file_code": "f", "register_code": register, "record_code": key, "area_code": area, "quantity": number,
            "is_practice": True, "receipt_id": "p1", **span, **{f"{name}_code": code for name, code in codes.items()}}  # fmt: skip


def published(series: str, area: str, value: float, year: int = 2019, **more: Any) -> dict[str, Any]:
    return {"series_code": series, "edition_code": "now", "area_code": area, "year": year, "value": value,
            "is_current_edition": True, **more}  # fmt: skip


def contract(
    token: str, departed: date | None = None, returned: date | None = None, reason: str = "_Z", **more: Any
) -> dict[str, Any]:
    return {"contract_token": token, "sex_code": "F", "destination_code": "JPN", "departed_on": departed, "examination_result_code": "_U",
            "returned_on": returned, "return_reason_code": reason, "is_practice": True, "receipt_id": "c1", **more}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "register"),
    [
        ("TB05", "tb_rr_started"), ("TB07", "tb_hiv_status_asked"), ("TB15", "tb_contacts_identified"), ("HV04", "hiv_viral_tested"),
        ("HV02", "hiv_living_estimated"), ("GV01", "gcm_tasks_due"), ("TB14", "tb_screening_screened"), ("PE04", "poe_arrivals"),
    ],
)  # fmt: skip
def test_a_register_that_was_not_sent_is_no_zero(world: Any, code: str, register: str) -> None:
    world.put("core.programme_count", counted(register, 60))
    assert not world.observe(code).has("VNM", "2025")


def test_weeks_add_up_to_iso_years_and_to_no_month_or_quarter(world: Any) -> None:
    """2026W53 runs from 28 December 2026 to 3 January 2027: four of its days lie in 2026, so it counts there, whole and once."""
    weeks = {
        "2026W1": date(2025, 12, 29),
        "2026W10": date(2026, 3, 2),
        "2026W53": date(2026, 12, 28),
        "2027W1": date(2027, 1, 4),
    }
    for number, monday in enumerate(weeks.values(), start=1):
        span = {"period_start_on": monday, "period_end_on": monday + timedelta(days=6)}
        world.put(
            "core.programme_count", counted("poe_events", number, span=span), counted("poe_arrivals", 1000, span=span)
        )
        world.put("core.programme_count", counted("trainings", 10 * number, span=span))
    later = datetime(2027, 2, 1, tzinfo=UTC)
    cells = world.observe("PE04", as_at=later)
    assert [cells.where("VNM", week)["numerator"] for week in weeks] == [1, 2, 3, 4]
    assert (cells.where("VNM", "2026")["numerator"], cells.where("VNM", "2027")["numerator"]) == (1 + 2 + 3, 4)
    assert not cells.has("VNM", "2025")
    trained = world.observe("TB17", as_at=later)
    assert (trained.where("VNM", "2026")["value"], trained.where("VNM", "2027")["value"]) == (60, 40)
    assert not [cell for cell in trained if "Q" in cell["period_code"]], (
        "2026W14 would be missing from both its quarters"
    )


@pytest.fixture
def contracts(world: Any) -> Any:
    """Two abroad since 2023, two more since 2025."""
    world.put(
        "core.labour_contract",
        contract("a", date(2023, 5, 1), origin_area_code="VN34-91"),
        contract("b", date(2023, 6, 1), sex_code="M"),
        contract("c", date(2025, 6, 1)),
        contract("d", date(2024, 2, 1), date(2025, 3, 1), "health"),
        contract("e", date(2025, 7, 1)),
    )
    return world


def test_lm05_without_a_labour_force_is_missing(contracts: Any) -> None:
    contracts.put("core.programme_count", counted("labour_force", 5_000, area="VN34-91"))
    assert contracts.observe("LM05").where("VNM", "2023")["value"] is None, "no labour force of 2023: missing, not zero"


def test_lm08_counts_only_the_part_of_the_year_that_has_passed(contracts: Any) -> None:
    # As at 6 July 2026: 187 of 365 days; four abroad at both ends.
    assert contracts.observe("LM08").where("VNM", "2026")["denominator"] == pytest.approx(4 * 187 / 365)


def test_two_current_figures_for_one_cell_stop_the_indicator(world: Any) -> None:
    from warehouse.indicator_engine import IndicatorError

    world.put(
        "core.reference_value",
        published("uhc_service_coverage", "LAO", 50),
        published("uhc_service_coverage", "LAO", 51, edition_code="twin"),
    )
    with pytest.raises(IndicatorError, match="more than one published figure"):
        world.observe("UH01")


def test_asean_row_of_a_whole_indicator_by_hand(world: Any) -> None:
    """Notification rates of two members; the region has four, and Timor-Leste joins only on 26 October 2025."""
    for area, people, cases in (("VNM", 600, 6), ("KHM", 100, 4), ("LAO", 200, None), ("BRN", 100, None)):
        for year in (2024, 2025):
            world.put("core.reference_value", published("population_wpp", area, people, year))
            if cases is not None:
                world.put("core.reference_value", published("tb_notifications", area, cases, year))
    world.put(
        "core.reference_value",
        published("population_wpp", "TLS", 400, 2024),
        published("population_wpp", "TLS", 400, 2025),
    )
    cells = world.observe("TB02")
    before, after = cells.where("ASEAN", "2024"), cells.where("ASEAN", "2025")
    assert (before["membership_version"], before["coverage_share"]) == ("ASEAN4", 0.7)
    assert before["value"] == pytest.approx(10 / 700 * 100_000)
    assert before["obs_status"] == "E"
    assert before["lower"] == pytest.approx(4.795389 / 700 * 100_000, rel=1e-6)
    assert before["method_code"] == "regional_pooled"
    assert (after["membership_version"], after["coverage_share"]) == ("ASEAN5", 0.5)


def test_the_accession_is_a_break_in_the_regional_series(world: Any) -> None:
    """Four members at 50 per 100,000 in both years; in 2025 a fifth joins with 30 cases among 10,000 people."""
    for year in (2024, 2025):
        for code in ("VNM", "KHM", "LAO", "BRN"):
            world.put(
                "core.reference_value",
                published("tb_notifications", code, 125, year),
                published("population_wpp", code, 250_000, year),
            )
        world.put(
            "core.reference_value",
            published("tb_notifications", "TLS", 30, year),
            published("population_wpp", "TLS", 10_000, year),
        )
    cells = world.observe("TB02")
    before, after = cells.where("ASEAN", "2024"), cells.where("ASEAN", "2025")
    assert (before["value"], before["membership_version"], before["obs_flags"]) == (50, "ASEAN4", ["E"])
    assert after["value"] == pytest.approx(100_000 * 530 / 1_010_000)
    assert (after["membership_version"], after["obs_status"], after["obs_flags"]) == ("ASEAN5", "B", ["B", "E"])
    assert "membership_break" in after["footnote_codes"]
    assert "membership_break" not in before["footnote_codes"]
    assert (before["coverage_share"], after["coverage_share"]) == (1, 1)


def test_a_member_that_reports_nothing_lowers_the_coverage_and_is_no_zero(world: Any) -> None:
    sizes = {"VNM": 300_000, "KHM": 200_000, "LAO": 60_000, "BRN": 40_000}
    for code, size in sizes.items():
        world.put("core.reference_value", published("population_wpp", code, size, 2023))
    for code in ("VNM", "LAO"):
        world.put("core.reference_value", published("tb_notifications", code, 180, 2023))
    row = world.observe("TB02").where("ASEAN", "2023")
    assert row["value"] == pytest.approx(100_000 * 360 / 360_000)
    assert row["coverage_share"] == pytest.approx(0.6)
    world.put(
        "core.reference_value",
        published("population_wpp", "LAO", 60_000, 2022),
        published("tb_notifications", "LAO", 60, 2022),
    )
    for code in ("VNM", "KHM", "BRN"):
        world.put("core.reference_value", published("population_wpp", code, sizes[code], 2022))
    short = world.observe("TB02").where("ASEAN", "2022")
    assert (short["value"], short["obs_status"], short["coverage_share"]) == (None, "O", pytest.approx(0.1))
    assert "coverage_low" in short["footnote_codes"]


def test_women_above_all_are_withheld_and_reported(world: Any) -> None:
    """LM02: a female figure above the total is impossible; the cell is emptied, and reported with its numbers."""
    world.put(
        "core.labour_document", {"document_code": "doc", "kind_code": "bulletin", "published_on": date(2024, 1, 5)}
    )
    base = {"series_code": "deployments", "window_code": "year", "period_code": "2023", "destination_code": "_T", "document_code": "doc",
            "published_on": date(2024, 1, 5), "period_start_on": date(2023, 1, 1), "period_end_on": date(2023, 12, 31),
            "finality_code": "final", "precision_code": "exact", "confidence_code": "confirmed"}  # fmt: skip
    world.put("core.labour_figure", {**base, "sex_code": "_T", "value": 100}, {**base, "sex_code": "F", "value": 101})
    known = indicator_catalogue()
    with pytest.raises(ImpossibleValue, match="LM02: 1 impossible"):
        world.observe("LM02")
    found = compute_with_findings(world.connection, [known.indicators["LM02"]], AS_AT, catalogue=known)
    (cell,) = [row for row in found.observations.to_dicts() if row["area_code"] == "VNM"]
    assert (cell["value"], cell["obs_status"], cell["footnote_codes"][0]) == (None, "O", "impossible_withheld")


def test_a_value_outside_the_plausible_range_is_published_with_a_warning(world: Any) -> None:
    world.put(
        "core.reference_value",
        published("tb_notifications", "LAO", 900, 2023),
        published("population_wpp", "LAO", 100_000, 2023),
    )
    cell = world.observe("TB02").where("LAO", "2023")
    assert (cell["value"], cell["obs_flags"]) == (pytest.approx(900), ["V"])
    assert "outside_plausible_range" in cell["footnote_codes"]
