"""Disclosure control: which published counts give a small group away, what to hide besides them, and the proof that
it suffices.

`primary` names the cells that must not be seen, `relations` finds the sums that tie cells together, `system` holds
cells and sums as one linear system, `secondary` chooses what else to hide, `intervals` computes what an attacker can
still work out.

Policy (thresholds, owners, topics) does not belong here: it is handed in as numbers. Nor does the release: see
`warehouse.publishing`.
"""

from methods.disclosure.intervals import (
    TOLD_LARGE,
    TOLD_NOTHING,
    TOLD_SMALL,
    FeasibleInterval,
    feasible_intervals,
)
from methods.disclosure.primary import is_dominated, is_primary_count
from methods.disclosure.relations import Relation, age_span, find_relations
from methods.disclosure.secondary import SuppressionPattern, choose_suppression
from methods.disclosure.system import CountSystem, SystemBuilder

__all__ = [
    "TOLD_LARGE",
    "TOLD_NOTHING",
    "TOLD_SMALL",
    "CountSystem",
    "FeasibleInterval",
    "Relation",
    "SuppressionPattern",
    "SystemBuilder",
    "age_span",
    "choose_suppression",
    "feasible_intervals",
    "find_relations",
    "is_dominated",
    "is_primary_count",
]
