"""Aggregate data in chunks: data values and complete-registrations, each chunk small enough for the server and for us.

Belongs here: which chunks, their requests, halving, and writing a chunk's rows as they stream in. Does not belong here: HTTP
(`client`), typing (`payload`), the order of a pull (`extract`).

dataValueSets has no pages. A chunk is one data set x one run of periods x one org-unit sub-tree, and its borders are borders
of the data set's own periods, because the server returns only periods that lie wholly inside startDate..endDate: a range
that ends in mid-quarter would lose that quarter on both sides.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from assets.dhis2.client import CutOffError
from assets.dhis2.errors import QueryError, TooLargeError
from assets.dhis2.instants import format_instant
from assets.dhis2.mapping import DataSetMapping, InstanceMapping
from methods.periods import Period, periods_between

log = logging.getLogger(__name__)

VALUE_COLUMNS: Final = {
    "dataelement": "data_element",
    "period": "period",
    "orgunit": "org_unit",
    "categoryoptioncombo": "category_option_combo",
    "attributeoptioncombo": "attribute_option_combo",
    "value": "value",
    "lastupdated": "last_updated",
    "deleted": "deleted",
}
"""CSV header of the server -> column landed. `storedby` and `comment` are left out: user names and free text."""

_HEADER_SYNONYMS: Final = {"catoptcombo": "categoryoptioncombo", "attroptcombo": "attributeoptioncombo"}
"""Names that the documentation gives and no server writes; understood in case one does."""

_BLOCK_BYTES: Final = 1 << 19
"""Arrow reads some dozens of blocks ahead: 4 MiB blocks cost 130 MB a chunk, these 20 MB, at the same speed."""

_ROW_GROUP: Final = 1 << 16

LANDED_SCHEMA: Final = pa.schema([(name, pa.string()) for name in VALUE_COLUMNS.values()])


@dataclass(frozen=True)
class Chunk:
    """One request's worth of aggregate data."""

    data_set: str
    period_type: str
    first_on: date
    last_on: date
    org_unit: str
    with_descendants: bool = True

    @property
    def name(self) -> str:
        """Unique among the chunks of one pull, and a file name."""
        depth = "" if self.with_descendants else "-self"
        return f"{self.data_set}-{self.org_unit}{depth}-{self.first_on:%Y%m%d}-{self.last_on:%Y%m%d}"

    def periods(self) -> list[Period]:
        """The periods of the data set's type in this chunk."""
        return periods_between(self.period_type, self.first_on, self.last_on)


def plan_chunks(
    mapping: InstanceMapping, server_day: date, *, by_year: bool, data_sets: Sequence[DataSetMapping] | None = None
) -> list[Chunk]:
    """The chunks that cover every data set, root and period from `data_from` to `future_periods_days` past the server's day.

    `by_year` cuts at year borders of the data set's own periods, for full pulls; changes since a watermark are few and
    come in one chunk.
    """
    until = server_day + timedelta(days=mapping.future_periods_days)
    chunks: list[Chunk] = []
    for data_set in mapping.data_sets if data_sets is None else data_sets:
        periods = periods_between(data_set.period_type, mapping.data_from, until)
        runs: list[list[Period]] = []
        for period in periods:
            # A period belongs to the year in its own name: ISO week 1 of 2026 begins in December 2025.
            if runs and (not by_year or runs[-1][0].code[:4] == period.code[:4]):
                runs[-1].append(period)
            else:
                runs.append([period])
        chunks += [
            Chunk(data_set.uid, data_set.period_type, run[0].start_on, run[-1].end_on, root)
            for run in runs
            for root in mapping.root_org_units
        ]
    return chunks


def chunks_between(mapping: InstanceMapping, first_on: date, last_on: date) -> list[Chunk]:
    """The chunks that cover, for every data set and root, the periods that begin between two days."""
    chunks = []
    for data_set in mapping.data_sets:
        found = periods_between(data_set.period_type, mapping.data_from, last_on)
        periods = [period for period in found if first_on <= period.start_on <= last_on]
        if periods:
            chunks += [
                Chunk(data_set.uid, data_set.period_type, periods[0].start_on, periods[-1].end_on, root)
                for root in mapping.root_org_units
            ]
    return chunks


def halved(chunk: Chunk, children: Mapping[str, Sequence[str]]) -> list[Chunk]:
    """Two halves of the chunk's periods, or, when it has one period, its org unit alone and each child's sub-tree.

    Empty when one period x one org unit is left: then nothing smaller can be asked.
    """
    periods = chunk.periods()
    if len(periods) > 1:
        middle = len(periods) // 2
        return [
            replace(chunk, last_on=periods[middle - 1].end_on),
            replace(chunk, first_on=periods[middle].start_on),
        ]
    below = children.get(chunk.org_unit, ())
    if chunk.with_descendants and below:
        return [replace(chunk, with_descendants=False), *(replace(chunk, org_unit=child) for child in below)]
    return []


def smaller(chunk: Chunk, children: Mapping[str, Sequence[str]], fault: TooLargeError) -> list[Chunk]:
    """The parts of a chunk that the server found too large. Raises `fault` when it has none."""
    parts = halved(chunk, children)
    if not parts:
        raise fault
    log.info("%s: %s split into %d (%s)", fault.server, chunk.name, len(parts), fault.error_code or fault.http_status)
    return parts


def value_parameters(chunk: Chunk, last_updated: datetime | None) -> list[tuple[str, str]]:
    """Parameters of dataValueSets: always data set, range and org unit, also beside `lastUpdated`, and always deletions.

    Read rights on a data set are only checked when it is named; 2.43.0 and 2.43.1 refuse `lastUpdated` without a range.
    """
    found = [
        ("dataSet", chunk.data_set),
        ("startDate", chunk.first_on.isoformat()),
        ("endDate", chunk.last_on.isoformat()),
        ("orgUnit", chunk.org_unit),
        ("children", "true" if chunk.with_descendants else "false"),
        ("includeDeleted", "true"),
    ]
    if last_updated is not None:
        found.append(("lastUpdated", format_instant(last_updated)))
    return found


def registration_parameters(chunk: Chunk) -> list[tuple[str, str]]:
    """Parameters of completeDataSetRegistrations."""
    return [
        ("dataSet", chunk.data_set),
        ("startDate", chunk.first_on.isoformat()),
        ("endDate", chunk.last_on.isoformat()),
        ("orgUnit", chunk.org_unit),
        ("children", "true" if chunk.with_descendants else "false"),
    ]


def duration_parameter(text: str) -> tuple[str, str]:
    """`lastUpdatedDuration`, checked here: servers up to 2.43.1 silently ignore a wrong one and send everything or nothing."""
    number, unit = text[:-1], text[-1:]
    if unit not in ("d", "h", "m", "s") or not number.isdigit() or int(number) <= 0:
        raise QueryError(
            f"{text!r} is no duration.",
            server="settings",
            endpoint="dataValueSets",
            advice="Write a whole number and d, h, m or s, such as 10d.",
        )
    return ("lastUpdatedDuration", text)


# Rows of one chunk ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ChunkCounts:
    """Rows received from the server for one chunk, and those of elements that nobody mapped, which are not landed."""

    received: int = 0
    unmapped: int = 0

    def __add__(self, other: "ChunkCounts") -> "ChunkCounts":
        return ChunkCounts(self.received + other.received, self.unmapped + other.unmapped)


class _Watched:
    """A stream that remembers whether its last byte was a line end: a CSV cut off inside its last field still parses."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.last = b""
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        if data:
            self.last = data[-1:]
        return data

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False


def _first_line(stream: Any) -> bytes:
    """The header line, read byte by byte from a buffered stream."""
    line = bytes(stream.readline())
    return line.removeprefix(b"\xef\xbb\xbf")


def copy_csv(stream: Any, target: IO[bytes], elements: frozenset[str]) -> ChunkCounts:
    """The mapped rows of a dataValueSets CSV body stand in `target` as Parquet, every field as text, in constant memory.

    Raises CutOffError for a body that ends inside a line or has ragged lines.
    """
    header = _first_line(stream)
    names = [name.strip().strip('"').lower() for name in header.decode("utf-8", "replace").split(",")]
    names = [_HEADER_SYNONYMS.get(name, name) for name in names]
    writer = pyarrow.parquet.ParquetWriter(target, LANDED_SCHEMA, compression="zstd")
    try:
        if not header.strip():
            return ChunkCounts()
        if not header.endswith(b"\n"):
            raise CutOffError("the CSV ends inside its header")
        missing = [name for name in VALUE_COLUMNS if name not in names and name not in ("deleted", "lastupdated")]
        if missing:
            raise CutOffError(f"the CSV header lacks {', '.join(missing)}")
        return _copy_rows(stream, names, writer, elements)
    finally:
        writer.close()


def _copy_rows(stream: Any, names: list[str], writer: Any, elements: frozenset[str]) -> ChunkCounts:
    watched = _Watched(stream)
    counts = ChunkCounts()
    wanted = pa.array(sorted(elements), pa.string())
    try:
        reader = pa.csv.open_csv(
            pa.PythonFile(watched, mode="r"),
            read_options=pa.csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES, use_threads=False),
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(VALUE_COLUMNS),
                include_missing_columns=True,
                column_types={name: pa.string() for name in VALUE_COLUMNS},
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as fault:
        if "Empty CSV" in str(fault):
            return counts
        raise CutOffError("the CSV is ragged") from fault
    waiting: list[pa.Table] = []
    try:
        for batch in reader:
            table = pa.Table.from_batches([batch]).rename_columns(list(VALUE_COLUMNS.values())).cast(LANDED_SCHEMA)
            mapped = table.filter(pc.is_in(table["data_element"], value_set=wanted))
            counts += ChunkCounts(table.num_rows, table.num_rows - mapped.num_rows)
            waiting.append(mapped)
            if sum(part.num_rows for part in waiting) >= _ROW_GROUP:
                writer.write_table(pa.concat_tables(waiting))
                waiting.clear()
        if waiting:
            writer.write_table(pa.concat_tables(waiting))
    except pa.ArrowInvalid as fault:
        raise CutOffError("the CSV is ragged") from fault
    if watched.last not in (b"", b"\n"):
        raise CutOffError("the CSV ends inside a line")
    return counts


class ValueFormError(ValueError):
    """A JSON answer of data values is not of the form that the API documents. The message says where, never what stood there."""


_MEMBERS: Mapping[str, str] = {
    "dataElement": "data_element", "period": "period", "orgUnit": "org_unit", "categoryOptionCombo": "category_option_combo",
    "attributeOptionCombo": "attribute_option_combo", "value": "value", "lastUpdated": "last_updated",
}  # fmt: skip
_HOISTED = ("period", "orgUnit", "attributeOptionCombo")
_MUST = ("period", "orgUnit", "attributeOptionCombo")


def json_rows(answer: Any) -> Iterator[dict[str, str | None]]:
    """Rows of a dataValueSets JSON answer under our column names, with keys that 2.43 hoists to the top filled in.

    `{}`, an empty list and a header without rows are all "no values". Raises ValueFormError for another form, and for a row whose
    period, org unit or attribute option combo stands neither in it nor at the top.
    """
    rows = answer.get("dataValues") if isinstance(answer, Mapping) else answer
    if not isinstance(rows, list | None):
        raise ValueFormError("dataValues is no list")
    top = {key: answer.get(key) for key in _HOISTED} if isinstance(answer, Mapping) else {}
    for number, row in enumerate(rows or [], start=1):
        if not isinstance(row, Mapping):
            raise ValueFormError(f"data value {number} is no object")
        filled = {key: row[key] if row.get(key) is not None else top.get(key) for key in _MEMBERS}
        lacking = [key for key in _MUST if filled[key] is None]
        if lacking:
            raise ValueFormError(f"data value {number} has no {lacking[0]}")
        yield {
            **{ours: _plain_text(filled[key], key, number) for key, ours in _MEMBERS.items()},
            "deleted": "true" if row.get("deleted") is True else None,
        }


def _plain_text(value: Any, key: str, number: int) -> str | None:
    """A plain JSON value as text. Raises ValueFormError for anything else, and for text that is half a character."""
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise ValueFormError(f"{key} of data value {number} is no plain value")
    try:
        text = str(value)
        text.encode()
    except ValueError as fault:  # a lone surrogate, or a number of more digits than Python prints
        raise ValueFormError(f"{key} of data value {number} cannot be written as text") from fault
    return text


def copy_json(answer: Any, target: IO[bytes], elements: frozenset[str]) -> ChunkCounts:
    """As `copy_csv`, from a JSON answer: for a server or proxy that does not offer CSV. Raises ValueFormError."""
    rows = list(json_rows(answer))
    mapped = [row for row in rows if row["data_element"] in elements]
    pyarrow.parquet.write_table(pa.Table.from_pylist(mapped, schema=LANDED_SCHEMA), target, compression="zstd")
    return ChunkCounts(len(rows), len(rows) - len(mapped))


def registration_rows(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is landed of completeDataSetRegistrations: keys, date and state; the names of who pressed the button are not."""
    return [
        {
            "data_set": row.get("dataSet"),
            "period": row.get("period"),
            "org_unit": row.get("organisationUnit"),
            "attribute_option_combo": row.get("attributeOptionCombo"),
            "date": row.get("date"),
            "completed": row.get("completed"),
        }
        for row in answer.get("completeDataSetRegistrations") or []
    ]
