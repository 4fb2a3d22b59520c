"""SDMX: structure and data are read back by sdmx1, fit each other, and hold the same figures as the other formats."""

import re

import polars as pl
import pytest
import sdmx

from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.sdmx_files import ATTRIBUTES, DIMENSIONS, frequency, identifier, sdmx_period

TO_COLUMN = {
    "SERIES": "indicator_code",
    "SEX": "sex_code",
    "AGE": "age_code",
    "MIGRANT_STATUS": "migrant_status_code",
    "MIGRANT_BASIS": "migrant_basis_code",
    "CNTRY_ORIGIN": "origin_code",
    "CNTRY_DEST": "destination_code",
    "CUST_BREAKDOWN": "category_code",
    "DEF_VERSION": "definition_version",
}


def read_messages(folder):
    """Structure and data as sdmx1 reads them."""
    structure = sdmx.read_sdmx(folder / "sdmx" / "structure.xml")
    data = sdmx.read_sdmx(folder / "sdmx" / "data.xml", structure=structure.structure["MIGRANT_HEALTH"])
    return structure, data


@pytest.fixture(scope="module")
def messages(released):
    return read_messages(released.folder)


def key_of(row):
    """The key of an observation in SDMX words, written independently of the writer."""
    area = row["area_code"]
    province = area if area.startswith(("VN34-", "VN63-", "KH-")) else "_T"
    country = {"VN34": "VNM", "VN63": "VNM", "KH": "KHM"}[area.split("-")[0]] if province != "_T" else area
    # SDMX identifiers have letters, digits, _ and -; other characters of a code become _.
    key = {name: re.sub(r"[^A-Za-z0-9_-]", "_", row[column]) for name, column in TO_COLUMN.items()}
    year, rest = row["period_code"][:4], row["period_code"][4:]
    frequency = "A" if not rest else rest[0] if rest[0] in "QW" else "M"
    return key | {
        "REF_AREA": country,
        "ADM1": province,
        "REPORTING_TYPE": "R" if area == "ASEAN" else "N",
        "FREQ": frequency,
        "TIME_PERIOD": year if not rest else f"{year}-W{rest[1:]:0>2}" if frequency == "W" else f"{year}-{rest}",
    }


def test_sdmx_ml_holds_the_figures_of_the_release(released, messages):
    _, data = messages
    found = {tuple(sorted((v.id, str(v.value)) for v in o.dimension.values.values())): o for o in data.data[0].obs}
    frame = pl.read_parquet(released.folder / "data" / "observation.parquet")
    assert len(found) == frame.height
    for row in frame.iter_rows(named=True):
        observation = found[tuple(sorted(key_of(row).items()))]
        assert (None if observation.value in (None, "") else float(observation.value)) == row["value"]
        got = {name: str(value.value) for name, value in observation.attached_attribute.items()}
        for name, (column, _) in ATTRIBUTES.items():
            expected = row[column]
            if isinstance(expected, list):
                expected = ";".join(expected) or None
            if isinstance(expected, bool):
                expected = str(expected).lower()
            if isinstance(expected, float):
                assert float(got[name]) == expected
            else:
                assert got.get(name) == (None if expected is None else str(expected)), (name, row)


def test_sdmx_csv_holds_the_same_rows(released):
    rows = pl.read_csv(released.folder / "sdmx" / "data.csv", infer_schema=False)
    assert rows.columns == ["STRUCTURE", "STRUCTURE_ID", "ACTION", *DIMENSIONS, "TIME_PERIOD", "OBS_VALUE", *ATTRIBUTES]
    assert set(rows["STRUCTURE_ID"]) == {"MHWG:MIGRANT_HEALTH(1.0)"}
    frame = pl.read_parquet(released.folder / "data" / "observation.parquet").sort(list(KEY_COLUMNS))
    expected = {tuple(sorted(key_of(row).items())): row for row in frame.iter_rows(named=True)}
    for row in rows.iter_rows(named=True):
        truth = expected.pop(tuple(sorted((name, row[name]) for name in (*DIMENSIONS, "TIME_PERIOD"))))
        assert (row["OBS_VALUE"] and float(row["OBS_VALUE"])) == truth["value"]
        assert row["OBS_STATUS"] == truth["obs_status"]
        assert row["CONF_STATUS"] == truth["conf_status"]
    assert expected == {}


def test_the_data_fit_the_structure(messages):
    structure, data = messages
    definition = structure.structure["MIGRANT_HEALTH"]
    assert [d.id for d in definition.dimensions] == [*DIMENSIONS, "TIME_PERIOD"]
    allowed = {
        d.id: {code.id for code in d.local_representation.enumerated}
        for d in definition.dimensions
        if d.id != "TIME_PERIOD"
    }
    attributes = {a.id for a in definition.attributes}
    for observation in data.data[0].obs:
        for value in observation.dimension.values.values():
            assert value.id == "TIME_PERIOD" or str(value.value) in allowed[value.id]
        assert set(observation.attached_attribute) <= attributes
    names = structure.codelist["CL_SERIES"]["LM01"].name
    assert names["vi"] == "Số lao động đi làm việc ở nước ngoài theo hợp đồng"


def test_suppressed_figures_have_no_value_in_any_attribute(messages):
    _, data = messages
    hidden = [o for o in data.data[0].obs if str(o.attached_attribute["OBS_STATUS"].value) == "Q"]
    assert len(hidden) == 3
    for observation in hidden:
        assert observation.value in (None, "")
        assert not {"LOWER", "UPPER", "SE", "NUM", "DEN", "N_UNW"} & set(observation.attached_attribute)


@pytest.mark.parametrize(
    ("period", "form", "freq"),
    [
        ("2026", "2026", "A"),
        ("2026Q2", "2026-Q2", "Q"),
        ("202607", "2026-07", "M"),
        ("2026W9", "2026-W09", "W"),
        ("2026W53", "2026-W53", "W"),
    ],
)
def test_periods_in_sdmx_form(period, form, freq):
    assert (sdmx_period(period), frequency(period)) == (form, freq)


def test_identifiers_keep_only_what_sdmx_allows():
    assert identifier("sex=F:age=Y25T34") == "sex_F_age_Y25T34"
    assert identifier("VN34-91") == "VN34-91"
    assert identifier("_T") == "_T"
