"""Survey waves through the store: loaded once, unchanged when nothing is new, versioned when the recode changes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.survey.declarations import load_designs, load_measures, load_recodes
from assets.survey.estimate import estimate_frame
from assets.survey.inbox import pull_inbox
from assets.survey.payload import stage_frames
from practice.survey.files import WAVES
from warehouse.landing import Landing, Receipt
from warehouse.load import transaction
from warehouse.store import Warehouse

FIRST, SECOND = datetime(2026, 7, 6, tzinfo=UTC), datetime(2026, 7, 13, tzinfo=UTC)
LOADS = ("core.survey_wave", "core.survey_person", "core.survey_finding")
KEY = ("LAO_BC", "2026")


@pytest.fixture
def wave(tmp_path: Path) -> tuple[Warehouse, Landing, Receipt]:
    """A store and the border clinics' file, landed."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    name = "LAO_border_clinics_2026.por"
    WAVES[name][1](inbox / name, 1)
    landing = Landing(tmp_path / "landing")
    pulled = pull_inbox(
        inbox, lambda part: landing.pull("survey", part, FIRST, is_practice=True), set(), {KEY: load_recodes()[KEY]}
    )
    return Warehouse(tmp_path / "warehouse.duckdb"), landing, pulled.receipts[0]


def _load(warehouse: Warehouse, frames: dict[str, pl.DataFrame], at: datetime) -> Any:
    scope = {"survey_code": KEY[0], "wave_code": KEY[1]}
    with transaction(warehouse, "survey", at) as load:
        for table, frame in frames.items():
            load.stage(table, frame, scope)
        for table in LOADS:
            load.load_history(table, mode="snapshot", scope=scope)
    return load.report


def _estimate(warehouse: Warehouse, at: datetime) -> Any:
    with transaction(warehouse, "estimate", at) as load:
        people = load.connection.sql("select * from core.survey_person_current order by person_number").pl()
        return load.load_frame(
            "estimate.survey_estimate", estimate_frame(people, load_designs(), load_measures()), mode="snapshot"
        )


def _count(warehouse: Warehouse, sql: str) -> Sequence[Any]:
    with warehouse.connect() as connection:
        return connection.execute(sql).fetchall()[0]


def test_a_wave_is_loaded_once_and_estimates_stay_until_something_changes(
    wave: tuple[Warehouse, Landing, Receipt],
) -> None:
    """The second load of the same wave changes nothing; a recode that renames one code makes new versions of those people only."""
    warehouse, landing, receipt = wave
    recodes, designs = load_recodes(), load_designs()
    frames = stage_frames([receipt], landing, recodes, designs)
    first = _load(warehouse, frames, FIRST)
    assert first.committed
    assert first.history["core.survey_person"].inserted == receipt.record_count == 310
    assert _estimate(warehouse, FIRST).inserted > 5
    again = _load(warehouse, stage_frames([receipt], landing, recodes, designs), SECOND)
    assert not again.committed
    assert not _estimate(warehouse, SECOND).is_change
    plan = recodes[KEY]
    thai = [
        v.model_copy(update={"codes": {**v.codes, "3": "_O"}}) if v.target == "origin_code" else v
        for v in plan.variables
    ]
    changed = _load(
        warehouse,
        stage_frames([receipt], landing, {KEY: plan.model_copy(update={"variables": tuple(thai)})}, designs),
        SECOND,
    )
    moved = frames["staging.survey_person"].filter(pl.col("origin_code") == "THA").height
    assert changed.history["core.survey_person"].changed == moved > 10
    open_rows, all_rows = _count(
        warehouse, "select count(*) filter (recorded_to = timestamp '9999-12-31'), count(*) from core.survey_person"
    )
    assert (open_rows, all_rows) == (310, 310 + moved)
