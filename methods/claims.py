"""A published statement against a computed figure: do they agree, and if not, by how much.

Belongs here: the arithmetic of one comparison. Does not belong here: which figure a statement is compared with
(`warehouse.publishing.claims`), the statements (`catalogue/claims`). Specification: docs/claims.md.
"""

import math
from dataclasses import dataclass
from typing import Literal

Sense = Literal["exactly", "about", "more_than", "nearly", "between", "cut"]
Verdict = Literal["agrees", "contradicted", "superseded", "not_comparable", "no_data"]


@dataclass(frozen=True)
class Stated:
    """What was stated: a number, how it was meant, and the unit of its last digit that is given (`rounding`).

    `upper` is the higher end of a range ("between 3 and 4"). All in the unit of the statement.
    """

    value: float
    sense: Sense
    rounding: float
    upper: float | None = None

    def limits(self, other_rounding: float = 0.0) -> tuple[float, float]:
        """The numbers that the statement allows, both ends inside. `other_rounding`: the last digit given of what it is compared
        with, which widens them by as much as that figure may be off.

        exactly, about: half a unit of the last digit to both sides. more than: not below. nearly: below by one unit of the last
        digit at most, and not above. between: half a unit beyond both ends. cut (digits dropped): up to one unit above.
        """
        half = self.rounding / 2 + other_rounding / 2
        match self.sense:
            case "more_than":
                return self.value - other_rounding / 2, math.inf
            case "nearly":
                return self.value - self.rounding - other_rounding / 2, self.value + other_rounding / 2
            case "cut":
                return self.value - other_rounding / 2, self.value + self.rounding + other_rounding / 2
            case "between":
                return self.value - half, (self.value if self.upper is None else self.upper) + half
        return self.value - half, self.value + half


def agrees(stated: Stated, computed: float, other_rounding: float = 0.0) -> bool:
    """True when the computed figure is one that the statement allows."""
    low, high = stated.limits(other_rounding)
    # Differences of decimal fractions: 158.64 against 158.635 must not hang on the last bit.
    slack = 1e-9 * max(abs(stated.value), abs(computed), 1.0)
    return low - slack <= computed <= high + slack


def difference(stated: Stated, computed: float) -> float:
    """Computed less stated, in the unit of the statement; 0 inside a range, from its nearer end outside."""
    if stated.upper is not None and stated.value <= computed <= stated.upper:
        return 0.0
    nearer = stated.upper if stated.upper is not None and computed > stated.upper else stated.value
    return computed - nearer


def verdict(
    stated: Stated,
    computed: float | None,
    newer: float | None = None,
    *,
    is_of_an_edition: bool = False,
    other_rounding: float = 0.0,
) -> Verdict:
    """What the comparison says. `newer`: the figure of a later period or a newer edition, where there is one.

    A statement that agrees with the figure of its own time and not with the newer one is superseded, and so is one whose own time
    the warehouse does not hold. `is_of_an_edition`: the statement itself names an earlier edition of the figure; what has been
    revised since does not contradict it.
    """
    if computed is None:
        return "no_data" if newer is None else "superseded"
    if not agrees(stated, computed, other_rounding):
        return "superseded" if is_of_an_edition else "contradicted"
    return "agrees" if newer is None or agrees(stated, newer, other_rounding) else "superseded"
