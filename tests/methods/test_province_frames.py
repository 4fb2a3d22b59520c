"""Provinces across the merger: upward exact and additive, downward refused, on the real table of successions."""

import csv
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods.province_frames import CannotSplit, rebase_down, rebase_up

SUCCESSION = pl.read_csv(
    Path(__file__).parents[2] / "assets" / "reference" / "frames" / "area_succession.csv", infer_schema=False
)
OLD = SUCCESSION["old_area_code"].to_list()
NEW = sorted(set(SUCCESSION["new_area_code"]))


def figures(*rows: tuple[str, str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"area_code": pl.String, "year": pl.String, "cases": pl.Float64}, orient="row")


def test_an_giang_and_kien_giang_add_up_under_the_reused_code() -> None:
    # 91 was Kien Giang and is An Giang: only the frame in the code tells the two apart.
    frame = figures(("VN63-89", "2024", 3.0), ("VN63-91", "2024", 4.0), ("VN63-01", "2024", 1.0))
    found = rebase_up(frame, SUCCESSION, ["cases"], ["year"])
    assert found.rows() == [("VN34-01", "2024", 1.0), ("VN34-91", "2024", 7.0)]


def test_seven_codes_were_reused_and_each_names_another_province() -> None:
    names = {
        row["area_code"]: row["name_vi"].removesuffix(" (trước 7/2025)")
        for row in csv.DictReader(
            (Path(__file__).parents[2] / "assets/reference/frames/area.csv").open(encoding="utf-8", newline="")
        )
    }
    bare = lambda name: name.removeprefix("Tỉnh ").removeprefix("Thành phố ")  # noqa: E731
    reused = [
        code.removeprefix("VN34-") for code in NEW if bare(names[code]) != bare(names[code.replace("VN34", "VN63")])
    ]
    assert reused == ["15", "24", "44", "52", "80", "82", "91"]


def test_an_unknown_part_makes_the_whole_unknown() -> None:
    frame = figures(("VN63-89", "2024", 3.0), ("VN63-91", "2024", None))
    assert rebase_up(frame, SUCCESSION, ["cases"], ["year"])["cases"].to_list() == [None]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(OLD + NEW), st.sampled_from(["2024", "2025"]), st.integers(0, 10_000)), max_size=60
    )
)
def test_up_is_additive_and_done_once(rows: list[tuple[str, str, int]]) -> None:
    frame = figures(*[(area, year, float(cases)) for area, year, cases in rows])
    up = rebase_up(frame, SUCCESSION, ["cases"], ["year"])
    # Nothing is lost or doubled in any year, every figure stands in the new frame, and a second time changes nothing.
    for year in ("2024", "2025"):
        assert up.filter(year=year)["cases"].sum() == frame.filter(year=year)["cases"].sum()
    assert set(up["area_code"]) <= set(NEW)
    assert rebase_up(up, SUCCESSION, ["cases"], ["year"]).equals(up)
    # Re-basing a whole is re-basing its parts and adding them.
    cut = len(rows) // 2
    parts = pl.concat(
        [
            rebase_up(frame[:cut], SUCCESSION, ["cases"], ["year"]),
            rebase_up(frame[cut:], SUCCESSION, ["cases"], ["year"]),
        ]
    )
    assert rebase_up(parts, SUCCESSION, ["cases"], ["year"]).equals(up)


def test_down_is_refused_with_the_parts_named() -> None:
    with pytest.raises(CannotSplit, match="VN63-74, VN63-77, VN63-79") as fault:
        rebase_down(figures(("VN34-79", "2026", 9.0)), SUCCESSION)
    assert fault.value.parts == ("VN63-74", "VN63-77", "VN63-79")


def test_down_is_a_change_of_code_for_a_province_that_was_not_merged() -> None:
    unchanged = SUCCESSION.filter(pl.col("kind_code") == "same")["new_area_code"].to_list()
    assert len(unchanged) == 11
    frame = figures(*[(area, "2026", 2.0) for area in unchanged])
    down = rebase_down(frame, SUCCESSION)
    assert all(area.startswith("VN63-") for area in down["area_code"])
    assert rebase_up(down, SUCCESSION, ["cases"], ["year"]).equals(frame.sort("area_code"))


def test_two_successors_are_refused() -> None:
    both = pl.concat([SUCCESSION, SUCCESSION.head(1).with_columns(pl.lit("VN34-91").alias("new_area_code"))])
    with pytest.raises(ValueError, match="two successors"):
        rebase_up(figures(("VN63-01", "2024", 1.0)), both, ["cases"], ["year"])
