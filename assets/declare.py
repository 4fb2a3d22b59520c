"""How tables and their checks appear in Dagster: specs from the catalogue, results from reports.

Belongs here: the translation between the warehouse's words and Dagster's, once for all sources. Does not belong here: what
is pulled or computed.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date, datetime
from functools import wraps
from typing import Any, ParamSpec

import dagster as dg

from assets.loading import Batches, SourceReport, load_source, loaded_receipt_ids
from warehouse import row_bands
from warehouse.catalogue.table_catalogue import Table, tables
from warehouse.clock import Refresh
from warehouse.history import LoadCounts
from warehouse.landing import Landing, Receipt
from warehouse.lineage import Lineage, model_lineage, model_text
from warehouse.quality import CheckDescription, RuleOutcome, Scales
from warehouse.store import Warehouse

FIELDS_CHECK = "fields_as_accepted"
ROWS_CHECK = "rows_as_expected"

COLUMN_LINEAGE = "dagster/column_lineage"

NOT_MATERIALISED = "__source_asset_observation__"
"""Metadata of an output that Dagster 1.13 hands on without recording a materialisation. Its documented ways do not serve here: an output
left out skips every step below, the other servers' load among them, and a step that fails ends the run."""

Asked = ParamSpec("Asked")

LAYER_KINDS = {
    "staging": {"duckdb", "polars"},
    "core": {"duckdb", "sql"},
    "estimate": {"duckdb", "python"},
    "indicator": {"duckdb", "sql"},
    "release": {"duckdb", "python"},
}


def table_key(table: str) -> dg.AssetKey:
    """Asset key of a table: schema and name."""
    return dg.AssetKey(table.split("."))


def landing_key(source_code: str) -> dg.AssetKey:
    """Asset key of what one source instance landed."""
    return dg.AssetKey(["landing", source_code])


def loaded_tables(group: str, without: Iterable[str] = ()) -> list[Table]:
    """Staging and core tables of a source group, staging first: the order in which a load step tells of them."""
    left_out = set(without)
    found = [table for table in tables().values() if table.group == group and table.name not in left_out]
    return [table for schema in ("staging", "core", "restricted") for table in found if table.schema_name == schema]


def load_specs(loaded: Sequence[Table], landed: Iterable[dg.AssetKey]) -> list[dg.AssetSpec]:
    """Specs of a load step: staging tables come from what was landed, core tables from all staging tables of the step."""
    staging = [table_key(table.name) for table in loaded if table.schema_name == "staging"]
    below = list(landed)
    return [table_spec(table, below if table.schema_name == "staging" else staging) for table in loaded]


def table_spec(table: Table, deps: Iterable[dg.AssetKey]) -> dg.AssetSpec:
    """The asset of one catalogue table, described by its entry."""
    return dg.AssetSpec(
        key=table_key(table.name),
        deps=list(deps),
        description=f"One row is {table.row}. {table.description}",
        group_name=f"{table.schema_name}_{table.group}",
        owners=[table.owner],
        kinds=LAYER_KINDS.get(table.schema_name, {"duckdb"}),
        tags={"layer": table.schema_name, "source": table.group, "access": table.access},
        metadata={
            "dagster/table_name": table.name,
            "dagster/column_schema": dg.TableSchema(
                columns=[
                    dg.TableColumn(
                        name=column.name,
                        type=column.type,
                        description=column.description,
                        constraints=dg.TableColumnConstraints(
                            nullable=column.nullable and column.name not in table.key
                        ),
                        tags={"data_class": column.data_class},
                    )
                    for column in table.columns
                ]
            ),
            "key": ", ".join(table.key),
            **_lineage_metadata(table),
        },
        code_version=code_version_of(table),
    )


def code_version_of(table: Table) -> str:
    """Changes when the table's entry or its SQL model does: Dagster then shows what was made by older code."""
    return hashlib.sha256(f"{table!r}\n{model_text(table.name)}".encode()).hexdigest()[:12]


def _lineage_metadata(table: Table) -> dict[str, Any]:
    """Column lineage, where the table has an SQL model."""
    found = column_deps(table, model_lineage(table.name))
    return {COLUMN_LINEAGE: found} if found.deps_by_column else {}


def column_deps(table: Table, lineage: Lineage) -> dg.TableColumnLineage:
    """The lineage of the table's columns as Dagster shows it; a column without origins is left out."""
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key=table_key(origin), column_name=name) for origin, name in sorted(origins)
            ]
            for column, origins in lineage.items()
            if origins and column in table.column_names
        }
    )


def check_name(rule_code: str) -> str:
    """A rule code as Dagster allows check names."""
    return re.sub(r"[^A-Za-z0-9_]", "_", rule_code)


def check_specs(weighed: Iterable[Table], scales: Scales) -> list[dg.AssetCheckSpec]:
    """One Dagster check per rule of the tables' suites, and for a load step two on what was delivered: its fields and its rows."""
    tables_weighed = list(weighed)
    specs = [_check_spec(check) for table in tables_weighed for check in scales.checks_for(table)]
    first = next((table for table in tables_weighed if table.schema_name == "staging"), None)
    if first is not None:
        specs.append(
            dg.AssetCheckSpec(
                name=FIELDS_CHECK,
                asset=table_key(first.name),
                description="Each delivery has the fields that were last accepted; what differs is named and handled by "
                "policy (warehouse/catalogue/drift.toml). A delivery that is stopped leaves the last good data in place.",
                metadata={"severity": "critical", "level": "table"},
            )
        )
        specs.append(
            dg.AssetCheckSpec(
                name=ROWS_CHECK,
                asset=table_key(first.name),
                description=f"{row_bands.SAYS} {row_bands.WHY} The bands stand in ops.row_band.",
                metadata={"severity": "warning", "level": "table"},
            )
        )
    return specs


def _check_spec(check: CheckDescription) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        name=check_name(check.rule_code),
        asset=table_key(check.table),
        description=check.description,
        blocking=check.is_blocking,
        metadata={"severity": check.severity, "level": check.level},
    )


def check_results(
    outcomes: Sequence[RuleOutcome], declared: Iterable[Table], scales: Scales
) -> Iterator[dg.AssetCheckResult]:
    """One result per rule weighed. Outcomes of several instances of one source add up; one failure fails the check.

    Carries counts and keys, never a person's values.
    """
    known = {check.rule_code for table in declared for check in scales.checks_for(table)}
    by_rule: dict[str, list[RuleOutcome]] = {}
    for outcome in outcomes:
        if outcome.rule_code in known:
            by_rule.setdefault(outcome.rule_code, []).append(outcome)
    for rule_code, several in by_rule.items():
        first = several[0]
        raised = [outcome.raised for outcome in several if outcome.raised]
        yield dg.AssetCheckResult(
            asset_key=table_key(first.table),
            check_name=check_name(rule_code),
            passed=all(outcome.passed for outcome in several),
            severity=dg.AssetCheckSeverity.ERROR if first.severity == "critical" else dg.AssetCheckSeverity.WARN,
            metadata={
                "unexpected_rows": sum(outcome.unexpected_count for outcome in several),
                "evaluated_rows": sum(outcome.evaluated_count for outcome in several),
                "why": first.why,
                **({"could_not_be_evaluated": raised[0]} if raised else {}),
                **({"sample_keys": list(first.sample_keys)} if first.sample_keys else {}),
            },
        )


def load_metadata(table: str, reports: Sequence[SourceReport], row_count: int | None) -> dict[str, Any]:
    """Counts of one table over all instances that were loaded, for the materialisation."""
    metadata: dict[str, Any] = {}
    if row_count is not None:
        metadata["dagster/row_count"] = row_count
    totals: dict[str, int] = {}
    for report in reports:
        if report.load is None:
            continue
        staged = report.load.staging.get(table)
        merged = report.load.history.get(table)
        counts: Mapping[str, int] = {**(vars(staged) if staged else {}), **(vars(merged) if merged else {})}
        for name, count in counts.items():
            totals[name] = totals.get(name, 0) + count
    return {**metadata, **totals}


def sources_metadata(reports: Sequence[SourceReport]) -> dict[str, Any]:
    """What the summary at the end of a refresh says of each source instance."""
    return {"mhwg/sources": dg.MetadataValue.json([_source_summary(report) for report in reports])}


def _source_summary(report: SourceReport) -> dict[str, Any]:
    total = report.load.total() if report.load else LoadCounts()
    return {
        "source": report.source_code,
        "receipts": report.pulled_receipts,
        "records": report.pulled_records,
        "new": total.inserted if report.is_change else 0,
        "changed": total.changed if report.is_change else 0,
        "deleted": total.closed if report.is_change else 0,
        "rejected": report.load.newly_quarantined if report.load and report.is_change else 0,
        "checks_passed": sum(outcome.passed for outcome in report.outcomes),
        "checks_failed": sum(not outcome.passed for outcome in report.outcomes),
        "checks_warned": sum(not outcome.passed and outcome.severity != "critical" for outcome in report.outcomes),
        "is_change": report.is_change,
        "fault": report.fault,
    }


def records_of(receipts: Iterable[Receipt]) -> int:
    """Records that one pull landed, as its receipts count them; none when nothing was new."""
    return sum(receipt.record_count for receipt in receipts)


def last_good(context: dg.AssetExecutionContext, result: "dg.MaterializeResult[None]") -> "dg.MaterializeResult[None]":
    """The steps below go on with what the asset held before, and Dagster is told so by an observation: a freshness policy counts
    materialisations only, so that an asset which kept its last good data ages."""
    key = result.asset_key or context.asset_key
    context.log_event(dg.AssetObservation(key, metadata=result.metadata))
    return result._replace(metadata={NOT_MATERIALISED: True}, data_version=None)


def one_opening(compute: Callable[Asked, Iterator[Any]]) -> Callable[Asked, Iterator[Any]]:
    """The step opens the store once, however often it asks; its resource `warehouse` must be among its arguments.

    For steps that load or compute, not for those that pull: who waits for a server keeps no other process from the store.
    """

    @wraps(compute)
    def step(*args: Asked.args, **kwargs: Asked.kwargs) -> Iterator[Any]:
        warehouse = kwargs["warehouse"]
        assert isinstance(warehouse, Warehouse)
        with warehouse.kept_open():
            yield from compute(*args, **kwargs)

    return step


def selected(context: dg.AssetExecutionContext, events: Iterable[Any], *, is_last_good: bool = False) -> Iterator[Any]:
    """Of a step's events those that were asked for. A step always does its whole work, in one transaction; when a person
    materialises one of its tables, only that table's events are recorded. `is_last_good`: no source brought its tables anything."""
    keys, checks = context.selected_asset_keys, context.selected_asset_check_keys
    versions = data_versions(context.resources.warehouse, keys)
    for event in events:
        if isinstance(event, dg.AssetCheckResult):
            assert event.asset_key is not None
            assert event.check_name is not None
            if dg.AssetCheckKey(event.asset_key, event.check_name) in checks:
                yield event
        elif event.asset_key in keys and is_last_good:
            yield last_good(context, event)
        elif event.asset_key in keys:
            yield (
                event
                if event.data_version or event.asset_key not in versions
                else event._replace(data_version=versions[event.asset_key])
            )


def data_versions(warehouse: Warehouse, keys: Iterable[dg.AssetKey]) -> dict[dg.AssetKey, dg.DataVersion]:
    """The instant at which each table's rows last changed: equal versions, equal rows, so Dagster calls nothing stale that
    would come out the same."""
    names = {".".join(key.path): key for key in keys}
    return {names[name]: dg.DataVersion(f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in warehouse.changed_at(names).items()}


def load_results(
    loaded: Sequence[Table], reports: Sequence[SourceReport], row_counts: Mapping[str, int], scales: Scales
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """The events of a load step: one materialisation per table with its counts, one result per check that was weighed."""
    for number, table in enumerate(loaded):
        metadata = load_metadata(table.name, reports, row_counts.get(table.name))
        if number == 0:
            metadata |= sources_metadata(reports)
        yield dg.MaterializeResult(asset_key=table_key(table.name), metadata=metadata)
    yield from _fields_results(loaded, reports)
    yield from _rows_results(loaded, reports)
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    yield from check_results(outcomes, loaded, scales)


def _fields_results(loaded: Sequence[Table], reports: Sequence[SourceReport]) -> Iterator[dg.AssetCheckResult]:
    """The check on the fields of what was delivered, with the differences; none when nothing was delivered."""
    first = next((table for table in loaded if table.schema_name == "staging"), None)
    judged = [drift for report in reports for drift in report.drifts]
    if first is None or not judged:
        return
    differences = [
        {
            "source": drift.source_code,
            "part": drift.part_code,
            "difference": difference.sentence(),
            "answer": "stop" if difference in drift.decision.stopping else "go on",
        }
        for drift in judged
        for difference in drift.decision.differences
    ]
    yield dg.AssetCheckResult(
        asset_key=table_key(first.name),
        check_name=FIELDS_CHECK,
        passed=not any(drift.decision.is_stopped for drift in judged),
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "parts": len(judged),
            "unexpected_rows": len(differences),
            "differences": dg.MetadataValue.json(differences),
        },
    )


def _rows_results(loaded: Sequence[Table], reports: Sequence[SourceReport]) -> Iterator[dg.AssetCheckResult]:
    """The check on the rows that the loads left behind; none where there is too little history to judge by."""
    first = next((table for table in loaded if table.schema_name == "staging"), None)
    judged = [(report.source_code, found) for report in reports for found in report.slices if found.band is not None]
    if first is None or not judged:
        return
    outside = [f"{source}: {found.sentence()}" for source, found in judged if found.state_code != "within"]
    yield dg.AssetCheckResult(
        asset_key=table_key(first.name),
        check_name=ROWS_CHECK,
        passed=not outside,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "why": row_bands.WHY,
            "slices": len(judged),
            "unexpected_rows": len(outside),
            "outside": dg.MetadataValue.json(outside),
        },
    )


def fail_alone(refresh: Refresh, reports: Iterable[SourceReport]) -> None:
    """A run that is for single sources fails when one of them kept its last good data; a run of everything goes on.

    Raises dagster.Failure with the sources' own sentences.
    """
    faults = [report.fault for report in reports if report.fault]
    if refresh.alone and faults:
        raise dg.Failure(" | ".join(faults), allow_retries=False)


Place = Callable[[Warehouse, Landing, datetime], AbstractContextManager[tuple[Warehouse, Landing, datetime]]]
"""Where a source is loaded: of warehouse, landing and system time of a refresh, those of its own load."""


@contextmanager
def in_warehouse(
    warehouse: Warehouse, landing: Landing, recorded_at: datetime
) -> Iterator[tuple[Warehouse, Landing, datetime]]:
    """The place of all sources but those that are kept apart."""
    yield warehouse, landing, recorded_at


def load_step(
    source_code: str,
    loaded: Sequence[Table],
    scales: Scales,
    batches: Callable[[Landing], Batches],
    place: Place = in_warehouse,
) -> dg.AssetsDefinition:
    """The step `load_<source>` of a source with one instance: every waiting pull goes through `load_source`."""

    @dg.multi_asset(
        can_subset=True,
        name=f"load_{source_code}",
        specs=load_specs(loaded, [landing_key(source_code)]),
        check_specs=check_specs(loaded, scales),
    )
    @one_opening
    def load(
        context: dg.AssetExecutionContext,
        warehouse: dg.ResourceParam[Warehouse],
        landing: dg.ResourceParam[Landing],
        refresh: dg.ResourceParam[Refresh],
        scales: dg.ResourceParam[Scales],
    ) -> Iterator[Any]:
        with place(warehouse, landing, refresh.recorded_at) as (store, landed, at):
            if refresh.is_full:
                landed.note_again(source_code, loaded_receipt_ids(store, source_code))
            report = load_source(store, landed, scales, source_code, at, batches(landed))
            counts = store.row_counts(table.name for table in loaded)
        results = load_results(loaded, [report], counts, scales)
        yield from selected(context, results, is_last_good=not report.is_change and report.fault is not None)
        fail_alone(refresh, [report])

    return load


BACKFILL_GROUP = "backfill"
"""Partitioned assets that take months or waves in again on demand; no part of a weekly refresh."""


def backfill_step(
    source_code: str,
    partitions: dg.PartitionsDefinition[str],
    description: str,
    again: Callable[[Sequence[str], Landing, Warehouse, Refresh, Any], Batches],
    needs: frozenset[str] = frozenset(),
) -> dg.AssetsDefinition:
    """The asset `backfill/<source>`: any number of its partitions are taken in again by one run, through `load_source`.

    `again` makes the chosen partitions wait to be loaded and hands back how they become batches; `needs` names further
    resources that it is handed as the last argument. Made of nothing and making nothing in the graph: the tables belong
    to the weekly steps, and computing and publishing follow with the next release build.
    """

    @dg.asset(
        key=["backfill", source_code],
        group_name=BACKFILL_GROUP,
        kinds={"duckdb"},
        owners=["team:mhwg-data"],
        tags={"layer": "backfill", "source": source_code},
        description=description + " Run the job `publish` afterwards, or leave it to the weekly release.",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys={"warehouse", "landing", "refresh", "scales", *needs},
    )
    def backfill(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the bare name
        resources: Any = context.resources
        keys = sorted(context.partition_keys)
        batches = again(keys, resources.landing, resources.warehouse, resources.refresh, resources)
        report = load_source(
            resources.warehouse,
            resources.landing,
            resources.scales,
            source_code,
            resources.refresh.recorded_at,
            batches,
        )
        if report.fault:
            raise dg.Failure(report.fault, allow_retries=False)
        summary = _source_summary(report)
        return dg.MaterializeResult(
            metadata={name: summary[name] for name in ("records", "new", "changed", "deleted", "rejected")}
        )

    return backfill


def months_from(first_on: date) -> dg.MonthlyPartitionsDefinition:
    """Months as DHIS2 names them, from the one of `first_on` to the running one."""
    return dg.MonthlyPartitionsDefinition(start_date=f"{first_on:%Y%m}", fmt="%Y%m", end_offset=1)
