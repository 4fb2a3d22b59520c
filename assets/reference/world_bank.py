"""World Bank Indicators API v2: JSON answers -> figures.

Source: `/country/<codes>/indicator/<code>?format=json`: a pair of page description (page, pages, lastupdated) and rows
(countryiso3code, date, value). A refusal also comes with status 200, as a list with `message`. Does not belong here: HTTP.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from assets.reference.feeds import Ask, Feed, Figure
from assets.reference.read import ReferenceFault


def _page(body: bytes) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    answer = json.loads(body)
    if isinstance(answer, list) and answer and isinstance(answer[0], dict) and "message" in answer[0]:
        said = "; ".join(f"{entry.get('key')}: {entry.get('value')}" for entry in answer[0]["message"])
        raise ReferenceFault(f"world_bank: the service refused: {said}", file="world_bank")
    if not isinstance(answer, list) or len(answer) < 2 or not isinstance(answer[0], dict):
        raise ReferenceFault(
            "world_bank: the answer is no pair of page and rows; the service changed its shape.", file="world_bank"
        )
    return answer[0], list(answer[1] or [])


class WorldBank:
    """The World Bank as one of the services."""

    def release(self, feed: Feed) -> Ask | None:
        """None: every page carries the day of the last update."""
        return None

    def first(self, feed: Feed, remote: str, areas: Mapping[str, str]) -> Ask:
        """One indicator for the members."""
        path = f"country/{';'.join(areas)}/indicator/{remote}"
        return Ask(path=path, parameters=(("format", "json"), ("per_page", "1000"), ("page", "1")))

    def following(self, ask: Ask, body: bytes) -> Ask | None:
        """The next page until `pages`."""
        about, _ = _page(body)
        number = int(about["page"])
        if number >= int(about["pages"]):
            return None
        kept = tuple(pair for pair in ask.parameters if pair[0] != "page")
        return Ask(path=ask.path, parameters=(*kept, ("page", str(number + 1))))

    def figures(self, body: bytes, name: str) -> Iterator[Figure]:
        """One figure per row; years without a number come with null and stay without."""
        for number, row in enumerate(_page(body)[1]):
            value = row.get("value")
            yield Figure(
                area=str(row.get("countryiso3code") or ""), year=str(row["date"]),
                value=None if value is None else str(value), pointer=f"{name}#{number}",
            )  # fmt: skip

    def edition(self, feed: Feed, bodies: Sequence[bytes], release: bytes | None) -> str:
        """The day on which the Bank says that the database was last updated."""
        return "wdi" + str(_page(bodies[0])[0].get("lastupdated") or "undated").replace("-", "_")
