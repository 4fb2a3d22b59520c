"""California's Academic Performance Index samples: the numbers that every survey package is compared with.

`tests/goldens/survey_apistrat.csv` and `survey_apiclus1.csv` hold the few columns needed (stratum or district, api00, enrolment,
students tested, target met, no English learners), facts published by the California Department of Education in 2000, as they stand in
R survey's `data(api)`. Reference values: cran/survey tests/testoutput/api.Rout.saved and the example of svyciprop, recomputed in full
precision by an independent linearisation. Weights are single-precision numbers in the source, hence their odd digits.
"""

from pathlib import Path

import polars as pl
import pytest

from methods.survey_design import Design
from methods.survey_estimation import DesignedSample

GOLDENS = Path(__file__).parents[1] / "goldens"
WEIGHTS = {"E": 44.2099990844727, "H": 15.1000003814697, "M": 20.3600006103516}
SCHOOLS = {"E": 4421, "H": 755, "M": 1018}
GOLDEN = 1e-9


@pytest.fixture(scope="module")
def apistrat() -> pl.DataFrame:
    """200 schools, stratified by type."""
    return pl.read_csv(GOLDENS / "survey_apistrat.csv").with_columns(
        pl.col("stype").replace_strict(WEIGHTS).alias("pw"),
        pl.col("stype").replace_strict(SCHOOLS).alias("fpc"),
        pl.int_range(pl.len()).alias("school"),
    )


@pytest.fixture(scope="module")
def apiclus1() -> pl.DataFrame:
    """183 schools, all those of 15 of 757 districts."""
    return pl.read_csv(GOLDENS / "survey_apiclus1.csv").with_columns(pw=pl.lit(33.846996307373), fpc=pl.lit(757))


def _check(row: dict[str, object], value: float, se: float, df: int | None = None) -> None:
    assert row["value"] == pytest.approx(value, rel=GOLDEN)
    assert row["se"] == pytest.approx(se, rel=GOLDEN)
    if df is not None:
        assert row["df"] == df


def test_stratified_mean_total_and_ratio(apistrat: pl.DataFrame) -> None:
    """Published: 662.29 (9.4089); 3687178 (114642); 0.8369569 (0.007757103)."""
    sample = DesignedSample(apistrat, Design("pw", "stype", "school", fpc="fpc"))
    _check(sample.mean("api00").row(0, named=True), 662.2873631593205, 9.40894080278458, 197)
    _check(sample.total("enroll").row(0, named=True), 3687177.53243828, 114641.71610078032, 197)
    _check(sample.ratio("api_stu", "enroll").row(0, named=True), 0.8369568869405217, 0.007757103166637878, 197)


def test_stratified_mean_without_population_correction(apistrat: pl.DataFrame) -> None:
    """The same estimate with the larger error of sampling with replacement."""
    plain = DesignedSample(apistrat, Design("pw", "stype"))
    _check(plain.mean("api00").row(0, named=True), 662.2873631593205, 9.536132296925155, 197)


def test_stratified_domain(apistrat: pl.DataFrame) -> None:
    """Enrolment of the schools that met their targets, a domain on the full design."""
    sample = DesignedSample(apistrat, Design("pw", "stype", "school", fpc="fpc"))
    row = sample.mean("enroll", ["comp_imp"]).filter(pl.col("comp_imp") == "Y").row(0, named=True)
    _check(row, 516.6729189323786, 22.300333925805575)


def test_clustered_mean_total_and_rare_share(apiclus1: pl.DataFrame) -> None:
    """Published: 644.17 (23.542); 3404940 (932235). Four of 183 schools have no English learners: logit as R gives it, when asked."""
    sample = DesignedSample(apiclus1, Design("pw", psu="dnum", fpc="fpc"))
    _check(sample.mean("api00").row(0, named=True), 644.1693989071039, 23.54224069378104, 14)
    _check(sample.total("enroll").row(0, named=True), 3404940.1345291086, 932235.0270412137, 14)
    logit = sample.proportion("has_no_learners", interval="logit").row(0, named=True)
    _check(logit, 0.02185792349726776, 0.02262245086113394, 14)
    assert (logit["lower"], logit["upper"]) == pytest.approx((0.0023046913, 0.1777477668), abs=1e-10)
    # Left to itself the estimate takes Korn-Graubard here: fewer than five schools have the trait.
    chosen = sample.proportion("has_no_learners").row(0, named=True)
    assert chosen["interval_code"] == "korn_graubard"
    assert 0 < chosen["lower"] < 0.0219 < chosen["upper"]
