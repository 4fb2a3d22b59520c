"""Backups of an installation: one file with the warehouse, what was received and what was released, verified by hash.

Belongs here: writing, verifying and restoring that file. Does not belong here: secrets (they are in the environment and never
in a state folder), Dagster's run history, the practice clock's meaning, the commands.

    mhwg-backup-<instant>.tar      manifest.json first, then the members in name order
    manifest.json                  format, schema version, fingerprint, instant, and size and sha256 of every member

A backup is taken under the warehouse's write lock, so no refresh runs meanwhile and the parts belong together.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from warehouse.erasure import LIST, merged_list
from warehouse.migrations import SCHEMA_VERSION, stored_version
from warehouse.store import Warehouse, code_version, stored_fingerprint

FORMAT = 1
MANIFEST = "manifest.json"
PARTS = ("warehouse.duckdb", "victims", "landing", "release", "inbox", "practice", "erasures", "audit", "settings")
"""What of the state folder is kept, and the settings file beside it. Dagster's own records can be made anew and hold nothing of
the data; the audit log of commands cannot: it is the only record of who did what."""
AUDIT_LOG = PurePosixPath("audit/commands.jsonl")
"""Lines in the order in which they were written. A restore never shortens it: whoever restores an old backup stays on record."""

KEPT_ON = "erasures"
"""The list of erased persons and its proofs only grow: a restored one is joined with the one that stands, never put in its place."""


class BackupError(Exception):
    """A backup that cannot be trusted or a place that cannot take it; the message names the file and what to do."""

    def __init__(self, message: str, *, file: str) -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True)
class Backup:
    """What a backup file holds: when and of which schema it was made, and its members."""

    path: Path
    taken_at: str
    schema_version: int
    code_version: str
    members: dict[str, dict[str, Any]]

    @property
    def byte_count(self) -> int:
        """Bytes of all members together."""
        return sum(entry.get("bytes", 0) for entry in self.members.values())


def _free_name(folder: Path, stem: str) -> Path:
    """A backup is never overwritten: the second of one second, as a script or an erasure after a backup makes it, has a number."""
    names = (f"{stem}{number}.tar" for number in ("", *(f"-{again}" for again in range(2, 100))))
    free = next((folder / name for name in names if not (folder / name).exists()), None)
    if free is None:
        raise BackupError(f"{folder / stem}.tar and 98 more of that second exist already.", file=f"{stem}.tar")
    return free


def take_backup(warehouse: Warehouse, state: Path, folder: Path, taken_at: datetime, settings_file: Path) -> Backup:
    """`folder` holds a backup of the state and the settings file, whole and verified, or nothing new. Only its owner may read
    it; it holds the same personal data as the state.

    Raises StoreLocked when a refresh is writing, StoreError when there is no warehouse, BackupError when what was written does
    not read back.
    """
    target = _free_name(folder, f"mhwg-backup-{taken_at:%Y%m%dT%H%M%SZ}")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_name(f".{target.name}.part")
    with warehouse.connect_as_is() as connection:
        connection.execute("checkpoint")  # nothing of the last commit may stand in the write-ahead log only
        schema = {"schema_version": stored_version(connection), "fingerprint": stored_fingerprint(connection)}
        paths = {name: state / name for name in _members(state)} | {f"settings/{settings_file.name}": settings_file}
        members = {name: _described(path) for name, path in paths.items()}
        manifest = {
            "format": FORMAT,
            "taken_at": f"{taken_at:%Y-%m-%dT%H:%M:%SZ}",
            "code_version": code_version(),
            **schema,
            "members": members,
        }
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                text = json.dumps(manifest, indent=1, sort_keys=True).encode()
                _add(archive, MANIFEST, io.BytesIO(text), len(text))
                for name, entry in members.items():
                    if "link" in entry:
                        info = tarfile.TarInfo(name)
                        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry["link"], 0o777
                        archive.addfile(info)
                        continue
                    with paths[name].open("rb") as member:
                        _add(archive, name, member, entry["bytes"])
            stream.flush()
            os.fsync(stream.fileno())
    try:
        found = verify_backup(partial)
    except BackupError:
        partial.unlink()
        raise
    os.replace(partial, target)
    return Backup(target, found.taken_at, found.schema_version, found.code_version, found.members)


def verify_backup(path: Path) -> Backup:
    """What the backup holds, every member read and compared with its hash. Raises BackupError naming the first that differs."""
    try:
        with tarfile.open(path, mode="r:") as archive:
            manifest = _manifest(archive, path)
            expected = dict(manifest["members"])
            for number, info in enumerate(archive):
                if number == 0:
                    continue  # the manifest itself
                entry = expected.pop(info.name, None)
                if entry is None or not _is_safe(info.name):
                    raise BackupError(
                        f"{path.name}: {info.name} is not in its manifest; do not restore it.", file=path.name
                    )
                if "link" in entry:
                    is_sound = info.issym() and info.linkname == entry["link"]
                else:
                    content = archive.extractfile(info)
                    is_sound = content is not None and _digest(content) == entry["sha256"]
                if not is_sound:
                    raise BackupError(
                        f"{path.name}: {info.name} is not what was backed up (its hash differs); use another backup.",
                        file=path.name,
                    )
    except (tarfile.TarError, EOFError, FileNotFoundError) as fault:
        raise BackupError(f"{path} is not a readable backup ({fault}); use another one.", file=path.name) from fault
    if expected:
        raise BackupError(
            f"{path.name} lacks {sorted(expected)[0]}; it was cut short, use another one.", file=path.name
        )
    return Backup(path, manifest["taken_at"], manifest["schema_version"], manifest["code_version"], manifest["members"])


def restore_backup(path: Path, state: Path, *, replace: bool = False) -> Backup:
    """The state folder is what it was when the backup was taken. What stood there is kept beside it as `replaced-<n>`.

    Raises BackupError when the backup is damaged, was made by newer code, or the folder holds a warehouse and `replace` is
    false. Nothing is touched before the whole backup was read and verified.
    """
    found = verify_backup(path)
    if found.schema_version > SCHEMA_VERSION:
        raise BackupError(
            f"{path.name} was made by newer code ({found.code_version}, schema {found.schema_version}; this program knows "
            f"{SCHEMA_VERSION}). Install that version and restore with it.",
            file=path.name,
        )
    standing = [part for part in PARTS if part != KEPT_ON and ((state / part).exists() or (state / part).is_symlink())]
    # A folder in which only commands were noted holds nothing that a restore could destroy.
    if set(standing) - {AUDIT_LOG.parts[0]} and not replace:
        raise BackupError(
            f"{state} holds {', '.join(standing)} already; `mhwg restore {path} --replace` sets them aside first.",
            file=path.name,
        )
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = state / f".restoring-{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    with tarfile.open(path, mode="r:") as archive:
        for number, info in enumerate(archive):
            if number > 0:
                _extract(archive, info, aside / info.name)
    _continue_log(state / AUDIT_LOG, aside / AUDIT_LOG)
    if standing:
        number = 1 + sum(1 for _ in state.glob("replaced-*"))
        kept = state / f"replaced-{number}"
        kept.mkdir(mode=0o700)
        for part in (*standing, "warehouse.duckdb.wal"):
            if (state / part).exists() or (state / part).is_symlink():
                os.rename(state / part, kept / part)
    _join_erasures(aside / KEPT_ON, state / KEPT_ON)
    for restored in sorted(aside.iterdir()):
        os.rename(restored, state / restored.name)
    aside.rmdir()
    return found


def _join_erasures(restored: Path, standing: Path) -> None:
    """`standing` has the erasures and proofs of both; `restored` is gone."""
    if not restored.exists():
        return
    standing.mkdir(mode=0o700, exist_ok=True)
    lists = [folder / LIST for folder in (restored, standing) if (folder / LIST).exists()]
    if lists:
        text = merged_list(*(path.read_text(encoding="utf-8") for path in lists))
        joined = standing / f".{LIST}.part"
        descriptor = os.open(joined, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(joined, standing / LIST)
    for proof in sorted(restored.iterdir()):
        if proof.name != LIST and not (standing / proof.name).exists():
            os.rename(proof, standing / proof.name)
    shutil.rmtree(restored)


def _continue_log(standing: Path, restored: Path) -> None:
    """The restored log goes on with the lines that the standing one has beyond it."""
    if not standing.exists():
        return
    kept = restored.read_bytes().splitlines(keepends=True) if restored.exists() else []
    known = set(kept)
    later = [line for line in standing.read_bytes().splitlines(keepends=True) if line not in known]
    restored.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(restored, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.writelines([*kept, *later])


def _members(state: Path) -> Iterator[str]:
    """Files and links of the kept parts, in name order; half-written ones (a leading dot or the suffix .part) are not kept."""
    for part in PARTS[:-1]:
        root = state / part
        if root.is_file():
            yield part
        elif root.is_dir():
            for folder, names, files in os.walk(root):
                names.sort()
                linked = [name for name in names if (Path(folder) / name).is_symlink()]
                for name in sorted([*files, *linked]):
                    inside = (Path(folder) / name).relative_to(state)
                    if not name.endswith(".part") and ".incoming" not in inside.parts:
                        yield inside.as_posix()


def _described(path: Path) -> dict[str, Any]:
    if path.is_symlink():
        return {"link": os.readlink(path)}
    with path.open("rb") as stream:
        return {"bytes": path.stat().st_size, "sha256": _digest(stream)}


def _digest(stream: Any) -> str:
    digest = hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _add(archive: tarfile.TarFile, name: str, stream: Any, size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    archive.addfile(info, stream)


def _manifest(archive: tarfile.TarFile, path: Path) -> dict[str, Any]:
    first = archive.next()
    content = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
    if content is None:
        raise BackupError(
            f"{path.name} does not begin with a manifest; it is no backup of this program.", file=path.name
        )
    try:
        manifest: dict[str, Any] = json.loads(content.read())
    except json.JSONDecodeError as fault:
        raise BackupError(f"{path.name}: its manifest cannot be read; use another backup.", file=path.name) from fault
    if manifest.get("format") != FORMAT:
        raise BackupError(
            f"{path.name}: format {manifest.get('format')}, this program reads {FORMAT}; use the version that wrote it.",
            file=path.name,
        )
    return manifest


def _is_safe(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and parts[0] in PARTS and ".." not in parts


def _extract(archive: tarfile.TarFile, info: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if info.issym():
        link = PurePosixPath(info.linkname)
        if link.is_absolute() or ".." in link.parts:
            raise BackupError(f"{info.name} links out of the state folder; do not restore this file.", file=info.name)
        os.symlink(info.linkname, target)
        return
    content = archive.extractfile(info)
    assert content is not None
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        shutil.copyfileobj(content, stream, 1 << 20)
