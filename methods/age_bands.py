"""Age bands in SDMX codes, and their exact unions: a band is joined from whole bands, never split.

Belongs here: what a band code means and which bands add up to which. Does not belong here: which programme reports in
which bands (`core.age_band`), weights of a standard population (`methods.rates`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CLOSED = re.compile(r"Y(\d{1,3})T(\d{1,3})")
_OPEN = re.compile(r"Y_GE(\d{1,3})")


class InexactUnion(ValueError):
    """The bands at hand do not add up to the band asked for; the message names the age at which they fail."""

    def __init__(self, target: str, available: Sequence[str], age: int) -> None:
        super().__init__(
            f"{target} is no exact union of {', '.join(available)}: no whole band begins at age {age} and ends inside it. "
            "Ask for a band that they add up to; bands are never split or approximated."
        )
        self.target = target
        self.age = age


@dataclass(frozen=True, order=True)
class AgeBand:
    """Completed ages from `lower` to `upper`, both inside; `upper` None is open."""

    lower: int
    upper: int | None
    code: str


def parse_age_band(code: str) -> AgeBand:
    """The band that a code names: Y0T4, Y15T49, Y_GE65. Raises ValueError for anything else, `_T` and `_U` included."""
    if match := _CLOSED.fullmatch(code):
        lower, upper = int(match[1]), int(match[2])
        if lower <= upper:
            return AgeBand(lower, upper, code)
    if match := _OPEN.fullmatch(code):
        return AgeBand(int(match[1]), None, code)
    raise ValueError(f"{code!r} is no age band; expected a form such as Y0T4, Y15T49 or Y_GE65")


def exact_union(target: str, available: Iterable[str]) -> tuple[str, ...]:
    """The bands of `available` that together are `target`, youngest first: no gap, no overlap.

    Where sets overlap (Y0T4 beside Y0T14) the search tries every whole band, wide ones first. *Raises* InexactUnion.
    """
    wanted = parse_age_band(target)
    bands = sorted({parse_age_band(code) for code in available}, key=lambda b: (b.lower, -(b.upper or 10_000)))
    furthest = wanted.lower

    def search(age: int) -> tuple[str, ...] | None:
        nonlocal furthest
        furthest = max(furthest, age)
        for band in bands:
            if band.lower != age:
                continue
            if band.upper == wanted.upper:
                return (band.code,)
            if band.upper is None or (wanted.upper is not None and band.upper > wanted.upper):
                continue
            rest = search(band.upper + 1)
            if rest is not None:
                return (band.code, *rest)
        return None

    found = search(wanted.lower)
    if found is None:
        raise InexactUnion(target, [band.code for band in bands], furthest)
    return found
