"""Each indicator of the first set in a world small enough for a pencil."""

from datetime import UTC, date, datetime
from typing import Any

import pytest


def population(area: str, year: int, value: float, **codes: str) -> dict[str, Any]:
    return {"series_code": "population_wpp", "edition_code": "wpp2024", "area_code": area, "year": year, "value": value,
            "is_current_edition": True, **codes}  # fmt: skip


def figure(series: str, area: str, year: int, value: float, **more: Any) -> dict[str, Any]:
    return {"series_code": series, "edition_code": "now", "area_code": area, "year": year, "value": value,
            "is_current_edition": True, **more}  # fmt: skip


def deployment(period: str, value: float, destination: str = "_T", sex: str = "_T", **more: Any) -> dict[str, Any]:
    year, month = int(period[:4]), int(period[4:] or 1)
    window = more.pop("window", "month" if len(period) == 6 else "year")
    start = date(year, 1, 1) if window != "month" else date(year, month, 1)
    end = date(year, 12, 31) if len(period) == 4 else date(year, month, 28)
    return {"series_code": "deployments", "window_code": window, "period_code": period, "destination_code": destination,
            "sex_code": sex, "document_code": "doc", "published_on": date(2025, 1, 5), "period_start_on": start,
            "period_end_on": end, "value": value, "finality_code": "final", "precision_code": "exact",
            "confidence_code": "confirmed", "receipt_id": "r1", **more}  # fmt: skip


@pytest.fixture
def labour(world: Any) -> Any:
    """The published year 2023 with two of its destinations, the year 2022, and plans."""
    world.put(
        "core.labour_document", {"document_code": "doc", "kind_code": "bulletin", "published_on": date(2025, 1, 5)}
    )
    world.put(
        "core.labour_figure",
        deployment("2023", 159_986), deployment("2023", 55_804, sex="F"),
        deployment("2023", 80_010, "JPN"), deployment("2023", 34_523, "JPN", "F"),
        deployment("2023", 11_626, "KOR"), deployment("2023", 1_073, "KOR", "F"),
        deployment("2022", 142_779),
        deployment("2022", 90_000, series_code="plan"), deployment("2023", 120_000, series_code="plan"),
        deployment("202402", 23_195, window="cumulative"), deployment("2024", 125_000, series_code="plan"),
    )  # fmt: skip
    return world


def test_lm01_takes_totals_as_published_and_never_adds_parts(labour: Any) -> None:
    cells = labour.observe("LM01")
    whole = cells.where("VNM", "2023")
    assert whole["value"] == 159_986
    assert whole["lower"] is None
    assert whole["obs_status"] == "A"
    assert cells.where("VNM", "2023", sex="F")["value"] == 55_804
    assert cells.where("VNM", "2023", destination="JPN", sex="F")["value"] == 34_523
    assert cells.where("VNM", "2022")["value"] == 142_779
    assert not cells.has("VNM", "2022", destination="JPN")


def test_lm01_shows_a_part_of_a_year_as_what_it_is(labour: Any) -> None:
    """2024: two and eleven months are published, no year. The eleven months stand for the year, provisional, and say so."""
    labour.put(
        "core.labour_figure",
        deployment("202411", 143_160, window="cumulative"), deployment("202411", 45_350, sex="F", window="cumulative"),
        deployment("202411", 69_188, "JPN", window="cumulative"), deployment("202410", 16_744),
    )  # fmt: skip
    cells = labour.observe("LM01")
    part = cells.where("VNM", "2024")
    assert (part["value"], part["obs_status"]) == (143_160, "P")
    assert "year_to_date_11" in part["footnote_codes"]
    assert (str(part["period_start_on"]), str(part["period_end_on"])) == ("2024-01-01", "2024-12-31")
    assert cells.where("VNM", "2024", destination="JPN")["value"] == 69_188
    assert cells.where("VNM", "2024", sex="M")["value"] == 143_160 - 45_350
    assert cells.where("VNM", "202410")["value"] == 16_744, "a month stays a month"
    assert cells.where("VNM", "2023")["footnote_codes"] == ["no_sampling_interval"], "a year of its own wins"
    share = labour.observe("LM02").where("VNM", "2024")
    assert share["value"] == pytest.approx(100 * 45_350 / 143_160)
    assert "year_to_date_11" in share["footnote_codes"]


def test_lm02_divides_women_by_all_and_has_no_sampling_interval(labour: Any) -> None:
    cells = labour.observe("LM02")
    assert cells.where("VNM", "2023")["value"] == pytest.approx(100 * 55_804 / 159_986)
    korea = cells.where("VNM", "2023", destination="KOR")
    assert korea["value"] == pytest.approx(9.2293, abs=5e-5)
    assert (korea["numerator"], korea["denominator"]) == (1_073, 11_626)
    assert korea["lower"] is None
    assert not cells.has("VNM", "2022"), "women of 2022 are not published: no share, and not a zero"


# Period, departures since 1 January, plan, percent as printed: releases of the overseas-labour department.
ACHIEVED = [
    ("202209", 103_026, 90_000, 114.47), ("2022", 142_779, 90_000, 158.64), ("2023", 159_986, 120_000, 133.32),
    ("202402", 23_195, 125_000, 18.56), ("202404", 48_363, 125_000, 38.69), ("202411", 143_160, 125_000, 114.53),
    ("202510", 128_044, 130_000, 98.5),
]  # fmt: skip


@pytest.mark.parametrize(("period", "departed", "plan", "printed"), ACHIEVED)
def test_lm04_recomputes_the_published_percentages(
    world: Any, period: str, departed: int, plan: int, printed: float
) -> None:
    world.put(
        "core.labour_document", {"document_code": "doc", "kind_code": "bulletin", "published_on": date(2025, 1, 5)}
    )
    window = "year" if len(period) == 4 else "cumulative"
    world.put(
        "core.labour_figure",
        deployment(period, departed, window=window),
        deployment(period[:4], plan, series_code="plan"),
    )
    cells = world.observe("LM04")
    cell = cells.where("VNM", period)
    assert round(cell["value"], 2) == printed
    assert "plan_upper_bound" in cell["footnote_codes"]
    assert window == "year" or not cells.has("VNM", period[:4]), "some months are not the year"


def test_lm03_recomputes_published_shares_and_the_remainder(labour: Any) -> None:
    """2023: 80,010 to Japan and 11,626 to Korea of 159,986. October 2025: Japan and Taiwan together 85.0 % as printed."""
    labour.put(
        "core.labour_figure",
        deployment("202510", 11_740), deployment("202510", 5_799, "JPN"), deployment("202510", 4_184, "TWN"),
    )  # fmt: skip
    cells = labour.observe("LM03")
    shares = [cells.where("VNM", "2023", destination=code)["value"] for code in ("JPN", "KOR", "_O")]
    assert shares[0] == pytest.approx(100 * 80_010 / 159_986)
    assert cells.where("VNM", "2023", destination="_O")["numerator"] == 159_986 - 80_010 - 11_626
    assert sum(shares) == pytest.approx(100)
    both = sum(cells.where("VNM", "202510", destination=code)["value"] for code in ("JPN", "TWN"))
    assert round(both, 1) == 85.0


def test_a_rate_without_denominator_is_null_and_says_missing(world: Any) -> None:
    world.put("core.reference_value", figure("tb_notifications", "BRN", 2023, 10))
    cell = world.observe("TB02").where("BRN", "2023")
    assert cell["value"] is None
    assert cell["obs_status"] == "O"
    assert cell["numerator"] == 10
    assert "denominator_missing" in cell["footnote_codes"]


def referral(
    code: str, on: date, registered: int | None = None, received: int | None = None, **more: Any
) -> dict[str, Any]:
    after = lambda days: None if days is None else date.fromordinal(on.toordinal() + days)  # noqa: E731
    return {"referral_code": code, "disease_code": "TB", "sex_code": "F", "from_country_code": "VNM",
            "from_area_code": "VN34-91", "to_country_code": "KHM", "link_code": "linked", "referred_on": on,
            "received_on": after(received), "registered_on": after(registered), "is_practice": True,
            "receipt_id": f"receipt-{code[0]}", **more}  # fmt: skip


def test_tb10_counts_each_referral_once_in_every_area_that_holds_it(world: Any) -> None:
    may = date(2026, 5, 4)
    world.put(
        "core.referral",
        referral("a1", may),
        referral("a2", may, sex_code="M"),
        referral("b3", date(2026, 6, 1), from_area_code="VN63-89"),
        referral("b4", may, link_code="arrived_unannounced"),
        referral("b5", may, link_code="duplicate"),
        referral("b6", may, disease_code="HIV"),
        referral("b7", may, from_country_code="KHM", from_area_code="KH-20", to_country_code="VNM"),
    )
    cells = world.observe("TB10")
    assert cells.where("VNM", "2026")["value"] == 3
    assert cells.where("VNM", "202605")["value"] == 2
    assert cells.where("VNM", "2026", sex="M")["value"] == 1
    assert not cells.has("VNM", "202605", sex="M"), "months show the total only"
    assert cells.where("VN34-91", "2026Q2")["value"] == 3, "the old province counts in its successor"
    assert not any(cell["area_code"].startswith("VN63") for cell in cells)
    assert cells.where("KHM", "2026", origin="KHM", destination="VNM")["value"] == 1
    year = cells.where("VNM", "2026")
    assert year["is_practice"]
    assert year["receipt_ids"] == ["receipt-a", "receipt-b"]
    assert year["obs_status"] == "P", "the year is not over"
    assert cells.where("VNM", "202605")["obs_status"] == "A"


def test_tb11_nobody_arrived_is_zero_and_nothing_closed_is_no_cell(world: Any) -> None:
    world.put("core.referral", referral("a1", date(2026, 5, 5)), referral("a2", date(2026, 7, 1), registered=2))
    cells = world.observe("TB11")
    assert cells.where("VNM", "202605")["value"] == 0
    assert not cells.has("VNM", "202607")


def test_tb11_follows_the_instant_not_the_machine(world: Any) -> None:
    world.put("core.referral", referral("a1", date(2026, 6, 1), registered=2))
    assert not world.observe("TB11", as_at=datetime(2026, 6, 20, tzinfo=UTC)).has("VNM", "202606")
    assert world.observe("TB11", as_at=datetime(2026, 7, 20, tzinfo=UTC)).where("VNM", "202606")["value"] == 100


def test_tb12_without_a_median_says_missing(world: Any) -> None:
    world.put("core.referral", *[referral(f"c{n}", date(2026, 3, 2), link_code="sent_not_arrived") for n in range(3)])
    cell = world.observe("TB12").where("VNM", "2026Q1")
    assert cell["value"] is None
    assert cell["obs_flags"][0] == "O"


def reported(concept: str, value: float, unit: str = "u1", month: int = 5, category: str = "_T") -> dict[str, Any]:
    return {"instance_code": "vnm", "data_element_uid": concept, "period_code": f"2026{month:02}", "org_unit_uid": unit,
            "category_option_combo_uid": category, "attribute_option_combo_uid": "x", "concept_code": concept,
            "category_code": category, "value_number": value, "period_type_code": "Monthly",
            "period_start_on": date(2026, month, 1), "period_end_on": date(2026, month, 28), "is_practice": True}  # fmt: skip


@pytest.fixture
def facilities(world: Any) -> Any:
    for unit, province in (("u1", "VN34-91"), ("u2", "VN63-91")):
        world.put(
            "core.org_unit",
            {"instance_code": "vnm", "org_unit_uid": unit, "country_code": "VNM", "province_area_code": province},
        )
    return world


@pytest.fixture
def moved(facilities: Any) -> Any:
    """u1 lay in VN34-80 until it was first seen in VN34-91 on 10 May 2026."""
    facilities.put(
        "core.area",
        {"area_code": "VN34-80", "area_type_code": "province", "parent_code": "VNM", "frame_code": "vn34"},
    )
    facilities.put(
        "core.org_unit_earlier_place",
        {"instance_code": "vnm", "org_unit_uid": "u1", "valid_from_on": date(1, 1, 1), "valid_to_on": date(2026, 5, 9),
         "country_code": "VNM", "province_area_code": "VN34-80"},
    )  # fmt: skip
    return facilities


def test_a_facility_counts_in_the_province_where_it_lay_at_the_event(moved: Any) -> None:
    """April stays where it was reported."""
    moved.put(
        "core.data_value",
        reported("MAL_IMPORTED", 1, month=4), reported("MAL_CLASSIFIED", 10, month=4),
        reported("MAL_IMPORTED", 2, month=5), reported("MAL_CLASSIFIED", 20, month=5),
        reported("MAL_IMPORTED", 1, "u2", month=4), reported("MAL_CLASSIFIED", 7, "u2", month=4),
    )  # fmt: skip
    cells = moved.observe("ML02")
    assert cells.where("VN34-80", "202604")["denominator"] == 10
    assert not cells.has("VN34-80", "202605")
    assert cells.where("VN34-91", "202604")["denominator"] == 7, "u2 alone: u1 lay elsewhere"
    assert cells.where("VN34-91", "202605")["denominator"] == 20
    assert cells.where("VNM", "202604")["denominator"] == 17, "the country does not notice"
    assert cells.where("VNM", "2026")["denominator"] == 37


def test_a_facility_owes_its_report_where_it_lay_at_the_event(moved: Any) -> None:
    moved.put(
        "core.data_set_assignment",
        {"instance_code": "vnm", "data_set_uid": "d", "org_unit_uid": "u1", "data_set_code": "TB_MONTHLY",
         "period_type_code": "Monthly", "timely_days": 15},
    )  # fmt: skip
    moved.put(
        "core.data_set_registration",
        {"instance_code": "vnm", "data_set_uid": "d", "attribute_option_combo_uid": "x", "is_completed": True,
         "org_unit_uid": "u1", "period_code": "202604", "period_start_on": date(2026, 4, 1),
         "period_end_on": date(2026, 4, 30), "registered_at": datetime(2026, 5, 3)},
    )  # fmt: skip
    cells = moved.observe("DQ01")
    april, may = cells.where("VN34-80", "202604"), cells.where("VN34-91", "202605")
    assert (april["numerator"], april["denominator"]) == (1, 1)
    assert (may["numerator"], may["denominator"]) == (0, 1)
    assert not cells.has("VN34-91", "202604")


def test_impossible_figures_stop_the_indicator(facilities: Any) -> None:
    from warehouse.catalogue.indicator_catalogue import indicator_catalogue
    from warehouse.indicator_engine import ImpossibleValue, compute_with_findings

    facilities.put("core.data_value", reported("MAL_IMPORTED", 41), reported("MAL_CLASSIFIED", 40))
    with pytest.raises(ImpossibleValue, match="ML02"):
        facilities.observe("ML02")
    found = compute_with_findings(
        facilities.connection, [indicator_catalogue().indicators["ML02"]], datetime(2026, 7, 6, tzinfo=UTC)
    )
    withheld = found.observations.filter(area_code="VNM", period_type_code="M").row(0, named=True)
    assert withheld["value"] is None
    assert withheld["obs_status"] == "O"
    assert "impossible_withheld" in withheld["footnote_codes"]
    assert found.findings[0].kind == "impossible"


def estimate(measure: str, area: str, value: float | None, **more: Any) -> dict[str, Any]:
    return {"survey_code": "s1", "wave_code": "w1", "measure_code": measure, "area_code": area, "period_code": "2025",
            "value": value, "se": 0.02, "lower": 0.5, "upper": 0.6, "interval_code": "logit95", "n_unweighted": 300,
            "reliability_code": "shown", "is_probability": True, "migrant_basis_code": "B", "is_practice": True, **more}  # fmt: skip


@pytest.mark.parametrize("code", ["UH04", "UH05", "UH06", "UH07", "UH08"])
def test_survey_estimates_keep_their_own_interval_and_basis(world: Any, code: str) -> None:
    world.put(
        "estimate.survey_estimate",
        estimate(code, "VNM", 0.55),
        estimate(code, "VNM", 0.45, sex_code="F", reliability_code="bracketed", n_unweighted=40),
        estimate(code, "VNM", 0.99, sex_code="M", reliability_code="suppressed", n_unweighted=12),
        estimate("other", "VNM", 0.11),
    )
    cells = world.observe(code)
    whole = cells.where("VNM", "2025")
    assert whole["value"] == pytest.approx(55)
    assert (whole["lower"], whole["upper"], whole["se"]) == (50, 60, pytest.approx(2))
    assert whole["interval_code"] == "logit95"
    assert whole["migrant_basis_code"] == "B"
    assert whole["n"] == 300
    women = cells.where("VNM", "2025", sex="F")
    assert women["obs_status"] == "U"
    assert "bracketed_small_sample" in women["footnote_codes"]
    men = cells.where("VNM", "2025", sex="M")
    assert men["value"] is None
    assert men["obs_status"] == "Q"


def test_uh04_takes_one_wave_per_cell(world: Any) -> None:
    world.put(
        "estimate.survey_estimate",
        estimate("UH04", "VNM", 0.55),
        estimate("UH04", "VNM", 0.90, survey_code="s2", is_probability=False, n_unweighted=9_000),
    )
    assert world.observe("UH04").where("VNM", "2025")["value"] == pytest.approx(55)


REGION = {"area_code": "ASEAN", "area_type_code": "asean", "frame_code": "iso3"}


def pooled_estimate(measure: str, value: float, parts: list[str], **more: Any) -> dict[str, Any]:
    codes = {"survey_code": "POOL", "wave_code": "2025", "migrant_basis_code": "_T", "part_area_codes": parts}
    return estimate(measure, "ASEAN", value, **{**codes, "n_unweighted": 900, **more})


def test_a_regional_survey_figure_is_the_pooled_estimate_not_the_mean_of_members(world: Any) -> None:
    """Viet Nam and Cambodia hold 117 of 125 million; the pooled sample says 60 %, whatever the mean of 55 % and 95 % is."""
    world.put("core.area", REGION)
    people = {"VNM": 100, "KHM": 17, "LAO": 5, "BRN": 1, "TLS": 2}
    world.put("core.reference_value", *[population(code, 2025, count) for code, count in people.items()])
    world.put(
        "estimate.survey_estimate",
        estimate("UH04", "VNM", 0.55, receipt_id="r-vnm"),
        estimate("UH04", "KHM", 0.95, receipt_id="r-khm", period_code="2025Q3"),
        pooled_estimate("UH04", 0.60, ["KHM", "VNM"]),
        pooled_estimate("UH04", 0.70, ["KHM", "VNM"], sex_code="F"),
        pooled_estimate("UH05", 0.20, ["KHM"]),
        pooled_estimate("UH05", 0.30, ["KHM"], sex_code="F"),
    )
    cells = world.observe("UH04")
    asean = cells.where("ASEAN", "2025")
    assert asean["value"] == pytest.approx(60)
    assert (asean["lower"], asean["upper"], asean["n"]) == (50, 60, 900)
    assert asean["interval_code"] == "logit95", "the interval of the estimate, not of independent errors"
    assert (asean["method_code"], asean["obs_flags"]) == ("regional_pooled_microdata", ["B", "E"]), (
        "2025: the accession"
    )
    assert asean["coverage_share"] == pytest.approx(117 / 125)
    assert asean["receipt_ids"] == ["r-khm", "r-vnm"]
    assert cells.where("ASEAN", "2025", sex="F")["value"] == pytest.approx(70)
    assert sum(cell["area_code"] == "ASEAN" for cell in cells) == 2

    thin = world.observe("UH05")
    withheld = thin.where("ASEAN", "2025")
    assert (withheld["value"], withheld["lower"], withheld["n"], withheld["obs_status"]) == (None, None, None, "O")
    assert withheld["coverage_share"] == pytest.approx(17 / 125)
    assert "coverage_low" in withheld["footnote_codes"]
    assert not thin.has("ASEAN", "2025", sex="F")


def test_without_a_pool_there_is_no_regional_survey_figure(world: Any) -> None:
    world.put("core.area", REGION)
    world.put("estimate.survey_estimate", *[estimate("UH04", code, 0.5) for code in ("VNM", "KHM")])
    assert not world.observe("UH04").has("ASEAN", "2025")
