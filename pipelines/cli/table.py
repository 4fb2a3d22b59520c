"""`mhwg table`: a regional table of the current release, drawn in the terminal."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings

if TYPE_CHECKING:
    from warehouse.publishing.terminal import TerminalTable


def run(code: str | None, language: str, *, as_json: bool) -> int:
    """The table, or the list of tables when no code is given."""
    if language not in ("en", "vi"):
        raise Refused(f"--language {language}: there are en and vi.", Exit.USAGE)
    from warehouse.publishing.release import ShelfError
    from warehouse.publishing.terminal import list_tables, terminal_table

    shelf = load_settings().state_folder / "release"
    try:
        if code is None:
            listed = list_tables(shelf, language)
            if as_json:
                console().print_json(json.dumps(dict(listed), ensure_ascii=False))
            else:
                for entry, title in listed:
                    console().print(f"[bold]{entry}[/]  {title}", highlight=False)
            return Exit.DONE
        shown = terminal_table(shelf, code, language)
    except ShelfError as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault
    if as_json:
        console().print_json(json.dumps(asdict(shown), ensure_ascii=False))
    else:
        _draw(shown)
    return Exit.DONE


def _draw(shown: "TerminalTable") -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(f"{shown.code}  {shown.title}", style="bold"))
    out.print(Text(shown.scope, style="dim"))
    if shown.has_practice_data:
        out.print(Text(shown.practice_banner, style="yellow"))
    table = Table(box=None, pad_edge=False, header_style="bold", row_styles=["", "dim"])
    for number, heading in enumerate(shown.headings):
        table.add_column(Text(heading), justify="left" if number == 0 else "right", overflow="fold")
    for row in shown.rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)
    for note in shown.notes:
        out.print(Text(note), highlight=False)
    out.print(Text("   ".join(f"{symbol} {meaning}" for symbol, meaning in shown.symbols), style="dim"))
    out.print(Text(f"Release {shown.release_id}", style="dim"))
