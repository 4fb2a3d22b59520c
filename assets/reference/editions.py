"""Landed answers and files -> staging rows, and which edition of a series is the current one.

Belongs here: reading what `fetch` landed, codes known and unknown, the choice of the edition that indicators use. Does not
belong here: HTTP, the shape of a service's answer, the shipped series (`read`).

An edition that arrived (asked of a service or put into the inbox) comes before the shipped one; of several, the last to arrive.
"""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from assets.loading import Batch, Batches
from assets.reference.feeds import Feed, Figure, feeds, members, unit_of
from assets.reference.fetch import ANSWERS, RELEASE_NAME
from assets.reference.read import (
    BREAKDOWNS,
    SOURCE,
    VALUE_SCHEMA,
    WHOLE_PARTS,
    ReferenceFault,
    loads,
    number,
    stage_frames,
)
from assets.reference.sdmx_csv import flow_of, is_sdmx_csv
from warehouse.landing import Landing, Receipt

log = logging.getLogger(__name__)

REQUIRED = ("series_code", "edition_code", "area_code", "year", "value")
OPTIONAL = (*BREAKDOWNS, "lower", "upper", "producer", "nature_code")


def is_arrival(receipt: Receipt) -> bool:
    """True for a receipt of a service or of the inbox, as opposed to what is shipped with the code."""
    return receipt.part_code.startswith(("service-", "inbox-"))


def arrivals(receipts: Iterable[Receipt], landing: Landing) -> pl.DataFrame:
    """The rows of every arrival, oldest first; of one series and edition only the last to arrive. Each is marked current."""
    last: dict[tuple[str, str], pl.DataFrame] = {}
    for receipt in receipts:
        if is_arrival(receipt):
            frame = read_arrival(receipt, {path.name: path.read_bytes() for path in landing.files(receipt)})
            for (series, edition), rows in frame.group_by("series_code", "edition_code", maintain_order=True):
                # What names no series is kept apart by its receipt: one refused file must not hide another.
                key = (str(series or receipt.receipt_id), str(edition))
                last.pop(key, None)
                last[key] = rows
    return pl.concat([pl.DataFrame(schema=VALUE_SCHEMA), *last.values()])


def read_arrival(receipt: Receipt, files: Mapping[str, bytes]) -> pl.DataFrame:
    """The staging rows of one landed arrival; a feed that the register no longer has brings none."""
    if receipt.part_code.startswith("service-"):
        feed = feeds().get(str(receipt.parameters["feed"]))
        return read_feed(feed, files, receipt.receipt_id) if feed else pl.DataFrame(schema=VALUE_SCHEMA)
    ((name, data),) = files.items()
    return read_file(data, name, receipt.receipt_id)


def read_feed(feed: Feed, files: Mapping[str, bytes], receipt_id: str) -> pl.DataFrame:
    """The rows of one feed's pages. Areas that are no member and cells without a number are no rows; unknown codes reject theirs."""
    answers = ANSWERS[feed.service]
    pages = {name: body for name, body in files.items() if name != RELEASE_NAME}
    edition = answers.edition(feed, list(pages.values()), files.get(RELEASE_NAME))
    rows = []
    for name, body in pages.items():
        remote = Path(name).stem.rpartition("-")[0]
        for figure in answers.figures(body, name):
            row = _row(feed, figure, feed.remotes.get(remote, "_T"))
            if row is not None:
                rows.append({**row, "edition_code": edition, "receipt_id": receipt_id})
    return pl.DataFrame(rows, schema=VALUE_SCHEMA, orient="row")


def _row(feed: Feed, figure: Figure, category: str) -> dict[str, Any] | None:
    if figure.area not in members() or figure.value is None:
        return None
    faults: list[str] = []
    codes: dict[str, str] = {**dict.fromkeys(BREAKDOWNS, "_T"), "category_code": category}
    known = {dimension.name: dimension for dimension in feed.dimension}
    for name, code in figure.dimensions.items():
        dimension = known.get(name)
        if dimension is None:
            faults.append(f"dimension {name} = {code} is not known to feed {feed.code}; add it to services.toml")
        elif code in dimension.skip:
            return None
        elif code not in dimension.codes:
            faults.append(f"{name}: code {code!r} is not known to feed {feed.code}; add it to codes or skip")
        elif dimension.column is not None:
            codes[dimension.column] = dimension.codes[code]
    return {
        "series_code": feed.series,
        "area_code": figure.area,
        "year": _year(figure.year, faults),
        **codes,
        "value": number(figure.value, "value", faults),
        "lower": number(figure.lower, "lower", faults),
        "upper": number(figure.upper, "upper", faults),
        "unit": unit_of(feed.series, "services.toml"),
        "producer": feed.producer,
        "nature_code": figure.nature,
        "is_current_edition": True,
        "is_practice": False,
        "pointer": figure.pointer,
        "rejections": faults,
    }


def _year(text: str, faults: list[str]) -> int | None:
    if text.isdigit() and len(text) == 4:
        return int(text)
    faults.append(f"year: {text!r} is no year")
    return None


def read_file(data: bytes, name: str, receipt_id: str) -> pl.DataFrame:
    """The rows of a file of the inbox: SDMX-CSV of a dataflow that a feed knows, or a plain CSV in our own columns.

    A file that is neither is one rejected row that says what is wrong and what to do.
    """
    header = next(csv.reader(io.StringIO(data.decode("utf-8-sig", errors="replace"), newline="")), [])
    try:
        if is_sdmx_csv(header):
            return _sdmx(data, name, receipt_id)
        return _plain(data, name, receipt_id, [column.strip() for column in header])
    except ReferenceFault as fault:
        return _refused(str(fault), name, receipt_id)
    except UnicodeDecodeError:
        return _refused("the file is not UTF-8; save it again as CSV in UTF-8", name, receipt_id)


def _refused(reason: str, name: str, receipt_id: str) -> pl.DataFrame:
    row = {"receipt_id": receipt_id, "pointer": f"{name}:1", "rejections": [reason], "is_practice": False}
    return pl.DataFrame([row], schema=VALUE_SCHEMA, orient="row")


def _sdmx(data: bytes, name: str, receipt_id: str) -> pl.DataFrame:
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    if not rows:
        return pl.DataFrame(schema=VALUE_SCHEMA)
    flow, _ = flow_of({(key or "").split(": ")[0]: (text or "").split(": ")[0] for key, text in rows[0].items()})
    feed = next((f for f in feeds().values() if f.service == "ilostat" and flow in f.remotes), None)
    if feed is None:
        known = sorted(remote for f in feeds().values() if f.service == "ilostat" for remote in f.remotes)
        raise ReferenceFault(f"dataflow {flow} is in no feed of services.toml; known: {', '.join(known)}", file=name)
    return read_feed(feed, {f"{flow}-001.csv": data}, receipt_id).with_columns(
        pl.col("pointer").str.replace(f"{flow}-001.csv", name, literal=True)
    )


def _plain(data: bytes, name: str, receipt_id: str, header: Sequence[str]) -> pl.DataFrame:
    missing = [column for column in REQUIRED if column not in header]
    unknown = [column for column in header if column not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown:
        raise ReferenceFault(
            f"header: missing {missing}, unknown {unknown}; expected {','.join((*REQUIRED, *OPTIONAL))}, or SDMX-CSV",
            file=name,
        )
    rows = []
    for line, raw in enumerate(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")), start=2):
        cell = {column: (raw.get(column) or "").strip() for column in (*REQUIRED, *OPTIONAL)}
        faults: list[str] = []
        unit: str | None = None
        try:
            unit = unit_of(cell["series_code"], name)
        except ReferenceFault as fault:
            faults.append(str(fault))
        if cell["area_code"] not in members():
            faults.append(f"area_code: {cell['area_code']!r} is no member; expected one of {', '.join(members())}")
        if not cell["edition_code"]:
            faults.append("edition_code: empty; name the edition, for instance gtb2025")
        value = number(cell["value"], "value", faults)
        if value is None and not faults:
            faults.append("value: empty; a figure that was not published has no row")
        rows.append(
            {
                "series_code": cell["series_code"] or None, "edition_code": cell["edition_code"] or None,
                "area_code": cell["area_code"] or None, "year": _year(cell["year"], faults),
                **{column: cell[column] or "_T" for column in BREAKDOWNS}, "value": value,
                "lower": number(cell["lower"], "lower", faults), "upper": number(cell["upper"], "upper", faults),
                "unit": unit, "producer": cell["producer"] or "as stated in the file",
                "nature_code": cell["nature_code"] or None, "is_current_edition": True, "is_practice": False,
                "receipt_id": receipt_id, "pointer": f"{name}:{line}", "rejections": faults,
            }
        )  # fmt: skip
    return pl.DataFrame(rows, schema=VALUE_SCHEMA, orient="row")


def with_current_edition(shipped: pl.DataFrame, arrived: pl.DataFrame) -> pl.DataFrame:
    """Shipped and arrived rows together, at most one edition of each series marked current: the last arrival that is whole.

    An arrival is whole when it has every member that the shipped current edition has: a file of one country is kept beside, and
    serves no indicator. An arrival whose figures are those of the one before it brings no new edition: a service that only
    changed its date said nothing.
    """
    unnamed = arrived.filter(pl.col("series_code").is_null())
    named = arrived.filter(pl.col("series_code").is_not_null())
    kept: dict[str, list[pl.DataFrame]] = {}
    for (series, _), rows in named.group_by("series_code", "edition_code", maintain_order=True):
        before = kept.setdefault(str(series), [])
        if not (before and _figures(before[-1]).equals(_figures(rows))):
            before.append(rows)
    marked, replaced = [], []
    for series, found in kept.items():
        needed = _members(shipped.filter((pl.col("series_code") == series) & pl.col("is_current_edition")))
        whole = [place for place, rows in enumerate(found) if needed <= _members(rows) and _members(rows)]
        if whole:
            replaced.append(series)
        if len(whole) < len(found):
            log.warning("reference: an edition of %s lacks members that the current one has; it is kept beside", series)
        chosen = whole[-1] if whole else None
        marked += [
            rows.with_columns(pl.lit(place == chosen).alias("is_current_edition")) for place, rows in enumerate(found)
        ]
    still = pl.col("is_current_edition") & ~pl.col("series_code").is_in(replaced)
    return pl.concat([shipped.with_columns(still.alias("is_current_edition")), *marked, unnamed])


def _members(rows: pl.DataFrame) -> set[str]:
    """Areas with a sound figure."""
    return set(rows.filter(pl.col("rejections").list.len() == 0)["area_code"])


def _figures(rows: pl.DataFrame) -> pl.DataFrame:
    keys = ["series_code", "area_code", "year", *BREAKDOWNS]
    return rows.select(*keys, "value", "lower", "upper").sort(keys)


def batches(landing: Landing) -> Batches:
    """How `assets.loading.load_source` takes the pending receipts: frames, registers and figures one batch each, oldest first.

    A new edition changes which one is current, so every edition of the series that it touches is staged with it.
    """

    def of_receipts(receipts: Sequence[Receipt]) -> Iterable[Batch]:
        for receipt in [receipt for receipt in receipts if receipt.part_code in WHOLE_PARTS]:
            frames = stage_frames([receipt], landing)
            yield Batch((receipt,), {}, frames, loads(frames), dict.fromkeys(frames, ({},)))
        pending = [receipt for receipt in receipts if receipt.part_code not in WHOLE_PARTS]
        if not pending:
            return
        everything = {receipt.receipt_id: receipt for receipt in (*landing.receipts(SOURCE), *pending)}
        shipped = [receipt for receipt in everything.values() if receipt.part_code == "series"][-1:]
        figures = stage_frames(shipped, landing).get("staging.reference_value", pl.DataFrame(schema=VALUE_SCHEMA))
        arrived = arrivals(everything.values(), landing)
        if all(is_arrival(receipt) for receipt in pending):
            touched = arrivals(pending, landing)["series_code"].drop_nulls().unique()
            now = [receipt.receipt_id for receipt in pending]
            figures = figures.filter(pl.col("series_code").is_in(touched.implode()))
            arrived = arrived.filter(
                pl.col("series_code").is_in(touched.implode())
                | (pl.col("series_code").is_null() & pl.col("receipt_id").is_in(now))
            )
        frames = {"staging.reference_value": with_current_edition(figures, arrived)}
        steps = loads(frames)
        yield Batch(tuple(pending), {}, frames, steps, {"staging.reference_value": [step.scope for step in steps]})

    return of_receipts
