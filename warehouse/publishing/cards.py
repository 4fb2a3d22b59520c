"""The cards of a release as frames: indicators, areas, sources, receipts, symbols and table entries, ready to be written.

Belongs here: turning the frozen value types of `content` into sorted frames. Does not belong here: their meaning, any file.
"""

from collections.abc import Sequence
from typing import Any

import polars as pl

from warehouse.catalogue.table_catalogue import load_codelist
from warehouse.publishing.content import ReleaseCatalogue, ReleaseContent


def _frame(rows: Sequence[dict[str, Any]], schema: dict[str, Any], sort_by: str | None) -> pl.DataFrame:
    frame = pl.DataFrame(list(rows), schema=schema)
    return frame.sort(sort_by) if sort_by else frame


def indicator_frame(catalogue: ReleaseCatalogue) -> pl.DataFrame:
    """One row per indicator, in code order."""
    listed = pl.List(pl.String())
    return _frame(
        [
            {
                "indicator_code": card.code,
                "definition_version": card.definition_version,
                "name_en": card.name_en,
                "name_vi": card.name_vi,
                "unit_code": card.unit_code,
                "unit_en": card.unit_en,
                "unit_vi": card.unit_vi,
                "decimals": card.decimals,
                "definition_en": card.definition_en,
                "definition_vi": card.definition_vi,
                "numerator": card.numerator,
                "denominator": card.denominator,
                "method_code": card.method_code,
                "direction": card.direction,
                "official_codes": list(card.official_codes),
                "frameworks": list(card.frameworks),
                "definition_source": card.definition_source,
                "caveats": list(card.caveats),
                "source_codes": list(card.source_codes),
                "is_experimental": card.is_experimental,
                "factor": card.factor,
                "additive_code": card.additive_code,
            }
            for card in catalogue.indicators
        ],
        {
            **dict.fromkeys(
                ("indicator_code", "definition_version", "name_en", "name_vi", "unit_code", "unit_en", "unit_vi"),
                pl.String(),
            ),
            "decimals": pl.Int32(),
            **dict.fromkeys(
                ("definition_en", "definition_vi", "numerator", "denominator", "method_code", "direction"), pl.String()
            ),
            "official_codes": listed,
            "frameworks": listed,
            "definition_source": pl.String(),
            "caveats": listed,
            "source_codes": listed,
            "is_experimental": pl.Boolean(),
            "factor": pl.Float64(),
            "additive_code": pl.String(),
        },
        "indicator_code",
    )


def area_frame(catalogue: ReleaseCatalogue) -> pl.DataFrame:
    """One row per area, in code order."""
    names = ("area_code", "name_en", "name_vi", "area_type_code", "parent_code", "frame_code", "official_code")
    days = ("valid_from_on", "valid_to_on")
    return _frame(
        [{name: getattr(area, name) for name in (*names, *days)} for area in catalogue.areas],
        {**dict.fromkeys(names, pl.String()), **dict.fromkeys(days, pl.Date())},
        "area_code",
    )


def source_frame(catalogue: ReleaseCatalogue) -> pl.DataFrame:
    """One row per source, in code order."""
    names = ("source_code", "name_en", "name_vi", "producer", "citation", "edition", "accessed_on", "licence")
    return _frame(
        [{name: getattr(source, name) for name in (*names, "is_practice")} for source in catalogue.sources],
        {**dict.fromkeys(names, pl.String()), "is_practice": pl.Boolean()},
        "source_code",
    )


def receipt_frame(content: ReleaseContent) -> pl.DataFrame:
    """One row per receipt that a figure of the release rests on, in receipt order."""
    used = set(content.observations["receipt_ids"].explode().drop_nulls())
    names = ("receipt_id", "source_code", "sha256", "locator", "received_at", "published_on")
    return _frame(
        [{name: getattr(r, name) for name in names} for r in content.context.receipts if r.receipt_id in used],
        dict.fromkeys(names, pl.String()),
        "receipt_id",
    )


def cause_frame() -> pl.DataFrame:
    """The causes for which figures move, in the order in which they are let act."""
    return _frame(
        [
            {"cause_code": c.code, "name_en": c.name_en, "name_vi": c.name_vi, "description": c.description}
            for c in load_codelist("change_cause")
        ],
        dict.fromkeys(("cause_code", "name_en", "name_vi", "description"), pl.String()),
        None,
    )


def symbol_frame(catalogue: ReleaseCatalogue) -> pl.DataFrame:
    """The symbol key, in the order in which it is printed."""
    return _frame(
        [
            {"symbol": s.symbol, "kind": s.kind, "meaning_en": s.meaning.en, "meaning_vi": s.meaning.vi}
            for s in catalogue.regional.symbols
        ],
        dict.fromkeys(("symbol", "kind", "meaning_en", "meaning_vi"), pl.String()),
        None,
    )


def table_frame(catalogue: ReleaseCatalogue) -> pl.DataFrame:
    """One row per regional table, in code order."""
    texts = ("title", "scope", "units", "summary")
    listed = pl.List(pl.String())
    return _frame(
        [
            {"table_code": table.code, "version": table.version}
            | {f"{t}_{lang}": getattr(table, t).in_language(lang) for t in texts for lang in ("en", "vi")}
            | {f"notes_{lang}": [note.in_language(lang) for note in table.notes] for lang in ("en", "vi")}
            for table in catalogue.regional.tables
        ],
        {
            "table_code": pl.String(),
            "version": pl.Int32(),
            **{f"{t}_{lang}": pl.String() for t in texts for lang in ("en", "vi")},
            "notes_en": listed,
            "notes_vi": listed,
        },
        "table_code",
    )
