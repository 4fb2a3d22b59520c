"""Regional tables: from protected observations and table entries to finished cells that nobody formats again.

Belongs here: choosing the observation of each cell, row and column order, labels, display texts, marks and footnotes.
Does not belong here: the entries (`catalogue/regional`), number formatting (`display`), any file (the writers).
"""

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from warehouse.catalogue.regional_catalogue import Column, RegionalTable, RowEntry, Text
from warehouse.publishing.content import (
    KEY_COLUMNS,
    OBSERVATION_SCHEMA,
    IndicatorCard,
    ProtectedObservations,
    RegionalSet,
    ReleaseCatalogue,
    as_sequence,
    flags_of,
    release_observations,
)
from warehouse.publishing.display import (
    MISSING,
    NOT_APPLICABLE,
    PRACTICE_MARK,
    REVISED_MARK,
    STATUS_MARKS,
    SUPPRESSED,
    UNRELIABLE,
    interval_text,
    period_order,
    period_text,
    period_type,
    value_text,
)

Observation = Mapping[str, Any]

DIMENSIONS = (
    "definition_version",
    "area_code",
    "migrant_basis_code",
    "migrant_status_code",
    "origin_code",
    "destination_code",
    "category_code",
    "sex_code",
    "age_code",
)
"""Order in which dimensions that a table does not name are settled."""

CELL_SCHEMA: dict[str, pl.DataType] = {
    "table_code": pl.String(),
    "row_order": pl.Int32(),
    "row_code": pl.String(),
    "row_label_en": pl.String(),
    "row_label_vi": pl.String(),
    "column_order": pl.Int32(),
    "column_code": pl.String(),
    "column_label_en": pl.String(),
    "column_label_vi": pl.String(),
    **OBSERVATION_SCHEMA,
    "display_en": pl.String(),
    "display_vi": pl.String(),
    "footnote_marks": pl.String(),
}
"""Columns of `release.regional_cell`."""

COLUMN_SCHEMA: dict[str, pl.DataType] = {
    "table_code": pl.String(),
    "column_order": pl.Int32(),
    "column_code": pl.String(),
    "group_code": pl.String(),
    "group_label_en": pl.String(),
    "group_label_vi": pl.String(),
    "sub_label_en": pl.String(),
    "sub_label_vi": pl.String(),
    "indicator_code": pl.String(),
    "unit_en": pl.String(),
    "unit_vi": pl.String(),
    "period_code": pl.String(),
    "decimals": pl.Int32(),
    "has_interval": pl.Boolean(),
    "footnote_marks": pl.String(),
}
"""Columns of `release.regional_column`: one row per column of a table, with its group for two-level headings."""

FOOTNOTE_SCHEMA: dict[str, pl.DataType] = {
    "table_code": pl.String(),
    "footnote_order": pl.Int32(),
    "mark": pl.String(),
    "text_en": pl.String(),
    "text_vi": pl.String(),
}
"""Columns of `release.footnote`: one row per lettered note of a table."""

COVERED_BY_MARK = frozenset(
    {
        "period_open",
        "reports_still_arriving",
        "provisional_source",
        "bracketed_small_sample",
        "estimate_unreliable",
        REVISED_MARK,
        "revised",
    }
)
"""Footnote codes whose meaning the symbol key already gives: a status letter, or the brackets."""

_TOO_UNRELIABLE = frozenset({"sample_too_small", "estimate_not_published"})
"""Footnote codes of figures that exist and are not shown because they are too unreliable."""

_MEMBERS = {"ASEAN10": ("10", "10"), "ASEAN11": ("11", "11")}


@dataclass(frozen=True)
class _ShownColumn:
    """One column as it stands in the table: a column entry at one period, or at each row's own period."""

    entry: Column
    code: str
    period_code: str | None
    sub_label: Text | None


@dataclass
class Letters:
    """Footnote letters of one table, given out in reading order; capitals, as small letters are status marks."""

    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    def mark(self, text: Text) -> str:
        """The letter of this text, a new one at its first use."""
        key = (text.en, text.vi)
        if key not in self.texts:
            position = len(self.texts)
            alphabet = string.ascii_uppercase
            tail = alphabet[position % 26]
            self.texts[key] = tail if position < 26 else alphabet[position // 26 - 1] + tail
        return self.texts[key]


def regional_set(protected: ProtectedObservations, catalogue: ReleaseCatalogue) -> RegionalSet:
    """Every regional table's cells, columns and footnotes, in reading order.

    A column whose indicator is not in the catalogue is left out; a cell that several observations could fill stays empty.
    Both are listed in `problems`: a table never guesses, and one wrong entry never stops the others.
    """
    return regional_set_of(release_observations(protected.frame), catalogue)


def regional_set_of(observations: pl.DataFrame, catalogue: ReleaseCatalogue) -> RegionalSet:
    """`regional_set` for observations already in release form."""
    cells: list[dict[str, Any]] = []
    columns: list[dict[str, Any]] = []
    footnotes: list[dict[str, Any]] = []
    problems: list[str] = []
    wanted = {code for table in catalogue.regional.tables for code in table.indicators}
    by_indicator: dict[str, list[Observation]] = {code: [] for code in wanted}
    for row in observations.filter(pl.col("indicator_code").is_in(sorted(wanted))).iter_rows(named=True):
        by_indicator[row["indicator_code"]].append(row)
    indexes: dict[tuple[str, str], dict[str, list[Observation]]] = {}
    for table in catalogue.regional.tables:
        _TableMaker(table, catalogue, by_indicator, problems, indexes).make(cells, columns, footnotes)
    return RegionalSet(
        cells=pl.DataFrame(cells, schema=CELL_SCHEMA),
        columns=pl.DataFrame(columns, schema=COLUMN_SCHEMA),
        footnotes=pl.DataFrame(footnotes, schema=FOOTNOTE_SCHEMA),
        problems=tuple(dict.fromkeys(problems)),
    )


def marked_revised(regional: RegionalSet, revised: pl.DataFrame) -> RegionalSet:
    """The same tables with an `r` beside each figure whose key is in `revised`, after its other status letters."""
    if revised.is_empty():
        return regional
    is_revised = pl.col("_revised").fill_null(False)
    # Small letters are status marks; the first capital or dagger begins what is not.
    marks = pl.col("footnote_marks").str.extract_groups(r"^((?:[a-z] ?)*)(.*)$")
    with_mark = pl.concat_str(
        marks.struct[0].str.strip_chars_end(), pl.lit(f" {REVISED_MARK} "), marks.struct[1]
    ).str.strip_chars()
    cells = (
        regional.cells.with_row_index("_place")
        .join(
            revised.select(KEY_COLUMNS).unique().with_columns(_revised=pl.lit(True)), on=list(KEY_COLUMNS), how="left"
        )
        .sort("_place")
        .with_columns(
            pl.when(is_revised)
            .then(pl.concat_list("footnote_codes", pl.lit([REVISED_MARK])))
            .otherwise("footnote_codes")
            .alias("footnote_codes"),
            pl.when(is_revised & pl.col("value").is_not_null())
            .then(with_mark)
            .otherwise("footnote_marks")
            .alias("footnote_marks"),
        )
        .select(regional.cells.columns)
    )
    return replace(regional, cells=cells)


class _TableMaker:
    """Makes one regional table; holds what its parts share (entry, catalogue, observations, letters)."""

    def __init__(
        self,
        table: RegionalTable,
        catalogue: ReleaseCatalogue,
        by_indicator: Mapping[str, Sequence[Observation]],
        problems: list[str],
        indexes: dict[tuple[str, str], dict[str, list[Observation]]],
    ) -> None:
        self.indexes = indexes
        self.table = table
        self.catalogue = catalogue
        self.by_indicator = by_indicator
        self.problems = problems
        self.letters = Letters()

    def make(self, cells: list[dict[str, Any]], columns: list[dict[str, Any]], footnotes: list[dict[str, Any]]) -> None:
        """The table's rows are appended to the three lists."""
        shown = [column for entry in self.table.column for column in self._shown_columns(entry)]
        rows = self._rows()
        found = {(row.code, column.code): self._observation(row, column) for row in rows for column in shown}
        if self.table.rows.keep == "with_data":
            rows = [row for row in rows if any(_has_something(found[row.code, column.code]) for column in shown)]
        latest = {
            column.code: self._latest_period(column, [found[row.code, column.code] for row in rows]) for column in shown
        }
        standing = {
            column.code: self._standing_codes([found[row.code, column.code] for row in rows]) for column in shown
        }
        column_marks = {
            column.code: " ".join(
                self.letters.mark(self.catalogue.regional.footnote(code)) for code in sorted(standing[column.code])
            )
            for column in shown
        }
        for row_order, row in enumerate(rows, start=1):
            for column_order, column in enumerate(shown, start=1):
                observation = found[row.code, column.code]
                cell = self._cell(row, column, observation, latest[column.code], standing[column.code])
                cell |= {
                    "table_code": self.table.code,
                    "row_order": row_order,
                    "row_code": row.code,
                    **self._row_label(row),
                    "column_order": column_order,
                    "column_code": column.code,
                    **self._column_label(column, latest[column.code]),
                }
                cells.append(cell)
        columns.extend(
            self._column_row(order, column, latest[column.code]) | {"footnote_marks": column_marks[column.code]}
            for order, column in enumerate(shown, start=1)
        )
        footnotes.extend(
            {"table_code": self.table.code, "footnote_order": order, "mark": mark, "text_en": en, "text_vi": vi}
            for order, ((en, vi), mark) in enumerate(self.letters.texts.items(), start=1)
        )

    # Rows and columns

    def _rows(self) -> list[RowEntry]:
        rows = self.table.rows
        if rows.frame is not None:
            return list(self.catalogue.regional.frame(rows.frame).entry)
        if rows.entry:
            known = [
                row for row in rows.entry if row.indicator is None or self.catalogue.card(row.indicator) is not None
            ]
            self.problems.extend(
                f"{self.table.code}: row {row.code} left out, indicator {row.indicator} is not in the catalogue"
                for row in rows.entry
                if row not in known
            )
            return known
        periods: set[str] = set()
        for column in self.table.column:
            periods |= {row["period_code"] for row in self._candidates(column.indicator or "", column.where)}
        of_type = sorted((p for p in periods if period_type(p) == rows.period_type), key=period_order)
        return [
            RowEntry(code=period, label=Text(en=period_text(period, "en"), vi=period_text(period, "vi")))
            for period in of_type[-(rows.last or 1) :]
        ]

    def _shown_columns(self, entry: Column) -> list[_ShownColumn]:
        if entry.indicator is not None and self.catalogue.card(entry.indicator) is None:
            self.problems.append(
                f"{self.table.code}: column {entry.code} left out, indicator {entry.indicator} is not in the catalogue"
            )
            return []
        if entry.period.rule == "fixed":
            periods: Sequence[str] = entry.period.codes
        elif entry.period.rule == "last":
            periods = sorted(self._rows_by_period(entry), key=period_order)[-entry.period.count :]
        elif entry.period.rule == "common":
            rows_by_period = self._rows_by_period(entry)
            common = max(rows_by_period, key=lambda p: (rows_by_period[p], period_order(p)), default=None)
            if common is None:
                return [_ShownColumn(entry, entry.code, None, None)]
            return [_ShownColumn(entry, entry.code, common, _period_label(common))]
        else:
            periods = ()
        if not periods:
            return [_ShownColumn(entry, entry.code, None, None)]
        return [_ShownColumn(entry, f"{entry.code}.{period}", period, _period_label(period)) for period in periods]

    def _rows_by_period(self, entry: Column) -> Counter[str]:
        """How many rows of the table have a figure (or a hidden one) of this column, by period."""
        rows: Counter[str] = Counter()
        codes = [entry.indicator] if entry.indicator else list(self.table.indicators)
        for table_row in self._rows():
            rows.update(
                {
                    row["period_code"]
                    for code in codes
                    for row in self._candidates(code, {**entry.where, **table_row.where})
                    if period_type(row["period_code"]) == entry.period.type and _has_something(row)
                }
            )
        return rows

    def _card(self, row: RowEntry | None, column: Column) -> IndicatorCard | None:
        code = column.indicator or (row.indicator if row else None)
        return self.catalogue.card(code) if code else None

    def _group_label(self, column: Column) -> Text:
        if column.label is not None:
            return column.label
        card = self._card(None, column)
        return Text(en=card.name_en, vi=card.name_vi) if card else Text(en=column.code, vi=column.code)

    def _row_label(self, row: RowEntry) -> dict[str, str]:
        """The row's label; a row with an indicator of its own also names its unit, as no heading can."""
        unit = row.unit
        if unit is None and row.indicator is not None:
            card = self.catalogue.card(row.indicator)
            unit = Text(en=card.unit_en, vi=card.unit_vi) if card and card.unit_en and card.unit_vi else None
        if unit is None:
            return {"row_label_en": row.label.en, "row_label_vi": row.label.vi}
        return {"row_label_en": f"{row.label.en} ({unit.en})", "row_label_vi": f"{row.label.vi} ({unit.vi})"}

    def _sub_label(self, column: _ShownColumn, latest: str | None) -> Text | None:
        if column.sub_label is not None:
            return column.sub_label
        if latest is not None and column.entry.period.rule == "latest":
            return _period_label(latest)
        return None

    def _column_label(self, column: _ShownColumn, latest: str | None) -> dict[str, str]:
        group, sub = self._group_label(column.entry), self._sub_label(column, latest)
        return {
            "column_label_en": f"{group.en}, {sub.en}" if sub else group.en,
            "column_label_vi": f"{group.vi}, {sub.vi}" if sub else group.vi,
        }

    def _column_row(self, order: int, column: _ShownColumn, latest: str | None) -> dict[str, Any]:
        group, sub = self._group_label(column.entry), self._sub_label(column, latest)
        card = self._card(None, column.entry)
        return {
            "table_code": self.table.code,
            "column_order": order,
            "column_code": column.code,
            "group_code": column.entry.code,
            "group_label_en": group.en,
            "group_label_vi": group.vi,
            "sub_label_en": sub.en if sub else "",
            "sub_label_vi": sub.vi if sub else "",
            "indicator_code": column.entry.indicator,
            "unit_en": card.unit_en if card else "",
            "unit_vi": card.unit_vi if card else "",
            "period_code": column.period_code or latest,
            "decimals": self._decimals(None, column.entry),
            "has_interval": column.entry.interval,
        }

    def _decimals(self, row: RowEntry | None, column: Column) -> int:
        if column.decimals is not None:
            return column.decimals
        card = self._card(row, column)
        return card.decimals if card else 0

    # Choosing the observation of a cell

    def _candidates(self, indicator: str, where: Mapping[str, str]) -> list[Observation]:
        """Observations of an indicator with these dimension codes, looked up by the rarest of them."""
        rows = self.by_indicator.get(indicator, ())
        narrowest = min(
            (self._index(indicator, name).get(value, []) for name, value in where.items()), key=len, default=rows
        )
        return [row for row in narrowest if all(row[name] == value for name, value in where.items())]

    def _index(self, indicator: str, name: str) -> dict[str, list[Observation]]:
        if (indicator, name) not in self.indexes:
            index: dict[str, list[Observation]] = {}
            for row in self.by_indicator.get(indicator, ()):
                index.setdefault(row[name], []).append(row)
            self.indexes[indicator, name] = index
        return self.indexes[indicator, name]

    def _observation(self, row: RowEntry, column: _ShownColumn) -> Observation | None:
        indicator = column.entry.indicator or row.indicator
        if indicator is None:
            return None
        where = {**column.entry.where, **row.where}
        rule = column.entry.period.rule
        rows = self._candidates(indicator, where)
        if rule == "row":
            rows = [candidate for candidate in rows if candidate["period_code"] == row.code]
        elif column.period_code is not None:
            rows = [candidate for candidate in rows if candidate["period_code"] == column.period_code]
        else:
            rows = [c for c in rows if period_type(c["period_code"]) == column.entry.period.type]
        for name in DIMENSIONS:
            if rows and name not in where:
                rows = self._settle(rows, name, row, column)
        if not rows:
            return None
        told = [candidate for candidate in rows if candidate["value"] is not None or _is_hidden(candidate)]
        return max(told or rows, key=lambda candidate: period_order(candidate["period_code"]))

    def _settle(self, rows: list[Observation], name: str, row: RowEntry, column: _ShownColumn) -> list[Observation]:
        """Rows of one code of a dimension that the table does not name: the total, else the only one; newest definition.

        Several codes without a total make no cell: which of them was meant only the table's author can say.
        """
        codes = sorted({str(candidate[name]) for candidate in rows})
        if len(codes) == 1:
            return rows
        if name == "definition_version":
            chosen = max(codes, key=_version_order)
        elif "_T" in codes:
            chosen = "_T"
        elif "_Z" in codes:
            chosen = "_Z"
        else:
            self.problems.append(
                f"{self.table.code}: row {row.code}, column {column.code} left empty, {name} could be {', '.join(codes)};"
                " name it in the table's TOML"
            )
            return []
        return [candidate for candidate in rows if str(candidate[name]) == chosen]

    def _latest_period(self, column: _ShownColumn, observations: Iterable[Observation | None]) -> str | None:
        """Newest period of a column; none where every row has its own indicator, as their years are not alike."""
        if column.entry.indicator is None:
            return None
        periods = [row["period_code"] for row in observations if row is not None and _has_something(row)]
        return max(periods, key=period_order) if periods else None

    # One cell

    def _standing_codes(self, observations: Iterable[Observation | None]) -> frozenset[str]:
        """Caveats that all figures of a column (at least two) carry: they stand once at its heading, not at each cell."""
        carried = [
            {str(code) for code in as_sequence(row["footnote_codes"])}
            for row in observations
            if row is not None and _has_something(row)
        ]
        if len(carried) < 2:
            return frozenset()
        return frozenset(set.intersection(*carried) - COVERED_BY_MARK)

    def _cell(
        self,
        row: RowEntry,
        column: _ShownColumn,
        observation: Observation | None,
        latest: str | None,
        standing: frozenset[str],
    ) -> dict[str, Any]:
        if observation is None:
            observation = self._empty(row, column, latest)
        card = self._card(row, column.entry)
        decimals = self._decimals(row, column.entry)
        marks = self._marks(observation, card, column, latest, standing)
        return {
            **observation,
            "display_en": display_text(observation, decimals, column.entry.interval, "en"),
            "display_vi": display_text(observation, decimals, column.entry.interval, "vi"),
            "footnote_marks": " ".join(marks),
        }

    def _empty(self, row: RowEntry, column: _ShownColumn, latest: str | None) -> dict[str, Any]:
        """A cell without observation: nothing known (`O`), or nothing that could exist (`M`). Never zero."""
        indicator = column.entry.indicator or row.indicator or ""
        card = self._card(row, column.entry)
        only_rows = column.entry.only_rows
        excluded = bool({column.code, column.entry.code, indicator} & set(row.not_applicable))
        excluded = excluded or (bool(only_rows) and row.code not in only_rows)
        period = row.code if column.entry.period.rule == "row" else column.period_code or latest or "_Z"
        dimensions = dict.fromkeys(DIMENSIONS, "_T") | {"definition_version": card.definition_version if card else "1"}
        dimensions |= {**column.entry.where, **row.where}
        empty: dict[str, Any] = dict.fromkeys(OBSERVATION_SCHEMA)
        return (
            empty
            | dimensions
            | {
                "indicator_code": indicator,
                "period_code": period,
                "period_type_code": None,
                "unit_code": card.unit_code if card else None,
                "obs_status": "M" if excluded else "O",
                "obs_flags": ["M" if excluded else "O"],
                "conf_status": "F",
                "source_codes": [],
                "receipt_ids": [],
                "footnote_codes": [],
                "is_practice": False,
            }
        )

    def _marks(
        self,
        observation: Observation,
        card: IndicatorCard | None,
        column: _ShownColumn,
        latest: str | None,
        standing: frozenset[str],
    ) -> list[str]:
        """Status letters, then footnote letters, then the practice mark."""
        flags = flags_of(observation["obs_flags"]) or flags_of(observation["obs_status"])
        shown = _has_something(observation)
        marks = list(status_marks(observation, card))
        texts: list[Text] = []
        own_codes = [str(code) for code in as_sequence(observation["footnote_codes"])]
        texts.extend(
            self.catalogue.regional.footnote(code)
            for code in own_codes
            if code not in COVERED_BY_MARK and code not in standing
        )
        if "D" in flags and "definition_differs" not in own_codes:
            texts.append(self.catalogue.regional.footnote("definition_differs"))
        if (
            str(observation["interval_code"]).startswith("clopper_pearson")
            and "clopper_pearson" not in own_codes
            and column.entry.interval
        ):
            texts.append(self.catalogue.regional.footnote("clopper_pearson"))
        if shown and column.entry.period.rule == "latest" and observation["period_code"] != latest:
            period = observation["period_code"]
            texts.append(Text(en=f"Refers to {period_text(period, 'en')}.", vi=f"Số liệu của {_year_vi(period)}."))
        membership = observation["membership_version"]
        if membership and observation["area_code"] == "ASEAN":
            texts.append(_coverage_note(str(membership), observation["coverage_share"]))
        if shown or own_codes:
            marks.extend(self.letters.mark(text) for text in texts)
        if shown and observation["is_practice"]:
            marks.append(PRACTICE_MARK)
        return list(dict.fromkeys(marks))


def status_marks(observation: Observation, card: IndicatorCard | None) -> tuple[str, ...]:
    """Small letters beside a figure: provisional, estimate, break, experimental, revised."""
    if observation["value"] is None:
        return ()
    flags = flags_of(observation["obs_flags"]) or flags_of(observation["obs_status"])
    marks = [STATUS_MARKS[flag] for flag in flags if flag in STATUS_MARKS]
    if card is not None and card.is_experimental:
        marks.append("g")
    if {REVISED_MARK, "revised"} & {str(code) for code in as_sequence(observation["footnote_codes"])}:
        marks.append(REVISED_MARK)
    return tuple(dict.fromkeys(marks))


def cell_marks(observation: Observation, card: IndicatorCard | None) -> tuple[str, ...]:
    """Status letters and the practice mark: what a figure carries outside any table's lettered footnotes."""
    practice = (PRACTICE_MARK,) if _has_something(observation) and observation["is_practice"] else ()
    return status_marks(observation, card) + practice


def display_text(observation: Observation, decimals: int, with_interval: bool, language: str) -> str:
    """What stands in the cell: the number with its interval, or the symbol of why there is none."""
    flags = flags_of(observation["obs_flags"]) or flags_of(observation["obs_status"])
    value = observation["value"]
    if _is_hidden(observation):
        return SUPPRESSED
    if value is None:
        if "M" in flags:
            return NOT_APPLICABLE
        codes = {str(code) for code in as_sequence(observation["footnote_codes"])}
        return UNRELIABLE if {"U", "N"} & set(flags) or codes & _TOO_UNRELIABLE else MISSING
    text = value_text(value, decimals, language)
    lower, upper = observation["lower"], observation["upper"]
    if with_interval and lower is not None and upper is not None:
        text = f"{text} {interval_text(lower, upper, decimals, language)}"
    return f"({text})" if "U" in flags else text


def _period_label(period_code: str) -> Text:
    return Text(en=period_text(period_code, "en"), vi=period_text(period_code, "vi"))


def _is_hidden(observation: Observation) -> bool:
    return observation["conf_status"] in ("C", "D") or "Q" in (
        observation["obs_status"] or "",
        *flags_of(observation["obs_flags"]),
    )


def _has_something(observation: Observation | None) -> bool:
    return observation is not None and (observation["value"] is not None or _is_hidden(observation))


def _version_order(version: str) -> tuple[int, str]:
    digits = "".join(character for character in version if character.isdigit())
    return int(digits or 0), version


def _year_vi(period_code: str) -> str:
    text = period_text(period_code, "vi")
    return f"năm {text}" if period_type(period_code) == "year" else text


def _coverage_note(membership: str, coverage_share: float | None) -> Text:
    count_en, count_vi = _MEMBERS.get(membership, (membership, membership))
    if coverage_share is None:
        return Text(en=f"ASEAN with {count_en} members.", vi=f"ASEAN gồm {count_vi} nước thành viên.")
    percent_en = value_text(coverage_share * 100, 1, "en")
    percent_vi = value_text(coverage_share * 100, 1, "vi")
    return Text(
        en=f"ASEAN with {count_en} members; the data cover {percent_en}% of the relevant population.",
        vi=f"ASEAN gồm {count_vi} nước thành viên; số liệu bao phủ {percent_vi}% dân số liên quan.",
    )
