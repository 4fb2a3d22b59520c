"""The quarantine: records held back with all their reasons, and what was decided about each.

Belongs here: holding, settling, deciding, and the words in which a record may be shown. Does not belong here: which record is to be
held (`warehouse.load`, suites), reading landed files again (`assets.retrying`), the command (`pipelines.cli`).

A record is known by the digest of its table, source and content: the same wrong record in the next delivery is the same record.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import polars as pl

from warehouse.catalogue.table_catalogue import Table
from warehouse.history import as_naive_utc

REFRESH = "refresh"
"""Who decided, when no person did."""

Decision = Literal["release", "discard", "hold"]
STATUS_AFTER = {"release": "released", "discard": "discarded", "hold": "held"}

SHOWN_CLASSES = ("public", "internal")
"""Data classes whose values may be shown to the engineer; all others are named and withheld."""


class QuarantineError(Exception):
    """A decision that cannot be taken: the record is unknown, or its reasons do not allow it. The message says what to do."""


@dataclass(frozen=True)
class Rejected:
    """One record that is to be held: its values, every reason, and where it came from."""

    record: Mapping[str, Any]
    reasons: tuple[str, ...]
    receipt_id: str
    pointer: str | None


@dataclass(frozen=True)
class Held:
    """What one call of `hold` did: ids in the order of the records, and how many were new or had other reasons than before."""

    ids: tuple[str, ...]
    new: int
    changed: int


def quarantine_id(table: Table, source_code: str, record: Mapping[str, Any]) -> str:
    """The record's id: the same content in the same table of the same source has the same."""
    return _digest(table, source_code, _text(record))


def moved_id(table: Table, source_code: str, text: str) -> str:
    """The id of a record that is held already, `text` being its JSON, under another source."""
    return _digest(table, source_code, text)


def _text(record: Mapping[str, Any]) -> str:
    """The record as JSON, which has no NaN and no infinity: they are kept as texts."""
    plain = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, default=str)


def _digest(table: Table, source_code: str, text: str) -> str:
    return hashlib.sha256(f"{table.name}\n{source_code}\n{text}".encode()).hexdigest()[:16]


def hold(
    connection: Any,
    table: Table,
    source_code: str,
    rejected: Iterable[Rejected],
    at: datetime,
    already: Collection[str] = (),
) -> Held:
    """Every record stands in quarantine with all its reasons. One that was resolved and comes again is held again; one that a
    person discarded stays discarded. Reasons replace those of an earlier batch; to those of `already`, the ids that this batch
    was rejected for before, they are added."""
    ids: list[str] = []
    rows: dict[str, tuple[Any, ...]] = {}
    for entry in rejected:
        text = _text(entry.record)
        digest = _digest(table, source_code, text)
        ids.append(digest)
        reasons = [*rows[digest][5], *entry.reasons] if digest in rows else entry.reasons
        first = rows.get(digest, (digest, table.name, source_code, entry.receipt_id, entry.pointer, None, text))
        rows[digest] = (*first[:5], list(dict.fromkeys(reasons)), text)
    if not rows:
        return Held((), 0, 0)
    columns = ("quarantine_id", "table_name", "source_code", "receipt_id", "pointer", "reasons", "record")
    schema = {name: pl.List(pl.String) if name == "reasons" else pl.String for name in columns}
    connection.register("held_frame", pl.DataFrame(list(rows.values()), schema=schema, orient="row").to_arrow())
    now = as_naive_utc(at)
    ((again,),) = connection.execute(
        """update quarantine.record q set status_code = 'held', receipt_id = h.receipt_id, pointer = h.pointer,
             reasons = h.reasons, decided_at = null, decided_by = null, decision_reason = null
        from held_frame h where q.quarantine_id = h.quarantine_id and q.status_code = 'resolved'"""
    ).fetchall()
    ((changed,),) = connection.execute(
        """update quarantine.record q set reasons = h.all_reasons from (
          select quarantine_id, case when list_contains($already, quarantine_id)
            then list_concat(r.reasons, list_filter(f.reasons, lambda reason: not list_contains(r.reasons, reason)))
            else f.reasons end as all_reasons
          from held_frame f join quarantine.record r using (quarantine_id) /* one to one */
        ) h where q.quarantine_id = h.quarantine_id and q.status_code = 'held' and q.reasons <> h.all_reasons""",
        {"already": sorted(already)},
    ).fetchall()
    ((new,),) = connection.execute(
        f"""insert into quarantine.record ({", ".join(columns)}, status_code, first_at)
        select {", ".join(columns)}, 'held', $at from held_frame h anti join quarantine.record q using (quarantine_id)""",
        {"at": now},
    ).fetchall()
    connection.unregister("held_frame")
    return Held(tuple(ids), new + again, changed)


def settle(
    connection: Any,
    table: Table,
    source_code: str,
    *,
    rejected: Collection[str],
    receipts: Collection[str],
    whole: Sequence[Mapping[str, str]],
    identity: Sequence[str],
    at: datetime,
) -> int:
    """Open records of the table that a batch made good are resolved, with the reason; the number of them.

    Called when the batch stands in staging. `rejected` are the ids that the batch was rejected for, `receipts` those it was
    read from, `whole` the scopes for which it is everything the provider has to say, `identity` the columns by which a later
    record replaces an earlier one.
    """
    ((still_open,),) = connection.execute(
        """select count(*) from quarantine.record
        where source_code = ? and table_name = ? and status_code in ('held', 'released')""",
        [source_code, table.name],
    ).fetchall()
    if not still_open:
        return 0
    taken_back = (
        " or ".join(
            "("
            + " and ".join(f"json_extract_string(q.record, '$.{n}') = {_literal(v)}" for n, v in scope.items())
            + ")"
            if scope
            else "true"
            for scope in whole
        )
        or "false"
    )
    replaced = " and ".join(f"s.{name}::varchar = json_extract_string(q.record, '$.{name}')" for name in identity)
    found = connection.execute(
        f"""select q.quarantine_id, case
          when list_contains($receipts, q.receipt_id) then
            case when q.status_code = 'released' then 'loaded as released by ' || q.decided_by
                 else 'valid under the rules and codes of this refresh' end
          when {taken_back} then 'the later delivery no longer holds it'
          else 'a later record replaced it' end
        from quarantine.record q
        where q.source_code = $source and q.table_name = $table and q.status_code in ('held', 'released')
          and not list_contains($rejected, q.quarantine_id)
          and (list_contains($receipts, q.receipt_id) or {taken_back}
            or exists (select 1 from {table.name} s where {replaced}))""",
        {
            "receipts": sorted(receipts),
            "rejected": sorted(rejected),
            "source": source_code,
            "table": table.name,
        },
    ).fetchall()
    for record_id, reason in found:
        _decide(connection, record_id, "resolve", "resolved", REFRESH, reason, as_naive_utc(at))
    return len(found)


def _literal(value: str) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _decide(
    connection: Any, record_id: str, code: str, status: str, decided_by: str, reason: str, at: datetime
) -> None:
    connection.execute(
        """update quarantine.record set status_code = $status, decided_at = $at, decided_by = $by, decision_reason = $reason
        where quarantine_id = $id""",
        {"status": status, "at": at, "by": decided_by, "reason": reason, "id": record_id},
    )
    connection.execute(
        "insert into ops.quarantine_decision values (?, ?, ?, ?, ?)", [record_id, at, code, decided_by, reason]
    )


def released_ids(connection: Any, source_code: str) -> set[str]:
    """Records of the source whose last decision by a person was to release them: no belief holds them back any more."""
    rows = connection.execute(
        """select quarantine_id from ops.quarantine_decision d join quarantine.record q using (quarantine_id) /* n to 1 */
        where q.source_code = ? and d.decision_code <> 'resolve'
        group by quarantine_id having arg_max(decision_code, d.decided_at) = 'release'""",
        [source_code],
    ).fetchall()
    return {row[0] for row in rows}


def decide(
    connection: Any,
    record_ids: Sequence[str],
    decision: Decision,
    *,
    decided_by: str,
    reason: str,
    at: datetime,
    releasable: Collection[str],
) -> int:
    """The decision and its audit row stand for every record named, or for none; the number of records.

    `releasable`: full codes of the rules that a person may overrule. Raises QuarantineError for an unknown record, an empty
    reason, a record that is already resolved, or a release against a reason that is not one of `releasable`.
    """
    if len(reason.strip()) < 5:
        raise QuarantineError("--reason must say why, in a few words; it is kept with your name.")
    connection.execute("begin")
    try:
        for record_id in record_ids:
            rows = connection.execute(
                "select status_code, reasons, decision_reason from quarantine.record where quarantine_id = ?",
                [record_id],
            ).fetchall()
            if not rows:
                raise QuarantineError(
                    f"no record {record_id!r} in the quarantine; `mhwg quarantine list` shows their ids."
                )
            ((status, reasons, decided),) = rows
            if status == "resolved":
                raise QuarantineError(f"record {record_id} is resolved ({decided}); there is nothing to decide.")
            if decision == "release":
                _require_releasable(record_id, reasons, releasable)
            _decide(
                connection, record_id, decision, STATUS_AFTER[decision], decided_by, reason.strip(), as_naive_utc(at)
            )
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return len(record_ids)


def _require_releasable(record_id: str, reasons: Sequence[str], releasable: Collection[str]) -> None:
    binding = [text for text in reasons if text.split(": ")[0] not in releasable]
    if binding:
        raise QuarantineError(
            f"record {record_id} cannot be released: {binding[0]!r} is not a belief that a person may overrule, it says that "
            "the record cannot be read, keyed or coded. Have the provider correct it, extend the code list, or discard it."
        )


def listed(
    connection: Any, *, source: str | None = None, table: str | None = None, status: str | None = "held"
) -> list[dict[str, Any]]:
    """Records as a list may show them: id, source, table, status, reasons, pointer, since when. No value of a record."""
    rows = connection.execute(
        """select quarantine_id, source_code, table_name, status_code, reasons, receipt_id, pointer, first_at
        from quarantine.record
        where ($source is null or source_code = $source) and ($table is null or table_name = $table)
          and ($status is null or status_code = $status)
        order by source_code, table_name, reasons, pointer, quarantine_id""",
        {"source": source, "table": table, "status": status},
    ).fetchall()
    names = ("id", "source", "table", "status", "reasons", "receipt", "pointer", "held_since")
    return [dict(zip(names, row, strict=True)) for row in rows]


def shown(connection: Any, entries: Mapping[str, Table], record_id: str) -> dict[str, Any]:
    """One record with its receipt, reasons and decisions. Values of personal, sensitive and restricted columns are withheld.

    Raises QuarantineError when there is no such record.
    """
    rows = connection.execute(
        """select q.table_name, q.source_code, q.status_code, q.reasons, q.pointer, q.first_at, q.record,
          r.receipt_id, r.locator, r.path, r.payload_sha256, r.received_at
        from quarantine.record q left join ops.receipt r using (receipt_id) /* many to one */ where q.quarantine_id = ?""",
        [record_id],
    ).fetchall()
    if not rows:
        raise QuarantineError(f"no record {record_id!r} in the quarantine; `mhwg quarantine list` shows their ids.")
    names = (
        *("table", "source", "status", "reasons", "pointer", "held_since", "values"),
        *("receipt", "locator", "landed_in", "sha256", "received_at"),
    )
    told: dict[str, Any] = {"id": record_id, **dict(zip(names, rows[0], strict=True))}
    entry = entries.get(told["table"])
    told["values"] = {
        name: value if _may_be_shown(entry, name) else f"withheld ({_data_class(entry, name)})"
        for name, value in json.loads(told["values"]).items()
        if value is not None
    }
    told["decisions"] = [
        dict(zip(("at", "decision", "by", "reason"), row, strict=True))
        for row in connection.execute(
            """select decided_at, decision_code, decided_by, decision_reason from ops.quarantine_decision
            where quarantine_id = ? order by decided_at""",
            [record_id],
        ).fetchall()
    ]
    return told


def _data_class(entry: Table | None, name: str) -> str:
    try:
        return entry.column(name).data_class if entry is not None else "unknown table"
    except KeyError:
        return "unknown column"


def _may_be_shown(entry: Table | None, name: str) -> bool:
    is_about_a_person = entry is None or any(column.data_class == "personal" for column in entry.columns)
    # A row about one person says who it is even by what is harmless alone: of such rows only what is public is shown.
    return _data_class(entry, name) in (SHOWN_CLASSES[:1] if is_about_a_person else SHOWN_CLASSES)
