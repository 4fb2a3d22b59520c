"""The audit of a protected release: for each hidden count, the interval that an attacker is left with.

Belongs here: the verdict on each hidden count, the letters that may be told, and the refusal. Does not belong here: the
search for what to hide; the audit shares only the equations with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from methods.disclosure import (
    TOLD_LARGE,
    TOLD_NOTHING,
    TOLD_SMALL,
    CountSystem,
    FeasibleInterval,
    SuppressionPattern,
    feasible_intervals,
)
from methods.disclosure.system import BoolArray, IntArray
from warehouse.catalogue.disclosure import DisclosurePolicy
from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.counted import Counts


class DisclosureFailure(Exception):
    """The release must not leave: a hidden cell can be worked out more closely than the policy allows.

    `cell` names the observation and the count (no value); `required_width` is what the policy demands. What to do:
    look at the audit, widen the suppression or withdraw the table that links to this cell.
    """

    def __init__(self, cell: str, required_width: int, attack: str) -> None:
        super().__init__(f"{cell}: hidden, but {attack} places it in an interval narrower than {required_width}")
        self.cell = cell
        self.required_width = required_width
        self.attack = attack


_AUDIT_SCHEMA: Final = {
    **dict.fromkeys(KEY_COLUMNS, pl.String),
    "count_role": pl.String,
    "conf_status": pl.String,
    "lower": pl.Int64,
    "upper": pl.Int64,
    "width": pl.Int64,
    "required_width": pl.Int64,
    "informed_width": pl.Int64,
    "is_exact": pl.Boolean,
    "verdict": pl.String,
    "policy_version": pl.String,
}


@dataclass(frozen=True)
class Verdict:
    """What the audit found: one line per hidden count, and the hidden rows whose letter must not tell primary from secondary."""

    lines: pl.DataFrame
    silent_rows: BoolArray


def audited(counts: Counts, system: CountSystem, pattern: SuppressionPattern, policy: DisclosurePolicy) -> Verdict:
    """The interval of each hidden count, recomputed from the equations alone.

    Where the letters C and D would place a small count, the rows of its whole block are marked C: there the letter tells
    nothing, and the interval is that of a reader who ignores it.

    *Raises* `DisclosureFailure` unless each interval is wide enough or was already too narrow before this release
    said anything.
    """
    hidden_rows = pattern.hidden_rows
    found = feasible_intervals(system, hidden_rows, certificates=pattern.certificates)
    hidden = {interval.cell for interval in found}
    for cell in np.flatnonzero(system.need):
        if int(cell) not in hidden and not system.known[cell]:
            raise DisclosureFailure(_label(counts, int(cell)), int(system.need[cell]), "a published row")
    narrow = {i.cell for i in found if i.width is not None and i.width < int(system.need[i.cell])}
    # What stays narrow although everything that can be hidden is hidden was public before this release; anything else
    # must not leave.
    _refuse(counts, system, narrow, system.row_is_hideable | hidden_rows)
    least = policy.protection.informed_width
    informed = _informed_widths(system, pattern, None)
    placed = {cell for cell, width in informed.items() if width is not None and width < least} - narrow
    silent = np.zeros(system.cell_count, dtype=bool)
    if placed:
        for cells in system.components(system.hidden_cells(hidden_rows)):
            if placed.intersection(cells.tolist()):
                silent[cells] = True
        informed = _informed_widths(system, pattern, _letters(counts, system, silent))
        placed = {cell for cell, width in informed.items() if width is not None and width < least} - narrow
    silent_rows = np.asarray(hidden_rows & ((system.revealed_by.T.astype(np.int64) @ silent.astype(np.int64)) > 0))
    lines = [
        _line(counts, interval, int(system.need[interval.cell]), informed, narrow | placed, policy)
        for interval in found
        if interval.cell in counts.meaning  # the slack of an inequality is no count of people that a reader could name
    ]
    lines += _rows_without_counts(counts, hidden_rows, lines, policy)
    return Verdict(
        pl.DataFrame(lines, schema=_AUDIT_SCHEMA).sort(*KEY_COLUMNS, "count_role", nulls_last=True), silent_rows
    )


def _informed_widths(
    system: CountSystem, pattern: SuppressionPattern, letters: IntArray | None
) -> dict[int, int | None]:
    """Width of each demanded cell's interval for a reader who also uses the letters."""
    intervals = feasible_intervals(
        system,
        pattern.hidden_rows,
        is_informed=True,
        letters=letters,
        only_demanded=True,
        certificates=pattern.certificates,
    )
    return {interval.cell: interval.width for interval in intervals}


def _letters(counts: Counts, system: CountSystem, silent: BoolArray) -> IntArray:
    """What each cell's letter tells when those of some blocks are silent; a D of an earlier release stays told."""
    letters = np.where(system.need > 0, TOLD_SMALL, TOLD_LARGE)
    letters[silent] = TOLD_NOTHING
    letters[[cell for cell in sorted(counts.once_large) if silent[cell] and system.need[cell] == 0]] = TOLD_LARGE
    return np.asarray(letters, dtype=np.int64)


def _line(
    counts: Counts,
    interval: FeasibleInterval,
    need: int,
    informed: Mapping[int, int | None],
    public: set[int],
    policy: DisclosurePolicy,
) -> dict[str, Any]:
    meaning = counts.meaning[interval.cell]
    verdict = "protected" if need else "no demand"
    if interval.cell in public:
        verdict = "already public"
    return {
        **_key_of(meaning.key),
        "count_role": meaning.role + (" in an earlier release" if meaning.is_earlier else ""),
        "conf_status": "C" if need else "D",
        "lower": interval.lower - meaning.offset,
        "upper": None if interval.upper is None else interval.upper - meaning.offset,
        "width": interval.width,
        "required_width": need,
        "informed_width": informed.get(interval.cell),
        "is_exact": interval.is_exact,
        "verdict": verdict,
        "policy_version": policy.version,
    }


def _rows_without_counts(
    counts: Counts, hidden_rows: BoolArray, lines: Sequence[Mapping[str, Any]], policy: DisclosurePolicy
) -> list[dict[str, Any]]:
    """A line for each hidden row that gives no count away (an index, an estimate hidden at its source): nothing public bounds it."""
    told = {tuple(line[column] for column in KEY_COLUMNS) for line in lines}
    bare = []
    for row in np.flatnonzero(hidden_rows):
        key = _key_of(counts.row_keys[row])
        if tuple(key.values()) not in told:
            bare.append(
                dict.fromkeys(_AUDIT_SCHEMA)
                | key
                | {"count_role": "row", "conf_status": "C" if counts.primary[row] else "D", "required_width": 0,
                   "is_exact": True, "verdict": "no count", "policy_version": policy.version}
            )  # fmt: skip
    return bare


def _key_of(key: Sequence[Any]) -> dict[str, str | None]:
    return {column: None if part is None else str(part) for column, part in zip(KEY_COLUMNS, key, strict=True)}


def _refuse(counts: Counts, system: CountSystem, cells: set[int], everything: BoolArray) -> None:
    """Nothing, if hiding every row would leave each of these cells as narrow; else the release fails at the first."""
    widest = feasible_intervals(system, everything, only_demanded=True, only=cells) if cells else []
    for interval in widest:
        need = int(system.need[interval.cell])
        if interval.width is None or interval.width >= need:
            raise DisclosureFailure(_label(counts, interval.cell), need, "the sum of published figures")


def _label(counts: Counts, cell: int) -> str:
    meaning = counts.meaning.get(cell)
    if meaning is None:
        return f"remainder {cell}"
    return f"{meaning.key[0]} {meaning.role} (" + ", ".join(str(part) for part in meaning.key[2:]) + ")"
