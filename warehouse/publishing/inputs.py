"""What a release is made from, read from the store as it stood at one instant: figures, areas, receipts, earlier releases.

Belongs here: reading those from the store. Does not belong here: cards (`release_catalogue`), cells, files. Whatever enters
a release is read as of its instant, never as it is now: that is what makes an old release rebuildable (`rebuild`).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import polars as pl

from warehouse.catalogue.indicator_catalogue import indicator_catalogue
from warehouse.history import as_naive_utc
from warehouse.publishing.content import DENOMINATOR_SCHEMA, OBSERVATION_SCHEMA, RELEASE_ID_FORMAT, Receipt
from warehouse.store import fetch_frame

_OBSERVATION_COLUMNS = ", ".join(name for name in OBSERVATION_SCHEMA if name != "conf_status")


def observations_at(connection: Any, at: datetime) -> pl.DataFrame:
    """Every observation as the warehouse held it at the instant, before protection."""
    return fetch_frame(
        connection,
        f"select {_OBSERVATION_COLUMNS} from indicator.observation_as_of($at) order by all",
        {"at": as_naive_utc(at)},
    )


def instant_of(release_id: str) -> datetime:
    """The instant that a release is named for, UTC without zone."""
    return datetime.strptime(release_id, RELEASE_ID_FORMAT)


def earlier_releases(connection: Any, published: Mapping[str, pl.DataFrame]) -> list[pl.DataFrame]:
    """Each release as it was published, with what it hid put back from the observations of its instant: the audit against
    differencing must know what an attacker would find. `published`: the frames by release id, oldest first."""
    from warehouse.publishing.protection import ledger  # brings the solver: seconds

    return [ledger(frame, observations_at(connection, instant_of(name))) for name, frame in published.items()]


def causes_between(connection: Any, last_release: str | None, at: datetime) -> pl.DataFrame:
    """Why figures moved after a release and up to an instant: rows of the change log. None of them for a first release."""
    return fetch_frame(
        connection,
        "select * from indicator.change where refresh_at > $after and refresh_at <= $until order by all",
        {"after": instant_of(last_release) if last_release else as_naive_utc(at), "until": as_naive_utc(at)},
    )


def release_areas(connection: Any, at: datetime) -> pl.DataFrame:
    """Every area that the store knew at the instant, with its names, type, parent, frame and validity."""
    return fetch_frame(
        connection,
        """select area_code, name_en, name_vi, area_type_code, parent_code, frame_code, official_code, valid_from_on, valid_to_on
        from core.area_as_of($at) order by area_code""",
        {"at": as_naive_utc(at)},
    )


def reference_editions(connection: Any, at: datetime) -> list[tuple[str, str, str]]:
    """Series, edition and producer of the reference figures that indicators read at the instant."""
    found = fetch_frame(
        connection,
        "select distinct series_code, edition_code, producer from core.reference_value_as_of($at) "
        "where is_current_edition order by all",
        {"at": as_naive_utc(at)},
    )
    return [(series, edition, producer) for series, edition, producer in found.iter_rows()]


def other_denominators(connection: Any, at: datetime) -> pl.DataFrame:
    """Populations that stand as alternates in the denominator registry, as the store had them at the instant."""
    known = indicator_catalogue().denominators
    named = sorted({name for entry in known.values() for name in entry.alternates})
    frames = [pl.DataFrame(schema=DENOMINATOR_SCHEMA)]
    for name in named:
        series = known[name].filter.get("series_code", ())
        frames.append(
            fetch_frame(
                connection,
                """select $name as denominator_code, area_code, year::varchar as period_code, sex_code, value as denominator
                from core.reference_value_as_of($at)
                where is_current_edition and list_contains($series, series_code) and age_code = '_T' and origin_code = '_T'
                  and destination_code = '_T' and category_code = '_T'
                order by all""",
                {"name": name, "series": list(series), "at": as_naive_utc(at)},
            )
        )
    return pl.concat(frames)


def area_links(connection: Any, at: datetime) -> pl.DataFrame:
    """Which area lay in which, for the disclosure audit: parents, the successor of a former province, and memberships."""
    return fetch_frame(
        connection,
        """select area_code, parent_code, frame_code, null::varchar as membership_version
        from core.area_as_of($at) where parent_code is not null
        union all
        select old_area_code, new_area_code, 'succession', null from core.area_succession_as_of($at)
        union all
        select area_code, group_code, 'iso3', membership_version from core.area_membership_as_of($at)
        order by all""",
        {"at": as_naive_utc(at)},
    )


def release_receipts(connection: Any, used: Iterable[str]) -> tuple[Receipt, ...]:
    """The receipts that the figures rest on, without request parameters."""
    wanted = sorted(set(used))
    if not wanted:
        return ()
    frame = fetch_frame(
        connection,
        """select receipt_id, source_code, payload_sha256, locator, strftime(received_at, '%Y-%m-%dT%H:%M:%SZ') as received_at,
        coalesce(strftime(published_on, '%Y-%m-%d'), '') as published_on
        from ops.receipt where list_contains($wanted, receipt_id) order by receipt_id""",
        {"wanted": wanted},
    )
    return tuple(
        Receipt(
            row["receipt_id"], row["source_code"], row["payload_sha256"], _public_locator(row["locator"]), row["received_at"],
            row["published_on"],
        )
        for row in frame.iter_rows(named=True)
    )  # fmt: skip


def _public_locator(locator: str) -> str:
    # The port of a practice server differs from run to run; a release must not.
    return "practice ground" if locator.startswith("http://127.0.0.1") else locator
