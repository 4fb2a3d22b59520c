"""Regional tables as plain rows for the terminal.

Belongs here: finished texts in reading order. Does not belong here: colours, borders, widths (the command line has them).
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from warehouse.publishing import wording
from warehouse.publishing.release import ShelfError, current_release, read_manifest


@dataclass(frozen=True)
class TerminalTable:
    """One regional table of a release: title, headings, rows of texts, notes."""

    code: str
    title: str
    scope: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    symbols: tuple[tuple[str, str], ...]
    release_id: str
    has_practice_data: bool
    practice_banner: str


def list_tables(shelf: Path, language: str = "en") -> tuple[tuple[str, str], ...]:
    """Code and title of every regional table of the current release."""
    entries = pl.read_parquet(_release(shelf) / "data" / "regional_table.parquet")
    return tuple(entries.select("table_code", f"title_{language}").iter_rows())


def terminal_table(shelf: Path, code: str, language: str = "en") -> TerminalTable:
    """The table as the current release published it. Raises ShelfError when there is no release or no such table."""
    folder = _release(shelf)
    data = folder / "data"
    code = code.upper()
    keep = pl.col("table_code") == code
    entry = pl.read_parquet(data / "regional_table.parquet").filter(keep)
    if entry.is_empty():
        known = ", ".join(code for code, _ in list_tables(shelf))
        raise ShelfError(f"there is no regional table {code}; this release has {known}.", file="regional_table.parquet")
    cells = pl.read_parquet(data / "regional_cell.parquet").filter(keep)
    columns = pl.read_parquet(data / "regional_column.parquet").filter(keep).sort("column_order")
    footnotes = pl.read_parquet(data / "footnote.parquet").filter(keep).sort("footnote_order")
    symbols = pl.read_parquet(data / "symbol.parquet")
    shown = cells.with_columns(
        text=pl.concat_str(pl.col(f"display_{language}"), pl.col("footnote_marks"), separator=" ").str.strip_chars()
    )
    rows: dict[int, list[str]] = {}
    for row in shown.sort("row_order", "column_order").iter_rows(named=True):
        rows.setdefault(row["row_order"], [row[f"row_label_{language}"]]).append(row["text"])
    headings = [""]
    for column in columns.iter_rows(named=True):
        unit = column[f"unit_{language}"]
        parts = [column[f"group_label_{language}"], f"({unit})" if unit else "", column[f"sub_label_{language}"]]
        headings.append(" ".join([*(part for part in parts if part), *column["footnote_marks"].split()]))
    has_practice = bool(cells["is_practice"].any())
    return TerminalTable(
        code=code,
        title=entry[f"title_{language}"][0],
        scope=entry[f"scope_{language}"][0],
        headings=tuple(headings),
        rows=tuple(tuple(rows[order]) for order in sorted(rows)),
        notes=tuple(f"{row['mark']} {row[f'text_{language}']}" for row in footnotes.iter_rows(named=True)),
        symbols=tuple(symbols.select("symbol", f"meaning_{language}").iter_rows()),
        release_id=read_manifest(folder)["release_id"],
        has_practice_data=has_practice,
        practice_banner=wording.text("practice_banner", language) if has_practice else "",
    )


def _release(shelf: Path) -> Path:
    folder = current_release(shelf)
    if folder is None:
        raise ShelfError("nothing has been released yet; run a refresh first.", file="current")
    return folder
