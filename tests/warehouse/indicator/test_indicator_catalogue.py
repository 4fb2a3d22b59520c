"""The catalogue of indicators: complete, bilingual, strict about keys, and open to one more entry."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from warehouse.catalogue.indicator_catalogue import (
    CATALOGUE,
    MODELS,
    STANDARD_COLUMNS,
    IndicatorCatalogue,
    indicator_catalogue,
    load_catalogue,
    load_indicators,
)
from warehouse.catalogue.measure_columns import USUAL, selected_columns, with_every_column
from warehouse.catalogue.table_catalogue import CatalogueError, load_codelist
from warehouse.indicator_sql import compile_sql

AS_AT = datetime(2026, 7, 6, tzinfo=UTC)
CODES = sorted(indicator_catalogue().indicators)

# The seventy that are wanted: letters of the group, then the numbers.
WANTED = {
    "LM": range(1, 13), "MG": (1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12), "TB": (1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14, 15, 17),
    "HV": (1, 2, 3, 4, 6), "ML": (1, 2), "NC": (2, 3), "MH": (1,), "MC": (1, 2), "UH": range(1, 10), "PE": range(1, 6),
    "TP": range(1, 4), "GV": (1, 2), "DQ": (1, 2),
}  # fmt: skip


# What one entry of the list wants in two units: its percentage beside its count.
COMPANIONS = {"LM13": "LM12"}


def test_the_seventy_are_there_and_their_companions() -> None:
    wanted = [f"{letters}{number:02}" for letters, numbers in sorted(WANTED.items()) for number in numbers]
    assert len(wanted) == 70
    assert sorted([*wanted, *COMPANIONS]) == CODES
    known = indicator_catalogue().indicators
    assert sum(known[code].tier == "core" for code in wanted) == 40
    for companion, code in COMPANIONS.items():
        assert companion not in wanted
        assert (known[code].unit, known[companion].unit) == ("persons", "percent")
        assert known[code].tier == known[companion].tier


def test_the_handbook_is_counted_for_the_region_and_its_coverage_is_not_cut_and_not_aggregated() -> None:
    """LM12 of the list: persons and %; "count; coverage capped flag > 100"; "sum / n/a"."""
    count, coverage = (indicator_catalogue().indicators[code] for code in ("LM12", "LM13"))
    assert (count.regional.rule, coverage.regional.rule) == ("sum", "not_aggregated")
    assert not coverage.is_bounded
    assert coverage.plausible is not None
    assert coverage.plausible.upper == 100
    assert coverage.caveats is not None
    assert "no published denominator" in coverage.caveats.en
    assert "chưa có mẫu số" in coverage.caveats.vi


@pytest.mark.parametrize("code", CODES)
def test_every_entry_uses_known_codes_and_both_languages(code: str) -> None:
    entry = indicator_catalogue().indicators[code]
    assert entry.unit in {known.code for known in load_codelist("unit")}
    assert entry.method in {known.code for known in load_codelist("method")}
    notes = {known.code for known in load_codelist("footnote")}
    assert set(entry.footnotes) <= notes
    if entry.regional.rule != "not_aggregated":
        assert f"regional_{entry.regional.rule}" in {known.code for known in load_codelist("method")}
    for text in (entry.name, entry.definition, entry.numerator_text, *([entry.caveats] if entry.caveats else [])):
        assert text.en != text.vi
        assert re.search(r"[À-ỹ]", text.vi), f"{code}: {text.vi!r} does not look Vietnamese"
    assert (entry.denominator is None) <= (entry.method not in ("share", "ratio", "proportion_wilson", "rate_garwood"))


@pytest.mark.parametrize("code", CODES)
def test_every_statement_compiles_runs_and_can_be_read(code: str, world: Any) -> None:
    known = indicator_catalogue()
    sql = compile_sql(known.indicators[code], AS_AT, known)
    assert sql.startswith(f"-- {code} version")
    assert "$" not in sql, "every parameter is a typed literal, so the statement runs as it is shown"
    world.connection.execute(sql).fetchall()


@pytest.mark.parametrize("name", sorted(indicator_catalogue().measures))
def test_every_measure_yields_the_standard_columns_then_its_filters(name: str, world: Any) -> None:
    known = indicator_catalogue()
    sql = known.measure_sql(name).replace("$as_at", "timestamp '2026-07-06'")
    columns = [row[0] for row in world.connection.execute(f"describe {sql}").fetchall()]
    assert tuple(columns[: len(STANDARD_COLUMNS)]) == STANDARD_COLUMNS
    assert tuple(columns[len(STANDARD_COLUMNS) :]) == known.measures[name].filter_columns


def test_what_a_select_leaves_out_has_its_usual_value() -> None:
    sql = """-- One visit.
select
    -- first, second
    concat_ws(':', place, day) as event_code,
    visit.area_code,
    case when sex in ('F', 'M') then sex else '_U' end as sex_code,
    1.0 as quantity
from (select 1 as other from visit) as visit"""
    assert selected_columns(sql) == ("event_code", "area_code", "sex_code", "quantity")
    assert with_every_column(sql, ("event_code", "area_code", "sex_code", "quantity")) == sql
    filled = with_every_column(sql, ("event_code", "area_code", "sex_code", "age_code", "quantity", "lower"))
    assert filled.startswith(
        "select\n    event_code,\n    area_code,\n    sex_code,\n    '_T' as age_code,\n    quantity,\n    null::double as lower\nfrom ("
    )


def test_a_select_without_a_number_is_refused_by_the_name_of_the_column(world: Any) -> None:
    sql = with_every_column("select\n    'a' as event_code\nfrom core.area", ("event_code", "quantity"))
    with pytest.raises(duckdb.Error, match="quantity"):
        world.connection.execute(sql)


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.sql")), ids=lambda path: path.stem)
def test_no_measure_repeats_a_usual_value(path: Path) -> None:
    """A constant that every measure may leave out is written nowhere again; 200 such lines were."""
    lines = {line.strip().rstrip(",") for line in path.read_text(encoding="utf-8").splitlines()}
    assert lines & {f"{value} as {name}" for name, value in USUAL.items()} == set()


def test_every_model_has_an_entry_and_a_comment() -> None:
    assert {path.stem for path in MODELS.glob("*.sql")} == set(indicator_catalogue().measures)
    for path in MODELS.glob("*.sql"):
        assert path.read_text(encoding="utf-8").startswith("-- "), path.name


def test_denominators_name_their_note() -> None:
    notes = {known.code for known in load_codelist("footnote")}
    for entry in indicator_catalogue().denominators.values():
        assert entry.footnote in notes


def written(folder: Path, text: str, code: str = "TB11") -> Path:
    (folder / f"{code}.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def entry_text() -> str:
    return (CATALOGUE / "indicators" / "TB11.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("direction =", "direccion =", r"TB11\.toml: .*direccion.*nearest known key: direction"),
        ('aggregate = "count"', 'aggregate = "counts"', r"numerator\.aggregate.*got 'counts', nearest: count"),
        ("[regional]\n", '[regional]\nwheight = "x"\n', r"regional\.wheight.*nearest known key: weight"),
        ("is_bounded = true\n", "", "is_bounded"),
        ("breakdowns = [[], ", "breakdowns = [", "must hold"),
        ("gcm = [12", "gcm = [24", "1 to 23"),
        ('"HP8"', '"HP88"', "HP1 to HP20"),
        ('code = "TB11"', 'code = "TB99"', "name the file TB99.toml"),
    ],
)
def test_a_wrong_entry_is_refused_with_file_key_and_hint(
    tmp_path: Path, entry_text: str, old: str, new: str, message: str
) -> None:
    assert old in entry_text
    with pytest.raises(CatalogueError, match=message):
        load_indicators(written(tmp_path, entry_text.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('measure = "referral"', 'measure = "referrals"', "unknown measure 'referrals'; nearest: .'referral'"),
        ("window_code", "windows_code", "no filter column 'windows_code'; nearest: .'window_code'"),
    ],
)
def test_names_of_other_entries_are_checked(tmp_path: Path, entry_text: str, old: str, new: str, message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load_catalogue(extra_indicators=written(tmp_path, entry_text.replace(old, new, 1)))


def test_broken_toml_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"TB11\.toml: not valid TOML"):
        load_indicators(written(tmp_path, "code = "))


def test_a_new_indicator_is_one_file(tmp_path: Path, entry_text: str, world: Any) -> None:
    """Referrals of people with HIV, completed or not: nobody wrote a line of Python for it."""
    text = (
        entry_text.replace('code = "TB11"', 'code = "HV11"')
        .replace('group = "tuberculosis"', 'group = "hiv"')
        .replace('disease_code = ["TB"]', 'disease_code = ["HIV"]')
    )
    known = load_catalogue(extra_indicators=written(tmp_path, text, "HV11"))
    assert len(known.indicators) == len(CODES) + 1
    referral = {
        "disease_code": "HIV", "link_code": "linked", "from_country_code": "VNM", "to_country_code": "KHM",
        "sex_code": "F", "referred_on": datetime(2026, 5, 4).date(), "registered_on": datetime(2026, 5, 9).date(),
    }  # fmt: skip
    world.put(
        "core.referral", {"referral_code": "a", **referral}, {"referral_code": "b", **referral, "disease_code": "TB"}
    )
    cell = world.observe("HV11", catalogue=known).where("VNM", "2026")
    assert (cell["numerator"], cell["denominator"], cell["value"]) == (1, 1, 100)


def test_a_new_measure_is_one_select_and_one_entry(tmp_path: Path, entry_text: str, world: Any) -> None:
    known = indicator_catalogue()
    models = tmp_path / "models"
    shutil.copytree(MODELS, models)
    source = (models / "referral.sql").read_text(encoding="utf-8")
    (models / "outgoing.sql").write_text(
        source.replace("'closed' else 'open' end as window_code", "'closed' else 'shut' end as window_code")
    )
    measures = {**known.measures, "outgoing": known.measures["referral"]}
    text = entry_text.replace('measure = "referral"', 'measure = "outgoing"').replace('code = "TB11"', 'code = "TB98"')
    entries = load_indicators(written(tmp_path, text, "TB98"))
    extended = IndicatorCatalogue(entries, measures, known.denominators, models)
    assert "'shut' end as window_code" in compile_sql(entries["TB98"], AS_AT, extended)
