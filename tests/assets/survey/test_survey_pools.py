"""Pools: what they refuse, and a pooled estimate worked out by hand from two small surveys."""

from pathlib import Path

import polars as pl
import pytest

from assets.survey.declarations import DeclarationFault, Measure, WaveDesign, load_designs, load_measures
from assets.survey.estimate import estimate_frame
from assets.survey.pools import PoolPlan, load_pools
from assets.survey.recode import record_types

MEASURE = Measure(
    code="M", title="t", statistic="proportion", value="is_insured_here", source="s",
    universe={"migrant_status_code": ["2"]}, breakdowns=[[], ["sex_code"], ["migrant_status_code"]],
)  # fmt: skip
POOL = """
code = "P"
title = "two countries"
area_code = "ASEAN"
period_code = "2025"
measures = ["{measure}"]
owner = "o"
dated = "2026-01-01"
breakdowns = {breakdowns}
[[part]]
survey_code = "{first}"
wave_code = "1"
population = 900
population_source = "s"
[[part]]
survey_code = "{second}"
wave_code = "1"
population = 100
population_source = "s"
"""


def design(survey: str, country: str, **more: object) -> WaveDesign:
    content = {
        "survey_code": survey, "wave_code": "1", "title": "t", "producer": "p", "country_code": country, "period_code": "2025",
        "field_start_on": "2025-01-01", "field_end_on": "2025-03-31", "population": "all", "migrant_basis_code": "C",
        "stages": "one", "strata": "stratum_code", "psu": "psu_code", "weight_kind": "normalised", "is_practice": True,
        "owner": "o", "dated": "2026-01-01", **more,
    }  # fmt: skip
    return WaveDesign.model_validate(content)


DESIGNS = {
    (found.survey_code, "1"): found
    for found in (
        design("BIG", "AAA"), design("SMALL", "BBB"), design("TWIN", "AAA"), design("CLINIC", "CCC", is_probability=False),
    )
}  # fmt: skip


def people(survey: str, insured: list[bool | None], statuses: list[str], weight: float) -> pl.DataFrame:
    """One stratum, units of two people each; men and women in turn."""
    n = len(insured)
    given = {
        "survey_code": [survey] * n, "wave_code": ["1"] * n, "person_number": list(range(n)), "stratum_code": ["1"] * n,
        "psu_code": [str(i // 2) for i in range(n)], "weight": [weight] * n, "missing_codes": ["{}"] * n,
        "is_practice": [True] * n, "is_insured_here": insured, "migrant_status_code": statuses, "sex_code": ["F", "M"] * (n // 2),
    }  # fmt: skip
    return pl.DataFrame(
        {name: pl.Series(given.get(name, [None] * n), dtype=dtype) for name, dtype in record_types().items()}
    )


def written(folder: Path, **more: str) -> Path:
    text = POOL.format(**{"measure": "M", "first": "BIG", "second": "SMALL", "breakdowns": "[[]]", **more})
    (folder / "p.toml").write_text(text, encoding="utf-8")
    return folder


def test_a_pooled_share_by_hand(tmp_path: Path) -> None:
    """BIG stands for 900, half of them migrants, half of those insured: 450 and 225. SMALL stands for 100, all of them
    migrants, all insured. (225 + 100) / (450 + 100), whatever the surveys' own weights sum to."""
    big = people("BIG", [True, True, False, False] * 30, ["2", "0", "2", "0"] * 30, 1.0)
    small = people("SMALL", [True] * 60, ["2"] * 60, 1000.0)
    plans = load_pools(DESIGNS, [MEASURE], written(tmp_path, breakdowns='[[], ["sex_code"]]'))
    found = estimate_frame(pl.concat([big, small]), DESIGNS, [MEASURE], pools=plans)
    pooled = found.filter(pl.col("area_code") == "ASEAN")
    whole = pooled.filter(pl.col("sex_code") == "_T").row(0, named=True)
    assert whole["value"] == pytest.approx(325 / 550, rel=1e-9)
    assert whole["denominator"] == pytest.approx(550, rel=1e-9)
    assert whole["n_unweighted"] == 120
    # 60 + 30 units less two strata: equal codes of strata and units in two countries stay two.
    assert whole["df"] == 88
    assert whole["part_area_codes"] == ["AAA", "BBB"]
    assert (whole["survey_code"], whole["period_code"], whole["migrant_basis_code"]) == ("P", "2025", "_T")
    men = pooled.filter(pl.col("sex_code") == "M")
    assert men.height == 1, "the men of SMALL are insured; those of BIG are no migrants"
    assert men["value"][0] == 1.0
    alone = estimate_frame(pl.concat([big, small]), DESIGNS, [MEASURE])
    assert found.filter(pl.col("area_code") != "ASEAN").equals(alone), "a pool changes no figure of a country"


def test_one_wave_alone_is_no_pool(tmp_path: Path) -> None:
    plans = load_pools(DESIGNS, [MEASURE], written(tmp_path))
    big = people("BIG", [True, False] * 60, ["2"] * 120, 1.0)
    not_asked = people("SMALL", [None] * 60, ["2"] * 60, 1.0)
    found = estimate_frame(pl.concat([big, not_asked]), DESIGNS, [MEASURE], pools=plans)
    assert set(found["area_code"]) == {"AAA"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"measure": "N"}, "N is no measure"),
        ({"second": "OTHER"}, "OTHER 1 has no design"),
        ({"second": "CLINIC"}, "CLINIC 1 is not a probability sample"),
        ({"second": "TWIN"}, "two waves of one country"),
        ({"second": "BIG"}, "named twice"),
        ({"breakdowns": '[["migrant_status_code"]]'}, "mean the same in every survey"),
    ],
)
def test_an_unsound_pool_is_refused_in_a_sentence(tmp_path: Path, change: dict[str, str], told: str) -> None:
    with pytest.raises(DeclarationFault, match=told):
        load_pools(DESIGNS, [MEASURE], written(tmp_path, **change))


def test_the_declared_pools_fit_the_declared_surveys() -> None:
    pools = load_pools(load_designs(), load_measures())
    assert all(isinstance(plan, PoolPlan) for plan in pools)
    assert {plan.area_code for plan in pools} == {"ASEAN"}
