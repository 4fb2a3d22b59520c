"""The load transaction: stage, weigh, quarantine, merge into the core, and commit with receipts and watermarks - or nothing.

Belongs here: write-audit-publish in one DuckDB transaction, and its counts. Does not belong here: what a source looks
like (`assets`), rules (`expectations`), history arithmetic (`warehouse.history`).
"""

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from warehouse import history, quarantine
from warehouse.catalogue.correction_ledger import Correction
from warehouse.catalogue.table_catalogue import Table
from warehouse.clock import next_recorded_at
from warehouse.history import LoadCounts, LoadMode
from warehouse.landing import Receipt
from warehouse.quality import RuleOutcome, Scales, WeighingContext, WeighingFailed
from warehouse.quarantine import Rejected
from warehouse.retention import without_due
from warehouse.store import Warehouse

MODELS = Path(__file__).parent / "models"

_SPOOLED_ROWS = 10_000
"""From this many rows on a frame is handed over as a file: DuckDB 2.0.1 keeps every registered Arrow table until its connection
closes, unregistered or not; each million of staged values held 200 MB more."""

_SPOOLED_FILES = 8
"""So many of them, half a million staged values, are taken by one statement: it fills whole row groups, where a statement for
each frame wrote part of them twice. 2.5 s of processor time for a million values became 1.9 s (2026-11-26)."""

_SPOOL = ".staged-"
"""How names of such files begin."""

_ROWS_PER_STATEMENT = 200
"""Rows of the books that one INSERT takes: it is parsed anew each time, so not many more."""


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


class LedgerError(Exception):
    """Rows of a receipt are unaccounted for: the load is rolled back. A fault of the program, not of the data."""

    def __init__(self, message: str, *, source: str, table: str) -> None:
        super().__init__(message)
        self.source = source
        self.table = table


@dataclass(frozen=True)
class LedgerLine:
    """What became of the rows that one receipt brought to one staging table."""

    pull_number: int
    receipt_id: str
    table: str
    received: int
    staged: int
    quarantined: int
    duplicates: int

    @property
    def is_balanced(self) -> bool:
        """True when every row is accounted for."""
        return self.received == self.staged + self.quarantined + self.duplicates


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
    resettled: int = 0
    """Records in quarantine that were resolved, or are held for other reasons than before."""
    ledger: list[LedgerLine] = field(default_factory=list)
    pulls: list[tuple[int, tuple[str, ...], bool]] = field(default_factory=list)
    """Pulls read: number, receipts in order, and whether it was read again for the sake of held records."""
    new_receipts: int = 0
    released: bool = False
    """True when a release was published from this transaction: its mirror tables are worth writing."""
    remembered: bool = False
    """True when the same result came from changed inputs or code: worth keeping, so that it is not computed again."""
    committed: bool = False

    @property
    def is_change(self) -> bool:
        """True when rows were written or held back that the store did not have."""
        return (
            self.released
            or self.newly_quarantined > 0
            or self.resettled > 0
            or any(counts.is_change for counts in self.history.values())
        )

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
        self.rejected: dict[str, set[str]] = {}
        """Quarantine ids that the batch in staging was rejected for, by table."""
        self._books: dict[str, dict[str, Counter[str]]] = {}
        self._scopes: dict[str, Mapping[str, str]] = {}
        self._released: set[str] | None = None
        self._withdrawn: set[str] = set()

    def stage(
        self, table_name: str, frames: pl.DataFrame | Iterable[pl.DataFrame], scope: Mapping[str, str]
    ) -> StagingCounts:
        """The sound rows of `frames` are the staging rows within `scope`; the others stand in quarantine with their reasons.

        A frame has the entry's columns, `receipt_id`, `pointer` and `rejections` (empty list or null for a sound row).
        Rows of one frame equal in every column but `pointer` and `receipt_id` are counted as duplicates and kept once, in
        staging or in quarantine; the reasons of rejected ones add up. Several frames are taken one by one, so that a batch
        larger than memory passes through.
        """
        table = self.entries[table_name]
        where = " and ".join(f"{name} = ${name}" for name in scope) or "true"
        self.connection.execute(f"delete from {table.name} where {where}", dict(scope) or None)
        self._scopes[table_name] = scope
        self.rejected[table_name] = set()
        self._books[table_name] = {name: Counter[str]() for name in ("received", "quarantined", "duplicates")}
        parts = [frames] if isinstance(frames, pl.DataFrame) else frames
        with _Spool(self.connection, table) as spool:
            counts = sum((self._stage_part(table, frame, spool) for frame in parts), StagingCounts())
        self._count(table_name, counts)
        return counts

    def _stage_part(self, table: Table, frame: pl.DataFrame, spool: "_Spool") -> StagingCounts:
        missing = [name for name in table.column_names if name not in frame.columns]
        if missing:
            raise ValueError(f"{table.name}: the staged frame lacks columns {missing}")
        if "rejections" not in frame.columns:
            frame = frame.with_columns(rejections=pl.lit([], dtype=pl.List(pl.String)))
        rejections = pl.col("rejections").list.len().fill_null(0)
        rejected = frame.filter(rejections > 0)
        sound = frame.filter(rejections == 0).select(table.column_names)
        kept = _once(sound, table)
        books = self._books[table.name]
        books["received"] += _by_receipt(frame)
        if kept is not sound:
            books["duplicates"] += _by_receipt(sound) - _by_receipt(kept)
        repeated = self._hold(table, [_rejected(row) for row in rejected.iter_rows(named=True)])
        spool.add(kept)
        doubled = sound.height - kept.height + repeated
        return StagingCounts(frame.height, kept.height, rejected.height - repeated, doubled)

    def _count(self, table_name: str, counts: StagingCounts) -> None:
        self.report.staging[table_name] = self.report.staging.get(table_name, StagingCounts()) + counts

    def _insert(self, table: Table, frame: pl.DataFrame) -> None:
        with _Spool(self.connection, table) as spool:
            spool.add(frame)

    def _hold(self, table: Table, records: Sequence[Rejected]) -> int:
        """The records stand in quarantine; the number of those that repeat another of the same batch."""
        held = quarantine.hold(
            self.connection, table, self.source_code, records, self.recorded_at, self.rejected[table.name]
        )
        self.report.newly_quarantined += held.new
        self.report.resettled += held.changed
        seen, books = self.rejected[table.name], self._books[table.name]
        repeated = 0
        for record, record_id in zip(records, held.ids, strict=True):
            books["duplicates" if record_id in seen else "quarantined"][record.receipt_id] += 1
            repeated += record_id in seen
            seen.add(record_id)
        return repeated

    def settle(
        self,
        receipts: Sequence[str],
        whole: Mapping[str, Sequence[Mapping[str, str]]],
        identity: Mapping[str, Sequence[str]],
    ) -> int:
        """Records in quarantine that the batch in staging made good are resolved, with an audit row each; their number.

        `whole`: staging table -> scopes for which the batch is all that the provider has to say. `identity`: staging table ->
        columns by which a later record replaces a held one, where they are not its key.
        """
        settled = sum(
            quarantine.settle(
                self.connection,
                self.entries[name],
                self.source_code,
                rejected=rejected,
                receipts=receipts,
                whole=whole.get(name, ()),
                identity=identity.get(name, self.entries[name].key),
                at=self.recorded_at,
            )
            for name, rejected in self.rejected.items()
        )
        self.report.resettled += settled
        return settled

    def close_books(self, pull_number: int) -> None:
        """The ledger says of every receipt of the batch what became of its rows. Raises LedgerError when one is missing."""
        for name, books in self._books.items():
            where = " and ".join(f"{column} = ${column}" for column in self._scopes[name]) or "true"
            staged = Counter(
                dict(
                    self.connection.execute(
                        f"select receipt_id, count(*) from {name} where {where} group by receipt_id",
                        dict(self._scopes[name]) or None,
                    ).fetchall()
                )
            )
            for receipt_id in sorted({*books["received"], *staged}, key=str):
                counted = (books["received"], staged, books["quarantined"], books["duplicates"])
                line = LedgerLine(pull_number, receipt_id, name, *(counter[receipt_id] for counter in counted))
                if not line.is_balanced:
                    raise LedgerError(
                        f"{self.source_code}: receipt {receipt_id} brought {line.received} rows to {name}, but {line.staged} were "
                        f"staged, {line.quarantined} held and {line.duplicates} doubled. The load was rolled back; report it.",
                        source=self.source_code,
                        table=name,
                    )
                self.report.ledger.append(line)
        self._books, self._scopes = {}, {}

    def weigh(self, table_name: str, scales: Scales, scope: Mapping[str, str] | None = None) -> list[RuleOutcome]:
        """The table's suite was run on this connection. Row rules of severity critical moved their rows to quarantine
        (staging) or, in the core, stop the load like table rules do. Raises CriticalRuleFailed."""
        table = self.entries[table_name]
        try:
            outcomes = list(scales.weigh(self.connection, table, WeighingContext(self.recorded_at, dict(scope or {}))))
        except WeighingFailed as fault:
            if fault.ran_out_of_memory:
                raise duckdb.OutOfMemoryException(str(fault)) from fault
            raise
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
            f"""select {names}, list(c.reason order by c.reason), t.rowid
            from {table.name} t join condemned c on t.rowid = c.row_number group by t.rowid, {names} order by t.rowid"""
        ).fetchall()
        condemned: list[Rejected] = []
        spared: list[int] = []
        for *values, reasons, row_number in rows:
            record = _rejected({**dict(zip(table.column_names, values, strict=True)), "rejections": reasons})
            if self._is_released(table, record):
                spared.append(row_number)
            else:
                condemned.append(record)
        repeated = self._hold(table, condemned)
        if spared:
            self.connection.execute(
                "delete from condemned where list_contains($spared, row_number)", {"spared": spared}
            )
        self._withdraw_condemned(table)
        self.connection.execute(f"delete from {table.name} where rowid in (select row_number from condemned)")
        self.connection.execute("drop table temp.condemned")
        held = len(condemned) - repeated
        self._count(table.name, StagingCounts(staged=-len(condemned), quarantined=held, duplicates=repeated))

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

    def _is_released(self, table: Table, record: Rejected) -> bool:
        """True when a person decided that the record is right although a belief objects."""
        if self._released is None:
            self._released = quarantine.released_ids(self.connection, self.source_code)
        return bool(self._released) and (
            quarantine.quarantine_id(table, self.source_code, record.record) in self._released
        )

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
        batch = without_due(self.connection, table, batch)
        if mode == "delta" and table.name in self._withdrawn:
            # cardinality: a withdrawn key that a sound row of the same batch has stays with that row
            batch += f"""\nunion all by name select *, true as is_deleted from temp.withdrawn_{table.table_name}
            anti join ({batch}) using ({", ".join(table.key)})"""
        return batch

    def abandon(self) -> None:
        """The transaction is rolled back: a trial leaves nothing behind."""
        _roll_back(self.connection)

    def _write_record(self) -> None:
        by = (history.as_naive_utc(self.recorded_at), self.source_code)
        report = self.report
        self._write_rows(
            "ops.pull", [(*by, number, list(receipts), is_retry) for number, receipts, is_retry in report.pulls]
        )
        self._write_rows(
            "ops.receipt_ledger",
            [
                (*by, line.pull_number, line.receipt_id, line.table, line.received, line.staged, line.quarantined,
                 line.duplicates)
                for line in report.ledger
            ],
        )  # fmt: skip
        loads = []
        for name in sorted({*report.staging, *report.history}):
            staged, merged = report.staging.get(name), report.history.get(name)
            received = staged.received if staged else merged.received if merged else 0
            staging = (staged.staged, staged.quarantined, staged.duplicates) if staged else (None,) * 3
            merge = (merged.inserted, merged.changed, merged.closed, merged.unchanged) if merged else (None,) * 4
            loads.append((*by, name, received, *staging, *merge))
        self._write_rows("ops.load", loads)
        self._write_rows(
            "ops.check_result",
            [
                (*by, outcome.rule_code, outcome.table, outcome.severity, outcome.level, outcome.passed,
                 outcome.unexpected_count, outcome.evaluated_count, outcome.why, outcome.raised)
                for outcome in report.outcomes
            ],
        )  # fmt: skip

    def _write_rows(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """The rows, in the order of the table's columns, in it: by few statements, since one for each took 0.8 s of a refresh."""
        for first in range(0, len(rows), _ROWS_PER_STATEMENT):
            part = rows[first : first + _ROWS_PER_STATEMENT]
            places = ", ".join(f"({', '.join('?' * len(row))})" for row in part)
            self.connection.execute(f"insert into {table} values {places}", [value for row in part for value in row])


class _Spool:
    """Frames on their way into a table: all are in it when the block ends. Small ones are handed over as they are; large ones as
    files beside the store, readable by the owner only, several at a time, gone when the block ends however it ends."""

    def __init__(self, connection: Any, table: Table) -> None:
        self.connection = connection
        self.table = table
        self._columns = ", ".join(f"{column.name}::{column.type} as {column.name}" for column in table.columns)
        self._files: list[Path] = []
        self._until_taken = ExitStack()
        self._folder: Path | None = None

    def __enter__(self) -> "_Spool":
        return self

    def __exit__(self, fault: type[BaseException] | None, *about: object) -> None:
        try:
            if fault is None:
                self._empty()
        finally:
            self._remove()

    def add(self, frame: pl.DataFrame) -> None:
        """The rows of `frame` are in the table, or will be."""
        if frame.is_empty():
            return
        if frame.height >= _SPOOLED_ROWS:
            self._write(frame)
            if len(self._files) >= _SPOOLED_FILES:
                self._empty()
            return
        self.connection.register("staged_frame", frame.to_arrow())
        self.connection.execute(f"insert into {self.table.name} by name select {self._columns} from staged_frame")
        self.connection.unregister("staged_frame")

    def _write(self, frame: pl.DataFrame) -> None:
        if self._folder is None:
            ((store,),) = self.connection.execute(
                "select path from duckdb_databases() where database_name = current_database()"
            ).fetchall()
            self._folder = Path(store).parent
        spooled = tempfile.NamedTemporaryFile(prefix=_SPOOL, suffix=".parquet", dir=self._folder)  # noqa: SIM115 (the stack closes it)
        self._files.append(Path(self._until_taken.enter_context(spooled).name))
        frame.write_parquet(self._files[-1], compression="lz4", statistics=False)

    def _empty(self) -> None:
        if not self._files:
            return
        # Rows in staging have no order: they are told by their key and their pointer.
        if self.table.schema_name == "staging":
            self.connection.execute("set preserve_insertion_order = false")
        try:
            self.connection.execute(
                f"insert into {self.table.name} by name select {self._columns} from read_parquet($paths)",
                {"paths": [str(file) for file in self._files]},
            )
        finally:
            with suppress(duckdb.TransactionException):  # after a fault the connection ends with its transaction
                self.connection.execute("reset preserve_insertion_order")
        self._remove()

    def _remove(self) -> None:
        self._until_taken.close()
        self._files.clear()


def _once(sound: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The rows without those equal to a later one in every column but `receipt_id` and `pointer`; `sound` itself where no key
    repeats, which eight bytes a row can tell."""
    key = [name for name in table.key if name not in ("receipt_id", "pointer")]
    if key and sound.select(pl.struct(key).hash().n_unique()).item() == sound.height:
        return sound
    told_apart = [name for name in table.column_names if name not in ("receipt_id", "pointer")]
    kept = sound.unique(subset=told_apart, keep="last", maintain_order=True)
    return sound if kept.height == sound.height else kept


def _by_receipt(frame: pl.DataFrame) -> Counter[str]:
    """Rows by receipt."""
    return Counter(dict(frame.group_by("receipt_id").len().iter_rows()))


def _rejected(row: dict[str, Any]) -> Rejected:
    reasons, receipt_id, pointer = row.pop("rejections"), row.pop("receipt_id"), row.pop("pointer")
    return Rejected(row, tuple(reasons), receipt_id, pointer)


@contextmanager
def transaction(warehouse: Warehouse, source_code: str, recorded_at: datetime) -> Iterator[LoadTransaction]:
    """A load transaction that commits when the block ends and something changed, and otherwise leaves the file as it was.

    Nothing changed: rolled back, so that a refresh with nothing new leaves the store byte for byte (the caller discards
    the landed files of that pull). A fault: rolled back and raised.
    """
    with warehouse.connect() as connection:
        clear_leftovers(warehouse.path)
        connection.execute("begin")
        load = LoadTransaction(
            connection, warehouse.entries, source_code, system_time(connection, warehouse, recorded_at)
        )
        load.corrections = warehouse.corrections
        try:
            yield load
            load.close_books(len(load.report.pulls) + 1)
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


def clear_leftovers(store: Path) -> None:
    """What a process that was killed in mid-load left beside the store is gone: staged frames and DuckDB's spilled pages.

    For the writer with its connection open: the store's lock says that no other process is at work. DuckDB itself removes a
    dead process's pages only when it spills the next time, which may be never.
    """
    own = f"duckdb_temp_{os.getpid()}_"
    for left in [*store.parent.glob(f"{_SPOOL}*.parquet"), *store.with_name(f"{store.name}.tmp").glob("duckdb_temp_*")]:
        if not left.name.startswith(own):
            left.unlink(missing_ok=True)


def system_time(connection: Any, warehouse: Warehouse, wanted: datetime) -> datetime:
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
