"""Contradictions of published figures, each by pencil, and repairs that are really repairs."""

from dataclasses import replace
from datetime import date
from math import inf

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.labour.citations import cited_documents
from methods.reconciliation import (
    Claim,
    Finding,
    is_slip,
    reconcile,
    reconcile_frame,
    register_claims,
    register_stock_claims,
    relations,
)

DAY = date(2025, 1, 5)


def claim(value: float, place: str = "_T", sex: str = "_T", **more: object) -> Claim:
    """A deployment figure of one document."""
    values = {
        "series": "deployments",
        "window": "cumulative",
        "period": "202404",
        "document": "d",
        "published_on": DAY,
    } | more
    return Claim(destination=place, sex=sex, value=value, **values)  # type: ignore[arg-type]


def published() -> list[Claim]:
    """Every confirmed or computed figure of the cited documents."""
    return [
        Claim(f.series_code, f.window_code, f.period_code, f.destination_code, f.sex_code, d.document_code, f.value,
              d.published_on, f.precision_code, f.resolution)
        for d in cited_documents() for f in d.figures if f.confidence_code != "unverified"
    ]  # fmt: skip


def rules(findings: list[Finding]) -> list[str]:
    """Rule names, in order."""
    return [rule for finding in findings for rule in finding.rules]


def test_the_published_record_has_one_revision_and_no_contradiction() -> None:
    findings = reconcile(published())
    assert [finding for finding in findings if finding.severity == "error"] == []
    revision = next(
        finding for finding in findings if finding.rules == ("same_fact",) and "oct-2025-b" in finding.documents
    )
    assert revision.severity == "warning"
    assert "121 190 -> 128 044 (+6 854)" in revision.statement
    assert "KOR 9 996 -> 9 599 (-397)" in revision.statement, "Korea fell: a derived month may be negative"


def test_the_plan_percentage_is_taken_on_the_upper_bound() -> None:
    checked = {relation.claims[1].document for relation in relations(published()) if relation.rule == "plan_percentage"}
    assert {"year-2022", "year-2023", "apr-2024", "oct-2025-a", "oct-2025-b"} <= checked
    on_lower = [
        replace(found, value=110_000.0) if found.document == "year-2023" and found.series == "plan" else found
        for found in published()
    ]
    assert "plan_percentage" in rules(reconcile(on_lower)), "133.3 % is not 159 986 of the lower bound 110 000"


def test_parts_that_do_not_sum_name_every_figure_that_could_be_wrong() -> None:
    (finding,) = reconcile([claim(100), claim(60, "JPN"), claim(30, "TWN"), claim(5, "_O")])
    assert finding.rules == ("parts_of_total",)
    assert finding.severity == "error"
    assert len(finding.alternatives) == 4
    assert finding.repair is None or finding.repair.is_slip
    assert "differ by 5" in finding.statement


def test_a_transposition_is_found_as_the_single_slip() -> None:
    # 182 typed as 128: no other figure becomes right by one slip.
    (finding,) = reconcile([claim(1_000), claim(500, "JPN"), claim(128, "MAC"), claim(318, "_O")])
    assert finding.repair is not None
    assert (finding.repair.claim.destination, finding.repair.value) == ("MAC", 182)


def test_a_figure_in_two_broken_relations_is_the_single_repair() -> None:
    # Total 99 breaks both its parts (sum 90) and its plan (90 of 100 is 90 %).
    claims = [
        claim(99), claim(60, "JPN"), claim(30, "_O"), claim(100, series="plan", window="year", period="2024"),
        claim(90.0, series="plan_achievement_percent", resolution=0.1),
    ]  # fmt: skip
    (finding,) = reconcile(claims)
    assert set(finding.rules) == {"parts_of_total", "plan_percentage"}
    assert finding.repair is not None
    assert (finding.repair.claim.destination, finding.repair.value) == ("_T", 90)
    assert len(finding.alternatives) == 1


def test_named_parts_may_leave_a_rest_but_not_exceed_the_total() -> None:
    assert reconcile([claim(100), claim(60, "JPN")]) == []
    assert rules(reconcile([claim(100), claim(60, "JPN"), claim(50, "TWN")])) == ["parts_within_total"]


def test_women_do_not_exceed_the_total() -> None:
    assert rules(reconcile([claim(100, "JPN"), claim(101, "JPN", "F")])) == ["women_within_total"]
    assert reconcile([claim(100, "JPN"), claim(100, "JPN", "F")]) == []


def test_month_is_the_difference_of_cumulatives() -> None:
    before = claim(900, period="202403", document="c")
    good, bad = claim(100, window="month"), claim(101, window="month")
    assert reconcile([before, claim(1_000), good]) == []
    (finding,) = reconcile([before, claim(1_000), bad])
    assert finding.rules == ("month_from_cumulative",)
    assert set(finding.documents) == {"c", "d"}


def test_a_month_fits_when_it_fits_one_vintage() -> None:
    vintages = [
        claim(900, period="202403", document="a"),
        claim(905, period="202403", document="b", published_on=date(2025, 2, 1)),
    ]
    findings = reconcile([*vintages, claim(1_000), claim(100, window="month")])
    assert rules(findings) == ["same_fact"], "the month agrees with the first vintage; only the revision is told"


def test_january_is_its_own_cumulative_and_december_closes_the_year() -> None:
    assert rules(reconcile([claim(10, period="202401", window="month"), claim(11, period="202401")])) == [
        "month_from_cumulative"
    ]
    december = [
        claim(900, period="202411"),
        claim(99, period="202412", window="month"),
        claim(1_000, period="2024", window="year"),
    ]
    assert rules(reconcile(december)) == ["month_from_cumulative"]


def test_all_months_sum_to_the_cumulative() -> None:
    months = [claim(10, period="202401", window="month"), claim(20, period="202402", window="month")]
    assert rules(reconcile([*months, claim(31, period="202402")])) == ["months_to_cumulative"]
    assert reconcile([*months, claim(30, period="202402")]) == []


def test_a_falling_cumulative_is_a_warning() -> None:
    (finding,) = reconcile([claim(100, period="202403"), claim(99, period="202406")])
    assert (finding.rules, finding.severity) == (("cumulative_grows",), "warning")


def test_printed_precision_bounds_what_contradicts() -> None:
    over = claim(59_600, precision="at_least", resolution=100)
    assert reconcile([over, claim(60_000, "JPN")]) == [], "over 59 600 may be 60 000"
    about = claim(78_000, precision="rounded", resolution=1_000, document="x")
    assert reconcile([about, claim(78_641, document="y")]) == []
    assert rules(reconcile([about, claim(80_000, document="y")])) == ["same_fact"]
    cut = [
        claim(143_160),
        claim(125_000, series="plan", window="year", period="2024"),
        claim(114.0, series="plan_achievement_percent"),
    ]
    assert reconcile(cut) == [], "114.53 % printed as 114 %"
    wrong = [*cut[:2], claim(113.0, series="plan_achievement_percent")]
    assert rules(reconcile(wrong)) == ["plan_percentage"]


def test_year_on_year_is_recomputed_and_jumps_are_told() -> None:
    now, before = claim(60), claim(100, period="202304", document="c")
    assert reconcile([now, before, claim(60.0, series="year_on_year_percent", resolution=0.1)]) == []
    assert rules(reconcile([now, before, claim(66.0, series="year_on_year_percent", resolution=0.1)])) == [
        "year_on_year"
    ]
    assert rules(reconcile([claim(5_001), replace(before, value=1_000.0)])) == ["year_on_year_jump"]
    assert reconcile([claim(5_000), replace(before, value=1_000.0)]) == [], "five times is still inside the bounds"
    assert reconcile([claim(501), before]) == [], "small markets double and vanish"


def test_practice_and_real_figures_are_never_compared() -> None:
    assert reconcile([claim(100, document="real"), replace(claim(5, document="synthetic"), is_practice=True)]) == []


@pytest.mark.parametrize(
    ("printed", "right", "expected"),
    [
        (128, 182, True),
        (128, 128, False),
        (128, 129, True),
        (128, 1_280, True),
        (128, 12, True),
        (128, 281, False),
        (1.5, 2, False),
    ],
)
def test_slips_of_typing(printed: float, right: float, expected: bool) -> None:
    assert is_slip(printed, right) is expected


parts = st.lists(st.integers(0, 50_000), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(parts=parts, shift=st.integers(1, 5_000), victim=st.integers(0, 6), data=st.data())
def test_whatever_figure_is_falsified_every_proposed_repair_repairs(
    parts: list[int], shift: int, victim: int, data: st.DataObject
) -> None:
    places = ["JPN", "TWN", "KOR", "CHN", "SGP", "_O"][-len(parts) :]
    true = [claim(float(sum(parts))), *(claim(float(value), place) for value, place in zip(parts, places, strict=True))]
    assert reconcile(true) == []
    index = victim % len(true)
    false = [
        replace(found, value=found.value + shift) if number == index else found for number, found in enumerate(true)
    ]
    (finding,) = reconcile(false)
    assert any(repair.claim == false[index] and repair.value == true[index].value for repair in finding.alternatives), (
        "the truth is among the repairs"
    )
    for repair in finding.alternatives:
        mended = [replace(found, value=repair.value) if found == repair.claim else found for found in false]
        assert reconcile(mended) == []


def test_findings_as_a_frame_leave_unverified_figures_out() -> None:
    base = {
        "series_code": "deployments", "window_code": "year", "period_code": "2024", "destination_code": "_T", "sex_code": "_T",
        "published_on": DAY, "precision_code": "exact", "resolution": 1.0, "is_practice": False,
    }  # fmt: skip
    rows = [
        base | {"document_code": "a", "value": 10.0, "confidence_code": "confirmed"},
        base | {"document_code": "b", "value": 20.0, "confidence_code": "unverified"},
    ]
    assert reconcile_frame(pl.DataFrame(rows)).is_empty()
    rows[1]["confidence_code"] = "confirmed"
    frame = reconcile_frame(pl.DataFrame(rows))
    assert frame["rule_codes"].to_list() == [["same_fact"]]
    assert frame["document_codes"].to_list() == [["a", "b"]]


def test_a_published_stock_is_not_below_the_workers_that_the_register_has_abroad() -> None:
    """Three left by the end of October, one of them is back: two are abroad at least. Published are 1, and 5 of both sexes."""
    contracts = pl.DataFrame(
        {
            "departed_on": [date(2023, 1, 2), date(2023, 5, 1), date(2023, 10, 31), date(2023, 11, 1), None],
            "returned_on": [date(2023, 10, 31), None, None, None, None],
            "destination_code": ["JPN", "JPN", "JPN", "JPN", "JPN"],
            "sex_code": ["F", "F", "M", "F", "M"],
            "is_practice": [False] * 5,
        }
    )

    def stock(value: float, destination: str = "_T", sex: str = "_T", period: str = "202310") -> Claim:
        return replace(claim(value, destination, sex, window="point", period=period), series="stock")

    published = [stock(5), stock(1, "JPN"), stock(1, sex="F"), stock(0, period="202312")]
    register = register_stock_claims(contracts, published, date(2023, 11, 5))
    assert {(c.destination, c.sex): (c.value, c.interval[1]) for c in register} == {
        ("_T", "_T"): (2, inf), ("JPN", "_T"): (2, inf), ("_T", "F"): (1, inf),
    }  # fmt: skip
    (finding,) = reconcile([*published, *register])
    assert finding.rules == ("same_fact",)
    assert "stock point 202310 JPN" in finding.statement
    assert "202312" not in finding.statement, "the register does not reach so far"
    invented = register_stock_claims(contracts.with_columns(is_practice=True), published, date(2023, 11, 5))
    assert invented == [], "invented workers say nothing of published stocks"


def test_a_register_is_compared_with_the_bulletin_of_its_month() -> None:
    contracts = pl.DataFrame(
        {
            "departed_on": [date(2024, 4, 2), date(2024, 4, 20), date(2024, 5, 3), None],
            "destination_code": ["JPN", "TWN", "JPN", "JPN"],
            "sex_code": ["F", "M", "F", "M"],
            "is_practice": [False] * 4,
        }
    )
    claims = register_claims(contracts, date(2024, 5, 20))
    assert {found.period for found in claims} == {"202404"}, "May is not over"
    bulletin = [claim(2, window="month"), claim(2, "JPN", window="month")]
    (finding,) = reconcile([*claims, *bulletin])
    assert finding.rules == ("same_fact",)
    assert "JPN" in finding.statement
    assert set(finding.documents) == {"register", "d"}
