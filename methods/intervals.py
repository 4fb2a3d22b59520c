"""Confidence intervals of proportions, counts, medians and waiting times.

Belongs here: arithmetic on numbers handed in, one function per named interval. Does not belong here: rates and their
standardisation (`methods.rates`), survey designs (`methods.survey_estimation`), the choice which indicator uses which
interval (the indicator catalogue). Specification: docs/methods/intervals.md.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]

SMALL_DENOMINATOR = 40
"""Below this denominator the Wilson interval gives way to Clopper-Pearson."""
SMALL_NUMERATOR = 5
"""Below this numerator the Wilson interval gives way to Clopper-Pearson."""

WILSON_CODE = "wilson95"
CLOPPER_PEARSON_CODE = "clopper_pearson95"
GARWOOD_CODE = "garwood95"
ORDER_STATISTIC_CODE = "order_statistic95"
KAPLAN_MEIER_CODE = "kaplan_meier95"


class Bounds(NamedTuple):
    """Lower and upper limits, element by element; NaN where no interval exists."""

    lower: Numbers
    upper: Numbers


class Median(NamedTuple):
    """A median with its interval; NaN where it does not exist."""

    value: float
    lower: float
    upper: float


def _counts(successes: ArrayLike, trials: ArrayLike) -> tuple[Numbers, Numbers]:
    x, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64))
    if np.any((x < 0) | (x > n)):
        raise ValueError(
            "a proportion needs 0 <= successes <= trials; check numerator and denominator of the indicator"
        )
    return x, n


def wilson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Bounds:
    """Score limits of x of n. Zero trials give NaN; x = 0 and x = n give exact ends.

    Source: Wilson (1927); check values in tests/methods/test_intervals.py.
    """
    # Imported where it is used: scipy.stats takes 2 s, and a refresh with nothing new computes no interval.
    from scipy import stats

    x, n = _counts(successes, trials)
    z = stats.norm.ppf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = x / n
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    lower = np.where(x == 0, 0.0, centre - half)
    upper = np.where(x == n, 1.0, centre + half)
    return Bounds(np.where(n > 0, lower, np.nan), np.where(n > 0, upper, np.nan))


def clopper_pearson(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> Bounds:
    """Exact binomial limits of x of n; never less than the stated coverage. Zero trials give NaN."""
    from scipy import stats

    x, n = _counts(successes, trials)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        lower = np.where(x == 0, 0.0, stats.beta.ppf(tail, np.maximum(x, 1e-300), n - x + 1))
        upper = np.where(x == n, 1.0, stats.beta.ppf(1 - tail, x + 1, np.maximum(n - x, 1e-300)))
    return Bounds(np.where(n > 0, lower, np.nan), np.where(n > 0, upper, np.nan))


def proportion(successes: ArrayLike, trials: ArrayLike, level: float = 0.95) -> tuple[Bounds, NDArray[np.str_]]:
    """Wilson limits, or Clopper-Pearson where n < 40 or x < 5, and the code of the one used in each element."""
    x, n = _counts(successes, trials)
    is_small = (n < SMALL_DENOMINATOR) | (x < SMALL_NUMERATOR)
    score, exact = wilson(x, n, level), clopper_pearson(x, n, level)
    bounds = Bounds(
        np.where(is_small, exact.lower, score.lower),
        np.where(is_small, exact.upper, score.upper),
    )
    return bounds, np.where(is_small, CLOPPER_PEARSON_CODE, WILSON_CODE)


def garwood(events: ArrayLike, level: float = 0.95) -> Bounds:
    """Exact Poisson limits of a count. The exposure is taken as fixed: divide both limits by it for a rate."""
    from scipy import stats

    x = np.asarray(events, dtype=np.float64)
    if np.any(x < 0):
        raise ValueError("a count of events cannot be negative; check the numerator of the indicator")
    tail = (1 - level) / 2
    lower = np.where(x == 0, 0.0, stats.chi2.ppf(tail, np.maximum(2 * x, 1e-300)) / 2)
    return Bounds(lower, stats.chi2.ppf(1 - tail, 2 * x + 2) / 2)


def order_statistic_median(values: ArrayLike, level: float = 0.95) -> Median:
    """The sample median, and the pair of order statistics that covers the population median at least at `level`.

    Fewer than six values have no such pair at 95 %: the limits are then NaN. Source: binomial distribution of the number
    of values below the median.
    """
    from scipy import stats

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    size = ordered.size
    if size == 0:
        return Median(np.nan, np.nan, np.nan)
    median = float(np.median(ordered))
    # Largest rank r with P(Binomial(n, 1/2) <= r - 1) <= alpha / 2.
    tail = (1 - level) / 2
    rank = int(stats.binom.ppf(tail, size, 0.5))
    if stats.binom.cdf(rank, size, 0.5) <= tail:
        rank += 1
    if rank < 1:
        return Median(median, np.nan, np.nan)
    return Median(median, float(ordered[rank - 1]), float(ordered[size - rank]))


def kaplan_meier_median(durations: ArrayLike, is_observed: ArrayLike, level: float = 0.95) -> Median:
    """The median waiting time when some waits were still open when last seen (right-censored).

    The median is the first time at which survival falls to one half or below; the limits invert the pointwise log-log
    interval of the survival curve (Brookmeyer and Crowley 1982). NaN where the curve, or its limit, never falls to one half.
    """
    from scipy import stats

    time = np.asarray(durations, dtype=np.float64)
    observed = np.asarray(is_observed, dtype=bool)
    if time.shape != observed.shape:
        raise ValueError("each duration needs its own mark observed or censored")
    if np.any(time < 0):
        raise ValueError("a waiting time cannot be negative; check the order of the dates")
    times = np.unique(time[observed])
    if times.size == 0:
        return Median(np.nan, np.nan, np.nan)
    at_risk = np.array([(time >= t).sum() for t in times], dtype=np.float64)
    events = np.array([((time == t) & observed).sum() for t in times], dtype=np.float64)
    survival = np.cumprod(1 - events / at_risk)
    z = stats.norm.ppf(0.5 + level / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        greenwood = np.cumsum(events / (at_risk * (at_risk - events)))
        spread = z * np.sqrt(greenwood) / np.abs(np.log(survival))
        low_curve = np.where(survival > 0, survival ** np.exp(spread), 0.0)
        high_curve = np.where(survival > 0, survival ** np.exp(-spread), 0.0)

    def first_at_half(curve: NDArray[Any]) -> float:
        # 1e-12: the product of fractions that should be exactly one half misses it by rounding (6 of 12 gave 0.5000000000000001).
        reached = np.flatnonzero(curve <= 0.5 + 1e-12)
        return float(times[reached[0]]) if reached.size else float("nan")

    # After the last death of everyone at risk the Greenwood sum is infinite: no upper limit can be read off there.
    high_curve = np.where(survival > 0, high_curve, np.nan)
    return Median(first_at_half(survival), first_at_half(low_curve), first_at_half(high_curve))
