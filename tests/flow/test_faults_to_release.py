"""Faults of every source at once, carried through one refresh to its release; then a refresh while the server is dead.

What a fault costs is its own row: the sound rows beside it are published, it is laid at its provider's door, nothing is lost and
nothing of it leaves. This is the only full refresh for that, with all faults in it (57 kinds one by one: `test_injected_faults`).
"""

import csv
import json
import runpy
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from practice.clock import PracticeClock
from practice.dhis2 import serve
from practice.survey.files import WAVES
from practice.world.region import FAULTS, World
from warehouse.publishing.content import KEY_COLUMNS

WAVE = "IDN_returned_workers_2025"
PLANTED = {
    "dhis2_vnm": ("no number in a numeric data element", "staging.data_value.count_not_negative", "nationality: option code XX-UNKNOWN"),
    "programme": ("number: 'many'", "number: '-3'", "category: 'MIDWIFE'", "register: 'trainingz'", "area: empty"),
    "labour": ("Atlantis", "found a cell that is no date", "a workbook or a text table"),
    "reference": ("area_code: 'XKX' is no member", "value: 'abc' is not a number"),
    "survey": ("sex", "age"),
}  # fmt: skip
"""Provider -> reasons that must stand in its quarantine, and in nobody else's."""
MARKS = ("Atlantis", "MIDWIFE", "trainingz", "XX-UNKNOWN", "khoảng 5 hay 6 ca")
"""What was sent wrong and must not be in any file of a release."""


@dataclass(frozen=True)
class Told:
    """One installation after both refreshes: what each said, and the copies of what each published."""

    state: Path
    faulty: dict[str, Any]
    dead: dict[str, Any]
    first: Path
    second: Path


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def wrong_values(server: str, world: World, clock: PracticeClock) -> World:
    """One value of each tuberculosis report of April is a text, one of May is below zero."""
    wrong = {"202604": "khoảng 5 hay 6 ca", "202605": "-4"}
    for report in world.aggregates.reports(server, clock.instant()):
        if report.data_set.code == "TB_MONTHLY" and report.period in wrong and report.cells:
            first = report.cells[0]
            first.entries = [(first.entries[0][0], wrong[report.period])]
    return world


def send(inbox: Path) -> None:
    """Files of four sources, sound rows and wrong ones in each."""
    injected = runpy.run_path(str(Path(__file__).with_name("test_injected_faults.py")))
    for name in ("labour", "programme", "reference", "survey"):
        (inbox / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    contract = injected["CONTRACT"]

    def worker(number: int, **changes: str) -> dict[str, str]:
        return {**contract, "Số hợp đồng": f"HD-{number}", "Số CCCD": f"0791990{number:05d}", **changes}

    contracts = [
        worker(1),
        worker(2, **{"Nước tiếp nhận": "Atlantis"}),
        worker(3, **{"Ngày xuất cảnh": "31/02/2025"}),
        worker(4),
    ]
    (inbox / "labour" / "register.xlsx").write_bytes(injected["register"](contracts))
    (inbox / "labour" / "broken.xlsx").write_bytes(b"PK\x03\x04 this is no workbook")
    (inbox / "programme" / "trainings.csv").write_text(
        "register,area,period,sex,age,origin,destination,category,number,note\n"
        "trainings,KHM,2025,,,,,NURSE,12,\ntrainings,KHM,2025,,,,,DOCTOR,30,\ntrainings,KHM,2024,,,,,NURSE,many,\n"
        "trainings,KHM,2024,,,,,DOCTOR,-3,\ntrainings,LAO,2025,,,,,MIDWIFE,1,\ntrainingz,LAO,2025,,,,,NURSE,1,\n"
        "trainings,,2025,,,,,NURSE,1,\n",
        encoding="utf-8",
    )
    (inbox / "reference" / "figures.csv").write_text(
        "series_code,edition_code,area_code,year,value\nmigrant_stock,test2026,VNM,2024,77\n"
        "migrant_stock,test2026,XKX,2024,78\nmigrant_stock,test2026,KHM,2024,abc\n",
        encoding="utf-8",
    )
    for suffix in (".csv", ".xml"):
        WAVES[f"{WAVE}{suffix}"][1](inbox / "survey" / f"{WAVE}{suffix}", 1)
    persons = inbox / "survey" / f"{WAVE}.csv"
    lines = persons.read_text(encoding="utf-8").splitlines()
    heading = lines[0].split(",")
    for number, column, wrong in ((1, "sex", "7"), (2, "age", "150")):
        cells = lines[number].split(",")
        cells[heading.index(column)] = wrong
        lines[number] = ",".join(cells)
    persons.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, small_rivers: Any) -> Told:
    folder = tmp_path_factory.mktemp("faults-to-release")
    clock = PracticeClock(folder / "clock")
    world = wrong_values(small_rivers.SERVER, World(clock.seed, faults=FAULTS), clock)
    running = serve(world, clock, (small_rivers.SERVER,))
    try:
        river = small_rivers.new_river(folder / "office", running.urls[small_rivers.SERVER])
        send(river.state / "inbox")
        faulty = river.run("refresh", "--json")
    finally:
        running.stop()
    assert faulty.returncode == 0, faulty.stdout[-2000:] + faulty.stderr[-3000:]
    first = (river.state / "release" / "current").resolve()
    dead = river.run("refresh", "--json")
    assert dead.returncode == 2, dead.stdout[-2000:] + dead.stderr[-3000:]
    second = (river.state / "release" / "current").resolve()
    return Told(river.state, json.loads(faulty.stdout), json.loads(dead.stdout), first, second)


def test_the_release_is_published_in_spite_of_all_faults(told: Told) -> None:
    assert told.faulty["release_state"] == "published"
    assert not any(source["fault"] for source in told.faulty["sources"])


@pytest.mark.parametrize("provider", PLANTED)
def test_each_fault_is_laid_at_its_providers_door(told: Told, provider: str) -> None:
    held = rows(
        told.state / "warehouse.duckdb",
        "select source_code, unnest(reasons) from quarantine.record where status_code = 'held'",
    )
    for reason in PLANTED[provider]:
        assert {source for source, text in held if reason in text} == {provider}, reason
    own = told.state / "quality" / provider
    sent_back = list(csv.DictReader((own / "rejected.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert len(sent_back) == len({(s, p) for s, p in rows(
        told.state / "warehouse.duckdb", "select source_code, quarantine_id from quarantine.record where status_code = 'held'"
    ) if s == provider})  # fmt: skip


def test_nothing_is_lost(told: Told) -> None:
    assert rows(
        told.state / "warehouse.duckdb",
        "select * from ops.receipt_ledger where received <> staged + quarantined + duplicates",
    ) == []  # fmt: skip
    received = dict(
        rows(
            told.state / "warehouse.duckdb",
            "select source_code, sum(received)::int from ops.receipt_ledger group by all",
        )
    )
    assert set(received) >= set(PLANTED)
    held = dict(
        rows(
            told.state / "warehouse.duckdb",
            "select source_code, sum(quarantined)::int from ops.receipt_ledger group by all",
        )
    )
    assert (held["programme"], held["labour"], held["reference"], held["survey"]) == (5, 3, 2, 2)


def test_the_sound_rows_beside_a_fault_are_published(told: Told) -> None:
    """Deployments as the ministry printed them; 12 nurses and 30 doctors of the same file as five wrong rows; the one good figure."""
    figures = {
        (code, area, period): value
        for code, area, period, value in rows(
            told.first / "mhwg.duckdb",
            """select indicator_code, area_code, period_code, value from observation where indicator_code in ('LM01', 'TB17')
            and sex_code = '_T' and age_code = '_T' and origin_code = '_T' and destination_code = '_T' and category_code = '_T'""",
        )
    }
    assert figures["LM01", "VNM", "2022"] == 142_779
    assert figures["LM01", "VNM", "2023"] == 159_986
    assert figures["TB17", "KHM", "2025"] == 42
    assert ("TB17", "KHM", "2024") not in figures
    for source, least in (("dhis2", 50), ("survey", 5)):
        ((shown,),) = rows(
            told.first / "mhwg.duckdb",
            f"select count(*) from observation where list_contains(source_codes, '{source}') and value is not null",
        )
        assert shown >= least, source
    store = told.state / "warehouse.duckdb"
    assert rows(store, "select count(*) from core.labour_contract_current") == [(2,)]
    assert rows(store, "select value from core.reference_value_current where edition_code = 'test2026'") == [(77.0,)]
    ((kept, sent),) = rows(
        store,
        """select (select count(*) from core.survey_person_current),
        (select sum(received) from ops.receipt_ledger where table_name = 'staging.survey_person')""",
    )
    assert kept == sent - 2


def test_nothing_of_a_fault_leaves_with_a_release(told: Told) -> None:
    found = [
        (path.name, mark)
        for folder in (told.first, told.second)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in (".csv", ".html", ".json", ".xml", ".duckdb")
        for mark in MARKS
        if mark.encode() in path.read_bytes()
    ]
    assert found == []
    names = {path.name for path in told.second.rglob("*")}
    assert "rejected.csv" not in names


def test_a_dead_server_is_named_and_the_others_go_on(told: Told) -> None:
    faults = {source["source"]: source["fault"] for source in told.dead["sources"] if source["fault"]}
    assert set(faults) == {"dhis2_vnm"}
    assert told.dead["release_state"] == "published"
    assert told.second != told.first


def test_a_dead_server_is_not_fresh_and_the_inboxes_are(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """Freshness policies are judged by the last materialisation; both refreshes were runs of everything in one process."""
    monkeypatch.setenv("DAGSTER_HOME", str(told.state / "dagster"))
    with dg.DagsterInstance.get() as instance:
        newest, oldest = (record.run_id for record in (*instance.get_runs(limit=1), instance.get_runs()[-1]))
        keys = [dg.AssetKey(["landing", code]) for code in ("dhis2_vnm", "labour", "programme", "reference", "survey")]
        last = {
            record.asset_entry.asset_key.path[1]: record.asset_entry.last_materialization
            for record in instance.get_asset_records(keys)
        }
    made_by = {code: found.run_id for code, found in last.items() if found}
    assert newest != oldest
    assert made_by.pop("dhis2_vnm") == oldest
    assert made_by == dict.fromkeys(("labour", "programme", "reference", "survey"), newest)


def test_cells_of_the_dead_server_carry_the_age_of_their_data(told: Told) -> None:
    """Same value as before, provisional, with the day of the last good data; cells of other sources as they were."""
    ((day,),) = rows(
        told.state / "warehouse.duckdb", "select last_good_on from ops.source_outage where source_code = 'dhis2_vnm'"
    )
    assert isinstance(day, date)
    note = f"last_good_{day:%Y%m%d}"
    with duckdb.connect() as connection:
        for name, folder in (("before", told.first), ("after", told.second)):
            connection.execute(f"create view {name} as from read_parquet('{folder / 'data' / 'observation.parquet'}')")
        key = ", ".join(KEY_COLUMNS)
        aged = connection.execute(
            f"""select count(*), count(*) filter (where after.value is not null and not list_contains(after.obs_flags, 'P')),
              count(*) filter (where after.value is distinct from before.value),
              count(*) filter (where not list_contains(after.source_codes, 'dhis2'))
            from after join before using ({key}) where list_contains(after.footnote_codes, '{note}')"""
        ).fetchall()
        others = connection.execute(
            f"""select count(*) from after join before using ({key}) where not list_contains(after.source_codes, 'dhis2')
            and after.footnote_codes is distinct from before.footnote_codes"""
        ).fetchall()
    ((marked, not_provisional, moved, foreign),) = aged
    assert marked > 20
    assert (not_provisional, moved, foreign) == (0, 0, 0)
    assert others == [(0,)]
    for language, words in (("en", f"Last good data of {day:%Y-%m-%d}"), ("vi", f"{day:%d/%m/%Y}")):
        pages = [path.read_text(encoding="utf-8") for path in (told.second / language).glob("*.html")]
        assert any(words.casefold() in page.casefold() for page in pages), words
