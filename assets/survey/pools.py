"""Regional estimates from several surveys: which waves are pooled, for which measures, and the population that each stands for.

Belongs here: the declared pools and putting their parts side by side. Does not belong here: the arithmetic of a pooled sample
(`methods.survey_comparison.pooled`), the choice of the regional rule of an indicator (its catalogue entry).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
from pydantic import Field, model_validator

from assets.survey.declarations import Declaration, Measure, WaveDesign, declared, read_toml
from assets.survey.faults import DeclarationFault
from methods.survey_comparison import Pool, pooled
from methods.survey_estimation import DesignedSample

HERE = Path(__file__).parent
VALUES = ("__value", "__relative", "sex_code", "age_code")
"""What a pooled estimate may use of a person: the answer, and breakdowns that mean the same in every survey."""


class PoolPart(Declaration):
    """One wave of a pool, and the population to which its weights are rescaled, with its source."""

    survey_code: str
    wave_code: str
    population: float = Field(gt=0)
    population_source: str


class PoolPlan(Declaration):
    """One pool: waves of different countries that answer the same questions in the same period."""

    code: str
    title: str
    area_code: str
    period_code: str
    measures: tuple[str, ...]
    breakdowns: tuple[tuple[str, ...], ...] = ((),)
    owner: str
    dated: str
    note: str = ""
    parts: tuple[PoolPart, ...] = Field(alias="part", min_length=2)

    @model_validator(mode="after")
    def _sound(self) -> "PoolPlan":
        waves = [(part.survey_code, part.wave_code) for part in self.parts]
        if len(set(waves)) != len(waves):
            raise ValueError("a wave is named twice; it would count twice")
        wrong = {name for by in self.breakdowns for name in by} - {"sex_code", "age_code"}
        if wrong:
            raise ValueError(f"breakdowns by {sorted(wrong)}: only sex_code and age_code mean the same in every survey")
        return self


def load_pools(
    designs: Mapping[tuple[str, str], WaveDesign], measures: Sequence[Measure], folder: Path = HERE / "pools"
) -> list[PoolPlan]:
    """Every pool, in file order. Raises: `DeclarationFault` for a wave without a design, a sample without probabilities, two
    waves of one country, or a measure that nobody declared."""
    pools = [declared(PoolPlan, read_toml(path), path.name) for path in sorted(folder.glob("*.toml"))]
    known = {measure.code for measure in measures}
    for plan in pools:
        for code in plan.measures:
            if code not in known:
                raise DeclarationFault(
                    f"pool {plan.code}: {code} is no measure of assets/survey/measures", file=plan.code
                )
        countries = []
        for part in plan.parts:
            design = designs.get((part.survey_code, part.wave_code))
            if design is None or not design.is_probability:
                what = "has no design" if design is None else "is not a probability sample"
                raise DeclarationFault(f"pool {plan.code}: {part.survey_code} {part.wave_code} {what}", file=plan.code)
            countries.append(design.country_code)
        if len(set(countries)) != len(countries):
            raise DeclarationFault(
                f"pool {plan.code}: two waves of one country ({', '.join(countries)}); its people would count twice",
                file=plan.code,
            )
    return pools


Framed = Callable[[pl.DataFrame, WaveDesign, Measure], pl.DataFrame | None]
"""A wave with the value and the weight of one measure on every row; None when the wave did not ask it."""


def pooled_sample(
    plan: PoolPlan,
    measure: Measure,
    waves: Mapping[tuple[str, str], pl.DataFrame],
    designs: Mapping[tuple[str, str], WaveDesign],
    framed: Framed,
) -> tuple[DesignedSample, list[WaveDesign]] | None:
    """The pooled sample of one measure and the designs of the waves that are in it; None with fewer than two of them."""
    parts, taken = [], []
    for part in plan.parts:
        key = (part.survey_code, part.wave_code)
        frame = framed(waves[key], designs[key], measure) if key in waves else None
        if frame is None:
            continue
        design = designs[key].design("__weight")
        code = f"{designs[key].country_code}:{part.survey_code}:{part.wave_code}"
        parts.append(Pool(code, frame, design, part.population))
        taken.append(designs[key])
    if len(parts) < 2:
        return None
    return pooled(parts, VALUES), taken
