"""Each rule of the disclosure policy on a world of a few figures: contributors, populations, zeros, rounding, dominance, letters."""

import dataclasses
from typing import Any

import numpy as np
import polars as pl
import pytest

from methods.disclosure import SystemBuilder, choose_suppression, feasible_intervals
from warehouse.catalogue.disclosure import POLICY_FILE, DisclosurePolicy, DisclosurePolicyError, load_policy
from warehouse.catalogue.regional_catalogue import load_regional_catalogue
from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.dominance import dominated_rows
from warehouse.publishing.protection import ledger, protect
from warehouse.publishing.rounding import FOOTNOTE

POLICY = load_policy()
NUMBERS = ("value", "lower", "upper", "se", "numerator", "denominator")
TWO_PROVINCES = pl.DataFrame(
    [("VN34-01", "VNM", "vn34"), ("VN34-91", "VNM", "vn34")],
    schema=["area_code", "parent_code", "frame_code"],
    orient="row",
)
NO_AREAS = pl.DataFrame(schema={"area_code": pl.String, "parent_code": pl.String})


def figure(value: float | None, indicator: str = "LM07", **given: Any) -> dict[str, Any]:
    import datetime as dt

    made: dict[str, Any] = dict.fromkeys(KEY_COLUMNS, "_T") | dict.fromkeys(NUMBERS)
    made |= {"indicator_code": indicator, "definition_version": "1", "area_code": "VNM", "period_code": "2026"}
    made |= {"method_code": "count", "obs_status": "A", "obs_flags": ["A"], "n": None, "source_codes": ["dhis2"]}
    made |= {"interval_code": None, "footnote_codes": [], "value": value}
    made |= {"numerator": value if given.get("method_code", "count") == "count" else None} | given
    year = int(made["period_code"][:4])
    return made | {"period_start_on": dt.date(year, 1, 1), "period_end_on": dt.date(year, 12, 31)}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = dict.fromkeys(NUMBERS, pl.Float64()) | {
        "n": pl.Int64(),
        "interval_code": pl.String(),
        "footnote_codes": pl.List(pl.String()),
    }
    return pl.DataFrame(list(rows), schema_overrides=schema, infer_schema_length=None)


def letters(policy: DisclosurePolicy, *rows: dict[str, Any], by: str = "period_code", **options: Any) -> dict[str, str]:
    shown = protect(frame(*rows), policy, areas=NO_AREAS, **options).frame
    return dict(zip(shown[by], shown["conf_status"], strict=True))


def with_topic(code: str, **rules: Any) -> DisclosurePolicy:
    """The shipped policy with some rules of one topic changed."""
    topics = tuple(dataclasses.replace(t, **rules) if t.code == code else t for t in POLICY.topic)
    return dataclasses.replace(POLICY, topic=topics)


@pytest.mark.parametrize("method", ["mean", "median", "regional_median_pooled"])
def test_means_and_medians_need_ten_contributors(method):
    told = letters(
        POLICY,
        figure(6.0, "LM07", method_code=method, n=10, period_code="2024"),
        figure(6.0, "LM07", method_code=method, n=9, period_code="2025"),
        figure(6.0, "LM07", method_code=method, n=0, period_code="2026"),
    )
    assert told == {"2024": "F", "2025": "C", "2026": "C"}


def test_few_in_a_large_population_may_be_exempt_as_in_the_british_rule():
    """UKHSA masks 1-4 when the population is below 10 000: the shipped policy exempts none, a topic may."""
    rows = [
        figure(0.3, "LM09", method_code="rate_garwood", numerator=3.0, denominator=10_000.0, period_code="2025"),
        figure(0.3, "LM09", method_code="rate_garwood", numerator=3.0, denominator=9_999.0, period_code="2026"),
    ]
    assert POLICY.has_public_denominator("LM09", "rate_garwood")
    assert letters(POLICY, *rows) == {"2025": "C", "2026": "C"}
    assert letters(with_topic("general", population_exemption=10_000), *rows) == {"2025": "F", "2026": "C"}


def test_a_population_that_is_not_public_exempts_nothing():
    rows = [figure(0.03, "LM07", method_code="proportion_wilson", numerator=3.0, denominator=20_000.0)]
    assert letters(with_topic("general", population_exemption=10_000), *rows) == {"2026": "C"}


def test_zeros_are_shown_where_the_topic_does_not_ask_otherwise():
    told = {code: letters(POLICY, figure(0.0, code), by="indicator_code")[code] for code in ("LM07", "HV01", "TP03")}
    assert told == {"LM07": "F", "HV01": "C", "TP03": "C"}


# -- rounding ----------------------------------------------------------------------------------------------------------

ROUNDING = with_topic("general", rounding_base=10)


def rounded_row(policy: DisclosurePolicy, row: dict[str, Any]) -> dict[str, Any]:
    return protect(frame(row), policy, areas=NO_AREAS).frame.row(0, named=True)


def test_visible_counts_are_multiples_of_the_base_and_say_so():
    shown = rounded_row(ROUNDING, figure(47.0, lower=41.0, upper=53.0, interval_code="garwood", n=47))
    assert [shown[name] for name in ("value", "numerator", "n", "lower", "upper", "interval_code")] == [
        50.0, 50.0, 50, None, None, None,
    ]  # fmt: skip
    assert shown["footnote_codes"] == [FOOTNOTE]
    assert rounded_row(ROUNDING, figure(45.0))["value"] == 50.0, "half up"
    assert rounded_row(POLICY, figure(47.0))["value"] == 47.0, "the shipped policy rounds no counts"


def test_the_note_of_rounded_counts_stands_in_the_code_list_of_caveats():
    (entry,) = [code for code in load_codelist("footnote") if code.code == FOOTNOTE]
    note = load_regional_catalogue().footnote(FOOTNOTE)
    assert (note.en, note.vi) == (entry.name_en, entry.name_vi)
    assert "rounded" in note.en


def test_a_share_is_taken_from_rounded_counts():
    """23 of 61 is 37.7 per cent; with counts to ten it is 20 of 60."""
    exact = figure(100 * 23 / 61, method_code="proportion_wilson", numerator=23.0, denominator=61.0, n=61)
    shown = rounded_row(ROUNDING, exact)
    assert (shown["numerator"], shown["denominator"], shown["n"]) == (20.0, 60.0, 60)
    assert shown["value"] == pytest.approx(100 * 20 / 60)


def test_rounding_comes_on_top_of_hiding_and_leaves_exempt_figures_alone():
    hidden = rounded_row(ROUNDING, figure(3.0))
    assert (hidden["value"], hidden["conf_status"], hidden["footnote_codes"]) == (None, "C", [])
    assert rounded_row(ROUNDING, figure(47.0, "LM01", source_codes=["labour"]))["value"] == 47.0


def test_a_rounded_release_does_not_lie_to_the_next_audit():
    """Published as 50, the 47 of last week are 47 for the audit: an unchanged figure is not a change of three people."""
    rows = [figure(47.0)]
    first = protect(frame(*rows), ROUNDING, areas=NO_AREAS)
    then = ledger(first.frame, frame(*rows))
    assert then["value"].to_list() == [47.0]
    assert protect(frame(*rows), ROUNDING, areas=NO_AREAS, earlier=[then]).frame["value"].to_list() == [50.0]


def test_a_base_that_would_swallow_the_threshold_is_refused(tmp_path):
    path = tmp_path / "disclosure.toml"
    text = POLICY_FILE.read_text(encoding="utf-8")
    path.write_text(text.replace("rounding_base = 0", "rounding_base = 11", 1), encoding="utf-8")
    with pytest.raises(DisclosurePolicyError, match="rounding_base 11 must be 0"):
        load_policy(path)


# -- dominance ---------------------------------------------------------------------------------------------------------


def fees(*amounts: int, **key: str) -> list[dict[str, Any]]:
    total = figure(float(sum(amounts)), "LM07", **key)
    return [{name: total[name] for name in KEY_COLUMNS} | {"amount": amount} for amount in amounts]


def test_a_total_of_money_that_one_enterprise_dominates_is_hidden_with_what_would_give_it_away():
    """900 of 1 000 from one enterprise breaks (1, 75 %); 500 + 450 of 1 000 breaks (2, 90 %); thirds of 900 break neither."""
    split = {"JPN": (900, 60, 40), "KOR": (500, 450, 50), "TWN": (300, 300, 300), "DEU": (250, 250, 250, 250)}
    contributions = [line for code, amounts in split.items() for line in fees(*amounts, destination_code=code)]
    primary = dominated_rows(pl.DataFrame(contributions), POLICY)
    assert dict(zip(primary["destination_code"], primary["width"], strict=True)) == {"JPN": 150, "KOR": 150}
    rows = [figure(float(sum(amounts)), destination_code=code) for code, amounts in split.items()]
    rows.append(figure(float(sum(map(sum, split.values())))))
    shown = protect(frame(*rows), POLICY, areas=NO_AREAS, also_primary=primary)
    told = dict(zip(shown.frame["destination_code"], shown.frame["conf_status"], strict=True))
    assert (told["JPN"], told["KOR"]) == ("C", "C")
    widths = {row["destination_code"]: row["width"] for row in shown.audit.iter_rows(named=True)}
    assert all(widths[code] is None or widths[code] >= 150 for code in ("JPN", "KOR"))


# -- letters -----------------------------------------------------------------------------------------------------------


def test_a_small_count_that_only_the_letters_would_place():
    """Public 8 = 4 + 4: C and C leave 4 and 4 to a reader who knows that C means 1 to 4; silent letters leave 0 to 8."""
    rows = [
        figure(8.0, "LM01", source_codes=["labour"]),
        figure(4.0, "LM01", area_code="VN34-01", source_codes=["labour"]),
        figure(4.0, "LM01", area_code="VN34-91", source_codes=["labour"]),
    ]
    protected = protect(frame(*rows), POLICY, areas=TWO_PROVINCES)
    told = dict(zip(protected.frame["area_code"], protected.frame["conf_status"], strict=True))
    assert told == {"VNM": "F", "VN34-01": "C", "VN34-91": "C"}
    assert protected.audit["verdict"].to_list() == ["protected", "protected"]
    assert protected.audit["informed_width"].to_list() == [8, 8]


def test_a_letter_d_is_not_given_where_it_would_place_its_neighbour():
    """Public 6 = 1 + 5: a reader who knows that D means 5 or more would know both; so both rows carry C."""
    rows = [
        figure(6.0, "LM01", source_codes=["labour"]),
        figure(1.0, "LM01", area_code="VN34-01", source_codes=["labour"]),
        figure(5.0, "LM01", area_code="VN34-91", source_codes=["labour"]),
    ]
    protected = protect(frame(*rows), POLICY, areas=TWO_PROVINCES)
    told = dict(zip(protected.frame["area_code"], protected.frame["conf_status"], strict=True))
    assert told == {"VNM": "F", "VN34-01": "C", "VN34-91": "C"}
    again = protect(frame(*rows), POLICY, areas=TWO_PROVINCES, earlier=[ledger(protected.frame, frame(*rows))])
    assert again.frame.equals(protected.frame), "silent letters do not make the pattern wander from week to week"


def test_what_the_letters_would_tell_is_computed_not_assumed():
    """The arithmetic behind the two tests above: 6 = 1 + 5 with truthful letters leaves one table only, with silent ones seven."""
    builder = SystemBuilder()
    total, small, large = builder.add_cell(6, known=True), builder.add_cell(1), builder.add_cell(5, large_low=5)
    builder.add_sum(total, [small, large])
    builder.demand(small, 5, 1, 4)
    for cell in (small, large):
        builder.add_row([cell], 1.0)
    system = builder.freeze()
    pattern = choose_suppression(system, system.need[[small, large]] > 0)
    assert pattern.hidden_rows.tolist() == [True, True]
    told = feasible_intervals(system, pattern.hidden_rows, is_informed=True)
    assert [(i.lower, i.upper) for i in told] == [(1, 1), (5, 5)]
    silent = feasible_intervals(system, pattern.hidden_rows, is_informed=True, letters=np.array([-1, -1, -1]))
    assert [(i.lower, i.upper) for i in silent] == [(0, 6), (0, 6)]


# -- the audit names every hidden row ------------------------------------------------------------------------------------


def test_every_hidden_row_has_a_line_in_the_audit_and_every_line_its_width():
    rows = [
        figure(3.0, sex_code="F"),
        figure(40.0, sex_code="M"),
        figure(43.0),
        figure(None, "UH06", method_code="survey", obs_status="Q", source_codes=["survey"]),
        figure(12.5, "UH07", method_code="survey", n=20, source_codes=["survey"]),
    ]
    protected = protect(frame(*rows), POLICY, areas=NO_AREAS)
    hidden = protected.frame.filter(pl.col("obs_status") == "Q").select(KEY_COLUMNS)
    assert hidden.height >= 4
    assert hidden.join(protected.audit, on=list(KEY_COLUMNS), how="anti").is_empty()
    demanded = protected.audit.filter(pl.col("required_width") > 0)
    assert demanded.filter(pl.col("width") < pl.col("required_width")).is_empty()
    assert set(protected.audit["verdict"]) == {"protected", "no demand", "no count"}
