"""Names of codes for readers: areas, destinations and breakdowns in the language of the page.

Belongs here: looking names up in the release's areas, the row frames and the code lists. Does not belong here: the lists
themselves (`catalogue`), layout.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from warehouse.catalogue.table_catalogue import CatalogueError, load_codelist
from warehouse.publishing.content import ReleaseCatalogue
from warehouse.publishing.wording import text

_BREAKDOWNS = (
    ("sex_code", "sex"),
    ("age_code", "age"),
    ("migrant_status_code", "migrant_status"),
    ("migrant_basis_code", "migrant_basis"),
    ("origin_code", None),
    ("destination_code", None),
    ("category_code", "category"),
)
_CATEGORY_LISTS = ("category", "programme_category", "labour_return_reason", "labour_examination_result")
_TOTALS = frozenset({"_T", "_Z", None})


@cache
def _codes(name: str) -> dict[str, tuple[str, str]]:
    try:
        return {code.code: (code.name_en, code.name_vi) for code in load_codelist(name)}
    except CatalogueError:
        return {}


class Names:
    """Names in one language; a code without a name shows itself."""

    def __init__(self, catalogue: ReleaseCatalogue, language: str) -> None:
        self._position = 1 if language == "vi" else 0
        self._language = language
        self._areas: dict[str, tuple[str, str]] = {}
        self._order: dict[str, int] = {}
        for frame in catalogue.regional.frames:
            for entry in frame.entry:
                for code in entry.where.values():
                    self._areas.setdefault(code, (entry.label.en, entry.label.vi))
                if frame.code == "asean":
                    self._order[entry.code] = len(self._order)
        for area in catalogue.areas:
            # As the regional tables write it where they have it, so that a reader meets one name: Cambodia, Campuchia.
            self._areas.setdefault(area.area_code, (area.name_en, area.name_vi))

    def area(self, code: str) -> str:
        """Name of an area or destination."""
        names = self._areas.get(code)
        return names[self._position] if names else code

    def _country_or_other(self, code: str) -> str:
        """The name of a nationality given as a category; `_O` is any other."""
        return text("other", self._language) if code == "_O" else self.area(code)

    def area_order(self, code: str) -> tuple[int, str]:
        """Sort key: members in ASEAN order with the region after them, then other areas by code."""
        return self._order.get(code, 99), code

    def is_total(self, row: Mapping[str, Any]) -> bool:
        """True when the observation is broken down by nothing that a reader chooses; migrant definition does not count."""
        return all(
            row[name] in _TOTALS for name, _ in _BREAKDOWNS if name not in ("migrant_basis_code", "migrant_status_code")
        )

    def breakdown(self, row: Mapping[str, Any]) -> str:
        """The codes other than totals, in words."""
        parts = []
        for name, codelist in _BREAKDOWNS:
            code = row[name]
            if code in _TOTALS:
                continue
            if codelist is None:
                arrow = {"origin_code": "← ", "destination_code": "→ "}[name]
                parts.append(arrow + self.area(code))
            else:
                # A category code such as HEALTH/GCM15 does not leave the registers; what leaves stands in one of these lists.
                lists = _CATEGORY_LISTS if codelist == "category" else (codelist,)
                names = next((found for name in lists if (found := _codes(name).get(code))), None)
                parts.append(names[self._position] if names else self._country_or_other(str(code)))
        return ", ".join(parts)
