"""Every planted identifier of the practice ground, searched in every byte below a folder, packed or not.

All needles are searched in one pass (Aho-Corasick), so that the whole of them costs no more than one. A file is searched as it lies
there and, when it is a container, as what it holds: Parquet, DuckDB and SQLite cell by cell, zip, workbooks and gzip member by member,
zlib within SQLite (Dagster's snapshots).
"""

import gzip
import io
import json
import re
import sqlite3
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import duckdb
import polars as pl

PIECE = 1 << 23
OVERLAP = 1 << 9
BATCH = 1 << 26
SHORTEST = 7
"""Characters below which a text is nobody's mark: "An" is a name and a part of a province."""


def variants(text: str) -> set[str]:
    """The forms in which a text may have been written: in any case, decomposed, escaped for JSON or a URL, and a number bare."""
    digits = re.sub(r"[\s.\-()]", "", text)
    written = {text, text.lower(), text.upper(), *({digits} if digits.lstrip("+").isdigit() else set())}
    return written | {
        form for each in written for form in (unicodedata.normalize("NFD", each), json.dumps(each)[1:-1], quote(each))
    }


class LeakSearch:
    """Finds any of the planted texts; `needles` by what they are (name, phone, ...)."""

    def __init__(self, needles: Mapping[str, Iterable[str]]) -> None:
        self._kinds = {
            form.encode().lower().decode("latin-1"): kind
            for kind, texts in needles.items()
            for text in texts
            if len(text.strip()) >= SHORTEST
            for form in variants(text.strip())
        }
        self._patterns = sorted(self._kinds)

    def __len__(self) -> int:
        return len(self._patterns)

    def below(self, folder: Path, skipped: Callable[[Path], bool] = lambda path: False) -> list[str]:
        """`file: kind` of every planted text in a file below `folder`, in order; the text itself is not repeated."""
        paths = [
            path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink() and not skipped(path)
        ]
        places = (place for path in paths for place in unpacked(path.relative_to(folder).as_posix(), path))
        return sorted({f"{place}: {kind}" for place, kind in self._found(places)})

    def kinds_in(self, data: bytes) -> set[str]:
        """What of the planted stands in the bytes."""
        return {kind for _, kind in self._found([("", data)])}

    def _found(self, places: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
        """Place and kind of each hit. The automaton costs as much to make as a few megabytes to search: places go in batches."""
        batch: list[tuple[str, bytes]] = []
        size = 0
        for place, data in places:
            for start in range(0, max(1, len(data)), PIECE):
                batch.append((place, data[start : start + PIECE + OVERLAP].lower()))
                size += len(batch[-1][1])
            if size >= BATCH:
                yield from self._in_batch(batch)
                batch, size = [], 0
        yield from self._in_batch(batch)

    def _in_batch(self, batch: list[tuple[str, bytes]]) -> Iterator[tuple[str, str]]:
        # Bytes as characters: the search works on text, and any byte is a character of Latin-1.
        texts = pl.Series([piece.decode("latin-1") for _, piece in batch], dtype=pl.String)
        hits = texts.str.extract_many(self._patterns, overlapping=True).to_list()
        for (place, piece), found in zip(batch, hits, strict=True):
            for hit in set(found):
                # On its own: a number within a longer number or a digest is nobody's.
                alone = rb"(?<![0-9a-z])" + re.escape(hit.encode("latin-1")) + rb"(?![0-9a-z])"
                if re.search(alone, piece):
                    yield place, self._kinds[hit]


def unpacked(place: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """The file's bytes, and those of what it holds."""
    data = path.read_bytes()
    yield place, data
    if data[8:12] == b"DUCK":
        yield from _duckdb_tables(place, path)
    elif data.startswith(b"SQLite format 3"):
        yield from _sqlite_tables(place, path)
    else:
        yield from _members(place, data)


def _members(place: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if data.startswith(b"PAR1"):
        yield place, pl.read_parquet(io.BytesIO(data)).write_json().encode()
    elif data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from _whole(f"{place}/{name}", archive.read(name))
    elif data.startswith(b"\x1f\x8b"):
        yield from _whole(f"{place}/", gzip.decompress(data))


def _whole(place: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    yield place, data
    yield from _members(place, data)


def _duckdb_tables(place: str, path: Path) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute("select schema_name, table_name from duckdb_tables() where not internal").fetchall()
        for schema, name in names:
            frame = connection.sql(f'select * from "{schema}"."{name}"').pl()
            yield f"{place}/{schema}.{name}", frame.write_json().encode()


def _sqlite_tables(place: str, path: Path) -> Iterator[tuple[str, bytes]]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        for name in names:
            cells = [cell for row in connection.execute(f'select * from "{name}"') for cell in row if cell is not None]
            packed = [cell for cell in cells if isinstance(cell, bytes)]
            yield f"{place}/{name}", "\n".join(str(cell) for cell in cells if not isinstance(cell, bytes)).encode()
            yield f"{place}/{name}", b"\n".join([*packed, *map(_inflated, packed)])
    finally:
        connection.close()


def _inflated(cell: bytes) -> bytes:
    try:
        return zlib.decompress(cell)
    except zlib.error:
        return b""
