"""An old release made again from the warehouse: what was said then, byte for byte, by the code that said it.

Belongs here: rebuilding a release at its own instant and saying where it differs from what stands on the shelf. Does not
belong here: making new releases (`release`), the command (`pipelines.cli`). Specification: docs/methods/history.md.

Everything that enters a release is read as of its instant (`inputs`), so that the same program gives the same bytes. Another
program may define or draw a figure otherwise: the manifest names the program that made a release (`versions.program`), and
`Rebuilt.is_same_program` says whether it is this one.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.catalogue.disclosure import load_policy
from warehouse.evidence import evidence_at
from warehouse.inputs_digest import code_digest
from warehouse.publishing.claims import claims_at
from warehouse.publishing.content import ReleaseContext, Source
from warehouse.publishing.inputs import (
    area_links,
    causes_between,
    earlier_releases,
    instant_of,
    observations_at,
    other_denominators,
    release_areas,
    release_receipts,
)
from warehouse.publishing.protection import protect
from warehouse.publishing.quality_summary import quality_at
from warehouse.publishing.registers import release_registers
from warehouse.publishing.release import (
    MANIFEST,
    TOMBSTONE,
    Draft,
    ShelfError,
    freeze_release,
    kept_figures,
    kept_history,
    read_manifest,
    releases_on,
    verify_release,
    withdrawn_at,
    write_release_files,
)
from warehouse.publishing.release_catalogue import release_catalogue
from warehouse.publishing.sampling_errors import sampling_errors_at
from warehouse.store import code_version


@dataclass(frozen=True)
class Rebuilt:
    """A release made again: where it lies, and which of its files differ from the release on the shelf."""

    release_id: str
    folder: Path
    differences: tuple[str, ...]
    """Paths that differ from the manifest on the shelf; empty when the rebuilt release is the old one byte for byte."""
    is_same_program: bool
    """False when another version of the program made the release on the shelf; then differences are to be expected."""


def rebuild_release(
    connection: Any,
    shelf: Path,
    release_id: str,
    folder: Path,
    *,
    reference_sources: Sequence[Source] = (),
    practice_sources: Iterable[str] = (),
    from_store_alone: bool = False,
) -> Rebuilt:
    """`folder` holds the release as the warehouse and this program make it for its instant; the shelf is left as it is.

    A release rests on the ones before it (history, audit against differencing). They are read from the shelf where they stand
    there whole, and from its ledger where they were withdrawn later: what was published then, by whichever program. Damaged ones
    are rebuilt aside; `from_store_alone` rebuilds them all.
    `reference_sources` and `practice_sources` are what the refresh hands to `release_catalogue`.

    Raises ShelfError when the shelf has no such release or `folder` exists.
    """
    known = {path.name: path for path in releases_on(shelf)}
    if release_id not in known:
        near = ", ".join(list(known)[-3:]) or "none"
        raise ShelfError(f"{release_id} is not on the shelf; the newest are: {near}.", file=release_id)
    if folder.exists():
        raise ShelfError(f"{folder} exists already; name a folder that does not.", file=folder.name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".rebuilding-") as aside:
        done: dict[str, Path] = {}
        for name, path in known.items():
            if name > release_id:
                break
            is_wanted = name == release_id
            if not is_wanted and not from_store_alone and _is_sound(path):
                done[name] = path
                continue
            made = Path(aside) / name
            if not is_wanted and not from_store_alone and _took_kept(shelf, name, made):
                done[name] = made
                continue
            standing = [done[other] for other in done if not _was_withdrawn(known[other], instant_of(name))]
            _write(
                connection, name, done, standing[-1] if standing else None, made,
                reference_sources=reference_sources, practice_sources=tuple(practice_sources),
            )  # fmt: skip
            done[name] = made
            if not is_wanted and not from_store_alone and kept_figures(shelf, name).exists():
                # Withdrawn before its history was kept: that is remade, the figures are still those that were published.
                shutil.copyfile(kept_figures(shelf, name), made / "data" / "observation.parquet")
        os.rename(done[release_id], folder)
    return Rebuilt(release_id, folder, *_compared(known[release_id], folder))


def _write(
    connection: Any,
    release_id: str,
    earlier: Mapping[str, Path],
    last: Path | None,
    folder: Path,
    *,
    reference_sources: Sequence[Source],
    practice_sources: Sequence[str],
) -> None:
    at = instant_of(release_id)
    # Withdrawn or not: who saw a release still has it, so the audit counts every one.
    published = {name: pl.read_parquet(path / "data" / "observation.parquet") for name, path in earlier.items()}
    protected = protect(
        observations_at(connection, at),
        load_policy(),
        areas=area_links(connection, at),
        earlier=earlier_releases(connection, published),
    )
    catalogue = release_catalogue(
        release_areas(connection, at), reference_sources=reference_sources, practice_sources=practice_sources
    )
    used = protected.frame["receipt_ids"].explode().drop_nulls().unique()
    registers = release_registers(connection, at)
    context = ReleaseContext(
        at,
        code_version(),
        release_receipts(connection, used),
        sampling_errors_at(connection, at, protected.frame),
        other_denominators(connection, at),
        registers=registers,
        quality=quality_at(connection, at),
        claims=claims_at(connection, at, protected.frame, registers),
        evidence=evidence_at(connection, at),
    )
    causes = causes_between(connection, last.name if last else None, at)
    content, fingerprint = freeze_release(Draft(protected, catalogue), context, last, causes)
    write_release_files(content, fingerprint, folder, last)


def _compared(original: Path, rebuilt: Path) -> tuple[tuple[str, ...], bool]:
    """Paths that differ, and whether the same program made both. Of a withdrawn release only its fingerprint is left."""
    made = read_manifest(rebuilt)
    if (original / TOMBSTONE).exists():
        left = json.loads((original / TOMBSTONE).read_text(encoding="utf-8"))
        is_same = left["content_hash"] == made["content_hash"]
        return (() if is_same else ("content_hash",)), is_same
    kept = read_manifest(original)
    here, there = ({entry["path"]: entry["sha256"] for entry in part["files"]} for part in (made, kept))
    differing = [name for name in sorted({*here, *there}) if here.get(name) != there.get(name)]
    if (original / MANIFEST).read_bytes() != (rebuilt / MANIFEST).read_bytes():
        differing.append(MANIFEST)
    return tuple(differing), kept["versions"].get("program") == code_digest()


def _is_sound(folder: Path) -> bool:
    return (folder / MANIFEST).exists() and not verify_release(folder)


def _took_kept(shelf: Path, release_id: str, folder: Path) -> bool:
    """True when the ledger has all that a later release reads of a withdrawn one; `folder` then holds it where releases do."""
    figures, past = kept_figures(shelf, release_id), kept_history(shelf, release_id)
    if not ((shelf / release_id / TOMBSTONE).exists() and figures.exists() and past.exists()):
        return False
    shutil.copytree(past, folder / "data" / "history")
    shutil.copyfile(figures, folder / "data" / "observation.parquet")
    return True


def _was_withdrawn(folder: Path, at: datetime) -> bool:
    """True when the release had been withdrawn before one was made at the instant.

    At the same instant it had not: a release is always later than the last withdrawal (`last_event_on`), while one is withdrawn no
    earlier than the newest release, and in the second of that release where time is simulated.
    """
    withdrawn = withdrawn_at(folder)
    return withdrawn is not None and withdrawn < at
