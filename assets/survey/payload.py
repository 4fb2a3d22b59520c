"""Landed waves become the frames of the three staging tables: persons, waves and findings.

Reading back what `inbox` landed, joining the files of a wave with the cardinality that its recode declares, and recoding. No
file outside the landing is read.
"""

import json
from collections.abc import Mapping, Sequence

import polars as pl

from assets.survey.declarations import Recode, SourceFile, WaveDesign
from assets.survey.faults import SurveyFault
from assets.survey.readers import Variable
from assets.survey.recode import POLARS_TYPES, Finding, asked_columns, recode, record_types
from warehouse.catalogue.table_catalogue import tables
from warehouse.landing import Landing, Receipt


def stage_frames(
    receipts: Sequence[Receipt],
    landing: Landing,
    recodes: Mapping[tuple[str, str], Recode],
    designs: Mapping[tuple[str, str], WaveDesign],
) -> dict[str, pl.DataFrame]:
    """The rows of `staging.survey_person`, `staging.survey_wave` and `staging.survey_finding` that the receipts hold.

    *Columns*: those of the catalogue, plus `rejections`. Load mode: snapshot, scope survey_code and wave_code.
    """
    parts = [stage_wave(receipt, landing, recodes, designs) for receipt in receipts]
    names = ("staging.survey_person", "staging.survey_wave", "staging.survey_finding")
    return {name: pl.concat([part[name] for part in parts]) if parts else _empty(name) for name in names}


def stage_wave(
    receipt: Receipt,
    landing: Landing,
    recodes: Mapping[tuple[str, str], Recode],
    designs: Mapping[tuple[str, str], WaveDesign],
) -> dict[str, pl.DataFrame]:
    """The three staging frames of one landed wave.

    Raises: `SurveyFault` when the wave has no recode or design any more, or its files do not join as declared.
    """
    key = (str(receipt.parameters["survey_code"]), str(receipt.parameters["wave_code"]))
    if key not in recodes or key not in designs:
        raise SurveyFault(f"{'-'.join(key)} has no recode or no design in assets/survey", file="-".join(key))
    plan, design = recodes[key], designs[key]
    paths = {path.name: path for path in landing.files(receipt)}
    frames, variables = {}, {}
    findings: list[Finding] = []
    for file in plan.files:
        frames[file.role] = pl.read_parquet(paths[f"{file.role}.parquet"])
        described = json.loads(paths[f"{file.role}.json"].read_text(encoding="utf-8"))
        for name, content in described["variables"].items():
            variables[name] = Variable(**{**content, "missing": tuple(content["missing"])})
        for name in described["identifiers_dropped"]:
            findings.append(Finding("identifier_dropped", name, "_Z", "identifies people; never read"))
        for name in described["variables_not_read"]:
            findings.append(Finding("variable_not_read", name, "_Z", "not named by the recode; never read"))
    raw = _join(plan, frames)
    recoded = recode(raw, variables, plan, is_practice=design.is_practice)
    stamp = [pl.lit(receipt.receipt_id).alias("receipt_id")]
    first = plan.files[0].role
    pointer = pl.format(f"{first}.parquet row {{}}", pl.col("person_number")).alias("pointer")
    persons = recoded.frame.with_columns(*stamp, pointer)
    sound = persons.filter(pl.col("rejections").list.len() == 0)
    wave = {
        **design.model_dump(include=set(_columns("staging.survey_wave"))),
        "weight_kind_code": design.weight_kind,
        "lonely_policy_code": design.lonely,
        "deff_reference_code": design.deff_reference,
        "asked_columns": asked_columns(plan),
        "person_count": persons.height,
        "rejected_count": persons.height - sound.height,
        "weight_sum": float(sound["weight"].sum()),
    }
    remarks = [
        {"survey_code": key[0], "wave_code": key[1], **vars(finding), "is_practice": design.is_practice}
        for finding in sorted(
            set(findings + recoded.findings), key=lambda f: (f.finding_code, f.source_variable, f.source_code)
        )
    ]
    return {
        "staging.survey_person": _shaped("staging.survey_person", persons),
        "staging.survey_wave": _shaped(
            "staging.survey_wave", _frame("staging.survey_wave", [wave]).with_columns(*stamp)
        ),
        "staging.survey_finding": _shaped(
            "staging.survey_finding", _frame("staging.survey_finding", _merged(remarks)).with_columns(*stamp)
        ),
    }


def _columns(name: str) -> list[str]:
    return [column.name for column in tables()[name].own_columns]


def _frame(name: str, rows: list[dict[str, object]]) -> pl.DataFrame:
    schema = {column.name: POLARS_TYPES[column.type] for column in tables()[name].own_columns}
    return pl.DataFrame([{column: row[column] for column in schema} for row in rows], schema=schema)


def _shaped(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` in the order of the catalogue entry, with pointer and rejections where they were not set."""
    if "pointer" not in frame.columns:
        frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias("pointer"))
    if "rejections" not in frame.columns:
        frame = frame.with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("rejections"))
    return frame.select(*tables()[name].column_names, "rejections")


def _empty(name: str) -> pl.DataFrame:
    frame = pl.DataFrame(schema=dict(record_types())) if name == "staging.survey_person" else _frame(name, [])
    return _shaped(name, frame.with_columns(pl.lit(None, dtype=pl.String).alias("receipt_id")))


def _merged(remarks: list[dict[str, object]]) -> list[dict[str, object]]:
    """One remark per key: a variable recoded to several targets keeps the first sentence and the larger count."""
    merged: dict[tuple[object, ...], dict[str, object]] = {}
    for remark in remarks:
        key = tuple(remark[name] for name in ("finding_code", "source_variable", "source_code"))
        kept = merged.setdefault(key, remark)
        if int(str(remark["record_count"])) > int(str(kept["record_count"])):
            merged[key] = remark
    return list(merged.values())


def _join(plan: Recode, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per person with the columns of every file; each join has the cardinality its recode declares.

    Raises: `SurveyFault` when the keys repeat where they must not; the count of rows can therefore never change by a join.
    """
    person = _selected(frames[plan.files[0].role], plan.files[0])
    for file in plan.files[1:]:
        other = _selected(frames[file.role], file)
        keys = [name for name in file.keys if name in person.columns]
        if not keys:
            raise SurveyFault(f"{plan.part_code}: {file.role} shares no key with the person file", file=file.name)
        if file.aggregate:
            other = other.group_by(keys, maintain_order=True).agg(
                [_aggregate(spec).alias(name) for name, spec in file.aggregate.items()]
            )
        repeated = other.select(keys).is_duplicated().sum()
        if repeated:
            raise SurveyFault(
                f"{plan.part_code}: {repeated} rows of {file.role} repeat the key {keys}; {file.cardinality} was declared",
                file=file.name,
            )
        new = [name for name in other.columns if name in keys or name not in person.columns]
        person = person.join(other.select(new), on=keys, how="left", validate="m:1", maintain_order="left")
    return person


def _selected(frame: pl.DataFrame, file: SourceFile) -> pl.DataFrame:
    conditions = [pl.col(name).is_in(list(codes)).fill_null(False) for name, codes in file.where.items()]
    return frame.filter(conditions) if conditions else frame


def _aggregate(spec: str) -> pl.Expr:
    """`count` or `sum:VARIABLE` over the rows of one key, as text like every raw code."""
    if spec == "count":
        return pl.len().cast(pl.String)
    return pl.col(spec.split(":", 1)[1]).cast(pl.Float64, strict=False).sum().cast(pl.String)
