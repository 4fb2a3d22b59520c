"""What a computation of the indicators leaves beside the figures: the change log, the definitions in force, the delays used.

Belongs here: reading what the last computation was, and writing the log of this one in the same transaction. Does not
belong here: finding causes (`change_log`), learning delays (`reporting_delay`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl

from warehouse.catalogue.indicator_catalogue import IndicatorCatalogue
from warehouse.change_log import (
    CELL_KEY,
    CORRECTED_FOOTNOTE,
    DOUBTED_FOOTNOTE,
    Before,
    change_rows,
    definition_frame,
    inputs_of,
    moved_cells,
)
from warehouse.corrections import doubted_state, touched_since_sql, uncorrected_state
from warehouse.indicator_engine import OBSERVATION_SCHEMA, compute_with_findings
from warehouse.inputs_digest import code_digest
from warehouse.load import LoadTransaction
from warehouse.quality import RuleOutcome
from warehouse.store import fetch_frame
from warehouse.store_state import StateConnection

SOURCE = "indicator"
AS_AT = "as_at"
PROGRAM = "program"
_OBSERVATIONS = f"select {', '.join(OBSERVATION_SCHEMA)} from indicator.observation_current"


def delays_of(frame: pl.DataFrame) -> dict[str, int]:
    """Days by source of rows of `indicator.reporting_delay`."""
    return dict(frame.select("source_code", "delay_days").rows())


def last_computation(connection: Any) -> Before | None:
    """What the figures in the store were computed from; None when there are none yet."""
    marks = {
        part: (mark, at)
        for part, mark, at in connection.execute(
            "select part_code, watermark, refresh_at from ops.watermark where source_code = $source", {"source": SOURCE}
        ).fetchall()
    }
    if AS_AT not in marks:
        return None
    definitions = fetch_frame(
        connection, "select indicator_code, definition_digest from indicator.definition_current order by all"
    )
    delays = fetch_frame(
        connection, "select source_code, delay_days from indicator.reporting_delay_current order by all"
    )
    as_at, at = marks[AS_AT]
    return Before(
        at=at,
        as_at=datetime.fromisoformat(as_at),
        program=marks.get(PROGRAM, (None, at))[0],
        definitions=dict(definitions.rows()),
        delays=delays_of(delays),
    )


def mark_corrected(
    connection: Any,
    observations: pl.DataFrame,
    as_at: datetime,
    delays: Mapping[str, int],
    catalogue: IndicatorCatalogue,
) -> pl.DataFrame:
    """The observations with a footnote on every cell that would be another one without the corrections ledger, and another on
    every cell that rests on a value which the ledger flags as doubtful.

    Found by computing those indicators once more in each of the two states; costs nothing while no entry acts.
    """
    for other, footnote in (
        (uncorrected_state(connection), CORRECTED_FOOTNOTE),
        (doubted_state(connection), DOUBTED_FOOTNOTE),
    ):
        if other is not None:
            observations = _noted(other, footnote, observations, as_at, delays, catalogue)
    return observations


def _noted(
    other: tuple[StateConnection, set[str]],
    footnote: str,
    observations: pl.DataFrame,
    as_at: datetime,
    delays: Mapping[str, int],
    catalogue: IndicatorCatalogue,
) -> pl.DataFrame:
    """The observations with the footnote on the cells that are others in another state of the tables altered there."""
    state, altered = other
    computed = observations["indicator_code"].unique()
    touched = [
        entry
        for code, entry in sorted(catalogue.indicators.items())
        if code in computed and inputs_of(entry, catalogue) & altered
    ]
    raw = compute_with_findings(state, touched, as_at, catalogue=catalogue, delays=delays).observations
    cells = moved_cells(raw, observations.filter(pl.col("indicator_code").is_in([entry.code for entry in touched])))
    note = pl.col("footnote_codes").list.concat(pl.lit([footnote])).list.unique().list.sort()
    marked = observations.join(cells.with_columns(is_corrected=pl.lit(True)), on=list(CELL_KEY), how="left")
    return marked.with_columns(
        pl.when("is_corrected").then(note).otherwise("footnote_codes").alias("footnote_codes")
    ).select(observations.columns)


def _explained(rows: pl.DataFrame) -> RuleOutcome:
    """The check that every change has a cause, for `ops.check_result`."""
    count = rows.filter(pl.col("cause_code") == "unexplained").height
    return RuleOutcome(
        rule_code="indicator.change.nothing_unexplained",
        table="indicator.change",
        level="table",
        severity="critical",
        passed=count == 0,
        unexpected_count=count,
        evaluated_count=rows.height,
        why="The causes on record account for every figure that moved; what is left over is a fault of the warehouse.",
    )


def log_refresh(
    load: LoadTransaction,
    observations: pl.DataFrame,
    as_at: datetime,
    delays: pl.DataFrame,
    catalogue: IndicatorCatalogue,
    *,
    program: str | None = None,
) -> pl.DataFrame:
    """The change log has the step from the figures in the store to `observations`; definitions and delays are those in force.

    Called before the observations are loaded. The first computation is the ground that later ones are compared with and logs
    nothing. Returns the rows written.
    """
    program = program or code_digest()
    before = last_computation(load.connection)
    rows = pl.DataFrame()
    if before is not None:
        old = fetch_frame(load.connection, f"{_OBSERVATIONS} order by all")
        rows = change_rows(
            load.connection,
            old.cast(dict(OBSERVATION_SCHEMA)),  # type: ignore[arg-type]  # polars takes a mapping of types
            observations,
            before=before,
            at=load.recorded_at,
            as_at=as_at,
            program=program,
            delays=delays_of(delays),
            catalogue=catalogue,
            corrected=touched_since_sql(before.at),
        )
        load.append_rows("indicator.change", rows)
        load.report.outcomes.append(_explained(rows))
    load.load_frame("indicator.definition", definition_frame(catalogue), mode="snapshot")
    load.load_frame("indicator.reporting_delay", delays, mode="snapshot")
    load.mark(SOURCE, AS_AT, as_at.astimezone(UTC).isoformat())
    load.mark(SOURCE, PROGRAM, program)
    return rows
