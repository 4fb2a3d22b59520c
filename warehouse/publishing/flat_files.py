"""CSV and Parquet files of a release with their Data Package descriptor.

Belongs here: one file per frame, and one CSV per regional table as it is printed. Does not belong here: choosing what is in
them (`content`, `tables`). CSV is UTF-8, comma, RFC 4180, dot as decimal mark; lists are joined by semicolons; empty means
NULL, and `obs_status` says whether that is missing, not applicable or suppressed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import tables as catalogue_tables
from warehouse.publishing import cards
from warehouse.publishing.alternates import alternate_frame
from warehouse.publishing.content import ReleaseContent

_FIELD_TYPES = {
    "Float64": "number",
    "Int64": "integer",
    "Int32": "integer",
    "Boolean": "boolean",
    "Date": "date",
    "Datetime": "datetime",
}


def release_frames(content: ReleaseContent) -> dict[str, pl.DataFrame]:
    """The frames that leave as files, by file name."""
    return {
        "observation": content.observations,
        "regional_cell": content.regional.cells,
        "regional_column": content.regional.columns,
        "footnote": content.regional.footnotes,
        "regional_table": cards.table_frame(content.catalogue),
        "indicator": cards.indicator_frame(content.catalogue),
        "area": cards.area_frame(content.catalogue),
        "source": cards.source_frame(content.catalogue),
        "receipt": cards.receipt_frame(content),
        "sampling_error": content.context.sampling_errors,
        "claim": content.context.claims,
        "evidence": content.context.evidence,
        "symbol": cards.symbol_frame(content.catalogue),
        "alternate": alternate_frame(content),
        "change": content.changes,
        **content.context.registers,
    }


def write_flat_files(content: ReleaseContent, folder: Path) -> None:
    """`folder` holds a CSV and a Parquet file per frame, `tables/RTnn.csv` per regional table, and `datapackage.json`."""
    folder.mkdir(parents=True)
    (folder / "tables").mkdir()
    resources = []
    for name, frame in release_frames(content).items():
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", statistics=True)
        flat = flattened(frame)
        flat.write_csv(folder / f"{name}.csv", line_terminator="\r\n")
        resources.append(_resource(folder / f"{name}.csv", name, frame))
    for table in content.catalogue.regional.tables:
        printed_table(content, table.code).write_csv(folder / "tables" / f"{table.code}.csv", line_terminator="\r\n")
    (folder / "indicators").mkdir()
    for (code,), rows in content.observations.group_by("indicator_code", maintain_order=True):
        flattened(rows).write_csv(folder / "indicators" / f"{code}.csv", line_terminator="\r\n")
    descriptor = {
        "profile": "tabular-data-package",
        "name": "mhwg-migrant-health-indicators",
        "id": content.release_id,
        "title": "Migrant-health indicators of the ASEAN region",
        "version": content.release_id,
        "created": f"{content.recorded_at:%Y-%m-%dT%H:%M:%S}Z",
        "licenses": [{"name": "other-open", "title": content.context.licence}],
        "sources": [
            {"title": source.name_en, "path": "", "citation": source.citation, "licence": source.licence}
            for source in sorted(content.catalogue.sources, key=lambda source: source.source_code)
        ],
        "has_practice_data": content.has_practice_data,
        "resources": resources,
    }
    text = json.dumps(descriptor, ensure_ascii=False, indent=2, sort_keys=False) + "\n"
    (folder / "datapackage.json").write_text(text, encoding="utf-8", newline="\n")


def flattened(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with list columns joined by semicolons, as CSV and workbook need it."""
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    return frame.with_columns(pl.col(name).list.join(";").replace("", None) for name in lists)


def printed_table(content: ReleaseContent, code: str) -> pl.DataFrame:
    """One regional table as printed in English: a row per row, per column the number and beside it status and marks."""
    part = content.regional.of_table(code)
    rows = part.cells.unique("row_code", keep="first", maintain_order=True).select(
        "row_code", pl.col("row_label_en").alias("row_label")
    )
    for column in part.columns.iter_rows(named=True):
        name = column["column_code"]
        picked = [pl.col("row_code"), pl.col("value").alias(name)]
        if column["has_interval"]:
            picked += [pl.col("lower").alias(f"{name}.lower"), pl.col("upper").alias(f"{name}.upper")]
        picked += [pl.col("obs_status").alias(f"{name}.status"), pl.col("footnote_marks").alias(f"{name}.marks")]
        cells = part.cells.filter(pl.col("column_code") == name).select(picked)
        rows = rows.join(cells, on="row_code", how="left", maintain_order="left")
    return rows


def _resource(path: Path, name: str, frame: pl.DataFrame) -> dict[str, Any]:
    known = catalogue_tables()
    entry = next(
        (known[f"{room}.{name}"] for room in ("release", "core", "indicator") if f"{room}.{name}" in known), None
    )
    fields = []
    for column, kind in frame.schema.items():
        field = {"name": column, "type": _FIELD_TYPES.get(type(kind).__name__, "string")}
        if entry is not None and column in entry.column_names:
            field["description"] = entry.column(column).description
        fields.append(field)
    data = path.read_bytes()
    return {
        "name": name,
        "path": path.name,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(data),
        "hash": "sha256:" + hashlib.sha256(data).hexdigest(),
        "schema": {"fields": fields, "missingValues": [""]},
    }
