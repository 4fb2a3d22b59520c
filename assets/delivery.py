"""The fields of a delivery: what a landed pull consists of, before anything is read into tables.

Belongs here: names and types of fields by part, for every form in which sources land. Does not belong here: what follows from a
difference (`warehouse.drift`), values: a type is told, never a value.

A type is what most values of a column are, so that one bad cell is a bad cell and not another column.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from assets.labour.headings import bulletin_headings
from assets.labour.read import REFUSAL_NAME
from assets.labour.register import SAFE_NAME
from warehouse.drift import UNTYPED, Field, PartDrift, judge
from warehouse.landing import Landing, Receipt

TYPICAL_SHARE = 0.8
TYPED_ROWS = 500
"""Rows looked at to tell a column's type."""

NUMBERS = ("number", "quantity", "value", "lower", "upper", "year")
"""Columns of tables sent as text whose type is worth telling."""

REQUIRED = ("register", "area", "period", "number", "area_code", "year", "value")
"""Columns of such tables that cannot be done without."""

_OBJECTS = {
    "data_elements.json": "valueType",
    "trackedEntityAttributes.json": "valueType",
    "data_sets.json": "periodType",
}
"""DHIS2 documents whose objects are fields of the data, with the key that holds their type."""


def judge_delivery(
    connection: Any | None, source_code: str, receipts: Sequence[Receipt], landing: Landing
) -> list[PartDrift]:
    """Everything in one pull that has fields, held against the fields that were last accepted for its part."""
    group = source_code.split("_")[0]
    drifts = []
    for receipt in receipts:
        for path in landing.files(receipt):
            found = _of_file(path, receipt)
            drifts += [
                judge(connection, source_code, group, part, receipt.receipt_id, fields)
                for part, fields in found.items()
            ]
            if source_code == "labour" and path.name not in (SAFE_NAME, REFUSAL_NAME):
                headings = bulletin_headings(path.read_bytes(), path.name)
                drifts += [
                    judge(connection, source_code, group, part, receipt.receipt_id, each.fields, each.meaning)
                    for part, each in headings.items()
                ]
    return drifts


def without_stopped(pull: Sequence[Receipt], drifts: Sequence[PartDrift]) -> tuple[Receipt, ...]:
    """The receipts of a pull that may be loaded. Files stand for themselves; the parts of a server's pull belong together."""
    stopped = {drift.receipt_id for drift in drifts if drift.decision.is_stopped}
    belong_together = any(receipt.source_code.startswith("dhis2_") for receipt in pull)
    if belong_together and stopped & {receipt.receipt_id for receipt in pull}:
        return ()
    return tuple(receipt for receipt in pull if receipt.receipt_id not in stopped)


def _of_file(path: Path, receipt: Receipt) -> Mapping[str, Sequence[Field]]:
    if path.name in _OBJECTS:
        return _of_document(path, _OBJECTS[path.name])
    if path.suffix == ".json" and receipt.kind_code == "survey_wave":
        return _of_survey_file(path, receipt)
    if path.name == SAFE_NAME:
        return _of_register(path)
    if path.suffix == ".csv" and receipt.source_code in ("programme", "victims", "reference"):
        return _of_csv(path, path.stem if receipt.source_code == "reference" else "register")
    return {}


def _of_document(path: Path, type_key: str) -> Mapping[str, Sequence[Field]]:
    """Objects of a DHIS2 metadata document; only what the settings name is asked for, so each is needed."""
    objects = json.loads(path.read_bytes())
    return {path.stem: [Field(str(item["id"]), str(item.get(type_key) or UNTYPED)) for item in objects]}


def _of_survey_file(path: Path, receipt: Receipt) -> Mapping[str, Sequence[Field]]:
    """Variables of one file of a survey, the same part in every wave; those that the recode reads are needed."""
    described = json.loads(path.read_text(encoding="utf-8"))
    fields = [
        Field(name, "coded" if content["value_labels"] else "plain") for name, content in described["variables"].items()
    ]
    left_out = [*described["identifiers_dropped"], *described["variables_not_read"]]
    fields += [Field(name, UNTYPED, is_required=False) for name in left_out]
    return {f"{receipt.parameters['survey_code']}/{path.stem}": fields}


def _of_register(path: Path) -> Mapping[str, Sequence[Field]]:
    """Columns of a contract register by their meaning, and those that no layout knows by their place."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    head, rows = lines[0], lines[1 : TYPED_ROWS + 1]
    names = sorted({name for row in rows for name in row} - {"sheet", "row"})
    fields = [Field(name, "text", is_required=False) for name in names]
    fields += [
        Field(f"column {address}", UNTYPED, is_required=False)
        for sheet in head["sheets"]
        for address in sheet["dropped_columns"]
    ]
    return {f"register/{head['sheets'][0]['layout']}": fields} if head["sheets"] else {}


def _of_csv(path: Path, part: str) -> Mapping[str, Sequence[Field]]:
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(io.StringIO("\n".join(lines[: TYPED_ROWS + 1])))
    columns = [name.strip() for name in reader.fieldnames or [] if name and name.strip()]
    rows = list(reader)
    fields = []
    for name in columns:
        # Of a code it is no news that it looks like a number this time: 2026 is a period as 2026Q1 is.
        kind = _type_of([(row.get(name) or "").strip() for row in rows]) if name in NUMBERS else "text"
        fields.append(Field(name, kind, name in REQUIRED))
    return {part: fields}


def _type_of(texts: Sequence[str]) -> str:
    filled = [text for text in texts if text]
    if not filled:
        return UNTYPED
    for kind, parses in (("number", float), ("date", date.fromisoformat)):
        if sum(_parses(text, parses) for text in filled) >= TYPICAL_SHARE * len(filled):
            return kind
    return "text"


def _parses(text: str, parse: Any) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True
