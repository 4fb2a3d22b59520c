"""Survey estimates against published numbers, and against a linearisation written here without svy."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from methods.survey_design import Design, DesignFailure, LonelyPsu
from methods.survey_estimation import DesignedSample

GOLDEN = 1e-9
"""Relative. The reference values carry 15 digits; 1e-9 leaves room for the order of summation only."""

FPC_WORLD = pl.DataFrame(
    {
        "h": [1] * 5 + [2] * 3,
        "psu": [1, 2, 3, 4, 5, 1, 2, 3],
        "w": [3.0] * 5 + [4.0] * 3,
        "n_psus": [15] * 5 + [12] * 3,
        "x": [2.8, 4.1, 6.8, 6.8, 9.2, 3.7, 6.6, 4.2],
    }
).with_columns((pl.col("x") > 4).cast(pl.Int64).alias("above_4"))
"""The eight rows printed in the documentation of R survey's `fpc` data."""

KIGYO = pl.DataFrame(
    {
        "y": [15.0, 143, 21, 51, 337, 50, 274, 145, 15, 86],
        "srs": [100.0] * 10,
        "pps": [20.0, 200, 11, 25, 550, 30, 250, 100, 10, 55],
    }
)
"""R survey's `kigyo` data: each row its own unit, one stratum."""


@pytest.fixture(scope="module")
def nhanes2() -> pl.DataFrame:
    """The 10 337 rows of nhanes2 as the samplics distribution carries them (MIT); used as data only."""
    # Found, not imported: importing samplics costs seconds and warns.
    package = importlib.util.find_spec("samplics")
    assert package is not None
    assert package.origin is not None
    path = Path(package.origin).parent / "datasets" / "data" / "nhanes2.csv"
    return pl.read_csv(path, infer_schema_length=None, null_values=["NA", ""])


def _is(got: object, expected: float) -> None:
    assert got == pytest.approx(expected, rel=GOLDEN)


def test_fpc_world_means_agree_with_r_survey() -> None:
    """cran/survey tests/testoutput/fpc.Rout.save: 5.4481 (0.7413), with fpc 0.616."""
    plain = DesignedSample(FPC_WORLD, Design("w", "h", "psu")).mean("x").row(0, named=True)
    _is(plain["value"], 5.448148148148148)
    _is(plain["se"], 0.7412683306315309)
    assert plain["df"] == 6
    corrected = DesignedSample(FPC_WORLD, Design("w", "h", "psu", fpc="n_psus")).mean("x").row(0, named=True)
    _is(corrected["se"], 0.6160407233612938)


def test_fpc_world_domains_keep_the_full_design() -> None:
    """cran/survey tests/testoutput/domain.Rout.save: 6.195 (0.7555129) above 4, 3.314286 (0.3117042) up to 4."""
    below, above = DesignedSample(FPC_WORLD, Design("w", "h", "psu")).mean("x", ["above_4"]).iter_rows(named=True)
    _is(above["value"], 6.195)
    _is(above["se"], 0.7555128638878361)
    _is(below["value"], 3.314285714285714)
    _is(below["se"], 0.3117042137475395)
    # One unit is left in each stratum: each contributes 0 degrees of freedom, and no t interval exists.
    assert below["df"] == 0
    assert below["lower"] is None
    assert below["interval_code"] == "none"


def test_kigyo_design_effects_name_their_reference() -> None:
    """cran/survey tests/deff.Rout.save: 1.0101 against SRS without, 1.9741 and 18.157 against SRS with replacement."""
    srs = DesignedSample(KIGYO, Design("srs", deff_reference="srs_wor")).mean("y").row(0, named=True)
    _is(srs["value"], 113.7)
    _is(srs["se"], 35.62616079980179)
    assert srs["deff"] == pytest.approx(1.0101, abs=5e-5)
    assert srs["deff_reference_code"] == "srs_wor"
    unequal = DesignedSample(KIGYO, Design("pps"))
    mean, total = unequal.mean("y").row(0, named=True), unequal.total("y").row(0, named=True)
    _is(mean["value"], 243.9136690647482)
    _is(mean["se"], 48.752161047361334)
    assert mean["deff"] == pytest.approx(1.9741, abs=5e-5)
    _is(total["value"], 305136.0)
    _is(total["se"], 184964.5582759633)
    assert total["deff"] == pytest.approx(18.157, abs=5e-4)


@pytest.mark.parametrize(
    ("estimand", "value", "se", "lower", "upper"),
    [
        ("zinc", 87.18206705069535, 0.4944826861850399, 86.1735629632, 88.1905711380),
        ("diabetes", 0.03428525679025107, 0.001819726372990839, 0.0307615382, 0.0381967085),
        ("highbp", 0.3687432983103015, 0.014320122745787069, 0.3400474413, 0.3983988808),
    ],
)
def test_nhanes2_with_missing_values(
    nhanes2: pl.DataFrame, estimand: str, value: float, se: float, lower: float, upper: float
) -> None:
    """Missing values are a domain; the intervals are printed to ten decimals in the source, hence their tolerance."""
    sample = DesignedSample(nhanes2, Design("finalwgt", "stratid", "psuid"))
    row = (sample.mean(estimand) if estimand == "zinc" else sample.proportion(estimand)).row(0, named=True)
    _is(row["value"], value)
    _is(row["se"], se)
    assert row["df"] == 31
    assert (row["lower"], row["upper"]) == pytest.approx((lower, upper), rel=GOLDEN, abs=1e-10)


def test_nhanes2_diabetes_by_race(nhanes2: pl.DataFrame) -> None:
    """Computed by an independent linearisation on the full design."""
    rows = DesignedSample(nhanes2, Design("finalwgt", "stratid", "psuid")).proportion("diabetes", ["race"])
    expected = [
        (0.031995105217224706, 0.0019733187011734673),
        (0.059034861718887686, 0.006144270486707744),
        (0.020335982279279206, 0.007644046487267598),
    ]
    for row, (value, se) in zip(rows.iter_rows(named=True), expected, strict=True):
        _is(row["value"], value)
        _is(row["se"], se)
    assert rows["df"].to_list() == [31, 25, 12]


# -- the independent linearisation -------------------------------------------------------------------------------------------


def linearise(
    frame: pl.DataFrame, kind: str, lonely: str = "remove", *, with_fpc: bool = False
) -> tuple[float, float, int]:
    """Value, standard error and df of the rows with d = 1, straight from the textbook formulas; numpy only, no svy.

    Columns: h, psu, w, n_psus, y, x, d; null y (or x, for a ratio) leaves the domain.
    """
    present = frame["y"].is_not_null() & (frame["x"].is_not_null() if kind == "ratio" else True)
    d = (frame["d"].fill_null(0).cast(pl.Boolean) & present).to_numpy().astype(float)
    w = frame["w"].to_numpy() * d
    y, x = frame["y"].fill_null(0.0).to_numpy(), frame["x"].fill_null(0.0).to_numpy()
    if kind == "total":
        value, z = float((w * y).sum()), w * y
    elif kind == "mean":
        value = float((w * y).sum() / w.sum())
        z = w * (y - value) / w.sum()
    else:
        value = float((w * y).sum() / (w * x).sum())
        z = w * (y - value * x) / (w * x).sum()
    strata, units = frame["h"].to_numpy(), frame["psu"].to_numpy()
    sums, sizes, active = {}, {}, 0
    for h in np.unique(strata):
        inside = strata == h
        psus = np.unique(units[inside])
        sums[h] = np.array([z[inside & (units == i)].sum() for i in psus])
        sizes[h] = float(frame["n_psus"].to_numpy()[inside][0]) if with_fpc else math.inf
        active += max(0, sum((w[inside & (units == i)] > 0).any() for i in psus) - 1)
    every = np.concatenate(list(sums.values()))
    variance, lonely_strata = 0.0, 0
    for h, totals in sums.items():
        n, rest = len(totals), 1 - len(totals) / sizes[h]
        if n > 1:
            variance += rest * n / (n - 1) * ((totals - totals.mean()) ** 2).sum()
        elif rest > 0:
            lonely_strata += 1
            if lonely == "adjust":
                variance += rest * (totals[0] - every.mean()) ** 2
    return value, math.sqrt(variance), active


@st.composite
def designs(draw: st.DrawFn) -> pl.DataFrame:
    """A small sample with strata, units of unequal size, zero weights, missing values, and domains that may miss units."""
    rows = []
    for h in range(draw(st.integers(1, 4))):
        n_psus = draw(st.integers(1, 4))
        population = n_psus + draw(st.integers(0, 3))
        for psu in range(n_psus):
            for _ in range(draw(st.integers(1, 4))):
                rows.append(
                    (
                        f"s{h}",
                        psu,
                        draw(st.sampled_from([0.0, 0.5, 1.0, 3.25, 120.0])),
                        population,
                        draw(st.one_of(st.none(), st.sampled_from([0.0, 1.0, 2.5, -3.0]))),
                        draw(st.one_of(st.none(), st.sampled_from([0.5, 1.0, 4.0]))),
                        draw(st.sampled_from([0, 1, 1, None])),
                    )
                )
    return pl.DataFrame(
        rows,
        schema={
            "h": pl.String, "psu": pl.Int64, "w": pl.Float64, "n_psus": pl.Int64,
            "y": pl.Float64, "x": pl.Float64, "d": pl.Int64,
        },
        orient="row",
    )  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    frame=designs(),
    kind=st.sampled_from(["mean", "total", "ratio"]),
    lonely=st.sampled_from(["remove", "certainty", "adjust"]),
    with_fpc=st.booleans(),
)
def test_random_designs_agree_with_the_independent_linearisation(
    frame: pl.DataFrame, kind: str, lonely: str, with_fpc: bool
) -> None:
    """Strata, units, zero weights, missing y and x, missing domain, emptied and lonely units, with and without fpc."""
    design = Design("w", "h", "psu", fpc="n_psus" if with_fpc else None, lonely=lonely)
    sample = DesignedSample(frame, design)
    rows = (sample.ratio("y", "x", ["d"]) if kind == "ratio" else getattr(sample, kind)("y", ["d"])).filter(
        pl.col("d") == 1
    )
    present = frame.filter(pl.col("d") == 1, pl.col("w") > 0, pl.col("y").is_not_null())
    if kind == "ratio":
        present = present.filter(pl.col("x").is_not_null())
    if present.is_empty():
        assert rows.is_empty()  # no respondent: no row, never a zero
        return
    value, se, df = linearise(frame, kind, lonely, with_fpc=with_fpc)
    row = rows.row(0, named=True)
    assert row["value"] == pytest.approx(value, rel=1e-9, abs=1e-12)
    # The variance is a sum of squares of differences: what is zero by algebra is 1e-17 by arithmetic, 1e-8 after the root.
    assert row["se"] == pytest.approx(se, rel=1e-7, abs=1e-6 * max(1.0, abs(value)))
    assert row["df"] == df
    assert row["n_unweighted"] == present.height


def test_average_policy_scales_by_the_strata_that_have_a_variance() -> None:
    """R survey, lonely.psu="average": the variance of the sound strata, times all strata over sound strata."""
    frame = pl.concat(
        [FPC_WORLD, FPC_WORLD.filter(pl.col("h") == 1, pl.col("psu") == 1).with_columns(h=pl.lit(3))],
        how="vertical_relaxed",
    )
    by_policy = {
        policy: DesignedSample(frame, Design("w", "h", "psu", lonely=policy)).mean("x")["se"][0]
        for policy in ("remove", "average")
    }
    assert by_policy["average"] == pytest.approx(by_policy["remove"] * math.sqrt(3 / 2), rel=1e-12)


def test_a_lonely_unit_fails_unless_a_policy_is_declared() -> None:
    """The default is to fail; a unit taken with certainty (population of one) is not lonely."""
    frame = FPC_WORLD.filter((pl.col("h") == 1) | (pl.col("psu") == 1))
    with pytest.raises(LonelyPsu) as failure:
        DesignedSample(frame, Design("w", "h", "psu"))
    assert failure.value.got == ["2"]
    certain = frame.with_columns(n_psus=pl.when(pl.col("h") == 2).then(1).otherwise(15))
    row = DesignedSample(certain, Design("w", "h", "psu", fpc="n_psus")).mean("x").row(0, named=True)
    value, se, df = linearise(certain.with_columns(y=pl.col("x"), d=pl.lit(1)), "mean", with_fpc=True)
    _is(row["value"], value)
    _is(row["se"], se)
    assert row["df"] == df == 4


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"w": pl.lit(-1.0)}, "w"),
        ({"w": pl.lit(None, dtype=pl.Float64)}, "w"),
        ({"psu": pl.lit(None, dtype=pl.Int64)}, "psu"),
        ({"n_psus": pl.lit(2)}, "n_psus"),
        ({"n_psus": pl.col("psu") + 20}, "n_psus"),
    ],
)
def test_a_frame_that_contradicts_its_design_is_refused(change: dict[str, pl.Expr], column: str) -> None:
    """Negative and missing weights, missing units, populations below the sample or varying within a stratum."""
    with pytest.raises(DesignFailure) as failure:
        DesignedSample(FPC_WORLD.with_columns(**change), Design("w", "h", "psu", fpc="n_psus"))
    assert failure.value.column == column


def test_nobody_and_everybody_get_an_interval_that_is_not_a_point() -> None:
    """At p = 0 and 1 the logit does not exist: Korn-Graubard on the effective size, one-sided, never (0, 0)."""
    frame = pl.DataFrame({"h": [1] * 20 + [2] * 20, "psu": [i // 4 for i in range(40)], "w": [1.0, 3.0] * 20})
    frame = frame.with_columns(nobody=pl.lit(0), everybody=pl.lit(1))
    sample = DesignedSample(frame, Design("w", "h", "psu"))
    nobody, everybody = (
        sample.proportion("nobody").row(0, named=True),
        sample.proportion("everybody").row(0, named=True),
    )
    assert nobody["interval_code"] == everybody["interval_code"] == "korn_graubard"
    assert (nobody["value"], nobody["lower"]) == (0.0, 0.0)
    # Kish: (Σw)²/Σw² = 80²/200 = 32 of 40; times (t39/t8)²; Clopper-Pearson upper limit for none of that many.
    size = 32 * (2.0226909117 / 2.3060041350) ** 2
    assert nobody["upper"] == pytest.approx(1 - 0.025 ** (1 / size), rel=1e-6)
    assert everybody["upper"] == 1.0
    assert everybody["lower"] == pytest.approx(1 - nobody["upper"], rel=1e-9)


def test_few_cases_take_korn_graubard_and_keep_within_bounds() -> None:
    """Two of forty: the interval is Korn-Graubard, wider than the estimate's neighbourhood and inside 0-1."""
    frame = pl.DataFrame({"psu": [i // 4 for i in range(40)], "w": [1.0] * 40, "y": [1, 1] + [0] * 38})
    sample = DesignedSample(frame, Design("w", psu="psu"))
    row = sample.proportion("y").row(0, named=True)
    assert row["interval_code"] == "korn_graubard"
    assert 0 < row["lower"] < 0.05 < row["upper"] < 1
    assert sample.proportion("y", interval="logit")["interval_code"][0] == "logit"


def test_a_proportion_of_something_else_is_refused() -> None:
    """Codes 1 and 2 are not 1 and 0; a share of them would be published as 150 %."""
    with pytest.raises(ValueError, match="not 0/1"):
        DesignedSample(FPC_WORLD, Design("w", "h", "psu")).proportion("h")


@pytest.mark.parametrize("unit", [1.0, 0.1, 0.7, 1 / 3, 1.1, 1e6])
@pytest.mark.parametrize("n", [4, 6, 10, 14, 20, 50])
def test_the_median_does_not_depend_on_the_unit_of_the_weights(unit: float, n: int) -> None:
    """inf{y: F(y) >= 1/2} of 1..n is n/2 for even n, whatever the weight of a respondent."""
    frame = pl.DataFrame({"y": list(range(1, n + 1)), "psu": list(range(n)), "w": [unit] * n})
    assert DesignedSample(frame, Design("w", psu="psu")).median("y")["value"][0] == n / 2


def test_woodruff_interval_inverts_the_cumulative_share() -> None:
    """By hand: 1..100 once each, own units. se of F = sqrt(p(1-p)/99), t(99) = 1.984217: shares 0.4003 and 0.5997."""
    frame = pl.DataFrame({"y": list(range(1, 101)), "psu": list(range(100)), "w": [2.0] * 100})
    row = DesignedSample(frame, Design("w", psu="psu")).median("y").row(0, named=True)
    assert (row["value"], row["lower"], row["upper"]) == (50.0, 41.0, 60.0)
    assert row["interval_code"] == "woodruff"
    assert row["se"] == pytest.approx((60 - 41) / 2 / 1.9842169516, rel=1e-9)


def test_workers_who_paid_nothing_stay_in_the_median() -> None:
    """Half and one of eleven paid nothing: the median is 0, not the median of those who paid."""
    frame = pl.DataFrame({"y": [0.0] * 6 + [5.0, 6, 7, 8, 9], "psu": list(range(11)), "w": [1.0] * 11})
    assert DesignedSample(frame, Design("w", psu="psu")).median("y")["value"][0] == 0.0


def test_normalised_weights_give_no_totals_and_no_population_counts() -> None:
    """Weights of mean 1 sum to the sample: their total would be published as a population."""
    sample = DesignedSample(FPC_WORLD, Design("w", "h", "psu", weight_kind="normalised"))
    with pytest.raises(DesignFailure):
        sample.total("x")
    row = sample.proportion("above_4").row(0, named=True)
    assert row["numerator"] is None
    assert row["denominator"] is None


def test_a_sample_that_is_not_a_probability_sample_has_no_standard_error() -> None:
    """Weight 1, the plain share, and nothing that would suggest an inference."""
    sample = DesignedSample(FPC_WORLD, Design("w", "h", "psu", is_probability=False))
    row = sample.proportion("above_4").row(0, named=True)
    assert row["value"] == 6 / 8
    assert [row[name] for name in ("se", "lower", "upper", "deff", "cv")] == [None] * 5
    assert row["interval_code"] == "none"
    median = sample.median("x").row(0, named=True)
    assert (median["value"], median["lower"]) == (4.2, None)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(frame=designs(), seed=st.integers(0, 10))
def test_row_order_and_unit_names_do_not_matter(frame: pl.DataFrame, seed: int) -> None:
    """Shuffled rows and renamed units give the same estimates."""
    design = Design("w", "h", "psu", lonely="remove")
    before = DesignedSample(frame, design).mean("y", ["d"])
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed).with_columns(psu=pl.col("psu") * -7)
    after = DesignedSample(shuffled, design).mean("y", ["d"])
    assert before.select("d", "df", "n_unweighted").equals(after.select("d", "df", "n_unweighted"))
    for name in ("value", "se"):
        assert after[name].to_list() == pytest.approx(before[name].to_list(), rel=1e-7, abs=1e-6, nan_ok=True)
