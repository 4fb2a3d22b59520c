"""Tokens of one key replaced by tokens of another, everywhere and in every version: the same persons, the same history, another key.

Belongs here: finding the tokens that stand in the store and the landing, replacing them in one transaction. Does not belong here:
making the new tokens at the sources (`pipelines.rotation`), keys (`pipelines.settings`).

A token is a name for a person, not a fact about them. Replaced in place in every version, no version is closed or opened by it and
no figure moves; a full pull under the new key finds nothing changed.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import Table
from warehouse.landing import Landing, Receipt
from warehouse.quarantine import quarantine_id
from warehouse.removal import restate_receipts

TOKEN = re.compile(rb"[0-9a-f]{40}")
HOLDERS = ("core.referral_record", "core.labour_contract")
TOKEN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "core.referral_record": ("person_token",),
    "core.referral": ("person_token",),
    "core.labour_contract": ("person_token", "contract_token"),
    "core.correction_row": ("row_key",),
    "staging.referral_record": ("person_token",),
    "staging.labour_contract": ("person_token", "contract_token"),
}
"""Columns that hold a token and nothing else."""


@dataclass
class Rotated:
    """What a rotation replaced: rows by table, landed lines by source; tokens by what became of them."""

    tables: dict[str, int] = field(default_factory=dict)
    landed_lines: dict[str, int] = field(default_factory=dict)
    made_anew: int = 0
    retired: int = 0


def key_ids(connection: Any) -> set[str]:
    """Ids of the keys under which current rows of persons have tokens."""
    found: set[str] = set()
    for name in HOLDERS:
        found |= {
            row[0]
            for row in connection.execute(
                f"select distinct key_id from {name}_current where key_id is not null"
            ).fetchall()
        }
    return found


def stored_tokens(connection: Any, key_id: str, *, current: bool = False) -> set[str]:
    """Tokens, of persons and contracts, that stand in the store under the key; `current`: in open rows only."""
    found: set[str] = set()
    for name in (*HOLDERS, "staging.referral_record", "staging.labour_contract"):
        if current and not name.startswith("core."):
            continue
        relation = f"{name}_current" if current else name
        for column in TOKEN_COLUMNS[name]:
            found |= {
                row[0]
                for row in connection.execute(
                    f"select distinct {column} from {relation} where key_id = ? and {column} is not null", [key_id]
                ).fetchall()
            }
    if not current:
        for (record,) in connection.execute("select record from quarantine.record").fetchall():
            held = json.loads(record)
            if held.get("key_id") == key_id:
                found |= {held[name] for name in ("person_token", "contract_token") if held.get(name)}
    return found


def landed_tokens(landing: Landing, key_id: str) -> set[str]:
    """Tokens in landed lines under the key."""
    found: set[str] = set()
    for source in landing.sources():
        for receipt in landing.receipts(source):
            for path in landing.files(receipt):
                if path.suffix == ".jsonl":
                    found |= _tokens_of_file(path.read_bytes(), key_id)
    return found


def _tokens_of_file(data: bytes, key_id: str) -> set[str]:
    found: set[str] = set()
    of_file = None
    for line in data.splitlines():
        record = json.loads(line)
        of_file = record.get("key_id") or of_file  # a register names its key once, in its head
        if of_file == key_id:
            found |= {record[name] for name in ("token", "person_token", "contract_token") if record.get(name)}
    return found


def replace_landed(
    landing: Landing, new_of: Mapping[str, str], old_id: str, new_id: str
) -> tuple[dict[str, int], list[Receipt]]:
    """Landed lines have the new tokens; lines changed by source, and receipts as they are now. Broken pulls begin anew."""
    by_bytes = {old.encode(): new.encode() for old, new in new_of.items()}
    named, renamed = json.dumps({"key_id": old_id})[1:-1].encode(), json.dumps({"key_id": new_id})[1:-1].encode()
    tight, retold = named.replace(b": ", b":"), renamed.replace(b": ", b":")

    def keep(line: bytes) -> bytes:
        changed = TOKEN.sub(lambda found: by_bytes.get(found[0], found[0]), line)
        return changed.replace(named, renamed).replace(tight, retold)

    lines: dict[str, int] = {}
    receipts = []
    for source in landing.sources():
        for receipt in landing.receipts(source):
            after, count = landing.rewrite(receipt, keep)
            if count:
                lines[source] = lines.get(source, 0) + count
                receipts.append(after)
    landing.drop_incoming(TOKEN)
    return lines, receipts


def replace_stored(
    connection: Any,
    entries: Mapping[str, Table],
    new_of: Mapping[str, str],
    retired: Mapping[str, str],
    old_id: str,
    new_id: str,
    receipts: list[Receipt],
) -> dict[str, int]:
    """Every version of every row has the new tokens and their key's id, in one transaction; rows changed by table."""
    changed: dict[str, int] = {}
    rows = [
        *((old, new, new_id) for old, new in new_of.items() if old not in retired),
        *((old, new, f"{new_id}-retired") for old, new in retired.items()),
    ]
    frame = pl.DataFrame(rows, schema={"old": pl.String, "new": pl.String, "key_id": pl.String}, orient="row")
    connection.execute("begin")
    try:
        connection.register("token_twin", frame.to_arrow())
        for name, columns in TOKEN_COLUMNS.items():
            has_key = "key_id" in entries[name].column_names
            for column in columns:
                with_id = ", key_id = m.key_id" if has_key and column == "person_token" else ""
                ((count,),) = connection.execute(
                    f"update {name} t set {column} = m.new{with_id} from token_twin m where t.{column} = m.old"
                ).fetchall()
                if count:
                    changed[name] = max(changed.get(name, 0), count)
            if has_key:
                connection.execute(f"update {name} set key_id = ? where key_id = ?", [new_id, old_id])
        changed |= _held(connection, entries, {**new_of, **retired}, old_id, new_id)
        restate_receipts(connection, receipts)
        connection.unregister("token_twin")
        connection.execute("commit")
    except BaseException:
        connection.execute("rollback")
        raise
    return changed


def _held(
    connection: Any, entries: Mapping[str, Table], new_of: Mapping[str, str], old_id: str, new_id: str
) -> dict[str, int]:
    """Held records are known by the digest of their content, so a new token gives a record a new id; its decisions follow."""
    changed = 0
    for held_id, table, source, text in connection.execute(
        "select quarantine_id, table_name, source_code, record from quarantine.record"
    ).fetchall():
        record = json.loads(text)
        if record.get("key_id") != old_id or table not in entries:
            continue
        after = {
            name: new_of.get(value, value) if name in ("person_token", "contract_token") else value
            for name, value in record.items()
        } | {"key_id": new_id}
        after_id = quarantine_id(entries[table], source, after)
        connection.execute(
            "update quarantine.record set quarantine_id = ?, record = ? where quarantine_id = ?",
            [after_id, json.dumps(after, ensure_ascii=False, sort_keys=True, default=str), held_id],
        )
        connection.execute(
            "update ops.quarantine_decision set quarantine_id = ? where quarantine_id = ?", [after_id, held_id]
        )
        changed += 1
    return {"quarantine.record": changed} if changed else {}


def retired_tokens(tokens: set[str], make: Callable[[str], str]) -> dict[str, str]:
    """Old token -> a name under the new key for persons whom no source sends any more: nobody can guess it from an identity
    number, and their old versions stay joined with one another."""
    return {token: make(token) for token in sorted(tokens)}
