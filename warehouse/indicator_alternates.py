"""The same indicator on another denominator: how far a rate moves when its population changes.

Belongs here: computing alternates of the denominator registry side by side. Does not belong here: publishing them; a table
shows one denominator, and never a mixture. Specification: docs/methods/rates.md.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from warehouse.catalogue.indicator_catalogue import (
    DIMENSIONS,
    DenominatorUse,
    Indicator,
    IndicatorCatalogue,
    indicator_catalogue,
)
from warehouse.indicator_engine import compute_with_findings

_KEYS: Sequence[str] = ("indicator_code", "area_code", "period_code", *DIMENSIONS)


def alternate_values(
    connection: Any, indicator: Indicator, as_at: datetime, *, catalogue: IndicatorCatalogue | None = None
) -> pl.DataFrame:
    """Cells of the indicator with the published denominator and each alternate: denominator_code, edition, denominator, value.

    *Columns* added: `difference_percent`, relative to the published denominator. Empty for an indicator without a named one.
    """
    known = catalogue or indicator_catalogue()
    use = indicator.denominator
    if use is None or use.named is None:
        return pl.DataFrame(schema={**dict.fromkeys(_KEYS, pl.String), "denominator_code": pl.String})
    frames = []
    for name in (use.named, *known.denominators[use.named].alternates):
        other = indicator.model_copy(update={"denominator": DenominatorUse(named=name, total_over=use.total_over)})
        observed = compute_with_findings(connection, [other], as_at, catalogue=known).observations
        frames.append(
            observed.select(*_KEYS, "denominator", "value").with_columns(
                pl.lit(name).alias("denominator_code"), pl.lit(known.denominators[name].edition).alias("edition")
            )
        )
    both = pl.concat(frames)
    published = both.filter(denominator_code=use.named).select(*_KEYS, pl.col("value").alias("published"))
    return (
        both.join(published, on=list(_KEYS), how="left")
        .with_columns(((pl.col("value") / pl.col("published") - 1) * 100).alias("difference_percent"))
        .drop("published")
        .sort(*_KEYS, "denominator_code")
    )
