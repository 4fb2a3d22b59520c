"""A release rebuilt from the warehouse at its own instant is that release byte for byte.

The world: six observations of two indicators in a real store; then one figure is revised, one withdrawn and one small count
appears that has to be hidden. Two releases are published, the first is withdrawn later, and they come back as they were.
"""

import shutil
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from warehouse import history
from warehouse.catalogue.disclosure import load_policy
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import next_recorded_at
from warehouse.evidence import evidence_at
from warehouse.publishing.claims import claims_at
from warehouse.publishing.content import KEY_COLUMNS, ReleaseContext
from warehouse.publishing.inputs import (
    area_links,
    causes_between,
    earlier_releases,
    observations_at,
    release_areas,
    release_receipts,
)
from warehouse.publishing.protection import protect
from warehouse.publishing.rebuild import rebuild_release
from warehouse.publishing.registers import release_registers
from warehouse.publishing.release import (
    MANIFEST,
    ShelfError,
    build_release,
    current_release,
    kept_history,
    published_frames,
    withdraw_release,
)
from warehouse.publishing.release_catalogue import release_catalogue
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.store import Warehouse, code_version

FIRST = datetime(2026, 7, 6, 5, tzinfo=UTC)
SECOND = FIRST + timedelta(days=7)
TOTALS = dict.fromkeys(
    ("sex_code", "age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code",
     "category_code"), "_T",
)  # fmt: skip


def figure(indicator: str, area: str, value: float, **more) -> dict:
    return {
        "indicator_code": indicator, "definition_version": "1", "area_code": area, "period_code": "2025", **TOTALS,
        "period_type_code": "A", "period_start_on": date(2025, 1, 1), "period_end_on": date(2025, 12, 31), "value": value,
        "numerator": value, "n": int(value), "unit_code": "persons", "method_code": "count", "obs_status": "A",
        "obs_flags": ["A"], "source_codes": ["dhis2_vnm"], "receipt_ids": [], "footnote_codes": [], "is_practice": True,
        **more,
    }  # fmt: skip


def areas() -> list[dict]:
    return [
        {"area_code": code, "area_type_code": kind, "name_en": name, "name_vi": name, "parent_code": parent,
         "official_code": code, "frame_code": frame, "valid_from_on": date(1976, 1, 1)}
        for code, kind, name, parent, frame in (
            ("VNM", "country", "Viet Nam", None, "iso3"), ("KHM", "country", "Cambodia", None, "iso3"),
            ("VN34-91", "province", "An Giang", "VNM", "vn34"), ("VN34-80", "province", "Tay Ninh", "VNM", "vn34"),
        )
    ]  # fmt: skip


def load(connection, name: str, rows: list[dict], at: datetime) -> None:
    table = tables()[name]
    connection.register("made", pl.DataFrame(rows, infer_schema_length=None).to_arrow())
    given = set(rows[0])
    columns = ", ".join(
        f"{name}::{table.column(name).type} as {name}"
        if name in given
        else f"null::{table.column(name).type} as {name}"
        for name in table.batch_columns
    )
    history.load(connection, table, f"select {columns} from made", at, mode="snapshot")
    connection.unregister("made")


def publish(connection, at: datetime, shelf, *, hides: str | None = None) -> str:
    """A release of the instant. `hides`: an area whose figures another version of the program found too small to show."""
    found = observations_at(connection, at)
    protected = protect(
        found, load_policy(), areas=area_links(connection, at),
        earlier=earlier_releases(connection, published_frames(shelf)),
        also_primary=found.filter(area_code=hides).select(KEY_COLUMNS) if hides else None,
    )  # fmt: skip
    catalogue = release_catalogue(release_areas(connection, at), practice_sources=("dhis2",))
    registers = release_registers(connection, at)
    context = ReleaseContext(
        at, code_version(), release_receipts(connection, ()), registers=registers,
        claims=claims_at(connection, at, protected.frame, registers), evidence=evidence_at(connection, at),
    )  # fmt: skip
    last = current_release(shelf) if shelf.exists() else None
    causes = causes_between(connection, last.name if last else None, at)
    return build_release(protected, catalogue, context, shelf, causes).release_id


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A store with two refreshes, a shelf with a release of each, and what the second changed."""
    folder = tmp_path_factory.mktemp("rebuild")
    shelf = folder / "release"
    with Warehouse(folder / "warehouse.duckdb").connect() as connection:
        load(connection, "core.area", areas(), FIRST)
        first = [
            figure("TB10", "VNM", 112), figure("TB10", "KHM", 64), figure("TB10", "VN34-91", 40),
            figure("LM01", "VNM", 158588, source_codes=["labour"], is_practice=False),
        ]  # fmt: skip
        load(connection, "indicator.observation", first, FIRST)
        names = [publish(connection, FIRST, shelf)]
        second = [
            figure("TB10", "VNM", 118), figure("TB10", "VN34-91", 40), figure("TB10", "VN34-80", 3), first[3],
        ]  # fmt: skip
        load(connection, "indicator.observation", second, SECOND)
        renamed = [{**row, "name_en": "Long An"} if row["area_code"] == "VN34-80" else row for row in areas()]
        load(connection, "core.area", renamed, SECOND)
        names.append(publish(connection, SECOND, shelf))
        yield connection, shelf, names, folder


def test_both_releases_come_back_byte_for_byte_from_the_store_alone(told):
    connection, shelf, names, folder = told
    made = rebuild_release(  # rebuilds the first aside, because the second rests on it
        connection, shelf, names[1], folder / "again", practice_sources=("dhis2",), from_store_alone=True
    )
    assert made.differences == ()
    assert made.is_same_program
    assert (made.folder / MANIFEST).read_bytes() == (shelf / names[1] / MANIFEST).read_bytes()
    assert not [path for path in folder.iterdir() if path.name.startswith(".rebuilding-")]
    history_of = pl.read_parquet(made.folder / "data" / "history" / "observation_version.parquet")
    referrals = history_of.filter(indicator_code="TB10", area_code="VNM").sort("released_from")
    assert referrals["value"].to_list() == [112.0, 118.0]


def test_a_rebuilt_release_that_differs_says_which_files(told):
    connection, shelf, names, folder = told
    made = rebuild_release(connection, shelf, names[0], folder / "without-practice", practice_sources=())
    assert "data/source.csv" in made.differences
    assert MANIFEST in made.differences


def test_a_release_withdrawn_later_is_rebuilt_as_is_the_one_that_rests_on_it(told):
    connection, shelf, names, folder = told
    withdraw_release(shelf, names[0], "a test", SECOND + timedelta(days=1))
    kept = rebuild_release(connection, shelf, names[1], folder / "after-withdrawal", practice_sources=("dhis2",))
    assert kept.differences == ()
    with pytest.raises(ShelfError, match="is not on the shelf"):
        rebuild_release(connection, shelf, "20200101T000000Z", folder / "none")


def test_a_withdrawn_release_of_another_program_counts_as_it_was_published(told):
    """The last of this world. The third release hides what this program shows, and is withdrawn in the second in which the fourth was
    made: simulated time stands still. The fifth is made in that second too, by the clock, and follows the withdrawal of the fourth."""
    connection, shelf, names, folder = told

    def published(number: int, at: datetime, **more) -> str:
        rows = [figure("TB10", "VNM", 118 + 20 * number), figure("TB10", "VN34-91", 40 + 20 * number)]
        load(connection, "indicator.observation", rows, at)
        return publish(connection, at, shelf, **more)

    def made_again(name: str, into: str) -> None:
        made = rebuild_release(connection, shelf, name, folder / into, practice_sources=("dhis2",))
        assert made.differences == ()
        assert (made.folder / MANIFEST).read_bytes() == (shelf / name / MANIFEST).read_bytes()

    third = published(1, SECOND + timedelta(days=7), hides="VN34-91")
    now = SECOND + timedelta(days=14)
    fourth = published(2, now)
    withdraw_release(shelf, third, "a test", now)
    made_again(fourth, "middle-withdrawn")
    shutil.rmtree(kept_history(shelf, third))  # withdrawals of before left the figures alone
    made = rebuild_release(connection, shelf, fourth, folder / "figures-alone", practice_sources=("dhis2",))
    assert "data/history/observation_version.parquet" in made.differences, (
        "this program does not hide what that one hid"
    )
    assert "data/change.csv" not in made.differences, "what moved since is told by the figures as they were shown"

    withdraw_release(shelf, fourth, "another", now)
    fifth = published(3, next_recorded_at(now, ReleaseShelf(shelf).last_event_at))
    made_again(fifth, "newest-withdrawn")
    releases = pl.read_parquet(folder / "newest-withdrawn" / "data" / "history" / "release.parquet")
    assert releases["release_id"].to_list() == [*names, fifth], "it rests on the second, which still carries the first"
