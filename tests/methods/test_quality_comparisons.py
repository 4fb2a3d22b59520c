"""Sources against each other on worlds checkable by pencil: pairs, tolerance, bounds, jumps, units that were not open."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from methods.outliers import score_series
from methods.quality_comparisons import (
    change_findings,
    closed_unit_findings,
    comparison_measures,
    disagreements,
    paired,
    reporting_measures,
    silence_measures,
)

AT = datetime(2026, 7, 6, tzinfo=UTC)


def side(*rows: tuple[str, str, float], is_practice: bool = True) -> pl.DataFrame:
    schema = {"subject_code": pl.String, "period_code": pl.String, "value": pl.Float64}
    return pl.DataFrame(list(rows), schema=schema, orient="row").with_columns(is_practice=pl.lit(is_practice))


def test_every_pair_is_a_measure_and_only_the_unequal_are_findings() -> None:
    pairs = paired(
        side(("TB:VNM>KHM", "2026Q1", 100), ("TB:KHM>VNM", "2026Q1", 60), ("HIV:VNM>KHM", "2026Q1", 9), ("alone", "2026Q1", 5)),
        side(("TB:VNM>KHM", "2026Q1", 75), ("TB:KHM>VNM", "2026Q1", 30), ("HIV:VNM>KHM", "2026Q1", 2)),
    )  # fmt: skip
    measures = comparison_measures(pairs, "sender_receiver")
    assert measures.select("subject_code", "value").rows() == [
        ("HIV:VNM>KHM", 4.5), ("TB:KHM>VNM", 2.0), ("TB:VNM>KHM", pytest.approx(4 / 3)),
    ]  # fmt: skip
    found = disagreements(pairs, "sender_receiver", tolerance_share=0.3)
    # 100 and 75 differ by a quarter of the larger; 9 and 2 are too few to say; 60 and 30 differ by half.
    assert found.select("subject_code", "observed_value", "expected_value", "dimension_code").rows() == [
        ("TB:KHM>VNM/2026Q1", 60.0, 30.0, "external")
    ]


def test_a_part_above_its_whole_is_a_finding_however_small() -> None:
    pairs = paired(
        side(("TB:a", "2026Q1", 3), ("TB:b", "2026Q1", 3)), side(("TB:a", "2026Q1", 2), ("TB:b", "2026Q1", 3))
    )
    found = disagreements(pairs, "tracker_aggregate", tolerance_share=0.0, is_bound=True)
    assert found["subject_code"].to_list() == ["TB:a/2026Q1"]


def test_made_up_figures_are_never_held_against_real_ones() -> None:
    assert paired(side(("x", "2026", 1)), side(("x", "2026", 100), is_practice=False)).is_empty()


def test_a_ratio_to_nothing_is_no_number() -> None:
    pairs = paired(side(("x", "2026", 1)), side(("x", "2026", 0)))
    assert comparison_measures(pairs, "denominator", "denominator")["value"].to_list() == [None]


def values(counts: dict[str, float]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "instance_code": "vnm", "data_element_uid": "e", "org_unit_uid": "u", "category_option_combo_uid": "c",
                "attribute_option_combo_uid": "a", "concept_code": "TB", "period_type_code": "Monthly", "period_code": period,
                "period_start_on": date(int(period[:4]), int(period[4:]), 1), "value_number": count, "is_practice": True,
            }
            for period, count in counts.items()
        ],
        schema_overrides={"value_number": pl.Float64},
    )  # fmt: skip


def test_a_jump_is_found_and_ordinary_noise_is_not() -> None:
    # Given their sum of 48, two Poisson counts of one rate split 45:3 or worse with chance 2 * (1 + 48 + 1128 + 17296) / 2**48.
    found = change_findings(values({"202604": 3, "202605": 45, "202606": 40}), AT)
    assert found.select("subject_code", "observed_value", "expected_value").rows() == [("TB/u/202605", 45.0, 3.0)]
    assert found["tail_probability"].item() == pytest.approx(2 * (1 + 48 + 1128 + 17296) / 2**48)


def test_old_jumps_are_not_told_again() -> None:
    assert change_findings(values({"202401": 3, "202402": 45, "202403": 44}), AT).is_empty()


def test_series_about_which_the_screen_is_silent_are_counted_by_reason() -> None:
    scored = score_series(
        values({"202604": 3, "202605": 45, "202606": 40}), ["instance_code", "org_unit_uid"], "value_number"
    )
    found = silence_measures(scored)
    assert found.select("provider_code", "subject_code", "value").rows() == [("vnm", "fewer_than_ten", 1.0)]


def test_a_referral_of_a_closed_or_unopened_unit_is_counted_by_month() -> None:
    referrals = pl.DataFrame(
        {
            "instance_code": ["vnm"] * 5,
            "direction_code": ["outgoing", "outgoing", "outgoing", "incoming", "outgoing"],
            "referred_on": [date(2026, 2, 1), date(2026, 2, 9), date(2026, 1, 31), date(2026, 3, 1), date(2019, 1, 1)],
            "from_org_unit_uid": ["closed", "closed", "closed", "closed", "later"],
            "is_practice": [True] * 5,
        }
    )
    units = pl.DataFrame(
        {
            "instance_code": ["vnm", "vnm"], "org_unit_uid": ["closed", "later"],
            "opening_on": [None, date(2020, 1, 1)], "closed_on": [date(2026, 1, 31), None],
        }
    )  # fmt: skip
    found = closed_unit_findings(referrals, units).sort("subject_code")
    # On its last day a unit is open.
    assert found.select("subject_code", "observed_value").rows() == [("closed/202602", 2.0), ("later/201901", 1.0)]


def test_reports_owed_become_two_rates_by_data_set_and_month() -> None:
    states = ["on_time", "on_time", "late", "missing", "not_due"]
    owed = pl.DataFrame(
        {
            "instance_code": "vnm", "data_set_code": "TB", "period_code": "202605", "period_start_on": date(2026, 5, 1),
            "state_code": states, "is_practice": True,
        }
    )  # fmt: skip
    found = reporting_measures(owed, AT)
    assert found.select("measure_code", "value", "numerator", "denominator").rows() == [
        ("reports_received", 0.75, 3.0, 4.0),
        ("reports_in_time", 0.5, 2.0, 4.0),
    ]
