"""Breakdowns that the group wants of each indicator: which dimension gives each, or why none does.

Belongs here: reading `breakdowns.csv`. Does not belong here: the breakdowns that are computed (each indicator's own entry).
"""

import csv
from dataclasses import dataclass
from functools import cache

from warehouse.catalogue.table_catalogue import CATALOGUE


@dataclass(frozen=True)
class WantedBreakdown:
    """One wanted breakdown: the dimensions that give it (`area_code` for provinces, `period_code` for periods), or the reason
    in both languages why the indicator is not told apart by it."""

    indicator_code: str
    wanted: str
    given: tuple[str, ...]
    reason_en: str
    reason_vi: str


@cache
def wanted_breakdowns() -> tuple[WantedBreakdown, ...]:
    """Every wanted breakdown in the order of the file. An indicator that the file does not name wants none."""
    with (CATALOGUE / "breakdowns.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(
            WantedBreakdown(
                row["indicator_code"], row["wanted"], tuple(row["given"].split()), row["reason_en"], row["reason_vi"]
            )
            for row in csv.DictReader(stream)
        )
