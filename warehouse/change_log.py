"""The change log: for every cell that a refresh moved, why, and by how much each cause moved it.

Belongs here: letting the causes act one after another on the store and reading off what each does to the figures. Does not
belong here: which rows moved and for which cause (`store_state`), publishing the log (`publishing.change_log`).
Specification: docs/methods/history.md.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from warehouse.catalogue.indicator_catalogue import Indicator, IndicatorCatalogue
from warehouse.catalogue.regional_catalogue import LAST_GOOD
from warehouse.catalogue.table_catalogue import tables
from warehouse.completeness import FOOTNOTE as REPORTS_INCOMPLETE
from warehouse.history import as_naive_utc
from warehouse.indicator_engine import KEY_COLUMNS, OBSERVATION_SCHEMA, compute_with_findings
from warehouse.indicator_sql import compile_sql, compile_weight_sql
from warehouse.store_state import REMOVALS, CoreMoves, tables_read

CAUSES: tuple[str, ...] = (
    *REMOVALS,
    "definition_change",
    "method_change",
    "time_passed",
    "reference_change",
    "deletion_at_source",
    "revision_at_source",
    "late_data",
    "new_data",
    "correction",
    "reports_outstanding",
    "unexplained",
)
"""Causes in the order in which they are let act: first what was removed from every state of the store (no state is left that
has it, so whatever acted before would be blamed for it; `mhwg erase` computes anew at once), then how is counted, then what the
world around says, then the records from the oldest news to the newest, and last what we changed ourselves."""

CELL_KEY: tuple[str, ...] = tuple(name for name in KEY_COLUMNS if name != "definition_version")
"""A cell is the same cell under a new definition; the versions stand beside it."""

OUTSTANDING_FOOTNOTES = (REPORTS_INCOMPLETE, LAST_GOOD)
"""Beginnings of the footnotes that say that a source is late or reports are owed. They come and go with what has not arrived, so
no row of the core need have moved."""

CORRECTED_FOOTNOTE = "corrected"
"""Footnote of cells that the corrections ledger moves; put on when all figures are there, so no state in between has it."""

DOUBTED_FOOTNOTE = "doubted"
"""Footnote of cells that rest on a value which the ledger flags; it comes and goes with the entry and moves no figure."""

_ALWAYS_READ = ("core.area", "core.area_succession", "core.area_membership")
_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)
_PROVENANCE = ("receipt_ids",)


@dataclass(frozen=True)
class Before:
    """What the last computation was: its instant, the instant it looked from, its program, and the delays it used."""

    at: datetime
    as_at: datetime
    program: str | None
    definitions: Mapping[str, str]
    delays: Mapping[str, int]


def definition_digest(indicator: Indicator, catalogue: IndicatorCatalogue) -> str:
    """Digest of everything that says what the indicator is: its entry, the statement it compiles to, and its denominator."""
    parts = [indicator.model_dump_json(), compile_sql(indicator, _SOME_DAY, catalogue)]
    if indicator.denominator is not None and indicator.denominator.named is not None:
        parts.append(catalogue.denominators[indicator.denominator.named].model_dump_json())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def definition_frame(catalogue: IndicatorCatalogue) -> pl.DataFrame:
    """The definitions in force, one row per indicator: the rows of `indicator.definition`."""
    rows = [
        {
            "indicator_code": code,
            "definition_version": entry.definition_version,
            "definition_digest": definition_digest(entry, catalogue),
            "definition_en": entry.definition.en,
            "numerator_en": entry.numerator_text.en,
            "denominator_en": entry.denominator_text.en if entry.denominator_text else None,
            "factor": float(entry.factor),
            "unit_code": entry.unit,
            "method_code": entry.method,
        }
        for code, entry in sorted(catalogue.indicators.items())
    ]
    return pl.DataFrame(rows)


def inputs_of(indicator: Indicator, catalogue: IndicatorCatalogue) -> set[str]:
    """Names of the core tables that the indicator's figures are computed from, denominators and regional weights included."""
    statements = [compile_sql(indicator, _SOME_DAY, catalogue)]
    rule = indicator.regional
    for name in {rule.coverage_population, rule.weight}:
        if name is not None and name in catalogue.denominators:
            statements.append(compile_weight_sql(catalogue.denominators[name], _SOME_DAY, catalogue))
    return tables_read(statements) | set(_ALWAYS_READ)


def moved_cells(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """Keys of the cells whose figures, status or caveats differ between two sets of observations."""
    compared = [name for name in OBSERVATION_SCHEMA if name not in (*CELL_KEY, *_PROVENANCE)]

    def marked(frame: pl.DataFrame, name: str) -> pl.DataFrame:
        # Sums are added up in another order in another state: the thirteenth digit is no news.
        floats = [column for column in compared if OBSERVATION_SCHEMA[column] == pl.Float64]
        rounded = frame.with_columns(
            *(pl.col(column).round_sig_figs(12) for column in floats),
            pl.col("footnote_codes").list.set_difference([CORRECTED_FOOTNOTE]).list.sort(),
        )
        return rounded.select(*CELL_KEY, pl.struct(compared).struct.json_encode().alias(name))

    both = marked(old, "was").join(marked(new, "is"), on=list(CELL_KEY), how="full", coalesce=True)
    return both.filter(pl.col("was").ne_missing(pl.col("is"))).select(CELL_KEY)


def change_rows(
    connection: Any,
    old: pl.DataFrame,
    new: pl.DataFrame,
    *,
    before: Before,
    at: datetime,
    as_at: datetime,
    program: str,
    delays: Mapping[str, int],
    catalogue: IndicatorCatalogue,
    corrected: str | None = None,
) -> pl.DataFrame:
    """The rows of `indicator.change` for the step from `old` to `new`, the observations before and after this refresh.

    Causes act in the order of CAUSES. After each, the figures are computed in that state of the store; what differs from the
    state before is what this cause did. The last state is `new` itself, so the contributions of a cell add up to its change.
    """
    touched = moved_cells(old, new)
    moves = CoreMoves(
        connection, tables(), before.at, before_as_at=before.as_at, delays=before.delays, corrected=corrected
    )
    codes = touched["indicator_code"].unique().sort().to_list()
    steps = {code: _steps(code, before, as_at, program, delays, moves, catalogue) for code in codes}
    found: list[pl.DataFrame] = []
    state = old.filter(pl.col("indicator_code").is_in(codes))
    acted: list[str] = []
    for cause in CAUSES:
        acting = [code for code in codes if cause in steps[code]]
        if not acting:
            continue
        acted.append(cause)
        last = [code for code in acting if steps[code][-1] == cause]
        counted = [code for code in acting if code not in last]
        pieces = [new.filter(pl.col("indicator_code").is_in(last))]
        if counted:
            is_now = CAUSES.index(cause) >= CAUSES.index("time_passed")
            read = set().union(*(inputs_of(catalogue.indicators[code], catalogue) for code in counted))
            pieces.append(
                compute_with_findings(
                    moves.state(read, acted),
                    [catalogue.indicators[code] for code in counted],
                    as_at if is_now else before.as_at.replace(tzinfo=UTC),
                    catalogue=catalogue,
                    delays=delays if is_now else before.delays,
                ).observations
            )
        after = pl.concat(pieces)
        was = state.filter(pl.col("indicator_code").is_in(acting))
        found.append(_contributions(was, after, cause))
        state = pl.concat([state.filter(~pl.col("indicator_code").is_in(acting)), after])
    rest = new.filter(pl.col("indicator_code").is_in(codes))
    left = _contributions(state, rest, "unexplained")
    # What no state accounts for may be a mark: of a doubted value, which the ledger put on, or of reports outstanding.
    for cause, cells in (
        ("correction", _moved_by_doubt_alone(state, rest)),
        ("reports_outstanding", _moved_by_marks_alone(_undoubted(state), _undoubted(rest))),
    ):
        found.append(left.join(cells, on=list(CELL_KEY), how="semi").with_columns(cause_code=pl.lit(cause)))
        left = left.join(cells, on=list(CELL_KEY), how="anti")
    found.append(left)
    return _rows(pl.concat(found), touched, old, new, at)


def _steps(
    code: str,
    before: Before,
    as_at: datetime,
    program: str,
    delays: Mapping[str, int],
    moves: CoreMoves,
    catalogue: IndicatorCatalogue,
) -> tuple[str, ...]:
    """The causes that can have moved figures of the indicator at this refresh, in order."""
    indicator = catalogue.indicators.get(code)
    if indicator is None:
        return ("definition_change",)
    causes = set().union(*(moves.causes_of(name) for name in inputs_of(indicator, catalogue)))
    if before.definitions.get(code) != definition_digest(indicator, catalogue):
        causes.add("definition_change")
    elif before.program != program:
        causes.add("method_change")
    if as_naive_utc(before.as_at).date() != as_naive_utc(as_at).date() or dict(delays) != dict(before.delays):
        causes.add("time_passed")
    return tuple(cause for cause in CAUSES if cause in causes)


def _undoubted(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("footnote_codes").list.set_difference([DOUBTED_FOOTNOTE]))


def _moved_by_doubt_alone(was: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Keys of the cells that would not have moved but for the mark of a doubted value, put on or taken off."""
    still_moved = moved_cells(_undoubted(was), _undoubted(after))
    return moved_cells(was, after).join(still_moved, on=list(CELL_KEY), how="anti")


def _moved_by_marks_alone(was: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Keys of the cells that would not have moved but for a mark of outstanding reports, put on or taken off."""
    is_mark = pl.element().str.starts_with(OUTSTANDING_FOOTNOTES[0]) | pl.element().str.starts_with(
        OUTSTANDING_FOOTNOTES[1]
    )

    def without(frame: pl.DataFrame) -> pl.DataFrame:
        flags = pl.col("obs_flags").list.set_difference(["P", "A"]).list.sort()
        return frame.with_columns(
            footnote_codes=pl.col("footnote_codes").list.filter(~is_mark),
            obs_flags=flags,
            obs_status=pl.when(pl.col("obs_status").is_in(["P", "A"])).then(pl.lit("")).otherwise("obs_status"),
        )

    marked = pl.concat(
        [
            frame.filter(pl.col("footnote_codes").list.eval(is_mark).list.any().fill_null(False)).select(CELL_KEY)
            for frame in (was, after)
        ]
    ).unique()
    still_moved = moved_cells(without(was), without(after))
    return (
        moved_cells(was, after)
        .join(marked, on=list(CELL_KEY), how="semi")
        .join(still_moved, on=list(CELL_KEY), how="anti")
    )


def _contributions(was: pl.DataFrame, after: pl.DataFrame, cause: str) -> pl.DataFrame:
    """One row per cell that the cause moved, with the difference of its values."""
    cells = moved_cells(was, after)
    values = [
        frame.select(*CELL_KEY, pl.col("value").alias(name)) for frame, name in ((was, "before"), (after, "after"))
    ]
    joined = cells.join(values[0], on=list(CELL_KEY), how="left").join(values[1], on=list(CELL_KEY), how="left")
    return joined.select(
        *CELL_KEY, pl.lit(cause).alias("cause_code"), (pl.col("after") - pl.col("before")).alias("contribution")
    )


def _rows(
    found: pl.DataFrame, touched: pl.DataFrame, old: pl.DataFrame, new: pl.DataFrame, at: datetime
) -> pl.DataFrame:
    """Only cells that are different in the end; a cell that one cause moved and another moved back did not move."""
    sides = []
    for frame, name in ((old, "before"), (new, "after")):
        sides.append(
            frame.select(
                *CELL_KEY,
                pl.col("value").alias(f"value_{name}"),
                pl.col("obs_status").alias(f"status_{name}"),
                pl.col("definition_version").alias(f"version_{name}"),
            )
        )
    told = touched.join(sides[0], on=list(CELL_KEY), how="left").join(sides[1], on=list(CELL_KEY), how="left")
    order = pl.col("cause_code").replace_strict({cause: n for n, cause in enumerate(CAUSES)}, return_dtype=pl.Int32)
    return (
        told.join(found, on=list(CELL_KEY), how="left")
        .with_columns(pl.col("cause_code").fill_null("unexplained"))
        .with_columns(
            pl.lit(as_naive_utc(at)).cast(pl.Datetime("us")).alias("refresh_at"),
            pl.coalesce("version_after", "version_before").alias("definition_version"),
            order.rank("dense").over(CELL_KEY).cast(pl.Int32).alias("cause_order"),
        )
        .select(CHANGE_COLUMNS)
        .sort("refresh_at", *KEY_COLUMNS, "cause_order")
    )


CHANGE_COLUMNS: Sequence[str] = (
    "refresh_at",
    *KEY_COLUMNS,
    "cause_code",
    "cause_order",
    "contribution",
    "value_before",
    "value_after",
    "status_before",
    "status_after",
    "version_before",
)
"""Columns of `indicator.change`, in catalogue order."""
