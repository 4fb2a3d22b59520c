"""Figures made of several domain means: age-standardised shares, differences between groups, pooled samples.

Each is a smooth function of domain totals, so its standard error is that of the total of one linearised variable on the full
design. Domain estimates of one sample are correlated; subtracting two published standard errors would ignore that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from methods.survey_design import Design, DesignFailure
from methods.survey_estimation import ESTIMATE_COLUMNS, DesignedSample
from methods.survey_intervals import logit_interval, t_interval


def standardised_proportion(sample: DesignedSample, y: str, band: str, weights: Mapping[str, float]) -> pl.DataFrame:
    """Share with `y` if the bands had the given weights (renormalised); one row, or none when a band has no respondent.

    Σ s_a p̂_a with s from the standard. Linearised: z = w·s_a·(y − p̂_a)/Ŵ_a within band a. Logit interval.
    Source: direct standardisation as in R survey's svystandardize; Korn and Graubard, Analysis of Health Surveys, 1999.
    """
    total = sum(weights.values())
    by_band = sample.proportion(y, [band]).filter(pl.col(band).is_in(list(weights)))
    if by_band.height < len(weights):
        return pl.DataFrame()
    share = {row[band]: float(row["value"]) for row in by_band.iter_rows(named=True)}
    size = {row[band]: float(row["n_weighted"]) for row in by_band.iter_rows(named=True)}
    value = sum(weights[code] / total * share[code] for code in weights)
    scores: pl.Expr = pl.lit(None, dtype=pl.Float64)
    for code, weight in weights.items():
        score = weight / total * (pl.col(y).cast(pl.Float64) - share[code]) / size[code]
        scores = pl.when(pl.col(band) == code).then(score).otherwise(scores)
    se, df = _linearised(sample, scores)
    lower, upper = (None, None) if se is None else logit_interval(value, se, df)
    return _row(value, se, lower, upper, "logit", df, by_band)


def difference(sample: DesignedSample, y: str, group: str, of: str, against: str) -> pl.DataFrame:
    """Mean (or share) of `y` in group `of` minus that in group `against`; one row, or none when either is empty. t interval."""
    means = sample.mean(y, [group]).filter(pl.col(group).is_in([of, against]))
    if means.height < 2:
        return pl.DataFrame()
    value = {row[group]: float(row["value"]) for row in means.iter_rows(named=True)}
    size = {row[group]: float(row["n_weighted"]) for row in means.iter_rows(named=True)}
    observed = pl.col(y).cast(pl.Float64)
    scores = (
        pl.when(pl.col(group) == of).then((observed - value[of]) / size[of])
        .when(pl.col(group) == against).then(-(observed - value[against]) / size[against])
    )  # fmt: skip
    se, df = _linearised(sample, scores)
    gap = value[of] - value[against]
    lower, upper = (None, None) if se is None else t_interval(gap, se, df)
    return _row(gap, se, lower, upper, "t", df, means)


def _linearised(sample: DesignedSample, scores: pl.Expr) -> tuple[float | None, int]:
    """Standard error of the weighted total of `scores`, and the degrees of freedom of those who have one."""
    if not sample.design.is_probability:
        return None, 0
    scored = DesignedSample(sample.frame.with_columns(scores.alias("__z")), sample.design)
    cell = scored.linearised_total("__z")
    return float(cell["se"][0]), int(cell["df"][0])


def _row(
    value: float,
    se: float | None,
    lower: float | None,
    upper: float | None,
    interval: str,
    df: int,
    parts: pl.DataFrame,
) -> pl.DataFrame:
    """The estimate in the columns of every other estimate."""
    exists = lower is not None and lower == lower
    row = {
        "value": value, "se": se, "lower": lower if exists else None, "upper": upper if exists else None,
        "interval_code": interval if exists else "none", "df": df, "deff": None, "deff_reference_code": None,
        "cv": abs(se / value) if se is not None and value else None,
        "n_unweighted": int(parts["n_unweighted"].sum()), "n_weighted": float(parts["n_weighted"].sum()),
        "numerator": None, "denominator": None,
    }  # fmt: skip
    texts = ("interval_code", "deff_reference_code")
    schema = {
        name: pl.String if name in texts else pl.Int64 if name in ("df", "n_unweighted") else pl.Float64
        for name in ESTIMATE_COLUMNS
    }
    return pl.DataFrame([row], schema=schema)


@dataclass(frozen=True)
class Pool:
    """One survey that takes part in a pooled estimate: its rows, its design, and the population it stands for."""

    code: str
    frame: pl.DataFrame
    design: Design
    population: float


def pooled(parts: Sequence[Pool], columns: Sequence[str]) -> DesignedSample:
    """One sample of all parts: weights rescaled to each target population, strata and units made unique by the part's code.

    *Columns*: `columns`, plus `pool_code`, `stratum`, `psu`, `weight`. Population corrections are dropped: they differ in kind
    between surveys, and leaving them out errs on the safe side.
    Raises: `DesignFailure` for a part that is not a probability sample or stands for nobody.
    """
    frames = []
    for part in parts:
        if not part.design.is_probability:
            raise DesignFailure(
                f"{part.code} is not a probability sample and cannot be pooled", column=part.design.weight
            )
        weights = part.frame[part.design.weight].cast(pl.Float64)
        if part.population <= 0 or weights.sum() <= 0:
            raise DesignFailure(f"{part.code} has no target population or no weight to rescale", got=part.population)
        stratum = pl.col(part.design.strata).cast(pl.String) if part.design.strata else pl.lit("all")
        # Without clusters each row is its own unit.
        psu = pl.col(part.design.psu).cast(pl.String) if part.design.psu else pl.int_range(pl.len()).cast(pl.String)
        frames.append(
            part.frame.select(
                *columns,
                pl.lit(part.code).alias("pool_code"),
                pl.format(f"{part.code}:{{}}", stratum).alias("stratum"),
                pl.format(f"{part.code}:{{}}", psu).alias("psu"),
                (weights / weights.sum() * part.population).alias("weight"),
            )
        )
    policies = {part.design.lonely for part in parts}
    if len(policies) != 1:
        raise DesignFailure(
            f"parts of a pool must share one lonely-PSU policy, got {sorted(policies)}", got=sorted(policies)
        )
    design = replace(parts[0].design, weight="weight", strata="stratum", psu="psu", fpc=None, weight_kind="expansion")
    return DesignedSample(pl.concat(frames), design)
