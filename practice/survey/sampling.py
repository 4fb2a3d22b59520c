"""How the smaller practice surveys are drawn: strata of clusters of people, with shares that differ between clusters.

Unlike `overseas_workers`, these draw respondents straight from a stated model; their truth is the model's mean. What each survey
asks is in its own file.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """Who is interviewed where: one entry per respondent in each array."""

    stratum: np.ndarray
    psu: np.ndarray
    weight: np.ndarray
    psus_in_stratum: np.ndarray

    @property
    def count(self) -> int:
        """Respondents."""
        return len(self.stratum)


def layout(rng: np.random.Generator, strata: int, psus: int, people: int, population: float) -> Layout:
    """`strata` strata of `psus` units with about `people` respondents each, standing for `population` persons in all.

    Strata differ in size by up to three times, so that an unweighted share is visibly wrong.
    """
    sizes = rng.integers(max(2, people - 4), people + 5, strata * psus)
    unit = np.repeat(np.arange(strata * psus), sizes)
    stratum = unit // psus
    share = np.linspace(1.0, 3.0, strata)
    share = share / share.sum()
    per_unit = population * share[stratum] / psus
    weight = per_unit / sizes[unit] * np.repeat(rng.uniform(0.8, 1.25, strata * psus), sizes)
    scale = population / weight.sum()
    return Layout(stratum + 1, unit % psus + 1, weight * scale, (np.arange(strata) * 37 + psus * 25)[stratum])


def clustered(rng: np.random.Generator, share: np.ndarray | float, places: Layout, spread: float = 0.35) -> np.ndarray:
    """0/1 answers with about the given shares, whose log-odds move together within a unit."""
    share = np.clip(np.broadcast_to(np.asarray(share, dtype=float), places.count), 0.01, 0.99)
    _, unit = np.unique(places.stratum * 10_000 + places.psu, return_inverse=True)
    odds = np.log(share / (1 - share)) + rng.normal(0, spread, unit.max() + 1)[unit]
    hit: np.ndarray = rng.random(places.count) < 1 / (1 + np.exp(-odds))
    return hit.astype(np.int64)
