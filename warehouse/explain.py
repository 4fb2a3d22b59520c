"""Where one figure comes from: definition, counts, receipts, what was held back, checks, corrections, vintages, reasons.

Belongs here: gathering the facts about one cell from the store. Does not belong here: drawing them (`pipelines.cli.explain`),
what a release says of its cells (`publishing.explanations`). Specification: docs/methods/history.md.

No person-level value is read. A figure that the release hides stays hidden here: its numbers, its vintages and the counts
behind it are left out, whoever asks, because what is printed on a screen is copied into mails.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from warehouse.catalogue.disclosure import DisclosurePolicy, load_policy
from warehouse.catalogue.indicator_catalogue import DIMENSIONS, Indicator, IndicatorCatalogue, indicator_catalogue
from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.change_log import CELL_KEY, inputs_of
from warehouse.evidence import kind_of_reason, provided_tables, staging_of
from warehouse.indicator_alternates import alternate_values
from warehouse.indicator_sql import compile_parts_sql
from warehouse.store import fetch_frame
from warehouse.store_state import OWN_DATE
from warehouse.victims import held_records

HIDDEN = "hidden"
_NUMBERS = ("value", "lower", "upper", "numerator", "denominator", "n")
_HELD_READ = 5000


class NoSuchCell(Exception):
    """The warehouse has no such figure; the message says what it has nearby."""


def explain(
    connection: Any,
    indicator_code: str,
    area: str,
    period: str,
    breakdown: Mapping[str, str] | None = None,
    *,
    catalogue: IndicatorCatalogue | None = None,
) -> dict[str, Any]:
    """Everything the warehouse knows of one figure, as plain values ready for JSON.

    `breakdown`: codes by dimension; dimensions not named are at their total. Raises NoSuchCell.
    """
    known = catalogue or indicator_catalogue()
    code = indicator_code.upper()
    if code not in known.indicators:
        raise NoSuchCell(f"There is no indicator {code}; `mhwg indicator` lists them.")
    indicator = known.indicators[code]
    key: dict[str, str] = {
        "indicator_code": code, "area_code": area, "period_code": period,
        **{name: (breakdown or {}).get(name, "_T") for name in DIMENSIONS},
    }  # fmt: skip
    versions = _versions(connection, key)
    current = [row for row in versions if row["recorded_to"] == datetime(9999, 12, 31)]
    if not current:
        raise NoSuchCell(_what_there_is(connection, key))
    cell = current[-1]
    policy = load_policy()
    why_hidden = _why_hidden(connection, cell, policy)
    inputs = sorted(inputs_of(indicator, known))
    (as_at,) = connection.execute(
        "select coalesce((select watermark from ops.watermark where source_code = 'indicator' and part_code = 'as_at'), $at)",
        {"at": cell["recorded_from"].isoformat()},
    ).fetchall()[0]
    looked_from = datetime.fromisoformat(as_at)
    return {
        "cell": {**key, "definition_version": cell["definition_version"]},
        "figure": _figure(cell, why_hidden),
        "definition": _definition(connection, indicator, known),
        "counts": _counts(connection, indicator, known, cell, looked_from, why_hidden, _threshold(cell, policy)),
        "receipts": _receipts(connection, cell["receipt_ids"]),
        "held_back": _held_back(connection, inputs, cell),
        "checks": _checks(connection, inputs),
        "corrections": _corrections(connection, inputs),
        "denominators": [] if why_hidden else _alternates(connection, indicator, known, key, looked_from),
        "vintages": _vintages(connection, versions, key, why_hidden, policy),
    }


def _versions(connection: Any, key: Mapping[str, str]) -> list[dict[str, Any]]:
    where = " and ".join(f"{name} = ${name}" for name in key)
    frame = fetch_frame(
        connection, f"select * from indicator.observation where {where} order by recorded_from, definition_version", key
    )
    return frame.to_dicts()


def _what_there_is(connection: Any, key: Mapping[str, str]) -> str:
    found = connection.execute(
        "select period_code, count(*) from indicator.observation_current where indicator_code = $indicator and area_code = $area"
        " group by period_code order by period_code desc limit 8",
        {"indicator": key["indicator_code"], "area": key["area_code"]},
    ).fetchall()
    codes = " ".join(f"{name}={key[name]}" for name in DIMENSIONS if key[name] != "_T")
    place = f"{key['indicator_code']} {key['area_code']} {key['period_code']} {codes}".strip()
    if found:
        return f"There is no figure {place}. Periods of that area: {', '.join(row[0] for row in found)}."
    areas = connection.execute(
        "select distinct area_code from indicator.observation_current where indicator_code = $indicator order by 1 limit 12",
        {"indicator": key["indicator_code"]},
    ).fetchall()
    return (
        f"There is no figure {place}. Areas of {key['indicator_code']}: {', '.join(row[0] for row in areas) or 'none'}."
    )


def _threshold(cell: Mapping[str, Any], policy: DisclosurePolicy) -> int:
    crossed = tuple(name for name in DIMENSIONS if cell[name] not in ("_T", "_Z"))
    topic = policy.topic_of(cell["indicator_code"], cell["method_code"] or "")
    return int(policy.rules_for(topic, crossed).threshold)


def _is_small(row: Mapping[str, Any], threshold: int) -> bool:
    return any(row[name] is not None and 0 < row[name] < threshold for name in ("numerator", "denominator", "n"))


def _why_hidden(connection: Any, cell: Mapping[str, Any], policy: DisclosurePolicy) -> str | None:
    """Why the numbers of the cell may not be shown; None when they may. The release decides, not who asks."""
    if cell["value"] is None and cell["numerator"] is None and cell["n"] is None:
        return None
    where = " and ".join(f"{name} = ${name}" for name in (*CELL_KEY, "definition_version"))
    rows = connection.execute(
        f"select obs_status, conf_status, value, numerator, denominator, n from release.observation where {where}",
        {name: cell[name] for name in (*CELL_KEY, "definition_version")},
    ).fetchall()
    if not rows:
        return "not released yet: what has not passed disclosure control is not shown"
    status, conf, *released = rows[0]
    if conf == "C":
        return "hidden by disclosure control: a small count"
    if conf == "D" or status == "Q":
        return "hidden by disclosure control: it would give away a small count"
    if released != [cell[name] for name in ("value", "numerator", "denominator", "n")]:
        return "not released yet: what has not passed disclosure control is not shown"
    return None


def _figure(cell: Mapping[str, Any], why_hidden: str | None) -> dict[str, Any]:
    statuses = {code.code: code.name_en for code in _codes("obs_status")}
    notes = {code.code: code.name_en for code in _codes("footnote")}
    shown = {name: (None if why_hidden else cell[name]) for name in _NUMBERS}
    return {
        **shown,
        "hidden": why_hidden,
        "unit_code": cell["unit_code"],
        "method_code": cell["method_code"],
        "interval_code": None if why_hidden else cell["interval_code"],
        "status": [{"code": flag, "meaning": statuses.get(flag, flag)} for flag in cell["obs_flags"] or ()],
        "notes": [notes.get(code, code) for code in cell["footnote_codes"] or ()],
        "coverage_share": cell["coverage_share"],
        "membership_version": cell["membership_version"],
        "is_practice": cell["is_practice"],
    }


def _codes(name: str) -> Sequence[Any]:
    try:
        return load_codelist(name)
    except Exception:  # a store may carry codes that the catalogue has no list for; the code itself is shown then
        return ()


def _definition(connection: Any, indicator: Indicator, catalogue: IndicatorCatalogue) -> dict[str, Any]:
    vintages = connection.execute(
        "select definition_version, definition_digest, recorded_from from indicator.definition where indicator_code = $code "
        "order by recorded_from",
        {"code": indicator.code},
    ).fetchall()
    below = indicator.denominator
    named = below.named if below is not None else None
    formula = indicator.numerator_text.en
    if indicator.denominator_text is not None:
        formula = f"{formula} / {indicator.denominator_text.en} x {indicator.factor:g}"
    return {
        "name": indicator.name.en,
        "text": indicator.definition.en,
        "version": indicator.definition_version,
        "source": indicator.definition_source,
        "formula": formula,
        "denominator": catalogue.denominators[named].edition if named else None,
        "in_force_since": [
            {"version": version, "digest": digest[:12], "since": str(since)} for version, digest, since in vintages
        ],
    }


def _counts(
    connection: Any,
    indicator: Indicator,
    catalogue: IndicatorCatalogue,
    cell: Mapping[str, Any],
    as_at: datetime,
    why_hidden: str | None,
    threshold: int,
) -> list[dict[str, Any]]:
    """Numerator and denominator by the source instance that sent them. Regional cells are made of countries, not of records."""
    if cell["method_code"] is not None and cell["method_code"].startswith("regional_"):
        return []
    parts = fetch_frame(connection, compile_parts_sql(indicator, as_at, catalogue))
    mine = parts.filter(
        pl.col("area_code") == cell["area_code"],
        pl.col("period_type_code") == cell["period_type_code"],
        pl.col("period_start_on") == cell["period_start_on"],
        *(
            (pl.col(name) == cell[name]) | pl.col(name).is_null()
            for name in DIMENSIONS
            if name in parts.columns and cell[name] not in ("_T", "_Z")
        ),
    )
    sources = dict(connection.execute("select receipt_id, source_code from ops.receipt").fetchall())
    by_side: dict[str, dict[str, list[float]]] = {}
    for row in mine.iter_rows(named=True):
        instance = sources.get(row["receipt_id"]) or row["source_code"] or "unknown"
        held = by_side.setdefault(row["side"], {}).setdefault(instance, [0.0, 0.0])
        held[0] += row["events"] or 0
        held[1] += row["quantity"] or 0
    told = []
    for side in ("numerator", "denominator"):
        instances = by_side.get(side, {})
        # One small part could be had from the total and the other parts: then none is shown.
        is_small = any(0 < events < threshold or 0 < quantity < threshold for events, quantity in instances.values())
        for instance, (events, quantity) in sorted(instances.items()):
            shown = not why_hidden and not is_small
            told.append(
                {"side": side, "source": instance, "records": int(events) if shown else HIDDEN,
                 "quantity": quantity if shown else HIDDEN}
            )  # fmt: skip
    return told


def _receipts(connection: Any, receipt_ids: Sequence[str] | None) -> list[dict[str, Any]]:
    return fetch_frame(
        connection,
        "select receipt_id, source_code, payload_sha256 as sha256, locator, received_at::varchar as received_at,"
        " published_on::varchar as published_on, agency"
        " from ops.receipt where list_contains($ids, receipt_id) order by received_at, receipt_id",
        {"ids": list(receipt_ids or ())},
    ).to_dicts()


def _held_back(connection: Any, inputs: Sequence[str], cell: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Quarantined records that would have counted in the cell's period, by table and reason; counts only, never contents."""
    staging = list(staging_of(provided_tables(inputs)))
    rows = connection.execute(
        f"select table_name, source_code, reasons, record from {held_records(connection)} where status_code = 'held'"
        f" and list_contains($tables, table_name) order by quarantine_id limit {_HELD_READ}",
        {"tables": staging},
    ).fetchall()
    found: dict[tuple[str, str, str], int] = {}
    for table, source, reasons, record in rows:
        if _is_inside(json.loads(record), table, cell):
            for reason in {kind_of_reason(reason) for reason in reasons}:
                place = (source, table, reason)
                found[place] = found.get(place, 0) + 1
    return [
        {"source": source, "table": table, "reason": reason, "records": count}
        for (source, table, reason), count in sorted(found.items())
    ]


def _is_inside(record: Mapping[str, Any], table: str, cell: Mapping[str, Any]) -> bool:
    """True when the record's own day lies in the cell's period, or it has none: what cannot be placed may belong anywhere."""
    own = re.findall(r"\w+_on\b", OWN_DATE.get(f"core.{table.split('.')[1]}", ""))
    text = next((record[name] for name in (*own, "period_end_on", "period_start_on") if record.get(name)), None)
    if not text:
        year = str(record.get("period_code") or record.get("year") or "")[:4]
        return not year.isdigit() or int(year) == cell["period_start_on"].year
    try:
        day = date.fromisoformat(str(text)[:10])
    except ValueError:
        return True
    return bool(cell["period_start_on"] <= day <= cell["period_end_on"])


def _checks(connection: Any, inputs: Sequence[str]) -> dict[str, Any]:
    """The last outcome of every check of the tables behind the cell: how many passed, and which did not."""
    tables = [*provided_tables(inputs), *staging_of(provided_tables(inputs)), "indicator.observation"]
    rows = connection.execute(
        "select source_code, table_name, rule_code, severity_code, is_passed, unexpected_count, why, refresh_at::varchar"
        " from ops.check_result where list_contains($tables, table_name)"
        " qualify row_number() over (partition by source_code, table_name, rule_code order by refresh_at desc) = 1"
        " order by all",
        {"tables": tables},
    ).fetchall()
    names = ("source", "table", "rule", "severity", "passed", "unexpected", "why", "at")
    outcomes = [dict(zip(names, row, strict=True)) for row in rows]
    return {
        "passed": sum(1 for outcome in outcomes if outcome["passed"]),
        "failed": [outcome for outcome in outcomes if not outcome["passed"]],
    }


def _corrections(connection: Any, inputs: Sequence[str]) -> list[dict[str, Any]]:
    """Corrections that act on the tables behind the cell; the footnote `corrected` says whether they move this one."""
    tables = list(provided_tables(inputs))
    return fetch_frame(
        connection,
        "select correction_code, table_name, action_code, column_name, provider_code, reason, entered_by,"
        " entered_on::varchar as entered_on, min(recorded_from)::varchar as acts_since, count(*) as rows"
        " from core.correction_row_current where list_contains($tables, table_name) group by all order by all",
        {"tables": tables},
    ).to_dicts()


def _alternates(
    connection: Any, indicator: Indicator, catalogue: IndicatorCatalogue, key: Mapping[str, str], as_at: datetime
) -> list[dict[str, Any]]:
    if indicator.denominator is None or indicator.denominator.named is None:
        return []
    values = alternate_values(connection, indicator, as_at, catalogue=catalogue)
    mine = values.filter(pl.col(name) == code for name, code in key.items())
    return mine.select("denominator_code", "edition", "denominator", "value", "difference_percent").to_dicts()


def _vintages(
    connection: Any,
    versions: Sequence[Mapping[str, Any]],
    key: Mapping[str, str],
    why_hidden: str | None,
    policy: DisclosurePolicy,
) -> list[dict[str, Any]]:
    """Every version of the figure with what made it: each version's causes are those of the refresh that began it."""
    where = " and ".join(f"{name} = ${name}" for name in key)
    causes: dict[datetime, list[str]] = {}
    for at, cause in connection.execute(
        f"select refresh_at, cause_code from indicator.change where {where} order by refresh_at, cause_order", key
    ).fetchall():
        causes.setdefault(at, []).append(cause)
    told = []
    for row in versions:
        is_hidden = bool(why_hidden) or _is_small(row, _threshold(row, policy))
        told.append(
            {
                "definition_version": row["definition_version"],
                "value": HIDDEN if is_hidden and row["value"] is not None else row["value"],
                "status": row["obs_status"],
                "recorded_from": str(row["recorded_from"]),
                "recorded_to": None if row["recorded_to"].year == 9999 else str(row["recorded_to"]),
                # Why a hidden count moved would tell which way it moved.
                "causes": [] if is_hidden else causes.get(row["recorded_from"], []),
            }
        )
    return told
