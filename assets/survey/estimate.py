"""Persons, designs and measures become the rows of `estimate.survey_estimate`.

Chooses what is asked of `methods.survey_estimation`: the universe as a domain on the full design, the breakdowns, the bands. No
arithmetic of estimation here, no file, no database.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from assets.survey.declarations import Measure, WaveDesign
from assets.survey.faults import DeclarationFault
from assets.survey.pools import PoolPlan, pooled_sample
from assets.survey.questions import DERIVED, prepared, value_of
from assets.survey.recode import POLARS_TYPES, record_types
from methods.rates import standard_weights
from methods.survey_comparison import difference, standardised_proportion
from methods.survey_estimation import DesignedSample
from methods.survey_reliability import ReliabilityPolicy, flag
from warehouse.catalogue.table_catalogue import tables

DIMENSIONS = (
    "sex_code", "age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code", "category_code",
)  # fmt: skip
TOTAL = "_T"
SIGNIFICANT_DIGITS = 10
_INTERVALS = {"t": "t95", "logit": "logit95", "korn_graubard": "korn_graubard95", "woodruff": "woodruff95"}


def load_policy(path: Path = Path(__file__).parent / "reliability.toml") -> ReliabilityPolicy:
    """The reliability policy in force."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    limits = {name: value for name, value in content.items() if name not in ("owner", "dated")}
    return ReliabilityPolicy(**limits)


def estimate_frame(
    people: pl.DataFrame,
    designs: Mapping[tuple[str, str], WaveDesign],
    measures: Sequence[Measure],
    policy: ReliabilityPolicy | None = None,
    pools: Sequence[PoolPlan] = (),
) -> pl.DataFrame:
    """Every estimate of every wave and pool. *Rows*: wave x measure x breakdown, the columns of `estimate.survey_estimate`.

    `people` has the columns of `core.survey_person` (rows of all waves; `receipt_id` when provenance is wanted). A measure that
    a wave did not ask has no rows. Raises: `DesignFailure` when a wave contradicts its design.
    """
    rows = []
    parts = people.partition_by(["survey_code", "wave_code"], as_dict=True, maintain_order=True)
    waves = {(str(survey), str(wave)): parts[survey, wave] for survey, wave in sorted(parts, key=str)}
    for key, wave in waves.items():
        for measure in measures:
            rows += _measure(wave, designs[key], measure)
    for plan in pools:
        for measure in measures:
            if measure.code in plan.measures:
                rows += _pooled_measure(plan, measure, waves, designs)
    schema = estimate_schema()
    if not rows:
        return pl.DataFrame(schema=schema)
    found = pl.concat(rows, how="diagonal_relaxed")
    flagged = flag(found, policy or load_policy())
    # Sums depend on the order of addition in their last bits, and that on threads: without rounding, a refresh that brings
    # nothing new could find a new sixteenth digit and write a new version of the row.
    typed = [
        pl.col(name).cast(dtype).round_sig_figs(SIGNIFICANT_DIGITS).alias(name)
        if dtype == pl.Float64
        else pl.col(name).cast(dtype)
        for name, dtype in schema.items()
    ]
    return flagged.select(typed).sort(list(tables()["estimate.survey_estimate"].key), maintain_order=True)


def estimate_schema() -> dict[str, pl.DataType]:
    """Columns of `estimate.survey_estimate` with their polars types."""
    return {column.name: POLARS_TYPES[column.type] for column in tables()["estimate.survey_estimate"].own_columns}


def _measure(wave: pl.DataFrame, design: WaveDesign, measure: Measure) -> list[pl.DataFrame]:
    """The estimates of one measure from one wave, one frame per breakdown; none when the wave lacks a question."""
    framed = _framed(wave, design, measure)
    if framed is None:
        return []
    sample = DesignedSample(framed, design.design("__weight"))
    receipts: Sequence[str] | pl.Series = (
        wave["receipt_id"].drop_nulls().unique().sort() if "receipt_id" in wave.columns else []
    )
    keys = {
        "survey_code": pl.lit(design.survey_code),
        "wave_code": pl.lit(design.wave_code),
        "area_code": pl.lit(design.country_code),
        "period_code": pl.lit(design.period_code),
        "is_probability": pl.lit(design.is_probability),
        "is_practice": pl.lit(design.is_practice),
        "receipt_id": pl.lit(receipts[0] if len(receipts) else None, dtype=pl.String),
        "part_area_codes": pl.lit(None, dtype=pl.List(pl.String)),
    }
    found = []
    for breakdown in measure.breakdowns:
        by = list(breakdown)
        if any(framed[name].null_count() == framed.height for name in by):
            continue
        estimates = _estimate(sample, measure, by)
        if estimates.height:
            found.append(_labelled(estimates, measure, by, keys, design.migrant_basis_code))
    return found


def _pooled_measure(
    plan: PoolPlan,
    measure: Measure,
    waves: Mapping[tuple[str, str], pl.DataFrame],
    designs: Mapping[tuple[str, str], WaveDesign],
) -> list[pl.DataFrame]:
    """The estimates of one measure from a pool, one frame per breakdown that pool and measure share; none from one wave alone."""
    if measure.is_standardised or measure.statistic == "difference":
        raise DeclarationFault(
            f"pool {plan.code}: {measure.code} is no figure of one domain and is not pooled", file=plan.code
        )
    made = pooled_sample(plan, measure, waves, designs, _framed)
    if made is None:
        return []
    sample, taken = made
    keys = {
        "survey_code": pl.lit(plan.code),
        "wave_code": pl.lit(plan.period_code),
        "area_code": pl.lit(plan.area_code),
        "period_code": pl.lit(plan.period_code),
        "is_probability": pl.lit(True),
        "is_practice": pl.lit(any(design.is_practice for design in taken)),
        "receipt_id": pl.lit(None, dtype=pl.String),
        "part_area_codes": pl.lit(sorted(design.country_code for design in taken), dtype=pl.List(pl.String)),
    }
    found = []
    for by in (list(breakdown) for breakdown in plan.breakdowns if breakdown in measure.breakdowns):
        estimates = _estimate(sample, measure, by)
        if estimates.height:
            found.append(_labelled(estimates, measure, by, keys, TOTAL))
    return found


def _framed(wave: pl.DataFrame, design: WaveDesign, measure: Measure) -> pl.DataFrame | None:
    """`wave` with what one measure needs on every row (`__value`, `__relative`, `__weight`, bands); None when it was not asked."""
    if measure.surveys and design.survey_code not in measure.surveys:
        return None
    needed = [*measure.requires, *([measure.value] if measure.value not in DERIVED else [])]
    if any(wave[name].null_count() == wave.height for name in [*needed, *measure.universe]):
        return None
    inside = _universe(measure)
    value = value_of(measure.value)
    relative = value_of(measure.relative_to) if measure.relative_to else pl.lit(None, dtype=pl.Float64)
    weight = pl.col("weight")
    if measure.weight == "household_member":
        # Persons in households: the weight of the household, once for each member.
        weight = pl.col("household_weight") * pl.col("household_size")
    framed = prepared(wave, design).with_columns(
        pl.when(inside).then(value.cast(pl.Float64)).alias("__value"),
        pl.when(inside).then(relative.cast(pl.Float64)).alias("__relative"),
        weight.alias("__weight"),
        _age_band(measure.age_bands).alias("age_code"),
        _stay_band().alias("years_since_move_code"),
    )
    return None if framed["__value"].null_count() == framed.height else framed


def _universe(measure: Measure) -> pl.Expr:
    types = record_types()
    conditions = []
    for name, accepted in measure.universe.items():
        column = pl.col(name)
        if types[name] == pl.Boolean:
            conditions.append(column.is_in([code == "true" for code in accepted]).fill_null(False))
        else:
            conditions.append(column.cast(pl.String).is_in(list(accepted)).fill_null(False))
    conditions += [(pl.col(name) >= bound).fill_null(False) for name, bound in measure.minimum.items()]
    conditions += [(pl.col(name) <= bound).fill_null(False) for name, bound in measure.maximum.items()]
    return pl.all_horizontal(conditions) if conditions else pl.lit(True)


def _age_band(bands: Sequence[str]) -> pl.Expr:
    """The band of `age_years` in SDMX form ("Y15T24", "Y_GE65"); null outside the bands of the measure."""
    band: pl.Expr = pl.lit(None, dtype=pl.String)
    for code in bands:
        if code.startswith("Y_GE"):
            fits = pl.col("age_years") >= int(code[4:])
        else:
            low, high = code[1:].split("T")
            fits = pl.col("age_years").is_between(int(low), int(high))
        band = pl.when(fits).then(pl.lit(code)).otherwise(band)
    return band


def _stay_band() -> pl.Expr:
    """Years since the move in the three bands that surveys of migrants print."""
    years = pl.col("years_since_move")
    return (
        pl.when(years < 2)
        .then(pl.lit("Y0T1"))
        .when(years < 5)
        .then(pl.lit("Y2T4"))
        .when(years >= 5)
        .then(pl.lit("Y_GE5"))
    )


def _concept(name: str) -> str:
    """The concept of a column, as it stands in a category: settlement_code is settlement."""
    return name.removesuffix("_code").removeprefix("has_")


def _estimate(sample: DesignedSample, measure: Measure, by: list[str]) -> pl.DataFrame:
    """What the statistic of the measure gives for one breakdown."""
    if measure.is_standardised or measure.statistic == "difference":
        return _composed(sample, measure, by)
    if measure.statistic == "proportion":
        return sample.proportion("__value", by)
    if measure.statistic == "mean":
        return sample.mean("__value", by)
    if measure.statistic == "median":
        return sample.median("__value", by)
    if measure.statistic == "ratio":
        return sample.ratio("__value", "__relative", by)
    return sample.total("__value", by)


def _composed(sample: DesignedSample, measure: Measure, by: list[str]) -> pl.DataFrame:
    """A standardised share or a difference, one level of the breakdown after the other, each a domain of the full design."""
    levels = sample.frame.select(by).unique().drop_nulls().sort(by).rows() if by else [()]
    found = []
    for level in levels:
        inside = pl.all_horizontal(
            [pl.lit(True), *[pl.col(name) == code for name, code in zip(by, level, strict=True)]]
        )
        domain = pl.when(inside).then(pl.col("__value")).alias("__value")
        if measure.contrast:
            column, of, against = measure.contrast
            group = pl.col(column).cast(pl.String).alias("__group")
            framed = DesignedSample(sample.frame.with_columns(domain, group), sample.design)
            row = difference(framed, "__value", "__group", of, against)
        else:
            framed = DesignedSample(sample.frame.with_columns(domain), sample.design)
            row = standardised_proportion(framed, "__value", "age_code", _standard(measure.age_bands))
        found.append(row.with_columns([pl.lit(code).alias(name) for name, code in zip(by, level, strict=True)]))
    kept = [row for row in found if row.height]
    return pl.concat(kept) if kept else pl.DataFrame()


def _standard(bands: Sequence[str]) -> dict[str, float]:
    """WHO standard weights of the measure's bands, each band being a union of five-year bands of the standard."""
    return standard_weights({code: _five_year_bands(code) for code in bands})


def _five_year_bands(code: str) -> tuple[str, ...]:
    """The five-year bands that make up one band. Raises: `ValueError` when it is not an exact union of them."""
    low, high = (int(part) for part in code[1:].split("T"))
    if low % 5 or (high + 1) % 5:
        raise ValueError(f"band {code} is not a union of five-year bands and has no weight in the standard")
    return tuple(f"Y{start}T{start + 4}" for start in range(low, high, 5))


def _labelled(
    estimates: pl.DataFrame, measure: Measure, by: list[str], keys: Mapping[str, pl.Expr], basis: str
) -> pl.DataFrame:
    """`estimates` with the keys of the table: what is not broken down is `_T`."""
    totals = {name: pl.lit(TOTAL) for name in DIMENSIONS if name not in by}
    if "migrant_status_code" in by:
        totals["migrant_basis_code"] = pl.lit(basis)
    # A breakdown that the table has no column for becomes the category: "settlement=U".
    folded = [
        pl.format(f"{_concept(name)}={{}}", pl.col(name).cast(pl.String)) for name in by if name not in DIMENSIONS
    ]
    totals["category_code"] = pl.concat_str(folded, separator=":") if folded else pl.lit(measure.category_code)
    return estimates.with_columns(
        pl.lit(measure.code).alias("measure_code"),
        pl.col("interval_code").replace_strict(_INTERVALS, default=None, return_dtype=pl.String),
        *[value.alias(name) for name, value in {**keys, **totals}.items()],
    )
