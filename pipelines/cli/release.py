"""`mhwg release`: the shelf of releases - list, build, verify, diff, as-of, withdraw.

Belongs here: asking the shelf and drawing its answer. Does not belong here: what a release is (`warehouse.publishing`).
"""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings

_CHANGES_SHOWN = 40


def list_all(*, as_json: bool) -> int:
    """Every release on the shelf, oldest first; withdrawn ones with their reason."""
    from warehouse.publishing.comparison import shelf_entries

    entries = shelf_entries(_shelf())
    if not entries:
        raise Refused("nothing has been released yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    if as_json:
        return _json(entries)
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("release", "state", "figures", "hidden", "policy", "catalogue"):
        table.add_column(name, justify="right" if name in ("figures", "hidden") else "left", no_wrap=True)
    for entry in entries:
        versions: dict[str, str] = entry["versions"] or {}  # type: ignore[assignment]
        counts = (f"{entry[name]:,}" if entry[name] is not None else "" for name in ("observations", "suppressed"))
        state = f"withdrawn: {entry['reason']}" if entry["state"] == "withdrawn" else str(entry["state"])
        table.add_row(
            str(entry["release_id"]), state, *counts, versions.get("policy", ""), versions.get("catalogue", "")
        )
    console().print(table)
    return Exit.DONE


def build(*, as_json: bool) -> int:
    """The figures of the warehouse are protected and published if any moved; nothing is pulled."""
    from pipelines.cli.refresh import run

    settings = load_settings()
    if not (settings.state_folder / "warehouse.duckdb").exists():
        raise Refused("there is no warehouse to release from yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    return run(as_json=as_json, job_name="release")


def verify(name: str, *, as_json: bool) -> int:
    """The files of a release are what its manifest lists; REFUSED with the list of what differs otherwise."""
    from warehouse.publishing.release import verify_release

    folder = _find(name)
    faults = _asked(lambda: verify_release(folder))
    if as_json:
        _json({"release_id": folder.name, "faults": list(faults)})
    elif faults:
        for fault in faults:
            console().print(f"  {fault}", style="red", highlight=False, markup=False)
        console().print(
            f"[bold red]{folder.name} differs from its manifest in {len(faults)} files.[/] Restore it from a backup, or withdraw it."
        )
    else:
        console().print(f"[green]{folder.name}: every file is as its manifest lists it.[/]", highlight=False)
    return Exit.REFUSED if faults else Exit.DONE


def diff(before: str, after: str, *, as_json: bool) -> int:
    """What a reader of both releases sees change, figure by figure."""
    from warehouse.publishing.comparison import CHANGE_CODES, compare_releases

    old, new = _find(before), _find(after)
    changes = _asked(lambda: compare_releases(old, new))
    counts = Counter(changes["change_code"].to_list())
    ordered = {code: counts[code] for code in CHANGE_CODES if counts[code]}
    if as_json:
        return _json({"before": old.name, "after": new.name, "counts": ordered, "changes": changes.to_dicts()})
    from rich.table import Table

    out = console()
    told = ", ".join(f"{count:,} {code}" for code, count in ordered.items()) or "no figure differs"
    out.print(f"[bold]{old.name}[/] to [bold]{new.name}[/]: {told}", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("change", "indicator", "area", "period", "breakdown", "before", "after"):
        table.add_column(column, justify="right" if column in ("before", "after") else "left")
    for row in changes.head(_CHANGES_SHOWN).iter_rows(named=True):
        table.add_row(
            row["change_code"], row["indicator_code"], row["area_code"], row["period_code"], _breakdown(row),
            _told(row["value_before"], row["status_before"]), _told(row["value_after"], row["status_after"]),
        )  # fmt: skip
    if changes.height:
        out.print(table)
    if changes.height > _CHANGES_SHOWN:
        out.print(f"… and {changes.height - _CHANGES_SHOWN:,} more; all of them with --json.")
    return Exit.DONE


def withdraw(name: str, reason: str, *, as_json: bool) -> int:
    """The release's files are gone, a tombstone says why, and `current` shows the newest release that is left."""
    from warehouse.publishing.release import current_release, withdraw_release

    if not reason.strip():
        raise Refused("--reason is empty: say in one sentence why the release is withdrawn.", Exit.USAGE)
    folder, shelf = _find(name), _shelf()
    _asked(lambda: withdraw_release(shelf, folder.name, reason.strip(), _now()))
    current = current_release(shelf)
    if as_json:
        return _json({"withdrawn": folder.name, "reason": reason.strip(), "current": current.name if current else None})
    console().print(f"[bold]{folder.name}[/] is withdrawn; current is {current.name if current else 'none'}.")
    return Exit.DONE


def as_of(instant: str, into: Path | None, *, as_json: bool) -> int:
    """The release that readers saw at an instant; made again from the warehouse in the folder `into`, if one is named."""
    from warehouse.publishing.comparison import release_in_force, shelf_entries

    folder = _asked(lambda: release_in_force(_shelf(), instant))
    entry = next(entry for entry in shelf_entries(_shelf()) if entry["release_id"] == folder.name)
    rebuilt = _rebuild(folder.name, into) if into is not None else None
    if as_json:
        return _json({**entry, "folder": str(folder), **(rebuilt or {})})
    console().print(f"On {instant} readers saw [bold]{folder.name}[/] ({entry['state']}).", highlight=False)
    if entry["reason"]:
        console().print(f"Withdrawn since: {entry['reason']}", highlight=False, markup=False)
    else:
        console().print(f"  {folder / 'index.html'}", highlight=False, soft_wrap=True)
    if rebuilt is not None:
        same = "byte for byte as it was published" if not rebuilt["differences"] else "with other bytes in " + ", ".join(
            rebuilt["differences"][:5]
        )  # fmt: skip
        console().print(f"Made again in {rebuilt['rebuilt_in']}, {same}.", highlight=False, soft_wrap=True)
        if not rebuilt["is_same_program"]:
            console().print("Another version of the program made it then; differences are to be expected.")
    return Exit.DONE


def _rebuild(release_id: str, into: Path) -> dict[str, Any]:
    """The release made again in a folder of its own, and where it differs from what was published."""
    from assets.reference.read import source_cards
    from assets.release import PRACTICE_SOURCES
    from pipelines.resources import warehouse_of
    from warehouse.publishing.content import Source
    from warehouse.publishing.inputs import instant_of, reference_editions
    from warehouse.publishing.rebuild import rebuild_release

    settings = load_settings()
    if not (settings.state_folder / "warehouse.duckdb").exists():
        raise Refused(
            "a release is made again from the warehouse, and there is none; run `mhwg refresh`.", Exit.NOT_FOUND
        )
    with warehouse_of(settings).connect(read_only=True) as connection:
        editions = reference_editions(connection, instant_of(release_id))
        made = _asked(
            lambda: rebuild_release(
                connection,
                _shelf(),
                release_id,
                into.absolute(),
                reference_sources=[Source(**card) for card in source_cards(editions)],  # type: ignore[arg-type]
                practice_sources=PRACTICE_SOURCES if settings.practice else (),
            )
        )
    return {
        "rebuilt_in": str(made.folder),
        "differences": list(made.differences),
        "is_same_program": made.is_same_program,
    }


def _now() -> datetime:
    """The instant of this installation, not before its newest release.

    On the practice ground time is simulated: by the wall clock a release would seem to have been withdrawn months after those that
    followed it, and they could not be made again.
    """
    from pipelines.cli.practice import clock_of
    from warehouse.clock import WallClock
    from warehouse.publishing.inputs import instant_of
    from warehouse.publishing.release import releases_on

    settings = load_settings()
    now = clock_of(settings).instant() if settings.practice else WallClock().now()
    return max(now, *(instant_of(folder.name).replace(tzinfo=UTC) for folder in releases_on(_shelf())[-1:]))


def _shelf() -> Path:
    return load_settings().state_folder / "release"


def _find(name: str) -> Path:
    from warehouse.publishing.comparison import find_release

    found: Path = _asked(lambda: find_release(_shelf(), name))
    return found


def _asked(question: Any) -> Any:
    """The shelf's answer; its refusal as a fault that the reader can act on."""
    from warehouse.publishing.release import ShelfError

    try:
        return question()
    except ShelfError as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault


def _json(value: Any) -> int:
    console().print_json(json.dumps(value, ensure_ascii=False, default=str))
    return Exit.DONE


def _told(value: float | None, status: str | None) -> str:
    if status is None:
        return ""
    return (
        {"Q": "suppressed", "O": "missing", "M": "cannot exist"}.get(status, status) if value is None else f"{value:g}"
    )


def _breakdown(row: dict[str, Any]) -> str:
    names = (
        "sex_code", "age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code",
        "category_code",
    )  # fmt: skip
    return " ".join(str(row[name]) for name in names if row[name] not in ("_T", "_Z", None))
