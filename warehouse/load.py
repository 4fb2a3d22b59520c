"""The load transaction: stage, weigh, quarantine, merge into the core, and commit with receipts and watermarks - or nothing.

Belongs here: write-audit-publish in one DuckDB transaction, and its counts. Does not belong here: what a source looks
like (`assets`), rules (`expectations`), history arithmetic (`warehouse.history`).
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from warehouse import history
from warehouse.catalogue.correction_ledger import Correction
from warehouse.catalogue.table_catalogue import Table
from warehouse.clock import next_recorded_at
from warehouse.history import LoadCounts, LoadMode
from warehouse.landing import Receipt
from warehouse.quality import RuleOutcome, Scales, WeighingContext
from warehouse.store import Warehouse

MODELS = Path(__file__).parent / "models"

_SPOOLED_ROWS = 10_000
"""From this many rows on a frame is handed over as a file: DuckDB 2.0.1 keeps every registered Arrow table until its connection
closes, unregistered or not; each million of staged values held 200 MB more."""


class CriticalRuleFailed(Exception):
    """A table rule of severity critical failed: the transaction is rolled back and the source keeps its last good data."""

    def __init__(self, outcomes: Sequence[RuleOutcome], source: str) -> None:
        self.outcomes = tuple(outcomes)
        self.source = source
        first = outcomes[0]
        detail = f"could not be evaluated ({first.raised})" if first.raised else f"{first.unexpected_count} rows"
        super().__init__(
            f"{source}: {first.table} breaks rule {first.rule_code} ({detail}): {first.why} "
            f"The load was rolled back ({len(outcomes)} critical rules failed); the last good data stay in place."
        )


@dataclass(frozen=True)
class StagingCounts:
    """received = staged + quarantined + duplicates."""

    received: int = 0
    staged: int = 0
    quarantined: int = 0
    duplicates: int = 0

    def __add__(self, other: "StagingCounts") -> "StagingCounts":
        return StagingCounts(
            self.received + other.received,
            self.staged + other.staged,
            self.quarantined + other.quarantined,
            self.duplicates + other.duplicates,
        )


@dataclass
class LoadReport:
    """What one transaction did: counts by table, rule outcomes, and whether anything changed."""

    source_code: str
    recorded_at: datetime
    staging: dict[str, StagingCounts] = field(default_factory=dict)
    history: dict[str, LoadCounts] = field(default_factory=dict)
    outcomes: list[RuleOutcome] = field(default_factory=list)
    newly_quarantined: int = 0
    new_receipts: int = 0
    released: bool = False
    """True when a release was published from this transaction: its mirror tables are worth writing."""
    remembered: bool = False
    """True when the same result came from changed inputs or code: worth keeping, so that it is not computed again."""
    committed: bool = False

    @property
    def is_change(self) -> bool:
        """True when rows were written or held back that the store did not have."""
        return self.released or self.newly_quarantined > 0 or any(counts.is_change for counts in self.history.values())

    def total(self) -> LoadCounts:
        """Sum over the tables with history."""
        return sum(self.history.values(), LoadCounts())


class LoadTransaction:
    """One open transaction on the store for one source instance."""

    def __init__(self, connection: Any, entries: Mapping[str, Table], source_code: str, recorded_at: datetime) -> None:
        self.connection = connection
        self.entries = entries
        self.source_code = source_code
        self.recorded_at = recorded_at
        self.corrections: tuple[Correction, ...] = ()
        self.report = LoadReport(source_code, recorded_at)
        self._withdrawn: set[str] = set()

    def stage(
        self, table_name: str, frames: pl.DataFrame | Iterable[pl.DataFrame], scope: Mapping[str, str]
    ) -> StagingCounts:
        """The sound rows of `frames` are the staging rows within `scope`; the others stand in quarantine with their reasons.

        A frame has the entry's columns, `receipt_id`, `pointer` and `rejections` (empty list or null for a sound row).
        Rows of one frame equal in every column but `pointer` and `receipt_id` are counted as duplicates and kept once.
        Several frames are taken one by one, so that a batch larger than memory passes through.
        """
        table = self.entries[table_name]
        where = " and ".join(f"{name} = ${name}" for name in scope) or "true"
        self.connection.execute(f"delete from {table.name} where {where}", dict(scope) or None)
        parts = [frames] if isinstance(frames, pl.DataFrame) else frames
        counts = sum((self._stage_part(table, frame) for frame in parts), StagingCounts())
        self.report.staging[table_name] = self.report.staging.get(table_name, StagingCounts()) + counts
        return counts

    def _stage_part(self, table: Table, frame: pl.DataFrame) -> StagingCounts:
        missing = [name for name in table.column_names if name not in frame.columns]
        if missing:
            raise ValueError(f"{table.name}: the staged frame lacks columns {missing}")
        if "rejections" not in frame.columns:
            frame = frame.with_columns(rejections=pl.lit([], dtype=pl.List(pl.String)))
        rejections = pl.col("rejections").list.len().fill_null(0)
        rejected = frame.filter(rejections > 0)
        sound = frame.filter(rejections == 0).select(table.column_names)
        told_apart = [name for name in table.column_names if name not in ("receipt_id", "pointer")]
        kept = sound.unique(subset=told_apart, keep="last", maintain_order=True)
        self._quarantine_frame(table, rejected)
        self._insert(table, kept)
        return StagingCounts(frame.height, kept.height, rejected.height, sound.height - kept.height)

    def _insert(self, table: Table, frame: pl.DataFrame) -> None:
        if frame.is_empty():
            return
        columns = ", ".join(f"{column.name}::{column.type} as {column.name}" for column in table.columns)
        if frame.height >= _SPOOLED_ROWS:
            with self._spooled(frame) as path:
                self.connection.execute(
                    f"insert into {table.name} select {columns} from read_parquet($path)", {"path": path}
                )
            return
        self.connection.register("staged_frame", frame.to_arrow())
        self.connection.execute(f"insert into {table.name} select {columns} from staged_frame")
        self.connection.unregister("staged_frame")

    @contextmanager
    def _spooled(self, frame: pl.DataFrame) -> Iterator[str]:
        """The frame as a file beside the store, readable by the owner only, gone when the block ends."""
        ((store,),) = self.connection.execute(
            "select path from duckdb_databases() where database_name = current_database()"
        ).fetchall()
        with tempfile.NamedTemporaryFile(prefix=".staged-", suffix=".parquet", dir=Path(store).parent) as spool:
            frame.write_parquet(spool.name, compression="lz4", statistics=False)
            yield spool.name

    def _quarantine_frame(self, table: Table, rejected: pl.DataFrame) -> None:
        records = []
        for row in rejected.iter_rows(named=True):
            reasons, receipt_id, pointer = row.pop("rejections"), row.pop("receipt_id"), row.pop("pointer")
            records.append((row, list(reasons), receipt_id, pointer))
        self._quarantine(table, records)

    def _quarantine(self, table: Table, records: Iterable[tuple[dict[str, Any], list[str], str, str | None]]) -> None:
        rows: dict[str, tuple[Any, ...]] = {}
        for record, reasons, receipt_id, pointer in records:
            text = json.dumps(record, ensure_ascii=False, sort_keys=True, default=str)
            digest = hashlib.sha256(f"{table.name}\n{self.source_code}\n{text}".encode()).hexdigest()[:16]
            rows[digest] = (digest, table.name, self.source_code, receipt_id, pointer, reasons, text)
        if not rows:
            return
        self.connection.register(
            "held_frame",
            pl.DataFrame(
                list(rows.values()),
                schema={
                    "quarantine_id": pl.String,
                    "table_name": pl.String,
                    "source_code": pl.String,
                    "receipt_id": pl.String,
                    "pointer": pl.String,
                    "reasons": pl.List(pl.String),
                    "record": pl.String,
                },
                orient="row",
            ).to_arrow(),
        )
        at = history.as_naive_utc(self.recorded_at)
        ((new,),) = self.connection.execute(
            """insert into quarantine.record
            select quarantine_id, table_name, source_code, receipt_id, pointer, reasons, record, 'held', $at, null, null, null
            from held_frame h anti join quarantine.record q using (quarantine_id)""",
            {"at": at},
        ).fetchall()
        self.connection.unregister("held_frame")
        self.report.newly_quarantined += new

    def weigh(self, table_name: str, scales: Scales, scope: Mapping[str, str] | None = None) -> list[RuleOutcome]:
        """The table's suite was run on this connection. Row rules of severity critical moved their rows to quarantine
        (staging) or, in the core, stop the load like table rules do. Raises CriticalRuleFailed."""
        table = self.entries[table_name]
        outcomes = list(scales.weigh(self.connection, table, WeighingContext(self.recorded_at, dict(scope or {}))))
        self.report.outcomes.extend(outcomes)
        failed = [outcome for outcome in outcomes if not outcome.passed and outcome.severity == "critical"]
        to_quarantine = [
            outcome
            for outcome in failed
            if table.schema_name == "staging"
            and outcome.level == "row"
            and outcome.unexpected_rowid_sql
            and not outcome.raised
        ]
        stopping = [outcome for outcome in failed if outcome not in to_quarantine]
        if stopping:
            raise CriticalRuleFailed(stopping, self.source_code)
        if to_quarantine:
            self._quarantine_rows(table, to_quarantine)
        return outcomes

    def _quarantine_rows(self, table: Table, outcomes: Sequence[RuleOutcome]) -> None:
        self.connection.execute("create or replace temp table condemned (row_number bigint, reason varchar)")
        for outcome in outcomes:
            self.connection.execute(
                f"insert into condemned select distinct rowid, $reason from ({outcome.unexpected_rowid_sql})",
                {"reason": f"{outcome.rule_code}: {outcome.why}"},
            )
        names = ", ".join(f"t.{name}" for name in table.column_names)
        rows = self.connection.execute(
            f"""select {names}, list(c.reason order by c.reason)
            from {table.name} t join condemned c on t.rowid = c.row_number group by t.rowid, {names} order by t.rowid"""
        ).fetchall()
        records = []
        for row in rows:
            record = dict(zip(table.column_names, row[:-1], strict=True))
            records.append((record, list(row[-1]), record.pop("receipt_id"), record.pop("pointer")))
        self._quarantine(table, records)
        self._withdraw_condemned(table)
        self.connection.execute(f"delete from {table.name} where rowid in (select row_number from condemned)")
        self.connection.execute("drop table temp.condemned")
        self.report.staging[table.name] = self.report.staging.get(table.name, StagingCounts()) + StagingCounts(
            staged=-len(rows), quarantined=len(rows)
        )

    def _withdraw_condemned(self, table: Table) -> None:
        """Keys of the condemned rows are remembered: in a batch of changes each closes the row that it was to replace.

        What the store holds there is no longer what the source says. A full batch would close it because it lacks the key; a
        batch of changes must leave the same rows open, or a refuted value would stand until the next full pull.
        """
        core = self.entries.get(f"core.{table.table_name}")
        if core is None or "is_deleted" not in table.column_names or not set(core.key) <= set(table.column_names):
            return
        self.connection.execute(
            f"""create or replace temp table withdrawn_{table.table_name} as
            select distinct {", ".join(core.key)} from {table.name} where rowid in (select row_number from condemned)
            and {" and ".join(f"{name} is not null" for name in core.key)}"""
        )
        self._withdrawn.add(core.name)

    def load_history(self, table_name: str, *, mode: LoadMode, scope: Mapping[str, str] | None = None) -> LoadCounts:
        """The core table says what `models/<schema>/<table>.sql` says of the staged rows within `scope`."""
        table = self.entries[table_name]
        counts = history.load(
            self.connection,
            table,
            self._batch_sql(table, scope, mode),
            self.recorded_at,
            mode=mode,
            scope=scope,
            parameters=scope,
        )
        if table_name in self._withdrawn:
            self.connection.execute(f"drop table temp.withdrawn_{table.table_name}")
            self._withdrawn.discard(table_name)
        self._note(table_name, counts)
        return counts

    def load_frame(
        self, table_name: str, frame: pl.DataFrame, *, mode: LoadMode, scope: Mapping[str, str] | None = None
    ) -> LoadCounts:
        """The table with history says what `frame` says (columns of the entry but the system times)."""
        table = self.entries[table_name]
        self.connection.register("history_frame", frame.to_arrow())
        columns = ", ".join(
            f"{column.name}::{column.type} as {column.name}"
            for column in table.columns
            if column.name in table.batch_columns
        )
        deleted = ", is_deleted" if mode == "delta" else ""
        counts = history.load(
            self.connection,
            table,
            f"select {columns}{deleted} from history_frame",
            self.recorded_at,
            mode=mode,
            scope=scope,
        )
        self.connection.unregister("history_frame")
        self._note(table_name, counts)
        return counts

    def replace_rows(self, table_name: str, frame: pl.DataFrame) -> None:
        """A table without history holds the rows of `frame` and no others."""
        table = self.entries[table_name]
        self.connection.execute(f"delete from {table.name}")
        self._insert(table, frame)

    def append_rows(self, table_name: str, frame: pl.DataFrame) -> None:
        """The rows of `frame` are added to a table that is only ever added to, such as a log."""
        self._insert(self.entries[table_name], frame)

    def _note(self, table_name: str, counts: LoadCounts) -> None:
        self.report.history[table_name] = self.report.history.get(table_name, LoadCounts()) + counts

    def register(self, receipts: Sequence[Receipt]) -> None:
        """Receipts and the watermarks they carry are part of this transaction."""
        at = history.as_naive_utc(self.recorded_at)
        known = {row[0] for row in self.connection.execute("select receipt_id from ops.receipt").fetchall()}
        for receipt in receipts:
            if receipt.watermark is not None:
                self.mark(receipt.source_code, receipt.part_code, receipt.watermark)
            if receipt.receipt_id in known:
                continue
            self.report.new_receipts += 1
            self.connection.execute(
                f"insert into ops.receipt values ({', '.join('?' * 18)})",
                [
                    receipt.receipt_id,
                    receipt.source_code,
                    receipt.part_code,
                    receipt.kind_code,
                    receipt.locator,
                    json.dumps(receipt.parameters, ensure_ascii=False, sort_keys=True, default=str),
                    receipt.payload_sha256,
                    receipt.file_count,
                    receipt.byte_count,
                    receipt.record_count,
                    history.as_naive_utc(datetime.fromisoformat(receipt.received_at)),
                    receipt.published_on,
                    receipt.server_version,
                    receipt.server_at,
                    receipt.agency,
                    receipt.is_practice,
                    receipt.path,
                    at,
                ],
            )

    def mark(self, source_code: str, part_code: str, watermark: str) -> None:
        """The watermark of one part of a source is part of this transaction."""
        self.connection.execute(
            "delete from ops.watermark where source_code = ? and part_code = ?", [source_code, part_code]
        )
        self.connection.execute(
            "insert into ops.watermark values (?, ?, ?, ?)",
            [source_code, part_code, watermark, history.as_naive_utc(self.recorded_at)],
        )

    def would_change(self, table_name: str, *, mode: LoadMode, scope: Mapping[str, str] | None = None) -> bool:
        """True when loading the staged rows would write anything to the core table; nothing is written to find out."""
        table = self.entries[table_name]
        return history.would_change(
            self.connection, table, self._batch_sql(table, scope, mode), mode=mode, scope=scope, parameters=scope
        )

    def _batch_sql(self, table: Table, scope: Mapping[str, str] | None, mode: LoadMode) -> str:
        model = (MODELS / table.schema_name / f"{table.table_name}.sql").read_text(encoding="utf-8").strip().rstrip(";")
        where = " and ".join(f"{name} = ${name}" for name in scope or {}) or "true"
        batch = f"select * from (\n{model}\n) where {where}"
        if self.corrections:
            from warehouse.corrections import overlaid

            batch = overlaid(table, batch, self.corrections, self.recorded_at.date())
        if mode == "delta" and table.name in self._withdrawn:
            # cardinality: a withdrawn key that a sound row of the same batch has stays with that row
            batch += f"""\nunion all by name select *, true as is_deleted from temp.withdrawn_{table.table_name}
            anti join ({batch}) using ({", ".join(table.key)})"""
        return batch

    def _write_record(self) -> None:
        at = history.as_naive_utc(self.recorded_at)
        for name in sorted({*self.report.staging, *self.report.history}):
            staged = self.report.staging.get(name)
            merged = self.report.history.get(name)
            self.connection.execute(
                "insert into ops.load values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    at,
                    self.source_code,
                    name,
                    staged.received if staged else (merged.received if merged else 0),
                    staged.staged if staged else None,
                    staged.quarantined if staged else None,
                    staged.duplicates if staged else None,
                    merged.inserted if merged else None,
                    merged.changed if merged else None,
                    merged.closed if merged else None,
                    merged.unchanged if merged else None,
                ],
            )
        if self.report.outcomes:
            self.connection.executemany(
                "insert into ops.check_result values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    [
                        at,
                        self.source_code,
                        outcome.rule_code,
                        outcome.table,
                        outcome.severity,
                        outcome.level,
                        outcome.passed,
                        outcome.unexpected_count,
                        outcome.evaluated_count,
                        outcome.why,
                        outcome.raised,
                    ]
                    for outcome in self.report.outcomes
                ],
            )


@contextmanager
def transaction(warehouse: Warehouse, source_code: str, recorded_at: datetime) -> Iterator[LoadTransaction]:
    """A load transaction that commits when the block ends and something changed, and otherwise leaves the file as it was.

    Nothing changed: rolled back, so that a refresh with nothing new leaves the store byte for byte (the caller discards
    the landed files of that pull). A fault: rolled back and raised.
    """
    with warehouse.connect() as connection:
        connection.execute("begin")
        load = LoadTransaction(
            connection, warehouse.entries, source_code, _system_time(connection, warehouse, recorded_at)
        )
        load.corrections = warehouse.corrections
        try:
            yield load
            if load.report.is_change:
                load._write_record()
                connection.execute("commit")
                load.report.committed = True
                warehouse.written_at = load.recorded_at
            elif load.report.remembered:
                connection.execute("commit")
            else:
                connection.execute("rollback")
        except BaseException:
            _roll_back(connection)
            raise


def _system_time(connection: Any, warehouse: Warehouse, wanted: datetime) -> datetime:
    """The system time of a transaction: the refresh's own, or later when another run has committed meanwhile.

    Runs of several sources take turns as writers. System time only moves on, and what another run has shown at an instant
    must not change afterwards; the transactions of one run share theirs.
    """
    ((latest,),) = connection.execute("select max(refresh_at) from ops.load").fetchall()
    if latest is None:
        return wanted
    latest = latest.replace(tzinfo=UTC)
    own = warehouse.written_at
    if own is not None and history.as_naive_utc(own) == history.as_naive_utc(latest):
        return max(own, wanted)
    return next_recorded_at(wanted, latest)


def _roll_back(connection: Any) -> None:
    """No transaction is open any more; a fault inside DuckDB may have closed it already."""
    with suppress(duckdb.TransactionException):
        connection.execute("rollback")
