"""Shipped reference figures and frames: landed as files, read into staging frames.

Belongs here: the register `series.toml`, the reading of `series/*.csv` and `frames/*.csv`, load modes. Does not belong here:
services asked over the network (`assets.reference.fetch`), register tables (`assets.reference.registers`), SQL, what an
indicator does with a series.
"""

import csv
import io
import tomllib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from assets.loading import TableLoad
from assets.reference.registers import FOLDER, REGISTERS, read_register
from warehouse.landing import Landing, Pull, Receipt

SOURCE = "reference"
ROOM = Path(__file__).parent
PullFactory = Callable[[str], Pull]

REGISTERS_PART = "lists"
WHOLE_PARTS = ("frames", REGISTERS_PART)
"""Parts whose files say everything about their tables; figures come edition by edition instead."""
FRAMES = ("area", "area_succession", "area_membership")
BREAKDOWNS = ("sex_code", "age_code", "origin_code", "destination_code", "category_code")

_REJECTIONS = pl.List(pl.String)
_TAIL: dict[str, Any] = {"receipt_id": pl.String, "pointer": pl.String, "rejections": _REJECTIONS}
FRAME_SCHEMAS: dict[str, dict[str, Any]] = {
    "area": {
        "area_code": pl.String, "area_type_code": pl.String, "name_en": pl.String, "name_vi": pl.String,
        "parent_code": pl.String, "official_code": pl.String, "frame_code": pl.String, "valid_from_on": pl.Date,
        "valid_to_on": pl.Date, **_TAIL,
    },
    "area_succession": {
        "old_area_code": pl.String, "new_area_code": pl.String, "effective_on": pl.Date, "kind_code": pl.String,
        "legal_basis": pl.String, **_TAIL,
    },
    "area_membership": {
        "group_code": pl.String, "membership_version": pl.String, "area_code": pl.String, "valid_from_on": pl.Date,
        "valid_to_on": pl.Date, "member_since_on": pl.Date, "member_since_mark": pl.String, **_TAIL,
    },
}  # fmt: skip
VALUE_SCHEMA: dict[str, Any] = {
    "series_code": pl.String, "edition_code": pl.String, "area_code": pl.String, "year": pl.Int32,
    **dict.fromkeys(BREAKDOWNS, pl.String), "value": pl.Float64, "lower": pl.Float64, "upper": pl.Float64,
    "unit": pl.String, "producer": pl.String, "nature_code": pl.String, "is_current_edition": pl.Boolean,
    "is_practice": pl.Boolean, **_TAIL,
}  # fmt: skip


class ReferenceFault(Exception):
    """The register and the shipped files disagree; the message names the file and what to do. Another attempt cannot help."""

    def __init__(self, message: str, *, file: str) -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True)
class Series:
    """One series in one edition: whom to cite, from where, under which licence, and what to beware of."""

    file: str
    code: str
    edition: str
    title: str
    title_vi: str
    official_code: str
    producer: str
    edition_text: str
    unit: str
    locator: tuple[str, ...]
    licence: str
    accessed: date
    years: str
    members_missing: tuple[str, ...]
    caveats: str
    superseded_by: str | None = None
    is_practice: bool = False

    @property
    def is_current(self) -> bool:
        """True for the edition that indicators use."""
        return self.superseded_by is None


def parse_register(text: str, name: str) -> tuple[Series, ...]:
    """The entries of a register. Raises ReferenceFault for unknown or missing keys and for two current editions of a series."""
    known = set(Series.__dataclass_fields__)
    found: list[Series] = []
    for raw in tomllib.loads(text)["series"]:
        unknown = sorted(set(raw) - known)
        if unknown:
            raise ReferenceFault(
                f"{name}: {raw.get('file')}: unknown keys {unknown}; known: {sorted(known)}", file=name
            )
        try:
            values: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()
            }
            found.append(Series(**values))
        except TypeError as fault:
            raise ReferenceFault(f"{name}: {raw.get('file')}: {fault}", file=name) from fault
    current = [series.code for series in found if series.is_current]
    doubled = sorted({code for code in current if current.count(code) > 1})
    if doubled:
        raise ReferenceFault(
            f"{name}: {doubled} have more than one current edition; set superseded_by on the older one.", file=name
        )
    return tuple(found)


@cache
def register() -> tuple[Series, ...]:
    """The reference series shipped with the code."""
    return parse_register((ROOM / "series.toml").read_text(encoding="utf-8"), "series.toml")


def land(pull_factory: PullFactory, loaded_ids: Collection[str] = ()) -> list[Receipt]:
    """The shipped frames and series are landed, each group under its own receipt. Groups whose receipt is among
    `loaded_ids` have not changed since they were loaded and are not given again."""
    series = [ROOM / "series.toml", *[ROOM / "series" / entry.file for entry in register()]]
    receipts = [
        _land(pull_factory, "frames", [ROOM / "frames" / f"{name}.csv" for name in FRAMES]),
        _land(pull_factory, "series", series),
        _land(pull_factory, REGISTERS_PART, [FOLDER / f"{name}.csv" for name in REGISTERS]),
    ]
    return [receipt for receipt in receipts if receipt.receipt_id not in loaded_ids]


def _land(pull_factory: PullFactory, part: str, paths: Sequence[Path]) -> Receipt:
    pull = pull_factory(part)
    pull.restart()
    records = 0
    for path in paths:
        data = path.read_bytes()
        pull.write(path.name, data)
        records += data.count(b"\n") - 1 if path.suffix == ".csv" else 0
    return pull.finish("file", f"assets/reference/{part}", {"files": len(paths)}, records)


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def read_frame(name: str, data: bytes, file: str, receipt_id: str) -> pl.DataFrame:
    """One frame file as the staging frame of its table; a row with an unreadable date is rejected, not dropped."""
    schema = FRAME_SCHEMAS[name]
    rows: list[dict[str, Any]] = []
    for line, raw in enumerate(_rows(data), start=2):
        row: dict[str, Any] = {"receipt_id": receipt_id, "pointer": f"{file}:{line}", "rejections": []}
        for column, kind in schema.items():
            if column in _TAIL:
                continue
            text = (raw.get(column) or "").strip()
            row[column] = text or None
            if kind == pl.Date and text:
                try:
                    row[column] = date.fromisoformat(text)
                except ValueError:
                    row[column] = None
                    row["rejections"].append(f"{column}: {text!r} is not a date (YYYY-MM-DD)")
        rows.append(row)
    return pl.DataFrame(rows, schema=schema, orient="row")


def read_series(series: Series, data: bytes, receipt_id: str) -> pl.DataFrame:
    """One series file as rows of staging.reference_value. A value that is no number rejects its row with the reason."""
    rows: list[dict[str, Any]] = []
    for line, raw in enumerate(_rows(data), start=2):
        rejections: list[str] = []
        numbers = {name: number(raw.get(name), name, rejections) for name in ("value", "lower", "upper")}
        if numbers["value"] is None and not rejections:
            rejections.append("value: empty; a figure that was not published has no row")
        rows.append(
            {
                "series_code": series.code,
                "edition_code": series.edition,
                "area_code": raw["area_code"],
                "year": int(raw["year"]),
                **{name: raw.get(name) or "_T" for name in BREAKDOWNS},
                **numbers,
                "unit": series.unit,
                "producer": series.producer,
                "nature_code": raw.get("nature_code") or None,
                "is_current_edition": series.is_current,
                "is_practice": series.is_practice,
                "receipt_id": receipt_id,
                "pointer": f"{series.file}:{line}",
                "rejections": rejections,
            }
        )
    return pl.DataFrame(rows, schema=VALUE_SCHEMA, orient="row")


def number(text: str | None, column: str, rejections: list[str]) -> float | None:
    """The number that a cell holds; None for an empty cell, and for a text that is no number, which is told in `rejections`."""
    if text is None or not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        rejections.append(f"{column}: {text!r} is not a number")
        return None


def stage_frames(receipts: Sequence[Receipt], landing: Landing) -> dict[str, pl.DataFrame]:
    """Staging frames of the landed files, each row with a pointer file:line, in load order."""
    found: dict[str, pl.DataFrame] = {}
    for receipt in receipts:
        files = {path.name: path for path in landing.files(receipt)}
        if receipt.part_code == "frames":
            for name in FRAMES:
                found[f"staging.{name}"] = read_frame(
                    name, files[f"{name}.csv"].read_bytes(), f"{name}.csv", receipt.receipt_id
                )
        elif receipt.part_code == REGISTERS_PART:
            for name in REGISTERS:
                file = f"{name}.csv"
                found[f"staging.{name}"] = read_register(name, files[file].read_bytes(), file, receipt.receipt_id)
        else:
            landed = parse_register(files["series.toml"].read_text(encoding="utf-8"), "series.toml")
            parts = [read_series(series, files[series.file].read_bytes(), receipt.receipt_id) for series in landed]
            found["staging.reference_value"] = pl.concat(parts)
    return found


def loads(frames: dict[str, pl.DataFrame]) -> tuple[TableLoad, ...]:
    """How the core takes the frames: area frames and registers whole, the figures one edition of one series at a time, so that a
    file of one series never closes the rows of another."""
    steps = [TableLoad(f"core.{name}", "snapshot") for name in (*FRAMES, *REGISTERS) if f"staging.{name}" in frames]
    figures = frames.get("staging.reference_value")
    if figures is not None:
        editions = (
            figures.select("series_code", "edition_code").drop_nulls().unique().sort("series_code", "edition_code")
        )
        steps += [
            TableLoad("core.reference_value", "snapshot", {"series_code": series, "edition_code": edition})
            for series, edition in editions.iter_rows()
        ]
    return tuple(steps)


def source_cards(arrived: Iterable[tuple[str, str, str]] = ()) -> list[dict[str, str]]:
    """How each series and edition is to be cited, by the source code that observations carry (`series.edition`).

    `arrived`: series, edition and producer of editions that services or the inbox brought.
    """
    cards = [
        {
            "source_code": f"{series.code}.{series.edition}",
            "name_en": series.title,
            "name_vi": series.title_vi,
            "producer": series.producer,
            "citation": f"{series.official_code}, {series.years}; copy: {'; '.join(series.locator)}",
            "edition": series.edition_text,
            "accessed_on": series.accessed.isoformat(),
            "licence": series.licence,
        }
        for series in register()
    ]
    known = {card["source_code"] for card in cards}
    titles = {series.code: series for series in register()}
    for code, edition, producer in arrived:
        if f"{code}.{edition}" not in known:
            shipped = titles.get(code)
            cards.append(
                {
                    "source_code": f"{code}.{edition}",
                    "name_en": shipped.title if shipped else code,
                    "name_vi": shipped.title_vi if shipped else code,
                    "producer": producer,
                    "citation": f"{shipped.official_code if shipped else code}, as received",
                    "edition": edition,
                    "accessed_on": "",
                    "licence": "terms of the producer",
                }
            )
    return cards
