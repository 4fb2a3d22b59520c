"""Where an org unit lies, no finer than the settings allow.

Belongs here: one place out of GeoJSON, coarsened before it is landed. Does not belong here: boundaries for maps (they come with the
reference areas), geometry of persons and events, which is never asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def coarse_place(geometry: Any, decimals: int) -> dict[str, Any] | None:
    """Type, longitude and latitude of a GeoJSON geometry, rounded to `decimals` (2: about a kilometre); None when it has no place.

    A point is itself; of anything larger it is the middle of its bounding box. A place off the globe, as swapped
    coordinates make it, is none.
    """
    if not isinstance(geometry, Mapping) or not isinstance(geometry.get("type"), str):
        return None
    positions = list(_positions(geometry.get("coordinates")))
    if not positions:
        return None
    longitudes, latitudes = zip(*positions, strict=True)
    longitude = (min(longitudes) + max(longitudes)) / 2
    latitude = (min(latitudes) + max(latitudes)) / 2
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        return None
    return {
        "type": geometry["type"], "longitude": round(longitude, decimals), "latitude": round(latitude, decimals),
    }  # fmt: skip


def _positions(coordinates: Any) -> Iterator[tuple[float, float]]:
    """Every position in coordinates of any depth; whatever is no position is left out."""
    if not isinstance(coordinates, list | tuple):
        return
    if len(coordinates) >= 2 and all(isinstance(n, int | float) and not isinstance(n, bool) for n in coordinates[:2]):
        yield float(coordinates[0]), float(coordinates[1])
        return
    for inner in coordinates:
        yield from _positions(inner)
