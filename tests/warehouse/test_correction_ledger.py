"""The corrections ledger refuses what could not be meant, and a corrected row stays corrected when it is pulled again."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from warehouse.catalogue.correction_ledger import Correction, load_corrections
from warehouse.catalogue.table_catalogue import CatalogueError
from warehouse.corrections import apply_corrections, correction_report
from warehouse.load import transaction
from warehouse.store import Warehouse

WEEK = datetime(2026, 7, 6, tzinfo=UTC)
FILE = """
[[correction]]
code = "DOLAB-1"
table = "core.labour_figure"
scope = { series_code = "deployments", period_code = "202605" }
column = "value"
expected = 58000
action = "set"
value = 5800
reason = "A zero too many: the total of the year grew by 5,800."
provider = "labour"
entered_by = "team:mhwg-data"
entered_on = 2026-07-01
"""


def ledger(tmp_path, text):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "labour.toml").write_text(text)
    return load_corrections([tmp_path / "ledger"])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("core.labour_figure", "core.referral"), "cannot be corrected"),
        (('"value"\nexpected', '"valeu"\nexpected'), "no column 'valeu'"),
        (("period_code =", "value ="), "not in the key"),
        (('column = "value"', 'column = "sex_code"'), "dropped, not changed"),
        (("value = 5800", ""), "needs `value`"),
        (('action = "set"', 'action = "scale"'), "needs `value`, the others have none"),
        (('provider = "labour"', 'providr = "labour"'), "remove it or correct its name"),
    ],
)
def test_an_entry_that_could_not_be_meant_is_refused(tmp_path, change, fault):
    with pytest.raises(CatalogueError, match=r"labour\.toml") as raised:
        ledger(tmp_path, FILE.replace(*change, 1))
    assert fault in str(raised.value)


def test_a_code_used_twice_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(CatalogueError, match="DOLAB-1 is in the ledger twice"):
        ledger(tmp_path, FILE + FILE)
    with pytest.raises(CatalogueError, match="does not exist"):
        load_corrections([tmp_path / "none"])


def figure(period: str, value: float) -> dict:
    return {
        "series_code": "deployments", "window_code": "month", "period_code": period, "destination_code": "_T",
        "sex_code": "_T", "document_code": "d1", "published_on": date(2026, 6, 9), "period_start_on": date(2026, 5, 1),
        "period_end_on": date(2026, 5, 31), "value": value, "finality_code": "final", "precision_code": "exact",
        "is_practice": True, "confidence_code": "confirmed", "resolution": 1.0, "printed": "58.000", "receipt_id": "r1",
    }  # fmt: skip


@pytest.fixture
def told(tmp_path, monkeypatch):
    """A store whose labour model is the staged rows themselves, and `pull`: one pull of two months, then the ledger."""
    entries = ledger(tmp_path, FILE)
    warehouse = Warehouse(tmp_path / "warehouse.duckdb", corrections=entries)
    folder = tmp_path / "models" / "core"
    folder.mkdir(parents=True)
    monkeypatch.setattr("warehouse.load.MODELS", tmp_path / "models")
    names = list(warehouse.entries["core.labour_figure"].batch_columns)
    (folder / "labour_figure.sql").write_text(f"select {', '.join(names)} from staging.labour_figure")

    def pull(at: datetime, may: float | None, corrections=entries):
        warehouse.corrections = tuple(corrections)
        table = warehouse.entries["staging.labour_figure"]
        rows = [figure("202604", 11_000), *([figure("202605", may)] if may is not None else [])]
        frame = pl.DataFrame(rows).with_columns(
            pl.lit(None, dtype=pl.String).alias(name) for name in table.column_names if name not in rows[0]
        )
        with transaction(warehouse, "labour", at) as load:
            load.stage("staging.labour_figure", frame, {})
            changed = load.load_history("core.labour_figure", mode="snapshot").is_change
        with transaction(warehouse, "corrections", at) as load:
            verdicts = apply_corrections(load, corrections, at.date())
        return changed, [verdict.state for verdict in verdicts], load.report.is_change

    return warehouse, pull, entries


def value(warehouse) -> list:
    return warehouse.read("select value from core.labour_figure_current where period_code = '202605'")[
        "value"
    ].to_list()


def test_a_corrected_row_stays_corrected_and_costs_nothing_when_pulled_again(told):
    warehouse, pull, _ = told
    assert pull(WEEK, 58_000) == (True, ["applied"], True)
    assert value(warehouse) == [5800.0]
    staged = warehouse.read("select value from staging.labour_figure where period_code = '202605'")
    assert staged["value"].to_list() == [58_000.0]
    assert pull(WEEK + timedelta(weeks=1), 58_000) == (False, ["applied"], False)
    (row,) = correction_report(warehouse)
    assert (row["provider"], row["rows"], row["state"]) == ("labour", 1, "acts")


def test_a_source_that_was_repaired_is_not_altered(told):
    warehouse, pull, _ = told
    pull(WEEK, 58_000)
    assert pull(WEEK + timedelta(weeks=1), 5_812)[1] == ["refused"]
    assert value(warehouse) == [5812.0]
    assert warehouse.read("select count(*) as n from core.correction_row_current")["n"][0] == 0


def test_an_entry_that_is_taken_out_gives_the_row_back(told):
    warehouse, pull, _ = told
    pull(WEEK, 58_000)
    pull(WEEK + timedelta(weeks=1), 58_000, corrections=())
    assert value(warehouse) == [58_000.0]


def test_a_rewritten_entry_starts_from_what_was_sent(told):
    warehouse, pull, entries = told
    pull(WEEK, 58_000)
    pull(WEEK + timedelta(weeks=1), 58_000, [entries[0].model_copy(update={"value": 5_801})])
    assert value(warehouse) == [5801.0]
    assert pull(WEEK + timedelta(weeks=2), 58_000, [entries[0].model_copy(update={"expected": 1})])[1] == ["refused"]
    assert value(warehouse) == [58_000.0]


def test_a_dropped_row_stays_away_until_the_entry_ends(told):
    warehouse, pull, entries = told
    drop = Correction.model_validate({**entries[0].model_dump(), "action": "drop", "value": None})
    assert pull(WEEK, 58_000, [drop]) == (True, ["applied"], True)
    assert value(warehouse) == []
    assert pull(WEEK + timedelta(weeks=1), 58_000, [drop]) == (False, ["applied"], False)
    pull(WEEK + timedelta(weeks=2), 58_000, [])
    assert value(warehouse) == [58_000.0]


def test_an_entry_without_a_row_is_told(told):
    _, pull, _ = told
    assert pull(WEEK, None)[1] == ["absent"]
