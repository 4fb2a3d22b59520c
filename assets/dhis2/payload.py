"""Landed DHIS2 files -> frames of the staging tables. Pure but for opening the landed files.

Belongs here: typing, renaming, coding, and naming what is wrong with a record. Does not belong here: HTTP, landing, rules
about plausibility (`expectations`), what a tracked entity says (`referral_records`).

Every frame has the columns of its catalogue entry, `receipt_id`, `pointer` (file and row or UID) and `rejections`: a list of
sentences, empty for a sound record. What a rejected value once was is withdrawn: an incremental pull must leave the same
rows open as a full one, and the full one would not bring the old value back.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
import pyarrow.parquet

from assets.dhis2 import referral_records
from assets.dhis2.instants import instants, parse_day
from assets.dhis2.mapping import InstanceMapping, country_of_area
from assets.dhis2.staging_frames import PROVENANCE, empty_frame, frame_of, zone_of
from methods.periods import UnknownPeriodError, parse_period
from warehouse.landing import Landing, Receipt

Parts = dict[str, pl.DataFrame | Iterable[pl.DataFrame]]

ORG_UNIT: Final[dict[str, Any]] = {
    "instance_code": pl.String, "org_unit_uid": pl.String, "name": pl.String, "level": pl.Int64, "path": pl.String,
    "parent_uid": pl.String, "opening_on": pl.Date, "closed_on": pl.Date, "country_code": pl.String,
    "province_area_code": pl.String, "geometry_code": pl.String, "longitude_degrees": pl.Float64, "latitude_degrees": pl.Float64,
    "is_practice": pl.Boolean,
}  # fmt: skip
DATA_SET_ASSIGNMENT: Final[dict[str, Any]] = {
    "instance_code": pl.String, "data_set_uid": pl.String, "org_unit_uid": pl.String, "data_set_code": pl.String,
    "period_type_code": pl.String, "timely_days": pl.Int64, "is_practice": pl.Boolean,
}  # fmt: skip
DATA_SET_REGISTRATION: Final[dict[str, Any]] = {
    "instance_code": pl.String, "data_set_uid": pl.String, "period_code": pl.String, "org_unit_uid": pl.String,
    "attribute_option_combo_uid": pl.String, "registered_at": pl.Datetime("us"), "is_completed": pl.Boolean,
    "data_set_code": pl.String, "period_start_on": pl.Date, "period_end_on": pl.Date, "is_practice": pl.Boolean,
}  # fmt: skip
DATA_VALUE: Final[dict[str, Any]] = {
    "instance_code": pl.String, "data_element_uid": pl.String, "period_code": pl.String, "org_unit_uid": pl.String,
    "category_option_combo_uid": pl.String, "attribute_option_combo_uid": pl.String, "concept_code": pl.String,
    "category_code": pl.String, "value_text": pl.String, "value_number": pl.Float64, "period_type_code": pl.String,
    "period_start_on": pl.Date, "period_end_on": pl.Date, "updated_at": pl.Datetime("us"), "is_deleted": pl.Boolean,
    "is_practice": pl.Boolean,
}  # fmt: skip
VALUE_KEY: Final = tuple(list(DATA_VALUE)[:6])

METADATA_OBJECT: Final[dict[str, Any]] = {
    "instance_code": pl.String, "kind_code": pl.String, "object_uid": pl.String, "object_code": pl.String, "name": pl.String,
    "value_type_code": pl.String, "parent_uid": pl.String, "detail": pl.String, "is_practice": pl.Boolean,
}  # fmt: skip


@dataclass(frozen=True)
class TableLoad:
    """How one core table is merged after staging: mode and scope of `LoadTransaction.load_history`."""

    table: str
    mode: Literal["delta", "snapshot"]
    scope: Mapping[str, str]


@dataclass(frozen=True)
class Staged:
    """All staging frames of one pull, their scope, and the core loads that follow, in order.

    `counts` holds what was set aside before staging: rows repeated across chunks, deletions in a full pull, withdrawals. Data
    values come as `ValueParts`, read while they are staged; `counts` is complete after that.
    `counts` holds what was set aside before staging: rows repeated across chunks, deletions in a full pull, withdrawals.
    `whole` names the tables of which the pull brought everything, not only what changed.
    """

    frames: Parts
    scope: Mapping[str, str]
    loads: tuple[TableLoad, ...]
    counts: Mapping[str, int]
    whole: tuple[str, ...] = ()

    def frame(self, table: str) -> pl.DataFrame:
        """The frame of one table, whole: for whoever knows that it is small."""
        found = self.frames[table]
        if isinstance(found, pl.DataFrame):
            return found
        parts = list(found)
        return pl.concat(parts) if parts else empty_frame(DATA_VALUE)


def stage_frames(receipts: Sequence[Receipt], landing: Landing, mapping: InstanceMapping) -> Staged:
    """The staging frames of the receipts of one pull. Tables whose part was not pulled come as empty frames, so that
    staging never keeps rows of an earlier batch."""
    by_part = {receipt.kind_code: receipt for receipt in receipts}
    scope = {"instance_code": mapping.code}
    counts: dict[str, int] = {}
    frames: Parts = {
        "staging.org_unit": empty_frame(ORG_UNIT),
        "staging.data_set_assignment": empty_frame(DATA_SET_ASSIGNMENT),
    }
    frames["staging.metadata_object"] = empty_frame(METADATA_OBJECT)
    loads = [
        TableLoad(f"core.{name}", "snapshot", scope)
        for name in ("org_unit", "org_unit_earlier_place", "metadata_object")
    ]
    documents: dict[str, Any] = {}
    if receipt := by_part.get("metadata"):
        documents = {path.name: json.loads(path.read_bytes()) for path in landing.files(receipt)}
        frames["staging.org_unit"] = org_unit_frame(documents.get("org_units.json", []), receipt, mapping)
        frames["staging.metadata_object"] = metadata_object_frame(documents, receipt, mapping)
        frames["staging.data_set_assignment"] = assignment_frame(
            documents.get("data_sets.json", []), documents.get("org_units.json", []), receipt, mapping
        )
    if mapping.data_sets:
        value_types = {item["id"]: str(item.get("valueType", "")) for item in documents.get("data_elements.json", [])}
        frames["staging.data_value"] = empty_frame(DATA_VALUE)
        frames["staging.data_set_registration"] = empty_frame(DATA_SET_REGISTRATION)
        loads.append(TableLoad("core.data_set_assignment", "snapshot", scope))
        if receipt := by_part.get("registrations"):
            frames["staging.data_set_registration"] = registration_frame(landing.files(receipt), receipt, mapping)
            loads.append(TableLoad("core.data_set_registration", "snapshot", scope))
        if receipt := by_part.get("data_values"):
            frames["staging.data_value"] = ValueParts(landing.files(receipt), receipt, mapping, value_types, counts)
            loads.append(TableLoad("core.data_value", _mode(receipt), scope))
    if mapping.referral is not None:
        frames |= _referral_frames(by_part, landing, mapping)
        # The model of this table yields the whole state of the server: staged records, and earlier ones that stand.
        loads.append(TableLoad("core.referral_record", "snapshot", scope))
    return Staged(frames, scope, tuple(loads), counts, _whole_tables(by_part))


def _referral_frames(by_part: Mapping[str, Receipt], landing: Landing, mapping: InstanceMapping) -> Parts:
    frames: Parts = {f"staging.{name}": empty_frame(schema) for name, schema in referral_records.SCHEMAS.items()}
    if receipt := by_part.get("tracker"):
        entities = referral_records.LandedEntities(landing.files(receipt))
        frames["staging.tracked_entity"] = referral_records.entity_parts(entities, receipt, mapping)
        frames["staging.referral_record"] = referral_records.record_parts(entities, receipt, mapping)
        if _mode(receipt) == "snapshot":
            frames["staging.referral_listing"] = referral_records.listing_frame(entities, receipt, mapping)
    if receipt := by_part.get("tracker_listing"):
        entities = referral_records.LandedEntities(landing.files(receipt))
        frames["staging.referral_listing"] = referral_records.listing_frame(entities, receipt, mapping)
    return frames


def _whole_tables(by_part: Mapping[str, Receipt]) -> tuple[str, ...]:
    """Staging tables for which the pull holds all that the server has."""
    tables = {
        "metadata": ("staging.org_unit", "staging.data_set_assignment", "staging.metadata_object"),
        "registrations": ("staging.data_set_registration",),
    }
    changes = {
        "data_values": ("staging.data_value",),
        "tracker": ("staging.referral_record", "staging.tracked_entity"),
    }
    tables |= {part: names for part, names in changes.items() if part in by_part and _mode(by_part[part]) == "snapshot"}
    return tuple(name for part, names in tables.items() if part in by_part for name in names)


def _mode(receipt: Receipt) -> Literal["delta", "snapshot"]:
    return "snapshot" if receipt.parameters["mode"] == "full" else "delta"


# Metadata ------------------------------------------------------------------------------------------------------------


def org_unit_frame(units: Sequence[Mapping[str, Any]], receipt: Receipt, mapping: InstanceMapping) -> pl.DataFrame:
    """staging.org_unit: every unit with the province and country that the settings give its nearest listed ancestor."""
    countries = _root_countries(units, mapping)
    rows = []
    for number, unit in enumerate(units, start=1):
        path = str(unit.get("path") or "")
        line = path.strip("/").split("/")
        area = next((mapping.province_areas[uid] for uid in reversed(line) if uid in mapping.province_areas), None)
        country = country_of_area(area) if area else next((countries[uid] for uid in line if uid in countries), None)
        place = unit.get("geometry") or {}
        rejections = [] if unit.get("name") and path else ["the org unit has no name or path"]
        rows.append(
            {
                "instance_code": mapping.code,
                "org_unit_uid": unit["id"],
                "name": unit.get("name"),
                "level": unit.get("level") or len(line),
                "path": path,
                "parent_uid": (unit.get("parent") or {}).get("id"),
                "opening_on": parse_day(unit.get("openingDate")),
                "closed_on": parse_day(unit.get("closedDate")),
                "country_code": country,
                "province_area_code": area,
                "geometry_code": place.get("type"),
                "longitude_degrees": place.get("longitude"),
                "latitude_degrees": place.get("latitude"),
                "is_practice": mapping.is_practice,
                "receipt_id": receipt.receipt_id,
                "pointer": f"org_units.json#{number}/{unit['id']}",
                "rejections": rejections,
            }
        )
    return frame_of(rows, ORG_UNIT)


def _root_countries(units: Sequence[Mapping[str, Any]], mapping: InstanceMapping) -> dict[str, str]:
    """Root -> country: the first root is the server's own; another is that of the provinces listed below it, when they agree."""
    below: dict[str, set[str]] = {root: set() for root in mapping.root_org_units}
    for unit in units:
        area = mapping.province_areas.get(str(unit["id"]))
        for root in set(str(unit.get("path", "")).split("/")) & set(below) if area else ():
            below[root].add(country_of_area(str(area)))
    countries = {root: next(iter(found)) for root, found in below.items() if len(found) == 1}
    return {**countries, mapping.root_org_units[0]: mapping.country}


def assignment_frame(
    data_sets: Sequence[Mapping[str, Any]],
    units: Sequence[Mapping[str, Any]],
    receipt: Receipt,
    mapping: InstanceMapping,
) -> pl.DataFrame:
    """staging.data_set_assignment: which org unit is to report which data set. Units outside the mapped roots are not ours."""
    by_uid = {data_set.uid: data_set for data_set in mapping.data_sets}
    known = {str(unit["id"]) for unit in units}
    rows = [
        {
            "instance_code": mapping.code,
            "data_set_uid": item["id"],
            "org_unit_uid": unit["id"],
            "data_set_code": by_uid[item["id"]].code,
            "period_type_code": str(item.get("periodType") or by_uid[item["id"]].period_type),
            "timely_days": by_uid[item["id"]].timely_days,
            "is_practice": mapping.is_practice,
            "receipt_id": receipt.receipt_id,
            "pointer": f"data_sets.json#{item['id']}/{unit['id']}",
            "rejections": [],
        }
        for item in data_sets
        if item["id"] in by_uid
        for unit in sorted(item.get("organisationUnits") or [], key=lambda entry: str(entry["id"]))
        if unit["id"] in known
    ]
    return frame_of(rows, DATA_SET_ASSIGNMENT)


_KIND_OF_DOCUMENT: Final = {
    "data_sets.json": "dataSets",
    "data_elements.json": "dataElements",
    "categoryOptionCombos.json": "categoryOptionCombos",
    "programs.json": "programs",
    "programStages.json": "programStages",
    "trackedEntityAttributes.json": "trackedEntityAttributes",
    "optionSets.json": "optionSets",
    "indicators.json": "indicators",
    "validationRules.json": "validationRules",
    "constants.json": "constants",
}


def metadata_object_frame(documents: Mapping[str, Any], receipt: Receipt, mapping: InstanceMapping) -> pl.DataFrame:
    """staging.metadata_object: the server's definitions that the mapped data rest on; an option is an object below its set."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for document, kind in _KIND_OF_DOCUMENT.items():
        for number, item in enumerate(documents.get(document, []), start=1):
            pointer = f"{document}#{number}/{item['id']}"
            # Assigned org units have a table of their own, options rows of their own.
            facts = {key: value for key, value in item.items() if key not in ("organisationUnits", "options")}
            parent = next(
                (item[key]["id"] for key in ("program", "optionSet") if isinstance(item.get(key), dict)), None
            )
            rows[kind, item["id"]] = _metadata_object(kind, facts, parent, pointer, receipt, mapping)
            for option in item.get("options") or []:
                rows["options", option["id"]] = _metadata_object(
                    "options", option, item["id"], pointer, receipt, mapping
                )
    return frame_of(rows.values(), METADATA_OBJECT)


def _metadata_object(
    kind: str, facts: Mapping[str, Any], parent: str | None, pointer: str, receipt: Receipt, mapping: InstanceMapping
) -> dict[str, Any]:
    detail = {key: value for key, value in facts.items() if key not in ("id", "code", "name", "valueType")}
    return {
        "instance_code": mapping.code,
        "kind_code": kind,
        "object_uid": facts["id"],
        "object_code": facts.get("code"),
        "name": facts.get("name"),
        "value_type_code": facts.get("valueType"),
        "parent_uid": parent,
        "detail": json.dumps(detail, ensure_ascii=False, sort_keys=True) if detail else None,
        "is_practice": mapping.is_practice,
        "receipt_id": receipt.receipt_id,
        "pointer": pointer,
        "rejections": [],
    }


@lru_cache(maxsize=16384)
def _period(code: str) -> tuple[str, str, date, date] | None:
    try:
        period = parse_period(code)
    except UnknownPeriodError:
        return None
    return period.code, period.type_code, period.start_on, period.end_on


def registration_frame(paths: Sequence[Path], receipt: Receipt, mapping: InstanceMapping) -> pl.DataFrame:
    """staging.data_set_registration: somebody at an org unit said "this report is complete"."""
    by_uid = {data_set.uid: data_set for data_set in mapping.data_sets}
    rows = []
    for path in paths:
        for number, row in enumerate(json.loads(path.read_bytes()), start=1):
            if row.get("data_set") not in by_uid:
                continue
            period = _period(str(row.get("period")))
            rejections = [] if period else [f"period {row.get('period')!r} is not a DHIS2 period"]
            rejections += [f"{key} is missing" for key in ("org_unit", "date") if not row.get(key)]
            rows.append(
                {
                    "instance_code": mapping.code,
                    "data_set_uid": row["data_set"],
                    "period_code": period[0] if period else row.get("period"),
                    "org_unit_uid": row.get("org_unit"),
                    "attribute_option_combo_uid": row.get("attribute_option_combo") or "_T",
                    "registered_at": row.get("date"),
                    "is_completed": row.get("completed") is not False,
                    "data_set_code": by_uid[row["data_set"]].code,
                    "period_start_on": period[2] if period else None,
                    "period_end_on": period[3] if period else None,
                    "is_practice": mapping.is_practice,
                    "receipt_id": receipt.receipt_id,
                    "pointer": f"{path.name}#{number}",
                    "rejections": rejections,
                }
            )
    frame = frame_of(rows, {**DATA_SET_REGISTRATION, "registered_at": pl.String})
    frame = frame.with_columns(instants("registered_at", zone_of(receipt)))
    key = list(DATA_SET_REGISTRATION)[:5]
    return frame.sort("registered_at", "pointer", nulls_last=False).unique(key, keep="last", maintain_order=True)


# Data values ---------------------------------------------------------------------------------------------------------

_NUMERIC_TYPES: Final = frozenset(
    {
        "NUMBER", "INTEGER", "INTEGER_POSITIVE", "INTEGER_NEGATIVE", "INTEGER_ZERO_OR_POSITIVE", "PERCENTAGE",
        "UNIT_INTERVAL",
    }
)  # fmt: skip
_TRUTH_TYPES: Final = frozenset({"BOOLEAN", "TRUE_ONLY"})
_MOST_DIGITS: Final = 307
"""Digits before the point beyond which a double is infinite, and which DHIS2 itself calls no number."""


_PART_ROWS: Final = 1 << 16
"""Rows typed at a time: 30 MB as a frame, however long the landed file is."""


@dataclass(frozen=True)
class ValueParts:
    """staging.data_value of the landed files of one receipt, as frames of bounded size; each iteration reads anew.

    `counts` collects rows that are not staged because another chunk has them (`repeated`), deletions that a full pull needs
    no row for (`deleted`), and withdrawals added.
    """

    paths: Sequence[Path]
    receipt: Receipt
    mapping: InstanceMapping
    value_types: Mapping[str, str]
    counts: dict[str, int]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        self.counts.update(dict.fromkeys(("repeated", "deleted", "withdrawn"), 0))
        for path in self.paths:
            for typed in self._typed_parts(path):
                judged = self._judged(typed)
                if judged.height:
                    yield judged

    def _typed_parts(self, path: Path) -> Iterator[pl.DataFrame]:
        """The file's own rows, typed, each key once: the newest of a repeated key comes in the last part."""
        repeated = self._repeated_keys(path)
        aside: list[pl.DataFrame] = []
        for kept in self._own_rows(path):
            if len(repeated):
                is_repeated = _key_hash().is_in(repeated.implode())
                aside.append(kept.filter(is_repeated))
                yield kept.filter(~is_repeated)
            else:
                yield kept
        if aside:
            several = pl.concat(aside)
            newest = several.sort("updated_at", nulls_last=False, maintain_order=True).unique(
                VALUE_KEY, keep="last", maintain_order=True
            )
            self.counts["repeated"] += several.height - newest.height
            yield newest

    def _own_rows(self, path: Path) -> Iterator[pl.DataFrame]:
        """Typed rows that this chunk answers for: of an element in two data sets the first asks; of a period across two
        chunks the one it begins in."""
        here = self._is_own(path)
        for raw in _landed_parts(path):
            typed = _typed_values(raw, path, self.receipt, self.mapping)
            kept = typed.filter(here)
            self.counts["repeated"] += typed.height - kept.height
            yield kept

    def _is_own(self, path: Path) -> pl.Expr:
        data_set, first_on, last_on = _chunk_of(path)
        owned = _owned_elements(self.mapping, data_set)
        return pl.col("data_element_uid").is_in(owned) & pl.col("period_start_on").is_between(
            first_on, last_on
        ).fill_null(True)

    def _repeated_keys(self, path: Path) -> pl.Series:
        """Hashes of keys that the file holds more than once: eight bytes a row, because whole keys would not fit.

        Only the key's columns are read and typed: typing whole rows twice was a fifth of a load (2026-11-26).
        """
        here = self._is_own(path)
        hashes = [
            _with_periods(raw)
            .select(**_key_columns(self.mapping), period_start_on="period_start_on")
            .filter(here)
            .select(_key_hash())
            .to_series()
            for raw in _landed_parts(path, _KEY_SOURCES)
        ]
        if not hashes:
            return pl.Series([], dtype=pl.UInt64)
        every = pl.concat(hashes)
        return every.filter(every.is_duplicated()).unique()

    def _judged(self, kept: pl.DataFrame) -> pl.DataFrame:
        if self.receipt.parameters["mode"] == "full":
            alive = kept.filter(~pl.col("is_deleted"))
            self.counts["deleted"] += kept.height - alive.height
            return _judged_values(alive, self.value_types)
        judged = _judged_values(kept, self.value_types)
        withdrawn = _withdrawals(judged)
        self.counts["withdrawn"] += withdrawn.height
        return pl.concat([judged, withdrawn]) if withdrawn.height else judged


def _key_hash() -> pl.Expr:
    return pl.struct(VALUE_KEY).hash().alias("key_hash")


def _landed_parts(path: Path, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """The rows of a landed file in pieces, with their number in the file; of all columns or of some."""
    first = 1
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_PART_ROWS, columns=None if columns is None else list(columns)):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame.with_row_index("row", offset=first)
            first += frame.height


def _chunk_of(path: Path) -> tuple[str, date, date]:
    """Data set and first and last day, from the chunk's file name (`aggregate.Chunk.name`)."""
    parts = path.stem.split("-")
    first, last = parts[-2], parts[-1]
    return (
        parts[1],
        date(int(first[:4]), int(first[4:6]), int(first[6:])),
        date(int(last[:4]), int(last[4:6]), int(last[6:])),
    )


def _owned_elements(mapping: InstanceMapping, data_set: str) -> list[str]:
    """Elements that are taken from this data set: those that no data set earlier in the settings holds."""
    taken: set[str] = set()
    for item in mapping.data_sets:
        if item.uid == data_set:
            return sorted(set(item.elements) - taken)
        taken |= set(item.elements)
    return []


_KEY_SOURCES: Final = ("data_element", "period", "org_unit", "category_option_combo", "attribute_option_combo")
"""Landed columns of which the key is made."""


def _key_columns(mapping: InstanceMapping) -> dict[str, pl.Expr]:
    """The key's columns from the landed ones and the period's."""
    return {
        "instance_code": pl.lit(mapping.code),
        "data_element_uid": pl.col("data_element"),
        "period_code": pl.coalesce("period_code", "period"),
        "org_unit_uid": pl.col("org_unit"),
        "category_option_combo_uid": pl.col("category_option_combo"),
        "attribute_option_combo_uid": pl.col("attribute_option_combo"),
    }


def _with_periods(raw: pl.DataFrame) -> pl.DataFrame:
    """The landed rows with the code, type, first and last day of their period; nulls for a period that is none."""
    codes = raw["period"].unique().to_list()
    periods = pl.DataFrame(
        [(code, *(_period(code) or (code, None, None, None))) for code in codes if code is not None],
        schema={
            "period": pl.String, "period_code": pl.String, "period_type_code": pl.String, "period_start_on": pl.Date,
            "period_end_on": pl.Date,
        },
        orient="row",
    )  # fmt: skip
    return raw.join(periods, on="period", how="left", maintain_order="left")  # cardinality: n to 1 by unique code


def _typed_values(raw: pl.DataFrame, path: Path, receipt: Receipt, mapping: InstanceMapping) -> pl.DataFrame:
    return _with_periods(raw).select(
        **_key_columns(mapping),
        concept_code=pl.col("data_element").replace_strict(
            mapping.element_concepts(), default=None, return_dtype=pl.String
        ),
        category_code=pl.col("category_option_combo").replace_strict(
            mapping.category_codes(), default=None, return_dtype=pl.String
        ),
        value_text="value",
        value_number=pl.col("value").str.strip_chars().cast(pl.Float64, strict=False),
        period_type_code="period_type_code",
        period_start_on="period_start_on",
        period_end_on="period_end_on",
        updated_at=instants("last_updated", zone_of(receipt)),
        is_deleted=pl.col("deleted").str.to_lowercase().eq("true").fill_null(False),
        is_practice=pl.lit(mapping.is_practice),
        receipt_id=pl.lit(receipt.receipt_id),
        pointer=pl.concat_str(pl.lit(f"{path.name}#"), pl.col("row").cast(pl.String)),
    )


def _judged_values(frame: pl.DataFrame, value_types: Mapping[str, str]) -> pl.DataFrame:
    """The frame with `rejections`, and `value_number` as the element's type reads it."""
    if frame.is_empty():
        return empty_frame(DATA_VALUE)
    numeric = [uid for uid, kind in value_types.items() if kind in _NUMERIC_TYPES]
    truths = [uid for uid, kind in value_types.items() if kind in _TRUTH_TYPES]
    texts = [uid for uid in value_types if uid not in numeric and uid not in truths]
    is_number = pl.col("data_element_uid").is_in(numeric)
    is_finite = pl.col("value_number").is_finite().fill_null(False)
    faults: list[tuple[pl.Expr, pl.Expr]] = [
        (pl.col("period_start_on").is_null(), pl.format("period '{}' is not a DHIS2 period", pl.col("period_code").fill_null("(none)"))),
        (pl.col("org_unit_uid").is_null(), pl.lit("org unit is missing")),
        (pl.col("attribute_option_combo_uid").is_null(), pl.lit("attribute option combo is missing")),
        (
            pl.col("category_code").is_null(),
            pl.format("category option combo {} is not in the settings", pl.col("category_option_combo_uid").fill_null("(none)")),
        ),
        (
            is_number & ~pl.col("is_deleted") & pl.col("value_text").str.len_chars().gt(_MOST_DIGITS).fill_null(False),
            pl.lit(f"a number of more than {_MOST_DIGITS} digits"),
        ),
        (
            is_number
            & ~pl.col("is_deleted")
            & ~is_finite
            & pl.col("value_text").str.len_chars().le(_MOST_DIGITS).fill_null(True),
            pl.lit("no number in a numeric data element"),
        ),
    ]  # fmt: skip
    truth = (
        pl.col("value_text")
        .str.to_lowercase()
        .replace_strict({"true": 1.0, "false": 0.0}, default=None, return_dtype=pl.Float64)
    )
    frame = frame.with_columns(
        value_number=pl.when(pl.col("data_element_uid").is_in(truths))
        .then(truth)
        .when(pl.col("data_element_uid").is_in(texts) | ~is_finite)
        .then(None)
        .otherwise(pl.col("value_number"))
    )
    is_bad = pl.any_horizontal([condition for condition, _ in faults])
    bad = frame.filter(is_bad).with_columns(
        # Text in a numeric element may be anybody's note: its length is kept, not its words.
        value_text=pl.when(is_number & ~is_finite)
        .then(pl.format("({} characters)", pl.col("value_text").str.len_chars().fill_null(0)))
        .otherwise(pl.col("value_text")),
        rejections=pl.concat_list(
            [
                pl.when(condition).then(pl.concat_list(text)).otherwise(pl.lit([], dtype=pl.List(pl.String)))
                for condition, text in faults
            ]
        ),
    )
    good = frame.filter(~is_bad).with_columns(rejections=pl.lit([], dtype=pl.List(pl.String)))
    columns = [*DATA_VALUE, *PROVENANCE]
    return pl.concat([good.select(columns), bad.select(columns)])


def _withdrawals(judged: pl.DataFrame) -> pl.DataFrame:
    """For each rejected row of a change, a row that says: what was there before is no longer the server's word."""
    known = pl.col("period_start_on").is_not_null()
    for name in VALUE_KEY:
        known &= pl.col(name).is_not_null()
    return judged.filter((pl.col("rejections").list.len() > 0) & known).with_columns(
        category_code=pl.col("category_code").fill_null("_U"),
        value_text=pl.lit(None, pl.String),
        value_number=pl.lit(None, pl.Float64),
        is_deleted=pl.lit(True),
        rejections=pl.lit([], dtype=pl.List(pl.String)),
    )
