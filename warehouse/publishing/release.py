"""A release on the shelf: one frozen set of figures becomes numbered files that readers see whole or not at all.

Belongs here: freezing, deciding whether there is anything new, writing aside, moving into place, the manifest, and what is
asked of the shelf afterwards (list, verify, withdraw). Does not belong here: protection (`protection`), the look of any
file (the writers).

The shelf holds `<id>/` per release and `current`, a link that moves last. A crash at any moment leaves the old release
current; the next call removes what the crashed one left.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from warehouse.history import as_naive_utc
from warehouse.inputs_digest import code_digest
from warehouse.publishing.content import (
    KEY_COLUMNS,
    RELEASE_ID_FORMAT,
    RegionalSet,
    ReleaseCatalogue,
    ReleaseContent,
    ReleaseContext,
    content_hash,
    release_observations,
)
from warehouse.publishing.history import merge_release, revised_keys
from warehouse.publishing.tables import marked_revised, regional_set_of

if TYPE_CHECKING:
    from warehouse.publishing.protection import Protected

# The writers and the lock are imported where they are used: SDMX and the solver take seconds to import, and whoever only
# reads the shelf (`mhwg table`) needs neither.

MANIFEST = "manifest.json"
TOMBSTONE = "WITHDRAWN.json"
LEDGER = ".ledger"
_RELEASE = re.compile(r"\d{8}T\d{6}Z")
"""A release's name: its instant in RELEASE_ID_FORMAT."""
_REMAINS = re.compile(rf"\.(building|grave|withdrawn|current)-{_RELEASE.pattern}")
"""What stands on the shelf while a release is made, withdrawn or pointed to."""
"""Folder of the shelf with the figures of withdrawn releases and the history that stood in them: who saw them still has them, so
the audit must; and releases that followed before the withdrawal rest on both (`rebuild`)."""

_PUBLIC_AUDIT = (*KEY_COLUMNS, "count_role", "conf_status", "width", "required_width")
"""Columns of the disclosure audit that may leave: how wide the interval is, never where it lies."""


class ShelfError(Exception):
    """The shelf is not as this module left it; the message names the file and what to do."""

    def __init__(self, message: str, *, file: str) -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True)
class ReleaseResult:
    """What came of a request to release: the current release, whether it is new, and what was left out of the tables."""

    release_id: str
    folder: Path
    is_new: bool
    content: ReleaseContent | None
    problems: tuple[str, ...] = ()
    cells_new: int = 0
    cells_revised: int = 0
    cells_hidden: int = 0
    file_count: int = 0


class Draft:
    """Protected figures in release form with their regional tables, before it is known whether they are a new release.

    Raises TypeError for figures that did not go through `protect()`.
    """

    __slots__ = ("audit", "catalogue", "observations", "policy_version", "regional")

    def __init__(self, protected: "Protected", catalogue: ReleaseCatalogue) -> None:
        from warehouse.publishing.protection import Protected

        if not isinstance(protected, Protected):
            raise TypeError("a release is made from a Protected set; call protect() on the observations first")
        self.catalogue = catalogue
        self.observations = release_observations(protected.frame)
        self.regional = regional_set_of(self.observations, catalogue)
        self.audit = protected.audit.select(name for name in _PUBLIC_AUDIT if name in protected.audit.columns)
        self.policy_version = protected.policy_version


def build_release(
    protected: "Protected",
    catalogue: ReleaseCatalogue,
    context: ReleaseContext,
    shelf: Path,
    causes: pl.DataFrame | None = None,
) -> ReleaseResult:
    """`shelf/current` shows the protected figures, as `publish_draft` makes it."""
    return publish_draft(Draft(protected, catalogue), context, shelf, causes)


def publish_draft(
    draft: Draft, context: ReleaseContext, shelf: Path, causes: pl.DataFrame | None = None
) -> ReleaseResult:
    """`shelf/current` shows the figures of the draft. Nothing is written when it already does. `causes`: why figures moved
    since the last release (rows of `indicator.change`).
    """
    shelf.mkdir(parents=True, exist_ok=True)
    _clear_remains(shelf)
    last = current_release(shelf)
    content, fingerprint = freeze_release(draft, context, last, causes)
    if last is not None and read_manifest(last)["content_hash"] == fingerprint:
        return ReleaseResult(last.name, last, False, None, content.regional.problems)

    before = pl.read_parquet(last / "data" / "observation.parquet") if last is not None else None
    observations = content.observations
    folder = shelf / content.release_id
    if folder.exists():
        raise ShelfError(
            f"{folder.name} is already on the shelf; a release is never overwritten. Use a later instant.",
            file=folder.name,
        )
    building = shelf / f".building-{content.release_id}"
    write_release_files(content, fingerprint, building, last)
    _sync_tree(building)
    os.rename(building, folder)
    _sync_folder(shelf)
    _point_current(shelf, folder.name)
    files = read_manifest(folder)["files"]
    return ReleaseResult(
        release_id=folder.name,
        folder=folder,
        is_new=True,
        content=content,
        problems=content.regional.problems,
        cells_new=observations.height
        if before is None
        else observations.join(before, on=KEY_COLUMNS, how="anti").height,
        cells_revised=0 if before is None else revised_keys(before, observations, KEY_COLUMNS).height,
        cells_hidden=observations.filter(pl.col("conf_status").is_in(["C", "D"])).height,
        file_count=len(files),
    )


def freeze_release(
    draft: Draft, context: ReleaseContext, last: Path | None, causes: pl.DataFrame | None = None
) -> tuple[ReleaseContent, str]:
    """What the release after `last` says, frozen, and the fingerprint of its figures; the marks of revised cells come from
    comparing it with `last` and do not count for the fingerprint: the same figures once more are no new release."""
    from warehouse.publishing.change_log import published_changes

    observations = draft.observations
    before = pl.read_parquet(last / "data" / "observation.parquet") if last is not None else None
    revised = revised_keys(before, observations, KEY_COLUMNS) if before is not None else None
    content = ReleaseContent(
        release_id=context.release_id,
        recorded_at=context.recorded_at,
        observations=observations,
        audit=draft.audit,
        policy_version=draft.policy_version,
        regional=draft.regional if revised is None else marked_revised(draft.regional, revised),
        catalogue=draft.catalogue,
        context=context,
        changes=published_changes(context.release_id, before, observations, causes),
    )
    return content, content_hash(
        observations, draft.regional, context.sampling_errors, context.registers, context.claims
    )


def write_release_files(content: ReleaseContent, fingerprint: str, folder: Path, last: Path | None) -> None:
    """`folder` holds every file of the release and its manifest. Same content and same last release: same files."""
    from warehouse.publishing.analyst_database import write_analyst_database
    from warehouse.publishing.flat_files import write_flat_files
    from warehouse.publishing.pages.site import write_pages
    from warehouse.publishing.sdmx_files import write_sdmx
    from warehouse.publishing.workbook import write_workbook

    folder.mkdir()
    observation_versions, cell_versions, releases = _versions(content, last)
    changes = _all_changes(content, last)
    write_flat_files(content, folder / "data")
    history = folder / "data" / "history"
    history.mkdir()
    observation_versions.write_parquet(history / "observation_version.parquet", compression="zstd")
    cell_versions.write_parquet(history / "regional_cell_version.parquet", compression="zstd")
    releases.write_parquet(history / "release.parquet", compression="zstd")
    changes.write_parquet(history / "change.parquet", compression="zstd")
    write_sdmx(content, folder / "sdmx")
    write_workbook(content, folder / "mhwg-tables.xlsx")
    rows_hash = write_analyst_database(
        content, observation_versions, cell_versions, releases, changes, folder / "mhwg.duckdb"
    )
    write_pages(content, observation_versions, folder)
    _write_manifest(content, fingerprint, rows_hash, folder)


def _versions(content: ReleaseContent, last: Path | None) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    def earlier(name: str) -> pl.DataFrame | None:
        return pl.read_parquet(last / "data" / "history" / f"{name}.parquet") if last is not None else None

    observation_versions = merge_release(
        earlier("observation_version"), content.observations, KEY_COLUMNS, content.recorded_at
    )
    cell_versions = merge_release(
        earlier("regional_cell_version"),
        content.regional.cells,
        ("table_code", "row_order", "column_order", "row_code", "column_code"),
        content.recorded_at,
    )
    row = pl.DataFrame(
        {
            "release_id": [content.release_id],
            "recorded_at": [content.recorded_at],
            "catalogue_version": [content.catalogue.version],
            "policy_version": [content.policy_version],
            "code_version": [content.context.code_version],
            "has_practice_data": [content.has_practice_data],
            "licence": [content.context.licence],
        },
        schema_overrides={"recorded_at": pl.Datetime("us")},
    )
    releases = earlier("release")
    return observation_versions, cell_versions, row if releases is None else pl.concat([releases, row])


def _all_changes(content: ReleaseContent, last: Path | None) -> pl.DataFrame:
    """The change log of all releases, this one's last."""
    path = last / "data" / "history" / "change.parquet" if last is not None else None
    # Releases made before there was a change log have none.
    return (
        pl.concat([pl.read_parquet(path), content.changes]) if path is not None and path.exists() else content.changes
    )


def _write_manifest(content: ReleaseContent, fingerprint: str, rows_hash: str, folder: Path) -> None:
    files = [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    used = set(content.observations["receipt_ids"].explode().drop_nulls())
    manifest: dict[str, Any] = {
        "release_id": content.release_id,
        "recorded_at": f"{content.recorded_at:%Y-%m-%dT%H:%M:%S}Z",
        "content_hash": fingerprint,
        "rows_hash": {"mhwg.duckdb": rows_hash},
        "versions": {
            "code": content.context.code_version,
            "catalogue": content.catalogue.version,
            "policy": content.policy_version,
            "program": code_digest(),
        },
        "has_practice_data": content.has_practice_data,
        "counts": {
            "observations": content.observations.height,
            "suppressed": content.observations.filter(pl.col("conf_status").is_in(["C", "D"])).height,
            "regional_cells": content.regional.cells.height,
            "regional_tables": len(content.catalogue.regional.tables),
        },
        "problems": list(content.regional.problems),
        "receipts": [
            {"receipt_id": r.receipt_id, "source_code": r.source_code, "sha256": r.sha256, "locator": r.locator}
            for r in sorted(content.context.receipts, key=lambda receipt: receipt.receipt_id)
            if r.receipt_id in used
        ],
        "files": files,
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="\n")


# The shelf


def current_release(shelf: Path) -> Path | None:
    """Folder of the current release, or None when nothing was ever released."""
    link = shelf / "current"
    if not link.is_symlink():
        return None
    folder = shelf / os.readlink(link)
    if not (folder / MANIFEST).exists():
        raise ShelfError(
            f"current points to {folder.name}, which has no manifest. Point it to a whole release.", file="current"
        )
    return folder


def releases_on(shelf: Path) -> tuple[Path, ...]:
    """Folders of all releases, oldest first, withdrawn ones included."""
    if not shelf.exists():
        return ()
    return tuple(sorted(p for p in shelf.iterdir() if _RELEASE.fullmatch(p.name) and p.is_dir() and not p.is_symlink()))


def strangers_on(shelf: Path) -> tuple[Path, ...]:
    """What lies on the shelf and was not put there by publishing, in name order: no release, and nothing that a crash leaves."""
    if not shelf.exists():
        return ()
    ours = {*releases_on(shelf), shelf / "current", shelf / LEDGER}
    return tuple(sorted(p for p in shelf.iterdir() if p not in ours and not _REMAINS.fullmatch(p.name)))


def published_frames(shelf: Path) -> dict[str, pl.DataFrame]:
    """The observations of every release that anybody may have kept, by release id, oldest first, withdrawn ones included:
    what `protect()` must audit against.
    """
    frames = {}
    for folder in releases_on(shelf):
        for path in (folder / "data" / "observation.parquet", kept_figures(shelf, folder.name)):
            if path.exists():
                frames[folder.name] = pl.read_parquet(path)
                break
    return frames


def kept_figures(shelf: Path, release_id: str) -> Path:
    """Where the observations of a withdrawn release are kept, as it showed them."""
    return shelf / LEDGER / f"{release_id}.parquet"


def kept_history(shelf: Path, release_id: str) -> Path:
    """Where the folder `data/history` of a withdrawn release is kept. Releases withdrawn before it was kept have none."""
    return shelf / LEDGER / f"{release_id}-history"


def withdrawn_at(folder: Path) -> datetime | None:
    """When the release was withdrawn, UTC without zone; None when it stands."""
    path = folder / TOMBSTONE
    if not path.exists():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))["withdrawn_at"]
    return as_naive_utc(datetime.fromisoformat(told.replace("Z", "+00:00")).astimezone(UTC))


def last_event_on(shelf: Path) -> datetime | None:
    """The instant of the newest release, withdrawn ones included, or of the last withdrawal, whichever is later; UTC."""
    events = []
    for folder in releases_on(shelf):
        events.append(datetime.strptime(folder.name, RELEASE_ID_FORMAT))
        if (at := withdrawn_at(folder)) is not None:
            events.append(at)
    return max(events).replace(tzinfo=UTC) if events else None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release. Raises ShelfError when it is missing or not JSON."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as fault:
        raise ShelfError(f"{folder.name}: manifest cannot be read ({fault}).", file=MANIFEST) from fault
    return manifest


def verify_release(folder: Path) -> tuple[str, ...]:
    """What differs between a release and its manifest: missing, changed and unlisted files. Empty when all is well."""
    listed = {entry["path"]: entry["sha256"] for entry in read_manifest(folder)["files"]}
    present = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    present.pop(MANIFEST, None)
    faults = [f"missing: {name}" for name in listed if name not in present]
    faults += [f"not in the manifest: {name}" for name in present if name not in listed]
    faults += [f"changed: {name}" for name, path in present.items() if name in listed and _sha256(path) != listed[name]]
    return tuple(faults)


def withdraw_release(shelf: Path, release_id: str, reason: str, at: datetime) -> None:
    """The release's files are gone and a tombstone says why; readers of the link see the newest release that is left.

    The history that later releases carry still shows what it had published: withdrawal is a public fact, not a secret.
    """
    folder = shelf / release_id
    manifest = read_manifest(folder)
    left = [p for p in releases_on(shelf) if p != folder and (p / MANIFEST).exists()]
    if not left:
        raise ShelfError(f"{release_id} is the only release; publish another before withdrawing it.", file=release_id)
    if current_release(shelf) == folder:
        _point_current(shelf, left[-1].name)
    tombstone = {
        "release_id": release_id,
        "recorded_at": manifest["recorded_at"],
        "content_hash": manifest["content_hash"],
        "withdrawn_at": f"{at:%Y-%m-%dT%H:%M:%S}Z",
        "reason": reason,
    }
    (shelf / LEDGER).mkdir(exist_ok=True)
    shutil.copyfile(folder / "data" / "observation.parquet", kept_figures(shelf, release_id))
    shutil.copytree(folder / "data" / "history", kept_history(shelf, release_id), dirs_exist_ok=True)
    _sync_tree(shelf / LEDGER)
    aside = shelf / f".withdrawn-{release_id}"
    aside.mkdir()
    (aside / TOMBSTONE).write_text(json.dumps(tombstone, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _sync_tree(aside)
    grave = shelf / f".grave-{release_id}"
    os.rename(folder, grave)
    os.rename(aside, folder)
    _sync_folder(shelf)
    shutil.rmtree(grave)


def _clear_remains(shelf: Path) -> None:
    """What a crash left is removed: half-written folders, and whole ones that never became current. Only names that publishing
    writes: a folder that somebody laid beside the releases is not ours, whatever it is called."""
    for path in shelf.iterdir():
        if not _REMAINS.fullmatch(path.name):
            continue
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)
    current = current_release(shelf)
    for folder in releases_on(shelf):
        if (current is None or folder.name > current.name) and not (folder / TOMBSTONE).exists():
            shutil.rmtree(folder)


def _point_current(shelf: Path, name: str) -> None:
    link = shelf / f".current-{name}"
    os.symlink(name, link)
    os.replace(link, shelf / "current")
    _sync_folder(shelf)


def _sync_tree(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_regional_set(folder: Path) -> RegionalSet:
    """The regional tables of a release as they were published."""
    data = folder / "data"
    return RegionalSet(
        cells=pl.read_parquet(data / "regional_cell.parquet"),
        columns=pl.read_parquet(data / "regional_column.parquet"),
        footnotes=pl.read_parquet(data / "footnote.parquet"),
    )
