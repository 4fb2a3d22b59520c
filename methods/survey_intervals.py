"""Confidence intervals for design-based estimates: t, logit and Korn-Graubard, from an estimate, its standard error and its df.

They take numbers and give numbers; an interval that does not exist is NaN, never a pair of zeros. Intervals on complete counts
(Wilson, Garwood) live in `methods.intervals`.
"""

import math

NONE = (math.nan, math.nan)


def t_interval(value: float, se: float, df: float, confidence: float = 0.95) -> tuple[float, float]:
    """Value ± t·se with `df` degrees of freedom; NaN where df is not positive."""
    # Imported where it is used: scipy.stats takes 2 s, and a refresh with nothing new computes no interval.
    from scipy import stats

    if df <= 0 or not math.isfinite(se):
        return NONE
    half = float(stats.t.ppf(0.5 + confidence / 2, df)) * se
    return value - half, value + half


def logit_interval(share: float, se: float, df: float, confidence: float = 0.95) -> tuple[float, float]:
    """The t interval of log(p/(1-p)), transformed back; NaN at 0 and 1, where the logit does not exist.

    Source: R survey, svyciprop(method="xlogit"), which is also the default of Stata's svy: proportion.
    """
    from scipy import stats

    if df <= 0 or not 0.0 < share < 1.0 or not math.isfinite(se):
        return NONE
    half = float(stats.t.ppf(0.5 + confidence / 2, df)) * se / (share * (1 - share))
    centre = math.log(share / (1 - share))
    return 1 / (1 + math.exp(half - centre)), 1 / (1 + math.exp(-half - centre))


def korn_graubard_interval(
    share: float, se: float, df: float, n: int, effective_n: float, confidence: float = 0.95
) -> tuple[float, float]:
    """Clopper-Pearson on the effective sample size, corrected for the design's degrees of freedom and never above n.

    At 0 and 1 (or where the variance is zero) the standard error says nothing; the effective size is then `effective_n`, the
    caller's size by unequal weighting (Kish). The interval is one-sided there and never (0, 0).

    Source: Korn and Graubard, Survey Methodology 24 (1998) 193-201; truncation at n: NCHS, Vital and Health Statistics 2(175).
    """
    from scipy import stats

    if df <= 0 or n < 1 or not 0.0 <= share <= 1.0:
        return NONE
    size = share * (1 - share) / se**2 if se > 0 and 0.0 < share < 1.0 else effective_n
    if n > 1:
        upper_tail = 0.5 + confidence / 2
        size *= (float(stats.t.ppf(upper_tail, n - 1)) / float(stats.t.ppf(upper_tail, df))) ** 2
    size = min(float(n), size)
    successes, tail = size * share, (1 - confidence) / 2
    lower = 0.0 if share == 0.0 else float(stats.beta.ppf(tail, successes, size - successes + 1))
    upper = 1.0 if share == 1.0 else float(stats.beta.ppf(1 - tail, successes + 1, size - successes))
    return lower, upper
