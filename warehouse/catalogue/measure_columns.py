"""What a measure's SELECT leaves out is filled in, so that a constant stands in one place and not in nineteen files.

Belongs here: the standard columns that have a usual value, and the text around a SELECT that lacks some. Does not belong here: which
columns are standard (`indicator_catalogue`), running anything. Specification: docs/methods/indicator-engine.md.
"""

import re
from collections.abc import Mapping, Sequence

USUAL: Mapping[str, str] = {
    "period_type_code": "null::varchar",
    **dict.fromkeys(
        (
            "sex_code", "age_code", "migrant_status_code", "migrant_basis_code", "origin_code", "destination_code", "category_code",
        ),
        "'_T'",
    ),
    "lower": "null::double",
    "upper": "null::double",
    "se": "null::double",
    "interval_code": "null::varchar",
    "records": "null::bigint",
    "is_observed": "true",
    "status_code": "null::varchar",
    "footnote_code": "null::varchar",
}  # fmt: skip
"""A measure is not told apart by a dimension, is dated and serves every period that holds it, is a number without bounds, counts
no records, is observed, and has neither status nor note, unless its SELECT says otherwise."""


def selected_columns(sql: str) -> tuple[str, ...]:
    """The names of the columns of the last SELECT of a model, in order. A model has one `select` at the start of a line and a
    `from` at the start of a later one; every column is a plain name or ends in `as name`."""
    body = re.split(r"^select\b", sql, flags=re.M)[-1]
    listed = re.split(r"^from\b", re.sub(r"--[^\n]*", "", body), maxsplit=1, flags=re.M)[0]
    names, depth, start = [], 0, 0
    for place, sign in enumerate(f"{listed},"):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            names.append(re.split(r"[\s.]+", listed[start:place].strip())[-1])
            start = place + 1
    return tuple(names)


def with_every_column(sql: str, wanted: Sequence[str]) -> str:
    """`sql` as a SELECT of exactly the wanted columns: those it gives, and the usual value of those it leaves out.

    A wanted column that is neither given nor usual stays in the text and is refused by the engine, by name.
    """
    given = selected_columns(sql)
    if given == tuple(wanted):
        return sql
    columns = [name if name in given or name not in USUAL else f"{USUAL[name]} as {name}" for name in wanted]
    inner = "\n".join(f"    {line}" if line.strip() else "" for line in sql.splitlines())
    return "select\n    " + ",\n    ".join(columns) + f"\nfrom (\n{inner}\n) as given"
