"""`mhwg sources`: does each DHIS2 server give what the settings want, and what could the settings want of a server.

Belongs here: which servers are asked, and drawing what they answer. Does not belong here: what is looked at
(`assets.dhis2.discover`), how a table of settings is drafted (`assets.dhis2.draft`). Nothing is pulled or written.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pipelines.cli.console import console, error_console
from pipelines.failures import Exit, Refused, SettingsError
from pipelines.practice_ground import practice_ground
from pipelines.settings import Settings, load_settings

if TYPE_CHECKING:
    from assets.dhis2.client import Dhis2Client
    from assets.dhis2.discover import CheckReport, Discovery
    from assets.dhis2.sources import Dhis2Server

_MARKS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "fault": "[bold red]fault[/]"}


def check(code: str | None, *, as_json: bool) -> int:
    """Every server of the settings, or the one named, was asked. DONE when pulls can work, PARTIAL when one cannot."""
    from assets.dhis2 import discover

    settings = load_settings()
    reports: list[CheckReport] = []
    with _servers(settings, code) as servers:
        for server in servers:
            try:
                client = server.client()
            except (SettingsError, ValueError) as fault:
                finding = discover.Finding(
                    "credential", "fault", str(fault), "Set it in the environment of the pipeline; see docs/dhis2.md."
                )
                reports.append(discover.CheckReport(server.mapping.code, server.mapping.url, (finding,)))
                continue
            reports.append(discover.check(client, server.mapping))
            client.close()
    if as_json:
        shown = [{**asdict(report), "is_usable": report.is_usable} for report in reports]
        console().print_json(json.dumps({"is_practice": settings.practice, "servers": shown}, ensure_ascii=False))
    else:
        _draw_check(settings, reports)
    return Exit.DONE if all(report.is_usable for report in reports) else Exit.PARTIAL


def discover(
    code: str | None,
    words: tuple[str, ...],
    *,
    url: str | None,
    credential_env: str | None,
    country: str,
    levels: int,
    as_draft: bool,
    program: str | None,
    data_sets: tuple[str, ...],
    as_json: bool,
) -> int:
    """What one server offers was listed, or a `[[dhis2]]` table for it was drafted on standard output."""
    from assets.dhis2 import discover as candidates
    from assets.dhis2.draft import draft
    from assets.dhis2.errors import Dhis2Error

    settings = load_settings()
    with _one_client(settings, code, url, credential_env) as client:
        try:
            if as_draft:
                made = draft(
                    client,
                    code=code or "server",
                    country=country,
                    credential_env=credential_env or f"MHWG_DHIS2_{(code or 'SERVER').upper()}_CREDENTIAL",
                    program=program,
                    data_sets=data_sets,
                )
                # Plain standard output: `> mhwg.toml` must give the very text.
                print(made.text, end="")
                error_console().print(
                    f"{made.guesses} guesses end in '?', {made.open_lines} lines are left open. Decide each, then `mhwg sources check`.",
                    highlight=False,
                )
                return Exit.DONE
            found = candidates.discover(client, words=words, org_unit_levels=levels)
        except Dhis2Error as fault:
            raise Refused(str(fault), Exit.PARTIAL) from fault
    if as_json:
        console().print_json(json.dumps(asdict(found), ensure_ascii=False, default=str))
    else:
        _draw_candidates(found)
    return Exit.DONE


@contextmanager
def _servers(settings: Settings, code: str | None) -> Iterator[list["Dhis2Server"]]:
    """The servers of the settings, or the one named, with the practice servers up when they are needed."""
    from assets.dhis2.errors import MappingError
    from assets.dhis2.sources import servers_from_settings

    known = settings.dhis2_codes()
    if code is not None and code not in known:
        raise Refused(
            f"{settings.file.name} has no DHIS2 server {code!r}; it has {', '.join(known) or 'none'}.", Exit.NOT_FOUND
        )
    if not known:
        raise Refused(
            f"{settings.file.name} names no DHIS2 server; `mhwg sources discover --url ... --draft` writes a first table.",
            Exit.SETTINGS,
        )
    with practice_ground(settings) as ground:
        try:
            servers = servers_from_settings(
                settings.dhis2, ground.urls or {}, settings.credential, is_practice=settings.practice
            )
        except MappingError as fault:
            raise SettingsError(f"{settings.file.name}: {fault}") from fault
        yield [server for name, server in servers.items() if code in (None, name)]


@contextmanager
def _one_client(
    settings: Settings, code: str | None, url: str | None, credential_env: str | None
) -> Iterator["Dhis2Client"]:
    """A client of the server named, or of one that no settings know yet."""
    from assets.dhis2.client import Credential, Dhis2Client

    if url is not None:
        if credential_env is None:
            raise Refused(
                "--url needs --credential-env: the name of the environment variable with the token.", Exit.USAGE
            )
        secret = settings.credential(credential_env)
        try:
            made = Dhis2Client(url, Credential.from_text(secret or ""), server=code or "server")
        except ValueError as fault:
            raise Refused(f"{fault}.", Exit.USAGE) from fault
        yield made
        made.close()
        return
    codes = settings.dhis2_codes()
    if code is None and len(codes) != 1:
        raise Refused(
            f"which server? {settings.file.name} has {', '.join(codes) or 'none'}; or give --url and --credential-env.",
            Exit.USAGE,
        )
    with _servers(settings, code or codes[0]) as (server,):
        made = server.client()
        yield made
        made.close()


def _draw_check(settings: Settings, reports: list["CheckReport"]) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    if settings.practice:
        out.print("[yellow]Practice ground: synthetic servers.[/]")
    for report in reports:
        out.print(Text(f"\n{report.server}  {report.url}", style="bold"))
        table = Table(box=None, pad_edge=False, show_header=False)
        for finding in report.findings:
            told = Text(finding.found)
            if finding.advice:
                told.append(f"\n{finding.advice}", style="dim")
            table.add_row(_MARKS[finding.verdict], Text(finding.subject), told)
        out.print(table)
    usable = sum(report.is_usable for report in reports)
    out.print(f"\n{usable} of {len(reports)} servers can be pulled.", highlight=False)


def _draw_candidates(found: "Discovery") -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    for kind in dict.fromkeys(candidate.kind for candidate in found.candidates):
        rows: tuple[Any, ...] = found.of(kind)
        out.print(Text(f"\n{kind} ({len(rows)})", style="bold"))
        table = Table(box=None, pad_edge=False, show_header=False)
        for row in rows:
            table.add_row(row.uid, Text(row.code or ""), Text(row.name), Text(row.detail, style="dim"))
        out.print(table)
    if not found.candidates:
        out.print("Nothing matches; without --word everything that the user sees is listed.")
