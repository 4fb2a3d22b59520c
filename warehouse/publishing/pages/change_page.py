"""The page of what changed: the newest release against the one before, revised figures first."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from warehouse.change_log import CELL_KEY
from warehouse.publishing.change_log import cause_counts, cause_words
from warehouse.publishing.content import KEY_COLUMNS, ReleaseContent
from warehouse.publishing.display import period_text
from warehouse.publishing.pages.page import Page, Site
from warehouse.publishing.tables import display_text

_CHANGES_SHOWN = 250


def pages(site: Site) -> Iterator[Page]:
    """What changed."""
    values = {"changes": changes_view(site, list_changes(site.content, site.versions))}
    yield Page("changes.html", "changes.html", site.say("changes"), site.say("about"), values, nav="changes")


def list_changes(content: ReleaseContent, versions: pl.DataFrame) -> list[dict[str, Any]]:
    """What this release changed against the one before, by key: kind, observation before, observation now. Empty for the first."""
    now_at = content.recorded_at
    if versions.filter(pl.col("released_from") < now_at).is_empty():
        return []
    before = {
        tuple(r[k] for k in KEY_COLUMNS): r
        for r in versions.filter(pl.col("released_to") == now_at).iter_rows(named=True)
    }
    after = {
        tuple(r[k] for k in KEY_COLUMNS): r
        for r in versions.filter(pl.col("released_from") == now_at).iter_rows(named=True)
    }
    changes = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        changes.append({"kind": _change_kind(old, new), "before": old, "after": new, "any": new or old})
    return changes


def _change_kind(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    if old is None:
        return "new"
    if new is None:
        return "withdrawn"
    if new["obs_status"] == "Q" and old["obs_status"] != "Q":
        return "hidden"
    if old["obs_status"] == "Q" and new["obs_status"] != "Q":
        return "shown"
    return "revised" if new["value"] != old["value"] else "status"


def changes_view(site: Site, changes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The change list for its template, revised figures first."""
    order = ("revised", "hidden", "shown", "withdrawn", "status", "new")
    counts = Counter(change["kind"] for change in changes)
    causes = cause_words(site.content.changes, site.language)
    ranked = sorted(changes, key=lambda change: order.index(change["kind"]))
    rows = []
    for change in ranked[:_CHANGES_SHOWN]:
        row = change["any"]
        card = site.content.catalogue.card(row["indicator_code"])
        decimals = card.decimals if card else 2
        rows.append(
            {
                "code": row["indicator_code"],
                "area": site.names.area(row["area_code"]),
                "period": period_text(row["period_code"], site.language),
                "breakdown": site.names.breakdown(row),
                "change": site.say(f"change_{change['kind']}"),
                "cause": causes.get(tuple(row[k] for k in CELL_KEY), ""),
                "before": display_text(change["before"], decimals, False, site.language) if change["before"] else "",
                "after": display_text(change["after"], decimals, False, site.language) if change["after"] else "",
            }
        )
    return {
        "rows": rows,
        "is_cut": len(changes) > _CHANGES_SHOWN,
        "counts": [(site.say(f"change_{kind}"), counts[kind]) for kind in order if counts[kind]],
        "causes": cause_counts(site.content.changes, site.language),
    }
