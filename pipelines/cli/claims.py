"""`mhwg claims`: published statements beside the figures of the current release.

Belongs here: reading the release's table of claims and drawing it. Does not belong here: comparing (`warehouse.publishing.claims`).
"""

import json
from typing import Any

from pipelines.cli.console import console
from pipelines.failures import Exit, Refused
from pipelines.settings import load_settings


def run(verdict: str | None, language: str, *, as_json: bool) -> int:
    """The claims of the current release, all or those of one verdict, in the order in which a reader must know them."""
    import polars as pl

    from warehouse.catalogue.table_catalogue import load_codelist
    from warehouse.publishing.claims import VERDICT_ORDER, read_claims
    from warehouse.publishing.release import ShelfError

    if language not in ("en", "vi"):
        raise Refused(f"--language {language}: there are en and vi.", Exit.USAGE)
    if verdict is not None and verdict not in VERDICT_ORDER:
        raise Refused(f"--verdict {verdict}: there are {', '.join(VERDICT_ORDER)}.", Exit.USAGE)
    try:
        claims = read_claims(load_settings().state_folder / "release")
    except ShelfError as fault:
        raise Refused(str(fault), Exit.NOT_FOUND) from fault
    chosen = claims if verdict is None else claims.filter(pl.col("verdict_code") == verdict)
    if as_json:
        console().print_json(json.dumps(chosen.to_dicts(), ensure_ascii=False))
        return Exit.DONE
    names = {c.code: c.name_vi if language == "vi" else c.name_en for c in load_codelist("claim_verdict")}
    _draw(chosen.to_dicts(), names, language)
    return Exit.DONE


def _draw(rows: list[dict[str, Any]], names: dict[str, str], language: str) -> None:
    from collections import Counter

    from rich.table import Table
    from rich.text import Text

    from warehouse.publishing import wording
    from warehouse.publishing.claims import (
        VERDICT_ORDER,
        compared_text,
        computed_text,
        difference_text,
        statement_number,
    )

    out = console()
    counts = Counter(row["verdict_code"] for row in rows)
    out.print(
        ", ".join(f"{names[code]}: {counts[code]}" for code in VERDICT_ORDER if counts[code]) or "No claims.",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in ("claim", "claim_stated", "claim_computed", "claim_difference", "claim_compared_with"):
        is_number = key in ("claim_computed", "claim_difference")
        table.add_column(wording.text(key, language), justify="right" if is_number else "left", overflow="fold")
    for code in VERDICT_ORDER:
        mine = [row for row in rows if row["verdict_code"] == code]
        if mine:
            table.add_row(Text(names[code], style="bold"))
        for row in mine:
            told = ". ".join(part for part in (compared_text(row, language), row[f"reason_{language}"]) if part)
            table.add_row(
                *(Text(text) for text in (
                    row[f"statement_{language}"], statement_number(row, language), computed_text(row, language),
                    difference_text(row, language), told,
                ))
            )  # fmt: skip
    out.print(table)
