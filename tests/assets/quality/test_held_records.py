"""Records held back: kept with every reason, tried again when they may have become valid, decided about by a person, never lost.

The programme registers and the reference frames go through their own readers, landing, suites and load.
"""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from assets.loading import load_source
from assets.programme import read as programme
from assets.reference import editions
from assets.reference import read as reference
from expectations.scales import GreatExpectationsScales
from pipelines.cli.quarantine import releasable_rules
from warehouse import quarantine
from warehouse.catalogue.table_catalogue import tables
from warehouse.landing import Landing
from warehouse.load import LoadTransaction
from warehouse.quality import RuleOutcome
from warehouse.store import Warehouse

WEEK = timedelta(weeks=1)
FIRST = datetime(2026, 7, 6, tzinfo=UTC)
HEADER = ",".join(programme.COLUMNS)


class Plausible:
    """Scales with one belief, which a person may overrule: a quantity is plausible."""

    CODE = "staging.programme_count.quantity_is_plausible"

    def __init__(self, implausible: str = "quantity > 9999", core: str | None = None) -> None:
        self.by_table = {"staging.programme_count": ("row", implausible), "core.programme_count": ("table", core)}

    def weigh(self, connection, table, context):
        level, bad = self.by_table.get(table.name, ("row", None))
        if bad is None:
            return []
        rowids = f"select rowid from {table.name} where {bad}"
        ((count,),) = connection.execute(f"select count(*) from ({rowids})").fetchall()
        code = f"{table.name}.quantity_is_plausible"
        return [RuleOutcome(code, table.name, level, "critical", count == 0, count, 1, "A slip of the key.", rowids)]

    def checks_for(self, table):
        return []


class Ground:
    """A store with a programme inbox, one week after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.warehouse = Warehouse(folder / "warehouse.duckdb")
        self.landing = Landing(folder / "landing")
        self.at = FIRST

    def send(self, name: str, *lines: str) -> None:
        """A file with these lines arrives in the inbox and is landed."""
        (self.folder / name).write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
        pulled = programme.pull_files(
            [self.folder / name],
            lambda part: self.landing.pull("programme", part, self.at, is_practice=True),
            (),
        )
        self.landing.note_pull(pulled.receipts, self.at)

    def refresh(self, scales=None):
        """The source is loaded, a week later than the last time."""
        self.at += WEEK
        return load_source(
            self.warehouse,
            self.landing,
            scales or Plausible(),
            "programme",
            self.at,
            programme.batches(self.landing),
        )

    def held(self, status="held"):
        with self.warehouse.connect(read_only=True) as connection:
            return quarantine.listed(connection, status=status)

    def loaded(self) -> dict[str, float]:
        return dict(
            self.warehouse.read("select period_start_on::varchar, quantity from core.programme_count_current").rows()
        )

    def decide(self, decision, *records: str, reason="checked with the project by telephone"):
        with self.warehouse.connect() as connection:
            quarantine.decide(
                connection,
                records,
                decision,
                decided_by="Nguyen Van A",
                reason=reason,
                at=self.at,
                releasable={*releasable_rules(), Plausible.CODE},
            )

    def digest(self) -> str:
        return hashlib.sha256(self.warehouse.path.read_bytes()).hexdigest()


@pytest.fixture
def ground(tmp_path):
    return Ground(tmp_path)


GOOD = "trainings,VNM,202601,,,,,NURSE,12,"
ODD_CODE = "trainings,VNM,202602,,,,,MIDWIFE,7,"
HUGE = "trainings,VNM,202603,,,,,NURSE,12000,"


def test_a_rejected_row_keeps_all_its_reasons_its_receipt_and_its_place(ground):
    ground.send("a.csv", GOOD, "trainings,,2026XX,,,,,MIDWIFE,many,", HUGE)
    ground.refresh()
    worst = max(ground.held(), key=lambda record: len(record["reasons"]))
    assert [reason.split(":")[0] for reason in worst["reasons"]] == ["period", "category", "area", "number"]
    assert worst["pointer"] == "a.csv:3"
    assert ground.warehouse.read("select receipt_id from ops.receipt")["receipt_id"].to_list() == [worst["receipt"]]
    assert ground.warehouse.read(
        "select received, staged, quarantined, duplicates from ops.receipt_ledger where received > 0"
    ).rows() == [(3, 1, 2, 0)]


def test_an_extended_code_list_brings_the_row_in_by_itself(ground, tmp_path, monkeypatch):
    ground.send("a.csv", GOOD, ODD_CODE)
    ground.refresh()
    assert ground.loaded() == {"2026-01-01": 12.0}
    before = ground.digest()
    assert not ground.refresh().is_change
    assert ground.digest() == before  # nothing new, nothing tried, nothing written

    more = {
        **programme.registers(),
        "trainings": replace(programme.registers()["trainings"], categories=("NURSE", "MIDWIFE")),
    }
    monkeypatch.setattr(programme, "registers", lambda: more)
    monkeypatch.setattr("assets.retrying.code_digest", lambda: "the code with the longer list")
    report = ground.refresh()
    assert report.is_change
    assert ground.loaded() == {"2026-01-01": 12.0, "2026-02-01": 7.0}
    assert ground.held() == []
    (resolved,) = ground.held("resolved")
    with ground.warehouse.connect(read_only=True) as connection:
        (audit,) = quarantine.shown(connection, tables(), resolved["id"])["decisions"]
    assert (audit["by"], audit["decision"]) == ("refresh", "resolve")
    assert "valid under the rules" in audit["reason"]
    before = ground.digest()
    assert not ground.refresh().is_change
    assert ground.digest() == before


def test_new_code_that_changes_nothing_is_remembered_and_asked_once(ground, monkeypatch):
    ground.send("a.csv", GOOD, ODD_CODE)
    ground.refresh()
    monkeypatch.setattr("assets.retrying.code_digest", lambda: "other code, same lists")
    assert not ground.refresh().is_change
    before = ground.digest()
    ground.refresh()
    assert ground.digest() == before
    assert len(ground.held()) == 1


def test_a_corrected_file_settles_what_was_held_of_the_first(ground):
    ground.send("a.csv", GOOD, ODD_CODE)
    ground.refresh()
    ground.send("a.csv", GOOD, ODD_CODE.replace("MIDWIFE", "OTHER"))
    ground.refresh()
    assert ground.held() == []
    (resolved,) = ground.held("resolved")
    with ground.warehouse.connect(read_only=True) as connection:
        reason = quarantine.shown(connection, tables(), resolved["id"])["decisions"][0]["reason"]
    assert reason == "the later delivery no longer holds it"
    # The mistake comes back: it is held again, and nobody has to know that it was there before.
    ground.send("a.csv", GOOD, ODD_CODE, "trainings,VNM,202604,,,,,NURSE,1,")
    assert ground.refresh().load.newly_quarantined == 1
    assert [record["id"] for record in ground.held()] == [resolved["id"]]


def test_the_bad_row_alone_taken_out_of_the_file_is_noticed(ground):
    ground.send("a.csv", GOOD, ODD_CODE)
    ground.refresh()
    ground.send("a.csv", GOOD)
    ground.refresh()
    assert ground.held() == []
    assert ground.loaded() == {"2026-01-01": 12.0}


def test_a_released_row_is_loaded_although_the_belief_objects(ground):
    ground.send("a.csv", GOOD, HUGE)
    ground.refresh()
    (record,) = ground.held()
    ground.decide("release", record["id"])
    ground.refresh()
    assert ground.loaded() == {"2026-01-01": 12.0, "2026-03-01": 12000.0}
    with ground.warehouse.connect(read_only=True) as connection:
        decisions = quarantine.shown(connection, tables(), record["id"])["decisions"]
    assert [(row["decision"], row["by"]) for row in decisions] == [("release", "Nguyen Van A"), ("resolve", "refresh")]
    # Sent again, it is not held again: the decision stands until it is taken back.
    ground.send("a.csv", GOOD, HUGE, "trainings,VNM,202604,,,,,NURSE,1,")
    ground.refresh()
    assert ground.held() == []
    assert ground.loaded()["2026-03-01"] == 12000.0


def test_a_row_that_cannot_be_read_or_coded_cannot_be_released(ground):
    ground.send("a.csv", GOOD, ODD_CODE)
    ground.refresh()
    (record,) = ground.held()
    with pytest.raises(quarantine.QuarantineError, match=r"cannot be released.*extend the code list"):
        ground.decide("release", record["id"])
    with pytest.raises(quarantine.QuarantineError, match="must say why"):
        ground.decide("discard", record["id"], reason=" ")
    with pytest.raises(quarantine.QuarantineError, match="no record 'abc'"):
        ground.decide("discard", record["id"], "abc")
    assert len(ground.held()) == 1  # all or none


def test_a_discarded_row_is_not_asked_about_again_and_is_not_lost(ground):
    ground.send("a.csv", GOOD, HUGE)
    ground.refresh()
    (record,) = ground.held()
    ground.decide("discard", record["id"])
    ground.send("a.csv", GOOD, HUGE, "trainings,VNM,202604,,,,,NURSE,1,")
    assert ground.refresh().load.newly_quarantined == 0
    assert ground.held() == []
    assert [entry["id"] for entry in ground.held("discarded")] == [record["id"]]
    ground.decide("hold", record["id"])
    assert len(ground.held()) == 1


def test_a_figure_of_an_unknown_area_comes_in_when_the_area_does(tmp_path):
    warehouse, landing = Warehouse(tmp_path / "w.duckdb"), Landing(tmp_path / "landing")

    def land(part: str, files: dict[str, bytes], at: datetime) -> None:
        pull = landing.pull("reference", part, at, is_practice=False)
        for name, data in files.items():
            pull.write(name, data)
        landing.note_pull([pull.finish("file", part, {}, 1)], at)

    def refresh(at: datetime):
        return load_source(warehouse, landing, GreatExpectationsScales(), "reference", at, editions.batches(landing))

    def frames(extra: str) -> dict[str, bytes]:
        areas = (reference.ROOM / "frames" / "area.csv").read_text(encoding="utf-8") + extra
        rest = {name: (reference.ROOM / "frames" / f"{name}.csv").read_bytes() for name in reference.FRAMES[1:]}
        return {"area.csv": areas.encode(), **{f"{name}.csv": data for name, data in rest.items()}}

    entry = (reference.ROOM / "series.toml").read_text(encoding="utf-8").split("[[series]]")[1]
    file = reference.parse_register("[[series]]" + entry, "series.toml")[0].file
    land("frames", frames(""), FIRST)
    series = {"series.toml": ("[[series]]" + entry).encode(), file: b"area_code,year,value\nVNM,2020,1\nXKX,2020,2\n"}
    land("series", series, FIRST)
    refresh(FIRST)
    areas = "select area_code from core.reference_value_current order by 1"
    assert warehouse.read(areas)["area_code"].to_list() == ["VNM"]
    assert warehouse.read("select status_code from quarantine.record")["status_code"].to_list() == ["held"]

    land("frames", frames("XKX,country,Kosovo,Kosovo,,,iso3,,\n"), FIRST + WEEK)
    refresh(FIRST + WEEK)
    refresh(FIRST + 2 * WEEK)  # the area stands in the store now: the next refresh tries the figure again
    assert warehouse.read(areas)["area_code"].to_list() == ["VNM", "XKX"]
    assert warehouse.read("select status_code from quarantine.record")["status_code"].to_list() == ["resolved"]
    retried = warehouse.read("select count(*) filter (where is_retry) as retried, count(*) as pulls from ops.pull")
    assert retried.rows() == [(2, 5)]
    before = hashlib.sha256(warehouse.path.read_bytes()).hexdigest()
    refresh(FIRST + 3 * WEEK)
    assert hashlib.sha256(warehouse.path.read_bytes()).hexdigest() == before


def test_the_command_lists_shows_and_decides_without_a_personal_value(ground, monkeypatch):
    ground.send("a.csv", GOOD, HUGE)
    ground.refresh()
    person = {
        "contract_token": "canary-token", "enterprise_code": "canary-enterprise", "birth_year": 1991,
        "wage_amount": 777.5, "is_practice": True,
    }  # fmt: skip
    with ground.warehouse.connect() as connection:
        rejected = [quarantine.Rejected(person, ("contract: departs before it is signed",), "r1", "register.csv:7")]
        quarantine.hold(connection, tables()["staging.labour_contract"], "labour", rejected, FIRST)
    monkeypatch.setenv("MHWG_STATE", str(ground.folder))
    from pipelines.cli import app

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["quarantine", *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    listed = json.loads(run("list", "--json"))
    ids = {record["source"]: record["id"] for record in listed}
    assert set(ids) == {"labour", "programme"}
    seen = run("list") + run("show", ids["labour"]) + run("show", ids["labour"], "--json") + json.dumps(listed)
    for canary in ("canary-token", "canary-enterprise", "1991", "777.5"):
        assert canary not in seen
    assert "register.csv:7" in seen
    assert "withheld (personal)" in seen
    shown = json.loads(run("show", ids["programme"], "--json"))
    assert shown["values"]["quantity"] == 12000.0
    assert shown["receipt"] is not None
    run("discard", ids["programme"], "--reason", "the project withdrew the figure", "--by", "Tran Thi B")
    assert [record["source"] for record in json.loads(run("list", "--json"))] == ["labour"]
    (decision,) = json.loads(run("show", ids["programme"], "--json"))["decisions"]
    assert (decision["by"], decision["reason"]) == ("Tran Thi B", "the project withdrew the figure")


def test_a_release_that_breaks_the_core_does_not_keep_new_rows_out(ground):
    ground.send("a.csv", GOOD, HUGE)
    ground.refresh()
    (record,) = ground.held()
    ground.decide("release", record["id"])
    ground.send("b.csv", "trainings,VNM,202605,,,,,NURSE,4,")
    report = ground.refresh(Plausible(core="quantity > 9999"))
    assert report.fault is None
    assert ground.loaded() == {"2026-01-01": 12.0, "2026-05-01": 4.0}
    assert [entry["id"] for entry in ground.held("released")] == [record["id"]]


ROWS = st.lists(
    st.tuples(st.sampled_from(["r1", "r2"]), st.integers(0, 4), st.sampled_from([-1, 0, 1]), st.booleans()), max_size=14
)


@pytest.fixture(scope="module")
def books(tmp_path_factory):
    """One open store; each example rolls back."""
    with Warehouse(tmp_path_factory.mktemp("ledger") / "w.duckdb").connect() as connection:
        yield connection


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(pulls=st.lists(ROWS, min_size=1, max_size=3))
def test_received_is_loaded_plus_held_plus_doubled_for_every_receipt_always(books, pulls):
    """Any mixture of sound, unreadable, disbelieved and repeated rows over two receipts and several pulls."""
    books.execute("begin")
    load = LoadTransaction(books, tables(), "programme", FIRST)
    empty = pl.DataFrame(schema=programme.SCHEMA)
    try:
        for number, rows in enumerate(pulls, start=1):
            frame = pl.concat(
                [empty, pl.DataFrame(
                    [
                        {
                            **dict.fromkeys(programme.SCHEMA), "register_code": "x", "record_code": str(what),
                            "quantity": float(size), "receipt_id": receipt, "pointer": str(line),
                            "rejections": [] if readable else [f"line cannot be read for reason {line % 3}"],
                        }
                        for line, (receipt, what, size, readable) in enumerate(rows)
                    ],
                    schema=programme.SCHEMA,
                )]
            )  # fmt: skip
            load.stage("staging.programme_count", frame, {})
            load.weigh("staging.programme_count", Plausible("quantity < 0"))
            load.settle(["r1", "r2"], {}, {})
            load.close_books(number)
        report = load.report
        kept = books.execute(
            "select record ->> 'record_code', (record ->> 'quantity')::double, reasons from quarantine.record "
            "where status_code = 'held'"
        ).fetchall()
    finally:
        load.abandon()
    assert all(line.is_balanced for line in report.ledger)
    brought = Counter((number, row[0]) for number, rows in enumerate(pulls, start=1) for row in rows)
    assert {(line.pull_number, line.receipt_id): line.received for line in report.ledger} == dict(brought)
    for number, rows in enumerate(pulls, start=1):
        lines = [line for line in report.ledger if line.pull_number == number]
        sound = {(what, size) for _, what, size, readable in rows if readable and size >= 0}
        disbelieved = {(what, size, True) for _, what, size, readable in rows if readable and size < 0}
        unreadable = {(what, size, False) for _, what, size, readable in rows if not readable}
        assert sum(line.staged for line in lines) == len(sound)
        # A row that is both unreadable once and disbelieved once has one content, and stands in the quarantine once.
        held = {(what, size) for what, size, _ in disbelieved | unreadable}
        assert sum(line.quarantined for line in lines) == len(held)
        reasons = {
            (what, size): {f"line cannot be read for reason {line % 3}" for line, row in enumerate(rows)
                           if row[1:] == (what, size, False)}
            for what, size, _ in unreadable
        }  # fmt: skip
        if number == len(pulls):
            found = {(int(what), int(size)): set(texts) for what, size, texts in kept}
            assert all(texts <= found[key] for key, texts in reasons.items())
