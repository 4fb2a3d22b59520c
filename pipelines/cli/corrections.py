"""`mhwg corrections`: what we change in what each provider sent, since when, and which entries no longer hold.

Belongs here: reading the ledger's state and drawing it. Does not belong here: applying entries (`warehouse.corrections`).
"""

import json

from pipelines.cli.console import console
from pipelines.failures import Exit
from pipelines.settings import load_settings


def run(provider: str | None, *, as_json: bool) -> int:
    """One line per entry of the ledger, of one provider or of all. PARTIAL when an entry needs a person."""
    from pipelines.resources import warehouse_of
    from warehouse.corrections import correction_report

    warehouse = warehouse_of(load_settings())
    rows = [row for row in correction_report(warehouse) if provider in (None, row["provider"])]
    if as_json:
        console().print_json(json.dumps(rows, ensure_ascii=False, default=str))
    elif not rows:
        console().print("The corrections ledger has no entry" + (f" of {provider}." if provider else "."))
    else:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("provider", "entry", "what", "rows", "since", "state", "reason"):
            table.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
        for row in rows:
            table.add_row(
                row["provider"], row["code"], f"{row['action']} {row['table']}.{row['column']}", str(row["rows"]),
                str(row["since"] or ""), row["state"], row["reason"],
            )  # fmt: skip
        console().print(table)
        for row in rows:
            if row["sentence"]:
                console().print(row["sentence"], style="red", highlight=False, markup=False)
    return Exit.PARTIAL if any(row["sentence"] for row in rows) else Exit.DONE
