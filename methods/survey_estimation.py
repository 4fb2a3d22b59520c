"""Design-based estimates by domain: proportion, mean, total, ratio and quantile, each with its standard error and interval.

`svy` does the linearisation. This file decides what is asked of it (domains on the full design, missing as a domain, degrees of
freedom of the domain), which interval is given, and works around what `svy` lacks or gets wrong (`docs/methods/survey-estimation.md`
lists it, `tests/methods/test_survey_svy_faults.py` shows it). Which question makes which indicator does not belong here, nor do
reliability flags (`survey_reliability`), nor comparisons between estimates (`survey_comparison`).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from methods.survey_design import Design, DesignFailure, check_design
from methods.survey_intervals import NONE, korn_graubard_interval, logit_interval, t_interval

if TYPE_CHECKING:
    import svy

# svy is imported where it is asked: it takes seconds, and a refresh with nothing new estimates nothing.

Statistic = Literal["proportion", "mean", "total", "ratio", "quantile"]
ProportionInterval = Literal["auto", "logit", "korn_graubard"]

FEW_CASES = 5
"""Below this many respondents with (or without) the trait the logit interval undercovers; Korn-Graubard is given instead."""

ESTIMATE_COLUMNS = (
    "value", "se", "lower", "upper", "interval_code", "df", "deff", "deff_reference_code", "cv",
    "n_unweighted", "n_weighted", "numerator", "denominator",
)  # fmt: skip

# R's "average" counts certainty strata among those that have a variance (of zero); svy's "scale" counts them among the lonely ones.
# Both together are refused.
_SINGLETON: dict[str, Literal["skip", "center", "scale"]] = {
    "remove": "skip",
    "certainty": "skip",
    "adjust": "center",
    "average": "scale",
}

_NO_VARIANCE = 1e-12
"""A standard error of a share below this is rounding of a zero."""

_CDF_SLACK = 1e-12
"""Two cumulative shares this close are one: the sum of ten weights of 0.7 is not exactly half of the sum of twenty."""


@dataclass(frozen=True)
class DesignedSample:
    """A frame of respondents with its design, checked and indexed once, from which any number of estimates is taken.

    Every row of the sample must be in `frame`, also those that no estimate is about: the design is a property of all of them.
    """

    frame: pl.DataFrame
    design: Design

    def __post_init__(self) -> None:
        """Refuse a frame that contradicts the design; see `check_design` for the reasons."""
        lonely = check_design(self.frame, self.design)
        if lonely and self.design.lonely == "average" and self._has_certainty_strata():
            raise DesignFailure(
                "policy 'average' is undefined here: lonely strata beside certainty strata", column=self.design.fpc
            )

    def _has_certainty_strata(self) -> bool:
        if not self.design.fpc:
            return False
        strata = [self.design.strata] if self.design.strata else []
        units = pl.col(self.design.psu).n_unique() if self.design.psu else pl.len()
        keys = [pl.col(name) for name in strata] or [pl.lit(0)]
        return bool(self.frame.group_by(keys).agg((units == pl.col(self.design.fpc).first()).alias("all"))["all"].any())

    def proportion(
        self, y: str, by: Sequence[str] = (), *, interval: ProportionInterval = "auto", confidence: float = 0.95
    ) -> pl.DataFrame:
        """Share of the weight of those with `y` (0/1, null = outside the domain) who have 1. *Unit* 0-1, one row per level of `by`.

        `auto` gives the logit interval, and Korn-Graubard where fewer than five respondents have, or lack, the trait.
        """
        values = self.frame[y].cast(pl.Float64).drop_nulls()
        if not values.is_in([0.0, 1.0]).all():
            raise ValueError(f"{y} is not 0/1")
        cells = self._cells("mean", y, None, by)
        rows = [self._proportion_row(row, interval, confidence) for row in cells.iter_rows(named=True)]
        return self._finish(cells, rows, by)

    def mean(self, y: str, by: Sequence[str] = (), *, confidence: float = 0.95) -> pl.DataFrame:
        """Weighted mean of `y` over those who have a value; one row per level of `by`."""
        return self._with_t(self._cells("mean", y, None, by), by, confidence)

    def total(self, y: str, by: Sequence[str] = (), *, confidence: float = 0.95) -> pl.DataFrame:
        """Weighted sum of `y` over those who have a value; one row per level of `by`.

        Raises: `DesignFailure` under normalised weights, which sum to the sample and not to the population.
        """
        if self.design.weight_kind != "expansion" or not self.design.is_probability:
            raise DesignFailure("a total needs expansion weights of a probability sample", column=self.design.weight)
        return self._with_t(self._cells("total", y, None, by), by, confidence)

    def ratio(self, y: str, x: str, by: Sequence[str] = (), *, confidence: float = 0.95) -> pl.DataFrame:
        """Weighted sum of `y` over weighted sum of `x`, over those who have both; one row per level of `by`."""
        return self._with_t(self._cells("ratio", y, x, by), by, confidence)

    def median(self, y: str, by: Sequence[str] = (), *, confidence: float = 0.95) -> pl.DataFrame:
        """The 0.5 quantile of `y`; see `quantile`."""
        return self.quantile(y, 0.5, by, confidence=confidence)

    def quantile(self, y: str, probability: float, by: Sequence[str] = (), *, confidence: float = 0.95) -> pl.DataFrame:
        """Smallest value at which the weighted cumulative share reaches `probability`, with Woodruff's interval.

        The interval of the cumulative share at the estimate is inverted by the same rule (R: svyquantile, qrule "math",
        interval.type "mean"). A limit whose share leaves 0-1 is NULL. `se` is half the interval's width over t.
        """
        return _quantile(self, y, probability, list(by), confidence)

    def linearised_total(self, z: str) -> pl.DataFrame:
        """Standard error and df of the weighted total of a linearised variable; the value is zero by construction.

        For `survey_comparison`: unlike `total` it is sound under normalised weights, because only the error is used.
        """
        return self._cells("total", z, None, ())

    # -- what svy is asked -------------------------------------------------------------------------------------------------

    def _sample(self, columns: Sequence[str], extra: pl.DataFrame | None = None) -> "svy.Sample":
        """A svy sample of the design columns and `columns` only; strata and units as text, so that null labels cannot merge."""
        import svy

        design = self.design
        source = self.frame if extra is None else self.frame.with_columns(extra)
        frame = source.select(list(dict.fromkeys([*design.columns, *columns]))).with_columns(
            pl.col(design.weight).cast(pl.Float64), *[pl.col(c).cast(pl.Float64) for c in [design.fpc] if c]
        )
        # A policy of "fail" has been kept by now; what is left are certainty units, whose variance is zero.
        singleton = _SINGLETON.get(design.lonely, "skip") if design.strata else None
        return svy.Sample(
            frame,
            svy.Design(
                stratum=design.strata, psu=design.psu, wgt=design.weight, pop_size=design.fpc, singleton=singleton
            ),
        )

    def _cells(self, kind: Literal["mean", "total", "ratio"], y: str, x: str | None, by: Sequence[str]) -> pl.DataFrame:
        """One row per domain: value, se, df, deff, counts and weighted sums. Domains without a respondent have no row."""
        sums = _domain_sums(self.frame, self.design, y, x, by)
        if not self.design.is_probability:
            value = {"mean": pl.col("sum_y") / pl.col("n_weighted"), "ratio": pl.col("sum_y") / pl.col("sum_x")}[kind]
            blank = [pl.lit(None, dtype=pl.Float64).alias(name) for name in ("se", "deff")]
            return sums.with_columns(value.alias("value"), *blank, pl.lit(0, dtype=pl.Int64).alias("df"))
        if sums.is_empty():
            blank = [pl.lit(None, dtype=pl.Float64).alias(name) for name in ("value", "se", "deff")]
            return sums.with_columns(*blank, pl.lit(0, dtype=pl.Int64).alias("df"))
        taken = _ask_svy(self, kind, y, x, by)
        if kind == "total" and self.design.lonely == "adjust":
            taken = _centre_lonely_totals(self, taken, y, by)
        if not by:
            return pl.concat([sums, taken], how="horizontal")
        return sums.join(taken, on=list(by), how="left", validate="1:1", maintain_order="left")

    # -- what is made of it ------------------------------------------------------------------------------------------------

    def _with_t(self, cells: pl.DataFrame, by: Sequence[str], confidence: float) -> pl.DataFrame:
        rows = []
        for row in cells.iter_rows(named=True):
            limits = NONE if row["se"] is None else t_interval(row["value"], row["se"], row["df"], confidence)
            rows.append((*limits, "t" if math.isfinite(limits[0]) else "none"))
        return self._finish(cells, rows, by)

    def _proportion_row(
        self, row: dict[str, object], interval: ProportionInterval, confidence: float
    ) -> tuple[float, float, str]:
        """Lower, upper and the code of the interval that was given to one proportion."""
        if row["se"] is None or row["value"] is None:
            return (*NONE, "none")
        share, se, df, n = float(row["value"]), float(row["se"]), int(row["df"]), int(row["n_unweighted"])  # type: ignore[arg-type, call-overload]
        share = 0.0 if row["n_with"] == 0 else 1.0 if row["n_with"] == n else share  # rounding leaves 1 - 1e-16
        few = min(int(row["n_with"]), n - int(row["n_with"])) < FEW_CASES  # type: ignore[call-overload]
        # No variance between units without a census is luck, not precision: logit would give a point.
        frozen = se <= _NO_VARIANCE and self.design.fpc is None
        if share in (0.0, 1.0) or frozen or interval == "korn_graubard" or (interval == "auto" and few):
            limits = korn_graubard_interval(share, se, df, n, float(row["effective_n"]), confidence)  # type: ignore[arg-type]
            return (*limits, "korn_graubard" if math.isfinite(limits[0]) else "none")
        limits = logit_interval(share, se, df, confidence)
        return (*limits, "logit" if math.isfinite(limits[0]) else "none")

    def _finish(
        self, cells: pl.DataFrame, intervals: Sequence[tuple[float, float, str]], by: Sequence[str]
    ) -> pl.DataFrame:
        """The published columns of the estimates, NaN turned into NULL, population counts only under expansion weights."""
        limits = pl.DataFrame(
            list(intervals), schema={"lower": pl.Float64, "upper": pl.Float64, "interval_code": pl.String}, orient="row"
        )
        counts_people = self.design.weight_kind == "expansion" and self.design.is_probability
        denominator = pl.col("sum_x") if "sum_x" in cells.columns else pl.col("n_weighted")
        shown = pl.concat([cells, limits], how="horizontal").with_columns(
            (pl.col("se") / pl.col("value").abs()).alias("cv"),
            pl.lit(self.design.deff_reference).alias("deff_reference_code"),
            (pl.col("sum_y") if counts_people else pl.lit(None, dtype=pl.Float64)).alias("numerator"),
            (denominator if counts_people else pl.lit(None, dtype=pl.Float64)).alias("denominator"),
            pl.col("df").cast(pl.Int64),
        )
        numbers = ("value", "se", "lower", "upper", "deff", "cv", "numerator", "denominator")
        finite = [pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in numbers]
        return shown.with_columns(finite).select(*by, *ESTIMATE_COLUMNS)


def _domain_sums(frame: pl.DataFrame, design: Design, y: str, x: str | None, by: Sequence[str]) -> pl.DataFrame:
    """Counts and weighted sums of the respondents with a positive weight and a value, by domain, sorted by domain."""
    weight = pl.col(design.weight).cast(pl.Float64)
    if not design.is_probability:
        weight = pl.lit(1.0)
    active = frame.filter(
        pl.col(design.weight) > 0, pl.col(y).is_not_null(), *[pl.col(name).is_not_null() for name in by]
    )
    if x is not None:
        active = active.filter(pl.col(x).is_not_null())
    active = active.with_columns(weight.alias("__w"), pl.col(y).cast(pl.Float64).alias("__y"))
    w, value = pl.col("__w"), pl.col("__y")
    measures = [
        pl.len().cast(pl.Int64).alias("n_unweighted"),
        (value != 0).sum().cast(pl.Int64).alias("n_with"),
        w.sum().alias("n_weighted"),
        (w.sum() ** 2 / (w**2).sum()).alias("effective_n"),
        (w * value).sum().alias("sum_y"),
        *([(w * pl.col(x).cast(pl.Float64)).sum().alias("sum_x")] if x is not None else []),
    ]
    if not by:
        return active.select(measures) if active.height else active.select(measures).clear()
    return active.group_by(list(by)).agg(measures).sort(list(by))


def _ask_svy(sample: DesignedSample, kind: str, y: str, x: str | None, by: Sequence[str]) -> pl.DataFrame:
    """svy's estimate, standard error, degrees of freedom and design effect by domain."""
    import svy

    # A column may be both y and a domain; svy refuses that, so values travel under their own names.
    values = sample.frame.select(
        pl.col(y).cast(pl.Float64).alias("__y"),
        *([pl.col(x).cast(pl.Float64).alias("__x")] if x is not None else []),
        *[pl.col(name).cast(pl.String).alias(f"__by{i}") for i, name in enumerate(by)],
    )
    labels = [f"__by{i}" for i in range(len(by))]
    asked = sample._sample(values.columns, values)
    function = getattr(asked.estimation, kind)
    names = ("__y", "__x") if kind == "ratio" else ("__y",)
    deff = {"srs_wr": "wr", "srs_wor": "wor"}[sample.design.deff_reference]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # svy warns of every domain that misses a stratum; df says the same thing per row
        try:
            result = function(*names, by=labels or None, drop_nulls=True, deff=deff).to_polars()
        except svy.SvyError as refusal:
            if getattr(refusal, "code", None) != "DEFF_NOT_COMPUTABLE":
                raise
            # One respondent per domain, or a census: the estimate stands, only its design effect does not exist.
            result = function(*names, by=labels or None, drop_nulls=True).to_polars()
            result = result.with_columns(pl.lit(None, dtype=pl.Float64).alias("deff"))
    columns = [pl.col("est").alias("value"), pl.col("se"), pl.col("df").cast(pl.Int64), pl.col("deff")]
    if not by:
        return pl.DataFrame(result.select(columns))
    keys = [
        _as_label(pl.col(label), sample.frame.schema[name]).alias(name) for label, name in zip(labels, by, strict=True)
    ]
    return pl.DataFrame(result.select(*keys, *columns))


def _as_label(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A domain label back in its own type; polars does not read text as true or false."""
    return text == "true" if dtype == pl.Boolean else text.cast(dtype)


def _centre_lonely_totals(sample: DesignedSample, taken: pl.DataFrame, y: str, by: Sequence[str]) -> pl.DataFrame:
    """`taken` with the lonely strata of a total centred at the mean of all units of the sample, those outside the domain at 0.

    svy takes the mean over the units with a respondent of the domain instead, which lets a domain of one lonely unit have no
    variance at all. Means and ratios are not concerned: their scores sum to zero.
    """
    design = sample.design
    if not design.strata or not design.psu:
        return taken
    w, value = pl.col(design.weight).cast(pl.Float64), pl.col(y).cast(pl.Float64).fill_null(0.0)
    unit = [design.strata, design.psu]
    domain = pl.all_horizontal([pl.col(y).is_not_null(), *[pl.col(name).is_not_null() for name in by]])
    size = pl.col(design.fpc).cast(pl.Float64).first() if design.fpc else pl.lit(math.inf)
    units = sample.frame.group_by(unit).agg(size.alias("size"))
    lonely = units.with_columns(pl.len().over(design.strata).alias("units")).filter(pl.col("units") == 1)
    lonely = lonely.with_columns((1 - 1 / pl.col("size")).alias("rest")).filter(pl.col("rest") > 0)
    sums = sample.frame.filter(domain).group_by([*by, *unit]).agg((w * value).sum().alias("z"))
    rows = []
    for row in taken.iter_rows(named=True):
        cell = sums.filter(pl.all_horizontal([pl.lit(True), *[pl.col(name) == row[name] for name in by]]))
        centre = cell["z"].sum() / units.height
        z = lonely.join(cell, on=unit, how="left")["z"].fill_null(0.0)
        rows.append(float((lonely["rest"] * (z - centre) ** 2).sum()))
    without = _ask_svy(DesignedSample(sample.frame, replace(design, lonely="remove")), "total", y, None, by)
    se = (without["se"] ** 2 + pl.Series(rows, dtype=pl.Float64)).sqrt()
    deff = pl.when(pl.col("se") > 0).then(pl.col("deff") * (se / pl.col("se")) ** 2).otherwise(None)
    return without.with_columns(deff.alias("deff"), se.alias("se"))


def _quantile(sample: DesignedSample, y: str, probability: float, by: list[str], confidence: float) -> pl.DataFrame:
    """Woodruff quantiles by domain: points from the weighted CDF, the variance of the share below them from svy."""
    if not 0 < probability < 1:
        raise ValueError(f"probability {probability} is not between 0 and 1")
    keys = by or ["__all"]
    frame = sample.frame if by else sample.frame.with_columns(pl.lit("all").alias("__all"))
    weight = pl.col(sample.design.weight).cast(pl.Float64) if sample.design.is_probability else pl.lit(1.0)
    active = frame.filter(
        pl.col(sample.design.weight) > 0, pl.col(y).is_not_null(), *[pl.col(k).is_not_null() for k in keys]
    ).select(*keys, pl.col(y).cast(pl.Float64).alias("__y"), weight.alias("__w"))
    curves: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = {}
    for key, domain in active.partition_by(keys, as_dict=True, maintain_order=True).items():
        by_value = domain.group_by("__y").agg(pl.col("__w").sum()).sort("__y")
        cumulative = by_value["__w"].to_numpy().cumsum()
        curves[key] = (by_value["__y"].to_numpy(), cumulative / cumulative[-1])
    points = pl.DataFrame(
        [(*key, _invert(curve, probability)) for key, curve in curves.items()],
        schema={**{k: frame.schema[k] for k in keys}, "__q": pl.Float64},
        orient="row",
    )
    below = frame.join(points, on=keys, how="left", maintain_order="left").with_columns(
        (pl.col(y).cast(pl.Float64) <= pl.col("__q")).cast(pl.Float64).alias("__below")
    )
    cells = DesignedSample(below, sample.design)._cells("mean", "__below", None, keys)
    rows, values, ses = [], [], []
    for row in cells.iter_rows(named=True):
        curve = curves[tuple(row[k] for k in keys)]
        point, lower, upper, se = _woodruff(curve, probability, row["se"], row["df"], confidence)
        values.append(point)
        ses.append(se)
        rows.append((lower, upper, "woodruff" if math.isfinite(lower) or math.isfinite(upper) else "none"))
    nothing = pl.lit(None, dtype=pl.Float64)
    cells = cells.with_columns(
        pl.Series("value", values, dtype=pl.Float64),
        pl.Series("se", ses, dtype=pl.Float64),
        nothing.alias("deff"),
        nothing.alias("sum_y"),
    )
    finished = sample._finish(cells, rows, keys).with_columns(nothing.alias("denominator"))
    return finished if by else finished.drop("__all")


def _woodruff(
    curve: tuple[np.ndarray, np.ndarray], probability: float, se: float | None, df: int, confidence: float
) -> tuple[float, float, float, float]:
    """Point, lower, upper and back-solved standard error of one quantile; NaN where the design gives no interval."""
    point = _invert(curve, probability)
    if se is None or df <= 0:
        return point, math.nan, math.nan, math.nan
    values, cumulative = curve
    share = float(cumulative[np.searchsorted(values, point, side="right") - 1])
    low, high = t_interval(share, se, df, confidence)
    lower = _invert(curve, low) if low >= 0 else math.nan
    upper = _invert(curve, high) if high <= 1 else math.nan
    width_in_se = (high - low) / se if se > 0 else math.inf
    return point, lower, upper, (upper - lower) / width_in_se


def _invert(curve: tuple[np.ndarray, np.ndarray], probability: float) -> float:
    """Smallest value whose cumulative share reaches `probability`."""
    values, cumulative = curve
    position = int(np.searchsorted(cumulative, probability - _CDF_SLACK, side="left"))
    return float(values[min(position, len(values) - 1)])
