"""Raw codes of one wave become harmonised persons; what does not fit becomes a rejection or a finding, never a guess.

Pure: text codes and a recode in, a frame out. An empty cell always says why (`missing_codes`): not in the universe, refused, not
known, missing in error. A column that the wave did not ask is empty and says nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from assets.survey.declarations import DerivedVariable, Recode, RecodedVariable, Rule
from assets.survey.readers import Variable
from warehouse.catalogue.table_catalogue import tables

TABLE = "staging.survey_person"
POLARS_TYPES: dict[str, pl.DataType] = {
    "varchar": pl.String(), "json": pl.String(), "integer": pl.Int64(), "bigint": pl.Int64(), "double": pl.Float64(),
    "boolean": pl.Boolean(), "date": pl.String(), "varchar[]": pl.List(pl.String()),
}  # fmt: skip
"""Column types of the catalogue as they stand in frames; the store casts dates from their ISO text."""

ADMINISTRATIVE = ("survey_code", "wave_code", "person_number", "missing_codes", "is_practice")


@dataclass(frozen=True)
class Finding:
    """One remark about one variable or code of a delivered file."""

    finding_code: str
    source_variable: str
    source_code: str
    detail: str
    record_count: int = 0


@dataclass(frozen=True)
class Recoded:
    """Harmonised persons with their rejections, and what was remarked on the way."""

    frame: pl.DataFrame
    findings: list[Finding]


def record_types() -> dict[str, pl.DataType]:
    """Columns of the harmonised record with their polars types, as the catalogue has them."""
    return {column.name: POLARS_TYPES[column.type] for column in tables()[TABLE].own_columns}


def recode(raw: pl.DataFrame, variables: Mapping[str, Variable], plan: Recode, *, is_practice: bool) -> Recoded:
    """The persons of one wave in the columns of `staging.survey_person`, plus `rejections`.

    `raw` has one row per person, all columns text; those of further files are already joined. *Rows*: as many as in `raw`.
    """
    types = record_types()
    findings: list[Finding] = []
    values: list[pl.Expr] = []
    reasons: dict[str, pl.Expr] = {}
    rejections: list[pl.Expr] = []
    for variable in plan.variables:
        dtype = types[variable.target]
        if variable.constant is not None:
            values.append(pl.lit(variable.constant).cast(dtype).alias(variable.target))
            continue
        findings += _compare_labels(variable, variables)
        value, reason, rejection = _recode_one(variable, dtype)
        values.append(value.alias(variable.target))
        reasons[variable.target] = reason
        rejections.append(rejection)
        findings += _stray_values(raw, variable)
    asked = raw.with_row_index("__row").select(
        pl.col("__row"),
        *values,
        *[reason.alias(f"__why_{name}") for name, reason in reasons.items()],
        pl.concat_list([r.alias(f"r{i}") for i, r in enumerate(rejections)]).list.drop_nulls().alias("rejections"),
    )
    for derived in plan.derived:
        asked = _derive(asked, derived, types[derived.target], reasons)
    absent = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in types.items() if name not in asked.columns]
    told = asked.with_columns(
        pl.lit(plan.survey_code).alias("survey_code"),
        pl.lit(plan.wave_code).alias("wave_code"),
        (pl.col("__row").cast(pl.Int64) + 1).alias("person_number"),
        pl.lit(is_practice).alias("is_practice"),
        _missing_json(sorted(name for name in asked.columns if name.startswith("__why_"))).alias("missing_codes"),
        *[expression for expression in absent if expression.meta.output_name() not in ADMINISTRATIVE],
    )
    required = [c.name for c in tables()[TABLE].own_columns if not c.nullable and c.name not in ADMINISTRATIVE]
    blanks = [pl.when(pl.col(name).is_null()).then(pl.lit(f"{name} is missing")) for name in required]
    told = told.with_columns(
        pl.concat_list("rejections", pl.concat_list(blanks).list.drop_nulls()).alias("rejections")
        if blanks
        else pl.col("rejections")
    )
    return Recoded(told.select(*types, "rejections"), findings)


def asked_columns(plan: Recode) -> list[str]:
    """Columns of the harmonised record that this wave fills, in catalogue order: the availability list."""
    filled = {variable.target for variable in plan.variables} | {derived.target for derived in plan.derived}
    return [name for name in record_types() if name in filled]


def _universe(variable: RecodedVariable) -> pl.Expr:
    conditions = [pl.col(name).is_in(list(codes)).fill_null(False) for name, codes in variable.universe.items()]
    return pl.all_horizontal(conditions) if conditions else pl.lit(True)


def _recode_one(variable: RecodedVariable, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Value, reason of absence, and rejection of one target; exactly one of the three is set on every row in the universe."""
    source = pl.col(str(variable.source))
    inside = _universe(variable)
    declared = list(variable.missing)
    is_missing = source.is_in(declared)
    if variable.codes:
        spelt = {code: _spell(value) for code, value in variable.codes.items()}
        known = source.is_in(list(spelt))
        value = _cast(source.replace_strict(spelt, default=None, return_dtype=pl.String), dtype)
        fault = pl.format(f"{variable.source} = {{}} is not in the recode of {variable.target}", source)
    elif dtype.is_numeric():
        number = source.cast(pl.Float64, strict=False)
        within = number.is_not_null()
        if variable.minimum is not None:
            within &= number >= variable.minimum
        if variable.maximum is not None:
            within &= number <= variable.maximum
        known = within.fill_null(False)
        value = (number / variable.divide_by).cast(dtype, strict=False)
        # The value itself stays out of the message: an amount or an age can point to a person.
        fault = pl.lit(f"{variable.source} is not a number within {variable.minimum} to {variable.maximum}")
    else:
        known, value, fault = pl.lit(True), source, pl.lit("")
    usable = inside & source.is_not_null() & ~is_missing
    blank = variable.blank or "error"
    reason = (
        pl.when(~inside).then(pl.lit("not_in_universe"))
        .when(source.is_null()).then(pl.lit(blank))
        .when(is_missing).then(source.replace_strict(variable.missing, default=None, return_dtype=pl.String))
    ) if declared else pl.when(~inside).then(pl.lit("not_in_universe")).when(source.is_null()).then(pl.lit(blank))  # fmt: skip
    rejection = pl.when(usable & ~known).then(fault)
    return pl.when(usable & known).then(value), reason, rejection


def _spell(value: str | bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cast(text: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Boolean:
        return text == "true"
    return text.cast(dtype)


def _text_of(name: str, types: Mapping[str, pl.DataType]) -> pl.Expr:
    """A harmonised column as text, yes/no spelt as in TOML."""
    column = pl.col(name)
    if types[name] == pl.Boolean:
        return pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false"))
    return column.cast(pl.String)


def _rule_fits(rule: Rule, types: Mapping[str, pl.DataType]) -> pl.Expr:
    conditions = [_text_of(name, types).is_in(list(codes)).fill_null(False) for name, codes in rule.when.items()]
    conditions += [(pl.col(name) >= bound).fill_null(False) for name, bound in rule.minimum.items()]
    conditions += [(pl.col(name) <= bound).fill_null(False) for name, bound in rule.maximum.items()]
    return pl.all_horizontal(conditions) if conditions else pl.lit(True)


def _derive(
    frame: pl.DataFrame, derived: DerivedVariable, dtype: pl.DataType, reasons: Mapping[str, pl.Expr]
) -> pl.DataFrame:
    """`frame` with the derived column; where no rule fits, the reason is that of the first named column that is missing."""
    types = record_types()
    value: pl.Expr = pl.lit(None, dtype=pl.String)
    for rule in reversed(derived.rules):
        value = pl.when(_rule_fits(rule, types)).then(pl.lit(_spell(rule.value))).otherwise(value)
    used = list(dict.fromkeys(name for rule in derived.rules for name in [*rule.when, *rule.minimum, *rule.maximum]))
    why = [pl.col(f"__why_{name}") for name in used if f"__why_{name}" in frame.columns]
    out = frame.with_columns(_cast(value, dtype).alias(derived.target))
    reason = pl.coalesce([*why, pl.lit("error")])
    return out.with_columns(pl.when(pl.col(derived.target).is_null()).then(reason).alias(f"__why_{derived.target}"))


def _missing_json(columns: list[str]) -> pl.Expr:
    """The reasons of one record as JSON, in column order; codes need no escaping."""
    if not columns:
        return pl.lit("{}")
    pieces = [
        pl.when(pl.col(name).is_not_null()).then(pl.format(f'"{name.removeprefix("__why_")}":"{{}}"', pl.col(name)))
        for name in columns
    ]
    return pl.concat_str([pl.lit("{"), pl.concat_str(pieces, separator=",", ignore_nulls=True), pl.lit("}")])


def _compare_labels(variable: RecodedVariable, described: Mapping[str, Variable]) -> list[Finding]:
    """Labels of the file that contradict those the recode was written for, and labelled codes that the recode lacks."""
    source = str(variable.source)
    labels = described[source].value_labels if source in described else {}
    found = []
    for code, expected in variable.labels.items():
        got = labels.get(code)
        if got is not None and got.casefold().strip() != expected.casefold().strip():
            detail = f"the file calls it {got!r}, the recode of {variable.target} was written for {expected!r}"
            found.append(Finding("label_contradiction", source, code, detail))
    if variable.codes:
        own = set(variable.universe.get(source, labels))
        for code in sorted((set(labels) & own) - set(variable.codes) - set(variable.missing)):
            found.append(
                Finding(
                    "unmapped_label", source, code, f"{labels[code]!r} has no place in the recode of {variable.target}"
                )
            )
    undeclared = [
        code
        for code in (described[source].missing if source in described else ())
        if " thru " not in code and code not in variable.missing
    ]
    for code in undeclared:
        found.append(
            Finding(
                "undeclared_missing",
                source,
                code,
                f"missing in the file, not declared so in the recode of {variable.target}",
            )
        )
    return found


def _stray_values(raw: pl.DataFrame, variable: RecodedVariable) -> list[Finding]:
    """Answers of people who should not have been asked; they are left out and counted."""
    if not variable.universe or variable.source in variable.universe:
        return []  # a variable that is its own universe only picks codes
    stray = raw.filter(~_universe(variable), pl.col(str(variable.source)).is_not_null()).height
    if not stray:
        return []
    detail = f"answered outside the universe of {variable.target}; taken as not in universe"
    return [Finding("outside_universe", str(variable.source), "_Z", detail, stray)]
