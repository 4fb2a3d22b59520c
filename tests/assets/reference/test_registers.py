"""The register tables: facts of the domain read back in the core, as of a day."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from assets.reference import read
from assets.reference.editions import batches
from assets.reference.registers import REGISTERS, read_register
from methods.age_bands import exact_union
from methods.rates import WHO_WORLD_STANDARD, standard_weights
from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.landing import Landing
from warehouse.load import transaction
from warehouse.store import Warehouse

AT = datetime(2026, 7, 6, tzinfo=UTC)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A store with the frames and registers loaded as a refresh loads them."""
    folder = tmp_path_factory.mktemp("registers")
    landing, warehouse = Landing(folder / "landing"), Warehouse(folder / "warehouse.duckdb")
    receipts = read.land(lambda part: landing.pull("reference", part, AT, is_practice=False))
    taken: list[str] = []
    # The batches that the refresh takes: a register that is landed and in no batch would stay empty, its receipt kept as loaded.
    with transaction(warehouse, "reference", AT) as load:
        for batch in batches(landing)(receipts):
            taken += [receipt.receipt_id for receipt in batch.receipts]
            if "staging.reference_value" in batch.frames:
                continue  # thirty thousand figures, which other tests load
            for table, frame in batch.frames.items():
                load.stage(table, frame, {})
            for step in batch.loads:
                load.load_history(step.table, mode=step.mode)
    assert sorted(taken) == sorted(receipt.receipt_id for receipt in receipts)
    return warehouse


def valid(table: str, on: date) -> str:
    return (
        f"(select * from core.{table}_current where coalesce(valid_from_on, date '0001-01-01') <= date '{on}'"
        f" and coalesce(valid_to_on, date '9999-12-31') >= date '{on}')"
    )


def test_seven_cities_and_twenty_seven_provinces_since_dong_nai(store: Warehouse) -> None:
    count = "select count(*) filter (where rank_code = 'city') as cities, count(*) as units from "
    assert store.read(count + valid("area_title", date(2026, 4, 30))).rows() == [(7, 34)]
    assert store.read(count + valid("area_title", date(2026, 4, 29))).rows() == [(6, 34)]
    assert store.read(count + valid("area_title", date(2025, 6, 30)))["units"].to_list() == [63]


@pytest.mark.parametrize(("on", "ministry"), [(date(2025, 2, 28), "MOLISA"), (date(2025, 3, 1), "MOHA")])
def test_overseas_labour_moves_to_home_affairs_in_march_2025(store: Warehouse, on: date, ministry: str) -> None:
    holder = f"select agency_code from {valid('agency_role', on)} where group_code = 'OVERSEAS_LABOUR'"
    parent = f"select parent_agency_code from {valid('agency', on)} where agency_code = 'DOLAB'"
    assert store.read(holder).rows() == store.read(parent).rows() == [(ministry,)]


def test_the_population_department_is_gopfp_under_a_new_name(store: Warehouse) -> None:
    names = "select name_en from core.agency_current where agency_code = 'POPULATION' order by version_number"
    assert store.read(names)["name_en"].to_list() == [
        "General Office for Population and Family Planning (GOPFP)",
        "Population Department",
    ]


def test_six_crossings_without_names_and_five_airports_in_the_province_of_the_day(store: Warehouse) -> None:
    query = "select poe_code, province_area_code from {} where poe_type_code = 'AIR' order by 1"
    before = dict(store.read(query.format(valid("point_of_entry", date(2025, 6, 30)))).iter_rows())
    after = dict(store.read(query.format(valid("point_of_entry", date(2025, 7, 1)))).iter_rows())
    assert sorted(before) == sorted(after) == ["CXR", "DAD", "HAN", "PQC", "SGN"]
    assert (before["PQC"], after["PQC"]) == ("VN63-91", "VN34-91")  # Kien Giang, then An Giang
    land = store.read(
        "select is_named, province_area_code from core.point_of_entry_current where poe_type_code = 'LAND'"
    )
    assert land.rows() == [(False, None)] * 6


def test_every_province_named_by_a_register_exists_and_is_valid_then(store: Warehouse) -> None:
    for table, column in (
        ("point_of_entry", "province_area_code"),
        ("area_list", "area_code"),
        ("area_title", "area_code"),
    ):
        stray = store.read(
            f"""select r.{column} from core.{table}_current r
            left join core.area_current a on a.area_code = r.{column}
            where r.{column} is not null and (a.area_code is null
              or coalesce(r.valid_from_on, date '2000-01-01') < coalesce(a.valid_from_on, date '0001-01-01')
              or coalesce(r.valid_to_on, date '2026-01-01') > coalesce(a.valid_to_on, date '9999-12-31'))"""
        )
        assert stray.is_empty(), (table, stray)


def test_border_project_provinces_follow_the_merger(store: Warehouse) -> None:
    query = "select area_code from {} where list_code = 'TB_BORDER_PHASE2' order by 1"
    assert store.read(query.format(valid("area_list", date(2024, 1, 1))))["area_code"].to_list() == [
        "KH-20", "KH-21", "VN63-72", "VN63-89",
    ]  # fmt: skip
    assert store.read(query.format(valid("area_list", date(2026, 1, 1))))["area_code"].to_list() == [
        "KH-20", "KH-21", "VN34-80", "VN34-91",
    ]  # fmt: skip


def test_asean_and_the_un_region_differ_before_the_accession(store: Warehouse) -> None:
    region = set(store.read("select area_code from core.area_list_current where list_code = 'M49_035'")["area_code"])
    for on, missing in ((date(2025, 10, 25), {"TLS"}), (date(2025, 10, 26), set())):
        members = set(store.read(f"select area_code from {valid('area_membership', on)}")["area_code"])
        assert region - members == missing


def test_cambodia_has_its_twenty_five_provinces(store: Warehouse) -> None:
    assert store.read("select count(*) from core.area_current where frame_code = 'kh'").rows() == [(25,)]


def test_every_tag_of_an_indicator_is_an_item_of_its_framework(store: Warehouse) -> None:
    items = store.read("select framework_code || ':' || item_code as item from core.framework_item_current")["item"]
    known = set(items)
    for code, entry in indicator_catalogue().indicators.items():
        tags = [f"GCM:{number}" for number in entry.gcm] + [f"APHDA:{tag}" for tag in entry.aphda]
        tags += [f"WHO_GAP:{tag}" for tag in entry.who_plan]
        assert set(tags) <= known, code
    assert sum(item.startswith("GCM:") for item in known) == 23


def test_bands_of_programmes_are_exact_unions_of_five_year_bands_and_hiv_bands_of_tb_bands_are_not(
    store: Warehouse,
) -> None:
    bands = store.read("select band_set_code, age_code from core.age_band_current order by all")
    by_set = {name: part["age_code"].to_list() for (name,), part in bands.group_by("band_set_code")}
    for name in ("TB_V1", "TB_V3", "HIV", "LABOUR", "REPRODUCTIVE"):
        for band in by_set[name]:
            assert exact_union(band, by_set["FIVE_YEAR"])
    for band in by_set["TB_V1"]:  # the older package is joined from the newer one, never the other way
        assert exact_union(band, by_set["TB_V3"])
    with pytest.raises(ValueError, match="no exact union"):
        exact_union("Y25T49", by_set["TB_V3"])


def test_the_stored_standard_is_the_one_that_the_arithmetic_uses(store: Warehouse) -> None:
    stored = dict(store.read("select age_code, weight from core.standard_population_current").iter_rows())
    assert stored == pytest.approx(standard_weights({band: (band,) for band in WHO_WORLD_STANDARD}))
    assert sum(stored.values()) == pytest.approx(1)


def test_currencies_without_and_with_three_decimals(store: Warehouse) -> None:
    units = dict(store.read("select currency_code, minor_units from core.country_current").iter_rows())
    assert [units[code] for code in ("VND", "JPY", "KRW", "USD", "KWD", "OMR")] == [0, 0, 0, 2, 3, 3]


def test_taiwan_keeps_the_label_of_the_source_and_has_no_m49_code(store: Warehouse) -> None:
    row = store.read("select m49_code, labels_seen from core.country_current where country_code = 'TWN'").row(0)
    assert row == (None, ["Đài Loan", "Đài Loan (Trung Quốc)"])


def test_every_fact_carries_its_confidence(store: Warehouse) -> None:
    for name in REGISTERS:
        frame = store.read(f"select confidence_code from core.{name}_current")
        assert frame.height > 0
        assert frame["confidence_code"].null_count() == 0, name


def test_an_unreadable_cell_rejects_its_row_and_a_wrong_header_the_file() -> None:
    good = "funding_code,donor_agency_code,purpose_en,amount,currency_code,stated_on,confidence_code,citation\n"
    found = read_register("funding", (good + "A,B,C,much,USD,2023-13-01,confirmed,x\n").encode(), "funding.csv", "r")
    assert found["rejections"].to_list() == [
        ["amount: 'much' is not a number with a decimal point", "stated_on: '2023-13-01' is not a date (YYYY-MM-DD)"]
    ]
    wrong = read_register("funding", b"code,amount\nA,1\n", "funding.csv", "r")
    assert wrong.height == 1
    assert wrong["rejections"].list.first().to_list()[0].startswith("header: code,amount; expected funding_code,")
    assert wrong.select(pl.col("funding_code").is_null().all()).item()
