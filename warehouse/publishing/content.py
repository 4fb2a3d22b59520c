"""What a release is made of: the frozen frames and cards that every writer reads, so that all outputs agree.

Belongs here: the plain value types (indicator card, area, source, context, the content of one release) and the shape of
the release's observation frame. Does not belong here: choosing cells (`tables`), formatting (`display`), files (the writers).
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Protocol

import polars as pl

from warehouse.catalogue.regional_catalogue import RegionalCatalogue
from warehouse.publishing.claims import no_claims
from warehouse.publishing.quality_summary import no_quality
from warehouse.publishing.sampling_errors import no_sampling_errors

KEY_COLUMNS = (
    "indicator_code",
    "definition_version",
    "area_code",
    "period_code",
    "sex_code",
    "age_code",
    "migrant_status_code",
    "migrant_basis_code",
    "origin_code",
    "destination_code",
    "category_code",
)
"""Key of an observation, in catalogue order."""

NUMBER_COLUMNS = ("value", "lower", "upper", "se", "numerator", "denominator", "n")
"""Everything that a suppressed cell must not show."""

OBSERVATION_SCHEMA: dict[str, pl.DataType] = {
    **{name: pl.String() for name in KEY_COLUMNS},
    "period_type_code": pl.String(),
    "period_start_on": pl.Date(),
    "period_end_on": pl.Date(),
    "value": pl.Float64(),
    "lower": pl.Float64(),
    "upper": pl.Float64(),
    "se": pl.Float64(),
    "numerator": pl.Float64(),
    "denominator": pl.Float64(),
    "n": pl.Int64(),
    "unit_code": pl.String(),
    "method_code": pl.String(),
    "interval_code": pl.String(),
    "obs_status": pl.String(),
    "obs_flags": pl.List(pl.String()),
    "coverage_share": pl.Float64(),
    "membership_version": pl.String(),
    "source_codes": pl.List(pl.String()),
    "receipt_ids": pl.List(pl.String()),
    "footnote_codes": pl.List(pl.String()),
    "is_practice": pl.Boolean(),
    "conf_status": pl.String(),
}
"""Columns of `release.observation` and their Polars types."""

DENOMINATOR_SCHEMA = {
    **dict.fromkeys(("denominator_code", "area_code", "period_code", "sex_code"), pl.String()),
    "denominator": pl.Float64(),
}
"""Columns of the other populations that a release compares with."""

CHANGE_SCHEMA: dict[str, pl.DataType] = {
    "release_id": pl.String(),
    **{name: pl.String() for name in KEY_COLUMNS},
    "change_code": pl.String(),
    "cause_codes": pl.List(pl.String()),
    "value_before": pl.Float64(),
    "value_after": pl.Float64(),
    "status_before": pl.String(),
    "status_after": pl.String(),
    "version_before": pl.String(),
}
"""Columns of the published change log: one row per figure that a release shows otherwise than the one before."""

EVIDENCE_SCHEMA: dict[str, pl.DataType] = {
    **dict.fromkeys(
        ("indicator_code", "part_code", "source_code", "table_name", "item_code", "year_code"), pl.String()
    ),
    "item_count": pl.Int64(),
    "is_small": pl.Boolean(),
    "detail": pl.String(),
    "since_on": pl.Date(),
}
"""Columns of `indicator.evidence`, which a release carries."""

RELEASE_ID_FORMAT = "%Y%m%dT%H%M%SZ"
"""A release is named for its instant in UTC."""

STATUS_ORDER = "BOMLHQJSDKWIFEPNUVGA"
"""SDMX observation status codes, highest precedence first (SDMX guideline 2.0, 2019)."""


class ProtectedObservations(Protocol):
    """What the writers need of a protected release: its frame, its audit and the version of the policy applied."""

    @property
    def frame(self) -> pl.DataFrame: ...

    @property
    def audit(self) -> pl.DataFrame: ...

    @property
    def policy_version(self) -> str: ...


@dataclass(frozen=True)
class IndicatorCard:
    """What a reader must know of an indicator: names, definition, unit, decimals, method and where the definition is written."""

    code: str
    name_en: str
    name_vi: str
    unit_code: str
    unit_en: str
    unit_vi: str
    decimals: int
    definition_version: str = "1"
    definition_en: str = ""
    definition_vi: str = ""
    numerator: str = ""
    numerator_vi: str = ""
    denominator: str = ""
    denominator_vi: str = ""
    method_code: str = ""
    method_en: str = ""
    method_vi: str = ""
    direction: str = "none"
    official_codes: tuple[str, ...] = ()
    definition_source: str = ""
    frameworks: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()
    caveats_vi: tuple[str, ...] = ()
    source_codes: tuple[str, ...] = ()
    series_codes: tuple[str, ...] = ()
    factor: float = 1.0
    alternates: tuple[tuple[str, str], ...] = ()
    """Code and edition of other populations that could serve as denominator."""
    total_over: tuple[str, ...] = ()
    """Dimensions over which the denominator stays whole."""
    is_experimental: bool = False
    additive_code: str = "none"
    """How parts of one area join: `sum` of values, `ratio` of summed numerators and denominators, or `none`."""


@dataclass(frozen=True)
class Area:
    """One area with its names, its kind and the area it belongs to."""

    area_code: str
    name_en: str
    name_vi: str
    area_type_code: str = "country"
    parent_code: str | None = None
    frame_code: str | None = None
    official_code: str | None = None
    valid_from_on: date | None = None
    valid_to_on: date | None = None


@dataclass(frozen=True)
class Source:
    """One source of figures: who publishes it, how to cite it, and on what terms it may be passed on."""

    source_code: str
    name_en: str
    name_vi: str
    producer: str = ""
    citation: str = ""
    edition: str = ""
    accessed_on: str = ""
    licence: str = ""
    is_practice: bool = False


@dataclass(frozen=True)
class Receipt:
    """One landed file or pull that the release rests on: identity and origin, never content."""

    receipt_id: str
    source_code: str
    sha256: str
    locator: str = ""
    received_at: str = ""
    published_on: str = ""


@dataclass(frozen=True)
class ReleaseCatalogue:
    """The meaning that a release carries with it: indicators, regional tables, areas, sources, and their version."""

    indicators: tuple[IndicatorCard, ...]
    regional: RegionalCatalogue
    areas: tuple[Area, ...] = ()
    sources: tuple[Source, ...] = ()
    version: str = ""

    def card(self, code: str) -> IndicatorCard | None:
        """The card of an indicator, or None when the catalogue does not have it."""
        return next((card for card in self.indicators if card.code == code), None)


@dataclass(frozen=True)
class ReleaseContext:
    """When and from what a release is made. `recorded_at` is the only instant that any output shows; it is kept in UTC without
    zone, as DuckDB and Parquet write it, whatever zone it comes with."""

    recorded_at: datetime
    code_version: str
    receipts: tuple[Receipt, ...] = ()
    sampling_errors: pl.DataFrame = field(default_factory=no_sampling_errors)
    """The sampling-error table (`sampling_errors.SCHEMA`): what the survey estimates of the release rest on."""
    denominators: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=DENOMINATOR_SCHEMA))
    """Other populations by denominator_code, area, year (period_code) and sex; see `alternates`."""
    licence: str = "The publishers' terms apply to each source; the compilation is free to use with attribution."
    licence_vi: str = "Mỗi nguồn áp dụng điều khoản của đơn vị công bố; bản tổng hợp được sử dụng tự do, có ghi nguồn."
    registers: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    """Public tables that leave as they are, by name: agencies, instruments, events, points of entry and the like."""
    evidence: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EVIDENCE_SCHEMA))
    """Checks, corrections and records held back behind each indicator (`warehouse.evidence`). Like receipts they make no news."""
    claims: pl.DataFrame = field(default_factory=no_claims)
    """Published statements with their verdicts (`claims.SCHEMA`)."""
    quality: pl.DataFrame = field(default_factory=no_quality)
    """Scores of the data quality review (`quality_summary.SCHEMA`). They make no new release by themselves."""

    def __post_init__(self) -> None:
        if self.recorded_at.tzinfo is not None:
            object.__setattr__(self, "recorded_at", self.recorded_at.astimezone(UTC).replace(tzinfo=None))

    @property
    def release_id(self) -> str:
        """Name of the release: its instant, sortable and free of characters that file systems dislike."""
        return self.recorded_at.strftime(RELEASE_ID_FORMAT)


@dataclass(frozen=True)
class RegionalSet:
    """All regional tables as frames: one row per cell, per column, and per footnote; `problems` says what was left out and why."""

    cells: pl.DataFrame
    columns: pl.DataFrame
    footnotes: pl.DataFrame
    problems: tuple[str, ...] = ()

    def of_table(self, code: str) -> "RegionalSet":
        """The part of one table, in reading order."""
        empty = RegionalSet(self.cells.clear(), self.columns.clear(), self.footnotes.clear())
        return self._tables.get(code, empty)

    @cached_property
    def _tables(self) -> "dict[str, RegionalSet]":
        # Asked for some hundred times per release: split once.
        parts = [
            {str(key[0]): part for key, part in frame.partition_by("table_code", as_dict=True).items()}
            for frame in (self.cells, self.columns, self.footnotes)
        ]
        return {
            code: RegionalSet(
                parts[0].get(code, self.cells.clear()),
                parts[1].get(code, self.columns.clear()),
                parts[2].get(code, self.footnotes.clear()),
            )
            for code in sorted({code for part in parts for code in part})
        }


@dataclass(frozen=True)
class ReleaseContent:
    """One frozen set from which every file of a release is written."""

    release_id: str
    recorded_at: datetime
    observations: pl.DataFrame
    audit: pl.DataFrame
    policy_version: str
    regional: RegionalSet
    catalogue: ReleaseCatalogue
    context: ReleaseContext
    changes: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=CHANGE_SCHEMA))

    @property
    def has_practice_data(self) -> bool:
        """True when any cell rests on made-up data."""
        return bool(self.observations["is_practice"].fill_null(False).any())

    @property
    def recorded_on(self) -> str:
        """Date of the release in ISO form."""
        return self.recorded_at.strftime("%Y-%m-%d")


def flags_of(value: object) -> tuple[str, ...]:
    """The SDMX status codes in a flags value (text or list), highest precedence first, each once."""
    if value is None:
        return ()
    letters: Iterable[str] = value if isinstance(value, str) else "".join(str(part) for part in as_sequence(value))
    present = set(letters)
    return tuple(code for code in STATUS_ORDER if code in present)


def as_sequence(value: object) -> Sequence[object]:
    """The value as a sequence: a list stays, None becomes empty, anything else stands alone."""
    if value is None:
        return ()
    if isinstance(value, (list, tuple)):
        return value
    return (value,)


def release_observations(frame: pl.DataFrame) -> pl.DataFrame:
    """The protected frame in release form: exactly the release columns, typed, sorted by key; list cells sorted.

    Raises ValueError when a column is missing, a key repeats, or a suppressed cell still holds a number: a writer that
    guessed here would publish what protection hid.
    """
    missing = [name for name in OBSERVATION_SCHEMA if name not in frame.columns]
    if missing:
        raise ValueError(f"protected frame lacks columns {missing}; see release.observation in the catalogue")
    lists = [name for name, kind in OBSERVATION_SCHEMA.items() if isinstance(kind, pl.List)]
    shaped = frame.select(
        pl.col(name).list.drop_nulls().list.unique().list.sort().cast(kind)
        if name in lists
        else pl.col(name).cast(kind)
        for name, kind in OBSERVATION_SCHEMA.items()
    ).sort(KEY_COLUMNS)
    repeated = shaped.height - shaped.unique(subset=list(KEY_COLUMNS)).height
    if repeated:
        raise ValueError(f"protected frame repeats {repeated} observation keys")
    is_hidden = pl.col("conf_status").is_in(["C", "D"]).fill_null(False) | (pl.col("obs_status") == "Q").fill_null(
        False
    )
    is_hidden = is_hidden | pl.col("obs_flags").list.contains("Q").fill_null(False)
    leaking = shaped.filter(is_hidden & pl.any_horizontal(pl.col(name).is_not_null() for name in NUMBER_COLUMNS))
    if leaking.height:
        raise ValueError(f"{leaking.height} suppressed cells still hold a number")
    return shaped


def content_hash(
    observations: pl.DataFrame,
    regional: RegionalSet,
    sampling_errors: pl.DataFrame,
    registers: Mapping[str, pl.DataFrame],
    claims: pl.DataFrame,
) -> str:
    """A fingerprint of what readers would see. Receipts do not count: the same figures from a new pull are the same release."""
    digest = hashlib.sha256()
    for frame in (
        observations.drop("receipt_ids"),
        regional.cells.drop("receipt_ids"),
        regional.columns,
        regional.footnotes,
        sampling_errors,
        claims,
        *(frame for _, frame in sorted((registers or {}).items())),
    ):
        digest.update(frame.write_ndjson().encode())
        digest.update(b"\x00")
    return digest.hexdigest()
