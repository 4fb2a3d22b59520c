"""Official rates on file: by currency and year, of the current edition, only where countries of one currency agree."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from methods.money import Rate
from warehouse.currency import SERIES, official_rates
from warehouse.load import transaction
from warehouse.store import Warehouse

AT = datetime(2026, 7, 6, 5, tzinfo=UTC)


def filled(store: Warehouse, name: str, rows: list[Mapping[str, Any]]) -> pl.DataFrame:
    columns = store.entries[name].batch_columns
    return pl.DataFrame([{**dict.fromkeys(columns), **row} for row in rows], infer_schema_length=None)


def test_rates_are_read_by_currency_and_year(tmp_path):
    store = Warehouse(tmp_path / "w.duckdb")
    codes = dict.fromkeys(("sex_code", "age_code", "origin_code", "destination_code", "category_code"), "_T")
    rows = [
        {"series_code": SERIES, "edition_code": edition, "area_code": area, "year": year, "value": value, **codes,
         "unit": "per USD", "producer": "World Bank", "is_current_edition": is_current, "is_practice": False}
        for edition, area, year, value, is_current in (
            ("old", "VNM", 2024, 9.0, False), ("new", "VNM", 2024, 10.0, True), ("new", "VNM", 2025, 12.5, True),
            ("new", "TLS", 2025, 1.0, True), ("new", "BRN", 2025, 1.4, True), ("new", "SGP", 2025, 1.3, True),
        )
    ]  # fmt: skip
    countries = [
        {"country_code": code, "iso2_code": code[:2], "name_en": code, "name_vi": code, "currency_code": currency, "minor_units": 2,
         "is_destination": False, "confidence_code": "confirmed", "citation": "test"}
        for code, currency in (("VNM", "VND"), ("TLS", "USD"), ("BRN", "SAME"), ("SGP", "SAME"))
    ]  # fmt: skip
    with transaction(store, "reference", AT) as load:
        load.load_frame("core.country", filled(store, "core.country", countries), mode="snapshot")
        load.load_frame("core.reference_value", filled(store, "core.reference_value", rows), mode="snapshot")
    with store.connect(read_only=True) as connection:
        assert official_rates(connection) == (
            Rate("VND", 2024, 10.0, "World Bank, edition new"),
            Rate("VND", 2025, 12.5, "World Bank, edition new"),
        )
