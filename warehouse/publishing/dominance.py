"""Totals of money that one or two contributors dominate: their rows are primary, whatever the number of contributors.

Belongs here: from contributions to the rows that `protect(also_primary=...)` must hide. Does not belong here: the rule
itself (`methods.disclosure.primary`), its shares (the policy).
"""

import math

import polars as pl

from methods.disclosure import is_dominated
from warehouse.catalogue.disclosure import DisclosurePolicy
from warehouse.publishing.content import KEY_COLUMNS

PROTECTED_SHARE = 0.15
"""Width of the interval in which a competitor may place a dominated total, as a share of it."""


def dominated_rows(contributions: pl.DataFrame, policy: DisclosurePolicy) -> pl.DataFrame:
    """Keys of the totals that the policy's dominance rules hide, with the width that their interval must have.

    `contributions`: the key columns of the total and `amount`, one row per contributor (an enterprise).
    """
    rules = [(rule.largest, rule.share) for rule in policy.dominance]
    rows = []
    for key, part in contributions.group_by(list(KEY_COLUMNS), maintain_order=True):
        amounts = part["amount"].to_list()
        if is_dominated(amounts, rules):
            rows.append(dict(zip(KEY_COLUMNS, key, strict=True)) | {"width": math.ceil(PROTECTED_SHARE * sum(amounts))})
    return pl.DataFrame(rows, schema=dict.fromkeys(KEY_COLUMNS, pl.String()) | {"width": pl.Int64()})
