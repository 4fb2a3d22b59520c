"""From landed receipts to core tables: the one path that every source takes.

Belongs here: the order of staging, weighing, merging and committing, told by values that each source fills in. Does not
belong here: Dagster, HTTP, the reading of any format.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from assets.delivery import judge_delivery, without_stopped
from assets.retrying import Retry, pulls_to_retry, remember_judgement
from warehouse import drift
from warehouse.drift import PartDrift
from warehouse.history import LoadMode
from warehouse.inputs_digest import PART, computed_from, inputs_digest
from warehouse.landing import Landing, LandingError, Receipt
from warehouse.load import CriticalRuleFailed, LoadReport, LoadTransaction, transaction
from warehouse.outages import end_outage, note_outage
from warehouse.quality import RuleOutcome, Scales, WeighingFailed
from warehouse.row_bands import JudgedSlice, judge_rows
from warehouse.row_bands import outcome as row_outcome
from warehouse.store import Warehouse, given_room

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TableLoad:
    """How one core table takes a batch: `delta` or `snapshot`, and the rows that the batch speaks for."""

    table: str
    mode: LoadMode
    scope: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Receipts that belong together, their staging frames in load order, the staging rows they replace, and the core loads."""

    receipts: tuple[Receipt, ...]
    scope: Mapping[str, str]
    frames: Mapping[str, pl.DataFrame | Iterable[pl.DataFrame]]
    loads: tuple[TableLoad, ...]
    whole: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    """Staging table -> scopes for which the frame is all that the provider has to say: a held record it lacks was taken back."""
    identity: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Staging table -> columns by which a later record replaces a held one, where they are not its key."""


Batches = Callable[[Sequence[Receipt]], Iterable[Batch]]


@dataclass
class SourceReport:
    """What became of one source in one refresh. `fault` is the one line for the engineer when its last good data were kept."""

    source_code: str
    pulled_receipts: int = 0
    pulled_records: int = 0
    load: LoadReport | None = None
    fault: str | None = None
    outcomes: list[RuleOutcome] = field(default_factory=list)
    drifts: list[PartDrift] = field(default_factory=list)
    """Parts of the delivery held against the fields that were last accepted."""

    slices: list[JudgedSlice] = field(default_factory=list)
    """What the load left behind, counted and held against the rows expected of it."""

    @property
    def is_change(self) -> bool:
        """True when the store changed."""
        return self.load is not None and self.load.committed


def loaded_receipt_ids(warehouse: Warehouse, source_code: str) -> set[str]:
    """Receipts of the source that the store has loaded."""
    if not warehouse.exists:
        return set()
    return set(
        warehouse.read("select receipt_id from ops.receipt where source_code = $source", {"source": source_code})[
            "receipt_id"
        ]
    )


def known_receipts(warehouse: Warehouse, landing: Landing, source_code: str) -> list[Receipt]:
    """Receipts that need not be pulled again: loaded, or waiting to be loaded. What a broken pull left is not among them."""
    loaded = loaded_receipt_ids(warehouse, source_code)
    waiting = [receipt for pull in landing.waiting_pulls(source_code) for receipt in pull]
    return [receipt for receipt in landing.receipts(source_code) if receipt.receipt_id in loaded] + waiting


@given_room
def load_source(
    warehouse: Warehouse,
    landing: Landing,
    scales: Scales,
    source_code: str,
    recorded_at: datetime,
    batches: Batches,
    *,
    retry: bool = True,
) -> SourceReport:
    """Every waiting pull of the source is in the core with its checks, or the store is as it was and `fault` says why.

    Before them the pulls are read again whose held records have become valid or were released. When that breaks a critical
    rule, the waiting pulls are loaded without it. A load that changed nothing leaves no receipt and its landed files are
    removed: what it said, the store says already. What is refused does not wait: it is pulled again by the next refresh, so
    that a delivery in which the provider mended the fault is not held up by the first.
    """
    report = SourceReport(source_code)
    warehouse.bring_up_to_date()
    loaded = loaded_receipt_ids(warehouse, source_code)
    pending = [receipt for pull in landing.waiting_pulls(source_code) for receipt in pull]
    report.fault = _drop_damaged(landing, source_code, pending, loaded)
    if report.fault:
        return _on_file(warehouse, report, recorded_at, answered=True)
    waiting = _known_in_form(warehouse, landing, source_code, recorded_at, report)
    again = pulls_to_retry(warehouse, landing, scales, source_code, recorded_at, batches) if retry else Retry()
    if not waiting and not again.is_due:
        return _on_file(warehouse, report, recorded_at, answered=not source_code.startswith("dhis2_"))
    receipts = [receipt for pull in waiting for receipt in pull]
    taken = {receipt.receipt_id for receipt in receipts}
    report.pulled_receipts = len(receipts)
    report.pulled_records = sum(receipt.record_count for receipt in receipts)
    load: LoadTransaction | None = None
    try:
        with transaction(warehouse, source_code, recorded_at) as load:
            touched: dict[str, list[Mapping[str, str]]] = {}
            for number, pull in enumerate([*again.pulls, *waiting], start=1):
                is_retry = number <= len(again.pulls)
                load.report.pulls.append((number, tuple(receipt.receipt_id for receipt in pull), is_retry))
                for batch in batches(pull):
                    for step in _load_batch(load, scales, batch):
                        touched.setdefault(step.table, []).append(step.scope)
                    load.close_books(number)
            if load.report.is_change:
                for table, scopes in touched.items():
                    # One server's failures must not count against another; a table loaded in many scopes is weighed whole.
                    load.weigh(table, scales, scopes[0] if all(scope == scopes[0] for scope in scopes) else None)
                drift.accept(load.connection, [d for d in report.drifts if d.receipt_id in taken], load.recorded_at)
                report.slices = _count_rows(load)
            if load.report.is_change or again.is_judged_anew:
                remember_judgement(load)
    except (CriticalRuleFailed, WeighingFailed) as fault:
        if again.pulls:
            log.warning("%s: held records could not be loaded, they stay held: %s", source_code, fault)
            return load_source(warehouse, landing, scales, source_code, recorded_at, batches, retry=False)
        report.fault = " | ".join(filter(None, [report.fault, str(fault)]))
        report.outcomes = list(load.report.outcomes) if load else []
        log.warning("%s: load rolled back: %s", source_code, type(fault).__name__)
        landing.settle_pulls(source_code)
        return _on_file(warehouse, report, recorded_at, answered=True)
    report.load = load.report
    report.outcomes = list(load.report.outcomes)
    if not load.report.committed:
        for receipt in receipts:
            if receipt.receipt_id not in loaded:
                landing.discard(receipt)
    landing.settle_pulls(source_code)
    return _on_file(warehouse, report, recorded_at, answered=bool(waiting) or not source_code.startswith("dhis2_"))


def _count_rows(load: LoadTransaction) -> list[JudgedSlice]:
    """The slices of a load that changes something, against their bands; a warning among the load's outcomes when one is outside."""
    judged = list(judge_rows(load, load.recorded_at))
    if any(found.band is not None for found in judged):
        load.report.outcomes.append(row_outcome(judged, load.source_code))
    for found in judged:
        if found.state_code in ("short", "flood"):
            log.warning("%s: %s", load.source_code, found.sentence())
    return judged


def _on_file(warehouse: Warehouse, report: SourceReport, at: datetime, *, answered: bool) -> SourceReport:
    """The report, with the source on file as failed or as well again. `answered`: a source that could not be asked is not well."""
    if report.fault:
        note_outage(warehouse, report.source_code, report.fault, at)
    elif answered:
        end_outage(warehouse, report.source_code)
    return report


def _drop_damaged(landing: Landing, source_code: str, receipts: Sequence[Receipt], loaded: set[str]) -> str | None:
    """None when every landed byte is the one received; otherwise the waiting pulls are gone, to be pulled again, and the
    sentence says what was found. A file cut short must never be loaded as a short answer."""
    for receipt in receipts:
        try:
            landing.verify(receipt)
        except LandingError as fault:
            landing.settle_pulls(source_code)
            log.warning("%s: landed files are damaged: %s", source_code, receipt.path)
            if receipt.receipt_id in loaded:
                return str(fault)
            landing.discard(receipt)
            return f"{fault.found}. What waited to be loaded is pulled again by the next refresh."
    return None


def _known_in_form(
    warehouse: Warehouse, landing: Landing, source_code: str, recorded_at: datetime, report: SourceReport
) -> list[Sequence[Receipt]]:
    """The waiting pulls without what came in another form than was accepted; `report` says what was refused, and why."""
    waiting = landing.waiting_pulls(source_code)
    if not waiting:
        return []
    if warehouse.exists:
        with warehouse.connect(read_only=True) as connection:
            judged = [judge_delivery(connection, source_code, pull, landing) for pull in waiting]
    else:
        judged = [judge_delivery(None, source_code, pull, landing) for pull in waiting]
    report.drifts = [found for drifts in judged for found in drifts]
    changed = [found for found in report.drifts if found.decision.differences]
    files = {receipt.receipt_id: receipt.locator for pull in waiting for receipt in pull if receipt.kind_code == "file"}

    def explained(found: PartDrift) -> str:
        where = f" ({files[found.receipt_id].removeprefix('inbox:')})" if found.receipt_id in files else ""
        return found.decision.explanation(f"{source_code} {found.part_code}{where}")

    for found in changed:
        log.warning("%s", explained(found))
    stopped = [found for found in changed if found.decision.is_stopped]
    if stopped:
        report.fault = " | ".join(dict.fromkeys(explained(found) for found in stopped))
    if changed:
        with warehouse.connect() as connection:
            drift.note(connection, changed, recorded_at)
    left = [without_stopped(pull, drifts) for pull, drifts in zip(waiting, judged, strict=True)]
    if stopped and not any(left):
        landing.settle_pulls(source_code)
    return [pull for pull in left if pull]


def _load_batch(load: LoadTransaction, scales: Scales, batch: Batch) -> Sequence[TableLoad]:
    """The batch is staged and, if it says anything that the store does not, weighed and merged; the merges that were made."""
    before = load.report.newly_quarantined
    for table, frame in batch.frames.items():
        load.stage(table, frame, batch.scope)
    receipts = [receipt.receipt_id for receipt in batch.receipts]
    if load.report.newly_quarantined == before and not any(
        load.would_change(step.table, mode=step.mode, scope=step.scope) for step in batch.loads
    ):
        # What was pulled is what the store says: nothing to weigh, nothing to load. It may still make good what is held.
        if load.settle(receipts, batch.whole, batch.identity):
            load.register(batch.receipts)
        return ()
    for table in batch.frames:
        load.weigh(table, scales, batch.scope)
    for step in batch.loads:
        load.load_history(step.table, mode=step.mode, scope=step.scope)
    load.settle(receipts, batch.whole, batch.identity)
    load.register(batch.receipts)
    return batch.loads


@given_room
def derive_table(
    warehouse: Warehouse,
    scales: Scales,
    source_code: str,
    recorded_at: datetime,
    table: str,
    make: Callable[[Any], pl.DataFrame],
    *,
    inputs: Sequence[str],
    also: Sequence[str] = (),
    before_load: Callable[[LoadTransaction, pl.DataFrame], None] | None = None,
) -> SourceReport:
    """The table with history says what `make(connection)` computes from the store now, weighed and committed, or is as it
    was and `fault` says why. A result equal to the last writes nothing.

    `inputs`: the tables it is made from; `also`: what else it depends on, such as the day. When none of them and no line of
    code changed since the last result, nothing is computed. `before_load` is handed the result while the table still says
    what it said, within the same transaction.
    """
    report = SourceReport(source_code)
    digest = inputs_digest(warehouse, inputs, *also)
    if computed_from(warehouse, source_code) == digest:
        return report
    load: LoadTransaction | None = None
    try:
        with transaction(warehouse, source_code, recorded_at) as load:
            frame = make(load.connection)
            report.pulled_records = frame.height
            if before_load is not None:
                before_load(load, frame)
            if load.load_frame(table, frame, mode="snapshot").is_change:
                load.weigh(table, scales)
            load.mark(source_code, PART, digest)
            load.report.remembered = True
    except (CriticalRuleFailed, WeighingFailed) as fault:
        report.fault = str(fault)
        report.outcomes = list(load.report.outcomes) if load else []
        log.warning("%s: %s rolled back: %s", source_code, table, type(fault).__name__)
        return report
    report.load = load.report
    report.outcomes = list(load.report.outcomes)
    return report
