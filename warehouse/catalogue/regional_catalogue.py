"""Regional tables as data: which rows and columns each published table has, in both languages, and its chart.

Belongs here: the typed model of `regional/RT*.toml`, of the row frames (`regional/frames.toml`), the footnote texts
(`regional/footnotes.toml`) and the symbols (`regional/symbols.toml`), and their loading. Does not belong here: choosing
observations, rounding or layout (`warehouse.publishing`).
"""

from datetime import date, datetime
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from warehouse.catalogue.table_catalogue import CATALOGUE, CatalogueError, load_codelist, read_entry

PeriodType = Literal["year", "quarter", "month", "week"]
LAST_GOOD = "last_good_"
"""Beginning of the footnote code of a cell that rests on data of an earlier day; the day follows as YYYYMMDD."""

DIMENSIONS = frozenset(
    {
        "area_code",
        "sex_code",
        "age_code",
        "migrant_status_code",
        "migrant_basis_code",
        "origin_code",
        "destination_code",
        "category_code",
        "definition_version",
    }
)
"""What a row or column may name in `where`."""


def _known_dimensions(where: dict[str, str]) -> dict[str, str]:
    unknown = sorted(set(where) - DIMENSIONS)
    if unknown:
        near = get_close_matches(unknown[0], DIMENSIONS, 1)
        raise ValueError(f"where names {unknown}, which are not dimensions; nearest: {near or sorted(DIMENSIONS)}")
    return where


Where = Annotated[dict[str, str], AfterValidator(_known_dimensions)]
"""Dimension codes by dimension."""


class Entry(BaseModel):
    """Base of every catalogue entry here: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Text(Entry):
    """One text in both languages."""

    en: str = Field(min_length=1)
    vi: str = Field(min_length=1)

    def in_language(self, language: str) -> str:
        """The text in `en` or `vi`."""
        return self.vi if language == "vi" else self.en


class RowEntry(Entry):
    """One row: its code, its label, and the dimension codes that its cells have.

    `indicator` gives the row its own indicator (tables whose rows are indicators). `not_applicable` names columns or
    indicators that cannot exist in this row: their cells are `x`, not missing.
    """

    code: str
    label: Text
    where: Where = Field(default_factory=dict)
    indicator: str | None = None
    not_applicable: tuple[str, ...] = ()
    is_total: bool = False
    indent: int = Field(default=0, ge=0, le=2)
    unit: Text | None = None


class Frame(Entry):
    """A row order used by several tables, such as the ASEAN members."""

    code: str
    description: str
    entry: tuple[RowEntry, ...] = Field(min_length=1)


class Rows(Entry):
    """How the rows are made: a shared frame, entries of the table's own, or the last periods of an indicator."""

    heading: Text
    frame: str | None = None
    entry: tuple[RowEntry, ...] = ()
    period_type: PeriodType | None = None
    last: int | None = Field(default=None, ge=1, le=60)
    keep: Literal["all", "with_data"] = "all"

    @model_validator(mode="after")
    def _one_source(self) -> "Rows":
        sources = [self.frame is not None, bool(self.entry), self.period_type is not None]
        if sum(sources) != 1:
            raise ValueError("rows need exactly one of: frame, [[rows.entry]], period_type with last")
        if self.period_type is not None and self.last is None:
            raise ValueError("rows by period_type also need last = number of periods")
        return self


class Period(Entry):
    """Which period a column shows.

    `latest`: each row's own latest (other years are footnoted). `common`: the one period that most rows have, the newest
    of equals; for shares that must add up. `last`: the last few periods, a column each. `fixed`: the codes given.
    `row`: the period of the row.
    """

    type: PeriodType = "year"
    rule: Literal["latest", "common", "last", "fixed", "row"] = "latest"
    count: int = Field(default=1, ge=1, le=24)
    codes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fixed_needs_codes(self) -> "Period":
        if (self.rule == "fixed") != bool(self.codes):
            raise ValueError("period codes belong to rule = 'fixed', and only to it")
        return self


class Column(Entry):
    """One column, or one per period: an indicator, its breakdown, its period rule, and how it is shown."""

    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]*$")
    indicator: str | None = None
    label: Text | None = None
    where: Where = Field(default_factory=dict)
    period: Period = Period()
    interval: bool = False
    only_rows: tuple[str, ...] = ()
    """Rows in which the figure can exist; it is not applicable in the others. Empty: it can exist in every row."""
    decimals: int | None = Field(default=None, ge=0, le=4)


class Chart(Entry):
    """The headline chart: its form, the column group it draws, and what it says in words."""

    kind: Literal["bars", "lines", "intervals"]
    column: str
    title: Text
    rows: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()


class RegionalTable(Entry):
    """One regional table: what it shows, of whom, in which units, with which notes and chart."""

    code: str = Field(pattern=r"^RT\d\d$")
    version: int = Field(ge=1)
    title: Text
    scope: Text
    units: Text
    summary: Text
    notes: tuple[Text, ...] = ()
    rows: Rows
    column: tuple[Column, ...] = Field(min_length=1)
    chart: tuple[Chart, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _codes_fit(self) -> "RegionalTable":
        codes = [column.code for column in self.column]
        if len(codes) != len(set(codes)):
            raise ValueError(f"columns listed twice: {sorted({c for c in codes if codes.count(c) > 1})}")
        for chart in self.chart:
            if chart.column not in codes:
                raise ValueError(f"chart names column {chart.column!r}, which the table lacks; it has {codes}")
        rows_give_indicator = bool(self.rows.entry) and all(entry.indicator for entry in self.rows.entry)
        for column in self.column:
            if column.indicator is None and not rows_give_indicator:
                raise ValueError(f"column {column.code}: name its indicator, or give every row entry one")
            if (column.period.rule == "row") != (self.rows.period_type is not None):
                raise ValueError(
                    f"column {column.code}: period rule 'row' goes with rows by period_type, and only there"
                )
        return self

    @property
    def indicators(self) -> tuple[str, ...]:
        """Codes of all indicators that the table shows, in order of first use."""
        codes = [column.indicator for column in self.column] + [entry.indicator for entry in self.rows.entry]
        return tuple(dict.fromkeys(code for code in codes if code))


class Footnote(Entry):
    """A footnote that observations may carry by code."""

    code: str
    text: Text


class Symbol(Entry):
    """One symbol of the key: what stands in the table, its meaning, and what it says of the data."""

    symbol: str
    kind: Literal["cell", "mark"]
    meaning: Text


class _Frames(Entry):
    frame: tuple[Frame, ...]


class _Footnotes(Entry):
    footnote: tuple[Footnote, ...]


class _Symbols(Entry):
    symbol: tuple[Symbol, ...]


class RegionalCatalogue(Entry):
    """All regional tables with the frames, footnotes and symbols they use."""

    tables: tuple[RegionalTable, ...]
    frames: tuple[Frame, ...]
    footnotes: tuple[Footnote, ...]
    symbols: tuple[Symbol, ...]

    def table(self, code: str) -> RegionalTable:
        """The table with this code. Raises CatalogueError naming the codes there are."""
        for table in self.tables:
            if table.code == code:
                return table
        known = ", ".join(table.code for table in self.tables)
        raise CatalogueError(f"there is no regional table {code!r}; there are {known}.", file="regional", key=code)

    def frame(self, code: str) -> Frame:
        """The row frame with this code. Raises CatalogueError naming the codes there are."""
        for frame in self.frames:
            if frame.code == code:
                return frame
        known = ", ".join(frame.code for frame in self.frames)
        raise CatalogueError(f"there is no row frame {code!r}; there are {known}.", file="frames.toml", key=code)

    def footnote(self, code: str) -> Text:
        """The text of a footnote code; a code without text shows itself, so that a caveat is never lost."""
        for footnote in self.footnotes:
            if footnote.code == code:
                return footnote.text
        day = last_good_day(code)
        if day is not None:
            return Text(
                en=f"A source could not be refreshed: last good data of {day.isoformat()}.",
                vi=f"Một nguồn không cập nhật được: dùng số liệu tốt gần nhất của ngày {day:%d/%m/%Y}.",
            )
        return Text(en=code, vi=code)


def last_good_day(code: str) -> date | None:
    """The day in a footnote code `last_good_YYYYMMDD`; None for any other code."""
    day = code.removeprefix(LAST_GOOD)
    return datetime.strptime(day, "%Y%m%d").date() if day != code and day.isdigit() and len(day) == 8 else None


def load_regional_catalogue(folder: Path | None = None) -> RegionalCatalogue:
    """The regional tables in code order with their frames, footnotes and symbols. Raises CatalogueError for a wrong file.

    `folder` replaces the shipped folder; frames, footnotes and symbols that it lacks are the shipped ones, so that one
    more table is one more file.
    """
    home = CATALOGUE / "regional"
    folder = folder or home

    def shared(name: str) -> Path:
        return folder / name if (folder / name).exists() else home / name

    frames = read_entry(shared("frames.toml"), _Frames).frame
    known = {frame.code for frame in frames}
    tables = []
    for path in sorted(folder.glob("RT*.toml")):
        table = read_entry(path, RegionalTable)
        if path.stem != table.code:
            raise CatalogueError(
                f"{path.name}: holds table {table.code}; name the file {table.code}.toml.", file=path.name
            )
        if table.rows.frame is not None and table.rows.frame not in known:
            raise CatalogueError(
                f"{path.name}: rows.frame {table.rows.frame!r} is not in frames.toml, which has {sorted(known)}.",
                file=path.name,
                key="rows.frame",
            )
        tables.append(table)
    return RegionalCatalogue(
        tables=tuple(tables),
        frames=frames,
        footnotes=(*read_entry(shared("footnotes.toml"), _Footnotes).footnote, *_caveats()),
        symbols=read_entry(shared("symbols.toml"), _Symbols).symbol,
    )


def _caveats() -> tuple[Footnote, ...]:
    return tuple(
        Footnote(code=code.code, text=Text(en=code.name_en, vi=code.name_vi)) for code in load_codelist("footnote")
    )


@cache
def regional_catalogue() -> RegionalCatalogue:
    """The regional catalogue shipped with the code."""
    return load_regional_catalogue()
