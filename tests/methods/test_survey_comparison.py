"""Standardised shares, differences and pooled samples: against svy's contrasts, replication by hand, and the pencil."""

import math

import numpy as np
import polars as pl
import pytest
import svy

from methods.survey_comparison import Pool, difference, pooled, standardised_proportion
from methods.survey_design import Design, DesignFailure
from methods.survey_estimation import DesignedSample


@pytest.fixture(scope="module")
def people() -> pl.DataFrame:
    """Four strata of six units of fifteen people, a trait that rises with age and differs between groups."""
    rng = np.random.default_rng(5)
    n = 4 * 6 * 15
    age = rng.choice(["young", "old"], n, p=[0.7, 0.3])
    group = rng.choice(["a", "b"], n)
    y = rng.random(n) < 0.2 + 0.3 * (age == "old") + 0.1 * (group == "b")
    return pl.DataFrame(
        {
            "h": np.repeat(np.arange(4), 90),
            "psu": np.repeat(np.arange(24), 15),
            "w": rng.uniform(0.5, 4, n),
            "age": age,
            "group": group,
            "y": y,
        }
    )


def test_difference_agrees_with_the_contrast_of_svy(people: pl.DataFrame) -> None:
    """svy takes the covariance of the two domains from its kernel; here it comes out of one linearised total."""
    ours = difference(DesignedSample(people, Design("w", "h", "psu")), "y", "group", "b", "a").row(0, named=True)
    sample = svy.Sample(people.with_columns(pl.col("y").cast(pl.Float64)), svy.Design(stratum="h", psu="psu", wgt="w"))
    theirs = (
        sample.estimation.mean("y", by="group").contrast(svy.estd("b") - svy.estd("a")).to_polars().row(0, named=True)
    )
    assert ours["value"] == pytest.approx(theirs["est"], rel=1e-12)
    assert ours["se"] == pytest.approx(theirs["se"], rel=1e-9)
    assert (ours["df"], ours["n_unweighted"]) == (20, people.height)


def test_standardised_share_agrees_with_the_jackknife(people: pl.DataFrame) -> None:
    """The point is the weighted mean of the band shares; the error agrees with a stratified jackknife to a few percent."""
    weights = {"young": 60.0, "old": 40.1}
    sample = DesignedSample(people, Design("w", "h", "psu"))
    ours = standardised_proportion(sample, "y", "age", weights).row(0, named=True)

    def point(frame: pl.DataFrame, column: str) -> float:
        shares = {
            band: float((rows["y"].cast(pl.Float64) * rows[column]).sum() / rows[column].sum())
            for (band,), rows in frame.partition_by("age", as_dict=True).items()
        }
        return sum(weights[band] / 100.1 * shares[str(band)] for band in weights)

    assert ours["value"] == pytest.approx(point(people, "w"), rel=1e-12)
    variance = 0.0
    for h in range(4):
        for unit in people.filter(pl.col("h") == h)["psu"].unique():
            left = (
                pl.when(pl.col("psu") == unit)
                .then(0.0)
                .when(pl.col("h") == h)
                .then(pl.col("w") * 6 / 5)
                .otherwise(pl.col("w"))
            )
            variance += 5 / 6 * (point(people.with_columns(left.alias("v")), "v") - ours["value"]) ** 2
    assert ours["se"] == pytest.approx(math.sqrt(variance), rel=0.05)
    assert ours["lower"] < ours["value"] < ours["upper"]


def test_an_empty_band_or_group_gives_no_figure(people: pl.DataFrame) -> None:
    """A standard with a band that nobody is in cannot be applied; it is not applied to the others in silence."""
    sample = DesignedSample(people, Design("w", "h", "psu"))
    assert standardised_proportion(sample, "y", "age", {"young": 1, "old": 1, "oldest": 1}).is_empty()
    assert difference(sample, "y", "group", "b", "c").is_empty()


def test_pooled_share_is_weighted_by_population_not_by_sample() -> None:
    """By hand: 50 % of a population of 900 and 100 % of one of 100 are 55 %, whatever the samples' own weights sum to."""
    small = pl.DataFrame({"h": [1, 1, 1, 1], "psu": [1, 1, 2, 2], "w": [1000.0] * 4, "y": [1, 1, 1, 1]})
    large = pl.DataFrame({"h": [1, 1, 1, 1], "psu": [1, 1, 2, 2], "w": [1.0] * 4, "y": [1, 0, 1, 0]})
    design = Design("w", "h", "psu", weight_kind="normalised")
    sample = pooled([Pool("XXX", small, design, 100.0), Pool("YYY", large, design, 900.0)], ["y"])
    row = sample.proportion("y").row(0, named=True)
    assert row["value"] == pytest.approx(0.55, rel=1e-12)
    # Equal codes of strata and units in two countries stay two: (2 - 1) + (2 - 1) degrees of freedom.
    assert row["df"] == 2
    assert row["denominator"] == pytest.approx(1000.0)
    assert sample.frame["psu"].n_unique() == 4


def test_a_sample_without_probabilities_is_not_pooled() -> None:
    """It stands for nobody but itself."""
    frame = pl.DataFrame({"w": [1.0, 1.0], "y": [0, 1]})
    with pytest.raises(DesignFailure, match="not a probability sample"):
        pooled([Pool("LAO", frame, Design("w", is_probability=False), 10.0)], ["y"])
