"""Shipped reference figures: complete, cited, landed once, and read back with a pointer to their line."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from assets.reference import read
from warehouse.landing import Landing

AT = datetime(2026, 7, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    landing = Landing(tmp_path_factory.mktemp("landing"))
    receipts = read.land(lambda part: landing.pull("reference", part, AT, is_practice=False))
    return read.stage_frames(receipts, landing)


def published(frames: dict[str, pl.DataFrame], series: str, area: str, year: int, **codes: str) -> list[float]:
    wanted = {"series_code": series, "area_code": area, "year": year, "is_current_edition": True}
    wanted |= dict.fromkeys(read.BREAKDOWNS, "_T") | {f"{name}_code": code for name, code in codes.items()}
    return frames["staging.reference_value"].filter(**wanted)["value"].to_list()


def test_nothing_shipped_is_rejected(frames: dict[str, pl.DataFrame]) -> None:
    for name, frame in frames.items():
        assert frame.height > 0, name
        assert frame.filter(pl.col("rejections").list.len() > 0).is_empty(), name


# Figures printed in the producers' own reports, as a check on the copies.
@pytest.mark.parametrize(
    ("series", "area", "year", "codes", "value"),
    [
        ("tb_incidence_rate", "VNM", 2023, {}, 182),
        ("tb_incidence_rate", "IDN", 2023, {}, 387),
        ("tb_incidence_rate", "PHL", 2023, {}, 643),
        ("tb_notifications", "VNM", 2023, {}, 104_517),
        ("migrant_stock", "THA", 2024, {}, 3_179_399),
        ("migrant_stock", "THA", 2024, {"origin": "MMR"}, 1_708_695),
        ("emigrant_stock", "VNM", 2024, {"destination": "USA"}, 1_434_631),
        ("maternal_mortality_ratio", "VNM", 2020, {}, 124),
    ],
)
def test_figures_are_those_of_the_reports(
    frames: dict[str, pl.DataFrame], series: str, area: str, year: int, codes: dict[str, str], value: float
) -> None:
    assert published(frames, series, area, year, **codes) == [value]


def test_migrants_by_origin_add_up_to_the_total(frames: dict[str, pl.DataFrame]) -> None:
    stock = frames["staging.reference_value"].filter(series_code="migrant_stock", edition_code="ims2024")
    parts = stock.filter(pl.col("origin_code") != "_T").group_by("area_code", "year", "sex_code").agg(pl.sum("value"))
    whole = stock.filter(pl.col("origin_code") == "_T")
    both = whole.join(parts, on=["area_code", "year", "sex_code"], suffix="_parts")
    assert both.height > 200
    assert both.filter((pl.col("value") - pl.col("value_parts")).abs() > 0.5).is_empty()


def test_population_bands_cover_everyone(frames: dict[str, pl.DataFrame]) -> None:
    people = frames["staging.reference_value"].filter(series_code="population_wpp", area_code="VNM", year=2023)
    bands = people.filter(pl.col("age_code").is_in(["Y0T14", "Y_GE15"]) & pl.col("sex_code").is_in(["F", "M"]))
    assert bands["value"].sum() == pytest.approx(published(frames, "population_wpp", "VNM", 2023)[0], abs=2)


def test_one_edition_of_each_series_is_current() -> None:
    current = [series.code for series in read.register() if series.is_current]
    assert len(current) == len(set(current))
    assert {series.code for series in read.register()} == set(current)
    assert {series.code for series in read.register() if not series.is_current} == {
        "hiv_incidence_rate", "migrant_stock", "tb_incidence_rate",
    }  # fmt: skip


def test_every_series_is_cited_and_every_file_is_registered() -> None:
    for series in read.register():
        assert series.producer
        assert series.edition_text
        assert series.licence
        assert series.locator
        assert len(series.caveats) > 20, series.code
    assert {path.name for path in (read.ROOM / "series").iterdir()} == {series.file for series in read.register()}
    assert len({card["source_code"] for card in read.source_cards()}) == len(read.register())


def test_pointer_leads_to_the_line(frames: dict[str, pl.DataFrame]) -> None:
    row = frames["staging.reference_value"].filter(series_code="gdp_current_usd").row(7, named=True)
    file, line = row["pointer"].split(":")
    text = (read.ROOM / "series" / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
    assert next(csv.reader([text]))[:2] == [row["area_code"], str(row["year"])]
    assert float(next(csv.reader([text]))[2]) == row["value"]


def test_unchanged_files_are_landed_once(tmp_path: Path) -> None:
    landing = Landing(tmp_path)
    first = read.land(lambda part: landing.pull("reference", part, AT, is_practice=False))
    again = read.land(
        lambda part: landing.pull("reference", part, AT, is_practice=False), {receipt.receipt_id for receipt in first}
    )
    assert again == []


def test_one_load_step_per_edition(frames: dict[str, pl.DataFrame]) -> None:
    steps = [step for step in read.loads(frames) if step.table == "core.reference_value"]
    assert all(step.mode == "snapshot" for step in steps)
    assert len(steps) == len(read.register())
    assert {"series_code": "tb_incidence_rate", "edition_code": "gtb2023"} in [dict(step.scope) for step in steps]


def test_bad_number_is_rejected_with_its_reason() -> None:
    series = next(series for series in read.register() if series.code == "gdp_current_usd")
    found = read.read_series(series, b"area_code,year,value\nVNM,2023,4x\nVNM,2024,\nVNM,2025,5\n", "r")
    reasons = found["rejections"].to_list()
    assert reasons[0] == ["value: '4x' is not a number"]
    assert "no row" in reasons[1][0]
    assert reasons[2] == []
    assert found["value"].to_list() == [None, None, 5]


def test_register_refuses_what_it_does_not_know() -> None:
    entry = (read.ROOM / "series.toml").read_text(encoding="utf-8").split("[[series]]")[1]
    with pytest.raises(read.ReferenceFault, match="unknown keys"):
        read.parse_register(f"[[series]]\nlicense = 'x'\n{entry}", "series.toml")
    with pytest.raises(read.ReferenceFault, match="superseded_by"):
        read.parse_register(f"[[series]]{entry}[[series]]{entry}", "series.toml")


def test_asean_by_version(frames: dict[str, pl.DataFrame]) -> None:
    members = frames["staging.area_membership"]
    assert members.filter(membership_version="ASEAN10").height == 10
    assert members.filter(membership_version="ASEAN11").height == 11
    timor = members.filter(area_code="TLS")
    assert timor["valid_from_on"].to_list() == [date(2025, 10, 26)]
    assert timor["member_since_mark"].to_list() == ["confirmed"]


def test_provinces_go_up_and_never_down(frames: dict[str, pl.DataFrame]) -> None:
    area, succession = frames["staging.area"], frames["staging.area_succession"]
    assert area.filter(frame_code="vn63").height == 63
    assert area.filter(frame_code="vn34").height == 34
    assert area.filter(frame_code="kh").height == 25
    assert succession.height == succession["old_area_code"].n_unique() == 63
    assert succession["new_area_code"].n_unique() == 34
    assert succession.filter(kind_code="same").height == 11
    # Seven codes were re-used for other names; the frame keeps them apart.
    reused = dict(
        area.filter(pl.col("area_code").is_in(["VN63-91", "VN34-91"])).select("area_code", "name_en").iter_rows()
    )
    assert reused == {"VN63-91": "Kien Giang (before July 2025)", "VN34-91": "An Giang"}
    kien_giang = succession.filter(old_area_code="VN63-91")["new_area_code"].to_list()
    assert kien_giang == ["VN34-91"]
