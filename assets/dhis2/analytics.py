"""What the server itself computed: analytics answers, whole, with the age of the tables they come from.

Belongs here: asking analytics in pieces the server accepts, and reading its columns by name. Does not belong here: facts
(they come from tracker and dataValueSets); analytics serves only to cross-check indicators that a server computes.

An analytics value is as old as the last build of the server's tables, and proxies cache answers for weeks: every row carries
`analytics_at`, and every request forbids caches.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from assets.dhis2.client import Dhis2Client, Parameters
from assets.dhis2.errors import ResponseShapeError, TooLargeError
from assets.dhis2.metadata import ServerFacts

_FRESH: Final = {"Cache-Control": "no-cache"}

_NEW_NAMES: Final = {
    "trackedentityinstanceuid": "trackedentity",
    "tei": "trackedentity",
    "psi": "event",
    "pi": "enrollment",
    "eventdate": "occurreddate",
}
"""Header names of older versions -> those of newer ones; rows are keyed by the newer name."""


@dataclass(frozen=True)
class Request:
    """One aggregate analytics question: data items (`dx`) by periods by org units. Org units are not expanded by the server."""

    items: tuple[str, ...]
    periods: tuple[str, ...]
    org_units: tuple[str, ...]
    with_parts: bool = False
    """True: numerator, denominator, factor, multiplier and divisor beside each value."""

    def parameters(self) -> list[tuple[str, str]]:
        """The request's parameters; fixed periods only, because relative ones move with the server's clock."""
        found = [
            ("dimension", f"dx:{';'.join(self.items)}"),
            ("dimension", f"pe:{';'.join(self.periods)}"),
            ("dimension", f"ou:{';'.join(self.org_units)}"),
            ("skipMeta", "true"),
        ]
        return [*found, ("includeNumDen", "true")] if self.with_parts else found

    def halves(self) -> tuple["Request", "Request"] | None:
        """Two halves by period, then by org unit, then by item; None for a single cell."""
        for name in ("periods", "org_units", "items"):
            values = getattr(self, name)
            if len(values) > 1:
                middle = len(values) // 2
                return replace(self, **{name: values[:middle]}), replace(self, **{name: values[middle:]})
        return None


def table_rows(answer: Any, required: Sequence[str], *, server: str, endpoint: str) -> list[dict[str, str | None]]:
    """Rows of an analytics answer keyed by header name, older names as their newer ones.

    Raises ResponseShapeError naming the required headers that are missing: by position nothing can be trusted, because
    versions add columns in front.
    """
    headers = answer.get("headers") if isinstance(answer, Mapping) else None
    names = [_NEW_NAMES.get(str(header.get("name")), str(header.get("name"))) for header in headers or []]
    missing = [name for name in required if _NEW_NAMES.get(name, name) not in names]
    if missing:
        raise ResponseShapeError(
            f"the answer has no column {', '.join(missing)}.",
            server=server,
            endpoint=endpoint,
            advice="This version names its columns differently: report it with the version.",
        )
    return [dict(zip(names, row, strict=False)) for row in answer.get("rows") or []]


def aggregate_rows(client: Dhis2Client, facts: ServerFacts, request: Request) -> list[dict[str, str | None]]:
    """Every cell the server computes for the request, as texts keyed by header name, with `analytics_at`.

    A question larger than the server's limit is halved until it is answered. Raises TooLargeError when a single cell is not,
    AnalyticsMissingError when the server never built its tables.
    """
    return _in_parts(client, facts, request, "analytics", ("dx", "pe", "ou", "value"))


def raw_rows(client: Dhis2Client, facts: ServerFacts, request: Request) -> list[dict[str, str | None]]:
    """Raw data below the org units named, halved and raising as `aggregate_rows`; none of the units may lie below another.

    The `.json` is part of the address: without it DHIS2 answers 404 in HTML.
    """
    return _in_parts(client, facts, request, "analytics/rawData.json", ("dx", "ou", "value"))


def _in_parts(
    client: Dhis2Client, facts: ServerFacts, request: Request, endpoint: str, required: Sequence[str]
) -> list[dict[str, str | None]]:
    try:
        answer = client.get_json(endpoint, request.parameters(), headers=_FRESH)
    except TooLargeError:
        halves = request.halves()
        if halves is None:
            raise
        return [row for half in halves for row in _in_parts(client, facts, half, endpoint, required)]
    rows = table_rows(answer, required, server=client.server, endpoint=endpoint)
    return [{**row, "analytics_at": facts.analytics_at} for row in rows]


def query_rows(
    client: Dhis2Client,
    facts: ServerFacts,
    kind: Literal["events", "enrollments"],
    program: str,
    parameters: Parameters,
    *,
    required: Sequence[str] = (),
    page_size: int = 1000,
) -> Iterator[dict[str, str | None]]:
    """Rows of event or enrollment analytics, always by pages: with paging off the server cuts them at its limit without a word."""
    endpoint = f"analytics/{kind}/query/{program}"
    page = 1
    while True:
        asked = [
            *parameters,
            ("paging", "true"),
            ("page", str(page)),
            ("pageSize", str(page_size)),
            ("totalPages", "true"),
        ]
        answer = client.get_json(endpoint, asked, headers=_FRESH)
        for row in table_rows(answer, required, server=client.server, endpoint=endpoint):
            yield {**row, "analytics_at": facts.analytics_at}
        pager = (answer.get("metaData") or {}).get("pager") or {}
        if "pageCount" in pager:
            is_last = page >= int(pager["pageCount"])
        elif "isLastPage" in pager:
            is_last = bool(pager["isLastPage"])
        else:
            raise ResponseShapeError(
                "the answer has no pager, so whether more rows follow is unknown.",
                server=client.server,
                endpoint=endpoint,
                advice="Report this with the server's version.",
            )
        if is_last:
            return
        page += 1
