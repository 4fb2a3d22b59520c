"""Outliers among small counts: what DHIS2 computes, when that is silent, and tails that suit counts.

Belongs here: scores of one value against its own series, and changes from one period to the next. Does not belong here: which series to
look at, what to do about a finding. Specification: docs/quality.md.

Half of the values equal is the normal shape of a small cross-border count: the median absolute deviation is then 0 and the modified
z-score says nothing, however far away a value is. A z-score over n values cannot exceed sqrt(n - 1), because the value stands in its
own mean: under ten values nothing reaches 3. The tails below take the value out of its own series and ask how often a count like it
would come from a rate like that of the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MODIFIED_Z_FACTOR = 0.6745
"""The 0.75 quantile of the normal distribution, to four places as DHIS2 writes it: makes the MAD comparable to a standard deviation."""

SMALLEST_SERIES = 3
"""Values besides the tested one below which no tail is computed: a rate and a spread out of two values are guesses."""


@dataclass(frozen=True)
class OutlierPolicy:
    """When a value is called out. DHIS2's default threshold is 3; the tail is two-sided."""

    z_threshold: float = 3.0
    tail_probability: float = 0.001


def z_scores(values: FloatArray) -> FloatArray:
    """|x - mean| / population standard deviation, each value inside its own statistics; NaN where the deviation is 0.

    Source: DHIS2 ZScoreOutlierDetectionManager 2.40 to 2.43.
    """
    values = np.asarray(values, dtype=float)
    deviation = float(np.std(values)) if values.size else 0.0
    if deviation == 0.0:
        return np.full(values.shape, np.nan)
    scores: FloatArray = np.abs(values - np.mean(values)) / deviation
    return scores


def modified_z_scores(values: FloatArray) -> FloatArray:
    """0.6745 |x - median| / median absolute deviation; NaN where the MAD is 0.

    Source: DHIS2 from 2.41 (2.40 divides by the standard deviation under the same name).
    """
    values = np.asarray(values, dtype=float)
    if not values.size:
        return values
    distance = np.abs(values - np.median(values))
    spread = float(np.median(distance))
    if spread == 0.0:
        return np.full(values.shape, np.nan)
    scores: FloatArray = MODIFIED_Z_FACTOR * distance / spread
    return scores


def count_tails(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each count: the chance of one as high, and of one as low, given the other counts of its series.

    The others give a rate with a Jeffreys prior, so the next count is negative binomial even when they are pure Poisson: the rate is
    uncertain. Where the others vary more than that, the variance is theirs. NaN for series of fewer than four counts.
    """
    values = np.asarray(values, dtype=float)
    size = np.full(values.shape, float(values.size))
    return _tails(values, size, np.full(values.shape, values.sum()), np.full(values.shape, (values**2).sum()))


def _tails(
    values: FloatArray, series_size: FloatArray, series_sum: FloatArray, series_squares: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """`count_tails` of many series at once: each value with the size, sum and sum of squares of its own series."""
    # Imported where it is used: scipy.stats takes 2 s, and a refresh with nothing new computes no interval.
    from scipy import stats

    others = np.where(series_size - 1 >= SMALLEST_SERIES, series_size - 1, np.nan)
    total = series_sum - values
    mean = (total + 0.5) / others
    observed = (series_squares - values**2 - total**2 / others) / (others - 1) * (1 + 1 / others)
    variance = np.fmax(mean * (1 + 1 / others), observed)
    size = mean**2 / (variance - mean)
    chance = mean / variance
    high: FloatArray = stats.nbinom.sf(values - 1, size, chance)
    low: FloatArray = stats.nbinom.cdf(values, size, chance)
    return high, low


@dataclass(frozen=True)
class CountBand:
    """Where the next count of a series is expected, bounds included."""

    low: int
    high: int
    expected: float

    def __contains__(self, count: int) -> bool:
        return self.low <= count <= self.high


def expected_band(
    counts: Sequence[int],
    *,
    exposures: Sequence[float] | None = None,
    exposure: float = 1.0,
    probability: float = 0.001,
) -> CountBand | None:
    """The band in which the next count lies with chance 1 - `probability`, given earlier ones; None for fewer than three.

    `exposures`: how much there was to count each time (reports owed), `exposure`: how much there is now. The rate per unit has a
    Jeffreys prior, so the band is negative binomial; it is wider where the earlier counts vary more than Poisson counts of one
    rate would (Pearson's dispersion). Stands in for hand-kept numbers of rows: a load outside its band is looked at.
    """
    from scipy import stats

    values = np.asarray(counts, dtype=float)
    if values.size < SMALLEST_SERIES:
        return None
    units = np.ones(values.size) if exposures is None else np.asarray(exposures, dtype=float)
    if exposure <= 0.0 or not (units > 0.0).all():
        raise ValueError("an exposure must be above 0: nothing to count gives no rate")
    rate = (values.sum() + 0.5) / units.sum()
    mean = rate * exposure
    pearson = float((((values - rate * units) ** 2) / (rate * units)).sum() / (values.size - 1))
    variance = max(1.0, pearson) * mean * (1 + exposure / units.sum())
    size, chance = mean**2 / (variance - mean), mean / variance
    low, high = stats.nbinom.ppf([probability / 2, 1 - probability / 2], size, chance)
    return CountBand(int(low), int(high), float(mean))


def score_series(
    by_value: pl.DataFrame, series: Sequence[str], value: str = "value", policy: OutlierPolicy | None = None
) -> pl.DataFrame:
    """Every value scored within its series.

    Rows: those of `by_value`, in its order. Columns added: series_size, z_score, modified_z_score, tail_high, tail_low (probabilities),
    is_z_outlier, is_modified_z_outlier, is_tail_outlier, silence_code: why the DHIS2 scores cannot speak (`deviation_zero`,
    `mad_zero`, `fewer_than_ten`), or null.
    """
    policy = policy or OutlierPolicy()
    keys = list(series)
    x = pl.col(value).cast(pl.Float64)
    by_series = by_value.with_columns(
        x.len().over(keys).cast(pl.Int64).alias("series_size"),
        x.sum().over(keys).alias("_sum"),
        (x**2).sum().over(keys).alias("_squares"),
        x.std(ddof=0).over(keys).alias("_deviation"),
        (x - x.mean().over(keys)).abs().alias("_from_mean"),
        (x - x.median().over(keys)).abs().alias("_from_median"),
        # Equal values are found by comparison: the deviation of twelve times 0.1 is not exactly 0.
        (x.min().over(keys) == x.max().over(keys)).alias("_is_constant"),
    ).with_columns(pl.col("_from_median").median().over(keys).alias("_mad"))
    high, low = _tails(
        by_series[value].cast(pl.Float64).to_numpy(),
        by_series["series_size"].cast(pl.Float64).to_numpy(),
        by_series["_sum"].to_numpy(),
        by_series["_squares"].to_numpy(),
    )
    tail = np.minimum(1.0, 2 * np.fmin(high, low))
    scored = by_series.with_columns(
        pl.when(~pl.col("_is_constant")).then(pl.col("_from_mean") / pl.col("_deviation")).alias("z_score"),
        pl.when(pl.col("_mad") > 0)
        .then(MODIFIED_Z_FACTOR * pl.col("_from_median") / pl.col("_mad"))
        .alias("modified_z_score"),
        pl.Series("tail_high", high).fill_nan(None),
        pl.Series("tail_low", low).fill_nan(None),
    )
    return scored.with_columns(
        # A silent score flags nothing, as in DHIS2.
        (pl.col("z_score") >= policy.z_threshold).fill_null(False).alias("is_z_outlier"),
        (pl.col("modified_z_score") >= policy.z_threshold).fill_null(False).alias("is_modified_z_outlier"),
        pl.Series("is_tail_outlier", tail < policy.tail_probability, dtype=pl.Boolean),
        pl.when(pl.col("_is_constant"))
        .then(pl.lit("deviation_zero"))
        .when(pl.col("_mad") == 0)
        .then(pl.lit("mad_zero"))
        .when(pl.col("series_size") < 10)
        .then(pl.lit("fewer_than_ten"))
        .alias("silence_code"),
    ).drop("_sum", "_squares", "_deviation", "_from_mean", "_from_median", "_is_constant", "_mad")


_SILENCE = {
    "deviation_zero": (
        "All values of the series are equal: neither score of DHIS2 is defined.",
        "Mọi giá trị của chuỗi bằng nhau: cả hai điểm số của DHIS2 đều không xác định.",
    ),
    "mad_zero": (
        "More than half of the values are equal, so the median absolute deviation is 0: the modified z-score of DHIS2 flags nothing "
        "here, however far away a value is.",
        "Hơn một nửa số giá trị bằng nhau nên độ lệch tuyệt đối trung vị bằng 0: điểm z hiệu chỉnh của DHIS2 không báo gì ở đây, "
        "dù giá trị lệch xa đến đâu.",
    ),
    "fewer_than_ten": (
        "With fewer than ten values no z-score of DHIS2 can reach 3.",
        "Với ít hơn mười giá trị, không điểm z nào của DHIS2 đạt đến 3.",
    ),
}


def statement(silence_code: str | None, language: str = "en") -> str:
    """One sentence on why DHIS2's own outlier screen shows nothing for a series, in `en` or `vi`; empty when it can speak."""
    if silence_code is None:
        return ""
    return _SILENCE[silence_code][1 if language == "vi" else 0]


def changes(
    by_period: pl.DataFrame, series: Sequence[str], order: str, value: str = "value", tail_probability: float = 0.001
) -> pl.DataFrame:
    """Each count against the one before it in its series.

    Rows: those of `by_period`, sorted by series and `order`. Columns added: previous, ratio (null when previous is 0), tail (the exact
    two-sided probability that two equal rates give so unequal a pair), is_change.
    """
    from scipy import stats

    ordered = by_period.sort([*series, order]).with_columns(previous=pl.col(value).shift(1).over(list(series)))
    now = ordered[value].cast(pl.Float64).to_numpy()
    before = ordered["previous"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = ~np.isnan(before) & ~np.isnan(now)
    tail = np.full(now.shape, np.nan)
    both = now[known] + before[known]
    # Given their sum, two Poisson counts of one rate are binomial with chance one half.
    tail[known] = np.minimum(1.0, 2 * stats.binom.cdf(np.minimum(now[known], before[known]), both, 0.5))
    return ordered.with_columns(
        ratio=pl.when(pl.col("previous") > 0).then(pl.col(value) / pl.col("previous")),
        tail=pl.Series(tail).fill_nan(None),
        is_change=pl.Series(tail < tail_probability, dtype=pl.Boolean),
    )
