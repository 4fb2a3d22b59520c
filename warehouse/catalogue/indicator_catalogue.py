"""Indicator entries: what each indicator counts over what, how it is aggregated, and what a reader must know.

Belongs here: the typed models of `indicators/*.toml`, `measures.toml` and `denominators.toml`, their loading and the checks
that one file cannot make alone (a measure that does not exist, a filter on an unknown column). Does not belong here: SQL
(`warehouse.indicator_sql`), arithmetic (`methods`), tables (`table_catalogue`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from warehouse.catalogue.measure_columns import with_every_column
from warehouse.catalogue.table_catalogue import CatalogueError

CATALOGUE = Path(__file__).parent
MODELS = CATALOGUE.parent / "models" / "indicator"
Entry = TypeVar("Entry", bound=BaseModel)

Dimension = Literal[
    "sex_code",
    "age_code",
    "migrant_status_code",
    "migrant_basis_code",
    "origin_code",
    "destination_code",
    "category_code",
]
DIMENSIONS: tuple[Dimension, ...] = (
    "sex_code",
    "age_code",
    "migrant_status_code",
    "migrant_basis_code",
    "origin_code",
    "destination_code",
    "category_code",
)
"""The breakdown columns of `indicator.observation`, in key order; `_T` where a cell is not broken down."""

Method = Literal[
    "count",
    "mean",
    "share",
    "ratio",
    "proportion_wilson",
    "rate_garwood",
    "median",
    "survey",
    "reference",
    "reference_count",
]
Aggregate = Literal["count", "count_distinct", "sum", "mean", "point_in_time", "median", "published"]
PeriodType = Literal["A", "Q", "M", "W"]
AreaLevel = Literal["country", "province"]
RegionalRule = Literal[
    "sum",
    "pooled",
    "sum_of_estimates",
    "weighted_mean",
    "simple_mean",
    "count_by_category",
    "share_meeting",
    "median_pooled",
    "pooled_microdata",
    "not_aggregated",
]


class Bilingual(BaseModel):
    """One text in English and Vietnamese."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(min_length=1)
    vi: str = Field(min_length=1)


class MeasureUse(BaseModel):
    """One side of an indicator: a measure, how its rows are put together, and which of them count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: str
    aggregate: Aggregate
    filter: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    total_over: tuple[Dimension, ...] = ()
    """Only of a denominator: dimensions over which it stays the total while the numerator is broken down."""


class DenominatorUse(BaseModel):
    """The lower side of an indicator: a measure of its own, or an entry of the denominator registry by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    named: str | None = None
    measure: str | None = None
    aggregate: Aggregate | None = None
    filter: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    total_over: tuple[Dimension, ...] = ()

    @model_validator(mode="after")
    def _one_way(self) -> "DenominatorUse":
        if (self.named is None) == (self.measure is None):
            raise ValueError("give either `named` (an entry of denominators.toml) or `measure` with `aggregate`")
        if self.measure is not None and self.aggregate is None:
            raise ValueError(
                "`measure` needs `aggregate`: count, count_distinct, sum, mean, point_in_time or published"
            )
        if self.named is not None and self.filter:
            raise ValueError("a named denominator brings its own filter; define another entry in denominators.toml")
        return self


class Regional(BaseModel):
    """How the ASEAN row is made, and the coverage below which it is not published."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: RegionalRule
    weight: str | None = None
    """Entry of denominators.toml used as weight by `weighted_mean` and `sum_of_estimates`."""
    coverage_population: str = "population"
    """Entry of denominators.toml that says how much of the region the members with data hold."""
    minimum_coverage: float = Field(default=0.5, ge=0, le=1)
    target: float | None = None
    """Only of `share_meeting`: the value not to be exceeded."""
    unit: str | None = None
    """Unit of the regional value where it is not that of the members (a count of members)."""

    @model_validator(mode="after")
    def _weights(self) -> "Regional":
        if self.rule == "weighted_mean" and self.weight is None:
            raise ValueError("weighted_mean needs `weight`, an entry of denominators.toml")
        if (self.rule == "share_meeting") != (self.target is not None):
            raise ValueError("`target` goes with share_meeting, and only with it")
        return self


class PlausibleRange(BaseModel):
    """Bounds outside which a value is published with a warning. A judgement, never a hard limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lower: float
    upper: float

    @model_validator(mode="after")
    def _ordered(self) -> "PlausibleRange":
        if self.lower > self.upper:
            raise ValueError("lower lies above upper")
        return self


class Indicator(BaseModel):
    """One indicator, whole: meaning, arithmetic, breakdowns, regional rule, tags and caveats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[A-Z]{2}[0-9]{2}$")
    tier: Literal["core", "extended"]
    group: Literal[
        "labour", "migration", "tuberculosis", "hiv", "malaria", "noncommunicable", "mental_health", "maternal_child",
        "universal_coverage", "points_of_entry", "trafficking", "governance", "data_quality",
    ]  # fmt: skip
    official_codes: tuple[str, ...] = ()
    name: Bilingual
    definition: Bilingual
    numerator_text: Bilingual
    denominator_text: Bilingual | None = None
    definition_version: str = Field(pattern=r"^[0-9]+(\.[0-9]+)*$")
    valid_from: date
    valid_to: date | None = None
    supersedes: str | None = Field(default=None, pattern=r"^([0-9]+(\.[0-9]+)*|[A-Z]{2}[0-9]{2})$")
    """An earlier version of this indicator, or the code of another that this one replaces; their series are never joined."""
    definition_source: str = Field(min_length=3)
    experimental: bool = False

    method: Method
    numerator: MeasureUse
    denominator: DenominatorUse | None = None
    factor: float = Field(default=1.0, gt=0)
    unit: str
    decimals: int = Field(ge=0, le=4)
    is_bounded: bool = False
    """True: the numerator is part of the denominator, so a value above the factor is an error, not a finding."""

    period_types: tuple[PeriodType, ...] = Field(min_length=1)
    area_levels: tuple[AreaLevel, ...] = ("country",)
    breakdowns: tuple[tuple[Dimension, ...], ...] = Field(default=((),), min_length=1)
    detailed_period_types: tuple[PeriodType, ...] | None = None
    """Period types that are broken down; the others show the total only. Absent: all. Fine breakdowns of short periods are
    mostly cells too small to publish."""
    kept: tuple[Dimension, ...] = ()
    """Dimensions that come as the source gives them in every cell, such as the migrant definition of a survey."""
    regional: Regional

    direction: Literal["higher", "lower", "none"]
    plausible: PlausibleRange | None = None
    sources: tuple[str, ...] = Field(min_length=1)
    gcm: tuple[int, ...] = ()
    aphda: tuple[str, ...] = ()
    who_plan: tuple[str, ...] = ()
    caveats: Bilingual | None = None
    footnotes: tuple[str, ...] = ()
    """Codes of codelists/footnote.csv that every cell of the indicator carries."""

    @model_validator(mode="after")
    def _sides_agree(self) -> "Indicator":
        needs_denominator = self.method in ("share", "ratio", "proportion_wilson", "rate_garwood")
        if needs_denominator and self.denominator is None:
            raise ValueError(f"method {self.method} divides: give [denominator]")
        if not needs_denominator and self.denominator is not None:
            raise ValueError(f"method {self.method} does not divide: remove [denominator] or choose share, ratio, ...")
        if (self.method == "median") != (self.numerator.aggregate == "median"):
            raise ValueError("method median and aggregate median go together")
        if (self.method == "mean") != (self.numerator.aggregate == "mean"):
            raise ValueError("method mean and aggregate mean go together")
        published = self.method in ("survey", "reference", "reference_count")
        if published and self.numerator.aggregate != "published":
            raise ValueError(f"method {self.method} takes figures as published: aggregate must be published")
        if self.method == "proportion_wilson" and not self.is_bounded:
            raise ValueError("a proportion has its numerator inside its denominator: set is_bounded = true")
        if () not in self.breakdowns:
            raise ValueError("breakdowns must hold [] (the total): totals come before parts")
        if self.regional.rule == "pooled_microdata" and self.method != "survey":
            raise ValueError("pooled_microdata goes with method survey: there must be microdata to pool")
        if self.regional.rule == "median_pooled" and self.method != "median":
            raise ValueError("median_pooled goes with method median")
        if self.detailed_period_types is not None and not set(self.detailed_period_types) <= set(self.period_types):
            raise ValueError("detailed_period_types must be among period_types")
        if "W" in self.period_types and {"M", "Q"} & set(self.period_types):
            raise ValueError(
                "period_types: weeks are not added up to months or quarters, because a week can lie in two of them; drop M and Q,"
                " or make them an indicator of their own from a monthly source"
            )
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError("valid_to lies before valid_from")
        overlap = set(self.kept) & {dimension for group in self.breakdowns for dimension in group}
        if overlap:
            raise ValueError(f"{sorted(overlap)} cannot be kept as given and broken down too")
        for tag, known in (("aphda", range(1, 21)), ("who_plan", range(1, 7))):
            letters = "HP" if tag == "aphda" else "P"
            unknown = [code for code in getattr(self, tag) if code not in {f"{letters}{number}" for number in known}]
            if unknown:
                raise ValueError(f"{tag}: unknown {unknown}; known are {letters}1 to {letters}{known[-1]}")
        if any(not 1 <= objective <= 23 for objective in self.gcm):
            raise ValueError("gcm: objectives are numbered 1 to 23")
        return self


class Measure(BaseModel):
    """One named measure: what a row of its SELECT is, and how absence reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Bilingual
    row: str = Field(min_length=8)
    absence: Literal["zero", "missing"]
    """`zero`: a register of events, so no row means none happened where the denominator exists. `missing`: figures that
    somebody publishes, so no row means not published."""
    practice_ground: str = Field(min_length=4)
    """Whether its rows are real or synthetic while there are no settings; shown on the page of every indicator that uses it."""
    carries_total: tuple[Dimension, ...] = ()
    """Dimensions whose total comes as its own row `_T`; the parts are never added up to make it."""
    filter_columns: tuple[str, ...] = ()
    """Columns that the SELECT has beyond the standard ones and that an indicator may filter on."""


class Denominator(BaseModel):
    """One entry of the denominator registry: which population, of which edition, standing in for what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Bilingual
    measure: str
    aggregate: Aggregate
    filter: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    edition: str
    proxy: str = ""
    """What the rate would want, when this is not quite it."""
    footnote: str
    """Code of codelists/footnote.csv that names source and edition below the table."""
    alternates: tuple[str, ...] = ()
    """Other entries that could serve; shown beside the published value, never mixed with it."""


@dataclass(frozen=True)
class IndicatorCatalogue:
    """Everything the engine needs to know: indicators, measures with their SELECT, denominators."""

    indicators: Mapping[str, Indicator]
    measures: Mapping[str, Measure]
    denominators: Mapping[str, Denominator]
    models: Path = MODELS

    def measure_sql(self, name: str) -> str:
        """The SELECT of a measure with every standard column, then its filter columns, without a closing semicolon.

        What its file leaves out has its usual value (`measure_columns`). CatalogueError when the file is missing.
        """
        path = self.models / f"{name}.sql"
        if not path.exists():
            raise CatalogueError(f"measure {name!r} has no file {path.name} in {path.parent}.", file=path.name)
        sql = path.read_text(encoding="utf-8").strip().rstrip(";")
        return with_every_column(sql, (*STANDARD_COLUMNS, *self.measures[name].filter_columns))

    def denominator_use(self, indicator: Indicator) -> MeasureUse | None:
        """The denominator of an indicator with a named entry resolved; None when it does not divide."""
        use = indicator.denominator
        if use is None:
            return None
        if use.named is not None:
            entry = self.denominators[use.named]
            return MeasureUse(
                measure=entry.measure, aggregate=entry.aggregate, filter=entry.filter, total_over=use.total_over
            )
        assert use.measure is not None
        assert use.aggregate is not None
        return MeasureUse(measure=use.measure, aggregate=use.aggregate, filter=use.filter, total_over=use.total_over)


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as fault:
        raise CatalogueError(f"{path.name}: not valid TOML: {fault}. Mend the line named.", file=path.name) from fault


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys known where an error lies, so that the hint names a neighbour at the same depth."""
    fields = model.model_fields
    for part in location[:-1]:
        field = fields.get(str(part))
        annotation = field.annotation if field else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        nested = [kind for kind in candidates if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not nested:
            return []
        fields = nested[0].model_fields
    return list(fields)


def _validated(raw: Mapping[str, Any], model: type[Entry], file: str, prefix: str = "") -> Entry:
    try:
        return model.model_validate(raw)
    except ValidationError as fault:
        lines = []
        for error in fault.errors():
            location = error["loc"]
            key = ".".join([*([prefix] if prefix else []), *(str(part) for part in location)])
            hint = ""
            if error["type"] == "extra_forbidden":
                near = get_close_matches(str(location[-1]), _fields_at(model, location), 1)
                hint = f"; nearest known key: {near[0]}" if near else "; remove it or correct its name"
            elif error["type"] == "literal_error":
                near = get_close_matches(
                    str(error["input"]), str(error["ctx"]["expected"]).replace("'", " ").split(), 1
                )
                hint = f"; got {error['input']!r}" + (f", nearest: {near[0]}" if near else "")
            lines.append(f"{key or 'entry'}: {error['msg']}{hint}")
        raise CatalogueError(f"{file}: " + " | ".join(lines), file=file) from fault


STANDARD_COLUMNS: tuple[str, ...] = (
    "event_code",
    "area_code",
    "period_type_code",
    "period_start_on",
    "period_end_on",
    *DIMENSIONS,
    "quantity",
    "lower",
    "upper",
    "se",
    "interval_code",
    "records",
    "is_observed",
    "status_code",
    "footnote_code",
    "source_code",
    "receipt_id",
    "is_practice",
)
"""Columns of every measure, in order; filter columns follow."""


def check(catalogue: IndicatorCatalogue) -> None:
    """Every name that one entry uses of another exists. Raises one CatalogueError with all faults."""
    faults: list[str] = []

    def check_use(owner: str, measure_name: str, filters: Mapping[str, tuple[str, ...]]) -> None:
        measure = catalogue.measures.get(measure_name)
        if measure is None:
            near = get_close_matches(measure_name, list(catalogue.measures), 1)
            faults.append(f"{owner}: unknown measure {measure_name!r}; nearest: {near or sorted(catalogue.measures)}")
            return
        allowed = [*DIMENSIONS, *measure.filter_columns]
        for column in filters:
            if column not in allowed:
                near = get_close_matches(column, allowed, 1)
                faults.append(
                    f"{owner}: measure {measure_name} has no filter column {column!r}; nearest: {near or allowed}"
                )

    def check_named(owner: str, name: str | None) -> None:
        if name is not None and name not in catalogue.denominators:
            near = get_close_matches(name, list(catalogue.denominators), 1)
            faults.append(
                f"{owner}: {name!r} is not in denominators.toml; nearest: {near or sorted(catalogue.denominators)}"
            )

    for code, denominator in catalogue.denominators.items():
        check_use(f"denominators.toml {code}", denominator.measure, denominator.filter)
        for alternate in denominator.alternates:
            check_named(f"denominators.toml {code}.alternates", alternate)
    for code, indicator in catalogue.indicators.items():
        check_use(f"{code}.toml numerator", indicator.numerator.measure, indicator.numerator.filter)
        if indicator.denominator is not None:
            check_named(f"{code}.toml denominator", indicator.denominator.named)
            if indicator.denominator.measure is not None:
                check_use(f"{code}.toml denominator", indicator.denominator.measure, indicator.denominator.filter)
        if indicator.supersedes is not None:
            _check_supersedes(indicator, catalogue, faults)
        if indicator.regional.rule != "not_aggregated":
            check_named(f"{code}.toml regional.coverage_population", indicator.regional.coverage_population)
            check_named(f"{code}.toml regional.weight", indicator.regional.weight)
    if faults:
        raise CatalogueError(" | ".join(faults), file=faults[0].split(" ")[0])


def _check_supersedes(indicator: Indicator, catalogue: IndicatorCatalogue, faults: list[str]) -> None:
    earlier = indicator.supersedes
    assert earlier is not None
    if earlier[0].isdigit():
        if [int(part) for part in earlier.split(".")] >= [int(p) for p in indicator.definition_version.split(".")]:
            faults.append(
                f"{indicator.code}.toml supersedes: {earlier!r} is not below version {indicator.definition_version}"
            )
        return
    other = catalogue.indicators.get(earlier)
    if other is None or earlier == indicator.code:
        faults.append(f"{indicator.code}.toml supersedes: {earlier!r} is no other indicator of the catalogue")
    elif other.valid_to is None or other.valid_to >= indicator.valid_from:
        faults.append(
            f"{indicator.code}.toml supersedes {earlier}, which must have a valid_to before {indicator.valid_from}"
        )


def load_indicators(folder: Path) -> dict[str, Indicator]:
    """Every indicator entry of a folder by code. Raises CatalogueError for a wrong file or a file name that differs."""
    found: dict[str, Indicator] = {}
    for path in sorted(folder.glob("*.toml")):
        indicator = _validated(_parse(path), Indicator, path.name)
        if path.stem != indicator.code:
            raise CatalogueError(
                f"{path.name}: holds indicator {indicator.code!r}; name the file {indicator.code}.toml.",
                file=path.name,
                key="code",
            )
        found[indicator.code] = indicator
    return found


def load_catalogue(folder: Path | None = None, *, extra_indicators: Path | None = None) -> IndicatorCatalogue:
    """The whole indicator catalogue, checked. `extra_indicators` adds the entries of another folder (trials, tests)."""
    base = folder or CATALOGUE
    indicators = load_indicators(base / "indicators")
    if extra_indicators is not None:
        indicators.update(load_indicators(extra_indicators))
    measures = {
        name: _validated(raw, Measure, "measures.toml", name) for name, raw in _parse(base / "measures.toml").items()
    }
    denominators = {
        name: _validated(raw, Denominator, "denominators.toml", name)
        for name, raw in _parse(base / "denominators.toml").items()
    }
    catalogue = IndicatorCatalogue(dict(sorted(indicators.items())), measures, denominators)
    check(catalogue)
    return catalogue


@cache
def indicator_catalogue() -> IndicatorCatalogue:
    """The catalogue shipped with the code."""
    return load_catalogue()


def indicators() -> tuple[Indicator, ...]:
    """The indicators shipped with the code, in code order."""
    return tuple(indicator_catalogue().indicators.values())
