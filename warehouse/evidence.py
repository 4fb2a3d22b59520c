"""What stands behind an indicator's figures besides the numbers: checks, corrections, records held back.

Belongs here: which tables an indicator's inputs arrive through, and the rows of `indicator.evidence`. Does not belong here: the
explanation of one figure (`warehouse.explain`), its look in a release (`publishing`).

Counts and statuses only. A count below the threshold of the disclosure policy is not told, because records held back are about persons
too.
"""

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

import polars as pl

from warehouse.catalogue.disclosure import DisclosurePolicy
from warehouse.catalogue.indicator_catalogue import IndicatorCatalogue
from warehouse.change_log import inputs_of
from warehouse.history import as_naive_utc
from warehouse.publishing.content import EVIDENCE_SCHEMA
from warehouse.store import fetch_frame
from warehouse.store_state import OWN_DATE
from warehouse.victims import held_records

TABLE = "indicator.evidence"
_MADE_FROM = {"core.referral": ("core.referral_record",), "estimate.survey_estimate": ("core.survey_person",)}
"""Tables that the store makes itself, with those that providers fill."""


def evidence_at(connection: Any, at: datetime) -> pl.DataFrame:
    """The evidence that the store held at an instant."""
    frame = fetch_frame(
        connection,
        f"select {', '.join(EVIDENCE_SCHEMA)} from {TABLE}_as_of($at) order by all",
        {"at": as_naive_utc(at)},
    )
    return frame.select(pl.col(name).cast(kind) for name, kind in EVIDENCE_SCHEMA.items())


def provided_tables(inputs: Collection[str]) -> tuple[str, ...]:
    """The core tables through which what indicators read came in; a table made by the store stands with those it is made from."""
    return tuple(sorted({*inputs, *(name for made in inputs for name in _MADE_FROM.get(made, ()))}))


def staging_of(tables: Collection[str]) -> tuple[str, ...]:
    """The staging tables before core tables."""
    return tuple(f"staging.{name.partition('.')[2]}" for name in tables)


def gather_evidence(connection: Any, catalogue: IndicatorCatalogue, policy: DisclosurePolicy) -> pl.DataFrame:
    """The rows of `indicator.evidence` as the store stands."""
    behind = pl.DataFrame(
        [
            {"indicator_code": code, "core_name": name, "threshold": _threshold(policy, code, indicator.method)}
            for code, indicator in sorted(catalogue.indicators.items())
            for name in provided_tables(inputs_of(indicator, catalogue))
        ],
        schema={"indicator_code": pl.String, "core_name": pl.String, "threshold": pl.Int64},
    )
    core = behind.with_columns(pl.col("core_name").alias("table_name"))
    staged = behind.with_columns(("staging." + pl.col("core_name").str.extract(r"\.(.*)$")).alias("table_name"))
    found = pl.concat(
        [
            pl.concat([core, staged]).join(_checks(connection), on="table_name"),
            core.join(_corrections(connection), on="table_name"),
            staged.join(_held_back(connection), on="table_name"),
        ],
        how="diagonal",
    )
    is_small = (pl.col("item_count") > 0) & (pl.col("item_count") < pl.col("threshold")) & pl.col("is_about_records")
    return (
        found.with_columns(is_small=is_small)
        .with_columns(pl.when("is_small").then(None).otherwise("item_count").alias("item_count"))
        .select(pl.col(name).cast(kind) for name, kind in EVIDENCE_SCHEMA.items())
        .unique()
        .sort(*list(EVIDENCE_SCHEMA)[:6])
    )


def _threshold(policy: DisclosurePolicy, indicator_code: str, method: str) -> int:
    return int(policy.rules_for(policy.topic_of(indicator_code, method), ()).threshold)


def _checks(connection: Any) -> pl.DataFrame:
    """The last outcome of every check, those that passed counted by table."""
    outcomes = fetch_frame(
        connection,
        "select source_code, table_name, rule_code, severity_code, is_passed, unexpected_count, why from ops.check_result"
        " qualify row_number() over (partition by source_code, table_name, rule_code order by refresh_at desc) = 1"
        " order by all",
    )
    passed = outcomes.filter("is_passed").group_by("source_code", "table_name").agg(pl.len().alias("item_count"))
    failed = outcomes.filter(~pl.col("is_passed"))
    return pl.concat(
        [
            passed.with_columns(part_code=pl.lit("check_passed"), item_code=pl.lit("_T"), is_about_records=pl.lit(False)),
            failed.select(
                "source_code",
                "table_name",
                pl.col("unexpected_count").cast(pl.UInt32).alias("item_count"),
                pl.lit("check_failed").alias("part_code"),
                pl.col("rule_code").alias("item_code"),
                pl.lit(True).alias("is_about_records"),
                pl.format("{}: {}", "severity_code", "why").alias("detail"),
            ),
        ],
        how="diagonal",
    ).with_columns(year_code=pl.lit("_T"))  # fmt: skip


def _corrections(connection: Any) -> pl.DataFrame:
    """The entries of the ledger that act: what is done to which column, in how many rows, since when. Reasons stay inside: they are
    free words."""
    return fetch_frame(
        connection,
        "select 'correction' as part_code, provider_code as source_code, table_name, correction_code as item_code, '_T' as year_code,"
        " count(*)::uinteger as item_count, true as is_about_records, action_code || ' ' || column_name as detail,"
        " min(recorded_from)::date as since_on from core.correction_row_current group by all order by all",
    )


def _held_back(connection: Any) -> pl.DataFrame:
    """Records in quarantine by table, reason and the year that they tell of."""
    names = {
        name.partition(".")[2]: re.findall(r"\w+_on\b", expression) for name, expression in sorted(OWN_DATE.items())
    }
    dates = " ".join(
        f"when 'staging.{table}' then coalesce({', '.join(_text(column) for column in columns)})"
        for table, columns in names.items()
    )
    others = ", ".join(_text(name) for name in ("period_end_on", "period_start_on", "period_code", "year"))
    records = fetch_frame(
        connection,
        f"""with held as (
            select source_code, table_name, reasons, coalesce(case table_name {dates} end, {others}) as told
            from {held_records(connection)} where status_code = 'held'
        )
        select source_code, table_name, coalesce(nullif(regexp_extract(told, '^[0-9]{{4}}'), ''), '_U') as year_code, reasons
        from held order by all""",
    )
    return (
        records.explode("reasons")
        .with_columns(item_code=pl.col("reasons").map_elements(kind_of_reason, return_dtype=pl.String))
        .group_by("source_code", "table_name", "item_code", "year_code")
        .agg(pl.len().alias("item_count"))
        .with_columns(part_code=pl.lit("held_back"), is_about_records=pl.lit(True))
    )


def kind_of_reason(reason: str) -> str:
    """What a reason objects to, without the value that it quotes: the rule or column before the colon, else the sentence with what
    stands in quotes and every number left out."""
    named = re.match(r"[A-Za-z_][A-Za-z0-9_. -]*(?=:)", reason)
    return named[0] if named else re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "…", reason)


def _text(column: str) -> str:
    return f"json_extract_string(record, '$.{column}')"
