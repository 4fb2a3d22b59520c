"""The whole numbers of people that a printed rate or percentage leaves possible, for a reader who knows what it is a share of.

A figure printed as 3.2 was rounded from somewhere between 3.15 and 3.25. Of 94 people 3.2 per cent can only be 3 people; of five
million, 0.1 per 100 000 can be 3 to 7. Policy and releases do not belong here.
"""

import math
from decimal import Decimal

# Relative room for what arithmetic in doubles loses: a share computed from whole counts comes back to them within this.
ARITHMETIC = 1e-9


def printed_half_unit(value: float) -> float:
    """Half a unit of the last digit of the number as it is printed: 0.05 for 3.2, 0.5 for 41, next to nothing for 100 / 3."""
    exponent = Decimal(repr(float(value))).normalize().as_tuple().exponent
    return 0.5 * 10.0 ** min(int(exponent), 0)


def counts_behind(value: float, denominator: float, factor: float) -> tuple[int, int] | None:
    """Least and greatest whole number of people of which the share `value` (people / denominator x factor) could be printed.

    Both ends of the rounding interval count, as nobody knows which way a half went. None where no whole number fits: then the
    figure does not stand for people.
    """
    if denominator <= 0 or factor <= 0 or value < 0 or not math.isfinite(value * denominator):
        return None
    half = printed_half_unit(value) + abs(value) * ARITHMETIC
    low = math.ceil(max(value - half, 0.0) * denominator / factor - ARITHMETIC)
    high = math.floor((value + half) * denominator / factor + ARITHMETIC)
    return (low, high) if low <= high else None
