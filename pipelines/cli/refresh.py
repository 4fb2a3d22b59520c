"""`mhwg refresh`: the weekly refresh through Dagster, shown as it goes, summed up at the end.

Belongs here: running the job in this process and drawing its progress and summary. Does not belong here: what the job does.
"""

import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assets.progress import PULL_LOG
from pipelines.audit import user
from pipelines.cli.console import console, error_console
from pipelines.failures import Exit, Refused
from pipelines.practice_ground import starting_ground
from pipelines.run_tags import LAUNCHED_BY, USER, Purpose
from pipelines.settings import Settings, load_settings, use_dagster_home
from warehouse.locks import held

log = logging.getLogger(__name__)

WAIT_SECONDS = 6 * 3600.0
STEP_LOG = "mhwg.steps"
QUIET = (
    "great_expectations",
    "urllib3",
    "alembic",
    "dagster",
    "dagster._core.execution.plan.active",  # tells of every check of a step that had nothing to weigh
)
NO_AREAS = (
    "the store has no areas yet, on which every figure rests. `mhwg refresh --source reference` loads them and computes the figures "
    "of what is loaded; `mhwg refresh` loads every source."
)
_TITLES = {
    "refresh": "Weekly refresh",
    "release": "Release from what the warehouse holds",
    "publish": "Figures and release from what the warehouse holds",
}


@dataclass
class Outcome:
    """What a refresh did, as the summary and `--json` tell it."""

    succeeded: bool
    sources: list[dict[str, Any]] = field(default_factory=list)
    checks_passed: int = 0
    checks_failed: int = 0
    checks_warned: int = 0
    """Of those that failed: how many only warn. A rule counts once, however many sources it weighs."""
    release_id: str | None = None
    release_state: str | None = None
    release_folder: str | None = None
    is_practice: bool = False
    failed_step: str | None = None
    fault: str | None = None
    missing: str | None = None
    """What the store lacks so that no figure can be computed, and what to type."""

    @property
    def exit_code(self) -> Exit:
        """DONE, PARTIAL when a source kept its last good data, REFUSED when no release could be made."""
        if not self.succeeded:
            return Exit.REFUSED
        return Exit.PARTIAL if any(source["fault"] for source in self.sources) else Exit.DONE


def run(
    *,
    as_json: bool = False,
    job_name: str = "refresh",
    sources: Sequence[str] = (),
    is_full: bool = False,
    since: datetime | None = None,
    wait: bool = False,
) -> int:
    """The refresh, or another job of the definitions, has run; its exit code says how it ended. One at a time: another
    says who is running, or waits."""
    settings = load_settings()
    if job_name == "refresh":
        settings.pseudonym_key()  # a missing one ends here, with its own code, and not in the middle of a run
    use_dagster_home(settings)
    settings.make_inboxes()
    purpose = Purpose(frozenset(sources), is_full, since.replace(tzinfo=UTC) if since else None)
    holder = f"mhwg refresh, process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    with held(
        settings.state_folder / "locks" / "refresh.lock",
        "the refresh",
        holder,
        patience_seconds=WAIT_SECONDS if wait else 0.0,
        waiting=lambda who: error_console().print(f"Waiting for {who} ...", highlight=False),
    ):
        return _run(settings, job_name, purpose, as_json=as_json)


def _run(settings: Settings, job_name: str, purpose: Purpose, *, as_json: bool) -> int:
    out = error_console() if as_json else console()
    if settings.practice:
        out.print(f"[bold]{_TITLES[job_name]} on the practice ground[/] (synthetic data, marked in every output)")
    else:
        out.print(f"[bold]{_TITLES[job_name]}[/] for {settings.organisation}")
    with _quiet_libraries(), _progress(out), starting_ground(settings):
        outcome = execute(settings, job_name, purpose)
    if as_json:
        console().print_json(json.dumps({**asdict(outcome), "exit_code": int(outcome.exit_code)}, default=str))
    else:
        _summary(outcome)
    return outcome.exit_code


def execute(settings: Settings, job_name: str = "refresh", purpose: Purpose | None = None) -> Outcome:
    """The job has run in this process, on the instance of DAGSTER_HOME; for chosen sources only, if the purpose says so.

    Raises Refused for a source that the settings do not know.
    """
    import dagster as dg

    from pipelines.alert_sensors import tell
    from pipelines.dead_runs import close_dead_runs, process_tag
    from pipelines.definitions import defs

    logging.getLogger(STEP_LOG).info("reading the definitions", extra={"step_state": "start"})
    purpose = purpose or Purpose()
    definitions = defs()
    job = definitions.resolve_job_def(job_name)
    chosen = chosen_keys([made for made in definitions.assets or [] if isinstance(made, dg.AssetsDefinition)], purpose)
    if chosen:
        job = job.get_subset(asset_selection=chosen)
    total = len(job.nodes)
    logging.getLogger(STEP_LOG).info("", extra={"step_state": "total", "step_total": total})
    with dg.DagsterInstance.get() as instance:
        close_dead_runs(instance)
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={"loggers": {"progress": {}}},
            tags={LAUNCHED_BY: "cli", USER: user(), **process_tag(os.getpid()), **purpose.tags},
        )
        not_told = None if _was_stopped(result) else tell(settings, instance, result.run_id)
    if _was_stopped(result):
        raise KeyboardInterrupt
    if not_told:
        log.warning("%s", not_told)
    outcome = Outcome(succeeded=result.success, is_practice=settings.practice)
    not_pulled: dict[str, str] = {}
    for event in result.all_events:
        if event.is_step_failure and outcome.fault is None:
            outcome.failed_step = event.step_key
            outcome.fault = _root_sentence(event.step_failure_data.error)
        if event.is_job_failure and outcome.fault is None:
            outcome.failed_step = "start"
            outcome.fault = _root_sentence(event.job_failure_data.error)
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            outcome.checks_passed += evaluation.passed
            outcome.checks_failed += not evaluation.passed
            outcome.checks_warned += not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.WARN
        metadata = _told_of_asset(event)
        if "mhwg/fault" in metadata:
            not_pulled[metadata["mhwg/fault_source"]] = metadata["mhwg/fault"]
        outcome.sources.extend(metadata.get("mhwg/sources", []))
        outcome.release_id = metadata.get("mhwg/release_id", outcome.release_id)
        outcome.release_state = metadata.get("mhwg/release_state", outcome.release_state)
        outcome.release_folder = metadata.get("mhwg/release_folder", outcome.release_folder)
        if metadata.get("mhwg/has_no_areas"):
            outcome.missing = NO_AREAS
    for source in outcome.sources:
        source["fault"] = source["fault"] or not_pulled.get(source["source"])
    return outcome


def _told_of_asset(event: Any) -> dict[str, Any]:
    """Metadata of an asset that was materialised, or of one that kept its last good data and was only observed."""
    if event.is_step_materialization:
        told = event.step_materialization_data.materialization.metadata
    elif event.event_type_value == "ASSET_OBSERVATION":
        told = event.asset_observation_data.asset_observation.metadata
    else:
        return {}
    return {name: value.value for name, value in told.items()}


def _was_stopped(result: Any) -> bool:
    return not result.success and any(_is_interruption(event) for event in result.all_events)


def _is_interruption(event: Any) -> bool:
    """True for the failure that Ctrl-C leaves: Dagster ends the step and the run, and swallows the interrupt."""
    error = event.step_failure_data.error if event.is_step_failure else None
    if event.is_job_failure:
        error = event.job_failure_data.error
    while error is not None:
        if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
            return True
        error = error.cause
    return False


def chosen_keys(assets: Sequence[Any], purpose: Purpose) -> frozenset[Any] | None:
    """The assets of the chosen sources and of everything that rests on several; None when all sources are meant.

    Raises Refused for a source that the settings do not know.
    """
    from pipelines.jobs import sources_of, weekly_keys

    if not purpose.sources:
        return None
    known = {source.code: source for source in sources_of(assets)}
    for code in sorted(purpose.sources - known.keys()):
        raise Refused(f"--source {code}: there are {', '.join(sorted(known))}.", Exit.USAGE)
    joint = weekly_keys(assets) - frozenset().union(*(source.keys for source in known.values()))
    return joint.union(*(known[code].keys for code in purpose.sources))


def _root_sentence(error: Any) -> str:
    """The last cause in one line: what a person needs; Dagster keeps the whole trace."""
    from pipelines.machine_faults import machine_sentence

    told = None
    while error is not None:
        # A fault of the machine may have ended a check or a transaction: that it did so is not the news.
        told = machine_sentence(error.cls_name or "", error.message)
        if told or error.cause is None or error.cls_name == "OutOfMemory":
            break
        error = error.cause
    if error is None:
        return "unknown"
    # Dagster puts the class before the sentence: "pipelines.failures.SettingsError: mhwg.toml: ...".
    return told or re.sub(rf"^[\w.]*\b{re.escape(error.cls_name or '')}: ", "", error.message.strip().split("\n")[0])


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Libraries that talk to the root logger stay out of the progress display."""
    warnings.filterwarnings(
        "ignore", message=r"Parameter `backfill_policy`"
    )  # beta in Dagster 1.13; the version is pinned
    noisy = [logging.getLogger(name) for name in QUIET]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _progress(out: Any) -> Iterator[None]:
    """A bar over the steps while the block runs on a terminal, one line per step elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        handler = _BarHandler(bar, bar.add_task("starting", total=None), out)
        loggers = [logging.getLogger(name) for name in (STEP_LOG, PULL_LOG)]
        for logger in loggers:
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeHandler(handler)


class _BarHandler(logging.Handler):
    def __init__(self, bar: Any, task: Any, out: Any) -> None:
        super().__init__()
        self.bar, self.task, self.out = bar, task, out

    def emit(self, record: logging.LogRecord) -> None:
        state = getattr(record, "step_state", "pull")
        words = record.getMessage().replace("__", " ").replace("_", " ")
        if state == "total":
            self.bar.update(self.task, total=getattr(record, "step_total", None))
        elif state == "done":
            self.bar.advance(self.task)
            self.out.print(f"  [green]✓[/] {words}", highlight=False)
        elif state in ("failed", "skipped"):
            self.bar.advance(self.task)
            self.out.print(
                f"  [{'red' if state == 'failed' else 'yellow'}]{'✗' if state == 'failed' else '–'}[/] {words} {state}"
            )
        else:
            self.bar.update(self.task, description=words[:60])
            if state == "pull" and not self.out.is_terminal and getattr(record, "is_last", True):
                self.out.print(f"    {words}", highlight=False)


def _summary(outcome: Outcome) -> None:
    from rich.table import Table

    out = console()
    table = Table(title="What this refresh did", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("source", "pulled", "new", "changed", "deleted", "rejected", "checks"):
        table.add_column(name, justify="left" if name == "source" else "right", no_wrap=True)
    for source in outcome.sources:
        failed, warned = source["checks_failed"], source["checks_warned"]
        told = _not_passed(failed, warned)
        checks = f"{source['checks_passed']}, {told}" if failed else f"[green]{source['checks_passed']}[/]"
        table.add_row(
            source["source"],
            *(f"{source[name]:,}" for name in ("records", "new", "changed", "deleted")),
            f"[yellow]{source['rejected']:,}[/]" if source["rejected"] else "0",
            checks if source["checks_passed"] or failed else "–",
        )
    out.print(table)
    for source in outcome.sources:
        if source["fault"]:
            out.print(f"[red]{source['source']}:[/] {source['fault']}", highlight=False)
    told = _not_passed(outcome.checks_failed, outcome.checks_warned)
    out.print(f"Checks: [green]{outcome.checks_passed} passed[/]{', ' if told else ''}{told}")
    if told:
        out.print(
            "A rule counts once here, however many sources it weighs; `mhwg status` names those that did not pass."
        )
    if not outcome.succeeded:
        out.print(f"[bold red]No release:[/] {outcome.failed_step}: {outcome.fault}", highlight=False)
        out.print("The last good release is untouched.")
        return
    if outcome.missing:
        out.print(f"[bold yellow]No figures:[/] {outcome.missing}", highlight=False)
    elif outcome.release_state == "unchanged":
        out.print(f"[bold]Nothing new:[/] no figure moved, no release was written; {outcome.release_id} stays current.")
    elif outcome.release_id:
        out.print(f"[bold green]Release {outcome.release_id}[/] is current.")
    if outcome.release_folder:
        folder = Path(outcome.release_folder)
        shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        for what, name in (
            ("pages", "index.html"),
            ("workbook", "mhwg-tables.xlsx"),
            ("analyst database", "mhwg.duckdb"),
        ):
            if (folder / name).exists():
                out.print(f"  {what:<17} {shown / name}", highlight=False, soft_wrap=True)
    if outcome.exit_code == Exit.PARTIAL:
        out.print(
            "[bold yellow]Partial:[/] a source failed; the figures rest on its last good data, and the next refresh tries again."
        )


def _not_passed(failed: int, warned: int) -> str:
    """Told apart, since a warning lets rows and release through and a critical check that fails does not."""
    parts = (
        f"[yellow]{warned} warning{'' if warned == 1 else 's'}[/]" if warned else "",
        f"[red]{failed - warned} failed[/]" if failed > warned else "",
    )
    return ", ".join(part for part in parts if part)
