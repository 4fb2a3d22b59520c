"""The reporting delay of each source, learned from when its rows arrived: what makes a recent cell provisional.

Belongs here: reading arrivals from core history under the policy of `catalogue/reporting_delays.toml`. Does not belong here:
the arithmetic (`methods.reporting_delay`), marking cells (`indicator_engine`).
"""

from datetime import datetime
from functools import cache
from typing import Any

import polars as pl
from pydantic import Field

from methods.reporting_delay import learn_delay
from warehouse.catalogue.regional_catalogue import Entry
from warehouse.catalogue.table_catalogue import CATALOGUE, read_entry
from warehouse.history import as_naive_utc
from warehouse.store import fetch_frame
from warehouse.store_state import OWN_DATE, SOURCE_OF


class DelaySource(Entry):
    """One source: its code in observations, and the delay that holds until one is learned."""

    code: str
    default_days: int = Field(ge=0)


class DelayPolicy(Entry):
    """What it takes to learn a delay."""

    share: float = Field(gt=0, lt=1)
    minimum_arrivals: int = Field(ge=1)
    minimum_weeks: int = Field(ge=1)
    source: tuple[DelaySource, ...]


@cache
def delay_policy() -> DelayPolicy:
    """The policy shipped with the code."""
    return read_entry(CATALOGUE / "reporting_delays.toml", DelayPolicy)


def reporting_delays(connection: Any, at: datetime) -> pl.DataFrame:
    """One row per source with its delay as the history up to `at` teaches it: the rows of `indicator.reporting_delay`."""
    policy = delay_policy()
    rows = []
    for source in policy.source:
        arrivals, days_watched = _arrivals(connection, source.code, at)
        learned = (
            learn_delay(arrivals, days_watched, share=policy.share, minimum_arrivals=policy.minimum_arrivals)
            if days_watched >= policy.minimum_weeks * 7
            else None
        )
        rows.append(
            {
                "source_code": source.code,
                "delay_days": learned.days if learned else source.default_days,
                "basis_code": "learned" if learned else "declared",
                "arrival_share": policy.share,
            }
        )
    return pl.DataFrame(rows)


def _arrivals(connection: Any, source: str, at: datetime) -> tuple[list[tuple[int, int]], int]:
    """Days from the end of what a row tells of to its arrival, with the days for which it could be seen, and the days for
    which the source has been watched. A row that is closed has arrived once more: its end is news too."""
    found: list[tuple[int, int]] = []
    watched = 0
    until = as_naive_utc(at)
    for table, name in SOURCE_OF.items():
        if name != source:
            continue
        own = OWN_DATE[table]
        frame = fetch_frame(
            connection,
            f"""with first_look as (select min(recorded_from) as looked_at from {table}),
            arrival as (
                select {own} as ended_on, recorded_from as seen_at from {table}
                union all
                select {own}, recorded_to from {table} where recorded_to < timestamp '9999-12-31'
            )
            select date_diff('day', ended_on, seen_at::date) as delay, date_diff('day', ended_on, $at::date) as seen_for,
              date_diff('day', looked_at::date, $at::date) as watched
            from arrival, first_look
            where seen_at > looked_at and seen_at <= $at and ended_on >= looked_at::date
            order by all""",
            {"at": until},
        )
        found += frame.select("delay", "seen_for").rows()
        if frame.height:
            watched = max(watched, int(frame["watched"][0]))
    return found, watched
