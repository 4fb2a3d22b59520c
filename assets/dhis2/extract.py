"""One pull of one server: what is asked, in which order, how it goes on after a break, and what it leaves in the landing.

Belongs here: the order of a pull, full or since a watermark, its parts and their receipts. Does not belong here: HTTP
(`client`), how a listing or chunk is asked for (`tracker`, `aggregate`), reading what was landed (`payload`).

The watermark is the server's clock as read before the first request, less an overlap; ours is never looked at. It carries
the digest of the mapping: when what is collected changes, the next pull is a full one.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final, Literal, TypeVar

import pyarrow.parquet

from assets.dhis2 import aggregate, metadata, tracker
from assets.dhis2.aggregate import Chunk, ChunkCounts, ValueFormError
from assets.dhis2.client import CSV, Credential, Dhis2Client
from assets.dhis2.errors import FormatNotOfferedError, ResponseShapeError, TooLargeError
from assets.dhis2.instants import format_instant, minus_overlap, parse_instant
from assets.dhis2.mapping import InstanceMapping
from assets.dhis2.metadata import ServerFacts
from assets.dhis2.referral import FIELDS, UID_FIELDS, RecordFormError, landed_record, require_form
from assets.dhis2.tracker import Listing, Position
from methods.pseudonym import Pseudonymiser
from warehouse.landing import Pull, Receipt

log = logging.getLogger(__name__)

Count = TypeVar("Count")
Mode = Literal["full", "incremental"]
Progress = Callable[[str, int, int | None], None]
"""Called with the part, units done and units in all (None while unknown): pages of tracker, chunks of data sets."""

_PLAN: Final = "plan.json"
_STATE: Final = "state.json"
_LONGEST_RESUME: Final = timedelta(hours=24)
"""A broken pull older than this starts anew: its pages would describe a server of days ago."""


@dataclass(frozen=True)
class PullResult:
    """What one pull left behind. `counts` are rows by part, as received, landed, unmapped, withheld or deleted."""

    receipts: tuple[Receipt, ...]
    watermark: str
    mode: Mode
    counts: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Watermark:
    """`2026-07-06T04:00:00.000Z#<digest of the mapping>`."""

    instant: datetime
    digest: str

    @classmethod
    def read(cls, text: str, facts: ServerFacts) -> "_Watermark":
        instant, _, digest = text.partition("#")
        return cls(parse_instant(instant, facts.zone), digest)

    def __str__(self) -> str:
        return f"{format_instant(self.instant)}#{self.digest}"


def client_for(mapping: InstanceMapping, secret: str, **options: Any) -> Dhis2Client:
    """A client for the server of a mapping; `secret` is a token or `user:password`."""
    return Dhis2Client(
        mapping.url,
        Credential.from_text(secret),
        server=mapping.code,
        read_timeout=mapping.read_timeout_seconds,
        max_parallel=mapping.max_parallel,
        ca_bundle=mapping.ca_bundle,
        proxy=mapping.proxy,
        **options,
    )


def pull_instance(
    client: Dhis2Client,
    mapping: InstanceMapping,
    pull_factory: Callable[[str], Pull],
    watermark: str | None,
    pseudonymiser: Pseudonymiser,
    progress: Progress | None = None,
    *,
    reconcile: bool = False,
) -> PullResult:
    """Everything mapped on this server is landed: all of it without a `watermark`, else what changed since.

    `pull_factory` gives the Pull of a part (metadata, tracker, tracker_listing, data_values, registrations).
    `reconcile` adds a listing of all tracker UIDs, which shows records purged without a trace, and reads all data values
    again. Raises Dhis2Error; what was landed until then is used by the next attempt.
    """
    facts = metadata.server_facts(client)
    metadata.require_scope(client, mapping)
    since, warnings = _since(watermark, mapping, facts)
    run = _Run(client, mapping, facts, pull_factory, since, progress or (lambda part, done, total: None))
    run.warnings += [*facts.warnings, *warnings]
    units = run.pull_metadata()
    if mapping.referral is not None:
        run.pull_tracker(pseudonymiser)
        if reconcile and since is not None:
            run.pull_listing(pseudonymiser)
    if mapping.data_sets:
        roots = metadata.topmost(mapping.root_org_units, units)
        below = metadata.children_of(units)
        run.pull_values(roots, below, since=None if reconcile else since)
        run.pull_registrations(roots, below)
    reached = _Watermark(minus_overlap(min(run.begun), mapping.overlap), mapping.digest)
    receipts = tuple(replace(receipt, watermark=str(reached)) for receipt in run.receipts)
    run.counts["requests"] = client.request_count
    run.counts["repeats"] = client.repeat_count
    return PullResult(
        receipts, str(reached), "full" if since is None else "incremental", run.counts, tuple(run.warnings)
    )


def pull_span(
    client: Dhis2Client,
    mapping: InstanceMapping,
    pull_factory: Callable[[str], Pull],
    first_on: date,
    last_on: date,
    progress: Progress | None = None,
) -> PullResult:
    """The data values of the periods that begin between two days are landed again, as changes to what is known.

    The receipts carry no watermark: the weekly pull goes on from where it was. A value that the server removed without a
    trace stays; a full refresh finds those. Raises Dhis2Error.
    """
    facts = metadata.server_facts(client)
    metadata.require_scope(client, mapping)
    since = datetime.combine(first_on, time(), facts.zone)
    run = _Run(client, mapping, facts, pull_factory, since, progress or (lambda part, done, total: None))
    units = run.pull_metadata()
    roots = metadata.topmost(mapping.root_org_units, units)
    run.pull_values(roots, metadata.children_of(units), since=since, span=(first_on, last_on))
    return PullResult(tuple(run.receipts), "", "incremental", run.counts, tuple(run.warnings))


def learn_tokens(client: Dhis2Client, mapping: InstanceMapping, pseudonymiser: Pseudonymiser) -> int:
    """Every referral record that the server has was hashed by `pseudonymiser`, which knows the tokens from then on; the number
    of records. Nothing is landed. Raises Dhis2Error; records of erased persons are noticed by the pseudonymiser.
    """
    referral = mapping.referral
    if referral is None:
        return 0
    facts = metadata.server_facts(client)
    metadata.require_scope(client, mapping)
    listing = Listing(
        "trackedEntities", referral.program, mapping.root_org_units, FIELDS, updated_before=facts.server_at
    )
    count = 0
    start = Position(page_size=tracker.page_size_at_most(mapping.page_size))
    for page in tracker.pages(client, facts.dialect, listing, start):
        for row in page.rows:
            record = landed_record(row, referral, pseudonymiser)
            pseudonymiser.is_erased("person", record["token"])
            pseudonymiser.is_erased("record", f"{mapping.code}:{row['trackedEntity']}")
            count += 1
    return count


def _since(watermark: str | None, mapping: InstanceMapping, facts: ServerFacts) -> tuple[datetime | None, list[str]]:
    """From when changes are wanted, or None for everything, with what the reader should know about the choice."""
    if watermark is None:
        return None, []
    known = _Watermark.read(watermark, facts)
    if known.digest != mapping.digest:
        return None, ["the mapping changed since the last pull: everything is read again"]
    if known.instant > facts.server_at:
        return None, ["the server's clock runs behind the last pull: everything is read again"]
    return known.instant, []


class _Run:
    """The state of one running pull: its parts' receipts, counts and the instants at which they began."""

    def __init__(
        self,
        client: Dhis2Client,
        mapping: InstanceMapping,
        facts: ServerFacts,
        pull_factory: Callable[[str], Pull],
        since: datetime | None,
        progress: Progress,
    ) -> None:
        self.client = client
        self.mapping = mapping
        self.facts = facts
        self.since = since
        self.receipts: list[Receipt] = []
        self.counts: dict[str, int] = {}
        self.warnings: list[str] = []
        self.begun: list[datetime] = [facts.server_at]
        self._pull_factory = pull_factory
        self._progress = progress

    # Parts ------------------------------------------------------------------------------------------------------------

    def pull_metadata(self) -> list[dict[str, Any]]:
        """Org units, data sets and data elements are landed whole; the org units are handed back."""
        pull, _ = self._begin("metadata", None)
        units = metadata.org_units(self.client, self.mapping.root_org_units, self.mapping.coordinate_decimals)
        parts: dict[str, list[dict[str, Any]]] = {"org_units": units}
        if self.mapping.data_sets:
            parts["data_sets"] = metadata.data_sets(self.client, self.mapping)
        parts["data_elements"] = metadata.data_elements(self.client, self.mapping)
        self._note_missing_elements(parts["data_elements"])
        parts |= metadata.definitions(self.client, self.mapping, parts["data_elements"])
        for name, rows in parts.items():
            pull.write(f"{name}.json", _json_bytes(rows))
            self.counts[name] = len(rows)
        self._finish(pull, "metadata", sum(len(rows) for rows in parts.values()), self.since, self.facts.server_at)
        self._progress("metadata", 1, 1)
        return units

    def _note_missing_elements(self, found: Sequence[Mapping[str, Any]]) -> None:
        missing = sorted(set(self.mapping.element_concepts()) - {str(item["id"]) for item in found})
        if missing:
            self.warnings.append(f"mapped data elements not found on the server: {', '.join(missing)}")

    def pull_tracker(self, pseudonymiser: Pseudonymiser) -> None:
        """Referral records are landed page by page, identifiers hashed before a byte is written."""
        referral = self.mapping.referral
        assert referral is not None

        def landed(row: Mapping[str, Any]) -> dict[str, Any] | None:
            record = landed_record(row, referral, pseudonymiser)
            is_erased = self._is_erased(row, pseudonymiser) or pseudonymiser.is_erased("person", record["token"])
            return None if is_erased else record

        self._pull_listing("tracker", FIELDS, self.since, landed)

    def _is_erased(self, row: Mapping[str, Any], pseudonymiser: Pseudonymiser) -> bool:
        """True for a person record that was erased here: it is the same record when its identifiers were corrected since."""
        return pseudonymiser.is_erased("record", f"{self.mapping.code}:{row['trackedEntity']}")

    def pull_listing(self, pseudonymiser: Pseudonymiser) -> None:
        """The UIDs of all records that the server still has are landed; those of erased persons are not."""
        referral = self.mapping.referral
        assert referral is not None

        def landed(row: Mapping[str, Any]) -> dict[str, Any] | None:
            if self._is_erased(row, pseudonymiser):
                return None
            return {
                "tracked_entity": row["trackedEntity"],
                "deleted": row.get("deleted") is True,
                "enrollments": [
                    {"enrollment": item["enrollment"], "deleted": item.get("deleted") is True}
                    for item in row.get("enrollments") or []
                    if item.get("program", referral.program) == referral.program
                ],
            }

        self._pull_listing("tracker_listing", UID_FIELDS, None, landed)

    def _pull_listing(
        self,
        part: str,
        fields: str,
        since: datetime | None,
        landed: Callable[[Mapping[str, Any]], dict[str, Any] | None],
    ) -> None:
        referral = self.mapping.referral
        assert referral is not None
        pull, begun = self._begin(part, since)
        state = json.loads(pull.read(_STATE)) if pull.written(_STATE) else {}
        number, shortfall = int(state.get("files", 0)), int(state.get("shortfall", 0))
        landed_rows, deleted = int(state.get("rows", 0)), int(state.get("deleted", 0))
        erased = int(state.get("erased", 0))
        start = Position(**state["position"]) if state else self._first_position()
        listing = Listing(
            "trackedEntities",
            referral.program,
            self.mapping.root_org_units,
            fields,
            updated_before=begun,
            updated_after=since,
        )
        for page in tracker.pages(self.client, self.facts.dialect, listing, start):
            rows = [record for row in self._in_form(page.rows, part) if (record := landed(row)) is not None]
            erased += len(page.rows) - len(rows)
            number += 1
            pull.write(f"{part}-{number:06d}.jsonl", b"".join(_json_line(row) for row in rows))
            landed_rows += len(rows)
            deleted += sum(1 for row in rows if row["deleted"])
            shortfall = page.shortfall
            state = {
                "files": number, "rows": landed_rows, "deleted": deleted, "erased": erased, "shortfall": shortfall,
                "position": asdict(page.position),
            }  # fmt: skip
            pull.write(_STATE, _json_bytes(state))
            self._progress(part, page.position.received, page.position.total)
        self.counts[part] = landed_rows
        self.counts[f"{part}_deleted"] = deleted
        if erased:
            self.counts[f"{part}_erased"] = erased
        if shortfall:
            self.counts[f"{part}_withheld"] = shortfall
        self._finish(pull, part, landed_rows, since, begun)

    def _in_form(self, rows: Sequence[Any], part: str) -> Sequence[Any]:
        """The rows, every one of the documented form. Raises ResponseShapeError naming the first that is not."""
        for number, row in enumerate(rows, start=1):
            try:
                require_form(row)
            except RecordFormError as fault:
                said = f"record {number} of a page of {part}: {fault}."
                raise self._not_of_the_form(said, "tracker/trackedEntities") from fault
        return rows

    def _first_position(self) -> Position:
        return Position(page_size=tracker.page_size_at_most(self.mapping.page_size))

    def _not_of_the_form(self, said: str, endpoint: str) -> ResponseShapeError:
        return ResponseShapeError(
            said,
            server=self.client.server,
            endpoint=endpoint,
            advice="Ask the server's administrator what stands between it and us, and report this with the version.",
        )

    def pull_values(
        self,
        roots: Sequence[str],
        below: Mapping[str, Sequence[str]],
        *,
        since: datetime | None,
        span: tuple[date, date] | None = None,
    ) -> None:
        """Data values are landed as Parquet, one file per chunk, several chunks at a time, in constant memory.

        With a `span`: every value, deletions included, of the periods that begin in it, whenever it was changed.
        """
        pull, begun = self._begin("data_values", since)
        if span is None:
            chunks = self._chunks(roots, begun, by_year=since is None)
        else:
            chunks = aggregate.chunks_between(replace(self.mapping, root_org_units=tuple(roots)), *span)
        elements = frozenset(self.mapping.element_concepts())

        def land(chunk: Chunk) -> ChunkCounts:
            name = f"data_values-{chunk.name}.parquet"
            if pull.written(name):
                rows = pyarrow.parquet.read_metadata(pull.folder / name).num_rows
                return ChunkCounts(received=rows)
            parameters = aggregate.value_parameters(chunk, since if span is None else None)

            def copy(stream: Any) -> ChunkCounts:
                with pull.open(name) as target:
                    return aggregate.copy_csv(stream, target, elements)

            try:
                return self.client.read("dataValueSets.csv", parameters, copy, accept=CSV)
            except FormatNotOfferedError:
                answer = self.client.get_json("dataValueSets.json", parameters)
                try:
                    with pull.open(name) as target:
                        return aggregate.copy_json(answer, target, elements)
                except ValueFormError as fault:
                    raise self._not_of_the_form(f"{fault}.", "dataValueSets") from fault
            except TooLargeError as fault:
                parts = aggregate.smaller(chunk, below, fault)
                return sum((land(part) for part in parts), ChunkCounts())

        counts = sum(self._in_parallel("data_values", chunks, land), ChunkCounts())
        self.counts["data_values"] = counts.received
        self.counts["data_values_unmapped"] = counts.unmapped
        self._finish(pull, "data_values", counts.received - counts.unmapped, since, begun)

    def pull_registrations(self, roots: Sequence[str], below: Mapping[str, Sequence[str]]) -> None:
        """Complete-registrations are landed whole every time: older servers delete them without a trace."""
        pull, begun = self._begin("registrations", None)

        def land(chunk: Chunk) -> int:
            name = f"registrations-{chunk.name}.json"
            if pull.written(name):
                return len(json.loads(pull.read(name)))
            try:
                answer = self.client.get_json("completeDataSetRegistrations", aggregate.registration_parameters(chunk))
            except TooLargeError as fault:
                return sum(land(part) for part in aggregate.smaller(chunk, below, fault))
            rows = aggregate.registration_rows(answer)
            pull.write(name, _json_bytes(rows))
            return len(rows)

        count = sum(self._in_parallel("registrations", self._chunks(roots, begun, by_year=True), land))
        self.counts["registrations"] = count
        self._finish(pull, "registrations", count, self.since, begun)

    # Shared -----------------------------------------------------------------------------------------------------------

    def _chunks(self, roots: Sequence[str], begun: datetime, *, by_year: bool) -> list[Chunk]:
        server_day = begun.astimezone(self.facts.zone).date()
        return aggregate.plan_chunks(replace(self.mapping, root_org_units=tuple(roots)), server_day, by_year=by_year)

    def _in_parallel(self, part: str, chunks: Sequence[Chunk], land: Callable[[Chunk], Count]) -> list[Count]:
        """`land` of every chunk, a few at a time; the first fault stops those not yet begun and is raised."""
        with ThreadPoolExecutor(max_workers=self.client.max_parallel, thread_name_prefix=f"dhis2-{part}") as pool:
            futures: list[Future[Count]] = [pool.submit(land, chunk) for chunk in chunks]
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
                self._progress(part, len(futures) - len(pending), len(futures))
                if any(future.exception() for future in done):
                    pool.shutdown(wait=True, cancel_futures=True)
                    break
            for future in futures:
                if not future.cancelled() and (fault := future.exception()) is not None:
                    raise fault
            return [future.result() for future in futures]

    def _begin(self, part: str, since: datetime | None) -> tuple[Pull, datetime]:
        """The part's Pull, and the server's instant at which it began: an earlier one when a broken pull goes on."""
        pull = self._pull_factory(part)
        plan = {
            "digest": self.mapping.digest,
            "since": format_instant(since) if since else None,
            "version": self.facts.version,
            "system_id": self.facts.system_id,
        }
        if pull.written(_PLAN):
            earlier = json.loads(pull.read(_PLAN))
            begun = parse_instant(earlier.pop("begun_at"), self.facts.zone)
            if earlier == plan and timedelta(0) <= self.facts.server_at - begun <= _LONGEST_RESUME:
                log.info("%s: %s goes on where it broke off", self.client.server, part)
                self.begun.append(begun)
                return pull, begun
            pull.restart()
        elif pull.names():
            pull.restart()
        pull.write(_PLAN, _json_bytes({**plan, "begun_at": format_instant(self.facts.server_at)}))
        return pull, self.facts.server_at

    def _finish(self, pull: Pull, part: str, count: int, since: datetime | None, begun: datetime) -> None:
        """The receipt of a part. `mode` and `since` are those of the pull; a part that is always read whole has them too."""
        # Plan and state hold the instant of the pull; left in, they would make equal payloads look different.
        for name in (_PLAN, _STATE):
            (pull.folder / name).unlink(missing_ok=True)
        parameters = {
            **self.facts.for_receipt(),
            "instance": self.mapping.code,
            "part": part,
            "mode": "full" if since is None else "incremental",
            "since": format_instant(since) if since else None,
            "mapping_digest": self.mapping.digest,
        }
        self.receipts.append(
            pull.finish(
                part,
                self.client.url,
                parameters,
                count,
                server_version=self.facts.version,
                server_at=format_instant(begun),
                agency=self.mapping.name,
            )
        )


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _json_line(value: Any) -> bytes:
    return _json_bytes(value) + b"\n"
