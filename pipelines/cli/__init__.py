"""The `mhwg` command: one thin file per verb, nothing heavy imported until a verb needs it.

Belongs here: the list of verbs and the last word on faults (exit codes, no traceback for what a person can act on).
Does not belong here: what a verb does.
"""

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines.cli.console import error_console
from pipelines.failures import Exit, Refused

app = typer.Typer(
    name="mhwg",
    help="Migrant-health indicators: refresh the warehouse, look at regional tables, run the practice ground.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
practice_app = typer.Typer(
    help="The practice ground: a small synthetic region to try everything on.", no_args_is_help=True
)
app.add_typer(practice_app, name="practice")
sources_app = typer.Typer(
    help="The DHIS2 servers: what works, what is missing, what they have to offer.", no_args_is_help=True
)
app.add_typer(sources_app, name="sources")
release_app = typer.Typer(
    help="The shelf of releases: list, build, verify, compare, look back, withdraw.", no_args_is_help=True
)
app.add_typer(release_app, name="release")
indicator_app = typer.Typer(
    help="The catalogue of indicators: what each counts over what, and its SQL.", no_args_is_help=True
)
app.add_typer(indicator_app, name="indicator")
labour_app = typer.Typer(help="Labour export: look at a file before it is loaded.", no_args_is_help=True)
app.add_typer(labour_app, name="labour")
survey_app = typer.Typer(help="Surveys: look at a file before it is loaded.", no_args_is_help=True)
app.add_typer(survey_app, name="survey")
quarantine_app = typer.Typer(
    help="Records held back with their reasons: list, show, and decide about them.", no_args_is_help=True
)
app.add_typer(quarantine_app, name="quarantine")

keys_app = typer.Typer(help="The pseudonym key: make every token anew under another one.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

USAGE_FAULT: type[Any] = typer.BadParameter.__mro__[2]
"""Base of all faults of a command line; typer carries its own copy of click and exports only the leaves."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
ReleaseName = Annotated[str, typer.Argument(help="A release id or its beginning, `current` or `previous`.")]
Draft = Annotated[bool, typer.Option("--draft", help="Print only the drafted TOML, to be saved and edited.")]


@app.command()
def refresh(
    source: Annotated[
        list[str] | None, typer.Option("--source", help="Only this source, for instance labour; may repeat.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Read servers from the beginning and every landed file again.")
    ] = False,
    since: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Ask servers for changes since this day at the latest."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for a refresh that is running instead of ending.")] = False,
    as_json: Json = False,
) -> None:
    """Pull every source, weigh and load it, compute the indicators, publish a release if a figure moved."""
    from pipelines.cli.refresh import run

    raise typer.Exit(run(as_json=as_json, sources=tuple(source or ()), is_full=full, since=since, wait=wait))


@app.command()
def init(
    path: Annotated[
        str | None, typer.Argument(help="Where to write it; beside the project, or where MHWG_SETTINGS points.")
    ] = None,
) -> None:
    """Write a settings file with a comment on every key; one that exists is left alone."""
    from pipelines.cli.init import run

    raise typer.Exit(run(path))


@app.command()
def doctor(as_json: Json = False) -> None:
    """What is wrong with this installation, and what to do about it."""
    from pipelines.cli.doctor import run

    raise typer.Exit(run(as_json=as_json))


@app.command()
def status(as_json: Json = False) -> None:
    """One screen: sources and their age, last refresh, failing checks, release, next tick."""
    from pipelines.cli.status import run

    raise typer.Exit(run(as_json=as_json))


@app.command()
def table(
    code: Annotated[
        str | None, typer.Argument(help="Code of the regional table, for instance RT01; none lists them.")
    ] = None,
    language: Annotated[str, typer.Option("--language", "-l", help="en or vi.")] = "en",
    as_json: Json = False,
) -> None:
    """A regional table of the current release, in the terminal."""
    from pipelines.cli.table import run

    raise typer.Exit(run(code, language, as_json=as_json))


@app.command()
def template(
    code: Annotated[
        str | None, typer.Argument(help="Register to be filled in, for instance trainings; none lists them.")
    ] = None,
    language: Annotated[str, typer.Option("--language", "-l", help="en or vi.")] = "en",
    kind: Annotated[str, typer.Option("--format", help="xlsx with drop-down lists, or csv.")] = "xlsx",
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File to write; an existing one is kept.")
    ] = None,
    as_json: Json = False,
) -> None:
    """A programme register as a workbook to fill in; the filled-in file goes into the programme inbox."""
    from pipelines.cli.template import run

    raise typer.Exit(run(code, language, kind, output, as_json=as_json))


@app.command()
def processing(as_json: Json = False) -> None:
    """The record of processing: what personal data are held, why, how long, and who receives them."""
    from pipelines.cli.processing import run

    raise typer.Exit(run(as_json=as_json))


@app.command()
def changes(
    since: Annotated[str | None, typer.Option(help="A release: every change after it; none means the newest.")] = None,
    indicator: Annotated[str | None, typer.Option(help="Code of one indicator, for instance TB11.")] = None,
    as_json: Json = False,
) -> None:
    """What the releases changed, figure by figure, and why."""
    from pipelines.cli.changes import run

    raise typer.Exit(run(since, indicator, as_json=as_json))


@app.command()
def explain(
    indicator: Annotated[str, typer.Argument(help="Code of the indicator, for instance TB11.")],
    area: Annotated[str, typer.Option(help="Area code: ASEAN, a country such as VNM, a province such as VN34-91.")],
    period: Annotated[str, typer.Option(help="Period, for instance 2026, 2026Q2 or 202604.")],
    by: Annotated[
        list[str] | None, typer.Option(help="Breakdown as NAME=CODE, for instance sex=F; may repeat.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Where a figure comes from: definition, counts, receipts, what was held back, checks, corrections, vintages."""
    from pipelines.cli.explain import run

    raise typer.Exit(run(indicator, area, period, by or [], as_json=as_json))


@app.command()
def claims(
    verdict: Annotated[
        str | None, typer.Option(help="Only these: contradicted, superseded, agrees, no_data or not_comparable.")
    ] = None,
    language: Annotated[str, typer.Option("--language", "-l", help="en or vi.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """What press reports and bulletins stated, beside what the current release computes."""
    from pipelines.cli.claims import run

    raise typer.Exit(run(verdict, language, as_json=as_json))


@app.command()
def corrections(
    provider: Annotated[str | None, typer.Option(help="Only entries on what this provider sent.")] = None,
    as_json: Json = False,
) -> None:
    """What we change in what providers sent, and since when."""
    from pipelines.cli.corrections import run

    raise typer.Exit(run(provider, as_json=as_json))


@app.command()
def backup(
    to: Annotated[
        str | None, typer.Option("--to", help="Folder to write it to; `backups` in the state folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep warehouse, received files, releases and settings in one verified file; secrets are not in it."""
    from pipelines.cli.backup import backup as run

    raise typer.Exit(run(to, as_json=as_json))


@app.command()
def restore(
    file: Annotated[str, typer.Argument(help="File that `mhwg backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Set aside the state that stands there.")] = False,
    as_json: Json = False,
) -> None:
    """Bring back the state that a backup holds, after checking every byte of it."""
    from pipelines.cli.backup import restore as run

    raise typer.Exit(run(file, replace=replace, as_json=as_json))


@app.command()
def upgrade(as_json: Json = False) -> None:
    """Bring an older warehouse to this program's version; takes a backup first."""
    from pipelines.cli.backup import upgrade as run

    raise typer.Exit(run(as_json=as_json))


@app.command()
def erase(
    pseudonym: Annotated[
        str, typer.Argument(help="The person's token (column person_token); - reads it from standard input.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it for good.")] = False,
    drop_backups: Annotated[
        bool, typer.Option("--drop-backups", help="Take a new backup and delete the older ones, which hold the person.")
    ] = False,
    compute: Annotated[
        bool,
        typer.Option("--compute/--no-compute", help="Compute figures anew at once, or leave it to the next refresh."),
    ] = True,
    as_json: Json = False,
) -> None:
    """Erase one person from every table, file and history, with a proof; they do not come back with a pull or a restore."""
    from pipelines.cli.erase import run

    raise typer.Exit(
        run(pseudonym, dry_run=dry_run, yes=yes, drop_backups=drop_backups, compute=compute, as_json=as_json)
    )


@app.command()
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is due; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what may no longer be kept: the weekly job that enforces the periods of the record of processing."""
    from pipelines.cli.retention import run

    raise typer.Exit(run(dry_run=dry_run, as_json=as_json))


@app.command()
def dev(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """The Dagster UI on the same state: assets, checks, runs, the weekly schedule."""
    from pipelines.cli.dev import run

    raise typer.Exit(run(host, port))


@app.command()
def service(
    part: Annotated[str, typer.Argument(help="webserver, daemon, or healthy: does the daemon work?")],
    host: Annotated[str, typer.Option(help="Address that the webserver listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port that the webserver listens on.")] = 3000,
) -> None:
    """One long-running part of the installation, in the foreground: what the systemd units and the containers start."""
    from pipelines.cli.service import run

    raise typer.Exit(run(part, host, port))


@sources_app.command("check")
def sources_check(
    code: Annotated[str | None, typer.Argument(help="Code of one server of the settings; none asks all.")] = None,
    as_json: Json = False,
) -> None:
    """Connect, list what the service user can and cannot see, and how to mend each. Nothing is pulled. Exit 2: a pull cannot work."""
    from pipelines.cli.sources import check

    raise typer.Exit(check(code, as_json=as_json))


@sources_app.command("discover")
def sources_discover(
    code: Annotated[
        str | None, typer.Argument(help="Code of a server of the settings, or a new one with --url.")
    ] = None,
    word: Annotated[
        list[str] | None, typer.Option("--word", help="Keep names and codes with this word; may repeat.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Address of a server that the settings do not know yet.")] = None,
    credential_env: Annotated[str | None, typer.Option(help="Environment variable with its token, for --url.")] = None,
    country: Annotated[str, typer.Option(help="ISO3 of its country, for --draft.")] = "VNM",
    levels: Annotated[int, typer.Option(min=1, help="Organisation-unit levels to list.")] = 3,
    as_draft: Annotated[bool, typer.Option("--draft", help="Write a [[dhis2]] table to standard output.")] = False,
    program: Annotated[str | None, typer.Option(help="UID of the referral program, for --draft.")] = None,
    data_set: Annotated[list[str] | None, typer.Option(help="UID of a data set, for --draft; may repeat.")] = None,
    as_json: Json = False,
) -> None:
    """List a server's programs, stages, attributes, data sets, elements and options, or draft its settings."""
    from pipelines.cli.sources import discover

    raise typer.Exit(
        discover(
            code, tuple(word or ()), url=url, credential_env=credential_env, country=country, levels=levels,
            as_draft=as_draft, program=program, data_sets=tuple(data_set or ()), as_json=as_json,
        )
    )  # fmt: skip


@sources_app.command("diff")
def sources_diff(
    code: Annotated[str | None, typer.Argument(help="Code of one server of the settings; none shows all.")] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Changes recorded from this day on; without it, those of the newest reading with any.",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Only this kind, for instance options; may repeat.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What changed in the servers' metadata from pull to pull: options, elements, rules, org units, who reports what."""
    from pipelines.cli.metadata import diff

    raise typer.Exit(diff(code, since, tuple(kind or ()), as_json=as_json))


@keys_app.command("rotate")
def keys_rotate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Ask the sources and count; change nothing.")] = False,
    leave_unseen: Annotated[
        bool,
        typer.Option("--leave-unseen", help="Go on although persons of current rows are sent by no source any more."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Replace every token by one of the key in force: settings name the new key and its id, MHWG_PSEUDONYM_KEY_OLD holds the old."""
    from pipelines.cli.keys import run

    raise typer.Exit(run(dry_run=dry_run, leave_unseen=leave_unseen, as_json=as_json))


@release_app.command("list")
def release_list(as_json: Json = False) -> None:
    """Every release on the shelf, oldest first; withdrawn ones with their reason."""
    from pipelines.cli.release import list_all

    raise typer.Exit(list_all(as_json=as_json))


@release_app.command("build")
def release_build(as_json: Json = False) -> None:
    """Protect and publish what the warehouse holds now, without pulling; nothing is written when no figure moved."""
    from pipelines.cli.release import build

    raise typer.Exit(build(as_json=as_json))


@release_app.command("verify")
def release_verify(release: ReleaseName = "current", as_json: Json = False) -> None:
    """Compare every file of a release with the checksums of its manifest; exit code 3 when one differs."""
    from pipelines.cli.release import verify

    raise typer.Exit(verify(release, as_json=as_json))


@release_app.command("diff")
def release_diff(before: ReleaseName = "previous", after: ReleaseName = "current", as_json: Json = False) -> None:
    """What changed between two releases, figure by figure."""
    from pipelines.cli.release import diff

    raise typer.Exit(diff(before, after, as_json=as_json))


@release_app.command("as-of")
def release_as_of(
    instant: Annotated[str, typer.Argument(help="A day or an instant (UTC), for instance 2026-12-01.")],
    into: Annotated[
        Path | None, typer.Option(help="Folder to make it again in from the warehouse, also when it was withdrawn.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The release that readers saw on a day; with --into made again from the warehouse, byte for byte."""
    from pipelines.cli.release import as_of

    raise typer.Exit(as_of(instant, into, as_json=as_json))


@release_app.command("withdraw")
def release_withdraw(
    release: ReleaseName,
    reason: Annotated[str, typer.Option(help="Why, in one sentence; it stands on the tombstone for everybody.")],
    as_json: Json = False,
) -> None:
    """Take a release off the shelf; a tombstone with the reason stays, `current` shows the newest one left."""
    from pipelines.cli.release import withdraw

    raise typer.Exit(withdraw(release, reason, as_json=as_json))


@indicator_app.command("list")
def indicator_list(
    language: Annotated[str, typer.Option("--language", "-l", help="en or vi.")] = "en",
    group: Annotated[str | None, typer.Option("--group", help="Only one group, for instance tuberculosis.")] = None,
    as_json: Json = False,
) -> None:
    """Every indicator of the catalogue with its code and name."""
    from pipelines.cli.indicator import run_list

    raise typer.Exit(run_list(language, group, as_json=as_json))


@indicator_app.command("show")
def indicator_show(
    code: Annotated[str, typer.Argument(help="Code of the indicator, for instance TB11.")],
    sql: Annotated[bool, typer.Option("--sql", help="The statement that computes it.")] = False,
    as_json: Json = False,
) -> None:
    """One indicator whole: definition, numerator, denominator, methods, sources, caveats; or its SQL."""
    from pipelines.cli.indicator import run_show

    raise typer.Exit(run_show(code, sql=sql, as_json=as_json))


@labour_app.command("inspect")
def labour_inspect(
    file: Annotated[str, typer.Argument(help="A bulletin, a register or a typed form.")],
    draft: Draft = False,
    as_json: Json = False,
) -> None:
    """What every cell of a labour file is taken for, what would load, and a drafted layout for an unknown form."""
    from pipelines.cli.labour import inspect_file

    raise typer.Exit(inspect_file(file, draft=draft, as_json=as_json))


@survey_app.command("inspect")
def survey_inspect(
    file: Annotated[str, typer.Argument(help="A .sav, .zsav, .por, .dta, .csv (with its DDI .xml) or .parquet file.")],
    draft: Draft = False,
    as_json: Json = False,
) -> None:
    """Variables, labels and missing codes of a survey file, and a drafted recode; identifying variables are never read."""
    from pipelines.cli.survey import inspect_file

    raise typer.Exit(inspect_file(file, draft=draft, as_json=as_json))


@indicator_app.command("alternates")
def indicator_alternates(
    code: Annotated[str, typer.Argument(help="Code of a rate over a population, for instance TB02.")],
    as_json: Json = False,
) -> None:
    """A rate of the current release on other editions of its population: how far it moves."""
    from pipelines.cli.indicator import run_alternates

    raise typer.Exit(run_alternates(code, as_json=as_json))


@app.command()
def quality(
    provider: Annotated[
        str | None, typer.Argument(help="Source to look at, for instance dhis2_vnm; none shows all in a row each.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What is wrong with each provider's data: failed rules, records held back, findings, and where its page is."""
    from pipelines.cli.quality import run

    raise typer.Exit(run(provider, as_json=as_json))


RecordIds = Annotated[list[str], typer.Argument(help="Ids of the records, as `quarantine list` shows them.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with your name in the audit trail.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; without it the name of the account.")]


@quarantine_app.command("list")
def quarantine_list(
    source: Annotated[str | None, typer.Option(help="Only this source, for instance dhis2_vnm.")] = None,
    table: Annotated[str | None, typer.Option(help="Only this staging table.")] = None,
    status: Annotated[str, typer.Option(help="held, released, discarded, resolved or all.")] = "held",
    as_json: Json = False,
) -> None:
    """Records held back, by reason, with their place in what was received."""
    from pipelines.cli.quarantine import list_records

    raise typer.Exit(list_records(source, table, status, as_json=as_json))


@quarantine_app.command("show")
def quarantine_show(record: Annotated[str, typer.Argument(help="Id of the record.")], as_json: Json = False) -> None:
    """One record: every reason, receipt, place and decision; values about persons are withheld."""
    from pipelines.cli.quarantine import show_record

    raise typer.Exit(show_record(record, as_json=as_json))


@quarantine_app.command("release")
def quarantine_release(records: RecordIds, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """The records are right although a belief objects: the next refresh loads them."""
    from pipelines.cli.quarantine import take_decision

    raise typer.Exit(take_decision("release", records, reason, by, as_json=as_json))


@quarantine_app.command("discard")
def quarantine_discard(records: RecordIds, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """The records are wrong and will not be corrected: they stay on file and are not asked about again."""
    from pipelines.cli.quarantine import take_decision

    raise typer.Exit(take_decision("discard", records, reason, by, as_json=as_json))


@quarantine_app.command("hold")
def quarantine_hold(records: RecordIds, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """An earlier release or discard is taken back: the records are held again."""
    from pipelines.cli.quarantine import take_decision

    raise typer.Exit(take_decision("hold", records, reason, by, as_json=as_json))


@practice_app.command("serve")
def practice_serve(
    ready_file: Annotated[
        str | None, typer.Option(help="Write addresses there and end when standard input closes.")
    ] = None,
    version: Annotated[str, typer.Option(help="DHIS2 version to play.")] = "2.42",
    quirk: Annotated[
        list[str] | None, typer.Option(help="Quirk to switch on; may repeat. docs/practice-quirks.md has all.")
    ] = None,
    random: Annotated[int | None, typer.Option("--random", help="Draw three quirks with this seed.")] = None,
) -> None:
    """Start the practice servers and write what the ministry would have sent into the inboxes."""
    from pipelines.cli.practice import serve

    raise typer.Exit(serve(ready_file, version, tuple(quirk or ()), random))


@practice_app.command("advance")
def practice_advance(
    weeks: Annotated[int, typer.Argument(min=1, help="Simulated weeks.")] = 1, as_json: Json = False
) -> None:
    """Let simulated time pass: the next refresh finds new, changed and deleted records."""
    from pipelines.cli.practice import advance

    raise typer.Exit(advance(weeks, as_json=as_json))


@practice_app.command("reset")
def practice_reset(
    yes: Annotated[bool, typer.Option("--yes", help="Remove the practice state folder without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Start the practice ground over: clock, warehouse, landing and releases of the practice state are removed."""
    from pipelines.cli.practice import reset

    raise typer.Exit(reset(yes=yes, as_json=as_json))


def main() -> None:
    """Run `mhwg`; faults that a person can act on end with their exit code and no traceback, bugs keep theirs."""
    os.umask(0o077)  # whatever a command writes, parent folders included, is the owner's alone
    begun_at = datetime.now(UTC)
    code = call(lambda: app(standalone_mode=False))
    _note(code, begun_at)
    sys.stdout.flush()
    sys.stderr.flush()
    if "duckdb" in sys.modules:
        # DuckDB 2.0's binding prints lines about "leaked" objects while the interpreter tears down; nothing is lost by
        # not tearing down, but the exit handlers that libraries registered must still run.
        atexit._run_exitfuncs()
        os._exit(code)
    sys.exit(code)


def _note(code: int, begun_at: datetime) -> None:
    """The audit log has the command. It must not turn an answer into a fault: a full disk or broken settings are told elsewhere."""
    from pipelines import audit

    if not audit.is_noted(sys.argv[1:]):
        return  # `mhwg --help` must not pay for reading the settings
    from pipelines.settings import load_settings

    with suppress(Refused, OSError):
        audit.note(load_settings().state_folder, sys.argv[1:], int(code), begun_at)


def call(command: Callable[[], Any]) -> int:
    """The exit code of a command, its fault told in one sentence on standard error."""
    try:
        outcome = command()
    except Refused as fault:
        return _tell(str(fault), fault.code)
    except typer.Exit as fault:
        return fault.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _tell("Stopped. The last good state stands.", Exit.INTERRUPTED)
    except USAGE_FAULT as fault:
        return _tell(fault.format_message(), Exit.USAGE)
    except Exception as fault:
        known = _actionable(fault)
        if known is not None:
            return _tell(str(fault), known)
        told = _of_machine(fault)
        if told is None:
            raise
        return _tell(told, Exit.REFUSED)
    if outcome == Exit.INTERRUPTED:  # typer swallows an interrupt and hands back its code without a word
        return _tell("Stopped. The last good state stands.", Exit.INTERRUPTED)
    return outcome if isinstance(outcome, int) else Exit.DONE


def _actionable(fault: Exception) -> Exit | None:
    """The exit code of a fault of the lower rooms that a person can act on; None for a bug."""
    from warehouse.catalogue.table_catalogue import CatalogueError
    from warehouse.locks import LockHeld
    from warehouse.store import StoreError, StoreLocked

    if isinstance(fault, StoreLocked | LockHeld):
        return Exit.BUSY
    if isinstance(fault, StoreError):
        return Exit.NOT_FOUND
    if isinstance(fault, CatalogueError):
        return Exit.SETTINGS
    return None


def _of_machine(fault: BaseException) -> str | None:
    """The sentence of a fault of the machine (memory, disk, rights), also behind a library's own; None for any other."""
    from pipelines.machine_faults import machine_sentence

    cause: BaseException | None = fault
    while cause is not None:
        told = machine_sentence(type(cause).__name__, str(cause))
        if told:
            return told
        cause = cause.__cause__
    return None


def _tell(sentence: str, code: Exit) -> int:
    error_console().print(
        sentence, style="bold red" if code != Exit.INTERRUPTED else "yellow", highlight=False, markup=False
    )
    return int(code)
