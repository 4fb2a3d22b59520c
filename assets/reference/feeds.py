"""What can be asked of which public service for which series: the register `services.toml`, typed.

Belongs here: feeds and services as values, and the figure that every service's answer becomes. Does not belong here: HTTP
(`client`, `fetch`), the shape of one service's answers (`gho`, `sdg`, `world_bank`, `sdmx_csv`).
"""

import csv
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from assets.reference.read import ReferenceFault, Series, register

ROOM = Path(__file__).parent
ServiceCode = Literal["gho", "sdg", "world_bank", "ilostat"]
Column = Literal["sex_code", "age_code", "origin_code", "destination_code", "category_code"]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FeedDimension(_Entry):
    """A dimension of the answers: the column it becomes, the codes that are known, and those that may be passed over."""

    name: str
    column: Column | None = None
    codes: Mapping[str, str]
    skip: tuple[str, ...] = ()


class Feed(_Entry):
    """One series at one service. `unit` and `title` only where no edition of the series is shipped.

    `indicator`: code of the SDG indicator under which the SDG API names its release.
    """

    code: str = Field(pattern=r"^[a-z0-9_]+$")
    service: ServiceCode
    series: str
    producer: str
    remotes: Mapping[str, str]
    dimension: tuple[FeedDimension, ...] = ()
    indicator: str | None = None
    unit: str | None = None
    title: Mapping[str, str] | None = None


class ServiceEntry(_Entry):
    """One public service: its name and where it answers unless the settings say otherwise."""

    title: str
    base_url: str


class Ask(_Entry):
    """One request: path below the service's address, parameters in order, and the kind of answer wanted."""

    path: str
    parameters: tuple[tuple[str, str], ...] = ()
    accept: str = "application/json"


class Figure(_Entry):
    """One figure of an answer, still in the service's own codes. `value` None: the service has the cell and no number in it."""

    area: str
    year: str
    value: str | None
    lower: str | None = None
    upper: str | None = None
    nature: str | None = None
    category: str = "_T"
    dimensions: Mapping[str, str] = Field(default_factory=dict)
    pointer: str


class Answers(Protocol):
    """How one service is asked and what its answers say."""

    def release(self, feed: Feed) -> Ask | None:
        """The request whose answer names the edition; None where the data say it themselves."""
        ...

    def first(self, feed: Feed, remote: str, areas: Mapping[str, str]) -> Ask:
        """The first request for one remote code, for the areas given as ISO3 -> M49."""
        ...

    def following(self, ask: Ask, body: bytes) -> Ask | None:
        """The request for the next page; None when `body` was the last. Raises ReferenceFault for an answer that says no."""
        ...

    def figures(self, body: bytes, name: str) -> Iterator[Figure]:
        """The figures of one page. Raises ReferenceFault for an answer of another shape."""
        ...

    def edition(self, feed: Feed, bodies: Sequence[bytes], release: bytes | None) -> str:
        """The edition that the service itself states, as a short code."""
        ...


@cache
def _raw() -> Mapping[str, object]:
    return tomllib.loads((ROOM / "services.toml").read_text(encoding="utf-8"))


@cache
def services() -> Mapping[str, ServiceEntry]:
    """The services by code."""
    entries = _raw()["service"]
    assert isinstance(entries, dict)
    return {code: ServiceEntry.model_validate(entry) for code, entry in entries.items()}


@cache
def feeds() -> Mapping[str, Feed]:
    """The feeds by code. Raises ReferenceFault for an entry that is wrong or names a series that the register does not know."""
    found: dict[str, Feed] = {}
    entries = _raw()["feed"]
    assert isinstance(entries, list)
    for entry in entries:
        try:
            feed = Feed.model_validate(entry)
        except ValidationError as fault:
            raise ReferenceFault(f"services.toml: {entry.get('code')}: {fault}", file="services.toml") from fault
        if feed.unit is None:
            known_series(feed.series, "services.toml")
        found[feed.code] = feed
    return found


def known_series(code: str, file: str) -> Series:
    """The current shipped entry of a series: title and unit are the same whoever answers. Raises ReferenceFault."""
    for series in register():
        if series.code == code and series.is_current:
            return series
    known = sorted({series.code for series in register()})
    raise ReferenceFault(f"{file}: {code!r} is no reference series; known: {', '.join(known)}", file=file)


@cache
def members() -> Mapping[str, str]:
    """ISO3 and M49 number of the eleven members, in file order."""
    with (ROOM / "frames" / "area.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {row["area_code"]: row["official_code"] for row in rows if row["area_type_code"] == "country"}


def unit_of(series_code: str, file: str) -> str:
    """The unit of a series, from the shipped register or from the feed that brings it. Raises ReferenceFault for an unknown series."""
    for feed in feeds().values():
        if feed.series == series_code and feed.unit is not None:
            return feed.unit
    return known_series(series_code, file).unit
