"""Primary rules: is this figure, taken alone, about too few people or too few contributors.

Pure predicates on numbers. What else must be hidden because of sums is decided in `secondary`; which rule applies to
which topic is policy.
"""

from collections.abc import Sequence


def is_primary_count(count: int, threshold: int, zeros_are_sensitive: bool) -> bool:
    """A count of 1 to threshold - 1 is primary; a zero only where it tells something about every member of a group.

    *Source*: masking rules of the UK Health Security Agency and Washington State; both hide non-zero counts under a
    threshold.
    """
    if count == 0:
        return zeros_are_sensitive
    return 0 < count < threshold


def is_dominated(contributions: Sequence[float], rules: Sequence[tuple[int, float]]) -> bool:
    """A total of money is primary when its k largest contributors hold more than the stated share of it, for any (k,
    share).

    With (1, 0.75) and (2, 0.90), a competitor could otherwise estimate the largest contributor from the published
    total.
    """
    ordered = sorted((abs(value) for value in contributions), reverse=True)
    total = sum(ordered)
    if total <= 0:
        return False
    return any(sum(ordered[:largest]) > share * total for largest, share in rules)
