"""Rates: events over exposure, crude and directly age-standardised, with their intervals.

Belongs here: arithmetic of rates and the standard population. Does not belong here: intervals of proportions and medians
(`methods.intervals`), which population an indicator divides by (the catalogue). Specification: docs/methods/rates.md.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from methods.intervals import Bounds, garwood

WHO_WORLD_STANDARD: Mapping[str, float] = MappingProxyType(
    {
        "Y0T4": 8.86,
        "Y5T9": 8.69,
        "Y10T14": 8.60,
        "Y15T19": 8.47,
        "Y20T24": 8.22,
        "Y25T29": 7.93,
        "Y30T34": 7.61,
        "Y35T39": 7.15,
        "Y40T44": 6.59,
        "Y45T49": 6.04,
        "Y50T54": 5.37,
        "Y55T59": 4.55,
        "Y60T64": 3.72,
        "Y65T69": 2.96,
        "Y70T74": 2.21,
        "Y75T79": 1.52,
        "Y80T84": 0.91,
        "Y85T89": 0.44,
        "Y90T94": 0.15,
        "Y95T99": 0.04,
        "Y_GE100": 0.005,
    }
)
"""WHO world standard population 2000-2025, percent by age band. The published values sum to 100.035: always renormalise."""


class Standardised(NamedTuple):
    """A directly standardised rate with its Fay-Feuer limits, per unit of exposure."""

    value: float
    lower: float
    upper: float


def rate_interval(events: ArrayLike, exposure: ArrayLike, factor: float = 1.0, level: float = 0.95) -> Bounds:
    """Garwood limits of events / exposure x factor. NaN where the exposure is not positive."""
    limits = garwood(events, level)
    time = np.asarray(exposure, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Bounds(
            np.where(time > 0, limits.lower / time * factor, np.nan),
            np.where(time > 0, limits.upper / time * factor, np.nan),
        )


def standard_weights(bands: Mapping[str, tuple[str, ...]]) -> dict[str, float]:
    """Weights of the WHO standard for the caller's bands, each an exact union of five-year bands; they sum to one.

    *Raises* KeyError for a band that is not in the standard: a band may be joined from whole bands, never split.
    """
    raw = {band: sum(WHO_WORLD_STANDARD[part] for part in parts) for band, parts in bands.items()}
    total = sum(raw.values())
    return {band: weight / total for band, weight in raw.items()}


def directly_standardised(
    events: ArrayLike, exposure: ArrayLike, weights: ArrayLike, level: float = 0.95
) -> Standardised:
    """The rate that the standard population would have, with gamma limits.

    `weights` are renormalised to one. With equal crude and standard structure and all weights alike the limits are
    Garwood's. Source: Fay and Feuer (1997), Statistics in Medicine 16:791-801.
    """
    # Imported where it is used: scipy.stats takes 2 s, and a refresh with nothing new computes no interval.
    from scipy import stats

    x = np.asarray(events, dtype=np.float64)
    time = np.asarray(exposure, dtype=np.float64)
    standard = np.asarray(weights, dtype=np.float64)
    if np.any(time <= 0):
        raise ValueError("each age band needs a positive exposure; join bands that have none before standardising")
    scaled = standard / standard.sum() / time
    rate = float((scaled * x).sum())
    variance = float((scaled**2 * x).sum())
    widest = float(scaled.max())
    tail = (1 - level) / 2
    lower = 0.0 if rate == 0 else variance / (2 * rate) * float(stats.chi2.ppf(tail, 2 * rate**2 / variance))
    upper_rate, upper_variance = rate + widest, variance + widest**2
    upper = upper_variance / (2 * upper_rate) * float(stats.chi2.ppf(1 - tail, 2 * upper_rate**2 / upper_variance))
    return Standardised(rate, lower, upper)
