"""`mhwg backup`, `mhwg restore`, `mhwg upgrade`: keeping the state of an installation, and bringing an older store up to date.

Belongs here: naming the places and telling what was done. Does not belong here: the file format (`warehouse.backup`), the
migrations (`warehouse.migrations`).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pipelines.cli.console import console
from pipelines.cli.erase import now_of
from pipelines.erasure import erase_again, pseudonymiser_of
from pipelines.failures import Exit, Refused
from pipelines.resources import landing_of, warehouse_of
from pipelines.settings import Settings, load_settings
from warehouse.backup import Backup, BackupError, restore_backup, take_backup
from warehouse.erasure import erasures
from warehouse.locks import held
from warehouse.migrations.victims_apart import move_out
from warehouse.store import Warehouse
from warehouse.victims import SOURCE as VICTIMS
from warehouse.victims import victims_beside


def backup(to: str | None, *, as_json: bool) -> int:
    """The state of this installation is in one verified file in the folder `to`, or in `backups` of the state folder."""
    settings = load_settings()
    kept = _take(settings, Path(to).resolve() if to else settings.state_folder / "backups")
    return _tell(kept, f"Backup written and verified: {kept.path}", as_json=as_json)


def restore(file: str, *, replace: bool, as_json: bool) -> int:
    """The state folder is what the backup holds; what stood there is set aside when `replace` is given."""
    settings = load_settings()
    if erasures(settings.state_folder):
        pseudonymiser_of(settings)  # the key tells who of a restored state was erased since: without it nothing begins
    with _alone(settings, "restore"):
        found = restore_backup(Path(file).resolve(), settings.state_folder, replace=replace)
        again = erase_again(settings, warehouse_of(settings), now_of(settings))
        if again and not as_json:
            console().print(f"{again} erasures that are younger than the backup were done again.", highlight=False)
    return _tell(found, f"Restored to {settings.state_folder}: the state of {found.taken_at}", as_json=as_json)


def upgrade(*, as_json: bool) -> int:
    """The warehouse is of this program's schema version; a backup of what it was stands in `backups`."""
    settings = load_settings()
    warehouse = warehouse_of(settings)
    victims = victims_beside(warehouse)
    needed = [*warehouse.pending_steps(), *victims.pending_steps()]
    kept = _take(settings, settings.state_folder / "backups") if needed else None
    done = _upgraded(settings, warehouse, victims) if needed else []
    if as_json:
        print(json.dumps({"steps": done, "backup": str(kept.path) if kept else None}))
    elif done:
        console().print(f"Upgraded by {', '.join(done)}; before that: {kept.path if kept else ''}", highlight=False)
    else:
        console().print("The warehouse is up to date.")
    return Exit.DONE


def _upgraded(settings: Settings, warehouse: Warehouse, victims: Warehouse) -> list[str]:
    """Names of the steps that were run on the two stores."""
    with _alone(settings, "upgrade"):
        moved = move_out(warehouse, landing_of(settings, "programme"), landing_of(settings, VICTIMS))
        for name in moved.files:
            _move_file(settings.inbox(settings.programme) / name, settings.inbox(settings.victims) / name)
        done = [step.name for store in (warehouse, victims) if store.exists for step in store.upgrade()]
        warehouse.rewrite()  # DuckDB keeps the bytes of what was dropped until the file is written anew
        return done


def _move_file(old: Path, new: Path) -> None:
    """The file lies at `new`; where another one lies there already, both stay."""
    if not old.is_file() or (new.exists() and new.read_bytes() != old.read_bytes()):
        return
    new.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.replace(old, new)


def _take(settings: Settings, folder: Path) -> Backup:
    state, store = settings.state_folder, Warehouse(settings.state_folder / "warehouse.duckdb")
    with _alone(settings, "backup"):
        return take_backup(store, state, folder, datetime.now(UTC), settings.file)


@contextmanager
def _alone(settings: Settings, verb: str) -> Iterator[None]:
    """No refresh runs meanwhile: what it receives and what it stores must belong together."""
    holder = f"mhwg {verb}, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with held(settings.state_folder / "locks" / "refresh.lock", "the refresh", holder):
        try:
            yield
        except BackupError as fault:
            raise Refused(str(fault), Exit.REFUSED) from fault


def _tell(found: Backup, sentence: str, *, as_json: bool) -> int:
    if as_json:
        said = {
            "file": str(found.path),
            "taken_at": found.taken_at,
            "schema_version": found.schema_version,
            "members": len(found.members),
            "bytes": found.byte_count,
        }
        print(json.dumps(said))
    else:
        console().print(sentence, highlight=False, soft_wrap=True)
        console().print(
            f"{len(found.members):,} files, {found.byte_count / 1e6:,.1f} MB. It holds the same personal data as the state "
            "folder, and no secret: keep it as safe, and the pseudonym key apart from it.",
            highlight=False,
        )
    return Exit.DONE
