"""`mhwg quality`: what is wrong with each provider's data, and where its page is.

Belongs here: the summary in the terminal. Does not belong here: the pages (`expectations.quality_files`).
"""

import json
from typing import Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.resources import warehouse_of
from pipelines.settings import load_settings

SHOWN = 12


def run(provider: str | None, *, as_json: bool) -> int:
    """All providers in a row each, or one provider's findings, the gravest first."""
    from expectations.quality_files import reviewed_providers

    settings = load_settings()
    warehouse = warehouse_of(settings)
    if not warehouse.exists:
        raise Refused("nothing has been refreshed yet; run `mhwg refresh`.", Exit.NOT_FOUND)
    warehouse.bring_up_to_date()
    with warehouse.showing_victims(), warehouse.connect(read_only=True) as connection:
        providers = reviewed_providers(connection)
    folder = settings.state_folder / "quality"
    told = [_told(report, review, folder) for report, review in providers]
    if provider is not None:
        told = [entry for entry in told if entry["provider"] == provider]
        if not told:
            names = ", ".join(report.source_code for report, _ in providers)
            raise Refused(f"no provider {provider!r}; there are: {names}.", Exit.NOT_FOUND)
    if as_json:
        console().print_json(json.dumps(told, default=str, ensure_ascii=False))
    elif provider is None:
        _draw_all(told, str(folder / "run.en.html"))
    else:
        _draw_one(told[0])
    return Exit.DONE


def _told(report: Any, review: Any, folder: Any) -> dict[str, Any]:
    from expectations.quality_files import provider_folder

    return {
        "provider": report.source_code,
        "last_load": report.refresh_at,
        "rules": report.rules,
        "failed": [
            {"rule": finding.rule_code, "severity": finding.severity, "rows": finding.rows, "why": finding.why}
            for finding in report.findings
        ],
        "held_back": [{"reason": held.reason, "records": held.records} for held in report.held],
        "findings": {count.name_en: count.findings for count in review.findings},
        "units_to_ask": [
            {"unit": unit.unit, "missing_reports": unit.missing_reports, "other": unit.other_findings}
            for unit in review.units
        ],
        "rows_outside": [
            {"series": found.series, "slice": found.slice, "rows": found.rows, "low": found.low, "high": found.high}
            for found in review.slices
            if found.is_outside
        ],
        "changed_fields": list(review.changed_fields),
        "last_good_on": review.last_good_on,
        "page": str(provider_folder(folder, report.source_code) / "quality.en.html"),
    }


def _draw_all(told: list[dict[str, Any]], page: str) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("provider", "last load", "rules", "failed", "held back", "findings", "state"):
        table.add_column(name, justify="left" if name in ("provider", "last load", "state") else "right")
    for entry in told:
        table.add_row(
            entry["provider"],
            f"{entry['last_load']:%Y-%m-%d %H:%M}",
            f"{entry['rules']:,}",
            f"{len(entry['failed']):,}",
            f"{sum(held['records'] for held in entry['held_back']):,}",
            f"{sum(entry['findings'].values()):,}",
            f"data of {entry['last_good_on']}" if entry["last_good_on"] else "refreshed",
        )
    console().print(table)
    console().print(f"Pages: {page}", highlight=False, soft_wrap=True)


def _draw_one(entry: dict[str, Any]) -> None:
    out = console()
    out.print(f"[bold]{entry['provider']}[/], last load {entry['last_load']:%Y-%m-%d %H:%M} UTC", highlight=False)
    lines = [f"{finding['severity']:<8} {finding['rule']} ({finding['rows']:,} rows)" for finding in entry["failed"]]
    lines += [f"held     {held['records']:,} x {held['reason']}" for held in entry["held_back"]]
    lines += [f"open     {count:,} x {name}" for name, count in entry["findings"].items()]
    lines += [
        f"ask      {unit['unit']}: {unit['missing_reports']} reports, {unit['other']} other"
        for unit in entry["units_to_ask"]
    ]
    lines += [
        f"rows     {found['series']} {found['slice']}: {found['rows']:,}, expected {found['low']:,} to {found['high']:,}"
        for found in entry["rows_outside"]
    ]
    lines += [f"changed  {line}" for line in entry["changed_fields"]]
    for line in lines or ["nothing to fix"]:
        out.print(f"  {line}", highlight=False, markup=False)
    out.print(f"Page: {entry['page']}", highlight=False, soft_wrap=True)
