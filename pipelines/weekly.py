"""When the release of a week is built: as soon as every source has ended, at the deadline without those that have not, and
once more when a late one comes in.

Belongs here: that decision, and reading from Dagster's storage what it needs. Does not belong here: cron times
(`pipelines.cron`), the wiring of schedules and sensors (`pipelines.schedules`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import dagster as dg

from pipelines.jobs import PUBLISH, REFRESH, Source
from pipelines.run_tags import MISSING, SEEN, TICK

MOST_BUILDS = 2
"""Failed release builds of one week before a person has to look."""

PUNCTUAL = timedelta(minutes=15)
"""A daemon starts its runs some seconds after the tick; only a machine that was off starts them much later."""


@dataclass(frozen=True)
class Attempt:
    """The latest run of one source since the tick."""

    state: Literal["open", "done", "failed"]
    began_at: datetime


@dataclass(frozen=True)
class Decision:
    """Build now (`seen` sources ended well, `missing` says in words which did not), or the reason to wait."""

    reason: str
    is_build: bool = False
    seen: frozenset[str] = frozenset()
    missing: str = ""


def decide(
    tick: datetime,
    deadline: datetime,
    now: datetime,
    attempts: Mapping[str, Attempt | None],
    builds: Sequence[frozenset[str]],
    failed_builds: int = 0,
) -> Decision:
    """Whether to build the release of the week that began at `tick`.

    `attempts`: latest run of each source since the tick, None where none began; `builds`: the sources that each build since
    the tick could see. A machine that was off at the tick starts late, so the deadline counts from the first run it began.
    """
    begun = [attempt.began_at for attempt in attempts.values() if attempt]
    if not begun:
        return Decision(f"no source has started since {tick:%Y-%m-%d %H:%M} UTC")
    seen = frozenset(code for code, attempt in attempts.items() if attempt and attempt.state == "done")
    failed = sorted(code for code, attempt in attempts.items() if attempt and attempt.state == "failed")
    late = sorted(code for code, attempt in attempts.items() if attempt is None or attempt.state == "open")
    delay = min(begun) - tick
    limit = deadline if delay <= PUNCTUAL else max(deadline, deadline + delay)
    if late and now < limit:
        return Decision(f"waiting for {', '.join(late)} until {limit:%Y-%m-%d %H:%M} UTC")
    if builds and seen <= builds[-1]:
        return Decision("built; no further source has come in")
    if failed_builds >= MOST_BUILDS:
        return Decision(f"{failed_builds} builds failed; somebody has to look at their runs")
    missing = [*(f"{code} failed" for code in failed), *(f"{code} late" for code in late)]
    return Decision("every source has ended" if not late else "deadline", True, seen, ", ".join(missing))


def build_request(decision: Decision, tick: datetime, number: int) -> dg.RunRequest:
    """The run that builds the release, with what it is for as tags."""
    tags = {TICK: tick.isoformat(), SEEN: ",".join(sorted(decision.seen))}
    if decision.missing:
        tags[MISSING] = decision.missing
    return dg.RunRequest(run_key=f"{tick.isoformat()} {number}", tags=tags)


def look(
    instance: dg.DagsterInstance, sources: Iterable[Source], tick: datetime, deadline: datetime, now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """The decision on what Dagster's storage says, as a request or a reason to skip."""
    if _ended_well(instance, REFRESH, tick):
        return dg.SkipReason("`mhwg refresh` has done the whole refresh since the tick")
    attempts = {source.code: latest_attempt(instance, source, tick) for source in sources}
    records = _records(instance, PUBLISH, tick)
    failed = [r for r in records if r.dagster_run.status in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)]
    builds = [
        frozenset(filter(None, record.dagster_run.tags.get(SEEN, "").split(",")))
        for record in reversed(records)
        if record not in failed
    ]
    decision = decide(tick, deadline, now, attempts, builds, len(failed))
    return build_request(decision, tick, len(records)) if decision.is_build else dg.SkipReason(decision.reason)


def latest_attempt(instance: dg.DagsterInstance, source: Source, tick: datetime) -> Attempt | None:
    """The latest run of the source's own job since the tick. A run that ended well but could not pull everything has failed."""
    records = _records(instance, source.job_name, tick)
    if not records:
        return None
    run = records[0].dagster_run
    began = records[0].create_timestamp.replace(tzinfo=UTC)
    if not run.is_finished:
        return Attempt("open", began)
    pulled = run.is_success and not _failed_checks(instance, run.run_id)
    return Attempt("done" if pulled else "failed", began)


def _records(instance: dg.DagsterInstance, job_name: str, tick: datetime) -> Sequence[Any]:
    """Runs of a job since the tick, newest first."""
    return instance.get_run_records(dg.RunsFilter(job_name=job_name, created_after=tick))


def _ended_well(instance: dg.DagsterInstance, job_name: str, tick: datetime) -> bool:
    # A refresh of chosen sources leaves the others to their own runs.
    return any(
        record.dagster_run.is_success and not record.dagster_run.tags.get("mhwg/source")
        for record in _records(instance, job_name, tick)
    )


def _failed_checks(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Checks `pulled` of a run that failed: what the source answered is not what it should have."""
    return [
        evaluation.asset_key.to_user_string()
        for evaluation in check_evaluations(instance, run_id)
        if evaluation.check_name == "pulled" and not evaluation.passed
    ]


def check_evaluations(instance: dg.DagsterInstance, run_id: str) -> list[Any]:
    """Every check that a run evaluated."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    return [entry.dagster_event.asset_check_evaluation_data for entry in events if entry.dagster_event]
