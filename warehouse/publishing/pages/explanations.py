"""Why a cell says what it says: the section behind each cell of a regional table.

Belongs here: gathering, from the frozen content of a release, what stands behind each cell. Does not belong here: what only
the restricted warehouse knows (`warehouse.explain`), drawing the tables (`site`).
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from warehouse.change_log import CELL_KEY
from warehouse.publishing import wording
from warehouse.publishing.change_log import causes_text
from warehouse.publishing.content import ReleaseContent
from warehouse.publishing.display import value_text
from warehouse.publishing.tables import display_text

VINTAGES_SHOWN = 6
RECEIPTS_SHOWN = 8
LINES_SHOWN = 6


def anchor(cell: Mapping[str, Any]) -> str:
    """Name of the cell's section within the page of its table."""
    return f"r{cell['row_order']}c{cell['column_order']}"


class Explanations:
    """What a release knows of its figures besides the numbers: receipts, vintages, causes."""

    def __init__(self, content: ReleaseContent, versions: pl.DataFrame, language: str) -> None:
        self.content = content
        self.language = language
        self._receipts = {receipt.receipt_id: receipt for receipt in content.context.receipts}
        self._versions: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        named = ("value", "lower", "upper", "obs_status", "obs_flags", "conf_status", "footnote_codes", "released_from")
        shown = versions.select(*CELL_KEY, *named).sort("released_from")
        for row in shown.iter_rows(named=True):
            self._versions.setdefault(tuple(row[name] for name in CELL_KEY), []).append(row)
        self._evidence: dict[str, list[dict[str, Any]]] = {}
        for row in content.context.evidence.iter_rows(named=True):
            self._evidence.setdefault(row["indicator_code"], []).append(row)
        self._causes = {
            tuple(row[:-1]): row[-1] for row in content.changes.select(*CELL_KEY, "cause_codes").iter_rows()
        }

    def of_table(self, code: str) -> list[dict[str, Any]]:
        """One section per cell of the table that stands for a figure, in reading order."""
        cells = self.content.regional.of_table(code).cells
        return [self._section(cell) for cell in cells.iter_rows(named=True) if cell["indicator_code"]]

    def _section(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        lang, vi = self.language, self.language == "vi"
        card = self.content.catalogue.card(cell["indicator_code"])
        key = tuple(cell[name] for name in CELL_KEY)
        is_hidden = cell["conf_status"] in ("C", "D") or cell["obs_status"] == "Q"
        facts: list[tuple[str, str]] = []
        if card is not None:
            top = card.numerator_vi if vi else card.numerator
            below = card.denominator_vi if vi else card.denominator
            facts.append(("definition_version", cell["definition_version"] or card.definition_version))
            facts.append(("numerator", _with_number(top, cell["numerator"], lang)))
            facts.append(("denominator", _with_number(below, cell["denominator"], lang)))
        if is_hidden:
            facts.append(("status", wording.text("why_hidden", lang)))
        used = [self._receipts[r] for r in cell["receipt_ids"] or () if r in self._receipts]
        return {
            "anchor": anchor(cell),
            "indicator": cell["indicator_code"],
            "heading": f"{cell[f'row_label_{lang}']} · {cell[f'column_label_{lang}']}",
            "figure": cell[f"display_{lang}"],
            "facts": [(name, text) for name, text in facts if text],
            "receipts": [
                f"{r.receipt_id} {r.source_code} {r.locator} {r.received_at}".strip() for r in used[:RECEIPTS_SHOWN]
            ],
            "more_receipts": max(0, len(used) - RECEIPTS_SHOWN),
            "vintages": self._vintages(key, card.decimals if card else 2),
            "causes": causes_text(self._causes.get(key, ()), lang),
            "evidence": self._told(cell["indicator_code"], cell["period_code"]),
        }

    def _told(self, indicator: str, period: str) -> list[tuple[str, list[str]]]:
        """How the inputs of the figure fared, in words: checks, corrections, and records held back that tell of its year."""
        mine = [r for r in self._evidence.get(indicator, ()) if r["year_code"] in ("_T", "_U", (period or "")[:4])]
        told = []
        for key, parts in (("why_checks", ("check_passed", "check_failed")), ("why_corrections", ("correction",)),
                           ("why_held_back", ("held_back",))):  # fmt: skip
            rows = [row for row in mine if row["part_code"] in parts]
            lines = [self._line(row) for row in rows if row["part_code"] != "check_passed"]
            passed = sum(row["item_count"] or 0 for row in rows if row["part_code"] == "check_passed")
            if key == "why_checks" and rows:
                lines.insert(0, f"{wording.text('why_passed', self.language)}: {passed}")
            if lines:
                more = [f"+ {len(lines) - LINES_SHOWN}"] if len(lines) > LINES_SHOWN else []
                told.append((key, lines[:LINES_SHOWN] + more))
        return told

    def _line(self, row: Mapping[str, Any]) -> str:
        count = wording.text("why_few", self.language) if row["is_small"] else str(row["item_count"])
        kind = {"check_failed": "why_failed", "correction": "why_corrected", "held_back": "why_held"}[row["part_code"]]
        year = wording.text("why_no_year", self.language) if row["year_code"] == "_U" else ""
        place = f"{row['table_name']} ({row['source_code']}{', ' + year if year else ''})"
        since = f"{wording.text('why_since', self.language)} {row['since_on']}" if row["since_on"] else ""
        parts = (f"{count} {wording.text(kind, self.language)}", place, row["item_code"], row["detail"] or "", since)
        return " · ".join(part for part in parts if part)

    def _vintages(self, key: tuple[Any, ...], decimals: int) -> list[str]:
        """The figure in the releases that showed it, the newest first; one line when it never changed."""
        told = []
        for row in reversed(self._versions.get(key, [])[-VINTAGES_SHOWN:]):
            value = display_text(row, decimals, False, self.language)
            told.append(f"{row['released_from']:%Y-%m-%d}: {value}")
        return told


def _with_number(text: str, number: float | None, language: str) -> str:
    return text if number is None or not text else f"{text}: {value_text(number, 0, language)}"
