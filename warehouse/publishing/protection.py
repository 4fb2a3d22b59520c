"""The lock of the release: observations go in, a `Protected` set comes out, and writers accept nothing else.

Applies the disclosure policy to one frozen set of observations: finds the counts behind each row (`counted`), hides the
small ones and what else must be hidden because of sums (`methods.disclosure`), and has the result audited against
everything published now and before (`audit`). The numbers of the policy are in `warehouse/catalogue/disclosure.toml`.
Labels, symbols and files do not belong here.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from methods.disclosure import choose_suppression
from methods.disclosure.system import BoolArray
from warehouse.catalogue.disclosure import DisclosurePolicy
from warehouse.publishing.audit import DisclosureFailure, audited
from warehouse.publishing.content import KEY_COLUMNS
from warehouse.publishing.counted import Counts, area_links_of, counts_of, last_pattern
from warehouse.publishing.rounding import FOOTNOTE, round_counts

__all__ = ["KEY_COLUMNS", "NULLED_COLUMNS", "DisclosureFailure", "Protected", "counts_of", "ledger", "protect"]

# Everything from which a suppressed count could be read. The interval method is one of them: Clopper-Pearson is used
# for small counts only.
NULLED_COLUMNS: Final = ("value", "lower", "upper", "se", "numerator", "denominator", "n", "interval_code")
# Status codes that may stand beside a suppressed value (SDMX: the others need a number, and some of them tell that it
# is small).
FLAGS_WITHOUT_NUMBER: Final = frozenset({"B", "J", "Q"})
_TOKEN: Final = object()


class Protected:
    """Observations that may be seen by everybody. Only `protect` makes one.

    `frame`: the columns of release.observation, sorted by key. `audit`: one row per hidden count with the interval
    that an attacker can reach (no true value). `policy_version`: the policy under which it was made. `findings`: sums
    that did not add up, as counts by kind.
    """

    __slots__ = ("audit", "findings", "frame", "policy_version")

    frame: pl.DataFrame
    audit: pl.DataFrame
    policy_version: str
    findings: Mapping[str, int]

    def __init__(
        self, token: object, frame: pl.DataFrame, audit: pl.DataFrame, policy_version: str, findings: Mapping[str, int]
    ) -> None:
        if token is not _TOKEN:
            raise TypeError("a Protected set is made by protect() only; publishing without protection is not possible")
        object.__setattr__(self, "frame", frame)
        object.__setattr__(self, "audit", audit)
        object.__setattr__(self, "policy_version", policy_version)
        object.__setattr__(self, "findings", dict(findings))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Protected set cannot be changed")

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a Protected set cannot be copied through a file; protect() the observations again")


def protect(
    observations: pl.DataFrame,
    policy: DisclosurePolicy,
    *,
    areas: pl.DataFrame,
    earlier: Sequence[pl.DataFrame] = (),
    also_primary: pl.DataFrame | None = None,
) -> Protected:
    """Every count that the policy hides is hidden in every row that reveals it, and cannot be worked out from the
    rest.

    `areas`: area_code, parent_code and, where known, frame_code and membership_version; an area may have several
    parents (a former province lies in a country and in its successor). `earlier`: the frames of earlier releases,
    oldest first, as published; or with the hidden values filled in by `ledger`, which makes the audit against the
    past exact. `also_primary`: keys of rows that are primary for another reason (dominance), with the `width` that their
    interval must have where it is more than the threshold's.

    *Raises* `DisclosureFailure` when the audit finds a cell that is not protected and that this release could
    protect.
    """
    frame = observations.sort(KEY_COLUMNS, nulls_last=True)
    if frame.select(KEY_COLUMNS).is_duplicated().any():
        raise ValueError("two observations have the same key; protection needs one row per key")
    counts = Counts(policy, area_links_of(areas))
    named: dict[tuple[Any, ...], int] = {}
    if also_primary is not None:
        widths = also_primary["width"] if "width" in also_primary.columns else [0] * also_primary.height
        named = dict(zip(also_primary.select(KEY_COLUMNS).iter_rows(), widths, strict=True))
    counts.read_current(frame, named)
    for release in reversed(earlier):
        counts.read_earlier(release)
    counts.demand_differences()
    system = counts.builder.freeze()
    primary = np.array(counts.primary, dtype=bool)
    last = last_pattern(counts, earlier) if earlier else None
    pattern = choose_suppression(
        system,
        primary,
        hints=last.hidden if last else None,
        hint_primary=last.small if last else None,
        hint_unmoved=last.unmoved if last else None,
        hint_discount=policy.weights.stability_discount,
        informed_width=policy.protection.informed_width,
    )
    verdict = audited(counts, system, pattern, policy)
    marked = _mark(frame, counts, pattern.hidden_rows, primary | verdict.silent_rows)
    marked = round_counts(marked, policy)
    return Protected(_TOKEN, marked, verdict.lines, policy.version, counts.findings)


def ledger(released: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    """The released rows with the true values of suppressed and of rounded ones put back from the observations of that
    time. Restricted: for the next audit only.
    """
    columns = [column for column in NULLED_COLUMNS if column in released.columns and column in observations.columns]
    truth = observations.select(*KEY_COLUMNS, *(pl.col(column).alias(f"true_{column}") for column in columns))
    joined = released.join(truth, on=list(KEY_COLUMNS), how="left", nulls_equal=True)
    is_rounded = pl.lit(False)
    if released.schema.get("footnote_codes") == pl.List(pl.String):
        is_rounded = pl.col("footnote_codes").list.contains(FOOTNOTE).fill_null(False)
    return joined.with_columns(
        pl.when((pl.col("obs_status") == "Q") | is_rounded)
        .then(pl.col(f"true_{column}"))
        .otherwise(pl.col(column))
        .alias(column)
        for column in columns
    ).select(released.columns)


def _mark(frame: pl.DataFrame, counts: Counts, hidden_rows: BoolArray, told_as_small: BoolArray) -> pl.DataFrame:
    """The frame with statuses set and every revealing column NULL where hidden."""
    status = {key: "C" if told_as_small[row] else "D" for row, key in enumerate(counts.row_keys) if hidden_rows[row]}
    conf = [
        status.get(key, "C" if was == "Q" else "F")
        for key, was in zip(frame.select(KEY_COLUMNS).iter_rows(), frame["obs_status"], strict=True)
    ]
    marked = frame.with_columns(pl.Series("conf_status", conf, dtype=pl.String))
    is_hidden = pl.col("conf_status") != "F"
    changes = [
        pl.when(is_hidden).then(None).otherwise(pl.col(column)).alias(column)
        for column in NULLED_COLUMNS
        if column in frame.columns
    ]
    changes.append(pl.when(is_hidden).then(pl.lit("Q")).otherwise(pl.col("obs_status")).alias("obs_status"))
    if "obs_flags" in frame.columns and frame.schema["obs_flags"] == pl.List(pl.String):
        kept = pl.col("obs_flags").list.set_intersection(pl.lit(sorted(FLAGS_WITHOUT_NUMBER)))
        flags = pl.concat_list(kept.fill_null([]), pl.lit(["Q"])).list.unique().list.sort()
        changes.append(pl.when(is_hidden).then(flags).otherwise(pl.col("obs_flags")).alias("obs_flags"))
    elif "obs_flags" in frame.columns:
        changes.append(pl.when(is_hidden).then(pl.lit("Q")).otherwise(pl.col("obs_flags")).alias("obs_flags"))
    return marked.with_columns(changes)
