"""What a sample design is, and which designs are refused before anything is estimated.

A design says how the respondents were drawn: strata, first-stage units, weights, finite population, whether it was a probability
sample at all, and what is done with a stratum that holds one single unit. The declarations of particular surveys do not belong
here (`assets/survey/waves/`), nor does the estimation itself (`survey_estimation`).
"""

from dataclasses import dataclass
from typing import Literal

import polars as pl

WeightKind = Literal["expansion", "normalised"]
LonelyPolicy = Literal["fail", "remove", "certainty", "adjust", "average"]
DeffReference = Literal["srs_wr", "srs_wor"]


class DesignFailure(ValueError):
    """The frame contradicts its declared design; the provider or the declaration must be mended before estimating."""

    def __init__(self, message: str, *, column: str | None = None, got: object = None) -> None:
        super().__init__(message)
        self.column = column
        self.got = got


class LonelyPsu(DesignFailure):
    """A stratum holds one first-stage unit and the design says to fail; declare a policy or merge the stratum."""


@dataclass(frozen=True)
class Design:
    """The columns that carry the sample design, and the choices that an estimate depends on.

    `strata`, `psu` and `fpc` are column names or None; `fpc` counts the first-stage units of the stratum in the population.
    PSU codes are read within their stratum. `is_probability` false means: unweighted shares, no standard error, ever.
    """

    weight: str
    strata: str | None = None
    psu: str | None = None
    fpc: str | None = None
    weight_kind: WeightKind = "expansion"
    is_probability: bool = True
    lonely: LonelyPolicy = "fail"
    deff_reference: DeffReference = "srs_wr"

    @property
    def columns(self) -> list[str]:
        """Columns that every frame of this design must have."""
        named = [self.weight, self.strata, self.psu, self.fpc]
        return [column for column in named if column is not None]


def check_design(frame: pl.DataFrame, design: Design) -> list[str]:
    """The strata that hold one unit (certainty units apart), once weights, strata, units and populations are known to be sound.

    Raises: `DesignFailure` for a missing column, a missing or negative weight, a missing stratum or unit, a stratum with two
    population counts or with fewer units in the population than in the sample.
    """
    for column in design.columns:
        if column not in frame.columns:
            raise DesignFailure(f"design column {column} is not in the frame", column=column)
        nulls = frame[column].null_count()
        if nulls:
            raise DesignFailure(f"design column {column} is missing on {nulls} rows", column=column, got=nulls)
    weight = frame[design.weight].cast(pl.Float64)
    unsound = int(((weight < 0) | ~weight.is_finite()).sum())
    if unsound:
        raise DesignFailure(
            f"weight {design.weight} is negative or infinite on {unsound} rows", column=design.weight, got=unsound
        )
    if not design.is_probability:
        return []
    stratum = pl.col(design.strata) if design.strata else pl.lit("")
    units = pl.col(design.psu).n_unique() if design.psu else pl.len()
    population = pl.col(design.fpc).cast(pl.Float64) if design.fpc else pl.lit(float("inf"))
    by_stratum = frame.group_by(stratum.cast(pl.String).alias("stratum")).agg(
        units.alias("units"), population.min().alias("least"), population.max().alias("most")
    )
    if design.fpc:
        wrong = by_stratum.filter((pl.col("least") != pl.col("most")) | (pl.col("least") < pl.col("units")))
        if wrong.height:
            raise DesignFailure(
                f"population count {design.fpc} varies within, or is below the units of, stratum {wrong['stratum'][0]}",
                column=design.fpc,
                got=wrong["stratum"].to_list(),
            )
    lonely = by_stratum.filter((pl.col("units") == 1) & (pl.col("least") > 1)).sort("stratum")["stratum"].to_list()
    if lonely and design.lonely == "fail":
        raise LonelyPsu(
            f"{len(lonely)} strata hold one unit, first {lonely[0]!r}; declare a lonely-PSU policy or merge strata",
            column=design.strata,
            got=lonely,
        )
    return lonely
