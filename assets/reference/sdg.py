"""UN SDG database: answers of `v1/sdg/Series/Data` -> figures.

Source: the SDG API of the UN Statistics Division: pages with totalPages and data rows of geoAreaCode (M49), timePeriodStart, value (text),
lowerBound, upperBound, dimensions, attributes. Does not belong here: HTTP.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assets.reference.feeds import Ask, Feed, Figure, members
from assets.reference.read import ReferenceFault

PAGE_SIZE = "1000"
_NO_NUMBER = {"", "NaN", "N", "NA", "N/A"}
"""What the database writes into a cell for which there is no number."""


def _page(body: bytes) -> Mapping[str, Any]:
    page = json.loads(body)
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise ReferenceFault("sdg: the answer has no list `data`; the service changed its shape.", file="sdg")
    return page


class Sdg:
    """The SDG API as one of the services."""

    def release(self, feed: Feed) -> Ask | None:
        """The list of the indicator's series, which names the release of the database."""
        return Ask(path=f"v1/sdg/Indicator/{feed.indicator}/Series/List") if feed.indicator else None

    def first(self, feed: Feed, remote: str, areas: Mapping[str, str]) -> Ask:
        """One series for the members, by M49 numbers without leading zeros as the API writes them."""
        wanted = tuple(("areaCode", str(int(m49))) for m49 in areas.values())
        return Ask(
            path="v1/sdg/Series/Data",
            parameters=(("seriesCode", remote), *wanted, ("pageSize", PAGE_SIZE), ("page", "1")),
        )

    def following(self, ask: Ask, body: bytes) -> Ask | None:
        """The next page until `totalPages`."""
        page = _page(body)
        number = int(dict(ask.parameters)["page"])
        if number >= int(page.get("totalPages") or 1):
            return None
        kept = tuple(pair for pair in ask.parameters if pair[0] != "page")
        return Ask(path=ask.path, parameters=(*kept, ("page", str(number + 1))))

    def figures(self, body: bytes, name: str) -> Iterator[Figure]:
        """One figure per row, with the area as ISO3 where it is a member."""
        by_number = {int(m49): iso3 for iso3, m49 in members().items()}
        for number, row in enumerate(_page(body)["data"]):
            value = str(row.get("value") if row.get("value") is not None else "")
            m49 = str(row["geoAreaCode"])
            yield Figure(
                area=by_number.get(int(m49), m49) if m49.isdigit() else m49,
                year=str(int(float(row["timePeriodStart"]))),
                value=None if value in _NO_NUMBER else value,
                lower=_bound(row.get("lowerBound")),
                upper=_bound(row.get("upperBound")),
                nature=(row.get("attributes") or {}).get("Nature"),
                dimensions={str(key): str(code) for key, code in (row.get("dimensions") or {}).items()},
                pointer=f"{name}#{number}",
            )

    def edition(self, feed: Feed, bodies: Sequence[bytes], release: bytes | None) -> str:
        """The release of the database that the series list names, such as 2026.Q1.G.02."""
        named = _release(json.loads(release), set(feed.remotes)) if release else None
        return "sdg" + named.lower().replace(".", "_") if named else "sdg_live"


def _release(answer: object, codes: set[str]) -> str | None:
    """The release beside one of the series codes, however deep the list holds it."""
    if isinstance(answer, list):
        return next((found for part in answer if (found := _release(part, codes))), None)
    if isinstance(answer, dict):
        if answer.get("code") in codes and answer.get("release"):
            return str(answer["release"])
        return _release(list(answer.values()), codes)
    return None


def _bound(value: object) -> str | None:
    return None if value is None or str(value) in _NO_NUMBER else str(value)
