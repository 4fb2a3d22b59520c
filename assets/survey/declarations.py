"""What is declared about surveys in TOML: the recode and the design of every wave, and the measures that are estimated.

Reading and checking the declarations only. They are data with an owner and a date: adding a wave is two files here, adding an
estimate is one entry. What a column may hold is said once, in the catalogue entry of `core.survey_person`.
"""

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from assets.survey.faults import DeclarationFault
from methods.money import Rate
from methods.survey_design import Design
from warehouse.catalogue.table_catalogue import load_tables

HERE = Path(__file__).parent
MissingReason = Literal["not_in_universe", "refused", "dont_know", "error"]
Codes = dict[str, tuple[str, ...]]
Model = TypeVar("Model", bound=BaseModel)


class Declaration(BaseModel):
    """A frozen piece of a TOML file; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceFile(Declaration):
    """One file of a wave. `keys` link the files; the first file listed is the one whose rows are the persons."""

    role: str
    name: str = Field(description="Name of the file in the inbox, or a pattern with *")
    keys: tuple[str, ...] = ()
    cardinality: Literal["person", "many_to_one", "one_to_one"] = "person"
    identifiers: tuple[str, ...] = Field((), description="Columns known to identify people; never read")
    where: Codes = {}
    aggregate: dict[str, str] = {}


class RecodedVariable(Declaration):
    """How one column of the harmonised record comes from one source variable (or from a constant)."""

    target: str
    source: str | None = None
    file: str | None = None
    constant: str | None = None
    codes: dict[str, str | bool | int | float] = {}
    labels: dict[str, str] = {}
    missing: dict[str, MissingReason] = {}
    universe: Codes = {}
    blank: MissingReason | None = None
    minimum: float | None = None
    maximum: float | None = None
    divide_by: float = 1.0
    note: str = ""

    @model_validator(mode="after")
    def _one_origin(self) -> "RecodedVariable":
        if (self.source is None) == (self.constant is None):
            raise ValueError(f"{self.target}: give either source or constant")
        open_codes = [code for code, value in self.codes.items() if value == "?"]
        if open_codes:
            raise ValueError(
                f"{self.source or self.target}: codes {', '.join(open_codes)} still say '?', as the draft left them"
            )
        return self


class Rule(Declaration):
    """`value` when every column in `when` has one of the listed values (as text; "true"/"false" for yes/no columns)."""

    value: str | bool | int | float
    when: Codes = {}
    minimum: dict[str, float] = {}
    maximum: dict[str, float] = {}


class DerivedVariable(Declaration):
    """A column worked out from other harmonised columns: the first rule that fits decides, none leaves it missing."""

    target: str
    rules: tuple[Rule, ...]
    note: str = ""


class Recode(Declaration):
    """Everything needed to turn the files of one wave into harmonised persons."""

    survey_code: str
    wave_code: str
    owner: str
    dated: str
    files: tuple[SourceFile, ...] = Field(alias="file", min_length=1)
    variables: tuple[RecodedVariable, ...] = Field(alias="variable", min_length=1)
    derived: tuple[DerivedVariable, ...] = Field((), alias="derive")

    @property
    def key(self) -> tuple[str, str]:
        """Survey and wave."""
        return self.survey_code, self.wave_code

    @property
    def part_code(self) -> str:
        """The wave as part of the survey source."""
        return f"{self.survey_code}-{self.wave_code}"

    def sources_of(self, file: SourceFile) -> list[str]:
        """Source variables that are wanted from one file, in order: keys, then recoded variables, then universes."""
        first = self.files[0].role
        wanted: list[str] = list(file.keys) + list(file.where)
        for variable in self.variables:
            if (variable.file or first) != file.role:
                continue
            if variable.source is not None and variable.source not in file.aggregate:
                wanted.append(variable.source)
            wanted += list(variable.universe)
        wanted += [spec.split(":", 1)[1] for spec in file.aggregate.values() if ":" in spec]
        return list(dict.fromkeys(name for name in wanted if name not in file.aggregate))


class ExchangeRate(Declaration):
    """How many units of a currency one US dollar cost in a year, and who says so."""

    currency_code: str
    year: int
    per_usd: float = Field(gt=0)
    source: str


class WaveDesign(Declaration):
    """How one wave was sampled and what may be inferred from it."""

    survey_code: str
    wave_code: str
    title: str
    producer: str
    country_code: str
    period_code: str
    field_start_on: str
    field_end_on: str
    population: str
    migrant_basis_code: str
    stages: str
    strata: str | None = None
    psu: str | None = None
    fpc: str | None = None
    weight_kind: Literal["expansion", "normalised"]
    is_probability: bool = True
    lonely: Literal["fail", "remove", "certainty", "adjust", "average"] = "fail"
    deff_reference: Literal["srs_wr", "srs_wor"] = "srs_wr"
    is_practice: bool
    owner: str
    dated: str
    note: str = ""
    exchange_rates: tuple[ExchangeRate, ...] = Field((), alias="exchange_rate")

    @property
    def key(self) -> tuple[str, str]:
        """Survey and wave."""
        return self.survey_code, self.wave_code

    @property
    def survey_year(self) -> int:
        """The year in which the interviews ended: amounts are of this year."""
        return int(self.field_end_on[:4])

    def with_rates(self, official: Iterable[Rate]) -> "WaveDesign":
        """The design with official rates of its year for currencies of which it declares none itself."""
        declared = {rate.currency_code for rate in self.exchange_rates if rate.year == self.survey_year}
        added = tuple(
            ExchangeRate(currency_code=rate.currency_code, year=rate.year, per_usd=rate.per_usd, source=rate.source)
            for rate in official
            if rate.year == self.survey_year and rate.currency_code not in declared
        )
        return self.model_copy(update={"exchange_rates": (*self.exchange_rates, *added)})

    def design(self, weight: str = "weight") -> Design:
        """The design as the estimation wants it."""
        if not self.is_probability:
            return Design(
                weight, weight_kind=self.weight_kind, is_probability=False, deff_reference=self.deff_reference
            )
        return Design(weight, self.strata, self.psu, self.fpc, self.weight_kind, True, self.lonely, self.deff_reference)


class Measure(Declaration):
    """One published quantity: which respondents, which value, which statistic, which breakdowns."""

    code: str
    title: str
    statistic: Literal["proportion", "mean", "total", "ratio", "median", "difference"]
    value: str
    relative_to: str | None = None
    universe: Codes = {}
    minimum: dict[str, float] = {}
    maximum: dict[str, float] = {}
    requires: tuple[str, ...] = ()
    weight: Literal["person", "household_member"] = "person"
    category_code: str = "_T"
    breakdowns: tuple[tuple[str, ...], ...] = ((),)
    age_bands: tuple[str, ...] = ()
    is_standardised: bool = False
    contrast: tuple[str, str, str] | None = Field(None, description="Column, code, code it is compared with")
    surveys: tuple[str, ...] = ()
    source: str
    note: str = ""


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file. Raises: `DeclarationFault` when it is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as cause:
        raise DeclarationFault(f"{path.name} is not valid TOML: {cause}", file=path.name) from cause


def declared(model: type[Model], content: Mapping[str, Any], file: str) -> Model:
    """The declaration that `content` is. Raises: `DeclarationFault` naming the file, the key and the nearest known one."""
    try:
        return model.model_validate(content)
    except ValidationError as cause:
        fault = cause.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        known = [field.alias or name for name, field in model.model_fields.items()]
        near = get_close_matches(str(fault["loc"][-1]) if fault["loc"] else "", known, 1)
        hint = f"; did you mean {near[0]!r}?" if fault["type"] == "extra_forbidden" and near else ""
        raise DeclarationFault(f"{file}: {where}: {fault['msg']}{hint}", file=file, variable=where) from cause


def load_recodes(folder: Path = HERE / "recodes") -> dict[tuple[str, str], Recode]:
    """Every recode, by survey and wave; each target is a column of the catalogue's harmonised record."""
    columns = {column.name for column in load_tables()["core.survey_person"].own_columns}
    recodes: dict[tuple[str, str], Recode] = {}
    for path in sorted(folder.glob("*.toml")):
        recode = declared(Recode, read_toml(path), path.name)
        roles = {file.role for file in recode.files}
        targets: list[RecodedVariable | DerivedVariable] = [*recode.variables, *recode.derived]
        for variable in targets:
            if variable.target not in columns:
                near = get_close_matches(variable.target, columns, 1)
                hint = f"; nearest: {near[0]}" if near else ""
                message = f"{path.name}: {variable.target} is not a column of core.survey_person{hint}"
                raise DeclarationFault(message, file=path.name, variable=variable.target)
            if isinstance(variable, RecodedVariable) and variable.file is not None and variable.file not in roles:
                raise DeclarationFault(
                    f"{path.name}: {variable.target}: no file has role {variable.file}", file=path.name
                )
        recodes[recode.key] = recode
    return recodes


def load_designs(folder: Path = HERE / "designs") -> dict[tuple[str, str], WaveDesign]:
    """The design of every wave, by survey and wave."""
    designs = (declared(WaveDesign, read_toml(path), path.name) for path in sorted(folder.glob("*.toml")))
    return {design.key: design for design in designs}


def load_measures(folder: Path = HERE / "measures") -> list[Measure]:
    """Every measure, in file order; a code may have several entries (categories), each with its own category."""
    measures: list[Measure] = []
    for path in sorted(folder.glob("*.toml")):
        content = read_toml(path)
        for entry in content.get("measure", []):
            measures.append(declared(Measure, entry, path.name))
        unknown = set(content) - {"measure"}
        if unknown:
            raise DeclarationFault(f"{path.name}: unknown keys {sorted(unknown)}", file=path.name)
    return measures
