"""Tracker lists, complete: every row of a listing is seen at least once, whatever happens on the server meanwhile.

Belongs here: parameters by version, the paging loop, completeness. Does not belong here: HTTP (`client`), what a row
means (`referral`, `payload`), landing (`extract`).

The server numbers pages over a moving list, so three things can go wrong and each has its answer:

* Rows are *added* in front of the page being read: they push others onto the next page, which is harmless (duplicates are
  dropped by UID) because the list is ordered by `createdAt` ascending, which never changes.
* Rows *leave* the list, because an edit moves their `updatedAt` past the fixed `updatedBefore`: the rest moves up and one row
  slips past us between two pages. The total on each page shows it. The listing then starts again without
  `updatedBefore`: such a list can only grow.
* The server drops rows after its query: short and even empty pages are normal from 2.42 on, and never end a listing.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from assets.dhis2.client import Dhis2Client
from assets.dhis2.errors import CompletenessError, ResponseShapeError, TooLargeError
from assets.dhis2.instants import format_instant
from assets.dhis2.versions import Dialect, Entity

log = logging.getLogger(__name__)

_MOST_RESTARTS = 5


@dataclass(frozen=True)
class Listing:
    """One question to a tracker list: which rows, with which fields."""

    entity: Entity
    program: str
    org_units: tuple[str, ...]
    fields: str
    updated_before: datetime | None = None
    """The instant at which this pull began; fixed for all its pages."""
    updated_after: datetime | None = None


@dataclass(frozen=True)
class Position:
    """Where a listing stands, so that a broken pull goes on there: the next page of this size, and the last total seen."""

    page: int = 1
    page_size: int = 512
    total: int | None = None
    received: int = 0
    restarts: int = 0
    is_done: bool = False


@dataclass(frozen=True)
class Page:
    """Rows of one page, and where to go on after them."""

    rows: list[dict[str, Any]]
    position: Position
    """The position after this page."""
    shortfall: int = 0
    """On the last page: rows announced but not shown, where the version may legally hold rows back."""


def page_size_at_most(wanted: int) -> int:
    """The largest power of two up to `wanted`: halving it keeps page borders aligned."""
    return 1 << (max(1, wanted).bit_length() - 1)


def parameters(dialect: Dialect, listing: Listing, position: Position) -> list[tuple[str, str]]:
    """The request's parameters under the names that this version knows.

    The mode is DESCENDANTS: ALL, ACCESSIBLE and CAPTURE must not travel with an org unit. Paging is never switched off.
    """
    found = [("program", listing.program)]
    if listing.entity == "events":
        if len(listing.org_units) != 1:
            raise ValueError("a listing of events takes exactly one org unit: every version knows only `orgUnit` there")
        found.append(("orgUnit", listing.org_units[0]))
    else:
        found.append((dialect.org_units, dialect.org_unit_separator.join(listing.org_units)))
    found += [
        (dialect.org_unit_mode, "DESCENDANTS"),
        ("fields", listing.fields),
        ("includeDeleted", "true"),
        ("order", "createdAt:asc"),
        ("totalPages", "true"),
        ("page", str(position.page)),
        ("pageSize", str(position.page_size)),
    ]
    if listing.updated_after is not None:
        found.append(("updatedAfter", format_instant(listing.updated_after)))
    # After a restart the upper bound is left out: a list without it cannot shrink by edits (module docstring).
    if listing.updated_before is not None and position.restarts == 0:
        found.append(("updatedBefore", format_instant(listing.updated_before)))
    return found


def rows_of(answer: Any, entity: Entity, dialect: Dialect, client: Dhis2Client) -> list[dict[str, Any]]:
    """The list within an answer, under its own name or the version's generic one. Raises ResponseShapeError without any."""
    if isinstance(answer, Mapping):
        for key in (entity, *dialect.list_keys, "instances"):
            if isinstance(answer.get(key), list):
                return list(answer[key])
    raise ResponseShapeError(
        f"the answer has no list under {entity!r} or 'instances'.",
        server=client.server,
        endpoint=f"tracker/{entity}",
        advice=f"The server says it is 2.{dialect.major}; check its version, and report this with it.",
    )


def _pager(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The pager, nested or flat. 2.41 sends both, 2.40 only the flat one."""
    pager = answer.get("pager")
    return pager if isinstance(pager, Mapping) else answer


def _number(pager: Mapping[str, Any], key: str) -> int | None:
    value = pager.get(key)
    return int(value) if isinstance(value, int | str) and str(value).isdigit() else None


def pages(client: Dhis2Client, dialect: Dialect, listing: Listing, start: Position) -> Iterator[Page]:
    """Every page of a listing from `start` on; together they hold every row at least once.

    Raises TooLargeError when a page of one row is still too large, CompletenessError when fewer rows came than announced
    on a version that shows all, or when the list keeps shrinking.
    """
    position = start
    while not position.is_done:
        try:
            answer = client.get_json(f"tracker/{listing.entity}", parameters(dialect, listing, position))
        except TooLargeError:
            if position.page_size == 1:
                raise
            half = position.page_size // 2
            position = replace(position, page=(position.page - 1) * 2 + 1, page_size=half)
            log.info("%s: page size of %s lowered to %d", client.server, listing.entity, half)
            continue
        rows = rows_of(answer, listing.entity, dialect, client)
        pager = _pager(answer)
        total = _number(pager, "total")
        if total is not None and position.total is not None and total < position.total:
            position = _restarted(client, listing, position, total)
            continue
        received = position.received + len(rows)
        is_last = _is_last(client, dialect, listing, pager, position)
        shortfall = _shortfall(client, dialect, listing, total, received) if is_last else 0
        position = replace(
            position,
            page=position.page + 1,
            total=total if total is not None else position.total,
            received=received,
            is_done=is_last,
        )
        yield Page(rows, position, shortfall)


def _restarted(client: Dhis2Client, listing: Listing, position: Position, total: int) -> Position:
    if position.restarts == _MOST_RESTARTS:
        raise CompletenessError(
            f"the list shrank from {position.total} to {total} rows while it was read, {_MOST_RESTARTS + 1} times over.",
            server=client.server,
            endpoint=f"tracker/{listing.entity}",
            advice="Somebody is removing records at this moment; run again when that has ended.",
        )
    log.info(
        "%s: %s shrank from %s to %d rows while read; reading again",
        client.server,
        listing.entity,
        position.total,
        total,
    )
    return Position(page=1, page_size=position.page_size, restarts=position.restarts + 1)


def _is_last(
    client: Dhis2Client, dialect: Dialect, listing: Listing, pager: Mapping[str, Any], position: Position
) -> bool:
    """The server's own word on whether this was the last page; nothing else ends a listing."""
    if dialect.pages_by_next:
        # `nextPage` is read as a yes or no and never followed: its host is what the server believes it is called.
        return not pager.get("nextPage")
    count = _number(pager, "pageCount")
    if count is None:
        raise ResponseShapeError(
            "totalPages=true was sent, but the answer has no pageCount.",
            server=client.server,
            endpoint=f"tracker/{listing.entity}",
            advice=f"The server says it is 2.{dialect.major}; check its version, and report this with it.",
        )
    return position.page >= count


def _shortfall(client: Dhis2Client, dialect: Dialect, listing: Listing, total: int | None, received: int) -> int:
    if total is None or received >= total:
        return 0
    if not dialect.may_shorten_pages:
        raise CompletenessError(
            f"the server announced {total} rows and showed {received}.",
            server=client.server,
            endpoint=f"tracker/{listing.entity}",
            advice="Run again; if it stays, ask the server's administrator which records the service user may not see.",
        )
    log.info("%s: %s announced %d rows and showed %d", client.server, listing.entity, total, received)
    return total - received
