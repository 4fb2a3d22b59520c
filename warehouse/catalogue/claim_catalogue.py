"""Claims: published statements about the warehouse's subject, each with its citation, and what it can be compared with.

Belongs here: the typed model of `claims/*.toml` and its loading. Does not belong here: comparing (`warehouse.publishing.claims`,
`methods.claims`). Specification: docs/claims.md.
"""

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from methods.claims import Sense, Stated
from warehouse.catalogue.indicator_catalogue import DIMENSIONS, indicator_catalogue
from warehouse.catalogue.regional_catalogue import Entry, Text
from warehouse.catalogue.table_catalogue import CATALOGUE, CatalogueError, load_codelist, read_entry, tables


class FigureTarget(Entry):
    """A figure of the release: indicator and breakdown; area and period are those of the claim. Several `areas` or codes of a
    breakdown are added up, and only where every one of them is shown.

    `quantity` is the column compared, `factor` turns it into the unit of the claim. `periods`: `own` the claim's period; `sum_to`
    all years up to it together; `newest` also looks at later periods (a level that goes on). `rounding`: the last digit that the
    warehouse's own figure gives, where that is itself rounded.
    """

    kind: Literal["figure"]
    indicator: str
    by: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    areas: tuple[str, ...] = ()
    quantity: Literal["value", "numerator", "denominator"] = "value"
    periods: Literal["own", "sum_to", "newest"] = "own"
    factor: float = 1.0
    rounding: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _known_breakdown(self) -> "FigureTarget":
        unknown = sorted(set(self.by) - set(DIMENSIONS))
        if unknown:
            raise ValueError(f"by names {unknown}, which are no dimensions: {', '.join(DIMENSIONS)}")
        return self


class SeriesTarget(Entry):
    """A figure of a public reference series: sums over the listed codes, over another such sum (`share_of_ages`), or the rank of
    the area among the members (`rank`). Without `edition` the edition that indicators use."""

    kind: Literal["series"]
    series: str
    edition: str | None = None
    sexes: tuple[str, ...] = ("_T",)
    ages: tuple[str, ...] = ("_T",)
    share_of_ages: tuple[str, ...] = ()
    rank: bool = False
    factor: float = 1.0
    rounding: float = Field(default=0.0, ge=0)


class RegisterTarget(Entry):
    """A public register: how many different `distinct` its rows have, or the one value of `column`."""

    kind: Literal["register"]
    table: str
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    distinct: str | None = None
    column: str | None = None
    factor: float = 1.0
    rounding: float = 0.0

    @model_validator(mode="after")
    def _one_quantity(self) -> "RegisterTarget":
        if (self.distinct is None) == (self.column is None):
            raise ValueError("a register target needs exactly one of: distinct, column")
        return self


class ClaimTarget(Entry):
    """Another published statement of this ledger, or the quotient of two: what can be said where the warehouse holds no series."""

    kind: Literal["claim"]
    code: str
    over: str | None = None
    factor: float = 1.0
    rounding: float = 0.0


Target = Annotated[FigureTarget | SeriesTarget | RegisterTarget | ClaimTarget, Field(discriminator="kind")]


class Claim(Entry):
    """One statement: what was said, by whom, about which area and period, how exactly, and what it is compared with.

    `rows`: rows of the checklist that make it. `stated_in`: day, month or year in which it was made, as far as known. `edition`: the
    release or edition that the statement names. `against` the figure of its own time, `newer` that of a newer edition; a claim with
    neither says why it cannot be compared.
    """

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    rows: tuple[int, ...] = ()
    statement: Text
    value: float
    upper: float | None = None
    sense: Sense
    rounding: float = Field(gt=0)
    unit: str
    area: str
    period: str
    stated_in: str = ""
    edition: str = ""
    citation: str = Field(min_length=3)
    confidence: str
    against: Target | None = None
    newer: Target | None = None
    not_comparable: Text | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Claim":
        if (self.against is None) == (self.not_comparable is None):
            raise ValueError("a claim has either `against` or the reason why there is nothing (`not_comparable`)")
        if self.newer is not None and self.against is None:
            raise ValueError("`newer` stands beside `against`")
        if (self.sense == "between") != (self.upper is not None):
            raise ValueError("a range has sense 'between' and an `upper`, other claims have neither")
        if self.upper is not None and self.upper <= self.value:
            raise ValueError("`upper` must lie above `value`")
        for name, known in (("unit", "claim_unit"), ("confidence", "confidence")):
            codes = [code.code for code in load_codelist(known)]
            if getattr(self, name) not in codes:
                raise ValueError(f"{name} {getattr(self, name)!r} is not in the code list {known}: {', '.join(codes)}")
        if any(not 1 <= row <= 60 for row in self.rows):
            raise ValueError("the checklist has rows 1 to 60")
        return self

    @property
    def stated(self) -> Stated:
        """The statement as arithmetic sees it."""
        return Stated(self.value, self.sense, self.rounding, self.upper)


class _Claims(Entry):
    claim: tuple[Claim, ...] = Field(min_length=1)


def load_claims(folder: Path | None = None) -> tuple[Claim, ...]:
    """Every claim, in order of file and entry. Raises CatalogueError for a wrong file, a code used twice, or a claim compared with
    one that does not exist or is itself compared with a claim."""
    found: dict[str, Claim] = {}
    for path in sorted((folder or CATALOGUE / "claims").glob("*.toml")):
        for claim in read_entry(path, _Claims).claim:
            if claim.code in found:
                raise CatalogueError(f"{path.name}: claim {claim.code} is there twice.", file=path.name, key="code")
            found[claim.code] = claim
    for claim in found.values():
        for target in (claim.against, claim.newer):
            _refuse_unknown(claim.code, target)
            for code in (target.code, target.over) if isinstance(target, ClaimTarget) else ():
                if code is not None and (code not in found or code == claim.code):
                    raise CatalogueError(
                        f"claim {claim.code} is compared with {code!r}, which is no other claim.",
                        file="claims",
                        key="code",
                    )
    return tuple(found.values())


def _refuse_unknown(code: str, target: Target | None) -> None:
    """CatalogueError for a target that names an indicator, a public register or a column that does not exist."""
    if isinstance(target, FigureTarget) and target.indicator not in indicator_catalogue().indicators:
        raise CatalogueError(
            f"claim {code} is compared with indicator {target.indicator}, which the catalogue does not have.",
            file="claims", key="indicator",
        )  # fmt: skip
    if isinstance(target, RegisterTarget):
        table = tables().get(f"core.{target.table}")
        named = {*target.where, target.distinct or target.column}
        if table is None or table.access != "public" or not named <= set(table.column_names):
            raise CatalogueError(
                f"claim {code} is compared with {', '.join(sorted(map(str, named)))} of register {target.table!r}; name a public"
                " table of core and columns that it has.",
                file="claims", key="table",
            )  # fmt: skip


@cache
def claims() -> tuple[Claim, ...]:
    """The claims shipped with the code."""
    return load_claims()
