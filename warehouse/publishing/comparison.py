"""Two releases of the shelf set side by side: which figures came, went, moved, were hidden or shown.

Belongs here: comparing released frames. Does not belong here: why a figure moved (the change log), drawing, files.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.release import ShelfError, current_release, read_manifest, releases_on

CHANGE_CODES = ("revised", "hidden", "shown", "withdrawn", "status", "new")
"""Kinds of change, the gravest first."""

_COMPARED = ("value", "lower", "upper", "numerator", "denominator", "n", "obs_status", "conf_status", "is_practice")


def compared(before: pl.DataFrame, after: pl.DataFrame, key: Sequence[str] = KEY_COLUMNS) -> pl.DataFrame:
    """One row per figure that differs between two released frames, gravest kind first, then by key.

    *Columns*: the key, change_code, value_before, value_after, status_before, status_after.
    """
    columns = [*key, *_COMPARED]
    both = before.select(columns).join(
        after.select(columns), on=list(key), how="full", coalesce=True, nulls_equal=True, suffix="_after"
    )
    was, now = pl.col("obs_status").is_not_null(), pl.col("obs_status_after").is_not_null()
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in _COMPARED)
    kind = (
        pl.when(~was)
        .then(pl.lit("new"))
        .when(~now)
        .then(pl.lit("withdrawn"))
        .when((pl.col("obs_status_after") == "Q") & (pl.col("obs_status") != "Q"))
        .then(pl.lit("hidden"))
        .when((pl.col("obs_status") == "Q") & (pl.col("obs_status_after") != "Q"))
        .then(pl.lit("shown"))
        .when(pl.col("value").ne_missing(pl.col("value_after")))
        .then(pl.lit("revised"))
        .otherwise(pl.lit("status"))
    )
    rank = {code: order for order, code in enumerate(CHANGE_CODES)}
    return (
        both.filter(differs)
        .with_columns(kind.alias("change_code"))
        .sort(pl.col("change_code").replace_strict(rank, return_dtype=pl.Int32), *key)
        .select(
            *key,
            "change_code",
            pl.col("value").alias("value_before"),
            "value_after",
            pl.col("obs_status").alias("status_before"),
            pl.col("obs_status_after").alias("status_after"),
        )
    )


def compare_releases(before: Path, after: Path) -> pl.DataFrame:
    """`compared` for two folders of the shelf. Raises ShelfError when one of them was withdrawn."""
    return compared(released_observations(before), released_observations(after))


def released_observations(folder: Path) -> pl.DataFrame:
    """The figures of a release as they were published. Raises ShelfError for a release that was withdrawn."""
    path = folder / "data" / "observation.parquet"
    if not path.exists():
        raise ShelfError(f"{folder.name} was withdrawn; its figures are no longer on the shelf.", file=folder.name)
    return pl.read_parquet(path)


def find_release(shelf: Path, name: str) -> Path:
    """The folder of `current`, `previous`, a release id, or the beginning of exactly one id. Raises ShelfError otherwise."""
    folders = releases_on(shelf)
    if not folders:
        raise ShelfError("nothing has been released yet; run a refresh first.", file="current")
    current = current_release(shelf)
    if name == "current" and current is not None:
        return current
    if name == "previous":
        older = [f for f in folders if current is not None and f.name < current.name and (f / "data").exists()]
        if not older:
            raise ShelfError("there is no release before the current one.", file="current")
        return older[-1]
    found = [folder for folder in folders if folder.name == name] or [f for f in folders if f.name.startswith(name)]
    if len(found) != 1:
        known = ", ".join(folder.name for folder in folders[-5:])
        what = "no release is" if not found else f"{len(found)} releases are"
        raise ShelfError(f"{what} named {name}; the newest are {known}.", file=name)
    return found[0]


def release_in_force(shelf: Path, instant: str) -> Path:
    """The release that readers saw at an instant, given as its beginning in ISO form: the newest one not made after it.

    `2026-12-01` means the end of that day (UTC). A withdrawn release counts: it was in force until it was withdrawn.
    """
    digits = "".join(c for c in instant if c.isdigit())
    if len(digits) not in (8, 12, 14):
        raise ShelfError(
            f"{instant}: expected a day or an instant in ISO form, for instance 2026-12-01 or 2026-12-01T05:00:00Z.",
            file=instant,
        )
    last = digits.ljust(14, "9")
    made = [f for f in releases_on(shelf) if "".join(c for c in f.name if c.isdigit()) <= last]
    if not made:
        raise ShelfError(f"no release was made by {instant}.", file=instant)
    return made[-1]


def shelf_entries(shelf: Path) -> list[dict[str, object]]:
    """One entry per release, oldest first: id, when, whether current or withdrawn and why, counts, versions."""
    import json

    from warehouse.publishing.release import TOMBSTONE

    current = current_release(shelf)
    entries: list[dict[str, object]] = []
    for folder in releases_on(shelf):
        if (folder / TOMBSTONE).exists():
            stone = json.loads((folder / TOMBSTONE).read_text(encoding="utf-8"))
            entries.append(
                {"release_id": folder.name, "recorded_at": stone["recorded_at"], "state": "withdrawn",
                 "reason": stone["reason"], "observations": None, "suppressed": None, "versions": None}
            )  # fmt: skip
            continue
        manifest = read_manifest(folder)
        entries.append(
            {"release_id": folder.name, "recorded_at": manifest["recorded_at"],
             "state": "current" if folder == current else "superseded", "reason": None,
             "observations": manifest["counts"]["observations"], "suppressed": manifest["counts"]["suppressed"],
             "versions": manifest["versions"]}
        )  # fmt: skip
    return entries
