"""`mhwg quarantine`: records held back, why, where they stand in what was received, and what a person decides about them.

Belongs here: asking and telling. Does not belong here: the quarantine's books (`warehouse.quarantine`), reading a record again (the
next refresh). No value of a person's record is ever printed.
"""

import json
import os
import pwd
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.resources import warehouse_of
from pipelines.settings import load_settings
from warehouse.clock import WallClock
from warehouse.quarantine import Decision, QuarantineError, decide, listed, shown
from warehouse.store import Warehouse
from warehouse.victims import victims_beside

SHOWN_POINTERS = 3


def list_records(source: str | None, table: str | None, status: str, *, as_json: bool) -> int:
    """Records held back, by source, table and reasons; with --json one entry per record."""
    records = []
    for store in _stores():
        with store.connect(read_only=True) as connection:
            records += listed(connection, source=source, table=table, status=None if status == "all" else status)
    if as_json:
        console().print_json(json.dumps(records, default=str, ensure_ascii=False))
        return Exit.DONE
    if not records:
        console().print(f"No record with status {status!r}.")
        return Exit.DONE
    grouped: dict[tuple[str, str, tuple[str, ...]], list[dict[str, Any]]] = {}
    for record in records:
        grouped.setdefault((record["source"], record["table"], tuple(record["reasons"])), []).append(record)
    out = console()
    for (of_source, of_table, reasons), several in grouped.items():
        out.print(f"[bold]{of_source}[/] {of_table}: {len(several):,} records", highlight=False)
        for reason in reasons:
            out.print(f"  {reason}", highlight=False, markup=False)
        for record in several[:SHOWN_POINTERS]:
            out.print(f"    {record['id']}  {record['pointer'] or record['receipt']}", highlight=False, markup=False)
        if len(several) > SHOWN_POINTERS:
            out.print(f"    and {len(several) - SHOWN_POINTERS:,} more (--json lists all)", highlight=False)
    totals = Counter(record["source"] for record in records)
    out.print("Total: " + ", ".join(f"{name} {count:,}" for name, count in sorted(totals.items())), highlight=False)
    return Exit.DONE


def show_record(record_id: str, *, as_json: bool) -> int:
    """One record: reasons, receipt, place, decisions, and those of its values that may be shown."""
    store = _store_with([record_id])
    try:
        with store.connect(read_only=True) as connection:
            record = shown(connection, store.entries, record_id)
    except QuarantineError as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault
    if as_json:
        console().print_json(json.dumps(record, default=str, ensure_ascii=False))
        return Exit.DONE
    out = console()
    out.print(f"[bold]{record['id']}[/] {record['source']} {record['table']}: {record['status']}", highlight=False)
    lines = [f"because  {reason}" for reason in record["reasons"]]
    lines += [f"{name:<8} {record[key]}" for name, key in (("place", "pointer"), ("since", "held_since"))]
    lines += [
        f"{name:<8} {record[key]}" for name, key in (("receipt", "receipt"), ("from", "locator"), ("sha256", "sha256"))
    ]
    lines += [f"  {name} = {value}" for name, value in record["values"].items()]
    lines += [
        f"{row['at']:%Y-%m-%d %H:%M} {row['decision']} by {row['by']}: {row['reason']}" for row in record["decisions"]
    ]
    for line in lines:
        out.print(line, highlight=False, markup=False)
    return Exit.DONE


def take_decision(decision: Decision, record_ids: Sequence[str], reason: str, by: str | None, *, as_json: bool) -> int:
    """The decision about every record named is on file; the next refresh acts on it."""
    decided_by = by or pwd.getpwuid(os.getuid()).pw_name
    store = _store_with(record_ids)
    try:
        with store.connect() as connection:
            count = decide(
                connection,
                record_ids,
                decision,
                decided_by=decided_by,
                reason=reason,
                at=WallClock().now(),
                releasable=releasable_rules() if decision == "release" else (),
            )
    except QuarantineError as fault:
        code = Exit.NOT_FOUND if "no record" in str(fault) else Exit.REFUSED
        raise Refused(str(fault), code) from fault
    words = {
        "release": "released; the next refresh loads",
        "discard": "discarded; they stay on file and are not loaded",
        "hold": "held again",
    }[decision]
    if as_json:
        told = {"decision": decision, "records": list(record_ids), "by": decided_by, "reason": reason}
        console().print_json(json.dumps(told, ensure_ascii=False))
    else:
        console().print(f"{count} records {words}{' them' if decision == 'release' else ''}.", highlight=False)
    return Exit.DONE


def releasable_rules() -> frozenset[str]:
    """Beliefs about one row, which a person may overrule; structure (types, keys, codes, references) nobody may."""
    from expectations.belief_book import rules_for
    from warehouse.catalogue.table_catalogue import tables

    return frozenset(
        rule.full_code
        for table in tables().values()
        if table.schema_name == "staging"
        for rule in rules_for(table)
        if rule.level == "row" and not rule.is_structural
    )


def _stores() -> list[Warehouse]:
    """The warehouse and, where there is one, the victims' store: each holds back its own records."""
    warehouse = warehouse_of(load_settings())
    if not warehouse.exists:
        raise Refused("nothing has been refreshed yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    stores = [store for store in (warehouse, victims_beside(warehouse)) if store.exists]
    for store in stores:
        store.bring_up_to_date()
    return stores


def _store_with(record_ids: Sequence[str]) -> Warehouse:
    """The store that holds these records; the warehouse where none does, whose answer then says so. A decision stands for all records
    named or for none, so it cannot be about records of both."""
    stores = _stores()
    holding = []
    for store in stores:
        with store.connect(read_only=True) as connection:
            ((count,),) = connection.execute(
                "select count(*) from quarantine.record where list_contains($ids, quarantine_id)",
                {"ids": list(record_ids)},
            ).fetchall()
        if count:
            holding.append(store)
    if len(holding) > 1:
        raise Refused(
            "these are records of the warehouse and of the victims' store; decide on each store's by itself.",
            Exit.USAGE,
        )
    return holding[0] if holding else stores[0]
