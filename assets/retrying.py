"""Which loaded pulls are to be read again, because records of theirs that are held back have become valid or were released.

Belongs here: that question, answered without writing. Does not belong here: loading (`assets.loading`), the quarantine's own books
(`warehouse.quarantine`).

A held record is read again from the landed file, not from the quarantine: only there it is as received. The pulls after it are read
again too, in order, so that nothing older overwrites what came later; the history does not show the detour.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from warehouse.catalogue.table_catalogue import Table
from warehouse.inputs_digest import code_digest
from warehouse.landing import Landing, LandingError, Receipt
from warehouse.load import CriticalRuleFailed, LoadTransaction
from warehouse.quality import Scales, WeighingFailed
from warehouse.store import Warehouse

if TYPE_CHECKING:
    from assets.loading import Batches

log = logging.getLogger(__name__)

JUDGEMENT = "quarantine"
"""Under this name `ops.watermark` keeps, for each source, the code that its held records were last judged with."""


@dataclass(frozen=True)
class Retry:
    """Pulls to read again before the waiting ones, and whether the held records were judged by code they had not met."""

    pulls: tuple[tuple[Receipt, ...], ...] = ()
    is_judged_anew: bool = False

    @property
    def is_due(self) -> bool:
        """True when the load step has something to do or to remember."""
        return bool(self.pulls) or self.is_judged_anew


@dataclass(frozen=True)
class _Open:
    """One open record of the quarantine."""

    record_id: str
    table: str
    receipt_id: str
    status: str


def remember_judgement(load: LoadTransaction) -> None:
    """The store knows that this code has judged what the source has in quarantine."""
    load.mark(JUDGEMENT, load.source_code, code_digest())
    load.report.remembered = True


def pulls_to_retry(
    warehouse: Warehouse,
    landing: Landing,
    scales: Scales,
    source_code: str,
    recorded_at: datetime,
    batches: "Batches",
) -> Retry:
    """The pulls from the first one on that holds a record which would be loaded today. Nothing is written to find out.

    Asked in this order, the cheap questions first: was a record released; does a unit, area or document now exist that was
    missing; and, when the code is not the one that judged last, does any record pass when its file is read again.
    """
    if not warehouse.exists:
        return Retry()
    with warehouse.connect(read_only=True) as connection:
        held = [
            _Open(*row)
            for row in connection.execute(
                """select quarantine_id, table_name, receipt_id, status_code from quarantine.record
                where source_code = ? and status_code in ('held', 'released') order by quarantine_id""",
                [source_code],
            ).fetchall()
        ]
        if not held:
            return Retry()
        pulls = _loaded_pulls(connection, landing, source_code)
        due = {record.receipt_id for record in held if record.status == "released"}
        due |= _now_referable(connection, warehouse.entries, source_code)
        judged = connection.execute(
            "select watermark from ops.watermark where source_code = ? and part_code = ?", [JUDGEMENT, source_code]
        ).fetchall()
    is_anew = not judged or judged[0][0] != code_digest()
    try:
        if is_anew:
            due |= _now_valid(warehouse, landing, scales, source_code, recorded_at, batches, held, pulls)
        first = next((number for number, pull in enumerate(pulls) if due & {r.receipt_id for r in pull}), len(pulls))
        for pull in pulls[first:]:
            for receipt in pull:
                landing.files(receipt)
    except LandingError as fault:
        log.warning("%s: held records are not read again: %s", source_code, fault)
        return Retry()
    if due:
        log.info("%s: %s receipts with held records that may be loaded now", source_code, len(due))
    return Retry(tuple(pulls[first:]), is_anew)


def _loaded_pulls(connection: Any, landing: Landing, source_code: str) -> list[tuple[Receipt, ...]]:
    """Pulls as they were loaded, oldest first; a receipt that is no longer landed leaves its pull out."""
    known = {receipt.receipt_id: receipt for receipt in landing.receipts(source_code)}
    rows = connection.execute(
        """select receipt_ids from ops.pull where source_code = ? and not is_retry order by refresh_at, pull_number""",
        [source_code],
    ).fetchall()
    return [tuple(known[name] for name in row[0]) for row in rows if all(name in known for name in row[0])]


def _now_referable(connection: Any, entries: Mapping[str, Table], source_code: str) -> set[str]:
    """Receipts of records held for nothing but references to rows that exist by now."""
    found: set[str] = set()
    for name in sorted(
        {row[0] for row in connection.execute("select distinct table_name from quarantine.record").fetchall()}
    ):
        table = entries.get(name)
        rules: dict[str, str] = {}
        for column in table.columns if table is not None else ():
            if column.references:
                target, target_column = column.references.rsplit(".", 1)
                rules[f"{name}.{column.name}_is_in_{target.replace('.', '_')}"] = _exists(
                    entries,
                    column.name,
                    target,
                    target_column,
                    "instance_code" in (table.column_names if table else ()),
                )
        if not rules:
            continue
        tests = " and ".join(f"(not list_contains(codes, '{code}') or {test})" for code, test in rules.items())
        rows = connection.execute(
            f"""select distinct receipt_id from (
              select *, list_transform(reasons, lambda reason: split_part(reason, ': ', 1)) as codes from quarantine.record
              where source_code = $source and table_name = $table and status_code = 'held'
            ) as held where list_has_all($known, codes) and {tests}""",
            {"source": source_code, "table": name, "known": sorted(rules)},
        ).fetchall()
        found |= {row[0] for row in rows}
    return found


def _exists(entries: Mapping[str, Table], column: str, target: str, target_column: str, by_instance: bool) -> str:
    entry = entries[target]
    relation = f"{target}_current" if entry.history else target
    same = f"t.{target_column}::varchar = json_extract_string(record, '$.{column}')"
    if by_instance and "instance_code" in entry.key:
        same += " and t.instance_code = json_extract_string(record, '$.instance_code')"
    return f"exists (select 1 from {relation} t where {same})"


def _now_valid(
    warehouse: Warehouse,
    landing: Landing,
    scales: Scales,
    source_code: str,
    recorded_at: datetime,
    batches: "Batches",
    held: Sequence[_Open],
    pulls: Sequence[tuple[Receipt, ...]],
) -> set[str]:
    """Receipts of records that are not rejected when their pull is staged and weighed again; rolled back in any case."""
    found: set[str] = set()
    tables = {record.table for record in held}
    with warehouse.connect() as connection:
        for pull in pulls:
            receipts = {receipt.receipt_id for receipt in pull}
            asked = [record for record in held if record.receipt_id in receipts and record.status == "held"]
            if not asked:
                continue
            connection.execute("begin")
            trial = LoadTransaction(connection, warehouse.entries, source_code, recorded_at)
            rejected: set[str] = set()
            try:
                for batch in batches(pull):
                    for table, frame in batch.frames.items():
                        trial.stage(table, frame, batch.scope)
                    for table in batch.frames:
                        if table in tables:
                            trial.weigh(table, scales, batch.scope)
                    rejected |= {name for names in trial.rejected.values() for name in names}
            except (CriticalRuleFailed, WeighingFailed) as fault:
                log.info("%s: held records are not judged anew: %s", source_code, fault)
                continue
            finally:
                trial.abandon()
            found |= {record.receipt_id for record in asked if record.record_id not in rejected}
    return found
