"""WHO Global Health Observatory: OData answers -> figures.

Source: OData 4 of the GHO (`/api/<indicator>?$filter=...`), rows with SpatialDim, TimeDim, Dim1..3 and their types,
NumericValue, Low, High, Date; long answers are paged by `@odata.nextLink`. SPAR is served here too (IHRSPAR2_C01 to C15).
Does not belong here: HTTP.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from assets.reference.feeds import Ask, Feed, Figure
from assets.reference.read import ReferenceFault


def _page(body: bytes) -> Mapping[str, Any]:
    page = json.loads(body)
    if not isinstance(page, dict) or not isinstance(page.get("value"), list):
        raise ReferenceFault("gho: the answer has no list `value`; the service changed its shape.", file="gho")
    return page


class Gho:
    """The GHO as one of the services."""

    def release(self, feed: Feed) -> Ask | None:
        """None: every row carries the day of its last change."""
        return None

    def first(self, feed: Feed, remote: str, areas: Mapping[str, str]) -> Ask:
        """One indicator for the members."""
        wanted = " or ".join(f"SpatialDim eq '{area}'" for area in areas)
        return Ask(path=remote, parameters=(("$filter", f"SpatialDimType eq 'COUNTRY' and ({wanted})"),))

    def following(self, ask: Ask, body: bytes) -> Ask | None:
        """The page that `@odata.nextLink` names, asked at the same address; a link to elsewhere is not followed."""
        link = _page(body).get("@odata.nextLink")
        if not link:
            return None
        return Ask(path=ask.path, parameters=tuple(parse_qsl(urlsplit(str(link)).query)))

    def figures(self, body: bytes, name: str) -> Iterator[Figure]:
        """One figure per row; rows of periods that are no year are passed over by the service's own TimeDimType."""
        for number, row in enumerate(_page(body)["value"]):
            if row.get("TimeDimType", "YEAR") != "YEAR":
                continue
            dimensions = {
                str(row[f"Dim{place}Type"]): str(row[f"Dim{place}"]) for place in (1, 2, 3) if row.get(f"Dim{place}")
            }
            yield Figure(
                area=str(row["SpatialDim"]), year=str(row["TimeDim"]), value=_text(row.get("NumericValue")),
                lower=_text(row.get("Low")), upper=_text(row.get("High")), dimensions=dimensions, pointer=f"{name}#{number}",
            )  # fmt: skip

    def edition(self, feed: Feed, bodies: Sequence[bytes], release: bytes | None) -> str:
        """The latest day on which the GHO says that it changed a row."""
        days = [str(row["Date"])[:10] for body in bodies for row in _page(body)["value"] if row.get("Date")]
        return f"gho{max(days, default='undated').replace('-', '_')}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)
