"""How much of a received file is believed: sizes beyond which it is an attack or an accident, refused with the key that says so.

Belongs here: the limits, read from `limits.toml`, and the checks that look at bytes and archives alone. Does not belong here:
what a file says, the refusal's form in each source.
"""

import re
import tomllib
import zipfile
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

# In UTF-8, and in UTF-16 of either byte order, where a zero stands beside every letter.
_DECLARATIONS = tuple(
    re.compile(b"".join(zero.replace(b"@", re.escape(bytes([letter]))) for letter in b"<!") + rest, re.IGNORECASE)
    for zero, rest in (
        (b"@", b"(doctype|entity)"),
        (b"@\0", b"(d\0o\0c\0t|e\0n\0t\0i)"),
        (b"\0@", b"\0(d\0o\0c\0t|e\0n\0t\0i)"),
    )
)


class TooLarge(Exception):
    """A received file is beyond a limit. `found` says what stands in it; `key` names the limit in limits.toml."""

    def __init__(self, found: str, key: str, limit: int) -> None:
        super().__init__(
            f"{found}, more than the {limit:,} that are read (`{key}` in assets/limits.toml); "
            "ask for the file again, or raise the limit if it is honest"
        )
        self.found = found
        self.key = key


@dataclass(frozen=True)
class Limits:
    """The limits of `limits.toml`; its comments say what each is for. Bytes, counts and characters."""

    file_bytes: int
    unpacked_bytes: int
    register_unpacked_bytes: int
    archive_parts: int
    sheet_rows: int
    sheet_columns: int
    workbook_cells: int
    merged_areas: int
    cell_characters: int

    def hold(self, key: str, count: int, found: str) -> None:
        """Nothing, while `count` is within the limit `key`. Raises TooLarge with `found` otherwise."""
        limit = getattr(self, key)
        if count > limit:
            raise TooLarge(found, key, limit)


@cache
def limits() -> Limits:
    """The limits in force. Raises ValueError for a file that lacks one or names another."""
    path = Path(__file__).parent / "limits.toml"
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    wanted = {field.name for field in fields(Limits)}
    if set(said) != wanted or any(not isinstance(limit, int) or limit < 1 for limit in said.values()):
        raise ValueError(f"{path.name}: expected exactly {sorted(wanted)}, each a positive whole number")
    return Limits(**said)


def hold_archive(archive: zipfile.ZipFile, key: str = "unpacked_bytes") -> None:
    """Nothing, while the archive unpacks to what may be believed. Raises TooLarge for a zip bomb.

    The sizes are those that the archive declares; unpacking stops at them, so that a lie makes a damaged part and no more.
    """
    parts = archive.infolist()
    limits().hold("archive_parts", len(parts), f"an archive of {len(parts):,} parts")
    size = sum(part.file_size for part in parts)
    limits().hold(key, size, f"an archive that unpacks to {size:,} bytes")


def declares_entities(data: bytes) -> bool:
    """True when an XML document declares a document type or entities: no table file and no codebook has a use for them, and
    a few lines of them expand to gigabytes."""
    return any(pattern.search(data) for pattern in _DECLARATIONS)
