"""The assets `core/validation_rule` and `core/validation_result`: DHIS2's own rules, after all servers are loaded.

Belongs here: declaring. Does not belong here: reading rules and values (`evaluate`), arithmetic (`methods.dhis2_validation`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import polars as pl

from assets.declare import check_specs, load_results, one_opening, selected, table_key, table_spec
from assets.loading import derive_table
from assets.validation.evaluate import INPUTS, RuleResults, evaluate_current
from warehouse.catalogue.table_catalogue import tables
from warehouse.clock import Refresh
from warehouse.quality import Scales
from warehouse.store import Warehouse


def build(scales: Scales) -> Sequence[dg.AssetsDefinition]:
    """The assets `core/validation_result` and `core/validation_rule`."""
    made = [tables()[name] for name in ("core.validation_result", "core.validation_rule")]

    @dg.multi_asset(
        can_subset=True,
        name="evaluate_validation_rules",
        specs=[table_spec(table, [table_key(name) for name in INPUTS]) for table in made],
        check_specs=check_specs(made, scales),
    )
    @one_opening
    def evaluate_validation_rules(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        evaluated: list[RuleResults] = []

        def once(connection: Any) -> RuleResults:
            # Both tables come of one evaluation.
            if not evaluated:
                evaluated.append(evaluate_current(connection))
            return evaluated[0]

        def violations(connection: Any) -> pl.DataFrame:
            return once(connection).violations

        def rules(connection: Any) -> pl.DataFrame:
            return once(connection).rules

        reports = [
            derive_table(warehouse, scales, source, refresh.recorded_at, table.name, make, inputs=INPUTS)
            for table, source, make in zip(
                made, ("validation_results", "validation_rules"), (violations, rules), strict=True
            )
        ]
        counts = warehouse.row_counts(table.name for table in made)
        for line in (
            evaluated[0].rules.filter(pl.col("status_code") == "refused").iter_rows(named=True) if evaluated else ()
        ):
            context.log.warning(
                "%s: validation rule %s is not evaluated: %s",
                line["instance_code"],
                line["rule_uid"],
                line["refused_part"],
            )
        yield from selected(context, load_results(made, reports, counts, scales))

    return [evaluate_validation_rules]
