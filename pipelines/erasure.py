"""Erasing a person everywhere in an installation, with a proof; and keeping them erased when an older state comes back.

Belongs here: the order of the work over store, landing, inbox, Dagster's records, pages and backups, and the proof. Does not
belong here: finding marks and removing rows (`warehouse.erasure`), the command (`pipelines.cli.erase`).

The list of erasures is written first: whatever happens after it, the next pull cannot bring the person back, and the same
command run again ends what was begun.
"""

import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from methods.pseudonym import TOKEN_HEX_LENGTH, Pseudonymiser
from pipelines.audit import user
from pipelines.failures import Exit, Refused
from pipelines.settings import Settings
from warehouse import erasure as store_erasure
from warehouse.clock import next_recorded_at
from warehouse.erasure import Erasure, Marks
from warehouse.landing import Landing
from warehouse.publishing.shelf import ReleaseShelf
from warehouse.store import Warehouse

log = logging.getLogger(__name__)

OLD_STATES = "replaced-"
BACKUPS = "backups"
REBUILT = ("quality",)
"""Folders whose files the next refresh writes anew: a file with a mark is removed."""
RECORDS = ("dagster", "audit", "practice", "locks")
"""Folders of logs: a mark is overwritten."""
NOT_SEARCHED = "Dagster's PostgreSQL storage"


@dataclass
class Outcome:
    """What an erasure found, removed and left, by place; the proof has the same."""

    erasure_id: str
    at: str
    by: str
    key_id: str
    is_dry_run: bool = False
    records: int = 0
    contracts: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    landed_lines: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    files_searched: int = 0
    tables_after: dict[str, int] = field(default_factory=dict)
    files_after: dict[str, int] = field(default_factory=dict)
    old_states: list[str] = field(default_factory=list)
    """Backups and states set aside in which the person still stands."""
    not_searched: list[str] = field(default_factory=list)
    proof: str | None = None

    @property
    def was_found(self) -> bool:
        """True when anything of the person was here."""
        return bool(self.tables or self.landed_lines or self.files)

    @property
    def is_complete(self) -> bool:
        """True when nothing is left, backups included."""
        return not (self.tables_after or self.files_after or self.old_states)


def pseudonymiser_of(settings: Settings) -> Pseudonymiser:
    """The keyed hash of this installation; it knows who was erased. Raises SettingsError without a key."""
    return Pseudonymiser(
        settings.pseudonym_key(),
        settings.pseudonym.key_id,
        store_erasure.erased_digests(settings.state_folder),
    )


def check_token(text: str) -> str:
    """The token, if it can be one. Raises Refused; the message does not repeat it."""
    token = text.strip().lower()
    if len(token) != TOKEN_HEX_LENGTH or set(token) - set("0123456789abcdef"):
        raise Refused(
            f"that is no pseudonym: expected {TOKEN_HEX_LENGTH} characters 0-9 and a-f, as in the column person_token, found "
            f"{len(token)} characters.",
            Exit.USAGE,
        )
    return token


def look(settings: Settings, warehouse: Warehouse, token: str) -> Outcome:
    """What would be erased; nothing is written."""
    outcome = _new_outcome(settings, is_dry_run=True)
    landing = Landing(settings.state_folder / "landing")
    with _reading(warehouse) as connection:
        marks = store_erasure.marks_of(connection, landing, {token})
        outcome.tables = store_erasure.rows_with(connection, marks) if connection else {}
    _count(outcome, marks)
    found, outcome.files_searched = store_erasure.files_with(settings.state_folder, marks)
    outcome.old_states, rest = _parted(settings, found)
    outcome.landed_lines = store_erasure.landed_lines(landing, marks)
    outcome.files = {
        name: count for name, count in rest.items() if not name.startswith(("landing/", "warehouse.duckdb"))
    }
    outcome.files |= {_name(settings, path): 1 for path in _inbox_files(settings, marks)}
    return outcome


def erase(
    settings: Settings,
    warehouse: Warehouse,
    token: str,
    *,
    now: datetime,
    drop_backups: bool = False,
    take_backup: Callable[[], Path] | None = None,
) -> Outcome:
    """Nothing of the person is left in this installation but what `Outcome` names; the list has them, and a proof is written.

    With `drop_backups` a new backup is taken (`take_backup`) and the older ones and states set aside are removed. The caller
    holds the refresh lock. Running it again ends an erasure that was cut off.
    """
    state, landing = settings.state_folder, Landing(settings.state_folder / "landing")
    pseudonymiser = pseudonymiser_of(settings)
    outcome = _new_outcome(settings)
    warehouse.bring_up_to_date()
    with _reading(warehouse) as connection:
        marks = store_erasure.marks_of(connection, landing, {token})
    _count(outcome, marks)
    store_erasure.add_erasure(
        state,
        Erasure(outcome.erasure_id, outcome.at, outcome.by, outcome.key_id, marks.digests(pseudonymiser)),
    )
    _remove(settings, warehouse, landing, marks, outcome, now)
    found, outcome.files_searched = store_erasure.files_with(state, marks)
    outcome.old_states, outcome.files_after = _parted(settings, found)
    with _reading(warehouse) as connection:
        outcome.tables_after = store_erasure.rows_with(connection, marks) if connection else {}
    if drop_backups and not outcome.files_after and not outcome.tables_after:
        outcome.files |= dict.fromkeys(_drop_old_states(settings, take_backup), 1)
        outcome.old_states, outcome.files_after = _parted(settings, store_erasure.files_with(state, marks)[0])
    _write_proof(settings, outcome, marks, pseudonymiser)
    return outcome


def erase_again(settings: Settings, warehouse: Warehouse, now: datetime) -> int:
    """Whoever is on the list is not in the store or the landing, although an older state came back; the number of erasures
    that had to be done again.

    Raises SettingsError without the pseudonym key: without it nobody can tell who it is, and nothing may be read until then.
    """
    state, landing = settings.state_folder, Landing(settings.state_folder / "landing")
    listed = store_erasure.erasures(state)
    if not listed or not warehouse.exists:
        return 0
    warehouse.bring_up_to_date()
    with _reading(warehouse) as connection:
        done = {row[0] for row in connection.execute("select distinct removal_id from ops.removal").fetchall()}
        missing = [erasure for erasure in listed if erasure.erasure_id not in done]
        if not missing:
            return 0
        pseudonymiser = pseudonymiser_of(settings)
        back = {
            token
            for token in store_erasure.known_tokens(connection, landing)
            if pseudonymiser.is_erased("person", token)
        }
        marks = store_erasure.marks_of(connection, landing, back) if back else Marks()
    for number, erasure in enumerate(missing):
        outcome = Outcome(erasure.erasure_id, erasure.at, erasure.by, erasure.key_id)
        _remove(settings, warehouse, landing, marks if number == 0 else Marks(), outcome, now, rewrite=number == 0)
    log.info("%s erasures were done again on an older state", len(missing))
    return len(missing)


def _new_outcome(settings: Settings, *, is_dry_run: bool = False) -> Outcome:
    at = datetime.now(UTC)
    outcome = Outcome(
        f"erasure-{at:%Y%m%dT%H%M%S}-{os.urandom(3).hex()}",
        at.isoformat(timespec="seconds"),
        user(),
        settings.pseudonym.key_id,
        is_dry_run,
    )
    if settings.dagster.postgres_url_env:
        outcome.not_searched.append(NOT_SEARCHED)
    return outcome


def _count(outcome: Outcome, marks: Marks) -> None:
    outcome.records, outcome.contracts = len(marks.records), len(marks.contracts)


def _remove(
    settings: Settings,
    warehouse: Warehouse,
    landing: Landing,
    marks: Marks,
    outcome: Outcome,
    now: datetime,
    *,
    rewrite: bool = True,
) -> None:
    """Files first: what marks the person is known from the store, so the store is emptied last."""
    state = settings.state_folder
    if marks.texts:
        outcome.landed_lines = store_erasure.remove_landed(landing, marks)
        for path in _inbox_files(settings, marks):
            outcome.files[_name(settings, path)] = 1
            path.unlink()
        found, _ = store_erasure.files_with(state, marks, without=("landing", "inbox", "release", BACKUPS))
        for path, count in sorted(found.items()):
            inside = path.relative_to(state).parts
            if inside[0] in REBUILT or path.name.startswith(".staged-"):
                path.unlink()
            elif inside[0] in RECORDS:
                _overwrite(path, marks)
            else:
                continue
            outcome.files[_name(settings, path)] = count
    if not warehouse.exists:
        return
    shelf = ReleaseShelf(settings.state_folder / "release")
    at = next_recorded_at(now, warehouse.last_refresh_at(), shelf.last_event_at)
    rewritten = [receipt for source in landing.sources() for receipt in landing.rewritten(source)]
    with warehouse.connect() as connection:
        outcome.tables = store_erasure.remove_rows(
            connection, warehouse.entries, marks, outcome.erasure_id, at, outcome.landed_lines, rewritten
        )
    if rewrite:
        warehouse.rewrite()


def _overwrite(path: Path, marks: Marks) -> None:
    """No mark stands in a log: SQLite files are updated and compacted, other files overwritten in place."""
    if path.suffix in (".db", ".sqlite"):
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            tables = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
            for table in tables:
                columns = [row[1] for row in connection.execute(f'pragma table_info("{table}")')]
                for column in columns:
                    for text in sorted(marks.texts):
                        connection.execute(
                            f'update "{table}" set "{column}" = replace("{column}", ?, ?) where instr("{column}", ?)',
                            (text, "(erased)", text),
                        )
            connection.commit()
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
        return
    data = path.read_bytes()
    for text in sorted(marks.texts):
        data = data.replace(text.encode(), b"*" * len(text))
    with path.open("r+b") as stream:
        stream.write(data)


def _inbox_files(settings: Settings, marks: Marks) -> list[Path]:
    """Registers as received, still in the inbox, with a row of the person: their identifiers stand there in clear."""
    if not marks.tokens:
        return []
    from assets.labour.fetch import complete_files, safe_form
    from methods.pseudonym import PseudonymKeyError

    pseudonymiser = pseudonymiser_of(settings)
    looking = Pseudonymiser(settings.pseudonym_key(), settings.pseudonym.key_id, marks.digests(pseudonymiser))
    found = []
    for path in complete_files(settings.inbox(settings.labour)):
        try:
            name, safe, _ = safe_form(path.name, path.read_bytes(), looking)
        except (OSError, PseudonymKeyError):
            continue
        if name.endswith(".jsonl") and "erased_rows" in json.loads(safe.splitlines()[0]):
            found.append(path)
    return found


def _parted(settings: Settings, found: dict[Path, int]) -> tuple[list[str], dict[str, int]]:
    """Old states (backups, states set aside) that hold a mark, and the other files that do."""
    old: set[str] = set()
    rest: dict[str, int] = {}
    for path, count in found.items():
        inside = path.relative_to(settings.state_folder).parts
        if inside[0] == BACKUPS:
            old.add("/".join(inside[:2]))
        elif inside[0].startswith(OLD_STATES):
            old.add(inside[0])
        else:
            rest["/".join(inside)] = count
    return sorted(old), rest


def _drop_old_states(settings: Settings, take_backup: Callable[[], Path] | None) -> list[str]:
    """A new backup stands; the older ones and the states set aside are gone, whoever they hold. Names of what is gone."""
    kept = {take_backup()} if take_backup else set()
    state = settings.state_folder
    gone = [path for path in sorted((state / BACKUPS).glob("*")) if path not in kept and path.is_file()]
    for path in gone:
        path.unlink()
    set_aside = sorted(state.glob(f"{OLD_STATES}*"))
    for folder in set_aside:
        shutil.rmtree(folder)
    return [_name(settings, path) for path in (*gone, *set_aside)]


def _name(settings: Settings, path: Path) -> str:
    return (
        path.relative_to(settings.state_folder).as_posix() if path.is_relative_to(settings.state_folder) else path.name
    )


def _write_proof(settings: Settings, outcome: Outcome, marks: Marks, pseudonymiser: Pseudonymiser) -> None:
    """The proof names the person by the digest of the list only."""
    path = settings.state_folder / store_erasure.FOLDER / f"{outcome.erasure_id}.json"
    told: dict[str, Any] = {
        "erasure_id": outcome.erasure_id,
        "at": outcome.at,
        "by": outcome.by,
        "key_id": outcome.key_id,
        "person": sorted(pseudonymiser.erasure_digest("person", token) for token in marks.tokens),
        "records": outcome.records,
        "contracts": outcome.contracts,
        "removed": {
            "rows_by_table": outcome.tables,
            "landed_lines_by_source": outcome.landed_lines,
            "files": outcome.files,
        },
        "searched_after": {
            "files": outcome.files_searched,
            "where": "every file of the state folder, byte by byte; inside workbooks, Parquet and DuckDB files; every text "
            "column of every table of the warehouse, all versions; the warehouse file was written anew",
            "rows_found": outcome.tables_after,
            "files_found": outcome.files_after,
            "not_searched": outcome.not_searched,
        },
        "still_in_backups": outcome.old_states,
        "releases": "hold no row about a person",
        "is_complete": outcome.is_complete,
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(told, ensure_ascii=False, indent=1))
    outcome.proof = str(path)


@contextmanager
def _reading(warehouse: Warehouse) -> Iterator[Any]:
    """A connection on the store, or None where there is none yet."""
    if not warehouse.exists:
        yield None
        return
    with warehouse.connect(read_only=True) as connection:
        yield connection
